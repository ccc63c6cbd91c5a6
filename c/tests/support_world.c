#define _GNU_SOURCE

#include "support_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- cases */

static void run_body(void *arg)
{
    const struct world_case *one = arg;
    one->body();
}

/* Mount points and images are left behind, empty and without names in other namespaces, when a case ends. */
static void remove_remains(void)
{
    DIR *stream = opendir(test_dir());
    TEST_REQUIRE(stream != NULL);
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (strncmp(entry->d_name, "world-", 6) == 0) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
            (void)unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR);
        }
    }
    closedir(stream);
}

int world_run(void (*body)(void))
{
    struct world_case one = {body};
    struct test_child child;
    (void)test_dir(); /* this process makes it, and removes it */
    test_run_child(run_body, &one, &child);
    remove_remains();
    if (WIFEXITED(child.status) && WEXITSTATUS(child.status) == WORLD_SKIPPED) {
        print_message("skipped: %s\n", child.output);
        return WORLD_SKIPPED;
    }
    if (child.status == 0) {
        return 0;
    }
    print_error("%s%s", child.output, child.errors);
    return WIFEXITED(child.status) ? WEXITSTATUS(child.status) : 128 + WTERMSIG(child.status);
}

_Noreturn void world_skip(const char *reason)
{
    dprintf(STDOUT_FILENO, "%s", reason);
    _exit(WORLD_SKIPPED);
}

void world_test(void **state)
{
    const struct world_case *one = *state;
    int status = world_run(one->body);
    if (status == WORLD_SKIPPED) {
        skip();
    }
    if (status != 0) {
        fail_msg("the case ended with %d", status);
    }
}

/* ---------------------------------------------------------------- file systems */

/* Runs a command with its output on this process's standard error; returns whether it succeeded. */
static bool command(const char *const *words)
{
    char *environment[] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    posix_spawn_file_actions_t actions;
    TEST_REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
    TEST_REQUIRE(posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO) == 0);
    /* The own PATH decides where the command is found, so that has to be as wide. */
    TEST_REQUIRE(setenv("PATH", environment[0] + strlen("PATH="), 1) == 0);
    pid_t pid;
    int error = posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environment);
    posix_spawn_file_actions_destroy(&actions);
    int status = 1;
    while (error == 0 && waitpid(pid, &status, 0) < 0) {
        TEST_REQUIRE(errno == EINTR);
    }
    return error == 0 && status == 0;
}

static void own_mounts(void)
{
    static bool done;
    if (!done && unshare(CLONE_NEWNS) != 0) {
        world_skip("this process may not mount");
    }
    TEST_REQUIRE(done || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0);
    done = true;
}

static void make_directory(char *path, const char *name)
{
    snprintf(path, WORLD_PATH, "%s/world-%s-XXXXXX", test_dir(), name);
    TEST_REQUIRE(mkdtemp(path) != NULL);
}

static _Noreturn void skip_type(const char *what, const char *type)
{
    char reason[128];
    snprintf(reason, sizeof reason, "%s %s", what, type);
    world_skip(reason);
}

static void mount_image(const char *type, const char *options, size_t megabytes, const char *path)
{
    char image[WORLD_PATH];
    snprintf(image, sizeof image, "%s/world-image-XXXXXX", test_dir());
    int fd = mkostemp(image, O_CLOEXEC);
    TEST_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)(megabytes * MIB)) == 0);
    close(fd);
    char maker[64];
    snprintf(maker, sizeof maker, "mkfs.%s", type);
    const char *force = strcmp(type, "ext4") == 0 ? "-F" : "-f";
    if (!command((const char *const[]){maker, "-q", force, image, NULL})) {
        skip_type("there is nothing that makes", type);
    }
    char all[256];
    snprintf(all, sizeof all, "loop%s%s", *options != '\0' ? "," : "", options);
    if (!command((const char *const[]){"mount", "-t", type, "-o", all, image, path, NULL})) {
        skip_type("this process may not mount", type);
    }
    /* The loop device keeps the image, and goes with the mount. */
    TEST_REQUIRE(unlink(image) == 0);
}

static void mount_tmpfs(const char *options, size_t megabytes, const char *path)
{
    char all[256];
    snprintf(all, sizeof all, "size=%zum%s%s", megabytes, *options != '\0' ? "," : "", options);
    if (mount("none", path, "tmpfs", 0, all) != 0) {
        skip_type("this process may not mount", "tmpfs");
    }
}

static void mount_overlay(const char *options, size_t megabytes, const char *path)
{
    static const char *const parts[] = {"lower", "upper", "work"};
    char below[WORLD_PATH];
    char all[4 * WORLD_PATH];
    make_directory(below, "below");
    mount_tmpfs("", megabytes, below);
    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        char part[WORLD_PATH + 16];
        snprintf(part, sizeof part, "%s/%s", below, parts[i]);
        TEST_REQUIRE(mkdir(part, 0777) == 0);
    }
    snprintf(all, sizeof all, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work%s%s", below, below, below,
             *options != '\0' ? "," : "", options);
    if (mount("overlay", path, "overlay", 0, all) != 0) {
        skip_type("this process may not mount", "overlay");
    }
}

void world_mount(const char *type, size_t megabytes, char *out_path)
{
    char name[32];
    const char *options = strchr(type, ',');
    size_t length = options != NULL ? (size_t)(options - type) : strlen(type);
    TEST_REQUIRE(length < sizeof name);
    memcpy(name, type, length);
    name[length] = '\0';
    options = options != NULL ? options + 1 : "";
    own_mounts();
    make_directory(out_path, name);
    if (strcmp(name, "tmpfs") == 0) {
        mount_tmpfs(options, megabytes, out_path);
    } else if (strcmp(name, "overlay") == 0) {
        mount_overlay(options, megabytes, out_path);
    } else {
        mount_image(name, options, megabytes, out_path);
    }
    TEST_REQUIRE(chmod(out_path, 0777) == 0);
}

size_t world_free_bytes(const char *path)
{
    struct statvfs status;
    TEST_REQUIRE(statvfs(path, &status) == 0);
    return status.f_bavail * status.f_frsize;
}

/* ---------------------------------------------------------------- rights */

static void install(struct sock_filter *filter, unsigned short len)
{
    struct sock_fprog program = {len, filter};
    TEST_REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
        world_skip("the system has no filters for system calls");
    }
}

void world_refuse(long number, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, TEST_COUNT(filter));
}

void world_forget_advice(int advice)
{
    const unsigned low = offsetof(struct seccomp_data, args[2]) + (__BYTE_ORDER == __BIG_ENDIAN ? 4 : 0);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)advice, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, TEST_COUNT(filter));
}

void world_become_ordinary(void)
{
    enum { NOBODY = 65534 };
    if (geteuid() != 0) {
        world_skip("only root can become somebody else");
    }
    TEST_REQUIRE(setgroups(0, NULL) == 0);
    TEST_REQUIRE(setresgid(NOBODY, NOBODY, NOBODY) == 0);
    TEST_REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* ---------------------------------------------------------------- what the kernel says */

size_t world_status(const char *key)
{
    FILE *file = fopen("/proc/self/status", "re");
    TEST_REQUIRE(file != NULL);
    char line[256];
    size_t value = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            value = strtoull(line + strlen(key), NULL, 10) * (strstr(line, " kB") != NULL ? KIB : 1);
        }
    }
    fclose(file);
    return value;
}
