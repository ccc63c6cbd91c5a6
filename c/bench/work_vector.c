/*
 * A vector that grows by doubling: what it has moves, and the new half is written.
 */
#include "bench.h"
#include "measure.h"

#include "lgalloc.h"

#include <stdlib.h>
#include <string.h>

/* By realloc where that is the contestant's. */
static void *grow(const struct contestant *contestant, void *ptr, size_t size)
{
    if (contestant == contestant_get(LGALLOC_FILE) || contestant == contestant_get(LGALLOC_ANONYMOUS))
        return lgalloc_realloc(ptr, 2 * size);
    if (contestant == contestant_get(GLIBC))
        return realloc(ptr, 2 * size);
    void *larger = contestant->allocate(2 * size);
    if (larger != NULL) {
        memcpy(larger, ptr, size);
        contestant->release(ptr, size);
    }
    return larger;
}

/* Milliseconds from 64 KiB to the end, and the most that was resident for each byte of the vector then. */
void run_vector(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const size_t before = resident_at_most();
    const uint64_t start = now_ns();
    size_t size = 64 * KIB;
    unsigned char *ptr = contestant->allocate(size);

    (void)workload;
    if (ptr == NULL)
        give_up("out of memory");
    memset(ptr, 1, size);
    for (unsigned char byte = 2; size < settings.touch_bytes; size *= 2, byte++) {
        ptr = grow(contestant, ptr, size);
        if (ptr == NULL)
            give_up("out of memory");
        memset(ptr + size, byte, size);
    }
    out->values[0] = (double)(now_ns() - start) / 1e6;
    out->values[1] = (double)(resident_at_most() - before) / (double)size;
    /* What each doubling wrote is still there. */
    unsigned char byte = 1;
    for (size_t at = 0; at < size; at = at == 0 ? 64 * KIB : 2 * at, byte++)
        if (ptr[at] != byte)
            give_up("byte %zu is %u, not %u", at, ptr[at], byte);
    contestant->release(ptr, size);
}
