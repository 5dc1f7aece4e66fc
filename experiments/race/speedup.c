/* SPDX-License-Identifier: MIT */
/*
 * speedup - are CPU-bound threads faster?  Not on one CPU, not under one lock.
 *
 * The same sum is computed by 1, 2 and 4 threads, each its part of it:
 *
 *	free     no lock, on all CPUs: parallelism.
 *	free ... 1cpu   the same on one CPU: the threads take turns, which is concurrency.
 *	lock     on all CPUs, but whoever computes must hold one big lock, and hands it over to who
 *	         has waited longest: what CPython's GIL does to threads, without Python.
 *	python   the same sum in CPython.
 *
 * CPU time over wall time says how many CPUs worked at once, on average: above 1, threads ran at
 * the same time, whatever else the machine had to do.  So it decides; the speedup also depends on
 * how much of the CPUs other programs leave.  The free threads are the control of the other two.
 */
#include <err.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "python.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { FREE_1CPU, FREE, LOCK, PYTHON, COUNTS = 3, MAX_THREADS = 4 };
/*
 * How often the lock is handed over; how many additions of C take as long as one in Python; how many
 * times the work on one CPU is, so that each thread is there for more than a time slice.
 */
enum { SLICES = 32, PYTHON_COST = 200, LONGER = 4 };

static const int thread_counts[COUNTS] = {1, 2, MAX_THREADS};

/* Variant i is way i / COUNTS with thread_counts[i % COUNTS]. */
static const struct variant variants[] = {{"free-1-1cpu", "one thread, one CPU"},
					  {"free-2-1cpu", "two threads on one CPU"},
					  {"free-4-1cpu", "four threads on one CPU"},
					  {"free-1", "one thread"},
					  {"free-2", "two threads on all CPUs"},
					  {"free-4", "four threads on all CPUs"},
					  {"lock-1", "one thread that holds the big lock"},
					  {"lock-2", "two threads, one big lock"},
					  {"lock-4", "four threads, one big lock"},
					  {"python-1", "one thread in CPython"},
					  {"python-2", "two threads in CPython"},
					  {"python-4", "four threads in CPython"},
					  {0}};

static const struct claim claims[] = {
	{"race-concurrency-parallelism",
	 "concurrency interleaves on one core, parallelism runs at the same time on several",
	 "free-2=free-2-1cpu,free-4=free-4-1cpu", NOT_SEEN,
	 .why = {[HOLDS] =
			 "a CPU runs one thread at a time, whatever the number of threads; several run several at once."}},
	{"gil-one-at-a-time",
	 "the GIL lets one thread at a time run Python code: CPU-bound threads are no faster",
	 "lock-2=free-2,lock-4=free-4", REFUTED,
	 .why = {[HOLDS] =
			 "a lock that must be held to compute makes several CPUs one; handing it over costs time on top."}},
	{0}};

static const struct row_field fields[] = {
	{"cpus", "that the threads may use", "CPUs", SHOW_FIRST},
	{"threads", "that compute", "threads", SHOW_FIRST},
	{"elapsed_ns", "from the first begin to the last end", "wall"},
	{"cpu_ns", "CPU time of all threads", "CPU of|wall time", SHOW_INTERVAL, "elapsed_ns"},
	{"parallel", "1: the CPU time is above parallel_times of the wall time", "parallel",
	 SHOW_NONZERO},
	{"overlap_ns", "while all threads were under way, on whatever CPU; not of CPython"},
	{"wrong_sums", "threads, or programs, whose sum is not right", .zero = true,
	 .sham = "forget"},
	{"python", "version of CPython", .text = true},
	{0}};

static const struct bound bounds[] = {
	{"parallel_times", 1.2,
	 "CPU time over wall time: more than one CPU, and no error of the clocks"},
	{"faster_times", 1.2,
	 "of two threads that were parallel it would be twice, less what starting them costs"},
	{"usual_share", 0.5, "a claim of what happens is one of most trials"},
	{"enough_trials", 7, "of two and of four threads"},
	{0}};

static int64_t iterations; /* 0 = calibrated */
static const char *python_list;

static const struct opt opts[] = {
	{'n', "iterations",
	 "numbers to sum, by all threads together; on one CPU four times as many",
	 .num = &iterations, .max = 500000000, .quick = 12000000,
	 .zero = "calibrated: one thread takes 24 ms"},
	{0, "python", "the CPython to use (default: the newest that is found)",
	 .text = &python_list, .metavar = "PATH"},
	{0}};

static struct python python; /* without a name if there is none */

/* --- the work ------------------------------------------------------------ */

