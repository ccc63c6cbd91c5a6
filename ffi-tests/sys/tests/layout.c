/*
 * The ABI as numbers. Every line is asserted when this file is compiled, and told to the Rust tests in a
 * table, which compare it with the declarations there: so both languages are held to the same figures.
 * They are those of 64-bit systems; the library builds on no other.
 */
#include "lgalloc.h"

#include <assert.h>

/* SIZE(type, bytes), ALIGN(type, bytes), FIELD(type, field, offset, bytes), VALUE(constant, value) */
#define LAYOUT(SIZE, ALIGN, FIELD, VALUE)                      \
    SIZE(lgalloc_status, 4)                                    \
    SIZE(lgalloc_backing, 4)                                   \
    SIZE(lgalloc_region, 40)                                   \
    ALIGN(lgalloc_region, 8)                                   \
    FIELD(lgalloc_region, ptr, 0, 8)                           \
    FIELD(lgalloc_region, len, 8, 8)                           \
    FIELD(lgalloc_region, capacity, 16, 8)                     \
    FIELD(lgalloc_region, elem_size, 24, 8)                    \
    FIELD(lgalloc_region, mapped, 32, 8)                       \
    SIZE(lgalloc_handle, 16)                                   \
    ALIGN(lgalloc_handle, 8)                                   \
    FIELD(lgalloc_handle, ptr, 0, 8)                           \
    FIELD(lgalloc_handle, len, 8, 8)                           \
    SIZE(lgalloc_size_class_stats, 176)                        \
    ALIGN(lgalloc_size_class_stats, 8)                         \
    FIELD(lgalloc_size_class_stats, size_class, 0, 8)          \
    FIELD(lgalloc_size_class_stats, areas, 8, 8)               \
    FIELD(lgalloc_size_class_stats, area_total_bytes, 16, 8)   \
    FIELD(lgalloc_size_class_stats, free_regions, 24, 8)       \
    FIELD(lgalloc_size_class_stats, clean_regions, 32, 8)      \
    FIELD(lgalloc_size_class_stats, global_regions, 40, 8)     \
    FIELD(lgalloc_size_class_stats, thread_regions, 48, 8)     \
    FIELD(lgalloc_size_class_stats, in_use_regions, 56, 8)     \
    FIELD(lgalloc_size_class_stats, allocations, 64, 8)        \
    FIELD(lgalloc_size_class_stats, slow_path, 72, 8)          \
    FIELD(lgalloc_size_class_stats, refill, 80, 8)             \
    FIELD(lgalloc_size_class_stats, deallocations, 88, 8)      \
    FIELD(lgalloc_size_class_stats, clear_eager_total, 96, 8)  \
    FIELD(lgalloc_size_class_stats, clear_slow_total, 104, 8)  \
    FIELD(lgalloc_size_class_stats, steals, 112, 8)            \
    FIELD(lgalloc_size_class_stats, areas_released, 120, 8)    \
    FIELD(lgalloc_size_class_stats, reserved, 128, 48)         \
    SIZE(lgalloc_global_stats, 152)                            \
    ALIGN(lgalloc_global_stats, 8)                             \
    FIELD(lgalloc_global_stats, in_use_bytes, 0, 8)            \
    FIELD(lgalloc_global_stats, dirty_bytes, 8, 8)             \
    FIELD(lgalloc_global_stats, clean_bytes, 16, 8)            \
    FIELD(lgalloc_global_stats, area_bytes, 24, 8)             \
    FIELD(lgalloc_global_stats, reserved_address_bytes, 32, 8) \
    FIELD(lgalloc_global_stats, metadata_bytes, 40, 8)         \
    FIELD(lgalloc_global_stats, limit_bytes, 48, 8)            \
    FIELD(lgalloc_global_stats, clear_failures, 56, 8)         \
    FIELD(lgalloc_global_stats, advise_failures, 64, 8)        \
    FIELD(lgalloc_global_stats, limit_failures, 72, 8)         \
    FIELD(lgalloc_global_stats, heap_fallbacks, 80, 8)         \
    FIELD(lgalloc_global_stats, sealed_bytes, 88, 8)           \
    FIELD(lgalloc_global_stats, evicted_bytes, 96, 8)          \
    FIELD(lgalloc_global_stats, spill_file_bytes, 104, 8)      \
    FIELD(lgalloc_global_stats, evictions, 112, 8)             \
    FIELD(lgalloc_global_stats, loads, 120, 8)                 \
    FIELD(lgalloc_global_stats, spill_failures, 128, 8)        \
    FIELD(lgalloc_global_stats, reserved, 136, 16)             \
    SIZE(lgalloc_file_stats, 24)                               \
    ALIGN(lgalloc_file_stats, 8)                               \
    FIELD(lgalloc_file_stats, size_class, 0, 8)                \
    FIELD(lgalloc_file_stats, file_size, 8, 8)                 \
    FIELD(lgalloc_file_stats, allocated_size, 16, 8)           \
    SIZE(lgalloc_map_stats, 32)                                \
    ALIGN(lgalloc_map_stats, 8)                                \
    FIELD(lgalloc_map_stats, size_class, 0, 8)                 \
    FIELD(lgalloc_map_stats, mapped, 8, 8)                     \
    FIELD(lgalloc_map_stats, active, 16, 8)                    \
    FIELD(lgalloc_map_stats, dirty, 24, 8)                     \
    VALUE(LGALLOC_STATUS_OK, 0)                                \
    VALUE(LGALLOC_STATUS_IO, 1)                                \
    VALUE(LGALLOC_STATUS_OUT_OF_MEMORY, 2)                     \
    VALUE(LGALLOC_STATUS_INVALID_SIZE_CLASS, 3)                \
    VALUE(LGALLOC_STATUS_DISABLED, 4)                          \
    VALUE(LGALLOC_STATUS_UNALIGNED_MEMORY, 5)                  \
    VALUE(LGALLOC_STATUS_INVALID_ARGUMENT, 6)                  \
    VALUE(LGALLOC_STATUS_CAPACITY_EXCEEDED, 7)                 \
    VALUE(LGALLOC_STATUS_OUT_OF_BOUNDS, 8)                     \
    VALUE(LGALLOC_STATUS_NOT_RESIDENT, 9)                      \
    VALUE(LGALLOC_STATUS_BUSY, 10)                             \
    VALUE(LGALLOC_BACKING_FILE, 0)                             \
    VALUE(LGALLOC_BACKING_ANONYMOUS, 1)                        \
    VALUE(LGALLOC_SIZE_CLASS_MIN_LOG2, 16)                     \
    VALUE(LGALLOC_SIZE_CLASS_MAX_LOG2, 36)                     \
    VALUE(LGALLOC_SIZE_CLASS_COUNT, 21)

