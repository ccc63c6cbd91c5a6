/*
 * Which processor the hot path is compiled for. x86-64 has counted leading zeros in one step since 2013 (lzcnt, and
 * with it shrx, a shift by any register); the instruction before that takes eight times as long on some processors.
 * So where the C library can choose when it loads a program, a hot function is there twice.
 */
#ifndef LG_CPU_H
#define LG_CPU_H

#include "base.h"

#if defined(__x86_64__) && !defined(__LZCNT__)
#define LG_LZCNT false
#else
#define LG_LZCNT true
#endif

/* Not with sanitizers, whose runtimes aren't up yet when the choice is made. */
#if defined(__x86_64__) && !defined(__LZCNT__) && defined(__GLIBC__) && !LG_ASAN && !LG_TSAN &&     \
    !defined(LG_EXPLORE)

#include <cpuid.h>

/* Called by the dynamic linker, before anything else of the library works. */
LG_INLINE bool lg_cpu_has_lzcnt(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_BMI) == 0 || (b & bit_BMI2) == 0)
        return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT) != 0;
}

/* A public function, whose body may ask for the constant `lzcnt`; see lg_leading_zeros(). */
#define LG_HOT_FUNCTION(type, name, parameters, ...)                                                         \
    static type name##_any parameters                                                                        \
    {                                                                                                        \
        const bool lzcnt = false;                                                                            \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    static __attribute__((target("lzcnt,bmi,bmi2"))) type name##_lzcnt parameters                            \
    {                                                                                                        \
        const bool lzcnt = true;                                                                             \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    static __attribute__((used)) type(*name##_choose(void)) parameters                                       \
    {                                                                                                        \
        return lg_cpu_has_lzcnt() ? name##_lzcnt : name##_any;                                               \
    }                                                                                                        \
    LG_API type name parameters __attribute__((ifunc(#name "_choose")))

#else

#define LG_HOT_FUNCTION(type, name, parameters, ...)                                                         \
    LG_API type name parameters                                                                              \
    {                                                                                                        \
        const bool lzcnt = LG_LZCNT;                                                                         \
        __VA_ARGS__                                                                                          \
    }                                                                                                        \
    _Static_assert(true, "a semicolon follows")

#endif

#endif
