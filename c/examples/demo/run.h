/*
 * A run: one region of words on its way through the pipeline.
 */
#ifndef DEMO_RUN_H
#define DEMO_RUN_H

#include <stddef.h>
#include <stdint.h>

struct run {
    uint64_t *words;
    size_t count;   /* words in use */
    size_t bytes;   /* of the region, a power of two */
    unsigned owner; /* number of the thread that allocated it */
};

#endif
