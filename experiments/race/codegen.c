/* SPDX-License-Identifier: MIT */
/*
 * codegen - what does the compiler make of x += 1, and what does that lose?
 *
 * The same loop of x += 1 is compiled by every compiler found, from -O0 to -O3, with x declared
 * three ways; it is disassembled, and run by two threads on one CPU and on several.  The loop is:
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
 * Which one is told by a heuristic from objdump's text for x86-64 and AArch64: memory that is not
 * on the stack is x.  What it does not recognise is called unknown.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { THREADS = 2, COMPILERS = 3, OTHER = 2, LEVELS = 4, NAME = 32, PATH = 4096, LINES = 64 };
enum { PLAIN, VOLATILE, RELAXED, ATOMIC, KINDS };
enum { CELLS = COMPILERS * (LEVELS * ATOMIC + 1), CONTROL_LEVEL = 2, SHOWN_LINES = 9 };

/* How x is declared, and what the loop does with it. */
static const struct kind {
	const char *name, *declared, *update;
} kinds[KINDS] = {{"plain", "static int64_t x;", "x += 1;"},
		  {"volatile", "static volatile int64_t x;", "x = x + 1;"},
		  {"relaxed", "static _Atomic int64_t x;",
		   "atomic_store_explicit(&x, atomic_load_explicit(&x, memory_order_relaxed) + 1, "
		   "memory_order_relaxed);"},
		  {"atomic", "static _Atomic int64_t x;",
		   "atomic_fetch_add_explicit(&x, 1, memory_order_relaxed);"}};

static const char *const levels[LEVELS] = {"-O0", "-O1", "-O2", "-O3"};
static const int rank[LEVELS] = {1, 2, 0, 3}; /* which come first where there are to be fewer */

enum class { UNKNOWN, LOAD_STORE, ONE, REGISTER, FOLDED, LOCKED, CLASSES };

static const char *const class_names[CLASSES] = {"unknown",  "load-store", "one",
						 "register", "folded",     "locked"};

/* One compiler's loop: what it was compiled to, once it was. */
static struct cell {
	int compiler, level, kind;
	void (*loop)(int64_t n);
	int64_t (*get)(void);
	void (*reset)(void);
	enum class class;
	int between;     /* instructions between load and store; -1 = there is no such pair */
	char code[2048]; /* the loop's disassembly, a line an instruction */
	int64_t updates; /* of each thread */
} cells[CELLS];

static struct compiler {
	const char *name;
	char path[PATH]; /* "" = there is none */
} compilers[COMPILERS] = {{.name = "gcc"}, {.name = "clang"}, {.name = "other"}};

static char objdump[PATH]; /* "" = there is none */

static char names[CELLS][NAME];
static struct variant variants[CELLS + 1];

static const struct claim claims[] = {
	{"race-nonzero", "x += 1 and x -= 1 in two threads leave x not 0"}, {0}};

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

static const struct experiment about = {
	.name = "codegen",
	.group = "race",
	.summary = "What compilers make of x += 1, and how many updates of two threads that loses.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 1,
};

/* --- a folder that is gone whatever ends us ------------------------------- */

static char folder[PATH];
static int lifeline;

static void remove_folder(void)
{
	DIR *all = opendir(folder);
	const struct dirent *file;

	while (all && (file = readdir(all)))
		unlinkat(dirfd(all), file->d_name, 0); /* not those that are folders, . and .. */
	rmdir(folder);
}

/*
 * A child removes the folder once the pipe is closed by us and by all that we started, which
 * inherit it: so also when we are killed in the midst of compiling.
 */
static pid_t folder_begin(void)
{
	const char *tmp = getenv("TMPDIR");
	int ends[2];
	pid_t remover;

	snprintf(folder, sizeof(folder), "%s/stallrace-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	check_fd(pipe(ends), "pipe");
	if (!mkdtemp(folder))
		err(EXIT_USAGE, "%s", folder);
	check_fd(prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L), "prctl"); /* of compilers' parts */
	remover = child_fork();
	if (remover == 0) { /* the signals that are blocked in us stay so here */
		char byte;

		dup2(ends[0], STDIN_FILENO);
		for (int fd = STDERR_FILENO + 1; fd < 256; fd++)
			close(fd);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		remove_folder();
		_exit(0);
	}
	close(ends[0]);
	lifeline = ends[1];
	return remover;
}

