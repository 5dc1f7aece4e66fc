/* SPDX-License-Identifier: MIT */
/*
 * codegen - what does the compiler make of x += 1, and what does that lose?
 *
 * The same loop of x += 1 is compiled by every compiler found, from -O0 to -O3, with x declared
 * three ways; its assembly is read, and run by two threads on one CPU and on several.  The loop is:
 *
 *	load-store  x is loaded, and some instructions later stored.  A thread that loses its CPU
 *	            in between overwrites, later, all that the other one has stored meanwhile.
 *	one         a single instruction adds to memory.  The timer interrupts between two
 *	            instructions, never within one: on one CPU no update is lost.  On several the
 *	            instruction is a load and a store all the same.
 *	register    x is kept in a register over the whole loop and stored once, at the end.
 *	folded      the loop is gone: one addition of the whole sum.
 *	locked      one instruction that keeps other CPUs out: the control.
 *
 * Which one is told by a heuristic for x86-64 and AArch64: memory that is not on the stack is x.
 * What it does not recognise is called unknown.
 */
#include <dlfcn.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "assembly.h"
#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "scratch.h"
#include "span.h"
#include "team.h"

enum { THREADS = 2, COMPILERS = 3, OTHER = 2, LEVELS = 4, NAME = 32, PATH = 4096 };
enum { PLAIN, VOLATILE, RELAXED, ATOMIC, KINDS };
enum { CELLS = COMPILERS * (LEVELS * ATOMIC + 1), CONTROL_LEVEL = 2, SHOWN_LINES = 9 };

/* How x is declared, and what the loop does with it. */
static const struct kind {
	const char *name, *help, *declared, *update;
} kinds[KINDS] = {{"plain", MESSAGE("plain int64_t x"), "static int64_t x;", "x += 1;"},
		  {"volatile", "volatile int64_t x", "static volatile int64_t x;", "x = x + 1;"},
		  {"relaxed", MESSAGE("relaxed atomic load, store"), "static _Atomic int64_t x;",
		   "atomic_store_explicit(&x, atomic_load_explicit(&x, memory_order_relaxed) + 1, "
		   "memory_order_relaxed);"},
		  {"atomic", MESSAGE("atomic addition (control)"), "static _Atomic int64_t x;",
		   "atomic_fetch_add_explicit(&x, 1, memory_order_relaxed);"}};

static const char *const levels[LEVELS] = {"-O0", "-O1", "-O2", "-O3"};
static const int rank[LEVELS] = {1, 2, 0, 3}; /* which come first where there are to be fewer */

/* One compiler's loop: what it was compiled to, once it was. */
static struct cell {
	int compiler, level, kind;
	void (*loop)(int64_t n);
	int64_t (*get)(void);
	void (*reset)(void);
	struct assembly is;
	int64_t updates; /* of each thread */
} cells[CELLS];

static struct compiler {
	const char *name;
	char path[PATH]; /* "" = there is none */
} compilers[COMPILERS] = {{.name = "gcc"}, {.name = "clang"}, {.name = "other"}};

static char names[CELLS][NAME];
static struct variant variants[CELLS + 1];

static const struct claim claims[] = {
	{"race-nonzero", "x += 1 and x -= 1 in two threads leave x not 0", "*=gcc-O2-atomic",
	 NOT_SEEN,
	 .why = {[HOLDS] =
			 "a thread loses its CPU between two instructions, never within one. So one instruction that adds to memory is safe on one CPU, by luck of the compiler; on several it loses too. Folded loops leave one update to interleave: a 0 there proves nothing."}},
	{0}};

static const struct row_field fields[] = {
	{"compiler", "that compiled the loop", .text = true},
	{"level", "of optimisation", .text = true},
	{"kind", "how x is declared and updated: plain, volatile, relaxed, atomic", .text = true},
	{"class", "load-store, one (instruction), register, folded (one addition), locked, unknown",
	 "the loop", .text = true},
	{"between_instructions",
	 "between load and store; 0 for one instruction, -1: there is no such pair", "between",
	 SHOW_FIRST},
	{"one_cpu_lost_updates", "with both threads on one CPU", "lost,|one CPU", SHOW_MEDIAN,
	 "updates"},
	{"one_cpu_lost_updates", .column = "", .show = SHOW_NONZERO},
	{"cpus_lost_updates", "with a CPU each; not on one CPU", "lost,|several", SHOW_MEDIAN,
	 "updates"},
	{"cpus_lost_updates", .column = "", .show = SHOW_NONZERO},
	{"iterations", "of each of two threads, x += 1 in both"},
	{"updates", "of both threads"},
	{"control_lost_updates", "lost by an atomic addition", .zero = true,
	 .sham = "gcc-O2-atomic=gcc-O2-volatile"},
	{"one_cpu_elapsed_ns", "on one CPU"},
	{"cpus_elapsed_ns", "on several; not on one CPU"},
	{"class", "as of the sample", .row = "code", .text = true},
	{"between_instructions", "as of the sample", .row = "code"},
	{"compiler", "its path", .row = "code", .text = true},
	{"loop", "the loop's assembly, marked load, store, add, locked", .row = "code",
	 .text = true},
	{0}};

