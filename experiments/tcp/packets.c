/* SPDX-License-Identifier: MIT */
/*
 * packets - which flags do the segments of a connection carry?
 *
 * A client connects, sends some requests that are answered, and closes; then so does the server.  This
 * goes over a cable between two network namespaces (link.h), where a packet socket gets a copy of
 * every segment, both ways, and its TCP header says the flags.
 *
 * SYN means "my first number is this one", so each side says it once.  ACK means "I have got all
 * before this number": there is nothing to say so of in the client's first segment, and in every
 * other one there is.
 *
 * The control counts for the packet socket: TCP_INFO says how many segments the client sent and got.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { CLIENT, SERVER, SIDES };
enum { MESSAGE = 100, SEGMENTS_MAX = 64 };

static const char *const sides[SIDES] = {"client", "server"};

static const struct claim claims[] = {
	{"tcp-syn-every-packet", "every packet carries SYN and ACK", "as-first", HOLDS,
	 .why = {[REFUTED] =
			 "SYN gives the number that a side's bytes are counted from, once, so only its first segment has it. ACK says what has come in: the client's first segment has nothing to acknowledge, all others have."}},
	{0}};

static const struct row_field fields[] = {
	{"from", "who sent them: client or server", "from", .text = true, .key = true},
	{"segments", "that this side sent in a connection", "segments"},
	{"syn_segments", "of these, with SYN and no ACK", "SYN|alone"},
	{"both_segments", "with SYN and ACK", "SYN|and ACK"},
	{"data_segments", "with data, and no SYN", "data"},
	{"fin_segments", "with FIN, and neither data nor SYN", "FIN"},
	{"ack_segments", "with none of these", "ACK|alone"},
	{"later_segments", "but for the side's first one"},
	{"later_syn_segments", "of these, with SYN"},
	{"later_ack_segments", "of these, with ACK"},
	{"missed_segments", "counted by the client's TCP, and not seen", .zero = true,
	 .sham = "miss"},
	{"from", "who sent it; of the first connection", .row = "segment", .text = true},
	{"flags", "of SYN, ACK, FIN and RST", .row = "segment", .text = true},
	{"data_bytes", "in it", .row = "segment"},
	{0}};

static const struct bound bounds[] = {
	{"enough_segments", 20, "whole connections, which have ten and more each"}, {0}};

static int64_t connections = 10;
static int64_t requests = 3;

static const struct opt opts[] = {
	{'n', "connections", "how many a trial opens", .num = &connections, .min = 2, .max = 100},
	{'m', "requests", "of a connection, each is answered", .num = &requests, .min = 1,
	 .max = 10},
	{0}};

static struct link *cable;

/* --- one connection ------------------------------------------------------- */

static void one_way(int from, int to)
{
	uint8_t message[MESSAGE] = {0};

	check_fd((int)send(from, message, sizeof(message), MSG_NOSIGNAL), "send");
	check_fd((int)recv(to, message, sizeof(message), MSG_WAITALL), "recv");
}

static void end_way(int from, int to)
{
	char byte;

	check_fd(shutdown(from, SHUT_WR), "shutdown");
	check_fd((int)recv(to, &byte, 1, 0), "recv");
}

/* From the first segment to the last one; what the client's TCP counted. */
static struct tcpinfo talk(const struct net_pair *fd)
{
	int64_t deadline_ns = span_now() + 10000000000;

	for (int64_t i = 0; i < requests; i++) {
		one_way(fd->tx, fd->rx);
		one_way(fd->rx, fd->tx);
	}
	end_way(fd->tx, fd->rx);
	end_way(fd->rx, fd->tx);
	while (tcpinfo_read(fd->rx).state != TCP_CLOSE && span_now() < deadline_ns &&
	       run_sleep_until(span_now() + 1000000))
		; /* until the last segment has come */
	return tcpinfo_read(fd->tx);
}

struct segment {
	int from;
	struct tcphdr head;
	int64_t bytes; /* of data */
};

/* The next one that was seen of the client at this port; false if there is none. */
static bool next_segment(int packets, in_port_t port, struct segment *s)
{
	uint8_t bytes[256] = {0};
	struct sockaddr_ll seen = {0};
	socklen_t size = sizeof(seen);
	struct iphdr ip;

	while (recvfrom(packets, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&seen,
			&size) >= 0) {
		memcpy(&ip, bytes, sizeof(ip));
		memcpy(&s->head, bytes + (size_t)ip.ihl * 4, sizeof(s->head));
		s->from = seen.sll_pkttype == PACKET_OUTGOING ? CLIENT : SERVER;
		s->bytes = ntohs(ip.tot_len) - ip.ihl * 4 - s->head.doff * 4;
		if (seen.sll_protocol == htons(ETH_P_IP) && ip.protocol == IPPROTO_TCP &&
		    (s->from == CLIENT ? s->head.source : s->head.dest) == port)
			return true;
	}
	return false;
}

