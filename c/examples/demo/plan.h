/*
 * What a run needs, and whether it is there.
 */
#ifndef DEMO_PLAN_H
#define DEMO_PLAN_H

#include "room.h"

#include "lgalloc.h"

#include <stdbool.h>
#include <stddef.h>

struct plan {
    size_t memory; /* bytes needed, of both processes together */
    size_t disk;   /* for lgalloc's files; 0: there are none */
    size_t limit;  /* lgalloc's limit_bytes; 0: none is needed */
    bool limit_asked_for;
    struct room memory_room;
    struct room disk_room;
};

/*
 * For sorting `bytes` of words with so many sorting threads; `limit`: as the user wants it, 0: not at all. What does not
 * fit is false, with one line, owned by the caller, that says so; NULL where there is no memory for that.
 */
bool plan_make(size_t bytes, unsigned threads, lgalloc_backing backing, const char *path, size_t limit,
               struct plan *out_plan, char **out_problem);

/* What the sort of so many bytes has in regions at most; SIZE_MAX: more than there are addresses. */
size_t plan_regions(size_t bytes);

void plan_print(const struct plan *plan);

#endif
