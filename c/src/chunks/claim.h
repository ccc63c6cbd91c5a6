/*
 * The regions of whole chunks, together: whether all are free, claiming all of them, and what a chunk's descriptors say when
 * it loses its class and when it gets one. Under the arena's lock, by a caller who is in transit, but for lg_chunk_is_free().
 */
#ifndef LG_CLAIM_H
#define LG_CLAIM_H

#include "../base/base.h"
#include "../regions/class.h"

/* Whether all regions in a chunk (of the class; or the one that the chunk is a part of) are in the pools, a moment ago;
 * *out_held: how many of the chunk's bytes are dirty ones'. */
LG_HIDDEN bool lg_chunk_is_free(const lg_class *cls, uint64_t chunk, uint64_t *out_held);

/* Claims all of these regions from the pools, or none; *out_dirty: how many were dirty. */
LG_HIDDEN bool lg_supply_claim(lg_class *cls, uint64_t first, uint64_t count, uint64_t *out_dirty);

/* Regions [first, first + count) go to the pools that their states say. */
LG_HIDDEN void lg_supply_give(lg_class *cls, uint64_t first, uint64_t count);

/* Descriptors of regions that are no more are vacant. Returns the bytes of those that were dirty. */
LG_HIDDEN uint64_t lg_supply_vacate(lg_class *cls, uint64_t first, uint64_t count);
/* Chunks of a class, of whose regions the caller has claimed all, have no class any more. */
LG_HIDDEN void lg_supply_dissolve(lg_class *cls, uint64_t first_chunk, uint64_t count);

/* Before chunks get a class: makes its descriptors there usable. Returns 0 or an errno. */
LG_HIDDEN int lg_supply_extend(lg_class *cls, uint64_t first_chunk, uint64_t count);
/* Those that the class hasn't used yet come in at once; only a matter of speed. */
LG_HIDDEN void lg_supply_describe(lg_class *cls, uint64_t first_chunk, uint64_t count);
/* The first that a descriptor says of a region; `known`: of its memory, LG_BLOCKS_... */
LG_HIDDEN void lg_supply_set_region(lg_class *cls, uint64_t index, bool dirty, uint32_t known);
/* Chunks without a class get regions, dirty or clean, that are the caller's. */
LG_HIDDEN void lg_supply_found(lg_class *cls, uint64_t first_chunk, uint64_t count, bool dirty);

#endif
