/*
 * Why no member stays hidden. Call a word *announced* if its summary bit is set, and so on up to the top.
 *
 *   give:   G1 word |= members        G2 if the word held nothing before: if the summary bit is clear, set it; and so
 *                                        on up, until a bit was set already, or another of the same summary word
 *   find:   F1 the word is empty      F2 summary bit := 0   F3 if the word isn't empty any more: set it again, and up
 *                                                              as G2 does; else up, if the summary word is empty now
 *
 * A claim that empties a word leaves its announcement; the next one that is led there for nothing takes it back
 * (F). So a member that is claimed and given over and over costs two read-modify-writes, not one per level.
 *
 * All of these are sequentially consistent, so they have one order. When all gives and finds are over, a word that holds a
 * member is announced: look at the give that found it empty for the last time. The last F2 on this word is either
 * before that give's G2, then G2 sets the bit, or sees that it is set; or after it, then F3 comes after G1, the word has
 * held a member ever since, and F3 sees that and sets the bit. Gives that find members there need do nothing. The same
 * argument goes for each level above: a summary word in place of the word, setting its first bit in place of the give.
 * Without F3, or with F3 read before F2, the member would be hidden for good: a leak that shows as an
 * early OUT_OF_MEMORY. While some give or find is under way, emptiness may be seen that isn't.
 *
 * What a member stands for (the state of a region) is published by the give's release, which is part of sequential
 * consistency, and read after the claim's acquire. With less, the claimer could see a region's state, or its user the
 * contents, from before it was given. A claim publishes nothing, and has no part in the argument above.
 */
#include "bitmap.h"

#include "../base/die.h"

static size_t words_for(size_t members)
{
    return (members + 63) / 64;
}

/* Room for the words of level 0, which change places in groups of 64. */
static size_t room_for(size_t members)
{
    return (words_for(members) + 63) & ~(size_t)63;
}

size_t lg_bitmap_lowest_words(size_t members)
{
    return room_for(members);
}

size_t lg_bitmap_words(size_t members)
{
    size_t total = room_for(members);
    for (size_t n = words_for(members); n > 1;) {
        n = words_for(n);
        total += n;
    }
    return total;
}

void lg_bitmap_init(lg_bitmap *bitmap, lg_a64 *words, size_t members)
{
    size_t n = words_for(members);
    uint32_t level = 0;
    bitmap->level[0] = words;
    words += room_for(members);
    while (n > 1) {
        n = words_for(n);
        level++;
        LG_ASSERT(level < LG_BITMAP_LEVELS);
        bitmap->level[level] = words;
        words += n;
    }
    bitmap->top = level;
}

static lg_a64 *word_at(const lg_bitmap *bitmap, uint32_t level, uint64_t word)
{
    return level == 0 ? lg_bitmap_at(bitmap, word) : &bitmap->level[level][word];
}

/* Announces a word of level `level`, which held nothing before, to the summaries above it. */
static void announce(lg_bitmap *bitmap, uint32_t level, uint64_t word)
{
    for (; level < bitmap->top; level++) {
        uint64_t bit = (uint64_t)1 << (word % 64);
        word /= 64;
        lg_a64 *summary = &bitmap->level[level + 1][word];
        if ((lg_load_seq_cst_64(summary) & bit) != 0 || lg_or_seq_cst_64(summary, bit) != 0)
            return; /* whoever set the summary's first bit announces it */
    }
}

/* Level `level`'s word was found empty: clears its summary bit, and further up where that empties a
 * summary word. */
static void retract(lg_bitmap *bitmap, uint32_t level, uint64_t word)
{
    for (; level < bitmap->top; level++) {
        uint64_t bit = (uint64_t)1 << (word % 64);
        uint64_t before = lg_and_seq_cst_64(&bitmap->level[level + 1][word / 64], ~bit);
        if (lg_load_seq_cst_64(word_at(bitmap, level, word)) != 0) { /* F3 */
            announce(bitmap, level, word);
            return;
        }
        if ((before & ~bit) != 0)
            return;
        word /= 64;
    }
}

