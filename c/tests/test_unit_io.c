/* The threads that evict and load ahead of need. ctest-labels: novalgrind disk */

#include "internal.h"

#include "flow/io.h"
#include "store/spill.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 40 };

static lgalloc_handle regions[MANY];

static lgalloc_config *spilling(size_t threads, size_t percent)
{
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_spill(config, test_dir(), 0) == LGALLOC_STATUS_OK);
    lgalloc_config_spill_threads(config, threads);
    lgalloc_config_spill_free_percent(config, percent);
    return config;
}

static int begin(void **state)
{
    unit_configure(LGALLOC_BACKING_ANONYMOUS);
    if (!unit_can_spill()) {
        return 0;
    }
    *state = (void *)1;
    return 0;
}

static int end(void **state)
{
    unit_fault_off();
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, 0);
    TEST_REQUIRE(lgalloc_config_with_spill(config, NULL, 0) == LGALLOC_STATUS_OK);
    test_apply(config);
    for (size_t i = 0; i < MANY; i++) {
        lgalloc_deallocate(regions[i]);
        regions[i] = (lgalloc_handle){NULL, 0};
    }
    (void)lgalloc_purge();
    lgalloc_global_stats now = test_global();
    return now.in_use_bytes == 0 && now.evicted_bytes == 0 && now.spill_file_bytes == 0 ? 0 : -1;
}

#define SPILLS(function) cmocka_unit_test_setup_teardown(function, begin, end)

static void seal_some(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        regions[i] = test_take(2 * MIB);
        memset(regions[i].ptr, (int)i + 1, regions[i].len);
        TEST_REQUIRE(lgalloc_seal(regions[i], regions[i].len) == LGALLOC_STATUS_OK);
    }
}

static void require_contents(size_t i)
{
    TEST_REQUIRE(lgalloc_pin(regions[i]) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_filled(regions[i].ptr, regions[i].len, (unsigned char)(i + 1)));
    lgalloc_unpin(regions[i]);
}

static size_t threads_there(void)
{
    return test_threads_named("lgalloc-io-0") + test_threads_named("lgalloc-io-1") + test_threads_named("lgalloc-io-2");
}

static bool as_many_as(void *arg)
{
    return threads_there() == *(size_t *)arg;
}

static void come_and_go(void **state)
{
    UNIT_NEEDS_DISK(state);
    static const size_t counts[] = {1, 3, 0, 2, 1};
    assert_int_equal(threads_there(), 0);
    for (size_t i = 0; i < TEST_COUNT(counts); i++) {
        size_t count = counts[i];
        test_apply(spilling(count, 5));
        assert_true(test_eventually(as_many_as, &count)); /* a name may be seen a moment later */
        assert_int_equal(lg_io_is_there(), count != 0);
    }
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, NULL, 0), LGALLOC_STATUS_OK);
    test_apply(config);
    assert_int_equal(threads_there(), 0);
    config = spilling(9, 5);
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_non_null(
        strstr(lgalloc_config_error(config), "spill_threads=9 is refused; allowed: a whole number up to 8"));
    lgalloc_config_free(config);
}

static void refused_threads(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_apply(spilling(1, 5));
    lgalloc_config *config = spilling(3, 5);
    unit_fault_arm(UNIT_CALL(THREAD), 1, 1, EAGAIN);
    errno = 0;
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
    assert_int_equal(errno, EAGAIN);
    assert_non_null(strstr(lgalloc_config_error(config), "spill_threads=3: a thread can't be started"));
    size_t one = 1;
    assert_true(test_eventually(as_many_as, &one)); /* those of before */
    unit_fault_off();
    test_apply(config);
    assert_int_equal(LG_OPTION(spill_threads), 3);
}

/* ---- room */

static bool share_is_free(void *arg)
{
    lgalloc_global_stats now = test_global();
    return now.in_use_bytes + now.dirty_bytes <= *(size_t *)arg;
}

static void a_share_is_kept_free(void **state)
{
    UNIT_NEEDS_DISK(state);
    size_t mark = 48 * MIB;
    lgalloc_config *config = spilling(1, 25);
    lgalloc_config_limit_bytes(config, 64 * MIB);
    test_apply(config);
    seal_some(0, MANY);
    assert_true(test_eventually(share_is_free, &mark));
    assert_true(test_global().evictions >= (MANY * 2 * MIB - mark) / (2 * MIB));
    assert_int_equal(test_global().limit_failures, 0);
    for (size_t i = 0; i < MANY; i++) {
        require_contents(i);
    }
    /* A lower limit is followed at once. */
    mark = 15 * MIB;
    test_set_limit(20 * MIB);
    assert_true(test_eventually(share_is_free, &mark));
    require_contents(MANY / 2);
}

/* What is dirty goes before anything is written. */
static void dirty_memory_goes_first(void **state)
{
    UNIT_NEEDS_DISK(state);
    uint64_t evictions = test_global().evictions;
    seal_some(0, 4);
    unit_make_dirty(10, 2 * MIB);
    size_t mark = 20 * MIB - 20 * MIB / 100 * 20;
    lgalloc_config *config = spilling(1, 20);
    lgalloc_config_limit_bytes(config, 20 * MIB);
    test_apply(config);
    assert_true(test_eventually(share_is_free, &mark));
    test_apply(spilling(0, 20)); /* and whatever else it did is done */
    assert_int_equal(test_global().evictions, evictions);
    assert_int_equal(test_global().sealed_bytes, 8 * MIB);
}

