"""Children by fork that read what they inherit, write to it, and send arrays back."""
import multiprocessing
import sys

import numpy as np

scale = int(sys.argv[1])
n = 100_000 * scale
inherited = np.arange(n, dtype=np.float64)
table = {i: bytes([i % 256]) * 5000 * scale for i in range(50)}


def work(k):
    own = inherited * k  # new memory
    inherited[:1000] = -k  # a copy of the page, the parent's stays
    bigger = np.concatenate([own, inherited])
    del own
    return k, float(bigger[1000:n].sum()), len(table[k]), np.full(50_000 * scale, k, dtype=np.int32)


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    for processes in (1, 3):
        with context.Pool(processes, maxtasksperchild=4) as pool:
            for k, total, size, array in pool.map(work, range(12), chunksize=1):
                print(k, total, size, int(array.sum()))
    print("the parent's", float(inherited.sum()))
