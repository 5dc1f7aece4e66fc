/* SPDX-License-Identifier: MIT */
/*
 * detectors - do the tools that look for data races find one in a program that printed the right x?
 *
 * One thread adds 1 to x, the other subtracts 1, ten times each: so few that x nearly always ends at 0,
 * and no test of the result finds anything.  Race detectors look at something else: whether two accesses
 * are ordered, by a lock, a join, an atomic, whenever they came.  The same update is written in six ways:
 *
 *	plain      x += 1: a data race
 *	volatile   the same with x volatile: a data race
 *	relaxed    load and store as relaxed atomics: no data race, and still it loses updates
 *	joined     as plain, but the second thread is started when the first has ended: no race
 *	mutex      under a mutex: no race
 *	atomic     one atomic addition: no race
 *
 * ThreadSanitizer is compiled in (gcc, clang -fsanitize=thread), so it knows what is atomic.
 * valgrind's helgrind and drd run the finished program, in which a relaxed load is a load.
 *
 * Each tool runs one program that goes through all six; what it reports before the line with an x is
 * about that x.  The program without a tool goes on for longer, to show what each x comes to then.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "scratch.h"

enum { GCC, CLANG, HELGRIND, DRD, NO_TOOL, TOOLS };
enum { PLAIN, VOLATILE, RELAXED, JOINED, MUTEX, ATOMIC, KINDS };
enum { PATH = 4096, LINE = 1024 };

static const struct variant variants[] = {
	[GCC] = {"tsan-gcc", "ThreadSanitizer, by gcc"},
	[CLANG] = {"tsan-clang", "ThreadSanitizer, by clang"},
	[HELGRIND] = {"helgrind", "valgrind's helgrind"},
	[DRD] = {"drd", "valgrind's drd"},
	[NO_TOOL] = {"no-tool", "the program alone, with more updates"},
	{0}};

/* How a tool is called, and what it says of a race. */
static const struct tool {
	const char *program, *argument, *sign;
} tools[TOOLS] = {[GCC] = {"gcc", "-fsanitize=thread", "data race"},
		  [CLANG] = {"clang", "-fsanitize=thread", "data race"},
		  [HELGRIND] = {"valgrind", "--tool=helgrind", "Possible data race"},
		  [DRD] = {"valgrind", "--tool=drd", "Conflicting"},
		  [NO_TOOL] = {NULL, NULL, "no tool"}};

/* How x is declared and updated. */
static const struct kind {
	const char *name, *declared, *update;
} kinds[KINDS] = {
	[PLAIN] = {"plain", "long x_plain", "x_plain += step;"},
	[VOLATILE] = {"volatile", "volatile long x_volatile", "x_volatile = x_volatile + step;"},
	[RELAXED] = {"relaxed", "_Atomic long x_relaxed",
		     "atomic_store_explicit(&x_relaxed, atomic_load_explicit(&x_relaxed, "
		     "memory_order_relaxed) + step, memory_order_relaxed);"},
	[JOINED] = {"joined", "long x_joined", "x_joined += step;"},
	[MUTEX] = {"mutex", "long x_mutex",
		   "pthread_mutex_lock(&mutex); x_mutex += step; pthread_mutex_unlock(&mutex);"},
	[ATOMIC] = {"atomic", "_Atomic long x_atomic", "atomic_fetch_add(&x_atomic, step);"}};

static const struct claim claims[] = {
	{"race-detectors", "ThreadSanitizer and helgrind see the race even when x is 0", "joined",
	 REFUTED,
	 .why = {[HOLDS] =
			 "they keep, for each location, who accessed it last, and what has been ordered since: by locks, joins and atomics. An access that nothing orders behind the last one is a race, also if it came a second later. ThreadSanitizer does not report relaxed atomics, as C11 does not call that a data race; valgrind sees loads and stores only, and does."}},
	{0}};

static const struct row_field fields[] = {
	{"kind", "how x is updated", "update", .key = true, .text = true},
	{"reported", "1: the tool reported a race on it", .show = SHOW_NONZERO},
	{"right", "1: x was 0 at the end"},
	{"final_x", "x at the end", .show = SHOW_RANGE},
	{"iterations", "updates of each thread"},
	{"false_alarm", "1: a race was reported where a join or a mutex orders the two",
	 .zero = true, .sham = "apart"},
	{0}};

static const struct bound bounds[] = {
	{"enough_runs", 2, "a report does not depend on when the threads run"}, {0}};

static int64_t iterations = 10;
static int64_t many = 1000000;

static const struct opt opts[] = {
	{'n', "iterations", "updates of each thread, under a tool", .num = &iterations, .min = 1,
	 .max = 100000},
	{0, "many", "the same without a tool", .num = &many, .min = 1, .max = 100000000},
	{0}};

/* --- the program under test ------------------------------------------------ */

