#define _GNU_SOURCE 1

#include "picture.h"

#include "bytes.h"
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 4096, ROWS = 8, COLUMNS = 64, FIRST_STEP_MS = 10 };

struct look {
    size_t resident[2];
    int at_work;
};

struct picture {
    pthread_t thread;
    int statm[2];
    atomic_bool stop;
    atomic_int at_work;
    double start;
    double step; /* seconds between two looks; doubled whenever the table is full */
    size_t count;
    struct look looks[SAMPLES];
};

/* Without malloc and stdio: who watches must not be a customer of what it watches. */
static size_t resident(int statm)
{
    char text[128];
    const ssize_t length = pread(statm, text, sizeof text - 1, 0);

    if (length <= 0)
        return 0; /* the process ended */
    text[length] = '\0';
    const char *const pages = strchr(text, ' ');
    return pages == NULL ? 0 : (size_t)strtoull(pages, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static struct look look(const struct picture *picture)
{
    struct look look;

    for (int who = 0; who < 2; who++)
        look.resident[who] = resident(picture->statm[who]);
    look.at_work = atomic_load_explicit(&picture->at_work, memory_order_relaxed);
    return look;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Two looks in a row become one, the higher. */
static void thin_out(struct picture *picture)
{
    for (size_t i = 0; i < SAMPLES / 2; i++) {
        const struct look *const two = &picture->looks[2 * i];
        struct look one = two[1];
        for (int who = 0; who < 2; who++)
            one.resident[who] = larger(two[0].resident[who], two[1].resident[who]);
        picture->looks[i] = one;
    }
    picture->count = SAMPLES / 2;
    picture->step *= 2;
}

static void *watch(void *arg)
{
    struct picture *picture = arg;

    while (!atomic_load_explicit(&picture->stop, memory_order_relaxed)) {
        const struct look now = look(picture);
        /* A thread that got no processor for a while fills in what it missed. */
        const double elapsed = progress_clock() - picture->start;
        do {
            if (picture->count == SAMPLES)
                thin_out(picture);
            picture->looks[picture->count++] = now;
        } while ((double)picture->count * picture->step < elapsed);
        const time_t whole = (time_t)picture->step;
        const struct timespec pause = {whole, (long)((picture->step - (double)whole) * 1e9)};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int open_statm(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int picture_start(pid_t first, pid_t second, struct picture **out_picture)
{
    struct picture *picture = calloc(1, sizeof *picture);

    if (picture == NULL)
        return ENOMEM;
    picture->statm[0] = open_statm(first);
    picture->statm[1] = open_statm(second);
    atomic_init(&picture->stop, false);
    atomic_init(&picture->at_work, -1);
    picture->start = progress_clock();
    picture->step = FIRST_STEP_MS * 1e-3;
    const int error = pthread_create(&picture->thread, NULL, watch, picture);
    if (error != 0) {
        picture_free(picture);
        return error;
    }
    *out_picture = picture;
    return 0;
}

void picture_at_work(struct picture *picture, int who)
{
    atomic_store_explicit(&picture->at_work, who, memory_order_relaxed);
}

void picture_stop(struct picture *picture)
{
    atomic_store_explicit(&picture->stop, true, memory_order_relaxed);
    pthread_join(picture->thread, NULL);
    if (picture->count == SAMPLES)
        thin_out(picture);
    picture->looks[picture->count++] = look(picture);
}

void picture_free(struct picture *picture)
{
    for (int who = 0; who < 2; who++)
        if (picture->statm[who] >= 0)
            close(picture->statm[who]);
    free(picture);
}

struct picture_summary picture_summary(const struct picture *picture, int who)
{
    struct picture_summary summary = {0, picture->looks[picture->count - 1].resident[who]};

    for (size_t i = 0; i < picture->count; i++)
        summary.most = larger(summary.most, picture->looks[i].resident[who]);
    return summary;
}

/* The looks that a column stands for: from `*out_first` to before the result. The last column is the last look alone. */
static size_t column(const struct picture *picture, size_t number, size_t *out_first)
{
    const size_t before_last = picture->count - 1;

    *out_first = number + 1 < COLUMNS ? number * before_last / (COLUMNS - 1) : before_last;
    const size_t end = number + 1 < COLUMNS ? (number + 1) * before_last / (COLUMNS - 1) : picture->count;
    return end > *out_first ? end : *out_first + 1;
}

void picture_draw(const struct picture *picture, int who, const char *caption)
{
    const size_t top = larger(larger(picture_summary(picture, 0).most, picture_summary(picture, 1).most), 1);

    printf("%s\n", caption);
    for (unsigned row = ROWS; row > 0; row--) {
        char line[COLUMNS + 1];
        for (size_t i = 0; i < COLUMNS; i++) {
            size_t first = 0;
            const size_t end = column(picture, i, &first);
            size_t most = 0;
            for (size_t at = first; at < end; at++)
                most = larger(most, picture->looks[at].resident[who]);
            const double height = (double)most / (double)top * ROWS;
            line[i] = height >= row - 0.25 ? '#' : height >= row - 0.75 ? '.' : ' ';
        }
        size_t length = COLUMNS;
        while (length > 0 && line[length - 1] == ' ')
            length--;
        line[length] = '\0';
        printf("%10s |%s\n", row == ROWS || row == ROWS / 2 ? bytes_text(top * row / ROWS).text : "", line);
    }
}

void picture_draw_time(const struct picture *picture, const char names[2])
{
    char line[COLUMNS + 1];

    for (size_t i = 0; i < COLUMNS; i++) {
        size_t first = 0;
        const size_t end = column(picture, i, &first);
        line[i] = '-';
        for (size_t at = first; at < end; at++)
            if (picture->looks[at].at_work >= 0)
                line[i] = names[picture->looks[at].at_work];
    }
    line[COLUMNS] = '\0';
    printf("%10s +%s\n", "at work", line);
    printf("%10s  0%*.1f s\n", "", COLUMNS - 3, (double)picture->count * picture->step);
}
