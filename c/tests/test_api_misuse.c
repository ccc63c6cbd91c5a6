/*
 * Misuse is found in every build: one line on standard error names what was seen, then the process
 * aborts. Nothing goes to standard output.
 */

#include "support.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- what goes wrong */

#define BYTES (2 * MIB)

/* Each ends in a child, which inherits the configuration. */

static void free_twice(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_deallocate(handle);
    lgalloc_deallocate(handle);
}

static void free_twice_with_others_between(void *arg)
{
    (void)arg;
    lgalloc_handle handles[4];
    test_take_all(handles, 4, BYTES);
    test_free_all(handles, 4);
    lgalloc_deallocate(handles[1]);
}

static void *free_handle(void *arg)
{
    lgalloc_deallocate(*(lgalloc_handle *)arg);
    return NULL;
}

static void free_twice_on_another_thread(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_deallocate(handle);
    pthread_t thread;
    test_spawn(&thread, free_handle, &handle);
    test_join(thread);
}

static void free_after_another_thread_did(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    pthread_t thread;
    test_spawn(&thread, free_handle, &handle);
    test_join(thread);
    lgalloc_deallocate(handle);
}

static void free_what_is_in_the_shared_pool(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    lgalloc_deallocate(handle);
}

/* Another region keeps the area, so that this one is free and clean. */
static void free_what_is_clean(void *arg)
{
    (void)arg;
    lgalloc_handle other = test_take(BYTES);
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_deallocate(handle);
    TEST_REQUIRE(lgalloc_purge() > 0);
    TEST_REQUIRE(test_class(BYTES).in_use_regions == 1);
    (void)other;
    lgalloc_deallocate(handle);
}

static void free_what_is_released(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_deallocate(handle);
    TEST_REQUIRE(lgalloc_purge() > 0);
    lgalloc_deallocate(handle);
}

static void free_what_never_was_handed_out(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(GIB);
    handle.ptr = (char *)handle.ptr + 16 * GIB; /* in the size class's addresses, beyond all areas */
    lgalloc_deallocate(handle);
}

static void free_inside_a_region(void *arg)
{
    lgalloc_handle handle = test_take(BYTES);
    handle.ptr = (char *)handle.ptr + *(const size_t *)arg;
    lgalloc_deallocate(handle);
}

static void free_from_the_stack(void *arg)
{
    char here[64];
    (void)arg;
    lgalloc_deallocate((lgalloc_handle){here, BYTES});
}

static void free_from_the_heap(void *arg)
{
    (void)arg;
    void *heap = malloc(BYTES);
    TEST_REQUIRE(heap != NULL);
    lgalloc_deallocate((lgalloc_handle){heap, BYTES});
}

static void free_a_null_pointer(void *arg)
{
    (void)arg;
    lgalloc_deallocate((lgalloc_handle){NULL, BYTES});
}

static void free_the_last_address(void *arg)
{
    (void)arg;
    lgalloc_deallocate((lgalloc_handle){(void *)UINTPTR_MAX, BYTES});
}

static void free_with_length(void *arg)
{
    lgalloc_handle handle = test_take(BYTES);
    handle.len = *(const size_t *)arg;
    lgalloc_deallocate(handle);
}

static void drop_a_copy(void *arg)
{
    (void)arg;
    lgalloc_region region;
    TEST_REQUIRE(lgalloc_region_new_mmap(BYTES, 1, 1, &region) == LGALLOC_STATUS_OK);
    lgalloc_region copy = region;
    lgalloc_region_drop(&region);
    lgalloc_region_drop(&copy);
}

static void free_twice_while_disabled(void *arg)
{
    (void)arg;
    lgalloc_handle handle = test_take(BYTES);
    lgalloc_config *config = test_config();
    lgalloc_config_disable(config);
    test_apply(config);
    lgalloc_deallocate(handle);
    lgalloc_deallocate(handle);
}

/* The same by address alone. */

static void free_address(void *arg)
{
    lgalloc_free(arg);
}

static void free_sized_address(void *arg)
{
    lgalloc_free_sized(arg, BYTES);
}

static void free_address_twice(void *arg)
{
    (void)arg;
    void *ptr = lgalloc_malloc(BYTES);
    lgalloc_free(ptr);
    lgalloc_free(ptr);
}

