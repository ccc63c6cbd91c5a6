/* ctest-labels: novalgrind */ /* whose own heap crashes when it is asked for nearly all addresses */
/* One allocator for all sizes: which side a block comes from, and that both sides free, resize and measure alike. */

#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Compilers know that malloc() of such a size fails, and say so. */
static volatile size_t too_much = PTRDIFF_MAX;

static void fill(unsigned char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i += 509) {
        ptr[i] = (unsigned char)(i * 11 >> 4);
    }
}

static bool is_filled(const unsigned char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i += 509) {
        if (ptr[i] != (unsigned char)(i * 11 >> 4)) {
            return false;
        }
    }
    return true;
}

static void set_enabled(bool enabled)
{
    lgalloc_config *config = test_config();
    (enabled ? lgalloc_config_enable : lgalloc_config_disable)(config);
    test_apply(config);
}

/* ---------------------------------------------------------------- before anything is configured */

static void heap_while_disabled(void **state)
{
    (void)state;
    uint64_t fallbacks = test_global().heap_fallbacks;
    errno = 4711;
    void *blocks[] = {lgalloc_any_malloc(0),       lgalloc_any_malloc(100),        lgalloc_any_calloc(10, 10),
                      lgalloc_any_malloc(2 * MIB), lgalloc_any_calloc(1, 2 * MIB), lgalloc_any_aligned(64, MIB)};
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        assert_non_null(blocks[i]);
        assert_false(lgalloc_owns(blocks[i]));
        assert_true(lgalloc_any_usable_size(blocks[i]) >= (i < 3 ? (size_t)(i != 0) : MIB));
    }
    assert_int_equal(test_global().heap_fallbacks, fallbacks + 3);
    blocks[3] = lgalloc_any_realloc(blocks[3], 4 * MIB);
    assert_non_null(blocks[3]);
    assert_false(lgalloc_owns(blocks[3]));
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        lgalloc_any_free(blocks[i]);
    }
    lgalloc_any_free(NULL);
    assert_int_equal(errno, 4711);
    assert_int_equal(lgalloc_any_usable_size(NULL), 0);
    assert_int_equal(test_global().reserved_address_bytes, 0);
}

/* ---------------------------------------------------------------- sides */

static void sides(void **state)
{
    (void)state;
    uint64_t fallbacks = test_global().heap_fallbacks;
    static const struct {
        size_t size, region; /* 0: the heap's */
    } rows[] = {{0, 0},
                {1, 0},
                {40000, 0},
                {64 * KIB - 1, 0},
                {64 * KIB, 64 * KIB},
                {65537, 128 * KIB},
                {3 * MIB, 4 * MIB},
                {32 * MIB, 32 * MIB}};
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        for (int way = 0; way < 4; way++) {
            unsigned char *ptr = way == 0   ? lgalloc_any_malloc(rows[i].size)
                                 : way == 1 ? lgalloc_any_calloc(rows[i].size, 1)
                                 : way == 2 ? lgalloc_any_aligned(16, rows[i].size)
                                            : lgalloc_any_realloc(NULL, rows[i].size);
            assert_non_null(ptr);
            assert_int_equal(lgalloc_owns(ptr), rows[i].region != 0);
            assert_int_equal(lgalloc_usable_size(ptr), rows[i].region);
            size_t usable = lgalloc_any_usable_size(ptr);
            assert_true(rows[i].region != 0 ? usable == rows[i].region : usable >= rows[i].size);
            assert_true(way != 1 || test_filled(ptr, rows[i].size, 0));
            fill(ptr, rows[i].size);
            assert_true(is_filled(ptr, rows[i].size));
            lgalloc_any_free(ptr);
        }
    }
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
}

/* Blocks of the families it is made of. */
static void of_one_kind_with_both(void **state)
{
    (void)state;
    lgalloc_any_free(lgalloc_malloc(MIB));
    lgalloc_any_free(malloc(100));
    lgalloc_free(lgalloc_any_malloc(MIB));
    free(lgalloc_any_malloc(100));
    lgalloc_handle handle = test_take(MIB);
    unsigned char *ptr = lgalloc_any_realloc(handle.ptr, 100);
    assert_non_null(ptr);
    assert_false(lgalloc_owns(ptr));
    free(ptr);
}

static void no_size_is_beyond(void **state)
{
    (void)state;
    uint64_t fallbacks = test_global().heap_fallbacks;
    errno = 0;
    assert_null(lgalloc_any_malloc(too_much));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_calloc(too_much, 2));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_calloc(too_much, 3));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_calloc(4, too_much));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_aligned(16, too_much));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
    static const size_t sizes[] = {100, MIB};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        unsigned char *ptr = lgalloc_any_malloc(sizes[i]);
        assert_non_null(ptr);
        fill(ptr, sizes[i]);
        errno = 0;
        assert_null(lgalloc_any_realloc(ptr, too_much));
        assert_int_equal(errno, ENOMEM);
        assert_true(is_filled(ptr, sizes[i]));
        lgalloc_any_free(ptr);
    }
}

