/* SPDX-License-Identifier: MIT */
/*
 * cpython - the notes' program in every CPython found: x += 1 and x -= 1 in two threads.
 *
 * The global interpreter lock (GIL) lets one thread run at a time, and still x += 1 is several
 * opcodes: load, add, store.  Whether another thread can come in between depends on where the
 * interpreter offers the lock.  Up to 3.9 it did so after most opcodes, since 3.10 only at a
 * backward jump and at a call; so the same program loses updates in one version and not in the
 * next, and a call inside the update (x += f()) brings the losses back.
 *
 * Each interpreter runs cpython.py, with variants of the program, and with a lock as the control.
 * A model of the lock (gil.h) runs the same programs under the rules of each version: it says what
 * to expect, and why.  Where an interpreter drops the lock is sampled from a third thread, which
 * can only run while the others stand where they dropped it.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "gil_race.h"
#include "judge.h"
#include "language.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { POLICIES = GIL_FROM_310 + 1, SUBJECTS = PYTHONS + POLICIES, PLACES = 32, WORD = 32 };

/* All programs but the notes' are shorter, and so is the switch interval in them. */
enum { SHORTER = 8, SHORTER_INTERVAL = 10, SAMPLE_INTERVAL_US = 100 };

static const int64_t limit_ns = 60000000000; /* of one script */

/* By policy: whose rules they are, and the name of the model's variant. */
static const char *const rules[POLICIES] = {"no GIL", "2.7", "3.2 to 3.9", "since 3.10"};
static const char *const model_names[POLICIES] = {"model-nogil", "model-2.7", "model-3.9",
						  "model-3.10"};

/* Of gil_programs: the fields. */
static const struct column {
	const char *x, *elapsed;
} columns[GIL_PROGRAMS] = {
	[GIL_PLAIN] = {"plain_x", "plain_elapsed_ns"},
	[GIL_CALLS] = {"call_x", "call_elapsed_ns"},
	[GIL_CALL_FIRST] = {"call_first_x", "call_first_elapsed_ns"},
	[GIL_SPLIT] = {"split_x", "split_elapsed_ns"},
	[GIL_ATTRIBUTE] = {"attribute_x", "attribute_elapsed_ns"},
	[GIL_ITEM] = {"item_x", "item_elapsed_ns"},
	[GIL_LOCKED] = {"locked_x", "locked_elapsed_ns"},
};

/* Variant i is subjects[i]: an interpreter, or the model under its rules. */
static struct subject {
	const struct python *python; /* NULL = the model */
	enum gil_policy policy;
} subjects[SUBJECTS];
static size_t subjects_n;

static struct python pythons[PYTHONS];
static size_t pythons_n;
static struct variant variants[SUBJECTS + 1];

static const struct claim claims[] = {
	{"gil-checks",
	 "in builds with a GIL, since CPython 3.10 the plain program always prints 0, because the interpreter offers the GIL only at backward jumps and calls",
	 "older", REFUTED,
	 .why = {[HOLDS] =
			 "x += 1 loads, adds and stores. Up to 3.9 the GIL could change hands after each of these; since 3.10 only where the loop jumps back, or at a call, as in x += f()."}},
	{"gil-not-your-data",
	 "the GIL protects the interpreter, not the program's data: updates are lost under it",
	 "all-locked", NOT_SEEN},
	{0}};

static const struct row_field fields[] = {
	{"rules", "whose check points: 2.7, 3.2 to 3.9, since 3.10, no GIL", .text = true},
	{"iterations", "of each thread of x += 1"},
	{"short_iterations", "of the other programs"},
	{"plain_x", "x after x += 1; 0 is right", "x+=1", SHOW_NONZERO},
	{"call_x", "x after x += f(); 0 is right", "x+=f()", SHOW_NONZERO},
	{"call_first_x", "x after x = f() + x; 0 is right", "f()+x", SHOW_NONZERO},
	{"split_x", "x after t = x; x = t + 1; 0 is right", "t=x", SHOW_NONZERO},
	{"attribute_x", "x after o.x += 1; 0 is right", "o.x", SHOW_NONZERO},
	{"item_x", "x after l[0] += 1; 0 is right", "l[0]", SHOW_NONZERO},
	{"locked_x", "x after x += 1 with a lock around it", "lock", SHOW_NONZERO, .zero = true,
	 .sham = "no-lock"},
	{"drops", "of the GIL in x += 1: as sampled in CPython, all of them in the model"},
	{"drops_inside", "of these, after the load of x and before its store", "inside", SHOW_SHARE,
	 "drops"},
	{"plain_elapsed_ns", "of x += 1"},
	{"call_elapsed_ns", "of x += f()"},
	{"call_first_elapsed_ns", "of x = f() + x"},
	{"split_elapsed_ns", "of t = x; x = t + 1"},
	{"attribute_elapsed_ns", "of o.x += 1"},
	{"item_elapsed_ns", "of l[0] += 1"},
	{"locked_elapsed_ns", "of x += 1 with a lock around it"},
	{"opcode", "what the thread had done last", .row = "place", .text = true},
	{"inside", "1: between load and store", .row = "place"},
	{"drops", "of the GIL there", .row = "place"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3, "each has as many updates as an older one needs to lose some"},
	{"enough_calls", 8,
	 "each of x += f() loses updates mostly; less often where CPUs are busy"},
	{0}};

