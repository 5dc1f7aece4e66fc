/* SPDX-License-Identifier: MIT */
/*
 * retransmit - what TCP does about lost segments, and how a connection begins.
 *
 * Nobody needs root to lose segments: a classic BPF program on the receiving socket draws a random
 * number for each one that comes in, and drops it below a threshold (SO_ATTACH_FILTER).  It is
 * attached after accept, so the handshake is not hit; acknowledgements pass.  The kernel has the
 * segment by then, so what was really lost is counted: what was sent less what got through.
 * Some kernels let only who owns the network namespace filter TCP: then it is done in a namespace
 * of its own (link.h).
 *
 *	tcp-N    N % of the segments are dropped; every byte is compared with what was sent.
 *	         Each send is a segment of its own (TCP_MAXSEG, MSG_EOR): loopback would carry,
 *	         and the filter drop, 64 KiB at once.  tcp-0 is the control.
 *	udp-N    numbered datagrams under the same filter: what is lost stays lost.
 *	connect  connections that are opened only.  The listener saves the SYN's header
 *	         (TCP_SAVE_SYN).  What the server chose is in the SYN+ACK, which nobody may read;
 *	         so a filter tells it: it cuts the first segment that acknowledges it to as many
 *	         bytes as the upper 14 bits of the acknowledged number say.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <math.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "link.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "team.h"
#include "text.h"

enum { RATES = 4, UDP = RATES, CONNECT = 2 * RATES, VARIANTS, READ = 1 << 16 };

static const int percent[RATES] = {0, 1, 5, 10};

static const struct variant variants[] = {
	{"tcp-0", "TCP, the filter drops nothing (control)"},
	{"tcp-1", "TCP, 1 % of the segments are dropped"},
	{"tcp-5", "TCP, 5 % are dropped"},
	{"tcp-10", "TCP, 10 % are dropped"},
	{"udp-0", "UDP, the filter drops nothing (control)"},
	{"udp-1", "UDP, 1 % of the datagrams are dropped"},
	{"udp-5", "UDP, 5 % are dropped"},
	{"udp-10", "UDP, 10 % are dropped"},
	{"connect", "connections are opened, and their SYN is read"},
	{0}};

static const struct claim claims[] = {
	{"tcp-retransmit", "what is lost is sent again: the stream arrives complete and in order"},
	{"tcp-handshake", "SYN, SYN+ACK, ACK: each side chooses its own first sequence number"},
	{0}};

static int64_t total = 512 << 10;
static int64_t segment = 1448;
static int64_t deadline_ms = 4000;
static int64_t datagrams = 2000;
static int64_t connections = 32;
static const char *congestion = "reno";

static const struct opt opts[] = {
	{'n', "total", "what is sent over TCP", .num = &total, .min = 1, .max = 1 << 30,
	 .quick = 128 << 10, .unit = OPT_BYTES},
	{'s', "segment", "bytes of a segment, or datagram, at most", .num = &segment, .min = 88,
	 .max = 16384, .unit = OPT_BYTES},
	{'d', "deadline", "a trial is given up after it", .num = &deadline_ms, .min = 100,
	 .max = 600000, .unit = OPT_MS},
	{0, "datagrams", "what is sent over UDP", .num = &datagrams, .min = 1, .max = 1000000},
	{0, "connections", "how many are opened", .num = &connections, .min = 2, .max = 256},
	{0, "congestion", "congestion control of the sender, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "retransmit",
	.group = "tcp",
	.summary = "What happens to a stream when some of its segments are lost?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 10,
	.quick_trials = 1,
};

/* --- filters ------------------------------------------------------------- */

static struct link *own;    /* whose sockets are used; NULL = this process's namespace */
static const char *refused; /* why TCP cannot be filtered; NULL = it can */

static int stream_socket(void)
{
	return own ? link_socket(own, LINK_RX, SOCK_STREAM)
		   : check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
}

static struct net_pair stream_pair(int tx, int rx, struct net_ask ask)
{
	return net_join(tx, rx, (struct in_addr){htonl(INADDR_LOOPBACK)}, ask);
}

static bool may_attach(int fd, struct sock_filter *code, size_t length)
{
	struct sock_fprog program = {(unsigned short)length, code};

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
		return true;
	if (errno != EPERM && errno != EACCES)
		err(EXIT_USAGE, "SO_ATTACH_FILTER");
	return false;
}

