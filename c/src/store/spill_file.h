/* The store's files: spill.c makes and closes them, spill_io.c reads and writes them. */
#ifndef LG_SPILL_FILE_H
#define LG_SPILL_FILE_H

#include "../base/file.h"
#include "../base/os.h"
#include "place.h"
#include "shelf.h"

/* Whoever changes the directory that often while regions are out of memory in all of them is told that there are too many
 * files. */
#define LG_SPILL_FILES 16

typedef struct lg_spill_file {
    lg_file file;
    uint32_t number; /* 0: this record is free */
    uint32_t path;   /* the number of its directory's name */
    bool lost;       /* the program has closed its descriptor */
    bool no_holes;   /* the file system can't punch any */
    bool readable;   /* what holds it is */
    lg_direct direct;
    void *hold;
    uint64_t hold_len;
    lg_shelf shelf;
} lg_spill_file;

/* Protected by lg_spill_lock, but for the system calls on a file, which who has a place in it makes without: it stays. */
extern LG_HIDDEN lg_spill_file lg_spill_files[LG_SPILL_FILES];

/* Under the lock: the file of a place; NULL in the child of the process that it was taken in. */
LG_HIDDEN lg_spill_file *lg_spill_file_of(const lg_place *place);

#endif
