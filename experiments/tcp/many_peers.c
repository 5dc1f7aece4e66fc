/* SPDX-License-Identifier: MIT */
/*
 * many_peers - how many can one UDP socket talk to?
 *
 *	udp  One unconnected socket answers many peers: recvfrom says who asked, sendto answers
 *	     that one.  Each peer checks that the answer is its own.
 *	tcp  The control: the same questions take a listening socket and one for each peer.
 *
 * How one send reaches several peers at once is shown by multicast.c.
 */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { UDP, TCP, VARIANTS, PEERS_MAX = 200 };

static const struct variant variants[] = {
	[UDP] = {"udp", "one unconnected UDP socket answers all peers"},
	[TCP] = {"tcp", "TCP takes a socket for each peer (control)"},
	{0}};

static const struct claim claims[] = {{"udp-many-peers", "one UDP socket talks to many peers"},
				      {0}};

static int64_t peers = 16;
static int64_t rounds = 50;

static const struct opt opts[] = {
	{'p', "peers", "peers that ask one server", .num = &peers, .min = 2, .max = PEERS_MAX},
	{'r', "rounds", "questions of each peer", .num = &rounds, .min = 1, .max = 100000,
	 .quick = 20},
	{0}};

static const struct experiment about = {
	.name = "many_peers",
	.group = "tcp",
	.summary = "How many can one UDP socket talk to?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 2,
	.scatter = "elapsed_ns",
};

/* --- the peers ------------------------------------------------------------- */

/* A question, and the answer, to which the server adds who it takes the asker for. */
struct note {
	int64_t peer, round;
	int64_t port; /* of the asker, as the server sees it */
};

struct talk {
	int peer[PEERS_MAX];
	int server;                      /* UDP's only socket, or the listener */
	struct pollfd served[PEERS_MAX]; /* TCP's other sockets, */
	int64_t port[PEERS_MAX];         /* and who is at the other end */
	int64_t server_sockets, server_calls;
	int64_t answers, wrong;
	int64_t elapsed_ns;
};

static void ask(int fd, int64_t peer, int64_t round)
{
	struct note note = {peer, round, 0};

	if (send(fd, &note, sizeof(note), 0) != sizeof(note))
		err(EXIT_USAGE, "send");
}

/* Reads a peer's answer, which must be its own and complete. */
static void hear(struct talk *t, int fd, int64_t peer, int64_t round)
{
	struct note note = {-1, -1, -1};

	if (recv(fd, &note, sizeof(note), MSG_WAITALL) != sizeof(note) || note.peer != peer ||
	    note.round != round || note.port != ntohs(net_name(fd).sin_port))
		t->wrong++;
	t->answers++;
}

/* --- UDP ------------------------------------------------------------------- */

/* Each peer's socket is connected to the server's one, which is connected to nobody. */
static void open_udp(struct talk *t)
{
	const int64_t patience_ms = 2000; /* a datagram that is lost must not be awaited */
	struct sockaddr_in where;

	t->server = net_bound(SOCK_DGRAM, &where);
	t->server_sockets = 1;
	net_set_timeout(t->server, SO_RCVTIMEO, patience_ms);
	for (int64_t p = 0; p < peers; p++) {
		t->peer[p] = net_socket(SOCK_DGRAM);
		check_fd(connect(t->peer[p], (struct sockaddr *)&where, sizeof(where)), "connect");
		net_set_timeout(t->peer[p], SO_RCVTIMEO, patience_ms);
	}
}

/* Answers one question of each peer, whoever comes next; one that was lost is not answered. */
static void serve_udp(struct talk *t)
{
	for (int64_t p = 0; p < peers; p++) {
		struct sockaddr_in asker = {0};
		socklen_t size = sizeof(asker);
		struct note note;

		t->server_calls += 2;
		if (recvfrom(t->server, &note, sizeof(note), 0, (struct sockaddr *)&asker, &size) !=
		    sizeof(note))
			return;
		note.port = ntohs(asker.sin_port);
		if (sendto(t->server, &note, sizeof(note), 0, (struct sockaddr *)&asker, size) !=
		    sizeof(note))
			err(EXIT_USAGE, "sendto");
	}
}

/* --- TCP ------------------------------------------------------------------- */

