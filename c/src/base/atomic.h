/*
 * C11 atomics whose names say the order. Nothing else in the library touches <stdatomic.h>, so that
 * ThreadSanitizer sees every access, and so that a schedule explorer can take this file's place: with
 * LG_EXPLORE defined every operation is a call that the explorer implements.
 */
#ifndef LG_ATOMIC_H
#define LG_ATOMIC_H

#include "base.h"

#ifdef LG_EXPLORE
#include "explorer/atomic.h" /* from fuzz/: the same names */
#else

#include <stdatomic.h>

typedef struct {
    _Atomic uint32_t v;
} lg_a32;

typedef struct {
    _Atomic uint64_t v;
} lg_a64;

typedef uint64_t __attribute__((may_alias)) lg_a64_bits; /* for instructions that C has no name for */

#define LG_ATOMIC_LOAD(bits, order, o)                                     \
    LG_INLINE uint##bits##_t lg_load_##order##_##bits(const lg_a##bits *a) \
    {                                                                      \
        return atomic_load_explicit(&((lg_a##bits *)(uintptr_t)a)->v, o);  \
    }
#define LG_ATOMIC_STORE(bits, order, o)                                           \
    LG_INLINE void lg_store_##order##_##bits(lg_a##bits *a, uint##bits##_t value) \
    {                                                                             \
        atomic_store_explicit(&a->v, value, o);                                   \
    }
/* Read-modify-writes return the value before. */
#define LG_ATOMIC_RMW(bits, op, order, o)                                                    \
    LG_INLINE uint##bits##_t lg_##op##_##order##_##bits(lg_a##bits *a, uint##bits##_t value) \
    {                                                                                        \
        return atomic_fetch_##op##_explicit(&a->v, value, o);                                \
    }
/* On failure *expected is what was found there, read relaxed. */
#define LG_ATOMIC_CAS(bits, order, o)                                                                       \
    LG_INLINE bool lg_cas_##order##_##bits(lg_a##bits *a, uint##bits##_t *expected, uint##bits##_t desired) \
    {                                                                                                       \
        return atomic_compare_exchange_strong_explicit(&a->v, expected, desired, o, memory_order_relaxed);  \
    }

LG_ATOMIC_LOAD(32, relaxed, memory_order_relaxed)
LG_ATOMIC_LOAD(64, relaxed, memory_order_relaxed)
LG_ATOMIC_LOAD(32, acquire, memory_order_acquire)
LG_ATOMIC_LOAD(64, acquire, memory_order_acquire)
LG_ATOMIC_LOAD(32, seq_cst, memory_order_seq_cst)
LG_ATOMIC_LOAD(64, seq_cst, memory_order_seq_cst)
LG_ATOMIC_STORE(32, relaxed, memory_order_relaxed)
LG_ATOMIC_STORE(64, relaxed, memory_order_relaxed)
LG_ATOMIC_STORE(32, release, memory_order_release)
LG_ATOMIC_STORE(64, release, memory_order_release)
LG_ATOMIC_STORE(32, seq_cst, memory_order_seq_cst)
LG_ATOMIC_STORE(64, seq_cst, memory_order_seq_cst)
LG_ATOMIC_RMW(32, add, seq_cst, memory_order_seq_cst)
LG_ATOMIC_RMW(32, sub, seq_cst, memory_order_seq_cst)
LG_ATOMIC_RMW(64, add, relaxed, memory_order_relaxed)
LG_ATOMIC_RMW(64, sub, relaxed, memory_order_relaxed)
LG_ATOMIC_RMW(64, sub, release, memory_order_release)
LG_ATOMIC_RMW(64, or, seq_cst, memory_order_seq_cst)
LG_ATOMIC_RMW(64, and, seq_cst, memory_order_seq_cst)
LG_ATOMIC_CAS(64, relaxed, memory_order_relaxed)
LG_ATOMIC_CAS(64, acquire, memory_order_acquire)
LG_ATOMIC_CAS(64, seq_cst, memory_order_seq_cst)

LG_INLINE void lg_fence_seq_cst(void)
{
#if LG_TSAN
    /* ThreadSanitizer doesn't model fences. A read-modify-write of a location that nobody else uses
     * compiles to the same full barrier on x86 and is understood by it. */
    lg_a32 dummy = {0};
    (void)atomic_fetch_add_explicit(&dummy.v, 0, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Keeps the compiler from moving memory accesses across; no instruction. */
LG_INLINE void lg_fence_compiler(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif /* LG_EXPLORE */

/* Adds to a counter that one thread at a time writes and all may read: no locked instruction. */
LG_INLINE void lg_counter_add(lg_a64 *counter, uint64_t n)
{
#if defined(__x86_64__) && !LG_TSAN && !defined(LG_EXPLORE)
    /* One instruction, which compilers don't make of an atomic load and an atomic store. */
    __asm__("addq %1, %0" : "+m"(*(lg_a64_bits *)counter) : "er"(n) : "cc");
#else
    lg_store_relaxed_64(counter, lg_load_relaxed_64(counter) + n);
#endif
}

/* The same, and releases: whoever sees the count sees what was done before it. */
LG_INLINE void lg_counter_add_release(lg_a64 *counter, uint64_t n)
{
#if defined(__x86_64__) && !LG_TSAN && !defined(LG_EXPLORE)
    __asm__("addq %1, %0" : "+m"(*(lg_a64_bits *)counter) : "er"(n) : "cc", "memory"); /* every store there releases */
#else
    lg_store_release_64(counter, lg_load_relaxed_64(counter) + n);
#endif
}

#endif
