/* SPDX-License-Identifier: MIT */
/*
 * cliff - is a bigger receive buffer never slower?
 *
 * A sender and a receiver, each as fast as it can, over TCP on loopback, for every combination of
 * sizes asked for as SO_SNDBUF and SO_RCVBUF:
 *
 *	as-is      as a program would do it;
 *	quickack   the same, but the receiver asks for immediate acknowledgements (TCP_QUICKACK)
 *	           again before each read, as the kernel forgets it.
 *
 * A receiver acknowledges at once when a good part of its buffer has come in, else it waits, some
 * 40 ms, for something to send along.  A sender whose own buffer is smaller than that part has
 * then nothing left to send: it waits for the acknowledgement, and the receiver for more.  A
 * bigger receive buffer makes that part bigger, and so the transfer slower.
 *
 * A slow cell is cut off after a while, and its speed is that of the bytes it moved until then.
 */
#include <err.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"

enum { AS_IS, QUICKACK, VARIANTS };
enum { SIZES = 8, CELLS = SIZES * SIZES, CHUNK = 64 << 10, PAUSE_NS = 10000000 };

static const struct variant variants[] = {
	[AS_IS] = {"as-is", "the receiver reads"},
	[QUICKACK] = {"quickack", "it asks for quick ACKs before each read"},
	{0}};

