/* Where a region comes from when the own cache has none, where it goes when that is full, and what the limit says to it. */

#include "internal.h"

#include "api/hot.h"

enum { CAPACITY = 16 };

/* What a pop of an empty cache leaves for; the region is in use then. */
static lgalloc_status refill(lg_thread *self, lg_class *c, lgalloc_handle *out_handle)
{
    lg_descriptor *region;
    int error = 0;
    bool clean;
    lgalloc_status status = lg_cache_refill(self, c, lg_class_size(c), &region, &error);
    *out_handle = (lgalloc_handle){NULL, 0};
    if (status == LGALLOC_STATUS_OK) {
        LG_COUNT_HOT(self, c, allocations, 1);
        out_handle->len = lg_class_size(c);
        TEST_REQUIRE(lg_hot_use(region, &out_handle->len, &out_handle->ptr, &clean));
    }
    return status;
}

/* Frees one as a thread does that finds its cache full, or has none. */
static void give(lg_thread *self, lgalloc_handle handle)
{
    lg_class *c = unit_class(handle.len);
    lg_descriptor *region = lg_descriptor_at(c, unit_index(handle));
    lg_store_relaxed_64(&region->state, lg_state_dirty(handle.ptr));
    lg_poison(handle.ptr, handle.len);
    lg_cache_give(self, c, region);
}

/* ---------------------------------------------------------------- a full cache */

static void half_of_a_full_cache_is_given(void **state)
{
    enum { COUNT = 3 * CAPACITY };
    lg_class *c = unit_class(MIB);
    lgalloc_handle handles[COUNT];
    (void)unit_start_with_cache(c, CAPACITY);
    test_take_all(handles, COUNT, MIB);
    lgalloc_thread_flush();
    lg_local_of(lg_self(), c)->long_overflow_run = false;
    size_t next = 0;
    while (next < CAPACITY) {
        give(lg_self(), handles[next++]);
    }
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY);
    assert_int_equal(unit_dirty(c), 0);

    /* After allocations it keeps half, since either may come next. */
    give(lg_self(), handles[next++]);
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY / 2);
    assert_int_equal(unit_dirty(c), CAPACITY / 2 + 1);

    /* Frees alone: all but one. */
    while (unit_cached(lg_self(), c) < CAPACITY) {
        give(lg_self(), handles[next++]);
    }
    uint64_t dirty = unit_dirty(c);
    give(lg_self(), handles[next++]);
    assert_int_equal(unit_cached(lg_self(), c), 1);
    assert_int_equal(unit_dirty(c), dirty + CAPACITY);
    test_free_all(handles + next, COUNT - next);
    assert_int_equal(test_class(MIB).in_use_regions, 0);
}

static void a_smaller_cache_was_configured(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handles[CAPACITY + 1];
    (void)unit_start_with_cache(c, CAPACITY);
    test_take_all(handles, CAPACITY + 1, MIB);
    lgalloc_thread_flush();
    test_free_all(handles, CAPACITY);
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY);
    test_set_local_buffer(4 * MIB);
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY); /* until its owner comes by */
    lg_local_of(lg_self(), c)->long_overflow_run = false;
    lg_local_of(lg_self(), c)->overflowed_at = UINT64_MAX;
    give(lg_self(), handles[CAPACITY]);
    assert_int_equal(unit_cached(lg_self(), c), 2);
}

static void without_a_cache(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handles[8];
    (void)unit_start_with_cache(c, 0);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        assert_int_equal(refill(lg_self(), c, &handles[i]), LGALLOC_STATUS_OK);
        assert_int_equal(unit_cached(lg_self(), c), 0);
    }
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        give(lg_self(), handles[i]);
        assert_int_equal(unit_cached(lg_self(), c), 0);
        assert_int_equal(unit_dirty(c), i + 1);
    }
}

static void without_a_record(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handle;
    (void)unit_start_with_cache(c, CAPACITY);
    lgalloc_size_class_stats before = test_class(MIB);
    for (uint64_t round = 0; round < 2; round++) { /* a clean one, and then the same, which is dirty */
        assert_int_equal(refill(NULL, c, &handle), LGALLOC_STATUS_OK);
        assert_int_equal(unit_dirty(c), 0);
        assert_int_equal(lg_charged(), MIB);
        give(NULL, handle);
        assert_int_equal(unit_dirty(c), 1);
        assert_int_equal(unit_cached(lg_self(), c), 0);
    }
    lgalloc_size_class_stats after = test_class(MIB);
    assert_int_equal(after.allocations, before.allocations + 2);
    assert_int_equal(after.deallocations, before.deallocations + 2);
}

static void by_address(void **state)
{
    lg_class *c = unit_class(MIB);
    (void)unit_start_with_cache(c, CAPACITY);
    lgalloc_handle handle = test_take(MIB);
    lg_descriptor *region = lg_descriptor_at(c, unit_index(handle));
    uint64_t cached = unit_cached(lg_self(), c);
    lg_store_relaxed_64(&region->state, lg_state_dirty(handle.ptr));
    lg_poison(handle.ptr, handle.len);
    lg_cache_give_address(handle.ptr);
    assert_int_equal(unit_cached(lg_self(), c), cached + 1);
}

