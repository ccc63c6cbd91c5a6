#include "verify.h"

#include "../base/atomic.h"
#include "../base/os.h"
#include "../base/process.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Where the regions of a class were found; from malloc, by index. */
enum place { NOWHERE = 0, IN_CACHE, IN_DIRTY, IN_CLEAN };

typedef struct census {
    unsigned char *place;
    uint64_t limit;
    uint64_t cached, dirty, clean, in_use; /* in use: sealed ones too, */
    uint64_t sealed, evicted;              /* which are resident or evicted */
    uint64_t lost;                         /* evicted, in the parent of a fork */
} census;

static const char *count_caches(lg_class *cls, census *seen)
{
    LG_EACH_THREAD(thread) {
        lg_bin *bin = lg_bin_of(thread, cls);
        uint64_t top = lg_load_relaxed_64(&bin->deque.top);
        uint64_t bottom = lg_load_relaxed_64(&bin->deque.bottom);
        if (bottom < top || bottom - top > LG_DEQUE_ITEMS)
            return "a deque's ends are impossible";
        if (lg_load_relaxed_32(&thread->transit) % 2 != 0)
            return "a thread is still in transit";
        for (uint64_t i = top; i < bottom; i++) {
            uint64_t item = lg_load_relaxed_64(&lg_local_of(thread, cls)->ring[i % LG_DEQUE_ITEMS]);
            uint64_t region = lg_descriptor_index(cls, lg_item_descriptor(item));
            if (region >= seen->limit || lg_descriptor_at(cls, region) != lg_item_descriptor(item))
                return "a cache holds a region that does not exist";
            if (seen->place[region] != NOWHERE)
                return "a region is in two caches";
            if (!lg_state_is_free(lg_load_relaxed_64(&lg_descriptor_at(cls, region)->state)))
                return "a cached region's state is not free";
            seen->place[region] = IN_CACHE;
            seen->cached++;
        }
    }
    return NULL;
}

static const char *count_pool(lg_class *cls, enum lg_pool pool, unsigned char where, census *seen, uint64_t *out_count)
{
    uint64_t counts[LG_CLASS_COUNT];
    lg_pools_count(pool, counts);
    for (uint64_t i = 0; i < seen->limit; i++) {
        if (!lg_bitmap_has(&cls->pools[pool], i))
            continue;
        if (seen->place[i] != NOWHERE)
            return "a pooled region is in another place as well";
        if (lg_load_relaxed_64(&lg_descriptor_at(cls, i)->state) !=
            (where == IN_CLEAN ? LG_CLEAN : lg_state_dirty(lg_region_address(cls, i))))
            return "a pooled region's state is not its pool's";
        seen->place[i] = where;
        *out_count += 1;
    }
    if (counts[lg_class_index(cls)] != *out_count)
        return "a pool's count is wrong";
    return lg_bitmap_sound(&cls->pools[pool], lg_class_room(cls)) ? NULL : "a bitmap's summary hides a region";
}

static bool holds_memory(void *addr, size_t len)
{
    size_t page = lg_os_page_size();
    unsigned char resident[256];
    for (size_t at = 0; at < len; at += sizeof(resident) * page) {
        size_t n = lg_min(len - at, sizeof(resident) * page);
        if (mincore((char *)addr + at, n, resident) != 0)
            return true;
        for (size_t i = 0; i < n / page; i++)
            if ((resident[i] & 1) != 0)
                return true;
    }
    return false;
}

static bool is_member(enum lg_seal_set set, lg_class *cls, uint64_t i)
{
    uint64_t found;
    return lg_class_is_evicted(cls) && lg_seal_set_next(set, cls, i, &found) && found == i;
}

