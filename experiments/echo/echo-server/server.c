/* SPDX-License-Identifier: MIT */
/*
 * echo-server - sends back what it receives, in every way a server can wait.
 *
 * The models are in models/, one file each; what is answered is in conn.c.  Prints the address it
 * listens on, then serves until SIGINT or SIGTERM: what was received until then is still answered,
 * and the process ends with status 0.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "check.h"
#include "conn_log.h"
#include "conn_table.h"
#include "exp.h"
#include "files.h"
#include "listener.h"
#include "model.h"
#include "opt.h"

enum { DATAGRAM = 65536, BACKLOG = 4096, PROCESSES = 200 };

static const char *model_name = "epoll";
static const char *bind_to = "127.0.0.1";
static int64_t port = 65432;
static int64_t workers;
static int64_t processes = 1;
static int listeners[PROCESSES];
static const struct model *chosen;
static int64_t bound;
static int64_t backlog = BACKLOG;
static bool list, udp;
static struct conn_rules rules;

static const struct opt opts[] = {
	{'m', "model", "how it waits; see --list", .text = &model_name, .metavar = "NAME"},
	{'l', "list", "print the models and end", .flag = &list},
	{'b', "bind",
	 "address to listen on, of IPv4 or IPv6; '' every one of IPv4, :: of both; default 127.0.0.1, this machine only",
	 .text = &bind_to, .metavar = "ADDRESS"},
	{'p', "port", "port to listen on", .num = &port, .max = 65535, .zero = "a free one"},
	{'w', "workers", "threads, processes or loops, in models that have them", .num = &workers,
	 .max = 4096, .zero = "the model's own number"},
	{0, "processes", "that each serve so, on the same port, with descriptors of their own",
	 .num = &processes, .min = 1, .max = PROCESSES},
	{0, "bound", "connections with a thread of their own, of coroutine-nm", .num = &bound,
	 .max = 4096},
	{0, "backlog", "connections that may be pending", .num = &backlog, .max = 65535},
	{'1', "once", "serve one connection, then end", .flag = &rules.once},
	{'g', "greet", "send this and close, instead of an echo", .text = &rules.greeting,
	 .lines = true, .metavar = "TEXT"},
	{'r', "reverse", "answer each line reversed, character by character (UTF-8)",
	 .flag = &rules.reverse},
	{0, "pieces", "with --reverse: what one recv brings, for clients that send no newline",
	 .flag = &rules.pieces},
	{'u', "udp", "answer datagrams instead", .flag = &udp},
	{0, "max-connections", "at a time, of each process; more are closed at once",
	 .num = &rules.max_connections, .max = 1 << 22, .zero = "no limit"},
	{0, "idle-timeout", "close connections without progress for so long", .num = &rules.idle_ms,
	 .max = 86400000, .unit = OPT_MS, .zero = "never"},
	{0, "work-port",
	 "other work comes from this port of a client's: how many microseconds to compute, before the answer",
	 .num = &rules.work_port, .max = 65535, .zero = "none"},
	{'v', "verbose", "print who connects, what was received, and who has gone",
	 .flag = &rules.verbose},
	{0}};

static void print_models(void)
{
	for (const struct model *m = model_first(); m; m = m->next) {
		const char *missing = m->missing ? m->missing() : NULL;

		printf("%-17s %s\n", m->name, m->summary);
		if (missing)
			printf("%-17s   not on this machine: %s\n", "", missing);
	}
}

static const struct model *find_model(void)
{
	for (const struct model *m = model_first(); m; m = m->next)
		if (strcmp(m->name, model_name) == 0)
			return m;
	errx(EXIT_USAGE, "--model: there is no '%s'; see --list", model_name);
}

/* Without connections there is only one socket to wait for, so the model does not matter. */
static int serve_datagrams(int fd)
{
	static char bytes[DATAGRAM];

	while (!conn_stopping()) {
		struct address peer = address_empty();
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, &peer.any, &peer.size);

		if (conn_stopping())
			break;
		if (n < 0)
			continue; /* an ICMP message that answers an earlier answer */
		if (rules.verbose)
			conn_log_datagram(&peer, bytes, (size_t)n);
		sendto(fd, bytes, (size_t)n, MSG_DONTWAIT, &peer.any, peer.size);
	}
	return 0;
}

