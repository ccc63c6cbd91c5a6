/* The Region API: vectors of fixed capacity on mapped memory, on the heap, or wherever they fit. */

#include "support.h"

#include <stdlib.h>
#include <string.h>

struct pair {
    uint64_t key;
    uint32_t value;
    uint32_t weight;
};

static void assert_holds_nothing(lgalloc_region *region, size_t elem_size, size_t elem_align)
{
    assert_non_null(region->ptr);
    assert_int_equal((uintptr_t)region->ptr % elem_align, 0);
    assert_int_equal(region->len, 0);
    assert_int_equal(region->capacity, elem_size == 0 ? SIZE_MAX : 0);
    assert_int_equal(region->elem_size, elem_size);
    assert_int_equal(region->mapped, 0);
    assert_true(lgalloc_region_is_empty(region));
    assert_false(lgalloc_region_is_mapped(region));
    assert_int_equal(lgalloc_region_len(region), 0);
    assert_int_equal(lgalloc_region_capacity(region), region->capacity);
    assert_int_equal(lgalloc_region_handle(region).len, 0);
}

/* What a failed constructor leaves: empty, and dropping is harmless, twice too. */
static void assert_failed(lgalloc_status got, lgalloc_status expected, lgalloc_region *region)
{
    assert_int_equal(got, expected);
    assert_non_null(region->ptr);
    assert_int_equal(region->len, 0);
    assert_int_equal(region->mapped, 0);
    assert_int_equal(lgalloc_region_handle(region).len, 0);
    lgalloc_region_drop(region);
    lgalloc_region_drop(region);
}

static lgalloc_region filled_with_junk(void)
{
    lgalloc_region region;
    memset(&region, 0xa5, sizeof region);
    return region;
}

static void empty_regions(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4 * MIB; align <<= 1) {
        lgalloc_region region = filled_with_junk();
        lgalloc_region_new_empty(24, align, &region);
        assert_holds_nothing(&region, 24, align);
        lgalloc_region_drop(&region);
        assert_holds_nothing(&region, 24, 1);
        lgalloc_region_drop(&region);
    }
    lgalloc_region region = filled_with_junk();
    lgalloc_region_new_empty(8, 3, &region); /* no power of two: taken as 1 */
    assert_holds_nothing(&region, 8, 1);
    uint64_t word = 1;
    assert_int_equal(lgalloc_region_extend_from_slice(&region, &word, 1), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_set_len(&region, 1), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_set_len(&region, 0), LGALLOC_STATUS_OK);
    lgalloc_region_clear(&region);
    size_t room = 99;
    assert_non_null(lgalloc_region_spare(&region, &room));
    assert_int_equal(room, 0);
    lgalloc_region_drop(&region);
}

typedef lgalloc_status constructor(size_t, size_t, size_t, lgalloc_region *);

static constructor *const constructors[] = {
    lgalloc_region_new_heap,
    lgalloc_region_new_mmap,
    lgalloc_region_new_auto,
};

static void nothing_to_hold(void **state)
{
    (void)state;
    for (size_t c = 0; c < TEST_COUNT(constructors); c++) {
        lgalloc_region region = filled_with_junk();
        assert_int_equal(constructors[c](0, 8, 8, &region), LGALLOC_STATUS_OK);
        assert_holds_nothing(&region, 8, 8);
        lgalloc_region_drop(&region);

        region = filled_with_junk();
        assert_int_equal(constructors[c](3, 0, 4096, &region), LGALLOC_STATUS_OK);
        assert_holds_nothing(&region, 0, 4096);
        assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, 1000), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_region_len(&region), 1000);
        assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, SIZE_MAX - 999),
                         LGALLOC_STATUS_CAPACITY_EXCEEDED);
        assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, SIZE_MAX - 1000), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_region_len(&region), SIZE_MAX);
        size_t room = 99;
        assert_non_null(lgalloc_region_spare(&region, &room));
        assert_int_equal(room, 0);
        assert_int_equal(lgalloc_region_set_len(&region, 7), LGALLOC_STATUS_OK);
        lgalloc_region_clear(&region);
        assert_true(lgalloc_region_is_empty(&region));
        lgalloc_region_drop(&region);
    }
}

