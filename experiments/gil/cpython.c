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
#include "old.h"
#include "gil_race.h"
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

/* Of gil_programs: the head of the column, and the fields. */
static const struct column {
	const char *head, *x, *elapsed;
} columns[GIL_PROGRAMS] = {
	[GIL_PLAIN] = {"x+=1", "plain_x", "plain_elapsed_ns"},
	[GIL_CALLS] = {"x+=f()", "call_x", "call_elapsed_ns"},
	[GIL_CALL_FIRST] = {"f()+x", "call_first_x", "call_first_elapsed_ns"},
	[GIL_SPLIT] = {"t=x", "split_x", "split_elapsed_ns"},
	[GIL_ATTRIBUTE] = {"o.x", "attribute_x", "attribute_elapsed_ns"},
	[GIL_ITEM] = {"l[0]", "item_x", "item_elapsed_ns"},
	[GIL_LOCKED] = {"lock", "locked_x", "locked_elapsed_ns"},
};

/* Variant i is subjects[i]: an interpreter, or the model under its rules. */
static struct subject {
	const struct python *python; /* NULL = the model */
	enum gil_policy policy;
} subjects[SUBJECTS];
static size_t subjects_n;

static struct python pythons[PYTHONS];
static struct variant variants[SUBJECTS + 1];

static const struct claim claims[] = {
	{"gil-not-your-data",
	 "the GIL protects the interpreter, not the program's data: updates are lost under it"},
	{"gil-checks", "since CPython 3.10 the plain program always prints 0, because the "
		       "interpreter offers the GIL only at backward jumps and calls"},
	{0}};

static const char *list;
static int64_t iterations; /* 0 = calibrated */
static int64_t interval_us = GIL_INTERVAL_US;
static int64_t places_ms = 150;

static const struct opt opts[] = {
	{0, "python", "these interpreters, comma-separated, not all that are found", .text = &list,
	 .metavar = "PATH,..."},
	{'n', "iterations", "updates of each thread; the others do an eighth", .num = &iterations,
	 .min = 0, .max = 100000000, .quick = 600000, .zero = "calibrated: a run takes 0.15 s"},
	{'i', "interval-us", "switch interval of the notes' program; a tenth of it in the others",
	 .num = &interval_us, .min = 1000, .max = 1000000, .quick = 1000},
	{0, "places", "how long to sample where the lock is dropped", .num = &places_ms, .min = 1,
	 .max = 10000, .quick = 40, .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "cpython",
	.group = "gil",
	.summary = "x += 1 and x -= 1 in two threads of every CPython here: is 0 what it prints?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
	.scatter = "plain_elapsed_ns",
};

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
			limit_ns)) {
		if (run_stopped())
			return false;
		exit(EXIT_USAGE); /* python_run() has said why */
	}
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

