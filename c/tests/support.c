#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif

bool test_on_valgrind(void)
{
    const char *slow = getenv("LGALLOC_TEST_SLOW");
    if (slow != NULL && *slow != '\0') {
        return true;
    }
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

bool test_slow_tool(void)
{
    return TEST_ASAN || TEST_TSAN || test_on_valgrind();
}

size_t test_scale(size_t full, size_t reduced)
{
    return test_slow_tool() ? reduced : full;
}

_Noreturn void test_fail_at(const char *file, int line, const char *what)
{
    dprintf(STDERR_FILENO, "%s:%d: does not hold: %s (errno %d)\n", file, line, what, errno);
    abort();
}

/* ---------------------------------------------------------------- directories */

static char own_dir[512];
static pid_t own_dir_pid;

static void remove_own_dir(void)
{
    if (own_dir_pid == getpid()) {
        (void)rmdir(own_dir);
    }
}

const char *test_dir(void)
{
    if (own_dir[0] == '\0') {
        const char *base = getenv("LGALLOC_TEST_DIR");
        if (base == NULL || *base == '\0') {
            base = getenv("TMPDIR");
        }
        if (base == NULL || *base == '\0') {
            base = "/var/tmp";
        }
        int length = snprintf(own_dir, sizeof own_dir, "%s/lgalloc-test-XXXXXX", base);
        TEST_REQUIRE(length > 0 && (size_t)length < sizeof own_dir);
        TEST_REQUIRE(mkdtemp(own_dir) != NULL);
        own_dir_pid = getpid();
        TEST_REQUIRE(atexit(remove_own_dir) == 0);
    }
    return own_dir;
}

bool test_dir_on_disk(void)
{
    struct statfs there;
    TEST_REQUIRE(statfs(test_dir(), &there) == 0);
    const unsigned tmpfs = 0x01021994, ramfs = 0x858458f6; /* of linux/magic.h, which not every C library brings */
    if ((unsigned)there.f_type != tmpfs && (unsigned)there.f_type != ramfs) {
        return true;
    }
    print_message("skipped: %s is in memory\n", test_dir());
    return false;
}

char *test_dir_make(void)
{
    char name[sizeof own_dir + 16];
    snprintf(name, sizeof name, "%s/more-XXXXXX", test_dir());
    TEST_REQUIRE(mkdtemp(name) != NULL);
    char *copy = strdup(name);
    TEST_REQUIRE(copy != NULL);
    return copy;
}

void test_dir_drop(char *dir)
{
    (void)rmdir(dir);
    free(dir);
}

bool test_dir_empty(const char *dir)
{
    DIR *stream = opendir(dir);
    TEST_REQUIRE(stream != NULL);
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    closedir(stream);
    return empty;
}

/* ---------------------------------------------------------------- configuration */

lgalloc_config *test_config(void)
{
    lgalloc_config *config = lgalloc_config_new();
    TEST_REQUIRE(config != NULL);
    return config;
}

void test_apply(lgalloc_config *config)
{
    TEST_REQUIRE(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
}

void test_configure(lgalloc_backing backing)
{
    lgalloc_config *config = test_config();
    lgalloc_config_enable(config);
    TEST_REQUIRE(lgalloc_config_with_path(config, test_dir()) == LGALLOC_STATUS_OK);
    lgalloc_config_with_backing(config, backing);
    lgalloc_config_with_background(config, 0, 0, 0);
    lgalloc_config_release_ticks(config, 16);
    lgalloc_config_eager_return(config, false);
    lgalloc_config_growth_dampener(config, 0);
    lgalloc_config_local_buffer_bytes(config, 32 * MIB);
    lgalloc_config_limit_bytes(config, 0);
    lgalloc_config_idle_bytes(config, SIZE_MAX);
    lgalloc_config_huge_pages(config, true);
    lgalloc_config_core_dump(config, false);
    lgalloc_config_reserve_blocks(config, false);
    test_apply(config);
}

void test_set_limit(size_t bytes)
{
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, bytes);
    test_apply(config);
}

void test_set_local_buffer(size_t bytes)
{
    lgalloc_config *config = test_config();
    lgalloc_config_local_buffer_bytes(config, bytes);
    test_apply(config);
}

void test_set_background(uint64_t interval_ns, size_t batch, size_t clear_bytes)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, interval_ns, batch, clear_bytes);
    test_apply(config);
}

static lgalloc_backing backings[] = {LGALLOC_BACKING_FILE, LGALLOC_BACKING_ANONYMOUS};

