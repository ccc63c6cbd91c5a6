/*
 * lgalloc: large power-of-two memory regions for databases, stream processors and array programs.
 *
 * Regions of 64 KiB to 64 GiB are mapped from unlinked files, so that the operating system can page
 * them out without swap, or from anonymous memory. They are recycled without system calls or page
 * faults, and given back when they are idle. Linux only; the library needs libc and pthreads.
 *
 *     lgalloc_config *config = lgalloc_config_new();
 *     lgalloc_config_enable(config);
 *     lgalloc_config_with_path(config, "/var/tmp");
 *     lgalloc_set_config(config);
 *     lgalloc_config_free(config);
 *
 *     lgalloc_handle handle;
 *     if (lgalloc_allocate(1 << 21, 1, 1, NULL, NULL, &handle) == LGALLOC_STATUS_OK) {
 *         memset(handle.ptr, 0, handle.len);
 *         lgalloc_deallocate(handle);
 *     }
 *
 *     void *memory = lgalloc_malloc(3000000);    or by address alone
 *     lgalloc_free(memory);
 *
 * Conventions that hold for every function unless it says otherwise:
 *
 * - Sizes and offsets are in bytes, capacities and lengths of regions in elements, times in
 *   nanoseconds.
 * - Every function may be called from any thread at any time, also from destructors of
 *   thread-specific data and from the child after fork(). None is async-signal-safe.
 *   An object that is passed by pointer must not be used by two threads at once if one changes it.
 * - fork(): the parent notices nothing of it. In the child, regions on files are lost: touching one is a
 *   fault, freeing one does nothing, and new ones come from new files. Anonymous ones are copied on
 *   write. What was lost counts as neither in use nor freed. The worker starts again when the child
 *   first needs memory. The forking thread may allocate and free in the fork handlers of other
 *   libraries, whatever their order.
 * - A child that runs no fork handlers (of clone() or _Fork(), or of a program in another link
 *   namespace) notices what it is when it first needs memory, and starts over: with a new reservation,
 *   and figures and counters that begin at zero. It may read and write the anonymous regions that it
 *   inherited; freeing them does nothing, and those on files are lost. This takes Linux 4.14. Children
 *   of vfork() and posix_spawn() share the parent's memory, and must call nothing here.
 * - Signal handlers must call nothing here, but they may call fork(), also while their thread is inside
 *   the library. The parent goes on. Such a child may call exec() or _exit(). If it calls functions of
 *   this library within the handler, it starts over as above; it must not return from the handler and
 *   use the library then.
 * - File descriptors: a program may close all of them, and open files of its own under the same numbers.
 *   The library asks what a descriptor refers to before it uses one, touches and closes nothing else,
 *   and goes on in new files. What was mapped from a file whose descriptor is gone stays usable; its
 *   blocks are given back by punching holes and when the last of its areas is unmapped, and
 *   lgalloc_stats_files() can't count it. A close in another thread between that look and the use, with
 *   an open that gets the number, is the one thing that can't be told. No descriptor is below 3.
 * - A sandbox that refuses a system call from some moment on: allocating answers IO with that `errno`
 *   where the call is needed, and nothing aborts. Without membarrier(), threads no longer take regions
 *   from each other's caches, but for when memory is short, and what needs a barrier waits a millisecond
 *   for it. A filter that kills is the program's own affair.
 * - An object that contains the library, whether liblgalloc.so or a plugin with the code inside, stays
 *   loaded when it is closed: threads may still have to give back what they cached.
 * - mlockall(): areas count as locked memory while they are mapped, a page is locked when it is touched
 *   (lgalloc_populate() touches ahead), and addresses that are only reserved are neither locked nor
 *   counted; before Linux 6.11 MCL_CURRENT counts them, though no memory comes of it. Where
 *   RLIMIT_MEMLOCK allows no more, allocating is IO with EAGAIN; the first area takes 32 MiB. A process that is held to such a limit
 *   calls mlockall() before its first allocation: the kernel compares the limit with all addresses that
 *   are reserved, and refuses MCL_CURRENT with ENOMEM later.
 * - Pointers must not be NULL where the text does not allow it. A NULL out pointer of a function that
 *   returns a status is LGALLOC_STATUS_INVALID_ARGUMENT; void functions ignore NULL.
 * - On any status but LGALLOC_STATUS_OK no memory is handed out, the allocator is as it was, and the
 *   out parameters hold an empty value that is safe to drop.
 * - `errno` is set where LGALLOC_STATUS_IO is returned and where functions like lgalloc_malloc() return NULL,
 *   and kept by the functions that free.
 * - Misuse (a region freed twice, a pointer that is not a region's start, a length that is not the
 *   region's) is found in every build: one line on standard error says what was seen, then abort().
 *   But a region that somebody else got between two frees is that owner's: the second free takes it
 *   from him unnoticed. Nothing else is ever written to standard output or standard error, but for what
 *   LGALLOC_STATS asks for; see lgalloc_config_from_env().
 */
#ifndef LGALLOC_H
#define LGALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------- version and constants */

#define LGALLOC_VERSION_MAJOR 0
#define LGALLOC_VERSION_MINOR 1
#define LGALLOC_VERSION_PATCH 0

/* The version as one number that can be compared: major << 16 | minor << 8 | patch. */
#define LGALLOC_VERSION \
    ((LGALLOC_VERSION_MAJOR << 16) | (LGALLOC_VERSION_MINOR << 8) | LGALLOC_VERSION_PATCH)

/* Regions are powers of two from 2^16 bytes (64 KiB) to 2^36 bytes (64 GiB), both inclusive. */
#define LGALLOC_SIZE_CLASS_MIN_LOG2 16
#define LGALLOC_SIZE_CLASS_MAX_LOG2 36
#define LGALLOC_SIZE_CLASS_COUNT 21

/* ---------------------------------------------------------------- enums */

/*
 * The result of a call. Values 1 to 5 are the original crate's `AllocError`, in its order.
 */
enum lgalloc_status
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
    : int32_t
