#include "slow.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/hot_flags.h"
#include "../base/probe.h"
#include "../base/process.h"
#include "../chunks/backing.h"
#include "../chunks/zero.h"
#include "../flow/thread_cache.h"
#include "../flow/worker.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "init.h"

/* A request below this would round up to less than the smallest region. */
#define SMALLEST_REQUEST (LG_SMALLEST_REGION / 2 + 1)
#define LARGEST_REQUEST LG_LARGEST_REGION

/* What is asked for, checked in the order that the interface promises. */
static lgalloc_status check_request(size_t bytes, size_t elem_align)
{
    if (elem_align == 0)
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

/* A free region from wherever there is one. `looked`: the own cache and its home word have none. */
static lgalloc_status find_any(lg_thread *self, lg_class *cls, size_t bytes, bool looked, lg_descriptor **out_region,
                               int *out_error)
{
    if (!looked && self != NULL) {
        uint64_t item;
        bool cached = lg_deque_pop(&lg_bin_of(self, cls)->deque, lg_owners_fence(), &item);
        *out_region = cached ? lg_item_descriptor(item) : lg_exchange_refill(self, cls);
        if (*out_region != NULL)
            return LGALLOC_STATUS_OK;
    }
    /* The thread has nothing of its own left: in the child of a fork that is when the worker starts again. */
    lg_worker_wake_after_fork();
    return lg_cache_refill(self, cls, bytes, out_region, out_error);
}

/* Makes sure that the region's disk blocks are there. Returns 0 or an errno. */
static int reserve_blocks(lg_class *cls, lg_descriptor *region)
{
    uint64_t offset = lg_class_bytes(cls, lg_descriptor_index(cls, region));
    uint32_t known = lg_load_relaxed_32(&region->has_blocks);
    if ((known & LG_BLOCKS_RESERVED) != 0)
        return 0;
    int error = lg_backing_reserve_blocks(offset, lg_class_size(cls));
    if (error == 0)
        lg_store_relaxed_32(&region->has_blocks, known | LG_BLOCKS_RESERVED);
    return error;
}

/* Regions whose blocks can't be had are tried so often, one after the other. */
#define BLOCKS_TRIES 64

/* The same, with its disk blocks where they are to be there. Before a full disk is the answer, what has its blocks is
 * used: that may be behind clean regions which the own cache got first. Then all that is dirty elsewhere is cleared. */
static lgalloc_status find_region(lg_thread *self, lg_class *cls, size_t bytes, bool looked, lg_descriptor **out_region,
                                  int *out_error)
{
    bool flushed = false, cleared = false;
    lgalloc_status status = LGALLOC_STATUS_IO;
    for (unsigned tries = 0; tries < BLOCKS_TRIES; tries++) {
        lgalloc_status found = find_any(self, cls, bytes, looked && tries == 0, out_region, out_error);
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

lg_taken lg_slow_refuse(lgalloc_status status, size_t bytes, int error)
{
    LG_PROBE3(refuse, bytes, status, error);
    if (status == LGALLOC_STATUS_IO)
        errno = error;
    return (lg_taken){NULL, status};
}

lg_taken lg_slow_search(size_t bytes, size_t elem_align, bool zeroed, bool looked)
{
    lgalloc_status status = check_request(bytes, elem_align);
    if (LG_UNLIKELY(status != LGALLOC_STATUS_OK))
        return lg_slow_refuse(status, bytes, 0);
    if (LG_UNLIKELY(bytes == 0))
        return (lg_taken){NULL, LGALLOC_STATUS_OK};
    lg_thread *self = lg_thread_here();
    lg_class *cls = lg_class_for(bytes);
    lg_descriptor *region;
    int error = 0;
    /* The reservation may be too small for regions of this size. */
    status = cls != NULL ? find_region(self, cls, bytes, looked, &region, &error) : LGALLOC_STATUS_OUT_OF_MEMORY;
    return LG_LIKELY(status == LGALLOC_STATUS_OK) ? lg_slow_use(self, cls, region, bytes, zeroed)
                                                  : lg_slow_refuse(status, bytes, error);
}

lgalloc_status lg_slow_zero(lg_descriptor *region, void *ptr, size_t len)
{
    int error = lg_zero(region, ptr, len);
    if (LG_LIKELY(error == 0))
        return LGALLOC_STATUS_OK;
    lg_thread *self = lg_thread_here();
    lg_class *cls = lg_class_for(len);
    lg_poison(ptr, len);
    lg_cache_reject(self, cls, region);        /* what it holds is cleared if that can be */
    LG_COUNT_HOT(self, cls, deallocations, 1); /* after it went, as lg_cache_give() does */
    return lg_slow_refuse(LGALLOC_STATUS_IO, len, error).status;
}
