/* What the explored library's system does besides: threads end, processes fork, and there may be a disk. */
#ifndef FUZZ_WORLD_SYSTEM_H
#define FUZZ_WORLD_SYSTEM_H

#include "explorer/explore.h"

/* The calling thread's end: its destructors run, and it may begin anew. */
void world_thread_ends(void);
/* A fork, seen from the parent or from the child. */
void world_fork(bool as_child);
/* The calling thread goes on as the child of a fork that ran no handlers. */
void world_clone(void);

void world_spill(bool on);   /* whether there is a disk to evict to */
unsigned world_places(void); /* on it, that regions have */

/* What the library has written to its metadata is forgotten, as before it did. */
void world_clear_metadata(void);

#endif
