/*
 * Every system call fails, one by one, from some moment on, and at random. Whatever comes of it is a status;
 * the allocator's books stay in order, memory keeps its contents, and when the failures end all of it works.
 *
 * The scenario below uses every part of the library with both backings. It is run with the n-th call of one
 * kind failing, for n from 1 on, until it makes fewer calls than that.
 */

/* Under valgrind it takes many minutes and finds what the sanitizers find. ctest-labels: novalgrind long */

#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- one step of the scenario */

enum { HELD = 16 };

struct scene {
    lgalloc_handle held[HELD];
    uint64_t seed[HELD];
    bool strict; /* no call fails: every step must succeed */
    int error;   /* what calls fail with; 0: any */
};

/* Wherever a file is touched, the system reads ahead: here that is most of the work, and for nothing. */
static void touch_lightly(lgalloc_handle handle)
{
    (void)madvise(handle.ptr, handle.len, MADV_RANDOM);
}

static void mark(lgalloc_handle handle, uint64_t seed)
{
    uint64_t *words = handle.ptr;
    words[0] = seed;
    words[700] = ~seed;
}

static bool marked(lgalloc_handle handle, uint64_t seed)
{
    const uint64_t *words = handle.ptr;
    return words[0] == seed && words[700] == ~seed;
}

static void require_status(const struct scene *scene, lgalloc_status status)
{
    TEST_REQUIRE(!scene->strict || status == LGALLOC_STATUS_OK);
    if (status == LGALLOC_STATUS_IO && scene->error != 0) {
        TEST_REQUIRE(errno == scene->error);
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_IO || status == LGALLOC_STATUS_OUT_OF_MEMORY);
}

static void take(struct scene *scene, size_t slot, size_t bytes, bool zeroed)
{
    lgalloc_handle *handle = &scene->held[slot];
    if (handle->len != 0) {
        return;
    }
    errno = 0;
    void *ptr = NULL;
    size_t capacity = 1;
    lgalloc_status status = zeroed ? lgalloc_allocate_zeroed(bytes, 1, 64, &ptr, &capacity, handle)
                                   : lgalloc_allocate(bytes, 1, 64, &ptr, &capacity, handle);
    require_status(scene, status);
    TEST_REQUIRE(ptr != NULL && handle->ptr != NULL);
    TEST_REQUIRE(capacity == handle->len && (handle->len != 0) == (status == LGALLOC_STATUS_OK));
    if (status != LGALLOC_STATUS_OK) {
        return;
    }
    touch_lightly(*handle);
    if (zeroed) {
        TEST_REQUIRE(test_filled(handle->ptr, 64 * KIB, 0));
    }
    scene->seed[slot] = (uintptr_t)handle->ptr + bytes;
    mark(*handle, scene->seed[slot]);
}

static void drop(struct scene *scene, size_t slot)
{
    if (scene->held[slot].len != 0) {
        TEST_REQUIRE(marked(scene->held[slot], scene->seed[slot]));
        int before = errno = 4711;
        lgalloc_deallocate(scene->held[slot]);
        TEST_REQUIRE(errno == before);
        scene->held[slot].len = 0;
    }
}

static void drop_all(struct scene *scene)
{
    for (size_t i = 0; i < HELD; i++) {
        drop(scene, i);
    }
}

static void hint(struct scene *scene, size_t slot)
{
    lgalloc_handle handle = scene->held[slot];
    if (handle.len == 0) {
        return;
    }
    errno = 0;
    require_status(scene, lgalloc_populate(handle, 0, 64 * KIB));
    require_status(scene, lgalloc_prefetch(handle, 0, handle.len));
    require_status(scene, lgalloc_cold(handle, 0, handle.len));
    TEST_REQUIRE(marked(handle, scene->seed[slot]));
    lgalloc_status status = lgalloc_discard(handle, 0, handle.len);
    require_status(scene, status);
    if (status == LGALLOC_STATUS_OK) {
        TEST_REQUIRE(test_filled(handle.ptr, 64 * KIB, 0));
    }
    mark(handle, scene->seed[slot]);
}

