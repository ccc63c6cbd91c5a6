#include "area.h"

#include <limits.h>

#include "config.h"
#include "os.h"

_Static_assert(sizeof(lg_area) <= LG_AREA_BYTES, "a record fits its slot in the layout");

#define FIRST_AREA (32 * LG_MIB)
#define LARGEST_AREA (1 * LG_GIB)

/* Clearing takes one system call per this many bytes. With files the kernel holds the file's lock meanwhile, and
 * faults in the same file wait for it: on ext4 (Linux 6.18) 99.9 percent of another thread's faults took at most 2 to
 * 4 ms with steps of 2, 8 and 32 MiB, 15 ms with 128 MiB, and 60 ms and more with one call for a GiB; calm 1 ms. The 32
 * calls per GiB cost nothing measurable there. Faults in anonymous memory don't wait, and a GiB of it in huge pages
 * takes only 3 ms: with 32 MiB 6 percent more than with one call, with 128 MiB 2 percent. */
#define CLEAR_STEP_FILE (32 * LG_MIB)
#define CLEAR_STEP_ANONYMOUS (128 * LG_MIB)

/* Counts are written under the lock and read without. */
typedef struct class_areas {
    lg_lock lock;
    lg_area *table; /* const after init: by address */
    size_t committed; /* bytes of the table that are usable */
    lg_a64 count;   /* records in the table, lost ones not counted */
    size_t records; /* records in the table */
    lg_a64 bytes;   /* of all areas but lost ones */
    lg_a64 released;
    uint64_t last_len; /* of the area mapped last; 0 before the first */
    int fd;            /* where the next area of a file comes from; -1: to be opened */
    uint32_t path;     /* the number of its directory's name */
} class_areas;

static class_areas classes[LG_CLASS_COUNT];

lg_a64 lg_in_use_lost[LG_CLASS_COUNT];
lg_a64 lg_advise_failures;
lg_a64 lg_clear_failures;

void lg_areas_init(void)
{
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        class_areas *areas = &classes[c];
        lg_lock_init(&areas->lock, LG_RANK_CLASS + c);
        areas->table = lg_layout_.areas[c];
        areas->fd = -1;
    }
}

lg_lock *lg_class_lock(unsigned class_index)
{
    return &classes[class_index].lock;
}

static void advise_area(enum lg_system_call advice, void *addr, size_t len)
{
    if (lg_os_advise(advice, addr, len) != 0)
        lg_add_relaxed_64(&lg_advise_failures, 1);
}

static char *address_of(unsigned class_index, uint64_t offset)
{
    return (char *)lg_stripe_of(class_index)->base + offset;
}

/* ---- the table */

