/*
 * The table, for people, in 100 columns.
 */
#include "bench.h"

#include <string.h>

const char *report_number(char text[16], double value)
{
    const double size = value < 0 ? -value : value;

    snprintf(text, 16,
             size == 0    ? "%.0f"
             : size < 0.1 ? "%.3f"
             : size < 10  ? "%.2f"
             : size < 100 ? "%.1f"
                          : "%.0f",
             value);
    return text;
}

const char *report_outcome(const struct verdict *verdict)
{
    switch (verdict->outcome) {
    case REACHED: return "reached";
    case WITHIN_SCATTER: return "within the scatter";
    case MISSED: return "MISSED";
    default: return verdict->why_not;
    }
}

void report_machine(FILE *to)
{
    struct fact facts[MAX_FACTS];
    const size_t count = machine_facts(facts, MAX_FACTS);

    for (size_t i = 0; i < count; i++)
        fprintf(to, "%-20s %.78s\n", facts[i].name, facts[i].text);
}

/* Why a contestant has no figure, or that some rounds had none. */
static void report_missing(FILE *to, const struct contestant_results *of, const char *name)
{
    unsigned failed = 0;
    const char *note = "";

    for (unsigned round = 0; round < of->rounds; round++)
        if (!of->samples[round].ok) {
            failed++;
            note = of->samples[round].note;
        }
    if (failed == of->rounds)
        fprintf(to, "  %-22s not measured: %.60s\n", name, note);
    else if (failed > 0)
        fprintf(to, "  %-22s %u of %u rounds failed: %.50s\n", "", failed, of->rounds, note);
}

static void ratio_to(FILE *to, const struct results *results, unsigned other, double median)
{
    double base = 0;
    char text[16];

    if (other < CONTESTANTS && results_median(results, other, 0, &base) && base > 0)
        fprintf(to, " %9s", report_number(text, median / base));
    else
        fprintf(to, " %9s", "-");
}

static void report_single(FILE *to, const struct results *results)
{
    const uint32_t set = results->workload->contestants;
    const unsigned best = results_fastest(results, SET_MALLOC & set, 0);
    const unsigned floor_id = (set & SET(FLOOR)) != 0 ? FLOOR : FLOOR_FILE;
    const bool has_floor = (set & SET(floor_id)) != 0;

    fprintf(to, "  %-22s %10s %10s %10s%s%s\n", results->workload->unit, "median", "least", "most",
            has_floor ? "   x floor" : "", best < CONTESTANTS ? "  x malloc" : "");
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double median = 0;
        double least = 0;
        double most = 0;
        char a[16];
        char b[16];
        char c[16];
        if (results->of[id].rounds == 0)
            continue;
        if (results_median(results, id, 0, &median) && results_range(results, id, 0, &least, &most)) {
            fprintf(to, "  %-22s %10s %10s %10s", contestant_get(id)->name, report_number(a, median),
                    report_number(b, least), report_number(c, most));
            if (has_floor)
                ratio_to(to, results, floor_id, median);
            if (best < CONTESTANTS)
                ratio_to(to, results, best, median);
            fputc('\n', to);
        }
        report_missing(to, &results->of[id], contestant_get(id)->name);
    }
}

static void report_several(FILE *to, const struct results *results)
{
    const unsigned values = workload_values(results->workload);

    fprintf(to, "  %s\n  %-22s", results->workload->unit, "");
    for (unsigned value = 0; value < values; value++)
        fprintf(to, " %*s", values > 6 ? 8 : 10, results->workload->value_names[value]);
    fputc('\n', to);
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double median = 0;
        char text[16];
        if (results->of[id].rounds == 0)
            continue;
        if (results_median(results, id, 0, &median)) {
            fprintf(to, "  %-22s", contestant_get(id)->name);
            for (unsigned value = 0; value < values && results_median(results, id, value, &median); value++)
                fprintf(to, " %*s", values > 6 ? 8 : 10, report_number(text, median));
            fputc('\n', to);
        }
        report_missing(to, &results->of[id], contestant_get(id)->name);
    }
}

/* One line for a bound of one contestant. */
static void report_bound(FILE *to, const struct results *results, const struct bound *bound, unsigned id,
                         const char *prefix)
{
    const struct verdict verdict = judge(results, bound, id);
    char ratio[16];
    char factor[16];

    fprintf(to, "%s%-20s %8s %-28.28s <= %-6s %.26s\n", prefix, contestant_get(id)->name,
            verdict.outcome != NOT_MEASURED ? report_number(ratio, verdict.ratio) : "-", verdict.against,
            report_number(factor, bound->factor), report_outcome(&verdict));
}

const char *report_left_out(const struct results *results)
{
    for (unsigned id = 0; id < CONTESTANTS; id++)
        if (results->of[id].rounds > 0)
            return NULL;
    return "left out: no time left; --filter measures it alone";
}

void report_workload(FILE *to, const struct results *results)
{
    const struct workload *workload = results->workload;
    const char *const left_out = report_left_out(results);

    fprintf(to, "\n%s: %s\n", workload->name, workload->title);
    if (left_out != NULL) {
        fprintf(to, "  %s\n", left_out);
        return;
    }
    if (workload_values(workload) > 1)
        report_several(to, results);
    else
        report_single(to, results);
    const struct bound *const end = workload->bounds + MAX_BOUNDS;
    for (const struct bound *bound = workload->bounds; bound < end && bound->who != 0; bound++)
        for (unsigned id = 0; id < CONTESTANTS; id++)
            if ((bound->who & SET(id)) != 0)
                report_bound(to, results, bound, id, "  bound: ");
}

void report_summary(FILE *to, const struct results *results, size_t count)
{
    unsigned of[REACHED + 1] = {0};

    fputs("\nBounds that were missed:\n", to);
    for (size_t i = 0; i < count; i++) {
        const struct bound *bounds = results[i].workload->bounds;
        for (const struct bound *bound = bounds; bound < bounds + MAX_BOUNDS && bound->who != 0; bound++)
            for (unsigned id = 0; id < CONTESTANTS; id++) {
                if ((bound->who & SET(id)) == 0)
                    continue;
                const struct verdict verdict = judge(&results[i], bound, id);
                of[verdict.outcome]++;
                if (verdict.outcome != MISSED)
                    continue;
                char name[32];
                snprintf(name, sizeof name, "  %-19s", results[i].workload->name);
                report_bound(to, &results[i], bound, id, name);
            }
    }
    if (of[MISSED] == 0)
        fputs("  none\n", to);
    fprintf(to, "%u bounds reached, %u within the scatter, %u missed, %u not judged, %u not measured\n", of[REACHED],
            of[WITHIN_SCATTER], of[MISSED], of[NOT_JUDGED], of[NOT_MEASURED]);
    if (of[NOT_JUDGED] > 0)
        fputs("Not judged: the machine did other work, so that not even the floor took the same time in each round;\n"
              "or there were fewer than three. More rounds (--rounds) or a calmer machine tell.\n",
              to);
}
