/**
 * @file
 * lgalloc: large power-of-two memory regions for databases, stream processors and array programs.
 *
 * Regions of 64 KiB to 64 GiB are mapped from unlinked files, so that the operating system can page
 * them out without swap, or from anonymous memory. The library recycles them without system calls or
 * page faults, and gives back those that are idle. It runs on Linux and needs libc and pthreads only.
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
 *     void *memory = lgalloc_malloc(3000000);    without a handle
 *     lgalloc_free(memory);
 *
 * These conventions hold for every function unless its own text says otherwise:
 *
 * - Sizes and offsets are in bytes, capacities and lengths of regions in elements, times in
 *   nanoseconds.
 * - Every function may be called from any thread at any time, also from destructors of
 *   thread-specific data and from the child after fork(). None is async-signal-safe.
 *   An object that is passed by pointer must not be used by two threads at once if one changes it.
 * - fork() changes nothing for the parent. The child loses the regions on files: touching one faults,
 *   freeing one does nothing, and new regions come from new files. Anonymous regions are copied on
 *   write. A lost region counts as neither in use nor freed. The worker starts again when the child
 *   first needs memory. The forking thread may allocate and free in the fork handlers of other
 *   libraries, in whatever order these run.
 * - Some children run no fork handlers: those of clone() and _Fork(), and of a program in another link
 *   namespace. The library recognizes such a child when it first needs memory, and starts over there:
 *   with a new reservation, and with statistics that begin at zero. The child may read and write the
 *   anonymous regions that it inherited; freeing them does nothing, and those on files are lost. This
 *   takes Linux 4.14. Children of vfork() and posix_spawn() share the parent's memory, and must not
 *   call this library.
 * - Signal handlers must not call this library. They may call fork(), even while their thread is inside
 *   the library; the parent is not affected. The child may call exec() or _exit(). It may also use the
 *   library within the handler, where it starts over as above; then it must not return from the handler
 *   and go on using the library.
 * - File descriptors: a program may close all of them, and open files of its own under the same numbers.
 *   Before the library uses a descriptor it checks that it still refers to the library's file. If not, it
 *   leaves the descriptor alone and goes on in new files. Regions on a file whose descriptor is gone
 *   stay usable. Their blocks are given back by punching holes, and when the last area of the file is
 *   unmapped; lgalloc_stats_files() does not count them. The check can't see another thread close the
 *   descriptor and open a file under the same number before the library uses it. The library has no
 *   descriptor below 3.
 * - Sandboxes: if a filter starts to refuse a system call, allocations that need the call return IO with
 *   the filter's `errno`, and nothing aborts. Without membarrier(), threads take regions from each
 *   other's caches only when memory is short, and waiting a millisecond replaces each barrier. A filter
 *   that kills the process kills it here too.
 * - The object that contains the library, liblgalloc.so or a plugin that embeds it, stays loaded after
 *   dlclose(), because threads may still hold cached regions to give back.
 * - mlockall(): mapped areas count as locked memory, and a page is locked when it is touched
 *   (lgalloc_populate() touches ahead). Addresses that are only reserved are neither locked nor counted;
 *   before Linux 6.11 MCL_CURRENT counts them, but takes no memory for them. When RLIMIT_MEMLOCK is
 *   reached, allocating returns IO with EAGAIN; the first area takes 32 MiB. A process under such a limit
 *   should call mlockall() before its first allocation: later the kernel compares the limit with all
 *   reserved addresses, and refuses MCL_CURRENT with ENOMEM.
 * - Pointers must not be NULL where the text does not allow it. A NULL out pointer of a function that
 *   returns a status is LGALLOC_STATUS_INVALID_ARGUMENT; void functions ignore NULL.
 * - On any status but LGALLOC_STATUS_OK no memory is handed out, the allocator is as it was, and the
 *   out parameters hold an empty value that is safe to drop.
 * - `errno` is set where LGALLOC_STATUS_IO is returned and where functions like lgalloc_malloc() return NULL,
 *   and kept by the functions that free.
 * - Misuse (a region freed twice, a pointer that is not a region's start, a length that is not the
 *   region's) is detected in every build: the library writes one line to standard error that says what it
 *   saw, and calls abort(). One case can't be detected: if a freed region was handed out again, a second
 *   free takes it away from its new owner. The library writes nothing else to standard output or standard
 *   error, except what LGALLOC_STATS asks for; see lgalloc_config_from_env().
 */
#ifndef LGALLOC_H
#define LGALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---------------------------------------------------------------- attributes */

/**
 * What compilers are told; nothing where a compiler knows no such attribute.
 *
 * LGALLOC_NOTHROW:  no exception comes out of the call.
 * LGALLOC_NOPLT:    calls take the address from the global offset table, without a stub: one jump less for the
 *                   functions that take nanoseconds.
 * LGALLOC_USED:     ignoring the result is a bug.
 * LGALLOC_OWNED:    and no other pointer leads to what the result points to.
 * LGALLOC_FREED_BY: and the function named frees it. Not for lgalloc_any_ functions, which free what others
 *                   allocated.
 * LGALLOC_SIZED:    the size is the argument of this number, LGALLOC_SIZED2: the product of two. Programs may use more,
 *                   up to lgalloc_usable_size(), and checks like those of _FORTIFY_SOURCE would end those that do. So
 *                   this is for programs that define LGALLOC_EXACT_SIZES before they include the header.
 *
 * A status may be ignored: on failure what is handed out is empty. No parameter is declared nonnull, since every
 * function checks for NULL.
 */
#ifndef __cplusplus
#define LGALLOC_NOTHROW
#elif __cplusplus >= 201103L
#define LGALLOC_NOTHROW noexcept
#else
#define LGALLOC_NOTHROW throw()
#endif

#if defined(__GNUC__) && !defined(__clang__)
#define LGALLOC_NOPLT __attribute__((__noplt__))
#else
#define LGALLOC_NOPLT
#endif

#ifdef __GNUC__
#define LGALLOC_USED __attribute__((__warn_unused_result__))
#define LGALLOC_OWNED __attribute__((__malloc__)) LGALLOC_USED
#else
#define LGALLOC_USED
#define LGALLOC_OWNED
#endif

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#define LGALLOC_FREED_BY(function) __attribute__((__malloc__(function, 1))) LGALLOC_OWNED
#else
#define LGALLOC_FREED_BY(function) LGALLOC_OWNED
#endif

#if defined(__GNUC__) && defined(LGALLOC_EXACT_SIZES)
#define LGALLOC_SIZED(argument) __attribute__((__alloc_size__(argument)))
#define LGALLOC_SIZED2(one, other) __attribute__((__alloc_size__(one, other)))
#else
#define LGALLOC_SIZED(argument)
#define LGALLOC_SIZED2(one, other)
#endif

