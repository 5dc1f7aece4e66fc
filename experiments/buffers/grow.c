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
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"

enum { GROW, FIXED };
enum { FIXED_SIZE = 64 << 10, CHUNK = 64 << 10, MS = 1000000 };

static const struct variant variants[] = {
	[GROW] = {"grow", "a transfer with default buffers"},
	[FIXED] = {"fixed", "a transfer with 64 KiB asked for (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-size-stays", "a connection keeps the buffer sizes of a fresh socket", "grow=fixed",
	 HOLDS,
	 .why = {[DEPENDS] =
			 "TCP's default sizes are only where it begins: the kernel makes them large enough for what is under way, until somebody asks for a size.",
		 [HOLDS] =
			 "the kernel has no room to make the default sizes larger (net.ipv4.tcp_wmem, tcp_rmem)."}},
	{0}};

static const struct control controls[] = {
	{"asked-size-stays", "a size that was asked for does not change by itself", "fixed=grow"},
	{0}};

static const struct row_field fields[] = {
	{"fresh_sndbuf_bytes", "SO_SNDBUF of a socket that is not connected", "SO_SNDBUF|fresh"},
	{"begin_sndbuf_bytes", "once connected", "|connected"},
	{"end_sndbuf_bytes", "after the transfer", "|after"},
	{"fresh_rcvbuf_bytes", "SO_RCVBUF of a socket that is not connected", "SO_RCVBUF|fresh"},
	{"begin_rcvbuf_bytes", "once connected", "|connected"},
	{"end_rcvbuf_bytes", "after the transfer", "|after"},
	{"changed", "1: at the end a buffer had another size than a fresh socket's", "changed",
	 SHOW_NONZERO},
	{"missing_bytes", "sent and not received", .zero = true, .sham = "lose"},
	{"misplaced_bytes", "received at another place than sent", .zero = true,
	 .sham = "disorder"},
	{"received_bytes", "of the transfer"},
	{"elapsed_ns", "of the transfer"},
	{"at_ns", "since the transfer began", .row = "size"},
	{"sndbuf_bytes", "SO_SNDBUF then", .row = "size"},
	{"rcvbuf_bytes", "SO_RCVBUF then", .row = "size"},
	{"received_bytes", "by then", .row = "size"},
	{"cwnd_segments", "congestion window then", .row = "size"},
	{0}};

static const struct bound bounds[] = {
	{"enough_transfers", 3,
	 "a transfer could be too short to grow; three alike are not chance"},
	{0}};

static int64_t transfer_ms = 250;
static const char *congestion;

static const struct opt opts[] = {
	{'t', "transfer", "how long a bulk transfer lasts", .num = &transfer_ms, .min = 20,
	 .max = 60000, .quick = 60, .unit = OPT_MS},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

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
	t.sent += run_sham(run, "lose");
	run_record(run, (struct field[]){{"fresh_sndbuf_bytes", fresh.snd},
					 {"fresh_rcvbuf_bytes", fresh.rcv},
					 {"begin_sndbuf_bytes", begin.snd},
					 {"begin_rcvbuf_bytes", begin.rcv},
					 {"end_sndbuf_bytes", end.snd},
					 {"end_rcvbuf_bytes", end.rcv},
					 {"changed", end.snd != fresh.snd || end.rcv != fresh.rcv},
					 {"missing_bytes", t.sent - atomic_load(&t.received)},
					 {"misplaced_bytes", t.misplaced},
					 {"received_bytes", atomic_load(&t.received)},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	net_close(&t.fd);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_transfers");
	struct share grew = run_nonzero(run, GROW, "changed");
	struct share asked = run_nonzero(run, FIXED, "changed");

	run_judge(
		run, "buf-size-stays",
		by_case(never_happens(grew, enough), never_happens(asked, enough)),
		"default sizes changed in {grew} transfers, to {send_bytes} to send and {receive_bytes} to receive; sizes that were asked for in {asked}",
		number_share("grew", grew), number_share("asked", asked),
		number_real("send_bytes", run_median(run, GROW, "end_sndbuf_bytes")),
		number_real("receive_bytes", run_median(run, GROW, "end_rcvbuf_bytes")));
	run_check(run, "asked-size-stays", never_happens(asked, enough),
		  "{asked} transfers changed it", number_share("asked", asked));
}

static const struct experiment about = {
	.name = "grow",
	.group = "buffers",
	.order = 308,
	.summary = "Does a TCP connection keep the buffer sizes it begins with?",
	.intro =
		"TCP's buffers of a fresh socket, once connected, and after a transfer of {transfer_ms}, in bytes.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.trials = 3,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run, run_variant(run) == FIXED ? FIXED_SIZE : 0);
	return run_end(run);
}
