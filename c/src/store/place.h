/* Where on disk an evicted region is: a record that its descriptor holds, and the store reads and writes (spill.h). */
#ifndef LG_PLACE_H
#define LG_PLACE_H

#include "../base/base.h"

/* In the hands of whoever the region belongs to. All zero: none. */
typedef struct lg_place {
    uint64_t used;     /* bytes that were to be kept */
    uint32_t at;       /* in the file, in units of LG_SPILL_UNIT */
    uint32_t checksum; /* CRC-32C of these bytes, once they are written */
    uint32_t file;     /* its number, which no other file of this process has had; 0: no place */
    uint32_t slot;     /* where the store knows the file */
} lg_place;

#define LG_NO_PLACE ((lg_place){0})

#endif
