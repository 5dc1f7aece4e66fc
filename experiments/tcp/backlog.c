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
 * All listeners share one trial, because the waiting takes seconds of doing nothing.  One of them
 * listens on IPv6.  They are the far half, and the clients the near one.
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "check.h"
#include "exp.h"
#include "files.h"
#include "judge.h"
#include "language.h"
#include "machine.h"
#include "net.h"
#include "peer.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"

enum { LISTENERS = 6, OVER = 5000, WAITERS = 5, SPARE = 64, RETRIES = 16 };
enum { MOST = OVER + 1 + SPARE + WAITERS /* clients of a listener */ };

/* A connect is through long before these and so many round trips; the first, whose are unknown, before that. */
static const int64_t settle_ns = 5000000, settle_trips = 10, first_ns = 3000000000;
static const int64_t tick_ns = 2000000; /* between two looks at those that wait */
static const int64_t over_ns =
	20000000000; /* that the connects to listen(5000) may take between hosts */

/* The last one is to be more than net.core.somaxconn, which limits it. */
static const struct listener {
	int64_t asked, family;
} listeners[LISTENERS] = {{0, AF_INET},  {1, AF_INET},   {5, AF_INET},
			  {5, AF_INET6}, {128, AF_INET}, {OVER, AF_INET}};
static const struct listener *opened[LISTENERS]; /* those that can be shown here */
static int used;                                 /* how many of them */

static const struct claim claims[] = {
	{"tcp-backlog-n", "listen(n) queues n requests, further ones are refused", "as-taught",
	 HOLDS,
	 .why = {[REFUTED] =
			 "the kernel finishes handshakes by itself and queues one more than n; when the queue is full it ignores a SYN, as if the network had lost it. The client tries again: since Linux 6.5 each second at first (tcp_syn_linear_timeouts), then after waits that double. So who came first may get in last."}},
	{0}};

static const struct row_field fields[] = {
	{"asked_backlog", "n", "listen(n)", .key = true},
	{"family", "of the listener's address: 4 or 6", "IPv", .key = true},
	{"limit_backlog", "the listener's own limit", "limit"},
	{"completed_connects", "as clients see it, before anything is accepted", "connected"},
	{"accepted_connects", "handed out by accept at once", "accepted"},
	{"refused_connects", "that were refused", "refused"},
	{"waiting_connects", "that got no answer", "wait"},
	{"syn_retries", "SYNs sent again by those that waited", "SYNs|again"},
	{"admitted_connects", "of these, that got in once the server accepted", "got in"},
	{"last_admitted_ns", "from then to the last of them; 0: nobody", "within"},
	{"first_admitted_ns", "to the first of them"},
	{"as_taught", "1: n connects completed, and all others were refused"},
	{"queued_connects", "as the listener shows it"},
	{"connects", "of clients"},
	{"half_connects", "the client believes to be connected, accept never gave it"},
	{"unknown_connects", "accept gave it, and nobody here had asked for it", .zero = true,
	 .sham = "stranger"},
	{"unaccounted_connects", "neither completed, refused nor waiting", .zero = true,
	 .sham = "forget"},
	{"elapsed_ns", "of the trial"},
	{"asked_backlog", "n", .row = "retry"},
	{"family", "as of the sample", .row = "retry"},
	{"waiter", "which one", .row = "retry"},
	{"begin_ns", "its connect, since the trial began", .row = "retry"},
	{"since_connect_ns", "when its SYN was sent again", .row = "retry"},
	{"number", "of the SYN", .row = "retry"},
	{"accepting", "1: the server accepts by now", .row = "retry"},
	{"asked_backlog", "n", .row = "admit"},
	{"family", "as of the sample", .row = "admit"},
	{"waiter", "which one", .row = "admit"},
	{"begin_ns", "its connect, since the trial began", .row = "admit"},
	{"since_connect_ns", "when it got in", .row = "admit"},
	{"since_accept_ns", "since the server began to accept", .row = "admit"},
	{0}};

static const struct bound bounds[] = {{"enough_queues", 4, "listen(0), (1), (5) and (128) of IPv4"},
				      {0}};

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

struct client {
	int fd;
	in_port_t port;
	enum { WAITING, COMPLETE, REFUSED } state; /* as the client sees it */
	int64_t begin_ns, accepted_ns; /* its connect; accept handed it out (0: not yet) */
	int64_t retries;               /* SYNs sent again */
	int64_t again_ns[RETRIES];     /* when the first ones of them were seen; 0: it was not */
};

