/*
 * The store of evicted regions, by its own door: places, contents, disk, failures, other people's descriptors, forks.
 * ctest-labels: disk
 */

#define _GNU_SOURCE

#include "internal.h"

#include "store/shelf.h"
#include "store/spill.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNIT = LG_SPILL_UNIT };

#define TMPFS 0x01021994u /* of linux/magic.h */

/* ---- help */

static void spill_to(const char *directory, size_t bytes)
{
    lgalloc_config *config = test_config();
    TEST_REQUIRE(lgalloc_config_with_spill(config, directory, bytes) == LGALLOC_STATUS_OK);
    test_apply(config);
}

/* Where the tests run may be in memory: then there is nothing to test. */
static int on_disk(void **state)
{
    unit_fault_off();
    unit_fault_install();
    if (!unit_can_spill()) {
        return 0;
    }
    spill_to(test_dir(), 0);
    *state = (void *)1;
    return 0;
}

static int nothing_left(void **state)
{
    unit_fault_off();
    lg_os_fault_step = NULL;
    spill_to(NULL, 0);
    (void)lg_spill_trim(true);
    return lg_spill_bytes() == 0 ? 0 : -1;
}

#define ON_DISK(function) cmocka_unit_test_setup_teardown(function, on_disk, nothing_left)

/* Memory as a region has it, and what was in it. */
static char *region_of(size_t bytes, uint64_t seed)
{
    char *region = NULL;
    size_t room = (bytes + 2 * MIB - 1) & ~(2 * MIB - 1);
    TEST_REQUIRE(posix_memalign((void **)&region, 2 * MIB, room) == 0);
    for (size_t i = 0; i + 8 <= room; i += 8) {
        uint64_t word = test_random(&seed);
        memcpy(region + i, &word, 8);
    }
    return region;
}

static void require_written(const char *region, size_t used, lg_place *place)
{
    TEST_REQUIRE(lg_spill_take(used, place) == 0);
    TEST_REQUIRE(lg_spill_write(place, region) == 0);
}

static void require_loads(const lg_place *place, const char *region)
{
    char *loaded = region_of(place->used, 1);
    TEST_REQUIRE(lg_spill_load(place, loaded) == 0);
    TEST_REQUIRE(memcmp(loaded, region, place->used) == 0);
    free(loaded);
}

/* A descriptor of an unlinked file in the directory, and the bytes of disk that all of them have; -1: there is none. */
static int spill_descriptor(uint64_t *out_disk)
{
    int found = -1;
    uint64_t disk = 0;
    DIR *descriptors = opendir("/proc/self/fd");
    TEST_REQUIRE(descriptors != NULL);
    for (const struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        char link[PATH_MAX] = "";
        int fd = atoi(entry->d_name);
        struct stat status;
        if (readlinkat(dirfd(descriptors), entry->d_name, link, sizeof link - 1) > 0 &&
            strncmp(link, test_dir(), strlen(test_dir())) == 0 && strstr(link, "deleted") != NULL &&
            fstat(fd, &status) == 0) {
            found = fd;
            disk += (uint64_t)status.st_blocks * 512;
        }
    }
    closedir(descriptors);
    if (out_disk != NULL) {
        *out_disk = disk;
    }
    return found;
}

static uint64_t disk_in_use(void)
{
    uint64_t disk;
    (void)spill_descriptor(&disk);
    return disk;
}

/* ---- units */

enum { SHELF_UNITS_TESTED = 4096 };

