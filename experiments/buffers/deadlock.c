/* SPDX-License-Identifier: MIT */
/*
 * deadlock - a client that writes everything before it reads, and an echo server.
 *
 * The server sends back what it reads before it reads on.  As long as the client does not read, the
 * echo piles up in the four buffers between them; once they are full the server waits in send, so
 * it no longer reads, so the client waits in send too, and neither of them will ever read again.
 *
 *	plain   the client writes n bytes, then reads n bytes.
 *
 * and three ways out, with as many bytes as make the plain client stuck each time:
 *
 *	poll    one thread reads and writes, whatever poll says is possible;
 *	thread  a second thread reads;
 *	window  write a part that is sure to fit into the buffers, read its echo, and so on.
 *
 * How many bytes it takes differs from connection to connection, so the answer is a curve.  Where
 * it rises is found at the start, by clients that write until they are stuck.  That nothing moved for
 * a while shows nothing on a busy machine.  A plain client and its server are stuck when both
 * threads sleep in send, and deadlocked when both of TCP's ends say that all the while the peer's
 * window was full.  The others are waited for, however long they take.
 *
 * The servers are the far half: it looks at its own ends when the near half asks, which it does about
 * clients where nothing moves.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "proc.h"
#include "rng.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"
#include "thread.h"

enum { PLAIN, POLL, THREAD, WINDOW };
enum { SIZES = 3, MIN_POINTS = 5, MAX_POINTS = 16, MAX_REPEATS = 10, SCOUTS = 4 };
enum { MAX_PAIRS = SIZES * MAX_POINTS * MAX_REPEATS, MS = 1000000 };

static const struct variant variants[] = {
	[PLAIN] = {"plain", "the client writes everything, then reads"},
	[POLL] = {"poll", "it reads and writes as poll says (control)"},
	[THREAD] = {"thread", "a second thread of it reads (control)"},
	[WINDOW] = {"window", "it writes a part, reads its echo, ... (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-echo-deadlock",
	 "a client that writes everything before it reads deadlocks with an echo server",
	 "plain=poll", NOT_SEEN,
	 .why = {[HOLDS] =
			 "the server cannot read on before it has sent, the client does not read before it has sent: once both send buffers and both receive buffers are full, each waits for the other."}},
	{0}};

static const struct row_field fields[] = {
	{"buffers", "4K, 64K or default: SO_SNDBUF and SO_RCVBUF of both ends", "buffers",
	 .text = true, .key = true},
	{"amount_bytes", "that the client writes before it reads", "the client|writes first",
	 .key = true},
	{"stuck", "1: nothing moved for as long as the patience, and both threads slept in send",
	 "stuck", SHOW_NONZERO},
	{"deadlocked", "1: stuck, and both of TCP's ends say that the peer's window was full",
	 "both|windows full", SHOW_NONZERO},
	{"fewest", "1: the fewest bytes of these buffers, half of what made a scout stuck"},
	{"most", "1: the most, twice of what made the last one stuck"},
	{"asked_bytes", "SO_SNDBUF and SO_RCVBUF of both ends; 0: the default"},
	{"written_bytes", "by the client"},
	{"served_bytes", "sent back by the server"},
	{"echoed_bytes", "read by the client"},
	{"missing_bytes", "of the echo, of a client that has a way out", .zero = true,
	 .sham = "poll=plain,thread=plain"},
	{"misplaced_bytes", "of the echo, at another place than written", .zero = true,
	 .sham = "disorder"},
	{"still_ns", "since anything moved; 0: it is not stuck"},
	{"client_rwnd_limited_ns",
	 "since anything moved at the client, TCP_INFO's clock: the peer's window was full"},
	{"server_rwnd_limited_ns", "the same of the server"},
	{"asleep_in_send", "of the two threads"},
	{"elapsed_ns", "of the whole try"},
	{0}};

static const struct bound bounds[] = {
	{"usual_share", 0.5, "a claim of what happens is one of most tries"},
	{"window_share", 0.8, "of the standstill: TCP's clocks are exact to a few ticks of it"},
	{"fallback_patiences", 10, "stuck without full windows: asleep in send for so much longer"},
	{0}};

static const struct size {
	const char *name;
	int64_t asked; /* SO_SNDBUF and SO_RCVBUF of both ends; 0 = the default */
} sizes[SIZES] = {{"4K", 4 << 10}, {"64K", 64 << 10}, {"default", 0}};

