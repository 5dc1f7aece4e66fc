/* SPDX-License-Identifier: MIT */
/*
 * fill - how many bytes fit between a sender that never waits and a receiver that never reads?
 *
 * A non-blocking sender writes until the kernel says EAGAIN, waits until nothing more fits, and
 * only then is everything read and compared, byte for byte, with what was written.  The first
 * EAGAIN is not yet full: TCP moves bytes on to the receiver, and its default buffer grows
 * meanwhile.
 *
 * Each kind of socket, and the pipe, is filled with buffers of the default size and of three
 * sizes asked for. UDP has no EAGAIN on loopback: it takes every datagram and drops what does not
 * fit, so there the first drop is what is counted.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "text.h"

enum { MIB = 1 << 20, NAME = 24, KINDS = 5, SIZES = 4, CELLS = KINDS * SIZES };

/*
 * What is filled; whether it keeps messages apart, and whose buffers what it holds is charged to.
 */
static const struct kind {
	const char *name;
	enum net_kind net;
	bool datagrams, charges_sender, charges_receiver;
} kinds[KINDS] = {{"tcp", NET_TCP, false, true, true},
		  {"unix-stream", NET_UNIX_STREAM, false, true, false},
		  {"unix-dgram", NET_UNIX_DGRAM, true, true, false},
		  {"udp", NET_UDP, true, false, true},
		  {"pipe", NET_PIPE, false, true, false}};

static const struct size {
	const char *name;
	int64_t bytes;
} sizes[SIZES] = {{"default", 0}, {"4K", 4 << 10}, {"64K", 64 << 10}, {"1M", MIB}};

/* Variant i is kinds[i / SIZES] with sizes[i % SIZES]; main() fills the names in. */
static char names[CELLS][NAME];
static struct variant variants[CELLS + 1];

static const struct claim claims[] = {
	{"buf-fifo", "a socket buffer is a first-in first-out queue of bytes"},
	{"buf-default-65536", "the default size is 65,536 bytes"},
	{"buf-max-2147483647", "the maximum is 2,147,483,647 bytes"},
	{"buf-size-is-capacity", "a buffer of n bytes holds n bytes"},
	{0}};

static int64_t write_size = 16 << 10;
static int64_t datagram = 1 << 10;
static int64_t settle_ms = 400;
static const char *congestion;

