/* SPDX-License-Identifier: MIT */
#include "load_merge.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "exp.h"
#include "load_barrier.h"
#include "opt.h"
#include "rows.h"
#include "text.h"

enum { INDENT = 15, STRING = 4096 };

static const double mostly = 0.9; /* of the window: else rates of different times are added */

enum kind { RUN, SAMPLE, HISTOGRAM, BARRIER, END, KINDS };

static const char *const kinds[KINDS] = {"run", "sample", "histogram", "barrier", "end"};

/* What one generator has written. */
struct part {
	const char *path;
	json_t *row[KINDS];
	json_t *common;
	json_int_t generator, generators, began_within_ns;
	const char *barrier;
	int64_t connections, idle, at_once, rate, workers;
};

/* --- reading ----------------------------------------------------------------- */

/* Keeps the row if it is one of those that are merged. */
static void take_row(struct part *part, int64_t line, json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "row"));

	if (!name)
		errx(EXIT_USAGE, "%s: line %s is no row", part->path, text_count(line));
	for (int k = 0; k < KINDS; k++) {
		if (strcmp(name, kinds[k]) != 0)
			continue;
		if (part->row[k])
			errx(EXIT_USAGE, "%s: line %s: a second %s row", part->path,
			     text_count(line), kinds[k]);
		part->row[k] = json_incref(row);
	}
}

static void read_rows(struct part *part)
{
	FILE *file = fopen(part->path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	if (!file)
		err(EXIT_USAGE, "%s", part->path);
	for (int64_t n = 1; (length = getline(&line, &size, file)) > 0; n++) {
		json_t *row = json_loadb(line, (size_t)length, JSON_REJECT_DUPLICATES, NULL);

		take_row(part, n, row);
		json_decref(row);
	}
	if (ferror(file))
		err(EXIT_USAGE, "%s", part->path);
	fclose(file);
	free(line);
	for (int k = 0; k < KINDS; k++)
		if (!part->row[k])
			errx(EXIT_USAGE, "%s: has no %s row%s", part->path, kinds[k],
			     k == BARRIER ? ": only generators of one --barrier are merged" : "");
}

/* A string that a line of text can show. */
static bool is_clean(const json_t *string)
{
	const char *text = json_string_value(string);
	size_t length = json_string_length(string);

	for (size_t i = 0; text && i < length; i++)
		if (text_control(text + i, length - i))
			return false;
	return text && length <= STRING;
}

/* A parameter that is a number of [0, 2^32); none has more. */
static int64_t param(const struct part *part, const char *name)
{
	const json_t *value = json_object_get(json_object_get(part->row[RUN], "params"), name);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || number > UINT32_MAX)
		errx(EXIT_USAGE, "%s: params: %s is not right", part->path, name);
	return number;
}

static void read_run(struct part *part)
{
	static const char *const strings[] = {"host", "size", "arrivals", NULL};
	const json_t *name = json_object_get(part->row[RUN], "experiment");

	if (!json_is_string(name) || strcmp(json_string_value(name), "echo-load") != 0)
		errx(EXIT_USAGE, "%s: not of echo-load", part->path);
	part->common = load_common(part->row[RUN]);
	for (int i = 0; strings[i]; i++)
		if (!is_clean(json_object_get(part->common, strings[i])))
			errx(EXIT_USAGE, "%s: params: %s is not right", part->path, strings[i]);
	param(part, "port");
	part->connections = param(part, "connections");
	part->idle = param(part, "idle");
	part->at_once = param(part, "at_once");
	part->rate = param(part, "rate");
	part->workers = param(part, "threads") * param(part, "processes");
	if (!json_is_null(json_object_get(part->row[END], "interrupted")))
		errx(EXIT_USAGE, "%s: was interrupted", part->path);
}

static void read_barrier(struct part *part)
{
	if (json_unpack(part->row[BARRIER], "{s:s,s:I,s:I,s:I}", "id", &part->barrier, "generator",
			&part->generator, "generators", &part->generators, "began_within_ns",
			&part->began_within_ns) != 0 ||
	    part->generator < 0 || part->generator >= part->generators || part->began_within_ns < 0)
		errx(EXIT_USAGE, "%s: its barrier row is not right", part->path);
}

/* --- whether they belong together -------------------------------------------- */

static void check_version(const struct part *part, const json_t *own)
{
	static const char *const keys[] = {"schema", "version", "commit", NULL};
	json_t *wanted = json_object();
	json_t *found = json_object();
	const char *difference;

	for (int i = 0; keys[i]; i++) {
		json_object_set(wanted, keys[i], json_object_get(own, keys[i]));
		json_object_set(found, keys[i], json_object_get(part->row[RUN], keys[i]));
	}
	difference = load_difference(wanted, found);
	if (difference)
		errx(EXIT_USAGE, "%s: of another version: %s", part->path, difference);
	json_decref(wanted);
	json_decref(found);
}

