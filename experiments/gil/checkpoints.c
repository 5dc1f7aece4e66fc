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
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "old.h"
#include "gil.h"
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
	{"gil-check-between", "updates can be lost just where the interpreter may offer the GIL "
			      "between the load of x and its store"},
	{0}};

static int64_t iterations = 3;

static const struct opt opts[] = {
	{'n', "iterations", "updates of each thread", .num = &iterations, .min = 1, .max = MOST_N},
	{0}};

static const struct experiment about = {
	.name = "checkpoints",
	.group = "gil",
	.summary = "Every schedule that CPython's check points allow: where can x end?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 1,
	.quick_trials = 1,
};

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

/* Lets a thread go on to its next check point, to its end, or to a lock that the other one has. */
static struct state go_on(const struct search *s, struct state now, int who)
{
	while (now.at[who] < s->n * s->length) {
		enum gil_op op = s->program->code[now.at[who] % s->length];

		if (op == GIL_ACQUIRE && now.owner != NOBODY)
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
	s.visited = calloc(index_of(&s, &last) + 1, sizeof(*s.visited));
	s.ends = calloc((size_t)s.xs, sizeof(*s.ends));
	if (!s.visited || !s.ends)
		err(EXIT_USAGE, "calloc");
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

	for (int sign = 0; sign < SIGNS; sign++)
		r[sign] = explore(policy, program, sign);
	run_record(run, (struct field[]){{"program", .text = program->python},
					 {"iterations", iterations},
					 {"between", between(policy, program)},
					 {"locked", p == GIL_LOCKED},
					 {"lowest_x", r[PLUS_MINUS].low},
					 {"highest_x", r[PLUS_MINUS].high},
					 {"results", r[PLUS_MINUS].results},
					 {"increments_lowest_x", r[INCREMENTS].low},
					 {"increments_highest_x", r[INCREMENTS].high},
					 {"increments_results", r[INCREMENTS].results},
					 {"states", r[PLUS_MINUS].states + r[INCREMENTS].states},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
}

/* --- report --------------------------------------------------------------- */

static const char *shown(const struct reached *r)
{
	if (r->results == 1)
		return text_format("only %lld", (long long)r->low);
	return text_format("%lld to %lld", (long long)r->low, (long long)r->high);
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
		for (size_t v = 0; v < VARIANTS; v++)
			if (run_selected(run, v))
				fprintf(out, " %*s", COLUMN, shown(&reached[v][p][sign]));
	}
	fputc('\n', out);
}

static void judge(struct run *run)
{
	int64_t cases = 0, losing = 0, other = 0;

	for (size_t v = 0; v < VARIANTS; v++) {
		struct values expected = run_values(run, v, "between");
		struct values locked = run_values(run, v, "locked");
		struct values results = run_values(run, v, "results");
		struct values increments = run_values(run, v, "increments_results");

		for (size_t i = 0; i < results.n; i++) {
			bool loses = results.at[i] > 1 || increments.at[i] > 1;

			if (locked.at[i]) {
				old_control(run, !loses, "%s: with a lock around it x can be wrong",
					    variants[v].name);
				continue;
			}
			cases++;
			losing += loses;
			other += loses != expected.at[i];
		}
	}
	old_verdict(run, "gil-check-between", other ? REFUTED : HOLDS,
		    (struct field[]){{"cases", cases},
				     {"that_can_lose", losing},
				     {"other_than_told", other},
				     {0}},
		    "%lld of %lld pairs of a program and rules can lose updates; their check "
		    "points told which in %lld",
		    (long long)losing, (long long)cases, (long long)(cases - other));
}

static void report(struct run *run)
{
	run_say(run,
		"Two threads, %lld updates each: +/-: one upwards, one downwards; ++: both "
		"upwards. Where x ends in all schedules with switches at check points only:",
		(long long)iterations);
	for (int sign = 0; sign < SIGNS; sign++)
		print_table(run, sign);
	fputc('\n', run_out(run));
	judge(run);
	old_why(run, "from 3.10 on nothing between the load of x and its store is a check point, "
		     "but for a call: x += f() can lose, and x = f() + x, which calls before it "
		     "loads, cannot.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		for (size_t p = 0; p < GIL_PROGRAMS && !run_stopped(); p++)
			measure(run, p);
	return old_end(run, report);
}
