/* The hierarchical bitmap against a plain set, one level to four, and under threads. */

#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define MEMBERS_MAX ((size_t)1 << 24)

struct fixture {
    lg_bitmap bitmap;
    lg_a64 *words;
    uint64_t *model; /* bits of level 0 */
    size_t members;
    size_t count;
};

static struct fixture *fixture_new(size_t members)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    TEST_REQUIRE(fixture != NULL);
    fixture->members = members;
    fixture->words = calloc(lg_bitmap_words(members), sizeof(lg_a64));
    fixture->model = calloc(members / 64 + 1, sizeof(uint64_t));
    TEST_REQUIRE(fixture->words != NULL && fixture->model != NULL);
    lg_bitmap_init(&fixture->bitmap, fixture->words, members);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    free(fixture->words);
    free(fixture->model);
    free(fixture);
}

static size_t model_words(const struct fixture *fixture)
{
    return (fixture->members + 63) / 64;
}

/* The lowest `most` members of the lowest word that has any: taken out of the model. */
static lg_batch model_claim(struct fixture *fixture, unsigned most)
{
    for (size_t word = 0; fixture->count != 0 && word < model_words(fixture); word++) {
        uint64_t mask = 0;
        for (uint64_t rest = fixture->model[word]; rest != 0 && most != 0; rest &= rest - 1, most--) {
            mask |= rest & -rest;
        }
        if (mask != 0) {
            fixture->model[word] &= ~mask;
            fixture->count -= (size_t)__builtin_popcountll(mask);
            return (lg_batch){word, mask};
        }
    }
    return (lg_batch){0, 0};
}

static void give(struct fixture *fixture, lg_batch batch)
{
    uint64_t twice = fixture->model[batch.word] & batch.mask;
    assert_int_equal(lg_bitmap_give(&fixture->bitmap, batch), twice);
    fixture->count += (size_t)__builtin_popcountll(batch.mask & ~twice);
    fixture->model[batch.word] |= batch.mask;
}

static void assert_same_batch(lg_batch a, lg_batch b)
{
    assert_int_equal(a.mask, b.mask);
    assert_true(a.mask == 0 || a.word == b.word);
}

static lg_batch random_batch(const struct fixture *fixture, uint64_t *random)
{
    uint64_t r = test_random(random);
    /* Often near the start, so that words are shared, but sometimes anywhere. */
    uint64_t member = r % 4 == 0 ? (r >> 8) % fixture->members : (r >> 8) % lg_min(fixture->members, 300);
    lg_batch batch = lg_batch_of(member);
    if (r % 3 == 0) {
        uint64_t mask = test_random(random) & test_random(random);
        uint64_t left = fixture->members - batch.word * 64;
        batch.mask |= left >= 64 ? mask : mask & (((uint64_t)1 << left) - 1);
    }
    return batch;
}

static void drain_and_compare(struct fixture *fixture)
{
    while (fixture->count != 0) {
        assert_same_batch(lg_bitmap_claim(&fixture->bitmap, 64), model_claim(fixture, 64));
    }
    assert_int_equal(lg_bitmap_claim(&fixture->bitmap, 64).mask, 0);
    assert_int_equal(lg_bitmap_claim_scan(&fixture->bitmap, 64, lg_min(fixture->members, 100000)).mask, 0);
}

static void random_operations(size_t members, size_t operations)
{
    struct fixture *fixture = fixture_new(members);
    uint64_t random = members;
    for (size_t i = 0; i < operations; i++) {
        unsigned most = 1 + (unsigned)(test_random(&random) % 64);
        lg_batch batch = random_batch(fixture, &random);
        uint64_t member = batch.word * 64 + (uint64_t)__builtin_ctzll(batch.mask);
        switch (test_random(&random) % 6) {
        case 0:
        case 1: give(fixture, batch); break;
        case 2: assert_same_batch(lg_bitmap_claim(&fixture->bitmap, most), model_claim(fixture, most)); break;
        case 3:
            assert_same_batch(lg_bitmap_claim_scan(&fixture->bitmap, most, members), model_claim(fixture, most));
            break;
        case 4: {
            uint64_t there = fixture->model[batch.word] & batch.mask;
            assert_int_equal(lg_bitmap_claim_mask(&fixture->bitmap, batch), there);
            fixture->model[batch.word] &= ~there;
            fixture->count -= (size_t)__builtin_popcountll(there);
            break;
        }
        default:
            assert_int_equal(lg_bitmap_has(&fixture->bitmap, member), fixture->model[batch.word] >> (member % 64) & 1);
            assert_int_equal(lg_bitmap_word(&fixture->bitmap, batch.word), fixture->model[batch.word]);
            break;
        }
        if (i % (operations / 16 + 1) == 0) {
            assert_true(lg_bitmap_sound(&fixture->bitmap, members));
            if (i % 2 == 0) {
                drain_and_compare(fixture);
            }
        }
    }
    assert_true(lg_bitmap_sound(&fixture->bitmap, members));
    drain_and_compare(fixture);
    fixture_free(fixture);
}

