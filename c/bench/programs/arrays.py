"""Arrays: expressions with temporaries, sorting, products, growing. Prints what must not depend on the allocator."""
import sys

import numpy as np

scale = int(sys.argv[1])
n = 200_000 * scale
rng = np.random.default_rng(1)
x, y = rng.random(n), rng.random(n)
total = 0.0
for i in range(20):
    z = x * y + x - y / (x + 1) + np.sqrt(x) * i
    total += float(z.sum())
print("expressions", total)
print("sorted", float(np.sort(z)[::1000].sum()), int(np.argsort(x, kind="stable")[::1000].sum()))
side = 150 + 50 * scale
m = rng.random((side, side))
print("product", float((m @ m.T).trace()), float(np.linalg.det(m / side)))
parts = [np.full(n // 10, i, dtype=np.int64) for i in range(10)]
for i in range(10):
    joined = np.concatenate(parts)
    joined.resize(joined.size + 1000 * i, refcheck=False)
print("joined", joined.size, int(joined.sum()))
grown = bytearray()
for i in range(100):
    grown += bytes([i]) * (10_000 * scale)
print("grown", len(grown), sum(grown[::1009]))
