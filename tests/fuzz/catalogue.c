/* SPDX-License-Identifier: MIT */
/*
 * catalogue - any file is a catalogue of messages, of which each that is asked for is a text, or it is none.
 */
#include <string.h>

#include "catalogue.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const asked[] = {"", "x", "a counter", "\xff"};
	struct catalogue catalogue;
	bool whole = catalogue_read(&catalogue, data, size);

	for (int i = 0; i < 4; i++) {
		const char *found = catalogue_find(&catalogue, asked[i]);

		FUZZ_ASSERT(!found || (whole && found + strlen(found) < (const char *)data + size));
	}
	return 0;
}
