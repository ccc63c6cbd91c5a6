/* What the benchmark says of a bound: from rounds that are made up, with its own code. */
#include "../bench/results.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 9 };

static struct sample ours[ROUNDS];
static struct sample floors[ROUNDS];

const struct contestant *contestant_get(unsigned id)
{
    static const struct contestant someone = {.name = "someone"};

    return id < PEER_FIRST ? &someone : NULL;
}

unsigned workload_values(const struct workload *workload)
{
    (void)workload;
    return 1;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double quantile(double *values, size_t count, double part)
{
    qsort(values, count, sizeof *values, compare);
    return values[(size_t)(part * (double)(count - 1))];
}

/* A floor that takes 10, and now and then `noise` times as much; the library takes `ratio` times the floor's usual. */
static struct verdict verdict_of(unsigned rounds, unsigned max_rounds, double ratio, unsigned noisy_rounds,
                                 double noise, enum against against)
{
    const struct workload workload = {.name = "made up", .unit = "ns", .max_rounds = max_rounds};
    const struct bound bound = {SET(LGALLOC_FILE), 0, against, FLOOR, against == ABSOLUTE ? 15 : 1.5};
    struct results results = {.workload = &workload};

    for (unsigned i = 0; i < ROUNDS; i++) {
        floors[i] = (struct sample){.ok = true, .values = {i < noisy_rounds ? 10 * noise : 10}};
        ours[i] = (struct sample){.ok = true, .values = {10 * ratio}};
    }
    results.of[LGALLOC_FILE] = (struct contestant_results){rounds, ours};
    results.of[FLOOR] = (struct contestant_results){rounds, floors};
    return judge(&results, &bound, LGALLOC_FILE);
}

static void calm_rounds_are_judged(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(ROUNDS, 0, 1.4, 0, 1, AGAINST_CONTESTANT).outcome, REACHED);
    assert_int_equal(verdict_of(ROUNDS, 0, 1.6, 0, 1, AGAINST_CONTESTANT).outcome, MISSED);
    assert_int_equal(verdict_of(ROUNDS, 0, 1.4, 0, 1, ABSOLUTE).outcome, REACHED);
}

static void a_bad_round_or_two_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(ROUNDS, 0, 1.4, 2, 100, AGAINST_CONTESTANT).outcome, REACHED);
    assert_int_equal(verdict_of(ROUNDS, 0, 1.6, 2, 100, AGAINST_CONTESTANT).outcome, MISSED);
    assert_int_equal(verdict_of(ROUNDS, 0, 1.6, ROUNDS / 2, 1.2, AGAINST_CONTESTANT).outcome, WITHIN_SCATTER);
}

static void noise_of_the_floor_is_no_verdict(void **state)
{
    (void)state;
    static const enum against all[] = {AGAINST_CONTESTANT, ABSOLUTE};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct verdict verdict = verdict_of(ROUNDS, 0, 1.4, ROUNDS / 2, 1.5, all[i]);
        assert_int_equal(verdict.outcome, NOT_JUDGED);
        assert_string_equal(verdict.why_not, "not judged: noisy");
        assert_true(verdict.ratio > 0); /* it is told all the same */
    }
}

static void few_rounds_are_no_verdict_unless_more_would_be_the_same(void **state)
{
    (void)state;
    for (unsigned rounds = 1; rounds < 3; rounds++) {
        const struct verdict verdict = verdict_of(rounds, 0, 1.4, 0, 1, AGAINST_CONTESTANT);
        assert_int_equal(verdict.outcome, NOT_JUDGED);
        assert_string_equal(verdict.why_not, "not judged: too few rounds");
    }
    assert_int_equal(verdict_of(3, 0, 1.4, 0, 1, AGAINST_CONTESTANT).outcome, REACHED);
    assert_int_equal(verdict_of(1, 1, 1.4, 0, 1, AGAINST_CONTESTANT).outcome, REACHED);
}

static void no_rounds_are_no_figure(void **state)
{
    (void)state;
    assert_int_equal(verdict_of(0, 0, 1.4, 0, 1, AGAINST_CONTESTANT).outcome, NOT_MEASURED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(calm_rounds_are_judged),
        cmocka_unit_test(a_bad_round_or_two_change_nothing),
        cmocka_unit_test(noise_of_the_floor_is_no_verdict),
        cmocka_unit_test(few_rounds_are_no_verdict_unless_more_would_be_the_same),
        cmocka_unit_test(no_rounds_are_no_figure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
