/* The shared pools' counts, and the account of what is in use or dirty. */

#include "internal.h"

#include <string.h>
#include <time.h>

static void set_limit(uint64_t bytes)
{
    lg_store_relaxed_64(&lg_options[LG_OPTION_limit_bytes], bytes);
}

static void charges_and_limits(void **state)
{
    uint64_t before = lg_charged();
    assert_true(lg_charge(0));
    assert_int_equal(lg_charged(), before);
    assert_true(lg_charge_possible(UINT64_MAX));
    set_limit(before + 100);
    assert_false(lg_charge(101));
    assert_false(lg_charge(UINT64_MAX));
    assert_false(lg_charge(UINT64_MAX - before));
    assert_true(lg_charge(100));
    assert_int_equal(lg_charged(), before + 100);
    assert_false(lg_charge(1));
    assert_true(lg_charge(0));
    assert_true(lg_charge_possible(before + 100));
    assert_false(lg_charge_possible(before + 101));
    lg_discharge(40);
    assert_false(lg_charge(41));
    assert_true(lg_charge(40));
    /* A limit that was lowered below the charge lets nothing in until there is room. */
    set_limit(before + 50);
    assert_false(lg_charge(1));
    lg_discharge(60);
    assert_true(lg_charge(10));
    assert_false(lg_charge(1));
    set_limit(0);
    assert_true(lg_charge(1));
    lg_discharge(51);
    assert_int_equal(lg_charged(), before);
}

/* ---------------------------------------------------------------- racing for the last room */

enum { RACERS = 4, ROOM = 5 /* two racers may want more than that */ };

static atomic_int inside; /* units that the racers hold: never more than the limit has room for */
static atomic_ulong granted;
static uint64_t room_before;
static atomic_bool race_over;
static pthread_barrier_t race_start;

static void *races_for_room(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    pthread_barrier_wait(&race_start);
    while (!atomic_load_explicit(&race_over, memory_order_relaxed)) {
        int want = 1 + (int)(test_random(&random) % 4);
        if (lg_charge((uint64_t)want)) {
            TEST_REQUIRE(atomic_fetch_add(&inside, want) + want <= ROOM);
            TEST_REQUIRE(lg_charged() <= room_before + ROOM);
            atomic_fetch_add(&granted, 1);
            atomic_fetch_sub(&inside, want);
            lg_discharge((uint64_t)want);
        }
    }
    return NULL;
}

static bool one_was_granted(void *arg)
{
    return atomic_load(&granted) != 0;
}

static void no_more_than_the_limit(void **state)
{
    room_before = lg_charged();
    atomic_store(&race_over, false);
    assert_int_equal(pthread_barrier_init(&race_start, NULL, RACERS), 0);
    set_limit(room_before + ROOM);
    pthread_t threads[RACERS];
    for (uintptr_t i = 0; i < RACERS; i++) {
        test_spawn(&threads[i], races_for_room, (void *)(i + 1));
    }
    struct timespec while_they_race = {0, (long)test_scale(400, 50) * 1000000};
    nanosleep(&while_they_race, NULL);
    assert_true(test_eventually(one_was_granted, NULL)); /* the machine may have had no time for them until now */
    atomic_store(&race_over, true);
    for (size_t i = 0; i < RACERS; i++) {
        test_join(threads[i]);
    }
    set_limit(0);
    pthread_barrier_destroy(&race_start);
    assert_int_equal(lg_charged(), room_before);
}

/* ---------------------------------------------------------------- counts */

