/* SPDX-License-Identifier: MIT */
/*
 * histogram - merged histograms are as one of all values, and what is taken away is as never added.
 *
 * The input is times of 8 bytes; those at even places go into one histogram, the others into another.
 */
#include <string.h>

#include "fuzz.h"
#include "histogram.h"

static struct histogram even, odd, all, sum, rest;

/* As JSON and back. */
static void check_record(const struct histogram *h)
{
	json_t *object = json_object();

	histogram_record(h, object);
	FUZZ_ASSERT(histogram_read(&rest, object) == 0);
	FUZZ_ASSERT(memcmp(&rest, h, sizeof(rest)) == 0);
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size / 8;
	int64_t last = 0, highest = 0;

	memset(&even, 0, sizeof(even));
	memset(&odd, 0, sizeof(odd));
	memset(&all, 0, sizeof(all));
	for (size_t i = 0; i < n; i++) {
		int64_t ns;

		memcpy(&ns, data + 8 * i, 8);
		histogram_add(i % 2 ? &odd : &even, ns);
		histogram_add(&all, ns);
		highest = ns > highest ? ns : highest;
	}
	memcpy(&sum, &even, sizeof(sum));
	histogram_merge(&sum, &odd);
	FUZZ_ASSERT(memcmp(&sum, &all, sizeof(sum)) == 0);
	FUZZ_ASSERT(histogram_count(&sum) == (int64_t)n);
	for (int i = 0; i <= 4; i++) {
		int64_t ns = histogram_quantile(&sum, i / 4.0);

		FUZZ_ASSERT(ns >= last && ns <= highest);
		last = ns;
	}
	FUZZ_ASSERT(last == highest);
	check_record(&sum);
	memcpy(&rest, &sum, sizeof(rest));
	histogram_since(&rest, &even);
	FUZZ_ASSERT(memcmp(rest.count, odd.count, sizeof(odd.count)) == 0);
	return 0;
}
