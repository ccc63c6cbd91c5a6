/* ctest-labels: novalgrind disk */
/* Sealed regions: what is final, may be evicted, and comes back, below a bound that is less than the data. */

#define _GNU_SOURCE

#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE (2 * MIB)

/* Whether there is a disk to spill to. */
static bool spill(size_t limit, size_t disk)
{
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, test_dir(), disk), LGALLOC_STATUS_OK);
    lgalloc_config_spill_free_percent(config, 0); /* nobody evicts before there is need */
    lgalloc_config_limit_bytes(config, limit);
    lgalloc_config_local_buffer_bytes(config, PIECE);
    lgalloc_status status = lgalloc_set_config(config);
    if (status != LGALLOC_STATUS_OK) {
        assert_int_equal(errno, EMEDIUMTYPE);
    }
    lgalloc_config_free(config);
    return status == LGALLOC_STATUS_OK;
}

#define SPILL_OR_SKIP(limit, disk)                        \
    do {                                                  \
        if (!spill(limit, disk)) {                        \
            TEST_SKIP("the test directory is in memory"); \
        }                                                 \
    } while (0)

static int teardown(void **state)
{
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, NULL, 0), LGALLOC_STATUS_OK);
    lgalloc_config_limit_bytes(config, 0);
    test_apply(config);
    int failed = test_teardown_quiet(state);
    assert_int_equal(test_global().spill_file_bytes, 0);
    return failed;
}

static lgalloc_handle sealed(size_t bytes, uint64_t seed)
{
    lgalloc_handle handle = test_take(bytes);
    test_mark(handle, seed);
    assert_int_equal(lgalloc_seal(handle, handle.len), LGALLOC_STATUS_OK);
    return handle;
}

static void assert_pinned_holds(lgalloc_handle handle, uint64_t seed)
{
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
    assert_true(lgalloc_is_resident(handle));
    assert_true(test_marked(handle, seed));
    lgalloc_unpin(handle);
}

/* ---------------------------------------------------------------- without a disk */

