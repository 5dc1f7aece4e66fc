/* SPDX-License-Identifier: MIT */
/*
 * shutdown - how long does a server's loop go on after it was told to stop?
 *
 * The simple loop waits poll_interval for a client, then looks at a flag, and so on (Python's
 * socketserver does that with half a second).  Many such loops wait at the same time here, and each
 * is told to stop at its own moment, spread evenly over an interval:
 *
 *	interval-10, -100, -500  wait so many ms at a time, and look at the flag
 *	slow-request             interval-100, but it is told while it serves a client
 *	self-pipe, eventfd, signalfd
 *	                         wait for the client and for something to be told by, without limit
 *	shutdown                 waits in accept; the teller shuts its listening socket down
 *	cond                     serves nobody: waits on a condition variable
 *
 * Every loop that serves has served a client before, and slow-request's client gets its answer,
 * too: whoever is told to stop still finishes what it does.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "rng.h"
#include "span.h"

enum { SHORT, MIDDLE, LONG, SLOW, PIPE, EVENTFD, SIGNALFD, SHUTDOWN, COND, VARIANTS };
enum { LOOPS_MAX = 256 };

struct loop;

static void by_interval(struct loop *l);
static void by_descriptor(struct loop *l);
static void by_shutdown(struct loop *l);
static void by_condition(struct loop *l);
static void tell_flag(struct loop *l);
static void tell_descriptor(struct loop *l);
static void tell_signal(struct loop *l);
static void tell_shutdown(struct loop *l);
static void tell_condition(struct loop *l);

/* How a server waits, and how it is told to stop. */
struct way {
	void (*wait)(struct loop *l);
	void (*tell)(struct loop *l);
	int64_t interval_ms; /* between two looks at the flag; 0: it waits without limit */
	bool slow;           /* told while it serves a slow request */
	bool pipe, eventfd, signalfd;
};

static const struct variant variants[] = {
	[SHORT] = {"interval-10", "poll for 10 ms, then look at a flag",
		   &(struct way){by_interval, tell_flag, 10}},
	[MIDDLE] = {"interval-100", "poll for 100 ms, then look at a flag",
		    &(struct way){by_interval, tell_flag, 100}},
	[LONG] = {"interval-500", "poll for 500 ms, then look at a flag",
		  &(struct way){by_interval, tell_flag, 500}},
	[SLOW] = {"slow-request", "interval-100, told while it serves a slow request",
		  &(struct way){by_interval, tell_flag, 100, .slow = true}},
	[PIPE] = {"self-pipe", "poll the listener and a pipe that the teller writes to",
		  &(struct way){by_descriptor, tell_descriptor, .pipe = true}},
	[EVENTFD] = {"eventfd", "poll the listener and an eventfd",
		     &(struct way){by_descriptor, tell_descriptor, .eventfd = true}},
	[SIGNALFD] = {"signalfd", "poll the listener and a signalfd; told by a signal",
		      &(struct way){by_descriptor, tell_signal, .signalfd = true}},
	[SHUTDOWN] = {"shutdown", "block in accept; told by shutdown of the listener",
		      &(struct way){by_shutdown, tell_shutdown}},
	[COND] = {"cond", "wait on a condition variable (no sockets)",
		  &(struct way){by_condition, tell_condition}},
	{0}};

static const struct claim claims[] = {
	{"poll-shutdown-interval",
	 "a server loop that waits poll_interval at a time stops within poll_interval",
	 "slow-request=interval-100", HOLDS,
	 .why = {[DEPENDS] =
			 "a flag wakes nobody up, so the loop reads it when its wait is over: half an interval later on average. What is in the wait set ends the wait at once. A loop that is serving looks at neither."}},
	{0}};

static const struct row_field fields[] = {
	{"stop_ns", "from being told until the loop has ended", "goes on for", SHOW_INTERVAL},
	{"stop_ns", .column = "longest", .show = SHOW_MOST},
	{"late",
	 "1: it went on for longer than the interval and grace_ns; 0 without an interval; absent if machine_late_ns is above grace_ns",
	 "late", SHOW_NONZERO},
	{"machine_late_ns",
	 "how late another thread woke up meanwhile, at most: of the teller's sleeps, of 1 ms each when all were told"},
	{"idle_wakeups", "waits that ended with nobody there", "idle|wake-ups", SHOW_SUM,
	 "alive_ns"},
	{"interval_ns", "between two looks at the flag; 0: it waits without limit"},
	{"after_ns", "when it was to be told, since all waited"},
	{"alive_ns", "from its first wait until it has ended"},
	{"cpu_ns", "CPU time in alive_ns"},
	{"served", "clients it served"},
	{"answered", "1: the client got its answer; 0 of cond, which serves nobody"},
	{"stopped_early", "1: it ended before it was told", .zero = true, .sham = "quit"},
	{"unserved", "1: its client was not served and answered", .zero = true, .sham = "mute"},
	{0}};

