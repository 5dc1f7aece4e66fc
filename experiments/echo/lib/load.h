/* SPDX-License-Identifier: MIT */
/*
 * load.h - what echo-load measures of a server, as fields of a sample.
 */
#ifndef ECHO_LOAD_H
#define ECHO_LOAD_H

#include <stdint.h>

#include "server.h"
#include "stats.h"

struct load_ask {
	int cpu; /* of the load: LOAD_CPU or ALL_CPUS */
	int64_t connections, duration_ms;
	int64_t size_bytes;             /* of a request; 0 = 64 */
	int64_t idle, rate;             /* as of echo-load; 0 = none, a closed loop */
	int64_t processes;              /* of the load; 0 = one */
	int64_t at_once;                /* as of echo-load; 0 = all */
	bool held;                      /* held_fields are added, too */
	const char *hgrm;               /* a file for the latencies; NULL = none */
	void (*begins)(void *argument); /* called when the window does; NULL = nothing */
	void *argument;
};

/* The fields, and columns of the more telling ones. */
extern const struct row_field load_fields[], load_columns[];

/* What is held at the end of a load, while all of its connections are open. */
extern const struct row_field held_fields[];

/*
 * Makes a load and adds what came of it.  Errors and wrong bytes are fields that must be 0; a load that
 * ended otherwise counts as one error.
 */
void load_run(const struct server *server, const struct load_ask *ask, struct row *row);

/* The field's number in a row to which it was added, and another one for it. */
int64_t row_number(const struct row *row, const char *name);
void row_set(struct row *row, const char *name, int64_t number);

/* Of a row with a load: answers a second; 0 if the load measured nothing. */
int64_t load_rate(const struct row *row);

/* The same of a server of its own, started and stopped. */
void load_model(const struct run *run, const struct model *model, int server_cpu,
		const struct load_ask *ask, struct row *row);

/* A note if the load used its CPU up as often as not: then no rate is a server's limit; for judge(). */
void load_note(struct run *run, size_t variants);

/* The i-th of n numbers of connections from 1 to most, each the same multiple of the one before. */
int64_t load_level(int64_t most, int64_t i, int64_t n);

/*
 * For judge(): one field of a variant's samples by another, such as CPU time by requests: their median
 * with its interval, and the ratio to that of `base` within rounds.  Of the samples with these fields
 * ({0}-ended).
 */
struct interval load_mean(struct run *run, size_t variant, const char *field, const char *of,
			  const struct field *where);
struct interval load_ratio(struct run *run, size_t variant, size_t base, const char *field,
			   const char *of, const struct field *where);

#define LOAD_ALL ((const struct field[]){{0}})

#endif
