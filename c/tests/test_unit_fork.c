/* The child of a fork, by the verifier: whatever the parent's threads held, its own books are in order. */

#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static lgalloc_handle used[12];
static size_t used_count;
static bool anonymous;
static bool others_allocate; /* what vanished threads had in use stays so for good */

static void take_used(void **state)
{
    static const size_t sizes[] = {64 * KIB, 128 * KIB, MIB, 2 * MIB, 4 * MIB};
    anonymous = test_backing(state) == LGALLOC_BACKING_ANONYMOUS;
    used_count = TEST_COUNT(used);
    for (size_t i = 0; i < used_count; i++) {
        used[i] = test_take(sizes[i % TEST_COUNT(sizes)]);
        test_mark(used[i], i);
    }
}

/* In the parent: it never sees any of it. */
static void free_used(void)
{
    for (size_t i = 0; i < used_count; i++) {
        assert_true(test_marked(used[i], i));
    }
    test_free_all(used, used_count);
    used_count = 0;
    unit_assert_sound(false);
}

static void allocates_in_all_classes(void)
{
    lgalloc_handle handles[60];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = test_take(64 * KIB << i % 7);
        test_mark(handles[i], i);
    }
    unit_require_sound(false);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
        lgalloc_deallocate(handles[i]);
    }
    unit_require_sound(false);
}

/* Everything a child does in its life, with the verifier in between. */
static void lives(void *arg)
{
    unsigned forks_left = *(unsigned *)arg;
    unit_require_sound(false);
    test_set_background(0, 0, 0); /* a worker that comes back would move while the verifier looks */
    TEST_REQUIRE(lg_charged() == (anonymous ? test_global().in_use_bytes + test_global().dirty_bytes : 0));
    allocates_in_all_classes();
    for (size_t i = 0; i < used_count; i++) {
        TEST_REQUIRE(!anonymous || test_marked(used[i], i));
        if (i % 2 == 0) {
            lgalloc_deallocate(used[i]); /* what was lost may be freed, and nothing happens */
        }
    }
    unit_require_sound(false);
    if (forks_left != 0) {
        forks_left--;
        /* The grandchild has less to free. */
        size_t kept = 0;
        for (size_t i = 1; i < used_count; i += 2) {
            used[kept++] = used[i];
            if (anonymous) {
                test_mark(used[kept - 1], kept - 1);
            }
        }
        used_count = kept;
        TEST_REQUIRE(test_fork_status(lives, &forks_left) == 0);
        for (size_t i = 0; i < used_count; i++) {
            TEST_REQUIRE(!anonymous || test_marked(used[i], i));
            lgalloc_deallocate(used[i]);
        }
    } else {
        for (size_t i = 1; i < used_count; i += 2) {
            lgalloc_deallocate(used[i]);
        }
    }
    (void)lgalloc_purge();
    unit_require_sound(true);
    if (!others_allocate || !anonymous) {
        TEST_REQUIRE(lg_charged() == 0);
        LG_EACH_CLASS(c) {
            TEST_REQUIRE(lg_area_count(c) == 0);
        }
    }
    allocates_in_all_classes();
}

static void assert_child_lives(unsigned forks)
{
    test_child_succeeds(lives, &forks);
}

static void one_thread(void **state)
{
    take_used(state);
    test_churn(20, MIB);
    unit_assert_sound(false);
    assert_child_lives(0);
    assert_child_lives(2);
    free_used();
}

static void caches_some(void *arg)
{
    for (size_t bytes = 64 * KIB; bytes <= 4 * MIB; bytes *= 2) {
        test_churn(6, bytes);
    }
}

