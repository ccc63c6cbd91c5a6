/* Memory given back: areas released, the limit, what is resident and what is on disk, slow statistics. */

#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- areas */

static void purge_releases_areas(void **state)
{
    (void)state;
    static const size_t classes[] = {64 * KIB, MIB, 4 * MIB, 32 * MIB, 64 * MIB};
    size_t mappings[2];
    for (size_t round = 0; round < 2; round++) {
        uint64_t released = test_class(MIB).areas_released;
        lgalloc_handle handles[TEST_COUNT(classes)];
        for (size_t i = 0; i < TEST_COUNT(classes); i++) {
            handles[i] = test_take(classes[i]);
            test_touch(handles[i], MIB);
        }
        assert_int_equal(test_class(MIB).areas, 1);
        size_t full = test_arena_mapping_count(handles[0].ptr);
        void *somewhere = handles[0].ptr;
        test_free_all(handles, TEST_COUNT(handles));
        assert_true(lgalloc_purge() >= 101 * MIB);
        for (size_t i = 0; i < TEST_COUNT(classes); i++) {
            assert_int_equal(test_class(classes[i]).areas, 0);
            assert_int_equal(test_class(classes[i]).area_total_bytes, 0);
            assert_int_equal(test_class(classes[i]).free_regions, 0);
        }
        assert_true(test_class(MIB).areas_released > released);
        mappings[round] = test_arena_mapping_count(somewhere);
        assert_true(mappings[round] < full);
        assert_int_equal(lgalloc_purge(), 0); /* nothing is left to give */
    }
    assert_int_equal(mappings[1], mappings[0]);
}

/* What holds a region in use stays; what does not goes, and its addresses come first. */
static void released_addresses_are_used_first(void **state)
{
    (void)state;
    if (test_class_room(GIB) < 4) {
        TEST_SKIP("too little address space for several areas");
    }
    lgalloc_handle handles[4];
    test_take_all(handles, 3, GIB); /* each an area of its own */
    for (size_t i = 0; i < 3; i++) {
        test_mark(handles[i], i);
    }
    assert_int_equal(test_class(GIB).areas, 3);
    void *first = handles[0].ptr;
    void *second = handles[1].ptr;
    lgalloc_deallocate(handles[1]);
    assert_true(lgalloc_purge() > 0);
    assert_int_equal(test_class(GIB).areas, 2);
    assert_int_equal(test_class(GIB).area_total_bytes, 2 * GIB);
    assert_true(test_marked(handles[0], 0));
    assert_true(test_marked(handles[2], 2));

    handles[1] = test_take(GIB);
    assert_ptr_equal(handles[1].ptr, second);
    assert_int_equal(((unsigned char *)handles[1].ptr)[0], 0); /* with nothing of what was there */
    lgalloc_deallocate(handles[1]);
    lgalloc_deallocate(handles[0]);
    lgalloc_purge();
    assert_int_equal(test_class(GIB).areas, 1);
    handles[0] = test_take(GIB);
    handles[1] = test_take(GIB);
    assert_true(handles[0].ptr == first || handles[1].ptr == first);
    assert_true(handles[0].ptr == second || handles[1].ptr == second);
    assert_true(test_marked(handles[2], 2));
    test_free_all(handles, 3);
}

static void areas_in_use_stay(void **state)
{
    (void)state;
    lgalloc_handle handles[16];
    test_take_all(handles, 16, 2 * MIB);
    for (size_t i = 0; i < 16; i++) {
        test_mark(handles[i], i);
    }
    for (size_t i = 0; i < 16; i++) {
        if (i != 7) {
            lgalloc_deallocate(handles[i]);
        }
    }
    lgalloc_purge();
    lgalloc_size_class_stats s = test_class(2 * MIB);
    assert_int_equal(s.areas, 1);
    assert_int_equal(s.clean_regions, s.free_regions);
    assert_int_equal(s.free_regions, 15);
    assert_int_equal(test_global().dirty_bytes, 0);
    assert_int_equal(test_global().in_use_bytes, 2 * MIB);
    assert_true(test_marked(handles[7], 7));
    test_assert_equations();
    lgalloc_deallocate(handles[7]);
}

