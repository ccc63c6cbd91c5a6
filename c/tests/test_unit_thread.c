/* Thread records: taken, given back and taken again; counters that stay; life without a record. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* A thread that has a record until it is told to end. */
struct holder {
    pthread_t thread;
    lg_thread *record;
    pthread_barrier_t *all_there, *all_seen;
};

static void *holds_a_record(void *arg)
{
    struct holder *holder = arg;
    lgalloc_handle handle = test_take(64 * KIB);
    test_mark(handle, (uintptr_t)holder);
    holder->record = lg_self();
    pthread_barrier_wait(holder->all_there);
    pthread_barrier_wait(holder->all_seen);
    TEST_REQUIRE(lg_self() == holder->record);
    TEST_REQUIRE(test_marked(handle, (uintptr_t)holder));
    lgalloc_deallocate(handle);
    return NULL;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (lg_thread *const *)a;
    uintptr_t y = (uintptr_t) * (lg_thread *const *)b;
    return x < y ? -1 : x > y;
}

/* So many threads at once. Returns how many of them had a record, all different. */
static size_t hold(size_t count)
{
    pthread_barrier_t all_there, all_seen;
    TEST_REQUIRE(pthread_barrier_init(&all_there, NULL, (unsigned)count + 1) == 0);
    TEST_REQUIRE(pthread_barrier_init(&all_seen, NULL, (unsigned)count + 1) == 0);
    struct holder *holders = calloc(count, sizeof *holders);
    lg_thread **records = calloc(count, sizeof(lg_thread *));
    TEST_REQUIRE(holders != NULL && records != NULL);
    for (size_t i = 0; i < count; i++) {
        holders[i].all_there = &all_there;
        holders[i].all_seen = &all_seen;
        test_spawn(&holders[i].thread, holds_a_record, &holders[i]);
    }
    pthread_barrier_wait(&all_there);
    size_t with = 0;
    for (size_t i = 0; i < count; i++) {
        if (holders[i].record != NULL) {
            records[with++] = holders[i].record;
        }
    }
    qsort(records, with, sizeof *records, by_address);
    for (size_t i = 1; i < with; i++) {
        assert_ptr_not_equal(records[i], records[i - 1]);
    }
    unit_assert_sound(false);
    test_assert_equations();
    pthread_barrier_wait(&all_seen);
    for (size_t i = 0; i < count; i++) {
        test_join(holders[i].thread);
    }
    pthread_barrier_destroy(&all_there);
    pthread_barrier_destroy(&all_seen);
    free(holders);
    free(records);
    return with;
}

static void *tells_its_record(void *arg)
{
    lgalloc_deallocate(test_take(64 * KIB));
    *(lg_thread **)arg = lg_self();
    return NULL;
}

static lg_thread *next_record(void)
{
    lg_thread *record = NULL;
    pthread_t thread;
    test_spawn(&thread, tells_its_record, &record);
    test_join(thread);
    return record;
}

static void recycled_lowest_first(void **state)
{
    lg_thread *own = unit_self();
    lg_thread *first = next_record();
    assert_non_null(first);
    assert_ptr_not_equal(first, own);
    uint32_t high = lg_threads_high();
    for (size_t i = 0; i < 20; i++) {
        assert_ptr_equal(next_record(), first);
    }
    assert_int_equal(lg_threads_high(), high);
}

static void many_threads(void **state)
{
    (void)unit_self();
    size_t count = test_scale(300, 60);
    lgalloc_size_class_stats before = test_class(64 * KIB);
    size_t with = hold(count);
    assert_int_equal(with, lg_min(count, lg_layout_.threads_max - 1));
    uint32_t high = lg_threads_high();
    assert_true(high > with && high <= lg_layout_.threads_max);
    /* The records of those that have ended serve those that come. */
    assert_int_equal(hold(count), with);
    assert_int_equal(lg_threads_high(), high);
    /* What ended threads counted, and what they had cached, is not lost. */
    lgalloc_size_class_stats after = test_class(64 * KIB);
    assert_int_equal(after.allocations, before.allocations + 2 * count);
    assert_int_equal(after.deallocations, before.deallocations + 2 * count);
    assert_int_equal(after.in_use_regions, 0);
    for (uint32_t id = 0; id < high; id++) {
        if (lg_thread_at(id) != lg_self()) {
            LG_EACH_CLASS(c) {
                assert_int_equal(unit_cached(lg_thread_at(id), c), 0);
            }
        }
    }
}

static void counters_never_go_down(void **state)
{
    uint64_t last = test_class(64 * KIB).allocations;
    for (size_t i = 0; i < test_scale(200, 30); i++) {
        (void)next_record();
        uint64_t now = test_class(64 * KIB).allocations;
        assert_int_equal(now, last + 1);
        last = now;
    }
}

/* ---------------------------------------------------------------- without a record */

