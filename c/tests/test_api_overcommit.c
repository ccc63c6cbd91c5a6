/*
 * Strict overcommit (vm.overcommit_memory = 2): every writable private page counts against a limit, touched or not,
 * and MAP_NORESERVE changes nothing. The reservation must not count, and a refusal is a status.
 *
 * The setting is the machine's, so it is changed by root only, while this test runs alone, and for some
 * milliseconds. A process of its own sets it back when this one is gone, however it ended.
 *
 * At the limit other programs can still map a little: a process may take only so much that a thirty-second
 * of its address space, at most vm.user_reserve_kbytes, stays free, and the library's address space is large.
 *
 * ctest-labels: novalgrind serial
 */

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRICT = '2', CHILD_SECONDS = 120, GUARD_SECONDS = 180 }; /* if it hangs */

/* ---------------------------------------------------------------- the setting */

static const char setting_path[] = "/proc/sys/vm/overcommit_memory";

static char read_setting(int fd)
{
    char value = 0;
    TEST_REQUIRE(pread(fd, &value, 1, 0) == 1);
    return value;
}

/* Its own process, and nobody's child: sees the end of the one that made it, and then sets `before` back. */
static _Noreturn void guard(int fd, char before, int alive)
{
    (void)setsid();
    if (fork() != 0) {
        _exit(0);
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    struct pollfd end = {alive, POLLIN, 0};
    while (poll(&end, 1, GUARD_SECONDS * 1000) < 0 && errno == EINTR) {
    }
    _exit(pwrite(fd, &before, 1, 0) == 1 ? 0 : 1);
}

/* Returns a socket that is closed on the other side when the guard is gone. */
static int post_guard(int fd, char before)
{
    int ends[2];
    TEST_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    fflush(NULL);
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        guard(fd, before, ends[1]);
    }
    close(ends[1]);
    int status;
    TEST_REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
    return ends[0];
}

static void dismiss_guard(int alive)
{
    char nothing;
    TEST_REQUIRE(shutdown(alive, SHUT_WR) == 0);
    TEST_REQUIRE(read(alive, &nothing, 1) == 0);
    close(alive);
}

struct strict_child {
    void (*body)(void *arg);
    void *arg;
    int fd;
    int alive;
};

static void run_body(void *arg)
{
    const struct strict_child *strict = arg;
    close(strict->alive); /* this process must not keep the guard waiting, */
    close(strict->fd);    /* nor the next run */
    alarm(CHILD_SECONDS);
    strict->body(strict->arg);
}

/* Runs `body` in a child under strict overcommit; afterwards the setting is as before. */
static void run_strictly(int fd, void (*body)(void *arg), void *arg, struct test_child *child)
{
    const char strict = STRICT;
    char before = read_setting(fd);
    struct strict_child with = {body, arg, fd, post_guard(fd, before)};
    TEST_REQUIRE(pwrite(fd, &strict, 1, 0) == 1);
    test_run_child(run_body, &with, child);
    bool was_strict = read_setting(fd) == STRICT;
    TEST_REQUIRE(pwrite(fd, &before, 1, 0) == 1);
    dismiss_guard(with.alive);
    TEST_REQUIRE(read_setting(fd) == before);
    TEST_REQUIRE(was_strict);
}

/* ---------------------------------------------------------------- what can be had */

/* A line of /proc/meminfo, in bytes. */
static size_t meminfo(const char *format)
{
    FILE *file = fopen("/proc/meminfo", "re");
    TEST_REQUIRE(file != NULL);
    char line[128];
    size_t kib = 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, format, &kib) != 1) {
    }
    fclose(file);
    return kib * KIB;
}

/* What all processes together may still take under strict overcommit. */
static size_t commit_left(void)
{
    size_t limit = meminfo("CommitLimit: %zu kB");
    size_t committed = meminfo("Committed_AS: %zu kB");
    return limit > committed ? limit - committed : 0;
}

struct facts {
    size_t left;     /* commit_left() before */
    size_t reserved; /* addresses that the library reserves without strict overcommit */
};

static void look_at_reservation(void *arg)
{
    struct facts *facts = arg;
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    test_require_works(64 * KIB);
    facts->reserved = test_global().reserved_address_bytes;
}

/* ---------------------------------------------------------------- under strict overcommit */

