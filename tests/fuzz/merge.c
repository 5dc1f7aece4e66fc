/* SPDX-License-Identifier: MIT */
/*
 * merge - any files are merged into rows and a text, or refused with one line.
 *
 * The files are separated by 0, and of this program where the first one says so.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caught.h"
#include "fuzz.h"

static FILE *opened(const char *path, const char *mode);
static int closed(FILE *file);

#define errx   caught_errx
#define fopen  opened
#define fclose closed
#include "../../experiments/echo/echo-load/load_barrier.c"
#include "../../experiments/echo/echo-load/load_merge.c"
#undef errx
#undef fopen
#undef fclose
#undef fclose

enum { FILES = 4, BYTES = 1 << 16, TEXT = 1 << 20 };

static char names[FILES][2] = {"0", "1", "2", "3"};
static char bytes[BYTES + 1], *begins[FILES];
static size_t lengths[FILES];
static FILE *file; /* that is open; NULL = none */

static FILE *opened(const char *path, const char *mode)
{
	int which = *path - '0';

	(void)mode;
	file = lengths[which] ? fmemopen(begins[which], lengths[which], "r")
			      : fopen("/dev/null", "r");
	FUZZ_ASSERT(file);
	return file;
}

static int closed(FILE *which)
{
	file = NULL;
	return fclose(which);
}

/* The run row of this program, as far as it must be the same. */
static json_t *own_run(void)
{
	static const char *const keys[] = {"schema", "version", "commit"};
	const char *end = memchr(begins[0], '\n', lengths[0]);
	json_t *first = end ? json_loadb(begins[0], (size_t)(end - begins[0]), 0, NULL) : NULL;
	json_t *run = json_pack("{s:s}", "row", "run");

	for (int i = 0; i < 3; i++)
		json_object_set(run, keys[i], json_object_get(first, keys[i]));
	json_decref(first);
	return run;
}

static void check_merged(const struct load_merged *merged)
{
	static char text[TEXT];
	FILE *out = fmemopen(text, sizeof(text), "w");
	char *rows = json_dumps(merged->rows, JSON_COMPACT);

	FUZZ_ASSERT(rows && out);
	load_merge_print(out, merged);
	fclose(out);
	for (const char *at = text; *at; at++)
		FUZZ_ASSERT((unsigned char)*at >= ' ' || *at == '\n');
	free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct load_merged merged;
	char *paths[FILES], *at = bytes;
	int n = 0;
	int status;

	if (size > BYTES)
		return 0;
	memcpy(bytes, data, size);
	bytes[size] = 0;
	for (; n < FILES && at <= bytes + size; n++) {
		begins[n] = at;
		lengths[n] = strlen(at);
		paths[n] = names[n];
		at += lengths[n] + 1;
	}
	caught_begin();
	status = setjmp(caught_end);
	if (status == 0) {
		load_merge(&merged, n, paths, own_run());
		check_merged(&merged);
	}
	if (file)
		closed(file);
	caught_free();
	FUZZ_ASSERT(status == 0 || status == 1 + EXIT_USAGE);
	return 0;
}
