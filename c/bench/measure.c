#define _GNU_SOURCE 1

#include "measure.h"

#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double part)
{
    qsort(values, count, sizeof *values, compare_doubles);
    const double place = part * (double)(count - 1);
    const size_t below = (size_t)place;
    const size_t above = below + 1 < count ? below + 1 : below;
    return values[below] + (values[above] - values[below]) * (place - (double)below);
}

double time_per_operation(void (*batch)(void *arg, size_t operations), void *arg, uint64_t budget_ns)
{
    enum { MAX_BATCHES = 512, BATCH_NS = 200 * 1000 };
    double times[MAX_BATCHES];
    size_t operations = 1;
    size_t batches = 0;

    /* How many operations does a batch need? What happens once, or for once, must not decide it. */
    batch(arg, 1);
    for (;;) {
        uint64_t least = UINT64_MAX;
        for (int attempt = 0; attempt < 3; attempt++) {
            const uint64_t before = now_ns();
            batch(arg, operations);
            const uint64_t taken = now_ns() - before;
            least = taken < least ? taken : least;
            if (taken >= budget_ns)
                break;
        }
        if (least >= BATCH_NS || least >= budget_ns)
            break;
        operations = least * 4 < BATCH_NS ? operations * 4 : operations * 2;
    }
    const uint64_t end = now_ns() + budget_ns;
    uint64_t start = now_ns();
    do {
        batch(arg, operations);
        const uint64_t stop = now_ns();
        times[batches++] = (double)(stop - start) / (double)operations;
        start = stop;
    } while (start < end && batches < MAX_BATCHES);
    return quantile(times, batches, 0.5);
}

/* ---------------------------------------------------------------- threads that start together */

struct team {
    pthread_barrier_t ready;
    void (*work)(void *arg, unsigned index);
    void *arg;
    bool prepares;
};

struct member {
    pthread_t thread;
    struct team *team;
    unsigned index;
    uint64_t start;
    uint64_t end;
};

static _Thread_local struct member *current;

void prepared(void)
{
    pthread_barrier_wait(&current->team->ready);
    current->start = now_ns();
}

static void *member_main(void *arg)
{
    struct member *member = arg;

    current = member;
    if (!member->team->prepares)
        prepared();
    member->team->work(member->team->arg, member->index);
    member->end = now_ns();
    return NULL;
}

static uint64_t run_team(unsigned threads, void (*work)(void *, unsigned), void *arg, bool prepares)
{
    struct member *members = calloc(threads, sizeof *members);
    struct team team = {.work = work, .arg = arg, .prepares = prepares};
    pthread_attr_t attributes;
    uint64_t start = UINT64_MAX;
    uint64_t end = 0;

    if (members == NULL)
        give_up("no memory for %u threads", threads);
    pthread_barrier_init(&team.ready, NULL, threads);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * KIB);
    for (unsigned i = 0; i < threads; i++) {
        members[i].team = &team;
        members[i].index = i;
        const int error = pthread_create(&members[i].thread, &attributes, member_main, &members[i]);
        if (error != 0)
            give_up("thread %u of %u: %s", i + 1, threads, strerror(error));
    }
    pthread_attr_destroy(&attributes);
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(members[i].thread, NULL);
        /* Not this thread's clock: with many threads it may be the last to hear that they started. */
        start = members[i].start < start ? members[i].start : start;
        end = members[i].end > end ? members[i].end : end;
    }
    pthread_barrier_destroy(&team.ready);
    free(members);
    return end > start ? end - start : 1;
}

uint64_t run_together(unsigned threads, void (*work)(void *arg, unsigned index), void *arg)
{
    return run_team(threads, work, arg, false);
}

uint64_t run_together_prepared(unsigned threads, void (*work)(void *arg, unsigned index), void *arg)
{
    return run_team(threads, work, arg, true);
}

struct mean {
    double (*measure)(void *arg);
    void *arg;
    double per_thread[16];
};

static void measure_one(void *arg, unsigned index)
{
    struct mean *mean = arg;

    mean->per_thread[index] = mean->measure(mean->arg);
}

double mean_over_threads(unsigned threads, double (*measure)(void *arg), void *arg)
{
    struct mean mean = {.measure = measure, .arg = arg};
    double sum = 0;

    /* One thread is the main thread: in some allocators it has the better cache. */
    if (threads == 1)
        return measure(arg);
    run_together(threads, measure_one, &mean);
    for (unsigned i = 0; i < threads; i++)
        sum += mean.per_thread[i];
    return sum / threads;
}

/* ---------------------------------------------------------------- what the kernel says */

/* A line "name:  number kB" of a file in /proc; 0 where it is not there. */
static size_t proc_bytes(const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    char line[256];
    size_t kilobytes = 0;

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            kilobytes = strtoull(line + strlen(name) + 1, NULL, 10);
            break;
        }
    fclose(file);
    return kilobytes * KIB;
}

struct footprint measure_footprint(void)
{
    struct footprint footprint = {0, 0, 0};
    FILE *file = fopen("/proc/self/maps", "re");
    int c;

    if (file != NULL) {
        while ((c = getc(file)) != EOF)
            footprint.mappings += c == '\n';
        fclose(file);
    }
    footprint.resident = proc_bytes("/proc/self/smaps_rollup", "Rss");
    if (footprint.resident == 0)
        footprint.resident = proc_bytes("/proc/self/status", "VmRSS");
    footprint.address_space = proc_bytes("/proc/self/status", "VmSize");
    return footprint;
}

size_t resident_at_most(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * KIB;
}

double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e-6;
}

size_t available_memory(void)
{
    return proc_bytes("/proc/meminfo", "MemAvailable");
}

void have_memory(size_t size)
{
    if (available_memory() / 3 < size)
        return;
    const pid_t pid = fork();
    if (pid == 0) {
        write_pages(hand_map_anonymous(2 * size, 2 * MIB, true), 2 * size, PAGE);
        _exit(EXIT_SUCCESS);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}
