/* SPDX-License-Identifier: MIT */
#include "server.h"

#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "judge.h"
#include "language.h"
#include "net.h"
#include "pattern.h"
#include "proc.h"
#include "python.h"
#include "span.h"
#include "text.h"

enum { LISTED = 32, MORE = 16, MOST_FAMILY = 65536 };

/* A worker that serves one connection, from the start. */
#define WORKER_EACH .worker_each = true, .most = 1000

const char slow_enough[] = MESSAGE("it is slow enough with fewer");

const struct model models[MODELS] = {
	[EPOLL] = {"epoll"},
	[IO_URING] = {"io_uring"},
	[COROUTINE] = {"coroutine"},
	[THREAD] = {"thread", .taken_bytes = 256 << 10, .settling_us = 100},
	[BUSY_POLL] = {"busy-poll"},
	[FORK] = {"fork", .most = 1000, .most_why = MESSAGE("it would need a process each"),
		  .taken_bytes = 512 << 10, .settling_us = 500},
	[ITERATIVE] = {"iterative", .most = 1, .most_why = MESSAGE("it serves one at a time")},
	[PREFORK] = {"prefork", WORKER_EACH,
		     .most_why = MESSAGE("it would need a process each from the start"),
		     .taken_bytes = 512 << 10},
	[POOL] = {"pool", WORKER_EACH,
		  .most_why = MESSAGE("it would need a thread each from the start"),
		  .taken_bytes = 256 << 10},
	[COROUTINE_NM] = {"coroutine-nm"},
	[EPOLL_ET] = {"epoll-et"},
	[POLL] = {"poll"},
	[SELECT] = {"select", .most = 1000, .most_why = MESSAGE("FD_SETSIZE is 1,024")},
	[REUSEPORT] = {"reuseport"},
	[COROUTINE_RING] = {"coroutine-ring"},
	[COROUTINE_NM_RING] = {"coroutine-nm-ring"},
	[LIBEVENT] = {"libevent"},
	[LIBUV] = {"libuv"},
	[PY_THREADED] = {"py-threaded", PEER("threaded.py")},
	[PY_SOCKETSERVER] = {"py-socketserver", PEER("socketserver_threads.py")},
	[PY_SELECTORS] = {"py-selectors", PEER("selectors_loop.py")},
	[PY_ASYNCIO] = {"py-asyncio", PEER("asyncio_streams.py")},
};

/* --- what there is here -------------------------------------------------- */

/* What echo-server --list says of each model: "" for one that runs here; NULL: it is not built. */
struct listed {
	char name[32];
	char missing[200];
};

static size_t list_models(struct listed list[LISTED])
{
	char path[PATH_MAX];
	struct program program = program_start(
		(const char *[]){program_tool("echo-server", path), "--list", NULL}, ALL_CPUS);
	char *line = NULL;
	size_t size;
	size_t n = 0;

	while (getline(&line, &size, program.out) > 0) {
		const char *missing = strstr(line, "not on this machine: ");

		if (*line == ' ' && missing && n > 0)
			snprintf(list[n - 1].missing, sizeof(list[n - 1].missing), "%.*s",
				 (int)strcspn(missing, "\n"), missing);
		else if (*line != ' ' && n < LISTED)
			snprintf(list[n++].name, sizeof(list->name), "%.*s",
				 (int)strcspn(line, " "), line);
	}
	free(line);
	if (program_end(&program, NULL) != 0)
		errx(EXIT_USAGE, "%s --list failed", path);
	return n;
}

static const char *interpreter_of(const struct model *model)
{
	return model->interpreter ? model->interpreter : "python3";
}

/* What is on PATH may be a script that looks for it.  Asked once for several in a row. */
static bool runs_here(const char *interpreter)
{
	static const char *last = "";
	static bool runs;

	if (strcmp(interpreter, last) != 0)
		runs = child_execute(
			(const char *[]){"/usr/bin/env", interpreter, "--version", NULL});
	last = interpreter;
	return runs;
}

/* Why it cannot run here; NULL = it can. */
static const char *missing(const struct model *model, const struct listed *list, size_t n)
{
	if (model->script && !python_script(model->script))
		return MESSAGE("its script is not there");
	if (model->script)
		return runs_here(interpreter_of(model))
			       ? NULL
			       : text_format("no %s runs here", interpreter_of(model));
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, model->name) == 0)
			return *list[i].missing ? list[i].missing : NULL;
	return MESSAGE("it is not built, for want of a library");
}

void models_leave_out(struct run *run, const struct variant *variants, int64_t first)
{
	static struct listed list[LISTED];
	size_t n = list_models(list);

	for (size_t v = 0; variants[v].name; v++) {
		const struct model *model = variants[v].how;
		const char *why;

		if (!model || !run_selected(run, v))
			continue;
		why = missing(model, list, n);
		if (why)
			run_leave_out(run, v, "%s", why);
		else if (v < MODELS && (int64_t)v >= first && !run_names_variants(run))
			run_leave_out(run, v, "--first %lld", (long long)first);
	}
}

