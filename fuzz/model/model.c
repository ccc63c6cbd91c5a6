/* From begin to end: which call comes next. */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "flow/worker.h"
#include "observe/verify.h"

#include "regions.h"
#include "slots.h"

/* What no argument may break. */
static void null_arguments(void)
{
    lgalloc_handle handle = {NULL, 0};
    lgalloc_region region;
    FUZZ_CHECK(lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_allocate_zeroed(64 * KIB, 1, 1, NULL, NULL, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_region_new_mmap(1, 64 * KIB, 1, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_region_new_heap(1, 1, 1, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_region_new_auto(1, 1, 1, NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_region_new_empty(1, 1, NULL);
    lgalloc_deallocate(handle);
    lgalloc_region_drop(NULL);
    lgalloc_region_clear(NULL);
    FUZZ_CHECK(lgalloc_region_set_len(NULL, 0) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_region_extend_from_slice(NULL, &handle, 1) == LGALLOC_STATUS_INVALID_ARGUMENT);
    size_t room = 7;
    FUZZ_CHECK(lgalloc_region_spare(NULL, &room) == NULL && room == 0);
    FUZZ_CHECK(lgalloc_region_capacity(NULL) == 0 && lgalloc_region_len(NULL) == 0);
    FUZZ_CHECK(lgalloc_region_is_empty(NULL) && !lgalloc_region_is_mapped(NULL));
    FUZZ_CHECK(lgalloc_region_as_ptr(NULL) == NULL && lgalloc_region_as_mut_ptr(NULL) == NULL);
    FUZZ_CHECK(lgalloc_region_handle(NULL).len == 0 && lgalloc_region_handle(NULL).ptr != NULL);
    lgalloc_region_new_empty(0, 8, &region);
    FUZZ_CHECK(region.capacity == SIZE_MAX && lgalloc_region_extend_from_slice(&region, NULL, 5) == LGALLOC_STATUS_OK);
    FUZZ_CHECK(region.len == 5);
    lgalloc_region_drop(&region);
    FUZZ_CHECK(lgalloc_set_config(NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_config_with_path(NULL, "x") == LGALLOC_STATUS_INVALID_ARGUMENT);
    FUZZ_CHECK(lgalloc_config_from_env(NULL) == LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_config_free(NULL);
    lgalloc_config_enable(NULL);
    FUZZ_CHECK(lgalloc_discard(handle, 0, 0) == LGALLOC_STATUS_OK);
    FUZZ_CHECK(lgalloc_populate(handle, 0, 1) == LGALLOC_STATUS_OUT_OF_BOUNDS);
    FUZZ_CHECK(lgalloc_version() == LGALLOC_VERSION);
    for (int i = -1; i < 10; i++)
        FUZZ_CHECK(lgalloc_status_str(i)[0] != 0);
}

static void purge(model *m)
{
    lgalloc_size_class_stats before[LGALLOC_SIZE_CLASS_COUNT], after[LGALLOC_SIZE_CLASS_COUNT];
    (void)lgalloc_stats(before, LGALLOC_SIZE_CLASS_COUNT);
    size_t bytes = lgalloc_purge();
    (void)lgalloc_stats(after, LGALLOC_SIZE_CLASS_COUNT);
    size_t dirty = 0, left = 0;
    for (unsigned c = 0; c < LGALLOC_SIZE_CLASS_COUNT; c++) {
        dirty += (before[c].thread_regions + before[c].global_regions) * before[c].size_class;
        left += (after[c].thread_regions + after[c].global_regions) * after[c].size_class;
        FUZZ_CHECK(after[c].thread_regions == 0);
        if (!m->lenient) {
            FUZZ_CHECK(after[c].areas == 0 || m->in_use[c] != 0);
            FUZZ_CHECK(after[c].global_regions == 0);
        }
    }
    /* What was in a cache may have been clean already. */
    FUZZ_CHECK(bytes <= dirty - left);
}

static void handle_step(model *m, slot *s, input *in)
{
    switch (input_below(in, 8)) {
    case 0:
    case 1: model_write(m, s, in); break;
    case 2: model_hint(m, s, in); break;
    case 3: model_discard(m, s, in); break;
    case 4: model_misuse(m, s, in); break;
    case 5: model_resize(m, s, in); break;
    default: model_free(m, s); break;
    }
}

void model_step(model *m, input *in)
{
    unsigned what = input_below(in, 16);
    slot *s = model_slot(m, in);
    switch (what) {
    case 0:
    case 1: model_allocate(m, in, false); break;
    case 2: model_allocate(m, in, true); break;
    case 3:
    case 4: model_region_new(m, in); break;
    case 5: lgalloc_thread_flush(); break;
    case 6: purge(m); break;
    case 7: lg_worker_tick(NULL); break;
    case 8: model_configure(m, in); break;
    case 9: model_statistics(m, in); break;
    case 10: null_arguments(); break;
    default:
        if (s->kind == SLOT_HANDLE)
            handle_step(m, s, in);
        else if (s->kind == SLOT_REGION)
            model_region_step(m, s, in);
        break;
    }
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        if (m->slots[i].kind == SLOT_HANDLE)
            model_check_words(&m->slots[i]);
    }
    model_check(m);
}

/* ---- begin and end */

static unsigned reservations;

/* The first reservations are refused, so that the arena gets small: verifying is quick, and classes run out. */
static int refuse_large_reservations(enum lg_system_call call)
{
    return call == LG_SYS_RESERVE && reservations++ < 8 ? ENOMEM : 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static char directory[256];
    const char *given = getenv("LGALLOC_TEST_DIR");
    if (given == NULL)
        given = getenv("TMPDIR");
    if (given == NULL)
        given = P_tmpdir;
    FUZZ_CHECK(strlen(given) < sizeof(directory));
    strcpy(directory, given);
    model_directory = directory;

    lg_os_fault = refuse_large_reservations;
    model m;
    memset(&m, 0, sizeof(m));
    model_set_defaults(&m);
    lgalloc_handle handle;
    FUZZ_CHECK(lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &handle) == LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    (void)lgalloc_purge();
    lg_os_fault = NULL;
    return 0;
}

void model_begin(model *m, bool lenient)
{
    memset(m, 0, sizeof(*m));
    m->lenient = lenient;
    model_set_defaults(m);
    (void)lgalloc_stats(m->last, LGALLOC_SIZE_CLASS_COUNT);
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    m->heap_fallbacks = global.heap_fallbacks;
}

void model_end(model *m)
{
    m->lenient = false;
    for (unsigned i = 0; i < MODEL_SLOTS; i++) {
        if (m->slots[i].kind == SLOT_HANDLE)
            model_free(m, &m->slots[i]);
        else if (m->slots[i].kind == SLOT_REGION)
            model_region_drop(m, &m->slots[i]);
    }
    model_set_defaults(m);
    model_check(m);
    /* Makes clean what is in no cache; then no clean page may be in memory. Files are left out: reading next to
     * a clean region brings pages of it into the page cache. */
    lg_worker_tick(NULL);
    size_t files = 0;
    FUZZ_CHECK(lgalloc_stats_files(NULL, 0, &files) == LGALLOC_STATUS_OK);
    unsigned c;
    lgalloc_global_stats global;
    lgalloc_stats_global(&global);
    const char *wrong = lg_verify(files == 0 && global.area_bytes <= 256 * MIB, &c);
    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, "lg_verify()", wrong);
    lgalloc_thread_flush();
    (void)lgalloc_purge();
    model_check(m);
    for (c = 0; c < LGALLOC_SIZE_CLASS_COUNT; c++)
        FUZZ_CHECK(m->last[c].areas == 0 && m->last[c].area_total_bytes == 0);
}
