/* SPDX-License-Identifier: MIT */
/*
 * sharing - what do two threads share, and what do two processes?
 *
 * A first one holds one place of each kind: a global, a heap block, a variable of its stack ...
 * A second one, a thread or a forked process, finds the same place for itself, says at which
 * address, and writes there.  Then the first one looks whether its own place has changed.
 *
 * The stack is there twice: `stack` is each one's own instance of a variable, `lent` is the
 * first one's variable, whose address the second one was given.  A thread has a stack of its own,
 * but nothing protects it.
 *
 * The control is a mapping that was made with MAP_SHARED: it is shared by threads and processes,
 * so a write that is not seen elsewhere was not missing, it went to other memory.
 *
 * What is shared is also shared in its races: `processes-split` is the program of race/counter with
 * processes instead of threads, and its x in such a mapping.  Two of them add 1 to x, in separate
 * steps, until they are told to stop; x is then less than what they counted, each for itself.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "span.h"
#include "text.h"

enum { THREAD, PROCESS, MODES };
enum { CODE, GLOBAL, HEAP, STACK, LENT, TLS, MAPPING, PLACES, CELLS = MODES * PLACES, NAME = 24 };

enum { SPLIT = CELLS, ATOMIC, VARIANTS, ADDERS = 2 };

static const struct place {
	const char *name, *help;
} places[PLACES] = {[CODE] = {"code", MESSAGE("a function")},
		    [GLOBAL] = {"global", MESSAGE("a global variable")},
		    [HEAP] = {"heap", MESSAGE("a block of malloc")},
		    [STACK] = {"stack", MESSAGE("a stack variable, each its own")},
		    [LENT] = {"lent", MESSAGE("the first one's stack variable")},
		    [TLS] = {"tls", MESSAGE("a thread-local variable")},
		    [MAPPING] = {"mapping", MESSAGE("a MAP_SHARED mapping (control)")}};

/* Variant i < CELLS is places[i % PLACES] of threads, then of processes; main() fills those in. */
static char names[CELLS][NAME];
static struct variant variants[VARIANTS + 1] = {
	[SPLIT] = {"processes-split", "both add 1: load, add and store (loses)"},
	[ATOMIC] = {"processes-atomic", "both add 1: atomic fetch-and-add (control)"}};

static const struct claim claims[] = {
	{"race-shared-memory",
	 "threads share code, heap and data and own only their stack; processes share none of it",
	 "thread-global=process-global", REFUTED,
	 .why = {[HOLDS] =
			 "an address means something only within one process. Threads use one table of pages; fork copies it, and a page that either writes to becomes two: the same address, other memory. Only what is mapped as shared stays one. Code, which nobody writes, stays one page too, but each process has a mapping of its own."}},
	{"race-processes", "memory shared by processes races as well",
	 "processes-split=processes-atomic", NOT_SEEN,
	 .why = {[HOLDS] =
			 "x += 1 is a load, an add and a store, whoever does it. What makes a race is one place and two that write there at once; that they are processes changes nothing."}},
	{0}};

static const struct row_field fields[] = {
	{"place", "what is written to", .text = true},
	{"second", "who writes: a thread or a process", .text = true},
	{"first_address", "of the place, as the first one sees it"},
	{"second_address", "of the place, as the second one sees it"},
	{"same_address", "1: they are the same", "same|address", SHOW_NONZERO},
	{"seen", "1: the first one saw the write; not of code", "write|seen", SHOW_NONZERO},
	{"unwritten", "1: the second one did not read its own write back", .zero = true,
	 .sham = "idle"},
	{"unseen_mapping", "1: a write to the shared mapping was not seen", .zero = true,
	 .sham = "process-mapping=process-heap"},
	{"updates", "of both processes, as each counted its own"},
	{"lost_updates", "of those, missing in x at the end", "lost|updates", SHOW_MEDIAN,
	 "updates"},
	{"control_lost_updates", "the same where an addition is one atomic instruction",
	 .zero = true, .sham = "processes-atomic=processes-split"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const struct bound bounds[] = {{"enough_writes", 5, "a place is shared always or never"},
				      {0}};

static const int64_t before = 1, after = 2; /* what a place holds, and what is written there */

static int64_t global;
static thread_local int64_t local_to_thread;

/* What the second one is told by the first, and what it tells. */
struct visit {
	size_t place;
	int64_t *heap, *lent, *mapping;
	int64_t address; /* of the place, as the second one sees it */
	int64_t read;    /* what the second one read there after its write; 0 = nothing written */
};

/* The place for whoever asks; `own` is a variable of the stack of the asking one. */
static int64_t *find(const struct visit *visit, int64_t *own)
{
	switch (visit->place) {
	case GLOBAL:
		return &global;
	case HEAP:
		return visit->heap;
	case STACK:
		return own;
	case LENT:
		return visit->lent;
	case TLS:
		return &local_to_thread;
	case MAPPING:
		return visit->mapping;
	default:
		return NULL;
	}
}

static int64_t address_of(const struct visit *visit, int64_t *own)
{
	if (visit->place == CODE)
		return (int64_t)(uintptr_t)find;
	return (int64_t)(uintptr_t)find(visit, own);
}

/* What the second one does.  Code is read-only for both: there is nothing to write. */
static void write_there(struct visit *visit, int64_t *own)
{
	int64_t *place = find(visit, own);

	visit->address = address_of(visit, own);
	if (!place)
		return;
	*place = after;
	visit->read = *place;
}

static void *second_thread(void *argument)
{
	int64_t own = before; /* another instance of the variable in measure() */

	write_there(argument, &own);
	return NULL;
}

static void run_thread(struct visit *visit)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, second_thread, visit), "pthread_create");
	check(pthread_join(thread, NULL), "pthread_join");
}

