/*
 * An external merge sort of words without an allocator: sorted runs in one file, merged all at a time into another.
 */
#ifndef BENCH_EXTERNAL_H
#define BENCH_EXTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct external {
    int input; /* words, from the beginning of the file */
    size_t words;
    size_t run_words; /* even; a run is sorted in two halves, which takes one and a half times as much memory */
    size_t memory;    /* bytes of buffers while runs are merged */
    bool mapped;      /* the files are mappings, without buffers; else they are read and written */
};

/* The result is in a file without a name in the working directory; returns its descriptor. Ends the child where that can't be. */
int external_sort(const struct external *sort);

/* Reads so many words, all of them. Ends the child where they can't be had. */
void external_read(int fd, uint64_t *words, size_t first, size_t count);

#endif
