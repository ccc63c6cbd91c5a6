/*
 * Sorted runs that wait for a partner. Mergers take two of the same size, and give back one of the
 * next size, until one run is left.
 */
#ifndef DEMO_MERGE_POOL_H
#define DEMO_MERGE_POOL_H

#include "run.h"

#include <pthread.h>
#include <stdbool.h>

/*
 * Runs a pool holds before sorters have to wait. There are fewer sizes of run than this (powers of two
 * in 64 bits), so that a full pool always has two of the same size: waiting cannot be for ever.
 */
#define MERGE_POOL_CAPACITY 80

struct merge_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct run runs[MERGE_POOL_CAPACITY];
    size_t count;
    unsigned producers; /* sorters that have not yet called merge_pool_producer_done() */
    unsigned merging;   /* mergers that hold two runs */
    bool cancelled;
};

void merge_pool_init(struct merge_pool *pool, unsigned producers);
void merge_pool_destroy(struct merge_pool *pool);

/* From a sorter: waits for room. False: cancelled, and the run is still the caller's. */
bool merge_pool_add(struct merge_pool *pool, const struct run *run);

/* From a sorter: it adds no more. */
void merge_pool_producer_done(struct merge_pool *pool);

/* From a merger: waits for two runs. False: one run is left, or the pool was cancelled. */
bool merge_pool_take_pair(struct merge_pool *pool, struct run *out_a, struct run *out_b);

/* From a merger that took a pair: what became of it; NULL where merging failed. */
void merge_pool_merged(struct merge_pool *pool, const struct run *run);

/* Wakes everybody; adding and taking end at once. */
void merge_pool_cancel(struct merge_pool *pool);

/* Takes what is left in a pool that no thread uses any more: the result, or leftovers of a failure. */
bool merge_pool_drain(struct merge_pool *pool, struct run *out_run);

#endif
