#define _GNU_SOURCE 1

#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOG_SECONDS = 30 };

double progress_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ", about 2 min left", or nothing while it is too early to say. */
static void estimate(const struct progress *progress, double part, char *text, size_t size)
{
    const double done = progress->turns > 0 ? ((double)progress->turn + part) / (double)progress->turns : 0;
    const double elapsed = progress_clock() - progress->start;

    text[0] = '\0';
    if (done < 0.02 || elapsed < 1)
        return;
    const double left = elapsed / done - elapsed;
    if (left < 100)
        snprintf(text, size, ", about %.0f s left", left);
    else
        snprintf(text, size, ", about %.0f min left", left / 60);
}

void progress_show(void *arg, uint64_t done, uint64_t total)
{
    static double logged; /* of the main thread of either process */
    const struct progress *const progress = arg;
    const bool terminal = isatty(STDERR_FILENO) == 1;
    const double now = progress_clock();
    const double part = total > 0 ? (double)done / (double)total : 1;
    char left[48];

    if (logged == 0)
        logged = now;
    if (!terminal && now - logged < LOG_SECONDS)
        return;
    logged = now;
    estimate(progress, part, left, sizeof left);
    fprintf(stderr, terminal ? "\r\033[K%s: %.0f%%%s " : "demo: %s: %.0f%%%s\n", progress->title, 100 * part, left);
    fflush(stderr);
}

void progress_clear(void)
{
    if (isatty(STDERR_FILENO) != 1)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
