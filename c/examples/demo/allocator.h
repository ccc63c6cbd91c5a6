/*
 * The one seam between the work and where its memory comes from: the same code runs on every
 * allocator that fills in this table.
 */
#ifndef DEMO_ALLOCATOR_H
#define DEMO_ALLOCATOR_H

#include <stddef.h>

struct allocator {
    const char *name;
    /* `size` bytes, a power of two; NULL with errno set where there are none. Any thread. */
    void *(*allocate)(size_t size);
    /* Gives them back, with the size they were asked for. Any thread; NULL is not allowed. */
    void (*release)(void *ptr, size_t size);
};

#endif
