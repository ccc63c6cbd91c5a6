/*
 * Handles: allocate and deallocate. With the pieces of hot.h the inline functions here are the hot path: no system call,
 * no lock, no shared cache line written. What isn't the usual case leaves for a function that is out of line, and starts
 * over from the arguments.
 */
#include "../base/atomic.h"
#include "../base/cpu.h"
#include "../base/hot_flags.h"
#include "../regions/descriptor.h"
#include "../regions/thread.h"
#include "handle.h"
#include "hot.h"
#include "slow.h"

LG_HOT_FUNCTION(lgalloc_allocate);
LG_HOT_FUNCTION(lgalloc_deallocate);

static LG_COLD lgalloc_status set_nothing(lgalloc_status status, size_t elem_align, void **out_ptr,
                                          size_t *out_capacity, lgalloc_handle *out_handle)
{
    if (out_ptr != NULL)
        *out_ptr = lg_empty_handle(elem_align).ptr;
    if (out_capacity != NULL)
        *out_capacity = 0;
    if (out_handle != NULL)
        *out_handle = lg_empty_handle(elem_align);
    return status;
}

/* What a caller may want beside the handle. */
LG_INLINE void set_others(lgalloc_handle handle, size_t elem_size, void **out_ptr, size_t *out_capacity)
{
    if (out_ptr != NULL)
        *out_ptr = handle.ptr;
    if (out_capacity != NULL)
        *out_capacity = lg_elements(handle.len, elem_size);
}

LG_INLINE lgalloc_status finish_slow(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                     size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    if (LG_UNLIKELY(out_handle == NULL)) {
        lg_taken refused = lg_slow_refuse(LGALLOC_STATUS_INVALID_ARGUMENT, capacity * elem_size, 0);
        return set_nothing(refused.status, elem_align, out_ptr, out_capacity, out_handle);
    }
    lg_taken taken = lg_slow_allocate(capacity, elem_size, elem_align, zeroed);
    if (LG_LIKELY(taken.ptr != NULL)) {
        lgalloc_handle handle = {taken.ptr, lg_slow_len(capacity, elem_size)};
        *out_handle = handle;
        set_others(handle, elem_size, out_ptr, out_capacity);
        return LGALLOC_STATUS_OK;
    }
    (void)set_nothing(taken.status, elem_align, out_ptr, out_capacity, out_handle);
    if (taken.status == LGALLOC_STATUS_OK && elem_size == 0 && out_capacity != NULL)
        *out_capacity = SIZE_MAX;
    return taken.status;
}

/* Takes what the hot path got, in the same registers, so that that can jump here with little moved and nothing of its own
 * on the stack. */
static LG_WARM lgalloc_status allocate_slow(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                            size_t *out_capacity, lgalloc_handle *out_handle)
{
    return finish_slow(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, false);
}

LG_INLINE lgalloc_status hot_allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                      size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed, bool lzcnt)
{
    size_t bytes, below = elem_align - 1;
    if (LG_UNLIKELY((elem_align & below) != 0) || LG_UNLIKELY(__builtin_mul_overflow(capacity, elem_size, &bytes)))
        goto slow;
    LG_APART();
    if (LG_UNLIKELY(below >= bytes) || LG_UNLIKELY(out_handle == NULL) || LG_UNLIKELY(!lg_hot_usual()))
        goto slow;
    lg_bin *bin = lg_hot_bin(bytes, lzcnt);
    lg_descriptor *region;
    if (LG_UNLIKELY(!lg_hot_pop(bin, &region)))
        goto slow;
    lg_counter_add(&bin->hot.allocations, 1);
    lgalloc_handle handle = {NULL, bin->len};
    bool clean;
    if (LG_UNLIKELY(!lg_hot_use(region, &handle.len, &handle.ptr, &clean)))
        return lg_die_handed_out_twice(region);
    if (zeroed && !clean && LG_UNLIKELY(lg_slow_zero(region, handle.ptr, handle.len) != LGALLOC_STATUS_OK))
        return set_nothing(LGALLOC_STATUS_IO, elem_align, out_ptr, out_capacity, out_handle);
    *out_handle = handle;
    /* One condition, and no jump, for callers that have enough in the handle. */
    if (LG_UNLIKELY(((uintptr_t)out_ptr | (uintptr_t)out_capacity) != 0))
        set_others(handle, elem_size, out_ptr, out_capacity);
    return LGALLOC_STATUS_OK;
slow:
    if (zeroed)
        return finish_slow(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, true);
    return allocate_slow(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle);
}

LG_HOT lgalloc_status lgalloc_allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                       size_t *out_capacity, lgalloc_handle *out_handle)
{
    return hot_allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, false, LG_LZCNT);
}

LG_HOT_LZCNT lgalloc_status lgalloc_allocate_lzcnt(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                                   size_t *out_capacity, lgalloc_handle *out_handle)
{
    return hot_allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, false, true);
}

/* Zeros take longer than anything that is saved before. */
LG_API lgalloc_status lgalloc_allocate_zeroed(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                              size_t *out_capacity, lgalloc_handle *out_handle)
{
    return hot_allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, true, LG_LZCNT);
}

LG_INLINE void hot_deallocate(lgalloc_handle handle, bool lzcnt)
{
    lg_bin *bin = &lg_hot_bins[lg_bin_of_len(handle.len, lzcnt) - 1];
    LG_OPAQUE(bin);
    bin++; /* by displacement */
    if (LG_UNLIKELY(bin->len != handle.len) || LG_UNLIKELY(!lg_hot_free(bin, handle.ptr)))
        lg_handle_free(handle);
}

LG_HOT void lgalloc_deallocate(lgalloc_handle handle)
{
    hot_deallocate(handle, LG_LZCNT);
}

LG_HOT_LZCNT void lgalloc_deallocate_lzcnt(lgalloc_handle handle)
{
    hot_deallocate(handle, true);
}
