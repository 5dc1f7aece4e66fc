/* SPDX-License-Identifier: MIT */
/* needs: liburing */
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
#include <liburing.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "messages.h"
#include "net.h"
#include "rng.h"
#include "span.h"
#include "team.h"

enum { RECV, POLL, SELECT, EPOLL, URING, BUSY, SPIN, SLEEP, VARIANTS = SLEEP + 10 };

struct trial;

static void wait_poll(struct trial *t);
static void wait_select(struct trial *t);
static void wait_epoll(struct trial *t);

/* How a variant waits. */
struct way {
	void (*wait)(struct trial *t); /* for readiness, before recv */
	bool blocks;                   /* recv waits */
	int busy_us;                   /* SO_BUSY_POLL */
	bool ring;                     /* recv by io_uring */
	int64_t interval_us;           /* of sleep before each recv */
	bool fine; /* with a timer slack of 1 ns instead of the kernel's 50 us */
};

static const struct variant variants[] = {
	[RECV] = {"recv", "a blocking recv", &(struct way){.blocks = true}},
	[POLL] = {"poll", "poll, then a recv that does not wait", &(struct way){wait_poll}},
	[SELECT] = {"select", "select, then the same", &(struct way){wait_select}},
	[EPOLL] = {"epoll", "epoll_wait, then the same", &(struct way){wait_epoll}},
	[URING] = {"io_uring", "a recv handed to the kernel; sleep until it is done",
		   &(struct way){.ring = true}},
	[BUSY] = {"busy-poll", "recv with SO_BUSY_POLL of 50 us",
		  &(struct way){.blocks = true, .busy_us = 50}},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) without a pause", &(struct way){0}},
	[SLEEP] = {"sleep-1us", "recv(MSG_DONTWAIT) once 1 us, and so on",
		   &(struct way){.interval_us = 1}},
	{"sleep-1us-fine", "with a timer slack of 1 ns",
	 &(struct way){.interval_us = 1, .fine = true}},
	{"sleep-10us", "10 us", &(struct way){.interval_us = 10}},
	{"sleep-10us-fine", "with a timer slack of 1 ns",
	 &(struct way){.interval_us = 10, .fine = true}},
	{"sleep-100us", "100 us", &(struct way){.interval_us = 100}},
	{"sleep-100us-fine", "with a timer slack of 1 ns",
	 &(struct way){.interval_us = 100, .fine = true}},
	{"sleep-1ms", "1 ms", &(struct way){.interval_us = 1000}},
	{"sleep-10ms", "10 ms", &(struct way){.interval_us = 10000}},
	{"sleep-100ms", "100 ms", &(struct way){.interval_us = 100000}},
	{"sleep-1s", "1 s", &(struct way){.interval_us = 1000000}},
	{0}};

static const struct claim claims[] = {
	{"poll-needs-polling", "non-blocking needs a polling loop", "spin=recv", NOT_SEEN,
	 .why = {[DEPENDS] =
			 "a call that does not wait only says whether something is there: who has nothing else to wait in has to ask again at once. A call that waits for readiness hands the CPU over until the message itself wakes the thread, and the recv after it need not wait."}},
	{"poll-interval", "checking once an interval trades latency for CPU", "*=recv", REFUTED,
	 .why = {[HOLDS] =
			 "who asks once an interval sleeps in between, which takes no CPU time, and has a message half an interval too late on average."}},
	{0}};

static const struct control controls[] = {
	{"recv-sleeps", "the blocking recv sleeps: what the others are counted against",
	 "recv=spin"},
	{0}};

static const struct row_field fields[] = {
	{"p50_ns", "from before send until recv has returned, the messages' median", "p50"},
	{"p99_ns", "of the same, the 99th percentile", "p99"},
	{"cpu_ns", "CPU time of the receiver's thread", "CPU", SHOW_SUM, "elapsed_ns"},
	{"calls", "system calls of the receiver; a sleep is one", "calls|per s", SHOW_SUM,
	 "elapsed_ns"},
	{"wasted_calls", "of these: recv that said EAGAIN", "EAGAIN", SHOW_SUM, "calls"},
	{"sleeps", "context switches of the receiver's own will", "sleeps|a call", SHOW_SUM,
	 "calls"},
	{"slept", "1: there was at least one"},
	{"preempted", "context switches against its will"},
	{"interval_ns", "between two looks; 0: it does not look once an interval"},
	{"elapsed_ns", "of the receiver, from its begin until it has all messages"},
	{"sent_messages", "messages to be sent"},
	{"got_messages", "messages received"},
	{"missing_messages", "messages that did not arrive", .zero = true, .sham = "garble"},
	{"misplaced_messages", "messages that arrived changed or out of order", .zero = true,
	 .sham = "garble"},
	{0}};

