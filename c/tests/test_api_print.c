/* What lgalloc_stats_print() writes, in each format: complete, valid, true, and without an allocation. */

#include "support.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_TEXT "0.1.0"

/* ---------------------------------------------------------------- no allocation */

/* The program's own malloc takes the place of the C library's; tools have theirs. */
#if defined(__GLIBC__) && !TEST_ASAN && !TEST_TSAN
#define WATCHES_MALLOC 1
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

static _Thread_local bool watched;
static _Thread_local size_t allocations;

void *malloc(size_t size)
{
    allocations += watched;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations += watched;
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    allocations += watched;
    return __libc_realloc(ptr, size);
}
#else
#define WATCHES_MALLOC 0
#endif

/* ---------------------------------------------------------------- printing into memory */

static char printed[128 * 1024];
static size_t printed_len;
static void *seen_context;

static void take(void *context, const char *text, size_t len)
{
    TEST_REQUIRE(len != 0 && printed_len + len < sizeof printed);
    memcpy(printed + printed_len, text, len);
    printed_len += len;
    printed[printed_len] = '\0';
    seen_context = context;
}

static const char *print_as(lgalloc_format format)
{
    int mark;
    printed_len = 0;
    printed[0] = '\0';
    TEST_REQUIRE(lgalloc_stats_print(format, take, &mark) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(seen_context == &mark);
    TEST_REQUIRE(strlen(printed) == printed_len && printed[printed_len - 1] == '\n');
    return printed;
}

/* The number behind a text that must be there. */
static uint64_t number_after(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    if (at == NULL) {
        fail_msg("no %s in:\n%s", what, text);
        return 0;
    }
    return strtoull(at + strlen(what), NULL, 10);
}

static void arguments(void **state)
{
    (void)state;
    printed_len = 0;
    assert_int_equal(lgalloc_stats_print(LGALLOC_FORMAT_TEXT, NULL, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_print((lgalloc_format)3, take, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_print((lgalloc_format)-1, take, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(printed_len, 0);
}

static void allocates_nothing(void **state)
{
    (void)state;
#if WATCHES_MALLOC
    if (test_on_valgrind()) {
        TEST_SKIP("a tool has a malloc of its own");
    }
    lgalloc_handle handle = test_take(2 * MIB);
    for (lgalloc_format format = 0; format <= LGALLOC_FORMAT_PROMETHEUS; format++) {
        allocations = 0;
        watched = true;
        void *volatile shown = malloc(1);
        free(shown);
        const char *text = print_as(format);
        watched = false;
        assert_true(text[0] != '\0');
        assert_int_equal(allocations, 1); /* the one that shows that it is watched */
    }
    lgalloc_deallocate(handle);
#else
    TEST_SKIP("a tool has a malloc of its own");
#endif
}

/* ---------------------------------------------------------------- text */

static void text(void **state)
{
    lgalloc_handle small = test_take(64 * KIB);
    lgalloc_handle large = test_take(4 * MIB);
    const char *all = print_as(LGALLOC_FORMAT_TEXT);
    assert_ptr_equal(strstr(all, "lgalloc " VERSION_TEXT ", process "), all);
    assert_non_null(strstr(all, "\n  64 KiB "));
    assert_non_null(strstr(all, "\n   4 MiB "));
    assert_null(strstr(all, "\n  16 GiB ")); /* never used */
    static const char *const words[] = {
        "in use", "dirty: at most", "resident, says the system", "on disk, says the file system",
        "limit",  "areas released"};
    for (size_t i = 0; i < TEST_COUNT(words); i++) {
        assert_non_null(strstr(all, words[i]));
    }
    assert_non_null(strstr(all, test_backing(state) == LGALLOC_BACKING_FILE ? "\nbacking             file\n"
                                                                            : "\nbacking             anonymous\n"));
    assert_non_null(strstr(all, "\nlocal_buffer_bytes  32 MiB\n"));
    assert_non_null(strstr(all, "\nidle_bytes          unlimited\n"));
    assert_non_null(strstr(all, "\nstats               none\n"));
    assert_non_null(strstr(all, " none\nclearing failed "));
    test_set_limit(3 * GIB);
    all = print_as(LGALLOC_FORMAT_TEXT);
    assert_non_null(strstr(all, " 3 GiB\nclearing failed "));
    test_set_limit(0);
    all = print_as(LGALLOC_FORMAT_TEXT);
    char path[1024];
    snprintf(path, sizeof path, "\npath                %s\n", test_dir());
    assert_non_null(strstr(all, path));
    for (const char *at = all; *at != '\0'; at++) {
        assert_true(*at == '\n' || (*at >= ' ' && *at < 127));
        assert_false(*at == ' ' && at[1] == '\n');
    }
    lgalloc_deallocate(small);
    lgalloc_deallocate(large);
}

/* ---------------------------------------------------------------- JSON */

/* Reads what is printed, and finds fault with it on its standard output. */
static const char json_reader[] =
    "import json, sys\n"
    "def fault(what):\n"
    "    print(what)\n"
    "def strict(pairs):\n"
    "    keys = [k for k, v in pairs]\n"
    "    if len(keys) != len(set(keys)): fault('a key comes twice')\n"
    "    return dict(pairs)\n"
    "d = json.loads(open(sys.argv[1], encoding='utf-8', errors='strict').read(), object_pairs_hook=strict)\n"
    "if list(d) != ['version', 'process', 'global', 'size_classes', 'options']: fault(list(d))\n"
    "c = d['size_classes']\n"
    "if [x['size_class_bytes'] for x in c] != [1 << i for i in range(16, 37)]: fault('classes')\n"
    "if len(set(tuple(x) for x in c)) != 1: fault('classes differ in their keys')\n"
    "g = d['global']\n"
    "def total(f): return sum(f(x) for x in c)\n"
    "for key, value in (\n"
    "    ('in_use_bytes', total(lambda x: x['in_use_regions'] * x['size_class_bytes'])),\n"
    "    ('dirty_upper_bound_bytes',\n"
    "     total(lambda x: (x['thread_regions'] + x['global_regions']) * x['size_class_bytes'])),\n"
    "    ('clean_bytes', total(lambda x: x['clean_regions'] * x['size_class_bytes'])),\n"
    "    ('area_bytes', total(lambda x: x['area_bytes'])),\n"
    "    ('resident_bytes', total(lambda x: x['resident_bytes'])),\n"
    "    ('disk_bytes', total(lambda x: x['disk_bytes']))):\n"
    "    if g[key] != value: fault('%s: %s is not %s' % (key, g[key], value))\n"
    "for x in c:\n"
    "    if x['free_regions'] != x['thread_regions'] + x['global_regions'] + x['clean_regions']: fault(x)\n"
    "print('path', json.dumps(d['options']['path']))\n"
    "print('limit', d['options']['limit_bytes'], d['global']['limit_bytes'])\n";

/* Has python3 read it; its answer, or a skipped test. */
static void read_by_python(const char *json, char *answer, size_t capacity)
{
    char name[1024], script[1024], command[3072];
    snprintf(name, sizeof name, "%s/print.json", test_dir());
    snprintf(script, sizeof script, "%s/reader.py", test_dir());
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_true(fputs(json, file) >= 0);
    assert_int_equal(fclose(file), 0);
    file = fopen(script, "w");
    assert_non_null(file);
    assert_true(fputs(json_reader, file) >= 0);
    assert_int_equal(fclose(file), 0);
    bool there = system("python3 -c 'import json' >/dev/null 2>&1") == 0;
    size_t used = 0;
    int status = 0;
    if (there) {
        snprintf(command, sizeof command, "python3 '%s' '%s' 2>&1", script, name);
        FILE *pipe = popen(command, "r");
        assert_non_null(pipe);
        used = fread(answer, 1, capacity - 1, pipe);
        status = pclose(pipe);
    }
    answer[used] = '\0';
    remove(name);
    remove(script);
    if (!there) {
        TEST_SKIP("there is no python3 to read JSON with");
    }
    if (status != 0) {
        fail_msg("%s", answer);
    }
}

static void json(void **state)
{
    (void)state;
    lgalloc_handle handles[4];
    test_take_all(handles, TEST_COUNT(handles), 2 * MIB);
    test_churn(3, 128 * KIB);
    test_touch(handles[0], 4096);
    test_set_limit(SIZE_MAX); /* the largest number there is */
    char answer[4096], expected[2048];
    const char *all = print_as(LGALLOC_FORMAT_JSON);
    assert_int_equal(number_after(all, "\"size_class_bytes\": 2097152, \"areas\": "), test_class(2 * MIB).areas);
    read_by_python(all, answer, sizeof answer);
    snprintf(expected, sizeof expected, "path \"%s\"\nlimit 18446744073709551615 18446744073709551615\n", test_dir());
    assert_string_equal(answer, expected);
    test_set_limit(0);
    test_free_all(handles, TEST_COUNT(handles));
}

/* A name may be any bytes. */
static void json_of_odd_names(void **state)
{
    (void)state;
    static const struct {
        const char *path, *read;
    } cases[] = {{"/a \"quoted\" \\ one", "\"/a \\\"quoted\\\" \\\\ one\""},
                 {"/new\nline\ttab\033", "\"/new\\nline\\ufffdtab\\ufffd\""},
                 {"/caf\xc3\xa9", "\"/caf\\u00e9\""},
                 {"/caf\xe9", "\"/caf\\ufffd\""}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_with_path(config, cases[i].path), LGALLOC_STATUS_OK);
        test_apply(config);
        char answer[4096], expected[256];
        read_by_python(print_as(LGALLOC_FORMAT_JSON), answer, sizeof answer);
        snprintf(expected, sizeof expected, "path %s\nlimit 0 0\n", cases[i].read);
        assert_string_equal(answer, expected);
    }
}

/* ---------------------------------------------------------------- Prometheus */

static size_t name_len(const char *at, const char *more)
{
    size_t len = 0;
    while (isalpha((unsigned char)at[len]) || at[len] == '_' || (at[len] != '\0' && strchr(more, at[len]) != NULL) ||
           (len > 0 && isdigit((unsigned char)at[len]))) {
        len++;
    }
    return len;
}

/* The labels in braces, if there are any; NULL if they are wrong. */
static const char *skip_labels(const char *at)
{
    if (*at != '{') {
        return at;
    }
    do {
        at++;
        size_t len = name_len(at, "");
        if (len == 0 || at[len] != '=' || at[len + 1] != '"') {
            return NULL;
        }
        for (at += len + 2; *at != '"'; at++) {
            if (*at == '\0' || *at == '\n' || (*at == '\\' && strchr("\\\"n", at[1]) == NULL)) {
                return NULL;
            }
            at += *at == '\\';
        }
        at++;
    } while (*at == ',');
    return *at == '}' ? at + 1 : NULL;
}

static bool ends_in_total(const char *name)
{
    size_t len = strlen(name);
    return len > 6 && strcmp(name + len - 6, "_total") == 0;
}

/* Of the text format 0.0.4 what a scraper insists on, and what its linter finds: NULL, or what is wrong. Takes the
 * lines apart, so `text` is not the same afterwards. */
static const char *prometheus_fault(char *text, size_t *out_metrics, size_t *out_samples)
{
    static char seen[256][96];
    char metric[96] = "";
    enum { NOTHING, HELP, TYPE, SAMPLES } last = NOTHING;
    *out_metrics = *out_samples = 0;
    for (char *line = text, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        if (end == NULL) {
            return "the last line doesn't end";
        }
        *end = '\0';
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t len = name_len(line + 7, ":");
            if ((last != NOTHING && last != SAMPLES) || len == 0 || len >= sizeof metric || line[7 + len] != ' ' ||
                line[8 + len] == '\0' || strchr(line, '\\') != NULL) {
                return line;
            }
            memcpy(metric, line + 7, len);
            metric[len] = '\0';
            for (size_t i = 0; i < *out_metrics; i++) {
                if (strcmp(seen[i], metric) == 0) {
                    return line;
                }
            }
            strcpy(seen[(*out_metrics)++ % TEST_COUNT(seen)], metric);
            if (strncmp(metric, "lgalloc_", 8) != 0) {
                return line;
            }
            last = HELP;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            char expected[128];
            snprintf(expected, sizeof expected, "# TYPE %s %s", metric, ends_in_total(metric) ? "counter" : "gauge");
            if (last != HELP || strcmp(line, expected) != 0) {
                return line;
            }
            last = TYPE;
        } else {
            size_t len = name_len(line, ":");
            if (last < TYPE || len != strlen(metric) || strncmp(line, metric, len) != 0) {
                return line;
            }
            const char *at = skip_labels(line + len);
            char *rest;
            if (at == NULL || *at != ' ' || (!isdigit((unsigned char)at[1]) && strcmp(at, " +Inf") != 0)) {
                return line;
            }
            (void)strtod(at + 1, &rest);
            if (*rest != '\0') {
                return line;
            }
            (*out_samples)++;
            last = SAMPLES;
        }
    }
    return last == SAMPLES ? NULL : "a metric without a sample at the end";
}

#define TWICE(text) text text

static void the_checker_sees_faults(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "lgalloc_a 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a 1",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\n",
        "# TYPE lgalloc_a gauge\nlgalloc_a 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a counter\nlgalloc_a 1\n",
        "# HELP lgalloc_a_total A.\n# TYPE lgalloc_a_total gauge\nlgalloc_a_total 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_b 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a one\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a{b=1} 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a{b=\"\\t\"} 1\n",
        "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a{b=\"1\"c=\"2\"} 1\n",
        TWICE("# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a 1\n"),
    };
    size_t metrics, samples;
    char copy[256];
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_non_null(prometheus_fault(strcpy(copy, wrong[i]), &metrics, &samples));
    }
    strcpy(copy,
           "# HELP lgalloc_a A.\n# TYPE lgalloc_a gauge\nlgalloc_a{b=\"x\\\"y\\\\\",c=\"2\"} 1.5\nlgalloc_a +Inf\n");
    assert_null(prometheus_fault(copy, &metrics, &samples));
    assert_int_equal(metrics, 1);
    assert_int_equal(samples, 2);
}

static void prometheus(void **state)
{
    (void)state;
    lgalloc_handle handles[3];
    test_take_all(handles, TEST_COUNT(handles), 8 * MIB);
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, 1500000000, 0, 0);
    assert_int_equal(lgalloc_config_with_path(config, "/a \"b\"\n\\c"), LGALLOC_STATUS_OK);
    test_apply(config);
    const char *all = print_as(LGALLOC_FORMAT_PROMETHEUS);
    assert_non_null(strstr(all, "lgalloc_info{version=\"" VERSION_TEXT "\",backing=\""));
    assert_non_null(strstr(all, "path=\"/a \\\"b\\\"\\n\\\\c\"} 1\n"));
    assert_non_null(strstr(all, "\nlgalloc_config_interval_seconds 1.500000000\n"));
    assert_non_null(strstr(all, "\nlgalloc_config_idle_bytes +Inf\n"));
    assert_non_null(strstr(all, "\nlgalloc_config_enabled 1\n"));
    assert_int_equal(number_after(all, "\nlgalloc_size_class_in_use_regions{size_class=\"8388608\"} "), 3);
    assert_int_equal(number_after(all, "\nlgalloc_in_use_bytes "), 24 * MIB);
    assert_int_equal(number_after(all, "\nlgalloc_dirty_upper_bound_bytes "), test_global().dirty_bytes);
    size_t metrics, samples, options = 0;
    for (const char *at = all; (at = strstr(at, "# TYPE lgalloc_config_")) != NULL; at++) {
        options++;
    }
    const char *fault = prometheus_fault(printed, &metrics, &samples);
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
    /* Of each kind of statistics every field and two figures that the system says; and info. */
    size_t global = sizeof(lgalloc_global_stats) / 8 - TEST_COUNT(((lgalloc_global_stats *)NULL)->reserved) + 2;
    size_t of_class = sizeof(lgalloc_size_class_stats) / 8 - 1 -
                      TEST_COUNT(((lgalloc_size_class_stats *)NULL)->reserved) + 2;
    assert_true(options >= 12);
    assert_int_equal(metrics, 1 + global + of_class + options);
    assert_int_equal(samples, 1 + global + of_class * LGALLOC_SIZE_CLASS_COUNT + options);
    test_free_all(handles, TEST_COUNT(handles));
}

