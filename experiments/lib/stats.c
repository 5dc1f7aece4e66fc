/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

enum { RESAMPLES = 1000 };

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t *sorted_copy(struct values values)
{
	int64_t *copy = malloc((values.n ? values.n : 1) * sizeof(*copy));

	if (!copy)
		err(2, "malloc");
	if (values.n) {
		memcpy(copy, values.at, values.n * sizeof(*copy));
		qsort(copy, values.n, sizeof(*copy), by_value);
	}
	return copy;
}

static double quantile_of_sorted(const int64_t *sorted, size_t n, double q)
{
	double place;
	size_t below;

	if (n == 0)
		return NAN;
	place = q * (double)(n - 1);
	below = (size_t)place;
	if (below + 1 >= n)
		return (double)sorted[n - 1];
	return (double)sorted[below] +
	       (place - (double)below) * ((double)sorted[below + 1] - (double)sorted[below]);
}

double stats_quantile(struct values values, double q)
{
	int64_t *sorted = sorted_copy(values);
	double quantile = quantile_of_sorted(sorted, values.n, q);

	free(sorted);
	return quantile;
}

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

struct interval stats_median(struct values values)
{
	struct interval median = {stats_quantile(values, 0.5), NAN, NAN};
	struct rng rng = {values.n};
	double medians[RESAMPLES];
	int64_t *resample;

	if (values.n == 0)
		return median;
	resample = sorted_copy(values);
	for (int r = 0; r < RESAMPLES; r++) {
		for (size_t i = 0; i < values.n; i++)
			resample[i] = values.at[rng_below(&rng, values.n)];
		qsort(resample, values.n, sizeof(*resample), by_value);
		medians[r] = quantile_of_sorted(resample, values.n, 0.5);
	}
	free(resample);
	qsort(medians, RESAMPLES, sizeof(*medians), by_double);
	median.low = medians[RESAMPLES * 25 / 1000];
	median.high = medians[RESAMPLES * 975 / 1000 - 1];
	return median;
}

struct interval stats_ratio(struct values above, struct values below)
{
	struct values ppm = {calloc(above.n + 1, sizeof(*ppm.at)), 0};
	struct interval ratio;

	if (!ppm.at)
		err(2, "calloc");
	for (size_t i = 0; i < above.n && i < below.n; i++)
		if (below.at[i])
			ppm.at[ppm.n++] =
				(int64_t)((double)above.at[i] / (double)below.at[i] * 1e6);
	ratio = stats_median(ppm);
	free(ppm.at);
	return (struct interval){ratio.mid / 1e6, ratio.low / 1e6, ratio.high / 1e6};
}

double stats_spread(struct values values)
{
	int64_t *sorted = sorted_copy(values);
	double median = fabs(quantile_of_sorted(sorted, values.n, 0.5));
	double range = quantile_of_sorted(sorted, values.n, 0.75) -
		       quantile_of_sorted(sorted, values.n, 0.25);

	free(sorted);
	return median > 0 ? range / median : 0;
}

double stats_sum(struct values values)
{
	double sum = 0;

	for (size_t i = 0; i < values.n; i++)
		sum += (double)values.at[i];
	return sum;
}

struct values stats_millionths(struct values values, struct values of)
{
	for (size_t i = 0; i < values.n; i++)
		values.at[i] = llround((double)values.at[i] * 1e6 / (double)of.at[i]);
	return values;
}

struct values stats_errors(struct values values, struct values of)
{
	for (size_t i = 0; i < values.n; i++)
		values.at[i] -= of.at[i];
	stats_millionths(values, of);
	for (size_t i = 0; i < values.n; i++)
		values.at[i] = llabs(values.at[i]);
	return values;
}

size_t stats_nonzero(struct values values)
{
	size_t nonzero = 0;

	for (size_t i = 0; i < values.n; i++)
		nonzero += values.at[i] != 0;
	return nonzero;
}

struct interval stats_share(size_t k, size_t n)
{
	const double z = 1.959964; /* the 97.5 % quantile of the normal distribution */
	double trials = (double)n;
	double p = (double)k / trials;
	double scale = 1 + z * z / trials;
	double centre = (p + z * z / (2 * trials)) / scale;
	double half = z / scale * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));

	return (struct interval){p, fmax(0, centre - half), fmin(1, centre + half)};
}
