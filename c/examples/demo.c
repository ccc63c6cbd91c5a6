/*
 * The main job on real input: a parallel merge sort of a file's 8-byte words, once on lgalloc and once
 * on malloc, by the same code and with the same requests.
 *
 *     demo [FILE] [--threads N] [--repeat N] [--backing file|anonymous] [--path DIR] [--limit BYTES]
 *
 * With a limit that is less than what that takes, another sort: of sealed regions, on lgalloc alone (demo/larger.h).
 */
#define _GNU_SOURCE 1

#include "demo/allocator.h"
#include "demo/bytes.h"
#include "demo/input.h"
#include "demo/larger.h"
#include "demo/picture.h"
#include "demo/plan.h"
#include "demo/process.h"
#include "demo/progress.h"
#include "demo/rival.h"
#include "demo/sort.h"
#include "demo/words.h"

#include "lgalloc.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_MISUSE = 2, MAX_THREADS = 256, MAX_REPEAT = 1000, DEFAULT_REPEAT = 5 };

struct settings {
    const char *file; /* NULL: one is found */
    unsigned threads;
    unsigned repeat; /* 0: as many as are usual */
    bool on_files;   /* which was asked for */
    lgalloc_backing backing;
    const char *path;
    size_t limit; /* 0: none was asked for */
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("demo: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_MISUSE);
}

/* ---------------------------------------------------------------- the allocator */

/* Why lgalloc refused memory: sort_file() hands on no more than an errno. */
static atomic_int refusal = LGALLOC_STATUS_OK;

static void *lgalloc_table_allocate(size_t size)
{
    lgalloc_handle handle;
    const lgalloc_status status = lgalloc_allocate(size, 1, 1, NULL, NULL, &handle);

    if (status == LGALLOC_STATUS_OK)
        return handle.ptr;
    atomic_store(&refusal, status);
    if (status != LGALLOC_STATUS_IO)
        errno = ENOMEM;
    return NULL;
}

static void lgalloc_table_release(void *ptr, size_t size)
{
    const lgalloc_handle handle = {ptr, size};

    lgalloc_deallocate(handle);
}

static const struct allocator with_lgalloc = {"lgalloc", lgalloc_table_allocate, lgalloc_table_release};

static void configure(const struct settings *settings, size_t limit)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_status status = LGALLOC_STATUS_OUT_OF_MEMORY;

    if (config != NULL) {
        lgalloc_config_enable(config);
        lgalloc_config_with_backing(config, settings->backing);
        lgalloc_config_limit_bytes(config, limit);
        status = lgalloc_config_with_path(config, settings->path);
        if (status == LGALLOC_STATUS_OK)
            status = lgalloc_set_config(config);
    }
    lgalloc_config_free(config);
    if (status != LGALLOC_STATUS_OK)
        die("lgalloc in '%s': %s", settings->path, lgalloc_status_str(status));
}

/* ---------------------------------------------------------------- rounds */

enum { WITH_LGALLOC, WITH_MALLOC, WAYS };

static void run_lgalloc(const struct settings *settings, const struct input *input, struct progress *progress,
                        struct sort_result *out_result)
{
    const struct sort_options options = {settings->threads, progress_show, progress};

    const int error = sort_file(&with_lgalloc, input->fd, input->count, &options, out_result);
    if (error == 0)
        return;
    progress_clear();
    const lgalloc_status status = atomic_load(&refusal);
    if (status == LGALLOC_STATUS_IO)
        die("lgalloc in '%s': %s", settings->path, strerror(error));
    if (status != LGALLOC_STATUS_OK)
        die("lgalloc: %s", lgalloc_status_str(status));
    die("%s: %s", input->path, error == ENODATA ? "it became shorter while it was read" : strerror(error));
}

static void run_malloc(struct rival *rival, const struct progress *progress, double *out_seconds)
{
    const int error = rival_sort(rival, progress, out_seconds);

    if (error == 0)
        return;
    progress_clear();
    die("the same job with malloc: %s", error == ECHILD ? "its process was ended" : strerror(error));
}

