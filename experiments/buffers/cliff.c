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
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"
#include "text.h"

enum { AS_IS, QUICKACK, VARIANTS };
enum { SIZES = 8, CELLS = SIZES * SIZES, CHUNK = 64 << 10, PAUSE_NS = 10000000 };

static const struct variant variants[] = {
	[AS_IS] = {"as-is", "the receiver reads"},
	[QUICKACK] = {"quickack", "it asks for quick ACKs before each read (cure)"},
	{0}};

static const struct claim claims[] = {{"buf-cliff", "a bigger receive buffer is never slower"},
				      {0}};

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
	{'l', "limit", "a transfer is cut off then", .num = &limit_ms, .min = 20, .max = 10000,
	 .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "cliff",
	.group = "buffers",
	.summary = "Is a bigger receive buffer never slower?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
};

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

/* --- report ------------------------------------------------------------------ */

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

/* A cell that is much slower than one with a smaller receive buffer. */
struct drop {
	int64_t cell, smaller;  /* the fastest with a smaller receive buffer, else the same */
	struct interval slower; /* how many times */
	double speed, cured;    /* bytes a second; NAN = not measured */
	double pause_ns;        /* how long a pause is; NAN = there was none */
	double pause_acks;      /* sent in each */
	double paused;          /* share of the time; the last pause, cut off, is not counted */
};

static double times(double a, double b)
{
	return a / fmax(b, 1);
}

static double sum_of(struct run *run, int64_t cell, const char *field)
{
	return stats_sum(values_of(run, AS_IS, cell, field));
}

static struct drop drop_of(struct run *run, int64_t cell)
{
	struct drop d = {.cell = cell, .smaller = cell};
	struct values here = speeds(run, AS_IS, cell);
	double pauses = sum_of(run, cell, "pauses");
	double fastest = 0;
	struct values there;

	for (int64_t other = cell - cell % sizes; other < cell; other++) {
		double speed = stats_quantile(speeds(run, AS_IS, other), 0.5);

		if (speed > fastest) {
			fastest = speed;
			d.smaller = other;
		}
	}
	d.speed = stats_quantile(here, 0.5);
	d.cured = stats_quantile(speeds(run, QUICKACK, cell), 0.5);
	d.pause_ns = pauses > 0 ? sum_of(run, cell, "paused_ns") / pauses : NAN;
	d.pause_acks = pauses > 0 ? sum_of(run, cell, "pause_acks") / pauses : NAN;
	d.paused = sum_of(run, cell, "paused_ns") / sum_of(run, cell, "elapsed_ns");
	there = speeds(run, AS_IS, d.smaller);
	for (size_t i = 0; i < there.n; i++) /* of the same trial, in thousandths */
		there.at[i] = llround(1e3 * times((double)there.at[i], (double)here.at[i]));
	d.slower = stats_median(there);
	d.slower.mid /= 1e3;
	d.slower.low /= 1e3;
	d.slower.high /= 1e3;
	return d;
}

enum { STEEP = 4 }; /* times slower, the whole interval: far above what noise does */

static bool is_steep(const struct drop *d)
{
	return d->smaller != d->cell && d->slower.low >= STEEP;
}

static const char *mb_per_s(double speed)
{
	if (isnan(speed))
		return "-";
	return speed < 1e7 ? text_format("%.1f", speed / 1e6)
			   : text_count((int64_t)(speed / 1e6 + 0.5));
}

static void print_grid(struct run *run, size_t variant)
{
	FILE *out = run_out(run);

	fprintf(out, "\n  %s, MB/s by SO_SNDBUF (down) and SO_RCVBUF (across) asked for\n  %8s",
		variants[variant].name, "");
	for (int64_t j = 0; j < sizes; j++)
		fprintf(out, " %7s", text_bytes(size_of(j)));
	for (int64_t cell = 0; cell < sizes * sizes; cell++) {
		if (cell % sizes == 0)
			fprintf(out, "\n  %8s", text_bytes(size_of(cell / sizes)));
		fprintf(out, " %7s", mb_per_s(stats_quantile(speeds(run, variant, cell), 0.5)));
	}
	fputs("\n", out);
}