static const struct bound bounds[] = {
	{"grace_ns", 10e6, "a timer that is late, and a thread that has to wait for its CPU"},
	{"few_share", 0.25, "of the loops of an interval: so many are not late by chance"},
	{"enough_loops", 10,
	 "of each interval: a loop in ten that is late would be among the 30 in 96 % of all runs"},
	{0}};

static int64_t loops = 32;
static int64_t slow_ms = 300;

static const struct opt opts[] = {{'l', "loops", "loops of a trial, all waiting at the same time",
				   .num = &loops, .min = 1, .quick = 16, .max = LOOPS_MAX},
				  {'w', "slow", "how long the slow request takes", .num = &slow_ms,
				   .min = 1, .quick = 180, .max = 10000, .unit = OPT_MS},
				  {0}};

/* One server.  Its thread writes what it measures; the teller what it told. */
struct loop {
	const struct way *way;
	pthread_t thread;
	int listener, client; /* -1: none */
	int tell, told_by;    /* what the teller writes to, and the loop waits for; -1: nothing */
	struct sockaddr_in where;
	atomic_bool stop; /* the flag */
	atomic_bool ended;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool cond_stop; /* the mutex guards it */

	int64_t after_ns; /* when it is to be told, after all began to wait */
	int64_t told_ns;  /* and when it was; CLOCK_MONOTONIC */

	struct span span;         /* from its first wait on */
	int64_t wakeups;          /* waits that ended with nobody there, and nobody told it */
	int64_t served;           /* clients */
	bool answered;            /* the client of slow-request got its answer */
	pthread_barrier_t *ready; /* all wait, or are about to */
	bool quits, mute;         /* shams */
};

/* --- the loops ----------------------------------------------------------- */

static void serve(struct loop *l)
{
	int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		err(EXIT_USAGE, "accept");
	if (l->way->slow) {
		pthread_barrier_wait(l->ready);
		run_sleep_until(span_now() + slow_ms * 1000000);
	}
	if (!l->mute && send(fd, "!", 1, MSG_NOSIGNAL) != 1)
		err(EXIT_USAGE, "send");
	close(fd);
	l->served++;
}

static bool serves(const struct way *way)
{
	return way->wait != by_condition;
}

static void by_interval(struct loop *l)
{
	struct pollfd client = {.fd = l->listener, .events = POLLIN};

	do {
		int ready = check_fd(poll(&client, 1, (int)l->way->interval_ms), "poll");

		if (ready)
			serve(l);
		else
			l->wakeups++;
	} while (!atomic_load(&l->stop));
}

static void by_descriptor(struct loop *l)
{
	struct pollfd both[] = {{.fd = l->listener, .events = POLLIN},
				{.fd = l->told_by, .events = POLLIN}};

	while (!both[1].revents) {
		check_fd(poll(both, 2, -1), "poll");
		if (both[0].revents)
			serve(l);
		l->wakeups += !both[0].revents && !both[1].revents;
	}
}

