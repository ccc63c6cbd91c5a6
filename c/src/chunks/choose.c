#include "choose.h"

#include "../base/base.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "backing.h"
#include "chunk.h"
#include "claim.h"

/* How many chunks are to be looked at next: the rest of a large region's. */
static uint64_t step(lg_class *cls, uint64_t chunk)
{
    uint64_t chunks = lg_class_chunks(cls);
    return chunks - chunk % chunks;
}

/* For a class of a chunk or less: the chunk that holds most, the lowest of them. */
static bool choose_chunk(lg_class *cls, bool held, lg_choice *out)
{
    uint64_t end = lg_chunks_high();
    bool found = false;
    for (uint64_t chunk = 0, next; chunk < end; chunk = next) {
        uint32_t word = lg_chunk_word(chunk);
        lg_class *other = lg_chunk_class(word);
        uint64_t holds;
        next = chunk + 1;
        if (other == NULL || other == cls || lg_chunk_kind(word) == LG_AREA_LOST)
            continue;
        next = chunk + step(other, chunk);
        if (!lg_chunk_is_free(other, chunk, &holds) || (held ? holds == 0 : holds != 0))
            continue;
        if (!found || holds > out->held)
            *out = (lg_choice){chunk, holds, 1, lg_chunk_kind(word)};
        found = true;
        if (!held || holds == LG_CHUNK)
            break;
    }
    return found;
}

/* Whether a run of chunks from out->first on is there for a large class. */
static bool run_is_free(lg_class *cls, lg_choice *out)
{
    uint64_t end = out->first + lg_class_chunks(cls);
    bool mapped = false, unmapped = false;
    for (uint64_t chunk = out->first, next; chunk < end; chunk = next) {
        uint32_t word = lg_chunk_word(chunk);
        enum lg_area_kind kind = lg_chunk_kind(word);
        lg_class *other = lg_chunk_class(word);
        uint64_t holds;
        next = chunk + 1;
        if (kind == LG_AREA_NONE) {
            unmapped = true;
            continue;
        }
        if (other == NULL || other == cls || kind == LG_AREA_LOST || (mapped && kind != out->kind) ||
            !lg_chunk_is_free(other, chunk, &holds))
            return false;
        mapped = true;
        out->kind = kind;
        next = lg_min(end, chunk + step(other, chunk));
        out->held += holds * (next - chunk);
        out->mapped += next - chunk;
    }
    /* What is mapped now must be of the kind of the rest. */
    return !unmapped || !mapped || out->kind == lg_backing_configured();
}

static bool choose_run(lg_class *cls, bool held, lg_choice *out)
{
    uint64_t chunks = lg_class_chunks(cls);
    bool found = false;
    for (uint64_t first = 0; first < lg_chunks_high() && first + chunks <= lg_layout_.chunks; first += chunks) {
        lg_choice run = {.first = first};
        if (!run_is_free(cls, &run) || run.mapped == 0 || (held ? run.held == 0 : run.held != 0))
            continue;
        if (!found || run.held > out->held || (run.held == out->held && run.mapped > out->mapped))
            *out = run;
        found = true;
        if (out->held == chunks << LG_CHUNK_LOG2)
            break;
    }
    return found;
}

bool lg_choose(lg_class *cls, bool held, lg_choice *out)
{
    return lg_class_chunks(cls) == 1 ? choose_chunk(cls, held, out) : choose_run(cls, held, out);
}
