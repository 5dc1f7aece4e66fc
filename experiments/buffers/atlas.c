/* SPDX-License-Identifier: MIT */
/*
 * atlas - what do buffers of every size hold, and can it be told beforehand?
 *
 * Pairs are made with every combination of sizes asked for as SO_SNDBUF and SO_RCVBUF, and filled
 * by writes of several sizes until nothing more fits.  The kernel counts memory, not bytes: each
 * write, or segment, is charged with its book-keeping, which differs between kinds of socket and
 * between kernels.  So nothing of a kernel is written down here.  A few other pairs tell first, on
 * this machine:
 *
 *	UDP, AF_UNIX   what one datagram is charged with, and whether the one that crosses the
 *	               limit is still taken;
 *	bound          of a bound AF_UNIX socket, how many messages may queue up besides;
 *	pipe           what share of its size such writes use;
 *	TCP            the largest segment and its overhead, what share of the receive buffer is
 *	               offered as window, and what share is used when it is full.
 *
 * What each cell of the grid will hold is computed from that and from the sizes granted, and
 * compared with what it then held.
 */
#include <err.h>
#include <linux/tcp.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"
#include "exp.h"
#include "filling.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { TCP, VETH, UDP, UNIX_STREAM, UNIX_DGRAM, UNIX_BOUND, PIPE, VARIANTS };
enum { SIZES = 12, WRITES = 3, CELLS = SIZES * SIZES * WRITES };

static const struct variant variants[] = {
	[TCP] = {"tcp", "TCP on loopback"},
	[VETH] = {"tcp-veth", "TCP over a cable with frames of 1,500 bytes"},
	[UDP] = {"udp", "UDP on loopback"},
	[UNIX_STREAM] = {"unix-stream", "an AF_UNIX stream"},
	[UNIX_DGRAM] = {"unix-dgram", "a pair of AF_UNIX datagram sockets"},
	[UNIX_BOUND] = {"unix-bound", "AF_UNIX datagrams to a bound socket"},
	[PIPE] = {"pipe", "a pipe, which has one buffer"},
	{0}};

/* What is filled, by writes of these sizes in bytes; whose buffers are charged with it. */
static const struct kind {
	enum net_kind net;
	bool charges_sender, charges_receiver;
	int64_t writes[WRITES]; /* 0 = no more */
} kinds[VARIANTS] = {[TCP] = {NET_TCP, true, true, {1024, 16384}},
		     [VETH] = {NET_TCP, true, true, {1024, 16384}},
		     [UDP] = {NET_UDP, false, true, {64, 300, 1024}},
		     [UNIX_STREAM] = {NET_UNIX_STREAM, true, false, {64, 300, 1024}},
		     [UNIX_DGRAM] = {NET_UNIX_DGRAM, true, false, {64, 300, 1024}},
		     [UNIX_BOUND] = {NET_UNIX_DGRAM, true, false, {64, 300, 1024}},
		     [PIPE] = {NET_PIPE, true, false, {64, 300, 1024}}};

static const struct claim claims[] = {{"buf-size-is-capacity", "a buffer of n bytes holds n bytes"},
				      {0}};

static int64_t sizes = 6;
static int64_t least = 4 << 10;
static int64_t most = 1 << 20;
static int64_t settle_ms = 400;
static const char *congestion;

static const struct opt opts[] = {
	{'n', "sizes", "how many sizes of each buffer", .num = &sizes, .min = 2, .max = SIZES,
	 .quick = 3},
	{0, "least", "the smallest size asked for", .num = &least, .min = 1024, .max = 64 << 10,
	 .unit = OPT_BYTES},
	{0, "most", "the largest size asked for", .num = &most, .min = 128 << 10, .max = 4 << 20,
	 .unit = OPT_BYTES},
	{'s', "settle", "TCP is full when nothing fitted for so long", .num = &settle_ms, .min = 50,
	 .quick = 50, .max = 10000, .unit = OPT_MS},
	{0, "congestion", "congestion control of TCP, such as cubic", .text = &congestion},
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

static struct link *cable;   /* NULL: this machine has none */
static const char *no_cable; /* why */

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
	struct net_ask ask = {sndbuf, rcvbuf, congestion};
	enum net_kind net = kinds[variant].net;

	filling_begin(f, net,
		      variant == VETH         ? link_pair(cable, net, ask)
		      : variant == UNIX_BOUND ? bound_pair(ask)
					      : net_pair(net, ask),
		      write);
}

