/*
 * Reasons to leave the hot path, and the one word that says whether there are any. It lies where a fork wipes it
 * (process.h): a child begins with the slow paths.
 */
#ifndef LG_HOT_FLAGS_H
#define LG_HOT_FLAGS_H

#include "atomic.h"
#include "process.h"

enum lg_hot_flag {
    LG_HOT_DISABLED = 1,      /* allocating answers DISABLED */
    LG_HOT_FENCE = 2,         /* the system has no membarrier: owners of deques must fence */
    LG_HOT_RESERVE_BLOCKS = 4 /* disk blocks are reserved before a region is handed out */
};
extern LG_HIDDEN lg_a64 lg_hot_flags;

/* The one look of the hot path at all that isn't usual. */
LG_INLINE bool lg_hot_usual(void)
{
    return lg_load_relaxed_64(&lg_this_process.usual) != 0;
}

/* Sets or clears a reason, and `usual` with it. Any thread. */
LG_HIDDEN void lg_hot_set(enum lg_hot_flag flag, bool on);
/* Brings `usual` in line with the reasons. */
LG_HIDDEN void lg_hot_refresh(void);

#endif
