/* SPDX-License-Identifier: MIT */
#include "stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double *sorted_copy(struct values values)
{
	double *copy = check_alloc(calloc(values.n + 1, sizeof(*copy)));

	for (size_t i = 0; i < values.n; i++)
		copy[i] = (double)values.at[i];
	qsort(copy, values.n, sizeof(*copy), by_value);
	return copy;
}

static double quantile_of_sorted(const double *sorted, size_t n, double q)
{
	double place;
	size_t below;

	if (n == 0)
		return NAN;
	place = q * (double)(n - 1);
	below = (size_t)place;
	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

double stats_quantile(struct values values, double q)
{
	double *sorted = sorted_copy(values);
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

static struct interval median_of_sorted(const double *sorted, size_t n, double level)
{
	struct interval median = {quantile_of_sorted(sorted, n, 0.5), NAN, NAN, n};
	size_t d = depth_of(n, level);

	if (d > 0) {
		double here = coverage(n, d);
		double next = d + 1 <= n / 2 ? coverage(n, d + 1) : 0;
		double part = here > level ? (here - level) / (here - next) : 0;
		double inner = (double)(n - d) * part / ((double)d + (double)(n - 2 * d) * part);

		median.low = (1 - inner) * sorted[d - 1] + inner * sorted[d];
		median.high = (1 - inner) * sorted[n - d] + inner * sorted[n - d - 1];
	}
	return median;
}

struct interval stats_median_at(struct values values, double level)
{
	double *sorted = sorted_copy(values);
	struct interval median = median_of_sorted(sorted, values.n, level);

	free(sorted);
	return median;
}

struct interval stats_median(struct values values)
{
	return stats_median_at(values, 0.95);
}

struct measured {
	int64_t round;
	double value;
};

static int by_round_and_value(const void *a, const void *b)
{
	const struct measured *x = a;
	const struct measured *y = b;

	if (x->round != y->round)
		return x->round < y->round ? -1 : 1;
	return by_value(&x->value, &y->value);
}

/* One value for each round, in order: the median of those it has.  Returns how many rounds. */
static size_t round_medians(struct values values, bool rounds, struct measured *medians)
{
	size_t n = 0;

	for (size_t i = 0; i < values.n; i++)
		medians[i] = (struct measured){rounds ? values.round[i] : (int64_t)i,
					       (double)values.at[i]};
	qsort(medians, values.n, sizeof(*medians), by_round_and_value);
	for (size_t begin = 0, end = 0; begin < values.n; begin = end) {
		const struct measured *lower;
		const struct measured *upper;

		while (end < values.n && medians[end].round == medians[begin].round)
			end++;
		lower = &medians[begin + (end - begin - 1) / 2];
		upper = &medians[begin + (end - begin) / 2];
		medians[n++] = (struct measured){lower->round, (lower->value + upper->value) / 2};
	}
	return n;
}

/* As doubles, not millionths: a ratio can be beyond 1e13, and below 1e-6 without being 0. */
struct interval stats_ratio_at(struct values above, struct values below, double level)
{
	struct measured *over = check_alloc(calloc(above.n + 1, sizeof(*over)));
	struct measured *under = check_alloc(calloc(below.n + 1, sizeof(*under)));
	double *ratios = check_alloc(calloc(above.n + 1, sizeof(*ratios)));
	bool rounds = above.round && below.round;
	struct interval ratio;
	size_t overs;
	size_t unders;
	size_t n = 0;

	overs = round_medians(above, rounds, over);
	unders = round_medians(below, rounds, under);
	for (size_t i = 0, k = 0; i < overs; i++) {
		while (k < unders && under[k].round < over[i].round)
			k++;
		if (k < unders && under[k].round == over[i].round && under[k].value != 0)
			ratios[n++] = over[i].value / under[k].value;
	}
	qsort(ratios, n, sizeof(*ratios), by_value);
	ratio = median_of_sorted(ratios, n, level);
	free(over);
	free(under);
	free(ratios);
	return ratio;
}

struct interval stats_ratio(struct values above, struct values below)
{
	return stats_ratio_at(above, below, 0.95);
}

double stats_spread(struct values values)
{
	double *sorted = sorted_copy(values);
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
	size_t kept = 0;

	for (size_t i = 0; i < values.n; i++) {
		if (of.at[i] == 0)
			continue;
		values.at[kept] = llround((double)values.at[i] * 1e6 / (double)of.at[i]);
		if (values.round)
			values.round[kept] = values.round[i];
		kept++;
	}
	values.n = kept;
	return values;
}