static void sealing_and_pinning(void **state)
{
    (void)state;
    for (size_t bytes = 64 * KIB; bytes <= 64 * MIB; bytes *= 8) {
        lgalloc_handle handle = test_take(bytes);
        test_mark(handle, bytes);
        assert_true(lgalloc_is_resident(handle));
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_try_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_unseal(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_seal(handle, handle.len + 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
        assert_int_equal(lgalloc_seal((lgalloc_handle){handle.ptr, 2 * handle.len}, 0),
                         LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(test_global().sealed_bytes, 0);

        assert_int_equal(lgalloc_seal(handle, handle.len), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_seal(handle, handle.len), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(test_global().sealed_bytes, bytes);
        assert_int_equal(test_global().in_use_bytes, bytes);
        assert_int_equal(lgalloc_usable_size(handle.ptr), bytes);
        assert_int_equal(lgalloc_usable_size((char *)handle.ptr + 1), 0);
        assert_int_equal(lgalloc_any_usable_size(handle.ptr), bytes);
        assert_true(lgalloc_owns(handle.ptr));
        assert_int_equal(lgalloc_pin((lgalloc_handle){handle.ptr, 2 * handle.len}), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_pin((lgalloc_handle){(char *)handle.ptr + 1, handle.len}),
                         LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_pin((lgalloc_handle){(char *)handle.ptr - 1, handle.len}),
                         LGALLOC_STATUS_INVALID_ARGUMENT);

        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_try_pin(handle), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_unseal(handle), LGALLOC_STATUS_BUSY);
        lgalloc_unpin(handle);
        assert_int_equal(lgalloc_unseal(handle), LGALLOC_STATUS_BUSY);
        lgalloc_unpin(handle);
        assert_true(test_marked(handle, bytes));
        test_assert_equations();

        errno = 0;
        lgalloc_status status = lgalloc_evict(handle);
        if (bytes < PIECE) {
            assert_int_equal(status, LGALLOC_STATUS_INVALID_SIZE_CLASS);
        } else {
            assert_int_equal(status, LGALLOC_STATUS_IO);
            assert_int_equal(errno, ENOENT);
        }
        assert_true(lgalloc_is_resident(handle));

        assert_int_equal(lgalloc_unseal(handle), LGALLOC_STATUS_OK);
        assert_int_equal(test_global().sealed_bytes, 0);
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_true(test_marked(handle, bytes));
        test_mark(handle, bytes + 1);
        assert_int_equal(lgalloc_seal(handle, 0), LGALLOC_STATUS_OK);
        lgalloc_deallocate(handle);
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(test_global().sealed_bytes, 0);
        test_assert_equations();
    }
}

static void what_holds_nothing(void **state)
{
    (void)state;
    lgalloc_handle nothing = {(void *)8, 0};
    assert_int_equal(lgalloc_seal(nothing, 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_seal(nothing, 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
    assert_int_equal(lgalloc_pin(nothing), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_try_pin(nothing), LGALLOC_STATUS_OK);
    lgalloc_unpin(nothing);
    assert_int_equal(lgalloc_evict(nothing), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_read(nothing, 0, 0, NULL), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_read(nothing, 0, 1, NULL), LGALLOC_STATUS_OUT_OF_BOUNDS);
    assert_true(lgalloc_is_resident(nothing));
    assert_int_equal(lgalloc_unseal(nothing), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_pin_all(&nothing, 1), LGALLOC_STATUS_OK);
    lgalloc_unpin(nothing);
    assert_int_equal(lgalloc_pin_all(NULL, 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_pin_all(NULL, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
}

static void what_is_no_region(void **state)
{
    (void)state;
    static char here[64];
    lgalloc_handle freed = test_take(PIECE);
    lgalloc_deallocate(freed);
    lgalloc_handle handles[] = {{here, PIECE}, {NULL, PIECE}, freed};
    char byte;
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        assert_int_equal(lgalloc_seal(handles[i], 1), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_pin(handles[i]), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_read(handles[i], 0, 1, &byte), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(lgalloc_unseal(handles[i]), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_false(lgalloc_is_resident(handles[i]));
    }
}

/* The kernel pages these. */
static void on_files(void **state)
{
    (void)state;
    lgalloc_handle handle = test_take(PIECE);
    assert_int_equal(lgalloc_seal(handle, handle.len), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_INVALID_ARGUMENT);
    memset(handle.ptr, 1, handle.len);
    lgalloc_deallocate(handle);
}

static void what_changes_a_region_is_refused(void **state)
{
    (void)state;
    lgalloc_handle handle = sealed(PIECE, 1);
    assert_int_equal(lgalloc_populate(handle, 0, handle.len), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_discard(handle, 0, handle.len), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_prefetch(handle, 0, handle.len + 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
    assert_int_equal(lgalloc_prefetch(handle, 0, handle.len), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_cold(handle, 0, handle.len), LGALLOC_STATUS_OK);
    static const size_t sizes[] = {PIECE, 2 * PIECE, 64 * KIB, 100};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        errno = 0;
        assert_null(lgalloc_realloc(handle.ptr, sizes[i]));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_null(lgalloc_any_realloc(handle.ptr, sizes[i]));
        assert_int_equal(errno, EINVAL);
    }
    assert_pinned_holds(handle, 1);
    lgalloc_any_free(handle.ptr);
    void *again = lgalloc_malloc(PIECE);
    assert_int_equal(lgalloc_seal((lgalloc_handle){again, PIECE}, PIECE), LGALLOC_STATUS_OK);
    lgalloc_free_sized(again, PIECE);
}

/* A vector's memory. */
static void vectors(void **state)
{
    (void)state;
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_mmap(PIECE, 1, 1, &region), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_seal(lgalloc_region_handle(&region), 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_pin(lgalloc_region_handle(&region)), LGALLOC_STATUS_OK);
    lgalloc_unpin(lgalloc_region_handle(&region));
    lgalloc_region_drop(&region);
    assert_int_equal(test_class(PIECE).in_use_regions, 0);
}

/* ---------------------------------------------------------------- with one */

static void there_and_back(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    for (size_t bytes = PIECE; bytes <= 8 * PIECE; bytes *= 2) {
        lgalloc_global_stats before = test_global();
        lgalloc_handle handle = sealed(bytes, bytes);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
            assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
            assert_false(lgalloc_is_resident(handle));
            assert_int_equal(lgalloc_try_pin(handle), LGALLOC_STATUS_NOT_RESIDENT);
            lgalloc_global_stats out = test_global();
            assert_int_equal(out.evicted_bytes, bytes);
            assert_int_equal(out.sealed_bytes, 0);
            assert_int_equal(out.in_use_bytes, 0);
            assert_int_equal(test_class(bytes).in_use_regions, 1);
            assert_int_equal(lgalloc_usable_size(handle.ptr), bytes);
            test_assert_equations();
            assert_pinned_holds(handle, bytes);
            assert_int_equal(test_global().sealed_bytes, bytes);
            assert_int_equal(test_global().evicted_bytes, 0);
            test_assert_equations();
        }
        assert_int_equal(test_global().evictions - before.evictions, 3);
        assert_int_equal(test_global().loads - before.loads, 3);
        assert_int_equal(test_global().spill_failures, before.spill_failures);
        assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_unseal(handle), LGALLOC_STATUS_OK);
        assert_true(test_marked(handle, bytes));
        test_mark(handle, 0);
        lgalloc_deallocate(handle);
    }
}

/* Only what was said to be used comes back for sure. */
static void partly_used(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    static const size_t used[] = {0, 1, 4096, 4097, 100000, PIECE - 1, PIECE};
    for (size_t i = 0; i < TEST_COUNT(used); i++) {
        lgalloc_handle handle = test_take(PIECE);
        memset(handle.ptr, 0x5a, handle.len);
        assert_int_equal(lgalloc_seal(handle, used[i]), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
        assert_true(test_filled(handle.ptr, used[i], 0x5a));
        lgalloc_unpin(handle);
        lgalloc_deallocate(handle);
    }
}

/* Memory that is handed out again after an eviction is ordinary memory. */
static void freed_while_out(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    for (int round = 0; round < 4; round++) {
        lgalloc_handle handle = sealed(PIECE, 7);
        assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
        uint64_t freed = test_class(PIECE).deallocations;
        lgalloc_deallocate(handle);
        assert_int_equal(test_class(PIECE).deallocations, freed + 1);
        assert_int_equal(test_global().evicted_bytes, 0);
        assert_int_equal(test_class(PIECE).in_use_regions, 0);
        test_assert_equations();
        lgalloc_handle zeroed;
        assert_int_equal(lgalloc_allocate_zeroed(PIECE, 1, 1, NULL, NULL, &zeroed), LGALLOC_STATUS_OK);
        assert_true(test_filled(zeroed.ptr, zeroed.len, 0));
        memset(zeroed.ptr, 1, zeroed.len);
        lgalloc_deallocate(zeroed);
    }
}

static void reading_without_pins(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    lgalloc_handle handle = test_take(PIECE);
    unsigned char *out = malloc(PIECE);
    assert_non_null(out);
    for (size_t i = 0; i < PIECE; i++) {
        ((unsigned char *)handle.ptr)[i] = (unsigned char)(i * 2654435761u >> 16);
    }
    assert_int_equal(lgalloc_read(handle, 0, 1, out), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_seal(handle, PIECE - 5000), LGALLOC_STATUS_OK);
    for (int resident = 1; resident >= 0; resident--) {
        static const struct {
            size_t offset, len;
        } parts[] = {{0, PIECE},      {0, 1},     {PIECE - 5001, 1}, {4095, 2},
                     {12345, 100000}, {PIECE, 0}, {PIECE - 1, 1},    {1, PIECE - 5001}};
        for (size_t i = 0; i < TEST_COUNT(parts); i++) {
            assert_int_equal(lgalloc_read(handle, parts[i].offset, parts[i].len, out), LGALLOC_STATUS_OK);
            for (size_t j = 0; j < parts[i].len && parts[i].offset + j < PIECE - 5000; j++) {
                size_t at = parts[i].offset + j;
                assert_int_equal(out[j], (unsigned char)(at * 2654435761u >> 16));
            }
        }
        assert_int_equal(lgalloc_read(handle, 1, PIECE, out), LGALLOC_STATUS_OUT_OF_BOUNDS);
        assert_int_equal(lgalloc_read(handle, 0, 1, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_true(lgalloc_is_resident(handle) == (resident == 1));
        if (resident == 1) {
            assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
        }
    }
    lgalloc_deallocate(handle);
    free(out);
}

static void pinned_ones_stay(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    lgalloc_handle handle = sealed(PIECE, 3);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_BUSY);
    assert_true(test_marked(handle, 3));
    lgalloc_unpin(handle);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
}

/* Touching without a pin is a fault, and in a system call EFAULT. */
static bool is_there(const void *address)
{
    int pipes[2];
    TEST_REQUIRE(pipe(pipes) == 0);
    errno = 0;
    ssize_t written = write(pipes[1], address, 1);
    TEST_REQUIRE(written == 1 || errno == EFAULT);
    close(pipes[0]);
    close(pipes[1]);
    return written == 1;
}

static void touching(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    lgalloc_handle before = test_take(PIECE), handle = sealed(2 * PIECE, 3), after = test_take(PIECE);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    for (size_t at = 0; at < handle.len; at += 64 * KIB) {
        assert_false(is_there((char *)handle.ptr + at));
    }
    assert_false(is_there((char *)handle.ptr + handle.len - 1));
    memset(before.ptr, 1, before.len);
    memset(after.ptr, 1, after.len);
    assert_int_equal(lgalloc_pin(handle), LGALLOC_STATUS_OK);
    assert_true(is_there(handle.ptr));
    lgalloc_unpin(handle);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
    lgalloc_deallocate(before);
    lgalloc_deallocate(after);
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

static bool has_guards(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *probe = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(probe, MAP_FAILED);
    bool has = madvise(probe, page, MADV_GUARD_INSTALL) == 0;
    assert_int_equal(munmap(probe, page), 0);
    return has;
}

/* A process may have 65,530 mappings: with guard pages what is evicted takes none. */
static void mappings(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    if (!has_guards()) {
        TEST_SKIP("the kernel has no guard pages");
    }
    lgalloc_handle handles[16];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = sealed(PIECE, i);
    }
    size_t before = test_arena_mapping_count(handles[0].ptr);
    for (size_t i = 0; i < TEST_COUNT(handles); i += 2) {
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_OK);
        assert_false(is_there(handles[i].ptr));
    }
    assert_int_equal(test_arena_mapping_count(handles[0].ptr), before);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        assert_pinned_holds(handles[i], i);
    }
    assert_int_equal(test_arena_mapping_count(handles[0].ptr), before);
    test_free_all(handles, TEST_COUNT(handles));
}

static bool is_in_memory(void *address)
{
    unsigned char page = 0;
    assert_int_equal(mincore(address, 1, &page), 0);
    return (page & 1) != 0;
}

/* Locked memory gets no guard pages, nor does any on a kernel before Linux 6.13: it is inaccessible all the same. */
static void locked(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    lgalloc_handle handle = sealed(PIECE, 4);
    if (syscall(SYS_mlock, handle.ptr, handle.len) != 0) { /* sanitizers leave mlock() out */
        lgalloc_deallocate(handle);
        TEST_SKIP("memory can't be locked");
    }
    for (int round = 0; round < 2; round++) {
        lgalloc_status status = lgalloc_evict(handle);
        if (status != LGALLOC_STATUS_OK) { /* before Linux 5.18 locked pages can't be dropped */
            assert_int_equal(status, LGALLOC_STATUS_IO);
            assert_true(is_there(handle.ptr));
            assert_pinned_holds(handle, 4);
            break;
        }
        assert_false(is_there(handle.ptr));
        assert_false(is_there((char *)handle.ptr + handle.len - 1));
        assert_false(is_in_memory(handle.ptr));
        if (round == 0) {
            assert_pinned_holds(handle, 4);
        }
    }
    void *address = handle.ptr;
    bool out = !lgalloc_is_resident(handle);
    lgalloc_deallocate(handle);
    for (size_t offset = 0; out && offset < PIECE; offset += 64 * KIB) {
        assert_false(is_in_memory((char *)address + offset)); /* it is free, and counts as holding none */
    }
    handle = test_take(PIECE);
    assert_ptr_equal(handle.ptr, address);
    memset(handle.ptr, 1, handle.len);
    assert_int_equal(syscall(SYS_munlock, handle.ptr, handle.len), 0);
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- below a bound */

#define PIECES 24
#define BUDGET (8 * PIECE)

static void assert_below(size_t limit)
{
    lgalloc_global_stats stats = test_global();
    assert_true(stats.in_use_bytes + stats.dirty_bytes <= limit);
}

static void more_than_the_limit(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[PIECES];
    size_t resident = test_resident();
    uint64_t refused = test_global().limit_failures;
    for (size_t i = 0; i < PIECES; i++) {
        handles[i] = test_take(PIECE);
        memset(handles[i].ptr, 0x11, PIECE);
        test_mark(handles[i], i);
        assert_int_equal(lgalloc_seal(handles[i], PIECE), LGALLOC_STATUS_OK);
        assert_below(BUDGET);
        if (!test_slow_tool()) {
            assert_true(test_resident() <= resident + BUDGET + BUDGET / 50 + MIB);
        }
    }
    assert_int_equal(test_global().evicted_bytes + test_global().sealed_bytes, PIECES * PIECE);
    uint64_t random = 1;
    for (size_t i = 0; i < 4 * PIECES; i++) {
        size_t which = test_random(&random) % PIECES;
        assert_pinned_holds(handles[which], which);
        assert_below(BUDGET);
        if (!test_slow_tool()) {
            assert_true(test_resident() <= resident + BUDGET + BUDGET / 50 + MIB);
        }
    }
    assert_int_equal(test_global().limit_failures, refused);
    /* Every region was written once, though most went several times. */
    assert_true(test_global().spill_file_bytes <= PIECES * PIECE);
    assert_true(test_global().loads > 0);
    test_assert_equations();
    test_free_all(handles, PIECES);
}

/* What is freed before memory is short is never written, and so never counted. */
static void freed_in_time(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    uint64_t evictions = test_global().evictions;
    for (size_t i = 0; i < 4 * PIECES; i++) {
        lgalloc_handle handle = sealed(PIECE, i);
        assert_pinned_holds(handle, i);
        lgalloc_deallocate(handle);
    }
    assert_int_equal(test_global().evictions, evictions);
    assert_int_equal(test_global().spill_file_bytes, 0);
}

/* As much as the store keeps for what is evicted next. */
#define KEPT (64 * MIB)

static bool disk_is_given_back(void *arg)
{
    (void)arg;
    return test_global().spill_file_bytes <= KEPT;
}

static void unsealed_on_disk_no_more(void **state)
{
    (void)state;
    SPILL_OR_SKIP(0, 0);
    lgalloc_handle handles[KEPT / PIECE + 2];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = sealed(PIECE, i);
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_OK);
    }
    assert_int_equal(test_global().spill_file_bytes, TEST_COUNT(handles) * PIECE);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        assert_int_equal(lgalloc_unseal(handles[i]), LGALLOC_STATUS_OK);
    }
    assert_true(test_eventually(disk_is_given_back, NULL));
    test_free_all(handles, TEST_COUNT(handles));
}

static void all_pinned(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[9];
    for (size_t i = 0; i < 8; i++) {
        handles[i] = sealed(PIECE, i);
        assert_int_equal(lgalloc_pin(handles[i]), LGALLOC_STATUS_OK);
    }
    uint64_t refused = test_global().limit_failures;
    assert_int_equal(lgalloc_allocate(PIECE, 1, 1, NULL, NULL, &handles[8]), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(test_global().limit_failures, refused + 1);
    assert_int_equal(test_global().evicted_bytes, 0);
    lgalloc_unpin(handles[3]);
    handles[8] = test_take(PIECE);
    assert_false(lgalloc_is_resident(handles[3]));
    assert_int_equal(lgalloc_pin(handles[3]), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(test_global().limit_failures, refused + 2);
    char byte;
    assert_int_equal(lgalloc_read(handles[3], 0, 1, &byte), LGALLOC_STATUS_OK);
    lgalloc_deallocate(handles[8]);
    assert_pinned_holds(handles[3], 3);
    for (size_t i = 0; i < 8; i++) {
        if (i != 3) {
            lgalloc_unpin(handles[i]);
        }
    }
    test_free_all(handles, 8);
}

static void all_or_none(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        handles[i] = sealed(PIECE, i);
    }
    assert_int_equal(lgalloc_pin_all(handles, 8), LGALLOC_STATUS_OK);
    for (size_t i = 0; i < 8; i++) {
        assert_true(test_marked(handles[i], i));
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_BUSY);
    }
    /* All memory is pinned: there is none for others, and they don't wait. */
    assert_int_equal(lgalloc_pin_all(handles + 8, 1), LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_int_equal(lgalloc_pin_all(handles, 9), LGALLOC_STATUS_OUT_OF_MEMORY);
    for (size_t i = 0; i < 8; i++) {
        lgalloc_unpin(handles[i]);
    }
    assert_int_equal(lgalloc_pin_all(handles + 10, 9), LGALLOC_STATUS_OUT_OF_MEMORY);
    lgalloc_handle bad[] = {handles[1], handles[2], {handles[3].ptr, 2 * PIECE}};
    assert_int_equal(lgalloc_pin_all(bad, 3), LGALLOC_STATUS_INVALID_ARGUMENT);
    /* Nothing stayed pinned. */
    for (size_t i = 0; i < PIECES; i++) {
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_OK);
    }
    lgalloc_handle twice[] = {handles[5], handles[5]};
    assert_int_equal(lgalloc_pin_all(twice, 2), LGALLOC_STATUS_OK);
    lgalloc_unpin(handles[5]);
    assert_int_equal(lgalloc_evict(handles[5]), LGALLOC_STATUS_BUSY);
    lgalloc_unpin(handles[5]);
    test_free_all(handles, PIECES);
}

/* What is resident already isn't evicted to make room for the rest, and loaded again. */
static void all_with_one_out(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[BUDGET / PIECE];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = sealed(PIECE, i);
    }
    /* The last is out, and what took its room makes the hand take all chances. */
    size_t last = TEST_COUNT(handles) - 1;
    assert_int_equal(lgalloc_evict(handles[last]), LGALLOC_STATUS_OK);
    lgalloc_handle idle = sealed(PIECE, 99);
    for (size_t round = 0; round < TEST_COUNT(handles); round++) {
        lgalloc_handle out = handles[0];
        memmove(handles, handles + 1, last * sizeof(*handles));
        handles[last] = out;
        assert_int_equal(lgalloc_evict(out), LGALLOC_STATUS_OK);
        for (size_t i = 0; i < last; i++) {
            assert_int_equal(lgalloc_pin(handles[i]), LGALLOC_STATUS_OK);
            lgalloc_unpin(handles[i]);
        }
        assert_false(lgalloc_is_resident(out));
        uint64_t loads = test_global().loads;
        lgalloc_handle reversed[TEST_COUNT(handles)];
        for (size_t i = 0; i <= last; i++) {
            reversed[i] = handles[last - i];
        }
        assert_int_equal(lgalloc_pin_all(reversed, TEST_COUNT(reversed)), LGALLOC_STATUS_OK);
        assert_int_equal(test_global().loads, loads + 1);
        for (size_t i = 0; i <= last; i++) {
            lgalloc_unpin(handles[i]);
        }
    }
    lgalloc_deallocate(idle);
    test_free_all(handles, TEST_COUNT(handles));
}

/* Two that together want more than there is: neither waits for the other, and of what one got before it was refused nothing
 * stays pinned. */
struct greedy {
    lgalloc_handle *handles;
    size_t pinned;
};

static void *pins_many(void *arg)
{
    struct greedy *greedy = arg;
    for (size_t i = 0; i < test_scale(60, 10); i++) {
        lgalloc_status status = lgalloc_pin_all(greedy->handles, 6);
        TEST_REQUIRE(status == LGALLOC_STATUS_OK || status == LGALLOC_STATUS_OUT_OF_MEMORY);
        for (size_t j = 0; status == LGALLOC_STATUS_OK && j < 6; j++) {
            TEST_REQUIRE(lgalloc_is_resident(greedy->handles[j]));
            lgalloc_unpin(greedy->handles[j]);
        }
        greedy->pinned += status == LGALLOC_STATUS_OK;
    }
    return NULL;
}

static void all_or_none_at_once(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[12];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        handles[i] = sealed(PIECE, i);
    }
    struct greedy both[] = {{handles, 0}, {handles + 6, 0}};
    pthread_t threads[2];
    test_spawn(&threads[0], pins_many, &both[0]);
    test_spawn(&threads[1], pins_many, &both[1]);
    test_join(threads[0]);
    test_join(threads[1]);
    assert_true(both[0].pinned + both[1].pinned > 0);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        assert_pinned_holds(handles[i], i);
        assert_int_equal(lgalloc_evict(handles[i]), LGALLOC_STATUS_OK);
    }
    test_free_all(handles, TEST_COUNT(handles));
}

/* A second chance for what is used all the time; and what is cold goes before everything. */
static void whose_turn_it_is(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[PIECES];
    for (size_t i = 0; i < 8; i++) {
        handles[i] = sealed(PIECE, i);
    }
    /* The hand takes the chances of all, and then the first; it would go on with the next. */
    handles[8] = sealed(PIECE, 8);
    assert_int_equal(test_global().evicted_bytes, PIECE);
    size_t last = 7;
    while (!lgalloc_is_resident(handles[last])) {
        last--;
    }
    assert_int_equal(lgalloc_cold(handles[last], 0, 0), LGALLOC_STATUS_OK);
    handles[9] = sealed(PIECE, 9);
    assert_false(lgalloc_is_resident(handles[last]));
    /* What is used has its chance again and again. */
    size_t out = 0;
    for (size_t i = 10; i < PIECES; i++) {
        assert_int_equal(lgalloc_pin(handles[2]), LGALLOC_STATUS_OK);
        lgalloc_unpin(handles[2]);
        handles[i] = sealed(PIECE, i);
        out += !lgalloc_is_resident(handles[2]);
    }
    assert_true(out <= 2);
    /* One that was pinned after it was called cold is no longer. */
    size_t cold = 0;
    while (!lgalloc_is_resident(handles[cold])) {
        cold++;
    }
    size_t other = cold + 1;
    while (!lgalloc_is_resident(handles[other])) {
        other++;
    }
    assert_int_equal(lgalloc_cold(handles[cold], 0, PIECE), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_pin(handles[cold]), LGALLOC_STATUS_OK);
    lgalloc_unpin(handles[cold]);
    assert_int_equal(lgalloc_cold(handles[other], 0, PIECE), LGALLOC_STATUS_OK);
    lgalloc_handle more = test_take(PIECE);
    assert_true(lgalloc_is_resident(handles[cold]));
    assert_false(lgalloc_is_resident(handles[other]));
    lgalloc_deallocate(more);
    test_free_all(handles, PIECES);
}

static bool is_resident(void *arg)
{
    return lgalloc_is_resident(*(lgalloc_handle *)arg);
}

static void prefetching(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handle = sealed(PIECE, 9);
    assert_int_equal(lgalloc_evict(handle), LGALLOC_STATUS_OK);
    uint64_t loads = test_global().loads;
    assert_int_equal(lgalloc_prefetch(handle, 0, 1), LGALLOC_STATUS_OK);
    assert_true(test_eventually(is_resident, &handle));
    assert_int_equal(lgalloc_try_pin(handle), LGALLOC_STATUS_OK);
    assert_true(test_marked(handle, 9));
    assert_int_equal(lgalloc_prefetch(handle, 0, PIECE), LGALLOC_STATUS_OK);
    assert_int_equal(test_global().loads, loads + 1);
    lgalloc_unpin(handle);
    lgalloc_deallocate(handle);
}

/* A bound on the disk, as a disk that is full: what can't go stays, and is asked for again when something goes. */
static void full_disk(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 4 * PIECE);
    lgalloc_handle handles[13];
    size_t taken = 0;
    lgalloc_status status = LGALLOC_STATUS_OK;
    while (taken < 13 && (status = lgalloc_allocate(PIECE, 1, 1, NULL, NULL, &handles[taken])) == LGALLOC_STATUS_OK) {
        test_mark(handles[taken], taken);
        assert_int_equal(lgalloc_seal(handles[taken], PIECE), LGALLOC_STATUS_OK);
        taken++;
    }
    assert_int_equal(taken, 12);
    assert_int_equal(status, LGALLOC_STATUS_OUT_OF_MEMORY);
    assert_true(test_global().spill_failures > 0);
    assert_true(test_global().spill_file_bytes <= 4 * PIECE);
    size_t resident = 0;
    while (!lgalloc_is_resident(handles[resident])) {
        resident++;
    }
    errno = 0;
    assert_int_equal(lgalloc_evict(handles[resident]), LGALLOC_STATUS_IO);
    assert_int_equal(errno, ENOSPC);
    size_t evicted = 0;
    while (lgalloc_is_resident(handles[evicted])) {
        evicted++;
    }
    /* There is no room to load one while what is resident can't go. */
    assert_int_equal(lgalloc_pin(handles[evicted]), LGALLOC_STATUS_OUT_OF_MEMORY);
    lgalloc_deallocate(handles[resident]);
    handles[resident] = (lgalloc_handle){(void *)8, 0};
    assert_int_equal(lgalloc_pin(handles[evicted]), LGALLOC_STATUS_OK);
    assert_true(test_marked(handles[evicted], evicted));
    lgalloc_unpin(handles[evicted]);
    /* That one has a copy on disk: it can go, though nothing can be written. */
    lgalloc_handle more = test_take(PIECE);
    assert_false(lgalloc_is_resident(handles[evicted]));
    lgalloc_deallocate(more);
    for (size_t i = 0; i < taken; i++) {
        if (handles[i].len != 0) {
            assert_pinned_holds(handles[i], i);
            lgalloc_deallocate(handles[i]);
        }
    }
    assert_int_equal(test_global().sealed_bytes + test_global().evicted_bytes, 0);
}

/* Switched off with regions out: they stay readable, and nothing more goes. */
static void switched_off(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        handles[i] = sealed(PIECE, i);
    }
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, NULL, 0), LGALLOC_STATUS_OK);
    lgalloc_config_limit_bytes(config, 0);
    test_apply(config);
    uint64_t evictions = test_global().evictions;
    for (size_t i = 0; i < PIECES; i++) {
        assert_pinned_holds(handles[i], i);
    }
    assert_int_equal(lgalloc_evict(handles[0]), LGALLOC_STATUS_IO);
    assert_int_equal(test_global().evictions, evictions);
    assert_int_equal(test_global().evicted_bytes, 0);
    test_free_all(handles, PIECES);
}

