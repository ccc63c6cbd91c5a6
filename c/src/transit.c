#include "transit.h"

#include "lock.h"

static lg_lock room = LG_LOCK_INIT(LG_RANK_ROOM); /* held while movers are shut out */
static lg_a32 shut;
static lg_a32 movers_without_record;
static LG_THREAD_LOCAL bool is_shutter; /* this thread has shut the others out, and may move */

static void wait_until_admitted(void)
{
    lg_lock_acquire(&room);
    lg_lock_release(&room);
}

void lg_transit_enter(lg_thread *self)
{
    for (;;) {
        if (self != NULL) {
            uint32_t word = lg_load_relaxed_32(&self->transit);
            LG_ASSERT(word % 2 == 0);
            lg_store_relaxed_32(&self->transit, word + 1);
            if (LG_UNLIKELY(lg_owners_fence()))
                lg_fence_seq_cst();
            else
                lg_fence_compiler(); /* Partner: the heavy barrier in lg_transit_shut() */
        } else {
            lg_add_seq_cst_32(&movers_without_record, 1);
        }
        /* Sequentially consistent for those without a record, where no heavy barrier helps; and so acquires what the
         * one who shut us out last did to the pools. Partner: the stores in lg_transit_shut() and _admit(). */
        if (LG_LIKELY(lg_load_seq_cst_32(&shut) == 0) || is_shutter)
            return;
        lg_transit_leave(self);
        wait_until_admitted();
    }
}

void lg_transit_leave(lg_thread *self)
{
    /* Release: whoever sees that we left sees where we put the regions. Partner: the acquires in
     * lg_transit_shut(). Without it an allocation could be refused with memory at hand. */
    if (self != NULL)
        lg_store_release_32(&self->transit, lg_load_relaxed_32(&self->transit) + 1);
    else
        lg_sub_seq_cst_32(&movers_without_record, 1);
}

void lg_transit_shut(void)
{
    lg_lock_acquire(&room);
    lg_store_seq_cst_32(&shut, 1);
    /* A mover that doesn't see `shut` has stored its word before this barrier, so it is seen below. */
    lg_heavy_barrier();
    unsigned round = 0;
    uint32_t count = lg_threads_high();
    for (uint32_t id = 0; id < count; id++)
        while (lg_load_acquire_32(&lg_thread_at(id)->transit) % 2 != 0)
            lg_os_pause(round++);
    while (lg_load_seq_cst_32(&movers_without_record) != 0)
        lg_os_pause(round++);
    is_shutter = true;
}

void lg_transit_admit(void)
{
    is_shutter = false;
    lg_store_release_32(&shut, 0);
    lg_lock_release(&room);
}

void lg_transit_forked(void)
{
    lg_store_release_32(&movers_without_record, 0);
}
