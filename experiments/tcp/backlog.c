/* SPDX-License-Identifier: MIT */
/*
 * backlog - how many connections does listen(n) queue, and what becomes of the next ones?
 *
 * One listener for each n, none of which accepts.  Clients connect to each, one by one, until one
 * does not get through; four more follow it, a while apart.  Three views are kept apart: what the
 * clients believe (TCP_INFO), what the listener has queued (TCP_INFO of a listening socket), and
 * what accept hands out later, told by the client's port.
 *
 * Those that do not get through are watched: each SYN that TCP sends again is stamped.  Then the
 * servers begin to accept everything at once, and each of the waiting gets in when it next tries.
 *
 * All listeners share one trial, because the waiting takes seconds of doing nothing.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "files.h"
#include "machine.h"
#include "net.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { LISTENERS = 5, WAITERS = 5, SPARE = 64, EVENTS = 1024, COLUMNS = 58 };

static const int64_t settle_ns = 5000000; /* a connect over loopback is through long before */
static const int64_t tick_ns = 5000000;   /* between two looks at those that wait */

/* The last one is to be more than net.core.somaxconn, which limits it. */
static const int64_t asked[LISTENERS] = {0, 1, 5, 128, 5000};
static int used; /* how many of them */

static const struct claim claims[] = {
	{"tcp-backlog-n", "listen(n) queues n requests, further ones are refused"}, {0}};

static int64_t accept_ms = 7400;
static int64_t patience_ms = 4800;
static int64_t spread_ms = 2000;
static int64_t most = 10000;

static const struct opt opts[] = {
	{'a', "accept-after", "how long the servers do not accept", .num = &accept_ms, .min = 50,
	 .quick = 400, .max = 60000, .unit = OPT_MS},
	{'p', "patience", "how long those that wait are then watched", .num = &patience_ms,
	 .min = 50, .quick = 770, .max = 60000, .unit = OPT_MS},
	{'s', "spread", "from the first to the last of those that have to wait", .num = &spread_ms,
	 .quick = 80, .max = 10000, .unit = OPT_MS},
	{'m', "most", "leave listen(5000) out if it would take more connects", .num = &most,
	 .quick = 1000, .max = 20000},
	{0}};

static const struct experiment about = {
	.name = "backlog",
	.group = "tcp",
	.summary = "How many connections does listen(n) queue, and what becomes of the others?",
	.claims = claims,
	.opts = opts,
	.trials = 1,
	.quick_trials = 1,
};

struct client {
	int fd;
	in_port_t port;
	enum { WAITING, COMPLETE, REFUSED } state; /* as the client sees it */
	bool waited;                               /* it did not get through at once */
	int64_t begin_ns, accepted_ns; /* its connect; accept handed it out (0: not yet) */
	int64_t retries;               /* SYNs sent again */
};

struct queue {
	int64_t asked;
	int fd;
	struct sockaddr_in where;
	struct client *clients;
	int n, room;
	int waiters; /* clients that did not get through at once, at the end of the array */
	int64_t limit, queued, completed, accepted, refused, waiting, strangers;
};

/* A SYN that was sent again. */
struct event {
	int queue, client;
	int64_t at_ns, number;
};

struct trial {
	struct queue queues[LISTENERS];
	struct event events[EVENTS];
	int events_n;
	int64_t begin_ns, accept_ns, end_ns;
};

/* --- clients --------------------------------------------------------------- */

static struct client *start_client(struct queue *q)
{
	struct linger abort = {1, 0}; /* close resets: no TIME_WAIT that keeps thousands of ports */
	struct client *c = &q->clients[q->n++];
	struct sockaddr_in own = {0};
	socklen_t size = sizeof(own);

	c->fd = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	check_fd(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)), "SO_LINGER");
	c->begin_ns = span_now();
	if (connect(c->fd, (struct sockaddr *)&q->where, sizeof(q->where)) == 0)
		c->state = COMPLETE;
	else if (errno == ECONNREFUSED)
		c->state = REFUSED;
	else if (errno != EINPROGRESS)
		err(EXIT_USAGE, "connect");
	check_fd(getsockname(c->fd, (struct sockaddr *)&own, &size), "getsockname");
	c->port = own.sin_port;
	return c;
}

