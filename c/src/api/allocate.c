/*
 * Handles: allocate and deallocate. The functions of these names, with hand_out before them and the pieces of hot.h,
 * are the hot path: no system call, no lock, no shared cache line written. Everything that isn't the usual case
 * leaves through a cold function, which starts over from the arguments.
 */
#include "../base/atomic.h"
#include "../base/cpu.h"
#include "../base/hot_flags.h"
#include "../base/probe.h"
#include "../base/process.h"
#include "../chunks/backing.h"
#include "../chunks/zero.h"
#include "../flow/exchange.h"
#include "../flow/thread_cache.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "handle.h"
#include "hot.h"
#include "init.h"

/* A request below this would round up to less than the smallest region. */
#define SMALLEST_REQUEST (LG_SMALLEST_REGION / 2 + 1)
#define LARGEST_REQUEST LG_LARGEST_REGION

/* These take what the hot path got, in the same registers, so that it can jump to them with little moved and
 * nothing of its own on the stack. */
static LG_COLD lgalloc_status refuse(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                     size_t *out_capacity, lgalloc_handle *out_handle);
static LG_WARM lgalloc_status allocate_refilled(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                                size_t *out_capacity, lgalloc_handle *out_handle);
static LG_WARM lgalloc_status allocate_zeroed_refilled(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                                       size_t *out_capacity, lgalloc_handle *out_handle);
static LG_WARM lgalloc_status allocate_elsewhere(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                                 size_t *out_capacity, lgalloc_handle *out_handle);
static LG_WARM lgalloc_status allocate_zeroed_elsewhere(size_t bytes, size_t elem_size, size_t elem_align,
                                                        void **out_ptr, size_t *out_capacity,
                                                        lgalloc_handle *out_handle);
static LG_COLD lgalloc_status not_zeroed(int error, lg_region *region, void *ptr, size_t len, size_t elem_align,
                                         void **out_ptr, size_t *out_capacity, lgalloc_handle *out_handle);

/* A free region of the calling thread's becomes one in use. */
LG_INLINE lgalloc_status hand_out(lg_region *region, size_t len, size_t elem_size, size_t elem_align, void **out_ptr,
                                  size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    bool clean;
    void *ptr;
    if (LG_UNLIKELY(!lg_hot_use(region, &len, &ptr, &clean)))
        return lg_die_handed_out_twice(region);
    if (zeroed && !clean) {
        int error = lg_zero(region, ptr, len);
        if (LG_UNLIKELY(error != 0))
            return not_zeroed(error, region, ptr, len, elem_align, out_ptr, out_capacity, out_handle);
    }
    out_handle->ptr = ptr;
    out_handle->len = len;
    /* One condition, and no jump, for who has enough in the handle. */
    if (LG_LIKELY(((uintptr_t)out_ptr | (uintptr_t)out_capacity) == 0))
        return LGALLOC_STATUS_OK;
    LG_APART();
    if (out_ptr != NULL)
        *out_ptr = ptr;
    if (out_capacity != NULL)
        *out_capacity = lg_elements(len, elem_size);
    return LGALLOC_STATUS_OK;
}

LG_INLINE lgalloc_status allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                  size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed, bool lzcnt)
{
    size_t bytes, below = elem_align - 1;
    if (LG_UNLIKELY((elem_align & below) != 0))
        return refuse(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle);
    LG_OPAQUE(below); /* the multiplication takes a register: that of elem_align is free now */
    if (LG_UNLIKELY(__builtin_mul_overflow(capacity, elem_size, &bytes)))
        return refuse(capacity, elem_size, below + 1, out_ptr, out_capacity, out_handle);
    if (LG_UNLIKELY(below >= bytes))
        goto unusual;
    LG_APART();
    if (LG_UNLIKELY(out_handle == NULL))
        goto unusual;
    LG_APART();
    if (LG_UNLIKELY(!lg_hot_usual()))
        goto unusual;
    lg_bin *bin = lg_hot_bin(bytes, lzcnt);
    lg_region *region;
    if (LG_UNLIKELY(!lg_hot_pop(bin, &region)))
        return (zeroed ? allocate_zeroed_refilled : allocate_refilled)(bytes, elem_size, below + 1, out_ptr, out_capacity,
                                                                       out_handle);
    lg_bump(&bin->hot.allocations, 1);
    return hand_out(region, bin->len, elem_size, below + 1, out_ptr, out_capacity, out_handle, zeroed);
unusual:
    return (zeroed ? allocate_zeroed_elsewhere : allocate_elsewhere)(bytes, elem_size, below + 1, out_ptr,
                                                                     out_capacity, out_handle);
}

