/*
 * fork(): file-backed memory stays the parent's, anonymous memory is copied on write, and the child
 * works, whatever the parent's other threads were doing at that moment.
 */

#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The library may have told AddressSanitizer that the memory is not to be touched; the fault is the
 * kernel's to raise. */
#define UNCHECKED __attribute__((no_sanitize("address")))

struct family {
    lgalloc_backing backing;
    lgalloc_handle used[3];
    lgalloc_handle freed;
};

static void family_start(struct family *family, void **state)
{
    static const size_t bytes[] = {64 * KIB, 2 * MIB, 16 * MIB};
    family->backing = test_backing(state);
    for (size_t i = 0; i < TEST_COUNT(bytes); i++) {
        family->used[i] = test_take(bytes[i]);
        test_mark(family->used[i], i);
    }
    family->freed = test_take(2 * MIB);
    memset(family->freed.ptr, 0xff, family->freed.len);
    lgalloc_deallocate(family->freed);
}

/* What the parent had is as it was. */
static void family_end(struct family *family)
{
    for (size_t i = 0; i < TEST_COUNT(family->used); i++) {
        assert_true(test_marked(family->used[i], i));
        assert_int_equal(test_class(family->used[i].len).in_use_regions, 1);
    }
    test_assert_equations();
    test_free_all(family->used, TEST_COUNT(family->used));
}

/* Allocates in several classes, checks what it writes, and frees: the allocator works here. */
static void works(void)
{
    lgalloc_handle handles[24];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = test_take(64 * KIB << i % 8);
        test_mark(handles[i], i);
    }
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
        lgalloc_deallocate(handles[i]);
    }
    lgalloc_handle zeroed;
    TEST_REQUIRE(lgalloc_allocate_zeroed(2 * MIB, 1, 1, NULL, NULL, &zeroed) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_filled(zeroed.ptr, zeroed.len, 0));
    lgalloc_deallocate(zeroed);
}

/* ---------------------------------------------------------------- what the child sees */

UNCHECKED static void touches(void *arg)
{
    (void)*(volatile unsigned char *)((lgalloc_handle *)arg)->ptr;
}

UNCHECKED static void writes(void *arg)
{
    *(volatile unsigned char *)((lgalloc_handle *)arg)->ptr = 1;
}

static bool faulted(int status)
{
    return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
}

static void file_child(void *arg)
{
    struct family *family = arg;
    for (size_t i = 0; i < TEST_COUNT(family->used); i++) {
        TEST_REQUIRE(faulted(test_fork_status(touches, &family->used[i])));
        TEST_REQUIRE(faulted(test_fork_status(writes, &family->used[i])));
    }
    works();
    /* Lost regions are harmless to free, and hints say that there is nothing. */
    TEST_REQUIRE(lgalloc_discard(family->used[1], 0, 4096) != LGALLOC_STATUS_OK);
    test_free_all(family->used, TEST_COUNT(family->used));
    works();
    test_require_quiet(true);
    works();
}

/* A file system that writes back meanwhile may need some blocks to find the others. */
static void assert_blocks_kept(size_t size_class, size_t before)
{
    assert_in_range(test_file(size_class).allocated_size, before, before + 64 * KIB);
}

static void file_backed(void **state)
{
    struct family family;
    family_start(&family, state);
    lgalloc_file_stats before = test_file(2 * MIB);
    test_child_succeeds(file_child, &family);
    assert_int_equal(test_file(2 * MIB).file_size, before.file_size);
    assert_blocks_kept(2 * MIB, before.allocated_size);
    family_end(&family);
}

static void anonymous_child(void *arg)
{
    struct family *family = arg;
    for (size_t i = 0; i < TEST_COUNT(family->used); i++) {
        TEST_REQUIRE(test_marked(family->used[i], i));
        memset(family->used[i].ptr, 0xee, family->used[i].len);
    }
    works();
    TEST_REQUIRE(test_filled(family->used[1].ptr, family->used[1].len, 0xee));
    TEST_REQUIRE(lgalloc_discard(family->used[1], 0, family->used[1].len) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_global().in_use_bytes == 64 * KIB + 18 * MIB);
    test_free_all(family->used, TEST_COUNT(family->used));
    works();
    test_require_quiet(true);
    works();
}

static void anonymous(void **state)
{
    struct family family;
    family_start(&family, state);
    test_child_succeeds(anonymous_child, &family);
    family_end(&family);
}

/* The child frees nothing and just goes: the parent's memory and files do not notice. */
static void leaves_everything(void *arg)
{
    struct family *family = arg;
    works();
    (void)lgalloc_purge();
    (void)test_take(2 * MIB);
    if (family->backing == LGALLOC_BACKING_ANONYMOUS) {
        memset(family->used[2].ptr, 0, family->used[2].len);
    }
}

static void child_exits_with_regions(void **state)
{
    struct family family;
    family_start(&family, state);
    size_t blocks = test_file(16 * MIB).allocated_size;
    for (int i = 0; i < 3; i++) {
        test_child_succeeds(leaves_everything, &family);
    }
    assert_blocks_kept(16 * MIB, blocks);
    family_end(&family);
}

