/*
 * What fork does.
 *
 * Before: all locks are taken in rank order, and movers are shut out, so that no region is on its way between
 * a cache and a pool. Other threads may still be in the middle of an allocation from their own cache or a free
 * into it; that is at most one region each.
 *
 * In the parent: everything is undone in reverse order. It never sees any of it.
 *
 * In the child there is one thread. Areas on files are MADV_DONTFORK, so their pages are gone: the addresses are
 * made inaccessible, what was in use there is lost (freeing it does nothing), new allocations get new areas
 * in new files. Anonymous areas were copied on write: the caches of vanished threads go to the pools, and what
 * such a thread had in its hands is found by its state: free, but in no pool.
 */
#include "config.h"
#include "init.h"
#include "thread_cache.h"
#include "worker.h"

static void prepare(void)
{
    lg_init_fork_prepare();
    lg_config_fork_prepare();
    lg_worker_fork_prepare();
    /* The init lock is held, so this stays as it is until undo(). */
    if (lg_ready()) {
        lg_transit_shut();
        for (unsigned c = 0; c < LG_CLASS_COUNT; c++)
            lg_lock_acquire(lg_class_lock(c));
    }
    lg_config_fork_prepare_path();
}

static void undo(void)
{
    lg_config_fork_done_path();
    if (lg_ready()) {
        for (unsigned c = LG_CLASS_COUNT; c-- > 0;)
            lg_lock_release(lg_class_lock(c));
        lg_transit_admit();
    }
    lg_worker_fork_done();
    lg_config_fork_done();
    lg_init_fork_done();
}

static uint64_t counted_in_use(unsigned class_index)
{
    uint64_t taken, freed;
    lg_threads_count(class_index, &taken, &freed);
    return taken - freed - lg_load_relaxed_64(&lg_in_use_lost[class_index]);
}

/* All caches, the own included, to the pools: by theft, which works on any record. */
static void drain(unsigned class_index)
{
    uint32_t count = lg_threads_high();
    for (uint32_t id = 0; id < count; id++) {
        lg_region *regions[LG_LOOT];
        uint64_t n;
        while ((n = lg_thread_drain(lg_thread_at(id), class_index, LG_LOOT, regions)) != 0)
            for (uint64_t i = 0; i < n; i++)
                lg_pool_return(NULL, class_index, regions[i]);
    }
}

static void child(void)
{
    lg_worker_forked();
    lg_transit_forked();
    undo(); /* the one thread that is left is the one that took the locks */
    if (!lg_ready())
        return;
    lg_barrier_init(); /* the registration is the process's, and this is another one */
    uint64_t charge = 0;
    for (unsigned c = 0; c < lg_layout_.stripes; c++) {
        if (lg_area_count(c) == 0)
            continue;
        drain(c);
        charge += lg_area_forked(c, counted_in_use(c));
    }
    lg_charge_reset(charge);
    lg_threads_forked();
}

/* When the library is loaded: a fork may come while another thread brings the allocator up. */
__attribute__((constructor)) static void hook_into_fork(void)
{
    /* Without it only a child of fork is worse off; this process's work goes on. */
    if (lg_os_atfork(prepare, undo, child) != 0)
        lg_add_relaxed_64(&lg_advise_failures, 1);
}
