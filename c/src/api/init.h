/* Bringing the allocator up, at the first use. */
#ifndef LG_INIT_H
#define LG_INIT_H

#include "../base/base.h"

/* Makes the reservation and what stands on it. Returns 0 or an errno; may be tried again. */
LG_HIDDEN int lg_init(void);

#endif
