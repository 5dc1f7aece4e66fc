/* SPDX-License-Identifier: MIT */
/*
 * options.h - the option tables of a run, parsed and recorded; for run.c alone.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <jansson.h>

#include "exp.h"

enum { MAX_TRIALS = 100000 };

/* The options every experiment has. */
struct common {
	int64_t trials, seed, budget_ms;
	bool trials_given; /* so many exactly */
	bool quick, quiet, brief, describe;
	const char *output, *cpus, *variants, *sham, *language;
	const char *peer, *serve;
	struct opt opts[13], hosts[3]; /* the tables that point at the fields above */
};

/* Fills both tables from argv.  Ends the process as run_begin() says. */
void options_parse(const struct experiment *about, struct common *common, int argc, char *argv[]);

/* Every option with its value, as the run row's "params". */
json_t *options_params(const struct experiment *about, const struct common *common);

#endif
