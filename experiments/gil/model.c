/* SPDX-License-Identifier: MIT */
/*
 * model - x += 1 in one thread, x -= 1 in the other, as bytecode under a model of CPython's GIL.
 *
 * The GIL lets one thread at a time interpret bytecode, so no opcode is cut in two.  But x += 1 is
 * several opcodes, and whether the lock may change hands between the load of x and its store is up
 * to the interpreter's check points (gil.h has the lock):
 *
 *	ticker-2.7      the lock is offered every 100 opcodes, after whichever opcode that is
 *	up-to-3.9       it is asked for after a switch interval, and dropped after nearly any opcode
 *	from-3.10       the same lock, dropped only at a backward jump or a call: x += 1 has neither
 *			between its load and its store
 *	from-3.10-call  x += f(): here the call lies between the two
 *	none            no lock, and nothing in its place that protects x
 *	mutex           the control: up-to-3.9 with a lock of the program's own around the update
 *
 * A thread that is stopped after its load stores, a slice later, a sum that knows nothing of the
 * other thread's slice: all L updates of it are undone.  So x ends a random walk, and its root mean
 * square is c * sqrt(2 N L) for N updates of each thread.  Of c: slice k builds on slice k - 2 if
 * its thread was stopped inside the update there (share p of the drops), else on slice k - 1.  Back
 * from the last slice that is a chain of slices, 1 / (1 + p) of all, each of the same sign as the
 * one before with probability p; such a chain of steps of +-L has the variance p / (1 - p) * L^2 a
 * step.  So c = sqrt(p / (1 - p^2)) for many slices of one length: the column "walk".
 */
#include <math.h>
#include <string.h>

#include "exp.h"
#include "gil_race.h"
#include "judge.h"
#include "span.h"
#include "text.h"

enum {
	TICKER,
	UPTO,
	FROM,
	CALL,
	FREE,
	LOCKED,
	VARIANTS,
	LOGGED = 1000,       /* of each variant's time line, at most */
	LINE_INTERVALS = 12, /* the time line's length in switch intervals */
	LINE_COLUMNS = 60,
};

static const struct variant variants[] = {
	[TICKER] = {"ticker-2.7", "a ticker of 100 opcodes; most opcodes count (loses)"},
	[UPTO] = {"up-to-3.9", "a switch interval; most opcodes check (loses)"},
	[FROM] = {"from-3.10", "only a backward jump and a call check"},
	[CALL] = {"from-3.10-call", "the same, for x += f() (loses)"},
	[FREE] = {"none", "no lock: threads run freely (loses)"},
	[LOCKED] = {"mutex", "up-to-3.9 with a lock around the update (control)"},
	{0}};

static const struct {
	enum gil_policy policy;
	enum gil_programs program;
} setups[VARIANTS] = {
	[TICKER] = {GIL_27, GIL_PLAIN},     [UPTO] = {GIL_UPTO_39, GIL_PLAIN},
	[FROM] = {GIL_FROM_310, GIL_PLAIN}, [CALL] = {GIL_FROM_310, GIL_CALLS},
	[FREE] = {GIL_NONE, GIL_PLAIN},     [LOCKED] = {GIL_UPTO_39, GIL_LOCKED},
};

/* The opcodes after which one of these programs can lose the lock, and their fields. */
static const struct {
	enum gil_op op;
	const char *field;
} places[] = {{GIL_FOR_ITER, "drops_for_iter"},
	      {GIL_LOAD_GLOBAL, "drops_load_global"},
	      {GIL_CALL, "drops_call"},
	      {GIL_INPLACE_ADD, "drops_inplace_add"},
	      {GIL_STORE_GLOBAL, "drops_store_global"},
	      {GIL_JUMP, "drops_jump"},
	      {GIL_ACQUIRE, "drops_acquire"},
	      {GIL_RELEASE, "drops_release"}};

enum { PLACES = sizeof(places) / sizeof(places[0]) };

