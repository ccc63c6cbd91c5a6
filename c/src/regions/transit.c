#include "transit.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/os.h"

lg_lock lg_quiesce_lock = LG_LOCK_INIT(LG_RANK_QUIESCE);
lg_a32 lg_movers_quiesced;
LG_CACHE_ALIGNED lg_a32 lg_movers_without_record;
LG_THREAD_LOCAL bool lg_moves_without_record;
static LG_THREAD_LOCAL bool is_quiescer; /* this thread has quiesced the others, and may move */

void lg_transit_wait(lg_thread *self)
{
    while (!is_quiescer) {
        lg_transit_leave(self);
        lg_lock_acquire(&lg_quiesce_lock);
        lg_lock_release(&lg_quiesce_lock);
        if (lg_transit_announce(self))
            return;
    }
}

void lg_transit_quiesce(void)
{
    lg_lock_acquire(&lg_quiesce_lock);
    lg_store_relaxed_32(&lg_movers_quiesced, 1); /* the barrier orders it, also for movers without a record */
    /* A mover that doesn't see that has stored its word before this barrier, so it is seen below. */
    lg_heavy_barrier();
    unsigned round = 0;
    LG_EACH_THREAD(thread)
        while (lg_load_acquire_32(&thread->transit) % 2 != 0)
            lg_os_pause(round++);
    while (lg_load_seq_cst_32(&lg_movers_without_record) != 0)
        lg_os_pause(round++);
    is_quiescer = true;
}

void lg_transit_resume(void)
{
    is_quiescer = false;
    lg_store_release_32(&lg_movers_quiesced, 0);
    lg_lock_release(&lg_quiesce_lock);
}

void lg_transit_leave_without_record(void)
{
    lg_sub_seq_cst_32(&lg_movers_without_record, 1);
    lg_moves_without_record = false;
}

bool lg_transit_inside(void)
{
    const lg_thread *self = lg_self();
    return lg_moves_without_record || (self != NULL && lg_load_relaxed_32(&self->transit) % 2 != 0);
}

void lg_transit_forked(void)
{
    lg_store_relaxed_32(&lg_movers_without_record, 0);
}

void lg_transit_abandon(void)
{
    is_quiescer = false;
    lg_moves_without_record = false;
    lg_store_relaxed_32(&lg_movers_without_record,
                        0); /* other threads wait until all is reset: see lg_child_notices() */
    lg_store_relaxed_32(&lg_movers_quiesced, 0);
}
