/*
 * Exchanges between the calling thread's cache and the shared pools, many regions at a time. What is more frequent than
 * all else here but the hot path itself: taking from the dirty pool when the own cache is empty, giving to it when that
 * is full.
 */
#ifndef LG_EXCHANGE_H
#define LG_EXCHANGE_H

#include "../base/atomic.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/thread.h"

/* How many regions to exchange with the pools at once: half a cache, so that neither direction is far from
 * the next exchange. But a thread that has only gone one way since the last one (`before` is what `now` was then: its
 * count of the other way) is in a long run of it, and exchanges a whole cache but for one, with which it may turn round:
 * half as many trips. If so was its last run in this direction, so it does from the beginning of the next. */
LG_INLINE uint64_t lg_exchange_size(uint64_t capacity, uint64_t before, uint64_t now, bool was_long)
{
    return (before == now || was_long) && capacity != 0 ? capacity - 1 : capacity / 2;
}

/* Regions that the own cache has space for. It may not be empty although a pop found nothing, while a thief has it
 * locked; so this is asked before each run of pushes, which look at nothing themselves. */
LG_INLINE uint64_t lg_exchange_space(lg_thread *self, lg_class *cls)
{
    uint64_t capacity = lg_load_relaxed_64(&cls->cache_capacity);
    const lg_deque *deque = &lg_bin_of(self, cls)->deque;
    /* Acquire: thieves have read the slots below top. Partner: the release of top in lg_deque_take(). Also below a lock
     * this counts what the thief has yet to take off: it may still read those. As in lg_deque_make_space(), only C11's text
     * needs the acquire. */
    uint64_t top = lg_load_acquire_64(&deque->top) & ~LG_TOP_LOCKED;
    uint64_t held = lg_load_relaxed_64(&deque->bottom) - top;
    return capacity > held ? capacity - held : 0;
}

/* How many regions to take at once, at most 64: one for the caller, the rest for the cache. */
LG_INLINE unsigned lg_exchange_batch(lg_thread *self, lg_class *cls)
{
    lg_local *local = lg_local_of(self, cls);
    uint64_t capacity = lg_load_relaxed_64(&cls->cache_capacity);
    uint64_t freed = lg_load_relaxed_64(&lg_bin_of(self, cls)->hot.deallocations);
    uint64_t size = lg_exchange_size(capacity, local->refilled_at, freed, local->long_refill_run);
    return (unsigned)lg_min(1 + lg_min(size, lg_exchange_space(self, cls)), 64);
}

/* When regions were taken from the pools, or at least looked for. */
LG_INLINE void lg_exchange_taken(lg_thread *self, lg_class *cls)
{
    lg_local *local = lg_local_of(self, cls);
    uint64_t freed = lg_load_relaxed_64(&lg_bin_of(self, cls)->hot.deallocations);
    local->long_refill_run = local->refilled_at == freed;
    local->refilled_at = freed;
}

/* Pops from the own cache. An ordinary pop finds nothing while a thief has it locked, which is for a moment: this one
 * waits for what the thief leaves. False: it is empty. */
LG_HIDDEN bool lg_exchange_pop(lg_deque *deque, uint64_t *out_item);

/* The lowest of the batch is handed out; the rest goes to the own cache, which has space for it, lowest on top. `self`
 * may be NULL if there is only one. The caller is in transit. */
LG_HIDDEN lg_descriptor *lg_exchange_keep(lg_thread *self, lg_class *cls, lg_batch batch);

/* From now on this thread claims from that word of the dirty pool first. */
LG_HIDDEN void lg_exchange_set_home_word(lg_thread *self, lg_class *cls, uint64_t word);

/* Takes a dirty region for the caller, and more for its cache, from the word of the pool that is this thread's home:
 * where it found some before, so that what it gave and takes again is in its processor's caches. NULL: nothing is there. */
LG_HIDDEN lg_descriptor *lg_exchange_refill(lg_thread *self, lg_class *cls);

/* Sends up to `count` regions of the own cache to the shared pools, together with the one of the batch, which is dirty,
 * if there is one; `self` may be NULL if `count` is 0. With eager_return they are cleared on the way. */
LG_HIDDEN void lg_exchange_send(lg_thread *self, lg_class *cls, lg_batch batch, uint64_t count);
/* The same for a caller who is in transit, and without a further region. */
LG_HIDDEN LG_COLD void lg_exchange_send_moving(lg_thread *self, lg_class *cls, uint64_t count);

#endif
