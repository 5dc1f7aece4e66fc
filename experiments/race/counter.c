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
#include <math.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "exp.h"
#include "judge.h"
#include "language.h"
#include "span.h"
#include "steps.h"
#include "team.h"
#include "text.h"

enum { SPLIT, VOLATILE, PLAIN, MUTEX, ATOMIC, VARIANTS, CACHE_LINE = 64 };
enum { SLOWER = 8 }; /* so many times longer at least takes an update that fights for a mutex */

static const struct variant variants[] = {
	[SPLIT] = {"split", "load, add and store as relaxed atomics (loses)"},
	[VOLATILE] = {"volatile", "the same on a volatile: a data race (loses)"},
	[PLAIN] = {"plain", "x += 1 as the optimiser compiles it: a data race"},
	[MUTEX] = {"mutex", "pthread mutex around the update (control)"},
	[ATOMIC] = {"atomic", "atomic fetch-and-add (control)"},
	{0}};

static const char is_three_steps[] =
	"x += 1 is a load, an add and a store. What the other thread stores in between is overwritten: its updates are lost.";

static const struct claim claims[] = {
	{"race-nonzero", "x += 1 and x -= 1 in two threads leave x not 0",
	 "split=atomic,volatile=atomic", NOT_SEEN, .why = {[HOLDS] = is_three_steps}},
	{"race-mutex-fixes", "a mutex around the update makes it exact", "mutex=volatile", REFUTED},
	{"race-zero-is-safe", "x == 0 means that the program is thread-safe", "short", REFUTED,
	 .why = {[REFUTED] =
			 "threads that hardly overlap lose nothing; the race is there all the same."}},
	{0}};

static const struct row_field fields[] = {
	{"program", "+/- (the notes') or ++ (every thread adds 1)", .text = true},
	{"error_updates", "of +/-: what is right, minus x at the end", "wrong", SHOW_NONZERO},
	{"lost_updates", "of ++: updates missing at the end", "lost of ++", SHOW_MEDIAN, "updates"},
	{"control_lost_updates", "how far x was off, where a lock or an atomic protects it",
	 .zero = true, .sham = "mutex=volatile,atomic=volatile"},
	{"final_x", "of +/-: x at the end"},
	{"increments_x", "of ++: x at the end"},
	{"threads", "threads that update x"},
	{"iterations", "updates of each thread"},
	{"updates", "of all threads"},
	{"elapsed_ns", "from the first thread's begin to the last one's end", "time an|update",
	 SHOW_MEDIAN, "updates"},
	{"cpu_ns", "CPU time of all threads"},
	{0}};

static const struct bound bounds[] = {
	{"enough_updates", 100000, "without the lock, threads that overlap lose many of so many"},
	{"often_share", 0.5,
	 "of the racy trials: beside another program a thread may now and then run when the other has ended"},
	{0}};

static const char *const placements[] = {"spread", "same", "free", NULL};

static int64_t threads = 2;
static int64_t iterations; /* 0 = calibrated */
static bool calibrated;
static bool same_sign;
static const char *placement = "spread";
static double plain_instructions;

static const struct opt opts[] = {
	{'t', "threads", "threads; one adds 1, the next subtracts 1", .num = &threads, .min = 2,
	 .max = TEAM_MAX},
	{'n', "iterations", "updates of each thread", .num = &iterations, .max = 1000000000,
	 .zero = "calibrated: a racy trial takes 5 ms or more"},
	{0, "same-sign", "only the ++ program: every thread adds 1", .flag = &same_sign},
	{0, "placement", "a CPU a thread in turn, all on one CPU, or as the scheduler likes",
	 .text = &placement, .choices = placements},
	{0}};

/*
 * Each counter has a cache line to itself, so that the variants fight over nothing but x.  The one
 * under the mutex is volatile, so that it is the lock that keeps it exact: without one the compiler
 * would fold the loop, and nothing be lost.
 */
