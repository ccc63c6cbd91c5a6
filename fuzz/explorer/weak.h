/* What memory.c does with XP_WEAK, by a logical thread after its point: see weak.c. */
#ifndef FUZZ_EXPLORER_WEAK_H
#define FUZZ_EXPLORER_WEAK_H

#include "explore.h"

void weak_reset(void);
uint64_t weak_load(const void *at, unsigned size, enum xp_order order);
void weak_store(void *at, unsigned size, uint64_t value, enum xp_order order);
/* Read-modify-writes read the newest value: returns it. */
uint64_t weak_modify(void *at, unsigned size, uint64_t after, enum xp_order order);
/* Whether a compare-and-swap reads something else than it expects, which may be old. */
bool weak_compare_fails(void *at, unsigned size, uint64_t expected, uint64_t *out_found);
void weak_fence(void);
void weak_membarrier(void);
void weak_lock(const uint32_t *word, bool acquire);
/* The running thread knows of all that was done. */
void weak_know_all(void);
/* Whether somebody has read an old value since this was last asked. */
bool weak_refresh(void);
/* A step of the running thread; whether another knows of one. */
uint32_t weak_step(void);
bool weak_knows(unsigned reader, unsigned thread, uint32_t event);

#endif
