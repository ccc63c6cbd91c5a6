/* Handles inside the library: whether one is a region in use, freeing in rare cases, and what to say of misuse. */
#ifndef LG_HANDLE_H
#define LG_HANDLE_H

#include "../base/atomic.h"
#include "../chunks/chunk.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"

/* A handle that holds nothing, dangling but aligned. */
LG_INLINE lgalloc_handle lg_empty_handle(size_t elem_align)
{
    bool power = elem_align != 0 && (elem_align & (elem_align - 1)) == 0;
    return (lgalloc_handle){(void *)(power ? elem_align : 1), 0};
}

LG_INLINE lgalloc_status lg_io_error(int error)
{
    errno = error;
    return LGALLOC_STATUS_IO;
}

/* Whether it is an address that regions are for, whatever is there: in use, free, lost to a fork or left behind by one, or
 * nothing yet. */
LG_INLINE bool lg_owns(const void *ptr)
{
    return lg_chunk_of(ptr) < lg_load_relaxed_64(&lg_chunks_count) ||
           (LG_UNLIKELY(lg_arenas_abandoned != 0) && lg_arena_abandoned(ptr));
}

/* Finds the class and index of the region in use that begins at an address, which may be anything; false if none does. No
 * lock, no system call. */
LG_HIDDEN bool lg_region_find(const void *ptr, lg_class **out_class, uint64_t *out_region);

/* The same where its length is known. */
LG_HIDDEN bool lg_handle_find(lgalloc_handle handle, lg_class **out_class, uint64_t *out_region);

/* The same for a region in use that is sealed, which the two above don't find. */
LG_HIDDEN bool lg_sealed_find(lgalloc_handle handle, lg_class **out_class, uint64_t *out_region);

/* Whether a region was there that a fork has lost, or left behind. */
LG_HIDDEN bool lg_handle_is_lost(lgalloc_handle handle);

/* Frees whatever it is, by the longest way: the hot path leaves to this what isn't usual. Aborts where it is misuse. */
LG_HIDDEN LG_COLD void lg_handle_free(lgalloc_handle handle);

/* Says what is wrong with an address that isn't a region in use, and aborts; returns if it was lost to a fork, or left
 * behind by one. */
LG_HIDDEN LG_COLD void lg_region_explain(const void *ptr);

/* A free region's descriptor says that it isn't. Doesn't return, but may be jumped to in place of a return. */
LG_HIDDEN LG_COLD lgalloc_status lg_die_handed_out_twice(const lg_descriptor *region);

#endif
