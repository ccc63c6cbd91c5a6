/*
 * Regions in transit, and how to wait until there are none.
 *
 * Whoever moves regions between a cache and a pool, or clears them, holds them in no place where another
 * thread could find them. Usually that doesn't matter. It does before an allocation is refused: memory that
 * is on its way must not look like memory that isn't there. And it does at a fork: what vanished threads
 * held would be lost. So movers say when they start and end, and these two shut them out for a moment.
 *
 * It is a reader-writer lock whose readers write nothing but a word of their own record: the mover stores its
 * word, then looks at `shut`; the other side stores `shut`, then looks at the words. As in the deque, the
 * rare side pays for the barrier between the frequent side's two steps.
 */
#ifndef LG_TRANSIT_H
#define LG_TRANSIT_H

#include "thread.h"

/* Begins and ends moving. Not nested; with no lock held at the begin. `self` may be NULL. */
LG_HIDDEN void lg_transit_enter(lg_thread *self);
LG_HIDDEN void lg_transit_leave(lg_thread *self);

/* Shuts movers out and waits until none is under way; admits them again. The caller isn't moving itself, and
 * holds no lock of LG_RANK_ROOM or above. Between the two it alone may move; it says so all the same. */
LG_HIDDEN void lg_transit_shut(void);
LG_HIDDEN void lg_transit_admit(void);

/* In the child of a fork, before lg_transit_admit(): nobody else is there. */
LG_HIDDEN void lg_transit_forked(void);

#endif
