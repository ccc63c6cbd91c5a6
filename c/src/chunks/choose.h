/*
 * Which chunks of other classes a class gets: for one of a chunk or less the chunk that holds most; for a larger one the
 * aligned run that does, of chunks of whatever classes, together with unmapped ones. The lowest of equals.
 *
 * A chunk that leaves free neighbours together was tried as well: large classes found aligned runs no more often.
 */
#ifndef LG_CHOOSE_H
#define LG_CHOOSE_H

#include "../base/base.h"
#include "../regions/class.h"
#include "chunk.h"

typedef struct lg_choice {
    uint64_t first;  /* chunk */
    uint64_t held;   /* bytes that hold memory */
    uint64_t mapped; /* chunks */
    enum lg_area_kind kind;
} lg_choice;

/* `held`: among those that hold memory; else among those that hold none. False: there are none. A guess without the
 * arena's lock; and a guess as long as they aren't claimed, since others may take regions there. */
LG_HIDDEN bool lg_choose(lg_class *cls, bool held, lg_choice *out);

#endif