/* --- calibration and prediction ---------------------------------------------- */

/* What a few pairs told of writes of one size. */
static struct scale {
	/* datagrams, and writes to an AF_UNIX stream */
	int64_t charge;      /* of one, in bytes */
	int64_t beyond[2];   /* how many are taken beyond floor(size / charge): [it divides] */
	int64_t queue;       /* how many may wait, however small */
	double share;        /* of a pipe's size that is used; of a full TCP receive buffer */
	int64_t segment;     /* TCP's largest, in bytes, in the send queue */
	int64_t overhead;    /* charged for each of them besides */
	int64_t mss;         /* a larger segment is a multiple of it */
	double window_share; /* of the receive buffer, offered to begin with */
} scales[VARIANTS][WRITES];

/* The peer's window in bytes, as far as the sender knows (Linux 5.4; else 0). */
static int64_t window_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	check_fd(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	return info.tcpi_snd_wnd;
}

/* How many writes a pair takes that asks for these sizes. */
static int64_t count(size_t variant, int64_t size, int64_t write, int64_t *granted)
{
	struct filling f;
	int64_t n;

	begin(&f, variant, size, size, write);
	filling_fill(&f, 1, 0);
	*granted = kinds[variant].charges_sender ? f.sndbuf : f.rcvbuf;
	n = f.first_full / write;
	filling_end(&f);
	return n;
}

static void calibrate_charged(size_t variant, int64_t write, struct scale *scale)
{
	/* a bound socket's queue may be shorter than what tells the rule */
	size_t rule = variant == UNIX_BOUND ? UNIX_DGRAM : variant;
	char message[1024] = {0};
	struct filling f;
	int64_t granted = 0;
	int64_t n;

	begin(&f, variant, 0, 0, write);
	check_fd((int)send(f.fd.tx, message, (size_t)write, 0), "send");
	scale->charge = kinds[variant].charges_sender ? net_memory(f.fd.tx).send
						      : net_memory(f.fd.rx).receive;
	filling_end(&f);
	scale->queue = INT64_MAX;
	if (scale->charge <= 0)
		errx(EXIT_USAGE, "SO_MEMINFO tells no charge of a message here");
	/* 10 messages and 10.5, as twice what is asked for is granted */
	for (int64_t half = 20; half <= 21; half++) {
		n = count(rule, scale->charge * half / 4, write, &granted);
		scale->beyond[granted % scale->charge == 0] = n - granted / scale->charge;
	}
	if (variant != UNIX_BOUND)
		return;
	n = count(variant, most, write, &granted);
	if (n < granted / scale->charge)
		scale->queue = n;
}

/*
 * Of TCP three pairs, none of which is a cell of the grid: a narrow one, whose send buffer holds a
 * single segment, a wide one, and one that is only connected.
 */
enum { NARROW, WIDE, CONNECTED, PAIRS };

static void calibrate_tcp(size_t variant)
{
	struct filling f[WRITES * PAIRS];
	int64_t large = most / 4 * 3;
	size_t n = 0;

	for (; n < WRITES && kinds[variant].writes[n]; n++) {
		int64_t write = kinds[variant].writes[n];

		begin(&f[PAIRS * n + NARROW], variant, 1, large, write);
		begin(&f[PAIRS * n + WIDE], variant, large, large, write);
		begin(&f[PAIRS * n + CONNECTED], variant, 1, least, write);
		scales[variant][n].window_share =
			(double)window_of(f[PAIRS * n + CONNECTED].fd.tx) /
			(double)f[PAIRS * n + CONNECTED].rcvbuf;
	}
	filling_fill(f, PAIRS * n, settle_ms);
	for (size_t i = 0; i < n; i++) {
		const struct filling *narrow = &f[PAIRS * i + NARROW];
		const struct filling *wide = &f[PAIRS * i + WIDE];

		scales[variant][i].segment = narrow->outq;
		scales[variant][i].overhead = narrow->tx.send - narrow->outq;
		scales[variant][i].mss = tcpinfo_read(narrow->fd.tx).mss;
		scales[variant][i].share = (double)wide->inq / (double)wide->rcvbuf;
	}
	for (size_t i = 0; i < PAIRS * n; i++)
		filling_end(&f[i]);
}