static void works_without_a_record(void)
{
    lgalloc_handle handles[20];
    lgalloc_size_class_stats before = test_class(MIB);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = test_take(MIB);
        test_mark(handles[i], i);
        TEST_REQUIRE(lg_self() == NULL);
    }
    lgalloc_size_class_stats middle = test_class(MIB);
    TEST_REQUIRE(middle.in_use_regions == before.in_use_regions + TEST_COUNT(handles));
    TEST_REQUIRE(middle.thread_regions == 0);
    unit_require_sound(false);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
        lgalloc_deallocate(handles[i]);
    }
    lgalloc_size_class_stats after = test_class(MIB);
    TEST_REQUIRE(after.global_regions == lg_max(before.global_regions, TEST_COUNT(handles)));
    TEST_REQUIRE(after.allocations == before.allocations + TEST_COUNT(handles));
    TEST_REQUIRE(after.deallocations == before.deallocations + TEST_COUNT(handles));
    lgalloc_thread_flush();
    TEST_REQUIRE(test_equations(false) == NULL);
}

static void *thread_without_a_record(void *arg)
{
    works_without_a_record();
    return NULL;
}

static void no_key_is_to_be_had(void *arg)
{
    unit_configure(*(lgalloc_backing *)arg);
    unit_fault_arm(UNIT_CALL(KEY), 0, 1, EAGAIN);
    works_without_a_record();
    TEST_REQUIRE(unit_fault_hits(UNIT_CALL(KEY)) == 1);
    TEST_REQUIRE(lg_threads_high() == 0);
    pthread_t thread;
    test_spawn(&thread, thread_without_a_record, NULL);
    test_join(thread);
    test_require_quiet(false);
    unit_require_sound(true);
}

static void a_record_is_refused(void *arg)
{
    unit_configure(*(lgalloc_backing *)arg);
    test_require_works(2 * MIB); /* areas and descriptors of one class are there */
    lgalloc_thread_flush();
    test_require_works(MIB);
    lgalloc_thread_flush();
    unit_require_sound(false);
    static const enum lg_system_call calls[] = {LG_SYS_COMMIT, LG_SYS_KEY_SET};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        unit_fault_arm(UNIT_CALL_BIT(calls[i]), 0, UNIT_FOREVER, ENOMEM);
        pthread_t thread;
        test_spawn(&thread, thread_without_a_record, NULL);
        test_join(thread);
        TEST_REQUIRE(unit_fault_hits(UNIT_CALL_BIT(calls[i])) != 0);
        unit_fault_off();
        unit_require_sound(false);
    }
    /* With the next need it is tried again. */
    lg_thread *record = next_record();
    TEST_REQUIRE(record != NULL && record != lg_self());
    test_require_quiet(false);
}

static void without_a_key(void **state)
{
    test_child_succeeds(no_key_is_to_be_had, *state);
}

static void without_memory_for_a_record(void **state)
{
    test_child_succeeds(a_record_is_refused, *state);
}

/* ---------------------------------------------------------------- the end of a thread */

static pthread_key_t key;
static lgalloc_handle left_over;

/* Runs after the library's own destructor in the second round at the latest. */
static void last_wishes(void *arg)
{
    uintptr_t rounds = (uintptr_t)arg;
    if (rounds < 3) {
        TEST_REQUIRE(pthread_setspecific(key, (void *)(rounds + 1)) == 0);
        lgalloc_deallocate(test_take(64 * KIB));
        return;
    }
    TEST_REQUIRE(lg_self() == NULL);
    lgalloc_handle handle = test_take(64 * KIB);
    TEST_REQUIRE(lg_self() == NULL); /* nobody would give back a record that is taken now */
    lgalloc_deallocate(handle);
    lgalloc_deallocate(left_over);
}

static void *ends_with_wishes(void *arg)
{
    left_over = test_take(64 * KIB);
    TEST_REQUIRE(lg_self() != NULL);
    TEST_REQUIRE(pthread_setspecific(key, (void *)1) == 0);
    return NULL;
}

static void alive_to_the_last(void **state)
{
    (void)unit_self();
    assert_int_equal(pthread_key_create(&key, last_wishes), 0);
    uint32_t high = lg_threads_high();
    for (size_t i = 0; i < 10; i++) {
        pthread_t thread;
        test_spawn(&thread, ends_with_wishes, NULL);
        test_join(thread);
        unit_assert_sound(false);
        test_assert_equations();
    }
    assert_true(lg_threads_high() <= high + 1);
    assert_int_equal(test_class(64 * KIB).in_use_regions, 0);
    pthread_key_delete(key);
}

/* ---------------------------------------------------------------- steal */

static void caches_half(void *arg)
{
    test_churn(*(size_t *)arg, MIB);
}

