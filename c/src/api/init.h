/* Bringing the allocator up, at the first use. */
#ifndef LG_INIT_H
#define LG_INIT_H

#include "../base/lock.h"
#include "../base/process.h"

/* Makes the reservation and what stands on it. Returns 0 or an errno; may be tried again. */
LG_HIDDEN int lg_init(void);

extern LG_HIDDEN lg_lock lg_init_lock; /* for fork.c */

#endif