/* A copy of this process, with a copy of the first one's stack; it answers through a pipe. */
static void run_process(struct visit *visit, int64_t *own)
{
	int fds[2];
	pid_t child;

	check_fd(pipe(fds), "pipe");
	child = child_fork();
	if (child == 0) {
		write_there(visit, own);
		_exit(write(fds[1], visit, sizeof(*visit)) == sizeof(*visit) ? 0 : 1);
	}
	close(fds[1]);
	if (read(fds[0], visit, sizeof(*visit)) != sizeof(*visit) && child_died_alone())
		errx(EXIT_USAGE, "the forked process died");
	close(fds[0]);
	check_fd(waitpid(child, NULL, 0), "waitpid");
}

static void measure(struct run *run, int64_t *heap, int64_t *mapping)
{
	bool thread = run_variant(run) / PLACES == THREAD;
	int64_t own = before;
	int64_t lent = before;
	struct visit visit = {run_variant(run) % PLACES, heap, &lent, mapping, 0, 0};
	int64_t begin_ns = span_now();
	int64_t first;
	bool code = visit.place == CODE;
	bool seen;

	global = local_to_thread = *heap = *mapping = before;
	first = address_of(&visit, &own);
	if (thread)
		run_thread(&visit);
	else
		run_process(&visit, &own);
	seen = !code && *find(&visit, &own) == after;
	if (run_sham(run, "idle"))
		visit.read = before;
	run_record(run,
		   (struct field[]){
			   {"place", .text = places[visit.place].name},
			   {"second", .text = thread ? "thread" : "process"},
			   {"first_address", first},
			   {"second_address", visit.address},
			   {"same_address", first == visit.address},
			   {"elapsed_ns", span_now() - begin_ns},
			   /* code: the list ends here, nothing was written */
			   {code ? NULL : "seen", seen},
			   {"unwritten", visit.read != after},
			   {run_label(run) % PLACES == MAPPING ? "unseen_mapping" : NULL, !seen},
			   {0}});
}

/* --- two processes that add ----------------------------------------------- */

/* In memory that both share with this process. */
struct adding {
	_Atomic int arrived; /* at the start */
	_Atomic bool stop;
	_Atomic int64_t x;
	_Atomic int64_t updates[ADDERS]; /* when done: what each counted */
};

