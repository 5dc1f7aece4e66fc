/* SPDX-License-Identifier: MIT */
/*
 * grow - does a TCP connection keep the buffer sizes it begins with?
 *
 *	grow    both buffers of a default connection during a bulk transfer: TCP adapts them to what
 *	        is under way;
 *	fixed   the control: the same, but the sizes were asked for, which ends the growth.
 */
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"
#include "text.h"

enum { GROW, FIXED, VARIANTS };
enum { FIXED_SIZE = 64 << 10, CHUNK = 64 << 10, MS = 1000000 };

static const struct variant variants[] = {
	[GROW] = {"grow", "a transfer with default buffers"},
	[FIXED] = {"fixed", "a transfer with 64 KiB asked for (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-size-stays", "a connection keeps the buffer sizes of a fresh socket"}, {0}};

static int64_t transfer_ms = 250;
static const char *congestion;

static const struct opt opts[] = {
	{'t', "transfer", "how long a bulk transfer lasts", .num = &transfer_ms, .min = 20,
	 .max = 60000, .quick = 60, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "grow",
	.group = "buffers",
	.summary = "Does a TCP connection keep the buffer sizes it begins with?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 1,
};

/* --- one transfer -------------------------------------------------------- */

struct transfer {
	struct net_pair fd;
	atomic_bool stop;
	atomic_int_fast64_t received;
	int64_t sent, misplaced;
};

static void send_on(void *argument)
{
	struct transfer *t = argument;
	uint8_t bytes[CHUNK];

	while (!atomic_load(&t->stop)) {
		pattern_fill(bytes, CHUNK, (uint64_t)t->sent);
		t->sent += check_fd((int)send(t->fd.tx, bytes, CHUNK, 0), "send");
	}
	shutdown(t->fd.tx, SHUT_WR);
}

static void receive_on(void *argument)
{
	struct transfer *t = argument;
	uint8_t bytes[CHUNK];
	ssize_t n;

	while ((n = check_fd((int)recv(t->fd.rx, bytes, CHUNK, 0), "recv")) > 0) {
		int64_t at = atomic_fetch_add(&t->received, n);

		t->misplaced += (int64_t)pattern_misplaced(bytes, (size_t)n, (uint64_t)at);
	}
}

/* The sizes of both buffers in bytes. */
struct look {
	int64_t snd, rcv;
};

static struct look look_at(const struct net_pair *fd)
{
	return (struct look){net_sndbuf(fd->tx), net_rcvbuf(fd->rx)};
}

/* Of a socket that is not connected, after asking for so many bytes (0: not asking). */
static struct look look_at_fresh(int64_t asked)
{
	int fd = net_socket(SOCK_STREAM);
	struct look look;

	if (asked) {
		net_set(fd, SOL_SOCKET, SO_SNDBUF, (int)asked);
		net_set(fd, SOL_SOCKET, SO_RCVBUF, (int)asked);
	}
	look = look_at(&(struct net_pair){fd, fd});
	close(fd);
	return look;
}

static void record_look(struct run *run, struct transfer *t, struct look look, int64_t at_ns)
{
	run_row(run, "size",
		(struct field[]){{"at_ns", at_ns},
				 {"sndbuf_bytes", look.snd},
				 {"rcvbuf_bytes", look.rcv},
				 {"received_bytes", atomic_load(&t->received)},
				 {"cwnd_segments", tcpinfo_read(t->fd.tx).cwnd},
				 {0}});
}

/* Looks every millisecond, and records what had changed. */
static struct look watch(struct run *run, struct transfer *t, struct look before, int64_t begin_ns)
{
	int64_t now_ns = begin_ns;
	struct look now = before;

	while (now_ns < begin_ns + transfer_ms * MS && run_sleep_until(now_ns + MS)) {
		now_ns = span_now();
		now = look_at(&t->fd);
		if (now.snd != before.snd || now.rcv != before.rcv)
			record_look(run, t, now, now_ns - begin_ns);
		before = now;
	}
	record_look(run, t, now, now_ns - begin_ns);
	return now;
}

static void measure(struct run *run, int64_t asked)
{
	struct look fresh = look_at_fresh(asked);
	struct transfer t = {.fd = net_pair(NET_TCP, (struct net_ask){asked, asked, congestion})};
	struct look begin = look_at(&t.fd), end;
	int64_t begin_ns = span_now();
	struct team team;

	record_look(run, &t, begin, 0);
	team_start_two(&team, TEAM_FREE, send_on, receive_on, &t);
	end = watch(run, &t, begin, begin_ns);
	atomic_store(&t.stop, true);
	team_join(&team);
	run_record(run, (struct field[]){{"fresh_sndbuf_bytes", fresh.snd},
					 {"fresh_rcvbuf_bytes", fresh.rcv},
					 {"begin_sndbuf_bytes", begin.snd},
					 {"begin_rcvbuf_bytes", begin.rcv},
					 {"end_sndbuf_bytes", end.snd},
					 {"end_rcvbuf_bytes", end.rcv},
					 {"missing_bytes", t.sent - atomic_load(&t.received)},
					 {"misplaced_bytes", t.misplaced},
					 {"received_bytes", atomic_load(&t.received)},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	net_close(&t.fd);
}

/* --- report -------------------------------------------------------------- */

static void print_table(struct run *run)
{
	static const char *const fields[] = {"fresh_sndbuf_bytes", "begin_sndbuf_bytes",
					     "end_sndbuf_bytes",   "fresh_rcvbuf_bytes",
					     "begin_rcvbuf_bytes", "end_rcvbuf_bytes"};
	FILE *out = run_out(run);

	run_say(run,
		"TCP's buffers of a fresh socket, once connected, and after a transfer of %s, in "
		"bytes:",
		text_time((double)transfer_ms * MS));
	fprintf(out, "\n  %-5s %11s %11s %11s %11s %11s %11s\n", "", "SO_SNDBUF", "connected",
		"after", "SO_RCVBUF", "connected", "after");
	for (size_t v = 0; v < VARIANTS; v++) {
		if (!run_selected(run, v))
			continue;
		fprintf(out, "  %-5s", variants[v].name);
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			fprintf(out, " %11s", text_count((int64_t)run_median(run, v, fields[i])));
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* The transfers at whose end some buffer had another size than a fresh socket's. */
static size_t changed(struct run *run, size_t variant)
{
	struct values snd = run_values(run, variant, "end_sndbuf_bytes");
	struct values rcv = run_values(run, variant, "end_rcvbuf_bytes");
	struct values fresh_snd = run_values(run, variant, "fresh_sndbuf_bytes");
	struct values fresh_rcv = run_values(run, variant, "fresh_rcvbuf_bytes");
	size_t n = 0;

	for (size_t i = 0; i < snd.n; i++)
		n += snd.at[i] != fresh_snd.at[i] || rcv.at[i] != fresh_rcv.at[i];
	return n;
}

static void check_controls(struct run *run)
{
	for (size_t v = 0; v < VARIANTS; v++) {
		struct values missing = run_values(run, v, "missing_bytes");
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		old_control(run, stats_nonzero(missing) + stats_nonzero(misplaced) == 0,
			    "%s: bytes were lost or changed in %zu of %zu transfers",
			    variants[v].name, stats_nonzero(missing) + stats_nonzero(misplaced),
			    missing.n);
	}
	old_control(run, changed(run, FIXED) == 0,
		    "fixed: a size that was asked for changed by itself");
}

static void judge(struct run *run)
{
	size_t transfers = run_values(run, GROW, "end_sndbuf_bytes").n;
	size_t grew = changed(run, GROW);
	size_t asked = run_values(run, FIXED, "end_sndbuf_bytes").n;

	if (transfers == 0)
		return;
	old_verdict(run, "buf-size-stays",
		    grew == 0 ? HOLDS
		    : asked   ? DEPENDS
			      : REFUTED,
		    (struct field[]){{"changed_transfers", (int64_t)grew},
				     {"transfers", (int64_t)transfers},
				     {"asked_transfers", (int64_t)asked},
				     {0}},
		    "default sizes changed in %zu of %zu transfers, to %s bytes to send and %s to "
		    "receive%s",
		    grew, transfers, text_count((int64_t)run_median(run, GROW, "end_sndbuf_bytes")),
		    text_count((int64_t)run_median(run, GROW, "end_rcvbuf_bytes")),
		    asked ? text_format("; sizes that were asked for in %zu of %zu",
					changed(run, FIXED), asked)
			  : "");
}

static void report(struct run *run)
{
	print_table(run);
	check_controls(run);
	judge(run);
	old_why(run,
		"TCP's default sizes are only where it begins: the kernel makes them large enough "
		"for what is under way, until somebody asks for a size.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run, run_variant(run) == FIXED ? FIXED_SIZE : 0);
	return old_end(run, report);
}
