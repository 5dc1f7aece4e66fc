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
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "rng.h"
#include "span.h"
#include "text.h"

enum { SHORT, MIDDLE, LONG, SLOW, PIPE, EVENTFD, SIGNALFD, SHUTDOWN, COND, VARIANTS };
enum { LOOPS_MAX = 256 };

static const struct variant variants[] = {
	[SHORT] = {"interval-10", "poll for 10 ms, then look at a flag"},
	[MIDDLE] = {"interval-100", "poll for 100 ms, then look at a flag"},
	[LONG] = {"interval-500", "poll for 500 ms, then look at a flag"},
	[SLOW] = {"slow-request", "interval-100, told while it serves a slow request"},
	[PIPE] = {"self-pipe", "poll the listener and a pipe that the teller writes to"},
	[EVENTFD] = {"eventfd", "poll the listener and an eventfd"},
	[SIGNALFD] = {"signalfd", "poll the listener and a signalfd; told by a signal"},
	[SHUTDOWN] = {"shutdown", "block in accept; told by shutdown of the listener"},
	[COND] = {"cond", "wait on a condition variable (no sockets)"},
	{0}};

static const struct claim claims[] = {
	{"poll-shutdown-interval",
	 "a server loop that waits poll_interval at a time stops within poll_interval"},
	{0}};

static int64_t loops = 32;
static int64_t slow_ms = 300;

static const struct opt opts[] = {{'l', "loops", "loops of a trial, all waiting at the same time",
				   .num = &loops, .min = 1, .quick = 16, .max = LOOPS_MAX},
				  {'w', "slow", "how long the slow request takes", .num = &slow_ms,
				   .min = 1, .quick = 150, .max = 10000, .unit = OPT_MS},
				  {0}};

static const struct experiment about = {
	.name = "shutdown",
	.group = "polling",
	.summary = "How long does a server's loop go on after it was told to stop?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 1,
};

static const int64_t intervals_ms[VARIANTS] = {
	[SHORT] = 10, [MIDDLE] = 100, [LONG] = 500, [SLOW] = 100};

/* One server.  Its thread writes what it measures; the teller what it told. */
struct loop {
	size_t variant;
	pthread_t thread;
	int listener, client; /* -1: none */
	int tell, told_by;    /* what the teller writes to, and the loop waits for; -1: nothing */
	struct sockaddr_in where;
	atomic_bool stop; /* the flag */
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool cond_stop; /* the mutex guards it */

	int64_t after_ns; /* when it is to be told, after all began to wait */
	int64_t told_ns;  /* and when it was; CLOCK_MONOTONIC */

	struct span span;  /* from its first wait on */
	int64_t wakeups;   /* waits that ended with nobody there, and nobody told it */
	int64_t served;    /* clients */
	bool answered;     /* the client of slow-request got its answer */
	atomic_bool ready; /* it waits, or is about to */
};

/* --- the loops ----------------------------------------------------------- */

static void serve(struct loop *l)
{
	int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		err(EXIT_USAGE, "accept");
	if (l->variant == SLOW) {
		atomic_store(&l->ready, true);
		run_sleep_until(span_now() + slow_ms * 1000000);
	}
	if (send(fd, "!", 1, MSG_NOSIGNAL) != 1)
		err(EXIT_USAGE, "send");
	close(fd);
	l->served++;
}

/* The first client is served before the loop is measured, but for slow-request's. */
static void begin(struct loop *l)
{
	if (l->variant != COND && l->variant != SLOW)
		serve(l);
	span_begin(&l->span);
	if (l->variant != SLOW)
		atomic_store(&l->ready, true);
}

