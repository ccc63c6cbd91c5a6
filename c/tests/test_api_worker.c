/* The background worker: started, reconfigured and stopped; clears, drains idle threads, releases areas. */

#include "support.h"

#include <signal.h>
#include <unistd.h>

static bool worker_there(void *arg)
{
    return (test_threads_named("lgalloc-0") == 1) == *(bool *)arg;
}

static bool nothing_dirty(void *arg)
{
    (void)arg;
    return test_global().dirty_bytes == 0;
}

static void worker_starts_and_stops(void **state)
{
    (void)state;
    bool yes = true;
    bool no = false;
    assert_int_equal(test_threads_named("lgalloc-0"), 0);
    for (int round = 0; round < 3; round++) {
        test_set_background(UINT64_C(1000000), 0, 0);
        assert_true(test_eventually(worker_there, &yes));
        test_set_background(UINT64_C(3600) * 1000000000, 4, MIB); /* reconfigured, not started twice */
        assert_true(test_eventually(worker_there, &yes));
        test_set_background(0, 0, 0);
        assert_true(test_eventually(worker_there, &no));
    }
}

struct cleared {
    uint64_t large, small;
};

/* The counters only grow. What is dirty may be none for a moment, while the worker has it in its hands. */
static bool all_cleared(void *arg)
{
    const struct cleared *wanted = arg;
    return test_class(2 * MIB).clear_slow_total >= wanted->large &&
           test_class(64 * KIB).clear_slow_total >= wanted->small;
}

static void worker_clears(void **state)
{
    (void)state;
    static const struct {
        size_t batch, clear_bytes;
    } bounds[] = {{0, 0}, {1, 0}, {0, 1}, {3, 3 * MIB}, {SIZE_MAX, SIZE_MAX}};
    for (size_t i = 0; i < TEST_COUNT(bounds); i++) {
        struct cleared wanted = {test_class(2 * MIB).clear_slow_total + 20, test_class(64 * KIB).clear_slow_total + 3};
        test_churn(20, 2 * MIB); /* in the shared pool and, for as long as it idles, in this thread's cache */
        test_churn(3, 64 * KIB);
        assert_true(test_global().dirty_bytes > 0);
        test_set_background(UINT64_C(1000000), bounds[i].batch, bounds[i].clear_bytes);
        assert_true(test_eventually(all_cleared, &wanted));
        test_set_background(0, 0, 0); /* the counters stand still only now */
        assert_int_equal(test_class(2 * MIB).thread_regions, 0);
        assert_int_equal(test_global().dirty_bytes, 0);
        test_assert_equations();
    }
}

/* A long interval does not delay what comes after it is changed. */
static void worker_takes_a_shorter_interval_at_once(void **state)
{
    (void)state;
    test_set_background(UINT64_C(3600) * 1000000000, 0, 0);
    test_churn(4, 2 * MIB);
    test_set_background(UINT64_C(1000000), 0, 0);
    assert_true(test_eventually(nothing_dirty, NULL));
    test_set_background(UINT64_MAX, 0, 0);
    test_set_background(0, 0, 0);
}

static bool no_area(void *arg)
{
    (void)arg;
    return test_global().area_bytes == 0;
}

/* Areas that stay unused are given back without anybody asking. */
static void worker_releases_areas(void **state)
{
    (void)state;
    uint64_t released = test_class(2 * MIB).areas_released;
    test_set_background(UINT64_C(1000000), 0, 0);
    test_churn(40, 2 * MIB);
    assert_true(test_eventually(no_area, NULL));
    test_set_background(0, 0, 0);
    assert_true(test_class(2 * MIB).areas_released > released);
}

/* ---------------------------------------------------------------- idle threads */

static void churns(void *arg)
{
    (void)arg;
    test_churn(8, 2 * MIB);
}

/* The caches of threads that do nothing are drained; the thread finds that out when it goes on. */
static void worker_drains_idle_threads(void **state)
{
    (void)state;
    struct test_actor actors[8];
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_start(&actors[i]);
        test_actor_call(&actors[i], churns, NULL);
    }
    assert_true(test_class(2 * MIB).thread_regions >= 8);
    test_set_background(UINT64_C(1000000), 0, 0);
    assert_true(test_eventually(nothing_dirty, NULL));
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_call(&actors[i], churns, NULL);
    }
    assert_true(test_eventually(nothing_dirty, NULL));
    test_set_background(0, 0, 0);
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_stop(&actors[i]);
    }
    test_assert_equations();
}

/* ---------------------------------------------------------------- signals */

static volatile sig_atomic_t caught_elsewhere;
static pthread_t main_thread;

static void catches(int signal_number)
{
    (void)signal_number;
    if (!pthread_equal(pthread_self(), main_thread)) {
        caught_elsewhere = 1;
    }
}

/* The worker blocks all signals: the program's handlers run on the program's own threads. */
static void worker_takes_no_signals(void **state)
{
    (void)state;
    bool yes = true;
    test_set_background(UINT64_C(1000000), 0, 0);
    assert_true(test_eventually(worker_there, &yes));
    main_thread = pthread_self();
    struct sigaction action = {.sa_handler = catches};
    struct sigaction before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
    }
    /* Blocked here too, it would have to be the worker's; there it must stay pending. */
    sigset_t one;
    sigset_t mask;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &mask), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    sigset_t pending;
    assert_int_equal(sigpending(&pending), 0);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
    assert_false(caught_elsewhere);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    test_set_background(0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(worker_starts_and_stops),
        TEST_BOTH(worker_clears),
        TEST_BOTH(worker_takes_a_shorter_interval_at_once),
        TEST_BOTH(worker_releases_areas),
        TEST_BOTH(worker_drains_idle_threads),
        TEST_ANONYMOUS(worker_takes_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
