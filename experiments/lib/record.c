/* SPDX-License-Identifier: MIT */
/*
 * The rows of a run: written as they come, kept for the report, ended once.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/*
 * Writes the run row, the first time: as late as that, because a program may calibrate its
 * options.
 */
void record_describe(struct run *run)
{
	const struct experiment *about = run->about;
	json_t *variants;
	json_t *claims;
	json_t *row;

	if (run->described)
		return;
	run->described = true;
	row = json_pack("{s:s,s:i,s:s,s:s,s:s}", "row", "run", "schema", ROWS_SCHEMA, "experiment",
			about->name, "group", about->group, "summary", about->summary);
	variants = json_array();
	claims = json_object();
	for (const struct claim *c = about->claims; c->id; c++)
		json_object_set_new(claims, c->id, json_string(c->text));
	json_object_set_new(row, "claims", claims);
	for (const struct variant *v = about->variants; v && v->name; v++)
		json_array_append_new(variants, json_string(v->name));
	json_object_set_new(row, "variants", variants);
	json_object_set_new(row, "params", options_params(about, &run->options));
	machine_describe(row);
	record_row(run, row);
}

/* Writes the end row and gives the file its name.  Under the lock; does nothing the second time. */
void record_end(struct run *run, const char *interrupted)
{
	struct rows *rows = run->rows;
	json_t *end;
	int error;

	if (!rows)
		return;
	record_describe(run);
	end = json_pack("{s:s,s:s?,s:o,s:I}", "row", "end", "interrupted", interrupted,
			"controls_held",
			interrupted ? json_null() : json_boolean(!run->control_failed), "samples",
			(json_int_t)json_array_size(run->samples));
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

	if (variants)
		json_object_set_new(row, "variant", json_string(variants[run_variant(run)].name));
	rows_add(row, fields);
	pthread_mutex_lock(&run->lock);
	if (!run_stopped()) {
		if (strcmp(kind, "sample") == 0)
			json_array_append(run->samples, row);
		record_row(run, json_incref(row));
	}
	pthread_mutex_unlock(&run->lock);
	json_decref(row);
}

void run_record(struct run *run, const struct field *fields)
{
	run_row(run, "sample", fields);
}

/* Whether a field of a sample is this text, or this number. */
static bool has(const json_t *sample, const struct field *field)
{
	const json_t *value = json_object_get(sample, field->name);

	if (field->text)
		return json_is_string(value) && strcmp(json_string_value(value), field->text) == 0;
	return json_is_integer(value) && json_integer_value(value) == field->num;
}

struct values run_values_where(struct run *run, size_t variant, const char *field,
			       const struct field *where)
{
	const struct variant *variants = run->about->variants;
	int64_t *at = calloc(json_array_size(run->samples) + 1, sizeof(*at));
	int64_t **kept = realloc(run->kept, (run->kept_n + 1) * sizeof(*kept));
	struct values values = {at, 0};
	json_t *sample;
	size_t i;

	if (!at || !kept)
		err(EXIT_USAGE, "malloc");
	run->kept = kept;
	run->kept[run->kept_n++] = at;
	json_array_foreach(run->samples, i, sample)
	{
		const char *name = json_string_value(json_object_get(sample, "variant"));
		const json_t *value = json_object_get(sample, field);
		const struct field *f = where;

		if (!json_is_integer(value) ||
		    (variants && strcmp(name, variants[variant].name) != 0))
			continue;
		while (f->name && has(sample, f))
			f++;
		if (!f->name)
			at[values.n++] = json_integer_value(value);
	}
	return values;
}

struct values run_values(struct run *run, size_t variant, const char *field)
{
	return run_values_where(run, variant, field, (struct field[]){{0}});
}

double run_median(struct run *run, size_t variant, const char *field)
{
	return stats_quantile(run_values(run, variant, field), 0.5);
}

double run_share(struct run *run, size_t variant, const char *field, const char *of, double q)
{
	return stats_quantile(stats_millionths(run_values(run, variant, field),
					       run_values(run, variant, of)),
			      q) /
	       1e6;
}

double run_error(struct run *run, size_t variant, const char *field, const char *of, double q)
{
	return stats_quantile(
		       stats_errors(run_values(run, variant, field), run_values(run, variant, of)),
		       q) /
	       1e6;
}

double run_sum(struct run *run, size_t variant, const char *field)
{
	return stats_sum(run_values(run, variant, field));
}

void record_free(struct run *run)
{
	for (size_t i = 0; i < run->kept_n; i++)
		free(run->kept[i]);
	free(run->kept);
	json_decref(run->samples);
}