static int64_t points = 8;
static int64_t repeats = 3;
static int64_t patience_ms = 300; /* TCP's first probe of a shut window, after 200 ms, may help */
static int64_t write_size = 16 << 10;
static const char *congestion;

static const struct opt opts[] = {
	{'p', "points", "amounts to try for each size of buffers", .num = &points,
	 .min = MIN_POINTS, .max = MAX_POINTS, .quick = 5},
	{'r', "repeats", "clients at the same time for each amount", .num = &repeats, .min = 1,
	 .max = MAX_REPEATS, .quick = 7},
	{0, "patience", "a pair is stuck when nothing moved for so long", .num = &patience_ms,
	 .min = 220, .max = 5000, .quick = 220, .unit = OPT_MS},
	{'w', "write", "size of one send, and of one recv", .num = &write_size, .min = 256,
	 .max = 1 << 20, .unit = OPT_BYTES},
	{0, "congestion", "congestion control of both ends, such as cubic", .text = &congestion},
	{0}};

/* Found by the scouts. */
static int64_t amounts[SIZES][MAX_POINTS]; /* ascending */
static int64_t window[SIZES];              /* what surely fits */
static int64_t room;                       /* bytes for TCP's buffers, on each host */

static struct peer *far;

/* --- one end of a connection: both halves ---------------------------------- */

/* What it counts is for all threads of its half. */
struct side {
	int fd;
	pthread_t thread;
	atomic_int tid;
	atomic_bool sending; /* it is in send, and not polling */
	atomic_int_fast64_t in, out;

	/* the half's first thread's: of the last look at which something had moved */
	int64_t moved, moved_ns; /* bytes, and when it looked */
	int64_t rwnd_limited;
};

/* What the kernel says of one end where nothing moves. */
struct still {
	int64_t ns;      /* since anything moved; the rest is 0 before patience and a round trip */
	int64_t rwnd_ns; /* of these: the peer's window was full */
	int64_t asleep;  /* its thread, in send */
};

/* A socket with both buffers as asked for: what it accepts inherits them. */
static int fresh(size_t size)
{
	int fd = net_socket(SOCK_STREAM);

	net_prepare(fd, (struct net_ask){sizes[size].asked, sizes[size].asked, congestion});
	return fd;
}

static ssize_t put(struct side *side, const uint8_t *bytes, size_t length)
{
	ssize_t n;

	atomic_store(&side->sending, true);
	n = send(side->fd, bytes, length, 0);
	atomic_store(&side->sending, false);
	if (n > 0)
		atomic_fetch_add(&side->out, n);
	return n;
}

static ssize_t get(struct side *side, uint8_t *buffer, size_t length)
{
	ssize_t n = recv(side->fd, buffer, length, 0);

	if (n > 0)
		atomic_fetch_add(&side->in, n);
	return n;
}

/* Whether anything has moved since the last look: in the thread, or what the peer's TCP acknowledged. */
static bool moved(struct side *side, const struct tcpinfo *now)
{
	int64_t bytes = atomic_load(&side->in) + atomic_load(&side->out) + now->acked;

	if (bytes == side->moved)
		return false;
	side->moved = bytes;
	side->moved_ns = span_now();
	side->rwnd_limited = now->rwnd_limited;
	return true;
}

static struct still examine(struct side *side)
{
	struct tcpinfo now = tcpinfo_read(side->fd);
	struct still still = {0};

