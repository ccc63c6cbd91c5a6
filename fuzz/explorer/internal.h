/* What the explorer's two halves, schedule and memory, know of each other. */
#ifndef FUZZ_EXPLORE_INTERNAL_H
#define FUZZ_EXPLORE_INTERNAL_H

#include "explore.h"

/* ---- explore_schedule.c */

enum decision {
    DECIDE_PREEMPT, /* 0: the running thread goes on; i: the i-th of the others that can run */
    DECIDE_NEXT,    /* the running thread can't go on: the i-th of those that can */
    DECIDE_LATE     /* 0: all pending stores to an address become visible to a reader; i: the last i don't */
};

/* One of [0, n). */
unsigned decide(enum decision kind, unsigned n);
/* A point where others may go first, before an access to `at`. */
void point_before(const void *at);
/* Something has changed that a waiting thread may wait for. */
void note_progress(void);
unsigned running_thread(void);
enum xp_memory memory_model(void);
/* A line of the trace, if there is one. */
void trace_line(const char *what, const void *at, uint64_t value, bool has_value);

/* Notes an access, for finding out what is shared. */
void note_access(const void *at, bool writes);

/* ---- explore_shared.c: which addresses are points in a walk */

void shared_forget(void);
void shared_next_execution(void);
void shared_note(const void *at, bool writes, unsigned thread);
bool shared_is(const void *at);
bool shared_has_grown(void); /* in this execution */
unsigned shared_count(void);

/* ---- explore_weak.c: what explore_memory.c does with XP_WEAK, by a logical thread after its point */

void weak_reset(void);
uint64_t weak_load(const void *at, unsigned size, enum xp_order order);
void weak_store(void *at, unsigned size, uint64_t value, enum xp_order order);
/* Read-modify-writes read the newest value: returns it. */
uint64_t weak_modify(void *at, unsigned size, uint64_t after, enum xp_order order);
/* Whether a compare-and-swap reads something else than it expects, which may be old. */
bool weak_compare_fails(void *at, unsigned size, uint64_t expected, uint64_t *out_found);
void weak_fence(void);
void weak_membarrier(void);
void weak_lock(const uint32_t *word, bool acquire);
/* The running thread knows of all that was done. */
void weak_know_all(void);
/* Whether somebody has read an old value since this was last asked. */
bool weak_refresh(void);
/* A step of the running thread; whether another knows of one. */
uint32_t weak_step(void);
bool weak_knows(unsigned reader, unsigned thread, uint32_t event);

/* ---- explore_memory.c */

uint64_t memory_read(const void *at, unsigned size);
void memory_write(void *at, unsigned size, uint64_t value);
/* A lock is taken or released, by a logical thread. */
void memory_lock(const uint32_t *word, bool acquire);
/* The others have vanished. */
void memory_know_all(void);

void memory_reset(void);
/* Makes all stores of a thread visible; whether there were any. */
bool drain(unsigned thread);

#endif
