/* SPDX-License-Identifier: MIT */
/*
 * echo-server - sends back what it receives, in every way a server can wait.
 *
 * The models are in models/, one file each; what an echo is, is in conn.c.  Prints the address it
 * listens on, then serves until SIGINT or SIGTERM: those who are connected get what was received
 * from them, then the process ends with status 0.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "conn.h"
#include "exp.h"
#include "files.h"
#include "model.h"
#include "opt.h"

enum {
	DATAGRAM = 65536,
	BACKLOG = 4096,
	PROCESSES = 200,
	STACK = 512 << 10, /* of a thread, bytes; what is never used costs nothing */
};

static struct model *models;

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
	{'b', "bind", "address to listen on; default 127.0.0.1, this machine only",
	 .text = &bind_to, .metavar = "ADDRESS"},
	{'p', "port", "port to listen on", .num = &port, .max = 65535, .zero = "a free one"},
	{'w', "workers", "threads, processes or loops, in models that have them", .num = &workers,
	 .max = 4096, .zero = "the model's own number"},
	{0, "processes", "that each serve so, on the same port, with descriptors of their own",
	 .num = &processes, .min = 1, .max = PROCESSES},
	{0, "bound", "connections with a thread of their own, of coroutine-nm", .num = &bound,
	 .max = 4096},
	{0, "backlog", "connections that wait to be accepted", .num = &backlog, .max = 65535},
	{'1', "once", "serve one connection, then end", .flag = &rules.once},
	{'g', "greet", "say this and close, instead of an echo", .text = &rules.greeting,
	 .lines = true, .metavar = "TEXT"},
	{'r', "reverse", "answer each line reversed, character by character (UTF-8)",
	 .flag = &rules.reverse},
	{'u', "udp", "answer datagrams instead", .flag = &udp},
	{0, "max-connections", "at a time, of each process; more are turned away",
	 .num = &rules.max_connections, .max = 1 << 22, .zero = "no limit"},
	{0, "idle-timeout", "end connections that say and take nothing for so long",
	 .num = &rules.idle_ms, .max = 86400000, .unit = OPT_MS, .zero = "never"},
	{'v', "verbose", "log who is connected and what was received", .flag = &rules.verbose},
	{0}};

void model_add(struct model *model)
{
	struct model **at = &models;

	while (*at && strcmp((*at)->name, model->name) < 0)
		at = &(*at)->next;
	model->next = *at;
	*at = model;
}

int model_workers(const struct server *server, int otherwise)
{
	return server->workers ? (int)server->workers : otherwise;
}

int model_cpus(void)
{
	cpu_set_t cpus;

	check_fd(sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity");
	return CPU_COUNT(&cpus);
}

int model_thread(void *(*work)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK);
	error = pthread_create(&thread, &attributes, work, argument);
	pthread_attr_destroy(&attributes);
	return error;
}

void *model_serve_blocking(void *argument)
{
	struct conn *conn = argument;

	while (conn_step(conn) != CONN_CLOSE)
		;
	conn_close(conn);
	return NULL;
}

void model_nonblocking(int fd)
{
	check_fd(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), "O_NONBLOCK");
}

static void print_models(void)
{
	for (const struct model *m = models; m; m = m->next) {
		const char *missing = m->missing ? m->missing() : NULL;

		printf("%-14s %s\n", m->name, m->summary);
		if (missing)
			printf("%-14s   not on this machine: %s\n", "", missing);
	}
}

static const struct model *find_model(void)
{
	for (const struct model *m = models; m; m = m->next)
		if (strcmp(m->name, model_name) == 0)
			return m;
	errx(EXIT_USAGE, "--model: there is no '%s'; see --list", model_name);
}

/* Others may listen on the same port from now on. */
static void share_port(int fd)
{
	const int on = 1;

	check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), "SO_REUSEPORT");
}

/* A bound socket; status 2 with one line if the address is bad or taken. */
static int bound_socket(int type, const struct sockaddr_in *address, bool share)
{
	char ip[INET_ADDRSTRLEN];
	const int on = 1;
	int fd = check_fd(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");

	/*
	 * Connections of an earlier server that linger in TIME_WAIT do not matter.  Of datagrams
	 * there are none, and the option would let another server take the port over.
	 */
	if (type == SOCK_STREAM)
		check_fd(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), "SO_REUSEADDR");
	if (share)
		share_port(fd);
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 ||
	    (type == SOCK_STREAM && listen(fd, (int)backlog) != 0))
		err(EXIT_USAGE, "%s:%d", inet_ntop(AF_INET, &address->sin_addr, ip, sizeof(ip)),
		    ntohs(address->sin_port));
	return fd;
}

