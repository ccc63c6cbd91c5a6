/*
 * What fork does.
 *
 * Before: all locks are taken in rank order, and movers are quiesced, so that no region is on its way between
 * a cache and a pool. Other threads may still be in the middle of an allocation from their own cache or a free
 * into it; that is at most one region each.
 *
 * In the parent: everything is undone in reverse order. It never sees any of it.
 *
 * In the child there is one thread. Chunks on files are MADV_DONTFORK, so their pages are gone: the addresses are
 * made inaccessible, what was in use there is lost (freeing it does nothing), new allocations get new chunks
 * in new files. Anonymous ones were copied on write: the caches of vanished threads go to the pools, and what
 * such a thread had in its hands is found by its state: free, but in no pool. Sealed regions: see lg_seal_settle().
 *
 * Handlers of others may run between these, in any order, and allocate: the forking thread holds all locks, takes none
 * then, and may move. In the child the first of them that needs anything shared finds `up` wiped (process.h), and does
 * the child's part; the handler here finds it done.
 *
 * Some children run no handlers: of clone() and _Fork(), of a fork before the constructor below, of a copy of the C
 * library in another link namespace. And some run them in vain: a signal handler forked while its thread held a lock or
 * moved regions, so that the locks can't be taken. Nothing is known then of what is in the middle of what. Such a child
 * starts over, when it first notices: with a new reservation and nothing in it. What it inherited in anonymous memory
 * it may go on using, freeing it does nothing, as for what is lost.
 */
#include "fork.h"

#include "../base/atomic.h"
#include "../base/barrier.h"
#include "../base/hot_flags.h"
#include "../base/lock.h"
#include "../base/metadata.h"
#include "../base/options.h"
#include "../base/os.h"
#include "../base/process.h"
#include "../chunks/arena_file.h"
#include "../chunks/backing.h"
#include "../chunks/chunk.h"
#include "../chunks/release.h"
#include "../flow/evict.h"
#include "../flow/io.h"
#include "../flow/worker.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/descriptor.h"
#include "../regions/pool.h"
#include "../regions/seal.h"
#include "../regions/steal.h"
#include "../regions/thread.h"
#include "../regions/transit.h"
#include "../store/spill.h"

/* Forks of this thread for which no locks were taken, since it was inside the library, or is forking already. */
static LG_THREAD_LOCAL unsigned unprepared;
/* There was a reservation when the locks were taken; protected by them. */
static bool with_areas;

/* All locks that there are. */
static lg_lock *const locks[LG_RANK_COUNT] = {
    [LG_RANK_INIT] = &lg_init_lock,   [LG_RANK_CONFIG] = &lg_config_lock,   [LG_RANK_WORKER] = &lg_worker_lock,
    [LG_RANK_IO] = &lg_io_lock,       [LG_RANK_QUIESCE] = &lg_quiesce_lock, [LG_RANK_ARENA] = &lg_arena_lock,
    [LG_RANK_SPILL] = &lg_spill_lock, [LG_RANK_PATH] = &lg_path_lock,       [LG_RANK_METADATA] = &lg_metadata_lock,
    [LG_RANK_SEAL] = &lg_seal_lock,
};

static void prepare(void)
{
    (void)lg_ready(); /* first: a child that hasn't noticed may find the locks taken */
    if (lg_forking || lg_lock_inside() || lg_transit_inside() || lg_seal_inside) {
        unprepared++;
        return;
    }
    for (unsigned rank = 0; rank < LG_RANK_COUNT; rank++) {
        if (rank == LG_RANK_QUIESCE) {
            /* The init lock is held, so this stays as it is until undo(). */
            with_areas = lg_ready();
            if (with_areas)
                lg_transit_quiesce();
        } else if (rank != LG_RANK_ARENA || with_areas) {
            lg_lock_acquire(locks[rank]);
        }
    }
    lg_forking = true;
}

static void undo(void)
{
    lg_forking = false;
    for (unsigned rank = LG_RANK_COUNT; rank-- > 0;) {
        if (rank == LG_RANK_QUIESCE) {
            if (with_areas)
                lg_transit_resume();
        } else if (rank != LG_RANK_ARENA || with_areas) {
            lg_lock_release(locks[rank]);
        }
    }
}

static void parent(void)
{
    if (unprepared != 0)
        unprepared--;
    else
        undo();
}