	if (moved(side, &now))
		return still;
	still.ns = span_now() - side->moved_ns;
	if (still.ns < patience_ms * MS + now.min_rtt)
		return still;
	still.rwnd_ns = now.rwnd_limited - side->rwnd_limited;
	still.asleep = thread_state(atomic_load(&side->tid)) == 'S' && atomic_load(&side->sending);
	return still;
}

/*
 * What TCP's buffers may hold before the kernel makes them smaller (the first number of tcp_mem, in pages),
 * by half: as much again is the kernel's own.
 */
static int64_t room_here(void)
{
	int64_t pages = proc_number("/proc/sys/net/ipv4/tcp_mem", "", INT32_MAX);

	return pages * sysconf(_SC_PAGESIZE) / 2;
}

/* --- the echo servers: the far half ------------------------------------------ */

/* Where they listen, by buffers. */
struct offer {
	int64_t room;
	struct sockaddr_in where[SIZES];
};

/* Echoes until the client's end, or until the connection is broken up. */
static void *echo(void *argument)
{
	struct side *server = argument;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	ssize_t got, sent = 1;

	atomic_store(&server->tid, gettid());
	while (sent > 0 && (got = get(server, buffer, (size_t)write_size)) > 0)
		for (ssize_t at = 0; at < got && sent > 0; at += sent)
			sent = put(server, buffer + at, (size_t)(got - at));
	free(buffer);
	return NULL;
}

static void accept_all(struct peer *near, struct side *servers, int64_t n)
{
	struct offer offer = {.room = room_here()};
	int listeners[SIZES];
	int64_t size;

	for (size_t i = 0; i < SIZES; i++) {
		listeners[i] = fresh(i);
		net_bind(listeners[i], peer_here(near), &offer.where[i]);
		check_fd(listen(listeners[i], 1), "listen");
	}
	peer_say(near, &offer, sizeof(offer));
	for (int64_t i = 0; i < n; i++) {
		peer_hear(near, &size, sizeof(size));
		servers[i].fd = peer_take(near, listeners[peer_within(size, 0, SIZES - 1)]);
		servers[i].moved = -1;
		check(pthread_create(&servers[i].thread, NULL, echo, &servers[i]),
		      "pthread_create");
		peer_say(near, NULL, 0);
	}
	for (size_t i = 0; i < SIZES; i++)
		close(listeners[i]);
}

/* Looks at those asked for, again and again, until none is. */
static void answer(struct peer *near, struct side *servers, int64_t n)
{
	int64_t count, which[MAX_PAIRS];
	struct still stills[MAX_PAIRS];

	for (;;) {
		peer_hear(near, &count, sizeof(count));
		if (count == 0)
			return;
		peer_within(count, 1, n);
		peer_hear(near, which, (size_t)count * sizeof(*which));
		for (int64_t i = 0; i < count; i++)
			stills[i] = examine(&servers[peer_within(which[i], 0, n - 1)]);
		peer_say(near, stills, (size_t)count * sizeof(*stills));
	}
}

static void serve(struct peer *near)
{
	int64_t n, broken[MAX_PAIRS], served[MAX_PAIRS];
	struct side *servers;

	peer_hear(near, &n, sizeof(n));
	peer_within(n, 1, MAX_PAIRS);
	servers = check_alloc(calloc((size_t)n, sizeof(*servers)));
	accept_all(near, servers, n);
	answer(near, servers, n);
	peer_hear(near, broken, (size_t)n * sizeof(*broken));
	for (int64_t i = 0; i < n; i++) {
		if (broken[i])
			shutdown(servers[i].fd, SHUT_RDWR);
		check(pthread_join(servers[i].thread, NULL), "pthread_join");
		close(servers[i].fd);
		served[i] = atomic_load(&servers[i].out);
	}
	peer_say(near, served, (size_t)n * sizeof(*served));
	free(servers);
}

static void (*const halves[])(struct peer *near) = {serve, NULL};

/* --- a client ------------------------------------------------------------- */

