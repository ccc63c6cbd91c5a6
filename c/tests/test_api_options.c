/* Options as texts: what people write, what is refused, and what the refusal says. */

#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const variables[] = {
    "ENABLE",        "PATH",           "BACKING",     "INTERVAL_NS", "BATCH",           "CLEAR_BYTES",
    "RELEASE_TICKS", "EAGER_RETURN",   "LIMIT_BYTES", "IDLE_BYTES",  "GROWTH_DAMPENER", "LOCAL_BUFFER_BYTES",
    "HUGE_PAGES",    "RESERVE_BLOCKS", "STATS",       "LIMT_BYTES",  "limit_bytes",     "PRELOAD_THRESHOLD"};

static void without_variables(void)
{
    for (size_t i = 0; i < TEST_COUNT(variables); i++) {
        char name[64];
        snprintf(name, sizeof name, "LGALLOC_%s", variables[i]);
        assert_int_equal(unsetenv(name), 0);
    }
}

static void set(const char *variable, const char *value)
{
    assert_int_equal(setenv(variable, value, 1), 0);
}

/* Reads the environment into a set, and applies that if all is well. */
static lgalloc_status from_env(void)
{
    lgalloc_config *config = test_config();
    lgalloc_status status = lgalloc_config_from_env(config);
    if (status == LGALLOC_STATUS_OK) {
        assert_string_equal(lgalloc_config_error(config), "");
        assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK);
    } else {
        assert_string_not_equal(lgalloc_config_error(config), "");
    }
    lgalloc_config_free(config);
    return status;
}

/* Whether the refusal of `variable=value` names both and all of `allowed`, a list with | between. */
static bool refused(const char *variable, const char *value, const char *allowed)
{
    lgalloc_config *config = test_config();
    lgalloc_status status = lgalloc_config_variable(config, variable, value);
    const char *error = lgalloc_config_error(config);
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%.80s", value);
    bool all = status == LGALLOC_STATUS_INVALID_ARGUMENT && strstr(error, variable) == error &&
               strstr(error, quoted) != NULL && strchr(error, '\n') == NULL;
    char words[256];
    snprintf(words, sizeof words, "%s", allowed);
    char *rest = words;
    for (const char *word; (word = strsep(&rest, "|")) != NULL;) {
        all = all && strstr(error, word) != NULL;
    }
    if (!all) {
        print_error("%s=%s: %d, %s\n", variable, value, (int)status, error);
    }
    lgalloc_config_free(config);
    return all;
}

