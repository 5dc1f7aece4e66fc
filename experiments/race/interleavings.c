/* SPDX-License-Identifier: MIT */
/* needs: gmp */
/*
 * interleavings - where can x end?  Every schedule of two threads of N updates, counted exactly.
 *
 * An update is a load of x into a register and a store of that register + 1 or - 1.  Two threads
 * of N updates have C(4N, 2N) schedules, 10^119 of them at N = 100.  They are not tried one by one
 * but counted by a dynamic programme over the states of schedule.h, in each of which all that
 * matters of a schedule so far is where the threads are, and whether x is free or held by a thread
 * that has loaded it: from the end backwards, the ways to gain g from here on are the sum of the
 * ways after each step.  That is positions of the threads x states x values of g, and O(1)
 * additions each.
 *
 * The control: the counts add up to all schedules, and where these are few enough each is executed.
 */
#include <gmp.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "schedule.h"
#include "span.h"
#include "text.h"

enum { PLUS_MINUS, INCREMENTS, PROGRAMS, DIGITS = 15, BARS = 50 };

static const struct variant variants[] = {
	[PLUS_MINUS] = {"+/-", "x += 1 in one thread, x -= 1 in the other"},
	[INCREMENTS] = {"++", "x += 1 in each thread"},
	{0}};

static const struct claim claims[] = {
	{"race-interleavings", "every result between the extremes is reachable", "gap", REFUTED,
	 .why = {[HOLDS] =
			 "x at the end follows from a chain of updates, each of which loads what the one before stored; all others are overwritten. A chain may be as short as one or two updates, or hold all."}},
	{0}};

static const struct row_field fields[] = {
	{"program", "+/- or ++", .text = true},
	{"threads", "that update x"},
	{"iterations", "N, updates of each thread"},
	{"schedules", "how many there are, exactly", .text = true},
	{"exact_x", "of a safe program"},
	{"lowest_x", "the least x that a schedule ends at"},
	{"highest_x", "the greatest"},
	{"results", "how many x are reached"},
	{"unreached", "x between them that no schedule ends at"},
	{"wrong_sums", "1: the distribution does not add up to all schedules", .zero = true,
	 .sham = "sum"},
	{"executed", "schedules that were executed one by one; 0: too many"},
	{"wrong_executed", "1: that gave another distribution", .zero = true, .sham = "execute"},
	{"elapsed_ns", "of counting"},
	{"iterations", "N", .row = "x"},
	{"x", "at the end", .row = "x"},
	{"schedules", "that end there, exactly", .row = "x", .text = true},
	{0}};

static const struct bound bounds[] = {
	{"enough_distributions", 1, "a distribution is of every schedule there is"}, {0}};

static int64_t threads = 2;
static int64_t iterations; /* 0 = several */
static int64_t most_n = SCHEDULE_N;

static const struct opt opts[] = {
	{'t', "threads", "threads; 3 for up to 12 updates each", .num = &threads, .min = 2,
	 .max = SCHEDULE_THREADS},
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = SCHEDULE_N,
	 .zero = "1, 2, 3, 4, 5, 12, 50 and 100, up to --most"},
	{0, "most", "the greatest N without --iterations; with 3 threads at most 5", .num = &most_n,
	 .min = 1, .max = SCHEDULE_N, .quick = 12},
	{0}};

/* What was counted of each program and N, for the report: the same in every trial. */
static struct counted {
	struct schedules s;     /* n = 0: nothing */
	mpz_t all;              /* schedules */
	mpz_t *ends;            /* of these, with x = low + i at the end */
	int low, high, results; /* the least and the greatest x that are reached, and how many */
} counted[PROGRAMS][SCHEDULE_SIZES];

/* --- counting ------------------------------------------------------------- */

static mpz_t *numbers(size_t n)
{
	mpz_t *all = check_alloc(malloc(n * sizeof(*all)));

	for (size_t i = 0; i < n; i++)
		mpz_init(all[i]);
	return all;
}

static void free_numbers(mpz_t *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mpz_clear(all[i]);
	free(all);
}

/* The schedules of k threads of m steps: (k m)! / (m!)^k. */
static void count_all(mpz_t all, unsigned long k, unsigned long m)
{
	mpz_t factor;

	mpz_init(factor);
	mpz_set_ui(all, 1);
	for (unsigned long i = 2; i <= k; i++) {
		mpz_bin_uiui(factor, i * m, m);
		mpz_mul(all, all, factor);
	}
	mpz_clear(factor);
}

