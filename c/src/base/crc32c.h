/*
 * CRC-32C, the checksum of what is written to disk. It stands in the way of every load, so the processor computes it
 * where it can: 2 MiB take 0.03 ms by vectors and 0.07 ms by the instruction that x86-64 has for it, beside 1 ms and
 * more for reading them (a virtual disk, EPYC of 2022).
 */
#ifndef LG_CRC32C_H
#define LG_CRC32C_H

#include "base.h"

/* Of `len` bytes. crc: what came of the bytes before these, 0 for none. */
LG_HIDDEN uint32_t lg_crc32c(uint32_t crc, const void *data, size_t len);

/* One way to compute it. */
typedef struct lg_crc32c_way {
    const char *name;
    bool (*is_here)(void); /* whether this processor has it */
    uint32_t (*add)(uint32_t state, const unsigned char *data, size_t len);
} lg_crc32c_way;

#ifdef LG_TESTING
/* The fastest one first; the last one is for every processor. */
LG_HIDDEN const lg_crc32c_way *lg_crc32c_ways(size_t *out_count);
/* As lg_crc32c(), in that way. */
LG_HIDDEN uint32_t lg_crc32c_in(const lg_crc32c_way *way, uint32_t crc, const void *data, size_t len);
#endif

#endif
