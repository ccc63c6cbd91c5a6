/*
 * The background worker: one thread, lgalloc-0, that wakes by interval, clears dirty regions within its
 * budget, drains the caches of threads that did nothing since its last tick, and releases unused chunks.
 */
#ifndef LG_WORKER_H
#define LG_WORKER_H

#include "../base/lock.h"
#include "../regions/thread.h"

/* Starts, reconfigures or stops (interval 0) the worker. Under the config lock. Returns 0 or an errno. */
LG_HIDDEN int lg_worker_configure(uint64_t interval_ns);

/* One tick. The worker's own, and the tests'. */
LG_HIDDEN void lg_worker_tick(lg_thread *self);

/* In the child of a fork the worker is gone; it starts again at the child's first need of new memory. */
LG_HIDDEN void lg_worker_wake_after_fork(void);

extern LG_HIDDEN lg_lock lg_worker_lock; /* for fork.c */
/* In the child, with the lock still held. */
LG_HIDDEN void lg_worker_forked(void);

#endif
