/*
 * Regions and threads: freed elsewhere than allocated, stolen, and threads that live for a moment.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* ---------------------------------------------------------------- producer and consumer */

/* Regions go over in groups, and the clock is read once for many of them: what is measured is not the clock. */
enum { GROUP = 8, RING = 64, LINE = 64, BLOCK = 32, MAX_GROUPS = 1 << 16 };

/* A ring between one producer and one consumer; each writes a line of its own. */
struct handoff {
    const struct contestant *contestant;
    size_t size;
    bool written;                     /* a word goes with each region, the least that a message is good for */
    size_t groups;                    /* to hand over, a multiple of BLOCK */
    double *blocks;                   /* nanoseconds per region from one block of groups to the next */
    _Alignas(LINE) atomic_size_t put; /* groups */
    _Alignas(LINE) atomic_size_t taken;
    _Alignas(LINE) size_t *slots[RING / GROUP][GROUP];
};

/* Waits by looking for a while, then leaves the processor to the other thread. */
static void wait_a_moment(unsigned *looks)
{
    if (++*looks % 1024 == 0)
        sched_yield();
    else
        relax();
}

static void produce(struct handoff *handoff)
{
    unsigned looks = 0;

    for (size_t i = 0; i < handoff->groups; i++) {
        while (i - atomic_load_explicit(&handoff->taken, memory_order_acquire) == RING / GROUP)
            wait_a_moment(&looks);
        size_t **group = handoff->slots[i % (RING / GROUP)];
        for (unsigned j = 0; j < GROUP; j++) {
            group[j] = handoff->contestant->allocate(handoff->size);
            if (group[j] == NULL)
                give_up("out of memory");
            if (handoff->written)
                *group[j] = i;
        }
        atomic_store_explicit(&handoff->put, i + 1, memory_order_release);
    }
}

static void consume(struct handoff *handoff)
{
    unsigned looks = 0;
    uint64_t block = now_ns();

    for (size_t i = 0; i < handoff->groups; i++) {
        while (atomic_load_explicit(&handoff->put, memory_order_acquire) == i)
            wait_a_moment(&looks);
        size_t **group = handoff->slots[i % (RING / GROUP)];
        for (unsigned j = 0; j < GROUP; j++) {
            if (handoff->written && *group[j] != i)
                give_up("a region of group %zu holds %zu: it belongs to two at once", i, *group[j]);
            handoff->contestant->release(group[j], handoff->size);
        }
        atomic_store_explicit(&handoff->taken, i + 1, memory_order_release);
        if ((i + 1) % BLOCK == 0) {
            const uint64_t end = now_ns();
            handoff->blocks[i / BLOCK] = (double)(end - block) / (BLOCK * GROUP);
            block = end;
        }
    }
}

static void hand_over(void *arg, unsigned index)
{
    if (index == 0)
        produce(arg);
    else
        consume(arg);
}

/*
 * The median over blocks: where the machine takes a processor away from one of the two, the other waits,
 * which says nothing about the allocator.
 */
void run_handoff(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static struct handoff handoff;
    static double blocks[MAX_GROUPS / BLOCK];
    const size_t enough = settings.budget_ns * 4;
    uint64_t taken = 0;

    handoff.contestant = contestant;
    handoff.size = workload->size;
    handoff.written = workload->count != 0;
    handoff.blocks = blocks;
    /* More and more, until it takes as long as a measurement should. */
    for (size_t groups = 4 * BLOCK; taken < enough && groups <= MAX_GROUPS; groups *= 2) {
        handoff.groups = groups;
        atomic_store(&handoff.put, 0);
        atomic_store(&handoff.taken, 0);
        taken = run_together(2, hand_over, &handoff);
        out->values[0] = quantile(blocks, groups / BLOCK, 0.5);
    }
}

/* ---------------------------------------------------------------- threads that come and go */

struct visit {
    const struct contestant *contestant;
    size_t size;
};