static void shelf_against_a_model(void **state)
{
    lg_shelf shelf;
    static unsigned char taken[SHELF_UNITS_TESTED], blocks[SHELF_UNITS_TESTED];
    struct {
        uint64_t at, units;
    } places[64] = {{0, 0}};
    uint64_t random = 3, uses = 0, has = 0;
    assert_int_equal(lg_shelf_make(&shelf, UINT64_C(1) << 28), 0);
    for (unsigned step = 0; step < test_scale(60000, 6000); step++) {
        uint64_t r = test_random(&random), i = r % 64;
        if (places[i].units != 0) {
            for (uint64_t u = places[i].at; u < places[i].at + places[i].units; u++) {
                taken[u]--;
                uses--;
            }
            lg_shelf_give(&shelf, places[i].at, places[i].units);
            places[i].units = 0;
        } else if ((r >> 8 & 7) == 0) {
            uint64_t at, n = lg_shelf_take_unused(&shelf, r >> 16 & 255, 40, &at);
            for (uint64_t u = at; n != 0 && u < at + n; u++) {
                assert_int_equal(taken[u], 0);
                assert_int_equal(blocks[u], 1);
                blocks[u] = 0;
                has--;
            }
            if (n != 0) {
                lg_shelf_set_blocks(&shelf, at, n, false);
                lg_shelf_give(&shelf, at, n);
            }
        } else {
            uint64_t units = 1 + (r >> 16) % ((r >> 11 & 7) == 0 ? 200 : 64), at;
            assert_int_equal(lg_shelf_take(&shelf, units, &at), 0);
            assert_true(at + units <= SHELF_UNITS_TESTED);
            assert_true(units > 64 ? at % 64 == 0 : at / 64 == (at + units - 1) / 64);
            places[i].at = at;
            places[i].units = units;
            uint64_t without = 0;
            for (uint64_t u = at; u < at + units; u++) {
                assert_int_equal(taken[u]++, 0);
                without += !blocks[u];
                uses++;
            }
            assert_int_equal(lg_shelf_count_without(&shelf, at, units), without);
            uint64_t first, n, from = at;
            while ((n = lg_shelf_run_without(&shelf, from, at + units - from, &first)) != 0) {
                for (uint64_t u = first; u < first + n; u++) {
                    assert_int_equal(blocks[u], 0);
                    blocks[u] = 1;
                    has++;
                    without--;
                }
                lg_shelf_set_blocks(&shelf, first, n, true);
                from = first + n;
            }
            assert_int_equal(without, 0);
        }
        uint64_t unused = 0;
        for (uint64_t u = 0; step % 64 == 0 && u < SHELF_UNITS_TESTED; u++) {
            unused += blocks[u] && !taken[u];
        }
        assert_int_equal(shelf.taken_units, uses);
        assert_int_equal(shelf.block_units, has);
        if (step % 64 == 0) {
            assert_int_equal(shelf.unused_units, unused);
        }
    }
    lg_shelf_drop(&shelf);
}

/* The lowest place that is large enough, again after what was there is given. */
static void shelf_stays_dense(void **state)
{
    lg_shelf shelf;
    uint64_t at[200], again;
    assert_int_equal(lg_shelf_make(&shelf, UINT64_C(1) << 28), 0);
    for (size_t i = 0; i < TEST_COUNT(at); i++) {
        assert_int_equal(lg_shelf_take(&shelf, 32, &at[i]), 0);
        assert_int_equal(at[i], 32 * i);
    }
    lg_shelf_give(&shelf, at[7], 32);
    lg_shelf_give(&shelf, at[150], 32);
    assert_int_equal(lg_shelf_take(&shelf, 31, &again), 0);
    assert_int_equal(again, at[7]);
    assert_int_equal(lg_shelf_take(&shelf, 32, &again), 0);
    assert_int_equal(again, at[150]);
    assert_int_equal(lg_shelf_take(&shelf, 1, &again), 0);
    assert_int_equal(again, at[7] + 31);
    assert_int_equal(lg_shelf_take(&shelf, 1000, &again), 0);
    assert_int_equal(again, 32 * TEST_COUNT(at));
    lg_shelf_drop(&shelf);
}

static void shelf_is_full(void **state)
{
    lg_shelf shelf;
    uint64_t at, most = UINT64_C(64) * LG_KIB * 8; /* the least that is reserved */
    assert_int_equal(lg_shelf_make(&shelf, most), 0);
    assert_int_equal(lg_shelf_take(&shelf, most, &at), 0);
    assert_int_equal(lg_shelf_take(&shelf, 1, &at), ENOSPC);
    assert_int_equal(lg_shelf_take(&shelf, 65, &at), ENOSPC);
    lg_shelf_give(&shelf, 64, 65);
    assert_int_equal(lg_shelf_take(&shelf, 65, &at), 0);
    assert_int_equal(at, 64);
    lg_shelf_drop(&shelf);
}

/* ---- contents */

static const size_t sizes[] = {1, 511, 4095, 4096, 4097, UNIT - 1, UNIT, UNIT + 1, 2 * MIB - 1, 2 * MIB, 9 * MIB + 5};

