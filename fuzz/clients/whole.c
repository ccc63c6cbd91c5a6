/* Clients of the whole allocator, through its public functions. */
#include "clients.h"
#include "world/world.h"

#include <string.h>

#include "base/atomic.h"
#include "base/os.h"
#include "flow/worker.h"
#include "regions/bitmap.h"
#include "regions/class.h"
#include "regions/deque.h"
#include "regions/thread.h"
#include "regions/transit.h"

/* Classes by how many regions there are at all. */
#define ONE 10 /* 64 MiB: one */
#define TWO 9  /* 32 MiB: two, in areas of their own */
#define FOUR 8 /* 16 MiB: four, in two areas */

static lgalloc_handle handles[8];
static bool done[XP_THREADS];

static void setup(void)
{
    memset(handles, 0, sizeof(handles));
    memset(done, 0, sizeof(done));
    if (client_fences)
        world_use_fences();
}

/* The main thread takes so many and leaves them to the threads. */
static void hold(unsigned class_index, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        handles[i] = world_take(class_index);
}

static void await(unsigned id)
{
    while (!done[id])
        xp_pause();
    lg_fence_seq_cst(); /* what was done before, with a fence there, is seen */
}

static void drop(lgalloc_handle handle)
{
    world_free(handle);
}

/* ---- */

static void steal_exit(unsigned id)
{
    if (id == 0) {
        lgalloc_handle a = world_take(TWO);
        drop(a);
        world_thread_ends();
    } else {
        lgalloc_handle a = world_take(TWO);
        lgalloc_handle b = world_take(TWO);
        drop(a);
        drop(b);
    }
}

static void setup_last_one(void)
{
    setup();
    world_cache_regions(ONE, 1);
    hold(ONE, 1);
}

static void steal_pop(unsigned id)
{
    if (id == 0)
        drop(handles[0]);
    (void)world_take(ONE); /* kept to the end */
}

static void flush_last(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        lg_fence_seq_cst(); /* the free is seen, and then */
        done[0] = true;
        lgalloc_thread_flush();
    } else {
        await(0);
        (void)world_take(ONE);
    }
}

static void steal_last(unsigned id)
{
    if (id == 0)
        drop(handles[0]);
    else
        drop(world_take(ONE));
}

static void refill_race(unsigned id)
{
    handles[id] = world_take(TWO);
    XP_CHECK(handles[id].len != 0);
}

static void setup_free_area(void)
{
    setup();
    hold(TWO, 1);
    drop(handles[0]);
    lgalloc_thread_flush();
}

static void release_allocation(unsigned id)
{
    if (id == 0)
        (void)lgalloc_purge();
    else
        drop(world_take(TWO));
}

static void setup_late_free(void)
{
    setup();
    hold(FOUR, 2);
    drop(handles[1]);
    lgalloc_thread_flush();
}

static void release_late_free(unsigned id)
{
    if (id == 0)
        (void)lgalloc_purge();
    else
        drop(handles[0]);
}

static void setup_purge_owner(void)
{
    setup();
    world_cache_regions(FOUR, 2);
}

static void purge_owner(unsigned id)
{
    if (id == 0) {
        lgalloc_handle a = world_take(FOUR);
        lgalloc_handle b = world_take(FOUR);
        drop(a);
        drop(b);
        a = world_take(FOUR);
        drop(a);
    } else {
        (void)lgalloc_purge();
    }
}

static void setup_limit(void)
{
    setup();
    world_limit((size_t)32 << 20);
}

static void limit_last(unsigned id)
{
    (void)id;
    drop(world_take(TWO));
}

static void limit_kept(unsigned id)
{
    (void)id;
    (void)world_take(TWO);
}

/* The room is in another thread's cache, in regions of another size. */
static void limit_cached(unsigned id)
{
    if (id == 0) {
        drop(world_take(FOUR));
        drop(world_take(FOUR));
    } else {
        drop(world_take(TWO));
    }
}

static void setup_tick(void)
{
    setup();
    world_cache_regions(FOUR, 2);
    hold(FOUR, 2);
}

static void tick_owner(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        drop(handles[1]);
        drop(world_take(FOUR));
    } else {
        lg_worker_tick(NULL);
        lg_worker_tick(NULL);
    }
}

static void setup_overflow(void)
{
    setup();
    world_cache_regions(FOUR, 1);
    hold(FOUR, 3);
}

static void overflow_claim(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        drop(handles[1]);
        drop(handles[2]);
    } else {
        lgalloc_handle a = world_take(FOUR);
        lgalloc_handle b = world_take(FOUR);
        drop(a);
        drop(b);
    }
}

static void setup_capacity(void)
{
    setup();
    world_cache_regions(FOUR, 2);
    hold(FOUR, 2);
}

