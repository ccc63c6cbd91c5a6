#define _GNU_SOURCE /* mremap() */
/* By address alone: whose an address is, how much may be used there, and realloc. */

#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static lgalloc_handle held(void *ptr, size_t len)
{
    return (lgalloc_handle){ptr, len};
}

/* realloc() that must fail; errno starts from a value that none leaves. */
static int refused(void *ptr, size_t size)
{
    errno = 4711;
    assert_null(lgalloc_realloc(ptr, size));
    return errno;
}

/* Whether pages move here: Linux 5.7, and nothing in the way that stands in for the kernel. */
static bool pages_move(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    void *moved = mremap(page, 4096, 4096, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, NULL);
    if (moved != MAP_FAILED) {
        munmap(moved, 4096);
    }
    munmap(page, 4096);
    return moved != MAP_FAILED;
}

/* ---------------------------------------------------------------- before anything is configured */

static void nothing_is_owned(void **state)
{
    (void)state;
    int local = 0;
    assert_int_equal(lgalloc_usable_size(NULL), 0);
    assert_int_equal(lgalloc_usable_size(&local), 0);
    assert_false(lgalloc_owns(NULL));
    assert_false(lgalloc_owns(&local));
    assert_int_equal(refused(NULL, 2 * MIB), EPERM);
    assert_int_equal(refused(NULL, 1), EINVAL);
    assert_int_equal(test_global().reserved_address_bytes, 0);
}

/* ---------------------------------------------------------------- what an address says */

static void what_an_address_says(void **state)
{
    (void)state;
    static const size_t sizes[] = {64 * KIB, 2 * MIB, 64 * MIB};
    int local = 0;
    void *heap = malloc(2 * MIB);
    assert_non_null(heap);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        char *ptr = lgalloc_malloc(sizes[i] - 100);
        assert_non_null(ptr);
        assert_int_equal(lgalloc_usable_size(ptr), sizes[i]);
        assert_true(lgalloc_owns(ptr));
        static const size_t inside[] = {1, 4096, 32 * KIB};
        for (size_t j = 0; j < TEST_COUNT(inside); j++) {
            assert_int_equal(lgalloc_usable_size(ptr + inside[j]), 0);
            assert_true(lgalloc_owns(ptr + inside[j]));
        }
        assert_true(lgalloc_owns(ptr + sizes[i] - 1));
        lgalloc_free(ptr);
        assert_int_equal(lgalloc_usable_size(ptr), 0);
        assert_true(lgalloc_owns(ptr));
        lgalloc_purge();
        assert_int_equal(lgalloc_usable_size(ptr), 0);
        assert_true(lgalloc_owns(ptr));
    }
    assert_false(lgalloc_owns(NULL));
    assert_false(lgalloc_owns(heap));
    assert_false(lgalloc_owns(&local));
    assert_false(lgalloc_owns((void *)UINTPTR_MAX));
    assert_int_equal(lgalloc_usable_size(NULL), 0);
    assert_int_equal(lgalloc_usable_size(heap), 0);
    assert_int_equal(lgalloc_usable_size(&local), 0);
    assert_int_equal(lgalloc_usable_size((void *)UINTPTR_MAX), 0);
    assert_int_equal(lgalloc_usable_size((void *)((uintptr_t)1 << 63)), 0);
    free(heap);
}

/* ---------------------------------------------------------------- realloc */

static void from_nothing(void **state)
{
    (void)state;
    void *ptr = lgalloc_realloc(NULL, MIB);
    assert_non_null(ptr);
    assert_int_equal(lgalloc_usable_size(ptr), MIB);
    lgalloc_free(ptr);
}

static void stays_in_its_size_class(void **state)
{
    (void)state;
    char *ptr = lgalloc_malloc(2 * MIB);
    assert_non_null(ptr);
    test_mark(held(ptr, 2 * MIB), 1);
    uint64_t allocations = test_class(2 * MIB).allocations;
    errno = 4711;
    assert_ptr_equal(lgalloc_realloc(ptr, MIB + 1), ptr);
    assert_ptr_equal(lgalloc_realloc(ptr, 2 * MIB), ptr);
    assert_int_equal(errno, 4711);
    assert_int_equal(test_class(2 * MIB).allocations, allocations);
    assert_true(test_marked(held(ptr, 2 * MIB), 1));
    lgalloc_free(ptr);
}

/* Bytes that depend on where they are, all over what two regions have in common. */
static void write_pattern(unsigned char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i += 1021) {
        ptr[i] = (unsigned char)(i * 7 >> 3);
    }
}

