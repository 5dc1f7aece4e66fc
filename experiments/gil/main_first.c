/* SPDX-License-Identifier: MIT */
/*
 * main_first - a thread sums range(1, 100000) and prints the sum; main prints a line meanwhile.
 * Which one comes first?
 *
 * The program runs in C and in every CPython found, many times.  Both lines go into one pipe, in
 * which they stay in the order in which they were printed; what was printed is compared with the
 * only two outputs that are right.
 *
 * Whether main comes first is the scheduler's choice in C, and the GIL's in CPython: since 3.2
 * a thread keeps the GIL for a switch interval (5 ms), longer than this sum takes, unless it waits
 * or prints.  So each CPython 3 runs the program once more with an interval that is shorter than
 * the sum takes.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { IN_C, VARIANTS = 1 + 2 * PYTHONS, NAME = 32, REPEATS = 10, LAST = 99999 };

static const char main_line[] = "main\n";
static const char sum_line[] = "sum 4999950000\n";

/* "c"; the interpreters, the oldest first; the same ones with a short interval. */
static struct variant variants[VARIANTS + 1] = {{"c", "a pthread"}};
static char names[VARIANTS][NAME];
static struct python pythons[PYTHONS];
static const struct python *python_of[VARIANTS];
static size_t plain_end, all_end; /* what follows the variants as they are, and all of them */

static const struct claim claims[] = {
	{"gil-main-first",
	 "a started thread and the main thread run interleaved: the main line may print first, and range(1, 100000) sums to 4,999,950,000",
	 "*=c,join-first", NOT_SEEN,
	 .why = {[HOLDS] =
			 "nothing orders the two lines. In C main goes on while the new thread is being started. In CPython 3 the new thread takes the GIL; main gets it back after a switch interval, 5 ms, or when the thread lets go of it, which it does to print: then the two lines race. A short interval lets main in before."}},
	{0}};

static const struct row_field fields[] = {
	{"main_first", "1: main's line came first", "main first", SHOW_NONZERO},
	{"wrong_output", "1: the program printed something else than the two lines", .zero = true,
	 .sham = "garble"},
	{"interval_us", "the short switch interval; 0: as it is"},
	{"elapsed_ns", "of the program"},
	{0}};

static const char *python_list;
static int64_t interval_us = 100;

static const struct opt opts[] = {
	{0, "python", "CPython interpreters, with commas (default: all found)",
	 .text = &python_list, .metavar = "PATH"},
	{0, "short-interval-us", "the short switch interval in microseconds", .num = &interval_us,
	 .min = 1, .max = 1000000},
	{0}};

/* --- one trial ----------------------------------------------------------- */

static void *sum_and_print(void *out)
{
	int64_t sum = 0;

	for (int64_t number = 1; number <= LAST; number++) {
		sum += number;
		__asm__ volatile("" : "+r"(sum)); /* else the optimiser knows Gauss's formula */
	}
	if (dprintf(*(int *)out, "sum %lld\n", (long long)sum) < 0)
		err(EXIT_USAGE, "dprintf");
	return NULL;
}

static bool join_first; /* a sham: main waits for the thread before it prints */

/* The program in C; what it printed, as a string. */
static void run_in_c(char *text, size_t size)
{
	pthread_t thread;
	size_t length = 0;
	ssize_t n;
	int fds[2];

	check_fd(pipe2(fds, O_CLOEXEC), "pipe2");
	check(pthread_create(&thread, NULL, sum_and_print, &fds[1]), "pthread_create");
	if (join_first)
		check(pthread_join(thread, NULL), "pthread_join");
	if (dprintf(fds[1], "%s", main_line) < 0)
		err(EXIT_USAGE, "dprintf");
	if (!join_first)
		check(pthread_join(thread, NULL), "pthread_join");
	close(fds[1]);
	while ((n = read(fds[0], text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(fds[0]);
}

/* False if the run was stopped meanwhile. */
static bool run_in_python(size_t variant, char *text, size_t size)
{
	const int64_t limit_ns = 60000000000;
	const char *interval[] = {
		variant >= plain_end ? text_format("%lld", (long long)interval_us) : NULL, NULL};
	const char *script = python_script("gil/main_first.py");

	return python_run(python_of[variant], script, interval, text, size, limit_ns);
}

static void measure(struct run *run)
{
	size_t variant = run_variant(run);
	int64_t begin_ns = span_now();
	char text[128];
	bool main_first;

	if (variant == IN_C)
		run_in_c(text, sizeof(text));
	else if (!run_in_python(variant, text, sizeof(text)))
		return;
	if (run_sham(run, "garble"))
		text[0] = '?';
	main_first = strncmp(text, main_line, strlen(main_line)) == 0;
	run_record(run, (struct field[]){
				{"main_first", main_first},
				{"wrong_output",
				 strcmp(text, text_format("%s%s", main_first ? main_line : sum_line,
							  main_first ? sum_line : main_line)) != 0},
				{"interval_us", variant >= plain_end ? interval_us : 0},
				{"elapsed_ns", span_now() - begin_ns},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share in_c = run_nonzero(run, IN_C, "main_first");
	struct share python = run_nonzero_in(run, IN_C + 1, plain_end - 1, "main_first");
	struct share hurried = run_nonzero_in(run, plain_end, all_end - 1, "main_first");

	run_judge(
		run, "gil-main-first", can_happen(share_add(in_c, share_add(python, hurried))),
		"main came first in {c} programs in C, in {python} in CPython as it is, in {hurried} at a short switch interval",
		number_share("c", in_c), number_share("python", python),
		number_share("hurried", hurried));
	if (plain_end == IN_C + 1)
		run_note(
			run,
			"CPython is left out: none was found (see --python), or experiments/gil/main_first.py is not there",
			NO_NUMBERS);
}

static void add_variant(const struct python *python, size_t at, const char *suffix,
			const char *help)
{
	snprintf(names[at], NAME, "%s%s", python->name, suffix);
	variants[at] = (struct variant){names[at], help};
	python_of[at] = python;
}

static void choose(void)
{
	size_t n = 0, at = 1;

	if (python_script("gil/main_first.py"))
		n = python_find(python_list, pythons);
	for (size_t i = 0; i < n; i++)
		add_variant(&pythons[i], at++, "", "CPython");
	plain_end = at;
	for (size_t i = 0; i < n; i++)
		if (pythons[i].major >= 3)
			add_variant(&pythons[i], at++, "-short",
				    "CPython, a short switch interval");
	all_end = at;
}

static const struct experiment about = {
	.name = "main_first",
	.group = "gil",
	.order = 205,
	.summary = "Which line is printed first: the thread's or main's?",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 8,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	join_first = run_sham(run, "join-first");
	while (run_next(run))
		for (int i = 0; i < (run_variant(run) == IN_C ? REPEATS : 1); i++)
			measure(run);
	return run_end(run);
}