#define ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "size of " #type);
#define ASSERT_ALIGN(type, bytes) static_assert(_Alignof(type) == (bytes), "alignment of " #type);
#define ASSERT_FIELD(type, field, offset, bytes)                                     \
    static_assert(offsetof(type, field) == (offset), "offset of " #type "." #field); \
    static_assert(sizeof(((type *)0)->field) == (bytes), "size of " #type "." #field);
#define ASSERT_VALUE(constant, value) static_assert((constant) == (value), "value of " #constant);

LAYOUT(ASSERT_SIZE, ASSERT_ALIGN, ASSERT_FIELD, ASSERT_VALUE)

static_assert((LGALLOC_VERSION_MAJOR << 16 | LGALLOC_VERSION_MINOR << 8 | LGALLOC_VERSION_PATCH) == LGALLOC_VERSION,
              "the version as one number");
static_assert((lgalloc_status)-1 < 0 && (lgalloc_backing)-1 < 0, "enums travel as signed numbers");

/* One figure: its name, and what the C compiler says. */
struct lgalloc_layout {
    const char *name;
    size_t value;
};

#define TELL_SIZE(type, bytes) {"size " #type, sizeof(type)},
#define TELL_ALIGN(type, bytes) {"align " #type, _Alignof(type)},
#define TELL_FIELD(type, field, offset, bytes) \
    {"offset " #type "." #field, offsetof(type, field)}, {"size " #type "." #field, sizeof(((type *)0)->field)},
#define TELL_VALUE(constant, value) {#constant, (size_t)(constant)},

static const struct lgalloc_layout table[] = {
    LAYOUT(TELL_SIZE, TELL_ALIGN, TELL_FIELD, TELL_VALUE){"LGALLOC_VERSION", LGALLOC_VERSION},
};

/* The table, and its length in *out_count. */
const struct lgalloc_layout *lgalloc_layout_table(size_t *out_count);

const struct lgalloc_layout *lgalloc_layout_table(size_t *out_count)
{
    *out_count = sizeof(table) / sizeof(table[0]);
    return table;
}
