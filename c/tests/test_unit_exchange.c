/* How many regions a thread exchanges with the shared pools, where it takes them from, and what becomes of those it gives. */

#include "internal.h"

#include <sched.h>

enum { CAPACITY = 16 };

/* Regions [0, count) of the class are in the dirty pool. */
static void pool_has(lg_class *c, size_t count)
{
    unit_make_dirty(count, lg_class_size(c));
    assert_int_equal(unit_dirty(c), count);
    assert_int_equal(unit_cached(lg_self(), c), 0);
    lg_local_of(lg_self(), c)->long_refill_run = false;
    lg_local_of(lg_self(), c)->refilled_at = UINT64_MAX;
}

/* A region in the caller's hands goes to the pool. */
static void hand_back(lg_class *c, const lg_descriptor *region)
{
    lg_transit_enter(lg_self());
    lg_pool_return(lg_self(), c, region);
    lg_transit_leave(lg_self());
}

static uint64_t pop(lg_class *c)
{
    uint64_t item = 0;
    assert_true(lg_exchange_pop(&unit_bin(lg_self(), c)->deque, &item));
    uint64_t index = lg_descriptor_index(c, lg_item_descriptor(item));
    hand_back(c, lg_item_descriptor(item));
    return index;
}

/* Regions of the own cache that hold no memory. */
static uint64_t clean_cached(lg_class *c)
{
    lg_deque *deque = &unit_bin(lg_self(), c)->deque;
    uint64_t clean = 0;
    for (uint64_t i = 0; i < lg_deque_count(deque); i++) {
        uint64_t item = lg_load_relaxed_64(lg_deque_slot(deque, lg_load_relaxed_64(&deque->bottom) - 1 - i));
        clean += lg_load_relaxed_64(&lg_item_descriptor(item)->state) == LG_CLEAN ? 1 : 0;
    }
    return clean;
}

/* ---------------------------------------------------------------- how many */

static void half_or_in_a_long_run_nearly_all(void **state)
{
    assert_int_equal(lg_exchange_size(CAPACITY, 3, 5, false), CAPACITY / 2);
    assert_int_equal(lg_exchange_size(CAPACITY, 5, 5, false), CAPACITY - 1);
    assert_int_equal(lg_exchange_size(CAPACITY, 3, 5, true), CAPACITY - 1);
    assert_int_equal(lg_exchange_size(1, 3, 5, false), 0);
    assert_int_equal(lg_exchange_size(1, 5, 5, true), 0);
    assert_int_equal(lg_exchange_size(0, 3, 5, false), 0);
    assert_int_equal(lg_exchange_size(0, 5, 5, true), 0);
}

static void a_batch_is_bounded(void **state)
{
    static const struct {
        size_t bytes, capacity;
        unsigned usual, in_long_run;
    } cases[] = {
        {MIB, CAPACITY, 1 + CAPACITY / 2, CAPACITY},
        {MIB, 1, 1, 1},
        {MIB, 0, 1, 1},
        {64 * KIB, 128, 64, 64}, /* one word */
        {64 * KIB, LG_DEQUE_ITEMS, 64, 64},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        lg_class *c = unit_class(cases[i].bytes);
        lg_local *local = unit_start_with_cache(c, cases[i].capacity);
        assert_int_equal(lg_exchange_batch(lg_self(), c), cases[i].usual);
        local->long_refill_run = true;
        assert_int_equal(lg_exchange_batch(lg_self(), c), cases[i].in_long_run);
    }
}

