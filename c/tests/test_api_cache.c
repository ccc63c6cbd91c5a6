/* The caches of threads: what they hold, and what becomes of the regions that leave them. */

#include "support.h"

#include <string.h>

static void local_buffer_bytes(void **state)
{
    (void)state;
    test_set_local_buffer(8 * MIB);
    test_churn(16, 2 * MIB);
    lgalloc_size_class_stats s = test_class(2 * MIB);
    assert_in_range(s.thread_regions, 1, 4);
    assert_true(s.global_regions >= 12);
    test_churn(1, 16 * MIB); /* does not fit at all */
    assert_int_equal(test_class(16 * MIB).thread_regions, 0);

    /* Less at run time: the next regions freed keep to it. */
    test_set_local_buffer(4 * MIB);
    test_churn(16, 2 * MIB);
    assert_in_range(test_class(2 * MIB).thread_regions, 0, 2);
    test_set_local_buffer(0);
    test_churn(16, 2 * MIB);
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);

    /* More: also bounded by a count. */
    test_set_local_buffer(SIZE_MAX);
    test_churn(1500, 64 * KIB);
    assert_in_range(test_class(64 * KIB).thread_regions, 1, 1024);
    test_assert_equations();
}

static void thread_flush(void **state)
{
    (void)state;
    test_churn(8, 2 * MIB);
    size_t cached = test_class(2 * MIB).thread_regions;
    assert_true(cached >= 8);
    size_t dirty = test_global().dirty_bytes;
    lgalloc_thread_flush();
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    assert_in_range(test_global().dirty_bytes, 16 * MIB, dirty); /* those it never handed out are clean again */
    assert_true(test_class(2 * MIB).global_regions >= 8);
    lgalloc_thread_flush();
    test_assert_equations();
}

static void eager_return(void **state)
{
    (void)state;
    uint64_t eager = test_class(2 * MIB).clear_eager_total;
    lgalloc_config *config = test_config();
    lgalloc_config_eager_return(config, true);
    lgalloc_config_local_buffer_bytes(config, 4 * MIB);
    test_apply(config);
    lgalloc_handle handles[8];
    test_take_all(handles, 8, 2 * MIB);
    for (size_t i = 0; i < 8; i++) {
        memset(handles[i].ptr, 1, handles[i].len);
    }
    test_free_all(handles, 8);
    lgalloc_size_class_stats s = test_class(2 * MIB);
    assert_int_equal(s.global_regions, 0); /* what left the cache is clean */
    assert_in_range(s.thread_regions, 0, 2);
    assert_true(s.clear_eager_total >= eager + 6);
    lgalloc_thread_flush();
    assert_int_equal(test_class(2 * MIB).global_regions, 0);
    assert_int_equal(test_global().dirty_bytes, 0);
}

static void idle_bytes(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_idle_bytes(config, 4 * MIB);
    lgalloc_config_local_buffer_bytes(config, 0);
    test_apply(config);
    lgalloc_handle handles[8];
    test_take_all(handles, 8, 2 * MIB);
    test_free_all(handles, 8);
    assert_true(test_global().dirty_bytes <= 4 * MIB);
    assert_true(test_class(2 * MIB).clean_regions >= 6);

    /* Over all size classes together. */
    test_churn(4, MIB);
    test_churn(4, 4 * MIB);
    assert_true(test_global().dirty_bytes <= 4 * MIB);

    /* The bound is on the shared pools: caches come on top, until they are flushed. */
    test_set_local_buffer(32 * MIB);
    test_churn(8, 2 * MIB);
    assert_true(test_global().dirty_bytes > 4 * MIB);
    lgalloc_thread_flush();
    assert_true(test_global().dirty_bytes <= 4 * MIB);
    test_assert_equations();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(local_buffer_bytes),
        TEST_BOTH(thread_flush),
        TEST_BOTH(eager_return),
        TEST_BOTH(idle_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
