/* SPDX-License-Identifier: MIT */
/*
 * test_histogram - quantiles against the exact ones of the same values, sums, and the text format.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "histogram.h"
#include "rng.h"

enum { N = 20000 };

static struct histogram one, other, both; /* static: they are large */

static int clear(void **state)
{
	(void)state;
	memset(&one, 0, sizeof(one));
	memset(&other, 0, sizeof(other));
	memset(&both, 0, sizeof(both));
	return 0;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void assert_within(int64_t value, int64_t exact, double share)
{
	if (fabs((double)(value - exact)) > share * (double)exact)
		fail_msg("%lld is not within %g of %lld", (long long)value, share,
			 (long long)exact);
}

/* Shapes as latencies have them: exponential, all magnitudes alike, two clumps, small numbers. */
static int64_t draw(int shape, struct rng *rng)
{
	double u = rng_uniform(rng);

	switch (shape) {
	case 0:
		return (int64_t)(-log(u) * 50e3);
	case 1:
		return (int64_t)exp(u * log(3.6e12));
	case 2:
		return (int64_t)((u < 0.985 ? 20e3 : 200e6) * (1 + u));
	default:
		return (int64_t)(u * 300);
	}
}

static void test_quantiles_are_near_the_exact_ones(void **state)
{
	static const double qs[] = {0, 0.001, 0.25, 0.5, 0.9, 0.98, 0.99, 0.999, 0.9999, 1};
	static int64_t values[N];
	struct rng rng = {7};

	for (int shape = 0; shape < 4; shape++) {
		clear(state);
		for (int i = 0; i < N; i++) {
			values[i] = draw(shape, &rng);
			histogram_add(&one, values[i]);
		}
		qsort(values, N, sizeof(values[0]), by_value);
		for (size_t k = 0; k < sizeof(qs) / sizeof(qs[0]); k++) {
			int64_t rank = (int64_t)ceil(qs[k] * N);

			assert_within(histogram_quantile(&one, qs[k]), values[rank ? rank - 1 : 0],
				      0.004);
		}
		assert_int_equal(histogram_count(&one), N);
		assert_int_equal(histogram_quantile(&one, 1), values[N - 1]);
	}
}

static void test_every_magnitude(void **state)
{
	(void)state;
	for (int64_t ns = 1; ns < (int64_t)1 << HISTOGRAM_TOP; ns += ns / 300 + 1) {
		clear(NULL);
		histogram_add(&one, ns);
		histogram_add(&one, (int64_t)1 << 50); /* so that the maximum does not help */
		assert_within(histogram_quantile(&one, 0.5), ns, 0.004);
	}
}

static void test_slots_ascend_without_gaps(void **state)
{
	size_t last = 0;

	(void)state;
	for (int64_t ns = 0; ns < 1 << 20; ns++) {
		size_t slot = histogram_slot(ns);

		assert_true(slot == last || slot == last + 1);
		last = slot;
	}
	assert_int_equal(histogram_slot(((int64_t)1 << HISTOGRAM_TOP) - 1), HISTOGRAM_SLOTS - 1);
}

static void test_beyond_the_range(void **state)
{
	(void)state;
	histogram_add(&one, -5); /* a clock that is not monotonic, say */
	assert_int_equal(histogram_quantile(&one, 0.5), 0);
	histogram_add(&one, INT64_MAX);
	histogram_add(&one, (int64_t)1 << HISTOGRAM_TOP);
	assert_int_equal(histogram_count(&one), 3);
	assert_int_equal(histogram_quantile(&one, 1), INT64_MAX);
}

static void test_empty(void **state)
{
	(void)state;
	assert_int_equal(histogram_count(&one), 0);
	assert_int_equal(histogram_quantile(&one, 0), 0);
	assert_int_equal(histogram_quantile(&one, 0.99), 0);
}

/* Merged is as if one histogram had got all values; taken away again it is as before. */
static void test_merge_and_since(void **state)
{
	struct rng rng = {9};

	(void)state;
	for (int i = 0; i < N; i++) {
		int64_t ns = draw(i % 4, &rng);

		histogram_add(i % 3 ? &one : &other, ns);
		histogram_add(&both, ns);
	}
	histogram_merge(&one, &other);
	assert_memory_equal(&one, &both, sizeof(one));
	histogram_since(&one, &other);
	assert_int_equal(histogram_count(&one), N - histogram_count(&other));
	histogram_since(&one, &one);
	assert_int_equal(histogram_count(&one), 0);
}

/* What came since knows of no maximum from before. */
static void test_maximum_since(void **state)
{
	(void)state;
	histogram_add(&one, 500000000);
	histogram_merge(&other, &one);
	for (int i = 0; i < 20; i++)
		histogram_add(&one, 1000);
	histogram_merge(&both, &one);
	histogram_since(&both, &other);
	assert_int_equal(histogram_count(&both), 20);
	assert_in_range(histogram_quantile(&both, 0.99), 996, 1004);
	histogram_add(&one, 600000000);
	histogram_since(&one, &other);
	assert_int_equal(histogram_quantile(&one, 1), 600000000);
}

static void test_the_lowest_time_of_each_slot(void **state)
{
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		assert_int_equal(histogram_slot(histogram_low(i)), i);
		if (i > 0)
			assert_int_equal(histogram_slot(histogram_low(i) - 1), i - 1);
	}
}