static void free_sized_address_twice(void *arg)
{
    (void)arg;
    void *ptr = lgalloc_malloc(BYTES);
    lgalloc_free_sized(ptr, BYTES);
    lgalloc_free_sized(ptr, BYTES);
}

static void free_address_in_the_shared_pool(void *arg)
{
    (void)arg;
    void *ptr = lgalloc_malloc(BYTES);
    lgalloc_free(ptr);
    lgalloc_thread_flush();
    lgalloc_free(ptr);
}

static void free_address_inside(void *arg)
{
    lgalloc_free((char *)lgalloc_malloc(BYTES) + *(const size_t *)arg);
}

static void free_sized_inside(void *arg)
{
    lgalloc_free_sized((char *)lgalloc_malloc(BYTES) + *(const size_t *)arg, BYTES);
}

static void free_sized_wrongly(void *arg)
{
    lgalloc_free_sized(lgalloc_malloc(BYTES), *(const size_t *)arg);
}

/* What is not the address of a region that is free, but comes close to it, or to what the library may keep in its place. */

struct near_miss {
    void (*free_it)(void *ptr);
    uintptr_t (*miss)(uintptr_t address);
    void (*before)(void); /* what becomes of the free region first; may be NULL */
};

static uintptr_t one_more(uintptr_t address)
{
    return address + 1;
}

static uintptr_t one_less(uintptr_t address)
{
    return address - 1;
}

static uintptr_t two_more(uintptr_t address)
{
    return address + 2;
}

static uintptr_t negated(uintptr_t address)
{
    return 0 - address;
}

static uintptr_t inverted(uintptr_t address)
{
    return ~address;
}

static void deallocate_address(void *ptr)
{
    lgalloc_deallocate((lgalloc_handle){ptr, BYTES});
}

static void drop_address(void *ptr)
{
    lgalloc_region region = {.ptr = ptr, .capacity = BYTES, .elem_size = 1, .mapped = BYTES};
    lgalloc_region_drop(&region);
}

static void purge(void)
{
    TEST_REQUIRE(lgalloc_purge() > 0);
}

static void free_a_near_miss(void *arg)
{
    const struct near_miss *near_miss = arg;
    lgalloc_handle handle = test_take(BYTES); /* the first of the size class's addresses */
    lgalloc_handle other = test_take(BYTES);  /* keeps the area */
    (void)other;
    lgalloc_deallocate(handle);
    if (near_miss->before != NULL) {
        near_miss->before();
    }
    near_miss->free_it((void *)near_miss->miss((uintptr_t)handle.ptr));
}

/* ---------------------------------------------------------------- what must come of it */

static size_t inside_offsets[] = {1, 4096, 64 * KIB, MIB, BYTES - 1};
static size_t wrong_sizes[] = {0,       1, 64 * KIB, MIB, BYTES + 1, 2 * BYTES, 64 * GIB, 64 * GIB + 1, (size_t)1 << 63,
                               SIZE_MAX};
static size_t wrong_lengths[] = {1, BYTES - 1, BYTES + 1, MIB, 2 * BYTES, 64 * KIB, 64 * GIB, SIZE_MAX};

/* A word that tells this kind of misuse from the others. */
static const char *const twice[] = {"double free", "twice", NULL};
static const char *const foreign[] = {"foreign", "not a region", "not memory of", "never", NULL};
static const char *const inside[] = {"inside", NULL};
static const char *const length[] = {"length", NULL};

static bool says_one_of(const char *text, const char *const *words)
{
    char lower[8192];
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < sizeof lower; i++) {
        lower[i] = (char)tolower((unsigned char)text[i]);
    }
    lower[i] = '\0';
    for (; *words != NULL; words++) {
        if (strstr(lower, *words) != NULL) {
            return true;
        }
    }
    return false;
}

static void assert_caught(const char *name, void (*misuse)(void *), void *arg, const char *const *words)
{
    struct test_child child;
    print_message("%s: ", name);
    test_child_aborts(misuse, arg, &child);
    print_message("%s", child.errors[0] != '\0' ? child.errors : "nothing said\n");
    const char *newline = strchr(child.errors, '\n');
    assert_non_null(newline);
    assert_true(newline > child.errors);
    assert_int_equal(newline[1], '\0');
    assert_non_null(strstr(child.errors, "lgalloc"));
    if (!says_one_of(child.errors, words)) {
        fail_msg("%s: the line does not name it: %s", name, child.errors);
    }
}

