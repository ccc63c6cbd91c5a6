/*
 * This library's memory, and three ways to have it zeroed: the library's own choice, by memset, and by
 * discarding what is there. For both backings.
 */
#include "bench.h"

#include "lgalloc.h"

#include <string.h>

static void *zeroed(size_t size)
{
    lgalloc_handle handle;

    if (lgalloc_allocate_zeroed(size, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK)
        return NULL;
    return handle.ptr;
}

static void *with_memset(size_t size)
{
    lgalloc_handle handle;

    if (lgalloc_allocate(size, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK)
        return NULL;
    return memset(handle.ptr, 0, size);
}

static void *with_discard(size_t size)
{
    lgalloc_handle handle;

    if (lgalloc_allocate(size, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK)
        return NULL;
    if (lgalloc_discard(handle, 0, size) != LGALLOC_STATUS_OK)
        give_up("lgalloc_discard failed");
    return handle.ptr;
}

static void start_file(void)
{
    lgalloc_contestants[LGALLOC_FILE].start();
}

static void start_anonymous(void)
{
    lgalloc_contestants[LGALLOC_ANONYMOUS].start();
}

static void release(void *ptr, size_t size)
{
    lgalloc_contestants[LGALLOC_FILE].release(ptr, size);
}

const struct contestant zero_contestants[6] = {
    [ZERO_FILE - ZERO_FILE] = {"file, as it does", start_file, zeroed, release, NULL, NULL, NULL},
    [ZERO_FILE_MEMSET - ZERO_FILE] = {"file, memset", start_file, with_memset, release, NULL, NULL, NULL},
    [ZERO_FILE_DISCARD - ZERO_FILE] = {"file, discard", start_file, with_discard, release, NULL, NULL, NULL},
    [ZERO_ANON - ZERO_FILE] = {"anonymous, as it does", start_anonymous, zeroed, release, NULL, NULL, NULL},
    [ZERO_ANON_MEMSET - ZERO_FILE] = {"anonymous, memset", start_anonymous, with_memset, release, NULL, NULL, NULL},
    [ZERO_ANON_DISCARD - ZERO_FILE] = {"anonymous, discard", start_anonymous, with_discard, release, NULL, NULL, NULL},
};