struct pair {
	size_t variant, size;
	int64_t amount;
	struct side client;
	int64_t served; /* sent back by the server */
	atomic_bool done;
	int64_t misplaced;
	struct span span; /* of the client */

	/* the main thread's */
	struct still client_still, server_still;
	bool stuck;
};

/* Whether a connection still stands after a call that returned n. */
static bool stands(ssize_t n)
{
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* How much of the way to `end` one call takes. */
static size_t step(int64_t from, int64_t end)
{
	return (size_t)(end - from < write_size ? end - from : write_size);
}

/* One send on the way to `end`.  False if the connection is broken up. */
static bool write_some(struct pair *p, uint8_t *buffer, int64_t end)
{
	int64_t at = atomic_load(&p->client.out);
	size_t length = step(at, end);

	pattern_fill(buffer, length, (uint64_t)at);
	return stands(put(&p->client, buffer, length));
}

/* One recv on the way to `end`, compared with what was written. */
static bool read_some(struct pair *p, uint8_t *buffer, int64_t end)
{
	int64_t at = atomic_load(&p->client.in);
	ssize_t n = get(&p->client, buffer, step(at, end));

	if (n > 0)
		p->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)at);
	return stands(n);
}

static bool write_until(struct pair *p, uint8_t *buffer, int64_t end)
{
	while (atomic_load(&p->client.out) < end)
		if (!write_some(p, buffer, end))
			return false;
	return true;
}

static bool read_until(struct pair *p, uint8_t *buffer, int64_t end)
{
	while (atomic_load(&p->client.in) < end)
		if (!read_some(p, buffer, end))
			return false;
	return true;
}

/* Writes so many bytes and reads their echo, by turns; the plain client writes all of them. */
static void by_turns(struct pair *p, uint8_t *buffer, int64_t bytes)
{
	int64_t end = 0;

	do
		end = end + bytes < p->amount ? end + bytes : p->amount;
	while (write_until(p, buffer, end) && read_until(p, buffer, end) && end < p->amount);
}

static void *read_all(void *argument)
{
	struct pair *p = argument;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));

	read_until(p, buffer, p->amount);
	free(buffer);
	return NULL;
}

static void with_thread(struct pair *p, uint8_t *buffer)
{
	pthread_t reader;

	check(pthread_create(&reader, NULL, read_all, p), "pthread_create");
	write_until(p, buffer, p->amount);
	check(pthread_join(reader, NULL), "pthread_join");
}

static void with_poll(struct pair *p, uint8_t *buffer)
{
	bool goes_on = true;

	check_fd(fcntl(p->client.fd, F_SETFL, O_NONBLOCK), "fcntl");
	while (goes_on && atomic_load(&p->client.in) < p->amount) {
		bool more = atomic_load(&p->client.out) < p->amount;
		struct pollfd ready = {p->client.fd, (short)(POLLIN | (more ? POLLOUT : 0)), 0};

		poll(&ready, 1, -1);
		if (ready.revents & (POLLIN | POLLHUP | POLLERR))
			goes_on = read_some(p, buffer, p->amount);
		if (goes_on && ready.revents & POLLOUT)
			goes_on = write_some(p, buffer, p->amount);
	}
}

static void *ask(void *argument)
{
	struct pair *p = argument;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));

	atomic_store(&p->client.tid, gettid());
	span_begin(&p->span);
	if (p->variant == POLL)
		with_poll(p, buffer);
	else if (p->variant == THREAD)
		with_thread(p, buffer);
	else
		by_turns(p, buffer, p->variant == WINDOW ? window[p->size] : p->amount);
	span_end(&p->span);
	shutdown(p->client.fd, SHUT_WR);
	free(buffer);
	atomic_store(&p->done, true);
	return NULL;
}

/* --- clients and their servers, stuck or not ----------------------------------- */

