/*
 * This library, through its shared library as any program uses it; by its malloc and free_sized, which the table of
 * functions can point to. What handles take is measured without the table: work_direct.c.
 */
#include "bench.h"

#include "lgalloc.h"

static void *allocate_populated(size_t size)
{
    lgalloc_handle handle;

    if (lgalloc_allocate(size, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK)
        return NULL;
    if (lgalloc_populate(handle, 0, handle.len) != LGALLOC_STATUS_OK)
        give_up("lgalloc_populate failed");
    return handle.ptr;
}

static void trim(void)
{
    lgalloc_purge();
}

static void configure(const char *path, uint64_t interval_ns)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_status status = LGALLOC_STATUS_OUT_OF_MEMORY;

    if (config != NULL) {
        lgalloc_config_enable(config);
        status = LGALLOC_STATUS_OK;
        if (path != NULL)
            status = lgalloc_config_with_path(config, path);
        else if (interval_ns == 0)
            lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
        if (interval_ns != 0)
            lgalloc_config_with_background(config, interval_ns, 0, 0);
        if (status == LGALLOC_STATUS_OK)
            status = lgalloc_set_config(config);
        lgalloc_config_free(config);
    }
    if (status != LGALLOC_STATUS_OK)
        give_up("configuring: %s", lgalloc_status_str(status));
}

void lgalloc_contestant_background(uint64_t interval_ns)
{
    configure(NULL, interval_ns);
}

static void start_file(void)
{
    configure(settings.path, 0);
}

static void start_anonymous(void)
{
    configure(NULL, 0);
}

static void version(char *text, size_t size)
{
    const uint32_t number = lgalloc_version();

    snprintf(text, size, "%u.%u.%u", number >> 16, number >> 8 & 0xff, number & 0xff);
}

const struct contestant lgalloc_contestants[3] = {
    [LGALLOC_FILE] = {"lgalloc file", start_file, lgalloc_malloc, lgalloc_free_sized, trim, NULL, version},
    [LGALLOC_ANONYMOUS] = {"lgalloc anonymous", start_anonymous, lgalloc_malloc, lgalloc_free_sized, trim, NULL, NULL},
    [LGALLOC_POPULATE] = {"lgalloc populate", start_anonymous, allocate_populated, lgalloc_free_sized, trim, NULL,
                          NULL},
};
