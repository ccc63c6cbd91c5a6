/* The list of a size class's counters: thread records hold them, the statistics add them up. */
#ifndef LG_COUNTERS_H
#define LG_COUNTERS_H

#include "atomic.h"

/* The names are those of lgalloc_size_class_stats. The two of the hot path come first. */
#define LG_COUNTERS(X)                                                                                       \
    X(allocations)                                                                                           \
    X(deallocations)                                                                                         \
    X(slow_path)                                                                                             \
    X(refill)                                                                                                \
    X(clear_eager_total)                                                                                     \
    X(clear_slow_total)                                                                                      \
    X(steals)

typedef struct lg_counters {
#define X(name) lg_a64 name;
    LG_COUNTERS(X)
#undef X
} lg_counters;

#endif
