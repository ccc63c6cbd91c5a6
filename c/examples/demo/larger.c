#define _GNU_SOURCE 1

#include "larger.h"

#include "blocks.h"
#include "bytes.h"
#include "larger_plan.h"
#include "merge_many.h"
#include "process.h"
#include "progress.h"
#include "room.h"
#include "runs.h"
#include "words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Besides regions: the program, its libraries, stacks, what the library knows of regions. */
#define BASE_BYTES ((size_t)16 << 20)
#define BYTES_PER_THREAD ((size_t)1 << 20)

struct round {
    double made, merged, read; /* seconds */
    struct process_io io;      /* of making runs and merging */
};

/* ---------------------------------------------------------------- sorting */

/* A part begins; its end is `turn++`. */
static void begin(struct progress *progress, const char *what)
{
    snprintf(progress->title, sizeof progress->title, "part %u of %u, %s", progress->turn + 1, progress->turns, what);
}

static int merge_group(struct sequence *runs, size_t first, size_t count, const struct larger_plan *plan,
                       struct share *share)
{
    struct sequence merged;

    const int error = merge_many(runs + first, count, plan->mergers, plan->ahead, share, &merged);
    runs[first] = merged;
    return error;
}

/* One pass; returns how many runs are left in `count`. */
static int merge_pass(struct sequence *runs, size_t *count, const struct larger_plan *plan, struct progress *progress,
                      size_t words)
{
    struct share share;
    size_t left = 0;
    int error = 0;

    share_init(&share, words, progress_show, progress);
    for (size_t first = 0; first < *count && error == 0; first += plan->fan_in) {
        const size_t group = *count - first < plan->fan_in ? *count - first : plan->fan_in;
        error = merge_group(runs, first, group, plan, &share);
        const struct sequence merged = runs[first];
        runs[first] = (struct sequence){NULL, 0, 0};
        runs[left++] = merged;
    }
    if (error == 0)
        *count = left;
    return error;
}

/* On success `runs[0]` is the result. */
static int sort(const struct input *input, const struct larger_plan *plan, struct sequence *runs,
                struct progress *progress, struct round *out_round)
{
    size_t count = plan->runs;
    struct share share;

    const double start = progress_clock();
    begin(progress, "making runs");
    share_init(&share, input->count, progress_show, progress);
    int error = runs_make(input->fd, input->count, plan->run_words, plan->makers, &share, runs);
    progress->turn++;
    const double made = progress_clock();
    for (unsigned pass = 0; pass < plan->passes && error == 0; pass++) {
        begin(progress, "merging");
        error = merge_pass(runs, &count, plan, progress, input->count);
        progress->turn++;
    }
    out_round->made = made - start;
    out_round->merged = progress_clock() - made;
    return error;
}

/* ---------------------------------------------------------------- checking */

/* Reads the result from begin to end. `out_wrong`: what is wrong with it, or NULL. */
static int read_once(const struct sequence *run, const struct input *input, uint64_t fingerprint,
                     struct progress *progress, const char **out_wrong)
{
    enum { AHEAD = 2 };
    uint64_t sum = 0;
    uint64_t last = 0;
    size_t words_read = 0;

    *out_wrong = NULL;
    for (size_t i = 0; i < run->count + AHEAD; i++) {
        if (i < run->count)
            block_prefetch(&run->blocks[i]);
        if (i < AHEAD)
            continue;
        const struct block *block = &run->blocks[i - AHEAD];
        const uint64_t *words;
        const int error = block_pin(block, &words);
        if (error != 0)
            return error;
        if (words[0] < last || !words_are_sorted(words, block->count))
            *out_wrong = "the result is not sorted";
        sum += words_fingerprint(words, block->count);
        last = words[block->count - 1];
        block_unpin(block);
        words_read += block->count;
        progress_show(progress, words_read, input->count);
    }
    progress_clear();
    if (*out_wrong == NULL && (words_read != input->count || sum != fingerprint))
        *out_wrong = "the result does not hold the words of the input";
    return 0;
}

/* ---------------------------------------------------------------- what is printed */

static void print_head(const struct larger *settings, const struct input *input, const struct larger_plan *plan)
{
    printf("input    %s: %zu words, %s\n", input->path, input->count, bytes_text(input->count * sizeof(uint64_t)).text);
    printf("backing  anonymous memory; sealed regions are evicted to a file in %s\n", settings->path);
    printf("limit    %s for lgalloc, as asked for\n", bytes_text(settings->limit).text);
    printf("plan     runs of %s: %zu; merged %zu at a time; passes: %u\n",
           bytes_text(plan->run_words * sizeof(uint64_t)).text, plan->runs, plan->fan_in, plan->passes);
    printf("threads  making runs %u, merging %u\n", plan->makers, plan->mergers);
    printf("\n%-10s %10s %10s %10s %11s %11s %12s\n", "round", "runs", "merging", "both", "written", "read",
           "reading once");
    fflush(stdout);
}

static void print_round(unsigned number, const struct round *round)
{
    printf("%-10u %8.2f s %8.2f s %8.2f s %11s %11s %10.2f s\n", number, round->made, round->merged,
           round->made + round->merged, bytes_text(round->io.written).text, bytes_text(round->io.read).text,
           round->read);
    fflush(stdout);
}