static void comes_back_as_it_was(void **state)
{
    UNIT_NEEDS_DISK(state);
    lg_place places[TEST_COUNT(sizes)];
    char *regions[TEST_COUNT(sizes)];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        regions[i] = region_of(sizes[i], i);
        require_written(regions[i], sizes[i], &places[i]);
    }
    uint64_t units = 0;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        require_loads(&places[i], regions[i]);
        units += (sizes[i] - 1) / UNIT + 1;
    }
    assert_int_equal(lg_spill_bytes(), units * UNIT);
    assert_in_range(disk_in_use(), units * UNIT, units * UNIT + MIB);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        (void)lg_spill_release(&places[i]);
        assert_int_equal(places[i].file, 0);
        assert_false(lg_spill_release(&places[i])); /* nothing happens */
        free(regions[i]);
    }
    (void)lg_spill_trim(true);
    assert_int_equal(lg_spill_bytes(), 0);
    assert_int_equal(spill_descriptor(NULL), -1);
}

/* Any part, to any address, and nothing beside it. */
static void parts_are_read(void **state)
{
    UNIT_NEEDS_DISK(state);
    size_t used = 3 * MIB + 77;
    char *region = region_of(used, 4), *out = NULL;
    assert_int_equal(posix_memalign((void **)&out, 4096, 4 * MIB), 0);
    lg_place place;
    require_written(region, used, &place);
    uint64_t random = 9;
    for (size_t i = 0; i < test_scale(300, 40); i++) {
        uint64_t r = test_random(&random);
        size_t offset = r % used, len = (r >> 32) % (used - offset) + 1, at = r >> 60 == 0 ? 0 : (r >> 24) % 5000;
        if (i % 3 == 0) {
            offset &= ~(size_t)4095;
            at &= ~(size_t)511;
        }
        len = i % 2 == 0 ? lg_min(len, 9000) : len;
        memset(out, 0x5a, 4 * MIB);
        assert_int_equal(lg_spill_read(&place, offset, len, out + at), 0);
        assert_memory_equal(out + at, region + offset, len);
        assert_true(test_filled(out, at, 0x5a) && test_filled(out + at + len, 4096, 0x5a));
    }
    assert_int_equal(lg_spill_read(&place, 0, 0, NULL), 0);
    assert_int_equal(lg_spill_read(&place, 0, used, out), 0);
    assert_memory_equal(out, region, used);
    (void)lg_spill_release(&place);
    free(region);
    free(out);
}

/* Somebody writes to the file. */
static void changed_contents_are_told(void **state)
{
    UNIT_NEEDS_DISK(state);
    size_t used = 2 * MIB;
    char *region = region_of(used, 5), *loaded = region_of(used, 6);
    lg_place place;
    require_written(region, used, &place);
    int fd = spill_descriptor(NULL);
    static char block[4096] __attribute__((aligned(4096)));
    memcpy(block, region + MIB, sizeof block);
    block[100] ^= 4;
    assert_int_equal(pwrite(fd, block, sizeof block, (off_t)(place.at * (uint64_t)UNIT + MIB)), sizeof block);
    assert_int_equal(lg_spill_load(&place, loaded), EBADMSG);
    assert_int_equal(lg_spill_read(&place, 0, used, loaded), EBADMSG);
    assert_int_equal(lg_spill_read(&place, 0, MIB, loaded), 0); /* it can't know */
    block[100] ^= 4;
    assert_int_equal(pwrite(fd, block, sizeof block, (off_t)(place.at * (uint64_t)UNIT + MIB)), sizeof block);
    require_loads(&place, region);
    (void)lg_spill_release(&place);
    free(region);
    free(loaded);
}

static size_t cached_bytes(int fd, size_t len)
{
    static unsigned char there[16384];
    size_t page = lg_os_page_size(), count = 0;
    void *mapped = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    TEST_REQUIRE(mapped != MAP_FAILED && len / page <= sizeof there);
    TEST_REQUIRE(mincore(mapped, len, there) == 0);
    for (size_t i = 0; i < len / page; i++) {
        count += there[i] & 1;
    }
    munmap(mapped, len);
    return count * page;
}