struct queue {
	int64_t asked, family; /* n; 4 or 6 */
	struct address where;
	struct client *clients;
	int n, room;
	int waiters; /* clients that did not get through at once, at the end of the array */
	int64_t limit, queued, completed, accepted, refused, waiting, strangers;
};

struct trial {
	struct queue queues[LISTENERS];
	int64_t begin_ns, filled_ns, accept_ns, end_ns;
};

static struct peer *far;

/* --- servers: the far half --------------------------------------------------- */

/* What a listener says of itself. */
struct backlog {
	int64_t queued, limit;
};

static int open_listener(struct peer *near)
{
	struct listener listener;
	struct address where;
	int fd;

	peer_hear(near, &listener, sizeof(listener));
	where = address_loopback((int)listener.family);
	if (listener.family == AF_INET)
		where.v4.sin_addr = peer_here(near);
	fd = address_bind(SOCK_STREAM | SOCK_NONBLOCK, &where);
	check_fd(listen(fd, (int)listener.asked), "listen");
	peer_say(near, &where, sizeof(where));
	return fd;
}

static void say_backlog(struct peer *near, int listener)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);
	struct backlog backlog;

	check_fd(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
	/* of a listener: sk_ack_backlog and its maximum */
	backlog = (struct backlog){.queued = info.tcpi_unacked, .limit = info.tcpi_sacked};
	peer_say(near, &backlog, sizeof(backlog));
}

