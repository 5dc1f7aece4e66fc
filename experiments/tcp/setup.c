/* SPDX-License-Identifier: MIT */
/*
 * setup - one request of 64 bytes and its answer: what does the connection's set-up cost?
 *
 * UDP is said to be faster because it has no connection to set up.  So the same request goes to the
 * same server thread over
 *
 *	tcp-new, unix-new    a connection of its own
 *	tcp-kept, unix-kept  a connection that is there already
 *	udp, udp-connected   datagrams; the second one has its peer's address from connect
 *	unix-dgram           datagrams that never see IP
 *
 * with both threads on one CPU (1cpu), where all work adds up, and on two, where the server wakes
 * up while the client still works.  The time counts from before the socket is made, where one is,
 * until the answer is there; closing comes after it.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "net.h"
#include "pattern.h"
#include "peer.h"
#include "span.h"
#include "team.h"

enum { TCP_NEW, TCP_KEPT, UDP, UDP_CONNECTED, UNIX_NEW, UNIX_KEPT, UNIX_DGRAM, WAYS };
enum { ONE_CPU, CPUS };
enum { WARM = 5, MOST = 1024 }; /* requests before those that count; bytes of one */

static const struct variant variants[] = {
	{"tcp-new-1cpu", "a new TCP connection for each request, on one CPU"},
	{"tcp-kept-1cpu", "one TCP connection for all"},
	{"udp-1cpu", "sendto, recvfrom"},
	{"udp-connected-1cpu", "send and recv on a socket with a peer"},
	{"unix-new-1cpu", "a new AF_UNIX stream for each request"},
	{"unix-kept-1cpu", "one AF_UNIX stream for all"},
	{"unix-dgram-1cpu", "AF_UNIX datagrams"},
	{"tcp-new", "as above, on two CPUs if there are as many"},
	{"tcp-kept", "one TCP connection for all"},
	{"udp", "sendto, recvfrom"},
	{"udp-connected", "send and recv on a socket with a peer"},
	{"unix-new", "a new AF_UNIX stream for each request"},
	{"unix-kept", "one AF_UNIX stream for all"},
	{"unix-dgram", "AF_UNIX datagrams"},
	{0}};

static const struct way {
	int domain, type;
	bool fresh, connected;
} ways[WAYS] = {
	[TCP_NEW] = {AF_INET, SOCK_STREAM, true, true},
	[TCP_KEPT] = {AF_INET, SOCK_STREAM, false, true},
	[UDP] = {AF_INET, SOCK_DGRAM, false, false},
	[UDP_CONNECTED] = {AF_INET, SOCK_DGRAM, false, true},
	[UNIX_NEW] = {AF_UNIX, SOCK_STREAM, true, true},
	[UNIX_KEPT] = {AF_UNIX, SOCK_STREAM, false, true},
	[UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM, false, false},
};

static const struct claim claims[] = {
	{"tcp-udp-setup", "UDP is faster because it has no connection set-up",
	 "tcp-new-1cpu=udp-1cpu,tcp-new=udp", REFUTED,
	 .why = {[DEPENDS] =
			 "the set-up is work: more calls, more CPU time. But the kernel does it without the server's thread, which on two CPUs wakes up meanwhile. Between two machines it waits for a round trip as well, and that is what UDP saves.",
		 [HOLDS] =
			 "the set-up is work: more calls, more CPU time. Between two machines it waits for a round trip as well."}},
	{0}};

static const struct row_field fields[] = {
	{"setup_ns", "until a request is sent, the median", "set-up"},
	{"p50_ns", "until it is answered, the median", "p50"},
	{"p99_ns", "99 % of the requests", "p99"},
	{"max_ns", "the longest"},
	{"calls", "system calls of both sides", "calls", SHOW_MEDIAN, "requests"},
	{"cpu_ns", "CPU time of both sides", "CPU", SHOW_MEDIAN, "requests"},
	{"requests", "with those to warm up"},
	{"client_calls", "system calls of the client"},
	{"server_calls", "of the server"},
	{"lost_requests", "that were not answered", .zero = true, .sham = "lose"},
	{"wrong_answers", "that came back changed", .zero = true, .sham = "change"},
	{"elapsed_ns", "of the trial"},
	{"request", "its number", .row = "request"},
	{"latency_ns", "until it is answered", .row = "request"},
	{0}};

