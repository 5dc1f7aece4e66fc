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
 * Between two hosts (peer.h) the network may lose some, too: of TCP they are among the lost segments, of
 * UDP a count of their own.
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
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "filter.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"
#include "tcpinfo.h"

enum { RATES = 4, UDP = RATES, VARIANTS = 2 * RATES, LARGEST = 16384, READ = 1 << 16 };
enum { MS = 1000000, PATIENCE_MS = 200 /* for a datagram that a network may have lost */ };

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
	{"network_datagrams", "lost between two hosts, and so not elsewhere; 0 on one host"},
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

static struct peer *far;
static struct filter_place place; /* where TCP can be filtered */

/* --- the filter: at the far half ------------------------------------------- */

/* Drops what comes in with this probability. */
static void drop_some(int fd, int64_t in_percent)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K,
			 (uint32_t)((double)UINT32_MAX / 100 * (double)in_percent), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};

	filter_attach(fd, code, sizeof(code) / sizeof(code[0]));
}

static void try_filter(struct peer *near)
{
	int64_t allowed = filter_allowed();

	peer_say(near, &allowed, sizeof(allowed));
}

/* filter_find() of another host, where no namespace is made for it. */
static struct filter_place find_there(void)
{
	int64_t allowed;

	peer_begin(far, try_filter, TEAM_FREE);
	peer_hear(far, &allowed, sizeof(allowed));
	peer_end(far);
	return (struct filter_place){.refused = allowed ? NULL
							: "the process on the other host does not"};
}

/* --- TCP, the receiver: the far half ----------------------------------------- */

struct orders {
	int64_t percent;  /* to drop */
	int64_t listener; /* in one process, a socket that can be filtered */
};

struct stream {
	int64_t received, misplaced; /* bytes */
	int64_t elapsed;             /* until all bytes were there, or it gave up; ns */
	int64_t longest_gap, timers; /* of the time between two arrivals; timers alone; ns */
	int64_t segments, drops;     /* that came in; that the socket dropped */
	int64_t late;                /* it gave up at its deadline */
};

static int accept_filtered(struct peer *near)
{
	struct sockaddr_in where;
	struct orders orders;
	int listener, fd;

	peer_hear(near, &orders, sizeof(orders));
	listener = peer_remote(near) ? net_socket(SOCK_STREAM) : (int)orders.listener;
	net_bind(listener, peer_here(near), &where);
	check_fd(listen(listener, 1), "listen");
	peer_say(near, &where, sizeof(where));
	fd = peer_take(near, listener);
	close(listener);
	drop_some(fd, orders.percent);
	return fd;
}

static void receive_all(int fd, int64_t begin_ns, struct stream *s)
{
	int64_t last_ns = begin_ns, deadline_ns = begin_ns + deadline_ms * MS;
	/* without a timer what was lost comes a round trip later */
	int64_t usual_ns = span_tick() + 2 * tcpinfo_read(fd).min_rtt;
	uint8_t buffer[READ];
	ssize_t n = -1;

	while (n != 0 && run_wait_fd(fd, POLLIN, deadline_ns)) {
		int64_t now_ns, gap;

		n = net_recv_now(fd, buffer, READ);
		now_ns = span_now();
		gap = now_ns - last_ns;
		if (n <= 0)
			continue;
		s->longest_gap = gap > s->longest_gap ? gap : s->longest_gap;
		s->timers += gap > usual_ns ? gap : 0;
		last_ns = now_ns;
		s->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)s->received);
		s->received += n;
	}
	s->late = n != 0;
	s->elapsed = (s->received < total ? span_now() : last_ns) - begin_ns;
}

static void receive_stream(struct peer *near)
{
	struct stream s = {0};
	int fd = accept_filtered(near);
	int64_t before = tcpinfo_read(fd).segs_in;
	int64_t begin_ns = span_now(); /* before the near half's */

	peer_say(near, NULL, 0);
	receive_all(fd, begin_ns, &s);
	peer_hear(near, NULL, 0); /* nothing is under way any more */
	s.segments = tcpinfo_read(fd).segs_in - before;
	s.drops = net_memory(fd).drops;
	peer_say(near, &s, sizeof(s));
	close(fd);
}

