/* SPDX-License-Identifier: MIT */
/*
 * transfer - does UDP move data faster than TCP?
 *
 * One thread sends messages of one size as fast as it can for a while, another one receives them, on
 * loopback.  What counts is what arrives until the last message has: of UDP the receiver's buffer
 * takes what there is room for, and the rest is lost.
 *
 *	tcp      one connection: many messages may go out in one segment and come in by one recv
 *	nodelay  the same with TCP_NODELAY: no message waits for others
 *	fresh    a connection for each message
 *	udp      a datagram each: one send, one packet, one recv
 *
 * Each message begins with its number, which the receiver looks at.  How soon one request is answered
 * is asked by setup.c.
 */
#include <err.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "span.h"
#include "team.h"

enum { TCP, NODELAY, FRESH, UDP };
enum { SMALL, FRAME, LARGE, SIZES };
enum { MOST = 64 << 10 }; /* bytes that a recv may return */
enum { QUEUE = 128 };     /* connections that may wait to be accepted */

static const struct variant variants[] = {
	[TCP] = {"tcp", "one TCP connection"},
	[NODELAY] = {"nodelay", "the same with TCP_NODELAY"},
	[FRESH] = {"fresh", "a new TCP connection for each message"},
	[UDP] = {"udp", "UDP datagrams"},
	{0}};

/* A line of text, what fits into an Ethernet frame, a block of a file. */
static const int64_t sizes[SIZES] = {[SMALL] = 64, [FRAME] = 1400, [LARGE] = 16384};

static const struct claim claims[] = {
	{"udp-transfer-faster", "UDP transfers faster than TCP", "tcp=fresh", HOLDS,
	 .why = {[REFUTED] =
			 "UDP makes a packet of every send, which takes its way through the kernel and wakes the receiver by itself. TCP puts what was sent into large segments. UDP saves the acknowledgements, but nothing slows its sender down: what the receiver has no room for was work for nothing. What UDP does save is the set-up, where each message has a connection of its own.",
		 [DEPENDS] =
			 "UDP makes a packet of every send, which takes its way through the kernel by itself. TCP puts many small messages into one segment, which saves the more the smaller they are."}},
	{0}};

static const struct row_field fields[] = {
	{"size_bytes", "of a message", "size of|a message", .key = true},
	{"arrived_bytes", "of the messages that arrived", "arrived|a second", SHOW_SUM,
	 "elapsed_ns"},
	{"arrived", "messages that did", "messages|a second", SHOW_SUM, "elapsed_ns"},
	{"lost", "messages that were sent and did not arrive", "lost", SHOW_SHARE, "sent"},
	{"sent", "messages"},
	{"cpu_ns", "CPU time of both threads", "CPU a|byte", SHOW_MEDIAN, "arrived_bytes"},
	{"recvs", "calls"},
	{"elapsed_ns", "from the first send to the last recv"},
	{"tcp_lost", "messages that TCP lost", .zero = true, .sham = "lose"},
	{"misplaced", "messages with another number than comes next, of UDP an earlier one",
	 .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"faster_ratio", 1.1, "a tenth more arrives: less is no reason to choose one"}, {0}};

static int64_t duration_ms = 30;

static const struct opt opts[] = {{'d', "duration", "of sending messages of one size",
				   .num = &duration_ms, .min = 1, .quick = 10, .max = 10000,
				   .unit = OPT_MS},
				  {0}};

/* One transfer.  The sender's thread writes its fields, and the receiver's those behind them. */
struct transfer {
	bool stream, fresh;
	size_t size; /* of a message, bytes */
	struct net_pair fd;
	struct sockaddr_in where; /* of FRESH, whose fd.rx listens there */
	sem_t room;               /* in its queue: a SYN that is dropped would cost a second */
	int64_t begin_ns, sent;   /* messages */
	int64_t end_ns, arrived_bytes, recvs, next, misplaced;
	atomic_bool ended; /* the receiver has seen the end */
};

static void send_one(struct transfer *t, const uint8_t *message, size_t size)
{
	if (t->fresh) {
		check_fd(sem_wait(&t->room), "sem_wait");
		t->fd.tx = net_connect(&t->where);
	}
	if (size > 0 && send(t->fd.tx, message, size, 0) != (ssize_t)size)
		err(EXIT_USAGE, "send");
	if (t->fresh)
		close(t->fd.tx);
}

/* The end is a connection without a message, that of the stream, or an empty datagram. */
static void send_end(struct transfer *t)
{
	if (t->fresh)
		send_one(t, NULL, 0);
	else if (t->stream)
		check_fd(shutdown(t->fd.tx, SHUT_WR), "shutdown");
	while (!t->stream && !atomic_load(&t->ended)) { /* which may be lost as well */
		check_fd((int)send(t->fd.tx, NULL, 0, 0), "send");
		run_sleep_until(span_now() + 100000);
	}
}

static void send_all(void *argument)
{
	struct transfer *t = argument;
	uint8_t message[MOST] = {0};

	t->begin_ns = span_now();
	while (span_now() < t->begin_ns + duration_ms * 1000000 && !run_stopped()) {
		memcpy(message, &t->sent, sizeof(t->sent));
		send_one(t, message, t->size);
		t->sent++;
	}
	send_end(t);
}

/* Looks at the number of each message that begins within these bytes, and is not cut. */
static void look_at(struct transfer *t, const uint8_t *bytes, size_t n)
{
	size_t size = t->size, before = (size_t)t->arrived_bytes;

	for (size_t at = t->stream ? (size - before % size) % size : 0; at + sizeof(int64_t) <= n;
	     at += size) {
		int64_t number;

		memcpy(&number, bytes + at, sizeof(number));
		if (t->stream)
			t->misplaced += number != (int64_t)((before + at) / size);
		else
			t->misplaced += number < t->next || n != size;
		t->next = number + 1;
	}
}

