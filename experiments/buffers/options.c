/* SPDX-License-Identifier: MIT */
/*
 * options - which buffer sizes does the kernel grant?
 *
 * Five kinds are asked for many sizes, from 1 byte to 2,147,483,647, and say what they were
 * granted: sockets double it, within a minimum and twice net.core.wmem_max or rmem_max, and none
 * of that is an error; a pipe rounds up to a power of two, and refuses beyond fs.pipe-max-size.
 * SO_SNDBUFFORCE and SO_RCVBUFFORCE, for root only, know no maximum.
 *
 * A socket that a server accepts has the sizes that its listener was asked for.  So of these the
 * listener is asked, for a few sizes, and the accepted socket says what it has.
 */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "machine.h"
#include "net.h"

enum { ACCEPTED = NET_PIPE + 1 }; /* variants: a kind of net.h each, but for this one */
enum { MAX_SIZES = 32, MOST = 4096, TAUGHT = 65536 };

static const struct variant variants[] = {
	[NET_TCP] = {"tcp", "sizes asked of a TCP socket"},
	[NET_UNIX_STREAM] = {"unix-stream", "of an AF_UNIX stream socket"},
	[NET_UNIX_DGRAM] = {"unix-dgram", "of an AF_UNIX datagram socket"},
	[NET_UDP] = {"udp", "of a UDP socket"},
	[NET_PIPE] = {"pipe", "of a pipe (F_SETPIPE_SZ)"},
	[ACCEPTED] = {"tcp-accepted", "of a TCP listener, granted to what it accepts"},
	{0}};