/* Right by itself, and equal to what malloc's process came to; anything else ends the program. */
static void check(const struct input *input, uint64_t fingerprint, const struct sort_result *result,
                  const struct rival *rival, struct progress *progress)
{
    const uint64_t *const words = result->words;
    const char *problem = result->count != input->count ? "the result has another number of words" : NULL;
    uint64_t sum = 0;

    for (size_t first = 0; first < input->count && problem == NULL; first += WORDS_PIECE) {
        const size_t piece = words_piece(first, input->count);
        if (!words_are_sorted(words + first, piece) || (first > 0 && words[first - 1] > words[first]))
            problem = "the result is not sorted";
        else if (memcmp(words + first, rival->words + first, piece * sizeof *words) != 0)
            problem = "the results with lgalloc and with malloc differ";
        sum += words_fingerprint(words + first, piece);
        words_let_go(rival->words + first, piece);
        progress_show(progress, first + piece, input->count);
    }
    progress_clear();
    if (problem == NULL && sum != fingerprint)
        problem = "the result does not hold the words of the input";
    if (problem == NULL)
        return;
    fprintf(stderr, "demo: %s\n", problem);
    exit(EXIT_FAILURE);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---------------------------------------------------------------- what is printed */

static void print_head(const struct settings *settings, const struct input *input, const struct plan *plan)
{
    printf("input    %s: %zu words, %s\n", input->path, input->count, bytes_text(input->count * sizeof(uint64_t)).text);
    if (settings->backing == LGALLOC_BACKING_FILE)
        printf("backing  files in %s\n", settings->path);
    else
        printf("backing  anonymous memory\n");
    plan_print(plan);
    fflush(stdout);
}

static void print_size_classes(void)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    const size_t count = lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);

    printf("\n%-8s %5s %8s %7s %7s %6s %6s %7s %6s %6s %6s %6s\n", "class", "areas", "bytes", "allocs", "frees",
           "steals", "slow", "refills", "in use", "clean", "global", "thread");
    for (size_t i = 0; i < count && i < LGALLOC_SIZE_CLASS_COUNT; i++) {
        const lgalloc_size_class_stats *class = &stats[i];
        if (class->allocations == 0)
            continue;
        printf("%-8s %5zu %8s %7llu %7llu %6llu %6llu %7llu %6zu %6zu %6zu %6zu\n", bytes_text(class->size_class).text,
               class->areas, bytes_text(class->area_total_bytes).text, (unsigned long long)class->allocations,
               (unsigned long long)class->deallocations, (unsigned long long)class->steals,
               (unsigned long long)class->slow_path, (unsigned long long)class->refill, class->in_use_regions,
               class->clean_regions, class->global_regions, class->thread_regions);
    }
}

struct footprint {
    size_t resident;
    size_t file_blocks;
    size_t area_bytes;
    size_t metadata;
};

static struct footprint measure_footprint(void)
{
    lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
    lgalloc_global_stats global;
    struct footprint footprint = {0, 0, 0, 0};
    size_t count = 0;

    if (lgalloc_stats_files(files, LGALLOC_SIZE_CLASS_COUNT, &count) != LGALLOC_STATUS_OK)
        die("the statistics of lgalloc's files: %s", strerror(errno));
    for (size_t i = 0; i < count && i < LGALLOC_SIZE_CLASS_COUNT; i++)
        footprint.file_blocks += files[i].allocated_size;
    lgalloc_stats_global(&global);
    footprint.area_bytes = global.area_bytes;
    footprint.metadata = global.metadata_bytes;
    footprint.resident = process_resident_bytes();
    return footprint;
}

static void print_row(const char *name, size_t at_start, size_t before, size_t after)
{
    printf("%-16s %12s %14s %13s\n", name, bytes_text(at_start).text, bytes_text(before).text, bytes_text(after).text);
}

static void print_footprints(const struct footprint *start, const struct footprint *before,
                             const struct footprint *after, size_t returned)
{
    printf("\n%-16s %12s %14s %13s\n", "memory", "at the start", "before purge", "after purge");
    print_row("resident size", start->resident, before->resident, after->resident);
    print_row("file blocks", start->file_blocks, before->file_blocks, after->file_blocks);
    print_row("lgalloc's areas", start->area_bytes, before->area_bytes, after->area_bytes);
    print_row("its bookkeeping", start->metadata, before->metadata, after->metadata);
    printf("lgalloc_purge cleared regions of %s\n", bytes_text(returned).text);
}

/* `free`: what was resident in lgalloc's process when all was free, before the purge. */
static void print_picture(const struct picture *picture, size_t free_before)
{
    const struct picture_summary ours = picture_summary(picture, WITH_LGALLOC);
    const struct picture_summary theirs = picture_summary(picture, WITH_MALLOC);
    char caption[160];

    process_machine(caption, sizeof caption);
    printf("\nresident memory over time, both on the same scale; lower is better\n%s\n\n", caption);
    snprintf(caption, sizeof caption, "lgalloc: at most %s; when all is free %s; after a purge %s",
             bytes_text(ours.most).text, bytes_text(free_before).text, bytes_text(ours.last).text);
    picture_draw(picture, WITH_LGALLOC, caption);
    snprintf(caption, sizeof caption, "malloc: at most %s; when all is free %s", bytes_text(theirs.most).text,
             bytes_text(theirs.last).text);
    picture_draw(picture, WITH_MALLOC, caption);
    picture_draw_time(picture, "lm");
}

/* ---------------------------------------------------------------- options */

