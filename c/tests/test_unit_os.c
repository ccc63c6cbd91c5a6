/* System calls that really fail: what is returned is the errno, and errno itself is as it was. */

#include "internal.h"

#include "base/os_call.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { UNTOUCHED = 4711 };

#define ASSERT_FAILS(call, error)           \
    do {                                    \
        errno = UNTOUCHED;                  \
        assert_int_equal(call, error);      \
        assert_int_equal(errno, UNTOUCHED); \
    } while (0)

/* Where tools that stand in for the system answer with an error of their own. */
#define ASSERT_FAILS_SOMEHOW(call)          \
    do {                                    \
        errno = UNTOUCHED;                  \
        assert_int_not_equal(call, 0);      \
        assert_int_equal(errno, UNTOUCHED); \
    } while (0)

#define ASSERT_WORKS(call) ASSERT_FAILS(call, 0)

static void no_line(void *context, const char *text)
{
    TEST_REQUIRE(context == NULL && text != NULL);
}

static void failures_are_returned(void **state)
{
    uint64_t size, allocated;
    int fd = -1;
    char name[600];
    size_t page = lg_os_page_size();
    snprintf(name, sizeof name, "%s/not-there", test_dir());
    ASSERT_FAILS(lg_os_open_unlinked(name, &fd), ENOENT);
    assert_int_equal(fd, -1);
    ASSERT_FAILS(lg_os_read_lines(name, no_line, NULL), ENOENT);
    ASSERT_FAILS(lg_os_truncate(-1, 1), EBADF);
    ASSERT_FAILS(lg_os_allocate_blocks(-1, 0, 1), EBADF);
    ASSERT_FAILS(lg_os_punch(-1, 0, 1), EBADF);
    ASSERT_FAILS(lg_os_file_usage(-1, &size, &allocated), EBADF);
    void *nowhere = NULL;
    ASSERT_FAILS_SOMEHOW(lg_os_reserve((size_t)1 << 60, &nowhere));
    assert_null(nowhere);

    /* Addresses that nothing is behind. */
    void *pages = NULL;
    ASSERT_WORKS(lg_os_reserve(4 * page, &pages));
    lg_os_unreserve(pages, 4 * page);
    ASSERT_FAILS_SOMEHOW(lg_os_advise(LG_SYS_ADVISE_DISCARD, pages, page));
    ASSERT_FAILS_SOMEHOW(lg_os_advise(LG_SYS_ADVISE_DONTFORK, pages, page));
    errno = UNTOUCHED;
    lg_os_close(-1);
    lg_os_unreserve((char *)pages + 1, page); /* no page's start */
    assert_int_equal(errno, UNTOUCHED);
}

/* A mapping that fails leaves the addresses reserved: nobody else may get them. */
static void addresses_stay_reserved(void **state)
{
    size_t page = lg_os_page_size();
    char *pages = NULL;
    ASSERT_WORKS(lg_os_reserve(4 * page, (void **)&pages));
    ASSERT_WORKS(lg_os_commit(pages, 4 * page));
    pages[0] = 1;
    ASSERT_FAILS(lg_os_map_file(pages, 2 * page, -1, 0), EBADF);
    /* Fixed, but not over anything that is there. */
    void *other = mmap(pages, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    assert_true(other == MAP_FAILED || other != pages);
    if (other != MAP_FAILED) {
        munmap(other, page);
    }
    ASSERT_WORKS(lg_os_unmap(pages, 4 * page));
    ASSERT_WORKS(lg_os_commit(pages, 4 * page));
    assert_true(test_filled(pages, 4 * page, 0));
    lg_os_unreserve(pages, 4 * page);
}

enum { READABLE_PAGES = 2000 };

struct readable {
    char *pages;
    size_t at; /* the page that comes into use */
};

static void *read_meanwhile(void *argument)
{
    struct readable *readable = argument;
    size_t page = lg_os_page_size(), at = 0;
    while (at < READABLE_PAGES) {
        at = __atomic_load_n(&readable->at, __ATOMIC_RELAXED);
        size_t seen = lg_min(at, READABLE_PAGES - 1);
        TEST_REQUIRE(__atomic_load_n((long *)(readable->pages + seen * page), __ATOMIC_RELAXED) == 0);
    }
    return NULL;
}

/* What is readable comes into use without a moment in which it can't be read: tables are read without a lock. */
static void readable_all_the_while(void **state)
{
    size_t page = lg_os_page_size();
    struct readable readable = {NULL, 0};
    ASSERT_WORKS(lg_os_reserve(READABLE_PAGES * page, (void **)&readable.pages));
    ASSERT_WORKS(lg_os_make_readable(readable.pages, READABLE_PAGES * page));
    pthread_t readers[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_meanwhile, &readable), 0);
    }
    for (size_t at = 0; at < READABLE_PAGES; at++) {
        __atomic_store_n(&readable.at, at, __ATOMIC_RELAXED);
        ASSERT_WORKS(lg_os_commit_readable(readable.pages + at * page, page));
    }
    __atomic_store_n(&readable.at, READABLE_PAGES, __ATOMIC_RELAXED);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    memset(readable.pages, 1, READABLE_PAGES * page);
    assert_true(test_filled(readable.pages, READABLE_PAGES * page, 1));
    lg_os_unreserve(readable.pages, READABLE_PAGES * page);
}

