/* SPDX-License-Identifier: MIT */
/*
 * fill - how many bytes fit between a sender that never waits and a receiver that never reads?
 *
 * A non-blocking sender writes until the kernel says EAGAIN, waits until nothing more fits, and
 * only then is everything read and compared, byte for byte, with what was written.  The first
 * EAGAIN is not yet full: TCP moves bytes on to the receiver, and its default buffer grows
 * meanwhile.
 *
 * Each kind of socket, and the pipe, is filled with buffers of the default size and of three
 * sizes asked for. UDP has no EAGAIN on loopback: it takes every datagram and drops what does not
 * fit, so there the first drop is what is counted.
 */
#include "exp.h"
#include "old.h"
#include "filling.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { MIB = 1 << 20, NAME = 24, KINDS = 5, SIZES = 4, CELLS = KINDS * SIZES };

/* What is filled, and whose buffers what it holds is charged to. */
static const struct kind {
	const char *name;
	enum net_kind net;
	bool charges_sender, charges_receiver;
} kinds[KINDS] = {{"tcp", NET_TCP, true, true},
		  {"unix-stream", NET_UNIX_STREAM, true, false},
		  {"unix-dgram", NET_UNIX_DGRAM, true, false},
		  {"udp", NET_UDP, false, true},
		  {"pipe", NET_PIPE, true, false}};

static const struct size {
	const char *name;
	int64_t bytes;
} sizes[SIZES] = {{"default", 0}, {"4K", 4 << 10}, {"64K", 64 << 10}, {"1M", MIB}};

/* Variant i is kinds[i / SIZES] with sizes[i % SIZES]; main() fills the names in. */
static char names[CELLS][NAME];
static struct variant variants[CELLS + 1];

static const struct claim claims[] = {
	{"buf-fifo", "a socket buffer is a first-in first-out queue of bytes"}, {0}};

static int64_t write_size = 16 << 10;
static int64_t datagram = 1 << 10;
static int64_t settle_ms = 400;
static const char *congestion;

