/*
 * How much of a limit each part of the sort gets.
 */
#ifndef DEMO_LARGER_PLAN_H
#define DEMO_LARGER_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* With less there is no room for two runs, a block to write, and what is on its way. */
#define LARGER_LIMIT_LEAST ((size_t)16 << 20)

struct larger_plan {
    unsigned makers;  /* threads that make runs */
    size_t run_words; /* even */
    size_t runs;
    unsigned mergers; /* threads that merge */
    size_t fan_in;    /* runs that are merged at a time */
    size_t ahead;     /* blocks that are loaded before they are needed, per merger */
    unsigned passes;  /* in which all words are merged */
};

/* `limit`: LARGER_LIMIT_LEAST at least. */
struct larger_plan larger_plan_make(size_t words, size_t limit, unsigned threads);

#endif
