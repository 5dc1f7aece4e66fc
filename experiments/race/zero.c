/* SPDX-License-Identifier: MIT */
/*
 * zero - how often does a program with a race end at the right result?
 *
 * One thread adds 1 to x N times, the other subtracts 1 N times, without a lock.  The program is
 * wrong at every N, but it shows only when the two threads meet: when N is large enough for them
 * to overlap at all, if the second one starts later; when the scheduler switches in between, on
 * one CPU; when no lost +1 happens to cancel a lost -1.  So "it printed 0" says that N was small,
 * or the test short, and nothing about safety.
 *
 * Four racy programs, each run many times for each N: with and without a barrier that lets both
 * threads start at once, on several CPUs and on one.  The update is load, add and store as relaxed
 * atomics, so that the behaviour is defined (see counter.c).  A compiler may make one instruction
 * of the three, which one CPU never interrupts: then the programs on one CPU always end at 0.
 * "atomic" is the control: the same program, made safe.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "span.h"

enum { STARTED, BARRIER, STARTED_ONE_CPU, BARRIER_ONE_CPU, ATOMIC, RACY = ATOMIC };

static const struct variant variants[] = {
	[STARTED] = {"started", "each thread runs as soon as it is started; several CPUs"},
	[BARRIER] = {"barrier", "both wait for each other first; several CPUs"},
	[STARTED_ONE_CPU] = {"started-1cpu", "as started, both on one CPU"},
	[BARRIER_ONE_CPU] = {"barrier-1cpu", "as barrier, both on one CPU"},
	[ATOMIC] = {"atomic", "as barrier, with an atomic update (control)"},
	{0}};

static const struct claim claims[] = {
	{"race-zero-is-safe", "x == 0 means that the program is thread-safe", "*=barrier,uneven",
	 NOT_SEEN,
	 .why = {[REFUTED] =
			 "an update is lost only where the threads overlap. A short thread is done before the other has started, and on one CPU before its time slice ends; the race is there all the same."}},
	{0}};

static const struct row_field fields[] = {
	{"iterations", "N, updates of each thread", "N", .key = true},
	{"runs", "of the program, as many as fit in the trial"},
	{"zero_runs", "that ended at 0", .show = SHOW_SUM, .per = "runs"},
	{"unsafe_runs", "that did not end at 0 though the update is atomic", .zero = true,
	 .sham = "atomic=barrier"},
	{"largest_error_updates", "the greatest |x|"},
	{"elapsed_ns", "of all the runs"},
	{0}};

static int64_t largest = 100000000;
static int64_t duration_ms = 20;

static const struct opt opts[] = {
	{'n', "largest", "the largest number of updates of each thread; powers of 10 from 10 up",
	 .num = &largest, .min = 10, .max = 1000000000, .quick = 1000000},
	{'d', "duration", "of a trial for each N: as many runs as fit, but one at least",
	 .num = &duration_ms, .min = 1, .max = 1000, .quick = 5, .unit = OPT_MS},
	{0}};

enum {
	SMALLEST = 10,
	LONG = 1000000,
	MAX_CONTROL = 1000000 /* atomic updates are slow, and always exact */
};

/* Updates of the first thread alone: in a sham half of LONG, so that no run ends at 0. */
static int64_t more;

static _Atomic int64_t x;
static _Atomic int arrived; /* threads at the barrier */

struct worker {
	pthread_t thread;
	size_t variant;
	int number;
	int64_t n;
};

static bool one_cpu(size_t variant)
{
	return variant == STARTED_ONE_CPU || variant == BARRIER_ONE_CPU;
}

/* Both threads leave it within nanoseconds, which a barrier that wakes a sleeper cannot do. */
static void wait_for_both(bool yield)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2)
		if (yield)
			sched_yield();
}

static void add_split(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t value = atomic_load_explicit(&x, memory_order_relaxed);

		atomic_store_explicit(&x, value + step, memory_order_relaxed);
	}
}

