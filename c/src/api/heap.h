/* The C library's heap, which serves what is no region: what is too small or too large for one, and what none was to be had
 * for. */
#ifndef LG_HEAP_H
#define LG_HEAP_H

#include "../base/atomic.h"

/* Memory of an alignment that is a power of two. Returns 0 or an errno value; `errno` stays as it is. */
LG_HIDDEN int lg_heap_aligned(size_t align, size_t size, void **out);

/* Frees, and leaves `errno` as it is; older C libraries may change it. */
LG_HIDDEN void lg_heap_free(void *ptr);

/* Requests of a region's size that the heap served, since there was no region. */
extern LG_HIDDEN lg_a64 lg_heap_fallbacks;

#endif
