/* Areas: how they grow, where they go, what is behind them, and what is left when they are released. */

#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AREAS_MAX = 64 };

/* A class's table, as it should be. */
struct table {
    lg_class *cls;
    lg_area areas[AREAS_MAX];
    size_t count;
    uint64_t last_len;
    uint64_t dampener;
};

static void set_dampener(struct table *table, uint64_t dampener)
{
    lgalloc_config *config = test_config();
    lgalloc_config_growth_dampener(config, dampener);
    test_apply(config);
    table->dampener = dampener;
}

/* The first area is 32 MiB or one region; the next adds max(first, last / (dampener + 1)), at most 1 GiB or
 * one region. All are whole regions and whole chunks. */
static uint64_t expected_len(const struct table *table)
{
    uint64_t unit = lg_max(lg_class_size(table->cls), LG_CHUNK);
    uint64_t growth = table->dampener == UINT64_MAX ? 0 : table->last_len / (table->dampener + 1);
    uint64_t len = table->last_len + lg_max(unit, growth);
    return lg_min(len / unit * unit, lg_max(GIB, unit));
}

static bool is_mapped(uint64_t offset)
{
    return lg_backing_kind(offset) != LG_AREA_NONE;
}

/* Maps an area where it must go: at the lowest free address that is aligned to a region. */
static lg_area map(struct table *table)
{
    uint64_t unit = lg_max(lg_class_size(table->cls), LG_CHUNK);
    uint64_t len = expected_len(table);
    uint64_t start = 0;
    uint64_t gap = 0;
    for (uint64_t at = 0; at < lg_layout_.arena_bytes && gap < len; at += LG_CHUNK) {
        if (is_mapped(at)) {
            if (gap >= unit) {
                break;
            }
            gap = 0;
        } else if (gap != 0 || at % unit == 0) {
            start = gap == 0 ? at : start;
            gap += LG_CHUNK;
        }
    }
    gap = gap / unit * unit;
    size_t at = 0;
    while (at < table->count && table->areas[at].start < start) {
        at++;
    }
    lg_area area;
    assert_int_equal(unit_map_area(table->cls, &area), 0);
    assert_int_equal(area.start, start);
    assert_int_equal(area.len, lg_min(len, gap));
    assert_true(table->count < AREAS_MAX);
    memmove(&table->areas[at + 1], &table->areas[at], (table->count - at) * sizeof(lg_area));
    table->areas[at] = area;
    table->count++;
    table->last_len = area.len;
    return area;
}

static bool try_release(lg_class *cls, uint64_t start, uint64_t len, uint64_t *dirty_bytes)
{
    lg_transit_enter(lg_self());
    bool done = lg_chunks_release(cls, start >> LG_CHUNK_LOG2, len >> LG_CHUNK_LOG2, dirty_bytes);
    lg_transit_leave(lg_self());
    return done;
}

static void release(struct table *table, size_t at)
{
    uint64_t dirty_bytes;
    assert_true(try_release(table->cls, table->areas[at].start, table->areas[at].len, &dirty_bytes));
    table->count--;
    memmove(&table->areas[at], &table->areas[at + 1], (table->count - at) * sizeof(lg_area));
    if (table->count == 0) {
        table->last_len = 0;
    }
}

static void assert_same_table(const struct table *table)
{
    lg_area area;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        assert_true(lg_area_next(table->cls, offset, &area));
        assert_int_equal(area.start, table->areas[i].start);
        assert_int_equal(area.len, table->areas[i].len);
        assert_int_equal(area.kind, table->areas[i].kind);
        /* Any byte of it finds it. */
        assert_true(lg_area_next(table->cls, area.start + area.len - 1, &area));
        assert_int_equal(area.start, table->areas[i].start);
        offset = area.start + area.len;
        bytes += area.len;
    }
    assert_false(lg_area_next(table->cls, offset, &area));
    assert_int_equal(lg_area_count(table->cls), table->count);
    assert_int_equal(lg_area_bytes(table->cls), bytes);
}

