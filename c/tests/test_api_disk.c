/*
 * File systems that say no: a full disk, a read-only one, one that can't punch holes. Each is mounted where
 * nobody else sees it, and used by a child of a process that never used the library; where mounting is not
 * allowed the tests say so and are skipped.
 */

#define _GNU_SOURCE

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DISK_BYTES (8 * MIB)

static bool can_mount;

/* In a mount namespace of this process, which ends with it. */
static int make_namespace(void **state)
{
    (void)state;
    can_mount = unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
    if (can_mount) {
        char *dir = test_dir_make();
        can_mount = mount("none", dir, "tmpfs", 0, "size=1m") == 0;
        if (can_mount) {
            assert_int_equal(umount2(dir, MNT_DETACH), 0);
        }
        test_dir_drop(dir);
    } else {
        (void)test_dir(); /* made by this process, so that it is removed by it */
    }
    return 0;
}

/* Mounts a file system on a fresh directory, runs `body` in a child with the directory, and unmounts. */
static void on_file_system(const char *type, unsigned long flags, const char *options, void (*body)(void *))
{
    if (!can_mount) {
        TEST_SKIP("mounting a file system needs root and a mount namespace");
    }
    char *dir = test_dir_make();
    if (mount("none", dir, type, flags, options) != 0) {
        test_dir_drop(dir);
        TEST_SKIP("this system does not have the file system");
    }
    struct test_child child;
    test_run_child(body, dir, &child);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
    test_dir_drop(dir);
    if (child.status != 0) {
        fail_msg("the child ended with status %#x: %s", (unsigned)child.status, child.errors);
    }
}

/* ---------------------------------------------------------------- a full disk */

/* Takes 1 MiB regions until the disk is full; returns how many there were. */
static size_t take_all_there_is(lgalloc_handle *handles, size_t capacity)
{
    size_t count = 0;
    for (; count < capacity; count++) {
        errno = 0;
        lgalloc_status status = lgalloc_allocate(MIB, 1, 1, NULL, NULL, &handles[count]);
        if (status != LGALLOC_STATUS_OK) {
            TEST_REQUIRE(status == LGALLOC_STATUS_IO && errno == ENOSPC);
            TEST_REQUIRE(handles[count].len == 0);
            break;
        }
        memset(handles[count].ptr, 1, MIB); /* SIGBUS, if its blocks were not there */
    }
    return count;
}

static void fill_disk(const char *dir, char *name, size_t capacity)
{
    snprintf(name, capacity, "%s/filler", dir);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    TEST_REQUIRE(fd >= 0);
    static const char block[4096];
    while (write(fd, block, sizeof block) > 0) {
    }
    TEST_REQUIRE(errno == ENOSPC);
    close(fd);
}

static void reserves_blocks(void *arg)
{
    test_use_directory(arg, true);
    lgalloc_handle handles[16];
    size_t count = take_all_there_is(handles, TEST_COUNT(handles));
    TEST_REQUIRE(count == DISK_BYTES / MIB);
    TEST_REQUIRE(test_equations(false) == NULL);
    test_require_refused(MIB, ENOSPC);
    test_require_refused(64 * KIB, ENOSPC);

    /* Space that comes free is used: from the cache with its blocks, and from another class. */
    lgalloc_deallocate(handles[--count]);
    handles[count] = test_take(MIB);
    memset(handles[count].ptr, 1, MIB);
    lgalloc_deallocate(handles[count]);
    (void)lgalloc_purge();
    test_require_works(512 * KIB);
    test_free_all(handles, count);
    test_require_quiet(false);

    /* Also when a cleared region is handed out again: its blocks are gone, and somebody has taken them. */
    lgalloc_handle keeper = test_take(MIB);
    lgalloc_handle cleared = test_take(MIB);
    memset(cleared.ptr, 1, MIB);
    lgalloc_deallocate(cleared);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_class(MIB).in_use_regions == 1 && test_class(MIB).clean_regions > 0);
    char name[4096];
    fill_disk(arg, name, sizeof name);
    test_require_refused(MIB, ENOSPC);
    lgalloc_handle zeroed;
    TEST_REQUIRE(lgalloc_allocate_zeroed(MIB, 1, 1, NULL, NULL, &zeroed) == LGALLOC_STATUS_IO);
    memset(keeper.ptr, 2, MIB); /* what it had reserved it still has */
    TEST_REQUIRE(unlink(name) == 0);
    test_require_works(MIB);
    lgalloc_deallocate(keeper);
    count = take_all_there_is(handles, TEST_COUNT(handles));
    TEST_REQUIRE(count == DISK_BYTES / MIB);
    test_free_all(handles, count);
    test_require_quiet(false);
}

