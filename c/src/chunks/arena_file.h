/*
 * The files that chunks are in: a few for each directory, without a name.
 *
 * The gibibyte of an address says which of the directory's files it is in, so that threads which touch different memory
 * for the first time rarely meet in one file; and the offset in the file is that in the arena, so that neighbouring chunks
 * merge into one mapping of the kernel, and a part of a file needs no bookkeeping. Files are sparse: offsets cost
 * nothing.
 *
 * All of this is under the arena's lock. But whoever has a region in a file may look at its record without: it stays as long
 * as a chunk's word names it.
 */
#ifndef LG_ARENA_FILE_H
#define LG_ARENA_FILE_H

#include "../base/base.h"
#include "../base/file.h"
#include "../regions/class.h"
#include "chunk.h"

/* Files of a directory, and the bytes that are in one before it is the next one's turn. */
#define LG_FILES_PER_DIRECTORY 4
#define LG_FILE_STEP_LOG2 30

/* Of all directories together. Whoever changes the directory that often while regions in all are in use is told that
 * there are too many files. */
#ifndef LG_EXPLORE
#define LG_FILES_MAX 256
#else
#define LG_FILES_MAX 8
#endif

typedef struct lg_arena_file {
    lg_file file;
    uint32_t path;   /* the number of its directory's name */
    uint32_t which;  /* of the directory's files */
    uint64_t chunks; /* that it backs; 0: this record is free */
    uint64_t end;    /* its size */
} lg_arena_file;

extern LG_HIDDEN lg_arena_file lg_arena_files[LG_FILES_MAX];

/* One in the configured directory for a chunk. The caller maps it, or lets it go by lg_arena_file_forget(). Returns 0 or an
 * errno. */
LG_HIDDEN int lg_arena_file_open(uint64_t chunk, uint32_t *out_number);
/* A file that backs nothing is closed, which gives back all that it held. */
LG_HIDDEN void lg_arena_file_forget(uint32_t number);
/* After chunks up to `end` were taken from it: it shrinks to its last one. */
LG_HIDDEN void lg_arena_file_trim(uint32_t number, uint64_t end);

/* In the child of a fork, once the addresses of what is in them are taken care of: the parent's files are closed. */
LG_HIDDEN void lg_arena_files_forked(void);

/* Chunks of a range that are in one file, or in none. */
typedef struct lg_piece {
    uint64_t first, count;
    enum lg_area_kind kind;
    uint32_t file;
} lg_piece;

/* The first piece of a range that isn't empty; takes it off the range. */
LG_HIDDEN lg_piece lg_piece_split(uint64_t *first, uint64_t *count);

/* What a class's chunks take in files: how many files, the bytes of the chunks, and of the disk blocks behind them. Takes the
 * arena's lock. Returns 0 or an errno. */
LG_HIDDEN int lg_arena_files_usage(const lg_class *cls, uint64_t *out_files, uint64_t *out_size,
                                   uint64_t *out_allocated);

#endif
