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
#include "old.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "text.h"
#include "thread.h"

enum { KIB = 1 << 10, MIB = 1 << 20, SMALL_WINDOW = 4 << 10, DATAGRAM = 1000, BYTE = 1 };
enum { TCP_64K, TCP_1M, TCP_DEFAULT, UNIX_64K, UNIX_1M, UDP_64K, UDP_256K, VARIANTS };

/* A small receive window makes TCP cut the stream in small pieces: it is emptied in small steps. */
static const struct kind {
	const char *name;
	enum net_kind net;
	int64_t sndbuf, write, message; /* bytes to ask for, to fill with, that the sleeper sends */
} kinds[VARIANTS] = {
	[TCP_64K] = {"TCP", NET_TCP, 64 << 10, 4 << 10, BYTE},
	[TCP_1M] = {"TCP", NET_TCP, MIB, 4 << 10, BYTE},
	[TCP_DEFAULT] = {"TCP", NET_TCP, 0, 4 << 10, BYTE},
	[UNIX_64K] = {"AF_UNIX stream", NET_UNIX_STREAM, 64 << 10, KIB, BYTE},
	[UNIX_1M] = {"AF_UNIX stream", NET_UNIX_STREAM, MIB, KIB, BYTE},
	[UDP_64K] = {"UDP", NET_UDP, 64 << 10, DATAGRAM, DATAGRAM},
	[UDP_256K] = {"UDP", NET_UDP, 256 << 10, DATAGRAM, DATAGRAM},
};

static const struct variant variants[] = {
	[TCP_64K] = {"tcp-64K", "TCP on loopback, SO_SNDBUF of 64 KiB asked for"},
	[TCP_1M] = {"tcp-1M", "the same with 1 MiB"},
	[TCP_DEFAULT] = {"tcp-default", "the same, not asked for: it grows by itself"},
	[UNIX_64K] = {"unix-64K", "an AF_UNIX stream, 64 KiB asked for"},
	[UNIX_1M] = {"unix-1M", "the same with 1 MiB"},
	[UDP_64K] = {"udp-64K", "UDP through a slow link, 64 KiB asked for"},
	[UDP_256K] = {"udp-256K", "the same with 256 KiB"},
	{0}};

static const struct claim claims[] = {
	{"buf-wake-when-room", "a blocked send goes on as soon as there is room for it"}, {0}};

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

static const struct experiment about = {
	.name = "wake",
	.group = "buffers",
	.summary = "How much must be free before a blocked sender goes on?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 4,
	.quick_trials = 1,
};

static const int64_t patience_ns = 5000000000; /* a sender that sleeps for longer never wakes */

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

