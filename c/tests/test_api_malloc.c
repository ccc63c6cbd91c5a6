/* malloc, calloc, free and free_sized: sizes, what errno says, zeros, and that they and handles are of one kind. */

#include "support.h"

#include <errno.h>
#include <string.h>

/* errno after an allocation that must fail; it starts from a value that none leaves. */
static int refused(void *(*allocate)(size_t size), size_t size)
{
    errno = 4711;
    void *ptr = allocate(size);
    assert_null(ptr);
    return errno;
}

static void *zeroed(size_t size)
{
    return lgalloc_calloc(1, size);
}

/* ---------------------------------------------------------------- before anything is configured */

static void refused_while_disabled(void **state)
{
    (void)state;
    assert_int_equal(refused(lgalloc_malloc, 2 * MIB), EPERM);
    assert_int_equal(refused(zeroed, 2 * MIB), EPERM);
    assert_int_equal(refused(lgalloc_malloc, 1), EINVAL);
    errno = 4711;
    lgalloc_free(NULL);
    lgalloc_free_sized(NULL, 0);
    lgalloc_free_sized(NULL, 2 * MIB);
    assert_int_equal(errno, 4711);
    assert_int_equal(test_global().reserved_address_bytes, 0);
}

static void refused_without_a_path(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_enable(config);
    test_apply(config);
    assert_int_equal(refused(lgalloc_malloc, 2 * MIB), ENOENT);
    assert_int_equal(refused(zeroed, 2 * MIB), ENOENT);
}

/* ---------------------------------------------------------------- sizes */

static void sizes(void **state)
{
    (void)state;
    static const struct {
        size_t size, len;
    } rows[] = {{32769, 64 * KIB},  {64 * KIB, 64 * KIB}, {64 * KIB + 1, 128 * KIB}, {MIB, MIB},
                {MIB + 1, 2 * MIB}, {3 * MIB, 4 * MIB},   {32 * MIB, 32 * MIB}};
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        for (int way = 0; way < 3; way++) {
            void *ptr = lgalloc_malloc(rows[i].size);
            assert_non_null(ptr);
            assert_int_equal((uintptr_t)ptr % rows[i].len, 0);
            assert_int_equal(test_class(rows[i].len).in_use_regions, 1);
            test_mark((lgalloc_handle){ptr, rows[i].len}, i);
            assert_true(test_marked((lgalloc_handle){ptr, rows[i].len}, i));
            if (way == 0) {
                lgalloc_free(ptr);
            } else { /* what was asked for, or all there is */
                lgalloc_free_sized(ptr, way == 1 ? rows[i].size : rows[i].len);
            }
            assert_int_equal(test_class(rows[i].len).in_use_regions, 0);
        }
    }
}

static void sizes_that_have_no_class(void **state)
{
    (void)state;
    static const size_t none[] = {0, 1, 4096, 32 * KIB, 64 * GIB + 1, (size_t)1 << 63, ((size_t)1 << 63) + 1, SIZE_MAX};
    for (size_t i = 0; i < TEST_COUNT(none); i++) {
        assert_int_equal(refused(lgalloc_malloc, none[i]), EINVAL);
        assert_int_equal(refused(zeroed, none[i]), EINVAL);
    }
    errno = 0;
    assert_null(lgalloc_calloc(SIZE_MAX / 2 + 1, 2));
    assert_int_equal(errno, EINVAL);
    assert_null(lgalloc_calloc(0, MIB));
    assert_null(lgalloc_calloc(MIB, 0));
    assert_int_equal(test_global().in_use_bytes, 0);
}

static void no_more_below_the_limit(void **state)
{
    (void)state;
    test_set_limit(4 * MIB);
    void *ptr = lgalloc_malloc(4 * MIB);
    assert_non_null(ptr);
    assert_int_equal(refused(lgalloc_malloc, 64 * KIB), ENOMEM);
    assert_int_equal(refused(zeroed, 64 * KIB), ENOMEM);
    lgalloc_free(ptr);
    ptr = lgalloc_malloc(64 * KIB);
    assert_non_null(ptr);
    lgalloc_free(ptr);
    test_set_limit(0);
}

/* ---------------------------------------------------------------- contents, errno, handles */

