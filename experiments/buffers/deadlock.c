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
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
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
	 "of these, TCP_INFO's clock of the client: the peer's window was full"},
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

/* --- one client and its server -------------------------------------------- */

/* One end of a connection; what it counts is for all threads. */
struct side {
	int fd;
	pthread_t thread;
	atomic_int tid;
	atomic_bool sending; /* it is in send, and not polling */
	atomic_int_fast64_t in, out;
};

/* What the kernel says of a pair in which nothing moves. */
struct evidence {
	int64_t asleep;                         /* of the two threads, in send */
	int64_t still_ns;                       /* since anything moved */
	int64_t client_rwnd_ns, server_rwnd_ns; /* of that the peer's window was full */
};

struct pair {
	size_t variant, size;
	int64_t amount;
	struct side client, server;
	atomic_bool done;
	int64_t misplaced;
	struct span span; /* of the client */

	/* the main thread's */
	int64_t moved, moved_ns;                   /* in and out of both; when that last changed */
	struct tcpinfo client_moved, server_moved; /* as they were then */
	struct evidence evidence;
	bool stuck;
};

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

/* Echoes until the client's end, or until the connection is broken up. */
static void *serve(void *argument)
{
	struct side *server = &((struct pair *)argument)->server;
	uint8_t *buffer = check_alloc(malloc((size_t)write_size));
	ssize_t got, sent = 1;

	atomic_store(&server->tid, gettid());
	while (sent > 0 && (got = get(server, buffer, (size_t)write_size)) > 0)
		for (ssize_t at = 0; at < got && sent > 0; at += sent)
			sent = put(server, buffer + at, (size_t)(got - at));
	free(buffer);
	return NULL;
}

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

/* A socket with both buffers as asked for: what it accepts inherits them. */
static int fresh(int64_t asked)
{
	int fd = net_socket(SOCK_STREAM);

	if (asked) {
		net_set(fd, SOL_SOCKET, SO_SNDBUF, (int)asked);
		net_set(fd, SOL_SOCKET, SO_RCVBUF, (int)asked);
	}
	if (congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion,
				     (socklen_t)strlen(congestion)) != 0)
		err(EXIT_USAGE, "congestion control '%s'", congestion);
	return fd;
}

static void begin(struct pair *p)
{
	int64_t asked = sizes[p->size].asked;
	struct net_pair fd =
		net_join(fresh(asked), fresh(asked), (struct in_addr){htonl(INADDR_LOOPBACK)},
			 (struct net_ask){0});

	p->client.fd = fd.tx;
	p->server.fd = fd.rx;
	p->moved = -1;
	check(pthread_create(&p->server.thread, NULL, serve, p), "pthread_create");
	check(pthread_create(&p->client.thread, NULL, ask, p), "pthread_create");
}

/* --- stuck or not ---------------------------------------------------------- */

/* Whether a thread is in send, and the kernel says that it sleeps. */
static bool sleeps_in_send(struct side *side)
{
	return thread_state(atomic_load(&side->tid)) == 'S' && atomic_load(&side->sending);
}

static struct evidence examine(struct pair *p)
{
	return (struct evidence){.asleep = sleeps_in_send(&p->client) + sleeps_in_send(&p->server),
				 .still_ns = span_now() - p->moved_ns,
				 .client_rwnd_ns = tcpinfo_read(p->client.fd).rwnd_limited -
						   p->client_moved.rwnd_limited,
				 .server_rwnd_ns = tcpinfo_read(p->server.fd).rwnd_limited -
						   p->server_moved.rwnd_limited};
}

/* Whether both ends wait for the other one to read. */
static bool deadlocked(struct run *run, struct evidence e)
{
	double full_ns = run_bound(run, "window_share") * (double)e.still_ns;

	return e.asleep == 2 && (double)e.client_rwnd_ns >= full_ns &&
	       (double)e.server_rwnd_ns >= full_ns;
}

