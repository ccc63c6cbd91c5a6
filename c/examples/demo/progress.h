/*
 * One line on the terminal that says how far a round is.
 */
#ifndef DEMO_PROGRESS_H
#define DEMO_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether there is a terminal to show it on. */
bool progress_wanted(void);

/* `title`: a text; the signature is that of sort_options.progress. */
void progress_show(void *title, uint64_t done, uint64_t total);

/* Removes the line. */
void progress_clear(void);

#endif