static void counts_what_is_there(void **state)
{
    lg_class *c = unit_class(64 * KIB);
    lg_area area;
    (void)unit_self();
    (void)lgalloc_purge();
    /* Before the first area there is nothing to look at. */
    lg_class *last = lg_class_at((unsigned)lg_layout_.classes - 1);
    if (lg_load_relaxed_64(&last->limit) == 0) {
        assert_int_equal(lg_pool_claim(lg_self(), last, LG_CLEAN_POOL, 64, false).mask, 0);
        assert_int_equal(lg_pool_claim(lg_self(), last, LG_DIRTY_POOL, 64, true).mask, 0);
    }
    assert_int_equal(unit_map_area(c, &area), 0);
    uint64_t regions = area.len / (64 * KIB);
    assert_int_equal(unit_clean(c), regions);
    assert_int_equal(unit_dirty(c), 0);

    assert_true(lg_charge(10 * 64 * KIB));
    lg_batch batch = lg_pool_claim(lg_self(), c, LG_CLEAN_POOL, 10, false);
    assert_int_equal(batch.word, 0);
    assert_int_equal(batch.mask, 0x3ff);
    assert_int_equal(unit_clean(c), regions - 10);
    lg_batch scanned = lg_pool_claim(lg_self(), c, LG_CLEAN_POOL, 1, true);
    assert_int_equal(scanned.mask, 0x400);
    lg_pool_give(lg_self(), c, LG_CLEAN_POOL, scanned);

    /* Part of a batch is there, or none of it. */
    lg_batch part = lg_pool_claim_mask(lg_self(), c, LG_CLEAN_POOL, (lg_batch){0, 0xf00});
    assert_int_equal(part.mask, 0xc00);
    assert_int_equal(unit_clean(c), regions - 12);
    lg_pool_give(lg_self(), c, LG_CLEAN_POOL, part);
    assert_int_equal(lg_pool_claim_mask(lg_self(), c, LG_CLEAN_POOL, (lg_batch){0, 0x3ff}).mask, 0);
    assert_int_equal(lg_pool_claim_mask(lg_self(), c, LG_DIRTY_POOL, (lg_batch){0, ~(uint64_t)0}).mask, 0);
    assert_int_equal(unit_clean(c), regions - 10);
    lg_pool_give(lg_self(), c, LG_CLEAN_POOL, (lg_batch){5, 0});
    assert_int_equal(unit_clean(c), regions - 10);

    /* They go to the pool that their state names; the clean are discharged. */
    uint64_t charged = lg_charged();
    uint64_t dirty_bytes = lg_pool_dirty_bytes();
    for (uint64_t i = 0; i < 4; i++) {
        lg_store_relaxed_64(&lg_descriptor_at(c, i)->state, lg_state_dirty(lg_region_address(c, i)));
    }
    for (uint64_t i = 0; i < 10; i++) {
        lg_pool_return(lg_self(), c, lg_descriptor_at(c, i));
    }
    assert_int_equal(unit_clean(c), regions - 4);
    assert_int_equal(unit_dirty(c), 4);
    assert_int_equal(lg_charged(), charged - 6 * 64 * KIB);
    assert_int_equal(lg_pool_dirty_bytes(), dirty_bytes + 4 * 64 * KIB);
    unit_assert_sound(false);
    (void)lgalloc_purge();
    assert_int_equal(unit_clean(c), 0);
    assert_int_equal(unit_dirty(c), 0);
}

static void ranges_of_any_length(void **state)
{
    lg_class *c = unit_class(64 * KIB);
    lg_area area;
    assert_int_equal(unit_map_area(c, &area), 0);
    uint64_t regions = area.len / (64 * KIB);
    uint64_t random = 5;
    for (size_t i = 0; i < 50; i++) {
        uint64_t first = test_random(&random) % regions;
        uint64_t count = test_random(&random) % (regions - first + 1);
        uint64_t next = first, left = count;
        while (left != 0) {
            lg_batch batch = lg_batch_split(&next, &left);
            assert_int_equal(lg_pool_claim_mask(lg_self(), c, LG_CLEAN_POOL, batch).mask, batch.mask);
        }
        assert_int_equal(unit_clean(c), regions - count);
        for (next = first, left = count; left != 0;) {
            lg_pool_give(lg_self(), c, LG_CLEAN_POOL, lg_batch_split(&next, &left));
        }
        assert_int_equal(unit_clean(c), regions);
    }
    unit_assert_sound(false);
}

static void commits_once(void **state)
{
    lg_class *c = unit_class(32 * MIB);
    (void)unit_self();
    if (lg_class_for(32 * MIB) == NULL) {
        TEST_SKIP("too little address space for large regions");
    }
    lg_area area;
    assert_int_equal(unit_map_area(c, &area), 0);
    uint64_t before = lg_load_relaxed_64(&lg_metadata_bytes);
    lg_lock_acquire(&lg_arena_lock);
    assert_int_equal(lg_class_extend(c, area.start >> LG_CHUNK_LOG2, 1), 0);
    lg_lock_release(&lg_arena_lock);
    assert_int_equal(lg_load_relaxed_64(&lg_metadata_bytes), before);
}

/* ---------------------------------------------------------------- what must not happen */

static void gives_twice(void *arg)
{
    lgalloc_handle handle = test_take(MIB);
    lg_class *c = unit_class(MIB);
    uint64_t index = unit_index(handle);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    lg_pool_give(lg_self(), c, LG_DIRTY_POOL, lg_batch_of(index));
}

/* A region in the own cache twice, as after two threads freed it in the same instant and one stole it from the other. */
static lgalloc_handle cache_twice(void)
{
    lgalloc_handle handle = test_take(MIB);
    lg_class *c = unit_class(MIB);
    lg_descriptor *region = lg_descriptor_at(c, unit_index(handle));
    lgalloc_thread_flush(); /* so that there is space for both */
    lgalloc_deallocate(handle);
    TEST_REQUIRE(lg_deque_push(&lg_bin_of(lg_self(), c)->deque, (uintptr_t)region));
    return handle;
}

