/* The blocking parts of lock.c for the schedule explorer. Who holds a lock is kept in its mutex's memory. */
#include "explore.h"

static uint32_t *xp_lock_word(lg_lock *lock)
{
    return (uint32_t *)(void *)&lock->mutex; /* all zero when it is free, as initialised */
}

void lg_lock_acquire(lg_lock *lock)
{
    note_acquire(lock);
    xp_lock(xp_lock_word(lock));
}

void lg_lock_release(lg_lock *lock)
{
    note_release(lock);
    xp_unlock(xp_lock_word(lock));
}

void lg_lock_wait(lg_lock *lock, pthread_cond_t *cond, const struct timespec *deadline)
{
    (void)cond;
    (void)deadline;
    lg_lock_release(lock);
    xp_pause();
    lg_lock_acquire(lock);
}
