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
#include "judge.h"
#include "net.h"
#include "span.h"
#include "text.h"

static const struct claim claims[] = {
	{"tcp-bind-owns-port", "a bound port cannot be bound by another program", "no-option",
	 HOLDS,
	 .why = {[DEPENDS] =
			 "a segment belongs to the connection that has all four numbers, and only if there is none, to a listener. So bind must only keep two listeners apart, unless both ask to share: then a hash of the four numbers chooses one."}},
	{0}};

static const struct row_field fields[] = {
	{"held", "the state of the first program's port, and what the second one binds",
	 .text = true},
	{"options", "that both set", .text = true},
	{"bind", "what bind gave", .text = true},
	{"bind_errno", "its error number"},
	{"listen", "what listen gave; ok also where bind failed", .text = true},
	{"listen_errno", "its error number"},
	{"cell", "number of the attempt"},
	{"connections", "to two SO_REUSEPORT listeners"},
	{"first_connections", "of these, to the first one"},
	{"second_connections", "to the second one"},
	{"lost_connections", "to neither", .zero = true, .sham = "lose"},
	{"unreached_cells", "TIME_WAIT that did not come"},
	{0}};

static const struct bound bounds[] = {
	{"enough_attempts", 2, "the kernel's rule does not change from attempt to attempt"}, {0}};

static int64_t clients = 300;

static const struct opt opts[] = {{'n', "clients", "connections that two listeners share",
				   .num = &clients, .min = 2, .quick = 200, .max = 4000},
				  {0}};

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
	while (*mine + atomic_load(&second->accepted) < n) {
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

/* --- judge --------------------------------------------------------------- */

/* The attempts in which bind failed. */
static struct share failed(struct run *run, enum state state, size_t combination)
{
	return share_nonzero(
		run_values_where(run, 0, "bind_errno",
				 (struct field[]){{"cell", cell_number(state, combination)}, {0}}));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");
	struct share plain = share_add(failed(run, BOUND, NONE), failed(run, LISTENING, NONE));
	struct share both = failed(run, LISTENING, REUSEPORT_BOTH);
	double unreached = run_sum(run, 0, "unreached_cells");

	run_judge(
		run, "tcp-bind-owns-port",
		by_case(always_happens(plain, enough), always_happens(both, enough)),
		"a second bind failed in {plain} attempts without options, in {one} if only the second program sets SO_REUSEPORT, in {both} if both do; to a port in TIME_WAIT in {new} if only the new program sets SO_REUSEADDR, in {old} if the old one had set it, too",
		number_share("plain", plain),
		number_share("one", failed(run, LISTENING, REUSEPORT_SECOND)),
		number_share("both", both),
		number_share("new", failed(run, TIME_WAIT, REUSEADDR_SECOND)),
		number_share("old", failed(run, TIME_WAIT, REUSEADDR_BOTH)));
	if (unreached > 0)
		run_note(run, "TIME_WAIT was not reached in {unreached} cases, which are left out",
			 number_real("unreached", unreached));
}

static void draw(struct run *run)
{
	run_say(run,
		"The first program has a TCP port at 127.0.0.1, in some state. The second one binds it and listens. What bind gave, by that state and by the options that both set:");
	run_grid(run, -1, "bind", "held", "options");
	fprintf(run_out(run),
		"\n  two listeners with SO_REUSEPORT got, of %s connections a trial:\n  first  ",
		text_count(clients));
	text_values(run_out(run), 9, 9, run_values(run, 0, "first_connections"));
	fputs("  second ", run_out(run));
	text_values(run_out(run), 9, 9, run_values(run, 0, "second_connections"));
	fputs("\n", run_out(run));
}

static void measure(struct run *run)
{
	int64_t unreached = 0, mine;

	for (enum state s = 0; s < STATES; s++)
		for (size_t c = 0; c < COMBINATIONS; c++) {
			if (measure_bind(s, run_sham(run, "no-option") && c == REUSEPORT_BOTH ? NONE
											      : c))
				record_bind(run, s, c);
			else
				unreached++;
		}
	mine = measure_spread();
	mine -= run_sham(run, "lose");
	run_record(run, (struct field[]){{"connections", clients},
					 {"lost_connections",
					  clients - mine - atomic_load(&second->accepted)},
					 {"first_connections", mine},
					 {"second_connections", atomic_load(&second->accepted)},
					 {"unreached_cells", unreached},
					 {0}});
}

static const struct experiment about = {
	.name = "bind",
	.group = "tcp",
	.order = 406,
	.summary = "May a second program bind a port that another one has?",
	.claims = claims,
	.fields = fields,
	.bounds = bounds,
	.opts = opts,
	.trials = 5,
	.quick_trials = 2,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	second = child_share(sizeof(*second));
	while (run_next(run))
		measure(run);
	return run_end(run);
}