static const struct bound bounds[] = {
	{"clear_times", 1.5, "half as long again: far above the noise of a wake-up on another CPU"},
	{0}};

static int64_t requests = 100;
static int64_t size = 64;

static const struct opt opts[] = {
	{'n', "requests", "of a trial", .num = &requests, .min = 10, .max = 10000},
	{'s', "size", "of a request, and of its answer", .num = &size, .min = 1, .max = MOST,
	 .unit = OPT_BYTES},
	{0}};

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_un un;
};

/* Where the server is, as it tells the client. */
struct place {
	union address where;
	socklen_t size;
};

/* What it did. */
struct served {
	int64_t calls; /* system calls */
	int64_t cpu_ns;
};

/* The client's trial. */
struct trial {
	const struct way *way;
	struct place server;
	int64_t *latency,
		*setup; /* of each request until it is answered, and until it is sent; ns */
	int64_t wrong, lost;
	int64_t calls;
};

static struct peer *far;

/* A socket with an address that the kernel chooses: a free port, or an abstract name (unix(7)). */
static int bound(const struct way *way, struct in_addr here, struct place *place)
{
	union address *where = &place->where;
	int fd;

	if (way->domain == AF_INET) {
		fd = net_socket(way->type);
		net_bind(fd, here, &where->in);
		place->size = sizeof(where->in);
		return fd;
	}
	fd = check_fd(socket(AF_UNIX, way->type | SOCK_CLOEXEC, 0), "socket");
	*where = (union address){.un = {.sun_family = AF_UNIX}};
	check_fd(bind(fd, &where->any, sizeof(where->any.sa_family)), "bind");
	place->size = sizeof(where->un);
	check_fd(getsockname(fd, &where->any, &place->size), "getsockname");
	return fd;
}

/* --- the server: the far half ------------------------------------------------ */

/* Answers what comes over a connection until its end; false if nothing came at all. */
static bool serve_stream(int fd, struct served *served)
{
	uint8_t buffer[MOST];
	bool any = false;
	ssize_t n;

	while ((n = recv(fd, buffer, (size_t)size, MSG_WAITALL)) == size) {
		if (send(fd, buffer, (size_t)size, 0) != size)
			peer_failed("send");
		served->calls += 2;
		any = true;
	}
	if (n < 0)
		peer_failed("recv");
	served->calls++;
	return any;
}

/* Until a connection comes that asks for nothing. */
static void serve_connections(const struct peer *near, const struct way *way, int listener,
			      struct served *served)
{
	bool any = true;

	while (any) {
		int fd = peer_take(near, listener);

		any = serve_stream(fd, served) && way->fresh;
		close(fd);
		served->calls += 2;
	}
}

/* Until an empty datagram comes. */
static void serve_datagrams(int fd, struct served *served)
{
	uint8_t buffer[MOST];
	union address peer;
	ssize_t n = 1;

	while (n > 0) {
		socklen_t peer_size = sizeof(peer);

		n = recvfrom(fd, buffer, sizeof(buffer), 0, &peer.any, &peer_size);
		if (n < 0)
			peer_failed("recvfrom");
		if (n > 0 && sendto(fd, buffer, (size_t)n, 0, &peer.any, peer_size) != n)
			peer_failed("sendto");
		served->calls += 2;
	}
}

static void serve(struct peer *near)
{
	struct served served = {0};
	struct place place = {.size = 0};
	struct span span;
	const struct way *way;
	int64_t number;
	int fd;

	peer_hear(near, &number, sizeof(number));
	way = &ways[peer_within(number, 0, WAYS - 1)];
	fd = bound(way, peer_here(near), &place);
	if (way->type == SOCK_STREAM)
		check_fd(listen(fd, 16), "listen");
	peer_say(near, &place, sizeof(place));
	span_begin(&span);
	if (way->type == SOCK_STREAM)
		serve_connections(near, way, fd, &served);
	else
		serve_datagrams(fd, &served);
	span_end(&span);
	served.cpu_ns = span.cpu_ns;
	peer_say(near, &served, sizeof(served));
	close(fd);
}

