/* The world of the explored library: see world.h. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hot.h"
#include "api/init.h"
#include "base/atomic.h"
#include "base/barrier.h"
#include "base/hot_flags.h"
#include "chunks/chunk.h"
#include "flow/thread_cache.h"
#include "observe/verify.h"
#include "regions/arena.h"
#include "regions/bitmap.h"
#include "regions/class.h"
#include "regions/deque.h"
#include "regions/descriptor.h"
#include "regions/pool.h"
#include "regions/thread.h"

#define UNITS 1024 /* of the smallest class's size */
#define CHUNKS 2
#define FILES 64
#define LAST_FREES 16
#define NOBODY 0
#define LOST 255 /* in the child of a fork: its memory stayed with the parent */

/* Memory is looked at in units, whatever class a region is of. */
static struct {
    uint8_t owner[UNITS];   /* thread + 1 */
    uint8_t mapped[UNITS];  /* 0: not; 1: anonymous; fd + 2 */
    bool holds[UNITS];      /* anonymous memory */
    struct {
        unsigned by;
        uint64_t store;
    } used[UNITS]; /* when its last user wrote to it */
    struct {
        bool open;
        bool holds[UNITS];
    } files[FILES];
    int file_count;
    /* Calls under way, and regions that have an owner, also by chunk. */
    unsigned owned[WORLD_CLASSES];
    unsigned busy[WORLD_CLASSES][CHUNKS];
    struct {
        unsigned class_index;
        unsigned chunk;
        uint64_t store;
    } last_frees[XP_THREADS][LAST_FREES]; /* which others may not see yet */
    unsigned free_count[XP_THREADS];
    int taking[XP_THREADS + 1];           /* class + 1 */
    bool could_not[XP_THREADS + 1];       /* there was no region for the taker at some moment */
    size_t worst_bytes[XP_THREADS + 1];   /* not available to it at the worst moment */
    size_t limit;
    bool forked;
    const void *gone; /* the arena that a child that starts over leaves behind */
} world;

int (*world_fault_plan)(unsigned call);

int world_fault(unsigned call)
{
    return world_fault_plan != NULL ? world_fault_plan(call) : 0;
}

static size_t size_of(unsigned class_index)
{
    return (size_t)1 << (class_index + LGALLOC_SIZE_CLASS_MIN_LOG2);
}

static unsigned regions_of(unsigned class_index)
{
    return (unsigned)(WORLD_ARENA / size_of(class_index));
}

/* ---- where an address is */

typedef struct span {
    unsigned first, count; /* units */
} span;

static span find(const void *addr, size_t len)
{
    size_t offset = (size_t)((const char *)addr - lg_arena_address(0));
    XP_CHECK(offset < WORLD_ARENA && "the address is in the arena");
    XP_CHECK(len != 0 && len <= WORLD_ARENA - offset && "the range is in the arena");
    span s = {(unsigned)(offset / size_of(0)), 0};
    s.count = (unsigned)((offset + len - 1) / size_of(0)) + 1 - s.first;
    return s;
}

static unsigned chunk_of(span s)
{
    return (unsigned)(s.first * size_of(0) / WORLD_CHUNK);
}

static unsigned class_of(size_t len)
{
    return (unsigned)__builtin_ctzl(len) - LGALLOC_SIZE_CLASS_MIN_LOG2;
}

static bool *holds(unsigned unit)
{
    uint8_t how = world.mapped[unit];
    return how >= 2 ? &world.files[how - 2].holds[unit] : &world.holds[unit];
}

/* Regions that have an owner, or are on their way from one to the library. */
static void note_busy(unsigned class_index, span s, bool more)
{
    unsigned chunks = size_of(class_index) > WORLD_CHUNK ? CHUNKS : 1;
    for (unsigned i = 0; i < chunks; i++)
        world.busy[class_index][chunk_of(s) + i] += more ? 1u : (unsigned)-1;
}

/* ---- system calls: others may go on before each */

