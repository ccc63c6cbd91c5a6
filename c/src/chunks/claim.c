#include "claim.h"

#include "../base/atomic.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "chunk.h"

/* ---- whether a chunk is free */

bool lg_chunk_is_free(const lg_class *cls, uint64_t chunk, uint64_t *out_held)
{
    uint64_t first = lg_chunk_first_region(cls, chunk), count = lg_chunk_regions(cls);
    uint64_t dirty = 0;
    while (count != 0) {
        lg_batch all = lg_batch_split(&first, &count);
        lg_batch there = {all.word, all.mask & lg_bitmap_word(&cls->pools[LG_DIRTY_POOL], all.word)};
        uint64_t clean = lg_bitmap_word(&cls->pools[LG_CLEAN_POOL], all.word);
        if ((all.mask & ~(there.mask | clean)) != 0)
            return false;
        dirty += lg_batch_count(there);
    }
    *out_held = lg_min(lg_class_bytes(cls, dirty), LG_CHUNK);
    return true;
}

/* ---- claiming */

void lg_supply_give(lg_class *cls, uint64_t first, uint64_t count)
{
    while (count != 0) {
        lg_batch all = lg_batch_split(&first, &count);
        lg_batch dirty = {all.word, 0}, left = all;
        while (left.mask != 0) {
            uint64_t index = lg_batch_pop_lowest(&left);
            if (lg_load_relaxed_64(&lg_descriptor_at(cls, index)->state) != LG_CLEAN)
                dirty.mask |= lg_batch_of(index).mask;
        }
        lg_pool_give(NULL, cls, LG_DIRTY_POOL, dirty);
        lg_pool_give(NULL, cls, LG_CLEAN_POOL, (lg_batch){all.word, all.mask & ~dirty.mask});
    }
}

bool lg_supply_claim(lg_class *cls, uint64_t first, uint64_t count, uint64_t *out_dirty)
{
    uint64_t next = first, left = count;
    *out_dirty = 0;
    while (left != 0) {
        uint64_t done = count - left;
        lg_batch all = lg_batch_split(&next, &left);
        lg_batch dirty = lg_pool_claim_mask(NULL, cls, LG_DIRTY_POOL, all);
        lg_batch rest = {all.word, all.mask & ~dirty.mask};
        lg_batch clean = {all.word, 0};
        if (rest.mask != 0)
            clean = lg_pool_claim_mask(NULL, cls, LG_CLEAN_POOL, rest);
        *out_dirty += lg_batch_count(dirty);
        if (clean.mask != rest.mask) {
            lg_pool_give(NULL, cls, LG_DIRTY_POOL, dirty);
            lg_pool_give(NULL, cls, LG_CLEAN_POOL, clean);
            lg_supply_give(cls, first, done);
            return false;
        }
    }
    return true;
}

/* ---- a chunk loses its class, and gets one */

uint64_t lg_supply_vacate(lg_class *cls, uint64_t first, uint64_t count)
{
    uint64_t dirty = 0;
    for (uint64_t i = first; i < first + count; i++) {
        lg_descriptor *region = lg_descriptor_at(cls, i);
        if (lg_load_relaxed_64(&region->state) != LG_CLEAN) {
            dirty++;
            lg_store_relaxed_64(&region->state, LG_CLEAN);
        }
        if (lg_load_relaxed_32(&region->has_blocks) != 0)
            lg_store_relaxed_32(&region->has_blocks, 0);
        lg_unpoison(lg_region_address(cls, i), lg_class_size(cls));
    }
    return lg_class_bytes(cls, dirty);
}

void lg_supply_dissolve(lg_class *cls, uint64_t first_chunk, uint64_t count)
{
    (void)lg_supply_vacate(cls, lg_chunk_first_region(cls, first_chunk), lg_regions_in(cls, count));
    lg_chunks_set_class(first_chunk, count, NULL);
}

void lg_supply_describe(lg_class *cls, uint64_t first_chunk, uint64_t count)
{
    uint32_t bit = lg_class_bit(cls);
    for (uint64_t chunk = first_chunk; chunk < first_chunk + count;) {
        uint64_t n = 0;
        while (chunk + n < first_chunk + count && (lg_chunk_note(chunk + n)->described & bit) == 0)
            lg_chunk_note(chunk + n++)->described |= bit;
        if (n != 0)
            lg_class_populate(cls, lg_chunk_first_region(cls, chunk), n * lg_chunk_regions(cls));
        chunk += n + (n == 0);
    }
}

int lg_supply_extend(lg_class *cls, uint64_t first_chunk, uint64_t count)
{
    uint64_t first = lg_chunk_first_region(cls, first_chunk);
    return lg_class_extend(cls, first, lg_regions_in(cls, count));
}

void lg_supply_set_region(lg_class *cls, uint64_t index, bool dirty, uint32_t known)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    void *address = lg_region_address(cls, index);
    lg_store_relaxed_64(&region->state, dirty ? lg_state_dirty(address) : LG_CLEAN);
    lg_store_relaxed_32(&region->has_blocks, known);
    lg_poison(address, lg_class_size(cls));
}

void lg_supply_found(lg_class *cls, uint64_t first_chunk, uint64_t count, bool dirty)
{
    uint64_t first = lg_chunk_first_region(cls, first_chunk);
    uint64_t end = first + (lg_regions_in(cls, count));
    if (dirty || LG_ASAN) /* descriptors of no region say clean */
        for (uint64_t i = first; i < end; i++)
            lg_supply_set_region(cls, i, dirty, 0);
    lg_chunks_set_class(first_chunk, count, cls);
}
