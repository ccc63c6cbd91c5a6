/* So many pairs of 2 MiB, with handles, by malloc, or by malloc through the shared pools: check-instructions.sh counts what
 * they take. */
#include <stdlib.h>
#include <string.h>

#include "lgalloc.h"

int main(int argc, char **argv)
{
    int by_pools = argc == 3 && strcmp(argv[1], "pools") == 0;
    int by_malloc = by_pools || (argc == 3 && strcmp(argv[1], "malloc") == 0);
    long pairs = argc == 3 ? atol(argv[2]) : 0;
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return 1;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    if (by_pools)
        lgalloc_config_local_buffer_bytes(config, 0); /* caches hold none: each call goes to the pools */
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    for (long i = 0; i < pairs && status == LGALLOC_STATUS_OK && !by_malloc; i++) {
        lgalloc_handle handle;
        status = lgalloc_allocate(1 << 21, 1, 1, NULL, NULL, &handle);
        lgalloc_deallocate(handle);
    }
    for (long i = 0; i < pairs && status == LGALLOC_STATUS_OK && by_malloc; i++) {
        void *ptr = lgalloc_malloc(1 << 21);
        if (ptr == NULL)
            return 1;
        lgalloc_free_sized(ptr, 1 << 21);
    }
    return status == LGALLOC_STATUS_OK ? 0 : 1;
}