static struct {
	alignas(CACHE_LINE) _Atomic int64_t split;
	alignas(CACHE_LINE) volatile int64_t naive;
	alignas(CACHE_LINE) int64_t plain;
	alignas(CACHE_LINE) _Atomic int64_t atomic;
	alignas(CACHE_LINE) volatile int64_t locked;
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

/* Updates of each thread: as asked for; else calibrated, with fewer where each takes long. */
static int64_t updates_each(size_t variant)
{
	return calibrated && variant == MUTEX ? iterations / SLOWER : iterations;
}

/* What a program without a race prints. */
static int64_t exact_x(bool increments_only, int64_t n)
{
	return (increments_only ? threads : threads % 2) * n;
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

static void one_plain_update(void *n)
{
	plain_update(*(int64_t *)n, 1);
}

/* The instructions of an update in the plain loop; NAN where they cannot be counted. */
static double count_instructions(void)
{
	enum { FEW = 100, MANY = 1100, MOST = 1000000 };
	int64_t few = FEW;
	int64_t many = MANY;
	int64_t of_few = steps_count(one_plain_update, &few, MOST);
	int64_t of_many = steps_count(one_plain_update, &many, MOST);

	return of_few < 0 || of_many < 0 ? NAN : (double)(of_many - of_few) / (MANY - FEW);
}

static void record(struct run *run, bool increments_only)
{
	struct span all = {0};
	int64_t n = updates_each(run_variant(run));
	int64_t value = measure(run_variant(run), increments_only, n, &all);
	int64_t error = exact_x(increments_only, n) - value;
	bool is_control = run_label(run) >= MUTEX;

	run_record(run,
		   (struct field[]){{"program", .text = increments_only ? "++" : "+/-"},
				    {increments_only ? "increments_x" : "final_x", value},
				    {increments_only ? "lost_updates" : "error_updates", error},
				    {"threads", threads},
				    {"iterations", n},
				    {"updates", threads * n},
				    {"elapsed_ns", span_wall(&all)},
				    {"cpu_ns", all.cpu_ns},
				    {is_control ? "control_lost_updates" : NULL, error},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

/* What the compiler made of the plain loop: its 0 proves nothing. */
static void note_plain(struct run *run)
{
	const char *note = MESSAGE(
		"plain: this compiler, with these flags, kept the loop, with {instructions} instructions an update");

	if (isnan(plain_instructions))
		note = MESSAGE(
			"plain: what the compiler made of the loop could not be counted here (ptrace)");
	else if (plain_instructions < 0.5)
		note = MESSAGE(
			"plain: the compiler made one addition of the whole loop, which leaves next to nothing to interleave; it is as racy as volatile, and its 0 proves nothing");
	run_note(run, note, number_real("instructions", plain_instructions));
}

/*
 * Trials of +/- that ended elsewhere than at the exact value.  Each claim reads its evidence anew:
 * so the library knows which of the variants that it needs were left out.
 */
static struct share wrong_trials(struct run *run)
{
	return run_nonzero_in(run, SPLIT, VOLATILE, "error_updates");
}

/* The updates under the mutex, and those of them that are missing at the end. */
static struct share lost_with_mutex(struct run *run)
{
	struct values errors = run_values(run, MUTEX, "control_lost_updates");
	int64_t lost = 0;

	for (size_t i = 0; i < errors.n; i++)
		lost += llabs(errors.at[i]);
	return share_of(lost, (int64_t)run_sum(run, MUTEX, "updates"));
}

static void judge(struct run *run)
{
	struct share wrong = wrong_trials(run);
	struct share exact, lost;

	run_judge(
		run, "race-nonzero", same_sign ? SKIPPED : can_happen(wrong),
		same_sign
			? MESSAGE("no thread subtracts (--same-sign)")
			: MESSAGE("{wrong} racy trials ended elsewhere than at the exact value ({wrong.range})"),
		number_share("wrong", wrong));
	exact = share_rest(wrong_trials(run));
	run_judge(
		run, "race-zero-is-safe",
		same_sign ? SKIPPED : refuted_if_often(exact, run_bound(run, "often_share")),
		same_sign
			? MESSAGE("no thread subtracts (--same-sign)")
			: MESSAGE("{exact} racy trials ended at the exact value and looked safe; race/zero has programs of which more do"),
		number_share("exact", exact));
	lost = lost_with_mutex(run);
	run_judge(run, "race-mutex-fixes",
		  never_happens(lost, (int64_t)run_bound(run, "enough_updates")),
		  "{lost} updates under the mutex were lost; each cost {cost_ns}",
		  number_share("lost", lost),
		  number_real("cost_ns", run_median(run, MUTEX, "elapsed_ns") /
						 run_median(run, MUTEX, "updates")));
	if (run_selected(run, PLAIN))
		note_plain(run);
}

static void draw(struct run *run)
{
	struct values xs = run_values(run, SPLIT, "final_x");
	double reach = fmax(fabs(stats_quantile(xs, 0)), fabs(stats_quantile(xs, 1)));

	run_say(run, "x at the end of every trial:");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v)) {
			fprintf(run_out(run), "  %-9s ", variants[v].name);
			text_values(run_out(run), 12, 12,
				    run_values(run, v, same_sign ? "increments_x" : "final_x"));
		}
	if (xs.n > 0 && reach > 0) {
		fprintf(run_out(run), "  %s |",
			text_format(translated("split, all trials: %s"),
				    text_count(-(int64_t)reach)));
		text_histogram(run_out(run), xs, -reach, reach, 24);
		fprintf(run_out(run), "| +%s\n", text_count((int64_t)reach));
	}
	fputs("\n", run_out(run));
}

static const struct experiment about = {
	.name = "counter",
	.group = "race",
	.order = 101,
	.summary = "Two threads update one counter without a lock: how many updates are lost?",
	.intro =
		"{threads} threads on {cpus} ({placement} placement), {iterations} updates each (if calibrated, an eighth of it under the mutex), x += 1 in one and x -= 1 in the next; of ++: x += 1 in all.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 25,
	.quick_trials = 4,
	.judge = judge,
	.draw = draw,
	.scatter = "elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_sham(run, "short"))
		iterations = 10;
	calibrated = iterations == 0;
	if (calibrated)
		iterations = calibrate();
	if (run_selected(run, PLAIN))
		plain_instructions = count_instructions();
	while (run_next(run)) {
		if (!same_sign)
			record(run, false);
		record(run, true);
	}
	return run_end(run);
}