static struct sockaddr_in resolve(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_flags = AI_PASSIVE};
	struct addrinfo *found;
	struct sockaddr_in address;
	int error = getaddrinfo(bind_to, NULL, &hints, &found);

	if (error)
		errx(EXIT_USAGE, "--bind: '%s': %s", bind_to, gai_strerror(error));
	memcpy(&address, found->ai_addr, sizeof(address));
	freeaddrinfo(found);
	address.sin_port = htons((uint16_t)port);
	return address;
}

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	check_fd(getsockname(fd, (struct sockaddr *)&address, &size), "getsockname");
	return address;
}

int model_listen_too(const struct server *server)
{
	struct sockaddr_in address = name_of(server->listener);
	int fd = bound_socket(SOCK_STREAM, &address, true);

	conn_listens(fd);
	return fd;
}

/* One socket answers everybody, whatever the model: there are no connections to wait for. */
static int serve_datagrams(int fd)
{
	static char bytes[DATAGRAM];

	while (!conn_stopping()) {
		struct sockaddr_in peer = {0};
		socklen_t size = sizeof(peer);
		ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&peer, &size);

		if (conn_stopping())
			break;
		if (n < 0)
			continue; /* an ICMP message that answers an earlier answer */
		if (rules.verbose)
			conn_log_received(&peer, bytes, (size_t)n);
		sendto(fd, bytes, (size_t)n, MSG_DONTWAIT, (struct sockaddr *)&peer, size);
	}
	return 0;
}

/* The listening sockets of all processes, before the first client comes. */
static void listen_all(const struct server *server)
{
	listeners[0] = server->listener;
	for (int64_t i = 1; i < processes; i++)
		listeners[i] = model_listen_too(server);
}

static int serve_process(const struct server *server, int number)
{
	struct server mine = *server;

	mine.listener = listeners[number];
	return chosen->serve(&mine);
}

/* Options that --udp would ignore. */
static void refuse_of_connections(void)
{
	const struct {
		const char *name;
		bool given;
	} all[] = {{"processes", processes > 1},
		   {"once", rules.once},
		   {"greet", rules.greeting},
		   {"reverse", rules.reverse},
		   {"max-connections", rules.max_connections},
		   {"idle-timeout", rules.idle_ms}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].given)
			errx(EXIT_USAGE, "--%s: --udp echoes datagrams, in one process",
			     all[i].name);
}

int main(int argc, char *argv[])
{
	const struct opt_page page = {
		.doc = "An echo server in every model.\v"
		       "Exit status: 0 ended by SIGINT or SIGTERM, 2 bad usage or environment, "
		       "77 this machine cannot run the model.",
		.tables = {{"The server:", opts}}};
	struct sockaddr_in address;
	struct server server = {0};
	const char *missing;
	char ip[INET_ADDRSTRLEN];
	sigset_t signals;
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
	chosen = find_model();
	missing = chosen->missing ? chosen->missing() : NULL;
	if (missing) {
		warnx("%s: not on this machine: %s", chosen->name, missing);
		return EXIT_SKIP;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	/* whoever started it may have ignored it: nobody could be awaited */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	files_allow(INT64_MAX);
	address = resolve();
	server.listener = bound_socket(udp ? SOCK_DGRAM : SOCK_STREAM, &address, false);
	if (!udp && (chosen->shares_port || processes > 1))
		share_port(server.listener); /* not before nobody else was found to have it */
	server.most = rules.once ? 1 : rules.max_connections;
	server.workers = workers;
	server.bound = bound;
	conn_begin(&rules);
	conn_listens(server.listener);
	listen_all(&server);
	address = name_of(server.listener);
	printf("%s%s listens on %s:%d\n", chosen->name, udp ? " (UDP)" : "",
	       inet_ntop(AF_INET, &address.sin_addr, ip, sizeof(ip)), ntohs(address.sin_port));
	if (udp)
		error = serve_datagrams(server.listener);
	else if (processes > 1)
		error = model_in_processes(&server, (int)processes, serve_process);
	else
		error = chosen->serve(&server);
	if (error) {
		errno = error;
		err(EXIT_USAGE, "%s", chosen->name);
	}
	return 0;
}
