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
 * compared with what it then held: on loopback, or to another host, and over a cable with Ethernet's
 * frames (link.h).
 */
#include <linux/tcp.h>
#include <math.h>
#include <sys/socket.h>

#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "filling.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "tcpinfo.h"

enum { TCP, VETH, VARIANTS };
enum { SIZES = 12, WRITES = 2, CELLS = SIZES * SIZES * WRITES };

static const struct variant variants[] = {
	[TCP] = {"tcp", "TCP on loopback, or to another host"},
	[VETH] = {"tcp-veth", "TCP over a cable with frames of 1,500 bytes"},
	{0}};

static const int64_t writes[WRITES] = {1024, 16384}; /* bytes of one write */

static const struct claim claims[] = {
	{"buf-tcp-capacity", "a TCP connection holds as many bytes as its two buffers are large",
	 "literal", HOLDS,
	 .why = {[REFUTED] =
			 "a buffer's size limits memory, not bytes, and the kernel charges its book-keeping too. A send buffer still takes what begins below its limit."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_sndbuf_bytes", "SO_SNDBUF asked for"},
	{"asked_rcvbuf_bytes", "SO_RCVBUF asked for"},
	{"write_bytes", "size of one write"},
	{"granted_sndbuf_bytes", "SO_SNDBUF granted"},
	{"granted_rcvbuf_bytes", "SO_RCVBUF granted"},
	{"held_bytes", "once settled", "held of what|is granted", SHOW_RANGE, "capacity_bytes"},
	{"first_full_bytes", "accepted at the first EAGAIN", "at first|EAGAIN", SHOW_MEDIAN,
	 "held_bytes"},
	{"predicted_error_bytes", "how far the prediction is off", "prediction's|error",
	 SHOW_MEDIAN, "held_bytes"},
	{"literal", "1: just as many as granted", "as|granted", SHOW_NONZERO},
	{"capacity_bytes", "granted to both buffers"},
	{"predicted_bytes", "computed before it was filled"},
	{"outq_bytes", "in the send queue then (SIOCOUTQ)"},
	{"inq_bytes", "in the receive queue then (SIOCINQ)"},
	{"wmem_bytes", "what the sender is charged with"},
	{"rmem_bytes", "what the receiver is charged with"},
	{"missing_bytes", "accepted and not read", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "read at another place than written", .zero = true, .sham = "disorder"},
	{"accounted", "1: accepted = outq + inq", "accepted =|outq + inq", SHOW_NONZERO},
	{"wmem_in_bounds", "1: sndbuf <= wmem_queued <= sndbuf + one segment",
	 "wmem <= sndbuf|+ a segment", SHOW_NONZERO},
	{"whole_overheads", "1: wmem_queued - outq is a multiple of one segment's overhead",
	 "whole|overheads", SHOW_NONZERO},
	{"inq_in_bounds", "1: inq <= rcvbuf", "inq <=|rcvbuf", SHOW_NONZERO},
	{"rmem_in_bounds", "1: rmem_alloc <= rcvbuf", "rmem <=|rcvbuf", SHOW_NONZERO},
	{0}};

static const struct bound bounds[] = {
	{"enough_fillings", 8, "two sizes of each buffer and of a write, at least"}, {0}};

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

static struct link *cable;   /* NULL: this machine has none */
static const char *no_cable; /* why */

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

static struct peer *far;

/* What the far half is told: how many receivers it holds; a sham. */
struct orders {
	int64_t pairs, loses;
};

/* The far half: receivers that read nothing until the senders have filled them all. */
static void hold(struct peer *near)
{
	struct filling_receiver *receivers;
	struct orders orders;
	char byte;

	peer_hear(near, &orders, sizeof(orders));
	peer_within(orders.pairs, 1, CELLS);
	receivers = check_alloc(calloc((size_t)orders.pairs, sizeof(*receivers)));
	for (int64_t i = 0; i < orders.pairs; i++)
		filling_accept(&receivers[i], near);
	filling_answer(near, receivers, (size_t)orders.pairs);
	if (orders.loses)
		check_fd((int)read(receivers[0].fd, &byte, 1), "read");
	filling_empty(near, receivers, (size_t)orders.pairs);
	free(receivers);
}

static void begin(int64_t pairs, bool loses)
{
	struct orders orders = {pairs, loses};

	peer_begin(far, hold, TEAM_FREE);
	peer_say(far, &orders, sizeof(orders));
}

static void connect_one(struct filling *f, size_t variant, int64_t sndbuf, int64_t rcvbuf,
			int64_t write)
{
	filling_connect(f, far, variant == VETH ? cable : NULL, NET_TCP,
			(struct net_ask){sndbuf, rcvbuf, congestion}, write);
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

	begin(WRITES * PAIRS, false);
	for (size_t w = 0; w < WRITES; w++) {
		struct filling *f = fillings[w];

		connect_one(&f[NARROW], variant, 1, large, writes[w]);
		connect_one(&f[WIDE], variant, large, large, writes[w]);
		connect_one(&f[CONNECTED], variant, 1, least, writes[w]);
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
	}
	filling_drain(fillings[0], (size_t)WRITES * PAIRS);
	peer_end(far);
	for (size_t w = 0; w < WRITES; w++)
		for (size_t i = 0; i < PAIRS; i++)
			filling_end(&fillings[w][i]);
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
				connect_one(&fillings[n], variant, cell->sndbuf, cell->rcvbuf,
					    writes[w]);
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
				{"literal",
				 f->accepted == (run_sham(run, "literal") ? f->accepted
									  : filling_capacity(f))},
				{"predicted_error_bytes", llabs(cell->predicted - f->accepted)},
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
	size_t n;

	begin(sizes * sizes * WRITES, run_sham(run, "lose"));
	n = open_cells(variant, cells, fillings);
	filling_fill(fillings, n, settle_ms);
	filling_drain(fillings, n);
	peer_end(far);
	for (size_t i = 0; i < n; i++) {
		record(run, &cells[i], &fillings[i]);
		filling_end(&fillings[i]);
	}
}

/* --- judge --------------------------------------------------------------- */

static struct number off_by(struct run *run, const char *name, size_t variant)
{
	return number_real(name,
			   run_share(run, variant, "predicted_error_bytes", "held_bytes", 0.5));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_fillings");
	const struct scale *scale = &scales[TCP][WRITES - 1];
	struct share literal = {0};

	for (size_t v = 0; v < VARIANTS; v++)
		if (run_selected(run, v))
			literal = share_add(literal, run_nonzero(run, v, "literal"));
	if (peer_remote(far)) {
		run_judge(
			run, "buf-tcp-capacity", always_happens(literal, enough),
			"held just what was granted in {literal} fillings to another host. The prediction was off by {tcp_share} (median); a segment of {segment_bytes} is charged with {overhead_bytes} more",
			number_share("literal", literal), off_by(run, "tcp_share", TCP),
			number_int("segment_bytes", scale->segment),
			number_int("overhead_bytes", scale->overhead));
		return;
	}
	run_judge(
		run, "buf-tcp-capacity", always_happens(literal, enough),
		"held just what was granted in {literal} fillings. The prediction was off by {tcp_share} on loopback (median) and {veth_share} over veth; a segment of {segment_bytes} is charged with {overhead_bytes} more",
		number_share("literal", literal), off_by(run, "tcp_share", TCP),
		off_by(run, "veth_share", VETH), number_int("segment_bytes", scale->segment),
		number_int("overhead_bytes", scale->overhead));
}

static void draw(struct run *run)
{
	if (!run_selected(run, TCP))
		return;
	if (peer_remote(far))
		run_say(run,
			"To another host: bytes held, by SO_SNDBUF (down) and SO_RCVBUF (across) asked for:");
	else
		run_say(run,
			"On loopback: bytes held, by SO_SNDBUF (down) and SO_RCVBUF (across) asked for:");
	run_grid(run, TCP, "held_bytes", "asked_sndbuf_bytes", "asked_rcvbuf_bytes");
	fputc('\n', run_out(run));
}

static void (*const halves[])(struct peer *near) = {hold, NULL};

static const struct experiment about = {
	.name = "atlas_tcp",
	.group = "buffers",
	.order = 307,
	.summary = "What do TCP's two buffers hold together, and can it be told beforehand?",
	.intro =
		"Every pair of {sizes} sizes from {least_bytes} to {most_bytes} is asked for; writes of 1 and 16 KiB. Nobody reads.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.limit_s = 600,
	.halves = halves,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	if (peer_remote(far))
		run_leave_out(run, VETH, "the peer is on another host");
	else if (run_selected(run, VETH))
		cable = link_open((struct link_ask){0}, &no_cable);
	if (no_cable)
		run_leave_out(run, VETH, "%s", no_cable);
	for (size_t v = 0; v < VARIANTS && !run_stopped(); v++)
		if (run_selected(run, v))
			calibrate(v);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, run_variant(run));
	if (cable)
		link_close(cable);
	return run_end(run);
}
