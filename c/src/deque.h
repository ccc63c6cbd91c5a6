/*
 * A work-stealing deque of region indices with a fixed ring: D. Chase and Y. Lev, "Dynamic Circular
 * Work-Stealing Deque", SPAA 2005; orders as in N. M. Lê et al., "Correct and Efficient Work-Stealing for
 * Weak Memory Models", PPoPP 2013, with the owner's fence paid by the thief.
 *
 * The owner pushes and pops at the bottom, thieves take single items from the top. `top` only grows;
 * `bottom` goes up and down, but never below `top`. Neither is ever reset, so a late thief can do no harm.
 *
 * The one race is for the last item. The owner announces its pop by storing bottom, then looks at top; a
 * thief looks at top, then at bottom, then moves top by compare-and-swap. If both looked past the other's
 * store, both would take the item. So each needs a full barrier between its own two steps:
 *
 *   owner   bottom := b        | barrier |   t := top      takes item b freely if t < b, else competes for it
 *   thief   t := top           | barrier |   b := bottom   competes for item t if t < b
 *
 * Pops are thousands of times more frequent than thefts. Therefore the thief runs membarrier, which puts a
 * barrier into every running thread of the process: either it comes after the owner's store, then the thief
 * sees it; or before, then the owner's look at top comes after it too, and sees the top that the thief has
 * seen. The owner needs only to keep the compiler from swapping its two steps. Where the system has no
 * membarrier, LG_HOT_FENCE makes both sides use fences.
 */
#ifndef LG_DEQUE_H
#define LG_DEQUE_H

#include "atomic.h"

#define LG_DEQUE_ITEMS 1024 /* the ring; a power of two */

typedef struct lg_deque {
    lg_a64 top; /* thieves and owner, by compare-and-swap */
    char other_line[LG_CACHE_LINE - sizeof(lg_a64)];
    lg_a64 bottom; /* written by the owner alone; what follows on this line may be the owner's too */
} lg_deque;

/* The number of items, as the owner knows it, or as anybody else may guess it. */
LG_INLINE uint64_t lg_deque_count(const lg_deque *deque)
{
    uint64_t top = lg_load_relaxed_64(&deque->top);
    int64_t count = (int64_t)(lg_load_relaxed_64(&deque->bottom) - top);
    return count > 0 ? (uint64_t)count : 0;
}

/* Owner only. False, and nothing done, if `capacity` items (at most LG_DEQUE_ITEMS) are there. */
LG_INLINE bool lg_deque_push(lg_deque *deque, lg_a32 *ring, uint32_t item, uint32_t capacity)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
    /* An old top makes the deque look fuller than it is, never emptier. A thief that still reads the slot that
     * is overwritten here fails to move top, since top has passed it. */
    uint64_t top = lg_load_relaxed_64(&deque->top);
    if (LG_UNLIKELY(bottom - top >= capacity))
        return false;
    lg_store_relaxed_32(&ring[bottom % LG_DEQUE_ITEMS], item);
    /* Release: a thief that sees the new bottom sees the item, the region's state and what its last user
     * wrote. Partner: the acquire of bottom in lg_deque_steal(). */
    lg_store_release_64(&deque->bottom, bottom + 1);
    return true;
}

/* Owner only. `fence`: LG_HOT_FENCE is set. False if there is no item. */
LG_INLINE bool lg_deque_pop(lg_deque *deque, lg_a32 *ring, bool fence, uint32_t *out_item)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
    uint64_t top = lg_load_relaxed_64(&deque->top);
    if (LG_UNLIKELY(bottom == top))
        return false; /* top can only have grown up to bottom: it is empty for certain */
    bottom--;
    /* Release, as in push: a thief may acquire through this store instead of the push's. */
    lg_store_release_64(&deque->bottom, bottom);
    if (fence)
        lg_fence_seq_cst(); /* Partner: the fence in lg_deque_steal() */
    else
        lg_fence_compiler(); /* Partner: the membarrier in lg_deque_steal() */
    top = lg_load_relaxed_64(&deque->top);
    if (LG_LIKELY(top < bottom)) {
        *out_item = lg_load_relaxed_32(&ring[bottom % LG_DEQUE_ITEMS]);
        return true;
    }
    /* At most one item is left: compete for it like a thief. Without this a thief that had looked before the
     * store above would take it as well. */
    bool won = false;
    if (top == bottom) {
        *out_item = lg_load_relaxed_32(&ring[bottom % LG_DEQUE_ITEMS]);
        won = lg_cas_seq_cst_64(&deque->top, &top, top + 1);
    }
    lg_store_release_64(&deque->bottom, bottom + 1);
    return won;
}

enum lg_theft {
    LG_THEFT_EMPTY, /* nothing there */
    LG_THEFT_LOST,  /* somebody else took it; there may be more */
    LG_THEFT_DONE
};

/* Any thread. `barrier` makes the barrier between the two looks: membarrier, or a fence with LG_HOT_FENCE. */
LG_INLINE enum lg_theft lg_deque_steal(lg_deque *deque, const lg_a32 *ring, void (*barrier)(void),
                                       uint32_t *out_item)
{
    if (lg_deque_count(deque) == 0)
        return LG_THEFT_EMPTY; /* a guess, but it saves a system call for every idle thread */
    uint64_t top = lg_load_acquire_64(&deque->top);
    barrier(); /* Partner: the fence in lg_deque_pop() */
    uint64_t bottom = lg_load_acquire_64(&deque->bottom); /* Partner: the releases of bottom */
    if ((int64_t)(bottom - top) <= 0)
        return LG_THEFT_EMPTY;
    *out_item = lg_load_relaxed_32(&ring[top % LG_DEQUE_ITEMS]);
    return lg_cas_seq_cst_64(&deque->top, &top, top + 1) ? LG_THEFT_DONE : LG_THEFT_LOST;
}

#endif