static void attach(int fd, struct sock_filter *code, size_t length)
{
	if (!may_attach(fd, code, length))
		err(EXIT_USAGE, "SO_ATTACH_FILTER");
}

static bool may_filter_tcp(void)
{
	struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	int fd = stream_socket();
	bool may = may_attach(fd, &pass, 1);

	close(fd);
	return may;
}

/* Finds out where TCP sockets can be filtered. */
static void find_place(void)
{
	const char *why = NULL;

	if (may_filter_tcp())
		return;
	own = link_open((struct link_ask){0}, &why);
	if (!own)
		refused = strdup(why);
	else if (!may_filter_tcp())
		refused = "nor in a network namespace of one's own";
}

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

	attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/* A segment on loopback is at most half of the first window, 32 KiB: it can tell 14 bits. */
enum { TOLD_BITS = 14, TOLD_SHIFT = 32 - TOLD_BITS };

/* Cuts what comes in to as many bytes as the number that it acknowledges says. */
static void tell_acknowledged(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8), /* the acknowledged number */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, TOLD_SHIFT),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12), /* the header's length in its upper half */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/* Waits for one of the events; false at the deadline and if the run was stopped. */
static bool ready(int fd, short events, int64_t deadline_ns)
{
	struct pollfd fds[] = {{.fd = fd, .events = events},
			       {.fd = run_stop_fd(), .events = POLLIN}};
	int64_t left_ns = deadline_ns - span_now();

	return left_ns > 0 && poll(fds, 2, (int)(left_ns / 1000000) + 1) > 0 && !run_stopped();
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
	uint8_t *buffer = malloc((size_t)segment);

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	while (s->sent < total) {
		size_t length = (size_t)(total - s->sent < segment ? total - s->sent : segment);
		ssize_t n;

		pattern_fill(buffer, length, (uint64_t)s->sent);
		n = send(s->fd.tx, buffer, length, MSG_DONTWAIT | MSG_EOR);
		if (n < 0 && errno != EAGAIN)
			err(EXIT_USAGE, "send");
		if (n < 0 && !ready(s->fd.tx, POLLOUT, s->deadline_ns))
			break;
		s->sent += n > 0 ? n : 0;
	}
	shutdown(s->fd.tx, SHUT_WR);
	free(buffer);
}

static void receive_all(struct stream *s)
{
	uint8_t *buffer = malloc(READ);
	int64_t before_ns = s->begin_ns;
	ssize_t n = 1;

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	while (n != 0 && ready(s->fd.rx, POLLIN, s->deadline_ns)) {
		n = recv(s->fd.rx, buffer, READ, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			err(EXIT_USAGE, "recv");
		if (n <= 0)
			continue;
		s->last_ns = span_now();
		if (s->last_ns - before_ns > s->longest_gap)
			s->longest_gap = s->last_ns - before_ns;
		if (s->last_ns - before_ns > span_tick())
			s->timers += s->last_ns - before_ns;
		before_ns = s->last_ns;
		s->misplaced +=
			(int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)s->received);
		s->received += n;
	}
	free(buffer);
}

static void work(int member, void *argument)
{
	if (member == 0)
		send_all(argument);
	else
		receive_all(argument);
}

