/*
 * Memory for exactly as many regions as there are threads, each of which has one at a time: whoever asks must
 * get one, whatever the others are doing, since there always is one that is free. And never more than that.
 */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

static size_t threads_count;
static size_t operations;
static bool with_flushes;
static atomic_int in_use;
static atomic_bool over;

static void *takes_and_frees(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (size_t i = 0; i < operations; i++) {
        lgalloc_handle handle;
        lgalloc_status status = lgalloc_allocate(MIB, 1, 1, NULL, NULL, &handle);
        TEST_REQUIRE(status == LGALLOC_STATUS_OK);
        TEST_REQUIRE(atomic_fetch_add(&in_use, 1) < (int)threads_count);
        *(volatile uint64_t *)handle.ptr = random;
        TEST_REQUIRE(lg_charged() <= threads_count * MIB);
        TEST_REQUIRE(*(volatile uint64_t *)handle.ptr == random);
        atomic_fetch_sub(&in_use, 1);
        lgalloc_deallocate(handle);
        if (with_flushes && test_random(&random) % 4 == 0) {
            lgalloc_thread_flush();
        }
    }
    return NULL;
}

static void *purges(void *arg)
{
    while (!atomic_load(&over)) {
        (void)lgalloc_purge();
    }
    return NULL;
}

static void run(size_t count, size_t each, bool purging)
{
    threads_count = count;
    operations = each;
    atomic_store(&over, false);
    test_set_limit(count * MIB);
    uint64_t failures = test_global().limit_failures;
    pthread_t threads[8], purger;
    TEST_REQUIRE(count <= TEST_COUNT(threads));
    if (purging) {
        test_spawn(&purger, purges, NULL);
    }
    for (uintptr_t i = 0; i < count; i++) {
        test_spawn(&threads[i], takes_and_frees, (void *)(i + 1));
    }
    for (size_t i = 0; i < count; i++) {
        test_join(threads[i]);
    }
    if (purging) {
        atomic_store(&over, true);
        test_join(purger);
    }
    test_set_background(0, 0, 0); /* the verifier looks at a quiet moment */
    assert_int_equal(test_global().limit_failures, failures);
    unit_assert_sound(false);
    /* With all of it in use there is no more; with one given back there is. */
    lgalloc_handle handles[8];
    lgalloc_handle more;
    test_take_all(handles, count, MIB);
    assert_int_equal(lgalloc_allocate(MIB, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
    lgalloc_deallocate(handles[0]);
    handles[0] = test_take(MIB);
    test_free_all(handles, count);
    test_set_limit(0);
    (void)lgalloc_purge();
}

static void one_each(void **state)
{
    with_flushes = false;
    for (size_t count = 2; count <= 8; count += 2) {
        run(count, test_scale(20000, 300), false);
    }
}

static void one_each_without_caches(void **state)
{
    with_flushes = false;
    test_set_local_buffer(0);
    run(4, test_scale(4000, 200), false);
}

static void one_each_with_flushes(void **state)
{
    with_flushes = true;
    run(4, test_scale(4000, 200), false);
}

static void one_each_while_it_is_purged(void **state)
{
    with_flushes = true;
    run(4, test_scale(600, 50), true);
}

static void one_each_with_the_worker(void **state)
{
    with_flushes = true;
    test_set_background(50000, 0, 0);
    run(4, test_scale(2000, 100), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(one_each),
        UNIT_BOTH(one_each_without_caches),
        UNIT_BOTH(one_each_with_flushes),
        UNIT_BOTH(one_each_while_it_is_purged),
        UNIT_BOTH(one_each_with_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