/* --- TCP, the sender --------------------------------------------------------- */

static int connect_filtered(int64_t in_percent)
{
	struct orders orders = {in_percent, peer_remote(far) ? -1 : filter_socket(&place)};
	int fd = filter_socket(&place);
	struct sockaddr_in where;

	/* 12 bytes of each segment are TCP's time stamps */
	net_set(fd, IPPROTO_TCP, TCP_MAXSEG, (int)segment + 12);
	net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	net_prepare(fd, (struct net_ask){.congestion = congestion});
	peer_say(far, &orders, sizeof(orders));
	peer_hear(far, &where, sizeof(where));
	if (connect(fd, (struct sockaddr *)&where, sizeof(where)) != 0)
		peer_failed("connect");
	peer_hear(far, NULL, 0);
	return fd;
}

/* How many bytes it took before the deadline. */
static int64_t send_all(int fd, int64_t deadline_ns)
{
	uint8_t buffer[LARGEST];
	int64_t sent = 0;

	while (sent < total) {
		size_t length = (size_t)(total - sent < segment ? total - sent : segment);
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)sent);
		n = send(fd, buffer, length, MSG_DONTWAIT | MSG_EOR);
		if (n >= 0)
			sent += n;
		else if (errno != EAGAIN)
			peer_failed("send");
		else if (!run_wait_fd(fd, POLLOUT, deadline_ns))
			break;
	}
	shutdown(fd, SHUT_WR);
	while (tcpinfo_read(fd).state != TCP_FIN_WAIT2 && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 500000))
		; /* until nothing is under way any more, and all is counted */
	return sent;
}

static void measure_tcp(struct run *run, int64_t in_percent)
{
	struct tcpinfo before, tx;
	struct stream s;
	int64_t sent, segments, dropped;
	bool late;
	int fd;

	peer_begin(far, receive_stream, TEAM_SPREAD);
	fd = connect_filtered(in_percent);
	before = tcpinfo_read(fd);
	sent = send_all(fd, span_now() + deadline_ms * MS);
	tx = tcpinfo_read(fd);
	peer_say(far, NULL, 0);
	peer_hear(far, &s, sizeof(s));
	peer_end(far);
	segments = tx.segs_out - before.segs_out;
	dropped = segments - s.segments;
	late = sent < total || tx.state != TCP_FIN_WAIT2 || s.late;
	run_record(run, (struct field[]){
				{"asked_ppm", in_percent * 10000},
				{"received_bytes", s.received},
				{"missing_bytes", total - s.received},
				{"misplaced_bytes", s.misplaced},
				{"sent_segments", segments},
				{"dropped_segments", dropped},
				{"retransmits", tx.retransmits},
				{"drops", s.drops},
				{"late", late},
				{"wrong", s.misplaced != 0 || (s.received != total && !late)},
				{"own_namespace", place.own != NULL},
				{"mss_bytes", tx.mss},
				{"rtt_ns", tx.rtt},
				{"longest_gap_ns", s.longest_gap},
				{"timers_ns", s.timers},
				{"elapsed_ns", s.elapsed},
				/* a network drops segments, too */
				{run_label(run) == 0 && !peer_remote(far) ? "control_drops" : NULL,
				 dropped},
				{0}});
	close(fd);
}

/* --- UDP, the receiver: the far half ----------------------------------------- */

struct burst {
	int64_t received, again, misplaced, drops; /* datagrams; drops: by the filter */
};

/* Takes what is there; seen: [number], how often it arrived. */
static void receive_datagrams(int fd, struct burst *b, uint8_t *seen)
{
	uint8_t buffer[READ];
	ssize_t n;

	while ((n = net_recv_now(fd, buffer, READ)) >= 0) {
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
		b->again += seen[number]++ > 0;
	}
	b->drops = net_memory(fd).drops;
}