/** Where the language has enums of a fixed width. Before C23 a typedef gives C the width; C++98 has neither. */
#if (defined(__cplusplus) && __cplusplus >= 201103L) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define LGALLOC_FIXED_WIDTH
#endif

/* ---------------------------------------------------------------- version and constants */

#define LGALLOC_VERSION_MAJOR 0
#define LGALLOC_VERSION_MINOR 1
#define LGALLOC_VERSION_PATCH 0

/** The version as one number that can be compared: major << 16 | minor << 8 | patch. */
#define LGALLOC_VERSION ((LGALLOC_VERSION_MAJOR << 16) | (LGALLOC_VERSION_MINOR << 8) | LGALLOC_VERSION_PATCH)

/** Regions are powers of two from 2^16 bytes (64 KiB) to 2^36 bytes (64 GiB), both inclusive. */
#define LGALLOC_SIZE_CLASS_MIN_LOG2 16
#define LGALLOC_SIZE_CLASS_MAX_LOG2 36
#define LGALLOC_SIZE_CLASS_COUNT 21

/* ---------------------------------------------------------------- enums */

/**
 * The result of a call. Values 1 to 5 are the original crate's `AllocError`, in its order.
 */
enum lgalloc_status
#ifdef LGALLOC_FIXED_WIDTH
    : int32_t
#endif
{
    /** Done. */
    LGALLOC_STATUS_OK = 0,
    /** A system call failed; `errno` says why. ENOENT: file backing, and no path was configured or there
     * is no such directory. */
    LGALLOC_STATUS_IO = 1,
    /** The size class is exhausted, the limit is reached, or the heap has no more. */
    LGALLOC_STATUS_OUT_OF_MEMORY = 2,
    /** Rounded up to a power of two, the request is below 64 KiB or above 64 GiB. */
    LGALLOC_STATUS_INVALID_SIZE_CLASS = 3,
    /** The allocator is switched off, as it is until lgalloc_config_enable() is applied. */
    LGALLOC_STATUS_DISABLED = 4,
    /** The element's alignment is more than a region of this size can give. */
    LGALLOC_STATUS_UNALIGNED_MEMORY = 5,
    /** A NULL out pointer, an alignment that is not a power of two, `capacity * elem_size` overflows, … */
    LGALLOC_STATUS_INVALID_ARGUMENT = 6,
    /** The elements don't fit; nothing was changed. A region is never re-allocated. */
    LGALLOC_STATUS_CAPACITY_EXCEEDED = 7,
    /** A range reaches beyond the end of the allocation. */
    LGALLOC_STATUS_OUT_OF_BOUNDS = 8,
    /** A sealed region's contents are not in memory, and the call doesn't wait for the disk. */
    LGALLOC_STATUS_NOT_RESIDENT = 9,
    /** A sealed region is pinned. */
    LGALLOC_STATUS_BUSY = 10
};
#ifndef __cplusplus
#ifdef LGALLOC_FIXED_WIDTH
typedef enum lgalloc_status lgalloc_status;
#else
typedef int32_t lgalloc_status;
#endif
#endif

/**
 * Where the pages of new areas come from.
 */
enum lgalloc_backing
#ifdef LGALLOC_FIXED_WIDTH
    : int32_t
#endif
{
    /** Unlinked files in the configured directory: can be paged out without swap. The default. */
    LGALLOC_BACKING_FILE = 0,
    /** Anonymous memory, with huge pages where the system has them. Needs no path. */
    LGALLOC_BACKING_ANONYMOUS = 1
};
#ifndef __cplusplus
#ifdef LGALLOC_FIXED_WIDTH
typedef enum lgalloc_backing lgalloc_backing;
#else
typedef int32_t lgalloc_backing;
#endif
#endif

/**
 * What lgalloc_stats_print() writes.
 */
enum lgalloc_format
#ifdef LGALLOC_FIXED_WIDTH
    : int32_t
#endif
{
    /** For people: tables of what there is, the size classes that were used, and the options in force. */
    LGALLOC_FORMAT_TEXT = 0,
    /** One object: "version", "process" (its number), "global", "size_classes" (an array of all, smallest
     * first) and "options". */
    LGALLOC_FORMAT_JSON = 1,
    /** Prometheus' text format, version 0.0.4: lgalloc_…, lgalloc_size_class_…{size_class="65536"}, and
     * lgalloc_config_…; values that are words are labels of lgalloc_info. */
    LGALLOC_FORMAT_PROMETHEUS = 2
};
#ifndef __cplusplus
#ifdef LGALLOC_FIXED_WIDTH
typedef enum lgalloc_format lgalloc_format;
#else
typedef int32_t lgalloc_format;
#endif
#endif

/* ---------------------------------------------------------------- opaque types */

/**
 * A set of options to apply; options that were not set stay as they are.
 */
typedef struct lgalloc_config lgalloc_config;

/* ---------------------------------------------------------------- structs */

/**
 * A vector of fixed capacity: the original crate's `Region<T>`. The fields may be read; only the
 * functions below change them. Whoever holds the struct owns the memory. Copying the struct does not copy
 * the memory: exactly one of all copies is dropped, with lgalloc_region_drop(), which leaves that one empty.
 */
typedef struct lgalloc_region {
    /** The first element. Never NULL: aligned and dangling where nothing is allocated. */
    void *ptr;
    /** Elements in use. */
    size_t len;
    /** Elements that fit; SIZE_MAX for zero-sized elements. */
    size_t capacity;
    /** Bytes per element. */
    size_t elem_size;
    /** Bytes of the mapped region behind it; 0 for a heap or empty region. */
    size_t mapped;
} lgalloc_region;

/**
 * A raw allocation: the original crate's `Handle`. `len` is the region's size in bytes, a power of
 * two, which may be more than was asked for. {dangling, 0} holds nothing and may be freed any number
 * of times. A handle is plain data: copying it does not copy the memory, and only one copy is freed.
 */
typedef struct lgalloc_handle {
    void *ptr;
    size_t len;
} lgalloc_handle;

/**
 * One size class. Where the text says "now", the number is that of the moment; all others count from the
 * start of the process and never go down. A snapshot taken while other threads allocate may be off by what
 * they have in flight. Regions are counted whole, whatever part of them was asked for.
 */
