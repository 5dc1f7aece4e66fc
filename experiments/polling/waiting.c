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
 * Then the receiver has other work to do, in slices of some us, between its looks: work-recv and
 * work-epoll wait in a blocking call, work-spin looks without waiting, work-io_uring looks at
 * memory that the kernel writes.  "work" is the control: nothing but the work.
 *
 * "states" makes non-blocking calls in every state of a socket, and counts those that slept.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "rng.h"
#include "span.h"
#include "team.h"
#include "text.h"
#include "uring.h"

enum { RECV, POLL, SELECT, EPOLL, URING, BUSY, SPIN, FIRST_SLEEP, LAST_SLEEP = FIRST_SLEEP + 9 };
enum { WORK = LAST_SLEEP + 1, WORK_RECV, WORK_EPOLL, WORK_SPIN, WORK_URING, STATES };

static const struct variant variants[] = {
	[RECV] = {"recv", "a blocking recv"},
	[POLL] = {"poll", "poll, then a recv that does not wait"},
	[SELECT] = {"select", "select, then the same"},
	[EPOLL] = {"epoll", "epoll_wait, then the same"},
	[URING] = {"io_uring", "a recv handed to the kernel; sleep until it is done"},
	[BUSY] = {"busy-poll", "recv with SO_BUSY_POLL of 50 us"},
	[SPIN] = {"spin", "recv(MSG_DONTWAIT) without a pause"},
	[FIRST_SLEEP] = {"sleep-1us", "recv(MSG_DONTWAIT) once 1 us, and so on"},
	{"sleep-1us-fine", "with a timer slack of 1 ns"},
	{"sleep-10us", "10 us"},
	{"sleep-10us-fine", "with a timer slack of 1 ns"},
	{"sleep-100us", "100 us"},
	{"sleep-100us-fine", "with a timer slack of 1 ns"},
	{"sleep-1ms", "1 ms"},
	{"sleep-10ms", "10 ms"},
	{"sleep-100ms", "100 ms"},
	[LAST_SLEEP] = {"sleep-1s", "1 s"},
	[WORK] = {"work", "other work, and no look at the socket (control)"},
	[WORK_RECV] = {"work-recv", "work, and a blocking recv in between"},
	[WORK_EPOLL] = {"work-epoll", "work, and epoll_wait in between"},
	[WORK_SPIN] = {"work-spin", "work, and recv(MSG_DONTWAIT) in between"},
	[WORK_URING] = {"work-io_uring", "work, and a look at io_uring's memory in between"},
	[STATES] = {"states", "non-blocking calls in every state of a socket"},
	{0}};

static const struct way {
	int how; /* RECV to FIRST_SLEEP, WORK */
	int64_t interval_ns;
	bool fine;
} ways[] = {
	[RECV] = {RECV},
	[POLL] = {POLL},
	[SELECT] = {SELECT},
	[EPOLL] = {EPOLL},
	[URING] = {URING},
	[BUSY] = {BUSY},
	[SPIN] = {SPIN},
	[FIRST_SLEEP] = {FIRST_SLEEP, 1000, false},
	{FIRST_SLEEP, 1000, true},
	{FIRST_SLEEP, 10000, false},
	{FIRST_SLEEP, 10000, true},
	{FIRST_SLEEP, 100000, false},
	{FIRST_SLEEP, 100000, true},
	{FIRST_SLEEP, 1000000, false},
	{FIRST_SLEEP, 10000000, false},
	{FIRST_SLEEP, 100000000, false},
	[LAST_SLEEP] = {FIRST_SLEEP, 1000000000, false},
	[WORK] = {WORK},
	[WORK_RECV] = {RECV},
	[WORK_EPOLL] = {EPOLL},
	[WORK_SPIN] = {SPIN},
	[WORK_URING] = {URING},
	[STATES] = {STATES},
};

static const struct claim claims[] = {
	{"poll-needs-polling", "non-blocking needs a polling loop"},
	{"poll-interval", "checking once an interval trades latency for CPU"},
	{"poll-nonblocking-returns", "a non-blocking call returns at once whatever the state"},
	{0}};