/* With and without O_DIRECT. */
static void page_cache_stays_empty(void **state)
{
    UNIT_NEEDS_DISK(state);
    for (int direct = 0; direct < 2; direct++) {
        unit_fault_arm(UNIT_CALL(DIRECT), 0, direct ? 0 : UNIT_FOREVER, EINVAL);
        size_t used = 16 * MIB;
        char *region = region_of(used, 7);
        lg_place place;
        require_written(region, used, &place);
        require_loads(&place, region);
        int fd = spill_descriptor(NULL);
        assert_int_equal((fcntl(fd, F_GETFL) & O_DIRECT) != 0, direct);
        assert_in_range(cached_bytes(fd, used), 0, used / 8);
        (void)lg_spill_release(&place);
        (void)lg_spill_trim(true);
        free(region);
    }
}

/* ---- disk */

static void bound_is_kept(void **state)
{
    UNIT_NEEDS_DISK(state);
    spill_to(test_dir(), 5 * MIB);
    char *region = region_of(4 * MIB, 8);
    lg_place places[3];
    require_written(region, 2 * MIB, &places[0]);
    require_written(region, 2 * MIB, &places[1]);
    assert_int_equal(lg_spill_take(2 * MIB, &places[2]), ENOSPC);
    assert_int_equal(lg_spill_bytes(), 4 * MIB);
    require_written(region, MIB, &places[2]);
    assert_int_equal(lg_spill_take(1, &places[2]), ENOSPC);
    (void)lg_spill_release(&places[2]);
    /* Unused blocks are given up before anything is refused. */
    (void)lg_spill_release(&places[0]);
    assert_int_equal(lg_spill_bytes(), 5 * MIB);
    require_written(region, 3 * MIB, &places[0]);
    assert_int_equal(lg_spill_bytes(), 5 * MIB);
    (void)lg_spill_release(&places[0]);
    require_loads(&places[1], region);
    spill_to(test_dir(), MIB); /* lower than what is there */
    assert_int_equal(lg_spill_take(1, &places[0]), ENOSPC);
    require_loads(&places[1], region);
    (void)lg_spill_release(&places[1]);
    require_written(region, MIB, &places[0]);
    (void)lg_spill_release(&places[0]);
    free(region);
}

/* Disk is given back when much of it is unused, and what is in between stays. */
static void unused_disk_is_given_back(void **state)
{
    UNIT_NEEDS_DISK(state);
    enum { COUNT = 80 };
    lg_place places[COUNT];
    char *region = region_of(2 * MIB, 9);
    for (size_t i = 0; i < COUNT; i++) {
        require_written(region, 2 * MIB, &places[i]);
    }
    bool much = false;
    size_t released = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 16 != 5) {
            much = lg_spill_release(&places[i]) || much;
            released += 2 * MIB;
        }
    }
    assert_true(much);
    assert_int_equal(lg_spill_bytes(), COUNT * 2 * MIB);
    assert_in_range(lg_spill_trim(false), 2 * MIB, released);
    assert_in_range(lg_spill_bytes(), 10 * MIB, 10 * MIB + 64 * MIB);
    assert_in_range(disk_in_use(), 10 * MIB, lg_spill_bytes() + MIB);
    (void)lg_spill_trim(true);
    assert_int_equal(lg_spill_bytes(), 10 * MIB);
    assert_in_range(disk_in_use(), 10 * MIB, 11 * MIB);
    free(region);
    for (size_t i = 5; i < COUNT; i += 16) {
        region = region_of(2 * MIB, 9);
        require_loads(&places[i], region);
        (void)lg_spill_release(&places[i]);
        free(region);
    }
}

/* ---- failures */

