/* ctest-labels: novalgrind */
/* Programs that close descriptors which aren't theirs, and open files of their own in their place. */

#define _GNU_SOURCE

#include "support_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEPT = 6, TEXT = 64 * 1024 };

static lgalloc_handle kept[KEPT];
static char text[TEXT];
static bool worker_moves; /* then the equations need not hold at any moment */

/* File backing in a directory of this program, and regions of several classes that are in use. */
static void begin(bool reserve_blocks)
{
    test_use_directory(test_dir(), reserve_blocks);
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = test_take(64 * KIB << (i * 2));
        test_mark(kept[i], i);
    }
    memset(text, 'x', sizeof text);
}

static void close_all(void)
{
    if (syscall(SYS_close_range, 3, ~0u, 0) != 0) {
        for (int fd = 3; fd < 1024; fd++) {
            close(fd);
        }
    }
}

/* A file of the program's own, with something in it, under this number. */
static void open_own(int fd)
{
    char name[WORLD_PATH];
    snprintf(name, sizeof name, "%s/own-%d", test_dir(), fd);
    int opened = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    TEST_REQUIRE(opened >= 0);
    if (opened != fd) {
        TEST_REQUIRE(dup2(opened, fd) == fd);
        close(opened);
    }
    TEST_REQUIRE(write(fd, text, sizeof text) == (ssize_t)sizeof text);
}

/* It is still open, and what was written to it is all that is in it. */
static void require_own_untouched(int fd)
{
    char now[TEXT];
    struct stat status;
    TEST_REQUIRE(fstat(fd, &status) == 0 && status.st_size == (off_t)sizeof text);
    TEST_REQUIRE(status.st_blocks * 512 >= (off_t)sizeof text);
    TEST_REQUIRE(pread(fd, now, sizeof now, 0) == (ssize_t)sizeof now && memcmp(now, text, sizeof now) == 0);
}

/* Everything that uses a file: growing, mapping, populating, clearing, releasing, asking. */
static void use_everything(void)
{
    lgalloc_handle more[40];
    size_t count;
    lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
    for (size_t i = 0; i < TEST_COUNT(more); i++) {
        more[i] = test_take(i % 2 == 0 ? 32 * MIB : 64 * KIB << i % 5);
        test_mark(more[i], i);
    }
    TEST_REQUIRE(lgalloc_stats_files(files, TEST_COUNT(files), &count) == LGALLOC_STATUS_OK);
    for (size_t i = 0; i < TEST_COUNT(more); i++) {
        size_t len = more[i].len < MIB ? more[i].len : MIB;
        TEST_REQUIRE(lgalloc_populate(more[i], 0, len) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_marked(more[i], i));
        TEST_REQUIRE(i % 3 != 0 || lgalloc_discard(more[i], 0, more[i].len) == LGALLOC_STATUS_OK);
    }
    test_free_all(more, TEST_COUNT(more));
    (void)lgalloc_purge();
    for (size_t i = 0; i < KEPT; i++) {
        TEST_REQUIRE(test_marked(kept[i], i));
        TEST_REQUIRE(lgalloc_populate(kept[i], 0, kept[i].len) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_marked(kept[i], i));
    }
    const char *wrong = worker_moves ? NULL : test_equations(false);
    TEST_REQUIRE(wrong == NULL);
}

static void end(void)
{
    test_free_all(kept, KEPT);
    test_require_quiet(false);
    test_require_works(2 * MIB);
}

static void all_are_closed(void)
{
    begin(false);
    close_all();
    use_everything();
    end();
}

static void all_are_closed_and_others_opened(bool reserve_blocks)
{
    begin(reserve_blocks);
    close_all();
    for (int fd = 3; fd < 20; fd++) {
        open_own(fd);
    }
    use_everything();
    for (int fd = 3; fd < 20; fd++) {
        require_own_untouched(fd);
    }
    end();
    for (int fd = 3; fd < 20; fd++) {
        require_own_untouched(fd);
    }
}

static void others_get_the_numbers(void)
{
    all_are_closed_and_others_opened(false);
}

static void others_get_the_numbers_with_reserved_blocks(void)
{
    all_are_closed_and_others_opened(true);
}

/* Over an open descriptor, without a close; and again and again. */
static void others_take_the_numbers(void)
{
    begin(true);
    for (int round = 0; round < 4; round++) {
        for (int fd = 3; fd < 20; fd++) {
            open_own(fd);
        }
        use_everything();
        for (int fd = 3; fd < 20; fd++) {
            require_own_untouched(fd);
        }
    }
    end();
}

