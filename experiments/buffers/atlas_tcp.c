/* SPDX-License-Identifier: MIT */
/*
 * atlas_tcp - what do TCP's two buffers hold together, and can it be told beforehand?
 *
 * Pairs are made with every combination of sizes asked for as SO_SNDBUF and SO_RCVBUF, and filled
 * by writes of two sizes until nothing more fits.  The kernel counts memory, not bytes, so three
 * other pairs of each write size tell first what is so on this machine:
 *
 *	narrow      its send buffer holds a single segment: how large it is, and its overhead;
 *	wide        what share of a full receive buffer is used;
 *	connected   what share of the receive buffer is offered as window.
 *
 * What each cell of the grid will hold is computed from that and from the sizes granted, and
 * compared with what it then held: on loopback, and over a cable with Ethernet's frames (link.h).
 */
#include <linux/tcp.h>
#include <math.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "filling.h"
#include "link.h"
#include "net.h"
#include "tcpinfo.h"
#include "text.h"

enum { TCP, VETH, VARIANTS };
enum { SIZES = 12, WRITES = 2, CELLS = SIZES * SIZES * WRITES };

static const struct variant variants[] = {
	[TCP] = {"tcp", "TCP on loopback"},
	[VETH] = {"tcp-veth", "TCP over a cable with frames of 1,500 bytes"},
	{0}};

static const int64_t writes[WRITES] = {1024, 16384}; /* bytes of one write */

