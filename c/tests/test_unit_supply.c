/* Chunks that change their class: which ones, with what they hold, and what they cost. The arena is eight chunks. */

#include "internal.h"

#include <string.h>

#define ARENA (8 * LG_CHUNK)

enum { MANY = 16 }; /* regions of 2 MiB, the smallest used here, in a chunk */

/* Takes all regions of a chunk, which is mapped for them: a class that has nothing gets one chunk. */
static void take_chunk(lgalloc_handle *handles, size_t size)
{
    test_take_all(handles, LG_CHUNK / size, size);
    for (size_t i = 0; i < LG_CHUNK / size; i++) {
        test_mark(handles[i], i);
    }
}

static void give_chunk(lgalloc_handle *handles, size_t size)
{
    test_free_all(handles, LG_CHUNK / size);
    lgalloc_thread_flush();
}

static void dirty_chunk(size_t size)
{
    lgalloc_handle handles[MANY];
    take_chunk(handles, size);
    give_chunk(handles, size);
}

/* What the arena has for a class; *hand is charged by the caller. The regions go to the pools. */
static bool change(size_t size, size_t bytes, bool held, uint64_t *hand, uint64_t *first, uint64_t *count)
{
    lg_class *c = unit_class(size);
    lg_transit_enter(unit_self());
    lg_lock_acquire(&lg_arena_lock);
    bool changed = lg_supply_changed(c, bytes, held, hand, first, count);
    if (changed) {
        lg_supply_give(c, *first, *count);
    }
    lg_lock_release(&lg_arena_lock);
    lg_transit_leave(lg_self());
    return changed;
}

/* The same with nothing in hand, for all of a region's bytes. */
static bool change_held(size_t size, uint64_t *first, uint64_t *count)
{
    uint64_t hand = 0;
    bool changed = change(size, size, true, &hand, first, count);
    assert_int_equal(hand, 0);
    return changed;
}

static lg_class *class_of_chunk(uint64_t chunk)
{
    return lg_chunk_class(lg_chunk_word(chunk));
}

static bool is_dirty(size_t size, uint64_t index)
{
    return unit_state(unit_class(size), index) != LG_CLEAN;
}

static unsigned long clearing_calls(void)
{
    return unit_fault_seen(LG_SYS_ADVISE_REMOVE) + unit_fault_seen(LG_SYS_ADVISE_DISCARD);
}

static void start(void)
{
    (void)unit_self();
    (void)lgalloc_purge();
    TEST_REQUIRE(lg_layout_.arena_bytes == ARENA && lg_charged() == 0);
}

/* ---------------------------------------------------------------- one chunk */

static void comes_with_what_it_holds(void **state)
{
    lgalloc_handle old[MANY];
    uint64_t first, count;
    start();
    take_chunk(old, 2 * MIB);
    give_chunk(old, 2 * MIB);
    unit_fault_watch();
    assert_true(change_held(8 * MIB, &first, &count));
    assert_int_equal(clearing_calls(), 0);
    assert_int_equal(first, 0);
    assert_int_equal(count, 4);
    assert_ptr_equal(class_of_chunk(0), unit_class(8 * MIB));
    assert_int_equal(unit_dirty(unit_class(2 * MIB)), 0);
    assert_int_equal(unit_dirty(unit_class(8 * MIB)), 4);
    assert_int_equal(lg_charged(), LG_CHUNK);
    unit_assert_sound(false);
    lgalloc_handle handles[4];
    test_take_all(handles, TEST_COUNT(handles), 8 * MIB);
    for (size_t i = 0; i < TEST_COUNT(old); i++) {
        assert_true(test_marked(old[i], i));
    }
    test_free_all(handles, TEST_COUNT(handles));
}

