/* SPDX-License-Identifier: MIT */
/*
 * many_peers - one UDP socket and many others: by turns, and all at once.
 *
 *	udp        One unconnected socket answers many peers: recvfrom says who asked, sendto
 *	           answers that one.  Each peer checks that the answer is its own.
 *	tcp        The control: the same questions take a listening socket and one for each peer.
 *	broadcast  One sendto reaches every socket bound to the port, but for one that is bound to
 *	           an address of its own (control).  It needs SO_BROADCAST.
 *	multicast  One sendto reaches the sockets that joined the group, and not one that did not
 *	           (control).  The trap: such a socket does get it, while others of the same host
 *	           are members, unless it says IP_MULTICAST_ALL = 0.
 *
 * On loopback, and with -link in the name over a cable between two network namespaces (link.h),
 * where the kernel's counters say how many datagrams left the one host and were handed out in the
 * other.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "link.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { UDP, TCP, BROADCAST, MULTICAST, BROADCAST_LINK, MULTICAST_LINK, VARIANTS };
enum { PEERS_MAX = 200, RECEIVERS_MAX = 64 };

static const struct variant variants[] = {
	[UDP] = {"udp", "one unconnected UDP socket answers all peers"},
	[TCP] = {"tcp", "TCP takes a socket for each peer (control)"},
	[BROADCAST] = {"broadcast", "to 127.255.255.255"},
	[MULTICAST] = {"multicast", "to a group, on the loopback interface"},
	[BROADCAST_LINK] = {"broadcast-link", "to the network of a cable"},
	[MULTICAST_LINK] = {"multicast-link", "to a group, over a cable"},
	{0}};

static const struct claim claims[] = {
	{"udp-many-peers",
	 "one UDP socket talks to many peers; broadcast and multicast reach several at once"},
	{0}};

static int64_t peers = 16;
static int64_t rounds = 50;
static int64_t receivers = 5;
static int64_t messages = 20;

static const struct opt opts[] = {
	{'p', "peers", "peers that ask one server", .num = &peers, .min = 2, .max = PEERS_MAX},
	{'r', "rounds", "questions of each peer", .num = &rounds, .min = 1, .max = 100000,
	 .quick = 20},
	{'k', "receivers", "sockets that a broadcast or multicast is for", .num = &receivers,
	 .min = 2, .max = RECEIVERS_MAX},
	{'m', "messages", "broadcasts or multicasts of a trial", .num = &messages, .min = 1,
	 .max = 100},
	{0}};

static const struct experiment about = {
	.name = "many_peers",
	.group = "tcp",
	.summary = "How many can one UDP socket talk to, by turns and at once?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 2,
	.scatter = "elapsed_ns",
};

/* --- by turns -------------------------------------------------------------- */

/* A question, and the answer, to which the server adds who it takes the asker for. */
struct note {
	int64_t peer, round;
	int64_t port; /* of the asker, as the server sees it */
};

struct talk {
	int64_t server_sockets, server_calls;
	int64_t answers, wrong;
};

static int64_t port_of(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t size = sizeof(name);

	check_fd(getsockname(fd, (struct sockaddr *)&name, &size), "getsockname");
	return ntohs(name.sin_port);
}

static void ask(int fd, int64_t peer, int64_t round)
{
	struct note note = {peer, round, 0};

	if (send(fd, &note, sizeof(note), 0) != sizeof(note))
		err(EXIT_USAGE, "send");
}

/* Reads a peer's answer, which must be its own and complete. */
static void hear(struct talk *talk, int fd, int64_t peer, int64_t round)
{
	struct note note = {-1, -1, -1};

	if (recv(fd, &note, sizeof(note), MSG_WAITALL) != sizeof(note) || note.peer != peer ||
	    note.round != round || note.port != port_of(fd))
		talk->wrong++;
	talk->answers++;
}

static const struct timeval patience = {2, 0}; /* a datagram that is lost must not be awaited */

static void be_patient(int fd)
{
	check_fd(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
		 "SO_RCVTIMEO");
}

/* Answers one question of each peer, whoever comes next; one that was lost is not answered. */
static void serve_udp(struct talk *talk, int server)
{
	for (int64_t p = 0; p < peers; p++) {
		struct sockaddr_in asker = {0};
		socklen_t size = sizeof(asker);
		struct note note;

		talk->server_calls += 2;
		if (recvfrom(server, &note, sizeof(note), 0, (struct sockaddr *)&asker, &size) !=
		    sizeof(note))
			return;
		note.port = ntohs(asker.sin_port);
		if (sendto(server, &note, sizeof(note), 0, (struct sockaddr *)&asker, size) !=
		    sizeof(note))
			err(EXIT_USAGE, "sendto");
	}
}

