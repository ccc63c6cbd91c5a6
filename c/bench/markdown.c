/*
 * The report as Markdown tables, to be pasted.
 */
#include "bench.h"

#include <string.h>

/* A bar would end the cell. */
static void cell(FILE *to, const char *text)
{
    fputs(" ", to);
    for (; *text != '\0'; text++)
        fprintf(to, *text == '|' ? "\\%c" : "%c", *text);
    fputs(" |", to);
}

static void cell_number(FILE *to, double value)
{
    char text[16];

    cell(to, report_number(text, value));
}

/* The heading's first column to the left, the others to the right. */
static void rule(FILE *to, unsigned numbers)
{
    fputs("\n|---|", to);
    for (unsigned i = 0; i < numbers; i++)
        fputs("---:|", to);
    fputs("\n", to);
}

void markdown_machine(FILE *to)
{
    struct fact facts[MAX_FACTS];
    const size_t count = machine_facts(facts, MAX_FACTS);

    fputs("| | |\n|---|---|\n", to);
    for (size_t i = 0; i < count; i++) {
        fputs("|", to);
        cell(to, facts[i].name);
        cell(to, facts[i].text);
        fputs("\n", to);
    }
}

static const char *why_missing(const struct contestant_results *of)
{
    for (unsigned round = 0; round < of->rounds; round++)
        if (!of->samples[round].ok)
            return of->samples[round].note;
    return "";
}

/* A line per contestant: medians, and with a single value the least and the greatest too. */
void markdown_workload(FILE *to, const struct results *results)
{
    const struct workload *workload = results->workload;
    const unsigned values = workload_values(workload);
    const bool single = values == 1;

    if (report_left_out(results) != NULL) {
        fprintf(to, "\n`%s`: %s\n", workload->name, report_left_out(results));
        return;
    }
    fprintf(to, "\n`%s`: %s\n\n|", workload->name, workload->title);
    cell(to, workload->unit);
    if (single)
        fputs(" median | least | most |", to);
    for (unsigned value = 0; value < values && !single; value++)
        cell(to, workload->value_names[value]);
    rule(to, single ? 3 : values);
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        double median = 0;
        double least = 0;
        double most = 0;
        if (results->of[id].rounds == 0)
            continue;
        fputs("|", to);
        cell(to, contestant_get(id)->name);
        if (!results_median(results, id, 0, &median)) {
            fputs(" not measured:", to);
            cell(to, why_missing(&results->of[id]));
        }
        for (unsigned value = 0; value < values && results_median(results, id, value, &median); value++)
            cell_number(to, median);
        if (single && results_range(results, id, 0, &least, &most)) {
            cell_number(to, least);
            cell_number(to, most);
        }
        fputs("\n", to);
    }
}

/* What several contestants have, file and anonymous memory, or one text where it is the same. */
struct texts {
    unsigned count;
    char text[CONTESTANTS][48];
};

static void cell_texts(FILE *to, const struct texts *texts, const char *behind)
{
    bool same = true;

    for (unsigned i = 1; i < texts->count; i++)
        same = same && strcmp(texts->text[i], texts->text[0]) == 0;
    fputs(" ", to);
    for (unsigned i = 0; i < (same ? 1 : texts->count); i++)
        fprintf(to, "%s%s", i == 0 ? "" : " / ", texts->text[i]);
    fprintf(to, "%s |", behind);
}

/* One row for all whom a bound is for. */
static void bound_row(FILE *to, const struct results *results, const struct bound *bound)
{
    const struct workload *workload = results->workload;
    const bool named = workload_values(workload) > 1;
    const bool absolute = bound->against == ABSOLUTE;
    struct texts medians = {0}, ratios = {0}, outcomes = {0};
    char behind[sizeof((struct verdict *)NULL)->against + 1] = "", number[16];

    for (unsigned id = 0; id < CONTESTANTS; id++) {
        const unsigned at = medians.count;
        double median = 0;
        if ((bound->who & SET(id)) == 0)
            continue;
        const struct verdict verdict = judge(results, bound, id);
        const bool known = results_median(results, id, bound->value, &median);
        snprintf(medians.text[at], sizeof medians.text[at], "%s", known ? report_number(number, median) : "-");
        snprintf(ratios.text[at], sizeof ratios.text[at], "%s",
                 verdict.outcome != NOT_MEASURED && !absolute ? report_number(number, verdict.ratio) : "-");
        snprintf(outcomes.text[at], sizeof outcomes.text[at], verdict.outcome == MISSED ? "**%s**" : "%s",
                 report_outcome(&verdict));
        if (verdict.outcome != NOT_MEASURED && !absolute)
            snprintf(behind, sizeof behind, " %s", verdict.against); /* begins with x */
        medians.count = ratios.count = outcomes.count = at + 1;
    }
    fprintf(to, "| `%s` |", workload->name);
    /* The names begin with "lgalloc ", as the heading does. */
    cell(to, bound->who == SET_LGALLOC
                 ? "file / anonymous"
                 : contestant_get((unsigned)__builtin_ctz(bound->who))->name + strlen("lgalloc "));
    char unit[64];
    snprintf(unit, sizeof unit, named ? " (%s)" : " %s", named ? workload->value_names[bound->value] : workload->unit);
    cell_texts(to, &medians, unit);
    cell_texts(to, &ratios, behind);
    fprintf(to, " %s%s |", report_number(number, bound->factor), absolute ? unit : " x");
    cell_texts(to, &outcomes, "");
    fputs("\n", to);
}

void markdown_summary(FILE *to, const struct results *results, size_t count)
{
    fputs("\n| workload | of lgalloc | median | compared | at most | |\n|---|---|---:|---:|---:|---|\n", to);
    for (size_t i = 0; i < count; i++) {
        const struct bound *const bounds = results[i].workload->bounds;
        for (const struct bound *bound = bounds; bound < bounds + MAX_BOUNDS && bound->who != 0; bound++)
            bound_row(to, &results[i], bound);
    }
}