/* All that is free has its blocks; what the own cache would begin with hasn't. */
static void takes_it_all_again(void *arg)
{
    test_use_directory(arg, true);
    for (size_t round = 0; round < 3; round++) {
        lgalloc_handle handles[32];
        test_take_all(handles, TEST_COUNT(handles), 2 * MIB);
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            memset(handles[i].ptr, (int)i, handles[i].len);
        }
        test_require_refused(2 * MIB, ENOSPC);
        test_free_all(handles, TEST_COUNT(handles));
    }
    /* Another size has none of them, unless they are cleared. */
    lgalloc_handle other[4];
    test_take_all(other, TEST_COUNT(other), MIB);
    test_free_all(other, TEST_COUNT(other));
    test_require_quiet(false);
}

static void full_disk_that_is_free_again(void **state)
{
    (void)state;
    on_file_system("tmpfs", 0, "size=64m", takes_it_all_again);
}

static void full_disk_with_reserved_blocks(void **state)
{
    (void)state;
    on_file_system("tmpfs", 0, "size=8m", reserves_blocks);
}

static void populates(void *arg)
{
    test_use_directory(arg, false);
    lgalloc_handle handles[16];
    test_take_all(handles, TEST_COUNT(handles), MIB); /* address space only */
    size_t count = 0;
    lgalloc_status status = LGALLOC_STATUS_OK;
    for (; count < TEST_COUNT(handles); count++) {
        errno = 0;
        status = lgalloc_populate(handles[count], 0, MIB);
        if (status != LGALLOC_STATUS_OK) {
            break;
        }
        memset(handles[count].ptr, 1, MIB);
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_IO && errno == ENOSPC);
    TEST_REQUIRE(count == DISK_BYTES / MIB);

    /* What is given back by one is there for another. */
    TEST_REQUIRE(lgalloc_discard(handles[0], 0, MIB) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(lgalloc_populate(handles[count], 0, MIB) == LGALLOC_STATUS_OK);
    memset(handles[count].ptr, 2, MIB);
    TEST_REQUIRE(lgalloc_populate(handles[0], 0, 4096) == LGALLOC_STATUS_IO);
    test_free_all(handles, TEST_COUNT(handles));
    (void)lgalloc_purge();

    /* A cleared region, with the space taken by somebody else. */
    lgalloc_handle handle = test_take(MIB);
    char name[4096];
    fill_disk(arg, name, sizeof name);
    errno = 0;
    TEST_REQUIRE(lgalloc_populate(handle, 0, MIB) == LGALLOC_STATUS_IO && errno == ENOSPC);
    TEST_REQUIRE(unlink(name) == 0);
    TEST_REQUIRE(lgalloc_populate(handle, 0, MIB) == LGALLOC_STATUS_OK);
    memset(handle.ptr, 1, MIB);
    lgalloc_deallocate(handle);
    test_require_quiet(false);
}

static void full_disk_when_populating(void **state)
{
    (void)state;
    on_file_system("tmpfs", 0, "size=8m", populates);
}

/* reserve_blocks holds for whoever asks: regions of the Region API, and the automatic fallback. */
static void falls_back(void *arg)
{
    test_use_directory(arg, true);
    char name[4096];
    fill_disk(arg, name, sizeof name);
    lgalloc_region region;
    errno = 0;
    TEST_REQUIRE(lgalloc_region_new_mmap(MIB, 1, 1, &region) == LGALLOC_STATUS_IO && errno == ENOSPC);
    TEST_REQUIRE(lgalloc_region_new_auto(MIB, 1, 1, &region) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(!lgalloc_region_is_mapped(&region));
    TEST_REQUIRE(test_global().heap_fallbacks == 1);
    lgalloc_region_drop(&region);
    test_require_quiet(false);
}

static void full_disk_falls_back_to_the_heap(void **state)
{
    (void)state;
    on_file_system("tmpfs", 0, "size=8m", falls_back);
}

static void read_only(void *arg)
{
    test_use_directory(arg, false);
    test_require_refused(MIB, EROFS);
    test_use_directory(test_dir(), false);
    test_require_works(MIB);
    test_require_quiet(false);
}

static void read_only_file_system(void **state)
{
    (void)state;
    on_file_system("tmpfs", MS_RDONLY, "size=8m", read_only);
}

/* ---------------------------------------------------------------- a file system that refuses */

static void punches_no_holes(void *arg)
{
    test_use_directory(arg, false);
    uint64_t failures = test_global().clear_failures;
    lgalloc_handle handles[4];
    test_take_all(handles, 4, MIB);
    for (size_t i = 0; i < 4; i++) {
        memset(handles[i].ptr, 0xff, MIB);
    }
    lgalloc_status discarded = lgalloc_discard(handles[0], 0, MIB);
    TEST_REQUIRE(discarded == LGALLOC_STATUS_IO || test_filled(handles[0].ptr, MIB, 0));
    for (size_t i = 1; i < 4; i++) {
        lgalloc_deallocate(handles[i]);
    }
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().clear_failures > failures);
    TEST_REQUIRE(test_equations(false) == NULL);
    for (size_t i = 1; i < 4; i++) {
        TEST_REQUIRE(lgalloc_allocate_zeroed(MIB, 1, 1, NULL, NULL, &handles[i]) == LGALLOC_STATUS_OK);
        TEST_REQUIRE(test_filled(handles[i].ptr, MIB, 0));
        test_mark(handles[i], i);
    }
    for (size_t i = 1; i < 4; i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
    }
    test_free_all(handles, 4);

    /* The worker goes on, and does not repeat at every tick what is hopeless. */
    test_set_background(1000000, 0, 0);
    test_require_works(2 * MIB);
    test_require_works(MIB);
    test_set_background(0, 0, 0);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().in_use_bytes == 0);
    TEST_REQUIRE(test_equations(false) == NULL);

    /* Without blocks that could be reserved, reserving is refused or does nothing. */
    test_use_directory(arg, true);
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate(4 * MIB, 1, 1, NULL, NULL, &handle);
    TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_IO);
    lgalloc_deallocate(handle);
}

