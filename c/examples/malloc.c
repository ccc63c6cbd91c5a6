/*
 * By address alone: arrays whose temporaries come and go. Options are taken from the environment, too: with
 * LGALLOC_LIMIT_BYTES=8M there is room for one array only, and that is an answer.
 */
#include "lgalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT ((size_t)1000000)

/* A new array: a * x + y. NULL: no memory. */
static double *axpy(double a, const double *x, const double *y)
{
    double *sum = lgalloc_malloc(COUNT * sizeof *sum);
    for (size_t i = 0; sum != NULL && i < COUNT; i++)
        sum[i] = a * x[i] + y[i];
    return sum;
}

int main(void)
{
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        return EXIT_FAILURE;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_status status = lgalloc_config_from_env(config);
    if (status == LGALLOC_STATUS_OK)
        status = lgalloc_set_config(config);
    if (status != LGALLOC_STATUS_OK)
        fprintf(stderr, "malloc: %s\n", lgalloc_config_error(config)); /* which variable, and what is allowed */
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK)
        return EXIT_FAILURE;

    double *x = lgalloc_calloc(COUNT, sizeof *x); /* zeros, without a write to memory that is new */
    for (size_t i = 0; x != NULL && i < COUNT; i++)
        x[i] = 1;
    /* From the second round on every array is memory that was there a moment ago: no page faults, no system calls. */
    for (int round = 0; x != NULL && round < 100; round++) {
        double *next = axpy(0.5, x, x);
        lgalloc_free_sized(x, COUNT * sizeof *x); /* a little faster than lgalloc_free(x) */
        x = next;
    }
    if (x == NULL) {
        fprintf(stderr, "malloc: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    printf("1.5 to the 100th is %g\n", x[COUNT - 1]);
    lgalloc_free(x);

    lgalloc_global_stats stats;
    lgalloc_stats_global(&stats);
    printf("%zu bytes of areas, %zu of them kept for the next arrays\n", stats.area_bytes, stats.dirty_bytes);
    return EXIT_SUCCESS;
}
