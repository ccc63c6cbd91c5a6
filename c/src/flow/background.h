/*
 * Threads of the library's own: started and stopped by orders, woken when there is something to do, gone in the child of a
 * fork, and started again there at the first need. What such a thread does is its owner's; see worker.c.
 */
#ifndef LG_BACKGROUND_H
#define LG_BACKGROUND_H

#include "../base/atomic.h"
#include "../base/lock.h"

typedef struct lg_background {
    /* Const. */
    const char *name; /* at most 15 characters */
    lg_lock *lock;    /* of its orders; protects what is below */
    void (*run)(
        struct lg_background *self); /* all that it does, with the lock held at both ends, until it is to stop */
    bool wanted;                     /* it is to run, now or when the child of a fork needs it */
    bool running;                    /* it is there, perhaps no more for long */
    bool stopping;                   /* it is to end */
    bool orders_ready;               /* the condition variable has its clock */
    pthread_cond_t orders;
    pthread_t thread;
    lg_a32 vanished; /* 1 in the child of a fork until it was started again */
} lg_background;

#define LG_BACKGROUND_INIT(name_, lock_, run_)          \
    {                                                   \
        .name = (name_), .lock = (lock_), .run = (run_) \
    }

/* Starts it, if it isn't there. Under its lock. Returns 0 or an errno. */
LG_HIDDEN int lg_background_start(lg_background *self);
/* Stops it, and waits until it has ended. Without its lock; one thread at a time starts and stops. */
LG_HIDDEN void lg_background_stop(lg_background *self);
/* Under its lock: it has something to do. */
LG_HIDDEN void lg_background_wake(lg_background *self);
/* For `run`: waits until it is woken, or until a time on CLOCK_MONOTONIC; NULL: until it is woken. It may return early. */
LG_HIDDEN void lg_background_wait(lg_background *self, const struct timespec *deadline);

/* Whether a time on CLOCK_MONOTONIC has come. */
LG_HIDDEN bool lg_background_is_due(const struct timespec *time);

LG_HIDDEN LG_COLD void lg_background_start_again(lg_background *self);
/* Starts it again in the child of a fork, if it ran in the parent. If that fails, the next call tries again. */
LG_INLINE void lg_background_wake_after_fork(lg_background *self)
{
    if (LG_UNLIKELY(lg_load_relaxed_32(&self->vanished) != 0))
        lg_background_start_again(self);
}

/* In the child of a fork, with its lock still held. */
LG_HIDDEN void lg_background_forked(lg_background *self);

#endif