static bool narrow(uint64_t bytes)
{
    (void)unit_self();
    return lg_layout_.arena_bytes < bytes;
}

/* ---------------------------------------------------------------- growth and place */

static void areas_grow(void **state)
{
    if (narrow(16 * GIB)) {
        TEST_SKIP("too little address space for areas of 1 GiB");
    }
    static const uint64_t dampeners[] = {0, 1, 3, UINT64_MAX};
    static const size_t sizes[] = {64 * KIB, 2 * MIB, 64 * MIB, GIB};
    for (size_t i = 0; i < TEST_COUNT(dampeners); i++) {
        for (size_t j = 0; j < TEST_COUNT(sizes); j++) {
            struct table table = {.cls = unit_class(sizes[j])};
            (void)lgalloc_purge();
            set_dampener(&table, dampeners[i]);
            for (size_t n = 0; n < (sizes[j] == GIB ? 3 : 8); n++) {
                (void)map(&table);
            }
            assert_same_table(&table);
            while (table.count != 0) {
                release(&table, table.count / 2);
            }
            assert_same_table(&table);
            /* It starts small again. */
            assert_int_equal(map(&table).len, lg_max(32 * MIB, sizes[j]));
        }
    }
}

static void growth_in_figures(void **state)
{
    if (narrow(16 * GIB)) {
        TEST_SKIP("too little address space for areas of 1 GiB");
    }
    static const uint64_t doubled[] = {32, 64, 128, 256, 512, 1024, 1024};
    static const uint64_t dampened[] = {32, 64, 96, 128, 192, 288, 416, 608, 896, 1024}; /* whole chunks */
    struct table table = {.cls = unit_class(2 * MIB)};
    set_dampener(&table, 0);
    for (size_t i = 0; i < TEST_COUNT(doubled); i++) {
        assert_int_equal(map(&table).len, doubled[i] * MIB);
    }
    (void)lgalloc_purge();
    table.count = 0;
    table.last_len = 0;
    set_dampener(&table, 1);
    for (size_t i = 0; i < TEST_COUNT(dampened); i++) {
        assert_int_equal(map(&table).len, dampened[i] * MIB);
    }
}

static void gaps_first(void **state)
{
    if (narrow(8 * GIB)) {
        TEST_SKIP("too little address space for several areas");
    }
    struct table table = {.cls = unit_class(MIB)};
    set_dampener(&table, UINT64_MAX);
    uint64_t random = 17;
    for (size_t i = 0; i < test_scale(400, 60); i++) {
        bool grow = table.count < 4 || (table.count < 12 && test_random(&random) % 2 == 0);
        if (grow) {
            (void)map(&table);
        } else {
            release(&table, test_random(&random) % table.count);
        }
        if (i % 16 == 0) {
            set_dampener(&table, test_random(&random) % 4);
            unit_assert_sound(false);
        }
        assert_same_table(&table);
    }
}

static void no_address_is_left(void **state)
{
    (void)unit_self();
    lg_class *c = lg_class_at((unsigned)lg_layout_.classes - 1); /* of which the fewest regions fit */
    uint64_t regions = lg_class_room(c);
    uint64_t mapped = 0;
    for (lg_area area; mapped < regions; mapped += lg_class_regions(c, area.len)) {
        assert_int_equal(unit_map_area(c, &area), 0);
    }
    assert_int_equal(mapped, regions);
    assert_int_equal(unit_map_area(c, NULL), LG_EXHAUSTED);
    unit_assert_sound(false);
    /* A hole in the middle is found. */
    lg_area area;
    uint64_t dirty_bytes;
    assert_true(lg_area_next(c, lg_layout_.arena_bytes / 2, &area));
    assert_true(try_release(c, area.start, area.len, &dirty_bytes));
    lg_area again;
    assert_int_equal(unit_map_area(c, &again), 0);
    assert_int_equal(again.start, area.start);
    assert_int_equal(unit_map_area(c, NULL), LG_EXHAUSTED);
}

