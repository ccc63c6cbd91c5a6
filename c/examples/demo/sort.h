/*
 * Sorts the 8-byte words of a file with threads that hand regions to one another, the way a stream
 * processor builds and merges its arrangements:
 *
 *     readers --regions as read--> sorters --sorted regions--> mergers --> one region
 *
 * A region is freed by the thread that is done with it, which is seldom the one that allocated it.
 */
#ifndef DEMO_SORT_H
#define DEMO_SORT_H

#include "allocator.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes that a reader cuts from the file at a time, and the size of its regions. */
#define SORT_CHUNK_BYTES ((size_t)2 << 20)

struct sort_options {
    unsigned threads; /* sorters; half as many readers and mergers, one of each at least */
    /* Called now and then by the thread that called sort_file(), with words of work; may be NULL. */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
};

struct sort_result {
    uint64_t *words; /* sorted; to be given back with sort_result_release() */
    size_t count;
    size_t bytes; /* of the region that holds them */
    double seconds;
    uint64_t regions;            /* allocated on the way, the result among them */
    uint64_t cross_thread_frees; /* regions freed by another thread than the one that allocated them */
    unsigned readers;
    unsigned sorters;
    unsigned mergers;
};

/*
 * Sorts the first `count` words of an open file, at least one. Returns 0, or the errno of the first
 * thing that failed, and then everything was given back and there is no result.
 */
int sort_file(const struct allocator *allocator, int fd, size_t count, const struct sort_options *options,
              struct sort_result *out_result);

void sort_result_release(const struct allocator *allocator, struct sort_result *result);

#endif
