/* Clients of what a process has once: whether the allocator is up, the hot path's flags, movers and who quiesces them. */
#include "clients.h"
#include "world/world.h"

#include "api/init.h"
#include "base/atomic.h"
#include "base/hot_flags.h"
#include "base/process.h"
#include "chunks/chunk.h"
#include "regions/thread.h"
#include "regions/transit.h"

static void setup(void)
{
    if (client_fences)
        world_use_fences();
}

/* ---- movers, and who quiesces them, are to each other as readers and a writer: nothing that either does is lost */

static lg_thread *mover;
static lg_a64 turns;

static void setup_mover(void)
{
    setup();
    lg_store_relaxed_64(&turns, 0);
    mover = lg_thread_attach();
    xp_fresh_locals();
}

static void setup_mover_without_record(void)
{
    setup();
    lg_store_relaxed_64(&turns, 0);
    mover = NULL;
}

static void take_turn(void)
{
    lg_store_relaxed_64(&turns, lg_load_relaxed_64(&turns) + 1);
}

static void transit_turns(unsigned id)
{
    if (id == 0) {
        if (mover != NULL)
            lg_hot_bins = mover->bins;
        lg_transit_enter(mover);
        take_turn();
        lg_transit_leave(mover);
    } else {
        lg_transit_quiesce();
        take_turn();
        lg_transit_resume();
    }
}

static void check_turns(void)
{
    XP_CHECK(lg_load_relaxed_64(&turns) == 2 && "a mover and who quiesces it see what the other has done");
}

/* ---- the hot path is usual if nothing speaks against it */

static void hot_flags(unsigned id)
{
    lg_hot_set(LG_HOT_RESERVE_BLOCKS, id == 0);
}

static void check_hot_flags(void)
{
    XP_CHECK(lg_hot_usual() == (lg_load_relaxed_64(&lg_hot_flags) == 0) && "the last change of a flag counts");
}

/* ---- coming up, and starting over in the child of a fork that ran no handlers */

/* The words that the kernel wipes. */
static void wipe(void)
{
    lg_store_relaxed_64(&lg_this_process.usual, 0);
    lg_store_relaxed_64(&lg_this_process.noticing, 0);
    lg_store_relaxed_32(&lg_this_process.up, 0);
}

static void setup_child(void)
{
    setup();
    wipe();
}

/* Nothing was ever up. */
static void setup_down(void)
{
    setup_child();
    XP_CHECK(!lg_ready() && lg_load_relaxed_32(&lg_was_up) == 0);
    wipe();
}

/* The first allocation, up to where it may look at what is const from then on. */
static void come_up(unsigned id)
{
    (void)id;
    if (!lg_ready())
        XP_CHECK(lg_init() == 0);
    XP_CHECK(lg_load_relaxed_64(&lg_chunks_count) != 0 && "what is up is seen as a whole");
}

static void check_up(void)
{
    XP_CHECK(lg_ready() && lg_load_relaxed_32(&lg_was_up) != 0 && lg_load_relaxed_64(&lg_chunks_count) != 0);
}

static void start_over(unsigned id)
{
    (void)id;
    XP_CHECK(!lg_ready() && "what the parent had is not the child's");
    XP_CHECK(lg_load_relaxed_64(&lg_chunks_count) == 0 && "nobody goes on with what the parent had");
}

static void check_down(void)
{
    XP_CHECK(!lg_ready() && lg_load_relaxed_32(&lg_was_up) == 0 && lg_load_relaxed_64(&lg_chunks_count) == 0);
}

#define MOST 4000

/* clang-format off */
const client clients_process[] = {
    {"transit-turns", "a mover, and one who quiesces movers, take turns", 2, setup_mover, transit_turns, check_turns,
     {3, 2, MOST}, true, true},
    {"transit-turns-without-record", "the same with a mover that has no record", 2, setup_mover_without_record,
     transit_turns, check_turns, {3, 2, MOST}, true, true},
    {"hot-flags", "a reason to leave the hot path comes and goes", 2, setup, hot_flags, check_hot_flags, {3, 2, MOST},
     false, true},
    {"come-up", "two threads bring the allocator up", 2, setup_down, come_up, check_up, {2, 1, MOST}, false, true},
    {"start-over", "two threads notice that they are in the child of a fork", 2, setup_child, start_over, check_down,
     {2, 1, MOST}, false, true},
    {"start-over-up", "two threads bring the allocator up in the child of a fork", 2, setup_child, come_up, check_up,
     {2, 1, MOST}, false, true},
};
/* clang-format on */
const unsigned clients_process_count = sizeof(clients_process) / sizeof(*clients_process);