static unsigned number(const char *option, const char *text, unsigned max)
{
    char *end = NULL;

    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > (long)max)
        die("--%s '%s': a number from 1 to %u is wanted", option, text, max);
    return (unsigned)value;
}

static void usage(void)
{
    puts(
        "usage: demo [FILE] [--threads N] [--repeat N] [--backing file|anonymous] [--path DIR] [--limit BYTES]\n"
        "\n"
        "Sorts the 8-byte words of FILE with many threads, on lgalloc and on malloc, and compares. Says first what\n"
        "that needs, and refuses what does not fit.\n"
        "\n"
        "  FILE       a regular file; default: the C compiler, or another large file of a toolchain\n"
        "  --threads  sorting threads, half as many read and merge; default: the processors, 2 at least\n"
        "  --repeat   rounds: the first, in which all memory is new, is shown apart from the median of the others;\n"
        "             default: 5, or 1 where the limit is small\n"
        "  --backing  where lgalloc's memory comes from; default: file\n"
        "  --path     directory for lgalloc's files; default: TMPDIR, or /var/tmp\n"
        "  --limit    the most that lgalloc may hold, in use or free: 1.5G, 512 MiB, ...; default: none, or what\n"
        "             there is room for. Where it is less than the sort takes, the words are in sealed regions, which\n"
        "             are evicted to a file in that directory, and there is no malloc beside");
}

static struct settings parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'},
        {"repeat", required_argument, NULL, 'r'},
        {"backing", required_argument, NULL, 'b'},
        {"path", required_argument, NULL, 'p'},
        {"limit", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const char *temporary = getenv("TMPDIR");
    struct settings settings = {
        .threads = processors < 2             ? 2
                   : processors > MAX_THREADS ? MAX_THREADS
                                              : (unsigned)processors,
        .backing = LGALLOC_BACKING_FILE,
        .path = temporary != NULL && *temporary != '\0' ? temporary : "/var/tmp",
    };
    static char name[] = "demo";
    argv[0] = name; /* getopt's messages begin as the others do */

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 't': settings.threads = number("threads", optarg, MAX_THREADS); break;
        case 'r': settings.repeat = number("repeat", optarg, MAX_REPEAT); break;
        case 'p': settings.path = optarg; break;
        case 'l':
            if (!bytes_parse(optarg, &settings.limit))
                die("--limit '%s': bytes are wanted, as 1500000, 512M, 1.5 GiB", optarg);
            break;
        case 'b':
            if (strcmp(optarg, "file") != 0 && strcmp(optarg, "anonymous") != 0)
                die("--backing '%s': file or anonymous is wanted", optarg);
            settings.on_files = strcmp(optarg, "file") == 0;
            settings.backing = settings.on_files ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS;
            break;
        case 'h': usage(); exit(EXIT_SUCCESS);
        default: exit(EXIT_MISUSE);
        }
    if (argc - optind > 1)
        die("one FILE is wanted, not %d", argc - optind);
    settings.file = argv[optind]; /* NULL at the end of the arguments */
    return settings;
}

/* ---------------------------------------------------------------- the demonstration */

struct totals {
    double *seconds[WAYS]; /* by round */
    uint64_t regions;
    uint64_t cross_thread_frees;
};

/* What all rounds share. */
struct run {
    const struct settings *settings;
    const struct input *input;
    uint64_t fingerprint;
    struct rival rival;
    struct picture *picture;
    double start;
    struct totals totals;
};

static void one_round(struct run *run, unsigned round)
{
    const unsigned rounds = run->settings->repeat;
    struct progress progress = {.turns = WAYS * rounds, .start = run->start};
    struct sort_result result;

    for (unsigned turn = 0; turn < WAYS; turn++) {
        /* The second one finds warmer caches, so they take turns. */
        const int way = (int)((round + turn) % WAYS);
        progress.turn = WAYS * round + turn;
        snprintf(progress.title, sizeof progress.title, "round %u of %u, %s", round + 1, rounds,
                 way == WITH_LGALLOC ? "lgalloc" : "malloc");
        picture_at_work(run->picture, way);
        if (way == WITH_LGALLOC) {
            run_lgalloc(run->settings, run->input, &progress, &result);
            run->totals.seconds[way][round] = result.seconds;
        } else {
            run_malloc(&run->rival, &progress, &run->totals.seconds[way][round]);
        }
        picture_at_work(run->picture, -1);
        progress_clear();
    }
    progress.turns = 0; /* it is short */
    snprintf(progress.title, sizeof progress.title, "round %u of %u, comparing the results", round + 1, rounds);
    check(run->input, run->fingerprint, &result, &run->rival, &progress);
    run->totals.regions += result.regions;
    run->totals.cross_thread_frees += result.cross_thread_frees;
    if (round == 0)
        printf("threads  reading %u, sorting %u, merging %u\n\n%-16s %10s %10s %7s\n", result.readers, result.sorters,
               result.mergers, "round", "lgalloc", "malloc", "ratio");
    sort_result_release(&with_lgalloc, &result);
}

