/*
 * The table of a size class's areas, and the files behind them: what area.c and area_fork.c share. All of it belongs to
 * the class's lock.
 */
#ifndef LG_AREA_TABLE_H
#define LG_AREA_TABLE_H

#include "area.h"

/* Counts are written under the lock and read without. */
typedef struct lg_class_areas {
    lg_lock lock;
    lg_area *table; /* const after init: by address */
    size_t committed; /* bytes of the table that are usable */
    lg_a64 count;   /* records in the table, lost ones not counted */
    size_t records; /* records in the table */
    lg_a64 bytes;   /* of all areas but lost ones */
    lg_a64 released;
    uint64_t last_len; /* of the area mapped last; 0 before the first */
    lg_file file;      /* where the next area of a file comes from; LG_NO_FILE: to be opened */
    uint32_t path;     /* the number of its directory's name */
} lg_class_areas;

LG_HIDDEN lg_class_areas *lg_areas_of(unsigned class_index);

LG_INLINE char *lg_area_address(unsigned class_index, uint64_t offset)
{
    return (char *)lg_stripe_of(class_index)->base + offset;
}

/* The position of the first area that ends after `offset`. */
LG_HIDDEN size_t lg_areas_find(const lg_class_areas *areas, uint64_t offset);

/* Makes room for one more. Returns 0, an errno, or LG_EXHAUSTED. */
LG_HIDDEN int lg_areas_make_room(lg_class_areas *areas, unsigned class_index);
LG_HIDDEN void lg_areas_insert(lg_class_areas *areas, size_t at, const lg_area *area);
LG_HIDDEN void lg_areas_remove(lg_class_areas *areas, size_t at);
/* The area goes, but nobody gets its addresses again. */
LG_HIDDEN void lg_areas_lose(lg_class_areas *areas, size_t at);

/* The end of the last area in this file; 0 if there is none. */
LG_HIDDEN uint64_t lg_areas_file_end(const lg_class_areas *areas, const lg_file *file);
/* A file without areas is closed, which gives back all that it held; one with areas shrinks to their end. */
LG_HIDDEN void lg_areas_trim_file(lg_class_areas *areas, const lg_file *file);
/* Makes areas->file a file in the configured directory, in place of one whose descriptor was lost. Returns 0 or an
 * errno. The caller maps it, or trims it. */
LG_HIDDEN int lg_areas_open_file(lg_class_areas *areas);

#endif