static void caches_of_vanished_threads(void **state)
{
    struct test_actor actors[4];
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_start(&actors[i]);
        test_actor_call(&actors[i], caches_some, NULL);
    }
    take_used(state);
    if (TEST_TSAN) {
        for (size_t i = 0; i < TEST_COUNT(actors); i++) {
            test_actor_stop(&actors[i]);
        }
        free_used();
        TEST_SKIP_FORK_WITH_THREADS();
    }
    uint32_t high = lg_threads_high();
    assert_child_lives(1);
    /* All of it again, with the pools in another state. */
    lg_reclaim_caches(lg_self(), unit_class(MIB));
    test_actor_call(&actors[1], caches_some, NULL);
    assert_child_lives(0);
    assert_int_equal(lg_threads_high(), high);
    unit_assert_sound(false);
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_stop(&actors[i]);
    }
    free_used();
}

/* ---------------------------------------------------------------- in the middle of things */

static lg_thread *find_record(lg_class *c, uint64_t at_least)
{
    for (uint32_t id = 0; id < lg_threads_high(); id++) {
        if (lg_thread_at(id) != lg_self() && unit_cached(lg_thread_at(id), c) >= at_least) {
            return lg_thread_at(id);
        }
    }
    return NULL;
}

static void caches_a_few(void *arg)
{
    test_churn(3, MIB);
}

/* What a thread leaves behind that vanishes between two steps of a pop is put into its deque by hand, while it
 * sleeps and nobody else looks. */
static void in_the_middle_of_a_pop(void **state)
{
    TEST_SKIP_FORK_WITH_THREADS();
    struct test_actor actor;
    lg_class *c = unit_class(MIB);
    (void)unit_self();
    take_used(state);
    test_actor_start(&actor);
    test_actor_call(&actor, caches_a_few, NULL);
    lg_thread *record = find_record(c, 2);
    assert_non_null(record);
    lg_deque *deque = &unit_bin(record, c)->deque;
    uint64_t bottom = lg_load_relaxed_64(&deque->bottom);
    uint64_t top = lg_load_relaxed_64(&deque->top);

    /* The bottom is lowered, the region still free. */
    struct test_child popped, won;
    unsigned forks = 1;
    lg_store_relaxed_64(&deque->bottom, bottom - 1);
    test_run_child(lives, &forks, &popped);
    /* It was the last, and won against the thieves; the bottom is not yet set straight. */
    lg_store_relaxed_64(&deque->top, bottom);
    test_run_child(lives, &forks, &won);

    lg_store_relaxed_64(&deque->top, top);
    lg_store_relaxed_64(&deque->bottom, bottom);
    unit_assert_sound(false);
    test_actor_stop(&actor);
    free_used();
    assert_string_equal(popped.errors, "");
    assert_int_equal(popped.status, 0);
    assert_string_equal(won.errors, "");
    assert_int_equal(won.status, 0);
}

/* ---------------------------------------------------------------- threads inside the allocator */

static atomic_bool over;

static void *never_rests(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        lgalloc_handle handles[12];
        size_t count = 1 + test_random(&random) % TEST_COUNT(handles);
        for (size_t i = 0; i < count; i++) {
            handles[i] = test_take(64 * KIB << test_random(&random) % 5);
            test_mark(handles[i], i);
        }
        for (size_t i = 0; i < count; i++) {
            TEST_REQUIRE(test_marked(handles[i], i));
            lgalloc_deallocate(handles[i]);
        }
        switch (random % 16) {
        case 0: lgalloc_thread_flush(); break;
        case 1: (void)lgalloc_purge(); break;
        default: break;
        }
    }
    return NULL;
}

static void with_threads_inside(void **state)
{
    TEST_SKIP_FORK_WITH_THREADS();
    test_set_local_buffer(MIB);
    take_used(state);
    test_set_background(200000, 0, 0);
    atomic_store(&over, false);
    pthread_t threads[2];
    for (uintptr_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], never_rests, (void *)(i + 1));
    }
    int status = 0;
    others_allocate = true;
    for (size_t i = 0; i < test_scale(8, 3) && status == 0; i++) {
        unsigned forks = i % 4 == 0;
        status = test_fork_status(lives, &forks);
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    others_allocate = false;
    test_set_background(0, 0, 0);
    free_used();
    assert_int_equal(status, 0);
}