/* Pushes look at nothing themselves. */
static void no_more_than_there_is_space(void **state)
{
    lg_class *c = unit_class(MIB);
    (void)unit_start_with_cache(c, CAPACITY);
    assert_int_equal(lg_exchange_space(lg_self(), c), CAPACITY);
    test_churn(CAPACITY - 3, MIB);
    uint64_t cached = unit_cached(lg_self(), c);
    assert_in_range(cached, CAPACITY / 2 + 1, CAPACITY);
    assert_int_equal(lg_exchange_space(lg_self(), c), CAPACITY - cached);
    assert_int_equal(lg_exchange_batch(lg_self(), c), 1 + CAPACITY - cached);
    /* What a thief has yet to take off is still there, though a pop finds nothing. */
    lg_deque *deque = &unit_bin(lg_self(), c)->deque;
    uint64_t top, item, items[LG_STEAL_MAX];
    assert_true(lg_deque_lock(deque, &top));
    assert_false(lg_deque_pop(deque, lg_owners_fence(), &item));
    assert_int_equal(lg_exchange_space(lg_self(), c), CAPACITY - cached);
    assert_int_equal(lg_deque_take(deque, top, 0, false, items), 0);
    /* A smaller cache was configured meanwhile. */
    test_set_local_buffer(2 * MIB);
    assert_int_equal(lg_exchange_space(lg_self(), c), 0);
    assert_int_equal(lg_exchange_batch(lg_self(), c), 1);
}

static void a_run_is_long_without_frees_in_between(void **state)
{
    lg_class *c = unit_class(MIB);
    lg_local *local = unit_start_with_cache(c, CAPACITY);
    lg_exchange_taken(lg_self(), c);
    assert_false(local->long_refill_run);
    lg_exchange_taken(lg_self(), c);
    assert_true(local->long_refill_run);
    lgalloc_deallocate(test_take(MIB));
    lg_exchange_taken(lg_self(), c);
    assert_false(local->long_refill_run);
}

/* ---------------------------------------------------------------- taking */

static void nothing_without_a_home(void **state)
{
    lg_class *c = unit_class(MIB);
    lg_local *local = unit_start_with_cache(c, CAPACITY);
    pool_has(c, 32);
    local->home_at = NULL;
    assert_null(lg_exchange_refill(lg_self(), c));
    assert_int_equal(unit_dirty(c), 32);
    assert_int_equal(unit_cached(lg_self(), c), 0);
}

static void the_lowest_of_the_home_word(void **state)
{
    lg_class *c = unit_class(MIB);
    lg_local *local = unit_start_with_cache(c, CAPACITY);
    pool_has(c, 32);
    lg_exchange_set_home_word(lg_self(), c, 0);
    const uint64_t batch = 1 + CAPACITY / 2;
    lg_descriptor *region = lg_exchange_refill(lg_self(), c);
    assert_non_null(region);
    assert_int_equal(lg_descriptor_index(c, region), 0);
    assert_int_equal(unit_cached(lg_self(), c), batch - 1);
    assert_int_equal(unit_dirty(c), 32 - batch);
    assert_int_equal(local->home_left, UINT32_MAX ^ ((1u << batch) - 1)); /* what it left there */
    hand_back(c, region);
    for (uint64_t i = 1; i < batch; i++) {
        assert_int_equal(pop(c), i);
    }
}

/* With gaps in between as well. */
static void lowest_first_with_gaps(void **state)
{
    lg_class *c = unit_class(MIB);
    (void)unit_start_with_cache(c, CAPACITY);
    pool_has(c, 32);
    lg_transit_enter(lg_self());
    lg_batch others = lg_pool_claim_mask(lg_self(), c, LG_DIRTY_POOL, (lg_batch){0, 0x15});
    lg_transit_leave(lg_self());
    assert_int_equal(others.mask, 0x15);
    lg_exchange_set_home_word(lg_self(), c, 0);
    lg_descriptor *region = lg_exchange_refill(lg_self(), c);
    static const uint64_t expected[] = {3, 5, 6, 7, 8, 9, 10, 11};
    assert_int_equal(lg_descriptor_index(c, region), 1);
    assert_int_equal(unit_cached(lg_self(), c), TEST_COUNT(expected));
    for (size_t i = 0; i < TEST_COUNT(expected); i++) {
        assert_int_equal(pop(c), expected[i]);
    }
    hand_back(c, region);
    lg_transit_enter(lg_self());
    lg_pool_give(lg_self(), c, LG_DIRTY_POOL, others);
    lg_transit_leave(lg_self());
}

