#include "reclaim.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/probe.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../chunks/release.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/steal.h"
#include "../regions/thread.h"
#include "../regions/transit.h"

/* After a failure the worker leaves an area alone for 1, 3, 7, … ticks, up to this many. */
#define LONGEST_BACKOFF 1023

/* ---- clearing */

/* Regions [first, first + count) are the caller's, dirty, and in one area. */
static uint64_t clear_run(lg_thread *self, lg_class *cls, lg_area *area, uint64_t first, uint64_t count, bool eager)
{
    lg_batch batch = lg_batch_split(&first, &count);
    LG_ASSERT(count == 0); /* runs lie within a word */
    uint64_t from = batch.word * 64 + (uint64_t)__builtin_ctzll(batch.mask);
    unsigned n = lg_batch_count(batch);
    for (uint64_t i = from; i < from + n; i++) /* also where clearing fails halfway */
        lg_store_relaxed_32(&lg_descriptor_at(cls, i)->has_blocks, 0);
    int error = lg_backing_clear(lg_class_bytes(cls, from), lg_class_bytes(cls, n));
    LG_PROBE4(clear, lg_class_size(cls), lg_region_address(cls, from), lg_class_bytes(cls, n), error);
    if (error != 0) {
        lg_add_relaxed_64(&lg_clear_failures, 1);
        area->clear_backoff = (uint32_t)lg_min(2 * (uint64_t)area->clear_backoff + 1, LONGEST_BACKOFF);
        area->clear_wait = area->clear_backoff;
        lg_area_note(cls, area);
        lg_pool_give(self, cls, LG_DIRTY_POOL, batch);
        return 0;
    }
    if (area->clear_backoff != 0) {
        area->clear_backoff = area->clear_wait = 0;
        lg_area_note(cls, area);
    }
    for (uint64_t i = from; i < from + n; i++)
        lg_store_relaxed_64(&lg_descriptor_at(cls, i)->state, LG_CLEAN);
    lg_pool_give(self, cls, LG_CLEAN_POOL, batch);
    /* Only now: the memory is gone and the region in its place, so the charge covered it all the time. */
    lg_discharge(lg_class_bytes(cls, n));
    if (eager)
        LG_COUNT(self, cls, clear_eager_total, n);
    else
        LG_COUNT(self, cls, clear_slow_total, n);
    return lg_class_bytes(cls, n);
}

/* Clears what of the batch lies in the area, neighbours in one go; takes it out of the batch. */
static uint64_t clear_in_area(lg_thread *self, lg_class *cls, lg_area *area, lg_batch *batch, bool eager)
{
    uint64_t end = lg_class_regions(cls, area->start + area->len);
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
        cleared += clear_run(self, cls, area, first, count, eager);
    }
    return cleared;
}

uint64_t lg_reclaim_batch(lg_thread *self, lg_class *cls, lg_batch batch, bool eager)
{
    uint64_t cleared = 0;
    while (batch.mask != 0) {
        uint64_t first = batch.word * 64 + (uint64_t)__builtin_ctzll(batch.mask);
        lg_area area;
        if (!lg_area_next(cls, lg_class_bytes(cls, first), &area))
            LG_DIE(LG_TEXT("internal: a free region without a chunk at "), LG_HEX(lg_region_address(cls, first)));
        cleared += clear_in_area(self, cls, &area, &batch, eager);
    }
    return cleared;
}