/* ---------------------------------------------------------------- release */

static void only_what_is_free(void **state)
{
    lg_class *c = unit_class(2 * MIB);
    lgalloc_handle handle = test_take(2 * MIB);
    test_mark(handle, 1);
    uint64_t dirty_bytes;
    lg_area area;
    assert_true(lg_area_next(c, 0, &area));
    lgalloc_thread_flush();
    uint64_t clean = unit_clean(c);
    uint64_t held = 1;
    assert_false(lg_chunk_is_free(c, area.start >> LG_CHUNK_LOG2, &held));
    assert_false(try_release(c, area.start, area.len, &dirty_bytes));
    /* No area begins there. */
    assert_false(try_release(c, area.start + LG_CHUNK, LG_CHUNK, &dirty_bytes));
    assert_false(try_release(c, area.start + area.len, LG_CHUNK, &dirty_bytes));
    assert_int_equal(unit_clean(c), clean);
    unit_assert_sound(false);
    lgalloc_deallocate(handle);
    /* In a thread's cache it is not in the pools, so the area stays. */
    assert_false(try_release(c, area.start, area.len, &dirty_bytes));
    lgalloc_thread_flush();
    assert_true(lg_chunk_is_free(c, area.start >> LG_CHUNK_LOG2, &held));
    assert_int_equal(held, 2 * MIB);
    uint64_t charged = lg_charged();
    uint64_t released = lg_load_relaxed_64(&c->areas_released);
    assert_true(try_release(c, area.start, area.len, &dirty_bytes));
    assert_int_equal(dirty_bytes, 2 * MIB);
    assert_int_equal(lg_charged(), charged - 2 * MIB);
    assert_int_equal(lg_load_relaxed_64(&c->areas_released), released + 1);
    assert_int_equal(lg_area_count(c), 0);
    assert_int_equal(unit_clean(c), 0);
    assert_false(test_mapping_flag(handle.ptr, "rd"));
    unit_assert_sound(true);
}

static void comes_back_as_zeros(void **state)
{
    lg_class *c = unit_class(MIB);
    lgalloc_handle handle = test_take(MIB);
    memset(handle.ptr, 0xab, handle.len);
    void *first = handle.ptr;
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    lg_area area;
    uint64_t dirty_bytes;
    assert_true(lg_area_next(c, 0, &area));
    assert_true(try_release(c, area.start, area.len, &dirty_bytes));
    handle = test_take(MIB);
    assert_ptr_equal(handle.ptr, first);
    assert_true(test_filled(handle.ptr, handle.len, 0));
    lgalloc_deallocate(handle);
}

/* A system that can neither punch holes nor cut files off must not hand out old contents as zeros. */
static void comes_back_as_zeros_whatever_fails(void **state)
{
    lgalloc_handle keep = test_take(MIB);
    lgalloc_handle handles[40];
    for (unsigned calls = 0; calls < 8; calls++) {
        test_take_all(handles, TEST_COUNT(handles), MIB);
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            memset(handles[i].ptr, 0xcd, handles[i].len);
        }
        test_free_all(handles, TEST_COUNT(handles));
        if (calls % 2 == 0) {
            lgalloc_deallocate(keep);
        }
        unit_fault_arm(UNIT_CALL(ADVISE_REMOVE) | UNIT_CALL(ADVISE_DISCARD) |
                           ((calls & 1) != 0 ? UNIT_CALL(TRUNCATE) : 0) | ((calls & 2) != 0 ? UNIT_CALL(PUNCH) : 0) |
                           ((calls & 4) != 0 ? UNIT_CALL(UNMAP) : 0),
                       0, UNIT_FOREVER, EIO);
        (void)lgalloc_purge();
        unit_fault_off();
        unit_assert_sound(false);
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            assert_int_equal(lgalloc_allocate_zeroed(MIB, 1, 1, NULL, NULL, &handles[i]), LGALLOC_STATUS_OK);
            assert_true(test_filled(handles[i].ptr, handles[i].len, 0));
        }
        unit_assert_sound(false);
        test_free_all(handles, TEST_COUNT(handles));
        (void)lgalloc_purge();
        if (calls % 2 == 0) {
            keep = test_take(MIB);
        }
    }
    lgalloc_deallocate(keep);
}

