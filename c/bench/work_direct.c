/*
 * The library called as a program calls it, straight through its shared library, beside a bare array that is called the
 * same way. The other workloads call everybody through a table of functions, with one call more for this library, which
 * takes as long as half the array's work.
 */
#include "bench.h"
#include "lgalloc.h"
#include "measure.h"

struct direct {
    size_t size;
    bool batches;
    bool bare;
};

enum { MOST = 64 };

static void library_pairs(size_t size, size_t operations)
{
    for (size_t i = 0; i < operations; i++) {
        lgalloc_handle handle;

        if (lgalloc_allocate(size, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK)
            give_up("out of memory");
        lgalloc_deallocate(handle);
    }
}

static void library_batches(size_t size, size_t operations)
{
    lgalloc_handle handles[MOST];

    for (size_t i = 0; i < operations; i++) {
        for (unsigned j = 0; j < MOST; j++)
            if (lgalloc_allocate(size, 1, 1, NULL, NULL, &handles[j]) != LGALLOC_STATUS_OK)
                give_up("out of memory");
        for (unsigned j = 0; j < MOST; j++)
            lgalloc_deallocate(handles[j]);
    }
}

static void bare_pairs(size_t size, size_t operations)
{
    for (size_t i = 0; i < operations; i++) {
        void *ptr = floor_allocate(size);

        escape(ptr);
        floor_release(ptr, size);
    }
}

static void bare_batches(size_t size, size_t operations)
{
    void *regions[MOST];

    for (size_t i = 0; i < operations; i++) {
        for (unsigned j = 0; j < MOST; j++)
            regions[j] = floor_allocate(size);
        escape(regions);
        for (unsigned j = 0; j < MOST; j++)
            floor_release(regions[j], size);
    }
}

static void run_operations(void *arg, size_t operations)
{
    const struct direct *work = arg;

    if (work->bare)
        (work->batches ? bare_batches : bare_pairs)(work->size, operations);
    else
        (work->batches ? library_batches : library_pairs)(work->size, operations);
}

static double measure(void *arg)
{
    const struct direct *work = arg;
    const double each = time_per_operation(run_operations, arg, settings.budget_ns);

    return work->batches ? each / MOST : each;
}

void run_direct(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    struct direct work = {
        .size = workload->size, .batches = workload->count != 0, .bare = contestant == &floor_contestants[0]};

    out->values[0] = mean_over_threads(workload->threads, measure, &work);
}
