/* ctest-labels: novalgrind */
/*
 * Children of all kinds: of calls that run no fork handlers, of a fork within the fork handlers of others, and of a fork
 * in a signal handler, whatever its thread was doing.
 */

#define _GNU_SOURCE

#include "support_world.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __GLIBC_PREREQ
#define __GLIBC_PREREQ(major, minor) 0
#endif

enum { KEPT = 12 };

static lgalloc_handle kept[KEPT];
static lgalloc_backing backing;

static void configure(void)
{
    lgalloc_config *config = test_config();
    lgalloc_config_enable(config);
    TEST_REQUIRE(lgalloc_config_with_path(config, test_dir()) == LGALLOC_STATUS_OK);
    lgalloc_config_with_backing(config, backing);
    test_apply(config);
}

/* Regions in use, and others in the thread's cache and in the pools. */
static void begin(lgalloc_backing how)
{
    backing = how;
    configure();
    for (size_t bytes = 64 * KIB; bytes <= 4 * MIB; bytes *= 2) {
        test_churn(40, bytes);
    }
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = test_take(64 * KIB << i % 7);
        test_mark(kept[i], i);
    }
}

static void require_kept(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        TEST_REQUIRE(test_marked(kept[i], i));
    }
}

static void end(void)
{
    require_kept();
    test_free_all(kept, KEPT);
    test_require_quiet(false);
}

/* What a child does that doesn't know what it is. */
static bool known; /* to be a child: the figures then count what was lost, too */

static void lives(void)
{
    lgalloc_handle more[40];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < TEST_COUNT(more); i++) {
            more[i] = test_take(64 * KIB << i % 6);
            memset(more[i].ptr, 0xc0, more[i].len);
        }
        for (size_t i = 0; i < KEPT; i++) {
            TEST_REQUIRE(backing == LGALLOC_BACKING_FILE || test_marked(kept[i], i));
        }
        test_free_all(more, TEST_COUNT(more));
        (void)lgalloc_purge();
        const char *wrong = test_equations(known);
        if (wrong != NULL) {
            print_error("%s\n", wrong);
        }
        TEST_REQUIRE(wrong == NULL);
    }
    for (size_t i = 0; i < KEPT; i++) {
        lgalloc_deallocate(kept[i]); /* nothing happens, whatever becomes of it */
    }
    test_require_works(2 * MIB);
    lgalloc_thread_flush();
}

static void purges_first(void)
{
    (void)lgalloc_purge();
    lives();
}

static void frees_first(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        lgalloc_deallocate(kept[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        lgalloc_free(NULL);
    }
    test_require_works(4 * MIB);
    lgalloc_handle more[100];
    test_take_all(more, TEST_COUNT(more), 64 * KIB);
    for (size_t i = 0; i < TEST_COUNT(more); i++) {
        memset(more[i].ptr, 0xc0, more[i].len);
    }
    test_free_all(more, TEST_COUNT(more));
}

static void configures_first(void)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, 1000 * 1000, 0, 0);
    lgalloc_config_local_buffer_bytes(config, MIB);
    test_apply(config);
    test_require_works(MIB);
    test_set_background(0, 0, 0); /* what it has in its hands would be in no place where the figures look */
    lives();
}

static void looks_first(void)
{
    lgalloc_handle in_vain = {kept[0].ptr, kept[0].len};
    (void)test_global();
    TEST_REQUIRE(backing == LGALLOC_BACKING_ANONYMOUS ||
                 lgalloc_cold(in_vain, 0, 1) == LGALLOC_STATUS_INVALID_ARGUMENT);
    lives();
}

static void *takes_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        test_require_works(64 * KIB << i % 6);
    }
    return NULL;
}

/* Another thread of the child is the first to need anything, or several at once are. */
static void has_threads(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], takes_some, NULL);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    lives();
}

static pid_t by_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static pid_t by_fork_of_the_library(void)
{
#if __GLIBC_PREREQ(2, 34)
    return _Fork();
#else
    return by_clone();
#endif
}

static void require_ends_well(pid_t child)
{
    int status;
    TEST_REQUIRE(child > 0);
    while (waitpid(child, &status, 0) != child) {
        TEST_REQUIRE(errno == EINTR);
    }
    TEST_REQUIRE(status == 0);
}

static void lives_and_has_a_child(void)
{
    lives();
    configure();
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = test_take(64 * KIB << i % 7);
        test_mark(kept[i], i);
    }
    pid_t child = by_fork_of_the_library();
    if (child == 0) {
        lives();
        _exit(0);
    }
    require_ends_well(child);
    child = fork();
    if (child == 0) {
        test_require_works(MIB);
        _exit(0);
    }
    require_ends_well(child);
    end();
}