static void set_backing(lgalloc_backing backing)
{
    lgalloc_config *config = test_config();
    lgalloc_config_with_backing(config, backing);
    test_apply(config);
}

/* Neighbours are cleared in one go, each in the way of what is behind it. */
static void neighbours_of_two_kinds(void **state)
{
    enum { CHUNK_OF = LG_CHUNK / MIB };
    lgalloc_handle handles[2 * CHUNK_OF];
    test_set_local_buffer(0);
    for (int order = 0; order < 2; order++) {
        set_backing(order == 0 ? LGALLOC_BACKING_FILE : LGALLOC_BACKING_ANONYMOUS);
        test_take_all(handles, CHUNK_OF, MIB);
        set_backing(order == 0 ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE);
        test_take_all(handles + CHUNK_OF, CHUNK_OF, MIB);
        char *from = handles[0].ptr;
        for (size_t i = 0; i < TEST_COUNT(handles); i++) {
            assert_ptr_equal(handles[i].ptr, from + i * MIB);
            memset(handles[i].ptr, 0xcd, MIB);
        }
        uint64_t offset = (uint64_t)(from - lg_arena_address(0));
        assert_int_not_equal(lg_backing_kind(offset), lg_backing_kind(offset + LG_CHUNK));
        assert_int_equal(lg_backing_clear(offset + LG_CHUNK - MIB, 2 * MIB), 0);
        assert_true(test_filled(from + LG_CHUNK - MIB, 2 * MIB, 0));
        assert_true(test_filled(from + LG_CHUNK - 2 * MIB, MIB, 0xcd));
        assert_true(test_filled(from + LG_CHUNK + MIB, MIB, 0xcd));
        test_free_all(handles, TEST_COUNT(handles));
        (void)lgalloc_purge();
    }
}

/* What can't be unmapped stays, with all its regions. */
static void stays_where_unmapping_fails(void **state)
{
    lg_class *c = unit_class(2 * MIB);
    unit_make_dirty(4, 2 * MIB);
    lg_area area;
    assert_true(lg_area_next(c, 0, &area));
    uint64_t regions = area.len / (2 * MIB);
    uint64_t dirty_bytes = 1;
    uint64_t charged = lg_charged();
    unit_fault_arm(UNIT_CALL(UNMAP), 0, UNIT_FOREVER, ENOMEM);
    assert_false(try_release(c, area.start, area.len, &dirty_bytes));
    unit_fault_off();
    assert_int_equal(dirty_bytes, 0);
    assert_int_equal(lg_charged(), charged);
    assert_int_equal(unit_dirty(c), 4);
    assert_int_equal(unit_clean(c), regions - 4);
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- files */

static size_t open_files(void)
{
    size_t count = 0;
    DIR *stream = opendir("/proc/self/fd");
    assert_non_null(stream);
    while (readdir(stream) != NULL) {
        count++;
    }
    closedir(stream);
    return count;
}

/* The file that an area begins in. */
static int file_of(lg_area area)
{
    lg_file file;
    TEST_REQUIRE(lg_backing_file(area.start >> LG_CHUNK_LOG2, &file));
    return file.fd;
}

static size_t size_of(int fd)
{
    uint64_t size, allocated;
    assert_int_equal(lg_os_file_usage(fd, &size, &allocated), 0);
    return size;
}

static size_t blocks_of(int fd)
{
    uint64_t size, allocated;
    assert_int_equal(lg_os_file_usage(fd, &size, &allocated), 0);
    return allocated;
}

/* Offsets in the file are those in the arena, for every area. */
static void offsets_are_those_of_the_arena(void **state)
{
    if (narrow(8 * GIB)) {
        TEST_SKIP("too little address space for several areas");
    }
    lg_class *c = unit_class(2 * MIB);
    lgalloc_handle handles[100]; /* more than two areas */
    test_take_all(handles, TEST_COUNT(handles), 2 * MIB);
    assert_true(lg_area_count(c) >= 3);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        memcpy((char *)handles[i].ptr + 12345, &i, sizeof i);
    }
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        lg_area area;
        uint64_t offset = (uint64_t)((char *)handles[i].ptr - lg_arena_address(0));
        assert_true(lg_area_next(c, offset, &area));
        assert_true(area.kind == LG_AREA_FILE);
        area.start = offset;
        size_t read_back = SIZE_MAX;
        assert_int_equal(pread(file_of(area), &read_back, sizeof read_back, (off_t)(offset + 12345)), sizeof read_back);
        assert_int_equal(read_back, i);
        assert_int_not_equal(fcntl(file_of(area), F_GETFD) & FD_CLOEXEC, 0);
    }
    assert_true(test_mapping_flag(handles[0].ptr, "dc")); /* not for children */
    test_free_all(handles, TEST_COUNT(handles));
}

