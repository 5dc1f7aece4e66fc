/* SPDX-License-Identifier: MIT */
/*
 * python_cost - does asyncio spare resources against threads, in Python?
 *
 * async compares event loops and threads in C.  In Python both are the interpreter's: an asyncio server
 * runs its event loop, streams and coroutines as Python code for each request, where a thread calls recv
 * and sendall, which are C.  A thread has stacks instead, and the GIL to hand over.
 *
 * The peers are measured in one interpreter: CPU time a request in a closed loop, and memory a
 * connection of many that are only held.  The selectors module is shown beside: an event loop with
 * little between epoll and the program.
 */
#include "exp.h"
#include "judge.h"
#include "lib/load.h"
#include "python.h"

enum { BY_THREADS, BY_ASYNCIO, BY_SELECTORS, VARIANTS };

static struct python pythons[PYTHONS];
static struct model peers[VARIANTS] = {
	[BY_THREADS] = {"py-threaded", PEER("threaded.py")},
	[BY_ASYNCIO] = {"py-asyncio", PEER("asyncio_streams.py")},
	[BY_SELECTORS] = {"py-selectors", PEER("selectors_loop.py")},
};

static const struct variant variants[] = {
	[BY_THREADS] = {"threads", "a thread for every connection", &peers[BY_THREADS]},
	[BY_ASYNCIO] = {"asyncio", "one thread, asyncio's streams", &peers[BY_ASYNCIO]},
	[BY_SELECTORS] = {"selectors", "one thread, selectors (only shown)", &peers[BY_SELECTORS]},
	{0}};

static const struct claim claims[] = {
	{"srv-asyncio-efficient", "asyncio spares resources against threads (in Python)",
	 "asyncio=threads", REFUTED,
	 .why = {[DEPENDS] =
			 "a connection of asyncio is a few objects, a thread has stacks. But for each request the event loop, the stream and the coroutine run as Python code, where a thread calls recv and sendall, which are C."}},
	{0}};

static const struct row_field fields[] = {{"connections", "that send requests"},
					  {.also = load_fields},
					  {.also = load_columns},
					  {.also = memory_fields},
					  {0}};

static const struct bound bounds[] = {
	{"less_ratio", 0.75, "of CPU and memory: a difference of less than a quarter is none"},
	{0}};

static const char *list;
static int64_t connections = 16;
static int64_t held = 50;
static int64_t duration_ms = 100;

static const struct opt opts[] = {
	{0, "python", "the interpreter; else the newest CPython found, with a GIL if one has it",
	 .text = &list, .metavar = "PATH"},
	{'c', "connections", "that send requests", .num = &connections, .min = 1, .max = 1000},
	{0, "held", "connections whose memory is looked at", .num = &held, .min = 2, .max = 1000},
	{'d', "duration", "of the load, without its warm-up", .num = &duration_ms, .min = 20,
	 .max = 60000, .unit = OPT_MS},
	{0}};

static const struct python *newest; /* of those found, from 3.7 on; NULL = there is none */

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	double less = run_bound(run, "less_ratio");
	struct interval cpu =
		load_ratio(run, BY_ASYNCIO, BY_THREADS, "server_cpu_ns", "requests", LOAD_ALL);
	struct interval memory = load_ratio(run, BY_ASYNCIO, BY_THREADS, "memory_bytes",
					    "more_connections", LOAD_ALL);

	run_judge(
		run, "srv-asyncio-efficient", by_case(is_below(memory, less), is_below(cpu, less)),
		"in CPython {python} asyncio takes {cpu} times the CPU a request of threads with {connections} connections, {asyncio_ns} against {threads_ns}, and {memory} times their memory a connection, {asyncio_bytes} against {threads_bytes}",
		number_text("python", newest ? newest->name : "none"), number_interval("cpu", cpu),
		number_int("connections", connections),
		number_real("asyncio_ns",
			    load_mean(run, BY_ASYNCIO, "server_cpu_ns", "requests", LOAD_ALL).mid),
		number_real("threads_ns",
			    load_mean(run, BY_THREADS, "server_cpu_ns", "requests", LOAD_ALL).mid),
		number_interval("memory", memory),
		number_real("asyncio_bytes",
			    load_mean(run, BY_ASYNCIO, "memory_bytes", "more_connections", LOAD_ALL)
				    .mid),
		number_real("threads_bytes",
			    load_mean(run, BY_THREADS, "memory_bytes", "more_connections", LOAD_ALL)
				    .mid));
	server_note_cpus(run);
}

static void choose(void)
{
	newest = python_newest(pythons, python_find(list, pythons), 7);
}

static const struct experiment about = {
	.name = "python_cost",
	.group = "echo",
	.order = 611,
	.summary = "In Python: does an asyncio server use less than one with threads?",
	.intro =
		"Closed loop of {connections} connections, 64 bytes a request, for {duration_ms}; memory of {held} connections; server on the first CPU, load on the second.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.choose = choose,
	.fields = fields,
	.bounds = bounds,
	.trials = 7,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.scatter = "server_cpu_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (!newest || !python_script(peers[BY_THREADS].script))
		return run_skip(run, "no CPython from 3.7 on was found, or no peers");
	for (size_t v = 0; v < VARIANTS; v++) {
		peers[v].interpreter = newest->path;
		if (run_sham(run, "greet"))
			peers[v].script = "echo/peers/greeting.py";
	}
	while (run_next(run)) {
		struct row row = {.fields = {{"connections", connections}}, .n = 1};

		load_model(run, run_how(run), SERVER_CPU,
			   &(struct load_ask){.cpu = LOAD_CPU,
					      .connections = connections,
					      .duration_ms = duration_ms},
			   &row);
		server_memory(run, run_how(run), held, &row);
		run_record(run, row.fields);
	}
	return run_end(run);
}
