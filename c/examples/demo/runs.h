/*
 * Cuts a file into pieces, sorts each in memory, and leaves them as runs of sealed blocks.
 */
#ifndef DEMO_RUNS_H
#define DEMO_RUNS_H

#include "blocks.h"
#include "crew.h"

/* What one thread has in regions at most while it makes a run of so many bytes, besides the run's blocks. */
#define RUN_BYTES_IN_USE(run_bytes) ((run_bytes) + (run_bytes) / 2)

/*
 * Makes runs of `run_words` from the first `count` words of a file, the last one shorter, with so many threads. A run is
 * sorted in two halves, so `run_words` is even. `runs`: room for all of them, empty. Returns 0 or an errno; runs that were
 * made are there in either case.
 */
int runs_make(int fd, size_t count, size_t run_words, unsigned threads, struct share *share, struct sequence *runs);

#endif
