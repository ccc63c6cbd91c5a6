/*
 * A work-stealing deque of words with a fixed ring: D. Chase and Y. Lev, "Dynamic Circular
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
 *   owner   bottom := b        | barrier |   t := top      takes item b freely if t < b, else puts bottom back
 *                                                          and competes for the item at top like a thief
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
    /* The owner's line; what follows the struct may be the owner's too. */
    lg_a64 bottom; /* written by the owner alone */
    /* The owner may push while bottom is below this: top, as it was some time ago, plus the capacity. So a push
     * looks neither at top nor at the capacity. Written by the owner, and set to 0 by whoever changes the
     * capacity; see lg_deque_make_room(). */
    lg_a64 room;
    lg_a64 *ring; /* const once set: LG_DEQUE_ITEMS slots */
} lg_deque;

/* The number of items, as the owner knows it, or as anybody else may guess it. */
LG_INLINE uint64_t lg_deque_count(const lg_deque *deque)
{
    uint64_t top = lg_load_relaxed_64(&deque->top);
    int64_t count = (int64_t)(lg_load_relaxed_64(&deque->bottom) - top);
    return count > 0 ? (uint64_t)count : 0;
}

/* Owner only. False, and nothing done, if there is no room, as far as it is known. */
LG_INLINE bool lg_deque_push(lg_deque *deque, uint64_t item)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
    /* An old top makes the deque look fuller than it is, never emptier. A thief that still reads the slot that
     * is overwritten here fails to move top, since top has passed it. */
    if (LG_UNLIKELY(bottom >= lg_load_relaxed_64(&deque->room)))
        return false;
    lg_store_relaxed_64(&deque->ring[bottom % LG_DEQUE_ITEMS], item);
    /* Release: a thief that sees the new bottom sees the item, the region's state and what its last user
     * wrote. Partner: the acquire of bottom in lg_deque_steal(). */
    lg_store_release_64(&deque->bottom, bottom + 1);
    return true;
}

/* Owner only. Finds out whether there is room for one more, where `capacity` (at most LG_DEQUE_ITEMS) is written
 * by another thread, who stores it and then 0 into room. Both do so in sequential consistency: either the
 * capacity read after the store here is the new one, or the 0 comes after this store and stays. Otherwise a
 * cache could stay at an old size for good. */
LG_INLINE bool lg_deque_make_room(lg_deque *deque, const lg_a64 *capacity)
{
    uint64_t items = lg_load_seq_cst_64(capacity);
    for (;;) {
        uint64_t top = lg_load_relaxed_64(&deque->top);
        lg_store_seq_cst_64(&deque->room, top + items);
        uint64_t now = lg_load_seq_cst_64(capacity);
        if (now == items)
            return lg_load_relaxed_64(&deque->bottom) < top + items;
        items = now;
    }
}

/* Owner only: a pop where there is more than one item. `fence`: LG_HOT_FENCE is set. False, and nothing done, if
 * there may be fewer; lg_deque_pop() knows better. */
LG_INLINE bool lg_deque_pop_of_many(lg_deque *deque, bool fence, uint64_t *out_item)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom) - 1;
    /* Release, as in push: a thief may acquire through this store instead of the push's. */
    lg_store_release_64(&deque->bottom, bottom);
    if (fence)
        lg_fence_seq_cst(); /* Partner: the fence in lg_deque_steal() */
    else
        lg_fence_compiler(); /* Partner: the membarrier in lg_deque_steal() */
    /* Signed: the bottom of an empty deque goes below its top for a moment. */
    if (LG_UNLIKELY((int64_t)lg_load_relaxed_64(&deque->top) >= (int64_t)bottom)) {
        /* Read again, since keeping it would cost the usual case a register. */
        lg_store_release_64(&deque->bottom, lg_load_relaxed_64(&deque->bottom) + 1);
        return false;
    }
    *out_item = lg_load_relaxed_64(&deque->ring[bottom % LG_DEQUE_ITEMS]);
    return true;
}

/* Owner only. False if there is no item. */
LG_INLINE bool lg_deque_pop(lg_deque *deque, bool fence, uint64_t *out_item)
{
    if (LG_LIKELY(lg_deque_pop_of_many(deque, fence, out_item)))
        return true;
    /* At most one item: compete for it like a thief, from the top. Without the compare-and-swap a thief that has
     * looked already would take it as well. */
    uint64_t top = lg_load_relaxed_64(&deque->top);
    while (top != lg_load_relaxed_64(&deque->bottom)) {
        *out_item = lg_load_relaxed_64(&deque->ring[top % LG_DEQUE_ITEMS]);
        if (lg_cas_seq_cst_64(&deque->top, &top, top + 1))
            return true;
    }
    return false;
}

enum lg_theft {
    LG_THEFT_EMPTY, /* nothing there */
    LG_THEFT_LOST,  /* somebody else took it; there may be more */
    LG_THEFT_DONE
};

/* Any thread. `barrier` makes the barrier between the two looks: membarrier, or a fence with LG_HOT_FENCE. */
LG_INLINE enum lg_theft lg_deque_steal(lg_deque *deque, void (*barrier)(void), uint64_t *out_item)
{
    if (lg_deque_count(deque) == 0)
        return LG_THEFT_EMPTY; /* a guess, but it saves a system call for every idle thread */
    uint64_t top = lg_load_acquire_64(&deque->top);
    barrier(); /* Partner: the fence in lg_deque_pop() */
    uint64_t bottom = lg_load_acquire_64(&deque->bottom); /* Partner: the releases of bottom */
    if ((int64_t)(bottom - top) <= 0)
        return LG_THEFT_EMPTY;
    *out_item = lg_load_relaxed_64(&deque->ring[top % LG_DEQUE_ITEMS]);
    return lg_cas_seq_cst_64(&deque->top, &top, top + 1) ? LG_THEFT_DONE : LG_THEFT_LOST;
}

#endif
