/*
 * One allocator for all sizes: regions where they are worth it, else the C library's heap. An address tells the two
 * apart, so that blocks need no header.
 */
#include "../base/atomic.h"
#include "../flow/thread_cache.h"
#include "../regions/class.h"
#include "../regions/size_class.h"
#include "handle.h"
#include "heap.h"

#include <malloc.h>
#include <stdlib.h>

/* Requests of so many bytes and more are regions. */
#ifndef LG_ANY_FROM
#define LG_ANY_FROM LG_SMALLEST_REGION
#endif

/* Whether the heap serves a request for which there was no region; if not, errno says why. `before` is what errno was
 * before. */
static LG_COLD bool heap_instead(size_t size, int before)
{
    if (errno == ENOMEM && lg_refused_by_limit)
        return false;
    errno = before;
    if (size <= LG_LARGEST_REGION) /* what has no class belongs there */
        lg_add_relaxed_64(&lg_heap_fallbacks, 1);
    return true;
}

static void *heap_aligned(size_t align, size_t size)
{
    void *ptr;
    int error = lg_heap_aligned(align, size, &ptr);
    if (error == 0)
        return ptr;
    errno = error;
    return NULL;
}

LG_API void *lgalloc_any_malloc(size_t size)
{
    if (size < LG_ANY_FROM)
        return malloc(size);
    int before = errno;
    lg_refused_by_limit = false;
    void *ptr = lgalloc_malloc(size);
    if (LG_LIKELY(ptr != NULL))
        return ptr;
    return heap_instead(size, before) ? malloc(size) : NULL;
}

LG_API void *lgalloc_any_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    if (bytes < LG_ANY_FROM)
        return calloc(count, size);
    int before = errno;
    lg_refused_by_limit = false;
    void *ptr = lgalloc_calloc(bytes, 1);
    if (LG_LIKELY(ptr != NULL))
        return ptr;
    return heap_instead(bytes, before) ? calloc(count, size) : NULL;
}

LG_API void *lgalloc_any_aligned(size_t align, size_t size)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    if (size < LG_ANY_FROM)
        return heap_aligned(align, size);
    int before = errno;
    lg_refused_by_limit = false;
    lgalloc_handle handle; /* a region's alignment is its size */
    lgalloc_status status = lgalloc_allocate(size, 1, align, NULL, NULL, &handle);
    if (LG_LIKELY(status == LGALLOC_STATUS_OK))
        return handle.ptr;
    errno = status == LGALLOC_STATUS_OUT_OF_MEMORY ? ENOMEM : EINVAL;
    return heap_instead(size, before) ? heap_aligned(align, size) : NULL;
}

/* GCC, which sees realloc() in one caller and not that the address has been looked at, takes the block for the heap's. */
static void region_free(void *ptr)
{
    LG_OPAQUE(ptr);
    lgalloc_free(ptr);
}

/* A region's block becomes one of the heap. */
static void *to_heap(void *ptr, size_t size, size_t usable)
{
    void *moved = malloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, ptr, lg_min(size, usable));
    region_free(ptr);
    return moved;
}

/* A block of the heap becomes a region's, unless the heap has to go on with it. */
static void *to_region(void *ptr, size_t size)
{
    int before = errno;
    lg_refused_by_limit = false;
    void *moved = lgalloc_malloc(size);
    if (LG_UNLIKELY(moved == NULL))
        return heap_instead(size, before) ? realloc(ptr, size) : NULL;
    memcpy(moved, ptr, lg_min(size, malloc_usable_size(ptr)));
    lg_heap_free(ptr);
    return moved;
}

LG_API void *lgalloc_any_realloc(void *ptr, size_t size)
{
    if (ptr == NULL)
        return lgalloc_any_malloc(size);
    if (size == 0) {
        lgalloc_any_free(ptr);
        return NULL;
    }
    if (!lg_owns(ptr))
        return size < LG_ANY_FROM ? realloc(ptr, size) : to_region(ptr, size);
    int before = errno;
    size_t usable = lgalloc_usable_size(ptr);
    lg_class *cls;
    uint64_t index;
    bool sealed = usable != 0 && lg_sealed_find((lgalloc_handle){ptr, usable}, &cls, &index);
    if (usable != 0 && !sealed && size < LG_ANY_FROM)
        return to_heap(ptr, size, usable);
    lg_refused_by_limit = false;
    void *moved = lgalloc_realloc(ptr, size);
    if (moved != NULL || usable == 0 || sealed) /* what is no region in use was misuse, or is lost, and errno says so */
        return moved;
    return heap_instead(size, before) ? to_heap(ptr, size, usable) : NULL;
}

LG_API void lgalloc_any_free(void *ptr)
{
    if (lg_owns(ptr))
        region_free(ptr);
    else
        lg_heap_free(ptr);
}

LG_API size_t lgalloc_any_usable_size(const void *ptr)
{
    return lg_owns(ptr) ? lgalloc_usable_size(ptr) : malloc_usable_size((void *)(uintptr_t)ptr);
}
