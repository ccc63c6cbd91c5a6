/* Arithmetic that everything rests on, and the line that is written before the process aborts. */

#include "internal.h"

#include <string.h>

static void class_of_a_size(void **state)
{
    assert_int_equal(lg_log2_ceil(2), 1);
    for (unsigned log2 = 2; log2 < 64; log2++) {
        size_t size = (size_t)1 << log2;
        assert_int_equal(lg_log2_ceil(size - 1), log2 == 2 ? 2 : log2);
        assert_int_equal(lg_log2_ceil(size), log2);
        if (log2 < 63) {
            assert_int_equal(lg_log2_ceil(size + 1), log2 + 1);
        }
        assert_int_equal(lg_log2_ceil(size / 2 + 1), log2);
    }
    for (unsigned i = 0; i < LG_CLASS_COUNT; i++) {
        const lg_class *c = lg_class_at(i);
        assert_int_equal(lg_class_size(c), (size_t)1 << (LGALLOC_SIZE_CLASS_MIN_LOG2 + i));
        assert_ptr_equal(unit_class(lg_class_size(c)), c);
        assert_ptr_equal(unit_class(lg_class_size(c) - 1), c);
    }
    assert_int_equal(LG_SMALLEST_REGION, 64 * KIB);
    assert_int_equal(LG_LARGEST_REGION, 64 * GIB);
}

/* Every request is rounded to the smallest class that holds it. */
static void class_of_any_request(void **state)
{
    uint64_t random = 1;
    for (unsigned i = 0; i < 100000; i++) {
        size_t bytes = (test_random(&random) >> (28 + random % 20)) + 2;
        unsigned log2 = lg_log2_ceil(bytes);
        assert_true((size_t)1 << log2 >= bytes);
        assert_true((size_t)1 << (log2 - 1) < bytes);
    }
}

static void smaller_and_larger(void **state)
{
    assert_int_equal(lg_min(3, 5), 3);
    assert_int_equal(lg_min(SIZE_MAX, 0), 0);
    assert_int_equal(lg_max(3, 5), 5);
    assert_int_equal(lg_max(SIZE_MAX, 0), SIZE_MAX);
}

/* ---------------------------------------------------------------- the last line */

static void dies_with_numbers(void *arg)
{
    LG_DIE(LG_TEXT("zero "), LG_HEX(0), LG_TEXT(", some "), LG_HEX(0xc0ffee), LG_TEXT(", most "), LG_HEX(UINT64_MAX));
}

static void dies_at_length(void *arg)
{
    static char text[2000];
    memset(text, 'x', sizeof text - 1);
    LG_DIE(LG_TEXT(text), LG_HEX(1), LG_TEXT(text));
}

static void dies_of_an_assertion(void *arg)
{
    volatile int two = 2;
    LG_ASSERT(two == 2);
    LG_ASSERT(two + two == 5);
}

static void one_line_before_the_end(void **state)
{
    struct test_child child;
    test_child_aborts(dies_with_numbers, NULL, &child);
    assert_string_equal(child.errors, "lgalloc: zero 0x0, some 0xc0ffee, most 0xffffffffffffffff\n");

    test_child_aborts(dies_at_length, NULL, &child);
    size_t length = strlen(child.errors);
    assert_true(length > 400 && length <= 512);
    assert_ptr_equal(strchr(child.errors, '\n'), child.errors + length - 1);

    test_child_aborts(dies_of_an_assertion, NULL, &child);
    assert_non_null(strstr(child.errors, "lgalloc: internal check failed: two + two == 5 at "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_of_a_size),
        cmocka_unit_test(class_of_any_request),
        cmocka_unit_test(smaller_and_larger),
        cmocka_unit_test(one_line_before_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