/* Grows from where bytes are copied to where pages are moved, and shrinks again. */
static void resize(struct scene *scene)
{
    static const size_t sizes[] = {32 * MIB, 64 * MIB, 128 * MIB, 64 * MIB, MIB};
    uint64_t *words = lgalloc_malloc(MIB);
    TEST_REQUIRE(words != NULL || !scene->strict);
    for (size_t i = 0; words != NULL && i < TEST_COUNT(sizes); i++) {
        touch_lightly((lgalloc_handle){words, lgalloc_usable_size(words)});
        words[0] = words[700] = i;
        uint64_t *resized = lgalloc_realloc(words, sizes[i]);
        TEST_REQUIRE(resized != NULL || !scene->strict);
        words = resized != NULL ? resized : words;
        TEST_REQUIRE(words[0] == i && words[700] == i);
    }
    lgalloc_free(words);
}

/* A region of the region API: mapped, or from the heap if there is no mapped memory. */
static void region(struct scene *scene)
{
    lgalloc_region one;
    uint64_t fallbacks = test_global().heap_fallbacks;
    TEST_REQUIRE(lgalloc_region_new_auto(MIB / 8, 8, 8, &one) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(one.capacity == MIB / 8);
    TEST_REQUIRE(test_global().heap_fallbacks == fallbacks + (one.mapped == 0));
    TEST_REQUIRE(!scene->strict || one.mapped != 0);
    TEST_REQUIRE(lgalloc_region_extend_from_slice(&one, &fallbacks, 1) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(*(const uint64_t *)lgalloc_region_as_ptr(&one) == fallbacks);
    lgalloc_region_drop(&one);

    errno = 0;
    lgalloc_status status = lgalloc_region_new_mmap(128 * KIB, 1, 1, &one);
    require_status(scene, status);
    TEST_REQUIRE((one.mapped != 0) == (status == LGALLOC_STATUS_OK));
    lgalloc_region_drop(&one);
}

static void statistics(struct scene *scene)
{
    lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
    lgalloc_map_stats maps[LGALLOC_SIZE_CLASS_COUNT];
    size_t count = 99;
    errno = 0;
    lgalloc_status status = lgalloc_stats_files(files, TEST_COUNT(files), &count);
    require_status(scene, status);
    TEST_REQUIRE(status == LGALLOC_STATUS_OK ? count <= LGALLOC_SIZE_CLASS_COUNT : count == 0);
    count = 99;
    status = lgalloc_stats_maps(maps, TEST_COUNT(maps), &count);
    require_status(scene, status);
    TEST_REQUIRE(status == LGALLOC_STATUS_OK ? count <= LGALLOC_SIZE_CLASS_COUNT : count == 0);
}

static void set_worker(struct scene *scene, uint64_t interval)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, interval, 16, 32 * MIB);
    errno = 0;
    lgalloc_status status = lgalloc_set_config(config);
    require_status(scene, status);
    TEST_REQUIRE(interval != 0 || status == LGALLOC_STATUS_OK);
    TEST_REQUIRE(status != LGALLOC_STATUS_OK || LG_OPTION(interval_ns) == interval);
    lgalloc_config_free(config);
}

static void set_backing(lgalloc_backing backing, bool reserve_blocks, bool eager, size_t local_buffer)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_backing(config, backing);
    lgalloc_config_reserve_blocks(config, reserve_blocks);
    lgalloc_config_eager_return(config, eager);
    lgalloc_config_local_buffer_bytes(config, local_buffer);
    lgalloc_config_idle_bytes(config, eager ? 4 * MIB : SIZE_MAX);
    test_apply(config);
}

/* ---------------------------------------------------------------- other threads */

struct crew {
    const struct scene *scene;
    lgalloc_handle given[4];
    pthread_t thread;
};

