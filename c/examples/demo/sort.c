#define _GNU_SOURCE 1

#include "sort.h"

#include "merge_pool.h"
#include "queue.h"
#include "words.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_WORDS = SORT_CHUNK_BYTES / sizeof(uint64_t) };

struct job {
    const struct allocator *allocator;
    int fd;
    size_t count; /* words */
    struct queue chunks;
    struct merge_pool runs;
    atomic_size_t next_chunk;
    atomic_int error;          /* the first errno; 0: none */
    atomic_uint_fast64_t done; /* words that were sorted or merged */

    pthread_mutex_t lock;
    pthread_cond_t thread_ended;
    unsigned running; /* threads; under `lock` */
};

/* One thread of the pipeline. What it counts is its own until it was joined. */
struct member {
    pthread_t thread;
    struct job *job;
    void (*work)(struct member *);
    unsigned number;
    uint64_t regions;
    uint64_t cross_thread_frees;
    char pad[64]; /* counters of two threads never share a cache line */
};

static void fail(struct job *job, int error)
{
    int none = 0;

    atomic_compare_exchange_strong(&job->error, &none, error);
    queue_cancel(&job->chunks);
    merge_pool_cancel(&job->runs);
}

/* A new run with room for `count` words; false where there is no memory, and the job has failed. */
static bool run_allocate(struct member *member, size_t count, struct run *out_run)
{
    const struct allocator *allocator = member->job->allocator;
    size_t bytes = SORT_CHUNK_BYTES;

    while (bytes / sizeof(uint64_t) < count)
        bytes *= 2;
    errno = ENOMEM;
    out_run->words = allocator->allocate(bytes);
    if (out_run->words == NULL) {
        fail(member->job, errno != 0 ? errno : ENOMEM);
        return false;
    }
    out_run->count = count;
    out_run->bytes = bytes;
    out_run->owner = member->number;
    member->regions++;
    return true;
}

static void run_release(struct member *member, const struct run *run)
{
    member->cross_thread_frees += run->owner != member->number;
    member->job->allocator->release(run->words, run->bytes);
}

static void read_chunks(struct member *member)
{
    struct job *job = member->job;

    for (;;) {
        const size_t first = atomic_fetch_add(&job->next_chunk, 1) * CHUNK_WORDS;
        struct run run;
        if (first >= job->count)
            break;
        const size_t left = job->count - first;
        if (!run_allocate(member, left < CHUNK_WORDS ? left : CHUNK_WORDS, &run))
            break;
        const int error = words_read_at(job->fd, run.words, first, run.count);
        if (error != 0)
            fail(job, error);
        if (error != 0 || !queue_push(&job->chunks, &run)) {
            run_release(member, &run);
            break;
        }
    }
    queue_producer_done(&job->chunks);
}

static void sort_chunks(struct member *member)
{
    struct job *job = member->job;
    struct run chunk;

    while (queue_pop(&job->chunks, &chunk)) {
        struct run sorted;
        const bool allocated = run_allocate(member, chunk.count, &sorted);
        if (allocated)
            words_sort(chunk.words, sorted.words, chunk.count);
        run_release(member, &chunk);
        if (!allocated)
            break;
        atomic_fetch_add_explicit(&job->done, sorted.count, memory_order_relaxed);
        if (!merge_pool_add(&job->runs, &sorted)) {
            run_release(member, &sorted);
            break;
        }
    }
    merge_pool_producer_done(&job->runs);
}

static void merge_runs(struct member *member)
{
    struct job *job = member->job;
    struct run a;
    struct run b;

    while (merge_pool_take_pair(&job->runs, &a, &b)) {
        struct run merged;
        const bool allocated = run_allocate(member, a.count + b.count, &merged);
        if (allocated)
            words_merge(a.words, a.count, b.words, b.count, merged.words);
        run_release(member, &a);
        run_release(member, &b);
        if (allocated)
            atomic_fetch_add_explicit(&job->done, merged.count, memory_order_relaxed);
        merge_pool_merged(&job->runs, allocated ? &merged : NULL);
    }
}

