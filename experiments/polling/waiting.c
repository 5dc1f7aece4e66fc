/* SPDX-License-Identifier: MIT */
/*
 * waiting - messages come at random: what does it cost to have them soon?
 *
 * A sender stamps 16-byte messages and sends them over TCP at Poisson times.  A receiver waits:
 *
 *	recv, poll, select, epoll, io_uring   asleep in the kernel until there is something
 *	busy-poll    recv with SO_BUSY_POLL, which looks into a network card's queue before it sleeps
 *	spin         recv(MSG_DONTWAIT) again and again
 *	sleep-1us to sleep-1s   the same once an interval; "-fine" without the timer's slack of 50 us
 *
 * Latency counts from before send until recv has returned, CPU time is the receiver's thread's.
 * The message times are the same for all variants of a round, and in each run.
 *
 * What a thread gets done that has other work to do between its looks: see quadrants.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "messages.h"
#include "net.h"
#include "rng.h"
#include "span.h"
#include "team.h"
#include "text.h"
#include "uring.h"

enum { RECV, POLL, SELECT, EPOLL, URING, BUSY, SPIN, SLEEP, VARIANTS = SLEEP + 10 };

static const struct variant variants[] = {
	[RECV] = {"recv", "a blocking recv"},
	[POLL] = {"poll", "poll, then a recv that does not wait"},
	[SELECT] = {"select", "select, then the same"},
	[EPOLL] = {"epoll", "epoll_wait, then the same"},
	[URING] = {"io_uring", "a recv handed to the kernel; sleep until it is done"},
	[BUSY] = {"busy-poll", "recv with SO_BUSY_POLL of 50 us"},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) without a pause"},
	[SLEEP] = {"sleep-1us", "recv(MSG_DONTWAIT) once 1 us, and so on"},
	{"sleep-1us-fine", "with a timer slack of 1 ns"},
	{"sleep-10us", "10 us"},
	{"sleep-10us-fine", "with a timer slack of 1 ns"},
	{"sleep-100us", "100 us"},
	{"sleep-100us-fine", "with a timer slack of 1 ns"},
	{"sleep-1ms", "1 ms"},
	{"sleep-10ms", "10 ms"},
	{"sleep-100ms", "100 ms"},
	{"sleep-1s", "1 s"},
	{0}};

/* Of the variants that look once an interval. */
static const struct {
	int64_t us;
	bool fine;
} pauses[VARIANTS] = {
	[SLEEP] = {1}, {1, true}, {10},    {10, true}, {100},
	{100, true},   {1000},    {10000}, {100000},   {1000000},
};

static const struct claim claims[] = {
	{"poll-needs-polling", "non-blocking needs a polling loop"},
	{"poll-interval", "checking once an interval trades latency for CPU"},
	{0}};

static int64_t mean_us = 2000;
static int64_t time_ms = 100;
static int64_t longest_ms = 1000;

static const struct opt opts[] = {
	{'m', "mean-us", "mean time between two messages in us", .num = &mean_us, .min = 50,
	 .max = 100000},
	{'d', "time", "messages of a trial; three times that for intervals of 10 ms and more",
	 .num = &time_ms, .min = 20, .quick = 40, .max = 10000, .unit = OPT_MS},
	{'l', "longest", "intervals longer than this are left out", .num = &longest_ms, .min = 1,
	 .quick = 100, .max = 1000, .unit = OPT_MS},
	{0}};

