/*
 * Thread records: each holds a thread's caches (a deque and counters per size class). They stand in an
 * array that is reserved once; a record is taken when a thread first allocates or frees, given back when it
 * ends, taken again by another, and never unmapped. So thieves and statistics read any record at any time
 * without a lock, and counters never go down.
 *
 * A thread has no record while it is being torn down, when there are too many threads, or when the system
 * refuses the memory. It then works on the shared pools alone, and counts in shared counters.
 */
#ifndef LG_THREAD_H
#define LG_THREAD_H

#include "counters.h"
#include "deque.h"
#include "os.h"
#include "stripe.h"

/* A thread's cache of one size class. */
typedef struct LG_CACHE_ALIGNED lg_bin {
    lg_deque deque;
    lg_counters counters; /* written by the owner */
} lg_bin;

_Static_assert(sizeof(lg_bin) == (size_t)2 * LG_CACHE_LINE, "the owner's part is one cache line");

typedef struct lg_thread {
    lg_a32 transit; /* odd while the owner moves regions; see transit.h */
    lg_a32 taken;   /* 1 while a thread owns the record; its owner's */
    lg_a64 idle_mark[LG_CLASS_COUNT]; /* the worker's: activity at its last tick */
    lg_bin bins[LG_CLASS_COUNT];
    LG_CACHE_ALIGNED lg_a32 rings[LG_CLASS_COUNT][LG_DEQUE_ITEMS];
} lg_thread;

_Static_assert(sizeof(lg_thread) <= LG_THREAD_BYTES, "a record fits its slot");

/* The calling thread's record; NULL if it has none (yet). */
extern LG_HIDDEN _Thread_local lg_thread *lg_self __attribute__((tls_model("initial-exec")));

/* Counters of threads without a record, by atomic addition. */
extern LG_HIDDEN lg_counters lg_shared_counters[LG_CLASS_COUNT];

/* After lg_stripe_init(). `at_exit` is called with the record when its thread ends. Where the system has no
 * more thread-specific keys no thread gets a record. */
LG_HIDDEN int lg_threads_init(void (*at_exit)(void *record));

/* Takes a record for the calling thread and sets lg_self; it stays NULL if there is none to be had. */
LG_HIDDEN lg_thread *lg_thread_attach(void);

/* The calling thread's caches are empty and its record goes back. With `for_good` it won't get another. */
LG_HIDDEN void lg_thread_detach(bool for_good);

/* In the child of a fork: all records but the calling thread's are free again. */
LG_HIDDEN void lg_threads_forked(void);

/* Records [0, lg_threads_high()) have been in use at some time. */
LG_HIDDEN uint32_t lg_threads_high(void);
LG_HIDDEN lg_thread *lg_thread_at(uint32_t id);

/* Takes one region from the top of another thread's (or the own) cache. */
LG_HIDDEN enum lg_theft lg_thread_steal(lg_thread *victim, unsigned class_index, uint32_t *out_region);

/* The barrier of the rare side of an asymmetric pair: membarrier, or a fence where there is none. */
LG_HIDDEN void lg_heavy_barrier(void);
/* Asks the system for membarrier, once, at init. */
LG_HIDDEN void lg_barrier_init(void);

/* Adds to a counter of the calling thread. */
#define LG_COUNT(self, class_index, name, n)                                                                 \
    ((self) != NULL ? lg_bump(&(self)->bins[class_index].counters.name, (n))                                 \
                    : (void)lg_add_relaxed_64(&lg_shared_counters[class_index].name, (n)))

#endif