static void invalid_arguments(void **state)
{
    (void)state;
    for (size_t c = 0; c < TEST_COUNT(constructors); c++) {
        constructor *make = constructors[c];
        lgalloc_region region = filled_with_junk();
        assert_failed(make(10, 8, 0, &region), LGALLOC_STATUS_INVALID_ARGUMENT, &region);
        region = filled_with_junk();
        assert_failed(make(10, 8, 24, &region), LGALLOC_STATUS_INVALID_ARGUMENT, &region);
        region = filled_with_junk();
        assert_failed(make(SIZE_MAX, 2, 1, &region), LGALLOC_STATUS_INVALID_ARGUMENT, &region);
        region = filled_with_junk();
        assert_failed(make(SIZE_MAX / 8 + 1, 8, 8, &region), LGALLOC_STATUS_INVALID_ARGUMENT, &region);
        assert_int_equal(make(2 * MIB, 1, 1, NULL), LGALLOC_STATUS_INVALID_ARGUMENT);
    }
    lgalloc_region_new_empty(1, 1, NULL);
    lgalloc_region_clear(NULL);
    lgalloc_region_drop(NULL);
    assert_int_equal(lgalloc_region_capacity(NULL), 0);
    assert_int_equal(lgalloc_region_len(NULL), 0);
    assert_true(lgalloc_region_is_empty(NULL));
    assert_false(lgalloc_region_is_mapped(NULL));
    assert_null(lgalloc_region_as_ptr(NULL));
    assert_null(lgalloc_region_as_mut_ptr(NULL));
    size_t room;
    assert_null(lgalloc_region_spare(NULL, &room));
    assert_int_equal(lgalloc_region_handle(NULL).len, 0);
    assert_int_equal(lgalloc_region_set_len(NULL, 0), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_region_extend_from_slice(NULL, NULL, 0), LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_heap(4, 8, 8, &region), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, 1), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_region_extend_from_slice(&region, NULL, 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_len(&region), 0);
    lgalloc_region_drop(&region);
}

/* A region as a vector, whichever memory it is on. */
static void use_as_vector(lgalloc_region *region, size_t at_least)
{
    size_t capacity = lgalloc_region_capacity(region);
    assert_true(capacity >= at_least);
    assert_int_equal(lgalloc_region_len(region), 0);
    assert_ptr_equal(lgalloc_region_as_ptr(region), region->ptr);
    assert_ptr_equal(lgalloc_region_as_mut_ptr(region), region->ptr);

    const struct pair four[] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 4), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 0), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 3), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_len(region), 7);
    assert_false(lgalloc_region_is_empty(region));
    const struct pair *pairs = lgalloc_region_as_ptr(region);
    assert_memory_equal(pairs, four, sizeof four);
    assert_memory_equal(pairs + 4, four, 3 * sizeof *four);

    size_t room;
    struct pair *spare = lgalloc_region_spare(region, &room);
    assert_ptr_equal(spare, (const struct pair *)region->ptr + 7);
    assert_int_equal(room, capacity - 7);
    assert_ptr_equal(lgalloc_region_spare(region, NULL), spare);
    for (size_t i = 0; i < room; i++) {
        spare[i] = (struct pair){i, 1, 2};
    }
    assert_int_equal(lgalloc_region_set_len(region, capacity), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_len(region), capacity);

    /* Full: nothing more fits, and nothing changes by trying. */
    lgalloc_region before = *region;
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 1), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, SIZE_MAX), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_set_len(region, capacity + 1), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_set_len(region, SIZE_MAX), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_memory_equal(&before, region, sizeof before);
    assert_int_equal(pairs[capacity - 1].key, room - 1);
    assert_non_null(lgalloc_region_spare(region, &room));
    assert_int_equal(room, 0);

    /* One too many is refused as a whole. */
    assert_int_equal(lgalloc_region_set_len(region, capacity - 3), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 4), LGALLOC_STATUS_CAPACITY_EXCEEDED);
    assert_int_equal(lgalloc_region_len(region), capacity - 3);
    assert_int_equal(pairs[capacity - 1].key, capacity - 8);
    assert_int_equal(lgalloc_region_extend_from_slice(region, four, 3), LGALLOC_STATUS_OK);

    lgalloc_region_clear(region);
    assert_int_equal(lgalloc_region_len(region), 0);
    assert_int_equal(lgalloc_region_capacity(region), capacity);
    assert_ptr_equal(lgalloc_region_as_ptr(region), pairs);
}

