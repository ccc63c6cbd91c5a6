/* The kinds of options: how a value is written, what of it is allowed, and how it is printed. Pure. */
#ifndef LG_PARSE_H
#define LG_PARSE_H

#include "format.h"

enum lg_kind {
    LG_KIND_SWITCH,  /* 0 or 1 */
    LG_KIND_COUNT,   /* a number */
    LG_KIND_BYTES,   /* the largest number means unlimited */
    LG_KIND_THREADS, /* a number of threads */
    LG_KIND_PERCENT, /* a share, at most half */
    LG_KIND_ARENA,   /* bytes of address space: 0, or a power of two that an arena may have */
    LG_KIND_TIME,    /* nanoseconds */
    LG_KIND_BACKING  /* lgalloc_backing */
};

/* Reads a value as people write it. */
LG_HIDDEN bool lg_parse(enum lg_kind kind, const char *text, uint64_t *out_value);
/* Whether a value may be, wherever it comes from. */
LG_HIDDEN bool lg_value_fits(enum lg_kind kind, uint64_t value);
/* In words, what lg_parse() reads. */
LG_HIDDEN const char *lg_allowed(enum lg_kind kind);
/* Writes a value as lg_parse() reads it. */
LG_HIDDEN void lg_put_value(lg_text *text, enum lg_kind kind, uint64_t value);

#endif
