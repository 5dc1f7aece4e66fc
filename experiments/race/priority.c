/* SPDX-License-Identifier: MIT */
/*
 * priority - does a thread of high priority ever wait for one of low priority?
 *
 * Three threads of SCHED_FIFO on one CPU: whoever has the highest priority of those that can run, runs.
 * `low` holds a mutex, `high` waits for it.  Then `medium`, which needs no mutex, has some work to do.
 *
 *	plain     low has the least priority, so medium runs, and high waits for all of medium's work:
 *	          priority inversion.  On Mars it restarted the computer of Pathfinder (1997).
 *	inherit   PTHREAD_PRIO_INHERIT: while high waits, low has the priority of high.
 *	protect   PTHREAD_PRIO_PROTECT: whoever holds the mutex has the priority that it was given.
 *
 * Each step starts the next: low wakes high when it holds the mutex, and medium when it has seen high
 * asleep.  What is judged is an order of events, whether medium had done all its work when high got
 * the mutex; how long that took is only shown.
 *
 * The work is short: others need the CPU too, and the kernel keeps some time for them.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "span.h"
#include "thread.h"

enum { PLAIN, INHERIT, PROTECT };
enum who { LOW, MEDIUM, HIGH, THREADS };

static const struct variant variants[] = {
	[PLAIN] = {"plain", "a mutex without a protocol", &(int){PTHREAD_PRIO_NONE}},
	[INHERIT] = {"inherit", "PTHREAD_PRIO_INHERIT (control)", &(int){PTHREAD_PRIO_INHERIT}},
	[PROTECT] = {"protect", "PTHREAD_PRIO_PROTECT (control)", &(int){PTHREAD_PRIO_PROTECT}},
	{0}};

static const struct claim claims[] = {
	{"race-priority", "a high-priority thread never waits for a low one", "plain=inherit",
	 NOT_SEEN,
	 .why = {[REFUTED] =
			 "who holds the mutex can give it back only when it runs. It has low priority, so everybody of a higher one comes first, whether they need the mutex or not. If it inherits the priority of those who wait for it, or the mutex has one of its own, they wait for what it does under the mutex, and for nobody else."}},
	{0}};

static const struct row_field fields[] = {
	{"medium_first", "1: all of medium's work was done when high got the mutex",
	 "medium|was first", SHOW_NONZERO},
	{"waited_ns", "that high waited for the mutex", "high|waited"},
	{"medium_ns", "CPU time of medium's work", "medium's|work"},
	{"held_ns", "CPU time of low while it held the mutex", "low's|work"},
	{"protected_medium_first",
	 "the same where low has high's priority while it holds the mutex", .zero = true,
	 .sham = "inherit=plain,protect=plain"},
	{"elapsed_ns", "of the trial"},
	{0}};

static const int64_t medium_work_ns = 3000000, low_work_ns = 200000;

/* Of the trial that is under way. */
static struct {
	pthread_mutex_t mutex;
	sem_t start[THREADS];
	atomic_int ready; /* threads that have their priority */
	atomic_int high;  /* its kernel id, once it is about to lock the mutex */
	atomic_bool got;
	bool medium_first;
	int64_t waited_ns, medium_ns, held_ns;
} trial;

static int priority_of(enum who who)
{
	return sched_get_priority_min(SCHED_FIFO) + (int)who;
}

/* An error number. */
static int become(int policy, int priority)
{
	return pthread_setschedparam(pthread_self(), policy,
				     &(struct sched_param){.sched_priority = priority});
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		; /* EINTR */
}

static void begin(enum who who)
{
	run_pin(0);
	check(become(SCHED_FIFO, priority_of(who)), "pthread_setschedparam");
	atomic_fetch_add(&trial.ready, 1);
	await(&trial.start[who]);
}

/* Uses so much CPU time, and returns how much it was. */
static int64_t compute(int64_t duration_ns)
{
	int64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID), used_ns;

	do
		used_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
	while (used_ns < duration_ns);
	return used_ns;
}

/* --- the threads ---------------------------------------------------------- */

/* Under `protect` it has high's priority already, so it must yield for high to come that far. */
static bool high_waits(void)
{
	int tid = atomic_load(&trial.high);

	return tid != 0 && thread_state(tid) == 'S';
}

static void *low(void *unused)
{
	int64_t begin_ns;

	begin(LOW);
	check(pthread_mutex_lock(&trial.mutex), "pthread_mutex_lock");
	begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	sem_post(&trial.start[HIGH]);
	while (!high_waits() && !run_stopped())
		sched_yield();
	sem_post(&trial.start[MEDIUM]);
	compute(low_work_ns);
	trial.held_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
	check(pthread_mutex_unlock(&trial.mutex), "pthread_mutex_unlock");
	return unused;
}