static void sends_what_is_cached_twice(void *arg)
{
    (void)cache_twice();
    lgalloc_thread_flush();
}

static void allocates_what_is_cached_twice(void *arg)
{
    void *ptr = cache_twice().ptr;
    TEST_REQUIRE(test_take(MIB).ptr == ptr);
    (void)test_take(MIB);
}

static void mallocs_what_is_cached_twice(void *arg)
{
    void *ptr = cache_twice().ptr;
    TEST_REQUIRE(lgalloc_malloc(MIB) == ptr);
    TEST_REQUIRE(lgalloc_malloc(MIB) != NULL);
}

static void makes_regions_of_what_is_cached_twice(void *arg)
{
    lgalloc_region regions[2];
    (void)cache_twice();
    (void)lgalloc_region_new_mmap(MIB, 1, 1, &regions[0]);
    (void)lgalloc_region_new_mmap(MIB, 1, 1, &regions[1]);
}

static void discharges_too_much(void *arg)
{
    lg_discharge(lg_charged() + 1);
}

static void found_out(void **state)
{
    static const struct {
        void (*function)(void *arg);
        const char *error;
    } wrong[] = {
        {gives_twice, "lgalloc: double free: region 0x"},
        {sends_what_is_cached_twice, "lgalloc: double free: region 0x"},
        {allocates_what_is_cached_twice, "lgalloc: double free: region 0x"},
        {mallocs_what_is_cached_twice, "lgalloc: double free: region 0x"},
        {makes_regions_of_what_is_cached_twice, "lgalloc: double free: region 0x"},
        {discharges_too_much, "lgalloc: internal check failed: "},
    };
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        struct test_child child;
        test_child_aborts(wrong[i].function, NULL, &child);
        if (strstr(child.errors, wrong[i].error) == NULL)
            fail_msg("not \"%s\", but \"%s\"", wrong[i].error, child.errors);
    }
}

/* The verifier sees each of these, which nothing else would tell apart from order. */
static void breaks_a_state(void)
{
    lg_class *c = unit_class(MIB);
    lg_store_relaxed_64(&lg_descriptor_at(c, 1)->state, lg_state_in_use(lg_region_address(c, 1)));
}

static void breaks_a_count(void)
{
    lg_add_relaxed_64(&unit_class(MIB)->pooled[LG_DIRTY_POOL], 1);
}

static void breaks_the_charge(void)
{
    TEST_REQUIRE(lg_charge(1));
}

static void loses_a_region(void)
{
    (void)lg_pool_claim(lg_self(), unit_class(MIB), LG_CLEAN_POOL, 1, false);
}

static void puts_one_in_two_pools(void)
{
    lg_class *c = unit_class(MIB);
    TEST_REQUIRE(unit_dirty(c) != 0);
    lg_batch batch = lg_pool_claim(lg_self(), c, LG_DIRTY_POOL, 1, false);
    lg_pool_give(lg_self(), c, LG_DIRTY_POOL, batch);
    lg_pool_give(lg_self(), c, LG_CLEAN_POOL, batch);
}

static void writes_to_a_clean_one(void)
{
    lg_class *c = unit_class(MIB);
    lg_batch batch = lg_pool_claim(lg_self(), c, LG_CLEAN_POOL, 1, false);
    lg_pool_give(lg_self(), c, LG_CLEAN_POOL, batch);
    char *address = lg_region_address(c, lg_batch_pop_lowest(&batch));
    lg_unpoison(address, MIB);
    address[5000] = 1;
}

static void breaks_and_verifies(void *arg)
{
    void (*const *breaks)(void) = arg;
    unit_make_dirty(6, MIB);
    unit_require_sound(true);
    (*breaks)();
    unsigned log2 = 0;
    const char *wrong = lg_verify(true, &log2);
    TEST_REQUIRE(wrong != NULL && wrong[0] != '\0');
    TEST_REQUIRE(log2 == 20 || log2 == LG_CLASS_MIN);
}

static void the_verifier_sees_it(void **state)
{
    static void (*breaks[])(void) = {breaks_a_state, breaks_a_count,        breaks_the_charge,
                                     loses_a_region, puts_one_in_two_pools, writes_to_a_clean_one};
    for (size_t i = 0; i < TEST_COUNT(breaks); i++) {
        test_child_succeeds(breaks_and_verifies, &breaks[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(charges_and_limits),   UNIT_ANONYMOUS(no_more_than_the_limit), UNIT_BOTH(counts_what_is_there),
        UNIT_ANONYMOUS(ranges_of_any_length), UNIT_ANONYMOUS(commits_once),           UNIT_ANONYMOUS(found_out),
        UNIT_ANONYMOUS(the_verifier_sees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
