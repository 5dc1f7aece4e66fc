/* SPDX-License-Identifier: MIT */
/*
 * demux - what tells connections apart, and when may two programs have one port?
 *
 * share   Many clients connect to one listening port, all at the same time.  Every accepted socket
 *         has that local port, and must still hand out its own client's bytes only.  The names
 *         (local address and port, remote address and port) are compared; a second connection of
 *         a name in use is asked for; a UDP socket takes the same port and gets no byte of TCP's.
 *
 * bind    One program has a port, in one of several states; another one, a process of its own,
 *         binds it, too.  Each state with each combination of socket options.
 *
 * spread  Two programs listen at one port by SO_REUSEPORT: who gets how many connections?
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "files.h"
#include "net.h"
#include "pattern.h"
#include "text.h"

enum { MAX_CLIENTS = 4000, BYTES = 64, STREAM = 1 << 16, TRIES = 100 };

static const struct claim claims[] = {
	{"tcp-five-tuple", "(protocol, local address, local port, remote address, remote port) "
			   "names a connection: many share one local port"},
	{"tcp-bind-owns-port", "a bound port cannot be bound by another program"},
	{0}};

static int64_t clients = 300;

static const struct opt opts[] = {{'n', "clients", "connections at the same time to one port",
				   .num = &clients, .min = 2, .quick = 200, .max = MAX_CLIENTS},
				  {0}};

static const struct experiment about = {
	.name = "demux",
	.group = "tcp",
	.summary = "What tells connections apart, and when may two programs have one port?",
	.claims = claims,
	.opts = opts,
	.trials = 5,
	.quick_trials = 2,
};

/* --- sockets ----------------------------------------------------------------- */

static struct sockaddr_in at(uint32_t address, in_port_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(address)}};
}

static struct sockaddr_in own_name(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t size = sizeof(name);

	check_fd(getsockname(fd, (struct sockaddr *)&name, &size), "getsockname");
	return name;
}

static int fresh(int type)
{
	return check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
}

static int try_bind(int fd, struct sockaddr_in name)
{
	return bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? errno : 0;
}

static int try_connect(int fd, struct sockaddr_in name)
{
	return connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? errno : 0;
}

