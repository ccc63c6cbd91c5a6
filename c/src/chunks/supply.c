#include "supply.h"

#include "../base/atomic.h"
#include "../base/die.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/probe.h"
#include "../regions/arena.h"
#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/size_class.h"
#include "backing.h"
#include "choose.h"
#include "chunk.h"
#include "claim.h"
#include "tail.h"

#define LARGEST_MAPPING (1 * LG_GIB)

/* ---- what is known of a chunk's memory, whatever its class */

#define UNITS (LG_CHUNK >> LG_CLASS_MIN) /* of the smallest region's size */

typedef struct contents {
    uint64_t dirty[UNITS / 64];  /* may hold memory */
    uint64_t blocks[UNITS / 64]; /* its disk blocks are known to be reserved */
} contents;

static void mark(uint64_t *units, uint64_t first, uint64_t count)
{
    while (count != 0) {
        lg_batch batch = lg_batch_split(&first, &count);
        units[batch.word] |= batch.mask;
    }
}

static bool any(const uint64_t *units, uint64_t first, uint64_t count)
{
    uint64_t found = 0;
    while (count != 0) {
        lg_batch batch = lg_batch_split(&first, &count);
        found |= units[batch.word] & batch.mask;
    }
    return found != 0;
}

static bool all(const uint64_t *units, uint64_t first, uint64_t count)
{
    uint64_t missing = 0;
    while (count != 0) {
        lg_batch batch = lg_batch_split(&first, &count);
        missing |= batch.mask & ~units[batch.word];
    }
    return missing == 0;
}

/* Units of a chunk that a region of the class takes. */
static uint64_t units_of(lg_class *cls)
{
    return lg_min(lg_class_size(cls), LG_CHUNK) >> LG_CLASS_MIN;
}

static void look_at(lg_class *cls, uint64_t chunk, contents *out)
{
    uint64_t first = lg_chunk_first_region(cls, chunk), count = lg_chunk_regions(cls);
    uint64_t units = units_of(cls);
    memset(out, 0, sizeof(*out));
    for (uint64_t i = 0; i < count; i++) {
        const lg_descriptor *region = lg_descriptor_at(cls, first + i);
        if (lg_load_relaxed_64(&region->state) != LG_CLEAN)
            mark(out->dirty, i * units, units);
        if ((lg_load_relaxed_32(&region->has_blocks) & LG_BLOCKS_RESERVED) != 0)
            mark(out->blocks, i * units, units);
    }
}

/* Bytes of the regions that would be dirty. */
static uint64_t dirty_bytes(lg_class *cls, const contents *of)
{
    uint64_t units = units_of(cls), bytes = 0;
    for (uint64_t unit = 0; unit < UNITS; unit += units)
        bytes += any(of->dirty, unit, units) ? units << LG_CLASS_MIN : 0;
    return bytes;
}

/* The look at all chunks takes 4 ns for each, which 8,192 chunks in use make 34 µs: a refill from the clean pool needn't
 * pay that where the summaries of the pools say that nothing of other classes is dirty there. */
static bool others_are_dirty(const lg_class *cls)
{
    LG_EACH_CLASS(other)
        if (other != cls && !lg_pool_is_empty(other, LG_DIRTY_POOL))
            return true;
    return false;
}

bool lg_supply_might(lg_class *cls)
{
    lg_choice ignored;
    return others_are_dirty(cls) && lg_choose(cls, true, &ignored);
}

/* ---- changing the class */

/* Of the chunks [first, end) of a run those that are of one class and are claimed together: the range of chunks that
 * its regions take, which may be more than the run; and the class. */
typedef struct part {
    uint64_t first, end;
    lg_class *cls; /* NULL: not mapped */
} part;

static part part_at(uint64_t chunk, uint64_t end)
{
    part p = {chunk, chunk + 1, lg_chunk_class(lg_chunk_word(chunk))};
    if (p.cls == NULL) {
        while (p.end < end && lg_chunk_kind(lg_chunk_word(p.end)) == LG_AREA_NONE)
            p.end++;
        return p;
    }
    p.first = lg_chunk_first(p.cls, chunk);
    p.end = p.first + lg_class_chunks(p.cls);
    return p;
}

static bool claim_part(part p, uint64_t *out_dirty)
{
    *out_dirty = 0;
    return p.cls == NULL ||
           lg_supply_claim(p.cls, lg_chunk_first_region(p.cls, p.first), lg_chunk_regions(p.cls), out_dirty);
}