void world_mapped(const void *addr, size_t len, int fd, uint64_t offset)
{
    xp_point();
    span s = find(addr, len);
    xp_say("maps units", s.first, s.count);
    XP_CHECK(fd < 0 || offset == (uint64_t)s.first * size_of(0));
    XP_CHECK(fd < 0 || (fd < world.file_count && world.files[fd].open));
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.owner[i] == NOBODY && "memory is mapped over a region in use");
        XP_CHECK(world.mapped[i] == 0 && "memory is mapped over a chunk that is there");
        world.mapped[i] = (uint8_t)(fd < 0 ? 1 : fd + 2);
        if (fd < 0)
            world.holds[i] = false;
    }
}

/* A part of a region in use, in the child of a fork. */
static void lose(unsigned unit)
{
    unsigned class_index = lg_class_index(lg_class_of(lg_arena_address(unit * size_of(0))));
    world.owner[unit] = LOST;
    if (unit * size_of(0) % size_of(class_index) == 0) {
        world.owned[class_index]--;
        note_busy(class_index, (span){unit, 1}, false);
    }
}

void world_unmapped(const void *addr, size_t len)
{
    xp_point();
    span s = find(addr, len);
    xp_say("unmaps units", s.first, s.count);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        uint8_t *owner = &world.owner[i];
        if (world.forked && *owner != NOBODY && *owner != LOST && world.mapped[i] >= 2)
            lose(i);
        XP_CHECK((*owner == NOBODY || *owner == LOST) && "a region in use is unmapped");
        world.mapped[i] = 0;
    }
}

void world_cleared(const void *addr, size_t len)
{
    xp_point();
    span s = find(addr, len);
    xp_say("clears units", s.first, s.count);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.owner[i] == NOBODY && "the memory of a region in use is taken away");
        *holds(i) = false;
    }
}

int world_open(void)
{
    XP_CHECK(world.file_count < FILES);
    memset(&world.files[world.file_count], 0, sizeof(world.files[0]));
    world.files[world.file_count].open = true;
    return world.file_count++;
}

void world_close(int fd)
{
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open && "an open file is closed");
    world.files[fd].open = false;
}

static void lose_blocks(int fd, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < UNITS; i++) {
        uint64_t start = (uint64_t)i * size_of(0);
        if (start < from || start >= to)
            continue;
        XP_CHECK((world.owner[i] == NOBODY || world.mapped[i] != fd + 2) &&
                 "the file of a region in use loses its blocks");
        world.files[fd].holds[i] = false;
    }
}

void world_truncated(int fd, uint64_t size)
{
    xp_point();
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open);
    lose_blocks(fd, size, UINT64_MAX);
}

void world_punched(int fd, uint64_t offset, uint64_t len)
{
    xp_point();
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open);
    lose_blocks(fd, offset, offset + len);
}

void world_forked(void)
{
    world.forked = true;
    /* What a vanished thread was about to take or free belongs to nobody who could tell. */
    for (unsigned t = 0; t <= XP_THREADS; t++)
        world.taking[t] = 0;
}

/* The regions of before are where no map leads: in another reservation. */
void world_starts_over(void)
{
    world_forked();
    world.gone = lg_arena_address(0);
    memset(world.owner, NOBODY, sizeof(world.owner));
    memset(world.mapped, 0, sizeof(world.mapped));
    memset(world.holds, 0, sizeof(world.holds));
    memset(world.owned, 0, sizeof(world.owned));
}

/* ---- taking and freeing */

/* Whether `taker` could have a region of the class at this moment: not what is in use, on its way to others, or freed by
 * another thread whose store of that it may not see yet. A chunk with any such region of another class is out of the
 * question. Others who are taking may get any: a region of this class, or a chunk. */
