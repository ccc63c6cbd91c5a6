/*
 * Asymmetric barriers: of two sides that each store and then look at what the other has stored, one is frequent and goes
 * on without a fence, and the other, which is rare, pays for both. Where the system has nothing for that, both fence.
 */
#ifndef LG_BARRIER_H
#define LG_BARRIER_H

#include "atomic.h"
#include "hot_flags.h"

/* Whether the frequent side has to fence. */
LG_INLINE bool lg_owners_fence(void)
{
    return (lg_load_relaxed_64(&lg_hot_flags) & LG_HOT_FENCE) != 0;
}

/* The barrier of the rare side of an asymmetric pair: membarrier, or a fence where there is none, or a wait where the
 * system takes it away later. */
LG_HIDDEN void lg_heavy_barrier(void);
/* Whether that has come to be a wait of a millisecond. */
LG_HIDDEN bool lg_barrier_is_slow(void);

/* Asks the system for membarrier. Once per process. */
LG_HIDDEN void lg_barrier_init(void);
/* In a child that starts over. */
LG_HIDDEN void lg_barrier_abandon(void);

#endif
