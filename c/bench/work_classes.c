/*
 * Memory that serves one size after another: what is resident at most, and what it costs to have it again in another size.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

/* The sizes that a peer takes are powers of two: it rounds up itself, or is asked for what it would round to. */
static size_t size_to_ask(const struct contestant *contestant, size_t size)
{
    size_t power = 64 * KIB;

    for (unsigned id = PEER_FIRST; id <= PEER_LAST; id++)
        if (contestant_get(id) == contestant) {
            while (power < size)
                power *= 2;
            return power;
        }
    return size;
}

static void *must_allocate(const struct contestant *contestant, size_t size)
{
    void *ptr = contestant->allocate(size);

    if (ptr == NULL)
        give_up("out of memory");
    return ptr;
}

/* So many blocks of a size, all of each written, and then given back. */
static void use(const struct contestant *contestant, void **blocks, size_t count, size_t size)
{
    const size_t ask = size_to_ask(contestant, size);

    for (size_t i = 0; i < count; i++) {
        blocks[i] = must_allocate(contestant, ask);
        write_pages(blocks[i], size, PAGE);
    }
    for (size_t i = 0; i < count; i++)
        contestant->release(blocks[i], ask);
}

/* ---------------------------------------------------------------- phases */

/*
 * Seven phases, each with blocks of another size, just above a power of two. As many as fit into 260 MiB are in use at the
 * same time, and all are given back before the next phase. With --quick everything is a quarter of that.
 */
void run_phases(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static const size_t megabytes[] = {5, 9, 17, 33, 65, 129, 257};
    const size_t megabyte = settings.quick ? MIB / 4 : MIB;
    const size_t live = 260 * megabyte;
    void *blocks[260 / 5];

    (void)workload;
    have_memory(live);
    const size_t before = resident_at_most();
    const uint64_t start = now_ns();
    for (size_t i = 0; i < sizeof megabytes / sizeof *megabytes; i++)
        use(contestant, blocks, 260 / megabytes[i], megabytes[i] * megabyte);
    out->values[0] = (double)(now_ns() - start) / 1e6;
    out->values[1] = (double)(resident_at_most() - before) / (double)live;
}

/* ---------------------------------------------------------------- a walk through the classes */

static long page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

/* Milliseconds and page faults of one use. */
struct cost {
    double ms;
    double faults;
};

static struct cost cost_of(const struct contestant *contestant, void **blocks, size_t total, size_t size)
{
    const long faults = page_faults();
    const uint64_t start = now_ns();

    use(contestant, blocks, total / size, size);
    return (struct cost){(double)(now_ns() - start) / 1e6, (double)(page_faults() - faults)};
}

/*
 * The same memory used whole as one class after another, and each class at once again, which is what memory costs that need
 * not change. The first class finds none. The series has the time of each later class by that of its second use.
 */
void run_class_walk(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static const size_t sizes[] = {64 * KIB, 2 * MIB, 16 * MIB, 64 * MIB, GIB, 256 * MIB, 4 * MIB, 32 * MIB, 128 * KIB};
    enum { COLD, WALK, AGAIN, WORST, FAULTS, FAULTS_LATER };
    const size_t total = settings.touch_bytes;
    const size_t later = sizeof sizes / sizeof *sizes - 1;
    const size_t most = total / sizes[0];
    void **blocks = calloc(most, sizeof *blocks);

    (void)workload;
    if (blocks == NULL)
        give_up("out of memory");
    write_pages(blocks, most * sizeof *blocks, PAGE); /* not to be counted */
    have_memory(total);
    for (size_t i = 0; i <= later; i++) {
        const size_t size = sizes[i] < total ? sizes[i] : total;
        const struct cost cost = cost_of(contestant, blocks, total, size);
        const struct cost again = cost_of(contestant, blocks, total, size);
        if (i == 0) {
            out->values[COLD] = cost.ms;
            out->values[FAULTS] = cost.faults;
            continue;
        }
        const double ratio = cost.ms / again.ms;
        const double percent = out->values[FAULTS] > 0 ? 100 * cost.faults / out->values[FAULTS] : 0;
        out->values[WALK] += cost.ms / (double)later;
        out->values[AGAIN] += again.ms / (double)later;
        out->values[WORST] = ratio > out->values[WORST] ? ratio : out->values[WORST];
        out->values[FAULTS_LATER] = percent > out->values[FAULTS_LATER] ? percent : out->values[FAULTS_LATER];
        out->series[out->series_count++] = ratio;
    }
    free(blocks);
}

/* ---------------------------------------------------------------- a mix of sizes */

struct block {
    void *ptr;
    size_t size;
    size_t asked;
};

struct mix {
    const struct contestant *contestant;
    size_t share;       /* bytes that a thread has in use */
    unsigned octaves;   /* of sizes, from LEAST on */
    unsigned exchanges; /* of a thread */
    atomic_size_t live;
    atomic_size_t most_live;
};

