/*
 * Options of any value and at any time, from setters and from the environment, and paths of any shape, between
 * allocations; and all of it printed. The worker really runs, at whatever interval the input says, and is stopped before anything is
 * verified.
 */
#include <limits.h>
#include <string.h>

#include "model/model.h"

#define LONGEST 64

/* Numbers that are interesting to somebody. */
static uint64_t choose_number(input *in)
{
    static const uint64_t numbers[] = {0,       1,         2,          4095,          4096,       65535,
                                       65536,   1 << 20,   1ull << 21, 1ull << 25,    1ull << 36, 1ull << 40,
                                       1000000, INT64_MAX, UINT64_MAX, UINT64_MAX - 1};
    uint8_t how = input_u8(in);
    return (how & 0x80) != 0 ? input_bytes(in, 1 + (how & 7)) : numbers[how % 16];
}

/* A path, terminated; none that could name a file of somebody else's. */
static void choose_path(input *in, char *path, bool *good)
{
    uint8_t how = input_u8(in);
    *good = false;
    switch (how % 8) {
    case 0:
    case 1:
        snprintf(path, PATH_MAX + 64, "%s", model_directory);
        *good = true;
        break;
    case 2: snprintf(path, PATH_MAX + 64, "%s/no/such/directory", model_directory); break;
    case 3: /* not a directory */ snprintf(path, PATH_MAX + 64, "/dev/null"); break;
    case 4: path[0] = 0; break;
    case 5: { /* as long as it may be, or longer */
        size_t len = PATH_MAX - 2 + (how >> 3) % 4;
        memset(path, 'x', len);
        path[0] = '/';
        path[len] = 0;
        break;
    }
    case 6: {
        int at = snprintf(path, PATH_MAX + 64, "%s/nothing-", model_directory);
        for (unsigned i = 0; i < how >> 3; i++)
            path[at++] = (char)(input_u8(in) | 1);
        path[at] = 0;
        break;
    }
    default:
        snprintf(path, PATH_MAX + 64, "%s/./", model_directory);
        *good = true;
        break;
    }
}

static void set_path(lgalloc_config *config, input *in, bool *path_good)
{
    static char path[PATH_MAX + 64];
    bool good;
    choose_path(in, path, &good);
    bool possible = path[0] != 0 && strlen(path) < PATH_MAX;
    lgalloc_status status = lgalloc_config_with_path(config, path);
    FUZZ_CHECK(status == (possible ? LGALLOC_STATUS_OK : LGALLOC_STATUS_INVALID_ARGUMENT));
    if (possible)
        *path_good = good;
}

static void use_setters(model *m, input *in)
{
    lgalloc_config *config = lgalloc_config_new();
    FUZZ_CHECK(config != NULL);
    unsigned count = input_below(in, 6);
    lgalloc_backing backing = m->backing;
    bool enabled = m->enabled, reserve = m->reserve_blocks, path_good = m->path_good;
    for (unsigned i = 0; i < count; i++) {
        unsigned which = input_below(in, 14);
        uint64_t n = which == 11 ? 0 : choose_number(in);
        switch (which) {
        case 0: lgalloc_config_local_buffer_bytes(config, n); break;
        case 1: lgalloc_config_limit_bytes(config, n); break;
        case 2: lgalloc_config_idle_bytes(config, n); break;
        case 3: lgalloc_config_growth_dampener(config, n); break;
        case 4: lgalloc_config_release_ticks(config, n); break;
        case 5: lgalloc_config_with_background(config, n, choose_number(in), choose_number(in)); break;
        case 6: lgalloc_config_eager_return(config, n & 1); break;
        case 7: lgalloc_config_huge_pages(config, n & 1); break;
        case 8:
            reserve = n & 1;
            lgalloc_config_reserve_blocks(config, reserve);
            break;
        case 9:
            backing = (lgalloc_backing)n;
            lgalloc_config_with_backing(config, backing);
            break;
        case 10:
            enabled = n & 1;
            (enabled ? lgalloc_config_enable : lgalloc_config_disable)(config);
            break;
        case 11: set_path(config, in, &path_good); break;
        case 12: lgalloc_config_core_dump(config, n & 1); break;
        default: break;
        }
    }
    lgalloc_status status = lgalloc_set_config(config);
    bool possible = backing == LGALLOC_BACKING_FILE || backing == LGALLOC_BACKING_ANONYMOUS;
    FUZZ_CHECK(status == (possible ? LGALLOC_STATUS_OK : LGALLOC_STATUS_INVALID_ARGUMENT));
    lgalloc_config_free(config);
    if (!possible)
        return; /* all or nothing */
    m->backing = backing;
    m->enabled = enabled;
    m->reserve_blocks = reserve;
    m->path_good = path_good;
}

