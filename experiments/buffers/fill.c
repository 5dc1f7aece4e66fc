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
 * fit, so there the first drop is what is counted.  To another host there are TCP and UDP; the network
 * may lose and reorder datagrams, so of these only what the receiver holds is counted then.
 */
#include <err.h>
#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "filling.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"

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
	{"buf-fifo", "a socket buffer is a first-in first-out queue of bytes", "disorder", REFUTED,
	 .why = {[HOLDS] =
			 "the kernel doubles what is asked for and charges its own book-keeping to it, so the bytes that fit depend on how they were written; TCP's lie in two buffers."}},
	{0}};

static const struct row_field fields[] = {
	{"kind", "kind of socket, or pipe", .text = true},
	{"asked_bytes", "asked for as SO_SNDBUF and SO_RCVBUF; 0: the default"},
	{"granted_sndbuf_bytes", "SO_SNDBUF at the beginning", "SO_SNDBUF|granted"},
	{"granted_rcvbuf_bytes", "SO_RCVBUF at the beginning", "SO_RCVBUF|granted"},
	{"first_full_bytes", "accepted at the first EAGAIN, of UDP at the first drop",
	 "at first|EAGAIN"},
	{"drained_bytes", "read in the end", "held once|settled"},
	{"drained_bytes", .column = "of|granted", .per = "capacity_bytes"},
	{"refused_errno",
	 "error number of a datagram that is too large for the buffer: nothing was held; 0: it is not",
	 "error", SHOW_MOST},
	{"capacity_bytes", "what is granted to the buffers that are charged"},
	{"grown_sndbuf_bytes", "SO_SNDBUF at the end"},
	{"write_bytes", "size of one write, or datagram"},
	{"settled_bytes", "accepted in all"},
	{"inq_bytes", "in the receive queue when settled"},
	{"outq_bytes", "in the send queue when settled"},
	{"dropped_bytes", "accepted and dropped, by UDP"},
	{"missing_bytes", "accepted and neither read nor dropped; absent of UDP to another host",
	 .zero = true, .sham = "lose"},
	{"misplaced_bytes", "read at another place than written"},
	{"elapsed_ns", "of the whole trial"},
	{0}};

static const struct bound bounds[] = {
	{"enough_fillings", 1, "one filling is thousands of bytes, each of which tells its place"},
	{0}};

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
	 .quick = 50, .max = 10000, .unit = OPT_MS},
	{0, "congestion", "congestion control of TCP, such as cubic", .text = &congestion},
	{0}};

static struct peer *far;

/* --- one trial ----------------------------------------------------------- */

/* The far half: a receiver that reads nothing until the sender has filled it. */
static void hold(struct peer *near)
{
	struct filling_receiver receiver;
	int64_t loses; /* a sham */
	char byte;

	peer_hear(near, &loses, sizeof(loses));
	filling_accept(&receiver, near);
	filling_answer(near, &receiver, 1);
	if (loses)
		check_fd((int)read(receiver.fd, &byte, 1), "read");
	filling_empty(near, &receiver, 1);
}

static void record(struct run *run, const struct kind *kind, const struct size *size,
		   const struct filling *f, int64_t elapsed_ns)
{
	bool may_lose = kind->net == NET_UDP && peer_remote(far);

	if (f->refused) {
		run_record(run, (struct field[]){{"kind", .text = kind->name},
						 {"asked_bytes", size->bytes},
						 {"granted_sndbuf_bytes", f->sndbuf},
						 {"granted_rcvbuf_bytes", f->rcvbuf},
						 {"write_bytes", f->write},
						 {"refused_errno", EMSGSIZE},
						 {0}});
		return;
	}
	run_record(run, (struct field[]){{"kind", .text = kind->name},
					 {"asked_bytes", size->bytes},
					 {"granted_sndbuf_bytes", f->sndbuf},
					 {"granted_rcvbuf_bytes", f->rcvbuf},
					 {"grown_sndbuf_bytes", f->grown_sndbuf},
					 {"capacity_bytes", filling_capacity(f)},
					 {"write_bytes", f->write},
					 {"first_full_bytes", f->first_full},
					 {"settled_bytes", f->accepted},
					 {"inq_bytes", f->inq},
					 {"outq_bytes", f->outq},
					 {"drained_bytes", f->drained},
					 {"dropped_bytes", f->dropped},
					 {"misplaced_bytes", f->misplaced},
					 {"refused_errno", 0},
					 {"elapsed_ns", elapsed_ns},
					 {may_lose ? NULL : "missing_bytes", filling_missing(f)},
					 {0}});
}

static void measure(struct run *run, const struct kind *kind, const struct size *size)
{
	struct net_ask ask = {size->bytes, size->bytes, congestion};
	int64_t loses = run_sham(run, "lose") && run_label(run) == 0; /* all would be waited for */
	int64_t begin_ns = span_now();
	struct filling f;

	peer_begin(far, hold, TEAM_FREE);
	peer_say(far, &loses, sizeof(loses));
	filling_connect(&f, far, NULL, kind->net, ask,
			filling_datagrams(kind->net) ? datagram : write_size);
	filling_fill(&f, 1, settle_ms);
	filling_drain(&f, 1);
	peer_end(far);
	record(run, kind, size, &f, span_now() - begin_ns);
	filling_end(&f);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	size_t last = peer_remote(far) ? SIZES - 1 : CELLS - 1; /* TCP comes first */
	struct share ordered = share_rest(run_nonzero_in(run, 0, last, "misplaced_bytes"));
	enum verdict fifo = always_happens(ordered, (int64_t)run_bound(run, "enough_fillings"));
	double bytes = 0;

	for (size_t cell = 0; cell <= last; cell++)
		bytes += run_sum(run, cell, "drained_bytes");
	if (peer_remote(far))
		run_judge(
			run, "buf-fifo", fifo,
			"{ordered} fillings by TCP came out of another host in the order in which they were written, {compared_bytes} in all",
			number_share("ordered", ordered), number_real("compared_bytes", bytes));
	else
		run_judge(
			run, "buf-fifo", fifo,
			"{ordered} fillings came out in the order in which they were written, {compared_bytes} in all",
			number_share("ordered", ordered), number_real("compared_bytes", bytes));
}

static void (*const halves[])(struct peer *near) = {hold, NULL};

static const struct experiment about = {
	.name = "fill",
	.group = "buffers",
	.order = 302,
	.summary = "How many bytes fit into the buffers of a connection nobody reads from?",
	.intro =
		"The sender writes {write_bytes} (datagrams: {datagram_bytes}) until EAGAIN; nobody reads. All in bytes.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 2,
	.quick_trials = 1,
	.judge = judge,
	.halves = halves,
};

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
	far = peer_open(run);
	for (size_t cell = 0; cell < CELLS; cell++) {
		enum net_kind kind = kinds[cell / SIZES].net;

		if (peer_remote(far) && kind == NET_PIPE)
			run_leave_out(run, cell, "a pipe is for one host");
		else if (peer_remote(far) && kind != NET_TCP && kind != NET_UDP)
			run_leave_out(run, cell, "AF_UNIX is for one host");
	}
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, &kinds[run_variant(run) / SIZES], &sizes[run_variant(run) % SIZES]);
	return run_end(run);
}
