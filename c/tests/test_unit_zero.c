/* Zeroed regions that were used before: they are zero, and cost what was there, not what the region could hold. */

#include "internal.h"

#include <string.h>
#include <unistd.h>

static const size_t sizes[] = {64 * KIB, 100 * KIB, 512 * KIB, MIB,       2 * MIB,
                               5 * MIB,  16 * MIB,  33 * MIB,  128 * MIB, 600 * MIB};

/* All of a small region, pages here and there of a large one, and those that were used. */
static void require_zero(const lgalloc_handle *handle, size_t used)
{
    const unsigned char *bytes = handle->ptr;
    size_t step = handle->len <= 4 * MIB ? KIB : handle->len / 512;
    if (handle->len <= 256 * KIB) {
        assert_true(test_filled(bytes, handle->len, 0));
    }
    /* Reading a page of a file that has none makes one: few do. */
    for (size_t at = handle->len <= 4 * MIB ? 0 : handle->len / 1024; at < handle->len; at += step) {
        assert_int_equal(bytes[at], 0);
    }
    assert_true(test_filled(bytes + used, 4 * KIB, 0));
}

static lgalloc_handle zeroed(size_t bytes)
{
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate_zeroed(bytes, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_OK);
    return handle;
}

/* One page is used at a time, a different one; at the end all is looked at. */
static void used_sparsely(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        size_t place = 0;
        for (size_t round = 0; round < 4; round++) {
            lgalloc_handle handle = zeroed(sizes[i]);
            const char *bytes = handle.ptr;
            assert_true(test_filled(bytes + place, 4 * KIB, 0));
            place = (sizes[i] / 5 * (round + 1)) & ~(4 * KIB - 1);
            memset((char *)handle.ptr + place, 0xff, 4 * KIB);
            lgalloc_deallocate(handle);
        }
        lgalloc_handle handle = zeroed(sizes[i]);
        require_zero(&handle, place);
        lgalloc_deallocate(handle);
        lgalloc_purge();
    }
}

/* Bytes of memory and of blocks that a sparse use takes: some for page tables, one huge page or what the system reads
 * around a page. */
enum { SLACK = 3 * MIB };

static void costs_what_was_used(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    if (test_slow_tool()) {
        TEST_SKIP("resident size includes the tool's shadow memory");
    }
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        lgalloc_handle handle = zeroed(sizes[i]);
        size_t place = (sizes[i] / 2) & ~(4 * KIB - 1);
        size_t before = test_resident(), blocks = test_file(handle.len).allocated_size;
        /* Of small pages one; file systems may take larger ones. */
        size_t slack = sizes[i] < 2 * MIB && !file ? 48 * KIB : SLACK;
        for (size_t round = 0; round < 4; round++) {
            memset((char *)handle.ptr + place, 0xff, 4 * KIB);
            lgalloc_deallocate(handle);
            handle = zeroed(sizes[i]);
            assert_true(test_filled((char *)handle.ptr + place, 4 * KIB, 0));
            assert_true(test_resident() <= before + slack);
            assert_true(test_file(handle.len).allocated_size <= blocks + SLACK);
        }
        lgalloc_deallocate(handle);
        lgalloc_purge();
    }
}

/* What is there in many pieces, all of it, all but a page, and none, one after the other in the same region. */
static void any_pattern(void **state)
{
    (void)state;
    for (size_t bytes = 64 * KIB; bytes <= test_scale(32 * MIB, 2 * MIB); bytes *= 8) {
        lgalloc_handle handle = zeroed(bytes);
        for (size_t pattern = 0; pattern < 8; pattern++) {
            size_t step = pattern % 4 == 0 ? 4 * KIB : pattern % 4 == 1 ? 8 * KIB : pattern % 4 == 2 ? 68 * KIB : bytes;
            for (size_t at = 0; at + 4 * KIB <= bytes; at += step) {
                memset((char *)handle.ptr + at, 0xff, 4 * KIB);
            }
            if (pattern == 4) { /* it was there as a whole, and isn't now */
                assert_int_equal(lgalloc_discard(handle, 16 * KIB, 16 * KIB), LGALLOC_STATUS_OK);
            }
            lgalloc_deallocate(handle);
            handle = zeroed(bytes);
            assert_true(test_filled(handle.ptr, bytes, 0));
        }
        lgalloc_deallocate(handle);
        lgalloc_purge();
    }
}

/* Whatever can't be found out or given back: it is zero all the same. */
static void calls_fail(void **state)
{
    (void)state;
    static const struct {
        uint64_t calls;
        int error;
    } tries[] = {
        {UNIT_CALL(READ_MAPS), EINVAL},
        {UNIT_CALL(SEEK), EINVAL},
        {UNIT_CALL(ADVISE_DISCARD) | UNIT_CALL(ADVISE_REMOVE), EINVAL},
        {UNIT_CALL(READ_MAPS) | UNIT_CALL(SEEK) | UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(PUNCH), EINVAL},
        {UNIT_CALL(SEEK) | UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(ALLOCATE), EOPNOTSUPP},
    };
    for (size_t i = 0; i < TEST_COUNT(tries); i++) {
        for (size_t bytes = 64 * KIB; bytes <= 32 * MIB; bytes *= 8) {
            lgalloc_handle handle = zeroed(bytes);
            memset((char *)handle.ptr + bytes / 2, 0xff, 4 * KIB);
            lgalloc_deallocate(handle);
            unit_fault_arm(tries[i].calls, 0, UNIT_FOREVER, tries[i].error);
            handle = zeroed(bytes);
            unit_fault_off();
            assert_true(test_filled(handle.ptr, bytes, 0));
            lgalloc_deallocate(handle);
            lgalloc_purge();
        }
    }
}

/* Where neither holes are known nor any can be made, a full disk is a status; nothing is handed out, nothing is lost. */
static void full_disk(void **state)
{
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    uint64_t calls = UNIT_CALL(SEEK) | UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(ALLOCATE);
    lgalloc_handle handle = zeroed(2 * MIB), refused;
    void *ptr = NULL;
    size_t capacity = 1;
    memset(handle.ptr, 0xff, 4 * KIB);
    lgalloc_deallocate(handle);
    unit_fault_arm(calls, 0, UNIT_FOREVER, ENOSPC);
    lgalloc_status status = lgalloc_allocate_zeroed(2 * MIB, 1, 64, &ptr, &capacity, &refused);
    unit_fault_off();
    assert_int_equal(status, file ? LGALLOC_STATUS_IO : LGALLOC_STATUS_OK);
    if (file) {
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(capacity, 0);
        assert_int_equal(refused.len, 0);
        assert_ptr_equal(ptr, refused.ptr);
    }
    lgalloc_deallocate(refused);
    test_assert_equations();
    assert_int_equal(test_class(2 * MIB).in_use_regions, 0);
    handle = zeroed(2 * MIB);
    assert_true(test_filled(handle.ptr, handle.len, 0));
    lgalloc_deallocate(handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(used_sparsely), UNIT_BOTH(costs_what_was_used), UNIT_BOTH(any_pattern),
        UNIT_BOTH(calls_fail),    UNIT_BOTH(full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
