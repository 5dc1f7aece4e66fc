/* SPDX-License-Identifier: MIT */
/*
 * herd - several processes wait for connections to one port: who wakes up when one comes?
 *
 * Idle workers wait, and one connection comes at a time.  Wake-ups are counted twice: how often the
 * kernel woke a worker (one that is woken for nothing sleeps again, which its own count of sleeps
 * tells), and how often epoll_wait returned.  One a connection is what is needed.  And who gets
 * the work?
 *
 *	own        each worker has an epoll instance of its own (trap)
 *	shared     one epoll instance, inherited by all
 *	exclusive  own ones with EPOLLEXCLUSIVE: the kernel wakes one of those who wait (cure)
 *	reuseport  a listener each on one port (SO_REUSEPORT): the kernel deals out (cure)
 *	blocking   all wait in a blocking accept (cure)
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"

enum { OWN, SHARED, EXCLUSIVE, REUSEPORT, BLOCKING };
enum { MOST_WORKERS = 64, MOST_CONNECTIONS = 1000 };

static const struct variant variants[] = {
	[OWN] = {"own", "an epoll instance for each worker (trap)"},
	[SHARED] = {"shared", "one epoll instance for all workers"},
	[EXCLUSIVE] = {"exclusive", "own ones with EPOLLEXCLUSIVE (cure)"},
	[REUSEPORT] = {"reuseport", "a listener for each worker, on one port (cure)"},
	[BLOCKING] = {"blocking", "blocking accept (cure)"},
	{0}};

static const struct claim claims[] = {
	{"poll-herd", "a connection wakes every process that waits for it", "own=exclusive",
	 REFUTED,
	 .why = {[DEPENDS] =
			 "a listener wakes everybody who waits for it but for those who say that one is enough, as accept and EPOLLEXCLUSIVE do. A shared epoll instance wakes one, and another while the listener is still ready. That epoll_wait passes few of them on is because it looks again first."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "of the trial, one after the other"},
	{"workers", "processes that wait"},
	{"wakeups", "by the kernel: sleeps that ended", "wake-ups|each", SHOW_MEDIAN,
	 "connections"},
	{"returns", "from epoll_wait", "passed|on", SHOW_MEDIAN, "connections"},
	{"busiest_accepts", "of the worker that had most", "busiest|serves", SHOW_MEDIAN,
	 "connections"},
	{"p50_ns", "until a client was served", "served|after"},
	{"cpu_ns", "of all workers", "CPU|each", SHOW_MEDIAN, "connections"},
	{"served_connections", "that got their byte"},
	{"accepts", "of all workers"},
	{"misses", "returns after which accept had nothing"},
	{"idle_workers", "that accepted none"},
	{"unserved_connections", "not accepted exactly once, or not served", .zero = true,
	 .sham = "lose"},
	{"worker", "its number", .row = "worker"},
	{"accepts", "of this worker", .row = "worker"},
	{"wakeups", "of this worker", .row = "worker"},
	{"returns", "from epoll_wait, of this worker", .row = "worker"},
	{0}};

static const struct bound bounds[] = {
	{"of_all_share", 0.5,
	 "all wake up or one does; a worker that has not fallen asleep again is not woken"},
	{0}};

static int64_t workers = 8;
static int64_t connections = 40;

static const struct opt opts[] = {{'w', "workers", "processes that wait for a connection",
				   .num = &workers, .min = 2, .max = MOST_WORKERS},
				  {'n', "connections", "of a trial, one after the other",
				   .num = &connections, .min = 5, .quick = 10,
				   .max = MOST_CONNECTIONS},
				  {0}};

static const int64_t settle_ns = 1000000; /* for those woken for nothing to fall asleep again */

