/*
 * Signals all the time: a timer that rings every few milliseconds, as profilers have them, while long ranges are reserved,
 * populated and given back. File systems may undo what a signal interrupts; all of it ends, and is done then.
 */

#include "support_world.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

enum { INTERVAL_US = 2000 };

static volatile sig_atomic_t rings;

static void ring(int number)
{
    (void)number;
    rings++;
}

static void set_timer(long microseconds)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ring; /* without SA_RESTART */
    TEST_REQUIRE(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval every = {{0, microseconds}, {0, microseconds}};
    TEST_REQUIRE(setitimer(ITIMER_REAL, &every, NULL) == 0); /* in place of the case's own alarm */
}

static void ranges_on(const char *type)
{
    char path[WORLD_PATH];
    size_t len = test_scale(256, 32) * MIB;
    world_mount(type, 2 * len / MIB + 64, path);
    test_use_directory(path, true);
    set_timer(INTERVAL_US);
    for (int round = 0; round < 2; round++) {
        lgalloc_handle reserved = test_take(len);
        TEST_REQUIRE(test_file(len).allocated_size >= len);
        TEST_REQUIRE(lgalloc_populate(reserved, 0, reserved.len) == LGALLOC_STATUS_OK);
        memset(reserved.ptr, 1, reserved.len);
        TEST_REQUIRE(lgalloc_discard(reserved, 0, reserved.len) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_file(len).allocated_size < len / 8);
        lgalloc_deallocate(reserved);
        test_require_quiet(false);
    }
    TEST_REQUIRE(test_global().clear_failures == 0);
    while (rings == 0) { /* it was a short time, and it did ring */
    }
    set_timer(0);
}

static void on_tmpfs(void)
{
    ranges_on("tmpfs");
}

static void on_ext4(void)
{
    ranges_on("ext4");
}

static void in_memory(void)
{
    size_t len = test_scale(256, 32) * MIB;
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    set_timer(INTERVAL_US);
    for (int round = 0; round < 4; round++) {
        lgalloc_handle handle = test_take(len);
        TEST_REQUIRE(lgalloc_populate(handle, 0, handle.len) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(lgalloc_discard(handle, 0, handle.len) == LGALLOC_STATUS_OK);
        lgalloc_deallocate(handle);
        test_require_quiet(false);
    }
    set_timer(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WORLD_TEST(on_tmpfs), WORLD_TEST(on_ext4), WORLD_TEST(in_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
