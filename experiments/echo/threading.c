/* SPDX-License-Identifier: MIT */
/*
 * threading - how are connections mapped to threads: 1:1, N:1, N:M, or two-level?
 *
 *	thread        1:1, a thread of the kernel's for each connection
 *	coroutine     N:1, all of them are coroutines of one thread
 *	coroutine-nm  N:M, coroutines over a loop a CPU
 *	two-level     N:M, and the first connections have a thread of their own
 *
 * Server and load may use all CPUs here: elsewhere several loops could be of no use.
 */
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/load.h"

enum { ONE_TO_ONE, N_TO_ONE, N_TO_M, TWO_LEVEL, VARIANTS };

static const struct model two_level = {"coroutine-nm", .more = {"--bound", "16"}};

static const struct variant variants[] = {
	MODEL_AS(ONE_TO_ONE, THREAD, "thread", "1:1, a thread of the kernel's each"),
	MODEL_AS(N_TO_ONE, COROUTINE, "coroutine", "N:1, coroutines of one thread"),
	MODEL_AS(N_TO_M, COROUTINE_NM, "coroutine-nm", "N:M, coroutines over a loop a CPU"),
	[TWO_LEVEL] = {"two-level", "N:M, and 16 connections with a thread of their own",
		       &two_level},
	{0}};

static const struct claim claims[] = {
	{"srv-nm-efficient", "N:M threading is the most efficient of 1:1, N:1 and N:M",
	 "coroutine=thread,two-level=thread", HOLDS,
	 .why = {[REFUTED] =
			 "a second loop is of use if the first one's CPU is used up. Here the load takes as much CPU as the server does, so two loops compete with it, and each finds fewer connections ready when it looks."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "that send requests"}, {.also = load_fields}, {.also = load_columns}, {0}};

static const struct bound bounds[] = {
	{"less_ratio", 0.95, "of CPU a request: most efficient is less than each other"},
	{"kept_rate_ratio", 0.95, "of each other's rate: who answers less saves nothing"},
	{0}};

static int64_t connections = 128;
static int64_t duration_ms = 150;

static const struct opt opts[] = {
	{'c', "connections", "that send requests", .num = &connections, .min = 17, .max = 10000},
	{'d', "duration", "of a load, without its warm-up", .num = &duration_ms, .min = 20,
	 .quick = 20, .max = 60000, .unit = OPT_MS},
	{0}};

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	enum verdict parts[2 * VARIANTS];
	struct interval cpu[VARIANTS], rate[VARIANTS];
	size_t n = 0;

	for (size_t v = 0; v < VARIANTS; v++) {
		if (v == N_TO_M)
			continue;
		cpu[v] = load_ratio(run, N_TO_M, v, "server_cpu_ns", "requests", LOAD_ALL);
		rate[v] = load_ratio(run, N_TO_M, v, "in_window", "elapsed_ns", LOAD_ALL);
		parts[n++] = is_below(cpu[v], run_bound(run, "less_ratio"));
		parts[n++] = is_above(rate[v], run_bound(run, "kept_rate_ratio"));
	}
	run_judge(
		run, "srv-nm-efficient", run_cpus() < 2 ? SKIPPED : verdict_all(parts, n),
		run_cpus() < 2
			? MESSAGE("several loops need several CPUs")
			: MESSAGE("N:M takes {one_to_one} times the CPU a request of 1:1 at {one_to_one_rate} times its rate, {n_to_one} of N:1 at {n_to_one_rate}, {two_level} of two-level at {two_level_rate}"),
		number_interval("one_to_one", cpu[ONE_TO_ONE]),
		number_interval("one_to_one_rate", rate[ONE_TO_ONE]),
		number_interval("n_to_one", cpu[N_TO_ONE]),
		number_interval("n_to_one_rate", rate[N_TO_ONE]),
		number_interval("two_level", cpu[TWO_LEVEL]),
		number_interval("two_level_rate", rate[TWO_LEVEL]));
}

static const struct experiment about = {
	.name = "threading",
	.group = "echo",
	.order = 604,
	.summary = "Which is the most efficient: 1:1, N:1, N:M or two-level threads?",
	.intro =
		"Closed loop of {connections} connections, 64 bytes a request, for {duration_ms}; server and load may use all of the {cpus}.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 12,
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

		load_model(run, run_how(run), ALL_CPUS,
			   &(struct load_ask){.cpu = ALL_CPUS,
					      .connections = connections,
					      .duration_ms = duration_ms},
			   &row);
		run_record(run, row.fields);
	}
	return run_end(run);
}
