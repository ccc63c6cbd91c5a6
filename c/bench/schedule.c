/*
 * How long everything takes: what is told on the way, and how --quick keeps within its time.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <string.h>
#include <unistd.h>

/* All workloads with --quick: the contestants' versions, the charts, and what is measured from Rust come in addition. */
enum { QUICK_SECONDS = 85, LOG_SECONDS = 20 };

/* Not worth cutting short: milliseconds as in the table. */
enum { CHEAP = 1000 };

/* What a turn takes with --quick, in milliseconds, beside the others: the figures of --json, where they are far from the
 * usual. The machine's speed is found out on the way. */
/* clang-format off */
static const struct { const char *name; double cost; } costs[] = {
    {"direct-pair", 12}, {"hot-pair", 9}, {"batch", 9}, {"batch-2", 11}, {"batch-64k", 7}, {"handoff", 78},
    {"steal", 6}, {"thread-start", 12}, {"scaling", 200}, {"live", 66}, {"million", 400}, {"written", 310},
    {"written-file", 150}, {"written-tmpfs", 150}, {"first-touch", 380}, {"first-touch-file", 320},
    {"first-touch-tmpfs", 590}, {"clear", 120}, {"clear-file", 150}, {"clear-tmpfs", 350}, {"clear-steps-64k", 410},
    {"clear-steps-2m", 150}, {"clear-steps-64m", 200}, {"clear-faults-64k", 260}, {"clear-faults-2m", 200},
    {"clear-faults-64m", 210}, {"clear-faults-tmpfs", 470}, {"zeroed", 610}, {"zeroed-tmpfs", 1360},
    {"zeroed-only", 790}, {"zeroed-only-tmpfs", 1280}, {"stats", 12}, {"instructions", 550},
    {"system-calls-stats", 1}, {"latency", 120}, {"resident", 1500}, {"vector", 450}, {"phases", 330},
    {"class-walk", 900}, {"mix", 300}, {"mix-2", 300}, {"class-change", 250}, {"arrays", 130},
    {"arrays-64m", 890}, {"sort", 740},
};
/* clang-format on */
enum { USUAL_COST = 40 };

static double turn_cost(const struct workload *workload)
{
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (strcmp(costs[i].name, workload->name) == 0)
            return costs[i].cost;
    return USUAL_COST;
}

static struct {
    const struct workload *const *chosen;
    size_t count;
    size_t at;    /* the workload that is measured */
    double start; /* seconds */
    double workload_start;
    unsigned rounds; /* of the workload that is measured */
    double logged;
    double cost_done; /* of finished workloads */
    double seconds_done;
} schedule;

static double clock_seconds(void)
{
    return (double)now_ns() * 1e-9;
}

static double workload_cost(const struct workload *workload, unsigned rounds)
{
    unsigned ids[CONTESTANTS];

    return rounds * choose_contestants(workload, ids) * turn_cost(workload);
}

/* Of all workloads after the one that is measured. */
static double later_cost(void)
{
    double sum = 0;

    for (size_t i = schedule.at + 1; i < schedule.count; i++)
        sum += workload_cost(schedule.chosen[i], usual_rounds(schedule.chosen[i]));
    return sum;
}

/* Seconds of a unit of cost: as on the machine that the table is from, until enough was measured here. */
static double speed(void)
{
    const double guess = settings.quick ? 1e-3 : 3e-3;
    const double weight = 2000;

    return (schedule.seconds_done + weight * guess) / (schedule.cost_done + weight);
}

void schedule_start(const struct workload *const *chosen, size_t count)
{
    schedule.chosen = chosen;
    schedule.count = count;
    schedule.start = schedule.workload_start = schedule.logged = clock_seconds();
}

/* Far more than anything takes where there is no such bound. */
static double quick_seconds_left(void)
{
    return settings.quick && !settings.rounds_asked_for ? schedule.start + QUICK_SECONDS - clock_seconds() : 1e9;
}

unsigned schedule_rounds(const struct workload *workload, unsigned wanted)
{
    const double left = quick_seconds_left();
    const double need = (workload_cost(workload, wanted) + later_cost()) * speed();

    schedule.rounds = wanted;
    if (left <= 0) {
        schedule.rounds = 0;
    } else if (need > left && workload_cost(workload, wanted) > CHEAP) {
        const unsigned fewer = (unsigned)(wanted * left / need);
        schedule.rounds = fewer > 0 ? fewer : 1;
    }
    return schedule.rounds;
}

void schedule_turn(const struct workload *workload, unsigned round, unsigned rounds, const char *who)
{
    const bool terminal = isatty(STDERR_FILENO) == 1;
    const double now = clock_seconds();

    if (!terminal && now - schedule.logged < LOG_SECONDS)
        return;
    schedule.logged = now;
    const double whole = workload_cost(workload, rounds) * speed();
    const double rest = whole - (now - schedule.workload_start);
    double left = later_cost() * speed() + (rest > 0 ? rest : 0);
    if (quick_seconds_left() < left)
        left = quick_seconds_left() > 0 ? quick_seconds_left() : 0;
    fprintf(stderr, "%s%s: round %u of %u, %s; workload %zu of %zu, about %.0f %s left%s", terminal ? "\r\033[K" : "",
            workload->name, round + 1, rounds, who, schedule.at + 1, schedule.count, left < 100 ? left : left / 60,
            left < 100 ? "s" : "min", terminal ? "" : "\n");
    fflush(stderr);
}

double schedule_done(void)
{
    const struct workload *const workload = schedule.chosen[schedule.at];
    const double now = clock_seconds();
    const double seconds = now - schedule.workload_start;

    schedule.cost_done += workload_cost(workload, schedule.rounds);
    schedule.seconds_done += seconds;
    schedule.workload_start = now;
    schedule.at++;
    if (isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
    return seconds;
}