typedef struct lgalloc_size_class_stats {
    /** Bytes per region. */
    size_t size_class;
    /** Areas now, and their bytes. Memory is backed, changes its size class and is given back in chunks of 32 MiB,
     * or of one region where that is more; an area is chunks of this size class that lie together and were backed at
     * one go. Both go up and down as chunks, while all their regions are free, move between size classes. */
    size_t areas;
    size_t area_total_bytes;
    /** Free regions now: thread_regions + global_regions + clean_regions. */
    size_t free_regions;
    /** Free regions in the shared pool, now, that hold no memory and read as zero. */
    size_t clean_regions;
    /** Free regions in the shared pool, now, that may hold memory or disk blocks. */
    size_t global_regions;
    /** Free regions in the caches of threads, now. */
    size_t thread_regions;
    /** Regions handed out and not yet freed, now, evicted ones too; in the child of a fork less what was lost. */
    size_t in_use_regions;
    /** Regions handed out. */
    uint64_t allocations;
    /** Allocations that at first found no free region: neither in a cache nor in the shared pools. */
    uint64_t slow_path;
    /** Allocations that took new memory, since no free region held any: clean chunks of other size classes, or a new
     * area. */
    uint64_t refill;
    /** Regions freed. */
    uint64_t deallocations;
    /** Regions cleared on their way out of a thread's cache, and by the worker or a purge. */
    uint64_t clear_eager_total;
    uint64_t clear_slow_total;
    /** Regions taken from another thread's cache. */
    uint64_t steals;
    /** Areas, or contiguous parts of one, given back to the system. */
    uint64_t areas_released;
    /** Zero; room for more counters. */
    uint64_t reserved[6];
} lgalloc_size_class_stats;

/**
 * The allocator as a whole, now; those of type uint64_t are counts since the process started.
 */
typedef struct lgalloc_global_stats {
    /** Bytes of regions handed out, without those that are evicted. */
    size_t in_use_bytes;
    /** Bytes of free regions that may hold memory, thread caches included: an upper bound on what they
     * hold, since what was never written in a region holds none. lgalloc_stats_print() and
     * lgalloc_stats_maps() ask the system. */
    size_t dirty_bytes;
    /** Bytes of free regions that hold no memory. */
    size_t clean_bytes;
    /** Bytes of all areas: in use, evicted, dirty and clean. */
    size_t area_bytes;
    /** Address space that is reserved for areas of all size classes together; it costs no memory. */
    size_t reserved_address_bytes;
    /** Bytes of the library's own bookkeeping that are readable and writable. */
    size_t metadata_bytes;
    /** The configured bound on in_use_bytes + dirty_bytes; 0: none. */
    size_t limit_bytes;
    /** Clearing a free region, discarding part of one in use, or giving back part of one to be zeroed failed; it stays
     * usable. */
    uint64_t clear_failures;
    /** The system refused advice (huge pages, fork, prefetch, cold); nothing else happened. */
    uint64_t advise_failures;
    /** Allocations, and pins that had to load, refused because of limit_bytes. */
    uint64_t limit_failures;
    /** lgalloc_region_new_auto() or an lgalloc_any_ function used the heap because it could get no region. */
    uint64_t heap_fallbacks;
    /** Bytes of sealed regions that are resident: a part of in_use_bytes. */
    size_t sealed_bytes;
    /** Bytes of sealed regions that are evicted: no part of in_use_bytes. */
    size_t evicted_bytes;
    /** Bytes of disk blocks that spill files have. */
    size_t spill_file_bytes;
    /** Regions evicted. */
    uint64_t evictions;
    /** Evicted regions loaded again. */
    uint64_t loads;
    /** Regions that could not be evicted and stayed resident, or could not be loaded and stayed evicted: a full disk, a
     * failed read or write, a wrong checksum, a system that refused. */
    uint64_t spill_failures;
    /** Zero; room for more. */
    uint64_t reserved[2];
} lgalloc_global_stats;

/**
 * What the file system holds for one size class, in bytes: the end of its files, and the disk blocks
 * (memory, on tmpfs) that they occupy.
 */
typedef struct lgalloc_file_stats {
    size_t size_class;
    size_t file_size;
    size_t allocated_size;
} lgalloc_file_stats;

/**
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

/**
 * The version of the library that runs, as LGALLOC_VERSION is of the header that was compiled.
 */
uint32_t lgalloc_version(void) LGALLOC_NOTHROW;

/**
 * A short English text for a status; static, never NULL, also for values that are no status.
 */
const char *lgalloc_status_str(lgalloc_status status) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- regions */

/**
 * Makes an empty region that holds no memory: `Region::new_empty`.
 *
 * elem_size:  bytes per element; 0 is allowed.
 * elem_align: bytes, a power of two; anything else is taken as 1.
 * out_region: overwritten, not dropped first.
 */
void lgalloc_region_new_empty(size_t elem_size, size_t elem_align, lgalloc_region *out_region) LGALLOC_NOTHROW;

/**
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
                                       lgalloc_region *out_region) LGALLOC_NOTHROW;

/**
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
lgalloc_status lgalloc_region_new_mmap(size_t capacity, size_t elem_size, size_t elem_align,
                                       lgalloc_region *out_region) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * Makes a region on mapped memory where 64 KiB to 64 GiB are asked for, else on the heap:
 * `Region::new_auto`. If there is no mapped memory (disabled, exhausted, I/O error, an alignment above
 * the region's size) the region is made on the heap, and `heap_fallbacks` counts it. A `limit_bytes` that is
 * reached stays a limit: the result is OUT_OF_MEMORY.
 *
 * Parameters as lgalloc_region_new_mmap(). Returns OK, OUT_OF_MEMORY, INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_region_new_auto(size_t capacity, size_t elem_size, size_t elem_align,
                                       lgalloc_region *out_region) LGALLOC_NOTHROW;

/** Elements that fit; SIZE_MAX for zero-sized elements; 0 for NULL. */
size_t lgalloc_region_capacity(const lgalloc_region *region) LGALLOC_NOTHROW;

/** Elements in use; 0 for NULL. */
size_t lgalloc_region_len(const lgalloc_region *region) LGALLOC_NOTHROW;

/** Whether no element is in use; true for NULL. */
bool lgalloc_region_is_empty(const lgalloc_region *region) LGALLOC_NOTHROW;

/** Whether the memory comes from lgalloc's mapped regions; false for heap and empty regions and NULL. */
bool lgalloc_region_is_mapped(const lgalloc_region *region) LGALLOC_NOTHROW;

/** The first element, valid until the region is dropped. NULL only if `region` is NULL. */
const void *lgalloc_region_as_ptr(const lgalloc_region *region) LGALLOC_NOTHROW;

/** As lgalloc_region_as_ptr(), to write to. */
void *lgalloc_region_as_mut_ptr(lgalloc_region *region) LGALLOC_NOTHROW;

/**
 * Appends `count` elements, copied from `elems`: `Region::extend_from_slice`.
 *
 * elems: count * elem_size bytes that don't overlap the region's spare part; NULL is allowed where
 *        that is 0 bytes.
 *
 * Returns OK, CAPACITY_EXCEEDED (nothing was changed), INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_region_extend_from_slice(lgalloc_region *region, const void *elems,
                                                size_t count) LGALLOC_NOTHROW;

/**
 * Where the next elements go: memory for *out_count elements behind those in use. The caller fills it, and
 * then calls lgalloc_region_set_len().
 *
 * out_count: elements that fit there; may be NULL.
 *
 * Returns a pointer that is valid until the region is dropped, dangling if nothing fits; NULL for
 * NULL.
 */
