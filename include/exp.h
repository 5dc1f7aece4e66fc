/* SPDX-License-Identifier: MIT */
/*
 * exp.h - the life of an experiment: what it declares, trials in random order, rows, exit status.
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
 *	return run_end(run);
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

#include "evidence.h"
#include "opt.h"
#include "rows.h"
#include "stats.h"

enum {
	EXIT_CONTROL = 1, /* a control failed: do not trust the result */
	EXIT_USAGE = 2,   /* bad usage, or the environment failed */
	EXIT_SKIP = 77,   /* this machine cannot test it */
};

/*
 * A claim, with what must come out when the phenomenon is taken away: its sham.
 *
 * sham: comma-separated.  "split=atomic" gives the variant split the treatment of atomic, while
 * rows and report keep its label; "*=atomic" every variant.  A word alone, "no-lock", sets a hook,
 * which the program asks for with run_sham().  `then` is the verdict that must come.
 * why: the mechanism, chosen by the verdict, so that it cannot contradict it; NULL = none.
 */
struct claim {
	const char *id;   /* "race-nonzero" */
	const char *text; /* the claim as a sentence */
	const char *sham;
	enum verdict then;
	const char *why[VERDICTS];
};

struct variant {
	const char *name;
	const char *help;
	const void *how; /* its parameters, for run_how(); NULL = none */
};

/* How a field is summed up in its column of the table, over the samples of a line. */
enum show {
	SHOW_MEDIAN,
	SHOW_NONZERO, /* "3/10": in how many it is not 0 */
	SHOW_SUM,
	SHOW_SHARE, /* the sum as a share of the sum of `per` */
	SHOW_MOST,
	SHOW_RANGE,    /* "least to most" */
	SHOW_P99,      /* the 99th percentile */
	SHOW_INTERVAL, /* the median with its 95 % interval */
	SHOW_RATIO, /* median over the rounds of this variant's by that of `base`, with its interval */
	SHOW_TEXT,  /* of a text: those that occur, in order of first occurrence */
	SHOW_FIRST, /* the first trial's */
};

/*
 * A field of a row, declared once: recording or reading a name that is not declared ends the
 * program.  From this table follow the text table, the controls, --describe, results/README.md and
 * the labels of charts.  The unit is the name's suffix (_ns, _bytes, _us, _calls ...).
 */
struct row_field {
	const char *name;
	const char *help;   /* what it means, and of what */
	const char *column; /* head of its column; "two|lines"; NULL = no column */
	enum show show;
	const char *per;  /* another field: each sample's value is divided by it for the table; of
			     SHOW_SUM: the sums are.  Same unit in both: shown as a share. */
	const char *base; /* of SHOW_RATIO: the variant it is compared with */
	bool key;         /* the table has a line for each of its values, within each variant */
	bool text;        /* a string */
	bool zero;        /* a control: must be 0 in every sample, calm or not */
	const char *sham; /* of a control: what makes it fail (status 1); see struct claim */
	const char *row;  /* the kind of row it stands in; NULL = "sample" */
	const struct row_field *also; /* instead of a field: those of this table, {0}-ended, too */
};

/*
 * A control that is no field that must be 0: judge() decides it by run_check().  sham: what makes it
 * fail (status 1); see struct claim.
 */
struct control {
	const char *id;
	const char *text;
	const char *sham;
};

/* A threshold: its name (with its unit), its value, and why it is this one. */
struct bound {
	const char *name;
	double value;
	const char *why;
};

struct run;
struct peer;

