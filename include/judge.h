/* SPDX-License-Identifier: MIT */
/*
 * judge.h - for the judge() and draw() of an experiment: its evidence, and what it says of it.
 *
 *	static void judge(struct run *run)
 *	{
 *		struct share wrong = run_nonzero(run, SPLIT, "error_updates");
 *
 *		run_judge(run, "race-nonzero", can_happen(wrong),
 *			  "{wrong} racy trials ended elsewhere than at 0", number_share("wrong", wrong));
 *	}
 *
 * judge() is called at each look, so it only reads the rows and says verdicts; what it says is kept
 * from the last look alone.  draw() is called once, at the end, and prints to run_out().
 *
 * Evidence is of the label's samples; in a .timed experiment of calm trials only.  Reading a
 * variant that --variants or the machine left out gives nothing; a claim that is unclear for that
 * becomes skipped, with the reason, by itself; and any claim is unclear if one of the variants that
 * it was read of has no calm trial at all, however many the others have.  So each claim's evidence is read right before its
 * run_judge(), also what another has read already.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include "evidence.h"
#include "exp.h"
#include "sentence.h"
#include "stats.h"

/*
 * One field of a variant's samples, in order, of those samples that have it, with the round of
 * each: a copy, freed by run_end().
 */
struct values run_values(struct run *run, size_t variant, const char *field);

/* The same, of those samples only whose fields of these names ({0}-ended) have these values. */
struct values run_values_where(struct run *run, size_t variant, const char *field,
			       const struct field *where);

/* The median of all of them, NAN for none; their sum. */
double run_median(struct run *run, size_t variant, const char *field);
double run_sum(struct run *run, size_t variant, const char *field);

/* The q-quantile of one field as a share of another, NAN for none. */
double run_share(struct run *run, size_t variant, const char *field, const char *of, double q);

/* In how many of its samples a field is not 0; of the variants first to last together. */
struct share run_nonzero(struct run *run, size_t variant, const char *field);
struct share run_nonzero_in(struct run *run, size_t first, size_t last, const char *field);

/* The sum of one field of the sum of another: calls that slept, of all calls; where: as above. */
struct share run_part(struct run *run, size_t variant, const char *field, const char *of);
struct share run_part_where(struct run *run, size_t variant, const char *field, const char *of,
			    const struct field *where);

/*
 * The median with its interval, at the level that keeps the error of all looks together at 5 %
 * (stats_median()): what verdicts are made of.
 */
struct interval run_interval(struct run *run, size_t variant, const char *field);
struct interval run_interval_of(struct run *run, struct values values);

/* The median of the ratios round by round, with its interval, likewise (stats_ratio()). */
struct interval run_ratio(struct run *run, struct values above, struct values below);

/*
 * The verdict on one of about->claims: with its sentence, a template, and at least one number behind
 * it (sentence.h).  Every claim needs exactly one.  Returns what became of it: unclear for a variant
 * that was left out is skipped.
 */
#define run_judge(run, claim, verdict, template, ...)                                              \
	run_judge_with(run, claim, verdict, template, (const struct number[]){__VA_ARGS__, {0}})
enum verdict run_judge_with(struct run *run, const char *claim, enum verdict verdict,
			    const char *template, const struct number *numbers);

/*
 * One of about->controls: if it is refuted the run says so, and its exit status is EXIT_CONTROL.
 * Fields that must be 0 are controls by themselves (struct row_field).
 */
#define run_check(run, control, verdict, template, ...)                                            \
	run_check_with(run, control, verdict, template, (const struct number[]){__VA_ARGS__, {0}})
void run_check_with(struct run *run, const char *control, enum verdict verdict,
		    const char *template, const struct number *numbers);

/* A line that starts with NOTE: what limits the result, with its numbers, or NO_NUMBERS. */
#define NO_NUMBERS ((struct number){0})
#define run_note(run, template, ...)                                                               \
	run_note_with(run, template, (const struct number[]){__VA_ARGS__, {0}})
void run_note_with(struct run *run, const char *template, const struct number *numbers);

/* For draw(): where it prints: stdout; stderr if the rows go to stdout; nowhere under --quiet. */
FILE *run_out(const struct run *run);

/* For draw(): a sentence or more, wrapped. */
void run_say(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * For draw(): one field as a grid: a line for each value of the key field `down` and a column for
 * each of `across`; NULL, for one of them: for each variant.  Cells are summed up and divided as the
 * field's own column is.  `variant` < 0: all; else that one alone.
 */
void run_grid(struct run *run, int variant, const char *field, const char *down,
	      const char *across);

#endif
