/*
 * The reservation: what is where in it, and how it shrinks when the system refuses. A process makes it once,
 * so every case is a child of its own.
 */

#include "internal.h"

#include <unistd.h>

struct refusal {
    long times;   /* so many reservations are refused */
    size_t bytes; /* of a stripe, that is got in the end */
};

static void lays_out(void)
{
    size_t stripe = lg_layout_.stripe_bytes;
    TEST_REQUIRE(stripe != 0 && (stripe & (stripe - 1)) == 0);
    TEST_REQUIRE(lg_layout_.reserved_bytes == LG_CLASS_COUNT * stripe);
    TEST_REQUIRE(lg_layout_.stripes != 0 && lg_layout_.stripes <= LG_CLASS_COUNT);
    uintptr_t base = lg_stripe_of(0)->base;
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        TEST_REQUIRE((c < lg_layout_.stripes) == (lg_class_size(c) <= stripe));
        if (c >= lg_layout_.stripes) {
            TEST_REQUIRE(lg_load_relaxed_64(&lg_stripe_of(c)->limit) == 0);
            continue;
        }
        /* Stripes are neighbours, aligned to their size. */
        TEST_REQUIRE(lg_stripe_of(c)->base == base + c * stripe);
        TEST_REQUIRE(lg_stripe_of(c)->base % stripe == 0);
        uint64_t regions = lg_stripe_regions(c);
        TEST_REQUIRE(regions == stripe / lg_class_size(c) && regions != 0);
        TEST_REQUIRE(lg_region_address(c, 0) == (void *)lg_stripe_of(c)->base);
        TEST_REQUIRE((uintptr_t)lg_region_address(c, regions - 1) ==
                     lg_stripe_of(c)->base + stripe - lg_class_size(c));
        /* A descriptor has a cache line of its own. */
        TEST_REQUIRE((uintptr_t)lg_region_at(c, 0) % 64 == 0);
        TEST_REQUIRE((char *)lg_region_at(c, 1) - (char *)lg_region_at(c, 0) >= 64);
        TEST_REQUIRE(lg_layout_.areas_max[c] != 0);
    }
    TEST_REQUIRE(lg_layout_.threads_max >= 64);
}

/* Metadata of different kinds must not overlap, and ends where the stripes begin. */
static void metadata_is_apart(void)
{
    uintptr_t at = 0;
    for (unsigned c = 0; c < lg_layout_.stripes; c++) {
        uintptr_t words = (uintptr_t)lg_layout_.bitmap_words[c];
        uintptr_t areas = (uintptr_t)lg_layout_.areas[c];
        uintptr_t regions = (uintptr_t)lg_region_at(c, 0);
        TEST_REQUIRE(words >= at);
        TEST_REQUIRE(areas >= words + 2 * lg_bitmap_words(lg_stripe_regions(c)) * sizeof(lg_a64));
        TEST_REQUIRE(regions >= areas + lg_layout_.areas_max[c] * sizeof(lg_area));
        at = (uintptr_t)lg_region_at(c, lg_stripe_regions(c));
    }
    TEST_REQUIRE((uintptr_t)lg_layout_.threads >= at);
    uintptr_t end = (uintptr_t)lg_layout_.threads + lg_layout_.threads_max * LG_THREAD_BYTES;
    TEST_REQUIRE(end <= lg_stripe_of(0)->base);
}

static void enable(void)
{
    unit_fault_off();
    test_configure(LGALLOC_BACKING_ANONYMOUS);
}

static void every_class_answers(void)
{
    for (unsigned c = 0; c < LG_CLASS_COUNT; c++) {
        lgalloc_handle handle;
        lgalloc_status status = lgalloc_allocate(lg_class_size(c), 1, 1, NULL, NULL, &handle);
        if (c >= lg_layout_.stripes) {
            TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY && handle.len == 0);
            continue;
        }
        TEST_REQUIRE(status == LGALLOC_STATUS_OK);
        TEST_REQUIRE(handle.len == lg_class_size(c));
        TEST_REQUIRE((uintptr_t)handle.ptr % handle.len == 0);
        TEST_REQUIRE((uintptr_t)handle.ptr - lg_stripe_of(c)->base < lg_layout_.stripe_bytes);
        TEST_REQUIRE(lg_region_address(c, unit_index(handle)) == handle.ptr);
        test_mark(handle, c);
        TEST_REQUIRE(test_marked(handle, c));
        lgalloc_deallocate(handle);
    }
    unit_require_sound(false);
    test_require_quiet(false);
    unit_require_sound(true);
}

static void with_refusals(void *arg)
{
    struct refusal *refusal = arg;
    enable();
    unit_fault_arm(UNIT_CALL(RESERVE), 0, refusal->times, ENOMEM);
    lgalloc_handle handle;
    lgalloc_status status = lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &handle);
    if (refusal->bytes == 0) {
        /* Nothing was to be had at all: nothing works, nothing breaks, and it is tried again. */
        TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY && handle.len == 0);
        TEST_REQUIRE(!lg_ready() && lgalloc_purge() == 0);
        TEST_REQUIRE(test_global().reserved_address_bytes == 0);
        TEST_REQUIRE(test_equations(false) == NULL);
        unit_require_sound(true);
        unit_fault_off();
        status = lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &handle);
        TEST_REQUIRE(lg_layout_.stripe_bytes > 1 * GIB);
    } else {
        /* Under a tool the system refuses more than it is told to here. */
        TEST_REQUIRE(lg_layout_.stripe_bytes == refusal->bytes || test_slow_tool());
    }
    TEST_REQUIRE(status == LGALLOC_STATUS_OK);
    lgalloc_deallocate(handle);
    lays_out();
    metadata_is_apart();
    every_class_answers();
}