static void unclaim(uint64_t first, uint64_t end)
{
    for (uint64_t chunk = first; chunk < end;) {
        part p = part_at(chunk, end);
        if (p.cls != NULL)
            lg_supply_give(p.cls, lg_chunk_first_region(p.cls, p.first), lg_chunk_regions(p.cls));
        chunk = p.end;
    }
}

/* All regions in chunks [first, end), or none. *out_dirty: bytes of the dirty ones, within that range. */
static bool claim_range(uint64_t first, uint64_t end, uint64_t *out_dirty)
{
    *out_dirty = 0;
    for (uint64_t chunk = first; chunk < end;) {
        part p = part_at(chunk, end);
        uint64_t dirty;
        if (!claim_part(p, &dirty)) {
            unclaim(first, chunk);
            return false;
        }
        if (dirty != 0 && lg_class_chunks(p.cls) == 1)
            *out_dirty += lg_class_bytes(p.cls, dirty);
        else if (dirty != 0)
            *out_dirty += (lg_min(p.end, end) - lg_max(p.first, first)) << LG_CHUNK_LOG2;
        chunk = p.end;
    }
    return true;
}

/* Maps what isn't yet of claimed chunks [first, end). */
static int map_gaps(uint64_t first, uint64_t end, enum lg_area_kind kind)
{
    uint64_t mapped_to = first;
    int error = 0;
    for (uint64_t chunk = first; chunk < end && error == 0;) {
        part p = part_at(chunk, end);
        if (p.cls == NULL)
            error = lg_backing_map(p.first, p.end - p.first, kind, true);
        chunk = p.end;
        if (error == 0)
            mapped_to = chunk;
    }
    if (error == 0)
        return 0;
    /* Those before are free chunks without a class: as such they go. */
    for (uint64_t chunk = first; chunk < mapped_to; chunk++)
        if (lg_chunk_kind(lg_chunk_word(chunk)) != LG_AREA_NONE && lg_chunk_bin_offset(lg_chunk_word(chunk)) == 0 &&
            lg_backing_unmap(chunk, 1, false) == 0)
            lg_chunks_lose(chunk, 1);
    return error;
}

/* What the charge is to become, from `before` to `after`: the caller's hand first. */
static bool charge_more(uint64_t before, uint64_t after, uint64_t *hand)
{
    uint64_t more = after - before; /* regions that become larger ones take what was clean with them */
    uint64_t from_hand = lg_min(more, *hand);
    if (more != from_hand && !lg_charge(more - from_hand))
        return false;
    *hand -= from_hand;
    return true;
}

/* The chunks [first, end) of a claimed large region that nobody takes become regions of one chunk each. */
static void leave_rest(uint64_t first, uint64_t end, bool dirty)
{
    if (first == end)
        return;
    lg_supply_found(LG_CHUNK_CLASS, first, end - first, dirty);
    lg_supply_give(LG_CHUNK_CLASS, first, end - first);
}

/* Claimed chunks of one class lose it. Returns whether they hold memory; those of a large region which are outside of
 * [first, end) go to the pools. */
static bool take_out(part p, uint64_t first, uint64_t end, bool *out_blocks)
{
    bool dirty = false;
    *out_blocks = true;
    if (lg_class_chunks(p.cls) == 1) {
        contents of;
        look_at(p.cls, p.first, &of);
        dirty = any(of.dirty, 0, UNITS);
        *out_blocks = all(of.blocks, 0, UNITS);
        lg_supply_dissolve(p.cls, p.first, 1);
        return dirty;
    }
    const lg_descriptor *region = lg_descriptor_at(p.cls, lg_chunk_first_region(p.cls, p.first));
    dirty = lg_load_relaxed_64(&region->state) != LG_CLEAN;
    *out_blocks = (lg_load_relaxed_32(&region->has_blocks) & LG_BLOCKS_RESERVED) != 0;
    lg_supply_dissolve(p.cls, p.first, p.end - p.first);
    leave_rest(p.first, lg_max(p.first, lg_min(first, p.end)), dirty);
    leave_rest(lg_min(p.end, lg_max(end, p.first)), p.end, dirty);
    return dirty;
}

/* Chunks that were chosen for what they hold may have been cleared meanwhile: what is clean takes a charge. */
static bool is_paid(lg_class *cls, uint64_t before, uint64_t hand)
{
    return before != 0 || hand >= lg_class_size(cls);
}