static void folder_end(pid_t remover)
{
	close(lifeline);
	waitpid(remover, NULL, 0);
}

static const char *in_folder(const char *file)
{
	static char path[2 * PATH];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return path;
}

/* --- compiling and disassembling ----------------------------------------- */

/* In the child: only this program, its output in a file of the folder. */
static _Noreturn void become(const char *const argv[], const char *output)
{
	int out;

	prctl(PR_SET_PDEATHSIG, SIGTERM); /* so that a compiler removes its own files */
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	out = open(in_folder(output), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (out >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
	    setenv("TMPDIR", folder, 1) == 0 && setenv("LC_ALL", "C", 1) == 0)
		execvp(argv[0], (char *const *)argv);
	_exit(127);
}

/* True if it ended with status 0; ended early if we are to stop. */
static bool execute(const char *const argv[], const char *output)
{
	const int64_t every_ns = 500000;
	pid_t child = check_fd(fork(), "fork");
	int status = -1;

	if (child == 0)
		become(argv, output);
	while (waitpid(child, &status, WNOHANG) == 0)
		if (!run_sleep_until(span_now() + every_ns)) {
			setpgid(child, child); /* it may not have come that far itself */
			kill(-child, SIGTERM);
			while (waitpid(-child, NULL, 0) > 0)
				;
			return false;
		}
	return status == 0;
}

static void write_source(const struct kind *kind)
{
	FILE *out = fopen(in_folder("x.c"), "we");

	if (!out)
		err(EXIT_USAGE, "%s", in_folder("x.c"));
	fprintf(out,
		"#include <stdatomic.h>\n#include <stdint.h>\n%s\n"
		"void loop(int64_t n)\n{\n\tfor (int64_t i = 0; i < n; i++)\n\t\t%s\n}\n"
		"int64_t get(void)\n{\n\treturn x;\n}\nvoid reset(void)\n{\n\tx = 0;\n}\n",
		kind->declared, kind->update);
	if (fclose(out) != 0)
		err(EXIT_USAGE, "%s", in_folder("x.c"));
}

/* What an instruction does to x. */
enum access { NOTHING, LOADS, STORES, ADDS, LOCKS };

struct line {
	unsigned long address, target; /* target: of a jump, else 0 */
	char text[96];                 /* "add %rax,0x2ef9(%rip)" */
	enum access access;
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* A memory operand that is not on the stack, or NULL: "(%rax)" at its "(", "[x0, 16]" at its "[". */
static const char *memory(const char *text, bool arm)
{
	const char *place = strchr(text, arm ? '[' : '(');

	if (!place || strstr(place, arm ? "[sp" : "(%rsp") || strstr(place, arm ? "[x29" : "(%rbp"))
		return NULL;
	return place;
}

static enum access access_arm(const char *text)
{
	if (begins(text, "ldadd") || begins(text, "stadd"))
		return LOCKS;
	if (begins(text, "ldxr") || begins(text, "ldaxr") || begins(text, "stxr") ||
	    begins(text, "stlxr"))
		return LOCKS;
	if (begins(text, "ldr") || begins(text, "ldur"))
		return LOADS;
	return begins(text, "str") || begins(text, "stur") ? STORES : NOTHING;
}

static enum access access_x86(const char *text, const char *place)
{
	const char *ends = strchr(place, ')');
	bool last = ends && !strchr(ends, ',');

	if (begins(text, "lock"))
		return LOCKS;
	if (begins(text, "lea") || begins(text, "nop") || begins(text, "cs nop"))
		return NOTHING;
	if (!last)
		return LOADS;
	if (begins(text, "mov"))
		return STORES;
	return begins(text, "add") || begins(text, "inc") || begins(text, "sub") ? ADDS : LOADS;
}

/* Reads "  1100:\tadd    %rdi,0x2f04(%rip)        # 4010 <x>"; false if it is none. */
static bool parse(char *text, bool arm, struct line *line)
{
	char *rest;
	size_t length = 0;
	const char *jump;

	line->address = strtoul(text, &rest, 16);
	if (rest == text || *rest != ':')
		return false;
	rest += 1 + strspn(rest + 1, " \t");
	rest[strcspn(rest, "#\n")] = '\0';
	for (; *rest && length + 1 < sizeof(line->text); rest++) /* blanks and tabs as one blank */
		if (!strchr(" \t", *rest))
			line->text[length++] = *rest;
		else if (rest[1] && !strchr(" \t", rest[1]))
			line->text[length++] = ' ';
	line->text[length] = '\0';
	jump = strstr(line->text, " <loop");
	line->target = 0;
	if (jump && (line->text[0] == 'j' || line->text[0] == 'b' || begins(line->text, "cb") ||
		     begins(line->text, "tb"))) {
		while (jump > line->text && !strchr(" ,", jump[-1]))
			jump--;
		line->target = strtoul(jump, NULL, 16);
	}
	line->access = NOTHING;
	if (!line->target && memory(line->text, arm))
		line->access = arm ? access_arm(line->text)
				   : access_x86(line->text, memory(line->text, arm));
	return true;
}

/* What lies in lines [first, last]: the class if it touches x, else UNKNOWN. */
static enum class judge_lines(const struct line *lines, size_t first, size_t last, int *between) {
	size_t load = last + 1;

	for (size_t i = first; i <= last;
	     i++){if (lines[i].access == LOCKS) return LOCKED;
		  if (lines[i].access == ADDS){ *between = 0; return ONE;}
if (lines[i].access == LOADS) load = i;
if (lines[i].access == STORES && load < i) {
	*between = (int)(i - load) - 1;
	return LOAD_STORE;
}
}
return UNKNOWN;
}

static void keep_code(struct cell *cell, const struct line *lines, size_t first, size_t last)
{
	static const char *const marks[] = {"", "load", "store", "add", "locked"};
	size_t length = 0;

	for (size_t i = first; i <= last && length + 112 < sizeof(cell->code); i++)
		length += (size_t)snprintf(cell->code + length, sizeof(cell->code) - length,
					   "%-7s%s\n", marks[lines[i].access], lines[i].text);
}

static void classify(struct cell *cell, const struct line *lines, size_t n)
{
	bool loops = false;
	int ignored;

	for (size_t i = 0; i < n; i++) {
		size_t first = 0;

		if (!lines[i].target || lines[i].target > lines[i].address)
			continue;
		while (lines[first].address < lines[i].target)
			first++;
		if (!loops)
			keep_code(cell, lines, first, i);
		loops = true;
		cell->class = judge_lines(lines, first, i, &cell->between);
		if (cell->class != UNKNOWN) {
			keep_code(cell, lines, first, i);
			return;
		}
	}
	if (!loops && n > 0)
		keep_code(cell, lines, 0, n - 1);
	if (n > 0 && judge_lines(lines, 0, n - 1, &ignored) != UNKNOWN)
		cell->class = loops ? REGISTER : FOLDED;
}

/* Reads objdump's text of the function. */
static void read_code(struct cell *cell)
{
	struct line lines[LINES];
	char text[512];
	bool arm = false, inside = false;
	size_t n = 0;
	FILE *in = fopen(in_folder("text"), "re");

	if (!in)
		return;
	while (fgets(text, sizeof(text), in)) {
		arm |= strstr(text, "aarch64") != NULL;
		if (strstr(text, " <loop>:"))
			inside = true;
		else if (inside && (text[0] == '\n' || n == LINES))
			break;
		else if (inside && parse(text, arm, &lines[n]))
			n++;
	}
	fclose(in);
	classify(cell, lines, n);
}

/* Compiles the loop and finds out what it is; cell->loop stays NULL where that failed. */
static void compile(struct cell *cell)
{
	char file[NAME + 8], source[2 * PATH], library[2 * PATH];
	void *handle;

	cell->between = -1;
	write_source(&kinds[cell->kind]);
	snprintf(file, sizeof(file), "%s.so", names[cell - cells]);
	snprintf(source, sizeof(source), "%s", in_folder("x.c"));
	snprintf(library, sizeof(library), "%s", in_folder(file));
	if (!execute((const char *const[]){compilers[cell->compiler].path, "-std=gnu11",
					   levels[cell->level], "-fPIC", "-shared", "-o", library,
					   source, NULL},
		     "messages"))
		return;
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	/* ISO C has no cast from void * to a function: POSIX's way */
	*(void **)&cell->get = dlsym(handle, "get");
	*(void **)&cell->reset = dlsym(handle, "reset");
	if (objdump[0] &&
	    execute((const char *const[]){objdump, "-d", "--no-show-raw-insn", library, NULL},
		    "text"))
		read_code(cell);
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

	if (!cell->loop)
		return;
	if (run_trial(run) == 0)
		run_row(run, "code",
			(struct field[]){{"class", .text = class_names[cell->class]},
					 {"between_instructions", cell->between},
					 {"compiler", .text = compilers[cell->compiler].path},
					 {"loop", .text = cell->code},
					 {0}});
	if (cell->updates == 0)
		cell->updates = iterations ? iterations : calibrate(cell);
	lost_one = measure(cell, true, &one);
	if (many)
		lost_several = measure(cell, false, &several);
	run_record(run, (struct field[]){{"compiler", .text = compilers[cell->compiler].name},
					 {"level", .text = levels[cell->level]},
					 {"kind", .text = kinds[cell->kind].name},
					 {"class", .text = class_names[cell->class]},
					 {"between_instructions", cell->between},
					 {"iterations", cell->updates},
					 {"one_cpu_lost_updates", lost_one},
					 {"one_cpu_elapsed_ns", span_wall(&one)},
					 {many ? "cpus_lost_updates" : NULL, lost_several},
					 {"cpus_elapsed_ns", span_wall(&several)},
					 {0}});
}

/* --- report ---------------------------------------------------------------- */

static const char *lost_shown(struct run *run, size_t cell, const char *field)
{
	struct values lost = run_values(run, cell, field);
	double all = (double)(THREADS * cells[cell].updates);

	if (lost.n == 0)
		return "";
	return text_format("%s  %zu/%zu", text_share(stats_quantile(lost, 0.5) / all),
			   stats_nonzero(lost), lost.n);
}

static const char *class_shown(const struct cell *cell)
{
	switch (cell->class) {
	case LOAD_STORE:
		return text_format("load, %d between, store", cell->between);
	case ONE:
		return "one instruction";
	case REGISTER:
		return "in a register";
	case FOLDED:
		return "folded: one addition";
	case LOCKED:
		return "one locked instruction";
	default:
		return "not classified";
	}
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "Two threads, x += 1 in each, %s. Lost: the median, and in how many trials.",
		iterations ? text_format("%s times", text_count(iterations))
			   : "as often as takes 10 ms alone");
	fprintf(out, "\n  %-15s %-8s  %-23s %13s %13s\n", "", "x is", "the loop", "one CPU",
		"several");
	for (size_t i = 0; i < CELLS; i++)
		if (run_values(run, i, "iterations").n)
			fprintf(out, "  %-5s %3s %-5s %-8s  %-23s %13s %13s\n",
				compilers[cells[i].compiler].name, levels[cells[i].level], "",
				kinds[cells[i].kind].name, class_shown(&cells[i]),
				lost_shown(run, i, "one_cpu_lost_updates"),
				lost_shown(run, i, "cpus_lost_updates"));
}

/* The loop of -O2 volatile, or as much of it as fits. */
static void print_code(struct run *run)
{
	FILE *out = run_out(run);

	for (size_t i = 0; i < CELLS; i++) {
		const char *line = cells[i].code;
		int lines = 0;

		if (cells[i].level != CONTROL_LEVEL || cells[i].kind != VOLATILE || !*line)
			continue;
		fprintf(out, "\n  %s -O2, x volatile:\n", compilers[cells[i].compiler].name);
		for (; *line && lines < SHOWN_LINES; line += strcspn(line, "\n") + 1, lines++)
			fprintf(out, "    %.*s\n", (int)strcspn(line, "\n"), line);
		if (*line)
			fputs("    ...\n", out);
	}
	fputc('\n', out);
}

static void judge(struct run *run)
{
	size_t measured = 0, one = 0, several = 0, single = 0, single_lost = 0;

	for (size_t i = 0; i < CELLS; i++) {
		struct values lost = run_values(run, i, "one_cpu_lost_updates");
		struct values lost_several = run_values(run, i, "cpus_lost_updates");

		if (lost.n == 0)
			continue;
		if (cells[i].kind == ATOMIC) {
			run_control(run, !stats_nonzero(lost) && !stats_nonzero(lost_several),
				    "%s: an atomic addition lost updates", names[i]);
			continue;
		}
		measured++;
		one += stats_nonzero(lost) > 0;
		several += stats_nonzero(lost_several) > 0;
		single += cells[i].class == ONE;
		single_lost += cells[i].class == ONE && stats_nonzero(lost);
	}
	if (measured == 0) {
		run_verdict(run, "race-nonzero", SKIPPED, NULL, "no such loop was compiled");
		return;
	}
	if (single > 0)
		run_say(run,
			"Where the update is one instruction, one CPU lost updates in %zu of "
			"%zu loops.",
			single_lost, single);
	run_verdict(run, "race-nonzero", one + several ? HOLDS : NOT_SEEN,
		    (struct field[]){{"loops", (int64_t)measured},
				     {"losing_on_one_cpu", (int64_t)one},
				     {"losing_on_several", (int64_t)several},
				     {"single_instruction", (int64_t)single},
				     {"single_losing_on_one_cpu", (int64_t)single_lost},
				     {0}},
		    "updates were lost by %zu of %zu compiled loops on one CPU, %s", one, measured,
		    run_cpus() > 1 ? text_format("by %zu on several", several)
				   : "which is all there is here");
}

static void report(struct run *run)
{
	print_table(run);
	print_code(run);
	judge(run);
	run_why(run, "a thread loses its CPU between two instructions, never within one. So one "
		     "instruction that adds to memory is safe on one CPU, by luck of the compiler; "
		     "on several it loses too. Folded loops leave one update to interleave: "
		     "a 0 there proves nothing.");
	if (!objdump[0])
		run_note(run, "objdump (binutils) is missing: no loop is classified.");
}

/* --- compilers -------------------------------------------------------------- */

/* Finds a program as the shell would; "" if there is none. */
static void find(const char *name, char path[PATH])
{
	const char *places = strchr(name, '/') ? NULL : getenv("PATH");
	char *list = strdup(places ? places : "");
	char *rest = list;

	if (!list)
		err(EXIT_USAGE, "strdup");
	snprintf(path, PATH, "%s", name);
	for (const char *place; places && (place = strsep(&rest, ":"));)
		if (snprintf(path, PATH, "%s/%s", place, name) < PATH && access(path, X_OK) == 0)
			break;
	if (access(path, X_OK) != 0)
		path[0] = '\0';
	free(list);
}

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

		find(i < OTHER ? compilers[i].name : given ? given : "cc", path);
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
				variants[n].help = k == ATOMIC ? "control" : "";
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
	return found;
}

int main(int argc, char *argv[])
{
	struct run *run;
	pid_t remover;
	int found;

	name_cells();
	run = run_begin(&about, argc, argv);
	if (find_compilers() == 0)
		return run_skip(run, "there is no compiler here: neither gcc nor clang nor cc");
	find("objdump", objdump);
	remover = folder_begin();
	found = compile_all(run);
	folder_end(remover);
	if (found == 0 && !run_stopped())
		return run_skip(run, "none of the compilers made a loop of those asked for");
	while (run_next(run))
		record(run, &cells[run_variant(run)]);
	return run_end(run, report);
}
