/*
 * Memory as C11 describes it, without store buffers: each place keeps all values that it had, and a load may return any that
 * nothing forbids. A store is forbidden once the reader knows of a later one: since that happened before the load, or since
 * it has read that one, or somebody has whose reading happened before, or by the order of what is sequentially consistent.
 *
 * What happened before is kept in clocks: for each thread, how many of another's steps it knows of. A release store carries
 * its thread's clock, and who acquires from it, or from a read-modify-write that followed it, takes that over. Not covered:
 * a store that is overtaken by one which is made later (what others see of it is), and loads of what is stored later.
 */
#include "weak.h"

#include "choose.h"
#include "common.h"
#include "plain.h"
#include "schedule.h"

#include <string.h>

#define PLACES 8192
#define STORES 32768
#define READS 32768
#define NONE UINT32_MAX

typedef struct clock {
    uint32_t of[XP_THREADS];
} clock;

typedef struct store {
    uint64_t value;
    clock carries;
    uint32_t older;  /* of the same place; NONE: the first */
    uint32_t number; /* in the place */
    uint32_t event;  /* 0 with the first, which everybody knows of */
    uint32_t rank;   /* among all sequentially consistent stores, from 1 on; 0: it isn't one */
    uint8_t thread;
} store;

/* The first reading of a store, or of a later one, by a thread. */
typedef struct reading {
    uint32_t older;
    uint32_t number, event;
    uint8_t thread;
} reading;

typedef struct place {
    const void *at;
    uint64_t execution;
    uint32_t newest; /* store */
    uint32_t latest; /* reading */
    clock lock;      /* of who released it last, if it is a lock */
} place;

static place places[PLACES]; /* hashed by address */
static store stores[STORES];
static reading readings[READS];
static uint64_t execution;
static uint32_t store_count, reading_count, ranks;
static bool stale; /* an old value was read since somebody last waited */

static struct {
    clock knows;
    clock read;          /* what relaxed loads have brought, which counts after a fence */
    clock fenced;        /* what it knew at its last fence: what its relaxed stores carry */
    uint32_t fence_rank; /* stores of up to this rank came before its last fence */
    bool stored;         /* since then */
} threads[XP_THREADS];
static clock last_fences; /* of all threads, in their order */

static void join(clock *to, const clock *from)
{
    for (unsigned t = 0; t < XP_THREADS; t++)
        if (to->of[t] < from->of[t])
            to->of[t] = from->of[t];
}

void weak_reset(void)
{
    execution++;
    store_count = reading_count = ranks = 0;
    stale = false;
    memset(threads, 0, sizeof(threads));
    memset(&last_fences, 0, sizeof(last_fences));
}

static uint32_t step(unsigned self)
{
    return ++threads[self].knows.of[self];
}

static store *add_store(place *p, uint64_t value)
{
    if (store_count == STORES)
        xp_fail("explore_weak.c: too many stores", NULL);
    store *s = &stores[store_count];
    *s = (store){.value = value, .older = p->newest, .number = p->newest == NONE ? 0 : stores[p->newest].number + 1};
    p->newest = store_count++;
    return s;
}

static place *find(const void *at, unsigned size)
{
    size_t slot = ((uintptr_t)at >> 2) * 0x9e3779b97f4a7c15u >> 51;
    for (unsigned tries = 0; places[slot].execution == execution && places[slot].at != at; tries++) {
        if (tries == PLACES)
            xp_fail("explore_weak.c: too many places", NULL);
        slot = (slot + 1) % PLACES;
    }
    place *p = &places[slot];
    if (p->execution != execution) {
        *p = (place){.at = at, .execution = execution, .newest = NONE, .latest = NONE};
        (void)add_store(p, memory_read(at, size));
    }
    return p;
}

static bool knows(const clock *clock, unsigned thread, uint32_t event)
{
    return clock->of[thread] >= event;
}

/* The number of the oldest store that a load may return. */
static uint32_t oldest_for(unsigned self, const place *p, bool seq_cst)
{
    uint32_t oldest = 0;
    for (uint32_t i = p->newest; i != NONE && oldest == 0; i = stores[i].older) {
        const store *s = &stores[i];
        if (s->event == 0 || knows(&threads[self].knows, s->thread, s->event) ||
            (s->rank != 0 && (seq_cst || s->rank <= threads[self].fence_rank)) ||
            (seq_cst && knows(&last_fences, s->thread, s->event)))
            oldest = s->number;
    }
    for (uint32_t i = p->latest; i != NONE; i = readings[i].older)
        if (readings[i].number > oldest && knows(&threads[self].knows, readings[i].thread, readings[i].event))
            oldest = readings[i].number;
    return oldest;
}

