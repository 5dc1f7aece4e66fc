/* SPDX-License-Identifier: MIT */
/*
 * listen - which call makes a server wait, and what carries the data?
 *
 * A server's thread calls listen() on many fresh sockets, one after the other, then accept(), to
 * which a client comes late.  Two witnesses tell whether a call waited: the thread's own count of
 * how often it gave its CPU up (span_sleeps()), and another thread that keeps reading its state
 * from /proc (R runs or could run, S sleeps).
 *
 * Then several clients connect at the same time.  Each accepted socket is compared with the
 * listening one by descriptor, inode and SO_COOKIE, and carries a stream of its own both ways; the
 * listening one is asked to carry data, too.
 *
 * Last, what the n of listen(n) bounds: several clients come to listen(1), once while nobody accepts,
 * and once while each is accepted, and all of them are served at the same time.
 */
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"
#include "thread.h"

enum { CLIENTS = 4, GUESTS = 5, BYTES = 4096, STREAM = 1 << 20 };

static const struct claim claims[] = {
	{"tcp-listen-blocks", "listen() puts the program in the blocked state", "sleep", HOLDS,
	 .why = {[REFUTED] =
			 "listen only makes the kernel queue connections for this socket, which is done at once. accept removes one from the queue, and waits while there is none."}},
	{"tcp-accept-new-socket",
	 "accept returns a new socket; the listening one never carries data", "as-one", REFUTED,
	 .why = {[HOLDS] =
			 "each connection is a socket of its own, made by the kernel when the handshake is done; accept gives it a descriptor."}},
	{"tcp-listen-max-clients", "listen(1) lets one client in", "no-accept", HOLDS,
	 .why = {[REFUTED] =
			 "n bounds the queue of connections that nobody has accepted yet, in which Linux lets one more wait. accept removes one, so there is room for the next; how many are open at the same time is bounded by descriptors and memory, not by n."}},
	{0}};

static const struct control controls[] = {
	{"accept-waits", "accept sleeps while there is no connection", "early"}, {0}};

static const struct row_field fields[] = {
	{"listen_calls", "of listen, each on a fresh socket", "listen|calls", SHOW_SUM},
	{"listen_ns", "of all these", "for|each", SHOW_MEDIAN, "listen_calls"},
	{"listen_longest_ns", "of the longest", "longest", SHOW_MOST},
	{"listen_asleep_calls", "that slept, by context switches", "asleep", SHOW_SUM},
	{"listen_looks", "at the thread's state meanwhile, by another thread", "looks", SHOW_SUM},
	{"listen_asleep_looks", "that found it asleep", "asleep", SHOW_SUM},
	{"accept_ns", "of one accept, whose client comes late", "accept"},
	{"accept_sleeps", "context switches because it waited", "slept", SHOW_NONZERO},
	{"accept_looks", "at the thread's state meanwhile", "looks", SHOW_SUM},
	{"accept_asleep_looks", "that found it asleep", "asleep", SHOW_SUM},
	{"accepted_sockets", "at once"},
	{"new_sockets", "with a descriptor, inode and cookie of their own"},
	{"still_listens", "1: the listening one, after all that"},
	{"listener_recv", "what recv on it gave", .text = true},
	{"listener_recv_errno", "its error number"},
	{"listener_send", "what send on it gave", .text = true},
	{"listener_send_errno", "its error number"},
	{"moved_bytes", "over the accepted sockets"},
	{"offered_clients", "of listen(1), all open at the same time"},
	{"served_clients", "of these, that were accepted and had an echo", "listen(1)|serves",
	 SHOW_RANGE},
	{"queued_clients", "of as many, that were connected while nobody accepted",
	 "listen(1)|queues", SHOW_RANGE},
	{"misplaced_bytes", "that arrived at another socket or changed", .zero = true,
	 .sham = "disorder"},
	{0}};

static const struct bound bounds[] = {
	{"usual_share", 0.5, "a claim of what happens is one of most calls"},
	{"enough_trials", 2, "a socket's kind does not change from trial to trial"},
	{0}};

static const int64_t settle_ns = 5000000; /* a connect over loopback is through long before */
static int64_t wait_ms = 200;
static int64_t calls = 2000;

static const struct opt opts[] = {{'w', "wait", "how long accept has to wait for a client",
				   .num = &wait_ms, .min = 20, .quick = 40, .max = 10000,
				   .unit = OPT_MS},
				  {'n', "calls", "calls of listen, each on a fresh socket",
				   .num = &calls, .min = 1, .quick = 250, .max = 1000000},
				  {0}};

