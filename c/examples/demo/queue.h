/*
 * A bounded queue of runs between threads. Its bound is what keeps a fast reader from filling the
 * memory with regions that nobody has sorted yet.
 */
#ifndef DEMO_QUEUE_H
#define DEMO_QUEUE_H

#include "run.h"

#include <pthread.h>
#include <stdbool.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    struct run *runs; /* a ring of `capacity` */
    size_t capacity;
    size_t first;
    size_t count;
    unsigned producers; /* that have not yet called queue_producer_done() */
    bool cancelled;
};

/* Returns 0 or an errno. */
int queue_init(struct queue *queue, size_t capacity, unsigned producers);

/* No thread may use the queue any more; runs still in it belong to the caller, see queue_drain(). */
void queue_destroy(struct queue *queue);

/* Waits for room. False: the queue was cancelled, and the run is still the caller's. */
bool queue_push(struct queue *queue, const struct run *run);

/* Waits for a run. False: there will be none any more. */
bool queue_pop(struct queue *queue, struct run *out_run);

/* The caller pushes no more; when all producers have said so, queue_pop() ends. */
void queue_producer_done(struct queue *queue);

/* Wakes everybody; pushing and popping end at once. */
void queue_cancel(struct queue *queue);

/* Takes what is left in a queue that no thread uses any more. */
bool queue_drain(struct queue *queue, struct run *out_run);

#endif
