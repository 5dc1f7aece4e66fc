/* SPDX-License-Identifier: MIT */
/*
 * atlas - what do buffers of every size hold, and can it be told beforehand?
 *
 * Pairs are made with every combination of sizes asked for as SO_SNDBUF and SO_RCVBUF, and filled
 * by writes of several sizes until nothing more fits.  The kernel counts memory, not bytes: each
 * message is charged with its book-keeping, which differs between kinds of socket and between
 * kernels.  So nothing of a kernel is written down here.  A few other pairs tell first, on this
 * machine:
 *
 *	UDP, AF_UNIX   what one message is charged with, and whether the one that crosses the
 *	               limit is still taken;
 *	bound          of a bound AF_UNIX socket, how many messages may queue up besides;
 *	pipe           what share of its size such writes use.
 *
 * What each cell of the grid will hold is computed from that and from the sizes granted, and
 * compared with what it then held.  TCP, which has no messages, is atlas_tcp's.
 */
#include <err.h>
#include <math.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "filling.h"
#include "net.h"
#include "text.h"

enum { UDP, UNIX_STREAM, UNIX_DGRAM, UNIX_BOUND, PIPE, VARIANTS };
enum { SIZES = 12, WRITES = 3 };

static const struct variant variants[] = {
	[UDP] = {"udp", "UDP on loopback"},
	[UNIX_STREAM] = {"unix-stream", "an AF_UNIX stream"},
	[UNIX_DGRAM] = {"unix-dgram", "a pair of AF_UNIX datagram sockets"},
	[UNIX_BOUND] = {"unix-bound", "AF_UNIX datagrams to a bound socket"},
	[PIPE] = {"pipe", "a pipe, which has one buffer"},
	{0}};

static const enum net_kind kinds[VARIANTS] = {[UDP] = NET_UDP,
					      [UNIX_STREAM] = NET_UNIX_STREAM,
					      [UNIX_DGRAM] = NET_UNIX_DGRAM,
					      [UNIX_BOUND] = NET_UNIX_DGRAM,
					      [PIPE] = NET_PIPE};

static const int64_t writes[WRITES] = {64, 300, 1024}; /* bytes of a message */

static const struct claim claims[] = {{"buf-size-is-capacity", "a buffer of n bytes holds n bytes"},
				      {0}};

static int64_t sizes = 6;
static int64_t least = 4 << 10;
static int64_t most = 1 << 20;

static const struct opt opts[] = {{'n', "sizes", "how many sizes of each buffer", .num = &sizes,
				   .min = 2, .max = SIZES, .quick = 3},
				  {0, "least", "the smallest size asked for", .num = &least,
				   .min = 1024, .max = 64 << 10, .unit = OPT_BYTES},
				  {0, "most", "the largest size asked for", .num = &most,
				   .min = 128 << 10, .max = 4 << 20, .unit = OPT_BYTES},
				  {0}};

static const struct experiment about = {
	.name = "atlas",
	.group = "buffers",
	.summary = "What do buffers of every size hold, and can it be told beforehand?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

/* --- pairs ----------------------------------------------------------------- */

/* AF_UNIX datagrams to a socket that has a name, made up by the kernel: no file. */
static struct net_pair bound_pair(struct net_ask ask)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(name);
	struct net_pair pair = {
		.tx = check_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"),
		.rx = check_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};

	check_fd(bind(pair.rx, (struct sockaddr *)&name, sizeof(name.sun_family)), "bind");
	check_fd(getsockname(pair.rx, (struct sockaddr *)&name, &size), "getsockname");
	check_fd(connect(pair.tx, (struct sockaddr *)&name, size), "connect");
	if (ask.sndbuf)
		net_set(pair.tx, SOL_SOCKET, SO_SNDBUF, (int)ask.sndbuf);
	if (ask.rcvbuf)
		net_set(pair.rx, SOL_SOCKET, SO_RCVBUF, (int)ask.rcvbuf);
	return pair;
}

static void begin(struct filling *f, size_t variant, int64_t sndbuf, int64_t rcvbuf, int64_t write)
{
	struct net_ask ask = {sndbuf, rcvbuf, NULL};

	filling_begin(f, kinds[variant],
		      variant == UNIX_BOUND ? bound_pair(ask) : net_pair(kinds[variant], ask),
		      write);
}

/* --- calibration and prediction ---------------------------------------------- */

