/*
 * A size class as one object: who it is, where its descriptors and pools are, and what is counted of it. What a thread
 * keeps of a class is in its record (thread.h); which memory belongs to the class the chunks say (chunk.h).
 *
 * Fields that are written often, and those that others read all the time, lie on different cache lines.
 */
#ifndef LG_CLASS_H
#define LG_CLASS_H

#include "../base/atomic.h"
#include "bitmap.h"
#include "counters.h"
#include "descriptor.h"
#include "size_class.h"

/* The free regions of a class that are in no thread's cache; see pool.h. */
enum lg_pool {
    LG_DIRTY_POOL = 0, /* they may hold memory */
    LG_CLEAN_POOL = 1  /* they hold none, and read as zero */
};
#define LG_POOLS 2

typedef struct LG_CACHE_ALIGNED lg_class {
    unsigned log2;              /* const: of its regions' bytes */
    uintptr_t base;             /* const after init: the arena's, where the hot path finds it together with the next */
    lg_descriptor *descriptors; /* const after init: descriptors by index, for the whole arena */
    lg_a64 limit;               /* regions [0, limit) have descriptors; grows, under the arena's lock */
    lg_a64 cache_capacity;      /* regions that a thread's cache may hold; written by the configuration */
    lg_a64 *bitmap_words;       /* const after init: room for both pools, not writable yet */
    lg_a64 *set_words; /* the same for the sets of sealed regions, a bit for each, one set after the other; seal.h */
    lg_a64 set_words_there;    /* of each set so many words are writable */
    lg_bitmap pools[LG_POOLS]; /* const after init, but for the words that they point to */

    /* What the statistics say of its chunks: written under the arena's lock, and read without. */
    LG_CACHE_ALIGNED lg_a64 areas;
    lg_a64 area_bytes;
    lg_a64 areas_released;
    /* Under the arena's lock. */
    uint64_t last_mapped;   /* bytes that were mapped last; 0 where it has no chunk any more */
    uintptr_t described_to; /* where what is committed of the descriptors ends, */
    size_t pooled_words;    /* and of the bitmaps' lowest level: words of each */

    /* Of all threads without a record, by atomic addition. */
    LG_CACHE_ALIGNED lg_hot_counters hot;
    lg_rare_counters rare;
    lg_a64 pooled[LG_POOLS]; /* their share of the pools' counts; see pool.h */
    /* Regions in use that were lost to a fork, or with threads that vanished in one; see fork.c. */
    lg_a64 lost;
} lg_class;

extern LG_HIDDEN lg_class lg_classes[LG_CLASS_COUNT];

LG_INLINE lg_class *lg_class_at(unsigned index)
{
    return &lg_classes[index];
}

/* Counts from the smallest class, which is 0: its place in what the statistics give, and its bit in a set of classes. */
LG_INLINE unsigned lg_class_index(const lg_class *cls)
{
    return cls->log2 - LG_CLASS_MIN;
}

/* Bytes of a region. */
LG_INLINE size_t lg_class_size(const lg_class *cls)
{
    return (size_t)1 << cls->log2;
}

/* Bytes of so many regions; so also the bytes of the arena that are before the region of that index. */
LG_INLINE uint64_t lg_class_bytes(const lg_class *cls, uint64_t regions)
{
    return regions << cls->log2;
}

/* Regions in so many bytes, rounded down; so also the index of the region that has so many bytes of the arena before it. */
LG_INLINE uint64_t lg_class_regions(const lg_class *cls, uint64_t bytes)
{
    return bytes >> cls->log2;
}

/* Bytes, rounded up to whole regions; where that overflows, all that fit. */
LG_INLINE size_t lg_class_round_up(const lg_class *cls, size_t bytes)
{
    size_t below = lg_class_size(cls) - 1;
    return (bytes <= SIZE_MAX - below ? bytes + below : SIZE_MAX) & ~below;
}

/* Words of a set with a bit for each region that so many bytes have room for. */
LG_INLINE uint64_t lg_class_set_words(const lg_class *cls, uint64_t bytes)
{
    return (lg_class_regions(cls, bytes) + 63) / 64;
}

LG_INLINE lg_descriptor *lg_descriptor_at(const lg_class *cls, uint64_t index)
{
    return &cls->descriptors[index];
}

LG_INLINE uint64_t lg_descriptor_index(const lg_class *cls, const lg_descriptor *region)
{
    return (uint64_t)(region - cls->descriptors);
}

/* ---- sets of classes, a bit for each */

_Static_assert(LG_CLASS_COUNT <= 32, "a bit for each class");

LG_INLINE uint32_t lg_class_bit(const lg_class *cls)
{
    return (uint32_t)1 << lg_class_index(cls);
}

/* Takes the smallest out of a set of classes that isn't empty. */
LG_INLINE lg_class *lg_next_class(uint32_t *classes)
{
    lg_class *smallest = lg_class_at((unsigned)__builtin_ctz(*classes));
    *classes &= *classes - 1;
    return smallest;
}

#endif
