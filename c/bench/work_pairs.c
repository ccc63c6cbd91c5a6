/*
 * The allocator alone: regions that nobody touches, taken and given back.
 */
#include "bench.h"
#include "measure.h"

#include <stdatomic.h>

struct pairs {
    const struct contestant *contestant;
    size_t size;
    unsigned count;
};

static void *must_allocate(const struct contestant *contestant, size_t size)
{
    void *ptr = contestant->allocate(size);

    if (__builtin_expect(ptr == NULL, 0))
        give_up("out of memory");
    return ptr;
}

/* One region, taken and given back; the next operation finds it hot. */
static void pairs(void *arg, size_t operations)
{
    const struct pairs *work = arg;
    const struct contestant *contestant = work->contestant;
    const size_t size = work->size;

    for (size_t i = 0; i < operations; i++) {
        void *ptr = must_allocate(contestant, size);
        escape(ptr);
        contestant->release(ptr, size);
    }
}

/* `count` regions taken, then all given back in the order they were taken. */
static void batches(void *arg, size_t operations)
{
    const struct pairs *work = arg;
    const struct contestant *contestant = work->contestant;
    const size_t size = work->size;
    const unsigned count = work->count;
    void *regions[256];

    for (size_t i = 0; i < operations; i++) {
        for (unsigned j = 0; j < count; j++)
            regions[j] = must_allocate(contestant, size);
        escape(regions);
        for (unsigned j = 0; j < count; j++)
            contestant->release(regions[j], size);
    }
}

static double measure_pairs(void *arg)
{
    return time_per_operation(pairs, arg, settings.budget_ns);
}

static double measure_batches(void *arg)
{
    const struct pairs *work = arg;

    return time_per_operation(batches, arg, settings.budget_ns) / work->count;
}

void run_hot_pair(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    struct pairs work = {contestant, workload->size, workload->count};

    out->values[0] = mean_over_threads(workload->threads, measure_pairs, &work);
}

void run_batch(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    struct pairs work = {contestant, workload->size, workload->count};

    out->values[0] = mean_over_threads(workload->threads, measure_batches, &work);
}

/* ---------------------------------------------------------------- from one thread to 256 */

struct scaling {
    struct pairs pairs;
    atomic_bool stop;
    atomic_uint_fast64_t done;
    uint64_t budget_ns;
};

static void pairs_until_stopped(void *arg, unsigned index)
{
    enum { AT_ONCE = 256 };
    struct scaling *scaling = arg;
    uint64_t done = 0;

    (void)index;
    pairs(&scaling->pairs, 16); /* the thread's first allocations are another story */
    prepared();
    const uint64_t end = now_ns() + scaling->budget_ns;
    while (!atomic_load_explicit(&scaling->stop, memory_order_relaxed)) {
        pairs(&scaling->pairs, AT_ONCE);
        done += AT_ONCE;
        if (now_ns() >= end)
            atomic_store_explicit(&scaling->stop, true, memory_order_relaxed);
    }
    atomic_fetch_add(&scaling->done, done);
}

/* Nanoseconds of one processor per pair: flat where threads don't disturb one another. */
void run_scaling(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static const unsigned threads[] = {1, 2, 4, 16, 64, 256};

    for (unsigned i = 0; i < sizeof threads / sizeof *threads; i++) {
        struct scaling scaling = {.pairs = {contestant, workload->size, 0}, .budget_ns = 2 * settings.budget_ns};
        const uint64_t taken = run_together_prepared(threads[i], pairs_until_stopped, &scaling);
        const unsigned busy = threads[i] < settings.processors ? threads[i] : settings.processors;
        out->values[i] = (double)taken * busy / (double)atomic_load(&scaling.done);
    }
}

/* ---------------------------------------------------------------- with many regions in use */

void run_live(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static const size_t live[] = {1000, 10 * 1000, 100 * 1000, 1000 * 1000};
    enum { STEPS = sizeof live / sizeof *live };
    struct pairs work = {contestant, workload->size, workload->count};
    size_t have = 0;

    for (unsigned step = 0; step < STEPS; step++) {
        for (; have < live[step]; have++)
            escape(must_allocate(contestant, workload->size));
        out->values[step] = time_per_operation(pairs, &work, settings.budget_ns);
        out->values[STEPS + step] = time_per_operation(batches, &work, settings.budget_ns) / work.count;
    }
}
