/* ctest-labels: novalgrind disk */
/*
 * Sealed regions need nothing that a container doesn't have as it comes: the tests of them run once more as an ordinary user,
 * behind a filter that refuses what the common container runtimes refuse by default.
 */

#define _GNU_SOURCE

#include "support_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process without privileges is refused there, of what the kernel itself would allow somebody. */
static const long refused[] = {
    SYS_acct,
    SYS_add_key,
    SYS_bpf,
    SYS_clock_adjtime,
    SYS_clock_settime,
    SYS_delete_module,
    SYS_finit_module,
    SYS_get_mempolicy,
    SYS_init_module,
    SYS_kcmp,
    SYS_kexec_load,
    SYS_keyctl,
    SYS_mbind,
    SYS_mount,
    SYS_move_pages,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_perf_event_open,
    SYS_pivot_root,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_quotactl,
    SYS_reboot,
    SYS_request_key,
    SYS_set_mempolicy,
    SYS_setns,
    SYS_settimeofday,
    SYS_swapoff,
    SYS_swapon,
    SYS_umount2,
    SYS_unshare,
#ifdef SYS_userfaultfd
    SYS_userfaultfd,
#endif
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#endif
};

static void runs(const char *name)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 64);
    TEST_REQUIRE(len > 0);
    path[len] = 0;
    TEST_REQUIRE(strrchr(path, '/') != NULL);
    (void)snprintf(strrchr(path, '/') + 1, 64, "%s", name);
    char *dir = test_dir_make();
    TEST_REQUIRE(chmod(dir, 0777) == 0);
    (void)chmod(test_dir(), 0755);
    TEST_REQUIRE(setenv("LGALLOC_TEST_DIR", dir, 1) == 0);
    if (geteuid() == 0) {
        world_become_ordinary();
    }
    for (size_t i = 0; i < TEST_COUNT(refused); i++) {
        world_refuse(refused[i], EPERM);
    }
    if (access(path, X_OK) != 0 || access(dir, W_OK | X_OK) != 0) {
        world_skip("an ordinary user has no way to the tests, or to their directory");
    }
    TEST_REQUIRE(syscall(SYS_unshare, 0) != 0 && errno == EPERM);
    execl(path, name, (char *)NULL);
    TEST_REQUIRE(!"the test runs");
}

static void sealed(void)
{
    runs("test_api_sealed");
}

static void sealed_processes(void)
{
    runs("test_api_sealed_process");
}

int main(void)
{
    if (TEST_TSAN) { /* it asks for a personality, and starts over */
        return 0;
    }
    const struct CMUnitTest tests[] = {
        WORLD_TEST(sealed),
        WORLD_TEST(sealed_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
