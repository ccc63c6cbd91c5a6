/* While movers are quiesced nobody moves; afterwards everybody does again. */

#include "internal.h"

#include <sched.h>

enum { MOVERS = 4 };

static struct {
    _Alignas(64) atomic_int inside; /* 1 while this mover is between enter and leave */
    atomic_ulong rounds;
    pthread_t thread;
} movers[MOVERS];
static atomic_bool over;

/* Half of the movers have a record, the others do as threads do that have none. */
static void *mover(void *arg)
{
    size_t which = (uintptr_t)arg;
    lg_thread *self = which % 2 == 0 ? unit_self() : NULL;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        lg_transit_enter(self);
        atomic_store_explicit(&movers[which].inside, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&movers[which].rounds, 1, memory_order_relaxed);
        atomic_store_explicit(&movers[which].inside, 0, memory_order_relaxed);
        lg_transit_leave(self);
    }
    return NULL;
}

static void start_movers(void)
{
    (void)unit_self();
    atomic_store(&over, false);
    for (uintptr_t i = 0; i < MOVERS; i++) {
        test_spawn(&movers[i].thread, mover, (void *)i);
    }
}

static void stop_movers(void)
{
    atomic_store(&over, true);
    for (size_t i = 0; i < MOVERS; i++) {
        test_join(movers[i].thread);
    }
}

static bool mover_has_moved(void *arg)
{
    for (size_t i = 0; i < MOVERS; i++) {
        if (atomic_load(&movers[i].rounds) == 0) {
            return false;
        }
    }
    return true;
}

static void nobody_moves_while_shut(void **state)
{
    start_movers();
    for (size_t i = 0; i < MOVERS; i++) {
        atomic_store(&movers[i].rounds, 0);
    }
    for (size_t round = 0; round < test_scale(1500, 60); round++) {
        lg_transit_quiesce();
        unsigned long before[MOVERS];
        for (size_t i = 0; i < MOVERS; i++) {
            assert_int_equal(atomic_load_explicit(&movers[i].inside, memory_order_relaxed), 0);
            before[i] = atomic_load_explicit(&movers[i].rounds, memory_order_relaxed);
        }
        for (size_t spin = 0; spin < 50; spin++) {
            for (size_t i = 0; i < MOVERS; i++) {
                assert_int_equal(atomic_load_explicit(&movers[i].inside, memory_order_relaxed), 0);
                assert_int_equal(atomic_load_explicit(&movers[i].rounds, memory_order_relaxed), before[i]);
            }
            if (spin % 25 == 24) {
                sched_yield();
            }
        }
        /* The one who quiesced them may move. */
        lg_transit_enter(lg_self());
        lg_transit_leave(lg_self());
        lg_transit_enter(NULL);
        lg_transit_leave(NULL);
        lg_transit_resume();
        /* Next time somebody is moving again. */
        for (size_t spin = 0; spin < 1000; spin++) {
            if (atomic_load_explicit(&movers[0].rounds, memory_order_relaxed) != before[0] &&
                atomic_load_explicit(&movers[2].rounds, memory_order_relaxed) != before[2]) {
                break;
            }
            if (spin % 100 == 99) {
                sched_yield();
            }
        }
    }
    for (size_t i = 0; i < MOVERS; i++) {
        atomic_store(&movers[i].rounds, 0);
    }
    assert_true(test_eventually(mover_has_moved, NULL));
    stop_movers();
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- several that quiesce */

static atomic_int shutters_inside;
static size_t shut_rounds;

static void *quiescer(void *arg)
{
    (void)unit_self();
    for (size_t i = 0; i < shut_rounds; i++) {
        lg_transit_quiesce();
        TEST_REQUIRE(atomic_fetch_add(&shutters_inside, 1) == 0);
        TEST_REQUIRE(atomic_fetch_sub(&shutters_inside, 1) == 1);
        lg_transit_resume();
    }
    return NULL;
}

static void one_shuts_at_a_time(void **state)
{
    shut_rounds = test_scale(500, 20);
    start_movers();
    pthread_t quiescers[3];
    for (size_t i = 0; i < TEST_COUNT(quiescers); i++) {
        test_spawn(&quiescers[i], quiescer, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(quiescers); i++) {
        test_join(quiescers[i]);
    }
    stop_movers();
}

/* ---------------------------------------------------------------- nothing out of sight */

enum { WORKERS = 3 };

static void *allocates_and_frees(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        lgalloc_handle handles[20];
        size_t count = 1 + test_random(&random) % TEST_COUNT(handles);
        test_take_all(handles, count, MIB);
        test_free_all(handles, count);
        if (random % 8 == 0) {
            lgalloc_thread_flush();
        }
    }
    return NULL;
}

/* With movers quiesced, no region is between a cache and a pool: those that are in no pool are in a cache, in
 * use, or one in the hands of each thread that allocates or frees at this moment. */
static void every_region_is_somewhere(void **state)
{
    lg_class *c = unit_class(MIB);
    test_set_local_buffer(4 * MIB);
    atomic_store(&over, false);
    pthread_t threads[WORKERS];
    for (uintptr_t i = 0; i < WORKERS; i++) {
        test_spawn(&threads[i], allocates_and_frees, (void *)i);
    }
    for (size_t round = 0; round < test_scale(1000, 30); round++) {
        lg_transit_quiesce();
        uint64_t pooled = 0;
        uint64_t limit = lg_load_relaxed_64(&c->limit);
        for (uint64_t word = 0; word < (limit + 63) / 64; word++) {
            pooled += (uint64_t)__builtin_popcountll(lg_bitmap_word(&c->pools[LG_DIRTY_POOL], word));
            pooled += (uint64_t)__builtin_popcountll(lg_bitmap_word(&c->pools[LG_CLEAN_POOL], word));
        }
        /* Nobody moves: the counts are exact. */
        assert_int_equal(pooled, unit_dirty(c) + unit_clean(c));
        uint64_t total = lg_area_bytes(c) / MIB;
        assert_true(pooled <= total);
        /* 20 in use at most, and 4 in the cache, for each. */
        assert_true(total - pooled <= WORKERS * (uint64_t)(20 + 4 + 1));
        lg_transit_resume();
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < WORKERS; i++) {
        test_join(threads[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(nobody_moves_while_shut),
        UNIT_ANONYMOUS(one_shuts_at_a_time),
        UNIT_BOTH(every_region_is_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
