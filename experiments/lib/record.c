/* SPDX-License-Identifier: MIT */
/*
 * The rows of a run: kept for judge(), written when it is known whether their trial was disturbed,
 * ended once.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "run.h"

void record_row(struct run *run, json_t *row)
{
	int error = run->rows ? rows_write(run->rows, row) : 0;

	json_decref(row);
	if (!error)
		return;
	rows_drop(run->rows);
	run->rows = NULL;
	errno = error;
	err(EXIT_USAGE, "%s: the rows are lost", run->options.output);
}

static json_t *params_of(const struct run *run)
{
	json_t *left_out = json_object();
	json_t *params = options_params(run->about, &run->options);
	const struct variant *variants = run->about->variants;

	for (size_t i = 0; variants && variants[i].name; i++)
		if (run->left_out[i])
			json_object_set_new(left_out, variants[i].name,
					    rows_text(run->left_out[i]));
	if (json_object_size(left_out) > 0)
		json_object_set(params, "left_out", left_out);
	json_decref(left_out);
	return params;
}

/*
 * Writes the run row, the first time: as late as that, because a program may calibrate its
 * options.
 */
void record_describe(struct run *run)
{
	static const char *const tables[] = {"claims", "variants", "fields", "bounds", "shams"};
	const struct experiment *about = run->about;
	json_t *row;

	if (run->described)
		return;
	run->described = true;
	row = json_pack("{s:s,s:i,s:s,s:s,s:i,s:b,s:s,s:s?}", "row", "run", "schema", ROWS_SCHEMA,
			"experiment", about->name, "group", about->group, "order", about->order,
			"timed", about->timed, "summary", about->summary, "sham",
			run->options.sham);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		json_object_set_new(row, tables[i], declare_table(run, tables[i]));
	json_object_set_new(row, "params", params_of(run));
	if (run->peer)
		json_object_set(row, "peer", run->peer);
	machine_describe(row);
	record_row(run, row);
}

/* --- the window: trials whose disturbance is measured together ----------- */

void record_begin_trial(struct run *run)
{
	if (run->window_trials++ == 0)
		disturbance_read(&run->window);
}

/* Under the lock.  The rows of the window with what disturbed it, NULL for nothing. */
static void write_window(struct run *run, const struct disturbance *d, const char *cause)
{
	json_t *row;
	size_t i;

	json_array_foreach(run->pending, i, row)
	{
		if (cause && strcmp(json_string_value(json_object_get(row, "row")), "sample") == 0)
			json_object_set_new(row, "disturbed", json_string(cause));
		record_row(run, json_incref(row));
	}
	json_array_clear(run->pending);
	row = json_pack("{s:s,s:I,s:s?}", "row", "disturbance", "trials",
			(json_int_t)run->window_trials, "cause", cause);
	rows_add(row, (struct field[]){{"wall_ns", d->wall_ns},
				       {"involuntary_switches", d->involuntary_switches},
				       {"stops", d->stops},
				       {0}});
	if (d->foreign_ns >= 0)
		rows_add(row, (struct field[]){{"foreign_ns", d->foreign_ns}, {0}});
	if (d->steal_ns >= 0)
		rows_add(row, (struct field[]){{"steal_ns", d->steal_ns}, {0}});
	if (d->throttled_ns >= 0)
		rows_add(row, (struct field[]){{"throttled_ns", d->throttled_ns}, {0}});
	record_row(run, row);
	run->window_trials = 0;
}

static void keep_cause(struct run *run, const char *word, const struct disturbance *last)
{
	struct cause *cause = run->disturbed_by;

	while (cause->word && strcmp(cause->word, word) != 0)
		cause++;
	*cause = (struct cause){word, cause->trials + (int64_t)run->window_trials, *last};
}

void record_end_trial(struct run *run, bool in_any_case)
{
	struct disturbance_reading now;
	struct disturbance d;
	const char *cause;

	if (run->window_trials == 0)
		return;
	disturbance_read(&now);
	if (!in_any_case && !disturbance_measurable(&run->window, &now))
		return;
	d = disturbance_between(&run->window, &now);
	cause = disturbance_cause(&d);
	run->all_trials += (int64_t)run->window_trials;
	if (cause) {
		run->disturbed_trials += (int64_t)run->window_trials;
		keep_cause(run, cause, &d);
	}
	pthread_mutex_lock(&run->lock);
	if (!run_stopped())
		write_window(run, &d, cause);
	pthread_mutex_unlock(&run->lock);
}

/* Writes the end row and gives the file its name.  Under the lock; does nothing the second time. */
void record_end(struct run *run, const char *interrupted)
{
	struct rows *rows = run->rows;
	json_t *row;
	json_t *end;
	size_t i;
	int error;

	if (!rows)
		return;
	record_describe(run);
	json_array_foreach(run->pending, i, row) record_row(run, json_incref(row));
	json_array_clear(run->pending);
	end = json_pack("{s:s,s:s?,s:o,s:I,s:I,s:I,s:i}", "row", "end", "interrupted", interrupted,
			"controls_held",
			interrupted ? json_null() : json_boolean(!run->control_failed), "samples",
			(json_int_t)json_array_size(run->samples), "trials",
			(json_int_t)run->all_trials, "disturbed_trials",
			(json_int_t)run->disturbed_trials, "looks_left", LOOKS - run->looks);
	machine_describe_load(end, &run->load);
	record_row(run, end);
	run->rows = NULL;
	error = rows_keep(rows);
	if (error) {
		errno = error;
		err(EXIT_USAGE, "%s: the rows are lost", run->options.output);
	}
}

/*
 * exit(3) from anywhere but run_end(): an error.  The samples so far are kept, nothing is left half.
 */
void record_drop_at_exit(struct run *run)
{
	if (pthread_mutex_lock(&run->lock) != 0)
		return; /* it failed in the middle of a row, and the rows are gone */
	if (run->rows && json_array_size(run->samples) > 0) {
		record_end(run, "error");
	} else if (run->rows) {
		rows_drop(run->rows);
		run->rows = NULL;
	}
	pthread_mutex_unlock(&run->lock);
}

void run_row(struct run *run, const char *kind, const struct field *fields)
{
	const struct variant *variants = run->about->variants;
	json_t *row = json_pack("{s:s,s:I}", "row", kind, "trial", (json_int_t)run->trial);

	for (const struct field *f = fields; f->name; f++)
		declare_field(run, kind, f->name);
	if (variants)
		json_object_set_new(row, "variant", json_string(variants[run_label(run)].name));
	rows_add(row, fields);
	pthread_mutex_lock(&run->lock);
	if (!run_stopped()) {
		if (strcmp(kind, "sample") == 0)
			json_array_append(run->samples, row);
		json_array_append(run->pending, row);
	}
	json_decref(row); /* under the lock too: a signal may be writing it */
	pthread_mutex_unlock(&run->lock);
}

void run_record(struct run *run, const struct field *fields)
{
	run_row(run, "sample", fields);
}

void record_free(struct run *run)
{
	for (size_t i = 0; i < run->kept_n; i++) {
		free(run->kept[i].at);
		free(run->kept[i].round);
	}
	free(run->kept);
	for (size_t i = 0; i < MAX_VARIANTS; i++) {
		free(run->left_out[i]);
		judge_forget(&run->claims[i].sentence);
		judge_forget(&run->controls[i].sentence);
	}
	for (size_t i = 0; i < run->notes_n; i++)
		judge_forget(&run->notes[i].sentence);
	json_decref(run->peer);
	json_decref(run->pending);
	json_decref(run->samples);
}
