#include "barrier.h"

#include "atomic.h"
#include "os.h"

/* 1 once membarrier was refused although it had been granted: a sandbox that came later. */
static lg_a32 refused;

void lg_barrier_init(void)
{
#if LG_TSAN
    /* ThreadSanitizer's view of the program has no membarrier; give it fences, which it can check. */
    bool works = false;
#else
    bool works = lg_os_membarrier_register() == 0;
#endif
    if (!works)
        lg_hot_set(LG_HOT_FENCE, true);
}

/*
 * Owners don't fence then, and can't be told to: one that has read the flags may store and look at any later time. What
 * is left is the time that a store takes. Whoever calls this has stored something (a locked top, movers quiesced) and
 * looks, after the barrier, for what the other side stored before that side looked. If the other side's look came
 * before our store, its own store, which comes before that look in its program, is at most a store buffer behind:
 * microseconds, and less where it is preempted in between, since that drains the buffer. If its look comes later, it
 * sees our store. So waiting for a thousand times as long is as good as a barrier, and only slow. (A. Morrison and
 * Y. Afek, "Temporally Bounding TSO for Fence-Free Asymmetric Synchronization", ASPLOS 2015, has the model.)
 */
static LG_COLD void wait_in_place_of_barrier(void)
{
    lg_store_relaxed_32(&refused, 1);
    lg_fence_seq_cst();
    lg_os_wait_for_stores();
    lg_fence_seq_cst();
}

void lg_heavy_barrier(void)
{
    if (lg_owners_fence())
        lg_fence_seq_cst();
    else if (lg_load_relaxed_32(&refused) != 0 || lg_os_membarrier() != 0)
        wait_in_place_of_barrier();
}

bool lg_barrier_is_slow(void)
{
    return lg_load_relaxed_32(&refused) != 0;
}

void lg_barrier_abandon(void)
{
    lg_store_relaxed_32(&refused, 0);
}