enum { LEAST = 64 * 1024 };

/* Each octave is as likely as the others, and within it the density falls as one by the size does. */
static size_t random_size(uint64_t *state, unsigned octaves)
{
    const size_t octave = (size_t)LEAST << next_random(state) % octaves;

    for (;;) {
        const size_t size = octave + next_random(state) % octave;
        if (next_random(state) % size < octave)
            return size;
    }
}

static void add_block(struct mix *mix, struct block *block, size_t size)
{
    block->size = size;
    block->asked = size_to_ask(mix->contestant, size);
    block->ptr = must_allocate(mix->contestant, block->asked);
    write_pages(block->ptr, size, PAGE);
    const size_t live = atomic_fetch_add(&mix->live, size) + size;
    for (size_t most = atomic_load(&mix->most_live); most < live;)
        if (atomic_compare_exchange_weak(&mix->most_live, &most, live))
            break;
}

static void drop_block(struct mix *mix, const struct block *block)
{
    atomic_fetch_sub(&mix->live, block->size);
    mix->contestant->release(block->ptr, block->asked);
}

/* Fills the thread's share; then a new block takes the place of as many old ones, any of them, as it needs. */
static void exchange_blocks(void *arg, unsigned index)
{
    struct mix *mix = arg;
    struct block *blocks = calloc(mix->share / LEAST, sizeof *blocks);
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15) + index;
    size_t count = 0;
    size_t in_use = 0;
    bool full = false;

    if (blocks == NULL)
        give_up("out of memory");
    for (unsigned exchanges = 0; exchanges < mix->exchanges; exchanges += full) {
        const size_t size = random_size(&random, mix->octaves);
        while (in_use + size > mix->share) {
            const size_t victim = (size_t)(next_random(&random) % count);
            full = true;
            in_use -= blocks[victim].size;
            drop_block(mix, &blocks[victim]);
            blocks[victim] = blocks[--count];
        }
        add_block(mix, &blocks[count++], size);
        in_use += size;
    }
    while (count > 0)
        drop_block(mix, &blocks[--count]);
    free(blocks);
}

/* A GiB in use, in blocks of 64 KiB to 64 MiB, each written as far as asked for; with --quick 128 MiB, and blocks to 8 MiB. */
void run_mix(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static struct mix mix;
    const size_t live = settings.quick ? 128 * MIB : GIB;

    mix.contestant = contestant;
    mix.share = live / workload->threads;
    mix.octaves = settings.quick ? 7 : 10;
    mix.exchanges = workload->count / workload->threads / (settings.quick ? 8 : 1);
    have_memory(live);
    const size_t before = resident_at_most();
    const uint64_t start = now_ns();
    if (workload->threads == 1)
        exchange_blocks(&mix, 0);
    else
        run_together(workload->threads, exchange_blocks, &mix);
    out->values[0] = (double)(now_ns() - start) / 1e6;
    out->values[1] = (double)(resident_at_most() - before) / (double)atomic_load(&mix.most_live);
}

/* ---------------------------------------------------------------- changes there and back */

/* Of what this library changes in one piece, 32 MiB, there are so many: its threads' caches keep one of each class. */
enum { CHUNKS = 16, SMALL = CHUNKS * 512, LARGE = CHUNKS * 16 };

struct change {
    const struct contestant *contestant;
    void **regions;
    bool small;
    bool large;
};

static void take_and_give(const struct change *change, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        change->regions[i] = must_allocate(change->contestant, size);
    for (size_t i = 0; i < count; i++)
        change->contestant->release(change->regions[i], size);
}

static void take_and_give_both(void *arg, size_t operations)
{
    const struct change *change = arg;

    for (size_t i = 0; i < operations; i++) {
        if (change->small)
            take_and_give(change, SMALL, 64 * KIB);
        if (change->large)
            take_and_give(change, LARGE, 2 * MIB);
    }
}

/* Microseconds for each 32 MiB. */
static double time_of(struct change *change, bool small, bool large)
{
    change->small = small;
    change->large = large;
    return time_per_operation(take_and_give_both, change, settings.budget_ns) / 1e3 / CHUNKS;
}

/*
 * The two sizes in turn, so that memory changes there and back, for whoever has no more resident than is used at once; and the
 * same calls without the turns, in which it need not. What is between the two is the change.
 */
void run_class_change(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static void *regions[SMALL];
    struct change change = {.contestant = contestant, .regions = regions};

    (void)workload;
    const size_t before = resident_at_most();
    use(contestant, regions, SMALL, 64 * KIB);
    use(contestant, regions, LARGE, 2 * MIB);
    out->values[0] = time_of(&change, true, true);
    out->values[3] = (double)(resident_at_most() - before) / (double)(CHUNKS * 32 * MIB);
    out->values[1] = time_of(&change, true, false) + time_of(&change, false, true);
    out->values[2] = out->values[0] - out->values[1];
}
