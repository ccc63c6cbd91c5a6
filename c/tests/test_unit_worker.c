/* The worker's ticks, called one by one, and its orders. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { CACHED = 6 };

static void tick(void)
{
    lg_worker_tick(NULL);
}

static void caches_some(void *arg)
{
    test_churn(CACHED, MIB);
}

static void works_a_little(void *arg)
{
    lgalloc_deallocate(test_take(MIB));
}

static void find_record(void *arg)
{
    *(lg_thread **)arg = lg_self();
}

static void idle_threads_are_drained(void **state)
{
    lg_class *c = unit_class(MIB);
    struct test_actor idle, busy;
    lg_thread *idle_record = NULL;
    lg_thread *busy_record = NULL;
    (void)unit_self();
    lgalloc_thread_flush();
    test_actor_start(&idle);
    test_actor_start(&busy);
    test_actor_call(&idle, caches_some, NULL);
    test_actor_call(&busy, caches_some, NULL);
    test_actor_call(&idle, find_record, &idle_record);
    test_actor_call(&busy, find_record, &busy_record);
    uint64_t cached = unit_cached(idle_record, c);
    uint64_t kept = unit_cached(busy_record, c);
    assert_true(cached != 0 && kept != 0);

    /* The first tick only notes that they did something. */
    tick();
    assert_int_equal(unit_cached(idle_record, c), cached);
    assert_int_equal(unit_cached(busy_record, c), kept);
    for (size_t i = 0; i < 5; i++) {
        test_actor_call(&busy, works_a_little, NULL);
        tick();
        assert_int_equal(unit_cached(idle_record, c), 0);
        assert_int_equal(unit_cached(busy_record, c), kept);
        unit_assert_sound(false);
    }
    /* A thread that rests is idle from the next tick on; one that works again caches again. */
    test_actor_call(&idle, caches_some, NULL);
    tick();
    assert_int_not_equal(unit_cached(idle_record, c), 0);
    assert_int_equal(unit_cached(busy_record, c), 0);
    tick();
    assert_int_equal(unit_cached(idle_record, c), 0);
    test_actor_stop(&idle);
    test_actor_stop(&busy);
}

/* Busy in one class is not busy in another. */
static void each_class_by_itself(void **state)
{
    lg_class *c = unit_class(2 * MIB);
    lg_thread *own = unit_self();
    test_churn(4, 2 * MIB);
    tick();
    works_a_little(NULL);
    assert_int_not_equal(unit_cached(own, c), 0);
    tick();
    assert_int_equal(unit_cached(own, c), 0);
    assert_int_not_equal(unit_cached(own, unit_class(MIB)), 0);
}

static void clears_within_its_budget(void **state)
{
    lg_class *c = unit_class(MIB);
    static const struct {
        size_t batch, bytes, cleared;
    } cases[] = {{3, 0, 3}, {0, 5 * MIB, 5}, {0, 1, 1}, {4, 2 * MIB, 2}, {2, 4 * MIB, 2}, {0, 0, 20}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        lgalloc_handle used = test_take(MIB); /* keeps what is dirty of this size */
        unit_make_dirty(20, MIB);
        unit_make_dirty(2, 2 * MIB);
        test_set_background(0, cases[i].batch, cases[i].bytes);
        uint64_t dirty = unit_dirty(c);
        uint64_t other = unit_dirty(unit_class(2 * MIB));
        assert_true(dirty == 20 && other == 2);
        tick();
        assert_int_equal(unit_dirty(c), dirty - cases[i].cleared);
        /* The budget is each class's own. */
        assert_true(unit_dirty(unit_class(2 * MIB)) < other);
        unit_assert_sound(false);
        lgalloc_deallocate(used);
        (void)lgalloc_purge();
    }
}

static void releases_what_stays_unused(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_config *config = test_config();
    lgalloc_config_release_ticks(config, 4);
    test_apply(config);
    lgalloc_handle used = test_take(2 * MIB);
    unit_make_dirty(10, MIB);
    uint64_t released = test_class(MIB).areas_released;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(lg_area_count(c), 1);
        tick();
    }
    assert_int_equal(lg_area_count(c), 0);
    assert_int_equal(test_class(MIB).areas_released, released + 1);
    for (unsigned i = 0; i < 10; i++) {
        tick();
    }
    assert_int_equal(lg_area_count(unit_class(2 * MIB)), 1);
    lgalloc_deallocate(used);
}

