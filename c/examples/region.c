/*
 * The Region API: a vector of fixed capacity on memory that is recycled without system calls.
 */
#include "lgalloc.h"

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *path = getenv("TMPDIR");
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return EXIT_FAILURE;
    lgalloc_config_enable(config);
    lgalloc_status status = lgalloc_config_with_path(config, path != NULL ? path : "/var/tmp");
    if (status == LGALLOC_STATUS_OK)
        status = lgalloc_set_config(config);
    lgalloc_config_free(config);

    /* Room for 2 MiB of numbers; `new_auto` would take the heap for what is too small to be mapped. */
    lgalloc_region region;
    if (status == LGALLOC_STATUS_OK)
        status = lgalloc_region_new_mmap(((size_t)2 << 20) / sizeof(int), sizeof(int), sizeof(int), &region);
    if (status != LGALLOC_STATUS_OK) {
        fprintf(stderr, "region: %s\n", lgalloc_status_str(status));
        return EXIT_FAILURE;
    }

    const int numbers[] = {1, 2, 3, 4};
    if (lgalloc_region_extend_from_slice(&region, numbers, 4) != LGALLOC_STATUS_OK)
        return EXIT_FAILURE; /* CAPACITY_EXCEEDED: a region never grows */

    /* Or without a copy: fill what is spare, then say how much. */
    size_t spare = 0;
    int *next = lgalloc_region_spare(&region, &spare);
    next[0] = 5;
    if (lgalloc_region_set_len(&region, lgalloc_region_len(&region) + 1) != LGALLOC_STATUS_OK)
        return EXIT_FAILURE;

    const int *all = lgalloc_region_as_ptr(&region);
    int sum = 0;
    for (size_t i = 0; i < lgalloc_region_len(&region); i++)
        sum += all[i];
    printf("%zu of %zu numbers, sum %d\n", lgalloc_region_len(&region), lgalloc_region_capacity(&region), sum);

    lgalloc_region_drop(&region); /* on any thread */
    return sum == 15 ? EXIT_SUCCESS : EXIT_FAILURE;
}
