/* What clients do, and what must be true then: see world.h. */
#include "world.h"
#include "sealed.h"

#include <string.h>

#include "api/hot.h"
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/hot_flags.h"
#include "chunks/chunk.h"
#include "flow/thread_cache.h"
#include "observe/verify.h"
#include "regions/arena.h"
#include "regions/class.h"
#include "regions/deque.h"
#include "regions/descriptor.h"
#include "regions/pool.h"
#include "regions/thread.h"

/* ---- taking and freeing */

/* Whether `taker` could have a region of the class at this moment: not what is in use, on its way to others, or freed by
 * another thread whose store of that it may not see yet. A chunk with any such region of another class is out of the
 * question. Others who are taking may get any: a region of this class, or a chunk. */
static bool could_take(unsigned class_index, unsigned taker)
{
    unsigned blocked[WORLD_CHUNKS] = {0}, own[WORLD_CHUNKS] = {0};
    unsigned per_chunk = world_size_of(class_index) <= WORLD_CHUNK
                             ? (unsigned)(WORLD_CHUNK / world_size_of(class_index))
                             : 1;
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        for (unsigned chunk = 0; chunk < WORLD_CHUNKS; chunk++)
            *(c == class_index ? &own[chunk] : &blocked[chunk]) += world.busy[c][chunk];
    for (unsigned t = 0; t < XP_THREADS; t++)
        for (unsigned i = 0; t != taker && i < WORLD_LAST_FREES && i < world.free_count[t]; i++) {
            unsigned c = world.last_frees[t][i].class_index;
            if (xp_is_visible(t, world.last_frees[t][i].store, taker))
                continue;
            *(c == class_index ? &own[world.last_frees[t][i].chunk] : &blocked[world.last_frees[t][i].chunk]) += 1;
            if (world_size_of(c) > WORLD_CHUNK)
                blocked[1] += c != class_index;
        }
    int there = 0;
    if (world_size_of(class_index) > WORLD_CHUNK)
        there = own[0] == 0 && blocked[0] == 0 && blocked[1] == 0;
    else
        for (unsigned chunk = 0; chunk < WORLD_CHUNKS; chunk++)
            there += blocked[chunk] == 0 ? (int)per_chunk - (int)lg_min(own[chunk], per_chunk) : 0;
    for (unsigned t = 0; t <= XP_THREADS; t++)
        if (t != taker && world.taking[t] != 0) {
            unsigned c = (unsigned)world.taking[t] - 1;
            there -= c == class_index ? 1
                                      : (int)(world_size_of(c) > WORLD_CHUNK ? WORLD_CHUNKS * per_chunk : per_chunk);
        }
    return there > 0;
}

static size_t busy_bytes(unsigned taker)
{
    size_t bytes = 0;
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        for (unsigned chunk = 0; chunk < WORLD_CHUNKS; chunk++)
            bytes += world.busy[c][chunk] * lg_min(world_size_of(c), WORLD_CHUNK);
    for (unsigned t = 0; t <= XP_THREADS; t++)
        bytes += world.taking[t] != 0 ? world_size_of((unsigned)world.taking[t] - 1) : 0;
    for (unsigned t = 0; t < XP_THREADS; t++)
        for (unsigned i = 0; t != taker && i < WORLD_LAST_FREES && i < world.free_count[t]; i++)
            if (!xp_is_visible(t, world.last_frees[t][i].store, taker))
                bytes += world_size_of(world.last_frees[t][i].class_index);
    return bytes;
}

/* Updates what the takers under way could not have had at the worst moment. */
static void note_usage(void)
{
    for (unsigned t = 0; t <= XP_THREADS; t++) {
        if (world.taking[t] == 0)
            continue;
        size_t bytes = busy_bytes(t);
        if (world.worst_bytes[t] < bytes)
            world.worst_bytes[t] = bytes;
        if (!could_take((unsigned)world.taking[t] - 1, t))
            world.could_not[t] = true;
    }
}

