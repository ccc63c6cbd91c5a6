/*
 * Where a class gets memory when its pools have none: chunks of other classes, and new mappings.
 *
 * A chunk of another class whose regions are all free changes its class, with what it holds: no system call, no page
 * fault. That they are free is proven by claiming all of them from the old class's pools; if one is missing, the rest
 * goes back. A large class takes aligned runs of chunks, of whatever classes, together with unmapped ones in between.
 * What is left of a large region that isn't taken whole becomes regions of one chunk each.
 *
 * All of it is under the arena's lock, and the caller is in transit. Regions [first, first + count) are the caller's then,
 * in no pool; dirty ones are charged, clean ones aren't.
 */
#ifndef LG_SUPPLY_H
#define LG_SUPPLY_H

#include "../base/base.h"
#include "../regions/class.h"

/* Not an errno: there is no room in the arena. */
#define LG_EXHAUSTED (-1)

/* `bytes`: what was asked for; memory that a larger region gets with what it holds goes where that ends, since others will
 * ask for as much. `held`: from chunks that hold memory; else from those that are clean. *hand: bytes that the caller has charged, which
 * may serve here for what becomes dirty together with what was; less is left of it then. False: there are none, or
 * limit_bytes forbids it. */
LG_HIDDEN bool lg_supply_changed(lg_class *cls, size_t bytes, bool held, uint64_t *hand, uint64_t *out_first,
                                 uint64_t *out_count);

/* A guess, without the lock: whether lg_supply_changed() would find chunks that hold memory. */
LG_HIDDEN bool lg_supply_might(lg_class *cls);

/* From a new mapping. Returns 0, an errno, or LG_EXHAUSTED. */
LG_HIDDEN int lg_supply_mapped(lg_class *cls, uint64_t *out_first, uint64_t *out_count);

#endif
