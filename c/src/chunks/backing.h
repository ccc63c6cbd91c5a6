/*
 * What is behind chunks: files (arena_file.h) or anonymous memory.
 *
 * A region may lie in several files, but all of it is of one kind.
 */
#ifndef LG_BACKING_H
#define LG_BACKING_H

#include "../base/atomic.h"
#include "../base/file.h"
#include "../regions/arena.h"
#include "chunk.h"

/* The kind of new mappings. */
LG_HIDDEN enum lg_area_kind lg_backing_configured(void);

/* Backs unmapped chunks; they read as zero. `huge`: huge pages are worth while. Under the arena's lock. Returns 0 or an
 * errno; nothing was done then. */
LG_HIDDEN int lg_backing_map(uint64_t first_chunk, uint64_t count, enum lg_area_kind kind, bool huge);

/* Unmaps chunks, which have no class then, and gives back all that they hold; `dirty`: it may be something. Returns how many of
 * them, from the first on, are gone; the others are still there, and hold what they held. Under the arena's lock. */
LG_HIDDEN uint64_t lg_backing_unmap(uint64_t first_chunk, uint64_t count, bool dirty);

/* Whether lg_backing_unmap() does all or nothing there. */
LG_HIDDEN bool lg_backing_is_one(uint64_t first_chunk, uint64_t count);

/* Advice for the class that chunks belong to now. Under the arena's lock. */
LG_HIDDEN void lg_backing_advise(uint64_t first_chunk, uint64_t count, bool huge);

/* A part of a region, whole chunks, took the place of a part of another, and the advice on it came along; `anew`: that
 * failed, and there is a new mapping in its place. Both are the caller's, and anonymous. Offsets and length in bytes. Takes
 * the arena's lock. */
LG_HIDDEN void lg_backing_moved(uint64_t from, uint64_t to, uint64_t len, bool anew);

/* Whether what is mapped goes into core files; what is to come asks the option. Takes the arena's lock. */
LG_HIDDEN void lg_backing_set_core_dump(bool included);

/* The caller must hold the regions in question. Offsets and lengths are bytes in the arena, whole pages. */

LG_INLINE enum lg_area_kind lg_backing_kind(uint64_t offset)
{
    return lg_chunk_kind(lg_chunk_word(offset >> LG_CHUNK_LOG2));
}

/* Physical memory and disk blocks go away; it reads as zero then. In steps, so that faults elsewhere in the file don't
 * wait long. Returns 0 or an errno; part may be done. */
LG_HIDDEN int lg_backing_clear(uint64_t offset, uint64_t len);

/* Makes sure that the memory or the disk blocks are there that a write will need: a full disk is ENOSPC here, not a signal
 * there. Anonymous memory needs nothing. EOPNOTSUPP from a file system that can't reserve blocks. Part may be done
 * when it fails. */
LG_HIDDEN int lg_backing_reserve_blocks(uint64_t offset, uint64_t len);

/* Of a chunk on a file: that file; NULL for others. A copy, since another thread may notice that its descriptor is lost. */
LG_HIDDEN bool lg_backing_file(uint64_t chunk, lg_file *out);

/* Child of a fork: keeps others' memory out of the addresses of chunks on files, whose pages aren't in this process, or must
 * not stay: what is touched there is a fault. False: they can't be kept free. */
LG_HIDDEN bool lg_backing_close_hole(uint64_t first_chunk, uint64_t count);
/* In a child that starts over, before lg_chunks_abandon(): what was on files becomes inaccessible, as far as the table, which
 * nobody may have kept in order, tells. The files are the parent's, and stay open. */
LG_HIDDEN void lg_backing_abandon(void);

/* Failures that are counted but change nothing. */
extern LG_HIDDEN lg_a64 lg_advise_failures;
extern LG_HIDDEN lg_a64 lg_clear_failures;

#endif
