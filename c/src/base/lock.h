/*
 * Mutexes with ranks. A thread takes locks in ascending order of rank only; debug builds check it, and
 * fork takes all of them in that order.
 */
#ifndef LG_LOCK_H
#define LG_LOCK_H

#include "base.h" /* first: it asks libc for its GNU interfaces */

#include <pthread.h>

enum lg_rank {
    LG_RANK_INIT = 0,    /* making the reservation */
    LG_RANK_CONFIG = 1,  /* applying a configuration, starting and stopping the worker */
    LG_RANK_WORKER = 2,  /* the worker's orders and its condition variable */
    LG_RANK_IO = 3,      /* flow/io.c: what the threads for sealed regions are to do */
    LG_RANK_QUIESCE = 4, /* transit.c: quiescing all movers */
    LG_RANK_ARENA = 5,   /* chunks: what they are, backing them, changing their class */
    LG_RANK_SPILL = 6,   /* spill.c: which places are taken, and in which files */
    LG_RANK_PATH = 7,    /* the configured directory's name */
    LG_RANK_METADATA,    /* which pages of the metadata are writable */
    LG_RANK_SEAL,        /* those who wait for a sealed region's input or output */
    LG_RANK_COUNT
};

typedef struct lg_lock {
    pthread_mutex_t mutex;
    uint32_t rank;
} lg_lock;

#define LG_LOCK_INIT(rank_)                \
    {                                      \
        PTHREAD_MUTEX_INITIALIZER, (rank_) \
    }

/* Also of a lock that a thread which is gone has left in any state. */
LG_HIDDEN void lg_lock_init(lg_lock *lock, uint32_t rank);
LG_HIDDEN void lg_lock_acquire(lg_lock *lock);
LG_HIDDEN void lg_lock_release(lg_lock *lock);
/* Waits on `cond`, with the lock held, until signalled or until the absolute time on CLOCK_MONOTONIC. */
LG_HIDDEN void lg_lock_wait(lg_lock *lock, pthread_cond_t *cond, const struct timespec *deadline);
/* Whether the calling thread holds a lock of this rank; always true in release builds. */
LG_HIDDEN bool lg_lock_held(uint32_t rank);

/* The calling thread is forking: it holds all locks, and what the fork handlers of others have it allocate and free
 * takes none. Written by fork.c. */
extern LG_HIDDEN LG_THREAD_LOCAL bool lg_forking;

/* Whether the calling thread holds a lock, takes one or gives one back: asked by a signal handler that forks. */
LG_HIDDEN bool lg_lock_inside(void);
/* In a child that starts over, whose locks are initialised again: the calling thread holds none. */
LG_HIDDEN void lg_lock_abandon(void);

#endif
