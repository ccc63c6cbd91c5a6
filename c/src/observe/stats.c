/* Statistics: the one list of counters, added up over thread records. */
#include "../api/handle.h"
#include "../api/heap.h"
#include "../base/atomic.h"
#include "../base/metadata.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/process.h"
#include "../chunks/arena_file.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../flow/evict.h"
#include "../flow/thread_cache.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/counters.h"
#include "../regions/deque.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "../store/spill.h"

#include <stdlib.h>

/* ---- fast: counters */

static void add_counters(lgalloc_size_class_stats *stats, const lg_hot_counters *hot, const lg_rare_counters *rare)
{
#define X(name) stats->name += lg_load_relaxed_64(&hot->name);
    LG_HOT_COUNTERS(X)
#undef X
#define X(name) stats->name += lg_load_relaxed_64(&rare->name);
    LG_RARE_COUNTERS(X)
#undef X
}

/* Never below 0: two figures that belong together may be read at different moments. */
static size_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Thread records lie far apart: they are gone through one after the other, not once for each class. */
static void add_threads(lgalloc_size_class_stats *stats, unsigned classes)
{
    const uint32_t wanted = ((uint32_t)1 << classes) - 1;
    LG_EACH_THREAD(thread) {
        for (uint32_t left = lg_thread_used(thread) & wanted; left != 0;) {
            const lg_class *cls = lg_next_class(&left);
            const lg_bin *bin = lg_bin_of(thread, cls);
            lgalloc_size_class_stats *of_class = &stats[lg_class_index(cls)];
            add_counters(of_class, &bin->hot, &lg_local_of(thread, cls)->rare);
            of_class->thread_regions += lg_deque_count(&bin->deque);
        }
    }
}

/* Of the smallest `classes` size classes. */
static void collect(lgalloc_size_class_stats *out_stats, unsigned classes)
{
    memset(out_stats, 0, classes * sizeof(*out_stats));
    for (unsigned c = 0; c < classes; c++)
        out_stats[c].size_class = lg_class_size(lg_class_at(c));
    if (!lg_ready())
        return;
    add_threads(out_stats, classes);
    uint64_t dirty[LG_CLASS_COUNT], clean[LG_CLASS_COUNT];
    lg_pools_count(LG_DIRTY_POOL, dirty);
    lg_pools_count(LG_CLEAN_POOL, clean);
    for (unsigned c = 0; c < lg_min(classes, lg_layout_.classes); c++) {
        lgalloc_size_class_stats *stats = &out_stats[c];
        const lg_class *cls = lg_class_at(c);
        add_counters(stats, &cls->hot, &cls->rare);
        stats->areas = lg_area_count(cls);
        stats->area_total_bytes = lg_area_bytes(cls);
        stats->areas_released = lg_load_relaxed_64(&cls->areas_released);
        stats->global_regions = dirty[c];
        stats->clean_regions = clean[c];
        stats->free_regions = stats->thread_regions + stats->global_regions + stats->clean_regions;
        stats->in_use_regions = less(stats->allocations, stats->deallocations + lg_load_relaxed_64(&cls->lost));
    }
}

LG_API size_t lgalloc_stats(lgalloc_size_class_stats *out_stats, size_t capacity)
{
    if (out_stats != NULL)
        collect(out_stats, (unsigned)lg_min(capacity, LG_CLASS_COUNT));
    return LG_CLASS_COUNT;
}

