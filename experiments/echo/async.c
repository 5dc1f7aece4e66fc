/* SPDX-License-Identifier: MIT */
/*
 * async - one thread that waits for all connections, against a thread for each.
 *
 * The asynchronous models wait for many connections in one system call; with one connection there is
 * nothing to wait for but the next request, and each request costs that wait as well.  So the two are
 * compared with one connection and with many, by the CPU time a request, the memory a connection, and
 * the rate: a server that spares resources by answering less is not efficient.
 */
#include "exp.h"
#include "judge.h"
#include "lib/load.h"

enum {
	BY_THREAD,
	BY_EPOLL,
	BY_EPOLL_ET,
	BY_IO_URING,
	BY_COROUTINE,
	VARIANTS,
	PARTS = 3 * VARIANTS
};

static const struct variant variants[] = {
	MODEL_AS(BY_THREAD, THREAD, "thread", "a thread for every connection, blocking"),
	MODEL_AS(BY_EPOLL, EPOLL, "epoll", "one thread, epoll, level-triggered"),
	MODEL_AS(BY_EPOLL_ET, EPOLL_ET, "epoll-et", "one thread, epoll, edge-triggered"),
	MODEL_AS(BY_IO_URING, IO_URING, "io_uring", "one thread, io_uring"),
	MODEL_AS(BY_COROUTINE, COROUTINE, "coroutine", "a coroutine a connection in one thread"),
	{0}};

static const struct claim claims[] = {
	{"srv-async-efficient",
	 "for network waits, asynchronous beats multi-threaded in resource use", "thread=epoll",
	 REFUTED,
	 .why = {[DEPENDS] =
			 "with one connection both sleep once for each request, and the event loop asks first who is ready. With many it learns in one call of all that are ready, while each thread still sleeps for each request."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "that send requests", "connections", .key = true},
	{.also = load_fields},
	{.also = load_columns},
	{.also = memory_fields},
	{0}};

static const struct bound bounds[] = {
	{"less_ratio", 0.75,
	 "a difference of less than a quarter is none: with one connection trials differ by a fifth"},
	{"kept_rate_ratio", 0.9, "of the threads' rate: who answers less saves nothing"},
	{0}};

static int64_t connections = 1000;
static int64_t levels = 3;
static int64_t held = 1000;
static int64_t duration_ms = 100;

static const struct opt opts[] = {{'c', "connections", "at most, that send requests",
				   .num = &connections, .min = 2, .quick = 128, .max = 10000},
				  {0, "levels", "numbers of connections, from 1 to those",
				   .num = &levels, .min = 2, .quick = 2, .max = 8},
				  {0, "held", "connections whose memory is looked at", .num = &held,
				   .min = 2, .quick = 50, .max = 10000},
				  {'d', "duration", "of a load, without its warm-up",
				   .num = &duration_ms, .min = 20, .quick = 20, .max = 60000,
				   .unit = OPT_MS},
				  {0}};

static void measure(struct run *run)
{
	for (int64_t i = 0; i < levels && !run_stopped(); i++) {
		int64_t number = load_level(connections, i, levels);
		struct row row = {.fields = {{"connections", number}}, .n = 1};

		load_model(run, run_how(run), SERVER_CPU,
			   &(struct load_ask){.cpu = LOAD_CPU,
					      .connections = number,
					      .duration_ms = duration_ms},
			   &row);
		if (i == levels - 1)
			server_memory(run, run_how(run), held, &row);
		run_record(run, row.fields);
	}
}

/* --- judge --------------------------------------------------------------- */

/* Whether all asynchronous models spare CPU at a number of connections, at least at the same rate. */
static enum verdict spares_cpu(struct run *run, int64_t number, struct interval *least,
			       struct interval *most)
{
	const struct field at[] = {{"connections", number}, {0}};
	enum verdict parts[PARTS];
	size_t n = 0;

	for (size_t v = BY_EPOLL; v < VARIANTS; v++) {
		struct interval cpu =
			load_ratio(run, v, BY_THREAD, "server_cpu_ns", "requests", at);

		parts[n++] = is_below(cpu, run_bound(run, "less_ratio"));
		parts[n++] = is_above(load_ratio(run, v, BY_THREAD, "in_window", "elapsed_ns", at),
				      run_bound(run, "kept_rate_ratio"));
		*least = v == BY_EPOLL || cpu.mid < least->mid ? cpu : *least;
		*most = v == BY_EPOLL || cpu.mid > most->mid ? cpu : *most;
	}
	return verdict_all(parts, n);
}

static enum verdict spares_memory(struct run *run, struct interval *most)
{
	enum verdict parts[PARTS];
	size_t n = 0;

	for (size_t v = BY_EPOLL; v < VARIANTS; v++) {
		struct interval memory =
			load_ratio(run, v, BY_THREAD, "memory_bytes", "more_connections", LOAD_ALL);

		parts[n++] = is_below(memory, run_bound(run, "less_ratio"));
		*most = v == BY_EPOLL || memory.mid > most->mid ? memory : *most;
	}
	return verdict_all(parts, n);
}

static void judge(struct run *run)
{
	struct interval one[2] = {{0}};
	struct interval many[2] = {{0}};
	struct interval memory = {0};
	enum verdict with_many = spares_cpu(run, connections, &many[0], &many[1]);
	enum verdict with_one = spares_cpu(run, 1, &one[0], &one[1]);

	with_many = all_of(with_many, spares_memory(run, &memory));
	run_judge(
		run, "srv-async-efficient",
		with_many == REFUTED ? REFUTED : by_case(with_many, with_one),
		"of the threads' CPU a request the asynchronous models take {least} to {most} with {connections} connections and {one_least} to {one_most} with one; of their memory a connection {memory} at most",
		number_interval("least", many[0]), number_interval("most", many[1]),
		number_int("connections", connections), number_interval("one_least", one[0]),
		number_interval("one_most", one[1]), number_interval("memory", memory));
	load_note(run, VARIANTS);
	server_note_cpus(run);
}

static const struct experiment about = {
	.name = "async",
	.group = "echo",
	.order = 603,
	.summary = "Does an asynchronous server use less than one with a thread a connection?",
	.intro =
		"Closed loops of 1 to {connections} connections, 64 bytes a request, for {duration_ms} each; memory of {held} connections.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 10,
	.quick_trials = 7,
	.timed = true,
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
