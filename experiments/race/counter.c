/* SPDX-License-Identifier: MIT */
/*
 * counter - two threads, one counter, no lock: x += 1 in one, x -= 1 in the other.
 *
 * Lecture notes say that x does not end at 0.  Whether it does depends on what the compiler made
 * of the update, so the same program is run with five:
 *
 *	split     load, add, store as three relaxed atomic steps.  Defined behaviour, nothing for
 *	          ThreadSanitizer to report, and still not atomic as a whole: it loses updates.
 *	volatile  what the naive program compiles to: a load, an add and a store each time.
 *	plain     the naive program itself.  The optimiser may add up the whole loop first, and
 *	          then there is one update left to interleave instead of a million.
 *	mutex     the control: a lock around each update.
 *	atomic    the control: one indivisible instruction.
 *
 * Each trial runs two programs: +/- (the notes') and ++ (increments only).  A lost +1 and a lost
 * -1 cancel, so the final x of +/- says that updates were lost, and only ++ says how many.
 */
#include <err.h>
#include <math.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { SPLIT, VOLATILE, PLAIN, MUTEX, ATOMIC, VARIANTS, CACHE_LINE = 64 };

static const struct variant variants[] = {
	[SPLIT] = {"split", "load, add and store as relaxed atomics (loses)"},
	[VOLATILE] = {"volatile", "the same on a volatile: a data race (loses)"},
	[PLAIN] = {"plain", "x += 1 as the optimiser compiles it: a data race"},
	[MUTEX] = {"mutex", "pthread mutex around the update (control)"},
	[ATOMIC] = {"atomic", "atomic fetch-and-add (control)"},
	{0}};

static const struct claim claims[] = {
	{"race-nonzero", "x += 1 and x -= 1 in two threads leave x not 0"},
	{"race-mutex-fixes", "a mutex around the update makes it exact"},
	{"race-zero-is-safe", "x == 0 means that the program is thread-safe"},
	{0}};

static const char *const placements[] = {"spread", "same", "free", NULL};

static int64_t threads = 2;
static int64_t iterations; /* 0 = calibrated */
static bool same_sign;
static const char *placement = "spread";

static const struct opt opts[] = {
	{'t', "threads", "threads; one adds 1, the next subtracts 1", .num = &threads, .min = 2,
	 .max = TEAM_MAX},
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = 1000000000,
	 .zero = "calibrated: a racy trial takes 5 ms or more"},
	{0, "same-sign", "only the ++ program: every thread adds 1", .flag = &same_sign},
	{0, "placement", "a CPU a thread in turn, all on one CPU, or as the scheduler likes",
	 .text = &placement, .choices = placements},
	{0}};

static const struct experiment about = {
	.name = "counter",
	.group = "race",
	.summary = "Two threads update one counter without a lock: how many updates are lost?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 25,
	.quick_trials = 5,
	.scatter = "elapsed_ns",
};

/* Each counter has a cache line to itself, so that the variants fight over nothing but x. */
static struct {
	alignas(CACHE_LINE) _Atomic int64_t split;
	alignas(CACHE_LINE) volatile int64_t naive;
	alignas(CACHE_LINE) int64_t plain;
	alignas(CACHE_LINE) _Atomic int64_t atomic;
	alignas(CACHE_LINE) int64_t locked;
	pthread_mutex_t mutex;
} x = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void split(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++) {
		int64_t value = atomic_load_explicit(&x.split, memory_order_relaxed);

		atomic_store_explicit(&x.split, value + step, memory_order_relaxed);
	}
}

/*
 * The next two are data races on purpose: they are what the notes show.  They alone are hidden
 * from ThreadSanitizer, which would otherwise, and rightly, end the program here.
 */
#define DATA_RACE_ON_PURPOSE __attribute__((no_sanitize("thread"), noinline))

DATA_RACE_ON_PURPOSE static void volatile_update(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++)
		x.naive = x.naive + step;
}

DATA_RACE_ON_PURPOSE static void plain_update(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++)
		x.plain += step;
}

static void with_mutex(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++) {
		pthread_mutex_lock(&x.mutex);
		x.locked += step;
		pthread_mutex_unlock(&x.mutex);
	}
}

static void with_atomic(int64_t n, int64_t step)
{
	for (int64_t i = 0; i < n; i++)
		atomic_fetch_add_explicit(&x.atomic, step, memory_order_relaxed);
}

static void (*const updates[])(int64_t n, int64_t step) = {[SPLIT] = split,
							   [VOLATILE] = volatile_update,
							   [PLAIN] = plain_update,
							   [MUTEX] = with_mutex,
							   [ATOMIC] = with_atomic};