static uint64_t clear_area(lg_thread *self, lg_class *cls, lg_area *area, uint64_t *regions_left, uint64_t *bytes_left)
{
    uint64_t first = lg_class_regions(cls, area->start);
    uint64_t count = lg_class_regions(cls, area->len);
    uint64_t total = 0;
    uint32_t failures = area->clear_backoff;
    while (count != 0 && *regions_left != 0 && *bytes_left != 0) {
        lg_batch wanted = lg_batch_split(&first, &count);
        if ((lg_bitmap_word(&cls->pools[LG_DIRTY_POOL], wanted.word) & wanted.mask) == 0)
            continue;
        uint64_t most = lg_min(*regions_left, lg_max(lg_class_regions(cls, *bytes_left), 1));
        lg_transit_enter(self);
        lg_batch batch = lg_pool_claim_mask(self, cls, LG_DIRTY_POOL, wanted);
        while (lg_batch_count(batch) > most) {
            lg_batch over = lg_batch_of(lg_batch_pop_highest(&batch));
            lg_pool_give(self, cls, LG_DIRTY_POOL, over);
        }
        *regions_left -= lg_batch_count(batch);
        *bytes_left -= lg_min(*bytes_left, lg_class_bytes(cls, lg_batch_count(batch)));
        total += clear_in_area(self, cls, area, &batch, false);
        lg_transit_leave(self);
        if (area->clear_backoff > failures)
            break; /* what failed here will fail for its neighbours */
    }
    return total;
}

uint64_t lg_reclaim_dirty(lg_thread *self, lg_class *cls, uint64_t most_regions, uint64_t most_bytes, bool patient)
{
    uint64_t total = 0;
    uint64_t offset = 0;
    lg_area area;
    /* A pool may look empty while another thread gives to it. A caller that looks again later can take that for empty. */
    if (patient && lg_pool_is_empty(cls, LG_DIRTY_POOL))
        return 0;
    while (most_regions != 0 && most_bytes != 0 && lg_area_next(cls, offset, &area)) {
        offset = area.start + area.len;
        if (patient && area.clear_wait != 0) {
            area.clear_wait--;
            lg_area_note(cls, &area);
            continue;
        }
        total += clear_area(self, cls, &area, &most_regions, &most_bytes);
    }
    return total;
}

/* ---- draining */

void lg_reclaim_cache(lg_thread *self, lg_thread *victim, lg_class *cls)
{
    /* At most what a cache holds, so that a busy owner can't keep us here. */
    uint64_t left = LG_DEQUE_ITEMS;
    while (left != 0 && lg_deque_count(&lg_bin_of(victim, cls)->deque) != 0) {
        lg_descriptor *regions[LG_STEAL_MAX];
        lg_transit_enter(self);
        uint64_t n = lg_thread_drain(victim, cls, lg_min(left, LG_STEAL_MAX), regions);
        for (uint64_t i = 0; i < n; i++)
            lg_pool_return(self, cls, regions[i]);
        lg_transit_leave(self);
        if (n == 0)
            return;
        left -= n;
    }
}

void lg_reclaim_caches(lg_thread *self, lg_class *cls)
{
    LG_EACH_THREAD(victim)
        lg_reclaim_cache(self, victim, cls);
}

/* ---- chunks */

static uint64_t release(lg_thread *self, lg_class *cls, uint64_t first, uint64_t count)
{
    uint64_t dirty_bytes;
    lg_transit_enter(self);
    if (lg_chunks_release(cls, first, count, &dirty_bytes))
        LG_COUNT(self, cls, clear_slow_total, lg_class_regions(cls, dirty_bytes));
    lg_transit_leave(self);
    return dirty_bytes;
}

uint64_t lg_reclaim_chunks(lg_thread *self, lg_class *cls)
{
    uint64_t total = 0, first, count;
    for (uint64_t chunk = 0; lg_chunks_find_free(cls, chunk, &first, &count); chunk = first + count)
        total += release(self, cls, first, count);
    return total;
}

/* Step by step first, so that unmapping has little left to do, under the lock. */
static void clear_chunks(lg_thread *self, lg_class *cls, uint64_t first, uint64_t count)
{
    uint64_t regions = UINT64_MAX, bytes = UINT64_MAX;
    lg_area area;
    if (lg_area_next(cls, first << LG_CHUNK_LOG2, &area)) {
        uint64_t end = lg_min((first + count) << LG_CHUNK_LOG2, area.start + area.len);
        area.start = lg_max(area.start, first << LG_CHUNK_LOG2);
        area.len = end > area.start ? end - area.start : 0;
        (void)clear_area(self, cls, &area, &regions, &bytes);
    }
}