#endif
{
    /* Done. */
    LGALLOC_STATUS_OK = 0,
    /* A system call failed; `errno` says why. ENOENT: file backing, and no path was configured or there
     * is no such directory. */
    LGALLOC_STATUS_IO = 1,
    /* The size class is exhausted, the limit is reached, or the heap has no more. */
    LGALLOC_STATUS_OUT_OF_MEMORY = 2,
    /* Rounded up to a power of two, the request is below 64 KiB or above 64 GiB. */
    LGALLOC_STATUS_INVALID_SIZE_CLASS = 3,
    /* The allocator is switched off; it is so until lgalloc_config_enable() was set. */
    LGALLOC_STATUS_DISABLED = 4,
    /* The element's alignment is more than a region of this size can give. */
    LGALLOC_STATUS_UNALIGNED_MEMORY = 5,
    /* A NULL out pointer, an alignment that is no power of two, `capacity * elem_size` overflows, … */
    LGALLOC_STATUS_INVALID_ARGUMENT = 6,
    /* The elements don't fit; nothing was changed. A region is never re-allocated. */
    LGALLOC_STATUS_CAPACITY_EXCEEDED = 7,
    /* A range reaches beyond the end of the allocation. */
    LGALLOC_STATUS_OUT_OF_BOUNDS = 8,
    /* A sealed region's contents are not in memory, and the call doesn't wait for the disk. */
    LGALLOC_STATUS_NOT_RESIDENT = 9,
    /* A sealed region is pinned. */
    LGALLOC_STATUS_BUSY = 10
};
#ifndef __cplusplus
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
typedef enum lgalloc_status lgalloc_status;
#else
typedef int32_t lgalloc_status;
#endif
#endif

/*
 * Where the pages of new areas come from.
 */
enum lgalloc_backing
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
    : int32_t
#endif
{
    /* Unlinked files in the configured directory: can be paged out without swap. The default. */
    LGALLOC_BACKING_FILE = 0,
    /* Anonymous memory, with huge pages where the system has them. Needs no path. */
    LGALLOC_BACKING_ANONYMOUS = 1
};
#ifndef __cplusplus
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
typedef enum lgalloc_backing lgalloc_backing;
#else
typedef int32_t lgalloc_backing;
#endif
#endif

/*
 * What lgalloc_stats_print() writes.
 */
enum lgalloc_format
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
    : int32_t
#endif
{
    /* For people: tables of what there is, the size classes that were used, and the options in force. */
    LGALLOC_FORMAT_TEXT = 0,
    /* One object: "version", "process" (its number), "global", "size_classes" (an array of all, smallest
     * first) and "options". */
    LGALLOC_FORMAT_JSON = 1,
    /* Prometheus' text format, version 0.0.4: lgalloc_…, lgalloc_size_class_…{size_class="65536"}, and
     * lgalloc_config_…; what is words stands in lgalloc_info. */
    LGALLOC_FORMAT_PROMETHEUS = 2
};
#ifndef __cplusplus
#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
typedef enum lgalloc_format lgalloc_format;
#else
typedef int32_t lgalloc_format;
#endif
#endif

/* ---------------------------------------------------------------- opaque types */

/*
 * A set of options to apply; options that were not set stay as they are.
 */
typedef struct lgalloc_config lgalloc_config;

/* ---------------------------------------------------------------- structs */

/*
 * A vector of fixed capacity: the original crate's `Region<T>`. The fields may be read; only the
 * functions below change them. A region is owned by whoever holds it. A copy of the struct is not a copy
 * of the memory: of all copies one is dropped, with lgalloc_region_drop(), which leaves that one empty.
 */
typedef struct lgalloc_region {
    /* The first element. Never NULL: aligned and dangling where nothing is allocated. */
    void *ptr;
    /* Elements in use. */
    size_t len;
    /* Elements that fit; SIZE_MAX for zero-sized elements. */
    size_t capacity;
    /* Bytes per element. */
    size_t elem_size;
    /* Bytes of the mapped region behind it; 0 for a heap or empty region. */
    size_t mapped;
} lgalloc_region;

/*
 * A raw allocation: the original crate's `Handle`. `len` is the region's size in bytes, a power of
 * two, which may be more than was asked for. {dangling, 0} holds nothing and may be freed any number
 * of times. A handle is plain data: copying it does not copy the memory, and it is freed once.
 */
typedef struct lgalloc_handle {
    void *ptr;
    size_t len;
} lgalloc_handle;

/*
 * One size class. All counts are since the process started and never go down unless the text says
 * "now". A snapshot taken while other threads allocate may be off by what they have in flight. Regions are
 * counted whole: what programs asked for of them is not known, as no free says it.
 */
typedef struct lgalloc_size_class_stats {
    /* Bytes per region. */
    size_t size_class;
    /* Areas now, and their bytes. Memory is backed, changes its size class and is given back in chunks of 32 MiB,
     * or of one region where that is more; an area is chunks of this size class that lie together and were backed at
     * one go. Both go up and down as chunks, while all their regions are free, move between size classes. */
    size_t areas;
    size_t area_total_bytes;
    /* Free regions now: thread_regions + global_regions + clean_regions. */
    size_t free_regions;
    /* Free regions in the shared pool, now, that hold no memory and read as zero. */
    size_t clean_regions;
    /* Free regions in the shared pool, now, that may hold memory or disk blocks. */
    size_t global_regions;
    /* Free regions in the caches of threads, now. */
    size_t thread_regions;
    /* Regions handed out and not yet freed, now, evicted ones too; in the child of a fork less what was lost. */
    size_t in_use_regions;
    /* Regions handed out. */
    uint64_t allocations;
    /* Allocations that found no free region anywhere, at first sight. */
    uint64_t slow_path;
    /* Allocations for which nothing that held memory was left: clean chunks of other size classes, or a new area. */
    uint64_t refill;
    /* Regions freed. */
    uint64_t deallocations;
    /* Regions cleared on their way out of a thread's cache, and by the worker or a purge. */
    uint64_t clear_eager_total;
    uint64_t clear_slow_total;
    /* Regions taken from another thread's cache. */
    uint64_t steals;
    /* Areas, or parts of one that lie together, given back to the system. */
    uint64_t areas_released;
    /* Zero; room for more counters. */
    uint64_t reserved[6];
} lgalloc_size_class_stats;

/*
 * The allocator as a whole, now; those of type uint64_t are counts since the process started.
 */
