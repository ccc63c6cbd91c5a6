/* Taking regions from other threads' caches, and what is made of it where a thread only frees. */
#ifndef LG_STEAL_H
#define LG_STEAL_H

#include "../base/atomic.h"
#include "class.h"
#include "counters.h"
#include "deque.h"
#include "descriptor.h"
#include "thread.h"

/* Regions that one steal takes at most. */
#define LG_STEAL_MAX 64

/* Takes all regions from the top of any thread's cache, but at most `most` of LG_STEAL_MAX. Returns how many. */
LG_HIDDEN uint64_t lg_thread_drain(lg_thread *victim, lg_class *cls, uint64_t most, lg_descriptor **out_regions);

/* Takes regions of other threads' caches, at most `most` of LG_STEAL_MAX: half of each, all of one that only frees. `self`
 * may be NULL. Returns how many. */
LG_HIDDEN uint64_t lg_threads_steal(const lg_thread *self, lg_class *cls, uint64_t most, uint64_t *out_items);

/* A thread that only frees never takes again what it caches: others have to steal it. After so many steals in a row,
 * with frees and without an allocation in between, it passes its regions on when it has one more than so many: enough
 * for the way to the pool to be worth it. */
#define LG_ONLY_FREES 4
#define LG_ONLY_FREES_KEEPS 7
LG_INLINE bool lg_thread_only_frees(lg_thread *thread, lg_class *cls)
{
    return lg_load_relaxed_64(&lg_local_of(thread, cls)->steal_history.count) >= LG_ONLY_FREES;
}

/* By the owner, before it caches what it has freed: how many regions may be in the cache then. */
LG_INLINE uint64_t lg_thread_may_keep(lg_thread *self, lg_class *cls)
{
    lg_steal_history *history = &lg_local_of(self, cls)->steal_history;
    if (lg_load_relaxed_64(&history->taken) != lg_load_relaxed_64(&lg_bin_of(self, cls)->hot.allocations))
        lg_store_relaxed_64(&history->count, 0);
    return lg_thread_only_frees(self, cls) ? LG_ONLY_FREES_KEEPS : LG_DEQUE_ITEMS;
}

/* By a thief. A guess: two of them at the same time may count for one. */
LG_INLINE void lg_thread_note_steal(lg_thread *thread, lg_class *cls)
{
    const lg_hot_counters *hot = &lg_bin_of(thread, cls)->hot;
    lg_steal_history *history = &lg_local_of(thread, cls)->steal_history;
    uint64_t taken = lg_load_relaxed_64(&hot->allocations);
    uint64_t freed = lg_load_relaxed_64(&hot->deallocations);
    if (lg_load_relaxed_64(&history->taken) != taken)
        lg_store_relaxed_64(&history->count, 0);
    else if (lg_load_relaxed_64(&history->freed) != freed)
        lg_store_relaxed_64(&history->count, lg_load_relaxed_64(&history->count) + 1);
    lg_store_relaxed_64(&history->taken, taken);
    lg_store_relaxed_64(&history->freed, freed);
}

#endif