/* Closes with a reset, so that no TIME_WAIT keeps the port. */
static void drop(int fd)
{
	struct linger abort = {1, 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	close(fd);
}

/* --- share ------------------------------------------------------------------- */

struct pair {
	int client, server;
	struct sockaddr_in local, remote; /* of the accepted socket */
};

struct share {
	int64_t ports;       /* different local ports of the accepted sockets */
	int64_t names;       /* different names */
	int64_t wrong;       /* pieces that are not that client's, or did not come back to it */
	int twice_error;     /* of a second connection of a name in use */
	int elsewhere_error; /* of the same local port towards another listener */
	int udp_error;       /* of a UDP socket bound to the port */
	int64_t udp_wrong;   /* datagrams or pieces that went to the other protocol */
};

static void send_piece(int fd, int64_t stream)
{
	uint8_t bytes[BYTES];

	pattern_fill(bytes, BYTES, (uint64_t)(stream * STREAM));
	check_fd(send(fd, bytes, BYTES, MSG_NOSIGNAL) == BYTES ? 0 : -1, "send");
}

/* 0 if the next piece is this stream's; 1 if it is not. */
static int64_t is_wrong(int fd, int64_t stream)
{
	uint8_t bytes[BYTES] = {0};

	return recv(fd, bytes, BYTES, MSG_WAITALL) != BYTES ||
	       pattern_misplaced(bytes, BYTES, (uint64_t)(stream * STREAM)) != 0;
}

static int by_name(const void *a, const void *b)
{
	const struct pair *p = a, *q = b;
	uint64_t of_p = (uint64_t)p->remote.sin_addr.s_addr << 32 | p->remote.sin_port;
	uint64_t of_q = (uint64_t)q->remote.sin_addr.s_addr << 32 | q->remote.sin_port;

	if (p->local.sin_port != q->local.sin_port)
		return p->local.sin_port < q->local.sin_port ? -1 : 1;
	return of_p < of_q ? -1 : of_p > of_q;
}

static void count_names(struct share *found, struct pair *pairs)
{
	qsort(pairs, (size_t)clients, sizeof(*pairs), by_name);
	for (int64_t i = 0; i < clients; i++) {
		found->names += i == 0 || by_name(&pairs[i - 1], &pairs[i]) != 0;
		found->ports += i == 0 || pairs[i - 1].local.sin_port != pairs[i].local.sin_port;
	}
}

/* All write before anybody reads; then server and clients read in opposite orders. */
static void exchange(struct share *found, const struct pair *pairs)
{
	for (int64_t i = 0; i < clients; i++) {
		send_piece(pairs[i].client, 2 * i);
		send_piece(pairs[i].server, 2 * i + 1);
	}
	for (int64_t i = 0; i < clients; i++) {
		found->wrong += is_wrong(pairs[clients - 1 - i].server, 2 * (clients - 1 - i));
		found->wrong += is_wrong(pairs[i].client, 2 * i + 1);
	}
}

/* Another client takes the local port of a connected one: for the same listener, then another. */
static void connect_twice(struct share *found, struct sockaddr_in where)
{
	struct sockaddr_in other, own = at(INADDR_LOOPBACK, 0);
	int elsewhere = net_listen(1, &other);
	int first = fresh(SOCK_STREAM), second = fresh(SOCK_STREAM);

	net_set(first, SOL_SOCKET, SO_REUSEADDR, 1);
	net_set(second, SOL_SOCKET, SO_REUSEADDR, 1);
	check(try_bind(first, own), "bind");
	own = own_name(first);
	check(try_bind(second, own), "bind"); /* allowed: neither listens */
	check(try_connect(first, where), "connect");
	found->twice_error = try_connect(second, where);
	found->elsewhere_error = try_connect(second, other);
	drop(second);
	drop(first);
	close(elsewhere);
}

/* UDP at the same address and port: each protocol must get its own bytes. */
static void share_with_udp(struct share *found, struct sockaddr_in where, const struct pair *pair)
{
	int receiver = fresh(SOCK_DGRAM), sender = fresh(SOCK_DGRAM);

	found->udp_error = try_bind(receiver, where);
	if (!found->udp_error) {
		check(try_connect(sender, where), "connect");
		send_piece(sender, 2 * clients);
		send_piece(pair->client, 2 * clients + 1);
		found->udp_wrong += is_wrong(receiver, 2 * clients);
		found->udp_wrong += is_wrong(pair->server, 2 * clients + 1);
	}
	close(sender);
	close(receiver);
}

static void measure_share(struct run *run, struct share *found)
{
	struct pair *pairs = calloc((size_t)clients, sizeof(*pairs));
	struct sockaddr_in where;
	int listener = net_listen(8, &where);

	if (!pairs)
		err(EXIT_USAGE, "calloc");
	for (int64_t i = 0; i < clients; i++) {
		struct pair *p = &pairs[i];
		socklen_t size = sizeof(p->remote);

		p->client = net_connect(&where);
		p->server = check_fd(
			accept4(listener, (struct sockaddr *)&p->remote, &size, SOCK_CLOEXEC),
			"accept");
		p->local = own_name(p->server);
	}
	exchange(found, pairs);
	share_with_udp(found, where, &pairs[0]);
	connect_twice(found, where);
	if (run_trial(run) == 0)
		for (int64_t i = 0; i < clients; i++)
			run_row(run, "connection",
				(struct field[]){{"local_port", ntohs(pairs[i].local.sin_port)},
						 {"remote_port", ntohs(pairs[i].remote.sin_port)},
						 {0}});
	count_names(found, pairs);
	for (int64_t i = 0; i < clients; i++) {
		drop(pairs[i].client);
		close(pairs[i].server);
	}
	close(listener);
	free(pairs);
}

/* --- the other program --------------------------------------------------------- */

struct request {
	enum { TAKE, LISTEN, ACCEPT, LEAVE } what;
	int type, option; /* of a socket to be bound; option 0 = none */
	struct sockaddr_in name;
};

static struct {
	pid_t pid;
	int channel;
} other;

static int try_listen(int fd)
{
	return listen(fd, 128) < 0 ? errno : 0;
}

static int accept_one(int fd)
{
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (accepted < 0)
		return errno;
	close(accepted);
	return 0;
}

/* The other program: it has one socket, and answers each request with 0 or an errno. */
static _Noreturn void be_the_other(int channel)
{
	struct request r;
	int fd = -1;

	signal(SIGINT, SIG_IGN); /* a terminal's goes to both; we end with the first program */
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	while (recv(channel, &r, sizeof(r), 0) == sizeof(r)) {
		int error = 0;

		if (r.what == TAKE) {
			fd = fresh(r.type | SOCK_NONBLOCK);
			if (r.option)
				net_set(fd, SOL_SOCKET, r.option, 1);
			error = try_bind(fd, r.name);
		} else if (r.what == LISTEN) {
			error = try_listen(fd);
		} else if (r.what == ACCEPT) {
			error = accept_one(fd);
		} else {
			close(fd);
		}
		if (send(channel, &error, sizeof(error), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(EXIT_SUCCESS);
}

static void start_other(void)
{
	int ends[2];

	check_fd(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
	other.pid = child_fork();
	if (other.pid == 0) {
		close(ends[0]);
		be_the_other(ends[1]);
	}
	close(ends[1]);
	other.channel = ends[0];
}

static int ask_other(struct request r)
{
	int error = 0;

	check_fd((int)send(other.channel, &r, sizeof(r), MSG_NOSIGNAL), "send");
	if (recv(other.channel, &error, sizeof(error), 0) != sizeof(error))
		errx(EXIT_USAGE, "the other program has died");
	return error;
}

static void end_other(void)
{
	close(other.channel);
	waitpid(other.pid, NULL, 0);
}

/* --- bind ---------------------------------------------------------------------- */

enum state { BOUND, LISTENING, ALIVE, TIME_WAIT, ELSEWHERE, WILDCARD, PROTOCOL, STATES };

static const struct {
	const char *name, *shown;
} states[STATES] = {[BOUND] = {"bound", "bound"},
		    [LISTENING] = {"listening", "listening"},
		    [ALIVE] = {"connected", "connected only"},
		    [TIME_WAIT] = {"time-wait", "in TIME_WAIT"},
		    [ELSEWHERE] = {"other-address", "2nd: 127.0.0.2"},
		    [WILDCARD] = {"wildcard", "2nd: 0.0.0.0"},
		    [PROTOCOL] = {"udp", "2nd: UDP"}};

enum { COMBINATIONS = 6 };

static const struct {
	const char *name;
	int first, second; /* the option that each program sets; 0 = none */
} combinations[COMBINATIONS] = {
	{"none", 0, 0},
	{"reuseaddr-second", 0, SO_REUSEADDR},
	{"reuseaddr-both", SO_REUSEADDR, SO_REUSEADDR},
	{"reuseport-second", 0, SO_REUSEPORT},
	{"reuseport-both", SO_REUSEPORT, SO_REUSEPORT},
	{"reuseport-reuseaddr", SO_REUSEPORT, SO_REUSEADDR},
};

/* The first program's sockets: -1 = none. */
struct holder {
	int fd, server, client;
	struct sockaddr_in name;
};

/* Brings a port into this state; false if this machine does not get there. */
static bool hold(struct holder *h, enum state state, int option)
{
	*h = (struct holder){fresh(SOCK_STREAM), -1, -1, at(INADDR_LOOPBACK, 0)};
	if (option)
		net_set(h->fd, SOL_SOCKET, option, 1);
	check(try_bind(h->fd, h->name), "bind");
	h->name = own_name(h->fd);
	if (state == BOUND)
		return true;
	check(try_listen(h->fd), "listen");
	if (state != ALIVE && state != TIME_WAIT)
		return true;
	h->client = net_connect(&h->name);
	h->server = net_accept(h->fd);
	close(h->fd);
	h->fd = -1;
	if (state == ALIVE)
		return true;
	close(h->server); /* who closes first keeps the TIME_WAIT */
	h->server = -1;
	close(h->client);
	h->client = -1;
	for (int i = 0; i < TRIES; i++) {
		if (net_port_listed("/proc/net/tcp", ntohs(h->name.sin_port), TCP_TIME_WAIT))
			return true;
		usleep(1000);
	}
	return false;
}

static void let_go(struct holder *h)
{
	if (h->client >= 0)
		drop(h->client);
	if (h->server >= 0)
		drop(h->server);
	if (h->fd >= 0)
		close(h->fd);
}

/* What became of the other program's attempt. */
struct cell {
	int bind_error, listen_error;
	bool reached; /* the state was */
};

static struct cell measure_cell(enum state state, int combination)
{
	struct request take = {.what = TAKE,
			       .type = state == PROTOCOL ? SOCK_DGRAM : SOCK_STREAM,
			       .option = combinations[combination].second};
	struct cell cell = {0};
	struct holder h;

	cell.reached = hold(&h, state, combinations[combination].first);
	take.name = at(state == ELSEWHERE  ? INADDR_LOOPBACK + 1
		       : state == WILDCARD ? INADDR_ANY
					   : INADDR_LOOPBACK,
		       h.name.sin_port);
	cell.bind_error = ask_other(take);
	if (!cell.bind_error && take.type == SOCK_STREAM)
		cell.listen_error = ask_other((struct request){.what = LISTEN});
	ask_other((struct request){.what = LEAVE});
	let_go(&h);
	return cell;
}

/* --- spread -------------------------------------------------------------------- */

struct spread {
	int64_t first, second; /* connections that each program got */
};

static struct spread measure_spread(void)
{
	struct spread got = {0};
	int listener = fresh(SOCK_STREAM | SOCK_NONBLOCK);
	struct request take = {.what = TAKE, .type = SOCK_STREAM, .option = SO_REUSEPORT};

	net_set(listener, SOL_SOCKET, SO_REUSEPORT, 1);
	check(try_bind(listener, at(INADDR_LOOPBACK, 0)), "bind");
	check(try_listen(listener), "listen");
	take.name = own_name(listener);
	if (ask_other(take) == 0 && ask_other((struct request){.what = LISTEN}) == 0)
		for (int64_t i = 0; i < clients && !run_stopped(); i++) {
			int client = net_connect(&take.name);
			int tries = 0;

			/* one of them has it; the last ACK may be on its way */
			while (tries++ < TRIES) {
				if (accept_one(listener) == 0) {
					got.first++;
					break;
				}
				if (ask_other((struct request){.what = ACCEPT}) == 0) {
					got.second++;
					break;
				}
			}
			drop(client);
		}
	ask_other((struct request){.what = LEAVE});
	close(listener);
	return got;
}

/* --- one trial ------------------------------------------------------------------- */

static void measure(struct run *run)
{
	struct cell cells[STATES][COMBINATIONS];
	struct share found = {0};
	struct spread got;
	int64_t unreached = 0;

	measure_share(run, &found);
	for (enum state s = 0; s < STATES; s++)
		for (int c = 0; c < COMBINATIONS; c++) {
			cells[s][c] = measure_cell(s, c);
			unreached += !cells[s][c].reached;
		}
	got = measure_spread();
	for (enum state s = 0; s < STATES; s++)
		for (int c = 0; c < COMBINATIONS; c++)
			if (cells[s][c].reached)
				run_record(run,
					   (struct field[]){
						   {"held", .text = states[s].name},
						   {"options", .text = combinations[c].name},
						   {"cell", (int64_t)s * COMBINATIONS + c},
						   {"bind",
						    .text = text_errno(cells[s][c].bind_error)},
						   {"bind_errno", cells[s][c].bind_error},
						   {"listen",
						    .text = text_errno(cells[s][c].listen_error)},
						   {"listen_errno", cells[s][c].listen_error},
						   {0}});
	run_record(run, (struct field[]){{"connections", clients},
					 {"local_ports", found.ports},
					 {"names", found.names},
					 {"wrong_pieces", found.wrong},
					 {"same_name", .text = text_errno(found.twice_error)},
					 {"same_name_errno", found.twice_error},
					 {"same_port_elsewhere_errno", found.elsewhere_error},
					 {"udp_bind_errno", found.udp_error},
					 {"udp_wrong_pieces", found.udp_wrong},
					 {"first_connections", got.first},
					 {"second_connections", got.second},
					 {"unreached_cells", unreached},
					 {0}});
}

/* --- report -------------------------------------------------------------- */

/* What all trials of a cell gave: an errno, -1 if they differ, -2 if there are none. */
static int64_t cell_of(struct run *run, const char *field, enum state s, int c)
{
	struct values cells = run_values(run, 0, "cell");
	struct values errors = run_values(run, 0, field);
	int64_t found = -2;

	for (size_t i = 0; i < cells.n; i++) {
		if (cells.at[i] != (int64_t)s * COMBINATIONS + c)
			continue;
		found = found == -2 || found == errors.at[i] ? errors.at[i] : -1;
	}
	return found;
}

static const char *shown_cell(struct run *run, enum state s, int c)
{
	int64_t bind_error = cell_of(run, "bind_errno", s, c);
	int64_t listen_error = cell_of(run, "listen_errno", s, c);

	if (bind_error == -2)
		return "-";
	if (bind_error < 0 || listen_error < 0)
		return "mixed";
	if (bind_error == EADDRINUSE)
		return "in use";
	if (bind_error)
		return text_errno((int)bind_error);
	return listen_error ? "ok, bind" : "ok";
}

static double sum(struct run *run, const char *field)
{
	return stats_sum(run_values(run, 0, field));
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run,
		"%s clients at one listening port: %.0f local port, %.0f names, %.0f pieces "
		"at a wrong place.",
		text_count(clients), run_median(run, 0, "local_ports"), run_median(run, 0, "names"),
		sum(run, "wrong_pieces"));
	run_say(run,
		"A second connection of a name in use: %s; from that port to another one: %s; "
		"UDP at the same port: %s.",
		text_errno((int)run_median(run, 0, "same_name_errno")),
		text_errno((int)run_median(run, 0, "same_port_elsewhere_errno")),
		text_errno((int)run_median(run, 0, "udp_bind_errno")));
	fputs("\n", out);
	run_say(run,
		"The first program has a TCP port at 127.0.0.1, in some state (below: listening). "
		"The second one binds it and listens. Both set an option, or none:");
	fprintf(out, "\n  %-15s %9s %9s %9s %9s %9s %9s\n", "first:", "-", "-", "REUSEADDR", "-",
		"REUSEPORT", "REUSEPORT");
	fprintf(out, "  %-15s %9s %9s %9s %9s %9s %9s\n", "second:", "-", "REUSEADDR", "REUSEADDR",
		"REUSEPORT", "REUSEPORT", "REUSEADDR");
	for (enum state s = 0; s < STATES; s++) {
		fprintf(out, "  %-15s", states[s].shown);
		for (int c = 0; c < COMBINATIONS; c++)
			fprintf(out, " %9s", shown_cell(run, s, c));
		fputs("\n", out);
	}
	fprintf(out,
		"\n  two listeners with SO_REUSEPORT got, of %s connections a trial:\n  first  ",
		text_count(clients));
	text_values(out, 9, 9, run_values(run, 0, "first_connections"));
	fputs("  second ", out);
	text_values(out, 9, 9, run_values(run, 0, "second_connections"));
	fputs("\n", out);
}

static void judge_names(struct run *run)
{
	struct values twice = run_values(run, 0, "same_name_errno");
	struct values elsewhere = run_values(run, 0, "same_port_elsewhere_errno");
	double all = sum(run, "connections");
	double names = sum(run, "names");
	bool one_port = sum(run, "local_ports") == (double)twice.n;
	bool unique = names == all && stats_nonzero(twice) == twice.n;

	run_verdict(
		run, "tcp-five-tuple",
		unique && one_port && stats_nonzero(elsewhere) == 0 ? HOLDS : REFUTED,
		(struct field[]){{"connections", (int64_t)all},
				 {"names", (int64_t)names},
				 {"trials", (int64_t)twice.n},
				 {"second_of_a_name_refused", (int64_t)stats_nonzero(twice)},
				 {0}},
		"%s connections at one local port had %s different names, and %s pieces of data "
		"came to a wrong one; a second one of the same name was refused in %zu of %zu "
		"trials (%s)",
		text_count(clients), text_count((int64_t)run_median(run, 0, "names")),
		sum(run, "wrong_pieces") > 0 ? text_count((int64_t)sum(run, "wrong_pieces")) : "no",
		stats_nonzero(twice), twice.n, text_errno((int)twice.at[0]));
}

static void judge_bind(struct run *run)
{
	int refused = 0, allowed = 0;
	int64_t plain = cell_of(run, "bind_errno", LISTENING, 0);
	int64_t both = cell_of(run, "bind_errno", LISTENING, 4);
	int64_t one = cell_of(run, "bind_errno", LISTENING, 3);
	int64_t second_waits = cell_of(run, "bind_errno", TIME_WAIT, 1);
	int64_t both_wait = cell_of(run, "bind_errno", TIME_WAIT, 2);

	for (enum state s = BOUND; s <= LISTENING; s++)
		for (int c = 0; c < COMBINATIONS; c++) {
			refused += cell_of(run, "bind_errno", s, c) > 0;
			allowed += cell_of(run, "bind_errno", s, c) == 0;
		}
	run_verdict(run, "tcp-bind-owns-port",
		    !allowed  ? HOLDS
		    : refused ? DEPENDS
			      : REFUTED,
		    (struct field[]){{"refused_cells", refused},
				     {"allowed_cells", allowed},
				     {"two_listeners_errno", both},
				     {"without_options_errno", plain},
				     {0}},
		    "a second listener: %s without options, %s if only the second program sets "
		    "SO_REUSEPORT, %s if both do. A port in TIME_WAIT: %s if the new program sets "
		    "SO_REUSEADDR, %s if the old one had, too",
		    text_errno((int)plain), text_errno((int)one), text_errno((int)both),
		    second_waits < 0 ? "not seen" : text_errno((int)second_waits),
		    both_wait < 0 ? "not seen" : text_errno((int)both_wait));
}

static void report(struct run *run)
{
	double got = sum(run, "first_connections") + sum(run, "second_connections");
	double wrong = sum(run, "wrong_pieces") + sum(run, "udp_wrong_pieces");

	print_table(run);
	run_control(run, wrong == 0, "%.0f pieces came to another connection", wrong);
	run_control(run, got == 0 || got == sum(run, "connections"),
		    "two listeners got %.0f of %.0f connections together", got,
		    sum(run, "connections"));
	judge_names(run);
	judge_bind(run);
	run_why(run,
		"a segment is looked up by all four numbers and the protocol first, then by the "
		"local two among the listeners. So bind must only keep two listeners apart, unless "
		"both ask to share: then a hash of the four numbers chooses one.");
	if (sum(run, "unreached_cells") > 0)
		run_note(run, "TIME_WAIT was not reached in %.0f cases, which are left out",
			 sum(run, "unreached_cells"));
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	start_other();
	files_allow(clients * 2 + 64); /* what the hard limit forbids fails where it is missing */
	while (run_next(run))
		measure(run);
	end_other();
	return run_end(run, report);
}