static const struct claim claims[] = {
	{"gil-checks",
	 "in builds with a GIL, since CPython 3.10 the plain program always prints 0, because the interpreter offers the GIL only at backward jumps and calls",
	 "from-3.10=up-to-3.9", REFUTED,
	 .why = {[HOLDS] =
			 "from 3.10 on the lock is dropped only after a store, unless a call lies in between the load of x and its store."}},
	{"gil-not-your-data",
	 "the GIL protects the interpreter, not the program's data: updates are lost under it",
	 "*=from-3.10", NOT_SEEN,
	 .why = {[HOLDS] =
			 "a thread that loses the lock between the load of x and its store undoes, when it goes on, all that the other one has done in its slice."}},
	{0}};

static const struct row_field fields[] = {
	{"program", "the line of Python", .text = true},
	{"iterations", "of each of the two threads; mutex: a quarter"},
	{"final_x", "at the end", "x != 0", SHOW_NONZERO},
	{"locked_x", "at the end, where a lock is around the update", .zero = true,
	 .sham = "mutex=up-to-3.9"},
	{"switches", "how often the lock went to the other thread", "switches"},
	{"drops", "how often the lock was dropped", "drops"},
	{"drops_inside", "of these, between the load of x and its store", "inside", SHOW_SHARE,
	 "drops"},
	{"drops_for_iter", "after this opcode", "FOR_|ITER", SHOW_SHARE, "drops"},
	{"drops_load_global", "after this opcode", "LOAD_|GLOBAL", SHOW_SHARE, "drops"},
	{"drops_call", "after this opcode", "|CALL", SHOW_SHARE, "drops"},
	{"drops_inplace_add", "after this opcode", "INPLACE|_ADD", SHOW_SHARE, "drops"},
	{"drops_store_global", "after this opcode", "STORE_|GLOBAL", SHOW_SHARE, "drops"},
	{"drops_jump", "after this opcode", "|JUMP", SHOW_SHARE, "drops"},
	{"drops_acquire", "after calls of the program's own lock"},
	{"drops_release", "after calls of the program's own lock"},
	{"elapsed_ns", "of both threads"},
	{"cpu_ns", "CPU time of both threads"},
	{"thread", "0 adds, 1 subtracts", .row = "hold"},
	{"begin_ns", "since the first thread began: it took the lock, or ran", .row = "hold"},
	{"end_ns", "another thread took the lock", .row = "hold"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3,
	 "each drops the lock a dozen times; up to 3.9 every one of them ends wrong"},
	{0}};

static int64_t iterations; /* 0 = calibrated */
static int64_t interval_us = GIL_INTERVAL_US;
static bool no_forced_switching;

static const struct opt opts[] = {{'n', "iterations", "updates of each thread (mutex: a quarter)",
				   .num = &iterations, .max = 1000000000, .quick = 200000,
				   .zero = "calibrated: 25 switch intervals, 125 to 400 ms"},
				  {'i', "interval-us", "the switch interval in microseconds",
				   .num = &interval_us, .min = 10, .max = 1000000},
				  {0, "no-forced-switching",
				   "whoever drops the lock does not wait until another has it",
				   .flag = &no_forced_switching},
				  {0}};

/* Who held the lock in the first trial of each variant but the control. */
static struct line {
	struct gil_hold holds[LOGGED];
	size_t n;
	int64_t zero_ns; /* when the first thread began */
} lines[VARIANTS];

/* Runs n updates in each of so many threads; line = NULL keeps no time line. */
static struct gil_race measure(size_t variant, int threads, int64_t n, struct line *line)
{
	struct gil_race race = {.policy = setups[variant].policy,
				.program = setups[variant].program,
				.threads = threads,
				.n = n,
				.interval_us = interval_us,
				.no_forced_switching = no_forced_switching,
				.holds = line ? line->holds : NULL,
				.room = LOGGED};

	gil_race(&race);
	if (line) {
		line->n = race.holds_n;
		line->zero_ns = race.all.begin_ns;
	}
	return race;
}

/*
 * The iterations at which both threads together take 25 switch intervals of CPU time, but at least
 * 125 and at most 400 ms.
 */