/* What purge says it gave back, the process and the disk have less. */
static void resident_size_is_honest(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    size_t bytes = test_scale(64 * MIB, 4 * MIB);
    size_t metadata = test_global().metadata_bytes;
    for (size_t size = 64 * KIB; size <= bytes; size *= 4) {
        test_churn(1, size);
        lgalloc_purge();
        size_t start = test_resident();
        lgalloc_handle *handles = calloc(bytes / size, sizeof *handles);
        assert_non_null(handles);
        test_take_all(handles, bytes / size, size);
        for (size_t i = 0; i < bytes / size; i++) {
            test_touch(handles[i], 4 * KIB);
        }
        size_t full = test_resident();
        if (file) {
            assert_true(test_file(size).allocated_size >= bytes);
        }
        test_free_all(handles, bytes / size);
        free(handles);
        assert_int_equal(lgalloc_purge(), bytes);
        size_t end = test_resident();
        if (!test_slow_tool()) { /* whose shadow memory is resident too */
            assert_true(full >= start + bytes);
            /* What is left: bookkeeping for the areas that were there, and 256 KiB of the C library's heap
             * for the array of handles. */
            assert_true(end <= start + (test_global().metadata_bytes - metadata) + 256 * KIB);
        }
        assert_int_equal(test_file(size).allocated_size, 0);
    }
}

/* ---------------------------------------------------------------- the limit */

/* Memory freed in one size class is there for every other: 1 GiB as small regions, then as one. */
static void memory_moves_between_classes(void **state)
{
    (void)state;
    size_t total = test_class_room(GIB) > 0 ? test_scale(GIB, 64 * MIB) : 16 * MIB;
    size_t count = total / (64 * KIB);
    test_set_limit(total + total / 10);
    lgalloc_handle *handles = calloc(count, sizeof *handles);
    assert_non_null(handles);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            handles[i] = test_take(64 * KIB);
            *(volatile char *)handles[i].ptr = 1;
        }
        assert_int_equal(test_global().in_use_bytes, total);
        test_free_all(handles, count);
        assert_true(test_global().in_use_bytes + test_global().dirty_bytes <= total + total / 10);
        lgalloc_handle one = test_take(total);
        test_mark(one, 1);
        assert_true(test_marked(one, 1));
        assert_true(test_global().in_use_bytes + test_global().dirty_bytes <= total + total / 10);
        lgalloc_deallocate(one);
    }
    free(handles);
}

