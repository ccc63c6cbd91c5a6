/*
 * Which processor the hot path is compiled for. x86-64 has counted leading zeros in one step since 2013 (lzcnt, and
 * with it shrx, a shift by any register); the instruction before that takes several times as long on some processors.
 * So where the C library can choose when it loads a program, a hot function is there twice.
 */
#ifndef LG_CPU_H
#define LG_CPU_H

#include "base.h"
#include "die.h"

#if defined(__x86_64__) && !defined(__LZCNT__)
#define LG_LZCNT 0
#else
#define LG_LZCNT 1
#endif

/* Not with sanitizers, whose runtimes aren't up yet when the choice is made. */
#if !LG_LZCNT && defined(__GLIBC__) && !defined(__UCLIBC__) && !LG_ASAN && !LG_TSAN && !LG_MSAN && !defined(LG_EXPLORE)

#include <cpuid.h>

/* The resolvers are called by the dynamic linker; in a static program before there is thread-local storage, which
 * stack protectors need. So nothing may be added to them, and they call nothing. */
#if defined(__clang__) || __GNUC__ >= 11
#define LG_EARLY __attribute__((no_stack_protector, no_instrument_function))
#else
#define LG_EARLY __attribute__((optimize("no-stack-protector"), no_instrument_function))
#endif

LG_INLINE LG_EARLY bool lg_cpu_has_lzcnt(void)
{
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (a < 7)
        return false;
    __cpuid_count(7, 0, a, b, c, d);
    if ((b & bit_BMI) == 0 || (b & bit_BMI2) == 0)
        return false;
    __cpuid(0x80000000, a, b, c, d);
    if (a < 0x80000001)
        return false;
    __cpuid(0x80000001, a, b, c, d);
    return (c & bit_LZCNT) != 0;
}

/*
 * Makes a public function that is defined twice, by its own name for any processor and as NAME_lzcnt, one that is chosen
 * when the program is loaded. Stands before the first use of the name, since in this translation unit that means the
 * function for any processor from here on: the linker knows it as NAME_any, and by its name the one that was chosen.
 */
#define LG_HOT_FUNCTION(name)                                                   \
    extern LG_HIDDEN __typeof__(name) name __asm__(LG_STRINGIFY(name) "_any");  \
    static __typeof__(name) name##_lzcnt;                                       \
    static LG_EARLY __attribute__((used)) __typeof__(name) *name##_choose(void) \
    {                                                                           \
        return lg_cpu_has_lzcnt() ? name##_lzcnt : name;                        \
    }                                                                           \
    extern LG_API __typeof__(name) name##_chosen __asm__(LG_STRINGIFY(name)) __attribute__((ifunc(#name "_choose")))

#define LG_HOT LG_CACHE_ALIGNED
#define LG_HOT_LZCNT static LG_CACHE_ALIGNED __attribute__((target("lzcnt,bmi,bmi2")))

#else

#define LG_HOT_FUNCTION(name) _Static_assert(true, "there is nothing to choose")
#define LG_HOT LG_API LG_CACHE_ALIGNED
#define LG_HOT_LZCNT static __attribute__((unused))

#endif

#endif
