/* Caches of threads: handing over, stealing, threads that end, and threads that sleep on memory. */

#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- what actors do */

struct batch {
    size_t bytes;
    size_t count;
    lgalloc_handle handles[64];
};

static void take_batch(void *arg)
{
    struct batch *batch = arg;
    test_take_all(batch->handles, batch->count, batch->bytes);
    for (size_t i = 0; i < batch->count; i++) {
        test_mark(batch->handles[i], i);
    }
}

static void free_batch(void *arg)
{
    struct batch *batch = arg;
    for (size_t i = 0; i < batch->count; i++) {
        TEST_REQUIRE(test_marked(batch->handles[i], i));
    }
    test_free_all(batch->handles, batch->count);
}

static void cache_batch(void *arg)
{
    take_batch(arg);
    free_batch(arg);
}

static void drop_region(void *arg)
{
    lgalloc_region_drop(arg);
}

/* ---------------------------------------------------------------- handing over */

static void free_on_another_thread(void **state)
{
    (void)state;
    struct test_actor first;
    struct test_actor second;
    test_actor_start(&first);
    test_actor_start(&second);
    struct batch batch = {.bytes = 2 * MIB, .count = 8};
    uint64_t freed = test_class(2 * MIB).deallocations;
    for (int round = 0; round < 10; round++) {
        test_actor_call(&first, take_batch, &batch);
        assert_int_equal(test_class(2 * MIB).in_use_regions, 8);
        test_actor_call(&second, free_batch, &batch);
        assert_int_equal(test_class(2 * MIB).in_use_regions, 0);
        test_assert_equations();
    }
    assert_int_equal(test_class(2 * MIB).deallocations, freed + 80);
    /* The same memory went round: nobody had to map more for it. */
    assert_int_equal(test_class(2 * MIB).area_total_bytes, 32 * MIB);
    test_actor_stop(&first);
    test_actor_stop(&second);
}

static void regions_are_dropped_anywhere(void **state)
{
    (void)state;
    lgalloc_region regions[4];
    struct test_actor actor;
    test_actor_start(&actor);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lgalloc_region_new_auto(i % 2 == 0 ? 1000 : 20000, 8, 8, &regions[i]), LGALLOC_STATUS_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        test_actor_call(&actor, drop_region, &regions[i]);
        assert_false(lgalloc_region_is_mapped(&regions[i]));
        lgalloc_region_drop(&regions[i]);
    }
    assert_int_equal(test_global().in_use_bytes, 0);
    test_actor_stop(&actor);
}

static void exit_hands_everything_back(void **state)
{
    (void)state;
    struct test_actor actor;
    struct batch batch = {.bytes = 2 * MIB, .count = 8};
    struct batch small = {.bytes = 64 * KIB, .count = 64};
    test_actor_start(&actor);
    test_actor_call(&actor, cache_batch, &batch);
    test_actor_call(&actor, cache_batch, &small);
    assert_true(test_class(2 * MIB).thread_regions >= 8);
    assert_true(test_class(64 * KIB).thread_regions >= 64);
    test_actor_stop(&actor);
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    assert_int_equal(test_class(64 * KIB).thread_regions, 0);
    assert_true(test_class(2 * MIB).global_regions >= 8);
    test_assert_equations();

    /* Others get it without mapping more. */
    uint64_t refills = test_class(2 * MIB).refill;
    test_churn(8, 2 * MIB);
    assert_int_equal(test_class(2 * MIB).refill, refills);
}

/* One thread caches regions and sleeps; another gets them before anything new is mapped. */
static void steals(void **state)
{
    (void)state;
    struct test_actor actor;
    struct batch batch = {.bytes = 2 * MIB, .count = 12};
    test_actor_start(&actor);
    test_actor_call(&actor, cache_batch, &batch);
    lgalloc_size_class_stats before = test_class(2 * MIB);
    assert_true(before.thread_regions >= 12);

    lgalloc_handle handles[16];
    size_t all = before.free_regions;
    assert_int_equal(all, 16);
    test_take_all(handles, all, 2 * MIB);
    lgalloc_size_class_stats after = test_class(2 * MIB);
    assert_int_equal(after.refill, before.refill);
    assert_int_equal(after.slow_path, before.slow_path);
    assert_int_equal(after.area_total_bytes, before.area_total_bytes);
    assert_int_equal(after.steals, before.steals + before.thread_regions);
    assert_int_equal(after.free_regions, 0);

    /* The one that slept finds its cache empty, and goes on. */
    test_free_all(handles, all);
    test_actor_call(&actor, cache_batch, &batch);
    assert_int_equal(test_class(2 * MIB).refill, before.refill);
    assert_true(test_class(2 * MIB).steals > after.steals);
    test_actor_stop(&actor);
    test_assert_equations();
}