static void make_nonblocking(int fd)
{
	check_fd(fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
}

/* What a worker counts, in memory that it shares with its parent. */
struct worker {
	atomic_bool waits, ended;
	int64_t accepts;
	int64_t returns; /* from epoll_wait */
	int64_t misses;  /* of these, accept had nothing */
	int64_t sleeps;  /* that ended: wake-ups by the kernel */
	int64_t cpu_ns;
};

static struct worker *herd;

/* The sockets of one trial; a listener and an epoll instance for each worker, or one for all. */
struct place {
	size_t variant;
	struct sockaddr_in where;
	int listener[MOST_WORKERS];
	int listeners;
	int epoll; /* of all; -1 = none */
};

static int reuseport_listener(struct sockaddr_in *where)
{
	int fd = net_socket(SOCK_STREAM);

	net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	check_fd(bind(fd, (const struct sockaddr *)where, sizeof(*where)), "bind");
	*where = net_name(fd);
	check_fd(listen(fd, MOST_WORKERS), "listen");
	return fd;
}

static int epoll_of(int listener, uint32_t events)
{
	int epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	struct epoll_event event = {.events = events};

	check_fd(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
	return epoll;
}

static struct place open_place(size_t variant)
{
	struct place p = {.variant = variant, .listeners = 1, .epoll = -1};

	if (variant == REUSEPORT) {
		p.where = (struct sockaddr_in){.sin_family = AF_INET,
					       .sin_addr = {htonl(INADDR_LOOPBACK)}};
		p.listeners = (int)workers;
		for (int i = 0; i < p.listeners; i++) /* the first one is given the port */
			p.listener[i] = reuseport_listener(&p.where);
	} else {
		p.listener[0] = net_listen(MOST_WORKERS, &p.where);
	}
	for (int i = 0; i < p.listeners && variant != BLOCKING; i++)
		make_nonblocking(p.listener[i]);
	if (variant == SHARED)
		p.epoll = epoll_of(p.listener[0], EPOLLIN);
	return p;
}

static void close_place(const struct place *p)
{
	for (int i = 0; i < p->listeners; i++)
		close(p->listener[i]);
	if (p->epoll >= 0)
		close(p->epoll);
}

/* Serves whoever comes with one byte, until the listener is shut down. */
static void serve(const struct place *p, int listener, int epoll, struct worker *w)
{
	for (;;) {
		struct epoll_event event;
		int fd;

		if (epoll >= 0 && epoll_wait(epoll, &event, 1, -1) >= 0)
			w->returns++;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			w->accepts++;
			if (send(fd, "", 1, MSG_NOSIGNAL) < 0)
				warn("send");
			close(fd);
		} else if (errno == EAGAIN) {
			w->misses++;
		} else if (errno != EINTR) {
			break; /* EINVAL: it was shut down */
		}
	}
	if (p->variant != BLOCKING)
		w->returns--; /* that was the end, not a connection */
}

static void work(const struct place *p, int number)
{
	struct worker *w = &herd[number];
	int listener = p->listener[number % p->listeners];
	int epoll = p->epoll;
	int64_t sleeps, cpu_ns;

	if (p->variant == OWN || p->variant == EXCLUSIVE || p->variant == REUSEPORT)
		epoll = epoll_of(listener,
				 EPOLLIN | (p->variant == EXCLUSIVE ? EPOLLEXCLUSIVE : 0));
	atomic_store(&w->waits, true);
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	sleeps = span_sleeps();
	serve(p, listener, epoll, w);
	w->sleeps = span_sleeps() - sleeps - 1; /* the last one was ended by the shutdown */
	w->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	atomic_store(&w->ended, true);
}

/* Waits until all workers have come so far, or the run is stopped: Ctrl-C ends the workers, too. */
static void all_workers(bool ended)
{
	for (int64_t i = 0; i < workers; i++)
		while (!atomic_load(ended ? &herd[i].ended : &herd[i].waits))
			if (!run_sleep_until(span_now() + 100000))
				return;
}

/* One connection: how long until it was served, in ns; -1 if it was not. */
static int64_t be_served(const struct sockaddr_in *where)
{
	int64_t begin_ns = span_now();
	int64_t took_ns = -1;
	int fd = net_connect(where);
	char byte;

	if (run_wait_fd(fd, POLLIN, INT64_MAX) && recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		took_ns = span_now() - begin_ns;
	net_reset(fd);
	return took_ns;
}

static void record(struct run *run, struct values served)
{
	struct worker sum = {0};
	int64_t busiest = 0, idle = 0;

	for (int64_t i = 0; i < workers; i++) {
		const struct worker *w = &herd[i];

		sum.accepts += w->accepts;
		sum.returns += w->returns;
		sum.misses += w->misses;
		sum.sleeps += w->sleeps;
		sum.cpu_ns += w->cpu_ns;
		busiest = w->accepts > busiest ? w->accepts : busiest;
		idle += w->accepts == 0;
		run_row(run, "worker",
			(struct field[]){{"worker", i},
					 {"accepts", w->accepts},
					 {"wakeups", w->sleeps},
					 {"returns", w->returns},
					 {0}});
	}
	run_record(run, (struct field[]){
				{"workers", workers},
				{"connections", connections},
				{"served_connections", (int64_t)served.n},
				{"accepts", sum.accepts},
				{"wakeups", sum.sleeps},
				{"returns", sum.returns},
				{"misses", sum.misses},
				{"busiest_accepts", busiest},
				{"idle_workers", idle},
				{"p50_ns", served.n ? (int64_t)stats_quantile(served, 0.5) : 0},
				{"cpu_ns", sum.cpu_ns},
				{"unserved_connections", (connections - (int64_t)served.n) +
								 llabs(connections - sum.accepts)},
				{0}});
}

static void measure(struct run *run, size_t variant)
{
	struct place p = open_place(variant);
	int64_t latency[MOST_CONNECTIONS];
	struct values served = {latency, 0};
	pid_t children[MOST_WORKERS];

	memset(herd, 0, (size_t)workers * sizeof(*herd));
	for (int i = 0; i < workers; i++) {
		children[i] = child_fork();
		if (children[i] == 0) {
			work(&p, i);
			_exit(0);
		}
	}
	all_workers(false);
	for (int64_t i = run_sham(run, "lose");
	     i < connections && run_sleep_until(span_now() + settle_ns); i++) {
		latency[served.n] = be_served(&p.where);
		served.n += latency[served.n] >= 0;
	}
	run_sleep_until(span_now() + settle_ns);
	for (int i = 0; i < p.listeners; i++)
		shutdown(p.listener[i], SHUT_RD); /* wakes all of them */
	all_workers(true);
	for (int i = 0; i < workers; i++) {
		kill(children[i], SIGKILL);
		check_fd(waitpid(children[i], NULL, 0), "waitpid");
	}
	close_place(&p);
	record(run, served);
}

/* --- judge --------------------------------------------------------------- */

/* The median wake-ups a connection, with its interval. */
static struct interval each(struct run *run, size_t v)
{
	struct interval all = run_interval(run, v, "wakeups");
	double n = (double)connections;

	return (struct interval){all.mid / n, all.low / n, all.high / n, all.n};
}

static void judge(struct run *run)
{
	double half = run_bound(run, "of_all_share") * (double)workers;
	struct interval own = each(run, OWN);
	struct interval exclusive = each(run, EXCLUSIVE);

	run_judge(
		run, "poll-herd", by_case(is_above(own, half), is_above(exclusive, half)),
		"of {workers} that wait a connection wakes {own} with an epoll instance each, {exclusive} with EPOLLEXCLUSIVE; the busiest serves {own_busiest_share} and {exclusive_busiest_share}",
		number_int("workers", workers), number_interval("own", own),
		number_interval("exclusive", exclusive),
		number_real("own_busiest_share",
			    run_share(run, OWN, "busiest_accepts", "connections", 0.5)),
		number_real("exclusive_busiest_share",
			    run_share(run, EXCLUSIVE, "busiest_accepts", "connections", 0.5)));
}

static const struct experiment about = {
	.name = "herd",
	.group = "polling",
	.order = 510,
	.summary = "Who wakes up when a connection comes, and who gets it?",
	.intro =
		"{workers} processes wait; {connections} connections a trial, one after the other. Wake-ups, what epoll_wait passed on of them, and CPU time are those of a connection.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 8,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	herd = child_share(MOST_WORKERS * sizeof(*herd));
	while (run_next(run))
		measure(run, run_variant(run));
	return run_end(run);
}
