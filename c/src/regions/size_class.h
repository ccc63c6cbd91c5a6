/* Which sizes there are, and arithmetic with powers of two, pure. What a class is, class.h says. */
#ifndef LG_SIZE_CLASS_H
#define LG_SIZE_CLASS_H

#include "../base/base.h"

#define LG_CLASS_MIN LGALLOC_SIZE_CLASS_MIN_LOG2
#define LG_CLASS_MAX LGALLOC_SIZE_CLASS_MAX_LOG2
#define LG_CLASS_COUNT LGALLOC_SIZE_CLASS_COUNT

/* Bytes of the smallest and of the largest regions. */
#define LG_SMALLEST_REGION ((size_t)1 << LG_CLASS_MIN)
#define LG_LARGEST_REGION ((size_t)1 << LG_CLASS_MAX)

_Static_assert(LG_CLASS_MAX - LG_CLASS_MIN + 1 == LG_CLASS_COUNT, "both ends are inclusive");

/* Leading zero bits of a word; for 0 it is 63 or 64. `lzcnt` is a constant: whether the processor is known to have an
 * instruction for that, which also knows 0. The older one of x86 takes several times as long on some processors. */
LG_INLINE uint64_t lg_leading_zeros(uint64_t x, bool lzcnt)
{
#if defined(__x86_64__)
    if (lzcnt) {
        uint64_t n; /* by name: compilers keep away from 0 with a jump */
        __asm__("lzcntq %1, %0" : "=r"(n) : "r"(x) : "cc");
        return n;
    }
#else
    if (lzcnt)
        return x != 0 ? (uint64_t)__builtin_clzl(x) : 64;
#endif
    return (uint64_t)__builtin_clzl(x | 1);
}

/* The log2 of the largest power of two that is at most `bytes`; 0 for 0. */
LG_INLINE unsigned lg_log2_floor(size_t bytes)
{
    return 63 ^ (unsigned)lg_leading_zeros(bytes, false); /* one bsr on x86 */
}

/* The log2 of the smallest power of two that is at least `bytes`, but 1 for 1 and 64 for 0 and all above 2^63. */
LG_INLINE unsigned lg_log2_ceil(size_t bytes)
{
    return lg_log2_floor(bytes - 1) + 1;
}

#endif
