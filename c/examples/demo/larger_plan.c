#include "larger_plan.h"

#include "blocks.h"
#include "runs.h"

/* Halves of a run are regions, so powers of two: the largest that so many threads can have below three quarters of the limit.
 * In the last quarter is what was written and isn't evicted yet. */
static size_t half_of_run(size_t limit, unsigned threads)
{
    size_t half = BLOCK_BYTES;

    while (threads * RUN_BYTES_IN_USE(2 * (2 * half)) <= limit / 4 * 3)
        half *= 2;
    return half;
}

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

/* A block of each run for every thread, which takes half of the limit. */
static size_t fan_in_of(size_t limit, unsigned threads)
{
    return limit / 2 / (threads * BLOCK_BYTES);
}

static unsigned passes_of(size_t runs, size_t fan_in)
{
    unsigned passes = 0;

    for (; runs > 1; passes++)
        runs = divide_up(runs, fan_in);
    return passes;
}

struct larger_plan larger_plan_make(size_t words, size_t limit, unsigned threads)
{
    struct larger_plan plan = {.makers = threads};

    while (plan.makers > 1 && plan.makers * RUN_BYTES_IN_USE(2 * BLOCK_BYTES) > limit / 4 * 3)
        plan.makers--;
    plan.run_words = 2 * half_of_run(limit, plan.makers) / sizeof(uint64_t);
    plan.runs = divide_up(words, plan.run_words);
    /* Fewer threads can merge more runs at a time. One more pass, in which all is read and written, takes longer. */
    for (unsigned mergers = 1; mergers <= threads; mergers++) {
        const size_t fan_in = fan_in_of(limit, mergers);
        const unsigned passes = fan_in >= 2 ? passes_of(plan.runs, fan_in) : 0;
        if (mergers > 1 && (fan_in < 2 || passes > plan.passes))
            break;
        plan.mergers = mergers;
        plan.fan_in = fan_in;
        plan.passes = passes;
    }
    plan.ahead = limit / 4 / (plan.mergers * BLOCK_BYTES);
    return plan;
}
