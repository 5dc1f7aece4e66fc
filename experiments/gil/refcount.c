/* SPDX-License-Identifier: MIT */
/*
 * refcount - what goes wrong with a reference count that several threads change, and what protects it?
 *
 * Every object of CPython counts the references to it, and whoever only reads an object takes one and
 * drops it again.  If both are a load, an addition and a store, two threads lose some of these: a lost
 * addition lets the count fall to 0 while the object is in use, which frees it; a lost subtraction
 * keeps it above 0 for ever.  Four ways to count:
 *
 *	plain    load, add and store: what CPython does under its GIL
 *	lock     the same under one lock, which here stands for the GIL
 *	atomic   one atomic instruction
 *	biased   the owner, the thread that made the object, counts for itself; the others count together,
 *		 atomically; both counts add up (PEP 703, free-threaded CPython)
 *
 * A trial lasts for a time: until then each thread takes a reference and drops it, of an object of its
 * own or of one that all share and the first thread owns.  In the end the count must be 1: the reference
 * that this program holds all along.
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "exp.h"
#include "judge.h"
#include "span.h"
#include "team.h"
#include "text.h"

enum { PLAIN, LOCK, ATOMIC, BIASED, LINE = 128, MAX_THREADS = 4 };

static const struct variant variants[] = {
	[PLAIN] = {"plain", "load, add, store: loses counts"},
	[LOCK] = {"lock", "the same under one lock, as with a GIL"},
	[ATOMIC] = {"atomic", "one atomic instruction"},
	[BIASED] = {"biased", "the owner's own count, and one of all others"},
	{0}};

static const struct claim claims[] = {
	{"gil-refcount", "the GIL is there because reference counts are not thread-safe",
	 "plain=atomic", NOT_SEEN,
	 .why = {[HOLDS] =
			 "one lock around everything makes plain counts exact, and they are the cheapest for one thread. Without it each count must be atomic, which costs every thread more even on objects that nobody shares, or biased to its owner."}},
	{0}};

static const struct row_field fields[] = {
	{"threads", "that take and drop references"},
	{"object", "how many threads have objects of whom", .text = true, .key = true},
	{"elapsed_ns", "from the first begin to the last end", "time of|a pair", SHOW_MEDIAN,
	 "pairs"},
	{"pairs", "references taken and dropped, by all threads"},
	{"wrong_counts", "objects whose count was not 1 at the end", "wrong|at the end", SHOW_SUM},
	{"count_error", "the sum of these counts, minus what is right"},
	{"freed_early", "references dropped that left none, though one is held", "freed|early",
	 SHOW_SUM},
	{"harmed", "1: a count was wrong at the end, or an object was freed early"},
	{"protected_harm", "the same of lock, atomic and biased", .zero = true,
	 .sham = "atomic=plain"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 8, "of threads that share an object: on one CPU few of them lose counts"},
	{0}};

static int64_t duration_ms = 5;

static const struct opt opts[] = {{'d', "duration", "time for each thread that shares a CPU",
				   .num = &duration_ms, .min = 1, .max = 1000, .quick = 3,
				   .unit = OPT_MS},
				  {0}};

/* What is measured of each variant: how many threads, and whether they share the object. */
enum { ALONE, OWN, TWO, FOUR, CELLS };
static const struct cell {
	const char *name;
	int threads;
	bool share;
} cells[CELLS] = {{"1 thread", 1, false},
		  {"2, own", 2, false},
		  {"2, shared", 2, true},
		  {"4, shared", MAX_THREADS, true}};

/* An object's counts, which no other object shares a cache line with. */
struct object {
	alignas(LINE) _Atomic int64_t count; /* of biased: by its owner alone */
	_Atomic int64_t others;              /* of biased */
	int owner;
};

