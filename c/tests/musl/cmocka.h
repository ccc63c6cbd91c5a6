/*
 * As much of cmocka as the tests use, for C libraries that no package of cmocka is linked with; see check-musl.sh. A
 * failed assertion leaves the test by a jump, in the main thread, as there.
 */
#ifndef LGALLOC_TESTS_CMOCKA_H
#define LGALLOC_TESTS_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void (*cmocka_test)(void **state);
typedef int (*cmocka_fixture)(void **state);

struct CMUnitTest {
    const char *name;
    cmocka_test test;
    cmocka_fixture setup;
    cmocka_fixture teardown;
    void *state;
};

#define cmocka_unit_test(test)        \
    {                                 \
#test, test, NULL, NULL, NULL \
    }
#define cmocka_unit_test_setup(test, setup) \
    {                                       \
#test, test, setup, NULL, NULL      \
    }
#define cmocka_unit_test_teardown(test, teardown) \
    {                                             \
#test, test, NULL, teardown, NULL         \
    }
#define cmocka_unit_test_setup_teardown(test, setup, teardown) \
    {                                                          \
#test, test, setup, teardown, NULL                     \
    }
#define cmocka_unit_test_prestate(test, state) \
    {                                          \
#test, test, NULL, NULL, state         \
    }

enum { CMOCKA_FAILED = 1, CMOCKA_SKIPPED = 2 };
/* One for the program, whichever of its files have it. */
__attribute__((weak)) jmp_buf cmocka_leave;

#define print_error(...) fprintf(stderr, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define skip() longjmp(cmocka_leave, CMOCKA_SKIPPED)
#define fail_msg(...)                                                                                   \
    (fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), \
     longjmp(cmocka_leave, CMOCKA_FAILED))
#define fail() fail_msg("failed")

#define assert_true(x) ((x) ? (void)0 : (void)fail_msg("%s", #x))
#define assert_false(x) ((x) ? (void)fail_msg("not %s", #x) : (void)0)
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_null(x) assert_true((x) == NULL)
#define assert_ptr_equal(a, b) \
    cmocka_equal((uintmax_t)(uintptr_t)(a), (uintmax_t)(uintptr_t)(b), true, #a, #b, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b) \
    cmocka_equal((uintmax_t)(uintptr_t)(a), (uintmax_t)(uintptr_t)(b), false, #a, #b, __FILE__, __LINE__)
#define assert_int_equal(a, b) cmocka_equal((uintmax_t)(a), (uintmax_t)(b), true, #a, #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) cmocka_equal((uintmax_t)(a), (uintmax_t)(b), false, #a, #b, __FILE__, __LINE__)
#define assert_in_range(x, low, high) \
    cmocka_within((uintmax_t)(x), (uintmax_t)(low), (uintmax_t)(high), #x, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) assert_true(memcmp((a), (b), (size)) == 0)
#define assert_string_equal(a, b) cmocka_same((a), (b), true, __FILE__, __LINE__)
#define assert_string_not_equal(a, b) cmocka_same((a), (b), false, __FILE__, __LINE__)

static inline void cmocka_equal(uintmax_t a, uintmax_t b, bool wanted, const char *left, const char *right,
                                const char *file, int line)
{
    if ((a == b) != wanted) {
        fprintf(stderr, "%s:%d: %s is %ju, %s is %ju\n", file, line, left, a, right, b);
        longjmp(cmocka_leave, CMOCKA_FAILED);
    }
}

static inline void cmocka_within(uintmax_t x, uintmax_t low, uintmax_t high, const char *what, const char *file,
                                 int line)
{
    if (x < low || x > high) {
        fprintf(stderr, "%s:%d: %s is %ju, not from %ju to %ju\n", file, line, what, x, low, high);
        longjmp(cmocka_leave, CMOCKA_FAILED);
    }
}

static inline void cmocka_same(const char *a, const char *b, bool wanted, const char *file, int line)
{
    if ((strcmp(a, b) == 0) != wanted) {
        fprintf(stderr, "%s:%d: \"%s\" and \"%s\"\n", file, line, a, b);
        longjmp(cmocka_leave, CMOCKA_FAILED);
    }
}

/* How many of them failed. */
static inline int cmocka_run(const struct CMUnitTest *tests, size_t count, cmocka_fixture setup,
                             cmocka_fixture teardown)
{
    void *group = NULL;
    if (setup != NULL && setup(&group) != 0)
        return (int)count;
    volatile size_t failed = 0, skipped = 0;
    for (volatile size_t i = 0; i < count; i++) {
        const struct CMUnitTest *test = &tests[i];
        void *volatile state = test->state != NULL ? test->state : group;
        int how = setjmp(cmocka_leave);
        if (how == 0) {
            void *given = state;
            if (test->setup != NULL && test->setup(&given) != 0)
                longjmp(cmocka_leave, CMOCKA_FAILED);
            state = given;
            test->test(&given);
        } else if (how == CMOCKA_SKIPPED) {
            skipped++;
        } else {
            failed++;
            fprintf(stderr, "[  FAILED  ] %s\n", test->name);
        }
        void *given = state;
        if (test->teardown != NULL)
            test->teardown(&given);
    }
    if (teardown != NULL)
        teardown(&group);
    printf("[  PASSED  ] %zu test(s), %zu failed, %zu skipped\n", count - failed - skipped, failed, skipped);
    fflush(stdout);
    return (int)failed;
}
#define cmocka_run_group_tests(tests, setup, teardown) \
    cmocka_run(tests, sizeof(tests) / sizeof(*(tests)), setup, teardown)

#endif
