/*
 * More threads than processors allocate, fill, pass on, check and free regions, end and begin anew, flush, purge,
 * tick and change options, on the library of stress_library.c. stress_seams [SECONDS [THREADS]]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lgalloc.h"
#include "observe/verify.h"
#include "flow/worker.h"

#define KIB ((size_t)1 << 10)
#define HELD 8
#define BOX 16
#define LIVES 40 /* steps of a thread's life, times 16 */

static atomic_bool stop;
static atomic_ulong steps_done, refusals;
static const char *directory;

static pthread_mutex_t box_lock = PTHREAD_MUTEX_INITIALIZER;
static lgalloc_handle box[BOX];

static void fail(const char *what)
{
    fprintf(stderr, "stress_seams: %s\n", what);
    abort();
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Words all over the region that say whose it is; plain accesses, so that a race detector sees who shares them. */
static void fill(lgalloc_handle handle, uint64_t tag)
{
    uint64_t *words = handle.ptr;
    for (size_t i = 0; i < handle.len / sizeof(*words); i += 1024)
        words[i] = tag ^ i;
    words[1] = tag;
}

static void check(lgalloc_handle handle)
{
    const uint64_t *words = handle.ptr;
    uint64_t tag = words[1];
    for (size_t i = 0; i < handle.len / sizeof(*words); i += 1024)
        if (words[i] != (tag ^ i))
            fail("a region's contents changed while it was in use");
}

static void drop(lgalloc_handle *handle)
{
    if (handle->len == 0)
        return;
    check(*handle);
    lgalloc_deallocate(*handle);
    handle->len = 0;
}

static void exchange(lgalloc_handle *mine, unsigned at)
{
    pthread_mutex_lock(&box_lock);
    lgalloc_handle other = box[at];
    box[at] = *mine;
    pthread_mutex_unlock(&box_lock);
    *mine = other;
}

static void configure(uint64_t r)
{
    static const size_t buffers[] = {0, 64 * KIB, 256 * KIB, 4096 * KIB};
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        fail("no memory");
    switch (r % 5) {
    case 0: lgalloc_config_local_buffer_bytes(config, buffers[r >> 8 & 3]); break;
    case 1: lgalloc_config_eager_return(config, r >> 8 & 1); break;
    case 2: lgalloc_config_idle_bytes(config, (r >> 8 & 1) != 0 ? SIZE_MAX : 512 * KIB); break;
    case 3: lgalloc_config_limit_bytes(config, (r >> 8 & 1) != 0 ? 0 : 16384 * KIB); break;
    default:
        lgalloc_config_with_backing(config, (r >> 8 & 1) != 0 ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS);
        break;
    }
    if (lgalloc_set_config(config) != LGALLOC_STATUS_OK)
        fail("set_config");
    lgalloc_config_free(config);
}

static void step(lgalloc_handle *held, uint64_t *state)
{
    uint64_t r = next_random(state);
    lgalloc_handle *slot = &held[r >> 32 & (HELD - 1)];
    switch (r % 64) {
    case 0: lgalloc_thread_flush(); break;
    case 1:
        if ((r >> 40) % 8 == 0)
            (void)lgalloc_purge();
        break;
    case 2:
        if ((r >> 40) % 8 == 0)
            lg_worker_tick(NULL);
        break;
    case 3:
        if ((r >> 40) % 16 == 0)
            configure(r >> 44);
        break;
    case 4: {
        lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT];
        (void)lgalloc_stats(stats, LGALLOC_SIZE_CLASS_COUNT);
        break;
    }
    case 5:
    case 6:
    case 7:
    case 8: exchange(slot, r >> 40 & (BOX - 1)); break;
    default:
        if (slot->len != 0) {
            drop(slot);
        } else if (lgalloc_allocate(64 * KIB << (r >> 40) % 3, 1, 1, NULL, NULL, slot) == LGALLOC_STATUS_OK) {
            fill(*slot, next_random(state));
        } else {
            atomic_fetch_add(&refusals, 1);
        }
        break;
    }
}

static void *live(void *argument)
{
    uint64_t *state = argument;
    lgalloc_handle held[HELD] = {{NULL, 0}};
    for (unsigned i = 0; i < LIVES * 16; i++)
        step(held, state);
    for (unsigned i = 0; i < HELD; i++)
        drop(&held[i]);
    atomic_fetch_add(&steps_done, LIVES * 16);
    return NULL;
}

/* Lives one short life after another, each in a thread of its own. */
static void *reincarnate(void *argument)
{
    while (!atomic_load(&stop)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live, argument) != 0)
            fail("pthread_create");
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void set_up(void)
{
    lgalloc_config *config = lgalloc_config_new();
    if (config == NULL)
        fail("no memory");
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    if (lgalloc_config_with_path(config, directory) != LGALLOC_STATUS_OK ||
        lgalloc_set_config(config) != LGALLOC_STATUS_OK)
        fail("set_config");
    lgalloc_config_free(config);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 4;
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 8;
    directory = getenv("LGALLOC_TEST_DIR") != NULL ? getenv("LGALLOC_TEST_DIR") : P_tmpdir;
    set_up();
    pthread_t ids[64];
    uint64_t states[64];
    if (threads < 1 || threads > 64)
        return 2;
    for (unsigned t = 0; t < threads; t++) {
        states[t] = t * 1000003 + 17;
        if (pthread_create(&ids[t], NULL, reincarnate, &states[t]) != 0)
            fail("pthread_create");
    }
    struct timespec duration = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&duration, NULL);
    atomic_store(&stop, true);
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    for (unsigned i = 0; i < BOX; i++)
        drop(&box[i]);
    unsigned log2;
    const char *wrong = lg_verify(false, &log2);
    if (wrong != NULL)
        fail(wrong);
    lgalloc_thread_flush();
    (void)lgalloc_purge();
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    if (global.area_bytes != 0 || global.in_use_bytes != 0)
        fail("an area is left though nothing is in use");
    printf("%lu steps, %lu refused\n", atomic_load(&steps_done), atomic_load(&refusals));
    return 0;
}