/* Looks at a pair; false once it is done, or a plain one stuck. */
static bool moves(struct run *run, struct pair *p)
{
	double fallback_ns =
		run_bound(run, "fallback_patiences") * (double)patience_ms * (double)MS;
	int64_t moved = atomic_load(&p->client.out) + atomic_load(&p->server.in) +
			atomic_load(&p->server.out) + atomic_load(&p->client.in);

	if (atomic_load(&p->done)) {
		p->stuck = false;
		return false;
	}
	if (moved != p->moved) {
		p->moved = moved;
		p->moved_ns = span_now();
		p->client_moved = tcpinfo_read(p->client.fd);
		p->server_moved = tcpinfo_read(p->server.fd);
		p->stuck = false;
	} else if (p->variant == PLAIN && !p->stuck &&
		   span_now() - p->moved_ns >= patience_ms * MS) {
		p->evidence = examine(p);
		p->stuck = deadlocked(run, p->evidence) ||
			   (p->evidence.asleep == 2 && (double)p->evidence.still_ns > fallback_ns);
	}
	return !p->stuck;
}

static void end(struct pair *p)
{
	check(pthread_join(p->client.thread, NULL), "pthread_join");
	check(pthread_join(p->server.thread, NULL), "pthread_join");
	close(p->client.fd);
	close(p->server.fd);
}

/* Lets all of them run at the same time until each is done or stuck, and breaks up those. */
static void run_pairs(struct run *run, struct pair *pairs, size_t n)
{
	bool pending;

	for (size_t i = 0; i < n; i++)
		begin(&pairs[i]);
	do {
		pending = false;
		for (size_t i = 0; i < n; i++)
			pending |= moves(run, &pairs[i]);
	} while (pending && run_sleep_until(span_now() + 5LL * MS));
	for (size_t i = 0; i < n; i++) {
		if (atomic_load(&pairs[i].done)) {
			pairs[i].stuck = false;
			continue;
		}
		shutdown(pairs[i].client.fd, SHUT_RDWR);
		shutdown(pairs[i].server.fd, SHUT_RDWR);
	}
	for (size_t i = 0; i < n; i++)
		end(&pairs[i]);
}

/*
 * What TCP's buffers may hold before the kernel makes them smaller (the first number of tcp_mem, in pages),
 * by half: as much again is the kernel's own.
 */
static int64_t room_bytes(void)
{
	int64_t pages = proc_number("/proc/sys/net/ipv4/tcp_mem", "", INT32_MAX);

	return pages * sysconf(_SC_PAGESIZE) / 2;
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
	const int64_t room = room_bytes();
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
	run_record(run, (struct field[]){{"buffers", .text = sizes[p->size].name},
					 {"asked_bytes", sizes[p->size].asked},
					 {"amount_bytes", p->amount},
					 {"written_bytes", atomic_load(&p->client.out)},
					 {"served_bytes", atomic_load(&p->server.out)},
					 {"echoed_bytes", atomic_load(&p->client.in)},
					 {"misplaced_bytes", p->misplaced},
					 {"stuck", p->stuck},
					 {"deadlocked", p->stuck && deadlocked(run, p->evidence)},
					 {"fewest", p->amount == amounts[p->size][0]},
					 {"most", p->amount == amounts[p->size][points - 1]},
					 {"still_ns", p->evidence.still_ns},
					 {"client_rwnd_limited_ns", p->evidence.client_rwnd_ns},
					 {"server_rwnd_limited_ns", p->evidence.server_rwnd_ns},
					 {"asleep_in_send", p->evidence.asleep},
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
};

int main(int argc, char *argv[])
{
	const int64_t endless = INT64_C(1) << 30;
	struct run *run = run_begin(&about, argc, argv);

	if (!scout(run, endless) && !run_stopped())
		return run_skip(run, "a client wrote %s and was not stuck yet",
				text_bytes(endless));
	pattern_disorder(run_sham(run, "disorder"));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
