/*
 * A hierarchical bitmap: a lock-free set of small integers from which the lowest are claimed first.
 *
 * Level 0 holds one bit per member. A bit of level k+1 says that the word below it may hold a bit. Members
 * are claimed with one compare-and-swap per word and given back with one fetch-or: no list, no node, no
 * ABA. The summaries are hints that are kept so that no member stays hidden: see bitmap.c for the argument.
 *
 * An operation that overlaps a give, or another that was led to an empty word, may find the set empty although it
 * isn't; where that matters, lg_bitmap_claim_scan() looks at level 0 alone.
 */
#ifndef LG_BITMAP_H
#define LG_BITMAP_H

#include "../base/atomic.h"

#define LG_BITMAP_LEVELS 5 /* 64^5 = 2^30 members; an arena of 4 TiB in regions of 64 KiB has 2^26 */

typedef struct lg_bitmap {
    /* Const after init: words of each level; the words themselves are atomic. Those of level 0 stand in the order of
     * lg_bitmap_at(). */
    lg_a64 *level[LG_BITMAP_LEVELS];
    uint32_t top; /* the highest level, a single word */
} lg_bitmap;

/* Up to 64 members of one word: `mask` of the members from 64 * word. */
typedef struct lg_batch {
    uint64_t word;
    uint64_t mask;
} lg_batch;

/* A word of level 0. Threads that keep apart claim from neighbouring words: these lie on different cache lines, eight lines
 * of eight words in turns. */
LG_INLINE lg_a64 *lg_bitmap_at(const lg_bitmap *bitmap, uint64_t word)
{
    return &bitmap->level[0][(word & ~(uint64_t)63) | (word & 7) << 3 | (word >> 3 & 7)];
}

/* Words that a bitmap for `members` needs, all levels together. members <= 2^30. */
LG_HIDDEN size_t lg_bitmap_words(size_t members);
/* Those of the lowest level, which come first, that members below `members` are in. */
LG_HIDDEN size_t lg_bitmap_lowest_words(size_t members);

/* Takes `words` (zeroed memory, lg_bitmap_words() of them) into use; the set is empty. */
LG_HIDDEN void lg_bitmap_init(lg_bitmap *bitmap, lg_a64 *words, size_t members);

/* Claims up to `most` of the lowest members of one word: what is in the batch belongs to the caller. A mask
 * of 0: the set was found empty. Acquires what the givers released. */
LG_HIDDEN lg_batch lg_bitmap_claim(lg_bitmap *bitmap, unsigned most);

/* The same without the summaries, for members below `members`: finds whatever is there all the time. */
LG_HIDDEN lg_batch lg_bitmap_claim_scan(lg_bitmap *bitmap, unsigned most, size_t members);

/* Claims up to `most` (at least 1) of the lowest members of the word that lg_bitmap_at() gave: returns which, 0 if it is
 * empty; *out_seen is what was there just before. */
LG_HIDDEN uint64_t lg_bitmap_claim_at(lg_a64 *at, unsigned most, uint64_t *out_seen);

/* Claims what there is of the batch, which may be part or nothing. */
LG_HIDDEN uint64_t lg_bitmap_claim_mask(lg_bitmap *bitmap, lg_batch batch);

/* Puts members into the set, and releases. Returns those that were in it already: a region freed twice. */
LG_HIDDEN LG_MUST_USE uint64_t lg_bitmap_give(lg_bitmap *bitmap, lg_batch batch);

/* Whether a member is in the set; a moment later it may not be. */
LG_HIDDEN bool lg_bitmap_has(const lg_bitmap *bitmap, uint64_t member);

/* Whether the summary says that the set is empty. */
LG_HIDDEN bool lg_bitmap_is_empty(const lg_bitmap *bitmap);

/* One word of the set, a moment ago. */
LG_HIDDEN uint64_t lg_bitmap_word(const lg_bitmap *bitmap, uint64_t word);

/* At a quiet moment: whether each summary bit says what is below it, for members below `members`. A bit
 * too many is allowed, a hidden member is not. */
LG_HIDDEN bool lg_bitmap_sound(const lg_bitmap *bitmap, size_t members);

LG_INLINE lg_batch lg_batch_of(uint64_t member)
{
    return (lg_batch){member / 64, (uint64_t)1 << (member % 64)};
}

/* Adds a bit (0 to 63) to a set; whether it was there already. */
LG_INLINE bool lg_mask_add(uint64_t *mask, uint64_t bit)
{
#if defined(__x86_64__)
    bool was; /* one instruction, which compilers make four of */
    __asm__("btsq %2, %0" : "+r"(*mask), "=@ccc"(was) : "r"(bit));
    return was;
#else
    bool was = (*mask >> bit & 1) != 0;
    *mask |= (uint64_t)1 << bit;
    return was;
#endif
}

LG_INLINE unsigned lg_batch_count(lg_batch batch)
{
    /* In parallel within the word: the builtin is a call where the processor isn't known to have it. */
    uint64_t n = batch.mask - ((batch.mask >> 1) & 0x5555555555555555u);
    n = (n & 0x3333333333333333u) + ((n >> 2) & 0x3333333333333333u);
    return (unsigned)((((n + (n >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u) >> 56);
}

/* Takes the lowest member out of a batch that isn't empty. */
LG_INLINE uint64_t lg_batch_pop_lowest(lg_batch *batch)
{
    uint64_t bit = (uint64_t)__builtin_ctzll(batch->mask);
    batch->mask &= batch->mask - 1;
    return batch->word * 64 + bit;
}

/* Takes the highest member out of a batch that isn't empty. */
LG_INLINE uint64_t lg_batch_pop_highest(lg_batch *batch)
{
    uint64_t bit = 63 - (uint64_t)__builtin_clzll(batch->mask);
    batch->mask &= ~((uint64_t)1 << bit);
    return batch->word * 64 + bit;
}

/* Splits a range of members into words: returns the batch of its first word, and takes that off the range,
 * which isn't empty. */
LG_INLINE lg_batch lg_batch_split(uint64_t *first, uint64_t *count)
{
    uint64_t bit = *first % 64;
    uint64_t n = *count < 64 - bit ? *count : 64 - bit;
    lg_batch batch = {*first / 64, (n == 64 ? ~(uint64_t)0 : (((uint64_t)1 << n) - 1)) << bit};
    *first += n;
    *count -= n;
    return batch;
}

#endif