static void heap_regions(void **state)
{
    (void)state;
    lgalloc_region region = filled_with_junk();
    assert_int_equal(lgalloc_region_new_heap(1000, sizeof(struct pair), _Alignof(struct pair), &region),
                     LGALLOC_STATUS_OK);
    assert_int_equal(region.capacity, 1000);
    assert_false(lgalloc_region_is_mapped(&region));
    assert_int_equal(lgalloc_region_handle(&region).len, 0);
    use_as_vector(&region, 1000);
    lgalloc_region_drop(&region);
    assert_holds_nothing(&region, sizeof(struct pair), 1);
    lgalloc_region_drop(&region);
    for (size_t align = 1; align <= 2 * MIB; align <<= 1) {
        assert_int_equal(lgalloc_region_new_heap(3, 100, align, &region), LGALLOC_STATUS_OK);
        assert_int_equal((uintptr_t)region.ptr % align, 0);
        assert_int_equal(region.capacity, 3);
        memset(region.ptr, 1, 300);
        lgalloc_region_drop(&region);
    }
    assert_int_equal(test_global().in_use_bytes, 0);
}

static void heap_is_out(void **state)
{
    (void)state;
    if (test_slow_tool()) {
        TEST_SKIP("the tool's malloc reports requests of this size as errors");
    }
    lgalloc_region region = filled_with_junk();
    assert_failed(lgalloc_region_new_heap(SIZE_MAX, 1, 1, &region), LGALLOC_STATUS_OUT_OF_MEMORY, &region);
    region = filled_with_junk();
    assert_failed(lgalloc_region_new_heap(SIZE_MAX / 2 / 8, 8, 4096, &region), LGALLOC_STATUS_OUT_OF_MEMORY, &region);
    region = filled_with_junk();
    assert_failed(lgalloc_region_new_auto(SIZE_MAX / 2, 1, 1, &region), LGALLOC_STATUS_OUT_OF_MEMORY, &region);
}

static void mapped_regions(void **state)
{
    (void)state;
    lgalloc_region region = filled_with_junk();
    assert_int_equal(lgalloc_region_new_mmap(100000, sizeof(struct pair), _Alignof(struct pair), &region),
                     LGALLOC_STATUS_OK);
    assert_int_equal(region.mapped, 2 * MIB);
    assert_int_equal(region.capacity, 2 * MIB / sizeof(struct pair));
    assert_true(lgalloc_region_is_mapped(&region));
    assert_ptr_equal(lgalloc_region_handle(&region).ptr, region.ptr);
    assert_int_equal(lgalloc_region_handle(&region).len, 2 * MIB);
    assert_int_equal(test_global().in_use_bytes, 2 * MIB);
    use_as_vector(&region, 100000);
    lgalloc_region_drop(&region);
    assert_holds_nothing(&region, sizeof(struct pair), 1);
    assert_int_equal(test_global().in_use_bytes, 0);
    lgalloc_region_drop(&region);

    /* Elements that do not divide the region: only whole ones count. */
    assert_int_equal(lgalloc_region_new_mmap(1, 100001, 1, &region), LGALLOC_STATUS_OK);
    assert_int_equal(region.mapped, 128 * KIB);
    assert_int_equal(region.capacity, 1);
    lgalloc_region_drop(&region);

    region = filled_with_junk();
    assert_failed(lgalloc_region_new_mmap(1000, 8, 8, &region), LGALLOC_STATUS_INVALID_SIZE_CLASS, &region);
    region = filled_with_junk();
    assert_failed(lgalloc_region_new_mmap((size_t)1 << 34, 8, 8, &region), LGALLOC_STATUS_INVALID_SIZE_CLASS, &region);
    region = filled_with_junk();
    assert_failed(lgalloc_region_new_mmap(2 * MIB, 1, 4 * MIB, &region), LGALLOC_STATUS_UNALIGNED_MEMORY, &region);
}