/* Each peer's socket is connected to the server's one, which is connected to nobody. */
static void talk_udp(struct talk *talk, int64_t *elapsed_ns)
{
	struct sockaddr_in where;
	int server = net_bound(SOCK_DGRAM, &where);
	int fd[PEERS_MAX];

	be_patient(server);
	for (int64_t p = 0; p < peers; p++) {
		fd[p] = check_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
		check_fd(connect(fd[p], (struct sockaddr *)&where, sizeof(where)), "connect");
		be_patient(fd[p]);
	}
	talk->server_sockets = 1;
	*elapsed_ns = -span_now();
	for (int64_t round = 0; round < rounds && !run_stopped(); round++) {
		for (int64_t p = 0; p < peers; p++)
			ask(fd[p], p, round);
		serve_udp(talk, server);
		for (int64_t p = 0; p < peers; p++)
			hear(talk, fd[p], p, round);
	}
	*elapsed_ns += span_now();
	for (int64_t p = 0; p < peers; p++)
		close(fd[p]);
	close(server);
}

/* The same by connections: the server asks poll which of its sockets has a question. */
static void serve_tcp(struct talk *talk, struct pollfd *at, const int64_t *ports)
{
	for (int64_t left = peers; left > 0 && !run_stopped();) {
		int ready = check_fd(poll(at, (nfds_t)peers, 2000), "poll");

		talk->server_calls++;
		if (ready == 0)
			return;
		for (int64_t p = 0; p < peers; p++) {
			struct note note;

			if (!at[p].revents)
				continue;
			if (recv(at[p].fd, &note, sizeof(note), MSG_WAITALL) != sizeof(note))
				err(EXIT_USAGE, "recv");
			note.port = ports[p];
			if (send(at[p].fd, &note, sizeof(note), 0) != sizeof(note))
				err(EXIT_USAGE, "send");
			talk->server_calls += 2;
			left--;
		}
	}
}

static void talk_tcp(struct talk *talk, int64_t *elapsed_ns)
{
	struct sockaddr_in where;
	int listener = net_listen((int)peers, &where);
	struct pollfd at[PEERS_MAX];
	int64_t ports[PEERS_MAX];
	int fd[PEERS_MAX];

	for (int64_t p = 0; p < peers; p++) {
		struct sockaddr_in asker = {0};
		socklen_t size = sizeof(asker);

		fd[p] = net_connect(&where);
		at[p] = (struct pollfd){net_accept(listener), POLLIN, 0};
		check_fd(getpeername(at[p].fd, (struct sockaddr *)&asker, &size), "getpeername");
		ports[p] = ntohs(asker.sin_port);
	}
	talk->server_sockets = 1 + peers;
	*elapsed_ns = -span_now();
	for (int64_t round = 0; round < rounds && !run_stopped(); round++) {
		for (int64_t p = 0; p < peers; p++)
			ask(fd[p], p, round);
		serve_tcp(talk, at, ports);
		for (int64_t p = 0; p < peers; p++)
			hear(talk, fd[p], p, round);
	}
	*elapsed_ns += span_now();
	for (int64_t p = 0; p < peers; p++) {
		close(fd[p]);
		close(at[p].fd);
	}
	close(listener);
}

static void measure_talk(struct run *run, size_t variant)
{
	struct talk talk = {0};
	int64_t elapsed_ns = 0;

	if (variant == UDP)
		talk_udp(&talk, &elapsed_ns);
	else
		talk_tcp(&talk, &elapsed_ns);
	run_record(run, (struct field[]){{"part", .text = "turns"},
					 {"peers", peers},
					 {"server_sockets", talk.server_sockets},
					 {"server_calls", talk.server_calls},
					 {"answers", talk.answers},
					 {"wrong_answers", talk.wrong},
					 {"elapsed_ns", elapsed_ns},
					 {0}});
}

/* --- all at once ----------------------------------------------------------- */

static struct link *cable;   /* NULL = not allowed here, */
static const char *no_cable; /* and why */