void *lgalloc_region_spare(lgalloc_region *region, size_t *out_count) LGALLOC_NOTHROW;

/**
 * Says how many elements are in use, after filling the spare part or to shorten.
 *
 * Returns OK, CAPACITY_EXCEEDED (nothing was changed), INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_region_set_len(lgalloc_region *region, size_t len) LGALLOC_NOTHROW;

/** Sets the length to 0; the memory is kept: `Region::clear`. */
void lgalloc_region_clear(lgalloc_region *region) LGALLOC_NOTHROW;

/**
 * Gives the memory back and leaves the region empty; dropping it again is harmless. Any thread may drop
 * a region, whichever thread made it. NULL is ignored. Keeps errno. Elements are plain bytes: no destructor
 * is called. Dropping two copies of a region is misuse; if it is on the heap, that is not detected, as with
 * free().
 */
void lgalloc_region_drop(lgalloc_region *region) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * The region's memory as a handle, borrowed: for the hints below, not to be freed. {dangling, 0} for
 * heap and empty regions and NULL.
 */
lgalloc_handle lgalloc_region_handle(const lgalloc_region *region) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- raw allocations */

/**
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
lgalloc_status lgalloc_allocate(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                size_t *out_capacity, lgalloc_handle *out_handle) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * As lgalloc_allocate(), and every byte of the region is zero. The cost depends on what earlier users of
 * the region touched: pages and disk blocks that nobody touched are neither written nor brought in. If the
 * disk has no block for the zeros, the result is IO with ENOSPC, never a SIGBUS, and the region stays free.
 */
lgalloc_status lgalloc_allocate_zeroed(size_t capacity, size_t elem_size, size_t elem_align, void **out_ptr,
                                       size_t *out_capacity, lgalloc_handle *out_handle) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * Frees an allocation: the crate's `deallocate`. Any thread may; a handle that holds nothing is
 * ignored. Works also while the allocator is disabled. Keeps errno. Misuse aborts.
 */
void lgalloc_deallocate(lgalloc_handle handle) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * Frees a region that lgalloc_malloc() or lgalloc_calloc() returned, or that a handle holds; not one of
 * an lgalloc_region, which lgalloc_region_drop() frees. Any thread may; NULL is ignored. Works also
 * while the allocator is disabled. Keeps errno. Misuse aborts.
 */
void lgalloc_free(void *ptr) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * As lgalloc_free(), for callers that know the size, like C23's free_sized(). It is a little faster. A
 * wrong size is misuse, which aborts.
 *
 * size: bytes that were asked for, or anything that rounds up to the same power of two.
 */
void lgalloc_free_sized(void *ptr, size_t size) LGALLOC_NOTHROW LGALLOC_NOPLT;

/**
 * Allocates like malloc(), without a status and a handle. Where a handle is needed, for the hints below or
 * for lgalloc_deallocate(), {address, size rounded up to a power of two} is one.
 *
 * size: bytes, more than 32 KiB and at most 64 GiB; all up to the next power of two may be used.
 *       Anything else is refused: small memory belongs to malloc.
 *
 * Returns the region's address, aligned to the region's size, to be freed once, by any thread, with
 * lgalloc_free() or lgalloc_free_sized(). The contents are undefined. NULL on failure, and errno says
 * why: EINVAL (the size is too small or too large), ENOMEM (out of memory, or the limit is reached), EPERM
 * (disabled), ENOENT (file backing, and no path was configured or there is no such directory), or what
 * a system call said.
 */
void *lgalloc_malloc(size_t size) LGALLOC_NOTHROW LGALLOC_NOPLT LGALLOC_FREED_BY(lgalloc_free) LGALLOC_SIZED(1);

/**
 * As lgalloc_malloc(), and every byte is zero, as with lgalloc_allocate_zeroed().
 *
 * count: elements.
 * size:  bytes per element; the product is more than 32 KiB and at most 64 GiB.
 *
 * Returns as lgalloc_malloc(); EINVAL also where the product overflows.
 */
void *lgalloc_calloc(size_t count, size_t size) LGALLOC_NOTHROW LGALLOC_NOPLT LGALLOC_FREED_BY(lgalloc_free)
    LGALLOC_SIZED2(1, 2);

/**
 * Bytes that may be used of the region in use that begins at `ptr`: its size, at least what was asked for. A sealed
 * region is in use, whether it is resident or not.
 *
 * ptr: any address or NULL; it is not read.
 *
 * Returns 0 for anything else: NULL, an address within a region, a free region, one that was lost to a fork,
 * memory of others. Makes no system call and takes no lock. The answer holds as long as nobody frees it.
 */
size_t lgalloc_usable_size(const void *ptr) LGALLOC_NOTHROW;

/**
 * Whether an address is in the range that all of this library's regions come from: at the start of a region or
 * inside one, whether that is in use, free or lost to a fork. This tells which allocator has to free an address. If
 * it is this one, but the address is no region that can be freed, lgalloc_free() treats it as misuse.
 *
 * ptr: any address or NULL; it is not read.
 *
 * Makes no system call and takes no lock. The answer never changes once the first region was allocated.
 */
bool lgalloc_owns(const void *ptr) LGALLOC_NOTHROW;

/**
 * Changes the size of a region that lgalloc_malloc(), lgalloc_calloc() or this function returned, or that a handle
 * holds. If the size rounds up to the same power of two, the region stays where it is. Otherwise the contents move to
 * a region of the new size, as far as they fit, and the old region is freed. Between two anonymous regions of 32 MiB
 * or more the pages move: that takes a few system calls, no memory, and Linux 5.7. In all other cases the contents are
 * copied. For a moment both regions count as in use, for limit_bytes too.
 *
 * ptr:  a region in use, or NULL: then this is lgalloc_malloc(size). Anything else is misuse, which aborts; but a sealed
 *       region is EINVAL.
 * size: bytes, as for lgalloc_malloc(). 0 is refused like any size that is too small, and frees nothing.
 *
 * Returns the region's address; `ptr` is no longer valid where that differs. The contents beyond the old size are
 * undefined. NULL on failure: `ptr` is as it was, and errno says why, as for lgalloc_malloc(); EFAULT where the region
 * was lost to a fork. No other thread may use or free the region meanwhile.
 */
void *lgalloc_realloc(void *ptr, size_t size) LGALLOC_NOTHROW LGALLOC_USED LGALLOC_SIZED(2);