void lg_reclaim_idle_chunks(lg_thread *self, lg_class *cls, uint64_t ticks)
{
    uint64_t first, count;
    if (lg_area_count(cls) == 0)
        return;
    lg_chunks_tick(cls);
    if (ticks == 0)
        return;
    for (uint64_t chunk = 0; lg_chunks_find_idle(cls, chunk, ticks, &first, &count); chunk = first + count) {
        clear_chunks(self, cls, first, count);
        (void)release(self, cls, first, count);
    }
}

/* ---- room */

bool lg_reclaim_room(lg_thread *self, uint64_t bytes)
{
    /* From the largest class down, so that few system calls make much room. */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (lg_class *cls = lg_classes + lg_layout_.classes; cls-- != lg_classes;) {
            if (lg_charge(bytes))
                return true;
            if (pass == 1)
                lg_reclaim_caches(self, cls);
            uint64_t needed = lg_max(bytes, lg_class_size(cls));
            while (lg_reclaim_dirty(self, cls, UINT64_MAX, needed, false) != 0)
                if (lg_charge(bytes))
                    return true;
        }
    }
    return lg_charge(bytes);
}

void lg_reclaim_excess(lg_thread *self)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        for (lg_class *cls = lg_classes + lg_layout_.classes; cls-- != lg_classes;) {
            if (lg_charged_beyond_limit() == 0)
                return;
            if (pass == 1)
                lg_reclaim_caches(self, cls);
            uint64_t excess = lg_charged_beyond_limit();
            if (excess != 0)
                (void)lg_reclaim_dirty(self, cls, UINT64_MAX, lg_class_round_up(cls, excess), false);
        }
    }
}

/*
 * Memory is taken cold where no chunk is free that could change its class. As much may lie idle then, in chunks where some
 * regions are in use, or in runs that aren't aligned; and what it adds to what is resident stays until the worker or a purge
 * comes. So growth pays for itself. What may be idle all the same, since it will be asked for again, is a sixteenth of the
 * rest, and a chunk; and who takes a little needn't clear all of it. Smallest regions first, since the memory of larger
 * ones is more likely to change its class soon.
 *
 * A GiB in use in blocks of 64 KiB to 64 MiB at random, 2,000 exchanges, without and with the tails of tail.c: 1.85 and
 * 1.63 times as much is resident at most without this. Where an eighth may be idle 1.76 and 1.57, a sixteenth 1.61 and 1.48,
 * nothing 1.65 and 1.48. Where no more is cleared than was taken 1.56 with tails, four times as much 1.47, eight times 1.45,
 * without a bound the same. It happens 15 to 30 times in a run, and clears a GiB: 5 ms of anonymous memory, 250 ms of files.
 */
#define IDLE_SHARE 16
#define IDLE_LEAST LG_CHUNK
#define MOST_TIMES 8

void lg_reclaim_grown(lg_thread *self, lg_class *cls, uint64_t grown)
{
    uint64_t charged = lg_charged();
    if (charged <= IDLE_LEAST)
        return;
    uint64_t idle = lg_pool_dirty_bytes();
    uint64_t may = lg_max((charged - lg_min(idle, charged)) / IDLE_SHARE, IDLE_LEAST);
    uint64_t left = idle > may ? lg_min(idle - may, MOST_TIMES * grown) : 0;
    for (lg_class *other = lg_classes; other != lg_classes + lg_layout_.classes && lg_class_size(other) <= left;
         other++)
        if (other != cls)
            left -= lg_min(left, lg_reclaim_dirty(self, other, UINT64_MAX, left, true));
}

uint64_t lg_reclaim_all(lg_thread *self)
{
    uint64_t total = 0;
    LG_EACH_CLASS(cls) {
        if (lg_area_count(cls) == 0)
            continue;
        lg_reclaim_caches(self, cls);
        total += lg_reclaim_dirty(self, cls, UINT64_MAX, UINT64_MAX, false);
        total += lg_reclaim_chunks(self, cls);
    }
    return total;
}
