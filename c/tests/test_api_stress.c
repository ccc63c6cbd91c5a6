/*
 * Threads allocate, free and hand over regions of many classes at random, while others purge, flush and
 * reconfigure. Each region carries its owner's pattern, which is checked wherever it is freed.
 */

#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { HELD = 24, QUEUE = 64, CLASSES = 11 /* 64 KiB to 64 MiB */ };

struct item {
    lgalloc_handle handle;
    uint64_t seed;
};

/* Regions under way from one thread to another. */
static struct {
    pthread_mutex_t lock;
    struct item items[QUEUE];
    size_t count;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Puts an item in place of a random one, which comes out; while there is room nothing comes out. */
static bool exchange(struct item *item, uint64_t *random)
{
    bool got = false;
    pthread_mutex_lock(&queue.lock);
    if (queue.count < QUEUE) {
        queue.items[queue.count++] = *item;
    } else {
        struct item *place = &queue.items[test_random(random) % QUEUE];
        struct item other = *place;
        *place = *item;
        *item = other;
        got = true;
    }
    pthread_mutex_unlock(&queue.lock);
    return got;
}

static void check_and_free(struct item item)
{
    TEST_REQUIRE(test_marked(item.handle, item.seed));
    lgalloc_deallocate(item.handle);
}

struct worker {
    pthread_t thread;
    uint64_t seed;
    size_t steps;
    size_t limit; /* of a reconfigured bound that allocations may hit; 0: every one must succeed */
};

static bool allocate_item(struct item *item, const struct worker *worker, uint64_t *random)
{
    /* Small classes more often: as many bytes in each, about. */
    size_t shift = 0;
    while (shift + 1 < CLASSES && test_random(random) % 3 != 0) {
        shift++;
    }
    size_t bytes = (64 * KIB << shift) - test_random(random) % (16 * KIB);
    bool zeroed = test_random(random) % 8 == 0 && shift <= 4;
    lgalloc_status status = zeroed ? lgalloc_allocate_zeroed(bytes, 1, 1, NULL, NULL, &item->handle)
                                   : lgalloc_allocate(bytes, 1, 1, NULL, NULL, &item->handle);
    if (status == LGALLOC_STATUS_OUT_OF_MEMORY && worker->limit != 0) {
        TEST_REQUIRE(item->handle.len == 0);
        return false;
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_OK);
    TEST_REQUIRE(item->handle.len == 64 * KIB << shift);
    TEST_REQUIRE((uintptr_t)item->handle.ptr % item->handle.len == 0);
    TEST_REQUIRE(!zeroed || test_filled(item->handle.ptr, item->handle.len, 0));
    item->seed = test_random(random);
    test_mark(item->handle, item->seed);
    return true;
}

static void *allocates(void *arg)
{
    struct worker *worker = arg;
    uint64_t random = worker->seed;
    struct item held[HELD];
    size_t count = 0;
    for (size_t step = 0; step < worker->steps; step++) {
        size_t choice = test_random(&random) % 100;
        size_t index = count == 0 ? 0 : test_random(&random) % count;
        if (count == 0 || (choice < 50 && count < HELD)) {
            count += allocate_item(&held[count], worker, &random);
        } else if (choice < 85) {
            check_and_free(held[index]);
            held[index] = held[--count];
        } else if (choice < 97) {
            if (!exchange(&held[index], &random)) {
                held[index] = held[--count];
            }
        } else if (choice < 99) {
            lgalloc_handle handle = held[index].handle;
            TEST_REQUIRE(lgalloc_prefetch(handle, 0, handle.len) == LGALLOC_STATUS_OK);
            TEST_REQUIRE(lgalloc_discard(handle, 0, handle.len) == LGALLOC_STATUS_OK);
            test_mark(handle, held[index].seed);
        } else {
            lgalloc_thread_flush();
        }
    }
    while (count > 0) {
        check_and_free(held[--count]);
    }
    return NULL;
}

static void *reconfigures(void *arg)
{
    struct worker *worker = arg;
    uint64_t random = worker->seed;
    for (size_t step = 0; step < worker->steps; step++) {
        lgalloc_config *config = test_config();
        lgalloc_config_with_background(config, test_random(&random) % 2 * 1000000, test_random(&random) % 4, 0);
        lgalloc_config_with_backing(config, (lgalloc_backing)(test_random(&random) % 2));
        lgalloc_config_local_buffer_bytes(config, test_random(&random) % 5 * 8 * MIB);
        lgalloc_config_eager_return(config, test_random(&random) % 4 == 0);
        lgalloc_config_idle_bytes(config, test_random(&random) % 2 == 0 ? SIZE_MAX : 16 * MIB);
        if (worker->limit != 0) {
            lgalloc_config_limit_bytes(config, test_random(&random) % 4 == 0 ? worker->limit / 2 : worker->limit);
        }
        test_apply(config);
        (void)lgalloc_purge();
        lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
        lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
        (void)test_global();
        if (step % 8 == 0) {
            lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
            size_t count;
            TEST_REQUIRE(lgalloc_stats_files(files, LGALLOC_SIZE_CLASS_COUNT, &count) == LGALLOC_STATUS_OK);
        }
    }
    return NULL;
}

static void run(size_t threads, size_t steps, size_t reconfigurations, size_t limit)
{
    struct worker workers[9] = {0};
    assert_true(threads < TEST_COUNT(workers));
    for (size_t i = 0; i <= threads; i++) {
        bool last = i == threads;
        workers[i].seed = i + 1;
        workers[i].limit = limit;
        workers[i].steps = last ? reconfigurations : steps;
        test_spawn(&workers[i].thread, last ? reconfigures : allocates, &workers[i]);
    }
    for (size_t i = 0; i <= threads; i++) {
        test_join(workers[i].thread);
    }
    while (queue.count > 0) {
        check_and_free(queue.items[--queue.count]);
    }
    test_set_background(0, 0, 0);
    test_assert_equations();
    assert_int_equal(test_global().in_use_bytes, 0);
}

static void steady(void **state)
{
    (void)state;
    run(4, test_scale(8000, 600), 0, 0);
}

static void reconfigured_and_purged(void **state)
{
    (void)state;
    run(8, test_scale(2500, 300), test_scale(40, 10), 0);
}

/* A bound that is often reached: refusals are all that it may cause. */
static void under_a_limit(void **state)
{
    (void)state;
    run(6, test_scale(2500, 300), test_scale(30, 10), 256 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(steady),
        TEST_BOTH(reconfigured_and_purged),
        TEST_BOTH(under_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
