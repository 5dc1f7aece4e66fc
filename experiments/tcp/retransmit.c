/* SPDX-License-Identifier: MIT */
/*
 * retransmit - what TCP does about lost segments, beside UDP, which does nothing.
 *
 * Nobody needs root to lose segments: a filter on the receiving socket draws a random number for
 * each one that comes in, and drops it below a threshold (filter.h).  It is attached after accept,
 * so the handshake is not hit; acknowledgements pass.  The kernel has the segment by then, so what
 * was really lost is counted: what was sent less what got through.
 *
 *	tcp-N  N % of the segments are dropped; every byte is compared with what was sent.  Each
 *	       send is a segment of its own (TCP_MAXSEG, MSG_EOR): loopback would carry, and the
 *	       filter drop, 64 KiB at once.  tcp-0 is the control.
 *	udp-N  numbered datagrams under the same filter: what is lost stays lost.
 *
 * Beside the throughput stands the model K / sqrt(loss) (Mathis and others, 1997), of a congestion
 * control that halves its window at a loss, such as reno.  It counts round trips, and no timers.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "check.h"
#include "exp.h"
#include "filter.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"

enum { RATES = 4, UDP = RATES, VARIANTS = 2 * RATES, LARGEST = 16384, READ = 1 << 16 };
enum { AT_ONCE = 8 /* datagrams: of the largest so many fit into the default receive buffer */ };

static const int percent[VARIANTS] = {0, 1, 5, 10, 0, 1, 5, 10};

static const struct variant variants[] = {{"tcp-0", "TCP, the filter drops nothing (control)"},
					  {"tcp-1", "TCP, 1 % of the segments are dropped"},
					  {"tcp-5", "TCP, 5 % are dropped"},
					  {"tcp-10", "TCP, 10 % are dropped"},
					  {"udp-0", "UDP, the filter drops nothing (control)"},
					  {"udp-1", "UDP, 1 % of the datagrams are dropped"},
					  {"udp-5", "UDP, 5 % are dropped"},
					  {"udp-10", "UDP, 10 % are dropped"},
					  {0}};

static const struct claim claims[] = {
	{"tcp-retransmit", "what is lost is sent again: the stream arrives complete and in order",
	 "tcp-1=tcp-0,tcp-5=tcp-0,tcp-10=tcp-0", NOT_SEEN,
	 .why = {[HOLDS] =
			 "each byte has a number. Acknowledgements name the next one that is missing, so the sender knows what was lost; where too few follow to show it, a timer does."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_ppm", "probability that the filter drops what comes in"},
	{"sent_segments", "of TCP, lost ones too", "sent", SHOW_SUM},
	{"dropped_segments", "of these, that did not come in", "lost", SHOW_SHARE, "sent_segments"},
	{"retransmits", "that TCP sent again", "sent|again", SHOW_SUM},
	{"sent_datagrams", "of UDP", "UDP:|sent", SHOW_SUM},
	{"lost_datagrams", "of these, that did not arrive", "lost", SHOW_SHARE, "sent_datagrams"},
	{"received_bytes", "of the stream", "speed", SHOW_SUM, "elapsed_ns"},
	{"timers_ns", "while a timer had to show what was lost", "for|timers", SHOW_SUM,
	 "elapsed_ns"},
	{"elapsed_ns", "of the trial", "time"},
	{"wrong", "1: bytes changed, or are missing though nobody gave up waiting"},
	{"missing_bytes", "sent and not received"},
	{"misplaced_bytes", "received at another place than sent"},
	{"late", "1: the trial was given up at its deadline"},
	{"drops", "counted by the receiving socket"},
	{"control_drops", "of the variants whose filter drops nothing", .zero = true,
	 .sham = "tcp-0=tcp-10,udp-0=udp-10"},
	{"elsewhere_datagrams", "lost and not counted by the filter, changed, or received twice",
	 .zero = true, .sham = "lose"},
	{"again_datagrams", "received twice"},
	{"misplaced_datagrams", "received changed"},
	{"own_namespace", "1: TCP ran in a network namespace of its own"},
	{"mss_bytes", "largest segment"},
	{"rtt_ns", "round-trip time"},
	{"longest_gap_ns", "between two receives"},
	{0}};

static const struct bound bounds[] = {{"enough_trials", 4, "one for each rate of loss"}, {0}};

static int64_t total = 512 << 10;
static int64_t segment = 1448;
static int64_t deadline_ms = 4000;
static int64_t datagrams = 2000;
static const char *congestion = "reno";

static const struct opt opts[] = {
	{'n', "total", "what is sent over TCP", .num = &total, .min = 1, .max = 1 << 30,
	 .quick = 128 << 10, .unit = OPT_BYTES},
	{'s', "segment", "bytes of a segment, or datagram, at most", .num = &segment, .min = 88,
	 .max = LARGEST, .unit = OPT_BYTES},
	{'d', "deadline", "a trial is given up after it", .num = &deadline_ms, .min = 100,
	 .max = 600000, .unit = OPT_MS},
	{0, "datagrams", "what is sent over UDP", .num = &datagrams, .min = 1, .max = 1000000},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static struct filter_place place; /* where TCP can be filtered */

/* Drops what comes in with this probability. */
static void drop_some(int fd, int in_percent)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
			 (uint32_t)((double)UINT32_MAX / 100 * in_percent), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};

	filter_attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/* --- TCP ----------------------------------------------------------------- */

struct stream {
	struct net_pair fd;
	int64_t deadline_ns, begin_ns, last_ns; /* last_ns: all bytes were there */
	int64_t sent, received, misplaced;
	int64_t longest_gap, timers; /* of the time between two arrivals; longer than a tick, ns */
};

static void send_all(struct stream *s)
{
	uint8_t buffer[LARGEST];

	while (s->sent < total) {
		size_t length = (size_t)(total - s->sent < segment ? total - s->sent : segment);
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)s->sent);
		n = send(s->fd.tx, buffer, length, MSG_DONTWAIT | MSG_EOR);
		if (n >= 0)
			s->sent += n;
		else if (errno != EAGAIN)
			err(EXIT_USAGE, "send");
		else if (!run_wait_fd(s->fd.tx, POLLOUT, s->deadline_ns))
			break;
	}
	shutdown(s->fd.tx, SHUT_WR);
}