int test_setup_file(void **state)
{
    *state = &backings[0];
    test_configure(LGALLOC_BACKING_FILE);
    return 0;
}

int test_setup_anonymous(void **state)
{
    *state = &backings[1];
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    return 0;
}

int test_teardown_quiet(void **state)
{
    /* A worker would go on clearing while the equations are checked. */
    test_configure(*(const lgalloc_backing *)*state);
    test_assert_quiet();
    return 0;
}

lgalloc_backing test_backing(void **state)
{
    return *(const lgalloc_backing *)*state;
}

/* ---------------------------------------------------------------- statistics */

lgalloc_size_class_stats test_class(size_t bytes)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    TEST_REQUIRE(lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT) == LGALLOC_SIZE_CLASS_COUNT);
    size_t index = 0;
    while (index < LGALLOC_SIZE_CLASS_COUNT && stats[index].size_class != bytes) {
        index++;
    }
    TEST_REQUIRE(index < LGALLOC_SIZE_CLASS_COUNT);
    return stats[index];
}

lgalloc_global_stats test_global(void)
{
    lgalloc_global_stats stats;
    memset(&stats, 0xff, sizeof stats);
    lgalloc_stats_global(&stats);
    return stats;
}

size_t test_class_room(size_t bytes)
{
    if (test_global().reserved_address_bytes == 0) {
        lgalloc_deallocate(test_take(64 * KIB)); /* the first allocation reserves the addresses */
        (void)lgalloc_purge();
    }
    return test_global().reserved_address_bytes / bytes;
}

#define EQUATION(condition) \
    if (!(condition)) {     \
        return #condition;  \
    }                       \
    (void)0

const char *test_equations(bool forked)
{
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
    lgalloc_global_stats global = test_global();
    size_t in_use_bytes = 0;
    size_t area_bytes = 0;
    size_t dirty_at_least = 0;
    size_t clean_at_least = 0;
    for (size_t i = 0; i < LGALLOC_SIZE_CLASS_COUNT; i++) {
        const lgalloc_size_class_stats *s = &stats[i];
        size_t lost = forked ? s->area_total_bytes / s->size_class - s->free_regions - s->in_use_regions : 0;
        EQUATION(s->size_class == (size_t)1 << (LGALLOC_SIZE_CLASS_MIN_LOG2 + i));
        EQUATION(s->free_regions == s->thread_regions + s->global_regions + s->clean_regions);
        EQUATION(s->area_total_bytes == (s->free_regions + s->in_use_regions + lost) * s->size_class);
        EQUATION((s->areas == 0) == (s->area_total_bytes == 0));
        EQUATION(forked || s->allocations == s->deallocations + s->in_use_regions);
        in_use_bytes += s->in_use_regions * s->size_class;
        area_bytes += s->area_total_bytes;
        dirty_at_least += s->global_regions * s->size_class;
        clean_at_least += s->clean_regions * s->size_class;
        for (size_t j = 0; j < TEST_COUNT(s->reserved); j++) {
            EQUATION(s->reserved[j] == 0);
        }
    }
    EQUATION(global.in_use_bytes + global.evicted_bytes == in_use_bytes);
    EQUATION(global.sealed_bytes <= global.in_use_bytes);
    EQUATION(global.area_bytes == area_bytes);
    EQUATION(global.dirty_bytes >= dirty_at_least);
    EQUATION(global.clean_bytes >= clean_at_least);
    EQUATION(forked ||
             global.in_use_bytes + global.evicted_bytes + global.dirty_bytes + global.clean_bytes == global.area_bytes);
    EQUATION(global.area_bytes <= global.reserved_address_bytes);
    for (size_t j = 0; j < TEST_COUNT(global.reserved); j++) {
        EQUATION(global.reserved[j] == 0);
    }
    return NULL;
}

const char *test_not_quiet(bool forked)
{
    (void)lgalloc_purge();
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
    for (size_t i = 0; i < LGALLOC_SIZE_CLASS_COUNT; i++) {
        EQUATION(stats[i].in_use_regions == 0);
        EQUATION(stats[i].thread_regions == 0);
        EQUATION(stats[i].global_regions == 0);
        EQUATION(stats[i].areas == 0);
    }
    EQUATION(test_global().in_use_bytes == 0);
    EQUATION(test_global().evicted_bytes == 0 && test_global().sealed_bytes == 0);
    EQUATION(test_global().dirty_bytes == 0);
    EQUATION(test_global().area_bytes == 0);
    return test_equations(forked);
}

void test_assert_equations(void)
{
    const char *wrong = test_equations(false);
    if (wrong != NULL) {
        fail_msg("statistics do not add up: %s", wrong);
    }
}

