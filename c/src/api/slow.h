/*
 * The slow path of allocating, one for all public functions: whatever the hot path leaves undone, because the own cache
 * is empty, or because anything else isn't as usual.
 */
#ifndef LG_SLOW_H
#define LG_SLOW_H

#include "../base/hot_flags.h"
#include "../chunks/tail.h"
#include "../flow/exchange.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "handle.h"
#include "hot.h"

/* What a slow allocation comes to: a region in use; or NULL, and the status says why. */
typedef struct lg_taken {
    void *ptr;
    lgalloc_status status; /* OK also where nothing was asked for */
} lg_taken;

/* An allocation of that status; with IO errno becomes `error`. `bytes` were asked for. */
LG_HIDDEN LG_COLD lg_taken lg_slow_refuse(lgalloc_status status, size_t bytes, int error);

/* Zeroes a region that was just taken. If that can't be done the region is freed, and errno says why: IO. */
LG_HIDDEN LG_WARM lgalloc_status lg_slow_zero(lg_descriptor *region, void *ptr, size_t len);

/* The whole search. `elem_align` is 0 or a power of two; `bytes` may be 0. `looked`: all is as usual, but the own cache and
 * its home word have nothing. */
LG_HIDDEN LG_WARM lg_taken lg_slow_search(size_t bytes, size_t elem_align, bool zeroed, bool looked);

/* A free region of the calling thread's becomes one in use, for so many bytes. */
LG_INLINE lg_taken lg_slow_use(lg_thread *self, lg_class *cls, lg_descriptor *region, size_t bytes, bool zeroed)
{
    size_t len = lg_class_size(cls);
    bool clean;
    void *ptr;
    lg_tail_recycle(cls, region, bytes);
    LG_COUNT_HOT(self, cls, allocations, 1);
    if (LG_UNLIKELY(!lg_hot_use(region, &len, &ptr, &clean)))
        return (lg_taken){NULL, lg_die_handed_out_twice(region)};
    if (zeroed && !clean && LG_UNLIKELY(lg_slow_zero(region, ptr, len) != LGALLOC_STATUS_OK))
        return (lg_taken){NULL, LGALLOC_STATUS_IO};
    return (lg_taken){ptr, LGALLOC_STATUS_OK};
}

/* Takes a region for `capacity` elements. The arguments may be anything. */
LG_INLINE lg_taken lg_slow_allocate(size_t capacity, size_t elem_size, size_t elem_align, bool zeroed)
{
    size_t bytes, below = elem_align - 1;
    if (LG_UNLIKELY((elem_align & below) != 0) || LG_UNLIKELY(__builtin_mul_overflow(capacity, elem_size, &bytes)))
        return lg_slow_refuse(LGALLOC_STATUS_INVALID_ARGUMENT, capacity * elem_size, 0); /* it may be what overflowed */
    /* Who has a record has seen the arena made. Anybody else may be here while another thread makes it. */
    lg_thread *self = lg_self();
    lg_class *cls = self != NULL ? lg_class_for(bytes) : NULL;
    bool usual = below < bytes && cls != NULL && lg_hot_usual();
    /* Mostly nothing is unusual but that the own cache is empty, and the dirty pool has what is needed. */
    lg_descriptor *region = LG_LIKELY(usual) ? lg_exchange_refill(self, cls) : NULL;
    return LG_LIKELY(region != NULL) ? lg_slow_use(self, cls, region, bytes, zeroed)
                                     : lg_slow_search(bytes, elem_align, zeroed, usual);
}

/* The length of what that took. */
LG_INLINE size_t lg_slow_len(size_t capacity, size_t elem_size)
{
    return (size_t)1 << lg_log2_ceil(capacity * elem_size);
}

#endif