static void print_tail(const struct larger *settings, size_t resident_before, unsigned threads)
{
    const size_t most = process_most_resident_bytes();
    const size_t allowed = settings->limit + settings->limit / 50 + resident_before + threads * BYTES_PER_THREAD;
    lgalloc_global_stats stats;

    lgalloc_stats_global(&stats);
    printf("\nresult   sorted, and the words of the input\n");
    printf("regions  %llu evicted, %llu loaded, %llu failures\n", (unsigned long long)stats.evictions,
           (unsigned long long)stats.loads, (unsigned long long)stats.spill_failures);
    printf("memory   %s resident at most, as the system says: ", bytes_text(most).text);
    printf("%s the limit, 2 percent, ", most <= allowed ? "within" : "BEYOND");
    printf("%s before the sort, and %u stacks\n", bytes_text(resident_before).text, threads);
    printf("disk     %s still in the spill file, all of it free\n", bytes_text(stats.spill_file_bytes).text);
}

/* ---------------------------------------------------------------- what it needs */

/* Always false. */
__attribute__((format(printf, 2, 3))) static bool say(char **out_problem, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(out_problem, format, arguments) < 0)
        *out_problem = NULL;
    va_end(arguments);
    return false;
}

static bool fits(const struct larger *settings, const struct input *input, char **out_problem)
{
    const size_t memory = settings->limit + BASE_BYTES + settings->threads * BYTES_PER_THREAD;
    /* A block is freed as soon as it is read, and its place goes to another. */
    const size_t disk = input->count * sizeof(uint64_t) + settings->limit;
    struct room room;
    bool in_memory = false;

    if (settings->limit < LARGER_LIMIT_LEAST)
        return say(out_problem, "--limit %s: the sort takes %s at least", bytes_text(settings->limit).text,
                   bytes_text(LARGER_LIMIT_LEAST).text);
    room_memory(&room);
    if (memory > room.bytes)
        return say(out_problem, "%s of memory are needed, and %s are %s", bytes_text(memory).text,
                   bytes_text(room.bytes).text, room.source);
    const int error = room_disk(settings->path, &room, &in_memory);
    if (error != 0)
        return say(out_problem, "lgalloc in '%s': %s", settings->path, strerror(error));
    if (disk > room.bytes)
        return say(out_problem, "%s of disk are needed, and %s are %s", bytes_text(disk).text,
                   bytes_text(room.bytes).text, room.source);
    return true;
}

/* As many read and write as work: a merge waits for each of its blocks otherwise. */
static unsigned io_threads(const struct larger *settings)
{
    enum { MOST = 8 };

    return settings->threads < MOST ? settings->threads : MOST;
}

static bool configure(const struct larger *settings, char **out_problem)
{
    lgalloc_config *config = lgalloc_config_new();

    if (config == NULL)
        return say(out_problem, "lgalloc: %s", strerror(ENOMEM));
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_limit_bytes(config, settings->limit);
    lgalloc_config_spill_threads(config, io_threads(settings));
    const bool set = lgalloc_config_with_spill(config, settings->path, 0) == LGALLOC_STATUS_OK &&
                     lgalloc_set_config(config) == LGALLOC_STATUS_OK;
    if (!set)
        say(out_problem, "lgalloc: %s", lgalloc_config_error(config));
    lgalloc_config_free(config);
    return set;
}

/* ---------------------------------------------------------------- the demonstration */

static int one_round(const struct input *input, const struct larger_plan *plan, uint64_t fingerprint,
                     struct progress *progress, struct round *out_round, const char **out_wrong)
{
    struct sequence *runs = calloc(plan->runs, sizeof *runs);
    struct process_io before;
    struct process_io after;

    if (runs == NULL)
        return ENOMEM;
    process_io(&before);
    int error = sort(input, plan, runs, progress, out_round);
    process_io(&after);
    out_round->io = (struct process_io){after.read - before.read, after.written - before.written};
    const double start = progress_clock();
    begin(progress, "reading the result");
    if (error == 0)
        error = read_once(&runs[0], input, fingerprint, progress, out_wrong);
    progress->turn++;
    out_round->read = progress_clock() - start;
    for (size_t i = 0; i < plan->runs; i++)
        sequence_free(&runs[i]);
    free(runs);
    progress_clear();
    return error;
}

bool larger_demo(const struct larger *settings, const struct input *input, char **out_problem, bool *out_wrong)
{
    const struct larger_plan plan = larger_plan_make(input->count, settings->limit, settings->threads);
    struct progress progress = {.title = "reading the input"};
    uint64_t fingerprint = 0;
    const char *wrong = NULL;

    *out_problem = NULL;
    *out_wrong = false;
    if (!fits(settings, input, out_problem) || !configure(settings, out_problem))
        return false;
    print_head(settings, input, &plan);
    int error = input_fingerprint(input, progress_show, &progress, &fingerprint);
    progress_clear();
    const size_t resident_before = process_resident_bytes();
    progress.turns = settings->repeat * (plan.passes + 2);
    progress.start = progress_clock();
    for (unsigned number = 0; number < settings->repeat && error == 0 && wrong == NULL; number++) {
        struct round round;
        error = one_round(input, &plan, fingerprint, &progress, &round, &wrong);
        if (error == 0 && wrong == NULL)
            print_round(number + 1, &round);
    }
    if (error == ENOMEM)
        return say(out_problem, "lgalloc: no room below the limit, or on the disk");
    if (error == ENODATA)
        return say(out_problem, "%s: %s", input->path, "it became shorter while it was read");
    if (error != 0)
        return say(out_problem, "%s, or what is evicted: %s", input->path, strerror(error));
    *out_wrong = wrong != NULL;
    if (wrong != NULL)
        return say(out_problem, "%s", wrong);
    print_tail(settings, resident_before, 1 + settings->threads + io_threads(settings));
    return true;
}
