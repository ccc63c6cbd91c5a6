/* ctest-labels: novalgrind disk */
/* Sandboxes that a program enters after the library's first use: each system call of the library refused from then on. */

#define _GNU_SOURCE

#include "support_world.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEPT = 8, THREADS = 3 };

static lgalloc_handle kept[KEPT];

static void begin(lgalloc_backing backing)
{
    lgalloc_config *config = test_config();
    lgalloc_config_enable(config);
    TEST_REQUIRE(lgalloc_config_with_path(config, test_dir()) == LGALLOC_STATUS_OK);
    lgalloc_config_with_backing(config, backing);
    lgalloc_config_local_buffer_bytes(config, 4 * MIB);
    test_apply(config);
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = test_take(64 * KIB << i);
        test_mark(kept[i], i);
    }
    test_churn(100, 64 * KIB);
    test_churn(10, 2 * MIB);
}

/* Takes what it can get, with its mark in it; a refusal must be one that says why. */
static size_t takes(lgalloc_handle *handles, size_t count, uint64_t seed)
{
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        errno = 0;
        lgalloc_status status = lgalloc_allocate(64 * KIB << i % 8, 1, 1, NULL, NULL, &handles[taken]);
        if (status == LGALLOC_STATUS_OK) {
            test_mark(handles[taken], seed + taken);
            taken++;
        } else {
            TEST_REQUIRE(status == LGALLOC_STATUS_IO && errno != 0);
        }
    }
    return taken;
}

static void gives_back(lgalloc_handle *handles, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        TEST_REQUIRE(test_marked(handles[i], seed + i)); /* nobody else was given it */
        lgalloc_deallocate(handles[i]);
    }
}

static void *works(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    for (size_t round = 0; round < test_scale(40, 8); round++) {
        lgalloc_handle some[24];
        size_t count = takes(some, TEST_COUNT(some), seed);
        if (round % 8 == seed % 8) {
            (void)lgalloc_purge();
        }
        gives_back(some, count, seed);
    }
    return NULL;
}

static bool forks_well(void)
{
    pid_t child = fork();
    if (child < 0) {
        return false;
    }
    if (child == 0) {
        lgalloc_handle some[8];
        gives_back(some, takes(some, TEST_COUNT(some), 5), 5);
        _exit(0);
    }
    int status;
    TEST_REQUIRE(waitpid(child, &status, 0) == child);
    TEST_REQUIRE(status == 0);
    return true;
}

/* All that a program does, while a call is refused. */
static void goes_on(bool with_threads)
{
    if (with_threads) {
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            test_spawn(&threads[i], works, (void *)(uintptr_t)(1000 * (i + 1)));
        }
        for (size_t i = 0; i < THREADS; i++) {
            test_join(threads[i]);
        }
    } else {
        (void)works((void *)(uintptr_t)1000);
    }
    lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
    size_t count;
    (void)lgalloc_stats_files(files, TEST_COUNT(files), &count);
    for (size_t i = 0; i < KEPT; i++) {
        (void)lgalloc_populate(kept[i], 0, kept[i].len);
        (void)lgalloc_prefetch(kept[i], 0, kept[i].len);
        (void)lgalloc_cold(kept[i], 0, kept[i].len);
        TEST_REQUIRE(test_marked(kept[i], i));
    }
    (void)lgalloc_purge();
    test_set_limit(64 * MIB); /* what is refused for it is looked for everywhere first */
    lgalloc_handle large;
    if (lgalloc_allocate(32 * MIB, 1, 1, NULL, NULL, &large) == LGALLOC_STATUS_OK) {
        lgalloc_deallocate(large);
    }
    lgalloc_status status = lgalloc_allocate(64 * MIB, 1, 1, NULL, NULL, &large);
    TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY && large.len == 0);
    test_set_limit(0);
}

static void ends(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        TEST_REQUIRE(test_marked(kept[i], i));
    }
    test_free_all(kept, KEPT);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().in_use_bytes == 0);
    const char *wrong = test_equations(false);
    TEST_REQUIRE(wrong == NULL);
}

static void refused(long number, int error, lgalloc_backing backing)
{
    begin(backing);
    world_refuse(number, error);
    /* Without these no thread can be started. */
    goes_on(number != SYS_mmap && number != SYS_mprotect);
    (void)forks_well();
    ends();
}

/* ---- membarrier: forks, purges, stealing and the worker need it */

static bool nothing_dirty(void *arg)
{
    (void)arg;
    return test_global().dirty_bytes == 0;
}

static void barrier_refused(int error, lgalloc_backing backing)
{
    begin(backing);
    test_set_background(5 * 1000 * 1000, 0, 0);
    world_refuse(SYS_membarrier, error);
    goes_on(true);
    for (int i = 0; i < 3; i++) {
        TEST_REQUIRE(forks_well());
    }
    test_churn(20, MIB);
    TEST_REQUIRE(test_eventually(nothing_dirty, NULL) || test_global().dirty_bytes <= test_global().in_use_bytes);
    test_set_background(0, 0, 0);
    ends();
}

static void barrier_not_permitted_on_files(void)
{
    barrier_refused(EPERM, LGALLOC_BACKING_FILE);
}

static void barrier_unknown_in_memory(void)
{
    barrier_refused(ENOSYS, LGALLOC_BACKING_ANONYMOUS);
}

