/*
 * What the test_world_ programs share: the world that a program lives in, changed for real. Each case runs in a process
 * of its own, so that it may mount file systems, give up rights, set limits and install filters, and nothing of it is
 * left when it ends, however it ends.
 *
 * A case is a function that says what must hold with TEST_REQUIRE, and returns. It may skip itself.
 */
#ifndef LGALLOC_TESTS_SUPPORT_WORLD_H
#define LGALLOC_TESTS_SUPPORT_WORLD_H

#include "support.h"

/* ---------------------------------------------------------------- cases */

/* What world_run() returns for a case that skipped itself. */
enum { WORLD_SKIPPED = 77 };

/*
 * Runs `body` in a child that has a minute to live; the library is loaded there, and not used yet. Returns 0,
 * WORLD_SKIPPED after printing the reason, or, after printing what the child wrote on standard error, what it exited
 * with or 128 and the signal that ended it.
 */
int world_run(void (*body)(void));

/* Ends a case with a reason that is printed. Must be called in the case's own process. */
_Noreturn void world_skip(const char *reason);

/* A cmocka test that runs one case. */
struct world_case {
    void (*body)(void);
};
void world_test(void **state);
#define WORLD_TEST(function)                                    \
    {                                                           \
#function, world_test, NULL, NULL, &(struct world_case) \
        {                                                       \
            function                                            \
        }                                                       \
    }

/* ---------------------------------------------------------------- file systems */

enum { WORLD_PATH = 512 };

/*
 * Makes a file system of about so many MiB and mounts it where no other process sees it; it goes with the process. What
 * can't be had skips the case.
 *
 * type:     ext4, xfs or btrfs on a loop device, tmpfs, or overlay on a tmpfs; behind a comma, options for mount. xfs
 *           needs 300, btrfs 110.
 * out_path: WORLD_PATH bytes; a directory that everybody may write to.
 *
 * Must be called before the case has other threads.
 */
void world_mount(const char *type, size_t megabytes, char *out_path);

/* Bytes that are free in the file system that has this directory. */
size_t world_free_bytes(const char *path);

/* ---------------------------------------------------------------- rights */

/* From now on the system call with this number is refused with `error` in all threads of the process, for good. Skips
 * the case where there are no filters. */
void world_refuse(long number, int error);

/* From now on madvise() knows this advice no more, as an older kernel: EINVAL. Skips as above. */
void world_forget_advice(int advice);

/* Gives up what root may: the process is an ordinary user's. Skips the case if it isn't root's. */
void world_become_ordinary(void);

/* ---------------------------------------------------------------- what the kernel says */

/* The number behind `key` ("VmLck:", say) in /proc/self/status, in bytes where that has KiB; 0 if there is none. */
size_t world_status(const char *key);

#endif