/* Of one kind of call each time, once or all the time. */
static void every_failure_is_an_answer(void **state)
{
    UNIT_NEEDS_DISK(state);
    static const struct {
        const char *name;
        uint64_t call;
        int error;
    } cases[] = {
#define CASE(name, error) {#name, UNIT_CALL(name), error}
        CASE(OPEN, EACCES),         CASE(IDENTIFY, EIO),    CASE(ON_DISK, EIO),
        CASE(RESERVE, ENOMEM),      CASE(COMMIT, ENOMEM),   CASE(DIRECT, EINVAL),
        CASE(HOLD, ENOMEM),         CASE(ALLOCATE, ENOSPC), CASE(ALLOCATE, EDQUOT),
        CASE(ALLOCATE, EOPNOTSUPP), CASE(WRITE, EIO),       CASE(WRITE, ENOSPC),
        CASE(WRITE, EINVAL),        CASE(READ, EIO),        CASE(READ, EINVAL),
        CASE(WRITE_BACK, EIO),      CASE(PUNCH, EIO),       CASE(PUNCH, EOPNOTSUPP),
#undef CASE
    };
    char *region = region_of(2 * MIB, 10), *loaded = region_of(2 * MIB, 11);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (long skip = 0; skip < 3; skip++) {
            for (long times = 1; times <= UNIT_FOREVER; times += UNIT_FOREVER - 1) {
                lg_place place = LG_NO_PLACE, other = LG_NO_PLACE;
                unit_fault_arm(cases[i].call, skip, times, cases[i].error);
                for (int round = 0; round < 2; round++) {
                    int error = lg_spill_take(2 * MIB, &place);
                    TEST_REQUIRE(error == 0 || error == cases[i].error);
                    TEST_REQUIRE((place.file != 0) == (error == 0));
                    if (error == 0) {
                        error = lg_spill_write(&place, region);
                        TEST_REQUIRE(error == 0 || error == cases[i].error);
                    }
                    if (error != 0) {
                        (void)lg_spill_release(&place);
                        continue;
                    }
                    error = lg_spill_load(&place, loaded);
                    TEST_REQUIRE(error == 0 || error == cases[i].error);
                    TEST_REQUIRE(error != 0 || memcmp(loaded, region, 2 * MIB) == 0);
                    error = lg_spill_read(&place, 3, 100, loaded);
                    TEST_REQUIRE(error == 0 || error == cases[i].error);
                    TEST_REQUIRE(error != 0 || memcmp(loaded, region + 3, 100) == 0);
                    if (round == 0) {
                        (void)lg_spill_release(&place);
                        (void)lg_spill_trim(true);
                    }
                }
                /* What came to disk is there when the failures are over, and all is as good as new. */
                unit_fault_off();
                if (place.file != 0) {
                    require_loads(&place, region);
                }
                require_written(region, 2 * MIB, &other);
                require_loads(&other, region);
                (void)lg_spill_release(&other);
                (void)lg_spill_release(&place);
                (void)lg_spill_trim(true);
                if (lg_spill_bytes() != 0) {
                    fail_msg("%s fails with error %d, after %ld: %llu bytes left", cases[i].name, cases[i].error, skip,
                             (unsigned long long)lg_spill_bytes());
                }
            }
        }
    }
    free(region);
    free(loaded);
}

/* Reads and writes come in pieces, and are interrupted. */
static uint64_t piece;
static unsigned interruptions;

static int in_pieces(enum lg_system_call call, uint64_t at, uint64_t len)
{
    if (call != LG_SYS_READ && call != LG_SYS_WRITE) {
        return 0;
    }
    if (interruptions != 0 && at % (3 * piece) == 0 && interruptions-- % 2 == 0) {
        return EINTR;
    }
    return len > piece ? -(int)piece : 0;
}

static void short_reads_and_writes(void **state)
{
    UNIT_NEEDS_DISK(state);
    size_t used = 2 * MIB - 300;
    char *region = region_of(used, 12);
    lg_os_fault_step = in_pieces;
    for (piece = 4096; piece < MIB; piece *= 3) {
        lg_place place;
        interruptions = 60;
        require_written(region, used, &place);
        require_loads(&place, region);
        (void)lg_spill_release(&place);
    }
    lg_os_fault_step = NULL;
    free(region);
}

/* The disk takes a part, and no more. */
static uint64_t full_from;

static int full_disk(enum lg_system_call call, uint64_t at, uint64_t len)
{
    (void)len;
    return call == LG_SYS_WRITE && at >= full_from ? ENOSPC : call == LG_SYS_WRITE ? -4096 : 0;
}

