/* SPDX-License-Identifier: MIT */
/*
 * states - running, ready, waiting: for how long is a thread in which of them?
 *
 * A thread that could go on is running or, while its CPU executes another one, ready; a thread in a
 * call that blocks is waiting.  The kernel counts the time that a thread was ready, as run delay
 * (/proc/self/task/TID/schedstat), and its CPU time; what is left of the wall time is waiting, and
 * what a hypervisor took.
 *
 *	waits      a thread in recv, on a CPU where another one computes.
 *	computes   a thread that computes there instead: the two take turns, and it never waits.
 *
 * While the first one waits, it is looked at from outside twice: it must be asleep, and neither have
 * run nor have been ready in between.  When its byte has come it is made ready, not running: its run
 * delay has grown before it is back from recv.  A thread that wakes may take the CPU in the same
 * instant, which is counted as no delay.  So it is of SCHED_BATCH, whose threads do not take it from
 * others by waking; now and then the other one's turn is over at that very moment all the same.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "span.h"
#include "thread.h"

enum { WAITS, COMPUTES };

static const struct variant variants[] = {
	[WAITS] = {"waits", "in recv, while another thread computes on its CPU"},
	[COMPUTES] = {"computes", "beside another thread that computes on its CPU"},
	{0}};

static const struct claim claims[] = {
	{"thr-states",
	 "ready, running, waiting: a blocked call moves a thread to waiting, and back over ready",
	 "waits=computes", REFUTED,
	 .why = {[HOLDS] =
			 "the scheduler chooses among the threads that are ready. One that blocks is taken off its queue and costs nothing; what it waits for puts it back, and then it must be chosen before it runs. Two that compute are both on the queue all the time, and one of them runs."}},
	{0}};

static const struct row_field fields[] = {
	{"running_ns", "CPU time of the thread", "running", SHOW_MEDIAN, "elapsed_ns"},
	{"ready_ns", "its run delay: it could have run, but its CPU executed others", "ready",
	 SHOW_MEDIAN, "elapsed_ns"},
	{"waiting_ns", "the rest of the wall time", "waiting", SHOW_MEDIAN, "elapsed_ns"},
	{"active_ns", "running and ready"},
	{"elapsed_ns", "wall time of the thread's call, or its computing", "wall time"},
	{"looked_ns", "between the two looks from outside"},
	{"still",
	 "of waits, 1: at both looks it was asleep, and it was neither running nor ready in between",
	 "neither|seen", SHOW_NONZERO},
	{"over_ready", "of waits, 1: it was ready between the second look and its return",
	 "ready|again", SHOW_NONZERO},
	{"delay_ns", "of waits: for how long"},
	{"unsound", "1: more CPU time and run delay than wall time", .zero = true, .sham = "twice"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 5, "a thread that waits is never ready, on any machine"},
	{"usual_share", 0.5,
	 "of the trials: a thread may be chosen in the instant in which it is ready"},
	{"most_share", 0.5, "of the time in recv: the rest is the way in and out, beside others"},
	{"active_share", 0.75, "of the time of who computes: the rest a hypervisor may have taken"},
	{"ready_share", 0.25,
	 "of the time: two that take turns are ready for half of it, give or take a time slice"},
	{0}};

/* Several ticks of the slowest kernel's clock (HZ = 100), at which CPU time is brought up to date. */
static const int64_t duration_ns = 24000000;
static const int64_t slack_ns = 100000; /* the counts are of the scheduler's clock */

/* Of the trial that is under way. */
static struct {
	size_t variant;
	int fds[2];
	atomic_int tid;
	atomic_bool other_runs, go_on, returned, stop;
	struct span span;
	int64_t wall_ns;            /* from before the span to after it */
	int64_t ready_ns, delay_ns; /* in all; at the return */
} trial;

static void look(pid_t tid, struct thread_counts *counted)
{
	if (!thread_count(tid, counted))
		errx(EXIT_USAGE, "schedstat of a thread cannot be read");
}

/* --- the threads ---------------------------------------------------------- */

static void *compute_beside(void *unused)
{
	run_pin(0);
	atomic_store(&trial.other_runs, true);
	while (!atomic_load_explicit(&trial.stop, memory_order_relaxed))
		;
	return unused;
}

static void *work(void *unused)
{
	struct thread_counts before, after;
	char byte;

	check_fd(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}),
		 "sched_setscheduler");
	run_pin(0);
	/* around all that is counted: a span's CPU time begins before its wall time, and ends after it */
	trial.wall_ns = -span_now();
	span_begin(&trial.span);
	look(gettid(), &before);
	atomic_store(&trial.tid, gettid());
	if (trial.variant == WAITS)
		check_fd((int)recv(trial.fds[0], &byte, 1, 0), "recv");
	else
		while (!atomic_load_explicit(&trial.go_on, memory_order_relaxed))
			;
	look(gettid(), &after);
	span_end(&trial.span);
	trial.wall_ns += span_now();
	trial.ready_ns = after.ready_ns - before.ready_ns;
	trial.delay_ns = after.ready_ns;
	atomic_store(&trial.returned, true);
	return unused;
}

