/* Child processes, and what the kernel says about this one. */

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- child processes */

static void become_child(void)
{
    static const int caught[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS};
    for (size_t i = 0; i < TEST_COUNT(caught); i++) {
        signal(caught[i], SIG_DFL);
    }
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0; /* no more than that: a child may want to dump core */
        setrlimit(RLIMIT_CORE, &core);
    }
    alarm(TEST_HANG_SECONDS);
}

/* Takes what can be read now; false at the end of the file. */
static bool drain(int fd, char *buffer, size_t capacity, size_t *length)
{
    char rest[512];
    bool room = *length + 1 < capacity;
    ssize_t got = room ? read(fd, buffer + *length, capacity - 1 - *length) : read(fd, rest, sizeof rest);
    if (got > 0 && room) {
        *length += (size_t)got;
    }
    return got > 0 || (got < 0 && errno == EINTR);
}

/* Valgrind speaks on the child's standard error, in lines that begin with ==. */
static void drop_tool_lines(char *text)
{
    char *to = text;
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        size_t length = end != NULL ? (size_t)(end - line) + 1 : strlen(line);
        if (strncmp(line, "==", 2) != 0) {
            memmove(to, line, length);
            to += length;
        }
        line += length;
    }
    *to = '\0';
}

void test_run_child(void (*body)(void *arg), void *arg, struct test_child *child)
{
    int output[2];
    int errors[2];
    TEST_REQUIRE(pipe(output) == 0 && pipe(errors) == 0);
    fflush(NULL);
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        become_child();
        dup2(output[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        close(output[0]);
        close(output[1]);
        close(errors[0]);
        close(errors[1]);
        body(arg);
        _exit(0);
    }
    close(output[1]);
    close(errors[1]);
    size_t output_length = 0;
    size_t errors_length = 0;
    struct pollfd ends[2] = {{output[0], POLLIN, 0}, {errors[0], POLLIN, 0}};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        if (poll(ends, 2, -1) < 0) {
            TEST_REQUIRE(errno == EINTR);
            continue;
        }
        if (ends[0].revents != 0 && !drain(output[0], child->output, sizeof child->output, &output_length)) {
            ends[0].fd = -1;
            ends[0].revents = 0;
        }
        if (ends[1].revents != 0 && !drain(errors[0], child->errors, sizeof child->errors, &errors_length)) {
            ends[1].fd = -1;
            ends[1].revents = 0;
        }
    }
    close(output[0]);
    close(errors[0]);
    child->output[output_length] = '\0';
    child->errors[errors_length] = '\0';
    if (test_on_valgrind()) {
        drop_tool_lines(child->errors);
    }
    while (waitpid(pid, &child->status, 0) < 0) {
        TEST_REQUIRE(errno == EINTR);
    }
}

void test_child_succeeds(void (*body)(void *arg), void *arg)
{
    struct test_child child;
    test_run_child(body, arg, &child);
    if (!WIFEXITED(child.status) || WEXITSTATUS(child.status) != 0) {
        fail_msg("the child ended with status %#x: %s", (unsigned)child.status, child.errors);
    }
    assert_string_equal(child.errors, "");
    assert_string_equal(child.output, "");
}

void test_child_aborts(void (*body)(void *arg), void *arg, struct test_child *child)
{
    test_run_child(body, arg, child);
    if (!WIFSIGNALED(child->status) || WTERMSIG(child->status) != SIGABRT) {
        fail_msg("the child ended with status %#x: %s", (unsigned)child->status, child->errors);
    }
    assert_string_equal(child->output, "");
}

int test_fork_status(void (*body)(void *arg), void *arg)
{
    pid_t pid = fork();
    TEST_REQUIRE(pid >= 0);
    if (pid == 0) {
        become_child();
        body(arg);
        _exit(0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        TEST_REQUIRE(errno == EINTR);
    }
    return status;
}

void test_use_directory(const char *dir, bool reserve_blocks)
{
    test_configure(LGALLOC_BACKING_FILE);
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_path(config, dir) == LGALLOC_STATUS_OK);
    lgalloc_config_reserve_blocks(config, reserve_blocks);
    test_apply(config);
}