static const struct opt opts[] = {
	{'w', "write", "size of one write to a stream", .num = &write_size, .min = 1, .max = MIB,
	 .unit = OPT_BYTES},
	{'d', "datagram", "size of one datagram", .num = &datagram, .min = 8, .max = 65507,
	 .unit = OPT_BYTES},
	{'s', "settle", "TCP is full when nothing fitted for so long", .num = &settle_ms, .min = 50,
	 .quick = 100, .max = 10000, .unit = OPT_MS},
	{0, "congestion", "congestion control of TCP, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "fill",
	.group = "buffers",
	.summary = "How many bytes fit into the buffers of a connection nobody reads from?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
};

/* --- one trial ----------------------------------------------------------- */

static void measure(struct run *run, const struct kind *kind, const struct size *size)
{
	struct net_ask ask = {size->bytes, size->bytes, congestion};
	int64_t begin_ns = span_now();
	struct filling f;

	filling_begin(&f, kind->net, net_pair(kind->net, ask),
		      filling_datagrams(kind->net) ? datagram : write_size);
	filling_fill(&f, 1, settle_ms);
	filling_drain(&f, 1);
	run_record(run, (struct field[]){{"kind", .text = kind->name},
					 {"asked_bytes", size->bytes},
					 {"granted_sndbuf_bytes", f.sndbuf},
					 {"granted_rcvbuf_bytes", f.rcvbuf},
					 {"grown_sndbuf_bytes", f.grown_sndbuf},
					 {"capacity_bytes", filling_capacity(&f)},
					 {"write_bytes", f.write},
					 {"first_full_bytes", f.first_full},
					 {"settled_bytes", f.accepted},
					 {"inq_bytes", f.inq},
					 {"outq_bytes", f.outq},
					 {"drained_bytes", f.drained},
					 {"dropped_bytes", f.dropped},
					 {"missing_bytes", filling_missing(&f)},
					 {"misplaced_bytes", f.misplaced},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	filling_end(&f);
}

/* --- report -------------------------------------------------------------- */

/* Bytes held for each byte that getsockopt promised. */
static double held_share(struct run *run, size_t cell)
{
	return run_median(run, cell, "drained_bytes") / run_median(run, cell, "capacity_bytes");
}

static void print_cell(struct run *run, size_t cell)
{
	const struct kind *kind = &kinds[cell / SIZES];
	const char *sndbuf = text_count((int64_t)run_median(run, cell, "granted_sndbuf_bytes"));
	const char *rcvbuf = text_count((int64_t)run_median(run, cell, "granted_rcvbuf_bytes"));

	fprintf(run_out(run), "  %-11s %7s %9s %9s %12s %11s %10.2f\n", kind->name,
		sizes[cell % SIZES].name, kind->charges_sender ? sndbuf : "",
		kind->charges_receiver ? rcvbuf : "",
		text_count((int64_t)run_median(run, cell, "first_full_bytes")),
		text_count((int64_t)run_median(run, cell, "drained_bytes")), held_share(run, cell));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"The sender writes %s (datagrams: %s) until EAGAIN; nobody reads. All in bytes.",
		text_bytes(write_size), text_bytes(datagram));
	fputs("\n", out);
	fprintf(out, "  %-11s %7s %9s %9s %12s %11s %10s\n", "", "", "granted", "granted",
		"at first", "held once", "held /");
	fprintf(out, "  %-11s %7s %9s %9s %12s %11s %10s\n", "kind", "asked", "SO_SNDBUF",
		"SO_RCVBUF", "EAGAIN, drop", "settled", "granted");
	for (size_t cell = 0; cell < CELLS; cell++)
		if (run_selected(run, cell))
			print_cell(run, cell);
	fputs("\n", out);
}

static void judge_order(struct run *run)
{
	size_t trials = 0, missing = 0, misplaced = 0;
	double bytes = 0;

	for (size_t cell = 0; cell < CELLS; cell++) {
		struct values drained = run_values(run, cell, "drained_bytes");

		trials += drained.n;
		bytes += stats_sum(drained);
		missing += stats_nonzero(run_values(run, cell, "missing_bytes"));
		misplaced += stats_nonzero(run_values(run, cell, "misplaced_bytes"));
	}
	old_control(run, missing == 0, "bytes were lost or doubled in %zu of %zu trials", missing,
		    trials);
	old_verdict(run, "buf-fifo", misplaced ? REFUTED : HOLDS,
		    (struct field[]){{"compared_bytes", (int64_t)bytes},
				     {"trials", (int64_t)trials},
				     {"misplaced_trials", (int64_t)misplaced},
				     {0}},
		    "compared %s bytes of %zu trials with what was written: out of order in %zu of "
		    "them; "
		    "written = read + dropped in %zu",
		    text_count((int64_t)bytes), trials, misplaced, trials - missing);
}

static void report(struct run *run)
{
	print_table(run);
	judge_order(run);
	old_why(run,
		"the kernel doubles what is asked for and charges its own book-keeping to it, so "
		"the bytes that fit depend on how they were written; TCP's lie in two buffers.");
}

int main(int argc, char *argv[])
{
	struct run *run;

	for (size_t cell = 0; cell < CELLS; cell++) {
		snprintf(names[cell], NAME, "%s-%s", kinds[cell / SIZES].name,
			 sizes[cell % SIZES].name);
		variants[cell].name = names[cell];
		variants[cell].help = filling_datagrams(kinds[cell / SIZES].net)
					      ? "datagrams"
					      : "a stream of bytes";
	}
	run = run_begin(&about, argc, argv);
	while (run_next(run))
		measure(run, &kinds[run_variant(run) / SIZES], &sizes[run_variant(run) % SIZES]);
	return old_end(run, report);
}
