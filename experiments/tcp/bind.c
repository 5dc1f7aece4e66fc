/* SPDX-License-Identifier: MIT */
/*
 * bind - may a second program bind a port that another one has?
 *
 * One program has a port, in one of several states; a second one, a process of its own, binds it
 * and listens.  Each state is tried with each combination of SO_REUSEADDR and SO_REUSEPORT.
 *
 * By SO_REUSEPORT both may listen.  Then clients connect, and each program counts how many of them
 * it was given.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "old.h"
#include "net.h"
#include "span.h"
#include "text.h"

static const struct claim claims[] = {
	{"tcp-bind-owns-port", "a bound port cannot be bound by another program"}, {0}};

static int64_t clients = 300;

static const struct opt opts[] = {{'n', "clients", "connections that two listeners share",
				   .num = &clients, .min = 2, .quick = 200, .max = 4000},
				  {0}};

static const struct experiment about = {
	.name = "bind",
	.group = "tcp",
	.summary = "May a second program bind a port that another one has?",
	.claims = claims,
	.opts = opts,
	.trials = 5,
	.quick_trials = 2,
};

enum state { BOUND, LISTENING, CONNECTED, TIME_WAIT, OTHER_ADDRESS, WILDCARD, UDP, STATES };

/* The state of the first program's port, and what the second one binds. */
static const struct {
	const char *name, *shown;
	uint32_t address;
	int type;
} states[STATES] = {
	[BOUND] = {"bound", "bound", INADDR_LOOPBACK, SOCK_STREAM},
	[LISTENING] = {"listening", "listening", INADDR_LOOPBACK, SOCK_STREAM},
	[CONNECTED] = {"connected", "connected only", INADDR_LOOPBACK, SOCK_STREAM},
	[TIME_WAIT] = {"time-wait", "in TIME_WAIT", INADDR_LOOPBACK, SOCK_STREAM},
	/* listening */
	[OTHER_ADDRESS] = {"other-address", "2nd: 127.0.0.2", INADDR_LOOPBACK + 1, SOCK_STREAM},
	[WILDCARD] = {"wildcard", "2nd: 0.0.0.0", INADDR_ANY, SOCK_STREAM},
	[UDP] = {"udp", "2nd: UDP", INADDR_LOOPBACK, SOCK_DGRAM},
};

enum {
	NONE,
	REUSEADDR_SECOND,
	REUSEADDR_BOTH,
	REUSEPORT_SECOND,
	REUSEPORT_BOTH,
	REUSEPORT_REUSEADDR,
	COMBINATIONS
};

static const struct {
	const char *name;
	int first, second; /* the option that each program sets; 0 = none */
} combinations[COMBINATIONS] = {
	[NONE] = {"none", 0, 0},
	[REUSEADDR_SECOND] = {"reuseaddr-second", 0, SO_REUSEADDR},
	[REUSEADDR_BOTH] = {"reuseaddr-both", SO_REUSEADDR, SO_REUSEADDR},
	[REUSEPORT_SECOND] = {"reuseport-second", 0, SO_REUSEPORT},
	[REUSEPORT_BOTH] = {"reuseport-both", SO_REUSEPORT, SO_REUSEPORT},
	[REUSEPORT_REUSEADDR] = {"reuseport-reuseaddr", SO_REUSEPORT, SO_REUSEADDR},
};

static struct sockaddr_in name_of(uint32_t address, in_port_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = port, .sin_addr = {htonl(address)}};
}

static int socket_with(int type, int option)
{
	int fd = net_socket(type);

	if (option)
		net_set(fd, SOL_SOCKET, option, 1);
	return fd;
}

/* --- the second program ---------------------------------------------------- */

/* What it does, and what became of it: in memory that both share. */
static struct second {
	int type, option; /* of its socket; option 0 = none */
	struct sockaddr_in name;
	int bind_errno, listen_errno; /* 0 = it did */
	atomic_bool listens;
	atomic_int accepted;
} * second;

static int bind_second(void)
{
	const struct sockaddr *name = (const struct sockaddr *)&second->name;
	int fd = socket_with(second->type, second->option);

	if (bind(fd, name, sizeof(second->name)) < 0)
		second->bind_errno = errno;
	else if (second->type == SOCK_STREAM && listen(fd, 128) < 0)
		second->listen_errno = errno;
	return fd;
}

static void try_second(void *unused)
{
	(void)unused;
	bind_second();
}

/* Takes what it is given, until it is killed. */
static _Noreturn void serve_second(void)
{
	int listener = bind_second();

	atomic_store(&second->listens, true);
	for (;;) {
		close(net_accept(listener));
		atomic_fetch_add(&second->accepted, 1);
	}
}

