/*
 * The same job where the limit is less than what it has in regions in memory: sorted runs of sealed regions, merged many
 * at a time. What doesn't fit below the limit, the library keeps on disk.
 */
#ifndef DEMO_LARGER_H
#define DEMO_LARGER_H

#include "input.h"

#include <stdbool.h>
#include <stddef.h>

struct larger {
    unsigned threads;
    unsigned repeat;
    const char *path; /* the directory for what is evicted */
    size_t limit;
};

/*
 * Sorts, checks by reading once, and prints all that is of interest. False: what doesn't fit, or what failed, as one line that
 * the caller owns; NULL where there is no memory for that. `out_wrong`: it is the result that is wrong.
 */
bool larger_demo(const struct larger *settings, const struct input *input, char **out_problem, bool *out_wrong);

#endif
