/* SPDX-License-Identifier: MIT */
/*
 * stats.h - medians, intervals and shares of raw trials.
 *
 * Trials on a shared machine have outliers on one side and clumps in the middle; so medians and
 * quartiles, never means and standard deviations.
 */
#ifndef STATS_H
#define STATS_H

#include <stddef.h>
#include <stdint.h>

struct values {
	int64_t *at;
	size_t n;
	int64_t *round; /* in which round each was measured; NULL = unknown */
	size_t source;  /* the variant that all are of, from 1; 0 = unknown */
};

/* A figure and its interval; low and high are NAN where there are too few values for one. */
struct interval {
	double mid, low, high;
	size_t n;
};

/*
 * The q-quantile, q in [0, 1], linear between order statistics (Hyndman and Fan's type 7, the
 * default of R and numpy).  NAN for no values.
 */
double stats_quantile(struct values values, double q);

/*
 * The median with its 95 % interval, whatever the distribution: order statistics, interpolated
 * after Hettmansperger and Sheather (Statistics & Probability Letters 4, 1986).  Fewer than 6
 * values have none: all of 5 lie on one side of the median in 6 % of all cases.  Values that are
 * all alike (counts) have one of no width.
 */
struct interval stats_median(struct values values);

/* The same at another level, such as 0.984, for which 7 values are needed. */
struct interval stats_median_at(struct values values, double level);

/*
 * The median of above / below with its interval, round by round (of several values in a round their
 * median; value by value where the rounds are unknown): what disturbed a round disturbed both.  Left
 * out are pairs whose below is 0, and rounds that one of them lacks.
 */
struct interval stats_ratio_at(struct values above, struct values below, double level);
struct interval stats_ratio(struct values above, struct values below);

/* Interquartile range over the absolute median: how much trials scatter.  0 if the median is 0. */
double stats_spread(struct values values);

/* Their sum; 0 for none. */
double stats_sum(struct values values);

/* Each value as millionths of the one beside it in `of`, which must be as many, in its place: of 0, left out. */
struct values stats_millionths(struct values values, struct values of);

#endif