/* What a few pairs told of writes of one size. */
static struct scale {
	int64_t charge;    /* of one message, in bytes */
	int64_t beyond[2]; /* how many are taken beyond floor(size / charge): [it divides] */
	int64_t queue;     /* how many may wait, however small */
	double share;      /* of a pipe's size that is used */
} scales[VARIANTS][WRITES];

/* How many writes a pair takes that asks for these sizes; *granted is what is charged. */
static int64_t count(size_t variant, int64_t size, int64_t write, int64_t *granted)
{
	struct filling f;
	int64_t n;

	begin(&f, variant, size, size, write);
	filling_fill(&f, 1, 0);
	*granted = filling_capacity(&f);
	n = f.first_full / write;
	filling_end(&f);
	return n;
}

static int64_t charge_of(size_t variant, int64_t write)
{
	char message[1024] = {0};
	struct filling f;
	int64_t charge;

	begin(&f, variant, 0, 0, write);
	check_fd((int)send(f.fd.tx, message, (size_t)write, 0), "send");
	charge = variant == UDP ? net_memory(f.fd.rx).receive : net_memory(f.fd.tx).send;
	filling_end(&f);
	if (charge <= 0)
		errx(EXIT_USAGE, "SO_MEMINFO tells no charge of a message here");
	return charge;
}

static struct scale calibrate_messages(size_t variant, int64_t write)
{
	/* a bound socket's queue may be shorter than what tells the rule */
	size_t rule = variant == UNIX_BOUND ? UNIX_DGRAM : variant;
	struct scale scale = {.charge = charge_of(variant, write), .queue = INT64_MAX};
	int64_t granted = 0;
	int64_t n;

	/* 10 messages and 10.5, as twice what is asked for is granted */
	for (int64_t half = 20; half <= 21; half++) {
		n = count(rule, scale.charge * half / 4, write, &granted);
		scale.beyond[granted % scale.charge == 0] = n - granted / scale.charge;
	}
	if (variant == UNIX_BOUND) {
		n = count(variant, most, write, &granted);
		if (n < granted / scale.charge)
			scale.queue = n;
	}
	return scale;
}

static struct scale calibrate(size_t variant, int64_t write)
{
	int64_t granted = 1;

	if (variant != PIPE)
		return calibrate_messages(variant, write);
	return (struct scale){.share = (double)(count(PIPE, 0, write, &granted) * write) /
				       (double)granted};
}

/* How many bytes a pair will hold, told before it is filled. */
static int64_t predict(size_t variant, const struct scale *scale, const struct filling *f)
{
	int64_t size = filling_capacity(f);
	int64_t n;

	if (variant == PIPE)
		return (int64_t)(scale->share * (double)size);
	n = size / scale->charge + scale->beyond[size % scale->charge == 0];
	if (n < 1)
		n = 1; /* the first one is always taken */
	return (n < scale->queue ? n : scale->queue) * f->write;
}

/* --- one trial: all cells of a grid ------------------------------------------- */

static void measure_cell(struct run *run, size_t write, int64_t sndbuf, int64_t rcvbuf)
{
	size_t variant = run_variant(run);
	struct filling f;
	int64_t predicted;

	begin(&f, variant, sndbuf, rcvbuf, writes[write]);
	predicted = predict(variant, &scales[variant][write], &f);
	filling_fill(&f, 1, 0);
	filling_drain(&f, 1);
	run_record(run, (struct field[]){{"asked_sndbuf_bytes", sndbuf},
					 {"asked_rcvbuf_bytes", rcvbuf},
					 {"write_bytes", f.write},
					 {"granted_sndbuf_bytes", f.sndbuf},
					 {"granted_rcvbuf_bytes", f.rcvbuf},
					 {"capacity_bytes", filling_capacity(&f)},
					 {"predicted_bytes", predicted},
					 {"first_full_bytes", f.first_full},
					 {"held_bytes", f.accepted - f.dropped},
					 {"outq_bytes", f.outq},
					 {"inq_bytes", f.inq},
					 {"wmem_bytes", f.tx.send},
					 {"rmem_bytes", f.rx.receive},
					 {"missing_bytes", filling_missing(&f)},
					 {"misplaced_bytes", f.misplaced},
					 {0}});
	filling_end(&f);
}

static void measure(struct run *run)
{
	bool pipe = run_variant(run) == PIPE; /* has one buffer */

	for (size_t w = 0; w < WRITES; w++)
		for (int64_t i = 0; i < sizes; i++)
			for (int64_t j = 0; j < (pipe ? 1 : sizes) && !run_stopped(); j++)
				measure_cell(run, w, size_of(i), pipe ? 0 : size_of(j));
}