/* --- which call waits ------------------------------------------------------ */

enum phase { STARTING, LISTENING, ACCEPTING, DONE, PHASES };

struct server {
	_Atomic enum phase phase; /* what its thread is about */
	atomic_int tid;
	int listener;
	int64_t listen_asleep;                       /* calls of listen that slept */
	int64_t listen_ns, listen_most_ns;           /* of all of them; of the longest */
	int64_t accept_ns, accept_sleeps;            /* of one accept */
	int64_t looks[PHASES], looks_asleep[PHASES]; /* of the watcher, at its state */
	bool sleeps, early; /* shams: listen sleeps; the client comes before accept is called */
};

/* One listen() on a fresh socket. */
static void listen_once(struct server *s)
{
	struct sockaddr_in where;
	int fd = net_bound(SOCK_STREAM, &where);
	int64_t sleeps = span_sleeps();
	int64_t begin_ns = span_now();
	int64_t took_ns;

	check_fd(listen(fd, 1), "listen");
	if (s->sleeps)
		run_sleep_until(begin_ns + 200000);
	took_ns = span_now() - begin_ns;
	s->listen_asleep += span_sleeps() > sleeps;
	s->listen_ns += took_ns;
	s->listen_most_ns = took_ns > s->listen_most_ns ? took_ns : s->listen_most_ns;
	close(fd);
}

static void *serve(void *argument)
{
	struct server *s = argument;
	int64_t begin_ns;
	int fd;

	atomic_store(&s->tid, gettid());
	atomic_store(&s->phase, LISTENING);
	for (int64_t i = 0; i < calls && !run_stopped(); i++)
		listen_once(s);
	atomic_store(&s->phase, ACCEPTING);
	if (s->early)
		run_sleep_until(span_now() + 2 * wait_ms * 1000000);
	s->accept_sleeps = -span_sleeps();
	begin_ns = span_now();
	fd = net_accept(s->listener);
	s->accept_ns = span_now() - begin_ns;
	s->accept_sleeps += span_sleeps();
	atomic_store(&s->phase, DONE);
	close(fd);
	return NULL;
}

/*
 * Keeps looking at the thread's state, and connects when accept has slept for long enough.  A
 * look counts only if the phase was the same before and after it.
 */
static void watch(struct server *s, const struct sockaddr_in *where)
{
	int64_t connect_ns = INT64_MAX;
	int client = -1;

	while (atomic_load(&s->phase) != DONE) {
		enum phase before = atomic_load(&s->phase);
		char state = '?';

		if (before != STARTING)
			state = thread_state(atomic_load(&s->tid));

		if (state != '?' && atomic_load(&s->phase) == before) {
			s->looks[before]++;
			s->looks_asleep[before] += state == 'S' || state == 'D';
		}
		if (before == ACCEPTING && connect_ns == INT64_MAX && state != 'R')
			connect_ns = span_now() + wait_ms * 1000000;
		if (client < 0 && (span_now() >= connect_ns || run_stopped()))
			client = net_connect(where);
		if (before == ACCEPTING)
			run_sleep_until(span_now() + 1000000);
	}
	close(client);
}

static void measure_waiting(struct server *s)
{
	struct sockaddr_in where;
	pthread_t thread;

	s->listener = net_listen(1, &where);
	check(pthread_create(&thread, NULL, serve, s), "pthread_create");
	watch(s, &where);
	check(pthread_join(thread, NULL), "pthread_join");
	close(s->listener);
}

/* --- which socket carries data --------------------------------------------- */

struct sockets {
	int64_t accepted, new_ones; /* of which no other has the descriptor, inode or cookie */
	int64_t still_listens;      /* the listening one, after all that */
	int64_t misplaced, moved;   /* bytes */
	int recv_error, send_error; /* of the listening one */
	int64_t served, queued;     /* clients of listen(1): with accept, and without */
};

struct identity {
	int fd;
	ino_t inode;
	uint64_t cookie;
};

static struct identity identity_of(int fd)
{
	struct identity id = {.fd = fd};
	socklen_t size = sizeof(id.cookie);
	struct stat about_fd;

	check_fd(fstat(fd, &about_fd), "fstat");
	id.inode = about_fd.st_ino;
	check_fd(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id.cookie, &size), "SO_COOKIE");
	return id;
}

