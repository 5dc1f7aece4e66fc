/* SPDX-License-Identifier: MIT */
/*
 * The text table of a run, from the fields that have a column: a line for each variant, and within
 * it for each combination of the key fields' values; side by side as far as 80 columns reach.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "language.h"
#include "run.h"
#include "text.h"

enum { MAX_KEYS = 4, MAX_LINES = 512, MAX_COLUMNS = 40, INDENT = 2, GAP = 2 };

struct line {
	size_t variant;
	struct field keys[MAX_KEYS + 1]; /* {0}-ended: for run_values_where() */
};

struct column {
	char *head[2];
	char **cells;
	bool left;     /* aligned */
	bool repeated; /* in each block */
	bool trials;   /* says only how many there were */
	int width;
};

struct table {
	struct run *run;
	const struct row_field *keys[MAX_KEYS];
	size_t keys_n;
	struct line lines[MAX_LINES];
	size_t lines_n;
	struct column columns[MAX_COLUMNS];
	size_t columns_n;
};

/* --- one cell ------------------------------------------------------------ */

/* "ns" of "elapsed_ns"; the whole of a name of one word. */
static const char *unit_of(const char *name)
{
	const char *last = strrchr(name, '_');

	return last ? last + 1 : name;
}

/* A value of a field, already divided by the one that it is per. */
static const char *format_value(const struct row_field *field, double value)
{
	const char *unit = unit_of(field->name);

	if (!isfinite(value))
		return "-";
	if (field->per && strcmp(unit, unit_of(field->per)) == 0)
		return sentence_value("x_share", value);
	if (field->per && strcmp(unit_of(field->per), "ns") == 0)
		return sentence_value(
			text_format(strcmp(unit, "bytes") == 0 ? "%s_per_s" : "_per_s",
				    field->name),
			value * 1e9);
	if (strcmp(unit, "bytes") == 0)
		return text_count(llround(value));
	return sentence_value(field->name, value);
}

/* The field's values there, each divided by the one that it is per, in millionths. */
static struct values ratios_of(struct run *run, const struct row_field *field, size_t variant,
			       const struct field *where)
{
	struct values values = run_values_where(run, variant, field->name, where);
	struct values per;

	if (!field->per) {
		for (size_t i = 0; i < values.n; i++)
			if (__builtin_mul_overflow(values.at[i], 1000000, &values.at[i]))
				values.at[i] = INT64_MAX; /* of a garbled one */
		return values;
	}
	per = judge_beside(run, variant, field->name, field->per, where);
	return stats_millionths(values, per);
}

static const char *format_range(const struct row_field *field, double low, double high)
{
	if (!isfinite(low) || low == high)
		return format_value(field, high);
	return text_format(translated("%s to %s"), format_value(field, low),
			   format_value(field, high));
}

static const char *format_interval(const struct row_field *field, struct interval interval)
{
	if (!isfinite(interval.low))
		return format_value(field, interval.mid / 1e6);
	return text_format("%s (%s)", format_value(field, interval.mid / 1e6),
			   format_range(field, interval.low / 1e6, interval.high / 1e6));
}

static const char *format_ratio(struct interval ratio)
{
	if (!isfinite(ratio.low))
		return isfinite(ratio.mid) ? text_format("%.2f", ratio.mid) : "-";
	return text_format("%.2f (%s)", ratio.mid,
			   text_format(translated("%s to %s"), text_format("%.2f", ratio.low),
				       text_format("%.2f", ratio.high)));
}

static double sum_of(struct run *run, const struct row_field *field, size_t variant,
		     const struct field *where)
{
	double sum = stats_sum(run_values_where(run, variant, field->name, where));

	return field->per
		       ? sum / stats_sum(judge_beside(run, variant, field->name, field->per, where))
		       : sum;
}