static bool has_pattern(const unsigned char *ptr, size_t len)
{
    for (size_t i = 0; i < len; i += 1021) {
        if (ptr[i] != (unsigned char)(i * 7 >> 3)) {
            return false;
        }
    }
    return true;
}

static void grows_and_shrinks(void **state)
{
    (void)state;
    static const size_t sizes[] = {64 * KIB,      100 * KIB, MIB,           3 * MIB,   32 * MIB - 1, 32 * MIB + 1,
                                   128 * MIB - 1, 16 * MIB,  33 * MIB,      40000,     256 * MIB,    64 * MIB,
                                   32 * MIB,      65 * MIB,  500 * KIB + 3, 128 * MIB, 64 * KIB};
    size_t count = test_slow_tool() ? 8 : TEST_COUNT(sizes);
    unsigned char *ptr = lgalloc_malloc(sizes[0]);
    assert_non_null(ptr);
    write_pattern(ptr, sizes[0]);
    for (size_t i = 1; i < count; i++) {
        ptr = lgalloc_realloc(ptr, sizes[i]);
        assert_non_null(ptr);
        size_t usable = lgalloc_usable_size(ptr);
        assert_true(usable >= sizes[i] && usable / 2 < sizes[i]);
        assert_true(has_pattern(ptr, sizes[i] < sizes[i - 1] ? sizes[i] : sizes[i - 1]));
        assert_int_equal(test_global().in_use_bytes, usable);
        test_assert_equations();
        write_pattern(ptr, sizes[i]);
    }
    lgalloc_free(ptr);
}

/* What is beyond the old size may be anything; what was recycled must not shine through as what was moved. */
static void into_recycled_memory(void **state)
{
    (void)state;
    unsigned char *large = lgalloc_malloc(128 * MIB);
    assert_non_null(large);
    memset(large, 0xee, 128 * MIB);
    lgalloc_free(large);
    unsigned char *ptr = lgalloc_malloc(64 * MIB);
    assert_non_null(ptr);
    write_pattern(ptr, 64 * MIB);
    ptr = lgalloc_realloc(ptr, 128 * MIB);
    assert_non_null(ptr);
    assert_true(has_pattern(ptr, 64 * MIB));
    assert_true(ptr[64 * MIB] == 0xee || ptr[64 * MIB] == 0);
    write_pattern(ptr, 128 * MIB);
    assert_true(has_pattern(ptr, 128 * MIB));
    lgalloc_free(ptr);
}

static void sizes_that_have_no_class(void **state)
{
    (void)state;
    static const size_t none[] = {0, 1, 4096, 32 * KIB, 64 * GIB + 1, (size_t)1 << 63, ((size_t)1 << 63) + 1, SIZE_MAX};
    char *ptr = lgalloc_malloc(2 * MIB);
    assert_non_null(ptr);
    test_mark(held(ptr, 2 * MIB), 5);
    for (size_t i = 0; i < TEST_COUNT(none); i++) {
        assert_int_equal(refused(ptr, none[i]), EINVAL);
        assert_int_equal(refused(NULL, none[i]), EINVAL);
        assert_true(test_marked(held(ptr, 2 * MIB), 5));
    }
    assert_int_equal(test_global().in_use_bytes, 2 * MIB);
    lgalloc_free(ptr);
}

static void no_more_than_the_limit(void **state)
{
    (void)state;
    test_set_limit(6 * MIB);
    char *ptr = lgalloc_malloc(4 * MIB);
    assert_non_null(ptr);
    test_mark(held(ptr, 4 * MIB), 9);
    assert_int_equal(refused(ptr, 8 * MIB), ENOMEM);
    assert_true(test_marked(held(ptr, 4 * MIB), 9));
    assert_int_equal(test_global().in_use_bytes, 4 * MIB);
    ptr = lgalloc_realloc(ptr, 2 * MIB); /* old and new, for a moment */
    assert_non_null(ptr);
    lgalloc_free(ptr);
    test_set_limit(0);
}

static void while_disabled(void **state)
{
    (void)state;
    char *ptr = lgalloc_malloc(2 * MIB);
    assert_non_null(ptr);
    test_mark(held(ptr, 2 * MIB), 3);
    lgalloc_config *config = test_config();
    lgalloc_config_disable(config);
    test_apply(config);
    assert_int_equal(refused(ptr, 4 * MIB), EPERM);
    assert_int_equal(refused(NULL, 4 * MIB), EPERM);
    assert_ptr_equal(lgalloc_realloc(ptr, 1500 * KIB), ptr);
    assert_int_equal(lgalloc_usable_size(ptr), 2 * MIB);
    assert_true(test_marked(held(ptr, 2 * MIB), 3));
    lgalloc_free(ptr);
    config = test_config();
    lgalloc_config_enable(config);
    test_apply(config);
}

