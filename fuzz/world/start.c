/* The first state of each execution. */
#include "sealed.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/init.h"
#include "base/atomic.h"
#include "base/hot_flags.h"
#include "regions/arena.h"
#include "regions/bitmap.h"
#include "regions/class.h"
#include "regions/deque.h"
#include "regions/descriptor.h"
#include "regions/thread.h"

/* The library's variables (explore.ld), and those of each thread (base.h). */
extern char __start_lg_state[], __stop_lg_state[];
extern char __start_lg_locals[], __stop_lg_locals[];

static char *saved_state, *fresh_locals;

#define WRITTEN 65536
static struct {
    char *at;
    unsigned size;
} written[WRITTEN]; /* to metadata, by atomic operations */
static unsigned written_count;

static void note_written(void *at, unsigned size)
{
    if ((char *)at >= __start_lg_state && (char *)at < __stop_lg_state)
        return;
    if (written_count == WRITTEN)
        xp_fail("world/start.c: too many writes in one execution", NULL);
    written[written_count].at = at;
    written[written_count++].size = size;
}

static void describe(const void *at, char *text, size_t size)
{
    uintptr_t a = (uintptr_t)at;
    for (unsigned c = 0; c < WORLD_CLASSES; c++) {
        const lg_descriptor *regions = lg_class_at(c)->descriptors;
        if (a >= (uintptr_t)regions && a < (uintptr_t)(regions + world_regions_of(c))) {
            size_t index = (a - (uintptr_t)regions) / sizeof(*regions);
            snprintf(text, size, "class %u region %zu %s", c, index,
                     at == &regions[index].state ? "state" : "has_blocks");
            return;
        }
        const char *words = (const char *)lg_class_at(c)->bitmap_words;
        size_t half = lg_bitmap_words(world_regions_of(c)) * sizeof(lg_a64);
        if (a >= (uintptr_t)words && a < (uintptr_t)words + 2 * half) {
            size_t offset = a - (uintptr_t)words;
            snprintf(text, size, "class %u %s bitmap word %zu", c, offset < half ? "dirty" : "clean",
                     offset % half / sizeof(lg_a64));
            return;
        }
    }
    const char *threads = lg_layout_.threads;
    if (a >= (uintptr_t)threads && a < (uintptr_t)threads + lg_layout_.threads_max * LG_THREAD_BYTES) {
        size_t id = (a - (uintptr_t)threads) / LG_THREAD_BYTES;
        const lg_thread *thread = (const lg_thread *)(const void *)(threads + id * LG_THREAD_BYTES);
        for (unsigned c = 0; c < WORLD_CLASSES; c++) {
            const lg_bin *bin = lg_bin_of((lg_thread *)(uintptr_t)thread, lg_class_at(c));
            const lg_local *local = &thread->classes[c];
            const char *what = at == &bin->deque.top      ? "top"
                               : at == &bin->deque.bottom ? "bottom"
                               : at == &bin->deque.space  ? "space"
                                                          : NULL;
            if (what != NULL) {
                snprintf(text, size, "record %zu class %u %s", id, c, what);
                return;
            }
            if (a >= (uintptr_t)local->ring && a < (uintptr_t)(local->ring + LG_DEQUE_ITEMS)) {
                snprintf(text, size, "record %zu class %u ring[%zu]", id, c,
                         (a - (uintptr_t)local->ring) / sizeof(lg_a64));
                return;
            }
        }
        snprintf(text, size, "record %zu %s+0x%zx", id, at == &thread->transit ? "transit " : "",
                 (size_t)(a - (uintptr_t)thread));
        return;
    }
    if (at == &lg_hot_flags)
        snprintf(text, size, "lg_hot_flags");
    else if (a >= (uintptr_t)__start_lg_state && a < (uintptr_t)__stop_lg_state)
        snprintf(text, size, "lg_state+0x%zx", (size_t)(a - (uintptr_t)__start_lg_state));
}

/* Between variables AddressSanitizer has put zones that memcpy() may not touch. */
__attribute__((no_sanitize("address"))) static void copy_words(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t))
        *(volatile uint64_t *)(void *)(to + i) = *(const volatile uint64_t *)(const void *)(from + i);
}

static void bring_up(void)
{
    size_t locals = (size_t)(__stop_lg_locals - __start_lg_locals);
    fresh_locals = malloc(locals);
    memcpy(fresh_locals, __start_lg_locals, locals);
    lgalloc_config *config = lgalloc_config_new();
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    XP_CHECK(lgalloc_config_with_path(config, "nowhere") == LGALLOC_STATUS_OK);
    world_apply(config);
    XP_CHECK(lg_init() == 0 && lg_layout_.arena_bytes == WORLD_ARENA);
    XP_CHECK(written_count == 0);
    size_t state = (size_t)(__stop_lg_state - __start_lg_state);
    saved_state = malloc(state);
    copy_words(saved_state, __start_lg_state, state);
    xp_describe = describe;
}

void world_reset(void)
{
    if (saved_state == NULL) {
        xp_written = note_written;
        bring_up();
    } else {
        for (unsigned i = 0; i < written_count; i++)
            memset(written[i].at, 0, written[i].size);
        world_clear_metadata();
        copy_words(__start_lg_state, saved_state, (size_t)(__stop_lg_state - __start_lg_state));
    }
    written_count = 0;
    memset(&world, 0, offsetof(__typeof__(world), files));
    world.file_count = 0;
    memset(&world.owned, 0, sizeof(world) - offsetof(__typeof__(world), owned));
    world_fault_plan = NULL;
    world_forget_sealed();
}

void world_run(xp_program *program)
{
    world_tells_readers = program->memory == XP_WEAK;
    program->reset = world_reset;
    program->locals = __start_lg_locals;
    program->locals_size = (size_t)(__stop_lg_locals - __start_lg_locals);
    if (saved_state == NULL) {
        /* The first reset brings the library up, for which there must be a program. */
        world_reset();
    }
    program->locals_fresh = fresh_locals;
}