/* While nobody is busy with any. */
static const char *count_sealed(lg_class *cls, uint64_t i, bool contents, census *seen)
{
    const lg_descriptor *region = lg_descriptor_at(cls, i);
    uint64_t word = lg_load_relaxed_64(&region->word);
    bool resident = lg_seal_kind(word) == LG_SEAL_RESIDENT, placed = (word & LG_SEAL_PLACED) != 0;
    bool freed = (word & LG_SEAL_FREED) != 0;
    if (!resident && lg_seal_kind(word) != LG_SEAL_EVICTED)
        return "a sealed region is neither resident nor evicted";
    if (freed && (resident || lg_seal_pins(word) != 0))
        return "a sealed region was freed, and somebody has it";
    if (!resident && (!lg_class_is_evicted(cls) || (!freed && !placed)))
        return "a region is evicted that can't be, or without a place";
    if (placed != (region->place.file != 0) && !freed)
        return "a sealed region's place isn't what its word says";
    if (is_member(LG_SEAL_CANDIDATES, cls, i) != (lg_class_is_evicted(cls) && (resident || freed)))
        return "the set of what may be evicted is wrong";
    if (contents && !resident && holds_memory(lg_region_address(cls, i), lg_class_size(cls)))
        return "an evicted region holds memory";
    seen->in_use++;
    seen->sealed += resident;
    seen->evicted += !resident;
    return NULL;
}

static const char *count_region(lg_class *cls, uint64_t i, bool contents, census *seen, uint64_t *placed)
{
    const lg_descriptor *region = lg_descriptor_at(cls, i);
    uint64_t state = lg_load_relaxed_64(&region->state);
    if (state == lg_state_sealed(lg_region_address(cls, i)) && seen->place[i] == NOWHERE)
        return count_sealed(cls, i, contents, seen);
    if (lg_load_relaxed_64(&region->word) != LG_SEAL_NONE || is_member(LG_SEAL_CANDIDATES, cls, i))
        return "a region that isn't sealed has the word of one, or is to be evicted";
    if (state == lg_state_in_use(lg_region_address(cls, i)) && seen->place[i] == NOWHERE)
        seen->in_use++;
    else if (state == LG_LOST && seen->place[i] == NOWHERE && lg_load_relaxed_64(&cls->lost) != 0)
        seen->lost++;
    else if (seen->place[i] == NOWHERE)
        return "a free region is in no place";
    else if (contents && seen->place[i] == IN_CLEAN && holds_memory(lg_region_address(cls, i), lg_class_size(cls)))
        return "a clean region holds memory";
    if (seen->place[i] != NOWHERE)
        *placed += 1;
    return NULL;
}

static const char *count_areas(lg_class *cls, bool contents, census *seen)
{
    uint64_t end = 0, areas = 0, bytes = 0, placed = 0;
    lg_area area;
    for (uint64_t offset = 0; lg_area_next(cls, offset, &area); offset = end) {
        if (area.start < end || area.len == 0)
            return "areas overlap or are not sorted";
        end = area.start + area.len;
        if (((area.start | area.len) & (lg_max(lg_class_size(cls), LG_CHUNK) - 1)) != 0)
            return "an area is not of whole regions and chunks";
        if (end > lg_layout_.arena_bytes || lg_class_regions(cls, end) > seen->limit)
            return "an area lies beyond the arena or its descriptors";
        areas++;
        bytes += area.len;
        const char *wrong = NULL;
        for (uint64_t i = lg_class_regions(cls, area.start); i < lg_class_regions(cls, end) && wrong == NULL; i++)
            wrong = count_region(cls, i, contents, seen, &placed);
        for (uint64_t at = area.start; at < end && wrong == NULL; at += LG_CHUNK)
            if (lg_backing_kind(at) != area.kind)
                wrong = "an area's chunks are of different kinds";
        if (wrong != NULL)
            return wrong;
    }
    if (placed != seen->cached + seen->dirty + seen->clean)
        return "a cache or pool holds a region outside of the class's chunks";
    if (areas != lg_area_count(cls) || bytes != lg_area_bytes(cls))
        return "the count or the bytes of the areas are wrong";
    if (bytes != lg_class_bytes(cls, placed + seen->in_use + seen->lost))
        return "area bytes are not (free + in use) * size";
    return NULL;
}