static const char *list;
static int64_t iterations; /* 0 = calibrated */
static int64_t interval_us = GIL_INTERVAL_US;
static int64_t places_ms = 100;

static const struct opt opts[] = {
	{0, "python", "these interpreters, comma-separated, not all that are found", .text = &list,
	 .metavar = "PATH,..."},
	{'n', "iterations", "updates of each thread; the others do an eighth", .num = &iterations,
	 .min = 0, .max = 100000000, .quick = 200000, .zero = "calibrated: a run takes 0.12 s"},
	{'i', "interval-us", "switch interval of the notes' program; a tenth of it in the others",
	 .num = &interval_us, .min = 1000, .max = 1000000, .quick = 1000},
	{0, "places", "how long to sample where the lock is dropped", .num = &places_ms, .min = 1,
	 .max = 10000, .quick = 25, .unit = OPT_MS},
	{0}};

/* What one trial of one subject gave. */
struct outcome {
	int64_t x[GIL_PROGRAMS], elapsed_ns[GIL_PROGRAMS];
	struct place {
		char opcode[WORD];
		int inside; /* 1: x is loaded there, and not stored yet */
		int64_t drops;
	} places[PLACES];
	size_t places_n;
};

static int64_t iterations_of(size_t program)
{
	return program == GIL_PLAIN ? iterations : (iterations + SHORTER - 1) / SHORTER;
}

static int64_t interval_of(size_t program)
{
	return program == GIL_PLAIN ? interval_us : interval_us / SHORTER_INTERVAL;
}

/* --- CPython ------------------------------------------------------------- */

/* One line of what cpython.py prints: "x PROGRAM X NS" or "place OPCODE INSIDE DROPS". */
static void read_line(struct outcome *out, char *line)
{
	const char *kind = strsep(&line, " ");
	const char *name = strsep(&line, " ");
	const char *first = strsep(&line, " ");
	const char *second = strsep(&line, " ");

	if (!second)
		return;
	if (strcmp(kind, "place") == 0 && out->places_n < PLACES) {
		struct place *place = &out->places[out->places_n++];

		snprintf(place->opcode, WORD, "%s", name);
		place->inside = *first == '1';
		place->drops = strtoll(second, NULL, 10);
		return;
	}
	for (size_t p = 0; p < GIL_PROGRAMS; p++)
		if (strcmp(gil_programs[p].name, name) == 0) {
			out->x[p] = strtoll(first, NULL, 10);
			out->elapsed_ns[p] = strtoll(second, NULL, 10);
		}
}

/* Runs the script; false if the run was stopped. */
static bool run_script(const struct python *python, const char *const *arguments,
		       struct outcome *out)
{
	char text[4096];
	char *rest = text;

	if (!python_run(python, python_script("gil/cpython.py"), arguments, text, sizeof(text),
			limit_ns))
		return false;
	for (char *line; (line = strsep(&rest, "\n"));)
		read_line(out, line);
	return true;
}

static bool measure_python(const struct subject *subject, struct outcome *out)
{
	const char *arguments[GIL_PROGRAMS + 5] = {0};
	size_t n = 0;

	for (size_t p = 0; p < GIL_PROGRAMS; p++) {
		if (p == GIL_PLAIN || p == GIL_PLAIN + 1)
			arguments[n++] = text_format("interval:%lld", (long long)interval_of(p));
		arguments[n++] =
			text_format("%s:%lld", gil_programs[p].name, (long long)iterations_of(p));
	}
	if (subject->python->gil) {
		arguments[n++] = text_format("interval:%d", SAMPLE_INTERVAL_US);
		arguments[n++] = text_format("places:%lld", (long long)places_ms);
	}
	return run_script(subject->python, arguments, out);
}

/* The iterations at which the notes' program takes 0.12 s, in an interpreter of middle age. */
static int64_t calibrate(const struct python *python)
{
	const int64_t tried = 500000;
	struct outcome out = {0};
	double ns;

	if (!run_script(python, (const char *[]){"plain:500000", NULL}, &out))
		return tried;
	ns = fmax((double)out.elapsed_ns[GIL_PLAIN] / (double)tried, 1);
	return (int64_t)fmin(fmax(round(120e6 / ns / 1e5), 2), 500) * 100000;
}