/* ---- the child of a fork that was prepared */

static uint64_t counted_in_use(lg_class *cls)
{
    uint64_t taken, freed;
    lg_threads_count(cls, &taken, &freed);
    return taken - freed - lg_load_relaxed_64(&cls->lost);
}

/* All caches, the own included, to the pools: by stealing, which works on any record. */
static void drain(lg_class *cls)
{
    LG_EACH_THREAD(thread) {
        lg_descriptor *regions[LG_STEAL_MAX];
        uint64_t n;
        while ((n = lg_thread_drain(thread, cls, LG_STEAL_MAX, regions)) != 0)
            for (uint64_t i = 0; i < n; i++)
                lg_pool_return(NULL, cls, regions[i]);
    }
}

static void go_on(void)
{
    lg_worker_forked();
    lg_io_forked();
    lg_spill_forked();
    lg_transit_forked();
    lg_seal_forked();
    lg_evict_forked();
    undo(); /* the one thread that is left is the one that took the locks */
    lg_store_relaxed_32(&lg_this_process.begun, lg_load_relaxed_32(&lg_was_begun));
    if (lg_load_relaxed_32(&lg_was_up) == 0) {
        lg_hot_refresh();
        return;
    }
    lg_process_init();
    lg_store_relaxed_32(&lg_this_process.up, 1);
    lg_barrier_init(); /* the registration is the process's, and this is another one */
    uint64_t charge = 0;
    LG_EACH_CLASS(cls) {
        if (lg_area_count(cls) == 0)
            continue;
        drain(cls);
        charge += lg_chunks_forked(cls, counted_in_use(cls));
    }
    lg_arena_files_forked();
    lg_charge_reset(charge);
    lg_threads_forked();
    lg_hot_refresh();
}

/* ---- a child that starts over */

static void start_over(void)
{
    lg_lock_abandon();
    for (unsigned rank = 0; rank < LG_RANK_COUNT; rank++)
        lg_lock_init(locks[rank], rank);
    lg_spill_abandon();
    lg_transit_abandon();
    lg_worker_forked();
    lg_io_forked();
    lg_threads_abandon();
    lg_pools_abandon();
    lg_seal_abandon();
    lg_evict_forked();
    LG_EACH_CLASS(cls)
        lg_store_relaxed_64(&cls->lost, 0);
    lg_backing_abandon();
    lg_chunks_abandon();
    lg_arena_abandon();
    lg_store_release_32(&lg_was_up, 0); /* Release: all of the above. Partner: the acquire in lg_ready() */
    lg_hot_refresh();
    lg_store_release_32(&lg_this_process.begun, 1); /* Release: the same. Partner: the acquire in begin_here() */
}

bool lg_child_notices(void)
{
    if (lg_forking) {
        go_on();
        return true;
    }
    /* One thread does it, should the child have more by now. Release and acquire: the others go on with what it has
     * reset. `noticing` was wiped, as `up` was. Relaxed: nothing comes with the 1, and who loses waits for the 2. */
    uint64_t nobody = 0;
    if (lg_cas_relaxed_64(&lg_this_process.noticing, &nobody, 1)) {
        start_over();
        lg_store_release_64(&lg_this_process.noticing, 2);
        return false;
    }
    for (unsigned round = 0; lg_load_acquire_64(&lg_this_process.noticing) != 2;)
        lg_os_pause(round++);
    return lg_load_acquire_32(&lg_this_process.up) != 0; /* it may be up again */
}

static void child(void)
{
    unsigned in_vain = unprepared;
    unprepared = 0;
    if (lg_forking) {
        go_on();
    } else if (in_vain != 0) { /* where the kernel wipes nothing */
        lg_store_relaxed_64(&lg_this_process.usual, 0);
        lg_store_relaxed_64(&lg_this_process.noticing, 0);
        lg_store_relaxed_32(&lg_this_process.up, 0);
        lg_store_relaxed_32(&lg_this_process.begun, 0);
    }
}

/* When the library is loaded: a fork may come while another thread brings the allocator up. */
__attribute__((constructor)) static void hook_into_fork(void)
{
    /* Without it children notice by themselves. */
    if (lg_os_atfork(prepare, parent, child) != 0)
        lg_add_relaxed_64(&lg_advise_failures, 1);
}