static void an_empty_home_gives_nothing(void **state)
{
    lg_class *c = unit_class(MIB);
    lg_local *local = unit_start_with_cache(c, CAPACITY);
    pool_has(c, 32); /* all in the first word */
    lg_exchange_set_home_word(lg_self(), c, 1);
    local->long_refill_run = false;
    assert_null(lg_exchange_refill(lg_self(), c));
    assert_int_equal(unit_dirty(c), 32);
    assert_int_equal(lg_load_relaxed_32(&lg_self()->transit) % 2, 0);
    assert_false(local->long_refill_run);
}

/* A thread whose id isn't 0 moves from a word that others claim from too to one of its own. */
static void moves(void *arg)
{
    const bool *own_word_has_some = arg;
    lg_class *c = unit_class(64 * KIB);
    lg_thread *self = unit_self();
    TEST_REQUIRE(lg_thread_id(self) == 1);
    lg_local *local = lg_local_of(self, c);
    lg_exchange_set_home_word(self, c, 0);
    lg_descriptor *region = lg_exchange_refill(self, c);
    TEST_REQUIRE(region != NULL && local->home_word == 0 && local->home_left != 0);
    hand_back(c, region);
    lgalloc_thread_flush();

    /* Nobody else was there. */
    region = lg_exchange_refill(self, c);
    TEST_REQUIRE(region != NULL && local->home_word == 0);
    uint64_t left = local->home_left;
    TEST_REQUIRE(left != 0);

    /* Somebody takes one of those that were left. */
    lg_batch taken = {0, left & (0 - left)};
    lg_transit_enter(self);
    TEST_REQUIRE(lg_pool_claim_mask(self, c, LG_DIRTY_POOL, taken).mask == taken.mask);
    lg_transit_leave(self);
    lg_descriptor *second = lg_exchange_refill(self, c);
    TEST_REQUIRE(local->home_word == (*own_word_has_some ? 1u : 0u));
    TEST_REQUIRE(second != NULL && lg_descriptor_index(c, second) / 64 == local->home_word);

    hand_back(c, region);
    hand_back(c, second);
    lg_transit_enter(self);
    lg_pool_give(self, c, LG_DIRTY_POOL, taken);
    lg_transit_leave(self);
    lgalloc_thread_flush();
}

static void threads_keep_apart(void **state)
{
    lg_class *c = unit_class(64 * KIB);
    static struct test_actor actor;
    bool own_word_has_some = true;
    (void)unit_start_with_cache(c, 32);
    pool_has(c, 128);
    test_actor_start(&actor);
    test_actor_call(&actor, moves, &own_word_has_some);

    own_word_has_some = false;
    lg_transit_enter(lg_self());
    lg_batch second_word = lg_pool_claim_mask(lg_self(), c, LG_DIRTY_POOL, (lg_batch){1, UINT64_MAX});
    lg_transit_leave(lg_self());
    assert_int_equal(second_word.mask, UINT64_MAX);
    test_actor_call(&actor, moves, &own_word_has_some);
    test_actor_stop(&actor);
    lg_transit_enter(lg_self());
    lg_pool_give(lg_self(), c, LG_DIRTY_POOL, second_word);
    lg_transit_leave(lg_self());
    assert_int_equal(unit_dirty(c), 128);
}

/* ---------------------------------------------------------------- giving */

static void sends_so_many(void **state)
{
    lg_class *c = unit_class(MIB);
    (void)unit_start_with_cache(c, CAPACITY);
    pool_has(c, 32);
    lg_exchange_set_home_word(lg_self(), c, 0);
    lg_local_of(lg_self(), c)->long_refill_run = true;
    lg_descriptor *region = lg_exchange_refill(lg_self(), c);
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY - 1);
    /* With one more, which isn't in the cache. */
    lg_exchange_send(lg_self(), c, lg_batch_of(lg_descriptor_index(c, region)), 5);
    assert_int_equal(unit_cached(lg_self(), c), CAPACITY - 1 - 5);
    assert_int_equal(unit_dirty(c), 32 - (CAPACITY - 1) + 5);
    /* Of its home it knows what it left there, and gave. */
    assert_int_equal(lg_local_of(lg_self(), c)->home_left, lg_bitmap_word(&c->pools[LG_DIRTY_POOL], 0));
    /* More than there are: all. */
    lg_exchange_send(lg_self(), c, (lg_batch){0, 0}, LG_DEQUE_ITEMS);
    assert_int_equal(unit_cached(lg_self(), c), 0);
    assert_int_equal(unit_dirty(c), 32);
    /* None: the one alone, also without a record. */
    lg_transit_enter(lg_self());
    lg_batch batch = lg_pool_claim_mask(lg_self(), c, LG_DIRTY_POOL, (lg_batch){0, 1});
    lg_transit_leave(lg_self());
    lg_exchange_send(NULL, c, batch, 0);
    assert_int_equal(unit_dirty(c), 32);
}

