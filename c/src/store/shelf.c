#include "shelf.h"

#include "../base/atomic.h"
#include "../base/metadata.h"
#include "../base/os.h"

#define SHELF_UNITS LG_SHELF_WORD_UNITS
/* Words are committed in steps of this many bytes, a file's 32 GiB. */
#define SHELF_STEP (64 * LG_KIB)

int lg_shelf_make(lg_shelf *shelf, uint64_t most_units)
{
    *shelf = (lg_shelf){.room = (most_units / SHELF_UNITS * 8 + SHELF_STEP - 1) / SHELF_STEP * SHELF_STEP / 8};
    void *bits;
    int error = lg_os_reserve(2 * shelf->room * 8, &bits);
    if (error != 0)
        return error;
    shelf->taken = bits;
    shelf->blocks = shelf->taken + shelf->room;
    return 0;
}

void lg_shelf_drop(lg_shelf *shelf)
{
    if (shelf->taken == NULL)
        return;
    lg_os_unreserve(shelf->taken, 2 * shelf->room * 8);
    lg_sub_relaxed_64(&lg_metadata_bytes, 2 * shelf->words * 8);
    *shelf = (lg_shelf){.taken = NULL};
}

static int shelf_grow(lg_shelf *shelf)
{
    if (shelf->words == shelf->room)
        return ENOSPC;
    int error = lg_os_commit(shelf->taken + shelf->words, SHELF_STEP);
    if (error == 0)
        error = lg_os_commit(shelf->blocks + shelf->words, SHELF_STEP); /* again next time, and zero as well */
    if (error != 0)
        return error;
    shelf->words += SHELF_STEP / 8;
    lg_add_relaxed_64(&lg_metadata_bytes, 2 * SHELF_STEP);
    return 0;
}

/* ---- bits */

