/*
 * malloc, calloc, free and free_sized: regions for who needs neither a handle nor a status. Hot as allocate.c is, in the
 * same way: what isn't usual leaves through a function that is out of line, and starts over from the arguments.
 */
#include "../base/atomic.h"
#include "../base/cpu.h"
#include "../base/hot_flags.h"
#include "../chunks/chunk.h"
#include "../flow/exchange.h"
#include "../flow/thread_cache.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "handle.h"
#include "hot.h"

static LG_WARM void *malloc_refilled(size_t size);
static LG_WARM void *malloc_elsewhere(size_t size);
static LG_COLD void *die_taken_twice(const lg_region *region);
static LG_COLD void free_elsewhere(void *ptr);
static LG_COLD void free_sized_elsewhere(void *ptr, size_t size);

/* A free region of the calling thread's becomes one in use. */
LG_INLINE void *take_over(lg_bin *bin, lg_region *region)
{
    bool clean;
    void *ptr;
    lg_bump(&bin->hot.allocations, 1);
    return LG_LIKELY(lg_hot_use(region, &bin->len, &ptr, &clean)) ? ptr : die_taken_twice(region);
}

LG_INLINE void *hot_malloc(size_t size, bool lzcnt)
{
    if (LG_UNLIKELY(!lg_hot_usual()))
        return malloc_elsewhere(size);
    lg_bin *bin = lg_hot_bin(size, lzcnt);
    lg_region *region;
    if (LG_UNLIKELY(!lg_hot_pop(bin, &region)))
        return malloc_refilled(size);
    return take_over(bin, region);
}

LG_INLINE void hot_free(void *ptr)
{
    uint64_t chunk = lg_chunk_of(ptr);
    if (LG_UNLIKELY(chunk >= lg_load_relaxed_64(&lg_chunks_count))) {
        free_elsewhere(ptr);
        return;
    }
    lg_bin *bin = (lg_bin *)((char *)lg_hot_bins + lg_chunk_bin_offset(lg_chunk_word(chunk)));
    LG_OPAQUE(bin);
    /* Without a class or a record this is a descriptor that no address is in. */
    lg_region *region = lg_bin_region(bin, (uintptr_t)ptr);
    if (LG_UNLIKELY(!lg_state_is_of(lg_load_relaxed_64(&region->state), ptr))) {
        free_elsewhere(ptr);
        return;
    }
    if (LG_UNLIKELY(!lg_hot_give(bin, region, ptr)))
        lg_cache_give_address(ptr);
}

LG_INLINE void hot_free_sized(void *ptr, size_t size, bool lzcnt)
{
    lg_bin *bin = lg_hot_bin(size, lzcnt);
    lg_region *region = lg_bin_region(bin, (uintptr_t)ptr);
    if (LG_UNLIKELY(!lg_state_is_of(lg_load_relaxed_64(&region->state), ptr))) {
        free_sized_elsewhere(ptr, size);
        return;
    }
    if (LG_UNLIKELY(!lg_hot_give(bin, region, ptr)))
        lg_cache_give_address(ptr);
}

LG_HOT_FUNCTION(void *, lgalloc_malloc, (size_t size), return hot_malloc(size, lzcnt););

LG_HOT_FUNCTION(void, lgalloc_free, (void *ptr), (void)lzcnt; hot_free(ptr););

LG_HOT_FUNCTION(void, lgalloc_free_sized, (void *ptr, size_t size), hot_free_sized(ptr, size, lzcnt););

/* ---- the rare cases of allocating */

static void *memory_or_errno(lgalloc_status status, lgalloc_handle handle)
{
    if (status == LGALLOC_STATUS_OK && handle.len != 0)
        return handle.ptr;
    switch (status) {
    case LGALLOC_STATUS_IO: break; /* errno says it already */
    case LGALLOC_STATUS_OUT_OF_MEMORY: errno = ENOMEM; break;
    case LGALLOC_STATUS_DISABLED: errno = EPERM; break;
    default: errno = EINVAL; break; /* no size class; also where nothing was asked for */
    }
    return NULL;
}

static void *malloc_elsewhere(size_t size)
{
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate(size, 1, 1, NULL, NULL, &handle);
    return memory_or_errno(status, handle);
}

LG_API void *lgalloc_calloc(size_t count, size_t size)
{
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate_zeroed(count, size, 1, NULL, NULL, &handle);
    return memory_or_errno(status, handle);
}

/* The own cache is empty, and nothing else is unusual: mostly the dirty pool has what is needed. */
static void *malloc_refilled(size_t size)
{
    lg_thread *self = lg_self();
    lg_class *cls;
    lg_region *region;
    if (LG_UNLIKELY(self == NULL) || LG_UNLIKELY((cls = lg_class_for(size)) == NULL) ||
        LG_UNLIKELY((region = lg_exchange_refill(self, cls)) == NULL))
        return malloc_elsewhere(size);
    return take_over(lg_bin_of(self, cls), region);
}

static void *die_taken_twice(const lg_region *region)
{
    uintptr_t never = (uintptr_t)lg_die_handed_out_twice(region);
    LG_OPAQUE(never); /* as there */
    return (void *)never;
}

/* ---- the rare cases of freeing */

static void free_elsewhere(void *ptr)
{
    lg_class *cls = lg_class_of(ptr);
    if (ptr != NULL) /* no region has the length 1 */
        lg_handle_free((lgalloc_handle){ptr, cls != NULL ? lg_class_size(cls) : 1});
}

static void free_sized_elsewhere(void *ptr, size_t size)
{
    bool has_class = size - 1 < LG_LARGEST_REGION;
    if (ptr != NULL) /* SIZE_MAX is the length of no region */
        lg_handle_free((lgalloc_handle){ptr, has_class ? (size_t)1 << lg_log2_ceil(size) : SIZE_MAX});
}
