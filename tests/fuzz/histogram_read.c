/* SPDX-License-Identifier: MIT */
/*
 * histogram_read - any JSON is a histogram that is written as it was read, or it is refused.
 */
#include <string.h>

#include "fuzz.h"
#include "histogram.h"

static const char *const keys[] = {"low_ns", "counts", "max_ns"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct histogram read;
	json_t *object = json_loadb((const char *)data, size, 0, NULL);
	json_t *again = json_object();

	if (object && histogram_read(&read, object) == 0) {
		histogram_record(&read, again);
		for (int i = 0; i < 3; i++)
			FUZZ_ASSERT(json_equal(json_object_get(object, keys[i]),
					       json_object_get(again, keys[i])));
	} else if (object) {
		FUZZ_ASSERT(histogram_count(&read) == 0);
	}
	json_decref(object);
	json_decref(again);
	return 0;
}
