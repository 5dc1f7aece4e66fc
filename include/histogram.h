/* SPDX-License-Identifier: MIT */
/*
 * histogram.h - how often which time occurred, from 1 ns to an hour, in one small array.
 *
 * Log-linear: each power of two is cut into 128 slots of equal width, so that a slot is at most
 * 1/128 of its values wide and its middle, which stands for them, at most 0.4 % away from any.
 * Adding is a few instructions and forgets nothing of the order of magnitudes, unlike a mean;
 * histograms of several threads and processes add up, unlike quantiles.
 *
 * {0} is an empty histogram.  One thread adds; others, also of other processes where it lies in
 * shared memory, may read meanwhile.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
	HISTOGRAM_BITS = 7, /* 128 slots an octave */
	HISTOGRAM_TOP = 42, /* what is not below 2^42 ns (73 minutes) goes into the last slot */
	HISTOGRAM_SLOTS = (HISTOGRAM_TOP - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS,
};

struct histogram {
	_Atomic int64_t count[HISTOGRAM_SLOTS];
	_Atomic int64_t max_ns; /* exact */
};

static inline size_t histogram_slot(int64_t ns)
{
	int octave;

	if (ns < 1 << HISTOGRAM_BITS)
		return ns < 0 ? 0 : (size_t)ns;
	if (ns >> HISTOGRAM_TOP)
		return HISTOGRAM_SLOTS - 1;
	octave = 63 - __builtin_clzll((unsigned long long)ns) - HISTOGRAM_BITS;
	return ((size_t)octave << HISTOGRAM_BITS) + (size_t)(ns >> octave);
}

/* The lowest time in a slot. */
static inline int64_t histogram_low(size_t slot)
{
	size_t octave = slot >> HISTOGRAM_BITS ? (slot >> HISTOGRAM_BITS) - 1 : 0;

	return (int64_t)(slot - (octave << HISTOGRAM_BITS)) << octave;
}

/* For a counter that has one writer and many readers: no locked instruction. */
static inline void histogram_bump(_Atomic int64_t *count, int64_t more)
{
	int64_t before = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, before + more, memory_order_relaxed);
}

static inline void histogram_add(struct histogram *h, int64_t ns)
{
	histogram_bump(&h->count[histogram_slot(ns)], 1);
	if (ns > atomic_load_explicit(&h->max_ns, memory_order_relaxed))
		atomic_store_explicit(&h->max_ns, ns, memory_order_relaxed);
}

/* Adds all of `more`. */
void histogram_merge(struct histogram *h, const struct histogram *more);

/*
 * Takes away what was there before: what came since.  The maximum is exact if it is a new one, else
 * that of the highest value left, to 0.4 %.
 */
void histogram_since(struct histogram *h, const struct histogram *before);

int64_t histogram_count(const struct histogram *h);

/*
 * The time in ns that the share q in [0, 1] of all does not exceed, at most 0.4 % off; the
 * maximum is exact.  0 for an empty histogram.
 */
int64_t histogram_quantile(const struct histogram *h, double q);

/*
 * Adds all of it to an object: "low_ns", an array of the lowest time in each slot that is not empty, ascending,
 * "counts", an array of as many numbers above 0, and "max_ns".
 */
void histogram_record(const struct histogram *h, json_t *object);

/*
 * The same histogram, to the last count, from such an object.  0; EINVAL for what histogram_record() would
 * not have written, with these slots: then it is empty.
 */
int histogram_read(struct histogram *h, const json_t *object);

/*
 * Writes it as HdrHistogram's percentile distribution (.hgrm), which its plotters read: values in
 * ms, five steps in each half of the distance to 100 %.
 */
void histogram_write(const struct histogram *h, FILE *out);

#endif
