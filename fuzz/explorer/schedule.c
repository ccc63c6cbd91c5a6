/* Logical threads, and the three choosers: all schedules of a bound, bytes, and a printed schedule. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "coroutine.h"

#define STACK ((size_t)256 << 10)
#define LOCALS_MAX 256
#define STEPS_MAX 400000
#define SPECIALS_MAX 4096 /* decisions of one execution that aren't the usual one */
#define NODES_MAX 65536

enum state { ENDED, READY, WAITS_LOCK, PAUSES, VANISHED };

typedef struct thread {
    coroutine routine;
    enum state state;
    const uint32_t *lock;
    uint64_t pause_progress;
    unsigned char locals[LOCALS_MAX];
} thread;

typedef struct special {
    uint32_t at; /* number of the decision */
    uint32_t value;
} special;

/* A decision of the walk that could have been another. */
typedef struct node {
    uint8_t chosen, n, kind;
} node;

enum mode { MODE_WALK, MODE_BYTES, MODE_TEXT };

static struct {
    const xp_program *program;
    enum mode mode;
    unsigned current;
    thread threads[XP_THREADS + 1];
    uint64_t steps, progress;
    uint32_t decisions;
    special specials[SPECIALS_MAX];
    unsigned special_count;
    unsigned special_next; /* MODE_TEXT: the next to take */
    /* MODE_WALK */
    node nodes[NODES_MAX];
    unsigned node_count, node_next;
    unsigned preemptions_left, late_left;
    /* MODE_BYTES */
    const uint8_t *bytes, *bytes_end;
    unsigned until_switch;
} xp = {.current = XP_MAIN};

static char *stacks[2][XP_THREADS]; /* the second set for repeating a failure */
static bool repeating;

bool xp_trace;
bool (*xp_may_switch)(const void *at);
void (*xp_describe)(const void *at, char *text, size_t size);

unsigned xp_self(void)
{
    return xp.current;
}

unsigned running_thread(void)
{
    return xp.current;
}

enum xp_memory memory_model(void)
{
    return xp.program->memory;
}

void note_progress(void)
{
    xp.progress++;
}

void trace_line(const char *what, const void *at, uint64_t value, bool has_value)
{
    if (!xp_trace || xp.current == XP_MAIN)
        return;
    char text[96] = "";
    if (at != NULL && xp_describe != NULL)
        xp_describe(at, text, sizeof(text));
    fprintf(stderr, "%6u  thread %u  %s %s", xp.decisions, xp.current, what, text);
    if (has_value)
        fprintf(stderr, " = 0x%llx", (unsigned long long)value);
    fputc('\n', stderr);
}

void xp_say(const char *what, uint64_t a, uint64_t b)
{
    if (xp_trace)
        fprintf(stderr, "%6u  thread %u: %s %llu %llu\n", xp.decisions, xp.current, what, (unsigned long long)a,
                (unsigned long long)b);
}

/* ---- choosing */

void note_access(const void *at, bool writes)
{
    if (xp.mode == MODE_WALK)
        shared_note(at, writes, xp.current);
}

static unsigned choose_in_walk(enum decision kind, unsigned n)
{
    if ((kind == DECIDE_PREEMPT && xp.preemptions_left == 0) || (kind == DECIDE_LATE && xp.late_left == 0))
        return 0;
    if (xp.node_next == xp.node_count) {
        if (xp.node_count == NODES_MAX)
            return 0;
        xp.nodes[xp.node_count++] = (node){0, (uint8_t)n, (uint8_t)kind};
    }
    const node *here = &xp.nodes[xp.node_next++];
    if (here->n != n || here->kind != kind)
        xp_fail("the same decisions led elsewhere: the client or the library isn't deterministic", NULL);
    if (here->chosen != 0 && kind == DECIDE_PREEMPT)
        xp.preemptions_left--;
    if (here->chosen != 0 && kind == DECIDE_LATE)
        xp.late_left--;
    return here->chosen;
}

static bool next_byte(uint8_t *out)
{
    if (xp.bytes == xp.bytes_end)
        return false;
    *out = *xp.bytes++;
    return true;
}

/* A byte says who goes on, and for how many points: 0 to 31, or by eights up to 280. */
static unsigned choose_by_bytes(enum decision kind, unsigned n)
{
    uint8_t byte;
    if (kind != DECIDE_PREEMPT)
        return next_byte(&byte) ? byte % n : 0;
    if (xp.until_switch != 0) {
        xp.until_switch--;
        return 0;
    }
    if (!next_byte(&byte))
        return 0;
    unsigned length = byte >> 2;
    xp.until_switch = length < 32 ? length : 32 + (length - 32) * 8;
    return (byte & 3) % n;
}

