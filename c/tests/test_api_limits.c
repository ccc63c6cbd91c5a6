/*
 * When the system says no: directories that vanish, resource limits, locked pages. Every test runs in a child
 * of a process that never used the library, so that each starts afresh and its limits stay its own.
 */

#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---------------------------------------------------------------- directories */

static void vanishes(void *arg)
{
    const char *dir = arg;
    test_use_directory(dir, false);
    lgalloc_handle handle = test_take(MIB);
    test_mark(handle, 1);
    TEST_REQUIRE(rmdir(dir) == 0); /* no name is in it, so it can go */
    TEST_REQUIRE(test_marked(handle, 1));
    test_require_works(2 * MIB); /* there is a file already */
    lgalloc_handle large;
    errno = 0;
    TEST_REQUIRE(lgalloc_allocate(GIB, 1, 1, NULL, NULL, &large) ==
                 LGALLOC_STATUS_IO); /* that would need another one */
    TEST_REQUIRE(errno == ENOENT);
    lgalloc_deallocate(handle);
    test_require_works(MIB);
    (void)lgalloc_purge();
    TEST_REQUIRE(mkdir(dir, 0700) == 0);
    test_require_works(2 * MIB);
    test_require_works(MIB);
    test_require_quiet(false);
}

static void directory_that_vanishes(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    test_child_succeeds(vanishes, dir);
    test_dir_drop(dir);
}

static void wrong_directories(void *arg)
{
    test_use_directory("/dev/null", false);
    test_require_refused(MIB, ENOTDIR);
    test_use_directory("/nonexistent/directory", false);
    test_require_refused(MIB, ENOENT);
    if (geteuid() == 0) {
        TEST_REQUIRE(chmod(arg, 0700) == 0 && seteuid(65534) == 0);
        test_use_directory(arg, false);
        test_require_refused(MIB, EACCES);
        TEST_REQUIRE(seteuid(0) == 0);
        test_require_works(MIB);
    }
    test_require_quiet(false);
}

static void unwritable_directories(void **state)
{
    (void)state;
    char *dir = test_dir_make();
    test_child_succeeds(wrong_directories, dir);
    test_dir_drop(dir);
}

/* ---------------------------------------------------------------- resource limits */

