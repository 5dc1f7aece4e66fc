/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <err.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "judge.h"
#include "text.h"

enum {
	ASKED_US = 100, /* so long at least are many connections asked, each */
	FITTING = 4000, /* so many can be opened at once: the server's backlog is a little longer */
	SETTLING_US = 50,
	WARM_UP = 4,  /* part of the duration */
	WARM_MS = 20, /* at most */
	WORDS = 32,
};

const struct row_field load_fields[] = {
	{"requests", "answered, of those that were due in the window"},
	{"in_window", "answers that came before its end: the rate"},
	{"unanswered", "requests without an answer a second after the window's end"},
	{"served_connections", "that ever got an answer"},
	{"begin_ns", "of the window: CLOCK_MONOTONIC"},
	{"elapsed_ns", "of the window"},
	{"server_cpu_ns", "CPU time of the server with all of its processes"},
	{"server_elapsed_ns", "the time that this and the switches are of: a little longer"},
	{"voluntary_switches", "how often threads of the server slept"},
	{"involuntary_switches", "how often they lost their CPU to others"},
	{"switches", "both together"},
	{"threads", "of the server, with that of its signals"},
	{"processes", "of the server"},
	{"load_cpu_ns", "CPU time of the load"},
	{"p50_ns", "latency of a request: median"},
	{"p90_ns", "90th percentile"},
	{"p99_ns", "99th percentile"},
	{"p999_ns", "99.9th percentile"},
	{"max_ns", "longest"},
	{"grown_bytes", "of the server's own memory, from no connection to all of them"},
	{"kernel_grown_bytes", "of the kernel's memory, likewise, for both ends"},
	{"errors", "requests that failed, and loads that ended early", .zero = true,
	 .sham = "greet"},
	{"wrong_bytes", "of the answers", .zero = true, .sham = "greet"},
	{0}};

const struct row_field held_fields[] = {
	{"open_ns", "time until all connections were open, with the start of the load's processes"},
	{"open_connections", "that are open at the end, as the load counts them"},
	{"server_open_connections",
	 "the same by the server's descriptors, grown since before the first one; absent before Linux 6.2"},
	{"kernel_grown_sockets", "TCP sockets of the network namespace, likewise: both ends"},
	{"tracked_connections", "that nf_conntrack follows, likewise; 0: it is not in their way"},
	{"server_rss_bytes", "resident memory of all processes of the server, at the end"},
	{"load_rss_bytes", "the same of the load"},
	{"taken_bytes",
	 "by which the machine's MemAvailable shrank, likewise, which counts the sockets' inodes as reclaimable"},
	{0}};

const struct row_field load_columns[] = {
	{"in_window", .column = "requests|a second", .per = "elapsed_ns"},
	{"server_cpu_ns", .column = "CPU a|request", .per = "requests"},
	{"voluntary_switches", .column = "sleeps a|request", .per = "requests"},
	{"threads", .column = "threads"},
	{"p50_ns", .column = "p50"},
	{"p99_ns", .column = "p99"},
	{0}};

/* What a row of echo-load calls these. */
struct name {
	const char *ours, *its;
};

static const struct name names[] = {{"requests", "requests"},
				    {"in_window", "in_window"},
				    {"unanswered", "unanswered"},
				    {"served_connections", "served_connections"},
				    {"begin_ns", "begin_ns"},
				    {"elapsed_ns", "elapsed_ns"},
				    {"server_cpu_ns", "server_cpu_ns"},
				    {"server_elapsed_ns", "server_elapsed_ns"},
				    {"voluntary_switches", "server_voluntary_switches"},
				    {"involuntary_switches", "server_involuntary_switches"},
				    {"threads", "server_threads"},
				    {"processes", "server_processes"},
				    {"load_cpu_ns", "cpu_ns"},
				    {"p50_ns", "p50_ns"},
				    {"p90_ns", "p90_ns"},
				    {"p99_ns", "p99_ns"},
				    {"p999_ns", "p999_ns"},
				    {"max_ns", "max_ns"},
				    {"grown_bytes", "server_grown_bytes"},
				    {"kernel_grown_bytes", "kernel_grown_bytes"},
				    {"wrong_bytes", "wrong_bytes"},
				    {0}};

static const struct name held_names[] = {{"open_ns", "open_ns"},
					 {"open_connections", "open_connections"},
					 {"server_open_connections", "server_grown_files"},
					 {"kernel_grown_sockets", "kernel_grown_sockets"},
					 {"tracked_connections", "tracked_connections"},
					 {"server_rss_bytes", "server_rss_bytes"},
					 {"load_rss_bytes", "rss_bytes"},
					 {"taken_bytes", "taken_bytes"},
					 {0}};

static size_t place_of(const struct row *row, const char *name)
{
	for (size_t i = 0; i < row->n; i++)
		if (strcmp(row->fields[i].name, name) == 0)
			return i;
	errx(EXIT_USAGE, "a row without %s", name);
}

int64_t row_number(const struct row *row, const char *name)
{
	return row->fields[place_of(row, name)].num;
}

void row_set(struct row *row, const char *name, int64_t number)
{
	row->fields[place_of(row, name)].num = number;
}

int64_t load_rate(const struct row *row)
{
	int64_t elapsed_ns = row_number(row, "elapsed_ns");

	return elapsed_ns ? row_number(row, "in_window") * 1000000000 / elapsed_ns : 0;
}