LG_API void lgalloc_stats_global(lgalloc_global_stats *out_stats)
{
    if (out_stats == NULL)
        return;
    memset(out_stats, 0, sizeof(*out_stats));
    lgalloc_size_class_stats classes[LG_CLASS_COUNT];
    collect(classes, LG_CLASS_COUNT);
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        const lgalloc_size_class_stats *stats = &classes[c];
        out_stats->in_use_bytes += stats->in_use_regions * stats->size_class;
        out_stats->dirty_bytes += (stats->thread_regions + stats->global_regions) * stats->size_class;
        out_stats->clean_bytes += stats->clean_regions * stats->size_class;
        out_stats->area_bytes += stats->area_total_bytes;
    }
    if (lg_ready())
        out_stats->reserved_address_bytes = lg_layout_.arena_bytes;
    out_stats->metadata_bytes = lg_load_relaxed_64(&lg_metadata_bytes);
    out_stats->limit_bytes = LG_OPTION(limit_bytes);
    out_stats->clear_failures = lg_load_relaxed_64(&lg_clear_failures);
    out_stats->advise_failures = lg_load_relaxed_64(&lg_advise_failures);
    out_stats->limit_failures = lg_load_relaxed_64(&lg_limit_failures);
    out_stats->heap_fallbacks = lg_load_relaxed_64(&lg_heap_fallbacks);
    out_stats->sealed_bytes = lg_load_relaxed_64(&lg_sealed_bytes);
    out_stats->evicted_bytes = lg_load_relaxed_64(&lg_evicted_bytes);
    out_stats->in_use_bytes = less(out_stats->in_use_bytes, out_stats->evicted_bytes);
    out_stats->spill_file_bytes = lg_spill_bytes();
    out_stats->evictions = lg_load_relaxed_64(&lg_evictions);
    out_stats->loads = lg_load_relaxed_64(&lg_loads);
    out_stats->spill_failures = lg_load_relaxed_64(&lg_spill_failures);
}

/* ---- slow: the file system and the kernel */