/* ---------------------------------------------------------------- alignment */

static void any_power_of_two(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, 100 * KIB, 2 * MIB};
    uint64_t expected = test_global().heap_fallbacks;
    for (size_t align = 1; align <= 16 * MIB; align *= 2) {
        for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
            unsigned char *ptr = lgalloc_any_aligned(align, sizes[i]);
            assert_non_null(ptr);
            assert_int_equal((uintptr_t)ptr % align, 0);
            bool fits = sizes[i] == 2 * MIB ? align <= 2 * MIB : align <= 128 * KIB;
            assert_int_equal(lgalloc_owns(ptr), sizes[i] >= 64 * KIB && fits);
            expected += sizes[i] >= 64 * KIB && !fits;
            fill(ptr, sizes[i]);
            assert_true(is_filled(ptr, sizes[i]));
            lgalloc_any_free(ptr);
        }
    }
    assert_int_equal(test_global().heap_fallbacks, expected);
    static const size_t none[] = {0, 3, 48, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(none); i++) {
        errno = 0;
        assert_null(lgalloc_any_aligned(none[i], 100));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_null(lgalloc_any_aligned(none[i], MIB));
        assert_int_equal(errno, EINVAL);
    }
}

/* ---------------------------------------------------------------- realloc */

static void across_the_border(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,   100,      64 * KIB - 1, 64 * KIB, 100, 5 * MIB, 3 * MIB,  65537,   60000,
                                   MIB, 33 * MIB, 65 * MIB,     10,       MIB, 40000,   64 * KIB, 50 * KIB};
    unsigned char *ptr = lgalloc_any_malloc(sizes[0]);
    assert_non_null(ptr);
    fill(ptr, sizes[0]);
    for (size_t i = 1; i < TEST_COUNT(sizes); i++) {
        ptr = lgalloc_any_realloc(ptr, sizes[i]);
        assert_non_null(ptr);
        assert_int_equal(lgalloc_owns(ptr), sizes[i] >= 64 * KIB);
        assert_true(lgalloc_any_usable_size(ptr) >= sizes[i]);
        assert_true(is_filled(ptr, sizes[i] < sizes[i - 1] ? sizes[i] : sizes[i - 1]));
        fill(ptr, sizes[i]);
    }
    assert_int_equal(test_global().in_use_bytes, 0);
    lgalloc_any_free(ptr);
}

static void size_zero_frees(void **state)
{
    (void)state;
    errno = 4711;
    assert_null(lgalloc_any_realloc(lgalloc_any_malloc(MIB), 0));
    assert_null(lgalloc_any_realloc(lgalloc_any_malloc(100), 0));
    assert_int_equal(errno, 4711);
    assert_int_equal(test_global().in_use_bytes, 0);
}

/* If there is no region the heap takes over, and a block that was a region moves there. */
static void to_the_heap_while_disabled(void **state)
{
    (void)state;
    unsigned char *ptr = lgalloc_any_malloc(MIB);
    unsigned char *same = lgalloc_any_malloc(MIB);
    assert_non_null(ptr);
    assert_non_null(same);
    fill(ptr, MIB);
    set_enabled(false);
    uint64_t fallbacks = test_global().heap_fallbacks;
    errno = 4711;
    ptr = lgalloc_any_realloc(ptr, 2 * MIB);
    assert_non_null(ptr);
    assert_int_equal(errno, 4711);
    assert_false(lgalloc_owns(ptr));
    assert_true(is_filled(ptr, MIB));
    assert_int_equal(test_global().heap_fallbacks, fallbacks + 1);
    assert_ptr_equal(lgalloc_any_realloc(same, 600 * KIB), same);
    lgalloc_any_free(same);
    set_enabled(true);
    /* And back. */
    ptr = lgalloc_any_realloc(ptr, 3 * MIB);
    assert_non_null(ptr);
    assert_true(lgalloc_owns(ptr));
    assert_true(is_filled(ptr, MIB));
    lgalloc_any_free(ptr);
}

