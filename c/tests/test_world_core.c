/* ctest-labels: novalgrind */
/*
 * Core files: what the kernel writes when a process dumps core, and what gdb writes of one that lives. They are about as
 * large as what is in use, whatever is reserved; the library's bookkeeping is in them, and regions are where that was
 * asked for.
 */

#define _GNU_SOURCE

#include "support_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* More than the program and the library have in a core without regions. */
#define SMALL_CORE (64 * MIB)

static void set_core_dump(bool core_dump)
{
    lgalloc_config *config = test_config();
    lgalloc_config_core_dump(config, core_dump);
    test_apply(config);
}

/* ---------------------------------------------------------------- what would be dumped */

/* Bytes of mappings that aren't marked as left out ("dd"). */
static size_t dumpable(void)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    TEST_REQUIRE(file != NULL);
    char line[4608];
    size_t mapping = 0;
    size_t bytes = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmFlags:", 8) == 0) {
            bytes += strstr(line, " dd") == NULL ? mapping : 0;
            continue;
        }
        uintptr_t start;
        uintptr_t end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2) {
            mapping = end - start;
        }
    }
    fclose(file);
    return bytes;
}

static void marks_of_regions(lgalloc_backing backing)
{
    test_configure(backing);
    lgalloc_handle small = test_take(64 * KIB);
    lgalloc_handle large = test_take(GIB);
    TEST_REQUIRE(test_mapping_flag(small.ptr, " dd") && test_mapping_flag(large.ptr, " dd"));
    size_t others = dumpable();
    TEST_REQUIRE(test_slow_tool() || others <= SMALL_CORE);

    /* Existing areas follow, and new ones; what is reserved stays out. */
    set_core_dump(true);
    TEST_REQUIRE(!test_mapping_flag(small.ptr, " dd") && !test_mapping_flag(large.ptr, " dd"));
    TEST_REQUIRE(dumpable() == others + test_global().area_bytes);
    lgalloc_handle more = test_take(256 * MIB);
    TEST_REQUIRE(!test_mapping_flag(more.ptr, " dd"));
    lgalloc_deallocate(large);
    lgalloc_deallocate(more);
    (void)lgalloc_purge();
    TEST_REQUIRE(test_slow_tool() || dumpable() <= others + test_global().area_bytes + 4 * MIB);

    set_core_dump(false);
    TEST_REQUIRE(test_mapping_flag(small.ptr, " dd"));
    lgalloc_deallocate(small);
    test_require_quiet(false);
}

static void marks_of_files(void)
{
    marks_of_regions(LGALLOC_BACKING_FILE);
}

static void marks_of_anonymous_memory(void)
{
    marks_of_regions(LGALLOC_BACKING_ANONYMOUS);
}

/* ---------------------------------------------------------------- cores of the kernel */

static const char secret[] = "in a region, and nowhere else in this process"; /* with its bytes turned around */

static void write_secret(char *at)
{
    for (size_t i = 0; i < sizeof secret; i++) {
        at[i] = (char)~secret[i];
    }
}

/* How often the bytes occur in a file, at multiples of 8. */
static size_t occurrences(int fd, const void *bytes, size_t len)
{
    struct stat status;
    TEST_REQUIRE(fstat(fd, &status) == 0);
    const char *text = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    TEST_REQUIRE(text != MAP_FAILED);
    size_t count = 0;
    for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0;) { /* holes are most of some */
        off_t end = lseek(fd, at, SEEK_HOLE);
        for (size_t i = (size_t)at & ~(size_t)7; i + len <= (size_t)end; i += 8) {
            count += memcmp(text + i, bytes, len) == 0;
        }
        at = end;
    }
    munmap((void *)(uintptr_t)text, (size_t)status.st_size);
    return count;
}

struct shared {
    void *address; /* of a region in use */
};

static _Noreturn void dump_core(lgalloc_backing backing, bool core_dump, struct shared *shared)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit some;
    if (setrlimit(RLIMIT_CORE, &all) != 0 &&
        (getrlimit(RLIMIT_CORE, &some) != 0 || some.rlim_max < 4 * GIB ||
         setrlimit(RLIMIT_CORE, &(struct rlimit){some.rlim_max, some.rlim_max}) != 0)) {
        _exit(WORLD_SKIPPED);
    }
    TEST_REQUIRE(prctl(PR_SET_DUMPABLE, 1) == 0);
    test_configure(backing);
    set_core_dump(core_dump);
    lgalloc_handle handles[3];
    /* Where all of it is written, less of it. */
    test_take_all(handles, TEST_COUNT(handles), core_dump ? 64 * MIB : 512 * MIB);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        write_secret(handles[i].ptr);
    }
    shared->address = handles[1].ptr;
    abort();
}

/* The only file in a directory; -1 if there is none. */
static int open_core(const char *path)
{
    DIR *stream = opendir(path);
    TEST_REQUIRE(stream != NULL);
    int fd = -1;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] != '.' && fd < 0) {
            fd = openat(dirfd(stream), entry->d_name, O_RDONLY | O_CLOEXEC);
            TEST_REQUIRE(fd >= 0);
            TEST_REQUIRE(unlinkat(dirfd(stream), entry->d_name, 0) == 0);
        }
    }
    closedir(stream);
    return fd;
}

