/* SPDX-License-Identifier: MIT */
/*
 * openloop - does a closed loop show how long clients wait?
 *
 * The server is stopped (SIGSTOP) once in the middle of the load, for a tenth of its time, as by a garbage
 * collector.  Users who come independently of each other would have sent requests all that time.  A
 * closed loop sends nothing while it waits: each connection has one slow request, and those are too
 * few to be seen in p99 (coordinated omission).  An open loop counts latency from when a request was
 * due, so all that were due in the pause are slow.
 */
#include <pthread.h>
#include <signal.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "lib/load.h"
#include "span.h"

enum { CLOSED_LOOP, OPEN_LOOP, BUSY = 16, PAUSE_PART = 10 };

static const struct variant variants[] = {
	[CLOSED_LOOP] = {"closed", "each connection sends when it has its answer"},
	[OPEN_LOOP] = {"open", "requests are due at times of their own"},
	{0}};

static const struct claim claims[] = {
	{"srv-closed-loop-latency", "a closed loop shows how long clients wait", "open=closed",
	 HOLDS,
	 .why = {[REFUTED] =
			 "while the server pauses a closed loop sends nothing, so of all requests that users would have sent then only one a connection is counted."}},
	{0}};

static const struct control controls[] = {
	{"pause-is-seen", "an open loop's p99 is a good part of the pause", "no-pause"}, {0}};

static const struct row_field fields[] = {
	{"pause_ns", "for so long the server was stopped", "paused for"},
	{.also = load_fields},
	{"in_window", .column = "requests|a second", .per = "elapsed_ns"},
	{"p50_ns", .column = "p50"},
	{"p99_ns", .column = "p99"},
	{"p999_ns", .column = "p99.9"},
	{"max_ns", .column = "longest"},
	{0}};

static const struct bound bounds[] = {
	{"alike_low_ratio", 0.5, "closed p99 by open p99: half of it or less shows something else"},
	{"alike_high_ratio", 2, "and so does twice of it"},
	{"seen_share", 0.5,
	 "of the pause: of the requests of a tenth of the time the slowest tenth waits for 0.9"},
	{0}};

static int64_t duration_ms = 1000;
static int64_t rate = 5000;

static const struct opt opts[] = {
	{'d', "duration", "of a load, without its warm-up; a tenth of it is the pause",
	 .num = &duration_ms, .min = 100, .quick = 100, .max = 60000, .unit = OPT_MS},
	{'r', "rate", "requests a second of the open loop", .num = &rate, .min = 100,
	 .max = 1000000},
	{0}};

/* --- the pause ----------------------------------------------------------- */

struct pause {
	pid_t server;
	int64_t at_ns, for_ns; /* for_ns: as it was, in the end */
};

static void *make_pause(void *argument)
{
	struct pause *pause = argument;
	int64_t begin_ns;

	run_sleep_until(pause->at_ns);
	begin_ns = span_now();
	kill(pause->server, SIGSTOP);
	run_sleep_until(begin_ns + pause->for_ns);
	kill(pause->server, SIGCONT);
	pause->for_ns = span_now() - begin_ns;
	return NULL;
}

static void measure(struct run *run)
{
	struct server server = server_start(run, &models[EPOLL], SERVER_CPU, BUSY, NULL);
	/* within the window, which begins after the warm-up */
	struct pause pause = {server.program.pid, span_now() + duration_ms * 750000,
			      duration_ms * 1000000 / PAUSE_PART};
	struct row row = {.n = 0};
	bool pauses = !run_sham(run, "no-pause");
	pthread_t pauser;

	if (pauses)
		check(pthread_create(&pauser, NULL, make_pause, &pause), "pthread_create");
	load_run(&server,
		 &(struct load_ask){.cpu = LOAD_CPU,
				    .connections = BUSY,
				    .rate = run_variant(run) == OPEN_LOOP ? rate : 0,
				    .duration_ms = duration_ms},
		 &row);
	if (pauses)
		check(pthread_join(pauser, NULL), "pthread_join");
	server_stop(&server);
	row_add(&row, (struct field[]){{"pause_ns", pause.for_ns}, {0}});
	run_record(run, row.fields);
}

/* --- judge --------------------------------------------------------------- */

static void judge(struct run *run)
{
	struct interval closed = run_interval(run, CLOSED_LOOP, "p99_ns");
	struct interval open = run_interval(run, OPEN_LOOP, "p99_ns");
	struct interval ratio = run_ratio(run, run_values(run, CLOSED_LOOP, "p99_ns"),
					  run_values(run, OPEN_LOOP, "p99_ns"));
	struct interval seen = run_ratio(run, run_values(run, OPEN_LOOP, "p99_ns"),
					 run_values(run, OPEN_LOOP, "pause_ns"));

	run_judge(
		run, "srv-closed-loop-latency",
		is_within(ratio, run_bound(run, "alike_low_ratio"),
			  run_bound(run, "alike_high_ratio")),
		"of the same server, stopped for {pause_ns}, a closed loop shows a p99 of {closed_ns} and an open loop {open_ns}",
		number_real("pause_ns", run_median(run, OPEN_LOOP, "pause_ns")),
		number_interval("closed_ns", closed), number_interval("open_ns", open));
	run_check(run, "pause-is-seen", is_above(seen, run_bound(run, "seen_share")),
		  "it is {share} of the pause", number_interval("share", seen));
	server_note_cpus(run);
}

static const struct experiment about = {
	.name = "openloop",
	.group = "echo",
	.order = 608,
	.summary = "Does a closed loop show how long clients wait for a server that pauses?",
	.intro =
		"16 connections, 64 bytes a request, for {duration_ms}, in a tenth of which the server is stopped; open loop of {rate} requests/s.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 8,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.scatter = "max_ns",
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	while (run_next(run))
		measure(run);
	return run_end(run);
}