LG_INLINE void deallocate(lgalloc_handle handle, bool lzcnt)
{
    lg_bin *bin = &lg_hot_bins[lg_bin_of_len(handle.len, lzcnt) - 1];
    LG_OPAQUE(bin);
    bin++; /* by displacement */
    if (LG_UNLIKELY(bin->len != handle.len)) {
        lg_handle_free(handle);
        return;
    }
    /* Any address gives an index with a descriptor, which is the region's own, in use, if it has that address. */
    lg_region *region = lg_bin_region(bin, (uintptr_t)handle.ptr);
    if (LG_UNLIKELY(!lg_state_is_of(lg_load_relaxed_64(&region->state), handle.ptr))) {
        lg_handle_free(handle);
        return;
    }
    if (LG_UNLIKELY(!lg_hot_give(bin, region, handle.ptr)))
        lg_cache_give_address(handle.ptr);
}

LG_HOT_FUNCTION(lgalloc_status, lgalloc_allocate,
                (size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr, size_t *out_capacity,
                 lgalloc_handle *out_handle),
                return allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, false, lzcnt););

LG_HOT_FUNCTION(lgalloc_status, lgalloc_allocate_zeroed,
                (size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr, size_t *out_capacity,
                 lgalloc_handle *out_handle),
                return allocate(capacity, elem_size, elem_align, out_ptr, out_capacity, out_handle, true, lzcnt););

LG_HOT_FUNCTION(void, lgalloc_deallocate, (lgalloc_handle handle), deallocate(handle, lzcnt););

/* ---- the rare cases of allocating */

/* Makes sure that the region's disk blocks are there. Returns 0 or an errno. */
static int reserve_blocks(lg_class *cls, lg_region *region)
{
    uint64_t offset = lg_class_bytes(cls, lg_region_index(cls, region));
    uint32_t known = lg_load_relaxed_32(&region->has_blocks);
    if ((known & LG_BLOCKS_RESERVED) != 0)
        return 0;
    int error = lg_backing_reserve_blocks(offset, lg_class_size(cls));
    if (error == 0)
        lg_store_relaxed_32(&region->has_blocks, known | LG_BLOCKS_RESERVED);
    return error;
}

/* A free region from wherever there is one. */
static lgalloc_status find_any(lg_thread *self, lg_class *cls, size_t bytes, lg_region **out_region, int *out_error)
{
    uint64_t flags = lg_load_relaxed_64(&lg_hot_flags);
    lg_bin *bin = self != NULL ? lg_bin_of(self, cls) : NULL;
    uint64_t item;
    /* Without flags the hot path has looked there. */
    if (LG_UNLIKELY(flags != 0) && bin != NULL && lg_deque_pop(&bin->deque, (flags & LG_HOT_FENCE) != 0, &item)) {
        *out_region = lg_item_region(item);
    } else {
        return lg_cache_refill(self, cls, bytes, out_region, out_error);
    }
    return LGALLOC_STATUS_OK;
}

/* Regions whose blocks can't be had are tried so often, one after the other. */
#define BLOCKS_TRIES 64

/* The same, with its disk blocks where they are to be there. Before a full disk is the answer, what has its blocks is
 * used: that may be behind clean regions which the own cache got first. Then all that is dirty elsewhere is cleared. */