static const char *number_cell(struct run *run, const struct row_field *field, size_t variant,
			       const struct field *where)
{
	struct values values = run_values_where(run, variant, field->name, where);
	struct share nonzero = share_nonzero(values);
	struct values ratios;
	size_t base;

	if (values.n == 0)
		return "-";
	if (field->show == SHOW_NONZERO)
		return text_format("%s/%s", text_count(nonzero.k), text_count(nonzero.n));
	if (field->show == SHOW_SHARE)
		return sentence_value("x_share", sum_of(run, field, variant, where));
	if (field->show == SHOW_SUM)
		return format_value(field, sum_of(run, field, variant, where));
	if (field->show == SHOW_RATIO) {
		base = declare_variant(run, field->base, strlen(field->base), "a column");
		return format_ratio(run_ratio(run, ratios_of(run, field, variant, where),
					      ratios_of(run, field, base, where)));
	}
	ratios = ratios_of(run, field, variant, where);
	switch (field->show) {
	case SHOW_MOST:
		return format_value(field, stats_quantile(ratios, 1) / 1e6);
	case SHOW_P99:
		return format_value(field, stats_quantile(ratios, 0.99) / 1e6);
	case SHOW_RANGE:
		return format_range(field, stats_quantile(ratios, 0) / 1e6,
				    stats_quantile(ratios, 1) / 1e6);
	case SHOW_INTERVAL:
		return format_interval(field, run_interval_of(run, ratios));
	case SHOW_FIRST:
		return format_value(field, ratios.n ? (double)ratios.at[0] / 1e6 : NAN);
	default:
		return format_value(field, stats_quantile(ratios, 0.5) / 1e6);
	}
}

/* A text of a row: a single word is a name, and the same in all languages. */
static const char *words_of(const char *text)
{
	return strchr(text, ' ') ? translated(text) : text;
}

/* The texts that occur, the first one first; to be freed. */
static char *text_cell(struct run *run, const struct row_field *field, size_t variant,
		       const struct field *where)
{
	const char *seen[8] = {0};
	size_t seen_n = 0;
	char *text = NULL;
	size_t size;
	FILE *out = check_alloc(open_memstream(&text, &size));
	json_t *sample;
	size_t i;

	json_array_foreach(run->samples, i, sample)
	{
		const char *value = json_string_value(json_object_get(sample, field->name));
		size_t k = 0;

		if (!value || !judge_matches(run, sample, variant, where))
			continue;
		while (k < seen_n && strcmp(seen[k], value) != 0)
			k++;
		if (k < seen_n || seen_n == sizeof(seen) / sizeof(seen[0]))
			continue;
		fprintf(out, "%s%s", seen_n ? ", " : "", words_of(value));
		seen[seen_n++] = value;
		if (field->show == SHOW_FIRST)
			break;
	}
	fclose(out);
	return text;
}

/* --- lines --------------------------------------------------------------- */

static struct field key_of(const json_t *sample, const struct row_field *field)
{
	const json_t *value = json_object_get(sample, field->name);

	return (struct field){field->name, json_integer_value(value), json_string_value(value),
			      NULL};
}

/* Numbers ascend, texts come as they occurred first. */
static bool comes_before(const struct line *a, const struct line *b, size_t keys)
{
	for (size_t i = 0; i < keys; i++) {
		if (a->keys[i].text || b->keys[i].text) {
			if (!a->keys[i].text || !b->keys[i].text ||
			    strcmp(a->keys[i].text, b->keys[i].text) != 0)
				return false;
			continue;
		}
		if (a->keys[i].num != b->keys[i].num)
			return a->keys[i].num < b->keys[i].num;
	}
	return false;
}

