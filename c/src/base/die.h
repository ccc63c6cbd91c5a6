/* The end of a process whose memory can't be trusted any more: misuse, and what must never be. */
#ifndef LG_DIE_H
#define LG_DIE_H

#include "base.h"

/* Writes one line, "lgalloc: " and the parts, to standard error, and aborts. A part is a text or, where
 * the text is NULL, the number in hexadecimal. Uses write(2) alone. */
struct lg_part {
    const char *text;
    uint64_t number;
};
LG_HIDDEN LG_COLD LG_NORETURN void lg_die(const struct lg_part *parts, size_t count);

#define LG_TEXT(t) ((struct lg_part){(t), 0})
#define LG_HEX(n) ((struct lg_part){NULL, (uint64_t)(n)})
#define LG_DIE(...)                               \
    lg_die((const struct lg_part[]){__VA_ARGS__}, \
           sizeof((const struct lg_part[]){__VA_ARGS__}) / sizeof(struct lg_part))

#define LG_STRINGIFY_(x) #x
#define LG_STRINGIFY(x) LG_STRINGIFY_(x)

/* What must be true in a correct library whatever its callers do. */
#if LG_DEBUG
#define LG_ASSERT(x) \
    (LG_LIKELY(x) ? (void)0 : LG_DIE(LG_TEXT("internal check failed: " #x " at " __FILE__ ":" LG_STRINGIFY(__LINE__))))
#else
#define LG_ASSERT(x) ((void)sizeof(!(x)))
#endif

#endif