/* From a file to anonymous memory and back. */
static void across_backings(void **state)
{
    (void)state;
    lgalloc_backing backing = test_backing(state);
    unsigned char *ptr = lgalloc_malloc(32 * MIB);
    assert_non_null(ptr);
    write_pattern(ptr, 32 * MIB);
    lgalloc_config *config = test_config();
    lgalloc_config_with_backing(config,
                                backing == LGALLOC_BACKING_FILE ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE);
    test_apply(config);
    ptr = lgalloc_realloc(ptr, 64 * MIB);
    assert_non_null(ptr);
    assert_true(has_pattern(ptr, 32 * MIB));
    lgalloc_free(ptr);
}

/* ---------------------------------------------------------------- pages that move */

/* The old region is clean: nothing was left behind. And no memory was needed, nor lost. */
static void pages_move_and_leave_nothing(void **state)
{
    (void)state;
    if (!pages_move()) {
        TEST_SKIP("nothing moves pages here");
    }
    unsigned char *ptr = lgalloc_malloc(64 * MIB);
    assert_non_null(ptr);
    memset(ptr, 0x5a, 64 * MIB);
    size_t resident = test_resident();
    ptr = lgalloc_realloc(ptr, 128 * MIB);
    assert_non_null(ptr);
    assert_int_equal(test_class(64 * MIB).clean_regions, test_class(64 * MIB).free_regions);
    assert_true(test_class(64 * MIB).clean_regions >= 1);
    assert_int_equal(test_global().dirty_bytes, 0);
    if (!test_slow_tool()) {
        size_t now = test_resident();
        assert_true(now <= resident + 4 * MIB && now + 4 * MIB >= resident);
    }
    assert_true(test_filled(ptr, 64 * MIB, 0x5a));
    /* The old one is used again, and reads as zero. */
    unsigned char *again = lgalloc_malloc(64 * MIB);
    assert_non_null(again);
    assert_true(test_filled(again, MIB, 0));
    memset(again, 1, 64 * MIB);
    assert_true(test_filled(ptr, 64 * MIB, 0x5a));
    lgalloc_free(again);
    /* Half of it moves back, and the other half is left behind. */
    memset(ptr + 64 * MIB, 2, 64 * MIB);
    size_t dirty = test_global().dirty_bytes;
    ptr = lgalloc_realloc(ptr, 64 * MIB);
    assert_non_null(ptr);
    assert_true(test_filled(ptr, 64 * MIB, 0x5a));
    assert_true(test_global().dirty_bytes + 64 * MIB >= dirty + 128 * MIB);
    lgalloc_free(ptr);
}

/* The kernel has a mapping for each piece by now, and they move all the same. */
static void pieces_move(void **state)
{
    (void)state;
    if (!pages_move()) {
        TEST_SKIP("nothing moves pages here");
    }
    unsigned char *ptr = lgalloc_malloc(32 * MIB);
    assert_non_null(ptr);
    for (size_t size = 64 * MIB; size <= 512 * MIB; size *= 2) {
        memset(ptr + size / 2 - 4096, 0x5a, 4096);
        ptr = lgalloc_realloc(ptr, size);
        assert_non_null(ptr);
        assert_true(test_filled(ptr + size / 2 - 4096, 4096, 0x5a));
        assert_int_equal(test_global().dirty_bytes, 0);
    }
    lgalloc_free(ptr);
}

static unsigned char *grown(size_t from, size_t to)
{
    unsigned char *ptr = lgalloc_malloc(from);
    assert_non_null(ptr);
    write_pattern(ptr, from);
    for (size_t size = 2 * from; size <= to; size *= 2) {
        ptr = lgalloc_realloc(ptr, size);
        assert_non_null(ptr);
        assert_true(has_pattern(ptr, size / 2));
        write_pattern(ptr, size);
    }
    return ptr;
}

