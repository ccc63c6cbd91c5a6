/*
 * What the library tells of itself, on standard output: `print`, `print json`, or `print prometheus`, which is what a
 * server answers to a scraper. One byte in each of some regions is written; half of them are free again. What the
 * library counts as dirty is then far above what the system says is resident.
 */
#include "lgalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 16

static void write_to(void *context, const char *text, size_t len)
{
    fwrite(text, 1, len, context);
}

int main(int argc, char **argv)
{
    lgalloc_format format = LGALLOC_FORMAT_TEXT;
    if (argc > 1 && strcmp(argv[1], "json") == 0)
        format = LGALLOC_FORMAT_JSON;
    else if (argc > 1 && strcmp(argv[1], "prometheus") == 0)
        format = LGALLOC_FORMAT_PROMETHEUS;
    else if (argc > 1) {
        fprintf(stderr, "usage: %s [json|prometheus]\n", argv[0]);
        return EXIT_FAILURE;
    }

    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return EXIT_FAILURE;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_status status = lgalloc_set_config(config);
    if (status != LGALLOC_STATUS_OK)
        fprintf(stderr, "print: %s\n", lgalloc_config_error(config));
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK)
        return EXIT_FAILURE;

    char *regions[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        regions[i] = lgalloc_malloc((size_t)1 << 20);
        if (regions[i] == NULL)
            return EXIT_FAILURE;
        regions[i][0] = 1;
    }
    for (size_t i = 0; i < COUNT; i += 2)
        lgalloc_free(regions[i]);
    status = lgalloc_stats_print(format, write_to, stdout);
    for (size_t i = 1; i < COUNT; i += 2)
        lgalloc_free(regions[i]);
    return status == LGALLOC_STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