static void measure_tcp(struct run *run, int in_percent)
{
	struct stream s = {0};
	struct tcpinfo tx, rx, tx_before, rx_before;
	struct team team;
	int fd = stream_socket();

	/* 12 bytes of each segment are TCP's time stamps */
	net_set(fd, IPPROTO_TCP, TCP_MAXSEG, (int)segment + 12);
	net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	s.fd = stream_pair(fd, stream_socket(), (struct net_ask){0, 0, congestion});
	drop_some(s.fd.rx, in_percent);
	tx_before = tcpinfo_read(s.fd.tx);
	rx_before = tcpinfo_read(s.fd.rx);
	s.begin_ns = span_now();
	s.last_ns = s.begin_ns;
	s.deadline_ns = s.begin_ns + deadline_ms * 1000000;
	team_start(&team, 2, TEAM_SPREAD, work, &s);
	team_join(&team);
	while (tcpinfo_read(s.fd.tx).state != TCP_FIN_WAIT2 && span_now() < s.deadline_ns &&
	       run_sleep_until(span_now() + 500000))
		; /* until nothing is under way any more, and all is counted */
	if (s.received < total)
		s.last_ns = span_now();
	tx = tcpinfo_read(s.fd.tx);
	rx = tcpinfo_read(s.fd.rx);
	run_record(run,
		   (struct field[]){{"asked_ppm", (int64_t)in_percent * 10000},
				    {"received_bytes", s.received},
				    {"missing_bytes", total - s.received},
				    {"misplaced_bytes", s.misplaced},
				    {"sent_segments", tx.segs_out - tx_before.segs_out},
				    {"dropped_segments", tx.segs_out - tx_before.segs_out -
								 rx.segs_in + rx_before.segs_in},
				    {"retransmits", tx.retransmits},
				    {"drops", net_memory(s.fd.rx).drops},
				    {"late", tx.state != TCP_FIN_WAIT2},
				    {"mss_bytes", tx.mss},
				    {"rtt_ns", tx.rtt},
				    {"longest_gap_ns", s.longest_gap},
				    {"timers_ns", s.timers},
				    {"elapsed_ns", s.last_ns - s.begin_ns},
				    {0}});
	net_close(&s.fd);
}

/* --- UDP ----------------------------------------------------------------- */

struct burst {
	struct net_pair fd;
	uint8_t *buffer, *seen; /* seen[number]: how often it arrived */
	int64_t received, again, misplaced;
};

static void receive_datagrams(struct burst *b)
{
	ssize_t n;

	while ((n = recv(b->fd.rx, b->buffer, READ, MSG_DONTWAIT)) >= 0) {
		int64_t number = -1;

		memcpy(&number, b->buffer, sizeof(number));
		if (n != segment || number < 0 || number >= datagrams) {
			b->misplaced++;
			continue;
		}
		b->misplaced +=
			pattern_misplaced(b->buffer + sizeof(number), (size_t)n - sizeof(number),
					  (uint64_t)(number * segment)) > 0;
		b->received++;
		b->again += b->seen[number]++ > 0;
	}
	if (errno != EAGAIN)
		err(EXIT_USAGE, "recv");
}

static void measure_udp(struct run *run, int in_percent)
{
	struct burst b = {.fd = net_pair(NET_UDP, (struct net_ask){0}),
			  .buffer = malloc(READ),
			  .seen = calloc((size_t)datagrams, 1)};
	int64_t begin_ns = span_now();
	int64_t deadline_ns = begin_ns + deadline_ms * 1000000;
	int64_t sent = 0;

	if (!b.buffer || !b.seen)
		err(EXIT_USAGE, "malloc");
	drop_some(b.fd.rx, in_percent);
	for (; sent < datagrams && !run_stopped(); sent++) {
		memcpy(b.buffer, &sent, sizeof(sent));
		pattern_fill(b.buffer + sizeof(sent), (size_t)segment - sizeof(sent),
			     (uint64_t)(sent * segment));
		if (send(b.fd.tx, b.buffer, (size_t)segment, 0) != segment)
			err(EXIT_USAGE, "send");
		receive_datagrams(&b); /* so that the buffer never is what loses */
	}
	while (b.received + net_memory(b.fd.rx).drops < sent && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 500000))
		receive_datagrams(&b);
	run_record(run, (struct field[]){{"asked_ppm", (int64_t)in_percent * 10000},
					 {"sent_datagrams", sent},
					 {"lost_datagrams", sent - b.received},
					 {"again_datagrams", b.again},
					 {"misplaced_datagrams", b.misplaced},
					 {"drops", net_memory(b.fd.rx).drops},
					 {"elapsed_ns", span_now() - begin_ns},
					 {0}});
	net_close(&b.fd);
	free(b.buffer);
	free(b.seen);
}

/* --- handshake ----------------------------------------------------------- */

struct syn {
	struct tcphdr head;
	int64_t length; /* of the whole TCP header, options too; 0 = none was saved */
};

static struct syn saved_syn(int fd)
{
	uint8_t bytes[256] = {0};
	socklen_t size = sizeof(bytes);
	struct iphdr ip;
	struct syn syn = {0};

	check_fd(getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, bytes, &size), "TCP_SAVED_SYN");
	memcpy(&ip, bytes, sizeof(ip));
	if (size < sizeof(ip) + sizeof(syn.head))
		return syn;
	memcpy(&syn.head, bytes + (size_t)ip.ihl * 4, sizeof(syn.head));
	syn.length = (int64_t)syn.head.doff * 4;
	return syn;
}

