/*
 * Addresses that more than one thread accesses, one of them writing. Only before those can it matter who goes
 * first; a walk starts over when another is found.
 */
#include "shared.h"

#include <string.h>

#define SLOTS 32768

typedef struct access {
    const void *at;
    uint64_t execution;       /* the last in which it was accessed */
    uint8_t readers, writers; /* in that: one bit for each thread */
    bool shared;
} access;

static access accesses[SLOTS]; /* hashed by address; never full, since executions are small */
static uint64_t execution = 1;
static unsigned count;
static bool grown;

static access *find(const void *at)
{
    size_t slot = ((uintptr_t)at >> 2) * 0x9e3779b97f4a7c15u >> 49;
    for (unsigned tries = 0; accesses[slot].at != NULL && accesses[slot].at != at; tries++) {
        if (tries == SLOTS)
            xp_fail("shared.c: too many addresses", NULL);
        slot = (slot + 1) % SLOTS;
    }
    accesses[slot].at = at;
    return &accesses[slot];
}

void shared_forget(void)
{
    memset(accesses, 0, sizeof(accesses));
    count = 0;
}

void shared_next_execution(void)
{
    execution++;
    grown = false;
}

void shared_note(const void *at, bool writes, unsigned thread)
{
    access *a = find(at);
    if (a->shared)
        return;
    if (a->execution != execution) {
        a->execution = execution;
        a->readers = a->writers = 0;
    }
    uint8_t bit = (uint8_t)(1u << thread);
    *(writes ? &a->writers : &a->readers) |= bit;
    uint8_t all = a->readers | a->writers;
    if (a->writers != 0 && (all & (all - 1)) != 0) {
        a->shared = true;
        grown = true;
        count++;
    }
}

bool shared_is(const void *at)
{
    return find(at)->shared;
}

bool shared_has_grown(void)
{
    return grown;
}

unsigned shared_count(void)
{
    return count;
}
