/* Hints for parts of a region in use, and the slow statistics that show what they did. */

#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21 /* Linux 5.4 */
#endif

typedef lgalloc_status hint(lgalloc_handle handle, size_t offset, size_t len);

static hint *const hints[] = {lgalloc_prefetch, lgalloc_populate, lgalloc_cold, lgalloc_discard};

static void bounds(void **state)
{
    (void)state;
    lgalloc_handle handle = test_take(MIB);
    for (size_t i = 0; i < TEST_COUNT(hints); i++) {
        static const struct {
            size_t offset, len;
        } outside[] = {
            {0, MIB + 1},
            {MIB, 1},
            {MIB + 1, 0},
            {1, MIB},
            {SIZE_MAX, 0},
            {SIZE_MAX, 1},
            {1, SIZE_MAX},
            {8, SIZE_MAX - 7},
            {0, SIZE_MAX},
            {SIZE_MAX, SIZE_MAX},
            {SIZE_MAX - MIB + 1, MIB},
            {MIB, SIZE_MAX - MIB + 1},
        };
        memset(handle.ptr, 0x33, handle.len);
        for (size_t j = 0; j < TEST_COUNT(outside); j++) {
            assert_int_equal(hints[i](handle, outside[j].offset, outside[j].len), LGALLOC_STATUS_OUT_OF_BOUNDS);
        }
        assert_int_equal(hints[i](handle, 0, 0), LGALLOC_STATUS_OK);
        assert_int_equal(hints[i](handle, MIB, 0), LGALLOC_STATUS_OK);
        assert_int_equal(hints[i](handle, 12345, 0), LGALLOC_STATUS_OK);
        assert_true(test_filled(handle.ptr, handle.len, 0x33));

        lgalloc_handle nothing = {handle.ptr, 0};
        assert_int_equal(hints[i](nothing, 0, 0), LGALLOC_STATUS_OK);
        assert_int_equal(hints[i](nothing, 0, 1), LGALLOC_STATUS_OUT_OF_BOUNDS);
        assert_int_equal(hints[i](nothing, 1, 0), LGALLOC_STATUS_OUT_OF_BOUNDS);
    }
    lgalloc_deallocate(handle);
}