static void check_pair(const struct part *one, const struct part *other)
{
	const char *difference = load_difference(one->common, other->common);

	if (difference)
		errx(EXIT_USAGE, "%s and %s differ: %s", one->path, other->path, difference);
	if (strcmp(one->barrier, other->barrier) != 0)
		errx(EXIT_USAGE, "%s and %s are not of the same barrier", one->path, other->path);
	if (one->generator == other->generator)
		errx(EXIT_USAGE, "%s and %s are of the same generator", one->path, other->path);
}

static void check_all(const struct part *parts, int n, const json_t *own)
{
	for (int i = 0; i < n; i++) {
		check_version(&parts[i], own);
		for (int k = 0; k < i; k++)
			check_pair(&parts[k], &parts[i]);
	}
	if (parts[0].generators != n)
		errx(EXIT_USAGE, "%s: one of %s generators, and the files are of %s", parts[0].path,
		     text_count(parts[0].generators), text_count(n));
}

/* --- adding up --------------------------------------------------------------- */

static void add_plans(struct load_plan *plan, const struct part *parts, int n)
{
	const json_t *common = parts[0].common;
	const char *host = json_string_value(json_object_get(common, "host"));
	char *name;

	for (int i = 0; i < n; i++) {
		plan->connections += parts[i].connections;
		plan->idle += parts[i].idle;
		plan->at_once += parts[i].at_once ? parts[i].at_once : parts[i].connections;
		plan->rate += parts[i].rate;
		plan->workers += parts[i].workers;
	}
	if (plan->at_once == plan->connections)
		plan->at_once = 0; /* none takes turns */
	if (asprintf(&name, strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host,
		     (long long)param(&parts[0], "port")) < 0)
		err(EXIT_USAGE, "no memory");
	plan->server_name = name;
	plan->sizes_text = json_string_value(json_object_get(common, "size"));
	plan->arrivals = json_string_value(json_object_get(common, "arrivals"));
}

static json_t *generator_row(const struct part *part, const struct load_result *result)
{
	json_t *row = json_deep_copy(part->row[SAMPLE]);

	json_object_set_new(row, "row", json_string("generator"));
	json_object_set_new(row, "name", rows_text(part->path));
	json_object_set_new(row, "limit", json_string(load_limit(result)));
	json_object_set(row, "run", part->row[RUN]);
	return row;
}

/* The params of the merged run row: what all have in common, and the sums. */
static void merge_params(json_t *run, const struct load_plan *plan, const struct part *first, int n)
{
	json_t *params = json_object();
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(first->row[RUN], "params"), key,
			    value) if (json_object_get(first->common, key))
		json_object_set(params, key, value);
	rows_add(params, (struct field[]){{"generators", n},
					  {"connections", plan->connections},
					  {"idle", plan->idle},
					  {"at_once", plan->at_once},
					  {"rate", plan->rate},
					  {0}});
	json_object_set_new(run, "params", params);
}

static void make_rows(struct load_merged *merged, const struct part *parts, json_t *run)
{
	json_t *sample = json_pack("{s:s,s:i}", "row", "sample", "trial", 0);
	json_t *histogram = json_pack("{s:s,s:i}", "row", "histogram", "trial", 0);

	merge_params(run, &merged->plan, &parts[0], (int)merged->generators);
	load_record(sample, &merged->result);
	rows_add(sample, (struct field[]){{"generators", merged->generators},
					  {"overlap_ns", merged->overlap_ns},
					  {0}});
	histogram_record(&merged->result.all.latency, histogram);
	merged->rows = json_pack("[o,o,o]", run, sample, histogram);
	for (int64_t i = 0; i < merged->generators; i++)
		json_array_append_new(merged->rows,
				      generator_row(&parts[i], &merged->all[i].result));
}

static void sum_up(struct load_merged *merged, const struct part *parts, int n)
{
	struct load_tally *tallies = check_alloc(calloc((size_t)n, sizeof(*tallies)));
	const struct load_plan each = {.workers = n};
	int64_t shortest_ns = INT64_MAX;

	merged->right = true;
	for (int i = 0; i < n; i++) {
		struct load_generator *one = &merged->all[i];
		const char *wrong = load_read(parts[i].row[SAMPLE], parts[i].row[HISTOGRAM],
					      &tallies[i], &one->result);

		if (wrong)
			errx(EXIT_USAGE, "%s: %s is not right", parts[i].path, wrong);
		one->name = parts[i].path;
		if (one->result.elapsed_ns < shortest_ns)
			shortest_ns = one->result.elapsed_ns;
		merged->right = merged->right &&
				json_is_true(json_object_get(parts[i].row[END], "controls_held"));
	}
	load_count(&merged->result, &each, tallies);
	for (int i = 0; i < n; i++)
		load_add_generator(&merged->result, &merged->all[i].result);
	merged->right = merged->right && !merged->result.errors;
	merged->overlap_ns =
		shortest_ns > parts[0].began_within_ns ? shortest_ns - parts[0].began_within_ns : 0;
	free(tallies);
}

