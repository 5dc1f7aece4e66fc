/* SPDX-License-Identifier: MIT */
/*
 * ordering - does a thread see another one's stores and loads in the order of its program?
 *
 * Two small programs, called litmus tests, each with an outcome that no order of their four lines has:
 *
 *	store buffering (sb)            message passing (mp)
 *	x = 1;      | y = 1;            x = 1;      | a = y;     x: data, y: "it is there"
 *	a = y;      | b = x;            y = 1;      | b = x;
 *	            a = 0, b = 0                    a = 1, b = 0
 *
 * Who may change the order:
 *
 *	C11        forbids both outcomes to seq_cst; to release (stores) and acquire (loads) only that of mp;
 *	           to relaxed neither.  volatile orders what one thread does, and is a data race here.
 *	hardware   x86: a store waits in a buffer while the next loads go on, and nothing else is
 *	           reordered: sb's happens, mp's never does.  AArch64 and POWER may show both.  One CPU
 *	           shows its own stores to whatever thread runs on it.
 *	compiler   may do to relaxed what the hardware may.  Here it cannot: each store and load is a
 *	           function that is called by its address.
 *
 * The threads must meet within nanoseconds, millions of times: they go through arrays of locations,
 * wait for each other before each pair of them, and then for a random moment.  Both have read the two
 * locations before, so that a load finds its value at once, and a store has to wait for the other CPU.
 */
#include <stdalign.h>
#include <stdatomic.h>

#include "exp.h"
#include "judge.h"
#include "lock/pause.h"
#include "rng.h"
#include "span.h"
#include "team.h"

enum { ROUNDS = 1024, OUTCOMES = 4, DELAYS = 256, SPINS = 1000 };
enum { BOTH_0 = 0, SECOND_0 = 2 }; /* outcomes, as bits a b: a = 0, b = 0 and a = 1, b = 0 */

/* A location, with a cache line of its own. */
struct place {
	alignas(LOCK_LINE) union {
		_Atomic int atomic;
		volatile int naive;
	};
};

/* A store of 1, and a load. */
struct order {
	void (*store)(struct place *place);
	int (*load)(struct place *place);
	bool passing; /* the test is message passing */
};

/*
 * ThreadSanitizer would put instructions of its own between two lines, and, rightly, report the data
 * race on what is volatile.
 */
#define NOT_INSTRUMENTED __attribute__((no_sanitize("thread"), noinline))

NOT_INSTRUMENTED static void store_relaxed(struct place *place)
{
	atomic_store_explicit(&place->atomic, 1, memory_order_relaxed);
}

NOT_INSTRUMENTED static int load_relaxed(struct place *place)
{
	return atomic_load_explicit(&place->atomic, memory_order_relaxed);
}

NOT_INSTRUMENTED static void store_release(struct place *place)
{
	atomic_store_explicit(&place->atomic, 1, memory_order_release);
}

NOT_INSTRUMENTED static int load_acquire(struct place *place)
{
	return atomic_load_explicit(&place->atomic, memory_order_acquire);
}

NOT_INSTRUMENTED static void store_seq_cst(struct place *place)
{
	atomic_store_explicit(&place->atomic, 1, memory_order_seq_cst);
}

NOT_INSTRUMENTED static int load_seq_cst(struct place *place)
{
	return atomic_load_explicit(&place->atomic, memory_order_seq_cst);
}

NOT_INSTRUMENTED static void store_volatile(struct place *place)
{
	place->naive = 1;
}

NOT_INSTRUMENTED static int load_volatile(struct place *place)
{
	return place->naive;
}

enum {
	SB_RELAXED,
	SB_ACQ_REL,
	SB_SEQ_CST,
	SB_VOLATILE,
	MP_RELAXED,
	MP_ACQ_REL,
	MP_SEQ_CST,
	MP_VOLATILE,
};

static const struct order orders[] = {[SB_RELAXED] = {store_relaxed, load_relaxed, false},
				      [SB_ACQ_REL] = {store_release, load_acquire, false},
				      [SB_SEQ_CST] = {store_seq_cst, load_seq_cst, false},
				      [SB_VOLATILE] = {store_volatile, load_volatile, false},
				      [MP_RELAXED] = {store_relaxed, load_relaxed, true},
				      [MP_ACQ_REL] = {store_release, load_acquire, true},
				      [MP_SEQ_CST] = {store_seq_cst, load_seq_cst, true},
				      [MP_VOLATILE] = {store_volatile, load_volatile, true}};