static void files_without_a_name(void **state)
{
    int fd = -1;
    uint64_t size = 1, allocated = 1;
    size_t page = lg_os_page_size();
    ASSERT_WORKS(lg_os_open_unlinked(test_dir(), &fd));
    assert_true(fd >= 0);
    assert_true(test_dir_empty(test_dir()));
    assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ASSERT_WORKS(lg_os_truncate(fd, 16 * page));
    ASSERT_WORKS(lg_os_file_usage(fd, &size, &allocated));
    assert_int_equal(size, 16 * page);
    assert_int_equal(allocated, 0);
    char *pages = NULL;
    ASSERT_WORKS(lg_os_reserve(16 * page, (void **)&pages));
    ASSERT_WORKS(lg_os_map_file(pages, 8 * page, fd, 8 * page));
    memset(pages, 9, 8 * page);
    char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(15 * page)), 1);
    assert_int_equal(byte, 9);
    /* What is punched out reads as zero, in the mapping too, and the size stays. */
    ASSERT_WORKS(lg_os_punch(fd, 8 * page, 4 * page));
    assert_true(test_filled(pages, 4 * page, 0));
    assert_true(test_filled(pages + 4 * page, 4 * page, 9));
    ASSERT_WORKS(lg_os_advise(LG_SYS_ADVISE_REMOVE, pages, 8 * page));
    assert_true(test_filled(pages, 8 * page, 0));
    ASSERT_WORKS(lg_os_file_usage(fd, &size, &allocated));
    assert_int_equal(size, 16 * page);
    lg_os_unreserve(pages, 16 * page);
    lg_os_close(fd);
}

/* ---- signals all the time */

/* What a file system does that undoes what a signal interrupts: longer steps than this never come through. */
static uint64_t longest_step;
static uint64_t steps_seen;
static uint64_t bytes_done;

static uint64_t in_a_row;

static int interrupt(enum lg_system_call call, uint64_t at, uint64_t len)
{
    steps_seen++;
    if (len > longest_step) {
        in_a_row++;
        TEST_REQUIRE(in_a_row <= LG_OS_TRIES); /* else it might go on for ever */
        return EINTR;
    }
    in_a_row = 0;
    TEST_REQUIRE(call == LG_SYS_ALLOCATE || call == LG_SYS_PUNCH ? at >= 4096 : true);
    bytes_done += len;
    return 0;
}

/* All tries but the last of a row are interrupted. */
static int interrupt_nearly_always(enum lg_system_call call, uint64_t at, uint64_t len)
{
    if (++steps_seen % LG_OS_TRIES != 0) {
        return EINTR;
    }
    return call == LG_SYS_READ || call == LG_SYS_WRITE ? -(int)(64 * KIB) : 0; /* a part of it */
}

static char data[256 * KIB]; /* as much as is read and written at all */

static int long_call(enum lg_system_call call, int fd, void *pages, uint64_t offset, uint64_t len)
{
    switch (call) {
    case LG_SYS_ALLOCATE: return lg_os_allocate_blocks(fd, offset, len);
    case LG_SYS_PUNCH: return lg_os_punch(fd, offset, len);
    case LG_SYS_READ: return lg_os_read_at(fd, data, len, offset);
    case LG_SYS_WRITE: return lg_os_write_at(fd, data, len, offset);
    default: return lg_os_advise(call, pages, len);
    }
}

