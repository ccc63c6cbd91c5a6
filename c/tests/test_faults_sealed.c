/*
 * Every system call that sealed regions need fails: the n-th of its kind, for n from 1 on until there are fewer, once and
 * from then on. What comes of it is a status, nothing that was sealed is lost, and when the failures end all is as before.
 */

/* Under valgrind it takes minutes and finds what the sanitizers find. ctest-labels: novalgrind disk */

#include "internal.h"

#include "store/spill.h"

#include <string.h>

enum { PIECES = 6 };

#define PIECE (2 * MIB)
#define BUDGET (4 * PIECE)

struct piece {
    lgalloc_handle handle;
    bool sealed;
};

static struct piece pieces[PIECES];

static void configure(size_t limit, bool spills)
{
    lgalloc_config *config = test_config();
    lgalloc_config_limit_bytes(config, limit);
    lgalloc_config_spill_threads(config, 0);
    TEST_REQUIRE(lgalloc_config_with_spill(config, spills ? test_dir() : NULL, 0) == LGALLOC_STATUS_OK);
    test_apply(config);
}

static bool refused(lgalloc_status status)
{
    TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_IO || status == LGALLOC_STATUS_OUT_OF_MEMORY);
    return status != LGALLOC_STATUS_OK;
}

static void require_marked(size_t i)
{
    TEST_REQUIRE(test_marked(pieces[i].handle, i));
}

static void look(size_t i)
{
    if (pieces[i].sealed && !refused(lgalloc_pin(pieces[i].handle))) {
        require_marked(i);
        lgalloc_unpin(pieces[i].handle);
    }
}

/* More than the budget, so that each comes and goes some times. */
static void scenario(void)
{
    for (size_t i = 0; i < PIECES; i++) {
        if (refused(lgalloc_allocate(PIECE, 1, 1, NULL, NULL, &pieces[i].handle))) {
            continue;
        }
        test_mark(pieces[i].handle, i);
        pieces[i].sealed = !refused(lgalloc_seal(pieces[i].handle, PIECE));
        if (!pieces[i].sealed) {
            require_marked(i);
        }
    }
    for (size_t i = 0; i < PIECES; i++) {
        struct piece *piece = &pieces[i];
        if (piece->handle.len == 0 || !piece->sealed) {
            continue;
        }
        look(i);
        uint64_t part[2] = {0, 0};
        (void)refused(lgalloc_read(piece->handle, 8 * i, sizeof part, part));
        (void)refused(lgalloc_evict(piece->handle));
        look(i);
        if (i % 3 == 2 && !refused(lgalloc_unseal(piece->handle))) {
            require_marked(i);
            test_mark(piece->handle, i);
            piece->sealed = !refused(lgalloc_seal(piece->handle, PIECE));
        }
        look(PIECES - 1 - i);
    }
    (void)lgalloc_purge();
}

static void look_at_all_and_free(void)
{
    unit_fault_off();
    unit_require_sound(false);
    configure(0, true);
    for (size_t i = 0; i < PIECES; i++) {
        struct piece *piece = &pieces[i];
        if (piece->handle.len == 0) {
            continue;
        }
        if (piece->sealed) {
            TEST_REQUIRE(lgalloc_pin(piece->handle) == LGALLOC_STATUS_OK);
            require_marked(i);
            lgalloc_unpin(piece->handle);
        } else {
            require_marked(i);
        }
        lgalloc_deallocate(piece->handle);
    }
    memset(pieces, 0, sizeof pieces);
    (void)lgalloc_purge();
    lgalloc_global_stats now = test_global();
    TEST_REQUIRE(now.in_use_bytes == 0 && now.evicted_bytes == 0 && now.sealed_bytes == 0);
    TEST_REQUIRE(now.spill_file_bytes == 0 && now.area_bytes == 0 && lg_charged() == 0);
    unit_require_sound(true);
}

static const struct {
    const char *name;
    enum lg_system_call call;
} calls[] = {
#define CALL_NAMED(name)     \
    {                        \
#name, LG_SYS_##name \
    }
    CALL_NAMED(OPEN),    CALL_NAMED(IDENTIFY), CALL_NAMED(ON_DISK),  CALL_NAMED(DIRECT),         CALL_NAMED(HOLD),
    CALL_NAMED(RESERVE), CALL_NAMED(COMMIT),   CALL_NAMED(ALLOCATE), CALL_NAMED(WRITE),          CALL_NAMED(READ),
    CALL_NAMED(PUNCH),   CALL_NAMED(GUARD),    CALL_NAMED(UNGUARD),  CALL_NAMED(ADVISE_DISCARD), CALL_NAMED(WRITE_BACK),
#undef CALL_NAMED
};

static void every_call_fails(void **state)
{
    static const int errors[] = {EIO, ENOSPC, ENOMEM, EINVAL};
    unit_fault_off();
    unit_fault_install();
    unit_configure(LGALLOC_BACKING_ANONYMOUS);
    if (!unit_can_spill()) {
        skip();
    }
    for (size_t c = 0; c < TEST_COUNT(calls); c++) {
        for (size_t e = 0; e < test_scale(TEST_COUNT(errors), 1); e++) {
            bool hit = true;
            for (long skip = 0; hit; skip += 1 + skip / 4) {
                for (int times = 0; times < 2; times++) {
                    configure(BUDGET, true);
                    unit_fault_arm((uint64_t)1 << calls[c].call, skip, times == 0 ? 1 : UNIT_FOREVER, errors[e]);
                    scenario();
                    hit = unit_fault_hits((uint64_t)1 << calls[c].call) != 0;
                    look_at_all_and_free();
                }
            }
        }
    }
    configure(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
