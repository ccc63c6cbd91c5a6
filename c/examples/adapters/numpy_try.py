"""What NumPy gains: the same work with its own memory and with lgalloc's, in turns; processor time.

    numpy_try.py [ROUNDS]
"""
import multiprocessing
import statistics
import sys
import time

import numpy
import numpy_lgalloc


def expression(size):
    count = size // 8
    a, b, c = (numpy.linspace(1, 2, count) + i for i in range(3))
    for _ in range(4):
        result = a * b + c - a / c
    return float(result.sum())


def growing(size):
    array = numpy.ones(8192)
    while array.nbytes < size:
        array.resize(2 * array.size, refcheck=False)
    return float(array.sum())


def in_child(_):
    return expression(1 << 20)


def timed(work, size):
    start = time.process_time()
    result = work(size)
    return time.process_time() - start, result


def taken(work):
    before = numpy_lgalloc.regions()
    result = work()
    return result, numpy_lgalloc.regions() - before


def check():
    numpy_lgalloc.use()
    large, count = taken(lambda: numpy.full(1 << 20, 7))
    small = numpy.arange(10)
    numpy_lgalloc.leave()
    other, none = taken(lambda: numpy.full(1 << 20, 7))
    if count != 1 or none != 0:
        sys.exit(f"numpy: {count} and {none} regions were taken for an array each")
    if (large + other).sum() + small.sum() != (14 << 20) + 45:
        sys.exit("numpy: wrong contents")
    del large, small, other  # while lgalloc isn't in use
    numpy_lgalloc.use()
    if numpy.zeros(1 << 20, dtype=int).any():
        sys.exit("numpy: zeros are what was there before")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        if len(set(pool.map(in_child, range(4)))) != 1:
            sys.exit("numpy: children differ")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    for name, work, size in (("expression of 8 MiB", expression, 8 << 20),
                             ("expression of 64 MiB", expression, 64 << 20),
                             ("growing to 512 MiB", growing, 512 << 20)):
        times = ([], [])
        for _ in range(rounds):
            results = []
            for who in range(2):
                (numpy_lgalloc.use if who == 0 else numpy_lgalloc.leave)()
                seconds, result = timed(work, size)
                times[who].append(seconds * 1e3)
                results.append(result)
            if results[0] != results[1]:
                sys.exit(f"numpy: {name}: {results[0]} and {results[1]}")
        ours, own = (statistics.median(one) for one in times)
        ratio = statistics.median(a / b for a, b in zip(*times))
        print(f"numpy  {name:22} {ours:8.1f} ms with lgalloc, {own:8.1f} ms with its own: {ratio:.2f}")

    check()
    print("numpy  took", numpy_lgalloc.regions(), "regions")
    if numpy_lgalloc.regions() == 0:
        sys.exit("numpy: no region was taken")


if __name__ == "__main__":
    main()
