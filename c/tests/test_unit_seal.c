/*
 * The protocol of sealed regions in each of its steps: what others do while one is being written, guarded or read is done
 * here by the same thread, from within the system call of that step. And what becomes of steps that fail.
 * ctest-labels: disk
 */

#include "internal.h"

#include <string.h>
#include <unistd.h>

#define PIECE (2 * MIB)

static int setup(void **state)
{
    (void)unit_setup_anonymous(state);
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, test_dir(), 0), LGALLOC_STATUS_OK);
    lgalloc_config_spill_threads(config, 0);
    lgalloc_config_spill_free_percent(config, 0); /* nobody evicts before there is need */
    lgalloc_config_local_buffer_bytes(config, PIECE);
    test_apply(config);
    return 0;
}

static int teardown(void **state)
{
    unit_fault_off();
    lg_os_fault = unit_fault_hook;
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, NULL, 0), LGALLOC_STATUS_OK);
    test_apply(config);
    return unit_teardown(state);
}

static lgalloc_handle sealed(uint64_t seed)
{
    lgalloc_handle handle = test_take(PIECE);
    test_mark(handle, seed);
    assert_int_equal(lgalloc_seal(handle, handle.len), LGALLOC_STATUS_OK);
    return handle;
}

static lgalloc_handle evicted(uint64_t seed)
{
    lgalloc_handle handle = sealed(seed);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    return handle;
}

static void assert_holds(lgalloc_handle handle, uint64_t seed)
{
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
    assert_true(test_marked(handle, seed));
    lgalloc_unpin(handle);
}

/* ---------------------------------------------------------------- in the middle of a step */

/* What is done at the next system call of this name. */
static struct {
    enum lg_system_call call;
    void (*then)(lgalloc_handle handle);
    lgalloc_handle handle;
    int error;
    unsigned times;
} midst;

static int in_the_midst(enum lg_system_call call)
{
    if (midst.then == NULL || call != midst.call) {
        return 0;
    }
    void (*then)(lgalloc_handle) = midst.then;
    midst.then = NULL;
    midst.times++;
    then(midst.handle);
    return midst.error;
}

static void at(enum lg_system_call call, void (*then)(lgalloc_handle handle), lgalloc_handle handle, int error)
{
    midst.call = call;
    midst.then = then;
    midst.handle = handle;
    midst.error = error;
    midst.times = 0;
    lg_os_fault = in_the_midst;
}

static void pins(lgalloc_handle handle)
{
    TEST_REQUIRE(lgalloc_try_pin(handle) == LGALLOC_STATUS_OK);
}

static void pins_for_a_moment(lgalloc_handle handle)
{
    pins(handle);
    lgalloc_unpin(handle);
}

static void finds_it_gone(lgalloc_handle handle)
{
    TEST_REQUIRE(lgalloc_try_pin(handle) == LGALLOC_STATUS_NOT_RESIDENT);
    TEST_REQUIRE(!lgalloc_is_resident(handle));
}

static void frees(lgalloc_handle handle)
{
    lgalloc_deallocate(handle);
    TEST_REQUIRE(lgalloc_try_pin(handle) == LGALLOC_STATUS_INVALID_ARGUMENT);
}

static void nothing(lgalloc_handle handle)
{
    (void)handle;
}

/* While it is written its contents are there. */
static void pinned_while_written(void **state)
{
    (void)state;
    lgalloc_handle handle = sealed(1);
    at(LG_SYS_WRITE, pins, handle, 0);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_BUSY);
    assert_int_equal(midst.times, 1);
    assert_true(lgalloc_is_resident(handle));
    assert_true(test_marked(handle, 1));
    lgalloc_unpin(handle);
    unit_assert_sound(true);
    /* What was written is not written again. */
    at(LG_SYS_WRITE, nothing, handle, EIO);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    assert_int_equal(midst.times, 0);
    at(LG_SYS_WRITE, nothing, handle, 0);
    assert_holds(handle, 1);
    lgalloc_deallocate(handle);
}

