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

enum { RUNS = 2000, MEDIAN = 1000000, MOST = 25 << (LOOKS - 1) };

static const struct interval nothing = {NAN, NAN, NAN, 0};

static void test_words(void **state)
{
	static const char *const words[VERDICTS] = {"unclear", "holds",    "refuted",
						    "depends", "not-seen", "skipped"};
	static const char *const shown[VERDICTS] = {"UNCLEAR", "HOLDS",    "REFUTED",
						    "DEPENDS", "NOT SEEN", "SKIPPED"};

	(void)state;
	for (size_t i = 0; i < VERDICTS; i++) {
		assert_string_equal(verdict_word(i), words[i]);
		assert_string_equal(verdict_shown(i), shown[i]);
	}
}

static void test_shares(void **state)
{
	(void)state;
	assert_int_equal(can_happen(share_of(1, 10)), HOLDS);
	assert_int_equal(can_happen(share_of(0, 10)), NOT_SEEN);
	assert_int_equal(can_happen(share_of(0, 0)), UNCLEAR);
	assert_int_equal(can_happen_in(share_of(1, 1), 8), HOLDS);
	assert_int_equal(can_happen_in(share_of(0, 7), 8), UNCLEAR);
	assert_int_equal(can_happen_in(share_of(0, 8), 8), NOT_SEEN);
	assert_int_equal(refuted_if_seen(share_of(1, 10)), REFUTED);
	assert_int_equal(refuted_if_seen(share_of(0, 10)), NOT_SEEN);
	assert_int_equal(refuted_if_seen(share_of(0, 0)), UNCLEAR);
	assert_int_equal(refuted_if_often(share_of(7, 7), 0.5), REFUTED);
	assert_int_equal(refuted_if_often(share_of(1, 10), 0.5), UNCLEAR);
	assert_int_equal(refuted_if_often(share_of(0, 10), 0.5), NOT_SEEN);
	assert_int_equal(refuted_if_often(share_of(0, 0), 0.5), UNCLEAR);
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
	assert_int_equal(share_above(share_of(6, 6), 0.5), UNCLEAR); /* 1 / 64 by chance */
	assert_int_equal(share_above(share_of(7, 7), 0.5), HOLDS);
	assert_int_equal(share_above(share_of(41, 41), 0.9), UNCLEAR);
	assert_int_equal(share_above(share_of(42, 42), 0.9), HOLDS);
	assert_int_equal(share_above(share_of(6, 9), 0.9), UNCLEAR);            /* 5.3 % */
	assert_int_equal(share_above(share_of(5, 9), 0.9), REFUTED);            /* 0.8 % */
	assert_int_equal(share_above(share_of(501000, 1000000), 0.5), UNCLEAR); /* 2.0 sigma */
	assert_int_equal(share_above(share_of(501200, 1000000), 0.5), HOLDS);   /* 2.4 */
	assert_int_equal(share_below(share_of(10, 100), 0.5), HOLDS);
	assert_int_equal(share_below(share_of(0, 0), 0.5), UNCLEAR);
}

static void assert_share(struct share share, int64_t k, int64_t n, double low, double high)
{
	assert_int_equal(share.k, k);
	assert_int_equal(share.n, n);
	assert_true(fabs(share.low - low) < 0.00006 && fabs(share.high - high) < 0.00006);
}

/* Wilson's interval of 0 of 10 ends at z^2 / (10 + z^2); more answers are in test_stats.c. */
static void test_share_intervals(void **state)
{
	struct values values = {.at = (int64_t[]){0, 5, -1, 0, 10, 3, 4, 0, 0, 0}, .n = 10};

	(void)state;
	assert_share(share_of(0, 10), 0, 10, 0, 0.2775);
	assert_share(share_of(10, 10), 10, 10, 0.7225, 1);
	assert_share(share_of(5, 10), 5, 10, 0.2366, 0.7634);
	assert_true(isnan(share_of(0, 0).low) && isnan(share_of(0, 0).high));
	assert_share(share_nonzero(values), 5, 10, 0.2366, 0.7634);
	assert_share(share_within(values, 3, 5), 3, 10, 0.1078, 0.6032); /* both ends belong */
	assert_share(share_add(share_of(2, 4), share_of(3, 6)), 5, 10, 0.2366, 0.7634);
	assert_share(share_rest(share_of(0, 10)), 10, 10, 0.7225, 1);
	values.n = 0;
	assert_int_equal(can_happen(share_nonzero(values)), UNCLEAR);
	assert_int_equal(can_happen(share_within(values, 0, 1)), UNCLEAR);
}