static void open_tcp(struct talk *t)
{
	struct sockaddr_in where;

	t->server = net_listen((int)peers, &where);
	t->server_sockets = 1 + peers;
	for (int64_t p = 0; p < peers; p++) {
		struct sockaddr_in asker = {0};
		socklen_t size = sizeof(asker);

		t->peer[p] = net_connect(&where);
		t->served[p].events = POLLIN;
		t->served[p].fd =
			check_fd(accept4(t->server, (struct sockaddr *)&asker, &size, SOCK_CLOEXEC),
				 "accept");
		t->port[p] = ntohs(asker.sin_port);
	}
}

/* The same by connections: the server asks poll which of its sockets has a question. */
static void serve_tcp(struct talk *t)
{
	for (int64_t left = peers; left > 0 && !run_stopped();) {
		int ready = check_fd(poll(t->served, (nfds_t)peers, 2000), "poll");

		t->server_calls++;
		if (ready == 0)
			return;
		for (int64_t p = 0; p < peers; p++) {
			int fd = t->served[p].fd;
			struct note note;

			if (!t->served[p].revents)
				continue;
			if (recv(fd, &note, sizeof(note), MSG_WAITALL) != sizeof(note))
				err(EXIT_USAGE, "recv");
			note.port = t->port[p];
			if (send(fd, &note, sizeof(note), 0) != sizeof(note))
				err(EXIT_USAGE, "send");
			t->server_calls += 2;
			left--;
		}
	}
}

/* --- one trial ------------------------------------------------------------- */

static const struct {
	void (*open)(struct talk *t);
	void (*serve)(struct talk *t);
} ways[VARIANTS] = {[UDP] = {open_udp, serve_udp}, [TCP] = {open_tcp, serve_tcp}};

static void measure(struct talk *t, size_t variant)
{
	ways[variant].open(t);
	t->elapsed_ns = -span_now();
	for (int64_t round = 0; round < rounds && !run_stopped(); round++) {
		for (int64_t p = 0; p < peers; p++)
			ask(t->peer[p], p, round);
		ways[variant].serve(t);
		for (int64_t p = 0; p < peers; p++)
			hear(t, t->peer[p], p, round);
	}
	t->elapsed_ns += span_now();
	for (int64_t p = 0; p < peers; p++) {
		close(t->peer[p]);
		if (variant == TCP)
			close(t->served[p].fd);
	}
	close(t->server);
}

/* --- report ---------------------------------------------------------------- */

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "One server, %s peers, %s questions each:", text_count(peers),
		text_count(rounds));
	fprintf(out, "\n  %-15s %8s %9s %8s %14s %14s\n", "", "server's", "right", "wrong",
		"system calls", "time a");
	fprintf(out, "  %-15s %8s %9s %8s %14s %14s\n", "by turns", "sockets", "answers", "answers",
		"an answer", "question");
	for (size_t v = 0; v < VARIANTS; v++) {
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

static void judge(struct run *run)
{
	double answers = run_sum(run, UDP, "answers");
	double wrong = run_sum(run, UDP, "wrong_answers");

	if (answers > 0)
		old_verdict(run, "udp-many-peers", wrong == 0 ? HOLDS : NOT_SEEN,
			    (struct field[]){{"peers", peers},
					     {"right_answers", (int64_t)(answers - wrong)},
					     {"answers", (int64_t)answers},
					     {0}},
			    "one socket gave %s of %s answers to the right one of %s peers",
			    text_count((int64_t)(answers - wrong)), text_count((int64_t)answers),
			    text_count(peers));
}

static void report(struct run *run)
{
	double wrong = run_sum(run, TCP, "wrong_answers");

	print_table(run);
	old_control(run, wrong == 0, "TCP: %.0f answers went wrong", wrong);
	judge(run);
	old_why(run, "a UDP socket that is not connected takes datagrams from anybody, each with "
		     "its sender's address. A TCP connection has two ends, and never more.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		struct talk t = {0};

		measure(&t, run_variant(run));
		run_record(run, (struct field[]){{"peers", peers},
						 {"server_sockets", t.server_sockets},
						 {"server_calls", t.server_calls},
						 {"answers", t.answers},
						 {"wrong_answers", t.wrong},
						 {"elapsed_ns", t.elapsed_ns},
						 {0}});
	}
	return old_end(run, report);
}
