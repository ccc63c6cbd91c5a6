#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int queue_init(struct queue *queue, size_t capacity, unsigned producers)
{
    memset(queue, 0, sizeof *queue);
    queue->runs = calloc(capacity, sizeof *queue->runs);
    if (queue->runs == NULL)
        return ENOMEM;
    queue->capacity = capacity;
    queue->producers = producers;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->not_empty, NULL);
    pthread_cond_init(&queue->not_full, NULL);
    return 0;
}

void queue_destroy(struct queue *queue)
{
    pthread_cond_destroy(&queue->not_full);
    pthread_cond_destroy(&queue->not_empty);
    pthread_mutex_destroy(&queue->lock);
    free(queue->runs);
}

bool queue_push(struct queue *queue, const struct run *run)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == queue->capacity && !queue->cancelled)
        pthread_cond_wait(&queue->not_full, &queue->lock);
    const bool pushed = !queue->cancelled;
    if (pushed) {
        queue->runs[(queue->first + queue->count) % queue->capacity] = *run;
        queue->count++;
        pthread_cond_signal(&queue->not_empty);
    }
    pthread_mutex_unlock(&queue->lock);
    return pushed;
}

/* The caller has seen that there is a run, and holds the lock or is alone. */
static void take_first(struct queue *queue, struct run *out_run)
{
    *out_run = queue->runs[queue->first];
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
}

bool queue_pop(struct queue *queue, struct run *out_run)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && queue->producers > 0 && !queue->cancelled)
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    const bool popped = queue->count > 0 && !queue->cancelled;
    if (popped) {
        take_first(queue, out_run);
        pthread_cond_signal(&queue->not_full);
    }
    pthread_mutex_unlock(&queue->lock);
    return popped;
}

void queue_producer_done(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->producers--;
    if (queue->producers == 0)
        pthread_cond_broadcast(&queue->not_empty);
    pthread_mutex_unlock(&queue->lock);
}

void queue_cancel(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->cancelled = true;
    pthread_cond_broadcast(&queue->not_empty);
    pthread_cond_broadcast(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_drain(struct queue *queue, struct run *out_run)
{
    if (queue->count == 0)
        return false;
    take_first(queue, out_run);
    return true;
}
