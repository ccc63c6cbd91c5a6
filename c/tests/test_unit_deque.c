/*
 * The work-stealing deque: against a plain sequence, with the two looks of a steal pulled apart, and with an
 * owner and thieves that run at once. Every item comes out exactly once.
 */

#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "regions/deque.h"
#include "base/os.h"

struct fixture {
    lg_deque deque;
    lg_a64 ring[LG_DEQUE_ITEMS];
    lg_a64 capacity;
    bool fence;
};

static void fixture_start(struct fixture *fixture, uint64_t first, uint64_t capacity)
{
    memset(fixture, 0, sizeof *fixture);
    lg_store_relaxed_64(&fixture->deque.top, first);
    lg_store_relaxed_64(&fixture->deque.bottom, first);
    lg_store_relaxed_64(&fixture->capacity, capacity);
    fixture->deque.ring = fixture->ring;
    fixture->fence = true;
}

/* As a change of the configuration does. */
static void set_capacity(struct fixture *fixture, uint64_t capacity)
{
    lg_store_seq_cst_64(&fixture->capacity, capacity);
    lg_store_seq_cst_64(&fixture->deque.space, 0);
}

/* As a thread does that frees a region. */
static bool push(struct fixture *fixture, uint64_t item)
{
    return lg_deque_push(&fixture->deque, item) ||
           (lg_deque_make_space(&fixture->deque, &fixture->capacity, LG_DEQUE_ITEMS) &&
            lg_deque_push(&fixture->deque, item));
}

static bool pop(struct fixture *fixture, uint64_t *item)
{
    return lg_deque_pop(&fixture->deque, fixture->fence, item);
}

/* Whether a thief is at work. */
static bool is_locked(const struct fixture *fixture)
{
    return (lg_load_relaxed_64(&fixture->deque.top) & LG_TOP_LOCKED) != 0;
}

static uint64_t steal_many(struct fixture *fixture, uint64_t most, bool all, uint64_t *items)
{
    return lg_deque_steal(&fixture->deque, lg_fence_seq_cst, most, all, items);
}

static bool steal(struct fixture *fixture, uint64_t *item)
{
    return steal_many(fixture, 1, false, item) == 1;
}

/* ---------------------------------------------------------------- one thread */

/* A plain sequence: items [low, high) of `items`. */
static void random_operations(uint64_t first, uint64_t capacity, size_t operations)
{
    static struct fixture fixture;
    fixture_start(&fixture, first, capacity);
    uint64_t *items = calloc(operations, sizeof *items);
    assert_non_null(items);
    size_t low = 0;
    size_t high = 0;
    uint64_t random = first + capacity;
    uint64_t top = first;
    for (size_t i = 0; i < operations; i++) {
        uint64_t r = test_random(&random);
        uint64_t loot[64];
        uint64_t n = 1 + (r >> 32) % TEST_COUNT(loot);
        fixture.fence = r % 2 == 0;
        /* For a while it fills, then it empties. */
        unsigned kind = (unsigned)(r >> 8) % 16;
        if (kind < (i / 3000 % 2 == 0 ? 11u : 4u)) {
            bool space = high - low < lg_load_relaxed_64(&fixture.capacity);
            assert_int_equal(push(&fixture, r), space);
            if (space) {
                items[high++] = r;
            }
        } else if (kind < 12) {
            assert_int_equal(pop(&fixture, loot), high != low);
            if (high != low) {
                assert_true(loot[0] == items[--high]);
                if (high == low) {
                    low = high = 0;
                }
            }
        } else if (kind < 14) {
            bool all = r >> 16 & 1;
            uint64_t expected = lg_min(all ? high - low : (high - low + 1) / 2, n);
            assert_int_equal(steal_many(&fixture, n, all, loot), expected);
            for (uint64_t j = 0; j < expected; j++) {
                assert_true(loot[j] == items[low++]);
            }
            top += expected;
        } else if (kind == 14) {
            /* A run leaves at the bottom, if it is there; it may come back. */
            bool enough = high - low >= n;
            assert_int_equal(lg_deque_pop_run(&fixture.deque, fixture.fence, n), enough);
            if (enough) {
                uint64_t bottom = lg_load_relaxed_64(&fixture.deque.bottom);
                for (uint64_t j = 0; j < n; j++) {
                    assert_true(lg_load_relaxed_64(lg_deque_slot(&fixture.deque, bottom + j)) == items[high - n + j]);
                }
                if (r >> 17 & 1) {
                    lg_deque_push_run(&fixture.deque, n);
                } else {
                    high -= n;
                }
            }
        } else if (r >> 40 & 1) {
            set_capacity(&fixture, test_random(&random) % (capacity + 1));
        } else {
            set_capacity(&fixture, capacity);
        }
        assert_int_equal(lg_deque_count(&fixture.deque), high - low);
        assert_false(is_locked(&fixture));
        /* The top only grows, and by what has left there. */
        assert_true(lg_load_relaxed_64(&fixture.deque.top) == top);
    }
    free(items);
}