/* Accepts all that is queued; says whose they are, by the clients' ports. */
static void accept_all(struct peer *near, int listener)
{
	in_port_t ports[MOST];
	int64_t n = 0;

	while (n < MOST) {
		struct address client = address_empty();
		int fd = accept4(listener, &client.any, &client.size, SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			break;
		check_fd(fd, "accept");
		ports[n++] = address_port(&client);
		close(fd);
	}
	peer_say(near, &n, sizeof(n));
	peer_say(near, ports, (size_t)n * sizeof(*ports));
}

static void serve(struct peer *near)
{
	int fds[LISTENERS];
	int64_t n, accepts;

	peer_hear(near, &n, sizeof(n));
	peer_within(n, 0, LISTENERS);
	for (int64_t i = 0; i < n; i++)
		fds[i] = open_listener(near);
	peer_hear(near, NULL, 0);
	for (int64_t i = 0; i < n; i++)
		say_backlog(near, fds[i]);
	for (;;) {
		peer_hear(near, &accepts, sizeof(accepts));
		if (!accepts)
			break;
		for (int64_t i = 0; i < n; i++)
			accept_all(near, fds[i]);
	}
	for (int64_t i = 0; i < n; i++)
		close(fds[i]);
}

/* The most that listen() grants there. */
static void say_limit(struct peer *near)
{
	int64_t limit = machine_sysctl("net/core/somaxconn");

	peer_hear(near, NULL, 0);
	peer_say(near, &limit, sizeof(limit));
}

static void (*const halves[])(struct peer *near) = {serve, say_limit, NULL};

/* --- clients --------------------------------------------------------------- */

static void start_client(struct queue *q)
{
	struct client *c = &q->clients[q->n++];

	struct address own;

	c->fd = address_socket(SOCK_STREAM | SOCK_NONBLOCK, &q->where);
	c->begin_ns = span_now();
	if (connect(c->fd, &q->where.any, q->where.size) == 0)
		c->state = COMPLETE;
	else if (errno == ECONNREFUSED)
		c->state = REFUSED;
	else if (errno != EINPROGRESS)
		err(EXIT_USAGE, "connect");
	own = address_of(c->fd);
	c->port = address_port(&own);
}

/* Asks TCP how far a client that waits has got, and whether its SYN was sent again. */
static void look_at(struct client *c)
{
	struct tcpinfo now;

	if (c->state != WAITING)
		return;
	now = tcpinfo_read(c->fd);
	if (now.retransmits > c->retries && now.retransmits <= RETRIES)
		c->again_ns[now.retransmits - 1] = span_now();
	c->retries = now.retransmits;
	if (now.state == TCP_ESTABLISHED || now.state == TCP_CLOSE_WAIT)
		c->state = COMPLETE;
	else if (now.state == TCP_CLOSE)
		c->state = REFUSED;
}

static struct client *first_waiter(const struct queue *q)
{
	return q->clients + q->n - q->waiters;
}

/* Connects one by one, until one does not get through, or far too many have. */
static void fill(struct queue *q)
{
	int64_t wait_ns = first_ns;

	while (q->waiters == 0 && q->n < q->room - WAITERS && !run_stopped()) {
		struct client *c = &q->clients[q->n];

		start_client(q);
		if (run_wait_fd(c->fd, POLLOUT, span_now() + wait_ns))
			look_at(c);
		q->waiters = c->state != COMPLETE;
		wait_ns = settle_ns + settle_trips * tcpinfo_read(c->fd).min_rtt;
	}
}

/* Starts those of the waiting whose time has come, and looks at all of them. */
static void follow(const struct trial *t, struct queue *q)
{
	int64_t due_ns = t->filled_ns + spread_ms * 1000000 * q->waiters / (WAITERS - 1);

	if (q->waiters && q->waiters < WAITERS && !t->accept_ns && span_now() >= due_ns) {
		start_client(q);
		q->waiters++;
	}
	for (struct client *c = first_waiter(q); c < q->clients + q->n; c++)
		look_at(c);
}

/* Counts what the clients and the listener say, before anything is accepted. */
static void count(struct queue *q)
{
	struct backlog backlog;

	peer_hear(far, &backlog, sizeof(backlog));
	q->queued = backlog.queued;
	q->limit = backlog.limit;
	for (int k = 0; k < q->n; k++) {
		q->completed += q->clients[k].state == COMPLETE;
		q->refused += q->clients[k].state == REFUSED;
		q->waiting += q->clients[k].state == WAITING;
	}
}

static struct client *client_of(const struct queue *q, in_port_t port)
{
	for (int k = 0; k < q->n; k++)
		if (q->clients[k].port == port && !q->clients[k].accepted_ns)
			return &q->clients[k];
	return NULL;
}

/* Those that accept gave out; returns how many of them had got through before. */
static int64_t admit(struct queue *q)
{
	in_port_t ports[MOST];
	int64_t n, ready = 0;

	peer_hear(far, &n, sizeof(n));
	peer_within(n, 0, MOST);
	peer_hear(far, ports, (size_t)n * sizeof(*ports));
	for (int64_t i = 0; i < n; i++) {
		struct client *c = client_of(q, ports[i]);

		if (!c) {
			q->strangers++;
			continue;
		}
		ready += c->state == COMPLETE;
		look_at(c);
		c->state = COMPLETE;
		c->accepted_ns = span_now();
	}
	return ready;
}

static bool all_in(const struct trial *t)
{
	for (int i = 0; i < used; i++) {
		const struct queue *q = &t->queues[i];

		for (const struct client *c = first_waiter(q); c < q->clients + q->n; c++)
			if (c->state != REFUSED && !c->accepted_ns)
				return false;
	}
	return true;
}

/* --- one trial ------------------------------------------------------------- */

static void open_queue(struct queue *q, const struct listener *listener)
{
	free(q->clients); /* of the trial before */
	*q = (struct queue){.asked = listener->asked,
			    .family = listener->family == AF_INET6 ? 6 : 4,
			    .room = (int)listener->asked + 1 + SPARE + WAITERS};
	q->clients = check_alloc(calloc((size_t)q->room, sizeof(*q->clients)));
	peer_say(far, listener, sizeof(*listener));
	peer_hear(far, &q->where, sizeof(q->where));
}

static void close_clients(const struct trial *t)
{
	for (int i = 0; i < used; i++) {
		const struct queue *q = &t->queues[i];

		for (int k = 0; k < q->n; k++)
			net_reset(q->clients[k].fd); /* no TIME_WAIT keeps thousands of ports */
	}
}

static void measure(struct trial *t)
{
	int64_t n = used, accepts = 1;

	t->accept_ns = 0;
	peer_begin(far, serve, TEAM_FREE);
	peer_say(far, &n, sizeof(n));
	for (int i = 0; i < used; i++)
		open_queue(&t->queues[i], opened[i]);
	t->begin_ns = span_now();
	for (int i = used - 1; i >= 0; i--)
		fill(&t->queues[i]);
	t->filled_ns = span_now();
	while (span_now() < t->filled_ns + accept_ms * 1000000 &&
	       run_sleep_until(span_now() + tick_ns))
		for (int i = 0; i < used; i++)
			follow(t, &t->queues[i]);
	peer_say(far, NULL, 0);
	for (int i = 0; i < used; i++)
		count(&t->queues[i]);
	t->accept_ns = span_now();
	peer_say(far, &accepts, sizeof(accepts));
	for (int i = 0; i < used; i++)
		t->queues[i].accepted = admit(&t->queues[i]);
	while (!all_in(t) && span_now() < t->accept_ns + patience_ms * 1000000 &&
	       run_sleep_until(span_now() + tick_ns)) {
		peer_say(far, &accepts, sizeof(accepts));
		for (int i = 0; i < used; i++) {
			admit(&t->queues[i]);
			follow(t, &t->queues[i]);
		}
	}
	t->end_ns = span_now();
	close_clients(t);
	accepts = 0;
	peer_say(far, &accepts, sizeof(accepts));
	peer_end(far);
}

/* The SYNs of a client that waited, and when it was let in, as rows. */
static void record_waiter(struct run *run, const struct trial *t, const struct queue *q,
			  const struct client *c)
{
	int64_t waiter = c - first_waiter(q);

	for (int64_t i = 0; i < RETRIES; i++)
		if (c->again_ns[i])
			run_row(run, "retry",
				(struct field[]){{"asked_backlog", q->asked},
						 {"family", q->family},
						 {"waiter", waiter},
						 {"begin_ns", c->begin_ns - t->begin_ns},
						 {"since_connect_ns", c->again_ns[i] - c->begin_ns},
						 {"number", i + 1},
						 {"accepting", c->again_ns[i] >= t->accept_ns},
						 {0}});
	if (c->accepted_ns)
		run_row(run, "admit",
			(struct field[]){{"asked_backlog", q->asked},
					 {"family", q->family},
					 {"waiter", waiter},
					 {"begin_ns", c->begin_ns - t->begin_ns},
					 {"since_connect_ns", c->accepted_ns - c->begin_ns},
					 {"since_accept_ns", c->accepted_ns - t->accept_ns},
					 {0}});
}

static void record_queue(struct run *run, const struct trial *t, const struct queue *q)
{
	int64_t completed = q->completed, refused = q->refused, waiting = q->waiting;
	int64_t shortest = 0, longest = 0, admitted = 0, retries = 0, half = 0;

	for (int k = 0; k < q->n; k++)
		half += q->clients[k].state == COMPLETE && !q->clients[k].accepted_ns;
	for (const struct client *c = first_waiter(q); c < q->clients + q->n; c++) {
		int64_t after = c->accepted_ns - t->accept_ns;

		record_waiter(run, t, q, c);
		retries += c->retries;
		if (!c->accepted_ns)
			continue;
		shortest = !admitted || after < shortest ? after : shortest;
		longest = after > longest ? after : longest;
		admitted++;
	}
	if (run_sham(run,
		     "as-taught")) { /* as a kernel would do that queues n and refuses the others */
		completed = q->asked;
		refused = q->n - completed;
		waiting = 0;
	}
	run_record(run, (struct field[]){
				{"asked_backlog", q->asked},
				{"family", q->family},
				{"limit_backlog", q->limit},
				{"connects", q->n},
				{"completed_connects", completed},
				{"queued_connects", q->queued},
				{"accepted_connects", q->accepted},
				{"refused_connects", refused},
				{"waiting_connects", waiting},
				{"as_taught", completed == q->limit && refused == q->n - completed},
				{"syn_retries", retries},
				{"admitted_connects", admitted},
				{"first_admitted_ns", shortest},
				{"last_admitted_ns", longest},
				{"half_connects", half},
				{"unknown_connects", q->strangers + run_sham(run, "stranger")},
				{"unaccounted_connects",
				 q->n - completed - refused - waiting + run_sham(run, "forget")},
				{"elapsed_ns", t->end_ns - t->begin_ns},
				{0}});
}

static void record(struct run *run, const struct trial *t)
{
	for (int i = 0; i < used; i++)
		record_queue(run, t, &t->queues[i]);
}

/* --- judge --------------------------------------------------------------- */

static struct trial last; /* for the time line */
static const char *no_v6; /* why there is none; NULL = there is */

/* "1.0, 2.0, 3.1": seconds after which SYNs were sent again, on average over the last trial. */
static const char *retry_times(void)
{
	const char *list = "";

	for (int number = 0; number < RETRIES; number++) {
		double sum = 0;
		int n = 0;

		for (int i = 0; i < used; i++) {
			const struct queue *q = &last.queues[i];

			for (const struct client *c = first_waiter(q); c < q->clients + q->n; c++) {
				sum += c->again_ns[number]
					       ? (double)(c->again_ns[number] - c->begin_ns)
					       : 0;
				n += c->again_ns[number] != 0;
			}
		}
		if (n)
			list = text_format("%s%s%.1f", list, *list ? ", " : "", sum / n / 1e9);
	}
	return list;
}

/* How many connected to listen(5) of IPv4 or IPv6. */
static double completed_of(struct run *run, int64_t family)
{
	const struct field where[] = {{"asked_backlog", 5}, {"family", family}, {0}};

	return stats_quantile(run_values_where(run, 0, "completed_connects", where), 0.5);
}

static void judge(struct run *run)
{
	struct share taught = run_nonzero(run, 0, "as_taught");
	double half = run_sum(run, 0, "half_connects");

	run_judge(
		run, "tcp-backlog-n",
		case_by_case(taught, (int64_t)run_bound(run, "enough_queues")),
		"{taught} queues did so: for listen(5) {completed} connected, over IPv6 {completed_v6}; of those beyond, {refused} in all were refused and {waiting} waited, their SYN sent again after {times} s; once the server accepted, {admitted} of them got in",
		number_share("taught", taught), number_real("completed", completed_of(run, 4)),
		number_real("completed_v6", completed_of(run, 6)),
		number_real("refused", run_sum(run, 0, "refused_connects")),
		number_real("waiting", run_sum(run, 0, "waiting_connects")),
		number_text("times", retry_times()),
		number_real("admitted", run_sum(run, 0, "admitted_connects")));
	if (half > 0)
		run_note(
			run,
			"{half} of the waiting believe to be connected and are not: their SYN found room, their ACK found none, and was ignored",
			number_real("half", half));
	if (opened[used - 1]->asked != OVER)
		run_note(
			run,
			"listen({n}) was left out: it would take too many connects (--most) or descriptors here",
			number_int("n", OVER));
	if (no_v6)
		run_note(run, "IPv6 was left out: {why}", number_text("why", no_v6));
}

/* "7.41": a time in the last trial in seconds. */
static const char *seconds(int64_t at_ns)
{
	return text_format("%.2f", (double)(at_ns - last.begin_ns) / 1e9);
}

/* When those that waited for one listener sent their SYNs, and when they got in. */
static void draw(struct run *run)
{
	const struct queue *q = &last.queues[2];
	FILE *out = run_out(run);

	run_say(run, "Those that waited for listen(%lld), in s: their SYNs, and when they got in.",
		(long long)q->asked);
	run_say(run, "The server began to accept at %s.", seconds(last.accept_ns));
	for (int i = 0; i < q->waiters; i++) {
		const struct client *c = first_waiter(q) + i;
		const char *line = seconds(c->begin_ns);

		for (int k = 0; k < RETRIES; k++)
			if (c->again_ns[k])
				line = text_format("%s %s", line, seconds(c->again_ns[k]));
		if (c->accepted_ns)
			line = text_format(translated("%s; in at %s"), line,
					   seconds(c->accepted_ns));
		text_pad(out, text_format(translated("  waiter %d"), i + 1), 12);
		text_wrap(out, 12, 12, line);
	}
	fputs("\n", out);
}

/* Whether listen(5000) can be shown to be limited: the descriptors are raised as far as allowed. */
static bool can_show_limit(void)
{
	int64_t needed = OVER + 1000;
	int64_t limit, begin_ns, round_trip_ns;

	peer_begin(far, say_limit, TEAM_FREE);
	begin_ns = span_now();
	peer_say(far, NULL, 0);
	peer_hear(far, &limit, sizeof(limit));
	round_trip_ns = span_now() - begin_ns;
	peer_end(far);
	if (limit < 0 || limit >= OVER || most < OVER)
		return false;
	if (peer_remote(far) && limit * round_trip_ns > over_ns)
		return false;
	return files_allow(needed) >= needed;
}

static const struct experiment about = {
	.name = "backlog",
	.group = "tcp",
	.order = 402,
	.summary = "How many connections does listen(n) queue, and what becomes of the others?",
	.intro =
		"Clients connect one by one until one does not get through, then 4 more. Nobody accepts for {accept_after_ms}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.trials = 1,
	.quick_trials = 1,
	.limit_s = 120,
	.judge = judge,
	.draw = draw,
	.halves = halves,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	no_v6 = peer_remote(far) ? "the listeners are on another host" : address_no_v6();
	for (int i = 0; i < LISTENERS; i++)
		if (listeners[i].asked == OVER ? can_show_limit()
					       : listeners[i].family == AF_INET || !no_v6)
			opened[used++] = &listeners[i];
	while (run_next(run)) {
		measure(&last);
		record(run, &last);
	}
	return run_end(run);
}
