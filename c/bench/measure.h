/*
 * Clocks, statistics, threads that start together, and what /proc says.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* The compiler must believe that the memory behind `ptr` is used. */
static inline void escape(void *ptr)
{
    __asm__ volatile("" : : "r"(ptr) : "memory");
}

/* Waits a moment without giving up the processor. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*
 * Nanoseconds per operation: the median over as many batches as fit into `budget_ns`, each long enough
 * for the clock, after one that warms up.
 */
double time_per_operation(void (*batch)(void *arg, size_t operations), void *arg, uint64_t budget_ns);

/* Sorts the values. `part` from 0 to 1. */
double quantile(double *values, size_t count, double part);

/* Runs `work` on threads that start at the same moment, and waits for all. Returns the nanoseconds from
 * the first that started to the end of the last. */
uint64_t run_together(unsigned threads, void (*work)(void *arg, unsigned index), void *arg);

/* For work that has to be prepared on its thread: called between preparation and measurement. Every
 * thread of run_together_prepared() calls it once. */
uint64_t run_together_prepared(unsigned threads, void (*work)(void *arg, unsigned index), void *arg);

/* The mean of what `measure` returns on each of up to 16 threads that start at the same moment. */
double mean_over_threads(unsigned threads, double (*measure)(void *arg), void *arg);
void prepared(void);

struct footprint {
    size_t resident; /* bytes */
    size_t address_space;
    size_t mappings;
};

struct footprint measure_footprint(void);

/* Bytes that the system could give to programs now. */
size_t available_memory(void);

/* That this process has used so far, all threads. */
double processor_seconds(void);

/* Bytes of this process that were ever resident at the same time. */
size_t resident_at_most(void);

/*
 * A virtual machine gives free memory back to its host, and who takes it next waits until the host has found
 * some: 300 ms or 3 s for the same GiB, whoever's turn it is. So twice as much is written and given back just
 * before, by another process, and everybody finds memory that the machine really has.
 */
void have_memory(size_t size);

/* A small generator of numbers, the same for everybody. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Writes one word in each page. */
static inline void write_pages(void *ptr, size_t size, size_t page)
{
    for (size_t offset = 0; offset < size; offset += page)
        *(volatile uint64_t *)((char *)ptr + offset) = offset;
}

#endif
