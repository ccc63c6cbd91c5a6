/*
 * Data of four times the memory: sealed regions, and what programs have instead.
 */
#define _GNU_SOURCE 1

#include "bench.h"
#include "measure.h"
#include "paging.h"

#include "lgalloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A thread for each piece that is loaded ahead. */
enum { TIMES_THE_MEMORY = 4, AHEAD = 2, MAX_PIECES = 4096, OWN_MEMORY_MIB = 16 };

const struct contestant paging_contestants[5] = {
    [LGALLOC_SEALED - LGALLOC_SEALED] = {.name = "lgalloc sealed"},
    [PAGED - LGALLOC_SEALED] = {.name = "file mapping"},
    [PAGED_128K - LGALLOC_SEALED] = {.name = "mapping, 128 KiB ahead"},
    [PAGED_OUT - LGALLOC_SEALED] = {.name = "mapping, MADV_PAGEOUT"},
    [READ_BY_HAND - LGALLOC_SEALED] = {.name = "read() into a buffer"},
};

static unsigned id_of(const struct contestant *contestant)
{
    return LGALLOC_SEALED + (unsigned)(contestant - paging_contestants);
}

/* Bytes that may be in memory. */
static size_t budget(void)
{
    return settings.quick ? 64 * MIB : 256 * MIB;
}

/* The data in pieces, by whatever holds it. */
struct data {
    unsigned id;
    size_t size;
    size_t count;
    lgalloc_handle handles[MAX_PIECES];
    char *mapping;
    int fd;
    char *buffer;
};

/* ---------------------------------------------------------------- making it */

static void check(lgalloc_status status, const char *what)
{
    if (status != LGALLOC_STATUS_OK)
        give_up("%s: %s", what, lgalloc_status_str(status));
}

void sealed_configure(size_t limit, unsigned io_threads)
{
    lgalloc_config *config = lgalloc_config_new();

    if (config == NULL)
        give_up("no memory for a configuration");
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_limit_bytes(config, limit);
    lgalloc_config_spill_threads(config, io_threads);
    if (lgalloc_config_with_spill(config, settings.path, 0) != LGALLOC_STATUS_OK ||
        lgalloc_set_config(config) != LGALLOC_STATUS_OK)
        give_up("%s", lgalloc_config_error(config));
    lgalloc_config_free(config);
}

static void fill(void *piece, size_t size, size_t number)
{
    uint64_t *const words = piece;

    for (size_t i = 0; i < size / sizeof *words; i++)
        words[i] = (number << 32) + i;
}

static lgalloc_handle new_piece(size_t size, size_t number)
{
    lgalloc_handle handle;

    check(lgalloc_allocate(size, 1, 1, NULL, NULL, &handle), "lgalloc_allocate");
    fill(handle.ptr, size, number);
    check(lgalloc_seal(handle, size), "lgalloc_seal");
    return handle;
}

static void make(struct data *data, unsigned id, size_t size)
{
    memset(data, 0, sizeof *data);
    data->id = id;
    data->size = size;
    data->count = TIMES_THE_MEMORY * budget() / size;
    if (id == LGALLOC_SEALED) {
        sealed_configure(budget(), AHEAD);
        for (size_t i = 0; i < data->count; i++)
            data->handles[i] = new_piece(size, i);
        for (size_t i = 0; i < data->count; i++) /* as the file's pages, which are all on disk */
            check(lgalloc_evict(data->handles[i]), "lgalloc_evict");
        return;
    }
    const int fd = paging_file(data->count * size, true);
    data->fd = paging_reopen(fd, id == PAGED_128K ? 128 : 0);
    close(fd);
    paging_limit(budget() + OWN_MEMORY_MIB * MIB);
    if (id == READ_BY_HAND)
        data->buffer = malloc(size);
    else
        data->mapping = mmap(NULL, data->count * size, PROT_READ | PROT_WRITE, MAP_SHARED, data->fd, 0);
    if (data->mapping == MAP_FAILED)
        give_up("mmap: %s", strerror(errno));
}

static void drop(struct data *data)
{
    if (data->id != LGALLOC_SEALED)
        paging_unlimit();
    for (size_t i = 0; data->id == LGALLOC_SEALED && i < data->count; i++)
        lgalloc_deallocate(data->handles[i]);
    free(data->buffer);
}

/* ---------------------------------------------------------------- reading it */

/* A word of each page. */
static void look_at(const char *piece, size_t size)
{
    uint64_t sum = 0;

    for (size_t offset = 0; offset < size; offset += PAGE)
        sum += *(const volatile uint64_t *)(piece + offset);
    escape(&sum);
}

static void read_piece(struct data *data, size_t number)
{
    if (data->id == LGALLOC_SEALED) {
        check(lgalloc_pin(data->handles[number]), "lgalloc_pin");
        look_at(data->handles[number].ptr, data->size);
        lgalloc_unpin(data->handles[number]);
    } else if (data->id == READ_BY_HAND) {
        if (pread(data->fd, data->buffer, data->size, (off_t)(number * data->size)) != (ssize_t)data->size)
            give_up("read: %s", strerror(errno));
        look_at(data->buffer, data->size);
    } else {
        look_at(data->mapping + number * data->size, data->size);
        if (data->id == PAGED_OUT)
            madvise(data->mapping + number * data->size, data->size, MADV_PAGEOUT);
    }
}

