/* The Region API: vectors of fixed capacity on top of handles, or on the process's heap. */
#include "handle.h"

#include <stdlib.h>

#include "config.h"
#include "thread_cache.h"

lg_a64 lg_heap_fallbacks;

static void make_empty(size_t elem_size, size_t elem_align, lgalloc_region *out)
{
    *out = (lgalloc_region){.ptr = lg_empty_handle(elem_align).ptr,
                            .capacity = elem_size == 0 ? SIZE_MAX : 0,
                            .elem_size = elem_size};
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
    if (elem_align == 0 || (elem_align & (elem_align - 1)) != 0 ||
        __builtin_mul_overflow(capacity, elem_size, &bytes))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (bytes == 0)
        return LGALLOC_STATUS_OK;
    void *ptr = NULL;
    if (posix_memalign(&ptr, lg_max(elem_align, sizeof(void *)), bytes) != 0)
        return LGALLOC_STATUS_OUT_OF_MEMORY;
    out_region->ptr = ptr;
    out_region->capacity = capacity;
    return LGALLOC_STATUS_OK;
}

LG_API lgalloc_status lgalloc_region_new_mmap(size_t capacity, size_t elem_size, size_t elem_align,
                                              lgalloc_region *out_region)
{
    if (out_region == NULL)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    /* Field by field: copying a struct that was just written in parts makes the processor wait. */
    lgalloc_handle handle;
    lgalloc_status status =
        lgalloc_allocate(capacity, elem_size, elem_align, &out_region->ptr, &out_region->capacity, &handle);
    if (LG_UNLIKELY(status != LGALLOC_STATUS_OK)) {
        make_empty(elem_size, elem_align, out_region);
        return status;
    }
    out_region->len = 0;
    out_region->elem_size = elem_size;
    out_region->mapped = handle.len;
    return LGALLOC_STATUS_OK;
}

LG_API lgalloc_status lgalloc_region_new_auto(size_t capacity, size_t elem_size, size_t elem_align,
                                              lgalloc_region *out_region)
{
    int before = errno;
    size_t bytes;
    /* What is rounded up to the smallest size class has one, but is better off on the heap. */
    if (!__builtin_mul_overflow(capacity, elem_size, &bytes) && bytes != 0 && bytes < lg_class_size(0))
        return lgalloc_region_new_heap(capacity, elem_size, elem_align, out_region);
    lg_refused_by_limit = false;
    lgalloc_status status = lgalloc_region_new_mmap(capacity, elem_size, elem_align, out_region);
    /* Otherwise the size class's addresses are what has run out. */
    bool limited = status == LGALLOC_STATUS_OUT_OF_MEMORY && lg_refused_by_limit;
    if (status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_INVALID_ARGUMENT || limited)
        return status;
    errno = before;
    /* A size that has no class belongs on the heap; anything else is memory that was not to be had. */
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

LG_API void lgalloc_region_drop(lgalloc_region *region)
{
    if (region == NULL)
        return;
    lgalloc_region old = *region;
    /* The lowest bit of the old address is at least the alignment that was asked for. */
    uintptr_t address = (uintptr_t)old.ptr;
    make_empty(old.elem_size, (size_t)(address & -address), region);
    if (old.mapped != 0)
        lgalloc_deallocate((lgalloc_handle){old.ptr, old.mapped});
    else if (old.elem_size != 0 && old.capacity != 0) {
        int before = errno; /* free() of older C libraries may change it */
        free(old.ptr);
        errno = before;
    }
}

LG_API lgalloc_handle lgalloc_region_handle(const lgalloc_region *region)
{
    if (region == NULL || region->mapped == 0)
        return lg_empty_handle(1);
    return (lgalloc_handle){region->ptr, region->mapped};
}