/* One region that is in use, or in a cache, keeps the chunk. */
static void stays_while_one_is_missing(void **state)
{
    lgalloc_handle handles[MANY];
    uint64_t first, count;
    start();
    take_chunk(handles, 2 * MIB);
    test_free_all(handles, MANY - 1);
    lgalloc_thread_flush();
    assert_false(change_held(8 * MIB, &first, &count));
    lgalloc_deallocate(handles[MANY - 1]);
    assert_int_equal(unit_cached(lg_self(), unit_class(2 * MIB)), 1);
    assert_false(change_held(8 * MIB, &first, &count));
    unit_assert_sound(false);
    lgalloc_thread_flush();
    assert_true(change_held(8 * MIB, &first, &count));
}

/* All of a chunk's regions are claimed or none, also where they are in several words of the bitmaps. */
static void claims_are_whole(void **state)
{
    enum { SMALL = 512 };
    static lgalloc_handle handles[SMALL];
    lg_class *c = unit_class(64 * KIB);
    uint64_t dirty;
    start();
    take_chunk(handles, 64 * KIB);
    lgalloc_handle keep = handles[SMALL / 2];
    handles[SMALL / 2] = (lgalloc_handle){NULL, 0};
    test_free_all(handles, SMALL);
    lgalloc_thread_flush();
    assert_false(lg_supply_claim(c, 0, SMALL, &dirty));
    assert_int_equal(unit_dirty(c), SMALL - 1);
    unit_assert_sound(false);
    lgalloc_deallocate(keep);
    lgalloc_thread_flush();
    assert_true(lg_supply_claim(c, 0, SMALL, &dirty));
    assert_int_equal(dirty, SMALL);
    assert_int_equal(unit_dirty(c), 0);
    lg_supply_give(c, 0, SMALL);
    unit_assert_sound(false);
}

/* A region that was dirty in part is dirty, and charged, as a whole. */
static void more_becomes_dirty(void **state)
{
    uint64_t first, count, hand = 0;
    start();
    unit_make_dirty(1, 2 * MIB);
    assert_int_equal(lg_charged(), 2 * MIB);

    test_set_limit(8 * MIB - 1);
    assert_false(change_held(8 * MIB, &first, &count));
    assert_ptr_equal(class_of_chunk(0), unit_class(2 * MIB));
    assert_int_equal(lg_charged(), 2 * MIB);
    unit_assert_sound(false);

    test_set_limit(8 * MIB);
    assert_true(change_held(8 * MIB, &first, &count));
    assert_int_equal(lg_charged(), 8 * MIB);
    assert_true(is_dirty(8 * MIB, first));
    for (uint64_t i = 1; i < count; i++) {
        assert_false(is_dirty(8 * MIB, first + i));
    }
    unit_assert_sound(false);

    /* What the caller has charged serves for it, once. */
    test_set_limit(8 * MIB + 32 * MIB);
    assert_true(lg_charge(32 * MIB));
    hand = 32 * MIB;
    assert_true(change(32 * MIB, 32 * MIB, true, &hand, &first, &count));
    assert_int_equal(hand, 8 * MIB);
    lg_discharge(hand);
    assert_int_equal(lg_charged(), 32 * MIB);
    unit_assert_sound(false);
}

/* What holds nothing is no answer to who wants what does, and costs a charge. */
static void clean_is_to_be_paid(void **state)
{
    uint64_t first, count, hand = 0;
    start();
    assert_int_equal(unit_map_area(unit_class(2 * MIB), NULL), 0);
    assert_false(lg_supply_might(unit_class(8 * MIB)));
    assert_false(change_held(8 * MIB, &first, &count));
    assert_false(change(8 * MIB, 8 * MIB, false, &hand, &first, &count));
    assert_ptr_equal(class_of_chunk(0), unit_class(2 * MIB));
    unit_assert_sound(false);
    assert_true(lg_charge(8 * MIB));
    hand = 8 * MIB;
    assert_true(change(8 * MIB, 8 * MIB, false, &hand, &first, &count));
    assert_int_equal(hand, 8 * MIB); /* for the one that the caller will take */
    assert_int_equal(unit_clean(unit_class(8 * MIB)), 4);
    lg_discharge(hand);
    unit_assert_sound(true);
}