static void set_soft(int resource, rlim_t soft)
{
    struct rlimit limit;
    TEST_REQUIRE(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    TEST_REQUIRE(setrlimit(resource, &limit) == 0);
}

static void little_file_size(void *arg)
{
    (void)arg;
    test_use_directory(test_dir(), false);
    sigset_t before;
    TEST_REQUIRE(pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    set_soft(RLIMIT_FSIZE, MIB);
    test_require_refused(2 * MIB, EFBIG); /* and SIGXFSZ, whose default is to kill, is not delivered */
    test_require_refused(64 * KIB, EFBIG);
    sigset_t pending;
    sigset_t after;
    TEST_REQUIRE(sigpending(&pending) == 0 && !sigismember(&pending, SIGXFSZ));
    TEST_REQUIRE(pthread_sigmask(SIG_BLOCK, NULL, &after) == 0);
    TEST_REQUIRE(sigismember(&before, SIGXFSZ) == sigismember(&after, SIGXFSZ));
    struct sigaction action;
    TEST_REQUIRE(sigaction(SIGXFSZ, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    set_soft(RLIMIT_FSIZE, RLIM_INFINITY);
    test_require_works(2 * MIB);

    /* The file is as long as it needs to be already; its blocks are not there yet. */
    test_use_directory(test_dir(), true);
    (void)lgalloc_purge();
    lgalloc_handle handle = test_take(MIB);
    set_soft(RLIMIT_FSIZE, MIB);
    test_require_refused(MIB, EFBIG);
    TEST_REQUIRE(lgalloc_populate(handle, 0, MIB) == LGALLOC_STATUS_OK);
    set_soft(RLIMIT_FSIZE, RLIM_INFINITY);
    test_require_works(MIB);
    lgalloc_deallocate(handle);
    test_require_quiet(false);
}

static void file_size_limit(void **state)
{
    (void)state;
    test_child_succeeds(little_file_size, NULL);
}

static void few_descriptors(void *arg)
{
    (void)arg;
    test_use_directory(test_dir(), false);
    int lowest = dup(STDERR_FILENO);
    TEST_REQUIRE(lowest >= 0 && close(lowest) == 0);
    set_soft(RLIMIT_NOFILE, (rlim_t)lowest);
    test_require_refused(2 * MIB, EMFILE);
    set_soft(RLIMIT_NOFILE, (rlim_t)lowest + 1);
    test_require_works(2 * MIB); /* one descriptor for one class */
    set_soft(RLIMIT_NOFILE, (rlim_t)lowest + 64);
    for (size_t bytes = 64 * KIB; bytes <= 16 * MIB; bytes *= 2) {
        test_require_works(bytes);
    }
    test_require_quiet(false);
}

static void descriptor_limit(void **state)
{
    (void)state;
    test_child_succeeds(few_descriptors, NULL);
}

/* Little address space from the start: the reservation shrinks, and small classes work. */
static void little_address_space(void *arg)
{
    set_soft(RLIMIT_AS, 4 * GIB);
    test_configure(*(const lgalloc_backing *)arg);
    test_require_works(2 * MIB);
    test_require_works(64 * KIB);
    test_require_works(16 * MIB);
    TEST_REQUIRE(test_global().reserved_address_bytes < 4 * GIB);
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate(8 * GIB, 1, 1, NULL, NULL, &handle);
    TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY || status == LGALLOC_STATUS_IO);
    TEST_REQUIRE(handle.len == 0);
    test_require_quiet(false);
}

static void *returns_its_argument(void *arg)
{
    return arg;
}

/* Half of what the limit leaves is the program's, who has use for it. */
static void leaves_half(void *arg)
{
    size_t limit = *(const size_t *)arg;
    set_soft(RLIMIT_AS, limit);
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    test_require_works(64 * KIB);
    TEST_REQUIRE(test_global().reserved_address_bytes <= limit / 2);
    void *heap = malloc(limit / 10);
    TEST_REQUIRE(heap != NULL);
    pthread_t threads[8];
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], returns_its_argument, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    free(heap);
    test_require_quiet(false);
}

static lgalloc_status set_arena(size_t bytes)
{
    lgalloc_config *config = test_config();
    lgalloc_config_arena_bytes(config, bytes);
    lgalloc_status status = lgalloc_set_config(config);
    TEST_REQUIRE((lgalloc_config_error(config)[0] == '\0') == (status == LGALLOC_STATUS_OK));
    lgalloc_config_free(config);
    return status;
}

/* The addresses that a program wants reserved: before the first use, and of sizes that there are. */
static void small_arena(void *arg)
{
    (void)arg;
    static const size_t wrong[] = {1, 16 * MIB, 33 * MIB, GIB + 1, 8192 * GIB, SIZE_MAX};
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        TEST_REQUIRE(set_arena(wrong[i]) == LGALLOC_STATUS_INVALID_ARGUMENT);
    }
    TEST_REQUIRE(set_arena(64 * MIB) == LGALLOC_STATUS_OK && set_arena(128 * MIB) == LGALLOC_STATUS_OK);
    test_require_works(64 * KIB);
    TEST_REQUIRE(test_global().reserved_address_bytes == 128 * MIB);
    TEST_REQUIRE(set_arena(256 * MIB) == LGALLOC_STATUS_INVALID_ARGUMENT);
    TEST_REQUIRE(set_arena(0) == LGALLOC_STATUS_INVALID_ARGUMENT);
    TEST_REQUIRE(set_arena(128 * MIB) == LGALLOC_STATUS_OK);
    lgalloc_handle all = test_take(128 * MIB); /* whatever had its chunks before */
    lgalloc_handle more;
    TEST_REQUIRE(lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &more) == LGALLOC_STATUS_OUT_OF_MEMORY);
    TEST_REQUIRE(lgalloc_allocate(256 * MIB, 1, 1, NULL, NULL, &more) == LGALLOC_STATUS_OUT_OF_MEMORY);
    lgalloc_deallocate(all);
    test_require_works(64 * KIB);
    test_require_quiet(false);
}

static void arena_of_a_size(void **state)
{
    (void)state;
    test_child_succeeds(small_arena, NULL);
}

static void limits_leave_half(void **state)
{
    (void)state;
    if (test_slow_tool()) {
        TEST_SKIP("the tool needs the address space for itself");
    }
    /* 170 of them, from 1 to 64 GiB, each 2.5 percent above the last. */
    size_t limit = GIB;
    for (size_t i = 0; i < 170; i++) {
        test_child_succeeds(leaves_half, &limit);
        limit += limit / 40;
    }
    assert_true(limit >= 64 * GIB);
}