/* Writes until nothing fits; TCP moves bytes on for a while, so it is asked again. */
static void fill(const struct kind *kind, int fd)
{
	int64_t full_ns = span_now();

	do {
		while (send_now(fd, kind->write))
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
	int64_t passed; /* with so much another message got through; -1 = none did */
};

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

/* Empties until poll says that there is room; a look during which the charge changed is none. */
static struct pass poll_pass(const struct kind *kind)
{
	struct net_pair fd = pair_of(kind);
	struct pass pass = begin_pass(kind, &fd);
	int64_t end_ns = span_now() + patience_ns;

	while (!pass.changed && span_now() < end_ns && !run_stopped()) {
		int64_t before = net_memory(fd.tx).send;
		bool writable = pollout(fd.tx);

		if (net_memory(fd.tx).send != before)
			continue;
		pass.granted = net_sndbuf(fd.tx); /* TCP's default grows all the time */
		if (writable) {
			pass.yes = before;
			pass.changed = true;
		} else {
			pass.no = before;
			empty(kind, fd.rx, pass.granted);
			run_sleep_until(span_now() + 100000);
		}
	}
	net_close(&fd);
	return pass;
}

/* A thread that sends one message until that has made it sleep. */
struct sleeper {
	pthread_t thread;
	int fd;
	int64_t message;
	atomic_int id; /* the kernel's; 0 = not yet known */
	atomic_bool awake;
};

static void *sleep_in_send(void *argument)
{
	static const uint8_t message[DATAGRAM];
	struct sleeper *sleeper = argument;
	int64_t sleeps;

	atomic_store(&sleeper->id, gettid());
	do {
		sleeps = span_sleeps();
	} while (send(sleeper->fd, message, (size_t)sleeper->message, 0) > 0 &&
		 span_sleeps() == sleeps);
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

/* Empties until the blocked thread has gone on. */
static struct pass send_pass(const struct kind *kind)
{
	struct net_pair fd = pair_of(kind);
	struct sleeper sleeper = {.fd = fd.tx, .message = kind->message};
	struct pass pass = begin_pass(kind, &fd);
	int64_t end_ns = span_now() + patience_ns;
	int64_t charge;

	check(pthread_create(&sleeper.thread, NULL, sleep_in_send, &sleeper), "pthread_create");
	while (!sleeps_on(&sleeper, &charge) && span_now() < end_ns && !run_stopped())
		;
	while (!pass.changed && span_now() < end_ns && !run_stopped()) {
		if (sleeps_on(&sleeper, &charge)) {
			pass.no = charge;
			pass.granted = net_sndbuf(fd.tx);
			if (pass.passed < 0 && charge < pass.granted - pass.granted / 8 &&
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
	net_close(&fd);
	return pass;
}

static void measure(struct run *run, const struct kind *kind)
{
	int64_t begin_ns = span_now();
	struct pass poll = poll_pass(kind);
	struct pass send = send_pass(kind);

	run_record(run, (struct field[]){{"kind", .text = kind->name},
					 {"asked_bytes", kind->sndbuf},
					 {"message_bytes", kind->message},
					 {"granted_bytes", poll.granted},
					 {"full_wmem_bytes", poll.full},
					 {"poll_no_wmem_bytes", poll.no},
					 {"poll_yes_wmem_bytes", poll.yes},
					 {"pollout", poll.changed},
					 {"send_granted_bytes", send.granted},
					 {"asleep_wmem_bytes", send.no},
					 {"awake_wmem_bytes", send.yes},
					 {"went_on", send.changed},
					 {"passed", send.passed >= 0},
					 {"passed_wmem_bytes", send.passed >= 0 ? send.passed : 0},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

/* The share of the buffer that is free with this charge; not less than nothing. */
static double free_share(struct run *run, size_t variant, const char *granted, const char *wmem)
{
	double share = 1 - run_median(run, variant, wmem) / run_median(run, variant, granted);

	return share < 0 ? 0 : share;
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "Of a full send buffer was free, in %% of what is granted (medians):");
	fprintf(out, "\n  %-11s %10s %9s %9s   %9s %9s %12s\n", "", "granted",
		"POLLOUT:", "POLLOUT:", "blocked", "another", "free while");
	fprintf(out, "  %-11s %10s %9s %9s   %9s %9s %12s\n", "buffer", "SO_SNDBUF", "last no",
		"first yes", "send slept", "got in", "it slept");
	for (size_t v = 0; v < VARIANTS; v++) {
		double slept = free_share(run, v, "send_granted_bytes", "asleep_wmem_bytes");
		struct values passed = run_values(run, v, "passed");

		if (passed.n == 0)
			continue;
		fprintf(out, "  %-11s %10s %9s %9s   %10s %9s %10s B\n", variants[v].name,
			text_count((int64_t)run_median(run, v, "granted_bytes")),
			text_share(free_share(run, v, "granted_bytes", "poll_no_wmem_bytes")),
			text_share(free_share(run, v, "granted_bytes", "poll_yes_wmem_bytes")),
			text_share(slept), text_format("%zu/%zu", stats_nonzero(passed), passed.n),
			text_count((int64_t)(slept * run_median(run, v, "send_granted_bytes"))));
	}
	fputs("\n", out);
}

/* "TCP 33.2 to 34.8 %" for the variants of one kind: between the last no and the first yes. */
static const char *threshold(struct run *run, const char *kind)
{
	double no = 0, yes = 1;

	for (size_t v = 0; v < VARIANTS; v++) {
		double low, high;

		if (strcmp(kinds[v].name, kind) != 0 || run_values(run, v, "passed").n == 0)
			continue;
		low = free_share(run, v, "granted_bytes", "poll_no_wmem_bytes");
		high = free_share(run, v, "granted_bytes", "poll_yes_wmem_bytes");
		if (high - low < yes - no) {
			no = low;
			yes = high;
		}
	}
	return yes - no < 1 ? text_format("%s %.1f to %.1f %%", kind, no * 100, yes * 100) : "";
}

static void judge(struct run *run)
{
	size_t trials = 0, passed = 0, stuck = 0;
	double most = 0, most_share = 0;
	const char *levels = "";

	for (size_t v = 0; v < VARIANTS; v++) {
		struct values through = run_values(run, v, "passed");
		double share = free_share(run, v, "send_granted_bytes", "asleep_wmem_bytes");

		if (through.n == 0)
			continue;
		trials += through.n;
		passed += stats_nonzero(through);
		stuck += 2 * through.n - stats_nonzero(run_values(run, v, "pollout")) -
			 stats_nonzero(run_values(run, v, "went_on"));
		most = fmax(most, share * run_median(run, v, "send_granted_bytes"));
		most_share = fmax(most_share, share);
		if (!strstr(levels, kinds[v].name))
			levels = text_format("%s%s%s", levels, *levels ? ", " : "",
					     threshold(run, kinds[v].name));
	}
	if (trials == 0)
		return;
	old_control(run, stuck == 0,
		    "%zu times a sender was not woken though the buffer was emptied", stuck);
	old_verdict(run, "buf-wake-when-room",
		    passed               ? REFUTED
		    : most_share < 0.125 ? HOLDS
					 : NOT_SEEN,
		    (struct field[]){{"passed_trials", (int64_t)passed},
				     {"trials", (int64_t)trials},
				     {"most_free_bytes", (int64_t)most},
				     {"most_free_share", .real = &most_share},
				     {0}},
		    "in %zu of %zu trials a blocked send slept on while another one, as small, got "
		    "through; up to %s B were free. POLLOUT came between: %s free",
		    passed, trials, text_count((int64_t)most), levels);
}

static void report(struct run *run)
{
	print_table(run);
	judge(run);
	old_why(run, "the kernel wakes a writer, and says POLLOUT, only when a good part of the "
		     "buffer is free, so that it writes much at once instead of being woken for "
		     "each acknowledgement. Who comes anew is let in as soon as there is room.");
	if (no_cable)
		old_note(run, "UDP is skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, UDP_64K) || run_selected(run, UDP_256K))
		cable = link_open((struct link_ask){.rate = link_rate, .queue = 1 << 20},
				  &no_cable);
	while (run_next(run)) {
		const struct kind *kind = &kinds[run_variant(run)];

		if (kind->net != NET_UDP || cable)
			measure(run, kind);
	}
	if (cable)
		link_close(cable);
	return old_end(run, report);
}