static void add_line(struct table *table, const json_t *sample, size_t variant, size_t first)
{
	struct line line = {.variant = variant};
	size_t at;

	for (size_t k = 0; k < table->keys_n; k++) {
		if (!json_object_get(sample, table->keys[k]->name))
			return;
		line.keys[k] = key_of(sample, table->keys[k]);
	}
	for (size_t i = first; i < table->lines_n; i++)
		if (judge_matches(table->run, sample, variant, table->lines[i].keys))
			return;
	if (table->lines_n == MAX_LINES)
		errx(EXIT_USAGE, "a table of more than %d lines", MAX_LINES);
	for (at = table->lines_n++; at > first; at--) {
		if (!comes_before(&line, &table->lines[at - 1], table->keys_n))
			break;
		table->lines[at] = table->lines[at - 1];
	}
	table->lines[at] = line;
}

static void add_lines(struct table *table, size_t variant)
{
	size_t first = table->lines_n;
	json_t *sample;
	size_t i;

	json_array_foreach(table->run->samples, i, sample)
	{
		if (judge_matches(table->run, sample, variant, judge_anywhere))
			add_line(table, sample, variant, first);
	}
}

/* --- columns ------------------------------------------------------------- */

static int width_of(const char *text)
{
	return text_columns(text, strlen(text));
}

static struct column *add_column(struct table *table, const char *head, bool left, bool repeated)
{
	const char *bar = strchr(head, '|');
	struct column *column;

	if (table->columns_n == MAX_COLUMNS)
		errx(EXIT_USAGE, "a table of more than %d columns", MAX_COLUMNS);
	column = &table->columns[table->columns_n++];
	*column = (struct column){.left = left, .repeated = repeated};
	column->head[0] = check_alloc(bar ? strndup(head, (size_t)(bar - head)) : strdup(""));
	column->head[1] = check_alloc(strdup(bar ? bar + 1 : head));
	column->cells = check_alloc(calloc(table->lines_n + 1, sizeof(*column->cells)));
	for (int i = 0; i < 2; i++)
		if (width_of(column->head[i]) > column->width)
			column->width = width_of(column->head[i]);
	return column;
}

static void set_cell(struct column *column, size_t line, const char *text)
{
	column->cells[line] = check_alloc(strdup(*text ? text : "-"));
	if (width_of(column->cells[line]) > column->width)
		column->width = width_of(column->cells[line]);
}

static void set_field_cell(struct column *column, size_t line, struct run *run,
			   const struct row_field *field, size_t variant, const struct field *where)
{
	char *text;

	if (!field->text) {
		set_cell(column, line, number_cell(run, field, variant, where));
		return;
	}
	text = text_cell(run, field, variant, where);
	set_cell(column, line, text);
	free(text);
}

static void add_field(struct table *table, const struct row_field *field)
{
	struct column *column =
		add_column(table, field->column ? translated(field->column) : field->name,
			   field->text, field->key);

	for (size_t i = 0; i < table->lines_n; i++)
		set_field_cell(column, i, table->run, field, table->lines[i].variant,
			       table->lines[i].keys);
}

/* In how many rounds a line has samples. */
static void add_trials(struct table *table)
{
	struct column *column = add_column(table, translated("trials"), false, false);

	column->trials = true;
	for (size_t i = 0; i < table->lines_n; i++)
		set_cell(column, i,
			 text_count(judge_rounds(table->run, table->lines[i].variant,
						 table->lines[i].keys)));
}

/* --- printing ------------------------------------------------------------ */

static void print_padded(FILE *out, const char *text, const struct column *column)
{
	fprintf(out, "%*s", GAP, "");
	text_pad(out, text, column->left ? column->width : -column->width);
}

/* Ends a line without the blanks at its end. */
static void print_line(FILE *out, const struct table *table, const bool *shown, long line)
{
	char *text = NULL;
	size_t size;
	FILE *memory = check_alloc(open_memstream(&text, &size));

	for (size_t i = 0; i < table->columns_n; i++)
		if (shown[i])
			print_padded(memory,
				     line < 0 ? table->columns[i].head[line + 2]
					      : table->columns[i].cells[line],
				     &table->columns[i]);
	fclose(memory);
	while (size > 0 && text[size - 1] == ' ')
		text[--size] = '\0';
	fprintf(out, "%s\n", text);
	free(text);
}

