/* SPDX-License-Identifier: MIT */
/*
 * test_stats - medians, quantiles, shares and intervals against answers known from elsewhere.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evidence.h"
#include "rng.h"
#include "stats.h"

#define COUNT(...)  (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define VALUES(...) ((struct values){.at = (int64_t[]){__VA_ARGS__}, .n = COUNT(__VA_ARGS__)})

static const struct values none;

static void assert_near(double value, double expected, double tolerance)
{
	if (!(fabs(value - expected) <= tolerance)) /* so that NAN fails */
		fail_msg("%.9g is not %.9g", value, expected);
}

static void test_quantile(void **state)
{
	struct values values = VALUES(40, 10, 30, 20); /* numpy.quantile([...], q) */

	(void)state;
	assert_near(stats_quantile(values, 0), 10, 0);
	assert_near(stats_quantile(values, 0.1), 13, 1e-9);
	assert_near(stats_quantile(values, 0.25), 17.5, 1e-9);
	assert_near(stats_quantile(values, 0.5), 25, 1e-9);
	assert_near(stats_quantile(values, 0.75), 32.5, 1e-9);
	assert_near(stats_quantile(values, 0.95), 38.5, 1e-9);
	assert_near(stats_quantile(values, 1), 40, 0);
	assert_int_equal(values.at[0], 40); /* what it is given stays unsorted */
	assert_near(stats_quantile(VALUES(7), 0.9), 7, 0);
	assert_true(isnan(stats_quantile(none, 0.5)));
	assert_near(stats_quantile(VALUES(INT64_MIN, INT64_MAX), 0.5), 0, 1024);
}

static void test_median(void **state)
{
	(void)state;
	assert_near(stats_median(VALUES(5, 1, 9)).mid, 5, 0);
	assert_near(stats_median(VALUES(5, 1, 9, 6)).mid, 5.5, 0);
	assert_near(stats_median(VALUES(-3, -3, 8)).mid, -3, 0);
	assert_true(isnan(stats_median(none).mid));
	assert_true(isnan(stats_median(none).low));
	assert_true(isnan(stats_median(none).high));
}

static void test_median_interval(void **state)
{
	struct values values = VALUES(3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26, 43, 38, 32);
	struct interval once = stats_median(values);
	struct interval again = stats_median(values);
	struct interval one = stats_median(VALUES(17));
	struct interval alike = stats_median(VALUES(4, 4, 4, 4));
	struct interval counts = stats_median(VALUES(4, 4, 4, 4, 4, 4));

	(void)state;
	assert_memory_equal(&once, &again, sizeof(once));
	assert_near(once.mid, 38, 0);
	assert_true(once.low <= once.mid && once.mid <= once.high);
	assert_true(once.low >= 14 && once.high <= 89 && once.low < once.high);
	assert_near(one.mid, 17, 0);
	assert_true(isnan(one.low) && isnan(one.high)); /* one value has no interval */
	assert_near(alike.mid, 4, 0);
	assert_true(isnan(alike.low)); /* nor have four */
	assert_near(counts.high - counts.low, 0, 0);
}

/* By hand from the formula: the depths' coverages are 1 - 2 / 64, 1 - 22 / 1024, 1 - 2 / 128. */
static void test_known_intervals(void **state)
{
	struct values six = VALUES(10, 20, 30, 40, 50, 60);
	struct values seven = VALUES(10, 20, 30, 40, 50, 60, 70);
	struct values ten = VALUES(10, 20, 30, 40, 50, 60, 70, 80, 90, 100);

	(void)state;
	assert_near(stats_median(six).low, 10 + 10 * 0.5 / 1.4, 1e-9);
	assert_near(stats_median(six).high, 60 - 10 * 0.5 / 1.4, 1e-9);
	assert_true(isnan(stats_median_at(six, 0.98).low));
	assert_near(stats_median_at(seven, 0.98).low, 12, 1e-9);
	assert_near(stats_median_at(seven, 0.98).high, 68, 1e-9);
	assert_true(isnan(stats_median_at(seven, 0.99).low));
	assert_near(stats_median(ten).low, 26.577, 0.001);
	assert_near(stats_median(ten).high, 83.423, 0.001);
	/* without interpolation: the sign test's interval, [x_(2), x_(9)], has 97.85 % */
	assert_near(stats_median_at(ten, 1 - 22.0 / 1024).low, 20, 1e-6);
	assert_near(stats_median_at(ten, 1 - 22.0 / 1024).high, 90, 1e-6);
	assert_int_equal(stats_median(ten).n, 10);
}

