/*
 * Giving memory back: clearing dirty regions, draining caches, releasing chunks. The worker, purges, full
 * caches and allocations that meet the limit all come here. None of these may be called in transit or with a
 * lock held, unless the text says otherwise.
 */
#ifndef LG_RECLAIM_H
#define LG_RECLAIM_H

#include "../regions/bitmap.h"
#include "../regions/class.h"
#include "../regions/thread.h"

/* Clears dirty regions that are the caller's, who is in transit. They go to the pools: clean and discharged, or
 * dirty where clearing failed. `eager` says which counter counts them. Returns the bytes cleared. */
LG_HIDDEN uint64_t lg_reclaim_batch(lg_thread *self, lg_class *cls, lg_batch batch, bool eager);

/* Clears what is in a class's dirty pool, up to so many regions and bytes (one region at least). `patient`
 * leaves areas alone where clearing failed not long ago. Returns the bytes cleared. */
LG_HIDDEN uint64_t lg_reclaim_dirty(lg_thread *self, lg_class *cls, uint64_t most_regions, uint64_t most_bytes,
                                    bool patient);

/* What is in a thread's cache of a class goes to the pools; any thread's. */
LG_HIDDEN void lg_reclaim_cache(lg_thread *self, lg_thread *victim, lg_class *cls);
/* The same for all threads. */
LG_HIDDEN void lg_reclaim_caches(lg_thread *self, lg_class *cls);

/* Releases chunks without a region in use. Returns the dirty bytes among them. */
LG_HIDDEN uint64_t lg_reclaim_chunks(lg_thread *self, lg_class *cls);

/* Counts a tick in which chunks were free or were not, and releases those that were for `ticks` ticks; 0: none. */
LG_HIDDEN void lg_reclaim_idle_chunks(lg_thread *self, lg_class *cls, uint64_t ticks);

/* Charges `bytes`, clearing as much as it takes: pools first, then caches. False: there is no room. */
LG_HIDDEN LG_MUST_USE bool lg_reclaim_room(lg_thread *self, uint64_t bytes);

/* After limit_bytes was lowered: clears as much as is above it, pools first, then caches. */
LG_HIDDEN void lg_reclaim_excess(lg_thread *self);

/* So many bytes for a class have been taken cold: as much of what is idle elsewhere, and is more than may be, is cleared. */
LG_HIDDEN void lg_reclaim_grown(lg_thread *self, lg_class *cls, uint64_t grown);

/* Everything: lgalloc_purge(). */
LG_HIDDEN uint64_t lg_reclaim_all(lg_thread *self);

#endif
