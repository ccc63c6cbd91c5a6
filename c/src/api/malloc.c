/*
 * malloc, calloc, free and free_sized: regions by address, without a handle and a status. Hot as allocate.c is, in the
 * same way: what isn't usual leaves through a function that is out of line, and starts over from the arguments.
 */
#include "../base/atomic.h"
#include "../base/cpu.h"
#include "../base/hot_flags.h"
#include "../chunks/chunk.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "handle.h"
#include "hot.h"
#include "slow.h"

LG_HOT_FUNCTION(lgalloc_malloc);
LG_HOT_FUNCTION(lgalloc_free);
LG_HOT_FUNCTION(lgalloc_free_sized);

static LG_WARM void *malloc_slow(size_t size);
static LG_COLD void *die_handed_out_twice(const lg_descriptor *region);
static LG_COLD void free_slow(void *ptr);
static LG_COLD void free_sized_slow(void *ptr, size_t size);

LG_INLINE void *hot_malloc(size_t size, bool lzcnt)
{
    if (LG_UNLIKELY(!lg_hot_usual()))
        return malloc_slow(size);
    lg_bin *bin = lg_hot_bin(size, lzcnt);
    lg_descriptor *region;
    if (LG_UNLIKELY(!lg_hot_pop(bin, &region)))
        return malloc_slow(size);
    lg_counter_add(&bin->hot.allocations, 1);
    bool clean;
    void *ptr;
    return LG_LIKELY(lg_hot_use(region, &bin->len, &ptr, &clean)) ? ptr : die_handed_out_twice(region);
}

LG_INLINE void hot_free(void *ptr)
{
    uint64_t chunk = lg_chunk_of(ptr);
    if (LG_UNLIKELY(chunk >= lg_load_relaxed_64(&lg_chunks_count))) {
        free_slow(ptr);
        return;
    }
    lg_bin *bin = (lg_bin *)((char *)lg_hot_bins + lg_chunk_bin_offset(lg_chunk_word(chunk)));
    if (LG_UNLIKELY(!lg_hot_free(bin, ptr))) /* without a class or a record no address is in the bin */
        free_slow(ptr);
}

LG_INLINE void hot_free_sized(void *ptr, size_t size, bool lzcnt)
{
    if (LG_UNLIKELY(!lg_hot_free(lg_hot_bin(size, lzcnt), ptr)))
        free_sized_slow(ptr, size);
}

LG_HOT void *lgalloc_malloc(size_t size)
{
    return hot_malloc(size, LG_LZCNT);
}

LG_HOT_LZCNT void *lgalloc_malloc_lzcnt(size_t size)
{
    return hot_malloc(size, true);
}

LG_HOT void lgalloc_free(void *ptr)
{
    hot_free(ptr);
}

LG_HOT_LZCNT void lgalloc_free_lzcnt(void *ptr)
{
    hot_free(ptr); /* shrx alone */
}

LG_HOT void lgalloc_free_sized(void *ptr, size_t size)
{
    hot_free_sized(ptr, size, LG_LZCNT);
}

LG_HOT_LZCNT void lgalloc_free_sized_lzcnt(void *ptr, size_t size)
{
    hot_free_sized(ptr, size, true);
}

/* ---- the rare cases of allocating */

/* Returns NULL. With IO errno says it already. */
static LG_COLD void *set_errno(lgalloc_status status)
{
    if (status == LGALLOC_STATUS_OUT_OF_MEMORY)
        errno = ENOMEM;
    else if (status == LGALLOC_STATUS_DISABLED)
        errno = EPERM;
    else if (status != LGALLOC_STATUS_IO)
        errno = EINVAL; /* no size class; also where nothing was asked for */
    return NULL;
}

static void *malloc_slow(size_t size)
{
    lg_taken taken = lg_slow_allocate(size, 1, 1, false);
    return LG_LIKELY(taken.ptr != NULL) ? taken.ptr : set_errno(taken.status);
}

LG_API void *lgalloc_calloc(size_t count, size_t size)
{
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate_zeroed(count, size, 1, NULL, NULL, &handle);
    return LG_LIKELY(handle.len != 0) ? handle.ptr : set_errno(status);
}

static void *die_handed_out_twice(const lg_descriptor *region)
{
    uintptr_t never = (uintptr_t)lg_die_handed_out_twice(region);
    LG_OPAQUE(never); /* as there */
    return (void *)never;
}

/* ---- the rare cases of freeing */

static void free_slow(void *ptr)
{
    lg_class *cls = lg_class_of(ptr);
    if (ptr != NULL) /* no region has the length 1 */
        lg_handle_free((lgalloc_handle){ptr, cls != NULL ? lg_class_size(cls) : 1});
}

static void free_sized_slow(void *ptr, size_t size)
{
    bool has_class = size - 1 < LG_LARGEST_REGION;
    if (ptr != NULL) /* SIZE_MAX is the length of no region */
        lg_handle_free((lgalloc_handle){ptr, has_class ? (size_t)1 << lg_log2_ceil(size) : SIZE_MAX});
}
