/*
 * Memory over time: what stays resident while work comes and goes, and when there is none.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The whole takes this long; of it, the last part is idle. */
static uint64_t total_ns(void)
{
    return settings.quick ? UINT64_C(1500000000) : UINT64_C(6000000000);
}

enum { SAMPLES = 150, PHASES = 3, BACKGROUND_NS = 20 * 1000 * 1000 };

double memory_over_time_step(void)
{
    return (double)total_ns() / 1e9 / SAMPLES;
}

struct recorder {
    atomic_bool stop;
    uint64_t start;
    double *megabytes; /* SAMPLES */
    unsigned count;
};

/* Without malloc and stdio: the recorder must not be a customer of what it watches. */
static double resident_megabytes(int statm)
{
    char text[128];
    const ssize_t length = pread(statm, text, sizeof text - 1, 0);

    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *resident = strchr(text, ' ');
    return resident == NULL ? 0 : strtod(resident, NULL) * PAGE / (double)MIB;
}

static void *record(void *arg)
{
    struct recorder *recorder = arg;
    const int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    for (; recorder->count < SAMPLES; recorder->count++) {
        const uint64_t due = recorder->start + recorder->count * (total_ns() / SAMPLES);
        const uint64_t now = now_ns();
        if (due > now) {
            const struct timespec pause = {0, (long)(due - now)};
            nanosleep(&pause, NULL);
        }
        recorder->megabytes[recorder->count] = resident_megabytes(statm);
    }
    close(statm);
    return NULL;
}

static void wait_until(uint64_t time)
{
    const uint64_t now = now_ns();

    if (time > now) {
        const struct timespec pause = {(time_t)((time - now) / 1000000000),
                                       (long)((time - now) % 1000000000)};
        nanosleep(&pause, NULL);
    }
}

/*
 * Three waves of 512 MiB, in regions of 2, 8 and 32 MiB, written as they come: up, half of it back, all
 * of it back. Then nothing any more.
 */
void run_memory_over_time(const struct workload *workload, const struct contestant *contestant,
                          struct sample *out)
{
    static void *regions[256];
    struct recorder recorder = {.start = now_ns(), .megabytes = out->series};
    const uint64_t phase_ns = total_ns() / (PHASES + 2);
    pthread_t thread;

    (void)workload;
    if (contestant == contestant_get(LGALLOC_FILE) || contestant == contestant_get(LGALLOC_ANONYMOUS))
        lgalloc_contestant_background(BACKGROUND_NS);
    if (pthread_create(&thread, NULL, record, &recorder) != 0)
        give_up("no thread to record with");
    for (unsigned phase = 0; phase < PHASES; phase++) {
        const size_t size = 2 * MIB << 2 * phase;
        const unsigned count = (unsigned)(512 * MIB / size);
        const uint64_t start = recorder.start + phase * phase_ns;
        for (unsigned i = 0; i < count; i++) {
            regions[i] = contestant->allocate(size);
            if (regions[i] == NULL)
                give_up("out of memory");
            write_pages(regions[i], size, PAGE);
            wait_until(start + phase_ns / 2 * (i + 1) / count);
        }
        for (unsigned i = 0; i < count; i++) {
            contestant->release(regions[i], size);
            if (i == count / 2)
                wait_until(start + phase_ns * 3 / 4);
        }
        wait_until(start + phase_ns);
    }
    pthread_join(thread, NULL);
    out->series_count = recorder.count;
    out->values[0] = 0;
    for (unsigned i = 0; i < recorder.count; i++)
        out->values[0] = out->series[i] > out->values[0] ? out->series[i] : out->values[0];
    out->values[1] = recorder.count > 0 ? out->series[recorder.count - 1] : 0;
}
