#include "reclaim.h"

#include "../base/atomic.h"
#include "../base/probe.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../chunks/release.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/deque.h"
#include "../regions/pool.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "../regions/transit.h"

/* After a failure the worker leaves an area alone for 1, 3, 7, … ticks, up to this many. */
#define LONGEST_BACKOFF 1023

/* ---- clearing */

/* Regions [first, first + count) are the caller's, dirty, and in one area. */
static uint64_t clear_run(lg_thread *self, unsigned class_index, lg_area *area, uint64_t first, uint64_t count,
                          bool eager)
{
    unsigned log2 = class_index + LG_CLASS_MIN;
    lg_batch batch = lg_batch_split(&first, &count);
    LG_ASSERT(count == 0); /* runs lie within a word */
    uint64_t from = batch.word * 64 + (uint64_t)__builtin_ctzll(batch.mask);
    unsigned n = lg_batch_count(batch);
    for (uint64_t i = from; i < from + n; i++) /* also where clearing fails halfway */
        lg_store_relaxed_32(&lg_region_at(class_index, i)->has_blocks, 0);
    int error = lg_backing_clear(from << log2, (uint64_t)n << log2);
    LG_PROBE4(clear, lg_class_size(class_index), lg_region_address(class_index, from), (uint64_t)n << log2, error);
    if (error != 0) {
        lg_add_relaxed_64(&lg_clear_failures, 1);
        area->clear_backoff = (uint32_t)lg_min(2 * (uint64_t)area->clear_backoff + 1, LONGEST_BACKOFF);
        area->clear_wait = area->clear_backoff;
        lg_area_note(class_index, area);
        lg_pool_give(self, &lg_dirty[class_index], class_index, batch);
        return 0;
    }
    if (area->clear_backoff != 0) {
        area->clear_backoff = area->clear_wait = 0;
        lg_area_note(class_index, area);
    }
    for (uint64_t i = from; i < from + n; i++)
        lg_store_relaxed_64(&lg_region_at(class_index, i)->state, LG_CLEAN);
    lg_pool_give(self, &lg_clean[class_index], class_index, batch);
    /* Only now: the memory is gone and the region in its place, so the charge covered it all the time. */
    lg_discharge((uint64_t)n << log2);
    if (eager)
        LG_COUNT(self, class_index, clear_eager_total, n);
    else
        LG_COUNT(self, class_index, clear_slow_total, n);
    return (uint64_t)n << log2;
}

/* Clears what of the batch lies in the area, neighbours in one go; takes it out of the batch. */
static uint64_t clear_in_area(lg_thread *self, unsigned class_index, lg_area *area, lg_batch *batch, bool eager)
{
    unsigned log2 = class_index + LG_CLASS_MIN;
    uint64_t end = (area->start + area->len) >> log2;
    uint64_t cleared = 0;
    while (batch->mask != 0) {
        unsigned bit = (unsigned)__builtin_ctzll(batch->mask);
        uint64_t first = batch->word * 64 + bit;
        if (first >= end)
            break;
        uint64_t ones = ~(batch->mask >> bit); /* its lowest bit says how long the run of neighbours is */
        uint64_t count = ones == 0 ? 64 : (uint64_t)__builtin_ctzll(ones);
        count = lg_min(lg_min(count, 64 - bit), end - first);
        batch->mask &= ~((count == 64 ? ~(uint64_t)0 : (((uint64_t)1 << count) - 1)) << bit);
        cleared += clear_run(self, class_index, area, first, count, eager);
    }
    return cleared;
}

uint64_t lg_reclaim_batch(lg_thread *self, unsigned class_index, lg_batch batch, bool eager)
{
    unsigned log2 = class_index + LG_CLASS_MIN;
    uint64_t cleared = 0;
    while (batch.mask != 0) {
        uint64_t first = batch.word * 64 + (uint64_t)__builtin_ctzll(batch.mask);
        lg_area area;
        if (!lg_area_next(class_index, first << log2, &area))
            LG_DIE(LG_TEXT("internal: a free region without a chunk at "),
                   LG_HEX(lg_region_address(class_index, first)));
        cleared += clear_in_area(self, class_index, &area, &batch, eager);
    }
    return cleared;
}

static uint64_t clear_area(lg_thread *self, unsigned class_index, lg_area *area, uint64_t *regions_left,
                           uint64_t *bytes_left)
{
    unsigned log2 = class_index + LG_CLASS_MIN;
    uint64_t first = area->start >> log2;
    uint64_t count = area->len >> log2;
    uint64_t total = 0;
    uint32_t failures = area->clear_backoff;
    while (count != 0 && *regions_left != 0 && *bytes_left != 0) {
        lg_batch wanted = lg_batch_split(&first, &count);
        if ((lg_bitmap_word(&lg_dirty[class_index].regions, wanted.word) & wanted.mask) == 0)
            continue;
        uint64_t most = lg_min(*regions_left, lg_max(*bytes_left >> log2, 1));
        lg_transit_enter(self);
        lg_batch batch = lg_pool_claim_mask(self, &lg_dirty[class_index], class_index, wanted);
        while (lg_batch_count(batch) > most) {
            lg_batch over = lg_batch_of(lg_batch_pop_highest(&batch));
            lg_pool_give(self, &lg_dirty[class_index], class_index, over);
        }
        *regions_left -= lg_batch_count(batch);
        *bytes_left -= lg_min(*bytes_left, (uint64_t)lg_batch_count(batch) << log2);
        total += clear_in_area(self, class_index, area, &batch, false);
        lg_transit_leave(self);
        if (area->clear_backoff > failures)
            break; /* what failed here will fail for its neighbours */
    }
    return total;
}