/* A chunk, or the first of a large region's, becomes one of a class of a chunk or less. */
static bool change_chunk(lg_class *cls, size_t bytes, uint64_t chunk, uint64_t *hand)
{
    part p = part_at(chunk, chunk + 1);
    uint64_t before;
    if (!claim_range(chunk, chunk + 1, &before))
        return false;
    contents of;
    bool large = lg_class_chunks(p.cls) != 1, blocks;
    if (!large)
        look_at(p.cls, chunk, &of);
    else
        memset(&of, before != 0 ? 0xff : 0, sizeof(of)); /* its blocks: see below */
    /* What a larger one of one chunk is left with needs descriptors too. */
    if (!is_paid(cls, before, *hand) || lg_supply_extend(cls, chunk, 1) != 0 ||
        (large && lg_supply_extend(LG_CHUNK_CLASS, p.first, p.end - p.first) != 0) ||
        !charge_more(before, dirty_bytes(cls, &of), hand)) {
        unclaim(chunk, chunk + 1);
        return false;
    }
    (void)take_out(p, chunk, chunk + 1, &blocks);
    if (large)
        memset(of.blocks, blocks ? 0xff : 0, sizeof(of.blocks));
    lg_supply_describe(cls, chunk, 1);
    uint64_t units = units_of(cls);
    uint64_t first = lg_chunk_first_region(cls, chunk);
    uint64_t kept = lg_min(lg_tail_begin(cls, bytes) >> LG_CLASS_MIN, units);
    for (uint64_t i = 0; i < lg_chunk_regions(cls); i++) {
        uint64_t tail = i * units + kept, tail_units = units - kept;
        uint32_t known = all(of.blocks, i * units, units) ? LG_BLOCKS_RESERVED : 0;
        if (any(of.dirty, tail, tail_units) &&
            lg_tail_give_back((chunk << LG_CHUNK_LOG2) + (tail << LG_CLASS_MIN), tail_units << LG_CLASS_MIN))
            known = lg_tail_note(cls, kept << LG_CLASS_MIN);
        lg_supply_set_region(cls, first + i, any(of.dirty, i * units, units), known);
    }
    lg_chunks_set_class(chunk, 1, cls);
    lg_backing_advise(chunk, 1, lg_class_size(cls) >= LG_HUGE_PAGE);
    return true;
}

/* A run becomes one region of a large class. */
static bool change_run(lg_class *cls, size_t bytes, const lg_choice *run, uint64_t *hand)
{
    uint64_t first = run->first, end = first + lg_class_chunks(cls);
    uint64_t before;
    if (lg_chunks_reach(end) != 0 || !claim_range(first, end, &before))
        return false;
    bool dirty = before != 0, blocks = true;
    part outer = part_at(first, end);
    bool part_of_larger = outer.cls != NULL && outer.end - outer.first > end - first;
    uint64_t charged = *hand;
    if (!is_paid(cls, before, *hand) || lg_supply_extend(cls, first, end - first) != 0 ||
        (part_of_larger && lg_supply_extend(LG_CHUNK_CLASS, outer.first, outer.end - outer.first) != 0) ||
        !charge_more(before, dirty ? lg_class_size(cls) : 0, hand)) {
        unclaim(first, end);
        return false;
    }
    if (run->mapped != end - first &&
        map_gaps(first, end, run->mapped != 0 ? run->kind : lg_backing_configured()) != 0) {
        uint64_t more = (dirty ? lg_class_size(cls) : 0) - before;
        uint64_t from_hand = charged - *hand;
        lg_discharge(more - from_hand);
        *hand = charged;
        unclaim(first, end);
        return false;
    }
    uint32_t mapping = lg_chunk_note(first)->mapping;
    bool one_mapping = true;
    for (uint64_t chunk = first, next; chunk < end; chunk = next) {
        part p = part_at(chunk, end);
        bool has_blocks = false;
        next = chunk + 1;
        one_mapping = one_mapping && lg_chunk_note(chunk)->mapping == mapping;
        if (p.cls == NULL) {
            blocks = false;
            one_mapping = false;
            continue;
        }
        next = p.end;
        (void)take_out(p, first, end, &has_blocks);
        blocks = blocks && has_blocks;
    }
    if (!one_mapping)
        lg_chunks_set_mapping(first, end - first, lg_chunks_new_mapping());
    uint64_t kept = lg_tail_begin(cls, bytes);
    uint32_t known = blocks ? LG_BLOCKS_RESERVED : 0;
    if (dirty && lg_tail_give_back((first << LG_CHUNK_LOG2) + kept, lg_class_size(cls) - kept))
        known = lg_tail_note(cls, kept);
    lg_supply_set_region(cls, lg_chunk_first_region(cls, first), dirty, known);
    lg_chunks_set_class(first, end - first, cls);
    lg_backing_advise(first, end - first, true);
    return true;
}