static const struct claim claims[] = {
	{"buf-tcp-capacity", "a TCP connection holds as many bytes as its two buffers are large"},
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
	{0, "congestion", "congestion control, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "atlas_tcp",
	.group = "buffers",
	.summary = "What do TCP's two buffers hold together, and can it be told beforehand?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

static struct link *cable;   /* NULL: this machine has none */
static const char *no_cable; /* why */

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

static void begin(struct filling *f, size_t variant, int64_t sndbuf, int64_t rcvbuf, int64_t write)
{
	struct net_ask ask = {sndbuf, rcvbuf, congestion};

	filling_begin(f, NET_TCP,
		      variant == VETH ? link_pair(cable, NET_TCP, ask) : net_pair(NET_TCP, ask),
		      write);
}

/* --- calibration and prediction ---------------------------------------------- */

/* What three pairs told of writes of one size. */
static struct scale {
	int64_t segment;     /* the largest, in bytes, in the send queue */
	int64_t overhead;    /* charged for each of them besides */
	int64_t mss;         /* a larger segment is a multiple of it */
	double window_share; /* of the receive buffer, offered to begin with */
	double share;        /* of the receive buffer, used when it is full */
} scales[VARIANTS][WRITES];

/* The peer's window in bytes, as far as the sender knows (Linux 5.4; else 0). */
static int64_t window_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	check_fd(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	return info.tcpi_snd_wnd;
}

/* None of these pairs is a cell of the grid. */
static void calibrate(size_t variant)
{
	enum { NARROW, WIDE, CONNECTED, PAIRS };
	struct filling fillings[WRITES][PAIRS];
	int64_t large = most / 4 * 3;

	for (size_t w = 0; w < WRITES; w++) {
		struct filling *f = fillings[w];

		begin(&f[NARROW], variant, 1, large, writes[w]);
		begin(&f[WIDE], variant, large, large, writes[w]);
		begin(&f[CONNECTED], variant, 1, least, writes[w]);
		scales[variant][w].window_share =
			(double)window_of(f[CONNECTED].fd.tx) / (double)f[CONNECTED].rcvbuf;
	}
	filling_fill(fillings[0], (size_t)WRITES * PAIRS, settle_ms);
	for (size_t w = 0; w < WRITES; w++) {
		struct filling *f = fillings[w];
		struct scale *scale = &scales[variant][w];

		scale->segment = f[NARROW].outq;
		scale->overhead = f[NARROW].tx.send - f[NARROW].outq;
		scale->mss = tcpinfo_read(f[NARROW].fd.tx).mss;
		scale->share = (double)f[WIDE].inq / (double)f[WIDE].rcvbuf;
		for (size_t i = 0; i < PAIRS; i++)
			filling_end(&f[i]);
	}
}

/*
 * How many bytes a pair will hold, told before it is filled.  Segments are at most half the window,
 * in whole packets if that is more than one.
 */
static int64_t predict(const struct scale *scale, const struct filling *f)
{
	int64_t segment = (int64_t)(scale->window_share * (double)f->rcvbuf) / 2;
	int64_t charge;

	if (scale->mss > 0 && segment > scale->mss)
		segment -= segment % scale->mss;
	if (segment <= 0 || segment > scale->segment)
		segment = scale->segment;
	charge = segment + scale->overhead;
	if (charge <= 0) /* interrupted */
		return 0;
	return (f->sndbuf + charge - 1) / charge * segment +
	       (int64_t)(scale->share * (double)f->rcvbuf);
}

/* --- one trial: all cells of a grid, filled together ------------------------- */

struct cell {
	int64_t sndbuf, rcvbuf; /* asked for */
	const struct scale *scale;
	int64_t predicted;
};

/* Makes a pair for every cell and predicts what it will hold; returns how many there are. */
static size_t open_cells(size_t variant, struct cell *cells, struct filling *fillings)
{
	size_t n = 0;

	for (size_t w = 0; w < WRITES; w++)
		for (int64_t i = 0; i < sizes; i++)
			for (int64_t j = 0; j < sizes; j++) {
				struct cell *cell = &cells[n];

				*cell = (struct cell){size_of(i), size_of(j), &scales[variant][w]};
				begin(&fillings[n], variant, cell->sndbuf, cell->rcvbuf, writes[w]);
				cell->predicted = predict(cell->scale, &fillings[n]);
				n++;
			}
	return n;
}

static void record(struct run *run, const struct cell *cell, const struct filling *f)
{
	int64_t segment = cell->scale->segment + cell->scale->overhead;
	int64_t overheads = f->tx.send - f->outq;

	run_record(run, (struct field[]){
				{"asked_sndbuf_bytes", cell->sndbuf},
				{"asked_rcvbuf_bytes", cell->rcvbuf},
				{"write_bytes", f->write},
				{"granted_sndbuf_bytes", f->sndbuf},
				{"granted_rcvbuf_bytes", f->rcvbuf},
				{"capacity_bytes", filling_capacity(f)},
				{"predicted_bytes", cell->predicted},
				{"first_full_bytes", f->first_full},
				{"held_bytes", f->accepted},
				{"outq_bytes", f->outq},
				{"inq_bytes", f->inq},
				{"wmem_bytes", f->tx.send},
				{"rmem_bytes", f->rx.receive},
				{"missing_bytes", filling_missing(f)},
				{"misplaced_bytes", f->misplaced},
				{"accounted", f->outq + f->inq == f->accepted},
				{"wmem_in_bounds",
				 f->tx.send >= f->sndbuf && f->tx.send <= f->sndbuf + segment},
				{"whole_overheads", cell->scale->overhead > 0 &&
							    overheads % cell->scale->overhead == 0},
				{"inq_in_bounds", f->inq <= f->rcvbuf},
				{"rmem_in_bounds", f->rx.receive <= f->rcvbuf},
				{0}});
}

static void measure(struct run *run, size_t variant)
{
	static struct cell cells[CELLS];
	static struct filling fillings[CELLS];
	size_t n = open_cells(variant, cells, fillings);

	filling_fill(fillings, n, settle_ms);
	filling_drain(fillings, n);
	for (size_t i = 0; i < n; i++) {
		record(run, &cells[i], &fillings[i]);
		filling_end(&fillings[i]);
	}
}

/* --- report ------------------------------------------------------------------ */

/* The error of a field that says what is held, as a share of that. */
static double error_of(struct run *run, size_t variant, const char *field, double q)
{
	return run_error(run, variant, field, "held_bytes", q);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"Every pair of %lld sizes from %s to %s is asked for; writes of 1 and 16 KiB. "
		"Nobody "
		"reads.",
		(long long)sizes, text_bytes(size_of(0)), text_bytes(size_of(sizes - 1)));
	fprintf(out, "\n  %-8s %5s %12s %8s %10s %7s %8s\n", "", "", "held for", "at first",
		"predicted:", "", "granted:");
	fprintf(out, "  %-8s %5s %12s %8s %10s %7s %8s\n", "", "cells", "1 B granted", "EAGAIN",
		"its error", "p90", "error");
	for (size_t v = 0; v < VARIANTS; v++) {
		size_t n = run_values(run, v, "held_bytes").n;

		if (n > 0)
			fprintf(out, "  %-8s %5zu %4.2f to %4.2f %8s %10s %7s %8s\n",
				variants[v].name, n,
				run_share(run, v, "held_bytes", "capacity_bytes", 0),
				run_share(run, v, "held_bytes", "capacity_bytes", 1),
				text_share(
					run_share(run, v, "first_full_bytes", "held_bytes", 0.5)),
				text_share(error_of(run, v, "predicted_bytes", 0.5)),
				text_share(error_of(run, v, "predicted_bytes", 0.9)),
				text_share(error_of(run, v, "capacity_bytes", 0.5)));
	}
	fputs("\n", out);
}

/* The median of what a cell held, over its write sizes and trials. */
static int64_t held_by(struct run *run, size_t variant, int64_t sndbuf, int64_t rcvbuf)
{
	struct values held = run_values_where(run, variant, "held_bytes",
					      (struct field[]){{"asked_sndbuf_bytes", sndbuf},
							       {"asked_rcvbuf_bytes", rcvbuf},
							       {0}});

	return (int64_t)stats_quantile(held, 0.5);
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

/* Rules that the queues were seen to follow: none is promised, so none is a control. */
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

	fprintf(out, "  %-50s %12s %12s\n", "once settled", "tcp", "tcp-veth");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		fprintf(out, "  %-50s", rules[i].rule);
		for (size_t v = 0; v < VARIANTS; v++) {
			struct values kept = run_values(run, v, rules[i].field);

			fprintf(out, " %12s",
				kept.n ? text_format("%zu/%zu", stats_nonzero(kept), kept.n) : "-");
		}
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* "on loopback to 1.4 % (p90 8.8 %)": the error of the prediction. */
static const char *told(struct run *run, size_t variant, const char *where)
{
	if (run_values(run, variant, "held_bytes").n == 0)
		return text_format("%s not measured", where);
	return text_format("%s to %s (p90 %s)", where,
			   text_share(error_of(run, variant, "predicted_bytes", 0.5)),
			   text_share(error_of(run, variant, "predicted_bytes", 0.9)));
}

static void judge(struct run *run)
{
	size_t all = 0, literal = 0, lost = 0;
	double least_held = INFINITY, most_held = 0;
	double errors[VARIANTS][2];

	for (size_t v = 0; v < VARIANTS; v++) {
		struct values held = run_values(run, v, "held_bytes");
		struct values granted = run_values(run, v, "capacity_bytes");

		all += held.n;
		for (size_t i = 0; i < held.n; i++)
			literal += held.at[i] == granted.at[i];
		lost += stats_nonzero(run_values(run, v, "missing_bytes")) +
			stats_nonzero(run_values(run, v, "misplaced_bytes"));
		least_held = fmin(least_held, run_share(run, v, "held_bytes", "capacity_bytes", 0));
		most_held = fmax(most_held, run_share(run, v, "held_bytes", "capacity_bytes", 1));
		errors[v][0] = error_of(run, v, "predicted_bytes", 0.5);
		errors[v][1] = error_of(run, v, "predicted_bytes", 0.9);
	}
	old_control(run, lost == 0, "bytes were lost or out of order in %zu of %zu fillings", lost,
		    all);
	old_verdict(run, "buf-tcp-capacity", literal == all ? HOLDS : REFUTED,
		    (struct field[]){{"fillings", (int64_t)all},
				     {"exactly_granted", (int64_t)literal},
				     {"least_of_granted", .real = &least_held},
				     {"most_of_granted", .real = &most_held},
				     {"tcp_median_error", .real = &errors[TCP][0]},
				     {"tcp_p90_error", .real = &errors[TCP][1]},
				     {"veth_median_error", .real = &errors[VETH][0]},
				     {"veth_p90_error", .real = &errors[VETH][1]},
				     {0}},
		    "held %.2g to %.2g times what both were granted, just that in %zu of %zu "
		    "fillings. Predicted: %s; %s",
		    least_held, most_held, literal, all, told(run, TCP, "on loopback"),
		    told(run, VETH, "over veth"));
}

static void report(struct run *run)
{
	const struct scale *scale = &scales[TCP][WRITES - 1];

	print_table(run);
	if (run_selected(run, TCP))
		print_grid(run, TCP);
	print_rules(run);
	judge(run);
	old_why(run,
		"a buffer's size limits memory, not bytes, and the kernel charges its book-keeping "
		"too%s. A send buffer still takes what begins below its limit.",
		scale->segment
			? text_format(": here %s for a segment of %s bytes",
				      text_count(scale->overhead), text_count(scale->segment))
			: "");
	if (no_cable)
		old_note(run, "tcp-veth is skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, VETH))
		cable = link_open((struct link_ask){0}, &no_cable);
	if (!cable && !run_selected(run, TCP))
		return run_skip(run, "%s", no_cable);
	for (size_t v = 0; v < VARIANTS && !run_stopped(); v++)
		if (run_selected(run, v) && (v != VETH || cable))
			calibrate(v);
	while (run_next(run))
		if (run_variant(run) != VETH || cable)
			measure(run, run_variant(run));
	if (cable)
		link_close(cable);
	return old_end(run, report);
}