/* --- report ------------------------------------------------------------------ */

/* The fillings that held just as many bytes as this field says. */
static size_t held_just(struct run *run, size_t variant, const char *field)
{
	struct values held = run_values(run, variant, "held_bytes");
	struct values bytes = run_values(run, variant, field);
	size_t n = 0;

	for (size_t i = 0; i < held.n; i++)
		n += held.at[i] == bytes.at[i];
	return n;
}

/* The median error of a field that says what is held, as a share of that. */
static double error_of(struct run *run, size_t variant, const char *field)
{
	return run_error(run, variant, field, "held_bytes", 0.5);
}

/* Bytes held for each byte granted. */
static double held_share(struct run *run, size_t variant, double q)
{
	return run_share(run, variant, "held_bytes", "capacity_bytes", q);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"Every pair of %lld sizes from %s to %s is asked for; messages of 64, 300 and "
		"1,024 "
		"bytes. Nobody reads.",
		(long long)sizes, text_bytes(size_of(0)), text_bytes(size_of(sizes - 1)));
	fprintf(out, "\n  %-11s %5s %14s %10s %10s %12s\n", "", "", "held for", "predicted",
		"its error,", "granted: its");
	fprintf(out, "  %-11s %5s %14s %10s %10s %12s\n", "kind", "cells", "1 B granted", "exactly",
		"median", "error");
	for (size_t v = 0; v < VARIANTS; v++) {
		size_t n = run_values(run, v, "held_bytes").n;

		if (n > 0)
			fprintf(out, "  %-11s %5zu %6.4f to %4.2f %10s %10s %12s\n",
				variants[v].name, n, held_share(run, v, 0), held_share(run, v, 1),
				text_share((double)held_just(run, v, "predicted_bytes") /
					   (double)n),
				text_share(error_of(run, v, "predicted_bytes")),
				text_share(error_of(run, v, "capacity_bytes")));
	}
	fputs("\n", out);
}

static void judge(struct run *run)
{
	size_t all = 0, literal = 0, charged = 0, exact = 0, lost = 0, misplaced = 0;
	double least_held = INFINITY, most_held = 0;
	double exact_share;

	for (size_t v = 0; v < VARIANTS; v++) {
		size_t n = run_values(run, v, "held_bytes").n;

		all += n;
		literal += held_just(run, v, "capacity_bytes");
		lost += stats_nonzero(run_values(run, v, "missing_bytes"));
		misplaced += stats_nonzero(run_values(run, v, "misplaced_bytes"));
		least_held = fmin(least_held, held_share(run, v, 0));
		most_held = fmax(most_held, held_share(run, v, 1));
		if (v != PIPE) {
			charged += n;
			exact += held_just(run, v, "predicted_bytes");
		}
	}
	exact_share = (double)exact / (double)charged;
	old_control(run, lost + misplaced == 0,
		    "bytes were lost in %zu and out of order in %zu of %zu fillings", lost,
		    misplaced, all);
	old_verdict(run, "buf-size-is-capacity",
		    literal == all ? HOLDS
		    : literal      ? DEPENDS
				   : REFUTED,
		    (struct field[]){{"fillings", (int64_t)all},
				     {"exactly_granted", (int64_t)literal},
				     {"least_of_granted", .real = &least_held},
				     {"most_of_granted", .real = &most_held},
				     {"udp_unix_fillings", (int64_t)charged},
				     {"udp_unix_exact_share", .real = &exact_share},
				     {0}},
		    "held %.2g to %.2g times what was granted, just that in %zu of %zu fillings%s",
		    least_held, most_held, literal, all,
		    charged ? text_format("; UDP and AF_UNIX held exactly what was predicted in %s",
					  text_share(exact_share))
			    : "");
}

static void report(struct run *run)
{
	int64_t charge = scales[UDP][1].charge;

	print_table(run);
	judge(run);
	old_why(run,
		"a buffer's size limits memory, not bytes, and the kernel charges its book-keeping "
		"too%s. A send buffer still takes what begins below its limit.",
		charge ? text_format(": here %s for a UDP datagram of 300 bytes",
				     text_count(charge))
		       : "");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	for (size_t v = 0; v < VARIANTS; v++)
		for (size_t w = 0; w < WRITES && run_selected(run, v) && !run_stopped(); w++)
			scales[v][w] = calibrate(v, writes[w]);
	while (run_next(run))
		measure(run);
	return old_end(run, report);
}
