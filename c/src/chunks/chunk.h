/*
 * The table of chunks: of which class each is, what backs it, and what else is known of it.
 *
 * A chunk is unmapped, or mapped and of one class; a region of a class above a chunk's size takes an aligned run of them.
 * While all regions of a chunk are free it may change its class, with the memory that it holds (supply.h).
 *
 * One word of a chunk says all that those need who have a region in it: its class (in the form in which a free by
 * address alone wants it), its kind, its file. It is written under the arena's lock, while nobody has a region there.
 * So whoever has one reads it without the lock, and it stays; it was published with the region. To anybody else it is
 * a guess.
 *
 * An *area*, as the statistics count them, is a contiguous piece of one class that was backed at one go. Its chunks
 * have the same mapping number.
 */
#ifndef LG_CHUNK_H
#define LG_CHUNK_H

#include "../base/atomic.h"
#include "../base/lock.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "../regions/size_class.h"
#include "../regions/thread.h"

enum lg_area_kind {
    LG_AREA_NONE = 0, /* not mapped */
    LG_AREA_FILE = 1,
    LG_AREA_ANONYMOUS = 2,
    LG_AREA_LOST = 3 /* child of a fork: addresses that regions of the parent's files are in */
};

#ifndef LG_EXPLORE
#define LG_CHUNKS_MAX ((size_t)1 << (LG_ARENA_LOG2_MAX - LG_CHUNK_LOG2))
#else
#define LG_CHUNKS_MAX 8
#endif

/* The word: the offset of the class's bin in a thread's bins (0: no class; the bin there is none), the kind, and the
 * number of the file. */
extern LG_HIDDEN lg_a32 lg_chunks[LG_CHUNKS_MAX];

#define LG_CHUNK_KIND_SHIFT 16
#define LG_CHUNK_FILE_SHIFT 18
_Static_assert(LG_BINS * sizeof(lg_bin) <= (size_t)1 << LG_CHUNK_KIND_SHIFT, "a bin's offset fits its bits");

/* Const after init, as the arena's base: 0 before. */
extern LG_HIDDEN lg_a64 lg_chunks_count;

LG_INLINE uint32_t lg_chunk_word(uint64_t chunk)
{
    return lg_load_relaxed_32(&lg_chunks[chunk]);
}

LG_INLINE uint32_t lg_chunk_bin_offset(uint32_t word)
{
    return word & (((uint32_t)1 << LG_CHUNK_KIND_SHIFT) - 1);
}

/* NULL: none. */
LG_INLINE lg_class *lg_chunk_class(uint32_t word)
{
    unsigned offset = lg_chunk_bin_offset(word);
    return offset != 0 ? lg_class_at(64 - LG_CLASS_MIN - offset / (unsigned)sizeof(lg_bin)) : NULL;
}

/* The bits of the word that say a class. */
LG_INLINE uint32_t lg_chunk_class_bits(const lg_class *cls)
{
    return (uint32_t)((64 - cls->log2) * sizeof(lg_bin));
}

LG_INLINE enum lg_area_kind lg_chunk_kind(uint32_t word)
{
    return (enum lg_area_kind)(word >> LG_CHUNK_KIND_SHIFT & 3);
}

LG_INLINE uint32_t lg_chunk_file_number(uint32_t word)
{
    return word >> LG_CHUNK_FILE_SHIFT;
}

/* In which chunk an address is; lg_chunks_count or more: in none. */
LG_INLINE uint64_t lg_chunk_of(const void *address)
{
    return ((uintptr_t)address - lg_load_relaxed_64(&lg_arena_base)) >> LG_CHUNK_LOG2;
}

/* The class of the memory at an address; NULL: it has none, or isn't ours. */
LG_INLINE lg_class *lg_class_of(const void *address)
{
    uint64_t chunk = lg_chunk_of(address);
    return chunk < lg_load_relaxed_64(&lg_chunks_count) ? lg_chunk_class(lg_chunk_word(chunk)) : NULL;
}

/* What a region of a class takes at least: chunks. */
LG_INLINE uint64_t lg_class_chunks(const lg_class *cls)
{
    return cls->log2 <= LG_CHUNK_LOG2 ? 1 : (uint64_t)1 << (cls->log2 - LG_CHUNK_LOG2);
}

