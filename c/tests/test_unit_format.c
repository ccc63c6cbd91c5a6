/* Text that is put together without an allocation, and options' values as text. */
#include "internal.h"

#include "base/parse.h"

struct sink {
    char text[512];
    size_t pieces;
};

static void take(void *context, const char *piece, size_t len)
{
    struct sink *sink = context;
    assert_true(len != 0);
    assert_true(strlen(sink->text) + len < sizeof(sink->text));
    strncat(sink->text, piece, len);
    sink->pieces++;
}

/* Everything that is put between the two. */
static char buffer[256];
static lg_text fresh(void)
{
    memset(buffer, 0, sizeof(buffer));
    return (lg_text){.buffer = buffer, .capacity = sizeof(buffer) - 1};
}

static void pieces(void **state)
{
    (void)state;
    char small[4];
    struct sink sink = {"", 0};
    lg_text text = {.buffer = small, .capacity = sizeof(small), .write = take, .context = &sink};
    lg_put(&text, "one two");
    lg_put_until(&text, 10);
    lg_put_number(&text, UINT64_MAX);
    lg_put(&text, "\n");
    assert_int_equal(text.column, 0);
    lg_put_until(&text, 2);
    lg_put_number(&text, 0);
    lg_put_end(&text);
    lg_put_end(&text); /* nothing is left */
    assert_string_equal(sink.text, "one two   18446744073709551615\n  0");
    assert_int_equal(sink.pieces, (strlen(sink.text) + 3) / 4);

    /* Without a place to go to, what doesn't fit is left out. */
    char tiny[4] = "";
    text = (lg_text){.buffer = tiny, .capacity = 3};
    lg_put(&text, "abcdef");
    lg_put_until(&text, 100);
    assert_string_equal(tiny, "abc");
}

static void bytes_and_times(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        const char *exact, *about, *time;
    } cases[] = {
        {0, "0", "0 B", "0"},
        {1, "1", "1 B", "1 ns"},
        {1000, "1000", "1000 B", "1 us"},
        {1023, "1023", "1023 B", "1023 ns"},
        {1024, "1 KiB", "1 KiB", "1024 ns"},
        {1536, "1536", "1.5 KiB", "1536 ns"},
        {1126, "1126", "1 KiB", "1126 ns"},
        {32 * LG_MIB, "32 MiB", "32 MiB", "33554432 ns"},
        {LG_GIB + LG_MIB, "1025 MiB", "1 GiB", "1074790400 ns"},
        {LG_GIB - 1, "1073741823", "1023.9 MiB", "1073741823 ns"},
        {5000000, "5000000", "4.7 MiB", "5 ms"},
        {90000000000, "87890625 KiB", "83.8 GiB", "90 s"},
        {5000 * LG_GIB * 1024, "5000 TiB", "5000 TiB", "5497558138880 us"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        lg_text text = fresh();
        lg_put_bytes(&text, cases[i].number);
        assert_string_equal(buffer, cases[i].exact);
        text = fresh();
        lg_put_about(&text, cases[i].number);
        assert_string_equal(buffer, cases[i].about);
        text = fresh();
        lg_put_time(&text, cases[i].number);
        assert_string_equal(buffer, cases[i].time);
    }
}

/* What is printed can be read again, and is the same. */
static void there_and_back(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0,
                                       1,
                                       1000,
                                       1023,
                                       1024,
                                       60000000000,
                                       3600000000000,
                                       32 * LG_MIB,
                                       LG_GIB + 1,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX - 1,
                                       UINT64_MAX};
    static const enum lg_kind kinds[] = {LG_KIND_COUNT, LG_KIND_BYTES, LG_KIND_TIME, LG_KIND_SWITCH, LG_KIND_BACKING};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
            uint64_t value = UINT64_MAX / 3;
            if (!lg_value_fits(kinds[k], numbers[i]))
                continue;
            lg_text text = fresh();
            lg_put_value(&text, kinds[k], numbers[i]);
            assert_true(lg_parse(kinds[k], buffer, &value));
            assert_true(value == numbers[i]);
        }
    assert_false(lg_value_fits(LG_KIND_SWITCH, 2));
    assert_false(lg_value_fits(LG_KIND_BACKING, 2));
    assert_true(lg_value_fits(LG_KIND_BYTES, UINT64_MAX));
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t nanoseconds;
    } cases[] = {{"7", 7},
                 {"7ns", 7},
                 {"7us", 7000},
                 {"7 ms", 7000000},
                 {"7s", 7000000000},
                 {"7m", 420000000000},
                 {"7 h", 25200000000000},
                 {"0s", 0},
                 {"5124095h", (uint64_t)5124095 * 3600 * 1000000000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t value = 1;
        assert_true(lg_parse(LG_KIND_TIME, cases[i].text, &value));
        assert_true(value == cases[i].nanoseconds);
    }
    uint64_t value;
    assert_false(lg_parse(LG_KIND_TIME, "5124096h", &value)); /* 2^64 and more */
    assert_false(lg_parse(LG_KIND_BYTES, "16777216T", &value));
    assert_false(lg_parse(LG_KIND_COUNT, "18446744073709551616", &value));
}

static void quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *quoted;
    } cases[] = {
        {"", "\"\""},
        {"/var/tmp", "\"/var/tmp\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"a\nb\tc", "\"a\\nb\xef\xbf\xbd"
                    "c\""},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""}, /* good UTF-8 */
        {"\xe9", "\"\xef\xbf\xbd\""},                                                         /* Latin-1 */
        {"\xc3", "\"\xef\xbf\xbd\""},                                                         /* cut off */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                         /* too long */
        {"\xe0\x80\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        lg_text text = fresh();
        lg_put_quoted(&text, cases[i].text);
        assert_string_equal(buffer, cases[i].quoted);
    }
    char longer[200];
    memset(longer, 'y', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    lg_text text = fresh();
    lg_put_foreign(&text, longer);
    assert_int_equal(strlen(buffer), 83);
    assert_string_equal(buffer + 80, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces), cmocka_unit_test(bytes_and_times), cmocka_unit_test(there_and_back),
        cmocka_unit_test(times),  cmocka_unit_test(quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