static void not_an_allocation(void **state)
{
    (void)state;
    lgalloc_handle other = test_take(MIB);
    lgalloc_handle freed = test_take(MIB);
    lgalloc_deallocate(freed);
    char here[16];
    lgalloc_handle longer = {other.ptr, 2 * MIB};
    for (size_t i = 0; i < TEST_COUNT(hints); i++) {
        assert_int_equal(hints[i](freed, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(hints[i]((lgalloc_handle){here, MIB}, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(hints[i]((lgalloc_handle){NULL, MIB}, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(hints[i]((lgalloc_handle){(char *)other.ptr + 4096, MIB}, 0, 4096),
                         LGALLOC_STATUS_INVALID_ARGUMENT);
        assert_int_equal(hints[i](longer, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
    }
    lgalloc_purge(); /* now clean; then released with its area */
    for (size_t i = 0; i < TEST_COUNT(hints); i++) {
        assert_int_equal(hints[i](freed, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
    }
    lgalloc_deallocate(other);
    lgalloc_purge();
    for (size_t i = 0; i < TEST_COUNT(hints); i++) {
        assert_int_equal(hints[i](freed, 0, 4096), LGALLOC_STATUS_INVALID_ARGUMENT);
    }
}

static void contents_stay(void **state)
{
    (void)state;
    for (size_t bytes = 64 * KIB; bytes <= 8 * MIB; bytes *= 128) {
        lgalloc_handle handle = test_take(bytes);
        unsigned char *memory = handle.ptr;
        for (size_t i = 0; i < bytes; i++) {
            memory[i] = (unsigned char)(i % 251);
        }
        for (size_t i = 0; i < 3; i++) { /* all but discard */
            assert_int_equal(hints[i](handle, 0, bytes), LGALLOC_STATUS_OK);
            assert_int_equal(hints[i](handle, 100, 5000), LGALLOC_STATUS_OK);
            assert_int_equal(hints[i](handle, bytes - 1, 1), LGALLOC_STATUS_OK);
        }
        for (size_t i = 0; i < bytes; i++) {
            if (memory[i] != (unsigned char)(i % 251)) {
                fail_msg("byte %zu of %zu changed", i, bytes);
            }
        }
        lgalloc_deallocate(handle);
    }
}

/* Afterwards the memory is there: resident, and on file systems with disk blocks. */
static void populate_backs_with_memory(void **state)
{
    size_t bytes = 64 * MIB;
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    lgalloc_purge();
    size_t start = test_resident();
    lgalloc_handle handle = test_take(bytes);
    if (file) {
        assert_int_equal(test_file(bytes).allocated_size, 0);
    }
    assert_int_equal(lgalloc_populate(handle, 0, bytes / 2), LGALLOC_STATUS_OK);
    if (!test_slow_tool()) {
        assert_true(test_resident() >= start + bytes / 2);
        assert_true(test_resident() <= start + bytes / 2 + 4 * MIB); /* huge pages at the end, and bookkeeping */
    }
    if (file) {
        assert_true(test_file(bytes).allocated_size >= bytes / 2);
    }
    assert_true(test_filled(handle.ptr, bytes / 2, 0));
    lgalloc_deallocate(handle);
}

/* What of a region is in memory, whether mapped or not. */
static size_t cached(lgalloc_handle handle)
{
    static unsigned char pages[64 * MIB / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = handle.len / page;
    size_t there = 0;
    TEST_REQUIRE(count <= sizeof pages && mincore(handle.ptr, handle.len, pages) == 0);
    for (size_t i = 0; i < count; i++) {
        there += pages[i] & 1;
    }
    return there * page;
}

/* The hint again each time: the kernel leaves out what it has no memory for at that moment. */
static bool is_all_brought(void *arg)
{
    lgalloc_handle handle = *(lgalloc_handle *)arg;
    return lgalloc_prefetch(handle, 0, handle.len) == LGALLOC_STATUS_OK && cached(handle) == handle.len;
}

/* However little the kernel brings in for one call. */
static void prefetch_brings_all(void **state)
{
    (void)state;
    lgalloc_handle handle = test_take(64 * MIB);
    memset(handle.ptr, 0x5c, handle.len);
    bool out = msync(handle.ptr, handle.len, MS_SYNC) == 0 && madvise(handle.ptr, handle.len, MADV_PAGEOUT) == 0 &&
               cached(handle) < handle.len / 8;
    if (out) {
        assert_true(test_eventually(is_all_brought, &handle));
        assert_true(test_filled(handle.ptr, handle.len, 0x5c));
    }
    lgalloc_deallocate(handle);
    if (!out) {
        TEST_SKIP("the kernel doesn't page this file system's files out when asked to");
    }
}

static void discard_whole(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    size_t bytes = test_scale(64 * MIB, 4 * MIB);
    lgalloc_handle handle = test_take(bytes);
    size_t start = test_resident();
    memset(handle.ptr, 0xab, bytes);
    if (file) {
        assert_true(test_file(bytes).allocated_size >= bytes);
    }
    assert_int_equal(lgalloc_discard(handle, 0, bytes), LGALLOC_STATUS_OK);
    if (!test_slow_tool()) {
        assert_true(test_resident() <= start + MIB); /* page tables and what the test itself touches */
    }
    assert_int_equal(test_file(bytes).allocated_size, 0);
    assert_true(test_filled(handle.ptr, bytes, 0));
    test_mark(handle, 3);
    assert_true(test_marked(handle, 3));
    assert_int_equal(test_global().in_use_bytes, bytes); /* it is still the caller's */
    lgalloc_deallocate(handle);
}

/* Whole pages inside the range go; the rest of the pages at its ends stays. */
static void discard_part(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = MIB;
    static const struct {
        size_t offset, len;
    } parts[] = {
        {100, 512 * KIB}, {0, 8192}, {4095, 4098}, {4096, 4096}, {4096, 4095}, {1, 8190}, {8191, 2}, {MIB - 4097, 4097},
    };
    lgalloc_handle handle = test_take(bytes);
    unsigned char *memory = handle.ptr;
    for (size_t i = 0; i < TEST_COUNT(parts); i++) {
        memset(memory, 0xab, bytes);
        size_t before = test_file(bytes).allocated_size;
        assert_int_equal(lgalloc_discard(handle, parts[i].offset, parts[i].len), LGALLOC_STATUS_OK);
        size_t from = (parts[i].offset + page - 1) / page * page;
        size_t to = (parts[i].offset + parts[i].len) / page * page;
        to = to < from ? from : to;
        assert_true(test_filled(memory, from, 0xab));
        size_t after = test_file(bytes).allocated_size;
        assert_true(test_filled(memory + from, to - from, 0));
        assert_true(test_filled(memory + to, bytes - to, 0xab));
        if (file && to - from >= 64 * KIB) {
            /* Half of it at least: file systems give back whole extents of their own size. */
            assert_true(after <= before - (to - from) / 2);
        }
    }
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- fast statistics */

static void fast_statistics(void **state)
{
    (void)state;
    lgalloc_size_class_stats stats[LGALLOC_SIZE_CLASS_COUNT + 1];
    memset(stats, 0x77, sizeof stats);
    assert_int_equal(lgalloc_stats(NULL, 0), LGALLOC_SIZE_CLASS_COUNT);
    assert_int_equal(lgalloc_stats(stats, 0), LGALLOC_SIZE_CLASS_COUNT);
    assert_true(test_filled(stats, sizeof stats, 0x77));
    assert_int_equal(lgalloc_stats(stats, 3), LGALLOC_SIZE_CLASS_COUNT);
    assert_int_equal(stats[0].size_class, 64 * KIB);
    assert_int_equal(stats[2].size_class, 256 * KIB);
    assert_true(test_filled(&stats[3], sizeof stats - 3 * sizeof *stats, 0x77));
    assert_int_equal(lgalloc_stats(stats, SIZE_MAX), LGALLOC_SIZE_CLASS_COUNT);
    assert_int_equal(stats[LGALLOC_SIZE_CLASS_COUNT - 1].size_class, 64 * GIB);
    assert_true(test_filled(&stats[LGALLOC_SIZE_CLASS_COUNT], sizeof *stats, 0x77));
    lgalloc_stats_global(NULL);

    lgalloc_size_class_stats before = test_class(2 * MIB);
    lgalloc_handle handles[3];
    test_take_all(handles, 3, 2 * MIB);
    lgalloc_deallocate(handles[2]);
    lgalloc_size_class_stats after = test_class(2 * MIB);
    assert_int_equal(after.allocations, before.allocations + 3);
    assert_int_equal(after.deallocations, before.deallocations + 1);
    assert_int_equal(after.refill, before.refill + 1);
    assert_int_equal(after.slow_path, before.slow_path + 1);
    assert_int_equal(after.areas, 1);
    assert_int_equal(after.area_total_bytes, 32 * MIB);
    assert_int_equal(after.in_use_regions, 2);
    assert_int_equal(after.free_regions, 14);
    lgalloc_global_stats global = test_global();
    assert_int_equal(global.in_use_bytes, 4 * MIB);
    assert_true(global.dirty_bytes >= 2 * MIB);
    assert_int_equal(global.area_bytes, 32 * MIB);
    assert_true(global.metadata_bytes > 0);
    assert_true(global.reserved_address_bytes >= global.area_bytes);
    test_assert_equations();
    test_free_all(handles, 2);
}

/* ---------------------------------------------------------------- slow statistics */

static void file_statistics(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    size_t count = 99;
    assert_int_equal(lgalloc_stats_files(NULL, 0, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_files(NULL, 3, &count), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_files(NULL, 0, &count), LGALLOC_STATUS_OK);
    assert_int_equal(count, 0);

    lgalloc_handle small = test_take(64 * KIB);
    lgalloc_handle large = test_take(16 * MIB);
    memset(large.ptr, 1, 2 * MIB);
    lgalloc_file_stats stats[4];
    memset(stats, 0x77, sizeof stats);
    assert_int_equal(lgalloc_stats_files(stats, 4, &count), LGALLOC_STATUS_OK);
    if (!file) {
        assert_int_equal(count, 0);
        assert_true(test_filled(stats, sizeof stats, 0x77));
    } else {
        assert_int_equal(count, 2);
        assert_int_equal(stats[0].size_class, 64 * KIB);
        assert_int_equal(stats[1].size_class, 16 * MIB);
        assert_true(stats[0].file_size >= test_class(64 * KIB).area_total_bytes);
        assert_true(stats[1].file_size >= test_class(16 * MIB).area_total_bytes);
        assert_int_equal(stats[0].allocated_size, 0);
        /* 64 KiB for what the file system notes about the file itself. */
        assert_in_range(stats[1].allocated_size, 2 * MIB, 2 * MIB + 64 * KIB);
        assert_true(test_filled(&stats[2], 2 * sizeof *stats, 0x77));
        memset(stats, 0x77, sizeof stats);
        assert_int_equal(lgalloc_stats_files(stats, 1, &count), LGALLOC_STATUS_OK);
        assert_int_equal(count, 2);
        assert_int_equal(stats[0].size_class, 64 * KIB);
        assert_true(test_filled(&stats[1], 3 * sizeof *stats, 0x77));
    }
    lgalloc_deallocate(small);
    lgalloc_deallocate(large);
}

static void map_statistics(void **state)
{
    (void)state;
    size_t count = 99;
    assert_int_equal(lgalloc_stats_maps(NULL, 0, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_maps(NULL, 3, &count), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_stats_maps(NULL, 0, &count), LGALLOC_STATUS_OK);
    assert_int_equal(count, 0);

    lgalloc_handle small = test_take(64 * KIB);
    lgalloc_handle large = test_take(16 * MIB);
    memset(large.ptr, 1, 4 * MIB);
    lgalloc_map_stats stats[4];
    memset(stats, 0x77, sizeof stats);
    assert_int_equal(lgalloc_stats_maps(stats, 4, &count), LGALLOC_STATUS_OK);
    assert_int_equal(count, 2);
    assert_int_equal(stats[0].size_class, 64 * KIB);
    assert_int_equal(stats[0].mapped, 0);
    assert_int_equal(stats[1].size_class, 16 * MIB);
    assert_int_equal(stats[1].mapped, 4 * MIB);
    assert_true(stats[1].active <= stats[1].mapped);
    assert_true(stats[1].dirty <= stats[1].mapped); /* less once the system has written some of it out */
    assert_true(test_filled(&stats[2], 2 * sizeof *stats, 0x77));
    memset(stats, 0x77, sizeof stats);
    assert_int_equal(lgalloc_stats_maps(stats, 1, &count), LGALLOC_STATUS_OK);
    assert_int_equal(count, 2);
    assert_true(test_filled(&stats[1], 3 * sizeof *stats, 0x77));

    assert_int_equal(lgalloc_discard(large, 0, 2 * MIB), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_stats_maps(stats, 4, &count), LGALLOC_STATUS_OK);
    assert_int_equal(stats[1].mapped, 2 * MIB);
    lgalloc_deallocate(small);
    lgalloc_deallocate(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(bounds),
        TEST_BOTH(not_an_allocation),
        TEST_BOTH(contents_stay),
        TEST_BOTH(populate_backs_with_memory),
        TEST_FILE(prefetch_brings_all),
        TEST_BOTH(discard_whole),
        TEST_BOTH(discard_part),
        TEST_BOTH(fast_statistics),
        TEST_BOTH(file_statistics),
        TEST_BOTH(map_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
