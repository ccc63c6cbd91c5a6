/*
 * Regions in transit, and how to wait until there are none.
 *
 * Whoever moves regions between a cache and a pool, or clears them, holds them in no place where another
 * thread could find them. Usually that doesn't matter. It does before an allocation is refused: memory that
 * is on its way must not look like memory that isn't there. And it does at a fork: what vanished threads
 * held would be lost. So movers say when they start and end, and these two quiesce them for a moment.
 *
 * It is a reader-writer lock whose readers write nothing but a word of their own record: the mover stores its
 * word, then looks at `quiesced`; the other side stores `quiesced`, then looks at the words. As in the deque, the
 * rare side pays for the barrier between the frequent side's two steps.
 */
#ifndef LG_TRANSIT_H
#define LG_TRANSIT_H

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/die.h"
#include "../base/lock.h"
#include "thread.h"

extern LG_HIDDEN lg_a32 lg_movers_quiesced; /* 1 while they are quiesced */
extern LG_HIDDEN lg_a32 lg_movers_without_record;
extern LG_HIDDEN LG_THREAD_LOCAL bool lg_moves_without_record; /* the calling thread is one of them */
extern LG_HIDDEN lg_lock lg_quiesce_lock;                      /* held while movers are quiesced; for fork.c */

/* Says that the caller begins to move; false if movers are quiesced. */
LG_INLINE bool lg_transit_announce(lg_thread *self)
{
    if (LG_LIKELY(self != NULL)) {
        uint32_t word = lg_load_relaxed_32(&self->transit);
        LG_ASSERT(word % 2 == 0);
        lg_store_relaxed_32(&self->transit, word + 1);
        if (LG_UNLIKELY(lg_owners_fence()))
            lg_fence_seq_cst();
        else
            lg_fence_compiler(); /* Partner: the heavy barrier in lg_transit_quiesce() */
    } else {
        lg_moves_without_record = true; /* first: a signal handler that forks looks at it */
        lg_add_seq_cst_32(&lg_movers_without_record, 1);
    }
    /* Sequentially consistent for those without a record, where no heavy barrier helps; and so acquires what the one who
     * quiesced us last did to the pools. Partner: the stores in lg_transit_quiesce() and _resume(). */
    return lg_load_seq_cst_32(&lg_movers_quiesced) == 0;
}

/* After lg_transit_announce() said no: waits, unless it is the caller who has quiesced the others. */
LG_HIDDEN LG_COLD void lg_transit_wait(lg_thread *self);

LG_HIDDEN LG_COLD void lg_transit_leave_without_record(void);

/* Begins and ends moving. Not nested; with no lock held at the begin. `self` may be NULL. */
LG_INLINE void lg_transit_enter(lg_thread *self)
{
    if (LG_UNLIKELY(!lg_transit_announce(self)))
        lg_transit_wait(self);
}

LG_INLINE void lg_transit_leave(lg_thread *self)
{
    /* Release: whoever sees that we left sees where we put the regions. Partner: the acquires in
     * lg_transit_quiesce(). Without it an allocation could be refused with memory at hand. */
    if (LG_LIKELY(self != NULL))
        lg_store_release_32(&self->transit, lg_load_relaxed_32(&self->transit) + 1);
    else
        lg_transit_leave_without_record();
}

/* The first quiesces movers: it waits for those that are under way, and none begins until the second. The caller isn't
 * moving itself, and holds no lock of LG_RANK_QUIESCE or above. Between the two it alone may move; it says so all the
 * same. */
LG_HIDDEN void lg_transit_quiesce(void);
LG_HIDDEN void lg_transit_resume(void);

/* Whether the calling thread is moving: asked by a signal handler that forks. */
LG_HIDDEN bool lg_transit_inside(void);

/* In the child of a fork, before lg_transit_resume(): nobody else is there. */
LG_HIDDEN void lg_transit_forked(void);
/* In a child that starts over. */
LG_HIDDEN void lg_transit_abandon(void);

#endif
