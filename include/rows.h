/* SPDX-License-Identifier: MIT */
/*
 * rows.h - a file of JSON Lines that is either whole or not there.
 *
 * Rows go to FILE.part, line by line; rows_keep() syncs it and renames it to FILE.  A kill at any
 * moment leaves no half file under the final name.  "-" and existing files that are not regular
 * (a pipe, /dev/full) are written in place.
 */
#ifndef ROWS_H
#define ROWS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

enum {
	ROWS_SCHEMA = 2, /* of the rows; see results/README.md */
	ROWS_DIGITS = 9, /* of a real; jansson's default of 17 prints 45.1 as 45.100000000000001 */
};

struct rows;

/*
 * A value in a row.  Rows hold integers in base units, the unit in the name ("elapsed_ns"); text
 * and real are for what is not a number of something, and for the derived figures behind a
 * verdict.
 *
 *	{"sent_bytes", n}  {"cause", .text = "peer"}  {"lost_share", .real = &share}
 */
struct field {
	const char *name; /* NULL ends a list */
	int64_t num;
	const char *text;   /* a string instead of num */
	const double *real; /* a real number instead of num; not finite = null */
};

/* Adds the fields to an object; text that is not UTF-8 keeps its ASCII, ? for the rest. */
void rows_add(json_t *object, const struct field *fields);

/* A string value from text that may not be UTF-8: then its ASCII is kept, ? stands for the rest. */
json_t *rows_text(const char *text);

/*
 * Opens the file for writing, or returns NULL with errno: EBUSY when another process is writing
 * it, else as open(2).
 */
struct rows *rows_open(const char *path);

/* Writes text that is no row, likewise: the file is as whole as one of rows. */
int rows_write_text(struct rows *rows, const char *text, size_t length);

/* Writes one line and flushes it, so that a kill loses nothing written.  0 or an error number. */
int rows_write(struct rows *rows, const json_t *row);

/*
 * Syncs, renames to the final name and frees.  0 or an error number; then nothing is left under
 * either name but what stood under the final one before.
 */
int rows_keep(struct rows *rows);

/* Removes FILE.part and frees: as if it had never been opened. */
void rows_drop(struct rows *rows);

#endif