static void a_file_for_each_directory(void **state)
{
    if (narrow(8 * GIB)) {
        TEST_SKIP("too little address space for several areas");
    }
    size_t before = open_files();
    char *other = test_dir_make();
    struct table table = {.cls = unit_class(MIB)};
    set_dampener(&table, UINT64_MAX);
    int first = file_of(map(&table));
    assert_int_equal(file_of(map(&table)), first);
    assert_int_equal(open_files(), before + 1);

    test_use_directory(other, false);
    set_dampener(&table, UINT64_MAX);
    int second = file_of(map(&table));
    assert_int_not_equal(second, first);
    assert_int_equal(file_of(map(&table)), second);
    assert_int_equal(open_files(), before + 2);
    assert_true(test_dir_empty(other));
    struct stat one, two;
    assert_true(fstat(first, &one) == 0 && fstat(second, &two) == 0);
    assert_true(one.st_ino != two.st_ino);
    assert_true(one.st_nlink == 0 && two.st_nlink == 0);

    /* The same name again is no change. */
    lgalloc_config *config = test_config();
    assert_int_equal(lgalloc_config_with_path(config, other), LGALLOC_STATUS_OK);
    test_apply(config);
    assert_int_equal(file_of(map(&table)), second);

    /* Each file ends where its last area ends, and goes with its last area. */
    assert_int_equal(size_of(first), table.areas[1].start + table.areas[1].len);
    assert_int_equal(size_of(second), table.areas[4].start + table.areas[4].len);
    release(&table, 1);
    assert_int_equal(size_of(first), table.areas[0].len);
    release(&table, 0);
    assert_int_equal(open_files(), before + 1);
    /* The gap in front is filled from the file in use, whose end stays. */
    assert_int_equal(file_of(map(&table)), second);
    assert_int_equal(size_of(second), table.areas[table.count - 1].start + table.areas[table.count - 1].len);
    while (table.count != 0) {
        release(&table, table.count - 1);
    }
    assert_int_equal(open_files(), before);
    test_dir_drop(other);
}