void test_assert_quiet(void)
{
    const char *left = test_not_quiet(false);
    if (left != NULL) {
        fail_msg("after a purge with nothing in use, this does not hold: %s", left);
    }
    if (own_dir[0] != '\0' && !test_dir_empty(own_dir)) {
        fail_msg("a file with a name was left in the directory");
    }
}

/* ---------------------------------------------------------------- regions */

lgalloc_handle test_take(size_t bytes)
{
    lgalloc_handle handle;
    TEST_REQUIRE(lgalloc_allocate(bytes, 1, 1, NULL, NULL, &handle) == LGALLOC_STATUS_OK);
    return handle;
}

void test_take_all(lgalloc_handle *handles, size_t count, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        handles[i] = test_take(bytes);
    }
}

void test_free_all(lgalloc_handle *handles, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lgalloc_deallocate(handles[i]);
    }
}

void test_churn(size_t count, size_t bytes)
{
    lgalloc_handle *handles = calloc(count, sizeof *handles);
    TEST_REQUIRE(handles != NULL);
    test_take_all(handles, count, bytes);
    test_free_all(handles, count);
    free(handles);
}

void test_touch(lgalloc_handle handle, size_t stride)
{
    volatile unsigned char *bytes = handle.ptr;
    for (size_t i = 0; i < handle.len; i += stride) {
        bytes[i] = (unsigned char)(i / stride + 1);
    }
}

/* Word `i` of the marks: the first, the last, and those at eighths of the region between. */
static uint64_t *mark_word(lgalloc_handle handle, size_t i)
{
    size_t words = handle.len / sizeof(uint64_t);
    return (uint64_t *)handle.ptr + (i == 8 ? words - 1 : i * (words / 8));
}

void test_mark(lgalloc_handle handle, uint64_t seed)
{
    for (size_t i = 0; i <= 8; i++) {
        *mark_word(handle, i) = (seed + i) * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)handle.ptr;
    }
}

bool test_marked(lgalloc_handle handle, uint64_t seed)
{
    bool same = true;
    for (size_t i = 0; i <= 8; i++) {
        same = same && *mark_word(handle, i) == ((seed + i) * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)handle.ptr);
    }
    return same;
}

bool test_filled(const void *start, size_t len, unsigned char byte)
{
    const unsigned char *bytes = start;
    return len == 0 || (bytes[0] == byte && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* ---------------------------------------------------------------- threads */

static void *actor_body(void *arg)
{
    struct test_actor *actor = arg;
    pthread_mutex_lock(&actor->lock);
    while (!actor->stop) {
        if (actor->call != NULL) {
            actor->call(actor->arg);
            actor->call = NULL;
            pthread_cond_broadcast(&actor->changed);
        } else {
            pthread_cond_wait(&actor->changed, &actor->lock);
        }
    }
    pthread_mutex_unlock(&actor->lock);
    return NULL;
}

void test_actor_start(struct test_actor *actor)
{
    memset(actor, 0, sizeof *actor);
    TEST_REQUIRE(pthread_mutex_init(&actor->lock, NULL) == 0);
    TEST_REQUIRE(pthread_cond_init(&actor->changed, NULL) == 0);
    test_spawn(&actor->thread, actor_body, actor);
}

void test_actor_call(struct test_actor *actor, void (*call)(void *arg), void *arg)
{
    pthread_mutex_lock(&actor->lock);
    actor->arg = arg;
    actor->call = call;
    pthread_cond_broadcast(&actor->changed);
    while (actor->call != NULL) {
        pthread_cond_wait(&actor->changed, &actor->lock);
    }
    pthread_mutex_unlock(&actor->lock);
}

void test_actor_stop(struct test_actor *actor)
{
    pthread_mutex_lock(&actor->lock);
    actor->stop = true;
    pthread_cond_broadcast(&actor->changed);
    pthread_mutex_unlock(&actor->lock);
    test_join(actor->thread);
    pthread_cond_destroy(&actor->changed);
    pthread_mutex_destroy(&actor->lock);
}

void test_spawn(pthread_t *thread, void *(*body)(void *arg), void *arg)
{
    TEST_REQUIRE(pthread_create(thread, NULL, body, arg) == 0);
}

void test_join(pthread_t thread)
{
    TEST_REQUIRE(pthread_join(thread, NULL) == 0);
}

bool test_eventually(bool (*holds)(void *arg), void *arg)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        if (holds(arg)) {
            return true;
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - start.tv_sec > TEST_HANG_SECONDS) {
            return false;
        }
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
}

uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
