/*
 * How far the program is: a line that is redrawn on a terminal, and one every half minute in a log.
 */
#ifndef DEMO_PROGRESS_H
#define DEMO_PROGRESS_H

#include <stdint.h>

struct progress {
    char title[64];
    unsigned turn;  /* of `turns`, from 0; each takes about as long as the others */
    unsigned turns; /* 0: nothing is known about how long it takes */
    double start;   /* when the first turn began, by progress_clock() */
};

/* Seconds, the same for all processes. */
double progress_clock(void);

/* `progress`: a struct progress; the signature is that of sort_options.progress. */
void progress_show(void *progress, uint64_t done, uint64_t total);

/* Removes the line from the terminal. */
void progress_clear(void);

#endif