typedef struct lgalloc_global_stats {
    /* Bytes of regions handed out, without those that are evicted. */
    size_t in_use_bytes;
    /* Bytes of free regions that may hold memory, thread caches included: an upper bound on what they
     * hold, since what was never written in a region holds none. lgalloc_stats_print() and
     * lgalloc_stats_maps() ask the system. */
    size_t dirty_bytes;
    /* Bytes of free regions that hold no memory. */
    size_t clean_bytes;
    /* Bytes of all areas: in use, dirty and clean. */
    size_t area_bytes;
    /* Address space that is reserved for areas of all size classes together; it costs no memory. */
    size_t reserved_address_bytes;
    /* Bytes of the library's own bookkeeping that are readable and writable. */
    size_t metadata_bytes;
    /* The configured bound on in_use_bytes + dirty_bytes; 0: none. */
    size_t limit_bytes;
    /* Clearing a free region, discarding part of one in use, or giving back part of one to be zeroed failed; it stays
     * usable. */
    uint64_t clear_failures;
    /* The system refused advice (huge pages, fork, prefetch, cold); nothing else happened. */
    uint64_t advise_failures;
    /* Allocations, and pins that had to load, refused because of limit_bytes. */
    uint64_t limit_failures;
    /* lgalloc_region_new_auto() or an lgalloc_any_ function took the heap because mapped memory was not to be had. */
    uint64_t heap_fallbacks;
    /* Bytes of sealed regions that are resident: a part of in_use_bytes. */
    size_t sealed_bytes;
    /* Bytes of sealed regions that are evicted: no part of in_use_bytes. */
    size_t evicted_bytes;
    /* Bytes of disk blocks that spill files have. */
    size_t spill_file_bytes;
    /* Regions evicted, and loaded again. */
    uint64_t evictions;
    uint64_t loads;
    /* Regions that could not be evicted, and stayed resident, or not be loaded, and stayed evicted: a full disk, a failed
     * read or write, a wrong checksum, a system that refused. */
    uint64_t spill_failures;
    /* Zero; room for more. */
    uint64_t reserved[2];
} lgalloc_global_stats;

/*
 * What the file system holds for one size class, in bytes: the end of its files, and the disk blocks
 * (memory, on tmpfs) that they occupy.
 */
typedef struct lgalloc_file_stats {
    size_t size_class;
    size_t file_size;
    size_t allocated_size;
} lgalloc_file_stats;

/*
 * What the kernel holds in memory for one size class, in bytes: pages mapped, pages on the active
 * list, dirty pages.
 */
typedef struct lgalloc_map_stats {
    size_t size_class;
    size_t mapped;
    size_t active;
    size_t dirty;
} lgalloc_map_stats;

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- version and status */

/*
 * The version of the library that runs, as LGALLOC_VERSION is of the header that was compiled.
 */
uint32_t lgalloc_version(void);

/*
 * A short English text for a status; static, never NULL, also for values that are no status.
 */
const char *lgalloc_status_str(lgalloc_status status);

/* Calls of some functions go through the global offset table instead of a stub: one jump less. */
#if defined(__GNUC__) && !defined(__clang__)
#define LGALLOC_NOPLT __attribute__((__noplt__))
#else
#define LGALLOC_NOPLT
#endif

/* ---------------------------------------------------------------- regions */

/*
 * Makes an empty region that holds no memory: `Region::new_empty`.
 *
 * elem_size:  bytes per element; 0 is allowed.
 * elem_align: bytes, a power of two; anything else is taken as 1.
 * out_region: overwritten, not dropped first.
 */
void lgalloc_region_new_empty(size_t elem_size, size_t elem_align, lgalloc_region *out_region);

/*
 * Makes a region on the process's heap: `Region::new_heap`. Zero elements and zero-sized elements
 * succeed without memory.
 *
 * capacity:   elements; exactly so many fit.
 * elem_size:  bytes per element.
 * elem_align: bytes, a power of two.
 * out_region: overwritten, not dropped first; empty on failure.
 *
 * Returns OK, OUT_OF_MEMORY (no heap), INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_region_new_heap(size_t capacity, size_t elem_size, size_t elem_align,
                                       lgalloc_region *out_region);

/*
 * Makes a region on mapped memory: `Region::new_mmap`. Zero elements and zero-sized elements succeed
 * without memory.
 *
 * capacity:   elements, at least; all that fit in the region can be used. All together more than
 *             32 KiB and at most 64 GiB.
 * elem_size:  bytes per element.
 * elem_align: bytes, a power of two; a region is aligned to its own size.
 * out_region: overwritten, not dropped first; empty on failure.
 *
 * The contents are undefined: recycled memory is not cleared.
 *
 * Returns OK, IO, OUT_OF_MEMORY, INVALID_SIZE_CLASS, DISABLED, UNALIGNED_MEMORY, INVALID_ARGUMENT.
 */
LGALLOC_NOPLT
lgalloc_status lgalloc_region_new_mmap(size_t capacity, size_t elem_size, size_t elem_align,
                                       lgalloc_region *out_region);

/*
 * Makes a region on mapped memory where 64 KiB to 64 GiB are asked for, else on the heap:
 * `Region::new_auto`. Where mapped memory is not to be had (disabled, exhausted, I/O error, an
 * alignment above the region's size) the heap is taken and `heap_fallbacks` counts it; a `limit_bytes`
 * that is reached stays a limit, and is OUT_OF_MEMORY.
 *
 * Parameters as lgalloc_region_new_mmap(). Returns OK, OUT_OF_MEMORY, INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_region_new_auto(size_t capacity, size_t elem_size, size_t elem_align,
                                       lgalloc_region *out_region);

/* Elements that fit; SIZE_MAX for zero-sized elements; 0 for NULL. */
size_t lgalloc_region_capacity(const lgalloc_region *region);

/* Elements in use; 0 for NULL. */
size_t lgalloc_region_len(const lgalloc_region *region);

/* Whether no element is in use; true for NULL. */
bool lgalloc_region_is_empty(const lgalloc_region *region);

/* Whether the memory comes from lgalloc's mapped regions; false for heap and empty regions and NULL. */
bool lgalloc_region_is_mapped(const lgalloc_region *region);

/* The first element, valid until the region is dropped; never NULL but for NULL. */
const void *lgalloc_region_as_ptr(const lgalloc_region *region);
void *lgalloc_region_as_mut_ptr(lgalloc_region *region);

/*
 * Appends `count` elements, copied from `elems`: `Region::extend_from_slice`.
 *
 * elems: count * elem_size bytes that don't overlap the region's spare part; NULL is allowed where
 *        that is 0 bytes.
 *
 * Returns OK, CAPACITY_EXCEEDED (nothing was changed), INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_region_extend_from_slice(lgalloc_region *region, const void *elems, size_t count);

/*
 * Where the next elements go: memory for *out_count elements behind those in use, to be filled by the
 * caller, who then calls lgalloc_region_set_len().
 *
 * out_count: elements that fit there; may be NULL.
 *
 * Returns a pointer that is valid until the region is dropped, dangling if nothing fits; NULL for
 * NULL.
 */
void *lgalloc_region_spare(lgalloc_region *region, size_t *out_count);

/*
 * Says how many elements are in use, after filling the spare part or to shorten.
 *
 * Returns OK, CAPACITY_EXCEEDED (nothing was changed), INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_region_set_len(lgalloc_region *region, size_t len);

/* Sets the length to 0; the memory is kept: `Region::clear`. */
void lgalloc_region_clear(lgalloc_region *region);

