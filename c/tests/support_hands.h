/*
 * What the programs share in which threads take items at random, keep a few in their hands, pass them on, and drop what
 * others took. What an item is, the program says. Any thread may call these.
 */
#ifndef LGALLOC_TESTS_SUPPORT_HANDS_H
#define LGALLOC_TESTS_SUPPORT_HANDS_H

#include <stdatomic.h>

#include "support.h"

struct test_hands {
    void *(*take)(uint64_t *random);           /* NULL: there was none to be had */
    void (*drop)(void *item);                  /* not called for NULL */
    void (*look)(void *item, uint64_t random); /* at one that is held; may be NULL */
    void (*pause)(uint64_t random);            /* now and then instead of anything else; may be NULL */
    const atomic_bool *stop;                   /* no further step once it is set; may be NULL */
};

/* Makes so many steps, with random numbers from `random`, and drops what is in hands then. What was passed on and nobody
 * has taken stays where it is, for the next who comes by. */
void test_hands_work(const struct test_hands *hands, uint64_t *random, size_t steps);

/* Drops what was passed on and nobody has taken. */
void test_hands_clear(const struct test_hands *hands);

#endif
