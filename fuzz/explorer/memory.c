#include "memory.h"

#include <string.h>

#include "choose.h"
#include "common.h"
#include "plain.h"
#include "schedule.h"
#include "weak.h"

#define BUFFER 64

typedef struct pending {
    void *at;
    uint64_t value;
    uint64_t number;
    unsigned size;
    bool release;
} pending;

typedef struct buffer {
    pending stores[BUFFER]; /* oldest first */
    unsigned count;
    uint64_t stored; /* stores so far */
    bool flushing;
} buffer;

static buffer buffers[XP_THREADS + 1];

void memory_reset(void)
{
    for (unsigned t = 0; t <= XP_THREADS; t++) {
        buffers[t].count = 0;
        buffers[t].flushing = false;
    }
    weak_reset();
}

static void meet_others(const void *at, unsigned thread);

/* Makes one store visible, and before it what must be: older ones to the same address, with XP_TSO all older
 * ones, and all that a release store must not overtake. */
static void flush_one(unsigned thread, unsigned index)
{
    buffer *b = &buffers[thread];
    bool before_all = memory_model() == XP_TSO || b->stores[index].release;
    for (unsigned i = 0; i < index;) {
        if (before_all || b->stores[i].at == b->stores[index].at) {
            unsigned count = b->count;
            flush_one(thread, i);
            index -= count - b->count;
            i = 0;
        } else {
            i++;
        }
    }
    pending p = b->stores[index];
    memmove(&b->stores[index], &b->stores[index + 1], (b->count - index - 1) * sizeof(pending));
    b->count--;
    b->flushing = true;
    meet_others(p.at, thread);
    b->flushing = false;
    trace_line("  becomes visible", p.at, p.value, true);
    memory_write(p.at, p.size, p.value);
}

/* `thread` is about to access `at` in memory: which of the others' pending stores to it come before? */
static void meet_others(const void *at, unsigned thread)
{
    for (unsigned t = 0; t < XP_THREADS; t++) {
        buffer *b = &buffers[t];
        if (t == thread || b->flushing || b->count == 0)
            continue;
        unsigned found = 0;
        for (unsigned i = 0; i < b->count; i++)
            found += b->stores[i].at == at;
        if (found == 0)
            continue;
        unsigned visible = found - decide(DECIDE_LATE, found + 1);
        while (visible-- != 0)
            for (unsigned i = 0; i < b->count; i++)
                if (b->stores[i].at == at) {
                    flush_one(t, i);
                    break;
                }
    }
}

bool drain(unsigned thread)
{
    if (memory_model() == XP_WEAK) {
        bool old = weak_refresh();
        if (old)
            note_progress(); /* whoever waits may read something newer */
        return old;
    }
    bool any = buffers[thread].count != 0;
    while (buffers[thread].count != 0)
        flush_one(thread, 0);
    return any;
}

/* Own stores to one address, for accesses that don't drain all. */
static void drain_address(unsigned thread, const void *at)
{
    buffer *b = &buffers[thread];
    for (unsigned i = 0; i < b->count;) {
        if (b->stores[i].at == at) {
            flush_one(thread, i);
            i = 0;
        } else {
            i++;
        }
    }
}

uint64_t xp_last_store(void)
{
    if (running_thread() != XP_MAIN && memory_model() == XP_WEAK)
        return weak_step();
    return buffers[running_thread()].stored;
}

bool xp_is_visible(unsigned thread, uint64_t store, unsigned reader)
{
    unsigned self = running_thread();
    if (thread == reader)
        return true;
    if (memory_model() == XP_WEAK)
        return thread == XP_MAIN || reader == XP_MAIN || self == XP_MAIN ||
               weak_knows(reader, thread, (uint32_t)store) || weak_knows(self, thread, (uint32_t)store);
    for (unsigned i = 0; i < buffers[thread].count; i++)
        if (buffers[thread].stores[i].number == store)
            return false;
    return true;
}

/* ---- operations */

uint64_t xp_load(const void *at, unsigned size, enum xp_order order)
{
    unsigned self = running_thread();
    if (self != XP_MAIN) {
        point_before(at);
        note_access(at, false);
        if (memory_model() == XP_WEAK) {
            uint64_t value = weak_load(at, size, order);
            trace_line("load", at, value, true);
            return value;
        }
        const buffer *b = &buffers[self];
        for (unsigned i = b->count; i-- > 0;)
            if (b->stores[i].at == at) {
                trace_line("load (own store)", at, b->stores[i].value, true);
                return b->stores[i].value;
            }
        meet_others(at, self);
    }
    uint64_t value = memory_read(at, size);
    trace_line("load", at, value, true);
    return value;
}