/* Milliseconds and milliseconds of processors per GiB, then milliseconds per piece: median, 99 percent, worst. */
static void report(double *times, size_t count, double elapsed_ns, double processors, size_t bytes, double *values)
{
    const double gib = (double)bytes / (double)GIB;

    values[0] = elapsed_ns * 1e-6 / gib;
    values[1] = processors * 1e3 / gib;
    values[2] = quantile(times, count, 0.5) * 1e-6;
    values[3] = quantile(times, count, 0.99) * 1e-6;
    values[4] = quantile(times, count, 1) * 1e-6;
}

static void read_all(const struct workload *workload, const struct contestant *contestant, bool in_order,
                     struct sample *out)
{
    static struct data data;
    static double times[MAX_PIECES];
    uint64_t random = 88172645463325252u;

    make(&data, id_of(contestant), workload->size);
    /* Nothing of it is in memory. In no order some of it would be, so many pieces warm up. */
    for (size_t i = 0; !in_order && i < data.count / TIMES_THE_MEMORY; i++)
        read_piece(&data, next_random(&random) % data.count);
    const double processors = processor_seconds();
    const uint64_t start = now_ns();
    uint64_t before = start;
    for (size_t i = 0; i < data.count; i++) {
        if (in_order && data.id == LGALLOC_SEALED && i + AHEAD < data.count)
            lgalloc_prefetch(data.handles[i + AHEAD], 0, data.size);
        read_piece(&data, in_order ? i : next_random(&random) % data.count);
        const uint64_t now = now_ns();
        times[i] = (double)(now - before);
        before = now;
    }
    report(times, data.count, (double)(before - start), processor_seconds() - processors, data.count * data.size,
           out->values);
    drop(&data);
}

void run_pins_random(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    read_all(workload, contestant, false, out);
}

void run_pins_in_order(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    read_all(workload, contestant, true, out);
}

/* ---------------------------------------------------------------- writing it */

/* The last value is what was resident at most beyond the start, by the budget. */
void run_spill(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static lgalloc_handle handles[MAX_PIECES];
    static double times[MAX_PIECES];
    const bool sealed = id_of(contestant) == LGALLOC_SEALED;
    const size_t size = workload->size, count = TIMES_THE_MEMORY * budget() / size;
    char *mapping = NULL;

    if (sealed) {
        sealed_configure(budget(), AHEAD);
    } else {
        const int fd = paging_file(count * size, false);
        mapping = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapping == MAP_FAILED)
            give_up("mmap: %s", strerror(errno));
        paging_limit(budget() + OWN_MEMORY_MIB * MIB);
    }
    const size_t resident = measure_footprint().resident;
    const double processors = processor_seconds();
    const uint64_t start = now_ns();
    uint64_t before = start;
    for (size_t i = 0; i < count; i++) {
        if (sealed)
            handles[i] = new_piece(size, i);
        else
            fill(mapping + i * size, size, i);
        const uint64_t now = now_ns();
        times[i] = (double)(now - before);
        before = now;
    }
    report(times, count, (double)(before - start), processor_seconds() - processors, count * size, out->values);
    out->values[5] = (double)(resident_at_most() - resident) / (double)budget();
    if (!sealed)
        paging_unlimit();
    for (size_t i = 0; sealed && i < count; i++)
        lgalloc_deallocate(handles[i]);
}

/* Four times the budget in all, and half of it at a time: freed before memory is short. */
void run_spill_not(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static lgalloc_handle handles[MAX_PIECES];
    const size_t size = workload->size, kept = budget() / 2 / size;
    lgalloc_global_stats stats;

    (void)contestant;
    sealed_configure(budget(), AHEAD);
    for (size_t i = 0; i < TIMES_THE_MEMORY * budget() / size; i++) {
        if (i >= kept)
            lgalloc_deallocate(handles[i % kept]);
        handles[i % kept] = new_piece(size, i);
    }
    lgalloc_stats_global(&stats);
    out->values[0] = (double)(stats.evictions * size) / (double)MIB;
    out->values[1] = (double)stats.spill_file_bytes / (double)MIB;
}

/* ---------------------------------------------------------------- what is there */

enum { PINNERS = 64 };

static lgalloc_handle own[PINNERS];

static void pin_batch(void *arg, size_t operations)
{
    const lgalloc_handle handle = *(const lgalloc_handle *)arg;

    for (size_t i = 0; i < operations; i++) {
        if (lgalloc_pin(handle) != LGALLOC_STATUS_OK)
            give_up("lgalloc_pin failed");
        lgalloc_unpin(handle);
    }
}

static void pin_own(void *arg, unsigned index)
{
    pin_batch(&own[index], *(const size_t *)arg);
}

void run_pin_resident(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    (void)contestant;
    sealed_configure(0, AHEAD);
    for (size_t i = 0; i < PINNERS; i++) {
        check(lgalloc_allocate(workload->size, 1, 1, NULL, NULL, &own[i]), "lgalloc_allocate");
        check(lgalloc_seal(own[i], workload->size), "lgalloc_seal");
    }
    out->values[0] = time_per_operation(pin_batch, &own[0], settings.budget_ns);
    size_t each = (size_t)((double)settings.budget_ns / out->values[0] / PINNERS * settings.processors) + 1;
    const double processors = processor_seconds();
    run_together(PINNERS, pin_own, &each);
    out->values[1] = (processor_seconds() - processors) * 1e9 / ((double)each * PINNERS);
}
