/* So many hot pairs of 2 MiB: check-instructions.sh counts what they take. */
#include <stdlib.h>

#include "lgalloc.h"

int main(int argc, char **argv)
{
    long pairs = argc == 2 ? atol(argv[1]) : 0;
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return 1;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    for (long i = 0; i < pairs && status == LGALLOC_STATUS_OK; i++) {
        lgalloc_handle handle;
        status = lgalloc_allocate(1 << 21, 1, 1, NULL, NULL, &handle);
        lgalloc_deallocate(handle);
    }
    return status == LGALLOC_STATUS_OK ? 0 : 1;
}
