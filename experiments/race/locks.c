/* SPDX-License-Identifier: MIT */
/*
 * locks - one counter behind every way of protecting it: what does each cost, and is it fair?
 *
 * A mutex makes x += 1 exact, and so does everything else here but `split`, the racy reference.
 * They differ in what an update costs, in how that grows with the threads, and in who gets a turn:
 *
 *	relaxed ... cas    no lock: one atomic instruction, or a loop around compare-and-swap
 *	mutex ... sem      waiters sleep in the kernel
 *	spin, ttas         waiters spin; whoever comes at the right moment gets the lock
 *	ticket, mcs        waiters spin, first come, first served.  With more threads than CPUs the
 *	                   next in the queue is often not running, and everybody spins meanwhile
 *	own-lines ...      relaxed too, but on a counter a thread, added up at the end: nobody to wait
 *	                   for, unless the counters share a cache line.  (Where only its thread
 *	                   writes, a load and a store would do, and hide what the line costs.)
 *
 * So a trial lasts for a time, not for a number of updates: until then each thread updates as
 * often as it can, and counts its own.  The counter must be the sum.  At the deadline whoever
 * waits in a queue cannot leave it; it yields from then on, until it is served (lock/pause.h).
 *
 * What sharing a line costs shows only while two threads run at the same time.  Beside other
 * programs they often do not; so two threads are tried again a few times until they did, and the
 * claim about lines is judged of those that did.
 */
#include <err.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "lock/futex.h"
#include "lock/mcs.h"
#include "lock/pause.h"
#include "lock/ticket.h"
#include "lock/ttas.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum {
	SPLIT,
	RELAXED,
	SEQ_CST,
	CAS,
	MUTEX,
	ADAPTIVE,
	FUTEX,
	SEMAPHORE,
	SPIN,
	TTAS,
	TICKET,
	MCS,
	OWN_LINES,
	ONE_LINE,
	MAX_THREADS = 8,
};

static const struct variant variants[] = {
	[SPLIT] = {"split", "relaxed load and store: loses updates"},
	[RELAXED] = {"relaxed", "atomic fetch-and-add, relaxed"},
	[SEQ_CST] = {"seq-cst", "atomic fetch-and-add, sequentially consistent"},
	[CAS] = {"cas", "compare-and-swap, again until it succeeds"},
	[MUTEX] = {"mutex", "pthread mutex"},
	[ADAPTIVE] = {"adaptive", "pthread mutex that spins before it sleeps"},
	[FUTEX] = {"futex", "three-state lock on a futex"},
	[SEMAPHORE] = {"sem", "POSIX semaphore of 1"},
	[SPIN] = {"spin", "pthread spinlock"},
	[TTAS] = {"ttas", "spinlock that looks before it tries"},
	[TICKET] = {"ticket", "spinlock, first come, first served"},
	[MCS] = {"mcs", "spinning queue, a flag for each waiter"},
	[OWN_LINES] = {"own-lines", "a counter a thread, a cache line each"},
	[ONE_LINE] = {"one-line", "a counter a thread, all in one cache line"},
	{0}};

static const struct claim claims[] = {
	{"race-mutex-fixes", "a mutex around the update makes it exact", "*=split", REFUTED,
	 .why = {[HOLDS] =
			 "alone, a lock costs its atomic instructions. With others on other CPUs it costs the way of its cache line from CPU to CPU, or a sleep and a wake-up. A spinning lock with more threads than CPUs waits for a thread that does not run, a time slice each, and the more so if it serves in order."}},
	{"race-false-sharing",
	 "counters of one's own on one cache line cost as much as a shared one",
	 "one-line=own-lines", REFUTED,
	 .why = {[HOLDS] =
			 "a CPU must have a line to itself to write to it, and takes it from the other CPU, whichever bytes of it the other one writes. What shares no line shares nothing.",
		 [REFUTED] =
			 "the two CPUs may share a cache, and so the line (two hardware threads of one core), or a line may be shorter here than assumed."}},
	{0}};

