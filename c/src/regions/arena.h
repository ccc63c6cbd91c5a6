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
#include "size_class.h"

/*
 * The state of a region of a mapped area: free and dirty (it may hold memory), the region's address, so that whoever
 * takes it finds the address there; in use, the address negated, so that one comparison tells a free that all is well,
 * and no pointer into memory, of whatever region, passes for one in use by being kept in another state; else one of
 * these, which are no region's address. Zero-filled descriptors say CLEAN, so that mapping an area need not write
 * them. Addresses without an area have CLEAN descriptors or none.
 *
 * Written by whoever the region belongs to at that moment: the thread that takes it or frees it, or the
 * one that moves it. It passes from one to the next through a deque or a bitmap, which publish it.
 */
enum lg_state {
    LG_CLEAN = 0, /* free, holds no memory, reads as zero */
    LG_LOST = 2   /* in the child of a fork: was in use, and its file-backed memory stayed with the parent */
};

/* What a descriptor knows of its region's memory, together; 0 after any of it went. */
enum {
    LG_BLOCKS_RESERVED = 1, /* file backing: it has all its disk blocks */
    LG_BLOCKS_WRITTEN = 2   /* all of it was there when it was zeroed last, so that memset neither needs a block nor brings
                               in a page; of anonymous memory a guess, since it may be swapped out */
};

/* A descriptor has a cache line of its own: neighbouring regions may belong to different threads. */
typedef struct LG_CACHE_ALIGNED lg_region {
    lg_a64 state;
    lg_a32 has_blocks; /* what is known of its memory, LG_BLOCKS_...; the owner's, as state */
} lg_region;

LG_INLINE uint64_t lg_state_dirty(const void *address)
{
    return (uintptr_t)address;
}

LG_INLINE uint64_t lg_state_in_use(const void *address)
{
    return 0 - (uint64_t)(uintptr_t)address;
}

/* Programs have the lower half of the addresses. */
LG_INLINE bool lg_state_is_in_use(uint64_t state)
{
    return (int64_t)state < 0;
}

LG_INLINE bool lg_state_is_free(uint64_t state)
{
    return !lg_state_is_in_use(state) && state != LG_LOST;
}

/* Whether `ptr`, which may be anything, is a region in use, by the state of the descriptor where its own would be. */
LG_INLINE bool lg_state_is_of(uint64_t state, const void *ptr)
{
    uint64_t in_use = lg_state_in_use(ptr);
    return LG_LIKELY(lg_state_is_in_use(in_use)) && LG_LIKELY(state == in_use);
}

#define LG_REGION_LOG2 6
_Static_assert(sizeof(lg_region) == (size_t)1 << LG_REGION_LOG2, "a shift finds a descriptor");

/* What is known of a size class beyond what chunks, pools and threads know. */
typedef struct lg_class {
    uintptr_t base;        /* const after init: the arena's, where the hot path finds it together with the next */
    lg_region *regions;    /* const after init: descriptors by index, for the whole arena */
    lg_a64 limit;          /* regions [0, limit) have descriptors; grows, under the arena's lock */
    lg_a64 cache_capacity; /* regions that a thread's cache may hold; written by the configuration */
} lg_class;

extern LG_HIDDEN lg_class lg_classes[LG_CLASS_COUNT];

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
    size_t chunks;           /* in the arena */
    size_t classes;          /* that fit in it */
    lg_a64 *bitmap_words[LG_CLASS_COUNT]; /* not writable yet: room for a dirty and a clean bitmap */
    void *notes;             /* not writable yet: room for a record of LG_NOTE_BYTES per chunk */
    void *threads;           /* not writable yet: room for threads_max records */
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
LG_HIDDEN bool lg_arena_abandoned(const void *address);

/* Makes the descriptors and the pools' bits of regions [first, first + count) of a class usable. Under the arena's
 * lock. */
LG_HIDDEN int lg_class_extend(unsigned class_index, uint64_t first, uint64_t count);
/* Brings their descriptors in at once; only a matter of speed. */
LG_HIDDEN void lg_class_populate(unsigned class_index, uint64_t first, uint64_t count);

LG_INLINE lg_class *lg_class_at(unsigned class_index)
{
    return &lg_classes[class_index];
}

/* Where the arena begins; const after init. Atomic, since freeing NULL may be all that a thread does, while another
 * sets the library up. */
extern LG_HIDDEN lg_a64 lg_arena_base;

LG_INLINE lg_region *lg_region_at(unsigned class_index, uint64_t index)
{
    return &lg_class_at(class_index)->regions[index];
}

LG_INLINE void *lg_region_address(unsigned class_index, uint64_t index)
{
    return (void *)(lg_load_relaxed_64(&lg_arena_base) + (index << (class_index + LG_CLASS_MIN)));
}

LG_INLINE uint64_t lg_region_index(unsigned class_index, const lg_region *region)
{
    return (uint64_t)(region - lg_class_at(class_index)->regions);
}

LG_INLINE void *lg_address_of(unsigned class_index, const lg_region *region)
{
    return lg_region_address(class_index, lg_region_index(class_index, region));
}

/* A place in the arena, by the bytes before it. */
LG_INLINE char *lg_arena_address(uint64_t offset)
{
    return (char *)(uintptr_t)(lg_load_relaxed_64(&lg_arena_base) + offset); /* in numbers: the base may be none */
}

/* Regions of a class that there is room for. */
LG_INLINE uint64_t lg_class_regions(unsigned class_index)
{
    return lg_layout_.arena_bytes >> (class_index + LG_CLASS_MIN);
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
