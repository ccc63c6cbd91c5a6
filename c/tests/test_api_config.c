/* Every option, applied at run time, all or nothing, from any thread. */

#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---------------------------------------------------------------- the set of options */

static void arguments(void **state)
{
    (void)state;
    assert_int_equal(lgalloc_set_config(NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_config_free(NULL);
    lgalloc_config_enable(NULL);
    lgalloc_config_disable(NULL);
    assert_int_equal(lgalloc_config_with_path(NULL, test_dir()), LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_config_with_backing(NULL, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_with_background(NULL, 1, 1, 1);
    lgalloc_config_eager_return(NULL, true);
    lgalloc_config_growth_dampener(NULL, 1);
    lgalloc_config_local_buffer_bytes(NULL, 1);
    lgalloc_config_limit_bytes(NULL, 1);
    lgalloc_config_idle_bytes(NULL, 1);
    lgalloc_config_huge_pages(NULL, true);
    lgalloc_config_reserve_blocks(NULL, true);

    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_config_with_path(config, ""), LGALLOC_STATUS_INVALID_ARGUMENT);
    char *path = malloc(PATH_MAX + 1);
    assert_non_null(path);
    memset(path, 'a', PATH_MAX);
    path[PATH_MAX] = '\0';
    assert_int_equal(lgalloc_config_with_path(config, path), LGALLOC_STATUS_INVALID_ARGUMENT);
    free(path);
    test_apply(config); /* what was refused was not set */
    lgalloc_deallocate(test_take(2 * MIB));
}

static void all_or_nothing(void **state)
{
    (void)state;
    test_set_limit(512 * MIB);
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, 2 * MIB);
    lgalloc_config_disable(config);
    lgalloc_config_with_backing(config, 7);
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(test_global().limit_bytes, 512 * MIB);
    lgalloc_deallocate(test_take(4 * MIB));

    /* The set is still the caller's, and applies once it is right. */
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    lgalloc_config_enable(config);
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK);
    assert_int_equal(test_global().limit_bytes, 2 * MIB);
    test_set_limit(0);
    assert_int_equal(test_global().limit_bytes, 0);
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_OK); /* and again */
    assert_int_equal(test_global().limit_bytes, 2 * MIB);
    lgalloc_config_free(config);
}

static void unset_options_stay(void **state)
{
    (void)state;
    test_set_limit(64 * MIB);
    test_set_local_buffer(0);
    assert_int_equal(test_global().limit_bytes, 64 * MIB);
    test_apply(test_config());
    assert_int_equal(test_global().limit_bytes, 64 * MIB);
    test_churn(4, 2 * MIB);
    assert_int_equal(test_class(2 * MIB).thread_regions, 0);
}

static void disabled_frees(void **state)
{
    (void)state;
    lgalloc_handle handles[4];
    test_take_all(handles, 4, 2 * MIB);
    lgalloc_deallocate(handles[3]); /* so that there is something it could hand out */
    lgalloc_config *config = test_config();
    lgalloc_config_disable(config);
    test_apply(config);
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_DISABLED);
    assert_int_equal(lgalloc_allocate_zeroed(2 * MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_DISABLED);
    test_mark(handles[0], 1);
    assert_true(test_marked(handles[0], 1));
    assert_int_equal(lgalloc_discard(handles[0], 0, handles[0].len), LGALLOC_STATUS_OK);
    test_free_all(handles, 3);
    assert_int_equal(test_global().in_use_bytes, 0);
    assert_true(lgalloc_purge() > 0);
    assert_int_equal(test_global().area_bytes, 0);
}

/* ---------------------------------------------------------------- where the memory comes from */

/* 256 MiB regions: the first areas hold few, so that a new area is needed soon. */
#define LARGE (256 * MIB)

static lgalloc_handle from_new_area(lgalloc_handle *others, size_t *count, size_t capacity)
{
    size_t areas = test_class(LARGE).areas;
    for (;;) {
        lgalloc_handle handle = test_take(LARGE);
        if (test_class(LARGE).areas > areas) {
            return handle;
        }
        TEST_REQUIRE(*count < capacity);
        others[(*count)++] = handle;
    }
}

static bool mapped_from(lgalloc_handle handle, const char *dir)
{
    char name[4608];
    test_mapping_name(handle.ptr, name, sizeof name);
    return strstr(name, strrchr(dir, '/')) != NULL;
}

