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
 */
#include <err.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "old.h"
#include "span.h"
#include "text.h"

enum { THREAD, PROCESS, MODES };
enum { CODE, GLOBAL, HEAP, STACK, LENT, TLS, MAPPING, PLACES, CELLS = MODES * PLACES, NAME = 24 };

static const struct place {
	const char *name, *help;
} places[PLACES] = {[CODE] = {"code", "a function"},
		    [GLOBAL] = {"global", "a global variable"},
		    [HEAP] = {"heap", "a block of malloc"},
		    [STACK] = {"stack", "a stack variable, each its own"},
		    [LENT] = {"lent", "the first one's stack variable"},
		    [TLS] = {"tls", "a thread-local variable"},
		    [MAPPING] = {"mapping", "a MAP_SHARED mapping (control)"}};

/* Variant i is places[i % PLACES] of threads, then of processes; main() fills the names in. */
static char names[CELLS][NAME];
static struct variant variants[CELLS + 1];

static const struct claim claims[] = {
	{"race-shared-memory",
	 "threads share code, heap and data and own only their stack; processes share none of it"},
	{0}};

static const struct experiment about = {
	.name = "sharing",
	.group = "race",
	.summary = "Who sees what another thread, or another process, has written?",
	.claims = claims,
	.variants = variants,
	.trials = 30,
	.quick_trials = 5,
};

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
	/* a Ctrl-C at the terminal ends the child too; run_sleep_until() sees that it was one */
	if (read(fds[0], visit, sizeof(*visit)) != sizeof(*visit) &&
	    run_sleep_until(span_now() + 500000000))
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

	global = local_to_thread = *heap = *mapping = before;
	first = address_of(&visit, &own);
	if (thread)
		run_thread(&visit);
	else
		run_process(&visit, &own);
	run_record(run, (struct field[]){{"place", .text = places[visit.place].name},
					 {"second", .text = thread ? "thread" : "process"},
					 {"first_address", first},
					 {"second_address", visit.address},
					 {"same_address", first == visit.address},
					 {"elapsed_ns", span_now() - begin_ns},
					 /* code: the list ends here, nothing was written */
					 {code ? NULL : "written", visit.read == after},
					 {"seen", !code && *find(&visit, &own) == after},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

static struct values get(struct run *run, int mode, size_t place, const char *field)
{
	return run_values(run, (size_t)mode * PLACES + place, field);
}

/* "30 of 30" trials in which the field was not 0; a dash where there is none. */
static const char *count(struct run *run, int mode, size_t place, const char *field)
{
	struct values values = get(run, mode, place, field);

	return values.n ? text_format("%zu of %zu", stats_nonzero(values), values.n) : "-";
}

static const char *address(struct run *run, int mode, size_t place, const char *field)
{
	struct values values = get(run, mode, place, field);

	return values.n ? text_format("%#llx", (unsigned long long)values.at[0]) : "-";
}

static void print_tables(struct run *run)
{
	FILE *out = run_out(run);

	fprintf(out, "  %-8s %-30s %18s %18s\n", "place", "trial 0: address in the first",
		"in a thread", "in a process");
	for (size_t i = 0; i < PLACES; i++) {
		const char *first = address(run, THREAD, i, "first_address");

		fprintf(out, "  %-8s %-30s %18s %18s\n", places[i].name,
			*first == '-' ? address(run, PROCESS, i, "first_address") : first,
			address(run, THREAD, i, "second_address"),
			address(run, PROCESS, i, "second_address"));
	}
	fprintf(out, "\n  %-30s  %20s   %20s\n", "", "same address?", "write seen?");
	fprintf(out, "  %-30s %10s %10s  %10s %10s\n", "", "thread", "process", "thread",
		"process");
	for (size_t i = 0; i < PLACES; i++)
		fprintf(out, "  %-30s %10s %10s  %10s %10s\n", places[i].help,
			count(run, THREAD, i, "same_address"),
			count(run, PROCESS, i, "same_address"), count(run, THREAD, i, "seen"),
			count(run, PROCESS, i, "seen"));
	fputs("\n", out);
}

/* Trials of some places in one mode, and in how many of them `field` was not 0. */
static size_t add(struct run *run, int mode, const char *field, const size_t *which, size_t *trials)
{
	size_t yes = 0;

	for (; *which != PLACES; which++) {
		struct values values = get(run, mode, *which, field);

		*trials += values.n;
		yes += stats_nonzero(values);
	}
	return yes;
}

static void judge(struct run *run)
{
	static const size_t shared[] = {GLOBAL, HEAP, PLACES}, own[] = {STACK, PLACES};
	static const size_t all[] = {GLOBAL, HEAP, STACK, LENT, TLS, PLACES};
	static const size_t code[] = {CODE, PLACES}, lent[] = {LENT, PLACES};
	size_t n_shared = 0, n_own = 0, n_all = 0, n_same = 0, n_lent = 0, n_code = 0;
	size_t seen = add(run, THREAD, "seen", shared, &n_shared);
	size_t leaked = add(run, THREAD, "seen", own, &n_own);
	size_t reached = add(run, THREAD, "seen", lent, &n_lent);
	size_t code_same = add(run, THREAD, "same_address", code, &n_code);
	size_t crossed = add(run, PROCESS, "seen", all, &n_all);
	size_t same = add(run, PROCESS, "same_address", all, &n_same);
	bool holds = seen == n_shared && leaked == 0 && crossed == 0 && code_same == n_code;

	if (!n_shared || !n_own || !n_all)
		return;
	old_verdict(run, "race-shared-memory", holds ? HOLDS : REFUTED,
		    (struct field[]){{"thread_shared_seen", (int64_t)seen},
				     {"thread_shared_trials", (int64_t)n_shared},
				     {"thread_own_stack_seen", (int64_t)leaked},
				     {"thread_own_stack_trials", (int64_t)n_own},
				     {"thread_lent_stack_seen", (int64_t)reached},
				     {"process_seen", (int64_t)crossed},
				     {"process_same_address", (int64_t)same},
				     {"process_trials", (int64_t)n_all},
				     {0}},
		    "threads: %zu of %zu writes to global and heap were seen, %zu of %zu to an own "
		    "stack variable; processes: %zu of %zu writes, though %zu were to the same "
		    "address",
		    seen, n_shared, leaked, n_own, crossed, n_all, same);
	if (reached)
		old_note(run,
			 "a stack of its own is not a protected one: %zu of %zu writes to the "
			 "other thread's stack, "
			 "through "
			 "a pointer, were seen",
			 reached, n_lent);
}

static void judge_control(struct run *run)
{
	size_t written = 0, writes = 0, seen = 0, mapped = 0;

	for (size_t cell = 0; cell < CELLS; cell++) {
		struct values values = run_values(run, cell, "written");

		writes += values.n;
		written += stats_nonzero(values);
		if (cell % PLACES == MAPPING) {
			values = run_values(run, cell, "seen");
			mapped += values.n;
			seen += stats_nonzero(values);
		}
	}
	old_control(run, written == writes, "only %zu of %zu writes took place", written, writes);
	old_control(run, seen == mapped, "the shared mapping showed %zu of %zu writes", seen,
		    mapped);
}

static void report(struct run *run)
{
	print_tables(run);
	judge(run);
	judge_control(run);
	old_why(run, "an address means something only within one process. Threads use one table of "
		     "pages; "
		     "fork copies it, and a page that either writes to becomes two: the same "
		     "address, other "
		     "memory. Only what is mapped as shared stays one. Code, which nobody writes, "
		     "stays one "
		     "page too, but each process has a mapping of its own.");
}

int main(int argc, char *argv[])
{
	struct run *run;
	int64_t *heap = malloc(sizeof(*heap));
	int64_t *mapping;

	for (size_t cell = 0; cell < CELLS; cell++) {
		const struct place *place = &places[cell % PLACES];

		snprintf(names[cell], NAME, "%s-%s", cell / PLACES == THREAD ? "thread" : "process",
			 place->name);
		variants[cell] = (struct variant){names[cell], place->help};
	}
	run = run_begin(&about, argc, argv);
	mapping = child_share(sizeof(*mapping));
	if (!heap)
		err(EXIT_USAGE, "memory");
	while (run_next(run))
		measure(run, heap, mapping);
	free(heap);
	return old_end(run, report);
}