static _Noreturn void add_until_stop(struct adding *shared, int who, bool atomic)
{
	int64_t updates = 0;

	run_pin(who);
	atomic_fetch_add(&shared->arrived, 1);
	while (atomic_load(&shared->arrived) < ADDERS && !atomic_load(&shared->stop))
		sched_yield();
	for (; !atomic_load_explicit(&shared->stop, memory_order_relaxed); updates++) {
		if (atomic) {
			atomic_fetch_add_explicit(&shared->x, 1, memory_order_relaxed);
			continue;
		}
		atomic_store_explicit(&shared->x,
				      atomic_load_explicit(&shared->x, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	}
	atomic_store(&shared->updates[who], updates);
	_exit(0);
}

/* They stop after a time, not after a number: so there is time for both, also on one CPU. */
static void measure_adding(struct run *run, struct adding *shared)
{
	const int64_t look_every_ns = 100000, on_two_cpus_ns = 2000000, on_one_cpu_ns = 20000000;
	int64_t begin_ns = span_now(), updates = 0, lost;
	pid_t children[ADDERS];
	int status;

	memset(shared, 0, sizeof(*shared));
	for (int i = 0; i < ADDERS; i++) {
		children[i] = child_fork();
		if (children[i] == 0)
			add_until_stop(shared, i, run_variant(run) == ATOMIC);
	}
	while (atomic_load(&shared->arrived) < ADDERS &&
	       run_sleep_until(span_now() + look_every_ns))
		;
	run_sleep_until(span_now() + (run_cpus() > 1 ? on_two_cpus_ns : on_one_cpu_ns));
	atomic_store(&shared->stop, true);
	for (int i = 0; i < ADDERS; i++) {
		check_fd(waitpid(children[i], &status, 0), "waitpid");
		if (status != 0 && child_died_alone())
			errx(EXIT_USAGE, "a forked process died");
		updates += atomic_load(&shared->updates[i]);
	}
	lost = updates - atomic_load(&shared->x);
	run_record(run, (struct field[]){
				{"updates", updates},
				{"lost_updates", lost},
				{"elapsed_ns", span_now() - begin_ns},
				{run_label(run) == ATOMIC ? "control_lost_updates" : NULL, lost},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

/* Over some places, ended by PLACES. */
static struct share share_in(struct run *run, int mode, const char *field, const size_t *which)
{
	struct share all = {0};

	for (; *which != PLACES; which++)
		all = share_add(all, run_nonzero(run, (size_t)mode * PLACES + *which, field));
	return all;
}

static void judge_processes(struct run *run)
{
	struct share wrong = run_nonzero(run, SPLIT, "lost_updates");
	struct share lost = run_part(run, SPLIT, "lost_updates", "updates");

	run_judge(
		run, "race-processes", can_happen(wrong),
		"two processes lost updates of an x that they share in {wrong} trials, {lost.share} of all they made; with atomic additions {control} were lost",
		number_share("wrong", wrong), number_share("lost", lost),
		number_share("control", run_part(run, ATOMIC, "lost_updates", "updates")));
}

static void judge(struct run *run)
{
	static const size_t shared[] = {GLOBAL, HEAP, PLACES}, own[] = {STACK, PLACES};
	static const size_t all[] = {GLOBAL, HEAP, STACK, LENT, TLS, PLACES};
	static const size_t code[] = {CODE, PLACES}, lent[] = {LENT, PLACES};
	int64_t enough = (int64_t)run_bound(run, "enough_writes");
	struct share seen = share_in(run, THREAD, "seen", shared);
	struct share leaked = share_in(run, THREAD, "seen", own);
	struct share crossed = share_in(run, PROCESS, "seen", all);
	struct share reached = share_in(run, THREAD, "seen", lent);

	run_judge(
		run, "race-shared-memory",
		all_of(always_happens(seen, enough), never_happens(leaked, enough),
		       never_happens(crossed, enough),
		       always_happens(share_in(run, THREAD, "same_address", code), enough)),
		"threads: {seen} writes to global and heap were seen, {leaked} to an own stack variable; processes: {crossed} writes, though {same} were to the same address",
		number_share("seen", seen), number_share("leaked", leaked),
		number_share("crossed", crossed),
		number_share("same", share_in(run, PROCESS, "same_address", all)));
	if (reached.k > 0)
		run_note(
			run,
			"a stack of its own is not a protected one: {reached} writes to the other thread's stack, through a pointer, were seen",
			number_share("reached", reached));
	judge_processes(run);
}

static const char *address(struct run *run, int mode, size_t place, const char *field)
{
	struct values values = run_values(run, (size_t)mode * PLACES + place, field);

	return values.n ? text_format("%#llx", (unsigned long long)values.at[0]) : "-";
}

static void draw(struct run *run)
{
	fprintf(run_out(run), "  %s\n",
		translated(
			"addresses of the first trial        the first       a thread      a process"));
	for (size_t i = 0; i < PLACES; i++) {
		fputs("  ", run_out(run));
		text_pad(run_out(run), translated(places[i].help), 30);
		fprintf(run_out(run), " %14s %14s %14s\n", address(run, THREAD, i, "first_address"),
			address(run, THREAD, i, "second_address"),
			address(run, PROCESS, i, "second_address"));
	}
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "sharing",
	.group = "race",
	.order = 105,
	.summary = "Who sees what another thread, or another process, has written?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 30,
	.quick_trials = 5,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run;
	int64_t *heap = malloc(sizeof(*heap));
	int64_t *mapping;
	struct adding *shared;

	for (size_t cell = 0; cell < CELLS; cell++) {
		const struct place *place = &places[cell % PLACES];

		snprintf(names[cell], NAME, "%s-%s", cell / PLACES == THREAD ? "thread" : "process",
			 place->name);
		variants[cell] = (struct variant){names[cell], place->help};
	}
	run = run_begin(&about, argc, argv);
	mapping = child_share(sizeof(*mapping));
	shared = child_share(sizeof(*shared));
	if (!heap)
		err(EXIT_USAGE, "memory");
	while (run_next(run)) {
		if (run_variant(run) < CELLS)
			measure(run, heap, mapping);
		else
			measure_adding(run, shared);
	}
	free(heap);
	return run_end(run);
}