/* ---- the environment */

static const char *const variables[] = {
    "ENABLE",         "BACKING",         "INTERVAL_NS",        "BATCH",       "CLEAR_BYTES", "RELEASE_TICKS",
    "EAGER_RETURN",   "GROWTH_DAMPENER", "LOCAL_BUFFER_BYTES", "LIMIT_BYTES", "IDLE_BYTES",  "HUGE_PAGES",
    "RESERVE_BLOCKS", "CORE_DUMP"};
#define VARIABLES (sizeof(variables) / sizeof(*variables))

/* Digits, at most one space before a unit, and that unit: its factor is the one at the same place. */
static bool read_quantity(const char *text, const char *const *units, const uint64_t *factors, size_t count,
                          uint64_t *out)
{
    __extension__ typedef unsigned __int128 wide;
    wide value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0)
        return false;
    for (size_t i = 0; i < digits; i++) {
        value = value * 10 + (wide)(text[i] - '0');
        if (value > UINT64_MAX)
            return false;
    }
    const char *rest = text + digits;
    if (rest[0] == ' ' && rest[1] != 0)
        rest++;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rest, units[i]) == 0) {
            value *= factors[i];
            *out = (uint64_t)value;
            return value <= UINT64_MAX;
        }
    }
    return false;
}

static bool read_bytes(const char *text, uint64_t *out)
{
    char unit[8], rest[8];
    const char *at = text + strspn(text, "0123456789");
    if (strcmp(text, "unlimited") == 0) {
        *out = UINT64_MAX;
        return true;
    }
    /* Each letter in three spellings, large and small; in all of them it is followed by small letters but for B. */
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned spelling = 0; spelling < 6; spelling++) {
            static const char *const ends[] = {"", "iB", "B", "", "ib", "b"};
            snprintf(unit, sizeof(unit), "%c%s", (spelling < 3 ? "KMGT" : "kmgt")[i], ends[spelling]);
            snprintf(rest, sizeof(rest), "%.7s", at + (at[0] == ' '));
            const char *const units[] = {unit};
            const uint64_t factors[] = {(uint64_t)1 << 10 * (i + 1)};
            if (strcmp(rest, unit) == 0)
                return read_quantity(text, units, factors, 1, out);
        }
    }
    static const char *const none[] = {""};
    static const uint64_t one[] = {1};
    return read_quantity(text, none, one, 1, out);
}

static bool read_time(const char *text, uint64_t *out)
{
    static const char *const units[] = {"", "ns", "us", "ms", "s", "m", "h"};
    static const uint64_t factors[] = {1, 1, 1000, 1000000, 1000000000, 60000000000, 3600000000000};
    return read_quantity(text, units, factors, 7, out);
}

static bool read_switch(const char *text, uint64_t *out)
{
    static const char words[][8] = {"0", "1", "false", "true", "off", "on", "no", "yes"};
    for (unsigned i = 0; i < 8; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    }
    return false;
}

static bool valid(unsigned variable, const char *text)
{
    uint64_t value;
    const char *name = variables[variable];
    if (strcmp(name, "BACKING") == 0)
        return strcmp(text, "file") == 0 || strcmp(text, "anonymous") == 0 || strcmp(text, "anon") == 0;
    if (strcmp(name, "ENABLE") == 0 || strcmp(name, "EAGER_RETURN") == 0 || strcmp(name, "HUGE_PAGES") == 0 ||
        strcmp(name, "RESERVE_BLOCKS") == 0 || strcmp(name, "CORE_DUMP") == 0)
        return read_switch(text, &value);
    if (strcmp(name, "INTERVAL_NS") == 0)
        return read_time(text, &value);
    if (strstr(name, "_BYTES") != NULL)
        return read_bytes(text, &value);
    return strspn(text, "0123456789") == strlen(text) && read_bytes(text, &value);
}

