/*
 * The same job with malloc, in a process of its own: what malloc keeps for later must not show in the
 * memory figures of the process that runs on lgalloc.
 */
#ifndef DEMO_RIVAL_H
#define DEMO_RIVAL_H

#include "progress.h"
#include "sort.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rival {
    pid_t pid;
    int request; /* pipes to and from the process */
    int answer;
    uint64_t *words; /* the last result, shared with the process; see words_let_go() */
    size_t count;
};

/*
 * Starts the process; the caller has no threads yet. It sorts the first `count` words of `fd` whenever
 * it is told to. Returns 0 or an errno.
 */
int rival_start(struct rival *out_rival, int fd, size_t count, unsigned threads);

/* One round; the result is in `words` afterwards. The process shows the progress. Returns 0 or an errno. */
int rival_sort(struct rival *rival, const struct progress *progress, double *out_seconds);

void rival_stop(struct rival *rival);

#endif
