/* File systems of all kinds, small ones, made for each case. */

#include "support_world.h"

#include <errno.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(on_ext4), WORLD_TEST(on_xfs), WORLD_TEST(on_btrfs), WORLD_TEST(on_tmpfs), WORLD_TEST(on_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