static void as_a_plain_set(void **state)
{
    static const size_t members[] = {1, 2, 63, 64, 65, 1000, 4095, 4096, 4097, 5000, 262144, 262145, 1000000};
    for (size_t i = 0; i < TEST_COUNT(members); i++) {
        random_operations(members[i], test_scale(members[i] < 10000 ? 20000 : 2000, 300));
    }
}

static void as_large_as_can_be(void **state)
{
    random_operations(MEMBERS_MAX, test_scale(500, 20));
}

static void levels(void **state)
{
    static const struct {
        size_t members, words;
        uint32_t top;
    } cases[] = {
        /* The lowest level is rounded up to 64 words. */
        {1, 64, 0},
        {64, 64, 0},
        {65, 64 + 1, 1},
        {4096, 64 + 1, 1},
        {4097, 128 + 2 + 1, 2},
        {262144, 4096 + 64 + 1, 2},
        {262145, 4160 + 65 + 2 + 1, 3},
        {MEMBERS_MAX, 262144 + 4096 + 64 + 1, 3},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        assert_int_equal(lg_bitmap_words(cases[i].members), cases[i].words);
        struct fixture *fixture = fixture_new(cases[i].members);
        assert_int_equal(fixture->bitmap.top, cases[i].top);
        /* The last member is found, and alone; the bitmap stays within its words. */
        give(fixture, lg_batch_of(cases[i].members - 1));
        assert_true(lg_bitmap_sound(&fixture->bitmap, cases[i].members));
        drain_and_compare(fixture);
        fixture_free(fixture);
    }
}

static void lowest_first(void **state)
{
    struct fixture *fixture = fixture_new(MEMBERS_MAX);
    static const uint64_t members[] = {MEMBERS_MAX - 1, 5000000, 262144, 262143, 4097, 4096, 65, 64, 3, 0};
    for (size_t i = 0; i < TEST_COUNT(members); i++) {
        give(fixture, lg_batch_of(members[i]));
    }
    for (size_t i = TEST_COUNT(members); i-- > 0;) {
        lg_batch batch = lg_bitmap_claim(&fixture->bitmap, 1);
        assert_int_equal(lg_batch_count(batch), 1);
        assert_int_equal(lg_batch_pop_lowest(&batch), members[i]);
        (void)model_claim(fixture, 1);
    }
    drain_and_compare(fixture);
    fixture_free(fixture);
}

static void given_twice(void **state)
{
    struct fixture *fixture = fixture_new(5000);
    lg_batch batch = {70, 0xff00};
    assert_int_equal(lg_bitmap_give(&fixture->bitmap, batch), 0);
    assert_int_equal(lg_bitmap_give(&fixture->bitmap, batch), 0xff00);
    assert_int_equal(lg_bitmap_give(&fixture->bitmap, (lg_batch){70, 0x1ff}), 0x100);
    assert_int_equal(lg_bitmap_claim_mask(&fixture->bitmap, (lg_batch){70, ~(uint64_t)0}), 0xffff);
    fixture_free(fixture);
}

