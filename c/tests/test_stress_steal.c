/*
 * Regions that are freed by others than allocate them, with addresses running short: all that comes, comes
 * out of other threads' caches. Nothing is lost, and nothing is had twice.
 */

#include "internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

static pthread_barrier_t barrier;
static size_t rounds, per_thread;
static lgalloc_handle *table; /* a block of per_thread regions for each thread */

static void free_block(size_t block)
{
    lgalloc_handle *theirs = &table[block * per_thread];
    for (size_t i = 0; i < per_thread; i++) {
        if (theirs[i].len != 0) {
            TEST_REQUIRE(test_marked(theirs[i], i + block));
            lgalloc_deallocate(theirs[i]);
            theirs[i].len = 0;
        }
    }
}

static void *passes_on(void *arg)
{
    size_t self = (uintptr_t)arg;
    for (size_t round = 0; round < rounds; round++) {
        /* Every other thread frees what it and its neighbour took; then all take as many. */
        if ((self + round) % 2 == 0) {
            free_block(self);
            free_block((self + 1) % THREADS);
        }
        pthread_barrier_wait(&barrier);
        lgalloc_handle *mine = &table[self * per_thread];
        for (size_t i = 0; i < per_thread; i++) {
            mine[i] = test_take(MIB);
            test_mark(mine[i], i + self);
        }
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD && round % 8 == 0) {
            /* The others wait at the next barrier meanwhile. */
            unit_require_sound(false);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void freed_by_others(void **state)
{
    rounds = test_scale(24, 8);
    per_thread = 12; /* two blocks fit a cache */
    table = calloc(THREADS * per_thread, sizeof *table);
    assert_non_null(table);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    uint64_t steals = test_class(MIB).steals;
    /* No more than all hold together: what one lacks is in the others' caches. */
    test_set_limit(THREADS * per_thread * MIB);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        test_spawn(&threads[i], passes_on, (void *)i);
    }
    for (size_t i = 0; i < THREADS; i++) {
        test_join(threads[i]);
    }
    test_set_limit(0);
    assert_true(test_class(MIB).steals > steals);
    for (size_t i = 0; i < THREADS * per_thread; i++) {
        lgalloc_deallocate(table[i]);
    }
    pthread_barrier_destroy(&barrier);
    free(table);
}

/* ---------------------------------------------------------------- one that frees, others that take */

static atomic_bool over;
static _Atomic(void *) offered[64];
static size_t items;

static void *only_allocates(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (size_t i = 0; i < items; i++) {
        lgalloc_handle handle = test_take(64 * KIB);
        test_mark(handle, 7);
        for (;;) {
            void *none = NULL;
            if (atomic_compare_exchange_strong(&offered[test_random(&random) % TEST_COUNT(offered)], &none,
                                               handle.ptr)) {
                break;
            }
            sched_yield();
        }
    }
    return NULL;
}

static void *only_frees(void *arg)
{
    uint64_t random = 3;
    for (bool last = false; !last;) {
        last = atomic_load(&over);
        for (size_t i = 0; i < (last ? 1 : 16) * TEST_COUNT(offered); i++) {
            size_t which = last ? i : test_random(&random) % TEST_COUNT(offered);
            lgalloc_handle handle = {atomic_exchange(&offered[which], NULL), 64 * KIB};
            if (handle.ptr != NULL) {
                TEST_REQUIRE(test_marked(handle, 7));
                lgalloc_deallocate(handle);
            }
        }
    }
    return NULL;
}

static void one_way_traffic(void **state)
{
    items = test_scale(4000, 500);
    uint64_t areas = test_class(64 * KIB).areas;
    atomic_store(&over, false);
    pthread_t givers[3], taker;
    test_spawn(&taker, only_frees, NULL);
    for (uintptr_t i = 0; i < TEST_COUNT(givers); i++) {
        test_spawn(&givers[i], only_allocates, (void *)(i + 1));
    }
    for (size_t i = 0; i < TEST_COUNT(givers); i++) {
        test_join(givers[i]);
    }
    atomic_store(&over, true);
    test_join(taker);
    unit_assert_sound(false);
    /* What was freed on one side was used on the other: memory does not grow with the traffic. */
    assert_true(test_class(64 * KIB).areas <= areas + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(freed_by_others),
        UNIT_BOTH(one_way_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
