/* Raw allocations: every status, what is set on failure, rounding to size classes, alignment. */

#include "support.h"

#include <errno.h>
#include <string.h>

#define CLASS_MAX ((size_t)1 << LGALLOC_SIZE_CLASS_MAX_LOG2)

/* One allocation with all that it says. */
struct outcome {
    lgalloc_status status;
    void *ptr;
    size_t capacity;
    lgalloc_handle handle;
    int error;
};

/* Starts from values that no call may leave behind. */
static struct outcome attempt(size_t capacity, size_t elem_size, size_t elem_align)
{
    static char untouched;
    struct outcome o = {LGALLOC_STATUS_OK, NULL, 12345, {&untouched, 54321}, 0};
    errno = 0;
    o.status = lgalloc_allocate(capacity, elem_size, elem_align, &o.ptr, &o.capacity, &o.handle);
    o.error = errno;
    return o;
}

/* What any failure leaves: an empty value that can be freed any number of times. */
static void assert_failed(struct outcome o, lgalloc_status status)
{
    assert_int_equal(o.status, status);
    assert_non_null(o.ptr);
    assert_int_equal(o.capacity, 0);
    assert_non_null(o.handle.ptr);
    assert_int_equal(o.handle.len, 0);
    lgalloc_deallocate(o.handle);
    lgalloc_deallocate(o.handle);
}

/* What success without memory leaves. */
static void assert_empty(struct outcome o, size_t capacity, size_t elem_align)
{
    assert_int_equal(o.status, LGALLOC_STATUS_OK);
    assert_non_null(o.ptr);
    assert_int_equal((uintptr_t)o.ptr % elem_align, 0);
    assert_int_equal(o.capacity, capacity);
    assert_int_equal(o.handle.len, 0);
    lgalloc_deallocate(o.handle);
}

static void assert_region(struct outcome o, size_t len, size_t elem_size)
{
    assert_int_equal(o.status, LGALLOC_STATUS_OK);
    assert_int_equal(o.handle.len, len);
    assert_ptr_equal(o.ptr, o.handle.ptr);
    assert_int_equal((uintptr_t)o.ptr % len, 0);
    assert_int_equal(o.capacity, len / elem_size);
}

/* ---------------------------------------------------------------- before anything is configured */

static void status_texts(void **state)
{
    (void)state;
    const char *seen[11];
    for (lgalloc_status s = LGALLOC_STATUS_OK; s <= LGALLOC_STATUS_BUSY; s++) {
        seen[s] = lgalloc_status_str(s);
        assert_non_null(seen[s]);
        assert_true(strlen(seen[s]) > 0);
        for (lgalloc_status earlier = 0; earlier < s; earlier++) {
            assert_string_not_equal(seen[s], seen[earlier]);
        }
    }
    assert_non_null(lgalloc_status_str(-1));
    assert_non_null(lgalloc_status_str(11));
    assert_non_null(lgalloc_status_str(INT32_MAX));
    assert_non_null(lgalloc_status_str(INT32_MIN));
}

static void version_is_that_of_the_header(void **state)
{
    (void)state;
    assert_int_equal(lgalloc_version(), LGALLOC_VERSION);
    assert_int_equal(lgalloc_version() >> 16, LGALLOC_VERSION_MAJOR);
    assert_int_equal(lgalloc_version() >> 8 & 0xff, LGALLOC_VERSION_MINOR);
    assert_int_equal(lgalloc_version() & 0xff, LGALLOC_VERSION_PATCH);
}

static void disabled_until_enabled(void **state)
{
    (void)state;
    assert_failed(attempt(2 * MIB, 1, 1), LGALLOC_STATUS_DISABLED);
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_mmap(2 * MIB, 1, 1, &region), LGALLOC_STATUS_DISABLED);
    lgalloc_region_drop(&region);
    assert_empty(attempt(0, 1, 1), 0, 1);
    assert_empty(attempt(1, 0, 1), SIZE_MAX, 1);
    lgalloc_thread_flush();
    assert_int_equal(lgalloc_purge(), 0);
    assert_int_equal(lgalloc_stats(NULL, 0), LGALLOC_SIZE_CLASS_COUNT);
    assert_null(test_equations(false));

    /* Options that are not about being enabled leave it as it is. */
    lgalloc_config *config = test_config();
    lgalloc_config_with_backing(config, LGALLOC_BACKING_ANONYMOUS);
    test_apply(config);
    assert_failed(attempt(2 * MIB, 1, 1), LGALLOC_STATUS_DISABLED);
}

static void file_backing_needs_a_path(void **state)
{
    (void)state;
    lgalloc_config *config = test_config();
    lgalloc_config_enable(config);
    lgalloc_config_with_backing(config, LGALLOC_BACKING_FILE);
    test_apply(config);
    struct outcome o = attempt(2 * MIB, 1, 1);
    assert_int_equal(o.error, ENOENT);
    assert_failed(o, LGALLOC_STATUS_IO);

    config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, test_dir()), LGALLOC_STATUS_OK);
    test_apply(config);
    o = attempt(2 * MIB, 1, 1);
    assert_region(o, 2 * MIB, 1);
    lgalloc_deallocate(o.handle);
    test_assert_quiet();
}