static void sound_says_what_is_hidden(void **state)
{
    size_t members = 300000;
    struct fixture *fixture = fixture_new(members);
    give(fixture, lg_batch_of(299999));
    assert_true(lg_bitmap_sound(&fixture->bitmap, members));
    for (uint32_t level = 1; level <= fixture->bitmap.top; level++) {
        uint64_t word = (uint64_t)299999 >> 6 * (level + 1);
        assert_int_not_equal(lg_load_relaxed_64(&fixture->bitmap.level[level][word]), 0);
        lg_store_relaxed_64(&fixture->bitmap.level[level][word], 0);
        assert_false(lg_bitmap_sound(&fixture->bitmap, members));
        /* The summaries lead nowhere; the scan finds it all the same. */
        assert_int_equal(lg_bitmap_claim(&fixture->bitmap, 1).mask, 0);
        lg_batch found = lg_bitmap_claim_scan(&fixture->bitmap, 1, members);
        assert_int_equal(found.word, 299999 / 64);
        assert_int_equal(lg_bitmap_give(&fixture->bitmap, found), 0);
        for (uint32_t up = 1; up <= fixture->bitmap.top; up++) {
            uint64_t below = (uint64_t)299999 >> 6 * up;
            lg_or_seq_cst_64(&fixture->bitmap.level[up][below / 64], (uint64_t)1 << below % 64);
        }
        assert_true(lg_bitmap_sound(&fixture->bitmap, members));
    }
    /* A summary bit too many is allowed, and helped away. */
    lg_store_relaxed_64(&fixture->bitmap.level[1][0], 1);
    lg_or_seq_cst_64(&fixture->bitmap.level[2][0], 1);
    lg_or_seq_cst_64(&fixture->bitmap.level[3][0], 1);
    assert_true(lg_bitmap_sound(&fixture->bitmap, members));
    assert_same_batch(lg_bitmap_claim(&fixture->bitmap, 1), lg_batch_of(299999));
    assert_int_equal(lg_load_relaxed_64(&fixture->bitmap.level[1][0]), 0);
    fixture_free(fixture);
}

/* Each word has a place of its own, and neighbours, up to the eighth, are on different cache lines. */
static void places_of_words(void **state)
{
    size_t members = 300000;
    struct fixture *fixture = fixture_new(members);
    size_t words = (members + 63) / 64;
    unsigned char *seen = calloc(words + 63, 1);
    assert_non_null(seen);
    for (size_t i = 0; i < words; i++) {
        size_t place = (size_t)(lg_bitmap_at(&fixture->bitmap, i) - fixture->words);
        assert_true(place < (words + 63) / 64 * 64);
        assert_int_equal(seen[place]++, 0);
        for (size_t j = 1; j < 8 && j <= i; j++) {
            size_t other = (size_t)(lg_bitmap_at(&fixture->bitmap, i - j) - fixture->words);
            assert_true(i / 64 != (i - j) / 64 || place / 8 != other / 8);
        }
    }
    free(seen);
    fixture_free(fixture);
}

static void parts_of_a_batch(void **state)
{
    lg_batch batch = {3, 0x8000000000000011u};
    assert_int_equal(lg_batch_count(batch), 3);
    assert_int_equal(lg_batch_pop_highest(&batch), 255);
    assert_int_equal(lg_batch_pop_lowest(&batch), 192);
    assert_int_equal(lg_batch_pop_highest(&batch), 196);
    assert_int_equal(batch.mask, 0);

    uint64_t random = 3;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t first = test_random(&random) % 300;
        uint64_t count = 1 + test_random(&random) % 300;
        uint64_t expected = first;
        uint64_t end = first + count;
        while (count != 0) {
            batch = lg_batch_split(&first, &count);
            assert_int_not_equal(batch.mask, 0);
            while (batch.mask != 0) {
                assert_int_equal(lg_batch_pop_lowest(&batch), expected);
                expected++;
            }
            assert_int_equal(first, expected);
        }
        assert_int_equal(expected, end);
    }
}

/* ---------------------------------------------------------------- threads */

enum { THREADS = 4 };

struct race {
    lg_bitmap bitmap;
    lg_a64 *words;
    size_t members;
    size_t operations;
    atomic_uint *holders; /* who holds a member: at most one */
    pthread_barrier_t start, end;
    atomic_bool over;
    atomic_uint seed;
};

static void hold(struct race *race, lg_batch batch)
{
    while (batch.mask != 0) {
        TEST_REQUIRE(atomic_fetch_add(&race->holders[lg_batch_pop_lowest(&batch)], 1) == 0);
    }
}

static void give_back(struct race *race, lg_batch batch)
{
    lg_batch each = batch;
    while (each.mask != 0) {
        TEST_REQUIRE(atomic_fetch_sub(&race->holders[lg_batch_pop_lowest(&each)], 1) == 1);
    }
    if (batch.mask != 0) {
        TEST_REQUIRE(lg_bitmap_give(&race->bitmap, batch) == 0);
    }
}

static lg_batch claim_somehow(struct race *race, uint64_t *random)
{
    uint64_t r = test_random(random);
    unsigned most = r % 2 == 0 ? 1 : 1 + (unsigned)(r >> 8) % 64;
    if (r % 8 < 6) {
        return lg_bitmap_claim(&race->bitmap, most);
    }
    if (r % 8 == 6) {
        return lg_bitmap_claim_scan(&race->bitmap, most, race->members);
    }
    lg_batch batch = lg_batch_of((r >> 16) % race->members);
    batch.mask |= batch.mask << 1 | batch.mask >> 1;
    batch.mask = lg_bitmap_claim_mask(&race->bitmap, batch);
    return batch;
}

