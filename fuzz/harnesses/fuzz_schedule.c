/*
 * Two to four logical threads allocate, free, pass regions on, flush, purge, tick, end, fork and change options;
 * the input says what each does and, byte by byte, who goes on when (explore.h). A failing input is the same
 * execution each time.
 *
 *   byte 0     threads, fences, memory model, backing
 *   byte 1     capacity of caches, eager_return, idle_bytes
 *   byte 2     limit_bytes, release_ticks
 *   byte 3     which system calls fail, from which on
 *   then       for each thread: how many steps, and a byte for each
 *   the rest   the schedule
 */
#include <errno.h>
#include <string.h>

#include "input/input.h"
#include "flow/worker.h"
#include "world/world.h"

#define STEPS 12
#define HELD 6

/* 8, 16, 32 and 64 MiB: eight, four, two and one region at all. */
#define SMALLEST 7

static struct {
    uint8_t mode, cache, limit, faults;
    uint8_t steps[XP_THREADS][STEPS];
    unsigned counts[XP_THREADS];
} plan;

static lgalloc_handle held[XP_THREADS][HELD];
static lgalloc_handle passed_on[4];
static unsigned calls;
static bool forked;

static int fault(unsigned call)
{
    (void)call;
    return ++calls % (1 + (plan.faults >> 3)) == 0 ? ENOMEM : 0;
}

static void setup(void)
{
    memset(held, 0, sizeof(held));
    memset(passed_on, 0, sizeof(passed_on));
    calls = 0;
    forked = false;
    if ((plan.mode & 4) != 0)
        world_use_fences();
    static const size_t idle[] = {SIZE_MAX, 0, (size_t)8 << 20, (size_t)32 << 20};
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_with_backing(config, plan.mode & 16 ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_reserve_blocks(config, (plan.mode & 32) != 0);
    lgalloc_config_eager_return(config, (plan.cache & 4) != 0);
    lgalloc_config_idle_bytes(config, idle[plan.cache >> 3 & 3]);
    lgalloc_config_release_ticks(config, plan.limit >> 3 & 3);
    lgalloc_config_with_background(config, 0, plan.limit >> 5 & 1, 0);
    XP_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    static const unsigned regions[] = {4, 0, 1, 2};
    world_cache_regions(SMALLEST, regions[plan.cache & 3]);
    if ((plan.limit & 7) != 0)
        world_limit((size_t)8 << 20 << ((plan.limit & 7) - 1));
    if ((plan.faults & 7) == 7)
        world_fault_plan = fault;
}

static lgalloc_handle *find_slot(lgalloc_handle *slots, unsigned count, bool full)
{
    for (unsigned i = 0; i < count; i++)
        if ((slots[i].len != 0) == full)
            return &slots[i];
    return NULL;
}

static void take(unsigned id, unsigned class_index)
{
    lgalloc_handle *slot = find_slot(held[id], HELD, false);
    if (slot != NULL)
        *slot = world_take(class_index);
}

static void drop(lgalloc_handle *slot)
{
    if (slot == NULL)
        return;
    lgalloc_handle handle = *slot;
    slot->len = 0;
    world_free(handle);
}

static void pass_on(unsigned id)
{
    lgalloc_handle *from = find_slot(held[id], HELD, true);
    lgalloc_handle *to = find_slot(passed_on, 4, false);
    if (from != NULL && to != NULL) {
        xp_fence(); /* a program that passes memory on synchronizes */
        *to = *from;
        from->len = 0;
    }
}

static void read_statistics(void)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    XP_CHECK(lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT) == LGALLOC_SIZE_CLASS_COUNT);
    for (unsigned c = 0; c < WORLD_CLASSES; c++)
        XP_CHECK(stats[c].free_regions == stats[c].thread_regions + stats[c].global_regions + stats[c].clean_regions);
    size_t count;
    (void)lgalloc_stats_files(NULL, 0, &count);
}

static void step(unsigned id, uint8_t what)
{
    xp_say("step", what & 15, what >> 4);
    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3: take(id, SMALLEST + (what & 3)); break;
    case 4:
    case 5:
    case 6: drop(find_slot(held[id], HELD, true)); break;
    case 7: pass_on(id); break;
    case 8: drop(find_slot(passed_on, 4, true)); break;
    case 9: lgalloc_thread_flush(); break;
    case 10: (void)lgalloc_purge(); break;
    case 11: lg_worker_tick(NULL); break;
    case 12:
        world_thread_ends();
        if ((what & 16) == 0)
            xp_fresh_locals();
        break;
    case 13: world_cache_regions(SMALLEST, what >> 4 & 3); break;
    case 14: read_statistics(); break;
    default:
        /* Once, since a child has one thread; with faults nobody promises that it works. */
        if ((what & 16) != 0 && !forked && world_fault_plan == NULL) {
            forked = true;
            world_fork(true);
        } else if (!forked) {
            world_fork(false);
        }
        break;
    }
}

static void body(unsigned id)
{
    for (unsigned i = 0; i < plan.counts[id]; i++)
        step(id, plan.steps[id][i]);
    world_thread_ends();
}

/* What a thread that vanished in a fork had on the heap is lost, as it is in a real child. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    xp_trace = getenv("FUZZ_TRACE") != NULL;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, data + size};
    memset(&plan, 0, sizeof(plan));
    plan.mode = input_u8(&in);
    plan.cache = input_u8(&in);
    plan.limit = input_u8(&in);
    plan.faults = input_u8(&in);
    static xp_program program;
    program.threads = 2 + (plan.mode & 3) % 3;
    program.setup = setup;
    program.body = body;
    program.check = world_check_end;
    program.memory = plan.mode & 8 ? XP_TSO : XP_PSO;
    for (unsigned t = 0; t < program.threads; t++) {
        plan.counts[t] = input_below(&in, STEPS + 1);
        for (unsigned i = 0; i < plan.counts[t]; i++)
            plan.steps[t][i] = input_u8(&in);
    }
    world_run(&program);
    xp_run_bytes(&program, in.at, (size_t)(in.end - in.at));
    return 0;
}
