/* SPDX-License-Identifier: MIT */
/*
 * stats.h - medians, intervals and shares of raw trials.
 *
 * Trials on a shared machine have outliers on one side and clumps in the middle; so medians,
 * quartiles and resampling, never means and standard deviations.
 */
#ifndef STATS_H
#define STATS_H

#include <stddef.h>
#include <stdint.h>

struct values {
	int64_t *at;
	size_t n;
};

/* A figure and its 95 % interval. */
struct interval {
	double mid, low, high;
};

/*
 * The q-quantile, q in [0, 1], linear between order statistics (Hyndman and Fan's type 7, the
 * default of R and numpy).  NAN for no values.
 */
double stats_quantile(struct values values, double q);

/*
 * The median with its bootstrap percentile interval (Efron: 1,000 resamples with replacement, the
 * 2.5 and 97.5 % quantiles of their medians).  The resampling is seeded: equal values give an
 * equal interval. All NAN for no values; an interval of no width for one value.
 */
struct interval stats_median(struct values values);

/*
 * The median of above / below with its interval, value by value: what disturbed a trial disturbed
 * both.  Left out are pairs whose below is 0, and what one has more values than the other.
 */
struct interval stats_ratio(struct values above, struct values below);

/* Interquartile range over the absolute median: how much trials scatter.  0 if the median is 0. */
double stats_spread(struct values values);

/* Their sum; 0 for none. */
double stats_sum(struct values values);

/* Each value as millionths of the one beside it in `of`, which must be as many: in its place. */
struct values stats_millionths(struct values values, struct values of);

/* How far each value is from the one beside it in `of`, in millionths of that: in its place. */
struct values stats_errors(struct values values, struct values of);

/* How many of them are not 0. */
size_t stats_nonzero(struct values values);

/* The share k / n, n > 0, with Wilson's score interval, which stays honest at 0 of n and n of n. */
struct interval stats_share(size_t k, size_t n);

#endif
