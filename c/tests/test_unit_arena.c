/*
 * The reservation: what is where in it, and how it shrinks when the system refuses. A process makes it once,
 * so every case is a child of its own.
 */

#include "internal.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct refusal {
    long times;   /* so many reservations are refused */
    size_t bytes; /* of an arena, that is got in the end */
};

static void lays_out(void)
{
    size_t arena = lg_layout_.arena_bytes;
    uintptr_t base = (uintptr_t)lg_arena_address(0);
    TEST_REQUIRE(arena != 0 && (arena & (arena - 1)) == 0 && base % arena == 0);
    TEST_REQUIRE(lg_layout_.chunks == arena / LG_CHUNK && lg_load_relaxed_64(&lg_chunks_count) == lg_layout_.chunks);
    TEST_REQUIRE(lg_layout_.classes != 0 && lg_layout_.classes <= LG_CLASS_COUNT);
    for (unsigned i = 0; i < LG_CLASS_COUNT; i++) {
        lg_class *c = lg_class_at(i);
        TEST_REQUIRE(c->log2 == LG_CLASS_MIN + i && lg_class_index(c) == i);
        TEST_REQUIRE((i < lg_layout_.classes) == (lg_class_size(c) <= arena));
        TEST_REQUIRE(lg_class_for(lg_class_size(c)) == (i < lg_layout_.classes ? c : NULL));
        if (i >= lg_layout_.classes) {
            TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == 0);
            continue;
        }
        /* Each class numbers its regions over the whole arena. */
        uint64_t regions = lg_class_room(c);
        TEST_REQUIRE(regions == arena / lg_class_size(c) && regions != 0);
        TEST_REQUIRE((uintptr_t)lg_region_address(c, 0) == base);
        TEST_REQUIRE((uintptr_t)lg_region_address(c, regions - 1) == base + arena - lg_class_size(c));
        /* A descriptor has a cache line of its own. */
        TEST_REQUIRE((uintptr_t)lg_descriptor_at(c, 0) % 64 == 0);
        TEST_REQUIRE((char *)lg_descriptor_at(c, 1) - (char *)lg_descriptor_at(c, 0) >= 64);
        TEST_REQUIRE(lg_chunk_regions(c) * lg_class_size(c) == lg_class_chunks(c) * LG_CHUNK);
    }
    TEST_REQUIRE(lg_layout_.threads_max >= 64);
}

/* Metadata of different kinds must not overlap, and ends where the arena begins. */
static void metadata_is_apart(void)
{
    uintptr_t at = 0;
    LG_EACH_CLASS(c) {
        uintptr_t words = (uintptr_t)c->bitmap_words;
        uintptr_t regions = (uintptr_t)lg_descriptor_at(c, 0);
        TEST_REQUIRE(words >= at);
        TEST_REQUIRE(regions >= words + 2 * lg_bitmap_words(lg_class_room(c)) * sizeof(lg_a64));
        at = (uintptr_t)lg_descriptor_at(c, lg_class_room(c));
    }
    TEST_REQUIRE((uintptr_t)lg_layout_.notes >= at);
    TEST_REQUIRE((uintptr_t)lg_layout_.threads >= (uintptr_t)lg_layout_.notes + lg_layout_.chunks * LG_NOTE_BYTES);
    uintptr_t end = (uintptr_t)lg_layout_.threads + lg_layout_.threads_max * LG_THREAD_BYTES;
    TEST_REQUIRE(end <= (uintptr_t)lg_arena_address(0));
}

static void enable(void)
{
    unit_fault_off();
    test_configure(LGALLOC_BACKING_ANONYMOUS);
}