/*
 * Gives the memory back and leaves the region empty; dropping it once more is harmless. Any thread may
 * drop a region that any thread made. NULL is ignored. Keeps errno. Elements are plain bytes here:
 * nothing is called for them. Dropping two copies of a region is misuse; on the heap it goes unnoticed,
 * as with free().
 */
LGALLOC_NOPLT
void lgalloc_region_drop(lgalloc_region *region);

/*
 * The region's memory as a handle, borrowed: for the hints below, not to be freed. {dangling, 0} for
 * heap and empty regions and NULL.
 */
lgalloc_handle lgalloc_region_handle(const lgalloc_region *region);

/* ---------------------------------------------------------------- raw allocations */

/*
 * Allocates memory for at least `capacity` elements: the crate's `allocate`. Zero elements and
 * zero-sized elements succeed without memory.
 *
 * capacity:     elements, at least. All together none, or more than 32 KiB and at most 64 GiB.
 * elem_size:    bytes per element.
 * elem_align:   bytes, a power of two; a region is aligned to its own size.
 * out_ptr:      the first element, never NULL on success; may be NULL if not wanted.
 * out_capacity: elements that fit, SIZE_MAX for zero-sized elements; may be NULL if not wanted.
 * out_handle:   owns the memory; to be freed once with lgalloc_deallocate(), by any thread.
 *
 * On failure *out_ptr is dangling, *out_capacity 0 and *out_handle {dangling, 0}. The contents are
 * undefined: recycled memory is not cleared.
 *
 * Returns OK, IO, OUT_OF_MEMORY, INVALID_SIZE_CLASS, DISABLED, UNALIGNED_MEMORY, INVALID_ARGUMENT.
 */
LGALLOC_NOPLT
lgalloc_status lgalloc_allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                size_t *out_capacity, lgalloc_handle *out_handle);

/*
 * As lgalloc_allocate(), and every byte of the region is zero. That costs what the region's last users
 * used: pages and disk blocks that were never touched are neither written nor brought in. The library
 * raises no SIGBUS where it can't have a disk block for its zeros: that is IO with ENOSPC, and the
 * region stays free.
 */
LGALLOC_NOPLT
lgalloc_status lgalloc_allocate_zeroed(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                       size_t *out_capacity, lgalloc_handle *out_handle);

/*
 * Frees an allocation: the crate's `deallocate`. Any thread may; a handle that holds nothing is
 * ignored. Works also while the allocator is disabled. Keeps errno. Misuse aborts.
 */
LGALLOC_NOPLT
void lgalloc_deallocate(lgalloc_handle handle);

/*
 * As malloc, for who needs neither a status nor a handle: {address, size rounded up to a power of two}
 * is the handle, for the hints below and for lgalloc_deallocate().
 *
 * size: bytes, more than 32 KiB and at most 64 GiB; all up to the next power of two may be used.
 *       Anything else is refused: small memory belongs to malloc.
 *
 * Returns the region's address, aligned to the region's size, to be freed once, by any thread, with
 * lgalloc_free() or lgalloc_free_sized(). The contents are undefined. NULL on failure, and errno says
 * why: EINVAL (a size below or above, 0 too), ENOMEM (out of memory, or the limit is reached), EPERM
 * (disabled), ENOENT (file backing, and no path was configured or there is no such directory), or what
 * a system call said.
 */
LGALLOC_NOPLT
void *lgalloc_malloc(size_t size);

/*
 * As lgalloc_malloc(), and every byte is zero, as with lgalloc_allocate_zeroed().
 *
 * count: elements.
 * size:  bytes per element; the product is more than 32 KiB and at most 64 GiB.
 *
 * Returns as lgalloc_malloc(); EINVAL also where the product overflows.
 */
LGALLOC_NOPLT
void *lgalloc_calloc(size_t count, size_t size);

/*
 * Frees a region that lgalloc_malloc() or lgalloc_calloc() returned, or that a handle holds; not one of
 * an lgalloc_region, which lgalloc_region_drop() frees. Any thread may; NULL is ignored. Works also
 * while the allocator is disabled. Keeps errno. Misuse aborts.
 */
LGALLOC_NOPLT
void lgalloc_free(void *ptr);

/*
 * As lgalloc_free(), for who knows the size, like C23's free_sized: a little faster, and a wrong size is
 * misuse, which aborts.
 *
 * size: bytes that were asked for, or anything that rounds up to the same power of two.
 */
LGALLOC_NOPLT
void lgalloc_free_sized(void *ptr, size_t size);
#undef LGALLOC_NOPLT

/*
 * Bytes that may be used of the region in use that begins at `ptr`: its size, at least what was asked for. Sealed ones are in
 * use, resident or not.
 *
 * ptr: any address or NULL; it is not read.
 *
 * Returns 0 for anything else: NULL, an address within a region, a free region, one that was lost to a fork,
 * memory of others. Makes no system call and takes no lock. The answer holds as long as nobody frees it.
 */
size_t lgalloc_usable_size(const void *ptr);

/*
 * Whether an address is this library's: in the range that all regions come from, at whatever place in a region,
 * and whatever has become of it (in use, free, lost to a fork). So it tells whose free() an address belongs to; what
 * lgalloc_free() then finds wrong with it is misuse.
 *
 * ptr: any address or NULL; it is not read.
 *
 * Makes no system call and takes no lock. The answer never changes once the first region was allocated.
 */
bool lgalloc_owns(const void *ptr);

/*
 * Changes the size of a region that lgalloc_malloc(), lgalloc_calloc() or this function returned, or that a handle
 * holds. It stays in place where the rounded size stays; otherwise the contents move to a region of the new size, as
 * much as fits, and the old region is freed. Between two regions of anonymous memory of 32 MiB and more each the
 * pages move, which takes a system call or a few, and no memory: Linux 5.7 is needed for that. All else is copied. So
 * for a moment both count as in use, for limit_bytes too.
 *
 * ptr:  a region in use, or NULL: then this is lgalloc_malloc(size). Anything else is misuse, which aborts; but a sealed
 *       region is EINVAL.
 * size: bytes, as for lgalloc_malloc(). 0 is refused like all that is too small, and frees nothing.
 *
 * Returns the region's address; `ptr` is no longer valid where that differs. The contents beyond the old size are
 * undefined. NULL on failure: `ptr` is as it was, and errno says why, as for lgalloc_malloc(); EFAULT where the region
 * was lost to a fork. No other thread may use or free the region meanwhile.
 */
void *lgalloc_realloc(void *ptr, size_t size);