/* A region has its disk blocks if all its parts have. */
static void blocks_follow(void **state)
{
    uint64_t first, count;
    start();
    dirty_chunk(2 * MIB);
    for (uint64_t i = 0; i < MANY; i++) { /* of four: all, none, the first, all but the last */
        bool has = i < 4 || i == 8 || (i >= 12 && i != 15);
        lg_store_relaxed_32(&lg_descriptor_at(unit_class(2 * MIB), i)->has_blocks, has);
    }
    assert_true(change_held(8 * MIB, &first, &count));
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(lg_load_relaxed_32(&lg_descriptor_at(unit_class(8 * MIB), i)->has_blocks), i == 0);
    }
    unit_assert_sound(false);
    assert_true(change_held(4 * MIB, &first, &count));
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(lg_load_relaxed_32(&lg_descriptor_at(unit_class(4 * MIB), i)->has_blocks), i < 2);
    }
    unit_assert_sound(false);
    assert_true(change_held(32 * MIB, &first, &count));
    assert_int_equal(lg_load_relaxed_32(&lg_descriptor_at(unit_class(32 * MIB), 0)->has_blocks), 0);
}

/* ---------------------------------------------------------------- runs */

/* Chunks of several classes, and what isn't mapped between them, become one region. */
static void runs_are_joined(void **state)
{
    lgalloc_handle small[MANY], middle[8], large[2];
    uint64_t first, count, used;
    bool file = test_backing(state) == LGALLOC_BACKING_FILE;
    start();
    take_chunk(small, 2 * MIB);  /* chunk 0 */
    take_chunk(middle, 4 * MIB); /* chunk 1, which is going to be the gap */
    take_chunk(large, 16 * MIB); /* chunk 2; chunk 3 isn't mapped */
    give_chunk(middle, 4 * MIB);
    (void)lgalloc_purge();
    assert_true(lg_backing_kind(LG_CHUNK) == LG_AREA_NONE);
    assert_false(change_held(128 * MIB, &first, &count));
    give_chunk(small, 2 * MIB);
    give_chunk(large, 16 * MIB);
    used = lg_charged();
    assert_int_equal(used, 2 * LG_CHUNK);

    /* Not over the limit, and not where the gaps can't be mapped. */
    test_set_limit(4 * LG_CHUNK - 1);
    assert_false(change_held(128 * MIB, &first, &count));
    test_set_limit(0);
    unit_fault_arm(file ? UNIT_CALL(MAP_FILE) : UNIT_CALL(COMMIT), 0, UNIT_FOREVER, ENOMEM);
    assert_false(change_held(128 * MIB, &first, &count));
    unit_fault_off();
    assert_int_equal(lg_charged(), used);
    assert_ptr_equal(class_of_chunk(0), unit_class(2 * MIB));
    assert_ptr_equal(class_of_chunk(2), unit_class(16 * MIB));
    assert_true(lg_backing_kind(LG_CHUNK) == LG_AREA_NONE);
    unit_assert_sound(false);

    assert_true(change_held(128 * MIB, &first, &count));
    assert_int_equal(first, 0);
    assert_int_equal(count, 1);
    assert_int_equal(lg_charged(), 4 * LG_CHUNK);
    lg_area area;
    assert_true(lg_area_next(unit_class(128 * MIB), 0, &area));
    assert_int_equal(area.len, 4 * LG_CHUNK);
    unit_assert_sound(false);
    lgalloc_handle all = test_take(128 * MIB);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(test_marked(small[i], i));
    }
    assert_true(test_marked(large[0], 0) && test_marked(large[1], 1));
    assert_true(test_filled(middle[0].ptr, LG_CHUNK, 0));
    lgalloc_deallocate(all);
}