static bool could_take(unsigned class_index, unsigned taker)
{
    unsigned blocked[CHUNKS] = {0}, own[CHUNKS] = {0};
    unsigned per_chunk = size_of(class_index) <= WORLD_CHUNK ? (unsigned)(WORLD_CHUNK / size_of(class_index)) : 1;
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
            *(c == class_index ? &own[chunk] : &blocked[chunk]) += world.busy[c][chunk];
    for (unsigned t = 0; t < XP_THREADS; t++)
        for (unsigned i = 0; t != taker && i < LAST_FREES && i < world.free_count[t]; i++) {
            unsigned c = world.last_frees[t][i].class_index;
            if (xp_is_visible(t, world.last_frees[t][i].store, taker))
                continue;
            *(c == class_index ? &own[world.last_frees[t][i].chunk] : &blocked[world.last_frees[t][i].chunk]) += 1;
            if (size_of(c) > WORLD_CHUNK)
                blocked[1] += c != class_index;
        }
    int there = 0;
    if (size_of(class_index) > WORLD_CHUNK)
        there = own[0] == 0 && blocked[0] == 0 && blocked[1] == 0;
    else
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
            there += blocked[chunk] == 0 ? (int)per_chunk - (int)lg_min(own[chunk], per_chunk) : 0;
    for (unsigned t = 0; t <= XP_THREADS; t++)
        if (t != taker && world.taking[t] != 0) {
            unsigned c = (unsigned)world.taking[t] - 1;
            there -= c == class_index ? 1 : (int)(size_of(c) > WORLD_CHUNK ? CHUNKS * per_chunk : per_chunk);
        }
    return there > 0;
}

static size_t busy_bytes(unsigned taker)
{
    size_t bytes = 0;
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
            bytes += world.busy[c][chunk] * lg_min(size_of(c), WORLD_CHUNK);
    for (unsigned t = 0; t <= XP_THREADS; t++)
        bytes += world.taking[t] != 0 ? size_of((unsigned)world.taking[t] - 1) : 0;
    for (unsigned t = 0; t < XP_THREADS; t++)
        for (unsigned i = 0; t != taker && i < LAST_FREES && i < world.free_count[t]; i++)
            if (!xp_is_visible(t, world.last_frees[t][i].store, taker))
                bytes += size_of(world.last_frees[t][i].class_index);
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

static void set_owner(span s, uint8_t owner)
{
    memset(&world.owner[s.first], owner, s.count);
}

static lgalloc_status allocate(unsigned class_index, lgalloc_handle *out_handle)
{
    return lgalloc_allocate(size_of(class_index), 1, 1, NULL, NULL, out_handle);
}

/* What comes after each search. */
static lgalloc_status hand_out(unsigned class_index, lg_region *region, lgalloc_handle *out_handle)
{
    bool clean;
    LG_COUNT_HOT(lg_self(), lg_class_at(class_index), allocations, 1);
    out_handle->len = size_of(class_index);
    XP_CHECK(lg_hot_use(region, &out_handle->len, &out_handle->ptr, &clean));
    return LGALLOC_STATUS_OK;
}

static lgalloc_status allocate_cached(unsigned class_index, lgalloc_handle *out_handle)
{
    uint64_t item;
    *out_handle = (lgalloc_handle){NULL, 0};
    if (!lg_deque_pop(&lg_bin_of(lg_self(), lg_class_at(class_index))->deque, lg_owners_fence(), &item))
        return LGALLOC_STATUS_DISABLED;
    return hand_out(class_index, lg_item_region(item), out_handle);
}

static lgalloc_status allocate_last(unsigned class_index, lgalloc_handle *out_handle)
{
    lg_region *region;
    int error;
    bool no_room;
    *out_handle = (lgalloc_handle){NULL, 0};
    lgalloc_status status = lg_cache_search_alone(lg_self(), lg_class_at(class_index), size_of(class_index), &region, &error, &no_room);
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
    XP_CHECK(handle.len == size_of(class_index) && (uintptr_t)handle.ptr % handle.len == 0);
    span s = find(handle.ptr, handle.len);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.mapped[i] != 0 && "a region that isn't mapped is handed out");
        XP_CHECK(world.owner[i] == NOBODY && "a region is handed out twice");
        XP_CHECK((world.forked || xp_is_visible(world.used[i].by, world.used[i].store, self)) &&
                 "a region's user may yet see what its last one wrote");
        *holds(i) = true;
    }
    set_owner(s, (uint8_t)(self + 1));
    xp_say("has taken class, unit", class_index, s.first);
    world.taking[self] = 0; /* only now: to find where it is others may have gone first */
    world.owned[class_index]++;
    note_busy(class_index, s, true);
    note_usage();
    if (world.limit != 0) {
        size_t bytes = 0;
        for (unsigned c = 0; c < WORLD_CLASSES; c++)
            bytes += world.owned[c] * size_of(c);
        XP_CHECK(bytes <= world.limit && "limit_bytes is a hard bound");
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
    span s = find(handle.ptr, handle.len);
    unsigned class_index = class_of(handle.len);
    uint8_t owner = world.owner[s.first];
    if (owner == LOST) {
        lgalloc_deallocate(handle);
        return;
    }
    XP_CHECK(owner != NOBODY && "the client frees what it has");
    set_owner(s, NOBODY);
    world.owned[class_index]--;
    note_usage();
    xp_say("frees class, unit", class_index, s.first);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        world.used[i].by = xp_self();
        world.used[i].store = xp_last_store();
    }
    lgalloc_deallocate(handle);
    xp_say("has freed class, unit", class_index, s.first);
    note_busy(class_index, s, false);
    unsigned self = xp_self();
    if (self != XP_MAIN) {
        unsigned i = world.free_count[self]++ % LAST_FREES;
        world.last_frees[self][i].class_index = class_index;
        world.last_frees[self][i].chunk = chunk_of(s);
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
        XP_CHECK((world.forked || stats[c].in_use_regions == world.owned[c]) &&
                 "the counters know what is in use");
    }
    for (unsigned i = 0; i < UNITS; i++) {
        if (world.mapped[i] == 0 || world.owner[i] != NOBODY || !*holds(i))
            continue;
        const lg_class *cls = lg_class_of(lg_arena_address(i * size_of(0)));
        uint64_t region = lg_class_regions(cls, i * size_of(0));
        i |= (unsigned)(lg_class_size(cls) / size_of(0)) - 1; /* once for each region */
        XP_CHECK(lg_load_relaxed_64(&lg_region_at(cls, region)->state) != LG_CLEAN && "a clean region holds memory");
    }
}

