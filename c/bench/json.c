/*
 * Everything that was measured, round by round, for programs.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

static void json_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void json_number(FILE *to, double value)
{
    if (isfinite(value))
        fprintf(to, "%.6g", value);
    else
        fputs("null", to);
}

static void json_machine(FILE *to)
{
    struct fact facts[MAX_FACTS];
    const size_t count = machine_facts(facts, MAX_FACTS);

    fputs("  \"machine\": {", to);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ",\n    " : "\n    ", to);
        json_string(to, facts[i].name);
        fputs(": ", to);
        json_string(to, facts[i].text);
    }
    fputs("\n  },\n", to);
}

static void json_contestant(FILE *to, const struct results *results, unsigned id)
{
    const struct contestant_results *of = &results->of[id];
    const unsigned values = workload_values(results->workload);

    fputs("\n        {\"name\": ", to);
    json_string(to, contestant_get(id)->name);
    fputs(", \"medians\": [", to);
    for (unsigned value = 0; value < values; value++) {
        double median = NAN;
        results_median(results, id, value, &median);
        fputs(value > 0 ? ", " : "", to);
        json_number(to, median);
    }
    fputs("], \"rounds\": [", to);
    for (unsigned round = 0; round < of->rounds; round++) {
        const struct sample *sample = &of->samples[round];
        fputs(round > 0 ? ", " : "", to);
        if (!sample->ok) {
            fputs("{\"failed\": ", to);
            json_string(to, sample->note);
            fputc('}', to);
            continue;
        }
        fputc('[', to);
        for (unsigned value = 0; value < values; value++) {
            fputs(value > 0 ? ", " : "", to);
            json_number(to, sample->values[value]);
        }
        fputc(']', to);
    }
    fputs("]}", to);
}

static void json_bounds(FILE *to, const struct results *results)
{
    const struct bound *bounds = results->workload->bounds;
    bool first = true;

    for (const struct bound *bound = bounds; bound < bounds + MAX_BOUNDS && bound->who != 0; bound++)
        for (unsigned id = 0; id < CONTESTANTS; id++) {
            if ((bound->who & SET(id)) == 0)
                continue;
            const struct verdict verdict = judge(results, bound, id);
            fputs(first ? "\n        {\"who\": " : ",\n        {\"who\": ", to);
            first = false;
            json_string(to, contestant_get(id)->name);
            fputs(", \"against\": ", to);
            json_string(to, verdict.against);
            fputs(", \"bound\": ", to);
            json_number(to, bound->factor);
            fputs(", \"value\": ", to);
            json_number(to, verdict.outcome != NOT_MEASURED ? verdict.ratio : NAN);
            fputs(", \"outcome\": ", to);
            json_string(to, report_outcome(&verdict));
            fputs("}", to);
        }
}

static void json_workload(FILE *to, const struct results *results)
{
    const struct workload *workload = results->workload;
    const unsigned values = workload_values(workload);
    bool first = true;

    fputs("    {\"name\": ", to);
    json_string(to, workload->name);
    fputs(",\n      \"title\": ", to);
    json_string(to, workload->title);
    fputs(",\n      \"unit\": ", to);
    json_string(to, workload->unit);
    fprintf(to, ",\n      \"seconds\": %.3f", results->seconds);
    fputs(",\n      \"values\": [", to);
    for (unsigned value = 0; value < values; value++) {
        fputs(value > 0 ? ", " : "", to);
        json_string(to, workload->value_names[0] != NULL ? workload->value_names[value] : workload->unit);
    }
    fputs("],\n      \"contestants\": [", to);
    for (unsigned id = 0; id < CONTESTANTS; id++) {
        if (results->of[id].rounds == 0)
            continue;
        fputs(first ? "" : ",", to);
        first = false;
        json_contestant(to, results, id);
    }
    fputs("],\n      \"bounds\": [", to);
    json_bounds(to, results);
    fputs("]}", to);
}

bool write_json(const char *path, const struct results *results, size_t count)
{
    FILE *to = fopen(path, "we");
    const time_t now = time(NULL);
    char date[32] = "";
    struct tm calendar;

    if (to == NULL)
        return false;
    if (gmtime_r(&now, &calendar) != NULL)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &calendar);
    fprintf(to, "{\n  \"program\": \"lgalloc-bench\",\n  \"date\": \"%s\",\n", date);
    fprintf(to, "  \"quick\": %s,\n  \"rounds\": %u,\n", settings.quick ? "true" : "false", settings.rounds);
    json_machine(to);
    fputs("  \"workloads\": [\n", to);
    for (size_t i = 0; i < count; i++) {
        json_workload(to, &results[i]);
        fputs(i + 1 < count ? ",\n" : "\n", to);
    }
    fputs("  ]\n}\n", to);
    const bool written = ferror(to) == 0;
    return fclose(to) == 0 && written;
}
