/* SPDX-License-Identifier: MIT */
/*
 * wake - how much of a full send buffer must be free before a blocked sender goes on?
 *
 * The buffer is filled until nothing more fits.  Then it is emptied in small steps, and after each
 * one two things are looked at, in a pass of their own each:
 *
 *	poll   whether poll(2) says POLLOUT;
 *	send   whether a thread that is blocked in send, with one small message, still sleeps, as
 *	       the kernel says of it (/proc/self/task/TID/stat): a thread that was woken and waits
 *	       for a CPU does not count as asleep.
 *
 * Once while it sleeps, another thread sends a message as small without waiting.  If that gets
 * through there was room, and the sleeper was not told.
 *
 * TCP and AF_UNIX are emptied by reading at the other end.  UDP never fills on loopback: it is sent
 * through a slow link between two network namespaces (link.h), which empties the buffer by itself.
 */
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "thread.h"

enum { FILLINGS = 16 }; /* of a buffer are sent at most: a slow machine may never fill it */
enum { KIB = 1 << 10, MIB = 1 << 20, SMALL_WINDOW = 4 << 10, DATAGRAM = 1000, BYTE = 1 };
enum { TCP_64K, TCP_1M, TCP_DEFAULT, UNIX_64K, UNIX_1M, UDP_64K, UDP_256K, VARIANTS };

/* A small receive window makes TCP cut the stream in small pieces: it is emptied in small steps. */
struct kind {
	const char *name;
	enum net_kind net;
	int64_t sndbuf, write, message; /* bytes to ask for, to fill with, that the sleeper sends */
};

static const struct variant variants[] = {
	[TCP_64K] = {"tcp-64K", "TCP on loopback, SO_SNDBUF of 64 KiB asked for",
		     &(const struct kind){"TCP", NET_TCP, 64 << 10, 4 << 10, BYTE}},
	[TCP_1M] = {"tcp-1M", "the same with 1 MiB",
		    &(const struct kind){"TCP", NET_TCP, MIB, 4 << 10, BYTE}},
	[TCP_DEFAULT] = {"tcp-default", "the same, not asked for: it grows by itself",
			 &(const struct kind){"TCP", NET_TCP, 0, 4 << 10, BYTE}},
	[UNIX_64K] = {"unix-64K", "an AF_UNIX stream, 64 KiB asked for",
		      &(const struct kind){"AF_UNIX stream", NET_UNIX_STREAM, 64 << 10, KIB, BYTE}},
	[UNIX_1M] = {"unix-1M", "the same with 1 MiB",
		     &(const struct kind){"AF_UNIX stream", NET_UNIX_STREAM, MIB, KIB, BYTE}},
	[UDP_64K] = {"udp-64K", "UDP through a slow link, 64 KiB asked for",
		     &(const struct kind){"UDP", NET_UDP, 64 << 10, DATAGRAM, DATAGRAM}},
	[UDP_256K] = {"udp-256K", "the same with 256 KiB",
		      &(const struct kind){"UDP", NET_UDP, 256 << 10, DATAGRAM, DATAGRAM}},
	{0}};

static const struct claim claims[] = {
	{"buf-wake-when-room", "a blocked send goes on as soon as there is room for it", "alone",
	 NOT_SEEN,
	 .why = {[REFUTED] =
			 "the kernel wakes a writer, and says POLLOUT, only when a good part of the buffer is free, so that it writes much at once instead of being woken for each acknowledgement. Who comes anew is let in as soon as there is room."}},
	{0}};

