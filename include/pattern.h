/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - bytes that tell their own place in a stream, to prove that a channel keeps them in
 * order.
 *
 * Each aligned group of 8 bytes is a hash of its place, so that bytes that are lost, doubled or
 * moved by any distance do not fit where they arrive, but by chance (1 in 256 for each byte).
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes the bytes that belong at offset, offset + 1, ... of the stream. */
void pattern_fill(void *buffer, size_t length, uint64_t offset);

/* How many bytes are not those that belong at offset, offset + 1, ...; 0 = all arrived in order. */
size_t pattern_misplaced(const void *buffer, size_t length, uint64_t offset);

/* A sham: from now on pattern_fill() exchanges the first two bytes, so that what it writes is not in order. */
void pattern_disorder(bool on);

#endif
