/* Handles inside the library: what region.c and the hints share with the public functions. */
#ifndef LG_ALLOCATE_H
#define LG_ALLOCATE_H

#include "area.h"

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

/* Finds the class and index of a region that is in use; false for anything else. */
LG_HIDDEN bool lg_handle_find(lgalloc_handle handle, unsigned *out_class_index, uint64_t *out_region);

/* Regions that lgalloc_region_new_auto() took from the heap because mapped memory was not to be had. */
extern LG_HIDDEN lg_a64 lg_heap_fallbacks;

#endif