static void every_class_answers(void)
{
    for (unsigned i = 0; i < LG_CLASS_COUNT; i++) {
        const lg_class *c = lg_class_at(i);
        lgalloc_handle handle;
        lgalloc_status status = lgalloc_allocate(lg_class_size(c), 1, 1, NULL, NULL, &handle);
        if (i >= lg_layout_.classes) {
            TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY && handle.len == 0);
            continue;
        }
        TEST_REQUIRE(status == LGALLOC_STATUS_OK);
        TEST_REQUIRE(handle.len == lg_class_size(c));
        TEST_REQUIRE((uintptr_t)handle.ptr % handle.len == 0);
        TEST_REQUIRE((size_t)((char *)handle.ptr - lg_arena_address(0)) < lg_layout_.arena_bytes);
        TEST_REQUIRE(lg_region_address(c, unit_index(handle)) == handle.ptr);
        test_mark(handle, i);
        TEST_REQUIRE(test_marked(handle, i));
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
        /* Every reservation was refused: nothing works, nothing breaks, and the next call tries again. */
        TEST_REQUIRE(status == LGALLOC_STATUS_OUT_OF_MEMORY && handle.len == 0);
        TEST_REQUIRE(!lg_ready() && lgalloc_purge() == 0);
        TEST_REQUIRE(test_global().reserved_address_bytes == 0);
        TEST_REQUIRE(test_equations(false) == NULL);
        unit_require_sound(true);
        unit_fault_off();
        status = lgalloc_allocate(64 * KIB, 1, 1, NULL, NULL, &handle);
        TEST_REQUIRE(lg_layout_.arena_bytes > 1 * GIB);
    } else {
        /* Under a tool the system refuses more than it is told to here. */
        TEST_REQUIRE(lg_layout_.arena_bytes == refusal->bytes || test_slow_tool());
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
    TEST_REQUIRE(lg_arena_init() == 0);
    _exit(__builtin_ctzl(lg_layout_.arena_bytes));
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
    /* The smallest arena is one chunk. */
    int step = 1;
    for (int log2 = largest_log2 - 1; log2 >= 25; log2 -= step) {
        struct refusal some = {largest_log2 - log2, (size_t)1 << log2};
        test_child_succeeds(with_refusals, &some);
        step = log2 > 36 || log2 < 29 ? 1 : 3;
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

static void grows_by_need(void *arg)
{
    enable();
    (void)unit_self();
    lg_class *c = unit_class(2 * MIB);
    TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == 0);
    uint64_t before = lg_load_relaxed_64(&lg_metadata_bytes);

    lg_lock_acquire(&lg_arena_lock);
    /* The bitmaps of both pools, their upper levels, the descriptors: what was done stays done. */
    unsigned refused = 0;
    unit_fault_arm(UNIT_CALL(COMMIT), 0, 1, ENOMEM);
    while (lg_class_extend(c, 0, 100) != 0) {
        TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == 0);
        refused++;
        unit_fault_arm(UNIT_CALL(COMMIT), 1, 1, ENOMEM);
    }
    unit_fault_off();
    TEST_REQUIRE(refused >= 2);
    TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == 100);
    TEST_REQUIRE(lg_load_relaxed_64(&lg_metadata_bytes) >= before + 100 * sizeof(lg_descriptor));
    for (uint64_t i = 0; i < 100; i++) {
        TEST_REQUIRE(unit_state(c, i) == LG_CLEAN);
        lg_store_relaxed_32(&lg_descriptor_at(c, i)->has_blocks, (uint32_t)i);
    }
    before = lg_load_relaxed_64(&lg_metadata_bytes);
    /* Never shrinks, and what is there stays. */
    TEST_REQUIRE(lg_class_extend(c, 20, 30) == 0);
    TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == 100);
    uint64_t most = lg_min(5000, lg_class_room(c));
    TEST_REQUIRE(lg_class_extend(c, most - 50, 50) == 0);
    TEST_REQUIRE(lg_load_relaxed_64(&c->limit) == most);
    for (uint64_t i = 0; i < most; i++) {
        TEST_REQUIRE(lg_load_relaxed_32(&lg_descriptor_at(c, i)->has_blocks) == (i < 100 ? i : 0));
        lg_store_relaxed_32(&lg_descriptor_at(c, i)->has_blocks, 0);
    }
    lg_lock_release(&lg_arena_lock);
    TEST_REQUIRE(test_global().metadata_bytes >= before + (most - 100) * sizeof(lg_descriptor));
}