/**
 * One allocator for all sizes: regions where they are worth it, the C library's heap for the rest.
 * lgalloc_any_free() frees what these functions return. It tells regions and heap apart by the address, and also
 * takes regions of lgalloc_malloc() and blocks of malloc(). Any thread may free a block, even while the allocator is
 * disabled.
 *
 * Requests of 64 KiB to 64 GiB get a region. If there is none (disabled, exhausted, I/O error) they get a block of the
 * heap, and `heap_fallbacks` counts it. A limit_bytes that is reached stays a limit: the result is NULL with ENOMEM.
 * Smaller and larger requests get a block of the heap, by the rules of malloc(), also for size 0.
 *
 * Returns the block, aligned for any type; NULL and errno (ENOMEM) on failure. The contents are undefined.
 */
void *lgalloc_any_malloc(size_t size) LGALLOC_NOTHROW LGALLOC_OWNED LGALLOC_SIZED(1);

/** As lgalloc_any_malloc(), for `count` elements of `size` bytes, and every byte is zero. ENOMEM also if the product
 * overflows. */
void *lgalloc_any_calloc(size_t count, size_t size) LGALLOC_NOTHROW LGALLOC_OWNED LGALLOC_SIZED2(1, 2);

/**
 * As lgalloc_any_malloc(), and the address is a multiple of `align`. A region is aligned to its own size; if `align`
 * is larger than that, the block comes from the heap, and counts as a fallback.
 *
 * align: bytes, any power of two, also below the size of a pointer. EINVAL for anything else.
 */
void *lgalloc_any_aligned(size_t align, size_t size) LGALLOC_NOTHROW LGALLOC_OWNED LGALLOC_SIZED(2);

/**
 * Changes the size of a block. It moves between region and heap if the new size belongs on the other side. The
 * contents move as far as they fit, as with lgalloc_realloc(). An alignment above that of malloc(), or above a region's
 * size, is not kept.
 *
 * ptr:  a block of this family, or of lgalloc_malloc() or malloc(), or NULL: then this is lgalloc_any_malloc(size).
 * size: bytes. 0 frees the block, and NULL is returned.
 *
 * Returns the block; `ptr` is no longer valid where that differs. NULL on failure: `ptr` is as it was, and errno says
 * why (ENOMEM; EFAULT for a region that was lost to a fork).
 */
void *lgalloc_any_realloc(void *ptr, size_t size) LGALLOC_NOTHROW LGALLOC_USED LGALLOC_SIZED(2);

/** Frees a block of this family. NULL is ignored. Keeps errno. Misuse of a region aborts; misuse of a heap block does
 * what it does with the C library's free(). */
void lgalloc_any_free(void *ptr) LGALLOC_NOTHROW;

/** Bytes that may be used of a block of this family. Returns 0 for NULL, and for an address in the library's range at
 * which no region in use begins. Any other address must be a block of the heap, as for malloc_usable_size(). */
size_t lgalloc_any_usable_size(const void *ptr) LGALLOC_NOTHROW;

/**
 * A hint: a part of an allocation in use will be read soon. The system may bring it in, and the call may take as long
 * as the reading. Every page that the range touches counts. If the region is sealed and evicted, a thread of the library
 * begins to load all of it, and the call returns. Several threads may give hints at once.
 *
 * handle:      stays the caller's.
 * offset, len: bytes.
 *
 * Returns OK (also for a handle that holds nothing, with offset and len 0), OUT_OF_BOUNDS, IO (the system refused;
 * `errno` says why), INVALID_ARGUMENT (not an allocation in use).
 */
lgalloc_status lgalloc_prefetch(lgalloc_handle handle, size_t offset, size_t len) LGALLOC_NOTHROW;

/**
 * Backs a part of an allocation with memory, and with disk blocks, now. If the disk is full the result is IO with
 * ENOSPC, where a later first write would raise SIGBUS. The contents stay. Every page that the range touches counts.
 *
 * Parameters and return as lgalloc_prefetch(); INVALID_ARGUMENT also for a sealed region.
 */
lgalloc_status lgalloc_populate(lgalloc_handle handle, size_t offset, size_t len) LGALLOC_NOTHROW;

/**
 * A hint: a part of an allocation will not be used soon. The system may take its pages first. The contents stay. Every
 * page that the range touches counts. Before Linux 5.4 the result is IO with EINVAL. A sealed region becomes, as a
 * whole, the next to be evicted.
 *
 * Parameters and return as lgalloc_prefetch().
 */
lgalloc_status lgalloc_cold(lgalloc_handle handle, size_t offset, size_t len) LGALLOC_NOTHROW;

/**
 * Drops the contents of a part of an allocation: whole pages inside the range read as zero afterwards, and their memory
 * and disk blocks are given back. Parts of pages at the ends keep their contents. This is a write to the range: a
 * thread that reads or writes there at the same time sees old contents, zeros, or parts of both. On a file system
 * without holes the result is IO with EOPNOTSUPP.
 *
 * Parameters and return as lgalloc_prefetch(); INVALID_ARGUMENT also for a sealed region, whose contents are final.
 */
lgalloc_status lgalloc_discard(lgalloc_handle handle, size_t offset, size_t len) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- larger than memory: sealed regions */

/**
 * A sealed region's contents are final. While nobody pins it, and a spill directory is configured, it may be *evicted*:
 * written to a file there, while its memory is given back and its address kept. A pin loads all of it again, to the same
 * address. So a program can have many times more data than memory, with stable addresses, and with one bound,
 * limit_bytes, on what is in memory.
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
 * - When: an allocation or a pin that finds no room below limit_bytes first clears dirty memory, then evicts. It is
 *   refused only if everything is in use or pinned. In the background the library keeps some room. Regions that
 *   lgalloc_cold() named go first, then roughly those that were not pinned for longest. A region that is freed before
 *   memory is short is never written, and one that was loaded is not written again when it is evicted again.
 * - Access: pin a sealed region before you read it. Without a pin, touching one that is evicted faults at that address
 *   (SIGSEGV; EFAULT in a system call), and never reads zeros; while another thread loads it, you see what was loaded so
 *   far. Don't write to a sealed region: the change would be lost.
 * - Failures: after a full disk or a write error regions stay resident, and in the end allocating returns OUT_OF_MEMORY.
 *   A load that fails, or finds a wrong checksum, returns IO. The region stays evicted, and you may try again.
 * - fork(): the child has its own copy of the resident regions. It loses regions that are evicted, or on their way:
 *   touching one faults, pinning it returns INVALID_ARGUMENT, and freeing it does nothing. Pins of the parent's other
 *   threads remain.
 * - A handle that holds nothing counts as resident. All of these functions accept it and do nothing.
 *
 * These functions take the handle of any region in use, whichever function allocated it, also from
 * lgalloc_region_handle(). A vector (lgalloc_region) keeps its length while it is sealed; don't change it then.
 */