static void files_shrink_and_lose_their_blocks(void **state)
{
    if (narrow(8 * GIB)) {
        TEST_SKIP("too little address space for several areas");
    }
    struct table table = {.cls = unit_class(2 * MIB)};
    set_dampener(&table, UINT64_MAX);
    for (size_t i = 0; i < 3; i++) {
        (void)map(&table); /* of 32, 64 and 96 MiB */
    }
    int fd = file_of(table.areas[0]);
    lgalloc_handle handles[96];
    test_take_all(handles, TEST_COUNT(handles), 2 * MIB);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        memset(handles[i].ptr, 1, 64 * KIB);
    }
    test_free_all(handles, TEST_COUNT(handles));
    lgalloc_thread_flush();
    assert_int_equal(size_of(fd), 192 * MIB);
    size_t blocks = blocks_of(fd);
    if (blocks < 96 * 64 * KIB) {
        for (size_t i = 0; i < 3; i++) {
            release(&table, 0);
        }
        TEST_SKIP("the file system does not say what it holds");
    }
    release(&table, 1);
    assert_int_equal(size_of(fd), 192 * MIB);
    assert_in_range(blocks_of(fd), 1, blocks - 32 * 64 * KIB);
    release(&table, 1);
    assert_int_equal(size_of(fd), 32 * MIB);
    assert_in_range(blocks_of(fd), 1, blocks - 80 * 64 * KIB);
    release(&table, 0);
    assert_int_equal(lg_area_count(table.cls), 0);
}

/* Usage is that of all files of the class. */
static void usage_of_all_files(void **state)
{
    lg_class *c = unit_class(MIB);
    uint64_t files, size, allocated;
    assert_int_equal(lg_arena_files_usage(c, &files, &size, &allocated), 0);
    assert_int_equal(files, 0);
    lgalloc_handle first = test_take(MIB);
    char *other = test_dir_make();
    test_use_directory(other, false);
    lg_area area;
    assert_int_equal(unit_map_area(c, &area), 0);
    assert_int_equal(lg_arena_files_usage(c, &files, &size, &allocated), 0);
    assert_int_equal(files, 2);
    assert_int_equal(size, 32 * MIB + area.len);
    unit_fault_arm(UNIT_CALL(FSTAT), 1, 1, EIO);
    assert_int_equal(lg_arena_files_usage(c, &files, &size, &allocated), EIO);
    unit_fault_off();
    lgalloc_deallocate(first);
    (void)lgalloc_purge();
    test_dir_drop(other);
}

/* ---------------------------------------------------------------- when the system refuses */

/* Each step of mapping fails in turn: the table, the files and the pools are as they were. */
static void nothing_is_left_of_a_failure(void **state)
{
    static const enum lg_system_call steps[] = {LG_SYS_COMMIT, LG_SYS_OPEN, LG_SYS_TRUNCATE, LG_SYS_MAP_FILE};
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    lg_class *c = unit_class(4 * MIB);
    (void)unit_self();
    (void)lgalloc_purge();
    size_t files = open_files();
    for (unsigned areas = 0; areas < 2; areas++) {
        for (size_t i = 0; i < TEST_COUNT(steps); i++) {
            lg_area area;
            unit_fault_arm(UNIT_CALL_BIT(steps[i]), 0, UNIT_FOREVER, ENFILE);
            int error = unit_map_area(c, NULL);
            unsigned long hits = unit_fault_hits(UNIT_CALL_BIT(steps[i]));
            unit_fault_off();
            if (hits == 0) {
                assert_int_equal(error, 0);
                assert_true(lg_area_next(c, areas == 0 ? 0 : 32 * MIB, &area));
                uint64_t dirty_bytes;
                assert_true(try_release(c, area.start, area.len, &dirty_bytes));
                continue;
            }
            assert_int_equal(error, ENFILE);
            assert_int_equal(lg_area_count(c), areas);
            assert_int_equal(unit_clean(c), areas == 0 ? 0 : 32 * MIB / (4 * MIB));
            assert_int_equal(open_files(), files + (file ? areas : 0));
            unit_assert_sound(false);
        }
        if (areas == 0) {
            assert_int_equal(unit_map_area(c, NULL), 0);
        }
    }
}

