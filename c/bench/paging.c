#define _GNU_SOURCE 1

#include "paging.h"

#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---------------------------------------------------------------- as much memory */

static char group[PATH_MAX];  /* the cgroup that was made */
static char around[PATH_MAX]; /* the one that the process was in */

static bool write_text(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    const bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return written;
}

static bool write_in_group(const char *directory, const char *name, const char *text)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return false;
    const bool written = write_text(path, text);
    free(path);
    return written;
}

/* The memory cgroup of this process: `around`, and the name of its limit. */
static const char *find_cgroup(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    const char *limit = NULL;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *const memory = strstr(line, ":memory:");
        if (memory != NULL) {
            snprintf(around, sizeof around, "/sys/fs/cgroup/memory%.3000s", memory + strlen(":memory:"));
            limit = "memory.limit_in_bytes";
            break;
        }
        if (strncmp(line, "0::", 3) == 0) {
            snprintf(around, sizeof around, "/sys/fs/cgroup%.3000s", line + 3);
            limit = "memory.max";
        }
    }
    if (file != NULL)
        fclose(file);
    return limit;
}

void paging_limit(size_t bytes)
{
    const char *const limit = find_cgroup();
    char text[32];

    if (limit == NULL)
        give_up("no memory cgroup");
    snprintf(group, sizeof group, "%.3500s/lgalloc-bench.%ld", around, (long)getpid());
    snprintf(text, sizeof text, "%zu", bytes);
    if (mkdir(group, 0700) != 0)
        give_up("a memory cgroup can't be made: %s", strerror(errno));
    if (!write_in_group(group, limit, text) || !write_in_group(group, "cgroup.procs", "0")) {
        rmdir(group);
        give_up("a memory cgroup can't be used here");
    }
}

void paging_unlimit(void)
{
    write_in_group(around, "cgroup.procs", "0");
    rmdir(group);
}

/* ---------------------------------------------------------------- files */

int paging_file(size_t bytes, bool filled)
{
    const int fd = open(settings.path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
        give_up("a file in %s: %s", settings.path, strerror(errno));
    uint64_t *buffer = filled ? malloc(2 * MIB) : NULL;
    uint64_t random = 88172645463325252u;
    for (size_t offset = 0; buffer != NULL && offset < bytes; offset += 2 * MIB) {
        for (size_t i = 0; i < 2 * MIB / sizeof *buffer; i++)
            buffer[i] = random += UINT64_C(0x9e3779b97f4a7c15);
        if (pwrite(fd, buffer, 2 * MIB, (off_t)offset) != (ssize_t)(2 * MIB))
            give_up("writing to %s: %s", settings.path, strerror(errno));
    }
    free(buffer);
    if (fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        give_up("a file in %s: %s", settings.path, strerror(errno));
    return fd;
}

/* A file keeps the readahead that its device had when it was opened. So the device has another only for that moment. */
static int open_with(const char *path, const char *setting, unsigned readahead_kib)
{
    char before[32] = "", wanted[32];
    FILE *file = fopen(setting, "re");

    if (file == NULL || fgets(before, sizeof before, file) == NULL)
        give_up("the readahead can't be read");
    fclose(file);
    snprintf(wanted, sizeof wanted, "%u\n", readahead_kib);
    if (!write_text(setting, wanted))
        give_up("the readahead can't be set");
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    write_text(setting, before);
    return fd;
}

int paging_reopen(int fd, unsigned readahead_kib)
{
    char path[64], setting[64];
    struct stat status;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) != 0)
        give_up("fstat: %s", strerror(errno));
    snprintf(setting, sizeof setting, "/sys/class/bdi/%u:%u/read_ahead_kb", major(status.st_dev), minor(status.st_dev));
    const int opened = readahead_kib == 0 ? open(path, O_RDWR | O_CLOEXEC) : open_with(path, setting, readahead_kib);
    if (opened < 0)
        give_up("opening a file again: %s", strerror(errno));
    return opened;
}