/**
 * Seals a region in use: its contents are final. From then on no thread may write to it, or read it without a pin.
 *
 * used: bytes from its start that need to survive, and are written. After an eviction the rest has undefined contents.
 *
 * Returns OK, OUT_OF_BOUNDS (used is more than the region's size), INVALID_ARGUMENT (not a region in use, on file
 * backing, or sealed already), IO (no memory for bookkeeping; `errno` says why).
 */
lgalloc_status lgalloc_seal(lgalloc_handle handle, size_t used) LGALLOC_NOTHROW;

/**
 * Makes a sealed region an ordinary one again: resident, writable, and never evicted. Its place on disk is freed.
 *
 * Returns OK, BUSY (it is pinned, or being read by lgalloc_read(); it stays sealed), OUT_OF_MEMORY and IO (it is evicted
 * and can't be loaded, as for lgalloc_pin()), INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_unseal(lgalloc_handle handle) LGALLOC_NOTHROW;

/**
 * Pins a sealed region: it is resident until it is unpinned. If it is evicted, it is loaded, and other regions may be
 * evicted to make room below limit_bytes. Threads that pin the same region share one load. The call may wait for the
 * disk, but never for another thread to unpin. Pins are counted, and any thread may unpin.
 *
 * Returns OK, OUT_OF_MEMORY (no room: all else is in use or pinned, or can't be written), IO (reading failed; errno is
 * EBADMSG where the checksum is wrong), INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_pin(lgalloc_handle handle) LGALLOC_NOTHROW;

/**
 * As lgalloc_pin(), without waiting for the disk.
 *
 * Returns OK, NOT_RESIDENT (nothing was done), INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_try_pin(lgalloc_handle handle) LGALLOC_NOTHROW;

/**
 * Pins all of these regions, or none. If they don't fit below limit_bytes together, the result is OUT_OF_MEMORY and
 * nothing is pinned: threads that each pin several never wait for one another.
 *
 * handles: `count` of them; one may be there several times. NULL is allowed where count is 0.
 *
 * Returns as lgalloc_pin(), for the first that couldn't be pinned; INVALID_ARGUMENT also for NULL.
 */
lgalloc_status lgalloc_pin_all(const lgalloc_handle *handles, size_t count) LGALLOC_NOTHROW;

/** Undoes one pin. More unpins than pins are misuse, which aborts. Keeps errno. */
void lgalloc_unpin(lgalloc_handle handle) LGALLOC_NOTHROW;

/**
 * Evicts a sealed region now, whatever limit_bytes says.
 *
 * Returns OK (also if it is evicted already), BUSY (it is pinned), INVALID_SIZE_CLASS (below 2 MiB), IO (`errno` says
 * why: ENOENT if no spill directory is configured, ENOSPC if the disk is full or the bound on it is reached; the region
 * stays resident), INVALID_ARGUMENT (not a sealed region).
 */
lgalloc_status lgalloc_evict(lgalloc_handle handle) LGALLOC_NOTHROW;

/**
 * Copies a part of a sealed region, whether it is resident or not, and leaves it so. An evicted one is read from disk
 * into `out`, without memory for the region. The checksum is checked only if all used bytes are read.
 *
 * offset, len: bytes. Behind the used bytes the contents are undefined.
 * out:         `len` bytes; NULL is allowed where that is 0.
 *
 * Returns OK, OUT_OF_BOUNDS, IO (`errno` as for lgalloc_pin(); what `out` holds is undefined), INVALID_ARGUMENT.
 */
lgalloc_status lgalloc_read(lgalloc_handle handle, size_t offset, size_t len, void *out) LGALLOC_NOTHROW;

/** Whether a region in use is in memory: not sealed, or sealed and neither evicted nor on its way. Unless it is pinned,
 * that may change a moment later. False if the handle is no region in use. */
bool lgalloc_is_resident(lgalloc_handle handle) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- configuration */

/** Frees a set of options; what was applied stays. NULL is fine. */
void lgalloc_config_free(lgalloc_config *config) LGALLOC_NOTHROW;

/** A set of options, none of them set. Free it with lgalloc_config_free(). NULL if there is no memory for it. */
lgalloc_config *lgalloc_config_new(void) LGALLOC_NOTHROW LGALLOC_FREED_BY(lgalloc_config_free);

/* The setters below change only the set; lgalloc_set_config() applies it. lgalloc_config_error() says what a
 * setter refused. */

/** Switches the allocator on; it starts switched off. */
void lgalloc_config_enable(lgalloc_config *config) LGALLOC_NOTHROW;

/** Switches it off: allocating answers DISABLED, freeing and everything else goes on. */
void lgalloc_config_disable(lgalloc_config *config) LGALLOC_NOTHROW;

/**
 * The directory for the files of new areas; existing regions stay where they are. The string is
 * copied. A relative one is completed with the current working directory, so a later chdir() changes
 * nothing. After a later chroot() the same name must be a directory there. The next allocation that
 * needs an area finds out whether files can be made in the directory. On btrfs they are made
 * no-copy-on-write (chattr +C).
 *
 * Returns OK, INVALID_ARGUMENT (NULL, empty, or PATH_MAX and more when complete), OUT_OF_MEMORY, IO
 * (errno: the working directory has no name).
 */
lgalloc_status lgalloc_config_with_path(lgalloc_config *config, const char *path) LGALLOC_NOTHROW;

/** Where the pages of new areas come from. Default: LGALLOC_BACKING_FILE. */
void lgalloc_config_with_backing(lgalloc_config *config, lgalloc_backing backing) LGALLOC_NOTHROW;

/**
 * The background worker, which clears free regions and drains the caches of idle threads.
 *
 * interval_ns: nanoseconds between ticks; 0 stops the worker, and is the default.
 * batch:       regions cleared at most per tick and size class; 0: no such bound.
 * clear_bytes: bytes cleared at most per tick and size class, but one region at least; 0: no such
 *              bound.
 *
 * Whichever thread starts it, the worker runs on the processors that the main thread had when the library was
 * loaded, with the ordinary policy (SCHED_OTHER) and the niceness of that moment, or 0 if that was less, as far as
 * the system allows. The same holds in the child of a fork.
 *
 * The bounds do not hold for what exceeds idle_bytes, for what is dirty with eager_return, and for areas that are
 * due for release: the worker clears all of it.
 */
void lgalloc_config_with_background(lgalloc_config *config, uint64_t interval_ns, size_t batch,
                                    size_t clear_bytes) LGALLOC_NOTHROW;

/** Whether regions that leave a thread's cache are cleared at once, by the thread or the worker that takes
 * them out of it. Default: false. */
