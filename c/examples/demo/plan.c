#define _GNU_SOURCE 1

#include "plan.h"

#include "bytes.h"
#include "sort.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Besides regions: programs, libraries, stacks, what a malloc keeps per thread. */
#define BASE_BYTES ((size_t)16 << 20)
#define BYTES_PER_THREAD ((size_t)1 << 20)
#define ADDRESSES_PER_THREAD ((size_t)72 << 20) /* a stack, and the arena that glibc's malloc reserves */

/* What a sort has in regions: every word is in two places at most, the run it is merged from and the one it goes to. */
struct load {
    size_t words;   /* bytes of the input */
    size_t touched; /* bytes of regions that are written */
    size_t regions; /* bytes of regions, which are powers of two: the tail of some isn't written */
};

static bool fits(const char *what, size_t need, const struct room *room, char **out_problem)
{
    if (need <= room->bytes)
        return true;
    if (asprintf(out_problem, "%s of %s are needed, and %s are %s", bytes_text(need).text, what,
                 bytes_text(room->bytes).text, room->source) < 0)
        *out_problem = NULL;
    return false;
}

static bool measure_load(size_t bytes, struct load *out_load)
{
    if (bytes > SIZE_MAX / 128)
        return false;
    const size_t chunks = (bytes + SORT_CHUNK_BYTES - 1) / SORT_CHUNK_BYTES;
    out_load->words = bytes;
    out_load->touched = 2 * bytes;
    /* Of a power of two of chunks every run fills its region; of any other number, more than half of it. */
    out_load->regions = ((chunks & (chunks - 1)) == 0 ? 2 : 4) * chunks * SORT_CHUNK_BYTES;
    return true;
}

/*
 * Free regions stay with the allocator, and how many depends on it. Where they might not fit, a limit tells lgalloc what
 * there is: it gives back what is free before it goes beyond.
 */
static size_t choose_limit(const struct load *load, size_t room)
{
    const size_t ample = 8 * load->regions;

    if (room >= ample)
        return 0;
    return room > load->regions ? room : load->regions;
}

bool plan_make(size_t bytes, unsigned threads, lgalloc_backing backing, const char *path, size_t limit,
               struct plan *out_plan, char **out_problem)
{
    const size_t base = BASE_BYTES + 2 * 2 * (size_t)threads * BYTES_PER_THREAD; /* two processes, each 2 N threads */
    const bool on_files = backing == LGALLOC_BACKING_FILE;
    bool in_memory = !on_files;
    struct room addresses;
    struct load load;

    *out_problem = NULL;
    memset(out_plan, 0, sizeof *out_plan);
    if (!measure_load(bytes, &load)) {
        *out_problem = strdup("more words than there are addresses");
        return false;
    }
    if (on_files) {
        const int error = room_disk(path, &out_plan->disk_room, &in_memory);
        if (error != 0) {
            if (asprintf(out_problem, "lgalloc in '%s': %s", path, strerror(error)) < 0)
                *out_problem = NULL;
            return false;
        }
        out_plan->disk = load.touched;
    }
    if (limit != 0 && limit < load.regions) {
        if (asprintf(out_problem, "--limit %s: the sort has up to %s of regions in use", bytes_text(limit).text,
                     bytes_text(load.regions).text) < 0)
            *out_problem = NULL;
        return false;
    }
    /* malloc's process has its blocks, and its result for the other to compare with. */
    const size_t of_malloc = load.touched + load.words + base;
    out_plan->memory = of_malloc + (in_memory ? load.touched : 0);
    room_memory(&out_plan->memory_room);
    room_addresses(&addresses);
    /* lgalloc reserves at most half of the addresses that a limit leaves. */
    const size_t wanted = 2 * load.regions + load.words + base + 2 * (size_t)threads * ADDRESSES_PER_THREAD;
    if (!fits("memory", out_plan->memory, &out_plan->memory_room, out_problem) ||
        !fits("disk", out_plan->disk, &out_plan->disk_room, out_problem) ||
        !fits("address space", wanted, &addresses, out_problem))
        return false;

    size_t left = SIZE_MAX;
    if (on_files)
        left = out_plan->disk_room.bytes - out_plan->disk_room.bytes / 16;
    if (in_memory && out_plan->memory_room.bytes - of_malloc < left)
        left = out_plan->memory_room.bytes - of_malloc;
    out_plan->limit_asked_for = limit != 0;
    out_plan->limit = limit != 0 ? limit : choose_limit(&load, left);
    return true;
}

size_t plan_regions(size_t bytes)
{
    struct load load;

    return measure_load(bytes, &load) ? load.regions : SIZE_MAX;
}

void plan_print(const struct plan *plan)
{
    printf("needs    %s of memory at least; %s are %s\n", bytes_text(plan->memory).text,
           bytes_text(plan->memory_room.bytes).text, plan->memory_room.source);
    if (plan->disk != 0)
        printf("         %s of disk at least; %s are %s\n", bytes_text(plan->disk).text,
               bytes_text(plan->disk_room.bytes).text, plan->disk_room.source);
    if (plan->limit != 0)
        printf("limit    %s for lgalloc, %s\n", bytes_text(plan->limit).text,
               plan->limit_asked_for ? "as asked for" : "which is what there is room for");
}
