#include "arena_file.h"

#include "../base/file.h"
#include "../base/lock.h"
#include "../base/options.h"
#include "../regions/arena.h"
#include "../regions/class.h"
#include "chunk.h"

#include <limits.h>

lg_arena_file lg_arena_files[LG_FILES_MAX];

int lg_arena_file_open(uint64_t chunk, uint32_t *out_number)
{
    uint32_t which = (uint32_t)(chunk >> (LG_FILE_STEP_LOG2 - LG_CHUNK_LOG2)) % LG_FILES_PER_DIRECTORY;
    char path[PATH_MAX];
    uint32_t name = lg_option_path(path);
    if (name == 0)
        return ENOENT;
    uint32_t unused = LG_FILES_MAX;
    for (uint32_t i = 0; i < LG_FILES_MAX; i++) {
        lg_arena_file *file = &lg_arena_files[i];
        if (file->chunks == 0) {
            unused = unused < i ? unused : i;
        } else if (file->path == name && file->which == which && lg_file_check(&file->file) == 0) {
            *out_number = i;
            return 0;
        }
    }
    if (unused == LG_FILES_MAX)
        return ENFILE;
    lg_arena_file file = {.path = name, .which = which};
    int error = lg_file_open(path, &file.file);
    if (error == 0) {
        lg_arena_files[unused] = file;
        *out_number = unused;
    }
    return error;
}

void lg_arena_file_forget(uint32_t number)
{
    if (lg_arena_files[number].chunks == 0)
        lg_file_close(&lg_arena_files[number].file);
}

static bool is_in_file(uint64_t chunk, uint32_t number)
{
    uint32_t word = lg_chunk_word(chunk);
    return lg_chunk_kind(word) == LG_AREA_FILE && lg_chunk_file_number(word) == number;
}

void lg_arena_file_trim(uint32_t number, uint64_t end)
{
    lg_arena_file *file = &lg_arena_files[number];
    if (file->chunks == 0) {
        lg_arena_file_forget(number);
        return;
    }
    if (end << LG_CHUNK_LOG2 != file->end)
        return;
    while (end > 0 && !is_in_file(end - 1, number))
        end--;
    if (lg_file_truncate(&file->file, end << LG_CHUNK_LOG2) == 0)
        file->end = end << LG_CHUNK_LOG2;
}

void lg_arena_files_forked(void)
{
    for (uint32_t i = 0; i < LG_FILES_MAX; i++) {
        if (lg_arena_files[i].chunks != 0)
            lg_file_close(&lg_arena_files[i].file);
        lg_arena_files[i].chunks = 0;
    }
}

lg_piece lg_piece_split(uint64_t *first, uint64_t *count)
{
    uint32_t word = lg_chunk_word(*first);
    lg_piece p = {*first, 1, lg_chunk_kind(word), lg_chunk_file_number(word)};
    while (p.count < *count) {
        uint32_t next = lg_chunk_word(p.first + p.count);
        if (lg_chunk_kind(next) != p.kind || lg_chunk_file_number(next) != p.file)
            break;
        p.count++;
    }
    *first += p.count;
    *count -= p.count;
    return p;
}

/* A class's chunks in one file. */
static int usage_in(const lg_class *cls, uint32_t number, uint64_t *out_size, uint64_t *out_allocated)
{
    uint64_t chunks = 0, data = 0;
    int error = 0;
    bool sums = true; /* the file system says where data is */
    for (uint64_t chunk = 0; chunk < lg_chunks_high(); chunk++)
        chunks += is_in_file(chunk, number) && lg_chunk_class(lg_chunk_word(chunk)) == cls;
    *out_size = chunks << LG_CHUNK_LOG2;
    *out_allocated = 0;
    if (chunks == 0)
        return 0;
    uint64_t size, allocated;
    error = lg_file_usage(&lg_arena_files[number].file, &size, &allocated);
    if (error == EBADF)
        *out_size = 0; /* the program closed it: nobody can ask any more */
    if (error != 0)
        return error == EBADF ? 0 : error;
    if (chunks == lg_arena_files[number].chunks) {
        *out_allocated = allocated;
        return 0;
    }
    for (uint64_t chunk = 0; chunk < lg_chunks_high() && sums; chunk++) {
        uint64_t bytes = 0;
        if (!is_in_file(chunk, number) || lg_chunk_class(lg_chunk_word(chunk)) != cls)
            continue;
        sums = lg_file_data(&lg_arena_files[number].file, chunk << LG_CHUNK_LOG2, LG_CHUNK, &bytes) == 0;
        data += bytes;
    }
    /* Otherwise by the share of its chunks. */
    *out_allocated = sums ? lg_min(data, allocated) : allocated / lg_arena_files[number].chunks * chunks;
    return 0;
}

int lg_arena_files_usage(const lg_class *cls, uint64_t *out_files, uint64_t *out_size, uint64_t *out_allocated)
{
    *out_files = *out_size = *out_allocated = 0;
    if (lg_area_count(cls) == 0)
        return 0;
    int error = 0;
    lg_lock_acquire(&lg_arena_lock);
    for (uint32_t i = 0; i < LG_FILES_MAX && error == 0; i++) {
        uint64_t size = 0, allocated = 0;
        if (lg_arena_files[i].chunks != 0)
            error = usage_in(cls, i, &size, &allocated);
        *out_files += size != 0;
        *out_size += size;
        *out_allocated += allocated;
    }
    lg_lock_release(&lg_arena_lock);
    return error;
}
