/* Bringing the allocator up, at the first use. */
#ifndef LG_INIT_H
#define LG_INIT_H

#include "atomic.h"

extern LG_HIDDEN lg_a32 lg_initialised;

/* Whether there is a reservation; until then there are no areas, caches or pools to look at. */
LG_INLINE bool lg_ready(void)
{
    /* Acquire: everything that is const after init. Partner: the release in lg_init(). */
    return lg_load_acquire_32(&lg_initialised) != 0;
}

/* Makes the reservation and what stands on it. Returns 0 or an errno; may be tried again. */
LG_HIDDEN int lg_init(void);

/* For fork.c: the init lock. */
LG_HIDDEN void lg_init_fork_prepare(void);
LG_HIDDEN void lg_init_fork_done(void);

#endif
