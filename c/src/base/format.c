#include "format.h"

void lg_put_end(lg_text *text)
{
    if (text->write != NULL && text->used != 0)
        text->write(text->context, text->buffer, text->used);
    text->used = 0;
}

void lg_put_n(lg_text *text, const char *piece, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text->used == text->capacity) {
            if (text->write == NULL)
                return;
            lg_put_end(text);
        }
        text->buffer[text->used++] = piece[i];
        text->column = piece[i] == '\n' ? 0 : text->column + 1;
    }
}

void lg_put(lg_text *text, const char *piece)
{
    lg_put_n(text, piece, strlen(piece));
}

void lg_put_until(lg_text *text, size_t column)
{
    while (text->column < column && (text->used < text->capacity || text->write != NULL))
        lg_put_n(text, " ", 1);
}

/* ---- numbers */

void lg_put_number(lg_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    lg_put_n(text, digits + at, sizeof(digits) - at);
}

static const char *const byte_units[] = {"", " KiB", " MiB", " GiB", " TiB"};
#define BYTE_UNITS (sizeof(byte_units) / sizeof(*byte_units))

void lg_put_bytes(lg_text *text, uint64_t bytes)
{
    if (bytes == UINT64_MAX) {
        lg_put(text, "unlimited");
        return;
    }
    size_t unit = 0;
    for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < BYTE_UNITS; unit++)
        bytes /= 1024;
    lg_put_number(text, bytes);
    lg_put(text, byte_units[unit]);
}

void lg_put_about(lg_text *text, uint64_t bytes)
{
    size_t unit = 0;
    uint64_t rest = 0;
    for (; bytes >= 1024 && unit + 1 < BYTE_UNITS; unit++) {
        rest = bytes % 1024;
        bytes /= 1024;
    }
    lg_put_number(text, bytes);
    if (rest * 10 / 1024 != 0) {
        lg_put_n(text, ".", 1);
        lg_put_number(text, rest * 10 / 1024);
    }
    lg_put(text, unit == 0 ? " B" : byte_units[unit]);
}

void lg_put_time(lg_text *text, uint64_t nanoseconds)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};
    size_t unit = 0;
    for (; nanoseconds != 0 && nanoseconds % 1000 == 0 && unit < 3; unit++)
        nanoseconds /= 1000;
    lg_put_number(text, nanoseconds);
    if (nanoseconds != 0)
        lg_put(text, units[unit]);
}

/* ---- texts from elsewhere */

#define FOREIGN_BYTES 80

void lg_put_foreign(lg_text *text, const char *piece)
{
    size_t len = strnlen(piece, FOREIGN_BYTES + 1);
    for (size_t i = 0; i < lg_min(len, FOREIGN_BYTES); i++)
        lg_put_n(text, (unsigned char)piece[i] < ' ' || piece[i] == 127 ? "?" : &piece[i], 1);
    if (len > FOREIGN_BYTES)
        lg_put(text, "...");
}

/* The bytes of the UTF-8 sequence that begins here; 0 if none does. */
static size_t utf8_len(const unsigned char *at)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0; /* the text's end, too */
    /* Longer than need be, a surrogate, or above U+10FFFF. */
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

void lg_put_quoted(lg_text *text, const char *piece)
{
    lg_put_n(text, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)piece; *at != 0;) {
        size_t len = utf8_len(at);
        if (*at == '"' || *at == '\\') {
            lg_put_n(text, "\\", 1);
            lg_put_n(text, (const char *)at, 1);
        } else if (*at == '\n') {
            lg_put(text, "\\n");
        } else if (len == 0 || *at < ' ') {
            lg_put(text, "\xef\xbf\xbd");
        } else {
            lg_put_n(text, (const char *)at, len);
        }
        at += len == 0 ? 1 : len;
    }
    lg_put_n(text, "\"", 1);
}