static void without_handlers(lgalloc_backing how)
{
    static pid_t (*const ways[])(void) = {by_clone, by_fork_of_the_library};
    static void (*const lives_of[])(void) = {lives,       purges_first, frees_first,          configures_first,
                                             looks_first, has_threads,  lives_and_has_a_child};
    begin(how);
    for (size_t i = 0; i < TEST_COUNT(lives_of); i++) {
        pid_t child =
            ways[(i + (size_t)how) % TEST_COUNT(ways)](); /* each life by each way, on one backing or the other */
        if (child == 0) {
            lives_of[i]();
            _exit(0);
        }
        require_ends_well(child);
        require_kept();
    }
    end();
}

static void without_handlers_on_files(void)
{
    without_handlers(LGALLOC_BACKING_FILE);
}

static void without_handlers_in_memory(void)
{
    without_handlers(LGALLOC_BACKING_ANONYMOUS);
}

/* While other threads hold locks, move regions, and are in the middle of everything. */
static atomic_bool stop;

static void *never_stops(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    lgalloc_handle mine[8];
    size_t count = 0;
    while (!atomic_load(&stop)) {
        uint64_t what = test_random(&seed);
        if (count == TEST_COUNT(mine) || (count != 0 && what % 2 == 0)) {
            lgalloc_deallocate(mine[--count]);
        } else {
            mine[count++] = test_take(64 * KIB << what / 2 % 6);
        }
        if (what % 512 == 0) {
            (void)lgalloc_purge();
        }
        if (what % 32 == 1) {
            lgalloc_thread_flush();
        }
    }
    test_free_all(mine, count);
    return NULL;
}

static void while_others_work(void)
{
    pthread_t others[2];
    begin(LGALLOC_BACKING_FILE);
    test_set_local_buffer(MIB);
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        test_spawn(&others[i], never_stops, (void *)(uintptr_t)(i + 1));
    }
    for (size_t i = 0; i < test_scale(12, 6); i++) {
        pid_t child = by_clone();
        if (child == 0) {
            lives();
            _exit(0);
        }
        require_ends_well(child);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        test_join(others[i]);
    }
    end();
}

/* What vfork and posix_spawn start shares the memory, and is no child that has to notice anything. */
static void spawned(void)
{
    char *words[] = {(char[]){"true"}, NULL}, *environment[] = {NULL};
    begin(LGALLOC_BACKING_FILE);
    pid_t child;
    TEST_REQUIRE(posix_spawnp(&child, "true", NULL, NULL, words, environment) == 0);
    require_ends_well(child);
    child = vfork();
    if (child == 0) {
        _exit(0);
    }
    require_ends_well(child);
    TEST_REQUIRE(test_class(64 * KIB).in_use_regions == 2);
    end();
}

/* ---- the fork handlers of others */

/* Registered before the library's: they run within the library's own, while all is locked. */
static bool handlers_allocate;
static unsigned handler_calls;

static void allocates(void)
{
    if (!handlers_allocate) {
        return;
    }
    handler_calls++;
    lgalloc_handle some[24];
    for (size_t i = 0; i < TEST_COUNT(some); i++) {
        some[i] = test_take(64 * KIB << i % 8); /* from the cache, from the pools, from new areas */
        memset(some[i].ptr, 0xaa, some[i].len);
    }
    test_free_all(some, TEST_COUNT(some));
    if (handler_calls % 2 == 0) {
        (void)lgalloc_purge();
        (void)test_global();
    }
}

static void register_handlers(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    (void)environment;
    (void)pthread_atfork(allocates, allocates, allocates);
}

/* Before any constructor. */
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(int, char **,
                                                                              char **) = register_handlers;

static void forks_with_handlers(void)
{
    for (int i = 0; i < 6; i++) {
        handlers_allocate = true;
        pid_t child = fork();
        handlers_allocate = false;
        if (child == 0) {
            TEST_REQUIRE(handler_calls != 0);
            known = true;
            lives();
            _exit(0);
        }
        require_ends_well(child);
        require_kept();
        const char *wrong = test_equations(false);
        TEST_REQUIRE(wrong == NULL);
    }
}

static void handlers_of_others(lgalloc_backing how)
{
    begin(how);
    forks_with_handlers();
    end();
    TEST_REQUIRE(handler_calls >= 12);
}

static void handlers_of_others_on_files(void)
{
    handlers_of_others(LGALLOC_BACKING_FILE);
}

static void handlers_of_others_in_memory(void)
{
    handlers_of_others(LGALLOC_BACKING_ANONYMOUS);
}

