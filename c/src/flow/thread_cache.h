/*
 * Taking and giving regions through the calling thread's cache: what the hot path (hot.h) leaves to
 * rarer days. The order of search: own cache, shared dirty pool, what other classes left warm, shared clean pool, other
 * threads' caches, other classes' chunks, a new mapping; and before an allocation is refused, again with movers quiesced, as long as others take or free.
 */
#ifndef LG_THREAD_CACHE_H
#define LG_THREAD_CACHE_H

#include "../base/atomic.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/thread.h"

/* Takes a charged free region, whose state says whether it is clean. For when the own cache is empty; `self`
 * may be NULL; `bytes` are what was asked for. Returns OK, OUT_OF_MEMORY, or IO with the errno in *out_error. */
LG_HIDDEN LG_WARM lgalloc_status lg_cache_refill(lg_thread *self, lg_class *cls, size_t bytes,
                                                 lg_descriptor **out_region, int *out_error);

/* The search's last part: again with movers quiesced, until a look finds a region or nobody has taken or freed any
 * meanwhile. Not in transit. OUT_OF_MEMORY with *out_no_room: the limit was in the way. */
LG_HIDDEN LG_COLD lgalloc_status lg_cache_search_alone(lg_thread *self, lg_class *cls, size_t bytes,
                                                       lg_descriptor **out_region, int *out_error, bool *out_no_room);

/* Gives and counts a region that the caller has just freed: to the own cache, or where that is full to the shared pool,
 * together with as much of the cache as lg_exchange_size() says, or all of it if the thread only frees. `self` may be
 * NULL. */
LG_HIDDEN LG_WARM void lg_cache_give(lg_thread *self, lg_class *cls, lg_descriptor *region);

/* The same by the region's address. */
LG_HIDDEN LG_WARM void lg_cache_give_address(void *ptr);

/* Gives a region whose disk blocks could not be reserved: it is cleared and goes to the shared pool. */
LG_HIDDEN LG_COLD void lg_cache_reject(lg_thread *self, lg_class *cls, lg_descriptor *region);

/* Empties all threads' caches of all size classes into the shared pools, and clears what is dirty there. */
LG_HIDDEN LG_COLD void lg_cache_clear_all(lg_thread *self);

/* Empties the calling thread's cache into the shared pools. */
LG_HIDDEN void lg_cache_flush(lg_thread *self);

/* The end of a thread: for lg_threads_init(). */
LG_HIDDEN void lg_cache_at_exit(void *record);

/* Allocations refused because of the limit, and whether the calling thread's last refusal was one of them. */
extern LG_HIDDEN lg_a64 lg_limit_failures;
extern LG_HIDDEN LG_THREAD_LOCAL bool lg_refused_by_limit;

#endif