/* --- bind ------------------------------------------------------------------ */

/* The first program's sockets: -1 = none. */
struct first {
	int listener, server, client;
	struct sockaddr_in name;
};

/* Closes the connection here first, so that the port stays in TIME_WAIT; false if it does not. */
static bool reach_time_wait(struct first *f)
{
	close(f->server);
	close(f->client);
	f->server = f->client = -1;
	for (int tries = 0; tries < 100; tries++) {
		if (net_port_listed("/proc/net/tcp", ntohs(f->name.sin_port), TCP_TIME_WAIT))
			return true;
		if (!run_sleep_until(span_now() + 1000000))
			break;
	}
	return false;
}

/* Brings a port into this state; false if this machine does not get there. */
static bool take_port(struct first *f, enum state state, int option)
{
	struct sockaddr_in any = name_of(INADDR_LOOPBACK, 0);

	*f = (struct first){socket_with(SOCK_STREAM, option), -1, -1, any};
	check_fd(bind(f->listener, (struct sockaddr *)&any, sizeof(any)), "bind");
	f->name = net_name(f->listener);
	if (state == BOUND)
		return true;
	check_fd(listen(f->listener, 1), "listen");
	if (state != CONNECTED && state != TIME_WAIT)
		return true;
	f->client = net_connect(&f->name);
	f->server = net_accept(f->listener);
	close(f->listener);
	f->listener = -1;
	return state == CONNECTED || reach_time_wait(f);
}

static void leave_port(const struct first *f)
{
	if (f->client >= 0)
		net_reset(f->client);
	if (f->server >= 0)
		net_reset(f->server);
	if (f->listener >= 0)
		close(f->listener);
}

/* False if the state was not reached. */
static bool measure_bind(enum state state, size_t combination)
{
	struct first first;
	bool reached = take_port(&first, state, combinations[combination].first);

	*second = (struct second){.type = states[state].type,
				  .option = combinations[combination].second,
				  .name = name_of(states[state].address, first.name.sin_port)};
	if (child_run(try_second, NULL) != 0)
		errx(EXIT_USAGE, "the second program failed");
	leave_port(&first);
	return reached;
}

static int64_t cell_number(enum state state, size_t combination)
{
	return (int64_t)((size_t)state * COMBINATIONS + combination);
}

static void record_bind(struct run *run, enum state state, size_t combination)
{
	run_record(run, (struct field[]){{"held", .text = states[state].name},
					 {"options", .text = combinations[combination].name},
					 {"cell", cell_number(state, combination)},
					 {"bind", .text = text_errno(second->bind_errno)},
					 {"bind_errno", second->bind_errno},
					 {"listen", .text = text_errno(second->listen_errno)},
					 {"listen_errno", second->listen_errno},
					 {0}});
}

/* --- spread ---------------------------------------------------------------- */

/* Waits until one of both was given connection n (from 1). */
static void await_accept(int listener, int64_t *mine, int64_t n)
{
	int64_t deadline_ns = span_now() + 1000000000;

	while (*mine + atomic_load(&second->accepted) < n && span_now() < deadline_ns) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			close(fd);
			++*mine;
		} else if (!run_sleep_until(span_now() + 20000)) {
			return;
		}
	}
}

