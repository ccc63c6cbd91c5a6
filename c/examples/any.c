/*
 * One allocator for all sizes: a line reader whose buffer doubles as the line grows. Short lines live on the heap, long
 * ones in regions; the program frees both in the same way, and asks neither for its size.
 */
#include "lgalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends to a buffer that holds `len` bytes and grows where it has to. NULL: no memory, and the buffer is as it was. */
static char *append(char *buffer, size_t len, const char *text, size_t count)
{
    if (lgalloc_any_usable_size(buffer) < len + count) {               /* 0 for NULL */
        char *larger = lgalloc_any_realloc(buffer, 2 * (len + count)); /* from 32 MiB on pages move, not bytes */
        if (larger == NULL)
            return NULL;
        buffer = larger;
    }
    memcpy(buffer + len, text, count);
    return buffer;
}

int main(void)
{
    /* Without this all of it is the heap's: the allocator is switched off until it is told what to do. */
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return EXIT_FAILURE;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK) {
        fprintf(stderr, "any: %s\n", lgalloc_status_str(status));
        return EXIT_FAILURE;
    }

    static const char word[] = "larger than life, ";
    char *line = NULL;
    size_t len = 0;
    size_t tell = 1000;
    while (len < 100u * 1000 * 1000) {
        char *longer = append(line, len, word, sizeof word - 1);
        if (longer == NULL) {
            perror("any");
            lgalloc_any_free(line);
            return EXIT_FAILURE;
        }
        line = longer;
        len += sizeof word - 1;
        if (len >= tell) {
            printf("%9zu bytes in a block of %9zu, %s\n", len, lgalloc_any_usable_size(line),
                   lgalloc_owns(line) ? "a region" : "of the heap");
            tell *= 10;
        }
    }
    lgalloc_any_free(line);

    /* A table that wants to begin where a page does. */
    void *table = lgalloc_any_aligned(4096, 50000);
    printf("aligned: %s\n", table != NULL && (size_t)table % 4096 == 0 ? "yes" : "no");
    lgalloc_any_free(table);
    return EXIT_SUCCESS;
}