static unsigned choose_by_text(unsigned n)
{
    if (xp.special_next == xp.special_count || xp.specials[xp.special_next].at != xp.decisions - 1)
        return 0;
    return xp.specials[xp.special_next++].value % n;
}

unsigned decide(enum decision kind, unsigned n)
{
    unsigned value = 0;
    xp.decisions++;
    switch (xp.mode) {
    case MODE_WALK: value = choose_in_walk(kind, n); break;
    case MODE_BYTES: value = choose_by_bytes(kind, n); break;
    case MODE_TEXT: return choose_by_text(n);
    }
    if (value != 0 && xp.special_count < SPECIALS_MAX)
        xp.specials[xp.special_count++] = (special){xp.decisions - 1, value};
    return value;
}

/* ---- switching */

static void switch_to(unsigned to)
{
    unsigned from = xp.current;
    if (to == from)
        return;
    memcpy(xp.threads[from].locals, xp.program->locals, xp.program->locals_size);
    memcpy(xp.program->locals, xp.threads[to].locals, xp.program->locals_size);
    xp.current = to;
    if (xp.threads[from].state == ENDED && from != XP_MAIN)
        coroutine_leave(&xp.threads[from].routine, &xp.threads[to].routine);
    coroutine_switch(&xp.threads[from].routine, &xp.threads[to].routine);
}

void xp_fresh_locals(void)
{
    memcpy(xp.program->locals, xp.program->locals_fresh, xp.program->locals_size);
}

static bool can_run(const thread *t)
{
    switch (t->state) {
    case READY: return true;
    case WAITS_LOCK: return *t->lock == 0;
    case PAUSES: return xp.progress != t->pause_progress;
    default: return false;
    }
}

static unsigned runnable(unsigned *list)
{
    unsigned n = 0;
    for (unsigned i = 0; i < xp.program->threads; i++)
        if (can_run(&xp.threads[i]))
            list[n++] = i;
    return n;
}

static void count_step(void)
{
    if (++xp.steps > STEPS_MAX)
        xp_fail("no end in sight", NULL);
}

/* Whether a point before an access to `at` need not be one. */
static bool passed_over(const void *at)
{
    return xp.mode == MODE_WALK && at != NULL && !shared_is(at);
}

