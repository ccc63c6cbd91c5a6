/*
 * Evicting sealed regions, to make room below limit_bytes, and loading them again. None of these is called in transit or
 * with a lock held. `self` is the calling thread's record or NULL.
 */
#ifndef LG_EVICT_H
#define LG_EVICT_H

#include "../base/atomic.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/thread.h"

/* Charges `bytes`: clears what is dirty as lg_reclaim_room() does, then evicts as much as it takes. Waits for evictions that
 * others have under way, and for nothing else. False: all else is in use, or pinned, or can't be evicted. */
LG_HIDDEN LG_MUST_USE bool lg_make_room(lg_thread *self, uint64_t bytes);

/* Evicts the next region whose turn it is. Returns its bytes; 0: there is none, or it can't be evicted. */
LG_HIDDEN uint64_t lg_evict_next(lg_thread *self);

/* Evicts this one. Returns 0, also where it is out already or not sealed any more, or an errno; EBUSY: it is pinned. */
LG_HIDDEN int lg_evict_one(lg_thread *self, lg_class *cls, uint64_t index);

/* Loads a region that the caller has claimed for that, and pins it so many times. Returns OK, OUT_OF_MEMORY, IO with
 * *out_error, INVALID_ARGUMENT where it was freed meanwhile. */
LG_HIDDEN lgalloc_status lg_load(lg_thread *self, lg_class *cls, uint64_t index, uint64_t pins, int *out_error);

/* Loads it if it is evicted; for a thread that does that for others. What comes of it is no error. */
LG_HIDDEN void lg_load_ahead(lg_thread *self, lg_class *cls, uint64_t index);

/* Frees a region that lg_seal_take() took from it. `evicted`: it has no memory. True: it is the caller's now, dirty, and to
 * be given where he wants it, and counted. False: all is done. */
LG_HIDDEN bool lg_seal_free_taken(lg_thread *self, lg_class *cls, uint64_t index, bool evicted);

/* A region that lg_seal_take() took gives up its place on disk. */
LG_HIDDEN void lg_evict_give_up_place(lg_descriptor *region);

/* Frees those of which the guard could not be taken away when they were freed. */
LG_HIDDEN void lg_evict_sweep(lg_thread *self);

/* For load.c. The calling thread evicts, or loads what nobody pins; and is done. */
LG_HIDDEN void lg_evict_begins(void);
LG_HIDDEN void lg_evict_ends(void);
/* Finishes the free of a region that is the caller's, with or without its memory. */
LG_HIDDEN void lg_evict_free(lg_thread *self, lg_class *cls, uint64_t index, bool evicted);

extern LG_HIDDEN lg_a64 lg_evictions;
extern LG_HIDDEN lg_a64 lg_loads;
extern LG_HIDDEN lg_a64 lg_spill_failures;

/* Of a child of a fork: nothing is under way there. */
LG_HIDDEN void lg_evict_forked(void);

#endif
