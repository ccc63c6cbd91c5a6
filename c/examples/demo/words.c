#define _GNU_SOURCE 1

#include "words.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Radix sort from the lowest digit up. Seven digits, 64 = 10 + 6 * 9 bits: an odd number of passes
 * between two buffers ends in the other buffer, so that no pass is spent on copying, and 512 buckets
 * stay within what a second-level TLB can reach.
 */
enum { DIGITS = 7, FIRST_BITS = 10, OTHER_BITS = 9, BUCKETS = 1 << FIRST_BITS };

static unsigned digit_shift(unsigned digit)
{
    return digit == 0 ? 0 : FIRST_BITS + (digit - 1) * OTHER_BITS;
}

static uint64_t digit_mask(unsigned digit)
{
    return ((uint64_t)1 << (digit == 0 ? FIRST_BITS : OTHER_BITS)) - 1;
}

void words_sort(uint64_t *from, uint64_t *to, size_t count)
{
    size_t starts[DIGITS][BUCKETS];

    memset(starts, 0, sizeof starts);
    for (size_t i = 0; i < count; i++)
        for (unsigned digit = 0; digit < DIGITS; digit++)
            starts[digit][(from[i] >> digit_shift(digit)) & digit_mask(digit)]++;

    for (unsigned digit = 0; digit < DIGITS; digit++) {
        const unsigned shift = digit_shift(digit);
        const uint64_t mask = digit_mask(digit);
        size_t *start = starts[digit];
        size_t sum = 0;

        for (size_t bucket = 0; bucket <= mask; bucket++) {
            const size_t here = start[bucket];
            start[bucket] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) {
            const uint64_t word = from[i];
            to[start[(word >> shift) & mask]++] = word;
        }
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
}

static size_t copy_some(const uint64_t **from, const uint64_t *end, uint64_t *to, size_t most)
{
    const size_t left = (size_t)(end - *from);
    const size_t count = left < most ? left : most;

    if (count > 0)
        memcpy(to, *from, count * sizeof *to);
    *from += count;
    return count;
}

size_t words_merge_some(const uint64_t **a_at, const uint64_t *a_end, const uint64_t **b_at, const uint64_t *b_end,
                        uint64_t *to, size_t most)
{
    const uint64_t *a = *a_at;
    const uint64_t *b = *b_at;
    size_t count = 0;

    while (a < a_end && b < b_end && count < most) {
        /* No branch on the words: on real data it would be mispredicted every other time. */
        const uint64_t x = *a;
        const uint64_t y = *b;
        const bool take_b = y < x;
        to[count++] = take_b ? y : x;
        a += !take_b;
        b += take_b;
    }
    *a_at = a;
    *b_at = b;
    count += copy_some(a_at, a_end, to + count, most - count);
    return count + copy_some(b_at, b_end, to + count, most - count);
}

void words_merge(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count, uint64_t *to)
{
    words_merge_some(&a, a + a_count, &b, b + b_count, to, a_count + b_count);
}

int words_read_at(int fd, uint64_t *words, size_t first, size_t count)
{
    char *to = (char *)words;
    size_t left = count * sizeof *words;
    off_t offset = (off_t)(first * sizeof *words);

    while (left > 0) {
        const ssize_t got = pread(fd, to, left, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : ENODATA;
        to += got;
        left -= (size_t)got;
        offset += got;
    }
    return 0;
}

uint64_t words_fingerprint(const uint64_t *words, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        /* Spread every bit over the word first, or changes in two words could cancel out. */
        uint64_t x = words[i] + UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        sum += x ^ (x >> 31);
    }
    return sum;
}

bool words_are_sorted(const uint64_t *words, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (words[i - 1] > words[i])
            return false;
    return true;
}

void words_let_go(uint64_t *words, size_t count)
{
    madvise(words, count * sizeof *words, MADV_DONTNEED);
}
