#include "release.h"

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../base/probe.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/pool.h"
#include "backing.h"
#include "chunk.h"
#include "claim.h"

/* ---- giving chunks back */

/* A region of several chunks of which those before `chunk` could be unmapped, and the rest couldn't: that becomes regions of
 * one chunk each. */
static void keep_rest_of_region(lg_class *cls, uint64_t chunk, uint64_t end)
{
    uint64_t first = lg_chunk_first(cls, chunk);
    bool dirty = lg_supply_vacate(cls, lg_chunk_first_region(cls, first), 1) != 0;
    if (dirty)
        lg_discharge((chunk - first) << LG_CHUNK_LOG2);
    lg_chunks_set_class(chunk, end - chunk, NULL);
    lg_supply_found(LG_CHUNK_CLASS, chunk, end - chunk, dirty);
    lg_supply_give(LG_CHUNK_CLASS, chunk, end - chunk);
}

/* What was to be unmapped may have been emptied before that failed: its disk blocks aren't known to be there. */
static void forget_blocks(lg_class *cls, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        lg_store_relaxed_32(&lg_descriptor_at(cls, i)->has_blocks, 0);
}

/* Claimed chunks go, as many as can, from the first on. Returns the dirty bytes of those that went. */
static uint64_t take_down(lg_class *cls, uint64_t first, uint64_t count, bool dirty)
{
    uint64_t chunks = lg_class_chunks(cls);
    uint64_t end = first + count;
    /* What may be left of a large region needs descriptors, which a system that is short of memory may not grant. */
    if (chunks > 1 && !lg_backing_is_one(first, count) && lg_class_extend(LG_CHUNK_CLASS, first, count) != 0) {
        lg_supply_give(cls, lg_chunk_first_region(cls, first), lg_regions_in(cls, count));
        return 0;
    }
    uint64_t gone = first + lg_backing_unmap(first, count, dirty);
    uint64_t whole = gone & ~(chunks - 1), next = (gone + chunks - 1) & ~(chunks - 1);
    uint64_t dirty_bytes = lg_supply_vacate(cls, lg_chunk_first_region(cls, first), lg_regions_in(cls, whole - first));
    lg_discharge(dirty_bytes);
    forget_blocks(cls, lg_chunk_first_region(cls, next), lg_regions_in(cls, end - next));
    if (gone != whole)
        keep_rest_of_region(cls, gone, next);
    lg_supply_give(cls, lg_chunk_first_region(cls, next), lg_regions_in(cls, end - next));
    return dirty_bytes;
}

bool lg_chunks_release(lg_class *cls, uint64_t first, uint64_t count, uint64_t *out_dirty_bytes)
{
    *out_dirty_bytes = 0;
    bool done = false;
    lg_lock_acquire(&lg_arena_lock);
    bool ours = true;
    for (uint64_t chunk = first; chunk < first + count; chunk++)
        ours = ours && lg_chunk_class(lg_chunk_word(chunk)) == cls &&
               lg_chunk_kind(lg_chunk_word(chunk)) != LG_AREA_LOST;
    uint64_t dirty;
    if (ours && lg_supply_claim(cls, lg_chunk_first_region(cls, first), lg_regions_in(cls, count), &dirty)) {
        *out_dirty_bytes = take_down(cls, first, count, dirty != 0);
        done = lg_chunk_class(lg_chunk_word(first)) != cls;
        if (done) {
            lg_counter_add(&cls->areas_released, 1);
            LG_PROBE4(area_release, lg_class_size(cls), lg_arena_address(first << LG_CHUNK_LOG2),
                      count << LG_CHUNK_LOG2, *out_dirty_bytes);
        }
    }
    lg_lock_release(&lg_arena_lock);
    return done;
}

/* ---- which */

/* Of which a call may give back at once, so that others don't wait long for the lock. */
#define MOST_AT_ONCE (LG_GIB >> LG_CHUNK_LOG2)

static bool belongs(lg_class *cls, uint64_t chunk)
{
    uint32_t word = lg_chunk_word(chunk);
    return lg_chunk_class(word) == cls && lg_chunk_kind(word) != LG_AREA_LOST;
}

/* The first run from `chunk` on of whole regions for which `due`, all of one mapping. */
static bool find_run(lg_class *cls, uint64_t chunk, bool (*due)(lg_class *cls, uint64_t chunk, uint64_t ticks),
                     uint64_t ticks, uint64_t *out_first, uint64_t *out_count)
{
    uint64_t high = lg_chunks_high(), chunks = lg_class_chunks(cls);
    while (chunk < high && !(belongs(cls, chunk) && due(cls, chunk, ticks)))
        chunk += belongs(cls, chunk) ? chunks : 1;
    if (chunk >= high)
        return false;
    *out_first = chunk;
    uint32_t mapping = lg_chunk_note(chunk)->mapping;
    do {
        chunk += chunks;
    } while (chunk < high && chunk - *out_first < MOST_AT_ONCE && belongs(cls, chunk) &&
             lg_chunk_note(chunk)->mapping == mapping && due(cls, chunk, ticks));
    *out_count = chunk - *out_first;
    return true;
}

static bool is_free(lg_class *cls, uint64_t chunk, uint64_t ticks)
{
    uint64_t held;
    (void)ticks;
    return lg_chunk_is_free(cls, chunk, &held);
}

static bool is_idle(lg_class *cls, uint64_t chunk, uint64_t ticks)
{
    (void)cls;
    return lg_chunk_note(chunk)->idle_ticks >= ticks;
}

bool lg_chunks_find_free(lg_class *cls, uint64_t chunk, uint64_t *out_first, uint64_t *out_count)
{
    lg_lock_acquire(&lg_arena_lock);
    bool found = find_run(cls, chunk, is_free, 0, out_first, out_count);
    lg_lock_release(&lg_arena_lock);
    return found;
}

void lg_chunks_tick(lg_class *cls)
{
    lg_lock_acquire(&lg_arena_lock);
    for (uint64_t chunk = 0; chunk < lg_chunks_high();) {
        if (!belongs(cls, chunk)) {
            chunk++;
            continue;
        }
        lg_note *note = lg_chunk_note(chunk);
        note->idle_ticks = is_free(cls, chunk, 0) ? note->idle_ticks + 1 : 0;
        chunk += lg_class_chunks(cls);
    }
    lg_lock_release(&lg_arena_lock);
}

bool lg_chunks_find_idle(lg_class *cls, uint64_t chunk, uint64_t ticks, uint64_t *out_first, uint64_t *out_count)
{
    lg_lock_acquire(&lg_arena_lock);
    bool found = find_run(cls, chunk, is_idle, ticks, out_first, out_count);
    for (uint64_t i = 0; found && i < *out_count; i++) /* what stays all the same is left alone for as long again */
        lg_chunk_note(*out_first + i)->idle_ticks = 0;
    lg_lock_release(&lg_arena_lock);
    return found;
}