static const struct bound bounds[] = {
	{"polling_share", 0.5,
	 "who polls gets EAGAIN in most calls, and has the CPU most of the time"},
	{"trade_times", 2, "latency at least doubled, CPU time at least halved: far beyond noise"},
	{"usual_share", 0.5, "a message may be there already, so not every recv sleeps"},
	{0}};

static int64_t mean_us = 2000;
static int64_t time_ms = 50;
static int64_t longest_ms = 1000;

static const struct opt opts[] = {
	{'m', "mean-us", "mean time between two messages in us", .num = &mean_us, .min = 50,
	 .max = 100000},
	{'d', "time", "messages of a trial; three times that for intervals of 10 ms and more",
	 .num = &time_ms, .min = 10, .quick = 10, .max = 10000, .unit = OPT_MS},
	{'l', "longest", "intervals longer than this are left out", .num = &longest_ms, .min = 1,
	 .quick = 10, .max = 1000, .unit = OPT_MS},
	{0}};

enum { LONG_INTERVAL_US = 10000 }; /* from here on the phases need more messages */

/* One trial: what the sender's thread needs, and then the receiver's. */
struct trial {
	const struct way *way;
	struct messages messages, sent; /* the receiver's; what the sender is to send */
	bool garbles;                   /* a sham */

	int epoll;
	struct io_uring ring;
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

/* How long messages are sent: of a long interval a whole number of it, as near as can be. */
static int64_t trial_ns(const struct way *way)
{
	int64_t intervals;

	if (way->interval_us < LONG_INTERVAL_US)
		return time_ms * 1000000;
	intervals = 3 * time_ms * 1000 / way->interval_us;
	return (intervals > 1 ? intervals : 1) * way->interval_us * 1000;
}

/* Of all variants of a round the same, but longer for long intervals; at least one message. */
static void prepare_messages(struct messages *m, int64_t time_ns, uint64_t seed)
{
	int64_t n = draw_times(NULL, time_ns, seed);

	messages_begin(m, n ? n : 1);
	draw_times(m->at_ns, time_ns, seed);
	if (n == 0)
		m->at_ns[0] = (int64_t)rng_below(&(struct rng){seed}, (size_t)time_ns);
}

static void send_messages(void *argument)
{
	const struct trial *t = argument;

	if (t->garbles && send(t->sent.fd.tx, "?", 1, 0) != 1)
		err(EXIT_USAGE, "send");
	messages_send(&t->sent);
}

/* --- the receiver ---------------------------------------------------------- */

static void wait_poll(struct trial *t)
{
	struct pollfd readable = {.fd = t->messages.fd.rx, .events = POLLIN};

	check_fd(poll(&readable, 1, -1), "poll");
}

static void wait_select(struct trial *t)
{
	int fd = t->messages.fd.rx;
	fd_set set;

	if (fd >= FD_SETSIZE)
		errx(EXIT_USAGE, "select cannot watch descriptor %d", fd);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	check_fd(select(fd + 1, &set, NULL, NULL, NULL), "select");
}

static void wait_epoll(struct trial *t)
{
	struct epoll_event event;

	check_fd(epoll_wait(t->epoll, &event, 1, -1), "epoll_wait");
}

/* recv by io_uring, asleep until it is done. */
static void receive_by_ring(struct trial *t)
{
	struct iovec room = messages_room(&t->messages);
	struct io_uring_cqe *done;
	int submitted, error;

	io_uring_prep_recv(io_uring_get_sqe(&t->ring), t->messages.fd.rx, room.iov_base,
			   room.iov_len, 0);
	submitted = io_uring_submit_and_wait(&t->ring, 1);
	check(submitted < 0 ? -submitted : 0, "io_uring_submit_and_wait");
	do /* a signal, or a stop of the process, ends the wait before it is over */
		error = io_uring_wait_cqe(&t->ring, &done);
	while (error == -EINTR || error == -EAGAIN);
	check(-error, "io_uring_wait_cqe");
	check(done->res < 0 ? -done->res : 0, "recv by io_uring");
	messages_take(&t->messages, (size_t)done->res);
	io_uring_cqe_seen(&t->ring, done);
}

static void receive_messages(void *argument)
{
	struct trial *t = argument;
	const struct way *way = t->way;
	const int flags = way->blocks ? 0 : MSG_DONTWAIT;
	struct rusage before, after;

	if (way->fine)
		prctl(PR_SET_TIMERSLACK, 1UL);
	getrusage(RUSAGE_THREAD, &before);
	while (messages_left(&t->messages)) {
		if (way->wait)
			way->wait(t);
		if (way->interval_us)
			run_sleep_until(span_now() + way->interval_us * 1000);
		if (way->ring)
			receive_by_ring(t);
		else
			t->wasted += messages_recv(&t->messages, flags) < 0;
		t->calls += way->wait || way->interval_us ? 2 : 1;
	}
	getrusage(RUSAGE_THREAD, &after);
	t->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	t->preempted = after.ru_nivcsw - before.ru_nivcsw;
}

/* --- a trial --------------------------------------------------------------- */

/* 0, or an error number: more than net.core.busy_read is for root only. */
static int ask_for_busy_poll(int fd, int us)
{
	return setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) ? errno : 0;
}

