/* What all parts of the explorer know: which logical thread runs, under which program, and how far it is. */
#ifndef FUZZ_EXPLORER_COMMON_H
#define FUZZ_EXPLORER_COMMON_H

#include "explore.h"

extern struct running {
    const xp_program *program;
    unsigned thread;    /* as xp_self() */
    uint64_t progress;  /* changes with everything that a waiting thread may wait for */
    uint32_t decisions; /* in this execution */
} running;

static inline unsigned running_thread(void)
{
    return running.thread;
}

static inline enum xp_memory memory_model(void)
{
    return running.program->memory;
}

/* Something has changed that a waiting thread may wait for. */
static inline void note_progress(void)
{
    running.progress++;
}

/* A line of the trace, if there is one. */
void trace_line(const char *what, const void *at, uint64_t value, bool has_value);

/* What xp_fail() does before it aborts; NULL: it prints why. */
extern void (*when_failing)(const char *what, const char *more);

#endif