static const struct opt opts[] = {
	{'w', "write", "size of one write to a stream", .num = &write_size, .min = 1, .max = MIB,
	 .unit = OPT_BYTES},
	{'d', "datagram", "size of one datagram", .num = &datagram, .min = 8, .max = 65507,
	 .unit = OPT_BYTES},
	{'s', "settle", "TCP is full when nothing fitted for so long", .num = &settle_ms, .min = 50,
	 .quick = 200, .max = 10000, .unit = OPT_MS},
	{0, "congestion", "congestion control of TCP, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "fill",
	.group = "buffers",
	.summary = "How many bytes fit into the buffers of a connection nobody reads from?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* --- one filling --------------------------------------------------------- */

struct filling {
	const struct kind *kind;
	struct net_pair fd;
	uint8_t *buffer;
	int64_t accepted, first_full; /* bytes */
	int64_t drained, misplaced;
	int64_t inq, outq;
};

/* Writes the next bytes of the pattern; a datagram begins with its number.  False for EAGAIN. */
static bool write_next(struct filling *f)
{
	int64_t length = f->kind->datagrams ? datagram : write_size;
	uint64_t number = (uint64_t)(f->accepted / length);
	ssize_t n;

	pattern_fill(f->buffer, (size_t)length, (uint64_t)f->accepted);
	if (f->kind->datagrams)
		memcpy(f->buffer, &number, sizeof(number));
	n = write(f->fd.tx, f->buffer, (size_t)length);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
		err(EXIT_USAGE, "%s: write", f->kind->name);
	if (n > 0)
		f->accepted += n;
	return n > 0;
}

static int64_t dropped(const struct filling *f)
{
	return f->kind->net == NET_UDP ? net_memory(f->fd.rx).drops * datagram : 0;
}

/* Writes until nothing more fits for the moment, or the receiver drops; true if anything fitted. */
static bool write_until_full(struct filling *f)
{
	int64_t before = f->accepted;

	while (!run_stopped() && dropped(f) == 0 && write_next(f))
		;
	return f->accepted > before;
}

/* Fills until nothing has fitted for settle_ms and TCP's two queues account for every byte. */
static void fill(struct filling *f)
{
	int64_t changed_ns = span_now();
	int64_t patience_ns = f->kind->net == NET_TCP ? settle_ms * 1000000 : 0;

	write_until_full(f);
	f->first_full = f->accepted - dropped(f);
	while (span_now() < changed_ns + patience_ns && run_sleep_until(span_now() + 5000000))
		if (write_until_full(f))
			changed_ns = span_now();
	for (int tries = 0; tries < 200; tries++) {
		f->inq = f->kind->datagrams ? 0 : net_inq(f->fd.rx);
		f->outq = f->kind->net == NET_TCP ? net_outq(f->fd.tx) : 0;
		/* what arrived counts in both queues until its acknowledgement has come back */
		if (f->kind->net != NET_TCP || f->inq + f->outq == f->accepted ||
		    !run_sleep_until(span_now() + 5000000))
			break;
	}
}

/* One read of a stream: at most the rest, compared with its place.  False at the end. */
static bool drain_stream(struct filling *f)
{
	ssize_t n = read(f->fd.rx, f->buffer, MIB);

	if (n < 0)
		err(EXIT_USAGE, "%s: read", f->kind->name);
	f->misplaced += (int64_t)pattern_misplaced(f->buffer, (size_t)n, (uint64_t)f->drained);
	f->drained += n;
	return n > 0;
}

/* One datagram: a whole one, a later one than the last, with the bytes of its number.  False when
 * empty. */
static bool drain_datagram(struct filling *f, int64_t *last)
{
	int64_t number = -1;
	ssize_t n = recv(f->fd.rx, f->buffer, MIB, MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(EXIT_USAGE, "%s: recv", f->kind->name);
	if (n < 0)
		return false;
	memcpy(&number, f->buffer, sizeof(number));
	if (n != datagram || number <= *last)
		f->misplaced += n;
	else
		f->misplaced += (int64_t)pattern_misplaced(
			f->buffer + sizeof(number), (size_t)n - sizeof(number),
			(uint64_t)(number * datagram) + sizeof(number));
	*last = number;
	f->drained += n;
	return true;
}

static void drain(struct filling *f)
{
	int64_t last = -1;

	if (f->kind->datagrams) {
		while (drain_datagram(f, &last))
			;
		return;
	}
	if (f->kind->net == NET_PIPE) {
		close(f->fd.tx);
		f->fd.tx = -1;
	} else {
		shutdown(f->fd.tx, SHUT_WR);
	}
	while (drain_stream(f))
		;
}

/* --- what the kernel grants ---------------------------------------------- */

/*
 * The size of a fresh, unconnected socket's buffer after asking for `bytes` (0: not asking); 0 if that
 * is not allowed.  Of a pipe only the default is asked, as a send buffer.
 */
static int64_t granted(enum net_kind kind, int set, int get, int bytes)
{
	static const struct {
		int domain, type;
	} sockets[] = {[NET_TCP] = {AF_INET, SOCK_STREAM},
		       [NET_UNIX_STREAM] = {AF_UNIX, SOCK_STREAM},
		       [NET_UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM},
		       [NET_UDP] = {AF_INET, SOCK_DGRAM}};
	int64_t size = 0;
	int fd;

	if (kind == NET_PIPE) {
		struct net_pair pipe = net_pair(NET_PIPE, (struct net_ask){0});

		size = bytes || get != SO_SNDBUF ? 0 : net_sndbuf(pipe.tx);
		net_close(&pipe);
		return size;
	}
	fd = check_fd(socket(sockets[kind].domain, sockets[kind].type, 0), "socket");
	if (!bytes || setsockopt(fd, SOL_SOCKET, set, &bytes, sizeof(bytes)) == 0)
		size = get == SO_SNDBUF ? net_sndbuf(fd) : net_rcvbuf(fd);
	close(fd);
	return size;
}

/* --- one trial ----------------------------------------------------------- */

static void measure(struct run *run, const struct kind *kind, const struct size *size)
{
	struct filling f = {
		.kind = kind,
		.fd = net_pair(kind->net, (struct net_ask){size->bytes, size->bytes, congestion}),
		.buffer = malloc(MIB)};
	int64_t sndbuf = net_sndbuf(f.fd.tx);
	int64_t rcvbuf = net_rcvbuf(f.fd.rx);
	int64_t begin_ns = span_now();
	int64_t grown;
	int64_t drops;

	if (!f.buffer)
		err(EXIT_USAGE, "malloc");
	check_fd(fcntl(f.fd.tx, F_SETFL, O_NONBLOCK), "fcntl");
	fill(&f);
	grown = net_sndbuf(f.fd.tx);
	drops = dropped(&f);
	if (!run_stopped())
		drain(&f);
	run_record(run,
		   (struct field[]){
			   {"kind", .text = kind->name},
			   {"asked_bytes", size->bytes},
			   {"granted_sndbuf_bytes", sndbuf},
			   {"granted_rcvbuf_bytes", rcvbuf},
			   {"grown_sndbuf_bytes", grown},
			   {"capacity_bytes", (kind->charges_sender ? sndbuf : 0) +
						      (kind->charges_receiver ? rcvbuf : 0)},
			   {"write_bytes", kind->datagrams ? datagram : write_size},
			   {"first_full_bytes", f.first_full},
			   {"settled_bytes", f.accepted},
			   {"inq_bytes", f.inq},
			   {"outq_bytes", f.outq},
			   {"drained_bytes", f.drained},
			   {"dropped_bytes", drops},
			   {"missing_bytes", f.accepted - f.drained - drops},
			   {"misplaced_bytes", f.misplaced},
			   {"default_sndbuf_bytes", granted(kind->net, SO_SNDBUF, SO_SNDBUF, 0)},
			   {"default_rcvbuf_bytes", granted(kind->net, SO_RCVBUF, SO_RCVBUF, 0)},
			   {"max_sndbuf_bytes", granted(kind->net, SO_SNDBUF, SO_SNDBUF, INT_MAX)},
			   {"max_rcvbuf_bytes", granted(kind->net, SO_RCVBUF, SO_RCVBUF, INT_MAX)},
			   {"forced_sndbuf_bytes",
			    granted(kind->net, SO_SNDBUFFORCE, SO_SNDBUF, INT_MAX)},
			   {"elapsed_ns", span_now() - begin_ns},
			   {0}});
	net_close(&f.fd);
	free(f.buffer);
}

/* --- report -------------------------------------------------------------- */

/* Bytes held for each byte that getsockopt promised. */
static double held_share(struct run *run, size_t cell)
{
	return run_median(run, cell, "drained_bytes") / run_median(run, cell, "capacity_bytes");
}

static void print_cell(struct run *run, size_t cell)
{
	const struct kind *kind = &kinds[cell / SIZES];
	const char *sndbuf = text_count((int64_t)run_median(run, cell, "granted_sndbuf_bytes"));
	const char *rcvbuf = text_count((int64_t)run_median(run, cell, "granted_rcvbuf_bytes"));

	fprintf(run_out(run), "  %-11s %7s %9s %9s %12s %11s %10.2f\n", kind->name,
		sizes[cell % SIZES].name, kind->charges_sender ? sndbuf : "",
		kind->charges_receiver ? rcvbuf : "",
		text_count((int64_t)run_median(run, cell, "first_full_bytes")),
		text_count((int64_t)run_median(run, cell, "drained_bytes")), held_share(run, cell));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"The sender writes %s (datagrams: %s) until EAGAIN; nobody reads. All in bytes.",
		text_bytes(write_size), text_bytes(datagram));
	fputs("\n", out);
	fprintf(out, "  %-11s %7s %9s %9s %12s %11s %10s\n", "", "", "granted", "granted",
		"at first", "held once", "held /");
	fprintf(out, "  %-11s %7s %9s %9s %12s %11s %10s\n", "kind", "asked", "SO_SNDBUF",
		"SO_RCVBUF", "EAGAIN, drop", "settled", "granted");
	for (size_t cell = 0; cell < CELLS; cell++)
		if (run_selected(run, cell))
			print_cell(run, cell);
	fputs("\n", out);
}

static void judge_order(struct run *run)
{
	size_t trials = 0, missing = 0, misplaced = 0;
	double bytes = 0;

	for (size_t cell = 0; cell < CELLS; cell++) {
		struct values drained = run_values(run, cell, "drained_bytes");

		trials += drained.n;
		bytes += stats_sum(drained);
		missing += stats_nonzero(run_values(run, cell, "missing_bytes"));
		misplaced += stats_nonzero(run_values(run, cell, "misplaced_bytes"));
	}
	run_control(run, missing == 0, "bytes were lost or doubled in %zu of %zu trials", missing,
		    trials);
	run_verdict(run, "buf-fifo", misplaced ? REFUTED : HOLDS,
		    (struct field[]){{"compared_bytes", (int64_t)bytes},
				     {"trials", (int64_t)trials},
				     {"misplaced_trials", (int64_t)misplaced},
				     {0}},
		    "compared %s bytes of %zu trials with what was written: out of order in %zu of "
		    "them; "
		    "written = read + dropped in %zu",
		    text_count((int64_t)bytes), trials, misplaced, trials - missing);
}

/* A field's value for each kind of socket that was filled; the pipe is none. */
static struct values over_sockets(struct run *run, const char *field, int64_t at[KINDS])
{
	struct values found = {at, 0};

	for (size_t kind = 0; kind < KINDS; kind++)
		for (size_t cell = kind * SIZES; cell < (kind + 1) * SIZES; cell++) {
			struct values values = run_values(run, cell, field);

			if (values.n && kinds[kind].net != NET_PIPE) {
				at[found.n++] = values.at[0];
				break;
			}
		}
	return found;
}

/* "16,384 to 212,992" */
static const char *range(struct values values)
{
	return text_format("%s to %s", text_count((int64_t)stats_quantile(values, 0)),
			   text_count((int64_t)stats_quantile(values, 1)));
}

static void judge_default(struct run *run)
{
	int64_t space[2][KINDS];
	struct values send = over_sockets(run, "default_sndbuf_bytes", space[0]);
	struct values receive = over_sockets(run, "default_rcvbuf_bytes", space[1]);
	struct values pipe = run_values(run, CELLS - SIZES, "default_sndbuf_bytes");
	size_t alike = 0;

	for (size_t i = 0; i < send.n; i++)
		alike += (send.at[i] == 65536) + (receive.at[i] == 65536);
	if (send.n > 0)
		run_verdict(run, "buf-default-65536",
			    alike == 2 * send.n ? HOLDS
			    : alike             ? DEPENDS
						: REFUTED,
			    (struct field[]){{"buffers_of_65536", (int64_t)alike},
					     {"buffers", (int64_t)(2 * send.n)},
					     {"pipe_bytes", pipe.n ? pipe.at[0] : 0},
					     {0}},
			    "%zu of %zu default socket buffers have that size: %s bytes to send, "
			    "%s to receive%s",
			    alike, 2 * send.n, range(send), range(receive),
			    pipe.n ? text_format("; a pipe has %s", text_count(pipe.at[0])) : "");
}

static void judge_maximum(struct run *run)
{
	int64_t space[3][KINDS];
	double send = stats_quantile(over_sockets(run, "max_sndbuf_bytes", space[0]), 1);
	double receive = stats_quantile(over_sockets(run, "max_rcvbuf_bytes", space[1]), 1);
	struct values forced = over_sockets(run, "forced_sndbuf_bytes", space[2]);
	double most = fmax(send, receive);
	double force = stats_quantile(forced, 1);

	if (forced.n > 0)
		run_verdict(run, "buf-max-2147483647", most >= INT_MAX - 1 ? HOLDS : REFUTED,
			    (struct field[]){{"asked_bytes", INT_MAX},
					     {"granted_bytes", (int64_t)most},
					     {"forced_bytes", (int64_t)force},
					     {0}},
			    "asked for 2,147,483,647, granted %s; SO_SNDBUFFORCE %s",
			    text_count((int64_t)most),
			    force > 0 ? text_format("(for root only) gets %s",
						    text_count((int64_t)force))
				      : "is not allowed here (for root only)");
}

/*
 * Bytes held over bytes of another field, the least and the most over the cells where it is not
 * 0.
 */
static struct interval held_range(struct run *run, const char *field)
{
	struct interval range = {NAN, INFINITY, 0};

	for (size_t cell = 0; cell < CELLS; cell++) {
		double share =
			run_median(run, cell, "drained_bytes") / run_median(run, cell, field);

		if (isfinite(share)) {
			range.low = fmin(range.low, share);
			range.high = fmax(range.high, share);
		}
	}
	return range;
}

static void judge_capacity(struct run *run)
{
	struct interval granted_range = held_range(run, "capacity_bytes");
	struct interval asked_range = held_range(run, "asked_bytes");
	size_t exact = 0, cells = 0;

	for (size_t cell = 0; cell < CELLS; cell++) {
		cells += run_selected(run, cell);
		exact += run_selected(run, cell) && held_share(run, cell) == 1;
	}
	run_verdict(run, "buf-size-is-capacity",
		    exact == cells ? HOLDS
		    : exact        ? DEPENDS
				   : REFUTED,
		    (struct field[]){{"least_of_granted", .real = &granted_range.low},
				     {"most_of_granted", .real = &granted_range.high},
				     {"least_of_asked", .real = &asked_range.low},
				     {"most_of_asked", .real = &asked_range.high},
				     {"exact_cells", (int64_t)exact},
				     {"cells", (int64_t)cells},
				     {0}},
		    "held: %.2f to %.2f times what was granted, exactly that in %zu of %zu cases%s",
		    granted_range.low, granted_range.high, exact, cells,
		    asked_range.high > 0 ? text_format("; %.2f to %.2f times what was asked for",
						       asked_range.low, asked_range.high)
					 : "");
}

static void report(struct run *run)
{
	print_table(run);
	judge_order(run);
	judge_default(run);
	judge_maximum(run);
	judge_capacity(run);
	run_why(run,
		"the kernel doubles what is asked for and charges its own book-keeping to it, so "
		"the bytes that fit depend on how they were written; TCP's lie in two buffers.");
}

int main(int argc, char *argv[])
{
	struct run *run;

	for (size_t cell = 0; cell < CELLS; cell++) {
		snprintf(names[cell], NAME, "%s-%s", kinds[cell / SIZES].name,
			 sizes[cell % SIZES].name);
		variants[cell].name = names[cell];
		variants[cell].help =
			kinds[cell / SIZES].datagrams ? "datagrams" : "a stream of bytes";
	}
	run = run_begin(&about, argc, argv);
	while (run_next(run))
		measure(run, &kinds[run_variant(run) / SIZES], &sizes[run_variant(run) % SIZES]);
	return run_end(run, report);
}
