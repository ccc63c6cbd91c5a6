/*
 * Regions that held something before read as zero again, at the price of what is there: pages and blocks that were never
 * used, or were given back, are left alone.
 */
#ifndef LG_ZERO_H
#define LG_ZERO_H

#include "../regions/descriptor.h"

/* Has every byte of a region read as zero, which the caller has and is dirty. A full disk is ENOSPC here. Returns 0 or an
 * errno; part may be done then. */
LG_HIDDEN int lg_zero(lg_descriptor *region, void *ptr, size_t len);

#endif