static void *member_main(void *arg)
{
    struct member *member = arg;
    struct job *job = member->job;

    member->work(member);
    pthread_mutex_lock(&job->lock);
    job->running--;
    pthread_cond_signal(&job->thread_ended);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* Words of work: every word is sorted once, and merged once per doubling of the chunks. */
static uint64_t total_work(size_t count)
{
    uint64_t levels = 1;

    for (size_t words = CHUNK_WORDS; words < count; words *= 2)
        levels++;
    return levels * count;
}

static void wait_for_threads(struct job *job, const struct sort_options *options)
{
    const uint64_t total = total_work(job->count);

    if (options->progress != NULL)
        options->progress(options->progress_arg, 0, total);
    pthread_mutex_lock(&job->lock);
    while (job->running > 0) {
        if (options->progress == NULL) {
            pthread_cond_wait(&job->thread_ended, &job->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50 * 1000 * 1000;
        until.tv_sec += until.tv_nsec / (1000 * 1000 * 1000);
        until.tv_nsec %= 1000 * 1000 * 1000;
        pthread_cond_timedwait(&job->thread_ended, &job->lock, &until);
        pthread_mutex_unlock(&job->lock);
        const uint64_t done = atomic_load_explicit(&job->done, memory_order_relaxed);
        options->progress(options->progress_arg, done < total ? done : total, total);
        pthread_mutex_lock(&job->lock);
    }
    pthread_mutex_unlock(&job->lock);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Starts `count` threads for one kind of work; says where one could not be started. */
static int start_members(struct job *job, struct member *members, unsigned *started, unsigned count,
                         void (*work)(struct member *))
{
    int error = 0;

    for (unsigned i = 0; i < count; i++) {
        struct member *member = &members[*started];
        member->job = job;
        member->work = work;
        member->number = *started;
        pthread_mutex_lock(&job->lock);
        if (error == 0)
            error = pthread_create(&member->thread, NULL, member_main, member);
        if (error == 0) {
            job->running++;
            ++*started;
        }
        pthread_mutex_unlock(&job->lock);
    }
    return error;
}

static int run_job(struct job *job, struct member *members, const struct sort_options *options,
                   struct sort_result *result)
{
    const double start = now();
    unsigned started = 0;
    struct run run;

    int error = start_members(job, members, &started, result->readers, read_chunks);
    if (error == 0)
        error = start_members(job, members, &started, result->sorters, sort_chunks);
    if (error == 0)
        error = start_members(job, members, &started, result->mergers, merge_runs);
    if (error != 0)
        fail(job, error); /* those that did start must not wait for the others */
    wait_for_threads(job, options);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(members[i].thread, NULL);
        result->regions += members[i].regions;
        result->cross_thread_frees += members[i].cross_thread_frees;
    }
    result->seconds = now() - start;

    error = atomic_load(&job->error);
    if (error == 0 && merge_pool_drain(&job->runs, &run)) {
        result->words = run.words;
        result->count = run.count;
        result->bytes = run.bytes;
    }
    while (merge_pool_drain(&job->runs, &run))
        job->allocator->release(run.words, run.bytes);
    while (queue_drain(&job->chunks, &run))
        job->allocator->release(run.words, run.bytes);
    return error;
}

int sort_file(const struct allocator *allocator, int fd, size_t count, const struct sort_options *options,
              struct sort_result *out_result)
{
    memset(out_result, 0, sizeof *out_result);
    out_result->sorters = options->threads;
    out_result->readers = (options->threads + 1) / 2;
    out_result->mergers = (options->threads + 1) / 2;

    struct job job;
    memset(&job, 0, sizeof job);
    job.allocator = allocator;
    job.fd = fd;
    job.count = count;
    int error = queue_init(&job.chunks, 2 * (size_t)out_result->sorters, out_result->readers);
    if (error != 0)
        return error;
    merge_pool_init(&job.runs, out_result->sorters);
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.thread_ended, NULL);

    const unsigned threads = out_result->readers + out_result->sorters + out_result->mergers;
    struct member *members = calloc(threads, sizeof *members);
    error = members != NULL ? run_job(&job, members, options, out_result) : ENOMEM;

    free(members);
    pthread_cond_destroy(&job.thread_ended);
    pthread_mutex_destroy(&job.lock);
    merge_pool_destroy(&job.runs);
    queue_destroy(&job.chunks);
    return error;
}

void sort_result_release(const struct allocator *allocator, struct sort_result *result)
{
    if (result->words != NULL)
        allocator->release(result->words, result->bytes);
    result->words = NULL;
}