/* --- the model ----------------------------------------------------------- */

static bool measure_model(const struct subject *subject, struct outcome *out)
{
	/* twice as long: without the third thread, which asks for it too, it drops less often */
	struct gil_race places = {.policy = subject->policy,
				  .program = GIL_PLAIN,
				  .threads = GIL_RACE_THREADS,
				  .n = INT64_MAX,
				  .duration_ns = 2 * places_ms * 1000000,
				  .interval_us = SAMPLE_INTERVAL_US};

	for (size_t p = 0; p < GIL_PROGRAMS && !run_stopped(); p++) {
		struct gil_race race = {.policy = subject->policy,
					.program = (enum gil_programs)p,
					.threads = GIL_RACE_THREADS,
					.n = iterations_of(p),
					.interval_us = interval_of(p)};

		gil_race(&race);
		out->x[p] = race.x;
		out->elapsed_ns[p] = span_wall(&race.all);
	}
	if (subject->policy == GIL_NONE)
		return true;
	gil_race(&places);
	for (size_t op = 0; op < GIL_OPS; op++) {
		struct place *place = &out->places[out->places_n];

		place->drops = places.drops[op];
		place->inside =
			op == GIL_LOAD_GLOBAL || op == GIL_LOAD_CONST || op == GIL_INPLACE_ADD;
		snprintf(place->opcode, WORD, "%s", gil_op_names[op]);
		out->places_n += place->drops > 0;
	}
	return true;
}

/* --- one trial ----------------------------------------------------------- */

static void measure(struct run *run, const struct subject *subject)
{
	struct field row[2 * GIL_PROGRAMS + 8] = {
		{"rules", .text = rules[subject->policy]},
		{"iterations", iterations},
		{"short_iterations", iterations_of(GIL_PROGRAMS)}};
	struct outcome out = {0};
	int64_t drops = 0, inside = 0;
	size_t n = 3;

	if (!(subject->python ? measure_python : measure_model)(subject, &out))
		return;
	for (size_t i = 0; i < out.places_n; i++) {
		const struct place *place = &out.places[i];

		drops += place->drops;
		inside += place->inside ? place->drops : 0;
		run_row(run, "place",
			(struct field[]){{"opcode", .text = place->opcode},
					 {"inside", place->inside},
					 {"drops", place->drops},
					 {0}});
	}
	if (run_sham(run, "no-lock"))
		out.x[GIL_LOCKED] = out.x[GIL_CALLS];
	for (size_t p = 0; run_sham(run, "all-locked") && p < GIL_PROGRAMS; p++)
		out.x[p] = out.x[GIL_LOCKED];
	for (size_t p = 0; p < GIL_PROGRAMS; p++) {
		row[n++] = (struct field){columns[p].x, out.x[p]};
		row[n++] = (struct field){columns[p].elapsed, out.elapsed_ns[p]};
	}
	row[n++] = (struct field){"drops", drops};
	row[n++] = (struct field){"drops_inside", inside};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* An interpreter with a GIL that was run. */
static bool has_gil(struct run *run, size_t subject)
{
	return subjects[subject].python && subjects[subject].policy != GIL_NONE &&
	       run_selected(run, subject);
}

/* Trials that did not end at 0, of the interpreters whose check points are, or are not, 3.10's. */
static struct share wrong_of(struct run *run, bool since_310, size_t program)
{
	struct share all = {0};

	for (size_t i = 0; i < subjects_n; i++)
		if (has_gil(run, i) && (subjects[i].policy == GIL_FROM_310) == since_310)
			all = share_add(all, run_nonzero(run, i, columns[program].x));
	return all;
}

static void judge(struct run *run)
{
	struct share since = wrong_of(run, true, GIL_PLAIN);
	struct share before = wrong_of(run, false, GIL_PLAIN);
	struct share call = wrong_of(run, true, GIL_CALLS);
	struct share any = share_add(share_add(since, before),
				     share_add(call, wrong_of(run, false, GIL_CALLS)));
	size_t interpreters = 0;

	for (size_t i = 0; i < subjects_n; i++)
		interpreters += has_gil(run, i);
	run_judge(
		run, "gil-checks",
		since.n == 0
			? SKIPPED
			: all_of(never_happens(since, (int64_t)run_bound(run, "enough_trials")),
				 can_happen_in(call, (int64_t)run_bound(run, "enough_calls"))),
		since.n == 0
			? MESSAGE("no CPython since 3.10 with a GIL was run; in older ones x is not 0 in {before} trials")
			: MESSAGE("x is not 0 in {since} trials since 3.10, in {before} before; with x += f() since 3.10 in {call} ({interpreters} interpreters with a GIL)"),
		number_share("since", since), number_share("before", before),
		number_share("call", call), number_int("interpreters", (int64_t)interpreters));
	run_judge(
		run, "gil-not-your-data", interpreters == 0 ? SKIPPED : can_happen(any),
		interpreters == 0
			? MESSAGE("no CPython with a GIL was run")
			: MESSAGE("updates were lost in {any} trials of x += 1 and of x += f() with a GIL"),
		number_share("any", any));
	for (size_t i = 0; i < subjects_n; i++)
		if (subjects[i].python && subjects[i].policy == GIL_NONE)
			run_note(run, "{python} is free-threaded: the claims leave it out",
				 number_text("python", subjects[i].python->name));
}

/* The model under the rules of an interpreter: its index, or that of nothing that was run. */
static size_t model_of(const struct subject *subject)
{
	size_t i = 0;

	while (i < subjects_n && (subjects[i].python || subjects[i].policy != subject->policy))
		i++;
	return i;
}

/* Of the drops, the share between load and store; NAN if there is none. */
static double inside_share(struct run *run, size_t subject)
{
	return run_sum(run, subject, "drops_inside") / run_sum(run, subject, "drops");
}

/* How many trials of a program ended elsewhere than at 0. */
static size_t wrong(struct run *run, size_t subject, size_t program)
{
	return (size_t)run_nonzero(run, subject, columns[program].x).k;
}

/* How the model compares with the interpreters: losing programs, and shares of drops inside. */
static void print_likeness(struct run *run)
{
	size_t cases = 0, alike = 0;
	double points = 0;

	for (size_t i = 0; i < subjects_n; i++) {
		size_t model = model_of(&subjects[i]);

		if (!subjects[i].python || !run_selected(run, i) || model == subjects_n ||
		    !run_selected(run, model))
			continue;
		for (size_t p = 0; p < GIL_PROGRAMS; p++) {
			cases++;
			alike += (wrong(run, i, p) > 0) == (wrong(run, model, p) > 0);
		}
		points = fmax(points, 100 * fabs(inside_share(run, i) - inside_share(run, model)));
	}
	if (cases > 0)
		run_say(run,
			"The model and CPython agree in %zu of %zu cases on whether updates are lost; their shares of drops inside differ by %.0f points at most.",
			alike, cases, points);
}

static void draw(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "x at the end of every trial of x += 1:");
	for (size_t i = 0; i < subjects_n; i++)
		if (run_selected(run, i)) {
			fprintf(out, "  %-11s ", variants[i].name);
			text_values(out, 14, 14, run_values(run, i, columns[GIL_PLAIN].x));
		}
	print_likeness(run);
	fputs("\n", out);
}