/* Dumps core in a directory of its own; returns the core. */
static int core_of(lgalloc_backing backing, bool core_dump, struct shared *shared)
{
    char pattern[128] = "|";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    if (file != NULL) {
        (void)!fgets(pattern, sizeof pattern, file);
        fclose(file);
    }
    if (pattern[0] == '|' || strchr(pattern, '/') != NULL) {
        world_skip("cores of this machine go elsewhere");
    }
    char *dir = test_dir_make();
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        TEST_REQUIRE(chdir(dir) == 0);
        dump_core(backing, core_dump, shared);
    }
    int status;
    TEST_REQUIRE(waitpid(pid, &status, 0) == pid);
    int fd = open_core(dir);
    test_dir_drop(dir);
    if (fd < 0 || !WIFSIGNALED(status) || !WCOREDUMP(status)) {
        world_skip("this process may not dump core");
    }
    return fd;
}

static size_t blocks_of(int fd)
{
    struct stat status;
    TEST_REQUIRE(fstat(fd, &status) == 0);
    return (size_t)status.st_blocks * 512;
}

static void core_has(lgalloc_backing backing, bool core_dump)
{
    if (test_slow_tool()) {
        world_skip("this tool keeps processes from dumping core");
    }
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    TEST_REQUIRE(shared != MAP_FAILED);
    int fd = core_of(backing, core_dump, shared);
    char words[sizeof secret];
    write_secret(words);
    TEST_REQUIRE(blocks_of(fd) <= (core_dump && backing == LGALLOC_BACKING_FILE ? 256 * MIB : SMALL_CORE));
    TEST_REQUIRE(occurrences(fd, words, sizeof words) == (core_dump ? 3 : 0));
    /* The descriptor of a region in use has its address, negated. */
    uint64_t state = 0 - (uint64_t)(uintptr_t)shared->address;
    TEST_REQUIRE(occurrences(fd, &state, sizeof state) >= 1);
    close(fd);
}

static void core_without_files(void)
{
    core_has(LGALLOC_BACKING_FILE, false);
}

static void core_without_memory(void)
{
    core_has(LGALLOC_BACKING_ANONYMOUS, false);
}

static void core_with_files(void)
{
    core_has(LGALLOC_BACKING_FILE, true);
}

static void core_with_memory(void)
{
    core_has(LGALLOC_BACKING_ANONYMOUS, true);
}

/* ---------------------------------------------------------------- cores of gdb */

/* Tells its address when it has 2 MiB in use, and waits to be killed. */
static _Noreturn void be_looked_at(int ready)
{
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    test_configure(LGALLOC_BACKING_ANONYMOUS);
    set_core_dump(true);
    lgalloc_handle handle = test_take(2 * MIB);
    memset(handle.ptr, 1, handle.len);
    write_secret(handle.ptr);
    TEST_REQUIRE(write(ready, "!", 1) == 1);
    for (;;) {
        pause();
    }
}

static void core_by_gdb(void)
{
    if (test_slow_tool()) {
        world_skip("gdb has much more to write under this tool");
    }
    int ready[2];
    char nothing;
    TEST_REQUIRE(pipe(ready) == 0);
    pid_t looked_at = fork();
    TEST_REQUIRE(looked_at >= 0);
    if (looked_at == 0) {
        be_looked_at(ready[1]);
    }
    TEST_REQUIRE(read(ready[0], &nothing, 1) == 1);
    char *dir = test_dir_make();
    char command[WORLD_PATH + 64];
    char number[32];
    snprintf(command, sizeof command, "gcore %s/core", dir);
    snprintf(number, sizeof number, "%d", (int)looked_at);
    pid_t gdb = fork();
    TEST_REQUIRE(gdb >= 0);
    if (gdb == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execlp("gdb", "gdb", "-nx", "-batch", "-p", number, "-ex", command, (char *)NULL);
        _exit(WORLD_SKIPPED);
    }
    int status;
    TEST_REQUIRE(waitpid(gdb, &status, 0) == gdb);
    kill(looked_at, SIGKILL);
    TEST_REQUIRE(waitpid(looked_at, NULL, 0) == looked_at);
    int fd = open_core(dir);
    test_dir_drop(dir);
    if (fd < 0) {
        world_skip("gdb isn't there, or may not look at processes");
    }
    char words[sizeof secret];
    write_secret(words);
    TEST_REQUIRE(occurrences(fd, words, sizeof words) == 1);
    TEST_REQUIRE(blocks_of(fd) <= 2 * SMALL_CORE); /* all of the area of 32 MiB, which gdb reads */
    struct stat core;
    TEST_REQUIRE(fstat(fd, &core) == 0 && (size_t)core.st_size <= 2 * SMALL_CORE);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(marks_of_files),      WORLD_TEST(marks_of_anonymous_memory), WORLD_TEST(core_without_files),
        WORLD_TEST(core_without_memory), WORLD_TEST(core_with_files),           WORLD_TEST(core_with_memory),
        WORLD_TEST(core_by_gdb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
