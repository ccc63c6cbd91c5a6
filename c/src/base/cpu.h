/*
 * Which processor the hot path is compiled for. x86-64 has counted leading zeros in one step since 2013 (lzcnt, and
 * with it shrx, a shift by any register); the instruction before that takes several times as long on some processors.
 * So where the C library can choose when it loads a program, a hot function is there twice.
 */
#ifndef LG_CPU_H
#define LG_CPU_H

#include "base.h"

#if defined(__x86_64__) && !defined(__LZCNT__)
#define LG_LZCNT 0
#else
#define LG_LZCNT 1
#endif

/* Not with sanitizers, whose runtimes aren't up yet when the choice is made. */
#if !LG_LZCNT && defined(__GLIBC__) && !defined(__UCLIBC__) && !LG_ASAN && !LG_TSAN && !LG_MSAN &&            \
    !defined(LG_EXPLORE)

#include <cpuid.h>

/* The resolvers are called by the dynamic linker; in a static program before there is thread-local storage, which
 * stack protectors need. So nothing may be added to them, and they call nothing and take no address. */
#if defined(__clang__) || __GNUC__ >= 11
#define LG_EARLY __attribute__((used, no_stack_protector, no_instrument_function))
#else
#define LG_EARLY __attribute__((used, optimize("no-stack-protector"), no_instrument_function))
#endif

/* A macro for that reason. */
#define LG_CPU_HAS_LZCNT(out)                                                                                \
    do {                                                                                                     \
        unsigned a_, b_, c_, d_;                                                                             \
        __cpuid(0, a_, b_, c_, d_);                                                                          \
        (out) = a_ >= 7;                                                                                     \
        if (out) {                                                                                           \
            __cpuid_count(7, 0, a_, b_, c_, d_);                                                             \
            (out) = (b_ & bit_BMI) != 0 && (b_ & bit_BMI2) != 0;                                             \
        }                                                                                                    \
        __cpuid(0x80000000, a_, b_, c_, d_);                                                                 \
        (out) = (out) && a_ >= 0x80000001;                                                                   \
        if (out) {                                                                                           \
            __cpuid(0x80000001, a_, b_, c_, d_);                                                             \
            (out) = (c_ & bit_LZCNT) != 0;                                                                   \
        }                                                                                                    \
    } while (0)

/* A public function, whose body may ask for the constant `lzcnt`; see lg_leading_zeros(). */
#define LG_HOT_FUNCTION(type, name, parameters, ...)                                                         \
    static LG_CACHE_ALIGNED type name##_any parameters                                                       \
    {                                                                                                        \
        const bool lzcnt = false;                                                                            \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    static LG_CACHE_ALIGNED __attribute__((target("lzcnt,bmi,bmi2"))) type name##_lzcnt parameters           \
    {                                                                                                        \
        const bool lzcnt = true;                                                                             \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    static LG_EARLY type(*name##_choose(void)) parameters                                                    \
    {                                                                                                        \
        bool has;                                                                                            \
        LG_CPU_HAS_LZCNT(has);                                                                               \
        return has ? name##_lzcnt : name##_any;                                                              \
    }                                                                                                        \
    LG_API type name parameters __attribute__((ifunc(#name "_choose")))

#else

#define LG_HOT_FUNCTION(type, name, parameters, ...)                                                         \
    LG_API LG_CACHE_ALIGNED type name parameters                                                             \
    {                                                                                                        \
        const bool lzcnt = LG_LZCNT;                                                                         \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    _Static_assert(true, "a semicolon follows")

#endif

#endif
