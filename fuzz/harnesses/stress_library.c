/*
 * The library with a chance to lose the processor before each atomic operation, lock and membarrier: real threads
 * then meet in the middle of things, which they hardly ever do by themselves.
 */
#include "base/atomic.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local uint32_t stress_state;

static __attribute__((noinline)) void stress_point(void)
{
    uint32_t x = stress_state;
    if (x == 0)
        x = (uint32_t)(uintptr_t)&stress_state | 1;
    x ^= x << 13; /* xorshift */
    x ^= x >> 17;
    x ^= x << 5;
    stress_state = x;
    int before = errno;
    if (x % 2048 == 0) {
        struct timespec a_little = {0, (long)(x >> 16)};
        nanosleep(&a_little, NULL);
    } else if (x % 64 == 0) {
        sched_yield();
    }
    errno = before;
}

/* Function-like macros don't expand within themselves. */
#define lg_load_acquire_32(a) (stress_point(), lg_load_acquire_32(a))
#define lg_load_acquire_64(a) (stress_point(), lg_load_acquire_64(a))
#define lg_load_seq_cst_64(a) (stress_point(), lg_load_seq_cst_64(a))
#define lg_store_release_32(a, v) (stress_point(), lg_store_release_32((a), (v)))
#define lg_store_release_64(a, v) (stress_point(), lg_store_release_64((a), (v)))
#define lg_store_seq_cst_32(a, v) (stress_point(), lg_store_seq_cst_32((a), (v)))
#define lg_store_seq_cst_64(a, v) (stress_point(), lg_store_seq_cst_64((a), (v)))
#define lg_or_seq_cst_64(a, v) (stress_point(), lg_or_seq_cst_64((a), (v)))
#define lg_and_seq_cst_64(a, v) (stress_point(), lg_and_seq_cst_64((a), (v)))
#define lg_sub_relaxed_64(a, v) (stress_point(), lg_sub_relaxed_64((a), (v)))
#define lg_add_relaxed_64(a, v) (stress_point(), lg_add_relaxed_64((a), (v)))
#define lg_cas_relaxed_64(a, e, d) (stress_point(), lg_cas_relaxed_64((a), (e), (d)))
#define lg_cas_acquire_64(a, e, d) (stress_point(), lg_cas_acquire_64((a), (e), (d)))
#define lg_cas_seq_cst_64(a, e, d) (stress_point(), lg_cas_seq_cst_64((a), (e), (d)))
#define lg_fence_seq_cst() (stress_point(), lg_fence_seq_cst(), stress_point())
#define lg_fence_compiler() (lg_fence_compiler(), stress_point())
#define pthread_mutex_lock(m) (stress_point(), pthread_mutex_lock(m))
#define syscall(...) (stress_point(), syscall(__VA_ARGS__))

#include "../../c/lgalloc.c"
