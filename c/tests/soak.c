/*
 * soak [SECONDS] [--seed N]: everything at once, for as long as one likes.
 *
 * Threads come and go, take regions of all classes up to 1 GiB, hand them over, drop them on other threads and
 * check what is in them; meanwhile budgets, limits, backings and directories change, memory is purged, the
 * process forks, and system calls fail. From time to time all stops, and the verifier looks; now and then all is
 * given back, and nothing may be left.
 *
 * Prints what it does on a terminal, and a summary at the end. Exit status 0, or 1 with a line that says what
 * was wrong.
 */

#include "internal.h"
#include "support_hands.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CREW = 4, EPOCH_MS = 300 };

static struct {
    atomic_ulong allocations, refused, threads, forks, purges, settings;
    unsigned long epochs, verified, failed_calls;
} done;

static atomic_bool resting; /* the threads are to end */
static atomic_bool failing; /* system calls fail */
static uint64_t seed_of_all;

static _Noreturn void violation(const char *what)
{
    fprintf(stderr, "soak: %s (seed %" PRIu64 ", epoch %lu)\n", what, seed_of_all, done.epochs);
    _exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : violation("does not hold: " #condition))

/* The library aborts when it finds itself misused or broken; it has said why. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    _exit(1);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

/* ---------------------------------------------------------------- regions */

struct item {
    lgalloc_handle handle;
    lgalloc_region region; /* where it came from the region API */
    uint64_t seed;
    bool is_region;
};

static lgalloc_handle contents_of(const struct item *item)
{
    return item->is_region ? (lgalloc_handle){item->region.ptr, item->region.capacity / 8 * 8} : item->handle;
}

static void release(void *arg)
{
    struct item *item = arg;
    CHECK(test_marked(contents_of(item), item->seed));
    if (item->is_region) {
        lgalloc_region_drop(&item->region);
        lgalloc_region_drop(&item->region);
    } else {
        lgalloc_deallocate(item->handle);
    }
    free(item);
}

/* Small ones more often than large ones; up to 1 GiB. */
static size_t random_size(uint64_t *random)
{
    unsigned log2 = 16;
    while (log2 < 30 && test_random(random) % 3 != 0) {
        log2++;
    }
    size_t size = (size_t)1 << log2;
    return size - (test_random(random) % 2 == 0 ? 0 : test_random(random) % (size / 2 - 1));
}

static void *take(uint64_t *random)
{
    struct item *item = calloc(1, sizeof *item);
    CHECK(item != NULL);
    size_t bytes = random_size(random);
    uint64_t r = test_random(random);
    bool zeroed = r % 4 == 0 && bytes <= 2 * MIB;
    lgalloc_status status;
    item->seed = r;
    item->is_region = r >> 8 & 1;
    if (item->is_region) {
        /* The heap takes what mapped memory can't; too much of that would be too much. */
        status = bytes <= 4 * MIB ? lgalloc_region_new_auto(bytes, 1, 64, &item->region)
                                  : lgalloc_region_new_mmap(bytes, 1, 64, &item->region);
    } else if (zeroed) {
        status = lgalloc_allocate_zeroed(bytes, 1, 64, NULL, NULL, &item->handle);
        CHECK(status != LGALLOC_STATUS_OK || test_filled(item->handle.ptr, bytes, 0));
    } else {
        status = lgalloc_allocate(bytes, 1, 64, NULL, NULL, &item->handle);
    }
    if (status != LGALLOC_STATUS_OK) {
        CHECK(status == LGALLOC_STATUS_OUT_OF_MEMORY || status == LGALLOC_STATUS_IO ||
              status == LGALLOC_STATUS_DISABLED);
        CHECK(status != LGALLOC_STATUS_IO || atomic_load(&failing));
        CHECK(item->handle.len == 0 && item->region.mapped == 0);
        atomic_fetch_add(&done.refused, 1);
        free(item);
        return NULL;
    }
    atomic_fetch_add(&done.allocations, 1);
    test_mark(contents_of(item), item->seed);
    return item;
}

static void hint(void *arg, uint64_t r)
{
    const struct item *item = arg;
    lgalloc_handle handle = item->is_region ? lgalloc_region_handle(&item->region) : item->handle;
    if (handle.len == 0) {
        return;
    }
    switch (r % 4) {
    case 0: (void)lgalloc_prefetch(handle, 0, handle.len); break;
    case 1: (void)lgalloc_cold(handle, 0, handle.len); break;
    case 2: (void)lgalloc_populate(handle, 0, lg_min(handle.len, 256 * KIB)); break;
    default:
        CHECK(test_marked(contents_of(item), item->seed));
        (void)lgalloc_discard(handle, 0, handle.len);
        test_mark(contents_of(item), item->seed);
        break;
    }
    CHECK(test_marked(contents_of(item), item->seed));
}

/* ---------------------------------------------------------------- threads */

static void purge_sometimes(uint64_t r)
{
    if (r & 1) {
        (void)lgalloc_purge();
        atomic_fetch_add(&done.purges, 1);
    }
}

static const struct test_hands hands = {
    .take = take, .drop = release, .look = hint, .pause = purge_sometimes, .stop = &resting};

static void *one_life(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    test_hands_work(&hands, &random, 20 + random % 200);
    return NULL;
}

/* Goes on until it is time to rest; most of the work is done by threads that don't live as long. */
static void *crew_member(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    while (!atomic_load(&resting)) {
        pthread_t child;
        test_spawn(&child, one_life, (void *)(uintptr_t)test_random(&random));
        atomic_fetch_add(&done.threads, 1);
        test_hands_work(&hands, &random, 50);
        test_join(child);
    }
    return NULL;
}

/* ---------------------------------------------------------------- what changes meanwhile */

static char *other_dir;

static void change_configuration(uint64_t *random)
{
    static const size_t limits[] = {0, 0, 256 * MIB, 2 * GIB, 8 * GIB};
    static const size_t buffers[] = {0, MIB, 32 * MIB, 256 * MIB};
    lgalloc_config *config = test_config();
    uint64_t r = test_random(random);
    lgalloc_config_enable(config);
    CHECK(lgalloc_config_with_path(config, r >> 6 & 1 ? other_dir : test_dir()) == LGALLOC_STATUS_OK);
    lgalloc_config_with_backing(config, r & 1 ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE);
    lgalloc_config_with_background(config, r % 3 == 0 ? 0 : 100000 + r % 5000000, r >> 8 & 15, (r >> 12 & 63) * MIB);
    lgalloc_config_eager_return(config, r >> 20 & 1);
    lgalloc_config_growth_dampener(config, r >> 21 & 3);
    lgalloc_config_local_buffer_bytes(config, buffers[(r >> 24) % TEST_COUNT(buffers)]);
    lgalloc_config_limit_bytes(config, limits[(r >> 28) % TEST_COUNT(limits)]);
    lgalloc_config_idle_bytes(config, (r >> 32 & 3) == 0 ? 64 * MIB : SIZE_MAX);
    lgalloc_config_release_ticks(config, r >> 34 & 15);
    lgalloc_config_huge_pages(config, r >> 38 & 1);
    lgalloc_status status = lgalloc_set_config(config);
    CHECK(status == LGALLOC_STATUS_OK || (status == LGALLOC_STATUS_IO && atomic_load(&failing)));
    lgalloc_config_free(config);
    atomic_fetch_add(&done.settings, 1);
}

/* A child has its own life: it allocates, frees, gives everything back, and its books are in order. */
static void child_lives(uint64_t random)
{
    signal(SIGABRT, on_abort);
    alarm(TEST_HANG_SECONDS);
    unit_fault_off();
    lgalloc_config *config = test_config();
    lgalloc_config_with_background(config, 0, 0, 0);
    lgalloc_config_limit_bytes(config, 0);
    CHECK(lgalloc_set_config(config) == LGALLOC_STATUS_OK);
    lgalloc_config_free(config);
    unit_require_sound(false);
    struct item *items[16];
    for (size_t i = 0; i < TEST_COUNT(items); i++) {
        items[i] = take(&random);
    }
    for (size_t i = 0; i < TEST_COUNT(items); i++) {
        if (items[i] != NULL) {
            release(items[i]);
        }
    }
    (void)lgalloc_purge();
    unit_require_sound(false);
    _exit(0);
}

static void fork_once(uint64_t *random)
{
    uint64_t child_seed = test_random(random);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child_lives(child_seed);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    if (status != 0) {
        violation("a child of fork() came to a bad end");
    }
    atomic_fetch_add(&done.forks, 1);
}

/* Calls may fail for the rest of the epoch. A failure to lock out the file's pages from children, or to put
 * handlers around fork(), would be the end of children, so these two do not fail. */
static void start_failing(uint64_t *random)
{
    uint64_t r = test_random(random);
    uint64_t calls = UNIT_ALL_CALLS & ~UNIT_CALL(KEY) & ~UNIT_CALL(ATFORK);
    if (r % 4 != 0) {
        calls &= r >> 16;
    }
    atomic_store(&failing, true);
    unit_fault_random(calls, 2 + (unsigned)(r >> 48) % 50, r, 0);
}

static void manage(uint64_t *random, const struct timespec *epoch, bool may_fork)
{
    while (seconds_since(epoch) < EPOCH_MS / 1000.0) {
        uint64_t r = test_random(random);
        switch (r % 8) {
        case 0:
            if (may_fork) {
                fork_once(random);
            }
            break;
        case 1:
            (void)lgalloc_purge();
            atomic_fetch_add(&done.purges, 1);
            break;
        case 2:
        case 3: change_configuration(random); break;
        case 4: {
            lgalloc_file_stats files[LGALLOC_SIZE_CLASS_COUNT];
            size_t count;
            lgalloc_status status = lgalloc_stats_files(files, TEST_COUNT(files), &count);
            CHECK(status == LGALLOC_STATUS_OK || atomic_load(&failing));
            break;
        }
        default: break;
        }
        struct timespec pause = {0, (long)(r >> 32) % 10000000};
        nanosleep(&pause, NULL);
    }
}

/* ---------------------------------------------------------------- quiet moments */

static void verify(void)
{
    unsigned log2;
    const char *wrong = lg_verify(false, &log2);
    if (wrong == NULL) {
        wrong = test_equations(false);
    }
    if (wrong != NULL) {
        violation(wrong);
    }
    done.verified++;
}

static void rest(bool give_all_back)
{
    done.failed_calls += unit_fault_hits(UNIT_ALL_CALLS);
    atomic_store(&failing, false);
    unit_configure(LGALLOC_BACKING_FILE);
    verify();
    if (!give_all_back) {
        return;
    }
    test_hands_clear(&hands);
    const char *left = test_not_quiet(false);
    if (left != NULL) {
        violation(left);
    }
    CHECK(lg_charged() == 0);
    CHECK(test_dir_empty(other_dir));
    verify();
}

static void epoch(uint64_t *random)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t kind = test_random(random);
    atomic_store(&resting, false);
    pthread_t crew[CREW];
    if (kind % 3 == 0) {
        start_failing(random);
    }
    for (size_t i = 0; i < CREW; i++) {
        test_spawn(&crew[i], crew_member, (void *)(uintptr_t)test_random(random));
    }
    /* ThreadSanitizer does not follow forks of processes with several threads, and AddressSanitizer's heap, which the
     * child needs for its books, may be locked for good by a thread that the child doesn't have. */
    manage(random, &start, !TEST_TSAN && !TEST_ASAN);
    atomic_store(&resting, true);
    for (size_t i = 0; i < CREW; i++) {
        test_join(crew[i]);
    }
    rest(kind % 4 == 1);
    done.epochs++;
}

/* ---------------------------------------------------------------- the program */

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: soak [SECONDS] [--seed N]\n");
    exit(2);
}