static void print_drops(struct run *run, const struct drop *drops, size_t n)
{
	FILE *out = run_out(run);

	if (n == 0)
		return;
	fprintf(out, "\n  %7s %8s %5s %7s %14s %9s %6s %4s %8s\n", "asked", "asked", "", "faster",
		"times slower", "pauses", "of the", "ACKs", "quickack");
	fprintf(out, "  %7s %8s %5s %7s %14s %9s %6s %4s %8s\n", "SNDBUF", "RCVBUF", "MB/s", "with",
		"(95 %)", "take", "time", "each", "MB/s");
	for (const struct drop *d = drops; d < drops + n; d++)
		fprintf(out, "  %7s %8s %5s %7s %14s %9s %6s %4s %8s\n",
			text_bytes(size_of(d->cell / sizes)), text_bytes(size_of(d->cell % sizes)),
			mb_per_s(d->speed), text_bytes(size_of(d->smaller % sizes)),
			text_format("%.0f (%.0f-%.0f)", d->slower.mid, d->slower.low,
				    d->slower.high),
			isnan(d->pause_ns) ? "-" : text_time(d->pause_ns), text_share(d->paused),
			isnan(d->pause_acks) ? "-" : text_format("%.1f", d->pause_acks),
			mb_per_s(d->cured));
}

static void judge(struct run *run, const struct drop *drops, size_t n)
{
	const struct drop *worst = drops;
	int64_t cells = sizes * sizes;
	double cure;

	for (size_t i = 1; i < n; i++)
		if (drops[i].slower.low > worst->slower.low)
			worst = &drops[i];
	if (n == 0) {
		old_verdict(run, "buf-cliff", HOLDS,
			    (struct field[]){{"cells", cells}, {"slow_cells", 0}, {0}},
			    "none of %lld cells was more than %d times slower than one with a "
			    "smaller receive buffer",
			    (long long)cells, STEEP);
		return;
	}
	cure = times(worst->cured, worst->speed);
	old_verdict(
		run, "buf-cliff", REFUTED,
		(struct field[]){{"cells", cells},
				 {"slow_cells", (int64_t)n},
				 {"sndbuf_bytes", size_of(worst->cell / sizes)},
				 {"rcvbuf_bytes", size_of(worst->cell % sizes)},
				 {"smaller_rcvbuf_bytes", size_of(worst->smaller % sizes)},
				 {"times_slower", .real = &worst->slower.mid},
				 {"times_slower_low", .real = &worst->slower.low},
				 {"times_slower_high", .real = &worst->slower.high},
				 {"pause_ns", .real = &worst->pause_ns},
				 {"acks_each_pause", .real = &worst->pause_acks},
				 {"paused_share", .real = &worst->paused},
				 {"quickack_times_faster", .real = &cure},
				 {0}},
		"%zu of %lld cells are slow: SNDBUF %s with RCVBUF %s moves %s MB/s, %.0f "
		"times less than with %s (95 %% interval %.0f to %.0f), and pauses for "
		"%s%s",
		n, (long long)cells, text_bytes(size_of(worst->cell / sizes)),
		text_bytes(size_of(worst->cell % sizes)), mb_per_s(worst->speed), worst->slower.mid,
		text_bytes(size_of(worst->smaller % sizes)), worst->slower.low, worst->slower.high,
		isnan(worst->pause_ns) ? "less than 10 ms"
				       : text_format("%s until an ACK", text_time(worst->pause_ns)),
		isnan(worst->cured)
			? ""
			: text_format("; TCP_QUICKACK makes it %.0f times faster", cure));
}

static void report(struct run *run)
{
	struct drop drops[CELLS];
	size_t n = 0;

	run_say(run,
		"TCP on loopback, both sides as fast as they can: %s a transfer, cut off after "
		"%lld ms. Medians of %zu trials.",
		text_bytes(total), (long long)limit_ms,
		run_values(run, run_selected(run, AS_IS) ? AS_IS : QUICKACK, "acks").n /
			(size_t)(sizes * sizes));
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values missing = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		if (run_selected(run, v))
			print_grid(run, v);
		old_control(run, stats_nonzero(missing) + stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu transfers",
			    variants[v].name, stats_nonzero(missing) + stats_nonzero(misplaced),
			    missing.n);
	}
	for (int64_t cell = 0; cell < sizes * sizes && run_selected(run, AS_IS); cell++) {
		drops[n] = drop_of(run, cell);
		n += is_steep(&drops[n]);
	}
	print_drops(run, drops, n);
	fputs("\n", run_out(run));
	if (run_selected(run, AS_IS))
		judge(run, drops, n);
	if (n > 0)
		old_why(run,
			"the receiver puts off its ACK: too little of its large buffer came in to "
			"make it hurry. The sender's small buffer is full of bytes that wait for "
			"that ACK. Both wait for the delayed ACK's timer.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure_all(run);
	return old_end(run, report);
}