void world_check_end(void)
{
    world_check();
    for (unsigned i = 0; i < UNITS; i++) {
        if (world.owner[i] == NOBODY || world.owner[i] == LOST)
            continue;
        char *address = lg_arena_address(i * size_of(0));
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

static void apply(lgalloc_config *config)
{
    XP_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
}

void world_cache_regions(unsigned class_index, unsigned regions)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_local_buffer_bytes(config, regions * size_of(class_index));
    apply(config);
}

void world_limit(size_t bytes)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_limit_bytes(config, bytes);
    apply(config);
    world.limit = bytes;
}

void world_use_fences(void)
{
    lg_hot_set(LG_HOT_FENCE, true);
}

/* ---- the first state */

/* The library's variables (explore.ld), and those of each thread (base.h). */
extern char __start_lg_state[], __stop_lg_state[];
extern char __start_lg_locals[], __stop_lg_locals[];

static char *saved_state, *fresh_locals;

#define WRITTEN 65536
static struct {
    char *at;
    unsigned size;
} written[WRITTEN]; /* to metadata, by atomic operations */
static unsigned written_count;

static void note_written(void *at, unsigned size)
{
    if ((char *)at >= __start_lg_state && (char *)at < __stop_lg_state)
        return;
    if (written_count == WRITTEN)
        xp_fail("world.c: too many writes in one execution", NULL);
    written[written_count].at = at;
    written[written_count++].size = size;
}