static void (*const halves[])(struct peer *near) = {serve, NULL};

/* --- the client ---------------------------------------------------------- */

static int client_socket(struct trial *t)
{
	struct place own;
	int fd;

	if (t->way->domain == AF_UNIX && t->way->type == SOCK_DGRAM) {
		fd = bound(t->way, peer_here(far), &own); /* else nobody can answer */
		t->calls += 3;
	} else {
		fd = check_fd(socket(t->way->domain, t->way->type | SOCK_CLOEXEC, 0), "socket");
		t->calls++;
	}
	if (t->way->connected) {
		if (connect(fd, &t->server.where.any, t->server.size) != 0)
			peer_failed("connect");
		t->calls++;
	}
	return fd;
}

static void send_to_server(struct trial *t, int fd, const uint8_t *buffer, size_t length)
{
	ssize_t n = t->way->connected
			    ? send(fd, buffer, length, 0)
			    : sendto(fd, buffer, length, 0, &t->server.where.any, t->server.size);

	if (n != (ssize_t)length)
		peer_failed("send");
	t->calls++;
}

/* The answer; false if it did not come within a second. */
static bool receive(struct trial *t, int fd, uint8_t *buffer)
{
	bool stream = t->way->type == SOCK_STREAM;
	ssize_t n = t->way->connected ? recv(fd, buffer, (size_t)size, stream ? MSG_WAITALL : 0)
				      : recvfrom(fd, buffer, (size_t)size, 0, NULL, NULL);

	if (n < 0 && errno != EAGAIN)
		peer_failed("recv");
	t->calls++;
	return n == size;
}

static void ask_once(struct trial *t, int64_t number, int kept)
{
	uint8_t request[MOST], answer[MOST];
	int64_t begin_ns;
	int fd;

	pattern_fill(request, (size_t)size, (uint64_t)(number * size));
	begin_ns = span_now();
	fd = t->way->fresh ? client_socket(t) : kept;
	if (number >= WARM)
		t->setup[number - WARM] = span_now() - begin_ns;
	send_to_server(t, fd, request, (size_t)size);
	if (!receive(t, fd, answer))
		t->lost++;
	else
		t->wrong += memcmp(request, answer, (size_t)size) != 0;
	if (number >= WARM)
		t->latency[number - WARM] = span_now() - begin_ns;
	if (t->way->fresh) {
		close(fd);
		t->calls++;
	}
}

/* The requests, then what ends the server. */
static void ask(struct trial *t)
{
	int kept = t->way->fresh ? -1 : client_socket(t);
	int64_t calls;

	if (t->way->type == SOCK_DGRAM)
		net_set_timeout(kept, SO_RCVTIMEO, 1000);
	t->calls = 0; /* what was made once does not count */
	for (int64_t i = 0; i < WARM + requests && !run_stopped(); i++)
		ask_once(t, i, kept);
	calls = t->calls;
	if (t->way->type == SOCK_DGRAM)
		send_to_server(t, kept, NULL, 0);
	close(t->way->fresh ? client_socket(t) : kept);
	t->calls = calls;
}