static void choose_text(input *in, char *text)
{
    static const char *const words[] = {
        "0", "1",  "file", "anonymous", "64K", "1T",    "16777216T", "18446744073709551615", "18446744073709551616",
        "",  " 1", "anon", "-1",        "on",  "2 MiB", "9M9"};
    static const char characters[] = "0123456789KMGTk -+.iBbmsnuh";
    uint8_t how = input_u8(in);
    if ((how & 0x80) == 0) {
        strcpy(text, words[how % 16]);
        return;
    }
    unsigned len = how % 24;
    for (unsigned i = 0; i < len; i++)
        text[i] = characters[input_u8(in) % (sizeof(characters) - 1)];
    text[len] = 0;
}

static void use_environment(model *m, input *in)
{
    char name[64], text[LONGEST];
    bool fine = true;
    for (unsigned i = 0; i < VARIABLES; i++) {
        snprintf(name, sizeof(name), "LGALLOC_%s", variables[i]);
        unsetenv(name);
    }
    unsigned count = input_below(in, 4);
    uint64_t limit = m->limit;
    for (unsigned i = 0; i < count; i++) {
        unsigned v = input_below(in, VARIABLES);
        choose_text(in, text);
        snprintf(name, sizeof(name), "LGALLOC_%s", variables[v]);
        setenv(name, text, 1);
    }
    bool named[VARIABLES] = {false};
    for (unsigned v = 0; v < VARIABLES; v++) {
        snprintf(name, sizeof(name), "LGALLOC_%s", variables[v]);
        const char *value = getenv(name);
        named[v] = value != NULL;
        fine = fine && (value == NULL || valid(v, value));
        if (fine && value != NULL && strcmp(variables[v], "LIMIT_BYTES") == 0)
            (void)read_bytes(value, &limit);
    }
    lgalloc_config *config = lgalloc_config_new();
    FUZZ_CHECK(config != NULL);
    lgalloc_status status = lgalloc_config_from_env(config);
    FUZZ_CHECK(status == (fine ? LGALLOC_STATUS_OK : LGALLOC_STATUS_INVALID_ARGUMENT));
    FUZZ_CHECK((lgalloc_config_error(config)[0] == 0) == fine);
    FUZZ_CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    FUZZ_CHECK(global.limit_bytes == (fine ? limit : m->limit)); /* where it fails nothing was set */
    if (!fine)
        return;
    uint64_t value;
    if (named[0])
        m->enabled = read_switch(getenv("LGALLOC_ENABLE"), &value) && value != 0;
    if (named[1])
        m->backing = strcmp(getenv("LGALLOC_BACKING"), "file") == 0 ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS;
    if (named[12])
        m->reserve_blocks = read_switch(getenv("LGALLOC_RESERVE_BLOCKS"), &value) && value != 0;
}

/* ---- what is printed of it */

struct shape {
    size_t len;
    int depth; /* of braces and brackets that stand outside of quotes */
    bool quoted, escaped;
    char last;
};

static void look_at(void *context, const char *text, size_t len)
{
    struct shape *shape = context;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        FUZZ_CHECK(c != 0);
        if (shape->quoted) {
            shape->quoted = shape->escaped || c != '"';
            shape->escaped = c == '\\' && !shape->escaped;
        } else {
            shape->quoted = c == '"';
            shape->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        }
        shape->last = c;
    }
    shape->len += len;
}

static void print_it(lgalloc_format format)
{
    struct shape shape = {0};
    FUZZ_CHECK(lgalloc_stats_print(format, look_at, &shape) == LGALLOC_STATUS_OK);
    FUZZ_CHECK(shape.len > 500 && shape.last == '\n');
    FUZZ_CHECK(format == LGALLOC_FORMAT_TEXT || (shape.depth == 0 && !shape.quoted));
}

/* The worker stands still from here on; nobody but it moved anything meanwhile. */
static void stop_worker(model *m)
{
    lgalloc_config *config = lgalloc_config_new();
    FUZZ_CHECK(config != NULL);
    lgalloc_config_with_background(config, 0, 0, 0);
    model_apply(m, config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static model m;
    input in = {data, data + size};
    model_begin(&m, false);
    while (!input_empty(&in)) {
        uint8_t what = input_u8(&in);
        if ((what & 3) == 0)
            use_setters(&m, &in);
        else if ((what & 3) == 1)
            use_environment(&m, &in);
        else
            model_step(&m, &in);
        stop_worker(&m);
        if (what >= 0xf0)
            print_it(what % 3);
        model_check(&m);
    }
    model_end(&m);
    return 0;
}