/* The position of the first area that ends after `offset`. */
static size_t find(const class_areas *areas, uint64_t offset)
{
    size_t low = 0, high = areas->records;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (areas->table[middle].start + areas->table[middle].len <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int make_room(class_areas *areas, unsigned class_index)
{
    if (areas->records == lg_layout_.areas_max[class_index])
        return LG_EXHAUSTED;
    size_t wanted = (areas->records + 1) * sizeof(lg_area);
    if (wanted <= areas->committed)
        return 0;
    size_t page = lg_os_page_size();
    int error = lg_metadata_commit((char *)areas->table + areas->committed, page);
    if (error == 0)
        areas->committed += page;
    return error;
}

static void insert(class_areas *areas, size_t at, const lg_area *area)
{
    memmove(&areas->table[at + 1], &areas->table[at], (areas->records - at) * sizeof(lg_area));
    areas->table[at] = *area;
    areas->records++;
    lg_bump(&areas->count, 1);
    lg_bump(&areas->bytes, area->len);
}

/* The area goes, but nobody gets its addresses again. */
static void lose(class_areas *areas, size_t at)
{
    areas->table[at].kind = LG_AREA_LOST;
    areas->table[at].fd = -1;
    lg_bump(&areas->count, (uint64_t)-1);
    lg_bump(&areas->bytes, (uint64_t)0 - areas->table[at].len);
}

static void remove_at(class_areas *areas, size_t at)
{
    lg_bump(&areas->count, (uint64_t)-1);
    lg_bump(&areas->bytes, (uint64_t)0 - areas->table[at].len);
    areas->records--;
    memmove(&areas->table[at], &areas->table[at + 1], (areas->records - at) * sizeof(lg_area));
    if (areas->records == 0)
        areas->last_len = 0;
}

/* ---- files */

/* The end of the last area in this file; 0 if there is none. */
static uint64_t file_end(const class_areas *areas, int fd)
{
    uint64_t end = 0;
    for (size_t i = 0; i < areas->records; i++)
        if (areas->table[i].fd == fd)
            end = areas->table[i].start + areas->table[i].len;
    return end;
}

/* A file without areas is closed, which gives back all that it held; one with areas shrinks to their end. */
static void trim_file(class_areas *areas, int fd)
{
    if (fd < 0)
        return;
    uint64_t end = file_end(areas, fd);
    if (end != 0) {
        (void)lg_os_truncate(fd, end);
        return;
    }
    lg_os_close(fd);
    if (areas->fd == fd)
        areas->fd = -1;
}

/* Makes areas->fd a file in the configured directory. */
static int open_file(class_areas *areas)
{
    char path[PATH_MAX];
    uint32_t number = lg_config_path(path);
    if (number == 0)
        return ENOENT;
    if (areas->fd >= 0 && areas->path == number)
        return 0;
    int fd;
    int error = lg_os_open_unlinked(path, &fd);
    if (error != 0)
        return error;
    int old = areas->fd;
    areas->fd = fd;
    areas->path = number;
    if (old >= 0 && file_end(areas, old) == 0)
        lg_os_close(old);
    return 0;
}

/* ---- mapping */

/* Everything that is aligned to the larger of a region and a huge page stays so. */
static uint64_t granule(unsigned class_index)
{
    return lg_max(lg_class_size(class_index), LG_HUGE_PAGE);
}

static uint64_t planned_len(const class_areas *areas, unsigned class_index)
{
    uint64_t unit = granule(class_index);
    uint64_t first = lg_max(FIRST_AREA, unit);
    uint64_t most = lg_max(LARGEST_AREA, unit);
    uint64_t dampener = LG_OPTION(growth_dampener);
    uint64_t growth = dampener == UINT64_MAX ? 0 : areas->last_len / (dampener + 1);
    uint64_t len = areas->last_len + lg_max(first, growth);
    return lg_min(len & ~(unit - 1), most);
}

/* Where the next area goes: the lowest addresses that none has, at most `wanted` bytes of them. */
static bool place(const class_areas *areas, unsigned class_index, uint64_t wanted, size_t *out_at,
                  uint64_t *out_start, uint64_t *out_len)
{
    uint64_t start = 0;
    for (size_t i = 0; i <= areas->records; i++) {
        uint64_t end = i < areas->records ? areas->table[i].start : lg_layout_.stripe_bytes;
        if (end > start) {
            *out_at = i;
            *out_start = start;
            *out_len = lg_min(wanted, end - start);
            return *out_len >= lg_class_size(class_index);
        }
        if (i < areas->records)
            start = areas->table[i].start + areas->table[i].len;
    }
    return false;
}

/*
 * The kernel reads a file around a page that is touched first, so that neighbours which are clean get pages in the
 * page cache too: zeros without disk blocks, not mapped, and the first to go when memory is short. MADV_RANDOM would
 * prevent that. It isn't used, because of this (ext4, Linux 6.18, readahead of 8 MiB; times are per GiB):
 *
 *                                              without         with MADV_RANDOM
 *     first touch, in order                    0.3 s           1.5 to 1.9 s
 *     reading what was paged out, in order     0.3 to 0.6 s    22 to 25 s
 *     page cache after one page was touched    8 MiB           4 KiB
 *
 * Where touching goes on in order, ext4's pages are larger ones, up to 2 MiB, and a write takes a whole one, with its
 * memory and disk blocks. Regions of 2 MiB and more share none. Of smaller ones a clean neighbour may be taken so: all
 * together 3 MiB at most where regions of 64 KiB were taken, written, freed and cleared at random, 512 MiB of them; but
 * nearly everything where one page in every 2 MiB was written, in order, of a file that held nothing. What was taken
 * so reads as zero all the same, and goes with the area at the latest.
 */
static int back_with_file(class_areas *areas, unsigned class_index, const lg_area *area)
{
    uint64_t size = file_end(areas, area->fd);
    if (area->start + area->len > size) {
        int error = lg_os_truncate(area->fd, area->start + area->len);
        if (error != 0)
            return error;
    }
    char *addr = address_of(class_index, area->start);
    int error = lg_os_map_file(addr, area->len, area->fd, area->start);
    if (error != 0)
        return error;
    advise_area(LG_SYS_ADVISE_DONTFORK, addr, area->len);
    return 0;
}

static int back_with_memory(unsigned class_index, const lg_area *area)
{
    char *addr = address_of(class_index, area->start);
    int error = lg_os_commit(addr, area->len);
    if (error != 0)
        return error;
    (void)lg_os_name(addr, area->len, "lgalloc"); /* older kernels have no names; nothing is lost */
    /* Only for classes of at least a huge page: clearing a part of one would just split it. */
    if (LG_OPTION(huge_pages) == 0)
        (void)lg_os_no_huge_pages(addr, area->len); /* a kernel without them refuses; fine */
    else if (lg_class_size(class_index) >= LG_HUGE_PAGE)
        advise_area(LG_SYS_ADVISE_HUGE, addr, area->len);
    return 0;
}

/* One attempt, with an area of at most `wanted` bytes. */
static int map_piece(class_areas *areas, unsigned class_index, uint64_t wanted, lg_area *out)
{
    lg_area area = {.fd = -1, .kind = (uint32_t)LG_OPTION(backing)};
    size_t at;
    if (!place(areas, class_index, wanted, &at, &area.start, &area.len))
        return LG_EXHAUSTED;
    int error = make_room(areas, class_index);
    if (error == 0)
        error = lg_pools_commit(class_index);
    if (error == 0)
        error = lg_stripe_extend(class_index, (area.start + area.len) >> (class_index + LG_CLASS_MIN));
    if (error == 0 && area.kind == LG_AREA_FILE) {
        error = open_file(areas);
        if (error == 0) {
            area.fd = areas->fd;
            error = back_with_file(areas, class_index, &area);
            if (error != 0)
                trim_file(areas, area.fd);
        }
    } else if (error == 0) {
        error = back_with_memory(class_index, &area);
    }
    if (error != 0)
        return error;
    insert(areas, at, &area);
    *out = area;
    return 0;
}

int lg_area_map(unsigned class_index, uint64_t *out_first, uint64_t *out_count)
{
    LG_ASSERT(lg_lock_held(LG_RANK_CLASS + class_index));
    class_areas *areas = &classes[class_index];
    uint64_t wanted = planned_len(areas, class_index);
    uint64_t least = granule(class_index);
    lg_area area;
    int error = map_piece(areas, class_index, wanted, &area);
    /* A system that refuses much may still grant little. */
    if (error != 0 && error != LG_EXHAUSTED && error != ENOENT && wanted > least)
        error = map_piece(areas, class_index, least, &area);
    if (error != 0)
        return error;
    areas->last_len = area.len;
    for (uint64_t at = area.start; LG_ASAN && at < area.start + area.len; at += lg_class_size(class_index))
        lg_poison(address_of(class_index, at), lg_class_size(class_index));
    *out_first = area.start >> (class_index + LG_CLASS_MIN);
    *out_count = area.len >> (class_index + LG_CLASS_MIN);
    return 0;
}

bool lg_area_next(unsigned class_index, uint64_t offset, lg_area *out)
{
    class_areas *areas = &classes[class_index];
    if (lg_load_relaxed_64(&areas->count) == 0)
        return false;
    lg_lock_acquire(&areas->lock);
    size_t at = find(areas, offset);
    while (at < areas->records && areas->table[at].kind == LG_AREA_LOST)
        at++;
    bool found = at < areas->records;
    if (found)
        *out = areas->table[at];
    lg_lock_release(&areas->lock);
    return found;
}

void lg_area_note(unsigned class_index, const lg_area *area)
{
    class_areas *areas = &classes[class_index];
    lg_lock_acquire(&areas->lock);
    size_t at = find(areas, area->start);
    if (at < areas->records && areas->table[at].start == area->start && areas->table[at].len == area->len) {
        areas->table[at].idle_ticks = area->idle_ticks;
        areas->table[at].clear_wait = area->clear_wait;
        areas->table[at].clear_backoff = area->clear_backoff;
    }
    lg_lock_release(&areas->lock);
}

/* ---- giving back */

int lg_area_clear(unsigned class_index, const lg_area *area, uint64_t offset, uint64_t len)
{
    enum lg_system_call advice = area->kind == LG_AREA_FILE ? LG_SYS_ADVISE_REMOVE : LG_SYS_ADVISE_DISCARD;
    uint64_t most = area->kind == LG_AREA_FILE ? CLEAR_STEP_FILE : CLEAR_STEP_ANONYMOUS;
    while (len != 0) {
        uint64_t step = lg_min(len, most);
        int error = lg_os_advise(advice, address_of(class_index, offset), step);
        if (error != 0)
            return error;
        offset += step;
        len -= step;
    }
    return 0;
}

bool lg_area_is_free(unsigned class_index, const lg_area *area)
{
    uint64_t first = area->start >> (class_index + LG_CLASS_MIN);
    uint64_t count = area->len >> (class_index + LG_CLASS_MIN);
    while (count != 0) {
        lg_batch batch = lg_batch_split(&first, &count);
        uint64_t free_now = lg_bitmap_word(&lg_dirty[class_index].regions, batch.word) |
                            lg_bitmap_word(&lg_clean[class_index].regions, batch.word);
        if ((batch.mask & ~free_now) != 0)
            return false;
    }
    return true;
}

/* Regions [first, first + count) that were claimed return to the pools they came from. */
static void unclaim(unsigned class_index, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++) {
        bool clean = lg_load_relaxed_64(&lg_region_at(class_index, i)->state) == LG_CLEAN;
        lg_pool_give(NULL, clean ? &lg_clean[class_index] : &lg_dirty[class_index], class_index, lg_batch_of(i));
    }
}

/* Claims all regions of an area, or none. */
static bool claim_all(unsigned class_index, const lg_area *area, uint64_t *out_dirty)
{
    uint64_t first = area->start >> (class_index + LG_CLASS_MIN);
    uint64_t count = area->len >> (class_index + LG_CLASS_MIN);
    uint64_t next = first, left = count;
    *out_dirty = 0;
    while (left != 0) {
        uint64_t done = count - left;
        lg_batch all = lg_batch_split(&next, &left);
        lg_batch dirty = lg_pool_claim_mask(NULL, &lg_dirty[class_index], class_index, all);
        lg_batch rest = {all.word, all.mask & ~dirty.mask};
        lg_batch clean = {all.word, 0};
        if (rest.mask != 0)
            clean = lg_pool_claim_mask(NULL, &lg_clean[class_index], class_index, rest);
        *out_dirty += lg_batch_count(dirty);
        if (clean.mask != rest.mask) {
            lg_pool_give(NULL, &lg_dirty[class_index], class_index, dirty);
            lg_pool_give(NULL, &lg_clean[class_index], class_index, clean);
            unclaim(class_index, first, done);
            return false;
        }
    }
    return true;
}

/* Gives back what the dirty regions of a free area hold. *out_cut: the file now ends before the area. */
static bool empty_out(const class_areas *areas, const lg_area *area, bool *out_cut)
{
    *out_cut = false;
    if (area->kind != LG_AREA_FILE)
        return true; /* unmapping is enough */
    if (lg_os_punch(area->fd, area->start, area->len) == 0)
        return true;
    lg_add_relaxed_64(&lg_clear_failures, 1);
    /* A file system without holes: cutting the file's end off works everywhere. */
    *out_cut = file_end(areas, area->fd) == area->start + area->len &&
               lg_os_truncate(area->fd, area->start) == 0;
    return *out_cut;
}

/* Takes a free area, whose regions were claimed, out of the world; false if it has to stay. */
static bool take_down(class_areas *areas, unsigned class_index, size_t at, bool dirty)
{
    lg_area area = areas->table[at];
    bool cut = false;
    if (dirty && !empty_out(areas, &area, &cut))
        return false;
    if (lg_os_unmap(address_of(class_index, area.start), area.len) == 0) {
        remove_at(areas, at);
        trim_file(areas, area.fd);
        return true;
    }
    if (!cut || lg_os_truncate(area.fd, area.start + area.len) == 0)
        return false;
    /* It can neither be unmapped nor used: it ends here, and its addresses with it. */
    lose(areas, at);
    trim_file(areas, area.fd);
    return true;
}

bool lg_area_release(unsigned class_index, uint64_t start, uint64_t *out_dirty_bytes)
{
    class_areas *areas = &classes[class_index];
    *out_dirty_bytes = 0;
    lg_lock_acquire(&areas->lock);
    size_t at = find(areas, start);
    bool done = false;
    if (at < areas->records && areas->table[at].start == start && areas->table[at].kind != LG_AREA_LOST) {
        lg_area area = areas->table[at];
        uint64_t first = area.start >> (class_index + LG_CLASS_MIN);
        uint64_t count = area.len >> (class_index + LG_CLASS_MIN);
        uint64_t dirty;
        if (lg_area_is_free(class_index, &area) && claim_all(class_index, &area, &dirty)) {
            done = take_down(areas, class_index, at, dirty != 0);
            if (done) {
                if (dirty != 0)
                    for (uint64_t i = first; i < first + count; i++) {
                        lg_store_relaxed_64(&lg_region_at(class_index, i)->state, LG_CLEAN);
                        lg_store_relaxed_32(&lg_region_at(class_index, i)->has_blocks, 0);
                    }
                lg_bump(&areas->released, 1);
                *out_dirty_bytes = dirty << (class_index + LG_CLASS_MIN);
                lg_discharge(*out_dirty_bytes);
            } else {
                unclaim(class_index, first, count);
            }
        }
    }
    lg_lock_release(&areas->lock);
    return done;
}

/* ---- figures */

uint64_t lg_area_count(unsigned class_index)
{
    return lg_load_relaxed_64(&classes[class_index].count);
}

uint64_t lg_area_bytes(unsigned class_index)
{
    return lg_load_relaxed_64(&classes[class_index].bytes);
}

uint64_t lg_area_released(unsigned class_index)
{
    return lg_load_relaxed_64(&classes[class_index].released);
}

int lg_area_file_usage(unsigned class_index, uint64_t *out_files, uint64_t *out_size, uint64_t *out_allocated)
{
    class_areas *areas = &classes[class_index];
    *out_files = *out_size = *out_allocated = 0;
    if (lg_load_relaxed_64(&areas->count) == 0)
        return 0;
    int error = 0;
    lg_lock_acquire(&areas->lock);
    for (size_t i = 0; i < areas->records && error == 0; i++) {
        int fd = areas->table[i].fd;
        bool seen = fd < 0;
        for (size_t j = 0; j < i && !seen; j++)
            seen = areas->table[j].fd == fd;
        if (seen)
            continue;
        uint64_t size, allocated;
        error = lg_os_file_usage(fd, &size, &allocated);
        if (error == 0) {
            *out_files += 1;
            *out_size += size;
            *out_allocated += allocated;
        }
    }
    lg_lock_release(&areas->lock);
    return error;
}

/* ---- fork */

/* Settles one region in the child. Returns whether it counts as in use, and adds its charge. */
static bool settle(unsigned class_index, const lg_area *area, uint64_t index, uint64_t *charge)
{
    lg_region *region = lg_region_at(class_index, index);
    lg_batch one = lg_batch_of(index);
    uint64_t state = lg_load_relaxed_64(&region->state);
    bool in_dirty = lg_bitmap_has(&lg_dirty[class_index].regions, index);
    bool in_clean = lg_bitmap_has(&lg_clean[class_index].regions, index);
    if (area->kind == LG_AREA_FILE) {
        if (in_dirty)
            (void)lg_pool_claim_mask(NULL, &lg_dirty[class_index], class_index, one);
        if (in_clean)
            (void)lg_pool_claim_mask(NULL, &lg_clean[class_index], class_index, one);
        lg_store_relaxed_64(&region->state, lg_state_is_in_use(state) ? LG_LOST : LG_CLEAN);
        lg_store_relaxed_32(&region->has_blocks, 0);
        return false;
    }
    if (lg_state_is_in_use(state)) {
        *charge += lg_class_size(class_index);
        return true;
    }
    /* A thread that vanished had it in its hands. */
    if (!in_dirty && !in_clean)
        lg_pool_give(NULL, state == LG_CLEAN ? &lg_clean[class_index] : &lg_dirty[class_index], class_index, one);
    if (state != LG_CLEAN)
        *charge += lg_class_size(class_index);
    return false;
}

uint64_t lg_area_forked(unsigned class_index, uint64_t counted_in_use)
{
    class_areas *areas = &classes[class_index];
    uint64_t charge = 0, in_use = 0;
    for (size_t at = 0; at < areas->records;) {
        lg_area *area = &areas->table[at];
        if (area->kind == LG_AREA_LOST) {
            at++;
            continue;
        }
        uint64_t first = area->start >> (class_index + LG_CLASS_MIN);
        uint64_t count = area->len >> (class_index + LG_CLASS_MIN);
        bool lost = false;
        for (uint64_t i = first; i < first + count; i++) {
            in_use += settle(class_index, area, i, &charge);
            lost = lost || lg_load_relaxed_64(&lg_region_at(class_index, i)->state) == LG_LOST;
        }
        if (area->kind != LG_AREA_FILE) {
            at++;
            continue;
        }
        /* The parent's pages are not in this process (or must not stay there); nobody else may get the
         * addresses as long as somebody may touch or free what was lost. */
        bool ours = lg_os_unmap(address_of(class_index, area->start), area->len) == 0;
        for (uint64_t at_region = area->start; LG_ASAN && at_region < area->start + area->len;
             at_region += lg_class_size(class_index))
            lg_unpoison(address_of(class_index, at_region), lg_class_size(class_index));
        int fd = area->fd;
        for (size_t i = at; i < areas->records; i++)
            if (areas->table[i].fd == fd)
                areas->table[i].fd = -1;
        if (fd >= 0) {
            lg_os_close(fd);
            if (areas->fd == fd)
                areas->fd = -1;
        }
        if (lost || !ours) { /* without a reservation anything may come to lie there */
            lose(areas, at);
            at++;
        } else {
            remove_at(areas, at);
        }
    }
    lg_store_relaxed_64(&lg_in_use_lost[class_index],
                        lg_load_relaxed_64(&lg_in_use_lost[class_index]) + counted_in_use - in_use);
    return charge;
}