static void works_as_ever(void *arg)
{
    const struct facts *facts = arg;
    for (lgalloc_backing backing = LGALLOC_BACKING_FILE; backing <= LGALLOC_BACKING_ANONYMOUS; backing++) {
        test_configure(backing);
        lgalloc_handle handles[8];
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            handles[i] = test_take(64 * KIB << i);
            memset(handles[i].ptr, (int)i, handles[i].len);
        }
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            TEST_REQUIRE(test_filled(handles[i].ptr, handles[i].len, (unsigned char)i));
        }
        test_free_all(handles, TEST_COUNT(handles));
        test_require_works(2 * MIB);
        test_require_quiet(false);
    }
    TEST_REQUIRE(test_global().reserved_address_bytes == facts->reserved);
}

/* Takes regions until it is refused, and marks them. */
static size_t take_what_there_is(lgalloc_handle *handles, size_t count, size_t capacity, size_t bytes)
{
    lgalloc_status status = LGALLOC_STATUS_OK;
    while (status == LGALLOC_STATUS_OK) {
        TEST_REQUIRE(count < capacity);
        errno = 0;
        status = lgalloc_allocate(bytes, 1, 1, NULL, NULL, &handles[count]);
        if (status == LGALLOC_STATUS_OK) {
            test_mark(handles[count], count);
            count++;
        }
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY || (status == LGALLOC_STATUS_IO && errno == ENOMEM));
    TEST_REQUIRE(handles[count].len == 0);
    return count;
}

/*
 * Large regions first, so that few calls reach the limit and little memory is touched, then smaller ones
 * into what is left.
 */
static void goes_to_the_limit(void *arg)
{
    const struct facts *facts = arg;
    static lgalloc_handle handles[4096];
    size_t largest = GIB;
    while (largest < 64 * GIB && facts->left / largest >= 64) {
        largest *= 2;
    }
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config *config = test_config();
    lgalloc_config_huge_pages(config, false); /* the marks would take 2 MiB each */
    test_apply(config);
    size_t count = 0;
    size_t bytes = 0;
    for (size_t size = largest; size >= 2 * MIB; size /= 8) {
        size_t before = count;
        count = take_what_there_is(handles, count, TEST_COUNT(handles), size);
        bytes += (count - before) * size;
        TEST_REQUIRE(test_global().in_use_bytes == bytes);
        TEST_REQUIRE(test_equations(false) == NULL);
    }
    /* It was this limit, and not another: most of what was left is taken, and not more. */
    TEST_REQUIRE(bytes >= facts->left / 2 && bytes <= facts->left + facts->left / 8);

    /* What is there circulates, and nothing that was written is lost. */
    lgalloc_deallocate(handles[count - 1]);
    handles[count - 1] = test_take(handles[count - 1].len);
    test_mark(handles[count - 1], count - 1);
    for (size_t i = 0; i < count; i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
    }

    /* What goes back is there for all sizes. */
    test_free_all(handles, count);
    (void)lgalloc_purge();
    test_require_works(64 * KIB);
    test_require_works(32 * MIB);
    lgalloc_deallocate(test_take(largest));
    test_configure(LGALLOC_BACKING_FILE);
    test_require_works(MIB);
    test_require_quiet(false);
}

/* ---------------------------------------------------------------- the tests */

/* The open setting, locked against another run of this program; -1 and a reason. */
static int open_setting(const char **reason)
{
    *reason = NULL;
    if (test_slow_tool()) {
        *reason = "the tool maps more than strict overcommit allows";
        return -1;
    }
    int fd = open(setting_path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        *reason = "this process may not change vm.overcommit_memory";
        return -1;
    }
    TEST_REQUIRE(flock(fd, LOCK_EX) == 0);
    /* Others must be able to go on. */
    if (commit_left() < 2 * GIB) {
        *reason = "strict overcommit would leave less than 2 GiB to the whole machine";
        close(fd);
        return -1;
    }
    return fd;
}

static void succeeds_strictly(void (*body)(void *arg))
{
    const char *reason;
    int fd = open_setting(&reason);
    if (fd < 0) {
        TEST_SKIP(reason);
    }
    struct facts *facts = mmap(NULL, sizeof *facts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(facts != MAP_FAILED);
    test_child_succeeds(look_at_reservation, facts);
    facts->left = commit_left();
    struct test_child child;
    run_strictly(fd, body, facts, &child);
    close(fd);
    munmap(facts, sizeof *facts);
    if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0) {
        fail_msg("the child ended with status %#x: %s", (unsigned)child.status, child.errors);
    }
    assert_string_equal(child.errors, "");
    assert_string_equal(child.output, "");
}

static void everything_works(void **state)
{
    (void)state;
    succeeds_strictly(works_as_ever);
}

static void limit_is_a_status(void **state)
{
    (void)state;
    succeeds_strictly(goes_to_the_limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_works),
        cmocka_unit_test(limit_is_a_status),
    };
    (void)test_dir(); /* made by this process, so that it is removed by it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