static void what_idles_is_bounded(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handles[8];
    (void)unit_start_with_cache(c, 0);
    test_take_all(handles, TEST_COUNT(handles), MIB);
    lgalloc_config *config = test_config();
    lgalloc_config_idle_bytes(config, 3 * MIB);
    test_apply(config);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        give(lg_self(), handles[i]);
        assert_int_equal(unit_dirty(c), lg_min(i + 1, 3));
    }
    assert_int_equal(lg_charged(), 3 * MIB);
}

static void a_rejected_region_is_cleared(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handle;
    (void)unit_start_with_cache(c, CAPACITY);
    lg_descriptor *region;
    int error = 0;
    assert_int_equal(lg_cache_refill(NULL, c, MIB, &region, &error), LGALLOC_STATUS_OK);
    uint64_t clean = unit_clean(c);
    lg_cache_reject(lg_self(), c, region);
    assert_int_equal(unit_clean(c), clean + 1);
    assert_int_equal(unit_dirty(c), 0);
    assert_int_equal(lg_charged(), 0);
    handle = test_take(MIB);
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- the search */

/* What is dirty has its memory; what is clean takes a page fault, and is charged. */
static void dirty_ones_first(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handle;
    lg_local *local = unit_start_with_cache(c, CAPACITY);
    unit_make_dirty(4, MIB);
    uint64_t clean = unit_clean(c), charged = lg_charged();
    assert_in_range(clean, 1, UINT64_MAX);
    local->home_at = NULL;
    assert_int_equal(refill(lg_self(), c, &handle), LGALLOC_STATUS_OK);
    assert_int_equal(unit_clean(c), clean);
    assert_int_equal(lg_charged(), charged);
    assert_int_equal(unit_cached(lg_self(), c) + unit_dirty(c), 3);
    assert_ptr_equal(local->home_at,
                     lg_bitmap_at(&c->pools[LG_DIRTY_POOL], unit_index(handle) / 64)); /* its home now */
    lgalloc_deallocate(handle);
}

/* Who can't charge a batch charges one, and looks no further. */
static void one_clean_region_where_the_limit_is_near(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle first, second;
    (void)unit_start_with_cache(c, CAPACITY);
    assert_int_equal(refill(lg_self(), c, &first), LGALLOC_STATUS_OK); /* a chunk is mapped */
    lgalloc_thread_flush();
    uint64_t slow = test_class(MIB).slow_path;
    test_set_limit(2 * MIB);
    assert_int_equal(refill(lg_self(), c, &second), LGALLOC_STATUS_OK);
    assert_int_equal(unit_cached(lg_self(), c), 0);
    assert_int_equal(lg_charged(), 2 * MIB);
    assert_int_equal(test_class(MIB).slow_path, slow);
    lgalloc_deallocate(first);
    lgalloc_deallocate(second);
}

static void refused_by_the_limit(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle first, second;
    (void)unit_start_with_cache(c, CAPACITY);
    test_set_limit(MIB);
    uint64_t failures = test_global().limit_failures;
    assert_int_equal(refill(lg_self(), c, &first), LGALLOC_STATUS_OK);
    assert_false(lg_refused_by_limit);
    assert_int_equal(refill(lg_self(), c, &second), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_true(lg_refused_by_limit);
    assert_int_equal(test_global().limit_failures, failures + 1);

    /* What another class has in its cache is cleared before that. */
    lgalloc_deallocate(first);
    assert_int_equal(unit_cached(lg_self(), c), 1);
    assert_int_equal(refill(lg_self(), unit_class(512 * KIB), &second), LGALLOC_STATUS_OK);
    assert_false(lg_refused_by_limit);
    assert_int_equal(test_global().limit_failures, failures + 1);
    assert_int_equal(unit_cached(lg_self(), c), 0);
    lgalloc_deallocate(second);
}

/* Another thread, with regions in its cache. */
static void fills_its_cache(void *arg)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handles[CAPACITY];
    test_take_all(handles, CAPACITY, MIB);
    lgalloc_thread_flush();
    test_free_all(handles, *(size_t *)arg);
    for (size_t i = *(size_t *)arg; i < CAPACITY; i++) {
        lg_exchange_send(lg_self(), c, (lg_batch){0, 0}, 0);
        give(NULL, handles[i]);
    }
    TEST_REQUIRE(unit_cached(lg_self(), c) == *(size_t *)arg);
}

static void frees_this(void *arg)
{
    lgalloc_deallocate(*(lgalloc_handle *)arg);
}

/* The pools are empty, in the eyes of one who looks for regions; 16 of them. */
static void steals_half_of_what_others_cache(void **state)
{
    lg_class *c = unit_class(MIB);
    static struct test_actor victim;
    size_t cached = 10;
    lgalloc_handle handles[64], handle;
    (void)unit_start_with_cache(c, CAPACITY);
    test_actor_start(&victim);
    test_actor_call(&victim, fills_its_cache, &cached);
    lgalloc_thread_flush();
    size_t count = 0;
    while (unit_dirty(c) + unit_clean(c) + unit_cached(lg_self(), c) != 0) {
        TEST_REQUIRE(count < TEST_COUNT(handles));
        handles[count++] = test_take(MIB);
    }
    uint64_t steals = test_class(MIB).steals;
    assert_int_equal(refill(lg_self(), c, &handle), LGALLOC_STATUS_OK);
    assert_int_equal(test_class(MIB).steals, steals + cached / 2);
    assert_int_equal(unit_cached(lg_self(), c), cached / 2 - 1); /* one is handed out */
    lgalloc_deallocate(handle);

    /* No more than it has space for. */
    lgalloc_thread_flush();
    for (size_t i = 0; i < cached / 2; i++) {
        handles[count++] = test_take(MIB);
    }
    test_set_local_buffer(MIB);
    assert_int_equal(refill(lg_self(), c, &handle), LGALLOC_STATUS_OK);
    assert_in_range(unit_cached(lg_self(), c), 0, 1);
    lgalloc_deallocate(handle);
    test_actor_stop(&victim);
    test_free_all(handles, count);
}

/* From a thread that only frees others steal, until it passes its regions on by itself. */
static void who_only_frees_passes_on(void **state)
{
    lg_class *c = unit_class(MIB);
    static struct test_actor actor;
    size_t cached = 2;
    (void)unit_start_with_cache(c, CAPACITY);
    test_actor_start(&actor);
    test_actor_call(&actor, fills_its_cache, &cached);
    lgalloc_thread_flush();
    lg_thread *other = lg_thread_at(1);
    assert_int_equal(unit_cached(other, c), cached);
    lgalloc_handle handle;
    uint64_t items[LG_STEAL_MAX];
    for (unsigned round = 0; round < LG_ONLY_FREES + 1; round++) {
        assert_false(lg_thread_only_frees(other, c));
        lg_transit_enter(lg_self());
        uint64_t n = lg_threads_steal(lg_self(), c, LG_STEAL_MAX, items);
        for (uint64_t i = 0; i < n; i++) {
            lg_pool_return(lg_self(), c, lg_item_descriptor(items[i]));
        }
        lg_transit_leave(lg_self());
        handle = test_take(MIB);
        test_actor_call(&actor, frees_this, &handle);
    }
    assert_true(lg_thread_only_frees(other, c));
    /* Its last known room is used up first; from then on it keeps so many at most, and none of them when it has more. */
    uint64_t most = 0;
    for (unsigned i = 0; i < 4 * CAPACITY; i++) {
        handle = test_take(MIB);
        test_actor_call(&actor, frees_this, &handle);
        most = i < 2 * CAPACITY ? 0 : lg_max(most, unit_cached(other, c));
        if (i >= 2 * CAPACITY && unit_cached(other, c) == 0) {
            break;
        }
    }
    assert_int_equal(unit_cached(other, c), 0);
    assert_in_range(most, 0, LG_ONLY_FREES_KEEPS);
    lgalloc_thread_flush();
    test_actor_stop(&actor);
}

/* ---------------------------------------------------------------- all of it */

static void a_flush_empties_all_classes(void **state)
{
    static const size_t sizes[] = {64 * KIB, MIB, 4 * MIB};
    (void)unit_start_with_cache(unit_class(MIB), CAPACITY);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        test_churn(2, sizes[i]);
        assert_in_range(unit_cached(lg_self(), unit_class(sizes[i])), 2, 64);
    }
    lg_cache_flush(lg_self());
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(unit_cached(lg_self(), unit_class(sizes[i])), 0);
    }
    assert_int_equal(lg_pool_dirty_bytes(), lg_charged());
    assert_int_not_equal(lg_charged(), 0);
    test_churn(2, MIB);
    lg_cache_clear_all(lg_self());
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(unit_cached(lg_self(), unit_class(sizes[i])), 0);
        assert_int_equal(unit_dirty(unit_class(sizes[i])), 0);
    }
    assert_int_equal(lg_charged(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(half_of_a_full_cache_is_given),
        UNIT_ANONYMOUS(a_smaller_cache_was_configured),
        UNIT_ANONYMOUS(without_a_cache),
        UNIT_BOTH(without_a_record),
        UNIT_ANONYMOUS(by_address),
        UNIT_BOTH(what_idles_is_bounded),
        UNIT_BOTH(a_rejected_region_is_cleared),
        UNIT_ANONYMOUS(dirty_ones_first),
        UNIT_ANONYMOUS(one_clean_region_where_the_limit_is_near),
        UNIT_BOTH(refused_by_the_limit),
        UNIT_ANONYMOUS(steals_half_of_what_others_cache),
        UNIT_ANONYMOUS(who_only_frees_passes_on),
        UNIT_BOTH(a_flush_empties_all_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