/* No underflow where 2^-n is 0: the normal approximation has the ends at n / 2 +- 0.98 sqrt(n). */
static void test_many_values(void **state)
{
	static const size_t sizes[] = {1000, 1100, 100000, 1000000};
	int64_t *at = calloc(1000000, sizeof(*at));

	(void)state;
	assert_non_null(at);
	for (size_t i = 0; i < 1000000; i++)
		at[i] = (int64_t)i;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		double n = (double)sizes[i];
		struct interval median = stats_median((struct values){.at = at, .n = sizes[i]});

		assert_near(median.mid, (n - 1) / 2, 1e-6);
		assert_near(median.mid - median.low, 0.979982 * sqrt(n), 1);
		assert_near(median.high - median.mid, 0.979982 * sqrt(n), 1);
	}
	free(at);
}

/* A 95 % interval should hold the true median in about 95 of 100 samples. */
static void test_median_coverage(void **state)
{
	enum { SAMPLES = 200, N = 25, TOP = 10001 };
	struct rng rng = {1};
	int64_t sample[N];
	int covered = 0;

	(void)state;
	for (int s = 0; s < SAMPLES; s++) {
		struct interval median;

		for (int i = 0; i < N; i++) /* skewed, as times are: squares of uniform numbers */
			sample[i] = (int64_t)pow((double)rng_below(&rng, TOP), 2);
		median = stats_median((struct values){.at = sample, .n = N});
		covered += median.low <= 25e6 && 25e6 <= median.high;
	}
	assert_in_range(covered, SAMPLES * 88 / 100, SAMPLES * 99 / 100);
}

static void test_spread(void **state)
{
	(void)state;
	assert_near(stats_spread(VALUES(10, 20, 30, 40)), 15.0 / 25, 1e-9);
	assert_near(stats_spread(VALUES(-10, -20, -30, -40)), 15.0 / 25, 1e-9);
	assert_near(stats_spread(VALUES(5, 5, 5)), 0, 0);
	assert_near(stats_spread(VALUES(-1, 0, 1)), 0, 0);
	assert_near(stats_spread(none), 0, 0);
}

static void test_nonzero(void **state)
{
	(void)state;
	assert_int_equal(share_nonzero(VALUES(0, -1, 0, 5)).k, 2);
	assert_int_equal(share_nonzero(none).k, 0);
}

static void test_millionths(void **state)
{
	struct values of = VALUES(2, 4, 3, 3);
	struct values share = stats_millionths(VALUES(1, 4, 1, -2), of);
	const int64_t shares[] = {500000, 1000000, 333333, -666667};

	(void)state;
	assert_memory_equal(share.at, shares, sizeof(shares));
	assert_int_equal(stats_millionths(none, none).n, 0);
	share = stats_millionths(VALUES(1, 5, 1), VALUES(0, 10, 4)); /* not of nothing */
	assert_int_equal(share.n, 2);
	assert_true(share.at[0] == 500000 && share.at[1] == 250000);
}

/* Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3. */
static void test_share(void **state)
{
	static const struct {
		int64_t k, n;
		double low, high;
	} cases[] = {
		{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},        {1, 29, 0.0061, 0.1718},
		{20, 20, 1 - 0.1611, 1},   {28, 29, 1 - 0.1718, 1 - 0.0061},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct share share = share_of(cases[i].k, cases[i].n);

		assert_near(share.low, cases[i].low, 0.00006);
		assert_near(share.high, cases[i].high, 0.00006);
	}
	assert_near(share_of(0, 1).low, 0, 0); /* not beyond what a share can be */
	assert_near(share_of(1, 1).high, 1, 0);
}