/*
 * One allocator for all sizes: regions where they are worth it, the C library's heap for the rest. What these return is
 * freed by lgalloc_any_free(), which tells the two apart by the address; it takes regions of lgalloc_malloc() as well,
 * and blocks of malloc(). Any thread may free, with any size, while the allocator is disabled too.
 *
 * Requests of 64 KiB to 64 GiB are regions; where none is to be had (disabled, exhausted, I/O error) they are taken
 * from the heap, and `heap_fallbacks` counts it. A limit_bytes that is reached stays a limit: then it is NULL with
 * ENOMEM. Below and above is the heap, and what malloc() says of such sizes, 0 too, holds.
 *
 * Returns the block, aligned for any type; NULL and errno (ENOMEM) on failure. The contents are undefined.
 */
void *lgalloc_any_malloc(size_t size);

/* As lgalloc_any_malloc(), for `count` elements of `size` bytes, and every byte is zero. ENOMEM also where the product
 * overflows. */
void *lgalloc_any_calloc(size_t count, size_t size);

/*
 * As lgalloc_any_malloc(), and the address is a multiple of `align`. A region is aligned to its own size; with more it
 * is the heap, and a fallback.
 *
 * align: bytes, any power of two, also below the size of a pointer. EINVAL for anything else.
 */
void *lgalloc_any_aligned(size_t align, size_t size);

/*
 * Changes the size of a block, between region and heap too where the new size belongs on the other side; the contents
 * move as far as they fit, as lgalloc_realloc() says. An alignment above that of malloc() or of a region's size is
 * not kept.
 *
 * ptr:  a block of this family, or of lgalloc_malloc() or malloc(), or NULL: then this is lgalloc_any_malloc(size).
 * size: bytes. 0 frees the block, and NULL is returned.
 *
 * Returns the block; `ptr` is no longer valid where that differs. NULL on failure: `ptr` is as it was, and errno says
 * why (ENOMEM; EFAULT for a region that was lost to a fork).
 */
void *lgalloc_any_realloc(void *ptr, size_t size);

/* Frees a block of this family. NULL is ignored. Keeps errno. Misuse of a region aborts; of a heap's block it is what
 * the C library makes of it. */
void lgalloc_any_free(void *ptr);

/* Bytes that may be used of a block of this family; 0 for NULL, and for an address of the library's at which no region
 * in use begins. Other memory that is no block of the heap is misuse, as for malloc_usable_size(). */
size_t lgalloc_any_usable_size(const void *ptr);

/*
 * Hints for a part of an allocation in use: `offset` and `len` in bytes; whole pages count. The
 * handle stays the caller's. Any thread may, also several at once. lgalloc_discard() is a
 * write to the range: a thread that reads or writes there meanwhile sees old contents, zeros, or parts of both.
 *
 * lgalloc_prefetch: it will be read soon; the system may bring it in, and the call may take as long as
 *                   the reading. Every page counts that the range touches.
 * lgalloc_populate: back it with memory (and disk blocks) now. A full disk is IO with ENOSPC here,
 *                   where a later first write would be SIGBUS. Contents stay. Every page counts that
 *                   the range touches.
 * lgalloc_cold:     it will not be used soon; the system may take its pages first. Contents stay. Every
 *                   page counts that the range touches. Before Linux 5.4 it is IO with EINVAL.
 * lgalloc_discard:  its contents are not needed: whole pages inside the range read as zero
 *                   afterwards, and their memory and disk blocks are given back; parts of pages at the
 *                   ends keep their contents. On a file system without holes it is IO with EOPNOTSUPP.
 *
 * A sealed region, as a whole: lgalloc_prefetch() has a thread begin to load it, if it is evicted, and returns;
 * lgalloc_cold() makes it the next to be evicted; the other two are INVALID_ARGUMENT, since its contents are final.
 *
 * Return OK (also for a handle that holds nothing, with offset and len 0), OUT_OF_BOUNDS, IO (the
 * system refused; `errno` says why), INVALID_ARGUMENT (not an allocation in use).
 */
lgalloc_status lgalloc_prefetch(lgalloc_handle handle, size_t offset, size_t len);
lgalloc_status lgalloc_populate(lgalloc_handle handle, size_t offset, size_t len);
lgalloc_status lgalloc_cold(lgalloc_handle handle, size_t offset, size_t len);
lgalloc_status lgalloc_discard(lgalloc_handle handle, size_t offset, size_t len);

/* ---------------------------------------------------------------- larger than memory: sealed regions */

/*
 * A sealed region's contents are final. While nobody pins it, and a spill directory is configured, it may be *evicted*:
 * written to a file there, its memory given back, its address kept. A pin loads it again, whole, to the same address. So
 * a program's data may be many times its memory, with stable addresses and one bound, limit_bytes, on what is in memory.
 *
 *     lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
 *     lgalloc_config_with_spill(config, "/var/tmp", 0);
 *     lgalloc_config_limit_bytes(config, 1 << 30);
 *
 *     fill(handle.ptr);                              a region in use
 *     lgalloc_seal(handle, handle.len);              from now on only to be read, and only while it is pinned
 *     if (lgalloc_pin(handle) == LGALLOC_STATUS_OK) {
 *         read(handle.ptr);
 *         lgalloc_unpin(handle);
 *     }
 *     lgalloc_deallocate(handle);                    in whatever state it is
 *
 * - Which: the regions of anonymous memory. On file backing sealing is INVALID_ARGUMENT: the kernel pages those. Regions
 *   below 2 MiB can be sealed and pinned, and are never evicted.
 * - When: an allocation or a pin that finds no room below limit_bytes first has dirty memory cleared, then evicts, and is
 *   refused only where everything is in use, or pinned. In the background the library keeps some room. What was not pinned
 *   for longest goes first, about; what lgalloc_cold() named, before. What is freed before memory is short is never
 *   written, and what was loaded and is evicted again isn't written twice.
 * - Access: whoever reads a sealed region has pinned it. Without a pin, touching one that is evicted is a fault at that
 *   address (SIGSEGV; EFAULT in a system call), never zeros; in the middle of another thread's loading it is what was read
 *   so far. Nobody writes to a sealed region: what was written would be lost.
 * - Failures: a full disk or a write error leaves regions resident, so that allocating answers OUT_OF_MEMORY in the end. A
 *   load that fails, or finds a wrong checksum, is IO; the region stays evicted, and the load can be tried again.
 * - fork(): in the child what is resident is its own. What is evicted, or on its way, is lost: touching it is a fault,
 *   pinning it is INVALID_ARGUMENT, and freeing it does nothing. Pins of the parent's other threads remain.
 * - A handle that holds nothing counts as resident, and all of these are OK with it and do nothing.
 *
 * All of these take the handle of a region in use that was allocated by whatever function, or lgalloc_region_handle()'s.
 * A vector (lgalloc_region) keeps its length while it is sealed, and is not to be changed.
 */