static void check_refusal(unsigned self, lgalloc_status status)
{
    if (world_fault_plan != NULL || world.forked)
        return;
    XP_CHECK(status == LGALLOC_STATUS_OUT_OF_MEMORY && "nothing else can be wrong");
    bool no_room = world.limit != 0 && world.worst_bytes[self] > world.limit; /* this call itself is in it */
    XP_CHECK((world.could_not[self] || no_room) && "OUT_OF_MEMORY although there was a region all the time");
}

static void set_owner(world_span s, uint8_t owner)
{
    memset(&world.owner[s.first], owner, s.count);
}

static lgalloc_status allocate(unsigned class_index, lgalloc_handle *out_handle)
{
    return lgalloc_allocate(world_size_of(class_index), 1, 1, NULL, NULL, out_handle);
}

/* What comes after each search. */
static lgalloc_status hand_out(unsigned class_index, lg_descriptor *region, lgalloc_handle *out_handle)
{
    bool clean;
    LG_COUNT_HOT(lg_self(), lg_class_at(class_index), allocations, 1);
    out_handle->len = world_size_of(class_index);
    XP_CHECK(lg_hot_use(region, &out_handle->len, &out_handle->ptr, &clean));
    return LGALLOC_STATUS_OK;
}

static lgalloc_status allocate_cached(unsigned class_index, lgalloc_handle *out_handle)
{
    uint64_t item;
    *out_handle = (lgalloc_handle){NULL, 0};
    if (!lg_deque_pop(&lg_bin_of(lg_self(), lg_class_at(class_index))->deque, lg_owners_fence(), &item))
        return LGALLOC_STATUS_DISABLED;
    return hand_out(class_index, lg_item_descriptor(item), out_handle);
}

static lgalloc_status allocate_last(unsigned class_index, lgalloc_handle *out_handle)
{
    lg_descriptor *region;
    int error;
    bool no_room;
    *out_handle = (lgalloc_handle){NULL, 0};
    lgalloc_status status = lg_cache_search_alone(lg_self(), lg_class_at(class_index), world_size_of(class_index),
                                                  &region, &error, &no_room);
    return status == LGALLOC_STATUS_OK ? hand_out(class_index, region, out_handle) : status;
}

static lgalloc_handle take(unsigned class_index, lgalloc_status (*how)(unsigned, lgalloc_handle *))
{
    unsigned self = xp_self();
    lgalloc_handle handle;
    world.could_not[self] = false;
    world.worst_bytes[self] = 0;
    world.taking[self] = (int)class_index + 1;
    note_usage();
    xp_say("takes a region of class", class_index, 0);
    lgalloc_status status = how(class_index, &handle);
    if (status != LGALLOC_STATUS_OK) {
        world.taking[self] = 0;
        xp_say("is refused: class, status", class_index, (uint64_t)status);
        if (how != allocate_cached)
            check_refusal(self, status);
        XP_CHECK(handle.len == 0);
        return handle;
    }
    XP_CHECK(handle.len == world_size_of(class_index) && (uintptr_t)handle.ptr % handle.len == 0);
    world_span s = world_find(handle.ptr, handle.len);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.mapped[i] != 0 && "a region that isn't mapped is handed out");
        XP_CHECK(world.owner[i] == WORLD_NOBODY && "a region is handed out twice");
        XP_CHECK((world.forked || xp_is_visible(world.used[i].by, world.used[i].store, self)) &&
                 "a region's user may yet see what its last one wrote");
        *world_holds(i) = true;
    }
    set_owner(s, (uint8_t)(self + 1));
    xp_say("has taken class, unit", class_index, s.first);
    world.taking[self] = 0; /* only now: to find where it is others may have gone first */
    world.owned[class_index]++;
    world_note_busy(class_index, s, true);
    note_usage();
    if (world.limit != 0) {
        size_t bytes = 0;
        for (unsigned c = 0; c < WORLD_CLASSES; c++)
            bytes += world.owned[c] * world_size_of(c);
        XP_CHECK(bytes - world_guarded_bytes() <= world.limit && "limit_bytes is a hard bound");
    }
    return handle;
}

