/* SPDX-License-Identifier: MIT */
/*
 * openloop - does a closed loop show how long clients wait?
 *
 * The server is stopped (SIGSTOP) once in the middle of the load, as by a garbage collector.  Users who
 * come independently of each other would have sent requests all that time.  A closed loop sends nothing
 * while it waits: each connection has one slow request, and those are too few to be seen in p99
 * (coordinated omission).  An open loop counts latency from when a request was due, so all that were due
 * in the pause are slow.
 *
 * Disturbed trials count: the pause is longer than what other programs take, and an open loop wakes CPUs that
 * had nothing to do, which some hypervisors count as time given to others in every trial.
 */
#include <pthread.h>
#include <signal.h>

#include "check.h"
#include "exp.h"
#include "judge.h"
#include "lib/load.h"
#include "span.h"

enum { CLOSED_LOOP, OPEN_LOOP, BUSY = 16 };

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
	{"pause_missed", "1: not within the window, as on a busy machine: it is no evidence"},
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
	{"closed_requests", 200 * BUSY,
	 "so that those that wait, one a connection, are half of one in a hundred, or less"},
	{"seen_share", 0.5,
	 "of the pause: in a tenth of the time, the slowest tenth of the requests due in it waits for 0.9"},
	{0}};

static int64_t duration_ms = 900;
static int64_t stop_ms = 100;
static int64_t rate = 5000;

static const struct opt opts[] = {{'d', "duration", "of a load, without its warm-up and the pause",
				   .num = &duration_ms, .min = 100, .quick = 200, .max = 60000,
				   .unit = OPT_MS},
				  {'p', "pause", "of the server in the middle of it",
				   .num = &stop_ms, .min = 10, .max = 10000, .unit = OPT_MS},
				  {'r', "rate", "requests a second of the open loop", .num = &rate,
				   .min = 100, .max = 1000000},
				  {0}};

/* --- the pause ----------------------------------------------------------- */

struct pause {
	pid_t server;
	int64_t begin_ns, for_ns; /* CLOCK_MONOTONIC; as they were, in the end */
	pthread_t thread;
};

static void *make_pause(void *argument)
{
	struct pause *pause = argument;

	run_sleep_until(pause->begin_ns);
	pause->begin_ns = span_now();
	kill(pause->server, SIGSTOP);
	run_sleep_until(pause->begin_ns + pause->for_ns);
	kill(pause->server, SIGCONT);
	pause->for_ns = span_now() - pause->begin_ns;
	return NULL;
}

/* The window begins: the pause is to be in the middle of it. */
static void plan_pause(void *argument)
{
	struct pause *pause = argument;

	pause->begin_ns = span_now() + duration_ms * 1000000 / 2;
	check(pthread_create(&pause->thread, NULL, make_pause, pause), "pthread_create");
}

static bool within_window(const struct pause *pause, const struct row *row)
{
	int64_t begin_ns = row_number(row, "begin_ns");

	return pause->begin_ns >= begin_ns &&
	       pause->begin_ns + pause->for_ns <= begin_ns + row_number(row, "elapsed_ns");
}

static void measure(struct run *run)
{
	struct server server = server_start(run, &models[EPOLL], SERVER_CPU, BUSY, NULL);
	struct pause pause = {.server = server.program.pid, .for_ns = stop_ms * 1000000};
	struct row row = {.n = 0};
	bool pauses = !run_sham(run, "no-pause");
	bool missed;

	load_run(&server,
		 &(struct load_ask){.cpu = LOAD_CPU,
				    .connections = BUSY,
				    .rate = run_variant(run) == OPEN_LOOP ? rate : 0,
				    .duration_ms = duration_ms + stop_ms,
				    .begins = pauses ? plan_pause : NULL,
				    .argument = &pause},
		 &row);
	if (pause.thread)
		check(pthread_join(pause.thread, NULL), "pthread_join");
	server_stop(&server);
	missed = pauses && !within_window(&pause, &row);
	row_add(&row, (struct field[]){{"pause_missed", missed}, {"pause_ns", pause.for_ns}, {0}});
	run_record(run, row.fields);
}

/* --- judge --------------------------------------------------------------- */

/* Of the loads with a pause in their window. */
static struct values paused(struct run *run, size_t variant, const char *field)
{
	return run_values_where(run, variant, field, (struct field[]){{"pause_missed", 0}, {0}});
}

static void judge(struct run *run)
{
	struct interval closed = run_interval_of(run, paused(run, CLOSED_LOOP, "p99_ns"));
	struct interval open = run_interval_of(run, paused(run, OPEN_LOOP, "p99_ns"));
	struct interval ratio = run_ratio(run, paused(run, CLOSED_LOOP, "p99_ns"),
					  paused(run, OPEN_LOOP, "p99_ns"));
	bool enough = run_median(run, CLOSED_LOOP, "requests") >= run_bound(run, "closed_requests");
	struct interval seen;

	run_judge(
		run, "srv-closed-loop-latency",
		enough ? is_within(ratio, run_bound(run, "alike_low_ratio"),
				   run_bound(run, "alike_high_ratio"))
		       : UNCLEAR,
		"of the same server, stopped for {pause_ns}, a closed loop shows a p99 of {closed_ns} and an open loop {open_ns}",
		number_real("pause_ns", run_median(run, OPEN_LOOP, "pause_ns")),
		number_interval("closed_ns", closed), number_interval("open_ns", open));
	seen = run_ratio(run, paused(run, OPEN_LOOP, "p99_ns"), paused(run, OPEN_LOOP, "pause_ns"));
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
		"16 connections, 64 bytes a request, for {duration_ms} and {pause_ms} in the midst of it in which the server is stopped; open loop of {rate} requests/s.",
	.claims = claims,
	.controls = controls,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 8,
	.quick_trials = 7,
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
