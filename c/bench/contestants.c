/*
 * The table of contestants, put together from its parts.
 */
#include "bench.h"

const struct contestant *contestant_get(unsigned id)
{
    if (id >= PEER_FIRST)
        return peer_get(id - PEER_FIRST);
    if (id >= LGALLOC_SEALED)
        return &paging_contestants[id - LGALLOC_SEALED];
    if (id >= ZERO_FILE)
        return &zero_contestants[id - ZERO_FILE];
    if (id >= MMAP)
        return &hand_contestants[id - MMAP];
    if (id >= GLIBC)
        return &malloc_contestants[id - GLIBC];
    if (id >= FLOOR)
        return &floor_contestants[id - FLOOR];
    if (id == LGALLOC_EMBEDDED)
        return &embedded_contestant;
    return &lgalloc_contestants[id];
}
