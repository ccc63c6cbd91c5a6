/* Locks know their rank: what could deadlock aborts at once, whether or not it would have this time. */

#include "internal.h"

#include <string.h>
#include <time.h>

static lg_lock low, high, same;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static int setup(void **state)
{
    lg_lock_init(&low, LG_RANK_ARENA);
    lg_lock_init(&same, LG_RANK_ARENA);
    lg_lock_init(&high, LG_RANK_PATH);
    return 0;
}

static void takes_them_in_order(void *arg)
{
    for (int i = 0; i < 2; i++) {
        lg_lock_acquire(&low);
        TEST_REQUIRE(lg_lock_held(LG_RANK_ARENA) && !lg_lock_held(LG_RANK_PATH));
        lg_lock_acquire(&high);
        TEST_REQUIRE(lg_lock_held(LG_RANK_ARENA) && lg_lock_held(LG_RANK_PATH));
        /* Released in any order. */
        lg_lock_release(i == 0 ? &low : &high);
        TEST_REQUIRE(lg_lock_held(LG_RANK_ARENA) == (i == 1));
        lg_lock_release(i == 0 ? &high : &low);
        TEST_REQUIRE(!lg_lock_held(LG_RANK_ARENA) && !lg_lock_held(LG_RANK_PATH));
    }
}

static void takes_them_out_of_order(void *arg)
{
    lg_lock_acquire(&high);
    lg_lock_acquire(&low);
}

static void takes_two_of_a_rank(void *arg)
{
    lg_lock_acquire(&low);
    lg_lock_acquire(&same);
}

static void takes_one_twice(void *arg)
{
    lg_lock_acquire(&low);
    lg_lock_acquire(&low);
}

static void releases_what_it_does_not_hold(void *arg)
{
    lg_lock_release(&low);
}

static void ranks_out_of_order_abort(void **state)
{
    static void (*const wrong[])(void *) = {takes_them_out_of_order, takes_two_of_a_rank, takes_one_twice,
                                            releases_what_it_does_not_hold};
    test_child_succeeds(takes_them_in_order, NULL);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        struct test_child child;
        test_child_aborts(wrong[i], NULL, &child);
        assert_non_null(strstr(child.errors, "lgalloc: internal check failed: "));
    }
}

static void the_arena_is_below_the_path(void **state)
{
    /* A configured path is looked up with the arena's lock held. */
    assert_true(LG_RANK_PATH > LG_RANK_ARENA);
    assert_true(LG_RANK_METADATA > LG_RANK_PATH);
    assert_true(LG_RANK_COUNT <= 64);
    assert_int_equal(lg_init(), 0);
    lg_lock_acquire(&lg_arena_lock);
    assert_true(lg_lock_held(LG_RANK_ARENA));
    lg_lock_release(&lg_arena_lock);
    assert_false(lg_lock_held(LG_RANK_ARENA));
}

static void *takes_the_low_one(void *arg)
{
    lg_lock_acquire(&low);
    TEST_REQUIRE(lg_lock_held(LG_RANK_ARENA) && !lg_lock_held(LG_RANK_PATH));
    lg_lock_release(&low);
    return NULL;
}

static void ranks_are_each_threads_own(void **state)
{
    lg_lock_acquire(&high);
    pthread_t thread;
    test_spawn(&thread, takes_the_low_one, NULL);
    test_join(thread);
    assert_true(lg_lock_held(LG_RANK_PATH));
    lg_lock_release(&high);
}

static void waiting_ends_in_time(void **state)
{
    pthread_condattr_t attributes;
    assert_int_equal(pthread_condattr_init(&attributes), 0);
    assert_int_equal(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), 0);
    assert_int_equal(pthread_cond_init(&changed, &attributes), 0);
    struct timespec deadline, now;
    lg_os_monotonic_after(20 * 1000 * 1000, &deadline);
    lg_lock_acquire(&low);
    do { /* it may wake early */
        lg_lock_wait(&low, &changed, &deadline);
        assert_true(lg_lock_held(LG_RANK_ARENA));
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < deadline.tv_sec || (now.tv_sec == deadline.tv_sec && now.tv_nsec < deadline.tv_nsec));
    lg_lock_release(&low);
    pthread_cond_destroy(&changed);
    pthread_condattr_destroy(&attributes);
}

static void moments_ahead(void **state)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    lg_os_monotonic_after(1999999999, &after);
    assert_true(after.tv_nsec >= 0 && after.tv_nsec < 1000000000);
    int64_t ahead = (int64_t)(after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_true(ahead >= 1999999999 && ahead < INT64_C(60000000000));
    /* The longest interval that can be asked for is a moment that exists. */
    lg_os_monotonic_after(UINT64_MAX, &after);
    assert_true(after.tv_sec > before.tv_sec);
    assert_true(after.tv_nsec >= 0 && after.tv_nsec < 1000000000);
}

static uint64_t shared; /* protected by `low` */

static void *adds(void *arg)
{
    for (size_t i = 0; i < 20000; i++) {
        lg_lock_acquire(&low);
        shared++;
        lg_lock_release(&low);
    }
    return NULL;
}

static void one_at_a_time(void **state)
{
    pthread_t threads[4];
    shared = 0;
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], adds, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    assert_int_equal(shared, 20000 * TEST_COUNT(threads));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ranks_out_of_order_abort, setup),
        cmocka_unit_test_setup(the_arena_is_below_the_path, setup),
        cmocka_unit_test_setup(ranks_are_each_threads_own, setup),
        cmocka_unit_test_setup(waiting_ends_in_time, setup),
        cmocka_unit_test_setup(moments_ahead, setup),
        cmocka_unit_test_setup(one_at_a_time, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
