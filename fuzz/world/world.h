/*
 * What the explored library's regions are to everybody else: who owns each, whether it is mapped, whether it
 * holds memory. The clients allocate and free through here.
 *
 * The arena is 64 MiB, two chunks, so that classes are small: class 10 has one region, which takes both chunks; class 9
 * two, one in each; class 8 four, two in each, and so on.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "explorer/explore.h"
#include "fault.h"
#include "lgalloc.h"
#include "memory.h"
#include "system.h"

/* ---- for clients, by any logical thread */

/* Everything as it was when the process started, and the library brought up: enabled, anonymous memory. */
void world_reset(void);

/* Takes a region of a class. On failure the reason must be a good one; {dangling, 0} then. */
lgalloc_handle world_take(unsigned class_index);
/* The same by one part of the search alone: from the own cache, where that has one; by the last look before a refusal. */
lgalloc_handle world_take_cached(unsigned class_index);
lgalloc_handle world_take_last(unsigned class_index);
/* Frees any thread's region. */
void world_free(lgalloc_handle handle);
/* All that must be true while no thread runs. */
void world_check(void);
/* The same, and after a purge nothing is left. */
void world_check_end(void);

/* Puts options in force, and frees them. */
void world_apply(lgalloc_config *config);

/* Options of one execution; set after world_reset(). */
void world_cache_regions(unsigned class_index, unsigned regions); /* local_buffer_bytes, in regions of a class */
void world_limit(size_t bytes);
void world_use_fences(void); /* as on a system without membarrier */

void world_run(xp_program *program); /* fills in what every program has in common */

#endif
