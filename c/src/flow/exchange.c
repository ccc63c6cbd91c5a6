#include "exchange.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/die.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/probe.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/thread.h"
#include "../regions/transit.h"
#include "reclaim.h"

/* ---- taking */

/* Returns how many went to the cache. */
LG_INLINE uint64_t keep(lg_thread *self, lg_class *cls, lg_batch batch, lg_descriptor **out_lowest)
{
    uint64_t first = (uint64_t)__builtin_ctzll(batch.mask);
    uint64_t mask = batch.mask >> first;
    lg_descriptor *lowest = lg_descriptor_at(cls, batch.word * 64 + first);
    *out_lowest = lowest;
    if (mask == 1)
        return 0;
    lg_deque *deque = &lg_bin_of(self, cls)->deque;
    lg_a64 *ring = deque->ring;
    uint64_t begin = lg_load_relaxed_64(&deque->bottom);
    uint64_t at = begin;
    if (LG_LIKELY((mask & (mask + 1)) == 0)) { /* neighbours */
        for (lg_descriptor *region = lowest + (63 ^ __builtin_clzll(mask)); region != lowest; region--)
            lg_store_relaxed_64(&ring[at++ % LG_DEQUE_ITEMS], (uintptr_t)region);
    } else {
        while (mask != 1) {
            int highest = 63 ^ __builtin_clzll(mask);
            mask ^= (uint64_t)1 << highest;
            lg_store_relaxed_64(&ring[at++ % LG_DEQUE_ITEMS], (uintptr_t)(lowest + highest));
        }
    }
    lg_deque_push_run(deque, at - begin);
    return at - begin;
}

bool lg_exchange_pop(lg_deque *deque, uint64_t *out_item)
{
    bool fence = lg_owners_fence();
    for (unsigned round = 0; lg_deque_count(deque) != 0;) {
        if (lg_deque_pop(deque, fence, out_item))
            return true;
        lg_os_pause(round++);
    }
    return false;
}

lg_descriptor *lg_exchange_keep(lg_thread *self, lg_class *cls, lg_batch batch)
{
    lg_descriptor *lowest;
    (void)keep(self, cls, batch, &lowest);
    return lowest;
}

void lg_exchange_set_home_word(lg_thread *self, lg_class *cls, uint64_t word)
{
    lg_local *local = lg_local_of(self, cls);
    local->home_word = word;
    local->home_at = lg_bitmap_at(&cls->pools[LG_DIRTY_POOL], word);
    local->home_left = 0;
}

/* Somebody else claims from the same word. Threads that exchange much at the same time keep apart if each claims from a
 * word of its own first. */
static LG_COLD void switch_word(lg_thread *self, lg_class *cls)
{
    uint64_t words = (lg_load_relaxed_64(&cls->limit) + 63) / 64;
    uint64_t word = lg_thread_id(self) % words;
    if (lg_bitmap_word(&cls->pools[LG_DIRTY_POOL], word) != 0)
        lg_exchange_set_home_word(self, cls, word);
}

LG_FLAT lg_descriptor *lg_exchange_refill(lg_thread *self, lg_class *cls)
{
    lg_local *local = lg_local_of(self, cls);
    lg_descriptor *lowest = NULL;
    if (LG_UNLIKELY(local->home_at == NULL))
        return NULL;
    unsigned many = lg_exchange_batch(self, cls);
    lg_transit_enter(self);
    uint64_t there = lg_load_relaxed_64(local->home_at);
    if (LG_UNLIKELY((local->home_left & ~there) != 0))
        switch_word(self, cls);
    uint64_t mask = lg_bitmap_claim_at(local->home_at, many, &there);
    local->home_left = there & ~mask;
    if (LG_LIKELY(mask != 0)) {
        uint64_t kept = keep(self, cls, (lg_batch){local->home_word, mask}, &lowest);
        lg_pool_note(self, cls, LG_DIRTY_POOL, (uint64_t)0 - kept - 1);
        LG_PROBE2(refill, lg_class_size(cls), kept + 1);
        lg_exchange_taken(self, cls);
    }
    lg_transit_leave(self);
    return lowest;
}

/* ---- giving */

static LG_COLD void clear_eagerly(lg_thread *self, lg_class *cls, lg_batch batch)
{
    (void)lg_reclaim_batch(self, cls, batch, true);
}