static void file_system_without_holes(void **state)
{
    (void)state;
    on_file_system("ramfs", 0, NULL, punches_no_holes);
}

/* ---------------------------------------------------------------- no O_TMPFILE */

/* From now on opening with O_TMPFILE fails in this process as it does where the file system doesn't know it. */
static bool refuse_tmpfile(int error)
{
    const uint32_t only_tmpfile = O_TMPFILE & ~O_DIRECTORY; /* on every machine in the lower half of the argument */
    const bool low_first = *(const unsigned char *)&(const uint32_t){1} == 1;
    const uint32_t flags = (uint32_t)offsetof(struct seccomp_data, args[2]) + (low_first ? 0 : 4);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, only_tmpfile, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {TEST_COUNT(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Open files of areas whose name, which they had for a moment, is gone. */
static size_t files_without_name(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        char name[64], target[PATH_MAX];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(name, target, sizeof target - 1);
        if (len > 0) {
            target[len] = '\0';
            count += strstr(target, "/lgalloc-") != NULL && strstr(target, " (deleted)") != NULL;
        }
    }
    return count;
}

static void opens_by_name(void *arg)
{
    int error = *(const int *)arg;
    char *dir = test_dir_make();
    TEST_REQUIRE(refuse_tmpfile(error));
    TEST_REQUIRE(open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0 && errno == error);
    test_use_directory(dir, false);
    lgalloc_handle handles[] = {test_take(64 * KIB), test_take(2 * MIB)};
    TEST_REQUIRE(test_dir_empty(dir));
    TEST_REQUIRE(files_without_name() == 1); /* neighbours share it */
    test_free_all(handles, TEST_COUNT(handles));
    test_require_quiet(false);
    test_dir_drop(dir);
}

static void without_tmpfile(void **state)
{
    (void)state;
    static int errors[] = {EOPNOTSUPP, EISDIR};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == 0 || errno != EFAULT) {
        TEST_SKIP("this system has no filters for system calls");
    }
    for (size_t i = 0; i < TEST_COUNT(errors); i++) {
        test_child_succeeds(opens_by_name, &errors[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_that_is_free_again),
        cmocka_unit_test(full_disk_with_reserved_blocks),
        cmocka_unit_test(full_disk_when_populating),
        cmocka_unit_test(full_disk_falls_back_to_the_heap),
        cmocka_unit_test(read_only_file_system),
        cmocka_unit_test(file_system_without_holes),
        cmocka_unit_test(without_tmpfile),
    };
    return cmocka_run_group_tests(tests, make_namespace, NULL);
}
