/* SPDX-License-Identifier: MIT */
/*
 * fork_threads - what becomes of a lock when a program with threads forks?
 *
 * fork copies the memory, and of the threads only the one that calls it.  A mutex that another
 * thread holds at this moment is locked in the copy too, and its holder is not there: nobody will
 * ever unlock it.  The program goes on until it needs that lock, then for ever waits for nobody;
 * malloc and printf have such locks too (glibc's own are prepared as in `handlers`).
 *
 *	held       a thread holds the mutex while another one forks.
 *	handlers   likewise, with pthread_atfork(3): fork first takes the mutex, so it waits for the
 *	           holder, and unlocks it in both processes.  The holder keeps it until it sees the
 *	           other thread asleep.
 *	free       nobody holds it.
 *
 * That it lasts for ever is not waited for: pthread_mutex_trylock(3) says that the mutex is locked,
 * and the kernel that the child has one thread, the one that asks.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "proc.h"
#include "span.h"
#include "thread.h"

enum { HELD, HANDLERS, FREE };

static const struct variant variants[] = {
	[HELD] = {"held", "another thread holds the mutex at the fork"},
	[HANDLERS] = {"handlers", "the same, with pthread_atfork handlers (control)"},
	[FREE] = {"free", "nobody holds it (control)"},
	{0}};

static const struct claim claims[] = {
	{"race-fork-threads", "a child of a program with threads can take any lock", "held=free",
	 NOT_SEEN,
	 .why = {[REFUTED] =
			 "fork copies the memory with the locked mutex in it, but only the thread that calls it: whoever would unlock it does not exist in the child. Handlers take the mutex before the fork, so that the thread that is copied is the holder. So a program with threads should fork only to call exec."}},
	{0}};

static const struct row_field fields[] = {
	{"parent_threads", "threads of the process that forked", "threads of|the parent"},
	{"child_threads", "threads of the child", "of the|child"},
	{"locked", "1: the child found the mutex locked (EBUSY)", "locked in|the child",
	 SHOW_NONZERO},
	{"stuck", "1: locked, and there is no other thread in the child that could unlock it",
	 "for|ever", SHOW_NONZERO},
	{"stuck_control", "the same with handlers, or where nobody held it", .zero = true,
	 .sham = "handlers=held,free=held"},
	{"fork_ns", "how long fork took; with handlers it waits for the holder", "fork|took"},
	{"elapsed_ns", "of the trial"},
	{0}};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Of the trial that is under way. */
static struct {
	size_t variant;
	atomic_int forker; /* the thread that forks */
	atomic_bool ready; /* the other one has done what is to be done before the fork */
	atomic_bool forked;
} trial;

/* In memory that the child shares: what it found. */
struct found {
	bool done;
	int error; /* of pthread_mutex_trylock() */
	int64_t threads;
};

/* --- the handlers --------------------------------------------------------- */

/* They are installed for all forks of this program, and do something in one variant. */
static void before_fork(void)
{
	if (trial.variant == HANDLERS)
		check(pthread_mutex_lock(&mutex), "pthread_mutex_lock");
}

static void after_fork(void)
{
	if (trial.variant == HANDLERS)
		check(pthread_mutex_unlock(&mutex), "pthread_mutex_unlock");
}

/* --- a trial -------------------------------------------------------------- */

/* The thread that holds the mutex, or has held it. */
static void *hold(void *unused)
{
	check(pthread_mutex_lock(&mutex), "pthread_mutex_lock");
	if (trial.variant == FREE)
		check(pthread_mutex_unlock(&mutex), "pthread_mutex_unlock");
	atomic_store(&trial.ready, true);
	if (trial.variant == HANDLERS)
		thread_await_sleep(&trial.forker, &trial.forked);
	else
		while (!atomic_load(&trial.forked))
			sched_yield();
	if (trial.variant != FREE)
		check(pthread_mutex_unlock(&mutex), "pthread_mutex_unlock");
	return unused;
}

static int64_t threads_now(void)
{
	return proc_number("/proc/self/status", "Threads:", 0);
}

static _Noreturn void look_in_child(struct found *found)
{
	found->error = pthread_mutex_trylock(&mutex);
	found->threads = threads_now();
	found->done = true;
	_exit(0);
}

static void measure(struct run *run, struct found *found)
{
	int64_t begin_ns = span_now(), fork_ns, threads;
	pthread_t holder;
	pid_t child;
	bool stuck;

	*found = (struct found){0};
	trial.variant = run_variant(run);
	atomic_store(&trial.forker, gettid());
	atomic_store(&trial.ready, false);
	atomic_store(&trial.forked, false);
	check(pthread_create(&holder, NULL, hold, NULL), "pthread_create");
	while (!atomic_load(&trial.ready))
		sched_yield();
	threads = threads_now();
	fork_ns = -span_now();
	child = child_fork();
	if (child == 0)
		look_in_child(found);
	fork_ns += span_now();
	atomic_store(&trial.forked, true);
	check(pthread_join(holder, NULL), "pthread_join");
	check_fd(waitpid(child, NULL, 0), "waitpid");
	if (!found->done && child_died_alone())
		errx(EXIT_USAGE, "the forked process died");
	stuck = found->error == EBUSY && found->threads == 1;
	run_record(run, (struct field[]){{"parent_threads", threads},
					 {"child_threads", found->threads},
					 {"locked", found->error == EBUSY},
					 {"stuck", stuck},
					 {"fork_ns", fork_ns},
					 {"elapsed_ns", span_now() - begin_ns},
					 {run_label(run) == HELD ? NULL : "stuck_control", stuck},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share stuck = run_nonzero(run, HELD, "stuck");

	run_judge(
		run, "race-fork-threads", refuted_if_seen(stuck),
		"of {threads} threads the child had {child_threads}; a mutex that another one held at the fork it could never take in {stuck} trials, with pthread_atfork handlers in {handlers}, one that nobody held in {free}",
		number_share("stuck", stuck),
		number_real("threads", run_median(run, HELD, "parent_threads")),
		number_real("child_threads", run_median(run, HELD, "child_threads")),
		number_share("handlers", run_nonzero(run, HANDLERS, "stuck")),
		number_share("free", run_nonzero(run, FREE, "stuck")));
}

static const struct experiment about = {
	.name = "fork_threads",
	.group = "race",
	.order = 111,
	.summary = "Can the child of a program with threads take a lock that one of them held?",
	.intro =
		"One thread forks while another holds a mutex; the child tries to take it. This program has a third thread, which waits for signals.",
	.claims = claims,
	.fields = fields,
	.variants = variants,
	.trials = 30,
	.quick_trials = 5,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct found *found = child_share(sizeof(*found));

	check(pthread_atfork(before_fork, after_fork, after_fork), "pthread_atfork");
	while (run_next(run))
		measure(run, found);
	return run_end(run);
}