static lgalloc_status find_region(lg_thread *self, lg_class *cls, size_t bytes, lg_region **out_region, int *out_error)
{
    bool flushed = false, cleared = false;
    lgalloc_status status = LGALLOC_STATUS_IO;
    for (unsigned tries = 0; tries < BLOCKS_TRIES; tries++) {
        lgalloc_status found = find_any(self, cls, bytes, out_region, out_error);
        if (found != LGALLOC_STATUS_OK)
            return tries == 0 ? found : status;
        /* Meanwhile the region is as good as in use: an allocation that is refused for lack of it came later than this
         * one, even if this one will fail. */
        if ((lg_load_relaxed_64(&lg_hot_flags) & LG_HOT_RESERVE_BLOCKS) == 0)
            return LGALLOC_STATUS_OK;
        bool clean = lg_load_relaxed_64(&(*out_region)->state) == LG_CLEAN;
        int error = reserve_blocks(cls, *out_region);
        if (error == 0)
            return LGALLOC_STATUS_OK;
        lg_cache_reject(self, cls, *out_region);
        *out_error = error;
        if (error != ENOSPC && error != EDQUOT)
            return LGALLOC_STATUS_IO;
        if (clean && flushed) {
            if (cleared)
                return LGALLOC_STATUS_IO;
            lg_cache_clear_all(self);
            cleared = true;
        }
        if (!flushed && self != NULL)
            lg_cache_flush(self);
        flushed = true;
    }
    return status;
}

static void set_nothing(size_t elem_align, void **out_ptr, size_t *out_capacity, lgalloc_handle *out_handle)
{
    if (out_ptr != NULL)
        *out_ptr = lg_empty_handle(elem_align).ptr;
    if (out_capacity != NULL)
        *out_capacity = 0;
    if (out_handle != NULL)
        *out_handle = lg_empty_handle(elem_align);
}

/* What is asked for, checked in the order that the interface promises. The alignment is 0 or a power of two. */
static lgalloc_status check_request(size_t bytes, size_t elem_align, const lgalloc_handle *out_handle)
{
    if (out_handle == NULL || elem_align == 0)
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    if (bytes == 0)
        return LGALLOC_STATUS_OK;
    if (bytes < SMALLEST_REQUEST || bytes > LARGEST_REQUEST)
        return LGALLOC_STATUS_INVALID_SIZE_CLASS;
    if (elem_align > (size_t)1 << lg_log2_ceil(bytes))
        return LGALLOC_STATUS_UNALIGNED_MEMORY;
    if ((lg_load_relaxed_64(&lg_hot_flags) & LG_HOT_DISABLED) != 0)
        return LGALLOC_STATUS_DISABLED;
    if (!lg_ready() && lg_init() != 0)
        return LGALLOC_STATUS_OUT_OF_MEMORY; /* not even the smallest reservation */
    return LGALLOC_STATUS_OK;
}

/* The own cache has nothing, or may not be used just like that, or the arguments are unusual. */
LG_INLINE lgalloc_status find_elsewhere(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                        size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    lgalloc_status status = check_request(bytes, elem_align, out_handle);
    if (LG_LIKELY(status == LGALLOC_STATUS_OK) && LG_LIKELY(bytes != 0)) {
        lg_thread *self = lg_thread_here();
        lg_class *cls = lg_class_for(bytes);
        lg_region *region = NULL;
        int error = 0;
        /* The reservation may be too small for regions of this size. */
        status = cls != NULL ? find_region(self, cls, bytes, &region, &error) : LGALLOC_STATUS_OUT_OF_MEMORY;
        if (LG_LIKELY(status == LGALLOC_STATUS_OK)) {
            LG_COUNT_HOT(self, cls, allocations, 1);
            return hand_out(region, lg_class_size(cls), elem_size, elem_align, out_ptr, out_capacity, out_handle, zeroed);
        }
        if (status == LGALLOC_STATUS_IO)
            errno = error;
    }
    if (status != LGALLOC_STATUS_OK)
        LG_PROBE3(refuse, bytes, status, status == LGALLOC_STATUS_IO ? errno : 0);
    set_nothing(elem_align, out_ptr, out_capacity, out_handle);
    if (status == LGALLOC_STATUS_OK && elem_size == 0 && out_capacity != NULL)
        *out_capacity = SIZE_MAX;
    return status;
}

