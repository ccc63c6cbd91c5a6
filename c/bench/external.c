#define _GNU_SOURCE 1

#include "external.h"

#include "bench.h"
#include "paging.h"

#include "../examples/demo/losers.h"
#include "../examples/demo/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---------------------------------------------------------------- files */

void external_read(int fd, uint64_t *words, size_t first, size_t count)
{
    const int error = words_read_at(fd, words, first, count);

    if (error != 0)
        give_up("read: %s", strerror(error));
}

/* Words that are written one after the other, through a buffer or to a mapping. */
struct target {
    int fd;
    uint64_t *mapping; /* NULL: none */
    uint64_t *buffer;
    size_t buffer_words;
    size_t at;
};

static struct target target_open(const struct external *sort)
{
    struct target target = {.fd = paging_file(sort->words * sizeof(uint64_t), false)};

    if (sort->mapped) {
        target.mapping = mmap(NULL, sort->words * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, target.fd, 0);
        if (target.mapping == MAP_FAILED)
            give_up("mmap: %s", strerror(errno));
    }
    return target;
}

/* Where the next words belong, and for how many there is room. */
static uint64_t *target_room(const struct target *target)
{
    return target->mapping != NULL ? target->mapping + target->at : target->buffer;
}

static void target_filled(struct target *target, size_t count)
{
    const char *from = (const char *)target->buffer;
    size_t left = target->mapping != NULL ? 0 : count * sizeof(uint64_t);
    off_t at = (off_t)(target->at * sizeof(uint64_t));

    while (left > 0) {
        const ssize_t done = pwrite(target->fd, from, left, at);
        if (done <= 0)
            give_up("write: %s", strerror(errno));
        from += done;
        at += done;
        left -= (size_t)done;
    }
    target->at += count;
}

static void *take(size_t bytes)
{
    return hand_map_anonymous(bytes, 2 * MIB, true);
}

/* ---------------------------------------------------------------- runs */

enum { HALVES_IN_USE = 3, WRITTEN_WORDS = 2 * MIB / sizeof(uint64_t) };

static void make_run(const struct external *sort, size_t first, uint64_t *halves[HALVES_IN_USE], struct target *to)
{
    const size_t half = sort->run_words / 2, left = sort->words - first;
    const size_t a_count = left < half ? left : half;
    const size_t b_count = left - a_count < half ? left - a_count : half;
    const uint64_t *a = halves[1], *b = halves[2];
    const uint64_t *const a_end = a + a_count, *const b_end = b + b_count;

    external_read(sort->input, halves[0], first, a_count);
    words_sort(halves[0], halves[1], a_count);
    external_read(sort->input, halves[0], first + a_count, b_count);
    words_sort(halves[0], halves[2], b_count);
    while (a < a_end || b < b_end)
        target_filled(to, words_merge_some(&a, a_end, &b, b_end, target_room(to), to->buffer_words));
}

static struct target make_runs(const struct external *sort)
{
    const size_t half_bytes = sort->run_words / 2 * sizeof(uint64_t);
    struct target runs = target_open(sort);
    uint64_t *halves[HALVES_IN_USE];

    for (size_t i = 0; i < HALVES_IN_USE; i++)
        halves[i] = take(half_bytes);
    runs.buffer_words = WRITTEN_WORDS;
    runs.buffer = sort->mapped ? NULL : take(WRITTEN_WORDS * sizeof(uint64_t));
    for (size_t first = 0; first < sort->words; first += sort->run_words)
        make_run(sort, first, halves, &runs);
    for (size_t i = 0; i < HALVES_IN_USE; i++)
        munmap(halves[i], half_bytes);
    if (runs.buffer != NULL)
        munmap(runs.buffer, WRITTEN_WORDS * sizeof(uint64_t));
    return runs;
}

/* ---------------------------------------------------------------- merging */

struct source {
    const uint64_t *next; /* NULL at the end */
    const uint64_t *stop;
    uint64_t *buffer;
    size_t at, end; /* what isn't read yet */
};

static void refill(struct source *source, const struct target *runs, size_t buffer_words)
{
    const size_t left = source->end - source->at, count = left < buffer_words ? left : buffer_words;

    if (runs->mapping != NULL)
        source->next = runs->mapping + source->at;
    else
        source->next = source->buffer;
    if (count == 0)
        source->next = NULL;
    else if (runs->mapping == NULL)
        external_read(runs->fd, source->buffer, source->at, count);
    source->stop = source->next + count;
    source->at += count;
}

static uint64_t front(const struct source *source)
{
    return source->next != NULL ? *source->next : UINT64_MAX; /* see merge_many.c */
}

static void merge_runs(const struct target *runs, struct source *sources, size_t count, size_t words, struct target *to)
{
    struct node *const tree = calloc(2 * count, sizeof *tree);

    if (tree == NULL)
        give_up("no memory");
    for (size_t i = 0; i < count; i++) {
        refill(&sources[i], runs, to->buffer_words);
        tree[count + i] = (struct node){front(&sources[i]), i};
    }
    struct node winner = losers_play(tree, count, 1);
    for (size_t left = words; left > 0;) {
        const size_t piece = left < to->buffer_words ? left : to->buffer_words;
        uint64_t *const room = target_room(to);
        for (size_t i = 0; i < piece; i++) {
            struct source *const source = &sources[winner.source];
            room[i] = winner.word;
            if (source->next != NULL && ++source->next == source->stop)
                refill(source, runs, to->buffer_words);
            winner.word = front(source);
            winner = losers_replay(tree, count, winner);
        }
        target_filled(to, piece);
        left -= piece;
    }
    free(tree);
}

int external_sort(const struct external *sort)
{
    struct target runs = make_runs(sort);
    struct target result = target_open(sort);
    const size_t count = (sort->words - 1) / sort->run_words + 1;
    struct source *const sources = calloc(count, sizeof *sources);
    const size_t buffer_bytes = sort->memory / (count + 1) / MIB * MIB;

    if (sources == NULL || buffer_bytes == 0)
        give_up("no memory for so many runs");
    /* One for each run, and one for the result. */
    char *const buffers = sort->mapped ? NULL : take((count + 1) * buffer_bytes);
    for (size_t i = 0; i < count; i++) {
        sources[i].at = i * sort->run_words;
        sources[i].end = i + 1 < count ? sources[i].at + sort->run_words : sort->words;
        sources[i].buffer = buffers != NULL ? (uint64_t *)(void *)(buffers + i * buffer_bytes) : NULL;
    }
    result.buffer_words = buffer_bytes / sizeof(uint64_t);
    result.buffer = buffers != NULL ? (uint64_t *)(void *)(buffers + count * buffer_bytes) : NULL;
    merge_runs(&runs, sources, count, sort->words, &result);
    if (buffers != NULL)
        munmap(buffers, (count + 1) * buffer_bytes);
    if (sort->mapped) {
        munmap(runs.mapping, sort->words * sizeof(uint64_t));
        munmap(result.mapping, sort->words * sizeof(uint64_t));
    }
    close(runs.fd);
    free(sources);
    return result.fd;
}