/* Asks TCP how far it has got; true if the SYN was sent again since. */
static bool look_at(struct client *c)
{
	struct tcpinfo now = tcpinfo_read(c->fd);
	bool again = now.retransmits > c->retries;

	if (now.state == TCP_ESTABLISHED || now.state == TCP_CLOSE_WAIT)
		c->state = COMPLETE;
	else if (now.state == TCP_CLOSE)
		c->state = REFUSED;
	c->retries = now.retransmits;
	return again;
}

/* Connects one by one, until one does not get through, or far too many have. */
static void fill(struct queue *q)
{
	while (q->n < q->room - WAITERS && !run_stopped()) {
		struct client *c = start_client(q);
		struct pollfd done = {.fd = c->fd, .events = POLLOUT};
		struct timespec settle = {.tv_nsec = settle_ns};

		if (c->state == WAITING && ppoll(&done, 1, &settle, NULL) > 0)
			look_at(c);
		if (c->state != COMPLETE) {
			c->waited = true;
			q->waiters = 1;
			return;
		}
	}
}

/* Looks at a client that waits; notes each SYN sent again. */
static void follow(struct trial *t, int queue, int client)
{
	struct client *c = &t->queues[queue].clients[client];

	if (c->state == WAITING && look_at(c) && t->events_n < EVENTS)
		t->events[t->events_n++] = (struct event){queue, client, span_now(), c->retries};
}

static void look(struct trial *t)
{
	for (int i = 0; i < used; i++)
		for (int k = t->queues[i].n - t->queues[i].waiters; k < t->queues[i].n; k++)
			follow(t, i, k);
}

/* Starts those of the waiting whose time has come. */
static void start_more(struct trial *t)
{
	for (int i = 0; i < used; i++) {
		struct queue *q = &t->queues[i];
		int64_t due_ns = t->begin_ns + spread_ms * 1000000 * q->waiters / (WAITERS - 1);

		if (q->waiters && q->waiters < WAITERS && span_now() >= due_ns) {
			start_client(q)->waited = true;
			q->waiters++;
		}
	}
}

/* --- servers --------------------------------------------------------------- */

