/*
 * The Region API: vectors of fixed capacity on mapped memory, or on the process's heap. Making one on mapped memory and
 * dropping it is as hot as allocate.c is, in the same way: what isn't usual leaves through a function that is out of line.
 */
#include "../base/atomic.h"
#include "../base/cpu.h"
#include "../base/hot_flags.h"
#include "../flow/thread_cache.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "handle.h"
#include "heap.h"
#include "hot.h"
#include "slow.h"

LG_HOT_FUNCTION(lgalloc_region_new_mmap);
LG_HOT_FUNCTION(lgalloc_region_drop);

static void make_empty(size_t elem_size, size_t elem_align, lgalloc_region *out)
{
    *out = (lgalloc_region){
        .ptr = lg_empty_handle(elem_align).ptr, .capacity = elem_size == 0 ? SIZE_MAX : 0, .elem_size = elem_size};
}

LG_API void lgalloc_region_new_empty(size_t elem_size, size_t elem_align, lgalloc_region *out_region)
{
    if (out_region != NULL)
        make_empty(elem_size, elem_align, out_region);
}

LG_API lgalloc_status lgalloc_region_new_heap(size_t capacity, size_t elem_size, size_t elem_align,
                                              lgalloc_region *out_region)
{
    if (out_region == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    make_empty(elem_size, elem_align, out_region);
    size_t bytes;
    if (elem_align == 0 || (elem_align & (elem_align - 1)) != 0 || __builtin_mul_overflow(capacity, elem_size, &bytes))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (bytes == 0)
        return LGALLOC_STATUS_OK;
    void *ptr;
    if (lg_heap_aligned(elem_align, bytes, &ptr) != 0)
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    out_region->ptr = ptr;
    out_region->capacity = capacity;
    return LGALLOC_STATUS_OK;
}

static LG_WARM lgalloc_status new_mmap_slow(size_t capacity, size_t elem_size, size_t elem_align,
                                            lgalloc_region *out_region)
{
    if (out_region == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    make_empty(elem_size, elem_align, out_region);
    lg_taken taken = lg_slow_allocate(capacity, elem_size, elem_align, false);
    if (LG_LIKELY(taken.ptr != NULL)) {
        out_region->ptr = taken.ptr;
        out_region->mapped = lg_slow_len(capacity, elem_size);
        out_region->capacity = lg_elements(out_region->mapped, elem_size);
    }
    return taken.status;
}

LG_INLINE lgalloc_status hot_new_mmap(size_t capacity, size_t elem_size, size_t elem_align, lgalloc_region *out_region,
                                      bool lzcnt)
{
    size_t bytes, below = elem_align - 1;
    if (LG_UNLIKELY((elem_align & below) != 0) || LG_UNLIKELY(__builtin_mul_overflow(capacity, elem_size, &bytes)))
        goto slow;
    LG_APART();
    if (LG_UNLIKELY(below >= bytes) || LG_UNLIKELY(out_region == NULL) || LG_UNLIKELY(!lg_hot_usual()))
        goto slow;
    lg_bin *bin = lg_hot_bin(bytes, lzcnt);
    lg_descriptor *region;
    if (LG_UNLIKELY(!lg_hot_pop(bin, &region)))
        goto slow;
    lg_counter_add(&bin->hot.allocations, 1);
    size_t len = bin->len;
    bool clean;
    if (LG_UNLIKELY(!lg_hot_use(region, &len, &out_region->ptr, &clean)))
        return lg_die_handed_out_twice(region);
    out_region->len = 0;
    out_region->capacity = lg_elements(len, elem_size);
    out_region->elem_size = elem_size;
    out_region->mapped = len;
    return LGALLOC_STATUS_OK;
slow:
    return new_mmap_slow(capacity, elem_size, elem_align, out_region);
}

LG_HOT lgalloc_status lgalloc_region_new_mmap(size_t capacity, size_t elem_size, size_t elem_align,
                                              lgalloc_region *out_region)
{
    return hot_new_mmap(capacity, elem_size, elem_align, out_region, LG_LZCNT);
}

LG_HOT_LZCNT lgalloc_status lgalloc_region_new_mmap_lzcnt(size_t capacity, size_t elem_size, size_t elem_align,
                                                          lgalloc_region *out_region)
{
    return hot_new_mmap(capacity, elem_size, elem_align, out_region, true);
}

LG_API lgalloc_status lgalloc_region_new_auto(size_t capacity, size_t elem_size, size_t elem_align,
                                              lgalloc_region *out_region)
{
    int before = errno;
    size_t bytes;
    /* What is rounded up to the smallest size class has one, but is better off on the heap. */
    if (!__builtin_mul_overflow(capacity, elem_size, &bytes) && bytes != 0 && bytes < LG_SMALLEST_REGION)
        return lgalloc_region_new_heap(capacity, elem_size, elem_align, out_region);
    lg_refused_by_limit = false;
    lgalloc_status status = lgalloc_region_new_mmap(capacity, elem_size, elem_align, out_region);
    /* Otherwise the size class's addresses are what has run out. */
    bool limited = status == LGALLOC_STATUS_OUT_OF_MEMORY && lg_refused_by_limit;
    if (status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_INVALID_ARGUMENT || limited)
        return status;
    errno = before;
    /* A size that has no class belongs on the heap; any other status says that there is no region. */
    if (status != LGALLOC_STATUS_INVALID_SIZE_CLASS)
        lg_add_relaxed_64(&lg_heap_fallbacks, 1);
    return lgalloc_region_new_heap(capacity, elem_size, elem_align, out_region);
}

LG_API size_t lgalloc_region_capacity(const lgalloc_region *region)
{
    return region != NULL ? region->capacity : 0;
}

LG_API size_t lgalloc_region_len(const lgalloc_region *region)
{
    return region != NULL ? region->len : 0;
}

LG_API bool lgalloc_region_is_empty(const lgalloc_region *region)
{
    return region == NULL || region->len == 0;
}

LG_API bool lgalloc_region_is_mapped(const lgalloc_region *region)
{
    return region != NULL && region->mapped != 0;
}

LG_API const void *lgalloc_region_as_ptr(const lgalloc_region *region)
{
    return region != NULL ? region->ptr : NULL;
}

LG_API void *lgalloc_region_as_mut_ptr(lgalloc_region *region)
{
    return region != NULL ? region->ptr : NULL;
}

LG_API lgalloc_status lgalloc_region_extend_from_slice(lgalloc_region *region, const void *elems, size_t count)
{
    if (region == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (count > region->capacity - region->len)
        return LGALLOC_STATUS_CAPACITY_EXCEEDED;
    size_t bytes = count * region->elem_size; /* fits: all of the capacity does */
    if (bytes != 0) {
        if (elems == NULL)
            return LGALLOC_STATUS_INVALID_ARGUMENT;
        memcpy((char *)region->ptr + region->len * region->elem_size, elems, bytes);
    }
    region->len += count;
    return LGALLOC_STATUS_OK;
}

LG_API void *lgalloc_region_spare(lgalloc_region *region, size_t *out_count)
{
    if (out_count != NULL)
        *out_count = region != NULL ? region->capacity - region->len : 0;
    return region != NULL ? (char *)region->ptr + region->len * region->elem_size : NULL;
}

LG_API lgalloc_status lgalloc_region_set_len(lgalloc_region *region, size_t len)
{
    if (region == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (len > region->capacity)
        return LGALLOC_STATUS_CAPACITY_EXCEEDED;
    region->len = len;
    return LGALLOC_STATUS_OK;
}

LG_API void lgalloc_region_clear(lgalloc_region *region)
{
    if (region != NULL)
        region->len = 0;
}

/* What a dropped region leaves: the lowest bit of its address is at least the alignment that was asked for. */
LG_INLINE void leave_empty(lgalloc_region *region)
{
    uintptr_t address = (uintptr_t)region->ptr;
    region->ptr = (void *)(address & -address);
    region->len = 0;
    region->capacity = region->elem_size == 0 ? SIZE_MAX : 0;
    region->mapped = 0;
}

/* What is not mapped. */
static LG_WARM void drop_slow(lgalloc_region *region)
{
    if (region == NULL)
        return;
    lgalloc_region old = *region;
    leave_empty(region);
    if (old.elem_size != 0 && old.capacity != 0)
        lg_heap_free(old.ptr);
}

LG_INLINE void hot_drop(lgalloc_region *region, bool lzcnt)
{
    if (LG_UNLIKELY(region == NULL) || LG_UNLIKELY(region->mapped == 0)) {
        drop_slow(region);
        return;
    }
    lgalloc_handle handle = {region->ptr, region->mapped};
    leave_empty(region);
    lg_bin *bin = &lg_hot_bins[lg_bin_of_len(handle.len, lzcnt)];
    LG_OPAQUE(bin);
    if (LG_UNLIKELY(bin->len != handle.len) || LG_UNLIKELY(!lg_hot_free(bin, handle.ptr)))
        lg_handle_free(handle);
}

LG_HOT void lgalloc_region_drop(lgalloc_region *region)
{
    hot_drop(region, LG_LZCNT);
}

LG_HOT_LZCNT void lgalloc_region_drop_lzcnt(lgalloc_region *region)
{
    hot_drop(region, true);
}

LG_API lgalloc_handle lgalloc_region_handle(const lgalloc_region *region)
{
    if (region == NULL || region->mapped == 0)
        return lg_empty_handle(1);
    return (lgalloc_handle){region->ptr, region->mapped};
}
