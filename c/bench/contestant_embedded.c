/*
 * This library once more, compiled into the program, as those have it that embed c/lgalloc.c: what a call through a shared
 * library takes falls away. Here its functions have other names (CMakeLists.txt sees to that), so that both are there.
 */
#include "bench.h"

#include "lgalloc.h"

static void start(void)
{
    lgalloc_config *config = lgalloc_config_new();

    if (config == NULL)
        give_up("out of memory");
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    const lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK)
        give_up("configuring: %s", lgalloc_status_str(status));
}

static void trim(void)
{
    lgalloc_purge();
}

const struct contestant embedded_contestant = {
    "lgalloc embedded", start, lgalloc_malloc, lgalloc_free_sized, trim, NULL, NULL};