static void environment(void **state)
{
    without_variables();
    assert_int_equal(from_env(), LGALLOC_STATUS_OK); /* nothing is set */
    assert_int_equal(test_global().limit_bytes, 0);
    test_require_works(MIB);

    set("LGALLOC_ENABLE", "0");
    set("LGALLOC_LIMIT_BYTES", "4M");
    assert_int_equal(from_env(), LGALLOC_STATUS_OK);
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate(MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_DISABLED);
    set("LGALLOC_LIMIT_BYTES", "5M");
    set("LGALLOC_ENABLE", "2"); /* neither on nor off */
    assert_int_equal(from_env(), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(test_global().limit_bytes, 4 * MIB);
    set("LGALLOC_ENABLE", "on");
    set("LGALLOC_LIMIT_BYTES", "0");
    set("LGALLOC_BACKING", test_backing(state) == LGALLOC_BACKING_FILE ? "file" : "anon");
    set("LGALLOC_PATH", test_dir());
    assert_int_equal(from_env(), LGALLOC_STATUS_OK);
    test_require_works(MIB);

    /* What was in the set before stays there if anything is refused. */
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, 7 * MIB);
    assert_int_equal(lgalloc_config_with_path(config, test_dir()), LGALLOC_STATUS_OK);
    set("LGALLOC_LIMIT_BYTES", "3M");
    set("LGALLOC_PATH", "/nonexistent");
    set("LGALLOC_BATCH", "many");
    assert_int_equal(lgalloc_config_from_env(config), LGALLOC_STATUS_INVALID_ARGUMENT);
    without_variables();
    test_apply(config);
    assert_int_equal(test_global().limit_bytes, 7 * MIB);
    test_require_works(MIB);
    assert_int_equal(lgalloc_config_from_env(NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
}

static void unknown_variables(void **state)
{
    (void)state;
    without_variables();
    static const char *const unknown[] = {"LGALLOC_LIMT_BYTES", "LGALLOC_limit_bytes"};
    for (size_t i = 0; i < TEST_COUNT(unknown); i++) {
        set(unknown[i], "1G");
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_from_env(config), LGALLOC_STATUS_INVALID_ARGUMENT);
        const char *error = lgalloc_config_error(config);
        assert_non_null(strstr(error, unknown[i]));
        assert_non_null(strstr(error, "\"1G\""));
        for (size_t j = 0; j + 3 < TEST_COUNT(variables); j++) {
            assert_non_null(strstr(error, variables[j])); /* what is allowed */
        }
        lgalloc_config_free(config);
        unsetenv(unknown[i]);
    }
    /* Others have variables too. */
    set("LGALLOC_PRELOAD_THRESHOLD", "anything");
    set("LGALLOC_TEST_ANYTHING", "");
    assert_int_equal(from_env(), LGALLOC_STATUS_OK);
    unsetenv("LGALLOC_TEST_ANYTHING");
    without_variables();

    assert_true(refused("LGALLOC_", "1", "LIMIT_BYTES"));
    assert_true(refused("LGALLOC_PRELOAD_THRESHOLDS", "1", "LIMIT_BYTES"));
    assert_true(refused("LIMIT_BYTES", "1", "LGALLOC_"));
    assert_true(refused("PRELOAD_THRESHOLD", "1", "LGALLOC_"));
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_variable(config, NULL, "1"), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_string_not_equal(lgalloc_config_error(config), "");
    assert_int_equal(lgalloc_config_variable(config, "LGALLOC_LIMIT_BYTES", NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(lgalloc_config_error(config), "LGALLOC_LIMIT_BYTES=NULL"));
    lgalloc_config_free(config);
    assert_int_equal(lgalloc_config_variable(NULL, "LGALLOC_LIMIT_BYTES", "1"), LGALLOC_STATUS_INVALID_ARGUMENT);
}

static void bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {{"0", 0},
                {"65536", 64 * KIB},
                {"64K", 64 * KIB},
                {"64k", 64 * KIB},
                {"64KiB", 64 * KIB},
                {"64 KiB", 64 * KIB},
                {"64KB", 64 * KIB},
                {"64kb", 64 * KIB},
                {"64kib", 64 * KIB},
                {"3M", 3 * MIB},
                {"3 MiB", 3 * MIB},
                {"3mb", 3 * MIB},
                {"1GiB", GIB},
                {"2G", 2 * GIB},
                {"2gb", 2 * GIB},
                {"1T", 1024 * GIB},
                {"5 TiB", 1024 * GIB * 5},
                {"16777215T", 1024 * GIB * 16777215},
                {"unlimited", SIZE_MAX},
                {"18446744073709551615", SIZE_MAX}};
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_variable(config, "LGALLOC_LIMIT_BYTES", good[i].text), LGALLOC_STATUS_OK);
        test_apply(config);
        if (test_global().limit_bytes != good[i].bytes) {
            fail_msg("%s is %zu", good[i].text, test_global().limit_bytes);
        }
    }
    static const char *const wrong[] = {"",
                                        "M",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1  M",
                                        "1 M ",
                                        "2.5G",
                                        "0x10",
                                        "1MM",
                                        "1Mi",
                                        "1P",
                                        "KiB",
                                        "1s",
                                        "one",
                                        "1KIB",
                                        "1e9",
                                        "18446744073709551616",
                                        "16777216T",
                                        "1\n",
                                        "99999999999999999999999999"};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        lgalloc_config *config = test_config();
        if (lgalloc_config_variable(config, "LGALLOC_LIMIT_BYTES", wrong[i]) != LGALLOC_STATUS_INVALID_ARGUMENT) {
            fail_msg("\"%s\" is taken", wrong[i]);
        }
        lgalloc_config_free(config);
    }
    assert_true(refused("LGALLOC_LIMIT_BYTES", "many", "bytes|2^64|K, M, G or T|KiB|unlimited"));
    assert_true(refused("LGALLOC_IDLE_BYTES", "1s", "bytes|KiB"));
    assert_true(refused("LGALLOC_CLEAR_BYTES", "", "bytes"));
    assert_true(refused("LGALLOC_LOCAL_BUFFER_BYTES", "-1", "bytes"));
    assert_true(refused("LGALLOC_RELEASE_TICKS", "1K", "whole number"));
    assert_true(refused("LGALLOC_BATCH", "unlimited", "whole number"));
    assert_true(refused("LGALLOC_GROWTH_DAMPENER", "1.5", "whole number"));
}

static void intervals(void **state)
{
    (void)state;
    static const char *const good[] = {"3600000000000", "3600000 ms", "3601s", "60m", "1 h", "0"};
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_variable(config, "LGALLOC_INTERVAL_NS", good[i]), LGALLOC_STATUS_OK);
        test_apply(config);
        assert_int_equal(test_threads_named("lgalloc-0"), strcmp(good[i], "0") != 0);
    }
    static const char *const wrong[] = {"", "s", "1S", "1 sec", "1M", "1min", "1.5s", "-1ms", "5124096h"};
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        assert_true(refused("LGALLOC_INTERVAL_NS", wrong[i], "ns, us, ms, s, m or h|nanoseconds"));
    }
}