/* ---------------------------------------------------------------- what the figures are worth */

/* One byte was written per class: what the library counts is a bound, what the system says is what there is. */
static void honest_figures(void **state)
{
    (void)state;
    lgalloc_handle handles[10]; /* all at a time: what is free serves other classes */
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = test_take(64 * KIB << i);
        *(volatile char *)handles[i].ptr = 1;
    }
    test_free_all(handles, TEST_COUNT(handles));
    const char *all = print_as(LGALLOC_FORMAT_JSON);
    const char *global = strstr(all, "\"global\"");
    uint64_t dirty = number_after(global, "\"dirty_upper_bound_bytes\": ");
    uint64_t resident = number_after(global, "\"resident_bytes\": ");
    assert_int_equal(dirty, test_global().dirty_bytes);
    assert_true(dirty >= 63 * MIB);
    /* At most a huge page for each of the ten classes, and with files what the page cache rounds up to. */
    assert_true(resident >= 10 * 4 * KIB);
    assert_true(resident <= 10 * 2 * MIB);
    assert_true(lgalloc_purge() >= resident);
    all = print_as(LGALLOC_FORMAT_JSON);
    global = strstr(all, "\"global\"");
    assert_int_equal(number_after(global, "\"resident_bytes\": "), 0);
    assert_int_equal(number_after(global, "\"disk_bytes\": "), 0);
}

