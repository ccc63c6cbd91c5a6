/*
 * Real work on more than memory holds: sorted runs of words, merged all at a time. By the demo's code on sealed regions, and by
 * what programs do without them.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "external.h"
#include "measure.h"
#include "paging.h"

#include "../examples/demo/larger_plan.h"
#include "../examples/demo/merge_many.h"
#include "../examples/demo/process.h"
#include "../examples/demo/runs.h"
#include "../examples/demo/words.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMES_THE_MEMORY = 4, OWN_MEMORY_MIB = 16, IO_THREADS = 1 };

static size_t budget(void)
{
    return settings.quick ? 32 * MIB : 128 * MIB;
}

/* ---------------------------------------------------------------- the result */

/* Words that come in the order of the result. */
struct seen {
    uint64_t last;
    uint64_t fingerprint;
    size_t words;
};

static void see(struct seen *seen, const uint64_t *words, size_t count)
{
    if (words[0] < seen->last || !words_are_sorted(words, count))
        give_up("the result is not sorted");
    seen->last = words[count - 1];
    seen->fingerprint += words_fingerprint(words, count);
    seen->words += count;
}

static void see_blocks(struct seen *seen, const struct sequence *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const uint64_t *words;
        const int error = block_pin(&run->blocks[i], &words);
        if (error != 0)
            give_up("the result: %s", strerror(error));
        see(seen, words, run->blocks[i].count);
        block_unpin(&run->blocks[i]);
    }
}

/* The words of a file, in the order of the result or, with `any_order`, not. */
static void see_file(struct seen *seen, int fd, size_t words, bool any_order)
{
    uint64_t *const buffer = malloc(WORDS_PIECE * sizeof *buffer);

    if (buffer == NULL)
        give_up("no memory");
    for (size_t first = 0; first < words; first += WORDS_PIECE) {
        const size_t count = words_piece(first, words);
        external_read(fd, buffer, first, count);
        if (any_order)
            seen->fingerprint += words_fingerprint(buffer, count);
        else
            see(seen, buffer, count);
    }
    free(buffer);
}

/* ---------------------------------------------------------------- sorting */

static struct sequence sort_blocks(int input, size_t words, const struct larger_plan *plan)
{
    struct sequence *const runs = calloc(plan->runs, sizeof *runs);
    struct sequence result;
    struct share share;

    if (runs == NULL)
        give_up("no memory");
    share_init(&share, words, NULL, NULL);
    int error = runs_make(input, words, plan->run_words, plan->makers, &share, runs);
    if (error == 0)
        error = merge_many(runs, plan->runs, plan->mergers, plan->ahead, &share, &result);
    if (error != 0)
        give_up("the sort: %s", strerror(error));
    free(runs);
    return result;
}

void run_sort_larger(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const bool sealed = contestant == contestant_get(LGALLOC_SEALED);
    const size_t words = TIMES_THE_MEMORY * budget() / sizeof(uint64_t);
    const struct larger_plan plan = larger_plan_make(words, budget(), workload->threads);
    const int input = paging_file(words * sizeof(uint64_t), true);
    struct sequence result;
    int result_fd = -1;
    struct seen before = {0, 0, 0}, after = {0, 0, 0};
    struct process_io io_before, io_after;

    see_file(&before, input, words, true);
    posix_fadvise(input, 0, 0, POSIX_FADV_DONTNEED);
    paging_limit(budget() + OWN_MEMORY_MIB * MIB);
    if (sealed)
        sealed_configure(budget(), IO_THREADS);
    const size_t resident = measure_footprint().resident;
    process_io(&io_before);
    const double processors = processor_seconds();
    const uint64_t start = now_ns();
    if (sealed) {
        result = sort_blocks(input, words, &plan);
    } else {
        const struct external sort = {input, words, plan.run_words, budget() / 4 * 3,
                                      contestant == contestant_get(PAGED)};
        result_fd = external_sort(&sort);
    }
    out->values[0] = (double)(now_ns() - start) * 1e-6;
    out->values[1] = (processor_seconds() - processors) * 1e3;
    process_io(&io_after);
    out->values[2] = (double)(io_after.written - io_before.written) / (double)MIB;
    out->values[3] = (double)(io_after.read - io_before.read) / (double)MIB;
    out->values[4] = (double)(resident_at_most() - resident) / (double)budget();
    if (sealed)
        see_blocks(&after, &result);
    else
        see_file(&after, result_fd, words, false);
    if (after.words != words || after.fingerprint != before.fingerprint)
        give_up("the result does not hold the words of the input");
    paging_unlimit();
    if (sealed)
        sequence_free(&result);
    else
        close(result_fd);
    close(input);
}
