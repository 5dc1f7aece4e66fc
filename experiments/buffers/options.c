/* SPDX-License-Identifier: MIT */
/*
 * options - what do SO_SNDBUF and SO_RCVBUF really do?
 *
 * Five kinds are asked for many sizes, from 1 byte to 2,147,483,647, and say what they were
 * granted: sockets double it, within a minimum and twice net.core.wmem_max or rmem_max, and none
 * of that is an error; a pipe rounds up to a power of two, and refuses beyond fs.pipe-max-size.
 * SO_SNDBUFFORCE and SO_RCVBUFFORCE, for root only, know no maximum.
 *
 * TCP tells its peer how large a window it has, so it matters when the size is set:
 *
 *	early   SO_RCVBUF before connect: the window begins with that size;
 *	late    SO_RCVBUF after accept: a window that was offered by then is not taken back;
 *	raised  4 KiB before connect, then more: does the window follow?
 *
 * And TCP's default sizes are only where it begins:
 *
 *	grow    both buffers of a default connection during a bulk transfer;
 *	fixed   the control: the same, but the sizes were asked for, which ends the growth.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "machine.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { KINDS = 5, EARLY = KINDS, LATE, RAISED, GROW, FIXED, VARIANTS, MAX_SIZES = 32 };
enum { SMALL = 4 << 10, FIXED_SIZE = 64 << 10, MS = 1000000, CHUNK = 64 << 10, STEP_NS = 5 * MS };

static const struct variant variants[] = {
	[NET_TCP] = {"tcp", "sizes asked of a TCP socket"},
	[NET_UNIX_STREAM] = {"unix-stream", "of an AF_UNIX stream socket"},
	[NET_UNIX_DGRAM] = {"unix-dgram", "of an AF_UNIX datagram socket"},
	[NET_UDP] = {"udp", "of a UDP socket"},
	[NET_PIPE] = {"pipe", "of a pipe (F_SETPIPE_SZ)"},
	[EARLY] = {"early", "SO_RCVBUF before connect"},
	[LATE] = {"late", "SO_RCVBUF after accept"},
	[RAISED] = {"raised", "4 KiB before connect, more after accept"},
	[GROW] = {"grow", "a transfer with default buffers"},
	[FIXED] = {"fixed", "a transfer with 64 KiB asked for (control)"},
	{0}};

static const struct claim claims[] = {{"buf-default-65536", "the default size is 65,536 bytes"},
				      {"buf-max-2147483647", "the maximum is 2,147,483,647 bytes"},
				      {0}};

static int64_t transfer_ms = 250;
static int64_t settle_ms = 100;
static const char *congestion;

static const struct opt opts[] = {
	{'t', "transfer", "how long a bulk transfer lasts", .num = &transfer_ms, .min = 20,
	 .max = 60000, .quick = 60, .unit = OPT_MS},
	{'s', "settle", "a window is full when nothing came for so long", .num = &settle_ms,
	 .min = 20, .max = 10000, .quick = 30, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "options",
	.group = "buffers",
	.summary = "Which buffer sizes does the kernel grant, and do they stay?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* --- asked against granted --------------------------------------------------- */

static int64_t sizes[MAX_SIZES] = {1,        256,       1 << 10,   SMALL,   5000,    16 << 10,
				   64 << 10, 100000,    256 << 10, 1 << 20, 4 << 20, 16 << 20,
				   64 << 20, 256 << 20, 1 << 30,   INT_MAX};
static size_t sizes_n = 16;

/* The limits, and one more, are sizes to ask for too. */
static void add_limit(int64_t limit)
{
	for (int64_t size = limit; limit > 0 && size <= limit + 1 && size <= INT_MAX; size++) {
		size_t i = 0;

		while (i < sizes_n && sizes[i] != size)
			i++;
		if (i == sizes_n && sizes_n < MAX_SIZES)
			sizes[sizes_n++] = size;
	}
}

