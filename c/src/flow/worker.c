#include "worker.h"

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/process.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/pool.h"
#include "../regions/thread.h"
#include "background.h"
#include "reclaim.h"

lg_lock lg_worker_lock = LG_LOCK_INIT(LG_RANK_WORKER);
static void run_worker(lg_background *self);
static lg_background worker = LG_BACKGROUND_INIT("lgalloc-0", &lg_worker_lock, run_worker);
/* Protected by lg_worker_lock. */
static uint64_t interval;
static uint64_t generation; /* changes with every order */

/* ---- one tick */

static void drain_idle_threads(lg_thread *self)
{
    LG_EACH_THREAD(victim) {
        for (uint32_t left = lg_thread_used(victim); left != 0;) {
            lg_class *cls = lg_next_class(&left);
            lg_bin *bin = lg_bin_of(victim, cls);
            uint64_t activity = lg_load_relaxed_64(&bin->hot.allocations) + lg_load_relaxed_64(&bin->hot.deallocations);
            lg_a64 *mark = &lg_local_of(victim, cls)->idle_mark;
            if (activity == lg_load_relaxed_64(mark))
                lg_reclaim_cache(self, victim, cls);
            else
                lg_store_relaxed_64(mark, activity);
        }
    }
}

void lg_worker_tick(lg_thread *self)
{
    if (!lg_ready())
        return;
    drain_idle_threads(self);
    uint64_t batch = LG_OPTION(batch);
    uint64_t bytes = LG_OPTION(clear_bytes);
    /* What was drained has left a cache too: more than may stay dirty is cleared whatever the budget. */
    uint64_t bound = LG_OPTION(eager_return) != 0 ? 0 : LG_OPTION(idle_bytes);
    LG_EACH_CLASS(cls) {
        uint64_t dirty = bound != UINT64_MAX ? lg_pool_dirty_bytes() : 0;
        if (dirty > bound)
            (void)lg_reclaim_dirty(self, cls, UINT64_MAX, lg_class_round_up(cls, dirty - bound), true);
        else
            (void)lg_reclaim_dirty(self, cls, batch != 0 ? batch : UINT64_MAX, bytes != 0 ? bytes : UINT64_MAX, true);
        lg_reclaim_idle_chunks(self, cls, LG_OPTION(release_ticks));
    }
}

static void run_worker(lg_background *self)
{
    struct timespec next;
    uint64_t seen = generation;
    lg_os_monotonic_after(interval, &next);
    while (!self->stopping) {
        if (seen != generation) {
            seen = generation;
            lg_os_monotonic_after(interval, &next);
        } else if (lg_background_is_due(&next)) {
            lg_lock_release(&lg_worker_lock);
            /* Without a record: the worker has no use for a cache of its own. */
            lg_worker_tick(NULL);
            lg_lock_acquire(&lg_worker_lock);
            lg_os_monotonic_after(interval, &next);
        } else {
            lg_background_wait(self, &next);
        }
    }
}

/* ---- orders */

int lg_worker_configure(uint64_t interval_ns)
{
    if (interval_ns == 0) {
        lg_background_stop(&worker); /* the config lock keeps others from starting it meanwhile */
        return 0;
    }
    lg_lock_acquire(&lg_worker_lock);
    int error = lg_background_start(&worker);
    if (error == 0) {
        interval = interval_ns;
        generation++;
        lg_background_wake(&worker);
    }
    lg_lock_release(&lg_worker_lock);
    return error;
}

void lg_worker_wake_after_fork(void)
{
    lg_background_wake_after_fork(&worker);
}

void lg_worker_forked(void)
{
    lg_background_forked(&worker);
}