static void *crew_member(void *arg)
{
    struct crew *crew = arg;
    struct scene own = *crew->scene;
    memset(own.held, 0, sizeof own.held);
    for (size_t i = 0; i < TEST_COUNT(crew->given); i++) {
        lgalloc_deallocate(crew->given[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        take(&own, i, 64 * KIB << (i % 4), i % 4 == 1);
    }
    drop_all(&own);
    lgalloc_thread_flush();
    take(&own, 0, MIB, false);
    drop_all(&own);
    return NULL;
}

static void other_threads(struct scene *scene)
{
    struct crew crew[2];
    for (size_t i = 0; i < TEST_COUNT(crew); i++) {
        crew[i].scene = scene;
        for (size_t j = 0; j < TEST_COUNT(crew[i].given); j++) {
            if (lgalloc_allocate(MIB, 1, 1, NULL, NULL, &crew[i].given[j]) == LGALLOC_STATUS_OK) {
                mark(crew[i].given[j], j);
            }
        }
        test_spawn(&crew[i].thread, crew_member, &crew[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(crew); i++) {
        test_join(crew[i].thread);
    }
}

/* ---------------------------------------------------------------- the scenario */

static void with_backing(struct scene *scene, lgalloc_backing backing)
{
    set_backing(backing, false, false, 32 * MIB);
    for (size_t i = 0; i < 10; i++) {
        take(scene, i, 64 * KIB << (i % 8), i % 3 == 0 && i % 8 < 5);
    }
    hint(scene, 1);
    hint(scene, 5);
    region(scene);
    statistics(scene);
    for (size_t i = 0; i < 10; i += 2) {
        drop(scene, i);
    }
    (void)lgalloc_purge();
    /* More than the first area has, so that the class grows. */
    for (size_t i = 0; i < HELD; i++) {
        take(scene, i, 4 * MIB, i == 1);
    }
    other_threads(scene);
    set_backing(backing, true, false, 2 * MIB);
    for (size_t i = 0; i < 8; i++) {
        drop(scene, i);
        take(scene, i, MIB, i % 4 == 0);
    }
    set_backing(backing, false, true, 2 * MIB);
    drop_all(scene);
    lgalloc_thread_flush();
    for (unsigned i = 0; i < 3; i++) {
        lg_worker_tick(NULL);
    }
    /* Under a limit, with what is dirty in the way. */
    set_backing(backing, false, false, 32 * MIB);
    for (size_t i = 0; i < 6; i++) {
        take(scene, i, 2 * MIB, false);
    }
    drop_all(scene);
    test_set_limit(13 * MIB);
    take(scene, 0, 8 * MIB, false);
    take(scene, 1, 4 * MIB, true);
    test_set_limit(0);
    drop_all(scene);
    (void)lgalloc_purge();
    if (backing == LGALLOC_BACKING_ANONYMOUS) {
        resize(scene);
        (void)lgalloc_purge();
    }
}

enum { FILES = 1 << LGALLOC_BACKING_FILE, ANONYMOUS = 1 << LGALLOC_BACKING_ANONYMOUS };

static void scenario(struct scene *scene, unsigned backings)
{
    set_worker(scene, 1000000);
    if ((backings & FILES) != 0) {
        with_backing(scene, LGALLOC_BACKING_FILE);
    }
    set_worker(scene, 0);
    if ((backings & ANONYMOUS) != 0) {
        with_backing(scene, LGALLOC_BACKING_ANONYMOUS);
    }
}

/* The failures are over: nothing was lost, and all of it works. */
static void require_recovered(void)
{
    unit_fault_off();
    unit_configure(LGALLOC_BACKING_FILE);
    unit_require_sound(false);
    TEST_REQUIRE(test_equations(false) == NULL);
    const char *left = test_not_quiet(false);
    if (left != NULL) {
        print_error("left after a purge: %s\n", left);
    }
    TEST_REQUIRE(left == NULL);
    TEST_REQUIRE(lg_charged() == 0);
    unit_require_sound(true);
}

/* ---------------------------------------------------------------- one kind of call after the other */

static const struct {
    const char *name;
    enum lg_system_call call;
} all_calls[] = {
#define X(name) {#name, LG_SYS_##name},
    LG_SYSTEM_CALLS(X)
#undef X
};

/* Made at the start, or when metadata grows: every try needs a new process. */
#define ONCE_IN_A_LIFE \
    (UNIT_CALL(RESERVE) | UNIT_CALL(COMMIT) | UNIT_CALL(MEMBARRIER) | UNIT_CALL(KEY) | UNIT_CALL(KEY_SET))
/* Made for one backing alone. */
#define ONLY_FILES                                                                                          \
    (UNIT_CALL(MAP_FILE) | UNIT_CALL(OPEN) | UNIT_CALL(TRUNCATE) | UNIT_CALL(ALLOCATE) | UNIT_CALL(PUNCH) | \
     UNIT_CALL(FSTAT) | UNIT_CALL(IDENTIFY) | UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(ADVISE_DONTFORK))
#define ONLY_ANONYMOUS \
    (UNIT_CALL(ADVISE_DISCARD) | UNIT_CALL(ADVISE_HUGE) | UNIT_CALL(NAME) | UNIT_CALL(MOVE_OUT) | UNIT_CALL(MOVE_IN))
/* Whose failures are counted. */
#define CLEARING (UNIT_CALL(ADVISE_DISCARD) | UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(PUNCH))
#define ADVICE                                                                                                   \
    (UNIT_CALL(ADVISE_HUGE) | UNIT_CALL(ADVISE_DONTFORK) | UNIT_CALL(ADVISE_PREFETCH) | UNIT_CALL(ADVISE_COLD) | \
     UNIT_CALL(ADVISE_DUMP))

struct attempt {
    const char *name;
    uint64_t calls;
    int error;
    long skip;
    long failures;
};

static unsigned backings_of(uint64_t calls)
{
    return (calls & ~ONLY_FILES) == 0 ? FILES : (calls & ~ONLY_ANONYMOUS) == 0 ? ANONYMOUS : FILES | ANONYMOUS;
}

/* Returns whether the calls were made often enough to fail. */
static bool run_attempt(const struct attempt *attempt)
{
    struct scene scene = {.error = attempt->error};
    lgalloc_global_stats before = test_global();
    unit_fault_arm(attempt->calls, attempt->skip, attempt->failures, attempt->error);
    scenario(&scene, backings_of(attempt->calls));
    lgalloc_global_stats after = test_global();
    uint64_t refused = unit_fault_hits(attempt->calls & CLEARING);
    uint64_t failures = after.clear_failures - before.clear_failures;
    /* What is refused as locked memory is, is tried in another way. */
    TEST_REQUIRE(attempt->error == EINVAL ? failures <= refused : failures == refused);
    TEST_REQUIRE(after.advise_failures - before.advise_failures == unit_fault_hits(attempt->calls & ADVICE));
    bool hit = unit_fault_hits(attempt->calls) != 0;
    require_recovered();
    return hit;
}

static void require_all_well(uint64_t calls)
{
    struct scene scene = {.strict = true};
    scenario(&scene, backings_of(calls));
    require_recovered();
}

/* The first ones one by one, then in growing steps; in large ones where a tool makes it slow, or where all calls
 * fail from then on, so that little differs from one try to the next. */
static void skip_more(struct attempt *attempt)
{
    bool coarse = test_slow_tool() || attempt->failures != 1;
    attempt->skip += 1 + attempt->skip / (coarse ? 1 : 5);
}

static void one_attempt(void *arg)
{
    const struct attempt *attempt = arg;
    unit_fault_install();
    unit_configure(LGALLOC_BACKING_FILE);
    bool hit = run_attempt(attempt);
    /* A process that got no key at its start lives without; everything else must be as good as new. */
    require_all_well(attempt->calls);
    _exit(hit ? 0 : 42);
}

static void attempts_in_one_life(void *arg)
{
    struct attempt attempt = *(const struct attempt *)arg;
    unit_fault_install();
    unit_configure(LGALLOC_BACKING_FILE);
    require_all_well(attempt.calls);
    while (run_attempt(&attempt) && !test_on_valgrind()) {
        skip_more(&attempt);
    }
    require_all_well(attempt.calls);
    _exit(42);
}

static void try_all(struct attempt attempt)
{
    bool once = (attempt.calls & ONCE_IN_A_LIFE) != 0;
    for (;;) {
        struct test_child child;
        test_run_child(once ? one_attempt : attempts_in_one_life, &attempt, &child);
        if (!WIFEXITED(child.status) || (WEXITSTATUS(child.status) != 42 && WEXITSTATUS(child.status) != 0)) {
            fail_msg("%s fails with error %d, %ld times, after %ld: status %#x: %s", attempt.name, attempt.error,
                     attempt.failures, attempt.skip, (unsigned)child.status, child.errors);
        }
        assert_string_equal(child.errors, "");
        if (WEXITSTATUS(child.status) == 42 || test_on_valgrind()) {
            return;
        }
        skip_more(&attempt);
    }
}

static void every_call(int error, long failures)
{
    for (size_t i = 0; i < TEST_COUNT(all_calls); i++) {
        try_all((struct attempt){all_calls[i].name, (uint64_t)1 << all_calls[i].call, error, 0, failures});
    }
}

static void every_call_once(void **state)
{
    every_call(ENOMEM, 1);
}

static void every_call_from_then_on(void **state)
{
    every_call(EIO, UNIT_FOREVER);
}

/* Errors to which the library has an answer of its own, and calls that are made where others have failed. */
static void errors_that_mean_something(void **state)
{
    const struct attempt attempts[] = {
        {"OPEN", UNIT_CALL(OPEN), ENOENT, 0, UNIT_FOREVER},
        {"OPEN", UNIT_CALL(OPEN), EMFILE, 0, 1},
        {"TRUNCATE", UNIT_CALL(TRUNCATE), EFBIG, 0, UNIT_FOREVER},
        {"ALLOCATE", UNIT_CALL(ALLOCATE), ENOSPC, 0, 1},
        {"ALLOCATE", UNIT_CALL(ALLOCATE), EOPNOTSUPP, 0, UNIT_FOREVER},
        {"THREAD", UNIT_CALL(THREAD), EAGAIN, 0, 1},
        {"clearing", CLEARING, EOPNOTSUPP, 0, UNIT_FOREVER},
        {"clearing", UNIT_CALL(PUNCH) | UNIT_CALL(ADVISE_REMOVE), EINVAL, 0, UNIT_FOREVER},
        {"clearing and cutting", CLEARING | UNIT_CALL(TRUNCATE), EIO, 0, UNIT_FOREVER},
        {"blocks", CLEARING | UNIT_CALL(ALLOCATE), ENOSPC, 0, UNIT_FOREVER},
        {"unmapping", CLEARING | UNIT_CALL(UNMAP), ENOMEM, 0, UNIT_FOREVER},
        {"mapping", UNIT_CALL(MAP_FILE) | UNIT_CALL(TRUNCATE) | UNIT_CALL(UNMAP), ENOMEM, 0, UNIT_FOREVER},
    };
    for (size_t i = 0; i < TEST_COUNT(attempts); i++) {
        try_all(attempts[i]);
    }
}

/* ---------------------------------------------------------------- at random */

static void random_failures(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    unit_fault_install();
    unit_configure(LGALLOC_BACKING_FILE);
    static const unsigned chances[] = {2, 3, 5, 10, 30, 100};
    for (size_t i = 0; i < test_scale(6, 2); i++) {
        struct scene scene = {.error = 0};
        unit_fault_random(UNIT_ALL_CALLS, chances[(seed + i) % TEST_COUNT(chances)], seed * 1000 + i, 0);
        scenario(&scene, FILES | ANONYMOUS);
        require_recovered();
    }
    /* Keys and reservations may have failed for good or for a while; the rest has not. */
    require_all_well(UNIT_ALL_CALLS);
}

static void all_calls_at_random(void **state)
{
    for (uint64_t seed = 1; seed <= test_scale(4, 2); seed++) {
        struct test_child child;
        test_run_child(random_failures, &seed, &child);
        if (child.status != 0) {
            fail_msg("seed %llu: status %#x: %s", (unsigned long long)seed, (unsigned)child.status, child.errors);
        }
    }
}

/* ---------------------------------------------------------------- counted */

static void limit_failures_are_counted(void **state)
{
    lgalloc_handle handles[4];
    lgalloc_handle none;
    test_set_limit(4 * MIB);
    test_take_all(handles, 4, MIB);
    uint64_t before = test_global().limit_failures;
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(lgalloc_allocate(MIB, 1, 1, NULL, NULL, &none), LGALLOC_STATUS_OUT_OF_MEMORY);
        assert_int_equal(test_global().limit_failures, before + i);
    }
    /* More than could ever be had. */
    assert_int_equal(lgalloc_allocate(8 * MIB, 1, 1, NULL, NULL, &none), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(test_global().limit_failures, before + 4);
    /* A limit is a limit for the region API too: no heap behind it. */
    uint64_t fallbacks = test_global().heap_fallbacks;
    lgalloc_region region_at_limit;
    assert_int_equal(lgalloc_region_new_auto(MIB, 1, 1, &region_at_limit), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
    assert_int_equal(test_global().limit_failures, before + 5);
    unit_assert_sound(false);
    lgalloc_deallocate(handles[0]);
    handles[0] = test_take(MIB);
    test_set_limit(0);
    test_free_all(handles, 4);
}

static void heap_fallbacks_are_counted(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    uint64_t before = test_global().heap_fallbacks;
    unit_fault_arm(file ? UNIT_CALL(MAP_FILE) : UNIT_CALL(COMMIT), 0, UNIT_FOREVER, ENOMEM);
    lgalloc_region one;
    errno = 4711;
    assert_int_equal(lgalloc_region_new_auto(MIB, 1, 1, &one), LGALLOC_STATUS_OK);
    assert_int_equal(errno, 4711);
    assert_int_equal(one.mapped, 0);
    assert_int_equal(test_global().heap_fallbacks, before + 1);
    lgalloc_region_drop(&one);
    assert_int_equal(lgalloc_region_new_mmap(MIB, 1, 1, &one), LGALLOC_STATUS_IO);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(one.capacity, 0);
    lgalloc_region_drop(&one);
    unit_fault_off();
    assert_int_equal(lgalloc_region_new_auto(MIB, 1, 1, &one), LGALLOC_STATUS_OK);
    assert_int_equal(one.mapped, MIB);
    assert_int_equal(test_global().heap_fallbacks, before + 1);
    lgalloc_region_drop(&one);
}

int main(void)
{
    const struct CMUnitTest injected[] = {
        cmocka_unit_test(every_call_once),
        cmocka_unit_test(every_call_from_then_on),
        cmocka_unit_test(errors_that_mean_something),
        cmocka_unit_test(all_calls_at_random),
    };
    const struct CMUnitTest counted[] = {
        UNIT_BOTH(limit_failures_are_counted),
        UNIT_BOTH(heap_fallbacks_are_counted),
    };
    /* The first ones are children of a process in which the allocator isn't up. */
    (void)test_dir();
    int failures = cmocka_run_group_tests(injected, NULL, NULL);
    return failures + cmocka_run_group_tests(counted, NULL, NULL);
}
