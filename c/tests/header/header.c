/* Compiled, never run, as every standard of C and C++ that the header promises: alone, and twice. */
#include "lgalloc.h"
#include "lgalloc.h"

/* C99 has no static assertion; an array of a negative size says it too. */
#define HOLDS(name, condition) typedef char name[(condition) ? 1 : -1]

HOLDS(version_is_composed,
      LGALLOC_VERSION == LGALLOC_VERSION_MAJOR * 65536 + LGALLOC_VERSION_MINOR * 256 + LGALLOC_VERSION_PATCH);
HOLDS(classes_are_counted, LGALLOC_SIZE_CLASS_COUNT == LGALLOC_SIZE_CLASS_MAX_LOG2 - LGALLOC_SIZE_CLASS_MIN_LOG2 + 1);
HOLDS(status_has_32_bits, sizeof(lgalloc_status) == 4);
#ifndef __cplusplus /* where it is the enum's own word */
HOLDS(status_is_signed, (lgalloc_status)-1 < (lgalloc_status)0);
#endif
HOLDS(backing_has_32_bits, sizeof(lgalloc_backing) == 4);
HOLDS(region_has_five_words, sizeof(lgalloc_region) == 5 * sizeof(size_t));
HOLDS(handle_has_two_words, sizeof(lgalloc_handle) == 2 * sizeof(size_t));
HOLDS(class_stats_have_22_words, sizeof(lgalloc_size_class_stats) == 8 * sizeof(size_t) + 14 * sizeof(uint64_t));
HOLDS(global_stats_have_19_words, sizeof(lgalloc_global_stats) == 7 * sizeof(size_t) + 12 * sizeof(uint64_t));
HOLDS(file_stats_have_three_words, sizeof(lgalloc_file_stats) == 3 * sizeof(size_t));
HOLDS(map_stats_have_four_words, sizeof(lgalloc_map_stats) == 4 * sizeof(size_t));

#if defined(__cplusplus) && __cplusplus >= 201103L
static_assert(noexcept(lgalloc_free(nullptr)) &&noexcept(lgalloc_config_new()), "C++ needs no cleanup around calls");
#endif
#ifdef LGALLOC_NOTHROW
#error "the header leaves its attributes' names behind"
#endif

/* What #if can see of it. */
#if LGALLOC_VERSION < 0x000100 || LGALLOC_SIZE_CLASS_COUNT != 21
#error "the constants are not for the preprocessor"
#endif

lgalloc_status header_use(lgalloc_region *region, lgalloc_handle *handle);

lgalloc_status header_use(lgalloc_region *region, lgalloc_handle *handle)
{
    lgalloc_status status = lgalloc_allocate(1, 65536, 1, NULL, NULL, handle);
    if (status != LGALLOC_STATUS_OK) {
        return status;
    }
    lgalloc_deallocate(*handle);
    lgalloc_region_new_empty(1, 1, region);
    return LGALLOC_STATUS_OK;
}
