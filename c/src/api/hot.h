/*
 * The pieces of the hot path, which allocate.c, malloc.c and region.c put together each in its way: from the calling
 * thread's cache and back. No system call, no lock, no fence, no shared cache line written.
 */
#ifndef LG_HOT_H
#define LG_HOT_H

#include "../base/atomic.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/deque.h"
#include "../regions/descriptor.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"
#include "../flow/thread_cache.h"

/* The bin for a request. It is always empty for sizes that have no class. */
LG_INLINE lg_bin *lg_hot_bin(size_t bytes, bool lzcnt)
{
    lg_bin *bin = &lg_hot_bins[lg_bin_of_bytes(bytes, lzcnt)];
    LG_OPAQUE(bin);
    return bin;
}

/* How many elements fit. A division takes as long as all the rest; most sizes are powers of two. */
LG_INLINE size_t lg_elements(size_t len, size_t elem_size)
{
    return (elem_size & (elem_size - 1)) == 0 ? len >> __builtin_ctzl(elem_size) : len / elem_size;
}

/* False: the cache is empty. */
LG_INLINE bool lg_hot_pop(lg_bin *bin, lg_descriptor **out_region)
{
    uint64_t item;
    if (LG_UNLIKELY(!lg_deque_pop(&bin->deque, false, &item)))
        return false;
    *out_region = lg_item_descriptor(item);
    return true;
}

/* A free region of the caller's becomes one in use. False if it isn't free: two threads that free a region in the same
 * instant both see it in use, and here it comes out. The length by pointer, since it is rarely needed. */
LG_INLINE bool lg_hot_use(lg_descriptor *region, const size_t *len, void **out_ptr, bool *out_clean)
{
    uint64_t state = lg_load_relaxed_64(&region->state);
    *out_ptr = (void *)(uintptr_t)state;
    uint64_t in_use = lg_state_in_use(*out_ptr);
    *out_clean = !lg_state_is_in_use(in_use); /* unless it was dirty; none that is lost comes here */
    if (LG_UNLIKELY(*out_clean)) {
        if (state != LG_CLEAN)
            return false;
        /* As lg_address_of(), but for a shift, for which the hot path would have to save a register. */
        const lg_class *cls = lg_class_at(lg_log2_floor(*len) - LG_CLASS_MIN);
        *out_ptr = (void *)(cls->base + lg_descriptor_index(cls, region) * *len);
        in_use = lg_state_in_use(*out_ptr);
    }
    lg_store_relaxed_64(&region->state, in_use);
    lg_unpoison(*out_ptr, *len);
    return true;
}

/* Frees a region in use, if one of the bin's class begins at the address, which may be anything: any gives an index with
 * a descriptor, and that holds the address only if it is such a region's own. False: it is no usual case, and nothing is
 * done. */
LG_INLINE bool lg_hot_free(lg_bin *bin, void *ptr)
{
    lg_descriptor *region = lg_bin_descriptor(bin, (uintptr_t)ptr);
    if (LG_UNLIKELY(!lg_state_is_of(lg_load_relaxed_64(&region->state), ptr)))
        return false;
    lg_store_relaxed_64(&region->state, lg_state_dirty(ptr));
    lg_poison(ptr, bin->len);
    if (LG_LIKELY(lg_deque_push(&bin->deque, (uintptr_t)region)))
        lg_count_free(bin);
    else
        lg_cache_give_address(ptr); /* the cache is full */
    return true;
}

#endif
