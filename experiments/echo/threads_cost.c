/* SPDX-License-Identifier: MIT */
/*
 * threads_cost - what a thread or a process for every connection costs, against one event loop.
 *
 * Of a request: CPU time and context switches of the server, in a closed loop.  Of a connection: the
 * memory that is the server's own, with page tables and kernel stacks, of many connections that are
 * only held.
 */
#include <math.h>

#include "exp.h"
#include "judge.h"
#include "lib/load.h"

enum { LOOP, THREADS, PROCESSES, VARIANTS };

static const struct variant variants[] = {
	MODEL_AS(LOOP, EPOLL, "epoll", "one thread for all connections (control)"),
	MODEL_AS(THREADS, THREAD, "thread", "a thread for every connection"),
	MODEL_AS(PROCESSES, FORK, "fork", "a process for every connection"),
	{0}};

static const struct claim claims[] = {
	{"srv-threads-cost", "threads or processes cost more resources than one event loop",
	 "thread=epoll,fork=epoll", REFUTED,
	 .why = {[HOLDS] =
			 "an event loop learns by one system call of all connections that are ready, so under load it does not sleep. A thread that blocks sleeps once for each request, and has a stack of its own and one in the kernel; a process has page tables, too."}},
	{0}};

static const struct row_field fields[] = {{"connections", "that send requests"},
					  {.also = load_fields},
					  {.also = load_columns},
					  {.also = memory_fields},
					  {0}};

static const struct bound bounds[] = {
	{"more_ratio", 1.25, "of CPU and memory; two runs of one model differ by up to a fifth"},
	{"more_switches", 0.1, "a request: one of ten requests"},
	{0}};

static int64_t connections = 128;
static int64_t held = 1000;
static int64_t duration_ms = 150;

static const struct opt opts[] = {{'c', "connections", "that send requests", .num = &connections,
				   .min = 1, .quick = 64, .max = 1000},
				  {0, "held", "connections whose memory is looked at", .num = &held,
				   .min = 2, .quick = 50, .max = 1000},
				  {'d', "duration", "of the load, without its warm-up",
				   .num = &duration_ms, .min = 20, .quick = 20, .max = 60000,
				   .unit = OPT_MS},
				  {0}};

/* --- judge --------------------------------------------------------------- */

/* Memory of a connection, in whole bytes. */
static double bytes_each(struct run *run, size_t v)
{
	return round(load_mean(run, v, "memory_bytes", "more_connections", LOAD_ALL).mid);
}

static void judge(struct run *run)
{
	double ratio = run_bound(run, "more_ratio");
	struct interval loop = load_mean(run, LOOP, "switches", "requests", LOAD_ALL);
	struct interval cpu[VARIANTS], memory[VARIANTS], switches[VARIANTS];
	enum verdict more[VARIANTS];

	for (size_t v = THREADS; v < VARIANTS; v++) {
		cpu[v] = load_ratio(run, v, LOOP, "server_cpu_ns", "requests", LOAD_ALL);
		memory[v] = load_ratio(run, v, LOOP, "memory_bytes", "more_connections", LOAD_ALL);
		switches[v] = load_mean(run, v, "switches", "requests", LOAD_ALL);
		more[v] = all_of(
			is_above(cpu[v], ratio), is_above(memory[v], ratio),
			is_above(more_than(switches[v], loop), run_bound(run, "more_switches")));
	}
	run_judge(
		run, "srv-threads-cost", all_of(more[THREADS], more[PROCESSES]),
		"at {connections} connections a thread each takes {thread_cpu} times the CPU a request of one event loop, a process each {fork_cpu} times; memory a connection: {thread_bytes} and {fork_bytes} against {loop_bytes}; context switches a request: {thread_switches} and {fork_switches} against {loop_switches}",
		number_int("connections", connections), number_interval("thread_cpu", cpu[THREADS]),
		number_interval("fork_cpu", cpu[PROCESSES]),
		number_real("thread_bytes", bytes_each(run, THREADS)),
		number_real("fork_bytes", bytes_each(run, PROCESSES)),
		number_real("loop_bytes", bytes_each(run, LOOP)),
		number_real("thread_switches", switches[THREADS].mid),
		number_real("fork_switches", switches[PROCESSES].mid),
		number_real("loop_switches", loop.mid));
	load_note(run, VARIANTS);
	server_note_cpus(run);
}

static const struct experiment about = {
	.name = "threads_cost",
	.group = "echo",
	.order = 602,
	.summary = "What do a thread or a process for every connection cost?",
	.intro =
		"Closed loop of {connections} connections, 64 bytes a request, for {duration_ms}; memory of {held} connections; server on the first CPU, load on the second.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 10,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.scatter = "server_cpu_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, MODELS);
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