static const struct row_field fields[] = {
	{"kind", "whose send buffer", .text = true},
	{"asked_bytes", "SO_SNDBUF asked for; 0: the default"},
	{"message_bytes", "that the blocked send, and the other one, sends"},
	{"granted_bytes", "SO_SNDBUF while poll was asked", "SO_SNDBUF|granted"},
	{"poll_no_free_bytes", "free when poll said no POLLOUT for the last time",
	 "POLLOUT:|last no", SHOW_MEDIAN, "granted_bytes"},
	{"poll_yes_free_bytes", "free when it said POLLOUT first", "POLLOUT:|first yes",
	 SHOW_MEDIAN, "granted_bytes"},
	{"asleep_free_bytes", "free when the blocked send was seen asleep for the last time",
	 "blocked|send slept", SHOW_MEDIAN, "send_granted_bytes"},
	{"awake_free_bytes", "free when it was seen to have gone on"},
	{"passed", "1: while it slept another send, as small, got through", "another|got in",
	 SHOW_NONZERO},
	{"unwoken",
	 "of poll and the blocked send: that the sender was not woken though its buffer was empty",
	 .zero = true, .sham = "deaf"},
	{"full_wmem_bytes", "what the full buffer was charged with"},
	{"poll_no_wmem_bytes", "what it was charged with at the last no of poll"},
	{"poll_yes_wmem_bytes", "and at its first yes"},
	{"send_granted_bytes",
	 "SO_SNDBUF while the send was blocked; absent, as what else is of the blocked send, if no send was: a machine may be too slow to fill the buffer"},
	{"asleep_wmem_bytes",
	 "what the buffer was charged with when the send was seen asleep last"},
	{"awake_wmem_bytes", "and when it had gone on"},
	{"passed_wmem_bytes", "and when another one got through; 0: none did"},
	{"elapsed_ns", "of the whole trial"},
	{0}};

static const struct bound bounds[] = {
	{"soon_share", 0.125, "of the buffer: the steps in which it is emptied, many times over"},
	{0}};

static int64_t steps = 128;
static int64_t settle_ms = 40;
static int64_t link_rate = 1 << 20;
static const char *congestion;

static const struct opt opts[] = {
	{'s', "steps", "the send buffer is emptied by a share of 1 in so many", .num = &steps,
	 .min = 8, .max = 4096},
	{0, "settle", "TCP is full when nothing fitted for so long", .num = &settle_ms, .min = 5,
	 .quick = 20, .max = 10000, .unit = OPT_MS},
	{0, "link-rate", "of the slow link", .num = &link_rate, .min = 64 << 10, .max = 16 << 20,
	 .quick = 2 << 20, .unit = OPT_BYTES_PER_S},
	{0, "congestion", "congestion control of TCP, such as cubic", .text = &congestion},
	{0}};

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

static uint8_t bytes[1 << 16];

/* --- a full buffer, and a step out of it ---------------------------------- */

static struct net_pair pair_of(const struct kind *kind)
{
	struct net_ask ask = {kind->sndbuf, kind->net == NET_TCP ? SMALL_WINDOW : 0,
			      kind->net == NET_TCP ? congestion : NULL};

	return kind->net == NET_UDP ? link_pair(cable, NET_UDP, ask) : net_pair(kind->net, ask);
}

/* True if it was taken, without waiting. */
static bool send_now(int fd, int64_t length)
{
	return net_send_now(fd, bytes, (size_t)length) > 0;
}

/* How many messages of a size are more than any buffer holds. */
static int64_t most_of(int fd, int64_t length)
{
	return FILLINGS * net_sndbuf(fd) / length;
}

/* Writes until nothing fits; TCP moves bytes on for a while, so it is asked again. */
static void fill(const struct kind *kind, int fd)
{
	int64_t full_ns = span_now();
	int64_t most = kind->net == NET_UDP ? most_of(fd, kind->write) : INT64_MAX;

	do {
		while (most-- > 0 && send_now(fd, kind->write))
			full_ns = span_now();
	} while (kind->net == NET_TCP && span_now() < full_ns + settle_ms * 1000000 &&
		 run_sleep_until(span_now() + 2000000));
	while (kind->net != NET_UDP && send_now(fd, kind->message))
		;
}

/* Reads one step's bytes; the slow link empties by itself. */
static void empty(const struct kind *kind, int fd, int64_t granted)
{
	int64_t left = granted / steps > KIB ? granted / steps : KIB;
	ssize_t n = 1;

	while (kind->net != NET_UDP && left > 0 && n > 0) {
		size_t most = left < (int64_t)sizeof(bytes) ? (size_t)left : sizeof(bytes);

		n = net_recv_now(fd, bytes, most);
		left -= n;
	}
}

/* --- the two passes ------------------------------------------------------- */

/* What the send buffer was charged with, and in the end is; all in bytes. */
struct pass {
	int64_t granted;
	int64_t full;
	int64_t no;     /* the least with which there was no POLLOUT, or the thread slept */
	int64_t yes;    /* when there was, or it had gone on */
	bool changed;   /* it was seen to change */
	bool empty;     /* it was not, and the buffer is empty */
	int64_t passed; /* with so much another message got through; -1 = none did */
	bool slept;     /* the thread did, in its send */
};

