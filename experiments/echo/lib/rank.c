/* SPDX-License-Identifier: MIT */
#include "rank.h"

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "judge.h"
#include "load.h"

static struct interval value_of(struct run *run, const struct criterion *criterion, size_t variant)
{
	return criterion->of ? load_mean(run, variant, criterion->field, criterion->of, LOAD_ALL)
			     : run_interval(run, variant, criterion->field);
}

/* Of one variant's value to another's, round by round: what slows a round down slows both. */
static struct interval ratio_of(struct run *run, const struct criterion *criterion, size_t one,
				size_t other)
{
	return criterion->of
		       ? load_ratio(run, one, other, criterion->field, criterion->of, LOAD_ALL)
		       : run_ratio(run, run_values(run, one, criterion->field),
				   run_values(run, other, criterion->field));
}

/* Whether what has this interval is less than the bound: all of it, or perhaps. */
static enum verdict is_less(double low, double high, double bound)
{
	return high < bound ? HOLDS : low >= bound ? REFUTED : UNCLEAR;
}

/* Whether `one` is better than `other` on the criterion, by the factor and the step. */
static enum verdict is_better(struct run *run, const struct criterion *criterion, size_t c,
			      const struct rank *one, const struct rank *other)
{
	double alike = run_bound(run, "alike_ratio");
	double step = run_bound(run, criterion->step);
	const struct rank *less = criterion->more ? other : one;
	const struct rank *more = criterion->more ? one : other;
	struct interval a = less->value[c];
	struct interval b = more->value[c];
	struct interval ratio = ratio_of(run, criterion, less->variant, more->variant);
	enum verdict by_factor =
		isnan(ratio.low) /* of values that are 0 */
			? is_less(a.low - alike * b.high, a.high - alike * b.low, 0)
			: is_less(ratio.low, ratio.high, alike);

	return all_of(by_factor, is_less(a.low - b.high, a.high - b.low, -step));
}

static int by_sum(const void *a, const void *b)
{
	const struct rank *one = a;
	const struct rank *other = b;

	if (one->sum != other->sum)
		return one->sum < other->sum ? -1 : 1;
	return one->variant < other->variant ? -1 : 1;
}

/* Adds a variant if it was measured on every criterion. */
static void add(struct run *run, const struct criterion *criteria, size_t variant,
		struct ranking *ranking)
{
	struct rank *rank = &ranking->ranks[ranking->n];

	*rank = (struct rank){.variant = variant};
	for (size_t c = 0; c < RANK_CRITERIA; c++) {
		rank->value[c] = value_of(run, &criteria[c], variant);
		if (isnan(rank->value[c].low))
			return;
	}
	ranking->n++;
}

static void compare(struct run *run, const struct criterion *criterion, size_t c, struct rank *mine,
		    struct ranking *ranking)
{
	mine->of[c] = 1;
	for (size_t k = 0; k < ranking->n; k++) {
		enum verdict better;

		if (mine == &ranking->ranks[k])
			continue;
		better = is_better(run, criterion, c, &ranking->ranks[k], mine);
		mine->of[c] += better == HOLDS;
		mine->perhaps = mine->perhaps || better == UNCLEAR;
		ranking->apart[c] = any_of(ranking->apart[c], better);
	}
	mine->sum += criterion->weight * mine->of[c];
}

void rank_all(struct run *run, const struct criterion criteria[RANK_CRITERIA], size_t variants,
	      struct ranking *ranking)
{
	*ranking = (struct ranking){0};
	for (size_t c = 0; c < RANK_CRITERIA; c++)
		ranking->apart[c] = REFUTED;
	for (size_t v = 0; v < variants; v++)
		if (run_selected(run, v)) {
			ranking->selected++;
			add(run, criteria, v, ranking);
		}
	for (size_t i = 0; i < ranking->n; i++)
		for (size_t c = 0; c < RANK_CRITERIA; c++)
			compare(run, &criteria[c], c, &ranking->ranks[i], ranking);
	qsort(ranking->ranks, ranking->n, sizeof(ranking->ranks[0]), by_sum);
}

enum verdict rank_is_first(const struct rank *rank)
{
	for (size_t c = 0; c < RANK_CRITERIA; c++)
		if (rank->of[c] != 1)
			return REFUTED;
	return rank->perhaps ? UNCLEAR : HOLDS;
}

bool rank_is_whole(const struct ranking *ranking)
{
	return ranking->n >= 2 && ranking->n == ranking->selected;
}

enum verdict rank_tells(const struct ranking *ranking)
{
	return verdict_all(ranking->apart, RANK_CRITERIA);
}

enum verdict rank_verdict(const struct ranking *ranking, const bool *counts)
{
	enum verdict verdict = NOT_SEEN;
	enum verdict tells = rank_tells(ranking);

	if (!rank_is_whole(ranking))
		return UNCLEAR;
	if (tells != HOLDS)
		return or_not_seen(tells);
	for (size_t i = 0; i < ranking->n; i++)
		if (counts[i])
			verdict = any_of(verdict, rank_is_first(&ranking->ranks[i]));
	return verdict;
}

char *rank_text(const struct rank *rank)
{
	char *text;

	if (asprintf(&text, "%d,%d,%d,%d,%d", rank->of[0], rank->of[1], rank->of[2], rank->of[3],
		     rank->of[4]) < 0)
		err(EXIT_USAGE, "asprintf");
	return text;
}
