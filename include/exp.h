/* SPDX-License-Identifier: MIT */
/*
 * exp.h - the life of an experiment: options, trials in random order, rows, verdicts, status.
 *
 * A library, not a framework: main() reads top to bottom.
 *
 *	struct run *run = run_begin(&about, argc, argv);
 *
 *	while (run_next(run)) {
 *		struct span all = {0};
 *		int64_t lost = measure(run_variant(run), &all);
 *
 *		run_record(run, (struct field[]){{"lost_updates", lost},
 *						 {"elapsed_ns", span_wall(&all)},
 *						 {0}});
 *	}
 *	return run_end(run, report);
 *
 * One run a process.  Everything is called from the main thread but for run_stopped(),
 * run_stop_fd(), run_sleep_until(), run_wait_fd() and run_pin(), which are for any thread.
 * SIGINT, SIGTERM and SIGHUP are blocked and waited for by a thread of the library: threads that an
 * experiment starts never see them; a process that it forks must unblock them.  SIGPIPE is ignored.
 */
#ifndef EXP_H
#define EXP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "opt.h"
#include "rows.h"
#include "stats.h"

enum {
	EXIT_CONTROL = 1, /* a control failed: do not trust the result */
	EXIT_USAGE = 2,   /* bad usage, or the environment failed */
	EXIT_SKIP = 77,   /* this machine cannot test it */
};

struct claim {
	const char *id;   /* "race-nonzero" */
	const char *text; /* the claim as a sentence */
};

struct variant {
	const char *name;
	const char *help;
};

struct experiment {
	const char *name;  /* the program's */
	const char *group; /* the folder's */
	const char *summary;
	const struct claim *claims;     /* ended by {0} */
	const struct opt *opts;         /* ended by {0}; NULL = none but the common ones */
	const struct variant *variants; /* ended by {0}; NULL = one, without a name */
	int64_t trials, quick_trials;   /* of each variant; the second one with --quick */
	const char *scatter; /* the sample field whose spread tells noise; NULL = none does */
};

enum verdict {
	HOLDS,
	REFUTED,  /* only a claim that says "never" or "always", by a counter-example */
	DEPENDS,  /* both cases were shown */
	NOT_SEEN, /* a "can happen" that did not happen: proves nothing */
	SKIPPED,  /* this machine, or these options, cannot test it */
};

struct run;

/*
 * Reads the options, opens the row file, prints the header line.  Ends the process: 0 after
 * --help and --version, EXIT_USAGE with one line on stderr for bad input.
 */
struct run *run_begin(const struct experiment *about, int argc, char *argv[]);

/*
 * Goes to the next trial; false when all are done or a signal came.  Each round runs every
 * variant once, in an order drawn from the seed.  The first call writes the run row, so a program
 * may still set the variables of its options before (a calibrated count).
 */
bool run_next(struct run *run);

int64_t run_trial(const struct run *run);  /* this trial's round, from 0 */
size_t run_variant(const struct run *run); /* this trial's index in about->variants */

/* Whether a variant is among those asked for (--variants). */
bool run_selected(const struct run *run, size_t variant);

/*
 * Writes this trial's sample row and keeps it for run_values().  Does nothing once a signal came.
 */
void run_record(struct run *run, const struct field *fields);

/* Writes a row of another kind ("call", "queue") of this trial: a time line. */
void run_row(struct run *run, const char *kind, const struct field *fields);

/*
 * One field of a variant's samples, in order, of those samples that have it: a copy, freed by
 * run_end().
 */
struct values run_values(struct run *run, size_t variant, const char *field);

/* The same, of those samples only whose fields of these names ({0}-ended) have these values. */
struct values run_values_where(struct run *run, size_t variant, const char *field,
			       const struct field *where);

/* The median of all of them, NAN for none; their sum. */
double run_median(struct run *run, size_t variant, const char *field);
double run_sum(struct run *run, size_t variant, const char *field);

/*
 * The q-quantile of one field as a share of another, and of how far it is from that, as a share of
 * that; NAN for none.
 */
double run_share(struct run *run, size_t variant, const char *field, const char *of, double q);
double run_error(struct run *run, size_t variant, const char *field, const char *of, double q);

/* True once a signal asked to stop: whoever waits or loops for long must look. */
bool run_stopped(void);

/* Becomes readable for good when run_stopped() becomes true: for poll(2). */
int run_stop_fd(void);

/* Sleeps until CLOCK_MONOTONIC is deadline_ns; false if stopped before. */
bool run_sleep_until(int64_t deadline_ns);

/* Waits for one of poll(2)'s events at fd; false at the deadline, and if stopped before. */
bool run_wait_fd(int fd, short events, int64_t deadline_ns);

/*
 * Pins the calling thread to the n-th CPU of those allowed (--cpus, taskset), counted modulo
 * their number. n < 0 undoes it.
 */
void run_pin(int n);

/* The number of CPUs allowed. */
int run_cpus(void);

/* Where a report prints: stdout; stderr if the rows go to stdout; nowhere under --quiet. */
FILE *run_out(const struct run *run);

/*
 * For reports.  A verdict on one of about->claims, with its sentence (printf) and the numbers
 * behind it ({0}-ended, or NULL); printed, and written as a row.  Every claim needs exactly one:
 * run_end() checks, but lets those go as skipped for which --variants left out what they need.
 */
void run_verdict(struct run *run, const char *claim, enum verdict verdict,
		 const struct field *numbers, const char *sentence, ...)
	__attribute__((format(printf, 5, 6)));

/* A control: if it did not hold it says so and makes the exit status EXIT_CONTROL. */
void run_control(struct run *run, bool held, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/* For reports: a sentence or more, wrapped. */
void run_say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The mechanism behind what was seen, in a sentence or two. */
void run_why(struct run *run, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* A line that starts with NOTE: what would make the result wrong. */
void run_note(struct run *run, const char *note, ...) __attribute__((format(printf, 2, 3)));

/*
 * Calls the report (unless a signal came), warns of noise, writes the end row, keeps the file,
 * frees the run and returns the exit status.  After a signal the process dies of that signal.
 */
int run_end(struct run *run, void (*report)(struct run *run));

/*
 * Ends a run that this machine cannot make: every claim skipped with the reason; returns
 * EXIT_SKIP.
 */
int run_skip(struct run *run, const char *reason, ...) __attribute__((format(printf, 2, 3)));

#endif