/*
 * The upper bits of the number that the next segment to fd acknowledges, told by its length; -1 if
 * the bytes would take more segments than one, or some of them came twice.  The peer must not have
 * sent anything that fd has not got.
 */
static int64_t told(int from, int fd)
{
	static const uint8_t bytes[1 << TOLD_BITS];

	if (refused)
		return -1;
	tell_acknowledged(fd);
	if (tcpinfo_read(from).mss < (int64_t)sizeof(bytes) ||
	    send(from, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes))
		return -1;
	ready(fd, POLLIN, span_now() + 20000000); /* in vain for one number in 16,384: 0 */
	return tcpinfo_read(from).retransmits ? -1 : net_inq(fd);
}

static void open_one(struct run *run)
{
	int listener = stream_socket();
	struct net_pair fd;
	struct tcpinfo info;
	struct syn syn;
	int64_t servers, clients;
	uint32_t first, acknowledged;

	net_set(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	fd = stream_pair(stream_socket(), listener, (struct net_ask){0});
	info = tcpinfo_read(fd.tx);
	syn = saved_syn(fd.rx);
	servers = told(fd.tx, fd.rx);
	clients = told(fd.rx, fd.tx); /* the control: its number is in the SYN */
	first = ntohl(syn.head.seq);
	acknowledged = first + 1 + (uint32_t)(servers > 0 ? servers : 0);
	run_record(run,
		   (struct field[]){{"syn", syn.head.syn},
				    {"ack", syn.head.ack},
				    {"header_bytes", syn.length},
				    {"client_isn", first},
				    {"client_segs_out", info.segs_out},
				    {"client_segs_in", info.segs_in},
				    {"server_isn_upper_bits", servers},
				    {"upper_bits_known", acknowledged >> TOLD_SHIFT},
				    {"upper_bits_told", servers < 0 || clients < 0 ? -1 : clients},
				    {0}});
	net_close(&fd);
}

static void measure_connect(struct run *run)
{
	for (int64_t i = 0; i < connections && !run_stopped(); i++)
		open_one(run);
}

/* --- report -------------------------------------------------------------- */

static double sum(struct run *run, size_t variant, const char *field)
{
	return stats_sum(run_values(run, variant, field));
}

static double loss(struct run *run, size_t variant)
{
	return sum(run, variant, "dropped_segments") / sum(run, variant, "sent_segments");
}

/* Of all trials together, for a median would hide the few that wait long: bytes a second. */
static double throughput(struct run *run, size_t variant)
{
	return sum(run, variant, "received_bytes") / sum(run, variant, "elapsed_ns") * 1e9;
}

/* K of throughput = K / sqrt(loss), in the least squares of logarithms; NAN without losses. */
static double fitted(struct run *run)
{
	double logs = 0, n = 0;

	for (size_t v = 1; v < RATES; v++)
		if (run_selected(run, v) && loss(run, v) > 0) {
			logs += log(throughput(run, v) * sqrt(loss(run, v)));
			n++;
		}
	return exp(logs / n);
}

static const char *share_of(double part, double all)
{
	struct interval share = stats_share((size_t)part, (size_t)all);

	return text_format("%.1f (%.1f-%.1f)", share.mid * 100, share.low * 100, share.high * 100);
}

static const char *speed(double rate)
{
	if (!isfinite(rate))
		return "-";
	return rate < 1e6 ? text_format("%.3g kB/s", rate / 1e3)
			  : text_format("%.3g MB/s", rate / 1e6);
}

static void print_tcp(struct run *run, size_t v, double k)
{
	double model = v ? k / sqrt(loss(run, v)) : NAN;

	fprintf(run_out(run), "  %-6s %7.0f %16s %7.0f %8s %10s %10s %7s\n", variants[v].name,
		sum(run, v, "sent_segments"),
		share_of(sum(run, v, "dropped_segments"), sum(run, v, "sent_segments")),
		sum(run, v, "retransmits"), text_time(run_median(run, v, "elapsed_ns")),
		speed(throughput(run, v)), speed(model),
		text_share(sum(run, v, "timers_ns") / sum(run, v, "elapsed_ns")));
}

static void print_udp(struct run *run, size_t v)
{
	fprintf(run_out(run), "  %-6s %7.0f %16s %7.0f %8s\n", variants[v].name,
		sum(run, v, "sent_datagrams"),
		share_of(sum(run, v, "lost_datagrams"), sum(run, v, "sent_datagrams")),
		sum(run, v, "again_datagrams"), text_time(run_median(run, v, "elapsed_ns")));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);
	double k = fitted(run);

	run_say(run,
		"%s in segments of %s, congestion control %s; %s datagrams. A filter on the "
		"receiving socket drops N %% of what comes in. Lost: %% of what was sent, all "
		"trials, with its 95 %% interval.",
		text_bytes(total), text_bytes(segment), congestion, text_count(datagrams));
	fprintf(out, "\n  %-6s %7s %16s %7s %8s %10s %10s %7s\n", "", "", "", "sent", "time,", "",
		"K/sqrt(p),", "for");
	fprintf(out, "  %-6s %7s %16s %7s %8s %10s %10s %7s\n", "", "sent", "lost", "again",
		"median", "throughput", "K fitted", "timers");
	for (size_t v = 0; v < CONNECT; v++)
		if (v >= RATES && run_selected(run, v))
			print_udp(run, v);
		else if (run_selected(run, v) && !refused)
			print_tcp(run, v, k);
	fputs("\n", out);
}

