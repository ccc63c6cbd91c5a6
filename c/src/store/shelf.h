/*
 * Which units of a spill file are in places, and which have disk blocks: two bits for each. A place is a run of units; up to
 * 64 of them lie within one word, more begin with a word. The lowest free run is taken, so that a file stays dense, and its
 * free end short.
 *
 * Plain data, protected by whoever has it. The bits are in reserved memory of their own that is committed as a file grows.
 */
#ifndef LG_SHELF_H
#define LG_SHELF_H

#include "../base/base.h"

#define LG_SHELF_WORD_UNITS 64

typedef struct lg_shelf {
    uint64_t *taken;                                 /* NULL: none of this is in use */
    uint64_t *blocks;                                /* has disk blocks, or is about to get them */
    uint64_t words;                                  /* of each that are committed */
    uint64_t room;                                   /* of each that are reserved */
    uint64_t taken_units, block_units, unused_units; /* bits that are set; unused: has blocks and is in no place */
    /* A run of so many units is in no word below this; at 0, more than a word's. */
    uint64_t from[LG_SHELF_WORD_UNITS + 1];
} lg_shelf;

/* Returns 0 or an errno. */
LG_HIDDEN int lg_shelf_make(lg_shelf *shelf, uint64_t most_units);
LG_HIDDEN void lg_shelf_drop(lg_shelf *shelf);

/* Takes a run of units, at least 1, whatever has blocks. ENOSPC: there is none below `most_units`. */
LG_HIDDEN int lg_shelf_take(lg_shelf *shelf, uint64_t units, uint64_t *out_at);
LG_HIDDEN void lg_shelf_give(lg_shelf *shelf, uint64_t at, uint64_t units);

/* The first run in [at, at + units), which is taken, that has no blocks: its length, 0 for none. */
LG_HIDDEN uint64_t lg_shelf_run_without(const lg_shelf *shelf, uint64_t at, uint64_t units, uint64_t *out_at);
/* How many of them have none. */
LG_HIDDEN uint64_t lg_shelf_count_without(const lg_shelf *shelf, uint64_t at, uint64_t units);
/* Notes that they have blocks, or have none any more. They are in a place. */
LG_HIDDEN void lg_shelf_set_blocks(lg_shelf *shelf, uint64_t at, uint64_t units, bool has);

/* Takes a run of at most `most` units that are in no place and have blocks, from `at` on. Its length, 0 for none. */
LG_HIDDEN uint64_t lg_shelf_take_unused(lg_shelf *shelf, uint64_t at, uint64_t most, uint64_t *out_at);

#endif