static void calibrate(size_t variant)
{
	for (size_t i = 0; i < WRITES && kinds[variant].writes[i]; i++) {
		int64_t write = kinds[variant].writes[i];
		struct scale *scale = &scales[variant][i];
		int64_t granted = 1;

		if (variant == PIPE)
			scale->share =
				(double)(count(PIPE, 0, write, &granted) * write) / (double)granted;
		else
			calibrate_charged(variant, write, scale);
	}
}

/* TCP's segments are at most half the window, in whole packets if that is more than one. */
static int64_t predict_tcp(const struct scale *scale, const struct filling *f)
{
	int64_t segment = (int64_t)(scale->window_share * (double)f->rcvbuf) / 2;

	if (scale->mss > 0 && segment > scale->mss)
		segment -= segment % scale->mss;
	if (segment <= 0 || segment > scale->segment)
		segment = scale->segment;
	if (segment + scale->overhead <= 0) /* interrupted */
		return 0;
	return (f->sndbuf + segment + scale->overhead - 1) / (segment + scale->overhead) * segment +
	       (int64_t)(scale->share * (double)f->rcvbuf);
}

/* How many bytes a pair will hold, told before it is filled. */
static int64_t predict(size_t variant, const struct scale *scale, const struct filling *f)
{
	int64_t size = kinds[variant].charges_sender ? f->sndbuf : f->rcvbuf;
	int64_t n;

	if (kinds[variant].net == NET_TCP)
		return predict_tcp(scale, f);
	if (variant == PIPE)
		return (int64_t)(scale->share * (double)size);
	n = size / scale->charge + scale->beyond[size % scale->charge == 0];
	if (n < 1)
		n = 1; /* the first one is always taken */
	return (n < scale->queue ? n : scale->queue) * f->write;
}

/* --- one trial: all cells of a grid, filled together ------------------------- */

struct cell {
	int64_t sndbuf, rcvbuf; /* asked for; rcvbuf of a pipe is 0 */
	const struct scale *scale;
	int64_t predicted;
};

static struct cell cells[CELLS];
static struct filling fillings[CELLS];

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

/* Makes a pair for every cell and predicts what it will hold; returns how many there are. */
static size_t open_cells(size_t variant)
{
	const struct kind *kind = &kinds[variant];
	size_t n = 0;

	for (size_t w = 0; w < WRITES && kind->writes[w]; w++)
		for (int64_t i = 0; i < sizes; i++)
			for (int64_t j = 0; j < (variant == PIPE ? 1 : sizes); j++) {
				cells[n] =
					(struct cell){size_of(i), variant == PIPE ? 0 : size_of(j),
						      &scales[variant][w], 0};
				begin(&fillings[n], variant, cells[n].sndbuf, cells[n].rcvbuf,
				      kind->writes[w]);
				cells[n].predicted = predict(variant, cells[n].scale, &fillings[n]);
				n++;
			}
	return n;
}

