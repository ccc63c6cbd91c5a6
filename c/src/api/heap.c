#include "heap.h"

#include <stdlib.h>

lg_a64 lg_heap_fallbacks;

int lg_heap_aligned(size_t align, size_t size, void **out)
{
    return posix_memalign(out, lg_max(align, sizeof(void *)), size);
}

void lg_heap_free(void *ptr)
{
    int before = errno;
    free(ptr);
    errno = before;
}
