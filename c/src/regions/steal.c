#include "steal.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/die.h"
#include "class.h"
#include "deque.h"
#include "descriptor.h"

uint64_t lg_thread_drain(lg_thread *victim, lg_class *cls, uint64_t most, lg_descriptor **out_regions)
{
    uint64_t items[LG_STEAL_MAX];
    LG_ASSERT(most <= LG_STEAL_MAX);
    uint64_t n = lg_deque_steal(&lg_bin_of(victim, cls)->deque, lg_heavy_barrier, most, true, items);
    for (uint64_t i = 0; i < n; i++)
        out_regions[i] = lg_item_descriptor(items[i]);
    return n;
}

/* Victims whose tops are locked at the same time, so that one barrier serves for all. */
#define VICTIMS 8

uint64_t lg_threads_steal(const lg_thread *self, lg_class *cls, uint64_t most, uint64_t *out_items)
{
    LG_ASSERT(most <= LG_STEAL_MAX);
    uint64_t got = 0;
    /* With a barrier that takes a millisecond a steal is slower than new memory. What is cached still comes back by
     * draining: before an allocation is refused, by purges and by the worker. */
    uint32_t count = lg_barrier_is_slow() ? 0 : lg_threads_high();
    for (uint32_t id = 0; got == 0 && id < count;) {
        lg_deque *locked[VICTIMS];
        uint64_t tops[VICTIMS];
        bool all[VICTIMS];
        unsigned victims = 0;
        for (uint64_t hope = 0; id < count && victims < VICTIMS && hope < most; id++) {
            lg_thread *thread = lg_thread_at(id);
            lg_deque *deque = &lg_bin_of(thread, cls)->deque;
            if (thread == self || !lg_deque_lock(deque, &tops[victims]))
                continue;
            locked[victims] = deque;
            lg_thread_note_steal(thread, cls);
            all[victims] = lg_thread_only_frees(thread, cls);
            if (all[victims])
                lg_store_relaxed_64(&deque->space, 0); /* its next free looks what is said of it, or the one after */
            uint64_t there = lg_deque_count(deque);
            hope += all[victims++] ? there : (there + 1) / 2;
        }
        if (victims != 0)
            lg_heavy_barrier(); /* Partner: the fence in lg_deque_pop() */
        for (unsigned i = 0; i < victims; i++)
            got += lg_deque_take(locked[i], tops[i], most - got, all[i], out_items + got);
    }
    return got;
}