static void runs_are_aligned(void **state)
{
    lgalloc_handle small[MANY], middle[8];
    uint64_t first, count;
    start();
    take_chunk(small, 2 * MIB);
    take_chunk(middle, 4 * MIB);
    dirty_chunk(8 * MIB);
    give_chunk(middle, 4 * MIB);
    /* Chunks 1 and 2 are free and hold memory, but it is 2 and 3 that are a region. */
    assert_true(change_held(64 * MIB, &first, &count));
    assert_int_equal(first, 1);
    assert_ptr_equal(class_of_chunk(1), unit_class(4 * MIB));
    assert_ptr_equal(class_of_chunk(2), unit_class(64 * MIB));
    assert_ptr_equal(class_of_chunk(3), unit_class(64 * MIB));
    for (size_t i = 0; i < MANY; i++) {
        assert_true(test_marked(small[i], i));
    }
    unit_assert_sound(false);
    give_chunk(small, 2 * MIB);
}

/* A region isn't of files and of anonymous memory. */
static void runs_are_of_one_kind(void **state)
{
    lgalloc_backing backing = test_backing(state);
    lgalloc_backing other = backing == LGALLOC_BACKING_FILE ? LGALLOC_BACKING_ANONYMOUS : LGALLOC_BACKING_FILE;
    uint64_t first, count;
    start();
    dirty_chunk(2 * MIB);
    unit_configure(other);
    /* What isn't mapped yet would be of the other kind now. */
    assert_false(change_held(64 * MIB, &first, &count));
    assert_int_equal(unit_map_area(unit_class(16 * MIB), NULL), 0);
    assert_true(lg_backing_kind(0) != lg_backing_kind(LG_CHUNK));
    for (unsigned i = 0; i < 2; i++) {
        assert_false(lg_supply_might(unit_class(64 * MIB)));
        assert_false(change_held(64 * MIB, &first, &count));
        unit_configure(backing);
    }
    unit_assert_sound(false);
    /* Each for itself may change. */
    assert_true(change_held(8 * MIB, &first, &count));
    assert_int_equal(first, 0);
    unit_assert_sound(false);
}

/* What of a large region isn't taken becomes regions of a chunk each. */
static void large_regions_are_cut(void **state)
{
    uint64_t first, count;
    start();
    lgalloc_handle handle = test_take(128 * MIB);
    test_mark(handle, 7);
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();
    assert_true(change_held(2 * MIB, &first, &count));
    assert_int_equal(first, 0);
    assert_int_equal(count, MANY);
    assert_int_equal(unit_dirty(unit_class(2 * MIB)), MANY);
    assert_int_equal(unit_dirty(unit_class(32 * MIB)), 3);
    assert_int_equal(unit_dirty(unit_class(128 * MIB)), 0);
    assert_int_equal(lg_charged(), 128 * MIB);
    unit_assert_sound(false);
    /* And together they are one again. */
    assert_true(change_held(128 * MIB, &first, &count));
    assert_int_equal(lg_charged(), 128 * MIB);
    unit_assert_sound(false);
    handle = test_take(128 * MIB);
    assert_true(test_marked(handle, 7));
    lgalloc_deallocate(handle);
}

/* ---------------------------------------------------------------- tails */

/* Behind the bytes asked for a region that comes from others is cold, from the next huge page on. */
static void tails_are_given_back(void **state)
{
    lgalloc_handle small[MANY], middle[8];
    uint64_t first, count, hand = 0;
    start();
    take_chunk(small, 2 * MIB);
    take_chunk(middle, 4 * MIB);
    give_chunk(small, 2 * MIB);
    give_chunk(middle, 4 * MIB);
    unit_fault_watch();
    assert_true(change(64 * MIB, 39 * MIB, true, &hand, &first, &count));
    assert_true(clearing_calls() != 0);
    uint32_t known = lg_load_relaxed_32(&lg_descriptor_at(unit_class(64 * MIB), first)->has_blocks);
    assert_int_equal(known & LG_BLOCKS_RESERVED, 0);
    assert_int_equal(known >> LG_HELD_SHIFT, 20); /* huge pages */
    lgalloc_handle handle = test_take(64 * MIB);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(test_marked(small[i], i));
    }
    assert_true(test_marked(middle[0], 0) && test_marked(middle[1], 1));
    assert_true(test_filled(middle[2].ptr, 24 * MIB, 0));
    for (size_t at = 0; at < 64 * MIB; at += 2 * MIB) {
        memset((char *)handle.ptr + at, 0x5a, 64);
    }
    lgalloc_deallocate(handle);
    lgalloc_thread_flush();

    /* The same of each region in a chunk. */
    assert_true(change(8 * MIB, 4 * MIB + 1, true, &hand, &first, &count));
    lgalloc_handle handles[4];
    test_take_all(handles, TEST_COUNT(handles), 8 * MIB);
    for (size_t i = 0; i < TEST_COUNT(handles); i++) {
        const char *bytes = handles[i].ptr;
        assert_int_equal(bytes[4 * MIB], 0x5a);
        assert_true(test_filled(bytes + 6 * MIB, 2 * MIB, 0));
    }
    test_free_all(handles, TEST_COUNT(handles));
}

