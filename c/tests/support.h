/*
 * What the test programs share: a directory for area files, configuration, statistics, threads that do
 * one thing at a time, child processes, and what the kernel says about memory.
 *
 * Failures in the main thread are cmocka's. Other threads and child processes use TEST_REQUIRE, which
 * prints a line and aborts, since cmocka's assertions jump within the main thread.
 */
#ifndef LGALLOC_TESTS_SUPPORT_H
#define LGALLOC_TESTS_SUPPORT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lgalloc.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

#define TEST_COUNT(array) (sizeof(array) / sizeof(*(array)))

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

/* Under valgrind; also if LGALLOC_TEST_SLOW is set and not empty. */
bool test_on_valgrind(void);

/* Whether a tool makes memory accesses expensive and keeps shadow memory of its own, which shows in
 * resident sizes. */
bool test_slow_tool(void);

/* `full`, or `reduced` under such a tool. */
size_t test_scale(size_t full, size_t reduced);

/* ---------------------------------------------------------------- failures outside the main thread */

_Noreturn void test_fail_at(const char *file, int line, const char *what);

#define TEST_REQUIRE(condition) ((condition) ? (void)0 : test_fail_at(__FILE__, __LINE__, #condition))

/* Skips a cmocka test with a reason. */
#define TEST_SKIP(reason)                       \
    do {                                        \
        print_message("skipped: %s\n", reason); \
        skip();                                 \
    } while (0)

/* Skips a test that is going to fork while there are several threads, where that can't be followed. */
#define TEST_SKIP_FORK_WITH_THREADS()                                                             \
    do {                                                                                          \
        if (TEST_TSAN) {                                                                          \
            TEST_SKIP("ThreadSanitizer does not follow forks of processes with several threads"); \
        }                                                                                         \
    } while (0)

/* ---------------------------------------------------------------- directories */

/*
 * This program's own directory for area files, made at first use in $LGALLOC_TEST_DIR, $TMPDIR or
 * /var/tmp, and removed at exit.
 */
const char *test_dir(void);
/* Whether that is on a disk, as a directory for evicted regions must be; if not, says that the program is skipped. */
bool test_dir_on_disk(void);

/* Makes another one inside it. test_dir_drop() removes the directory and frees the string. */
char *test_dir_make(void);
void test_dir_drop(char *dir);

/* Whether the directory has no entry: area files have no name. */
bool test_dir_empty(const char *dir);

/* ---------------------------------------------------------------- configuration */

/* A new set of options; never NULL. */
lgalloc_config *test_config(void);

/* Applies a set, which must succeed, and frees it. */
void test_apply(lgalloc_config *config);

/* Every option at its default, but enabled, in test_dir() and with this backing. */
void test_configure(lgalloc_backing backing);

/* One option alone. */
void test_set_limit(size_t bytes);
void test_set_local_buffer(size_t bytes);
void test_set_background(uint64_t interval_ns, size_t batch, size_t clear_bytes);

/*
 * One cmocka test for each backing: starts from test_configure(), ends with test_assert_quiet().
 * test_backing() gives the backing back from cmocka's state.
 */
int test_setup_file(void **state);
int test_setup_anonymous(void **state);
int test_teardown_quiet(void **state);
lgalloc_backing test_backing(void **state);

#define TEST_FILE(function)                                                       \
    {                                                                             \
#function " (file)", function, test_setup_file, test_teardown_quiet, NULL \
    }
#define TEST_ANONYMOUS(function)                                                            \
    {                                                                                       \
#function " (anonymous)", function, test_setup_anonymous, test_teardown_quiet, NULL \
    }
#define TEST_BOTH(function) TEST_FILE(function), TEST_ANONYMOUS(function)

/* ---------------------------------------------------------------- statistics */

/* The statistics of the size class with regions of `bytes`. */
lgalloc_size_class_stats test_class(size_t bytes);
lgalloc_global_stats test_global(void);

/* Free and used regions of one size class that can exist: how far its address range goes. */
size_t test_class_room(size_t bytes);

/*
 * The equations that hold while no other thread is inside the allocator: NULL, or the text of the
 * first that does not. Counters of a child of fork() count regions that were lost as neither in use nor
 * freed, so `forked` leaves that one out.
 */
