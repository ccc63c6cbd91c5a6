/*
 * Resident memory over the course of the same work.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The work goes in steps, the same for everybody, and memory is looked at after each: on a slow machine the steps take
 * longer, and still what two contestants hold can be compared. In the last steps nothing is done.
 */
enum { PHASES = 3, UP = 25, HALF = 37, PHASE_STEPS = 50, IDLE_STEPS = 30, STEPS = PHASES * PHASE_STEPS + IDLE_STEPS };
enum { BACKGROUND_NS = 20 * 1000 * 1000, MAX_REGIONS = 256 };

static uint64_t step_ns(void)
{
    return settings.quick ? 8 * 1000 * 1000 : 33 * 1000 * 1000;
}

double memory_over_time_step(void)
{
    return (double)step_ns() * 1e-9;
}

/* Without malloc and stdio: who looks must not be a customer of what it looks at. */
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

struct course {
    const struct contestant *contestant;
    struct sample *out;
    void *regions[MAX_REGIONS];
    size_t size;
    unsigned count; /* in use */
    int statm;
    uint64_t due; /* when the next step may begin */
};

static void resize(struct course *course, unsigned count)
{
    while (course->count < count) {
        void *const region = course->contestant->allocate(course->size);
        if (region == NULL)
            give_up("out of memory");
        write_pages(region, course->size, PAGE);
        course->regions[course->count++] = region;
    }
    while (course->count > count)
        course->contestant->release(course->regions[--course->count], course->size);
}

static void end_step(struct course *course)
{
    const uint64_t now = now_ns();

    if (course->due > now) {
        const struct timespec pause = {0, (long)(course->due - now)};
        nanosleep(&pause, NULL);
    }
    course->due = now_ns() + step_ns();
    course->out->series[course->out->series_count] = resident_megabytes(course->statm);
    course->out->series[STEPS + course->out->series_count] = (double)(course->size * course->count) / (double)MIB;
    course->out->series_count++;
}

/*
 * Three waves of 512 MiB, in regions of 2, 8 and 32 MiB, written as they come: up, half of it back, all of it back. Then
 * nothing any more.
 */
void run_memory_over_time(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static struct course course;

    (void)workload;
    if (contestant == contestant_get(LGALLOC_FILE) || contestant == contestant_get(LGALLOC_ANONYMOUS))
        lgalloc_contestant_background(BACKGROUND_NS);
    course.contestant = contestant;
    course.out = out;
    course.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    for (unsigned phase = 0; phase < PHASES; phase++) {
        course.size = 2 * MIB << 2 * phase;
        const unsigned all = (unsigned)(512 * MIB / course.size);
        for (unsigned step = 1; step <= PHASE_STEPS; step++) {
            resize(&course, step <= UP ? all * step / UP : step <= HALF ? all / 2 : 0);
            end_step(&course);
        }
    }
    for (unsigned step = 0; step < IDLE_STEPS; step++)
        end_step(&course);
    close(course.statm);
    for (unsigned i = 0; i < STEPS; i++)
        out->values[0] = out->series[i] > out->values[0] ? out->series[i] : out->values[0];
    out->values[1] = out->series[STEPS - 1];
    out->series_count = 2 * STEPS;
}
