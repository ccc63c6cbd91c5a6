#include "merge_many.h"

#include "losers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Before a word of a run. The offset is less than the block's words, or 0 behind the last block. */
struct position {
    size_t block;
    size_t offset;
};

/* A run, as all threads see it. */
struct input {
    struct sequence *run;
    atomic_uint *users; /* threads that still need the block, by block */
};

/* A run, as one thread reads it. */
struct source {
    const struct input *input;
    struct position at; /* its block is pinned, unless this is the end */
    struct position end;
    const uint64_t *next; /* NULL at the end */
    const uint64_t *stop;
};

/* A block that isn't needed before a word of this value is the next. */
struct later {
    uint64_t first;
    const struct block *block;
};

struct part {
    struct share *share;
    size_t count;
    struct source *sources;
    struct node *tree; /* from 1; sources are the leaves, from `count` */
    struct later *order;
    size_t ordered;
    size_t prefetched;
    size_t ahead;
    size_t words; /* of all sources, that aren't merged yet */
    struct sequence merged;
};

/* ---------------------------------------------------------------- where a thread's part begins */

/* The first word of a run that is not less than `word`. */
static int find(const struct sequence *run, uint64_t word, struct position *out)
{
    size_t low = 0;
    size_t high = run->count;

    while (low < high) { /* blocks that begin with less */
        const size_t middle = low + (high - low) / 2;
        if (run->blocks[middle].first < word)
            low = middle + 1;
        else
            high = middle;
    }
    *out = (struct position){low, 0};
    if (low == 0)
        return 0;
    const struct block *block = &run->blocks[low - 1];
    const uint64_t *words;
    const int error = block_pin(block, &words);
    if (error != 0)
        return error;
    size_t first = 0;
    size_t end = block->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (words[middle] < word)
            first = middle + 1;
        else
            end = middle;
    }
    block_unpin(block);
    if (first < block->count)
        *out = (struct position){low - 1, first};
    return 0;
}

static int compare_words(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Words that cut all runs into pieces of about the same size: the blocks' first words are a sample. */
static int choose_cuts(const struct sequence *runs, size_t count, unsigned pieces, uint64_t *out_cuts)
{
    size_t blocks = 0;
    for (size_t i = 0; i < count; i++)
        blocks += runs[i].count;
    uint64_t *sample = malloc((blocks + 1) * sizeof *sample);
    if (sample == NULL)
        return ENOMEM;
    size_t sampled = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < runs[i].count; k++)
            sample[sampled++] = runs[i].blocks[k].first;
    qsort(sample, sampled, sizeof *sample, compare_words);
    for (unsigned i = 1; i < pieces; i++)
        out_cuts[i - 1] = sampled > 0 ? sample[sampled * i / pieces] : 0;
    free(sample);
    return 0;
}

