#include "lock.h"

#include "atomic.h"
#include "die.h"

#if LG_DEBUG
static LG_THREAD_LOCAL uint64_t held_ranks; /* one bit per rank */
#endif

LG_THREAD_LOCAL bool lg_forking;

/* Locks that this thread holds or is about to. A handler of a signal may come in between any two instructions, on the
 * same processor: keeping the compiler from moving the changes is enough. */
static LG_THREAD_LOCAL unsigned inside;

bool lg_lock_inside(void)
{
    return inside != 0;
}

void lg_lock_abandon(void)
{
    inside = 0;
#if LG_DEBUG
    held_ranks = 0;
#endif
}

void lg_lock_init(lg_lock *lock, uint32_t rank)
{
    LG_ASSERT(rank < LG_RANK_COUNT);
    pthread_mutex_init(&lock->mutex, NULL);
    lock->rank = rank;
}

/* The rank must be above all that this thread holds. */
static void note_acquire(const lg_lock *lock)
{
#if LG_DEBUG
    LG_ASSERT(held_ranks >> lock->rank == 0);
    held_ranks |= (uint64_t)1 << lock->rank;
#else
    (void)lock;
#endif
}

static void note_release(const lg_lock *lock)
{
#if LG_DEBUG
    LG_ASSERT((held_ranks >> lock->rank & 1) != 0);
    held_ranks &= ~((uint64_t)1 << lock->rank);
#else
    (void)lock;
#endif
}

bool lg_lock_held(uint32_t rank)
{
#if LG_DEBUG
    return lg_forking || (held_ranks >> rank & 1) != 0;
#else
    (void)rank;
    return true;
#endif
}

#ifdef LG_EXPLORE

#include "explorer/lock.h" /* from fuzz/: the blocking parts, as points of the schedule */

#else

static void block(lg_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

static void unblock(lg_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}

static void wait(lg_lock *lock, pthread_cond_t *cond, const struct timespec *deadline)
{
    pthread_cond_timedwait(cond, &lock->mutex, deadline);
}

#endif

void lg_lock_acquire(lg_lock *lock)
{
    if (LG_UNLIKELY(lg_forking))
        return;
    inside++;
    lg_fence_compiler();
    note_acquire(lock);
    block(lock);
}

void lg_lock_release(lg_lock *lock)
{
    if (LG_UNLIKELY(lg_forking))
        return;
    note_release(lock);
    unblock(lock);
    lg_fence_compiler();
    inside--;
}

void lg_lock_wait(lg_lock *lock, pthread_cond_t *cond, const struct timespec *deadline)
{
    wait(lock, cond, deadline);
}