static void *visit(void *arg)
{
    const struct visit *work = arg;
    void *ptr = work->contestant->allocate(work->size);

    escape(ptr);
    if (ptr == NULL)
        give_up("out of memory");
    work->contestant->release(ptr, work->size);
    return NULL;
}

static double time_visits(const struct visit *work, unsigned count)
{
    const uint64_t start = now_ns();

    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;
        const int error = pthread_create(&thread, NULL, visit, (void *)(uintptr_t)work);
        if (error != 0)
            give_up("pthread_create: %s", strerror(error));
        pthread_join(thread, NULL);
    }
    return (double)(now_ns() - start) / count;
}

/*
 * Threads that allocate once, and threads that do nothing, in turns: what the machine does otherwise
 * is larger than what is measured. The second value is the ratio of the two.
 */
void run_thread_start(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { TURNS = 400, AT_ONCE = 4 };
    const unsigned turns = settings.quick ? TURNS / 4 : TURNS;
    const struct visit with = {contestant, workload->size};
    const struct visit bare = {contestant_get(NOTHING), workload->size};
    double times[2][TURNS];

    time_visits(&with, AT_ONCE);
    for (unsigned turn = 0; turn < turns; turn++) {
        const bool swap = turn % 2 == 1;
        times[swap][turn] = time_visits(swap ? &bare : &with, AT_ONCE);
        times[!swap][turn] = time_visits(swap ? &with : &bare, AT_ONCE);
    }
    out->values[0] = quantile(times[0], turns, 0.5);
    out->values[1] = out->values[0] / quantile(times[1], turns, 0.5);
}

/* ---------------------------------------------------------------- one allocates, others free and sleep */

enum { SLEEPERS = 4 };

struct steal {
    const struct contestant *contestant;
    size_t size;
    unsigned each; /* regions that a sleeper frees at a time */
    pthread_barrier_t barrier;
    void *regions[SLEEPERS][64];
    atomic_bool stop;
};

struct sleeper {
    pthread_t thread;
    struct steal *steal;
    unsigned index;
};

static void *sleeper_main(void *arg)
{
    struct sleeper *sleeper = arg;
    struct steal *steal = sleeper->steal;

    for (;;) {
        pthread_barrier_wait(&steal->barrier); /* regions are there */
        if (atomic_load(&steal->stop))
            return NULL;
        for (unsigned i = 0; i < steal->each; i++)
            steal->contestant->release(steal->regions[sleeper->index][i], steal->size);
        pthread_barrier_wait(&steal->barrier); /* they are free */
    }
}

/* Only the allocations are timed: what it costs to get back what sleeping threads keep. */
void run_steal(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    enum { TURNS = 1000 };
    const unsigned turns = settings.quick ? TURNS / 5 : TURNS;
    static struct steal steal;
    struct sleeper sleepers[SLEEPERS];
    double times[TURNS];

    steal.contestant = contestant;
    steal.size = workload->size;
    steal.each = workload->count;
    pthread_barrier_init(&steal.barrier, NULL, SLEEPERS + 1);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        sleepers[i].steal = &steal;
        sleepers[i].index = i;
        const int error = pthread_create(&sleepers[i].thread, NULL, sleeper_main, &sleepers[i]);
        if (error != 0)
            give_up("pthread_create: %s", strerror(error));
    }
    for (unsigned turn = 0; turn < turns; turn++) {
        const uint64_t start = now_ns();
        for (unsigned i = 0; i < SLEEPERS; i++)
            for (unsigned j = 0; j < steal.each; j++) {
                steal.regions[i][j] = contestant->allocate(workload->size);
                if (steal.regions[i][j] == NULL)
                    give_up("out of memory");
            }
        times[turn] = (double)(now_ns() - start) / (SLEEPERS * steal.each);
        pthread_barrier_wait(&steal.barrier);
        pthread_barrier_wait(&steal.barrier);
    }
    atomic_store(&steal.stop, true);
    pthread_barrier_wait(&steal.barrier);
    for (unsigned i = 0; i < SLEEPERS; i++)
        pthread_join(sleepers[i].thread, NULL);
    out->values[0] = quantile(times, turns, 0.5);
}
