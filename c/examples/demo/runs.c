#define _GNU_SOURCE 1

#include "runs.h"

#include "words.h"

#include <errno.h>
#include <stdlib.h>

struct job {
    int fd;
    size_t count;
    size_t run_words;
    struct share *share;
    struct sequence *runs;
    atomic_size_t next;
};

/* Reads and sorts; on success `out_sorted` is a region with the words. */
static int sorted_half(const struct job *job, size_t first, size_t count, lgalloc_handle *out_sorted)
{
    const size_t bytes = count * sizeof(uint64_t);
    lgalloc_handle read;

    int error = region_take(bytes, &read);
    if (error != 0)
        return error;
    error = words_read_at(job->fd, read.ptr, first, count);
    if (error == 0)
        error = region_take(bytes, out_sorted);
    if (error == 0)
        words_sort(read.ptr, out_sorted->ptr, count);
    lgalloc_deallocate(read);
    return error;
}

static int write_merged(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count, struct sequence *run)
{
    const uint64_t *const a_end = a + a_count;
    const uint64_t *const b_end = b + b_count;
    struct writer writer;
    int error = 0;

    writer_open(&writer, run);
    while (error == 0 && (a < a_end || b < b_end)) {
        error = writer_turn(&writer);
        if (error == 0)
            writer.next += words_merge_some(&a, a_end, &b, b_end, writer.next, BLOCK_WORDS);
    }
    if (error == 0)
        error = writer_close(&writer);
    if (error != 0)
        writer_abandon(&writer);
    return error;
}

static int make_run(const struct job *job, size_t first, size_t count, struct sequence *run)
{
    const size_t a_count = count < job->run_words / 2 ? count : job->run_words / 2;
    const size_t b_count = count - a_count;
    lgalloc_handle a;
    lgalloc_handle b = {NULL, 0};

    int error = sorted_half(job, first, a_count, &a);
    if (error != 0)
        return error;
    if (b_count > 0)
        error = sorted_half(job, first + a_count, b_count, &b);
    if (error == 0)
        error = write_merged(a.ptr, a_count, b.ptr, b_count, run);
    lgalloc_deallocate(a);
    if (b_count > 0 && b.len != 0)
        lgalloc_deallocate(b);
    return error;
}

static void make_runs(void *member)
{
    struct job *job = *(struct job **)member;

    while (atomic_load(&job->share->error) == 0) {
        const size_t number = atomic_fetch_add(&job->next, 1);
        const size_t first = number * job->run_words;
        if (first >= job->count)
            return;
        const size_t left = job->count - first;
        const size_t count = left < job->run_words ? left : job->run_words;
        const int error = make_run(job, first, count, &job->runs[number]);
        if (error != 0)
            share_fail(job->share, error);
        atomic_fetch_add_explicit(&job->share->done, count, memory_order_relaxed);
    }
}

int runs_make(int fd, size_t count, size_t run_words, unsigned threads, struct share *share, struct sequence *runs)
{
    struct job job = {fd, count, run_words, share, runs, 0};
    struct job **members = malloc(threads * sizeof(struct job *));

    if (members == NULL)
        return ENOMEM;
    for (unsigned i = 0; i < threads; i++)
        members[i] = &job;
    const int error = crew_run(share, make_runs, members, sizeof *members, threads);
    free(members);
    return error;
}
