/*
 * From rounds to figures, and from figures to verdicts.
 */
#include "bench.h"

#include "measure.h"

#include <string.h>

static unsigned collect(const struct results *results, unsigned id, unsigned value, double *values)
{
    const struct contestant_results *of = &results->of[id];
    unsigned count = 0;

    for (unsigned round = 0; round < of->rounds; round++)
        if (of->samples[round].ok)
            values[count++] = of->samples[round].values[value];
    return count;
}

bool results_median(const struct results *results, unsigned id, unsigned value, double *out)
{
    double values[MAX_ROUNDS];
    const unsigned count = collect(results, id, value, values);

    if (count == 0)
        return false;
    *out = quantile(values, count, 0.5);
    return true;
}

bool results_range(const struct results *results, unsigned id, unsigned value, double *out_min, double *out_max)
{
    double values[MAX_ROUNDS];
    const unsigned count = collect(results, id, value, values);

    if (count == 0)
        return false;
    *out_min = quantile(values, count, 0);
    *out_max = quantile(values, count, 1);
    return true;
}

unsigned results_fastest(const struct results *results, uint32_t set, unsigned value)
{
    unsigned fastest = CONTESTANTS;
    double least = 0;

    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double median = 0;
        if ((set & SET(id)) == 0 || !results_median(results, id, value, &median))
            continue;
        if (fastest == CONTESTANTS || median < least) {
            fastest = id;
            least = median;
        }
    }
    return fastest;
}

/* Of a calm machine half of the rounds are closer together than this part of the median. */
#define CALM 0.25

/* Fewer rounds are close together by chance. What is exact has one. */
enum { FEWEST = 3 };

/* Half of the rounds of a value are within this part of its median; 0 where there is no figure. */
static double scatter_of(const struct results *results, unsigned id, unsigned value)
{
    double values[MAX_ROUNDS];
    const unsigned count = collect(results, id, value, values);

    if (count == 0)
        return 0;
    const double median = quantile(values, count, 0.5);
    return median > 0 ? (quantile(values, count, 0.75) - quantile(values, count, 0.25)) / median : 0;
}

/* Whose rounds tell whether the machine was calm while a bound was measured: the floor's, or those of what is done by
 * hand, since no allocator has a part in them; where neither takes part, those of what the bound compares with. */
static unsigned reference_of(const struct results *results, unsigned other)
{
    static const unsigned fixed[] = {FLOOR, FLOOR_FILE, NOTHING, HAND_FILE, MMAP_HUGE, MMAP_SMALL};

    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (results->of[fixed[i]].rounds > 0)
            return fixed[i];
    return other;
}

/* Why the rounds say too little; NULL where they don't. */
static const char *why_not_judged(const struct results *results, unsigned id, unsigned other, unsigned value)
{
    const unsigned reference = reference_of(results, other);

    if (results->of[id].rounds < FEWEST && results->workload->max_rounds != 1)
        return "not judged: too few rounds";
    return scatter_of(results, reference, value) > CALM ? "not judged: noisy" : NULL;
}

/* Part of the rounds' ratios of a value to another contestant's, or to 1 where that is CONTESTANTS. */
static double ratio_quantile(const struct results *results, unsigned id, unsigned value, unsigned other,
                             unsigned other_value, double part)
{
    double ratios[MAX_ROUNDS];
    unsigned count = 0;

    for (unsigned round = 0; round < results->of[id].rounds; round++) {
        const struct sample *mine = &results->of[id].samples[round];
        const struct sample *base = NULL;
        if (other < CONTESTANTS && round >= results->of[other].rounds)
            break;
        if (other < CONTESTANTS)
            base = &results->of[other].samples[round];
        if (!mine->ok || (base != NULL && (!base->ok || base->values[other_value] <= 0)))
            continue;
        ratios[count++] = mine->values[value] / (base != NULL ? base->values[other_value] : 1);
    }
    return count > 0 ? quantile(ratios, count, part) : 0;
}

/* The crate's first version of the comparison, 0.1.6, by the name that it was given. */
static unsigned old_crate(const struct results *results, unsigned value)
{
    double median = 0;

    for (unsigned id = PEER_FIRST; id < CONTESTANTS; id++)
        if (contestant_get(id) != NULL && strstr(contestant_get(id)->name, "0.1.6") != NULL &&
            results_median(results, id, value, &median))
            return id;
    return CONTESTANTS;
}

struct verdict judge(const struct results *results, const struct bound *bound, unsigned id)
{
    struct verdict verdict = {.ratio = 0};
    const struct workload *workload = results->workload;
    unsigned other = id;
    unsigned other_value = bound->value;
    double mine = 0;
    double base = 0;

    if (bound->against == AGAINST_CONTESTANT)
        other = bound->other;
    else if (bound->against == AGAINST_BEST_MALLOC)
        other = results_fastest(results, SET_MALLOC, bound->value);
    else if (bound->against == AGAINST_CRATE)
        other = results_fastest(results, SET_PEERS, bound->value);
    else if (bound->against == AGAINST_OLD_CRATE)
        other = old_crate(results, bound->value);
    else if (bound->against == AGAINST_SELF)
        other_value = bound->other;

    if (bound->against == ABSOLUTE)
        snprintf(verdict.against, sizeof verdict.against, "%s",
                 workload_values(workload) > 1 ? workload->value_names[bound->value] : workload->unit);
    else if (bound->against == AGAINST_SELF)
        snprintf(verdict.against, sizeof verdict.against, "x its own '%s'", workload->value_names[other_value]);
    else
        snprintf(verdict.against, sizeof verdict.against, "x %s",
                 other < CONTESTANTS                     ? contestant_get(other)->name
                 : bound->against == AGAINST_BEST_MALLOC ? "the best malloc"
                 : bound->against == AGAINST_OLD_CRATE   ? "the crate 0.1.6"
                                                         : "the faster crate");

    if (!results_median(results, id, bound->value, &mine))
        snprintf(verdict.why_not, sizeof verdict.why_not, "it has no figure");
    else if (other == CONTESTANTS && bound->against == AGAINST_BEST_MALLOC)
        snprintf(verdict.why_not, sizeof verdict.why_not, "no malloc has a figure");
    else if (other == CONTESTANTS)
        snprintf(verdict.why_not, sizeof verdict.why_not, "it takes no part; --peer");
    else if (bound->against != ABSOLUTE && !results_median(results, other, other_value, &base))
        snprintf(verdict.why_not, sizeof verdict.why_not, "%s has no figure", contestant_get(other)->name);
    else {
        const char *const why = why_not_judged(results, id, other, other_value);
        if (bound->against == ABSOLUTE)
            other = CONTESTANTS;
        verdict.ratio = ratio_quantile(results, id, bound->value, other, other_value, 0.5);
        const double low = ratio_quantile(results, id, bound->value, other, other_value, 0.25);
        snprintf(verdict.why_not, sizeof verdict.why_not, "%s", why != NULL ? why : "");
        verdict.outcome = why != NULL                      ? NOT_JUDGED
                          : verdict.ratio <= bound->factor ? REACHED
                          : low <= bound->factor           ? WITHIN_SCATTER
                                                           : MISSED;
    }
    return verdict;
}
