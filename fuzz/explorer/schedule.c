#include "schedule.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "choose.h"
#include "common.h"
#include "coroutine.h"

#define STACK ((size_t)256 << 10)
#define LOCALS_MAX 256
#define STEPS_MAX 400000

enum state { ENDED, READY, WAITS_LOCK, PAUSES, VANISHED };

typedef struct thread {
    coroutine routine;
    enum state state;
    const uint32_t *lock;
    uint64_t pause_progress;
    unsigned char locals[LOCALS_MAX];
} thread;

static thread threads[XP_THREADS + 1];
static uint64_t steps;
static char *stacks[2][XP_THREADS]; /* the second set for repeating a failure */

bool (*xp_may_switch)(const void *at);
bool (*schedule_when_stuck)(unsigned thread);

uint64_t schedule_steps(void)
{
    return steps;
}

static void switch_to(unsigned to)
{
    unsigned from = running.thread;
    if (to == from)
        return;
    memcpy(threads[from].locals, running.program->locals, running.program->locals_size);
    memcpy(running.program->locals, threads[to].locals, running.program->locals_size);
    running.thread = to;
    if (threads[from].state == ENDED && from != XP_MAIN)
        coroutine_leave(&threads[from].routine, &threads[to].routine);
    coroutine_switch(&threads[from].routine, &threads[to].routine);
}

void xp_fresh_locals(void)
{
    memcpy(running.program->locals, running.program->locals_fresh, running.program->locals_size);
}

static bool can_run(const thread *t)
{
    switch (t->state) {
    case READY: return true;
    case WAITS_LOCK: return *t->lock == 0;
    case PAUSES: return running.progress != t->pause_progress;
    default: return false;
    }
}

static unsigned runnable(unsigned *list)
{
    unsigned n = 0;
    for (unsigned i = 0; i < running.program->threads; i++)
        if (can_run(&threads[i]))
            list[n++] = i;
    return n;
}

static void count_step(void)
{
    if (++steps > STEPS_MAX)
        xp_fail("no end in sight", NULL);
}

void point_before(const void *at)
{
    if (running.thread == XP_MAIN)
        return;
    count_step();
    if (xp_may_switch != NULL && !xp_may_switch(at))
        return;
    unsigned list[XP_THREADS];
    unsigned n = runnable(list);
    if (n <= 1)
        return;
    if (choose_passes_over(at))
        return;
    unsigned chosen = decide(DECIDE_PREEMPT, n);
    if (chosen == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        if (list[i] != running.thread && --chosen == 0) {
            switch_to(list[i]);
            return;
        }
}

void xp_point(void)
{
    point_before(NULL);
}

/* The running thread can't go on, or has ended: another does. Returns when it can again. */
static void give_way(void)
{
    thread *self = &threads[running.thread];
    for (;;) {
        unsigned list[XP_THREADS];
        unsigned n = runnable(list);
        if (n != 0) {
            unsigned next = list[n == 1 ? 0 : decide(DECIDE_NEXT, n)];
            switch_to(next);
            if (can_run(self))
                return;
            continue;
        }
        bool over = true, drained = false;
        for (unsigned t = 0; t < running.program->threads; t++) {
            over = over && (threads[t].state == ENDED || threads[t].state == VANISHED);
            /* Nothing stays in a store buffer for ever. */
            drained = schedule_when_stuck(t) || drained;
        }
        if (over) {
            switch_to(XP_MAIN);
            return;
        }
        if (!drained)
            xp_fail("deadlock: every thread waits for another", NULL);
    }
}

void schedule_await(const uint32_t *lock)
{
    thread *self = &threads[running.thread];
    while (*lock != 0) {
        trace_line("waits for lock", lock, *lock - 1, true);
        self->state = WAITS_LOCK;
        self->lock = lock;
        give_way();
    }
    self->state = READY;
}

void xp_pause(void)
{
    if (running.thread == XP_MAIN)
        return;
    count_step();
    thread *self = &threads[running.thread];
    trace_line("pauses", NULL, 0, false);
    self->pause_progress = running.progress;
    self->state = PAUSES;
    give_way();
    self->state = READY;
}

void schedule_vanish(unsigned id)
{
    if (threads[id].state != ENDED)
        threads[id].state = VANISHED;
}

/* ---- one execution */

static void thread_main(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    running.program->body(id);
    trace_line("ends", NULL, 0, false);
    threads[id].state = ENDED;
    note_progress();
    give_way();
    abort();
}

void schedule_begin(void)
{
    running.thread = XP_MAIN;
    steps = 0;
    xp_may_switch = NULL;
}

void schedule_run(bool again)
{
    for (unsigned t = 0; t < running.program->threads; t++) {
        char **stack = &stacks[again ? 1 : 0][t];
        if (*stack == NULL)
            *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*stack == MAP_FAILED)
            abort();
        coroutine_prepare(&threads[t].routine, *stack, STACK, thread_main, (void *)(uintptr_t)t);
        threads[t].state = READY;
        memcpy(threads[t].locals, running.program->locals_fresh, running.program->locals_size);
    }
    memset(&threads[XP_MAIN].routine, 0, sizeof(threads[XP_MAIN].routine));
    switch_to(decide(DECIDE_NEXT, running.program->threads));
}
