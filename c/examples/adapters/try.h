/*
 * What the programs share that try the adapters.
 */
#ifndef TRY_H
#define TRY_H

#include "lgalloc.h"

#include <stdbool.h>
#include <time.h>

/* Switches the library on, with anonymous memory. */
static inline bool try_configure(void)
{
    lgalloc_config *const config = lgalloc_config_new();

    if (config == NULL)
        return false;
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    const lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    return status == LGALLOC_STATUS_OK;
}

/* Milliseconds that this process's threads ran: on a busy machine the rest is the others'. */
static inline double try_processor_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

#endif
