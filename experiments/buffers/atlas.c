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
#include <stdlib.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "filling.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"

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

static const struct claim claims[] = {
	{"buf-size-is-capacity", "a buffer of n bytes holds n bytes", "pipe=udp", REFUTED,
	 .why = {[DEPENDS] =
			 "a socket's buffer size limits memory, not bytes, and the kernel charges its book-keeping too. A send buffer still takes what begins below its limit. A pipe's size is in pages, which whole writes fill.",
		 [REFUTED] =
			 "a socket's buffer size limits memory, not bytes, and the kernel charges its book-keeping too. A send buffer still takes what begins below its limit."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_sndbuf_bytes", "SO_SNDBUF asked for"},
	{"asked_rcvbuf_bytes", "SO_RCVBUF asked for; 0: a pipe has one buffer"},
	{"write_bytes", "size of one message"},
	{"granted_sndbuf_bytes", "SO_SNDBUF granted"},
	{"granted_rcvbuf_bytes", "SO_RCVBUF granted"},
	{"held_bytes", "once settled", "held of what|is granted", SHOW_RANGE, "capacity_bytes"},
	{"exact", "1: just as many as predicted", "predicted|exactly", SHOW_NONZERO},
	{"literal", "1: just as many as granted", "as many as|granted", SHOW_NONZERO},
	{"predicted_error_bytes", "how far the prediction is off", "its|error", SHOW_MEDIAN,
	 "held_bytes"},
	{"capacity_bytes", "granted to the buffers that are charged"},
	{"predicted_bytes", "computed before it was filled"},
	{"first_full_bytes", "accepted at the first EAGAIN, or survivors of the first drop"},
	{"outq_bytes", "in the send queue then"},
	{"inq_bytes", "in the receive queue then"},
	{"wmem_bytes", "what the sender is charged with; 0 of a pipe"},
	{"rmem_bytes", "what the receiver is charged with; 0 of a pipe"},
	{"missing_bytes", "accepted and neither read nor dropped", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "read at another place than written", .zero = true, .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"enough_fillings", 9, "every size with every message, at least"}, {0}};

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

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

/* --- pairs ----------------------------------------------------------------- */

static void begin(struct filling *f, size_t variant, int64_t sndbuf, int64_t rcvbuf, int64_t write)
{
	struct net_ask ask = {sndbuf, rcvbuf, NULL};

	filling_begin(f, kinds[variant],
		      variant == UNIX_BOUND ? net_unix_bound(ask) : net_pair(kinds[variant], ask),
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
	int64_t held;

	begin(&f, variant, sndbuf, rcvbuf, writes[write]);
	predicted = predict(variant, &scales[variant][write], &f);
	filling_fill(&f, 1, 0);
	filling_drain(&f, 1);
	held = f.accepted - f.dropped;
	run_record(run,
		   (struct field[]){{"asked_sndbuf_bytes", sndbuf},
				    {"asked_rcvbuf_bytes", rcvbuf},
				    {"write_bytes", f.write},
				    {"granted_sndbuf_bytes", f.sndbuf},
				    {"granted_rcvbuf_bytes", f.rcvbuf},
				    {"capacity_bytes", filling_capacity(&f)},
				    {"predicted_bytes", predicted},
				    {"first_full_bytes", f.first_full},
				    {"held_bytes", held},
				    {"exact", held == predicted},
				    {"literal", held == filling_capacity(&f)},
				    {"predicted_error_bytes", llabs(predicted - held)},
				    {"outq_bytes", f.outq},
				    {"inq_bytes", f.inq},
				    {"wmem_bytes", f.tx.send},
				    {"rmem_bytes", f.rx.receive},
				    {"missing_bytes", filling_missing(&f) + run_sham(run, "lose")},
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

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share literal = run_nonzero(run, PIPE, "literal");
	struct share sockets = run_nonzero_in(run, 0, PIPE - 1, "literal");
	struct share exact = run_nonzero_in(run, 0, PIPE - 1, "exact");
	int64_t enough = (int64_t)run_bound(run, "enough_fillings");

	run_judge(
		run, "buf-size-is-capacity", case_by_case(share_add(sockets, literal), enough),
		"sockets held just what was granted in {sockets} fillings, a pipe in {pipe}; UDP and AF_UNIX held exactly what was predicted in {exact}; a UDP datagram of 300 bytes is charged with {charge_bytes}",
		number_share("sockets", sockets), number_share("pipe", literal),
		number_share("exact", exact), number_int("charge_bytes", scales[UDP][1].charge));
}

static const struct experiment about = {
	.name = "atlas",
	.group = "buffers",
	.order = 306,
	.summary = "What do buffers of every size hold, and can it be told beforehand?",
	.intro =
		"Every pair of {sizes} sizes from {least_bytes} to {most_bytes} is asked for; messages of 64, 300 and 1,024 bytes. Nobody reads.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	for (size_t v = 0; v < VARIANTS; v++)
		for (size_t w = 0; w < WRITES && run_selected(run, v) && !run_stopped(); w++)
			scales[v][w] = calibrate(v, writes[w]);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
