/* SPDX-License-Identifier: MIT */
/* Tests of evidence.h: what each rule says, and how often a simulated run says what is wrong. */
#include <math.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evidence.h"
#include "rng.h"
#include "stats.h"

enum { RUNS = 2000, MEDIAN = 1000000 };

static const struct interval nothing = {NAN, NAN, NAN, 0};

static void test_words(void **state)
{
	(void)state;
	for (int a = 0; a < VERDICTS; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(verdict_word(a), verdict_word(b));
	assert_string_equal(verdict_word(NOT_SEEN), "not-seen");
	assert_string_equal(verdict_shown(NOT_SEEN), "NOT SEEN");
}

static void test_shares(void **state)
{
	(void)state;
	assert_int_equal(can_happen(share_of(1, 10)), HOLDS);
	assert_int_equal(can_happen(share_of(0, 10)), NOT_SEEN);
	assert_int_equal(can_happen(share_of(0, 0)), UNCLEAR);
	assert_int_equal(refuted_if_seen(share_of(1, 10)), REFUTED);
	assert_int_equal(refuted_if_seen(share_of(0, 10)), NOT_SEEN);
	assert_int_equal(refuted_if_seen(share_of(0, 0)), UNCLEAR);
	assert_int_equal(never_happens(share_of(0, 10), 10), HOLDS);
	assert_int_equal(never_happens(share_of(0, 9), 10), UNCLEAR);
	assert_int_equal(never_happens(share_of(1, 2), 10), REFUTED); /* one is enough */
	assert_int_equal(never_happens(share_of(0, 0), 1), UNCLEAR);
	assert_int_equal(always_happens(share_of(10, 10), 10), HOLDS);
	assert_int_equal(always_happens(share_of(9, 9), 10), UNCLEAR);
	assert_int_equal(always_happens(share_of(1, 2), 10), REFUTED);
	assert_int_equal(always_happens(share_of(0, 0), 1), UNCLEAR);
	assert_int_equal(case_by_case(share_of(3, 3), 3), HOLDS);
	assert_int_equal(case_by_case(share_of(0, 3), 3), REFUTED);
	assert_int_equal(case_by_case(share_of(1, 3), 3), DEPENDS);
	assert_int_equal(case_by_case(share_of(0, 0), 1), UNCLEAR);
	assert_int_equal(share_above(share_of(90, 100), 0.5), HOLDS);
	assert_int_equal(share_above(share_of(10, 100), 0.5), REFUTED);
	assert_int_equal(share_above(share_of(52, 100), 0.5), UNCLEAR);
	assert_int_equal(share_above(share_of(0, 0), 0.5), UNCLEAR);
	assert_int_equal(share_below(share_of(10, 100), 0.5), HOLDS);
	assert_int_equal(share_below(share_of(0, 0), 0.5), UNCLEAR);
}

static void test_intervals(void **state)
{
	struct interval two_to_three = {2.5, 2, 3, 20};

	(void)state;
	assert_int_equal(is_above(two_to_three, 1.9), HOLDS);
	assert_int_equal(is_above(two_to_three, 2.5), UNCLEAR);
	assert_int_equal(is_above(two_to_three, 3.1), REFUTED);
	assert_int_equal(is_above(nothing, 1), UNCLEAR);
	assert_int_equal(is_below(two_to_three, 3.1), HOLDS);
	assert_int_equal(is_below(two_to_three, 2.5), UNCLEAR);
	assert_int_equal(is_below(two_to_three, 1.9), REFUTED);
	assert_int_equal(is_below(nothing, 1), UNCLEAR);
	assert_int_equal(is_within(two_to_three, 1, 4), HOLDS);
	assert_int_equal(is_within(two_to_three, 2.5, 4), UNCLEAR);
	assert_int_equal(is_within(two_to_three, 4, 5), REFUTED);
	assert_int_equal(is_within(nothing, 1, 2), UNCLEAR);
	assert_int_equal(is_above((struct interval){5, NAN, NAN, 1}, 1), UNCLEAR); /* one value */
	assert_int_equal(or_not_seen(REFUTED), NOT_SEEN);
	assert_int_equal(or_not_seen(UNCLEAR), UNCLEAR);
	assert_int_equal(or_not_seen(HOLDS), HOLDS);
}

static void test_several(void **state)
{
	(void)state;
	assert_int_equal(all_of(HOLDS, HOLDS), HOLDS);
	assert_int_equal(all_of(HOLDS, UNCLEAR), UNCLEAR);
	assert_int_equal(all_of(UNCLEAR, REFUTED), REFUTED);
	assert_int_equal(all_of(HOLDS, NOT_SEEN), NOT_SEEN);
	assert_int_equal(any_of(HOLDS, UNCLEAR), HOLDS);
	assert_int_equal(any_of(REFUTED, REFUTED), REFUTED);
	assert_int_equal(any_of(REFUTED, UNCLEAR), UNCLEAR);
	assert_int_equal(verdict_all(NULL, 0), UNCLEAR);
	assert_int_equal(verdict_any(NULL, 0), UNCLEAR);
	assert_int_equal(by_case(HOLDS, REFUTED), DEPENDS);
	assert_int_equal(by_case(REFUTED, HOLDS), DEPENDS);
	assert_int_equal(by_case(HOLDS, HOLDS), HOLDS);
	assert_int_equal(by_case(REFUTED, REFUTED), REFUTED);
	assert_int_equal(by_case(HOLDS, UNCLEAR), UNCLEAR);
}

/* A time as they are: skewed, with a long tail, and a median of MEDIAN. */
static int64_t skewed(struct rng *rng)
{
	double u = ((double)rng_below(rng, 1000000) + 0.5) / 1e6;

	return (int64_t)(MEDIAN * log(1 - u) / log(0.5));
}

/*
 * A run in which nothing is to be found: what is measured is just at the bound.  The verdict after
 * the looks of a whole run; anything but unclear is wrong.
 */
static enum verdict simulate(struct rng *rng, size_t trials, bool ratio)
{
	int64_t one[LOOKS * 256], two[LOOKS * 256];
	size_t n = 0;

	for (int look = 0; look < LOOKS; look++) {
		struct values a = {one, 0, NULL};
		struct values b = {two, 0, NULL};
		enum verdict verdict;

		for (; n < trials << look; n++) {
			one[n] = skewed(rng) + 1;
			two[n] = skewed(rng) + 1;
		}
		a.n = b.n = n;
		verdict = ratio ? is_above(look_ratio(a, b), 1) : is_above(look_median(a), MEDIAN);
		if (verdict != UNCLEAR)
			return verdict;
	}
	return UNCLEAR;
}

static void assert_seldom_wrong(size_t trials, bool ratio)
{
	struct rng rng = {trials};
	int wrong = 0;

	for (int i = 0; i < RUNS; i++)
		wrong += simulate(&rng, trials, ratio) != UNCLEAR;
	if (wrong > RUNS / 20)
		fail_msg("%d of %d runs of %zu trials were wrong", wrong, RUNS, trials);
}

static void test_few_runs_are_wrong(void **state)
{
	(void)state;
	assert_seldom_wrong(7, false);
	assert_seldom_wrong(25, false);
	assert_seldom_wrong(7, true);
	assert_seldom_wrong(25, true);
}

/* And it is found where there is something: half as much again. */
static void test_most_runs_tell(void **state)
{
	struct rng rng = {1};
	int64_t times[200];
	int found = 0;

	(void)state;
	for (int i = 0; i < RUNS; i++) {
		for (size_t n = 0; n < 200; n++)
			times[n] = skewed(&rng) * 3 / 2;
		found += is_above(look_median((struct values){times, 200, NULL}), MEDIAN) == HOLDS;
	}
	assert_true(found > RUNS * 8 / 10);
}

/* A 95 % interval holds what is true in 93 to 97 % of all runs: interpolated, in 92.9 % with 7. */
static void test_coverage(void **state)
{
	static const size_t sizes[] = {12, 25, 60};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct rng rng = {sizes[i]};
		int64_t times[60];
		int covered = 0;

		for (int run = 0; run < RUNS; run++) {
			struct interval median;

			for (size_t n = 0; n < sizes[i]; n++)
				times[n] = skewed(&rng);
			median = stats_median((struct values){times, sizes[i], NULL});
			covered += median.low <= MEDIAN && MEDIAN <= median.high;
		}
		if (covered < RUNS * 93 / 100 || covered > RUNS * 97 / 100)
			fail_msg("%zu trials: %d of %d intervals hold it", sizes[i], covered, RUNS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_few_runs_are_wrong),
		cmocka_unit_test(test_most_runs_tell),
		cmocka_unit_test(test_coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