static void record(struct run *run, const struct cell *cell, const struct filling *f,
		   const struct kind *kind)
{
	bool tcp = kind->net == NET_TCP;
	int64_t charged = f->tx.send - f->outq; /* of TCP: the book-keeping of what is in outq */

	run_record(
		run,
		(struct field[]){
			{"asked_sndbuf_bytes", cell->sndbuf},
			{"asked_rcvbuf_bytes", cell->rcvbuf},
			{"write_bytes", f->write},
			{"granted_sndbuf_bytes", f->sndbuf},
			{"granted_rcvbuf_bytes", f->rcvbuf},
			{"capacity_bytes", (kind->charges_sender ? f->sndbuf : 0) +
						   (kind->charges_receiver ? f->rcvbuf : 0)},
			{"predicted_bytes", cell->predicted},
			{"first_full_bytes", f->first_full},
			{"held_bytes", f->accepted - f->dropped},
			{"outq_bytes", f->outq},
			{"inq_bytes", f->inq},
			{"wmem_bytes", f->tx.send},
			{"rmem_bytes", f->rx.receive},
			{"missing_bytes", filling_missing(f)},
			{"misplaced_bytes", f->misplaced},
			{tcp ? "accounted" : NULL, f->outq + f->inq == f->accepted},
			{"wmem_in_bounds",
			 f->tx.send >= f->sndbuf && f->tx.send <= f->sndbuf + cell->scale->segment +
									  cell->scale->overhead},
			{"whole_overheads",
			 cell->scale->overhead > 0 && charged % cell->scale->overhead == 0},
			{"inq_in_bounds", f->inq <= f->rcvbuf},
			{"rmem_in_bounds", f->rx.receive <= f->rcvbuf},
			{0}});
}

static void measure(struct run *run, size_t variant)
{
	size_t n = open_cells(variant);

	filling_fill(fillings, n, settle_ms);
	filling_drain(fillings, n);
	for (size_t i = 0; i < n; i++) {
		record(run, &cells[i], &fillings[i], &kinds[variant]);
		filling_end(&fillings[i]);
	}
}

/* --- report ------------------------------------------------------------------ */

/* What is said of a variant: of all its cells in all trials. */
struct summary {
	size_t n, exact;              /* fillings; as predicted to the byte */
	size_t literal;               /* held what was granted, no more and no less */
	double least_held, most_held; /* for each byte granted */
	double first;                 /* share of it at the first EAGAIN, the median */
	double median, p90;           /* error of the prediction, a share of what was held */
	double naive;                 /* the same of the sizes granted, the median */
	size_t lost, misplaced;
};

/* The median and the like of shares, kept as parts per million. */
static double share_of(struct values ppm, double q)
{
	return stats_quantile(ppm, q) / 1e6;
}

static struct summary summarise(struct run *run, size_t variant)
{
	struct values held = run_values(run, variant, "held_bytes");
	struct values predicted = run_values(run, variant, "predicted_bytes");
	struct values capacity = run_values(run, variant, "capacity_bytes");
	struct values first = run_values(run, variant, "first_full_bytes");
	struct summary s = {.n = held.n, .least_held = INFINITY};

	s.lost = stats_nonzero(run_values(run, variant, "missing_bytes"));
	s.misplaced = stats_nonzero(run_values(run, variant, "misplaced_bytes"));
	for (size_t i = 0; i < held.n; i++) {
		double bytes = (double)held.at[i];

		s.exact += held.at[i] == predicted.at[i];
		s.literal += held.at[i] == capacity.at[i];
		s.least_held = fmin(s.least_held, bytes / (double)capacity.at[i]);
		s.most_held = fmax(s.most_held, bytes / (double)capacity.at[i]);
		/* from here on each list holds ppm: they are copies */
		first.at[i] = llround((double)first.at[i] * 1e6 / bytes);
		predicted.at[i] = llround(fabs((double)predicted.at[i] - bytes) * 1e6 / bytes);
		capacity.at[i] = llround(fabs((double)capacity.at[i] - bytes) * 1e6 / bytes);
	}
	s.first = share_of(first, 0.5);
	s.median = share_of(predicted, 0.5);
	s.p90 = share_of(predicted, 0.9);
	s.naive = share_of(capacity, 0.5);
	return s;
}

