/* What the system is told of anonymous memory, and that it stays so when memory changes its class, or its place. */

#include "internal.h"

#include <sys/mman.h>
#include <unistd.h>

static bool has_huge_pages(void)
{
    return access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0;
}

static void set_huge_pages(bool huge_pages)
{
    lgalloc_config *config = test_config();
    lgalloc_config_huge_pages(config, huge_pages);
    test_apply(config);
}

/* " hg", " nh", or neither: "". */
static const char *advice_on(const void *address)
{
    return test_mapping_flag(address, " hg") ? " hg" : test_mapping_flag(address, " nh") ? " nh" : "";
}

/* Takes a region and frees it, into the pool: the lowest chunk has been of its class then. Returns its address. */
static char *pass_through(size_t bytes)
{
    lgalloc_handle handle = test_take(bytes);
    test_mark(handle, bytes);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    return handle.ptr;
}

static void huge_pages_follow_option_and_class(void **state)
{
    if (!has_huge_pages()) {
        TEST_SKIP("this kernel has no transparent huge pages");
    }
    (void)unit_self();
    (void)lgalloc_purge();
    const char *first = pass_through(MIB);
    assert_string_equal(advice_on(first), ""); /* as the system has it */
    assert_ptr_equal(pass_through(2 * MIB), first);
    assert_string_equal(advice_on(first), " hg");
    assert_ptr_equal(pass_through(MIB), first);
    assert_string_equal(advice_on(first), " nh");
    assert_ptr_equal(pass_through(64 * MIB), first);
    assert_string_equal(advice_on(first), " hg");
    /* What was advised before the option was switched off is taken back when the class changes, */
    set_huge_pages(false);
    assert_ptr_equal(pass_through(4 * MIB), first);
    assert_string_equal(advice_on(first), " nh");
    /* and comes again. */
    set_huge_pages(true);
    assert_ptr_equal(pass_through(8 * MIB), first);
    assert_string_equal(advice_on(first), " hg");
    (void)lgalloc_purge();
    /* The same for what was never advised. */
    assert_ptr_equal(pass_through(MIB), first);
    assert_string_equal(advice_on(first), "");
    set_huge_pages(false);
    assert_ptr_equal(pass_through(512 * KIB), first);
    assert_string_equal(advice_on(first), " nh");
    (void)lgalloc_purge();
    assert_ptr_equal(pass_through(2 * MIB), first);
    assert_string_equal(advice_on(first), " nh");
    assert_int_equal(test_global().advise_failures, 0);
}

/* Files are left as the system has them, but for what was advised before. */
static void files_follow_too(void **state)
{
    if (!has_huge_pages()) {
        TEST_SKIP("this kernel has no transparent huge pages");
    }
    (void)unit_self();
    (void)lgalloc_purge();
    const char *first = pass_through(2 * MIB);
    if (strcmp(advice_on(first), " hg") != 0) {
        TEST_SKIP("no huge pages for files here");
    }
    set_huge_pages(false);
    assert_ptr_equal(pass_through(4 * MIB), first);
    assert_string_equal(advice_on(first), " nh");
    (void)lgalloc_purge();
    assert_ptr_equal(pass_through(4 * MIB), first);
    assert_string_equal(advice_on(first), "");
}

/* ---------------------------------------------------------------- moved */

static char *moves_to;     /* where the region goes that is moved, */
static size_t moves_bytes; /* and how much of it */
static bool moved;

/* The second step of a move fails when what was at its destination is gone already. */
static int lose_destination(enum lg_system_call call)
{
    if (call != LG_SYS_MOVE_IN) {
        return 0;
    }
    moved = true;
    TEST_REQUIRE(moves_to == NULL || munmap(moves_to, moves_bytes) == 0);
    return moves_to == NULL ? 0 : ENOMEM;
}

/* A region of 32 MiB becomes one of 64 MiB, whose address is known. */
static char *grow(bool lose)
{
    moves_to = NULL;
    moved = false;
    char *larger = pass_through(64 * MIB);
    (void)lgalloc_purge();
    char *smaller = lgalloc_malloc(32 * MIB);
    TEST_REQUIRE(smaller == larger); /* the lowest chunk */
    memset(smaller, 0x5a, 32 * MIB);
    char *expected = pass_through(64 * MIB);
    TEST_REQUIRE(expected != smaller);
    if (lose) {
        moves_to = expected;
        moves_bytes = 32 * MIB;
    }
    lg_os_fault = lose_destination;
    char *grown = lgalloc_realloc(smaller, 64 * MIB);
    unit_fault_install();
    TEST_REQUIRE(grown == expected);
    return grown;
}

static void destination_that_is_lost(void **state)
{
    (void)unit_self();
    char *grown = grow(true);
    assert_true(test_filled((unsigned char *)grown, 32 * MIB, 0x5a));
    bool tried = moved;
    if (tried) {
        char name[64];
        char other[64];
        test_mapping_name(grown, name, sizeof name);
        test_mapping_name(grown + 40 * MIB, other, sizeof other);
        assert_string_equal(name, other);
        assert_true(test_mapping_flag(grown, " dd"));
        assert_string_equal(advice_on(grown), advice_on(grown + 40 * MIB));
        assert_true(!has_huge_pages() || strcmp(advice_on(grown), " hg") == 0);
    }
    lgalloc_free(grown);
    if (!tried) {
        TEST_SKIP("nothing moves pages here");
    }
}

/* The advice on a mapping comes along with its pages, also where it isn't right any more. */
static void advice_that_moves(void **state)
{
    (void)unit_self();
    char *grown = grow(false);
    bool tried = moved;
    lgalloc_free(grown);
    (void)lgalloc_purge();
    if (!tried || !has_huge_pages()) {
        TEST_SKIP("nothing moves pages here, or there are no huge ones");
    }
    char *small = lgalloc_malloc(32 * MIB);
    assert_non_null(small);
    memset(small, 0x5a, 32 * MIB);
    assert_string_equal(advice_on(small), " hg");
    set_huge_pages(false);
    grown = lgalloc_realloc(small, 64 * MIB);
    assert_non_null(grown);
    assert_string_equal(advice_on(grown), " nh");
    assert_string_equal(advice_on(grown + 40 * MIB), " nh");
    lgalloc_free(grown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(huge_pages_follow_option_and_class),
        UNIT_FILE(files_follow_too),
        UNIT_ANONYMOUS(destination_that_is_lost),
        UNIT_ANONYMOUS(advice_that_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