/* Its arguments: the number of updates, and "joined" (all are), "apart" (none is) or "". */
static void write_source(void)
{
	FILE *out = fopen(scratch_path("x.c"), "we");

	if (!out)
		err(EXIT_USAGE, "%s", scratch_path("x.c"));
	fputs("#include <pthread.h>\n#include <stdatomic.h>\n#include <stdio.h>\n"
	      "#include <stdlib.h>\n#include <string.h>\n"
	      "static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;\nstatic long n;\n",
	      out);
	for (int k = 0; k < KINDS; k++)
		fprintf(out,
			"static %s;\nstatic void *add_%s(void *argument)\n{\n"
			"\tlong step = *(long *)argument;\n"
			"\tfor (long i = 0; i < n; i++) {\n\t\t%s\n\t}\n\treturn NULL;\n}\n",
			kinds[k].declared, kinds[k].name, kinds[k].update);
	fputs("static void run(void *(*add)(void *), int joined)\n{\n"
	      "\tlong steps[] = {1, -1};\n\tpthread_t threads[2];\n"
	      "\tfor (int i = 0; i < 2; i++) {\n"
	      "\t\tif (pthread_create(&threads[i], NULL, add, &steps[i]) != 0)\n\t\t\texit(1);\n"
	      "\t\tif (joined)\n\t\t\tpthread_join(threads[i], NULL);\n\t}\n"
	      "\tfor (int i = 0; i < 2 && !joined; i++)\n\t\tpthread_join(threads[i], NULL);\n}\n"
	      "int main(int argc, char *argv[])\n{\n"
	      "\tint all = argc == 3 && strcmp(argv[2], \"joined\") == 0;\n"
	      "\tint none = argc == 3 && strcmp(argv[2], \"apart\") == 0;\n"
	      "\tn = argc > 1 ? atol(argv[1]) : 1;\n",
	      out);
	for (int k = 0; k < KINDS; k++)
		fprintf(out, "\trun(add_%s, %s);\n\tfprintf(stderr, \"x=%%ld\\n\", (long)x_%s);\n",
			kinds[k].name, k == JOINED ? "!none" : "all", kinds[k].name);
	fputs("\treturn 0;\n}\n", out);
	if (fclose(out) != 0)
		err(EXIT_USAGE, "%s", scratch_path("x.c"));
}

static char paths[TOOLS][PATH]; /* of compiler or valgrind */
static char programs[TOOLS][2 * PATH];

/* Without optimisation, so that each x += 1 is there; by ThreadSanitizer's compiler, or any.  False where that fails. */
static bool compile(int tool, bool tsan, const char *any)
{
	const char *compiler = tsan ? paths[tool] : any;
	const char *argument = tsan ? tools[tool].argument : NULL;
	char source[2 * PATH];

	snprintf(source, sizeof(source), "%s", scratch_path("x.c"));
	snprintf(programs[tool], sizeof(programs[tool]), "%s",
		 scratch_path(tsan ? variants[tool].name : "plain"));
	if (access(programs[tool], X_OK) == 0) /* for another tool */
		return true;
	return child_execute((const char *const[]){compiler, "-std=gnu11", "-O0", "-g", "-pthread",
						   "-o", programs[tool], source, argument, NULL});
}

struct outcome {
	bool complete;
	bool reported[KINDS];
	int64_t x[KINDS];
};

/* What a tool reports before an x is about it. */
static void read_log(const char *log, const char *sign, struct outcome *outcome)
{
	FILE *in = fopen(log, "re");
	char line[LINE];
	int k = 0;

	while (in && k < KINDS && fgets(line, sizeof(line), in)) {
		if (strncmp(line, "x=", 2) == 0)
			outcome->x[k++] = strtoll(line + 2, NULL, 10);
		else if (strstr(line, sign))
			outcome->reported[k] = true;
	}
	if (in)
		fclose(in);
	outcome->complete = k == KINDS;
}

/* Runs it by its tool, or alone. */
static struct outcome run_program(int tool, int64_t n, const char *how)
{
	struct outcome outcome = {0};
	char log[2 * PATH], number[32];
	bool valgrind = tool == HELGRIND || tool == DRD;
	/* the log's name, and the command that is to write it; without a tool that of the program */
	const char *command[] = {"/bin/sh",
				 "-c",
				 "log=$1; shift; exec \"$@\" 2>\"$log\"",
				 "sh",
				 log,
				 paths[tool],
				 "-q",
				 tools[tool].argument,
				 programs[tool],
				 number,
				 how,
				 NULL};

	snprintf(log, sizeof(log), "%s", scratch_path("log"));
	snprintf(number, sizeof(number), "%lld", (long long)n);
	if (!valgrind) /* no program before it */
		memmove(&command[5], &command[8], 4 * sizeof(*command));
	if (child_execute(command))
		read_log(log, tools[tool].sign, &outcome);
	return outcome;
}

/* --- a trial -------------------------------------------------------------- */