static int64_t calibrate(void)
{
	int64_t trial_ns = 25 * interval_us * 1000;

	trial_ns = trial_ns < 125000000 ? 125000000 : trial_ns > 400000000 ? 400000000 : trial_ns;
	for (int64_t n = 1000;; n *= 2) {
		struct gil_race alone = measure(UPTO, 1, n, NULL);

		if (alone.all.cpu_ns >= 5000000)
			return trial_ns / GIL_RACE_THREADS * n / alone.all.cpu_ns + 1;
	}
}

/* Each update of the mutex costs several times as much: fewer of them make a trial as long. */
static int64_t iterations_of(size_t variant)
{
	return variant == LOCKED ? (iterations + 3) / 4 : iterations;
}

static void record_line(struct run *run, const struct line *line)
{
	for (size_t i = 0; i < line->n; i++) {
		int64_t begin_ns = line->holds[i].begin_ns - line->zero_ns;

		if (begin_ns > LINE_INTERVALS * interval_us * 1000)
			continue;
		run_row(run, "hold",
			(struct field[]){{"thread", line->holds[i].thread},
					 {"begin_ns", begin_ns},
					 {"end_ns", line->holds[i].end_ns - line->zero_ns},
					 {0}});
	}
}

static void record(struct run *run)
{
	size_t variant = run_variant(run);
	struct line *line = run_trial(run) == 0 && variant != LOCKED ? &lines[variant] : NULL;
	int64_t n = iterations_of(variant);
	struct gil_race race = measure(variant, GIL_RACE_THREADS, n, line);
	struct field row[18] = {{"program", .text = gil_programs[setups[variant].program].python},
				{"iterations", n},
				{"final_x", race.x},
				{"switches", race.switches},
				{"elapsed_ns", span_wall(&race.all)},
				{"cpu_ns", race.all.cpu_ns},
				{"drops_inside", race.drops_inside}};
	size_t used = 7;
	int64_t drops = 0;

	for (size_t i = 0; i < PLACES; i++) {
		row[used++] = (struct field){places[i].field, race.drops[places[i].op]};
		drops += race.drops[places[i].op];
	}
	row[used++] = (struct field){"drops", drops};
	if (run_label(run) == LOCKED)
		row[used++] = (struct field){"locked_x", race.x};
	run_record(run, row);
	if (line)
		record_line(run, line);
}

/* --- judge --------------------------------------------------------------- */

/* The drops of the variants whose lock is dropped after a switch interval, or their switches. */
static struct number sum_of(struct run *run, const char *field)
{
	return number_real(field, run_sum(run, UPTO, field) + run_sum(run, FROM, field) +
					  run_sum(run, CALL, field));
}

/* Each claim reads its evidence anew: so the library knows what it lacks under --variants. */
static void judge(struct run *run)
{
	struct share from = run_nonzero(run, FROM, "final_x");
	struct share upto = run_nonzero(run, UPTO, "final_x");
	struct share call = run_nonzero(run, CALL, "final_x");
	struct share racy;

	run_judge(
		run, "gil-checks",
		all_of(never_happens(from, (int64_t)run_bound(run, "enough_trials")),
		       can_happen(upto), can_happen(call),
		       can_happen(run_nonzero(run, FROM, "drops"))),
		"in the model x was wrong in {from} trials from 3.10 on, though the lock was dropped {drops} times; in {upto} up to 3.9, and in {call} with a call",
		number_share("from", from), number_share("upto", upto), number_share("call", call),
		number_real("drops", run_sum(run, FROM, "drops")));
	racy = share_add(
		run_nonzero(run, TICKER, "final_x"),
		share_add(run_nonzero(run, UPTO, "final_x"), run_nonzero(run, CALL, "final_x")));
	run_judge(
		run, "gil-not-your-data", can_happen(racy),
		"in the model {racy} trials under a GIL that can be dropped between load and store ended elsewhere than at 0",
		number_share("racy", racy));
	if (no_forced_switching)
		run_note(
			run,
			"without forced switching {drops} drops made {switches} switches: whoever dropped the lock often had it again before the other one woke up",
			sum_of(run, "drops"), sum_of(run, "switches"));
}

/* The root mean square of x. */
static double rms(struct values xs)
{
	double squares = 0;

	for (size_t i = 0; i < xs.n; i++)
		squares += (double)xs.at[i] * (double)xs.at[i];
	return sqrt(squares / (double)xs.n);
}