static void receive_all(struct stream *s)
{
	uint8_t buffer[READ];

	while (run_wait_fd(s->fd.rx, POLLIN, s->deadline_ns)) {
		ssize_t n = net_recv_now(s->fd.rx, buffer, READ);
		int64_t now_ns = span_now();
		int64_t gap = now_ns - s->last_ns;

		if (n == 0)
			break;
		if (n < 0)
			continue;
		s->longest_gap = gap > s->longest_gap ? gap : s->longest_gap;
		s->timers += gap > span_tick() ? gap : 0;
		s->last_ns = now_ns;
		s->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)s->received);
		s->received += n;
	}
}

static void work(int member, void *argument)
{
	if (member == 0)
		send_all(argument);
	else
		receive_all(argument);
}

static struct net_pair filtered_pair(int in_percent)
{
	struct net_pair fd = {filter_socket(&place), filter_socket(&place)};

	/* 12 bytes of each segment are TCP's time stamps */
	net_set(fd.tx, IPPROTO_TCP, TCP_MAXSEG, (int)segment + 12);
	net_set(fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	fd = net_join(fd.tx, fd.rx, (struct in_addr){htonl(INADDR_LOOPBACK)},
		      (struct net_ask){0, 0, congestion});
	drop_some(fd.rx, in_percent);
	return fd;
}

static void measure_tcp(struct run *run, int in_percent)
{
	struct stream s = {.fd = filtered_pair(in_percent)};
	struct tcpinfo tx_before = tcpinfo_read(s.fd.tx), rx_before = tcpinfo_read(s.fd.rx);
	struct tcpinfo tx, rx;
	struct team team;
	int64_t sent;
	bool late;

	s.begin_ns = s.last_ns = span_now();
	s.deadline_ns = s.begin_ns + deadline_ms * 1000000;
	team_start(&team, 2, TEAM_SPREAD, work, &s);
	team_join(&team);
	if (s.received < total)
		s.last_ns = span_now();
	while (tcpinfo_read(s.fd.tx).state != TCP_FIN_WAIT2 && span_now() < s.deadline_ns &&
	       run_sleep_until(span_now() + 500000))
		; /* until nothing is under way any more, and all is counted */
	tx = tcpinfo_read(s.fd.tx);
	rx = tcpinfo_read(s.fd.rx);
	sent = tx.segs_out - tx_before.segs_out;
	late = s.sent < total || tx.state != TCP_FIN_WAIT2;
	run_record(run,
		   (struct field[]){{"asked_ppm", (int64_t)in_percent * 10000},
				    {"received_bytes", s.received},
				    {"missing_bytes", total - s.received},
				    {"misplaced_bytes", s.misplaced},
				    {"sent_segments", sent},
				    {"dropped_segments", sent - (rx.segs_in - rx_before.segs_in)},
				    {"retransmits", tx.retransmits},
				    {"drops", net_memory(s.fd.rx).drops},
				    {"late", late},
				    {"wrong", s.misplaced != 0 || (s.received != total && !late)},
				    {"own_namespace", place.own != NULL},
				    {"mss_bytes", tx.mss},
				    {"rtt_ns", tx.rtt},
				    {"longest_gap_ns", s.longest_gap},
				    {"timers_ns", s.timers},
				    {"elapsed_ns", s.last_ns - s.begin_ns},
				    {run_label(run) == 0 ? "control_drops" : NULL,
				     sent - (rx.segs_in - rx_before.segs_in)},
				    {0}});
	net_close(&s.fd);
}

/* --- UDP ----------------------------------------------------------------- */

struct burst {
	struct net_pair fd;
	uint8_t *seen; /* [number]: how often it arrived */
	int64_t received, again, misplaced;
};

/* A datagram's number, then bytes that belong to it. */
static void send_datagram(int fd, int64_t number)
{
	uint8_t buffer[LARGEST];
	const size_t head = sizeof(number);

	memcpy(buffer, &number, head);
	pattern_fill(buffer + head, (size_t)segment - head, (uint64_t)(number * segment));
	if (send(fd, buffer, (size_t)segment, 0) != segment)
		err(EXIT_USAGE, "send");
}

/* Takes what is there. */
static void receive_datagrams(struct burst *b)
{
	uint8_t buffer[READ];
	ssize_t n;

	while ((n = net_recv_now(b->fd.rx, buffer, READ)) >= 0) {
		int64_t number = -1;
		const size_t head = sizeof(number);

		memcpy(&number, buffer, head);
		if (n != segment || number < 0 || number >= datagrams) {
			b->misplaced++;
			continue;
		}
		b->misplaced += pattern_misplaced(buffer + head, (size_t)n - head,
						  (uint64_t)(number * segment)) > 0;
		b->received++;
		b->again += b->seen[number]++ > 0;
	}
}

/* Receives until no more than so many are under way, neither received nor dropped. */
static void await_datagrams(struct burst *b, int64_t sent, int64_t most, int64_t deadline_ns)
{
	receive_datagrams(b);
	while (b->received + net_memory(b->fd.rx).drops < sent - most && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 500000))
		receive_datagrams(b);
}