/* Receives what was sent, batch by batch, until a batch is of none. */
static void receive_burst(struct peer *near)
{
	uint8_t *seen = check_alloc(calloc((size_t)datagrams, 1));
	int64_t patience_ns = (peer_remote(near) ? PATIENCE_MS : deadline_ms) * MS;
	int64_t in_percent, rcvbuf, deadline_ns, before, sent = 0, gone = 0;
	struct burst b = {0};
	int fd;

	peer_hear(near, &in_percent, sizeof(in_percent));
	fd = peer_accept(near);
	drop_some(fd, in_percent);
	rcvbuf = net_rcvbuf(fd);
	peer_say(near, &rcvbuf, sizeof(rcvbuf));
	do {
		before = sent;
		peer_hear(near, &sent, sizeof(sent));
		deadline_ns = span_now() + patience_ns;
		receive_datagrams(fd, &b, seen);
		while (b.received + b.drops + gone < sent && span_now() < deadline_ns &&
		       run_sleep_until(span_now() + MS / 2))
			receive_datagrams(fd, &b, seen);
		gone = sent - b.received - b.drops;
		peer_say(near, NULL, 0);
	} while (sent > before);
	peer_say(near, &b, sizeof(b));
	close(fd);
	free(seen);
}

/* --- UDP, the sender --------------------------------------------------------- */

/* A datagram's number, then bytes that belong to it. */
static void send_datagram(int fd, int64_t number)
{
	uint8_t buffer[LARGEST];
	const size_t head = sizeof(number);

	memcpy(buffer, &number, head);
	pattern_fill(buffer + head, (size_t)segment - head, (uint64_t)(number * segment));
	if (send(fd, buffer, (size_t)segment, 0) != segment)
		peer_failed("send");
}

/*
 * On a busy machine datagrams wait for a thread of the kernel's, and arrive all at once then: a batch fits
 * into the receive buffer, so that it never is what loses.  Returns how many were sent.
 */
static int64_t send_burst(int fd, int64_t rcvbuf)
{
	int64_t batch = rcvbuf / (2 * segment + 4096) + 1; /* one always fits */
	int64_t before, sent = 0;

	do {
		before = sent;
		for (int64_t i = 0; i < batch && sent < datagrams && !run_stopped(); i++)
			send_datagram(fd, sent++);
		peer_say(far, &sent, sizeof(sent));
		peer_hear(far, NULL, 0);
	} while (sent > before);
	return sent;
}

static void measure_udp(struct run *run, int64_t in_percent)
{
	int64_t begin_ns, elapsed_ns, rcvbuf, sent, unknown, network;
	struct net_pair fd;
	struct burst b;

	peer_begin(far, receive_burst, TEAM_FREE);
	peer_say(far, &in_percent, sizeof(in_percent));
	fd = peer_connect(far, NULL, NET_UDP, (struct net_ask){0});
	peer_hear(far, &rcvbuf, sizeof(rcvbuf));
	begin_ns = span_now();
	sent = send_burst(fd.tx, rcvbuf);
	elapsed_ns = span_now() - begin_ns;
	peer_hear(far, &b, sizeof(b));
	peer_end(far);
	b.received -= run_sham(run, "lose");
	unknown = sent - b.received - b.drops;
	network = peer_remote(far) ? unknown : 0;
	run_record(run, (struct field[]){{"asked_ppm", in_percent * 10000},
					 {"sent_datagrams", sent},
					 {"lost_datagrams", sent - b.received},
					 {"again_datagrams", b.again},
					 {"misplaced_datagrams", b.misplaced},
					 {"drops", b.drops},
					 {"network_datagrams", network},
					 {"elsewhere_datagrams",
					  llabs(unknown - network) + b.misplaced + b.again},
					 {"elapsed_ns", elapsed_ns},
					 {run_label(run) == UDP ? "control_drops" : NULL, b.drops},
					 {0}});
	net_close(&fd);
}

static void (*const halves[])(struct peer *near) = {try_filter, receive_stream, receive_burst,
						    NULL};

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
	.halves = halves,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int status;

	far = peer_open(run);
	place = peer_remote(far) ? find_there() : filter_find();
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
