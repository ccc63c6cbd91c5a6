/*
 * Text, put together piece by piece in a buffer: no allocation, no stdio, the same in every locale. What an error says
 * and what the statistics print is made here.
 */
#ifndef LG_FORMAT_H
#define LG_FORMAT_H

#include "base.h"

typedef struct lg_text {
    char *buffer;
    size_t capacity;
    size_t used;
    size_t column; /* bytes since the line began */
    /* Takes what is in the buffer when that is full; NULL: what doesn't fit is left out. */
    void (*write)(void *context, const char *text, size_t len);
    void *context;
} lg_text;

LG_HIDDEN void lg_put_n(lg_text *text, const char *piece, size_t len);
LG_HIDDEN void lg_put(lg_text *text, const char *piece);
LG_HIDDEN void lg_put_number(lg_text *text, uint64_t number);
/* Bytes, exactly: in the largest unit that divides them, "32 MiB"; the largest number is "unlimited". */
LG_HIDDEN void lg_put_bytes(lg_text *text, uint64_t bytes);
/* Bytes, rounded down to a tenth of a unit: "1.5 GiB". */
LG_HIDDEN void lg_put_about(lg_text *text, uint64_t bytes);
/* Nanoseconds in the largest unit that divides them: "500 ms". */
LG_HIDDEN void lg_put_time(lg_text *text, uint64_t nanoseconds);
/* Spaces up to a column. */
LG_HIDDEN void lg_put_until(lg_text *text, size_t column);
/* A text of which nobody knows where it comes from: shortened, and without what a terminal may take for a command. */
LG_HIDDEN void lg_put_foreign(lg_text *text, const char *piece);
/* A text between quotes with the escapes of JSON, which Prometheus has as well. What is no UTF-8 becomes U+FFFD. */
LG_HIDDEN void lg_put_quoted(lg_text *text, const char *piece);
/* Hands over what is in the buffer. */
LG_HIDDEN void lg_put_end(lg_text *text);

#endif
