#include "merge_pool.h"

#include <string.h>

void merge_pool_init(struct merge_pool *pool, unsigned producers)
{
    memset(pool, 0, sizeof *pool);
    pool->producers = producers;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
}

void merge_pool_destroy(struct merge_pool *pool)
{
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
}

bool merge_pool_add(struct merge_pool *pool, const struct run *run)
{
    pthread_mutex_lock(&pool->lock);
    /* Every merger keeps a place for what it merges: merge_pool_merged() never waits. */
    while (pool->count + pool->merging >= MERGE_POOL_CAPACITY && !pool->cancelled)
        pthread_cond_wait(&pool->changed, &pool->lock);
    const bool added = !pool->cancelled;
    if (added) {
        pool->runs[pool->count++] = *run;
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return added;
}

void merge_pool_producer_done(struct merge_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->producers--;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

/* The lock is held. */
static void take(struct merge_pool *pool, size_t index, struct run *out_run)
{
    *out_run = pool->runs[index];
    pool->runs[index] = pool->runs[--pool->count];
}

/*
 * Two runs of the same size, the smallest there are; once no sorter adds any more, the two smallest
 * whatever their sizes: odd tails have no partner of their own size. The lock is held.
 */
static bool choose_pair(struct merge_pool *pool, struct run *out_a, struct run *out_b)
{
    size_t best_a = 0;
    size_t best_b = 0;
    bool found = false;

    for (size_t a = 0; a < pool->count; a++)
        for (size_t b = a + 1; b < pool->count; b++) {
            const struct run *x = &pool->runs[a];
            const struct run *y = &pool->runs[b];
            if (x->bytes != y->bytes && pool->producers > 0)
                continue;
            if (found && x->bytes + y->bytes >= pool->runs[best_a].bytes + pool->runs[best_b].bytes)
                continue;
            found = true;
            best_a = a;
            best_b = b;
        }
    if (!found)
        return false;
    take(pool, best_b, out_b); /* the later one first: taking moves the last run into its place */
    take(pool, best_a, out_a);
    return true;
}

bool merge_pool_take_pair(struct merge_pool *pool, struct run *out_a, struct run *out_b)
{
    bool taken = false;

    pthread_mutex_lock(&pool->lock);
    while (!pool->cancelled) {
        taken = choose_pair(pool, out_a, out_b);
        if (taken || (pool->producers == 0 && pool->merging == 0))
            break;
        pthread_cond_wait(&pool->changed, &pool->lock);
    }
    if (taken)
        pool->merging++;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void merge_pool_merged(struct merge_pool *pool, const struct run *run)
{
    pthread_mutex_lock(&pool->lock);
    pool->merging--;
    if (run != NULL)
        pool->runs[pool->count++] = *run;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

void merge_pool_cancel(struct merge_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->cancelled = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

bool merge_pool_drain(struct merge_pool *pool, struct run *out_run)
{
    if (pool->count == 0)
        return false;
    take(pool, pool->count - 1, out_run);
    return true;
}