static void limit_is_exact(void **state)
{
    (void)state;
    test_set_limit(16 * MIB);
    assert_int_equal(test_global().limit_bytes, 16 * MIB);
    lgalloc_handle handles[8];
    test_take_all(handles, 8, 2 * MIB);
    uint64_t refused = test_global().limit_failures;
    lgalloc_handle more;
    assert_int_equal(lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(more.len, 0);
    assert_int_equal(lgalloc_allocate_zeroed(2 * MIB, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(test_global().limit_failures, refused + 2);
    test_assert_equations();

    lgalloc_deallocate(handles[7]);
    more = test_take(2 * MIB);
    lgalloc_deallocate(more);
    handles[7] = test_take(MIB); /* after cleaning the dirty one of the other class */
    more = test_take(MIB);
    lgalloc_deallocate(more);

    /* Below what is in use: nothing new, and nothing is taken away. */
    test_set_limit(MIB);
    assert_int_equal(lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
    test_mark(handles[0], 1);
    assert_true(test_marked(handles[0], 1));
    test_set_limit(0);
    lgalloc_deallocate(test_take(32 * MIB));
    test_free_all(handles, 8);
}

/* Dirty regions go round within the limit: they are charged already. */
static void charge_stays_while_regions_circulate(void **state)
{
    (void)state;
    test_set_limit(16 * MIB);
    lgalloc_handle handles[8];
    test_take_all(handles, 8, 2 * MIB);
    test_free_all(handles, 8);
    for (size_t i = 0; i < 1000; i++) {
        lgalloc_handle a = test_take(2 * MIB);
        lgalloc_handle b = test_take(2 * MIB);
        lgalloc_global_stats global = test_global();
        assert_int_equal(global.in_use_bytes, 4 * MIB);
        assert_true(global.in_use_bytes + global.dirty_bytes <= 16 * MIB);
        lgalloc_deallocate(a);
        lgalloc_deallocate(b);
    }
    assert_true(test_global().dirty_bytes <= 16 * MIB);
    test_assert_equations();
}

static void churn_in_actor(void *arg)
{
    test_churn(*(const size_t *)arg, 2 * MIB);
}

static void limit_cleans_other_caches(void **state)
{
    (void)state;
    test_set_limit(32 * MIB);
    struct test_actor actor;
    test_actor_start(&actor);
    size_t count = 16;
    test_actor_call(&actor, churn_in_actor, &count);
    assert_int_equal(test_class(2 * MIB).thread_regions, 16);
    lgalloc_handle all = test_take(32 * MIB); /* needs every byte of what sleeps there */
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    assert_int_equal(test_global().dirty_bytes, 0);
    lgalloc_deallocate(all);
    test_actor_call(&actor, churn_in_actor, &count); /* and the other way round */
    test_actor_stop(&actor);
    test_assert_equations();
}

/* What is dirty goes at once, wherever it is: the own cache, another thread's, the pools. */
static void limit_that_is_lowered(void **state)
{
    (void)state;
    struct test_actor actor;
    test_actor_start(&actor);
    size_t count = 8;
    test_actor_call(&actor, churn_in_actor, &count);
    lgalloc_handle handles[8];
    test_take_all(handles, 8, MIB);
    test_free_all(handles, 8);
    test_churn(8, 4 * MIB);
    lgalloc_thread_flush();
    test_churn(4, 512 * KIB);
    lgalloc_handle kept[4];
    test_take_all(kept, 4, 256 * KIB);
    assert_true(test_global().dirty_bytes >= 32 * MIB);
    test_set_limit(20 * MIB);
    assert_int_equal(test_global().in_use_bytes, MIB);
    assert_true(test_global().dirty_bytes <= 19 * MIB);
    assert_true(test_global().dirty_bytes > 0); /* no more than it takes */
    test_set_limit(MIB);
    assert_int_equal(test_global().dirty_bytes, 0);
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    assert_int_equal(test_class(512 * KIB).thread_regions, 0);
    /* Below what is in use: what is freed goes round, and the sum stays. */
    test_set_limit(512 * KIB);
    assert_int_equal(test_global().in_use_bytes, MIB);
    lgalloc_handle more;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(lgalloc_allocate(256 * KIB, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
        lgalloc_deallocate(kept[i]);
        kept[i] = test_take(256 * KIB);
        lgalloc_global_stats global = test_global();
        assert_int_equal(global.in_use_bytes + global.dirty_bytes, MIB);
    }
    test_free_all(kept, 4);
    test_set_limit(MIB / 2);
    assert_int_equal(test_global().dirty_bytes, MIB / 2);
    test_set_limit(0);
    test_actor_stop(&actor);
    test_assert_equations();
}

struct race {
    pthread_barrier_t start;
    size_t bytes;
    size_t bound; /* regions that fit under the limit */
    size_t rounds;
    atomic_size_t held;
    atomic_size_t total;
    atomic_bool over;
};

static bool race_take(struct race *race, lgalloc_handle *handle)
{
    lgalloc_status status = lgalloc_allocate(race->bytes, 1, 1, NULL, NULL, handle);
    TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_OUT_OF_MEMORY);
    if (status == LGALLOC_STATUS_OK && atomic_fetch_add(&race->held, 1) >= race->bound) {
        atomic_store(&race->over, true);
    }
    return status == LGALLOC_STATUS_OK;
}

static void race_free(struct race *race, lgalloc_handle handle)
{
    atomic_fetch_sub(&race->held, 1); /* before, so that the count is never more than what is out */
    lgalloc_deallocate(handle);
}

static void *races(void *arg)
{
    struct race *race = arg;
    lgalloc_handle handles[32];
    for (size_t round = 0; round < race->rounds; round++) {
        pthread_barrier_wait(&race->start);
        /* All want all: the last region goes to one of them. */
        size_t count = 0;
        while (count < TEST_COUNT(handles) && race_take(race, &handles[count])) {
            count++;
        }
        atomic_fetch_add(&race->total, count);
        pthread_barrier_wait(&race->start);
        /* Nobody freed, so whoever was refused last was refused with everything handed out. */
        TEST_REQUIRE(atomic_load(&race->total) == race->bound);
        pthread_barrier_wait(&race->start);
        atomic_store(&race->total, 0);
        while (count > 0) {
            race_free(race, handles[--count]);
        }
        /* And with threads that free: refusals are allowed, too many regions are not. */
        for (size_t i = 0; i < 200; i++) {
            if (count < TEST_COUNT(handles) && i % 3 != 2 && race_take(race, &handles[count])) {
                count++;
            } else if (count > 0) {
                race_free(race, handles[--count]);
            }
        }
        while (count > 0) {
            race_free(race, handles[--count]);
        }
    }
    return NULL;
}

static void threads_race_for_the_last_region(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    for (size_t bytes = 256 * KIB; bytes <= 2 * MIB; bytes *= 8) {
        struct race race = {.bytes = bytes, .bound = 11, .rounds = test_scale(200, 10)};
        test_set_limit(race.bound * bytes + bytes / 2);
        assert_int_equal(pthread_barrier_init(&race.start, NULL, THREADS), 0);
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            test_spawn(&threads[i], races, &race);
        }
        for (size_t i = 0; i < THREADS; i++) {
            test_join(threads[i]);
        }
        pthread_barrier_destroy(&race.start);
        assert_false(atomic_load(&race.over));
        test_assert_equations();

        /* Afterwards one thread gets all of it. */
        lgalloc_handle handles[11];
        test_take_all(handles, race.bound, bytes);
        lgalloc_handle more;
        assert_int_equal(lgalloc_allocate(bytes, 1, 1, NULL, NULL, &more), LGALLOC_STATUS_OUT_OF_MEMORY);
        test_free_all(handles, race.bound);
        test_set_limit(0);
        lgalloc_purge();
    }
}

/* ---------------------------------------------------------------- zeroed */

static void zeroed_regions_are_zero(void **state)
{
    (void)state;
    for (size_t bytes = 64 * KIB; bytes <= test_scale(64 * MIB, 8 * MIB); bytes *= 4) {
        for (int round = 0; round < 3; round++) {
            void *ptr;
            size_t capacity;
            lgalloc_handle handle;
            assert_int_equal(lgalloc_allocate_zeroed(bytes / 8, 8, 8, &ptr, &capacity, &handle), LGALLOC_STATUS_OK);
            assert_ptr_equal(ptr, handle.ptr);
            assert_int_equal(capacity, bytes / 8);
            assert_true(test_filled(ptr, handle.len, 0));
            memset(ptr, 0xff, handle.len);
            lgalloc_deallocate(handle); /* dirty: the next round gets it back */
            if (round == 1) {
                lgalloc_purge(); /* and the last one a clean one */
            }
        }
        /* All of several dirty ones, whichever comes. */
        lgalloc_handle handles[4];
        test_take_all(handles, 4, bytes);
        for (size_t i = 0; i < 4; i++) {
            memset(handles[i].ptr, 0x5a, handles[i].len);
        }
        test_free_all(handles, 4);
        lgalloc_thread_flush();
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(lgalloc_allocate_zeroed(bytes, 1, 1, NULL, NULL, &handles[i]), LGALLOC_STATUS_OK);
            assert_true(test_filled(handles[i].ptr, handles[i].len, 0));
        }
        test_free_all(handles, 4);
    }
}

/* What is known to be zero is not written: a clean region stays without memory. */
static void zeroed_clean_regions_cost_nothing(void **state)
{
    (void)state;
    if (test_slow_tool()) {
        TEST_SKIP("resident size includes the tool's shadow memory");
    }
    test_churn(1, 256 * MIB);
    lgalloc_purge();
    size_t start = test_resident();
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate_zeroed(256 * MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_OK);
    /* 1 MiB for page tables' neighbours and bookkeeping, against 256 of the region. */
    assert_true(test_resident() <= start + MIB);
    assert_int_equal(test_file(256 * MIB).allocated_size, 0);
    lgalloc_deallocate(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(purge_releases_areas),
        TEST_BOTH(released_addresses_are_used_first),
        TEST_BOTH(areas_in_use_stay),
        TEST_BOTH(resident_size_is_honest),
        TEST_BOTH(memory_moves_between_classes),
        TEST_BOTH(limit_is_exact),
        TEST_BOTH(charge_stays_while_regions_circulate),
        TEST_BOTH(limit_cleans_other_caches),
        TEST_BOTH(limit_that_is_lowered),
        TEST_BOTH(threads_race_for_the_last_region),
        TEST_BOTH(zeroed_regions_are_zero),
        TEST_BOTH(zeroed_clean_regions_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
