/* SPDX-License-Identifier: MIT */
/*
 * run.h - what a run is, for the library's own files: run.c goes through the trials, record.c writes
 * the rows, report.c speaks, stop.c waits for signals, cpus.c pins.
 */
#ifndef RUN_H
#define RUN_H

#include <pthread.h>
#include <sys/types.h>

#include "exp.h"
#include "machine.h"
#include "options.h"
#include "rng.h"

enum { MAX_VARIANTS = 64 };

struct run {
	const struct experiment *about;
	pid_t process;
	struct common options;
	FILE *out;     /* the report; NULL under --quiet */
	FILE *console; /* stdout, or stderr if the rows go to stdout */
	bool colour;   /* on the console */
	bool progress; /* on stderr */

	size_t order[MAX_VARIANTS]; /* the variants asked for, in this round's order */
	size_t variants;
	int64_t trial; /* the round under way, from 0; -1 before the first */
	size_t place;  /* in order */
	struct rng rng;
	struct machine_load load;
	int64_t shown_ns; /* when the progress line was drawn last; 0 = none stands */

	bool judged[MAX_VARIANTS]; /* claims with a verdict */
	bool control_failed;
	int64_t **kept; /* what run_values() handed out */
	size_t kept_n;

	/* The rows, under a lock: a signal may have to end the file while a trial is under way. */
	pthread_mutex_t lock;
	struct rows *rows; /* NULL = none asked for, or ended */
	bool described;    /* the run row is written */
	json_t *samples;
};

/* record.c: the first four are called with the lock held or before there are threads. */
void record_describe(struct run *run);
void record_row(struct run *run, json_t *row); /* takes the row */
void record_end(struct run *run, const char *interrupted);
void record_drop_at_exit(struct run *run);
void record_free(struct run *run);

/* report.c */
void report_prepare(struct run *run);
void report_noise(struct run *run);
size_t report_claim(const struct run *run, const char *id);

/* stop.c: on a signal calls `end`, from another thread, unless stop_unwatch() or stop_die() was first */
void stop_watch(void (*end)(const char *signal_name));
void stop_unwatch(void);
const char *stop_name(void); /* "SIGINT"; NULL if no signal came */
_Noreturn void stop_die(void);

/* cpus.c: the CPUs of --cpus, or all that are allowed; ends the process for a bad list. */
void cpus_choose(const char *list);

#endif
