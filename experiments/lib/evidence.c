/* SPDX-License-Identifier: MIT */
#include "evidence.h"

#include <math.h>
#include <stdbool.h>

#include "language.h"

const char *verdict_word(enum verdict verdict)
{
	static const char *const words[VERDICTS] = {
		[UNCLEAR] = "unclear", [HOLDS] = "holds",       [REFUTED] = "refuted",
		[DEPENDS] = "depends", [NOT_SEEN] = "not-seen", [SKIPPED] = "skipped"};

	return words[verdict];
}

const char *verdict_shown(enum verdict verdict)
{
	static const char *const words[VERDICTS] = {
		[UNCLEAR] = MESSAGE("UNCLEAR"),   [HOLDS] = MESSAGE("HOLDS"),
		[REFUTED] = MESSAGE("REFUTED"),   [DEPENDS] = MESSAGE("DEPENDS"),
		[NOT_SEEN] = MESSAGE("NOT SEEN"), [SKIPPED] = MESSAGE("SKIPPED")};

	return words[verdict];
}

/* --- shares -------------------------------------------------------------- */

/* Wilson's score interval stays honest at 0 of n and n of n. */
struct share share_of(int64_t k, int64_t n)
{
	const double z = 1.959964; /* the 97.5 % quantile of the normal distribution */
	double trials = (double)n;
	double p = (double)k / trials;
	double scale = 1 + z * z / trials;
	double centre = (p + z * z / (2 * trials)) / scale;
	double half = z / scale * sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));

	if (n <= 0)
		return (struct share){0, 0, NAN, NAN};
	return (struct share){k, n, k == 0 ? 0 : fmax(0, centre - half),
			      k == n ? 1 : fmin(1, centre + half)};
}

struct share share_nonzero(struct values values)
{
	int64_t k = 0;

	for (size_t i = 0; i < values.n; i++)
		k += values.at[i] != 0;
	return share_of(k, (int64_t)values.n);
}

struct share share_within(struct values values, double low, double high)
{
	int64_t k = 0;

	for (size_t i = 0; i < values.n; i++)
		k += (double)values.at[i] >= low && (double)values.at[i] <= high;
	return share_of(k, (int64_t)values.n);
}

struct share share_add(struct share a, struct share b)
{
	return share_of(a.k + b.k, a.n + b.n);
}

struct share share_rest(struct share share)
{
	return share_of(share.n - share.k, share.n);
}

/* What one of LOOKS looks may err by; a share on one of two sides. */
static const double look_level = 0.99;
static const double seven_level = 0.984;
static const double look_chance = 0.05 / LOOKS;

/* --- rules --------------------------------------------------------------- */

enum verdict can_happen(struct share seen)
{
	if (seen.n <= 0)
		return UNCLEAR;
	return seen.k > 0 ? HOLDS : NOT_SEEN;
}

enum verdict can_happen_in(struct share seen, int64_t enough)
{
	return seen.k <= 0 && seen.n < enough ? UNCLEAR : can_happen(seen);
}

enum verdict refuted_if_seen(struct share counter_examples)
{
	if (counter_examples.n <= 0)
		return UNCLEAR;
	return counter_examples.k > 0 ? REFUTED : NOT_SEEN;
}

enum verdict never_happens(struct share seen, int64_t enough)
{
	if (seen.n > 0 && seen.k > 0)
		return REFUTED;
	return seen.n > 0 && seen.n >= enough ? HOLDS : UNCLEAR;
}

enum verdict always_happens(struct share seen, int64_t enough)
{
	return never_happens(share_rest(seen), enough);
}

enum verdict case_by_case(struct share have, int64_t enough)
{
	if (have.n <= 0 || have.n < enough)
		return UNCLEAR;
	return have.k == have.n ? HOLDS : have.k == 0 ? REFUTED : DEPENDS;
}

/*
 * How probable k or more of n are where the true share is `bound`: binomial, summed up from k on,
 * where the terms only fall.  1 if k is no more than what is expected, so not worth the sum.
 */
