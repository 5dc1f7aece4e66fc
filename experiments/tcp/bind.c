/* SPDX-License-Identifier: MIT */
/*
 * bind - may a second program bind a port that another one has?
 *
 * One program has a port, in one of several states; a second one, a process of its own, binds it
 * and listens.  Each state is tried with each combination of SO_REUSEADDR and SO_REUSEPORT.
 *
 * By SO_REUSEPORT both may listen.  Then clients connect, and each program counts how many of them
 * it was given.
 *
 * Then what else a bound port does not decide: whether its socket can be bound again, which process
 * answers there (two that listen by SO_REUSEPORT, and two that have one listener by fork, tell each
 * client who they are), and whether IPv6's [::] and IPv4's 0.0.0.0 are one port or two.
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

#include "address.h"
#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum { PORT, TWICE, FRESH, REUSEPORT, FORKED, ALONE, DUAL, V6ONLY };

static const struct variant variants[] = {
	[PORT] = {"port", "two programs bind a port, in each state and with each option"},
	[TWICE] = {"twice", "a socket that is bound is bound again"},
	[FRESH] = {"fresh", "a fresh socket is bound instead (control)"},
	[REUSEPORT] = {"reuseport", "two processes listen at one port, by SO_REUSEPORT"},
	[FORKED] = {"forked", "two processes accept on one listener, by fork"},
	[ALONE] = {"alone", "one process listens and accepts (control)"},
	[DUAL] = {"dual", "one program binds [::], one 0.0.0.0, to one port"},
	[V6ONLY] = {"v6only", "the same, with IPV6_V6ONLY (control)"},
	{0}};

static const struct claim claims[] = {
	{"tcp-bind-owns-port", "a bound port cannot be bound by another program", "no-option",
	 HOLDS,
	 .why = {[DEPENDS] =
			 "a segment belongs to the connection that has all four numbers, and only if there is none, to a listener. So bind must only keep two listeners apart, unless both ask to share: then a hash of the four numbers chooses one."}},
	{"tcp-bind-twice", "a socket that is bound cannot be bound again", "twice=fresh", REFUTED,
	 .why = {[HOLDS] =
			 "a socket has one local name, which its connections and its place among the listeners depend on. Linux lets bind give it only while there is none; who wants another port makes another socket."}},
	{"tcp-port-is-process", "a port number names one process", "reuseport=alone,forked=alone",
	 HOLDS,
	 .why = {[REFUTED] =
			 "a port names sockets, not processes. By SO_REUSEPORT several sockets listen at it; and one socket belongs to all processes that have a descriptor of it, as a child has after fork: whichever calls accept is given the connection."}},
	{"net-dual-stack", "binding :: leaves 0.0.0.0 free for another", "dual=v6only", HOLDS,
	 .why = {[DEPENDS] =
			 "without IPV6_V6ONLY a socket at [::] takes IPv4's connections, too, as ::ffff:a.b.c.d: it has the port in both families, and 0.0.0.0 is a part of what it has. With IPV6_V6ONLY it has the port in IPv6 alone. The sysctl net.ipv6.bindv6only is the default."}},
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
	{"again", "what the bound socket was, and where it was bound again", .text = true},
	{"again_bind", "what the second bind gave", .text = true},
	{"again_bind_errno", "its error number"},
	{"again_refused", "1: that is EINVAL"},
	{"kept_port", "1: the first socket still has the port it had"},
	{"fresh_bind_errno", "of a fresh socket bound to a free port", .zero = true,
	 .sham = "fresh=twice"},
	{"asked_connections", "to one port, one after the other"},
	{"first_answers", "of these, that the first of two processes answered"},
	{"second_answers", "that the second one answered"},
	{"one_process", "1: one of both answered all"},
	{"unanswered_connections", "that neither answered", .zero = true, .sham = "lose"},
	{"order", "which of [::] and 0.0.0.0 the first program binds", .text = true},
	{"second_bind", "what bind and listen of the other one gave", .text = true},
	{"second_bind_errno", "the error number"},
	{"v4_client", "what an IPv4 client's connect gave while only [::] listens", .text = true},
	{"v4_client_errno", "its error number"},
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

static void measure_ports(struct run *run)
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

/* --- bound again ----------------------------------------------------------- */

enum again { TO_FREE, TO_OWN, LISTENER, CLIENT, AGAINS };