/* A system that refuses much may grant little. */
static void small_where_large_is_refused(void **state)
{
    if (narrow(8 * GIB)) {
        TEST_SKIP("too little address space for several areas");
    }
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    lg_class *c = unit_class(MIB);
    lg_area area;
    assert_int_equal(unit_map_area(c, &area), 0);
    assert_int_equal(unit_map_area(c, &area), 0);
    unit_fault_arm(file ? UNIT_CALL(MAP_FILE) : UNIT_CALL(COMMIT), 0, 1, ENOMEM);
    assert_int_equal(unit_map_area(c, &area), 0);
    unit_fault_off();
    assert_int_equal(area.len, 32 * MIB);
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- anonymous memory */

static void named_and_advised(void **state)
{
    (void)unit_self();
    lgalloc_handle small = test_take(MIB);
    lgalloc_handle large = test_take(2 * MIB);
    test_mark(small, 0);
    test_mark(large, 0);
    lg_area area;
    assert_true(lg_area_next(unit_class(MIB), 0, &area));
    assert_true(area.kind == LG_AREA_ANONYMOUS);
    lg_file none;
    assert_false(lg_backing_file(area.start >> LG_CHUNK_LOG2, &none));
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) == 0) {
        assert_false(test_mapping_flag(small.ptr, "hg"));
        assert_true(test_mapping_flag(large.ptr, "hg"));
    }
    char name[64];
    test_mapping_name(large.ptr, name, sizeof name);
    assert_true(name[0] == '\0' || strcmp(name, "[anon:lgalloc]") == 0);
    lgalloc_deallocate(small);
    lgalloc_deallocate(large);
}

/* ---------------------------------------------------------------- disk blocks that are reserved */

static void set_reserve_blocks(bool reserve)
{
    lgalloc_config *config = test_config();
    lgalloc_config_reserve_blocks(config, reserve);
    test_apply(config);
}

static bool has_its_blocks(lgalloc_handle handle)
{
    lg_area area;
    lg_class *c = unit_class(handle.len);
    TEST_REQUIRE(lg_area_next(c, (uint64_t)((char *)handle.ptr - lg_arena_address(0)), &area));
    return blocks_of(file_of(area)) >= handle.len;
}

/* Whatever was done to a region before, its blocks are there when it is handed out. */
static void blocks_are_there_when_handed_out(void **state)
{
    if (narrow(256 * MIB)) {
        TEST_SKIP("too little address space for large regions");
    }
    static const size_t sizes[] = {2 * MIB, 64 * MIB, 256 * MIB};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        set_reserve_blocks(true);
        lgalloc_handle handle;
        if (lgalloc_allocate(sizes[i], 1, 1, NULL, NULL, &handle) != LGALLOC_STATUS_OK) {
            TEST_SKIP("the file system can't reserve blocks, or has too few");
        }
        assert_true(has_its_blocks(handle));

        /* Its zeros were made by punching a hole. */
        lgalloc_deallocate(handle);
        set_reserve_blocks(false);
        assert_int_equal(lgalloc_allocate_zeroed(sizes[i], 1, 1, NULL, NULL, &handle), LGALLOC_STATUS_OK);
        lgalloc_deallocate(handle);
        set_reserve_blocks(true);
        handle = test_take(sizes[i]);
        assert_true(has_its_blocks(handle));

        /* Its user gave them back. */
        assert_int_equal(lgalloc_discard(handle, 0, handle.len), LGALLOC_STATUS_OK);
        lgalloc_deallocate(handle);
        handle = test_take(sizes[i]);
        assert_true(has_its_blocks(handle));

        /* It was cleared. */
        lgalloc_deallocate(handle);
        lgalloc_thread_flush();
        (void)lg_reclaim_dirty(lg_self(), unit_class(sizes[i]), UINT64_MAX, UINT64_MAX, false);
        handle = test_take(sizes[i]);
        assert_true(has_its_blocks(handle));

        /* Clearing it failed half way. */
        lgalloc_deallocate(handle);
        lgalloc_thread_flush();
        unit_fault_arm(UNIT_CALL(ADVISE_REMOVE), 1, UNIT_FOREVER, EIO);
        (void)lg_reclaim_dirty(lg_self(), unit_class(sizes[i]), UINT64_MAX, UINT64_MAX, false);
        unit_fault_off();
        handle = test_take(sizes[i]);
        assert_true(has_its_blocks(handle));

        /* Its chunk was emptied, and couldn't be unmapped. */
        lgalloc_deallocate(handle);
        lgalloc_thread_flush();
        lg_area area;
        uint64_t dirty_bytes;
        assert_true(lg_area_next(unit_class(sizes[i]), 0, &area));
        unit_fault_arm(UNIT_CALL(UNMAP), 0, UNIT_FOREVER, ENOMEM);
        assert_false(try_release(unit_class(sizes[i]), area.start, area.len, &dirty_bytes));
        unit_fault_off();
        handle = test_take(sizes[i]);
        assert_true(has_its_blocks(handle));
        lgalloc_deallocate(handle);
        (void)lgalloc_purge();
    }
}

