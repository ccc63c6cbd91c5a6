/* Clients whose threads want chunks of other size classes; see clients_whole.c for the rest. */
#include "clients.h"
#include "world/world.h"

#include <string.h>

#include "flow/worker.h"

/* Classes by how many regions there are at all: of two chunks. */
#define ONE 10  /* 64 MiB: one, which takes both */
#define TWO 9   /* 32 MiB: two, each a chunk */
#define FOUR 8  /* 16 MiB: two in a chunk */
#define EIGHT 7 /* 8 MiB: four in a chunk */

static lgalloc_handle handles[8];

static void setup(void)
{
    memset(handles, 0, sizeof(handles));
    if (client_fences)
        world_use_fences();
}

static void hold(unsigned class_index, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        handles[i] = world_take(class_index);
}

/* One chunk is in use, the other is free and dirty. */
static void setup_one_free(void)
{
    setup();
    hold(TWO, 2);
    world_free(handles[1]);
    lgalloc_thread_flush();
}

/* Two classes want the only chunk that is free; it belongs to a third. */
static void same_chunk(unsigned id)
{
    world_free(world_take(id == 0 ? FOUR : EIGHT));
}

/* Its own class wants it too. */
static void change_take(unsigned id)
{
    world_free(world_take(id == 0 ? FOUR : TWO));
}

/* A purge, or the worker, has its eye on it. */
static void change_purge(unsigned id)
{
    if (id == 0)
        world_free(world_take(FOUR));
    else
        (void)lgalloc_purge();
}

static void setup_idle(void)
{
    setup_one_free();
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_release_ticks(config, 1);
    XP_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
}

static void change_tick(unsigned id)
{
    if (id == 0)
        world_free(world_take(FOUR));
    else
        lg_worker_tick(NULL);
}

/* A region of the chunk is on its way to the pool. */
static void setup_half_free(void)
{
    setup();
    hold(TWO, 1);
    handles[1] = world_take(FOUR);
    handles[2] = world_take(FOUR);
    world_free(handles[2]);
    lgalloc_thread_flush();
}

static void change_free(unsigned id)
{
    if (id == 0)
        world_free(world_take(TWO));
    else
        world_free(handles[1]);
}

/* All of it is in another thread's cache, who goes on with it. */
static void setup_cached(void)
{
    setup();
    world_cache_regions(FOUR, 2);
    hold(TWO, 1);
    handles[1] = world_take(FOUR);
    handles[2] = world_take(FOUR);
}

static void change_cached(unsigned id)
{
    if (id == 0) {
        world_free(handles[1]);
        world_free(handles[2]);
        world_free(world_take(FOUR));
    } else {
        world_free(world_take(TWO));
    }
}

/* Both chunks are wanted as one region while a part of one is. */
static void setup_both_free(void)
{
    setup();
    hold(FOUR, 4);
    for (unsigned i = 0; i < 4; i++)
        world_free(handles[i]);
    lgalloc_thread_flush();
}

static void change_run(unsigned id)
{
    world_free(world_take(id == 0 ? ONE : FOUR));
}

/* The other way round. */
static void setup_large_free(void)
{
    setup();
    hold(ONE, 1);
    world_free(handles[0]);
    lgalloc_thread_flush();
}

static void split_run(unsigned id)
{
    (void)world_take(id == 0 ? FOUR : TWO); /* kept to the end: there is a chunk for each */
}

/* One chunk is dirty, the other isn't mapped. */
static void setup_one_mapped(void)
{
    setup();
    hold(FOUR, 1);
    world_free(handles[0]);
    lgalloc_thread_flush();
}

/* What of the chunk was clean becomes a part of a dirty region: the limit has room for just that. */
static void setup_limit(void)
{
    setup_one_mapped();
    world_limit((size_t)32 << 20);
}

static void change_limit(unsigned id)
{
    world_free(world_take(id == 0 ? TWO : FOUR));
}

static void fork_change(unsigned id)
{
    if (id == 0)
        world_fork(true);
    world_free(world_take(id == 0 ? TWO : FOUR));
}

#define MOST 2000 /* executions are long */

/* clang-format off */
const client clients_chunks[] = {
    {"same-chunk", "two size classes want the chunk that a third has free", 2, setup_one_free, same_chunk,
     world_check_end, {2, 1, MOST}, true, false},
    {"change-take", "a chunk changes its class while its own wants it", 2, setup_one_free, change_take, world_check_end,
     {2, 1, MOST}, true, false},
    {"change-purge", "a purge releases the chunk that changes its class", 2, setup_one_free, change_purge,
     world_check_end, {2, 1, MOST}, false, false},
    {"change-tick", "the worker releases the chunk that changes its class", 2, setup_idle, change_tick, world_check_end,
     {2, 1, MOST}, false, false},
    {"change-free", "the last region of a chunk is freed while another class wants it", 2, setup_half_free, change_free,
     world_check_end, {2, 1, MOST}, true, false},
    {"change-cached", "the chunk that another class wants is in a cache", 2, setup_cached, change_cached,
     world_check_end, {2, 1, MOST}, true, false},
    {"change-run", "two chunks become one region while a part of one is wanted", 2, setup_both_free, change_run,
     world_check_end, {2, 1, MOST}, false, false},
    {"change-gap", "a chunk and an unmapped one become one region", 2, setup_one_mapped, change_run, world_check_end,
     {2, 1, MOST}, false, false},
    {"split-run", "a large region becomes chunks of two classes", 2, setup_large_free, split_run, world_check_end,
     {2, 1, MOST}, false, false},
    {"change-limit", "what becomes dirty with what was is below limit_bytes", 2, setup_limit, change_limit,
     world_check_end, {2, 1, MOST}, true, false},
    {"fork-change", "the child of a fork: a chunk was changing its class", 2, setup_both_free, fork_change,
     world_check_end, {2, 1, MOST}, false, false},
};
/* clang-format on */
const unsigned clients_chunks_count = sizeof(clients_chunks) / sizeof(*clients_chunks);