/* Hands itself over: first come, first served, as the GIL's forced switching does for two. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t next;
	int64_t tickets, serving;
} lock = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void take(void)
{
	int64_t ticket;

	pthread_mutex_lock(&lock.mutex);
	ticket = lock.tickets++;
	while (lock.serving != ticket)
		pthread_cond_wait(&lock.next, &lock.mutex);
	pthread_mutex_unlock(&lock.mutex);
}

static void hand_over(void)
{
	pthread_mutex_lock(&lock.mutex);
	lock.serving++;
	pthread_cond_broadcast(&lock.next);
	pthread_mutex_unlock(&lock.mutex);
}

struct part {
	int way;
	int64_t begin, end, sum;
};

static int64_t sum_of(int64_t begin, int64_t end)
{
	int64_t sum = 0;

	for (int64_t i = begin; i < end; i++) {
		sum += i;
		__asm__ volatile("" : "+r"(sum)); /* else the optimiser knows Gauss's formula */
	}
	return sum;
}

static void work(int member, void *argument)
{
	struct part *w = (struct part *)argument + member;
	int64_t slice = w->way == LOCK ? iterations / SLICES + 1 : w->end - w->begin;

	for (int64_t at = w->begin; at < w->end; at += slice) {
		if (w->way == LOCK)
			take();
		w->sum += sum_of(at, at + slice < w->end ? at + slice : w->end);
		if (w->way == LOCK)
			hand_over();
	}
}

/* --- one trial ----------------------------------------------------------- */

struct outcome {
	int64_t wrong; /* threads, or programs, whose sum was not right */
	int64_t elapsed_ns, cpu_ns;
	int64_t overlap_ns; /* while all threads were under way, on whatever CPU */
};

static int64_t gauss(int64_t begin, int64_t end)
{
	return (end * (end - 1) - begin * (begin - 1)) / 2;
}

static struct outcome in_threads(int way, int threads)
{
	struct part parts[MAX_THREADS];
	struct outcome result = {0};
	int64_t n = way == FREE_1CPU ? iterations * LONGER : iterations;
	int64_t last_begin = 0, first_end = INT64_MAX;
	struct team team;
	struct span all;

	for (int i = 0; i < threads; i++)
		parts[i] = (struct part){
			.way = way, .begin = n * i / threads, .end = n * (i + 1) / threads};
	team_start(&team, threads, way == FREE_1CPU ? TEAM_SAME : TEAM_SPREAD, work, parts);
	all = team_join(&team);
	for (int i = 0; i < threads; i++) {
		const struct span *span = &team.members[i].span;

		result.wrong += parts[i].sum != gauss(parts[i].begin, parts[i].end);
		last_begin = span->begin_ns > last_begin ? span->begin_ns : last_begin;
		first_end = span->end_ns < first_end ? span->end_ns : first_end;
	}
	result.elapsed_ns = span_wall(&all);
	result.cpu_ns = all.cpu_ns;
	result.overlap_ns = first_end > last_begin ? first_end - last_begin : 0;
	return result;
}

/* False if the run was stopped meanwhile. */
static bool in_python(int threads, struct outcome *result)
{
	const int64_t limit_ns = 60000000000;
	int64_t count = iterations / PYTHON_COST;
	const char *arguments[] = {text_format("%d", threads),
				   text_format("%lld", (long long)count), NULL};
	char text[128];
	char *rest;
	int64_t elapsed_ns, cpu_ns, sum;

	if (!python_run(&python, python_script("gil/speedup.py"), arguments, text, sizeof(text),
			limit_ns))
		return false;
	elapsed_ns = strtoll(text, &rest, 10);
	cpu_ns = strtoll(rest, &rest, 10);
	sum = strtoll(rest, &rest, 10);
	if (*rest != '\n' || elapsed_ns < 1)
		errx(EXIT_USAGE, "%s printed '%s'", python.path, text);
	*result = (struct outcome){sum != gauss(0, count), elapsed_ns, cpu_ns, 0};
	return true;
}

static void measure(struct run *run)
{
	int way = (int)run_variant(run) / COUNTS;
	int threads = thread_counts[run_variant(run) % COUNTS];
	struct outcome result = {0};

	if (way == PYTHON && !in_python(threads, &result))
		return;
	if (way != PYTHON)
		result = in_threads(way, threads);
	run_record(run, (struct field[]){{"cpus", way == FREE_1CPU ? 1 : run_cpus()},
					 {"threads", threads},
					 {"wrong_sums", result.wrong + run_sham(run, "forget")},
					 {"elapsed_ns", result.elapsed_ns},
					 {"parallel", (double)result.cpu_ns >
							      run_bound(run, "parallel_times") *
								      (double)result.elapsed_ns},
					 {"cpu_ns", result.cpu_ns},
					 {way == PYTHON ? "python" : "overlap_ns",
					  result.overlap_ns, way == PYTHON ? python.name : NULL},
					 {0}});
}

