/* SPDX-License-Identifier: MIT */
/*
 * checkpoints - where can x end, if threads switch only where the interpreter offers its lock?
 *
 * Running a program shows some of its schedules; this goes through all of them.  Two threads
 * execute the opcodes of gil.h's programs, N updates each, and at each check point either may go
 * on.  All states that can come of it are visited once: where the threads are, what they have
 * loaded, x, and who holds the program's own lock.
 *
 *	threads   C threads, or no GIL: a switch after any opcode
 *	upto39    CPython 3.2 to 3.9: after nearly any
 *	from310   since 3.10: after a backward jump or a call
 *
 * Updates can be lost just where a check point lies between the load of x and its store.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "gil.h"
#include "judge.h"
#include "language.h"
#include "span.h"
#include "text.h"

enum { THREADS, UPTO, FROM, VARIANTS, PAIR = 2, MOST_N = 6, NOBODY = PAIR, COLUMN = 11 };
enum { PLUS_MINUS, INCREMENTS, SIGNS };

static const struct variant variants[] = {[THREADS] = {"threads", "a switch after any opcode"},
					  [UPTO] = {"upto39", "CPython 3.2 to 3.9"},
					  [FROM] = {"from310", "CPython since 3.10"},
					  {0}};

static const enum gil_policy policies[VARIANTS] = {
	[THREADS] = GIL_NONE, [UPTO] = GIL_UPTO_39, [FROM] = GIL_FROM_310};

static const struct claim claims[] = {
	{"gil-check-between",
	 "updates can be lost just where the interpreter may offer the GIL between the load of x and its store",
	 "other-rules", REFUTED,
	 .why = {[HOLDS] =
			 "from 3.10 on nothing between the load of x and its store is a check point, but for a call: x += f() can lose, and x = f() + x, which calls before it loads, cannot."}},
	{0}};

static const struct row_field fields[] = {
	{"program", "the line of Python", .text = true},
	{"iterations", "of each of two threads"},
	{"between", "1: a check point lies between the load of x and its store"},
	{"locked", "1: a lock is around them"},
	{"loses", "1: some schedule ends elsewhere than a safe program"},
	{"as_expected", "1: it loses just if a check point lies between; not of locked"},
	{"locked_loses", "1: it loses though a lock is around the update", .zero = true,
	 .sham = "no-lock"},
	{"lowest_x", "the least x, with one thread upwards and one downwards"},
	{"highest_x", "the greatest"},
	{"results", "how many x are reached"},
	{"increments_lowest_x", "the least x, with both threads upwards"},
	{"increments_highest_x", "the greatest"},
	{"increments_results", "how many x are reached"},
	{"states", "visited"},
	{"elapsed_ns", "of the search"},
	{0}};

static const struct bound bounds[] = {
	{"enough_pairs", 6, "every program under one set of rules, each by all its schedules"},
	{0}};

static int64_t iterations = 3;

static const struct opt opts[] = {
	{'n', "iterations", "updates of each thread", .num = &iterations, .min = 1, .max = MOST_N},
	{0}};

struct state {
	int at[PAIR];  /* opcodes done */
	int reg[PAIR]; /* x as last loaded */
	int x, owner;  /* of the program's own lock; NOBODY */
};

struct search {
	const struct gil_program *program;
	enum gil_policy policy;
	int step[PAIR], n, length; /* opcodes of an update */
	int low, xs;               /* x lies in [low, low + xs) */
	bool *visited, *ends;
	int64_t states;
};

/* Which x are reached: the least, the greatest, and how many. */
struct reached {
	int64_t low, high, results, states;
};

static struct reached reached[VARIANTS][GIL_PROGRAMS][SIGNS]; /* for the report */

static bool checks(enum gil_policy policy, enum gil_op op)
{
	return policy == GIL_NONE || gil_checks(policy, op);
}

static bool loads(enum gil_op op)
{
	return op == GIL_LOAD_GLOBAL || op == GIL_LOAD_ATTR || op == GIL_BINARY_SUBSCR;
}

static bool stores(enum gil_op op)
{
	return op == GIL_STORE_GLOBAL || op == GIL_STORE_ATTR || op == GIL_STORE_SUBSCR;
}

static bool no_lock; /* a sham: the program's own lock lets everybody in */

/* Lets a thread go on to its next check point, to its end, or to a lock that the other one has. */
static struct state go_on(const struct search *s, struct state now, int who)
{
	while (now.at[who] < s->n * s->length) {
		enum gil_op op = s->program->code[now.at[who] % s->length];

		if (op == GIL_ACQUIRE && now.owner != NOBODY && !no_lock)
			break;
		if (op == GIL_ACQUIRE)
			now.owner = who;
		if (op == GIL_RELEASE)
			now.owner = NOBODY;
		if (loads(op))
			now.reg[who] = now.x;
		if (stores(op))
			now.x = now.reg[who] + s->step[who];
		now.at[who]++;
		if (checks(s->policy, op))
			break;
	}
	return now;
}

static size_t index_of(const struct search *s, const struct state *now)
{
	size_t index = (size_t)now->owner;

	for (int i = 0; i < PAIR; i++) {
		index = index * ((size_t)(s->n * s->length) + 1) + (size_t)now->at[i];
		index = index * (size_t)s->xs + (size_t)(now->reg[i] - s->low);
	}
	return index * (size_t)s->xs + (size_t)(now->x - s->low);
}