static unsigned long long number(const char *text)
{
    char *end;
    if (text == NULL || *text < '0' || *text > '9') {
        usage();
    }
    unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0') {
        usage();
    }
    return value;
}

int main(int argc, char **argv)
{
    double seconds = 10;
    seed_of_all = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0) {
            i++;
            seed_of_all = number(i < argc ? argv[i] : NULL);
        } else {
            seconds = (double)number(argv[i]);
        }
    }
    signal(SIGABRT, on_abort);
    unit_fault_install();
    other_dir = test_dir_make();
    unit_configure(LGALLOC_BACKING_FILE);

    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint64_t random = seed_of_all;
    bool terminal = isatty(STDOUT_FILENO);
    do {
        epoch(&random);
        if (terminal) {
            printf("\r%.0f of %.0f s, %lu epochs, %lu allocations ", seconds_since(&start), seconds, done.epochs,
                   atomic_load(&done.allocations));
            fflush(stdout);
        }
    } while (seconds_since(&start) < seconds);
    rest(true);
    test_dir_drop(other_dir);
    printf("%ssoak: %.1f s, seed %" PRIu64 ": %lu epochs, %lu allocations, %lu refused, %lu threads, %lu forks, "
           "%lu purges, %lu settings, %lu failed calls, %lu times verified: all in order\n",
           terminal ? "\r" : "", seconds_since(&start), seed_of_all, done.epochs, atomic_load(&done.allocations),
           atomic_load(&done.refused), atomic_load(&done.threads), atomic_load(&done.forks), atomic_load(&done.purges),
           atomic_load(&done.settings), done.failed_calls, done.verified);
    return 0;
}
