/* A plugin with the library inside, for test_world_plugin.c: all of it, in a shared object that is opened and closed. */
#include "../../lgalloc.c"

LG_API bool plugin_begin(const char *directory, uint64_t interval_ns);
LG_API bool plugin_use(void);
LG_API char *plugin_take(size_t bytes);
LG_API uint64_t plugin_cleared(void);

/* Switches the plugin's copy on; with a worker if the interval isn't 0. Returns whether that worked. */
LG_API bool plugin_begin(const char *directory, uint64_t interval_ns)
{
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return false;
    lgalloc_config_enable(config);
    lgalloc_config_with_background(config, interval_ns, 0, 0);
    bool done = lgalloc_config_with_path(config, directory) == LGALLOC_STATUS_OK &&
                lgalloc_set_config(config) == LGALLOC_STATUS_OK;
    lgalloc_config_free(config);
    return done;
}

/* Takes regions of several classes, writes them, and gives them back. Returns whether all could be had. */
LG_API bool plugin_use(void)
{
    for (size_t bytes = 64 * LG_KIB; bytes <= 8 * LG_MIB; bytes *= 2) {
        char *region = lgalloc_malloc(bytes);
        if (region == NULL)
            return false;
        memset(region, 'p', bytes);
        lgalloc_free(region);
    }
    return true;
}

/* A region that stays. */
LG_API char *plugin_take(size_t bytes)
{
    return lgalloc_malloc(bytes);
}

LG_API uint64_t plugin_cleared(void)
{
    lgalloc_size_class_stats stats[LG_CLASS_COUNT];
    uint64_t cleared = 0;
    (void)lgalloc_stats(stats, LG_CLASS_COUNT);
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
        cleared += stats[c].clear_slow_total;
    return cleared;
}