/* The iterations at which the notes' program takes 0.15 s, in an interpreter of middle age. */
static int64_t calibrate(const struct python *python)
{
	const int64_t tried = 500000;
	struct outcome out = {0};
	double ns;

	if (!run_script(python, (const char *[]){"plain:500000", NULL}, &out))
		return tried;
	ns = fmax((double)out.elapsed_ns[GIL_PLAIN] / (double)tried, 1);
	return (int64_t)fmin(fmax(round(150e6 / ns / 1e5), 2), 500) * 100000;
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
	struct field fields[2 * GIL_PROGRAMS + 8] = {
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
	for (size_t p = 0; p < GIL_PROGRAMS; p++) {
		fields[n++] = (struct field){columns[p].x, out.x[p]};
		fields[n++] = (struct field){columns[p].elapsed, out.elapsed_ns[p]};
	}
	fields[n++] = (struct field){"drops", drops};
	fields[n++] = (struct field){"drops_inside", inside};
	run_record(run, fields);
}

/* --- report -------------------------------------------------------------- */

/* How many trials of a program ended elsewhere than at 0. */
static size_t wrong(struct run *run, size_t subject, size_t program)
{
	return stats_nonzero(run_values(run, subject, columns[program].x));
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

static void print_subject(struct run *run, size_t subject)
{
	FILE *out = run_out(run);
	struct values xs = run_values(run, subject, columns[GIL_PLAIN].x);
	double inside = inside_share(run, subject);

	for (size_t i = 0; i < xs.n; i++)
		xs.at[i] = llabs(xs.at[i]);
	fprintf(out, "  %-11s", variants[subject].name);
	for (size_t p = 0; p < GIL_PROGRAMS; p++)
		fprintf(out, " %6zu", wrong(run, subject, p));
	fprintf(out, " %9s %7s\n", text_count((int64_t)stats_quantile(xs, 0.5)),
		isnan(inside) ? "-" : text_share(inside));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);
	size_t trials = 0;

	for (size_t i = 0; i < subjects_n && trials == 0; i++)
		trials = run_values(run, i, columns[GIL_PLAIN].x).n;
	run_say(run,
		"Two threads update x, one upwards and one downwards: x += 1 %s times each, the "
		"others %s. How many of %zu trials did not end at 0; |x|: the median after x += 1; "
		"inside: how many of the times that the GIL was dropped in x += 1 were after the "
		"load and before the store.",
		text_count(iterations), text_count(iterations_of(GIL_PROGRAMS)), trials);
	fprintf(out, "\n  %-11s", "CPython");
	for (size_t p = 0; p < GIL_PROGRAMS; p++)
		fprintf(out, " %6s", columns[p].head);
	fprintf(out, " %9s %7s\n", "|x|", "inside");
	for (size_t i = 0; i < subjects_n; i++)
		if (run_selected(run, i))
			print_subject(run, i);
	fprintf(out, "\n  x at the end of every trial of x += 1:\n");
	for (size_t i = 0; i < subjects_n; i++)
		if (run_selected(run, i)) {
			fprintf(out, "  %-11s ", variants[i].name);
			text_values(out, 14, 14, run_values(run, i, columns[GIL_PLAIN].x));
		}
	fputs("\n", out);
}

/* How the model compares with the interpreters. */
struct likeness {
	size_t cases, alike;       /* an interpreter and a program: both lose, or neither does */
	size_t plain, plain_alike; /* of these, the notes' program under a GIL */
	double points;             /* the most that the shares of drops inside differ by, in % */
};

static struct likeness compare(struct run *run)
{
	struct likeness all = {.points = 0};

	for (size_t i = 0; i < subjects_n; i++) {
		size_t model = model_of(&subjects[i]);

		if (!subjects[i].python || !run_selected(run, i) || model == subjects_n ||
		    !run_selected(run, model))
			continue;
		for (size_t p = 0; p < GIL_PROGRAMS; p++) {
			bool alike = (wrong(run, i, p) > 0) == (wrong(run, model, p) > 0);

			all.cases++;
			all.alike += alike;
			if (p == GIL_PLAIN && subjects[i].policy != GIL_NONE) {
				all.plain++;
				all.plain_alike += alike;
			}
		}
		all.points = fmax(all.points,
				  100 * fabs(inside_share(run, i) - inside_share(run, model)));
	}
	return all;
}

/* An interpreter with a GIL that was run. */
static bool has_gil(struct run *run, size_t subject)
{
	return subjects[subject].python && subjects[subject].policy != GIL_NONE &&
	       run_selected(run, subject);
}

static void judge_data(struct run *run)
{
	size_t all = 0, plain = 0, call = 0;

	for (size_t i = 0; i < subjects_n; i++) {
		if (!has_gil(run, i))
			continue;
		all++;
		plain += wrong(run, i, GIL_PLAIN) > 0;
		call += wrong(run, i, GIL_CALLS) > 0;
	}
	if (all == 0)
		old_verdict(run, "gil-not-your-data", SKIPPED, NULL,
			    "no interpreter with a GIL was run");
	else
		old_verdict(run, "gil-not-your-data", plain + call ? HOLDS : NOT_SEEN,
			    (struct field[]){{"interpreters", (int64_t)all},
					     {"lost_x_plus_1", (int64_t)plain},
					     {"lost_x_plus_call", (int64_t)call},
					     {0}},
			    "updates of x += 1 are lost in %zu, and of x += f() in %zu, of %zu "
			    "with a GIL",
			    plain, call, all);
}

/* What the interpreters that check as 3.10 does, or as older ones do, printed after x += 1. */
struct prints {
	size_t interpreters;
	size_t trials, wrong;
	size_t never_wrong; /* interpreters */
};

static struct prints prints_of(struct run *run, bool since_310)
{
	struct prints all = {0};

	for (size_t i = 0; i < subjects_n; i++) {
		if (!has_gil(run, i) || (subjects[i].policy == GIL_FROM_310) != since_310)
			continue;
		all.interpreters++;
		all.trials += run_values(run, i, columns[GIL_PLAIN].x).n;
		all.wrong += wrong(run, i, GIL_PLAIN);
		all.never_wrong += wrong(run, i, GIL_PLAIN) == 0;
	}
	return all;
}

static void judge_checks(struct run *run, struct likeness model)
{
	struct prints before = prints_of(run, false);
	struct prints since = prints_of(run, true);

	if (since.interpreters == 0) {
		old_verdict(run, "gil-checks", SKIPPED, NULL,
			    "no CPython since 3.10 with a GIL was run");
		return;
	}
	old_verdict(run, "gil-checks",
		    since.wrong                                              ? REFUTED
		    : before.never_wrong || model.plain_alike != model.plain ? DEPENDS
									     : HOLDS,
		    (struct field[]){{"since_310", (int64_t)since.interpreters},
				     {"since_310_trials", (int64_t)since.trials},
				     {"since_310_wrong", (int64_t)since.wrong},
				     {"before", (int64_t)before.interpreters},
				     {"before_trials", (int64_t)before.trials},
				     {"before_wrong", (int64_t)before.wrong},
				     {"model_cases", (int64_t)model.cases},
				     {"model_alike", (int64_t)model.alike},
				     {"inside_points", .real = &model.points},
				     {0}},
		    "x is not 0 in %zu of %zu trials since 3.10 (%zu interpreters)%s%s",
		    since.wrong, since.trials, since.interpreters,
		    before.trials ? text_format(", in %zu of %zu before (%zu)", before.wrong,
						before.trials, before.interpreters)
				  : "",
		    model.plain ? text_format("; the model says the same for %zu of %zu",
					      model.plain_alike, model.plain)
				: "");
}

static void report(struct run *run)
{
	struct likeness model = compare(run);
	size_t locked = 0, trials = 0;

	for (size_t i = 0; i < subjects_n; i++) {
		locked += wrong(run, i, GIL_LOCKED);
		trials += run_values(run, i, columns[GIL_LOCKED].x).n;
	}
	print_table(run);
	if (model.cases > 0)
		run_say(run,
			"The model and CPython agree in %zu of %zu cases on whether updates are "
			"lost; their shares of drops inside differ by %.0f points at most.",
			model.alike, model.cases, model.points);
	if (model.alike < model.cases)
		old_note(run,
			 "where one lost and the other printed 0, it may be luck: --iterations "
			 "with more of them tells.");
	old_control(run, locked == 0, "with a lock around it x was not 0 in %zu of %zu trials",
		    locked, trials);
	judge_data(run);
	judge_checks(run, model);
	old_why(run,
		"x += 1 loads, adds and stores. Up to 3.9 the GIL could change hands after each of "
		"these; since 3.10 only where the loop jumps back, or at a call, as in x += f().");
}

static void add_subject(struct subject subject)
{
	const char *help = text_format("the model, with the rules of %s", rules[subject.policy]);
	struct variant *variant = &variants[subjects_n];

	if (subject.python)
		help = subject.python->gil ? "CPython" : "CPython, free-threaded";
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

int main(int argc, char *argv[])
{
	size_t found = python_find(python_asked(argc, argv), pythons);
	bool needed[POLICIES] = {false};
	struct run *run;

	for (size_t i = 0; i < found; i++) {
		needed[policy_of(&pythons[i])] = true;
		add_subject((struct subject){&pythons[i], policy_of(&pythons[i])});
	}
	for (int policy = 0; policy < POLICIES; policy++)
		if (needed[policy])
			add_subject((struct subject){NULL, (enum gil_policy)policy});
	run = run_begin(&about, argc, argv);
	if (found == 0)
		return run_skip(run, "no CPython was found here; --python names one");
	if (!python_script("gil/cpython.py"))
		return run_skip(run, "experiments/gil/cpython.py is not beside the build folder");
	if (iterations == 0)
		iterations = calibrate(&pythons[found / 2]);
	while (run_next(run))
		measure(run, &subjects[run_variant(run)]);
	return old_end(run, report);
}
