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
#include "old.h"
#include "filter.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

/* A segment on loopback is at most half of the first window, 32 KiB: it can tell 14 bits. */
enum { TOLD_BITS = 14, TOLD_SHIFT = 32 - TOLD_BITS };

static const struct claim claims[] = {
	{"tcp-handshake", "SYN, SYN+ACK, ACK: each side chooses its own first sequence number"},
	{0}};

static int64_t connections = 32;

static const struct opt opts[] = {
	{0, "connections", "how many a trial opens", .num = &connections, .min = 2, .max = 256},
	{0}};

static const struct experiment about = {
	.name = "handshake",
	.group = "tcp",
	.summary = "What do both sides send to begin a connection?",
	.claims = claims,
	.opts = opts,
	.trials = 10,
	.quick_trials = 1,
};

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

	filter_attach(fd, code, sizeof(code) / sizeof(code[0]));
}

/*
 * The upper bits of the number that the next segment to fd acknowledges, told by its length; -1 if
 * the bytes would take more segments than one, or some of them came twice.  The peer must not have
 * sent anything that fd has not got.
 */
static int64_t told(int from, int fd)
{
	static const uint8_t bytes[1 << TOLD_BITS];

	if (place.refused)
		return -1;
	tell_acknowledged(fd);
	if (tcpinfo_read(from).mss < (int64_t)sizeof(bytes) ||
	    send(from, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes))
		return -1;
	run_wait_fd(fd, POLLIN, span_now() + 20000000); /* in vain for 1 number in 16,384: 0 */
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

	net_set(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	fd = net_join(filter_socket(&place), listener, (struct in_addr){htonl(INADDR_LOOPBACK)},
		      (struct net_ask){0});
	client = tcpinfo_read(fd.tx);
	syn = saved_syn(fd.rx);
	servers = told(fd.tx, fd.rx);
	clients = told(fd.rx, fd.tx);
	/* the server acknowledges the SYN, and what told() sent to it */
	first = ntohl(syn.head.seq) + 1 + (uint32_t)(servers > 0 ? servers : 0);
	run_record(run,
		   (struct field[]){{"syn", syn.head.syn},
				    {"ack", syn.head.ack},
				    {"header_bytes", syn.length},
				    {"client_isn", ntohl(syn.head.seq)},
				    {"client_segs_out", client.segs_out},
				    {"client_segs_in", client.segs_in},
				    {"server_isn_upper_bits", servers},
				    {"upper_bits_known", first >> TOLD_SHIFT},
				    {"upper_bits_told", servers < 0 || clients < 0 ? -1 : clients},
				    {0}});
	net_close(&fd);
}

/* --- report -------------------------------------------------------------- */

/* How many different numbers there are, those below 0 left out. */
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

/* The first connections' segments, in the order in which they are sent. */
static void print_table(struct run *run)
{
	struct values seq = run_values(run, 0, "client_isn");
	struct values bytes = run_values(run, 0, "header_bytes");
	struct values server = run_values(run, 0, "server_isn_upper_bits");
	FILE *out = run_out(run);

	run_say(run,
		"%lld connections a trial, over loopback. Of the first ones: the number in the "
		"client's SYN, and what its ACK said of the server's.",
		(long long)connections);
	fprintf(out, "\n  %14s %18s %22s\n", "SYN's header", "client's number", "server's number");
	for (size_t i = 0; i < seq.n && i < 4; i++)
		fprintf(out, "  %14s %18s %22s\n", text_bytes(bytes.at[i]), text_count(seq.at[i]),
			server.at[i] < 0
				? "not read"
				: text_format("%s + less than 2^%d",
					      text_count(server.at[i] << TOLD_SHIFT), TOLD_SHIFT));
	fputs("\n", out);
}

static void judge(struct run *run)
{
	struct values syn = run_values(run, 0, "syn");
	struct values ack = run_values(run, 0, "ack");
	struct values out = run_values(run, 0, "client_segs_out");
	struct values in = run_values(run, 0, "client_segs_in");
	struct values known = run_values(run, 0, "upper_bits_known");
	struct values seen = run_values(run, 0, "upper_bits_told");
	size_t clients = distinct(run_values(run, 0, "client_isn"));
	size_t servers = distinct(run_values(run, 0, "server_isn_upper_bits"));
	size_t first = 0, three = 0, wrong = 0, read = 0;

	for (size_t i = 0; i < syn.n; i++) {
		first += syn.at[i] == 1 && ack.at[i] == 0;
		three += out.at[i] == 2 && in.at[i] == 1;
		read += seen.at[i] >= 0;
		wrong += seen.at[i] >= 0 && seen.at[i] != known.at[i];
	}
	old_control(run, wrong == 0,
		    "the filter told another number than the SYN's in %zu of %zu connections",
		    wrong, read);
	old_verdict(run, "tcp-handshake",
		    first < syn.n || clients == 1 || servers == 1 ? REFUTED
		    : three > 0 && read > 0                       ? HOLDS
								  : NOT_SEEN,
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
			 : "none could be read here");
}

static void report(struct run *run)
{
	print_table(run);
	judge(run);
	if (place.refused)
		run_say(run, "This kernel filters TCP only for who owns the network namespace: %s.",
			place.refused);
	else if (place.own)
		run_say(run, "This ran in a network namespace of its own: this kernel filters TCP "
			     "only for who owns the namespace.");
	old_why(run, "bytes are numbered from a number that nobody else can guess, so that a "
		     "stranger, or a late segment of an earlier connection, does not fit. Each "
		     "side must tell its own, and have it acknowledged: the server does both in "
		     "one segment, so three suffice.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	int status;

	place = filter_find();
	while (run_next(run))
		for (int64_t i = 0; i < connections && !run_stopped(); i++)
			measure(run);
	status = old_end(run, report);
	filter_leave(&place);
	return status;
}