static void test_ratio(void **state)
{
	struct interval few = stats_ratio(VALUES(10, 40, 5, 7), VALUES(5, 10, 0, 7, 1));
	struct interval six =
		stats_ratio(VALUES(10, 20, 30, 40, 50, 60), VALUES(10, 10, 10, 10, 10, 10));

	(void)state;
	assert_near(few.mid, 2, 1e-6); /* of 2, 4 and 1 */
	assert_true(isnan(few.low) && isnan(few.high));
	assert_near(six.mid, 3.5, 1e-6);
	assert_true(six.low >= 1 && six.low < 2 && six.high > 5 && six.high <= 6);
	assert_near(stats_ratio(VALUES(1), VALUES(3)).mid, 1.0 / 3, 1e-6);
	assert_true(isnan(stats_ratio(none, VALUES(1)).mid));
	assert_true(isnan(stats_ratio(VALUES(1), VALUES(0)).low));
}

static void test_ratio_by_round(void **state)
{
	struct values above = VALUES(90, 10, 30, 20, 70, 8);
	struct values below = VALUES(1, 10, 5, 20, 0);
	struct interval ratio;

	(void)state;
	above.round = (int64_t[]){3, 1, 1, 1, 4, 5};
	below.round = (int64_t[]){9, 3, 1, 1, 5};
	ratio = stats_ratio(above, below);
	assert_int_equal(ratio.n, 2); /* round 4 is missing below, 9 above; 5 is divided by 0 */
	assert_near(ratio.mid, (90.0 / 10 + 20.0 / 12.5) / 2, 1e-9);
	below.round = NULL; /* place by place, if only one of them has rounds */
	ratio = stats_ratio(above, below);
	assert_int_equal(ratio.n, 4);
	assert_near(ratio.mid, (6.0 + 1.0) / 2, 1e-9);
}

/* Ratios once were millionths in 64 bits: beyond 9.2e12 they were negative, below 5e-7 zero. */
static void test_extreme_ratio(void **state)
{
	const int64_t much = 4000000000000000;
	struct values large = VALUES(much, much, much, much, much, much);
	struct values one = VALUES(1, 1, 1, 1, 1, 1);

	(void)state;
	assert_near(stats_ratio(large, one).low / (double)much, 1, 1e-9);
	assert_near(stats_ratio(one, large).high * (double)much, 1, 1e-9);
}

static void test_rng(void **state)
{
	struct rng one = {42};
	struct rng same = {42};
	struct rng other = {43};
	size_t seen[6] = {0};

	(void)state;
	assert_int_equal(rng_next(&one), rng_next(&same));
	assert_int_not_equal(rng_next(&one), rng_next(&other));
	one.state = 0; /* the generator's published first number */
	assert_true(rng_next(&one) == 0xe220a8397b1dcdafU);
	for (int i = 0; i < 6000; i++)
		seen[rng_below(&one, 6)]++;
	for (int i = 0; i < 6; i++)
		assert_in_range(seen[i], 850, 1150);
}

static void test_shuffle(void **state)
{
	struct rng rng = {42};
	size_t order[] = {0, 1, 2};
	size_t first[3] = {0};

	(void)state;
	for (int i = 0; i < 3000; i++) {
		rng_shuffle(&rng, order, 3);
		first[order[0]]++;
		assert_int_equal((1 << order[0]) | (1 << order[1]) | (1 << order[2]), 7);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i], 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantile),        cmocka_unit_test(test_median),
		cmocka_unit_test(test_known_intervals), cmocka_unit_test(test_many_values),
		cmocka_unit_test(test_ratio_by_round),  cmocka_unit_test(test_extreme_ratio),
		cmocka_unit_test(test_median_interval), cmocka_unit_test(test_median_coverage),
		cmocka_unit_test(test_spread),          cmocka_unit_test(test_nonzero),
		cmocka_unit_test(test_share),           cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_millionths),      cmocka_unit_test(test_rng),
		cmocka_unit_test(test_shuffle),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
