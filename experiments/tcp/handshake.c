/* SPDX-License-Identifier: MIT */
/*
 * handshake - how a connection begins: what each side sends, and the numbers it starts with.
 *
 * The listener saves the SYN's header, for anybody to read (TCP_SAVE_SYN), and TCP_INFO counts the
 * client's segments: two sent, one received.  What the server chose is in the SYN+ACK, which nobody
 * may read; so a filter tells it (filter.h): it cuts the first segment that acknowledges it to as
 * many bytes as the upper 14 bits of the acknowledged number say.  The control reads the client's
 * number in the same way, which its SYN gives as well.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "filter.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"

/* A segment on loopback is at most half of the first window, 32 KiB: it can tell 14 bits. */
enum { SHOWN_BITS = 14, SHOWN_SHIFT = 32 - SHOWN_BITS };

static const struct claim claims[] = {
	{"tcp-handshake", "SYN, SYN+ACK, ACK: each side chooses its own first sequence number",
	 "same-number", REFUTED,
	 .why = {[HOLDS] =
			 "bytes are numbered from a number that nobody else can guess, so that a stranger, or a late segment of an earlier connection, does not fit. Each side must send its own, and have it acknowledged: the server does both in one segment, so three suffice."}},
	{0}};

static const struct row_field fields[] = {
	{"syn_first", "1: the client's first segment has SYN and no ACK", "SYN|first",
	 SHOW_NONZERO},
	{"three_segments", "1: until then the client has sent 2 segments and got 1",
	 "three|segments", SHOW_NONZERO},
	{"own_numbers",
	 "1: the upper bits of both numbers differ; absent where the server's cannot be read",
	 "numbers|of their own", SHOW_NONZERO},
	{"syn", "the SYN flag of the first segment"},
	{"ack", "its ACK flag"},
	{"header_bytes", "of its TCP header, with options"},
	{"client_isn", "the client's first number"},
	{"client_segs_out", "segments that the client sent, handshake only"},
	{"client_segs_in", "that it got"},
	{"server_isn_upper_bits", "the upper 14 bits of the server's first number; -1: not read"},
	{"upper_bits_known", "of the client's, from its SYN and what the server has acknowledged"},
	{"upper_bits_shown", "of the client's, as the same filter reads them; -1: not read"},
	{"wrong_bits", "1: the filter read another number than the SYN's", .zero = true,
	 .sham = "misread"},
	{0}};

static const struct bound bounds[] = {
	{"nearly_all_share", 0.9, "of 14 bits one in 16,384 pairs is alike by chance"}, {0}};

static const int64_t look_every_ns = 20000000;

static int64_t connections = 32;

static const struct opt opts[] = {
	{0, "connections", "how many a trial opens", .num = &connections, .min = 2, .max = 256},
	{0}};

static struct filter_place place; /* where TCP can be filtered */

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

/* Cuts what comes in to as many bytes as the number that it acknowledges says. */
static void show_acknowledged(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8), /* the acknowledged number */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, SHOWN_SHIFT),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12), /* the header's length in its upper half */
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	filter_attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/*
 * The upper bits of the number that the next segment to fd acknowledges, shown by its length; -1 if
 * the bytes would take more segments than one, or some of them came twice.  The peer must not have
 * sent anything that fd has not got.
 */
static int64_t acked_bits(int from, int fd)
{
	static const uint8_t bytes[1 << SHOWN_BITS];

	if (place.refused)
		return -1;
	show_acknowledged(fd);
	if (tcpinfo_read(from).mss < (int64_t)sizeof(bytes) ||
	    send(from, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes))
		return -1;
	/* of 1 number in 16,384, which is 0, nothing is left, and it is sent again */
	while (!run_wait_fd(fd, POLLIN, span_now() + look_every_ns) && !run_stopped() &&
	       !tcpinfo_read(from).retransmits)
		;
	return tcpinfo_read(from).retransmits ? -1 : net_inq(fd);
}

