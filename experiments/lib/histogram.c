/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <math.h>

enum { PER_OCTAVE = 1 << HISTOGRAM_BITS, STEPS = 5 };

static int64_t at(const _Atomic int64_t *count)
{
	return atomic_load_explicit((_Atomic int64_t *)count, memory_order_relaxed);
}

/* The middle of a slot, but never beyond the maximum. */
static int64_t value_of(const struct histogram *h, size_t slot)
{
	size_t octave = slot < PER_OCTAVE ? 0 : slot / PER_OCTAVE - 1;
	int64_t low = (int64_t)(slot - octave * PER_OCTAVE) << octave;
	int64_t middle = low + ((((int64_t)1 << octave) - 1) >> 1);
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
