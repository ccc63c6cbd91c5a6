/*
 * Loaded after the preload library: a dlsym that allocates before it has an answer, as C libraries' may, and a constructor
 * that allocates before the preload library's has run. What was allocated so early is used and freed when all is up.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *kept[4];
static int asked;

static void *real_dlsym(void *handle, const char *name)
{
    void *found = NULL;
    static const char *const versions[] = {"GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.27"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]) && found == NULL; i++)
        found = dlvsym(handle, name, versions[i]);
    for (int minor = 0; minor < 60 && found == NULL; minor++) { /* functions that came later */
        char version[32];
        snprintf(version, sizeof(version), "GLIBC_2.%d", minor);
        found = dlvsym(handle, name, version);
    }
    return found;
}

static void expect(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "early: %s\n", what);
        _Exit(3);
    }
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    if (asked++ == 0) {
        kept[0] = malloc(100);
        kept[1] = calloc(10, 30);
        void *aligned = NULL;
        expect(posix_memalign(&aligned, 256, 50) == 0 && (uintptr_t)aligned % 256 == 0, "posix_memalign");
        kept[2] = aligned;
        kept[3] = realloc(NULL, 10);
        strcpy(kept[3], "room");
        kept[3] = realloc(kept[3], 1000);
        expect(strcmp(kept[3], "room") == 0, "realloc keeps what is there");
        for (int i = 0; i < 300; i++)
            expect(kept[1][i] == 0, "calloc's are zeros");
        expect(malloc_usable_size(kept[0]) >= 100, "malloc_usable_size");
        memset(kept[0], 'x', 100);
        free(malloc(20));
        free(memalign(64, 20));
        free(aligned_alloc(64, 64));
    }
    return real_dlsym(handle, name);
}

__attribute__((constructor)) static void before(void)
{
    free(realloc(malloc(10), 3000000));
}

__attribute__((destructor)) static void after(void)
{
    expect(asked > 0, "nobody called dlsym");
    kept[0] = realloc(kept[0], 200);
    expect(kept[0] != NULL && kept[0][99] == 'x', "realloc keeps what was taken early");
    kept[3] = realloc(kept[3], 3000000);
    expect(kept[3] != NULL && strcmp(kept[3], "room") == 0, "realloc to a large block keeps it too");
    for (int i = 0; i < 4; i++)
        free(kept[i]);
    puts("early blocks are well");
}