/* A region whose blocks can't be had goes back to where it came from, whatever becomes of the clearing. */
static void without_blocks_nothing_is_handed_out(void **state)
{
    set_reserve_blocks(true);
    lgalloc_handle warm[4];
    test_set_local_buffer(0);
    test_take_all(warm, TEST_COUNT(warm), MIB);
    test_free_all(warm, 2); /* two dirty, the rest clean */
    for (int clearing_fails = 0; clearing_fails < 2; clearing_fails++) {
        for (size_t i = 0; i < 6; i++) {
            unit_fault_arm(UNIT_CALL(ALLOCATE) | (clearing_fails ? UNIT_CALL(ADVISE_REMOVE) : 0), 0, UNIT_FOREVER,
                           ENOSPC);
            set_reserve_blocks(true);
            lgalloc_handle handle;
            errno = 0;
            lgalloc_status status = lgalloc_allocate(MIB, 1, 1, NULL, NULL, &handle);
            bool hit = unit_fault_hits(UNIT_CALL(ALLOCATE)) != 0;
            unit_fault_off();
            if (hit) {
                assert_int_equal(status, LGALLOC_STATUS_IO);
                assert_int_equal(errno, ENOSPC);
                assert_int_equal(handle.len, 0);
            } else {
                assert_int_equal(status, LGALLOC_STATUS_OK);
                lgalloc_deallocate(handle);
            }
            unit_assert_sound(false);
            (void)lgalloc_purge();
            unit_assert_sound(true);
        }
    }
    test_free_all(warm + 2, 2);
    assert_true(lg_charged() != 0);
    (void)lgalloc_purge();
    assert_int_equal(lg_charged(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(areas_grow),
        UNIT_BOTH(growth_in_figures),
        UNIT_BOTH(gaps_first),
        UNIT_BOTH(no_address_is_left),
        UNIT_BOTH(only_what_is_free),
        UNIT_BOTH(comes_back_as_zeros),
        UNIT_BOTH(comes_back_as_zeros_whatever_fails),
        UNIT_BOTH(stays_where_unmapping_fails),
        UNIT_FILE(neighbours_of_two_kinds),
        UNIT_FILE(offsets_are_those_of_the_arena),
        UNIT_FILE(a_file_for_each_directory),
        UNIT_FILE(files_shrink_and_lose_their_blocks),
        UNIT_FILE(usage_of_all_files),
        UNIT_BOTH(nothing_is_left_of_a_failure),
        UNIT_BOTH(small_where_large_is_refused),
        UNIT_ANONYMOUS(named_and_advised),
        UNIT_FILE(blocks_are_there_when_handed_out),
        UNIT_FILE(without_blocks_nothing_is_handed_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