static void half_written(void **state)
{
    UNIT_NEEDS_DISK(state);
    char *region = region_of(2 * MIB, 13), *other = region_of(2 * MIB, 14);
    lg_place first, second;
    require_written(region, 2 * MIB, &first);
    lg_os_fault_step = full_disk;
    full_from = 3 * MIB;
    assert_int_equal(lg_spill_take(2 * MIB, &second), 0);
    assert_int_equal(lg_spill_write(&second, other), ENOSPC);
    lg_os_fault_step = NULL;
    require_loads(&first, region);
    assert_int_equal(lg_spill_write(&second, other), 0); /* the place is as good as before */
    require_loads(&second, other);
    (void)lg_spill_release(&first);
    (void)lg_spill_release(&second);
    free(region);
    free(other);
}

/* ---- a limit on files: a status, and no signal */

static void file_size_limit(void *arg)
{
    struct rlimit limit = {3 * MIB, 3 * MIB};
    char *region = region_of(2 * MIB, 15);
    lg_place first, second;
    require_written(region, 2 * MIB, &first);
    TEST_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    TEST_REQUIRE(lg_spill_take(2 * MIB, &second) == EFBIG);
    require_loads(&first, region);
    limit.rlim_cur = MIB;
    TEST_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    TEST_REQUIRE(lg_spill_write(&first, region) == EFBIG);
    require_loads(&first, region);
    TEST_REQUIRE(!lg_spill_release(&first));
}

static void file_size_limit_is_a_status(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_child_succeeds(file_size_limit, NULL);
}

/* ---- where to */

static void directories_are_looked_at(void **state)
{
    UNIT_NEEDS_DISK(state);
    spill_to(NULL, 0);
    lg_place place;
    assert_false(lg_spill_on());
    assert_int_equal(lg_spill_take(1, &place), ENOENT);
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_spill(config, "", 0), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_config_with_spill(NULL, "/", 0), LGALLOC_STATUS_INVALID_ARGUMENT);
    assert_int_equal(lgalloc_config_with_spill(config, "/nonexistent/directory", 0), LGALLOC_STATUS_OK);
    errno = 0;
    assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(lgalloc_config_error(config), "spill=/nonexistent/directory: no file can be made there"));
    assert_false(lg_spill_on());
    struct statfs shm;
    if (statfs("/dev/shm", &shm) == 0 && (unsigned)shm.f_type == TMPFS && access("/dev/shm", W_OK) == 0) {
        assert_int_equal(lg_spill_probe("/dev/shm"), EMEDIUMTYPE);
        assert_int_equal(lgalloc_config_with_spill(config, "/dev/shm", 0), LGALLOC_STATUS_OK);
        assert_int_equal(lgalloc_set_config(config), LGALLOC_STATUS_IO);
        assert_int_equal(errno, EMEDIUMTYPE);
        assert_non_null(strstr(lgalloc_config_error(config), "would be in memory"));
    }
    lgalloc_config_free(config);
}

/* A file system upon one in memory, and one upon the disk, in a child that has mounts of its own. */
enum { CANNOT_MOUNT = 77 };

static void overlays(void *arg)
{
    char *dir = arg, upper[PATH_MAX], options[3 * PATH_MAX];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) {
        _exit(CANNOT_MOUNT);
    }
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        if (in_memory && mount("none", dir, "tmpfs", 0, NULL) != 0) {
            _exit(CANNOT_MOUNT);
        }
        static const char *const names[] = {"lower", "upper", "work", "merged"};
        for (size_t i = 0; i < TEST_COUNT(names); i++) {
            snprintf(upper, sizeof upper, "%s/%s", dir, names[i]);
            TEST_REQUIRE(mkdir(upper, 0700) == 0 || errno == EEXIST);
        }
        snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
        if (mount("overlay", upper, "overlay", 0, options) != 0) {
            _exit(CANNOT_MOUNT);
        }
        TEST_REQUIRE(lg_spill_probe(upper) == (in_memory ? EMEDIUMTYPE : 0));
        TEST_REQUIRE(umount(upper) == 0);
    }
}