/* A tick with nothing to do asks the system for nothing. */
static void quiet_ticks(void **state)
{
    lgalloc_config *config = test_config();
    lgalloc_config_release_ticks(config, 0);
    test_apply(config);
    lgalloc_handle used = test_take(MIB);
    lgalloc_thread_flush();
    tick();
    tick();
    unit_fault_watch();
    for (unsigned i = 0; i < 100; i++) {
        tick();
    }
    for (unsigned i = 0; i < LG_SYS_COUNT; i++) {
        assert_int_equal(unit_fault_seen((enum lg_system_call)i), 0);
    }
    lgalloc_deallocate(used);
}

/* A system that can't clear is asked less and less often. */
static void hopeless_calls_become_rare(void **state)
{
    enum lg_system_call call = test_backing(state) == LGALLOC_BACKING_FILE ? LG_SYS_ADVISE_REMOVE
                                                                           : LG_SYS_ADVISE_DISCARD;
    lgalloc_config *config = test_config();
    lgalloc_config_release_ticks(config, 0);
    test_apply(config);
    unit_make_dirty(10, MIB);
    lgalloc_handle used = test_take(MIB);
    lgalloc_thread_flush();
    unit_fault_arm((uint64_t)1 << call, 0, UNIT_FOREVER, EOPNOTSUPP);
    for (unsigned i = 0; i < 1000; i++) {
        tick();
    }
    assert_in_range(unit_fault_hits((uint64_t)1 << call), 5, 12);
    unit_fault_off();
    unit_assert_sound(false);
    lgalloc_deallocate(used);
}

/* ---------------------------------------------------------------- orders */

static bool no_dirty_left(void *arg)
{
    return lg_pool_dirty_bytes() == 0 && test_class(MIB).thread_regions == 0;
}

static bool worker_is_there(void *arg)
{
    return test_threads_named("lgalloc-0") == 1;
}

static void starts_and_stops(void **state)
{
    for (size_t i = 0; i < 5; i++) {
        test_churn(10, MIB);
        test_set_background(1000000, 0, 0);
        assert_true(test_eventually(worker_is_there, NULL));
        assert_true(test_eventually(no_dirty_left, NULL));
        /* Reconfigured while it runs: still one. */
        test_set_background(2000000, 5, MIB);
        assert_int_equal(test_threads_named("lgalloc-0"), 1);
        test_set_background(0, 0, 0);
        assert_int_equal(test_threads_named("lgalloc-0"), 0);
        unit_assert_sound(false);
    }
    /* An interval longer than anybody lives can be taken back at once. */
    test_set_background(UINT64_MAX, 0, 0);
    assert_true(test_eventually(worker_is_there, NULL));
    test_set_background(0, 0, 0);
    assert_int_equal(test_threads_named("lgalloc-0"), 0);
    test_set_background(0, 0, 0);
}

/* All or nothing: where the worker can't start nothing else changes either. */
static void refused_a_thread(void **state)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, 1000000, 7, 8 * MIB);
    lgalloc_config_limit_bytes(config, 123 * MIB);
    lgalloc_config_idle_bytes(config, 456);
    unit_fault_arm(UNIT_CALL(THREAD), 0, UNIT_FOREVER, EAGAIN);
    for (size_t i = 0; i < 2; i++) {
        errno = 0;
        assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(LG_OPTION(interval_ns), 0);
        assert_int_equal(LG_OPTION(batch), 0);
        assert_int_equal(LG_OPTION(clear_bytes), 0);
        assert_int_equal(LG_OPTION(limit_bytes), 0);
        assert_true(LG_OPTION(idle_bytes) == SIZE_MAX);
        assert_int_equal(test_threads_named("lgalloc-0"), 0);
    }
    unit_fault_off();
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK);
    assert_int_equal(LG_OPTION(limit_bytes), 123 * MIB);
    assert_true(test_eventually(worker_is_there, NULL));
    lgalloc_config_free(config);
}

static void *orders(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (size_t i = 0; i < test_scale(100, 10); i++) {
        uint64_t r = test_random(&random);
        test_set_background(r % 3 == 0 ? 0 : 100000 + r % 1000000, r % 10, 0);
        works_a_little(NULL);
    }
    return NULL;
}

static void orders_from_many_threads(void **state)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], orders, (void *)i);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    test_set_background(1000000, 0, 0);
    assert_true(test_eventually(worker_is_there, NULL));
    test_set_background(0, 0, 0);
    assert_int_equal(test_threads_named("lgalloc-0"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(idle_threads_are_drained),
        UNIT_ANONYMOUS(each_class_by_itself),
        UNIT_BOTH(clears_within_its_budget),
        UNIT_BOTH(releases_what_stays_unused),
        UNIT_ANONYMOUS(quiet_ticks),
        UNIT_BOTH(hopeless_calls_become_rare),
        UNIT_BOTH(starts_and_stops),
        UNIT_ANONYMOUS(refused_a_thread),
        UNIT_ANONYMOUS(orders_from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
