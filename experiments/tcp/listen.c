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
#include "old.h"
#include "net.h"
#include "pattern.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"
#include "thread.h"

enum { CLIENTS = 4, BYTES = 4096, STREAM = 1 << 20 };

static const struct claim claims[] = {
	{"tcp-listen-blocks", "listen() puts the program in the blocked state"},
	{"tcp-accept-new-socket",
	 "accept returns a new socket; the listening one never carries data"},
	{0}};

static int64_t wait_ms = 200;
static int64_t calls = 2000;

static const struct opt opts[] = {{'w', "wait", "how long accept has to wait for a client",
				   .num = &wait_ms, .min = 20, .quick = 100, .max = 10000,
				   .unit = OPT_MS},
				  {'n', "calls", "calls of listen, each on a fresh socket",
				   .num = &calls, .min = 1, .quick = 500, .max = 1000000},
				  {0}};

static const struct experiment about = {
	.name = "listen",
	.group = "tcp",
	.summary = "Does listen() wait? Which socket carries the data?",
	.claims = claims,
	.opts = opts,
	.trials = 5,
	.quick_trials = 2,
};

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
					 {"misplaced_bytes", found->misplaced},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

static void print_call(struct run *run, const char *call, double each_ns, double longest_ns,
		       double asleep, double all, double looks_asleep, double looks)
{
	fprintf(run_out(run), "  %-8s %8s %10s %10s %16s %18s\n", call, text_count((int64_t)all),
		text_time(each_ns), text_time(longest_ns),
		text_format("%s of %s", text_count((int64_t)asleep), text_count((int64_t)all)),
		text_format("%s of %s", text_count((int64_t)looks_asleep),
			    text_count((int64_t)looks)));
}

/* The mean of a trial's calls, of the trials the median. */
static double each_listen_ns(struct run *run)
{
	return run_median(run, 0, "listen_ns") / (double)calls;
}

static void print_table(struct run *run)
{
	struct values accepts = run_values(run, 0, "accept_ns");

	run_say(run,
		"A client comes to accept %s late. Asleep: by the caller's context switches; "
		"its state: as another thread read it from /proc meanwhile.",
		text_time((double)wait_ms * 1e6));
	fprintf(run_out(run), "\n  %-8s %8s %10s %10s %16s %18s\n", "call", "calls", "each",
		"longest", "asleep", "state S");
	print_call(run, "listen", each_listen_ns(run),
		   stats_quantile(run_values(run, 0, "listen_longest_ns"), 1),
		   run_sum(run, 0, "listen_asleep_calls"), run_sum(run, 0, "listen_calls"),
		   run_sum(run, 0, "listen_asleep_looks"), run_sum(run, 0, "listen_looks"));
	print_call(run, "accept", stats_quantile(accepts, 0.5), stats_quantile(accepts, 1),
		   (double)stats_nonzero(run_values(run, 0, "accept_sleeps")), (double)accepts.n,
		   run_sum(run, 0, "accept_asleep_looks"), run_sum(run, 0, "accept_looks"));
	fputs("\n", run_out(run));
}

static void judge_listen(struct run *run)
{
	double all = run_sum(run, 0, "listen_calls");
	double asleep = run_sum(run, 0, "listen_asleep_calls");
	double looks = run_sum(run, 0, "accept_looks");
	double share = run_sum(run, 0, "accept_asleep_looks") / looks;

	old_verdict(run, "tcp-listen-blocks", asleep == all ? HOLDS : REFUTED,
		    (struct field[]){{"listen_calls", (int64_t)all},
				     {"listen_asleep_calls", (int64_t)asleep},
				     {"listen_ns", (int64_t)each_listen_ns(run)},
				     {"accept_ns", (int64_t)run_median(run, 0, "accept_ns")},
				     {"accept_asleep_share", .real = &share},
				     {0}},
		    "%s of %s calls of listen returned without sleeping, after %s each; accept "
		    "took %s and was seen asleep in %s of %s looks",
		    text_count((int64_t)(all - asleep)), text_count((int64_t)all),
		    text_time(each_listen_ns(run)), text_time(run_median(run, 0, "accept_ns")),
		    text_share(share), text_count((int64_t)looks));
}

static void judge_sockets(struct run *run)
{
	struct values listens = run_values(run, 0, "still_listens");
	struct values recv_errors = run_values(run, 0, "listener_recv_errno");
	struct values send_errors = run_values(run, 0, "listener_send_errno");
	double accepted = run_sum(run, 0, "accepted_sockets");
	double fresh = run_sum(run, 0, "new_sockets");
	bool refuses = stats_nonzero(recv_errors) == recv_errors.n &&
		       stats_nonzero(send_errors) == send_errors.n;

	old_verdict(run, "tcp-accept-new-socket",
		    fresh == accepted && refuses && stats_nonzero(listens) == listens.n ? HOLDS
											: REFUTED,
		    (struct field[]){{"accepted_sockets", (int64_t)accepted},
				     {"new_sockets", (int64_t)fresh},
				     {"moved_bytes", (int64_t)run_sum(run, 0, "moved_bytes")},
				     {0}},
		    "%.0f of %.0f accepted sockets had a descriptor, inode and cookie of their "
		    "own; %d at once carried a stream each, %.0f bytes went astray. The listening "
		    "one still listened in %zu of %zu trials; recv and send on it: %s, %s",
		    fresh, accepted, CLIENTS, run_sum(run, 0, "misplaced_bytes"),
		    stats_nonzero(listens), listens.n, text_errno((int)recv_errors.at[0]),
		    text_errno((int)send_errors.at[0]));
}

static void report(struct run *run)
{
	struct values slept = run_values(run, 0, "accept_sleeps");
	double misplaced = run_sum(run, 0, "misplaced_bytes");

	print_table(run);
	old_control(run, stats_nonzero(slept) == slept.n,
		    "accept slept in %zu of %zu trials only, though its client came late",
		    stats_nonzero(slept), slept.n);
	old_control(run, misplaced == 0, "%.0f bytes arrived at another socket or changed",
		    misplaced);
	judge_listen(run);
	judge_sockets(run);
	old_why(run, "listen only tells the kernel to queue connections for this socket, which is "
		     "done at once. accept takes one out of the queue, as a socket of its own, and "
		     "waits while there is none.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run)) {
		struct server server = {0};
		struct sockets found = {0};

		measure_waiting(&server);
		measure_sockets(&found);
		record(run, &server, &found);
	}
	return old_end(run, report);
}
