/* SPDX-License-Identifier: MIT */
/*
 * ideal - is there a server that blocks least, overlaps I/O with other work, and uses the fewest
 * threads and the least CPU and memory?
 *
 * Each model is measured on the four criteria:
 *
 *	blocks    how often its threads sleep for a request, in a closed loop.  There are four of them in a
 *	          trial, some time apart, and the best one counts: what else the host runs on a CPU's other
 *	          hardware thread makes a request take half as much CPU time again for a second, and a
 *	          load that is as slow lets the server sleep
 *	overlaps  at a rate that all of them can serve (an open loop) a counting program with the least
 *	          priority (SCHED_IDLE) shares the server's CPU: the share of the CPU it gets is work
 *	          that is done beside the requests.  A server that spins leaves none
 *	threads   how many there are, in that closed loop
 *	CPU, memory  of a request in that loop, and of a connection that is held: half a criterion each
 *
 * A model's rank on a criterion is one more than the number of models that are better by a stated
 * margin, with the whole interval.  A first place counts where the criterion sets any models apart: a
 * tie of all is none.  With many idle connections beside, a first one must keep its rate as well.
 */
#include <err.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "language.h"
#include "lib/load.h"
#include "lib/rank.h"
#include "scratch.h"
#include "span.h"
#include "text.h"

enum { BUSY = 16, LEAST_IDLE = 100, RATE_PART = 4, LEAST_RATE = 1000, LOOPS = 4, SHORTEST_MS = 20 };

static const struct variant variants[] = {MODEL_VARIANTS, {0}};

static const struct claim claims[] = {
	{"srv-ideal",
	 "the ideal server blocks least, overlaps I/O with work, uses the fewest threads and the least CPU and memory",
	 "*=epoll", NOT_SEEN,
	 .why = {[HOLDS] =
			 "one thread that waits for all connections in one call has no stack for each, sleeps only when none is ready, and leaves the CPU to others then."}},
	{0}};

static const struct row_field fields[] = {
	{"connections", "of the closed loop"},
	{"cpu_of_all_ns", "CPU time of the server in all of the trial's closed loops"},
	{"requests_of_all", "answered in them"},
	{"fewest_sleeps", "of the server's threads, in the loop with the fewest for a request"},
	{"fewest_sleeps_requests",
	 "answered in that; what follows is of the loop with the least CPU time for one"},
	{.also = load_fields},
	{.also = load_columns},
	{.also = memory_fields},
	{"rate_per_s", "requests a second of the open loop, of 16 connections"},
	{"open_requests", "answered in it"},
	{"work_ns", "CPU time that the other program got on the server's CPU meanwhile",
	 "other work|done", .per = "work_elapsed_ns"},
	{"work_elapsed_ns", "from the start of the open loop's load to its end"},
	{"open_p50_ns", "latency from when a request was due", "open loop|p50"},
	{"open_p99_ns", "99th percentile", "open loop|p99"},
	{"open_p999_ns", "99.9th percentile", "open loop|p99.9"},
	{"open_max_ns", "longest"},
	{"open_errors", "as errors, of the open loop", .zero = true, .sham = "greet"},
	{"idle_connections",
	 "that never ask, beside 16 that do; absent where they are not measured"},
	{"idle_rate_per_s", "requests answered a second beside them", "of it beside|idle ones",
	 .per = "alone_rate_per_s"},
	{"alone_rate_per_s", "the same without them"},
	{"idle_grown_bytes", "the server's own memory that they take", "bytes an|idle one",
	 .per = "idle_connections"},
	{"at_most_ns", "a point of the open loop's latencies: so long at most", .row = "curve"},
	{"beyond_ppm", "millionths of the requests that took longer", .row = "curve"},
	{0}};

static const struct bound bounds[] = {
	{"alike_ratio", 0.75,
	 "a difference of less than a quarter is none: by a fifth now one of two alike is better, now the other"},
	{"step_sleeps", 0.1, "nor is one of less than a sleep in ten requests,"},
	{"step_share", 0.02, "2 % of a CPU,"},
	{"step_threads", 0.5, "half a thread,"},
	{"step_ns", 100, "0.1 us of CPU a request,"},
	{"step_bytes", 100, "or 100 bytes a connection"},
	{"kept_rate_ratio", 0.9, "of the rate without idle connections: a tenth less is a loss"},
	{0}};

