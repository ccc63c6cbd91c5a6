/*
 * The library's own memory: one piece of the reservation that reads as zero, and of which pages become writable as they
 * are needed. So it never comes from malloc and costs what is used; and it may be looked at everywhere, used or not.
 */
#ifndef LG_METADATA_H
#define LG_METADATA_H

#include "atomic.h"
#include "lock.h"

/* Makes reserved addresses metadata: readable, nothing of it writable. Whole pages. Once, under the init lock. Returns 0
 * or an errno. */
LG_HIDDEN int lg_metadata_init(void *addr, size_t len);

/* Makes a part readable and writable; what is so already stays as it is. Any thread. Rounds outwards to pages. Returns 0
 * or an errno; a part may be done then. */
LG_HIDDEN int lg_metadata_commit(void *addr, size_t len);

extern LG_HIDDEN lg_a64 lg_metadata_bytes; /* writable */

extern LG_HIDDEN lg_lock lg_metadata_lock; /* for fork.c */

#endif
