/*
 * What the figures were measured on.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include "measure.h"

#include "lgalloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static void first_line(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");

    snprintf(text, size, "unknown");
    if (file == NULL)
        return;
    if (fgets(text, (int)size, file) != NULL)
        text[strcspn(text, "\n")] = '\0';
    fclose(file);
}

static void processor(char *text, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(text, size, "unknown");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, size, "%s", colon + 2);
        break;
    }
    fclose(file);
}

static void file_system(const char *path, char *text, size_t size)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0xef53, "ext4"},          {0x01021994, "tmpfs"}, {0x58465342, "xfs"},  {0x9123683e, "btrfs"},
        {0x794c7630, "overlayfs"}, {0x6969, "nfs"},       {0xf2f52010, "f2fs"}, {0x2fc12fc1, "zfs"},
    };
    struct statfs status;

    if (path == NULL || statfs(path, &status) != 0) {
        snprintf(text, size, "none");
        return;
    }
    const double free_gib = (double)status.f_bavail * (double)status.f_bsize / (double)GIB;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((unsigned long)status.f_type == known[i].magic) {
            snprintf(text, size, "%s, %.0f GiB free", known[i].name, free_gib);
            return;
        }
    snprintf(text, size, "type %#lx, %.0f GiB free", (unsigned long)status.f_type, free_gib);
}

static struct fact *fact(struct fact *facts, size_t *count, size_t capacity, const char *name)
{
    static struct fact beyond; /* a table that is too small loses facts, not memory */
    struct fact *found = *count < capacity ? &facts[(*count)++] : &beyond;

    found->name = name;
    found->text[0] = '\0';
    return found;
}

/* A child starts the contestant and sends its version back as a note. */
static void run_version(const struct workload *workload, const struct contestant *contestant, struct sample *out)
{
    (void)workload;
    snprintf(out->note, sizeof out->note, "loaded");
    if (contestant->version != NULL)
        contestant->version(out->note, sizeof out->note);
}

static size_t gather(struct fact *out_facts, size_t capacity)
{
    static const struct workload asking = {.name = "version", .run = run_version};
    static const unsigned asked[] = {LGALLOC_FILE, GLIBC,          JEMALLOC,       MIMALLOC, TCMALLOC,
                                     PEER_FIRST,   PEER_FIRST + 1, PEER_FIRST + 2, PEER_LAST};
    struct utsname system;
    struct fact *next;
    size_t count = 0;

    next = fact(out_facts, &count, capacity, "processor");
    processor(next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "processors");
    snprintf(next->text, sizeof next->text, "%u online", settings.processors);
    next = fact(out_facts, &count, capacity, "memory");
    snprintf(next->text, sizeof next->text, "%.1f GiB, %.1f GiB available",
             (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (double)GIB,
             (double)available_memory() / (double)GIB);
    next = fact(out_facts, &count, capacity, "load before");
    first_line("/proc/loadavg", next->text, sizeof next->text);
    next->text[strcspn(next->text, " ")] = '\0'; /* of the last minute */
    next = fact(out_facts, &count, capacity, "kernel");
    if (uname(&system) == 0)
        /* Digits and dots alone: what follows names whose build it is. */
        snprintf(next->text, sizeof next->text, "%.*s %.60s", (int)strspn(system.release, "0123456789."),
                 system.release, system.machine);
    next = fact(out_facts, &count, capacity, "huge pages");
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "huge pages, defrag");
    first_line("/sys/kernel/mm/transparent_hugepage/defrag", next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "huge pages, tmpfs");
    first_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "overcommit");
    first_line("/proc/sys/vm/overcommit_memory", next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "working directory");
    file_system(settings.path, next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "tmpfs");
    file_system(settings.tmpfs, next->text, sizeof next->text);
    next = fact(out_facts, &count, capacity, "compiler");
    snprintf(next->text, sizeof next->text, "%s", __VERSION__);
    next = fact(out_facts, &count, capacity, "large region");
    snprintf(next->text, sizeof next->text, "%zu MiB", settings.touch_bytes / MIB);
    next = fact(out_facts, &count, capacity, "very many regions");
    snprintf(next->text, sizeof next->text, "%zu", settings.million);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const struct contestant *contestant = contestant_get(asked[i]);
        struct sample sample;
        if (contestant == NULL)
            continue;
        run_child(&asking, contestant, &sample);
        next = fact(out_facts, &count, capacity, asked[i] == LGALLOC_FILE ? "lgalloc" : contestant->name);
        snprintf(next->text, sizeof next->text, sample.ok ? "%s" : "not measured: %.140s", sample.note);
    }
    return count;
}

size_t machine_facts(struct fact *out_facts, size_t capacity)
{
    static struct fact facts[MAX_FACTS];
    static size_t count; /* asked once: starting every contestant takes a moment */

    if (count == 0)
        count = gather(facts, MAX_FACTS);
    const size_t copied = count < capacity ? count : capacity;
    memcpy(out_facts, facts, copied * sizeof *facts);
    return copied;
}

void machine_line(char *text, size_t size)
{
    struct utsname system;
    char model[160];
    char date[16] = "";
    const time_t now = time(NULL);
    struct tm calendar;

    processor(model, sizeof model);
    if (gmtime_r(&now, &calendar) != NULL)
        strftime(date, sizeof date, "%Y-%m-%d", &calendar);
    if (uname(&system) != 0)
        memset(&system, 0, sizeof system);
    snprintf(text, size, "%.60s, %u processors, Linux %.*s, %s%s", model, settings.processors,
             (int)strspn(system.release, "0123456789."), system.release, date, settings.quick ? ", --quick" : "");
}