static void print_times(const char *name, double with_lgalloc_seconds, double with_malloc_seconds)
{
    printf("%-16s %7.1f ms %7.1f ms %7.2f\n", name, with_lgalloc_seconds * 1e3, with_malloc_seconds * 1e3,
           with_lgalloc_seconds / with_malloc_seconds);
    fflush(stdout);
}

/* The first round takes what the others find ready; so it counts for itself. */
static void all_rounds(struct run *run)
{
    double *const ours = run->totals.seconds[WITH_LGALLOC];
    double *const theirs = run->totals.seconds[WITH_MALLOC];
    const unsigned rounds = run->settings->repeat;
    char name[32];

    run->start = progress_clock();
    for (unsigned round = 0; round < rounds; round++) {
        one_round(run, round);
        snprintf(name, sizeof name, round == 0 ? "%u, cold" : "%u", round + 1);
        print_times(name, ours[round], theirs[round]);
    }
    if (rounds == 1)
        return;
    snprintf(name, sizeof name, rounds == 2 ? "warm: %u" : "median, 2 to %u", rounds);
    print_times(name, median(ours + 1, rounds - 1), median(theirs + 1, rounds - 1));
}

static void prepare(struct run *run, const struct settings *settings, const struct input *input)
{
    struct progress reading = {.title = "reading the input"};
    struct plan plan;
    char *problem = NULL;

    run->settings = settings;
    run->input = input;
    if (!plan_make(input->count * sizeof(uint64_t), settings->threads, settings->backing, settings->path,
                   settings->limit, &plan, &problem))
        die("%s", problem != NULL ? problem : strerror(ENOMEM));
    print_head(settings, input, &plan);
    int error = input_fingerprint(input, progress_show, &reading, &run->fingerprint);
    progress_clear();
    if (error != 0)
        die("%s: %s", input->path, strerror(error));
    error = rival_start(&run->rival, input->fd, input->count, settings->threads);
    if (error != 0)
        die("a process for malloc: %s", strerror(error));
    configure(settings, plan.limit);
    error = picture_start(getpid(), run->rival.pid, &run->picture);
    if (error != 0)
        die("a thread that watches the memory: %s", strerror(error));
    for (int way = 0; way < WAYS; way++) {
        run->totals.seconds[way] = calloc(settings->repeat, sizeof **run->totals.seconds);
        if (run->totals.seconds[way] == NULL)
            die("%s", strerror(ENOMEM));
    }
}

/* The limit is less than the sort has in regions, and nobody wants files to be behind them. */
static int larger_than_memory(const struct settings *settings, const struct input *input)
{
    const struct larger larger = {settings->threads, settings->repeat != 0 ? settings->repeat : 1, settings->path,
                                  settings->limit};
    char *problem = NULL;
    bool wrong = false;

    if (larger_demo(&larger, input, &problem, &wrong))
        return EXIT_SUCCESS;
    fflush(stdout);
    fprintf(stderr, "demo: %s\n", problem != NULL ? problem : strerror(ENOMEM));
    free(problem);
    return wrong ? EXIT_FAILURE : EXIT_MISUSE;
}

int main(int argc, char **argv)
{
    struct settings settings = parse(argc, argv);
    struct input input;
    struct run run = {.fingerprint = 0};
    char *problem = NULL;

    if (!input_open(settings.file, &input, &problem))
        die("%s", problem != NULL ? problem : strerror(ENOMEM));
    if (settings.limit != 0 && !settings.on_files && settings.limit < plan_regions(input.count * sizeof(uint64_t))) {
        const int status = larger_than_memory(&settings, &input);
        input_close(&input);
        return status;
    }
    if (settings.repeat == 0)
        settings.repeat = DEFAULT_REPEAT;
    prepare(&run, &settings, &input);
    const struct footprint start = measure_footprint();
    all_rounds(&run);
    printf("\nresults  sorted, the words of the input, and equal with both allocators\n");
    printf("regions  %llu with lgalloc, %llu of them freed by another thread than had allocated them\n",
           (unsigned long long)run.totals.regions, (unsigned long long)run.totals.cross_thread_frees);
    print_size_classes();

    const struct footprint before = measure_footprint();
    const size_t returned = lgalloc_purge();
    picture_stop(run.picture);
    const struct footprint after = measure_footprint();
    print_footprints(&start, &before, &after, returned);
    print_picture(run.picture, before.resident);

    rival_stop(&run.rival);
    picture_free(run.picture);
    for (int way = 0; way < WAYS; way++)
        free(run.totals.seconds[way]);
    input_close(&input);
    return EXIT_SUCCESS;
}