static void *medium(void *unused)
{
	begin(MEDIUM);
	trial.medium_ns = compute(medium_work_ns);
	trial.medium_first = !atomic_load(&trial.got);
	return unused;
}

static void *high(void *unused)
{
	begin(HIGH);
	trial.waited_ns = -span_now();
	atomic_store(&trial.high, gettid());
	check(pthread_mutex_lock(&trial.mutex), "pthread_mutex_lock");
	atomic_store(&trial.got, true);
	trial.waited_ns += span_now();
	check(pthread_mutex_unlock(&trial.mutex), "pthread_mutex_unlock");
	return unused;
}

/* --- a trial -------------------------------------------------------------- */

/* An error number, where a protocol is not supported. */
static int init_mutex(int protocol)
{
	pthread_mutexattr_t attributes;
	int error;

	check(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	error = pthread_mutexattr_setprotocol(&attributes, protocol);
	if (error == 0 && protocol == PTHREAD_PRIO_PROTECT)
		error = pthread_mutexattr_setprioceiling(&attributes, priority_of(HIGH));
	if (error == 0)
		error = pthread_mutex_init(&trial.mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return error;
}

static void measure(struct run *run)
{
	static void *(*const parts[THREADS])(void *unused) = {
		[LOW] = low, [MEDIUM] = medium, [HIGH] = high};
	const int64_t look_every_ns = 100000;
	bool is_control = run_label(run) != PLAIN;
	int64_t begin_ns = span_now();
	pthread_t threads[THREADS];

	memset(&trial, 0, sizeof(trial));
	check(init_mutex(*(const int *)run_how(run)), "pthread_mutex_init");
	for (int i = 0; i < THREADS; i++)
		check_fd(sem_init(&trial.start[i], 0, 0), "sem_init");
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, parts[i], NULL), "pthread_create");
	while (atomic_load(&trial.ready) < THREADS && run_sleep_until(span_now() + look_every_ns))
		;
	sem_post(&trial.start[LOW]);
	for (int i = 0; i < THREADS; i++)
		check(pthread_join(threads[i], NULL), "pthread_join");
	pthread_mutex_destroy(&trial.mutex);
	run_record(run, (struct field[]){
				{"medium_first", trial.medium_first},
				{"waited_ns", trial.waited_ns},
				{"medium_ns", trial.medium_ns},
				{"held_ns", trial.held_ns},
				{"elapsed_ns", span_now() - begin_ns},
				{is_control ? "protected_medium_first" : NULL, trial.medium_first},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share first = run_nonzero(run, PLAIN, "medium_first");

	run_judge(
		run, "race-priority", refuted_if_seen(first),
		"high got the mutex only after all work of medium, which has no part in it, in {first} trials, and waited for {plain_ns}; where low inherited high's priority in {inherit} ({inherit_ns}), where the mutex had that priority in {protect} ({protect_ns})",
		number_share("first", first),
		number_real("plain_ns", run_median(run, PLAIN, "waited_ns")),
		number_share("inherit", run_nonzero(run, INHERIT, "medium_first")),
		number_real("inherit_ns", run_median(run, INHERIT, "waited_ns")),
		number_share("protect", run_nonzero(run, PROTECT, "medium_first")),
		number_real("protect_ns", run_median(run, PROTECT, "waited_ns")));
}

static const struct experiment about = {
	.name = "priority",
	.group = "race",
	.order = 123,
	.summary = "Does a thread of high priority ever wait for one of low priority?",
	.intro =
		"On one CPU: low holds a mutex that high waits for; medium has work, and needs no mutex.",
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
	struct sched_param before;
	int policy, error;

	check(pthread_getschedparam(pthread_self(), &policy, &before), "pthread_getschedparam");
	error = become(SCHED_FIFO, priority_of(HIGH));
	if (error != 0)
		return run_skip(
			run,
			"SCHED_FIFO is not allowed here (%s): it takes root, or a limit of real-time priorities (ulimit -r) of %d",
			strerror(error), priority_of(HIGH));
	check(become(policy, before.sched_priority), "pthread_setschedparam");
	for (size_t v = 0; variants[v].name; v++) {
		error = init_mutex(*(const int *)variants[v].how);
		if (error != 0)
			run_leave_out(run, v, "this mutex cannot be had here: %s", strerror(error));
		else
			pthread_mutex_destroy(&trial.mutex);
	}
	while (run_next(run))
		measure(run);
	return run_end(run);
}