void lgalloc_config_eager_return(lgalloc_config *config, bool eager_return) LGALLOC_NOTHROW;

/**
 * How fast a size class grows, once the free chunks of other size classes are used up. Its first area is 32 MiB, or one
 * region if that is larger. Each further one is larger than the last by 1/(growth_dampener + 1) of it, and at least by
 * the size of the first. All are rounded down to a multiple of the first, and none is larger than 1 GiB or one region.
 * Default: 0, so each area is twice the last.
 */
void lgalloc_config_growth_dampener(lgalloc_config *config, size_t growth_dampener) LGALLOC_NOTHROW;

/** Bytes that a thread's cache may hold per size class, in 1,024 regions at most; 0: no cache. Default:
 * 32 MiB. */
void lgalloc_config_local_buffer_bytes(lgalloc_config *config, size_t bytes) LGALLOC_NOTHROW;

/**
 * Where sealed regions are evicted to: a directory, for files that have no name there. Takes effect for what is evicted
 * from now on; what was evicted before stays readable where it is.
 *
 * path:       copied, and completed like that of lgalloc_config_with_path(). NULL, the default: nothing is evicted.
 *             lgalloc_set_config() refuses a directory in memory (tmpfs, ramfs) with IO and EMEDIUMTYPE, since evicting
 *             to it would free no memory. It also refuses a directory in which no file can be made.
 * disk_bytes: bound on the bytes of these files; 0: none.
 *
 * Returns OK, INVALID_ARGUMENT (config is NULL; a path that is empty, or PATH_MAX and more when complete),
 * OUT_OF_MEMORY, IO (errno: the working directory has no name).
 */
lgalloc_status lgalloc_config_with_spill(lgalloc_config *config, const char *path, size_t disk_bytes) LGALLOC_NOTHROW;

/**
 * Hard bound on the bytes in use, evicted regions not counted, plus the free bytes that are dirty; 0, the default: none.
 * Before the library refuses an allocation it clears dirty regions and evicts sealed ones.
 *
 * If there is more than the bound when it is set, lgalloc_set_config() does the same before it returns, also in the
 * caches of other threads. If there is still more, because it is in use or can't be cleared, regions in use stay, and
 * new memory is refused until there is room. The sum does not grow in the meantime; regions that are freed may be handed
 * out again.
 */
void lgalloc_config_limit_bytes(lgalloc_config *config, size_t bytes) LGALLOC_NOTHROW;

/** Bound on the free bytes that stay dirty in the shared pools. A thread that gives a region to a pool clears what
 * exceeds the bound, and so does the worker. Default: SIZE_MAX, no bound. */
void lgalloc_config_idle_bytes(lgalloc_config *config, size_t bytes) LGALLOC_NOTHROW;

/**
 * Whether the system is advised to use huge pages for size classes from 2 MiB on, also when memory moves between size
 * classes. If false, it is advised against them for all new areas of anonymous memory; memory that was advised before
 * keeps that advice until it moves. With files, the page cache is filled by huge pages if the file system can do so: the
 * first touch costs a fraction of the page faults, and takes a huge page of disk. A refusal is never an error. Default:
 * true.
 */
void lgalloc_config_huge_pages(lgalloc_config *config, bool huge_pages) LGALLOC_NOTHROW;

/**
 * Whether core files contain the regions, those of existing areas too. Default: false, as for the buffer pools of MySQL
 * (since 8.4) and MariaDB: regions are most of a process, and a core file with them takes minutes to write and fills
 * disks. Of file-backed areas the kernel would write everything, holes included. A core file always contains the
 * library's bookkeeping that is in use, and never addresses that are only reserved. gdb's gcore does the same.
 */
void lgalloc_config_core_dump(lgalloc_config *config, bool core_dump) LGALLOC_NOTHROW;

/**
 * File backing: whether disk blocks are reserved before a region is handed out, so that a full disk is
 * IO with ENOSPC and never SIGBUS. Before an allocation fails that way, the library uses regions that have their
 * blocks already, and clears all that is free and dirty. Default: false.
 *
 * Some file systems can't keep this promise, because they can't reserve, or because later writes take new blocks all
 * the same: ZFS, bcachefs, and btrfs before Linux 6.16. On these, allocating returns IO with EOPNOTSUPP. On btrfs from
 * Linux 6.16 on it works, also on compressed mounts and below an overlay, since area files are made no-copy-on-write
 * (chattr +C: no checksums, no compression); a snapshot breaks it while it is taken. Network file systems and FUSE
 * keep it as far as their servers do.
 */
void lgalloc_config_reserve_blocks(lgalloc_config *config, bool reserve_blocks) LGALLOC_NOTHROW;

/**
 * Bytes of address space to reserve at first use, for regions of all size classes together: a power of two from
 * 32 MiB to 4 TiB. 0, the default, is 4 TiB, or as much as the system grants; with RLIMIT_AS it is at most half of what
 * the limit leaves. Reserved addresses cost no memory, but emulators and debugging tools may keep tables of them.
 * Allocating a region larger than the reservation is OUT_OF_MEMORY. Once the addresses are reserved,
 * lgalloc_set_config() returns INVALID_ARGUMENT for any value but the one in force and the size that was reserved.
 */
void lgalloc_config_arena_bytes(lgalloc_config *config, size_t bytes) LGALLOC_NOTHROW;

/**
 * Threads, lgalloc-io-0 and so on, that read and write sealed regions before another thread has to wait for that. They
 * evict to keep a share of limit_bytes free, load what lgalloc_prefetch() names, and give unused disk back. They run
 * while there is a directory to spill to, and are scheduled like the worker. At most 8; default: 1. With 0, each thread
 * evicts and loads for itself, and lgalloc_prefetch() does nothing to an evicted region.
 */
void lgalloc_config_spill_threads(lgalloc_config *config, size_t threads) LGALLOC_NOTHROW;

/** The share of limit_bytes, in percent, that these threads keep free; at most 50; 0: none. Default: 5. */
void lgalloc_config_spill_free_percent(lgalloc_config *config, size_t percent) LGALLOC_NOTHROW;

/**
 * Ticks of the worker after which a chunk (32 MiB, or one region if that is larger) without a region in use is given
 * back to the system; 0: only lgalloc_purge() gives chunks back. Default: 16.
 */
void lgalloc_config_release_ticks(lgalloc_config *config, size_t ticks) LGALLOC_NOTHROW;

