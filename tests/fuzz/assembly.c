/* SPDX-License-Identifier: MIT */
/*
 * assembly - whatever a compiler prints is read to its end.
 */
#include <string.h>

#include "assembly.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct assembly read;
	FILE *in;

	if (size < 2)
		return 0;
	in = fmemopen((void *)(data + 1), size - 1, "r");
	FUZZ_ASSERT(in);
	read = assembly_read(in, "loop", data[0] % 2);
	fclose(in);
	FUZZ_ASSERT(read.form >= 0 && read.form < ASSEMBLY_FORMS && read.between >= -1);
	FUZZ_ASSERT(memchr(read.code, 0, sizeof(read.code)));
	return 0;
}
