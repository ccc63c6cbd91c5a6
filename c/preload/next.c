#include "next.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* X(result, name, parameters) */
#define NEXT_FUNCTIONS(X)                                           \
    X(void *, malloc, (size_t size))                                \
    X(void *, calloc, (size_t count, size_t size))                  \
    X(void *, realloc, (void *ptr, size_t size))                    \
    X(void, free, (void *ptr))                                      \
    X(void *, memalign, (size_t align, size_t size))                \
    X(void *, aligned_alloc, (size_t align, size_t size))           \
    X(int, posix_memalign, (void **out, size_t align, size_t size)) \
    X(size_t, malloc_usable_size, (void *ptr))

enum stage { UNKNOWN = 0, LOOKING, FOUND };
static atomic_int stage;

#define X(result, name, parameters) static result first_##name parameters;
NEXT_FUNCTIONS(X)
#undef X

/* What is called: as long as it isn't found, functions that look for it. Each pointer is all that there is to know, so
 * whoever sees it may call it. */
static struct {
#define X(result, name, parameters) result(*_Atomic name) parameters;
    NEXT_FUNCTIONS(X)
#undef X
} next = {
#define X(result, name, parameters) .name = first_##name,
    NEXT_FUNCTIONS(X)
#undef X
};
#define NEXT(name) atomic_load_explicit(&next.name, memory_order_relaxed)

/* ---- room until it is found */

#define ROOM_BYTES ((size_t)64 << 10)
#define ROOM_ALIGN ((size_t)16)
static _Alignas(16) char room[ROOM_BYTES];
static atomic_size_t room_used;

static bool in_room(const void *ptr)
{
    return (uintptr_t)ptr - (uintptr_t)room < ROOM_BYTES;
}

/* Each block has its size before it. Zeros, since nothing was there before. */
static void *room_take(size_t align, size_t size)
{
    size_t wanted;
    align = align > ROOM_ALIGN ? align : ROOM_ALIGN;
    if (align > ROOM_BYTES || __builtin_add_overflow(size, align + 2 * ROOM_ALIGN - 1, &wanted) ||
        wanted > ROOM_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    size_t start = atomic_fetch_add_explicit(&room_used, wanted, memory_order_relaxed);
    if (start > ROOM_BYTES - wanted) {
        atomic_fetch_sub_explicit(&room_used, wanted, memory_order_relaxed);
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t block = ((uintptr_t)room + start + ROOM_ALIGN + align - 1) & ~(uintptr_t)(align - 1);
    memcpy((char *)block - sizeof(size_t), &size, sizeof(size_t));
    return (void *)block;
}

static size_t room_size(const void *ptr)
{
    size_t size;
    memcpy(&size, (const char *)ptr - sizeof(size_t), sizeof(size_t));
    return size;
}

/* ---- looking */

static void *look_for(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        static const char text[] = "lgalloc-preload: there is no other malloc\n";
        ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)ignored;
        abort();
    }
    return found;
}

static void next_find(void)
{
    int nobody = UNKNOWN;
    if (!atomic_compare_exchange_strong(&stage, &nobody, LOOKING))
        return;
    void *found; /* a function by a pointer to data, as POSIX has it */
#define X(result, name, parameters) \
    result(*name) parameters;       \
    found = look_for(#name);        \
    memcpy(&name, &found, sizeof(found));
    NEXT_FUNCTIONS(X)
#undef X
#define X(result, name, parameters) atomic_store_explicit(&next.name, name, memory_order_relaxed);
    NEXT_FUNCTIONS(X)
#undef X
    /* Release: the pointers. Partner: the acquire in is_found(), without which one of them may still be what looks. */
    atomic_store_explicit(&stage, FOUND, memory_order_release);
}

static bool is_found(void)
{
    next_find();
    return atomic_load_explicit(&stage, memory_order_acquire) == FOUND;
}

/* ---- the first calls */

static void *first_malloc(size_t size)
{
    return is_found() ? NEXT(malloc)(size) : room_take(ROOM_ALIGN, size);
}

static void *first_calloc(size_t count, size_t size)
{
    if (is_found())
        return NEXT(calloc)(count, size);
    size_t bytes;
    return room_take(ROOM_ALIGN, __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes);
}

/* Blocks that there are before it is found are in the room, and don't come here. */

static void *first_realloc(void *ptr, size_t size)
{
    return is_found() ? NEXT(realloc)(ptr, size) : ptr == NULL ? room_take(ROOM_ALIGN, size) : NULL;
}

static void first_free(void *ptr)
{
    if (is_found())
        NEXT(free)(ptr);
}

static size_t first_malloc_usable_size(void *ptr)
{
    return is_found() ? NEXT(malloc_usable_size)(ptr) : 0;
}

static void *first_memalign(size_t align, size_t size)
{
    return is_found() ? NEXT(memalign)(align, size) : room_take(align, size);
}

static void *first_aligned_alloc(size_t align, size_t size)
{
    return is_found() ? NEXT(aligned_alloc)(align, size) : room_take(align, size);
}

static int first_posix_memalign(void **out, size_t align, size_t size)
{
    if (is_found())
        return NEXT(posix_memalign)(out, align, size);
    void *block = room_take(align, size);
    if (block != NULL)
        *out = block;
    return block != NULL ? 0 : ENOMEM;
}

/* ---- what it does */

static void *next_malloc(size_t size)
{
    return NEXT(malloc)(size);
}

static void *next_calloc(size_t count, size_t size)
{
    return NEXT(calloc)(count, size);
}

/* What is in the room can't grow there. */
static void *leave_room(const void *ptr, size_t size)
{
    void *moved = next_malloc(size);
    if (moved != NULL) {
        size_t old = room_size(ptr);
        memcpy(moved, ptr, old < size ? old : size);
    }
    return moved;
}

static void *next_realloc(void *ptr, size_t size)
{
    return in_room(ptr) ? leave_room(ptr, size) : NEXT(realloc)(ptr, size);
}

static void next_free(void *ptr)
{
    if (!in_room(ptr))
        NEXT(free)(ptr);
}

static void *next_memalign(size_t align, size_t size)
{
    return NEXT(memalign)(align, size);
}

static void *next_aligned_alloc(size_t align, size_t size)
{
    return NEXT(aligned_alloc)(align, size);
}

static int next_posix_memalign(void **out, size_t align, size_t size)
{
    return NEXT(posix_memalign)(out, align, size);
}

static size_t next_malloc_usable_size(void *ptr)
{
    return in_room(ptr) ? room_size(ptr) : NEXT(malloc_usable_size)(ptr);
}
