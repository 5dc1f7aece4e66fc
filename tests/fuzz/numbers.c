/* SPDX-License-Identifier: MIT */
/*
 * numbers - any text is read as a number with its unit, or refused.
 *
 * What is read, written out and read again is the same; strtoll(3) agrees where there is no suffix.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fuzz.h"
#include "opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[64], again[32];
	int64_t number = 0, second = 0;
	enum opt_unit unit;
	int error;

	if (size < 1 || size >= sizeof(text))
		return 0;
	unit = (enum opt_unit)(data[0] % (OPT_MS + 1));
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	error = opt_number(text, unit, &number);
	FUZZ_ASSERT(error == 0 || error == EINVAL || error == ERANGE);
	if (error)
		return 0;
	snprintf(again, sizeof(again), "%" PRId64, number);
	FUZZ_ASSERT(opt_number(again, unit, &second) == 0 && second == number);
	if (strspn(text + (text[0] == '-'), "0123456789") + (text[0] == '-') == strlen(text)) {
		errno = 0;
		FUZZ_ASSERT(strtoll(text, NULL, 10) == number && errno == 0);
	}
	return 0;
}
