/*
 * The raw API: memory by handle, hints, statistics, and giving everything back.
 */
#include "lgalloc.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return EXIT_FAILURE;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS); /* needs no directory */
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);

    /* A million doubles; 8 million bytes are rounded up to a region of 8 MiB. */
    double *numbers = NULL;
    size_t capacity = 0;
    void *first = NULL;
    lgalloc_handle handle;
    if (status == LGALLOC_STATUS_OK)
        status = lgalloc_allocate(1000000, sizeof *numbers, sizeof *numbers, &first, &capacity, &handle);
    if (status != LGALLOC_STATUS_OK) {
        fprintf(stderr, "handle: %s\n", lgalloc_status_str(status));
        return EXIT_FAILURE;
    }
    numbers = first;
    for (size_t i = 0; i < capacity; i++)
        numbers[i] = (double)i;
    printf("%zu bytes, room for %zu numbers, the last is %.0f\n", handle.len, capacity, numbers[capacity - 1]);

    /* Half of it is not needed any more: its memory goes back, and it reads as zero. */
    status = lgalloc_discard(handle, handle.len / 2, handle.len / 2);
    if (status == LGALLOC_STATUS_OK)
        printf("the last is now %.0f\n", numbers[capacity - 1]);

    lgalloc_deallocate(handle); /* on any thread, once */

    lgalloc_global_stats stats;
    lgalloc_stats_global(&stats);
    printf("%zu bytes in use, %zu kept for the next allocation\n", stats.in_use_bytes, stats.dirty_bytes);
    lgalloc_purge();
    lgalloc_stats_global(&stats);
    printf("%zu bytes of areas after the purge\n", stats.area_bytes);
    return EXIT_SUCCESS;
}
