/*
 * Numbers of bytes as people read and write them.
 */
#ifndef DEMO_BYTES_H
#define DEMO_BYTES_H

#include <stdbool.h>
#include <stddef.h>

struct bytes_text {
    char text[16];
};

/* "512 KiB", "1.5 GiB". */
struct bytes_text bytes_text(size_t bytes);

/* "1.5G", "512 MiB", "4096": digits, perhaps a unit of K, M, G or T, which are powers of 1024, with or without "B" or
 * "iB", in any case. False: it is none of these, or not at least one byte, or more than fits. */
bool bytes_parse(const char *text, size_t *out_bytes);

#endif
