#include "init.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/hot_flags.h"
#include "../base/lock.h"
#include "../base/os.h"
#include "../base/process.h"
#include "../chunks/chunk.h"
#include "../flow/thread_cache.h"
#include "../regions/arena.h"
#include "../regions/pool.h"
#include "../regions/thread.h"
#include "fork.h"

/*
 * Before the first lock is taken. A child whose parent was forked by a raw system call, while another thread was about to
 * bring the allocator up, finds locks that nobody will release, and half of what they protect: it starts over.
 *
 * Its words are wiped from here on. A thread says `begun` of its own process first, then that it was begun: so a child that
 * finds the second and not the first is one.
 */
static void begin_here(void)
{
    /* Acquire: from 1, what the child's other thread has reset. Partner: the release in start_over(). */
    if (lg_load_acquire_32(&lg_this_process.begun) != 0)
        return;
    lg_process_init();
    /* Acquire: `begun`, if it is this process's. Partner: the release below. Without it a process might start over that is
     * nobody's child. */
    if (lg_load_acquire_32(&lg_was_begun) != 0 && lg_load_acquire_32(&lg_this_process.begun) == 0)
        (void)lg_child_notices();
    lg_store_relaxed_32(&lg_this_process.begun, 1);
    lg_store_release_32(&lg_was_begun, 1); /* Release: `begun`. Partner: the acquire above */
    lg_hot_refresh();                      /* it may have been wiped */
}

int lg_init(void)
{
    begin_here();
    lg_lock_acquire(&lg_init_lock);
    int error = 0;
    if (!lg_ready()) {
        error = lg_arena_init();
        if (error == 0) {
            lg_pools_init();
            lg_chunks_init();
            lg_threads_init(lg_cache_at_exit);
            lg_barrier_init();
            if (lg_when_child_notices == NULL) /* a child that starts over has it, and another thread may read it */
                lg_when_child_notices = lg_child_notices;
            /* Whoever has found `up` 0 before, and finds now that it was up, is not in the child of a fork. In a child this
             * is wiped. */
            lg_store_relaxed_64(&lg_this_process.noticing, 2);
            /* Release: of `noticing` and the above. Partner: the acquire in lg_ready(). */
            lg_store_release_32(&lg_was_up, 1);
            /* Release: publishes all of the above. Partner: the acquire in lg_ready(). */
            lg_store_release_32(&lg_this_process.up, 1);
        }
    }
    lg_lock_release(&lg_init_lock);
    return error;
}

/* When the library is loaded. */
__attribute__((constructor)) static void begin(void)
{
    /* Where a process has several threads already, the kernel takes some milliseconds to register it; lg_barrier_init()
     * finds that it was done, or that it can't be. */
    (void)lg_os_membarrier_register();
    /* Threads that end, and the worker, come back here: also where a plugin has the library inside and is closed. */
    lg_os_stay_loaded();
}
