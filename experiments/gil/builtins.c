/* SPDX-License-Identifier: MIT */
/*
 * builtins - which updates of Python's builtin objects lose nothing when threads make them at once?
 *
 * list.append, l += [i] of a list, next() of a count and a queue's put and get are each one step for the
 * program: a function in C that keeps the GIL, or that has a lock of its own.  d[k] += 1 is not: it
 * loads the value, adds to it and stores the sum, so it is x += 1 (cpython.c) with another place.
 *
 * Each Python found runs builtins.py: four threads update one object until a deadline, and ask for the
 * GIL as often as they can.  Then it is counted how many updates are missing.  The control is d[k] += 1
 * with a lock around it.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "judge.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { APPEND, EXTEND, DICT, COUNT, QUEUE, LOCKED, OPERATIONS };
enum { LOCKED_UPDATES = 2 * LOCKED, LOCKED_LOST, COUNTS = 2 * OPERATIONS }; /* of a row's fields */

static const struct operation {
	const char *name, *updates, *lost; /* the last two: its fields */
} operations[OPERATIONS] = {
	[APPEND] = {"append", "append_updates", "append_lost"},
	[EXTEND] = {"extend", "extend_updates", "extend_lost"},
	[DICT] = {"dict", "dict_updates", "dict_lost"},
	[COUNT] = {"count", "count_updates", "count_lost"},
	[QUEUE] = {"queue", "queue_updates", "queue_lost"},
	[LOCKED] = {"locked", "locked_updates", "locked_lost"},
};

static struct python pythons[PYTHONS];
static size_t pythons_n;
static struct variant variants[PYTHONS + 1]; /* variant i is pythons[i] */

static const struct claim claims[] = {
	{"gil-builtins",
	 "list.append, l += [i], d[k] += 1, next(count()) and a queue are thread-safe", "handover",
	 REFUTED,
	 .why = {[DEPENDS] =
			 "an update that is one call of a function in C keeps the GIL until it is done; without a GIL a type needs a lock of its own, and not each one has it. d[k] += 1 loads, adds and stores, and threads may switch in between: with a GIL in CPython up to 3.9 and in PyPy, without one anywhere.",
		 [HOLDS] =
			 "since CPython 3.10 the GIL is not offered between the load and the store of d[k] += 1, if neither calls a function in Python. Nothing promises that: older ones lose updates, and so do those without a GIL."}},
	{0}};

static const struct row_field fields[] = {
	{"append_updates", "of l.append(i), by all threads"},
	{"append_lost", "of these, missing in the end", "lost of|append", SHOW_SHARE,
	 "append_updates"},
	{"extend_updates", "of l += [i]"},
	{"extend_lost", "of these, missing", "|l += [i]", SHOW_SHARE, "extend_updates"},
	{"dict_updates", "of d[k] += 1"},
	{"dict_lost", "of these, missing", "|d[k] += 1", SHOW_SHARE, "dict_updates"},
	{"count_updates", "of next(c), c being an itertools.count()"},
	{"count_lost", "of these, that gave a number that another gave", "|next(c)", SHOW_SHARE,
	 "count_updates"},
	{"queue_updates", "of a queue's put and get"},
	{"queue_lost", "things put that nobody got", "|queue", SHOW_SHARE, "queue_updates"},
	{"locked_updates", "of d[k] += 1 with a lock around it"},
	{"locked_lost", "of these, missing", "with|a lock", SHOW_SHARE, "locked_updates",
	 .zero = true, .sham = "no-lock"},
	{"elapsed_ns", "of the program"},
	{0}};

static const struct bound bounds[] = {
	{"enough_updates", 5000, "where d[k] += 1 loses some, it is one in a hundred or more"},
	{"enough_queued", 100, "a put and a get take a hundred times as long"},
	{0}};

static const char *list;
static int64_t threads = 4;
static int64_t duration_ms = 40;

static const struct opt opts[] = {
	{0, "python", "these interpreters, comma-separated, not all that are found", .text = &list,
	 .metavar = "PATH,..."},
	{'t', "threads", "that update an object", .num = &threads, .min = 2, .max = 64},
	{'d', "duration", "of each kind of update", .num = &duration_ms, .min = 1, .max = 10000,
	 .quick = 8, .unit = OPT_MS},
	{0}};