static void add_named(const json_t *sample, const struct name *name, struct row *row)
{
	for (; name->ours; name++) {
		const json_t *value = json_object_get(sample, name->its);

		if (json_is_integer(value))
			row_add(row,
				(struct field[]){{name->ours, json_integer_value(value)}, {0}});
	}
}

static void add_sample(const json_t *sample, bool ended_well, struct row *row)
{
	int64_t errors = json_integer_value(json_object_get(sample, "errors"));

	add_named(sample, names, row);
	row_add(row,
		(struct field[]){
			{"switches",
			 json_integer_value(json_object_get(sample, "server_voluntary_switches")) +
				 json_integer_value(
					 json_object_get(sample, "server_involuntary_switches"))},
			{"errors", errors + (errors == 0 && !ended_well)},
			{0}});
}

/* Its sample row; NULL if there is none.  Tells when its window begins. */
static json_t *read_sample(FILE *out, const struct load_ask *ask)
{
	json_t *sample = NULL;
	char *line = NULL;
	size_t size;

	while (getline(&line, &size, out) > 0) {
		json_t *row = json_loads(line, 0, NULL);
		const char *kind = json_string_value(json_object_get(row, "row"));

		if (kind && strcmp(kind, "sample") == 0)
			sample = json_incref(row);
		if (kind && strcmp(kind, "window") == 0 && ask->begins)
			ask->begins(ask->argument);
		json_decref(row);
	}
	free(line);
	return sample;
}

static const char *word(int64_t number)
{
	return text_format("%lld", (long long)number);
}

/* Many connections are opened over a time, warmed up for one, and asked for one, each. */
static void describe(const struct server *server, const struct load_ask *ask,
		     const char *argv[WORDS])
{
	const struct model *model = server->model;
	int64_t opened = ask->connections + ask->idle;
	int64_t settling_ms =
		opened * (model->settling_us ? model->settling_us : SETTLING_US) / 1000;
	int64_t least_ms = ask->connections * ASKED_US / 1000;
	int64_t warm_ms = ask->duration_ms / WARM_UP;
	int64_t duration_ms = ask->duration_ms > least_ms ? ask->duration_ms : least_ms;
	const char *const words[][2] = {
		{"--port", word(ntohs(server->address.sin_port))},
		{"--server-pid", word(server->program.pid)},
		{"--connections", word(ask->connections)},
		{"--duration", word(duration_ms)},
		{"--warmup", word((warm_ms < WARM_MS ? warm_ms : WARM_MS) + settling_ms)},
		{"--ramp", word(opened > FITTING ? settling_ms : 0)},
		{"--size", word(ask->size_bytes ? ask->size_bytes : 64)},
		{"--idle", word(ask->idle)},
		{"--rate", word(ask->rate)},
		{"--processes", word(ask->processes ? ask->processes : 1)},
		{"--at-once", word(ask->at_once)},
		{"--output", "-"},
		{ask->hgrm ? "--hgrm" : NULL, ask->hgrm}};
	size_t n = 1;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && words[i][0]; i++) {
		argv[n++] = words[i][0];
		argv[n++] = words[i][1];
	}
	argv[n] = NULL;
}

void load_run(const struct server *server, const struct load_ask *ask, struct row *row)
{
	char path[PATH_MAX];
	const char *argv[WORDS] = {program_tool("echo-load", path)};
	struct program program;
	json_t *sample;
	const char *said;
	int status;

	describe(server, ask, argv);
	program = program_start(argv, ask->cpu);
	sample = read_sample(program.out, ask);
	status = program_end(&program, &said);
	if (!sample)
		errx(EXIT_USAGE, "echo-load of %s: %s", server->model->name, said);
	add_sample(sample, status == 0, row);
	if (ask->held)
		add_named(sample, held_names, row);
	json_decref(sample);
}

void load_model(const struct run *run, const struct model *model, int server_cpu,
		const struct load_ask *ask, struct row *row)
{
	struct server server =
		server_start(run, model, server_cpu, ask->connections + ask->idle, NULL);

	load_run(&server, ask, row);
	server_stop(&server);
}

int64_t load_level(int64_t most, int64_t i, int64_t n)
{
	return n < 2 ? most : llround(pow((double)most, (double)i / (double)(n - 1)));
}

/* --- judge --------------------------------------------------------------- */

/* Each in millionths. */
static struct values of_each(struct run *run, size_t variant, const char *field, const char *of,
			     const struct field *where)
{
	return stats_millionths(run_values_where(run, variant, field, where),
				run_values_where(run, variant, of, where));
}

struct interval load_mean(struct run *run, size_t variant, const char *field, const char *of,
			  const struct field *where)
{
	struct interval each = run_interval_of(run, of_each(run, variant, field, of, where));

	return (struct interval){each.mid / 1e6, each.low / 1e6, each.high / 1e6, each.n};
}

struct interval load_ratio(struct run *run, size_t variant, size_t base, const char *field,
			   const char *of, const struct field *where)
{
	return run_ratio(run, of_each(run, variant, field, of, where),
			 of_each(run, base, field, of, where));
}

void load_note(struct run *run, size_t variants)
{
	struct share full = {0};

	for (size_t v = 0; v < variants; v++)
		if (run_selected(run, v))
			full = share_add(full, share_within(of_each(run, v, "load_cpu_ns",
								    "elapsed_ns", LOAD_ALL),
							    900000, INFINITY));
	if (full.k * 2 > full.n)
		run_note(
			run,
			"in {full} runs the load used its CPU up as well: there the rate is no server's limit; compare the CPU a request",
			number_share("full", full));
}