LG_API lgalloc_status lgalloc_stats_files(lgalloc_file_stats *out_stats, size_t capacity, size_t *out_count)
{
    if (out_count == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    *out_count = 0;
    if (out_stats == NULL && capacity != 0)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (!lg_ready())
        return LGALLOC_STATUS_OK;
    size_t count = 0;
    LG_EACH_CLASS(cls) {
        uint64_t files, size, allocated;
        int error = lg_arena_files_usage(cls, &files, &size, &allocated);
        if (error != 0)
            return lg_io_error(error);
        if (files == 0)
            continue;
        if (count < capacity)
            out_stats[count] = (lgalloc_file_stats){lg_class_size(cls), size, allocated};
        count++;
    }
    *out_count = count;
    return LGALLOC_STATUS_OK;
}

/* What the kernel says of a mapping, which may be of several size classes. */
typedef struct map_totals {
    lgalloc_map_stats classes[LG_CLASS_COUNT];
    uint64_t start, end; /* addresses of the mapping that the last lines spoke of; 0: none */
    lgalloc_map_stats current;
} map_totals;

/* The chunks of the class in a range of addresses: their pages that are in memory. */
static uint64_t pages_of(const lg_class *cls, uint64_t start, uint64_t end)
{
    uint64_t pages = 0;
    for (uint64_t at = start; at < end; at += LG_CHUNK) {
        uint64_t present = 0;
        if (lg_class_of((const void *)(uintptr_t)at) == cls &&
            lg_os_present_pages((void *)(uintptr_t)at, lg_min(LG_CHUNK, end - at), &present) == 0)
            pages += present;
    }
    return pages;
}

/* The mapping's figures go to the classes of its chunks: by the pages that each has in memory. */
static void close_mapping(map_totals *totals, uint64_t end)
{
    uint64_t base = (uint64_t)(uintptr_t)lg_arena_address(0);
    uint64_t from = lg_max(totals->start, base);
    end = lg_min(end, base + lg_layout_.arena_bytes);
    uint32_t there = 0;
    for (uint64_t at = from; at < end; at += LG_CHUNK) {
        const lg_class *cls = lg_class_of((const void *)(uintptr_t)at);
        there |= cls != NULL ? lg_class_bit(cls) : 0;
    }
    uint64_t pages[LG_CLASS_COUNT] = {0}, all = 0;
    bool several = (there & (there - 1)) != 0;
    for (uint32_t left = there; left != 0;) {
        const lg_class *cls = lg_next_class(&left);
        uint64_t there_of_class = several ? pages_of(cls, from, end) : 1;
        pages[lg_class_index(cls)] = there_of_class;
        all += there_of_class;
    }
    for (uint32_t left = all != 0 ? there : 0; left != 0;) {
        unsigned c = lg_class_index(lg_next_class(&left));
        totals->classes[c].mapped += totals->current.mapped * pages[c] / all;
        totals->classes[c].active += totals->current.active * pages[c] / all;
        totals->classes[c].dirty += totals->current.dirty * pages[c] / all;
    }
    memset(&totals->current, 0, sizeof(totals->current));
}

static void open_mapping(map_totals *totals, uint64_t start)
{
    close_mapping(totals, lg_min(start, totals->end));
    totals->start = start;
    totals->end = UINT64_MAX;
}

/* The number behind `key` in a line like "7f00 default mapped=3 dirty=1 kernelpagesize_kB=4"; 0 without. */
static uint64_t field(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at != NULL ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* A line of numa_maps is a mapping: counts are in pages of kernelpagesize_kB. */
static void numa_line(void *context, const char *line)
{
    map_totals *totals = context;
    open_mapping(totals, strtoull(line, NULL, 16));
    uint64_t page = field(line, "kernelpagesize_kB=") * 1024;
    /* "mapped" is left out where it equals another count, so add up the nodes' pages: " N0=12 N1=3". */
    uint64_t mapped = 0;
    for (const char *at = line; (at = strstr(at, " N")) != NULL; at += 2) {
        char *end;
        (void)strtoull(at + 2, &end, 10);
        if (end != at + 2 && *end == '=')
            mapped += strtoull(end + 1, NULL, 10);
    }
    /* "active" is left out where it equals "mapped". */
    uint64_t active = strstr(line, " active=") != NULL ? field(line, " active=") : mapped;
    totals->current.mapped = mapped * page;
    totals->current.active = active * page;
    totals->current.dirty = field(line, " dirty=") * page;
}

/* smaps: a header "start-end perms …" for each mapping, then lines "Rss:  12 kB". */
static void smaps_line(void *context, const char *line)
{
    map_totals *totals = context;
    const char *dash = strchr(line, '-');
    const char *colon = strchr(line, ':');
    if (dash != NULL && (colon == NULL || dash < colon)) {
        open_mapping(totals, strtoull(line, NULL, 16));
        totals->end = strtoull(dash + 1, NULL, 16);
        return;
    }
    if (colon == NULL)
        return;
    uint64_t bytes = strtoull(colon + 1, NULL, 10) * 1024;
    if (strncmp(line, "Rss:", 4) == 0)
        totals->current.mapped += bytes;
    else if (strncmp(line, "Referenced:", 11) == 0)
        totals->current.active += bytes;
    else if (strncmp(line, "Shared_Dirty:", 13) == 0 || strncmp(line, "Private_Dirty:", 14) == 0)
        totals->current.dirty += bytes;
}

LG_API lgalloc_status lgalloc_stats_maps(lgalloc_map_stats *out_stats, size_t capacity, size_t *out_count)
{
    if (out_count == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    *out_count = 0;
    if (out_stats == NULL && capacity != 0)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (!lg_ready())
        return LGALLOC_STATUS_OK;
    map_totals totals;
    memset(&totals, 0, sizeof(totals));
    int error = lg_os_read_lines("/proc/self/numa_maps", numa_line, &totals);
    if (error != 0) {
        memset(&totals, 0, sizeof(totals));
        error = lg_os_read_lines("/proc/self/smaps", smaps_line, &totals);
    }
    if (error != 0)
        return lg_io_error(error);
    close_mapping(&totals, totals.end);
    size_t count = 0;
    LG_EACH_CLASS(cls) {
        if (lg_area_count(cls) == 0)
            continue;
        lgalloc_map_stats *of_class = &totals.classes[lg_class_index(cls)];
        of_class->size_class = lg_class_size(cls);
        if (count < capacity)
            out_stats[count] = *of_class;
        count++;
    }
    *out_count = count;
    return LGALLOC_STATUS_OK;
}