static void measure(struct run *run)
{
	int listener = filter_socket(&place);
	struct net_pair fd;
	struct tcpinfo client;
	struct syn syn;
	int64_t servers, clients;
	uint32_t first;
	bool read;

	net_set(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	fd = net_join(filter_socket(&place), listener, (struct in_addr){htonl(INADDR_LOOPBACK)},
		      (struct net_ask){0});
	client = tcpinfo_read(fd.tx);
	syn = saved_syn(fd.rx);
	servers = acked_bits(fd.tx, fd.rx);
	clients = acked_bits(fd.rx, fd.tx);
	/* the server acknowledges the SYN, and what acked_bits() sent to it */
	first = ntohl(syn.head.seq) + 1 + (uint32_t)(servers > 0 ? servers : 0);
	read = servers >= 0 && clients >= 0;
	if (run_sham(run, "same-number"))
		servers = ntohl(syn.head.seq) >> SHOWN_SHIFT;
	run_record(run,
		   (struct field[]){{"syn", syn.head.syn},
				    {"ack", syn.head.ack},
				    {"header_bytes", syn.length},
				    {"client_isn", ntohl(syn.head.seq)},
				    {"client_segs_out", client.segs_out},
				    {"client_segs_in", client.segs_in},
				    {"server_isn_upper_bits", servers},
				    {"upper_bits_known", first >> SHOWN_SHIFT},
				    {"upper_bits_shown", read ? clients : -1},
				    {"syn_first", syn.head.syn == 1 && syn.head.ack == 0},
				    {"three_segments", client.segs_out == 2 && client.segs_in == 1},
				    {"wrong_bits", (read && clients != first >> SHOWN_SHIFT) ||
							   run_sham(run, "misread")},
				    {read ? "own_numbers" : NULL,
				     servers != ntohl(syn.head.seq) >> SHOWN_SHIFT},
				    {0}});
	net_close(&fd);
}

/* --- judge --------------------------------------------------------------- */

/* How many different numbers there are, of all; those below 0 left out. */
static struct share distinct(struct values values)
{
	int64_t all = 0;
	int64_t n = 0;

	for (size_t i = 0; i < values.n; i++) {
		size_t before = 0;

		while (before < i && values.at[before] != values.at[i])
			before++;
		n += before == i && values.at[i] >= 0;
		all += values.at[i] >= 0;
	}
	return share_of(n, all);
}

static void judge(struct run *run)
{
	double nearly_all = run_bound(run, "nearly_all_share");
	struct share first = run_nonzero(run, 0, "syn_first");
	struct share three = run_nonzero(run, 0, "three_segments");
	struct share own = run_nonzero(run, 0, "own_numbers");
	struct share clients = distinct(run_values(run, 0, "client_isn"));
	struct share servers = distinct(run_values(run, 0, "server_isn_upper_bits"));

	run_judge(
		run, "tcp-handshake",
		place.refused
			? SKIPPED
			: all_of(always_happens(first, 2), share_above(three, nearly_all / 2),
				 share_above(own, nearly_all), share_above(clients, nearly_all),
				 share_above(servers, nearly_all)),
		place.refused
			? MESSAGE("this kernel filters TCP only for who owns the network namespace ({reason}), so the server's numbers cannot be read")
			: MESSAGE("{first} began with SYN and no ACK, {three} took three segments; {clients} first numbers of clients are different, {servers} of servers (by their upper 14 bits), and in {own} connections the two are"),
		number_share("first", first), number_share("three", three),
		number_share("clients", clients), number_share("servers", servers),
		number_share("own", own),
		number_text("reason", place.refused ? place.refused : ""));
	if (place.own && !place.refused)
		run_note(
			run,
			"this ran in a network namespace of its own: this kernel filters TCP only for who owns the namespace",
			NO_NUMBERS);
}

static const struct experiment about = {
	.name = "handshake",
	.group = "tcp",
	.order = 404,
	.summary = "What do both sides send to begin a connection?",
	.intro =
		"{connections} connections a trial, over loopback: what the client's SYN says, and its ACK of the server's number.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.trials = 10,
	.quick_trials = 1,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int status;

	place = filter_find();
	while (run_next(run))
		for (int64_t i = 0; i < connections && !run_stopped(); i++)
			measure(run);
	status = run_end(run);
	filter_leave(&place);
	return status;
}