lgalloc_handle world_take(unsigned class_index)
{
    return take(class_index, allocate);
}

lgalloc_handle world_take_cached(unsigned class_index)
{
    return take(class_index, allocate_cached);
}

lgalloc_handle world_take_last(unsigned class_index)
{
    return take(class_index, allocate_last);
}

void world_free(lgalloc_handle handle)
{
    bool gone = world.gone != NULL && (uintptr_t)handle.ptr - (uintptr_t)world.gone < WORLD_ARENA;
    if (handle.len == 0 || gone) {
        lgalloc_deallocate(handle);
        return;
    }
    world_span s = world_find(handle.ptr, handle.len);
    unsigned class_index = world_class_of(handle.len);
    uint8_t owner = world.owner[s.first];
    if (owner == WORLD_LOST) {
        lgalloc_deallocate(handle);
        return;
    }
    XP_CHECK(owner != WORLD_NOBODY && "the client frees what it has");
    set_owner(s, WORLD_NOBODY);
    world.owned[class_index]--;
    note_usage();
    xp_say("frees class, unit", class_index, s.first);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        world.used[i].by = xp_self();
        world.used[i].store = xp_last_store();
    }
    lgalloc_deallocate(handle);
    xp_say("has freed class, unit", class_index, s.first);
    world_note_busy(class_index, s, false);
    unsigned self = xp_self();
    if (self != XP_MAIN) {
        unsigned i = world.free_count[self]++ % WORLD_LAST_FREES;
        world.last_frees[self][i].class_index = class_index;
        world.last_frees[self][i].chunk = world_chunk_of(s);
        world.last_frees[self][i].store = xp_last_store();
    }
}

/* ---- what must be true while no thread runs */

void world_check(void)
{
    unsigned log2;
    const char *wrong = lg_verify(false, &log2);
    if (wrong != NULL)
        xp_fail("the verifier", wrong);
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    (void)lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
    for (unsigned c = 0; c < WORLD_CLASSES; c++) {
        XP_CHECK((world.forked || stats[c].in_use_regions == world.owned[c]) && "the counters know what is in use");
    }
    for (unsigned i = 0; i < WORLD_UNITS; i++) {
        if (world.mapped[i] == 0 || world.owner[i] != WORLD_NOBODY || !*world_holds(i))
            continue;
        const lg_class *cls = lg_class_of(lg_arena_address(i * world_size_of(0)));
        uint64_t region = lg_class_regions(cls, i * world_size_of(0));
        i |= (unsigned)(lg_class_size(cls) / world_size_of(0)) - 1; /* once for each region */
        XP_CHECK(lg_load_relaxed_64(&lg_descriptor_at(cls, region)->state) != LG_CLEAN &&
                 "a clean region holds memory");
    }
}

void world_check_end(void)
{
    world_check();
    for (unsigned i = 0; i < WORLD_UNITS; i++) {
        if (world.owner[i] == WORLD_NOBODY || world.owner[i] == WORLD_LOST)
            continue;
        char *address = lg_arena_address(i * world_size_of(0));
        world_free((lgalloc_handle){address, lg_class_size(lg_class_of(address))});
    }
    world_fault_plan = NULL;
    lgalloc_thread_flush();
    (void)lgalloc_purge();
    world_check();
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    XP_CHECK((world.forked || global.area_bytes == 0) && "a chunk is left though nothing is in use");
    XP_CHECK(global.area_bytes != 0 || (lg_charged() == 0 && global.dirty_bytes == 0));
}

/* ---- options */

void world_apply(lgalloc_config *config)
{
    XP_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
}

void world_cache_regions(unsigned class_index, unsigned regions)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_local_buffer_bytes(config, regions * world_size_of(class_index));
    world_apply(config);
}

void world_limit(size_t bytes)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_limit_bytes(config, bytes);
    world_apply(config);
    world.limit = bytes;
}

void world_use_fences(void)
{
    lg_hot_set(LG_HOT_FENCE, true);
}