static void descriptors_come_as_needed(void **state)
{
    test_child_succeeds(grows_by_need, NULL);
}

/* Every byte of the reservation belongs to one class; a handle is only what it says it is. */
static void pointers_speak_for_themselves(void *arg)
{
    enable();
    for (lg_class *c = lg_classes; c < lg_classes + lg_min(LG_CLASS_COUNT, 10); c++) {
        lgalloc_handle handle = test_take(lg_class_size(c));
        lg_class *cls = NULL;
        uint64_t index = 99;
        TEST_REQUIRE(lg_handle_find(handle, &cls, &index));
        TEST_REQUIRE(cls == c && lg_region_address(c, index) == handle.ptr);
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len / 2}, &cls, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len * 2}, &cls, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, handle.len + 1}, &cls, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){handle.ptr, 0}, &cls, &index));
        char *start = handle.ptr;
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + 1, handle.len}, &cls, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + handle.len / 2, handle.len}, &cls, &index));
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){start + handle.len, handle.len}, &cls, &index));
        void *last = lg_region_address(c, lg_class_room(c) - 1);
        TEST_REQUIRE(!lg_handle_find((lgalloc_handle){last, handle.len}, &cls, &index));
        lgalloc_deallocate(handle);
        TEST_REQUIRE(!lg_handle_find(handle, &cls, &index));
    }
    uintptr_t base = (uintptr_t)lg_arena_address(0);
    lg_class *cls;
    uint64_t index;
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)(base - 64 * KIB), 64 * KIB}, &cls, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)(base + lg_layout_.arena_bytes), 64 * KIB}, &cls, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){NULL, 64 * KIB}, &cls, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){&base, 64 * KIB}, &cls, &index));
    TEST_REQUIRE(!lg_handle_find((lgalloc_handle){(void *)UINTPTR_MAX, 64 * KIB}, &cls, &index));
}

/* ---------------------------------------------------------------- a fork in the middle */

static atomic_bool in_the_middle;
static atomic_bool may_go_on;

static int stop_in_the_middle(enum lg_system_call call)
{
    if (call == LG_SYS_RESERVE) {
        atomic_store(&in_the_middle, true);
        while (!atomic_load(&may_go_on)) {
            sched_yield();
        }
    }
    return 0;
}

static void *takes_one(void *arg)
{
    lgalloc_deallocate(test_take(MIB));
    return NULL;
}

/* The child of a raw system call has nobody who would release the lock of the thread that brings the allocator up. */
static void forks_in_the_middle(void *arg)
{
    enable();
    lg_os_fault = stop_in_the_middle;
    pthread_t thread;
    test_spawn(&thread, takes_one, NULL);
    while (!atomic_load(&in_the_middle)) {
        sched_yield();
    }
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        alarm(TEST_HANG_SECONDS);
        lg_os_fault = NULL;
        lgalloc_handle handle = test_take(MIB);
        test_mark(handle, 1);
        TEST_REQUIRE(test_marked(handle, 1) && lg_hot_usual());
        lgalloc_deallocate(handle);
        lays_out();
        unit_require_sound(false);
        _exit(0);
    }
    TEST_REQUIRE(child > 0);
    int status = -1;
    TEST_REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    atomic_store(&may_go_on, true);
    test_join(thread);
    unit_fault_off();
    lgalloc_deallocate(test_take(64 * KIB));
    TEST_REQUIRE(lg_hot_usual());
    unit_require_sound(false);
}

static void raw_fork_in_the_middle(void **state)
{
    TEST_SKIP_FORK_WITH_THREADS();
    test_child_succeeds(forks_in_the_middle, NULL);
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
        cmocka_unit_test(raw_fork_in_the_middle),
        cmocka_unit_test(descriptors_come_as_needed),
        cmocka_unit_test(finding_a_region_by_address),
    };
    return cmocka_run_group_tests(tests, find_largest, NULL);
}
