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
 *
 * It may be a million connections, but not with a request each under way at a time: one that waits at
 * either end takes a page of the memory that TCP may have (tcp_mem), beyond which the kernel drops what
 * comes in.  So of a large crowd as many as fit there have one at a time, and take turns.
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
	HELD_BYTES = 10 << 10,  /* by one of a crowd, of both ends: 8.7 KB were measured */
	PAGES = 2,              /* of TCP's memory, by a request under way: one at each end */
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
	{"at_once_connections", "of the crowd that have a request under way at a time"},
	{.also = held_fields},
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
	 .quick = 1000, .max = 1 << 22, .zero = "none"},
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

/* Descriptors for connections in a process of the load, and in one of the server. */
static int64_t load_room(void)
{
	return files_allow(INT64_MAX) - OWN_FILES;
}

static int64_t server_room(void)
{
	return files_limit ? files_limit - OWN_FILES : load_room();
}

/* The kernel deals connections out by chance, so there is room for half as many again. */
static int64_t processes_for(int64_t n)
{
	return (3 * n / 2 + server_room() - 1) / server_room();
}

/* Connections with a request under way at a time for which TCP has memory without pressure. */
static int64_t at_once(int64_t n)
{
	int64_t most = proc_number("/proc/sys/net/ipv4/tcp_mem", "", INT64_MAX) / PAGES;

	return n < most ? n : most;
}

/* Where connections are tracked: entries that are left; else there is none. */
static int64_t conntrack_left(void)
{
	int64_t used = proc_number("/proc/sys/net/netfilter/nf_conntrack_count", "", 0);

	return used ? proc_number("/proc/sys/net/netfilter/nf_conntrack_max", "", 0) - used
		    : INT64_MAX;
}

/* Open files of all processes that are left. */
static int64_t files_left(void)
{
	return proc_number("/proc/sys/fs/file-max", "", INT64_MAX) -
	       proc_number("/proc/sys/fs/file-nr", "", 0);
}

/* Leaves out a crowd that is too large for what this machine has, and says for what. */
static void leave_out_too_large(struct run *run)
{
	const struct {
		int64_t needed, left;
		const char *what;
	} all[] = {
		{crowd * HELD_BYTES, proc_number("/proc/meminfo", "MemAvailable:", 0) * 1024,
		 "bytes of memory"},
		{2 * crowd, files_left(), "open files (fs.file-max)"},
		{2 * crowd, proc_number("/proc/sys/fs/epoll/max_user_watches", "", INT64_MAX),
		 "watches of epoll (fs.epoll.max_user_watches)"},
		{crowd, conntrack_left(), "entries of nf_conntrack"},
		{processes_for(crowd), MOST_PROCESSES, "processes of the server"},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].needed > all[i].left) {
			run_leave_out(run, PROCESSES, "%s",
				      text_format("%s connections need %s %s, of which %s are left",
						  text_count(crowd), text_count(all[i].needed),
						  all[i].what, text_count(all[i].left)));
			return;
		}
}

/* One process is asked for as many as it may have, and some more; several for all. */
static void measure_crowd(struct run *run, bool several)
{
	int64_t most = server_room() + BEYOND;
	int64_t processes = several ? processes_for(crowd) : 1;
	int64_t asked = several || crowd < most ? crowd : most;
	char *number = check_alloc(strdup(text_format("%lld", (long long)processes)));
	struct row row = {.fields = {{"asked_connections", asked},
				     {"size_bytes", size},
				     {"crowd_connections", crowd},
				     {"server_processes", processes},
				     {"files_limit", server_room() + OWN_FILES},
				     {"at_once_connections", at_once(asked)}},
			  .n = 6};
	struct server server;

	program_limit_files(files_limit);
	server = server_start(run, &models[EPOLL], ALL_CPUS, asked,
			      (const char *[]){"--processes", number, NULL});
	program_limit_files(0);
	free(number);
	server_await_sleep(&server); /* all of its processes have begun */
	load_run(&server,
		 &(struct load_ask){.cpu = ALL_CPUS,
				    .connections = asked,
				    .size_bytes = size,
				    .processes = asked / load_room() + 1,
				    .at_once = at_once(asked),
				    .held = true,
				    .duration_ms = duration_ms},
		 &row);
	server_await_sleep(&server); /* all connections are closed */
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

static bool any_model(const struct run *run)
{
	for (size_t v = 0; v < MODELS; v++)
		if (run_selected(run, v))
			return true;
	return false;
}

static void draw_models(struct run *run)
{
	run_say(run, "Requests a second of %s, by connections:", text_bytes(size));
	run_grid(run, -1, "rate_per_s", NULL, "connections");
	if (large != size) {
		fputc('\n', run_out(run));
		run_say(run, "Of %s:", text_bytes(large));
		run_grid(run, -1, "large_rate_per_s", NULL, "connections");
	}
	fputc('\n', run_out(run));
}

static void draw_held(struct run *run)
{
	double open = run_median(run, PROCESSES, "open_connections");
	double open_ns = run_median(run, PROCESSES, "open_ns");

	run_say(run,
		"%s connections were open at a time, opened in %s, %s a second; resident were then %s of the server's processes and %s of the load's.",
		text_count(llround(open)), text_time(open_ns),
		text_count(llround(open / open_ns * 1e9)),
		text_bytes(llround(run_median(run, PROCESSES, "server_rss_bytes"))),
		text_bytes(llround(run_median(run, PROCESSES, "load_rss_bytes"))));
}

static void draw(struct run *run)
{
	double connection_bytes = run_median(run, PROCESSES, "grown_bytes") / (double)crowd;
	double kernel_bytes = run_median(run, PROCESSES, "kernel_grown_bytes") / (double)crowd;

	if (any_model(run))
		draw_models(run);
	if (run_selected(run, LIMITS))
		run_say(run, "Limits of %s: ping-pong %s/s, bulk %s/s.", text_bytes(size),
			text_count(
				llround(limit_of(run, "pingpong_requests", "pingpong_elapsed_ns"))),
			text_count(llround(limit_of(run, "bulk_requests", "bulk_elapsed_ns"))));
	if (isfinite(kernel_bytes))
		run_say(run,
			"Of the crowd a connection takes %s bytes of the processes' memory and %s of the kernel's, for both ends.",
			text_count(llround(connection_bytes)), text_count(llround(kernel_bytes)));
	if (isfinite(kernel_bytes))
		draw_held(run);
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
	.limit_s = 1800, /* a million connections take minutes to open, serve and close */
	.judge = judge,
	.draw = draw,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	if (server_room() < 1 || load_room() < 1)
		errx(EXIT_USAGE, "%s descriptors a process are too few: it needs %d of its own",
		     text_count((server_room() < load_room() ? server_room() : load_room()) +
				OWN_FILES),
		     OWN_FILES + 1);
	models_leave_out(run, variants, first_models);
	for (size_t v = ONE_PROCESS; v <= PROCESSES && crowd == 0; v++)
		run_leave_out(run, v, "--crowd 0");
	if (run_selected(run, PROCESSES))
		leave_out_too_large(run);
	while (run_next(run))
		measure(run);
	return run_end(run);
}
