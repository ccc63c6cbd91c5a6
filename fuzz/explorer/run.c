/* Executions, one after the other; what fails runs once more, aloud. */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>

#include "choose.h"
#include "common.h"
#include "memory.h"
#include "schedule.h"
#include "shared.h"

static bool repeating;

static void execute(void)
{
    schedule_begin();
    choose_begin();
    memory_reset();
    running.program->reset();
    xp_fresh_locals();
    if (running.program->setup != NULL)
        running.program->setup();
    schedule_run(repeating);
    if (running.program->check != NULL)
        running.program->check();
}

void fuzz_keep_input(void) __attribute__((weak));

static void fail(const char *what, const char *more)
{
    if (!repeating) {
        /* Once more, and aloud; on this stack, with other coroutines. */
        fprintf(stderr, "%s%s%s\n", what, more != NULL ? ": " : "", more != NULL ? more : "");
        choose_print();
        if (fuzz_keep_input != NULL)
            fuzz_keep_input();
        repeating = true;
        xp_trace = true;
        choose_the_same();
        execute();
        fputs("the schedule did not fail again\n", stderr);
        abort();
    }
    fprintf(stderr, "thread %u of %u: %s%s%s\n", running.thread, running.program->threads, what,
            more != NULL ? ": " : "", more != NULL ? more : "");
    choose_print();
}

static void begin(const xp_program *program)
{
    running.program = program;
    when_failing = fail;
    schedule_when_stuck = drain;
}

xp_result xp_walk(const xp_program *program, xp_bounds bounds)
{
    xp_result result = {0, 0, true, 0};
    begin(program);
    choose_by_walk(bounds);
    for (;;) {
        execute();
        result.schedules++;
        result.steps += schedule_steps();
        if (walk_starts_over()) {
            result.schedules = result.steps = 0;
            continue;
        }
        if (walk_is_over())
            break;
        if (result.schedules >= bounds.most) {
            result.complete = false;
            break;
        }
        walk_next();
    }
    result.shared = shared_count();
    return result;
}

void xp_run_bytes(const xp_program *program, const uint8_t *bytes, size_t count)
{
    begin(program);
    choose_by_bytes(bytes, count);
    execute();
}

bool xp_run_text(const xp_program *program, const char *text)
{
    begin(program);
    if (!choose_by_text(text))
        return false;
    repeating = true;
    execute();
    return true;
}