/* ---------------------------------------------------------------- arguments */

static void invalid_arguments(void **state)
{
    (void)state;
    assert_failed(attempt(2 * MIB, 1, 0), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(2 * MIB, 1, 3), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(2 * MIB, 1, SIZE_MAX), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(0, 1, 6), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(1, 0, 12), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(SIZE_MAX, 2, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(SIZE_MAX / 2 + 1, 2, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt((size_t)1 << 33, (size_t)1 << 31, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_failed(attempt(((size_t)1 << 48) + 1, (size_t)1 << 16, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, NULL, NULL, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    void *ptr;
    size_t capacity;
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, &ptr, &capacity, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_allocate_zeroed(2 * MIB, 1, 1, &ptr, &capacity, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate_zeroed(SIZE_MAX, 2, 1, &ptr, &capacity, &handle),
                     LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(handle.len, 0);
    assert_int_equal(test_global().in_use_bytes, 0);
}

static void out_pointers_that_are_not_wanted(void **state)
{
    (void)state;
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_OK);
    assert_int_equal(handle.len, 2 * MIB);
    lgalloc_deallocate(handle);
    void *ptr;
    assert_int_equal(lgalloc_allocate(2 * MIB, 1, 1, &ptr, NULL, &handle), LGALLOC_STATUS_OK);
    assert_ptr_equal(ptr, handle.ptr);
    lgalloc_deallocate(handle);
    size_t capacity;
    assert_int_equal(lgalloc_allocate_zeroed(2 * MIB, 4, 4, NULL, &capacity, &handle), LGALLOC_STATUS_OK);
    assert_int_equal(capacity, handle.len / 4);
    lgalloc_deallocate(handle);
    assert_int_equal(lgalloc_allocate(1, 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_int_equal(handle.len, 0);
}

static void nothing_to_allocate(void **state)
{
    (void)state;
    size_t before = test_global().area_bytes;
    for (size_t align = 1; align != 0; align <<= 1) {
        assert_empty(attempt(0, 8, align), 0, align);
        assert_empty(attempt(17, 0, align), SIZE_MAX, align);
        assert_empty(attempt(0, 0, align), SIZE_MAX, align);
        assert_empty(attempt(SIZE_MAX, 0, align), SIZE_MAX, align);
    }
    assert_int_equal(test_global().area_bytes, before);
    assert_int_equal(test_global().in_use_bytes, 0);
}

/* ---------------------------------------------------------------- size classes */

static void rounding_up(void **state)
{
    (void)state;
    assert_failed(attempt(1, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(4097, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(32768, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    static const struct {
        size_t capacity, elem_size, len;
    } rows[] = {
        {32769, 1, 64 * KIB}, {65536, 1, 64 * KIB},        {65537, 1, 128 * KIB}, {8193, 8, 128 * KIB},
        {8192, 8, 64 * KIB},  {1, 2 * MIB, 2 * MIB},       {3, MIB, 4 * MIB},     {1, MIB + 1, 2 * MIB},
        {1000, 1000, MIB},    {32 * MIB - 1, 1, 32 * MIB}, {5, 13107, 64 * KIB},  {64, 1024, 64 * KIB},
    };
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        struct outcome o = attempt(rows[i].capacity, rows[i].elem_size, 1);
        assert_region(o, rows[i].len, rows[i].elem_size);
        test_mark(o.handle, i);
        assert_true(test_marked(o.handle, i));
        assert_int_equal(test_class(rows[i].len).in_use_regions, 1);
        lgalloc_deallocate(o.handle);
        assert_int_equal(test_class(rows[i].len).in_use_regions, 0);
    }
}

/* One region of every class; the large ones are address space only, nothing of them is touched but the ends. */
static void every_class(void **state)
{
    (void)state;
    /* Memory checkers keep notes on every byte of a region, touched or not. */
    size_t largest = test_slow_tool() ? 30 : LGALLOC_SIZE_CLASS_MAX_LOG2;
    for (size_t log2 = LGALLOC_SIZE_CLASS_MIN_LOG2; log2 <= largest; log2++) {
        size_t bytes = (size_t)1 << log2;
        struct outcome o = attempt(bytes, 1, 1);
        if (test_class_room(bytes) == 0) {
            /* Little address space, as tools leave it: the class has no place. */
            assert_failed(o, LGALLOC_STATUS_OUT_OF_MEMORY);
            continue;
        }
        if (o.status == LGALLOC_STATUS_IO && o.error == EFBIG) {
            assert_failed(o, LGALLOC_STATUS_IO); /* A file system with small files. */
            continue;
        }
        assert_region(o, bytes, 1);
        volatile unsigned char *memory = o.ptr;
        memory[0] = 1;
        memory[bytes - 1] = 2;
        assert_int_equal(memory[0] + memory[bytes - 1], 3);
        assert_int_equal(test_class(bytes).in_use_regions, 1);
        assert_int_equal(test_global().in_use_bytes, bytes);
        lgalloc_deallocate(o.handle);
    }
}

static void too_large(void **state)
{
    (void)state;
    assert_failed(attempt(CLASS_MAX + 1, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(CLASS_MAX / 8 + 1, 8, 8), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(SIZE_MAX, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(1, SIZE_MAX, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_failed(attempt(SIZE_MAX / 2 + 2, 1, 1), LGALLOC_STATUS_INVALID_SIZE_CLASS);
    assert_int_equal(test_global().in_use_bytes, 0);
}

/* ---------------------------------------------------------------- alignment */

static void alignment(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 64 * KIB; align <<= 1) {
        struct outcome o = attempt(64 * KIB / 16, 16, align);
        assert_region(o, 64 * KIB, 16);
        assert_int_equal((uintptr_t)o.ptr % align, 0);
        lgalloc_deallocate(o.handle);
    }
    struct outcome o = attempt(100, 8192, 8192);
    assert_region(o, MIB, 8192);
    lgalloc_deallocate(o.handle);
    o = attempt(1, 2 * MIB, 2 * MIB);
    assert_region(o, 2 * MIB, 2 * MIB);
    lgalloc_deallocate(o.handle);
    assert_failed(attempt(64 * KIB, 1, 128 * KIB), LGALLOC_STATUS_UNALIGNED_MEMORY);
    assert_failed(attempt(2 * MIB, 1, 4 * MIB), LGALLOC_STATUS_UNALIGNED_MEMORY);
    assert_failed(attempt(2 * MIB, 1, (size_t)1 << 63), LGALLOC_STATUS_UNALIGNED_MEMORY);
    lgalloc_handle handle;
    assert_int_equal(lgalloc_allocate_zeroed(2 * MIB, 1, 4 * MIB, NULL, NULL, &handle),
                     LGALLOC_STATUS_UNALIGNED_MEMORY);
    assert_int_equal(handle.len, 0);
    assert_int_equal(test_global().in_use_bytes, 0);
}

/* ---------------------------------------------------------------- many at once */

/* Regions in use never overlap, and each keeps what was written to it. */
static void regions_are_distinct(void **state)
{
    (void)state;
    enum { PER_CLASS = 40 };
    static const size_t classes[] = {64 * KIB, 128 * KIB, 256 * KIB, MIB, 2 * MIB};
    lgalloc_handle handles[TEST_COUNT(classes)][PER_CLASS];
    for (size_t i = 0; i < PER_CLASS; i++) {
        for (size_t c = 0; c < TEST_COUNT(classes); c++) {
            handles[c][i] = test_take(classes[c]);
            test_mark(handles[c][i], c * PER_CLASS + i);
        }
    }
    for (size_t c = 0; c < TEST_COUNT(classes); c++) {
        assert_int_equal(test_class(classes[c]).in_use_regions, PER_CLASS);
        for (size_t i = 0; i < PER_CLASS; i++) {
            assert_true(test_marked(handles[c][i], c * PER_CLASS + i));
        }
        test_free_all(handles[c], PER_CLASS);
    }
}

/* The last region freed is the next one handed out: it is the one that is in the processor's caches. */
static void hot_memory_comes_first(void **state)
{
    (void)state;
    lgalloc_handle first = test_take(2 * MIB);
    lgalloc_handle second = test_take(2 * MIB);
    lgalloc_deallocate(first);
    lgalloc_deallocate(second);
    lgalloc_handle again = test_take(2 * MIB);
    assert_ptr_equal(again.ptr, second.ptr);
    lgalloc_deallocate(again);
}

static void freeing_keeps_errno(void **state)
{
    (void)state;
    lgalloc_handle handles[64];
    test_take_all(handles, TEST_COUNT(handles), MIB);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        errno = 4711;
        lgalloc_deallocate(handles[i]); /* more than the cache holds */
        assert_int_equal(errno, 4711);
    }
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_mmap(MIB, 1, 1, &region), LGALLOC_STATUS_OK);
    errno = 4711;
    lgalloc_region_drop(&region);
    assert_int_equal(errno, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* In this order: the first ones see a process that has configured nothing. */
        cmocka_unit_test(status_texts),
        cmocka_unit_test(version_is_that_of_the_header),
        cmocka_unit_test(disabled_until_enabled),
        cmocka_unit_test(file_backing_needs_a_path),
        TEST_BOTH(invalid_arguments),
        TEST_BOTH(out_pointers_that_are_not_wanted),
        TEST_BOTH(nothing_to_allocate),
        TEST_BOTH(rounding_up),
        TEST_BOTH(every_class),
        TEST_BOTH(too_large),
        TEST_BOTH(alignment),
        TEST_BOTH(regions_are_distinct),
        TEST_BOTH(hot_memory_comes_first),
        TEST_BOTH(freeing_keeps_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
