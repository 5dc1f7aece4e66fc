/* SPDX-License-Identifier: MIT */
/*
 * catalogue.h - the messages of a language, as msgfmt compiled them (GNU gettext's manual, "The Format of GNU MO Files").
 *
 * Why not gettext(3): since glibc 2.39 it reads none while LC_MESSAGES is "C" or "C.UTF-8" (glibc bug 16621), and on many
 * machines no other locale is installed.
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalogue {
	const unsigned char *bytes; /* of the file; NULL = there is none */
	size_t size;
	uint32_t n, texts, translations; /* messages; where the tables of both begin */
	bool swapped;                    /* numbers are in the other order of bytes */
};

/* Takes bytes that stay where they are; false if they are no whole catalogue. */
bool catalogue_read(struct catalogue *catalogue, const void *bytes, size_t size);

/* The same of a file, which stays mapped; false if there is none, too. */
bool catalogue_open(struct catalogue *catalogue, const char *path);

/* The translation of a text; NULL if it has none. */
const char *catalogue_find(const struct catalogue *catalogue, const char *text);

#endif
