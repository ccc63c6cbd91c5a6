/* Giving back: neighbours in one call, within budgets, patiently where it fails, and for whoever needs room. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

static enum lg_system_call clearing(void **state)
{
    return test_backing(state) == LGALLOC_BACKING_FILE ? LG_SYS_ADVISE_REMOVE : LG_SYS_ADVISE_DISCARD;
}

static uint64_t reclaim(lg_class *c, uint64_t regions, uint64_t bytes)
{
    return lg_reclaim_dirty(lg_self(), c, regions, bytes, false);
}

/* ---------------------------------------------------------------- runs */

/* All but those at the given positions are dirty and in the pool. */
static void make_dirty_but(size_t count, size_t bytes, uint64_t keep, lgalloc_handle *kept)
{
    lgalloc_handle handles[64];
    TEST_REQUIRE(count <= 64);
    test_take_all(handles, count, bytes);
    for (size_t i = 0; i < count; i++) {
        test_mark(handles[i], i);
    }
    for (size_t i = 0; i < count; i++) {
        /* Regions come lowest first within a batch, but not over batches: their index decides. */
        uint64_t index = unit_index(handles[i]);
        if (index < 64 && (keep >> index & 1) != 0) {
            *kept++ = handles[i];
        } else {
            lgalloc_deallocate(handles[i]);
        }
    }
    lgalloc_thread_flush();
}

static void neighbours_in_one_call(void **state)
{
    static const struct {
        uint64_t keep;
        size_t kept, calls;
    } cases[] = {
        {0, 0, 1}, {0x8000000000000000u, 1, 1}, {1, 1, 1}, {0x10, 1, 2}, {0x5550, 6, 7}, {0xaaaaaaaaaaaaaaaau, 32, 32},
    };
    lg_class *c = unit_class(64 * KIB);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        lgalloc_handle kept[64];
        make_dirty_but(64, 64 * KIB, cases[i].keep, kept);
        uint64_t charged = lg_charged();
        assert_int_equal(unit_dirty(c), 64 - cases[i].kept);
        unit_fault_watch();
        assert_int_equal(reclaim(c, UINT64_MAX, UINT64_MAX), (64 - cases[i].kept) * 64 * KIB);
        assert_int_equal(unit_fault_seen(clearing(state)), cases[i].calls);
        assert_int_equal(unit_dirty(c), 0);
        assert_int_equal(lg_charged(), charged - (64 - cases[i].kept) * 64 * KIB);
        unit_assert_sound(false);
        /* With nothing dirty there is nothing to ask for. */
        unit_fault_watch();
        assert_int_equal(reclaim(c, UINT64_MAX, UINT64_MAX), 0);
        assert_int_equal(unit_fault_seen(clearing(state)), 0);
        for (size_t j = 0; j < cases[i].kept; j++) {
            lgalloc_deallocate(kept[j]);
        }
        (void)lgalloc_purge();
    }
}

/* A fault elsewhere in the file waits for one step at most; where nobody waits, steps are larger. */
static void in_steps(void **state)
{
    (void)unit_self();
    if (lg_class_for(256 * MIB) == NULL) {
        TEST_SKIP("too little address space for large regions");
    }
    static const struct {
        size_t bytes, file, anonymous;
    } cases[] = {{2 * MIB, 1, 1}, {32 * MIB, 1, 1}, {64 * MIB, 2, 1}, {128 * MIB, 4, 1}, {256 * MIB, 8, 2}};
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        unit_make_dirty(1, cases[i].bytes);
        unit_fault_watch();
        assert_int_equal(reclaim(unit_class(cases[i].bytes), UINT64_MAX, UINT64_MAX), cases[i].bytes);
        assert_int_equal(unit_fault_seen(clearing(state)),
                         test_backing(state) == LGALLOC_BACKING_FILE ? cases[i].file : cases[i].anonymous);
    }
}

