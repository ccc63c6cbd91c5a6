/*
 * Stands in for the C11 atomics of atomic.h when the library is built for the schedule explorer: the same
 * types and functions, each operation a call of explore.h's, who may let other threads go first.
 */
#ifndef FUZZ_EXPLORE_ATOMIC_H
#define FUZZ_EXPLORE_ATOMIC_H

#include "explore.h"

typedef struct {
    uint32_t v;
} lg_a32;

typedef struct {
    uint64_t v;
} lg_a64;

#define XP_LOAD(bits, order, o)                                                \
    static inline uint##bits##_t lg_load_##order##_##bits(const lg_a##bits *a) \
    {                                                                          \
        return (uint##bits##_t)xp_load(&a->v, sizeof(a->v), o);                \
    }
#define XP_STORE(bits, order, o)                                                      \
    static inline void lg_store_##order##_##bits(lg_a##bits *a, uint##bits##_t value) \
    {                                                                                 \
        xp_store(&a->v, sizeof(a->v), value, o);                                      \
    }
#define XP_RMW(bits, op, order, o, operation)                                                    \
    static inline uint##bits##_t lg_##op##_##order##_##bits(lg_a##bits *a, uint##bits##_t value) \
    {                                                                                            \
        return (uint##bits##_t)xp_modify(&a->v, sizeof(a->v), operation, value, o);              \
    }
#define XP_CAS(bits, order, o)                                                                                  \
    static inline bool lg_cas_##order##_##bits(lg_a##bits *a, uint##bits##_t *expected, uint##bits##_t desired) \
    {                                                                                                           \
        uint64_t was = *expected;                                                                               \
        bool done = xp_compare_exchange(&a->v, sizeof(a->v), &was, desired, o);                                 \
        *expected = (uint##bits##_t)was;                                                                        \
        return done;                                                                                            \
    }

/* All that atomic.h has, and a few more. */
#define XP_WIDTH(bits)                             \
    XP_LOAD(bits, relaxed, XP_RELAXED)             \
    XP_LOAD(bits, acquire, XP_ACQUIRE)             \
    XP_LOAD(bits, seq_cst, XP_SEQ_CST)             \
    XP_STORE(bits, relaxed, XP_RELAXED)            \
    XP_STORE(bits, release, XP_RELEASE)            \
    XP_STORE(bits, seq_cst, XP_SEQ_CST)            \
    XP_RMW(bits, add, relaxed, XP_RELAXED, XP_ADD) \
    XP_RMW(bits, add, seq_cst, XP_SEQ_CST, XP_ADD) \
    XP_RMW(bits, sub, relaxed, XP_RELAXED, XP_SUB) \
    XP_RMW(bits, sub, release, XP_RELEASE, XP_SUB) \
    XP_RMW(bits, sub, seq_cst, XP_SEQ_CST, XP_SUB) \
    XP_RMW(bits, or, relaxed, XP_RELAXED, XP_OR)   \
    XP_RMW(bits, or, seq_cst, XP_SEQ_CST, XP_OR)   \
    XP_RMW(bits, and, relaxed, XP_RELAXED, XP_AND) \
    XP_RMW(bits, and, seq_cst, XP_SEQ_CST, XP_AND) \
    XP_CAS(bits, relaxed, XP_RELAXED)              \
    XP_CAS(bits, acquire, XP_ACQUIRE)              \
    XP_CAS(bits, seq_cst, XP_SEQ_CST)

XP_WIDTH(32)
XP_WIDTH(64)

static inline void lg_fence_seq_cst(void)
{
    xp_fence();
}

/* Nothing to do: one thread runs all, and the explorer sees the operations in the order of the program. */
static inline void lg_fence_compiler(void)
{
}

#endif