static const struct row_field fields[] = {
	{"threads", "that update"},
	{"cpus", "they are spread over"},
	{"place", "threads on CPUs", .text = true, .key = true},
	{"elapsed_ns", "from the first begin to the last end", .per = "updates"},
	{"updates", "the sum of what the threads counted"},
	{"lost_updates", "updates minus the counter", .show = SHOW_SUM, .per = "updates"},
	{"fewest_updates", "of a thread", .per = "most_updates"},
	{"most_updates", "of a thread"},
	{"cpu_ns", "CPU time of all threads", .per = "elapsed_ns"},
	{"control_lost_updates", "the same where a lock or an atomic protects the counter",
	 .zero = true, .sham = "relaxed=split"},
	{"queued_threads",
	 "still waiting for ttas, ticket or mcs at the deadline, so they yielded"},
	{"drain_ns", "from the deadline to the last end"},
	{"beside", "1: each thread ran on a CPU of its own for nearly all of the time"},
	{0}};

static const struct bound bounds[] = {
	{"enough_updates", 100000, "without a lock a third of so many would be lost"},
	{"beside_share", 0.9, "of the time on a CPU: with less, a thread was alone for part of it"},
	{"dearer_times", 2,
	 "two CPUs that do not disturb each other need the same time, and a way between them is several updates long"},
	{0}};

static int64_t duration_ms = 7;

static const struct opt opts[] = {{'d', "duration", "time for each thread that shares a CPU",
				   .num = &duration_ms, .min = 1, .max = 1000, .quick = 2,
				   .unit = OPT_MS},
				  {0}};

enum { ALONE, TWO, FOUR, EIGHT, TWO_ON_ONE, EIGHT_ON_ONE, CELLS };

/* What is measured of each variant, in this order. */
static const struct cell {
	int threads;
	bool one_cpu;
} cells[CELLS] = {{1, false}, {2, false}, {4, false}, {8, false}, {2, true}, {8, true}};

/* The lock has a cache line to itself and what it protects, as it would in a program. */
static struct {
	alignas(LOCK_LINE) _Atomic bool begun; /* from then on the deadline counts */
	alignas(LOCK_LINE) _Atomic bool stop;
	alignas(LOCK_LINE) _Atomic int64_t shared; /* the counter without a lock */
	alignas(LOCK_LINE) union {
		pthread_mutex_t mutex;
		struct futex futex;
		sem_t semaphore;
		pthread_spinlock_t spin;
		struct ttas ttas;
		struct ticket ticket;
		struct mcs mcs;
	} lock;
	int64_t guarded; /* the counter behind it */
	struct {
		alignas(LOCK_LINE) _Atomic int64_t count;
	} own_lines[MAX_THREADS];
	alignas(LOCK_LINE) _Atomic int64_t one_line[MAX_THREADS];
} x;

/* Before each trial: zero, and free. */
static void reset_x(size_t variant)
{
	pthread_mutexattr_t attributes;

	memset(&x, 0, sizeof(x));
	check(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	if (variant == ADAPTIVE)
		check(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP),
		      "pthread_mutexattr_settype");
	if (variant == MUTEX || variant == ADAPTIVE)
		check(pthread_mutex_init(&x.lock.mutex, &attributes), "pthread_mutex_init");
	if (variant == SEMAPHORE)
		check_fd(sem_init(&x.lock.semaphore, 0, 1), "sem_init");
	if (variant == SPIN)
		check(pthread_spin_init(&x.lock.spin, PTHREAD_PROCESS_PRIVATE),
		      "pthread_spin_init");
	pthread_mutexattr_destroy(&attributes);
}

/* The counter, wherever this variant kept it; the others are 0. */
static int64_t counted(void)
{
	int64_t sum = atomic_load(&x.shared) + x.guarded;

	for (int i = 0; i < MAX_THREADS; i++)
		sum += atomic_load(&x.own_lines[i].count) + atomic_load(&x.one_line[i]);
	return sum;
}