static void capacity_change(unsigned id)
{
    if (id == 1) {
        world_cache_regions(FOUR, 0);
        lg_fence_seq_cst();
        done[1] = true;
        return;
    }
    drop(handles[0]);
    drop(handles[1]);
    await(1);
    drop(world_take(FOUR));
    XP_CHECK(lg_self() == NULL || lg_deque_count(&lg_bin_of(lg_self(), lg_class_at(FOUR))->deque) == 0);
}

/* A thread that has given its record back moves regions without one. */
static void shut_without_record(unsigned id)
{
    if (id == 0) {
        world_thread_ends();
        drop(handles[0]);
    } else {
        drop(world_take(ONE));
    }
}

static void record_reuse(unsigned id)
{
    if (id == 2) {
        drop(world_take(FOUR));
        return;
    }
    drop(world_take(FOUR));
    world_thread_ends();
    xp_fresh_locals();
    drop(world_take(FOUR));
    world_thread_ends();
}

static void fork_parent(unsigned id)
{
    if (id == 0)
        world_fork(false);
    else
        drop(world_take(TWO));
}

static void fork_child(unsigned id)
{
    if (id == 0) {
        world_fork(true);
        lgalloc_handle a = world_take(TWO);
        drop(a);
    } else {
        lgalloc_handle a = world_take(TWO);
        drop(a);
        lgalloc_thread_flush();
    }
}

static void setup_free_file(void)
{
    setup();
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_with_backing(config, LGALLOC_BACKING_FILE);
    XP_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    hold(TWO, 1);
    drop(handles[0]);
    lgalloc_thread_flush();
}

/* Two of four regions are in the dirty pool; the first to come takes both, one of them for its cache. */
static void setup_batch(void)
{
    setup();
    world_cache_regions(FOUR, 4);
    hold(FOUR, 4);
    drop(handles[2]);
    drop(handles[3]);
    lgalloc_thread_flush();
}

static void batch_in_hand(unsigned id)
{
    (void)id;
    (void)world_take(FOUR); /* kept to the end */
}

/* The only region is on its way from a cache, or from dirty to clean, when it is wanted. */
static void drain_last(unsigned id)
{
    if (id == 0) {
        (void)lgalloc_purge();
    } else {
        drop(handles[0]);
        drop(world_take(ONE));
    }
}

static void setup_dirty_last(void)
{
    setup_last_one();
    drop(handles[0]);
    lgalloc_thread_flush();
}

static void clear_last(unsigned id)
{
    if (id == 0)
        lg_worker_tick(NULL);
    else
        drop(world_take(ONE));
}

static void setup_clone(void)
{
    setup();
    hold(TWO, 2);
}

/* A sandbox takes membarrier away, and a purge empties a cache that its owner goes on with. */
static int no_barrier(unsigned call)
{
    return call == LG_SYS_BARRIER ? EPERM : 0;
}

static void setup_refused_barrier(void)
{
    setup();
    world_cache_regions(FOUR, 4);
    hold(FOUR, 2);
    world_fault_plan = no_barrier;
}

static void drain_without_barrier(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        drop(handles[1]);
        lgalloc_handle a = world_take(FOUR);
        lgalloc_handle b = world_take(FOUR);
        drop(a);
        drop(b);
    } else {
        (void)lgalloc_purge();
    }
}

/* A child that runs no handlers, whatever the others were doing: its first step may be any. */
static void clone_child(unsigned id)
{
    lgalloc_handle a;
    if (id == 0) {
        drop(handles[0]);
        world_clone();
        drop(handles[1]);
        a = world_take(TWO);
        drop(world_take(ONE));
        drop(a);
        (void)lgalloc_purge();
    } else {
        a = world_take(TWO);
        drop(a);
        lgalloc_thread_flush();
        (void)lgalloc_purge();
    }
}

/* A thread that vanishes may have had a lock though it was moving nothing. */
static void fork_reader(unsigned id)
{
    size_t count;
    if (id == 0) {
        world_fork(true);
        drop(world_take(TWO));
    } else {
        (void)lgalloc_stats_files(NULL, 0, &count);
    }
}

/* Records of ended threads whose numbers are half given back when another thread forks. */
static void fork_records(unsigned id)
{
    (void)lg_thread_attach();
    if (id == 0)
        world_fork(true);
    else
        lg_thread_detach();
}

/* Of a class with more regions than one word of a bitmap has bits: what holds a member may not be announced yet. */
#define MANY 3 /* 512 KiB: 128, in two areas */

static void setup_purge_gives(void)
{
    setup();
    hold(MANY, 3); /* one keeps the area */
}