/* Regions that belong together: those of a chunk, or the one that takes several. */
LG_INLINE uint64_t lg_chunk_regions(const lg_class *cls)
{
    return cls->log2 >= LG_CHUNK_LOG2 ? 1 : (uint64_t)1 << (LG_CHUNK_LOG2 - cls->log2);
}

/* The first chunk of those that belong together, of which this is one. */
LG_INLINE uint64_t lg_chunk_first(const lg_class *cls, uint64_t chunk)
{
    return chunk & ~(lg_class_chunks(cls) - 1);
}

/* The first region of a class in a chunk, or the one that the chunk would be a part of. */
LG_INLINE uint64_t lg_chunk_first_region(const lg_class *cls, uint64_t chunk)
{
    return lg_class_regions(cls, chunk << LG_CHUNK_LOG2);
}

/* Regions of a class in so many chunks, which are whole regions. */
LG_INLINE uint64_t lg_regions_in(const lg_class *cls, uint64_t chunks)
{
    return lg_class_regions(cls, chunks << LG_CHUNK_LOG2);
}

/* The class whose regions are one chunk each. */
#define LG_CHUNK_CLASS lg_class_at(LG_CHUNK_LOG2 - LG_CLASS_MIN)

/* What the system was told of huge pages. */
enum lg_huge_advice { LG_HUGE_UNSAID = 0, LG_HUGE_ON = 1, LG_HUGE_OFF = 2 };

/* What else is known of a chunk. Under the arena's lock. */
typedef struct lg_note {
    uint32_t mapping;    /* the same number for all that was backed at one go */
    uint32_t described;  /* a bit for each class whose descriptors here were used before */
    uint32_t idle_ticks; /* the worker has seen all its regions free so many times in a row */
    uint16_t huge;       /* what was advised, lg_huge_advice */
    uint16_t inherited;  /* file: a child of a fork has its pages: the advice against that was refused */
    /* Of the first chunk of an area. The worker leaves it alone for so many ticks, since clearing failed. */
    uint32_t clear_wait;
    uint32_t clear_backoff;
} lg_note;

extern LG_HIDDEN lg_lock lg_arena_lock; /* of all that is said here to be the arena's */

LG_HIDDEN void lg_chunks_init(void);
/* In a child that starts over: there are no chunks any more. */
LG_HIDDEN void lg_chunks_abandon(void);
LG_HIDDEN lg_note *lg_chunk_note(uint64_t chunk);
/* Chunks [0, lg_chunks_high()) were mapped at some time; grows. */
LG_HIDDEN uint64_t lg_chunks_high(void);

/* ---- under the lock */

/* Before any other function is told of chunks [0, end): makes their notes usable. Returns 0 or an errno. */
LG_HIDDEN int lg_chunks_reach(uint64_t end);
/* What backs them; they have no class then. */
LG_HIDDEN void lg_chunks_set_backing(uint64_t first, uint64_t count, enum lg_area_kind kind, uint32_t file);
/* They get a class, or lose it (NULL). */
LG_HIDDEN void lg_chunks_set_class(uint64_t first, uint64_t count, lg_class *cls);
/* They are an area of their own from now on. */
LG_HIDDEN void lg_chunks_set_mapping(uint64_t first, uint64_t count, uint32_t mapping);
LG_HIDDEN uint32_t lg_chunks_new_mapping(void);
/* They stay where they are, of the class that they have, but nobody gets their addresses again. */
LG_HIDDEN void lg_chunks_lose(uint64_t first, uint64_t count);

/* ---- areas */

/* Bytes in the arena, whole chunks and whole regions; a copy. */
typedef struct lg_area {
    uint64_t start;
    uint64_t len;
    uint32_t kind;
    uint32_t clear_wait; /* see lg_note */
    uint32_t clear_backoff;
} lg_area;

/* The area of a class at or after a byte offset; false if there is none. Takes the lock. */
LG_HIDDEN bool lg_area_next(const lg_class *cls, uint64_t offset, lg_area *out);

/* The clearer's notes on the area that begins at `area->start`, if it is still there. Takes the lock. */
LG_HIDDEN void lg_area_note(const lg_class *cls, const lg_area *area);

/* How many of a class there are, and their bytes, without a lock. */
LG_INLINE uint64_t lg_area_count(const lg_class *cls)
{
    return lg_load_relaxed_64(&cls->areas);
}

LG_INLINE uint64_t lg_area_bytes(const lg_class *cls)
{
    return lg_load_relaxed_64(&cls->area_bytes);
}

#endif