struct worker {
	size_t variant;
	_Atomic int64_t *counter; /* of relaxed, own-lines and one-line */
	struct patience patience;
	struct mcs_node node;
	int64_t updates;
};

/* --- one update, in each way ---------------------------------------------- */

/* True until the deadline, counting how often. */
static inline bool again(int64_t *updates)
{
	if (atomic_load_explicit(&x.stop, memory_order_relaxed))
		return false;
	++*updates;
	return true;
}

static inline void add_split(_Atomic int64_t *counter)
{
	int64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, value + 1, memory_order_relaxed);
}

static inline void add_cas(_Atomic int64_t *counter)
{
	int64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(counter, &value, value + 1,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* A loop for each way: all that differs between two of them is the update. */
static void update_until_stop(int member, void *argument)
{
	struct worker *w = (struct worker *)argument + member;
	int64_t updates = 0;

	atomic_store(&x.begun, true);
	switch (w->variant) {
	case SPLIT:
		while (again(&updates))
			add_split(&x.shared);
		break;
	case RELAXED:
	case OWN_LINES:
	case ONE_LINE:
		while (again(&updates))
			atomic_fetch_add_explicit(w->counter, 1, memory_order_relaxed);
		break;
	case SEQ_CST:
		while (again(&updates))
			atomic_fetch_add_explicit(&x.shared, 1, memory_order_seq_cst);
		break;
	case CAS:
		while (again(&updates))
			add_cas(&x.shared);
		break;
	case MUTEX:
	case ADAPTIVE:
		while (again(&updates)) {
			pthread_mutex_lock(&x.lock.mutex);
			x.guarded++;
			pthread_mutex_unlock(&x.lock.mutex);
		}
		break;
	case FUTEX:
		while (again(&updates)) {
			futex_lock(&x.lock.futex);
			x.guarded++;
			futex_unlock(&x.lock.futex);
		}
		break;
	case SEMAPHORE:
		while (again(&updates)) {
			while (sem_wait(&x.lock.semaphore) != 0)
				; /* EINTR */
			x.guarded++;
			sem_post(&x.lock.semaphore);
		}
		break;
	case SPIN:
		while (again(&updates)) {
			pthread_spin_lock(&x.lock.spin);
			x.guarded++;
			pthread_spin_unlock(&x.lock.spin);
		}
		break;
	case TTAS:
		while (again(&updates)) {
			ttas_lock(&x.lock.ttas, &w->patience);
			x.guarded++;
			ttas_unlock(&x.lock.ttas);
		}
		break;
	case TICKET:
		while (again(&updates)) {
			ticket_lock(&x.lock.ticket, &w->patience);
			x.guarded++;
			ticket_unlock(&x.lock.ticket);
		}
		break;
	default: /* MCS */
		while (again(&updates)) {
			mcs_lock(&x.lock.mcs, &w->node, &w->patience);
			x.guarded++;
			mcs_unlock(&x.lock.mcs, &w->node, &w->patience);
		}
	}
	w->updates = updates;
}

/* --- a trial -------------------------------------------------------------- */

static int cpus_of(const struct cell *cell)
{
	return cell->one_cpu ? 1 : run_cpus();
}

/* On one CPU there is nothing but it to choose. */
static bool exists(const struct cell *cell)
{
	return !cell->one_cpu || run_cpus() > 1;
}

/* Runs the threads until each could have had a CPU for the duration; returns when that was. */
static int64_t run_threads(const struct cell *cell, struct worker workers[], size_t variant,
			   struct span *all)
{
	int shared_by = (cell->threads + cpus_of(cell) - 1) / cpus_of(cell);
	struct team team;
	int64_t stop_ns;

	reset_x(variant);
	for (int i = 0; i < cell->threads; i++)
		workers[i] = (struct worker){.variant = variant,
					     .counter = variant == OWN_LINES ? &x.own_lines[i].count
							: variant == ONE_LINE ? &x.one_line[i]
									      : &x.shared,
					     .patience = {.over = &x.stop}};
	team_start(&team, cell->threads, cell->one_cpu ? TEAM_SAME : TEAM_SPREAD, update_until_stop,
		   workers);
	stop_ns = team_stop_after(duration_ms * shared_by * 1000000, &x.begun, &x.stop);
	*all = team_join(&team);
	return stop_ns;
}

/* "2 on 1": threads on CPUs. */
static const char *place_of(const struct cell *cell)
{
	return text_format("%d on %d", cell->threads, cpus_of(cell));
}

/* Whether each of the threads had a CPU of its own, and ran on it all along. */
static bool ran_beside(const struct run *run, const struct cell *cell, const struct span *all)
{
	double share = run_bound(run, "beside_share");

	return cell->threads <= cpus_of(cell) &&
	       (double)all->cpu_ns >= share * (double)(cell->threads * span_wall(all));
}

/* Returns whether its threads ran side by side. */
static bool measure(struct run *run, const struct cell *cell)
{
	struct worker workers[MAX_THREADS] = {0};
	struct span all = {0};
	int64_t stop_ns = run_threads(cell, workers, run_variant(run), &all);
	int64_t updates = 0, fewest = INT64_MAX, most = 0, queued = 0, lost;
	bool beside = ran_beside(run, cell, &all);

	for (int i = 0; i < cell->threads; i++) {
		const struct worker *w = &workers[i];

		updates += w->updates;
		fewest = w->updates < fewest ? w->updates : fewest;
		most = w->updates > most ? w->updates : most;
		queued += w->patience.yields > 0;
	}
	lost = updates - counted();
	run_record(run, (struct field[]){
				{"threads", cell->threads},
				{"cpus", cpus_of(cell)},
				{"updates", updates},
				{"lost_updates", lost},
				{"place", .text = place_of(cell)},
				{"fewest_updates", fewest},
				{"most_updates", most},
				{"queued_threads", queued},
				{"drain_ns", all.end_ns > stop_ns ? all.end_ns - stop_ns : 0},
				{"elapsed_ns", span_wall(&all)},
				{"cpu_ns", all.cpu_ns},
				{"beside", beside},
				{run_label(run) >= RELAXED ? "control_lost_updates" : NULL, lost},
				{0}});
	return beside;
}

/* Two threads of a variant that the claim about lines reads. */
static bool is_of_lines(const struct run *run, size_t cell)
{
	size_t label = run_label(run);

	return cell == TWO && run_cpus() > 1 &&
	       (label == RELAXED || label == OWN_LINES || label == ONE_LINE);
}

/* After a look, only what the claim about lines may still need: all else would take long. */
static void measure_all(struct run *run)
{
	enum { TRIES = 8 };

	for (size_t c = 0; c < CELLS && !run_stopped(); c++) {
		int tries = is_of_lines(run, c) ? TRIES : 1;

		if (!exists(&cells[c]) || (run_looked(run) && c != TWO))
			continue;
		while (tries-- > 0 && !measure(run, &cells[c]) && !run_stopped())
			;
	}
}

/* --- judge --------------------------------------------------------------- */

/* The median cost of an update there, ns. */
static double ns_per_update(struct run *run, size_t variant, const char *place)
{
	const struct field where[] = {{"place", .text = place}, {0}};

	return stats_quantile(stats_millionths(run_values_where(run, variant, "elapsed_ns", where),
					       run_values_where(run, variant, "updates", where)),
			      0.5) /
	       1e6;
}

/* Updates by threads that have company, and those of them that were lost: one alone loses none. */
static struct share lost_of(struct run *run, size_t variant)
{
	struct share all = {0};

	for (size_t c = TWO; c < CELLS; c++) {
		const struct field where[] = {{"place", .text = place_of(&cells[c])}, {0}};

		if (!exists(&cells[c]))
			continue;
		all = share_add(all,
				run_part_where(run, variant, "lost_updates", "updates", where));
	}
	return all;
}

/* Of those pairs of threads that ran side by side, each update's time, in millionths of a ns. */
static struct values beside_costs(struct run *run, size_t variant)
{
	const struct field where[] = {{"place", .text = place_of(&cells[TWO])}, {"beside", 1}, {0}};

	return stats_millionths(run_values_where(run, variant, "elapsed_ns", where),
				run_values_where(run, variant, "updates", where));
}

static void judge_lines(struct run *run)
{
	double times = run_bound(run, "dearer_times");
	struct values one_line, own_lines, shared;
	struct interval apart, alike;

	if (run_cpus() == 1) {
		run_judge(run, "race-false-sharing", SKIPPED,
			  "{cpus} CPU allowed: its cache has every line to itself",
			  number_int("cpus", run_cpus()));
		return;
	}
	one_line = beside_costs(run, ONE_LINE);
	own_lines = beside_costs(run, OWN_LINES);
	shared = beside_costs(run, RELAXED);
	apart = run_ratio(run, one_line, own_lines);
	alike = run_ratio(run, one_line, shared);
	run_judge(
		run, "race-false-sharing",
		all_of(is_above(apart, times), is_within(alike, 1 / times, times)),
		"two threads side by side, each with its counter: an update cost {apart} times as much on one line ({one_line_ns}) as on two ({own_lines_ns}), and {alike} times as much as one of a shared counter ({shared_ns})",
		number_interval("apart", apart), number_interval("alike", alike),
		number_real("one_line_ns", stats_quantile(one_line, 0.5) / 1e6),
		number_real("own_lines_ns", stats_quantile(own_lines, 0.5) / 1e6),
		number_real("shared_ns", stats_quantile(shared, 0.5) / 1e6));
}

static void judge(struct run *run)
{
	struct share lost = share_add(lost_of(run, MUTEX), lost_of(run, ADAPTIVE));
	const char *alone = place_of(&cells[ALONE]);
	const char *eight = place_of(&cells[EIGHT]);
	double drain_ns = 0;

	run_judge(
		run, "race-mutex-fixes",
		never_happens(lost, (int64_t)run_bound(run, "enough_updates")),
		"{lost} updates of threads side by side under a mutex were lost; one cost {alone_ns} alone, {eight_ns} with 8 threads (an atomic addition {atomic_alone_ns} and {atomic_eight_ns})",
		number_share("lost", lost),
		number_real("alone_ns", ns_per_update(run, MUTEX, alone)),
		number_real("eight_ns", ns_per_update(run, MUTEX, eight)),
		number_real("atomic_alone_ns", ns_per_update(run, RELAXED, alone)),
		number_real("atomic_eight_ns", ns_per_update(run, RELAXED, eight)));
	judge_lines(run);
	for (size_t v = TTAS; v <= MCS; v++) /* the only ones that show it */
		drain_ns = fmax(drain_ns, stats_quantile(run_values(run, v, "drain_ns"), 1));
	if (drain_ns > 0)
		run_note(
			run,
			"threads that still waited for ttas, ticket or mcs at the deadline yielded from then on; all were through after {drain_ns} at most",
			number_real("drain_ns", drain_ns));
}

static void draw(struct run *run)
{
	run_say(run, "Time an update, by threads on CPUs:");
	run_grid(run, -1, "elapsed_ns", NULL, "place");
	fputc('\n', run_out(run));
	run_say(run, "Fewest of most updates of a thread:");
	run_grid(run, -1, "fewest_updates", NULL, "place");
	fputc('\n', run_out(run));
	run_say(run, "Lost updates:");
	run_grid(run, -1, "lost_updates", NULL, "place");
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "locks",
	.group = "race",
	.order = 103,
	.summary = "One counter behind every lock: what does an update cost, and who gets a turn?",
	.intro =
		"1, 2, 4 or 8 threads add 1 to a counter until a deadline, {duration_ms} for each thread that shares a CPU.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure_all(run);
	return run_end(run);
}
