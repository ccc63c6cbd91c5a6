/*
 * What memory there is, what it holds, and whose it is: as the clients say, who take and free, and as the library's system
 * calls say, which must do nothing to what somebody has.
 */
#ifndef FUZZ_WORLD_MEMORY_H
#define FUZZ_WORLD_MEMORY_H

#include "explorer/explore.h"

#define WORLD_ARENA ((size_t)64 << 20)
#define WORLD_CHUNK ((size_t)32 << 20)
#define WORLD_CLASSES 11 /* that fit such an arena */
#define WORLD_ADDRESSES ((size_t)256 << 20)

#define WORLD_UNITS 1024 /* of the smallest class's size */
#define WORLD_CHUNKS 2
#define WORLD_FILES 64
#define WORLD_LAST_FREES 16
#define WORLD_NOBODY 0
#define WORLD_LOST 255 /* in the child of a fork: its memory stayed with the parent */

/* Memory is looked at in units, whatever class a region is of. */
struct world {
    uint8_t owner[WORLD_UNITS];  /* thread + 1 */
    uint8_t mapped[WORLD_UNITS]; /* 0: not; 1: anonymous; fd + 2 */
    bool holds[WORLD_UNITS];     /* anonymous memory */
    struct {
        unsigned by;
        uint64_t store;
    } used[WORLD_UNITS]; /* when its last user wrote to it */
    struct {
        bool open;
        bool holds[WORLD_UNITS];
    } files[WORLD_FILES];
    int file_count;
    /* Calls under way, and regions that have an owner, also by chunk. */
    unsigned owned[WORLD_CLASSES];
    unsigned busy[WORLD_CLASSES][WORLD_CHUNKS];
    struct {
        unsigned class_index;
        unsigned chunk;
        uint64_t store;
    } last_frees[XP_THREADS][WORLD_LAST_FREES]; /* which others may not see yet */
    unsigned free_count[XP_THREADS];
    int taking[XP_THREADS + 1];         /* class + 1 */
    bool could_not[XP_THREADS + 1];     /* there was no region for the taker at some moment */
    size_t worst_bytes[XP_THREADS + 1]; /* not available to it at the worst moment */
    size_t limit;
    bool forked;
    const void *gone; /* the arena that a child that starts over leaves behind */
};
extern struct world world;

size_t world_size_of(unsigned class_index);
unsigned world_regions_of(unsigned class_index);
unsigned world_class_of(size_t len);

/* Where an address is. */
typedef struct world_span {
    unsigned first, count; /* units */
} world_span;

world_span world_find(const void *addr, size_t len);
unsigned world_chunk_of(world_span s);
bool *world_holds(unsigned unit);

/* Whether somebody has the region there. */
bool world_is_owned(const void *addr, size_t len);

/* Regions that have an owner, or are on their way from one to the library. */
void world_note_busy(unsigned class_index, world_span s, bool more);

/* ---- system calls: others may go on before each */

void world_mapped(const void *addr, size_t len, int fd, uint64_t offset);
void world_unmapped(const void *addr, size_t len);
void world_cleared(const void *addr, size_t len);
int world_open(void);
void world_close(int fd);
void world_truncated(int fd, uint64_t size);
void world_punched(int fd, uint64_t offset, uint64_t len);
void world_forked(void);
void world_starts_over(void);

#endif
