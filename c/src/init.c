#include "init.h"

#include "config.h"
#include "thread_cache.h"

lg_a32 lg_initialised;

static lg_lock init_lock = LG_LOCK_INIT(LG_RANK_INIT);

int lg_init(void)
{
    lg_lock_acquire(&init_lock);
    int error = 0;
    if (!lg_ready()) {
        error = lg_stripe_init();
        if (error == 0) {
            lg_pools_init();
            lg_areas_init();
            lg_threads_init(lg_cache_at_exit);
            lg_barrier_init();
            /* Release: publishes all of the above. Partner: the acquire in lg_ready(). */
            lg_store_release_32(&lg_initialised, 1);
        }
    }
    lg_lock_release(&init_lock);
    return error;
}

/* When the library is loaded. Where a process has several threads already, the kernel takes some milliseconds to
 * register it; lg_barrier_init() finds that it was done, or that it can't be. */
__attribute__((constructor)) static void register_early(void)
{
    (void)lg_os_membarrier_register();
}

void lg_init_fork_prepare(void)
{
    lg_lock_acquire(&init_lock);
}

void lg_init_fork_done(void)
{
    lg_lock_release(&init_lock);
}
