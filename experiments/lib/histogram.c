/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { PER_OCTAVE = 1 << HISTOGRAM_BITS, STEPS = 5 };

static const int64_t most = (int64_t)1 << 53; /* in all that are read: sums of many such fit */

static int64_t at(const _Atomic int64_t *count)
{
	return atomic_load_explicit((_Atomic int64_t *)count, memory_order_relaxed);
}

/* The middle of a slot, but never beyond the maximum. */
static int64_t value_of(const struct histogram *h, size_t slot)
{
	int64_t low = histogram_low(slot);
	int64_t middle = low + ((histogram_low(slot + 1) - low - 1) >> 1);
	int64_t max = at(&h->max_ns);

	return middle < max ? middle : max;
}

void histogram_merge(struct histogram *h, const struct histogram *more)
{
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
		histogram_bump(&h->count[i], at(&more->count[i]));
	if (at(&more->max_ns) > at(&h->max_ns))
		atomic_store(&h->max_ns, at(&more->max_ns));
}

void histogram_since(struct histogram *h, const struct histogram *before)
{
	size_t last = 0;

	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		histogram_bump(&h->count[i], -at(&before->count[i]));
		if (at(&h->count[i]))
			last = i;
	}
	if (at(&h->max_ns) == at(&before->max_ns)) /* it may be from before */
		atomic_store(&h->max_ns, value_of(h, last));
}

int64_t histogram_count(const struct histogram *h)
{
	int64_t count = 0;

	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
		count += at(&h->count[i]);
	return count;
}

int64_t histogram_quantile(const struct histogram *h, double q)
{
	int64_t count = histogram_count(h);
	int64_t rank = (int64_t)ceil(q * (double)count);
	int64_t seen = 0;

	if (rank >= count)
		return at(&h->max_ns);
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		seen += at(&h->count[i]);
		if (seen > 0 && seen >= rank)
			return value_of(h, i);
	}
	return at(&h->max_ns);
}

void histogram_record(const struct histogram *h, json_t *object)
{
	json_t *low = json_array();
	json_t *counts = json_array();

	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		if (!at(&h->count[i]))
			continue;
		json_array_append_new(low, json_integer(histogram_low(i)));
		json_array_append_new(counts, json_integer(at(&h->count[i])));
	}
	json_object_set_new(object, "low_ns", low);
	json_object_set_new(object, "counts", counts);
	json_object_set_new(object, "max_ns", json_integer(at(&h->max_ns)));
}

/* Adds a slot, which comes after the one before; false if it cannot be one. */
static bool read_slot(struct histogram *h, int64_t low, int64_t count, int64_t *before,
		      int64_t *all)
{
	size_t slot = histogram_slot(low);

	if (low <= *before || histogram_low(slot) != low || count < 1 || count > most - *all)
		return false;
	*before = low;
	*all += count;
	histogram_bump(&h->count[slot], count);
	return true;
}

int histogram_read(struct histogram *h, const json_t *object)
{
	const json_t *low = json_object_get(object, "low_ns");
	const json_t *counts = json_object_get(object, "counts");
	const json_t *max = json_object_get(object, "max_ns");
	int64_t max_ns = json_integer_value(max);
	size_t n = json_array_size(low);
	int64_t before = -1;
	int64_t all = 0;
	bool right = json_is_array(low) && json_is_array(counts) && json_array_size(counts) == n &&
		     json_is_integer(max) && max_ns >= 0;

	memset(h, 0, sizeof(*h));
	for (size_t i = 0; i < n && right; i++) {
		const json_t *one = json_array_get(low, i);

		right = json_is_integer(one) &&
			read_slot(h, json_integer_value(one),
				  json_integer_value(json_array_get(counts, i)), &before, &all);
	}
	/* the longest time is in the last slot */
	right = right && (n ? histogram_slot(max_ns) == histogram_slot(before) : max_ns == 0);
	if (!right)
		memset(h, 0, sizeof(*h));
	atomic_store(&h->max_ns, right ? max_ns : 0);
	return right ? 0 : EINVAL;
}

static double square(double x)
{
	return x * x;
}

static void write_line(FILE *out, int64_t ns, double share, int64_t seen)
{
	fprintf(out, "%12.6f %2.12f %10lld", (double)ns / 1e6, share, (long long)seen);
	if (share < 1)
		fprintf(out, " %14.2f", 1 / (1 - share));
	putc('\n', out);
}

void histogram_write(const struct histogram *h, FILE *out)
{
	int64_t count = histogram_count(h);
	int64_t seen = 0;
	double share = 0; /* of the next line */
	double sum = 0;
	double squares = 0;
	double mean;

	fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	for (size_t i = 0; i < HISTOGRAM_SLOTS && seen < count; i++) {
		int64_t here = at(&h->count[i]);

		seen += here;
		sum += (double)here * (double)value_of(h, i);
		while (here && seen < count && share <= (double)seen / (double)count) {
			write_line(out, value_of(h, i), share, seen);
			share += 1 / (STEPS * exp2(floor(log2(1 / (1 - share))) + 1));
		}
	}
	if (count)
		write_line(out, at(&h->max_ns), 1, count);
	mean = count ? sum / (double)count : 0;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
		squares += (double)at(&h->count[i]) * square((double)value_of(h, i) - mean);
	fprintf(out, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n", mean / 1e6,
		(count ? sqrt(squares / (double)count) : 0) / 1e6);
	fprintf(out, "#[Max     = %12.6f, Total count    = %12lld]\n", (double)at(&h->max_ns) / 1e6,
		(long long)count);
	fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HISTOGRAM_TOP - HISTOGRAM_BITS,
		PER_OCTAVE);
}