/* A vector that grows by doubling, again and again: the pieces that it is put together from don't add up. */
static void mappings_stay_bounded(void **state)
{
    (void)state;
    size_t most = test_slow_tool() ? 64 * MIB : 256 * MIB;
    size_t counts[8];
    for (size_t round = 0; round < TEST_COUNT(counts); round++) {
        unsigned char *first = grown(MIB, most);
        unsigned char *second = grown(16 * MIB, most);
        assert_true(has_pattern(first, most));
        lgalloc_free(first);
        lgalloc_free(second);
        counts[round] = test_mapping_count();
    }
    /* At most one for every 32 MiB that is mapped, and a few of the C library's. */
    assert_true(counts[TEST_COUNT(counts) - 1] <= counts[0] + test_global().area_bytes / (32 * MIB));
    assert_true(counts[TEST_COUNT(counts) - 1] <= counts[3] + 4);
    lgalloc_purge();
    assert_true(test_mapping_count() <= counts[0] + 4);
}

static void huge_pages_stay_advised(void **state)
{
    (void)state;
    unsigned char *ptr = grown(32 * MIB, 128 * MIB);
    if (!test_mapping_flag(ptr + 100 * MIB, "hg")) {
        lgalloc_free(ptr);
        TEST_SKIP("no huge pages here");
    }
    assert_true(test_mapping_flag(ptr, "hg"));
    assert_true(test_mapping_flag(ptr + 40 * MIB, "hg"));
    lgalloc_free(ptr);
    ptr = lgalloc_malloc(32 * MIB); /* what was left behind, too */
    assert_non_null(ptr);
    assert_true(test_mapping_flag(ptr, "hg"));
    lgalloc_free(ptr);
}

/* The program has advised something of its own in the middle, where no move can begin or end. */
static void where_the_program_cut_the_mapping(void **state)
{
    (void)state;
    unsigned char *ptr = lgalloc_malloc(64 * MIB);
    assert_non_null(ptr);
    write_pattern(ptr, 64 * MIB);
    assert_int_equal(madvise(ptr + 40 * MIB, MIB, MADV_DONTDUMP), 0);
    ptr = lgalloc_realloc(ptr, 128 * MIB);
    assert_non_null(ptr);
    assert_true(has_pattern(ptr, 64 * MIB));
    test_assert_equations();
    lgalloc_free(ptr);
}

/* ---------------------------------------------------------------- beside other threads */

static atomic_bool stop;

/* Maps and unmaps where the system likes: never where a region is on its way to. */
static void *map_and_unmap(void *arg)
{
    (void)arg;
    for (uint64_t round = 1; !atomic_load(&stop); round++) {
        size_t len = (size_t)(1 + round % 7) * 16 * MIB;
        uint64_t *words = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        TEST_REQUIRE(words != MAP_FAILED);
        TEST_REQUIRE(!lgalloc_owns(words));
        words[0] = round;
        words[len / 16] = round;
        TEST_REQUIRE(words[0] == round && words[len / 16] == round);
        munmap(words, len);
    }
    return NULL;
}

/* A byte in every MiB of the 16 that all sizes have. */
static void write_marks(unsigned char *ptr, unsigned char mark)
{
    for (size_t i = 0; i < 16; i++) {
        ptr[i * MIB + i] = (unsigned char)(mark + i);
    }
}

static bool has_marks(const unsigned char *ptr, unsigned char mark)
{
    for (size_t i = 0; i < 16; i++) {
        if (ptr[i * MIB + i] != (unsigned char)(mark + i)) {
            return false;
        }
    }
    return true;
}

static void *grow_and_shrink(void *arg)
{
    size_t rounds = test_scale(60, 3);
    for (size_t round = 0; round < rounds; round++) {
        unsigned char *ptr = lgalloc_malloc(16 * MIB);
        TEST_REQUIRE(ptr != NULL);
        unsigned char mark = (unsigned char)((uintptr_t)arg * 100 + round);
        write_marks(ptr, mark);
        static const size_t sizes[] = {32 * MIB, 64 * MIB, 128 * MIB, 64 * MIB, 32 * MIB, 16 * MIB};
        for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
            ptr = lgalloc_realloc(ptr, sizes[i]);
            TEST_REQUIRE(ptr != NULL);
            TEST_REQUIRE(has_marks(ptr, mark));
        }
        lgalloc_free(ptr);
    }
    return NULL;
}

static void while_others_map(void **state)
{
    (void)state;
    pthread_t threads[3];
    atomic_store(&stop, false);
    for (size_t i = 0; i < 2; i++) {
        test_spawn(&threads[i], grow_and_shrink, (void *)(i + 1));
    }
    test_spawn(&threads[2], map_and_unmap, NULL);
    test_join(threads[0]);
    test_join(threads[1]);
    atomic_store(&stop, true);
    test_join(threads[2]);
    test_assert_equations();
}

/* ---------------------------------------------------------------- misuse */