static int64_t x_of(size_t variant)
{
	switch (variant) {
	case SPLIT:
		return atomic_load(&x.split);
	case VOLATILE:
		return x.naive;
	case PLAIN:
		return x.plain;
	case MUTEX:
		return x.locked;
	default:
		return atomic_load(&x.atomic);
	}
}

static void reset_x(void)
{
	atomic_store(&x.split, 0);
	x.naive = 0;
	x.plain = 0;
	x.locked = 0;
	atomic_store(&x.atomic, 0);
}

struct program {
	size_t variant;
	bool increments_only;
	int64_t n; /* updates of each thread */
};

static void work(int member, void *argument)
{
	const struct program *program = argument;

	updates[program->variant](program->n, member % 2 && !program->increments_only ? -1 : 1);
}

static enum team_place place(void)
{
	if (strcmp(placement, "free") == 0)
		return TEAM_FREE;
	return strcmp(placement, "same") == 0 ? TEAM_SAME : TEAM_SPREAD;
}

/* Runs one program of n updates a thread and returns x; *all covers the threads' spans. */
static int64_t measure(size_t variant, bool increments_only, int64_t n, struct span *all)
{
	struct program program = {variant, increments_only, n};
	struct team team;

	reset_x();
	team_start(&team, (int)threads, place(), work, &program);
	*all = team_join(&team);
	return x_of(variant);
}

/* What a program without a race prints. */
static int64_t exact_x(bool increments_only)
{
	return increments_only ? threads * iterations : threads % 2 * iterations;
}

/*
 * The iterations at which a trial is long enough to interleave: 5 ms of +/- and ++ together, and
 * 40 ms, several of the scheduler's time slices, where the threads share one CPU.
 */
static int64_t calibrate(void)
{
	bool one_cpu = run_cpus() == 1 || strcmp(placement, "same") == 0;
	int64_t program_ns = (one_cpu ? 40000000 : 5000000) / (same_sign ? 1 : 2);

	for (int64_t n = 100000;; n *= 2) {
		struct span all = {0};

		measure(SPLIT, same_sign, n, &all);
		if (span_wall(&all) >= program_ns || n > 100000000)
			return n;
	}
}

static void record(struct run *run, size_t variant, bool increments_only)
{
	struct span all = {0};
	int64_t value = measure(variant, increments_only, iterations, &all);

	run_record(run, (struct field[]){{"program", .text = increments_only ? "++" : "+/-"},
					 {increments_only ? "increments_x" : "final_x", value},
					 {increments_only ? "lost_updates" : "error_updates",
					  exact_x(increments_only) - value},
					 {"threads", threads},
					 {"iterations", iterations},
					 {"elapsed_ns", span_wall(&all)},
					 {"cpu_ns", all.cpu_ns},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

/* How far x was from exact in each trial of the program that the run is about. */
static struct values errors_of(struct run *run, size_t variant)
{
	return run_values(run, variant, same_sign ? "lost_updates" : "error_updates");
}

/*
 * Of all threads together: what an update costs the program, not how long a thread waits for one.
 */
static double ns_per_update(struct run *run, size_t variant)
{
	double elapsed = run_median(run, variant, "elapsed_ns");

	return elapsed / (double)(threads * iterations);
}

static void print_variant(struct run *run, size_t variant)
{
	struct values errors = errors_of(run, variant);
	double lost = run_median(run, variant, "lost_updates");
	size_t wrong = stats_nonzero(errors);

	for (size_t i = 0; i < errors.n; i++)
		errors.at[i] = llabs(errors.at[i]);
	fprintf(run_out(run), "  %-9s %6zu %11s %16s %14s %11.2f\n", variants[variant].name,
		errors.n, text_format("%zu/%zu", wrong, errors.n),
		text_count((int64_t)stats_quantile(errors, 0.5)),
		text_share(lost / (double)(threads * iterations)), ns_per_update(run, variant));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"%lld threads on %d CPU%s (%s), %s, %s times each. A safe program ends at %s. "
		"Lost: of a program in which every thread does x += 1.",
		(long long)threads, run_cpus(), run_cpus() == 1 ? "" : "s", placement,
		same_sign ? "each x += 1" : "x += 1 in one, x -= 1 in the next",
		text_count(iterations), text_count(exact_x(same_sign)));
	fputs("\n", out);
	fprintf(out, "  %-9s %6s %11s %16s %14s %11s\n", "variant", "trials", "wrong",
		"median |error|", "lost (x += 1)", "ns/update");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			print_variant(run, v);
	fprintf(out, "\n  x at the end of every trial:\n");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v)) {
			fprintf(out, "  %-9s ", variants[v].name);
			text_values(out, 12, 12,
				    run_values(run, v, same_sign ? "increments_x" : "final_x"));
		}
}