/* ---------------------------------------------------------------- nested */

enum { DEPTH = 4 };

struct line {
    lgalloc_backing backing;
    size_t count;
    lgalloc_handle held[DEPTH];
};

static void generation(void *arg)
{
    struct line *line = arg;
    size_t own = line->count++;
    works();
    line->held[own] = test_take(2 * MIB);
    test_mark(line->held[own], own);
    if (line->count < DEPTH) {
        int status = test_fork_status(generation, line);
        TEST_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        TEST_REQUIRE(test_marked(line->held[own], own));
    }
    for (size_t i = 0; i <= own; i++) { /* its own, and what it inherited or lost */
        TEST_REQUIRE(line->backing == LGALLOC_BACKING_FILE || test_marked(line->held[i], i));
        lgalloc_deallocate(line->held[i]);
    }
    works();
    test_require_quiet(true);
}

static void nested(void **state)
{
    struct line line = {.backing = test_backing(state)};
    line.held[line.count++] = test_take(2 * MIB);
    test_mark(line.held[0], 0);
    test_child_succeeds(generation, &line);
    assert_true(test_marked(line.held[0], 0));
    lgalloc_deallocate(line.held[0]);
}

/* ---------------------------------------------------------------- caches of threads that vanished */

static void churn_in_actor(void *arg)
{
    (void)arg;
    test_churn(8, 2 * MIB);
}

/* What the parent's other threads had cached is not lost to the child: it takes it over, or nothing is left. */
static void child_without_the_threads(void *arg)
{
    (void)arg;
    TEST_REQUIRE(test_class(2 * MIB).in_use_regions == 0);
    works();
    test_require_quiet(true);
    works();
}

static void caches_of_vanished_threads(void **state)
{
    (void)state;
    TEST_SKIP_FORK_WITH_THREADS();
    struct test_actor actors[3];
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_start(&actors[i]);
        test_actor_call(&actors[i], churn_in_actor, NULL);
    }
    size_t cached = test_class(2 * MIB).thread_regions;
    assert_true(cached >= 8);
    test_child_succeeds(child_without_the_threads, NULL);
    assert_int_equal(test_class(2 * MIB).thread_regions, cached);
    for (size_t i = 0; i < TEST_COUNT(actors); i++) {
        test_actor_call(&actors[i], churn_in_actor, NULL);
        test_actor_stop(&actors[i]);
    }
    test_assert_equations();
}

/* ---------------------------------------------------------------- the worker */

static bool nothing_dirty(void *arg)
{
    (void)arg;
    return test_global().dirty_bytes == 0;
}

static bool worker_there(void *arg)
{
    return test_threads_named("lgalloc-0") == *(const size_t *)arg;
}

static void child_with_worker(void *arg)
{
    size_t none = 0;
    size_t one = 1;
    (void)arg;
    works();
    TEST_REQUIRE(test_eventually(nothing_dirty, NULL));
    TEST_REQUIRE(test_threads_named("lgalloc-0") == 1);
    test_set_background(0, 0, 0);
    TEST_REQUIRE(test_eventually(worker_there, &none));
    works();
    test_set_background(1000000, 0, 0);
    TEST_REQUIRE(test_eventually(worker_there, &one));
    test_set_background(0, 0, 0);
    test_require_quiet(true);
}

static void with_the_worker(void **state)
{
    (void)state;
    TEST_SKIP_FORK_WITH_THREADS();
    test_set_background(1000000, 0, 0);
    for (size_t i = 0; i < test_scale(10, 2); i++) {
        test_churn(8, 2 * MIB);
        test_child_succeeds(child_with_worker, NULL);
    }
    test_churn(8, 2 * MIB);
    assert_true(test_eventually(nothing_dirty, NULL)); /* the parent's goes on */
    assert_int_equal(test_threads_named("lgalloc-0"), 1);
}

/* The child takes only what its parent's cache held; the worker comes back all the same. */
static void child_with_a_full_pool(void *arg)
{
    size_t one = 1;
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        test_churn(24, 64 * KIB);
    }
    TEST_REQUIRE(test_eventually(worker_there, &one));
    test_set_background(0, 0, 0);
    test_require_quiet(true);
}

static void worker_though_the_pool_is_full(void **state)
{
    (void)state;
    TEST_SKIP_FORK_WITH_THREADS();
    test_set_local_buffer(MIB);
    test_set_background(UINT64_C(3600) * 1000000000, 0, 0);
    test_churn(256, 64 * KIB);
    test_churn(256, 64 * KIB); /* from the dirty pool, where this thread is at home now */
    test_child_succeeds(child_with_a_full_pool, NULL);
    test_set_background(0, 0, 0);
}

/* ---------------------------------------------------------------- threads inside the allocator */

static atomic_bool stop;