/* Iterations in a slice: of both threads, between two switches. */
static double slice_of(struct run *run, size_t variant)
{
	struct values switches = run_values(run, variant, "switches");

	return (double)switches.n * GIL_RACE_THREADS * (double)iterations_of(variant) /
	       (stats_sum(switches) + (double)switches.n);
}

static double law_factor(struct run *run, size_t variant)
{
	return rms(run_values(run, variant, "final_x")) /
	       sqrt(2 * (double)iterations_of(variant) * slice_of(run, variant));
}

/* What a walk of equal slices would make of the share of drops inside the update. */
static double walk_factor(double inside)
{
	return sqrt(inside / (1 - inside * inside));
}

/* How full a column of the time line is of a thread's holding the lock: 0 to 8. */
static int held(const struct line *line, int thread, int64_t begin_ns, int64_t end_ns)
{
	int64_t sum = 0;

	for (size_t i = 0; i < line->n; i++) {
		int64_t from = line->holds[i].begin_ns - line->zero_ns;
		int64_t to = line->holds[i].end_ns - line->zero_ns;

		from = from > begin_ns ? from : begin_ns;
		to = to < end_ns ? to : end_ns;
		if (line->holds[i].thread == thread && to > from)
			sum += to - from;
	}
	return (int)((sum * 8 + (end_ns - begin_ns) / 2) / (end_ns - begin_ns));
}

static void print_line(struct run *run, size_t v)
{
	int64_t column_ns = LINE_INTERVALS * interval_us * 1000 / LINE_COLUMNS;
	const struct line *line = &lines[v];
	int64_t end_ns = line->n ? line->holds[line->n - 1].end_ns - line->zero_ns : 0;

	for (int thread = 0; line->n && thread < GIL_RACE_THREADS; thread++) {
		fprintf(run_out(run), "  %-11s %s ", thread ? "" : variants[v].name,
			thread ? "x -=" : "x +=");
		for (int i = 0; i < LINE_COLUMNS && i * column_ns < end_ns; i++)
			fputs(text_bar(held(line, thread, i * column_ns, (i + 1) * column_ns)),
			      run_out(run));
		fputs("\n", run_out(run));
	}
}

static void print_lines(struct run *run)
{
	if (!run_selected(run, TICKER) && !run_selected(run, UPTO))
		return;
	run_say(run,
		"Who held the lock in the first %s of the first trial (as far as logged); a "
		"column is %s:",
		text_time((double)(LINE_INTERVALS * interval_us) * 1000),
		text_time((double)(LINE_INTERVALS * interval_us) * 1000 / LINE_COLUMNS));
	print_line(run, TICKER);
	print_line(run, UPTO);
	fputs("\n", run_out(run));
}

/* How far x comes, against a random walk of slices: rms x = c sqrt(2 N L). */
static void print_law(struct run *run)
{
	for (size_t v = TICKER; v <= CALL; v++) {
		double inside = run_sum(run, v, "drops_inside") / run_sum(run, v, "drops");

		if (run_selected(run, v) && inside > 0 && inside < 1)
			run_say(run,
				"%s: rms x is %s, %.2f times sqrt(2 N L) with L = %s iterations a slice; a walk of equal slices makes %.2f.",
				variants[v].name,
				text_count((int64_t)rms(run_values(run, v, "final_x"))),
				law_factor(run, v), text_count((int64_t)slice_of(run, v)),
				walk_factor(inside));
	}
	fputc('\n', run_out(run));
}

static void draw(struct run *run)
{
	print_law(run);
	print_lines(run);
}

static const struct experiment about = {
	.name = "model",
	.group = "gil",
	.order = 203,
	.summary =
		"A model of CPython's GIL: where is it dropped, and what does that do to x += 1?",
	.intro =
		"One thread adds 1 to x, the other subtracts 1, {iterations} times each, as bytecode; switch interval {interval_us}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 10,
	.quick_trials = 3,
	.judge = judge,
	.draw = draw,
	.scatter = "elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (iterations == 0)
		iterations = calibrate();
	while (run_next(run))
		record(run);
	return run_end(run);
}