/* Trials in which bytes arrived changed, or did not arrive though nobody gave up waiting. */
static size_t wrong_trials(struct run *run, size_t variant)
{
	struct values missing = run_values(run, variant, "missing_bytes");
	struct values misplaced = run_values(run, variant, "misplaced_bytes");
	struct values late = run_values(run, variant, "late");
	size_t wrong = 0;

	for (size_t i = 0; i < missing.n; i++)
		wrong += misplaced.at[i] != 0 || (missing.at[i] != 0 && !late.at[i]);
	return wrong;
}

static void judge_stream(struct run *run)
{
	size_t trials = 0, late = 0, wrong = 0;
	double bytes = 0, dropped = 0, retransmits = 0;
	const char *again = "";

	for (size_t v = 0; v < RATES; v++) {
		if (!run_selected(run, v))
			continue;
		if (refused) {
			run_verdict(run, "tcp-retransmit", SKIPPED, NULL,
				    "this kernel filters TCP only for who owns the network "
				    "namespace: %s",
				    refused);
			return;
		}
		trials += run_values(run, v, "late").n;
		late += stats_nonzero(run_values(run, v, "late"));
		wrong += wrong_trials(run, v);
		bytes += sum(run, v, "received_bytes");
		dropped += sum(run, v, "dropped_segments");
		retransmits += sum(run, v, "retransmits");
		again = text_format("%s%s%.0f at %d %%", again, *again ? ", " : "",
				    sum(run, v, "retransmits"), percent[v]);
	}
	if (trials == 0)
		return;
	run_verdict(run, "tcp-retransmit",
		    wrong                                             ? REFUTED
		    : dropped > 0 && retransmits > 0 && late < trials ? HOLDS
								      : NOT_SEEN,
		    (struct field[]){{"dropped_segments", (int64_t)dropped},
				     {"retransmits", (int64_t)retransmits},
				     {"compared_bytes", (int64_t)bytes},
				     {"trials", (int64_t)trials},
				     {"wrong_trials", (int64_t)wrong},
				     {"late_trials", (int64_t)late},
				     {0}},
		    "%s segments were lost; sent again: %s. In %zu of %zu trials every byte that "
		    "arrived, of "
		    "%s, was the right one%s",
		    text_count((int64_t)dropped), again, trials - wrong, trials,
		    text_count((int64_t)bytes),
		    late ? text_format("; %zu were given up after %s", late,
				       text_time((double)deadline_ms * 1e6))
			 : ", and none was missing");
}

static size_t distinct(struct values values)
{
	size_t n = 0;

	for (size_t i = 0; i < values.n; i++) {
		size_t before = 0;

		while (before < i && values.at[before] != values.at[i])
			before++;
		n += before == i && values.at[i] >= 0;
	}
	return n;
}