static void *busy(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    lgalloc_handle held[8];
    size_t count = 0;
    while (!atomic_load(&stop)) {
        size_t choice = test_random(&random) % 64;
        if (count == 0 || (count < TEST_COUNT(held) && choice < 31)) {
            held[count] = test_take(64 * KIB << test_random(&random) % 8);
            test_mark(held[count], count);
            count++;
        } else if (choice < 62) {
            count--;
            TEST_REQUIRE(test_marked(held[count], count));
            lgalloc_deallocate(held[count]);
        } else if (choice == 62) {
            lgalloc_thread_flush();
        } else {
            (void)lgalloc_purge();
        }
    }
    test_free_all(held, count);
    return NULL;
}

static void child_amid_threads(void *arg)
{
    (void)arg;
    works();
    (void)lgalloc_purge();
    works();
    lgalloc_thread_flush();
    TEST_REQUIRE(test_class(2 * MIB).thread_regions == 0);
}

static void threads_inside_the_allocator(void **state)
{
    TEST_SKIP_FORK_WITH_THREADS();
    test_set_background(1000000, 0, 0);
    atomic_store(&stop, false);
    pthread_t threads[2];
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], busy, (void *)(i + 1));
    }
    /* New files cost more than new anonymous memory. */
    size_t forks = test_backing(state) == LGALLOC_BACKING_FILE ? 15 : 60;
    for (size_t i = 0; i < test_scale(forks, 5); i++) {
        int status = test_fork_status(child_amid_threads, NULL);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fail_msg("child %zu ended with status %#x", i, (unsigned)status);
        }
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    test_set_background(0, 0, 0);
    test_assert_equations();
}

/* ---------------------------------------------------------------- threads that are the first to come */

static pthread_barrier_t first;

static void *uses_it_first(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&first);
    lgalloc_deallocate(test_take(2 * MIB));
    return NULL;
}

static void works_in_grandchild(void *arg)
{
    (void)arg;
    works();
    (void)lgalloc_purge();
    /* Each of the two threads that vanished may have had its region in use, which it stays. */
    TEST_REQUIRE(test_global().in_use_bytes <= 2 * 2 * MIB);
    const char *wrong = test_equations(true);
    TEST_REQUIRE(wrong == NULL);
}

/* The library's first use by several threads of this process, and a fork by another, all at once. */
static void forks_at_first_use(void *arg)
{
    test_configure(*(const lgalloc_backing *)arg);
    pthread_t threads[2];
    TEST_REQUIRE(pthread_barrier_init(&first, NULL, TEST_COUNT(threads) + 1) == 0);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], uses_it_first, NULL);
    }
    pthread_barrier_wait(&first);
    int status = test_fork_status(works_in_grandchild, NULL);
    TEST_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    test_require_quiet(false);
}

static void first_use_while_forking(void **state)
{
    (void)state;
    TEST_SKIP_FORK_WITH_THREADS();
    for (size_t i = 0; i < test_scale(30, 4); i++) {
        lgalloc_backing backing = (lgalloc_backing)(i % 2);
        test_child_succeeds(forks_at_first_use, &backing);
    }
}

/* ---------------------------------------------------------------- fork and exec */

/* The program that is executed: no descriptor may lead into the directory of the area files. */
static int check_descriptors(const char *dir)
{
    DIR *stream = opendir("/proc/self/fd");
    if (stream == NULL) {
        return 2;
    }
    int inherited = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char target[4096];
        ssize_t length = readlinkat(dirfd(stream), entry->d_name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            inherited += strstr(target, dir) != NULL;
        }
    }
    closedir(stream);
    return inherited == 0 ? 0 : 1;
}

static void executes(void *arg)
{
    const char *check = arg;
    execl("/proc/self/exe", "test_api_fork", "descriptors", check, (char *)NULL);
    TEST_REQUIRE(!"exec");
}

static void works_and_executes(void *arg)
{
    works();
    (void)test_take(2 * MIB);
    executes(arg);
}

static void descriptors_are_not_inherited(void **state)
{
    if (test_on_valgrind()) {
        TEST_SKIP("under valgrind /proc/self/exe is valgrind");
    }
    lgalloc_handle handle = test_take(2 * MIB);
    char dir[4096];
    assert_non_null(realpath(test_dir(), dir));
    assert_true(check_descriptors(dir) == (test_backing(state) == LGALLOC_BACKING_FILE)); /* here they are */
    test_child_succeeds(executes, strrchr(dir, '/'));
    test_child_succeeds(works_and_executes, strrchr(dir, '/'));
    lgalloc_deallocate(handle);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "descriptors") == 0) {
        return check_descriptors(argv[2]);
    }
    (void)test_dir(); /* made by this process, so that it is removed by it */
    const struct CMUnitTest tests[] = {
        /* The first needs a process that has not used the library yet. */
        cmocka_unit_test(first_use_while_forking),
        TEST_FILE(file_backed),
        TEST_ANONYMOUS(anonymous),
        TEST_BOTH(child_exits_with_regions),
        TEST_BOTH(nested),
        TEST_BOTH(caches_of_vanished_threads),
        TEST_BOTH(with_the_worker),
        TEST_BOTH(worker_though_the_pool_is_full),
        TEST_BOTH(threads_inside_the_allocator),
        TEST_BOTH(descriptors_are_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
