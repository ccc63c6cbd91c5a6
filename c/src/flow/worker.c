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
#include "reclaim.h"

lg_lock lg_worker_lock = LG_LOCK_INIT(LG_RANK_WORKER);
/* Protected by lg_worker_lock. */
static pthread_cond_t orders;
static bool orders_ready; /* the condition variable has its clock */
static bool running;
static bool stopping;
static uint64_t interval;
static uint64_t generation; /* changes with every order */
static pthread_t worker_thread;

/* 1 in the child of a fork until the worker was started again. */
static lg_a32 vanished;

/* ---- one tick */

static void drain_idle_threads(lg_thread *self)
{
    uint32_t count = lg_threads_high();
    for (uint32_t id = 0; id < count; id++) {
        lg_thread *victim = lg_thread_at(id);
        for (uint32_t left = lg_thread_used(victim); left != 0;) {
            lg_class *cls = lg_next_class(&left);
            lg_bin *bin = lg_bin_of(victim, cls);
            uint64_t activity = lg_load_relaxed_64(&bin->hot.allocations) +
                                lg_load_relaxed_64(&bin->hot.deallocations);
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

static void *run(void *argument)
{
    (void)argument;
    lg_os_thread_ordinary();
    struct timespec next;
    lg_lock_acquire(&lg_worker_lock);
    uint64_t seen = generation;
    lg_os_monotonic_after(interval, &next);
    while (!stopping) {
        struct timespec now;
        lg_os_monotonic_after(0, &now);
        bool due = now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec >= next.tv_nsec);
        if (seen != generation) {
            seen = generation;
            lg_os_monotonic_after(interval, &next);
        } else if (due) {
            lg_lock_release(&lg_worker_lock);
            /* Without a record: the worker has no use for a cache of its own. */
            lg_worker_tick(NULL);
            lg_lock_acquire(&lg_worker_lock);
            lg_os_monotonic_after(interval, &next);
        } else {
            lg_lock_wait(&lg_worker_lock, &orders, &next);
        }
    }
    lg_lock_release(&lg_worker_lock);
    return NULL;
}

/* ---- orders */

static int start_locked(void)
{
    if (!orders_ready) {
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&orders, &attributes);
        pthread_condattr_destroy(&attributes);
        orders_ready = true;
    }
    stopping = false;
    int error = lg_os_thread_start(&worker_thread, "lgalloc-0", run, NULL);
    running = error == 0;
    return error;
}

int lg_worker_configure(uint64_t interval_ns)
{
    int error = 0;
    bool join = false;
    lg_lock_acquire(&lg_worker_lock);
    uint64_t before = interval;
    interval = interval_ns;
    generation++;
    if (interval_ns != 0 && !running) {
        error = start_locked();
        if (error != 0)
            interval = before;
    } else if (running) {
        stopping = interval_ns == 0;
        join = stopping;
        pthread_cond_signal(&orders);
    }
    if (error == 0)
        lg_store_relaxed_32(&vanished, 0);
    lg_lock_release(&lg_worker_lock);
    if (join) {
        lg_os_thread_join(worker_thread); /* the config lock keeps others from starting it meanwhile */
        lg_lock_acquire(&lg_worker_lock);
        running = false;
        lg_lock_release(&lg_worker_lock);
    }
    return error;
}

void lg_worker_wake_after_fork(void)
{
    if (LG_LIKELY(lg_load_relaxed_32(&vanished) == 0))
        return;
    lg_lock_acquire(&lg_worker_lock);
    if (lg_load_relaxed_32(&vanished) != 0 && !running && interval != 0)
        (void)start_locked(); /* if that fails, memory is given back by purges alone, until the next try */
    lg_store_relaxed_32(&vanished, running || interval == 0 ? 0 : 1);
    lg_lock_release(&lg_worker_lock);
}

void lg_worker_forked(void)
{
    orders_ready = false; /* its waiter vanished; a fresh one is made when needed */
    /* A restart that was still to come, in a child's child, stays to come. */
    bool wanted = (running && !stopping) || lg_load_relaxed_32(&vanished) != 0;
    lg_store_relaxed_32(&vanished, wanted ? 1 : 0);
    if (stopping)
        interval = 0;
    running = stopping = false;
}