/* ---------------------------------------------------------------- while a thread is torn down */

/* PTHREAD_DESTRUCTOR_ITERATIONS is 4 at least, by POSIX. In the last of them ThreadSanitizer lets go of the
 * thread, and nothing that it watches may run after that. */
enum { ROUNDS = TEST_TSAN ? 3 : 4 };

struct dying {
    pthread_key_t key;
    size_t bytes;
    int round;
    lgalloc_handle kept[ROUNDS];
};

static atomic_int destructor_calls;
static pthread_key_t key_before;
static pthread_key_t key_after;

/* Frees what the thread still has and allocates again, in every round the system grants. */
static void destructor(void *arg)
{
    struct dying *dying = arg;
    atomic_fetch_add(&destructor_calls, 1);
    lgalloc_deallocate(dying->kept[dying->round]);
    test_churn(3, dying->bytes);
    lgalloc_handle handle = test_take(2 * dying->bytes);
    test_mark(handle, 1);
    TEST_REQUIRE(test_marked(handle, 1));
    lgalloc_deallocate(handle);
    if (++dying->round < ROUNDS) {
        TEST_REQUIRE(pthread_setspecific(dying->key, dying) == 0);
    }
}

static void *dies(void *arg)
{
    struct dying *dying = arg;
    for (size_t i = 0; i < 2; i++) {
        test_take_all(dying[i].kept, ROUNDS, dying[i].bytes);
        TEST_REQUIRE(pthread_setspecific(dying[i].key, &dying[i]) == 0);
    }
    return NULL;
}

static void destructors_allocate_and_free(void **state)
{
    (void)state;
    for (int repeat = 0; repeat < 20; repeat++) {
        struct dying dying[2] = {{.key = key_before, .bytes = 2 * MIB}, {.key = key_after, .bytes = 256 * KIB}};
        atomic_store(&destructor_calls, 0);
        pthread_t thread;
        test_spawn(&thread, dies, dying);
        test_join(thread);
        assert_int_equal(atomic_load(&destructor_calls), 2 * ROUNDS);
        for (size_t bytes = 256 * KIB; bytes <= 4 * MIB; bytes *= 2) {
            assert_int_equal(test_class(bytes).thread_regions, 0);
            assert_int_equal(test_class(bytes).in_use_regions, 0);
        }
        test_assert_equations();
    }
}

/* A thread whose first call at all comes from a destructor. */
static void *first_call_in_destructor(void *arg)
{
    struct dying *dying = arg;
    TEST_REQUIRE(pthread_setspecific(dying->key, dying) == 0);
    return NULL;
}

static void first_call_comes_late(void **state)
{
    (void)state;
    struct dying dying[2] = {{.key = key_before, .bytes = 2 * MIB}, {.key = key_after, .bytes = 2 * MIB}};
    for (size_t i = 0; i < 2; i++) {
        dying[i].kept[0] = test_take(2 * MIB);
        for (size_t j = 1; j < ROUNDS; j++) {
            dying[i].kept[j] = (lgalloc_handle){dying, 0}; /* holds nothing */
        }
        pthread_t thread;
        test_spawn(&thread, first_call_in_destructor, &dying[i]);
        test_join(thread);
    }
    assert_int_equal(test_class(4 * MIB).thread_regions, 0);
    assert_int_equal(test_class(2 * MIB).in_use_regions, 0);
    test_assert_equations();
}

/* ---------------------------------------------------------------- idle threads */

struct sleeper {
    struct test_actor actor;
    size_t count;
    size_t stride;
    lgalloc_handle handles[16];
};