static const char *const agains[AGAINS] = {
	[TO_FREE] = MESSAGE("bound, to a free port"),
	[TO_OWN] = MESSAGE("bound, to its own port"),
	[LISTENER] = MESSAGE("listening, to a free port"),
	[CLIENT] = MESSAGE("connected, to a free port"), /* connect bound it */
};

static void measure_again(struct run *run, enum again again)
{
	struct sockaddr_in elsewhere = name_of(INADDR_LOOPBACK, 0);
	struct sockaddr_in had, server;
	int listener = net_listen(1, &server);
	int fd = again == CLIENT ? net_connect(&server) : net_bound(SOCK_STREAM, &had);
	int fresh = net_socket(SOCK_STREAM);
	int error;

	had = net_name(fd);
	if (again == LISTENER)
		check_fd(listen(fd, 1), "listen");
	if (again == TO_OWN)
		elsewhere = had;
	error = bind(run_variant(run) == FRESH ? fresh : fd, (struct sockaddr *)&elsewhere,
		     sizeof(elsewhere)) < 0
			? errno
			: 0;
	run_record(run,
		   (struct field[]){
			   {"again", .text = agains[again]},
			   {"again_bind", .text = text_errno(error)},
			   {"again_bind_errno", error},
			   {"again_refused", error == EINVAL},
			   {"kept_port", net_name(fd).sin_port == had.sin_port},
			   {run_label(run) == FRESH && again != TO_OWN ? "fresh_bind_errno" : NULL,
			    error},
			   {0}});
	close(fresh);
	net_reset(fd);
	close(listener);
}

/* --- who answers ----------------------------------------------------------- */

enum { ASKED = 20 }; /* by chance one of two listeners gets all of them in one of 500,000 trials */

static atomic_int *answering; /* how many processes are about to accept: in memory that all share */

/* Tells each client its process number, until it is killed. */
static _Noreturn void answer(int listener)
{
	pid_t self = getpid();

	atomic_fetch_add(answering, 1);
	for (;;) {
		int fd = net_accept(listener);

		send(fd, &self, sizeof(self), MSG_NOSIGNAL);
		close(fd);
	}
}

/* Starts a process that answers on this listener; -1: on one of its own, that shares the port. */
static pid_t start_process(const struct sockaddr_in *name, int listener)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	pid_t child = child_fork();

	if (child > 0)
		return child;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		signal(ends[i], SIG_IGN); /* sent to all of them, they must answer who asks now */
	if (listener < 0) {
		listener = socket_with(SOCK_STREAM, SO_REUSEPORT);
		check_fd(bind(listener, (const struct sockaddr *)name, sizeof(*name)), "bind");
		check_fd(listen(listener, 128), "listen");
	}
	answer(listener);
}

/* The number of the process that answers a connection; 0: none does. */
static pid_t ask(const struct sockaddr_in *name)
{
	int fd = net_connect(name);
	pid_t who = 0;

	if (recv(fd, &who, sizeof(who), MSG_WAITALL) != (ssize_t)sizeof(who))
		who = 0;
	net_reset(fd);
	return who;
}

