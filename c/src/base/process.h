/*
 * What belongs to this process alone. A few words lie on pages of their own that the kernel wipes in every child of a
 * fork, whoever made it and whether or not it ran the handlers of pthread_atfork. So a child finds zeros there: its
 * hot paths leave for the slow ones, and those notice, by lg_ready(), that what they would move, map, clear or free may
 * be shared with the parent; see fork.c. vfork and posix_spawn share the memory and wipe nothing.
 *
 * Before Linux 4.14 nothing is wiped, and only children that run the handlers know what they are.
 */
#ifndef LG_PROCESS_H
#define LG_PROCESS_H

#include "atomic.h"
#include "lock.h"

/* The largest page that the processor knows, so that the words' pages hold nothing else. */
#if defined(LG_EXPLORE)
#define LG_PAGE_MAX 64 /* the explored system wipes what it is told to */
#elif defined(__x86_64__)
#define LG_PAGE_MAX (4 * LG_KIB)
#else
#define LG_PAGE_MAX (64 * LG_KIB)
#endif

typedef struct lg_process {
    lg_a64 usual; /* 1: the hot path may be taken; written by lg_hot_set() and fork.c */
    lg_a32 up;    /* 1: the allocator is up; written by lg_init() and fork.c */
    lg_a32 begun; /* 1: a thread of this process has begun to bring it up; written by lg_init() and fork.c */
    lg_a64
        noticing; /* in a child that ran no handlers: 1 while a thread makes it start over, then 2; see fork.c. 2 also in
                        a process that has come up by itself: it is no child */
    char rest[LG_PAGE_MAX - 24];
} lg_process;
extern LG_HIDDEN lg_process lg_this_process;

/* Has the kernel wipe the words in children. Once per process; what comes of it is no error. */
LG_HIDDEN void lg_process_init(void);

/* For lg_ready(): the allocator was up before a fork, and this is the child. Does what is to be done then, and returns
 * whether it is up now. Set by whoever brings the allocator up, before lg_was_up. */
extern LG_HIDDEN bool (*lg_when_child_notices)(void);

extern LG_HIDDEN lg_lock lg_init_lock; /* of bringing the allocator up; for fork.c too */

/* 1 since the allocator came up, in this process or in one that it was forked from. */
extern LG_HIDDEN lg_a32 lg_was_up;

/* 1 since a thread has begun to bring it up, in this process or in one that it was forked from. */
extern LG_HIDDEN lg_a32 lg_was_begun;

/* Whether the allocator is up: until then there are no areas, caches or pools to look at. A child of a fork that ran no
 * handlers notices here what it is, so that every way to what may be shared begins with this. */
LG_INLINE bool lg_ready(void)
{
    /* Acquire: everything that is const after init. Partner: the release in lg_init(). */
    if (LG_LIKELY(lg_load_acquire_32(&lg_this_process.up) != 0))
        return true;
    /* Acquire: from 0, that the child has started over, by another thread; from 1, that this process has come up, if another
     * thread brings it up between these two looks. Partners: the releases in start_over() and lg_init(). */
    return LG_UNLIKELY(lg_load_acquire_32(&lg_was_up) != 0) && lg_when_child_notices();
}

#endif