/* So many that one thread takes 24 ms, in millions. */
static int64_t calibrate(void)
{
	const int64_t million = 1000000;

	for (iterations = million;; iterations *= 2) {
		int64_t cpu_ns = in_threads(FREE, 1).cpu_ns;

		if (cpu_ns >= 5 * million)
			return (iterations / million * 24 * million / cpu_ns + 1) * million;
	}
}

/* --- judge --------------------------------------------------------------- */

static size_t variant_of(int way, int count)
{
	return (size_t)way * COUNTS + (size_t)count;
}

/* How many times as fast as one thread, by rounds: what disturbs a round disturbs all of it. */
static struct interval speedup(struct run *run, int way, int count)
{
	return run_ratio(run, run_values(run, variant_of(way, 0), "elapsed_ns"),
			 run_values(run, variant_of(way, count), "elapsed_ns"));
}

/* Of the trials of 2 and 4 threads. */
static struct share share_in(struct run *run, int way, const char *field)
{
	return run_nonzero_in(run, variant_of(way, 1), variant_of(way, 2), field);
}

static void judge_parallelism(struct run *run)
{
	struct share interleaved = share_in(run, FREE_1CPU, "overlap_ns");
	struct share one = share_in(run, FREE_1CPU, "parallel");
	struct share all = share_in(run, FREE, "parallel");

	run_judge(
		run, "race-concurrency-parallelism",
		run_cpus() < 2
			? SKIPPED
			: all_of(never_happens(one, (int64_t)run_bound(run, "enough_trials")),
				 or_not_seen(share_above(all, run_bound(run, "usual_share"))),
				 can_happen(interleaved)),
		run_cpus() < 2
			? MESSAGE("it takes several CPUs, and there is one")
			: MESSAGE("on one CPU threads interleaved in {interleaved} trials, and more than one CPU worked in {one}; on {cpus} CPUs in {all}"),
		number_share("interleaved", interleaved), number_share("one", one),
		number_share("all", all), number_int("cpus", run_cpus()));
}

static void judge_gil(struct run *run)
{
	double faster = run_bound(run, "faster_times");
	struct interval free_2 = speedup(run, FREE, 1);
	enum verdict here = is_above(free_2, run_bound(run, "parallel_times"));
	enum verdict no_faster = all_of(is_below(speedup(run, LOCK, 1), faster),
					is_below(speedup(run, LOCK, 2), faster));

	if (run_selected(run, variant_of(PYTHON, 0)) && python.gil)
		no_faster = all_of(no_faster, is_below(speedup(run, PYTHON, 1), faster),
				   is_below(speedup(run, PYTHON, 2), faster));
	run_judge(
		run, "gil-one-at-a-time", run_cpus() < 2 ? SKIPPED : only_if(here, no_faster),
		run_cpus() < 2
			? MESSAGE("it takes several CPUs, and there is one")
			: MESSAGE("2 threads were {lock_2} and 4 were {lock_4} times as fast as one with one big lock in C, {python_2} and {python_4} in CPython {python}; without a lock {free_2}"),
		number_interval("lock_2", speedup(run, LOCK, 1)),
		number_interval("lock_4", speedup(run, LOCK, 2)),
		number_interval("python_2", speedup(run, PYTHON, 1)),
		number_interval("python_4", speedup(run, PYTHON, 2)),
		number_text("python", *python.name ? python.name : MESSAGE("(none)")),
		number_interval("free_2", free_2));
}

static void judge(struct run *run)
{
	judge_parallelism(run);
	judge_gil(run);
}

static void choose(void)
{
	struct python found[PYTHONS];
	size_t n = python_script("gil/speedup.py") ? python_find(python_list, found) : 0;
	const struct python *newest = python_newest(found, n, 0);

	if (newest)
		python = *newest;
}

static const struct experiment about = {
	.name = "speedup",
	.group = "race",
	.order = 104,
	.summary = "Do two CPU-bound threads take half the time of one?",
	.intro =
		"The sum of {iterations} numbers, on one CPU of four times as many, in Python of a 200th; each thread its part.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.trials = 9,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.scatter = "elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	for (int count = 0; count < COUNTS; count++)
		if (!*python.name && run_selected(run, variant_of(PYTHON, count)))
			run_leave_out(run, variant_of(PYTHON, count), "no CPython 3 was found");
	if (iterations == 0)
		iterations = calibrate();
	while (run_next(run))
		measure(run);
	return run_end(run);
}