static void assert_caught_everywhere(lgalloc_backing backing)
{
    test_configure(backing);
    assert_caught("freed twice", free_twice, NULL, twice);
    assert_caught("freed twice, others between", free_twice_with_others_between, NULL, twice);
    assert_caught("freed twice, on another thread", free_twice_on_another_thread, NULL, twice);
    assert_caught("freed after another thread did", free_after_another_thread_did, NULL, twice);
    assert_caught("in the shared pool", free_what_is_in_the_shared_pool, NULL, twice);
    assert_caught("free and clean", free_what_is_clean, NULL, twice);
    assert_caught("freed twice while disabled", free_twice_while_disabled, NULL, twice);
    assert_caught("copy of a region dropped", drop_a_copy, NULL, twice);
    const char *gone[16] = {NULL};
    size_t count = 0;
    for (const char *const *word = twice; *word != NULL; word++) {
        gone[count++] = *word;
    }
    for (const char *const *word = foreign; *word != NULL; word++) {
        gone[count++] = *word;
    }
    assert_true(count < TEST_COUNT(gone));
    assert_caught("area released", free_what_is_released, NULL, gone);
    if (test_class_room(GIB) >= 64) {
        assert_caught("never handed out", free_what_never_was_handed_out, NULL, gone);
    }
    for (size_t i = 0; i < TEST_COUNT(inside_offsets); i++) {
        assert_caught("inside a region", free_inside_a_region, &inside_offsets[i], inside);
    }
    assert_caught("on the stack", free_from_the_stack, NULL, foreign);
    assert_caught("on the heap", free_from_the_heap, NULL, foreign);
    assert_caught("a null pointer with a length", free_a_null_pointer, NULL, foreign);
    assert_caught("the last address", free_the_last_address, NULL, foreign);
    for (size_t i = 0; i < TEST_COUNT(wrong_lengths); i++) {
        assert_caught("wrong length", free_with_length, &wrong_lengths[i], length);
    }
}

static void assert_addresses_caught(lgalloc_backing backing)
{
    test_configure(backing);
    assert_caught("address freed twice", free_address_twice, NULL, twice);
    assert_caught("address freed twice, sized", free_sized_address_twice, NULL, twice);
    assert_caught("address in the shared pool", free_address_in_the_shared_pool, NULL, twice);
    for (size_t i = 0; i < TEST_COUNT(inside_offsets); i++) {
        assert_caught("address inside a region", free_address_inside, &inside_offsets[i], inside);
        assert_caught("address inside a region, sized", free_sized_inside, &inside_offsets[i], inside);
    }
    for (size_t i = 0; i < TEST_COUNT(wrong_sizes); i++) {
        assert_caught("wrong size", free_sized_wrongly, &wrong_sizes[i], length);
    }
}

static void assert_near_misses_caught(lgalloc_backing backing)
{
    static void (*const frees[])(void *) = {free_address, free_sized_address, deallocate_address, drop_address};
    static uintptr_t (*const misses[])(uintptr_t) = {one_more, one_less, two_more, negated, inverted};
    static void (*const befores[])(void) = {NULL, lgalloc_thread_flush, purge};
    static const char *const any[] = {"inside", "not memory of", "never", "length", NULL};
    test_configure(backing);
    for (size_t i = 0; i < TEST_COUNT(frees) * TEST_COUNT(misses) * TEST_COUNT(befores); i++) {
        struct near_miss near_miss = {frees[i % TEST_COUNT(frees)], misses[i / TEST_COUNT(frees) % TEST_COUNT(misses)],
                                      befores[i / TEST_COUNT(frees) / TEST_COUNT(misses)]};
        assert_caught("near a free region", free_a_near_miss, &near_miss, any);
    }
}