static void any_thread_may_steal(void **state)
{
    struct test_actor actor;
    size_t count = 6;
    lg_class *c = unit_class(MIB);
    lg_thread *own = unit_self();
    (void)lgalloc_purge();
    test_actor_start(&actor);
    test_actor_call(&actor, caches_half, &count);
    lg_thread *victim = NULL;
    for (uint32_t id = 0; id < lg_threads_high(); id++) {
        if (lg_thread_at(id) != own && unit_cached(lg_thread_at(id), c) != 0) {
            assert_null(victim);
            victim = lg_thread_at(id);
        }
    }
    assert_non_null(victim);
    /* One, half of what there is, and all. */
    lg_descriptor *regions[LG_STEAL_MAX];
    uint64_t items[LG_STEAL_MAX];
    for (unsigned i = 0; i < 3; i++) {
        uint64_t cached = unit_cached(victim, c);
        uint64_t expected = i == 0 ? 1 : i == 1 ? (cached + 1) / 2 : cached;
        lg_transit_enter(own);
        uint64_t n = i < 2 ? lg_threads_steal(own, c, i == 0 ? 1 : LG_STEAL_MAX, items)
                           : lg_thread_drain(victim, c, LG_STEAL_MAX, regions);
        for (uint64_t j = 0; j < n; j++) {
            if (i < 2) {
                regions[j] = lg_item_descriptor(items[j]);
            }
            lg_pool_return(own, c, regions[j]);
        }
        lg_transit_leave(own);
        assert_int_equal(n, expected);
        assert_int_equal(unit_cached(victim, c), cached - n);
        unit_assert_sound(false);
    }
    assert_int_equal(unit_cached(victim, c), 0);
    assert_int_equal(lg_thread_drain(victim, c, LG_STEAL_MAX, regions), 0);
    assert_int_equal(lg_threads_steal(own, c, LG_STEAL_MAX, items), 0);
    test_actor_stop(&actor);
}

struct handed_over {
    lgalloc_handle handles[8];
    size_t count;
};

static void frees_all(void *arg)
{
    struct handed_over *over = arg;
    for (size_t i = 0; i < over->count; i++) {
        lgalloc_deallocate(over->handles[i]);
    }
}

static void takes_and_frees(void *arg)
{
    (void)arg;
    test_churn(3, MIB);
}

/* Four threads cache the same; one steal takes from several of them. A thread that only frees soon keeps nothing. */
static void one_steal_of_several(void **state)
{
    enum { THREADS = 4, EACH = 8, TURNS = 16 };
    struct test_actor actors[THREADS];
    struct handed_over over[THREADS];
    lg_class *c = unit_class(MIB);
    (void)lgalloc_purge();
    for (unsigned t = 0; t < THREADS; t++) {
        test_actor_start(&actors[t]);
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned t = 0; t < THREADS; t++) {
            over[t].count = EACH;
            for (unsigned i = 0; i < EACH; i++) {
                over[t].handles[i] = test_take(MIB);
            }
        }
        for (unsigned t = 0; t < THREADS; t++) {
            test_actor_call(&actors[t], frees_all, &over[t]);
        }
        unit_assert_sound(false);
    }
    for (uint32_t id = 0; id < lg_threads_high(); id++) {
        lg_thread *thread = lg_thread_at(id);
        if (thread != unit_self()) {
            assert_int_equal(unit_cached(thread, c), 0);
        }
    }
    assert_int_equal(unit_dirty(c) + unit_cached(unit_self(), c), THREADS * EACH);
    /* It caches again as soon as it allocates again. */
    test_actor_call(&actors[0], takes_and_frees, NULL);
    test_actor_call(&actors[0], takes_and_frees, NULL);
    uint64_t cached = 0;
    for (uint32_t id = 0; id < lg_threads_high(); id++) {
        cached += lg_thread_at(id) != unit_self() ? unit_cached(lg_thread_at(id), c) : 0;
    }
    assert_true(cached >= 3);
    for (unsigned t = 0; t < THREADS; t++) {
        test_actor_stop(&actors[t]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(recycled_lowest_first),  UNIT_BOTH(many_threads),
        UNIT_ANONYMOUS(counters_never_go_down), UNIT_BOTH(alive_to_the_last),
        UNIT_ANONYMOUS(any_thread_may_steal),   UNIT_BOTH(one_steal_of_several),
    };
    /* Children of a process in which the allocator isn't up yet. */
    static lgalloc_backing file = LGALLOC_BACKING_FILE;
    static lgalloc_backing anonymous = LGALLOC_BACKING_ANONYMOUS;
    const struct CMUnitTest fresh[] = {
        cmocka_unit_test_prestate(without_a_key, &file),
        cmocka_unit_test_prestate(without_a_key, &anonymous),
        cmocka_unit_test_prestate(without_memory_for_a_record, &file),
        cmocka_unit_test_prestate(without_memory_for_a_record, &anonymous),
    };
    int failures = cmocka_run_group_tests(fresh, NULL, NULL);
    return failures + cmocka_run_group_tests(tests, NULL, NULL);
}