static int64_t iterations; /* 0 = calibrated */
static int64_t how_many = LEVELS;
static const char *given;

static const struct opt opts[] = {
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = 1000000000,
	 .zero = "calibrated: a thread alone takes 10 ms"},
	{0, "levels", "the first so many of -O2, -O0, -O1, -O3", .num = &how_many, .min = 1,
	 .max = LEVELS, .quick = 1},
	{0, "compiler", "the compiler that is called other (else cc, if it is another one)",
	 .text = &given, .metavar = "PATH"},
	{0}};

/* --- compiling ------------------------------------------------------------ */

static void write_source(const struct kind *kind)
{
	FILE *out = fopen(scratch_path("x.c"), "we");

	if (!out)
		err(EXIT_USAGE, "%s", scratch_path("x.c"));
	fprintf(out,
		"#include <stdatomic.h>\n#include <stdint.h>\n%s\n"
		"void loop(int64_t n)\n{\n\tfor (int64_t i = 0; i < n; i++)\n\t\t%s\n}\n"
		"int64_t get(void)\n{\n\treturn x;\n}\nvoid reset(void)\n{\n\tx = 0;\n}\n",
		kind->declared, kind->update);
	if (fclose(out) != 0)
		err(EXIT_USAGE, "%s", scratch_path("x.c"));
}

/* Compiles the loop and assembles it; cell->loop stays NULL where that failed. */
static void compile(struct cell *cell)
{
	const char *compiler = compilers[cell->compiler].path;
	char source[2 * PATH], assembly[2 * PATH], library[2 * PATH];
	void *handle;
	FILE *in;

	write_source(&kinds[cell->kind]);
	snprintf(source, sizeof(source), "%s", scratch_path("x.c"));
	snprintf(assembly, sizeof(assembly), "%s", scratch_path("x.s"));
	snprintf(library, sizeof(library), "%s", scratch_path(names[cell - cells]));
	if (!child_execute((const char *const[]){compiler, "-std=gnu11", levels[cell->level],
						 "-fPIC", "-S", "-o", assembly, source, NULL}) ||
	    !child_execute(
		    (const char *const[]){compiler, "-shared", "-o", library, assembly, NULL}))
		return;
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	in = fopen(assembly, "re");
	if (in) {
		cell->is = assembly_read(in, "loop", ASSEMBLY_HERE_IS_ARM);
		fclose(in);
	}
	/* ISO C has no cast from void * to a function: POSIX's way */
	*(void **)&cell->get = dlsym(handle, "get");
	*(void **)&cell->reset = dlsym(handle, "reset");
	*(void **)&cell->loop = dlsym(handle, "loop");
}

/* --- losing updates ------------------------------------------------------- */

static void work(int member, void *argument)
{
	const struct cell *cell = argument;

	(void)member;
	cell->loop(cell->updates);
}

/* How many updates two threads lose. */
static int64_t measure(struct cell *cell, bool one_cpu, struct span *all)
{
	struct team team;

	cell->reset();
	team_start(&team, THREADS, one_cpu ? TEAM_SAME : TEAM_SPREAD, work, cell);
	*all = team_join(&team);
	return THREADS * cell->updates - cell->get();
}

/* The updates that take a thread 10 ms; 10 million where the loop is folded. */
static int64_t calibrate(const struct cell *cell)
{
	const int64_t long_enough_ns = 500000, target_ns = 10000000, most = 10000000;

	for (int64_t n = 10000;; n *= 2) {
		int64_t begin_ns = span_now();
		int64_t took_ns;

		cell->loop(n);
		took_ns = span_now() - begin_ns;
		if (took_ns >= long_enough_ns || n >= most)
			return took_ns * most <= target_ns * n ? most : n * target_ns / took_ns;
	}
}