static void add_subject(struct subject subject)
{
	const char *help = text_format("the model, with the rules of %s", rules[subject.policy]);
	struct variant *variant = &variants[subjects_n];

	if (subject.python)
		help = python_what(subject.python);
	variant->name = subject.python ? subject.python->name : model_names[subject.policy];
	variant->help = strdup(help);
	subjects[subjects_n++] = subject;
}

static enum gil_policy policy_of(const struct python *python)
{
	if (!python->gil)
		return GIL_NONE;
	if (python->major == 2 || python->minor < 2)
		return GIL_27;
	return python->minor < 10 ? GIL_UPTO_39 : GIL_FROM_310;
}

static void choose(void)
{
	bool needed[POLICIES] = {false};

	pythons_n = python_find(list, pythons);
	for (size_t i = 0; i < pythons_n; i++) {
		needed[policy_of(&pythons[i])] = true;
		add_subject((struct subject){&pythons[i], policy_of(&pythons[i])});
	}
	for (int policy = 0; policy < POLICIES; policy++)
		if (needed[policy])
			add_subject((struct subject){NULL, (enum gil_policy)policy});
}

static const struct experiment about = {
	.name = "cpython",
	.group = "gil",
	.order = 201,
	.summary = "x += 1 and x -= 1 in two threads of every CPython here: is 0 what it prints?",
	.intro =
		"Two threads update x, one upwards and one downwards, {iterations} times each in x += 1, an eighth of it in the others: in how many trials x was not 0.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
	.scatter = "plain_elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *lacking = python_lacking(pythons_n, "CPython", "gil/cpython.py");

	if (lacking)
		return run_skip(run, "%s", lacking);
	if (iterations == 0)
		iterations = calibrate(&pythons[pythons_n / 2]);
	while (run_next(run)) {
		struct subject subject = subjects[run_variant(run)];

		if (run_sham(run, "older") && subject.policy == GIL_FROM_310)
			subject = (struct subject){NULL, GIL_UPTO_39};
		measure(run, &subject);
	}
	return run_end(run);
}
