/*
 * By hand: what a program does without an allocator, one mapping per region.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

enum { READ_WRITE = PROT_READ | PROT_WRITE };

void *hand_map_anonymous(size_t bytes, size_t alignment, bool huge)
{
    /* Twice the alignment too much, and both ends given back. */
    char *memory = mmap(NULL, bytes + alignment, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        give_up("mmap: %s", strerror(errno));
    const size_t before = (alignment - (uintptr_t)memory % alignment) % alignment;
    if (before > 0)
        munmap(memory, before);
    if (alignment - before > 0)
        munmap(memory + before + bytes, alignment - before);
    madvise(memory + before, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return memory + before;
}

void *hand_map_file(const char *directory, size_t bytes)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) { /* a file system without O_TMPFILE */
        char *name = NULL;
        if (asprintf(&name, "%s/lgalloc-bench-XXXXXX", directory) < 0)
            give_up("no memory for a file name");
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
        free(name);
    }
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        give_up("a file in %s: %s", directory, strerror(errno));
    void *memory = mmap(NULL, bytes, READ_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        give_up("mmap: %s", strerror(errno));
    close(fd);
    return memory;
}

static void *allocate(size_t size)
{
    void *memory = mmap(NULL, size, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void *allocate_small(size_t size)
{
    return hand_map_anonymous(size, PAGE, false);
}

static void *allocate_huge(size_t size)
{
    return hand_map_anonymous(size, 2 * MIB, true);
}

static void *allocate_populated(size_t size)
{
    void *memory = hand_map_anonymous(size, 2 * MIB, true);

    if (madvise(memory, size, MADV_POPULATE_WRITE) != 0)
        give_up("MADV_POPULATE_WRITE: %s", strerror(errno));
    return memory;
}

static void *allocate_file(size_t size)
{
    return hand_map_file(settings.path, size);
}

static void release(void *ptr, size_t size)
{
    munmap(ptr, size);
}

static void clear_anonymous(void *ptr, size_t size)
{
    if (madvise(ptr, size, MADV_DONTNEED) != 0)
        give_up("MADV_DONTNEED: %s", strerror(errno));
}

static void clear_file(void *ptr, size_t size)
{
    if (madvise(ptr, size, MADV_REMOVE) != 0)
        give_up("MADV_REMOVE: %s", strerror(errno));
}

static void *allocate_nothing(size_t size)
{
    static char nothing;

    (void)size;
    return &nothing;
}

static void release_nothing(void *ptr, size_t size)
{
    (void)ptr;
    (void)size;
}

const struct contestant hand_contestants[6] = {
    [MMAP - MMAP] = {"mmap and munmap", NULL, allocate, release, NULL, NULL, NULL},
    [MMAP_SMALL - MMAP] = {"mmap, 4 KiB pages", NULL, allocate_small, release, NULL, clear_anonymous, NULL},
    [MMAP_HUGE - MMAP] = {"mmap, huge pages", NULL, allocate_huge, release, NULL, clear_anonymous, NULL},
    [MMAP_POPULATE - MMAP] = {"mmap, huge, populate", NULL, allocate_populated, release, NULL, NULL, NULL},
    [HAND_FILE - MMAP] = {"file by hand", NULL, allocate_file, release, NULL, clear_file, NULL},
    [NOTHING - MMAP] = {"no allocation", NULL, allocate_nothing, release_nothing, NULL, NULL, NULL},
};
