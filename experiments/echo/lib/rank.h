/* SPDX-License-Identifier: MIT */
/*
 * rank.h - variants ranked on several criteria, from their samples.
 *
 * A rank is one more than the number of variants that are better by a factor, with the whole interval of
 * the ratio (run_ratio()), and by a step: with less than that, which of two is better depends on the run.
 */
#ifndef ECHO_RANK_H
#define ECHO_RANK_H

#include <stdbool.h>
#include <stddef.h>

#include "exp.h"

enum { RANK_CRITERIA = 5, RANK_VARIANTS = 32 };

struct criterion {
	const char *name;
	const char *field, *of; /* the value is field / of; of NULL = field */
	const char *step;       /* the bound that is the least difference */
	double weight;          /* in the sum of ranks */
	bool more;              /* more is better */
};

struct rank {
	size_t variant;
	struct interval value[RANK_CRITERIA];
	int of[RANK_CRITERIA];
	double sum;
	bool perhaps; /* of some comparison the intervals do not tell whether another is better */
};

struct ranking {
	struct rank ranks[RANK_VARIANTS]; /* the least sum first; only of those measured on all */
	size_t n;
	size_t selected; /* of the variants; those without an interval are not compared */
	enum verdict apart[RANK_CRITERIA]; /* whether any is better than another one there */
};

/*
 * Of the variants [0, variants); the bound alike_ratio is the factor: better is less than that of
 * another's value.
 */
void rank_all(struct run *run, const struct criterion criteria[RANK_CRITERIA], size_t variants,
	      struct ranking *ranking);

/* First on all criteria; unclear if another one is perhaps better. */
enum verdict rank_is_first(const struct rank *rank);

/*
 * Whether any of those that count (as many as ranks) is first on all criteria: not-seen if none is,
 * and where a criterion sets none apart, for a tie is no first place; unclear of fewer than two, if
 * one that is not compared may be first, if some are perhaps first, and if all are perhaps alike.
 */
enum verdict rank_verdict(const struct ranking *ranking, const bool *counts);

/* Whether all that were to be compared were, and are two or more. */
bool rank_is_whole(const struct ranking *ranking);

/* Whether every criterion sets some apart: refuted if all are alike on one. */
enum verdict rank_tells(const struct ranking *ranking);

/* "1,1,2,1,3": for the numbers of a verdict; to be freed. */
char *rank_text(const struct rank *rank);

#endif
