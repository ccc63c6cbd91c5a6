/*
 * What is done to 8-byte words: reading, sorting, merging, checking. The words are in memory of the caller.
 */
#ifndef DEMO_WORDS_H
#define DEMO_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts `count` words from `from` into `to`; what is left in `from` is undefined. No overlap. */
void words_sort(uint64_t *from, uint64_t *to, size_t count);

/* Merges two sorted runs into `to`, which overlaps neither. */
void words_merge(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count, uint64_t *to);

/* The same until so many words are in `to`, or both runs are at their ends; returns how many. The runs begin where they are
 * left. */
size_t words_merge_some(const uint64_t **a_at, const uint64_t *a_end, const uint64_t **b_at, const uint64_t *b_end,
                        uint64_t *to, size_t most);

/* Reads words [first, first + count) of an open file. Returns 0 or an errno; ENODATA: it ends before. */
int words_read_at(int fd, uint64_t *words, size_t first, size_t count);

/* A sum over the words that does not depend on their order. */
uint64_t words_fingerprint(const uint64_t *words, size_t count);

bool words_are_sorted(const uint64_t *words, size_t count);

/* What is done with very many words at a time, so that one can see how far it is. */
#define WORDS_PIECE ((size_t)256 << 10)

/* Words from `first` to the end of its piece. */
static inline size_t words_piece(size_t first, size_t count)
{
    return count - first < WORDS_PIECE ? count - first : WORDS_PIECE;
}

/* A piece of memory that is shared with another process is no longer resident in this one; it keeps its contents. */
void words_let_go(uint64_t *words, size_t count);

#endif