/* `count` dirty regions of one word. */
static void give(lg_thread *self, lg_class *cls, lg_batch batch, uint64_t count, bool eager)
{
    if (batch.mask == 0)
        return;
    if (LG_UNLIKELY(eager)) {
        clear_eagerly(self, cls, batch);
        return;
    }
    lg_pool_give_counted(self, cls, LG_DIRTY_POOL, batch, count);
    if (self != NULL && batch.word == lg_local_of(self, cls)->home_word)
        lg_local_of(self, cls)->home_left |= batch.mask;
}

/* Adds to the mask of a word, whose regions begin here, what the slots below `end` hold, downwards to `begin`, as long as
 * it is dirty, of that word, and not there yet. Returns where it stopped: the slot below that is another case. A leaf
 * with few variables, since exchanges spend most of their time here. */
static LG_WARM const lg_a64 *gather(const lg_a64 *end, const lg_a64 *begin, const lg_descriptor *regions,
                                    uint64_t *mask)
{
    uint64_t gathered = *mask;
    for (; end != begin; end--) {
        uint64_t item = lg_load_relaxed_64(&end[-1]);
        uint64_t bit = (item - (uintptr_t)regions) >> LG_DESCRIPTOR_LOG2;
        if (LG_UNLIKELY(bit >= 64) || LG_UNLIKELY(lg_load_relaxed_64(&lg_item_descriptor(item)->state) == LG_CLEAN) ||
            LG_UNLIKELY(lg_mask_add(&gathered, bit)))
            break;
    }
    *mask = gathered;
    return end;
}

/* Sends the `count` regions that were just popped, and are in the slots from bottom on, highest first. */
static void send_popped(lg_thread *self, lg_class *cls, uint64_t count, lg_batch batch, bool eager)
{
    const lg_deque *deque = &lg_bin_of(self, cls)->deque;
    uint64_t end = lg_load_relaxed_64(&deque->bottom) + count;
    uint64_t gathered = batch.mask != 0 ? 1 : 0;
    LG_ASSERT(lg_batch_count(batch) == gathered);
    while (count != 0) {
        uint64_t at = (end - 1) % LG_DEQUE_ITEMS + 1;
        uint64_t most = lg_min(count, at); /* down to where the ring goes around */
        const lg_a64 *stop = gather(&deque->ring[at], &deque->ring[at - most], lg_descriptor_at(cls, batch.word * 64),
                                    &batch.mask);
        uint64_t done = (uint64_t)(&deque->ring[at] - stop);
        end -= done;
        count -= done;
        gathered += done;
        if (done == most)
            continue;
        const lg_descriptor *region = lg_item_descriptor(lg_load_relaxed_64(stop - 1));
        if (lg_load_relaxed_64(&region->state) == LG_CLEAN) {
            lg_pool_return(self, cls, region); /* never used since it left the clean pool */
            end--;
            count--;
            continue;
        }
        /* Another word; or a region that is in the cache twice, which was freed twice, and the pool finds that out. */
        give(self, cls, batch, gathered, eager);
        batch = (lg_batch){lg_descriptor_index(cls, region) / 64, 0};
        gathered = 0;
    }
    give(self, cls, batch, gathered, eager);
}

/* While a thief has the own cache locked, which is for a moment, one by one. */
static LG_COLD void send_one_by_one(lg_thread *self, lg_class *cls, lg_batch batch, uint64_t count, bool eager)
{
    lg_deque *deque = &lg_bin_of(self, cls)->deque;
    for (uint64_t item; count != 0 && lg_exchange_pop(deque, &item); count--) {
        send_popped(self, cls, 1, batch, eager);
        batch.mask = 0;
    }
    give(self, cls, batch, 1, eager);
}

LG_INLINE void send(lg_thread *self, lg_class *cls, lg_batch batch, uint64_t count)
{
    bool eager = LG_OPTION(eager_return) != 0;
    if (count == 0) {
        give(self, cls, batch, 1, eager);
    } else {
        lg_deque *deque = &lg_bin_of(self, cls)->deque;
        count = lg_min(count, lg_deque_count(deque));
        if (LG_LIKELY(lg_deque_pop_run(deque, lg_owners_fence(), count)))
            send_popped(self, cls, count, batch, eager);
        else
            send_one_by_one(self, cls, batch, count, eager);
    }
}

LG_FLAT void lg_exchange_send(lg_thread *self, lg_class *cls, lg_batch batch, uint64_t count)
{
    lg_transit_enter(self);
    send(self, cls, batch, count);
    lg_transit_leave(self);
}

LG_COLD void lg_exchange_send_moving(lg_thread *self, lg_class *cls, uint64_t count)
{
    send(self, cls, (lg_batch){0, 0}, count);
}