static int64_t mean_us = 2000;
static int64_t time_ms = 100;
static int64_t longest_ms = 1000;
static int64_t repeats = 50;

static const struct opt opts[] = {
	{'m', "mean-us", "mean time between two messages in us", .num = &mean_us, .min = 50,
	 .max = 100000},
	{'d', "time", "messages of a trial; three times that for intervals of 10 ms and more",
	 .num = &time_ms, .min = 20, .quick = 40, .max = 10000, .unit = OPT_MS},
	{'l', "longest", "intervals longer than this are left out", .num = &longest_ms, .min = 1,
	 .quick = 100, .max = 1000, .unit = OPT_MS},
	{'n', "repeats", "calls in each state", .num = &repeats, .min = 1, .quick = 10,
	 .max = 10000},
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

enum {
	BUFFER = 1 << 16,
	SLICE = 4096,             /* turns of the other work between two looks */
	LONG_INTERVAL = 10000000, /* ns: from here on the phases need more messages */
	BUSY_POLL_US = 50,
};

static const char *why_not[STATES + 1]; /* a variant is left out; NULL = it is not */
static int64_t napi_id = -1;            /* SO_INCOMING_NAPI_ID of a loopback socket */

struct message {
	int64_t number, sent_ns;
};

/* One trial.  The sender's thread reads what is above the line; the rest is the receiver's. */
struct trial {
	const struct way *way;
	bool works;
	struct net_pair fd;
	int64_t n, time_ns; /* messages, and when the last one may be sent */
	int64_t *at;        /* when each is sent, ns from the start */

	int64_t *latency;
	int64_t got, misplaced;
	int64_t calls, wasted; /* system calls; of these, recv that said EAGAIN */
	int64_t sleeps, preempted, slices;
	size_t held; /* bytes in the buffer that are no whole message yet */
	bool ended, more;
	int epoll;
	struct uring ring;
	bool asked; /* of the ring: a recv is under way */
	uint64_t worked;
	char buffer[BUFFER];
};

/* --- the sender ------------------------------------------------------------ */

/* Draws when the messages are sent: gaps of an exponential distribution; at least one message. */
static void draw_times(struct trial *t, uint64_t seed)
{
	struct rng rng = {seed};
	size_t room = 64;

	t->at = malloc(room * sizeof(*t->at));
	if (!t->at)
		err(EXIT_USAGE, "malloc");
	for (double at = 0;;) {
		double uniform = ((double)(rng_next(&rng) >> 11) + 0.5) / 9007199254740992.0;

		at += -log(uniform) * (double)mean_us * 1e3;
		if (at >= (double)t->time_ns && t->n)
			break;
		if (at >= (double)t->time_ns)
			at = uniform * (double)t->time_ns;
		if (t->n == (int64_t)room)
			t->at = realloc(t->at, (room *= 2) * sizeof(*t->at));
		if (!t->at)
			err(EXIT_USAGE, "realloc");
		t->at[t->n++] = (int64_t)at;
	}
	t->latency = calloc(room, sizeof(*t->latency));
	if (!t->latency)
		err(EXIT_USAGE, "calloc");
}

static void send_messages(const struct trial *t)
{
	int64_t begin_ns = span_now();

	prctl(PR_SET_TIMERSLACK, 1UL);
	for (int64_t i = 0; i < t->n && run_sleep_until(begin_ns + t->at[i]); i++) {
		struct message message = {i, span_now()};

		if (send(t->fd.tx, &message, sizeof(message), 0) != (ssize_t)sizeof(message))
			err(EXIT_USAGE, "send");
	}
	shutdown(t->fd.tx, SHUT_WR);
}

/* --- the receiver ---------------------------------------------------------- */

static void work_a_slice(struct trial *t)
{
	uint64_t x = t->worked;

	for (int i = 0; i < SLICE; i++)
		x = x * 6364136223846793005U + 1442695040888963407U;
	t->worked = x;
	t->slices++;
}

static void wait_select(int fd)
{
	fd_set set;

	if (fd >= FD_SETSIZE)
		errx(EXIT_USAGE, "select cannot watch descriptor %d", fd);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	check_fd(select(fd + 1, &set, NULL, NULL, NULL), "select");
}

/* Until it may be worth to look; the blocking recv and io_uring wait when they read. */
static void await(struct trial *t)
{
	struct pollfd readable = {.fd = t->fd.rx, .events = POLLIN};
	struct epoll_event event;

	if (t->works)
		work_a_slice(t);
	switch (t->way->how) {
	case POLL:
		check_fd(poll(&readable, 1, -1), "poll");
		break;
	case SELECT:
		wait_select(t->fd.rx);
		break;
	case EPOLL:
		check_fd(epoll_wait(t->epoll, &event, 1, -1), "epoll_wait");
		break;
	case FIRST_SLEEP:
		run_sleep_until(span_now() + t->way->interval_ns);
		break;
	default:
		return;
	}
	t->calls++;
}

/* recv by io_uring into the buffer; 0 also if it is not done yet and there is other work. */
static ssize_t read_ring(struct trial *t)
{
	struct io_uring_cqe done;

	if (!t->asked) {
		*uring_ask(&t->ring) = (struct io_uring_sqe){
			.opcode = IORING_OP_RECV,
			.fd = t->fd.rx,
			.addr = (uint64_t)(uintptr_t)(t->buffer + t->held),
			.len = (uint32_t)(BUFFER - t->held),
		};
		t->asked = true;
		t->calls++;
		check(uring_enter(&t->ring, !t->works), "io_uring_enter");
	}
	if (!uring_done(&t->ring, &done))
		return 0;
	t->asked = false;
	t->ended = done.res == 0;
	if (done.res < 0)
		check(-done.res, "recv by io_uring");
	return done.res;
}

static ssize_t read_socket(struct trial *t)
{
	bool waits = t->way->how == RECV || t->way->how == BUSY;
	ssize_t n = recv(t->fd.rx, t->buffer + t->held, BUFFER - t->held, waits ? 0 : MSG_DONTWAIT);

	t->calls++;
	t->ended = n == 0;
	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "recv");
	t->wasted += n < 0;
	t->more = n == (ssize_t)(BUFFER - t->held);
	return n < 0 ? 0 : n;
}

