/* Logical threads: who can run, and who goes on. */
#ifndef FUZZ_EXPLORER_SCHEDULE_H
#define FUZZ_EXPLORER_SCHEDULE_H

#include "explore.h"

/* A point where others may go first, before an access to `at`. */
void point_before(const void *at);
/* Waits until a lock's word is 0. */
void schedule_await(const uint32_t *lock);
/* A thread never goes on. */
void schedule_vanish(unsigned id);

/* Asked when no thread can go on, of each: whether something has come of what it did. Nothing stays in a store buffer for
 * ever. */
extern bool (*schedule_when_stuck)(unsigned thread);

/* An execution begins: the main thread runs, and sets up. */
void schedule_begin(void);
/* Runs the program's threads to their end; `again`: within an execution that has failed. */
void schedule_run(bool again);
uint64_t schedule_steps(void);

#endif