static void connect_all(struct pair *pairs, size_t n)
{
	int64_t told = (int64_t)n;
	struct offer offer;

	peer_say(far, &told, sizeof(told));
	peer_hear(far, &offer, sizeof(offer));
	room = offer.room < room_here() ? offer.room : room_here();
	for (size_t i = 0; i < n; i++) {
		const struct sockaddr_in *where = &offer.where[pairs[i].size];
		int64_t size = (int64_t)pairs[i].size;

		pairs[i].client.fd = fresh(pairs[i].size);
		pairs[i].client.moved = -1;
		peer_say(far, &size, sizeof(size));
		check_fd(
			connect(pairs[i].client.fd, (const struct sockaddr *)where, sizeof(*where)),
			"connect");
		peer_hear(far, NULL, 0);
	}
}

/* Whether an end waits for the other one to read. */
static bool waits(struct run *run, struct still still)
{
	return still.asleep &&
	       (double)still.rwnd_ns >= run_bound(run, "window_share") * (double)still.ns;
}

static bool deadlocked(struct run *run, const struct pair *p)
{
	return waits(run, p->client_still) && waits(run, p->server_still);
}

static int64_t still_ns(const struct pair *p)
{
	return p->client_still.ns < p->server_still.ns ? p->client_still.ns : p->server_still.ns;
}

/* Of a pair about which the far half was asked. */
static void examine_pair(struct run *run, struct pair *p, struct still server_still)
{
	double fallback_ns =
		run_bound(run, "fallback_patiences") * (double)patience_ms * (double)MS;

	p->client_still = examine(&p->client);
	p->server_still = server_still;
	p->stuck = deadlocked(run, p) || (p->client_still.asleep && p->server_still.asleep &&
					  (double)still_ns(p) > fallback_ns);
}

/* Looks at all of them; false once each is done, or a plain one stuck. */
static bool look(struct run *run, struct pair *pairs, size_t n)
{
	int64_t which[MAX_PAIRS], count = 0;
	struct still stills[MAX_PAIRS];
	bool pending = false;

	for (size_t i = 0; i < n; i++) {
		struct pair *p = &pairs[i];
		bool done = atomic_load(&p->done);
		struct tcpinfo now = tcpinfo_read(p->client.fd);

		if (done || p->variant != PLAIN || moved(&p->client, &now))
			p->stuck = false;
		else if (!p->stuck)
			which[count++] = (int64_t)i;
		pending |= !done && !p->stuck;
	}
	if (count == 0)
		return pending;
	peer_say(far, &count, sizeof(count));
	peer_say(far, which, (size_t)count * sizeof(*which));
	peer_hear(far, stills, (size_t)count * sizeof(*stills));
	for (int64_t i = 0; i < count; i++)
		examine_pair(run, &pairs[which[i]], stills[i]);
	return pending;
}

/* Breaks up at both ends what is stuck or failed: a reset may get lost.  The others end by themselves. */
static void end_all(struct pair *pairs, size_t n)
{
	int64_t none = 0, broken[MAX_PAIRS], served[MAX_PAIRS];

	for (size_t i = 0; i < n; i++) {
		bool done = atomic_load(&pairs[i].done);

		broken[i] = !done || atomic_load(&pairs[i].client.in) < pairs[i].amount;
		if (broken[i])
			shutdown(pairs[i].client.fd, SHUT_RDWR);
		pairs[i].stuck &= !done;
	}
	peer_say(far, &none, sizeof(none));
	peer_say(far, broken, n * sizeof(*broken));
	for (size_t i = 0; i < n; i++) {
		check(pthread_join(pairs[i].client.thread, NULL), "pthread_join");
		close(pairs[i].client.fd);
	}
	peer_hear(far, served, n * sizeof(*served));
	for (size_t i = 0; i < n; i++) {
		pairs[i].served = served[i];
		if (!pairs[i].stuck)
			pairs[i].client_still = pairs[i].server_still = (struct still){0};
	}
}