static void measure_processes(struct run *run)
{
	size_t variant = run_variant(run);
	struct sockaddr_in name = name_of(INADDR_LOOPBACK, 0);
	int holder = socket_with(SOCK_STREAM, SO_REUSEPORT); /* listens for those that inherit it */
	int processes = variant == ALONE ? 1 : 2;
	pid_t pids[2] = {0};
	int64_t answers[2] = {0};

	check_fd(bind(holder, (struct sockaddr *)&name, sizeof(name)), "bind");
	if (variant == FORKED)
		check_fd(listen(holder, 128), "listen");
	name = net_name(holder);
	atomic_store(answering, 0);
	for (int i = 0; i < processes; i++)
		pids[i] = start_process(&name, variant == FORKED ? holder : -1);
	while (atomic_load(answering) < processes && run_sleep_until(span_now() + 100000))
		;
	for (int i = 0; i < ASKED && !run_stopped(); i++) {
		pid_t who = ask(&name);

		for (int k = 0; k < processes; k++)
			answers[k] += who == pids[k];
	}
	for (int i = 0; i < processes; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(holder);
	answers[0] -= run_sham(run, "lose");
	run_record(run,
		   (struct field[]){{"asked_connections", ASKED},
				    {"first_answers", answers[0]},
				    {"second_answers", answers[1]},
				    {"one_process", !answers[0] || !answers[1]},
				    {"unanswered_connections", ASKED - answers[0] - answers[1]},
				    {0}});
}

/* --- both families --------------------------------------------------------- */

static const struct {
	const char *name;
	int first, second; /* the families that they bind every address of */
} orders[] = {{MESSAGE("[::] first"), AF_INET6, AF_INET},
	      {MESSAGE("0.0.0.0 first"), AF_INET, AF_INET6}};

enum { ORDERS = sizeof(orders) / sizeof(orders[0]) };

struct any {
	int family;
	in_port_t port;
	bool v6only;
};

/* Binds every address of the family, and listens; 0 or the error number. *fd: -1 for no socket. */
static int listen_any(const struct any *any, int *fd)
{
	struct address name = {.size = sizeof(name.v4)};

	if (any->family == AF_INET6) {
		name.size = sizeof(name.v6);
		name.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = any->port};
	} else {
		name.v4 = name_of(INADDR_ANY, any->port);
	}
	*fd = socket(any->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return errno;
	if (any->family == AF_INET6) /* whatever net.ipv6.bindv6only says */
		net_set(*fd, IPPROTO_IPV6, IPV6_V6ONLY, any->v6only);
	return bind(*fd, &name.any, name.size) < 0 || listen(*fd, 1) < 0 ? errno : 0;
}

/* The same in the second program. */
static void try_any(void *argument)
{
	int fd;

	second->bind_errno = listen_any(argument, &fd);
}

/* A port that is free in both families, so that what is in use later is so by the first program. */
static in_port_t free_port(void)
{
	for (int tries = 0; tries < 100; tries++) {
		struct any v4 = {.family = AF_INET};
		struct any v6 = {.family = AF_INET6, .v6only = true};
		struct address name;
		int v4_fd, v6_fd;
		bool is_free;

		check(listen_any(&v4, &v4_fd), "a free port");
		name = address_of(v4_fd);
		v6.port = address_port(&name);
		is_free = listen_any(&v6, &v6_fd) == 0;
		close(v4_fd);
		close(v6_fd);
		if (is_free)
			return v6.port;
	}
	errx(EXIT_USAGE, "no port is free in IPv4 and IPv6");
}

/* What an IPv4 client's connect gives. */
static int connect_v4(in_port_t port)
{
	struct sockaddr_in name = name_of(INADDR_LOOPBACK, port);
	int fd = net_socket(SOCK_STREAM);
	int error = connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 ? errno : 0;

	net_reset(fd);
	return error;
}

static void measure_families(struct run *run, int order)
{
	struct any any = {.family = orders[order].first,
			  .port = free_port(),
			  .v6only = run_variant(run) == V6ONLY};
	bool is_v6 = any.family == AF_INET6;
	int fd, client_error;

	check(listen_any(&any, &fd), "the first program's bind");
	client_error = is_v6 ? connect_v4(any.port) : 0;
	any.family = orders[order].second;
	*second = (struct second){0};
	if (child_run(try_any, &any) != 0)
		errx(EXIT_USAGE, "the second program failed");
	close(fd);
	run_record(run,
		   (struct field[]){{"order", .text = orders[order].name},
				    {"second_bind", .text = text_errno(second->bind_errno)},
				    {"second_bind_errno", second->bind_errno},
				    {is_v6 ? "v4_client" : NULL, .text = text_errno(client_error)},
				    {"v4_client_errno", client_error},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

/* The attempts in which bind failed. */
static struct share failed(struct run *run, enum state state, size_t combination)
{
	return share_nonzero(
		run_values_where(run, PORT, "bind_errno",
				 (struct field[]){{"cell", cell_number(state, combination)}, {0}}));
}

static void judge_ports(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");
	struct share plain = share_add(failed(run, BOUND, NONE), failed(run, LISTENING, NONE));
	struct share both = failed(run, LISTENING, REUSEPORT_BOTH);
	double unreached = run_sum(run, PORT, "unreached_cells");

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

static void judge_again(struct run *run)
{
	struct share refused = run_nonzero(run, TWICE, "again_refused");

	run_judge(
		run, "tcp-bind-twice", always_happens(refused, AGAINS),
		"a second bind gave EINVAL in {refused} attempts, to a free port and to its own one, also of a socket that listens or is connected, and the socket kept its port in {kept}; a fresh socket got a free port in {fresh}",
		number_share("refused", refused),
		number_share("kept", run_nonzero(run, TWICE, "kept_port")),
		number_share("fresh", share_rest(run_nonzero(run, FRESH, "fresh_bind_errno"))));
}

static void judge_processes(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");
	struct share reuseport = run_nonzero(run, REUSEPORT, "one_process");
	struct share forked = run_nonzero(run, FORKED, "one_process");

	run_judge(
		run, "tcp-port-is-process",
		all_of(always_happens(reuseport, enough), always_happens(forked, enough)),
		"one process answered all connections to a port in {reuseport} trials with two that listen there by SO_REUSEPORT, where the second one answered {second} connections, and in {forked} with two that have one listener by fork, where the second one answered {child}",
		number_share("reuseport", reuseport),
		number_share("second",
			     run_part(run, REUSEPORT, "second_answers", "asked_connections")),
		number_share("forked", forked),
		number_share("child",
			     run_part(run, FORKED, "second_answers", "asked_connections")));
}

static void judge_families(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_attempts");
	struct share dual = share_rest(run_nonzero(run, DUAL, "second_bind_errno"));
	struct share v6only = share_rest(run_nonzero(run, V6ONLY, "second_bind_errno"));

	run_judge(
		run, "net-dual-stack",
		by_case(always_happens(v6only, enough), always_happens(dual, enough)),
		"of [::] and 0.0.0.0 at one port, in either order, a second program could bind the other one in {dual} attempts, with IPV6_V6ONLY in {v6only}; the socket at [::] took an IPv4 client in {client}, with IPV6_V6ONLY in {client6}",
		number_share("dual", dual), number_share("v6only", v6only),
		number_share("client", share_rest(run_nonzero(run, DUAL, "v4_client_errno"))),
		number_share("client6", share_rest(run_nonzero(run, V6ONLY, "v4_client_errno"))));
}

static void judge(struct run *run)
{
	judge_ports(run);
	judge_again(run);
	judge_processes(run);
	judge_families(run);
}

static void draw_values(struct run *run, const char *label, int width, struct values values)
{
	text_pad(run_out(run), text_format("  %s", label), width);
	text_values(run_out(run), width, width, values);
}

static void draw_ports(struct run *run)
{
	run_say(run,
		"The first program has a TCP port at 127.0.0.1, in some state. The second one binds it and listens. What bind gave, by that state and by the options that both set:");
	run_grid(run, -1, "bind", "held", "options");
	fputs("\n", run_out(run));
	run_say(run, "two listeners with SO_REUSEPORT got, of %s connections a trial:",
		text_count(clients));
	draw_values(run, translated("first"), 9, run_values(run, PORT, "first_connections"));
	draw_values(run, translated("second"), 9, run_values(run, PORT, "second_connections"));
	fputs("\n", run_out(run));
}

static void draw_processes(struct run *run)
{
	run_say(run, "of %d connections a trial to one port, the second of two processes answered:",
		ASKED);
	for (size_t v = REUSEPORT; v <= ALONE; v++)
		if (run_selected(run, v))
			draw_values(run, variants[v].name, 12,
				    run_values(run, v, "second_answers"));
	fputs("\n", run_out(run));
}

static void draw(struct run *run)
{
	if (run_selected(run, PORT))
		draw_ports(run);
	if (run_selected(run, TWICE) || run_selected(run, FRESH)) {
		run_say(run,
			"A socket that has a port is bound again (fresh: another socket instead):");
		run_grid(run, -1, "again_bind", "again", NULL);
		fputs("\n", run_out(run));
	}
	if (run_selected(run, REUSEPORT) || run_selected(run, FORKED) || run_selected(run, ALONE))
		draw_processes(run);
	if (run_selected(run, DUAL) || run_selected(run, V6ONLY)) {
		run_say(run,
			"One program listens at [::] or 0.0.0.0. Another one binds the other of both, at the same port, and listens:");
		run_grid(run, -1, "second_bind", "order", NULL);
		fputs("\n", run_out(run));
	}
}

static void measure(struct run *run)
{
	switch (run_variant(run)) {
	case PORT:
		measure_ports(run);
		break;
	case TWICE:
	case FRESH:
		for (enum again a = 0; a < AGAINS; a++)
			measure_again(run, a);
		break;
	case DUAL:
	case V6ONLY:
		for (int order = 0; order < ORDERS; order++)
			measure_families(run, order);
		break;
	default:
		measure_processes(run);
	}
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
	.variants = variants,
	.trials = 5,
	.quick_trials = 2,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	const char *missing = address_no_v6();

	second = child_share(sizeof(*second));
	answering = child_share(sizeof(*answering));
	for (size_t v = DUAL; v <= V6ONLY && missing; v++)
		run_leave_out(run, v, "%s", missing);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
