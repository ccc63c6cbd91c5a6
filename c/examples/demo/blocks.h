/*
 * Sorted words in sealed regions: more of them than memory holds. A block is a region; a sequence of blocks is a run.
 */
#ifndef DEMO_BLOCKS_H
#define DEMO_BLOCKS_H

#include "lgalloc.h"

#include <stddef.h>
#include <stdint.h>

/* The smallest regions that are evicted: of many runs that are merged at a time a block each has to be in memory. */
#define BLOCK_BYTES ((size_t)2 << 20)
#define BLOCK_WORDS (BLOCK_BYTES / sizeof(uint64_t))

struct block {
    lgalloc_handle handle; /* len 0: the block was freed */
    size_t count;          /* words, at least 1 */
    uint64_t first;        /* its first word, which is known also while the block is on disk */
};

struct sequence {
    struct block *blocks;
    size_t count;
    size_t capacity;
};

/* All functions that return an int return 0 or an errno. */

/* A region of at least so many bytes that is not sealed. */
int region_take(size_t bytes, lgalloc_handle *out_handle);

/* In memory until block_unpin(); several threads may pin a block. */
int block_pin(const struct block *block, const uint64_t **out_words);
void block_unpin(const struct block *block);
/* It is needed soon: the library begins to load it. */
void block_prefetch(const struct block *block);
/* Nobody has it pinned. */
void block_free(struct block *block);

/* Frees those blocks that have not been. The sequence is empty then. */
void sequence_free(struct sequence *sequence);
/* Puts the blocks of one behind those of the other, which keeps none on success. */
int sequence_join(struct sequence *to, struct sequence *from);

/* Writes a sequence block by block: whoever fills `next` up to `end` calls writer_turn(). */
struct writer {
    struct sequence *to;
    lgalloc_handle handle; /* len 0: there is none at present */
    uint64_t *next;
    uint64_t *end;
};

/* No block yet: writer_turn() brings one. */
void writer_open(struct writer *writer, struct sequence *to);
/* Seals what is written, and takes another block. */
int writer_turn(struct writer *writer);
/* Seals the last block, if anything is in it. */
int writer_close(struct writer *writer);
/* After a failure: gives the block back that isn't sealed. */
void writer_abandon(struct writer *writer);

#endif