/* Regions of several words, around the end of the ring, some of them clean. */
static void each_to_where_it_belongs(void **state)
{
    enum { COUNT = 200 };
    static lgalloc_handle handles[COUNT];
    lg_class *c = unit_class(64 * KIB);
    (void)unit_start_with_cache(c, COUNT);
    for (size_t round = 0; round < 2 * LG_DEQUE_ITEMS / COUNT; round++) {
        test_take_all(handles, COUNT, 64 * KIB);
        test_free_all(handles, COUNT);
        uint64_t cached = unit_cached(lg_self(), c), clean = clean_cached(c);
        uint64_t dirty_before = unit_dirty(c), clean_before = unit_clean(c), charged = lg_charged();
        lgalloc_thread_flush();
        assert_int_equal(unit_cached(lg_self(), c), 0);
        assert_int_equal(unit_clean(c), clean_before + clean);
        assert_int_equal(unit_dirty(c), dirty_before + cached - clean);
        assert_int_equal(lg_charged(), charged - clean * 64 * KIB); /* what holds nothing costs nothing */
        unit_assert_sound(false);
    }
    (void)lgalloc_purge();
    /* From a clean pool a batch comes clean into the cache, and goes back so. */
    lgalloc_handle handle = test_take(64 * KIB);
    uint64_t cached = unit_cached(lg_self(), c), clean = unit_clean(c);
    assert_in_range(cached, 1, 64);
    lgalloc_thread_flush();
    assert_int_equal(unit_clean(c), clean + cached);
    assert_int_equal(unit_dirty(c), 0);
    assert_int_equal(lg_charged(), 64 * KIB);
    lgalloc_deallocate(handle);
}

static void eager_return_clears_on_the_way(void **state)
{
    lg_class *c = unit_class(MIB);
    (void)unit_start_with_cache(c, CAPACITY);
    test_churn(8, MIB);
    uint64_t dirty = unit_cached(lg_self(), c) - clean_cached(c);
    assert_int_equal(dirty, 8);
    lgalloc_config *config = test_config();
    lgalloc_config_eager_return(config, true);
    test_apply(config);
    uint64_t before = test_class(MIB).clear_eager_total;
    lgalloc_thread_flush();
    assert_int_equal(unit_cached(lg_self(), c), 0);
    assert_int_equal(unit_dirty(c), 0);
    assert_int_equal(test_class(MIB).clear_eager_total, before + dirty);
    assert_int_equal(lg_charged(), 0);
}

static void twice_in_the_cache(void *arg)
{
    lg_class *c = unit_class(MIB);
    lg_deque *deque = &unit_bin(unit_self(), c)->deque;
    test_churn(4, MIB);
    uint64_t item = lg_load_relaxed_64(lg_deque_slot(deque, lg_load_relaxed_64(&deque->bottom) - 1));
    TEST_REQUIRE(lg_deque_push(deque, item));
    lgalloc_thread_flush();
}

static void a_double_free_ends_in_the_pool(void **state)
{
    struct test_child child;
    test_child_aborts(twice_in_the_cache, NULL, &child);
    assert_non_null(strstr(child.errors, "double free"));
}

/* ---------------------------------------------------------------- beside a thief */