static void as_a_plain_sequence(void **state)
{
    static const uint64_t firsts[] = {
        0,
        1,
        LG_DEQUE_ITEMS - 1,
        (uint64_t)LG_DEQUE_ITEMS * 7 - 3,
        ((uint64_t)1 << 32) - 100,
        ((uint64_t)1 << 62) - 4000000, /* as far as an index can ever come */
    };
    static const uint64_t capacities[] = {1, 2, 3, 64, LG_DEQUE_ITEMS - 1, LG_DEQUE_ITEMS};
    for (size_t i = 0; i < TEST_COUNT(firsts); i++) {
        for (size_t j = 0; j < TEST_COUNT(capacities); j++) {
            random_operations(firsts[i], capacities[j], test_scale(30000, 7000));
        }
    }
}

/* The ring is used all the way round, many times, with all its slots full. */
static void round_the_ring(void **state)
{
    static struct fixture fixture;
    fixture_start(&fixture, 0, LG_DEQUE_ITEMS);
    uint64_t next_in = 0;
    uint64_t next_out = 0;
    while (push(&fixture, next_in)) {
        next_in++;
    }
    assert_int_equal(next_in, LG_DEQUE_ITEMS);
    for (size_t i = 0; i < (size_t)5 * LG_DEQUE_ITEMS; i++) {
        uint64_t item;
        assert_true(steal(&fixture, &item));
        assert_int_equal(item, next_out++);
        assert_true(push(&fixture, next_in++));
        assert_false(push(&fixture, 0));
        assert_int_equal(lg_deque_count(&fixture.deque), LG_DEQUE_ITEMS);
    }
    for (uint64_t item; pop(&fixture, &item);) {
        assert_int_equal(item, --next_in);
    }
    assert_int_equal(next_in, next_out);
}

static void nothing_fits_without_capacity(void **state)
{
    static struct fixture fixture;
    uint64_t item;
    fixture_start(&fixture, 12, 0);
    assert_false(push(&fixture, 1));
    assert_false(pop(&fixture, &item));
    assert_false(steal(&fixture, &item));
    set_capacity(&fixture, 1);
    assert_true(push(&fixture, 7));
    assert_false(push(&fixture, 8));
    assert_true(pop(&fixture, &item));
    assert_int_equal(item, 7);
}

/* A new capacity counts from the next push on, in both directions. */
static void capacity_that_changes(void **state)
{
    static struct fixture fixture;
    fixture_start(&fixture, 5, 10);
    for (uint64_t i = 0; i < 6; i++) {
        assert_true(push(&fixture, i));
    }
    set_capacity(&fixture, 4);
    assert_false(push(&fixture, 6));
    assert_int_equal(lg_deque_count(&fixture.deque), 6);
    set_capacity(&fixture, 8);
    assert_true(push(&fixture, 6));
    assert_true(push(&fixture, 7));
    assert_false(push(&fixture, 8));
    uint64_t item;
    for (uint64_t i = 0; i < 8; i++) {
        assert_true(steal(&fixture, &item));
        assert_int_equal(item, i);
    }
}

/* ---------------------------------------------------------------- between the two steps of a steal */

/* The barrier of a steal is called after it has locked the top and before it looks at the bottom: what is done
 * in it has happened in the one window that matters. */
static struct fixture apart;
static uint64_t apart_item;
static bool apart_done;

static void owner_pops(void)
{
    TEST_REQUIRE(is_locked(&apart));
    apart_done = pop(&apart, &apart_item) || lg_deque_pop_run(&apart.deque, true, 1);
}

static void other_thief_steals(void)
{
    apart_done = steal_many(&apart, 64, true, &apart_item) != 0;
}

static void owner_pushes(void)
{
    apart_done = push(&apart, 77);
}

static void start_apart(uint64_t items)
{
    fixture_start(&apart, 3, LG_DEQUE_ITEMS);
    for (uint64_t i = 0; i < items; i++) {
        assert_true(push(&apart, 40 + i));
    }
}