static struct shared {
	struct object objects[MAX_THREADS];
	alignas(LINE) pthread_mutex_t lock;
	alignas(LINE) _Atomic bool begun; /* from then on the deadline counts */
	alignas(LINE) _Atomic bool stop;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct worker {
	alignas(LINE) size_t variant;
	struct object *object;
	int64_t pairs, freed_early;
};

/* --- the ways to count ----------------------------------------------------- */

static inline int64_t add_plain(_Atomic int64_t *count, int64_t change)
{
	int64_t value = atomic_load_explicit(count, memory_order_relaxed) + change;

	atomic_store_explicit(count, value, memory_order_relaxed);
	return value;
}

static inline int64_t add_atomic(_Atomic int64_t *count, int64_t change)
{
	return atomic_fetch_add_explicit(count, change, memory_order_relaxed) + change;
}

static inline int64_t add_locked(_Atomic int64_t *count, int64_t change)
{
	int64_t value;

	pthread_mutex_lock(&shared.lock);
	value = add_plain(count, change);
	pthread_mutex_unlock(&shared.lock);
	return value;
}

/* The others' count alone may be 0, or less: the owner's has the reference that is held all along. */
static inline int64_t add_biased(struct object *object, int member, int64_t change)
{
	if (object->owner == member)
		return add_plain(&object->count, change);
	add_atomic(&object->others, change);
	return 1;
}

/* True until the deadline, counting how often. */
static inline bool again(int64_t *pairs)
{
	if (atomic_load_explicit(&shared.stop, memory_order_relaxed))
		return false;
	++*pairs;
	return true;
}

/* A loop for each way: all that differs between two of them is how it counts. */
static void take_and_drop(int member, void *argument)
{
	struct worker *w = (struct worker *)argument + member;
	struct object *object = w->object;
	_Atomic int64_t *count = &object->count;
	int64_t pairs = 0, early = 0;

	atomic_store(&shared.begun, true);
	switch (w->variant) {
	case PLAIN:
		while (again(&pairs)) {
			add_plain(count, 1);
			early += add_plain(count, -1) == 0;
		}
		break;
	case LOCK:
		while (again(&pairs)) {
			add_locked(count, 1);
			early += add_locked(count, -1) == 0;
		}
		break;
	case ATOMIC:
		while (again(&pairs)) {
			add_atomic(count, 1);
			early += add_atomic(count, -1) == 0;
		}
		break;
	default: /* BIASED */
		while (again(&pairs)) {
			add_biased(object, member, 1);
			early += add_biased(object, member, -1) == 0;
		}
	}
	w->pairs = pairs;
	w->freed_early = early;
}

/* --- a trial -------------------------------------------------------------- */

static void run_threads(const struct cell *cell, struct worker workers[], struct span *all)
{
	int shared_by = (cell->threads + run_cpus() - 1) / run_cpus();
	struct team team;

	atomic_store(&shared.begun, false);
	atomic_store(&shared.stop, false);
	team_start(&team, cell->threads, TEAM_SPREAD, take_and_drop, workers);
	team_stop_after(duration_ms * shared_by * 1000000, &shared.begun, &shared.stop);
	*all = team_join(&team);
}

static void measure(struct run *run, const struct cell *cell)
{
	struct worker workers[MAX_THREADS];
	struct span all = {0};
	int64_t pairs = 0, early = 0, wrong = 0, error = 0;

	for (int i = 0; i < MAX_THREADS; i++) {
		shared.objects[i] = (struct object){.count = 1, .owner = i};
		workers[i] = (struct worker){.variant = run_variant(run),
					     .object = &shared.objects[cell->share ? 0 : i]};
	}
	run_threads(cell, workers, &all);
	for (int i = 0; i < cell->threads; i++) {
		const struct object *object = &shared.objects[i];
		int64_t off = atomic_load(&object->count) + atomic_load(&object->others) - 1;

		pairs += workers[i].pairs;
		early += workers[i].freed_early;
		wrong += off != 0;
		error += off;
	}
	run_record(run, (struct field[]){{"threads", cell->threads},
					 {"object", .text = cell->name},
					 {"elapsed_ns", span_wall(&all)},
					 {"pairs", pairs},
					 {"wrong_counts", wrong},
					 {"count_error", error},
					 {"freed_early", early},
					 {"harmed", wrong > 0 || early > 0},
					 {run_label(run) == PLAIN ? NULL : "protected_harm",
					  wrong > 0 || early > 0},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The median time of a reference taken and dropped there, ns. */
static double ns_of(struct run *run, size_t variant, size_t cell)
{
	const struct field where[] = {{"object", .text = cells[cell].name}, {0}};

	return stats_quantile(stats_millionths(run_values_where(run, variant, "elapsed_ns", where),
					       run_values_where(run, variant, "pairs", where)),
			      0.5) /
	       1e6;
}

/* Of the trials in which threads share an object. */
static struct share harmed(struct run *run, size_t variant)
{
	struct share all = {0};

	for (size_t c = 0; c < CELLS; c++) {
		const struct field where[] = {{"object", .text = cells[c].name}, {0}};

		if (cells[c].share)
			all = share_add(all, share_nonzero(run_values_where(run, variant, "harmed",
									    where)));
	}
	return all;
}

static void judge(struct run *run)
{
	struct share plain = harmed(run, PLAIN);

	run_judge(
		run, "gil-refcount", can_happen_in(plain, (int64_t)run_bound(run, "enough_trials")),
		"plain counts that threads share went wrong in {plain} trials, under one lock in {lock}, atomic in {atomic}, biased in {biased}; a reference taken and dropped by one thread cost {plain_ns} plain, {lock_ns} with the lock, {atomic_ns} atomic, {biased_ns} biased, by two on one object {lock_two_ns}, {atomic_two_ns} and {biased_two_ns} with the last three",
		number_share("plain", plain), number_share("lock", harmed(run, LOCK)),
		number_share("atomic", harmed(run, ATOMIC)),
		number_share("biased", harmed(run, BIASED)),
		number_real("plain_ns", ns_of(run, PLAIN, ALONE)),
		number_real("lock_ns", ns_of(run, LOCK, ALONE)),
		number_real("atomic_ns", ns_of(run, ATOMIC, ALONE)),
		number_real("biased_ns", ns_of(run, BIASED, ALONE)),
		number_real("lock_two_ns", ns_of(run, LOCK, TWO)),
		number_real("atomic_two_ns", ns_of(run, ATOMIC, TWO)),
		number_real("biased_two_ns", ns_of(run, BIASED, TWO)));
}

static const struct experiment about = {
	.name = "refcount",
	.group = "gil",
	.order = 209,
	.summary = "A reference count that threads share: what goes wrong, and what protects it?",
	.intro =
		"Threads take and drop references for {duration_ms} for each that shares a CPU, of an object each (own) or of one (shared).",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 10,
	.quick_trials = 4,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		for (size_t c = 0; c < CELLS && !run_stopped(); c++)
			measure(run, &cells[c]);
	return run_end(run);
}