/* Regions of one word may be of several areas. */
static void not_across_areas(void **state)
{
    lg_class *c = unit_class(2 * MIB);
    (void)unit_self();
    if (lg_class_room(c) < 64) {
        TEST_SKIP("too little address space for several areas");
    }
    unit_make_dirty(40, 2 * MIB); /* 16 regions in the first area, 32 in the second */
    assert_int_equal(lg_area_count(c), 2);
    lg_batch batch = {0, 0};
    lg_transit_enter(lg_self());
    batch = lg_pool_claim(lg_self(), c, LG_DIRTY_POOL, 64, false);
    assert_int_equal(lg_batch_count(batch), 40);
    uint64_t eager = test_class(2 * MIB).clear_eager_total;
    unit_fault_watch();
    assert_int_equal(lg_reclaim_batch(lg_self(), c, batch, true), 80 * MIB);
    lg_transit_leave(lg_self());
    /* 32 MiB of the first, 48 of the second, which are two steps of a file. */
    assert_int_equal(unit_fault_seen(clearing(state)), test_backing(state) == LGALLOC_BACKING_FILE ? 3 : 2);
    assert_int_equal(test_class(2 * MIB).clear_eager_total, eager + 40);
    unit_assert_sound(test_backing(state) == LGALLOC_BACKING_ANONYMOUS);
}