/* As one line of JSON and back it is the same, also when it is empty or beyond the range. */
static void test_record_and_read(void **state)
{
	struct rng rng = {11};

	(void)state;
	for (int i = 0; i < N; i++) {
		json_t *object = json_object();

		histogram_record(&one, object);
		memset(&other, 1, sizeof(other));
		assert_int_equal(histogram_read(&other, object), 0);
		assert_memory_equal(&one, &other, sizeof(one));
		json_decref(object);
		for (int k = 0; k < N / 20; k++, i++)
			histogram_add(&one, draw(i % 4, &rng));
		histogram_add(&one, i % 2 ? INT64_MAX : -1);
	}
}

static void test_what_is_none_is_not_read(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{'low_ns': 1, 'counts': 1, 'max_ns': 1}",
		"{'low_ns': [1], 'counts': [1]}",
		"{'low_ns': [1], 'counts': [1, 1], 'max_ns': 1}",
		"{'low_ns': [1], 'counts': [], 'max_ns': 1}",
		"{'low_ns': [], 'counts': [], 'max_ns': 1}",
		"{'low_ns': [1], 'counts': [0], 'max_ns': 1}",
		"{'low_ns': [1], 'counts': [-1], 'max_ns': 1}",
		"{'low_ns': [1], 'counts': ['1'], 'max_ns': 1}",
		"{'low_ns': ['1'], 'counts': [1], 'max_ns': 1}",
		"{'low_ns': [1.5], 'counts': [1], 'max_ns': 1}",
		"{'low_ns': [-1], 'counts': [1], 'max_ns': 1}",
		"{'low_ns': [2, 1], 'counts': [1, 1], 'max_ns': 1}",
		"{'low_ns': [1, 1], 'counts': [1, 1], 'max_ns': 1}",
		"{'low_ns': [257], 'counts': [1], 'max_ns': 257}", /* of finer slots */
		"{'low_ns': [1], 'counts': [1], 'max_ns': 2}",
		"{'low_ns': [1], 'counts': [1], 'max_ns': -1}",
		"{'low_ns': [1, 2], 'counts': [9007199254740992, 1], 'max_ns': 2}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[128];
		json_t *object;

		snprintf(text, sizeof(text), "%s", bad[i]);
		for (char *c = text; *c; c++)
			if (*c == '\'')
				*c = '"';
		object = json_loads(text, 0, NULL);
		assert_non_null(object);
		if (histogram_read(&other, object) != EINVAL)
			fail_msg("%s was read", bad[i]);
		assert_memory_equal(&one, &other, sizeof(one));
		json_decref(object);
	}
}

/* The text, line by line, as a reader of the format takes it. */
static void test_percentile_format(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	double value = -1, share = -1, inverse, last_value, last_share;
	long long seen = 0, last_seen;
	int lines = 0;
	char *line;

	(void)state;
	for (int i = 1; i <= 10000; i++)
		histogram_add(&one, i * (int64_t)1000);
	assert_non_null(out);
	histogram_write(&one, out);
	fclose(out);
	assert_non_null(strstr(text, "Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
	line = strstr(text, "\n\n") + 2;
	for (; *line != '#'; line = strchr(line, '\n') + 1, lines++) {
		last_value = value, last_share = share, last_seen = seen;
		/* NOLINTNEXTLINE(cert-err34-c): a line that is not so fails the test */
		assert_in_range(sscanf(line, "%lf %lf %lld %lf", &value, &share, &seen, &inverse),
				3, 4);
		assert_true(value >= last_value && share > last_share && seen >= last_seen);
		assert_true((double)seen >= share * 10000);
		assert_within((int64_t)(value * 1e6), (int64_t)seen * 1000, 0.01);
	}
	assert_true(share == 1 && seen == 10000 && value == 10);
	assert_in_range(lines, 30, 100);
	assert_non_null(strstr(line, "#[Max     =    10.000000, Total count    =        10000]"));
	assert_non_null(strstr(line, "#[Mean    =     5.00"));
	assert_non_null(strstr(line, "StdDeviation   =     2.88"));
	free(text);
}

static void test_percentile_format_of_nothing(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	histogram_write(&one, out);
	fclose(out);
	assert_non_null(
		strstr(text, "\n\n#[Mean    =     0.000000, StdDeviation   =     0.000000]\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantiles_are_near_the_exact_ones),
		cmocka_unit_test(test_every_magnitude),
		cmocka_unit_test(test_slots_ascend_without_gaps),
		cmocka_unit_test_setup(test_beyond_the_range, clear),
		cmocka_unit_test_setup(test_empty, clear),
		cmocka_unit_test_setup(test_merge_and_since, clear),
		cmocka_unit_test_setup(test_maximum_since, clear),
		cmocka_unit_test(test_the_lowest_time_of_each_slot),
		cmocka_unit_test_setup(test_record_and_read, clear),
		cmocka_unit_test_setup(test_what_is_none_is_not_read, clear),
		cmocka_unit_test_setup(test_percentile_format, clear),
		cmocka_unit_test_setup(test_percentile_format_of_nothing, clear),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