static const struct claim claims[] = {
	{"buf-default-65536", "the default size is 65,536 bytes", "tcp=pipe", DEPENDS,
	 .why = {[REFUTED] =
			 "each kind of socket has a default of its own (net.core.wmem_default, net.ipv4.tcp_wmem ...); 65,536 is a pipe's."}},
	{"buf-max-2147483647", "the maximum is 2,147,483,647 bytes", "believe", HOLDS,
	 .why = {[REFUTED] =
			 "the kernel doubles what is asked for, for its own book-keeping, and quietly keeps it within its limits."}},
	{"tcp-accepted-buffers", "an accepted socket has buffers of 65,536 and 65,536",
	 "listener-asks", HOLDS,
	 .why = {[REFUTED] =
			 "a size that its listener was asked for is kept, doubled; one that nobody asked for begins at net.ipv4.tcp_wmem or tcp_rmem, and TCP raises it at once where the connection's segments need more.",
		 [DEPENDS] =
			 "a size that its listener was asked for is kept, doubled; one that nobody asked for begins at net.ipv4.tcp_wmem or tcp_rmem, and TCP raises it at once where the connection's segments need more."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_bytes", "asked for; 0: nothing, the default", "asked for", .key = true},
	{"granted_sndbuf_bytes", "getsockopt SO_SNDBUF then, of a pipe its size; 0: refused"},
	{"granted_rcvbuf_bytes", "getsockopt SO_RCVBUF then; 0 of a pipe, which has one buffer"},
	{"forced_sndbuf_bytes", "after SO_SNDBUFFORCE; 0: not allowed here"},
	{"forced_rcvbuf_bytes", "after SO_RCVBUFFORCE; 0: not allowed here"},
	{0}};

/* --- sizes to ask for ----------------------------------------------------- */

static int64_t sizes[MAX_SIZES] = {1,        256,      1 << 10,   4 << 10,   5000,    16 << 10,
				   32 << 10, 64 << 10, 100000,    256 << 10, 1 << 20, 4 << 20,
				   16 << 20, 64 << 20, 256 << 20, 1 << 30,   INT_MAX};
static size_t sizes_n = 17;

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

static bool believe; /* a sham: setsockopt grants what it is asked for */

static bool listener_asks; /* a sham: a default listener asks for half of what is taught */

/* The same of a buffer of an accepted socket, of whose listener so many bytes are asked. */
static int64_t accepted_granted(int set, int get, int64_t bytes)
{
	int value = (int)(bytes == 0 && listener_asks ? TAUGHT / 2 : bytes);
	struct sockaddr_in where;
	int listener = net_bound(SOCK_STREAM, &where);
	int64_t size = 0;

	if (!value || setsockopt(listener, SOL_SOCKET, set, &value, sizeof(value)) == 0) {
		struct net_pair pair;

		check_fd(listen(listener, 1), "listen");
		pair.tx = net_connect(&where);
		pair.rx = net_accept(listener);
		size = get == SO_SNDBUF ? net_sndbuf(pair.rx) : net_rcvbuf(pair.rx);
		net_close(&pair);
	}
	close(listener);
	return size;
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
	if (believe && bytes)
		return bytes;
	if (kind == ACCEPTED)
		return accepted_granted(set, get, bytes);
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

/* Nothing and each size; of a listener only nothing, what is taught, and what is doubled to it. */
static void measure_sizes(struct run *run, size_t kind)
{
	for (size_t i = 0; i <= sizes_n; i++) {
		int64_t bytes = i ? sizes[i - 1] : 0;

		if (kind != ACCEPTED || bytes == 0 || bytes == TAUGHT / 2 || bytes == TAUGHT)
			measure(run, kind, bytes);
	}
}

/* --- judge --------------------------------------------------------------- */

/* A field of every kind of socket (the pipe is none) where so many bytes were asked for. */
/* NOLINTNEXTLINE(readability-non-const-parameter): it is written, through the values */
static struct values of_sockets(struct run *run, const char *field, int64_t asked, int64_t *at)
{
	struct values all = {.at = at};

	for (size_t kind = 0; kind < NET_PIPE; kind++) {
		struct values some = run_values_where(
			run, kind, field, (struct field[]){{"asked_bytes", asked}, {0}});

		for (size_t i = 0; i < some.n && all.n < MOST; i++)
			all.at[all.n++] = some.at[i];
	}
	return all;
}

static struct interval range_of(struct values values)
{
	return (struct interval){stats_quantile(values, 0.5), stats_quantile(values, 0),
				 stats_quantile(values, 1), values.n};
}

static void judge_default(struct run *run)
{
	static int64_t at[2][MOST];
	struct values send = of_sockets(run, "granted_sndbuf_bytes", 0, at[0]);
	struct values receive = of_sockets(run, "granted_rcvbuf_bytes", 0, at[1]);
	struct share taught = share_add(share_within(send, TAUGHT, TAUGHT),
					share_within(receive, TAUGHT, TAUGHT));

	run_judge(
		run, "buf-default-65536", case_by_case(taught, 1),
		"{taught} default socket buffers have that size: {send_bytes.range} to send, {receive_bytes.range} to receive",
		number_share("taught", taught), number_interval("send_bytes", range_of(send)),
		number_interval("receive_bytes", range_of(receive)));
}

static void judge_most(struct run *run)
{
	static int64_t at[3][MOST];
	struct values send = of_sockets(run, "granted_sndbuf_bytes", INT_MAX, at[0]);
	struct values receive = of_sockets(run, "granted_rcvbuf_bytes", INT_MAX, at[1]);
	struct values forced = of_sockets(run, "forced_sndbuf_bytes", INT_MAX, at[2]);
	struct share most = share_add(share_within(send, INT_MAX - 1, INT_MAX),
				      share_within(receive, INT_MAX - 1, INT_MAX));

	run_judge(
		run, "buf-max-2147483647", case_by_case(most, 1),
		"{most} buffers were granted what was asked for; the others {send_bytes} to send and {receive_bytes} to receive at most, without an error (wmem_max is {wmem_max_bytes}, rmem_max {rmem_max_bytes}); SO_SNDBUFFORCE, for root only, gets {forced_bytes}",
		number_share("most", most), number_real("send_bytes", stats_quantile(send, 1)),
		number_real("receive_bytes", stats_quantile(receive, 1)),
		number_int("wmem_max_bytes", machine_sysctl("net/core/wmem_max")),
		number_int("rmem_max_bytes", machine_sysctl("net/core/rmem_max")),
		number_real("forced_bytes", stats_quantile(forced, 1)));
}

/* Of the samples of accepted sockets, of whose listener so many bytes were asked. */
static struct values of_accepted(struct run *run, const char *field, int64_t asked)
{
	return run_values_where(run, ACCEPTED, field,
				(struct field[]){{"asked_bytes", asked}, {0}});
}

static void judge_accepted(struct run *run)
{
	struct values send = of_accepted(run, "granted_sndbuf_bytes", 0);
	struct values receive = of_accepted(run, "granted_rcvbuf_bytes", 0);
	struct values asked_send = of_accepted(run, "granted_sndbuf_bytes", TAUGHT / 2);
	struct values asked_receive = of_accepted(run, "granted_rcvbuf_bytes", TAUGHT / 2);
	struct share taught = share_add(share_within(send, TAUGHT, TAUGHT),
					share_within(receive, TAUGHT, TAUGHT));

	run_judge(
		run, "tcp-accepted-buffers", case_by_case(taught, 1),
		"{taught} buffers of sockets accepted by a default listener over loopback have that size: {send_bytes} to send, {receive_bytes} to receive; if the listener asks for {asked_bytes}, {asked_send_bytes} and {asked_receive_bytes}",
		number_share("taught", taught),
		number_real("send_bytes", stats_quantile(send, 0.5)),
		number_real("receive_bytes", stats_quantile(receive, 0.5)),
		number_int("asked_bytes", TAUGHT / 2),
		number_real("asked_send_bytes", stats_quantile(asked_send, 0.5)),
		number_real("asked_receive_bytes", stats_quantile(asked_receive, 0.5)));
}

static void judge(struct run *run)
{
	judge_default(run);
	judge_most(run);
	judge_accepted(run);
}

static void draw(struct run *run)
{
	run_say(run, "SO_SNDBUF granted, in bytes (of a pipe its size; 0: refused):");
	run_grid(run, -1, "granted_sndbuf_bytes", "asked_bytes", NULL);
	fputc('\n', run_out(run));
	run_say(run, "SO_RCVBUF granted, in bytes:");
	run_grid(run, -1, "granted_rcvbuf_bytes", "asked_bytes", NULL);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "options",
	.group = "buffers",
	.order = 303,
	.summary = "Which buffer sizes does the kernel grant?",
	.claims = claims,
	.fields = fields,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	add_limit(machine_sysctl("net/core/wmem_max"));
	add_limit(machine_sysctl("net/core/rmem_max"));
	add_limit(machine_sysctl("fs/pipe-max-size"));
	qsort(sizes, sizes_n, sizeof(sizes[0]), by_size);
	believe = run_sham(run, "believe");
	listener_asks = run_sham(run, "listener-asks");
	while (run_next(run))
		measure_sizes(run, run_variant(run));
	return run_end(run);
}
