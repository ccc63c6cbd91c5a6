/*
 * The shared pools of each size class, dirty and clean, and the account of bytes in use or dirty.
 *
 * Charged bytes are those of regions in use, in thread caches and in dirty pools. Claiming from a dirty pool
 * and giving back to it change nothing, so the hot path touches no shared counter. A region is charged
 * before it is claimed from a clean pool, and discharged after it was cleared: the charge is never less than
 * what it stands for, and limit_bytes bounds it under any interleaving.
 *
 * How many regions a pool holds is counted by those who give and claim, each in its own record: what it has given
 * less what it has claimed. The sum is the count, exact whenever nobody moves.
 */
#ifndef LG_POOL_H
#define LG_POOL_H

#include "../base/atomic.h"
#include "bitmap.h"
#include "class.h"
#include "descriptor.h"
#include "size_class.h"
#include "thread.h"

/* Charges the bytes, unless that would exceed limit_bytes. */
LG_HIDDEN LG_MUST_USE bool lg_charge(uint64_t bytes);
LG_HIDDEN void lg_discharge(uint64_t bytes);
/* By how much the charge is above limit_bytes. */
LG_HIDDEN uint64_t lg_charged_beyond_limit(void);
/* Whether so much could ever be charged. */
LG_HIDDEN bool lg_charge_possible(uint64_t bytes);
LG_HIDDEN uint64_t lg_charged(void);
/* In the child of a fork, where what the parent holds no longer counts. */
LG_HIDDEN void lg_charge_reset(uint64_t bytes);

/* After lg_arena_init(). */
LG_HIDDEN void lg_pools_init(void);
/* In a child that starts over: they are empty, and nothing is charged. */
LG_HIDDEN void lg_pools_abandon(void);
/* In all of these `self` is the calling thread's record or NULL. Claims up to `most` (at least 1) regions. Clean ones
 * must have been charged before. `scan`: finds what is there all the time, also while other threads give and claim. */
LG_HIDDEN lg_batch lg_pool_claim(lg_thread *self, lg_class *cls, enum lg_pool pool, unsigned most, bool scan);
/* Notes that the caller has given `n` regions, or claimed -n, by the bitmap itself. */
LG_INLINE void lg_pool_note(lg_thread *self, lg_class *cls, enum lg_pool pool, uint64_t n)
{
    if (self != NULL) {
        lg_thread_use(self, cls);
        lg_counter_add(&lg_local_of(self, cls)->pooled[pool], n);
    } else {
        lg_add_relaxed_64(&cls->pooled[pool], n);
    }
}

/* Claims those of the batch that are there. */
LG_HIDDEN lg_batch lg_pool_claim_mask(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch);
/* The caller's regions go into the pool; their states say which. Dies if one is there already. */
LG_HIDDEN void lg_pool_give(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch);
/* The same where it is known how many there are. */
LG_HIDDEN void lg_pool_give_counted(lg_thread *self, lg_class *cls, enum lg_pool pool, lg_batch batch, uint64_t count);

/* A charged free region goes to the pool that its state names; a clean one is discharged. */
LG_HIDDEN void lg_pool_return(lg_thread *self, lg_class *cls, const lg_descriptor *region);

/* How many regions the dirty pools hold, or the clean ones, by class. */
LG_HIDDEN void lg_pools_count(enum lg_pool pool, uint64_t out_counts[LG_CLASS_COUNT]);
/* Whether it looks empty, without counting. */
LG_HIDDEN bool lg_pool_is_empty(const lg_class *cls, enum lg_pool pool);
/* Bytes in all dirty pools. */
LG_HIDDEN uint64_t lg_pool_dirty_bytes(void);

#endif
