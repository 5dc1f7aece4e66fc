/* SPDX-License-Identifier: MIT */
/*
 * cliff - is a bigger receive buffer never slower?
 *
 * A sender and a receiver, each as fast as it can, over TCP, for every combination of sizes asked for
 * as SO_SNDBUF and SO_RCVBUF:
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
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "rng.h"
#include "span.h"
#include "tcpinfo.h"

enum { AS_IS, QUICKACK, VARIANTS };
enum { SIZES = 8, CELLS = SIZES * SIZES, CHUNK = 64 << 10 };
enum { MS = 1000000, PAUSE_NS = 10 * MS /* and a round trip */ };

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
	{"elapsed_ns",
	 "from the receiver's begin, of which it tells the sender, to its last byte, or the limit"},
	{"acks", "sent by the receiver meanwhile"},
	{"pauses", "reads that took 10 ms and a round trip or longer"},
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

static struct peer *far;

/* --- the receiver: the far half ----------------------------------------------- */

/* What it saw of a transfer. */
struct seen {
	int64_t granted_rcvbuf, received, misplaced;
	int64_t in_time, elapsed_ns; /* what it had by then: when it had all, or at the limit */
	int64_t acks;                /* it sent meanwhile */
	int64_t pauses, paused_ns;   /* when nothing came in for PAUSE_NS or more */
	int64_t pause_acks;          /* of these, sent in a pause or by the read that ended it */
	int64_t cpu_ns;
};

/* Counts what a read has brought since then; what comes after the limit is only compared. */
static void count_in(struct seen *seen, int fd, int64_t read_ns, int64_t elapsed_ns)
{
	struct tcpinfo info;

	if (seen->in_time == total || seen->elapsed_ns == limit_ms * MS)
		return;
	if (elapsed_ns >= limit_ms * MS) {
		seen->elapsed_ns = limit_ms * MS;
		return;
	}
	info = tcpinfo_read(fd);
	if (read_ns >= PAUSE_NS + info.min_rtt) {
		seen->pauses++;
		seen->paused_ns += read_ns;
		seen->pause_acks += info.segs_out - seen->acks;
	}
	seen->acks = info.segs_out;
	seen->in_time = seen->received;
	seen->elapsed_ns = elapsed_ns;
}

/* Begins, says so, and reads to the end of the stream. */
static void receive_all(struct peer *near)
{
	struct seen seen = {0};
	uint8_t buffer[CHUNK];
	int64_t quickack, before;
	struct span all;
	ssize_t n = 1;
	int fd;

	peer_hear(near, &quickack, sizeof(quickack));
	fd = peer_accept(near);
	seen.granted_rcvbuf = net_rcvbuf(fd);
	seen.acks = before = tcpinfo_read(fd).segs_out; /* it sends nothing but ACKs */
	span_begin(&all);
	peer_say(near, NULL, 0);
	while (n > 0) {
		int64_t begin_ns = span_now(), now_ns;

		if (quickack)
			net_set(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
		n = recv(fd, buffer, CHUNK, 0);
		if (n < 0)
			peer_failed("recv");
		seen.misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)seen.received);
		seen.received += n;
		now_ns = span_now();
		count_in(&seen, fd, now_ns - begin_ns, now_ns - all.begin_ns);
	}
	span_end(&all);
	seen.acks -= before;
	seen.cpu_ns = all.cpu_ns;
	peer_say(near, &seen, sizeof(seen));
	close(fd);
}

static void (*const halves[])(struct peer *near) = {receive_all, NULL};

/* --- the sender: the near half ------------------------------------------------ */

/* Until all is sent or the time is over, later than the receiver's; then the end of the stream ends it. */
static int64_t send_all(int fd)
{
	int64_t deadline_ns = span_now() + limit_ms * MS;
	uint8_t buffer[CHUNK];
	int64_t sent = 0;

	while (sent < total && span_now() < deadline_ns && !run_stopped()) {
		int64_t left = total - sent < CHUNK ? total - sent : CHUNK;
		ssize_t n;

		pattern_fill(buffer, (size_t)left, (uint64_t)sent);
		n = send(fd, buffer, (size_t)left, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			sent += n;
		} else if (errno == EAGAIN) {
			run_wait_fd(fd, POLLOUT, deadline_ns);
		} else {
			net_must_be_closed("send");
			break;
		}
	}
	shutdown(fd, SHUT_WR);
	return sent;
}

static int64_t size_of(int64_t i)
{
	return net_grid_size(least, most, i, sizes);
}

static void measure(struct run *run, size_t variant, int64_t sndbuf, int64_t rcvbuf)
{
	struct net_ask ask = {sndbuf, rcvbuf, congestion};
	int64_t quickack = variant == QUICKACK;
	struct net_pair fd;
	int64_t granted_sndbuf, sent;
	struct seen seen;
	struct span all;

	peer_begin(far, receive_all, TEAM_SPREAD);
	peer_say(far, &quickack, sizeof(quickack));
	fd = peer_connect(far, NULL, NET_TCP, ask);
	granted_sndbuf = net_sndbuf(fd.tx);
	peer_hear(far, NULL, 0);
	span_begin(&all);
	sent = send_all(fd.tx);
	span_end(&all);
	peer_hear(far, &seen, sizeof(seen));
	peer_end(far);
	run_record(run,
		   (struct field[]){{"asked_sndbuf_bytes", sndbuf},
				    {"asked_rcvbuf_bytes", rcvbuf},
				    {"granted_sndbuf_bytes", granted_sndbuf},
				    {"granted_rcvbuf_bytes", seen.granted_rcvbuf},
				    {"moved_bytes", seen.in_time},
				    {"elapsed_ns", seen.elapsed_ns},
				    {"acks", seen.acks},
				    {"pauses", seen.pauses},
				    {"paused_ns", seen.paused_ns},
				    {"pause_acks", seen.pause_acks},
				    {"segments", tcpinfo_read(fd.tx).data_out},
				    {"missing_bytes", sent + run_sham(run, "lose") - seen.received},
				    {"misplaced_bytes", seen.misplaced},
				    {"cpu_ns", all.cpu_ns + seen.cpu_ns},
				    {0}});
	net_close(&fd);
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
	bool cut_off;
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
	/* What was cut off may have been slower still; a machine or a link may be too slow to tell. */
	cut_off = never == HOLDS && cut.k > 0;
	if (cut_off)
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
	if (cut_off)
		run_note(
			run,
			"{cut} transfers were cut off after {limit_ms}: a longer --limit may decide",
			number_share("cut", cut), number_int("limit_ms", limit_ms));
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
		"TCP {where}, both sides as fast as they can: {total_bytes} a transfer, cut off after {limit_ms}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.halves = halves,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure_all(run);
	return run_end(run);
}