/* Whether a line has something in one of the block's own columns, but for how many trials. */
static bool has_cells(const struct table *table, const bool *shown, size_t line)
{
	for (size_t i = 0; i < table->columns_n; i++)
		if (shown[i] && !table->columns[i].repeated && !table->columns[i].trials &&
		    strcmp(table->columns[i].cells[line], "-") != 0)
			return true;
	return false;
}

static void print_block(FILE *out, const struct table *table, const bool *shown)
{
	bool two = false;

	for (size_t i = 0; i < table->columns_n; i++)
		two = two || (shown[i] && *table->columns[i].head[0]);
	fputc('\n', out);
	if (two)
		print_line(out, table, shown, -2);
	print_line(out, table, shown, -1);
	for (size_t i = 0; i < table->lines_n; i++)
		if (has_cells(table, shown, i))
			print_line(out, table, shown, (long)i);
}

/* Whether a column has something in any line. */
static bool is_measured(const struct table *table, const struct column *column)
{
	for (size_t i = 0; i < table->lines_n; i++)
		if (strcmp(column->cells[i], "-") != 0)
			return true;
	return false;
}

/* As many columns side by side as fit, the repeated ones each time; none of what was not measured. */
static void print_blocks(FILE *out, const struct table *table)
{
	size_t next = 0;

	while (next < table->columns_n) {
		bool shown[MAX_COLUMNS] = {false};
		int width = 0;
		bool any = false;

		for (size_t i = 0; i < table->columns_n; i++)
			if (table->columns[i].repeated) {
				shown[i] = true;
				width += GAP + table->columns[i].width;
			}
		for (; next < table->columns_n; next++) {
			if (shown[next] || !is_measured(table, &table->columns[next]))
				continue;
			if (any && width + GAP + table->columns[next].width > TEXT_WIDTH)
				break;
			shown[next] = any = true;
			width += GAP + table->columns[next].width;
		}
		if (any)
			print_block(out, table, shown);
	}
}

static void free_table(struct table *table)
{
	for (size_t i = 0; i < table->columns_n; i++) {
		struct column *column = &table->columns[i];

		for (size_t k = 0; k < table->lines_n; k++)
			free(column->cells[k]);
		free(column->cells);
		free(column->head[0]);
		free(column->head[1]);
	}
	free(table);
}

/* {option} of the intro: the parameters; {cpus}; {where} the halves are. */
static void print_intro(struct run *run)
{
	struct number numbers[MAX_FIELDS] = {0};
	const char *cpus = text_format(
		translated(run_cpus() == 1 ? MESSAGE("%d CPU") : MESSAGE("%d CPUs")), run_cpus());
	json_t *params;
	const char *name;
	size_t n = 2;
	json_t *value;
	char *text;

	if (!run->about->intro)
		return;
	numbers[0] = number_text("cpus", cpus);
	numbers[1] = number_text("where", translated(run->peer ? MESSAGE("to another host")
							       : MESSAGE("over loopback")));
	params = options_params(run->about, &run->options);
	json_object_foreach(params, name, value)
	{
		if (n + 1 == MAX_FIELDS)
			break;
		if (json_is_integer(value))
			numbers[n++] = number_int(name, json_integer_value(value));
		else if (json_is_string(value))
			numbers[n++] = number_text(name, json_string_value(value));
	}
	text = sentence_shown(run->about->intro, numbers);
	run_say(run, "%s", text);
	free(text);
	json_decref(params);
}

/* Whether any field but the keys has a column; a grid may show them instead. */
static bool has_columns(const struct run *run)
{
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->column && !run->fields[i]->key && !run->fields[i]->row)
			return true;
	return false;
}