static const struct criterion criteria[RANK_CRITERIA] = {
	{MESSAGE("blocks"), "fewest_sleeps", "fewest_sleeps_requests", "step_sleeps", 1},
	{MESSAGE("overlaps"), "work_ns", "work_elapsed_ns", "step_share", 1, .more = true},
	{MESSAGE("threads"), "threads", NULL, "step_threads", 1},
	{"CPU", "server_cpu_ns", "requests", "step_ns", 0.5},
	{MESSAGE("memory"), "memory_bytes", "more_connections", "step_bytes", 0.5},
};

static int64_t first_models = MODELS;
static int64_t connections = 128;
static int64_t held = 200;
static int64_t idle = 1000;
static int64_t rate; /* 0 = calibrated */
static int64_t duration_ms = 60;

static const struct opt opts[] = {
	{0, "first", "models of the list below, from its begin", .num = &first_models, .min = 1,
	 .quick = 4, .max = MODELS},
	{'c', "connections", "of the closed loop", .num = &connections, .min = 2, .max = 1000},
	{0, "held", "connections whose memory is looked at", .num = &held, .min = 2, .quick = 100,
	 .max = 1000},
	{0, "idle", "connections that never ask; fewer than 100 are not measured", .num = &idle,
	 .quick = 1, .max = 100000},
	{'r', "rate", "requests a second of the open loop", .num = &rate, .max = 1000000,
	 .zero = "a quarter of what the thread model answers"},
	{'d', "duration", "of a load, without its warm-up; of each closed loop half of it",
	 .num = &duration_ms, .min = SHORTEST_MS, .quick = 24, .max = 60000, .unit = OPT_MS},
	{0}};

/* --- the open loop, with other work beside ------------------------------- */

/* Counts on the server's CPU, whenever nobody else wants to run there, until it is killed. */
static pid_t start_work(void)
{
	const struct sched_param none = {0};
	pid_t child = child_fork();
	volatile uint64_t count = 0;

	if (child > 0)
		return child;
	run_pin(SERVER_CPU);
	if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
		_exit(EXIT_USAGE);
	for (;;)
		count = count + 1;
}

/* The points of a curve: value in ms, percentile, count, 1 / (1 - percentile). */
static void record_curve(struct run *run, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256];
	double ms, share;

	while (file && fgets(line, sizeof(line), file)) {
		/* NOLINTNEXTLINE(cert-err34-c): what is no point is a heading */
		if (sscanf(line, " %lf %lf %*d %*f", &ms, &share) != 2)
			continue;
		run_row(run, "curve",
			(struct field[]){{"at_most_ns", llround(ms * 1e6)},
					 {"beyond_ppm", llround((1 - share) * 1e6)},
					 {0}});
	}
	if (file)
		fclose(file);
}

static void measure_overlap(struct run *run, const struct model *model, struct row *row)
{
	struct server server = server_start(run, model, SERVER_CPU, BUSY, NULL);
	const char *path = scratch_path("hgrm");
	struct row load = {.n = 0};
	pid_t work = start_work();
	int64_t begin_ns = span_now();
	int64_t begin_cpu_ns = program_cpu_ns(work);

	load_run(&server,
		 &(struct load_ask){.cpu = LOAD_CPU,
				    .connections = BUSY,
				    .rate = rate,
				    .hgrm = path,
				    .duration_ms = duration_ms},
		 &load);
	row_add(row, (struct field[]){{"work_ns", program_cpu_ns(work) - begin_cpu_ns},
				      {"work_elapsed_ns", span_now() - begin_ns},
				      {"rate_per_s", rate},
				      {"open_requests", row_number(&load, "requests")},
				      {"open_errors", row_number(&load, "errors")},
				      {0}});
	if (row_number(&load, "requests") > 0)
		row_add(row, (struct field[]){{"open_p50_ns", row_number(&load, "p50_ns")},
					      {"open_p99_ns", row_number(&load, "p99_ns")},
					      {"open_p999_ns", row_number(&load, "p999_ns")},
					      {"open_max_ns", row_number(&load, "max_ns")},
					      {0}});
	kill(work, SIGKILL);
	server_stop(&server); /* first: beside one that spins the other would take long to end */
	check_fd(waitpid(work, NULL, 0), "waitpid");
	record_curve(run, path);
}

/* --- the other loads ----------------------------------------------------- */