static void add_atomic(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++)
		atomic_fetch_add_explicit(&x, step, memory_order_relaxed);
}

static void *work(void *argument)
{
	const struct worker *w = argument;
	int64_t step = w->number ? -1 : 1;

	run_pin(one_cpu(w->variant) ? 0 : w->number);
	if (w->variant != STARTED && w->variant != STARTED_ONE_CPU)
		wait_for_both(one_cpu(w->variant) || run_cpus() == 1);
	if (w->variant == ATOMIC)
		add_atomic(w->n, step);
	else
		add_split(w->n, step);
	return NULL;
}

/* One run of the program: what it prints. */
static int64_t run_once(size_t variant, int64_t n)
{
	struct worker workers[2];

	atomic_store(&x, 0);
	atomic_store(&arrived, 0);
	for (int i = 0; i < 2; i++) {
		workers[i] =
			(struct worker){.variant = variant, .number = i, .n = i ? n : n + more};
		check(pthread_create(&workers[i].thread, NULL, work, &workers[i]),
		      "pthread_create");
	}
	for (int i = 0; i < 2; i++)
		check(pthread_join(workers[i].thread, NULL), "pthread_join");
	return atomic_load(&x);
}

/* As many runs as fit. */
static void measure(struct run *run, int64_t n)
{
	int64_t begin_ns = span_now();
	int64_t runs = 0, zero_runs = 0, most = 0, now_ns;

	do {
		int64_t printed = run_once(run_variant(run), n);

		runs++;
		zero_runs += printed == 0;
		if (printed > most || -printed > most)
			most = printed < 0 ? -printed : printed;
		now_ns = span_now();
	} while (now_ns - begin_ns < duration_ms * 1000000 && !run_stopped());
	run_record(run, (struct field[]){
				{"iterations", n},
				{"runs", runs},
				{"zero_runs", zero_runs},
				{"largest_error_updates", most},
				{"elapsed_ns", now_ns - begin_ns},
				{run_label(run) == ATOMIC ? "unsafe_runs" : NULL, runs - zero_runs},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

/* The runs of all racy programs with so many updates, and those of them that ended at 0. */
static struct share zero_of(struct run *run, int64_t n)
{
	const struct field where[] = {{"iterations", n}, {0}};
	struct share all = {0};

	for (size_t v = 0; v < RACY; v++)
		all = share_add(all, run_part_where(run, v, "zero_runs", "runs", where));
	return all;
}

static void judge(struct run *run)
{
	struct share all = {0};
	struct share large = {0};
	int64_t most = SMALLEST; /* the greatest power of 10 that is not above --largest */

	for (int64_t n = SMALLEST; n <= largest; n *= 10) {
		most = n;
		large = zero_of(run, n);
		all = share_add(all, large);
	}
	run_judge(
		run, "race-zero-is-safe", refuted_if_seen(all),
		"racy programs ended at 0 in {all} runs: in {small} with N = 10, in {large} with the largest N, {largest}",
		number_share("all", all), number_share("small", zero_of(run, SMALLEST)),
		number_share("large", large), number_int("largest", most));
}

static void draw(struct run *run)
{
	run_say(run, "How often x was 0 at the end:");
	run_grid(run, -1, "zero_runs", "iterations", NULL);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "zero",
	.group = "race",
	.order = 102,
	.summary = "How often does a program with a race end at 0, as if it were safe?",
	.intro = "x += 1 in one thread, x -= 1 in the other, N times each, without a lock.",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 4,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int64_t smallest = SMALLEST;

	if (run_sham(run, "uneven")) {
		smallest = largest = LONG;
		more = LONG / 2;
	}
	while (run_next(run))
		for (int64_t n = smallest; n <= largest && !run_stopped(); n *= 10)
			if (run_variant(run) != ATOMIC || n <= MAX_CONTROL)
				measure(run, n);
	return run_end(run);
}