static void overlays_are_seen_through(void **state)
{
    UNIT_NEEDS_DISK(state);
    char *dir = test_dir_make();
    int status = test_fork_status(overlays, dir);
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
    test_dir_drop(dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_MOUNT) {
        print_message("file systems can't be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* What is out stays readable, with another directory and with none. */
static void another_directory(void **state)
{
    UNIT_NEEDS_DISK(state);
    char *more = test_dir_make(), *region = region_of(2 * MIB, 16);
    lg_place first, second, third;
    require_written(region, 2 * MIB, &first);
    spill_to(more, 0);
    require_written(region, 2 * MIB, &second);
    assert_int_not_equal(first.file, second.file);
    spill_to(NULL, 0);
    assert_int_equal(lg_spill_take(1, &third), ENOENT);
    require_loads(&first, region);
    require_loads(&second, region);
    (void)lg_spill_release(&first);
    assert_int_equal(lg_spill_trim(false), 2 * MIB); /* nothing comes to this file any more */
    assert_int_equal(lg_spill_bytes(), 2 * MIB);
    require_loads(&second, region);
    (void)lg_spill_release(&second);
    assert_int_equal(lg_spill_trim(false), 2 * MIB);
    assert_true(test_dir_empty(more));
    test_dir_drop(more);
    free(region);
}

/* More directories than there is room for files, while all are in use. */
static void many_directories(void **state)
{
    UNIT_NEEDS_DISK(state);
    enum { MANY = 40 };
    char *directories[MANY], *region = region_of(UNIT, 17);
    lg_place places[MANY];
    int refused = 0;
    for (size_t i = 0; i < MANY; i++) {
        directories[i] = test_dir_make();
        spill_to(directories[i], 0);
        places[i] = LG_NO_PLACE;
        int error = lg_spill_take(UNIT, &places[i]);
        assert_true(error == 0 || error == ENFILE);
        refused += error != 0;
        assert_int_equal(error == 0 ? lg_spill_write(&places[i], region) : 0, 0);
    }
    assert_in_range(refused, 1, MANY - 8);
    (void)lg_spill_release(&places[3]);
    require_written(region, UNIT, &places[3]);
    for (size_t i = 0; i < MANY; i++) {
        if (places[i].file != 0) {
            require_loads(&places[i], region);
        }
        (void)lg_spill_release(&places[i]);
    }
    spill_to(test_dir(), 0);
    (void)lg_spill_trim(true);
    for (size_t i = 0; i < MANY; i++) {
        test_dir_drop(directories[i]);
    }
    free(region);
}

/* ---- other people's descriptors */

static void descriptors_are_closed(void *arg)
{
    char *region = region_of(5 * MIB, 18), *part = region_of(5 * MIB, 19);
    lg_place first, second;
    require_written(region, 5 * MIB, &first);
    int fd = spill_descriptor(NULL);
    TEST_REQUIRE(fd > 2 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    TEST_REQUIRE(test_dir_empty(test_dir()));
    /* A file of the program's own gets the number. */
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s/own", test_dir());
    close(fd);
    int own = open(name, O_CREAT | O_RDWR, 0600);
    TEST_REQUIRE(own == fd || (dup2(own, fd) == fd && close(own) == 0));
    TEST_REQUIRE(unlink(name) == 0);
    static char mine[4096];
    memset(mine, 'm', sizeof mine);
    TEST_REQUIRE(pwrite(fd, mine, sizeof mine, 0) == sizeof mine);
    size_t resident = test_resident();
    TEST_REQUIRE(lg_spill_load(&first, part) == 0 && memcmp(part, region, 5 * MIB) == 0);
    TEST_REQUIRE(test_on_valgrind() || test_resident() < resident + 2 * MIB);
    TEST_REQUIRE(lg_spill_read(&first, 12345, MIB, part) == 0 && memcmp(part, region + 12345, MIB) == 0);
    require_written(region, 5 * MIB, &second);
    TEST_REQUIRE(second.file != first.file);
    require_loads(&first, region);
    require_loads(&second, region);
    (void)lg_spill_release(&first);
    (void)lg_spill_trim(true);
    TEST_REQUIRE(lg_spill_bytes() == (5 * MIB + UNIT - 1) / UNIT * UNIT);
    require_loads(&second, region);
    (void)lg_spill_release(&second);
    (void)lg_spill_trim(true);
    char now[4096];
    struct stat status;
    TEST_REQUIRE(pread(fd, now, sizeof now, 0) == sizeof now && memcmp(now, mine, sizeof now) == 0);
    TEST_REQUIRE(fstat(fd, &status) == 0 && status.st_size == sizeof mine);
}

static void what_is_out_survives_its_descriptor(void **state)
{
    UNIT_NEEDS_DISK(state);
    test_child_succeeds(descriptors_are_closed, NULL);
}

/* ---- forks */

struct parent {
    lg_place place;
    char *region;
};

static void as_child(void *arg)
{
    struct parent *parent = arg;
    lg_place own;
    char *region = region_of(3 * MIB, 20);
    TEST_REQUIRE(spill_descriptor(NULL) == -1 && lg_spill_bytes() == 0);
    TEST_REQUIRE(lg_spill_load(&parent->place, parent->region) == ESTALE);
    TEST_REQUIRE(lg_spill_read(&parent->place, 0, 10, region) == ESTALE);
    TEST_REQUIRE(lg_spill_write(&parent->place, region) == ESTALE);
    require_written(region, 3 * MIB, &own);
    TEST_REQUIRE(own.file != parent->place.file);
    lg_place copy = parent->place;
    TEST_REQUIRE(!lg_spill_release(&copy) && copy.file == 0);
    require_loads(&own, region);
    TEST_REQUIRE(lg_spill_bytes() == 3 * MIB);
    (void)lg_spill_release(&own);
    (void)lg_spill_trim(true);
    TEST_REQUIRE(lg_spill_bytes() == 0);
}

static void children_have_none_of_it(void **state)
{
    UNIT_NEEDS_DISK(state);
    struct parent parent = {.region = region_of(2 * MIB, 21)};
    require_written(parent.region, 2 * MIB, &parent.place);
    test_child_succeeds(as_child, &parent);
    require_loads(&parent.place, parent.region);
    assert_int_equal(lg_spill_bytes(), 2 * MIB);
    (void)lg_spill_release(&parent.place);
    free(parent.region);
}

/* ---- several threads */

static atomic_bool over;

static void *spills(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    lg_place places[6] = {{0}};
    char *regions[6];
    size_t used[6] = {0};
    for (size_t i = 0; i < 6; i++) {
        regions[i] = region_of(2 * MIB, random + i);
    }
    for (size_t round = 0; round < test_scale(150, 15); round++) {
        uint64_t r = test_random(&random), i = r % 6;
        if (places[i].file == 0) {
            used[i] = 1 + (r >> 8) % (2 * MIB);
            TEST_REQUIRE(lg_spill_take(used[i], &places[i]) == 0);
            TEST_REQUIRE(lg_spill_write(&places[i], regions[i]) == 0);
        } else if ((r >> 40 & 1) == 0) {
            require_loads(&places[i], regions[i]);
        } else {
            (void)lg_spill_release(&places[i]);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        (void)lg_spill_release(&places[i]);
        free(regions[i]);
    }
    return NULL;
}

static void *trims(void *arg)
{
    bool all = false;
    while (!atomic_load(&over)) {
        (void)lg_spill_trim(all = !all);
        (void)lg_spill_bytes();
        lg_os_pause(100);
    }
    return NULL;
}

static void several_threads(void **state)
{
    UNIT_NEEDS_DISK(state);
    pthread_t threads[3], trimmer;
    atomic_store(&over, false);
    test_spawn(&trimmer, trims, NULL);
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_spawn(&threads[i], spills, (void *)(uintptr_t)(100 * i + 1));
    }
    for (size_t i = 0; i < TEST_COUNT(threads); i++) {
        test_join(threads[i]);
    }
    atomic_store(&over, true);
    test_join(trimmer);
    (void)lg_spill_trim(true);
    assert_int_equal(lg_spill_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shelf_against_a_model),
        cmocka_unit_test(shelf_stays_dense),
        cmocka_unit_test(shelf_is_full),
        ON_DISK(comes_back_as_it_was),
        ON_DISK(parts_are_read),
        ON_DISK(changed_contents_are_told),
        ON_DISK(page_cache_stays_empty),
        ON_DISK(bound_is_kept),
        ON_DISK(unused_disk_is_given_back),
        ON_DISK(every_failure_is_an_answer),
        ON_DISK(short_reads_and_writes),
        ON_DISK(half_written),
        ON_DISK(file_size_limit_is_a_status),
        ON_DISK(directories_are_looked_at),
        ON_DISK(overlays_are_seen_through),
        ON_DISK(another_directory),
        ON_DISK(many_directories),
        ON_DISK(what_is_out_survives_its_descriptor),
        ON_DISK(children_have_none_of_it),
        ON_DISK(several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