static bool nothing_dirty(void *arg)
{
    (void)arg;
    return test_global().dirty_bytes == 0;
}

static void the_worker_goes_on(void)
{
    begin(false);
    close_all();
    for (int fd = 3; fd < 20; fd++) {
        open_own(fd);
    }
    test_set_background(1000 * 1000, 0, 0);
    worker_moves = true;
    use_everything();
    test_free_all(kept, KEPT);
    TEST_REQUIRE(test_eventually(nothing_dirty, NULL));
    for (int fd = 3; fd < 20; fd++) {
        require_own_untouched(fd);
    }
    test_set_background(0, 0, 0);
    test_require_quiet(false);
}

static void a_child_of_a_fork(void)
{
    begin(false);
    close_all();
    for (int fd = 3; fd < 20; fd++) {
        open_own(fd);
    }
    pid_t child = fork();
    TEST_REQUIRE(child >= 0);
    if (child == 0) {
        for (int fd = 3; fd < 20; fd++) {
            require_own_untouched(fd);
        }
        test_require_works(2 * MIB);
        _exit(0);
    }
    int status;
    TEST_REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    use_everything();
    for (int fd = 3; fd < 20; fd++) {
        require_own_untouched(fd);
    }
    end();
}

static void *has_its_own_table(void *arg)
{
    (void)arg;
    if (unshare(CLONE_FILES) != 0) {
        world_skip("no descriptors of a thread's own");
    }
    close_all();
    for (int fd = 3; fd < 20; fd++) {
        open_own(fd);
    }
    use_everything();
    for (int fd = 3; fd < 20; fd++) {
        require_own_untouched(fd);
    }
    return NULL;
}

/* Both tables have the same numbers for different files, and both threads work. */
static void a_thread_with_its_own_table(void)
{
    pthread_t thread;
    begin(true);
    test_spawn(&thread, has_its_own_table, NULL);
    test_join(thread);
    use_everything();
    end();
}

/* What a program prints that was started without the standard descriptors must not land in a region. */
static void without_the_standard_descriptors(void)
{
    int saved[3];
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD, 100);
        close(fd);
    }
    test_use_directory(test_dir(), false);
    lgalloc_handle handle = test_take(2 * MIB);
    lgalloc_map_stats maps[LGALLOC_SIZE_CLASS_COUNT];
    size_t count;
    bool ok = lgalloc_stats_maps(maps, TEST_COUNT(maps), &count) == LGALLOC_STATUS_OK;
    bool free_still[3];
    for (int fd = 0; fd < 3; fd++) {
        free_still[fd] = fcntl(fd, F_GETFD) == -1;
        dup2(saved[fd], fd);
    }
    TEST_REQUIRE(ok && free_still[0] && free_still[1] && free_still[2]);
    memset(handle.ptr, 1, handle.len);
    lgalloc_deallocate(handle);
    test_require_quiet(false);
}

/* A relative directory means the one that it was when it was configured. */
static void the_directory_changes(void)
{
    char *there = test_dir_make(), *elsewhere = test_dir_make();
    TEST_REQUIRE(chdir(there) == 0);
    test_use_directory(".", false);
    TEST_REQUIRE(chdir(elsewhere) == 0);
    char name[64], target[WORLD_PATH];
    lgalloc_handle handle = test_take(2 * MIB);
    bool found = false;
    for (int fd = 3; fd < 64; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        TEST_REQUIRE(strstr(target, elsewhere) == NULL || strstr(target, "(deleted)") == NULL);
        found = found || (strstr(target, there) != NULL && strstr(target, "(deleted)") != NULL);
    }
    TEST_REQUIRE(found);
    lgalloc_deallocate(handle);
    /* And one that has gone, with the working directory in it. */
    TEST_REQUIRE(rmdir(elsewhere) == 0);
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_path(config, "somewhere") == LGALLOC_STATUS_IO && errno == ENOENT);
    TEST_REQUIRE(lgalloc_config_with_path(config, there) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    TEST_REQUIRE(chdir("/") == 0);
    test_require_quiet(false);
    free(elsewhere);
    test_dir_drop(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(all_are_closed),
        WORLD_TEST(others_get_the_numbers),
        WORLD_TEST(others_get_the_numbers_with_reserved_blocks),
        WORLD_TEST(others_take_the_numbers),
        WORLD_TEST(the_worker_goes_on),
        WORLD_TEST(a_child_of_a_fork),
        WORLD_TEST(a_thread_with_its_own_table),
        WORLD_TEST(without_the_standard_descriptors),
        WORLD_TEST(the_directory_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