/* Reads what is there, and stamps every message that is whole. */
static void look(struct trial *t)
{
	ssize_t n = t->way->how == URING ? read_ring(t) : read_socket(t);
	int64_t now = n > 0 ? span_now() : 0;
	size_t bytes = t->held + (size_t)n;
	size_t at = 0;

	for (; bytes - at >= sizeof(struct message) && t->got < t->n; t->got++) {
		struct message message;

		memcpy(&message, t->buffer + at, sizeof(message));
		t->misplaced += message.number != t->got;
		t->latency[t->got] = now - message.sent_ns;
		at += sizeof(message);
	}
	t->held = bytes - at;
	memmove(t->buffer, t->buffer + at, t->held);
}

static void receive_messages(struct trial *t)
{
	int64_t end_ns = span_now() + t->time_ns;
	struct rusage before, after;

	if (t->way->fine)
		prctl(PR_SET_TIMERSLACK, 1UL);
	getrusage(RUSAGE_THREAD, &before);
	while (t->way->how == WORK ? span_now() < end_ns && !run_stopped()
				   : t->got < t->n && !t->ended) {
		if (!t->more)
			await(t);
		if (t->way->how != WORK)
			look(t);
	}
	getrusage(RUSAGE_THREAD, &after);
	t->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	t->preempted = after.ru_nivcsw - before.ru_nivcsw;
}

static void take_part(int member, void *argument)
{
	if (member == 0)
		receive_messages(argument);
	else
		send_messages(argument);
}

/* --- a trial --------------------------------------------------------------- */

