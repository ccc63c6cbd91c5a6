/*
 * A work-stealing deque of words with a fixed ring, after D. Chase and Y. Lev, "Dynamic Circular Work-Stealing
 * Deque", SPAA 2005. The owner pushes and pops at the bottom; thieves take runs of items from the top.
 *
 * Two things differ from the paper, since pops are thousands of times more frequent than steals.
 *
 * First, the owner runs no fence, and no compare-and-swap for the last item either. The race is for the last items: the
 * owner announces a pop by storing bottom, then looks at top; a thief announces a steal by locking top, then looks at
 * bottom. If both looked past the other's store, both would take the item. So each needs a full barrier between its
 * own two steps:
 *
 *   owner   bottom := b          | barrier |   t := top         takes item b if t <= b, else puts bottom back
 *   thief   top := t, locked     | barrier |   b := bottom      takes items from t on, below b, then unlocks
 *
 * The thief pays for both by membarrier, which puts a barrier into every running thread of the process: either
 * it comes after the owner's store of bottom, then the thief sees that; or before, then the owner's look at top
 * comes after it too, and sees the lock. The owner needs only to keep the compiler from swapping its two
 * steps. Where the system has no membarrier, LG_HOT_FENCE makes both sides use fences.
 *
 * Second, a thief locks the top, by setting LG_TOP_LOCKED in it, so that one membarrier serves for a run of items. To
 * the owner a locked top looks like one above any bottom: its pops find nothing for that moment and it looks
 * elsewhere; its pushes go on. Other thieves go elsewhere too; only a flush of the cache waits.
 *
 * `top` without its lock only grows; `bottom` goes up and down, and ends no operation below `top`. Neither is
 * ever reset, so a late thief can do no harm.
 */
#ifndef LG_DEQUE_H
#define LG_DEQUE_H

#include "../base/atomic.h"

#define LG_DEQUE_ITEMS 1024 /* the ring; a power of two */

typedef struct lg_deque {
    lg_a64 top; /* written by the thief that has locked it, which takes a compare-and-swap */
    char other_line[LG_CACHE_LINE - sizeof(lg_a64)];
    /* The owner's line; what follows the struct may be the owner's too. */
    lg_a64 bottom; /* written by the owner alone */
    /* The owner may push while bottom is below this: top, as it was some time ago, plus the capacity. So a push
     * looks neither at top nor at the capacity. Written by the owner, and set to 0 by whoever changes the
     * capacity; see lg_deque_make_space(). */
    lg_a64 space;
    lg_a64 *ring; /* const once set: LG_DEQUE_ITEMS slots */
} lg_deque;

/* Above any index, also as a signed number. */
#define LG_TOP_LOCKED ((uint64_t)1 << 62)

/* The number of items, as the owner knows it, or as anybody else may guess it. */
LG_INLINE uint64_t lg_deque_count(const lg_deque *deque)
{
    uint64_t top = lg_load_relaxed_64(&deque->top) & ~LG_TOP_LOCKED;
    int64_t count = (int64_t)(lg_load_relaxed_64(&deque->bottom) - top);
    return count > 0 ? (uint64_t)count : 0;
}

/* Owner only. False, and nothing done, if there is no space, as far as it is known. */
LG_INLINE bool lg_deque_push(lg_deque *deque, uint64_t item)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
    /* An old top makes the deque look fuller than it is, never emptier, so no item is overwritten. */
    if (LG_UNLIKELY(bottom >= lg_load_relaxed_64(&deque->space)))
        return false;
    lg_store_relaxed_64(&deque->ring[bottom % LG_DEQUE_ITEMS], item);
    /* Release: a thief that sees the new bottom sees the item, the region's state and what its last user
     * wrote. Partner: the acquire of bottom in lg_deque_take(). */
    lg_store_release_64(&deque->bottom, bottom + 1);
    return true;
}

/* Owner only. Finds out whether there is space for one more, below `most` and `capacity` (at most LG_DEQUE_ITEMS), which
 * is written by another thread, who stores it and then 0 into space. Both do so in sequential consistency: either the
 * capacity read after the store here is the new one, or the 0 comes after this store and stays. Otherwise a
 * cache could stay at an old size for good. */
LG_INLINE bool lg_deque_make_space(lg_deque *deque, const lg_a64 *capacity, uint64_t most)
{
    uint64_t items = lg_load_relaxed_64(capacity); /* a guess, which is checked below */
    for (;;) {
        /* Acquire: thieves have read the slots below top. Partner: the release of top in lg_deque_take(). No model and no
         * machine writes to a slot before it knows that there is space; C11's text would let it. */
        uint64_t top = lg_load_acquire_64(&deque->top) & ~LG_TOP_LOCKED;
        uint64_t space = top + lg_min(items, most);
        if (lg_load_relaxed_64(&deque->space) == space) /* as mostly: full, and nothing was stolen */
            return lg_load_relaxed_64(&deque->bottom) < space;
        lg_store_seq_cst_64(&deque->space, space);
        uint64_t now = lg_load_seq_cst_64(capacity);
        if (now == items)
            return lg_load_relaxed_64(&deque->bottom) < space;
        items = now;
    }
}

