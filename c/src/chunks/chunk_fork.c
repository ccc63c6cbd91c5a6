/* What becomes of chunks in the child of a fork; see fork.c. */
#include "../base/atomic.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "backing.h"
#include "release.h"

/* Settles one region in the child. Returns whether it counts as in use, and adds its charge. */
static bool settle(lg_class *cls, bool on_file, uint64_t index, uint64_t *charge)
{
    lg_descriptor *region = lg_descriptor_at(cls, index);
    lg_batch one = lg_batch_of(index);
    uint64_t state = lg_load_relaxed_64(&region->state);
    bool in_dirty = lg_bitmap_has(&cls->pools[LG_DIRTY_POOL], index);
    bool in_clean = lg_bitmap_has(&cls->pools[LG_CLEAN_POOL], index);
    if (on_file) {
        if (in_dirty)
            (void)lg_pool_claim_mask(NULL, cls, LG_DIRTY_POOL, one);
        if (in_clean)
            (void)lg_pool_claim_mask(NULL, cls, LG_CLEAN_POOL, one);
        lg_store_relaxed_64(&region->state, lg_state_is_in_use(state) ? LG_LOST : LG_CLEAN);
        lg_store_relaxed_32(&region->has_blocks, 0);
        return false;
    }
    if (state == lg_state_sealed(lg_region_address(cls, index)) && !lg_seal_settle(cls, index))
        return false;
    if (lg_state_is_in_use(state)) {
        *charge += lg_class_size(cls);
        return true;
    }
    /* A thread that vanished had it in its hands. */
    if (!in_dirty && !in_clean)
        lg_pool_give(NULL, cls, state == LG_CLEAN ? LG_CLEAN_POOL : LG_DIRTY_POOL, one);
    if (state != LG_CLEAN)
        *charge += lg_class_size(cls);
    return false;
}

/* The parent's pages are not in this process (or must not stay there). Nobody else may get the addresses as long as somebody
 * may touch or free what was lost. */
static void lose_or_free(lg_class *cls, uint64_t chunk, uint64_t chunks, bool lost)
{
    uint64_t first = lg_chunk_first_region(cls, chunk);
    bool ours = lg_backing_close_hole(chunk, chunks);
    for (uint64_t i = first; LG_ASAN && i < first + lg_chunk_regions(cls); i++)
        lg_unpoison(lg_region_address(cls, i), lg_class_size(cls));
    if (lost || !ours) /* without a reservation anything may come to lie there */
        lg_chunks_lose(chunk, chunks);
    else
        lg_chunks_set_backing(chunk, chunks, LG_AREA_NONE, 0);
}

uint64_t lg_chunks_forked(lg_class *cls, uint64_t counted_in_use)
{
    uint64_t charge = 0, in_use = 0;
    uint64_t chunks = lg_class_chunks(cls);
    for (uint64_t chunk = 0; chunk < lg_chunks_high();) {
        uint32_t word = lg_chunk_word(chunk);
        if (lg_chunk_class(word) != cls) {
            chunk++;
            continue;
        }
        if (lg_chunk_kind(word) != LG_AREA_LOST) {
            bool on_file = lg_chunk_kind(word) == LG_AREA_FILE, lost = false;
            uint64_t first = lg_chunk_first_region(cls, chunk);
            for (uint64_t i = first; i < first + lg_chunk_regions(cls); i++) {
                in_use += settle(cls, on_file, i, &charge);
                lost = lost || lg_load_relaxed_64(&lg_descriptor_at(cls, i)->state) == LG_LOST;
            }
            if (on_file)
                lose_or_free(cls, chunk, chunks, lost);
        }
        chunk += chunks;
    }
    lg_counter_add(&cls->lost, counted_in_use - in_use);
    return charge;
}