static void print_table(struct run *run, const struct summary of[VARIANTS])
{
	FILE *out = run_out(run);

	run_say(run,
		"Every pair of %lld sizes from %s to %s is asked for; writes of 1 and 16 KiB "
		"(TCP), 64, 300 and 1,024 bytes (others). Nobody reads.",
		(long long)sizes, text_bytes(size_of(0)), text_bytes(size_of(sizes - 1)));
	fputs("\n", out);
	fprintf(out, "  %-11s %5s %12s %8s %9s %7s %7s %8s\n", "", "", "held for", "at first",
		"predicted", "error,", "error,", "granted:");
	fprintf(out, "  %-11s %5s %12s %8s %9s %7s %7s %8s\n", "kind", "cells", "1 B granted",
		"EAGAIN", "exactly", "median", "p90", "error");
	for (size_t v = 0; v < VARIANTS; v++)
		if (of[v].n > 0)
			fprintf(out, "  %-11s %5zu %4.2f to %4.2f %8s %9s %7s %7s %8s\n",
				variants[v].name, of[v].n, of[v].least_held, of[v].most_held,
				text_share(of[v].first),
				text_share((double)of[v].exact / (double)of[v].n),
				text_share(of[v].median), text_share(of[v].p90),
				text_share(of[v].naive));
	if (run_selected(run, VETH) && !cable)
		run_note(run, "tcp-veth is skipped: %s.", no_cable);
	fputs("\n", out);
}

/* The median of what a cell held, over its write sizes and trials. */
static int64_t held_by(struct run *run, size_t variant, int64_t sndbuf, int64_t rcvbuf)
{
	struct values held = run_values(run, variant, "held_bytes");
	struct values asked[] = {run_values(run, variant, "asked_sndbuf_bytes"),
				 run_values(run, variant, "asked_rcvbuf_bytes")};
	size_t n = 0;

	for (size_t i = 0; i < held.n; i++)
		if (asked[0].at[i] == sndbuf && asked[1].at[i] == rcvbuf)
			held.at[n++] = held.at[i];
	return (int64_t)stats_quantile((struct values){held.at, n}, 0.5);
}

