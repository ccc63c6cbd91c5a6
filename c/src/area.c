#include "area.h"

#include "area_table.h"
#include "config.h"
#include "os.h"
#include "probe.h"

#define FIRST_AREA (32 * LG_MIB)
#define LARGEST_AREA (1 * LG_GIB)

/* Clearing takes one system call per this many bytes. With files the kernel holds the file's lock meanwhile, and
 * faults in the same file wait for it: on ext4 (Linux 6.18) 99.9 percent of another thread's faults took at most 2 to
 * 4 ms with steps of 2, 8 and 32 MiB, 15 ms with 128 MiB, and 60 ms and more with one call for a GiB; calm 1 ms. The 32
 * calls per GiB cost nothing measurable there. Faults in anonymous memory don't wait, and a GiB of it in huge pages
 * takes only 3 ms: with 32 MiB 6 percent more than with one call, with 128 MiB 2 percent. */
#define CLEAR_STEP_FILE (32 * LG_MIB)
#define CLEAR_STEP_ANONYMOUS (128 * LG_MIB)

lg_a64 lg_in_use_lost[LG_CLASS_COUNT];
lg_a64 lg_advise_failures;
lg_a64 lg_clear_failures;

static bool advise_area(enum lg_system_call advice, void *addr, size_t len)
{
    if (lg_os_advise(advice, addr, len) == 0)
        return true;
    lg_add_relaxed_64(&lg_advise_failures, 1);
    return false;
}

/* Whether a piece goes into core files. */
static void advise_dump(void *addr, size_t len, bool included)
{
    if (lg_os_core_dump(addr, len, included) != 0)
        lg_add_relaxed_64(&lg_advise_failures, 1);
}

/* ---- mapping */

/* Everything that is aligned to the larger of a region and a huge page stays so. */
static uint64_t granule(unsigned class_index)
{
    return lg_max(lg_class_size(class_index), LG_HUGE_PAGE);
}

static uint64_t planned_len(const lg_class_areas *areas, unsigned class_index)
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
static bool place(const lg_class_areas *areas, unsigned class_index, uint64_t wanted, size_t *out_at,
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
static int back_with_file(lg_class_areas *areas, unsigned class_index, lg_area *area)
{
    uint64_t size = lg_areas_file_end(areas, &area->file);
    if (area->start + area->len > size) {
        int error = lg_file_truncate(&area->file, area->start + area->len);
        if (error != 0)
            return error;
    }
    char *addr = lg_area_address(class_index, area->start);
    int error = lg_file_map(&area->file, addr, area->len, area->start);
    if (error != 0)
        return error;
    area->inherited = !advise_area(LG_SYS_ADVISE_DONTFORK, addr, area->len);
    if (LG_OPTION(core_dump) == 0)
        advise_dump(addr, area->len, false);
    return 0;
}

static int back_with_memory(unsigned class_index, const lg_area *area)
{
    char *addr = lg_area_address(class_index, area->start);
    int error = lg_os_commit(addr, area->len);
    if (error != 0)
        return error;
    (void)lg_os_name(addr, area->len, "lgalloc"); /* older kernels have no names; nothing is lost */
    /* Only for classes of at least a huge page: clearing a part of one would just split it. */
    if (LG_OPTION(huge_pages) == 0)
        (void)lg_os_no_huge_pages(addr, area->len); /* a kernel without them refuses; fine */
    else if (lg_class_size(class_index) >= LG_HUGE_PAGE)
        (void)advise_area(LG_SYS_ADVISE_HUGE, addr, area->len);
    if (LG_OPTION(core_dump) == 0)
        advise_dump(addr, area->len, false);
    return 0;
}

/* One attempt, with an area of at most `wanted` bytes. */
static int map_piece(lg_class_areas *areas, unsigned class_index, uint64_t wanted, lg_area *out)
{
    lg_area area = {.file = LG_NO_FILE, .kind = (uint16_t)LG_OPTION(backing)};
    size_t at;
    if (!place(areas, class_index, wanted, &at, &area.start, &area.len))
        return LG_EXHAUSTED;
    int error = lg_areas_make_room(areas, class_index);
    if (error == 0)
        error = lg_pools_commit(class_index);
    if (error == 0)
        error = lg_stripe_extend(class_index, (area.start + area.len) >> (class_index + LG_CLASS_MIN));
    if (error == 0 && area.kind == LG_AREA_FILE) {
        error = lg_areas_open_file(areas);
        if (error == 0) {
            area.file = areas->file;
            error = back_with_file(areas, class_index, &area);
            if (error != 0)
                lg_areas_trim_file(areas, &area.file);
        }
    } else if (error == 0) {
        error = back_with_memory(class_index, &area);
    }
    if (error != 0)
        return error;
    lg_areas_insert(areas, at, &area);
    *out = area;
    return 0;
}

int lg_area_map(unsigned class_index, uint64_t *out_first, uint64_t *out_count)
{
    LG_ASSERT(lg_lock_held(LG_RANK_CLASS + class_index));
    lg_class_areas *areas = lg_areas_of(class_index);
    uint64_t wanted = planned_len(areas, class_index);
    uint64_t least = granule(class_index);
    lg_area area;
    int error = map_piece(areas, class_index, wanted, &area);
    /* A system that refuses much may still grant little. */
    if (error != 0 && error != LG_EXHAUSTED && error != ENOENT && wanted > least)
        error = map_piece(areas, class_index, least, &area);
    if (error != 0) {
        LG_PROBE4(area_map, lg_class_size(class_index), 0, 0, error);
        return error;
    }
    areas->last_len = area.len;
    LG_PROBE4(area_map, lg_class_size(class_index), lg_area_address(class_index, area.start), area.len, 0);
    for (uint64_t at = area.start; LG_ASAN && at < area.start + area.len; at += lg_class_size(class_index))
        lg_poison(lg_area_address(class_index, at), lg_class_size(class_index));
    *out_first = area.start >> (class_index + LG_CLASS_MIN);
    *out_count = area.len >> (class_index + LG_CLASS_MIN);
    return 0;
}

void lg_area_set_core_dump(unsigned class_index, bool included)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    lg_lock_acquire(&areas->lock);
    for (size_t i = 0; i < areas->records; i++)
        if (areas->table[i].kind != LG_AREA_LOST)
            advise_dump(lg_area_address(class_index, areas->table[i].start), areas->table[i].len, included);
    lg_lock_release(&areas->lock);
}