/* Descriptors of a class are vacant where the memory isn't its own. */
static const char *count_strangers(lg_class *cls, uint64_t limit)
{
    uint64_t chunks = lg_class_chunks(cls);
    for (uint64_t chunk = 0; chunk < lg_chunks_high(); chunk += chunks) {
        uint32_t word = lg_chunk_word(chunk);
        if (lg_chunk_class(word) == cls)
            continue;
        uint64_t first = lg_chunk_first_region(cls, chunk);
        for (uint64_t i = first; i < lg_min(first + lg_chunk_regions(cls), limit); i++)
            if (lg_load_relaxed_64(&lg_descriptor_at(cls, i)->state) != LG_CLEAN ||
                lg_load_relaxed_32(&lg_descriptor_at(cls, i)->has_blocks) != 0)
                return "a descriptor of another class is not vacant";
    }
    return NULL;
}

static const char *verify_chunks(void)
{
    for (uint64_t chunk = 0; chunk < lg_chunks_high(); chunk++) {
        uint32_t word = lg_chunk_word(chunk);
        bool mapped = lg_chunk_kind(word) == LG_AREA_FILE || lg_chunk_kind(word) == LG_AREA_ANONYMOUS;
        lg_class *cls = lg_chunk_class(word);
        if (mapped != (cls != NULL) && lg_chunk_kind(word) != LG_AREA_LOST)
            return "a chunk is mapped without a class, or has one and is not";
        if (cls == NULL || lg_class_chunks(cls) == 1)
            continue;
        uint64_t first = lg_chunk_first(cls, chunk);
        if (lg_chunk_class(lg_chunk_word(first)) != cls || lg_chunk_kind(lg_chunk_word(first)) != lg_chunk_kind(word))
            return "a part of a region's chunks is missing";
    }
    return NULL;
}

/* What all classes have together. */
typedef struct totals {
    uint64_t charge, sealed, evicted;
} totals;

static const char *verify_class(lg_class *cls, bool contents, totals *all)
{
    census seen = {.limit = lg_load_relaxed_64(&cls->limit)};
    if (seen.limit == 0)
        return lg_area_count(cls) == 0 ? NULL : "areas without descriptors";
    seen.place = calloc(seen.limit, 1);
    if (seen.place == NULL)
        return "no memory to verify";
    const char *wrong = count_caches(cls, &seen);
    if (wrong == NULL)
        wrong = count_pool(cls, LG_DIRTY_POOL, IN_DIRTY, &seen, &seen.dirty);
    if (wrong == NULL)
        wrong = count_pool(cls, LG_CLEAN_POOL, IN_CLEAN, &seen, &seen.clean);
    if (wrong == NULL)
        wrong = count_areas(cls, contents, &seen);
    if (wrong == NULL)
        wrong = count_strangers(cls, seen.limit);
    free(seen.place);
    if (wrong != NULL)
        return wrong;
    lgalloc_size_class_stats stats[LG_CLASS_COUNT];
    (void)lgalloc_stats(stats, LG_CLASS_COUNT);
    if (stats[lg_class_index(cls)].in_use_regions != seen.in_use)
        return "allocations less deallocations are not what is in use";
    if (stats[lg_class_index(cls)].free_regions != seen.cached + seen.dirty + seen.clean)
        return "the statistics' free regions are wrong";
    all->charge += lg_class_bytes(cls, seen.in_use - seen.evicted + seen.cached + seen.dirty);
    all->sealed += lg_class_bytes(cls, seen.sealed);
    all->evicted += lg_class_bytes(cls, seen.evicted);
    return NULL;
}

const char *lg_verify(bool contents, unsigned *out_log2)
{
    *out_log2 = LG_CLASS_MIN;
    if (!lg_ready())
        return NULL;
    if (!lg_threads_sound())
        return "a bitmap's summary hides a free thread record";
    const char *chunks = verify_chunks();
    if (chunks != NULL)
        return chunks;
    totals all = {0};
    LG_EACH_CLASS(cls) {
        const char *wrong = verify_class(cls, contents, &all);
        if (wrong != NULL) {
            *out_log2 = cls->log2;
            return wrong;
        }
    }
    if (all.sealed != lg_load_relaxed_64(&lg_sealed_bytes) || all.evicted != lg_load_relaxed_64(&lg_evicted_bytes))
        return "the bytes of sealed or evicted regions are wrong";
    return all.charge == lg_charged() ? NULL : "the charge is not in use, but for what is evicted, plus dirty";
}