/* Lowered below what is resident: the next that needs memory brings it down. */
static void limit_lowered(void **state)
{
    (void)state;
    SPILL_OR_SKIP(BUDGET, 0);
    lgalloc_handle handles[8];
    for (size_t i = 0; i < 8; i++) {
        handles[i] = sealed(PIECE, i);
    }
    test_set_limit(2 * PIECE);
    lgalloc_handle more = test_take(PIECE);
    assert_below(2 * PIECE);
    lgalloc_deallocate(more);
    for (size_t i = 0; i < 8; i++) {
        assert_pinned_holds(handles[i], i);
        assert_below(2 * PIECE);
    }
    test_free_all(handles, 8);
}

/* Different sizes make room for one another. */
static void several_classes(void **state)
{
    (void)state;
    SPILL_OR_SKIP(16 * PIECE, 0);
    lgalloc_handle handles[40];
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        size_t bytes = 512 * KIB << i % 5;
        handles[i] = sealed(bytes, i);
        assert_below(16 * PIECE);
    }
    for (size_t i = TEST_COUNT(handles); i-- > 0;) {
        assert_pinned_holds(handles[i], i);
        assert_below(16 * PIECE);
    }
    test_assert_equations();
    test_free_all(handles, TEST_COUNT(handles));
}

#define SEALED_TEST(function) cmocka_unit_test_setup_teardown(function, test_setup_anonymous, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SEALED_TEST(sealing_and_pinning),
        SEALED_TEST(what_holds_nothing),
        SEALED_TEST(what_is_no_region),
        TEST_FILE(on_files),
        SEALED_TEST(what_changes_a_region_is_refused),
        SEALED_TEST(vectors),
        SEALED_TEST(there_and_back),
        SEALED_TEST(partly_used),
        SEALED_TEST(freed_while_out),
        SEALED_TEST(reading_without_pins),
        SEALED_TEST(pinned_ones_stay),
        SEALED_TEST(touching),
        SEALED_TEST(mappings),
        SEALED_TEST(locked),
        SEALED_TEST(more_than_the_limit),
        SEALED_TEST(freed_in_time),
        SEALED_TEST(unsealed_on_disk_no_more),
        SEALED_TEST(all_pinned),
        SEALED_TEST(all_or_none),
        SEALED_TEST(all_with_one_out),
        SEALED_TEST(all_or_none_at_once),
        SEALED_TEST(whose_turn_it_is),
        SEALED_TEST(prefetching),
        SEALED_TEST(full_disk),
        SEALED_TEST(switched_off),
        SEALED_TEST(limit_lowered),
        SEALED_TEST(several_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