void table_print(struct run *run)
{
	struct table *table = check_alloc(calloc(1, sizeof(*table)));
	const struct variant *variants = run->about->variants;

	print_intro(run);
	table->run = run;
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->key && table->keys_n < MAX_KEYS)
			table->keys[table->keys_n++] = run->fields[i];
	if (!variants)
		add_lines(table, 0);
	for (size_t v = 0; variants && variants[v].name; v++)
		if (run_selected(run, v))
			add_lines(table, v);
	if (variants) {
		struct column *column = add_column(table, translated("variant"), true, true);

		for (size_t i = 0; i < table->lines_n; i++)
			set_cell(column, i, variants[table->lines[i].variant].name);
	}
	for (size_t i = 0; i < table->keys_n; i++)
		add_field(table, table->keys[i]);
	add_trials(table);
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->column && !run->fields[i]->key && !run->fields[i]->row)
			add_field(table, run->fields[i]);
	if (has_columns(run))
		print_blocks(run->out, table);
	fputc('\n', run->out);
	free_table(table);
}

/* --- grids --------------------------------------------------------------- */

/* The values of a key field that occur, as lines of one key. */
static void add_values(struct table *table, const char *key, int variant)
{
	const struct variant *variants = table->run->about->variants;

	table->keys[0] = declare_field(table->run, "sample", key);
	table->keys_n = 1;
	for (size_t v = 0; v < (variants ? MAX_VARIANTS : 1); v++) {
		json_t *sample;
		size_t i;

		if (variants && !variants[v].name)
			break;
		if ((variant >= 0 && v != (size_t)variant) || !run_selected(table->run, v))
			continue;
		json_array_foreach(table->run->samples, i, sample)
		{
			bool known = false;

			if (!judge_matches(table->run, sample, v, judge_anywhere))
				continue;
			for (size_t k = 0; k < table->lines_n && !known; k++)
				known = judge_matches(table->run, sample, v, table->lines[k].keys);
			if (!known)
				add_line(table, sample, v, 0);
		}
	}
}

/* The lines or columns of a grid: the values of a key field, or each variant for NULL. */
static void add_heads(struct table *table, const char *key, int variant)
{
	const struct variant *variants = table->run->about->variants;

	if (key)
		add_values(table, key, variant);
	for (size_t v = 0; !key && variants && variants[v].name; v++)
		if (run_selected(table->run, v) && (variant < 0 || v == (size_t)variant))
			table->lines[table->lines_n++].variant = v;
}

static const char *head_of(const struct table *table, size_t line)
{
	const struct row_field *key = table->keys[0];
	const struct field *value = &table->lines[line].keys[0];

	if (!key)
		return table->run->about->variants[table->lines[line].variant].name;
	return key->text ? words_of(value->text) : format_value(key, (double)value->num);
}

void run_grid(struct run *run, int variant, const char *field, const char *down, const char *across)
{
	const struct row_field *shown = declare_field(run, "sample", field);
	struct table *table = check_alloc(calloc(1, sizeof(*table)));
	struct table *heads = check_alloc(calloc(1, sizeof(*heads)));
	const struct row_field *key = down ? declare_field(run, "sample", down) : NULL;
	struct column *column;

	table->run = heads->run = run;
	add_heads(table, down, variant);
	add_heads(heads, across, variant);
	column = add_column(table,
			    !key          ? translated("variant")
			    : key->column ? translated(key->column)
					  : down,
			    !key || key->text, true);
	for (size_t i = 0; i < table->lines_n; i++)
		set_cell(column, i, head_of(table, i));
	for (size_t h = 0; h < heads->lines_n; h++) {
		column = add_column(table, head_of(heads, h), false, false);
		for (size_t i = 0; i < table->lines_n; i++) {
			struct field where[3] = {{0}};
			size_t of = !across ? heads->lines[h].variant : table->lines[i].variant;
			size_t n = 0;

			if (down)
				where[n++] = table->lines[i].keys[0];
			if (across)
				where[n++] = heads->lines[h].keys[0];
			set_field_cell(column, i, run, shown, variant >= 0 ? (size_t)variant : of,
				       where);
		}
	}
	print_blocks(run->out, table);
	free_table(table);
	free(heads);
}