static void switches(void **state)
{
    (void)state;
    static const char *const on[] = {"1", "true", "on", "yes"};
    static const char *const off[] = {"0", "false", "off", "no"};
    lgalloc_handle handle;
    for (size_t i = 0; i < TEST_COUNT(on); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_variable(config, "LGALLOC_ENABLE", off[i]), LGALLOC_STATUS_OK);
        test_apply(config);
        assert_int_equal(lgalloc_allocate(MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_DISABLED);
        config = test_config();
        assert_int_equal(lgalloc_config_variable(config, "LGALLOC_ENABLE", on[i]), LGALLOC_STATUS_OK);
        test_apply(config);
        test_require_works(MIB);
    }
    static const char *const names[] = {"LGALLOC_ENABLE", "LGALLOC_EAGER_RETURN", "LGALLOC_HUGE_PAGES",
                                        "LGALLOC_RESERVE_BLOCKS"};
    static const char *const wrong[] = {"", "2", "tru", "TRUE ", "onn", "y", "-0"};
    for (size_t i = 0; i < TEST_COUNT(names); i++) {
        for (size_t j = 0; j < TEST_COUNT(wrong); j++) {
            assert_true(refused(names[i], wrong[j], "1, true, on or yes|0, false, off or no"));
        }
    }
}

static void backings(void **state)
{
    (void)state;
    static const char *const good[] = {"file", "anonymous", "anon"};
    for (size_t i = 0; i < TEST_COUNT(good); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_variable(config, "LGALLOC_BACKING", good[i]), LGALLOC_STATUS_OK);
        test_apply(config);
    }
    assert_true(refused("LGALLOC_BACKING", "paper", "file|anonymous"));
    assert_true(refused("LGALLOC_BACKING", "", "file|anonymous"));

    lgalloc_config *config = test_config();
    assert_string_equal(lgalloc_config_error(config), "");
    lgalloc_config_with_backing(config, 7);
    assert_non_null(strstr(lgalloc_config_error(config), "backing=7"));
    assert_non_null(strstr(lgalloc_config_error(config), "LGALLOC_BACKING_FILE"));
    lgalloc_config_limit_bytes(config, 1); /* the last call is what counts, */
    assert_string_equal(lgalloc_config_error(config), "");
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_INVALID_ARGUMENT); /* but nothing is forgotten */
    assert_non_null(strstr(lgalloc_config_error(config), "backing=7"));
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    assert_string_equal(lgalloc_config_error(config), "");
    lgalloc_config_limit_bytes(config, 0);
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    assert_string_equal(lgalloc_config_error(NULL), "");
}

static void names(void **state)
{
    (void)state;
    static char longest[PATH_MAX + 1];
    memset(longest, 'x', PATH_MAX);
    assert_true(refused("LGALLOC_PATH", "", "directory|not empty|PATH_MAX"));
    assert_true(refused("LGALLOC_PATH", longest, "directory|..."));
    assert_true(refused("LGALLOC_STATS", "", "stderr|file|PATH_MAX"));
    assert_true(refused("LGALLOC_STATS", longest, "stderr|..."));

    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, ""), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(lgalloc_config_error(config), "path=\"\""));
    assert_int_equal(lgalloc_config_with_path(config, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(lgalloc_config_error(config), "path=NULL"));
    assert_int_equal(lgalloc_config_with_path(config, "/\033[31mred\n"), LGALLOC_STATUS_OK);
    assert_string_equal(lgalloc_config_error(config), "");
    lgalloc_config_free(config);

    /* Escapes of somebody else's don't reach the terminal. */
    config = test_config();
    assert_int_equal(lgalloc_config_variable(config, "LGALLOC_BATCH", "\033[31mred\n\177"),
                     LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(lgalloc_config_error(config), "\"?[31mred??\""));
    lgalloc_config_free(config);

    /* A file that can't be written is found out when the set is applied, which changes nothing then. */
    test_set_limit(64 * MIB);
    config = test_config();
    lgalloc_config_limit_bytes(config, MIB);
    assert_int_equal(lgalloc_config_variable(config, "LGALLOC_STATS", "/nonexistent/file"), LGALLOC_STATUS_OK);
    errno = 0;
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(lgalloc_config_error(config), "stats=/nonexistent/file"));
    assert_int_equal(test_global().limit_bytes, 64 * MIB);
    lgalloc_config_free(config);
}

/* Two threads may apply one set; what it says of itself is then one of two texts, or none. */
static void *applies(void *arg)
{
    for (int i = 0; i < 200; i++) {
        TEST_REQUIRE(lgalloc_set_config(arg) == LGALLOC_STATUS_OK);
    }
    return NULL;
}

static void one_set_from_two_threads(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, 0);
    pthread_t threads[2];
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], applies, config);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    assert_string_equal(lgalloc_config_error(config), "");
    lgalloc_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(environment),   TEST_ANONYMOUS(unknown_variables),
        TEST_ANONYMOUS(bytes),    TEST_ANONYMOUS(intervals),
        TEST_ANONYMOUS(switches), TEST_BOTH(backings),
        TEST_ANONYMOUS(names),    TEST_ANONYMOUS(one_set_from_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
