#include "memory.h"

#include <string.h>

#include "chunks/chunk.h"
#include "regions/arena.h"
#include "regions/class.h"

struct world world;

size_t world_size_of(unsigned class_index)
{
    return (size_t)1 << (class_index + LGALLOC_SIZE_CLASS_MIN_LOG2);
}

unsigned world_regions_of(unsigned class_index)
{
    return (unsigned)(WORLD_ARENA / world_size_of(class_index));
}

world_span world_find(const void *addr, size_t len)
{
    size_t offset = (size_t)((const char *)addr - lg_arena_address(0));
    XP_CHECK(offset < WORLD_ARENA && "the address is in the arena");
    XP_CHECK(len != 0 && len <= WORLD_ARENA - offset && "the range is in the arena");
    world_span s = {(unsigned)(offset / world_size_of(0)), 0};
    s.count = (unsigned)((offset + len - 1) / world_size_of(0)) + 1 - s.first;
    return s;
}

unsigned world_chunk_of(world_span s)
{
    return (unsigned)(s.first * world_size_of(0) / WORLD_CHUNK);
}

unsigned world_class_of(size_t len)
{
    return (unsigned)__builtin_ctzl(len) - LGALLOC_SIZE_CLASS_MIN_LOG2;
}

bool *world_holds(unsigned unit)
{
    uint8_t how = world.mapped[unit];
    return how >= 2 ? &world.files[how - 2].holds[unit] : &world.holds[unit];
}

void world_note_busy(unsigned class_index, world_span s, bool more)
{
    unsigned chunks = world_size_of(class_index) > WORLD_CHUNK ? WORLD_CHUNKS : 1;
    for (unsigned i = 0; i < chunks; i++)
        world.busy[class_index][world_chunk_of(s) + i] += more ? 1u : (unsigned)-1;
}

/* ---- system calls: others may go on before each */

void world_mapped(const void *addr, size_t len, int fd, uint64_t offset)
{
    xp_point();
    world_span s = world_find(addr, len);
    xp_say("maps units", s.first, s.count);
    XP_CHECK(fd < 0 || offset == (uint64_t)s.first * world_size_of(0));
    XP_CHECK(fd < 0 || (fd < world.file_count && world.files[fd].open));
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.owner[i] == WORLD_NOBODY && "memory is mapped over a region in use");
        XP_CHECK(world.mapped[i] == 0 && "memory is mapped over a chunk that is there");
        world.mapped[i] = (uint8_t)(fd < 0 ? 1 : fd + 2);
        if (fd < 0)
            world.holds[i] = false;
    }
}

/* A part of a region in use, in the child of a fork. */
static void lose(unsigned unit)
{
    unsigned class_index = lg_class_index(lg_class_of(lg_arena_address(unit * world_size_of(0))));
    world.owner[unit] = WORLD_LOST;
    if (unit * world_size_of(0) % world_size_of(class_index) == 0) {
        world.owned[class_index]--;
        world_note_busy(class_index, (world_span){unit, 1}, false);
    }
}

void world_unmapped(const void *addr, size_t len)
{
    xp_point();
    world_span s = world_find(addr, len);
    xp_say("unmaps units", s.first, s.count);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        uint8_t *owner = &world.owner[i];
        if (world.forked && *owner != WORLD_NOBODY && *owner != WORLD_LOST && world.mapped[i] >= 2)
            lose(i);
        XP_CHECK((*owner == WORLD_NOBODY || *owner == WORLD_LOST) && "a region in use is unmapped");
        world.mapped[i] = 0;
    }
}

void world_cleared(const void *addr, size_t len)
{
    xp_point();
    world_span s = world_find(addr, len);
    xp_say("clears units", s.first, s.count);
    for (unsigned i = s.first; i < s.first + s.count; i++) {
        XP_CHECK(world.owner[i] == WORLD_NOBODY && "the memory of a region in use is taken away");
        *world_holds(i) = false;
    }
}

int world_open(void)
{
    XP_CHECK(world.file_count < WORLD_FILES);
    memset(&world.files[world.file_count], 0, sizeof(world.files[0]));
    world.files[world.file_count].open = true;
    return world.file_count++;
}

void world_close(int fd)
{
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open && "an open file is closed");
    world.files[fd].open = false;
}

static void lose_blocks(int fd, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < WORLD_UNITS; i++) {
        uint64_t start = (uint64_t)i * world_size_of(0);
        if (start < from || start >= to)
            continue;
        XP_CHECK((world.owner[i] == WORLD_NOBODY || world.mapped[i] != fd + 2) &&
                 "the file of a region in use loses its blocks");
        world.files[fd].holds[i] = false;
    }
}

void world_truncated(int fd, uint64_t size)
{
    xp_point();
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open);
    lose_blocks(fd, size, UINT64_MAX);
}

void world_punched(int fd, uint64_t offset, uint64_t len)
{
    xp_point();
    XP_CHECK(fd >= 0 && fd < world.file_count && world.files[fd].open);
    lose_blocks(fd, offset, offset + len);
}

bool world_is_owned(const void *addr, size_t len)
{
    uint8_t owner = world.owner[world_find(addr, len).first];
    return owner != WORLD_NOBODY && owner != WORLD_LOST;
}

void world_forked(void)
{
    world.forked = true;
    /* What a vanished thread was about to take or free belongs to nobody who could tell. */
    for (unsigned t = 0; t <= XP_THREADS; t++)
        world.taking[t] = 0;
}

/* The regions of before are where no map leads: in another reservation. */
void world_starts_over(void)
{
    world_forked();
    world.gone = lg_arena_address(0);
    memset(world.owner, WORLD_NOBODY, sizeof(world.owner));
    memset(world.mapped, 0, sizeof(world.mapped));
    memset(world.holds, 0, sizeof(world.holds));
    memset(world.owned, 0, sizeof(world.owned));
}