/* Whoever had it for a moment doesn't keep it. */
static void pinned_and_unpinned_while_written(void **state)
{
    (void)state;
    lgalloc_handle handle = sealed(2);
    at(LG_SYS_WRITE, pins_for_a_moment, handle, 0);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    assert_int_equal(midst.times, 1);
    assert_false(lgalloc_is_resident(handle));
    assert_holds(handle, 2);
    lgalloc_deallocate(handle);
}

static void gone_while_guarded(void **state)
{
    (void)state;
    lgalloc_handle handle = sealed(3);
    at(LG_SYS_GUARD, finds_it_gone, handle, 0);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    assert_int_equal(midst.times, 1);
    at(LG_SYS_UNGUARD, finds_it_gone, handle, 0);
    assert_holds(handle, 3);
    assert_int_equal(midst.times, 1);
    lgalloc_deallocate(handle);
}

/* Freeing in each step: the one who is in it frees it in the end. */
static void freed_in_a_step(void **state)
{
    (void)state;
    static const struct {
        enum lg_system_call call;
        bool evicted; /* it is a load */
        int error;
    } steps[] = {
        {LG_SYS_WRITE, false, 0},  {LG_SYS_WRITE, false, EIO},  {LG_SYS_GUARD, false, 0}, {LG_SYS_GUARD, false, ENOMEM},
        {LG_SYS_UNGUARD, true, 0}, {LG_SYS_UNGUARD, true, EIO}, {LG_SYS_READ, true, 0},   {LG_SYS_READ, true, EIO},
    };
    for (size_t i = 0; i < TEST_COUNT(steps); i++) {
        lgalloc_handle handle = steps[i].evicted ? evicted(i) : sealed(i);
        uint64_t freed = test_class(PIECE).deallocations;
        uint64_t index = (uint64_t)((char *)handle.ptr - lg_arena_address(0)) / PIECE;
        at(steps[i].call, frees, handle, steps[i].error);
        if (steps[i].evicted) {
            lg_load_ahead(unit_self(), unit_class(PIECE), index);
        } else {
            assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
        }
        assert_int_equal(midst.times, 1);
        lg_os_fault = NULL;
        assert_int_equal(test_class(PIECE).deallocations, freed + 1);
        assert_int_equal(test_global().sealed_bytes + test_global().evicted_bytes, 0);
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        unit_assert_sound(true);
        /* It is ordinary memory again. */
        lgalloc_handle next[3];
        test_take_all(next, 3, PIECE);
        for (size_t j = 0; j < 3; j++) {
            memset(next[j].ptr, 1, PIECE);
        }
        test_free_all(next, 3);
    }
}

/* A pin that finds its region freed while it loads. */
static void freed_while_a_pin_loads(void **state)
{
    (void)state;
    lgalloc_handle handle = evicted(5);
    at(LG_SYS_READ, frees, handle, 0);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(test_class(PIECE).in_use_regions, 0);
    unit_assert_sound(true);
}

/* ---------------------------------------------------------------- steps that fail */

static void cannot_be_written(void **state)
{
    (void)state;
    static const enum lg_system_call calls[] = {LG_SYS_WRITE, LG_SYS_GUARD};
    lgalloc_handle handle = sealed(6);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        uint64_t failures = test_global().spill_failures, evictions = test_global().evictions;
        at(calls[i], nothing, handle, EIO);
        errno = 0;
        assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_IO);
        assert_int_equal(errno, EIO);
        assert_int_equal(midst.times, 1);
        assert_true(lgalloc_is_resident(handle));
        assert_true(test_marked(handle, 6));
        assert_int_equal(test_global().spill_failures, failures + 1);
        assert_int_equal(test_global().evictions, evictions);
        unit_assert_sound(true);
    }
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    assert_holds(handle, 6);
    lgalloc_deallocate(handle);
}

/* Whether it can be read: a fault is EFAULT in a system call. */
static bool is_accessible(const void *address)
{
    int pipes[2];
    TEST_REQUIRE(pipe(pipes) == 0);
    bool written = write(pipes[1], address, 1) == 1;
    close(pipes[0]);
    close(pipes[1]);
    return written;
}

