/* SPDX-License-Identifier: MIT */
/*
 * run.h - what a run is, for the library's own files: run.c goes through the trials and decides when
 * there were enough, declare.c looks up what the experiment declared, record.c writes the rows,
 * evidence of them is in judge.c, table.c and report.c show, stop.c waits for signals, cpus.c pins.
 */
#ifndef RUN_H
#define RUN_H

#include <pthread.h>
#include <sys/types.h>

#include "disturbance.h"
#include "exp.h"
#include "judge.h"
#include "machine.h"
#include "options.h"
#include "rng.h"

enum { MAX_VARIANTS = 64, MAX_FIELDS = 128, MAX_NOTES = 32 };

/* A template with its numbers: as rows have it, and as people read it; judge_sentence(), judge_forget(). */
struct sentence {
	const char *template;
	json_t *numbers;
	char *text;
	char *shown;
};

/* What judge() said of a claim or control at the last look. */
struct said {
	bool judged;
	enum verdict verdict;
	struct sentence sentence;
};

struct note {
	struct sentence sentence;
	bool judged; /* said by judge(), so said anew at each look */
};

struct run {
	const struct experiment *about;
	pid_t process;
	struct common options;
	struct peer *half; /* the near half's; NULL = there is but one */
	json_t *peer;      /* what the other host said of itself; NULL = there is none */
	FILE *out;         /* the report; NULL under --quiet */
	FILE *console;     /* stdout, or stderr if the rows go to stdout */
	bool colour;       /* on the console */
	bool progress;     /* on stderr */

	const struct row_field *fields[MAX_FIELDS]; /* all of them, those of `also` tables too */
	size_t fields_n;
	size_t treatment[MAX_VARIANTS]; /* by label: what it is done as */
	char *left_out[MAX_VARIANTS];   /* why; NULL = it is not */

	size_t order[MAX_VARIANTS]; /* the variants asked for, in this round's order */
	size_t variants;
	int64_t trial;             /* the round under way, from 0; -1 before the first */
	size_t place;              /* in order */
	int looks;                 /* that were taken */
	bool needed[MAX_VARIANTS]; /* a verdict or check is made of it */
	bool paired;               /* one is made of variants compared round by round */
	struct rng rng;
	struct machine_load load;
	int64_t begin_ns;   /* of the first trial */
	int64_t planned_ns; /* what the rounds before the first look took */
	int64_t shown_ns;   /* when the progress line was drawn last; 0 = none stands */

	/* the window: trials that end together, because a shorter time has no figures */
	struct disturbance_reading window;
	json_t *pending; /* its rows, not yet written */
	size_t window_trials;
	int64_t disturbed_trials, all_trials;
	struct cause {
		const char *word; /* NULL = no more */
		int64_t trials;
		struct disturbance last; /* window that it disturbed */
	} disturbed_by[DISTURBANCE_CAUSES];

	struct said claims[MAX_VARIANTS];
	struct said controls[MAX_VARIANTS];
	struct note notes[MAX_NOTES];
	size_t notes_n;
	bool judging;                 /* judge() is being called */
	bool missed[MAX_VARIANTS];    /* left out, and read since the last verdict */
	bool none_calm[MAX_VARIANTS]; /* no calm trial of what was read since then */
	bool control_failed;
	struct values *kept; /* what run_values() handed out */
	size_t kept_n;

	/* The rows, under a lock: a signal may have to end the file while a trial is under way. */
	pthread_mutex_t lock;
	struct rows *rows; /* NULL = none asked for, or ended */
	bool described;    /* the run row is written */
	json_t *samples;
};

/* declare.c */
void declare_fields(struct run *run);
const struct row_field *declare_field(const struct run *run, const char *row, const char *name);
void declare_sham(struct run *run);
/* The index of the variant of this name; ends the process if there is none: `whose` mistake. */
size_t declare_variant(const struct run *run, const char *name, size_t length, const char *whose);
json_t *declare_table(const struct run *run, const char *what); /* "claims", "fields" ... as JSON */
_Noreturn void declare_describe(const struct run *run);         /* --describe */

/* record.c: the first ones are called with the lock held or before there are threads. */
void record_describe(struct run *run);
void record_row(struct run *run, json_t *row); /* takes the row */
void record_end(struct run *run, const char *interrupted);
void record_drop_at_exit(struct run *run);
void record_free(struct run *run);
void record_begin_trial(struct run *run);
/* Ends the window if its figures mean something, or in any case, and writes its rows. */
void record_end_trial(struct run *run, bool in_any_case);

/* judge.c */
/* The field `beside` of those samples that have `field`: value by value beside run_values_where(). */
struct values judge_beside(struct run *run, size_t variant, const char *field, const char *beside,
			   const struct field *where);
void judge_look(struct run *run);          /* calls judge() */
bool judge_decided(const struct run *run); /* under a sham: what the sham is of */
bool judge_sham_failed(struct run *run);   /* whether the control that a sham is of has failed */
/* Whether a sample is of a variant and its fields of these names ({0}-ended) have these values. */
bool judge_matches(const struct run *run, const json_t *sample, size_t variant,
		   const struct field *where);
extern const struct field judge_anywhere[]; /* for a `where`: no condition */
/* In how many rounds there are such samples that count: calm ones, if the experiment is .timed. */
int64_t judge_rounds(const struct run *run, size_t variant, const struct field *where);
void judge_controls(struct run *run); /* what failed is reported */
struct sentence judge_sentence(const char *template, const struct number *numbers);
void judge_forget(struct sentence *sentence);
const struct said *judge_said(const struct run *run, const char *claim);

/* table.c */
void table_print(struct run *run);

/* report.c */
void report_prepare(struct run *run);
void report_peer(const struct run *run); /* the machine of the other half */
void report_verdicts(struct run *run);
void report_failure(struct run *run, const char *template, const struct number *numbers);
void report_noise(struct run *run);

/* peer.c */
void peer_close(struct peer *peer);
/* Serves the runs of other hosts, until a signal ends the process. */
_Noreturn void peer_serve(struct run *run);

/*
 * stop.c: on a signal, or when the limit is over, calls `end` from another thread with the word for
 * the end row, unless stop_unwatch() or stop_die() was first.
 */
void stop_watch(void (*end)(const char *interrupted));
void stop_limit(int64_t seconds,
		const char *what); /* from now on; what: for its message, not copied */
void stop_progress(void);          /* one step of several has ended: the limit begins again */
void stop_unwatch(void);
const char *stop_name(void); /* "SIGINT"; NULL if no signal came */
_Noreturn void stop_die(void);

/* cpus.c: the CPUs of --cpus, or all that are allowed; ends the process for a bad list. */
void cpus_choose(const char *list);

#endif