void test_require_refused(size_t bytes, int error)
{
    lgalloc_handle handle;
    errno = 0;
    TEST_REQUIRE(lgalloc_allocate(bytes, 1, 1, NULL, NULL, &handle) == LGALLOC_STATUS_IO);
    TEST_REQUIRE(errno == error);
    TEST_REQUIRE(handle.len == 0);
    TEST_REQUIRE(test_equations(false) == NULL);
}

void test_require_works(size_t bytes)
{
    lgalloc_handle handle = test_take(bytes);
    memset(handle.ptr, 1, handle.len);
    lgalloc_deallocate(handle);
}

void test_require_quiet(bool forked)
{
    const char *left = test_not_quiet(forked);
    if (left != NULL) {
        test_fail_at(__FILE__, __LINE__, left);
    }
}

/* ---------------------------------------------------------------- what the kernel says */

size_t test_resident(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    TEST_REQUIRE(file != NULL);
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Rss: %zu kB", &kib) != 1) {
    }
    fclose(file);
    TEST_REQUIRE(kib != 0);
    return kib * KIB;
}

size_t test_mapping_count(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    TEST_REQUIRE(file != NULL);
    size_t lines = 0;
    for (int c; (c = getc(file)) != EOF;) {
        lines += c == '\n';
    }
    fclose(file);
    return lines;
}

/* Reads the header line of a mapping in maps or smaps; false for other lines. */
static bool mapping_line(const char *line, uintptr_t *start, uintptr_t *end, int *name)
{
    *name = 0;
    return sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", start, end, name) == 2;
}

size_t test_arena_mapping_count(const void *region)
{
    size_t arena = test_global().reserved_address_bytes;
    TEST_REQUIRE(arena != 0);
    uintptr_t base = (uintptr_t)region & ~(uintptr_t)(arena - 1);
    FILE *file = fopen("/proc/self/maps", "re");
    TEST_REQUIRE(file != NULL);
    char line[4608];
    size_t lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t start;
        uintptr_t end;
        int name;
        lines += mapping_line(line, &start, &end, &name) && start < base + arena && end > base;
    }
    fclose(file);
    return lines;
}

void test_mapping_name(const void *address, char *name, size_t capacity)
{
    FILE *file = fopen("/proc/self/maps", "re");
    TEST_REQUIRE(file != NULL);
    char line[4608];
    *name = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t start;
        uintptr_t end;
        int at;
        if (mapping_line(line, &start, &end, &at) && start <= (uintptr_t)address && (uintptr_t)address < end) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(name, capacity, "%s", at == 0 ? "" : line + at);
        }
    }
    fclose(file);
}

bool test_mapping_flag(const void *address, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    TEST_REQUIRE(file != NULL);
    char line[4608];
    bool here = false;
    bool found = false;
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t start;
        uintptr_t end;
        int at;
        if (strncmp(line, "VmFlags:", 8) == 0) {
            found = found || (here && strstr(line, flag) != NULL);
        } else if (mapping_line(line, &start, &end, &at)) {
            here = start <= (uintptr_t)address && (uintptr_t)address < end;
        }
    }
    fclose(file);
    return found;
}

size_t test_threads_named(const char *name)
{
    DIR *stream = opendir("/proc/self/task");
    TEST_REQUIRE(stream != NULL);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[sizeof entry->d_name + 32];
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        char comm[32];
        if (file != NULL && fgets(comm, sizeof comm, file) != NULL) {
            comm[strcspn(comm, "\n")] = '\0';
            count += strcmp(comm, name) == 0;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    closedir(stream);
    return count;
}

lgalloc_file_stats test_file(size_t bytes)
{
    lgalloc_file_stats stats[LGALLOC_SIZE_CLASS_COUNT];
    size_t count;
    TEST_REQUIRE(lgalloc_stats_files(stats, LGALLOC_SIZE_CLASS_COUNT, &count) == LGALLOC_STATUS_OK);
    TEST_REQUIRE(count <= LGALLOC_SIZE_CLASS_COUNT);
    lgalloc_file_stats none = {bytes, 0, 0};
    for (size_t i = 0; i < count; i++) {
        if (stats[i].size_class == bytes) {
            return stats[i];
        }
    }
    return none;
}
