/*
 * Processes that lock their memory (mlockall), before or after the library's first use, with and without the right to
 * lock more than RLIMIT_MEMLOCK. What is reserved and not in use is never locked or counted, and what is touched is.
 *
 * The sanitizers make mlockall() do nothing.
 */

#include "support_world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* Linux 6.11 */
#endif

/* What the program itself and the C library may have. */
#define PROGRAM (64 * MIB)

static void need_locks(void)
{
    if (test_slow_tool()) {
        world_skip("mlockall() does nothing under this tool");
    }
}

static void need_droppable(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, page, PROT_NONE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        world_skip("before Linux 6.11 the reservation counts as locked");
    }
    munmap(p, page);
}

static void lock_all(int how)
{
    if (mlockall(how) != 0) {
        world_skip("this process may not lock all of its memory");
    }
}

/* What is locked is what the library has mapped for regions, its bookkeeping, and the program. */
static void require_little_locked(void)
{
    lgalloc_global_stats global = test_global();
    TEST_REQUIRE(global.reserved_address_bytes >= 64 * GIB);
    TEST_REQUIRE(world_status("VmLck:") <= global.area_bytes + global.metadata_bytes + PROGRAM);
    TEST_REQUIRE(world_status("VmPTE:") <= PROGRAM);
}

static void require_clears(lgalloc_backing backing)
{
    uint64_t failures = test_global().clear_failures;
    test_configure(backing);
    lgalloc_handle stays = test_take(4 * MIB);
    lgalloc_handle goes = test_take(4 * MIB);
    memset(stays.ptr, 1, stays.len);
    memset(goes.ptr, 2, goes.len);
    size_t before = world_status("VmRSS:");
    lgalloc_deallocate(goes);
    TEST_REQUIRE(lgalloc_purge() >= goes.len);
    TEST_REQUIRE(world_status("VmRSS:") + 3 * MIB <= before);
    TEST_REQUIRE(test_filled(stays.ptr, stays.len, 1));
    TEST_REQUIRE(lgalloc_discard(stays, 0, MIB) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(test_filled(stays.ptr, MIB, 0));
    lgalloc_deallocate(stays);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_global().clear_failures == failures);
}

/* ---------------------------------------------------------------- after the first use */

static void locked_in_use(lgalloc_backing backing)
{
    need_locks();
    need_droppable();
    test_configure(backing);
    lgalloc_handle handle = test_take(2 * MIB);
    memset(handle.ptr, 3, handle.len);
    lock_all(MCL_CURRENT);
    require_little_locked();
    TEST_REQUIRE(test_mapping_flag(handle.ptr, " lo"));
    TEST_REQUIRE(test_filled(handle.ptr, handle.len, 3));
    lock_all(MCL_CURRENT | MCL_FUTURE);
    lgalloc_handle more = test_take(64 * MIB);
    memset(more.ptr, 4, more.len);
    require_little_locked();
    lgalloc_deallocate(handle);
    lgalloc_deallocate(more);
    test_require_quiet(false);
    require_little_locked(); /* no area is left */
    lock_all(MCL_CURRENT | MCL_FUTURE);
    require_little_locked();
}

static void locked_in_use_files(void)
{
    locked_in_use(LGALLOC_BACKING_FILE);
}

static void locked_in_use_anonymous(void)
{
    locked_in_use(LGALLOC_BACKING_ANONYMOUS);
}

/* ---------------------------------------------------------------- before the first use */

static void locked_from_the_start(lgalloc_backing backing)
{
    need_locks();
    test_configure(backing);
    lock_all(MCL_CURRENT | MCL_FUTURE);
    size_t before = world_status("VmRSS:");
    lgalloc_handle handle = test_take(64 * KIB);
    require_little_locked();
    /* The rest of the area isn't in use, and not brought in. */
    TEST_REQUIRE(test_class(64 * KIB).area_total_bytes >= 32 * MIB);
    TEST_REQUIRE(world_status("VmRSS:") <= before + 8 * MIB);
    memset(handle.ptr, 1, handle.len);
    TEST_REQUIRE(test_mapping_flag(handle.ptr, " lo"));
    lgalloc_deallocate(handle);
    require_clears(backing);
    test_require_quiet(false);
    require_little_locked();
}

static void locked_from_the_start_files(void)
{
    locked_from_the_start(LGALLOC_BACKING_FILE);
}

static void locked_from_the_start_anonymous(void)
{
    locked_from_the_start(LGALLOC_BACKING_ANONYMOUS);
}

/* Locked and then cleared, both times what was mapped before. */
static void clears_what_is_locked(void)
{
    need_locks();
    for (lgalloc_backing backing = LGALLOC_BACKING_FILE; backing <= LGALLOC_BACKING_ANONYMOUS; backing++) {
        test_configure(backing);
        lgalloc_handle holds = test_take(4 * MIB);
        lock_all(MCL_CURRENT);
        require_clears(backing);
        lgalloc_deallocate(holds);
    }
}

/* ---------------------------------------------------------------- without the right to lock much */

/* Memory is refused with a status where the limit is reached, and what was had stays. */
static void within_the_limit(void)
{
    enum { MOST = 2048 };
    static lgalloc_handle handles[MOST];
    need_locks();
    struct rlimit limit;
    TEST_REQUIRE(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (limit.rlim_max < 8 * MIB) {
        world_skip("this process may not lock even 8 MiB");
    }
    /* Room for two chunks of the arena; if not even one may be locked, allocating fails and says so. */
    size_t most = limit.rlim_max < 80 * MIB ? limit.rlim_max : 80 * MIB;
    limit.rlim_cur = limit.rlim_max = most;
    TEST_REQUIRE(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    world_become_ordinary();
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    lock_all(MCL_FUTURE);
    size_t count = 0;
    lgalloc_status status = LGALLOC_STATUS_OK;
    while (status == LGALLOC_STATUS_OK) {
        TEST_REQUIRE(count < MOST);
        errno = 0;
        status = lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &handles[count]);
        if (status == LGALLOC_STATUS_OK) {
            test_mark(handles[count], count);
            count++;
        }
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_IO && errno == EAGAIN);
    TEST_REQUIRE(count >= (most >= 40 * MIB ? 32 * MIB / (64 * KIB) : 0));
    TEST_REQUIRE(world_status("VmLck:") <= most);
    for (size_t i = 0; i < count; i++) {
        TEST_REQUIRE(test_marked(handles[i], i));
    }
    test_free_all(handles, count);
    test_require_quiet(false);
    TEST_REQUIRE(world_status("VmLck:") <= test_global().metadata_bytes + MIB);
    if (count != 0) {
        test_require_works(64 * KIB);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(locked_in_use_files),         WORLD_TEST(locked_in_use_anonymous),
        WORLD_TEST(locked_from_the_start_files), WORLD_TEST(locked_from_the_start_anonymous),
        WORLD_TEST(clears_what_is_locked),       WORLD_TEST(within_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