static bool differ(struct identity a, struct identity b)
{
	return a.fd != b.fd && a.inode != b.inode && a.cookie != b.cookie;
}

/* Sends a piece of stream number `stream`; a few KiB fit into any buffer. */
static void send_piece(int fd, int64_t stream)
{
	uint8_t bytes[BYTES];

	pattern_fill(bytes, BYTES, (uint64_t)(stream * STREAM));
	check_fd(send(fd, bytes, BYTES, 0) == BYTES ? 0 : -1, "send");
}

static void receive_piece(int fd, int64_t stream, struct sockets *found)
{
	uint8_t bytes[BYTES] = {0};
	ssize_t n = recv(fd, bytes, BYTES, MSG_WAITALL);

	if (n < 0)
		err(EXIT_USAGE, "recv");
	found->moved += n;
	found->misplaced += BYTES - n;
	found->misplaced +=
		(int64_t)pattern_misplaced(bytes, (size_t)n, (uint64_t)(stream * STREAM));
}

static void measure_sockets(struct sockets *found)
{
	struct sockaddr_in where;
	int listener = net_listen(CLIENTS + 1, &where);
	struct identity ids[CLIENTS + 1] = {identity_of(listener)};
	int clients[CLIENTS], accepted[CLIENTS];
	char byte = 0;

	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = net_connect(&where);
		accepted[i] = net_accept(listener);
		ids[i + 1] = identity_of(accepted[i]);
	}
	for (int i = 1; i <= CLIENTS; i++) {
		bool alone = true;

		for (int k = 0; k <= CLIENTS; k++)
			alone = alone && (k == i || differ(ids[i], ids[k]));
		found->accepted++;
		found->new_ones += alone;
	}
	for (int64_t i = 0; i < CLIENTS; i++) { /* all are under way before any is read */
		send_piece(clients[i], 2 * i);
		send_piece(accepted[i], 2 * i + 1);
	}
	found->recv_error = recv(listener, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0;
	found->send_error = send(listener, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
	for (int64_t i = CLIENTS - 1; i >= 0; i--) {
		receive_piece(accepted[i], 2 * i, found);
		receive_piece(clients[i], 2 * i + 1, found);
	}
	found->still_listens = tcpinfo_read(listener).state == TCP_LISTEN;
	for (int i = 0; i < CLIENTS; i++) {
		close(clients[i]);
		close(accepted[i]);
	}
	close(listener);
}

/* --- what n bounds --------------------------------------------------------- */

/* Clients of listen(1), which nobody accepts: how many are connected. */
static void measure_queued(struct sockets *found)
{
	struct sockaddr_in where;
	int listener = net_listen(1, &where);
	int guests[GUESTS];

	for (int i = 0; i < GUESTS; i++) {
		guests[i] = net_socket(SOCK_STREAM | SOCK_NONBLOCK);
		if (connect(guests[i], (struct sockaddr *)&where, sizeof(where)) < 0 &&
		    errno != EINPROGRESS)
			err(EXIT_USAGE, "connect");
	}
	run_sleep_until(span_now() + settle_ns);
	for (int i = 0; i < GUESTS; i++) {
		found->queued += tcpinfo_read(guests[i]).state == TCP_ESTABLISHED;
		close(guests[i]);
	}
	close(listener);
}

/* The same, each accepted before the next one comes; none is closed before all had their echo. */
static void measure_served(struct sockets *found)
{
	struct sockaddr_in where;
	int listener = net_listen(1, &where);
	int guests[GUESTS], accepted[GUESTS];

	for (int i = 0; i < GUESTS; i++) {
		guests[i] = net_connect(&where);
		accepted[i] = net_accept(listener);
		send_piece(guests[i], i);
	}
	for (int i = 0; i < GUESTS; i++) {
		int64_t wrong = found->misplaced;

		receive_piece(accepted[i], i, found);
		send_piece(accepted[i], i);
		receive_piece(guests[i], i, found);
		found->served += found->misplaced == wrong;
	}
	for (int i = 0; i < GUESTS; i++) {
		close(guests[i]);
		close(accepted[i]);
	}
	close(listener);
}

static void record(struct run *run, const struct server *s, const struct sockets *found)
{
	run_record(run, (struct field[]){{"listen_calls", calls},
					 {"listen_asleep_calls", s->listen_asleep},
					 {"listen_ns", s->listen_ns},
					 {"listen_longest_ns", s->listen_most_ns},
					 {"listen_looks", s->looks[LISTENING]},
					 {"listen_asleep_looks", s->looks_asleep[LISTENING]},
					 {"accept_ns", s->accept_ns},
					 {"accept_sleeps", s->accept_sleeps},
					 {"accept_looks", s->looks[ACCEPTING]},
					 {"accept_asleep_looks", s->looks_asleep[ACCEPTING]},
					 {"accepted_sockets", found->accepted},
					 {"new_sockets", found->new_ones},
					 {"still_listens", found->still_listens},
					 {"listener_recv", .text = text_errno(found->recv_error)},
					 {"listener_recv_errno", found->recv_error},
					 {"listener_send", .text = text_errno(found->send_error)},
					 {"listener_send_errno", found->send_error},
					 {"moved_bytes", found->moved},
					 {"offered_clients", GUESTS},
					 {"served_clients", found->served},
					 {"queued_clients", found->queued},
					 {"misplaced_bytes", found->misplaced},
					 {0}});
}

/* --- judge --------------------------------------------------------------- */

static void judge_clients(struct run *run)
{
	struct share several = share_within(run_values(run, 0, "served_clients"), 2, GUESTS);

	run_judge(
		run, "tcp-listen-max-clients",
		never_happens(several, (int64_t)run_bound(run, "enough_trials")),
		"after listen(1) several clients were served at the same time in {several} trials, {served} clients in all, each accepted before the next one came; while nobody accepted, {queued} clients were connected",
		number_share("several", several),
		number_share("served", run_part(run, 0, "served_clients", "offered_clients")),
		number_share("queued", run_part(run, 0, "queued_clients", "offered_clients")));
}

static void judge(struct run *run)
{
	double usual = run_bound(run, "usual_share");
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	struct share asleep = run_part(run, 0, "listen_asleep_calls", "listen_calls");
	struct share looks = run_part(run, 0, "listen_asleep_looks", "listen_looks");
	struct share accept = run_part(run, 0, "accept_asleep_looks", "accept_looks");
	struct share fresh = run_part(run, 0, "new_sockets", "accepted_sockets");
	struct share slept = run_nonzero(run, 0, "accept_sleeps");

	run_judge(
		run, "tcp-listen-blocks", share_above(asleep, usual),
		"{asleep} calls of listen slept, of {each_ns} each; another thread saw it asleep in {looks} looks, and accept in {accept} looks",
		number_share("asleep", asleep), number_share("looks", looks),
		number_share("accept", accept),
		number_real("each_ns", run_median(run, 0, "listen_ns") / (double)calls));
	run_judge(
		run, "tcp-accept-new-socket",
		all_of(always_happens(fresh, CLIENTS),
		       always_happens(run_nonzero(run, 0, "listener_recv_errno"), enough),
		       always_happens(run_nonzero(run, 0, "listener_send_errno"), enough),
		       always_happens(run_nonzero(run, 0, "still_listens"), enough)),
		"{fresh} accepted sockets had a descriptor, inode and cookie of their own, and carried a stream each; the listening one still listened in {listens} trials, and gave an error for recv in {recv} and for send in {send}",
		number_share("fresh", fresh),
		number_share("listens", run_nonzero(run, 0, "still_listens")),
		number_share("recv", run_nonzero(run, 0, "listener_recv_errno")),
		number_share("send", run_nonzero(run, 0, "listener_send_errno")));
	judge_clients(run);
	run_check(run, "accept-waits", share_above(slept, usual),
		  "accept slept in {slept} trials, though its client came late",
		  number_share("slept", slept));
}

static const struct experiment about = {
	.name = "listen",
	.group = "tcp",
	.order = 405,
	.summary = "Does listen() wait? Which socket carries the data? What does its n bound?",
	.intro =
		"A client comes to accept {wait_ms} late. Asleep: by the caller's context switches, and by its state as another thread read it from /proc.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.controls = controls,
	.opts = opts,
	.trials = 7,
	.quick_trials = 7,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run)) {
		struct server server = {.sleeps = run_sham(run, "sleep"),
					.early = run_sham(run, "early")};
		struct sockets found = {0};

		measure_waiting(&server);
		measure_sockets(&found);
		measure_queued(&found);
		if (!run_sham(run, "no-accept"))
			measure_served(&found);
		found.new_ones *= !run_sham(run, "as-one");
		record(run, &server, &found);
	}
	return run_end(run);
}
