/*
 * What is held after the same work: resident size, disk blocks, mappings, address space.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include "measure.h"

#include "lgalloc.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4, REGIONS = 240, MOMENTS = 4, FIGURES = 4, BACKGROUND_NS = 20 * 1000 * 1000 };

struct gang {
    const struct contestant *contestant;
    pthread_barrier_t barrier;
};

struct worker {
    pthread_t thread;
    struct gang *gang;
    unsigned index;
};

/*
 * Every thread takes 240 regions of 64 KiB to 2 MiB, writes them, and gives them back in another order;
 * then it sleeps, with whatever its allocator keeps for it.
 */
static void *work(void *arg)
{
    struct worker *worker = arg;
    const struct contestant *contestant = worker->gang->contestant;
    void *regions[REGIONS];
    size_t sizes[REGIONS];

    for (unsigned i = 0; i < REGIONS; i++) {
        sizes[i] = 64 * KIB << (i + worker->index) % 6;
        regions[i] = contestant->allocate(sizes[i]);
        if (regions[i] == NULL)
            give_up("out of memory");
        write_pages(regions[i], sizes[i], PAGE);
    }
    pthread_barrier_wait(&worker->gang->barrier); /* the peak */
    pthread_barrier_wait(&worker->gang->barrier);
    for (unsigned i = 0; i < REGIONS; i++) {
        const unsigned other = (i * 7 + 3) % REGIONS; /* 7 and 240 have no common divisor: each once */
        contestant->release(regions[other], sizes[other]);
    }
    pthread_barrier_wait(&worker->gang->barrier); /* all is free */
    pthread_barrier_wait(&worker->gang->barrier); /* the end */
    return NULL;
}

static void look(struct sample *out, unsigned moment)
{
    lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
    const struct footprint footprint = measure_footprint();
    double *figures = out->series + moment * FIGURES;
    size_t count = 0;

    figures[0] = (double)footprint.resident;
    if (lgalloc_stats_files(files, LGALLOC_SIZE_CLASS_COUNT, &count) == LGALLOC_STATUS_OK)
        for (size_t i = 0; i < count && i < LGALLOC_SIZE_CLASS_COUNT; i++)
            figures[1] += (double)files[i].allocated_size;
    figures[2] = (double)footprint.mappings;
    figures[3] = (double)footprint.address_space;
    out->series_count = MOMENTS * FIGURES;
}

static void run_memory(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    struct gang gang = {.contestant = contestant};
    struct worker workers[THREADS];
    const struct timespec pause = {2, 0};

    (void)workload;
    pthread_barrier_init(&gang.barrier, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].gang = &gang;
        workers[i].index = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            give_up("no thread");
    }
    pthread_barrier_wait(&gang.barrier);
    look(out, 0);
    pthread_barrier_wait(&gang.barrier);
    pthread_barrier_wait(&gang.barrier);
    look(out, 1);
    if (contestant == contestant_get(LGALLOC_FILE) || contestant == contestant_get(LGALLOC_ANONYMOUS))
        lgalloc_contestant_background(BACKGROUND_NS);
    nanosleep(&pause, NULL);
    look(out, 2);
    contestant->trim();
    look(out, 3);
    pthread_barrier_wait(&gang.barrier);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

void report_memory(FILE *to)
{
    static const struct workload workload = {.name = "memory", .run = run_memory};
    static const unsigned who[] = {LGALLOC_FILE, LGALLOC_ANONYMOUS, GLIBC, JEMALLOC, MIMALLOC, TCMALLOC};
    static const char *const moments[MOMENTS] = {"all in use", "all free", "2 s later", "asked to give back"};

    const bool markdown = settings.markdown;
    /* Figures with and without bars between them. */
    const char *const row = markdown ? "| %s | %s | %.1f | %.1f | %.0f | %.2f |\n"
                                     : "  %-20s %-20s %12.1f %12.1f %9.0f %15.2f\n";

    fprintf(to, "\nmemory: %d threads, each %d regions of 64 KiB to 2 MiB written; when all is free, this\n", THREADS,
            REGIONS);
    fputs("library's worker is switched on, and the threads sleep from then on\n", to);
    if (markdown)
        fputs("\n| | | resident MiB | on disk MiB | mappings | addresses GiB |\n|---|---|---:|---:|---:|---:|\n", to);
    else
        fprintf(to, "  %-20s %-20s %12s %12s %9s %15s\n", "", "", "resident MiB", "on disk MiB", "mappings",
                "addresses GiB");
    for (size_t i = 0; i < sizeof who / sizeof *who; i++) {
        const char *const name = contestant_get(who[i])->name;
        struct sample sample;
        run_child(&workload, contestant_get(who[i]), &sample);
        if (!sample.ok) {
            fprintf(to, markdown ? "| %s | not measured: %s |\n" : "  %-20s not measured: %.60s\n", name, sample.note);
            continue;
        }
        for (unsigned moment = 0; moment < MOMENTS; moment++) {
            const double *figures = sample.series + moment * FIGURES;
            fprintf(to, row, moment == 0 ? name : "", moments[moment], figures[0] / (double)MIB,
                    figures[1] / (double)MIB, figures[2], figures[3] / (double)GIB);
        }
    }
}