/*
 * On a busy machine datagrams wait for a thread of the kernel's, and arrive all at once then: no more are
 * under way than fit into the receive buffer, so that it never is what loses.
 */
static void measure_udp(struct run *run, int in_percent)
{
	struct burst b = {.fd = net_pair(NET_UDP, (struct net_ask){0}),
			  .seen = check_alloc(calloc((size_t)datagrams, 1))};
	int64_t begin_ns = span_now();
	int64_t deadline_ns = begin_ns + deadline_ms * 1000000;
	int64_t sent = 0, drops;

	drop_some(b.fd.rx, in_percent);
	for (; sent < datagrams && !run_stopped(); sent++) {
		send_datagram(b.fd.tx, sent);
		await_datagrams(&b, sent + 1, AT_ONCE, deadline_ns);
	}
	await_datagrams(&b, sent, 0, deadline_ns);
	drops = net_memory(b.fd.rx).drops;
	b.received -= run_sham(run, "lose");
	run_record(run, (struct field[]){{"asked_ppm", (int64_t)in_percent * 10000},
					 {"sent_datagrams", sent},
					 {"lost_datagrams", sent - b.received},
					 {"again_datagrams", b.again},
					 {"misplaced_datagrams", b.misplaced},
					 {"drops", drops},
					 {"elsewhere_datagrams",
					  llabs(sent - b.received - drops) + b.misplaced + b.again},
					 {"elapsed_ns", span_now() - begin_ns},
					 {run_label(run) == UDP ? "control_drops" : NULL, drops},
					 {0}});
	net_close(&b.fd);
	free(b.seen);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share right = share_rest(run_nonzero_in(run, 0, UDP - 1, "wrong"));
	double dropped = 0, again = 0, bytes = 0;

	for (size_t v = 0; v < UDP; v++) {
		bytes += run_sum(run, v, "received_bytes");
		if (v > 0) {
			dropped += run_sum(run, v, "dropped_segments");
			again += run_sum(run, v, "retransmits");
		}
	}
	run_judge(
		run, "tcp-retransmit",
		all_of(always_happens(right, (int64_t)run_bound(run, "enough_trials")),
		       can_happen(share_of(dropped > 0 && again > 0, right.n > 0))),
		"{dropped} segments were lost, {again} sent again; in {right} trials every byte, of {bytes_bytes}, was the right one",
		number_real("dropped", dropped), number_real("again", again),
		number_share("right", right), number_real("bytes_bytes", bytes));
	if (place.own && !place.refused)
		run_note(
			run,
			"TCP ran in a network namespace of its own: this kernel filters it only for who owns the namespace",
			NO_NUMBERS);
}

static const struct experiment about = {
	.name = "retransmit",
	.group = "tcp",
	.order = 408,
	.summary = "What happens to a stream when some of its segments are lost?",
	.intro =
		"{total_bytes} in segments of {segment_bytes}, congestion control {congestion}; {datagrams} datagrams. A filter on the receiving socket drops N % of what comes in.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 10,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int status;

	place = filter_find();
	for (size_t v = 0; place.refused && v < UDP; v++)
		run_leave_out(run, v,
			      "this kernel filters TCP only for who owns the network namespace: %s",
			      place.refused);
	while (run_next(run)) {
		size_t v = run_variant(run);

		if (v >= UDP)
			measure_udp(run, percent[v]);
		else
			measure_tcp(run, percent[v]);
	}
	status = run_end(run);
	filter_leave(&place);
	return status;
}