static int compare_later(const void *a, const void *b)
{
    const struct later *x = a;
    const struct later *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* With all `at` and `end` set: how many words there are, who uses which block, and in which order. */
static int part_lay_out(struct part *part)
{
    size_t later = 0;

    for (size_t i = 0; i < part->count; i++)
        later += part->sources[i].end.block - part->sources[i].at.block;
    part->order = malloc((later + 1) * sizeof *part->order);
    if (part->order == NULL)
        return ENOMEM;
    for (size_t i = 0; i < part->count; i++) {
        const struct source *source = &part->sources[i];
        const struct sequence *run = source->input->run;
        const size_t blocks = source->end.block + (source->end.offset > 0);
        for (size_t k = source->at.block; k < blocks; k++) {
            const size_t begin = k == source->at.block ? source->at.offset : 0;
            const size_t end = k == source->end.block ? source->end.offset : run->blocks[k].count;
            part->words += end - begin;
            atomic_fetch_add_explicit(&source->input->users[k], 1, memory_order_relaxed);
            if (k > source->at.block)
                part->order[part->ordered++] = (struct later){run->blocks[k].first, &run->blocks[k]};
        }
    }
    qsort(part->order, part->ordered, sizeof *part->order, compare_later);
    return 0;
}

/* ---------------------------------------------------------------- reading */

static bool at_end(const struct source *source)
{
    return source->at.block == source->end.block && source->at.offset == source->end.offset;
}

static void prefetch_one(struct part *part)
{
    if (part->prefetched < part->ordered)
        block_prefetch(part->order[part->prefetched++].block);
}

/* Whoever is the last to need it frees it. */
static void leave_block(struct source *source)
{
    struct block *block = &source->input->run->blocks[source->at.block];

    block_unpin(block);
    if (atomic_fetch_sub(&source->input->users[source->at.block], 1) == 1)
        block_free(block);
}

static int enter_block(struct source *source)
{
    const struct block *block = &source->input->run->blocks[source->at.block];
    const uint64_t *words;

    const int error = block_pin(block, &words);
    source->next = error == 0 ? words + source->at.offset : NULL;
    source->stop = words + (source->at.block == source->end.block ? source->end.offset : block->count);
    return error;
}

/* The block is read: goes on to the next. */
static int next_block(struct part *part, struct source *source)
{
    const bool last = source->at.block == source->end.block;

    leave_block(source);
    source->next = NULL;
    source->at = last ? source->end : (struct position){source->at.block + 1, 0};
    if (at_end(source))
        return 0;
    prefetch_one(part);
    return enter_block(source);
}

/* ---------------------------------------------------------------- merging */

/* A source that has ended loses against all but the greatest word, and to lose a tie with that changes nothing: words are
 * counted. */
static uint64_t front(const struct source *source)
{
    return source->next != NULL ? *source->next : UINT64_MAX;
}

static struct node first_winner(struct part *part)
{
    for (size_t i = 0; i < part->count; i++)
        part->tree[part->count + i] = (struct node){front(&part->sources[i]), i};
    return losers_play(part->tree, part->count, 1);
}

/* Fills a block as far as there are words. */
static int merge_block(struct part *part, struct node *winner_at, struct writer *writer)
{
    const size_t count = part->words < BLOCK_WORDS ? part->words : BLOCK_WORDS;
    struct node winner = *winner_at;
    uint64_t *const to = writer->next;

    for (size_t i = 0; i < count; i++) {
        struct source *const source = &part->sources[winner.source];
        to[i] = winner.word;
        if (source->next != NULL && ++source->next == source->stop) {
            const int error = next_block(part, source);
            if (error != 0)
                return error;
        }
        winner.word = front(source);
        winner = losers_replay(part->tree, part->count, winner);
    }
    writer->next += count;
    part->words -= count;
    *winner_at = winner;
    atomic_fetch_add_explicit(&part->share->done, count, memory_order_relaxed);
    return 0;
}

/* The first blocks of all runs at once. */
static int enter_first_blocks(struct part *part)
{
    for (size_t i = 0; i < part->count; i++)
        if (!at_end(&part->sources[i]))
            block_prefetch(&part->sources[i].input->run->blocks[part->sources[i].at.block]);
    for (size_t i = 0; i < part->count; i++) {
        const int error = at_end(&part->sources[i]) ? 0 : enter_block(&part->sources[i]);
        if (error != 0)
            return error;
    }
    while (part->prefetched < part->ordered && part->prefetched < part->ahead)
        prefetch_one(part);
    return 0;
}

static void merge_part(void *member)
{
    struct part *part = member;
    struct writer writer;

    writer_open(&writer, &part->merged);
    int error = enter_first_blocks(part);
    struct node winner = first_winner(part);
    while (error == 0 && part->words > 0 && atomic_load(&part->share->error) == 0) {
        error = writer_turn(&writer);
        if (error == 0)
            error = merge_block(part, &winner, &writer);
    }
    if (error == 0)
        error = writer_close(&writer);
    if (error != 0)
        writer_abandon(&writer);
    share_fail(part->share, error);
    /* Of sources that end with the greatest word a rest may be left, and after a failure much. */
    for (size_t i = 0; i < part->count; i++)
        if (part->sources[i].next != NULL)
            leave_block(&part->sources[i]);
}

/* ---------------------------------------------------------------- all of it */

struct merge {
    struct sequence *runs;
    size_t count;
    struct input *inputs;
    struct part *parts;
    uint64_t *cuts;
    unsigned threads;
};

static int part_prepare(struct merge *merge, unsigned number, size_t ahead, struct share *share)
{
    struct part *part = &merge->parts[number];

    part->share = share;
    part->count = merge->count;
    part->ahead = ahead;
    part->sources = calloc(merge->count, sizeof *part->sources);
    part->tree = calloc(2 * merge->count, sizeof *part->tree);
    if (part->sources == NULL || part->tree == NULL)
        return ENOMEM;
    int error = 0;
    for (size_t i = 0; i < merge->count && error == 0; i++) {
        struct source *source = &part->sources[i];
        source->input = &merge->inputs[i];
        if (number > 0)
            source->at = merge->parts[number - 1].sources[i].end;
        source->end = (struct position){merge->runs[i].count, 0};
        if (number + 1 < merge->threads)
            error = find(&merge->runs[i], merge->cuts[number], &source->end);
    }
    return error == 0 ? part_lay_out(part) : error;
}

static int prepare(struct merge *merge, size_t ahead, struct share *share)
{
    merge->inputs = calloc(merge->count, sizeof *merge->inputs);
    merge->parts = calloc(merge->threads, sizeof *merge->parts);
    merge->cuts = calloc(merge->threads, sizeof *merge->cuts);
    if (merge->inputs == NULL || merge->parts == NULL || merge->cuts == NULL)
        return ENOMEM;
    for (size_t i = 0; i < merge->count; i++) {
        merge->inputs[i].run = &merge->runs[i];
        merge->inputs[i].users = calloc(merge->runs[i].count + 1, sizeof *merge->inputs[i].users);
        if (merge->inputs[i].users == NULL)
            return ENOMEM;
    }
    int error = choose_cuts(merge->runs, merge->count, merge->threads, merge->cuts);
    for (unsigned i = 0; i < merge->threads && error == 0; i++)
        error = part_prepare(merge, i, ahead, share);
    return error;
}

static void clean_up(struct merge *merge)
{
    for (unsigned i = 0; merge->parts != NULL && i < merge->threads; i++) {
        free(merge->parts[i].sources);
        free(merge->parts[i].tree);
        free(merge->parts[i].order);
        sequence_free(&merge->parts[i].merged);
    }
    for (size_t i = 0; merge->inputs != NULL && i < merge->count; i++)
        free(merge->inputs[i].users);
    for (size_t i = 0; i < merge->count; i++)
        sequence_free(&merge->runs[i]); /* what was not freed on the way */
    free(merge->inputs);
    free(merge->parts);
    free(merge->cuts);
}

int merge_many(struct sequence *runs, size_t count, unsigned threads, size_t ahead, struct share *share,
               struct sequence *out_run)
{
    struct merge merge = {.runs = runs, .count = count, .threads = threads};

    *out_run = (struct sequence){NULL, 0, 0};
    int error = prepare(&merge, ahead, share);
    if (error == 0)
        error = crew_run(share, merge_part, merge.parts, sizeof *merge.parts, threads);
    for (unsigned i = 0; i < threads && error == 0; i++)
        error = sequence_join(out_run, &merge.parts[i].merged);
    clean_up(&merge);
    if (error != 0)
        sequence_free(out_run);
    return error;
}
