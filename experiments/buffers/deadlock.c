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
 * it rises is found at the start, by clients that write until they are stuck.  A pair counts as
 * stuck when nothing moved for a while; that it is a deadlock, and not just slow, is read from the
 * kernel: both threads sleep in send, and both of TCP's ends say that the peer's window is full.
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
#include "net.h"
#include "pattern.h"
#include "rng.h"
#include "span.h"
#include "tcpinfo.h"
#include "text.h"
#include "thread.h"

enum { PLAIN, POLL, THREAD, WINDOW, VARIANTS, SIZES = 3, MIN_POINTS = 5, MAX_POINTS = 16 };
enum {
	SCOUTS = 4,
	ALL_SCOUTS = SIZES * SCOUTS,
	DOUBT = 10,
	MAX_REPEATS = 10,
	MAX_PAIRS = SIZES * MAX_POINTS * MAX_REPEATS
};

static const struct variant variants[] = {
	[PLAIN] = {"plain", "the client writes everything, then reads"},
	[POLL] = {"poll", "it reads and writes as poll says (control)"},
	[THREAD] = {"thread", "a second thread of it reads (control)"},
	[WINDOW] = {"window", "it writes a part, reads its echo, ... (control)"},
	{0}};

static const struct claim claims[] = {
	{"buf-echo-deadlock",
	 "a client that writes everything before it reads deadlocks with an echo server"},
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
	 .min = MIN_POINTS, .max = MAX_POINTS, .quick = 6},
	{'r', "repeats", "clients at the same time for each amount", .num = &repeats, .min = 1,
	 .max = MAX_REPEATS, .quick = 1},
	{0, "patience", "a pair is stuck when nothing moved for so long", .num = &patience_ms,
	 .min = 220, .max = 5000, .quick = 250, .unit = OPT_MS},
	{'w', "write", "size of one send, and of one recv", .num = &write_size, .min = 256,
	 .max = 1 << 20, .unit = OPT_BYTES},
	{0, "congestion", "congestion control of both ends, such as cubic", .text = &congestion},
	{0}};

static const struct experiment about = {
	.name = "deadlock",
	.group = "buffers",
	.summary = "How much may a client write to an echo server before it has to read?",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.trials = 5,
	.quick_trials = 1,
};

static const int64_t endless = INT64_C(1) << 30; /* what a scout writes, if nothing stops it */

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

struct pair {
	size_t variant, size;
	int64_t amount;
	struct side client, server;
	atomic_bool done;
	int64_t misplaced;
	struct span span; /* of the client */

	/* the main thread's */
	int64_t moved, moved_ns; /* in and out of both; when that last changed */
	struct tcpinfo tcp[2];   /* then, of client and server */
	int64_t still_ns, rwnd_ns[2];
	int64_t asleep; /* how many of the two sleep in send */
	bool stuck;
};

/* Sends all, unless the connection is broken up. */
static bool put(struct side *side, const uint8_t *at, size_t length)
{
	while (length > 0) {
		ssize_t n;

		atomic_store(&side->sending, true);
		n = send(side->fd, at, length, MSG_NOSIGNAL);
		atomic_store(&side->sending, false);
		if (n <= 0)
			return false;
		atomic_fetch_add(&side->out, n);
		at += n;
		length -= (size_t)n;
	}
	return true;
}

static ssize_t get(struct side *side, uint8_t *buffer, size_t length)
{
	ssize_t n = recv(side->fd, buffer, length, 0);

	if (n > 0)
		atomic_fetch_add(&side->in, n);
	return n;
}

static uint8_t *new_buffer(void)
{
	uint8_t *buffer = malloc((size_t)write_size);

	if (!buffer)
		err(EXIT_USAGE, "malloc");
	return buffer;
}

static void *serve(void *argument)
{
	struct pair *p = argument;
	uint8_t *buffer = new_buffer();
	ssize_t n;

	atomic_store(&p->server.tid, gettid());
	do
		n = get(&p->server, buffer, (size_t)write_size);
	while (n > 0 && put(&p->server, buffer, (size_t)n));
	free(buffer);
	return NULL;
}

/* How much of the way to `end` one call takes. */
static size_t step(int64_t from, int64_t end)
{
	return (size_t)(end - from < write_size ? end - from : write_size);
}

static bool write_until(struct pair *p, uint8_t *buffer, int64_t end)
{
	for (int64_t at = atomic_load(&p->client.out); at < end;) {
		size_t length = step(at, end);

		pattern_fill(buffer, length, (uint64_t)at);
		if (!put(&p->client, buffer, length))
			return false;
		at += (int64_t)length;
	}
	return true;
}

