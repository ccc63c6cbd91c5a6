#include "transit.h"

#include "lock.h"

static lg_lock room = LG_LOCK_INIT(LG_RANK_ROOM); /* held while movers are shut out */
lg_a32 lg_movers_shut;
LG_CACHE_ALIGNED lg_a32 lg_movers_without_record;
static LG_THREAD_LOCAL bool is_shutter; /* this thread has shut the others out, and may move */

void lg_transit_wait(lg_thread *self)
{
    while (!is_shutter) {
        lg_transit_leave(self);
        lg_lock_acquire(&room);
        lg_lock_release(&room);
        if (lg_transit_announce(self))
            return;
    }
}

void lg_transit_shut(void)
{
    lg_lock_acquire(&room);
    lg_store_seq_cst_32(&lg_movers_shut, 1);
    /* A mover that doesn't see that has stored its word before this barrier, so it is seen below. */
    lg_heavy_barrier();
    unsigned round = 0;
    uint32_t count = lg_threads_high();
    for (uint32_t id = 0; id < count; id++)
        while (lg_load_acquire_32(&lg_thread_at(id)->transit) % 2 != 0)
            lg_os_pause(round++);
    while (lg_load_seq_cst_32(&lg_movers_without_record) != 0)
        lg_os_pause(round++);
    is_shutter = true;
}

void lg_transit_admit(void)
{
    is_shutter = false;
    lg_store_release_32(&lg_movers_shut, 0);
    lg_lock_release(&room);
}

void lg_transit_forked(void)
{
    lg_store_release_32(&lg_movers_without_record, 0);
}