/* What others take from a chunk while it is chosen makes another the best. */
#define TRIES 16

bool lg_supply_changed(lg_class *cls, size_t bytes, bool held, uint64_t *hand, uint64_t *out_first, uint64_t *out_count)
{
    LG_ASSERT(lg_lock_held(LG_RANK_ARENA));
    for (unsigned tries = 0; tries < TRIES; tries++) {
        lg_choice best;
        if (!lg_choose(cls, held, &best))
            return false;
        if (lg_class_chunks(cls) == 1 ? change_chunk(cls, bytes, best.first, hand)
                                      : change_run(cls, bytes, &best, hand)) {
            *out_first = lg_chunk_first_region(cls, best.first);
            *out_count = lg_chunk_regions(cls);
            LG_PROBE4(chunk_change, lg_class_size(cls), lg_arena_address(best.first << LG_CHUNK_LOG2),
                      (uint64_t)lg_class_chunks(cls) << LG_CHUNK_LOG2, held);
            return true;
        }
    }
    return false;
}

/* ---- new mappings */

static uint64_t planned_len(lg_class *cls)
{
    uint64_t unit = lg_max(lg_class_size(cls), LG_CHUNK);
    uint64_t last_len = cls->last_mapped;
    uint64_t most = lg_max(LARGEST_MAPPING, unit);
    uint64_t dampener = LG_OPTION(growth_dampener);
    uint64_t growth = dampener == UINT64_MAX ? 0 : last_len / (dampener + 1);
    uint64_t len = last_len + lg_max(unit, growth);
    return lg_min(len & ~(unit - 1), most);
}

/* Where it goes: the lowest addresses for one region that nothing is mapped at, and what is free behind it, in whole
 * regions, at most `wanted` chunks. */
static bool place(lg_class *cls, uint64_t wanted, uint64_t *out_first, uint64_t *out_count)
{
    uint64_t chunks = lg_class_chunks(cls);
    uint64_t high = lg_chunks_high();
    for (uint64_t first = 0; first + chunks <= lg_layout_.chunks; first += chunks) {
        uint64_t end = first;
        while (end < lg_layout_.chunks && end - first < wanted &&
               (end >= high || lg_chunk_kind(lg_chunk_word(end)) == LG_AREA_NONE))
            end++;
        *out_first = first;
        *out_count = (end - first) & ~(chunks - 1);
        if (*out_count != 0)
            return true;
        if (end > first)
            first = end & ~(chunks - 1);
    }
    return false;
}

static int map_piece(lg_class *cls, uint64_t wanted, uint64_t *out_first_chunk, uint64_t *out_chunks)
{
    uint64_t first, chunks;
    if (!place(cls, wanted >> LG_CHUNK_LOG2, &first, &chunks))
        return LG_EXHAUSTED;
    int error = lg_supply_extend(cls, first, chunks);
    if (error == 0)
        error = lg_backing_map(first, chunks, lg_backing_configured(), lg_class_size(cls) >= LG_HUGE_PAGE);
    if (error != 0)
        return error;
    lg_chunks_set_mapping(first, chunks, lg_chunks_new_mapping());
    *out_first_chunk = first;
    *out_chunks = chunks;
    return 0;
}

int lg_supply_mapped(lg_class *cls, uint64_t *out_first, uint64_t *out_count)
{
    LG_ASSERT(lg_lock_held(LG_RANK_ARENA));
    uint64_t wanted = planned_len(cls);
    uint64_t least = lg_max(lg_class_size(cls), LG_CHUNK);
    uint64_t first, chunks;
    int error = map_piece(cls, wanted, &first, &chunks);
    /* A system that refuses much may still grant little. */
    if (error != 0 && error != LG_EXHAUSTED && error != ENOENT && wanted > least)
        error = map_piece(cls, least, &first, &chunks);
    if (error != 0) {
        LG_PROBE4(area_map, lg_class_size(cls), 0, 0, error);
        return error;
    }
    LG_PROBE4(area_map, lg_class_size(cls), lg_arena_address(first << LG_CHUNK_LOG2), chunks << LG_CHUNK_LOG2, 0);
    lg_supply_describe(cls, first, chunks);
    lg_supply_found(cls, first, chunks, false);
    cls->last_mapped = chunks << LG_CHUNK_LOG2;
    *out_first = lg_chunk_first_region(cls, first);
    *out_count = lg_regions_in(cls, chunks);
    return 0;
}
