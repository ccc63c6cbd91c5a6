/* The worker's own scheduling, also if the thread that starts it is pinned to one processor, or of a real-time policy. */

#define _GNU_SOURCE

#include "support_world.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void start_worker(void)
{
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    test_set_background(1000000, 0, 0);
}

/* The worker's thread; 0 if there is none. */
static pid_t worker(void)
{
    DIR *stream = opendir("/proc/self/task");
    TEST_REQUIRE(stream != NULL);
    pid_t found = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[sizeof entry->d_name + 32];
        char comm[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            if (fgets(comm, sizeof comm, file) != NULL && strcmp(comm, "lgalloc-0\n") == 0) {
                found = (pid_t)atol(entry->d_name);
            }
            fclose(file);
        }
    }
    closedir(stream);
    return found;
}

static bool worker_is_there(void *arg)
{
    return worker() != 0;
}

static bool worker_is_ordinary(void *arg)
{
    return sched_getscheduler(worker()) == SCHED_OTHER && getpriority(PRIO_PROCESS, (id_t)worker()) == *(int *)arg;
}

static void require_ordinary(const cpu_set_t *processors, int nice)
{
    cpu_set_t its;
    TEST_REQUIRE(test_eventually(worker_is_there, NULL));
    TEST_REQUIRE(test_eventually(worker_is_ordinary, &nice));
    TEST_REQUIRE(sched_getaffinity(worker(), sizeof its, &its) == 0);
    TEST_REQUIRE(CPU_EQUAL(&its, processors));
}

struct expected {
    cpu_set_t processors;
    int nice;
};

static void in_a_child(void *arg)
{
    const struct expected *expected = arg;
    TEST_REQUIRE(worker() == 0);
    test_require_works(MIB); /* starts it again */
    require_ordinary(&expected->processors, expected->nice);
}

/* This thread goes to the last of the processors, and what it is before that comes out. */
static struct expected pin(void)
{
    struct expected before;
    errno = 0;
    before.nice = getpriority(PRIO_PROCESS, 0);
    before.nice = before.nice > 0 ? before.nice : 0;
    if (sched_getaffinity(0, sizeof before.processors, &before.processors) != 0 || CPU_COUNT(&before.processors) < 2) {
        world_skip("there is one processor alone");
    }
    size_t last = CPU_SETSIZE - 1;
    while (!CPU_ISSET(last, &before.processors)) {
        last--;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    TEST_REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    return before;
}

static void pinned(void)
{
    struct expected before = pin();
    start_worker();
    require_ordinary(&before.processors, before.nice);
    TEST_REQUIRE(TEST_TSAN || test_fork_status(in_a_child, &before) == 0);
}

static void real_time(void)
{
    if (test_on_valgrind()) {
        world_skip("valgrind runs threads one at a time");
    }
    struct expected before = pin();
    struct sched_param lowest = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &lowest) != 0) {
        world_skip("this process may not have a real-time policy");
    }
    start_worker();
    require_ordinary(&before.processors, before.nice);
    TEST_REQUIRE(TEST_TSAN || test_fork_status(in_a_child, &before) == 0);
}

static void less_nice(void)
{
    struct expected before = pin();
    if (setpriority(PRIO_PROCESS, 0, -5) != 0) {
        world_skip("this process may not be less nice");
    }
    start_worker();
    require_ordinary(&before.processors, before.nice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WORLD_TEST(pinned), WORLD_TEST(real_time), WORLD_TEST(less_nice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