static void automatic_regions(void **state)
{
    (void)state;
    uint64_t fallbacks = test_global().heap_fallbacks;
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_auto(2048, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_false(lgalloc_region_is_mapped(&region)); /* 32 KiB: the heap's */
    use_as_vector(&region, 2048);
    lgalloc_region_drop(&region);
    /* Rounded up it would have a size class, but only from 64 KiB on is it mapped. */
    assert_int_equal(lgalloc_region_new_auto(4095, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_false(lgalloc_region_is_mapped(&region));
    lgalloc_region_drop(&region);
    assert_int_equal(lgalloc_region_new_auto(4096, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_true(lgalloc_region_is_mapped(&region));
    assert_int_equal(region.mapped, 64 * KIB);
    use_as_vector(&region, 4096);
    lgalloc_region_drop(&region);
    assert_int_equal(lgalloc_region_new_auto(MIB, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_int_equal(region.mapped, 16 * MIB);
    lgalloc_region_drop(&region);
    /* None of this was a fallback: small sizes belong on the heap. */
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
}

static void automatic_falls_back(void **state)
{
    uint64_t fallbacks = test_global().heap_fallbacks;
    lgalloc_region region;

    lgalloc_config *config = test_config();
    lgalloc_config_disable(config);
    test_apply(config);
    assert_int_equal(lgalloc_region_new_auto(20000, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_false(lgalloc_region_is_mapped(&region));
    assert_int_equal(test_global().heap_fallbacks, fallbacks + 1);
    use_as_vector(&region, 20000);
    lgalloc_region_drop(&region);

    /* A directory that is not there is an I/O error, for file backing. */
    test_configure(test_backing(state));
    config = test_config();
    lgalloc_config_with_path(config, "/nonexistent/directory");
    test_apply(config);
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    assert_int_equal(lgalloc_region_new_auto(20000, 16, 16, &region), LGALLOC_STATUS_OK);
    assert_true(lgalloc_region_is_mapped(&region) == !file);
    assert_int_equal(test_global().heap_fallbacks, fallbacks + (file ? 2 : 1));
    lgalloc_region_drop(&region);
}

static void automatic_keeps_the_limit(void **state)
{
    (void)state;
    uint64_t fallbacks = test_global().heap_fallbacks;
    uint64_t refused = test_global().limit_failures;
    test_set_limit(2 * MIB);
    lgalloc_region first;
    assert_int_equal(lgalloc_region_new_auto(2 * MIB, 1, 1, &first), LGALLOC_STATUS_OK);
    assert_true(lgalloc_region_is_mapped(&first));
    lgalloc_region second = filled_with_junk();
    assert_failed(lgalloc_region_new_auto(2 * MIB, 1, 1, &second), LGALLOC_STATUS_OUT_OF_MEMORY, &second);
    assert_int_equal(test_global().heap_fallbacks, fallbacks);
    assert_true(test_global().limit_failures > refused);
    /* What never was mapped is not under the limit. */
    assert_int_equal(lgalloc_region_new_auto(32768, 1, 1, &second), LGALLOC_STATUS_OK);
    lgalloc_region_drop(&second);
    lgalloc_region_drop(&first);
    assert_int_equal(lgalloc_region_new_auto(2 * MIB, 1, 1, &first), LGALLOC_STATUS_OK);
    assert_true(lgalloc_region_is_mapped(&first));
    lgalloc_region_drop(&first);
}

/* The hints take a region's handle; the memory stays the region's. */
static void borrowed_handles(void **state)
{
    (void)state;
    lgalloc_region region;
    assert_int_equal(lgalloc_region_new_mmap(2 * MIB, 1, 1, &region), LGALLOC_STATUS_OK);
    memset(region.ptr, 7, region.mapped);
    assert_int_equal(lgalloc_region_set_len(&region, 10), LGALLOC_STATUS_OK);
    lgalloc_handle handle = lgalloc_region_handle(&region);
    assert_int_equal(lgalloc_prefetch(handle, 0, handle.len), LGALLOC_STATUS_OK);
    assert_int_equal(lgalloc_discard(handle, 0, handle.len), LGALLOC_STATUS_OK);
    assert_true(test_filled(region.ptr, region.mapped, 0));
    assert_int_equal(lgalloc_region_len(&region), 10);
    lgalloc_region_drop(&region);
    assert_int_equal(lgalloc_region_handle(&region).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(empty_regions),     TEST_BOTH(nothing_to_hold),      TEST_BOTH(invalid_arguments),
        TEST_BOTH(heap_regions),      TEST_ANONYMOUS(heap_is_out),     TEST_BOTH(mapped_regions),
        TEST_BOTH(automatic_regions), TEST_BOTH(automatic_falls_back), TEST_BOTH(automatic_keeps_the_limit),
        TEST_BOTH(borrowed_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