/* ---------------------------------------------------------------- at exit */

static void configure_stats(const char *where)
{
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_variable(config, "LGALLOC_STATS", where) == LGALLOC_STATUS_OK);
    test_apply(config);
}

static void exits(void *where)
{
    configure_stats(where);
    lgalloc_deallocate(test_take(MIB));
    exit(0);
}

static void exits_without_directory(void *dir)
{
    char file[1024];
    snprintf(file, sizeof file, "%s/file", (const char *)dir);
    configure_stats(file); /* which makes it */
    TEST_REQUIRE(remove(file) == 0 && remove(dir) == 0);
    exit(0);
}

static void at_exit(void **state)
{
    (void)state;
    struct test_child child;
    test_run_child(exits, (void *)"stderr", &child);
    assert_int_equal(child.status, 0);
    assert_string_equal(child.output, "");
    assert_ptr_equal(strstr(child.errors, "lgalloc " VERSION_TEXT ", process "), child.errors);
    assert_non_null(strstr(child.errors, "\nstats               stderr\n"));

    char *dir = test_dir_make();
    char file[1024];
    snprintf(file, sizeof file, "%s/file", dir);
    for (size_t texts = 1; texts <= 2; texts++) {
        test_child_succeeds(exits, file);
        FILE *stream = fopen(file, "r");
        assert_non_null(stream);
        char all[16384];
        all[fread(all, 1, sizeof all - 1, stream)] = '\0';
        fclose(stream);
        size_t found = 0;
        for (const char *at = all; (at = strstr(at, "lgalloc " VERSION_TEXT ", process ")) != NULL; at++) {
            found++;
        }
        assert_int_equal(found, texts);
    }
    assert_int_equal(remove(file), 0);
    test_child_succeeds(exits_without_directory, dir); /* nobody is left to hear of it */
    test_dir_drop(dir);
}

