/*
 * Where evicted regions are: files without a name in the configured directory, in which each region has a place.
 *
 * Whoever evicts takes a place, writes it, and keeps the record of it with the region; whoever loads reads it. A place is
 * released by whoever holds the record, when nobody reads or writes it any more. None of these is called with a lock held,
 * but for lg_spill_release(), which makes no system call. What fails is an errno value, and leaves the record as it was.
 *
 * A place that is released keeps its disk blocks for the next one. Only when such blocks add up are they given back, by
 * lg_spill_trim(). Bytes on disk never exceed the option spill_bytes.
 *
 * A program may close the store's descriptors, as it may all of the library's (file.h). What is out stays readable, since
 * the files are mapped too, inaccessible, as long as anything is in them; what is evicted then goes to a new file.
 *
 * In the child of a fork the store is empty and has no file: the parent's records mean nothing there, and releasing one
 * does nothing.
 */
#ifndef LG_SPILL_H
#define LG_SPILL_H

#include "../base/lock.h"
#include "place.h"

/* Disk is taken in these; only what is used of the last one is written. */
#define LG_SPILL_UNIT (64 * LG_KIB)

/* Regions from this size class on are evicted; the ends of a smaller one share huge pages with others. */
#define LG_SPILL_MIN_LOG2 21

/* Whether a directory is configured, so that taking a place may succeed. */
LG_HIDDEN bool lg_spill_on(void);

/* Whether a directory can be spilled to: 0, or an errno; EMEDIUMTYPE: it is in memory itself. Opens a file there. */
LG_HIDDEN int lg_spill_probe(const char *directory);

/* Takes room for `used` bytes, at least 1: blocks on disk that nobody else can get, where the file system reserves any.
 * ENOSPC: the disk is full, or the bound is reached, and nothing that is free could be given up; ENOENT: nothing is
 * configured. */
LG_HIDDEN int lg_spill_take(uint64_t used, lg_place *out);

/* Writes the region at `from` to its place, and notes the checksum. What follows the used bytes up to the end of a block is
 * read too. May have written a part when it fails; the place is as good as before. */
LG_HIDDEN int lg_spill_write(lg_place *place, const void *from);

/* Reads all of it to `to`, the region's begin, writable. EBADMSG: it isn't what was written. What follows the used bytes up
 * to the end of a block is overwritten. May have read a part when it fails. */
LG_HIDDEN int lg_spill_load(const lg_place *place, void *to);

/* Reads a part, [offset, offset + len) within the used bytes, to anywhere. The checksum is of the whole, so it is looked at
 * only where the part is all of it: EBADMSG then. */
LG_HIDDEN int lg_spill_read(const lg_place *place, uint64_t offset, uint64_t len, void *out);

/* Gives the place up; the record says LG_NO_PLACE then. With none nothing happens. Returns whether so much is unused on disk
 * by now that lg_spill_trim() is worth a call. */
LG_HIDDEN bool lg_spill_release(lg_place *place);

/* Gives back disk blocks that no place has: so that few are left, or `all`. Files that hold nothing any more and get
 * nothing any more are closed. Returns the bytes given back. */
LG_HIDDEN uint64_t lg_spill_trim(bool all);

/* Bytes of disk blocks that the store has, in places or unused. */
LG_HIDDEN uint64_t lg_spill_bytes(void);

extern LG_HIDDEN lg_lock lg_spill_lock; /* for fork.c */
/* In the child, with the lock still held: the files are closed here and stay the parent's. */
LG_HIDDEN void lg_spill_forked(void);
/* The same in a child that starts over, whose lock and records may be in any state. */
LG_HIDDEN void lg_spill_abandon(void);

#endif
