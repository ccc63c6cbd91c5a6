/*
 * How much this program may take of the machine, and who says so.
 */
#ifndef DEMO_ROOM_H
#define DEMO_ROOM_H

#include <stdbool.h>
#include <stddef.h>

struct room {
    size_t bytes;     /* SIZE_MAX: nobody sets a bound */
    char source[160]; /* who does */
};

/* Memory: what the system could give without swapping, or less where a cgroup that this process is in allows less. */
void room_memory(struct room *out_room);

/* Addresses: what RLIMIT_AS leaves. */
void room_addresses(struct room *out_room);

/* A directory's file system. Returns 0, or an errno where no file can be made there. `out_in_memory`: its files take memory. */
int room_disk(const char *path, struct room *out_room, bool *out_in_memory);

#endif
