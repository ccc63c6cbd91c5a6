/*
 * Ten times as much data as memory, and threads that pin, read, evict, rewrite and free it all at once. Every region holds
 * what was written to it last, whoever looks and whenever, and the bound is never exceeded.
 * ctest-labels: disk
 */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define PIECE (2 * MIB)
#define LIMIT (12 * PIECE)
enum { SLOTS = 96, THREADS = 4 };

/* Readers share a slot; who rewrites or frees it has it to himself. What the library does on its own asks nobody. */
static struct slot {
    pthread_rwlock_t lock;
    lgalloc_handle handle;
    uint64_t seed;
} slots[SLOTS];

static atomic_ulong refused, done;
static size_t operations;

static size_t size_of(size_t which)
{
    return which % 16 == 0 ? 2 * PIECE : which % 16 == 1 ? 256 * KIB : PIECE;
}

static void require_bounded(void)
{
    TEST_REQUIRE(lg_charged() <= LIMIT);
}

/* With others pinning what there is, there may be no room at the moment. */
static bool is_there(lgalloc_status status)
{
    if (status == LGALLOC_STATUS_OUT_OF_MEMORY) {
        atomic_fetch_add(&refused, 1);
        return false;
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_OK);
    atomic_fetch_add(&done, 1);
    return true;
}

static void fill(struct slot *slot, uint64_t seed)
{
    slot->seed = seed;
    test_mark(slot->handle, seed);
}

static void replace(struct slot *slot, uint64_t seed)
{
    if (slot->handle.ptr != NULL) {
        lgalloc_deallocate(slot->handle);
        slot->handle.ptr = NULL;
    }
    lgalloc_handle handle;
    if (!is_there(lgalloc_allocate(size_of((size_t)(slot - slots)), 1, 1, NULL, NULL, &handle))) {
        return;
    }
    require_bounded();
    slot->handle = handle;
    fill(slot, seed);
    TEST_REQUIRE(lgalloc_seal(handle, handle.len) == LGALLOC_STATUS_OK);
}

static void rewrite(struct slot *slot, uint64_t seed)
{
    if (slot->handle.ptr == NULL || !is_there(lgalloc_unseal(slot->handle))) {
        return;
    }
    TEST_REQUIRE(test_marked(slot->handle, slot->seed));
    fill(slot, seed);
    TEST_REQUIRE(lgalloc_seal(slot->handle, slot->handle.len) == LGALLOC_STATUS_OK);
}

static void pin(struct slot *slot)
{
    if (is_there(lgalloc_pin(slot->handle))) {
        TEST_REQUIRE(lgalloc_is_resident(slot->handle));
        TEST_REQUIRE(test_marked(slot->handle, slot->seed));
        lgalloc_unpin(slot->handle);
    }
}

static void pin_twice(struct slot *slot)
{
    lgalloc_handle both[] = {slot->handle, slot->handle};
    if (is_there(lgalloc_pin_all(both, 2))) {
        TEST_REQUIRE(lgalloc_evict(slot->handle) != LGALLOC_STATUS_OK);
        lgalloc_unpin(slot->handle);
        TEST_REQUIRE(test_marked(slot->handle, slot->seed));
        lgalloc_unpin(slot->handle);
    }
}

static void read_all(struct slot *slot)
{
    /* The first word as test_mark() has it, which depends on the region's address. */
    size_t len = slot->handle.len;
    uint64_t *copy = malloc(len), *again = malloc(len / 2);
    TEST_REQUIRE(copy != NULL && again != NULL);
    TEST_REQUIRE(lgalloc_read(slot->handle, 0, len, copy) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(copy[0] == (slot->seed * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)slot->handle.ptr));
    TEST_REQUIRE(lgalloc_read(slot->handle, len / 4, len / 2, again) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(memcmp((char *)copy + len / 4, again, len / 2) == 0);
    free(copy);
    free(again);
}

static void share(struct slot *slot, uint64_t what)
{
    if (slot->handle.ptr == NULL) {
        return;
    }
    switch (what % 16) {
    case 0: read_all(slot); break;
    case 1: TEST_REQUIRE(lgalloc_cold(slot->handle, 0, 0) == LGALLOC_STATUS_OK); break;
    case 2: TEST_REQUIRE(lgalloc_prefetch(slot->handle, 0, 0) == LGALLOC_STATUS_OK); break;
    case 3: {
        lgalloc_status status = lgalloc_evict(slot->handle);
        TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_BUSY || slot->handle.len < PIECE);
        break;
    }
    case 4: pin_twice(slot); break;
    default: pin(slot); break;
    }
    require_bounded();
}

static void *works(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (size_t i = 0; i < operations; i++) {
        uint64_t dice = test_random(&random);
        struct slot *slot = &slots[dice % SLOTS];
        uint64_t what = dice >> 32;
        if (what % 8 != 0) {
            pthread_rwlock_rdlock(&slot->lock);
            share(slot, what / 8);
        } else {
            pthread_rwlock_wrlock(&slot->lock);
            if (what / 8 % 2 == 0 || slot->handle.ptr == NULL) {
                replace(slot, dice);
            } else {
                rewrite(slot, dice);
            }
        }
        pthread_rwlock_unlock(&slot->lock);
    }
    return NULL;
}

static int setup(void **state)
{
    (void)unit_setup_anonymous(state);
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, test_dir(), 0), LGALLOC_STATUS_OK);
    lgalloc_config_limit_bytes(config, LIMIT);
    lgalloc_config_local_buffer_bytes(config, PIECE);
    test_apply(config);
    return 0;
}

static int teardown(void **state)
{
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, NULL, 0), LGALLOC_STATUS_OK);
    test_apply(config);
    return unit_teardown(state);
}

static void ten_times_the_memory(void **state)
{
    (void)state;
    operations = test_scale(1200, 150);
    for (size_t i = 0; i < SLOTS; i++) {
        assert_int_equal(pthread_rwlock_init(&slots[i].lock, NULL), 0);
        replace(&slots[i], i);
    }
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        test_spawn(&threads[i], works, (void *)(i + 1));
    }
    for (size_t i = 0; i < THREADS; i++) {
        test_join(threads[i]);
    }
    lgalloc_config *config = test_config();
    lgalloc_config_spill_threads(config, 0); /* what was in the background all the time has ended */
    test_apply(config);
    unit_assert_sound(true);
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].handle.ptr != NULL) {
            pin(&slots[i]);
        }
    }
    /* There are fewer threads than regions that fit, each with one at a time: little is refused, if anything. */
    assert_true(atomic_load(&refused) <= atomic_load(&done) / 10);
    assert_int_equal(test_global().spill_failures, 0);
    assert_true(test_global().loads > 0);
    unit_assert_sound(true);
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].handle.ptr != NULL) {
            lgalloc_deallocate(slots[i].handle);
        }
        (void)pthread_rwlock_destroy(&slots[i].lock);
    }
    print_message("%lu operations, %lu refused, %lu evictions, %lu loads\n", atomic_load(&done), atomic_load(&refused),
                  (unsigned long)test_global().evictions, (unsigned long)test_global().loads);
}

int main(void)
{
    if (!unit_can_spill()) {
        return 0;
    }
    const struct CMUnitTest tests[] = {
        {"ten_times_the_memory", ten_times_the_memory, setup, teardown, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