static void foreign_addresses(void **state)
{
    (void)state;
    char here[64];
    void *const addresses[] = {here,
                               (void *)1,
                               (void *)2,
                               (void *)8,
                               (void *)20,
                               (void *)(64 * KIB),
                               (void *)GIB,
                               (void *)(UINTPTR_MAX / 2),
                               (void *)(UINTPTR_MAX - 1),
                               (void *)UINTPTR_MAX};
    for (size_t i = 0; i < TEST_COUNT(addresses); i++) {
        assert_caught("foreign address", free_address, addresses[i], foreign);
        assert_caught("foreign address, sized", free_sized_address, addresses[i], foreign);
    }
}

static void file_backing(void **state)
{
    (void)state;
    assert_caught_everywhere(LGALLOC_BACKING_FILE);
    assert_addresses_caught(LGALLOC_BACKING_FILE);
    assert_near_misses_caught(LGALLOC_BACKING_FILE);
    foreign_addresses(state);
}

static void anonymous_backing(void **state)
{
    (void)state;
    assert_caught_everywhere(LGALLOC_BACKING_ANONYMOUS);
    assert_addresses_caught(LGALLOC_BACKING_ANONYMOUS);
}

/* Before anything was configured every pointer is foreign. */
static void without_configuration(void **state)
{
    (void)state;
    assert_caught("on the stack, unconfigured", free_from_the_stack, NULL, foreign);
}

static void *const nowhere[] = {NULL, (void *)1, (void *)8, (void *)(64 * KIB), (void *)GIB, (void *)UINTPTR_MAX};

/* The very first call of a process: the library has no addresses, and gets none for this. */
static void frees_nothing_first(void *arg)
{
    errno = 4711;
    lgalloc_deallocate((lgalloc_handle){*(void *const *)arg, 0});
    TEST_REQUIRE(errno == 4711);
    TEST_REQUIRE(test_global().reserved_address_bytes == 0);
    for (size_t i = 0; i < TEST_COUNT(nowhere); i++) {
        lgalloc_deallocate((lgalloc_handle){nowhere[i], 0});
    }
    test_configure(LGALLOC_BACKING_FILE);
    test_require_works(BYTES);
    lgalloc_deallocate((lgalloc_handle){*(void *const *)arg, 0});
    test_require_quiet(false);
}

static void nothing_freed_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < TEST_COUNT(nowhere); i++) {
        void *ptr = nowhere[i];
        test_child_succeeds(frees_nothing_first, &ptr);
    }
}

static void uses_everything(void *arg)
{
    test_configure(*(const lgalloc_backing *)arg);
    lgalloc_handle handle = test_take(BYTES);
    test_mark(handle, 1);
    lgalloc_deallocate((lgalloc_handle){handle.ptr, 0}); /* holds nothing */
    lgalloc_deallocate((lgalloc_handle){NULL, 0});
    TEST_REQUIRE(test_marked(handle, 1));
    lgalloc_deallocate(handle);
    TEST_REQUIRE(lgalloc_allocate(1, 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK);
    TEST_REQUIRE(lgalloc_discard((lgalloc_handle){&handle, BYTES}, 0, BYTES) == LGALLOC_STATUS_INVALID_ARGUMENT);
    lgalloc_config *config = test_config();
    lgalloc_config_with_path(config, "/nonexistent/directory");
    lgalloc_config_with_background(config, 1000000, 0, 0);
    test_apply(config);
    (void)lgalloc_allocate(BYTES, 1, 1, NULL, NULL, &handle);
    lgalloc_deallocate(handle);
    test_set_background(0, 0, 0);
    TEST_REQUIRE(test_not_quiet(false) == NULL);
}

/* Errors are statuses: without misuse nothing is ever printed. */
static void otherwise_silent(void **state)
{
    (void)state;
    for (lgalloc_backing backing = LGALLOC_BACKING_FILE; backing <= LGALLOC_BACKING_ANONYMOUS; backing++) {
        test_child_succeeds(uses_everything, &backing);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* In this order: the first three see a process that has called nothing. */
        cmocka_unit_test(nothing_freed_first), cmocka_unit_test(without_configuration),
        cmocka_unit_test(foreign_addresses),   cmocka_unit_test(otherwise_silent),
        cmocka_unit_test(file_backing),        cmocka_unit_test(anonymous_backing),
    };
    (void)test_dir(); /* made by this process, so that it is removed by it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
