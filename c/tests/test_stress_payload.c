/*
 * Threads that come and go allocate, hand over and free at random, while others purge, flush, reconfigure and
 * the worker ticks. Every region carries its owner's pattern; at each barrier the verifier looks.
 */

#include "internal.h"
#include "support_hands.h"

#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

struct item {
    lgalloc_handle handle;
    uint64_t seed;
};

static size_t operations;
static bool churn;  /* threads end after a few operations, and others take their place */
static bool purges; /* threads purge */

static void release(void *arg)
{
    struct item *item = arg;
    TEST_REQUIRE(test_marked(item->handle, item->seed));
    lgalloc_deallocate(item->handle);
    free(item);
}

static void *take(uint64_t *random)
{
    struct item *item = malloc(sizeof *item);
    TEST_REQUIRE(item != NULL);
    uint64_t r = test_random(random);
    size_t bytes = 64 * KIB << (unsigned)__builtin_ctzll(r | 1 << 7);
    bool zeroed = r >> 32 & 1 && bytes <= MIB;
    lgalloc_status status = zeroed ? lgalloc_allocate_zeroed(bytes, 1, 1, NULL, NULL, &item->handle)
                                   : lgalloc_allocate(bytes, 1, 1, NULL, NULL, &item->handle);
    TEST_REQUIRE(status == LGALLOC_STATUS_OK);
    TEST_REQUIRE(!zeroed || test_filled(item->handle.ptr, bytes, 0));
    item->seed = r;
    test_mark(item->handle, r);
    return item;
}

static void purge(uint64_t random)
{
    if (purges) {
        (void)lgalloc_purge();
    }
}

static const struct test_hands hands = {.take = take, .drop = release, .pause = purge};

static void work(uint64_t seed, size_t steps)
{
    test_hands_work(&hands, &seed, steps);
}

struct worker {
    pthread_t thread;
    uint64_t seed;
};

static void *short_life(void *arg)
{
    work((uintptr_t)arg, 50);
    return NULL;
}

static void *worker(void *arg)
{
    const struct worker *self = arg;
    if (!churn) {
        work(self->seed, operations);
        return NULL;
    }
    for (size_t done = 0; done < operations; done += 100) {
        pthread_t child;
        test_spawn(&child, short_life, (void *)(uintptr_t)(self->seed + done));
        work(self->seed ^ done, 50);
        test_join(child);
    }
    return NULL;
}

static void rounds(size_t count, uint64_t interval)
{
    for (size_t round = 0; round < count; round++) {
        lgalloc_config *config = test_config();
        lgalloc_config_with_background(config, interval, 8, 0);
        lgalloc_config_local_buffer_bytes(config, round % 3 == 0 ? 0 : (size_t)1 << (16 + 3 * round % 11));
        lgalloc_config_eager_return(config, round % 4 == 3);
        lgalloc_config_idle_bytes(config, round % 5 == 4 ? 8 * MIB : SIZE_MAX);
        lgalloc_config_release_ticks(config, 1 + round % 3);
        test_apply(config);
        struct worker workers[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            workers[i].seed = round * 1000 + i * 100 + 1;
            test_spawn(&workers[i].thread, worker, &workers[i]);
        }
        for (size_t i = 0; i < THREADS; i++) {
            test_join(workers[i].thread);
        }
        test_set_background(0, 0, 0);
        unit_assert_sound(false);
        test_assert_equations();
    }
    test_hands_clear(&hands);
}

static void steady_threads(void **state)
{
    operations = test_scale(800, 100);
    churn = purges = false;
    rounds(test_scale(6, 2), 0);
}

static void threads_that_come_and_go(void **state)
{
    operations = test_scale(600, 200);
    churn = true;
    purges = false;
    rounds(test_scale(4, 2), 0);
}

static void while_the_worker_and_purges_run(void **state)
{
    operations = test_scale(800, 100);
    churn = purges = true;
    rounds(test_scale(5, 2), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(steady_threads),
        UNIT_BOTH(threads_that_come_and_go),
        UNIT_BOTH(while_the_worker_and_purges_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
