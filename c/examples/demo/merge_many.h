/*
 * Merges many runs at a time, of blocks that need not be in memory.
 */
#ifndef DEMO_MERGE_MANY_H
#define DEMO_MERGE_MANY_H

#include "blocks.h"
#include "crew.h"

/*
 * Merges `count` runs, at least one, into one. Each of `threads` does what lies between two words, with a block of each run
 * pinned, and has the `ahead` blocks loaded that it needs next. Blocks are freed as soon as they are read; all runs are
 * empty afterwards. Returns 0 or an errno, and then `out_run` is empty too.
 */
int merge_many(struct sequence *runs, size_t count, unsigned threads, size_t ahead, struct share *share,
               struct sequence *out_run);

#endif