static void sleeper_takes(void *arg)
{
    struct sleeper *sleeper = arg;
    test_take_all(sleeper->handles, sleeper->count, 2 * MIB);
    for (size_t i = 0; i < sleeper->count; i++) {
        test_touch(sleeper->handles[i], sleeper->stride);
    }
}

static void sleeper_frees(void *arg)
{
    struct sleeper *sleeper = arg;
    test_free_all(sleeper->handles, sleeper->count);
}

/* Gives the thread its record, and its stack the depth it will have. */
static void sleeper_settles(void *arg)
{
    (void)arg;
    test_churn(1, 2 * MIB);
    lgalloc_thread_flush();
}

/*
 * 64 threads cache 32 MiB each and sleep. After a purge the process is as small as it was, but for what
 * the library says that its own bookkeeping has grown by.
 */
static void purge_drains_sleeping_threads(void **state)
{
    enum { THREADS = 64 };
    size_t threads = test_scale(THREADS, 8);
    size_t count = test_scale(16, 2);
    /* Every page of anonymous memory; few of a file, to write less to the disk. */
    size_t stride = test_backing(state) == LGALLOC_BACKING_FILE ? 256 * KIB : 4 * KIB;
    struct sleeper *sleepers = calloc(THREADS, sizeof *sleepers);
    assert_non_null(sleepers);
    for (size_t i = 0; i < threads; i++) {
        sleepers[i].count = count;
        sleepers[i].stride = stride;
        test_actor_start(&sleepers[i].actor);
        test_actor_call(&sleepers[i].actor, sleeper_settles, &sleepers[i]);
    }
    lgalloc_purge();
    size_t start = test_resident();
    size_t metadata_start = test_global().metadata_bytes;

    for (size_t i = 0; i < threads; i++) {
        test_actor_call(&sleepers[i].actor, sleeper_takes, &sleepers[i]);
    }
    for (size_t i = 0; i < threads; i++) {
        test_actor_call(&sleepers[i].actor, sleeper_frees, &sleepers[i]);
    }
    size_t cached = test_class(2 * MIB).thread_regions;
    assert_true(cached >= threads * count);
    size_t full = test_resident();
    size_t given_back = lgalloc_purge();
    size_t end = test_resident();
    size_t metadata_end = test_global().metadata_bytes;

    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    assert_true(given_back >= threads * count * 2 * MIB);
    assert_int_equal(test_global().area_bytes, 0);
    print_message("resident: %zu KiB, %zu KiB with full caches, %zu KiB after purge; "
                  "bookkeeping: %zu KiB, then %zu KiB\n",
                  start / KIB, full / KIB, end / KIB, metadata_start / KIB, metadata_end / KIB);
    if (!test_slow_tool()) { /* whose shadow memory is resident too */
        assert_true(full >= start + threads * count * 2 * MIB / stride * 4 * KIB);
        /* A page or two of each thread's stack, which grew by what happened on it, comes on top. */
        assert_true(end <= start + (metadata_end - metadata_start) + threads * 8 * KIB);
    }
    for (size_t i = 0; i < threads; i++) {
        test_actor_stop(&sleepers[i].actor);
    }
    free(sleepers);
}

/* ---------------------------------------------------------------- threads that come and go */

static void *lives_shortly(void *arg)
{
    const size_t *bytes = arg;
    test_churn(5, *bytes);
    return NULL;
}

static void assert_not_less(lgalloc_size_class_stats now, lgalloc_size_class_stats before)
{
    assert_true(now.allocations >= before.allocations);
    assert_true(now.deallocations >= before.deallocations);
    assert_true(now.slow_path >= before.slow_path);
    assert_true(now.refill >= before.refill);
    assert_true(now.steals >= before.steals);
    assert_true(now.clear_eager_total >= before.clear_eager_total);
    assert_true(now.clear_slow_total >= before.clear_slow_total);
    assert_true(now.areas_released >= before.areas_released);
}