/* Requests a second of a closed loop with so many idle connections beside; *grown: memory then. */
static int64_t closed_rate(const struct run *run, const struct model *model, int64_t asking,
			   int64_t idlers, int64_t *grown)
{
	struct row row = {.n = 0};

	load_model(run, model, SERVER_CPU,
		   &(struct load_ask){.cpu = LOAD_CPU,
				      .connections = asking,
				      .idle = idlers,
				      .duration_ms = duration_ms},
		   &row);
	*grown = row_number(&row, "grown_bytes");
	return load_rate(&row);
}

static void measure_idle(const struct run *run, const struct model *model, struct row *row)
{
	int64_t without, with;
	int64_t alone = closed_rate(run, model, BUSY, 0, &without);
	int64_t beside = closed_rate(run, model, BUSY, idle, &with);

	row_add(row, (struct field[]){{"idle_connections", idle},
				      {"alone_rate_per_s", alone},
				      {"idle_rate_per_s", beside},
				      {"idle_grown_bytes", with > without ? with - without : 0},
				      {0}});
}

static void closed_loop(const struct run *run, const struct model *model, struct row *row)
{
	load_model(run, model, SERVER_CPU,
		   &(struct load_ask){.cpu = LOAD_CPU,
				      .connections = connections,
				      .duration_ms = duration_ms / 2 > SHORTEST_MS ? duration_ms / 2
										   : SHORTEST_MS},
		   row);
}

static double for_a_request(const struct row *loop, const char *what)
{
	int64_t requests = row_number(loop, "requests");

	return requests ? (double)row_number(loop, what) / (double)requests : INFINITY;
}

static struct row *least_of(struct row loops[LOOPS], const char *what)
{
	struct row *least = &loops[0];

	for (size_t i = 1; i < LOOPS; i++)
		if (for_a_request(&loops[i], what) < for_a_request(least, what))
			least = &loops[i];
	return least;
}

static int64_t sum_of(const struct row loops[LOOPS], const char *what)
{
	int64_t sum = 0;

	for (size_t i = 0; i < LOOPS; i++)
		sum += row_number(&loops[i], what);
	return sum;
}

/* Of the closed loops the best one, but nothing that is wrong in any of them is lost. */
static void add_loops(struct row *row, struct row loops[LOOPS])
{
	struct row *cheapest = least_of(loops, "server_cpu_ns");
	const struct row *calmest = least_of(loops, "voluntary_switches");

	row_add(row, (struct field[]){{"cpu_of_all_ns", sum_of(loops, "server_cpu_ns")},
				      {"requests_of_all", sum_of(loops, "requests")},
				      {"fewest_sleeps", row_number(calmest, "voluntary_switches")},
				      {"fewest_sleeps_requests", row_number(calmest, "requests")},
				      {0}});
	row_set(cheapest, "errors", sum_of(loops, "errors"));
	row_set(cheapest, "wrong_bytes", sum_of(loops, "wrong_bytes"));
	row_add(row, cheapest->fields);
}

static void measure(struct run *run)
{
	const struct model *model = run_how(run);
	struct row row = {.fields = {{"connections", connections}}, .n = 1};
	struct row loops[LOOPS] = {{.n = 0}};

	closed_loop(run, model, &loops[0]);
	server_memory(run, model, held, &row);
	closed_loop(run, model, &loops[1]);
	measure_overlap(run, model, &row);
	closed_loop(run, model, &loops[2]);
	if (idle >= LEAST_IDLE && (model->most == 0 || model->most >= BUSY + idle))
		measure_idle(run, model, &row);
	closed_loop(run, model, &loops[3]);
	add_loops(&row, loops);
	run_record(run, row.fields);
}

/* --- judge --------------------------------------------------------------- */

/* Not shown to lose a tenth of its rate by idle connections, where they were measured. */
static bool bears_idle(struct run *run, size_t v)
{
	struct interval kept;

	if (idle < LEAST_IDLE)
		return true;
	kept = run_ratio(run, run_values(run, v, "idle_rate_per_s"),
			 run_values(run, v, "alone_rate_per_s"));
	return kept.high >= run_bound(run, "kept_rate_ratio");
}