static double chance(int64_t k, int64_t n, double bound)
{
	double odds = bound / (1 - bound);
	double sum = 0;
	double term;

	if ((double)k <= bound * (double)n)
		return 1;
	term = exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) +
		   (double)k * log(bound) + (double)(n - k) * log1p(-bound));
	for (int64_t i = k; i <= n && term > sum * 1e-9; i++) {
		sum += term;
		term *= (double)(n - i) / (double)(i + 1) * odds;
	}
	return sum;
}

enum verdict share_above(struct share share, double bound)
{
	if (share.n <= 0)
		return UNCLEAR;
	if (chance(share.k, share.n, bound) <= look_chance)
		return HOLDS;
	return chance(share.n - share.k, share.n, 1 - bound) <= look_chance ? REFUTED : UNCLEAR;
}

enum verdict refuted_if_often(struct share counter_examples, double often)
{
	if (counter_examples.k <= 0)
		return refuted_if_seen(counter_examples);
	return share_above(counter_examples, often) == HOLDS ? REFUTED : UNCLEAR;
}

enum verdict share_below(struct share share, double bound)
{
	return share_above(share_rest(share), 1 - bound);
}

enum verdict share_above_between(struct share least, struct share most, double bound)
{
	if (share_above(least, bound) == HOLDS)
		return HOLDS;
	return share_above(most, bound) == REFUTED ? REFUTED : UNCLEAR;
}

/* All comparisons with NAN are false: no interval is unclear. */
enum verdict is_above(struct interval interval, double bound)
{
	return interval.low > bound ? HOLDS : interval.high < bound ? REFUTED : UNCLEAR;
}

enum verdict is_below(struct interval interval, double bound)
{
	return interval.high < bound ? HOLDS : interval.low > bound ? REFUTED : UNCLEAR;
}

struct interval more_than(struct interval one, struct interval other)
{
	return (struct interval){one.mid - other.mid, one.low - other.high, one.high - other.low,
				 one.n < other.n ? one.n : other.n};
}

enum verdict is_within(struct interval interval, double low, double high)
{
	if (interval.low >= low && interval.high <= high)
		return HOLDS;
	return interval.high < low || interval.low > high ? REFUTED : UNCLEAR;
}

enum verdict or_not_seen(enum verdict verdict)
{
	return verdict == REFUTED ? NOT_SEEN : verdict;
}

/* --- of several parts ---------------------------------------------------- */

static bool any(const enum verdict *parts, size_t n, enum verdict verdict)
{
	for (size_t i = 0; i < n; i++)
		if (parts[i] == verdict)
			return true;
	return false;
}

enum verdict verdict_all(const enum verdict *parts, size_t n)
{
	static const enum verdict first[] = {REFUTED, SKIPPED, UNCLEAR, NOT_SEEN, DEPENDS};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (any(parts, n, first[i]))
			return first[i];
	return n ? HOLDS : UNCLEAR;
}

enum verdict verdict_any(const enum verdict *parts, size_t n)
{
	static const enum verdict first[] = {HOLDS, DEPENDS, SKIPPED, UNCLEAR, NOT_SEEN};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (any(parts, n, first[i]))
			return first[i];
	return n ? REFUTED : UNCLEAR;
}

enum verdict only_if(enum verdict condition, enum verdict verdict)
{
	return condition == HOLDS ? verdict : UNCLEAR;
}

enum verdict by_case(enum verdict here, enum verdict there)
{
	static const enum verdict undecided[] = {SKIPPED, UNCLEAR};
	const enum verdict both[] = {here, there};

	for (size_t i = 0; i < 2; i++)
		if (any(both, 2, undecided[i]))
			return undecided[i];
	if (here == there)
		return here;
	if (here == HOLDS || there == HOLDS || here == DEPENDS || there == DEPENDS)
		return DEPENDS;
	return REFUTED; /* one is refuted, the other only not seen */
}

struct interval look_median(struct values values)
{
	struct interval median = stats_median_at(values, look_level);

	return isnan(median.low) ? stats_median_at(values, seven_level) : median;
}

struct interval look_ratio(struct values above, struct values below)
{
	struct interval ratio = stats_ratio_at(above, below, look_level);

	return isnan(ratio.low) ? stats_ratio_at(above, below, seven_level) : ratio;
}