static void test_intervals(void **state)
{
	struct interval two_to_three = {2.5, 2, 3, 20};

	(void)state;
	assert_int_equal(is_above(two_to_three, 1.9), HOLDS);
	assert_int_equal(is_above(two_to_three, 2.5), UNCLEAR);
	assert_int_equal(is_above(two_to_three, 3.1), REFUTED);
	assert_int_equal(is_above(nothing, 1), UNCLEAR);
	assert_int_equal(is_above(more_than((struct interval){9, 8, 10, 7}, two_to_three), 4.9),
			 HOLDS);
	assert_int_equal(is_above(more_than((struct interval){9, 8, 10, 7}, two_to_three), 5),
			 UNCLEAR);
	assert_int_equal(is_below(more_than(two_to_three, two_to_three), 1.1), HOLDS);
	assert_int_equal(is_below(more_than(nothing, two_to_three), 1), UNCLEAR);
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

/* The order in which a verdict of parts is chosen: of any two, the one that comes first. */
static void test_several(void **state)
{
	static const enum verdict all[] = {REFUTED, SKIPPED, UNCLEAR, NOT_SEEN, DEPENDS, HOLDS};
	static const enum verdict any[] = {HOLDS, DEPENDS, SKIPPED, UNCLEAR, NOT_SEEN, REFUTED};

	(void)state;
	for (size_t i = 0; i < VERDICTS; i++)
		for (size_t k = i; k < VERDICTS; k++) {
			assert_int_equal(all_of(all[i], all[k]), all[i]);
			assert_int_equal(all_of(all[k], HOLDS, all[i]), all[i]);
			assert_int_equal(any_of(any[i], any[k]), any[i]);
			assert_int_equal(any_of(any[k], REFUTED, any[i]), any[i]);
		}
	assert_int_equal(verdict_all(NULL, 0), UNCLEAR);
	assert_int_equal(verdict_any(NULL, 0), UNCLEAR);
}

static void test_on_a_condition(void **state)
{
	(void)state;
	for (enum verdict verdict = 0; verdict < VERDICTS; verdict++)
		for (enum verdict condition = 0; condition < VERDICTS; condition++)
			assert_int_equal(only_if(condition, verdict),
					 condition == HOLDS ? verdict : UNCLEAR);
}

static void test_share_of_which_only_limits_are_known(void **state)
{
	(void)state;
	assert_int_equal(share_above_between(share_of(8, 8), share_of(8, 8), 0.5), HOLDS);
	assert_int_equal(share_above_between(share_of(0, 8), share_of(0, 8), 0.5), REFUTED);
	assert_int_equal(share_above_between(share_of(0, 8), share_of(8, 8), 0.5), UNCLEAR);
	assert_int_equal(share_above_between(share_of(4, 8), share_of(8, 8), 0.5), UNCLEAR);
	assert_int_equal(share_above_between(share_of(0, 0), share_of(0, 0), 0.5), UNCLEAR);
}

static void test_by_case(void **state)
{
	/* in the order of enum verdict; the table is the same in both directions */
	static const enum verdict both[VERDICTS][VERDICTS] = {
		{UNCLEAR, UNCLEAR, UNCLEAR, UNCLEAR, UNCLEAR, SKIPPED},
		{UNCLEAR, HOLDS, DEPENDS, DEPENDS, DEPENDS, SKIPPED},
		{UNCLEAR, DEPENDS, REFUTED, DEPENDS, REFUTED, SKIPPED},
		{UNCLEAR, DEPENDS, DEPENDS, DEPENDS, DEPENDS, SKIPPED},
		{UNCLEAR, DEPENDS, REFUTED, DEPENDS, NOT_SEEN, SKIPPED},
		{SKIPPED, SKIPPED, SKIPPED, SKIPPED, SKIPPED, SKIPPED},
	};

	(void)state;
	for (size_t here = 0; here < VERDICTS; here++)
		for (size_t there = 0; there < VERDICTS; there++)
			assert_int_equal(by_case(here, there), both[here][there]);
}

/* What is measured: positive, with a median of MEDIAN. */
static int64_t normal(struct rng *rng)
{
	double radius = sqrt(-2 * log(rng_uniform(rng)));

	return llround(MEDIAN * (1 + 0.1 * radius * cos(2 * M_PI * rng_uniform(rng))));
}

static int64_t exponential(struct rng *rng)
{
	return llround(MEDIAN * log(rng_uniform(rng)) / log(0.5));
}

/* Pareto's with an exponent of 1: it has no mean. */
static int64_t heavy_tailed(struct rng *rng)
{
	return llround(MEDIAN / 2.0 / rng_uniform(rng));
}

/*
 * Two modes with nothing between them are left out: where the median lies in a gap, an interpolated
 * end lies in it too, and with 7 values the 95 % interval holds the median in 87 % of all runs.
 */
static const struct {
	const char *name;
	int64_t (*draw)(struct rng *rng);
} distributions[] = {
	{"normal", normal}, {"exponential", exponential}, {"heavy-tailed", heavy_tailed}};

enum { DISTRIBUTIONS = sizeof(distributions) / sizeof(distributions[0]) };

/* The claims a run can make of what it measures; `bound` is the true value times a factor. */
enum rule { ABOVE, BELOW, WITHIN, RATIO_ABOVE, RULES };

static enum verdict judged(enum rule rule, struct values one, struct values two, double factor)
{
	struct interval ratio;

	if (rule == RATIO_ABOVE) {
		ratio = look_ratio(one, two);
		return is_above(ratio, factor);
	}
	if (rule == WITHIN)
		return is_within(look_median(one), MEDIAN * factor, 1e18);
	return rule == ABOVE ? is_above(look_median(one), MEDIAN * factor)
			     : is_below(look_median(one), MEDIAN * factor);
}

/* The verdict after the looks of a whole run, which ends with the first that decides. */
static enum verdict simulate(struct rng *rng, int64_t (*draw)(struct rng *rng), size_t trials,
			     enum rule rule, double factor)
{
	int64_t one[MOST];
	int64_t two[MOST];
	enum verdict verdict = UNCLEAR;
	size_t n = 0;

	for (int look = 0; look < LOOKS && verdict == UNCLEAR; look++) {
		for (; n < trials << look; n++) {
			one[n] = draw(rng);
			two[n] = rule == RATIO_ABOVE ? draw(rng) : 1;
		}
		verdict = judged(rule, (struct values){.at = one, .n = n},
				 (struct values){.at = two, .n = n}, factor);
	}
	return verdict;
}

/*
 * With the true value just at the bound, the worst case, every verdict but unclear counts as wrong,
 * on either side: at most 5 % of all runs, however many looks they took.
 */
static void test_few_runs_are_wrong(void **state)
{
	static const size_t trials[] = {7, 10, 25};

	(void)state;
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		for (size_t d = 0; d < DISTRIBUTIONS; d++)
			for (enum rule rule = 0; rule < RULES; rule++) {
				struct rng rng = {trials[i]};
				int wrong = 0;

				for (int run = 0; run < RUNS; run++)
					wrong += simulate(&rng, distributions[d].draw, trials[i],
							  rule, 1) != UNCLEAR;
				if (wrong > RUNS / 20)
					fail_msg("%s, %zu trials, rule %d: %d of %d wrong",
						 distributions[d].name, trials[i], (int)rule, wrong,
						 RUNS);
			}
}

/* The true value is clearly on one side: most runs say so, and nearly none the contrary. */
static void test_most_runs_tell(void **state)
{
	static const double factors[] = {0.25, 4};

	(void)state;
	for (size_t d = 0; d < DISTRIBUTIONS; d++)
		for (enum rule rule = 0; rule < RULES; rule++)
			for (size_t f = 0; f < 2; f++) {
				bool holds = (f == 0) != (rule == BELOW);
				struct rng rng = {f};
				int right = 0;
				int wrong = 0;

				for (int run = 0; run < RUNS; run++) {
					enum verdict verdict = simulate(&rng, distributions[d].draw,
									7, rule, factors[f]);

					right += verdict == (holds ? HOLDS : REFUTED);
					wrong += verdict == (holds ? REFUTED : HOLDS);
				}
				if (right < RUNS * 8 / 10 || wrong > RUNS / 100)
					fail_msg("%s, rule %d, bound at %g: %d right, %d wrong",
						 distributions[d].name, (int)rule, factors[f],
						 right, wrong);
			}
}

/* Half as much again is found by most runs of 200 trials. */
static void test_half_as_much_again(void **state)
{
	struct rng rng = {1};
	int64_t times[200];
	int found = 0;

	(void)state;
	for (int run = 0; run < RUNS; run++) {
		for (size_t n = 0; n < 200; n++)
			times[n] = exponential(&rng) * 3 / 2;
		found += is_above(look_median((struct values){.at = times, .n = 200}), MEDIAN) ==
			 HOLDS;
	}
	assert_true(found > RUNS * 8 / 10);
}

static struct share drawn_share(struct rng *rng, double p, int64_t n)
{
	int64_t k = 0;

	for (int64_t i = 0; i < n; i++)
		k += rng_uniform(rng) < p;
	return share_of(k, n);
}

/* The verdict after the looks of a whole run, likewise. */
static enum verdict simulate_share(struct rng *rng, double p, int64_t trials, double bound)
{
	struct share share = {0};
	enum verdict verdict = UNCLEAR;

	for (int look = 0; look < LOOKS && verdict == UNCLEAR; look++) {
		share = share_add(share, drawn_share(rng, p, (trials << look) - share.n));
		verdict = share_above(share, bound);
		assert_int_equal(share_below(share, bound), verdict == HOLDS     ? REFUTED
							    : verdict == REFUTED ? HOLDS
										 : UNCLEAR);
	}
	return verdict;
}

/*
 * Wrong is `holds` where the share is at the bound or on its other side, and `refuted` likewise: each
 * in at most 5 % of runs, however many looks they took; at the bound, the worst case, too.
 */
static void test_shares_seldom_wrong(void **state)
{
	static const double bounds[] = {0.05, 0.2, 0.5, 0.8, 0.95};
	static const int64_t trials[] = {1, 4, 7, 10, 25};

	(void)state;
	for (size_t b = 0; b < sizeof(bounds) / sizeof(bounds[0]); b++)
		for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
			for (int step = -1; step <= 1; step++) {
				double p = bounds[b] + 0.04 * step;
				struct rng rng = {b};
				int above = 0; /* said where it is not so */
				int below = 0;

				for (int run = 0; run < RUNS; run++) {
					enum verdict verdict =
						simulate_share(&rng, p, trials[i], bounds[b]);

					above += step <= 0 && verdict == HOLDS;
					below += step >= 0 && verdict == REFUTED;
				}
				if (above > RUNS / 20 || below > RUNS / 20)
					fail_msg("true share %g, bound %g: %d and %d of %d wrong",
						 p, bounds[b], above, below, RUNS);
			}
}

/* A true share clearly on one side is told by most runs of 7 trials. */
static void test_shares_mostly_told(void **state)
{
	struct rng rng = {1};
	int holds = 0;
	int refuted = 0;

	(void)state;
	for (int run = 0; run < RUNS; run++) {
		holds += simulate_share(&rng, 0.9, 7, 0.5) == HOLDS;
		refuted += simulate_share(&rng, 0.1, 7, 0.5) == REFUTED;
	}
	assert_true(holds > RUNS * 9 / 10 && refuted > RUNS * 9 / 10);
}

/* A 95 % interval of a median holds the true one in 93 to 97 % of all runs, from 6 values on. */
static void test_median_coverage(void **state)
{
	static const size_t sizes[] = {6, 7, 8, 10, 12, 25, 60};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t d = 0; d < DISTRIBUTIONS; d++) {
			struct rng rng = {sizes[i]};
			int64_t times[60];
			int covered = 0;

			for (int run = 0; run < RUNS; run++) {
				struct interval median;

				for (size_t n = 0; n < sizes[i]; n++)
					times[n] = distributions[d].draw(&rng);
				median = stats_median((struct values){.at = times, .n = sizes[i]});
				covered += median.low <= MEDIAN && MEDIAN <= median.high;
			}
			if (covered < RUNS * 93 / 100 || covered > RUNS * 97 / 100)
				fail_msg("%s, %zu values: %d of %d intervals hold it",
					 distributions[d].name, sizes[i], covered, RUNS);
		}
}

/* Wilson's has its 95 % on average over the true share; at a single one k jumps over it. */
static void test_share_coverage(void **state)
{
	static const int64_t sizes[] = {5, 10, 25, 100};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct rng rng = {i};
		int covered = 0;

		for (int run = 0; run < RUNS; run++) {
			double p = rng_uniform(&rng);
			struct share share = drawn_share(&rng, p, sizes[i]);

			covered += share.low <= p && p <= share.high;
		}
		if (covered < RUNS * 93 / 100 || covered > RUNS * 97 / 100)
			fail_msg("%lld trials: %d of %d intervals hold it", (long long)sizes[i],
				 covered, RUNS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_share_intervals),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_on_a_condition),
		cmocka_unit_test(test_share_of_which_only_limits_are_known),
		cmocka_unit_test(test_by_case),
		cmocka_unit_test(test_few_runs_are_wrong),
		cmocka_unit_test(test_most_runs_tell),
		cmocka_unit_test(test_half_as_much_again),
		cmocka_unit_test(test_shares_seldom_wrong),
		cmocka_unit_test(test_shares_mostly_told),
		cmocka_unit_test(test_median_coverage),
		cmocka_unit_test(test_share_coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
