/*
 * The floor: a bare thread-local array of regions, without counters, checks, or a way for other
 * threads to get at them. Nothing that recycles regions per thread can do less.
 */
#include "bench.h"

/* More than any workload that the floor takes part in gives back in a row. */
enum { STACK = 512, AT_ONCE = 64 };

struct stack {
    size_t count;
    void *regions[STACK];
};

static _Thread_local struct stack stack;

/* Where the floor's memory comes from; constant once the contestant has started. */
static const char *directory;

__attribute__((noinline, cold)) static void *more(size_t size)
{
    char *memory = directory != NULL ? hand_map_file(directory, AT_ONCE * size)
                                     : hand_map_anonymous(AT_ONCE * size, size > 2 * MIB ? size : 2 * MIB, true);

    for (size_t i = AT_ONCE; i > 1; i--)
        stack.regions[stack.count++] = memory + (i - 1) * size;
    return memory;
}

/* At the start of cache lines: elsewhere a call may take half as long again. */
__attribute__((noinline, aligned(64))) void *floor_allocate(size_t size)
{
    if (__builtin_expect(stack.count == 0, 0))
        return more(size);
    return stack.regions[--stack.count];
}

__attribute__((noinline, aligned(64))) void floor_release(void *ptr, size_t size)
{
    (void)size;
    stack.regions[stack.count++] = ptr;
}

static void start_file(void)
{
    directory = settings.path;
}

const struct contestant floor_contestants[2] = {
    [FLOOR - FLOOR] = {"floor", NULL, floor_allocate, floor_release, NULL, NULL, NULL},
    [FLOOR_FILE - FLOOR] = {"floor on a file", start_file, floor_allocate, floor_release, NULL, NULL, NULL},
};