static void judge_handshake(struct run *run)
{
	struct values syn = run_values(run, CONNECT, "syn");
	struct values ack = run_values(run, CONNECT, "ack");
	struct values out = run_values(run, CONNECT, "client_segs_out");
	struct values in = run_values(run, CONNECT, "client_segs_in");
	struct values known = run_values(run, CONNECT, "upper_bits_known");
	struct values seen = run_values(run, CONNECT, "upper_bits_told");
	size_t clients = distinct(run_values(run, CONNECT, "client_isn"));
	size_t servers = distinct(run_values(run, CONNECT, "server_isn_upper_bits"));
	size_t first = 0, three = 0, wrong = 0, read = 0;

	for (size_t i = 0; i < syn.n; i++) {
		first += syn.at[i] == 1 && ack.at[i] == 0;
		three += out.at[i] == 2 && in.at[i] == 1;
		read += seen.at[i] >= 0;
		wrong += seen.at[i] >= 0 && seen.at[i] != known.at[i];
	}
	run_control(run, wrong == 0,
		    "the filter told another number than the SYN's in %zu of %zu connections",
		    wrong, read);
	run_verdict(run, "tcp-handshake",
		    first == syn.n && clients > 1 && (servers > 1 || read == 0) ? HOLDS : REFUTED,
		    (struct field[]){{"connections", (int64_t)syn.n},
				     {"syn_first", (int64_t)first},
				     {"three_segments", (int64_t)three},
				     {"client_isns", (int64_t)clients},
				     {"server_isns", (int64_t)servers},
				     {"read_isns", (int64_t)read},
				     {0}},
		    "%zu of %zu began with SYN and no ACK; the client sent 2 segments and got 1 in "
		    "%zu. First numbers: %zu different of the clients; of the servers %s",
		    first, syn.n, three, clients,
		    read ? text_format("%zu (by their upper %d bits)", servers, TOLD_BITS)
			 : "they cannot be read here");
}

static void judge_controls(struct run *run)
{
	if (run_selected(run, 0))
		run_control(
			run, wrong_trials(run, 0) == 0 && sum(run, 0, "dropped_segments") == 0,
			"%s: segments were lost, or bytes changed, though the filter drops nothing",
			variants[0].name);
	for (size_t v = UDP; v < CONNECT; v++)
		if (run_selected(run, v))
			run_control(run,
				    sum(run, v, "lost_datagrams") == sum(run, v, "drops") &&
					    sum(run, v, "misplaced_datagrams") == 0 &&
					    sum(run, v, "again_datagrams") == 0 &&
					    (v > UDP || sum(run, v, "drops") == 0),
				    "%s: datagrams were lost elsewhere, changed, or came twice",
				    variants[v].name);
}

/* The model beside what was measured, at the two ends. */
static void explain_model(struct run *run)
{
	double fell = throughput(run, 1) / throughput(run, RATES - 1);
	double model = sqrt(loss(run, RATES - 1) / loss(run, 1));

	if (isfinite(fell) && isfinite(model))
		run_note(
			run,
			"from %s to %s throughput fell to 1 / %.3g, by the model to 1 / %.3g. The "
			"model counts round trips: it knows no timers (here %s and %s of the time; "
			"a round trip on loopback is short), and only a congestion control "
			"that halves its window at a loss, such as reno.",
			variants[1].name, variants[RATES - 1].name, fell, model,
			text_share(sum(run, 1, "timers_ns") / sum(run, 1, "elapsed_ns")),
			text_share(sum(run, RATES - 1, "timers_ns") /
				   sum(run, RATES - 1, "elapsed_ns")));
}

static void report(struct run *run)
{
	print_table(run);
	judge_stream(run);
	if (run_selected(run, CONNECT))
		judge_handshake(run);
	judge_controls(run);
	if (own && !refused)
		run_say(run, "TCP ran in a network namespace of its own: this kernel filters it "
			     "only for "
			     "who owns the namespace.");
	run_why(run,
		"each byte has a number. Acknowledgements name the next one that is missing, so "
		"the sender knows what was lost; where too few follow to tell, a timer does.");
	explain_model(run);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	find_place();
	while (run_next(run)) {
		size_t v = run_variant(run);

		if (v < UDP && refused)
			continue;
		if (v < UDP)
			measure_tcp(run, percent[v]);
		else if (v < CONNECT)
			measure_udp(run, percent[v - UDP]);
		else
			measure_connect(run);
	}
	if (own)
		link_close(own);
	return run_end(run, report);
}