/* Lets all of them run at the same time until each is done or stuck. */
static void run_pairs(struct run *run, struct pair *pairs, size_t n)
{
	peer_begin(far, serve, TEAM_FREE);
	connect_all(pairs, n);
	for (size_t i = 0; i < n; i++)
		check(pthread_create(&pairs[i].client.thread, NULL, ask, &pairs[i]),
		      "pthread_create");
	while (look(run, pairs, n) && run_sleep_until(span_now() + 5LL * MS))
		;
	end_all(pairs, n);
	peer_end(far);
}

/* What a pair's buffers hold at most: what its client writes until both are full, half of the greatest amount. */
static int64_t held_bytes(const struct pair *p)
{
	int64_t full = amounts[p->size][points - 1] / 2;

	return p->amount < full ? p->amount : full;
}

/* As many of them at a time as there is room for: else memory is short, and no window full. */
static void run_in_turns(struct run *run, struct pair *pairs, size_t n)
{
	size_t begin = 0;

	while (begin < n && !run_stopped()) {
		size_t end = begin;

		for (int64_t held = 0; end < n && (end == begin || held <= room); end++)
			held += held_bytes(&pairs[end]);
		run_pairs(run, pairs + begin, end - begin);
		begin = end;
	}
}

/* --- where to look ---------------------------------------------------------- */

/*
 * From what the scouts wrote until they were stuck: half the least of it, twice the most, and the
 * rest of the points from a little below the least to above the most, or half above the least: one
 * scout may have been lucky.
 */
static void place_points(size_t size, double least, double most)
{
	double rise = fmin(most - least, least * 0.25);
	double low = least - fmax(rise * 0.5, least * 0.03);
	double high = least + rise + fmax(rise, least * 0.08);
	int64_t between = points - 3;

	amounts[size][0] = (int64_t)(least / 2);
	for (int64_t i = 0; i <= between; i++)
		amounts[size][1 + i] = (int64_t)(low + (high - low) * (double)i / (double)between);
	amounts[size][points - 1] = (int64_t)(most * 2);
	window[size] = (int64_t)(least / 4);
}

/* Clients that write this much, if nothing stops them.  False if some were never stuck. */
static bool scout(struct run *run, int64_t endless)
{
	static struct pair pairs[SIZES][SCOUTS];

	for (size_t i = 0; i < (size_t)SIZES * SCOUTS; i++)
		pairs[i / SCOUTS][i % SCOUTS] = (struct pair){PLAIN, i / SCOUTS, endless};
	run_pairs(run, pairs[0], (size_t)SIZES * SCOUTS);
	for (size_t size = 0; size < SIZES; size++) {
		double least = INFINITY, most = 0;

		for (size_t i = 0; i < SCOUTS; i++) {
			double wrote = (double)atomic_load(&pairs[size][i].client.out);

			if (!pairs[size][i].stuck)
				return false;
			least = fmin(least, wrote);
			most = fmax(most, wrote);
		}
		place_points(size, least, most);
	}
	return true;
}

/* --- one trial --------------------------------------------------------------- */

static void record(struct run *run, struct pair *p)
{
	run_record(run, (struct field[]){
				{"buffers", .text = sizes[p->size].name},
				{"asked_bytes", sizes[p->size].asked},
				{"amount_bytes", p->amount},
				{"written_bytes", atomic_load(&p->client.out)},
				{"served_bytes", p->served},
				{"echoed_bytes", atomic_load(&p->client.in)},
				{"misplaced_bytes", p->misplaced},
				{"stuck", p->stuck},
				{"deadlocked", deadlocked(run, p)},
				{"fewest", p->amount == amounts[p->size][0]},
				{"most", p->amount == amounts[p->size][points - 1]},
				{"still_ns", still_ns(p)},
				{"client_rwnd_limited_ns", p->client_still.rwnd_ns},
				{"server_rwnd_limited_ns", p->server_still.rwnd_ns},
				{"asleep_in_send", p->client_still.asleep + p->server_still.asleep},
				{"elapsed_ns", span_wall(&p->span)},
				{run_label(run) == PLAIN ? NULL : "missing_bytes",
				 p->amount - atomic_load(&p->client.in)},
				{0}});
}

