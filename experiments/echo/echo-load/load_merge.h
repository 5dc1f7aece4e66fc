/* SPDX-License-Identifier: MIT */
/*
 * load_merge.h - what the generators of one barrier measured, as if one had: rows and a text of the same form.
 */
#ifndef LOAD_MERGE_H
#define LOAD_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "load.h"

struct load_merged {
	struct load_plan plan; /* what print needs: connections, rate and workers of all together */
	struct load_result result;
	int64_t generators;
	int64_t overlap_ns; /* for so long at least all of them measured */
	bool right;         /* no errors, and each one's controls held */
	json_t *rows; /* run, sample, histogram, and a row a generator, in the order of the files */
	struct load_generator {
		const char *name; /* of its file */
		const json_t *row;
		struct load_result result;
	} * all;
};

/*
 * Reads the rows of n generators from their files, checks that they belong together, and adds them up.  The run row
 * is this program's, and becomes the merged one.  Ends the process with status 2 and one line if a file is not whole,
 * or is of another version, barrier or load than the others.
 */
void load_merge(struct load_merged *merged, int n, char *const paths[], json_t *run);

/* Who took which part, and who or what was the limit. */
void load_merge_print(FILE *out, const struct load_merged *merged);

#endif
