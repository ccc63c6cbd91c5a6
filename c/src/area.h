/*
 * Areas: contiguous pieces of a stripe that are backed at one go, by a file or by anonymous memory. The table
 * of a class's areas is sorted by address and belongs to the class's lock. Regions of an area that aren't all
 * free keep it in place, so whoever holds a region may use its area's facts without the lock.
 *
 * A file's offsets are those of the stripe: neighbouring areas merge into one mapping of the kernel, and a
 * part of the file needs no bookkeeping. Files are sparse, so offsets cost nothing.
 */
#ifndef LG_AREA_H
#define LG_AREA_H

#include "file.h"
#include "lock.h"
#include "pool.h"

enum lg_area_kind {
    LG_AREA_FILE = LGALLOC_BACKING_FILE,
    LG_AREA_ANONYMOUS = LGALLOC_BACKING_ANONYMOUS,
    LG_AREA_LOST = 2 /* child of a fork: addresses that regions of the parent's files are in */
};

/* Offsets and lengths are bytes in the stripe, whole regions. Protected by the class's lock. */
typedef struct lg_area {
    uint64_t start;
    uint64_t len;
    lg_file file; /* LG_NO_FILE without one */
    uint16_t kind;
    uint16_t inherited; /* 1: a child of a fork has its file's pages: the advice against that was refused */
    uint32_t idle_ticks; /* the worker has seen all its regions free so many times in a row */
    uint32_t clear_wait; /* the worker leaves it alone for so many ticks, since clearing failed */
    uint32_t clear_backoff;
} lg_area;

/* Not an errno: the class's addresses are used up. */
#define LG_EXHAUSTED (-1)

LG_HIDDEN void lg_areas_init(void);
LG_HIDDEN lg_lock *lg_class_lock(unsigned class_index);

/* Maps another area. Its regions are clean and the caller's; they are in no pool yet. Under the class's
 * lock. Returns 0, an errno, or LG_EXHAUSTED. */
LG_HIDDEN int lg_area_map(unsigned class_index, uint64_t *out_first, uint64_t *out_count);

/* The area at or after a byte offset; false if there is none. Takes the class's lock. */
LG_HIDDEN bool lg_area_next(unsigned class_index, uint64_t offset, lg_area *out);

/* The worker's and the clearer's notes on the area that begins at `area->start`, if it is still there. */
LG_HIDDEN void lg_area_note(unsigned class_index, const lg_area *area);

/* Gives an area back if all its regions are free, whatever they hold. The caller is in transit. Returns
 * whether that was so; *out_dirty_bytes says how many of its bytes were dirty, and is 0 otherwise. Takes the
 * class's lock. */
LG_HIDDEN bool lg_area_release(unsigned class_index, uint64_t start, uint64_t *out_dirty_bytes);

/* Whether all regions of the area are in the pools, a moment ago. */
LG_HIDDEN bool lg_area_is_free(unsigned class_index, const lg_area *area);

/* Physical memory and disk blocks of a part of a stripe, within one area, go away; it reads as zero then. In
 * steps, so that faults elsewhere in the file needn't wait long. Returns 0 or an errno; part may be done. */
LG_HIDDEN int lg_area_clear(unsigned class_index, const lg_area *area, uint64_t offset, uint64_t len);

/* Makes sure that a part of an area has the memory or the disk blocks that a write to it will need: a full disk is
 * ENOSPC here, not a signal there. Anonymous memory needs nothing. EOPNOTSUPP from a file system that can't reserve
 * blocks. Part may be done when it fails. */
LG_HIDDEN int lg_area_reserve_blocks(unsigned class_index, const lg_area *area, uint64_t offset, uint64_t len);

/* Whether the class's areas go into core files; those to come ask the option. Takes the class's lock. */
LG_HIDDEN void lg_area_set_core_dump(unsigned class_index, bool included);

/* Counts and sizes, without a lock. */
LG_HIDDEN uint64_t lg_area_count(unsigned class_index);
LG_HIDDEN uint64_t lg_area_bytes(unsigned class_index);
LG_HIDDEN uint64_t lg_area_released(unsigned class_index);
/* Regions in use that were lost to a fork, or with threads that vanished in one; see fork.c. */
extern LG_HIDDEN lg_a64 lg_in_use_lost[LG_CLASS_COUNT];

/* Sizes of the class's files, all together. Takes the class's lock. Returns 0 or an errno. */
LG_HIDDEN int lg_area_file_usage(unsigned class_index, uint64_t *out_files, uint64_t *out_size,
                                 uint64_t *out_allocated);

/* Failures that are counted but change nothing. */
extern LG_HIDDEN lg_a64 lg_advise_failures;
extern LG_HIDDEN lg_a64 lg_clear_failures;

/* Child of a fork, after the caches were drained: file areas become LOST where regions were in use, else go;
 * files are closed. Regions that vanished threads held in their hands return to the pools. Returns the
 * charge of what is left of this class, and sets lg_in_use_lost so that `in_use` (allocations less
 * deallocations, before) comes out right. */
LG_HIDDEN uint64_t lg_area_forked(unsigned class_index, uint64_t in_use);

/* In a child that starts over, before lg_stripes_abandon(): there are no areas any more. What was on files isn't in
 * this process; its addresses become inaccessible, as far as the tables, which nobody may have kept in order, tell. The
 * files are the parent's, and stay open. */
LG_HIDDEN void lg_areas_abandon(void);

#endif