/* One recv on the way to `end`, compared with what was written.  False if there is no more. */
static bool read_some(struct pair *p, uint8_t *buffer, int64_t end)
{
	int64_t at = atomic_load(&p->client.in);
	ssize_t n = get(&p->client, buffer, step(at, end));

	if (n > 0)
		p->misplaced += (int64_t)pattern_misplaced(buffer, (size_t)n, (uint64_t)at);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool read_until(struct pair *p, uint8_t *buffer, int64_t end)
{
	while (atomic_load(&p->client.in) < end)
		if (!read_some(p, buffer, end))
			return false;
	return true;
}

static void *read_all(void *argument)
{
	struct pair *p = argument;
	uint8_t *buffer = new_buffer();

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

static void with_window(struct pair *p, uint8_t *buffer)
{
	for (int64_t end = 0; end < p->amount;) {
		end = end + window[p->size] < p->amount ? end + window[p->size] : p->amount;
		if (!write_until(p, buffer, end) || !read_until(p, buffer, end))
			return;
	}
}

static void with_poll(struct pair *p, uint8_t *buffer)
{
	int64_t out = 0;

	check_fd(fcntl(p->client.fd, F_SETFL, O_NONBLOCK), "fcntl");
	while (atomic_load(&p->client.in) < p->amount) {
		struct pollfd ready = {.fd = p->client.fd,
				       .events = (short)(POLLIN | (out < p->amount ? POLLOUT : 0))};

		poll(&ready, 1, -1);
		if (ready.revents & (POLLIN | POLLHUP | POLLERR) &&
		    !read_some(p, buffer, p->amount))
			return;
		if (ready.revents & POLLOUT) {
			size_t length = step(out, p->amount);
			ssize_t n;

			pattern_fill(buffer, length, (uint64_t)out);
			n = send(p->client.fd, buffer, length, MSG_NOSIGNAL);
			out = atomic_fetch_add(&p->client.out, n > 0 ? n : 0) + (n > 0 ? n : 0);
		}
	}
}

static void *ask(void *argument)
{
	struct pair *p = argument;
	uint8_t *buffer = new_buffer();

	atomic_store(&p->client.tid, gettid());
	span_begin(&p->span);
	if (p->variant == POLL)
		with_poll(p, buffer);
	else if (p->variant == THREAD)
		with_thread(p, buffer);
	else if (p->variant == WINDOW)
		with_window(p, buffer);
	else if (write_until(p, buffer, p->amount))
		read_until(p, buffer, p->amount);
	span_end(&p->span);
	shutdown(p->client.fd, SHUT_WR);
	free(buffer);
	atomic_store(&p->done, true);
	return NULL;
}

/* A socket with both buffers as asked for: what it accepts inherits them. */
static int fresh(int64_t asked)
{
	int fd = check_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

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

/* The evidence against a pair that is not done: how long it is still, and what both ends say. */
static void examine(struct pair *p)
{
	p->still_ns = span_now() - p->moved_ns;
	p->asleep = sleeps_in_send(&p->client) + sleeps_in_send(&p->server);
	p->rwnd_ns[0] = tcpinfo_read(p->client.fd).rwnd_limited - p->tcp[0].rwnd_limited;
	p->rwnd_ns[1] = tcpinfo_read(p->server.fd).rwnd_limited - p->tcp[1].rwnd_limited;
}

/* Whether both ends wait for the other one to read: TCP's clocks are a few ticks exact. */
static bool deadlocked(int64_t asleep, int64_t still, int64_t client, int64_t server)
{
	return asleep == 2 && client >= still * 8 / 10 && server >= still * 8 / 10;
}

/* Looks at a pair; false once it is done or stuck.  Without evidence it is given more time. */
static bool moves(struct pair *p)
{
	int64_t moved = atomic_load(&p->client.out) + atomic_load(&p->server.in) +
			atomic_load(&p->server.out) + atomic_load(&p->client.in);

	if (atomic_load(&p->done)) {
		p->stuck = false;
		return false;
	}
	if (moved != p->moved) {
		p->moved = moved;
		p->moved_ns = span_now();
		p->tcp[0] = tcpinfo_read(p->client.fd);
		p->tcp[1] = tcpinfo_read(p->server.fd);
		p->stuck = false;
	}
	if (p->stuck || span_now() - p->moved_ns < patience_ms * 1000000)
		return !p->stuck;
	examine(p);
	p->stuck = deadlocked(p->asleep, p->still_ns, p->rwnd_ns[0], p->rwnd_ns[1]) ||
		   p->still_ns > DOUBT * patience_ms * 1000000;
	return !p->stuck;
}

/* Lets all of them run at the same time until each is done or stuck, and breaks up those. */
static void run_pairs(struct pair *pairs, size_t n)
{
	bool pending;

	for (size_t i = 0; i < n; i++)
		begin(&pairs[i]);
	do {
		pending = false;
		for (size_t i = 0; i < n; i++)
			pending |= moves(&pairs[i]);
	} while (pending && run_sleep_until(span_now() + 5000000));
	for (size_t i = 0; i < n; i++)
		if (!atomic_load(&pairs[i].done)) {
			examine(&pairs[i]);
			shutdown(pairs[i].client.fd, SHUT_RDWR);
			shutdown(pairs[i].server.fd, SHUT_RDWR);
		}
	for (size_t i = 0; i < n; i++) {
		check(pthread_join(pairs[i].client.thread, NULL), "pthread_join");
		check(pthread_join(pairs[i].server.thread, NULL), "pthread_join");
		close(pairs[i].client.fd);
		close(pairs[i].server.fd);
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

/* False if some scout was never stuck. */
static bool scout(void)
{
	static struct pair pairs[ALL_SCOUTS];

	for (size_t i = 0; i < ALL_SCOUTS; i++)
		pairs[i] = (struct pair){PLAIN, i / SCOUTS, endless};
	run_pairs(pairs, ALL_SCOUTS);
	for (size_t size = 0; size < SIZES; size++) {
		double least = INFINITY, most = 0;

		for (size_t i = size * SCOUTS; i < (size + 1) * SCOUTS; i++) {
			double wrote = (double)atomic_load(&pairs[i].client.out);

			if (!pairs[i].stuck)
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
					 {"still_ns", p->still_ns},
					 {"client_rwnd_limited_ns", p->rwnd_ns[0]},
					 {"server_rwnd_limited_ns", p->rwnd_ns[1]},
					 {"asleep_in_send", p->asleep},
					 {"elapsed_ns", span_wall(&p->span)},
					 {0}});
}

static void measure(struct run *run)
{
	static struct pair pairs[MAX_PAIRS];
	struct rng rng = {(uint64_t)run_trial(run)};
	bool plain = run_variant(run) == PLAIN;
	size_t n = 0;

	for (size_t size = 0; size < SIZES; size++)
		for (int64_t i = 0; i < (plain ? points * repeats : 1); i++)
			pairs[n++] = (struct pair){run_variant(run), size,
						   amounts[size][plain ? i % points : points - 1]};
	for (size_t i = n - 1; i > 0; i--) { /* none has begun, so it may be moved */
		size_t other = rng_below(&rng, i + 1);
		struct pair moved = {pairs[i].variant, pairs[i].size, pairs[i].amount};

		pairs[i] =
			(struct pair){pairs[other].variant, pairs[other].size, pairs[other].amount};
		pairs[other] = moved;
	}
	run_pairs(pairs, n);
	for (size_t i = 0; i < n; i++)
		record(run, &pairs[i]);
}

/* --- report ------------------------------------------------------------------ */

struct tries {
	size_t n, stuck;
};

/* The tries of a variant with a size of buffers, and an amount (0: with any). */
static struct tries tries_of(struct run *run, size_t variant, size_t size, int64_t amount)
{
	struct values asked = run_values(run, variant, "asked_bytes");
	struct values bytes = run_values(run, variant, "amount_bytes");
	struct values stuck = run_values(run, variant, "stuck");
	struct tries tries = {0};

	for (size_t i = 0; i < asked.n; i++)
		if (asked.at[i] == sizes[size].asked && (!amount || bytes.at[i] == amount)) {
			tries.n++;
			tries.stuck += stuck.at[i] != 0;
		}
	return tries;
}

static const char *cell(struct tries tries)
{
	struct interval share;

	if (tries.n == 0)
		return "-";
	share = stats_share(tries.stuck, tries.n);
	return text_format("%zu/%zu (%.0f-%.0f)", tries.stuck, tries.n, floor(share.low * 100),
			   ceil(share.high * 100));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"The client writes so many bytes before it reads the first: how often it and the "
		"echo server got stuck, and the 95 %% interval in percent; by buffers asked for.");
	fputs("\n", out);
	for (size_t size = 0; size < SIZES; size++)
		fprintf(out, "%s%10s %-14s", size ? "" : "  ", sizes[size].name, "stuck");
	fputs("\n", out);
	for (int64_t i = 0; run_selected(run, PLAIN) && i < points; i++) {
		for (size_t size = 0; size < SIZES; size++)
			fprintf(out, "%s%10s %-14s", size ? "" : "  ", text_count(amounts[size][i]),
				cell(tries_of(run, PLAIN, size, amounts[size][i])));
		fputs("\n", out);
	}
	for (size_t v = POLL; v < VARIANTS; v++) {
		if (!run_selected(run, v))
			continue;
		fprintf(out, "\n  %s:\n", variants[v].help);
		for (size_t size = 0; size < SIZES; size++)
			fprintf(out, "%s%10s %-14s", size ? "" : "  ",
				text_count(amounts[size][points - 1]),
				cell(tries_of(run, v, size, 0)));
		fputs("\n", out);
	}
	fputs("\n", out);
}

/* The stuck pairs of which the kernel says that both ends wait for the other to read. */
static size_t proven(struct run *run)
{
	struct values stuck = run_values(run, PLAIN, "stuck");
	struct values asleep = run_values(run, PLAIN, "asleep_in_send");
	struct values still = run_values(run, PLAIN, "still_ns");
	struct values client = run_values(run, PLAIN, "client_rwnd_limited_ns");
	struct values server = run_values(run, PLAIN, "server_rwnd_limited_ns");
	size_t n = 0;

	for (size_t i = 0; i < stuck.n; i++)
		n += stuck.at[i] &&
		     deadlocked(asleep.at[i], still.at[i], client.at[i], server.at[i]);
	return n;
}

/* "28,800 to 29,700": the most bytes that were never stuck, the fewest that always were. */
static const char *rise(struct run *run, size_t size)
{
	int64_t never = 0, always = 0;

	for (int64_t i = points; i-- > 0;) {
		struct tries tries = tries_of(run, PLAIN, size, amounts[size][i]);

		if (tries.stuck == tries.n && (i == points - 1 || always == amounts[size][i + 1]))
			always = amounts[size][i];
		if (tries.stuck == 0 && never == 0)
			never = amounts[size][i];
	}
	return text_format("%s to %s", never ? text_count(never) : "?",
			   always ? text_count(always) : "?");
}

static void judge(struct run *run)
{
	struct values stuck = run_values(run, PLAIN, "stuck");
	size_t total = stats_nonzero(stuck), sure = proven(run);
	struct tries low = {0}, high = {0};

	for (size_t size = 0; size < SIZES; size++) {
		struct tries least = tries_of(run, PLAIN, size, amounts[size][0]);
		struct tries most = tries_of(run, PLAIN, size, amounts[size][points - 1]);

		low = (struct tries){low.n + least.n, low.stuck + least.stuck};
		high = (struct tries){high.n + most.n, high.stuck + most.stuck};
	}
	run_verdict(run, "buf-echo-deadlock", sure ? HOLDS : NOT_SEEN,
		    (struct field[]){{"stuck_clients", (int64_t)total},
				     {"proven_clients", (int64_t)sure},
				     {"clients", (int64_t)stuck.n},
				     {"stuck_of_fewest_bytes", (int64_t)low.stuck},
				     {"clients_of_fewest_bytes", (int64_t)low.n},
				     {"stuck_of_most_bytes", (int64_t)high.stuck},
				     {"clients_of_most_bytes", (int64_t)high.n},
				     {0}},
		    "stuck: %zu of %zu with the fewest bytes, %zu of %zu with the most; it begins "
		    "at %s bytes (4K), %s (64K), %s (default). Of %zu stuck pairs %zu had both "
		    "threads asleep in send and both windows shut",
		    low.stuck, low.n, high.stuck, high.n, rise(run, 0), rise(run, 1), rise(run, 2),
		    total, sure);
}

static void report(struct run *run)
{
	print_table(run);
	for (size_t v = PLAIN; v < VARIANTS; v++) {
		struct values misplaced = run_values(run, v, "misplaced_bytes");

		run_control(run, stats_nonzero(misplaced) == 0,
			    "%s: the echo was changed in %zu of %zu tries", variants[v].name,
			    stats_nonzero(misplaced), misplaced.n);
	}
	for (size_t v = POLL; v < VARIANTS; v++) {
		struct values stuck = run_values(run, v, "stuck");
		double missing = stats_sum(run_values(run, v, "amount_bytes")) -
				 stats_sum(run_values(run, v, "echoed_bytes"));

		run_control(run, missing == 0,
			    "%s: %zu of %zu tries got stuck, %.0f bytes of echo are missing",
			    variants[v].name, stats_nonzero(stuck), stuck.n, missing);
	}
	if (run_selected(run, PLAIN))
		judge(run);
	run_why(run,
		"the server cannot read on before it has sent, the client does not read before it "
		"has sent: once both send buffers and both receive buffers are full, each waits "
		"for the other.");
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (!scout() && !run_stopped())
		return run_skip(run, "a client wrote %s and was not stuck yet",
				text_bytes(endless));
	while (run_next(run))
		measure(run);
	return run_end(run, report);
}
