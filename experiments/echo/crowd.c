/* SPDX-License-Identifier: MIT */
/*
 * crowd - many connections: how many requests each model answers, and how many connections a process
 * can have.
 *
 * Each model answers closed loops of more and more connections, with two sizes of requests.  Beside
 * them stand the limits of this machine (echo-limits): one message under way between two processes
 * (ping-pong), which one connection cannot exceed, and many (bulk), which no number of them can.
 *
 * A connection takes a descriptor, of which a process may have a limited number.  So a crowd of more
 * connections asks one event loop in one process, and the same in as many processes as it takes.
 */
#include <err.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "files.h"
#include "judge.h"
#include "language.h"
#include "lib/load.h"
#include "proc.h"
#include "text.h"

enum {
	LIMITS = MODELS,
	ONE_PROCESS,
	PROCESSES,
	VARIANTS,
	OWN_FILES = 32, /* descriptors of a process that are no connections */
	BEYOND = 1000,  /* that one process is asked for beyond its descriptors */
	MOST_PROCESSES = 200,
	MANY = 10000,           /* connections from which on one size is enough */
	TAKEN_BYTES = 16 << 10, /* by a connection, at most, as was seen of event loops */
};

static const struct variant variants[] = {
	MODEL_VARIANTS,
	[LIMITS] = {"limits", "no server: two processes and one connection (control)"},
	[ONE_PROCESS] = {"one-process", "a crowd, and an epoll loop in one process"},
	[PROCESSES] = {"processes", "a crowd, and such processes as it takes"},
	{0}};

