/*
 * Charts, drawn by gnuplot: latency, scaling over threads, memory over time.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct results *find(const struct results *results, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(results[i].workload->name, name) == 0)
            return &results[i];
    return NULL;
}

/* In a text of gnuplot, in single quotes. */
static void quoted(FILE *to, const char *text)
{
    fputc('\'', to);
    for (; *text != '\0'; text++) {
        fputc(*text, to);
        if (*text == '\'')
            fputc('\'', to);
    }
    fputc('\'', to);
}

static bool has_figure(const struct results *results, unsigned id)
{
    double median = 0;

    return results->of[id].rounds > 0 && results_median(results, id, 0, &median);
}

static void begin(FILE *to, const char *directory, const char *file, const char *title, const char *x,
                  const char *y)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, file);
    fputs("reset\nset terminal svg size 760,440 dynamic background 'white' font 'sans-serif,13'\n"
          "set output ", to);
    quoted(to, path);
    fputs("\nset title ", to);
    quoted(to, title);
    fputs("\nset xlabel ", to);
    quoted(to, x);
    fputs("\nset ylabel ", to);
    quoted(to, y);
    fputs("\nset key outside right top\nset grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\n", to);
}

/* This library stands out; the others have colours that differ also for the colour-blind. */
static const char *style(unsigned id)
{
    static const char *const colours[CONTESTANTS] = {
        [LGALLOC_FILE] = "lw 3 lc rgb '#d55e00'", [LGALLOC_ANONYMOUS] = "lw 3 lc rgb '#0072b2'",
        [FLOOR] = "lw 1.5 lc rgb '#000000'", [GLIBC] = "lw 1.5 lc rgb '#999999'",
        [JEMALLOC] = "lw 1.5 lc rgb '#009e73'",   [MIMALLOC] = "lw 1.5 lc rgb '#cc79a7'",
        [TCMALLOC] = "lw 1.5 lc rgb '#56b4e9'",   [MMAP] = "lw 1.5 lc rgb '#b8a000'",
        [PEER_FIRST] = "lw 1.5 lc rgb '#7f3fbf'", [PEER_FIRST + 1] = "lw 1.5 lc rgb '#bf7f3f'",
    };

    return colours[id] != NULL ? colours[id] : "lw 1.5 lc rgb '#444444'";
}

/* "plot" and what it plots: the data of every contestant with a figure follows, each ended by "e". */
static void plot(FILE *to, const struct results *results, const char *with)
{
    const char *separator = "plot ";

    for (unsigned id = 0; id < CONTESTANTS; id++) {
        if (!has_figure(results, id))
            continue;
        fprintf(to, "%s'-' using 1:2 with %s %s title ", separator, with, style(id));
        quoted(to, contestant_get(id)->name);
        separator = ", ";
    }
    fputc('\n', to);
}

/* Latency over the share of calls that take longer, so that one in a million has as much room as half. */
static void draw_latency(FILE *to, const char *directory, const struct results *results)
{
    begin(to, directory, "latency.svg", "Allocating 64 KiB to 2 MiB: time of single calls", "calls",
          "nanoseconds");
    fputs("set logscale y\nset format y '10^{%L}'\nset xrange [0:5]\n"
          "set xtics ('0%%' 0, '90%%' 1, '99%%' 2, '99.9%%' 3, '99.99%%' 4, '99.999%%' 5)\n", to);
    plot(to, results, "steps");
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double total = 0;
        double seen = 0;
        if (!has_figure(results, id))
            continue;
        double sum[MAX_SERIES] = {0};
        for (unsigned round = 0; round < results->of[id].rounds; round++)
            for (unsigned i = 0; i < results->of[id].samples[round].series_count; i++) {
                sum[i] += results->of[id].samples[round].series[i];
                total += results->of[id].samples[round].series[i];
            }
        for (unsigned i = 0; i < MAX_SERIES; i++) {
            if (sum[i] == 0)
                continue;
            fprintf(to, "%.4f %.0f\n", -log10(1 - seen / total), fmax(latency_bucket_ns(i), 1));
            seen += sum[i];
        }
        fputs("e\n", to);
    }
}

static void draw_scaling(FILE *to, const char *directory, const struct results *results)
{
    begin(to, directory, "scaling.svg", "Hot pair of 2 MiB on many threads", "threads",
          "nanoseconds of a processor per pair");
    fputs("set logscale xy\nset xtics (1, 2, 4, 16, 64, 256)\nset xrange [0.9:300]\n", to);
    plot(to, results, "linespoints pt 7 ps 0.4");
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        if (!has_figure(results, id))
            continue;
        for (unsigned value = 0; value < workload_values(results->workload); value++) {
            double median = 0;
            if (results_median(results, id, value, &median))
                fprintf(to, "%s %.3f\n", results->workload->value_names[value], median);
        }
        fputs("e\n", to);
    }
}

static void draw_resident(FILE *to, const char *directory, const struct results *results)
{
    begin(to, directory, "resident.svg", "Resident size: three waves of 512 MiB, then nothing to do",
          "seconds", "MiB");
    fputs("set yrange [0:*]\n", to);
    plot(to, results, "lines");
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        if (!has_figure(results, id))
            continue;
        const struct sample *sample = &results->of[id].samples[0];
        for (unsigned i = 0; i < sample->series_count; i++)
            fprintf(to, "%.3f %.1f\n", i * memory_over_time_step(), sample->series[i]);
        fputs("e\n", to);
    }
}

void write_charts(const char *directory, const struct results *results, size_t count)
{
    static const struct {
        const char *workload;
        void (*draw)(FILE *, const char *, const struct results *);
    } charts[] = {{"latency", draw_latency}, {"scaling", draw_scaling}, {"resident", draw_resident}};

    if (mkdir(directory, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "lgalloc-bench: %s: %s\n", directory, strerror(errno));
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN); /* a gnuplot that is not there is seen by pclose() */
    fflush(NULL);
    FILE *gnuplot = popen("gnuplot", "we");
    unsigned drawn = 0;
    for (size_t i = 0; i < sizeof charts / sizeof *charts && gnuplot != NULL; i++) {
        const struct results *found = find(results, count, charts[i].workload);
        bool any = false;
        for (unsigned id = 0; found != NULL && id < CONTESTANTS; id++)
            any = any || has_figure(found, id);
        if (any)
            charts[i].draw(gnuplot, directory, found);
        drawn += any;
    }
    if (gnuplot == NULL || pclose(gnuplot) != 0)
        printf("\nno charts: gnuplot is missing or failed (Debian: gnuplot-nox)\n");
    else
        printf("\n%u charts in %s\n", drawn, directory);
}