/* --- a trial -------------------------------------------------------------- */

struct looks {
	struct thread_counts first, second;
	int64_t looked_ns;
	bool still;
};

/* Looks at the thread twice, then lets it go. */
static struct looks look_twice(void)
{
	struct looks looks;
	pid_t tid;

	while (atomic_load(&trial.tid) == 0)
		sched_yield();
	tid = atomic_load(&trial.tid);
	looks.still = trial.variant == WAITS && thread_await_sleep(&trial.tid, &trial.returned);
	looks.looked_ns = -span_now();
	look(tid, &looks.first);
	run_sleep_until(span_now() + duration_ns);
	looks.still = looks.still && thread_state(tid) == 'S';
	look(tid, &looks.second);
	looks.looked_ns += span_now();
	looks.still = looks.still && looks.second.running_ns == looks.first.running_ns &&
		      looks.second.ready_ns == looks.first.ready_ns;
	atomic_store(&trial.go_on, true);
	check_fd((int)send(trial.fds[1], "", 1, 0), "send");
	return looks;
}

static struct looks run_threads(void)
{
	struct looks looks;
	pthread_t worker, other;

	check(pthread_create(&other, NULL, compute_beside, NULL), "pthread_create");
	while (!atomic_load(&trial.other_runs))
		sched_yield();
	check(pthread_create(&worker, NULL, work, NULL), "pthread_create");
	looks = look_twice();
	check(pthread_join(worker, NULL), "pthread_join");
	atomic_store(&trial.stop, true);
	check(pthread_join(other, NULL), "pthread_join");
	return looks;
}

static void measure(struct run *run)
{
	struct looks looks;
	int64_t running_ns, active_ns, wall_ns, delay_ns;
	const char *of_waits[] = {"still", "over_ready", "delay_ns"};

	memset(&trial, 0, sizeof(trial));
	trial.variant = run_variant(run);
	check_fd(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, trial.fds), "socketpair");
	looks = run_threads();
	close(trial.fds[0]);
	close(trial.fds[1]);
	running_ns = trial.span.cpu_ns * (run_sham(run, "twice") ? 2 : 1);
	active_ns = running_ns + trial.ready_ns;
	wall_ns = trial.wall_ns;
	delay_ns = trial.delay_ns - looks.second.ready_ns;
	if (run_label(run) != WAITS)
		of_waits[0] = NULL;
	run_record(run,
		   (struct field[]){{"running_ns", running_ns},
				    {"ready_ns", trial.ready_ns},
				    {"waiting_ns", active_ns < wall_ns ? wall_ns - active_ns : 0},
				    {"active_ns", active_ns},
				    {"elapsed_ns", wall_ns},
				    {"looked_ns", looks.looked_ns},
				    {"unsound", active_ns > wall_ns + slack_ns},
				    {of_waits[0], looks.still},
				    {of_waits[1], delay_ns > 0},
				    {of_waits[2], delay_ns},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The median share of the wall time, in millionths, with its interval. */
static struct interval share_of_time(struct run *run, size_t variant, const char *field)
{
	struct interval share =
		run_interval_of(run, stats_millionths(run_values(run, variant, field),
						      run_values(run, variant, "elapsed_ns")));

	return (struct interval){share.mid / 1e6, share.low / 1e6, share.high / 1e6, share.n};
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share still = run_nonzero(run, WAITS, "still");
	struct share over_ready = run_nonzero(run, WAITS, "over_ready");
	struct interval waiting = share_of_time(run, WAITS, "waiting_ns");
	struct interval active = share_of_time(run, COMPUTES, "active_ns");
	struct interval ready = share_of_time(run, COMPUTES, "ready_ns");

	run_judge(
		run, "thr-states",
		all_of(always_happens(still, enough),
		       share_above(over_ready, run_bound(run, "usual_share")),
		       is_above(waiting, run_bound(run, "most_share")),
		       is_above(active, run_bound(run, "active_share")),
		       is_above(ready, run_bound(run, "ready_share"))),
		"a thread in recv was waiting for {waiting_share} of the time, asleep and neither running nor ready between two looks in {still} trials; then, before it returned, it was ready, in {over_ready} ({delay_ns}); one that computed beside another was running or ready for {active_share}, ready for {ready_share}",
		number_share("still", still), number_share("over_ready", over_ready),
		number_real("delay_ns", run_median(run, WAITS, "delay_ns")),
		number_real("waiting_share", waiting.mid), number_real("active_share", active.mid),
		number_real("ready_share", ready.mid));
}

static const struct experiment about = {
	.name = "states",
	.group = "race",
	.order = 112,
	.summary = "For how long is a thread running, ready or waiting?",
	.intro = "The kernel's count of each, for a thread in recv and for one that computes.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.variants = variants,
	.trials = 15,
	.quick_trials = 7,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct thread_counts counted;

	if (!thread_count(gettid(), &counted))
		return run_skip(
			run,
			"this kernel does not count for how long a thread is ready (schedstat, CONFIG_SCHED_INFO)");
	while (run_next(run))
		measure(run);
	return run_end(run);
}
