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

static void begin(FILE *to, const char *directory, const char *file, unsigned height, const char *title)
{
    char text[4096];

    snprintf(text, sizeof text, "%s/%s", directory, file);
    fprintf(to, "reset\nset terminal svg size 760,%u dynamic background 'white' font 'sans-serif,13'\nset output ",
            height);
    quoted(to, text);
    /* Who measured, and when: below all else. */
    machine_line(text, sizeof text);
    fputs("\nset label 100 ", to);
    quoted(to, text);
    fputs(" at screen 0.01,0.025 left font ',10' textcolor rgb '#555555'\nset title ", to);
    quoted(to, title);
    fputs("\nset key outside right top\nset grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\n", to);
}

static void axes(FILE *to, const char *x, const char *y)
{
    fputs("set bmargin 5\nset xlabel ", to);
    quoted(to, x);
    fputs("\nset ylabel ", to);
    quoted(to, y);
    fputc('\n', to);
}

/*
 * Nobody has the colour of another, and families differ by their dashes too: this library's lines are thick and whole, the
 * mallocs' whole, the crate's dashed, what needs no allocator dotted. The colours are those that Okabe and Ito found to
 * differ for the colour-blind; the crate has shades of purple, from dark to light.
 */
static const char *style(unsigned id)
{
    static const char *const styles[CONTESTANTS] = {
        [LGALLOC_FILE] = "lw 3.5 dt 1 lc rgb '#d55e00'",
        [LGALLOC_ANONYMOUS] = "lw 3.5 dt 1 lc rgb '#0072b2'",
        [LGALLOC_EMBEDDED] = "lw 3.5 dt 2 lc rgb '#003f66'",
        [FLOOR] = "lw 2 dt 3 lc rgb '#000000'",
        [GLIBC] = "lw 1.8 dt 1 lc rgb '#888888'",
        [JEMALLOC] = "lw 1.8 dt 1 lc rgb '#009e73'",
        [MIMALLOC] = "lw 1.8 dt 1 lc rgb '#e69f00'",
        [TCMALLOC] = "lw 1.8 dt 1 lc rgb '#56b4e9'",
        [MMAP] = "lw 2 dt 3 lc rgb '#8b5a2b'",
        [PEER_FIRST] = "lw 1.8 dt 4 lc rgb '#4b0055'",
        [PEER_FIRST + 1] = "lw 1.8 dt 4 lc rgb '#9a2f9f'",
        [PEER_FIRST + 2] = "lw 1.8 dt 4 lc rgb '#d98fd6'",
        [PEER_LAST] = "lw 1.8 dt 5 lc rgb '#c02040'",
    };

    return styles[id] != NULL ? styles[id] : "lw 1.8 dt 5 lc rgb '#444444'";
}

/* "plot" and what it plots: the data of every contestant with a figure follows, each ended by "e". A point's shape is
 * another difference. */
static void plot(FILE *to, const struct results *results, const char *with, bool points)
{
    static const unsigned shapes[] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12, 1, 2, 3};
    const char *separator = "plot ";
    unsigned drawn = 0;

    for (unsigned id = 0; id < CONTESTANTS; id++) {
        if (!has_figure(results, id))
            continue;
        fprintf(to, "%s'-' using 1:2 with %s %s ", separator, with, style(id));
        if (points)
            fprintf(to, "pt %u ps 0.6 ", shapes[drawn % (sizeof shapes / sizeof *shapes)]);
        fputs("title ", to);
        quoted(to, contestant_get(id)->name);
        separator = ", ";
        drawn++;
    }
    fputc('\n', to);
}

/* Latency over the share of calls that take longer, so that one in a million has as much room as half. */
static void draw_latency(FILE *to, const char *directory, const struct results *results)
{
    begin(to, directory, "latency.svg", 460, "Allocating 64 KiB to 2 MiB: time of single calls");
    axes(to, "calls that take less", "nanoseconds (lower is better)");
    fputs("set logscale y\nset format y '10^{%L}'\nset xrange [0:5]\n"
          "set xtics ('0%%' 0, '90%%' 1, '99%%' 2, '99.9%%' 3, '99.99%%' 4, '99.999%%' 5)\n",
          to);
    plot(to, results, "steps", false);
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
    begin(to, directory, "scaling.svg", 460, "Hot pair of 2 MiB on many threads");
    axes(to, "threads", "nanoseconds of a processor per pair (lower is better)");
    fputs("set logscale xy\nset xtics (1, 2, 4, 16, 64, 256)\nset xrange [0.9:300]\n", to);
    plot(to, results, "linespoints", true);
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

/* A picture for each, on the same axes, over what the work had in use: the same for all, so that they can be compared. */
static void draw_resident(FILE *to, const char *directory, const struct results *results)
{
    enum { IN_A_ROW = 3, ROW_HEIGHT = 210 };
    unsigned ids[CONTESTANTS];
    unsigned count = 0;
    double most = 0;

    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double median = 0;
        if (!has_figure(results, id) || !results_median(results, id, 0, &median))
            continue;
        ids[count++] = id;
        most = fmax(most, median);
    }
    const unsigned rows = (count + IN_A_ROW - 1) / IN_A_ROW;
    begin(to, directory, "resident.svg", 90 + rows * ROW_HEIGHT, "");
    fprintf(
        to,
        "unset title\nunset key\nset label 101 'Resident memory (lower is better): three waves of 512 MiB, then nothing"
        " to do' at screen 0.5,0.97 center\n"
        "set label 102 'MiB; every look after the same work, %.0f ms or more after the one before; grey: in use;"
        " this library with its worker' "
        "at screen 0.5,0.925 center font ',11'\n",
        1e3 * memory_over_time_step());
    fprintf(to,
            "set multiplot\nset yrange [0:%.0f]\nset xrange [0:%.0f]\nset lmargin 0\nset rmargin 0\nset tmargin 0\n"
            "set bmargin 0\nset tics font ',10'\nset xtics 50\n",
            most * 1.25, (double)(results->of[ids[0]].samples[0].series_count / 2));
    for (unsigned i = 0; i < count; i++) {
        const struct sample *const sample = &results->of[ids[i]].samples[0];
        const unsigned moments = sample->series_count / 2;
        const unsigned row = i / IN_A_ROW;
        const double cell = (0.88 - 0.06) / rows;
        fprintf(to, "set origin %.3f,%.3f\nset size 0.26,%.3f\nset title ", 0.07 + 0.31 * (i % IN_A_ROW),
                0.88 - cell * (row + 1) + cell * 0.17, cell * 0.63);
        quoted(to, contestant_get(ids[i])->name);
        fprintf(to,
                " font ',11' offset 0,-0.5\nset label 103 'at most %.0f, at the end %.0f' at graph 0.98,0.94 right "
                "font ',10'\n",
                sample->values[0], sample->values[1]);
        fprintf(to,
                "plot '-' using 1:2 with filledcurves y1=0 fc rgb '#d0d0d0', "
                "'-' using 1:2 with lines %s\n",
                style(ids[i]));
        for (unsigned at = 0; at < moments; at++)
            fprintf(to, "%u %.1f\n", at, sample->series[moments + at]);
        fputs("e\n", to);
        for (unsigned at = 0; at < moments; at++)
            fprintf(to, "%u %.1f\n", at, sample->series[at]);
        /* Once for all of them. */
        fputs("e\nunset label 100\nunset label 101\nunset label 102\n", to);
    }
    fputs("unset multiplot\n", to);
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