/* to[g] += from[g - gain], where both exist. */
static void add_ways(mpz_t *to, mpz_t *from, size_t xs, int gain)
{
	for (size_t g = gain > 0; g + (gain < 0) < xs; g++) {
		mpz_t *ways = from + g - gain;

		if (mpz_sgn(*ways))
			mpz_add(to[g], to[g], *ways);
	}
}

/*
 * ends[i] = the schedules that end at x = low + i.  A cell has the ways from a place to the end,
 * for each state and each g that x is still to gain; kept are those places that a step can lead to.
 */
static void count(const struct schedules *s, mpz_t *ends)
{
	size_t states = (size_t)s->threads + 1, cell = states * s->xs, kept = s->stride[0] + 1;
	mpz_t *ways = numbers(kept * cell);
	size_t place = s->places - 1;

	mpz_set_ui(ways[place % kept * cell + SCHEDULE_FREE * s->xs - s->low], 1);
	while (place-- > 0 && !run_stopped()) {
		mpz_t *here = ways + place % kept * cell;
		struct schedule_move moves[SCHEDULE_MOVES];
		size_t n = schedule_moves(s, place, moves);

		for (size_t i = 0; i < cell; i++)
			mpz_set_ui(here[i], 0);
		for (const struct schedule_move *m = moves; m < moves + n; m++)
			add_ways(here + (size_t)m->state * s->xs,
				 ways + m->to % kept * cell + (size_t)m->then * s->xs, s->xs,
				 m->gain);
	}
	for (size_t i = 0; i < s->xs; i++)
		mpz_set(ends[i], ways[SCHEDULE_FREE * s->xs + i]);
	free_numbers(ways, kept * cell);
}

/* --- one trial ------------------------------------------------------------ */

/* How many x have other schedules than found by executing each schedule. */
static int64_t compare(const struct counted *c, int64_t *executed)
{
	struct schedule_end ends[SCHEDULE_TRIED];
	int64_t wrong = 0;

	*executed = schedules_execute(&c->s, ends);
	for (size_t i = 0; i < c->s.xs && *executed; i++)
		wrong += mpz_cmp_si(c->ends[i], ends[i].schedules) != 0;
	return wrong;
}

/* The rows of the distribution; whether they do not add up to all schedules. */
static bool record_ends(struct run *run, struct counted *c)
{
	bool wrong;
	mpz_t sum;

	mpz_init(sum);
	c->results = 0;
	for (size_t i = 0; i < c->s.xs; i++) {
		int x = c->s.low + (int)i;
		char *text = mpz_get_str(NULL, 10, c->ends[i]);

		run_row(run, "x",
			(struct field[]){{"iterations", c->s.n},
					 {"x", x},
					 {"schedules", .text = text},
					 {0}});
		free(text);
		mpz_add(sum, sum, c->ends[i]);
		if (mpz_sgn(c->ends[i]) == 0)
			continue;
		if (c->results++ == 0)
			c->low = x;
		c->high = x;
	}
	wrong = mpz_cmp(sum, c->all) != 0;
	mpz_clear(sum);
	return wrong;
}