void server_note_cpus(struct run *run)
{
	if (run_cpus() == 1)
		run_note(run, "one CPU: the server and its clients take turns on it", NO_NUMBERS);
}

/* --- starting and ending ------------------------------------------------- */

/* The first line comes before the last worker. */
static void await_workers(struct server *server, int64_t workers)
{
	while (program_threads(server->program.pid) < workers) {
		if (program_has_ended(&server->program))
			errx(EXIT_USAGE, "%s did not start %lld workers: %s", server->model->name,
			     (long long)workers, program_complaint(&server->program));
		run_sleep_until(span_now() + 1000000);
	}
}

/* The port of "... listens on 127.0.0.1:1234". */
static struct sockaddr_in read_address(struct server *server)
{
	char *line = NULL;
	const char *port = NULL;
	size_t size;

	if (getline(&line, &size, server->program.out) > 0)
		port = strrchr(line, ':');
	if (!port)
		errx(EXIT_USAGE, "%s did not start: %s", server->model->name,
		     program_complaint(&server->program));
	server->address =
		(struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				     .sin_port = htons((uint16_t)strtol(port + 1, NULL, 10))};
	free(line);
	return server->address;
}

static size_t add_options(const char *argv[], size_t n, const char *const *more)
{
	while (more && *more && n + 1 < MORE)
		argv[n++] = *more++;
	return n;
}

struct server server_start(const struct run *run, const struct model *model, int cpu,
			   int64_t connections, const char *const *more)
{
	struct server server = {.model = model};
	const char *argv[MORE] = {NULL};
	char path[PATH_MAX];
	const char *workers = text_format("%lld", (long long)connections);
	size_t n = 0;

	if (model->script)
		n = add_options(argv, n,
				(const char *[]){interpreter_of(model),
						 python_script(model->script), "--quiet", NULL});
	else
		n = add_options(argv, n,
				(const char *[]){program_tool("echo-server", path), "--model",
						 model->name, NULL});
	n = add_options(argv, n, (const char *[]){"-p", "0", NULL});
	if (model->worker_each)
		n = add_options(argv, n, (const char *[]){"--workers", workers, NULL});
	if (!model->script && run_sham(run, "greet"))
		n = add_options(argv, n, (const char *[]){"--greet", "hello", NULL});
	n = add_options(argv, n, model->more);
	add_options(argv, n, more);
	server.program = program_start(argv, cpu);
	server.address = read_address(&server);
	if (model->worker_each)
		await_workers(&server, connections);
	return server;
}

void server_stop(struct server *server)
{
	const char *said;
	int status;

	/* a signal that comes just before Python's accept is seen after it: never */
	if (server->model->script)
		server_await_sleep(server);
	kill(server->program.pid, SIGINT);
	status = program_end(&server->program, &said);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(EXIT_USAGE, "%s ended with status %#x: %s", server->model->name, status, said);
}

/* --- clients ------------------------------------------------------------- */

