/* Printing where the system doesn't say what it is asked for. */
#include "internal.h"

#include "observe/snapshot.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static char printed[128 * 1024];

static void take(void *context, const char *text, size_t len)
{
    size_t *used = context;
    assert_true(*used + len < sizeof(printed));
    memcpy(printed + *used, text, len);
    *used += len;
    printed[*used] = 0;
}

static void print(lgalloc_format format)
{
    size_t used = 0;
    assert_int_equal(lgalloc_stats_print(format, take, &used), LGALLOC_STATUS_OK);
}

static void nothing_was_used(void **state)
{
    (void)state;
    print(LGALLOC_FORMAT_TEXT);
    assert_non_null(strstr(printed, "\nno region has been used\n\noptions in force\n"));
}

static void unknown_figures(void **state)
{
    (void)state;
    lgalloc_handle handle = test_take(2 * MIB);
    test_touch(handle, 4096);
    unit_fault_arm(UNIT_CALL(READ_MAPS) | UNIT_CALL(FSTAT), 0, LONG_MAX, EACCES);
    print(LGALLOC_FORMAT_TEXT);
    assert_non_null(strstr(printed, " unknown   of regions in use"));
    print(LGALLOC_FORMAT_JSON);
    assert_non_null(strstr(printed, "\"resident_bytes\": null, \"disk_bytes\": null}"));
    assert_null(strstr(printed, "_bytes\": }"));
    print(LGALLOC_FORMAT_PROMETHEUS);
    assert_null(strstr(printed, "resident_bytes"));
    assert_null(strstr(printed, "disk_bytes"));
    assert_non_null(strstr(printed, "lgalloc_in_use_bytes 2097152\n"));
    unit_fault_off();

    /* Now they are there, and are what the slow statistics say. */
    print(LGALLOC_FORMAT_PROMETHEUS);
    assert_non_null(strstr(printed, "\nlgalloc_resident_bytes 2097152\n"));
    assert_non_null(strstr(printed, "\nlgalloc_size_class_resident_bytes{size_class=\"2097152\"} 2097152\n"));
    lgalloc_file_stats disk = test_file(2 * MIB);
    char expected[128];
    snprintf(expected, sizeof(expected), "\nlgalloc_disk_bytes %zu\n", disk.allocated_size);
    assert_non_null(strstr(printed, expected));
    lgalloc_deallocate(handle);
}

/* A configuration that the system doesn't let be says which option it was. */
static void refused_by_the_system(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value;
        uint64_t call;
        const char *error;
    } cases[] = {
        {"LGALLOC_INTERVAL_NS", "5ms", UNIT_CALL(THREAD),
         "interval_ns=5 ms: the worker's thread can't be started: errno 11"},
        {"LGALLOC_STATS", "/dev/null", UNIT_CALL(OPEN_APPEND), "stats=/dev/null: the file can't be opened: errno 11"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        lgalloc_config *config = test_config();
        assert_int_equal(lgalloc_config_variable(config, cases[i].variable, cases[i].value), LGALLOC_STATUS_OK);
        unit_fault_arm(cases[i].call, 0, 1, EAGAIN);
        errno = 0;
        assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
        assert_int_equal(errno, EAGAIN);
        assert_string_equal(lgalloc_config_error(config), cases[i].error);
        unit_fault_off();
        assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK);
        assert_string_equal(lgalloc_config_error(config), "");
        lgalloc_config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_FILE(nothing_was_used), /* first */
        UNIT_FILE(unknown_figures),
        UNIT_ANONYMOUS(refused_by_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
