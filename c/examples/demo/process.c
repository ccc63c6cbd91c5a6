#define _GNU_SOURCE 1

#include "process.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The number behind a name at the beginning of a line; 0: there is none. */
static size_t number_of(const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    char line[256];
    size_t number = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), "%zu", &number) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return number;
}

/* Exact: the kernel walks the page tables. */
static size_t resident_by_walk(void)
{
    return number_of("/proc/self/smaps_rollup", "Rss:") * 1024;
}

/* Older kernels have no such file; this one may lag behind by some pages per processor. */
static size_t resident_by_counter(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %zu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t process_resident_bytes(void)
{
    const size_t bytes = resident_by_walk();

    return bytes != 0 ? bytes : resident_by_counter();
}

size_t process_most_resident_bytes(void)
{
    return number_of("/proc/self/status", "VmHWM:") * 1024;
}

void process_io(struct process_io *out_io)
{
    out_io->read = number_of("/proc/self/io", "read_bytes:");
    out_io->written = number_of("/proc/self/io", "write_bytes:");
}

void process_machine(char *text, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];
    char model[64] = "unknown processor";
    char day[16] = "";
    const time_t now = time(NULL);
    struct utsname system;
    struct tm calendar;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "model name : %63[^\n]", model) == 1)
            break;
    if (file != NULL)
        fclose(file);
    if (gmtime_r(&now, &calendar) != NULL)
        strftime(day, sizeof day, "%Y-%m-%d", &calendar);
    if (uname(&system) != 0)
        memset(&system, 0, sizeof system);
    /* Of the release digits and dots alone: what follows names whose build it is. */
    snprintf(text, size, "%s, %ld processors, Linux %.*s, %s", model, sysconf(_SC_NPROCESSORS_ONLN),
             (int)strspn(system.release, "0123456789."), system.release, day);
}