/*
 * Seals a region in use: its contents are final. Nobody may write to it from then on, nor read it without a pin.
 *
 * used: bytes from its start that need to survive; what is behind them reads as anything after an eviction. Only these are
 *       written.
 *
 * Returns OK, OUT_OF_BOUNDS (used is more than the region's size), INVALID_ARGUMENT (not a region in use, on file backing,
 * or sealed already), IO (no memory for bookkeeping; `errno` says why).
 */
lgalloc_status lgalloc_seal(lgalloc_handle handle, size_t used);

/*
 * Makes a sealed region an ordinary one again: resident, writable, and not evicted. What it had on disk is given up.
 *
 * Returns OK, BUSY (it is pinned, or being read by lgalloc_read(); it stays sealed), OUT_OF_MEMORY and IO (it is evicted and can't be loaded, as
 * for lgalloc_pin()), INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_unseal(lgalloc_handle handle);

/*
 * Pins a sealed region: it is resident until unpinned. Loads it where it is evicted, which takes room below limit_bytes: others
 * are evicted for it. Threads that pin the same region share one load. Waits for the disk, never for somebody else's
 * unpin. Pins are counted, and any thread may unpin.
 *
 * Returns OK, OUT_OF_MEMORY (no room: all else is in use or pinned, or can't be written), IO (reading failed; errno is
 * EBADMSG where the checksum is wrong), INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_pin(lgalloc_handle handle);

/*
 * As lgalloc_pin(), without waiting for the disk.
 *
 * Returns OK, NOT_RESIDENT (nothing was done), INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_try_pin(lgalloc_handle handle);

/*
 * Pins all of these regions, or none. What doesn't fit below limit_bytes together is OUT_OF_MEMORY, with nothing pinned:
 * so threads that each pin several can't wait for one another.
 *
 * handles: `count` of them; one may be there several times. NULL is allowed where count is 0.
 *
 * Returns as lgalloc_pin(), for the first that couldn't be pinned; INVALID_ARGUMENT also for NULL.
 */
lgalloc_status lgalloc_pin_all(const lgalloc_handle *handles, size_t count);

/* Takes a pin back. More unpins than pins are misuse, which aborts. Keeps errno. */
void lgalloc_unpin(lgalloc_handle handle);

/*
 * Evicts a sealed region now, whatever limit_bytes says.
 *
 * Returns OK (also where it is out already), BUSY (it is pinned), INVALID_SIZE_CLASS (below 2 MiB), IO (`errno` says why:
 * ENOENT where no spill directory is configured, ENOSPC where the disk, or the bound on it, is full; it stays resident),
 * INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_evict(lgalloc_handle handle);

/*
 * Copies a part of a sealed region, whether it is resident or not; that stays as it is. What is evicted is read from disk
 * into `out`, without memory for the region; its checksum can be checked only where all used bytes are read.
 *
 * offset, len: bytes. What lies behind the used bytes reads as anything.
 * out:         `len` bytes; NULL is allowed where that is 0.
 *
 * Returns OK, OUT_OF_BOUNDS, IO (`errno` as for lgalloc_pin(); what `out` holds is undefined), INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_read(lgalloc_handle handle, size_t offset, size_t len, void *out);

/* Whether a region in use is in memory: a sealed one that isn't evicted and not on its way, or one that isn't sealed. It may
 * be otherwise a moment later, unless it is pinned. False for what is no region in use. */
bool lgalloc_is_resident(lgalloc_handle handle);

/* ---------------------------------------------------------------- configuration */

/* A set of options, none of them set; NULL where memory is out. To be freed by lgalloc_config_free(). */
lgalloc_config *lgalloc_config_new(void);

/* Frees a set of options; what was applied stays. NULL is fine. */
void lgalloc_config_free(lgalloc_config *config);

/* The setters below change the set alone, until lgalloc_set_config() applies it. What one refuses,
 * lgalloc_config_error() tells. */

/* Switches the allocator on; it starts switched off. */
void lgalloc_config_enable(lgalloc_config *config);

/* Switches it off: allocating answers DISABLED, freeing and everything else goes on. */
void lgalloc_config_disable(lgalloc_config *config);

/*
 * The directory for the files of new areas; existing regions stay where they are. The string is
 * copied; a relative one is completed with the working directory of this moment, so that a later
 * chdir() changes nothing. A later chroot() does: then the name must mean a directory there too.
 * Whether files can be made there is found out by the next allocation that needs an area. On btrfs they
 * are made no-copy-on-write (chattr +C).
 *
 * Returns OK, INVALID_ARGUMENT (NULL, empty, or PATH_MAX and more when complete), OUT_OF_MEMORY, IO
 * (errno: the working directory has no name).
 */
lgalloc_status lgalloc_config_with_path(lgalloc_config *config, const char *path);

/* Where the pages of new areas come from. Default: LGALLOC_BACKING_FILE. */
void lgalloc_config_with_backing(lgalloc_config *config, lgalloc_backing backing);

/*
 * The background worker, which clears free regions and drains the caches of idle threads.
 *
 * interval_ns: nanoseconds between ticks; 0 stops the worker, and is the default.
 * batch:       regions cleared at most per tick and size class; 0: no such bound.
 * clear_bytes: bytes cleared at most per tick and size class, but one region at least; 0: no such
 *              bound.
 *
 * Whoever starts it, it runs on the processors that the process (its main thread) had when the library was
 * loaded, of the ordinary policy (SCHED_OTHER) and as nice as the process was, and not less than 0, as far as
 * the system allows; also in the child of a fork.
 *
 * Beyond these bounds it clears what exceeds idle_bytes, all that is dirty with eager_return, and areas
 * that are due for release.
 */
void lgalloc_config_with_background(lgalloc_config *config, uint64_t interval_ns, size_t batch,
                                    size_t clear_bytes);

/* Whether regions that leave a thread's cache are cleared at once, by the thread or the worker that takes
 * them out. Default: false. */
void lgalloc_config_eager_return(lgalloc_config *config, bool eager_return);

/*
 * What other size classes have free comes first. Where that isn't enough, the next area of a size class is larger than the last by 1/(growth_dampener + 1) of it, but by 32 MiB or
 * one region at least, which is also the size of the first; and none is larger than 1 GiB or one region. All are
 * rounded down to 32 MiB or one region. Default: 0, each is twice the last.
 */