static void purge_gives(unsigned id)
{
    drop(handles[id]);
    lgalloc_thread_flush();
    if (id == 0)
        XP_CHECK(lgalloc_purge() != 0 && "a purge finds what was free before it began");
}

static void setup_flush(void)
{
    setup();
    world_cache_regions(FOUR, 4);
    hold(FOUR, 4);
}

static void flush_robbed(unsigned id)
{
    if (id == 0) {
        for (unsigned i = 0; i < 3; i++)
            drop(handles[i]);
        lgalloc_thread_flush();
        XP_CHECK(lg_deque_count(&lg_bin_of(lg_self(), lg_class_at(FOUR))->deque) == 0 && "a flush leaves nothing");
    } else {
        (void)world_take(FOUR);
    }
}

static void setup_two_free(void)
{
    setup();
    hold(FOUR, 4);
}

/* Two regions are with the main thread, two in thread 0's cache, of which a thief takes one. */
static void setup_robbed(void)
{
    setup();
    world_cache_regions(FOUR, 2);
    hold(FOUR, 4);
}

static void own_cache_robbed(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        drop(handles[1]);
        drop(world_take(FOUR));
    } else {
        (void)world_take(FOUR); /* kept to the end */
    }
}

/* All regions are in use; two are freed, two threads want one each. */
static void exhausted(unsigned id)
{
    if (id == 0) {
        drop(handles[0]);
        drop(handles[1]);
    } else {
        lgalloc_handle a = world_take(FOUR);
        if (a.len != 0)
            drop(a);
    }
}

static lg_thread *records[3];

/* The threads' caches of one class, and what is counted of it. */
static bool is_of_a_cache(const void *at)
{
    for (unsigned id = 0; id < 3; id++) {
        uintptr_t bin = (uintptr_t)lg_bin_of(records[id], lg_class_at(TWO));
        if ((uintptr_t)at >= bin && (uintptr_t)at < bin + sizeof(lg_bin))
            return true;
    }
    return false;
}

/* One of two regions is free all the time: first in thread 1's cache, who takes it; but thread 0, whose cache comes first,
 * frees the other. The race takes many switches, in few places: so the threads' records are there before, and the caches
 * have had a region before. */
static void setup_one_free(void)
{
    setup();
    world_cache_regions(TWO, 1);
    hold(TWO, 2);
    for (unsigned id = 0; id < 3; id++) {
        xp_fresh_locals();
        records[id] = lg_thread_attach();
        if (id < 2)
            drop(handles[id]);
        if (id == 0)
            handles[0] = world_take(TWO);
    }
    xp_fresh_locals();
    xp_may_switch = is_of_a_cache;
}

static void refused_last(unsigned id)
{
    lg_hot_bins = records[id]->bins;
    switch (id) {
    case 0:
        drop(handles[0]);
        (void)lg_deque_count(&lg_bin_of(records[0], lg_class_at(TWO))->deque); /* others may come before all is seen, */
        lg_fence_seq_cst();                                                    /* and now it is */
        break;
    case 1: (void)world_take_cached(TWO); break; /* kept to the end */
    default: (void)world_take_last(TWO);
    }
}

/* The only region is in thread 0's cache. Thread 1 quiesces movers: then it is there, or in the pool, and not on its way. */
static void setup_flush_one(void)
{
    setup_last_one();
    for (unsigned id = 0; id < 2; id++) {
        xp_fresh_locals();
        records[id] = lg_thread_attach();
        if (id == 0)
            drop(handles[0]);
    }
    xp_fresh_locals();
}

static void transit_quiesce(unsigned id)
{
    lg_hot_bins = records[id]->bins;
    if (id == 0) {
        lgalloc_thread_flush();
        return;
    }
    lg_transit_quiesce();
    bool cached = lg_deque_count(&lg_bin_of(records[0], lg_class_at(ONE))->deque) != 0;
    bool pooled = lg_bitmap_word(&lg_class_at(ONE)->pools[LG_DIRTY_POOL], 0) != 0;
    XP_CHECK(cached != pooled && "nobody moves a region while movers are quiesced");
    lg_transit_resume();
}

#define MOST 8000

