/*
 * Threads that read and write sealed regions before somebody has to wait for it: lgalloc-io-0 and so on, one by default.
 * They keep a share of limit_bytes free, load what lgalloc_prefetch() names, and give unused disk back. Whatever needs room
 * or a region itself does it itself, so nobody waits for a thread that isn't there, or that is busy.
 */
#ifndef LG_IO_H
#define LG_IO_H

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../regions/class.h"
#include "../regions/pool.h"

#define LG_IO_THREADS_MAX 8

/* Has so many threads run. Under the config lock. Returns 0, or an errno, and as many run as before. */
LG_HIDDEN int lg_io_configure(uint64_t threads);
/* Follows the options that are in force. Under the config lock. */
LG_HIDDEN void lg_io_follow_options(void);

/* Whether there is a thread, now or as soon as it is needed. */
LG_HIDDEN bool lg_io_is_there(void);

/* A region is to be loaded. Dropped where too many are waiting, or no thread is there. */
LG_HIDDEN void lg_io_prefetch(lg_class *cls, uint64_t index);
/* Disk is to be given back. */
LG_HIDDEN void lg_io_trim(void);

/* Charged bytes from which on less is free than is to be; UINT64_MAX: there is no such share. */
extern LG_HIDDEN lg_a64 lg_io_mark;
LG_HIDDEN LG_COLD void lg_io_make_room(void);
/* After something was charged: has room made, if less is left than is to be. */
LG_INLINE void lg_io_look(void)
{
    if (LG_UNLIKELY(lg_charged() > lg_load_relaxed_64(&lg_io_mark)))
        lg_io_make_room();
}

extern LG_HIDDEN lg_lock lg_io_lock; /* for fork.c */
/* In the child, with the lock still held. */
LG_HIDDEN void lg_io_forked(void);

#endif
