/*
 * What io_uring gains: a file read in pieces, past the page cache where the file system can, into registered
 * regions, into new regions, and into new blocks of the heap. Processor time is measured: the rest is the disk's.
 *
 *     uring_try FILE [ROUNDS]
 */
#define _GNU_SOURCE 1

#include "try.h"
#include "uring_buffers.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFERS = 8, BUFFER_BYTES = 256 << 10, BLOCK = 4096, MAX_ROUNDS = 99, NOT_HERE = 77 };
enum way { REGISTERED, REGION, HEAP, WAYS };

static void die(const char *what, int error)
{
    fprintf(stderr, "uring: %s: %s\n", what, strerror(error));
    /* A sandbox without io_uring, or too little memory that may be locked, is no failure of what is tried. */
    exit(error == ENOSYS || error == EPERM || error == EACCES || error == ENOMEM ? NOT_HERE : EXIT_FAILURE);
}

/* Every byte is looked at, as a program would that reads; the last few of an odd file don't matter here. */
static uint64_t sum_words(const char *bytes, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i + 8 <= count; i += 8)
        sum += *(const uint64_t *)(const void *)(bytes + i);
    return sum;
}

/* Milliseconds. */
static double read_all(struct io_uring *ring, int fd, enum way way, const struct uring_buffers *buffers,
                       uint64_t *out_sum)
{
    const double start = try_processor_ms();
    uint64_t offset = 0;
    int got = 1;

    *out_sum = 0;
    for (unsigned turn = 0; got > 0; turn = (turn + 1) % BUFFERS) {
        struct io_uring_sqe *const entry = io_uring_get_sqe(ring);
        struct io_uring_cqe *answer;
        char *const to = way == REGISTERED ? uring_buffers_read(entry, buffers, turn, fd, offset)
                         : way == REGION   ? lgalloc_malloc(BUFFER_BYTES)
                                           : aligned_alloc(BLOCK, BUFFER_BYTES);
        if (to == NULL)
            die("memory", ENOMEM);
        if (way != REGISTERED)
            io_uring_prep_read(entry, fd, to, BUFFER_BYTES, offset);
        if (io_uring_submit(ring) < 0 || io_uring_wait_cqe(ring, &answer) != 0)
            die("submit", EIO);
        got = answer->res;
        io_uring_cqe_seen(ring, answer);
        if (got < 0)
            die("read", -got);
        *out_sum += sum_words(to, (size_t)got);
        offset += (uint64_t)got;
        if (way == REGION)
            lgalloc_free_sized(to, BUFFER_BYTES);
        else if (way == HEAP)
            free(to);
    }
    return try_processor_ms() - start;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double times[WAYS][MAX_ROUNDS];
    const char *const file = argc > 1 ? argv[1] : "";
    const int wanted = argc > 2 ? atoi(argv[2]) : 9;
    const int rounds = wanted < 1 ? 1 : wanted > MAX_ROUNDS ? MAX_ROUNDS : wanted;
    struct uring_buffers buffers = {NULL, 0, 0};
    struct io_uring ring;

    int fd = open(file, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd < 0 && (fd = open(file, O_RDONLY | O_CLOEXEC)) < 0)
        die(file, errno);
    if (!try_configure())
        die("lgalloc", EINVAL);
    int error = io_uring_queue_init(BUFFERS, &ring, 0);
    if (error != 0)
        die("a ring", -error);
    error = uring_buffers_register(&ring, BUFFERS, BUFFER_BYTES, &buffers);
    if (error != 0)
        die("registering", -error);
    for (int round = 0; round < rounds; round++) {
        uint64_t sums[WAYS];
        for (unsigned way = 0; way < WAYS; way++)
            times[way][round] = read_all(&ring, fd, (enum way)way, &buffers, &sums[way]);
        if (sums[REGISTERED] != sums[HEAP] || sums[REGION] != sums[HEAP])
            die("what was read differs", EIO);
    }
    uring_buffers_unregister(&ring, &buffers);
    io_uring_queue_exit(&ring);
    close(fd);
    for (unsigned way = 0; way < WAYS; way++)
        qsort(times[way], (size_t)rounds, sizeof times[way][0], compare);
    const double heap = times[HEAP][rounds / 2];
    for (unsigned way = 0; way < HEAP; way++)
        printf("uring  %-22s %8.1f ms with lgalloc, %8.1f ms with the heap: %.2f\n",
               way == REGISTERED ? "registered regions" : "new regions", times[way][rounds / 2], heap,
               times[way][rounds / 2] / heap);
    return EXIT_SUCCESS;
}