static void describe(const void *at, char *text, size_t size)
{
    uintptr_t a = (uintptr_t)at;
    for (unsigned c = 0; c < WORLD_CLASSES; c++) {
        const lg_region *regions = lg_class_at(c)->regions;
        if (a >= (uintptr_t)regions && a < (uintptr_t)(regions + regions_of(c))) {
            size_t index = (a - (uintptr_t)regions) / sizeof(*regions);
            snprintf(text, size, "class %u region %zu %s", c, index,
                     at == &regions[index].state ? "state" : "has_blocks");
            return;
        }
        const char *words = (const char *)lg_class_at(c)->bitmap_words;
        size_t half = lg_bitmap_words(regions_of(c)) * sizeof(lg_a64);
        if (a >= (uintptr_t)words && a < (uintptr_t)words + 2 * half) {
            size_t offset = a - (uintptr_t)words;
            snprintf(text, size, "class %u %s bitmap word %zu", c, offset < half ? "dirty" : "clean",
                     offset % half / sizeof(lg_a64));
            return;
        }
    }
    const char *threads = lg_layout_.threads;
    if (a >= (uintptr_t)threads && a < (uintptr_t)threads + lg_layout_.threads_max * LG_THREAD_BYTES) {
        size_t id = (a - (uintptr_t)threads) / LG_THREAD_BYTES;
        const lg_thread *thread = (const lg_thread *)(const void *)(threads + id * LG_THREAD_BYTES);
        for (unsigned c = 0; c < WORLD_CLASSES; c++) {
            const lg_bin *bin = lg_bin_of((lg_thread *)(uintptr_t)thread, lg_class_at(c));
            const lg_local *local = &thread->classes[c];
            const char *what = at == &bin->deque.top      ? "top"
                               : at == &bin->deque.bottom ? "bottom"
                               : at == &bin->deque.room   ? "room"
                                                          : NULL;
            if (what != NULL) {
                snprintf(text, size, "record %zu class %u %s", id, c, what);
                return;
            }
            if (a >= (uintptr_t)local->ring && a < (uintptr_t)(local->ring + LG_DEQUE_ITEMS)) {
                snprintf(text, size, "record %zu class %u ring[%zu]", id, c,
                         (a - (uintptr_t)local->ring) / sizeof(lg_a64));
                return;
            }
        }
        snprintf(text, size, "record %zu %s+0x%zx", id, at == &thread->transit ? "transit " : "",
                 (size_t)(a - (uintptr_t)thread));
        return;
    }
    if (at == &lg_hot_flags)
        snprintf(text, size, "lg_hot_flags");
    else if (a >= (uintptr_t)__start_lg_state && a < (uintptr_t)__stop_lg_state)
        snprintf(text, size, "lg_state+0x%zx", (size_t)(a - (uintptr_t)__start_lg_state));
}

/* Between variables AddressSanitizer has put zones that memcpy() may not touch. */
__attribute__((no_sanitize("address"))) static void copy_words(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t))
        *(volatile uint64_t *)(void *)(to + i) = *(const volatile uint64_t *)(const void *)(from + i);
}

static void bring_up(void)
{
    size_t locals = (size_t)(__stop_lg_locals - __start_lg_locals);
    fresh_locals = malloc(locals);
    memcpy(fresh_locals, __start_lg_locals, locals);
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    XP_CHECK(lgalloc_config_with_path(config, "nowhere") == LGALLOC_STATUS_OK);
    apply(config);
    XP_CHECK(lg_init() == 0 && lg_layout_.arena_bytes == WORLD_ARENA);
    XP_CHECK(written_count == 0);
    size_t state = (size_t)(__stop_lg_state - __start_lg_state);
    saved_state = malloc(state);
    copy_words(saved_state, __start_lg_state, state);
    xp_describe = describe;
}

void world_reset(void)
{
    if (saved_state == NULL) {
        xp_written = note_written;
        bring_up();
    } else {
        for (unsigned i = 0; i < written_count; i++)
            memset(written[i].at, 0, written[i].size);
        world_clear_metadata();
        copy_words(__start_lg_state, saved_state, (size_t)(__stop_lg_state - __start_lg_state));
    }
    written_count = 0;
    memset(&world, 0, offsetof(__typeof__(world), files));
    world.file_count = 0;
    memset(&world.owned, 0, sizeof(world) - offsetof(__typeof__(world), owned));
    world_fault_plan = NULL;
}

void world_run(xp_program *program)
{
    program->reset = world_reset;
    program->locals = __start_lg_locals;
    program->locals_size = (size_t)(__stop_lg_locals - __start_lg_locals);
    if (saved_state == NULL) {
        /* The first reset brings the library up, for which there must be a program. */
        world_reset();
    }
    program->locals_fresh = fresh_locals;
}
