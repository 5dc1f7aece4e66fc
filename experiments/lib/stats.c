/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <err.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

/* P(X < d) for X binomial with n and 1/2, summed from the largest term down. */
static double binomial_below(size_t n, size_t d)
{
	double sum = 0;

	for (size_t k = d; k-- > 0;) {
		double term = exp(lgamma((double)n + 1) - lgamma((double)k + 1) -
				  lgamma((double)(n - k) + 1) - (double)n * M_LN2);

		sum += term;
		if (term < sum * 1e-12)
			break;
	}
	return sum;
}

/* How often [x_(d), x_(n-d+1)] holds the median. */
static double coverage(size_t n, size_t d)
{
	return 1 - 2 * binomial_below(n, d);
}

/* The largest d whose interval has the level; 0 = none has. */
static size_t depth_of(size_t n, double level)
{
	size_t low = 0;
	size_t high = n / 2;

	while (low < high) {
		size_t d = (low + high + 1) / 2;

		if (coverage(n, d) >= level)
			low = d;
		else
			high = d - 1;
	}
	return low;
}

struct interval stats_median_at(struct values values, double level)
{
	int64_t *sorted = sorted_copy(values);
	size_t n = values.n;
	struct interval median = {quantile_of_sorted(sorted, n, 0.5), NAN, NAN, n};
	size_t d = depth_of(n, level);

	if (d > 0) {
		double here = coverage(n, d);
		double next = d + 1 <= n / 2 ? coverage(n, d + 1) : 0;
		double part = here > level ? (here - level) / (here - next) : 0;
		double inner = (double)(n - d) * part / ((double)d + (double)(n - 2 * d) * part);

		median.low = (1 - inner) * (double)sorted[d - 1] + inner * (double)sorted[d];
		median.high =
			(1 - inner) * (double)sorted[n - d] + inner * (double)sorted[n - d - 1];
	}
	free(sorted);
	return median;
}

struct interval stats_median(struct values values)
{
	return stats_median_at(values, 0.95);
}

/* The median of a round's values; NAN where it has none.  Without rounds: the round-th value. */
static double of_round(struct values values, int64_t round)
{
	int64_t *at = calloc(values.n + 1, sizeof(*at));
	struct values found = {.at = at};
	double median;

	if (!at)
		err(2, "calloc");
	for (size_t i = 0; i < values.n; i++)
		if ((values.round ? values.round[i] : (int64_t)i) == round)
			at[found.n++] = values.at[i];
	median = stats_quantile(found, 0.5);
	free(at);
	return median;
}

struct interval stats_ratio_at(struct values above, struct values below, double level)
{
	struct values ppm = {.at = calloc(above.n + 1, sizeof(*ppm.at))};
	struct interval ratio;

	if (!ppm.at)
		err(2, "calloc");
	for (size_t i = 0; i < above.n; i++) {
		int64_t round = above.round ? above.round[i] : (int64_t)i;
		bool seen = false;
		double over;
		double under;

		for (size_t k = 0; k < i && !seen; k++)
			seen = above.round && above.round[k] == round;
		if (seen)
			continue;
		over = of_round(above, round);
		under = of_round(below, round);
		if (isfinite(under) && under != 0)
			ppm.at[ppm.n++] = llround(over / under * 1e6);
	}
	ratio = stats_median_at(ppm, level);
	free(ppm.at);
	return (struct interval){ratio.mid / 1e6, ratio.low / 1e6, ratio.high / 1e6, ratio.n};
}

struct interval stats_ratio(struct values above, struct values below)
{
	return stats_ratio_at(above, below, 0.95);
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