struct experiment {
	const char *name;  /* the program's */
	const char *group; /* the folder's */
	int order; /* where it comes among all: the hundreds are the group, headlines first */
	const char *summary;
	const char *
		intro; /* before the table; {option}, {cpus} ("2 CPUs") and {where} the other half is
			  ("over loopback") are put in; NULL = nothing */
	const struct claim *claims;     /* ended by {0} */
	const struct opt *opts;         /* ended by {0}; NULL = none but the common ones */
	const struct variant *variants; /* ended by {0}; NULL = one, without a name */
	const struct row_field *fields; /* ended by {0} */
	const struct control *controls; /* ended by {0}; NULL = none but fields that must be 0 */
	const struct bound *bounds;     /* ended by {0}; NULL = none */
	/* when the options are known, and nothing was printed yet: finds what they name, completes
	 * .variants; NULL = there is nothing to find */
	void (*choose)(void);
	int64_t trials, quick_trials; /* rounds before the first look; the second with --quick */
	bool timed;      /* disturbed trials are left out of the evidence, and made up for */
	int64_t limit_s; /* a trial that takes longer hangs: status 2; 0 = 60 */
	void (*judge)(
		struct run *run); /* judge.h: all verdicts, from the rows; called at each look */
	void (*draw)(struct run *run); /* judge.h: pictures below the table; NULL = none */
	void (*const *halves)(struct peer *peer); /* peer.h: what may be on another host, ended by
						     NULL; NULL = nothing may */
	const char *scatter; /* the sample field whose spread tells noise; NULL = none does */
};

/*
 * Reads the options, opens the row file, prints the header line.  Ends the process: 0 after
 * --help and --version, EXIT_USAGE with one line on stderr for bad input.
 */
struct run *run_begin(const struct experiment *about, int argc, char *argv[]);

/*
 * Goes to the next trial; false when the run is over or a signal came.  A round runs every variant
 * once, in an order drawn from the seed.  There are `trials` rounds, then a look: while a claim or
 * control is unclear, or a variant has fewer calm trials than that (.timed), and the budget lasts,
 * there are more, with looks at twice, four and eight times as many.  Rounds before the first look that
 * take longer than the budget are made up for in a quarter of their time.  A variant that judge() does not
 * read is only shown: it is in no more rounds than those before the first look, with --quick in one.
 * A round that makes up for disturbed trials is of the variants that lack calm ones; of all that are
 * judged, if judge() compares any round by round (run_ratio() of two).
 * Under a sham this is of the claim or control that it is of alone; a field that must be 0 and is not
 * ends the run with that round.  --trials N: exactly N of every variant, and one look.
 * The first call writes the run row, so a program may still set the variables of its options
 * before (a calibrated count), and leave variants out.
 */
bool run_next(struct run *run);

int64_t run_trial(const struct run *run); /* this trial's round, from 0 */

/* Whether there was a look: from then on the rounds are for what it left undecided. */
bool run_looked(const struct run *run);

/*
 * The index in about->variants of what this trial has to do, and its parameters; under a sham
 * another one's than the label's, which is what the rows say and judge() reads.
 */
size_t run_variant(const struct run *run);
const void *run_how(const struct run *run);
size_t run_label(const struct run *run);

/* Whether the hook of this name is set by --sham; it must stand in some sham of the tables. */
bool run_sham(const struct run *run, const char *hook);

/* Whether a variant is among those asked for (--variants) and not left out. */
bool run_selected(const struct run *run, size_t variant);

/* Whether --variants names those to measure; else it is all of them. */
bool run_names_variants(const struct run *run);

/* Leaves a variant out, because this machine cannot run it, with the reason; before run_next(). */
void run_leave_out(struct run *run, size_t variant, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/* A threshold of about->bounds. */
double run_bound(const struct run *run, const char *name);

/*
 * Keeps this trial's sample row; it is written when it is known whether the trial was disturbed.
 * Does nothing once a signal came.
 */
void run_record(struct run *run, const struct field *fields);

/* A row of another kind ("call", "queue") of this trial: a time line. */
void run_row(struct run *run, const char *kind, const struct field *fields);

/* True once a signal asked to stop: whoever waits or loops for long must look. */
bool run_stopped(void);

/* Readable, and stays so, from when run_stopped() is true: for poll(2). */
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

/*
 * Judges (unless a signal came), prints the table, the pictures and the verdicts, writes the end
 * row, keeps the file, frees the run and returns the exit status.  After a signal the process dies
 * of that signal.
 */
int run_end(struct run *run);

/*
 * Ends a run that this machine cannot make: every claim skipped with the reason; returns
 * EXIT_SKIP.
 */
int run_skip(struct run *run, const char *reason, ...) __attribute__((format(printf, 2, 3)));

#endif