/* Cleared is cleared: no page is left in memory. */
static void leaves_nothing_in_memory(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handle = test_take(MIB);
    memset(handle.ptr, 0x77, handle.len);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    lgalloc_size_class_stats before = test_class(MIB);
    assert_int_equal(reclaim(c, UINT64_MAX, UINT64_MAX), MIB);
    lgalloc_size_class_stats after = test_class(MIB);
    assert_int_equal(after.clear_slow_total, before.clear_slow_total + 1);
    assert_int_equal(after.clear_eager_total, before.clear_eager_total);
    if (test_backing(state) == LGALLOC_BACKING_FILE) {
        uint64_t files, size, allocated;
        assert_int_equal(lg_arena_files_usage(c, &files, &size, &allocated), 0);
        assert_int_equal(allocated, 0);
    } else {
        unit_assert_sound(true);
    }
    assert_int_equal(lgalloc_allocate_zeroed(MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_OK);
    assert_true(test_filled(handle.ptr, handle.len, 0));
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- budgets */

static void within_budgets(void **state)
{
    lg_class *c = unit_class(MIB);
    static const struct {
        uint64_t regions, bytes, cleared;
    } cases[] = {
        {5, UINT64_MAX, 5},       {1, UINT64_MAX, 1}, {0, UINT64_MAX, 0},       {UINT64_MAX, 0, 0},
        {UINT64_MAX, 3 * MIB, 3}, {UINT64_MAX, 1, 1}, {UINT64_MAX, MIB - 1, 1}, {UINT64_MAX, 5 * MIB / 2, 3},
        {2, 7 * MIB, 2},          {7, 2 * MIB, 2},    {100, 100 * MIB, 20},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        unit_make_dirty(20, MIB);
        uint64_t dirty = unit_dirty(c);
        assert_int_equal(dirty, 20);
        uint64_t cleared = reclaim(c, cases[i].regions, cases[i].bytes);
        /* A region that is begun is finished: a bound in bytes may be passed by less than one. */
        assert_in_range(cleared / MIB, cases[i].cleared - (cases[i].bytes % MIB != 0 && cases[i].cleared > 1),
                        cases[i].cleared);
        assert_int_equal(unit_dirty(c), dirty - cleared / MIB);
        /* The lowest go first. */
        for (uint64_t r = 0; r < 20; r++) {
            assert_int_equal(lg_bitmap_has(&c->pools[LG_DIRTY_POOL], r), r >= cleared / MIB);
        }
        unit_assert_sound(false);
        (void)lgalloc_purge();
    }
}

/* ---------------------------------------------------------------- failures */

static void patient_after_failures(void **state)
{
    lg_class *c = unit_class(MIB);
    enum lg_system_call call = clearing(state);
    unit_make_dirty(8, MIB);
    uint64_t failures = lg_load_relaxed_64(&lg_clear_failures);
    /* Tries at rounds 0, 2, 6, 14, ...: the waits are 1, 3, 7, ... up to 1023. */
    uint64_t next = 0, wait = 1, tries = 0;
    for (uint64_t round = 0; round < 6000; round++) {
        unit_fault_arm(UNIT_CALL_BIT(call), 0, UNIT_FOREVER, EIO);
        assert_int_equal(lg_reclaim_dirty(lg_self(), c, UINT64_MAX, UINT64_MAX, true), 0);
        assert_int_equal(unit_fault_seen(call), round == next);
        if (round == next) {
            tries++;
            next += wait + 1;
            wait = lg_min(2 * wait + 1, 1023);
        }
        assert_int_equal(unit_dirty(c), 8);
    }
    assert_in_range(tries, 14, 16);
    assert_int_equal(lg_load_relaxed_64(&lg_clear_failures), failures + tries);
    unit_assert_sound(false);

    /* A thread that needs the memory doesn't wait. */
    unit_fault_arm(UNIT_CALL_BIT(call), 0, 1, EIO);
    assert_int_equal(reclaim(c, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(unit_fault_hits(UNIT_CALL_BIT(call)), 1);
    assert_int_equal(reclaim(c, 4, UINT64_MAX), 4 * MIB);
    /* After a success it is as if nothing had been. */
    unit_fault_arm(UNIT_CALL_BIT(call), 0, UNIT_FOREVER, EIO);
    assert_int_equal(lg_reclaim_dirty(lg_self(), c, UINT64_MAX, UINT64_MAX, true), 0);
    assert_int_equal(unit_fault_seen(call), 1);
    assert_int_equal(lg_reclaim_dirty(lg_self(), c, UINT64_MAX, UINT64_MAX, true), 0);
    assert_int_equal(unit_fault_seen(call), 1);
    unit_fault_off();
    assert_int_equal(lg_reclaim_dirty(lg_self(), c, UINT64_MAX, UINT64_MAX, true), 4 * MIB);
}

/* What fails in one place of an area will fail in the others. */
static void one_failure_is_enough(void **state)
{
    lg_class *c = unit_class(64 * KIB);
    unit_make_dirty(500, 64 * KIB); /* eight words of one area */
    assert_int_equal(lg_area_count(c), 1);
    unit_fault_arm(UNIT_CALL_BIT(clearing(state)), 0, UNIT_FOREVER, EOPNOTSUPP);
    assert_int_equal(reclaim(c, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(unit_fault_seen(clearing(state)), 1);
    assert_int_equal(unit_dirty(c), 500);
    unit_assert_sound(false);
    /* They can be used all the same. */
    unit_make_dirty(500, 64 * KIB);
    assert_int_equal(unit_dirty(c), 500);
}

/* ---------------------------------------------------------------- caches */

static void caches_some(void *arg)
{
    test_churn(*(size_t *)arg, MIB);
}

static void drains_any_cache(void **state)
{
    lg_class *c = unit_class(MIB);
    struct test_actor actors[3];
    size_t counts[3] = {3, 5, 7};
    (void)unit_self();
    test_set_local_buffer(8 * MIB);
    for (size_t i = 0; i < 3; i++) {
        test_actor_start(&actors[i]);
        test_actor_call(&actors[i], caches_some, &counts[i]);
    }
    test_churn(2, MIB);
    uint64_t cached = test_class(MIB).thread_regions;
    assert_true(cached >= 4);
    uint64_t charged = lg_charged();
    uint64_t clean = unit_clean(c);
    lg_reclaim_caches(lg_self(), c);
    assert_int_equal(test_class(MIB).thread_regions, 0);
    /* Those that had not been used since they were clean are so again. */
    uint64_t returned = unit_clean(c) - clean;
    assert_int_equal(lg_charged(), charged - returned * MIB);
    assert_int_equal(unit_dirty(c) * MIB, lg_charged());
    assert_true(unit_dirty(c) + returned >= cached);
    unit_assert_sound(false);
    for (size_t i = 0; i < 3; i++) {
        test_actor_stop(&actors[i]);
    }
}

/* ---------------------------------------------------------------- areas that nobody uses */

static void areas_idle_for_some_ticks(void **state)
{
    lg_class *c = unit_class(MIB);
    uint64_t released = lg_load_relaxed_64(&c->areas_released);
    unit_make_dirty(4, MIB);
    for (unsigned tick = 1; tick <= 3; tick++) {
        assert_int_equal(lg_area_count(c), 1);
        lg_reclaim_idle_chunks(lg_self(), c, 3);
    }
    assert_int_equal(lg_area_count(c), 0);
    assert_int_equal(lg_load_relaxed_64(&c->areas_released), released + 1);
    assert_int_equal(lg_charged(), 0);
    unit_assert_sound(true);

    /* Use starts the count again, also if it was over when the tick came. */
    unit_make_dirty(4, MIB);
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    lgalloc_handle handle = test_take(MIB);
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    assert_int_equal(lg_area_count(c), 1);
    lg_reclaim_idle_chunks(lg_self(), c, 3);
    assert_int_equal(lg_area_count(c), 0);

    /* Never, if so told. */
    unit_make_dirty(4, MIB);
    for (unsigned tick = 0; tick < 40; tick++) {
        lg_reclaim_idle_chunks(lg_self(), c, 0);
    }
    assert_int_equal(lg_area_count(c), 1);

    /* An area in use stays, whatever its neighbours do. */
    handle = test_take(MIB);
    for (unsigned tick = 0; tick < 40; tick++) {
        lg_reclaim_idle_chunks(lg_self(), c, 2);
    }
    assert_int_equal(lg_area_count(c), 1);
    test_mark(handle, 3);
    assert_true(test_marked(handle, 3));
    lgalloc_deallocate(handle);
}

static void only_the_free_areas(void **state)
{
    lg_class *c = unit_class(2 * MIB);
    (void)unit_self();
    if (lg_class_room(c) < 200) {
        TEST_SKIP("too little address space for several areas");
    }
    lgalloc_handle handles[100]; /* of three areas: 16, 32 and 64 regions */
    test_take_all(handles, TEST_COUNT(handles), 2 * MIB);
    assert_int_equal(lg_area_count(c), 3);
    lgalloc_handle kept = {NULL, 0};
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        if (unit_index(handles[i]) == 20) {
            kept = handles[i];
            test_mark(kept, 20);
        } else {
            lgalloc_deallocate(handles[i]);
        }
    }
    assert_int_not_equal(kept.len, 0);
    lgalloc_thread_flush();
    (void)lg_reclaim_chunks(lg_self(), c);
    assert_int_equal(lg_area_count(c), 1);
    lg_area area;
    assert_true(lg_area_next(c, 0, &area));
    assert_int_equal(area.start, 32 * MIB);
    assert_true(test_marked(kept, 20));
    unit_assert_sound(false);
    lgalloc_deallocate(kept);
}

/* ---------------------------------------------------------------- room */

static void clears_to_make_room(void **state)
{
    struct test_actor actor;
    size_t count = 8;
    lg_class *c = unit_class(MIB);
    (void)unit_self();
    test_actor_start(&actor);
    test_actor_call(&actor, caches_some, &count); /* dirty, in another thread's cache */
    lgalloc_handle used = test_take(4 * MIB);
    unit_make_dirty(2, 2 * MIB); /* dirty, in another class's pool */
    lgalloc_thread_flush();
    uint64_t charged = lg_charged();
    test_set_limit(charged + MIB);

    /* There is room: nothing is cleared. */
    unit_fault_watch();
    assert_true(lg_reclaim_room(lg_self(), MIB));
    assert_int_equal(unit_fault_seen(clearing(state)), 0);
    assert_int_equal(lg_charged(), charged + MIB);
    /* There is none: the pools first. */
    assert_true(lg_reclaim_room(lg_self(), MIB));
    assert_true(unit_fault_seen(clearing(state)) != 0);
    assert_true(lg_charged() <= charged + MIB);
    assert_true(test_class(MIB).thread_regions != 0);
    lg_discharge(2 * MIB);
    /* Then the caches, until only what is in use is left. */
    test_set_limit(4 * MIB + 3 * MIB);
    assert_true(lg_reclaim_room(lg_self(), 3 * MIB));
    assert_int_equal(lg_charged(), 4 * MIB + 3 * MIB);
    assert_int_equal(test_class(MIB).thread_regions, 0);
    assert_int_equal(unit_dirty(c), 0);
    assert_false(lg_reclaim_room(lg_self(), MIB));
    assert_int_equal(lg_charged(), 4 * MIB + 3 * MIB);
    lg_discharge(3 * MIB);
    unit_assert_sound(false);
    test_set_limit(0);
    lgalloc_deallocate(used);
    test_actor_stop(&actor);
}

/* Room that can't be made is no room, and the charge is what it was. */
static void no_room_where_clearing_fails(void **state)
{
    unit_make_dirty(4, MIB);
    uint64_t charged = lg_charged();
    test_set_limit(charged);
    unit_fault_arm(UNIT_CALL_BIT(clearing(state)), 0, UNIT_FOREVER, EIO);
    assert_false(lg_reclaim_room(lg_self(), MIB));
    unit_fault_off();
    assert_int_equal(lg_charged(), charged);
    assert_int_equal(unit_dirty(unit_class(MIB)), 4);
    assert_true(lg_reclaim_room(lg_self(), MIB));
    lg_discharge(MIB);
    test_set_limit(0);
}

/* ---------------------------------------------------------------- bounds on what stays dirty */

static void idle_bytes_are_kept(void **state)
{
    static const size_t bounds[] = {0, 3 * MIB, 10 * MIB};
    for (size_t i = 0; i < TEST_COUNT(bounds); i++) {
        lgalloc_config *config = test_config();
        lgalloc_config_idle_bytes(config, bounds[i]);
        test_apply(config);
        unit_make_dirty(20, MIB);
        assert_in_range(lg_pool_dirty_bytes(), bounds[i], bounds[i]);
        unit_make_dirty(10, 2 * MIB);
        assert_true(lg_pool_dirty_bytes() <= bounds[i]);
        unit_assert_sound(false);
        (void)lgalloc_purge();
    }
}

static void eager_return_clears_what_leaves(void **state)
{
    lgalloc_config *config = test_config();
    lgalloc_config_eager_return(config, true);
    test_apply(config);
    test_set_local_buffer(4 * MIB);
    lgalloc_size_class_stats before = test_class(MIB);
    test_churn(20, MIB);
    assert_int_equal(unit_dirty(unit_class(MIB)), 0);
    lgalloc_size_class_stats after = test_class(MIB);
    assert_true(after.thread_regions <= 4);
    /* Some that are cached may never have been used: they are clean already. */
    assert_in_range(after.clear_eager_total - before.clear_eager_total, 20 - after.thread_regions, 20);
    lgalloc_thread_flush();
    assert_int_equal(unit_dirty(unit_class(MIB)), 0);
    assert_int_equal(lg_charged(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(neighbours_in_one_call),
        UNIT_BOTH(in_steps),
        UNIT_BOTH(not_across_areas),
        UNIT_BOTH(leaves_nothing_in_memory),
        UNIT_BOTH(within_budgets),
        UNIT_BOTH(patient_after_failures),
        UNIT_BOTH(one_failure_is_enough),
        UNIT_BOTH(drains_any_cache),
        UNIT_BOTH(areas_idle_for_some_ticks),
        UNIT_BOTH(only_the_free_areas),
        UNIT_BOTH(clears_to_make_room),
        UNIT_BOTH(no_room_where_clearing_fails),
        UNIT_BOTH(idle_bytes_are_kept),
        UNIT_BOTH(eager_return_clears_what_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