static void measure(struct run *run, size_t way, enum team_place place)
{
	struct trial t = {.way = &ways[way],
			  .latency = check_alloc(calloc((size_t)requests, 2 * sizeof(*t.latency)))};
	struct values latency = {t.latency, (size_t)requests};
	struct values setup = {t.latency + requests, (size_t)requests};
	int64_t number = (int64_t)way;
	struct served served;
	struct span span;

	t.setup = setup.at;
	peer_begin(far, serve, place);
	peer_say(far, &number, sizeof(number));
	peer_hear(far, &t.server, sizeof(t.server));
	span_begin(&span);
	ask(&t);
	span_end(&span);
	peer_hear(far, &served, sizeof(served));
	peer_end(far);
	for (int64_t i = 0; i < requests && run_trial(run) == 0; i++)
		run_row(run, "request",
			(struct field[]){{"request", i}, {"latency_ns", t.latency[i]}, {0}});
	run_record(run, (struct field[]){{"requests", WARM + requests},
					 {"setup_ns", (int64_t)stats_quantile(setup, 0.5)},
					 {"p50_ns", (int64_t)stats_quantile(latency, 0.5)},
					 {"p99_ns", (int64_t)stats_quantile(latency, 0.99)},
					 {"max_ns", (int64_t)stats_quantile(latency, 1)},
					 {"calls", t.calls + served.calls},
					 {"client_calls", t.calls},
					 {"server_calls", served.calls},
					 {"lost_requests", t.lost + run_sham(run, "lose")},
					 {"wrong_answers", t.wrong + run_sham(run, "change")},
					 {"elapsed_ns", span_wall(&span)},
					 {"cpu_ns", span.cpu_ns + served.cpu_ns},
					 {0}});
	free(t.latency);
}

/* --- judge --------------------------------------------------------------- */

/* How many times as long as UDP on as many CPUs, round by round. */
static struct interval times_udp(struct run *run, size_t variant)
{
	size_t udp = variant / WAYS * WAYS + UDP;

	return run_ratio(run, run_values(run, variant, "p50_ns"), run_values(run, udp, "p50_ns"));
}

static void judge(struct run *run)
{
	double clear = run_bound(run, "clear_times");
	struct interval one, one_kept, two, two_kept;
	enum verdict on_one;

	if (peer_remote(far)) {
		two = times_udp(run, CPUS * WAYS + TCP_NEW);
		two_kept = times_udp(run, CPUS * WAYS + TCP_KEPT);
		run_judge(
			run, "tcp-udp-setup", is_above(two, clear),
			"a request to another host takes {new} times as long by a new TCP connection as by UDP, by a kept connection {kept} times",
			number_interval("new", two), number_interval("kept", two_kept));
		return;
	}
	one = times_udp(run, ONE_CPU * WAYS + TCP_NEW);
	one_kept = times_udp(run, ONE_CPU * WAYS + TCP_KEPT);
	on_one = is_above(one, clear);
	if (run_cpus() < 2) {
		run_judge(
			run, "tcp-udp-setup", on_one,
			"a request by a new TCP connection takes {one} times as long as by UDP on the one CPU there is, by a kept connection {one_kept} times",
			number_interval("one", one), number_interval("one_kept", one_kept));
		return;
	}
	two = times_udp(run, CPUS * WAYS + TCP_NEW);
	two_kept = times_udp(run, CPUS * WAYS + TCP_KEPT);
	run_judge(
		run, "tcp-udp-setup", by_case(on_one, is_above(two, clear)),
		"a request by a new TCP connection takes {one} times as long as by UDP on one CPU, {two} times on two; by a kept connection {one_kept} and {two_kept} times",
		number_interval("one", one), number_interval("two", two),
		number_interval("one_kept", one_kept), number_interval("two_kept", two_kept));
}

static const struct experiment about = {
	.name = "setup",
	.group = "tcp",
	.order = 410,
	.summary = "Is UDP faster than TCP, and is it the connection's set-up?",
	.intro =
		"{requests} requests and answers a trial, {size_bytes} each, one after the other, {where}.",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.variants = variants,
	.trials = 20,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.halves = halves,
	.scatter = "p50_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	far = peer_open(run);
	for (size_t v = 0; variants[v].name; v++)
		if (peer_remote(far) && v / WAYS == ONE_CPU)
			run_leave_out(run, v, "the server is on another host");
		else if (peer_remote(far) && ways[v % WAYS].domain == AF_UNIX)
			run_leave_out(run, v, "AF_UNIX is for one host");
		else if (run_cpus() < 2 && !peer_remote(far) && v / WAYS == CPUS)
			run_leave_out(run, v, "there is one CPU");
	while (run_next(run))
		measure(run, run_variant(run) % WAYS,
			run_variant(run) / WAYS == ONE_CPU ? TEAM_SAME : TEAM_SPREAD);
	return run_end(run);
}
