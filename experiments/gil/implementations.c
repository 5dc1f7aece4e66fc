/* SPDX-License-Identifier: MIT */
/*
 * implementations - has each Python a global interpreter lock?
 *
 * Under a GIL one thread at a time runs, so two that only compute have one CPU at work together: their CPU
 * time is little more than the wall time.  So much is counted here, for two threads of every Python found that
 * count each for itself, and for two in C, without which it is unknown whether two CPUs were to be had.
 *
 * The notes' program beside it (x += 1 and x -= 1 in two threads) tells less: x is wrong without a GIL, and
 * with one in CPython up to 3.9.  PyPy compiles its loop, and a compiled loop offers the GIL rarely; the
 * variant nojit is without its compiler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/counting.h"
#include "python.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { IN_C, VARIANTS = 1 + 2 * PYTHONS, NAME = 40, PAIR = 2 };

static struct variant variants[VARIANTS + 1] = {{"c", "two threads in C (control)"}};
static char names[VARIANTS][NAME];
static struct python pythons[PYTHONS];
static size_t pythons_n;
static const struct python *python_of[VARIANTS]; /* of each variant but the first one */
static bool nojit[VARIANTS];
static size_t variants_n = 1, kinds;

static const struct claim claims[] = {
	{"gil-implementations", "of CPython, Jython, PyPy and IronPython not each has a GIL",
	 "in-turns", NOT_SEEN,
	 .why = {[HOLDS] =
			 "the GIL is no part of the language. It is how CPython and PyPy protect their own objects; Jython and IronPython leave that to the virtual machine below them, and free-threaded CPython to locks and counts of each object."}},
	{0}};

static const struct row_field fields[] = {
	{"cpu_ns", "CPU time of two threads that count each for itself; if the kernel tells",
	 "CPUs at|work", SHOW_MEDIAN, "elapsed_ns"},
	{"elapsed_ns", "from the first one's begin to the last one's end"},
	{"parallel", "1: more than one CPU worked at once", "more|than one", SHOW_NONZERO},
	{"notes_x", "x after x += 1 and x -= 1 in two threads; 0 is right", "x is|not 0",
	 SHOW_NONZERO},
	{"notes_updates", "of x, by both"},
	{"own_wrong", "by how much an x that only one thread updates is wrong", .zero = true,
	 .sham = "forget"},
	{0}};

static const struct bound bounds[] = {
	{"parallel_times", 1.5,
	 "CPU time over wall time: two CPUs are 2; one, and what a GIL costs to hand over, up to 1.3 in 2.7"},
	{"enough_trials", 3,
	 "where two threads in C had more than one CPU each time, two without a GIL had, too"},
	{0}};

static const char *list;
static int64_t iterations = 1000000;
static int64_t duration_ms = 100;

static const struct opt opts[] = {
	{0, "python", "these interpreters, comma-separated, not all that are found", .text = &list,
	 .metavar = "PATH,..."},
	{'n', "iterations", "updates of each thread of the notes' program", .num = &iterations,
	 .min = 1, .max = 100000000, .quick = 200000},
	{'d', "duration", "of two threads that count each for itself", .num = &duration_ms,
	 .min = 1, .max = 10000, .quick = 40, .unit = OPT_MS},
	{0}};

/* --- one trial ----------------------------------------------------------- */

static void count_until(int member, void *argument)
{
	int64_t deadline_ns = *(int64_t *)argument;

	(void)member;
	while (span_now() < deadline_ns)
		;
}

static struct counted in_c(void)
{
	int64_t deadline_ns = span_now() + duration_ms * 1000000;
	struct team team;
	struct span all;

	team_start(&team, PAIR, TEAM_FREE, count_until, &deadline_ns);
	all = team_join(&team);
	return (struct counted){.cpu_ns = all.cpu_ns, .elapsed_ns = span_wall(&all)};
}

/* Each for itself, and the notes' program; false if the run was stopped. */
static bool in_python(const struct run *run, struct counted counted[2])
{
	size_t variant = run_variant(run);
	const char *way = run_sham(run, "in-turns") ? "locked" : "own";
	const char *const arguments[] = {
		"nojit", text_format("%s:%d:%lld:1000", way, PAIR, (long long)duration_ms),
		text_format("shared:%d:0:%lld", PAIR, (long long)iterations), NULL};

	return counting_run(python_of[variant], &arguments[nojit[variant] ? 0 : 1], counted, 2);
}