static void measure(struct run *run, int n, struct counted *c)
{
	int64_t begin_ns = span_now();
	int64_t executed, wrong_executed;
	bool wrong_sum;
	char *all;

	c->s = schedules_of((int)threads, n, run_variant(run) == INCREMENTS);
	if (!c->ends) {
		mpz_init(c->all);
		c->ends = numbers(c->s.xs);
	}
	count_all(c->all, (unsigned long)threads, 2 * (unsigned long)n);
	count(&c->s, c->ends);
	if (run_stopped())
		return;
	wrong_executed = compare(c, &executed) + run_sham(run, "execute");
	wrong_sum = record_ends(run, c) || run_sham(run, "sum");
	c->results -= run_sham(run, "gap");
	all = mpz_get_str(NULL, 10, c->all);
	run_record(run, (struct field[]){{"program", .text = variants[run_variant(run)].name},
					 {"threads", threads},
					 {"iterations", n},
					 {"schedules", .text = all},
					 {"exact_x", schedules_exact_x(&c->s)},
					 {"lowest_x", c->low},
					 {"highest_x", c->high},
					 {"results", c->results},
					 {"unreached", c->high - c->low + 1 - c->results},
					 {"wrong_sums", wrong_sum},
					 {"executed", executed},
					 {"wrong_executed", wrong_executed},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	free(all);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share gaps = run_nonzero_in(run, PLUS_MINUS, INCREMENTS, "unreached");
	double executed =
		run_sum(run, PLUS_MINUS, "executed") + run_sum(run, INCREMENTS, "executed");

	run_judge(
		run, "race-interleavings",
		never_happens(gaps, (int64_t)run_bound(run, "enough_distributions")),
		executed > 0
			? MESSAGE("{gaps} exact distributions leave out a result between the extremes; {executed} schedules executed one by one end as counted")
			: MESSAGE("{gaps} exact distributions leave out a result between the extremes"),
		number_share("gaps", gaps), number_real("executed", executed));
}

/* An exact number, or its first digits where it is long. */
static const char *number_shown(const mpz_t number)
{
	char *digits = mpz_get_str(NULL, 10, number);
	size_t length = strlen(digits);
	const char *text = length <= DIGITS
				   ? text_count(strtoll(digits, NULL, 10))
				   : text_format("%c.%.4se%zu", digits[0], digits + 1, length - 1);

	free(digits);
	return text;
}

static double part_of(const struct counted *c, const mpz_t number)
{
	return mpz_get_d(number) / mpz_get_d(c->all);
}

static const char *share_shown(double share)
{
	return text_format(share >= 0.001 ? "%.4f" : "%.1e", share);
}

/* The schedules that end at x. */
static mpz_t *ends_at(const struct counted *c, int x)
{
	return c->ends + x - c->s.low;
}

/* Of all schedules those of whole updates, one after the other: nothing is lost. */
static double unlost_share(const struct counted *c)
{
	mpz_t whole;
	double share;

	mpz_init(whole);
	count_all(whole, (unsigned long)c->s.threads, (unsigned long)c->s.n);
	share = part_of(c, whole);
	mpz_clear(whole);
	return share;
}

static const char *ends_shown(const struct counted *c)
{
	return text_format(translated("%d to %d"), c->low, c->high);
}

static void print_sizes(struct run *run, size_t p)
{
	FILE *out = run_out(run);

	fprintf(out, "\n  %-3s %s\n", variants[p].name,
		translated(
			"                               x at    share  nothing              end at"));
	fprintf(out, "      %s\n",
		translated(
			"  N           schedules     the end    exact     lost         the least x"));
	for (const struct counted *c = counted[p]; c < counted[p] + SCHEDULE_SIZES && c->s.n; c++)
		fprintf(out, "  %7d %19s %11s %8s %8s %19s\n", c->s.n, number_shown(c->all),
			ends_shown(c),
			share_shown(part_of(c, *ends_at(c, schedules_exact_x(&c->s)))),
			share_shown(unlost_share(c)), number_shown(*ends_at(c, c->low)));
}

/* The distribution as a line of bars, several x to a bar where there are many. */
static void print_bars(struct run *run, size_t p, const struct counted *c)
{
	size_t each = (c->s.xs + BARS - 1) / BARS;
	double bar[BARS] = {0};
	double most = 0;

	for (size_t i = 0; i < c->s.xs; i++) {
		bar[i / each] += part_of(c, c->ends[i]);
		most = bar[i / each] > most ? bar[i / each] : most;
	}
	fprintf(run_out(run), "  %-3s N = %3d  %4d |", variants[p].name, c->s.n, c->s.low);
	for (size_t i = 0; i * each < c->s.xs; i++)
		fputs(text_bar(bar[i] > 0 ? 1 + (int)(bar[i] / most * 7) : 0), run_out(run));
	fprintf(run_out(run), "| %d\n", c->s.high);
}

static void draw(struct run *run)
{
	size_t sizes = 0;

	for (size_t p = 0; p < PROGRAMS; p++)
		for (size_t i = 0; i < SCHEDULE_SIZES && counted[p][i].s.n; i++)
			sizes = i + 1;
	for (size_t p = 0; p < PROGRAMS; p++)
		if (run_selected(run, p))
			print_sizes(run, p);
	fputc('\n', run_out(run));
	run_say(run, "Share of schedules for each x at the end:");
	for (size_t p = 0; p < PROGRAMS; p++)
		for (size_t i = sizes > 2 ? sizes - 2 : 0; i < sizes && run_selected(run, p); i++)
			print_bars(run, p, &counted[p][i]);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "interleavings",
	.group = "race",
	.order = 109,
	.summary = "Every schedule of two threads that update x without a lock, counted: where can "
		   "x end?",
	.intro =
		"{threads} threads, N updates each: load x, store it + 1 or - 1. Each schedule of these steps counts the same.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 1,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int n[SCHEDULE_SIZES];
	size_t sizes = schedule_sizes((int)threads, iterations, most_n, n);

	while (run_next(run))
		for (size_t i = 0; i < sizes && !run_stopped(); i++)
			measure(run, n[i], &counted[run_variant(run)][i]);
	return run_end(run);
}