/* What the way needs of the kernel; an error number if it is refused. */
static int prepare(struct trial *t)
{
	const int busy_us = BUSY_POLL_US;
	struct epoll_event readable = {.events = EPOLLIN};

	switch (t->way->how) {
	case URING:
		return uring_open(&t->ring, 1);
	case EPOLL:
		t->epoll = check_fd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		check_fd(epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->fd.rx, &readable), "epoll_ctl");
		return 0;
	case BUSY:
		return setsockopt(t->fd.rx, SOL_SOCKET, SO_BUSY_POLL, &busy_us, sizeof(busy_us))
			       ? errno
			       : 0;
	default:
		return 0;
	}
}

static void tidy_up(struct trial *t)
{
	if (t->way->how == URING)
		uring_close(&t->ring);
	if (t->way->how == EPOLL)
		close(t->epoll);
	net_close(&t->fd);
	free(t->at);
	free(t->latency);
	free(t);
}

/* How long messages are sent: of a long interval a whole number of it, as near as can be. */
static int64_t trial_ns(const struct way *way)
{
	int64_t time_ns = time_ms * 1000000;
	int64_t intervals;

	if (way->interval_ns < LONG_INTERVAL)
		return time_ns;
	intervals = 3 * time_ns / way->interval_ns;
	return (intervals > 1 ? intervals : 1) * way->interval_ns;
}

static struct trial *new_trial(size_t variant)
{
	struct trial *t = calloc(1, sizeof(*t));

