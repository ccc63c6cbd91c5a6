/* Chunks that nobody has a region in are given back whole: their memory, their disk blocks, their addresses. */
#ifndef LG_RELEASE_H
#define LG_RELEASE_H

#include "../regions/class.h"

/* Gives back chunks [first, first + count) of a class, whole regions, if all their regions are free, whatever they hold.
 * The caller is in transit. Returns whether that was so; *out_dirty_bytes says how many of their bytes were dirty, and is 0
 * otherwise. Takes the arena's lock. */
LG_HIDDEN bool lg_chunks_release(lg_class *cls, uint64_t first, uint64_t count, uint64_t *out_dirty_bytes);

/* A tick of the worker counts as idle for those chunks of a class that are free, and begins anew for the others. Takes the
 * arena's lock. */
LG_HIDDEN void lg_chunks_tick(lg_class *cls);

/* The first run of a class's chunks from `chunk` on that were idle for so many ticks in a row, which counts anew for them.
 * Takes the arena's lock. */
LG_HIDDEN bool lg_chunks_find_idle(lg_class *cls, uint64_t chunk, uint64_t ticks, uint64_t *out_first,
                                   uint64_t *out_count);

/* The first run of free chunks of a class from `chunk` on. Takes the arena's lock. */
LG_HIDDEN bool lg_chunks_find_free(lg_class *cls, uint64_t chunk, uint64_t *out_first, uint64_t *out_count);

/* Child of a fork, after the caches were drained: chunks on files become LOST where regions were in use, else go; files are
 * closed. Regions that vanished threads held in their hands return to the pools. Returns the charge of what is left of this
 * class, and sets `lost` so that `in_use` (allocations less deallocations, before) comes out right. */
LG_HIDDEN uint64_t lg_chunks_forked(lg_class *cls, uint64_t in_use);

#endif