static const struct experiment about = {
	.name = "waiting",
	.group = "polling",
	.summary = "How soon is a message there, and what does waiting for it cost?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

enum { LONG_INTERVAL = 10000000 }; /* ns: from here on the phases need more messages */

static int refused[VARIANTS]; /* why this machine has no such thing: an error number */
static int napi_id = -1;      /* SO_INCOMING_NAPI_ID of a loopback socket */

/* One trial: what the sender's thread needs, and then the receiver's. */
struct trial {
	struct messages messages;
	size_t variant;
	int epoll;
	struct uring ring;
	int64_t calls, wasted; /* system calls; of these, recv that said EAGAIN */
	int64_t sleeps, preempted;
};

/* --- when messages are sent ------------------------------------------------- */

/* Of an exponential distribution. */
static int64_t draw_gap_ns(struct rng *rng)
{
	return llround(-log(rng_uniform(rng)) * (double)mean_us * 1e3);
}

/* Writes Poisson times before time_ns to at_ns, unless that is NULL; returns how many there are. */
static int64_t draw_times(int64_t *at_ns, int64_t time_ns, uint64_t seed)
{
	struct rng rng = {seed};
	int64_t at = draw_gap_ns(&rng);
	int64_t n = 0;

	for (; at < time_ns; at += draw_gap_ns(&rng), n++)
		if (at_ns)
			at_ns[n] = at;
	return n;
}

/* 0 = it does not look once an interval. */
static int64_t interval_of(size_t variant)
{
	return pauses[variant].us * 1000;
}

static bool too_long(size_t variant)
{
	return interval_of(variant) > longest_ms * 1000000;
}

/* How long messages are sent: of a long interval a whole number of it, as near as can be. */
static int64_t trial_ns(int64_t interval_ns)
{
	int64_t time_ns = time_ms * 1000000;
	int64_t intervals;

	if (interval_ns < LONG_INTERVAL)
		return time_ns;
	intervals = 3 * time_ns / interval_ns;
	return (intervals > 1 ? intervals : 1) * interval_ns;
}

/* Of all variants of a round the same, but longer for long intervals; at least one message. */
static void prepare_messages(struct messages *m, int64_t interval_ns, uint64_t seed)
{
	int64_t time_ns = trial_ns(interval_ns);
	int64_t n = draw_times(NULL, time_ns, seed);

	messages_begin(m, n ? n : 1);
	draw_times(m->at_ns, time_ns, seed);
	if (n == 0)
		m->at_ns[0] = (int64_t)rng_below(&(struct rng){seed}, (size_t)time_ns);
}

static void send_messages(void *argument)
{
	struct trial *t = argument;

	messages_send(&t->messages);
}

/* --- the receiver ---------------------------------------------------------- */

static void wait_select(int fd)
{
	fd_set set;

	if (fd >= FD_SETSIZE)
		errx(EXIT_USAGE, "select cannot watch descriptor %d", fd);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	check_fd(select(fd + 1, &set, NULL, NULL, NULL), "select");
}

/* Until it may be worth looking; the blocking recv and io_uring wait when they receive. */
static void await(struct trial *t)
{
	int fd = t->messages.fd.rx;
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	struct epoll_event event;

	switch (t->variant) {
	case POLL:
		check_fd(poll(&readable, 1, -1), "poll");
		break;
	case SELECT:
		wait_select(fd);
		break;
	case EPOLL:
		check_fd(epoll_wait(t->epoll, &event, 1, -1), "epoll_wait");
		break;
	default:
		if (!interval_of(t->variant))
			return;
		run_sleep_until(span_now() + interval_of(t->variant));
		break;
	}
	t->calls++;
}

/* recv by io_uring, asleep until it is done. */
static void receive_by_ring(struct trial *t)
{
	struct io_uring_cqe done;

	uring_ask_recv(&t->ring, t->messages.fd.rx, messages_room(&t->messages));
	check(uring_enter(&t->ring, 1), "io_uring_enter");
	if (!uring_done(&t->ring, &done))
		errx(EXIT_USAGE, "io_uring_enter did not wait");
	if (done.res < 0)
		check(-done.res, "recv by io_uring");
	messages_take(&t->messages, (size_t)done.res);
}

static void receive(struct trial *t)
{
	bool waits = t->variant == RECV || t->variant == BUSY;

	t->calls++;
	if (t->variant == URING)
		receive_by_ring(t);
	else
		t->wasted += messages_recv(&t->messages, waits ? 0 : MSG_DONTWAIT) < 0;
}

static void receive_messages(void *argument)
{
	struct trial *t = argument;
	struct rusage before, after;

	if (pauses[t->variant].fine)
		prctl(PR_SET_TIMERSLACK, 1UL);
	getrusage(RUSAGE_THREAD, &before);
	while (messages_left(&t->messages)) {
		await(t);
		receive(t);
	}
	getrusage(RUSAGE_THREAD, &after);
	t->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	t->preempted = after.ru_nivcsw - before.ru_nivcsw;
}

/* --- a trial --------------------------------------------------------------- */

/* 0, or an error number: more than net.core.busy_read is for root only. */
static int ask_for_busy_poll(int fd)
{
	const int us = 50;

	return setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) ? errno : 0;
}

static void prepare(struct trial *t)
{
	int fd = t->messages.fd.rx;
	struct epoll_event readable = {.events = EPOLLIN};

	if (t->variant == URING)
		check(uring_open(&t->ring, 1), "io_uring_setup");
	if (t->variant == BUSY)
		check(ask_for_busy_poll(fd), "SO_BUSY_POLL");
	if (t->variant == EPOLL) {
		t->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		check_fd(epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &readable), "epoll_ctl");
	}
}

