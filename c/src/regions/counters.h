/* The list of a size class's counters: thread records hold them, the statistics add them up. */
#ifndef LG_COUNTERS_H
#define LG_COUNTERS_H

#include "../base/atomic.h"
#include "../base/os.h"

/* The names are those of lgalloc_size_class_stats. */
#define LG_HOT_COUNTERS(X) \
    X(allocations)         \
    X(deallocations)
#define LG_RARE_COUNTERS(X) \
    X(slow_path)            \
    X(refill)               \
    X(clear_eager_total)    \
    X(clear_slow_total)     \
    X(steals)

/* Of one thread and size class, or of all threads without a record. */
typedef struct lg_hot_counters {
#define X(name) lg_a64 name;
    LG_HOT_COUNTERS(X)
#undef X
} lg_hot_counters;

typedef struct lg_rare_counters {
#define X(name) lg_a64 name;
    LG_RARE_COUNTERS(X)
#undef X
} lg_rare_counters;

#endif
