/* SPDX-License-Identifier: MIT */
/*
 * overlap - does a server do other work while it does I/O?
 *
 * A server may have more to do than to answer.  Here other work comes to it as a timer's ticks come to
 * an event loop: at a descriptor, in each model's own way of waiting.  It is done by whoever serves
 * that descriptor: the loop itself, a coroutine, a thread or a process.
 *
 *	timer  a client is connected and silent, so the server waits for I/O; a tick is due, of 0.1 ms of
 *	       work.  Is it done meanwhile, and how late?  Iterative: only when the client has left
 *	CPU    a computation is under way, which is seen by the server's CPU time; a client asks.  Is it
 *	       answered before the computation has ended?  One thread that computes answers nobody
 *
 * The order of what happens decides, not how long it takes; the server has one CPU.
 */
#include <err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "lib/server.h"
#include "net.h"
#include "span.h"
#include "text.h"

enum {
	BY_ITERATIVE,
	BY_EPOLL,
	BY_COROUTINE,
	BY_IO_URING,
	BY_LIBUV,
	BY_THREAD,
	BY_POOL,
	BY_FORK,
	VARIANTS,
	FIRST_LOOP = BY_EPOLL,
	LAST_LOOP = BY_LIBUV,
	FAMILY = 64,
	TICK_US = 100,
	BEGUN_NS = 1000000 /* of CPU time: no request takes as much */
};

static const struct variant variants[] = {
	MODEL_AS(BY_ITERATIVE, ITERATIVE, "iterative", "one connection after the other"),
	MODEL_AS(BY_EPOLL, EPOLL, "epoll", "one thread, an event loop"),
	MODEL_AS(BY_COROUTINE, COROUTINE, "coroutine", "one thread, a coroutine a connection"),
	MODEL_AS(BY_IO_URING, IO_URING, "io_uring", "one thread, io_uring"),
	MODEL_AS(BY_LIBUV, LIBUV, "libuv", "one thread, the library of Node.js"),
	MODEL_AS(BY_THREAD, THREAD, "thread", "a thread for every connection"),
	MODEL_AS(BY_POOL, POOL, "pool", "threads started beforehand"),
	MODEL_AS(BY_FORK, FORK, "fork", "a process for every connection"),
	{0}};

static const struct claim claims[] = {
	{"srv-overlap", "I/O is done while other work goes on", "*=thread", HOLDS,
	 .why = {[DEPENDS] =
			 "other work and a connection overlap if nobody has to finish the one before the other. A loop waits for both in one call, but what it computes is done in the loop itself, where it asks nobody meanwhile; of threads and processes the kernel takes turns. An iterative server has begun with one connection, and ends with it first."}},
	{0}};

static const struct row_field fields[] = {
	{"tick_done", "1: the tick was done while the client was connected and silent", "tick|done",
	 SHOW_NONZERO},
	{"tick_ns", "from when it was due to its end", "tick|after"},
	{"answered",
	 "1: a request was answered while the computation went on; absent if it ended too soon",
	 "answered|beside", SHOW_NONZERO},
	{"request_ns", "from that request to its answer", "answer|after"},
	{"work_ns", "from the begin of the computation to its end", "work|takes"},
	{"wrong_bytes", "of all answers", .zero = true, .sham = "greet"},
	{0}};

static const struct bound bounds[] = {
	{"enough_trials", 3, "of each kind of server: a tick is done always or never"},
	{"usual_share", 0.5,
	 "of requests: a busy machine may keep a thread, or this program, waiting for as long as the work goes on"},
	{0}};

static int64_t hold_ms = 10;
static int64_t work_ms = 20;

static const struct opt opts[] = {{0, "hold", "a tick is waited for so long at least",
				   .num = &hold_ms, .min = 1, .max = 10000, .unit = OPT_MS},
				  {'w', "work", "CPU time of the computation", .num = &work_ms,
				   .min = 5, .max = 1000, .unit = OPT_MS},
				  {0}};

/* --- the other work ------------------------------------------------------ */

static void begin_work(int fd, int64_t us)
{
	const char *message = text_format("%lld", (long long)us);

	check_fd((int)send(fd, message, strlen(message), MSG_NOSIGNAL), "send");
}

/* The message comes back when it is done. */
static void end_work(int fd)
{
	char message[32];

	recv(fd, message, sizeof(message), 0);
}

/* CPU time of the server with all that it has forked. */
static int64_t cpu_ns(const struct server *server)
{
	pid_t family[FAMILY];
	size_t n = program_family(server->program.pid, family, FAMILY);
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += program_cpu_ns(family[i]);
	return sum;
}

static bool has_something(int fd)
{
	struct pollfd readable = {fd, POLLIN, 0};

	return poll(&readable, 1, 0) > 0;
}

/* --- one trial ----------------------------------------------------------- */

struct sample {
	bool tick_done, seen, answered;
	int64_t tick_ns, request_ns, work_ns, wrong;
};

