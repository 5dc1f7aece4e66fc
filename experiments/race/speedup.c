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
#include "old.h"
#include "python.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { FREE_1CPU, FREE, LOCK, PYTHON, WAYS, COUNTS = 3, MAX_THREADS = 4 };
/* How often the lock is handed over; how many additions of C take as long as one in Python. */
enum { SLICES = 32, PYTHON_COST = 200 };

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
	{"race-concurrency-parallelism", "concurrency interleaves on one core, parallelism runs at "
					 "the same time on several"},
	{"gil-one-at-a-time",
	 "the GIL lets one thread at a time run Python code: CPU-bound threads "
	 "are no faster"},
	{0}};

static int64_t iterations; /* 0 = calibrated */
static const char *python_list;

static const struct opt opts[] = {
	{'n', "iterations", "numbers to sum, by all threads together", .num = &iterations,
	 .max = 1000000000, .quick = 48000000, .zero = "calibrated: one thread takes 24 ms"},
	{0, "python", "the CPython to use (default: the newest that is found)",
	 .text = &python_list, .metavar = "PATH"},
	{0}};

static const struct experiment about = {
	.name = "speedup",
	.group = "race",
	.summary = "Do two CPU-bound threads take half the time of one?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 9,
	.quick_trials = 2,
	.scatter = "elapsed_ns",
};

