/* Hints for a part of an allocation in use. */
#include "../base/atomic.h"
#include "../base/os.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../flow/io.h"
#include "../regions/class.h"
#include "../regions/seal.h"
#include "handle.h"

/* A part of a region in use. */
typedef struct region_part {
    lg_class *cls;
    uint64_t region; /* its index */
    uint64_t start;  /* bytes in the arena, of the region */
    enum lg_area_kind kind;
} region_part;

/* Checks the range and finds the region; leaves `out` as it is where there is nothing to do. */
static lgalloc_status locate(lgalloc_handle handle, size_t offset, size_t len, region_part *out)
{
    if (offset > handle.len || len > handle.len - offset)
        return LGALLOC_STATUS_OUT_OF_BOUNDS;
    if (handle.len == 0)
        return LGALLOC_STATUS_OK;
    if (!lg_handle_find(handle, &out->cls, &out->region))
        return LGALLOC_STATUS_INVALID_ARGUMENT;
    out->start = lg_class_bytes(out->cls, out->region);
    out->kind = lg_backing_kind(out->start);
    return LGALLOC_STATUS_OK;
}

/* The whole pages inside a range. */
static void round_inward(size_t *offset, size_t *len)
{
    size_t page = lg_os_page_size();
    size_t end = (*offset + *len) & ~(page - 1);
    *offset = (*offset + page - 1) & ~(page - 1);
    *len = end > *offset ? end - *offset : 0;
}

/* A sealed region, as a whole. False: it isn't sealed. */
static bool hint_sealed(enum lg_system_call advice, lgalloc_handle handle)
{
    lg_class *cls;
    uint64_t index;
    if (!lg_sealed_find(handle, &cls, &index))
        return false;
    if (advice == LG_SYS_ADVISE_PREFETCH)
        lg_io_prefetch(cls, index);
    else
        lg_seal_cool(cls, index);
    return true;
}

static lgalloc_status hint(enum lg_system_call advice, lgalloc_handle handle, size_t offset, size_t len)
{
    region_part part;
    lgalloc_status status = locate(handle, offset, len, &part);
    if (status == LGALLOC_STATUS_INVALID_ARGUMENT && hint_sealed(advice, handle))
        return LGALLOC_STATUS_OK;
    if (status != LGALLOC_STATUS_OK || len == 0)
        return status;
    lg_os_round_outward(&offset, &len);
    int error = lg_os_advise(advice, (char *)handle.ptr + offset, len);
    /* Anonymous memory on a system without swap: there is nothing to bring in. */
    if (error == EBADF && advice == LG_SYS_ADVISE_PREFETCH && part.kind == LG_AREA_ANONYMOUS)
        error = 0;
    if (error == 0)
        return LGALLOC_STATUS_OK;
    lg_add_relaxed_64(&lg_advise_failures, 1);
    return lg_io_error(error);
}

LG_API lgalloc_status lgalloc_prefetch(lgalloc_handle handle, size_t offset, size_t len)
{
    return hint(LG_SYS_ADVISE_PREFETCH, handle, offset, len);
}

LG_API lgalloc_status lgalloc_cold(lgalloc_handle handle, size_t offset, size_t len)
{
    return hint(LG_SYS_ADVISE_COLD, handle, offset, len);
}

/* Writes to every page without changing it, also while others write. */
static void touch(char *start, size_t len)
{
    size_t page = lg_os_page_size();
    for (size_t at = 0; at < len; at += page)
        __atomic_fetch_or(start + at, 0, __ATOMIC_RELAXED);
}

LG_API lgalloc_status lgalloc_populate(lgalloc_handle handle, size_t offset, size_t len)
{
    region_part part;
    lgalloc_status status = locate(handle, offset, len, &part);
    if (status != LGALLOC_STATUS_OK || len == 0)
        return status;
    lg_os_round_outward(&offset, &len);
    /* First the disk blocks: a full disk is found out here, not by the write that follows. */
    int reserved = lg_backing_reserve_blocks(part.start + offset, len);
    if (reserved != 0 && reserved != EOPNOTSUPP)
        return lg_io_error(reserved);
    int error = lg_os_advise(LG_SYS_ADVISE_POPULATE, (char *)handle.ptr + offset, len);
    if (error == EINVAL && reserved == 0) { /* before Linux 5.14 */
        touch((char *)handle.ptr + offset, len);
        error = 0;
    }
    if (error == EFAULT && part.kind == LG_AREA_FILE)
        error = ENOSPC; /* the fault would have been a SIGBUS */
    return error == 0 ? LGALLOC_STATUS_OK : lg_io_error(error);
}

LG_API lgalloc_status lgalloc_discard(lgalloc_handle handle, size_t offset, size_t len)
{
    region_part part;
    lgalloc_status status = locate(handle, offset, len, &part);
    if (status != LGALLOC_STATUS_OK || len == 0)
        return status;
    round_inward(&offset, &len);
    if (len == 0)
        return LGALLOC_STATUS_OK;
    int error = lg_backing_clear(part.start + offset, len);
    lg_store_relaxed_32(&lg_descriptor_at(part.cls, part.region)->has_blocks, 0);
    if (error == 0)
        return LGALLOC_STATUS_OK;
    lg_add_relaxed_64(&lg_clear_failures, 1);
    return lg_io_error(error);
}
