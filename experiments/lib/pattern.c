/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include "rng.h"

/* The byte at one place of the stream; *word caches the group of 8 that it stands in. */
static uint8_t byte_at(uint64_t offset, uint64_t *word)
{
	if (offset % 8 == 0)
		*word = rng_next(&(struct rng){offset});
	return (uint8_t)(*word >> (offset % 8 * 8));
}

static uint64_t word_of(uint64_t offset)
{
	return rng_next(&(struct rng){offset - offset % 8});
}

static _Atomic bool disorder;

void pattern_disorder(bool on)
{
	disorder = on;
}

void pattern_fill(void *buffer, size_t length, uint64_t offset)
{
	uint64_t word = word_of(offset);
	uint8_t *byte = buffer;

	for (size_t i = 0; i < length; i++)
		byte[i] = byte_at(offset + i, &word);
	if (disorder && length > 1) {
		uint8_t first = byte[0];

		byte[0] = byte[1];
		byte[1] = first;
	}
}

size_t pattern_misplaced(const void *buffer, size_t length, uint64_t offset)
{
	uint64_t word = word_of(offset);
	const uint8_t *byte = buffer;
	size_t misplaced = 0;

	for (size_t i = 0; i < length; i++)
		misplaced += byte[i] != byte_at(offset + i, &word);
	return misplaced;
}