static void prepare(struct trial *t)
{
	int fd = t->messages.fd.rx;
	struct epoll_event readable = {.events = EPOLLIN};

	if (t->way->ring)
		check(-io_uring_queue_init(1, &t->ring, 0), "io_uring_queue_init");
	if (t->way->busy_us)
		check(ask_for_busy_poll(fd, t->way->busy_us), "SO_BUSY_POLL");
	if (t->way->wait == wait_epoll) {
		t->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		check_fd(epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &readable), "epoll_ctl");
	}
}

static void measure(struct run *run)
{
	struct trial t = {.way = run_how(run), .garbles = run_sham(run, "garble")};
	const struct messages *m = &t.messages;
	struct team team;
	struct span own;

	prepare_messages(&t.messages, trial_ns(t.way), (uint64_t)run_trial(run));
	prepare(&t);
	t.sent = t.messages;
	t.sent.n -= t.garbles;
	team_start_two(&team, TEAM_SPREAD, receive_messages, send_messages, &t);
	team_join(&team);
	own = team.members[0].span;
	run_record(run, (struct field[]){{"elapsed_ns", span_wall(&own)},
					 {"cpu_ns", own.cpu_ns},
					 {"interval_ns", t.way->interval_us * 1000},
					 {"sent_messages", m->n},
					 {"got_messages", m->got},
					 {"missing_messages", m->n - m->got},
					 {"misplaced_messages", m->misplaced},
					 {"p50_ns", messages_late(m, 0.5)},
					 {"p99_ns", messages_late(m, 0.99)},
					 {"calls", t.calls},
					 {"wasted_calls", t.wasted},
					 {"sleeps", t.sleeps},
					 {"slept", t.sleeps > 0},
					 {"preempted", t.preempted},
					 {0}});
	if (t.way->ring)
		io_uring_queue_exit(&t.ring);
	if (t.way->wait == wait_epoll)
		close(t.epoll);
	messages_end(&t.messages);
}

/* --- judge --------------------------------------------------------------- */

/* Each trial's CPU time in millionths of its time. */
static struct values cpu_share(struct run *run, size_t v)
{
	return stats_millionths(run_values(run, v, "cpu_ns"), run_values(run, v, "elapsed_ns"));
}

/* Whether its receiver polls: most of its calls are in vain, and it has the CPU meanwhile. */
static enum verdict polls(struct run *run, size_t v)
{
	double bound = run_bound(run, "polling_share");

	return or_not_seen(all_of(share_above(run_part(run, v, "wasted_calls", "calls"), bound),
				  is_above(run_interval_of(run, cpu_share(run, v)), bound * 1e6)));
}