/* Who takes part: those it is for, one it is not for, and one that gets it by default. */
struct crowd {
	bool multicast, linked;
	struct in_addr local; /* of the receiving host */
	int sender;
	int fd[RECEIVERS_MAX];
	int outsider, trapped; /* -1 = there is none */
	struct sockaddr_in to;
};

static const in_addr_t group = 0xefff5352; /* 239.255.83.82: RFC 2365, of this site only */

static int fresh(const struct crowd *crowd, enum link_host host)
{
	return crowd->linked ? link_socket(cable, host, SOCK_DGRAM)
			     : check_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
}

/* A socket of the receiving host, bound to the port that they share, once there is one. */
static int receiver(struct crowd *crowd, in_addr_t address)
{
	struct sockaddr_in where = {
		.sin_family = AF_INET, .sin_addr = {address}, .sin_port = crowd->to.sin_port};
	int fd = fresh(crowd, LINK_RX);

	if (where.sin_port) /* the first one must not share a port that somebody else shares */
		net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	check_fd(bind(fd, (struct sockaddr *)&where, sizeof(where)), "bind");
	net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	crowd->to.sin_port = htons((uint16_t)port_of(fd));
	return fd;
}

static void join(const struct crowd *crowd, int fd)
{
	struct ip_mreq member = {{htonl(group)}, crowd->local};

	check_fd(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof(member)),
		 "IP_ADD_MEMBERSHIP");
}

static struct crowd gather(bool multicast, bool linked)
{
	struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
	struct in_addr from = linked ? link_address(LINK_TX) : loopback;
	struct crowd crowd = {.multicast = multicast,
			      .linked = linked,
			      .local = linked ? link_address(LINK_RX) : loopback,
			      .trapped = -1,
			      .to = {.sin_family = AF_INET}};

	/* the last address of the network, whose mask is /24 on the cable and /8 on loopback */
	crowd.to.sin_addr.s_addr =
		htonl(multicast ? group : ntohl(from.s_addr) | (linked ? 0xff : 0xffffff));
	for (int64_t i = 0; i < receivers; i++) {
		crowd.fd[i] = receiver(&crowd, htonl(INADDR_ANY));
		if (multicast)
			join(&crowd, crowd.fd[i]);
	}
	crowd.outsider = receiver(&crowd, multicast ? htonl(INADDR_ANY) : crowd.local.s_addr);
	if (multicast) {
		net_set(crowd.outsider, IPPROTO_IP, IP_MULTICAST_ALL, 0);
		crowd.trapped = receiver(&crowd, htonl(INADDR_ANY));
	}
	crowd.sender = fresh(&crowd, LINK_TX);
	if (multicast) {
		check_fd(setsockopt(crowd.sender, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)),
			 "IP_MULTICAST_IF");
		net_set(crowd.sender, IPPROTO_IP, IP_MULTICAST_LOOP, 1);
	}
	return crowd;
}

static void disperse(struct crowd *crowd)
{
	for (int64_t i = 0; i < receivers; i++)
		close(crowd->fd[i]);
	close(crowd->outsider);
	if (crowd->trapped >= 0)
		close(crowd->trapped);
	close(crowd->sender);
}

/* One datagram to all; 0 or an error number. */
static int call_out(const struct crowd *crowd, int64_t number)
{
	ssize_t sent = sendto(crowd->sender, &number, sizeof(number), 0,
			      (const struct sockaddr *)&crowd->to, sizeof(crowd->to));

	return sent == sizeof(number) ? 0 : errno;
}

/* How many datagrams have arrived, each the next one; what is not counts in *wrong. */
static int64_t arrivals(int fd, int64_t *next, int64_t *wrong)
{
	int64_t found = 0;
	int64_t number = -1;

	while (recv(fd, &number, sizeof(number), MSG_DONTWAIT) == sizeof(number)) {
		*wrong += number != (*next)++;
		found++;
	}
	return found;
}

/* A column of the row "Udp:" of /proc/net/snmp in one of the hosts: 1 = received, 4 = sent. */
static int64_t counted(enum link_host host, int column)
{
	const char *row =
		strstr(link_run(cable, host, "grep '^Udp: [0-9]' /proc/net/snmp"), "Udp: ");

	for (; row && column > 0; column--) {
		row = strchr(row, ' ');
		row += row ? 1 : 0;
	}
	return row ? strtoll(row, NULL, 10) : 0;
}

enum { IN_DATAGRAMS = 1, OUT_DATAGRAMS = 4 };

