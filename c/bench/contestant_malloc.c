/*
 * Allocators of the malloc family: the one in libc, and three that are loaded beside it. They are
 * opened with dlopen(), so that none takes the place of another.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* A function's address out of what dlsym() gives, without a cast that C does not know. */
static void symbol(void *library, const char *name, void *out_function, size_t size)
{
    void *address = dlsym(library, name);

    if (address == NULL)
        give_up("it has no %s", name);
    memcpy(out_function, &address, size);
}

/* Tries the names in turn; NULL ends them. */
static void *library(const char *const *names)
{
    for (const char *const *name = names; *name != NULL; name++) {
        void *found = dlopen(*name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
        if (found != NULL)
            return found;
    }
    give_up("not installed: %s", dlerror());
}

/* ---------------------------------------------------------------- glibc */

static void glibc_release(void *ptr, size_t size)
{
    (void)size;
    free(ptr);
}

static void glibc_trim(void)
{
    malloc_trim(0);
}

static void glibc_version(char *text, size_t size)
{
    snprintf(text, size, "%s", gnu_get_libc_version());
}

/* ---------------------------------------------------------------- jemalloc */

static void *(*je_malloc)(size_t);
static void (*je_free)(void *);
static int (*je_mallctl)(const char *, void *, size_t *, void *, size_t);

static void je_start(void)
{
    static const char *const names[] = {"libjemalloc.so.2", "libjemalloc.so.1", NULL};
    void *found = library(names);

    symbol(found, "malloc", &je_malloc, sizeof je_malloc);
    symbol(found, "free", &je_free, sizeof je_free);
    symbol(found, "mallctl", &je_mallctl, sizeof je_mallctl);
}

static void *je_allocate(size_t size)
{
    return je_malloc(size);
}

static void je_release(void *ptr, size_t size)
{
    (void)size;
    je_free(ptr);
}

static void je_trim(void)
{
    je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    je_mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* MALLCTL_ARENAS_ALL */
}

static void je_version(char *text, size_t size)
{
    const char *version = "?";
    size_t length = sizeof version;

    je_start();
    je_mallctl("version", (void *)&version, &length, NULL, 0);
    snprintf(text, size, "%s", version);
}

/* ---------------------------------------------------------------- mimalloc */

static void *(*mi_malloc)(size_t);
static void (*mi_free)(void *);
static void (*mi_collect)(bool);
static int (*mi_version)(void);

static void mi_start(void)
{
    static const char *const names[] = {"libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so.3", "libmimalloc.so",
                                        NULL};
    void *found = library(names);

    symbol(found, "mi_malloc", &mi_malloc, sizeof mi_malloc);
    symbol(found, "mi_free", &mi_free, sizeof mi_free);
    symbol(found, "mi_collect", &mi_collect, sizeof mi_collect);
    symbol(found, "mi_version", &mi_version, sizeof mi_version);
}

static void *mi_allocate(size_t size)
{
    return mi_malloc(size);
}

static void mi_release(void *ptr, size_t size)
{
    (void)size;
    mi_free(ptr);
}

static void mi_trim(void)
{
    mi_collect(true);
}

static void mi_version_text(char *text, size_t size)
{
    mi_start();
    const int number = mi_version();
    snprintf(text, size, "%d.%d.%d", number / 100, number / 10 % 10, number % 10);
}

/* ---------------------------------------------------------------- tcmalloc */

static void *(*tc_malloc)(size_t);
static void (*tc_free)(void *);
static void (*tc_release_memory)(void);
static const char *(*tc_version)(int *, int *, const char **);

static void tc_start(void)
{
    static const char *const names[] = {"libtcmalloc_minimal.so.4", "libtcmalloc_minimal.so", "libtcmalloc.so.4", NULL};
    void *found = library(names);

    symbol(found, "tc_malloc", &tc_malloc, sizeof tc_malloc);
    symbol(found, "tc_free", &tc_free, sizeof tc_free);
    symbol(found, "tc_version", &tc_version, sizeof tc_version);
    symbol(found, "MallocExtension_ReleaseFreeMemory", &tc_release_memory, sizeof tc_release_memory);
}

static void *tc_allocate(size_t size)
{
    return tc_malloc(size);
}

static void tc_release(void *ptr, size_t size)
{
    (void)size;
    tc_free(ptr);
}

static void tc_trim(void)
{
    tc_release_memory();
}

static void tc_version_text(char *text, size_t size)
{
    int major = 0;
    int minor = 0;
    const char *patch = "";

    tc_start();
    tc_version(&major, &minor, &patch);
    snprintf(text, size, "gperftools %d.%d%s", major, minor, patch != NULL ? patch : "");
}

const struct contestant malloc_contestants[5] = {
    [GLIBC - GLIBC] = {"glibc malloc", NULL, malloc, glibc_release, glibc_trim, NULL, glibc_version},
    [JEMALLOC - GLIBC] = {"jemalloc", je_start, je_allocate, je_release, je_trim, NULL, je_version},
    [MIMALLOC - GLIBC] = {"mimalloc", mi_start, mi_allocate, mi_release, mi_trim, NULL, mi_version_text},
    [TCMALLOC - GLIBC] = {"tcmalloc", tc_start, tc_allocate, tc_release, tc_trim, NULL, tc_version_text},
    /* Whose realloc is a copy: see work_vector.c. */
    [GLIBC_COPIED - GLIBC] = {"glibc, copied", NULL, malloc, glibc_release, glibc_trim, NULL, NULL},
};