/* Many more threads than ever live at once: their records are used again, and their counts stay. */
static void many_short_threads(void **state)
{
    (void)state;
    size_t rounds = test_scale(250, 20);
    size_t bytes = MIB;
    lgalloc_size_class_stats first = test_class(bytes);
    lgalloc_size_class_stats before = first;
    size_t metadata = 0;
    for (size_t round = 0; round < rounds; round++) {
        pthread_t threads[4];
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            test_spawn(&threads[i], lives_shortly, &bytes);
        }
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            test_join(threads[i]);
        }
        lgalloc_size_class_stats now = test_class(bytes);
        assert_not_less(now, before);
        assert_int_equal(now.allocations, before.allocations + 20);
        assert_int_equal(now.thread_regions, 0);
        assert_int_equal(now.in_use_regions, 0);
        before = now;
        metadata = round == rounds / 2 ? test_global().metadata_bytes : metadata;
    }
    /* Half of the threads more, and hardly more bookkeeping for them: a record or two, if at last more threads
     * than ever before were there at once. One for each would be several MiB. */
    assert_true(test_global().metadata_bytes <= metadata + MIB);
    assert_int_equal(before.allocations, first.allocations + rounds * 20);
    /* The first area holds more than all need. What others have in their hands at that moment is out of sight, so
     * a second one (of 64 MiB) may be mapped; a thousand threads that left anything behind would need many. */
    assert_true(before.area_total_bytes <= (32 + 64) * MIB);
    test_assert_equations();
}

struct watched {
    pthread_barrier_t start;
};

static void *churns_and_exits(void *arg)
{
    struct watched *watched = arg;
    pthread_barrier_wait(&watched->start);
    for (size_t i = 0; i < test_scale(300, 30); i++) {
        test_churn(4, 2 * MIB);
    }
    return NULL;
}

/* Counters read while threads allocate and exit never go down. */
static void counters_never_go_down(void **state)
{
    (void)state;
    for (size_t round = 0; round < test_scale(20, 3); round++) {
        struct watched watched;
        pthread_t threads[3];
        assert_int_equal(pthread_barrier_init(&watched.start, NULL, 4), 0);
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            test_spawn(&threads[i], churns_and_exits, &watched);
        }
        lgalloc_size_class_stats before = test_class(2 * MIB);
        pthread_barrier_wait(&watched.start);
        for (size_t i = 0; i < test_scale(2000, 100); i++) {
            lgalloc_size_class_stats now = test_class(2 * MIB);
            assert_not_less(now, before);
            before = now;
        }
        for (size_t i = 0; i < TEST_COUNT(threads); i++) {
            test_join(threads[i]);
            lgalloc_size_class_stats now = test_class(2 * MIB);
            assert_not_less(now, before);
            before = now;
        }
        pthread_barrier_destroy(&watched.start);
        test_assert_equations();
    }
}

/* ---------------------------------------------------------------- the first call */

static atomic_bool begun;

static void *frees_nothing(void *arg)
{
    (void)arg;
    atomic_store(&begun, true);
    for (size_t i = 0; i < 100000; i++) {
        lgalloc_free(NULL);
        lgalloc_free_sized(NULL, 64 * KIB);
    }
    return NULL;
}

/* Correct, whatever the other thread is at: ThreadSanitizer has nothing to say. */
static void nothing_is_freed_at_first(void **state)
{
    (void)state;
    assert_int_equal(test_global().reserved_address_bytes, 0); /* the library isn't set up yet */
    pthread_t thread;
    test_spawn(&thread, frees_nothing, NULL);
    while (!atomic_load(&begun)) {
    }
    lgalloc_deallocate(test_take(64 * KIB));
    test_join(thread);
    assert_int_equal(pthread_key_create(&key_after, destructor), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ANONYMOUS(nothing_is_freed_at_first),
        TEST_BOTH(free_on_another_thread),
        TEST_BOTH(regions_are_dropped_anywhere),
        TEST_BOTH(exit_hands_everything_back),
        TEST_BOTH(steals),
        TEST_BOTH(destructors_allocate_and_free),
        TEST_BOTH(first_call_comes_late),
        TEST_BOTH(purge_drains_sleeping_threads),
        TEST_BOTH(many_short_threads),
        TEST_BOTH(counters_never_go_down),
    };
    /* One key from before the library's first call, which may need one of its own; the first test makes one after. */
    if (pthread_key_create(&key_before, destructor) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