/* ---------------------------------------------------------------- beside other threads */

static void nowhere(void *context, const char *text, size_t len)
{
    (void)text;
    *(size_t *)context += len;
    lgalloc_deallocate(test_take(64 * KIB)); /* the library may be called */
}

static void *prints(void *arg)
{
    for (size_t i = 0; i < test_scale(30, 5); i++) {
        size_t total = 0;
        TEST_REQUIRE(lgalloc_stats_print((lgalloc_format)(i % 3), nowhere, &total) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(total > 1000);
    }
    (void)arg;
    return NULL;
}

static void *works(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < test_scale(300, 30); i++) {
        test_churn(8, 64 * KIB << i % 6);
        if (i % 16 == 0) {
            lgalloc_purge();
        }
        lgalloc_config *config = test_config();
        TEST_REQUIRE(lgalloc_config_with_path(config, test_dir()) == LGALLOC_STATUS_OK);
        test_apply(config);
    }
    return NULL;
}

static void several_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], i % 2 == 0 ? prints : works, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_FILE(honest_figures), /* first: nothing else has been used */
        TEST_ANONYMOUS(honest_figures),
        TEST_FILE(arguments),
        TEST_BOTH(allocates_nothing),
        TEST_BOTH(text),
        TEST_BOTH(json),
        TEST_ANONYMOUS(json_of_odd_names),
        TEST_ANONYMOUS(the_checker_sees_faults),
        TEST_BOTH(prometheus),
        TEST_BOTH(at_exit),
        TEST_BOTH(several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
