/*
 * Contestants from shared libraries that are named on the command line: `--peer NAME=FILE`. Such a
 * library exports
 *
 *     int   lgalloc_peer_start(const char *path, void (*fail)(const char *why));
 *                                                             0, or an errno; `path` is for its files
 *     void *lgalloc_peer_allocate(size_t size);               NULL: out of memory
 *     void  lgalloc_peer_release(void *ptr, size_t size);     the size that was asked for
 *
 * so that an allocator in another language takes its turn in the same rounds as everybody else. Sizes are
 * powers of two. `fail` says why there is no figure, on any thread at any time, and doesn't return. It is
 * called by a function pointer, as others are.
 */
#define _GNU_SOURCE 1

#include "bench.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct contestant contestant; /* no name: not in use */
    const char *file;
} peers[MAX_PEERS];

/* In the child: the one peer that has started. */
static void *(*peer_allocate)(size_t);
static void (*peer_release)(void *, size_t);

static void *allocate(size_t size)
{
    return peer_allocate(size);
}

static void release(void *ptr, size_t size)
{
    peer_release(ptr, size);
}

static void fail(const char *why)
{
    give_up("%s", why);
}

static void start(unsigned index)
{
    int (*peer_start)(const char *, void (*)(const char *)) = NULL;
    void *library = dlopen(peers[index].file, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        give_up("%s", dlerror());
    void *const symbols[] = {dlsym(library, "lgalloc_peer_start"), dlsym(library, "lgalloc_peer_allocate"),
                             dlsym(library, "lgalloc_peer_release")};
    if (symbols[0] == NULL || symbols[1] == NULL || symbols[2] == NULL)
        give_up("%s: it does not export the three functions of a peer", peers[index].file);
    memcpy(&peer_start, &symbols[0], sizeof peer_start);
    memcpy(&peer_allocate, &symbols[1], sizeof peer_allocate);
    memcpy(&peer_release, &symbols[2], sizeof peer_release);
    const int error = peer_start(settings.path, fail);
    if (error != 0)
        give_up("it could not start: %s", strerror(error));
}

static void start_0(void)
{
    start(0);
}
static void start_1(void)
{
    start(1);
}
static void start_2(void)
{
    start(2);
}
static void start_3(void)
{
    start(3);
}

bool peer_add(const char *text)
{
    static void (*const starts[MAX_PEERS])(void) = {start_0, start_1, start_2, start_3};
    const char *equals = strchr(text, '=');

    if (equals == NULL || equals == text || equals[1] == '\0')
        return false;
    for (unsigned i = 0; i < MAX_PEERS; i++) {
        if (peers[i].file != NULL)
            continue;
        struct contestant *contestant = &peers[i].contestant;
        contestant->name = strndup(text, (size_t)(equals - text));
        contestant->start = starts[i];
        contestant->allocate = allocate;
        contestant->release = release;
        peers[i].file = equals + 1;
        return contestant->name != NULL;
    }
    return false;
}

const struct contestant *peer_get(unsigned index)
{
    return peers[index].file != NULL ? &peers[index].contestant : NULL;
}
