/*
 * The time of single calls, when regions of mixed sizes come and go.
 */
#include "bench.h"
#include "measure.h"

#include <string.h>

enum { PER_DOUBLING = 8, SLOTS = 48, CLASSES = 6 };

/* Eight buckets for every doubling: a bucket is an eighth wide at most. */
unsigned latency_bucket(uint64_t ns)
{
    if (ns < PER_DOUBLING)
        return (unsigned)ns;
    const unsigned log2 = 63 - (unsigned)__builtin_clzll(ns);
    const unsigned bucket = (log2 - 2) * PER_DOUBLING + (unsigned)(ns >> (log2 - 3)) % PER_DOUBLING;
    return bucket < MAX_SERIES ? bucket : MAX_SERIES - 1;
}

double latency_bucket_ns(unsigned bucket)
{
    if (bucket < PER_DOUBLING)
        return bucket;
    const unsigned log2 = bucket / PER_DOUBLING + 2;
    return (double)((uint64_t)(PER_DOUBLING + bucket % PER_DOUBLING) << (log2 - 3));
}

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[MAX_SERIES];
};

static void add(struct histogram *histogram, uint64_t ns)
{
    histogram->count++;
    histogram->max = ns > histogram->max ? ns : histogram->max;
    histogram->buckets[latency_bucket(ns)]++;
}

static double part(const struct histogram *histogram, double part_below)
{
    const double wanted = part_below * (double)histogram->count;
    double seen = 0;

    for (unsigned i = 0; i < MAX_SERIES; i++) {
        seen += (double)histogram->buckets[i];
        if (seen >= wanted)
            return latency_bucket_ns(i);
    }
    return (double)histogram->max;
}

/* A slot is emptied or filled with a region of 64 KiB to 2 MiB; the first word is written. */
void run_latency(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    static struct histogram taking;
    static struct histogram giving;
    static struct {
        void *ptr;
        size_t size;
    } slots[SLOTS];
    const size_t operations = settings.quick ? 50 * 1000 : 400 * 1000;
    uint64_t random = 88172645463325252U;

    (void)workload;
    for (size_t i = 0; i < operations + operations / 10; i++) {
        if (i == operations / 10) { /* the beginning, when every region is new, is not counted */
            memset(&taking, 0, sizeof taking);
            memset(&giving, 0, sizeof giving);
        }
        const uint64_t number = next_random(&random);
        void **ptr = &slots[number % SLOTS].ptr;
        size_t *size = &slots[number % SLOTS].size;
        if (*ptr != NULL) {
            const uint64_t start = now_ns();
            contestant->release(*ptr, *size);
            add(&giving, now_ns() - start);
            *ptr = NULL;
        } else {
            *size = 64 * KIB << (number >> 32) % CLASSES;
            const uint64_t start = now_ns();
            *ptr = contestant->allocate(*size);
            add(&taking, now_ns() - start);
            if (*ptr == NULL)
                give_up("out of memory");
            *(volatile uint64_t *)*ptr = number;
        }
    }
    static const double parts[] = {0.5, 0.99, 0.999};
    for (unsigned i = 0; i < 3; i++) {
        out->values[i] = part(&taking, parts[i]);
        out->values[4 + i] = part(&giving, parts[i]);
    }
    out->values[3] = (double)taking.max;
    out->values[7] = (double)giving.max;
    out->series_count = MAX_SERIES;
    for (unsigned i = 0; i < MAX_SERIES; i++)
        out->series[i] = (double)taking.buckets[i];
}