static void interrupted_calls_end(void **state)
{
    int fd = -1;
    size_t page = lg_os_page_size();
    size_t len = 256 * MIB;
    void *pages = NULL;
    ASSERT_WORKS(lg_os_open_unlinked(test_dir(), &fd));
    ASSERT_WORKS(lg_os_truncate(fd, len + 2 * page));
    ASSERT_WORKS(lg_os_reserve(len, &pages));
    ASSERT_WORKS(lg_os_map_file(pages, len, fd, 0));
    lg_os_fault_step = interrupt;
    const uint64_t longest[] = {UINT64_MAX, 3 * MIB, 64 * KIB};
    for (size_t i = 0; i < TEST_COUNT(longest); i++) {
        longest_step = longest[i];
        bytes_done = 0;
        ASSERT_WORKS(lg_os_punch(fd, page, len));
        assert_int_equal(bytes_done, len); /* each byte once */
        ASSERT_WORKS(lg_os_advise(LG_SYS_ADVISE_REMOVE, pages, len));
        assert_int_equal(bytes_done, 2 * len);
    }
    longest_step = 3 * MIB;
    bytes_done = 0;
    ASSERT_WORKS(lg_os_allocate_blocks(fd, page, 8 * MIB));
    ASSERT_WORKS(lg_os_advise(LG_SYS_ADVISE_POPULATE, pages, 8 * MIB));
    assert_int_equal(bytes_done, 16 * MIB);
    /* Where nothing comes through, that is the answer, after so many tries. */
    longest_step = bytes_done = 0;
    static const enum lg_system_call calls[] = {LG_SYS_ALLOCATE,      LG_SYS_PUNCH, LG_SYS_ADVISE_POPULATE,
                                                LG_SYS_ADVISE_REMOVE, LG_SYS_READ,  LG_SYS_WRITE};
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        steps_seen = in_a_row = 0;
        ASSERT_FAILS(long_call(calls[i], fd, pages, page, len), EINTR);
        assert_int_equal(steps_seen, LG_OS_TRIES);
    }
    assert_int_equal(bytes_done, 0);
    /* One try less, again and again, and it comes through: what was done begins the count anew. */
    lg_os_fault_step = interrupt_nearly_always;
    for (size_t i = 0; i < TEST_COUNT(calls); i++) {
        steps_seen = 0;
        ASSERT_WORKS(long_call(calls[i], fd, pages, page, sizeof data));
        assert_int_equal(steps_seen, sizeof data / (64 * KIB) * LG_OS_TRIES);
    }
    lg_os_fault_step = NULL;
    lg_os_unreserve(pages, len);
    lg_os_close(fd);
}

/* A descriptor that the program closed, and its next file, which has the number and the inode of ours. */
static void inode_that_is_used_again(void **state)
{
    lg_file file;
    ASSERT_WORKS(lg_file_open(test_dir(), &file));
    ASSERT_WORKS(lg_file_check(&file));
    int fd = file.fd;
    assert_int_equal(close(fd), 0);
    assert_int_equal(lg_file_check(&file), EBADF);
    int others[32];
    bool found = false;
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        lg_identity other;
        ASSERT_WORKS(lg_os_open_unlinked(test_dir(), &others[i]));
        ASSERT_WORKS(lg_os_identify(others[i], &other));
        if (!found && other.inode == file.identity.inode) {
            found = true;
            if (others[i] != fd) {
                assert_int_equal(dup2(others[i], fd), fd);
            }
        }
    }
    bool tells = file.identity.generation != 0;
    if (found && tells) {
        assert_int_equal(lg_file_check(&file), EBADF);
        lg_file_close(&file);
        assert_true(fcntl(fd, F_GETFD) >= 0);
    }
    for (size_t i = 0; i < TEST_COUNT(others); i++) {
        if (others[i] != fd) {
            lg_os_close(others[i]);
        }
    }
    lg_os_close(fd);
    if (!found || !tells) {
        TEST_SKIP("this file system doesn't use inodes again at once, or has no generations");
    }
}

/* A failure that is injected comes before the call, and is told apart by its kind. */
static void injected_failures(void **state)
{
    void *pages = NULL;
    unit_fault_arm(UNIT_CALL(RESERVE), 1, 2, EPERM);
    assert_int_equal(lg_os_reserve(4096, &pages), 0);
    lg_os_unreserve(pages, 4096);
    ASSERT_FAILS(lg_os_reserve(4096, &pages), EPERM);
    assert_int_equal(lg_os_truncate(-1, 1), EBADF);
    ASSERT_FAILS(lg_os_reserve(4096, &pages), EPERM);
    assert_int_equal(unit_fault_seen(LG_SYS_RESERVE), 3);
    assert_int_equal(unit_fault_hits(UNIT_ALL_CALLS), 2);
    assert_int_equal(lg_os_reserve(4096, &pages), 0);
    lg_os_unreserve(pages, 4096);
    unit_fault_off();
}

struct lines {
    size_t count, longest;
};

static void count_line(void *context, const char *text)
{
    struct lines *lines = context;
    lines->count++;
    lines->longest = lg_max(lines->longest, strlen(text));
    TEST_REQUIRE(strchr(text, '\n') == NULL);
}

static void lines_of_a_file(void **state)
{
    char name[600];
    snprintf(name, sizeof name, "%s/lines", test_dir());
    int fd = open(name, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    static char text[40000];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 20; i++) {
        text[40 * i + 39] = '\n';
    }
    text[sizeof text - 1] = '\n'; /* a line longer than anybody needs is cut */
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    close(fd);
    struct lines lines = {0, 0};
    ASSERT_WORKS(lg_os_read_lines(name, count_line, &lines));
    assert_int_equal(unlink(name), 0);
    assert_int_equal(lines.count, 21);
    assert_in_range(lines.longest, PATH_MAX, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_returned),    cmocka_unit_test(addresses_stay_reserved),
        cmocka_unit_test(readable_all_the_while),   cmocka_unit_test(files_without_a_name),
        cmocka_unit_test(interrupted_calls_end),    cmocka_unit_test(injected_failures),
        cmocka_unit_test(inode_that_is_used_again), cmocka_unit_test(lines_of_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