static void zeros(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        unsigned char *ptr = lgalloc_calloc(1000, 1000);
        assert_non_null(ptr);
        assert_true(test_filled(ptr, MIB, 0));
        memset(ptr, 0xab, MIB); /* dirty for the next one */
        lgalloc_free_sized(ptr, 1000 * 1000);
        if (round == 1) {
            lgalloc_thread_flush();
        } else if (round == 2) {
            assert_true(lgalloc_purge() > 0);
        }
    }
}

static void freeing_keeps_errno(void **state)
{
    (void)state;
    void *many[64];
    for (size_t i = 0; i < TEST_COUNT(many); i++) {
        many[i] = lgalloc_malloc(MIB);
        assert_non_null(many[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(many); i++) {
        errno = 4711; /* more than the cache holds */
        if (i % 2 == 0) {
            lgalloc_free(many[i]);
        } else {
            lgalloc_free_sized(many[i], MIB);
        }
        assert_int_equal(errno, 4711);
    }
}

/* What one kind allocates the other frees. */
static void of_one_kind_with_handles(void **state)
{
    (void)state;
    void *ptr = lgalloc_malloc(2 * MIB);
    assert_non_null(ptr);
    lgalloc_handle handle = {ptr, 2 * MIB};
    assert_int_equal(lgalloc_discard(handle, 0, 2 * MIB), LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
    handle = test_take(2 * MIB);
    assert_ptr_equal(handle.ptr, ptr); /* hot memory comes first */
    lgalloc_free(handle.ptr);
    ptr = lgalloc_malloc(2 * MIB);
    assert_ptr_equal(ptr, handle.ptr);
    lgalloc_free_sized(ptr, 2 * MIB);
    lgalloc_size_class_stats stats = test_class(2 * MIB);
    assert_int_equal(stats.allocations - stats.deallocations, 0);
}

/* More than a cache holds: to the pool and back, all distinct. */
static void more_than_a_cache_holds(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static void *many[MANY];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            many[i] = lgalloc_malloc(MIB);
            assert_non_null(many[i]);
            memcpy(many[i], &i, sizeof i);
        }
        for (size_t i = 0; i < MANY; i++) {
            assert_memory_equal(many[i], &i, sizeof i);
            lgalloc_free(many[i]);
        }
    }
}

static void *free_elsewhere(void *ptr)
{
    lgalloc_free(ptr);
    return NULL;
}

static void freed_by_a_thread_without_a_cache(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        void *ptr = lgalloc_malloc(2 * MIB);
        assert_non_null(ptr);
        pthread_t thread;
        test_spawn(&thread, free_elsewhere, ptr);
        test_join(thread);
    }
    test_assert_equations();
}

static void with_reserved_blocks(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_reserve_blocks(config, true);
    test_apply(config);
    void *ptr = lgalloc_malloc(MIB);
    assert_non_null(ptr);
    lgalloc_free(ptr);
    unsigned char *zero = lgalloc_calloc(1, MIB);
    assert_non_null(zero);
    assert_true(test_filled(zero, MIB, 0));
    lgalloc_free(zero);
}

static void freed_while_disabled(void **state)
{
    (void)state;
    void *ptr = lgalloc_malloc(MIB);
    void *other = lgalloc_malloc(MIB);
    assert_non_null(ptr);
    assert_non_null(other);
    lgalloc_config *config = test_config();
    lgalloc_config_disable(config);
    test_apply(config);
    assert_int_equal(refused(lgalloc_malloc, MIB), EPERM);
    lgalloc_free(ptr);
    lgalloc_free_sized(other, MIB);
    assert_int_equal(test_class(MIB).in_use_regions, 0);
    config = test_config();
    lgalloc_config_enable(config);
    test_apply(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* In this order: the first two see a process that has configured nothing. */
        cmocka_unit_test(refused_while_disabled),
        cmocka_unit_test(refused_without_a_path),
        TEST_BOTH(sizes),
        TEST_BOTH(sizes_that_have_no_class),
        TEST_BOTH(no_more_below_the_limit),
        TEST_BOTH(zeros),
        TEST_BOTH(freeing_keeps_errno),
        TEST_BOTH(of_one_kind_with_handles),
        TEST_BOTH(more_than_a_cache_holds),
        TEST_BOTH(freed_by_a_thread_without_a_cache),
        TEST_BOTH(with_reserved_blocks),
        TEST_BOTH(freed_while_disabled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