static void tidy_up(struct trial *t)
{
	if (t->variant == URING)
		uring_close(&t->ring);
	if (t->variant == EPOLL)
		close(t->epoll);
	messages_end(&t->messages);
}

static void measure(struct run *run)
{
	struct trial t = {.variant = run_variant(run)};
	int64_t interval_ns = interval_of(t.variant);
	struct team team;
	struct span own;

	prepare_messages(&t.messages, interval_ns, (uint64_t)run_trial(run));
	prepare(&t);
	team_start_two(&team, TEAM_SPREAD, receive_messages, send_messages, &t);
	team_join(&team);
	own = team.members[0].span;
	run_record(run, (struct field[]){{"elapsed_ns", span_wall(&own)},
					 {"cpu_ns", own.cpu_ns},
					 {"interval_ns", interval_ns},
					 {"sent_messages", t.messages.n},
					 {"got_messages", t.messages.got},
					 {"misplaced_messages", t.messages.misplaced},
					 {"p50_ns", messages_late(&t.messages, 0.5)},
					 {"p99_ns", messages_late(&t.messages, 0.99)},
					 {"calls", t.calls},
					 {"wasted_calls", t.wasted},
					 {"sleeps", t.sleeps},
					 {"preempted", t.preempted},
					 {0}});
	tidy_up(&t);
}

/* --- report -------------------------------------------------------------- */

/* What a way of waiting costs, and what it brings, in all trials. */
struct cost {
	double p50_ns, p99_ns; /* medians of the trials */
	double cpu_share;
	double calls, wasted, sleeps; /* a second */
};

static struct cost cost_of(struct run *run, size_t v)
{
	double elapsed_ns = run_sum(run, v, "elapsed_ns");

	return (struct cost){.p50_ns = run_median(run, v, "p50_ns"),
			     .p99_ns = run_median(run, v, "p99_ns"),
			     .cpu_share = run_sum(run, v, "cpu_ns") / elapsed_ns,
			     .calls = run_sum(run, v, "calls") / elapsed_ns * 1e9,
			     .wasted = run_sum(run, v, "wasted_calls") / elapsed_ns * 1e9,
			     .sleeps = run_sum(run, v, "sleeps") / elapsed_ns * 1e9};
}

static bool measured(struct run *run, size_t v)
{
	return run_values(run, v, "p50_ns").n > 0;
}

static void print_left_out(struct run *run, size_t v)
{
	if (refused[v])
		run_say(run, "Left out: %s (refused here: %s)", variants[v].name,
			text_errno(refused[v]));
	else if (too_long(v))
		run_say(run, "Left out: %s (longer than --longest)", variants[v].name);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"16-byte messages over TCP on loopback, Poisson with a mean of %s; medians of the "
		"trials. Calls, of these in vain (EAGAIN), and sleeps: a second.",
		text_time((double)mean_us * 1e3));
	fprintf(out, "\n  %-17s %8s %8s %7s %10s %10s %9s\n", "the receiver", "p50", "p99", "CPU",
		"calls", "in vain", "sleeps");
	for (size_t v = 0; v < VARIANTS; v++) {
		struct cost cost = cost_of(run, v);

		if (measured(run, v))
			fprintf(out, "  %-17s %8s %8s %7s %10s %10s %9s\n", variants[v].name,
				text_time(cost.p50_ns), text_time(cost.p99_ns),
				text_share(cost.cpu_share), text_count(llround(cost.calls)),
				text_count(llround(cost.wasted)), text_count((int64_t)cost.sleeps));
	}
	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			print_left_out(run, v);
	if (measured(run, BUSY) && napi_id == 0)
		run_say(run, "busy-poll sleeps like recv here: loopback has no network card with a "
			     "queue to look into (its SO_INCOMING_NAPI_ID is 0).");
	fputs("\n", out);
}

/* The way that is told when to look, and soonest has the message; VARIANTS if none was measured. */
static size_t best_told(struct run *run)
{
	size_t best = VARIANTS;

	for (size_t v = POLL; v <= URING; v++)
		if (measured(run, v) &&
		    (best == VARIANTS ||
		     run_median(run, v, "p50_ns") < run_median(run, best, "p50_ns")))
			best = v;
	return best;
}