/* A client is connected; returns the one that is connected then. */
static int measure_timer(const struct server *server, int client, int work, struct sample *sample)
{
	int64_t due_ns = span_now() + 1000000;

	run_sleep_until(due_ns);
	begin_work(work, TICK_US);
	sample->tick_done = server_await_answer(server, work, hold_ms * 1000000);
	if (!sample->tick_done) { /* it must be done now */
		close(client);
		server_await_answer(server, work, INT64_MAX / 2);
		client = check_fd(server_connect(server), "connect");
	}
	end_work(work);
	sample->tick_ns = span_now() - due_ns;
	return client;
}

static void measure_cpu(const struct server *server, int client, int work, struct sample *sample)
{
	int64_t before_ns = cpu_ns(server);
	int64_t work_begin_ns = span_now();
	int64_t begin_ns;
	enum answer answer;

	begin_work(work, work_ms * 1000);
	while (cpu_ns(server) < before_ns + BEGUN_NS && !has_something(work) && !run_stopped())
		run_sleep_until(span_now() + 100000);
	sample->seen = !has_something(work);
	begin_ns = span_now();
	answer = server_ask(server, client, hold_ms * 1000000, &sample->wrong);
	sample->answered = answer == ANSWERED && !has_something(work);
	sample->request_ns = span_now() - begin_ns;
	server_await_answer(server, work, INT64_MAX / 2);
	sample->work_ns = span_now() - work_begin_ns;
	end_work(work);
	close(work);
	if (answer == WAITING) {
		server_answer(server, client, INT64_MAX / 2, &sample->wrong);
		sample->request_ns = span_now() - begin_ns;
	}
}

static void measure(struct run *run)
{
	struct sockaddr_in from;
	int work = net_bound(SOCK_STREAM, &from);
	const char *port = text_format("%d", ntohs(from.sin_port));
	struct server server = server_start(run, run_how(run), SERVER_CPU, 2,
					    (const char *[]){"--work-port", port, NULL});
	struct sample sample = {0};
	struct field row[8];
	size_t n = 0;
	int client;

	run_pin(LOAD_CPU);
	client = check_fd(server_connect(&server), "connect");
	server_ask(&server, client, INT64_MAX / 2, &sample.wrong);
	check_fd(connect(work, (struct sockaddr *)&server.address, sizeof(server.address)),
		 "connect");
	client = measure_timer(&server, client, work, &sample);
	measure_cpu(&server, client, work, &sample);
	close(client);
	run_pin(ALL_CPUS);
	server_stop(&server);
	row[n++] = (struct field){"tick_done", sample.tick_done};
	row[n++] = (struct field){"tick_ns", sample.tick_ns};
	if (sample.seen)
		row[n++] = (struct field){"answered", sample.answered};
	row[n++] = (struct field){"request_ns", sample.request_ns};
	row[n++] = (struct field){"work_ns", sample.work_ns};
	row[n++] = (struct field){"wrong_bytes", sample.wrong};
	row[n] = (struct field){0};
	run_record(run, row);
}

/* --- judge --------------------------------------------------------------- */

/* Of those variants that are measured; the first one is needed. */
static struct share seen_in(struct run *run, size_t first, size_t last, const char *field)
{
	struct share all = run_nonzero(run, first, field);

	for (size_t v = first + 1; v <= last; v++)
		if (run_selected(run, v))
			all = share_add(all, run_nonzero(run, v, field));
	return all;
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_trials");
	double usual = run_bound(run, "usual_share");
	struct share alone = run_nonzero(run, BY_ITERATIVE, "tick_done");
	struct share ticks = seen_in(run, FIRST_LOOP, VARIANTS - 1, "tick_done");
	struct share loops = seen_in(run, FIRST_LOOP, LAST_LOOP, "answered");
	struct share others = seen_in(run, BY_THREAD, VARIANTS - 1, "answered");

	run_judge(
		run, "srv-overlap",
		by_case(all_of(always_happens(ticks, enough), share_above(others, usual)),
			any_of(always_happens(alone, enough), share_above(loops, usual))),
		"while a client was connected and silent a timer's work was done in {ticks} trials of concurrent servers, {tick_ns} after it was due in an event loop, and in {alone} of the iterative one; while {work_ms} of CPU time were computed a request was answered in {others} trials of threads and processes ({thread_ns} with threads), in {loops} of one thread ({loop_ns})",
		number_share("ticks", ticks),
		number_real("tick_ns", run_median(run, BY_EPOLL, "tick_ns")),
		number_share("alone", alone), number_int("work_ms", work_ms),
		number_share("others", others),
		number_real("thread_ns", run_median(run, BY_THREAD, "request_ns")),
		number_share("loops", loops),
		number_real("loop_ns", run_median(run, BY_EPOLL, "request_ns")));
	server_note_cpus(run);
}

static const struct experiment about = {
	.name = "overlap",
	.group = "echo",
	.order = 612,
	.summary = "Does a server do other work while it does I/O?",
	.intro =
		"A tick is due while a client is silent; then a client asks while {work_ms} of CPU time are computed.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 10,
	.quick_trials = 3,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, MODELS);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