/* Of the plain client all amounts, in random order; of the ways out the greatest one. */
static void measure(struct run *run)
{
	static struct pair pairs[MAX_PAIRS];
	struct rng rng = {(uint64_t)run_trial(run)};
	bool all = run_label(run) == PLAIN;
	size_t each = all ? (size_t)(points * repeats) : 1;
	size_t order[MAX_PAIRS] = {0}, place[MAX_PAIRS] = {0};

	for (size_t i = 0; i < SIZES * each; i++)
		order[i] = i;
	rng_shuffle(&rng, order, SIZES * each);
	for (size_t i = 0; i < SIZES * each; i++) {
		size_t size = order[i] / each;
		int64_t point = all ? (int64_t)(order[i] % each) % points : points - 1;

		pairs[i] = (struct pair){run_variant(run), size, amounts[size][point]};
		place[order[i]] = i;
	}
	run_in_turns(run, pairs, SIZES * each);
	for (size_t i = 0; i < SIZES * each; i++)
		record(run, &pairs[place[i]]);
}

/* --- judge --------------------------------------------------------------- */

/* Of the plain clients with these buffers for which a field is 1: how many were stuck or deadlocked. */
static struct share how_many(struct run *run, const char *what, size_t size, const char *which)
{
	return share_nonzero(run_values_where(
		run, PLAIN, what,
		(struct field[]){{which, 1}, {"asked_bytes", sizes[size].asked}, {0}}));
}

/* The least that a deadlocked client had to write. */
static double least_bytes(struct run *run, size_t size)
{
	return stats_quantile(run_values_where(run, PLAIN, "amount_bytes",
					       (struct field[]){{"deadlocked", 1},
								{"asked_bytes", sizes[size].asked},
								{0}}),
			      0);
}

static void judge(struct run *run)
{
	struct share most = {0}, fewest = {0}, proven = {0};
	enum verdict verdict = HOLDS;

	for (size_t size = 0; size < SIZES; size++) {
		struct share here = how_many(run, "deadlocked", size, "most");

		verdict = all_of(verdict,
				 share_above_between(here, how_many(run, "stuck", size, "most"),
						     run_bound(run, "usual_share")));
		most = share_add(most, here);
		fewest = share_add(fewest, how_many(run, "deadlocked", size, "fewest"));
		proven = share_add(proven, how_many(run, "deadlocked", size, "stuck"));
	}
	verdict = run_judge(
		run, "buf-echo-deadlock", or_not_seen(verdict),
		"deadlocked, with both threads asleep in send and both windows full: {most} clients with the most bytes, {fewest} with the fewest; {proven} of all that were stuck",
		number_share("most", most), number_share("fewest", fewest),
		number_share("proven", proven));
	if (verdict == HOLDS)
		run_note(
			run,
			"the least that a deadlocked client had to write: {small_bytes} with buffers of 4K, {large_bytes} with 64K, {default_bytes} with the default",
			number_real("small_bytes", least_bytes(run, 0)),
			number_real("large_bytes", least_bytes(run, 1)),
			number_real("default_bytes", least_bytes(run, 2)));
}

static const struct experiment about = {
	.name = "deadlock",
	.group = "buffers",
	.order = 304,
	.summary = "How much may a client write to an echo server before it has to read?",
	.intro =
		"How often a client and its echo server got stuck, by buffers and by the bytes that it writes first.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 1,
	.limit_s = 600, /* an emulated machine moves all the bytes of plain in minutes */
	.judge = judge,
	.halves = halves,
};

int main(int argc, char *argv[])
{
	const int64_t endless = INT64_C(1) << 30;
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	if (!scout(run, endless) && !run_stopped())
		return run_skip(run, "a client wrote %s and was not stuck yet",
				text_bytes(endless));
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