/* A charge may exceed what is granted: then nothing is free. */
static int64_t free_of(int64_t granted, int64_t charged)
{
	return granted > charged ? granted - charged : 0;
}

static struct pass begin_pass(const struct kind *kind, const struct net_pair *fd)
{
	struct pass pass = {.passed = -1};

	fill(kind, fd->tx);
	pass.granted = net_sndbuf(fd->tx);
	pass.full = net_memory(fd->tx).send;
	pass.no = pass.full;
	return pass;
}

static bool pollout(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLOUT};

	check_fd(poll(&look, 1, 0), "poll");
	return look.revents & POLLOUT;
}

/*
 * Empties until poll says that there is room; a look during which the charge changed is none.  deaf:
 * that is not heard, a sham.
 */
static struct pass poll_pass(const struct kind *kind, bool deaf)
{
	struct net_pair fd = pair_of(kind);
	struct pass pass = begin_pass(kind, &fd);

	while (!pass.changed && !pass.empty && !run_stopped()) {
		int64_t before = net_memory(fd.tx).send;
		bool writable = pollout(fd.tx) && !deaf;

		if (net_memory(fd.tx).send != before)
			continue;
		pass.granted = net_sndbuf(fd.tx); /* TCP's default grows all the time */
		if (writable) {
			pass.yes = before;
			pass.changed = true;
		} else {
			pass.no = before;
			pass.empty = before == 0;
			empty(kind, fd.rx, pass.granted);
			run_sleep_until(span_now() + 100000);
		}
	}
	net_close(&fd);
	return pass;
}

/* A thread that sends one message until that has made it sleep, or too many went. */
struct sleeper {
	pthread_t thread;
	int fd;
	int64_t message;
	bool slept;
	atomic_int id; /* the kernel's; 0 = not yet known */
	atomic_bool awake;
};

static void *sleep_in_send(void *argument)
{
	static const uint8_t message[DATAGRAM];
	struct sleeper *sleeper = argument;
	int64_t most = most_of(sleeper->fd, sleeper->message);
	ssize_t n = 1;

	atomic_store(&sleeper->id, gettid());
	while (n > 0 && !sleeper->slept && most-- > 0) {
		int64_t sleeps = span_sleeps();

		n = send(sleeper->fd, message, (size_t)sleeper->message, 0);
		sleeper->slept = span_sleeps() > sleeps;
	}
	atomic_store(&sleeper->awake, true);
	return NULL;
}

/* Whether the thread waits for something, other than a CPU. */
static bool asleep(const struct sleeper *sleeper)
{
	return !atomic_load(&sleeper->awake) && thread_state(atomic_load(&sleeper->id)) == 'S' &&
	       !atomic_load(&sleeper->awake);
}

/* Whether it sleeps now and a moment later, and the charge is the same. */
static bool sleeps_on(const struct sleeper *sleeper, int64_t *charge)
{
	*charge = net_memory(sleeper->fd).send;
	return asleep(sleeper) && run_sleep_until(span_now() + 100000) && asleep(sleeper) &&
	       net_memory(sleeper->fd).send == *charge;
}

/* Empties until the blocked thread has gone on.  Another one sends when so much is free. */
static struct pass send_pass(const struct kind *kind, double soon_share, bool another)
{
	struct net_pair fd = pair_of(kind);
	struct sleeper sleeper = {.fd = fd.tx, .message = kind->message};
	struct pass pass = begin_pass(kind, &fd);
	int64_t charge;

	check(pthread_create(&sleeper.thread, NULL, sleep_in_send, &sleeper), "pthread_create");
	while (!pass.changed && !pass.empty && !run_stopped()) {
		if (sleeps_on(&sleeper, &charge)) {
			pass.no = charge;
			pass.granted = net_sndbuf(fd.tx);
			pass.empty = charge == 0;
			if (another && pass.passed < 0 &&
			    (double)free_of(pass.granted, charge) >
				    soon_share * (double)pass.granted &&
			    send_now(fd.tx, kind->message) && asleep(&sleeper))
				pass.passed = charge;
			empty(kind, fd.rx, pass.granted);
		} else if (atomic_load(&sleeper.awake)) {
			pass.yes = net_memory(fd.tx).send;
			pass.changed = true;
		}
	}
	if (!pass.changed) /* wake it, so that it ends */
		shutdown(fd.tx, SHUT_RDWR);
	check(pthread_join(sleeper.thread, NULL), "pthread_join");
	pass.slept = sleeper.slept;
	net_close(&fd);
	return pass;
}