void point_before(const void *at)
{
    if (xp.current == XP_MAIN)
        return;
    count_step();
    if (xp_may_switch != NULL && !xp_may_switch(at))
        return;
    unsigned list[XP_THREADS];
    unsigned n = runnable(list);
    if (n <= 1)
        return;
    if (passed_over(at)) {
        xp.decisions++;
        return;
    }
    unsigned chosen = decide(DECIDE_PREEMPT, n);
    if (chosen == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        if (list[i] != xp.current && --chosen == 0) {
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
    thread *self = &xp.threads[xp.current];
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
        for (unsigned t = 0; t < xp.program->threads; t++) {
            over = over && (xp.threads[t].state == ENDED || xp.threads[t].state == VANISHED);
            /* Nothing stays in a store buffer for ever. */
            drained = drain(t) || drained;
        }
        if (over) {
            switch_to(XP_MAIN);
            return;
        }
        if (!drained)
            xp_fail("deadlock: every thread waits for another", NULL);
    }
}

void xp_lock(uint32_t *word)
{
    if (xp.current != XP_MAIN) {
        point_before(word);
        note_access(word, true);
        thread *self = &xp.threads[xp.current];
        while (*word != 0) {
            trace_line("waits for lock", word, *word - 1, true);
            self->state = WAITS_LOCK;
            self->lock = word;
            give_way();
        }
        self->state = READY;
        memory_lock(word, true);
        trace_line("lock", word, 0, false);
    } else if (*word != 0) {
        xp_fail("a lock is held at the end, or taken twice", NULL);
    }
    *word = xp.current + 1;
}

void xp_unlock(uint32_t *word)
{
    if (*word != xp.current + 1)
        xp_fail("a lock is released that the thread doesn't hold", NULL);
    if (xp.current != XP_MAIN) {
        note_access(word, true);
        memory_lock(word, false);
        trace_line("unlock", word, 0, false);
    }
    *word = 0;
    note_progress();
}

void xp_pause(void)
{
    if (xp.current == XP_MAIN)
        return;
    count_step();
    thread *self = &xp.threads[xp.current];
    trace_line("pauses", NULL, 0, false);
    self->pause_progress = xp.progress;
    self->state = PAUSES;
    give_way();
    self->state = READY;
}

void xp_vanish_others(void)
{
    for (unsigned t = 0; t < xp.program->threads; t++)
        if (t != xp.current) {
            drain(t);
            xp.threads[t].state = xp.threads[t].state == ENDED ? ENDED : VANISHED;
        }
    memory_know_all();
}

/* ---- one execution */

static void thread_main(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    xp.program->body(id);
    trace_line("ends", NULL, 0, false);
    xp.threads[id].state = ENDED;
    note_progress();
    give_way();
    abort();
}

static void execute(void)
{
    xp.current = XP_MAIN;
    xp.steps = 0;
    xp.decisions = 0;
    xp.special_next = 0;
    shared_next_execution();
    memory_reset();
    xp.program->reset();
    xp_fresh_locals();
    xp_may_switch = NULL;
    if (xp.program->setup != NULL)
        xp.program->setup();
    for (unsigned t = 0; t < xp.program->threads; t++) {
        char **stack = &stacks[repeating ? 1 : 0][t];
        if (*stack == NULL)
            *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (*stack == MAP_FAILED)
            abort();
        coroutine_prepare(&xp.threads[t].routine, *stack, STACK, thread_main, (void *)(uintptr_t)t);
        xp.threads[t].state = READY;
        memcpy(xp.threads[t].locals, xp.program->locals_fresh, xp.program->locals_size);
    }
    memset(&xp.threads[XP_MAIN].routine, 0, sizeof(xp.threads[XP_MAIN].routine));
    switch_to(decide(DECIDE_NEXT, xp.program->threads));
    if (xp.program->check != NULL)
        xp.program->check();
}

static void print_schedule(void)
{
    fputs("schedule: ", stderr);
    for (unsigned i = 0; i < xp.special_count; i++)
        fprintf(stderr, "%s%u:%u", i != 0 ? "," : "", xp.specials[i].at, xp.specials[i].value);
    fputs(xp.special_count == 0 ? "none\n" : "\n", stderr);
}

void fuzz_keep_input(void) __attribute__((weak));

_Noreturn void xp_fail(const char *what, const char *more)
{
    fflush(stdout);
    if (!repeating) {
        /* Once more, and aloud; on this stack, with other coroutines. */
        fprintf(stderr, "%s%s%s\n", what, more != NULL ? ": " : "", more != NULL ? more : "");
        print_schedule();
        if (fuzz_keep_input != NULL)
            fuzz_keep_input();
        repeating = true;
        xp_trace = true;
        xp.mode = MODE_TEXT;
        execute();
        fputs("the schedule did not fail again\n", stderr);
        abort();
    }
    fprintf(stderr, "thread %u of %u: %s%s%s\n", xp.current, xp.program->threads, what, more != NULL ? ": " : "",
            more != NULL ? more : "");
    print_schedule();
    abort();
}

/* ---- the choosers' loops */

xp_result xp_walk(const xp_program *program, xp_bounds bounds)
{
    xp_result result = {0, 0, true, 0};
    xp.program = program;
    xp.mode = MODE_WALK;
    xp.node_count = 0;
    shared_forget();
    for (;;) {
        xp.node_next = 0;
        xp.preemptions_left = bounds.preemptions;
        xp.late_left = bounds.late_stores;
        xp.special_count = 0;
        execute();
        result.schedules++;
        result.steps += xp.steps;
        if (xp.node_next < xp.node_count)
            xp_fail("an execution ended before its decisions", NULL);
        if (shared_has_grown()) {
            xp.node_count = 0;
            result.schedules = result.steps = 0;
            continue;
        }
        while (xp.node_count != 0 && xp.nodes[xp.node_count - 1].chosen + 1 >= xp.nodes[xp.node_count - 1].n)
            xp.node_count--;
        if (xp.node_count == 0)
            break;
        if (result.schedules >= bounds.most) {
            result.complete = false;
            break;
        }
        xp.nodes[xp.node_count - 1].chosen++;
    }
    result.shared = shared_count();
    return result;
}

void xp_run_bytes(const xp_program *program, const uint8_t *bytes, size_t count)
{
    xp.program = program;
    xp.mode = MODE_BYTES;
    xp.bytes = bytes;
    xp.bytes_end = bytes + count;
    xp.until_switch = 0;
    xp.special_count = 0;
    execute();
}

bool xp_run_text(const xp_program *program, const char *text)
{
    xp.program = program;
    xp.mode = MODE_TEXT;
    xp.special_count = 0;
    unsigned at, value;
    int length;
    while (sscanf(text, "%u:%u%n", &at, &value, &length) == 2) {
        if (xp.special_count == SPECIALS_MAX)
            return false;
        xp.specials[xp.special_count++] = (special){at, value};
        text += length;
        text += *text == ',';
    }
    repeating = true;
    execute();
    return true;
}
