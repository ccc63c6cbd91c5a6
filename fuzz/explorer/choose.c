#include "choose.h"

#include <stdio.h>

#include "common.h"
#include "shared.h"

#define SPECIALS_MAX 4096 /* decisions of one execution that aren't the usual one */
#define NODES_MAX 65536

typedef struct special {
    uint32_t at; /* number of the decision */
    uint32_t value;
} special;

/* A decision of the walk that could have been another. */
typedef struct node {
    uint8_t chosen, n, kind;
} node;

static struct {
    enum { MODE_WALK, MODE_BYTES, MODE_TEXT } mode;
    special specials[SPECIALS_MAX];
    unsigned special_count;
    unsigned special_next; /* MODE_TEXT: the next to take */
    /* MODE_WALK */
    node nodes[NODES_MAX];
    unsigned node_count, node_next;
    xp_bounds bounds;
    unsigned preemptions_left, late_left;
    /* MODE_BYTES */
    const uint8_t *bytes, *bytes_end;
    unsigned until_switch;
} choice;

void note_access(const void *at, bool writes)
{
    if (choice.mode == MODE_WALK)
        shared_note(at, writes, running.thread);
}

bool choose_passes_over(const void *at)
{
    if (choice.mode != MODE_WALK || at == NULL || shared_is(at))
        return false;
    running.decisions++;
    return true;
}

static unsigned in_walk(enum decision kind, unsigned n)
{
    if ((kind == DECIDE_PREEMPT && choice.preemptions_left == 0) || (kind == DECIDE_LATE && choice.late_left == 0))
        return 0;
    if (choice.node_next == choice.node_count) {
        if (choice.node_count == NODES_MAX)
            return 0;
        choice.nodes[choice.node_count++] = (node){0, (uint8_t)n, (uint8_t)kind};
    }
    const node *here = &choice.nodes[choice.node_next++];
    if (here->n != n || here->kind != kind)
        xp_fail("the same decisions led elsewhere: the client or the library isn't deterministic", NULL);
    if (here->chosen != 0 && kind == DECIDE_PREEMPT)
        choice.preemptions_left--;
    if (here->chosen != 0 && kind == DECIDE_LATE)
        choice.late_left--;
    return here->chosen;
}

static bool next_byte(uint8_t *out)
{
    if (choice.bytes == choice.bytes_end)
        return false;
    *out = *choice.bytes++;
    return true;
}

/* A byte says who goes on, and for how many points: 0 to 31, or by eights up to 280. */
static unsigned by_bytes(enum decision kind, unsigned n)
{
    uint8_t byte;
    if (kind != DECIDE_PREEMPT)
        return next_byte(&byte) ? byte % n : 0;
    if (choice.until_switch != 0) {
        choice.until_switch--;
        return 0;
    }
    if (!next_byte(&byte))
        return 0;
    unsigned length = byte >> 2;
    choice.until_switch = length < 32 ? length : 32 + (length - 32) * 8;
    return (byte & 3) % n;
}

static unsigned by_text(unsigned n)
{
    if (choice.special_next == choice.special_count || choice.specials[choice.special_next].at != running.decisions - 1)
        return 0;
    return choice.specials[choice.special_next++].value % n;
}

unsigned decide(enum decision kind, unsigned n)
{
    unsigned value = 0;
    running.decisions++;
    switch (choice.mode) {
    case MODE_WALK: value = in_walk(kind, n); break;
    case MODE_BYTES: value = by_bytes(kind, n); break;
    case MODE_TEXT: return by_text(n);
    }
    if (value != 0 && choice.special_count < SPECIALS_MAX)
        choice.specials[choice.special_count++] = (special){running.decisions - 1, value};
    return value;
}

/* ---- what is chosen by */

void choose_by_walk(xp_bounds bounds)
{
    choice.mode = MODE_WALK;
    choice.bounds = bounds;
    choice.node_count = 0;
    shared_forget();
}

void choose_by_bytes(const uint8_t *bytes, size_t count)
{
    choice.mode = MODE_BYTES;
    choice.bytes = bytes;
    choice.bytes_end = bytes + count;
    choice.until_switch = 0;
    choice.special_count = 0;
}

bool choose_by_text(const char *text)
{
    choice.mode = MODE_TEXT;
    choice.special_count = 0;
    unsigned at, value;
    int length;
    while (sscanf(text, "%u:%u%n", &at, &value, &length) == 2) {
        if (choice.special_count == SPECIALS_MAX)
            return false;
        choice.specials[choice.special_count++] = (special){at, value};
        text += length;
        text += *text == ',';
    }
    return true;
}

void choose_the_same(void)
{
    choice.mode = MODE_TEXT;
}

void choose_begin(void)
{
    running.decisions = 0;
    choice.special_next = 0;
    shared_next_execution();
    if (choice.mode == MODE_WALK) {
        choice.node_next = 0;
        choice.preemptions_left = choice.bounds.preemptions;
        choice.late_left = choice.bounds.late_stores;
        choice.special_count = 0;
    }
}

void choose_print(void)
{
    fputs("schedule: ", stderr);
    for (unsigned i = 0; i < choice.special_count; i++)
        fprintf(stderr, "%s%u:%u", i != 0 ? "," : "", choice.specials[i].at, choice.specials[i].value);
    fputs(choice.special_count == 0 ? "none\n" : "\n", stderr);
}

/* ---- walking */

bool walk_starts_over(void)
{
    if (choice.node_next < choice.node_count)
        xp_fail("an execution ended before its decisions", NULL);
    if (!shared_has_grown())
        return false;
    choice.node_count = 0;
    return true;
}

bool walk_is_over(void)
{
    while (choice.node_count != 0 &&
           choice.nodes[choice.node_count - 1].chosen + 1 >= choice.nodes[choice.node_count - 1].n)
        choice.node_count--;
    return choice.node_count == 0;
}

void walk_next(void)
{
    choice.nodes[choice.node_count - 1].chosen++;
}
