/* SPDX-License-Identifier: MIT */
/*
 * evidence.h - from what was measured to a verdict: the six words, and the rules that choose one.
 *
 * Evidence is a share (k of n, Wilson's interval) or an interval (of a median, a ratio, an
 * exponent; stats.h).  Each rule says `unclear` where there is too little of it: no values, fewer
 * than the rule needs, or an interval that lies on both sides of the bound.  So a verdict is
 * always one that could have come out otherwise, and a run that cannot tell says so.
 *
 *	the claim says           holds                        otherwise
 *	can happen               seen at least once           not-seen
 *	never, always            no counter-example in        refuted, by a counter-example
 *	                         `enough` trials
 *	more, less, about        the whole interval is on     refuted: the whole of it is on the
 *	                         that side of the bound       other one
 */
#ifndef EVIDENCE_H
#define EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "stats.h"

enum verdict {
	UNCLEAR, /* this run cannot tell: too little evidence, or too disturbed */
	HOLDS,
	REFUTED,  /* a counter-example, or an interval wholly on the other side */
	DEPENDS,  /* both cases were shown, each by itself */
	NOT_SEEN, /* a "can happen" that did not happen: proves nothing */
	SKIPPED,  /* this machine, or these options, cannot test it */
	VERDICTS,
};

/* "not-seen", as in the rows; "NOT SEEN", a message (language.h), for people. */
const char *verdict_word(enum verdict verdict);
const char *verdict_shown(enum verdict verdict);

/* k of n with Wilson's 95 % interval of k / n; NANs for n = 0. */
struct share {
	int64_t k, n;
	double low, high;
};

struct share share_of(int64_t k, int64_t n);

/* How many of the values are not 0; lie in [low, high]. */
struct share share_nonzero(struct values values);
struct share share_within(struct values values, double low, double high);

/* Both together. */
struct share share_add(struct share a, struct share b);

/* The others: n - k of n. */
struct share share_rest(struct share share);

/* Seen at least once: holds.  Else not-seen; unclear for n = 0. */
enum verdict can_happen(struct share seen);

/* The same of what chance may miss in a few trials: not-seen only after `enough` of them, else unclear. */
enum verdict can_happen_in(struct share seen, int64_t enough);

/* For an "always" that no number of trials could prove: refuted by one that was seen, else not-seen. */
enum verdict refuted_if_seen(struct share counter_examples);

/*
 * The same where chance, or a busy machine, makes a counter-example now and then: refuted if more than
 * `often` of the trials are some (as by share_above()), not-seen if none is, else unclear.
 */
enum verdict refuted_if_often(struct share counter_examples, double often);

/* Refuted by one that was seen; holds if none was in at least `enough` > 0; else unclear. */
enum verdict never_happens(struct share seen, int64_t enough);

/* Refuted by one that is missing; holds if none is in at least `enough` > 0; else unclear. */
enum verdict always_happens(struct share seen, int64_t enough);

/* A claim about each of several things: all have it: holds; none: refuted; some: depends, both seen. */
enum verdict case_by_case(struct share have, int64_t enough);

/*
 * Whether the true share is above the bound (between 0 and 1, neither of them), by the binomial
 * distribution: holds where k or more of n are at most 1.25 % probable for a share just at the bound,
 * refuted where k or fewer are.  So four looks say either wrongly in at most 5 % of runs.  The fewest
 * trials that decide: 7 for a bound of 0.5, 20 for 0.8, 42 for 0.9.
 */
enum verdict share_above(struct share share, double bound);
enum verdict share_below(struct share share, double bound);

/*
 * share_above() where only limits of the share are known, as some trials may count or not: what holds for
 * the least holds, what is refuted for the most is refuted.
 */
enum verdict share_above_between(struct share least, struct share most, double bound);

/* The whole interval above the bound: holds; below it: refuted; across it, or none: unclear. */
enum verdict is_above(struct interval interval, double bound);
enum verdict is_below(struct interval interval, double bound);

/*
 * How much more one is than the other: what a slow machine adds to both is in neither.  Its interval
 * spans all that both of theirs allow, so it is rather too wide.
 */
struct interval more_than(struct interval one, struct interval other);

/* The whole interval within [low, high]: holds; wholly outside: refuted; else unclear. */
enum verdict is_within(struct interval interval, double low, double high);

/* For "can happen" claims whose evidence is an interval: what is refuted was only not seen. */
enum verdict or_not_seen(enum verdict verdict);

/*
 * An undecided run is looked at again at twice, four and eight times its trials.  Each look at 99 %
 * keeps the wrong verdicts of all four together below 5 % (tests/unit/test_evidence.c simulates it;
 * at 95 % each they are more).  Seven values reach 98.4 %, so that is their level; fewer have no
 * interval.
 */
enum { LOOKS = 4 };
struct interval look_median(struct values values);
struct interval look_ratio(struct values above, struct values below); /* stats_ratio() */

/*
 * A claim of several parts, each judged by itself.  all_of: refuted, skipped, unclear, not-seen,
 * depends if any part is, in this order, else holds.  any_of: holds if any part does; else depends,
 * skipped, unclear, not-seen if any is, else refuted.  Of no parts: unclear.
 */
#define all_of(...)                                                                                \
	verdict_all((const enum verdict[]){__VA_ARGS__},                                           \
		    sizeof((const enum verdict[]){__VA_ARGS__}) / sizeof(enum verdict))
#define any_of(...)                                                                                \
	verdict_any((const enum verdict[]){__VA_ARGS__},                                           \
		    sizeof((const enum verdict[]){__VA_ARGS__}) / sizeof(enum verdict))
enum verdict verdict_all(const enum verdict *parts, size_t n);
enum verdict verdict_any(const enum verdict *parts, size_t n);

/* A verdict on evidence that means something only if the condition holds: else unclear. */
enum verdict only_if(enum verdict condition, enum verdict verdict);

/*
 * A claim that is true in one case and not in another: `here` is the verdict on the claim in the
 * one, `there` in the other.  One holds and one is refuted or not seen: depends.  Alike: that
 * verdict.  Either unclear or skipped: that.
 */
enum verdict by_case(enum verdict here, enum verdict there);

#endif
