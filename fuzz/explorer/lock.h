/* The blocking parts of lock.c for the schedule explorer. Who holds a lock is kept in its mutex's memory. */
#include "explore.h"

static uint32_t *xp_lock_word(lg_lock *lock)
{
    return (uint32_t *)(void *)&lock->mutex; /* all zero when it is free, as initialised */
}

static void block(lg_lock *lock)
{
    xp_lock(xp_lock_word(lock));
}

static void unblock(lg_lock *lock)
{
    xp_unlock(xp_lock_word(lock));
}

static void wait(lg_lock *lock, pthread_cond_t *cond, const struct timespec *deadline)
{
    (void)cond;
    (void)deadline;
    unblock(lock);
    xp_pause();
    block(lock);
}
