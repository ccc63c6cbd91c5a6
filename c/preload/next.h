/*
 * The malloc that the process would have without this library: that of the object after it, usually the C library's.
 *
 * It is looked for with dlsym, which may allocate before it has an answer; for that there is a little room here, which is
 * never given back.
 */
#ifndef LGP_NEXT_H
#define LGP_NEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Looks for it, unless that is done or under way. Any thread. */
static void next_find(void);

static void *next_malloc(size_t size);
static void *next_calloc(size_t count, size_t size);
static void *next_realloc(void *ptr, size_t size);
static void next_free(void *ptr);
static void *next_memalign(size_t align, size_t size);
static void *next_aligned_alloc(size_t align, size_t size);
static int next_posix_memalign(void **out, size_t align, size_t size);
static size_t next_malloc_usable_size(void *ptr);

#endif