int server_connect(const struct server *server)
{
	int fd = net_socket(SOCK_STREAM);

	if (connect(fd, (const struct sockaddr *)&server->address, sizeof(server->address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Two looks, because one thread may wake another that was looked at before, or fork a process. */
static bool sleeps(const struct server *server)
{
	int64_t first = program_asleep(server->program.pid);

	return first >= 0 && run_sleep_until(span_now() + 1000000) &&
	       program_asleep(server->program.pid) == first;
}

bool server_await_sleep(const struct server *server)
{
	while (!sleeps(server))
		if (!run_sleep_until(span_now() + 1000000))
			return false;
	return true;
}

/*
 * Until all that was sent over loopback has arrived.  On a busy machine packets wait in a queue of each
 * CPU's until a thread of the kernel's runs: a datagram to oneself comes after all before it.
 */
static void await_packets(void)
{
	struct sockaddr_in self;
	int fd = net_bound(SOCK_DGRAM, &self);
	char byte = 0;
	cpu_set_t own;

	check_fd(sched_getaffinity(0, sizeof(own), &own), "sched_getaffinity");
	for (int cpu = 0; cpu < run_cpus(); cpu++) {
		run_pin(cpu);
		check_fd((int)sendto(fd, &byte, 1, 0, (struct sockaddr *)&self, sizeof(self)),
			 "sendto");
		check_fd((int)recv(fd, &byte, 1, 0), "recv");
	}
	check_fd(sched_setaffinity(0, sizeof(own), &own), "sched_setaffinity");
	close(fd);
}

/* When the server sleeps what it had to do is done, so a last look decides. */
bool server_await_answer(const struct server *server, int fd, int64_t hold_ns)
{
	struct pollfd readable = {fd, POLLIN, 0};

	while (!run_wait_fd(fd, POLLIN, span_now() + hold_ns) && !run_stopped()) {
		await_packets();
		if (!sleeps(server))
			continue;
		await_packets();
		return poll(&readable, 1, 0) > 0;
	}
	return true;
}

/* Sends a request; false if the connection is closed. */
static bool request(int fd)
{
	uint8_t message[REQUEST];

	pattern_fill(message, REQUEST, 0);
	return send(fd, message, REQUEST, MSG_NOSIGNAL) == REQUEST;
}

enum answer server_ask(const struct server *server, int fd, int64_t hold_ns, int64_t *wrong_bytes)
{
	return request(fd) ? server_answer(server, fd, hold_ns, wrong_bytes) : CLOSED;
}

enum answer server_answer(const struct server *server, int fd, int64_t hold_ns,
			  int64_t *wrong_bytes)
{
	uint8_t answer[REQUEST] = {0};
	ssize_t n;

	if (!server_await_answer(server, fd, hold_ns))
		return WAITING;
	n = recv(fd, answer, REQUEST, MSG_WAITALL);
	if (n <= 0)
		return CLOSED;
	*wrong_bytes += REQUEST - n + (int64_t)pattern_misplaced(answer, (size_t)n, 0);
	return ANSWERED;
}

/* --- rows ---------------------------------------------------------------- */

void row_add(struct row *row, const struct field *fields)
{
	for (; fields->name; fields++) {
		if (row->n + 1 == sizeof(row->fields) / sizeof(row->fields[0]))
			errx(EXIT_USAGE, "a row of too many fields");
		row->fields[row->n++] = *fields;
	}
}

const struct row_field memory_fields[] = {
	{"more_connections", "by which the memory grew: open and served once, beyond the first"},
	{"memory_bytes",
	 "of the server's own that they take: the next three together, and one each at least",
	 "bytes a|connection", .per = "more_connections"},
	{"anonymous_bytes", "anonymous memory of all of its processes, shared pages counted once"},
	{"page_table_bytes", "their page tables"},
	{"kernel_stack_bytes", "their threads' stacks in the kernel, as many as the mean of all"},
	{"held_wrong_bytes", "of these connections' answers", .zero = true, .sham = "greet"},
	{0}};

struct held {
	int64_t anonymous, page_tables, threads, wrong;
};

/* Bytes of a thread's stack in the kernel: the mean of all threads of the machine. */
static int64_t kernel_stack(void)
{
	FILE *load = fopen("/proc/loadavg", "re");
	int64_t everybody = 1;

	/* NOLINTNEXTLINE(cert-err34-c): proc_loadavg(5) */
	if (load && fscanf(load, "%*f %*f %*f %*d/%" SCNd64, &everybody) != 1)
		everybody = 1;
	if (load)
		fclose(load);
	return proc_number("/proc/meminfo", "KernelStack:", 0) * 1024 / everybody;
}

static struct held memory_of(pid_t pid)
{
	static pid_t family[MOST_FAMILY];
	size_t n = program_family(pid, family, MOST_FAMILY);
	struct held held = {0};

	for (size_t i = 0; i < n; i++) {
		const char *status = text_format("/proc/%d/status", family[i]);
		const char *rollup = text_format("/proc/%d/smaps_rollup", family[i]);

		held.anonymous += proc_number(rollup, "Pss_Anon:", 0) << 10;
		held.page_tables += proc_number(status, "VmPTE:", 0) << 10;
		held.threads += proc_number(status, "Threads:", 0);
	}
	return held;
}

/* With so many connections, each served once; of a server that serves one at a time the others wait. */
static struct held hold(const struct run *run, const struct model *model, int64_t connections)
{
	struct server server = server_start(run, model, SERVER_CPU, connections, NULL);
	int *clients = check_alloc(calloc((size_t)connections, sizeof(*clients)));
	int64_t wrong = 0;
	struct held held;

	run_pin(LOAD_CPU);
	for (int64_t i = 0; i < connections; i++) {
		clients[i] = check_fd(server_connect(&server), "connect");
		request(clients[i]);
	}
	for (int64_t i = 0; i < (model->most == 1 ? 1 : connections); i++)
		server_answer(&server, clients[i], INT64_MAX / 2, &wrong);
	run_pin(ALL_CPUS);
	held = memory_of(server.program.pid);
	held.wrong = wrong;
	for (int64_t i = 0; i < connections; i++)
		close(clients[i]);
	free(clients);
	server_stop(&server);
	return held;
}

void server_memory(const struct run *run, const struct model *model, int64_t connections,
		   struct row *row)
{
	struct held one = hold(run, model, 1);
	struct held many = hold(run, model, connections);
	int64_t parts[] = {many.anonymous - one.anonymous, many.page_tables - one.page_tables,
			   (many.threads - one.threads) * kernel_stack()};
	int64_t sum = parts[0] + parts[1] + parts[2];

	row_add(row,
		(struct field[]){{"more_connections", connections - 1},
				 {"memory_bytes", sum > connections - 1 ? sum : connections - 1},
				 {"anonymous_bytes", parts[0]},
				 {"page_table_bytes", parts[1]},
				 {"kernel_stack_bytes", parts[2]},
				 {"held_wrong_bytes", one.wrong + many.wrong},
				 {0}});
}
