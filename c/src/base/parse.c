#include "parse.h"

/* ---- numbers */

/* Digits at the start of a text. Returns what follows them, NULL without any or where they are too many. */
static const char *read_digits(const char *text, uint64_t *out_number)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return NULL;
    *out_number = number;
    return at != text ? at : NULL;
}

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* A number with one of the units, a space between them or none. */
static bool read_quantity(const char *text, const unit *units, size_t count, uint64_t *out_value)
{
    uint64_t number;
    const char *rest = read_digits(text, &number);
    if (rest == NULL)
        return false;
    if (*rest == ' ' && rest[1] != 0)
        rest++;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rest, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out_value);
    return false;
}

static bool read_count(const char *text, uint64_t *out_value)
{
    static const unit none[] = {{"", 1}};
    return read_quantity(text, none, 1, out_value);
}

static bool read_bytes(const char *text, uint64_t *out_value)
{
    /* Powers of 1024 in every spelling: nobody who says 64 KB of memory means 64,000 bytes. */
#define SPELLINGS(letter, small, factor)                                                                  \
    {letter, factor}, {letter "iB", factor}, {letter "B", factor}, {small, factor}, {small "ib", factor}, \
    {                                                                                                     \
        small "b", factor                                                                                 \
    }
    static const unit units[] = {{"", 1},
                                 SPELLINGS("K", "k", (uint64_t)1 << 10),
                                 SPELLINGS("M", "m", (uint64_t)1 << 20),
                                 SPELLINGS("G", "g", (uint64_t)1 << 30),
                                 SPELLINGS("T", "t", (uint64_t)1 << 40)};
#undef SPELLINGS
    if (strcmp(text, "unlimited") == 0) {
        *out_value = UINT64_MAX;
        return true;
    }
    return read_quantity(text, units, sizeof(units) / sizeof(*units), out_value);
}

static bool read_time(const char *text, uint64_t *out_value)
{
    static const unit units[] = {{"", 1},
                                 {"ns", 1},
                                 {"us", 1000},
                                 {"ms", 1000000},
                                 {"s", 1000000000u},
                                 {"m", 60000000000u},
                                 {"h", 3600000000000u}};
    return read_quantity(text, units, sizeof(units) / sizeof(*units), out_value);
}

/* ---- words */

/* *out_value: the position in the list, modulo 2: words that mean 0 and words that mean 1 take turns. */
static bool read_word(const char *text, const char *const *words, size_t count, uint64_t *out_value)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) {
            *out_value = i % 2;
            return true;
        }
    return false;
}

static bool read_switch(const char *text, uint64_t *out_value)
{
    static const char *const words[] = {"0", "1", "false", "true", "off", "on", "no", "yes"};
    return read_word(text, words, sizeof(words) / sizeof(*words), out_value);
}

_Static_assert(LGALLOC_BACKING_FILE == 0 && LGALLOC_BACKING_ANONYMOUS == 1, "a word's position is its value");

static bool read_backing(const char *text, uint64_t *out_value)
{
    static const char *const words[] = {"file", "anonymous", "file", "anon"};
    return read_word(text, words, sizeof(words) / sizeof(*words), out_value);
}

/* ---- the kinds */

bool lg_parse(enum lg_kind kind, const char *text, uint64_t *out_value)
{
    switch (kind) {
    case LG_KIND_SWITCH: return read_switch(text, out_value);
    case LG_KIND_COUNT: return read_count(text, out_value);
    case LG_KIND_THREADS:
    case LG_KIND_PERCENT: return read_count(text, out_value) && lg_value_fits(kind, *out_value);
    case LG_KIND_BYTES: return read_bytes(text, out_value);
    case LG_KIND_ARENA: return read_bytes(text, out_value) && lg_value_fits(kind, *out_value);
    case LG_KIND_TIME: return read_time(text, out_value);
    case LG_KIND_BACKING: return read_backing(text, out_value);
    }
    return false;
}

bool lg_value_fits(enum lg_kind kind, uint64_t value)
{
    if (kind == LG_KIND_ARENA)
        return value == 0 || ((value & (value - 1)) == 0 && value >= 32 * LG_MIB && value <= 4096 * LG_GIB);
    if (kind == LG_KIND_THREADS || kind == LG_KIND_PERCENT)
        return value <= (kind == LG_KIND_THREADS ? 8 : 50);
    return (kind != LG_KIND_SWITCH && kind != LG_KIND_BACKING) || value <= 1;
}

const char *lg_allowed(enum lg_kind kind)
{
    switch (kind) {
    case LG_KIND_SWITCH: return "1, true, on or yes, or 0, false, off or no";
    case LG_KIND_COUNT: return "a whole number below 2^64";
    case LG_KIND_THREADS: return "a whole number up to 8";
    case LG_KIND_PERCENT: return "a whole number up to 50";
    case LG_KIND_BYTES:
        return "bytes, a whole number below 2^64, alone or with K, M, G or T (KiB and KB mean the same: 1024), or "
               "unlimited";
    case LG_KIND_ARENA: return "bytes, a power of two from 32M to 4T, or 0 for the most that the system grants";
    case LG_KIND_TIME:
        return "a time below 2^64 ns, a whole number with ns, us, ms, s, m or h; a number alone is nanoseconds";
    case LG_KIND_BACKING: return "file (LGALLOC_BACKING_FILE) or anonymous (LGALLOC_BACKING_ANONYMOUS; also anon)";
    }
    return "";
}

void lg_put_value(lg_text *text, enum lg_kind kind, uint64_t value)
{
    switch (kind) {
    case LG_KIND_SWITCH: lg_put(text, value != 0 ? "true" : "false"); return;
    case LG_KIND_COUNT:
    case LG_KIND_THREADS:
    case LG_KIND_PERCENT: lg_put_number(text, value); return;
    case LG_KIND_BYTES:
    case LG_KIND_ARENA: lg_put_bytes(text, value); return;
    case LG_KIND_TIME: lg_put_time(text, value); return;
    case LG_KIND_BACKING: lg_put(text, value == LGALLOC_BACKING_FILE ? "file" : "anonymous"); return;
    }
}