static void cannot_be_read(void **state)
{
    (void)state;
    static const enum lg_system_call calls[] = {LG_SYS_UNGUARD, LG_SYS_READ};
    lgalloc_handle handle = evicted(7);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        uint64_t failures = test_global().spill_failures, loads = test_global().loads;
        at(calls[i], nothing, handle, EIO);
        errno = 0;
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_IO);
        assert_int_equal(errno, EIO);
        assert_int_equal(midst.times, 1);
        assert_false(lgalloc_is_resident(handle));
        assert_false(is_accessible(handle.ptr));
        assert_false(is_accessible((char *)handle.ptr + handle.len - 1));
        assert_int_equal(test_global().spill_failures, failures + 1);
        assert_int_equal(test_global().loads, loads);
        unit_assert_sound(true);
    }
    /* Nothing is charged for it, and it can be tried again. */
    assert_int_equal(test_global().in_use_bytes, 0);
    assert_holds(handle, 7);
    lgalloc_deallocate(handle);
}

static void write_error_below_a_limit(void **state)
{
    (void)state;
    test_set_limit(4 * PIECE);
    lgalloc_handle handles[5];
    for (size_t i = 0; i < 4; i++) {
        handles[i] = sealed(i);
    }
    unit_fault_arm(UNIT_CALL(WRITE), 0, UNIT_FOREVER, EIO);
    lg_os_fault = unit_fault_hook;
    assert_int_equal(lgalloc_allocate(PIECE, 1, 1, NULL, NULL, &handles[4]), LGALLOC_STATUS_OUT_OF_MEMORY);
    /* One after the other would fail as well, and take its time. */
    assert_int_equal(unit_fault_hits(UNIT_CALL(WRITE)), 1);
    unit_fault_off();
    for (size_t i = 0; i < 4; i++) {
        assert_true(lgalloc_is_resident(handles[i]));
    }
    unit_assert_sound(true);
    handles[4] = sealed(4);
    for (size_t i = 0; i < 5; i++) {
        assert_holds(handles[i], i);
    }
    test_free_all(handles, 5);
    test_set_limit(0);
}

/* A guard that can't be taken away when its region is freed: it goes at the next look. */
static void guard_that_stays(void **state)
{
    (void)state;
    for (int by_purge = 0; by_purge < 2; by_purge++) {
        lgalloc_handle handle = evicted(8);
        uint64_t freed = test_class(PIECE).deallocations;
        at(LG_SYS_UNGUARD, nothing, handle, ENOMEM);
        lgalloc_deallocate(handle);
        assert_int_equal(midst.times, 1);
        lg_os_fault = unit_fault_hook;
        assert_int_equal(test_class(PIECE).deallocations, freed);
        assert_int_equal(test_global().evicted_bytes, PIECE);
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        unit_assert_sound(true);
        if (by_purge) {
            (void)lgalloc_purge();
        } else {
            lgalloc_handle other = sealed(9);
            assert_int_equal(lg_evict_next(lg_self()), PIECE);
            lgalloc_deallocate(other);
        }
        assert_true(test_class(PIECE).deallocations > freed);
        assert_int_equal(test_class(PIECE).in_use_regions, 0);
        assert_int_equal(test_global().evicted_bytes, 0);
        unit_assert_sound(true);
    }
}

static void metadata_is_refused(void **state)
{
    (void)state;
    lgalloc_handle handle = test_take(64 * PIECE);
    unit_fault_arm(UNIT_CALL(COMMIT), 0, UNIT_FOREVER, ENOMEM);
    lgalloc_status status = lgalloc_seal(handle, 1);
    unit_fault_off();
    if (status != LGALLOC_STATUS_OK) { /* unless the sets of that class were there */
        assert_int_equal(status, LGALLOC_STATUS_IO);
        assert_int_equal(errno, ENOMEM);
        memset(handle.ptr, 1, PIECE);
        unit_assert_sound(false);
        assert_int_equal(lgalloc_seal(handle, 1), LGALLOC_STATUS_OK);
    }
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- threads */

static void *pins_and_unpins(void *arg)
{
    lgalloc_handle *handle = arg;
    TEST_REQUIRE(lgalloc_pin(*handle) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_marked(*handle, 11));
    lgalloc_unpin(*handle);
    return NULL;
}

static pthread_t others[4];
static atomic_int waiting;

static void *pins_when_told(void *arg)
{
    atomic_fetch_add(&waiting, 1);
    return pins_and_unpins(arg);
}

/* Others pin it while it is read: they wait for that one read. */
static void others_pin(lgalloc_handle handle)
{
    static lgalloc_handle theirs;
    theirs = handle;
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        test_spawn(&others[i], pins_when_told, &theirs);
    }
    while (atomic_load(&waiting) != (int)TEST_COUNT(others)) {
        lg_os_pause(1);
    }
    for (int i = 0; i < 50; i++) {
        lg_os_pause(100);
    }
}