static void path_change(void **state)
{
    (void)state;
    if (test_class_room(LARGE) < 32) {
        TEST_SKIP("too little address space for several areas");
    }
    char *dir = test_dir_make();
    lgalloc_handle others[32];
    size_t count = 0;
    lgalloc_handle old = test_take(LARGE);
    test_mark(old, 1);
    assert_true(mapped_from(old, test_dir()));
    assert_false(mapped_from(old, dir));

    char *spoiled = strdup(dir);
    assert_non_null(spoiled);
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, spoiled), LGALLOC_STATUS_OK);
    memset(spoiled, 'x', strlen(spoiled)); /* the string was copied */
    free(spoiled);
    test_apply(config);
    lgalloc_handle new = from_new_area(others, &count, TEST_COUNT(others));
    assert_true(mapped_from(new, dir));
    test_mark(new, 2);
    assert_true(test_marked(old, 1));
    assert_true(mapped_from(old, test_dir()));
    assert_true(test_dir_empty(dir));

    /* And back again. */
    config = test_config();
    lgalloc_config_with_path(config, test_dir());
    test_apply(config);
    lgalloc_handle third = from_new_area(others, &count, TEST_COUNT(others));
    assert_false(mapped_from(third, dir));
    assert_true(mapped_from(third, test_dir()));
    assert_true(test_marked(old, 1));
    assert_true(test_marked(new, 2));
    lgalloc_deallocate(old);
    lgalloc_deallocate(new);
    lgalloc_deallocate(third);
    test_free_all(others, count);
    lgalloc_purge();
    test_dir_drop(dir);
}

static void backing_change(void **state)
{
    if (test_class_room(LARGE) < 16) {
        TEST_SKIP("too little address space for several areas");
    }
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    lgalloc_handle others[16];
    size_t count = 0;
    lgalloc_handle old = test_take(LARGE);
    test_mark(old, 1);
    assert_true(mapped_from(old, test_dir()) == file);
    lgalloc_config *config = test_config();
    lgalloc_config_with_backing(config, file ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE);
    test_apply(config);
    lgalloc_handle new = from_new_area(others, &count, TEST_COUNT(others));
    test_mark(new, 2);
    assert_true(mapped_from(new, test_dir()) == !file);
    assert_true(test_marked(old, 1));
    assert_true(mapped_from(old, test_dir()) == file);
    lgalloc_deallocate(old);
    lgalloc_deallocate(new);
    test_free_all(others, count);
}

static void path_that_is_wrong(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_with_path(config, "/nonexistent/directory");
    test_apply(config); /* found out by the next allocation that needs an area */
    lgalloc_handle handle;
    errno = 0;
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_IO);
    assert_int_equal(errno, ENOENT);
    test_assert_equations();
    config = test_config();
    lgalloc_config_with_path(config, test_dir());
    test_apply(config);
    lgalloc_deallocate(test_take(2 * MIB));
}

static void huge_pages(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) != 0) {
        TEST_SKIP("this kernel has no transparent huge pages");
    }
    lgalloc_handle advised = test_take(4 * MIB);
    assert_true(test_mapping_flag(advised.ptr, " hg"));
    lgalloc_deallocate(advised);
    lgalloc_purge();
    lgalloc_config *config = test_config();
    lgalloc_config_huge_pages(config, false);
    test_apply(config);
    lgalloc_handle plain = test_take(8 * MIB);
    assert_false(test_mapping_flag(plain.ptr, " hg"));
    lgalloc_deallocate(plain);
}

/* ---------------------------------------------------------------- how areas grow */

/* Takes regions until `areas` areas are there, and notes the bytes of each. */
static void grow(size_t bytes, size_t areas, size_t *area_bytes)
{
    lgalloc_handle *handles = calloc(areas * (GIB / bytes), sizeof *handles);
    assert_non_null(handles);
    size_t count = 0;
    size_t seen = 0;
    size_t total = 0;
    while (seen < areas) {
        handles[count++] = test_take(bytes);
        lgalloc_size_class_stats s = test_class(bytes);
        if (s.areas > seen) {
            assert_int_equal(s.areas, seen + 1);
            area_bytes[seen++] = s.area_total_bytes - total;
            total = s.area_total_bytes;
        }
        assert_int_equal(s.area_total_bytes, total);
    }
    test_free_all(handles, count);
    free(handles);
    (void)lgalloc_purge(); /* other size classes would begin with it */
}

