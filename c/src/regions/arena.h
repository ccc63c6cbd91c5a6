/*
 * One reservation of addresses holds everything: the library's own metadata, then the arena, which all regions of all
 * size classes are in, aligned to its own size. So a pointer alone says, with shifts and without a search, whether it
 * is ours and where in the arena it is; the chunk there (chunk.h) says of which class, and that which region.
 *
 * Each class numbers its regions over the whole arena: an offset, shifted by the class's size, is the index of the
 * region's descriptor and of its bit in the pools, whatever class the memory there belongs to at the moment.
 *
 * Metadata is reserved like the arena, but readable: what is not in use yet reads as zero, and the hot
 * path needs no bounds check before it looks. It is made writable piece by piece, so it never comes from malloc
 * and costs what is used.
 */
#ifndef LG_ARENA_H
#define LG_ARENA_H

#include "../base/atomic.h"
#include "class.h"
#include "descriptor.h"
#include "size_class.h"

/*
 * Memory is backed, changes its class and is released in chunks. Larger ones leave more of a class's memory unused,
 * and are seldom free as a whole; smaller ones make the table longer, and a change of class more frequent.
 */
#define LG_CHUNK_LOG2 25
#define LG_CHUNK ((size_t)1 << LG_CHUNK_LOG2)

/* ThreadSanitizer allows little more than 1 TiB of addresses in all. */
#define LG_ARENA_LOG2_MAX (LG_TSAN ? 38 : 42)
#define LG_ARENA_LOG2_MIN LG_CHUNK_LOG2

/* Const after init. */
typedef struct lg_layout {
    size_t arena_bytes;
    size_t chunks;  /* in the arena */
    size_t classes; /* that fit in it, the smallest ones */
    void *notes;    /* not writable yet: room for a record of LG_NOTE_BYTES per chunk */
    void *threads;  /* not writable yet: room for threads_max records */
    size_t threads_max;
} lg_layout;
extern LG_HIDDEN lg_layout lg_layout_;

/* Room for one record in the layout; the owners of the records assert that theirs fit. */
#define LG_NOTE_BYTES 32
#define LG_THREAD_BYTES ((size_t)3 * 64 * LG_KIB) /* whole pages of any size in use: it is committed by itself */

/* Reserves the addresses and fills the above. Called once it succeeds, under the init lock. */
LG_HIDDEN int lg_arena_init(void);

/* In a child that starts over: the reservation is left to what the parent's threads and this one have in it, and there
 * is none any more. Nothing of it is unmapped, since regions of anonymous memory may be in use. */
LG_HIDDEN void lg_arena_abandon(void);
/* Whether an address lies in a reservation that was left so: freeing it does nothing. */
LG_HIDDEN LG_COLD bool lg_arena_abandoned(const void *address);
/* How often that was; written before the child's other threads are there. */
extern LG_HIDDEN unsigned lg_arenas_abandoned;

/* Makes the descriptors and the pools' bits of regions [first, first + count) of a class usable. Under the arena's
 * lock. */
LG_HIDDEN int lg_class_extend(lg_class *cls, uint64_t first, uint64_t count);
/* Brings their descriptors in at once; only a matter of speed. */
LG_HIDDEN void lg_class_populate(lg_class *cls, uint64_t first, uint64_t count);

/* Where the arena begins; const after init. Atomic, since freeing NULL may be all that a thread does, while another
 * sets the library up. */
extern LG_HIDDEN lg_a64 lg_arena_base;

LG_INLINE void *lg_region_address(const lg_class *cls, uint64_t index)
{
    return (void *)(lg_load_relaxed_64(&lg_arena_base) + lg_class_bytes(cls, index));
}

LG_INLINE void *lg_address_of(const lg_class *cls, const lg_descriptor *region)
{
    return lg_region_address(cls, lg_descriptor_index(cls, region));
}

/* A place in the arena, by the bytes before it. */
LG_INLINE char *lg_arena_address(uint64_t offset)
{
    return (char *)(uintptr_t)(lg_load_relaxed_64(&lg_arena_base) + offset); /* in numbers: the base may be none */
}

/* The bytes of the arena before an address, which is in it. */
LG_INLINE uint64_t lg_arena_offset(const void *address)
{
    return (uintptr_t)address - lg_load_relaxed_64(&lg_arena_base);
}

/* Regions of a class that the arena has room for. */
LG_INLINE uint64_t lg_class_room(const lg_class *cls)
{
    return lg_class_regions(cls, lg_layout_.arena_bytes);
}

/* The classes that the arena has room for, from the smallest on. */
#define LG_EACH_CLASS(cls) for (lg_class *cls = lg_classes; cls < lg_classes + lg_layout_.classes; cls++)

/* The class for a request; NULL: there is none, or none that the arena has room for. */
LG_INLINE lg_class *lg_class_for(size_t bytes)
{
    unsigned index = lg_log2_ceil(bytes) - LG_CLASS_MIN;
    return LG_LIKELY(index < lg_layout_.classes) ? lg_class_at(index) : NULL;
}

#if LG_ASAN
/* One region. Free ones are poisoned, so that a use after free or an overrun into a free neighbour is reported; of
 * large ones only the ends, since the shadow takes an eighth of what is poisoned. */
LG_HIDDEN void lg_poison(void *addr, size_t len);
LG_HIDDEN void lg_unpoison(void *addr, size_t len);
#else
LG_INLINE void lg_poison(void *addr, size_t len)
{
    (void)addr;
    (void)len;
}
LG_INLINE void lg_unpoison(void *addr, size_t len)
{
    (void)addr;
    (void)len;
}
#endif

#endif