/* What this system grants, as a child tells by its exit status. */
static void tells_largest(void *arg)
{
    TEST_REQUIRE(lg_stripe_init() == 0);
    _exit(__builtin_ctzl(lg_layout_.stripe_bytes));
}

static int largest_log2;

static int find_largest(void **state)
{
    int status = test_fork_status(tells_largest, NULL);
    largest_log2 = status >> 8 & 0xff;
    return status == largest_log2 << 8 ? 0 : -1;
}

static void nothing_refused(void **state)
{
    struct refusal none = {0, (size_t)1 << largest_log2};
    test_child_succeeds(with_refusals, &none);
}

static void halved_until_it_fits(void **state)
{
    if (test_slow_tool()) {
        TEST_SKIP("what the tool leaves of the address space is not known");
    }
    /* The smallest stripe still holds regions of 2 MiB. */
    int step = 1;
    for (int log2 = largest_log2 - 1; log2 >= 21; log2 -= step) {
        struct refusal some = {largest_log2 - log2, (size_t)1 << log2};
        test_child_succeeds(with_refusals, &some);
        step = log2 > 36 || log2 < 24 ? 1 : 3;
    }
}

static void half_is_enough(void **state)
{
    struct refusal one = {1, (size_t)1 << (largest_log2 - 1)};
    test_child_succeeds(with_refusals, &one);
}

static void refused_altogether(void **state)
{
    struct refusal all = {UNIT_FOREVER, 0};
    test_child_succeeds(with_refusals, &all);
}

/* ---------------------------------------------------------------- metadata */

/* Of so many descriptors, which begin at a page. */
static uint64_t pages_of(uint64_t regions)
{
    size_t start = 0, len = regions * sizeof(lg_region);
    lg_os_round_outward(&start, &len);
    return len;
}

static void grows_by_need(void *arg)
{
    enable();
    (void)unit_self();
    unsigned c = unit_class(2 * MIB);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_stripe_of(c)->limit) == 0);
    uint64_t before = lg_load_relaxed_64(&lg_metadata_bytes);

    unit_fault_arm(UNIT_CALL(COMMIT), 0, 1, ENOMEM);
    lg_lock_acquire(lg_class_lock(c));
    TEST_REQUIRE(lg_stripe_extend(c, 100) == ENOMEM);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_stripe_of(c)->limit) == 0);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_metadata_bytes) == before);
    TEST_REQUIRE(lg_stripe_extend(c, 100) == 0);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_stripe_of(c)->limit) == 100);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_metadata_bytes) == before + pages_of(100));
    for (uint64_t i = 0; i < 100; i++) {
        TEST_REQUIRE(unit_state(c, i) == LG_CLEAN);
        lg_store_relaxed_32(&lg_region_at(c, i)->has_blocks, (uint32_t)i);
    }
    /* Never shrinks, and what is there stays. */
    TEST_REQUIRE(lg_stripe_extend(c, 50) == 0);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_stripe_of(c)->limit) == 100);
    TEST_REQUIRE(lg_stripe_extend(c, 5000) == 0);
    for (uint64_t i = 0; i < 5000; i++) {
        TEST_REQUIRE(lg_load_relaxed_32(&lg_region_at(c, i)->has_blocks) == (i < 100 ? i : 0));
    }
    lg_lock_release(lg_class_lock(c));
    TEST_REQUIRE(test_global().metadata_bytes == before + pages_of(5000));
}

static void descriptors_come_as_needed(void **state)
{
    test_child_succeeds(grows_by_need, NULL);
}

/* Every byte of the reservation belongs to one class; a handle is only what it says it is. */
static void pointers_speak_for_themselves(void *arg)
{
    enable();
    for (unsigned c = 0; c < lg_min(LG_CLASS_COUNT, 10); c++) {
        lgalloc_handle handle = test_take(lg_class_size(c));
        unsigned class_index = 99;
        uint64_t index = 99;
        TEST_REQUIRE(lg_handle_find(handle, &class_index, &index));
        TEST_REQUIRE(class_index == c && lg_region_address(c, index) == handle.ptr);
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len / 2}, &class_index, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len * 2}, &class_index, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len + 1}, &class_index, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, 0}, &class_index, &index));
        char *start = handle.ptr;
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + 1, handle.len}, &class_index, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + handle.len / 2, handle.len}, &class_index, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + handle.len, handle.len}, &class_index, &index));
        void *last = lg_region_address(c, lg_stripe_regions(c) - 1);
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){last, handle.len}, &class_index, &index));
        lgalloc_deallocate(handle);
        TEST_REQUIRE(!lg_handle_find(handle, &class_index, &index));
    }
    uintptr_t base = lg_stripe_of(0)->base;
    unsigned class_index;
    uint64_t index;
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)(base - 64 * KIB), 64 * KIB}, &class_index, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)(base + lg_layout_.reserved_bytes), 64 * KIB},
                                 &class_index, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){NULL, 64 * KIB}, &class_index, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){&base, 64 * KIB}, &class_index, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)UINTPTR_MAX, 64 * KIB}, &class_index, &index));
}

static void finding_a_region_by_address(void **state)
{
    test_child_succeeds(pointers_speak_for_themselves, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_refused),
        cmocka_unit_test(half_is_enough),
        cmocka_unit_test(halved_until_it_fits),
        cmocka_unit_test(refused_altogether),
        cmocka_unit_test(descriptors_come_as_needed),
        cmocka_unit_test(finding_a_region_by_address),
    };
    return cmocka_run_group_tests(tests, find_largest, NULL);
}