static void thefts_pulled_apart(void **state)
{
    uint64_t loot[LG_DEQUE_ITEMS];
    uint64_t item = 0;
    /* While a thief is at work the owner finds nothing, and loses nothing. */
    for (uint64_t items = 1; items <= 4; items++) {
        start_apart(items);
        assert_int_equal(lg_deque_steal(&apart.deque, owner_pops, 64, false, loot), (items + 1) / 2);
        assert_false(apart_done);
        assert_int_equal(loot[0], 40);
        assert_false(is_locked(&apart));
        assert_int_equal(lg_deque_count(&apart.deque), items / 2);
        for (uint64_t i = items; i > (items + 1) / 2; i--) {
            assert_true(pop(&apart, &item));
            assert_int_equal(item, 40 + i - 1);
        }
        assert_false(pop(&apart, &item));
    }
    /* One thief at a time. */
    start_apart(5);
    assert_int_equal(lg_deque_steal(&apart.deque, other_thief_steals, 64, true, loot), 5);
    assert_false(apart_done);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(loot[i], 40 + i);
    }
    /* What is pushed meanwhile is there: for the thief or for the owner. */
    start_apart(1);
    assert_int_equal(lg_deque_steal(&apart.deque, owner_pushes, 1, true, loot), 1);
    assert_true(apart_done);
    assert_true(pop(&apart, &item));
    assert_int_equal(item, 77);
    start_apart(1);
    assert_int_equal(lg_deque_steal(&apart.deque, owner_pushes, 64, true, loot), 2);
    assert_int_equal(loot[1], 77);
    /* Slots that are still to be read are not overwritten. */
    start_apart(LG_DEQUE_ITEMS);
    assert_int_equal(lg_deque_steal(&apart.deque, owner_pushes, 64, false, loot), 64);
    assert_false(apart_done);
    assert_int_equal(loot[0], 40);
    assert_true(push(&apart, 78));
}

/* ---------------------------------------------------------------- an owner and thieves */

enum { THIEVES = 2 };

static struct fixture contended;
static void (*contended_barrier)(void);
static bool contended_few;
static atomic_uchar *taken; /* how often each item came out */
static atomic_bool over;

static void note(uint64_t item)
{
    TEST_REQUIRE(atomic_fetch_add_explicit(&taken[item], 1, memory_order_relaxed) == 0);
}

static void *thief(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        uint64_t loot[64];
        uint64_t r = test_random(&random);
        uint64_t n = lg_deque_steal(&contended.deque, contended_barrier, 1 + r % TEST_COUNT(loot),
                                    contended_few || (r >> 8 & 1), loot);
        for (uint64_t i = 0; i < n; i++) {
            note(loot[i]);
        }
    }
    return NULL;
}

/* `few`: there are one or two items most of the time, which everybody wants. */
static void contend(bool fence, void (*barrier)(void), size_t items, bool few)
{
    fixture_start(&contended, 100, few ? 3 : 200);
    contended.fence = fence;
    contended_barrier = barrier;
    contended_few = few;
    taken = calloc(items, sizeof *taken);
    assert_non_null(taken);
    atomic_store(&over, false);
    pthread_t thieves[THIEVES];
    for (uintptr_t i = 0; i < THIEVES; i++) {
        test_spawn(&thieves[i], thief, (void *)i);
    }
    uint64_t random = items;
    uint64_t item;
    for (size_t pushed = 0; pushed < items;) {
        uint64_t r = test_random(&random);
        for (uint64_t n = few ? 2 : r % 8; n != 0 && pushed < items && push(&contended, pushed); n--) {
            pushed++;
        }
        for (uint64_t n = few ? 1 + (r >> 9) % 2 : r >> 8 & 7; n != 0; n--) {
            if (pop(&contended, &item)) {
                note(item);
            }
        }
        /* As a full cache is relieved of a part. */
        if (!few && r % 64 == 2 && lg_deque_pop_run(&contended.deque, fence, 3)) {
            uint64_t bottom = lg_load_relaxed_64(&contended.deque.bottom);
            for (uint64_t i = 0; i < 3; i++) {
                note(lg_load_relaxed_64(lg_deque_slot(&contended.deque, bottom + i)));
            }
        }
        if (!few && r % 512 == 1) {
            set_capacity(&contended, 1 + (r >> 32) % LG_DEQUE_ITEMS);
        }
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < THIEVES; i++) {
        test_join(thieves[i]);
    }
    while (pop(&contended, &item)) {
        note(item);
    }
    assert_int_equal(lg_deque_count(&contended.deque), 0);
    size_t lost = 0;
    for (size_t i = 0; i < items; i++) {
        lost += taken[i] != 1;
    }
    free(taken);
    assert_int_equal(lost, 0);
}

static void with_fences_on_both_sides(void **state)
{
    contend(true, lg_fence_seq_cst, test_scale(2000000, 20000), true);
    contend(true, lg_fence_seq_cst, test_scale(1000000, 20000), false);
}

static void membarrier(void)
{
    TEST_REQUIRE(lg_os_membarrier() == 0);
}

static void with_the_barrier_on_the_thiefs_side(void **state)
{
    if (TEST_TSAN) {
        TEST_SKIP("ThreadSanitizer knows no membarrier");
    }
    if (lg_os_membarrier_register() != 0) {
        TEST_SKIP("this system has no membarrier");
    }
    contend(false, membarrier, test_scale(4000000, 20000), true);
    contend(false, membarrier, test_scale(2000000, 20000), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_plain_sequence),
        cmocka_unit_test(round_the_ring),
        cmocka_unit_test(nothing_fits_without_capacity),
        cmocka_unit_test(capacity_that_changes),
        cmocka_unit_test(thefts_pulled_apart),
        cmocka_unit_test(with_fences_on_both_sides),
        cmocka_unit_test(with_the_barrier_on_the_thiefs_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