static void print_grid(struct run *run, size_t variant)
{
	enum { COLUMNS = 7 }; /* that fit */
	FILE *out = run_out(run);

	fprintf(out, "  %s: KiB held, by SO_SNDBUF (down) and SO_RCVBUF (across) asked for\n",
		variants[variant].name);
	fprintf(out, "  %8s", "");
	for (int64_t j = 0; j < sizes && j < COLUMNS; j++)
		fprintf(out, " %9s", text_bytes(size_of(j)));
	fputs("\n", out);
	for (int64_t i = 0; i < sizes; i++) {
		fprintf(out, "  %8s", text_bytes(size_of(i)));
		for (int64_t j = 0; j < sizes && j < COLUMNS; j++)
			fprintf(out, " %9s",
				text_count(held_by(run, variant, size_of(i), size_of(j)) / 1024));
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* Rules that TCP's queues were seen to follow: none is promised, so none is a control. */
static void print_rules(struct run *run)
{
	static const struct {
		const char *field, *rule;
	} rules[] = {{"accounted", "accepted = outq + inq"},
		     {"wmem_in_bounds", "sndbuf <= wmem_queued <= sndbuf + one segment"},
		     {"whole_overheads", "wmem_queued - outq is a multiple of the overhead"},
		     {"inq_in_bounds", "inq <= rcvbuf"},
		     {"rmem_in_bounds", "rmem_alloc <= rcvbuf"}};
	FILE *out = run_out(run);

	fprintf(out, "  %-50s %12s %12s\n", "of TCP, once settled", "tcp", "tcp-veth");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		fprintf(out, "  %-50s", rules[i].rule);
		for (size_t v = TCP; v <= VETH; v++) {
			struct values kept = run_values(run, v, rules[i].field);

			fprintf(out, " %12s",
				kept.n ? text_format("%zu/%zu", stats_nonzero(kept), kept.n) : "-");
		}
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* "TCP on loopback to 1.4 % (p90 8.8 %)": the median error. */
static const char *tcp_error(const struct summary *s, const char *where)
{
	if (s->n == 0)
		return text_format("TCP %s not measured", where);
	return text_format("TCP %s to %s (p90 %s)", where, text_share(s->median),
			   text_share(s->p90));
}

static void judge(struct run *run, const struct summary of[VARIANTS])
{
	struct summary all = {.least_held = INFINITY};
	size_t charged = 0, exact = 0;
	double exact_share;

	for (size_t v = 0; v < VARIANTS; v++) {
		all.n += of[v].n;
		all.literal += of[v].literal;
		all.lost += of[v].lost;
		all.misplaced += of[v].misplaced;
		all.least_held = fmin(all.least_held, of[v].least_held);
		all.most_held = fmax(all.most_held, of[v].most_held);
		if (v >= UDP && v <= UNIX_BOUND) {
			charged += of[v].n;
			exact += of[v].exact;
		}
	}
	exact_share = (double)exact / (double)charged;
	run_control(run, all.lost + all.misplaced == 0,
		    "bytes were lost in %zu and out of order in %zu of %zu fillings", all.lost,
		    all.misplaced, all.n);
	run_verdict(run, "buf-size-is-capacity",
		    all.literal == all.n ? HOLDS
		    : all.literal        ? DEPENDS
					 : REFUTED,
		    (struct field[]){{"fillings", (int64_t)all.n},
				     {"exactly_granted", (int64_t)all.literal},
				     {"least_of_granted", .real = &all.least_held},
				     {"most_of_granted", .real = &all.most_held},
				     {"udp_unix_fillings", (int64_t)charged},
				     {"udp_unix_exact_share", .real = &exact_share},
				     {"tcp_median_error", .real = &of[TCP].median},
				     {"tcp_p90_error", .real = &of[TCP].p90},
				     {"veth_median_error", .real = &of[VETH].median},
				     {"veth_p90_error", .real = &of[VETH].p90},
				     {0}},
		    "held %.2g to %.2g times what was granted, just that in %zu of %zu fillings. "
		    "Predicted: UDP and AF_UNIX %s; %s; %s",
		    all.least_held, all.most_held, all.literal, all.n,
		    charged ? text_format("exactly in %s", text_share(exact_share))
			    : "not measured",
		    tcp_error(&of[TCP], "on loopback"), tcp_error(&of[VETH], "over veth"));
}

static void explain(struct run *run)
{
	const struct scale *tcp = &scales[TCP][1];

	run_why(run,
		"a buffer's size limits memory, not bytes, and the kernel charges its book-keeping "
		"too%s%s. A send buffer still takes what begins below its limit.",
		scales[UDP][1].charge ? text_format(": here %s for a UDP datagram of 300 bytes",
						    text_count(scales[UDP][1].charge))
				      : "",
		tcp->segment ? text_format("; for a TCP segment of %s bytes %s more",
					   text_count(tcp->segment), text_count(tcp->overhead))
			     : "");
}

static void report(struct run *run)
{
	struct summary of[VARIANTS];

	for (size_t v = 0; v < VARIANTS; v++)
		of[v] = summarise(run, v);
	print_table(run, of);
	if (of[TCP].n > 0)
		print_grid(run, TCP);
	if (of[TCP].n + of[VETH].n > 0)
		print_rules(run);
	judge(run, of);
	explain(run);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	bool others = false;

	for (size_t v = 0; v < VARIANTS; v++)
		others |= v != VETH && run_selected(run, v);
	if (run_selected(run, VETH))
		cable = link_open((struct link_ask){0}, &no_cable);
	if (!cable && !others)
		return run_skip(run, "%s", no_cable);
	for (size_t v = 0; v < VARIANTS && !run_stopped(); v++) {
		if (!run_selected(run, v) || (v == VETH && !cable))
			continue;
		if (kinds[v].net == NET_TCP)
			calibrate_tcp(v);
		else
			calibrate(v);
	}
	while (run_next(run))
		if (run_variant(run) != VETH || cable)
			measure(run, run_variant(run));
	if (cable)
		link_close(cable);
	return run_end(run, report);
}