/* Visits all that can follow; as deep as a schedule is long. */
static void visit(struct search *s, struct state now) /* NOLINT(misc-no-recursion) */
{
	bool *visited = &s->visited[index_of(s, &now)];

	if (*visited)
		return;
	*visited = true;
	s->states++;
	for (int who = 0; who < PAIR; who++)
		visit(s, go_on(s, now, who));
	if (now.at[0] + now.at[1] == PAIR * s->n * s->length)
		s->ends[now.x - s->low] = true;
}

static struct reached explore(enum gil_policy policy, const struct gil_program *program, int sign)
{
	int n = (int)iterations;
	struct search s = {.program = program,
			   .policy = policy,
			   .step = {1, sign == INCREMENTS ? 1 : -1},
			   .n = n,
			   .low = -n,
			   .xs = 3 * n + 1};
	struct state begin = {.owner = NOBODY}, last = begin;
	struct reached r = {.low = INT64_MAX, .high = INT64_MIN};

	while (program->code[s.length++] != GIL_JUMP)
		;
	for (int i = 0; i < PAIR; i++) {
		last.at[i] = n * s.length;
		last.reg[i] = s.low + s.xs - 1;
	}
	last.x = s.low + s.xs - 1;
	s.visited = check_alloc(calloc(index_of(&s, &last) + 1, sizeof(*s.visited)));
	s.ends = check_alloc(calloc((size_t)s.xs, sizeof(*s.ends)));
	visit(&s, begin);
	for (int x = s.low; x < s.low + s.xs; x++) {
		if (!s.ends[x - s.low])
			continue;
		r.low = x < r.low ? x : r.low;
		r.high = x;
		r.results++;
	}
	r.states = s.states;
	free(s.visited);
	free(s.ends);
	return r;
}

/* Whether there is a check point after the load of x, before its store. */
static bool between(enum gil_policy policy, const struct gil_program *program)
{
	bool inside = false;

	for (const enum gil_op *op = program->code; !stores(*op); op++) {
		inside = inside || loads(*op);
		if (inside && checks(policy, *op))
			return true;
	}
	return false;
}

static void measure(struct run *run, size_t p)
{
	enum gil_policy policy = policies[run_variant(run)];
	const struct gil_program *program = &gil_programs[p];
	struct reached *r = reached[run_variant(run)][p];
	int64_t begin_ns = span_now();
	bool expected;
	bool loses;

	for (int sign = 0; sign < SIGNS; sign++)
		r[sign] = explore(policy, program, sign);
	expected = between(run_sham(run, "other-rules") ? GIL_UPTO_39 : policy, program);
	loses = r[PLUS_MINUS].results > 1 || r[INCREMENTS].results > 1;
	run_record(run, (struct field[]){{"program", .text = program->python},
					 {"iterations", iterations},
					 {"between", expected},
					 {"loses", loses},
					 {"locked", p == GIL_LOCKED},
					 {"lowest_x", r[PLUS_MINUS].low},
					 {"highest_x", r[PLUS_MINUS].high},
					 {"results", r[PLUS_MINUS].results},
					 {"increments_lowest_x", r[INCREMENTS].low},
					 {"increments_highest_x", r[INCREMENTS].high},
					 {"increments_results", r[INCREMENTS].results},
					 {"states", r[PLUS_MINUS].states + r[INCREMENTS].states},
					 {"elapsed_ns", span_now() - begin_ns},
					 {p == GIL_LOCKED ? "locked_loses" : "as_expected",
					  p == GIL_LOCKED ? loses : loses == expected},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share expected = run_nonzero_in(run, 0, VARIANTS - 1, "as_expected");
	struct share loses = run_nonzero_in(run, 0, VARIANTS - 1, "loses");

	run_judge(
		run, "gil-check-between",
		all_of(always_happens(expected, (int64_t)run_bound(run, "enough_pairs")),
		       can_happen(loses), can_happen(share_rest(loses))),
		"in {expected} pairs of a program and rules the check points show whether updates can be lost; {loses} can lose",
		number_share("expected", expected), number_share("loses", loses));
}

static const char *shown(const struct reached *r)
{
	if (r->results == 1)
		return text_format(translated("only %lld"), (long long)r->low);
	return text_format(translated("%lld to %lld"), (long long)r->low, (long long)r->high);
}

static void print_table(struct run *run, int sign)
{
	FILE *out = run_out(run);

	fprintf(out, "\n  %-17s", sign == INCREMENTS ? "++" : "+/-");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			fprintf(out, " %*s", COLUMN, variants[v].name);
	for (size_t p = 0; p < GIL_PROGRAMS; p++) {
		fprintf(out, "\n  %-17s", gil_programs[p].python);
		for (size_t v = 0; v < VARIANTS; v++) {
			if (run_selected(run, v))
				text_pad(out, shown(&reached[v][p][sign]), -COLUMN - 1);
		}
	}
	fputc('\n', out);
}

static void draw(struct run *run)
{
	for (int sign = 0; sign < SIGNS; sign++)
		print_table(run, sign);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "checkpoints",
	.group = "gil",
	.order = 204,
	.summary = "Every schedule that CPython's check points allow: where can x end?",
	.intro =
		"Two threads, {iterations} updates each: +/-: one upwards, one downwards; ++: both upwards. Where x ends in all schedules with switches at check points only.",
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

	no_lock = run_sham(run, "no-lock");
	while (run_next(run))
		for (size_t p = 0; p < GIL_PROGRAMS && !run_stopped(); p++)
			measure(run, p);
	return run_end(run);
}