static const struct claim claims[] = {
	{"srv-crowd",
	 "one process serves any number of connections: an event loop needs no thread for each",
	 "one-process=processes", HOLDS,
	 .why = {[DEPENDS] =
			 "a connection is a descriptor, and a process may have only so many (RLIMIT_NOFILE). This server closes at once what is beyond."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "that send requests", "connections", .key = true},
	{"size_bytes", "of a request"},
	{.also = load_fields},
	{"rate_per_s", "in_window a second, of the first size"},
	{"large_rate_per_s", "the same of the second size"},
	{"crowd_connections", "that are to be served at a time"},
	{"asked_connections", "that are opened: of one process some more than its descriptors"},
	{"server_processes", "that share them"},
	{"files_limit", "descriptors that each of them may have"},
	{"beyond_errors",
	 "errors of the one process: of connections beyond its descriptors, which it closes"},
	{"pingpong_requests", "of the limits: one message under way"},
	{"pingpong_elapsed_ns", "the time it took"},
	{"bulk_requests", "many messages under way"},
	{"bulk_elapsed_ns", "the time it took"},
	{"bulk_window", "messages under way"},
	{0}};

static const struct bound bounds[] = {{"enough_connections", 1000, "fewer are no crowd"}, {0}};

static int64_t first_models = MODELS;
static int64_t connections = 10000;
static int64_t levels = 5;
static int64_t size = 64;
static int64_t large = 4096;
static int64_t crowd = 100000;
static int64_t files_limit;
static int64_t duration_ms = 60;

static const struct opt opts[] = {
	{0, "first", "models of the list below, from its begin", .num = &first_models, .min = 1,
	 .quick = 9, .max = MODELS},
	{'c', "connections", "at most, of each model", .num = &connections, .min = 2, .quick = 128,
	 .max = 1000000},
	{0, "levels", "numbers of connections, from 1 to those", .num = &levels, .min = 2,
	 .quick = 2, .max = 8},
	{'s', "size", "of a request", .num = &size, .min = 1, .max = 32768, .unit = OPT_BYTES},
	{0, "large", "a second size; none if it is the first", .num = &large, .min = 1, .quick = 64,
	 .max = 32768, .unit = OPT_BYTES},
	{0, "crowd", "connections at a time of one process, and of several", .num = &crowd,
	 .quick = 1000, .max = 1000000, .zero = "none"},
	{0, "files", "descriptors of each of these processes", .num = &files_limit, .min = 0,
	 .quick = 256, .max = 1000000, .zero = "as many as are allowed"},
	{'d', "duration", "of a load, without its warm-up", .num = &duration_ms, .min = 20,
	 .quick = 20, .max = 60000, .unit = OPT_MS},
	{0}};

/* --- the models ---------------------------------------------------------- */

static bool fits(const struct model *model, int64_t n)
{
	int64_t taken = model->taken_bytes ? model->taken_bytes : TAKEN_BYTES;

	return (model->most == 0 || n <= model->most) && n + OWN_FILES <= files_allow(INT64_MAX) &&
	       n * taken <= proc_number("/proc/meminfo", "MemAvailable:", 0) * 1024;
}

static void measure_cell(struct run *run, const struct model *model, int64_t n, int64_t bytes)
{
	struct row row = {.fields = {{"connections", n}, {"size_bytes", bytes}}, .n = 2};

	load_model(run, model, SERVER_CPU,
		   &(struct load_ask){.cpu = LOAD_CPU,
				      .connections = n,
				      .size_bytes = bytes,
				      .duration_ms = duration_ms},
		   &row);
	if (bytes == size)
		row_add(&row, (struct field[]){{"rate_per_s", load_rate(&row)}, {0}});
	if (bytes == large)
		row_add(&row, (struct field[]){{"large_rate_per_s", load_rate(&row)}, {0}});
	run_record(run, row.fields);
}

static void measure_model(struct run *run, const struct model *model)
{
	for (int64_t i = 0; i < levels && !run_stopped(); i++) {
		int64_t n = load_level(connections, i, levels);

		if (!fits(model, n))
			break;
		measure_cell(run, model, n, size);
		if (large != size && n < MANY && !model->script)
			measure_cell(run, model, n, large);
	}
}

/* --- the limits of this machine ------------------------------------------ */

static void measure_limits(struct run *run, int64_t bytes)
{
	static const char *const names[] = {"pingpong_requests", "pingpong_elapsed_ns",
					    "bulk_requests",     "bulk_elapsed_ns",
					    "bulk_window",       "wrong_bytes"};
	char path[PATH_MAX];
	const char *said;
	struct program program =
		program_start((const char *[]){program_tool("echo-limits", path), "--size",
					       text_format("%lld", (long long)bytes), "--duration",
					       text_format("%lld", (long long)duration_ms),
					       "--output", "-", NULL},
			      ALL_CPUS);
	json_t *limits = json_loadf(program.out, 0, NULL);
	struct row row = {.fields = {{"size_bytes", bytes}}, .n = 1};
	int status = program_end(&program, &said);

	if (!limits)
		errx(EXIT_USAGE, "echo-limits: %s", said);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		row_add(&row,
			(struct field[]){
				{names[i], json_integer_value(json_object_get(limits, names[i]))},
				{0}});
	row_add(&row, (struct field[]){{"errors", status != 0}, {0}});
	json_decref(limits);
	run_record(run, row.fields);
}

/* --- the crowd ----------------------------------------------------------- */

/* One process is asked for as many as it may have, and some more; several for all. */
static void measure_crowd(struct run *run, bool several)
{
	int64_t own = files_allow(INT64_MAX);
	int64_t allowed = files_limit ? files_limit : own;
	int64_t room = allowed - OWN_FILES;
	/* the kernel deals connections out by chance, so there is room for half as many again */
	int64_t processes = several ? (3 * crowd / 2 + room - 1) / room : 1;
	int64_t asked = several || crowd < room + BEYOND ? crowd : room + BEYOND;
	char *number = check_alloc(strdup(text_format("%lld", (long long)processes)));
	struct row row = {.fields = {{"asked_connections", asked},
				     {"size_bytes", size},
				     {"crowd_connections", crowd},
				     {"server_processes", processes},
				     {"files_limit", allowed}},
			  .n = 5};
	struct server server;

	program_limit_files(files_limit);
	server = server_start(run, &models[EPOLL], ALL_CPUS, asked,
			      (const char *[]){"--processes", number, NULL});
	program_limit_files(0);
	free(number);
	load_run(&server,
		 &(struct load_ask){.cpu = ALL_CPUS,
				    .connections = asked,
				    .size_bytes = size,
				    .processes = asked / (own - OWN_FILES) + 1,
				    .duration_ms = duration_ms},
		 &row);
	server_stop(&server);
	for (size_t i = 0; i < row.n && run_label(run) == ONE_PROCESS; i++)
		if (strcmp(row.fields[i].name, "errors") == 0)
			row.fields[i].name = "beyond_errors";
	run_record(run, row.fields);
}

static void measure(struct run *run)
{
	size_t variant = run_variant(run);

	if (variant < MODELS) {
		measure_model(run, run_how(run));
	} else if (variant == LIMITS) {
		measure_limits(run, size);
		if (large != size)
			measure_limits(run, large);
	} else {
		measure_crowd(run, variant == PROCESSES);
	}
}

/* --- judge --------------------------------------------------------------- */

/* Models that were not measured with all numbers of connections, and why; to be freed. */
static char *with_fewer(const struct run *run, bool shown)
{
	char *text = NULL;
	size_t length;
	const char *comma = "";
	FILE *out = check_alloc(open_memstream(&text, &length));

	for (size_t v = 0; v < MODELS; v++)
		if (run_selected(run, v) && models[v].most && models[v].most < connections) {
			fprintf(out, "%s%s %s (%s)", comma, models[v].name,
				text_count(models[v].most),
				translated_if(shown, models[v].most_why));
			comma = ", ";
		}
	fclose(out);
	return text;
}

static void note_limits(struct run *run)
{
	char *fewer = with_fewer(run, false);
	char *fewer_shown = with_fewer(run, true);

	if (*fewer)
		run_note(run, "with fewer connections were measured: {models}",
			 number_words("models", fewer, fewer_shown));
	free(fewer);
	free(fewer_shown);
	if (connections + OWN_FILES > files_allow(INT64_MAX))
		run_note(run, "a process may have {files} descriptors: no more connections here",
			 number_int("files", files_allow(INT64_MAX)));
}

static void judge(struct run *run)
{
	int64_t enough = (int64_t)run_bound(run, "enough_connections");
	struct share one = run_part(run, ONE_PROCESS, "served_connections", "crowd_connections");
	struct share all = run_part(run, PROCESSES, "served_connections", "crowd_connections");

	run_judge(
		run, "srv-crowd", by_case(always_happens(one, enough), always_happens(all, enough)),
		"one process served {one} connections at a time, as it may have {files} descriptors; {processes} processes served {all}",
		number_share("one", one),
		number_real("files", run_median(run, ONE_PROCESS, "files_limit")),
		number_real("processes", run_median(run, PROCESSES, "server_processes")),
		number_share("all", all));
	note_limits(run);
	load_note(run, MODELS);
	server_note_cpus(run);
}

static double limit_of(struct run *run, const char *requests, const char *elapsed_ns)
{
	return load_mean(run, LIMITS, requests, elapsed_ns,
			 (struct field[]){{"size_bytes", size}, {0}})
		       .mid *
	       1e9;
}

static void draw(struct run *run)
{
	double connection_bytes = run_median(run, PROCESSES, "grown_bytes") / (double)crowd;
	double kernel_bytes = run_median(run, PROCESSES, "kernel_grown_bytes") / (double)crowd;

	run_say(run, "Requests a second of %s, by connections:", text_bytes(size));
	run_grid(run, -1, "rate_per_s", NULL, "connections");
	if (large != size) {
		fputc('\n', run_out(run));
		run_say(run, "Of %s:", text_bytes(large));
		run_grid(run, -1, "large_rate_per_s", NULL, "connections");
	}
	fputc('\n', run_out(run));
	if (run_selected(run, LIMITS))
		run_say(run, "Limits of %s: ping-pong %s/s, bulk %s/s.", text_bytes(size),
			text_count(
				llround(limit_of(run, "pingpong_requests", "pingpong_elapsed_ns"))),
			text_count(llround(limit_of(run, "bulk_requests", "bulk_elapsed_ns"))));
	if (isfinite(kernel_bytes))
		run_say(run,
			"Of the crowd a connection takes %s bytes of the processes' memory and %s of the kernel's, for both ends.",
			text_count(llround(connection_bytes)), text_count(llround(kernel_bytes)));
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "crowd",
	.group = "echo",
	.order = 607,
	.summary = "How many connections can a server have, and how many requests answer?",
	.intro =
		"Closed loops of 1 to {connections} connections, {duration_ms} each; a crowd of {crowd} connections.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 1,
	.quick_trials = 1,
	.limit_s = 120,
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	models_leave_out(run, variants, first_models);
	for (size_t v = ONE_PROCESS; v <= PROCESSES && crowd == 0; v++)
		run_leave_out(run, v, "--crowd 0");
	while (run_next(run))
		measure(run);
	return run_end(run);
}