/* Until the end of what comes in there. */
static void receive(struct transfer *t, int fd)
{
	uint8_t bytes[MOST];
	ssize_t n;

	while ((n = recv(fd, bytes, MOST, 0)) > 0) {
		t->end_ns = span_now();
		look_at(t, bytes, (size_t)n);
		t->arrived_bytes += n;
		t->recvs++;
	}
	if (n < 0)
		err(EXIT_USAGE, "recv");
}

static void receive_all(void *argument)
{
	struct transfer *t = argument;
	int64_t before = -1;

	while (t->fresh && before < t->arrived_bytes) {
		int fd = net_accept(t->fd.rx);

		sem_post(&t->room);
		before = t->arrived_bytes;
		receive(t, fd);
		net_reset(fd); /* no TIME_WAIT keeps the sender's ports */
	}
	if (!t->fresh)
		receive(t, t->fd.rx);
	atomic_store(&t->ended, true);
}

static void open_transfer(struct transfer *t, size_t way)
{
	t->stream = way != UDP;
	t->fresh = way == FRESH;
	check_fd(sem_init(&t->room, 0, QUEUE / 2), "sem_init");
	if (t->fresh)
		t->fd = (struct net_pair){-1, net_listen(QUEUE, &t->where)};
	else
		t->fd = net_pair(t->stream ? NET_TCP : NET_UDP, (struct net_ask){0});
	if (way == NODELAY)
		net_set(t->fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void close_transfer(struct transfer *t)
{
	if (t->fresh)
		t->fd.tx = -1; /* closed already */
	net_close(&t->fd);
	sem_destroy(&t->room);
}

static void measure(struct run *run, size_t way, int64_t size)
{
	struct transfer t = {.size = (size_t)size};
	struct team team;
	struct span all;
	int64_t arrived;

	open_transfer(&t, way);
	team_start_two(&team, TEAM_SPREAD, send_all, receive_all, &t);
	all = team_join(&team);
	close_transfer(&t);
	arrived = t.arrived_bytes / size;
	run_record(run, (struct field[]){{"size_bytes", size},
					 {"sent", t.sent},
					 {"arrived", arrived},
					 {"lost", t.sent - arrived},
					 {"arrived_bytes", t.arrived_bytes},
					 {"recvs", t.recvs},
					 {"cpu_ns", all.cpu_ns},
					 {"elapsed_ns", t.end_ns - t.begin_ns},
					 {"misplaced", t.misplaced + run_sham(run, "disorder")},
					 {run_label(run) != UDP ? "tcp_lost" : NULL,
					  t.sent - arrived + run_sham(run, "lose")},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/* One field by another, in every trial with messages of this size. */
static struct values each(struct run *run, size_t way, size_t size, const char *field,
			  const char *of)
{
	const struct field where[] = {{"size_bytes", sizes[size]}, {0}};

	return stats_millionths(run_values_where(run, way, field, where),
				run_values_where(run, way, of, where));
}

/* How many times another way's UDP's are, of messages of each size. */
static void compare(struct run *run, size_t way, const char *field, const char *of,
		    struct interval times[SIZES])
{
	for (size_t size = 0; size < SIZES; size++)
		times[size] = run_ratio(run, each(run, UDP, size, field, of),
					each(run, way, size, field, of));
}

static void judge(struct run *run)
{
	double bound = run_bound(run, "faster_ratio");
	struct interval tcp[SIZES], cpu[SIZES], fresh[SIZES];

	compare(run, TCP, "arrived_bytes", "elapsed_ns", tcp);
	compare(run, TCP, "cpu_ns", "arrived_bytes", cpu);
	compare(run, FRESH, "arrived_bytes", "elapsed_ns", fresh);
	run_judge(
		run, "udp-transfer-faster",
		by_case(by_case(is_above(tcp[SMALL], bound), is_above(tcp[FRAME], bound)),
			is_above(tcp[LARGE], bound)),
		"with messages of 64, 1,400 and 16,384 bytes UDP brought {small}, {frame} and {large} times as many bytes a second as a TCP connection, {lost.share} of its datagrams were lost, and a byte that arrived took {small_cpu}, {frame_cpu} and {large_cpu} times the CPU time; of a new connection for each message it brought {small_fresh}, {frame_fresh} and {large_fresh} times as many",
		number_interval("small", tcp[SMALL]), number_interval("frame", tcp[FRAME]),
		number_interval("large", tcp[LARGE]),
		number_share("lost", run_part(run, UDP, "lost", "sent")),
		number_real("small_cpu", cpu[SMALL].mid), number_real("frame_cpu", cpu[FRAME].mid),
		number_real("large_cpu", cpu[LARGE].mid),
		number_real("small_fresh", fresh[SMALL].mid),
		number_real("frame_fresh", fresh[FRAME].mid),
		number_real("large_fresh", fresh[LARGE].mid));
}

static const struct experiment about = {
	.name = "transfer",
	.group = "tcp",
	.order = 426,
	.summary = "Does UDP move data faster than TCP?",
	.intro =
		"Messages from one thread to another on loopback, as fast as they go, for {duration_ms} of each size.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 12,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		for (size_t size = 0; size < SIZES; size++)
			measure(run, run_variant(run), sizes[size]);
	return run_end(run);
}