static void judge_polling(struct run *run)
{
	size_t told_by = best_told(run);
	struct cost spin = cost_of(run, SPIN);
	struct cost told;

	if (!measured(run, SPIN) || told_by == VARIANTS)
		return;
	told = cost_of(run, told_by);
	old_verdict(run, "poll-needs-polling", told.wasted < spin.wasted ? DEPENDS : HOLDS,
		    (struct field[]){{"spin_wasted_per_s", (int64_t)spin.wasted},
				     {"spin_cpu_share", .real = &spin.cpu_share},
				     {"spin_p50_ns", (int64_t)spin.p50_ns},
				     {"told_by", .text = variants[told_by].name},
				     {"told_wasted_per_s", (int64_t)told.wasted},
				     {"told_cpu_share", .real = &told.cpu_share},
				     {"told_p50_ns", (int64_t)told.p50_ns},
				     {0}},
		    "alone it does: %s calls a second in vain, %s CPU, p50 %s. Told by %s when "
		    "to look: %s in vain, %s CPU, p50 %s",
		    text_count((int64_t)spin.wasted), text_share(spin.cpu_share),
		    text_time(spin.p50_ns), variants[told_by].name,
		    text_count((int64_t)told.wasted), text_share(told.cpu_share),
		    text_time(told.p50_ns));
}

/* "10 ms 1.02, ...": p50 over half of each long interval; and how far from 1 the furthest is. */
static const char *halves(struct run *run, double *furthest)
{
	const char *list = "";

	*furthest = NAN;
	for (size_t v = SLEEP; v < VARIANTS; v++)
		if (measured(run, v) && interval_of(v) >= LONG_INTERVAL) {
			double interval_ns = (double)interval_of(v);
			double of_half = run_median(run, v, "p50_ns") / (interval_ns / 2);

			list = text_format("%s%s%s %.2f", list, *list ? ", " : "",
					   text_time(interval_ns), of_half);
			*furthest = fmax(*furthest, fabs(of_half - 1));
		}
	return *list ? text_format(" (p50 over half of the interval: %s)", list) : "";
}

/* The shortest and the longest interval that were measured, with the kernel's slack. */
static void judge_interval(struct run *run)
{
	size_t shortest = VARIANTS, longest = VARIANTS;
	struct cost often, seldom;
	const char *list;
	double furthest;

	for (size_t v = SLEEP; v < VARIANTS; v++)
		if (measured(run, v) && !pauses[v].fine) {
			shortest = shortest == VARIANTS ? v : shortest;
			longest = v;
		}
	if (shortest == longest)
		return;
	often = cost_of(run, shortest);
	seldom = cost_of(run, longest);
	list = halves(run, &furthest);
	old_verdict(run, "poll-interval",
		    seldom.p50_ns > often.p50_ns && seldom.cpu_share < often.cpu_share ? HOLDS
										       : NOT_SEEN,
		    (struct field[]){{"shortest_ns", interval_of(shortest)},
				     {"shortest_p50_ns", (int64_t)often.p50_ns},
				     {"shortest_cpu_share", .real = &often.cpu_share},
				     {"longest_ns", interval_of(longest)},
				     {"longest_p50_ns", (int64_t)seldom.p50_ns},
				     {"longest_cpu_share", .real = &seldom.cpu_share},
				     {"furthest_from_half_share", .real = &furthest},
				     {0}},
		    "from an interval of %s to %s the CPU time falls from %s to %s and p50 "
		    "grows from %s to %s%s",
		    text_time((double)interval_of(shortest)),
		    text_time((double)interval_of(longest)), text_share(often.cpu_share),
		    text_share(seldom.cpu_share), text_time(often.p50_ns), text_time(seldom.p50_ns),
		    list);
}

static void check_controls(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++)
		old_control(run,
			    run_sum(run, v, "misplaced_messages") == 0 &&
				    run_sum(run, v, "got_messages") ==
					    run_sum(run, v, "sent_messages"),
			    "%s: messages were lost or out of order", variants[v].name);
	if (measured(run, RECV))
		old_control(run, run_sum(run, RECV, "sleeps") > 0,
			    "the blocking recv never slept: what else is counted proves nothing");
}

static void report(struct run *run)
{
	print_table(run);
	judge_polling(run);
	judge_interval(run);
	check_controls(run);
	old_why(run,
		"a call that waits hands the CPU over until the message itself wakes its thread. "
		"One that does not wait only says whether something is there: who asks has to "
		"ask again, at once, or an interval later and half of it too late on average.");
	if (run_cpus() == 1)
		old_note(run, "there is one CPU: sender and receiver shared it.");
}

/* What this machine does not allow. */
static void try_out(void)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});

	refused[URING] = uring_missing();
	refused[BUSY] = ask_for_busy_poll(fd.rx);
	if (getsockopt(fd.rx, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &(socklen_t){sizeof(int)}))
		napi_id = -1;
	net_close(&fd);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	try_out();
	while (run_next(run))
		if (!refused[run_variant(run)] && !too_long(run_variant(run)))
			measure(run);
	return old_end(run, report);
}