static void limit_stays_a_limit(void **state)
{
    (void)state;
    unsigned char *small = lgalloc_any_malloc(100);
    assert_non_null(small);
    fill(small, 100);
    test_set_limit(4 * MIB);
    uint64_t fallbacks = test_global().heap_fallbacks;
    unsigned char *ptr = lgalloc_any_malloc(4 * MIB);
    assert_non_null(ptr);
    fill(ptr, 4 * MIB);
    void *blocks[] = {ptr, small};
    for (size_t i = 0; i < TEST_COUNT(blocks); i++) {
        errno = 0;
        assert_null(lgalloc_any_realloc(blocks[i], 8 * MIB));
        assert_int_equal(errno, ENOMEM);
    }
    errno = 0;
    assert_null(lgalloc_any_malloc(64 * KIB));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_calloc(1, 64 * KIB));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(lgalloc_any_aligned(16, 64 * KIB));
    assert_int_equal(errno, ENOMEM);
    assert_true(is_filled(ptr, 4 * MIB));
    assert_true(is_filled(small, 100));
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
    void *below = lgalloc_any_malloc(64 * KIB - 1); /* the limit is for regions */
    assert_non_null(below);
    lgalloc_any_free(below);
    lgalloc_any_free(ptr);
    lgalloc_any_free(small);
    test_set_limit(0);
}

static void heap_without_a_directory(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, dir), LGALLOC_STATUS_OK);
    test_apply(config);
    test_dir_drop(dir);
    uint64_t fallbacks = test_global().heap_fallbacks;
    errno = 4711;
    void *ptr = lgalloc_any_malloc(8 * MIB);
    assert_non_null(ptr);
    assert_int_equal(errno, 4711);
    assert_false(lgalloc_owns(ptr));
    assert_int_equal(test_global().heap_fallbacks, fallbacks + 1);
    lgalloc_any_free(ptr);
}

/* ---------------------------------------------------------------- errno, misuse, fork */

static void freeing_keeps_errno(void **state)
{
    (void)state;
    void *many[64];
    for (size_t i = 0; i < TEST_COUNT(many); i++) {
        many[i] = lgalloc_any_malloc(i % 2 == 0 ? MIB : 200);
        assert_non_null(many[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(many); i++) {
        errno = 4711;
        lgalloc_any_free(many[i]);
        assert_int_equal(errno, 4711);
    }
}

static void free_twice(void *arg)
{
    (void)arg;
    void *ptr = lgalloc_any_malloc(MIB);
    lgalloc_any_free(ptr);
    lgalloc_any_free(ptr);
}

static void resize_what_is_free(void *arg)
{
    void *ptr = lgalloc_any_malloc(MIB);
    lgalloc_any_free(ptr);
    (void)!lgalloc_any_realloc(ptr, *(const size_t *)arg);
}

static void free_inside(void *arg)
{
    (void)arg;
    lgalloc_any_free((char *)lgalloc_any_malloc(MIB) + 64);
}

static void misuse_aborts(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 2 * MIB};
    struct test_child child;
    test_child_aborts(free_twice, NULL, &child);
    assert_non_null(strstr(child.errors, "lgalloc: double free: the region at "));
    test_child_aborts(free_inside, NULL, &child);
    assert_non_null(strstr(child.errors, " points inside the region at "));
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        test_child_aborts(resize_what_is_free, (void *)(uintptr_t)&sizes[i], &child);
        assert_non_null(strstr(child.errors, "lgalloc: double free: the region at "));
    }
}

static void child_lost_it(void *arg)
{
    static const size_t sizes[] = {100, MIB, 2 * MIB};
    TEST_REQUIRE(lgalloc_any_usable_size(arg) == 0);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        errno = 0;
        TEST_REQUIRE(lgalloc_any_realloc(arg, sizes[i]) == NULL && errno == EFAULT);
    }
    lgalloc_any_free(arg); /* does nothing */
    void *other = lgalloc_any_malloc(MIB);
    TEST_REQUIRE(other != NULL);
    lgalloc_any_free(other);
}

static void child_goes_on(void *arg)
{
    unsigned char *ptr = lgalloc_any_realloc(arg, 100);
    TEST_REQUIRE(ptr != NULL && is_filled(ptr, 100));
    ptr = lgalloc_any_realloc(ptr, 2 * MIB);
    TEST_REQUIRE(ptr != NULL && is_filled(ptr, 100));
    lgalloc_any_free(ptr);
}

static void in_a_child(void **state)
{
    unsigned char *ptr = lgalloc_any_malloc(MIB);
    assert_non_null(ptr);
    fill(ptr, MIB);
    test_child_succeeds(test_backing(state) == LGALLOC_BACKING_FILE ? child_lost_it : child_goes_on, ptr);
    assert_true(is_filled(ptr, MIB));
    lgalloc_any_free(ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_while_disabled), /* the first: it sees a process that has configured nothing */
        TEST_BOTH(sides),
        TEST_BOTH(of_one_kind_with_both),
        TEST_BOTH(no_size_is_beyond),
        TEST_BOTH(any_power_of_two),
        TEST_BOTH(across_the_border),
        TEST_BOTH(size_zero_frees),
        TEST_BOTH(to_the_heap_while_disabled),
        TEST_BOTH(limit_stays_a_limit),
        TEST_FILE(heap_without_a_directory),
        TEST_BOTH(freeing_keeps_errno),
        TEST_BOTH(misuse_aborts),
        TEST_BOTH(in_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