static void measure(struct run *run, const struct kind *kind)
{
	int64_t begin_ns = span_now();
	struct pass poll = poll_pass(kind, run_sham(run, "deaf"));
	struct pass send = send_pass(kind, run_bound(run, "soon_share"), !run_sham(run, "alone"));

	run_record(run, (struct field[]){{"kind", .text = kind->name},
					 {"asked_bytes", kind->sndbuf},
					 {"message_bytes", kind->message},
					 {"granted_bytes", poll.granted},
					 {"full_wmem_bytes", poll.full},
					 {"poll_no_wmem_bytes", poll.no},
					 {"poll_yes_wmem_bytes", poll.yes},
					 {"poll_no_free_bytes", free_of(poll.granted, poll.no)},
					 {"poll_yes_free_bytes", free_of(poll.granted, poll.yes)},
					 {"unwoken", poll.empty + send.empty},
					 {"elapsed_ns", span_now() - begin_ns},
					 {send.slept ? "send_granted_bytes" : NULL, send.granted},
					 {"asleep_free_bytes", free_of(send.granted, send.no)},
					 {"awake_free_bytes", free_of(send.granted, send.yes)},
					 {"asleep_wmem_bytes", send.no},
					 {"awake_wmem_bytes", send.yes},
					 {"passed", send.passed >= 0},
					 {"passed_wmem_bytes", send.passed >= 0 ? send.passed : 0},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

/*
 * Whether a blocked send of this variant went on while little was free, as a verdict: by what was free
 * when it had, as a machine that looks seldom may not have seen it sleep just before.
 */
static enum verdict went_on_soon(struct run *run, size_t variant)
{
	struct values shares = stats_millionths(run_values(run, variant, "awake_free_bytes"),
						run_values(run, variant, "send_granted_bytes"));

	return is_below(run_interval_of(run, shares), run_bound(run, "soon_share") * 1e6);
}

static void judge(struct run *run)
{
	struct share passed = run_nonzero_in(run, 0, VARIANTS - 1, "passed");
	enum verdict soon = HOLDS;
	bool all = run_selected(run, TCP_1M) && run_selected(run, UNIX_1M) &&
		   run_selected(run, UDP_256K);
	double most = 0;

	for (size_t v = 0; v < VARIANTS; v++) {
		most = fmax(most, stats_quantile(run_values(run, v, "asleep_free_bytes"), 1));
		soon = all_of(soon, went_on_soon(run, v));
	}
	run_judge(
		run, "buf-wake-when-room", all_of(never_happens(passed, 1), or_not_seen(soon)),
		all ? MESSAGE("in {passed} trials a blocked send slept on while another one, as small, got through; up to {most_bytes} were free while it slept. POLLOUT came at: TCP {tcp_share} free, AF_UNIX stream {unix_share}, UDP {udp_share}")
		    : MESSAGE("in {passed} trials a blocked send slept on while another one, as small, got through; up to {most_bytes} were free while it slept"),
		number_share("passed", passed), number_real("most_bytes", most),
		number_real("tcp_share",
			    run_share(run, TCP_1M, "poll_yes_free_bytes", "granted_bytes", 0.5)),
		number_real("unix_share",
			    run_share(run, UNIX_1M, "poll_yes_free_bytes", "granted_bytes", 0.5)),
		number_real("udp_share",
			    run_share(run, UDP_256K, "poll_yes_free_bytes", "granted_bytes", 0.5)));
}

static const struct experiment about = {
	.name = "wake",
	.group = "buffers",
	.order = 311,
	.summary = "How much must be free before a blocked sender goes on?",
	.intro = "What was free of a full send buffer, as a share of what is granted (medians).",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, UDP_64K) || run_selected(run, UDP_256K))
		cable = link_open((struct link_ask){.rate = link_rate, .queue = 1 << 20},
				  &no_cable);
	for (size_t v = UDP_64K; no_cable && v <= UDP_256K; v++)
		run_leave_out(run, v, "%s", no_cable);
	while (run_next(run))
		measure(run, run_how(run));
	if (cable)
		link_close(cable);
	return run_end(run);
}