	if (!t)
		err(EXIT_USAGE, "calloc");
	t->way = &ways[variant];
	t->works = variant >= WORK;
	t->time_ns = trial_ns(t->way);
	t->fd = net_pair(NET_TCP, (struct net_ask){.rcvbuf = 1 << 20});
	net_set(t->fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	return t;
}

static int64_t quantile_ns(struct values values, double q)
{
	return values.n ? (int64_t)stats_quantile(values, q) : 0;
}

static void measure(struct run *run)
{
	struct trial *t = new_trial(run_variant(run));
	struct values latency;
	struct team team;
	struct span own;

	check(prepare(t), variants[run_variant(run)].name);
	draw_times(t, (uint64_t)run_trial(run));
	team_start(&team, 2, TEAM_SPREAD, take_part, t);
	team_join(&team);
	own = team.members[0].span;
	latency = (struct values){t->latency, (size_t)t->got};
	run_record(run, (struct field[]){{"elapsed_ns", span_wall(&own)},
					 {"cpu_ns", own.cpu_ns},
					 {"slices", t->slices},
					 /* without messages the row ends here */
					 {t->got ? "interval_ns" : NULL, t->way->interval_ns},
					 {"sent_messages", t->n},
					 {"got_messages", t->got},
					 {"misplaced_messages", t->misplaced},
					 {"p50_ns", quantile_ns(latency, 0.5)},
					 {"p99_ns", quantile_ns(latency, 0.99)},
					 {"calls", t->calls},
					 {"wasted_calls", t->wasted},
					 {"sleeps", t->sleeps},
					 {"preempted", t->preempted},
					 {0}});
	tidy_up(t);
}

/* --- non-blocking calls in every state --------------------------------------- */

enum state { EMPTY, DATA, CLOSED, RESET, ROOM, FULL, NOBODY, SYN_DROPPED, REFUSED, KINDS };

static const struct {
	const char *name, *call;
} states[KINDS] = {
	[EMPTY] = {"nothing has come", "recv"},
	[DATA] = {"data is there", "recv"},
	[CLOSED] = {"the peer has closed", "recv"},
	[RESET] = {"the peer has reset", "recv"},
	[ROOM] = {"the buffer has room", "send"},
	[FULL] = {"the buffer is full", "send"},
	[NOBODY] = {"nobody has connected", "accept"},
	[SYN_DROPPED] = {"the queue is full", "connect"},
	[REFUSED] = {"nobody listens", "connect"},
};

struct states {
	int64_t *took; /* ns of each call */
	int64_t slept; /* calls in which the thread did */
	int result;    /* of the last call: an error number, or 0 */
};

static void wait_readable(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	if (poll(&readable, 1, 1000) != 1)
		errx(EXIT_USAGE, "loopback took a second");
}

/* Brings a fresh pair into the state; the call is to be made on the descriptor returned. */
static int bring_about(enum state state, struct net_pair *pair)
{
	char bytes[BUFFER] = {0};
	struct linger reset = {.l_onoff = 1};

	switch (state) {
	case DATA:
		check_fd(send(pair->tx, bytes, 1, 0) == 1 ? 0 : -1, "send");
		wait_readable(pair->rx);
		return pair->rx;
	case RESET:
		check_fd(setsockopt(pair->tx, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)),
			 "SO_LINGER");
		/* fall through */
	case CLOSED:
		close(pair->tx);
		pair->tx = -1;
		wait_readable(pair->rx);
		return pair->rx;
	case FULL:
		while (send(pair->tx, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		return pair->tx;
	case ROOM:
		return pair->tx;
	default:
		return pair->rx;
	}
}

/* The call, on a descriptor that is in the state; 0 or an error number. */
static int call_at_once(enum state state, int fd, const struct sockaddr_in *where)
{
	char byte = 0;
	int accepted;

	switch (state) {
	case ROOM:
	case FULL:
		return send(fd, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
	case NOBODY:
		accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		return accepted < 0 ? errno : 0;
	case SYN_DROPPED:
	case REFUSED:
		return connect(fd, (const struct sockaddr *)where, sizeof(*where)) ? errno : 0;
	default:
		return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
	}
}

/* Sockets that listen, or that do not, and one that is to connect there; see net_close(). */
static struct net_pair strangers(enum state state, struct sockaddr_in *where, int *filler)
{
	struct net_pair pair = {.rx = net_bound(SOCK_STREAM | SOCK_NONBLOCK, where)};

	if (state != REFUSED)
		check_fd(listen(pair.rx, 0), "listen");
	if (state == SYN_DROPPED)
		*filler = net_connect(where);
	pair.tx =
		check_fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	return pair;
}

static int64_t call_once(enum state state, struct states *found)
{
	struct sockaddr_in where = {0};
	int filler = -1;
	struct net_pair pair = state < NOBODY ? net_pair(NET_TCP, (struct net_ask){.sndbuf = 4096})
					      : strangers(state, &where, &filler);
	int fd = state < NOBODY ? bring_about(state, &pair) : state == NOBODY ? pair.rx : pair.tx;
	int64_t sleeps = span_sleeps();
	int64_t took_ns = -span_now();

	found->result = call_at_once(state, fd, &where);
	took_ns += span_now();
	found->slept += span_sleeps() > sleeps;
	net_close(&pair);
	if (filler >= 0)
		close(filler);
	return took_ns;
}

static void measure_states(struct run *run)
{
	int64_t *took = calloc((size_t)repeats, sizeof(*took));

	if (!took)
		err(EXIT_USAGE, "calloc");
	for (enum state state = 0; state < KINDS; state++) {
		struct values all = {took, (size_t)repeats};
		struct states found = {0};

		for (int64_t i = 0; i < repeats && !run_stopped(); i++)
			took[i] = call_once(state, &found);
		run_record(run, (struct field[]){{"call", .text = states[state].call},
						 {"state", .text = states[state].name},
						 {"result", .text = text_errno(found.result)},
						 {"state_number", state},
						 {"result_errno", found.result},
						 {"state_calls", repeats},
						 {"slept_calls", found.slept},
						 {"call_ns", (int64_t)stats_quantile(all, 0.5)},
						 {"longest_ns", (int64_t)stats_quantile(all, 1)},
						 {0}});
	}
	free(took);
}

/* --- report -------------------------------------------------------------- */

/* Of a field of all trials together, a second. */
static double a_second(struct run *run, size_t v, const char *field)
{
	return stats_sum(run_values(run, v, field)) / stats_sum(run_values(run, v, "elapsed_ns")) *
	       1e9;
}

static double cpu_share(struct run *run, size_t v)
{
	return a_second(run, v, "cpu_ns") / 1e9;
}

static bool measured(struct run *run, size_t v)
{
	return run_values(run, v, "p50_ns").n > 0;
}

static void print_ways(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"16-byte messages over TCP on loopback, Poisson with a mean of %s; medians of the "
		"trials. Calls, of these in vain (EAGAIN), and sleeps: a second.",
		text_time((double)mean_us * 1e3));
	fprintf(out, "\n  %-17s %8s %8s %7s %10s %10s %9s\n", "the receiver", "p50", "p99", "CPU",
		"calls", "in vain", "sleeps");
	for (size_t v = RECV; v < WORK; v++)
		if (measured(run, v))
			fprintf(out, "  %-17s %8s %8s %7s %10s %10s %9s\n", variants[v].name,
				text_time(run_median(run, v, "p50_ns")),
				text_time(run_median(run, v, "p99_ns")),
				text_share(cpu_share(run, v)),
				text_count((int64_t)a_second(run, v, "calls")),
				text_count((int64_t)a_second(run, v, "wasted_calls")),
				text_count((int64_t)a_second(run, v, "sleeps")));
	for (size_t v = 0; v < STATES; v++)
		if (run_selected(run, v) && why_not[v])
			run_say(run, "Left out: %s (%s)", variants[v].name, why_not[v]);
	if (measured(run, BUSY) && napi_id == 0)
		run_say(run, "busy-poll sleeps like recv here: loopback has no network card with a "
			     "queue to look into (its SO_INCOMING_NAPI_ID is 0).");
	fputs("\n", out);
}

static double slices_per_s(struct run *run, size_t v)
{
	return run_median(run, v, "slices") / run_median(run, v, "elapsed_ns") * 1e9;
}

static void print_work(struct run *run)
{
	double alone = slices_per_s(run, WORK);
	FILE *out = run_out(run);

	if (!(alone > 0))
		return;
	fprintf(out, "  %-17s %14s %10s %8s %12s\n", "with other work", "slices a s", "of alone",
		"p50", "calls a s");
	for (size_t v = WORK; v < STATES; v++) {
		double slices = slices_per_s(run, v);

		if (slices >= 0)
			fprintf(out, "  %-17s %14s %10s %8s %12s\n", variants[v].name,
				text_count((int64_t)slices), text_share(slices / alone),
				v == WORK ? "-" : text_time(run_median(run, v, "p50_ns")),
				v == WORK ? "-" : text_count((int64_t)a_second(run, v, "calls")));
	}
	fputs("\n", out);
}

/* Of one state: a field of all trials. */
static struct values of_state(struct run *run, enum state state, const char *field)
{
	struct values numbers = run_values(run, STATES, "state_number");
	struct values values = run_values(run, STATES, field);
	size_t kept = 0;

	for (size_t i = 0; i < values.n; i++)
		if (numbers.at[i] == (int64_t)state)
			values.at[kept++] = values.at[i];
	values.n = kept;
	return values;
}

static void print_states(struct run *run)
{
	FILE *out = run_out(run);

	if (!run_values(run, STATES, "call_ns").n)
		return;
	fprintf(out, "  %-30s %6s %13s %8s %9s %6s\n", "non-blocking call", "calls", "result",
		"p50", "longest", "slept");
	for (enum state state = 0; state < KINDS; state++)
		fprintf(out, "  %-7s %-22s %6.0f %13s %8s %9s %6.0f\n", states[state].call,
			states[state].name, stats_sum(of_state(run, state, "state_calls")),
			text_errno((int)stats_quantile(of_state(run, state, "result_errno"), 0)),
			text_time(stats_quantile(of_state(run, state, "call_ns"), 0.5)),
			text_time(stats_quantile(of_state(run, state, "longest_ns"), 1)),
			stats_sum(of_state(run, state, "slept_calls")));
	fputs("\n", out);
}

/* The way that is told when to look, and soonest has the message; STATES if none was measured. */
static size_t best_told(struct run *run)
{
	size_t best = STATES;

	for (size_t v = POLL; v <= URING; v++)
		if (measured(run, v) && (best == STATES || run_median(run, v, "p50_ns") <
								   run_median(run, best, "p50_ns")))
			best = v;
	return best;
}

static void judge_polling(struct run *run)
{
	size_t told = best_told(run);
	double spin_cpu = cpu_share(run, SPIN);
	double told_cpu = cpu_share(run, told);
	double spin_wasted, told_wasted;

	if (!measured(run, SPIN) || told == STATES)
		return;
	spin_wasted = a_second(run, SPIN, "wasted_calls");
	told_wasted = a_second(run, told, "wasted_calls");
	run_verdict(run, "poll-needs-polling", told_wasted < spin_wasted ? DEPENDS : HOLDS,
		    (struct field[]){{"spin_wasted_per_s", (int64_t)spin_wasted},
				     {"spin_cpu_share", .real = &spin_cpu},
				     {"spin_p50_ns", (int64_t)run_median(run, SPIN, "p50_ns")},
				     {"told_by", .text = variants[told].name},
				     {"told_wasted_per_s", (int64_t)told_wasted},
				     {"told_cpu_share", .real = &told_cpu},
				     {"told_p50_ns", (int64_t)run_median(run, told, "p50_ns")},
				     {0}},
		    "alone it does: %s calls a second in vain, %s CPU, p50 %s. Told by %s when "
		    "to look: %s in vain, %s CPU, p50 %s",
		    text_count((int64_t)spin_wasted), text_share(spin_cpu),
		    text_time(run_median(run, SPIN, "p50_ns")), variants[told].name,
		    text_count((int64_t)told_wasted), text_share(told_cpu),
		    text_time(run_median(run, told, "p50_ns")));
}

/* p50 over half of the interval. */
static double of_half(struct run *run, size_t v)
{
	return run_median(run, v, "p50_ns") / ((double)ways[v].interval_ns / 2);
}

/* "10 ms 1.02, ..." of the long intervals; and how far from 1 the furthest of them is. */
static const char *halves(struct run *run, double *furthest)
{
	const char *list = "";

	*furthest = NAN;
	for (size_t v = FIRST_SLEEP; v <= LAST_SLEEP; v++)
		if (measured(run, v) && ways[v].interval_ns >= LONG_INTERVAL) {
			list = text_format("%s%s%s %.2f", list, *list ? ", " : "",
					   text_time((double)ways[v].interval_ns), of_half(run, v));
			*furthest = fmax(*furthest, fabs(of_half(run, v) - 1));
		}
	return *list ? text_format(" (p50 over half of the interval: %s)", list) : "";
}

/* The shortest and the longest interval that were measured, with the kernel's slack. */
static void judge_interval(struct run *run)
{
	size_t shortest = STATES, longest = STATES;
	double cpu[2], p50[2];
	const char *list;
	double furthest;

	for (size_t v = FIRST_SLEEP; v <= LAST_SLEEP; v++)
		if (measured(run, v) && !ways[v].fine) {
			shortest = shortest == STATES ? v : shortest;
			longest = v;
		}
	if (shortest == longest)
		return;
	for (size_t i = 0; i < 2; i++) {
		cpu[i] = cpu_share(run, i ? longest : shortest);
		p50[i] = run_median(run, i ? longest : shortest, "p50_ns");
	}
	list = halves(run, &furthest);
	run_verdict(run, "poll-interval", p50[1] > p50[0] && cpu[1] < cpu[0] ? HOLDS : NOT_SEEN,
		    (struct field[]){{"shortest_ns", ways[shortest].interval_ns},
				     {"shortest_p50_ns", (int64_t)p50[0]},
				     {"shortest_cpu_share", .real = &cpu[0]},
				     {"longest_ns", ways[longest].interval_ns},
				     {"longest_p50_ns", (int64_t)p50[1]},
				     {"longest_cpu_share", .real = &cpu[1]},
				     {"furthest_from_half_share", .real = &furthest},
				     {0}},
		    "from an interval of %s to %s the CPU time falls from %s to %s and p50 "
		    "grows from %s to %s%s",
		    text_time((double)ways[shortest].interval_ns),
		    text_time((double)ways[longest].interval_ns), text_share(cpu[0]),
		    text_share(cpu[1]), text_time(p50[0]), text_time(p50[1]), list);
}

static void judge_states(struct run *run)
{
	double calls = stats_sum(run_values(run, STATES, "state_calls"));
	double slept = stats_sum(run_values(run, STATES, "slept_calls"));
	double spins = stats_sum(run_values(run, SPIN, "calls"));
	double spin_sleeps = stats_sum(run_values(run, SPIN, "sleeps"));
	struct values longest = run_values(run, STATES, "longest_ns");

	if (calls == 0)
		return;
	run_verdict(
		run, "poll-nonblocking-returns", slept + spin_sleeps > 0 ? REFUTED : HOLDS,
		(struct field[]){{"states", KINDS},
				 {"calls", (int64_t)calls},
				 {"slept_calls", (int64_t)slept},
				 {"longest_ns", (int64_t)stats_quantile(longest, 1)},
				 {"spin_calls", (int64_t)spins},
				 {"spin_sleeps", (int64_t)spin_sleeps},
				 {0}},
		"of %s calls in %d states %.0f slept, the longest took %s; spinning slept %.0f "
		"times in %s calls%s",
		text_count((int64_t)calls), KINDS, slept, text_time(stats_quantile(longest, 1)),
		spin_sleeps, text_count((int64_t)spins),
		measured(run, RECV)
			? text_format(
				  "; the blocking recv %s times in %s",
				  text_count((int64_t)stats_sum(run_values(run, RECV, "sleeps"))),
				  text_count((int64_t)stats_sum(run_values(run, RECV, "calls"))))
			: "");
}

static void check_controls(struct run *run)
{
	for (size_t v = 0; v < STATES; v++)
		run_control(run,
			    stats_sum(run_values(run, v, "misplaced_messages")) == 0 &&
				    stats_sum(run_values(run, v, "got_messages")) ==
					    stats_sum(run_values(run, v, "sent_messages")),
			    "%s: messages were lost or out of order", variants[v].name);
	if (measured(run, RECV))
		run_control(run, stats_sum(run_values(run, RECV, "sleeps")) > 0,
			    "the blocking recv never slept: what else is counted proves nothing");
}

static void report(struct run *run)
{
	print_ways(run);
	print_work(run);
	print_states(run);
	judge_polling(run);
	judge_interval(run);
	judge_states(run);
	check_controls(run);
	run_why(run,
		"a call that waits hands the CPU over until the message itself wakes its thread. "
		"One that does not wait only says whether something is there: who asks has to "
		"ask again, at once, or an interval later and half of it too late on average.");
	if (run_cpus() == 1)
		run_note(run, "there is one CPU: sender and receiver shared it.");
}

/* What this machine, or an option, leaves out. */
static void leave_out(void)
{
	static char refusals[BUSY + 1][40];
	struct trial *probe;
	socklen_t size = sizeof(int);
	int napi = -1;

	for (size_t v = 0; v < STATES; v++)
		if (ways[v].interval_ns > longest_ms * 1000000)
			why_not[v] = "longer than --longest";
	for (size_t v = URING; v <= BUSY; v++) {
		int error;

		probe = new_trial(v);
		error = prepare(probe);
		if (error) {
			snprintf(refusals[v], sizeof(refusals[v]), "refused here: %s",
				 text_errno(error));
			why_not[v] = refusals[v];
			probe->way = &ways[RECV]; /* there is no ring to close */
		}
		if (v == URING)
			why_not[WORK_URING] = why_not[v];
		if (getsockopt(probe->fd.rx, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi, &size) == 0)
			napi_id = napi;
		tidy_up(probe);
	}
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	leave_out();
	while (run_next(run)) {
		if (run_variant(run) == STATES)
			measure_states(run);
		else if (!why_not[run_variant(run)])
			measure(run);
	}
	return run_end(run, report);
}