static void print_histogram(struct run *run)
{
	struct values xs = run_values(run, SPLIT, "final_x");
	double reach = fmax(fabs(stats_quantile(xs, 0)), fabs(stats_quantile(xs, 1)));

	if (xs.n == 0 || reach == 0)
		return;
	fprintf(run_out(run), "  split, all trials: %s |", text_count(-(int64_t)reach));
	text_histogram(run_out(run), xs, -reach, reach, 24);
	fprintf(run_out(run), "| +%s\n", text_count((int64_t)reach));
}

static void judge_racy(struct run *run)
{
	size_t trials = 0;
	size_t wrong = 0;
	struct interval share;

	for (size_t v = SPLIT; v <= VOLATILE; v++) {
		trials += errors_of(run, v).n;
		wrong += stats_nonzero(errors_of(run, v));
	}
	if (trials == 0)
		return;
	if (same_sign) {
		run_verdict(run, "race-nonzero", SKIPPED, NULL,
			    "no thread subtracts (--same-sign)");
		run_verdict(run, "race-zero-is-safe", SKIPPED, NULL,
			    "no thread subtracts (--same-sign)");
		return;
	}
	share = stats_share(wrong, trials);
	run_verdict(run, "race-nonzero", wrong ? HOLDS : NOT_SEEN,
		    (struct field[]){{"wrong_trials", (int64_t)wrong},
				     {"trials", (int64_t)trials},
				     {"wrong_share", .real = &share.mid},
				     {"wrong_share_low", .real = &share.low},
				     {"wrong_share_high", .real = &share.high},
				     {0}},
		    "%zu of %zu racy trials ended elsewhere than at %s (95 %% interval %.0f to "
		    "%.0f %%)",
		    wrong, trials, text_count(exact_x(false)), share.low * 100, share.high * 100);
	run_verdict(run, "race-zero-is-safe", wrong && wrong < trials ? REFUTED : NOT_SEEN,
		    (struct field[]){{"exact_trials", (int64_t)(trials - wrong)},
				     {"trials", (int64_t)trials},
				     {0}},
		    "%zu of %zu racy trials ended at %s and looked safe; race/zero has programs of "
		    "which more do",
		    trials - wrong, trials, text_count(exact_x(false)));
}

static void judge_controls(struct run *run)
{
	size_t programs[VARIANTS] = {0};
	size_t wrong[VARIANTS] = {0};

	for (size_t v = MUTEX; v <= ATOMIC; v++) {
		struct values errors = run_values(run, v, "error_updates");
		struct values lost = run_values(run, v, "lost_updates");

		programs[v] = errors.n + lost.n;
		wrong[v] = stats_nonzero(errors) + stats_nonzero(lost);
		run_control(run, wrong[v] == 0, "%s: %zu of %zu programs lost updates",
			    variants[v].name, wrong[v], programs[v]);
	}
	if (programs[MUTEX] > 0)
		run_verdict(run, "race-mutex-fixes", wrong[MUTEX] ? REFUTED : HOLDS,
			    (struct field[]){{"wrong_programs", (int64_t)wrong[MUTEX]},
					     {"programs", (int64_t)programs[MUTEX]},
					     {0}},
			    "%zu of %zu programs with the mutex lost an update; each update cost "
			    "%.0f ns",
			    wrong[MUTEX], programs[MUTEX], ns_per_update(run, MUTEX));
}

/* What the optimiser did to the plain loop, told from its speed: no loop takes 0.05 ns a turn. */
static void explain_plain(struct run *run)
{
	double elapsed = run_median(run, PLAIN, "elapsed_ns");

	if (ns_per_update(run, PLAIN) < 0.05)
		run_note(run,
			 "plain took %s in all: the compiler made one addition of the whole loop, "
			 "which "
			 "leaves next to nothing to interleave. It is as racy as volatile; 0 "
			 "proves nothing.",
			 text_time(elapsed));
	else
		run_note(run,
			 "plain took %s, %.2f ns an update: this compiler, with these flags, kept "
			 "the loop.",
			 text_time(elapsed), ns_per_update(run, PLAIN));
}

static void report(struct run *run)
{
	print_table(run);
	print_histogram(run);
	fputs("\n", run_out(run));
	judge_racy(run);
	judge_controls(run);
	run_why(run,
		"x += 1 is a load, an add and a store. What the other thread stores in between "
		"is overwritten: its updates are lost.");
	if (run_selected(run, PLAIN))
		explain_plain(run);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (iterations == 0)
		iterations = calibrate();
	while (run_next(run)) {
		if (!same_sign)
			record(run, run_variant(run), false);
		record(run, run_variant(run), true);
	}
	return run_end(run, report);
}