/* None left once the library has its own: whatever fails is a status. */
static void no_more_address_space(void *arg)
{
    test_configure(*(const lgalloc_backing *)arg);
    test_require_works(64 * KIB);
    set_soft(RLIMIT_AS, MIB);
    lgalloc_handle handles[64];
    size_t count = 0;
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        lgalloc_status status = lgalloc_allocate(64 * KIB << i % 12, 1, 1, NULL, NULL, &handles[count]);
        TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_OUT_OF_MEMORY ||
                     status == LGALLOC_STATUS_IO);
        if (status == LGALLOC_STATUS_OK) {
            test_mark(handles[count], i);
            TEST_REQUIRE(test_marked(handles[count], i));
            count++;
        }
    }
    test_free_all(handles, count);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().in_use_bytes == 0);
    set_soft(RLIMIT_AS, RLIM_INFINITY);
    for (size_t bytes = 64 * KIB; bytes <= 128 * MIB; bytes *= 2) {
        lgalloc_deallocate(test_take(bytes));
    }
    test_require_quiet(false);
}

static void address_space_limit(void **state)
{
    (void)state;
    if (test_slow_tool()) {
        TEST_SKIP("the tool needs the address space for itself");
    }
    for (lgalloc_backing backing = LGALLOC_BACKING_FILE; backing <= LGALLOC_BACKING_ANONYMOUS; backing++) {
        test_child_succeeds(little_address_space, &backing);
        test_child_succeeds(no_more_address_space, &backing);
    }
}

/* ---------------------------------------------------------------- locked pages */

/* Sanitizers make mlock() do nothing, so it is asked of the system itself. */
static bool lock_pages(lgalloc_handle handle, bool lock)
{
    return syscall(lock ? SYS_mlock : SYS_munlock, handle.ptr, handle.len) == 0;
}

static void locked(void *arg)
{
    test_configure(*(const lgalloc_backing *)arg);
    lgalloc_handle keeper = test_take(MIB); /* keeps the area: to release it would unlock the pages */
    lgalloc_handle handles[4];
    test_take_all(handles, 4, MIB);
    for (size_t i = 0; i < 4; i++) {
        memset(handles[i].ptr, 0xff, MIB);
    }
    if (!lock_pages(handles[1], true)) {
        _exit(77);
    }
    lgalloc_handle pinned = handles[1];
    uint64_t failures = test_global().clear_failures;
    test_free_all(handles, 4);
    (void)lgalloc_purge();
    /* Locked memory is given back like any other. Before Linux 5.18 that is refused where it is anonymous: it stays
     * usable and dirty then. */
    bool refused = test_global().clear_failures > failures;
    TEST_REQUIRE(refused ? test_global().dirty_bytes >= MIB : test_global().dirty_bytes == 0);
    TEST_REQUIRE(test_global().in_use_bytes == MIB);
    TEST_REQUIRE(test_equations(false) == NULL);
    (void)lgalloc_purge();

    /* Everything goes on: the locked region is handed out, also as zeros. */
    for (size_t i = 0; i < 4; i++) {
        TEST_REQUIRE(lgalloc_allocate_zeroed(MIB, 1, 1, NULL, NULL, &handles[i]) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_filled(handles[i].ptr, MIB, 0));
        memset(handles[i].ptr, 0xff, MIB);
    }
    test_free_all(handles, 4);
    TEST_REQUIRE(lock_pages(pinned, false));
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().dirty_bytes == 0);
    lgalloc_deallocate(keeper);
    test_require_quiet(false);
}

static void locked_regions(void **state)
{
    (void)state;
    for (lgalloc_backing backing = LGALLOC_BACKING_FILE; backing <= LGALLOC_BACKING_ANONYMOUS; backing++) {
        struct test_child child;
        test_run_child(locked, &backing, &child);
        if (child.status == 77 << 8) {
            TEST_SKIP("this process may not lock a mebibyte");
        }
        if (child.status != 0) {
            fail_msg("the child ended with status %#x: %s", (unsigned)child.status, child.errors);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directory_that_vanishes), cmocka_unit_test(unwritable_directories),
        cmocka_unit_test(file_size_limit),         cmocka_unit_test(descriptor_limit),
        cmocka_unit_test(address_space_limit),     cmocka_unit_test(limits_leave_half),
        cmocka_unit_test(arena_of_a_size),         cmocka_unit_test(locked_regions),
    };
    (void)test_dir(); /* made by this process, so that it is removed by it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
