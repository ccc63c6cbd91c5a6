/* ctest-labels: novalgrind disk */
/* Sealed regions: misuse, faults, and children of a fork. */

#define _GNU_SOURCE

#include "support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (2 * MIB)
#define UNCHECKED __attribute__((no_sanitize("address")))

/* Whether there is a disk to spill to. */
static bool spill(const char *path)
{
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_spill(config, path, 0) == LGALLOC_STATUS_OK);
    lgalloc_config_spill_free_percent(config, 0);
    lgalloc_status status = lgalloc_set_config(config);
    lgalloc_config_free(config);
    return status == LGALLOC_STATUS_OK;
}

static int setup(void **state)
{
    (void)test_setup_anonymous(state);
    assert_true(spill(test_dir()));
    return 0;
}

static int teardown(void **state)
{
    assert_true(spill(NULL));
    return test_teardown_quiet(state);
}

static lgalloc_handle sealed(uint64_t seed)
{
    lgalloc_handle handle = test_take(PIECE);
    test_mark(handle, seed);
    TEST_REQUIRE(lgalloc_seal(handle, handle.len) == LGALLOC_STATUS_OK);
    return handle;
}

static lgalloc_handle evicted(uint64_t seed)
{
    lgalloc_handle handle = sealed(seed);
    TEST_REQUIRE(lgalloc_evict(handle) == LGALLOC_STATUS_OK);
    return handle;
}

/* ---------------------------------------------------------------- misuse */