void xp_store(void *at, unsigned size, uint64_t value, enum xp_order order)
{
    unsigned self = running_thread();
    if (self == XP_MAIN) {
        memory_write(at, size, value);
        return;
    }
    point_before(at);
    note_access(at, true);
    if (memory_model() == XP_WEAK) {
        trace_line(order == XP_RELAXED   ? "store"
                   : order == XP_RELEASE ? "store release"
                                         : "store seq_cst",
                   at, value, true);
        weak_store(at, size, value, order);
        return;
    }
    if (order == XP_SEQ_CST) {
        drain(self);
        meet_others(at, self);
        trace_line("store seq_cst", at, value, true);
        memory_write(at, size, value);
        return;
    }
    buffer *b = &buffers[self];
    if (b->count == BUFFER)
        flush_one(self, 0);
    trace_line(order == XP_RELEASE ? "store release" : "store", at, value, true);
    b->stores[b->count++] = (pending){at, value, ++b->stored, size, order == XP_RELEASE};
}

/* Before a read-modify-write. */
static void settle(void *at, enum xp_order order)
{
    unsigned self = running_thread();
    if (self == XP_MAIN)
        return;
    point_before(at);
    note_access(at, true);
    if (memory_model() == XP_WEAK)
        return;
    if (order == XP_SEQ_CST || memory_model() == XP_TSO)
        drain(self);
    else
        drain_address(self, at);
    meet_others(at, self);
}

uint64_t xp_modify(void *at, unsigned size, enum xp_operation operation, uint64_t operand, enum xp_order order)
{
    settle(at, order);
    uint64_t before = memory_read(at, size);
    uint64_t after = before;
    const char *what = "";
    switch (operation) {
    case XP_ADD:
        after = before + operand;
        what = "add";
        break;
    case XP_SUB:
        after = before - operand;
        what = "sub";
        break;
    case XP_OR:
        after = before | operand;
        what = "or";
        break;
    case XP_AND:
        after = before & operand;
        what = "and";
        break;
    }
    trace_line(what, at, after, true);
    if (running_thread() != XP_MAIN && memory_model() == XP_WEAK)
        return weak_modify(at, size, after, order);
    memory_write(at, size, after);
    return before;
}

bool xp_compare_exchange(void *at, unsigned size, uint64_t *expected, uint64_t desired, enum xp_order order)
{
    settle(at, order);
    if (running_thread() != XP_MAIN && memory_model() == XP_WEAK) {
        uint64_t found;
        if (weak_compare_fails(at, size, size == 4 ? (uint32_t)*expected : *expected, &found)) {
            trace_line("compare-exchange fails", at, found, true);
            *expected = found;
            return false;
        }
        trace_line("compare-exchange", at, desired, true);
        (void)weak_modify(at, size, desired, order);
        return true;
    }
    uint64_t now = memory_read(at, size);
    bool same = now == (size == 4 ? (uint32_t)*expected : *expected);
    *expected = now;
    trace_line(same ? "compare-exchange" : "compare-exchange fails", at, same ? desired : now, true);
    if (same)
        memory_write(at, size, desired);
    return same;
}

void xp_fence(void)
{
    unsigned self = running_thread();
    if (self == XP_MAIN)
        return;
    trace_line("fence", NULL, 0, false);
    if (memory_model() == XP_WEAK) {
        weak_fence();
        return;
    }
    drain(self);
}

void xp_membarrier(void)
{
    unsigned self = running_thread();
    if (self == XP_MAIN)
        return;
    point_before(NULL);
    trace_line("membarrier", NULL, 0, false);
    if (memory_model() == XP_WEAK) {
        weak_membarrier();
        return;
    }
    drain(self);
    /* Each thread makes its barrier at a moment of its own during the call. */
    for (unsigned t = 0; t < XP_THREADS; t++)
        if (t != self && buffers[t].count != 0) {
            drain(t);
            point_before(NULL);
        }
}

/* ---- locks */

/* A lock is taken or released, by a logical thread. */
static void order_by_lock(const uint32_t *word, bool acquire)
{
    if (memory_model() == XP_WEAK)
        weak_lock(word, acquire);
    else
        drain(running_thread());
}

void xp_lock(uint32_t *word)
{
    if (running_thread() != XP_MAIN) {
        point_before(word);
        note_access(word, true);
        schedule_await(word);
        order_by_lock(word, true);
        trace_line("lock", word, 0, false);
    } else if (*word != 0) {
        xp_fail("a lock is held at the end, or taken twice", NULL);
    }
    *word = running_thread() + 1;
}

void xp_unlock(uint32_t *word)
{
    if (*word != running_thread() + 1)
        xp_fail("a lock is released that the thread doesn't hold", NULL);
    if (running_thread() != XP_MAIN) {
        note_access(word, true);
        order_by_lock(word, false);
        trace_line("unlock", word, 0, false);
    }
    *word = 0;
    /* No progress: what a waiting thread waits for is written by then, and two that take a lock to look at it would wake each
     * other for ever. */
}

void xp_vanish_others(void)
{
    for (unsigned t = 0; t < running.program->threads; t++)
        if (t != running_thread()) {
            drain(t);
            schedule_vanish(t);
        }
    if (memory_model() == XP_WEAK)
        weak_know_all();
}