/* Owner only. `fence`: LG_HOT_FENCE is set. False, and nothing done, if there is no item, or a thief is at work. */
LG_INLINE bool lg_deque_pop(lg_deque *deque, bool fence, uint64_t *out_item)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom) - 1;
    /* Release, as in push: a thief may acquire through this store instead of the push's. */
    lg_store_release_64(&deque->bottom, bottom);
    if (fence)
        lg_fence_seq_cst(); /* Partner: a thief's lg_heavy_barrier() */
    else
        lg_fence_compiler(); /* Partner: a thief's lg_heavy_barrier() */
    /* Signed: the bottom of an empty deque goes below its top for a moment. */
    if (LG_UNLIKELY((int64_t)lg_load_relaxed_64(&deque->top) > (int64_t)bottom)) {
        /* Read again, since keeping it would cost the usual case a register. */
        lg_store_release_64(&deque->bottom, lg_load_relaxed_64(&deque->bottom) + 1);
        return false;
    }
    *out_item = lg_load_relaxed_64(&deque->ring[bottom % LG_DEQUE_ITEMS]);
    return true;
}

/* Owner only: a slot that is not published, or not any more: those above `bottom`. */
LG_INLINE lg_a64 *lg_deque_slot(lg_deque *deque, uint64_t index)
{
    return &deque->ring[index % LG_DEQUE_ITEMS];
}

/* Owner only. Publishes `n` items that were written to the slots from bottom on; there is space for them. */
LG_INLINE void lg_deque_push_run(lg_deque *deque, uint64_t n)
{
    lg_store_release_64(&deque->bottom, lg_load_relaxed_64(&deque->bottom) + n); /* as in lg_deque_push() */
}

/* Owner only. Pops `n` items at once, which are then in the slots from bottom on until the next push. False, and
 * nothing done, if there may be fewer. The argument is that of lg_deque_pop() for the lowest of them: no thief gets to
 * the ones above before that one. */
LG_INLINE bool lg_deque_pop_run(lg_deque *deque, bool fence, uint64_t n)
{
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom) - n;
    lg_store_release_64(&deque->bottom, bottom);
    if (fence)
        lg_fence_seq_cst();
    else
        lg_fence_compiler();
    if ((int64_t)lg_load_relaxed_64(&deque->top) <= (int64_t)bottom)
        return true;
    lg_store_release_64(&deque->bottom, bottom + n);
    return false;
}

/* Any thread, the first of a thief's two steps: locks the top. False if there is nothing, or another thief is at
 * work. */
LG_INLINE bool lg_deque_lock(lg_deque *deque, uint64_t *out_top)
{
    uint64_t top = lg_load_relaxed_64(&deque->top);
    /* A guess, but it saves a system call for every idle thread. */
    if ((top & LG_TOP_LOCKED) != 0 || lg_deque_count(deque) == 0)
        return false;
    *out_top = top;
    /* Relaxed: what is taken comes by bottom, and the barrier that follows orders the rest. */
    return lg_cas_relaxed_64(&deque->top, &top, top | LG_TOP_LOCKED);
}

/* The second, after lg_deque_lock() and a barrier in all threads: takes items from the top, at most `most` and at most
 * half of what is there, rounded up; all with `all`; and unlocks. Returns how many it wrote to `out_items`. */
LG_INLINE uint64_t lg_deque_take(lg_deque *deque, uint64_t top, uint64_t most, bool all, uint64_t *out_items)
{
    /* Acquire: the items, and what they stand for. Partner: the releases of bottom. */
    int64_t count = (int64_t)(lg_load_acquire_64(&deque->bottom) - top);
    uint64_t n = count <= 0 ? 0 : all ? (uint64_t)count : ((uint64_t)count + 1) / 2;
    if (n > most)
        n = most;
    for (uint64_t i = 0; i < n; i++)
        out_items[i] = lg_load_relaxed_64(&deque->ring[(top + i) % LG_DEQUE_ITEMS]);
    /* Release: the slots were read. Partner: the acquire of top in lg_deque_make_space(). Without it the owner
     * could overwrite a slot that is still to be read. */
    lg_store_release_64(&deque->top, top + n);
    return n;
}

/* Both, with `barrier` in between. */
LG_INLINE uint64_t lg_deque_steal(lg_deque *deque, void (*barrier)(void), uint64_t most, bool all, uint64_t *out_items)
{
    uint64_t top;
    if (!lg_deque_lock(deque, &top))
        return 0;
    barrier(); /* Partner: the fence in lg_deque_pop() */
    return lg_deque_take(deque, top, most, all, out_items);
}

#endif