static struct {
    lg_thread *victim;
    lg_deque *deque;
    uint32_t transit; /* before the owner begins */
    uint64_t top;
    uint64_t most;
    uint64_t items[LG_STEAL_MAX];
    uint64_t taken;
} thief;

/* Has the cache locked, and takes its regions a little later than the owner begins to move some. */
static void *ends_its_theft(void *arg)
{
    while (lg_load_relaxed_32(&thief.victim->transit) == thief.transit) {
        lg_os_pause(0);
    }
    for (unsigned i = 0; i < 20; i++) {
        sched_yield();
    }
    thief.taken = lg_deque_take(thief.deque, thief.top, thief.most, true, thief.items);
    return NULL;
}

static void start_thief(lg_class *c, uint64_t most, pthread_t *thread)
{
    thief.victim = lg_self();
    thief.deque = &unit_bin(lg_self(), c)->deque;
    thief.transit = lg_load_relaxed_32(&thief.victim->transit);
    thief.most = most;
    TEST_REQUIRE(lg_deque_lock(thief.deque, &thief.top));
    test_spawn(thread, ends_its_theft, NULL);
}

static void thief_gives_back(lg_class *c)
{
    for (uint64_t i = 0; i < thief.taken; i++) {
        hand_back(c, lg_item_descriptor(thief.items[i]));
    }
}

static void a_pop_waits_for_what_the_thief_leaves(void **state)
{
    lg_class *c = unit_class(MIB);
    pthread_t thread;
    uint64_t item;
    (void)unit_start_with_cache(c, CAPACITY);
    for (uint64_t round = 0; round < 10; round++) {
        uint64_t leaves = round % 2;
        test_churn(8, MIB);
        uint64_t cached = unit_cached(lg_self(), c);
        start_thief(c, cached - leaves, &thread);
        lg_transit_enter(lg_self());
        bool popped = lg_exchange_pop(thief.deque, &item);
        lg_transit_leave(lg_self());
        test_join(thread);
        /* To all of it the owner may be faster for one: its pop was announced while the thief looked. */
        assert_int_equal(thief.taken + popped, cached);
        assert_in_range(thief.taken, cached - 1, cached - leaves);
        if (popped) {
            hand_back(c, lg_item_descriptor(item));
        }
        thief_gives_back(c);
    }
}

static void sends_what_the_thief_leaves(void **state)
{
    lg_class *c = unit_class(MIB);
    pthread_t thread;
    (void)unit_start_with_cache(c, CAPACITY);
    test_churn(8, MIB);
    uint64_t cached = unit_cached(lg_self(), c), dirty = unit_dirty(c), clean = unit_clean(c);
    start_thief(c, 3, &thread);
    lg_exchange_send(lg_self(), c, (lg_batch){0, 0}, LG_DEQUE_ITEMS);
    test_join(thread);
    assert_int_equal(thief.taken, 3);
    assert_int_equal(unit_cached(lg_self(), c), 0);
    assert_int_equal(unit_dirty(c) + unit_clean(c), dirty + clean + cached - 3);
    thief_gives_back(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT_ANONYMOUS(half_or_in_a_long_run_nearly_all),
        UNIT_ANONYMOUS(a_batch_is_bounded),
        UNIT_ANONYMOUS(no_more_than_there_is_space),
        UNIT_ANONYMOUS(a_run_is_long_without_frees_in_between),
        UNIT_ANONYMOUS(nothing_without_a_home),
        UNIT_ANONYMOUS(the_lowest_of_the_home_word),
        UNIT_ANONYMOUS(lowest_first_with_gaps),
        UNIT_ANONYMOUS(an_empty_home_gives_nothing),
        UNIT_ANONYMOUS(threads_keep_apart),
        UNIT_ANONYMOUS(sends_so_many),
        UNIT_BOTH(each_to_where_it_belongs),
        UNIT_BOTH(eager_return_clears_on_the_way),
        UNIT_ANONYMOUS(a_double_free_ends_in_the_pool),
        UNIT_ANONYMOUS(a_pop_waits_for_what_the_thief_leaves),
        UNIT_ANONYMOUS(sends_what_the_thief_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