static void growth_dampener(void **state)
{
    if (test_class_room(MIB) < 8192) {
        TEST_SKIP("too little address space for several areas");
    }
    /* Classes that nothing else here uses, so that each starts from its first area. */
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    size_t bytes = file ? 512 * KIB : MIB;
    size_t doubling[5];
    grow(bytes, TEST_COUNT(doubling), doubling);
    assert_int_equal(doubling[0], 32 * MIB);
    for (size_t i = 1; i < TEST_COUNT(doubling); i++) {
        assert_int_equal(doubling[i], 2 * doubling[i - 1]);
    }

    lgalloc_config *config = test_config();
    lgalloc_config_growth_dampener(config, 3);
    test_apply(config);
    size_t damped[10];
    grow(4 * bytes, TEST_COUNT(damped), damped);
    assert_int_equal(damped[0], 32 * MIB);
    for (size_t i = 1; i < TEST_COUNT(damped); i++) {
        /* By a quarter, but by the size of the first area at least; rounded down to 32 MiB. */
        size_t quarter = damped[i - 1] / 4;
        size_t expected = damped[i - 1] + (quarter > 32 * MIB ? quarter : 32 * MIB);
        assert_int_equal(damped[i], expected - expected % (32 * MIB));
    }

    config = test_config();
    lgalloc_config_growth_dampener(config, SIZE_MAX);
    test_apply(config);
    size_t constant[3];
    grow(16 * bytes, TEST_COUNT(constant), constant);
    assert_int_equal(constant[0], 32 * MIB);
    assert_true(constant[2] <= 3 * 32 * MIB);
}

/* ---------------------------------------------------------------- from several threads */

struct rounds {
    pthread_barrier_t start;
    size_t count;
};

static void *reconfigures(void *arg)
{
    struct rounds *rounds = arg;
    uint64_t random = (uintptr_t)&random;
    pthread_barrier_wait(&rounds->start);
    for (size_t i = 0; i < rounds->count; i++) {
        lgalloc_config *config = test_config();
        lgalloc_config_with_background(config, test_random(&random) % 2 * 1000000, 0, 0);
        lgalloc_config_local_buffer_bytes(config, (test_random(&random) % 8) * 4 * MIB);
        lgalloc_config_with_backing(config, (lgalloc_backing)(test_random(&random) % 2));
        lgalloc_config_with_path(config, test_dir());
        lgalloc_config_growth_dampener(config, test_random(&random) % 4);
        lgalloc_config_eager_return(config, test_random(&random) % 2 == 0);
        lgalloc_config_idle_bytes(config, test_random(&random) % 2 == 0 ? SIZE_MAX : 8 * MIB);
        test_apply(config);
    }
    return NULL;
}

static void *allocates(void *arg)
{
    struct rounds *rounds = arg;
    pthread_barrier_wait(&rounds->start);
    for (size_t i = 0; i < rounds->count; i++) {
        lgalloc_handle handles[6];
        for (size_t j = 0; j < TEST_COUNT(handles); j++) {
            handles[j] = test_take(64 * KIB << j);
            test_mark(handles[j], i);
        }
        for (size_t j = 0; j < TEST_COUNT(handles); j++) {
            TEST_REQUIRE(test_marked(handles[j], i));
            lgalloc_deallocate(handles[j]);
        }
    }
    return NULL;
}

static void several_threads_at_once(void **state)
{
    (void)state;
    pthread_t threads[6];
    struct rounds rounds = {.count = test_scale(200, 20)};
    assert_int_equal(pthread_barrier_init(&rounds.start, NULL, TEST_COUNT(threads)), 0);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], i % 2 == 0 ? reconfigures : allocates, &rounds);
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    pthread_barrier_destroy(&rounds.start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(growth_dampener), /* first: it needs classes that have no history */
        TEST_BOTH(arguments),          TEST_BOTH(all_or_nothing), TEST_BOTH(unset_options_stay),
        TEST_BOTH(disabled_frees),     TEST_FILE(path_change),    TEST_BOTH(backing_change),
        TEST_FILE(path_that_is_wrong), TEST_BOTH(huge_pages),     TEST_BOTH(several_threads_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