static void measure(struct run *run)
{
	struct counted counted[2] = {0};
	struct counted *own = &counted[0], *notes = &counted[1];
	bool python = run_variant(run) != IN_C;
	struct field row[8] = {0};
	size_t n = 0;

	if (!python)
		*own = in_c();
	else if (!in_python(run, counted))
		return;
	if (run_sham(run, "forget"))
		own->wrong++;
	row[n++] = (struct field){"elapsed_ns", own->elapsed_ns};
	row[n++] = (struct field){"own_wrong", own->wrong};
	if (python) {
		row[n++] = (struct field){"notes_x", notes->wrong};
		row[n++] = (struct field){"notes_updates", notes->updates};
	}
	if (own->cpu_ns >= 0) {
		row[n++] = (struct field){"cpu_ns", own->cpu_ns};
		row[n++] = (struct field){"parallel",
					  (double)own->cpu_ns > run_bound(run, "parallel_times") *
									(double)own->elapsed_ns};
	}
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* How many trials were parallel, of the interpreters with some, or with none; and who these are. */
static struct share parallel_in(struct run *run, bool some, char **names_of)
{
	struct share all = {0};
	const char *comma = "";
	size_t size;
	FILE *out = check_alloc(open_memstream(names_of, &size));

	for (size_t v = 1; v < variants_n; v++) {
		struct share trials = run_nonzero(run, v, "parallel");

		if (trials.n == 0 || (trials.k > 0) != some)
			continue;
		all = share_add(all, trials);
		fprintf(out, "%s%s", comma, variants[v].name);
		comma = ", ";
	}
	if (all.n == 0)
		fputs(MESSAGE("none"), out);
	fclose(out);
	return all;
}

static const char *why_skipped(void)
{
	if (run_cpus() < 2)
		return MESSAGE("it takes several CPUs, and there is one");
	return kinds < 2
		       ? MESSAGE("it takes another Python than CPython with a GIL: Jython, IronPython, free-threaded CPython or PyPy were not found; --python names one")
		       : NULL;
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	const char *skipped = why_skipped();
	char *with, *without;
	struct share c = run_nonzero(run, IN_C, "parallel");
	struct share some = parallel_in(run, true, &without);
	struct share none = parallel_in(run, false, &with);

	enum verdict seen = can_happen_in(share_add(some, none), enough);

	run_judge(
		run, "gil-implementations",
		skipped ? SKIPPED : any_of(seen, only_if(always_happens(c, enough), seen)),
		skipped ? skipped
			: MESSAGE("more than one CPU was at work in {some} trials of {without}, in {none} of the others ({with}), in {c} of two threads in C"),
		number_share("some", some), number_text("without", without),
		number_share("none", none), number_text("with", with), number_share("c", c));
	free(with);
	free(without);
}

static void add_variant(const struct python *python, bool without_compiler)
{
	size_t v = variants_n++;

	snprintf(names[v], NAME, "%s%s", python->name, without_compiler ? "-nojit" : "");
	variants[v] = (struct variant){names[v], without_compiler ? "PyPy without its compiler"
								  : python_what(python)};
	python_of[v] = python;
	nojit[v] = without_compiler;
}

static void choose(void)
{
	pythons_n = python_find_any(list, pythons);
	for (size_t i = 0; i < pythons_n; i++) {
		add_variant(&pythons[i], false);
		if (strcmp(pythons[i].kind, "pypy") == 0)
			add_variant(&pythons[i], true);
		kinds += i == 0 || strcmp(pythons[i].kind, pythons[i - 1].kind) != 0 ||
			 pythons[i].gil != pythons[i - 1].gil;
	}
}

static const struct experiment about = {
	.name = "implementations",
	.group = "gil",
	.order = 207,
	.summary = "Which Python has a GIL?",
	.intro =
		"Two threads count for {duration_ms}, each for itself; then the notes' program, {iterations} updates of each thread.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 3,
	.quick_trials = 1,
	.limit_s = 180,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *lacking = python_lacking(pythons_n, "Python", COUNTING);

	if (lacking)
		return run_skip(run, "%s", lacking);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