uint64_t lg_reclaim_dirty(lg_thread *self, unsigned class_index, uint64_t most_regions, uint64_t most_bytes,
                          bool patient)
{
    uint64_t total = 0;
    uint64_t offset = 0;
    lg_area area;
    /* That a pool looks empty while somebody gives to it doesn't mean that it is: who can come again needn't look. */
    if (patient && lg_pool_is_empty(&lg_dirty[class_index]))
        return 0;
    while (most_regions != 0 && most_bytes != 0 && lg_area_next(class_index, offset, &area)) {
        offset = area.start + area.len;
        if (patient && area.clear_wait != 0) {
            area.clear_wait--;
            lg_area_note(class_index, &area);
            continue;
        }
        total += clear_area(self, class_index, &area, &most_regions, &most_bytes);
    }
    return total;
}

/* ---- draining */

void lg_reclaim_cache(lg_thread *self, lg_thread *victim, unsigned class_index)
{
    /* At most what a cache holds, so that a busy owner can't keep us here. */
    uint64_t left = LG_DEQUE_ITEMS;
    while (left != 0 && lg_deque_count(&lg_bin_of(victim, class_index)->deque) != 0) {
        lg_region *regions[LG_LOOT];
        lg_transit_enter(self);
        uint64_t n = lg_thread_drain(victim, class_index, lg_min(left, LG_LOOT), regions);
        for (uint64_t i = 0; i < n; i++)
            lg_pool_return(self, class_index, regions[i]);
        lg_transit_leave(self);
        if (n == 0)
            return;
        left -= n;
    }
}

void lg_reclaim_caches(lg_thread *self, unsigned class_index)
{
    uint32_t count = lg_threads_high();
    for (uint32_t id = 0; id < count; id++)
        lg_reclaim_cache(self, lg_thread_at(id), class_index);
}

/* ---- chunks */

static uint64_t release(lg_thread *self, unsigned class_index, uint64_t first, uint64_t count)
{
    uint64_t dirty_bytes;
    lg_transit_enter(self);
    if (lg_chunks_release(class_index, first, count, &dirty_bytes))
        LG_COUNT(self, class_index, clear_slow_total, dirty_bytes >> (class_index + LG_CLASS_MIN));
    lg_transit_leave(self);
    return dirty_bytes;
}

uint64_t lg_reclaim_chunks(lg_thread *self, unsigned class_index)
{
    uint64_t total = 0, first, count;
    for (uint64_t chunk = 0; lg_chunks_find_free(class_index, chunk, &first, &count); chunk = first + count)
        total += release(self, class_index, first, count);
    return total;
}

/* Step by step first, so that unmapping has little left to do, under the lock. */
static void clear_chunks(lg_thread *self, unsigned class_index, uint64_t first, uint64_t count)
{
    uint64_t regions = UINT64_MAX, bytes = UINT64_MAX;
    lg_area area;
    if (lg_area_next(class_index, first << LG_CHUNK_LOG2, &area)) {
        uint64_t end = lg_min((first + count) << LG_CHUNK_LOG2, area.start + area.len);
        area.start = lg_max(area.start, first << LG_CHUNK_LOG2);
        area.len = end > area.start ? end - area.start : 0;
        (void)clear_area(self, class_index, &area, &regions, &bytes);
    }
}

void lg_reclaim_idle_chunks(lg_thread *self, unsigned class_index, uint64_t ticks)
{
    uint64_t first, count;
    if (lg_area_count(class_index) == 0)
        return;
    lg_chunks_tick(class_index);
    if (ticks == 0)
        return;
    for (uint64_t chunk = 0; lg_chunks_find_idle(class_index, chunk, ticks, &first, &count); chunk = first + count) {
        clear_chunks(self, class_index, first, count);
        (void)release(self, class_index, first, count);
    }
}

/* ---- room */

bool lg_reclaim_room(lg_thread *self, uint64_t bytes)
{
    /* From the largest class down, so that few system calls make much room. */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned c = (unsigned)lg_layout_.classes; c-- > 0;) {
            if (lg_charge(bytes))
                return true;
            if (pass == 1)
                lg_reclaim_caches(self, c);
            uint64_t needed = lg_max(bytes, lg_class_size(c));
            while (lg_reclaim_dirty(self, c, UINT64_MAX, needed, false) != 0)
                if (lg_charge(bytes))
                    return true;
        }
    }
    return lg_charge(bytes);
}

uint64_t lg_reclaim_all(lg_thread *self)
{
    uint64_t total = 0;
    for (unsigned c = 0; c < lg_layout_.classes; c++) {
        if (lg_area_count(c) == 0)
            continue;
        lg_reclaim_caches(self, c);
        total += lg_reclaim_dirty(self, c, UINT64_MAX, UINT64_MAX, false);
        total += lg_reclaim_chunks(self, c);
    }
    return total;
}