static void measure(struct run *run)
{
	int tool = (int)run_variant(run);
	int64_t n = tool == NO_TOOL ? many : iterations;
	struct outcome outcome = run_program(tool, n,
					     run_sham(run, "joined")  ? "joined"
					     : run_sham(run, "apart") ? "apart"
								      : "");

	if (!outcome.complete && !run_stopped() && run_trial(run) == 0)
		run_note(run, "{tool} did not run the program to its end, and is left out",
			 number_text("tool", variants[tool].name));
	for (int k = 0; k < KINDS && outcome.complete; k++)
		run_record(run, (struct field[]){
					{"kind", .text = kinds[k].name},
					{"right", outcome.x[k] == 0},
					{"final_x", outcome.x[k]},
					{"iterations", n},
					{tool == NO_TOOL ? NULL : "reported", outcome.reported[k]},
					{k == JOINED || k == MUTEX ? "false_alarm" : NULL,
					 outcome.reported[k]},
					{0}});
}

/* --- judge --------------------------------------------------------------- */

/* In how many runs by these tools a race was reported on this x; if_right: of those in which it was 0. */
static struct share reported(struct run *run, int first, int last, int kind, bool if_right)
{
	const struct field where[] = {
		{"kind", .text = kinds[kind].name}, {if_right ? "right" : NULL, 1}, {0}};
	struct share all = {0};

	for (int tool = first; tool <= last; tool++)
		if (run_selected(run, (size_t)tool))
			all = share_add(all, share_nonzero(run_values_where(run, (size_t)tool,
									    "reported", where)));
	return all;
}

static void judge(struct run *run)
{
	struct share tsan = reported(run, GCC, CLANG, PLAIN, true);
	struct share helgrind = reported(run, HELGRIND, HELGRIND, PLAIN, true);

	run_judge(
		run, "race-detectors",
		always_happens(share_add(tsan, helgrind), (int64_t)run_bound(run, "enough_runs")),
		"x was 0 at the end, and the race reported, by ThreadSanitizer in {tsan} runs, by helgrind in {helgrind}; relaxed atomics, which lose updates but are no data race, in {tsan_relaxed} and {helgrind_relaxed}; one atomic addition in {tsan_atomic} and {helgrind_atomic}; what a join or a mutex orders in {ordered}",
		number_share("tsan", tsan), number_share("helgrind", helgrind),
		number_share("tsan_relaxed", reported(run, GCC, CLANG, RELAXED, false)),
		number_share("helgrind_relaxed", reported(run, HELGRIND, HELGRIND, RELAXED, false)),
		number_share("tsan_atomic", reported(run, GCC, CLANG, ATOMIC, false)),
		number_share("helgrind_atomic", reported(run, HELGRIND, HELGRIND, ATOMIC, false)),
		number_share("ordered", share_add(reported(run, GCC, HELGRIND, JOINED, false),
						  reported(run, GCC, HELGRIND, MUTEX, false))));
}

static void draw(struct run *run)
{
	run_say(run, "In how many runs a race was reported, by the way in which x is updated:");
	run_grid(run, -1, "reported", "kind", NULL);
	run_say(run, "x at the end:");
	run_grid(run, -1, "final_x", "kind", NULL);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "detectors",
	.group = "race",
	.order = 124,
	.summary = "Do race detectors see a race in a program that printed the right x?",
	.intro =
		"x += 1 in one thread, x -= 1 in the other, {iterations} times each; without a tool {many} times.",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.bounds = bounds,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

/* Leaves out the tools that are not here, or do not work; returns how many are. */
static int prepare(struct run *run)
{
	static const char *const any[] = {"gcc", "clang", "cc"};
	char compiler[PATH] = "";
	int found = 0;

	write_source();
	for (size_t i = 0; i < sizeof(any) / sizeof(*any) && !*compiler; i++)
		child_find(any[i], compiler, sizeof(compiler));
	for (int tool = 0; tool < TOOLS && !run_stopped(); tool++) {
		bool tsan = tool == GCC || tool == CLANG;
		const char *name = tsan || tool == NO_TOOL ? tools[tool].program : "valgrind";

		if (!run_selected(run, (size_t)tool))
			continue;
		if (name && !child_find(name, paths[tool], PATH))
			run_leave_out(run, (size_t)tool, "there is no %s here", name);
		else if (!*compiler)
			run_leave_out(run, (size_t)tool, "there is no compiler here");
		else if (!compile(tool, tsan, compiler) ||
			 (tsan && !run_program(tool, 1, "").complete))
			run_leave_out(run, (size_t)tool, "it does not work here");
		else if (tool != NO_TOOL)
			found++;
	}
	return found;
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int found;

	/* gcc 12's ThreadSanitizer cannot live with addresses as random as newer kernels make them */
	personality(ADDR_NO_RANDOMIZE);
	if (setenv("TSAN_OPTIONS", "exitcode=0:symbolize=0", 1) != 0 ||
	    unsetenv("VALGRIND_OPTS") != 0)
		err(EXIT_USAGE, "setenv");
	scratch_begin();
	found = prepare(run);
	while (found > 0 && run_next(run))
		measure(run);
	scratch_end();
	if (found == 0 && !run_stopped())
		return run_skip(run, "there is neither ThreadSanitizer nor valgrind here");
	return run_end(run);
}