static void one_load_for_all(void **state)
{
    (void)state;
    lgalloc_handle handle = evicted(11);
    uint64_t loads = test_global().loads;
    atomic_store(&waiting, 0);
    at(LG_SYS_READ, others_pin, handle, 0);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
    assert_int_equal(midst.times, 1);
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        test_join(others[i]);
    }
    assert_int_equal(test_global().loads, loads + 1);
    lgalloc_unpin(handle);
    lgalloc_deallocate(handle);
}

static lgalloc_status unsealed;

static void *unseals(void *arg)
{
    atomic_fetch_add(&waiting, 1);
    unsealed = lgalloc_unseal(*(lgalloc_handle *)arg);
    return NULL;
}

static void another_unseals(lgalloc_handle handle)
{
    static lgalloc_handle theirs;
    theirs = handle;
    test_spawn(&others[0], unseals, &theirs);
    while (atomic_load(&waiting) != 1) {
        lg_os_pause(1);
    }
    for (int i = 0; i < 50; i++) {
        lg_os_pause(100);
    }
}

/* It waits until the region is written, which then stays. */
static void unsealed_while_written(void **state)
{
    (void)state;
    lgalloc_handle handle = sealed(12);
    atomic_store(&waiting, 0);
    at(LG_SYS_WRITE, another_unseals, handle, 0);
    lgalloc_status status = lgalloc_evict(handle);
    test_join(others[0]);
    assert_int_equal(unsealed, LGALLOC_STATUS_OK);
    assert_true(status == LGALLOC_STATUS_BUSY || status == LGALLOC_STATUS_OK);
    assert_true(test_marked(handle, 12));
    test_mark(handle, 13);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
    unit_assert_sound(true);
    lgalloc_deallocate(handle);
}

/* An allocation that finds nothing to evict waits for what others are evicting, rather than being refused. */
static lgalloc_status allocated;

static void *allocates(void *arg)
{
    atomic_fetch_add(&waiting, 1);
    allocated = lgalloc_allocate(PIECE, 1, 1, NULL, NULL, arg);
    return NULL;
}

static lgalloc_handle theirs;

static void another_allocates(lgalloc_handle handle)
{
    (void)handle;
    test_spawn(&others[0], allocates, &theirs);
    while (atomic_load(&waiting) != 1) {
        lg_os_pause(1);
    }
    for (int i = 0; i < 50; i++) {
        lg_os_pause(100);
    }
}

static void waits_for_an_eviction(void **state)
{
    (void)state;
    test_set_limit(PIECE);
    lgalloc_handle handle = sealed(14);
    atomic_store(&waiting, 0);
    at(LG_SYS_WRITE, another_allocates, handle, 0);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    test_join(others[0]);
    assert_int_equal(allocated, LGALLOC_STATUS_OK);
    lgalloc_deallocate(theirs);
    assert_holds(handle, 14);
    lgalloc_deallocate(handle);
    test_set_limit(0);
}

#define SEAL_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    if (!unit_can_spill()) {
        return 0;
    }
    const struct CMUnitTest tests[] = {
        SEAL_TEST(metadata_is_refused),   SEAL_TEST(pinned_while_written), SEAL_TEST(pinned_and_unpinned_while_written),
        SEAL_TEST(gone_while_guarded),    SEAL_TEST(freed_in_a_step),      SEAL_TEST(freed_while_a_pin_loads),
        SEAL_TEST(cannot_be_written),     SEAL_TEST(cannot_be_read),       SEAL_TEST(write_error_below_a_limit),
        SEAL_TEST(guard_that_stays),      SEAL_TEST(one_load_for_all),     SEAL_TEST(unsealed_while_written),
        SEAL_TEST(waits_for_an_eviction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