static const char *flags_of(const struct tcphdr *head)
{
	const char *flags =
		text_format("%s%s%s%s", head->syn ? "+SYN" : "", head->ack ? "+ACK" : "",
			    head->fin ? "+FIN" : "", head->rst ? "+RST" : "");

	return *flags ? flags + 1 : "none";
}

/* What one side sent, in segments. */
struct count {
	int64_t all, syn, both, data, fin, ack;
	int64_t later_syn, later_ack; /* after its first one */
};

static void count_segment(struct count *count, const struct segment *s)
{
	const struct tcphdr *head = &s->head;

	if (count->all++ > 0) {
		count->later_syn += head->syn;
		count->later_ack += head->ack;
	}
	if (head->syn)
		++*(head->ack ? &count->both : &count->syn);
	else if (s->bytes > 0)
		count->data++;
	else
		++*(head->fin ? &count->fin : &count->ack);
}

static void record(struct run *run, int side, const struct count *count, int64_t counted)
{
	int64_t missed = counted > count->all ? counted - count->all : 0;

	run_record(run, (struct field[]){{"from", .text = sides[side]},
					 {"segments", count->all},
					 {"syn_segments", count->syn},
					 {"both_segments", count->both},
					 {"data_segments", count->data},
					 {"fin_segments", count->fin},
					 {"ack_segments", count->ack},
					 {"later_segments", count->all ? count->all - 1 : 0},
					 {"later_syn_segments", count->later_syn},
					 {"later_ack_segments", count->later_ack},
					 {"missed_segments", missed},
					 {0}});
}

static char listing[SEGMENTS_MAX * 16]; /* of the first connection, for people */

static void list_segment(struct run *run, const struct segment *s)
{
	size_t length = strlen(listing);

	run_row(run, "segment",
		(struct field[]){{"from", .text = sides[s->from]},
				 {"flags", .text = flags_of(&s->head)},
				 {"data_bytes", s->bytes},
				 {0}});
	snprintf(listing + length, sizeof(listing) - length, "%s%c%s%s", length ? " " : "",
		 s->from == CLIENT ? '>' : '<', flags_of(&s->head), s->bytes ? "+data" : "");
}

static void measure(struct run *run, int packets, bool first)
{
	struct net_pair fd = link_pair(cable, NET_TCP, (struct net_ask){0});
	in_port_t port = net_name(fd.tx).sin_port;
	struct tcpinfo client = talk(&fd);
	struct count counts[SIDES] = {0};
	struct segment s;

	while (next_segment(packets, port, &s)) {
		if (run_sham(run, "as-first"))
			s.head.syn = s.head.ack = 1;
		if (!run_sham(run, "miss"))
			count_segment(&counts[s.from], &s);
		if (first)
			list_segment(run, &s);
	}
	record(run, CLIENT, &counts[CLIENT], client.segs_out);
	record(run, SERVER, &counts[SERVER], client.segs_in);
	net_close(&fd);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_segments");
	struct share both = run_part(run, 0, "both_segments", "segments");
	struct field client[] = {{"from", .text = sides[CLIENT]}, {0}};

	run_judge(
		run, "tcp-syn-every-packet", always_happens(both, enough),
		"{both} segments had SYN and ACK; the client's first had SYN alone in {first} connections; of all but the first of each side {syn} had SYN, {ack} ACK",
		number_share("both", both),
		number_share("first",
			     share_nonzero(run_values_where(run, 0, "syn_segments", client))),
		number_share("syn", run_part(run, 0, "later_syn_segments", "later_segments")),
		number_share("ack", run_part(run, 0, "later_ack_segments", "later_segments")));
}

static void draw(struct run *run)
{
	run_say(run, "The first connection, > is from the client, < from the server: %s.", listing);
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "packets",
	.group = "tcp",
	.order = 419,
	.summary = "Which flags do the segments of a connection carry?",
	.intro =
		"{connections} connections a trial, over a cable, {requests} requests in each; medians of a connection.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.trials = 10,
	.quick_trials = 1,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *why = NULL;
	int packets = -1;
	int status;

	cable = link_open((struct link_ask){0}, &why);
	if (cable)
		packets = link_packets(cable, LINK_TX, &why);
	if (why)
		return run_skip(run, "whole connections cannot be looked at: %s", why);
	while (run_next(run))
		for (int64_t i = 0; i < connections && !run_stopped(); i++)
			measure(run, packets, run_trial(run) == 0 && i == 0);
	status = run_end(run);
	close(packets);
	link_close(cable);
	return status;
}