/* How many of the connections the first program gets; those of the second are in *second. */
static int64_t measure_spread(void)
{
	int listener = socket_with(SOCK_STREAM | SOCK_NONBLOCK, SO_REUSEPORT);
	struct sockaddr_in name = name_of(INADDR_LOOPBACK, 0);
	int64_t deadline_ns = span_now() + 10000000000;
	int64_t mine = 0;
	pid_t child;

	check_fd(bind(listener, (struct sockaddr *)&name, sizeof(name)), "bind");
	check_fd(listen(listener, 128), "listen");
	name = net_name(listener);
	*second = (struct second){.type = SOCK_STREAM, .option = SO_REUSEPORT, .name = name};
	child = child_fork();
	if (child == 0)
		serve_second();
	while (!atomic_load(&second->listens) && run_sleep_until(span_now() + 100000))
		if (span_now() > deadline_ns)
			errx(EXIT_USAGE, "the second program does not listen");
	for (int64_t i = 0; i < clients && !run_stopped(); i++) {
		int client = net_connect(&name);

		await_accept(listener, &mine, i + 1);
		net_reset(client); /* no TIME_WAIT keeps its port */
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(listener);
	return mine;
}

/* --- report ---------------------------------------------------------------- */

enum { MIXED = -1, NOT_REACHED = -2 };

/* The errno that all trials of a cell gave. */
static int64_t cell(struct run *run, const char *field, enum state state, size_t combination)
{
	const struct field where[] = {{"cell", cell_number(state, combination)}, {0}};
	struct values errors = run_values_where(run, 0, field, where);

	if (errors.n == 0)
		return NOT_REACHED;
	return stats_quantile(errors, 0) == stats_quantile(errors, 1) ? errors.at[0] : MIXED;
}

static int64_t bind_cell(struct run *run, enum state state, size_t combination)
{
	return cell(run, "bind_errno", state, combination);
}

static const char *shown_cell(struct run *run, enum state state, size_t combination)
{
	int64_t bind_errno = bind_cell(run, state, combination);
	int64_t listen_errno = cell(run, "listen_errno", state, combination);

	if (bind_errno == NOT_REACHED)
		return "-";
	if (bind_errno == MIXED || listen_errno == MIXED)
		return "mixed";
	if (bind_errno == EADDRINUSE)
		return "in use";
	if (bind_errno)
		return text_errno((int)bind_errno);
	return listen_errno ? "ok, bind" : "ok";
}

static void print_table(struct run *run)
{
	FILE *out = run_out(run);

	run_say(run, "The first program has a TCP port at 127.0.0.1, in some state (below: "
		     "listening). The second one binds it and listens. Both set an option, or "
		     "none:");
	fprintf(out, "\n  %-15s %9s %9s %9s %9s %9s %9s\n", "first:", "-", "-", "REUSEADDR", "-",
		"REUSEPORT", "REUSEPORT");
	fprintf(out, "  %-15s %9s %9s %9s %9s %9s %9s\n", "second:", "-", "REUSEADDR", "REUSEADDR",
		"REUSEPORT", "REUSEPORT", "REUSEADDR");
	for (enum state s = 0; s < STATES; s++) {
		fprintf(out, "  %-15s", states[s].shown);
		for (size_t c = 0; c < COMBINATIONS; c++)
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

static const char *told(int64_t error)
{
	return error < 0 ? "not seen" : text_errno((int)error);
}

static void judge(struct run *run)
{
	int refused = 0, allowed = 0;
	int64_t plain = bind_cell(run, LISTENING, NONE);
	int64_t both = bind_cell(run, LISTENING, REUSEPORT_BOTH);

	for (enum state s = BOUND; s <= LISTENING; s++)
		for (size_t c = 0; c < COMBINATIONS; c++) {
			refused += bind_cell(run, s, c) > 0;
			allowed += bind_cell(run, s, c) == 0;
		}
	old_verdict(run, "tcp-bind-owns-port",
		    !allowed  ? HOLDS
		    : refused ? DEPENDS
			      : REFUTED,
		    (struct field[]){{"refused_cells", refused},
				     {"allowed_cells", allowed},
				     {"two_listeners_errno", both},
				     {"without_options_errno", plain},
				     {0}},
		    "a second listener: %s without options, %s if only the second program sets "
		    "SO_REUSEPORT, %s if both do. A port in TIME_WAIT: %s if only the new program "
		    "sets SO_REUSEADDR, %s if the old one had set it, too",
		    told(plain), told(bind_cell(run, LISTENING, REUSEPORT_SECOND)), told(both),
		    told(bind_cell(run, TIME_WAIT, REUSEADDR_SECOND)),
		    told(bind_cell(run, TIME_WAIT, REUSEADDR_BOTH)));
}

static void report(struct run *run)
{
	double all = run_sum(run, 0, "connections");
	double got = run_sum(run, 0, "first_connections") + run_sum(run, 0, "second_connections");
	double unreached = run_sum(run, 0, "unreached_cells");

	print_table(run);
	old_control(run, got == all, "two listeners got %.0f of %.0f connections together", got,
		    all);
	judge(run);
	old_why(run, "a segment belongs to the connection that has all four numbers, and only if "
		     "there is none, to a listener. So bind must only keep two listeners apart, "
		     "unless both ask to share: then a hash of the four numbers chooses one.");
	if (unreached > 0)
		old_note(run, "TIME_WAIT was not reached in %.0f cases, which are left out",
			 unreached);
}

static void measure(struct run *run)
{
	int64_t unreached = 0, mine;

	for (enum state s = 0; s < STATES; s++)
		for (size_t c = 0; c < COMBINATIONS; c++) {
			if (measure_bind(s, c))
				record_bind(run, s, c);
			else
				unreached++;
		}
	mine = measure_spread();
	run_record(run, (struct field[]){{"connections", clients},
					 {"first_connections", mine},
					 {"second_connections", atomic_load(&second->accepted)},
					 {"unreached_cells", unreached},
					 {0}});
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	second = child_share(sizeof(*second));
	while (run_next(run))
		measure(run);
	return old_end(run, report);
}
