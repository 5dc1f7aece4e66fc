/* SPDX-License-Identifier: MIT */
/*
 * options - which buffer sizes does the kernel grant?
 *
 * Five kinds are asked for many sizes, from 1 byte to 2,147,483,647, and say what they were
 * granted: sockets double it, within a minimum and twice net.core.wmem_max or rmem_max, and none
 * of that is an error; a pipe rounds up to a power of two, and refuses beyond fs.pipe-max-size.
 * SO_SNDBUFFORCE and SO_RCVBUFFORCE, for root only, know no maximum.
 */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "machine.h"
#include "net.h"
#include "text.h"

enum { KINDS = 5, MAX_SIZES = 32 };

static const struct variant variants[] = {
	[NET_TCP] = {"tcp", "sizes asked of a TCP socket"},
	[NET_UNIX_STREAM] = {"unix-stream", "of an AF_UNIX stream socket"},
	[NET_UNIX_DGRAM] = {"unix-dgram", "of an AF_UNIX datagram socket"},
	[NET_UDP] = {"udp", "of a UDP socket"},
	[NET_PIPE] = {"pipe", "of a pipe (F_SETPIPE_SZ)"},
	{0}};

static const struct claim claims[] = {{"buf-default-65536", "the default size is 65,536 bytes"},
				      {"buf-max-2147483647", "the maximum is 2,147,483,647 bytes"},
				      {0}};

static const struct experiment about = {
	.name = "options",
	.group = "buffers",
	.summary = "Which buffer sizes does the kernel grant?",
	.claims = claims,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* --- sizes to ask for ----------------------------------------------------- */

static int64_t sizes[MAX_SIZES] = {1,        256,       1 << 10,   4 << 10, 5000,    16 << 10,
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

/* A pipe's size after asking for so many bytes (0: not asking); 0 if refused. */
static int64_t pipe_granted(int64_t bytes)
{
	struct net_pair pipe = net_pair(NET_PIPE, (struct net_ask){0});
	int64_t size = bytes ? fcntl(pipe.tx, F_SETPIPE_SZ, (int)bytes) : net_sndbuf(pipe.tx);

	net_close(&pipe);
	return size > 0 ? size : 0;
}

/* The same of a buffer of a fresh socket; of a pipe, which has one, SO_SNDBUF is its size. */
static int64_t granted(size_t kind, int set, int get, int64_t bytes)
{
	static const struct {
		int domain, type;
	} sockets[] = {[NET_TCP] = {AF_INET, SOCK_STREAM},
		       [NET_UNIX_STREAM] = {AF_UNIX, SOCK_STREAM},
		       [NET_UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM},
		       [NET_UDP] = {AF_INET, SOCK_DGRAM}};
	int value = (int)bytes;
	int64_t size = 0;
	int fd;

	if (kind == NET_PIPE)
		return set == SO_SNDBUF ? pipe_granted(bytes) : 0;
	fd = check_fd(socket(sockets[kind].domain, sockets[kind].type | SOCK_CLOEXEC, 0), "socket");
	if (!bytes || setsockopt(fd, SOL_SOCKET, set, &value, sizeof(value)) == 0)
		size = get == SO_SNDBUF ? net_sndbuf(fd) : net_rcvbuf(fd);
	close(fd);
	return size;
}

static void measure(struct run *run, size_t kind, int64_t bytes)
{
	run_record(run,
		   (struct field[]){
			   {"asked_bytes", bytes},
			   {"granted_sndbuf_bytes", granted(kind, SO_SNDBUF, SO_SNDBUF, bytes)},
			   {"granted_rcvbuf_bytes", granted(kind, SO_RCVBUF, SO_RCVBUF, bytes)},
			   {"forced_sndbuf_bytes", granted(kind, SO_SNDBUFFORCE, SO_SNDBUF, bytes)},
			   {"forced_rcvbuf_bytes", granted(kind, SO_RCVBUFFORCE, SO_RCVBUF, bytes)},
			   {0}});
}

/* --- report -------------------------------------------------------------------- */

/* The median of a kind's field where so many bytes were asked for; NAN for none. */
static double at_size(struct run *run, size_t kind, int64_t asked, const char *field)
{
	return stats_quantile(
		run_values_where(run, kind, field, (struct field[]){{"asked_bytes", asked}, {0}}),
		0.5);
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
	old_verdict(run, "buf-default-65536",
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

	old_verdict(run, "buf-max-2147483647", fmax(send, receive) >= INT_MAX - 1 ? HOLDS : REFUTED,
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

static void report(struct run *run)
{
	bool sockets = false;

	for (size_t kind = 0; kind < KINDS; kind++)
		sockets |= kind != NET_PIPE && run_selected(run, kind);
	print_granted(run);
	if (sockets) {
		judge_default(run);
		judge_maximum(run);
	}
	old_why(run,
		"the kernel doubles what is asked for, for its own book-keeping, and quietly keeps "
		"it within its limits.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	add_limit(machine_sysctl("net/core/wmem_max"));
	add_limit(machine_sysctl("net/core/rmem_max"));
	add_limit(machine_sysctl("fs/pipe-max-size"));
	qsort(sizes, sizes_n, sizeof(sizes[0]), by_size);
	while (run_next(run))
		for (size_t i = 0; i <= sizes_n; i++)
			measure(run, run_variant(run), i ? sizes[i - 1] : 0);
	return old_end(run, report);
}