static const struct variant variants[] = {
	[SB_RELAXED] = {"sb-relaxed", "store buffering, relaxed atomics"},
	[SB_ACQ_REL] = {"sb-acq-rel", "store buffering, stores release and loads acquire"},
	[SB_SEQ_CST] = {"sb-seq-cst", "store buffering, sequentially consistent (control)"},
	[SB_VOLATILE] = {"sb-volatile", "store buffering, volatile: a data race"},
	[MP_RELAXED] = {"mp-relaxed", "message passing, relaxed atomics"},
	[MP_ACQ_REL] = {"mp-acq-rel", "message passing, stores release, loads acquire (control)"},
	[MP_SEQ_CST] = {"mp-seq-cst", "message passing, sequentially consistent (control)"},
	[MP_VOLATILE] = {"mp-volatile", "message passing, volatile: a data race"},
	{0}};

static const struct claim claims[] = {
	{"race-ordering", "what one thread stores and loads in order another sees in order",
	 "sb-relaxed=sb-seq-cst,mp-relaxed=mp-seq-cst", NOT_SEEN,
	 .why = {[REFUTED] =
			 "a store waits in the CPU's store buffer until the cache line is its own; the loads behind it go on meanwhile, and read what was there before. Release and acquire allow that, and volatile is a word to the compiler only; seq_cst makes the CPU wait. That stores are seen in another order than they were made x86 never shows, AArch64 and POWER do."}},
	{0}};

static const struct row_field fields[] = {
	{"cpus", "that the two threads run on", "CPUs", .key = true},
	{"rounds", "of the test", "rounds", SHOW_SUM},
	{"both_0_rounds", "with a = 0, b = 0", "a = 0|b = 0", SHOW_SHARE, "rounds"},
	{"first_0_rounds", "with a = 0, b = 1", "a = 0|b = 1", SHOW_SHARE, "rounds"},
	{"second_0_rounds", "with a = 1, b = 0", "a = 1|b = 0", SHOW_SHARE, "rounds"},
	{"both_1_rounds", "with a = 1, b = 1", "a = 1|b = 1", SHOW_SHARE, "rounds"},
	{"reordered_rounds", "with the outcome that no order of the lines has", "reordered",
	 SHOW_SUM},
	{"forbidden_rounds",
	 "the same where C11 forbids it: seq_cst, and release and acquire in mp", .zero = true,
	 .sham = "sb-seq-cst=sb-relaxed"},
	{"one_cpu_reordered_rounds", "the same with both threads on one CPU", .zero = true,
	 .sham = "apart"},
	{"elapsed_ns", "of the rounds", .per = "rounds"},
	{0}};

static const struct bound bounds[] = {
	{"enough_rounds", 10000, "where a store may wait, it does in one of 1,000 or more often"},
	{0}};

static int64_t duration_ms = 24;

static const struct opt opts[] = {{'d', "duration", "of a trial; a quarter of it on one CPU",
				   .num = &duration_ms, .min = 1, .max = 10000, .quick = 8,
				   .unit = OPT_MS},
				  {0}};

/* --- the threads ---------------------------------------------------------- */

static struct place x[ROUNDS], y[ROUNDS];
static int a[ROUNDS], b[ROUNDS];

/* How often each of the two has arrived where they meet. */
static struct {
	alignas(LOCK_LINE) _Atomic int64_t times;
} arrived[2];

static _Atomic bool over;

struct trial {
	const struct order *order;
	bool one_cpu;
	int64_t duration_ns;
	int64_t outcomes[OUTCOMES];
};

/* Both leave it within the time that a cache line needs from CPU to CPU, if both are running. */
static void meet(int member)
{
	int64_t times = atomic_load_explicit(&arrived[member].times, memory_order_relaxed) + 1;
	int spins = 0;

	atomic_store_explicit(&arrived[member].times, times, memory_order_release);
	while (atomic_load_explicit(&arrived[!member].times, memory_order_acquire) < times)
		if (++spins > SPINS)
			sched_yield();
}

static void wait_a_moment(struct rng *rng)
{
	for (size_t n = rng_below(rng, DELAYS); n > 0; n--)
		atomic_signal_fence(memory_order_seq_cst); /* keeps the loop */
}

NOT_INSTRUMENTED static void do_lines(const struct order *order, int member, size_t i)
{
	if (!order->passing) {
		order->store(member ? &y[i] : &x[i]);
		*(member ? &b[i] : &a[i]) = order->load(member ? &x[i] : &y[i]);
	} else if (member == 0) {
		order->store(&x[i]);
		order->store(&y[i]);
	} else {
		a[i] = order->load(&y[i]);
		b[i] = order->load(&x[i]);
	}
}

static void count(struct trial *trial)
{
	for (size_t i = 0; i < ROUNDS; i++)
		trial->outcomes[2 * a[i] + b[i]]++;
}

