#define _GNU_SOURCE 1

#include "room.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TMPFS_FILES = 0x01021994 };

/* The number behind `name` at the beginning of a line; with "" the file's first. False: there is none, as with "max". */
static bool number_in(const char *path, const char *name, size_t *out_number)
{
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = false;

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            found = sscanf(line + strlen(name), "%zu", out_number) == 1;
    fclose(file);
    return found;
}

/* ---------------------------------------------------------------- cgroups */

/* The names that a version of cgroups has for the same. */
struct controller {
    const char *limit;
    const char *usage;
    const char *statistics[2]; /* files that are cached, which go when memory is needed */
};

static const struct controller version_1 = {
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file ", "total_active_file "}};
static const struct controller version_2 = {"memory.max", "memory.current", {"inactive_file ", "active_file "}};

static bool cgroup_number(const char *directory, const char *file, const char *name, size_t *out_number)
{
    char path[4096];

    const int length = snprintf(path, sizeof path, "%s/%s", directory, file);
    return length > 0 && (size_t)length < sizeof path && number_in(path, name, out_number);
}

static void bound_by_directory(const char *directory, const struct controller *controller, struct room *room)
{
    size_t limit = 0;
    size_t usage = 0;

    if (!cgroup_number(directory, controller->limit, "", &limit) ||
        !cgroup_number(directory, controller->usage, "", &usage))
        return;
    for (int i = 0; i < 2; i++) {
        size_t cached = 0;
        if (cgroup_number(directory, "memory.stat", controller->statistics[i], &cached))
            usage -= cached < usage ? cached : usage;
    }
    const size_t left = usage < limit ? limit - usage : 0;
    if (left >= room->bytes)
        return;
    room->bytes = left;
    snprintf(room->source, sizeof room->source, "left under %.100s/%s", directory, controller->limit);
}

/* A cgroup and all that it is in: each may have a limit. A container may see its own as the root. */
static void bound_by_cgroup(const char *mount, const char *cgroup, const struct controller *controller,
                            struct room *room)
{
    char directory[4096];

    const int length = snprintf(directory, sizeof directory, "%s%s", mount, cgroup);
    if (length < 0 || (size_t)length >= sizeof directory)
        return;
    for (;;) {
        bound_by_directory(directory, controller, room);
        char *const slash = strrchr(directory, '/');
        if (strlen(directory) <= strlen(mount) || slash == NULL)
            break;
        *slash = '\0';
    }
}

void room_memory(struct room *out_room)
{
    FILE *cgroups = fopen("/proc/self/cgroup", "re");
    char line[4096];
    size_t kilobytes = 0;

    out_room->bytes = SIZE_MAX;
    if (number_in("/proc/meminfo", "MemAvailable:", &kilobytes))
        out_room->bytes = kilobytes * 1024;
    snprintf(out_room->source, sizeof out_room->source, "available on this machine");
    while (cgroups != NULL && fgets(line, sizeof line, cgroups) != NULL) {
        /* NUMBER:CONTROLLERS:PATH; version 2 names no controllers. */
        char *const names = strchr(line, ':');
        char *const path = names != NULL ? strchr(names + 1, ':') : NULL;
        if (path == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        *path = '\0';
        if (names[1] == '\0') {
            bound_by_cgroup("/sys/fs/cgroup", path + 1, &version_2, out_room);
            bound_by_cgroup("/sys/fs/cgroup/unified", path + 1, &version_2, out_room);
        } else if (strcmp(names + 1, "memory") == 0) {
            bound_by_cgroup("/sys/fs/cgroup/memory", path + 1, &version_1, out_room);
        }
    }
    if (cgroups != NULL)
        fclose(cgroups);
}

/* ---------------------------------------------------------------- the others */

void room_addresses(struct room *out_room)
{
    struct rlimit limit;
    size_t kilobytes = 0;

    out_room->bytes = SIZE_MAX;
    snprintf(out_room->source, sizeof out_room->source, "left of RLIMIT_AS (ulimit -v)");
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    number_in("/proc/self/status", "VmSize:", &kilobytes);
    out_room->bytes = (size_t)limit.rlim_cur > kilobytes * 1024 ? (size_t)limit.rlim_cur - kilobytes * 1024 : 0;
}

int room_disk(const char *path, struct room *out_room, bool *out_in_memory)
{
    struct statfs system;
    struct stat status;

    if (stat(path, &status) != 0)
        return errno;
    if (!S_ISDIR(status.st_mode))
        return ENOTDIR;
    if (access(path, W_OK | X_OK) != 0 || statfs(path, &system) != 0)
        return errno;
    out_room->bytes = SIZE_MAX;
    if (!__builtin_mul_overflow((size_t)system.f_bavail, (size_t)system.f_bsize, &out_room->bytes))
        snprintf(out_room->source, sizeof out_room->source, "free in '%.120s'", path);
    *out_in_memory = system.f_type == TMPFS_FILES;
    return 0;
}
