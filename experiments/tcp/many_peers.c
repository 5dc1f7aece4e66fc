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
#include "judge.h"
#include "net.h"
#include "span.h"

enum { UDP, TCP, VARIANTS, PEERS_MAX = 200 };

static const struct variant variants[] = {
	[UDP] = {"udp", "one unconnected UDP socket answers all peers"},
	[TCP] = {"tcp", "TCP takes a socket for each peer (control)"},
	{0}};

static const struct claim claims[] = {
	{"udp-many-peers", "one UDP socket talks to many peers", "udp=tcp", REFUTED,
	 .why = {[HOLDS] =
			 "a UDP socket that is not connected takes datagrams from anybody, each with its sender's address. A TCP connection has two ends, and never more."}},
	{0}};

static const struct row_field fields[] = {
	{"peers", "that ask one server", "peers", SHOW_FIRST},
	{"server_sockets", "of the server", "server's|sockets", SHOW_MOST},
	{"answers", "that came", "answers", SHOW_SUM},
	{"wrong_answers", "that came to another peer or changed", .zero = true, .sham = "swap"},
	{"server_calls", "system calls of the server", "calls an|answer", SHOW_SUM, "answers"},
	{"elapsed_ns", "of all questions", "time a|question", SHOW_MEDIAN, "answers"},
	{"one_for_all", "1: one socket gave every peer all its answers"},
	{0}};

static const struct bound bounds[] = {{"enough_trials", 2, "each with hundreds of questions"}, {0}};

static int64_t peers = 16;
static int64_t rounds = 50;

static const struct opt opts[] = {
	{'p', "peers", "peers that ask one server", .num = &peers, .min = 2, .max = PEERS_MAX},
	{'r', "rounds", "questions of each peer", .num = &rounds, .min = 1, .max = 100000,
	 .quick = 20},
	{0}};

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

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct share one = run_nonzero(run, UDP, "one_for_all");

	run_judge(
		run, "udp-many-peers",
		always_happens(one, (int64_t)run_bound(run, "enough_trials")),
		"in {one} trials one UDP socket gave every one of {peers} peers all its answers; TCP took {sockets} sockets",
		number_share("one", one), number_int("peers", peers),
		number_real("sockets", run_median(run, TCP, "server_sockets")));
}

static const struct experiment about = {
	.name = "many_peers",
	.group = "tcp",
	.order = 415,
	.summary = "How many can one UDP socket talk to?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 40,
	.quick_trials = 2,
	.judge = judge,
	.scatter = "elapsed_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		struct talk t = {0};

		measure(&t, run_variant(run));
		run_record(run,
			   (struct field[]){{"peers", peers},
					    {"server_sockets", t.server_sockets},
					    {"server_calls", t.server_calls},
					    {"answers", t.answers},
					    {"wrong_answers", t.wrong + run_sham(run, "swap")},
					    {"one_for_all", t.server_sockets == 1 && t.wrong == 0 &&
								    t.answers == peers * rounds},
					    {"elapsed_ns", t.elapsed_ns},
					    {0}});
	}
	return run_end(run);
}