/* The `most` lowest bits of a set that isn't empty; 0 < most < 64. */
static uint64_t lowest_bits(uint64_t set, unsigned most)
{
    /* Mostly they are neighbours: then a window says it without a loop. */
    unsigned lowest = (unsigned)__builtin_ctzll(set);
    uint64_t window = (((uint64_t)1 << most) - 1) << lowest;
    uint64_t found = set & window;
    if (LG_LIKELY(found == window) || found == set)
        return found;
    uint64_t rest = set;
    for (unsigned i = 0; i < most && rest != 0; i++)
        rest &= rest - 1;
    return set & ~rest;
}

uint64_t lg_bitmap_claim_at(lg_a64 *at, unsigned most, uint64_t *out_seen)
{
    uint64_t seen = lg_load_relaxed_64(at);
    for (;;) {
        *out_seen = seen;
        if (seen == 0)
            return 0;
        uint64_t want = most < 64 ? lowest_bits(seen, most) : seen;
        if (lg_cas_acquire_64(at, &seen, seen & ~want)) /* Partner: the fetch-or in lg_bitmap_give() */
            return want;
    }
}

/* The same of a word by number. */
static uint64_t claim_from(lg_bitmap *bitmap, uint64_t word, unsigned most)
{
    uint64_t seen;
    return lg_bitmap_claim_at(lg_bitmap_at(bitmap, word), most, &seen);
}

lg_batch lg_bitmap_claim(lg_bitmap *bitmap, unsigned most)
{
    /* Down from the top, the lowest bit each time. Where the summaries lead to an empty word, take that back and try
     * again. Each round clears a bit that only a give sets again, so others have made progress if this goes on. */
    for (;;) {
        uint64_t word = 0;
        uint32_t level = bitmap->top;
        while (level > 0) {
            uint64_t set = lg_load_relaxed_64(&bitmap->level[level][word]); /* it leads the way, no more */
            if (set == 0)
                break;
            word = word * 64 + (uint64_t)__builtin_ctzll(set);
            level--;
        }
        if (level == 0) {
            uint64_t mask = claim_from(bitmap, word, most);
            if (mask != 0)
                return (lg_batch){word, mask};
        }
        if (level == bitmap->top)
            return (lg_batch){0, 0};
        retract(bitmap, level, word);
    }
}

lg_batch lg_bitmap_claim_scan(lg_bitmap *bitmap, unsigned most, size_t members)
{
    for (uint64_t word = 0; word < words_for(members); word++) {
        uint64_t mask = claim_from(bitmap, word, most);
        if (mask != 0)
            return (lg_batch){word, mask};
    }
    return (lg_batch){0, 0};
}

uint64_t lg_bitmap_claim_mask(lg_bitmap *bitmap, lg_batch batch)
{
    lg_a64 *at = lg_bitmap_at(bitmap, batch.word);
    uint64_t seen = lg_load_relaxed_64(at);
    while ((seen & batch.mask) != 0)
        if (lg_cas_acquire_64(at, &seen, seen & ~batch.mask)) /* Partner: the fetch-or in lg_bitmap_give() */
            return seen & batch.mask;
    return 0;
}

uint64_t lg_bitmap_give(lg_bitmap *bitmap, lg_batch batch)
{
    uint64_t before = lg_or_seq_cst_64(lg_bitmap_at(bitmap, batch.word), batch.mask);
    if (before == 0)
        announce(bitmap, 0, batch.word);
    return before & batch.mask;
}

bool lg_bitmap_has(const lg_bitmap *bitmap, uint64_t member)
{
    return (lg_load_relaxed_64(lg_bitmap_at(bitmap, member / 64)) >> (member % 64) & 1) != 0;
}

bool lg_bitmap_is_empty(const lg_bitmap *bitmap)
{
    return lg_load_relaxed_64(word_at(bitmap, bitmap->top, 0)) == 0;
}

uint64_t lg_bitmap_word(const lg_bitmap *bitmap, uint64_t word)
{
    return lg_load_relaxed_64(lg_bitmap_at(bitmap, word));
}

bool lg_bitmap_sound(const lg_bitmap *bitmap, size_t members)
{
    size_t words = words_for(members);
    for (uint32_t level = 0; level < bitmap->top; level++) {
        for (uint64_t word = 0; word < words; word++) {
            uint64_t up = lg_load_relaxed_64(&bitmap->level[level + 1][word / 64]);
            if (lg_load_relaxed_64(word_at(bitmap, level, word)) != 0 && (up >> (word % 64) & 1) == 0)
                return false;
        }
        words = words_for(words);
    }
    return true;
}
