#include "snapshot.h"

#include "../base/os.h"

/* ---- the fields */

const lg_field lg_global_fields[] = {
#define X(member, name, help) {name, help, offsetof(lgalloc_global_stats, member)},
    X(in_use_bytes, "in_use_bytes", "Bytes of regions handed out, but for evicted ones.") X(
        dirty_bytes, "dirty_upper_bound_bytes",
        "Bytes of free regions that may hold memory: an upper bound, since what was never written holds none.")
        X(clean_bytes, "clean_bytes", "Bytes of free regions that hold no memory.") X(
            area_bytes, "area_bytes", "Bytes of all areas: in use, evicted, dirty and clean.")
            X(reserved_address_bytes, "reserved_address_bytes", "Address space reserved for areas; it costs no memory.")
                X(metadata_bytes, "metadata_bytes",
                  "Bytes of the library's own bookkeeping that are readable and writable.")
                    X(limit_bytes, "limit_bytes", "The configured bound on bytes in use plus dirty; 0: none.")
                        X(clear_failures, "clear_failures_total", "Times that clearing or discarding failed.")
                            X(advise_failures, "advise_failures_total", "Times that the system refused advice.") X(
                                limit_failures, "limit_failures_total", "Allocations refused because of the limit.")
                                X(heap_fallbacks, "heap_fallbacks_total",
                                  "Allocations that the heap took for lack of mapped memory.")
                                    X(sealed_bytes, "sealed_bytes",
                                      "Bytes of sealed regions in memory, a part of those in use.")
                                        X(evicted_bytes, "evicted_bytes", "Bytes of sealed regions that are evicted.")
                                            X(spill_file_bytes, "spill_file_bytes",
                                              "Bytes of the disk blocks of spill files.")
                                                X(evictions, "evictions_total", "Sealed regions evicted.")
                                                    X(loads, "loads_total", "Evicted regions loaded.")
                                                        X(spill_failures, "spill_failures_total",
                                                          "Times that evicting or loading a region failed.")
#undef X
};

const lg_field lg_class_fields[] = {
#define X(member, name, help) {name, help, offsetof(lgalloc_size_class_stats, member)},
    X(areas, "areas", "Areas mapped.") X(area_total_bytes, "area_bytes", "Bytes of the areas.")
        X(free_regions, "free_regions", "Free regions: in thread caches, dirty and clean.")
            X(clean_regions, "clean_regions", "Free regions in the shared pool that hold no memory.")
                X(global_regions, "global_regions", "Free regions in the shared pool that may hold memory.")
                    X(thread_regions, "thread_regions", "Free regions in the caches of threads; they may hold memory.")
                        X(in_use_regions, "in_use_regions", "Regions handed out and not yet freed.")
                            X(allocations, "allocations_total", "Regions handed out.")
                                X(slow_path, "slow_path_total", "Allocations that found no free region at first sight.")
                                    X(refill, "refill_total", "Attempts to map another area.")
                                        X(deallocations, "deallocations_total",
                                          "Regions freed.") X(clear_eager_total, "clear_eager_total",
                                                              "Regions cleared on their way out of a thread's cache.")
                                            X(clear_slow_total, "clear_slow_total",
                                              "Regions cleared by the worker, a purge or for room.")
                                                X(steals, "steals_total", "Regions taken from another thread's cache.")
                                                    X(areas_released, "areas_released_total",
                                                      "Areas given back to the system.")
#undef X
};

_Static_assert(sizeof(lg_global_fields) == LG_GLOBAL_FIELDS * sizeof(lg_field), "every field is printed");
_Static_assert(sizeof(lg_class_fields) == LG_CLASS_FIELDS * sizeof(lg_field), "every field is printed");

uint64_t lg_field_value(const lg_field *field, const void *stats)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + field->offset, sizeof(value));
    return value;
}

/* ---- a snapshot */

static void add_figure(lg_figure *figure, size_t class_bytes, uint64_t bytes)
{
    figure->of_class[lg_log2_floor(class_bytes) - LG_CLASS_MIN] = bytes;
    figure->total += bytes;
}

/* In functions of their own, whose frames are gone when the printing begins. */
static LG_COLD void ask_for_resident(lg_figure *out)
{
    lgalloc_map_stats maps[LG_CLASS_COUNT];
    size_t count;
    out->known = lgalloc_stats_maps(maps, LG_CLASS_COUNT, &count) == LGALLOC_STATUS_OK;
    for (size_t i = 0; out->known && i < count; i++)
        add_figure(out, maps[i].size_class, maps[i].mapped);
}

static LG_COLD void ask_for_disk(lg_figure *out)
{
    lgalloc_file_stats files[LG_CLASS_COUNT];
    size_t count;
    out->known = lgalloc_stats_files(files, LG_CLASS_COUNT, &count) == LGALLOC_STATUS_OK;
    for (size_t i = 0; out->known && i < count; i++)
        add_figure(out, files[i].size_class, files[i].allocated_size);
}

void lg_take_snapshot(lg_snapshot *out)
{
    memset(out, 0, sizeof(*out));
    (void)lgalloc_stats(out->classes, LG_CLASS_COUNT);
    lgalloc_stats_global(&out->global);
    ask_for_resident(&out->resident);
    ask_for_disk(&out->disk);
}

void lg_put_version(lg_text *out)
{
    lg_put_number(out, LGALLOC_VERSION_MAJOR);
    lg_put(out, ".");
    lg_put_number(out, LGALLOC_VERSION_MINOR);
    lg_put(out, ".");
    lg_put_number(out, LGALLOC_VERSION_PATCH);
}