/* On one CPU they do not wait for each other: that would decide who comes first. */
static void work(int member, void *argument)
{
	struct trial *trial = argument;
	struct rng rng = {(uint64_t)(span_now() + member)};
	int64_t end_ns = span_now() + trial->duration_ns;

	while (!atomic_load(&over)) {
		for (size_t i = 0; i < ROUNDS; i++)
			atomic_store_explicit(member ? &y[i].atomic : &x[i].atomic, 0,
					      memory_order_relaxed);
		meet(member);
		for (size_t i = 0; i < ROUNDS; i++) {
			load_relaxed(&x[i]);
			load_relaxed(&y[i]);
			if (!trial->one_cpu)
				meet(member);
			wait_a_moment(&rng);
			do_lines(trial->order, member, i);
		}
		meet(member);
		if (member == 0) {
			count(trial);
			atomic_store(&over, span_now() >= end_ns || run_stopped());
		}
		meet(member);
	}
}

static void measure(struct run *run, bool one_cpu)
{
	const struct order *order = &orders[run_variant(run)];
	struct trial trial = {order, one_cpu, duration_ms * 1000000 / (one_cpu ? 4 : 1), {0}};
	bool forbidden = run_label(run) == SB_SEQ_CST || run_label(run) == MP_SEQ_CST ||
			 run_label(run) == MP_ACQ_REL;
	bool apart = run_cpus() > 1 && run_sham(run, "apart");
	struct team team;
	struct span all;
	int64_t rounds = 0, reordered;

	trial.one_cpu = one_cpu && !apart;
	atomic_store(&over, false);
	team_start(&team, 2, trial.one_cpu ? TEAM_SAME : TEAM_SPREAD, work, &trial);
	all = team_join(&team);
	for (int i = 0; i < OUTCOMES; i++)
		rounds += trial.outcomes[i];
	reordered = trial.outcomes[order->passing ? SECOND_0 : BOTH_0];
	run_record(run, (struct field[]){
				{"cpus", one_cpu ? 1 : 2},
				{"rounds", rounds},
				{"both_0_rounds", trial.outcomes[0]},
				{"first_0_rounds", trial.outcomes[1]},
				{"second_0_rounds", trial.outcomes[2]},
				{"both_1_rounds", trial.outcomes[3]},
				{"reordered_rounds", reordered},
				{"elapsed_ns", span_wall(&all)},
				{forbidden ? "forbidden_rounds" : "reordered_rounds", reordered},
				{one_cpu ? "one_cpu_reordered_rounds" : NULL, reordered},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

static struct share reordered(struct run *run, size_t variant, int64_t cpus)
{
	return run_part_where(run, variant, "reordered_rounds", "rounds",
			      (struct field[]){{"cpus", cpus}, {0}});
}

static void judge(struct run *run)
{
	struct share sb = reordered(run, SB_RELAXED, 2);
	struct share mp = reordered(run, MP_RELAXED, 2);
	struct share all = share_add(sb, mp);
	enum verdict enough =
		always_happens(share_of(all.n, all.n), (int64_t)run_bound(run, "enough_rounds"));

	if (run_cpus() == 1)
		run_judge(run, "race-ordering", SKIPPED,
			  "it takes two CPUs; both threads on this one saw {one} rounds reordered",
			  number_share("one", share_add(reordered(run, SB_RELAXED, 1),
							reordered(run, MP_RELAXED, 1))));
	else
		run_judge(
			run, "race-ordering", all_of(refuted_if_seen(all), enough),
			"with relaxed atomics on two CPUs each thread missed the other's store (a = 0, b = 0) in {sb} rounds, and data was older than its flag in {mp}; with release and acquire in {sb_acq_rel} and {mp_acq_rel}, with volatile in {sb_volatile} and {mp_volatile}, with seq_cst in {sb_seq_cst} and {mp_seq_cst}",
			number_share("sb", sb), number_share("mp", mp),
			number_share("sb_acq_rel", reordered(run, SB_ACQ_REL, 2)),
			number_share("mp_acq_rel", reordered(run, MP_ACQ_REL, 2)),
			number_share("sb_volatile", reordered(run, SB_VOLATILE, 2)),
			number_share("mp_volatile", reordered(run, MP_VOLATILE, 2)),
			number_share("sb_seq_cst", reordered(run, SB_SEQ_CST, 2)),
			number_share("mp_seq_cst", reordered(run, MP_SEQ_CST, 2)));
}

static const struct experiment about = {
	.name = "ordering",
	.group = "race",
	.order = 121,
	.summary = "Does a thread see another one's stores and loads in order?",
	.intro =
		"sb: x = 1; a = y; beside y = 1; b = x;    mp: x = 1; y = 1; beside a = y; b = x; reordered: what no order of these lines gives, sb: 0 0, mp: 1 0.",
	.claims = claims,
	.fields = fields,
	.opts = opts,
	.bounds = bounds,
	.variants = variants,
	.trials = 15,
	.quick_trials = 2,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		if (run_cpus() > 1)
			measure(run, false);
		measure(run, true);
	}
	return run_end(run);
}