static const struct claim claims[] = {
	{"buf-cliff", "a bigger receive buffer is never slower", "as-is=quickack", HOLDS,
	 .why = {[REFUTED] =
			 "a receiver sends its ACK once a good part of its buffer has come in, else when the delayed ACK's timer runs out; TCP_QUICKACK does away with that. A small send buffer is full before such a part is out, and its bytes stay until their ACK."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_sndbuf_bytes", "SO_SNDBUF asked for", "SO_SNDBUF", .key = true},
	{"asked_rcvbuf_bytes", "SO_RCVBUF asked for"},
	{"granted_sndbuf_bytes", "SO_SNDBUF granted"},
	{"granted_rcvbuf_bytes", "SO_RCVBUF granted"},
	{"moved_bytes", "received before the limit", .per = "elapsed_ns"},
	{"elapsed_ns", "from the receiver's begin to its last byte, or the limit"},
	{"acks", "sent by the receiver meanwhile"},
	{"pauses", "reads that took 10 ms or longer"},
	{"paused_ns", "in such reads: of elapsed_ns"},
	{"pause_acks", "ACKs sent in a pause, or by the read that ended it"},
	{"segments", "sent with data"},
	{"missing_bytes", "sent and not received", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"cpu_ns", "CPU time of both threads"},
	{0}};

static const struct bound bounds[] = {
	{"steep_times", 4, "far above what noise does to a transfer of a few ms"}, {0}};

static int64_t sizes = 6;
static int64_t least = 8 << 10;
static int64_t most = 1 << 20;
static int64_t total = 2 << 20;
static int64_t limit_ms = 90;
static const char *congestion;

static const struct opt opts[] = {
	{'n', "sizes", "how many sizes of each buffer", .num = &sizes, .min = 2, .max = SIZES,
	 .quick = 3},
	{0, "least", "the smallest size asked for", .num = &least, .min = 1024, .max = 64 << 10,
	 .unit = OPT_BYTES},
	{0, "most", "the largest size asked for", .num = &most, .min = 128 << 10, .max = 4 << 20,
	 .unit = OPT_BYTES},
	{'b', "total", "bytes of one transfer", .num = &total, .min = 256 << 10, .max = 1 << 30,
	 .unit = OPT_BYTES},
	{'l', "limit", "a transfer is cut off then", .num = &limit_ms, .min = 20, .quick = 30,
	 .max = 10000, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

/* --- one transfer ------------------------------------------------------------ */

struct transfer {
	struct net_pair fd;
	bool quickack;
	int64_t deadline_ns; /* CLOCK_MONOTONIC */
	int64_t sent, received, misplaced;
	int64_t first_ns, last_ns; /* when the receiver began, and had all or ran out of time */
	int64_t in_time;           /* bytes it had by then */
	int64_t acks;              /* it sent meanwhile */
	int64_t pauses, paused_ns; /* when nothing came in for PAUSE_NS or more */
	int64_t pause_acks;        /* of these, sent in a pause or by the read that ended it */
};

/* Until all is sent or the time is over; then the end of the stream ends the receiver. */
static void send_all(void *argument)
{
	struct transfer *t = argument;
	uint8_t buffer[CHUNK];

	while (t->sent < total && span_now() < t->deadline_ns && !run_stopped()) {
		int64_t left = total - t->sent < CHUNK ? total - t->sent : CHUNK;
		ssize_t n;

		pattern_fill(buffer, (size_t)left, (uint64_t)t->sent);
		n = net_send_now(t->fd.tx, buffer, (size_t)left);
		if (n < 0)
			run_wait_fd(t->fd.tx, POLLOUT, t->deadline_ns);
		else
			t->sent += n;
	}
	shutdown(t->fd.tx, SHUT_WR);
}

/* Acknowledgements, as the receiver sends nothing else. */
static int64_t acks_of(int fd)
{
	return tcpinfo_read(fd).segs_out;
}

/* Counts what a read that began then brought; what comes after the limit is only compared. */
static void count_in(struct transfer *t, int64_t begin_ns)
{
	int64_t now_ns = span_now();
	int64_t acks;

	if (t->in_time == total || t->last_ns >= t->deadline_ns)
		return;
	if (now_ns > t->deadline_ns) {
		t->last_ns = t->deadline_ns;
		return;
	}
	acks = acks_of(t->fd.rx);
	if (now_ns - begin_ns >= PAUSE_NS) {
		t->pauses++;
		t->paused_ns += now_ns - begin_ns;
		t->pause_acks += acks - t->acks;
	}
	t->acks = acks;
	t->in_time = t->received;
	t->last_ns = now_ns;
}

static void receive_all(void *argument)
{
	struct transfer *t = argument;
	uint8_t buffer[CHUNK];
	int64_t before = acks_of(t->fd.rx);
	ssize_t n = 1;

	t->acks = before;
	t->first_ns = t->last_ns = span_now();
	while (n > 0) {
		int64_t begin_ns = span_now();

		if (t->quickack)
			net_set(t->fd.rx, IPPROTO_TCP, TCP_QUICKACK, 1);
		n = recv(t->fd.rx, buffer, CHUNK, 0);
		if (n < 0)
			err(EXIT_USAGE, "recv");
		t->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)t->received);
		t->received += n;
		count_in(t, begin_ns);
	}
	t->acks -= before;
}

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

static void measure(struct run *run, size_t variant, int64_t sndbuf, int64_t rcvbuf)
{
	struct transfer t = {.fd = net_pair(NET_TCP, (struct net_ask){sndbuf, rcvbuf, congestion}),
			     .quickack = variant == QUICKACK,
			     .deadline_ns = span_now() + limit_ms * 1000000};
	int64_t granted[] = {net_sndbuf(t.fd.tx), net_rcvbuf(t.fd.rx)};
	struct team team;
	struct span all;

	team_start_two(&team, TEAM_SPREAD, send_all, receive_all, &t);
	all = team_join(&team);
	t.sent += run_sham(run, "lose");
	run_record(run, (struct field[]){{"asked_sndbuf_bytes", sndbuf},
					 {"asked_rcvbuf_bytes", rcvbuf},
					 {"granted_sndbuf_bytes", granted[0]},
					 {"granted_rcvbuf_bytes", granted[1]},
					 {"moved_bytes", t.in_time},
					 {"elapsed_ns", t.last_ns - t.first_ns},
					 {"acks", t.acks},
					 {"pauses", t.pauses},
					 {"paused_ns", t.paused_ns},
					 {"pause_acks", t.pause_acks},
					 {"segments", tcpinfo_read(t.fd.tx).data_out},
					 {"missing_bytes", t.sent - t.received},
					 {"misplaced_bytes", t.misplaced},
					 {"cpu_ns", all.cpu_ns},
					 {0}});
	net_close(&t.fd);
}

/* All cells of the grid, in random order. */
static void measure_all(struct run *run)
{
	struct rng rng = {(uint64_t)run_trial(run) * VARIANTS + run_variant(run)};
	size_t order[CELLS];

	for (size_t i = 0; i < (size_t)(sizes * sizes); i++)
		order[i] = i;
	rng_shuffle(&rng, order, (size_t)(sizes * sizes));
	for (int64_t i = 0; i < sizes * sizes && !run_stopped(); i++) {
		int64_t cell = (int64_t)order[i];

		measure(run, run_variant(run), size_of(cell / sizes), size_of(cell % sizes));
	}
}

/* --- judge --------------------------------------------------------------- */

/* One field of a cell's samples, in the order of the trials. */
static struct values values_of(struct run *run, size_t variant, int64_t cell, const char *field)
{
	return run_values_where(run, variant, field,
				(struct field[]){{"asked_sndbuf_bytes", size_of(cell / sizes)},
						 {"asked_rcvbuf_bytes", size_of(cell % sizes)},
						 {0}});
}

/* Bytes a second, in every trial. */
static struct values speeds(struct run *run, size_t variant, int64_t cell)
{
	struct values moved = values_of(run, variant, cell, "moved_bytes");
	struct values elapsed = values_of(run, variant, cell, "elapsed_ns");

	for (size_t i = 0; i < moved.n; i++)
		moved.at[i] = llround((double)moved.at[i] * 1e9 /
				      (double)(elapsed.at[i] > 0 ? elapsed.at[i] : 1));
	return moved;
}

/* The fastest cell with as large a send buffer and a smaller receive buffer. */
static int64_t fastest_smaller(struct run *run, int64_t cell)
{
	int64_t fastest = cell - cell % sizes;
	double best = stats_quantile(speeds(run, AS_IS, fastest), 0.5);

	for (int64_t other = fastest + 1; other < cell; other++) {
		double speed = stats_quantile(speeds(run, AS_IS, other), 0.5);

		if (speed > best) {
			fastest = other;
			best = speed;
		}
	}
	return fastest;
}

/* How many times slower a cell is than that one, round by round. */
static struct interval slower_times(struct run *run, int64_t cell)
{
	return run_ratio(run, speeds(run, AS_IS, fastest_smaller(run, cell)),
			 speeds(run, AS_IS, cell));
}

/* What the pauses of a cell are made of, and what takes them away. */
static void note_pauses(struct run *run, int64_t cell)
{
	double pauses = stats_sum(values_of(run, AS_IS, cell, "pauses"));
	double paused_ns = stats_sum(values_of(run, AS_IS, cell, "paused_ns"));
	double elapsed_ns = stats_sum(values_of(run, AS_IS, cell, "elapsed_ns"));

	run_note(
		run,
		"that pair pauses for {paused_share} of its time: {pauses} times, for {pause_ns}; in pauses, and in reads that ended one, the receiver sent {acks} ACKs",
		number_real("paused_share", paused_ns / elapsed_ns), number_real("pauses", pauses),
		number_real("pause_ns", paused_ns / pauses),
		number_real("acks", stats_sum(values_of(run, AS_IS, cell, "pause_acks"))));
	if (run_selected(run, QUICKACK))
		run_note(run, "with TCP_QUICKACK it is {cure} times as fast",
			 number_interval("cure", run_ratio(run, speeds(run, QUICKACK, cell),
							   speeds(run, AS_IS, cell))));
}

static void judge(struct run *run)
{
	double steep = run_bound(run, "steep_times");
	enum verdict never = HOLDS;
	struct share cut =
		share_within(run_values(run, AS_IS, "moved_bytes"), 0, (double)total - 1);
	struct interval worst = {NAN, NAN, NAN, 0};
	int64_t slow = 0;
	int64_t at = 1;

	for (int64_t cell = 0; cell < sizes * sizes; cell++) {
		struct interval times = slower_times(run, cell);

		if (cell % sizes == 0)
			continue; /* the smallest receive buffer */
		never = all_of(never, is_below(times, steep));
		slow += is_above(times, steep) == HOLDS;
		if (!(times.mid <= worst.mid)) {
			worst = times;
			at = cell;
		}
	}
	/* What was cut off may have been slower still; a machine may be too slow to tell. */
	if (never == HOLDS && cut.k > 0)
		never = UNCLEAR;
	never = run_judge(
		run, "buf-cliff", never,
		never == REFUTED
			? MESSAGE("{slow} of {larger} pairs are more than {steep} times slower than one with a smaller receive buffer: SO_SNDBUF {sndbuf_bytes} with SO_RCVBUF {rcvbuf_bytes} moves {moved_bytes_per_s}, {worst} times less than with {smaller_bytes}")
			: MESSAGE("none of {larger} pairs was shown to be {steep} times slower than one with a smaller receive buffer: at worst {worst} times, SO_SNDBUF {sndbuf_bytes} with SO_RCVBUF {rcvbuf_bytes} instead of {smaller_bytes}"),
		number_int("slow", slow), number_int("larger", sizes * (sizes - 1)),
		number_real("steep", steep), number_interval("worst", worst),
		number_int("sndbuf_bytes", size_of(at / sizes)),
		number_int("rcvbuf_bytes", size_of(at % sizes)),
		number_int("smaller_bytes", size_of(fastest_smaller(run, at) % sizes)),
		number_real("moved_bytes_per_s", stats_quantile(speeds(run, AS_IS, at), 0.5)));
	if (never == REFUTED)
		note_pauses(run, at);
}

static void draw(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++) {
		if (!run_selected(run, v))
			continue;
		run_say(run,
			"%s: speed by SO_SNDBUF (down) and SO_RCVBUF (across) asked for, the median of the trials",
			variants[v].name);
		run_grid(run, (int)v, "moved_bytes", "asked_sndbuf_bytes", "asked_rcvbuf_bytes");
		fputc('\n', run_out(run));
	}
}

static const struct experiment about = {
	.name = "cliff",
	.group = "buffers",
	.order = 305,
	.summary = "Is a bigger receive buffer never slower?",
	.intro =
		"TCP on loopback, both sides as fast as they can: {total_bytes} a transfer, cut off after {limit_ms}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure_all(run);
	return run_end(run);
}