/* The first use of all is in the handler. */
static void first_used_in_a_handler(void)
{
    configure();
    handlers_allocate = true;
    pid_t child = fork();
    handlers_allocate = false;
    if (child == 0) {
        test_require_works(2 * MIB);
        _exit(0);
    }
    require_ends_well(child);
    test_require_works(2 * MIB);
    test_require_quiet(false);
}

static void handlers_while_others_work(void)
{
    pthread_t other;
    begin(LGALLOC_BACKING_ANONYMOUS);
    test_spawn(&other, never_stops, (void *)(uintptr_t)7);
    for (size_t i = 0; i < test_scale(15, 4); i++) {
        handlers_allocate = true;
        pid_t child = fork();
        handlers_allocate = false;
        if (child == 0) {
            test_require_works(4 * MIB);
            _exit(0);
        }
        require_ends_well(child);
    }
    atomic_store(&stop, true);
    test_join(other);
    end();
}

/* ---- forks in signal handlers */

static volatile sig_atomic_t forks, failed;

static void forks_here(int number)
{
    (void)number;
    int before = errno;
    pid_t child = fork();
    if (child == 0) {
        _exit(forks % 2 != 0 ? 0 : execl("/bin/true", "true", (char *)NULL));
    }
    int status = -1;
    while (child > 0 && waitpid(child, &status, 0) != child) {
    }
    if (child > 0) {
        forks++;
        failed |= status != 0;
    }
    errno = before;
}

static void tick(suseconds_t every)
{
    struct itimerval timer = {{0, every}, {0, every}};
    TEST_REQUIRE(setitimer(ITIMER_PROF, &timer, NULL) == 0);
}

static void forks_by_signal(void)
{
    struct sigaction action = {.sa_handler = forks_here, .sa_flags = SA_RESTART};
    test_set_local_buffer(MIB); /* much goes through the pools */
    TEST_REQUIRE(sigaction(SIGPROF, &action, NULL) == 0);
    tick(1500);
    int wanted = (int)test_scale(120, 40);
    for (uint64_t seed = 1; forks < wanted;) {
        lgalloc_handle some[32];
        for (size_t i = 0; i < TEST_COUNT(some); i++) {
            some[i] = test_take(64 * KIB << test_random(&seed) % 8);
        }
        test_free_all(some, TEST_COUNT(some));
        if (test_random(&seed) % 8 == 0) {
            (void)lgalloc_purge();
        }
    }
    tick(0);
    TEST_REQUIRE(failed == 0);
}

static void signals_on_files(void)
{
    begin(LGALLOC_BACKING_FILE);
    forks_by_signal();
    end();
}

static void signals_in_memory(void)
{
    begin(LGALLOC_BACKING_ANONYMOUS);
    forks_by_signal();
    end();
}

static void signals_while_others_work(void)
{
    pthread_t other;
    sigset_t profile_only, before;
    sigemptyset(&profile_only);
    sigaddset(&profile_only, SIGPROF);
    begin(LGALLOC_BACKING_ANONYMOUS);
    /* The other thread takes no signal: a fork there would be the C library's problem, not ours. */
    TEST_REQUIRE(pthread_sigmask(SIG_BLOCK, &profile_only, &before) == 0);
    test_spawn(&other, never_stops, (void *)(uintptr_t)3);
    TEST_REQUIRE(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    forks_by_signal();
    atomic_store(&stop, true);
    test_join(other);
    end();
}

/* Sanitizers have fork handlers of their own, which such children don't run either. */
#define WITHOUT_SANITIZERS(function)                                      \
    static void function##_case(void)                                     \
    {                                                                     \
        if (TEST_ASAN || TEST_TSAN) {                                     \
            world_skip("a sanitizer's own state does not survive these"); \
        }                                                                 \
        function();                                                       \
    }

WITHOUT_SANITIZERS(without_handlers_on_files)
WITHOUT_SANITIZERS(without_handlers_in_memory)
WITHOUT_SANITIZERS(while_others_work)
WITHOUT_SANITIZERS(handlers_while_others_work)
WITHOUT_SANITIZERS(signals_on_files)
WITHOUT_SANITIZERS(signals_in_memory)
WITHOUT_SANITIZERS(signals_while_others_work)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(without_handlers_on_files_case), WORLD_TEST(without_handlers_in_memory_case),
        WORLD_TEST(while_others_work_case),         WORLD_TEST(spawned),
        WORLD_TEST(handlers_of_others_on_files),    WORLD_TEST(handlers_of_others_in_memory),
        WORLD_TEST(first_used_in_a_handler),        WORLD_TEST(handlers_while_others_work_case),
        WORLD_TEST(signals_on_files_case),          WORLD_TEST(signals_in_memory_case),
        WORLD_TEST(signals_while_others_work_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