/* The listening sockets of all processes, before the first connection. */
static void listen_all(const struct server *server)
{
	listeners[0] = server->listener;
	for (int64_t i = 1; i < processes; i++)
		listeners[i] = model_listen_too(server);
}

/* The other processes' listening sockets would take descriptors of its connections. */
static int serve_process(const struct server *server, int number)
{
	struct server mine = *server;

	mine.listener = listeners[number];
	conn_keeps(mine.listener);
	return chosen->serve(&mine);
}

/* Options that --udp would ignore. */
static void refuse_of_connections(void)
{
	const struct {
		const char *name;
		bool given;
	} all[] = {{"processes", processes > 1},    {"once", rules.once},
		   {"greet", rules.greeting},       {"reverse", rules.reverse},
		   {"pieces", rules.pieces},        {"max-connections", rules.max_connections},
		   {"idle-timeout", rules.idle_ms}, {"work-port", rules.work_port}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].given)
			errx(EXIT_USAGE, "--%s: --udp echoes datagrams, in one process",
			     all[i].name);
}

/* SIGINT and SIGTERM are for the thread of conn_begin(); SIGCHLD may be ignored since execve(2). */
static void set_signals(void)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	check(pthread_sigmask(SIG_BLOCK, &signals, NULL), "pthread_sigmask");
}

/* Opens the sockets, and prints where the server is. */
static struct server listen_now(void)
{
	struct address address = address_find("--bind", bind_to, port);
	struct server server = {.backlog = (int)backlog,
				.most = rules.once ? 1 : rules.max_connections,
				.workers = workers,
				.bound = bound};
	char text[ADDRESS_TEXT];

	server.listener =
		listener_open(udp ? SOCK_DGRAM : SOCK_STREAM, &address, server.backlog, false);
	/* only now: the port of another server that shares its own must not be shared */
	if (!udp && (chosen->shares_port || processes > 1))
		listener_share(server.listener);
	conn_begin(&rules);
	conn_listens(server.listener);
	listen_all(&server);
	address = address_of(server.listener);
	printf("%s%s listens on %s\n", chosen->name, udp ? " (UDP)" : "",
	       address_text(&address, text));
	return server;
}

/* 0, or an error number. */
static int serve(const struct server *server)
{
	if (udp)
		return serve_datagrams(server->listener);
	if (processes > 1)
		return model_in_processes(server, (int)processes, serve_process);
	return chosen->serve(server);
}

int main(int argc, char *argv[])
{
	const struct opt_page page = {
		.doc = "An echo server in every model.\v"
		       "Exit status: 0 ended by SIGINT or SIGTERM, 2 bad usage or environment, "
		       "77 this machine cannot run the model.",
		.tables = {{"The server:", opts}}};
	struct server server;
	const char *missing;
	int error;

	files_open_standard();
	opt_parse(&page, argc, argv);
	if (list) {
		print_models();
		return 0;
	}
	if (udp)
		refuse_of_connections();
	if (rules.once && processes > 1)
		errx(EXIT_USAGE, "--once: each of --processes would serve one");
	if (rules.pieces && !rules.reverse)
		errx(EXIT_USAGE, "--pieces: of what --reverse answers");
	chosen = find_model();
	missing = chosen->missing ? chosen->missing() : NULL;
	if (missing) {
		warnx("%s: not on this machine: %s", chosen->name, missing);
		return EXIT_SKIP;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	files_make_room(FILES_FEW);
	set_signals();
	files_allow(INT64_MAX);
	server = listen_now();
	error = serve(&server);
	if (error) {
		errno = error;
		err(EXIT_USAGE, "%s", chosen->name);
	}
	return 0;
}