static void judge_polling(struct run *run)
{
	run_judge(
		run, "poll-needs-polling", by_case(polls(run, SPIN), polls(run, EPOLL)),
		"a recv that does not wait, alone: EAGAIN from {eagain} calls, {cpu_share} of a CPU, p50 {p50_ns}; after epoll_wait: EAGAIN from {epoll_eagain}, {epoll_cpu_share}, {epoll_p50_ns}",
		number_share("eagain", run_part(run, SPIN, "wasted_calls", "calls")),
		number_real("cpu_share", stats_quantile(cpu_share(run, SPIN), 0.5) / 1e6),
		number_real("p50_ns", run_median(run, SPIN, "p50_ns")),
		number_share("epoll_eagain", run_part(run, EPOLL, "wasted_calls", "calls")),
		number_real("epoll_cpu_share", stats_quantile(cpu_share(run, EPOLL), 0.5) / 1e6),
		number_real("epoll_p50_ns", run_median(run, EPOLL, "p50_ns")));
}

static const struct way *way_of(size_t v)
{
	return variants[v].how;
}

/* The shortest and the longest interval that were measured, with the kernel's slack. */
static void judge_interval(struct run *run)
{
	const double times = run_bound(run, "trade_times");
	size_t longest = VARIANTS - 1;
	struct interval latency, cpu;

	while (longest > SLEEP + 1 && (!run_selected(run, longest) || way_of(longest)->fine))
		longest--;
	latency = run_ratio(run, run_values(run, longest, "p50_ns"),
			    run_values(run, SLEEP, "p50_ns"));
	cpu = run_ratio(run, cpu_share(run, longest), cpu_share(run, SLEEP));
	run_judge(
		run, "poll-interval", all_of(is_above(latency, times), is_below(cpu, 1 / times)),
		"from an interval of {shortest_us} to {longest_us} p50 grows from {shortest_p50_ns} to {longest_p50_ns}, {half_times} times half of the interval, and the CPU time falls from {shortest_cpu_share} to {longest_cpu_share}, {cpu_times} times as much",
		number_int("shortest_us", way_of(SLEEP)->interval_us),
		number_int("longest_us", way_of(longest)->interval_us),
		number_real("shortest_p50_ns", run_median(run, SLEEP, "p50_ns")),
		number_real("longest_p50_ns", run_median(run, longest, "p50_ns")),
		number_real("half_times", run_median(run, longest, "p50_ns") /
						  ((double)way_of(longest)->interval_us * 500)),
		number_real("shortest_cpu_share", stats_quantile(cpu_share(run, SLEEP), 0.5) / 1e6),
		number_real("longest_cpu_share",
			    stats_quantile(cpu_share(run, longest), 0.5) / 1e6),
		number_interval("latency_times", latency), number_interval("cpu_times", cpu));
}

static void judge(struct run *run)
{
	struct share slept;

	judge_polling(run);
	judge_interval(run);
	slept = run_nonzero(run, RECV, "slept");
	run_check(run, "recv-sleeps", share_above(slept, run_bound(run, "usual_share")),
		  "it slept in {slept} trials", number_share("slept", slept));
}

static const struct experiment about = {
	.name = "waiting",
	.group = "polling",
	.order = 502,
	.summary = "How soon is a message there, and what does waiting for it cost?",
	.intro =
		"16-byte messages over TCP on loopback, at Poisson times with a mean of {mean_us}, to a receiver that waits for them.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
};

/* What this machine, or an option, does not allow. */
static void leave_out(struct run *run)
{
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});
	struct io_uring ring;
	int napi_id = 0;
	int error = -io_uring_queue_init(1, &ring, 0);

	if (error)
		run_leave_out(run, URING, "no io_uring: %s", strerror(error));
	else
		io_uring_queue_exit(&ring);
	error = ask_for_busy_poll(fd.rx, way_of(BUSY)->busy_us);
	if (error)
		run_leave_out(run, BUSY, "SO_BUSY_POLL: %s", strerror(error));
	else if (run_selected(run, BUSY) &&
		 getsockopt(fd.rx, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id,
			    &(socklen_t){sizeof(napi_id)}) == 0 &&
		 napi_id == 0)
		run_note(
			run,
			"busy-poll sleeps like recv here: loopback has no network card with a queue to look into (its SO_INCOMING_NAPI_ID is 0)",
			NO_NUMBERS);
	for (size_t v = SLEEP; v < VARIANTS; v++)
		if (way_of(v)->interval_us > longest_ms * 1000)
			run_leave_out(run, v, "longer than --longest");
	if (run_cpus() == 1)
		run_note(run, "there is one CPU: sender and receiver share it", NO_NUMBERS);
	net_close(&fd);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	leave_out(run);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