static void *racer(void *arg)
{
    struct race *race = arg;
    uint64_t random = atomic_fetch_add(&race->seed, 1);
    for (;;) {
        pthread_barrier_wait(&race->start);
        if (atomic_load(&race->over)) {
            return NULL;
        }
        lg_batch held[3] = {{0, 0}};
        for (size_t i = 0; i < race->operations; i++) {
            lg_batch *slot = &held[test_random(&random) % TEST_COUNT(held)];
            give_back(race, *slot);
            *slot = claim_somehow(race, &random);
            hold(race, *slot);
        }
        for (size_t i = 0; i < TEST_COUNT(held); i++) {
            give_back(race, held[i]);
        }
        pthread_barrier_wait(&race->end);
    }
}

/* At quiet moments every member is there once, and found by way of the summaries. */
static void run_race(size_t members, size_t present, size_t rounds, size_t operations)
{
    struct race race = {.members = members, .operations = operations};
    race.words = calloc(lg_bitmap_words(members), sizeof(lg_a64));
    race.holders = calloc(members + 64, sizeof *race.holders);
    TEST_REQUIRE(race.words != NULL && race.holders != NULL);
    lg_bitmap_init(&race.bitmap, race.words, members);
    uint64_t random = members + present;
    uint64_t *there = calloc((members + 63) / 64, sizeof *there);
    TEST_REQUIRE(there != NULL);
    for (size_t i = 0; i < present; i++) {
        lg_batch batch = lg_batch_of(test_random(&random) % members);
        there[batch.word] |= batch.mask;
        (void)!lg_bitmap_give(&race.bitmap, batch);
    }
    TEST_REQUIRE(pthread_barrier_init(&race.start, NULL, THREADS + 1) == 0);
    TEST_REQUIRE(pthread_barrier_init(&race.end, NULL, THREADS + 1) == 0);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        test_spawn(&threads[i], racer, &race);
    }
    for (size_t round = 0; round < rounds; round++) {
        pthread_barrier_wait(&race.start);
        pthread_barrier_wait(&race.end);
        TEST_REQUIRE(lg_bitmap_sound(&race.bitmap, members));
        uint64_t last = 0;
        for (lg_batch batch; (batch = lg_bitmap_claim(&race.bitmap, 64)).mask != 0;) {
            TEST_REQUIRE(batch.word >= last && batch.mask == there[batch.word]);
            last = batch.word + 1;
            there[batch.word] |= batch.mask;
            hold(&race, batch);
        }
        for (size_t word = 0; word < (members + 63) / 64; word++) {
            lg_batch batch = {word, there[word]};
            give_back(&race, batch);
        }
    }
    atomic_store(&race.over, true);
    pthread_barrier_wait(&race.start);
    for (size_t i = 0; i < THREADS; i++) {
        test_join(threads[i]);
    }
    pthread_barrier_destroy(&race.start);
    pthread_barrier_destroy(&race.end);
    free(there);
    free(race.holders);
    free(race.words);
}

/* Few members in many words: words empty and fill all the time, and so do the summaries above them. */
static void nothing_is_lost_among_threads(void **state)
{
    run_race(100, 6, test_scale(400, 10), test_scale(300, 100));
    run_race(5000, 3, test_scale(400, 10), test_scale(300, 100));
    run_race(5000, 40, test_scale(200, 10), test_scale(300, 100));
    run_race(300000, 5, test_scale(60, 3), test_scale(300, 100));
    run_race(300, 290, test_scale(200, 10), test_scale(300, 100));
    /* A hidden member is found again by whoever gives a neighbour: so look often. */
    run_race(100, 1, test_scale(6000, 30), 3);
    run_race(100, 2, test_scale(6000, 30), 6);
    run_race(5000, 2, test_scale(6000, 30), 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(places_of_words),
        cmocka_unit_test(parts_of_a_batch),
        cmocka_unit_test(as_a_plain_set),
        cmocka_unit_test(as_large_as_can_be),
        cmocka_unit_test(lowest_first),
        cmocka_unit_test(given_twice),
        cmocka_unit_test(sound_says_what_is_hidden),
        cmocka_unit_test(nothing_is_lost_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