static void resize_what_is_free(void *arg)
{
    (void)arg;
    void *ptr = lgalloc_malloc(MIB);
    lgalloc_free(ptr);
    (void)!lgalloc_realloc(ptr, MIB);
}

static void resize_inside(void *arg)
{
    (void)arg;
    char *ptr = lgalloc_malloc(MIB);
    (void)!lgalloc_realloc(ptr + 4096, 2 * MIB);
}

static void resize_what_is_anothers(void *arg)
{
    int local = 0;
    (void)arg;
    void *volatile ptr = &local;
    (void)!lgalloc_realloc(ptr, 0); /* what it is comes before its size */
}

static void misuse_aborts(void **state)
{
    (void)state;
    static const struct {
        void (*body)(void *arg);
        const char *says;
    } rows[] = {{resize_what_is_free, "lgalloc: double free: the region at "},
                {resize_inside, " points inside the region at "},
                {resize_what_is_anothers, " is not memory of this allocator\n"}};
    for (size_t i = 0; i < TEST_COUNT(rows); i++) {
        struct test_child child;
        test_child_aborts(rows[i].body, NULL, &child);
        assert_non_null(strstr(child.errors, rows[i].says));
    }
}

/* ---------------------------------------------------------------- fork */

static void child_lost_it(void *arg)
{
    char *ptr = arg;
    TEST_REQUIRE(lgalloc_owns(ptr) && lgalloc_owns(ptr + 100));
    TEST_REQUIRE(lgalloc_usable_size(ptr) == 0);
    errno = 0;
    TEST_REQUIRE(lgalloc_realloc(ptr, 32 * MIB) == NULL && errno == EFAULT);
    errno = 0;
    TEST_REQUIRE(lgalloc_realloc(ptr, 64 * MIB) == NULL && errno == EFAULT);
    lgalloc_free(ptr);
    void *other = lgalloc_realloc(NULL, 32 * MIB);
    TEST_REQUIRE(other != NULL);
    lgalloc_free(other);
}

static void child_resizes(void *arg)
{
    TEST_REQUIRE(lgalloc_usable_size(arg) == 32 * MIB);
    unsigned char *ptr = lgalloc_realloc(arg, 64 * MIB);
    TEST_REQUIRE(ptr != NULL && has_pattern(ptr, 32 * MIB));
    memset(ptr, 0, 64 * MIB);
    lgalloc_free(ptr);
}

static void in_a_child(void **state)
{
    unsigned char *ptr = lgalloc_malloc(32 * MIB);
    assert_non_null(ptr);
    write_pattern(ptr, 32 * MIB);
    test_child_succeeds(test_backing(state) == LGALLOC_BACKING_FILE ? child_lost_it : child_resizes, ptr);
    assert_true(has_pattern(ptr, 32 * MIB)); /* the parent's is as it was */
    lgalloc_free(ptr);
}

/* A child that the C library knows nothing of starts over, and what it inherited is left behind. */
static void in_a_child_without_handlers(void **state)
{
    (void)state;
    if (test_slow_tool()) {
        TEST_SKIP("tools follow a fork by its handlers");
    }
    char *ptr = lgalloc_malloc(2 * MIB);
    assert_non_null(ptr);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    assert_true(child >= 0);
    if (child == 0) {
        bool right = lgalloc_owns(ptr + 1) && lgalloc_usable_size(ptr) == 0;
        errno = 0;
        right = right && lgalloc_realloc(ptr, 4 * MIB) == NULL && errno == EFAULT;
        lgalloc_free(ptr);
        _exit(right ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    lgalloc_free(ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_owned), /* the first: it sees a process that has configured nothing */
        TEST_BOTH(what_an_address_says),
        TEST_BOTH(from_nothing),
        TEST_BOTH(stays_in_its_size_class),
        TEST_BOTH(grows_and_shrinks),
        TEST_BOTH(into_recycled_memory),
        TEST_BOTH(sizes_that_have_no_class),
        TEST_BOTH(no_more_than_the_limit),
        TEST_BOTH(while_disabled),
        TEST_BOTH(across_backings),
        TEST_ANONYMOUS(pages_move_and_leave_nothing),
        TEST_ANONYMOUS(pieces_move),
        TEST_ANONYMOUS(mappings_stay_bounded),
        TEST_ANONYMOUS(huge_pages_stay_advised),
        TEST_BOTH(where_the_program_cut_the_mapping),
        TEST_ANONYMOUS(while_others_map),
        TEST_BOTH(misuse_aborts),
        TEST_BOTH(in_a_child),
        TEST_BOTH(in_a_child_without_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