static void judge(struct run *run)
{
	struct number numbers[RANK_VARIANTS + 8] = {{0}};
	struct ranking ranking;
	bool bears[RANK_VARIANTS];
	char *texts[RANK_VARIANTS];
	char *first = NULL;
	size_t size, n;
	size_t fit = 0;
	FILE *names = check_alloc(open_memstream(&first, &size));
	enum verdict verdict;

	rank_all(run, criteria, MODELS, &ranking);
	for (size_t i = 0; i < ranking.n; i++) {
		const struct rank *rank = &ranking.ranks[i];

		texts[i] = rank_text(rank);
		numbers[i] = number_text(variants[rank->variant].name, texts[i]);
		bears[i] = bears_idle(run, rank->variant);
		if (bears[i] && rank_is_first(rank) == HOLDS)
			fprintf(names, "%s%s", fit++ ? ", " : "", variants[rank->variant].name);
	}
	fclose(names);
	n = ranking.n;
	numbers[n++] = number_int("models", (int64_t)ranking.n);
	numbers[n++] = number_int("selected", (int64_t)ranking.selected);
	numbers[n++] = number_text("first", first);
	numbers[n++] =
		number_text("best", ranking.n ? variants[ranking.ranks[0].variant].name : "none");
	numbers[n++] = number_real("sum", ranking.n ? ranking.ranks[0].sum : NAN);
	verdict = rank_verdict(&ranking, bears);
	run_judge_with(
		run, "srv-ideal", verdict,
		!rank_is_whole(&ranking)
			? MESSAGE("{models} of {selected} models have an interval on each criterion, which is too few to compare")
		: rank_tells(&ranking) == REFUTED
			? MESSAGE("a tie of all on one criterion at least is no first place there; {models} models")
		: verdict == HOLDS
			? MESSAGE("first on all four criteria, among {models} models: {first}")
		: verdict == UNCLEAR
			? MESSAGE("of {models} models some are perhaps first on all four criteria, or all are perhaps alike on one; the least sum of ranks is {sum}, of {best}")
			: MESSAGE("none of {models} models is first on all four criteria; the least sum of ranks is {sum}, of {best}"),
		numbers);
	for (size_t i = 0; i < ranking.n; i++)
		free(texts[i]);
	free(first);
	load_note(run, MODELS);
	server_note_cpus(run);
}

static void draw(struct run *run)
{
	struct ranking ranking;

	rank_all(run, criteria, MODELS, &ranking);
	if (ranking.n == 0)
		return;
	run_say(run,
		"Ranks: one more than how many models are better by a quarter and a step, with the whole interval; CPU and memory count half each.");
	fputs("\n  ", run_out(run));
	text_pad(run_out(run), translated("variant"), 15);
	for (size_t c = 0; c < RANK_CRITERIA; c++)
		text_pad(run_out(run), translated(criteria[c].name), -10);
	text_pad(run_out(run), translated("sum"), -8);
	fputc('\n', run_out(run));
	for (size_t i = 0; i < ranking.n; i++) {
		fprintf(run_out(run), "  %-15s", variants[ranking.ranks[i].variant].name);
		for (size_t c = 0; c < RANK_CRITERIA; c++)
			fprintf(run_out(run), "%10d", ranking.ranks[i].of[c]);
		fprintf(run_out(run), "%8g\n", ranking.ranks[i].sum);
	}
	fputc('\n', run_out(run));
}

static const struct experiment about = {
	.name = "ideal",
	.group = "echo",
	.order = 606,
	.summary = "Which server is ideal: blocks least, overlaps most, uses least?",
	.intro =
		"Closed loop of {connections} connections; open loop of {rate} requests/s of 16; 64 bytes a request, for {duration_ms} each; memory of {held} connections.",
	.claims = claims,
	.opts = opts,
	.variants = variants,
	.fields = fields,
	.bounds = bounds,
	.trials = 12,
	.quick_trials = 7,
	.timed = true,
	.judge = judge,
	.draw = draw,
	.scatter = "server_cpu_ns",
};

/* What is not compared here. */
static void leave_out(struct run *run)
{
	for (size_t v = 0; v < MODELS; v++) {
		if (models[v].script)
			run_leave_out(run, v, "the models in C are compared");
		else if (models[v].most == 1)
			run_leave_out(run, v, "%s", models[v].most_why);
	}
	models_leave_out(run, variants, first_models);
}

/* What busy neighbours take away is no rate of a model: the best of three. */
static int64_t calibrate(const struct run *run)
{
	int64_t best = (int64_t)LEAST_RATE * RATE_PART;
	int64_t grown;

	for (int i = 0; i < 3; i++) {
		int64_t found = closed_rate(run, &models[THREAD], connections, 0, &grown);

		best = found > best ? found : best;
	}
	return best / RATE_PART;
}

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);

	leave_out(run);
	scratch_begin();
	if (rate == 0)
		rate = calibrate(run);
	while (run_next(run))
		measure(run);
	scratch_end();
	return run_end(run);
}