/* Not for the little that is left, and not where blocks are to stay. */
static void tails_stay(void **state)
{
    uint64_t first, count, hand = 0;
    start();
    dirty_chunk(2 * MIB);
    unit_fault_watch();
    assert_true(change(32 * MIB, 29 * MIB, true, &hand, &first, &count));
    lgalloc_config *config = test_config();
    lgalloc_config_reserve_blocks(config, true);
    test_apply(config);
    assert_true(change(16 * MIB, 9 * MIB, true, &hand, &first, &count));
    assert_int_equal(clearing_calls(), 0);
    unit_assert_sound(false);
}

/* Takes a region of 64 MiB for so many bytes; how many calls give memory back. */
static unsigned long calls_to_take(size_t bytes, lgalloc_handle *handle)
{
    unit_fault_watch();
    *handle = test_take(bytes);
    assert_int_equal(handle->len, 64 * MIB);
    return clearing_calls();
}

/* What a large region held behind the bytes that it is asked for now goes, and once. */
static void recycled_tails_are_given_back(void **state)
{
    lgalloc_handle handle;
    start();
    assert_int_equal(calls_to_take(64 * MIB, &handle), 0);
    memset(handle.ptr, 0x5a, 64 * MIB);
    lgalloc_deallocate(handle);
    assert_int_equal(calls_to_take(64 * MIB - 1, &handle), 0);
    lgalloc_deallocate(handle);
    assert_int_equal(calls_to_take(49 * MIB, &handle), 0); /* the tail is too small */
    lgalloc_deallocate(handle);
    assert_true(calls_to_take(39 * MIB, &handle) != 0);
    assert_true(test_filled(handle.ptr, 40 * MIB, 0x5a));
    assert_true(test_filled((char *)handle.ptr + 40 * MIB, 24 * MIB, 0));
    lgalloc_deallocate(handle);
    assert_int_equal(calls_to_take(39 * MIB, &handle), 0);
    lgalloc_deallocate(handle);
    assert_true(calls_to_take(33 * MIB, &handle) != 0);
    lgalloc_deallocate(handle);
    assert_int_equal(calls_to_take(47 * MIB, &handle), 0); /* more than it holds */
    memset(handle.ptr, 0x5a, 47 * MIB);
    lgalloc_deallocate(handle);
    assert_true(calls_to_take(33 * MIB, &handle) != 0);
    assert_true(test_filled((char *)handle.ptr + 34 * MIB, 30 * MIB, 0));
    lgalloc_deallocate(handle);
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- what idles while memory grows */

/* Memory that is taken cold is made up for by what is idle and can't change its class, but for a chunk. */
static void growth_is_made_up_for(void **state)
{
    enum { CHUNKS = 2 };
    lgalloc_handle small[CHUNKS * MANY], kept[CHUNKS], large[2];
    uint64_t limit = (uint64_t)LG_CHUNK / (2 * MIB);
    start();
    test_take_all(small, CHUNKS * MANY, 2 * MIB);
    for (size_t i = 0; i < CHUNKS; i++) { /* one of each chunk stays */
        kept[i] = small[i * MANY];
        small[i * MANY] = (lgalloc_handle){NULL, 0};
    }
    test_free_all(small, CHUNKS * MANY);
    lgalloc_thread_flush();
    assert_int_equal(unit_dirty(unit_class(2 * MIB)), CHUNKS * (MANY - 1));
    large[0] = test_take(16 * MIB);
    assert_int_equal(unit_dirty(unit_class(2 * MIB)), limit);
    unit_assert_sound(false);
    unit_fault_watch();
    large[1] = test_take(64 * MIB);
    assert_int_equal(clearing_calls(), 0);
    assert_int_equal(unit_dirty(unit_class(2 * MIB)), limit);
    test_free_all(large, TEST_COUNT(large));
    test_free_all(kept, TEST_COUNT(kept));
    unit_assert_sound(false);
}

/* ---------------------------------------------------------------- what caches keep */

static void unused_caches_are_given_back(void **state)
{
    lgalloc_handle small[MANY], middle[8];
    start();
    take_chunk(small, 2 * MIB);
    test_free_all(small, TEST_COUNT(small));
    assert_true(unit_cached(lg_self(), unit_class(2 * MIB)) != 0);
    /* They were used just now. */
    test_take_all(middle, TEST_COUNT(middle), 4 * MIB);
    assert_true(unit_cached(lg_self(), unit_class(2 * MIB)) != 0);
    /* Since then they weren't. */
    lgalloc_handle large = test_take(8 * MIB);
    assert_int_equal(unit_cached(lg_self(), unit_class(2 * MIB)), 0);
    assert_int_equal(lg_area_count(unit_class(2 * MIB)), 0);
    assert_int_equal((char *)large.ptr - lg_arena_address(0), 0);
    assert_true(test_marked(small[0], 0));
    unit_assert_sound(false);
    lgalloc_deallocate(large);
    test_free_all(middle, TEST_COUNT(middle));
}

/* Where the arena has no room, what caches of other classes hold is in the way, whoever's they are. */
static void take_and_free_all(void *arg)
{
    lgalloc_handle *handles = arg;
    test_take_all(handles, ARENA / (2 * MIB), 2 * MIB);
    test_free_all(handles, ARENA / (2 * MIB));
    TEST_REQUIRE(unit_cached(lg_self(), unit_class(2 * MIB)) != 0);
}

static void no_cache_is_in_the_way(void **state)
{
    lgalloc_handle handles[ARENA / (2 * MIB)];
    start();
    take_and_free_all(handles);
    lgalloc_deallocate(test_take(ARENA));

    struct test_actor actor;
    test_actor_start(&actor);
    test_actor_call(&actor, take_and_free_all, handles);
    lgalloc_deallocate(test_take(ARENA));
    test_actor_stop(&actor);
    unit_assert_sound(false);
}

int main(void)
{
    lgalloc_config *config = test_config();
    lgalloc_config_arena_bytes(config, ARENA);
    test_apply(config);
    const struct CMUnitTest tests[] = {
        UNIT_BOTH(comes_with_what_it_holds),
        UNIT_BOTH(stays_while_one_is_missing),
        UNIT_BOTH(claims_are_whole),
        UNIT_BOTH(more_becomes_dirty),
        UNIT_BOTH(clean_is_to_be_paid),
        UNIT_BOTH(blocks_follow),
        UNIT_BOTH(runs_are_joined),
        UNIT_BOTH(runs_are_aligned),
        UNIT_BOTH(runs_are_of_one_kind),
        UNIT_BOTH(large_regions_are_cut),
        UNIT_BOTH(tails_are_given_back),
        UNIT_BOTH(tails_stay),
        UNIT_BOTH(recycled_tails_are_given_back),
        UNIT_BOTH(growth_is_made_up_for),
        UNIT_BOTH(unused_caches_are_given_back),
        UNIT_BOTH(no_cache_is_in_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
