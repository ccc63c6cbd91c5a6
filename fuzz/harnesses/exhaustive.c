/*
 * Walks all schedules of small clients, and prints how many there were.
 *
 *   exhaustive [CLIENT...] [--preemptions N] [--late N] [--most N] [--tso | --weak]
 *   exhaustive CLIENT[/fences] --schedule TEXT      one schedule, as a failure printed it, step by step
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/clients.h"
#include "world/world.h"

bool client_fences;

static struct {
    int preemptions, late;
    uint64_t most;
    const char *schedule;
    enum xp_memory memory;
    const char *names[64];
    bool found[64];
    unsigned name_count;
} options = {.preemptions = -1, .late = -1, .memory = XP_PSO};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static bool wanted(const char *name)
{
    for (unsigned i = 0; i < options.name_count; i++)
        if (strcmp(options.names[i], name) == 0)
            return options.found[i] = true;
    return options.name_count == 0;
}

/* Narrow bounds first: they find most, in the shortest schedules, and the widest may be too many to walk. What the
 * narrower walks had is walked again. */
static xp_result walk(const xp_program *program, xp_bounds bounds, xp_bounds *out_complete)
{
    xp_result total = {0, 0, true, 0};
    for (unsigned late = 0; late <= bounds.late_stores; late++)
        for (unsigned preemptions = 0; preemptions <= bounds.preemptions; preemptions++) {
            bool widest = late == bounds.late_stores && preemptions == bounds.preemptions;
            /* All preemptions with no store late, then the widest. */
            if (late != 0 && !widest)
                continue;
            xp_bounds narrow = {preemptions, late, bounds.most - total.schedules};
            xp_result result = xp_walk(program, narrow);
            total.schedules += result.schedules;
            total.steps += result.steps;
            total.shared = result.shared;
            total.complete = result.complete;
            if (!result.complete)
                return total;
            *out_complete = narrow;
        }
    return total;
}

static void run(const client *c, bool fences, enum xp_memory memory)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s%s", c->name, fences ? "/fences" : "", memory == XP_WEAK ? "/weak" : "");
    if (!wanted(name))
        return;
    client_fences = fences;
    xp_program program = {
        .threads = c->threads, .setup = c->setup, .body = c->body, .check = c->check, .memory = memory};
    world_run(&program);
    if (options.schedule != NULL) {
        xp_trace = true;
        if (!xp_run_text(&program, options.schedule))
            exit(2);
        puts("this schedule is fine");
        return;
    }
    xp_bounds bounds = c->bounds;
    if (memory == XP_WEAK && bounds.preemptions > 3)
        bounds.preemptions = 3; /* old values are what it is about */
    if (options.preemptions >= 0)
        bounds.preemptions = (unsigned)options.preemptions;
    if (options.late >= 0)
        bounds.late_stores = (unsigned)options.late;
    if (options.most != 0)
        bounds.most = options.most;
    /* The name first: a failure prints the rest. */
    printf("%-28s %7u %4u ", name, bounds.preemptions, bounds.late_stores);
    fflush(stdout);
    double start = now();
    xp_bounds complete = {0, 0, 0};
    xp_result result = walk(&program, bounds, &complete);
    double seconds = now() - start;
    char reached[32] = "all";
    if (!result.complete)
        snprintf(reached, sizeof(reached), "all of %u, %u", complete.preemptions, complete.late_stores);
    printf("%9llu  %-11s %6u %9.0f %6.1f s\n", (unsigned long long)result.schedules, reached, result.shared,
           (double)result.schedules / (seconds > 0 ? seconds : 1), seconds);
}

static const char *value_of(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        fprintf(stderr, "%s needs a value\n", argv[*i]);
        exit(2);
    }
    return argv[++*i];
}

static void run_all(const client *clients, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const client *c = &clients[i];
        run(c, false, options.memory);
        if (c->fences_too)
            run(c, true, options.memory);
        if (c->weak_too && options.memory != XP_WEAK) {
            run(c, false, XP_WEAK);
            if (c->fences_too)
                run(c, true, XP_WEAK);
        }
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--preemptions") == 0)
            options.preemptions = atoi(value_of(argc, argv, &i));
        else if (strcmp(argv[i], "--late") == 0)
            options.late = atoi(value_of(argc, argv, &i));
        else if (strcmp(argv[i], "--most") == 0)
            options.most = strtoull(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--schedule") == 0)
            options.schedule = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--tso") == 0)
            options.memory = XP_TSO;
        else if (strcmp(argv[i], "--weak") == 0)
            options.memory = XP_WEAK;
        else if (argv[i][0] != '-' && options.name_count < 64)
            options.names[options.name_count++] = argv[i];
        else {
            fprintf(
                stderr,
                "unknown option %s; there are [CLIENT...] --preemptions N, --late N, --most N, --schedule TEXT, --tso, --weak\n",
                argv[i]);
            return 2;
        }
    }
    if (options.schedule == NULL)
        printf("%-28s %7s %4s %9s  %-11s %6s %9s\n", "client", "preempt", "late", "schedules", "walked", "shared",
               "per s");
    run_all(clients_parts, clients_parts_count);
    run_all(clients_whole, clients_whole_count);
    run_all(clients_chunks, clients_chunks_count);
    run_all(clients_process, clients_process_count);
    run_all(clients_sealed, clients_sealed_count);
    int status = 0;
    for (unsigned i = 0; i < options.name_count; i++)
        if (!options.found[i]) {
            fprintf(stderr, "there is no client %s; without names all are run\n", options.names[i]);
            status = 2;
        }
    return status;
}
