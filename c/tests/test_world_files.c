/* File systems of all kinds, small ones, made for each case. */

#define _GNU_SOURCE

#include "support_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Allocates, writes, frees and purges: what was taken comes back. */
static void regions_on(const char *type, size_t megabytes)
{
    char path[WORLD_PATH];
    world_mount(type, megabytes, path);
    test_use_directory(path, false);
    size_t before = world_free_bytes(path);
    lgalloc_handle handles[8];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = test_take(MIB << (i % 3));
        memset(handles[i].ptr, (int)i + 1, handles[i].len);
    }
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        TEST_REQUIRE(test_filled(handles[i].ptr, handles[i].len, (unsigned char)(i + 1)));
    }
    TEST_REQUIRE(lgalloc_populate(handles[0], 0, handles[0].len) == LGALLOC_STATUS_OK);
    test_free_all(handles, TEST_COUNT(handles));
    test_require_quiet(false);
    TEST_REQUIRE(test_dir_empty(path) || strcmp(type, "ext4") == 0); /* which has lost+found */
    TEST_REQUIRE(world_free_bytes(path) + 8 * MIB >= before);
}

static void on_ext4(void)
{
    regions_on("ext4", 64);
}

static void on_xfs(void)
{
    regions_on("xfs", 300);
}

static void on_btrfs(void)
{
    regions_on("btrfs", 200);
}

static void on_tmpfs(void)
{
    regions_on("tmpfs", 64);
}

static void on_overlay(void)
{
    regions_on("overlay", 64);
}

/* ---------------------------------------------------------------- blocks that are reserved */

/* All that is left goes to a file of somebody else's. */
static void fill_up(const char *path)
{
    char name[WORLD_PATH + 16];
    snprintf(name, sizeof name, "%s/somebody", path);
    int fd = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    TEST_REQUIRE(fd >= 0);
    off_t end = 0;
    for (off_t step = (off_t)(8 * MIB); step >= (off_t)(64 * KIB); step /= 2) {
        while (fallocate(fd, 0, end, step) == 0) {
            end += step;
        }
        TEST_REQUIRE(errno == ENOSPC);
    }
    close(fd);
}

/* Either the promise is refused, or it is kept: on a full disk all can be written, and again when that is on the disk. */
static void promise_on(const char *type, size_t megabytes)
{
    enum { BYTES = 256 * 1024 }; /* each page takes btrfs some milliseconds then */
    char path[WORLD_PATH];
    world_mount(type, megabytes, path);
    test_use_directory(path, true);
    lgalloc_handle handle;
    errno = 0;
    lgalloc_status status = lgalloc_allocate(BYTES, 1, 1, NULL, NULL, &handle);
    if (status != LGALLOC_STATUS_OK) {
        TEST_REQUIRE(status == LGALLOC_STATUS_IO && errno == EOPNOTSUPP && strncmp(type, "btrfs", 5) == 0);
        world_skip("before Linux 6.16 btrfs keeps no blocks");
    }
    fill_up(path);
    for (int i = 1; i <= 3; i++) {
        memset(handle.ptr, i, handle.len);
        TEST_REQUIRE(msync(handle.ptr, handle.len, MS_SYNC) == 0);
        TEST_REQUIRE(test_filled(handle.ptr, handle.len, (unsigned char)i));
    }
    test_require_refused(16 * MIB, ENOSPC);
    lgalloc_deallocate(handle);
}

static void promise_on_ext4(void)
{
    promise_on("ext4", 64);
}

static void promise_on_xfs(void)
{
    promise_on("xfs", 300);
}

static void promise_on_btrfs(void)
{
    promise_on("btrfs", 150);
}

static void promise_on_compressed_btrfs(void)
{
    promise_on("btrfs,compress-force=zstd", 150);
}

static void promise_on_tmpfs(void)
{
    promise_on("tmpfs", 64);
}

static void promise_on_overlay(void)
{
    promise_on("overlay", 64);
}

/* Where a file can't be had that is written in place, it is refused; without the promise all goes on. */
static void no_promise(void)
{
    char path[WORLD_PATH];
    world_mount("btrfs", 150, path);
    world_refuse(SYS_ioctl, EPERM);
    test_use_directory(path, true);
    test_require_refused(MIB, EOPNOTSUPP);
    test_require_refused(MIB, EOPNOTSUPP);
    test_use_directory(path, false);
    lgalloc_handle handle = test_take(MIB);
    memset(handle.ptr, 1, handle.len);
    TEST_REQUIRE(lgalloc_populate(handle, 0, handle.len) == LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
    test_require_quiet(false);
}

/* ---------------------------------------------------------------- zeros */

/* Much more is asked for than the file system has, and one page at a time is used. */
static void zeros_on(const char *type, size_t megabytes)
{
    char path[WORLD_PATH];
    world_mount(type, megabytes, path);
    test_use_directory(path, false);
    for (size_t bytes = 64 * KIB; bytes <= 2048 * MIB; bytes *= 4) {
        for (size_t round = 0; round < 4; round++) {
            lgalloc_handle handle;
            TEST_REQUIRE(lgalloc_allocate_zeroed(bytes, 1, 1, NULL, NULL, &handle) == LGALLOC_STATUS_OK);
            unsigned char *page = (unsigned char *)handle.ptr + (bytes / 2);
            TEST_REQUIRE(test_filled(page, 4 * KIB, 0));
            memset(page, 0xff, 4 * KIB);
            lgalloc_deallocate(handle);
        }
        (void)lgalloc_purge();
    }
    test_require_quiet(false);
}

static void zeros_on_ext4(void)
{
    zeros_on("ext4", 32);
}

static void zeros_on_xfs(void)
{
    zeros_on("xfs", 300);
}

static void zeros_on_btrfs(void)
{
    zeros_on("btrfs", 120);
}

static void zeros_on_tmpfs(void)
{
    zeros_on("tmpfs", 16);
}

static void zeros_on_overlay(void)
{
    zeros_on("overlay", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(on_ext4),
        WORLD_TEST(on_xfs),
        WORLD_TEST(on_btrfs),
        WORLD_TEST(on_tmpfs),
        WORLD_TEST(on_overlay),
        WORLD_TEST(promise_on_ext4),
        WORLD_TEST(promise_on_xfs),
        WORLD_TEST(promise_on_btrfs),
        WORLD_TEST(promise_on_compressed_btrfs),
        WORLD_TEST(promise_on_tmpfs),
        WORLD_TEST(promise_on_overlay),
        WORLD_TEST(no_promise),
        WORLD_TEST(zeros_on_ext4),
        WORLD_TEST(zeros_on_xfs),
        WORLD_TEST(zeros_on_btrfs),
        WORLD_TEST(zeros_on_tmpfs),
        WORLD_TEST(zeros_on_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
