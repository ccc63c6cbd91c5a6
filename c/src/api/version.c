/* What the library is, and what its answers mean. */
#include "../base/base.h"

LG_API uint32_t lgalloc_version(void)
{
    return LGALLOC_VERSION;
}

LG_API const char *lgalloc_status_str(lgalloc_status status)
{
    switch ((int32_t)status) {
    case LGALLOC_STATUS_OK: return "ok";
    case LGALLOC_STATUS_IO: return "a system call failed; errno says why";
    case LGALLOC_STATUS_OUT_OF_MEMORY: return "out of memory";
    case LGALLOC_STATUS_INVALID_SIZE_CLASS: return "invalid size class: not between 64 KiB and 64 GiB";
    case LGALLOC_STATUS_DISABLED: return "disabled by configuration";
    case LGALLOC_STATUS_UNALIGNED_MEMORY: return "memory unsuitable for the alignment asked for";
    case LGALLOC_STATUS_INVALID_ARGUMENT: return "invalid argument";
    case LGALLOC_STATUS_CAPACITY_EXCEEDED: return "capacity exceeded";
    case LGALLOC_STATUS_OUT_OF_BOUNDS: return "range out of bounds";
    case LGALLOC_STATUS_NOT_RESIDENT: return "not in memory";
    case LGALLOC_STATUS_BUSY: return "pinned";
    }
    return "unknown status";
}