static void measure_crowd(struct run *run, bool multicast, bool linked)
{
	struct crowd crowd = gather(multicast, linked);
	int64_t next[RECEIVERS_MAX] = {0};
	int64_t other = 0, wrong = 0, received = 0;
	int64_t in = 0, out = 0;
	int64_t deadline_ns;
	int refused = 0;

	if (!multicast) {
		refused = call_out(&crowd, 0);
		net_set(crowd.sender, SOL_SOCKET, SO_BROADCAST, 1);
	}
	if (linked) {
		out = -counted(LINK_TX, OUT_DATAGRAMS);
		in = -counted(LINK_RX, IN_DATAGRAMS);
	}
	for (int64_t i = 0; i < messages; i++)
		check(call_out(&crowd, i), "sendto");
	deadline_ns = span_now() + 500000000;
	do {
		for (int64_t i = 0; i < receivers; i++)
			received += arrivals(crowd.fd[i], &next[i], &wrong);
	} while (received < receivers * messages && span_now() < deadline_ns &&
		 run_sleep_until(span_now() + 1000000));
	if (linked) {
		out += counted(LINK_TX, OUT_DATAGRAMS);
		in += counted(LINK_RX, IN_DATAGRAMS);
	}
	run_record(run,
		   (struct field[]){
			   {"part", .text = multicast ? "multicast" : "broadcast"},
			   {"sends", messages},
			   {"receivers", receivers},
			   {"received_datagrams", received},
			   {"wrong_datagrams", wrong},
			   {"outsider_datagrams", arrivals(crowd.outsider, &other, &(int64_t){0})},
			   {"trapped_datagrams",
			    crowd.trapped < 0 ? 0 : arrivals(crowd.trapped, &other, &(int64_t){0})},
			   {"eacces", refused == EACCES},
			   {"out_datagrams", out},
			   {"in_datagrams", in},
			   {0}});
	disperse(&crowd);
}

/* --- report ---------------------------------------------------------------- */

static void print_talks(struct run *run)
{
	FILE *out = run_out(run);

	if (!run_selected(run, UDP) && !run_selected(run, TCP))
		return;
	run_say(run, "One server, %s peers, %s questions each:", text_count(peers),
		text_count(rounds));
	fprintf(out, "\n  %-15s %8s %9s %8s %14s %14s\n", "", "server's", "right", "wrong",
		"system calls", "time a");
	fprintf(out, "  %-15s %8s %9s %8s %14s %14s\n", "by turns", "sockets", "answers", "answers",
		"an answer", "question");
	for (size_t v = UDP; v <= TCP; v++) {
		double answers = run_median(run, v, "answers");
		double wrong = run_median(run, v, "wrong_answers");

		if (run_selected(run, v))
			fprintf(out, "  %-15s %8s %9s %8s %14.2f %14s\n", variants[v].name,
				text_count((int64_t)run_median(run, v, "server_sockets")),
				text_count((int64_t)(answers - wrong)), text_count((int64_t)wrong),
				run_median(run, v, "server_calls") / answers,
				text_time(run_median(run, v, "elapsed_ns") / answers));
	}
	fputs("\n", out);
}

static bool has(struct run *run, size_t variant)
{
	return run_values(run, variant, "sends").n > 0;
}

static void print_crowds(struct run *run)
{
	FILE *out = run_out(run);
	bool any = false;

	for (size_t v = BROADCAST; v < VARIANTS; v++) {
		double sends = run_median(run, v, "sends");
		bool linked = v >= BROADCAST_LINK;

		if (!has(run, v))
			continue;
		if (!any)
			fprintf(out,
				"  %-15s %6s %9s %9s %9s   %s\n  %-15s %6s %9s %9s %9s   "
				"%-18s\n",
				"", "", "re-", "received", "outsider",
				"kernel's count:", "all at once", "sends", "ceivers", "a send",
				"received", "left, handed out");
		any = true;
		fprintf(out, "  %-15s %6.0f %9.0f %9.2f %9.0f%s\n", variants[v].name, sends,
			run_median(run, v, "receivers"),
			run_median(run, v, "received_datagrams") / sends,
			run_median(run, v, "outsider_datagrams"),
			linked ? text_format("   %.0f, %.0f", run_median(run, v, "out_datagrams"),
					     run_median(run, v, "in_datagrams"))
			       : "");
	}
	if (any)
		fputs("\n", out);
}