static int by_size(const void *a, const void *b)
{
	const int64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

static int fresh(size_t kind)
{
	static const struct {
		int domain, type;
	} sockets[] = {[NET_TCP] = {AF_INET, SOCK_STREAM},
		       [NET_UNIX_STREAM] = {AF_UNIX, SOCK_STREAM},
		       [NET_UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM},
		       [NET_UDP] = {AF_INET, SOCK_DGRAM}};

	return check_fd(socket(sockets[kind].domain, sockets[kind].type | SOCK_CLOEXEC, 0),
			"socket");
}

/* The buffer of a fresh socket after asking for so many bytes (0: not asking); 0 if refused. */
static int64_t granted(size_t kind, int set, int get, int64_t bytes)
{
	int fd = fresh(kind);
	int value = (int)bytes;
	int64_t size = 0;

	if (!bytes || setsockopt(fd, SOL_SOCKET, set, &value, sizeof(value)) == 0)
		size = get == SO_SNDBUF ? net_sndbuf(fd) : net_rcvbuf(fd);
	close(fd);
	return size;
}

/* The same of a pipe. */
static int64_t pipe_granted(int64_t bytes)
{
	struct net_pair pipe = net_pair(NET_PIPE, (struct net_ask){0});
	int64_t size = bytes ? fcntl(pipe.tx, F_SETPIPE_SZ, (int)bytes) : net_sndbuf(pipe.tx);

	net_close(&pipe);
	return size > 0 ? size : 0;
}

static void ask_size(struct run *run, size_t kind, int64_t bytes)
{
	bool pipe = kind == NET_PIPE;

	run_record(run,
		   (struct field[]){{"asked_bytes", bytes},
				    {"granted_sndbuf_bytes",
				     pipe ? pipe_granted(bytes)
					  : granted(kind, SO_SNDBUF, SO_SNDBUF, bytes)},
				    {"granted_rcvbuf_bytes",
				     pipe ? 0 : granted(kind, SO_RCVBUF, SO_RCVBUF, bytes)},
				    {"forced_sndbuf_bytes",
				     pipe ? 0 : granted(kind, SO_SNDBUFFORCE, SO_SNDBUF, bytes)},
				    {"forced_rcvbuf_bytes",
				     pipe ? 0 : granted(kind, SO_RCVBUFFORCE, SO_RCVBUF, bytes)},
				    {0}});
}

/* --- before connect, or after accept ------------------------------------------ */

static const int64_t windows[] = {SMALL, 64 << 10, 1 << 20};

enum { WINDOWS = sizeof(windows) / sizeof(windows[0]) };

/* Sends until nothing came for settle_ms: what the receiver, who does not read, lets in. */
static void fill_windows(const struct net_pair *fd, int64_t *held)
{
	static uint8_t bytes[CHUNK];
	int64_t changed_ns = span_now();

	do {
		for (size_t i = 0; i < WINDOWS; i++) {
			int64_t before = held[i];

			while (send(fd[i].tx, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
				;
			held[i] = net_inq(fd[i].rx);
			if (held[i] != before)
				changed_ns = span_now();
		}
	} while (span_now() < changed_ns + settle_ms * MS && run_sleep_until(span_now() + STEP_NS));
}

static void measure_windows(struct run *run, size_t variant)
{
	struct net_pair fd[WINDOWS];
	int64_t held[WINDOWS] = {0};

	for (size_t i = 0; i < WINDOWS; i++) {
		int64_t before = variant == EARLY ? windows[i] : variant == RAISED ? SMALL : 0;

		fd[i] = net_pair(NET_TCP, (struct net_ask){4 << 20, before, congestion});
		if (variant != EARLY)
			net_set(fd[i].rx, SOL_SOCKET, SO_RCVBUF, (int)windows[i]);
	}
	fill_windows(fd, held);
	for (size_t i = 0; i < WINDOWS; i++) {
		run_record(run, (struct field[]){{"asked_bytes", windows[i]},
						 {"granted_rcvbuf_bytes", net_rcvbuf(fd[i].rx)},
						 {"held_bytes", held[i]},
						 {0}});
		net_close(&fd[i]);
	}
}

/* --- over a connection's life -------------------------------------------------- */

struct transfer {
	struct net_pair fd;
	atomic_bool stop;
	atomic_int_fast64_t received;
	int64_t sent, misplaced;
};

static void *send_on(void *argument)
{
	struct transfer *t = argument;
	static uint8_t bytes[CHUNK];

	while (!atomic_load(&t->stop)) {
		ssize_t n;

		pattern_fill(bytes, CHUNK, (uint64_t)t->sent);
		n = send(t->fd.tx, bytes, CHUNK, MSG_NOSIGNAL);
		if (n < 0)
			err(EXIT_USAGE, "send");
		t->sent += n;
	}
	shutdown(t->fd.tx, SHUT_WR);
	return NULL;
}

static void *receive_on(void *argument)
{
	struct transfer *t = argument;
	static uint8_t bytes[CHUNK];
	ssize_t n;

	while ((n = recv(t->fd.rx, bytes, CHUNK, 0)) > 0) {
		int64_t at = atomic_fetch_add(&t->received, n);

		t->misplaced += (int64_t)pattern_misplaced(bytes, (size_t)n, (uint64_t)at);
	}
	if (n < 0)
		err(EXIT_USAGE, "recv");
	return NULL;
}

struct look {
	int64_t snd, rcv;
};

static struct look look_at(const struct net_pair *fd)
{
	return (struct look){net_sndbuf(fd->tx), net_rcvbuf(fd->rx)};
}

static void record_look(struct run *run, struct transfer *t, struct look look, int64_t at_ns)
{
	run_row(run, "size",
		(struct field[]){{"at_ns", at_ns},
				 {"sndbuf_bytes", look.snd},
				 {"rcvbuf_bytes", look.rcv},
				 {"received_bytes", atomic_load(&t->received)},
				 {"cwnd_segments", tcpinfo_read(t->fd.tx).cwnd},
				 {0}});
}

/* Looks every millisecond, and keeps what had changed. */
static struct look watch(struct run *run, struct transfer *t, struct look before, int64_t begin_ns)
{
	int64_t now_ns = begin_ns;
	struct look now = before;

	while (now_ns < begin_ns + transfer_ms * MS && run_sleep_until(now_ns + MS)) {
		now_ns = span_now();
		now = look_at(&t->fd);
		if (now.snd != before.snd || now.rcv != before.rcv)
			record_look(run, t, now, now_ns - begin_ns);
		before = now;
	}
	record_look(run, t, now, now_ns - begin_ns);
	return now;
}

static void measure_growth(struct run *run, int64_t asked)
{
	struct look fresh_look = {granted(NET_TCP, SO_SNDBUF, SO_SNDBUF, asked),
				  granted(NET_TCP, SO_RCVBUF, SO_RCVBUF, asked)};
	struct transfer t = {.fd = net_pair(NET_TCP, (struct net_ask){asked, asked, congestion})};
	struct look begin = look_at(&t.fd), end;
	int64_t begin_ns = span_now();
	pthread_t sender, receiver;

	record_look(run, &t, begin, 0);
	check(pthread_create(&receiver, NULL, receive_on, &t), "pthread_create");
	check(pthread_create(&sender, NULL, send_on, &t), "pthread_create");
	end = watch(run, &t, begin, begin_ns);
	atomic_store(&t.stop, true);
	check(pthread_join(sender, NULL), "pthread_join");
	check(pthread_join(receiver, NULL), "pthread_join");
	run_record(run, (struct field[]){{"fresh_sndbuf_bytes", fresh_look.snd},
					 {"fresh_rcvbuf_bytes", fresh_look.rcv},
					 {"begin_sndbuf_bytes", begin.snd},
					 {"begin_rcvbuf_bytes", begin.rcv},
					 {"end_sndbuf_bytes", end.snd},
					 {"end_rcvbuf_bytes", end.rcv},
					 {"missing_bytes", t.sent - atomic_load(&t.received)},
					 {"misplaced_bytes", t.misplaced},
					 {"received_bytes", atomic_load(&t.received)},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	net_close(&t.fd);
}

/* --- report -------------------------------------------------------------------- */

/* A variant's field where so many bytes were asked for; NAN for none. */
static double at_size(struct run *run, size_t variant, int64_t asked, const char *field)
{
	struct values sizes_asked = run_values(run, variant, "asked_bytes");
	struct values values = run_values(run, variant, field);

	for (size_t i = 0; i < sizes_asked.n; i++)
		if (sizes_asked.at[i] == asked)
			return (double)values.at[i];
	return NAN;
}

/* A size in bytes; "refused" for 0, "-" for none. */
static const char *size_text(double bytes)
{
	if (isnan(bytes))
		return "-";
	return bytes > 0 ? text_count((int64_t)bytes) : "refused";
}

static void print_granted(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "Asked for, and granted, in bytes:");
	fprintf(out, "\n  %13s %12s %12s %12s %12s\n", "", "tcp", "tcp", "udp, unix", "udp, unix");
	fprintf(out, "  %13s %12s %12s %12s %12s %12s\n", "asked for", "SO_SNDBUF", "SO_RCVBUF",
		"SO_SNDBUF", "SO_RCVBUF", "pipe");
	for (size_t i = 0; i <= sizes_n; i++) {
		int64_t asked = i ? sizes[i - 1] : 0;

		fprintf(out, "  %13s %12s %12s %12s %12s %12s\n",
			asked ? text_count(asked) : "(default)",
			size_text(at_size(run, NET_TCP, asked, "granted_sndbuf_bytes")),
			size_text(at_size(run, NET_TCP, asked, "granted_rcvbuf_bytes")),
			size_text(at_size(run, NET_UDP, asked, "granted_sndbuf_bytes")),
			size_text(at_size(run, NET_UDP, asked, "granted_rcvbuf_bytes")),
			size_text(at_size(run, NET_PIPE, asked, "granted_sndbuf_bytes")));
	}
	fputs("\n", out);
}

static void print_windows(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "SO_RCVBUF before connect or after accept: granted, and what TCP then held, "
		     "in bytes:");
	fprintf(out, "\n  %-8s", "");
	for (size_t i = 0; i < WINDOWS; i++)
		fprintf(out, " %21s", text_format("%s asked for", text_bytes(windows[i])));
	fputs("\n", out);
	for (size_t v = EARLY; v <= RAISED; v++) {
		fprintf(out, "  %-8s", variants[v].name);
		for (size_t i = 0; i < WINDOWS; i++)
			fprintf(out, " %10s %10s",
				size_text(at_size(run, v, windows[i], "granted_rcvbuf_bytes")),
				size_text(at_size(run, v, windows[i], "held_bytes")));
		fputs("\n", out);
	}
	fputs("\n", out);
}

static void print_growth(struct run *run)
{
	static const char *const fields[] = {"fresh_sndbuf_bytes", "begin_sndbuf_bytes",
					     "end_sndbuf_bytes",   "fresh_rcvbuf_bytes",
					     "begin_rcvbuf_bytes", "end_rcvbuf_bytes"};
	FILE *out = run_out(run);

	run_say(run,
		"TCP's buffers of a fresh socket, once connected, and after a transfer of %s, in "
		"bytes:",
		text_time((double)transfer_ms * MS));
	fprintf(out, "\n  %-5s %11s %11s %11s %11s %11s %11s\n", "", "SO_SNDBUF", "connected",
		"after", "SO_RCVBUF", "connected", "after");
	for (size_t v = GROW; v <= FIXED; v++) {
		if (!run_selected(run, v))
			continue;
		fprintf(out, "  %-5s", variants[v].name);
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			fprintf(out, " %11s", text_count((int64_t)run_median(run, v, fields[i])));
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* "16,384 to 212,992" */
static const char *range(struct values values)
{
	return text_format("%s to %s", text_count((int64_t)stats_quantile(values, 0)),
			   text_count((int64_t)stats_quantile(values, 1)));
}

/* A field of each kind of socket that was asked for this size; the pipe is none. */
static struct values over_sockets(struct run *run, int64_t asked, const char *field,
				  int64_t at[KINDS])
{
	struct values found = {at, 0};

	for (size_t kind = 0; kind < KINDS; kind++)
		if (kind != NET_PIPE && run_selected(run, kind))
			at[found.n++] = (int64_t)at_size(run, kind, asked, field);
	return found;
}

static void judge_default(struct run *run)
{
	int64_t space[2][KINDS];
	struct values send = over_sockets(run, 0, "granted_sndbuf_bytes", space[0]);
	struct values receive = over_sockets(run, 0, "granted_rcvbuf_bytes", space[1]);
	double pipe = at_size(run, NET_PIPE, 0, "granted_sndbuf_bytes");
	size_t alike = 0;

	for (size_t i = 0; i < send.n; i++)
		alike += (send.at[i] == 65536) + (receive.at[i] == 65536);
	run_verdict(run, "buf-default-65536",
		    alike == 2 * send.n ? HOLDS
		    : alike             ? DEPENDS
					: REFUTED,
		    (struct field[]){{"buffers_of_65536", (int64_t)alike},
				     {"buffers", (int64_t)(2 * send.n)},
				     {"pipe_bytes", pipe > 0 ? (int64_t)pipe : 0},
				     {0}},
		    "%zu of %zu default socket buffers have that size: %s bytes to send, %s to "
		    "receive%s",
		    alike, 2 * send.n, range(send), range(receive),
		    pipe > 0 ? text_format("; a pipe has %s", text_count((int64_t)pipe)) : "");
}

static void judge_maximum(struct run *run)
{
	int64_t space[3][KINDS];
	double send =
		stats_quantile(over_sockets(run, INT_MAX, "granted_sndbuf_bytes", space[0]), 1);
	double receive =
		stats_quantile(over_sockets(run, INT_MAX, "granted_rcvbuf_bytes", space[1]), 1);
	double force =
		stats_quantile(over_sockets(run, INT_MAX, "forced_sndbuf_bytes", space[2]), 1);
	int64_t wmem = machine_sysctl("net/core/wmem_max");
	int64_t rmem = machine_sysctl("net/core/rmem_max"); /* -1: not told in a container */

	run_verdict(run, "buf-max-2147483647", fmax(send, receive) >= INT_MAX - 1 ? HOLDS : REFUTED,
		    (struct field[]){{"asked_bytes", INT_MAX},
				     {"granted_sndbuf_bytes", (int64_t)send},
				     {"granted_rcvbuf_bytes", (int64_t)receive},
				     {"forced_bytes", (int64_t)force},
				     {"wmem_max_bytes", wmem},
				     {"rmem_max_bytes", rmem},
				     {0}},
		    "asked for 2,147,483,647, granted %s to send and %s to receive, without an "
		    "error (wmem_max is %s, rmem_max %s); SO_SNDBUFFORCE %s",
		    text_count((int64_t)send), text_count((int64_t)receive),
		    wmem > 0 ? text_count(wmem) : "not told",
		    rmem > 0 ? text_count(rmem) : "not told",
		    force > 0 ? text_format("(for root only) gets %s", text_count((int64_t)force))
			      : "is not allowed here (for root only)");
}

static void check_controls(struct run *run)
{
	for (size_t v = GROW; v <= FIXED; v++) {
		struct values missing = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		run_control(run, stats_nonzero(missing) == 0 && stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu transfers",
			    variants[v].name, stats_nonzero(missing) + stats_nonzero(misplaced),
			    missing.n);
	}
	if (run_selected(run, FIXED))
		run_control(run,
			    stats_sum(run_values(run, FIXED, "begin_sndbuf_bytes")) ==
					    stats_sum(run_values(run, FIXED, "end_sndbuf_bytes")) &&
				    stats_sum(run_values(run, FIXED, "begin_rcvbuf_bytes")) ==
					    stats_sum(run_values(run, FIXED, "end_rcvbuf_bytes")),
			    "fixed: a size that was asked for changed by itself");
}

static void report(struct run *run)
{
	bool sockets = false;

	for (size_t kind = 0; kind < KINDS; kind++)
		sockets |= kind != NET_PIPE && run_selected(run, kind);
	if (sockets || run_selected(run, NET_PIPE))
		print_granted(run);
	if (run_selected(run, EARLY) || run_selected(run, LATE) || run_selected(run, RAISED))
		print_windows(run);
	if (run_selected(run, GROW) || run_selected(run, FIXED))
		print_growth(run);
	check_controls(run);
	if (sockets) {
		judge_default(run);
		judge_maximum(run);
	}
	run_why(run,
		"the kernel doubles what is asked for, for its own book-keeping, and quietly keeps "
		"it within its limits. TCP's own sizes grow with the transfer, until somebody asks "
		"for one.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	add_limit(machine_sysctl("net/core/wmem_max"));
	add_limit(machine_sysctl("net/core/rmem_max"));
	add_limit(machine_sysctl("fs/pipe-max-size"));
	qsort(sizes, sizes_n, sizeof(sizes[0]), by_size);
	while (run_next(run)) {
		size_t variant = run_variant(run);

		if (variant >= GROW)
			measure_growth(run, variant == FIXED ? FIXED_SIZE : 0);
		else if (variant >= EARLY)
			measure_windows(run, variant);
		else
			for (size_t i = 0; i <= sizes_n; i++)
				ask_size(run, variant, i ? sizes[i - 1] : 0);
	}
	return run_end(run, report);
}