static void free_pinned(void *arg)
{
    (void)arg;
    lgalloc_handle handle = sealed(1);
    TEST_REQUIRE(lgalloc_pin(handle) == LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
}

static void free_pinned_by_address(void *arg)
{
    (void)arg;
    lgalloc_handle handle = evicted(1);
    TEST_REQUIRE(lgalloc_pin(handle) == LGALLOC_STATUS_OK);
    lgalloc_free(handle.ptr);
}

static void unpin_unpinned(void *arg)
{
    (void)arg;
    lgalloc_handle handle = sealed(1);
    TEST_REQUIRE(lgalloc_pin(handle) == LGALLOC_STATUS_OK);
    lgalloc_unpin(handle);
    lgalloc_unpin(handle);
}

static void *unpins(void *arg)
{
    lgalloc_unpin(*(lgalloc_handle *)arg);
    return NULL;
}

/* By a thread that has nothing else to do with the library. */
static void unpin_unpinned_elsewhere(void *arg)
{
    (void)arg;
    lgalloc_handle handle = evicted(1);
    pthread_t thread;
    test_spawn(&thread, unpins, &handle);
    test_join(thread);
}

static void unpin_what_is_not_sealed(void *arg)
{
    (void)arg;
    lgalloc_unpin(test_take(PIECE));
}

static void unpin_what_is_foreign(void *arg)
{
    lgalloc_unpin((lgalloc_handle){arg, PIECE});
}

static void free_twice(void *arg)
{
    (void)arg;
    lgalloc_handle handle = evicted(1);
    lgalloc_deallocate(handle);
    lgalloc_deallocate(handle);
}

static void free_resident_twice(void *arg)
{
    (void)arg;
    lgalloc_handle handle = sealed(1);
    lgalloc_deallocate(handle);
    lgalloc_deallocate(handle);
}

static void free_just_before(void *arg)
{
    (void)arg;
    lgalloc_handle handle = sealed(1);
    handle.ptr = (char *)handle.ptr - 1;
    lgalloc_deallocate(handle);
}

/* The addresses beside it, of which one has its state. */
static void free_just_behind(void *arg)
{
    (void)arg;
    lgalloc_handle handle = sealed(1);
    handle.ptr = (char *)handle.ptr + 1;
    lgalloc_deallocate(handle);
}

static void free_with_a_wrong_size(void *arg)
{
    (void)arg;
    lgalloc_handle handle = evicted(1);
    lgalloc_free_sized(handle.ptr, 2 * PIECE);
}

static void misuse(void **state)
{
    (void)state;
    static const struct {
        void (*body)(void *arg);
        const char *says;
    } cases[] = {
        {free_pinned, "is pinned"},
        {free_pinned_by_address, "is pinned"},
        {unpin_unpinned, "invalid unpin"},
        {unpin_unpinned_elsewhere, "invalid unpin"},
        {unpin_what_is_not_sealed, "is not a sealed region"},
        {unpin_what_is_foreign, "is not a sealed region"},
        {free_twice, "double free"},
        {free_resident_twice, "double free"},
        {free_just_before, "invalid free"},
        {free_just_behind, "points inside"},
        {free_with_a_wrong_size, "invalid free: length"},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct test_child child;
        test_child_aborts(cases[i].body, &child, &child);
        if (strstr(child.errors, cases[i].says) == NULL) {
            fail_msg("%zu: %s", i, child.errors);
        }
    }
}

/* ---------------------------------------------------------------- faults */

UNCHECKED static void touches(void *arg)
{
    (void)*(volatile unsigned char *)((lgalloc_handle *)arg)->ptr;
}

UNCHECKED static void touches_the_end(void *arg)
{
    lgalloc_handle *handle = arg;
    ((volatile unsigned char *)handle->ptr)[handle->len - 1] = 1;
}

static bool faulted(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void fault(void *arg)
{
    struct {
        lgalloc_handle handle;
    } own = {evicted(2)};
    (void)arg;
    signal(SIGSEGV, SIG_DFL);
    TEST_REQUIRE(faulted(test_fork_status(touches, &own.handle)));
    TEST_REQUIRE(faulted(test_fork_status(touches_the_end, &own.handle)));
    TEST_REQUIRE(lgalloc_pin(own.handle) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(WIFEXITED(test_fork_status(touches, &own.handle)));
    lgalloc_unpin(own.handle);
}

/* In a child, since the fork is what makes it: what is evicted is guarded in children too. */
static void touching(void **state)
{
    (void)state;
    test_child_succeeds(fault, NULL);
}

/* ---------------------------------------------------------------- children */

struct family {
    lgalloc_handle resident, pinned, out, small, plain;
};

static void start(struct family *family)
{
    family->resident = sealed(1);
    family->pinned = evicted(2);
    TEST_REQUIRE(lgalloc_pin(family->pinned) == LGALLOC_STATUS_OK);
    family->out = evicted(3);
    family->small = test_take(64 * KIB);
    test_mark(family->small, 4);
    TEST_REQUIRE(lgalloc_seal(family->small, 64 * KIB) == LGALLOC_STATUS_OK);
    family->plain = test_take(PIECE);
    test_mark(family->plain, 5);
}

static void end(struct family *family)
{
    TEST_REQUIRE(test_marked(family->pinned, 2));
    lgalloc_unpin(family->pinned);
    lgalloc_handle handles[] = {family->resident, family->pinned, family->out, family->small};
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        TEST_REQUIRE(lgalloc_pin(handles[i]) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_marked(handles[i], i + 1));
        lgalloc_unpin(handles[i]);
        lgalloc_deallocate(handles[i]);
    }
    TEST_REQUIRE(test_marked(family->plain, 5));
    lgalloc_deallocate(family->plain);
}

static void child(void *arg)
{
    struct family *family = arg;
    lgalloc_global_stats stats = test_global();
    TEST_REQUIRE(stats.sealed_bytes == 2 * PIECE + 64 * KIB);
    TEST_REQUIRE(stats.evicted_bytes == 0 && stats.spill_file_bytes == 0);
    TEST_REQUIRE(stats.in_use_bytes == 3 * PIECE + 64 * KIB);
    /* Its own: to evict too, into files of its own. */
    TEST_REQUIRE(lgalloc_pin(family->resident) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_marked(family->resident, 1));
    lgalloc_unpin(family->resident);
    TEST_REQUIRE(lgalloc_evict(family->resident) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(lgalloc_evict(family->pinned) == LGALLOC_STATUS_BUSY);
    lgalloc_unpin(family->pinned);
    TEST_REQUIRE(lgalloc_evict(family->pinned) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_global().spill_file_bytes >= 2 * PIECE);
    TEST_REQUIRE(lgalloc_pin(family->resident) == LGALLOC_STATUS_OK && test_marked(family->resident, 1));
    lgalloc_unpin(family->resident);
    TEST_REQUIRE(lgalloc_unseal(family->pinned) == LGALLOC_STATUS_OK && test_marked(family->pinned, 2));
    memset(family->pinned.ptr, 0, PIECE);
    /* Lost. */
    char byte;
    TEST_REQUIRE(lgalloc_pin(family->out) == LGALLOC_STATUS_INVALID_ARGUMENT);
    TEST_REQUIRE(lgalloc_read(family->out, 0, 1, &byte) == LGALLOC_STATUS_INVALID_ARGUMENT);
    TEST_REQUIRE(!lgalloc_is_resident(family->out));
    TEST_REQUIRE(lgalloc_usable_size(family->out.ptr) == 0);
    TEST_REQUIRE(faulted(test_fork_status(touches, &family->out)));
    lgalloc_unpin(family->out);
    lgalloc_deallocate(family->out);
    TEST_REQUIRE(test_marked(family->small, 4));
    lgalloc_deallocate(family->small);
    lgalloc_deallocate(family->resident);
    lgalloc_deallocate(family->pinned);
    lgalloc_deallocate(family->plain);
    for (size_t i = 0; i < 4; i++) {
        lgalloc_deallocate(evicted(i));
    }
    TEST_REQUIRE(test_equations(true) == NULL);
}

static void forked(void **state)
{
    (void)state;
    struct family family;
    start(&family);
    test_child_succeeds(child, &family);
    end(&family);
}

/* Who reads in the parent is no matter of the child's: there it may be freed, evicted and unsealed. */
struct reading {
    lgalloc_handle handle;
    atomic_bool begun, stop;
};

static void *reads(void *arg)
{
    struct reading *reading = arg;
    char *out = malloc(reading->handle.len);
    TEST_REQUIRE(out != NULL);
    while (!atomic_load(&reading->stop)) {
        TEST_REQUIRE(lgalloc_read(reading->handle, 0, reading->handle.len, out) == LGALLOC_STATUS_OK);
        atomic_store(&reading->begun, true);
    }
    free(out);
    return NULL;
}

static void takes_what_is_read(void *arg)
{
    struct reading *reading = arg;
    TEST_REQUIRE(lgalloc_evict(reading->handle) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(lgalloc_unseal(reading->handle) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_marked(reading->handle, 5));
    lgalloc_deallocate(reading->handle);
}

static void forked_while_reading(void **state)
{
    (void)state;
    struct reading reading = {.handle = test_take(8 * PIECE)};
    test_mark(reading.handle, 5);
    assert_int_equal(lgalloc_seal(reading.handle, reading.handle.len), LGALLOC_STATUS_OK);
    pthread_t thread;
    test_spawn(&thread, reads, &reading);
    while (!atomic_load(&reading.begun)) {
        sched_yield();
    }
    for (size_t i = 0; i < 5; i++) {
        test_child_succeeds(takes_what_is_read, &reading);
    }
    atomic_store(&reading.stop, true);
    test_join(thread);
    assert_true(test_marked(reading.handle, 5));
    lgalloc_deallocate(reading.handle);
}

/* One that runs no fork handlers. */
static void starts_over(void *arg)
{
    struct family *family = arg;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        TEST_REQUIRE(test_marked(family->resident, 1));
        lgalloc_handle handle = evicted(6);
        TEST_REQUIRE(lgalloc_pin(handle) == LGALLOC_STATUS_OK && test_marked(handle, 6));
        lgalloc_unpin(handle);
        TEST_REQUIRE(lgalloc_pin(family->out) == LGALLOC_STATUS_INVALID_ARGUMENT);
        lgalloc_unpin(family->out);
        lgalloc_deallocate(family->out);
        lgalloc_deallocate(family->resident);
        lgalloc_deallocate(handle);
        TEST_REQUIRE(test_global().evicted_bytes == 0 && test_global().sealed_bytes == 0);
        _exit(0);
    }
    int status;
    TEST_REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

static void without_handlers(void **state)
{
    (void)state;
    struct family family;
    start(&family);
    if (!TEST_TSAN) {
        test_child_succeeds(starts_over, &family);
    }
    end(&family);
}

/* While other threads evict and load all the time. */
struct busy {
    lgalloc_handle handles[4];
    _Atomic bool over;
};

static void *evicts_and_pins(void *arg)
{
    struct busy *busy = arg;
    uint64_t random = (uintptr_t)&random;
    while (!busy->over) {
        size_t which = test_random(&random) % 4;
        lgalloc_status status = lgalloc_evict(busy->handles[which]);
        TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_BUSY);
        TEST_REQUIRE(lgalloc_pin(busy->handles[which]) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_marked(busy->handles[which], which));
        lgalloc_unpin(busy->handles[which]);
    }
    return NULL;
}

static void looks(void *arg)
{
    struct busy *busy = arg;
    for (size_t i = 0; i < 4; i++) {
        lgalloc_status status = lgalloc_pin(busy->handles[i]);
        if (status == LGALLOC_STATUS_OK) {
            TEST_REQUIRE(test_marked(busy->handles[i], i));
            lgalloc_unpin(busy->handles[i]);
        } else {
            TEST_REQUIRE(status == LGALLOC_STATUS_INVALID_ARGUMENT);
            TEST_REQUIRE(faulted(test_fork_status(touches, &busy->handles[i])));
            lgalloc_deallocate(busy->handles[i]);
        }
    }
    lgalloc_deallocate(evicted(9));
    TEST_REQUIRE(test_equations(true) == NULL);
}

static void in_the_middle(void **state)
{
    (void)state;
    TEST_SKIP_FORK_WITH_THREADS();
    struct busy busy = {.over = false};
    for (size_t i = 0; i < 4; i++) {
        busy.handles[i] = sealed(i);
    }
    pthread_t threads[2];
    test_spawn(&threads[0], evicts_and_pins, &busy);
    test_spawn(&threads[1], evicts_and_pins, &busy);
    for (size_t i = 0; i < test_scale(20, 5); i++) {
        test_child_succeeds(looks, &busy);
    }
    busy.over = true;
    test_join(threads[0]);
    test_join(threads[1]);
    test_free_all(busy.handles, 4);
}

#define PROCESS_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    if (!test_dir_on_disk()) {
        return 0;
    }
    const struct CMUnitTest tests[] = {
        PROCESS_TEST(misuse),           PROCESS_TEST(touching),      PROCESS_TEST(forked),
        PROCESS_TEST(without_handlers), PROCESS_TEST(in_the_middle), PROCESS_TEST(forked_while_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