static void drop_parts(struct part *parts, int n)
{
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < KINDS; k++)
			json_decref(parts[i].row[k]);
		json_decref(parts[i].common);
	}
	free(parts);
}

void load_merge(struct load_merged *merged, int n, char *const paths[], json_t *run)
{
	struct part *parts = check_alloc(calloc((size_t)n + 1, sizeof(*parts)));

	*merged = (struct load_merged){.generators = n};
	merged->all = check_alloc(calloc((size_t)n + 1, sizeof(*merged->all)));
	if (n < 1 || n > BARRIER_GENERATORS)
		errx(EXIT_USAGE, "--merge: %s files, which is not in the range 1 to %s",
		     text_count(n), text_count(BARRIER_GENERATORS));
	for (int i = 0; i < n; i++) {
		opt_readable("--merge", paths[i]);
		parts[i].path = paths[i];
		read_rows(&parts[i]);
		read_run(&parts[i]);
		read_barrier(&parts[i]);
	}
	check_all(parts, n, run);
	add_plans(&merged->plan, parts, n);
	sum_up(merged, parts, n);
	make_rows(merged, parts, run);
	drop_parts(parts, n); /* the texts that are printed are in the merged rows, too */
}

/* --- for people -------------------------------------------------------------- */

static const char *limit_text(const struct load_result *one)
{
	const char *limit = load_limit(one);
	double elapsed = (double)one->elapsed_ns;

	if (strcmp(limit, "cpu") == 0)
		return text_format(
			"its CPU was the limit: its busiest thread ran %s of the time and waited for a CPU %s",
			text_share((double)one->thread_cpu_ns / elapsed),
			text_share((double)one->thread_ready_ns / elapsed));
	if (strcmp(limit, "late") == 0)
		return text_format(
			"it was late itself: %s of its requests were sent more than %s late",
			text_count(one->all.count[LOAD_LATE_SENDS]),
			text_time((double)load_late_ns));
	if (strcmp(limit, "ports") == 0)
		return "its ports were the limit: none was left";
	return "at no limit of its own";
}

/* Rates are over the same time, so that they add up. */
static void print_generator(FILE *out, const struct load_merged *merged,
			    const struct load_generator *one)
{
	const struct load_result *result = &one->result;
	double all = (double)merged->result.all.count[LOAD_IN_WINDOW];
	double own = (double)result->all.count[LOAD_IN_WINDOW];

	fprintf(out, "  %s\n%*s", one->name, INDENT, "");
	text_wrap(out, INDENT, INDENT,
		  text_format("%s/s, %s of all, p99 %s; %s",
			      text_count((int64_t)(own * 1e9 / (double)merged->result.elapsed_ns +
						   0.5)),
			      text_share(all > 0 ? own / all : 0),
			      text_time((double)histogram_quantile(&result->all.latency, 0.99)),
			      limit_text(result)));
}

void load_merge_print(FILE *out, const struct load_merged *merged)
{
	const struct load_result *result = &merged->result;
	int64_t limited = 0;

	load_print(out, &merged->plan, result);
	fprintf(out, "  generators   %s, which all measured for %s of %s at least\n",
		text_count(merged->generators), text_time((double)merged->overlap_ns),
		text_time((double)result->elapsed_ns));
	for (int64_t i = 0; i < merged->generators; i++) {
		limited += strcmp(load_limit(&merged->all[i].result), "none") != 0;
		print_generator(out, merged, &merged->all[i]);
	}
	if ((double)merged->overlap_ns < mostly * (double)result->elapsed_ns)
		load_print_note(
			out,
			"the windows overlapped too little: rates of different times were added.");
	if (limited)
		load_print_note(
			out,
			text_format(
				"%s of %s generators reached a limit of their own, so perhaps not the server was the bottleneck.",
				text_count(limited), text_count(merged->generators)));
	else if (!merged->plan.rate || result->all.count[LOAD_UNANSWERED])
		load_print_note(
			out,
			"no generator reached a limit of its own: the bottleneck was the server, or what is between.");
}
