/*
 * What is known of a region: one word of state, and what its memory holds. A descriptor has a cache line of its own, in
 * the metadata (arena.h).
 */
#ifndef LG_DESCRIPTOR_H
#define LG_DESCRIPTOR_H

#include "../base/atomic.h"
#include "../store/place.h"

/*
 * The state of a region of a mapped area: free and dirty (it may hold memory), the region's address, so that whoever
 * takes it finds the address there; in use, the address negated, so that one comparison tells a free that all is well,
 * and no pointer into memory, of whatever region, passes for one in use by being kept in another state; else one of
 * these, which are no region's address. Zero-filled descriptors say CLEAN, so that mapping an area need not write
 * them. Addresses without an area have CLEAN descriptors or none.
 *
 * Sealed is a kind of in use that a free must look at more closely: the state in which the address one below the region
 * would be in use. That lies in the region before, so no pointer passes for one in use by it, and the hot free's one
 * comparison sends sealed regions the long way.
 *
 * Written by whoever the region belongs to at that moment: the thread that takes it or frees it, or the
 * one that moves it. It passes from one to the next through a deque or a bitmap, which publish it; a sealed one through its
 * word (seal.h).
 */
enum lg_state {
    LG_CLEAN = 0, /* free, holds no memory, reads as zero */
    LG_LOST = 2 /* in the child of a fork: was in use, and its contents stayed with the parent: on a file, or evicted */
};

/* What a descriptor knows of its region's memory, together; 0 after any of it went. */
enum {
    LG_BLOCKS_RESERVED = 1, /* file backing: it has all its disk blocks */
    LG_BLOCKS_WRITTEN =
        2,            /* all of it was there when it was zeroed last, so that memset neither needs a block nor brings
                               in a page; of anonymous memory a guess, since it may be swapped out */
    LG_HELD_SHIFT = 8 /* above: so many huge pages from the beginning on may hold memory; 0: all of it (tail.h) */
};

/* A descriptor has a cache line of its own: neighbouring regions may belong to different threads. */
typedef struct LG_CACHE_ALIGNED lg_descriptor {
    lg_a64 state;
    lg_a32 has_blocks; /* what is known of its memory, LG_BLOCKS_...; the owner's, as state */
    lg_a64 word;       /* of a sealed region: where its contents are, who uses them, its pins; seal.h. Else 0 */
    uint64_t used;     /* bytes of a sealed region that survive an eviction; const while it is sealed */
    lg_place place;    /* of a sealed region: on disk; whose the word says it is */
} lg_descriptor;

LG_INLINE uint64_t lg_state_dirty(const void *address)
{
    return (uintptr_t)address;
}

LG_INLINE uint64_t lg_state_in_use(const void *address)
{
    return 0 - (uint64_t)(uintptr_t)address;
}

LG_INLINE uint64_t lg_state_sealed(const void *address)
{
    return 1 - (uint64_t)(uintptr_t)address; /* in numbers: the address may be any */
}

/* Programs have the lower half of the addresses. Sealed ones are in use too. */
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

#define LG_DESCRIPTOR_LOG2 6
_Static_assert(sizeof(lg_descriptor) == (size_t)1 << LG_DESCRIPTOR_LOG2, "a shift finds a descriptor");

#endif