static void record(struct run *run, struct cell *cell)
{
	struct span one = {0}, several = {0};
	int64_t lost_one, lost_several = 0;
	bool many = run_cpus() > 1;
	bool control = cells[run_label(run)].kind == ATOMIC;

	if (run_trial(run) == 0)
		run_row(run, "code",
			(struct field[]){{"class", .text = assembly_form_names[cell->is.form]},
					 {"between_instructions", cell->is.between},
					 {"compiler", .text = compilers[cell->compiler].path},
					 {"loop", .text = cell->is.code},
					 {0}});
	if (cell->updates == 0)
		cell->updates = iterations ? iterations : calibrate(cell);
	lost_one = measure(cell, true, &one);
	if (many)
		lost_several = measure(cell, false, &several);
	run_record(run, (struct field[]){{"compiler", .text = compilers[cell->compiler].name},
					 {"level", .text = levels[cell->level]},
					 {"kind", .text = kinds[cell->kind].name},
					 {"class", .text = assembly_form_names[cell->is.form]},
					 {"between_instructions", cell->is.between},
					 {"iterations", cell->updates},
					 {"updates", THREADS * cell->updates},
					 {"one_cpu_lost_updates", lost_one},
					 {"one_cpu_elapsed_ns", span_wall(&one)},
					 {control ? "control_lost_updates" : "iterations",
					  control ? lost_one + lost_several : cell->updates},
					 {many ? "cpus_lost_updates" : NULL, lost_several},
					 {"cpus_elapsed_ns", span_wall(&several)},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share one = {0};
	struct share several = {0};
	struct share single = {0};

	for (size_t i = 0; i < CELLS; i++) {
		struct share lost = run_nonzero(run, i, "one_cpu_lost_updates");

		if (!run_selected(run, i) || cells[i].kind == ATOMIC)
			continue;
		one = share_add(one, lost);
		several = share_add(several, run_nonzero(run, i, "cpus_lost_updates"));
		if (cells[i].is.form == ASSEMBLY_ONE)
			single = share_add(single, lost);
	}
	run_judge(
		run, "race-nonzero", can_happen(share_add(one, several)),
		"updates were lost in {one} runs of compiled loops on one CPU, in {several} on several; where the update is one instruction, in {single} on one CPU",
		number_share("one", one), number_share("several", several),
		number_share("single", single));
}

/* The loop of -O2 volatile, or as much of it as fits. */
static void draw(struct run *run)
{
	FILE *out = run_out(run);

	for (size_t i = 0; i < CELLS; i++) {
		const char *line = cells[i].is.code;
		int lines = 0;

		if (cells[i].level != CONTROL_LEVEL || cells[i].kind != VOLATILE || !*line)
			continue;
		fprintf(out, "  %s -O2, x volatile:\n", compilers[cells[i].compiler].name);
		for (; *line && lines < SHOWN_LINES; line += strcspn(line, "\n") + 1, lines++)
			fprintf(out, "    %.*s\n", (int)strcspn(line, "\n"), line);
		if (*line)
			fputs("    ...\n", out);
		fputc('\n', out);
	}
}

/* --- compilers -------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
	char *real_a = realpath(a, NULL);
	char *real_b = realpath(b, NULL);
	bool same = real_a && real_b && strcmp(real_a, real_b) == 0;

	free(real_a);
	free(real_b);
	return same;
}

/* Returns how many there are. */
static int find_compilers(void)
{
	int found = 0;

	for (int i = 0; i < COMPILERS; i++) {
		char *path = compilers[i].path;

		child_find(i < OTHER ? compilers[i].name : given ? given : "cc", path, PATH);
		if (i == OTHER && !given)
			for (int k = 0; k < OTHER; k++)
				if (same_file(path, compilers[k].path))
					path[0] = '\0';
		found += path[0] != '\0';
	}
	if (given && !compilers[OTHER].path[0])
		errx(EXIT_USAGE, "--compiler: there is no program '%s'", given);
	return found;
}

static void name_cells(void)
{
	size_t n = 0;

	for (int c = 0; c < COMPILERS; c++)
		for (int l = 0; l < LEVELS; l++)
			for (int k = 0; k < KINDS; k++) {
				if (k == ATOMIC && l != CONTROL_LEVEL)
					continue;
				cells[n].compiler = c;
				cells[n].level = l;
				cells[n].kind = k;
				snprintf(names[n], NAME, "%s%s-%s", compilers[c].name, levels[l],
					 kinds[k].name);
				variants[n].name = names[n];
				variants[n].help = kinds[k].help;
				n++;
			}
}

/*
 * Compiles what is asked for, and says how many loops there are.  All before the first trial, so
 * that nothing but threads is there to be killed, and no compiler uses a CPU meanwhile.
 */
static int compile_all(struct run *run)
{
	int found = 0;

	for (size_t i = 0; i < CELLS && !run_stopped(); i++) {
		struct cell *cell = &cells[i];

		if (!run_selected(run, i) || rank[cell->level] >= how_many ||
		    !compilers[cell->compiler].path[0])
			continue;
		compile(cell);
		found += cell->loop != NULL;
	}
	for (size_t i = 0; i < CELLS && found > 0; i++) {
		if (!cells[i].loop)
			run_leave_out(run, i, "%s",
				      rank[cells[i].level] >= how_many ? "--levels"
				      : compilers[cells[i].compiler].path[0]
					      ? MESSAGE("it was not compiled")
					      : MESSAGE("there is no such compiler"));
	}
	return found;
}

static const struct experiment about = {
	.name = "codegen",
	.group = "race",
	.order = 106,
	.summary = "What compilers make of x += 1, and how many updates of two threads that loses.",
	.intro = "Two threads, x += 1 in each; what is lost: the median, and in how many trials.",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run;
	int found;

	name_cells();
	run = run_begin(&about, argc, argv);
	if (find_compilers() == 0)
		return run_skip(run, "there is no compiler here: neither gcc nor clang nor cc");
	scratch_begin();
	found = compile_all(run);
	scratch_end();
	if (found == 0 && !run_stopped())
		return run_skip(run, "none of the compilers made a loop of those asked for");
	while (run_next(run))
		record(run, &cells[run_variant(run)]);
	return run_end(run);
}