/* Counts what the clients and the listener say, before anything is accepted. */
static void count(struct queue *q)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	check_fd(getsockopt(q->fd, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	q->queued = info.tcpi_unacked; /* of a listener: sk_ack_backlog and its maximum */
	q->limit = info.tcpi_sacked;
	for (int k = 0; k < q->n; k++) {
		q->completed += q->clients[k].state == COMPLETE;
		q->refused += q->clients[k].state == REFUSED;
		q->waiting += q->clients[k].state == WAITING;
	}
}

static struct client *client_of(struct queue *q, in_port_t port)
{
	for (int k = 0; k < q->n; k++)
		if (q->clients[k].port == port && !q->clients[k].accepted_ns)
			return &q->clients[k];
	return NULL;
}

/* Accepts all that is queued; returns how many of them had got through before. */
static int64_t accept_all(struct trial *t, int queue)
{
	struct queue *q = &t->queues[queue];
	int64_t ready = 0;

	for (;;) {
		struct sockaddr_in peer = {0};
		socklen_t size = sizeof(peer);
		int fd = accept4(q->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
		struct client *c;

		if (fd < 0 && errno == EAGAIN)
			return ready;
		check_fd(fd, "accept");
		c = client_of(q, peer.sin_port);
		if (c) {
			ready += c->state == COMPLETE;
			follow(t, queue, (int)(c - q->clients));
			c->state = COMPLETE;
			c->accepted_ns = span_now();
		} else {
			q->strangers++;
		}
		close(fd);
	}
}

static bool all_in(const struct trial *t)
{
	for (int i = 0; i < used; i++)
		for (int k = t->queues[i].n - t->queues[i].waiters; k < t->queues[i].n; k++)
			if (t->queues[i].clients[k].state != REFUSED &&
			    !t->queues[i].clients[k].accepted_ns)
				return false;
	return true;
}

/* Waits for connections to accept, or for the next look. */
static void wait_a_tick(const struct trial *t)
{
	struct timespec tick = {.tv_nsec = tick_ns};
	struct pollfd ready[LISTENERS + 1];

	for (int i = 0; i < used; i++)
		ready[i] = (struct pollfd){.fd = t->queues[i].fd, .events = POLLIN};
	ready[used] = (struct pollfd){.fd = run_stop_fd(), .events = POLLIN};
	ppoll(ready, (nfds_t)used + 1, &tick, NULL);
}

/* --- one trial --------------------------------------------------------------- */

static void open_queue(struct queue *q, int64_t n)
{
	*q = (struct queue){.asked = n};
	q->fd = net_bound(SOCK_STREAM | SOCK_NONBLOCK, &q->where);
	q->room = (int)n + 1 + SPARE + WAITERS;
	q->clients = calloc((size_t)q->room, sizeof(*q->clients));
	if (!q->clients)
		err(EXIT_USAGE, "calloc");
	check_fd(listen(q->fd, (int)n), "listen");
}

static void close_queue(struct queue *q)
{
	for (int k = 0; k < q->n; k++)
		close(q->clients[k].fd);
	close(q->fd);
	free(q->clients);
}

static void measure(struct trial *t)
{
	for (int i = 0; i < used; i++)
		open_queue(&t->queues[i], asked[i]);
	t->begin_ns = span_now();
	for (int i = used - 1; i >= 0; i--)
		fill(&t->queues[i]);
	t->accept_ns = t->begin_ns + accept_ms * 1000000;
	while (span_now() < t->accept_ns && run_sleep_until(span_now() + tick_ns)) {
		start_more(t);
		look(t);
	}
	for (int i = 0; i < used; i++)
		count(&t->queues[i]);
	t->accept_ns = span_now();
	for (int i = 0; i < used; i++)
		t->queues[i].accepted = accept_all(t, i);
	while (!all_in(t) && span_now() < t->accept_ns + patience_ms * 1000000 && !run_stopped()) {
		wait_a_tick(t);
		for (int i = 0; i < used; i++)
			accept_all(t, i);
		look(t);
	}
	t->end_ns = span_now();
}

static void record_queue(struct run *run, const struct trial *t, const struct queue *q)
{
	int64_t shortest = 0, longest = 0, admitted = 0, retries = 0, half = 0;

	for (int k = 0; k < q->n; k++)
		half += q->clients[k].state == COMPLETE && !q->clients[k].accepted_ns;
	for (int k = q->n - q->waiters; k < q->n; k++) {
		const struct client *c = &q->clients[k];
		int64_t after = c->accepted_ns - t->accept_ns;

		retries += c->retries;
		if (!c->accepted_ns)
			continue;
		run_row(run, "admit",
			(struct field[]){{"asked_backlog", q->asked},
					 {"waiter", k - (q->n - q->waiters)},
					 {"begin_ns", c->begin_ns - t->begin_ns},
					 {"since_connect_ns", c->accepted_ns - c->begin_ns},
					 {"since_accept_ns", after},
					 {0}});
		shortest = !admitted || after < shortest ? after : shortest;
		longest = after > longest ? after : longest;
		admitted++;
	}
	run_record(run, (struct field[]){{"asked_backlog", q->asked},
					 {"limit_backlog", q->limit},
					 {"connects", q->n},
					 {"completed_connects", q->completed},
					 {"queued_connects", q->queued},
					 {"accepted_connects", q->accepted},
					 {"refused_connects", q->refused},
					 {"waiting_connects", q->waiting},
					 {"syn_retries", retries},
					 {"admitted_connects", admitted},
					 {"first_admitted_ns", shortest},
					 {"last_admitted_ns", longest},
					 {"half_connects", half},
					 {"unknown_connects", q->strangers},
					 {"elapsed_ns", t->end_ns - t->begin_ns},
					 {0}});
}

static void record(struct run *run, const struct trial *t)
{
	for (int i = 0; i < t->events_n; i++) {
		const struct event *e = &t->events[i];
		const struct queue *q = &t->queues[e->queue];
		const struct client *c = &q->clients[e->client];

		run_row(run, "retry",
			(struct field[]){{"asked_backlog", q->asked},
					 {"waiter", e->client - (q->n - q->waiters)},
					 {"begin_ns", c->begin_ns - t->begin_ns},
					 {"since_connect_ns", e->at_ns - c->begin_ns},
					 {"number", e->number},
					 {"accepting", e->at_ns >= t->accept_ns},
					 {0}});
	}
	for (int i = 0; i < used; i++)
		record_queue(run, t, &t->queues[i]);
}

/* --- report -------------------------------------------------------------- */

static char *picture; /* the first trial's time line, drawn before its clients are freed */

/* The median of a field over the trials of one listener. */
static int64_t of(struct run *run, const char *field, int listener)
{
	struct values all = run_values(run, 0, field);
	struct values one = {all.at, 0};

	for (size_t i = (size_t)listener; i < all.n; i += (size_t)used)
		one.at[one.n++] = all.at[i];
	return (int64_t)stats_quantile(one, 0.5);
}

/* When the n-th SYN was sent again, on average over those that waited; 0: never. */
static double retry_ns(const struct trial *t, int64_t number)
{
	double sum = 0;
	int n = 0;

	for (int i = 0; i < t->events_n; i++) {
		const struct event *e = &t->events[i];

		if (e->number != number)
			continue;
		sum += (double)(e->at_ns - t->queues[e->queue].clients[e->client].begin_ns);
		n++;
	}
	return n ? sum / n : 0;
}

static double retry_means[16]; /* of the first trial: retry_ns(), 0 at the end */

static void draw_client(FILE *out, const struct trial *t, int queue, int client, double column_ns)
{
	const struct client *c = &t->queues[queue].clients[client];
	int begin = (int)((double)(c->begin_ns - t->begin_ns) / column_ns);
	int end = (int)((double)(c->accepted_ns - t->begin_ns) / column_ns);
	char line[COLUMNS + 1];

	memset(line, ' ', COLUMNS);
	line[COLUMNS] = 0;
	for (int i = begin; i < COLUMNS && (i < end || !c->accepted_ns); i++)
		line[i] = '.';
	line[begin] = 'S';
	for (int i = 0; i < t->events_n; i++) {
		const struct event *e = &t->events[i];
		int at = (int)((double)(e->at_ns - t->begin_ns) / column_ns);

		if (e->queue == queue && e->client == client)
			line[at] = 'S';
	}
	if (c->accepted_ns)
		line[end < COLUMNS ? end : COLUMNS - 1] = 'A';
	fprintf(out, "   waiter %d  |%s|\n", client - (t->queues[queue].n - WAITERS) + 1, line);
}

/* Who of those that wait for one listener sends a SYN when. */
static void draw(const struct trial *t)
{
	const int queue = 2 < used ? 2 : 0;
	double column_ns = (double)(t->end_ns - t->begin_ns + 1) / COLUMNS;
	int at = (int)((double)(t->accept_ns - t->begin_ns) / column_ns);
	size_t size;
	FILE *out = open_memstream(&picture, &size);

	if (!out)
		err(EXIT_USAGE, "open_memstream");
	fprintf(out, "  listen(%lld): S a SYN is sent, A accepted; 0 to %s\n",
		(long long)asked[queue], text_time((double)(t->end_ns - t->begin_ns)));
	for (int k = t->queues[queue].n - t->queues[queue].waiters; k < t->queues[queue].n; k++)
		draw_client(out, t, queue, k, column_ns);
	fprintf(out, "   %*s^ the server begins to accept\n", at + 11 < 50 ? at + 11 : 50, "");
	fclose(out);
	for (int n = 1; n < 16; n++)
		retry_means[n - 1] = retry_ns(t, n);
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"Clients connect one by one until one does not get through, then %d more. Nobody "
		"accepts for %s.",
		WAITERS - 1, text_time((double)accept_ms * 1e6));
	fprintf(out, "\n  %9s | %9s %8s | %7s %6s %6s | %s\n", "", "client:", "server:", "", "",
		"SYNs", "got in after");
	fprintf(out, "  %9s | %9s %8s | %7s %6s %6s | %s\n", "listen(n)", "connected", "accepted",
		"refused", "wait", "again", "accept began");
	for (int i = 0; i < used; i++) {
		int64_t in = of(run, "admitted_connects", i);
		const char *first = text_time((double)of(run, "first_admitted_ns", i));

		fprintf(out, "  %9s | %9s %8s | %7s %6s %6s | %lld: %s to %s\n",
			text_count(asked[i]), text_count(of(run, "completed_connects", i)),
			text_count(of(run, "accepted_connects", i)),
			text_count(of(run, "refused_connects", i)),
			text_count(of(run, "waiting_connects", i)),
			text_count(of(run, "syn_retries", i)), (long long)in, in ? first : "-",
			in ? text_time((double)of(run, "last_admitted_ns", i)) : "-");
	}
	for (int i = 0; i < used; i++)
		if (of(run, "limit_backlog", i) < asked[i])
			run_say(run, "listen(%lld) was cut to %lld (net.core.somaxconn).",
				(long long)asked[i], (long long)of(run, "limit_backlog", i));
	fprintf(out, "\n%s\n", picture ? picture : "");
}

static double total(struct run *run, const char *field)
{
	return stats_sum(run_values(run, 0, field));
}

static void judge(struct run *run)
{
	struct values n = run_values(run, 0, "asked_backlog");
	struct values completed = run_values(run, 0, "completed_connects");
	struct values last = run_values(run, 0, "last_admitted_ns");
	size_t exact = 0, one_more = 0;
	char found[200] = "", times[100] = "";
	double refused = total(run, "refused_connects");
	double waiting = total(run, "waiting_connects");

	for (size_t i = 0; i < n.n; i++) {
		exact += completed.at[i] == n.at[i];
		one_more += completed.at[i] == n.at[i] + 1;
	}
	for (int i = 0; i < used; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s for %s",
			 i ? ", " : "", text_count(of(run, "completed_connects", i)),
			 text_count(asked[i]));
	for (int i = 0; retry_means[i] > 0; i++)
		snprintf(times + strlen(times), sizeof(times) - strlen(times), "%s%.1f",
			 i ? ", " : "", retry_means[i] / 1e9);
	run_verdict(run, "tcp-backlog-n", exact == n.n && waiting == 0 ? HOLDS : REFUTED,
		    (struct field[]){{"queues", (int64_t)n.n},
				     {"queues_of_n", (int64_t)exact},
				     {"queues_of_n_plus_1", (int64_t)one_more},
				     {"refused_connects", (int64_t)refused},
				     {"waiting_connects", (int64_t)waiting},
				     {"last_admitted_ns", (int64_t)stats_quantile(last, 1)},
				     {0}},
		    "queued: %s. Of the others %.0f were refused, %.0f waited, their SYN sent "
		    "again %s%s%s; once the server accepted, %.0f of them got in within %s",
		    found, refused, waiting, *times ? "after " : "never", times, *times ? " s" : "",
		    total(run, "admitted_connects"), text_time(stats_quantile(last, 1)));
}

static void report(struct run *run)
{
	double half = total(run, "half_connects");
	double lost = total(run, "connects") - total(run, "completed_connects") -
		      total(run, "refused_connects") - total(run, "waiting_connects");

	print_table(run);
	run_control(run, total(run, "unknown_connects") == 0,
		    "accept handed out %.0f connections that nobody here had asked for",
		    total(run, "unknown_connects"));
	run_control(run, lost == 0, "%.0f connects are not accounted for", lost);
	judge(run);
	run_why(run,
		"the kernel finishes handshakes by itself and queues one more than n; when the "
		"queue is full it ignores a SYN, as if the network had lost it. The client tries "
		"again, and waits longer each time, so who came first may get in last.");
	if (half > 0)
		run_note(run,
			 "%.0f of the waiting believe to be connected and are not: their SYN found "
			 "room, "
			 "their ACK found none, and was ignored",
			 half);
	if (used < LISTENERS)
		run_note(run, "listen(%lld) was left out: it would take too many %s",
			 (long long)asked[LISTENERS - 1],
			 most < asked[LISTENERS - 1] ? "connects (--most)"
						     : "connects or descriptors here");
}

/* Whether listen(5000) can be shown to be limited: the descriptors are raised as far as allowed. */
static bool can_show_limit(void)
{
	int64_t limit = machine_sysctl("net/core/somaxconn");
	int64_t needed = asked[LISTENERS - 1] + 1000;

	if (limit < 0 || limit >= asked[LISTENERS - 1] || most < asked[LISTENERS - 1])
		return false;
	return files_allow(needed) >= needed;
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	used = can_show_limit() ? LISTENERS : LISTENERS - 1;
	while (run_next(run)) {
		struct trial *t = calloc(1, sizeof(*t));

		if (!t)
			err(EXIT_USAGE, "calloc");
		measure(t);
		record(run, t);
		if (run_trial(run) == 0)
			draw(t);
		for (int i = 0; i < used; i++)
			close_queue(&t->queues[i]);
		free(t);
	}
	return run_end(run, report);
}