static void by_interval(struct loop *l)
{
	struct pollfd client = {.fd = l->listener, .events = POLLIN};

	do {
		int ready = check_fd(poll(&client, 1, (int)intervals_ms[l->variant]), "poll");

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

static void *go_round(void *argument)
{
	struct loop *l = argument;

	if (l->variant == SIGNALFD) {
		sigset_t told;

		sigemptyset(&told);
		sigaddset(&told, SIGUSR1);
		l->told_by = check_fd(signalfd(-1, &told, SFD_CLOEXEC), "signalfd");
	}
	begin(l);
	switch (l->variant) {
	case COND:
		by_condition(l);
		break;
	case SHUTDOWN:
		by_shutdown(l);
		break;
	case PIPE:
	case EVENTFD:
	case SIGNALFD:
		by_descriptor(l);
		break;
	default:
		by_interval(l);
		break;
	}
	span_end(&l->span);
	return NULL;
}

/* --- who tells them ------------------------------------------------------ */

static void tell(struct loop *l)
{
	const uint64_t one = 1;

	l->told_ns = span_now();
	switch (l->variant) {
	case COND:
		check(pthread_mutex_lock(&l->mutex), "pthread_mutex_lock");
		l->cond_stop = true;
		check(pthread_cond_signal(&l->cond), "pthread_cond_signal");
		check(pthread_mutex_unlock(&l->mutex), "pthread_mutex_unlock");
		break;
	case SHUTDOWN:
		check_fd(shutdown(l->listener, SHUT_RDWR), "shutdown");
		break;
	case PIPE:
	case EVENTFD:
		if (write(l->tell, &one, sizeof(one)) != sizeof(one))
			err(EXIT_USAGE, "write");
		break;
	case SIGNALFD:
		check(pthread_kill(l->thread, SIGUSR1), "pthread_kill");
		break;
	default:
		atomic_store(&l->stop, true);
		break;
	}
}

static void begin_loop(struct loop *l, size_t variant, int64_t after_ns)
{
	*l = (struct loop){.variant = variant,
			   .listener = -1,
			   .client = -1,
			   .tell = -1,
			   .told_by = -1,
			   .after_ns = after_ns};
	check(pthread_mutex_init(&l->mutex, NULL), "pthread_mutex_init");
	check(pthread_cond_init(&l->cond, NULL), "pthread_cond_init");
	if (variant == PIPE) {
		int both[2];

		check_fd(pipe2(both, O_CLOEXEC), "pipe2");
		l->told_by = both[0];
		l->tell = both[1];
	} else if (variant == EVENTFD) {
		l->tell = l->told_by = check_fd(eventfd(0, EFD_CLOEXEC), "eventfd");
	}
	if (variant != COND) {
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
static int64_t over_ns(size_t variant)
{
	if (variant == SLOW)
		return slow_ms * 1000000;
	return intervals_ms[variant] ? intervals_ms[variant] * 1000000 : loops * 1250000;
}

/* Each at a random moment of a slot of its own; told one after the other. */
static void measure(struct loop *all, size_t variant, struct rng *rng)
{
	int64_t slot_ns = over_ns(variant) / loops;
	int64_t begin_ns;

	for (int64_t i = 0; i < loops; i++)
		begin_loop(&all[i], variant,
			   i * slot_ns + (int64_t)rng_below(rng, (size_t)slot_ns));
	for (int64_t i = 0; i < loops; i++)
		while (!atomic_load(&all[i].ready))
			run_sleep_until(span_now() + 100000);
	begin_ns = span_now();
	for (int64_t i = 0; i < loops; i++) {
		run_sleep_until(begin_ns + all[i].after_ns);
		tell(&all[i]);
	}
	for (int64_t i = 0; i < loops; i++)
		end_loop(&all[i]);
}

static void record(struct run *run, const struct loop *l)
{
	run_record(run, (struct field[]){{"interval_ns", intervals_ms[l->variant] * 1000000},
					 {"after_ns", l->after_ns},
					 {"stop_ns", l->span.end_ns - l->told_ns},
					 {"idle_wakeups", l->wakeups},
					 {"alive_ns", span_wall(&l->span)},
					 {"cpu_ns", l->span.cpu_ns},
					 {"served", l->served},
					 {"answered", l->answered},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

/* How many took longer than the interval, with a tick of grace for a timer that is late. */
static size_t late(struct run *run, size_t variant)
{
	struct values stop = run_values(run, variant, "stop_ns");
	size_t n = 0;

	for (size_t i = 0; i < stop.n; i++)
		n += stop.at[i] > intervals_ms[variant] * 1000000 + span_tick();
	return n;
}

static void print_variant(struct run *run, size_t v)
{
	struct values stop = run_values(run, v, "stop_ns");
	struct interval median = stats_median(stop);
	double each_s = run_sum(run, v, "idle_wakeups") * 1e9 / run_sum(run, v, "alive_ns");

	fprintf(run_out(run), "  %-13s %5zu %8s %19s %8s %8s %11s\n", variants[v].name, stop.n,
		text_time(median.mid),
		text_format("%s-%s", text_time(median.low), text_time(median.high)),
		text_time(stats_quantile(stop, 0.95)), text_time(stats_quantile(stop, 1)),
		v == SLOW ? "-" : text_format("%.1f", each_s)); /* it was never idle */
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"%s loops at a time, each told to stop at a moment of its own. How long it went "
		"on:",
		text_count(loops));
	fprintf(out, "\n  %-13s %5s %8s %19s %8s %8s %11s\n", "", "", "", "", "", "", "idle");
	fprintf(out, "  %-13s %5s %8s %19s %8s %8s %11s\n", "told by", "loops", "median",
		"95 % interval", "p95", "longest", "wake-ups/s");
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			print_variant(run, v);
	fputs("\n", out);
}

/* "interval-10 5.01 ms, ..." of those that were measured. */
static const char *medians(struct run *run, size_t first, size_t last)
{
	const char *list = "";

	for (size_t v = first; v <= last; v++)
		if (run_values(run, v, "stop_ns").n)
			list = text_format("%s%s%s %s", list, *list ? ", " : "", variants[v].name,
					   text_time(run_median(run, v, "stop_ns")));
	return list;
}

static void judge(struct run *run)
{
	size_t idle = 0, idle_late = 0;
	struct values slow = run_values(run, SLOW, "stop_ns");
	size_t slow_late = late(run, SLOW);
	bool in_time;

	for (size_t v = SHORT; v <= LONG; v++) {
		idle += run_values(run, v, "stop_ns").n;
		idle_late += late(run, v);
	}
	if (idle == 0 || slow.n == 0)
		return;
	in_time = idle_late * 20 <= idle; /* 5 % may be the scheduler's fault */
	old_verdict(run, "poll-shutdown-interval",
		    in_time && !slow_late ? HOLDS
		    : in_time             ? DEPENDS
					  : REFUTED,
		    (struct field[]){{"idle_loops", (int64_t)idle},
				     {"idle_late", (int64_t)idle_late},
				     {"slow_loops", (int64_t)slow.n},
				     {"slow_late", (int64_t)slow_late},
				     {"slow_longest_ns", (int64_t)stats_quantile(slow, 1)},
				     {0}},
		    "%zu of %zu idle loops stopped within the interval (median: %s); %zu of %zu "
		    "that were serving a request took longer, up to %s",
		    idle - idle_late, idle, medians(run, SHORT, LONG), slow_late, slow.n,
		    text_time(stats_quantile(slow, 1)));
}

static void report(struct run *run)
{
	print_table(run);
	judge(run);
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values stop = run_values(run, v, "stop_ns");

		if (stop.n == 0)
			continue;
		old_control(run, stats_quantile(stop, 0) >= 0, "%s: stopped before it was told",
			    variants[v].name);
		if (v != COND)
			old_control(run,
				    stats_nonzero(run_values(run, v, "answered")) == stop.n &&
					    run_sum(run, v, "served") == (double)stop.n,
				    "%s: a client was not served", variants[v].name);
	}
	old_why(run, "a flag wakes nobody up, so the loop reads it when its wait is over: half an "
		     "interval later on average. What is in the wait set ends the wait at once. A "
		     "loop that is serving looks at neither.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct loop *all = calloc((size_t)LOOPS_MAX, sizeof(*all));
	struct rng rng = {1}; /* the moments are the same in each run */
	sigset_t told;

	if (!all)
		err(EXIT_USAGE, "calloc");
	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	check(pthread_sigmask(SIG_BLOCK, &told, NULL), "pthread_sigmask"); /* threads inherit it */
	while (run_next(run)) {
		measure(all, run_variant(run), &rng);
		for (int64_t i = 0; i < loops; i++)
			record(run, &all[i]);
	}
	free(all);
	return old_end(run, report);
}