/* The own cache is empty, and nothing else is unusual: mostly the dirty pool has what is needed. */
LG_INLINE lgalloc_status refill(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                size_t *out_capacity, lgalloc_handle *out_handle, bool zeroed)
{
    lg_thread *self = lg_self();
    lg_class *cls;
    lg_region *region;
    if (LG_UNLIKELY(self == NULL) || LG_UNLIKELY((cls = lg_class_for(bytes)) == NULL) ||
        LG_UNLIKELY((region = lg_exchange_refill(self, cls)) == NULL))
        return (zeroed ? allocate_zeroed_elsewhere : allocate_elsewhere)(bytes, elem_size, elem_align, out_ptr,
                                                                         out_capacity, out_handle);
    lg_bin *bin = lg_bin_of(self, cls);
    lg_bump(&bin->hot.allocations, 1);
    return hand_out(region, bin->len, elem_size, elem_align, out_ptr, out_capacity, out_handle, zeroed);
}

static lgalloc_status allocate_refilled(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                        size_t *out_capacity, lgalloc_handle *out_handle)
{
    return refill(bytes, elem_size, elem_align, out_ptr, out_capacity, out_handle, false);
}

static lgalloc_status allocate_zeroed_refilled(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                               size_t *out_capacity, lgalloc_handle *out_handle)
{
    return refill(bytes, elem_size, elem_align, out_ptr, out_capacity, out_handle, true);
}

static lgalloc_status allocate_elsewhere(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                         size_t *out_capacity, lgalloc_handle *out_handle)
{
    return find_elsewhere(bytes, elem_size, elem_align, out_ptr, out_capacity, out_handle, false);
}

static lgalloc_status allocate_zeroed_elsewhere(size_t bytes, size_t elem_size, size_t elem_align, void **out_ptr,
                                                size_t *out_capacity, lgalloc_handle *out_handle)
{
    return find_elsewhere(bytes, elem_size, elem_align, out_ptr, out_capacity, out_handle, true);
}

static lgalloc_status refuse(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                             size_t *out_capacity, lgalloc_handle *out_handle)
{
    LG_PROBE3(refuse, capacity * elem_size, LGALLOC_STATUS_INVALID_ARGUMENT, 0); /* the product may be what overflowed */
    set_nothing(elem_align, out_ptr, out_capacity, out_handle);
    lgalloc_status status = LGALLOC_STATUS_INVALID_ARGUMENT;
    LG_OPAQUE(status); /* so that who calls this jumps here: a compiler that knows what comes back would call, and save */
    return status;
}

/* A region in use, counted, couldn't be zeroed: it goes back, and what it holds is cleared if that can be. */
static lgalloc_status not_zeroed(int error, lg_region *region, void *ptr, size_t len, size_t elem_align, void **out_ptr,
                                 size_t *out_capacity, lgalloc_handle *out_handle)
{
    lg_thread *self = lg_thread_here();
    lg_class *cls = lg_class_for(len);
    lg_poison(ptr, len);
    lg_cache_reject(self, cls, region);
    LG_COUNT_HOT(self, cls, deallocations, 1); /* after it went, as lg_cache_give() does */
    LG_PROBE3(refuse, len, LGALLOC_STATUS_IO, error);
    set_nothing(elem_align, out_ptr, out_capacity, out_handle);
    errno = error;
    return LGALLOC_STATUS_IO;
}
