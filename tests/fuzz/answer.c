/* SPDX-License-Identifier: MIT */
/*
 * answer - echo-server --reverse answers a stream alike, however it is cut.
 *
 * The first byte seeds the cuts.  Compared are the answers to the stream at once and in pieces, and
 * each line with what it was: as long, and the same again when it is reversed once more.
 */
#include <stdlib.h>
#include <string.h>

#include "../../experiments/echo/echo-server/conn.h"

#include "fuzz.h"

enum { STREAM = 48 << 10 };

static char answer[4 * STREAM];

/* Feeds the stream in pieces of at most `most` bytes, then its end.  The length of the answer. */
static size_t feed(const char *bytes, size_t length, size_t most, uint32_t cuts)
{
	struct conn conn = {.fd = -1, .stage = CONN_OPEN};
	size_t n = 0;

	while (length > 0) {
		size_t part = 1 + (cuts = cuts * 1664525 + 1013904223) % most;
		struct conn_answer some;

		if (part > length)
			part = length;
		some = conn_answer(&conn, bytes, part);
		memcpy(answer + n, some.bytes, some.length);
		n += some.length;
		bytes += part;
		length -= part;
	}
	for (int ends = 0; ends < 2; ends++) {
		struct conn_answer rest = conn_answer(&conn, "", 0);

		memcpy(answer + n, rest.bytes, rest.length);
		n += rest.length;
	}
	conn_drop(&conn);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	static char whole[4 * STREAM];
	const char *bytes = (const char *)data + 1;
	size_t length = size - 1;

	if (!begun)
		conn_set_rules(&(struct conn_rules){.reverse = true});
	begun = true;
	if (size < 2 || length > STREAM)
		return 0;
	FUZZ_ASSERT(feed(bytes, length, STREAM, 0) == length);
	memcpy(whole, answer, length);
	FUZZ_ASSERT(feed(bytes, length, 1 + data[0] % 32, data[0]) == length);
	FUZZ_ASSERT(memcmp(whole, answer, length) == 0);
	for (size_t i = 0; i < length; i++)
		FUZZ_ASSERT((bytes[i] == '\n') == (whole[i] == '\n'));
	return 0;
}
