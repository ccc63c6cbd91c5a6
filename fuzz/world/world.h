/*
 * What the explored library's regions are to everybody else: who owns each, whether it is mapped, whether it
 * holds memory. The clients allocate and free through here; the system calls of world/os.c end here.
 *
 * The arena is 64 MiB, two chunks, so that classes are small: class 10 has one region, which takes both chunks; class 9
 * two, one in each; class 8 four, two in each, and so on.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "explorer/explore.h"
#include "lgalloc.h"

#define WORLD_ARENA ((size_t)64 << 20)
#define WORLD_CHUNK ((size_t)32 << 20)
#define WORLD_CLASSES 11 /* that fit such an arena */
#define WORLD_ADDRESSES ((size_t)256 << 20)

/* ---- for clients, by any logical thread */

/* Everything as it was when the process started, and the library brought up: enabled, anonymous memory. */
void world_reset(void);

/* Takes a region of a class. On failure the reason must be a good one; {dangling, 0} then. */
lgalloc_handle world_take(unsigned class_index);
/* The same by one part of the search alone: from the own cache, where that has one; by the last look before a refusal. */
lgalloc_handle world_take_cached(unsigned class_index);
lgalloc_handle world_take_last(unsigned class_index);
/* Frees any thread's region. */
void world_free(lgalloc_handle handle);
/* The calling thread's end: its destructors run, and it may begin anew. */
void world_thread_ends(void);
/* A fork, seen from the parent or from the child. */
void world_fork(bool as_child);
/* The calling thread goes on as the child of a fork that ran no handlers. */
void world_clone(void);

/* All that must be true while no thread runs. */
void world_check(void);
/* The same, and after a purge nothing is left. */
void world_check_end(void);

/* Options of one execution; set after world_reset(). */
void world_cache_regions(unsigned class_index, unsigned regions); /* local_buffer_bytes, in regions of a class */
void world_limit(size_t bytes);
void world_use_fences(void); /* as on a system without membarrier */
void world_spill(bool on);   /* whether there is a disk to evict to */
unsigned world_places(void); /* on it, that regions have */
/* May answer an errno for a call to fail with; NULL: none fails. */
extern int (*world_fault_plan)(unsigned call);

void world_run(xp_program *program); /* fills in what every program has in common */

/* ---- for world/os.c */

int world_fault(unsigned call);
void world_mapped(const void *addr, size_t len, int fd, uint64_t offset);
void world_unmapped(const void *addr, size_t len);
void world_cleared(const void *addr, size_t len);
int world_open(void);
void world_close(int fd);
void world_truncated(int fd, uint64_t size);
void world_punched(int fd, uint64_t offset, uint64_t len);
void world_clear_metadata(void);
void world_forked(void);
void world_starts_over(void);

#endif