void lgalloc_config_growth_dampener(lgalloc_config *config, size_t growth_dampener);

/* Bytes that a thread's cache may hold per size class, in 1,024 regions at most; 0: no cache. Default:
 * 32 MiB. */
void lgalloc_config_local_buffer_bytes(lgalloc_config *config, size_t bytes);

/*
 * Where sealed regions are evicted to: the directory for files without a name. Takes effect for what is evicted from now
 * on; what is out stays readable where it is.
 *
 * path:       copied, and completed like that of lgalloc_config_with_path(); NULL: nothing is evicted, which is the default.
 *             lgalloc_set_config() refuses a directory in memory (tmpfs, ramfs), which would put memory into memory: IO with
 *             EMEDIUMTYPE; and one in which no file can be made.
 * disk_bytes: bound on the bytes of these files; 0: none.
 *
 * Returns OK, INVALID_ARGUMENT (config is NULL; a path that is empty, or PATH_MAX and more when complete),
 * OUT_OF_MEMORY, IO (errno: the working directory has no name).
 */
lgalloc_status lgalloc_config_with_spill(lgalloc_config *config, const char *path, size_t disk_bytes);

/*
 * Hard bound on the bytes in use, without what is evicted, plus those free but dirty; 0, the default: none. Before an
 * allocation is refused, what is dirty is cleared, and sealed regions are evicted.
 *
 * Where there is more when the bound is set, lgalloc_set_config() does the same before it returns, in other threads' caches
 * too. If even then there is more, because it is in use or can't be cleared, new memory is refused until there is room,
 * and none is taken away. The sum doesn't grow meanwhile; what is freed may be handed out again.
 */
void lgalloc_config_limit_bytes(lgalloc_config *config, size_t bytes);

/* Bound on the free bytes kept dirty in the shared pools; what is above is cleared by the thread that gives
 * it there, and by the worker. Default: SIZE_MAX, no bound. */
void lgalloc_config_idle_bytes(lgalloc_config *config, size_t bytes);

/* Whether huge pages are advised for the memory of size classes from 2 MiB on, also when it moves between size classes.
 * If not, they are advised against for all new areas of anonymous memory, and what was advised before is taken back when it
 * moves; until then it stays. With files the page cache is filled by huge pages, where the file system can: the first touch
 * costs a fraction of the page faults, and a huge page of disk. Advice, never an error. Default: true. */
void lgalloc_config_huge_pages(lgalloc_config *config, bool huge_pages);

/*
 * Whether regions go into core files, those of existing areas too. Default: false, as the buffer pools of MySQL (since
 * 8.4) and MariaDB stay out of theirs: such memory is most of the process, and a core of it takes minutes and fills
 * disks. With files the kernel would write whole areas, holes included. The library's bookkeeping is in a core in any
 * case, as far as it is in use; addresses that are only reserved never are. What gdb's gcore writes is the same.
 */
void lgalloc_config_core_dump(lgalloc_config *config, bool core_dump);

/*
 * File backing: whether disk blocks are reserved before a region is handed out, so that a full disk is
 * IO with ENOSPC and never SIGBUS. Before that is the answer, regions that have their blocks are used, and all that is
 * free and dirty is cleared. Default: false. Where the file system would take new blocks for later
 * writes all the same, allocating is IO with EOPNOTSUPP: on ZFS, bcachefs and file systems that can't
 * reserve, and on btrfs before Linux 6.16. From then on it works there, also on compressed mounts and below
 * an overlay, since area files are made no-copy-on-write (chattr +C: no checksums, no compression); it does
 * not while somebody takes a snapshot. Network file systems and FUSE keep it as far as their servers do.
 */
void lgalloc_config_reserve_blocks(lgalloc_config *config, bool reserve_blocks);

/*
 * Bytes of address space that are reserved at first use, for regions of all size classes together: a power of two from
 * 32 MiB to 4 TiB; 0, the default: 4 TiB, or as much as the system grants, and where RLIMIT_AS is set at most half of what
 * it leaves. They cost no memory, but emulators and tools may keep books of them. Regions larger than that are
 * OUT_OF_MEMORY. Once the addresses are reserved, lgalloc_set_config() answers INVALID_ARGUMENT to any other value than
 * the one in force and the one that was reserved.
 */
void lgalloc_config_arena_bytes(lgalloc_config *config, size_t bytes);

/*
 * Threads, lgalloc-io-0 and so on, that read and write sealed regions before somebody has to wait for that: they keep a share
 * of limit_bytes free by evicting, load what lgalloc_prefetch() names, and give unused disk back. They are there while
 * there is a directory to spill to. At most 8; default: 1. Without one everybody evicts and loads for himself, and
 * lgalloc_prefetch() does nothing to an evicted region. They are scheduled as the worker is.
 */
void lgalloc_config_spill_threads(lgalloc_config *config, size_t threads);

/* The share of limit_bytes, in percent, that these threads keep free; at most 50; 0: none. Default: 5. */
void lgalloc_config_spill_free_percent(lgalloc_config *config, size_t percent);

/*
 * Ticks of the worker after which a chunk (32 MiB, or one region where that is more) without a region in use is given
 * back to the system; 0: only
 * purges do that. Default: 16.
 */
void lgalloc_config_release_ticks(lgalloc_config *config, size_t ticks);

