/* SPDX-License-Identifier: MIT */
/*
 * echo-limits - how fast an echo over TCP can be on this machine, whatever the server.
 *
 * Two processes, each pinned to a CPU, block in send and recv of one connection, so neither has to
 * wait for several descriptors.  With one message under way each waits for the other (ping-pong):
 * the limit of one connection.  With many under way there is always one to receive, so neither
 * waits (bulk): the limit of a server that uses one recv and one send a request, with any number of
 * connections.
 */
#include <err.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "net.h"
#include "opt.h"
#include "pattern.h"
#include "rows.h"
#include "span.h"
#include "text.h"

enum {
	WINDOW = 64,             /* messages under way at most (bulk) */
	WINDOW_BYTES = 64 << 10, /* and bytes: what fits into the buffers, so that none blocks */
	MESSAGES = 67,           /* different ones, more than are under way at a time */
	WARM_UP = 10,            /* for a tenth of the time */
};

static int64_t size = 64;
static int64_t duration_ms = 500;
static const char *output;

static const struct opt opts[] = {{'s', "size", "of a message", .num = &size, .min = 1,
				   .max = WINDOW_BYTES / 2, .unit = OPT_BYTES},
				  {'d', "duration", "of each of the two loops", .num = &duration_ms,
				   .min = 10, .max = 60000, .unit = OPT_MS},
				  {'o', "output",
				   "write a row there as a line of JSON; - is standard output",
				   .text = &output, .metavar = "FILE"},
				  {0}};

struct limit {
	int64_t window; /* messages under way at a time */
	int64_t requests, wrong_bytes;
	struct span asking;    /* wall and CPU time of the side that sends requests */
	int64_t answer_cpu_ns; /* of the other side, with its start and end */
};

static char *messages, *received;

/* To the first or the last CPU that this process may use. */
static void pin(const cpu_set_t *allowed, bool last)
{
	cpu_set_t one;
	int chosen = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, allowed) && (chosen < 0 || last))
			chosen = cpu;
	CPU_ZERO(&one);
	CPU_SET(chosen, &one);
	check_fd(sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
}

static _Noreturn void answer(int fd)
{
	ssize_t n;

	while ((n = recv(fd, received, (size_t)size, MSG_WAITALL)) > 0)
		if (send(fd, received, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	_exit(0);
}

static void put(int fd, int64_t number)
{
	if (send(fd, messages + number % MESSAGES * size, (size_t)size, MSG_NOSIGNAL) != size)
		err(EXIT_USAGE, "send");
}

/* Returns how many bytes are not those that were sent. */
static int64_t get(int fd, int64_t number)
{
	const char *sent = messages + number % MESSAGES * size;
	int64_t wrong = 0;

	if (recv(fd, received, (size_t)size, MSG_WAITALL) != size)
		err(EXIT_USAGE, "recv");
	if (memcmp(received, sent, (size_t)size) == 0)
		return 0;
	for (int64_t i = 0; i < size; i++)
		wrong += received[i] != sent[i];
	return wrong;
}

/* Sends requests for so long, and receives the answers to all of them. */
static void ask(int fd, int64_t for_ms, struct limit *limit)
{
	int64_t sent = 0;
	int64_t got = 0;
	int64_t deadline_ns;

	span_begin(&limit->asking);
	deadline_ns = limit->asking.begin_ns + for_ms * 1000000;
	while (sent < limit->window)
		put(fd, sent++);
	while (got < sent) {
		limit->wrong_bytes += get(fd, got++);
		if (span_now() < deadline_ns)
			put(fd, sent++);
	}
	span_end(&limit->asking);
	limit->requests = got;
}

static struct limit measure(const cpu_set_t *allowed, int64_t window)
{
	struct limit limit = {.window = window};
	struct net_pair fd = net_pair(NET_TCP, (struct net_ask){0});
	struct rusage usage;
	pid_t child;

	net_set(fd.tx, IPPROTO_TCP, TCP_NODELAY, 1);
	net_set(fd.rx, IPPROTO_TCP, TCP_NODELAY, 1);
	child = child_fork();
	if (child == 0) {
		close(fd.tx);
		pin(allowed, false);
		answer(fd.rx);
	}
	close(fd.rx);
	pin(allowed, true);
	ask(fd.tx, duration_ms / WARM_UP, &limit);
	ask(fd.tx, duration_ms, &limit);
	close(fd.tx);
	check_fd(wait4(child, NULL, 0, &usage), "wait4");
	limit.answer_cpu_ns = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
			      (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
	return limit;
}

static int64_t per_second(const struct limit *limit)
{
	return (int64_t)((double)limit->requests * 1e9 / (double)span_wall(&limit->asking));
}

static void record(const struct limit *pingpong, const struct limit *bulk)
{
	json_t *row = json_pack("{s:s}", "row", "limits");
	struct rows *rows = rows_open(output);

	if (!rows)
		err(EXIT_USAGE, "--output: %s", output);
	rows_add(row, (struct field[]){{"size_bytes", size},
				       {"pingpong_requests", pingpong->requests},
				       {"pingpong_elapsed_ns", span_wall(&pingpong->asking)},
				       {"pingpong_ask_cpu_ns", pingpong->asking.cpu_ns},
				       {"pingpong_answer_cpu_ns", pingpong->answer_cpu_ns},
				       {"bulk_window", bulk->window},
				       {"bulk_requests", bulk->requests},
				       {"bulk_elapsed_ns", span_wall(&bulk->asking)},
				       {"bulk_ask_cpu_ns", bulk->asking.cpu_ns},
				       {"bulk_answer_cpu_ns", bulk->answer_cpu_ns},
				       {"wrong_bytes", pingpong->wrong_bytes + bulk->wrong_bytes},
				       {0}});
	check(rows_write(rows, row), output);
	check(rows_keep(rows), output);
	json_decref(row);
}

int main(int argc, char *argv[])
{
	const struct opt_page page = {
		.doc = "The limits of an echo over TCP on this machine: one message under way (ping-pong) and many (bulk), between two processes, one on the first and one on the last CPU they may use.\v"
		       "Exit status: 0 measured, 1 an answer was wrong, 2 bad usage or environment.",
		.tables = {{"The limits:", opts}}};
	struct limit pingpong, bulk;
	int64_t window;
	cpu_set_t allowed;

	opt_parse(&page, argc, argv);
	window = WINDOW_BYTES / size < WINDOW ? WINDOW_BYTES / size : WINDOW;
	messages = check_alloc(malloc((size_t)(MESSAGES * size)));
	received = check_alloc(malloc((size_t)size));
	pattern_fill(messages, (size_t)(MESSAGES * size), 0);
	check_fd(sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
	pingpong = measure(&allowed, 1);
	bulk = measure(&allowed, window);
	if (output)
		record(&pingpong, &bulk);
	fprintf(output && strcmp(output, "-") == 0 ? stderr : stdout,
		"%s: ping-pong %s/s, bulk with %s under way %s/s\n", text_bytes(size),
		text_count(per_second(&pingpong)), text_count(window),
		text_count(per_second(&bulk)));
	if (pingpong.wrong_bytes + bulk.wrong_bytes == 0)
		return 0;
	warnx("CONTROL FAILED: %s bytes came back wrong",
	      text_count(pingpong.wrong_bytes + bulk.wrong_bytes));
	return EXIT_CONTROL;
}