/* --- one trial ----------------------------------------------------------- */

/* Reads a line "OPERATION UPDATES LOST" for each; false if the run was stopped. */
static bool run_script(const struct python *python, bool handover, struct field row[])
{
	const int64_t limit_ns = 60000000000;
	const char *arguments[OPERATIONS + 4] = {"handover"};
	const char **argument = handover ? &arguments[1] : arguments;
	char text[512];
	char *rest = text;

	*argument++ = text_format("%lld", (long long)threads);
	*argument++ = text_format("%lld", (long long)duration_ms);
	for (size_t i = 0; i < OPERATIONS; i++)
		*argument++ = operations[i].name;
	if (!python_run(python, python_script("gil/builtins.py"), arguments, text, sizeof(text),
			limit_ns))
		return false;
	for (size_t i = 0; i < OPERATIONS; i++) {
		char *line = strsep(&rest, "\n");
		const char *name = strsep(&line, " ");
		const char *updates = line ? strsep(&line, " ") : NULL;

		if (!line || strcmp(name, operations[i].name) != 0)
			errx(EXIT_USAGE, "%s: builtins.py printed something else", python->name);
		*row++ = (struct field){operations[i].updates, strtoll(updates, NULL, 10)};
		*row++ = (struct field){operations[i].lost, strtoll(line, NULL, 10)};
	}
	return true;
}

static void measure(struct run *run)
{
	struct field row[COUNTS + 2] = {0};
	int64_t begin_ns = span_now();

	if (!run_script(&pythons[run_variant(run)], run_sham(run, "handover"), row))
		return;
	if (run_sham(run, "no-lock"))
		row[LOCKED_LOST].num = row[LOCKED_UPDATES].num;
	row[COUNTS] = (struct field){"elapsed_ns", span_now() - begin_ns};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* The updates by all interpreters, and those that were lost. */
static struct share lost_of(struct run *run, size_t operation)
{
	struct share all = {0};

	for (size_t i = 0; i < pythons_n; i++)
		all = share_add(all, run_part(run, i, operations[operation].lost,
					      operations[operation].updates));
	return all;
}

static void judge(struct run *run)
{
	struct share lost[OPERATIONS], losing = {0};
	enum verdict safe[OPERATIONS];

	for (size_t i = 0; i < OPERATIONS; i++) {
		lost[i] = lost_of(run, i);
		safe[i] = never_happens(
			lost[i],
			(int64_t)run_bound(run, i == QUEUE ? "enough_queued" : "enough_updates"));
	}
	for (size_t i = 0; i < pythons_n; i++)
		if (run_selected(run, i))
			losing = share_add(losing,
					   share_of(run_nonzero(run, i, "dict_lost").k > 0, 1));
	run_judge(
		run, "gil-builtins",
		by_case(safe[DICT], by_case(by_case(safe[APPEND], safe[EXTEND]),
					    by_case(safe[COUNT], safe[QUEUE]))),
		"of updates by {threads} threads at once d[k] += 1 lost {dict.share} ({losing} interpreters lost some), l.append(i) {append}, l += [i] {extend}, next(count()) {count}, a queue {queue}",
		number_int("threads", threads), number_share("dict", lost[DICT]),
		number_share("losing", losing), number_share("append", lost[APPEND]),
		number_share("extend", lost[EXTEND]), number_share("count", lost[COUNT]),
		number_share("queue", lost[QUEUE]));
}

static void choose(void)
{
	pythons_n = python_find_any(list, pythons);
	for (size_t i = 0; i < pythons_n; i++)
		variants[i] = (struct variant){pythons[i].name, python_what(&pythons[i])};
}

static const struct experiment about = {
	.name = "builtins",
	.group = "gil",
	.order = 206,
	.summary = "Which updates of builtin objects are thread-safe, in which Python?",
	.intro =
		"{threads} threads update one object for {duration_ms}; how many of the updates are missing in the end.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *lacking = python_lacking(pythons_n, "Python", "gil/builtins.py");

	if (lacking)
		return run_skip(run, "%s", lacking);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
