/* The three choosers: all schedules of a bound, bytes, and a printed schedule. */
#ifndef FUZZ_EXPLORER_CHOOSE_H
#define FUZZ_EXPLORER_CHOOSE_H

#include "explore.h"

enum decision {
    DECIDE_PREEMPT, /* 0: the running thread goes on; i: the i-th of the others that can run */
    DECIDE_NEXT,    /* the running thread can't go on: the i-th of those that can */
    DECIDE_LATE     /* 0: all pending stores to an address become visible to a reader; i: the last i don't */
};

/* One of [0, n). */
unsigned decide(enum decision kind, unsigned n);
/* Notes an access, for finding out what is shared. */
void note_access(const void *at, bool writes);
/* Whether a point before an access to `at` need not be one; it counts as a decision then. */
bool choose_passes_over(const void *at);

/* What the next executions are chosen by. */
void choose_by_walk(xp_bounds bounds);
void choose_by_bytes(const uint8_t *bytes, size_t count);
/* False: the text isn't a schedule, or is too long. */
bool choose_by_text(const char *text);
/* By what was chosen in the last one. */
void choose_the_same(void);

/* An execution begins. */
void choose_begin(void);
void choose_print(void);

/* After an execution of a walk: more addresses are shared than were known, so it starts over. */
bool walk_starts_over(void);
/* Whether all schedules have been; if not, goes to the next. */
bool walk_is_over(void);
void walk_next(void);

#endif