static void note_reading(unsigned self, place *p, const store *s)
{
    uint32_t event = step(self);
    for (uint32_t i = p->latest; i != NONE; i = readings[i].older)
        if (readings[i].thread == self && readings[i].number >= s->number)
            return;
    if (reading_count == READS)
        xp_fail("explore_weak.c: too many readings", NULL);
    readings[reading_count] = (reading){p->latest, s->number, event, (uint8_t)self};
    p->latest = reading_count++;
}

static void take_over(unsigned self, const store *s, enum xp_order order)
{
    join(order == XP_ACQUIRE || order == XP_SEQ_CST ? &threads[self].knows : &threads[self].read, &s->carries);
}

uint64_t weak_load(const void *at, unsigned size, enum xp_order order)
{
    unsigned self = running_thread();
    place *p = find(at, size);
    uint32_t oldest = oldest_for(self, p, order == XP_SEQ_CST);
    const store *s = &stores[p->newest];
    unsigned n = s->number - oldest + 1;
    unsigned age = n > 1 ? decide(DECIDE_LATE, n < 200 ? n : 200) : 0;
    stale = stale || age != 0;
    while (age-- != 0)
        s = &stores[s->older];
    note_reading(self, p, s);
    take_over(self, s, order);
    return s->value;
}

static void put(unsigned self, place *p, uint64_t value, enum xp_order order, const clock *carried)
{
    uint32_t event = step(self);
    store *s = add_store(p, value);
    s->thread = (uint8_t)self;
    s->event = event;
    s->rank = order == XP_SEQ_CST ? ++ranks : 0;
    s->carries = order == XP_RELEASE || order == XP_SEQ_CST ? threads[self].knows : threads[self].fenced;
    if (carried != NULL)
        join(&s->carries, carried);
    threads[self].stored = true;
}

void weak_store(void *at, unsigned size, uint64_t value, enum xp_order order)
{
    put(running_thread(), find(at, size), value, order, NULL);
    memory_write(at, size, value);
}

uint64_t weak_modify(void *at, unsigned size, uint64_t after, enum xp_order order)
{
    unsigned self = running_thread();
    place *p = find(at, size);
    store before = stores[p->newest];
    note_reading(self, p, &before);
    take_over(self, &before, order);
    put(self, p, after, order, &before.carries);
    memory_write(at, size, after);
    return before.value;
}

bool weak_compare_fails(void *at, unsigned size, uint64_t expected, uint64_t *out_found)
{
    unsigned self = running_thread();
    place *p = find(at, size);
    uint32_t oldest = oldest_for(self, p, false);
    const store *found = &stores[p->newest];
    bool same = found->value == expected;
    unsigned n = 1;
    for (const store *s = found; s->number > oldest;) {
        s = &stores[s->older];
        n += s->value != expected;
    }
    unsigned age = n > 1 ? decide(DECIDE_LATE, n) : 0;
    stale = stale || age != 0;
    if (age == 0 && same)
        return false;
    while (age != 0) {
        found = &stores[found->older];
        age -= found->value != expected;
    }
    note_reading(self, p, found);
    take_over(self, found, XP_RELAXED);
    *out_found = found->value;
    return true;
}

static void fence(unsigned thread)
{
    (void)step(thread);
    join(&threads[thread].knows, &threads[thread].read);
    join(&threads[thread].knows, &last_fences);
    last_fences = threads[thread].fenced = threads[thread].knows;
    threads[thread].fence_rank = ranks;
    threads[thread].stored = false;
}

void weak_fence(void)
{
    fence(running_thread());
}

void weak_membarrier(void)
{
    unsigned self = running_thread();
    fence(self);
    for (unsigned t = 0; t < XP_THREADS; t++)
        if (t != self) {
            bool stored = threads[t].stored;
            fence(t);
            if (stored)
                point_before(NULL);
        }
    fence(self);
}

void weak_lock(const uint32_t *word, bool acquire)
{
    unsigned self = running_thread();
    place *p = find(word, sizeof(*word));
    (void)step(self);
    if (acquire)
        join(&threads[self].knows, &p->lock);
    else
        p->lock = threads[self].knows;
}

void weak_know_all(void)
{
    for (unsigned t = 0; t < XP_THREADS; t++)
        threads[running_thread()].knows.of[t] = threads[t].knows.of[t];
    execution++; /* what was in memory before is forgotten; some of it is written anew by what is not atomic */
}

bool weak_refresh(void)
{
    bool was = stale;
    stale = false;
    return was;
}

uint32_t weak_step(void)
{
    return step(running_thread());
}

bool weak_knows(unsigned reader, unsigned thread, uint32_t event)
{
    return knows(&threads[reader].knows, thread, event);
}
