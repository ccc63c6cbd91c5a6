/*
 * Memory itself: pages that are written, touched for the first time, and given back.
 */
#include "bench.h"
#include "measure.h"

#include "lgalloc.h"

#include <stdlib.h>

static void *must_allocate(const struct contestant *contestant, size_t size)
{
    void *ptr = contestant->allocate(size);

    if (ptr == NULL)
        give_up("out of memory");
    return ptr;
}

/* ---------------------------------------------------------------- every page written, again and again */

struct written {
    const struct contestant *contestant;
    size_t size;
    unsigned count;
};

static void write_batches(void *arg, size_t operations)
{
    const struct written *work = arg;
    void *regions[256];

    for (size_t i = 0; i < operations; i++) {
        for (unsigned j = 0; j < work->count; j++) {
            regions[j] = must_allocate(work->contestant, work->size);
            write_pages(regions[j], work->size, PAGE);
        }
        for (unsigned j = 0; j < work->count; j++)
            work->contestant->release(regions[j], work->size);
    }
}

void run_written(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    struct written work = {contestant, workload->size, workload->count};

    write_batches(&work, 2); /* the first touch is another workload */
    out->values[0] = time_per_operation(write_batches, &work, 2 * settings.budget_ns) / work.count;
}

/* ---------------------------------------------------------------- the first touch */

void run_first_touch(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const size_t size = settings.touch_bytes;

    (void)workload;
    have_memory(size);
    const uint64_t start = now_ns();
    void *ptr = must_allocate(contestant, size);
    write_pages(ptr, size, PAGE);
    const double taken = (double)(now_ns() - start);
    contestant->release(ptr, size);
    out->values[0] = taken / 1e6 * (double)GIB / (double)size;
}

/* ---------------------------------------------------------------- clearing */

/*
 * An allocator is asked to give back what is free; by hand, one call empties the same memory. Both
 * have been written page by page.
 */
void run_clear(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const size_t total = settings.touch_bytes;
    const size_t size = contestant->clear != NULL ? total : workload->size;
    const size_t count = total / size;
    void **regions = calloc(count, sizeof *regions);

    if (regions == NULL)
        give_up("out of memory");
    for (size_t i = 0; i < count; i++) {
        regions[i] = must_allocate(contestant, size);
        write_pages(regions[i], size, PAGE);
    }
    if (contestant->clear == NULL)
        for (size_t i = 0; i < count; i++)
            contestant->release(regions[i], size);
    const size_t before = measure_footprint().resident;
    const uint64_t start = now_ns();
    if (contestant->clear != NULL)
        contestant->clear(regions[0], size);
    else
        contestant->trim();
    const double taken = (double)(now_ns() - start);
    const size_t after = measure_footprint().resident;
    out->values[0] = taken / 1e6 * (double)GIB / (double)total;
    /* Who had given it back before, or never does, has not been measured by this. */
    out->values[1] = before > after ? (double)(before - after) / (double)MIB : 0;
    free(regions);
}

/* ---------------------------------------------------------------- very many regions */

void run_million(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    const size_t count = settings.million;
    void **regions = malloc(count * sizeof *regions);
    lgalloc_global_stats stats;

    if (regions == NULL)
        give_up("out of memory");
    write_pages(regions, count * sizeof *regions, PAGE); /* not to be measured */
    have_memory(128 * MIB);                              /* whatever an allocator keeps of them */
    const uint64_t start = now_ns();
    for (size_t i = 0; i < count; i++)
        regions[i] = must_allocate(contestant, workload->size);
    const uint64_t middle = now_ns();
    lgalloc_stats_global(&stats);
    const uint64_t again = now_ns();
    for (size_t i = 0; i < count; i++)
        contestant->release(regions[i], workload->size);
    const uint64_t end = now_ns();
    out->values[0] = (double)(middle - start + end - again) / (double)count;
    out->values[1] = (double)(middle - start) / (double)count;
    out->values[2] = (double)(end - again) / (double)count;
    out->values[3] = (double)stats.metadata_bytes / (double)count;
    free(regions);
}