static void by_shutdown(struct loop *l)
{
	int fd;

	while ((fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	if (errno != EINVAL)
		err(EXIT_USAGE, "accept");
}

static void by_condition(struct loop *l)
{
	check(pthread_mutex_lock(&l->mutex), "pthread_mutex_lock");
	while (!l->cond_stop) {
		check(pthread_cond_wait(&l->cond, &l->mutex), "pthread_cond_wait");
		l->wakeups += !l->cond_stop;
	}
	check(pthread_mutex_unlock(&l->mutex), "pthread_mutex_unlock");
}

/* The first client is served before the loop is measured, but for slow-request's. */
static void *go_round(void *argument)
{
	struct loop *l = argument;

	if (l->way->signalfd) {
		sigset_t told;

		sigemptyset(&told);
		sigaddset(&told, SIGUSR1);
		l->told_by = check_fd(signalfd(-1, &told, SFD_CLOEXEC), "signalfd");
	}
	if (serves(l->way) && !l->way->slow)
		serve(l);
	if (!l->way->slow)
		pthread_barrier_wait(l->ready);
	span_begin(&l->span);
	if (!l->quits)
		l->way->wait(l);
	span_end(&l->span);
	atomic_store(&l->ended, true);
	return NULL;
}

/* --- who tells them ------------------------------------------------------ */

static void tell_flag(struct loop *l)
{
	atomic_store(&l->stop, true);
}

static void tell_descriptor(struct loop *l)
{
	const uint64_t one = 1;

	if (write(l->tell, &one, sizeof(one)) != sizeof(one))
		err(EXIT_USAGE, "write");
}

static void tell_signal(struct loop *l)
{
	check(pthread_kill(l->thread, SIGUSR1), "pthread_kill");
}

static void tell_shutdown(struct loop *l)
{
	check_fd(shutdown(l->listener, SHUT_RDWR), "shutdown");
}

static void tell_condition(struct loop *l)
{
	check(pthread_mutex_lock(&l->mutex), "pthread_mutex_lock");
	l->cond_stop = true;
	check(pthread_cond_signal(&l->cond), "pthread_cond_signal");
	check(pthread_mutex_unlock(&l->mutex), "pthread_mutex_unlock");
}

static void begin_loop(struct loop *l)
{
	l->listener = l->client = l->tell = l->told_by = -1;
	check(pthread_mutex_init(&l->mutex, NULL), "pthread_mutex_init");
	check(pthread_cond_init(&l->cond, NULL), "pthread_cond_init");
	if (l->way->pipe) {
		int both[2];

		check_fd(pipe2(both, O_CLOEXEC), "pipe2");
		l->told_by = both[0];
		l->tell = both[1];
	} else if (l->way->eventfd) {
		l->tell = l->told_by = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	}
	if (serves(l->way)) {
		l->listener = net_listen(8, &l->where);
		l->client = net_connect(&l->where);
	}
	check(pthread_create(&l->thread, NULL, go_round, l), "pthread_create");
}

static void end_loop(struct loop *l)
{
	char answer = 0;

	check(pthread_join(l->thread, NULL), "pthread_join");
	if (l->client >= 0) {
		l->answered = recv(l->client, &answer, 1, 0) == 1 && answer == '!';
		close(l->client);
		close(l->listener);
	}
	if (l->told_by >= 0)
		close(l->told_by);
	if (l->tell >= 0 && l->tell != l->told_by)
		close(l->tell);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->mutex);
}

/* Over how long the loops are told: an interval, the request, or a while. */
static int64_t over_ns(const struct way *way)
{
	if (way->slow)
		return slow_ms * 1000000;
	return way->interval_ms ? way->interval_ms * 1000000 : loops * 1250000;
}

/* Keeps by how much it woke up too late, at most. */
static void sleep_until(int64_t until_ns, int64_t *latest_ns)
{
	int64_t late_ns;

	run_sleep_until(until_ns);
	late_ns = span_now() - until_ns;
	*latest_ns = late_ns > *latest_ns ? late_ns : *latest_ns;
}

/*
 * Each at a random moment of a slot of its own; told one after the other.  Returns how late this thread woke up
 * meanwhile, at most: a loop that is late then is no slower than its machine.
 */
static int64_t measure(struct run *run, struct loop *all, struct rng *rng)
{
	const struct way *way = run_how(run);
	int64_t slot_ns = over_ns(way) / loops;
	pthread_barrier_t ready;
	int64_t latest_ns = 0;
	int64_t begin_ns;

	check(pthread_barrier_init(&ready, NULL, (unsigned)loops + 1), "pthread_barrier_init");
	for (int64_t i = 0; i < loops; i++) {
		all[i] = (struct loop){.way = way,
				       .after_ns = i * slot_ns +
						   (int64_t)rng_below(rng, (size_t)slot_ns),
				       .ready = &ready,
				       .quits = run_sham(run, "quit") && !way->slow,
				       .mute = run_sham(run, "mute")};
		begin_loop(&all[i]);
	}
	pthread_barrier_wait(&ready);
	begin_ns = span_now();
	for (int64_t i = 0; i < loops; i++) {
		sleep_until(begin_ns + all[i].after_ns, &latest_ns);
		all[i].told_ns = span_now();
		way->tell(&all[i]);
	}
	for (int64_t i = 0; i < loops; i++) {
		while (!atomic_load(&all[i].ended) && !run_stopped())
			sleep_until(span_now() + 1000000, &latest_ns);
		end_loop(&all[i]);
	}
	pthread_barrier_destroy(&ready);
	return latest_ns;
}

static void record(struct run *run, const struct loop *l, int64_t machine_late_ns)
{
	int64_t interval_ns = l->way->interval_ms * 1000000;
	int64_t stop_ns = l->span.end_ns - l->told_ns;
	double grace_ns = run_bound(run, "grace_ns");

	run_record(run, (struct field[]){
				{"interval_ns", interval_ns},
				{"after_ns", l->after_ns},
				{"stop_ns", stop_ns},
				{"idle_wakeups", l->wakeups},
				{"alive_ns", span_wall(&l->span)},
				{"cpu_ns", l->span.cpu_ns},
				{"served", l->served},
				{"answered", l->answered},
				{"stopped_early", stop_ns < 0},
				{"unserved", serves(l->way) && !(l->served == 1 && l->answered)},
				{"machine_late_ns", machine_late_ns},
				{(double)machine_late_ns > grace_ns ? NULL : "late",
				 interval_ns && (double)(stop_ns - interval_ns) > grace_ns},
				{0}});
}

/* --- judge --------------------------------------------------------------- */

/* Whether loops that serve stop within their interval: a request that ends within it shows nothing. */
static enum verdict of_serving(struct run *run, struct share late, int64_t enough)
{
	const struct way *way = variants[SLOW].how;
	int64_t beyond_ns = (slow_ms - way->interval_ms) * 1000000;

	return (double)beyond_ns > run_bound(run, "grace_ns") ? never_happens(late, enough)
							      : UNCLEAR;
}

/* One or the other is late because its machine is: refuted by more than a few. */
static enum verdict in_time(struct run *run, struct share late, int64_t enough)
{
	return late.k > 0 ? refuted_if_often(late, run_bound(run, "few_share"))
			  : never_happens(late, enough);
}

/* Whether who is told at once goes on for less than the grace: else the machine's delays are longer than that. */
static enum verdict machine_in_time(struct run *run)
{
	double grace_ns = run_bound(run, "grace_ns");
	struct share late = {0};

	for (size_t v = PIPE; v <= COND; v++)
		late = share_add(late,
				 share_within(run_values(run, v, "stop_ns"), grace_ns, INFINITY));
	return share_below(late, run_bound(run, "few_share"));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_loops");
	struct share slow = run_nonzero(run, SLOW, "late");
	struct share idle = run_nonzero_in(run, SHORT, LONG, "late");
	enum verdict of_idle[LONG + 1];

	for (size_t v = SHORT; v <= LONG; v++)
		of_idle[v] = in_time(run, run_nonzero(run, v, "late"), enough);
	run_judge(
		run, "poll-shutdown-interval",
		only_if(machine_in_time(run),
			by_case(verdict_all(of_idle, LONG + 1), of_serving(run, slow, enough))),
		"{idle_late} idle loops went on for longer than their interval (medians: 10 ms {short_ns}, 100 ms {middle_ns}, 500 ms {long_ns}); of those that were serving a request {slow_late} did, at most {slow_longest_ns}",
		number_share("idle_late", idle), number_share("slow_late", slow),
		number_real("short_ns", run_median(run, SHORT, "stop_ns")),
		number_real("middle_ns", run_median(run, MIDDLE, "stop_ns")),
		number_real("long_ns", run_median(run, LONG, "stop_ns")),
		number_real("slow_longest_ns",
			    stats_quantile(run_values(run, SLOW, "stop_ns"), 1)));
}

static const struct experiment about = {
	.name = "shutdown",
	.group = "polling",
	.order = 513,
	.summary = "How long does a server's loop go on after it was told to stop?",
	.intro =
		"{loops} loops wait at the same time, and each is told to stop at a moment of its own. How long it goes on then:",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 4,
	.quick_trials = 1,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct loop *all = check_alloc(calloc((size_t)LOOPS_MAX, sizeof(*all)));
	struct rng rng = {1}; /* the moments are the same in each run */
	sigset_t told;

	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	check(pthread_sigmask(SIG_BLOCK, &told, NULL), "pthread_sigmask"); /* threads inherit it */
	while (run_next(run)) {
		int64_t machine_late_ns = measure(run, all, &rng);

		for (int64_t i = 0; i < loops; i++)
			record(run, &all[i], machine_late_ns);
	}
	free(all);
	return run_end(run);
}