/* CPU time over wall time from which on it was more than one CPU, and no error of the clocks. */
static const double surely_parallel = 1.2;

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
	int64_t last_begin = 0, first_end = INT64_MAX;
	struct team team;
	struct span all;

	for (int i = 0; i < threads; i++)
		parts[i] = (struct part){.way = way,
					 .begin = iterations * i / threads,
					 .end = iterations * (i + 1) / threads};
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
			limit_ns)) {
		if (!run_stopped())
			exit(EXIT_USAGE); /* python_run() has said why */
		return false;
	}
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

	if (way == PYTHON && (!*python.name || !in_python(threads, &result)))
		return;
	if (way != PYTHON)
		result = in_threads(way, threads);
	run_record(run, (struct field[]){{"cpus", way == FREE_1CPU ? 1 : run_cpus()},
					 {"threads", threads},
					 {"wrong_sums", result.wrong},
					 {"elapsed_ns", result.elapsed_ns},
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

/* --- report -------------------------------------------------------------- */

static size_t variant_of(int way, int count)
{
	return (size_t)way * COUNTS + (size_t)count;
}

/*
 * One field over another one, of a variant and a variant, by rounds: what disturbs a round disturbs
 * all of it.
 */
static struct interval ratio(struct run *run, size_t a, const char *field_a, size_t b,
			     const char *field_b)
{
	return stats_ratio(run_values(run, a, field_a), run_values(run, b, field_b));
}

static struct interval speedup(struct run *run, int way, int count)
{
	return ratio(run, variant_of(way, 0), "elapsed_ns", variant_of(way, count), "elapsed_ns");
}

static struct interval parallelism(struct run *run, int way, int count)
{
	size_t variant = variant_of(way, count);

	return ratio(run, variant, "cpu_ns", variant, "elapsed_ns");
}

/* The CPU time over wall time of every trial of 2 and 4 threads. */
struct shares {
	size_t trials, parallel; /* all; those in which CPUs worked at the same time */
	double most;
};

static struct shares shares_of(struct run *run, int way)
{
	struct shares shares = {0};

	for (int count = 1; count < COUNTS; count++) {
		struct values cpu = run_values(run, variant_of(way, count), "cpu_ns");
		struct values wall = run_values(run, variant_of(way, count), "elapsed_ns");

		for (size_t i = 0; i < cpu.n; i++) {
			double share = (double)cpu.at[i] / (double)wall.at[i];

			shares.trials++;
			shares.parallel += share > surely_parallel;
			shares.most = fmax(shares.most, share);
		}
	}
	return shares;
}

static const char *shown(const char *format, double figure)
{
	return isnan(figure) ? "-" : text_format(format, figure);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "The sum of 0 to %s (in Python: a %dth of it), each thread its part.",
		text_count(iterations - 1), PYTHON_COST);
	fprintf(out, "\n  %-14s %5s %8s %10s %11s %8s %15s\n", "variant", "CPUs", "threads", "wall",
		"CPU / wall", "speedup", "95 % interval");
	for (size_t v = 0; v < (size_t)WAYS * COUNTS; v++) {
		int way = (int)v / COUNTS, count = (int)v % COUNTS;
		struct values elapsed = run_values(run, v, "elapsed_ns");
		struct interval gain = speedup(run, way, count);

		if (elapsed.n == 0)
			continue;
		fprintf(out, "  %-14s %5d %8d %10s %11.2f %8s %15s\n", variants[v].name,
			way == FREE_1CPU ? 1 : run_cpus(), thread_counts[count],
			text_time(stats_quantile(elapsed, 0.5)), parallelism(run, way, count).mid,
			shown("%.2f", gain.mid),
			count && !isnan(gain.mid) ? text_format("%.2f to %.2f", gain.low, gain.high)
						  : "");
	}
	fputs("\n", out);
}

static void judge_parallelism(struct run *run)
{
	static const char *const claim = "race-concurrency-parallelism";
	struct shares one = shares_of(run, FREE_1CPU), all = shares_of(run, FREE);
	size_t interleaved =
		stats_nonzero(run_values(run, variant_of(FREE_1CPU, 1), "overlap_ns")) +
		stats_nonzero(run_values(run, variant_of(FREE_1CPU, 2), "overlap_ns"));

	if (!one.trials || !all.trials)
		return;
	if (run_cpus() < 2) {
		old_verdict(run, claim, SKIPPED, NULL,
			    "one CPU only: threads interleave there (in %zu of %zu trials), but "
			    "nothing can run at the same time",
			    interleaved, one.trials);
		return;
	}
	old_verdict(
		run, claim,
		one.parallel                  ? REFUTED
		: all.parallel && interleaved ? HOLDS
					      : NOT_SEEN,
		(struct field[]){{"one_cpu_most", .real = &one.most},
				 {"one_cpu_interleaved_trials", (int64_t)interleaved},
				 {"one_cpu_trials", (int64_t)one.trials},
				 {"all_cpus_most", .real = &all.most},
				 {"all_cpus_parallel_trials", (int64_t)all.parallel},
				 {"all_cpus_trials", (int64_t)all.trials},
				 {0}},
		"one CPU: threads interleaved in %zu of %zu trials, CPU time at most %.2f of the "
		"wall time; %d CPUs: up to %.2f, more than one worked in %zu of %zu",
		interleaved, one.trials, one.most, run_cpus(), all.most, all.parallel, all.trials);
}

/* "1.02, 0.99" times: the speedups of two and four threads. */
static const char *speedups(struct run *run, int way)
{
	return text_format("%s and %s", shown("%.2f", speedup(run, way, 1).mid),
			   shown("%.2f", speedup(run, way, 2).mid));
}

static void judge_gil(struct run *run)
{
	static const char *const claim = "gil-one-at-a-time";
	struct shares control = shares_of(run, FREE), locked = shares_of(run, LOCK);
	struct shares py = shares_of(run, PYTHON);
	size_t parallel = locked.parallel + (python.gil ? py.parallel : 0);

	if (!control.trials || !locked.trials)
		return;
	if (run_cpus() < 2 || !control.parallel) {
		old_verdict(run, claim, SKIPPED, NULL, "%s",
			    run_cpus() < 2
				    ? "one CPU only: no threads could be faster there"
				    : "not even threads without a lock had two CPUs at once");
		return;
	}
	old_verdict(
		run, claim, parallel ? REFUTED : HOLDS,
		(struct field[]){{"free_parallel_trials", (int64_t)control.parallel},
				 {"free_trials", (int64_t)control.trials},
				 {"lock_parallel_trials", (int64_t)locked.parallel},
				 {"lock_trials", (int64_t)locked.trials},
				 {"python_parallel_trials", (int64_t)py.parallel},
				 {"python_trials", (int64_t)py.trials},
				 {"python", .text = *python.name ? python.name : "none"},
				 {0}},
		"2 and 4 threads were %s times as fast as one with one big lock in C; %s; without "
		"a lock %s. Two CPUs at once in %zu, %zu and %zu of %zu trials",
		speedups(run, LOCK),
		!py.trials ? "no CPython was measured"
			   : text_format("%s in CPython %s%s", speedups(run, PYTHON), python.name,
					 python.gil ? "" : ", which has no GIL"),
		speedups(run, FREE), locked.parallel, py.parallel, control.parallel,
		control.trials);
}

static void report(struct run *run)
{
	size_t wrong = 0;

	print_table(run);
	judge_parallelism(run);
	judge_gil(run);
	for (size_t v = 0; v < (size_t)WAYS * COUNTS; v++)
		wrong += stats_nonzero(run_values(run, v, "wrong_sums"));
	old_control(run, wrong == 0, "the sum was wrong in %zu trials", wrong);
	if (!*python.name)
		old_note(run, "no CPython was found: the claim on the GIL rests on the lock in C");
	old_why(run, "a CPU runs one thread at a time, whatever the number of threads. A lock that "
		     "must be "
		     "held to compute makes several CPUs one; handing it over costs time on top.");
}

int main(int argc, char *argv[])
{
	struct python found[PYTHONS];
	struct run *run = run_begin(&about, argc, argv);
	bool wanted = run_selected(run, variant_of(PYTHON, 0)) ||
		      run_selected(run, variant_of(PYTHON, 1)) ||
		      run_selected(run, variant_of(PYTHON, 2));
	size_t n = wanted && python_script("gil/speedup.py") ? python_find(python_list, found) : 0;

	if (n > 0)
		python = found[n - 1];
	if (iterations == 0)
		iterations = calibrate();
	while (run_next(run))
		measure(run);
	return old_end(run, report);
}