static uint64_t low_bits(uint64_t n)
{
    return n >= SHELF_UNITS ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The bits of a range that its first word has; takes them off the range. */
static uint64_t shelf_mask(uint64_t *at, uint64_t *units, uint64_t *out_word)
{
    uint64_t bit = *at % SHELF_UNITS, n = lg_min(SHELF_UNITS - bit, *units);
    *out_word = *at / SHELF_UNITS;
    *at += n;
    *units -= n;
    return low_bits(n) << bit;
}

/* Where n set bits in a row begin, the lowest; SHELF_UNITS: nowhere. */
static uint64_t run_in_word(uint64_t bits, uint64_t n)
{
    for (uint64_t left = n; left > 1 && bits != 0;) {
        uint64_t step = left / 2;
        bits &= bits >> step;
        left -= step;
    }
    return bits == 0 ? SHELF_UNITS : (uint64_t)__builtin_ctzll(bits);
}

/* ---- places */

/* Up to a word's units. */
static int find_in_words(lg_shelf *shelf, uint64_t units, uint64_t *out_at)
{
    for (uint64_t word = shelf->from[units];; word++) {
        shelf->from[units] = word;
        if (word == shelf->words) {
            int error = shelf_grow(shelf);
            if (error != 0)
                return error;
        }
        uint64_t bit = run_in_word(~shelf->taken[word], units);
        if (bit != SHELF_UNITS) {
            *out_at = word * SHELF_UNITS + bit;
            return 0;
        }
    }
}

/* More than that. */
static int find_words(lg_shelf *shelf, uint64_t units, uint64_t *out_at)
{
    uint64_t first = shelf->from[0], found = 0; /* units free from `first` on */
    for (uint64_t word = first; found < units; word++) {
        if (word == shelf->words) {
            int error = shelf_grow(shelf);
            if (error != 0)
                return error;
        }
        uint64_t wanted = low_bits(units - found);
        if ((shelf->taken[word] & wanted) == 0) {
            found += lg_min(units - found, SHELF_UNITS);
        } else {
            if (first == shelf->from[0] && shelf->taken[first] != 0)
                shelf->from[0] = word + 1; /* a run begins with a whole word that is free */
            first = word + 1;
            found = 0;
        }
    }
    *out_at = first * SHELF_UNITS;
    return 0;
}

int lg_shelf_take(lg_shelf *shelf, uint64_t units, uint64_t *out_at)
{
    int error = units <= SHELF_UNITS ? find_in_words(shelf, units, out_at) : find_words(shelf, units, out_at);
    if (error != 0)
        return error;
    shelf->taken_units += units;
    for (uint64_t at = *out_at, word; units != 0;) {
        uint64_t mask = shelf_mask(&at, &units, &word);
        shelf->taken[word] |= mask;
        shelf->unused_units -= (uint64_t)__builtin_popcountll(shelf->blocks[word] & mask);
    }
    return 0;
}

void lg_shelf_give(lg_shelf *shelf, uint64_t at, uint64_t units)
{
    for (unsigned n = 0; n <= SHELF_UNITS; n++)
        shelf->from[n] = lg_min(shelf->from[n], at / SHELF_UNITS);
    shelf->taken_units -= units;
    for (uint64_t word; units != 0;) {
        uint64_t mask = shelf_mask(&at, &units, &word);
        shelf->taken[word] &= ~mask;
        shelf->unused_units += (uint64_t)__builtin_popcountll(shelf->blocks[word] & mask);
    }
}

/* ---- blocks */

/* How many units from `at` on have the bit, or haven't, up to `units`. */
static uint64_t run_length(const uint64_t *bits, uint64_t at, uint64_t units, bool set)
{
    uint64_t length = 0;
    while (length < units) {
        uint64_t bit = (at + length) % SHELF_UNITS;
        uint64_t word = bits[(at + length) / SHELF_UNITS];
        uint64_t others = (set ? ~word : word) >> bit;
        uint64_t n = others == 0 ? SHELF_UNITS - bit : lg_min((uint64_t)__builtin_ctzll(others), SHELF_UNITS - bit);
        length += n;
        if (n < SHELF_UNITS - bit)
            break;
    }
    return lg_min(length, units);
}

uint64_t lg_shelf_run_without(const lg_shelf *shelf, uint64_t at, uint64_t units, uint64_t *out_at)
{
    uint64_t before = run_length(shelf->blocks, at, units, true);
    *out_at = at + before;
    return run_length(shelf->blocks, at + before, units - before, false);
}

uint64_t lg_shelf_count_without(const lg_shelf *shelf, uint64_t at, uint64_t units)
{
    uint64_t count = units;
    for (uint64_t word; units != 0;) {
        uint64_t mask = shelf_mask(&at, &units, &word);
        count -= (uint64_t)__builtin_popcountll(shelf->blocks[word] & mask);
    }
    return count;
}

void lg_shelf_set_blocks(lg_shelf *shelf, uint64_t at, uint64_t units, bool has)
{
    for (uint64_t word; units != 0;) {
        uint64_t mask = shelf_mask(&at, &units, &word);
        shelf->block_units -= (uint64_t)__builtin_popcountll(shelf->blocks[word] & mask);
        shelf->blocks[word] = has ? shelf->blocks[word] | mask : shelf->blocks[word] & ~mask;
        shelf->block_units += (uint64_t)__builtin_popcountll(shelf->blocks[word] & mask);
    }
}

uint64_t lg_shelf_take_unused(lg_shelf *shelf, uint64_t at, uint64_t most, uint64_t *out_at)
{
    uint64_t end = shelf->words * SHELF_UNITS;
    while (at < end) {
        uint64_t word = at / SHELF_UNITS, bit = at % SHELF_UNITS;
        uint64_t unused = (shelf->blocks[word] & ~shelf->taken[word]) >> bit;
        if (unused == 0) {
            at = (word + 1) * SHELF_UNITS;
            continue;
        }
        at += (uint64_t)__builtin_ctzll(unused);
        uint64_t length = run_length(shelf->blocks, at, lg_min(most, end - at), true);
        length = run_length(shelf->taken, at, length, false);
        *out_at = at;
        shelf->taken_units += length;
        shelf->unused_units -= length;
        for (uint64_t units = length; units != 0;) {
            uint64_t mask = shelf_mask(&at, &units, &word);
            shelf->taken[word] |= mask;
        }
        return length;
    }
    return 0;
}
