/*
 * The main job on real input: a parallel merge sort of a file's 8-byte words, once on lgalloc and once
 * on malloc, by the same code and with the same requests.
 *
 *     demo [FILE] [--threads N] [--repeat N] [--backing file|anonymous] [--path DIR]
 */
#define _GNU_SOURCE 1

#include "demo/allocator.h"
#include "demo/input.h"
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
    unsigned repeat;
    lgalloc_backing backing;
    const char *path;
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

static void configure(const struct settings *settings)
{
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_status status = LGALLOC_STATUS_OUT_OF_MEMORY;

    if (config != NULL) {
        lgalloc_config_enable(config);
        lgalloc_config_with_backing(config, settings->backing);
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

static void run_lgalloc(const struct settings *settings, const struct input *input, char *title,
                        struct sort_result *out_result)
{
    const struct sort_options options = {settings->threads, title != NULL ? progress_show : NULL, title};

    const int error = sort_file(&with_lgalloc, input->fd, input->count, &options, out_result);
    if (error == 0)
        return;
    if (title != NULL)
        progress_clear();
    const lgalloc_status status = atomic_load(&refusal);
    if (status == LGALLOC_STATUS_IO)
        die("lgalloc in '%s': %s", settings->path, strerror(error));
    if (status != LGALLOC_STATUS_OK)
        die("lgalloc: %s", lgalloc_status_str(status));
    die("%s: %s", input->path, error == ENODATA ? "it became shorter while it was read" : strerror(error));
}

static void run_malloc(struct rival *rival, const char *title, double *out_seconds)
{
    const int error = rival_sort(rival, title, out_seconds);

    if (error == 0)
        return;
    if (title != NULL)
        progress_clear();
    die("the same job with malloc: %s", strerror(error));
}

/* Right by itself, and equal to what malloc's process came to; anything else ends the program. */
static void check(const struct input *input, uint64_t fingerprint, const struct sort_result *result,
                  const struct rival *rival)
{
    const char *problem = NULL;

    if (result->count != input->count || !words_are_sorted(result->words, result->count))
        problem = "the result is not sorted";
    else if (words_fingerprint(result->words, result->count) != fingerprint)
        problem = "the result does not hold the words of the input";
    else if (memcmp(result->words, rival->words, input->count * sizeof *result->words) != 0)
        problem = "the results with lgalloc and with malloc differ";
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

static const char *bytes_text(char text[16], size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double value = (double)bytes;

    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(text, 16, value == (double)(size_t)value ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

/* Not before the first round went well: where it fails, the error is all there is to read. */
static void print_head(const struct settings *settings, const struct input *input,
                       const struct sort_result *result)
{
    char text[16];

    printf("input    %s: %zu words, %s\n", input->path, input->count,
           bytes_text(text, input->count * sizeof(uint64_t)));
    if (settings->backing == LGALLOC_BACKING_FILE)
        printf("backing  files in %s\n", settings->path);
    else
        printf("backing  anonymous memory\n");
    printf("threads  reading %u, sorting %u, merging %u\n", result->readers, result->sorters,
           result->mergers);
    printf("\n%-8s %10s %10s %7s\n", "round", "lgalloc", "malloc", "ratio");
}

static void print_size_classes(void)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    const size_t count = lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
    char size[16];
    char total[16];

    printf("\n%-8s %5s %8s %7s %7s %6s %6s %7s %6s %6s %6s %6s\n", "class", "areas", "bytes", "allocs",
           "frees", "steals", "slow", "refills", "in use", "clean", "global", "thread");
    for (size_t i = 0; i < count && i < LGALLOC_SIZE_CLASS_COUNT; i++) {
        const lgalloc_size_class_stats *class = &stats[i];
        if (class->allocations == 0)
            continue;
        printf("%-8s %5zu %8s %7llu %7llu %6llu %6llu %7llu %6zu %6zu %6zu %6zu\n",
               bytes_text(size, class->size_class), class->areas, bytes_text(total, class->area_total_bytes),
               (unsigned long long)class->allocations, (unsigned long long)class->deallocations,
               (unsigned long long)class->steals, (unsigned long long)class->slow_path,
               (unsigned long long)class->refill, class->in_use_regions, class->clean_regions,
               class->global_regions, class->thread_regions);
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

static void print_footprints(const struct footprint *start, const struct footprint *before,
                             const struct footprint *after, size_t returned)
{
    char a[16];
    char b[16];
    char c[16];

    printf("\n%-16s %12s %14s %13s\n", "memory", "at the start", "before purge", "after purge");
    printf("%-16s %12s %14s %13s\n", "resident size", bytes_text(a, start->resident),
           bytes_text(b, before->resident), bytes_text(c, after->resident));
    printf("%-16s %12s %14s %13s\n", "file blocks", bytes_text(a, start->file_blocks),
           bytes_text(b, before->file_blocks), bytes_text(c, after->file_blocks));
    printf("%-16s %12s %14s %13s\n", "lgalloc's areas", bytes_text(a, start->area_bytes),
           bytes_text(b, before->area_bytes), bytes_text(c, after->area_bytes));
    printf("%-16s %12s %14s %13s\n", "its bookkeeping", bytes_text(a, start->metadata),
           bytes_text(b, before->metadata), bytes_text(c, after->metadata));
    printf("lgalloc_purge gave back %s\n", bytes_text(a, returned));
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
    puts("usage: demo [FILE] [--threads N] [--repeat N] [--backing file|anonymous] [--path DIR]\n"
         "\n"
         "Sorts the 8-byte words of FILE with many threads, on lgalloc and on malloc, and compares.\n"
         "\n"
         "  FILE       a regular file; default: the C compiler, or another large file of a toolchain\n"
         "  --threads  sorting threads, half as many read and merge; default: the processors, 2 at least\n"
         "  --repeat   rounds, of which medians are shown; default: 5\n"
         "  --backing  where lgalloc's memory comes from; default: file\n"
         "  --path     directory for lgalloc's files; default: TMPDIR, or /var/tmp");
}

static struct settings parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'}, {"repeat", required_argument, NULL, 'r'},
        {"backing", required_argument, NULL, 'b'}, {"path", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const char *temporary = getenv("TMPDIR");
    struct settings settings = {
        .threads = processors < 2 ? 2 : processors > MAX_THREADS ? MAX_THREADS : (unsigned)processors,
        .repeat = DEFAULT_REPEAT,
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
        case 'b':
            if (strcmp(optarg, "file") != 0 && strcmp(optarg, "anonymous") != 0)
                die("--backing '%s': file or anonymous is wanted", optarg);
            settings.backing =
                strcmp(optarg, "file") == 0 ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS;
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

static void one_round(const struct settings *settings, const struct input *input, uint64_t fingerprint,
                      struct rival *rival, unsigned round, struct totals *totals)
{
    struct sort_result result;

    for (int turn = 0; turn < WAYS; turn++) {
        /* Whoever comes second finds warmer caches: they take turns. */
        const int way = (int)((round + (unsigned)turn) % WAYS);
        char title[64];
        snprintf(title, sizeof title, "round %u of %u, %s", round + 1, settings->repeat,
                 way == WITH_LGALLOC ? "lgalloc" : "malloc");
        char *shown = progress_wanted() ? title : NULL;
        if (way == WITH_LGALLOC) {
            run_lgalloc(settings, input, shown, &result);
            totals->seconds[way][round] = result.seconds;
        } else {
            run_malloc(rival, shown, &totals->seconds[way][round]);
        }
        if (shown != NULL)
            progress_clear();
    }
    check(input, fingerprint, &result, rival);
    totals->regions += result.regions;
    totals->cross_thread_frees += result.cross_thread_frees;
    if (round == 0)
        print_head(settings, input, &result);
    sort_result_release(&with_lgalloc, &result);
}

static void print_times(const char *name, double with_lgalloc_seconds, double with_malloc_seconds)
{
    printf("%-8s %7.1f ms %7.1f ms %7.2f\n", name, with_lgalloc_seconds * 1e3, with_malloc_seconds * 1e3,
           with_lgalloc_seconds / with_malloc_seconds);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct settings settings = parse(argc, argv);
    struct input input;
    struct rival rival;
    uint64_t fingerprint = 0;
    char *problem = NULL;
    char text[16];

    if (!input_open(settings.file, &input, &problem))
        die("%s", problem != NULL ? problem : strerror(ENOMEM));
    int error = input_fingerprint(&input, &fingerprint);
    if (error != 0)
        die("%s: %s", input.path, strerror(error));
    error = rival_start(&rival, input.fd, input.count, settings.threads);
    if (error != 0)
        die("a process for malloc: %s", strerror(error));
    configure(&settings);
    struct totals totals = {{NULL, NULL}, 0, 0};
    for (int way = 0; way < WAYS; way++) {
        totals.seconds[way] = calloc(settings.repeat, sizeof **totals.seconds);
        if (totals.seconds[way] == NULL)
            die("%s", strerror(ENOMEM));
    }

    const struct footprint start = measure_footprint();
    for (unsigned round = 0; round < settings.repeat; round++) {
        one_round(&settings, &input, fingerprint, &rival, round, &totals);
        snprintf(text, sizeof text, "%u", round + 1);
        print_times(text, totals.seconds[WITH_LGALLOC][round], totals.seconds[WITH_MALLOC][round]);
    }
    rival_stop(&rival);
    print_times("median", median(totals.seconds[WITH_LGALLOC], settings.repeat),
                median(totals.seconds[WITH_MALLOC], settings.repeat));
    printf("\nresults  sorted, the words of the input, and equal with both allocators\n");
    printf("regions  %llu with lgalloc, %llu of them freed by another thread than had allocated them\n",
           (unsigned long long)totals.regions, (unsigned long long)totals.cross_thread_frees);
    print_size_classes();

    const struct footprint before = measure_footprint();
    const size_t returned = lgalloc_purge();
    const struct footprint after = measure_footprint();
    print_footprints(&start, &before, &after, returned);

    for (int way = 0; way < WAYS; way++)
        free(totals.seconds[way]);
    input_close(&input);
    return EXIT_SUCCESS;
}