const char *test_equations(bool forked);

/* After purging: NULL, or what is left though nothing should be in use. */
const char *test_not_quiet(bool forked);

/* Both as assertions of the main thread; the latter purges. */
void test_assert_equations(void);
void test_assert_quiet(void);

/* ---------------------------------------------------------------- regions */

/* A region of at least so many bytes; it must be had. Any thread. */
lgalloc_handle test_take(size_t bytes);
void test_take_all(lgalloc_handle *handles, size_t count, size_t bytes);
void test_free_all(lgalloc_handle *handles, size_t count);

/* Takes `count` regions and frees them, so that the calling thread has cached what it may. */
void test_churn(size_t count, size_t bytes);

/* Writes one byte in every `stride` bytes. */
void test_touch(lgalloc_handle handle, size_t stride);

/* Writes words that depend on `seed` at both ends and in the middle; says if they are still there. */
void test_mark(lgalloc_handle handle, uint64_t seed);
bool test_marked(lgalloc_handle handle, uint64_t seed);

/* Whether all of the range is `byte`. */
bool test_filled(const void *start, size_t len, unsigned char byte);

/* ---------------------------------------------------------------- threads */

/* A thread that runs one function at a time on behalf of another thread, and sleeps in between. */
struct test_actor {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*call)(void *arg);
    void *arg;
    bool stop;
};
void test_actor_start(struct test_actor *actor);
/* Runs `call` there and returns when it is done. */
void test_actor_call(struct test_actor *actor, void (*call)(void *arg), void *arg);
/* Ends the thread and joins it. */
void test_actor_stop(struct test_actor *actor);

void test_spawn(pthread_t *thread, void *(*body)(void *arg), void *arg);
void test_join(pthread_t thread);

/* What takes as long hangs, however busy the machine is. No test counts on less. */
#define TEST_HANG_SECONDS 600

/* Waits until `holds` says so, for what the background worker does in its own time; false if that hangs. */
bool test_eventually(bool (*holds)(void *arg), void *arg);

/* A small generator, the same on every machine (splitmix64). */
uint64_t test_random(uint64_t *state);

/* ---------------------------------------------------------------- child processes */

struct test_child {
    int status;        /* as waitpid() has it */
    char output[8192]; /* standard output */
    char errors[8192]; /* standard error */
};

/*
 * Runs `body` in a child of fork() with default signal actions, both outputs captured and a minute to
 * live; the child exits with 0 when `body` returns.
 */
void test_run_child(void (*body)(void *arg), void *arg, struct test_child *child);

/* The same, and it must exit with 0 and print nothing. */
void test_child_succeeds(void (*body)(void *arg), void *arg);

/* The same, but it must abort, and print nothing on standard output; `child` is what came of it. */
void test_child_aborts(void (*body)(void *arg), void *arg, struct test_child *child);

/* Forks from within a child; the grandchild runs `body`. Returns its status. */
int test_fork_status(void (*body)(void *arg), void *arg);

/* For children: file backing in `dir`, all else at its default but reserve_blocks. */
void test_use_directory(const char *dir, bool reserve_blocks);

/* An allocation must be refused with this errno, and leave the statistics in order. */
void test_require_refused(size_t bytes, int error);

/* Allocates, writes all of it, and frees. */
void test_require_works(size_t bytes);

/* As test_assert_quiet(). */
void test_require_quiet(bool forked);

/* ---------------------------------------------------------------- what the kernel says */

/* Resident bytes of the process, exactly: from smaps_rollup. */
size_t test_resident(void);

/* Lines of /proc/self/maps. */
size_t test_mapping_count(void);
/* Those that a region's arena consists of. */
size_t test_arena_mapping_count(const void *region);

/* Name of the mapping that holds the address; "" where it has none. */
void test_mapping_name(const void *address, char *name, size_t capacity);

/* Whether VmFlags of the mapping that holds the address has this two-letter flag. */
bool test_mapping_flag(const void *address, const char *flag);

/* Threads of the process with this name. */
size_t test_threads_named(const char *name);

/* Blocks and end of the file behind a size class, from lgalloc_stats_files(); zeros if it has none. */
lgalloc_file_stats test_file(size_t bytes);

#endif