/* In how many trials of broadcast or multicast every receiver got all; *trials is of how many. */
static size_t reached(struct run *run, size_t on_loopback, size_t *trials)
{
	size_t all = 0;

	for (size_t v = on_loopback; v < VARIANTS; v += BROADCAST_LINK - BROADCAST) {
		struct values received = run_values(run, v, "received_datagrams");
		struct values wrong = run_values(run, v, "wrong_datagrams");

		*trials += received.n;
		for (size_t i = 0; i < received.n; i++)
			all += received.at[i] == receivers * messages && wrong.at[i] == 0;
	}
	return all;
}

static void judge_controls(struct run *run)
{
	double wrong = stats_sum(run_values(run, TCP, "wrong_answers"));
	size_t outsiders = 0, trapped = 0, trials = 0;

	run_control(run, wrong == 0, "TCP: %.0f answers went wrong", wrong);
	for (size_t v = BROADCAST; v < VARIANTS; v++) {
		struct values got = run_values(run, v, "trapped_datagrams");

		outsiders += stats_nonzero(run_values(run, v, "outsider_datagrams"));
		trapped += stats_nonzero(got);
		trials += v == MULTICAST || v == MULTICAST_LINK ? got.n : 0;
	}
	run_control(run, outsiders == 0,
		    "a socket that was not asked received something in %zu trials", outsiders);
	if (trapped)
		run_note(run,
			 "in %zu of %zu trials a socket that had joined no group received the "
			 "multicast all the same: another one of its host had joined, and "
			 "IP_MULTICAST_ALL is on by default.",
			 trapped, trials);
}

static void judge(struct run *run)
{
	struct values wrong = run_values(run, UDP, "wrong_answers");
	struct values answers = run_values(run, UDP, "answers");
	size_t broadcasts = 0, multicasts = 0;
	size_t broad = reached(run, BROADCAST, &broadcasts);
	size_t multi = reached(run, MULTICAST, &multicasts);
	double right = stats_sum(answers) - stats_sum(wrong);
	size_t refused = stats_nonzero(run_values(run, BROADCAST, "eacces")) +
			 stats_nonzero(run_values(run, BROADCAST_LINK, "eacces"));

	if (answers.n == 0 || broadcasts == 0 || multicasts == 0)
		return;
	run_verdict(
		run, "udp-many-peers", stats_sum(wrong) == 0 && broad && multi ? HOLDS : NOT_SEEN,
		(struct field[]){{"peers", peers},
				 {"right_answers", (int64_t)right},
				 {"answers", (int64_t)stats_sum(answers)},
				 {"receivers", receivers},
				 {"broadcast_trials", (int64_t)broadcasts},
				 {"broadcast_reached_trials", (int64_t)broad},
				 {"multicast_trials", (int64_t)multicasts},
				 {"multicast_reached_trials", (int64_t)multi},
				 {"eacces_trials", (int64_t)refused},
				 {0}},
		"one socket gave %s of %s answers to the right one of %s peers; one send reached "
		"%s receivers by broadcast in %zu of %zu trials, by multicast in %zu of %zu. "
		"Without SO_BROADCAST: EACCES in %zu of %zu",
		text_count((int64_t)right), text_count((int64_t)stats_sum(answers)),
		text_count(peers), text_count(receivers), broad, broadcasts, multi, multicasts,
		refused, broadcasts);
}

static void report(struct run *run)
{
	print_talks(run);
	print_crowds(run);
	judge_controls(run);
	judge(run);
	run_why(run,
		"a UDP socket that is not connected takes datagrams from anybody, each with its "
		"sender's address, and the kernel hands a copy of a broadcast or multicast to "
		"each socket it is for. A TCP connection has two ends, and never more.");
	if (no_cable)
		run_note(run, "broadcast-link and multicast-link are skipped: %s.", no_cable);
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (run_selected(run, BROADCAST_LINK) || run_selected(run, MULTICAST_LINK))
		cable = link_open((struct link_ask){0}, &no_cable);
	while (run_next(run)) {
		size_t variant = run_variant(run);
		bool linked = variant >= BROADCAST_LINK;

		if (variant <= TCP)
			measure_talk(run, variant);
		else if (!linked || cable)
			measure_crowd(run, variant == MULTICAST || variant == MULTICAST_LINK,
				      linked);
	}
	if (cable)
		link_close(cable);
	return run_end(run, report);
}