/*
 * Sets options from environment variables, those that are there: LGALLOC_ENABLE, LGALLOC_PATH,
 * LGALLOC_BACKING, LGALLOC_INTERVAL_NS, LGALLOC_BATCH, LGALLOC_CLEAR_BYTES, LGALLOC_RELEASE_TICKS,
 * LGALLOC_EAGER_RETURN, LGALLOC_GROWTH_DAMPENER, LGALLOC_LOCAL_BUFFER_BYTES, LGALLOC_LIMIT_BYTES,
 * LGALLOC_IDLE_BYTES, LGALLOC_HUGE_PAGES, LGALLOC_CORE_DUMP, LGALLOC_RESERVE_BLOCKS, LGALLOC_ARENA_BYTES, LGALLOC_SPILL,
 * LGALLOC_SPILL_BYTES, LGALLOC_SPILL_THREADS, LGALLOC_SPILL_FREE_PERCENT and LGALLOC_STATS.
 *
 * - Bytes: a whole number, alone or with K, M, G or T; KiB, KB, kib, kb and k mean the same as K, and all
 *   are powers of 1024. Or `unlimited`.
 * - LGALLOC_INTERVAL_NS: a whole number with ns, us, ms, s, m or h; alone it is nanoseconds.
 * - Switches: 1, true, on, yes or 0, false, off, no.
 * - LGALLOC_BACKING: file, anonymous or anon.
 * - LGALLOC_STATS: stderr, or a file's path. When the process exits, or what the library is embedded in is
 *   unloaded, the text of lgalloc_stats_print() is written there, to the end of the file, which is made by
 *   lgalloc_set_config() where there is none. Children of fork() that exit do the same.
 *
 * Any other variable that begins with LGALLOC_ is an error, but for those that others read:
 * LGALLOC_PRELOAD_THRESHOLD (the preload library), LGALLOC_CFLAGS, LGALLOC_INCLUDE_DIR, LGALLOC_LIB_DIR,
 * LGALLOC_LINK_ARGS, LGALLOC_SANITIZE…, LGALLOC_STATIC, LGALLOC_SYSTEM (the build of the Rust crates),
 * LGALLOC_BLESS, LGALLOC_PEERS… and LGALLOC_TEST_… (the tests).
 *
 * The library reads the environment nowhere else. Not to be called while another thread changes the
 * environment; lgalloc_config_variable() is for who has a copy. In a program that has more rights than its
 * user (set-user-ID) the environment sets nothing.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or a variable that is refused: nothing was set, and
 * lgalloc_config_error() names it), OUT_OF_MEMORY, IO (a relative path, as for
 * lgalloc_config_with_path()).
 */
lgalloc_status lgalloc_config_from_env(lgalloc_config *config);

/*
 * Sets the option that an environment variable of this name would set, for options from a command line or
 * a file.
 *
 * variable: "LGALLOC_LIMIT_BYTES", for one. One that others read is OK and sets nothing.
 * value:    as in the environment, "1GiB".
 *
 * Returns OK, INVALID_ARGUMENT (NULL, an unknown variable, a value that can't be read: nothing was set),
 * OUT_OF_MEMORY, IO (a relative path, as for lgalloc_config_with_path()).
 */
lgalloc_status lgalloc_config_variable(lgalloc_config *config, const char *variable, const char *value);

/*
 * What the last call on this set refused, be it a setter, lgalloc_config_variable(),
 * lgalloc_config_from_env() or lgalloc_set_config(): one line in English that names the option or variable,
 * the value, and what is allowed. Setters that return nothing keep a value that is refused, so that
 * lgalloc_set_config() refuses it too.
 *
 * Returns a text that is valid until the set is used again or freed; "" if nothing was refused, and for
 * NULL. Never NULL.
 */
const char *lgalloc_config_error(const lgalloc_config *config);

/*
 * Applies a set of options to the process, all or nothing. The set stays the caller's and can be
 * applied again; several threads may apply one set at once, as long as none asks for its error meanwhile.
 * Stopping the worker waits for its tick to end; caches above a smaller local_buffer_bytes shrink when they
 * next overflow.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or an unknown backing), OUT_OF_MEMORY, IO (the worker can't be
 * started, the file that LGALLOC_STATS names can't be opened, or no file can be made to spill to).
 * lgalloc_config_error() says what was refused.
 */
lgalloc_status lgalloc_set_config(const lgalloc_config *config);

/* ---------------------------------------------------------------- giving memory back */

/*
 * Clears every free region of the process, those in the caches of other threads included, and gives
 * back the chunks (32 MiB, or one region where that is more) that hold no region in use. Safe while other threads allocate and free; slow.
 *
 * Returns the bytes of the regions that were cleared: an upper bound on the memory and disk blocks given
 * back, since what was never written in a region held none.
 */
size_t lgalloc_purge(void);

/* The calling thread's cache goes to the shared pools. For a thread that will be idle for long. */
void lgalloc_thread_flush(void);

/* ---------------------------------------------------------------- statistics */

/*
 * Statistics of every size class, smallest first.
 *
 * out_stats: array of `capacity` elements, filled from the start; may be NULL where capacity is 0.
 * capacity:  elements; min(capacity, LGALLOC_SIZE_CLASS_COUNT) are written.
 *
 * Returns LGALLOC_SIZE_CLASS_COUNT. Makes no system call and takes no lock.
 */
size_t lgalloc_stats(lgalloc_size_class_stats *out_stats, size_t capacity);

/* Statistics of the allocator as a whole. Makes no system call and takes no lock. */
void lgalloc_stats_global(lgalloc_global_stats *out_stats);

/*
 * What the file system holds: one element per size class that has areas backed by files, smallest
 * first. Slow: asks the file system. Size classes share files: file_size is the bytes of the class's chunks in them,
 * allocated_size what of these holds data; where a file has chunks of this class only, all that it has allocated, blocks
 * reserved in advance included. Where the file system doesn't say where data is, each class has the share of its chunks.
 *
 * out_stats: array of `capacity` elements; may be NULL where capacity is 0.
 * out_count: elements there are; min(capacity, *out_count) are written.
 *
 * Returns OK, IO, INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_stats_files(lgalloc_file_stats *out_stats, size_t capacity, size_t *out_count);

/*
 * What the kernel holds in memory: one element per size class that has areas, smallest first. Slow:
 * reads /proc/self/numa_maps, or /proc/self/smaps where a kernel has no numa_maps. Of a mapping that has chunks of several
 * size classes each gets the share of the pages that it has in memory, by /proc/self/pagemap.
 *
 * Parameters and return as lgalloc_stats_files().
 */
lgalloc_status lgalloc_stats_maps(lgalloc_map_stats *out_stats, size_t capacity, size_t *out_count);

/*
 * Prints everything there is to know: the version, both kinds of statistics, the options in force, and
 * what the system says, since the library itself knows only upper bounds: a dirty region may hold memory,
 * but what was never written in it holds none.
 *
 * In JSON and for Prometheus the names are those of the structs' fields, in bytes where they end in _bytes;
 * counts since the process started end in _total; dirty_bytes is called dirty_upper_bound_bytes; and
 * beside the structs' there are resident_bytes (as lgalloc_stats_maps(): what regions hold in memory, in
 * use and free) and disk_bytes (as lgalloc_stats_files(): their disk blocks), null or left out where the
 * system doesn't say. Times are nanoseconds in JSON, seconds for Prometheus.
 *
 * write:   is called with pieces of the text, not terminated, in order, by the calling thread; it may
 *          call the library. The last piece ends with a newline.
 * context: handed to `write`; may be NULL.
 *
 * Never allocates, needs some 40 KiB of stack, and is as slow as asking the system is.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or no such format: nothing was written).
 */
lgalloc_status lgalloc_stats_print(lgalloc_format format,
                                   void (*write)(void *context, const char *text, size_t len), void *context);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LGALLOC_H */