/* ---------------------------------------------------------------- the worker */

static bool worker_is_there(void *arg)
{
    return test_threads_named("lgalloc-0") == 1;
}

static void worker_comes_back(void *arg)
{
    TEST_REQUIRE(test_threads_named("lgalloc-0") == 0);
    /* A system that refuses it once is asked again. */
    unit_fault_arm(UNIT_CALL(THREAD), 0, 1, EAGAIN);
    lgalloc_deallocate(test_take(16 * MIB));
    TEST_REQUIRE(unit_fault_hits(UNIT_CALL(THREAD)) == 1);
    TEST_REQUIRE(test_threads_named("lgalloc-0") == 0);
    lgalloc_deallocate(test_take(8 * MIB));
    TEST_REQUIRE(test_eventually(worker_is_there, NULL));
    test_set_background(0, 0, 0);
    unit_require_sound(false);
}

static void worker_refused_by_configuration(void *arg)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, 3000000, 0, 0);
    unit_fault_arm(UNIT_CALL(THREAD), 0, 1, EAGAIN);
    TEST_REQUIRE(lgalloc_set_config(config) == LGALLOC_STATUS_IO);
    lgalloc_config_free(config);
    /* Nothing has changed: the worker is still wanted. */
    TEST_REQUIRE(LG_OPTION(interval_ns) == 1000000);
    lgalloc_deallocate(test_take(16 * MIB));
    TEST_REQUIRE(test_eventually(worker_is_there, NULL));
    test_set_background(0, 0, 0);
}

static void the_worker_starts_again(void **state)
{
    TEST_SKIP_FORK_WITH_THREADS();
    test_set_background(1000000, 0, 0);
    lgalloc_deallocate(test_take(MIB));
    test_child_succeeds(worker_comes_back, NULL);
    test_child_succeeds(worker_refused_by_configuration, NULL);
    assert_true(test_eventually(worker_is_there, NULL));
}

/* ---------------------------------------------------------------- no child at all */

/* A thread reads that the allocator isn't up; another brings it up; the first reads that it was. It is no child, whichever
 * of its two looks came when. */
static void brought_up_between_two_looks(void **state)
{
    lgalloc_handle handle = test_take(MIB);
    test_mark(handle, 1);
    assert_true(lg_child_notices());
    lg_store_relaxed_32(&lg_this_process.up, 0);
    assert_false(lg_child_notices()); /* it will wait for the init lock */
    lg_store_relaxed_32(&lg_this_process.up, 1);
    assert_true(test_marked(handle, 1));
    lgalloc_deallocate(handle);
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- when the system refuses */

static void lives_with_failures(void *arg)
{
    unsigned forks = 0;
    unit_fault_off();
    lives(&forks);
}

static void forks_with_failures(void *arg)
{
    unit_fault_arm(*(unsigned *)arg, 0, UNIT_FOREVER, ENOMEM);
    int status = test_fork_status(lives_with_failures, NULL);
    TEST_REQUIRE(status == 0);
}

/* In the child without membarrier, and with pages of the parent's still mapped. */
static void refused_in_the_child(void **state)
{
    uint64_t calls[] = {UNIT_CALL(MEMBARRIER), UNIT_CALL(UNMAP)};
    take_used(state);
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        test_child_succeeds(forks_with_failures, &calls[i]);
    }
    free_used();

    /* The kernel was not told to keep the file's pages from children. */
    unit_fault_arm(UNIT_CALL(ADVISE_DONTFORK), 0, UNIT_FOREVER, EINVAL);
    take_used(state);
    unit_fault_off();
    assert_child_lives(1);
    free_used();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(one_thread),           UNIT_BOTH(caches_of_vanished_threads), UNIT_BOTH(in_the_middle_of_a_pop),
        UNIT_BOTH(with_threads_inside),  UNIT_BOTH(the_worker_starts_again),    UNIT_BOTH(brought_up_between_two_looks),
        UNIT_BOTH(refused_in_the_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