/* clang-format off */
const client clients_whole[] = {
    {"steal-exit", "a thread frees and ends; another takes both regions", 2, setup, steal_exit, world_check_end,
     {2, 1, MOST}, true, false},
    {"steal-last", "the only region is freed; two want it", 3, setup_last_one, steal_last, world_check_end,
     {2, 1, MOST}, true, false},
    {"steal-pop", "the only region is freed, and taken from that cache by its owner or a thief", 2, setup_last_one,
     steal_pop, world_check_end, {1, 3, MOST}, true, true},
    {"flush-last", "the only region is on its way from a cache to the pool when it is wanted", 2, setup_last_one,
     flush_last, world_check_end, {2, 1, MOST}, true, true},
    {"refill-race", "two threads map the first area at once", 2, setup, refill_race, world_check_end, {3, 1, MOST},
     false, true},
    {"release-allocation", "a purge releases the area that an allocation wants", 2, setup_free_area,
     release_allocation, world_check_end, {3, 1, MOST}, false, false},
    {"release-late-free", "a purge releases the area that a region returns to", 2, setup_late_free,
     release_late_free, world_check_end, {3, 1, MOST}, false, true},
    {"purge-owner", "a purge empties the cache that its owner uses", 2, setup_purge_owner, purge_owner,
     world_check_end, {2, 1, MOST}, true, false},
    {"limit-last", "two take and return the last room below limit_bytes", 2, setup_limit, limit_last, world_check_end,
     {2, 1, MOST}, true, false},
    {"limit-kept", "two want the last room below limit_bytes, and one gets it", 2, setup_limit, limit_kept,
     world_check_end, {2, 1, MOST}, false, false},
    {"limit-cached", "the room is in another thread's cache", 2, setup_limit, limit_cached, world_check_end,
     {2, 1, MOST}, false, false},
    {"tick-owner", "the worker drains a cache that its owner wakes up to", 2, setup_tick, tick_owner,
     world_check_end, {2, 1, MOST}, true, false},
    {"overflow-claim", "a full cache is emptied while others claim", 2, setup_overflow, overflow_claim,
     world_check_end, {2, 1, MOST}, false, true},
    {"capacity-change", "the cache's capacity changes below its owner", 2, setup_capacity, capacity_change,
     world_check_end, {3, 1, MOST}, false, true},
    {"quiesce-without-record", "a free without a thread record against the last allocation", 2, setup_last_one,
     shut_without_record, world_check_end, {3, 1, MOST}, true, true},
    {"record-reuse", "records change hands while others look through them", 3, setup, record_reuse,
     world_check_end, {1, 1, MOST}, false, true},
    {"exhausted", "two free, two take, and no region is over", 3, setup_two_free, exhausted, world_check_end,
     {2, 1, MOST}, false, false},
    {"own-cache-robbed", "a thief is at the cache that its owner's last hope is in", 2, setup_robbed,
     own_cache_robbed, world_check_end, {2, 0, MOST}, true, true},
    {"fork-parent", "a fork while another thread allocates; nobody notices", 2, setup, fork_parent, world_check_end,
     {3, 1, MOST}, true, false},
    {"batch-in-hand", "the last region is in the batch that another thread carries home", 2, setup_batch, batch_in_hand,
     world_check_end, {1, 1, MOST}, true, true},
    {"drain-last", "a purge drains the only region from the cache of who wants it", 2, setup_last_one, drain_last,
     world_check_end, {2, 1, MOST}, true, true},
    {"clear-last", "the worker clears the only region while it is wanted", 2, setup_dirty_last, clear_last,
     world_check_end, {2, 1, MOST}, false, true},
    {"flush-robbed", "a thief is at the cache that its owner flushes", 2, setup_flush, flush_robbed,
     world_check_end, {2, 1, MOST}, true, false},
    {"fork-reader", "the child of a fork: the other thread held a lock and no region", 2, setup_free_file, fork_reader,
     world_check_end, {2, 1, MOST}, false, false},
    {"fork-records", "the child of a fork: threads were ending", 3, setup, fork_records, world_check_end, {2, 1, MOST},
     false, true},
    {"purge-gives", "a purge while another thread gives to the same word of the pool", 2, setup_purge_gives, purge_gives,
     world_check_end, {2, 1, MOST}, false, true},
    {"transit-quiesce", "movers are quiesced while the only region leaves a cache", 2, setup_flush_one, transit_quiesce,
     world_check_end, {3, 2, 2 * MOST}, true, true},
    {"refused-last", "a region is freed, and another taken, behind the last look before a refusal", 3, setup_one_free,
     refused_last, world_check_end, {3, 1, 15 * MOST}, true, true},
    {"drain-no-barrier", "a purge empties a cache that is in use, and membarrier is refused", 2, setup_refused_barrier,
     drain_without_barrier, world_check_end, {1, 3, MOST}, false, false},
    {"clone-child", "a child that runs no fork handlers: it starts over, whatever the other held", 2, setup_clone,
     clone_child, world_check_end, {3, 1, MOST}, true, false},
    {"fork-child", "the child of a fork: what the other thread held is found", 2, setup, fork_child,
     world_check_end, {3, 1, MOST}, true, false},
};
/* clang-format on */
const unsigned clients_whole_count = sizeof(clients_whole) / sizeof(*clients_whole);
