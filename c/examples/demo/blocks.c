#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int errno_of(lgalloc_status status)
{
    switch (status) {
    case LGALLOC_STATUS_OK: return 0;
    case LGALLOC_STATUS_IO: return errno;
    case LGALLOC_STATUS_OUT_OF_MEMORY: return ENOMEM;
    default: return EINVAL;
    }
}

int region_take(size_t bytes, lgalloc_handle *out_handle)
{
    return errno_of(lgalloc_allocate(bytes, 1, 1, NULL, NULL, out_handle));
}

int block_pin(const struct block *block, const uint64_t **out_words)
{
    *out_words = block->handle.ptr;
    return errno_of(lgalloc_pin(block->handle));
}

void block_unpin(const struct block *block)
{
    lgalloc_unpin(block->handle);
}

void block_prefetch(const struct block *block)
{
    (void)lgalloc_prefetch(block->handle, 0, block->handle.len); /* else it is loaded when it is pinned */
}

void block_free(struct block *block)
{
    lgalloc_deallocate(block->handle);
    block->handle.len = 0;
}

void sequence_free(struct sequence *sequence)
{
    for (size_t i = 0; i < sequence->count; i++)
        if (sequence->blocks[i].handle.len != 0)
            block_free(&sequence->blocks[i]);
    free(sequence->blocks);
    *sequence = (struct sequence){NULL, 0, 0};
}

static int sequence_reserve(struct sequence *sequence, size_t more)
{
    size_t capacity = sequence->capacity > 0 ? sequence->capacity : 16;

    if (sequence->capacity - sequence->count >= more)
        return 0;
    while (capacity - sequence->count < more)
        capacity *= 2;
    struct block *blocks = realloc(sequence->blocks, capacity * sizeof *blocks);
    if (blocks == NULL)
        return ENOMEM;
    sequence->blocks = blocks;
    sequence->capacity = capacity;
    return 0;
}

int sequence_join(struct sequence *to, struct sequence *from)
{
    const int error = sequence_reserve(to, from->count);

    if (error != 0)
        return error;
    if (from->count > 0)
        memcpy(to->blocks + to->count, from->blocks, from->count * sizeof *from->blocks);
    to->count += from->count;
    free(from->blocks);
    *from = (struct sequence){NULL, 0, 0};
    return 0;
}

/* ---------------------------------------------------------------- writing */

void writer_open(struct writer *writer, struct sequence *to)
{
    *writer = (struct writer){.to = to};
}

static int seal(struct writer *writer)
{
    const uint64_t *const words = writer->handle.ptr;
    const struct block block = {writer->handle, (size_t)(writer->next - words), words[0]};

    const int error = errno_of(lgalloc_seal(block.handle, block.count * sizeof *words));
    if (error != 0)
        return error;
    (void)lgalloc_cold(block.handle, 0, block.handle.len); /* others are needed sooner */
    writer->to->blocks[writer->to->count++] = block;       /* room for it is there since the block was taken */
    writer->handle.len = 0;
    return 0;
}

int writer_turn(struct writer *writer)
{
    int error = writer->handle.len != 0 ? seal(writer) : 0;

    if (error == 0)
        error = sequence_reserve(writer->to, 1);
    if (error == 0)
        error = region_take(BLOCK_BYTES, &writer->handle);
    if (error != 0)
        return error;
    writer->next = writer->handle.ptr;
    writer->end = writer->next + BLOCK_WORDS;
    return 0;
}

int writer_close(struct writer *writer)
{
    if (writer->handle.len != 0 && writer->next != writer->handle.ptr)
        return seal(writer);
    writer_abandon(writer);
    return 0;
}

void writer_abandon(struct writer *writer)
{
    lgalloc_deallocate(writer->handle);
    writer->handle.len = 0;
}