/**
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
 * Any other variable that begins with LGALLOC_ is an error, except those that other programs read:
 * LGALLOC_PRELOAD_THRESHOLD (the preload library), LGALLOC_CFLAGS, LGALLOC_INCLUDE_DIR, LGALLOC_LIB_DIR,
 * LGALLOC_LINK_ARGS, LGALLOC_SANITIZE…, LGALLOC_STATIC, LGALLOC_SYSTEM (the build of the Rust crates),
 * LGALLOC_BLESS, LGALLOC_PEERS… and LGALLOC_TEST_… (the tests).
 *
 * The library reads the environment nowhere else. Do not call this while another thread changes the
 * environment; a program that has a copy of it can call lgalloc_config_variable(). In a program that has more
 * rights than its user (set-user-ID) the environment sets nothing.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or a variable that is refused: nothing was set, and
 * lgalloc_config_error() names it), OUT_OF_MEMORY, IO (a relative path, as for
 * lgalloc_config_with_path()).
 */
lgalloc_status lgalloc_config_from_env(lgalloc_config *config) LGALLOC_NOTHROW;

/**
 * Sets the option that an environment variable of this name would set, for options from a command line or
 * a file.
 *
 * variable: a name, such as "LGALLOC_LIMIT_BYTES". A variable that other programs read is OK and sets nothing.
 * value:    as in the environment, such as "1GiB".
 *
 * Returns OK, INVALID_ARGUMENT (NULL, an unknown variable, a value that can't be read: nothing was set),
 * OUT_OF_MEMORY, IO (a relative path, as for lgalloc_config_with_path()).
 */
lgalloc_status lgalloc_config_variable(lgalloc_config *config, const char *variable, const char *value) LGALLOC_NOTHROW;

/**
 * What the last call on this set refused, whether that was a setter, lgalloc_config_variable(),
 * lgalloc_config_from_env() or lgalloc_set_config(): one line in English that names the option or variable,
 * the value, and what is allowed. A setter that returns nothing remembers a refused value, so that
 * lgalloc_set_config() refuses it too.
 *
 * Returns a text that is valid until the set is used again or freed; "" if nothing was refused, and for
 * NULL. Never NULL.
 */
const char *lgalloc_config_error(const lgalloc_config *config) LGALLOC_NOTHROW;

/**
 * Applies a set of options to the process, all or nothing. The set stays the caller's and can be applied
 * again. Several threads may apply one set at once, as long as none of them asks for its error at the same
 * time. Stopping the worker waits for its tick to end. A cache that is larger than a new local_buffer_bytes
 * shrinks when it next overflows.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or an unknown backing), OUT_OF_MEMORY, IO (the worker can't be
 * started, the file that LGALLOC_STATS names can't be opened, or no file can be made to spill to).
 * lgalloc_config_error() says what was refused.
 */
lgalloc_status lgalloc_set_config(const lgalloc_config *config) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- giving memory back */

/**
 * Clears every free region of the process, those in the caches of other threads included, and gives
 * back the chunks (32 MiB, or one region if that is larger) that hold no region in use. Safe while other
 * threads allocate and free; slow.
 *
 * Returns the bytes of the regions that were cleared: an upper bound on the memory and disk blocks given
 * back, since what was never written in a region held none.
 */
size_t lgalloc_purge(void) LGALLOC_NOTHROW;

/** Gives the calling thread's cached regions to the shared pools. For a thread that will be idle for long. */
void lgalloc_thread_flush(void) LGALLOC_NOTHROW;

/* ---------------------------------------------------------------- statistics */

/**
 * Statistics of every size class, smallest first.
 *
 * out_stats: array of `capacity` elements, filled from the start; may be NULL where capacity is 0.
 * capacity:  elements; min(capacity, LGALLOC_SIZE_CLASS_COUNT) are written.
 *
 * Returns LGALLOC_SIZE_CLASS_COUNT. Makes no system call and takes no lock.
 */
size_t lgalloc_stats(lgalloc_size_class_stats *out_stats, size_t capacity) LGALLOC_NOTHROW;

/** Statistics of the allocator as a whole. Makes no system call and takes no lock. */
void lgalloc_stats_global(lgalloc_global_stats *out_stats) LGALLOC_NOTHROW;

/**
 * What the file system holds: one element per size class that has areas backed by files, smallest
 * first. Slow: asks the file system.
 *
 * Size classes share files. file_size is the bytes of the class's chunks in them; allocated_size is what of these holds
 * data. If all chunks of a file belong to one class, that is all that the file has allocated, blocks reserved in
 * advance included. If the file system doesn't say where data is, each class gets the share of its chunks.
 *
 * out_stats: array of `capacity` elements; may be NULL where capacity is 0.
 * out_count: elements there are; min(capacity, *out_count) are written.
 *
 * Returns OK, IO, INVALID_ARGUMENT (NULL).
 */
lgalloc_status lgalloc_stats_files(lgalloc_file_stats *out_stats, size_t capacity, size_t *out_count) LGALLOC_NOTHROW;

/**
 * What the kernel holds in memory: one element per size class that has areas, smallest first. Slow:
 * reads /proc/self/numa_maps, or /proc/self/smaps if the kernel has no numa_maps. If a mapping has chunks of
 * several size classes, each gets the share of the pages that it has in memory, by /proc/self/pagemap.
 *
 * Parameters and return as lgalloc_stats_files().
 */
lgalloc_status lgalloc_stats_maps(lgalloc_map_stats *out_stats, size_t capacity, size_t *out_count) LGALLOC_NOTHROW;

/**
 * Prints the version, both kinds of statistics, the options in force, and what the system says of the
 * memory in use. The library itself knows only upper bounds: a dirty region may hold memory, but what was
 * never written in it holds none.
 *
 * In JSON and for Prometheus the names are those of the structs' fields, in bytes if they end in _bytes.
 * Counts since the process started end in _total, and dirty_bytes is called dirty_upper_bound_bytes. Two
 * are added: resident_bytes, what regions in use and free hold in memory (as lgalloc_stats_maps()), and
 * disk_bytes, their disk blocks (as lgalloc_stats_files()). They are null or left out if the system doesn't
 * say. Times are nanoseconds in JSON, seconds for Prometheus.
 *
 * write:   is called with pieces of the text, not terminated, in order, by the calling thread. It may
 *          call the library, and must return. The last piece ends with a newline.
 * context: handed to `write`; may be NULL.
 *
 * Never allocates, needs about 40 KiB of stack, and is as slow as asking the system is.
 *
 * Returns OK, INVALID_ARGUMENT (NULL, or no such format: nothing was written).
 */
lgalloc_status lgalloc_stats_print(lgalloc_format format, void (*write)(void *context, const char *text, size_t len),
                                   void *context);

#ifdef __cplusplus
} /* extern "C" */
#endif

#undef LGALLOC_NOTHROW
#undef LGALLOC_NOPLT
#undef LGALLOC_USED
#undef LGALLOC_OWNED
#undef LGALLOC_FREED_BY
#undef LGALLOC_SIZED
#undef LGALLOC_SIZED2
#undef LGALLOC_FIXED_WIDTH

#endif /* LGALLOC_H */
