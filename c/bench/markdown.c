/*
 * The report as Markdown tables, to be pasted.
 */
#include "bench.h"

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

static void bound_row(FILE *to, const struct results *results, const struct bound *bound, unsigned id)
{
    const struct workload *workload = results->workload;
    const struct verdict verdict = judge(results, bound, id);
    char text[16];
    double mine = 0;

    fprintf(to, "| `%s`: %s |", workload->name, workload->title);
    cell(to, contestant_get(id)->name);
    if (results_median(results, id, bound->value, &mine))
        fprintf(to, " %s |", report_number(text, mine));
    else
        fputs(" - |", to);
    cell(to, workload_values(workload) > 1 ? workload->value_names[bound->value] : workload->unit);
    if (verdict.outcome == NOT_MEASURED)
        fputs(" - |", to);
    else
        cell_number(to, verdict.ratio);
    cell(to, bound->against == ABSOLUTE ? "as it is" : verdict.against);
    cell_number(to, bound->factor);
    cell(to, report_outcome(&verdict));
    fputs("\n", to);
}

void markdown_summary(FILE *to, const struct results *results, size_t count)
{
    fputs("\n| workload | who | median | | measured | | bound | |\n|---|---|---:|---|---:|---|---:|---|\n", to);
    for (size_t i = 0; i < count; i++) {
        const struct bound *const bounds = results[i].workload->bounds;
        for (const struct bound *bound = bounds; bound < bounds + MAX_BOUNDS && bound->who != 0; bound++)
            for (unsigned id = 0; id < CONTESTANTS; id++)
                if ((bound->who & SET(id)) != 0)
                    bound_row(to, &results[i], bound, id);
    }
}