/* Other threads' caches are emptied all the same, when memory is short. */
static void holds_some(void *arg)
{
    (void)arg;
    test_churn(40, 64 * KIB);
}

static void barrier_refused_and_memory_short(void)
{
    struct test_actor other;
    begin(LGALLOC_BACKING_ANONYMOUS);
    test_actor_start(&other);
    test_actor_call(&other, holds_some, NULL);
    world_refuse(SYS_membarrier, EPERM);
    size_t held = test_class(64 * KIB).thread_regions;
    TEST_REQUIRE(held >= 40);
    lgalloc_global_stats now = test_global();
    (void)lgalloc_purge();
    TEST_REQUIRE(test_class(64 * KIB).thread_regions == 0);
    test_actor_call(&other, holds_some, NULL);
    test_set_limit(now.in_use_bytes + 2 * MIB);
    test_require_works(2 * MIB);
    test_set_limit(0);
    test_actor_stop(&other);
    ends();
}

/* ---- all the others */

static const struct {
    long number;
    const char *name;
} calls[] = {
    {SYS_mmap, "mmap"},
    {SYS_mprotect, "mprotect"},
    {SYS_munmap, "munmap"},
    {SYS_madvise, "madvise"},
    {SYS_openat, "openat"},
    {SYS_close, "close"},
#ifdef SYS_open
    {SYS_open, "open"},
#endif
#ifdef SYS_fstat
    {SYS_fstat, "fstat"},
#endif
#ifdef SYS_newfstatat
    {SYS_newfstatat, "newfstatat"},
#endif
    {SYS_ftruncate, "ftruncate"},
    {SYS_fallocate, "fallocate"},
    {SYS_prctl, "prctl"},
    {SYS_fcntl, "fcntl"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_sched_yield, "sched_yield"},
    {SYS_prlimit64, "prlimit64"},
    {SYS_read, "read"},
    {SYS_clone, "clone"},
    {SYS_membarrier, "membarrier"},
};

static size_t which;
static int error_of_call;
static lgalloc_backing backing_of_call;

static void one_call_refused(void)
{
    refused(calls[which].number, error_of_call, backing_of_call);
}

static void each_call(int error, lgalloc_backing backing)
{
    error_of_call = error;
    backing_of_call = backing;
    for (which = 0; which < TEST_COUNT(calls); which++) {
        long number = calls[which].number;
        if ((TEST_ASAN || TEST_TSAN) && (number == SYS_mmap || number == SYS_munmap)) {
            continue; /* the sanitizers' runtimes abort */
        }
        int status = world_run(one_call_refused);
        if (status == WORLD_SKIPPED) {
            skip();
        }
        if (status != 0) {
            fail_msg("%s refused: the case ended with %d", calls[which].name, status);
        }
    }
}

static void each_call_not_permitted_on_files(void **state)
{
    (void)state;
    each_call(EPERM, LGALLOC_BACKING_FILE);
}

static void each_call_unknown_in_memory(void **state)
{
    (void)state;
    each_call(ENOSYS, LGALLOC_BACKING_ANONYMOUS);
}

/* ---- older kernels, by the advice that they don't know */

enum {
    DONTNEED_LOCKED = 24, /* Linux 5.18 */
    GUARD_INSTALL = 102   /* Linux 6.13 */
};

static lgalloc_handle sealed(void)
{
    lgalloc_handle handle = test_take(2 * MIB);
    memset(handle.ptr, 5, handle.len);
    TEST_REQUIRE(lgalloc_seal(handle, handle.len) == LGALLOC_STATUS_OK);
    return handle;
}

static bool holds_fives(lgalloc_handle handle)
{
    TEST_REQUIRE(lgalloc_pin(handle) == LGALLOC_STATUS_OK);
    const char *bytes = handle.ptr;
    bool all = bytes[0] == 5 && memcmp(bytes, bytes + 1, handle.len - 1) == 0;
    lgalloc_unpin(handle);
    return all;
}

/* What is locked can't be dropped there; what lies in front of it stays too, and the region with it. */
static void evicting_on_an_older_kernel(void)
{
    if (!test_dir_on_disk()) {
        world_skip("nothing is evicted to memory");
    }
    begin(LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_spill(config, test_dir(), 0) == LGALLOC_STATUS_OK);
    test_apply(config);
    lgalloc_handle free = sealed();
    lgalloc_handle locked = sealed();
    world_forget_advice(DONTNEED_LOCKED);
    world_forget_advice(GUARD_INSTALL);
    TEST_REQUIRE(lgalloc_evict(free) == LGALLOC_STATUS_OK && !lgalloc_is_resident(free));
    TEST_REQUIRE(holds_fives(free));
    if (syscall(SYS_mlock, (char *)locked.ptr + locked.len / 2, 4096) != 0) { /* sanitizers leave mlock() out */
        world_skip("memory can't be locked");
    }
    TEST_REQUIRE(lgalloc_evict(locked) == LGALLOC_STATUS_IO && errno == EINVAL && lgalloc_is_resident(locked));
    TEST_REQUIRE(holds_fives(locked));
    lgalloc_deallocate(free);
    lgalloc_deallocate(locked);
    ends();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(barrier_not_permitted_on_files),         WORLD_TEST(barrier_unknown_in_memory),
        WORLD_TEST(barrier_refused_and_memory_short),       WORLD_TEST(evicting_on_an_older_kernel),
        cmocka_unit_test(each_call_not_permitted_on_files), cmocka_unit_test(each_call_unknown_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