/* Where the disk is full the same attempt isn't made all the time. */
static void hopeless_attempts_are_few(void **state)
{
    UNIT_NEEDS_DISK(state);
    seal_some(0, 8);
    unit_fault_arm(UNIT_CALL(ALLOCATE), 0, UNIT_FOREVER, ENOSPC);
    lgalloc_config *config = spilling(1, 20);
    lgalloc_config_limit_bytes(config, 17 * MIB);
    test_apply(config);
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < 30; i++) {
        usleep(10000);
        lg_io_look();
    }
    unsigned long attempts = unit_fault_seen(LG_SYS_ALLOCATE);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_in_range(attempts, 1, 4 + 20 * (unsigned long)(now.tv_sec - start.tv_sec + 1)); /* ten a second, and a few */
    for (size_t i = 0; i < 8; i++) {
        assert_true(lgalloc_is_resident(regions[i]));
    }
    unit_fault_off();
    size_t mark = 14 * MIB;
    assert_true(test_eventually(share_is_free, &mark));
}

/* ---- loads */

static bool all_are_resident(void *arg)
{
    size_t count = *(size_t *)arg;
    for (size_t i = 0; i < count; i++) {
        if (!lgalloc_is_resident(regions[i])) {
            return false;
        }
    }
    return true;
}

static void prefetched_regions_come(void **state)
{
    UNIT_NEEDS_DISK(state);
    for (size_t threads = 1; threads <= 3; threads += 2) {
        test_apply(spilling(threads, 5));
        size_t count = 12;
        seal_some(0, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(lgalloc_evict(regions[i]), LGALLOC_STATUS_OK);
        }
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(lgalloc_prefetch(regions[i], 0, regions[i].len), LGALLOC_STATUS_OK);
        }
        assert_true(test_eventually(all_are_resident, &count));
        for (size_t i = 0; i < count; i++) {
            require_contents(i);
            lgalloc_deallocate(regions[i]);
            regions[i].len = 0;
        }
    }
}

/* More hints than there is room for, some for what is freed meanwhile, or can't be read. */
static void hints_are_dropped(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_apply(spilling(1, 5));
    seal_some(0, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(lgalloc_evict(regions[i]), LGALLOC_STATUS_OK);
    }
    unit_fault_random(UNIT_CALL(READ), 3, 5, EIO);
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(lgalloc_prefetch(regions[i], 0, 1), LGALLOC_STATUS_OK);
        }
    }
    for (size_t i = 0; i < MANY; i += 3) {
        lgalloc_deallocate(regions[i]);
        regions[i].len = 0;
    }
    unit_fault_off();
    for (size_t i = 0; i < MANY; i++) {
        if (regions[i].len != 0) {
            require_contents(i);
        }
    }
}

static void without_threads(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_apply(spilling(0, 50));
    seal_some(0, 2);
    assert_int_equal(lgalloc_evict(regions[0]), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_prefetch(regions[0], 0, 1), LGALLOC_STATUS_OK);
    test_set_limit(4 * MIB);
    usleep(20000);
    assert_false(lgalloc_is_resident(regions[0]));
    assert_true(lgalloc_is_resident(regions[1]));
    require_contents(0); /* everybody helps himself */
    require_contents(1);
}

/* ---- disk */

static bool disk_came_down(void *arg)
{
    return test_global().spill_file_bytes <= *(size_t *)arg;
}

static void unused_disk_goes(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_apply(spilling(1, 5));
    seal_some(0, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(lgalloc_evict(regions[i]), LGALLOC_STATUS_OK);
    }
    assert_int_equal(test_global().spill_file_bytes, MANY * 2 * MIB);
    for (size_t i = 1; i < MANY; i++) {
        lgalloc_deallocate(regions[i]);
        regions[i].len = 0;
    }
    size_t left = 66 * MIB;
    assert_true(test_eventually(disk_came_down, &left));
    require_contents(0);
}

/* ---- forks */

static void as_child(void *arg)
{
    size_t one = 1;
    TEST_REQUIRE(threads_there() == 0);
    require_contents(1); /* resident: the child's own */
    TEST_REQUIRE(lgalloc_pin(regions[0]) != LGALLOC_STATUS_OK);
    seal_some(10, 10);
    TEST_REQUIRE(lgalloc_evict(regions[10]) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(lgalloc_prefetch(regions[10], 0, 1) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_eventually(as_many_as, &one));
    for (size_t i = 10; i < 20; i++) {
        require_contents(i);
    }
}

static void children_start_their_own(void **state)
{
    UNIT_NEEDS_DISK(state);
    TEST_SKIP_FORK_WITH_THREADS();
    test_apply(spilling(1, 5));
    seal_some(0, 2);
    assert_int_equal(lgalloc_evict(regions[0]), LGALLOC_STATUS_OK);
    for (size_t i = 0; i < 3; i++) {
        test_child_succeeds(as_child, NULL);
    }
    require_contents(0);
    require_contents(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPILLS(come_and_go),
        SPILLS(refused_threads),
        SPILLS(a_share_is_kept_free),
        SPILLS(dirty_memory_goes_first),
        SPILLS(hopeless_attempts_are_few),
        SPILLS(prefetched_regions_come),
        SPILLS(hints_are_dropped),
        SPILLS(without_threads),
        SPILLS(unused_disk_goes),
        SPILLS(children_start_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