int lg_area_reserve_blocks(unsigned class_index, const lg_area *area, uint64_t offset, uint64_t len)
{
    if (area->kind != LG_AREA_FILE)
        return 0;
    int error = lg_file_allocate_blocks(&area->file, offset, len);
    if (error != EBADF)
        return error;
    /* The program has closed the descriptor, but the mapping is there: what writes to all pages finds out as well, with
     * memory in place of blocks alone. */
    error = lg_os_advise(LG_SYS_ADVISE_POPULATE, lg_area_address(class_index, offset), len);
    return error == EFAULT ? ENOSPC : error == EINVAL ? EOPNOTSUPP : error; /* a SIGBUS it would have been; Linux 5.14 */
}

/* ---- giving back */

int lg_area_clear(unsigned class_index, const lg_area *area, uint64_t offset, uint64_t len)
{
    enum lg_system_call advice = area->kind == LG_AREA_FILE ? LG_SYS_ADVISE_REMOVE : LG_SYS_ADVISE_DISCARD;
    uint64_t most = area->kind == LG_AREA_FILE ? CLEAR_STEP_FILE : CLEAR_STEP_ANONYMOUS;
    while (len != 0) {
        uint64_t step = lg_min(len, most);
        int error = lg_os_advise(advice, lg_area_address(class_index, offset), step);
        /* So memory that the process has locked is refused; the file itself may still be punched. */
        if (error == EINVAL && area->kind == LG_AREA_FILE && lg_file_punch(&area->file, offset, step) == 0)
            error = 0;
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
static bool empty_out(const lg_class_areas *areas, unsigned class_index, const lg_area *area, bool *out_cut)
{
    *out_cut = false;
    if (area->kind != LG_AREA_FILE)
        return true; /* unmapping is enough */
    int error = lg_file_punch(&area->file, area->start, area->len);
    if (error == EBADF) /* the mapping is still there */
        error = lg_area_clear(class_index, area, area->start, area->len);
    if (error == 0)
        return true;
    lg_add_relaxed_64(&lg_clear_failures, 1);
    /* A file system without holes: cutting the file's end off works everywhere. */
    *out_cut = lg_areas_file_end(areas, &area->file) == area->start + area->len &&
               lg_file_truncate(&area->file, area->start) == 0;
    return *out_cut;
}

/* Takes a free area, whose regions were claimed, out of the world; false if it has to stay. */
static bool take_down(lg_class_areas *areas, unsigned class_index, size_t at, bool dirty)
{
    lg_area area = areas->table[at];
    bool cut = false;
    if (dirty && !empty_out(areas, class_index, &area, &cut))
        return false;
    if (lg_os_unmap(lg_area_address(class_index, area.start), area.len) == 0) {
        lg_areas_remove(areas, at);
        lg_areas_trim_file(areas, &area.file);
        return true;
    }
    if (!cut || lg_file_truncate(&area.file, area.start + area.len) == 0)
        return false;
    /* It can neither be unmapped nor used: it ends here, and its addresses with it. */
    lg_areas_lose(areas, at);
    lg_areas_trim_file(areas, &area.file);
    return true;
}

bool lg_area_release(unsigned class_index, uint64_t start, uint64_t *out_dirty_bytes)
{
    lg_class_areas *areas = lg_areas_of(class_index);
    *out_dirty_bytes = 0;
    lg_lock_acquire(&areas->lock);
    size_t at = lg_areas_find(areas, start);
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
                LG_PROBE4(area_release, lg_class_size(class_index), lg_area_address(class_index, area.start), area.len,
                          *out_dirty_bytes);
                lg_discharge(*out_dirty_bytes);
            } else {
                unclaim(class_index, first, count);
            }
        }
    }
    lg_lock_release(&areas->lock);
    return done;
}
