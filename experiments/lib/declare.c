/* SPDX-License-Identifier: MIT */
/*
 * What an experiment declares: looked up, checked and described.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"
#include "text.h"

static void add_field(struct run *run, const struct row_field *field)
{
	if (run->fields_n == MAX_FIELDS)
		errx(EXIT_USAGE, "more than %d fields", MAX_FIELDS);
	run->fields[run->fields_n++] = field;
}

void declare_fields(struct run *run)
{
	for (const struct row_field *f = run->about->fields; f && (f->name || f->also); f++) {
		if (f->name)
			add_field(run, f);
		for (const struct row_field *also = f->also; also && also->name; also++)
			add_field(run, also);
	}
}

const struct row_field *declare_field(const struct run *run, const char *row, const char *name)
{
	for (size_t i = 0; i < run->fields_n; i++)
		if (strcmp(run->fields[i]->name, name) == 0 &&
		    strcmp(run->fields[i]->row ? run->fields[i]->row : "sample", row) == 0)
			return run->fields[i];
	errx(EXIT_USAGE, "'%s' is not among the declared fields of a %s row", name, row);
}

double run_bound(const struct run *run, const char *name)
{
	for (const struct bound *b = run->about->bounds; b && b->name; b++)
		if (strcmp(b->name, name) == 0)
			return b->value;
	errx(EXIT_USAGE, "'%s' is not among the declared bounds", name);
}

/* --- shams --------------------------------------------------------------- */

/* Calls `use` for the sham of each claim, control and field that has one, until it says true. */
static bool each_sham(const struct run *run,
		      bool (*use)(const char *id, const char *sham, void *argument), void *argument)
{
	for (const struct claim *c = run->about->claims; c->id; c++)
		if (c->sham && use(c->id, c->sham, argument))
			return true;
	for (const struct control *c = run->about->controls; c && c->id; c++)
		if (c->sham && use(c->id, c->sham, argument))
			return true;
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->sham &&
		    use(run->fields[i]->name, run->fields[i]->sham, argument))
			return true;
	return false;
}

struct wanted {
	const char *id;
	const char *sham;
};

static bool find_sham(const char *id, const char *sham, void *argument)
{
	struct wanted *wanted = argument;

	wanted->sham = sham;
	return strcmp(id, wanted->id) == 0;
}

static bool sets_hook(const char *id, const char *sham, void *hook)
{
	(void)id;
	return text_has_item(sham, hook);
}

static const char *active_sham(const struct run *run)
{
	struct wanted wanted = {run->options.sham, NULL};

	if (!run->options.sham || !each_sham(run, find_sham, &wanted))
		return NULL;
	return wanted.sham;
}

bool run_sham(const struct run *run, const char *hook)
{
	const char *sham = active_sham(run);

	if (!each_sham(run, sets_hook, (void *)hook))
		errx(EXIT_USAGE, "'%s' stands in no sham", hook);
	return sham && text_has_item(sham, hook);
}

size_t declare_variant(const struct run *run, const char *name, size_t length, const char *whose)
{
	const struct variant *v = run->about->variants;

	for (size_t i = 0; v && v[i].name; i++)
		if (strlen(v[i].name) == length && strncmp(v[i].name, name, length) == 0)
			return i;
	errx(EXIT_USAGE, "%s: there is no '%.*s' (see --help)", whose, (int)length, name);
}

void declare_sham(struct run *run)
{
	const char *item = active_sham(run);

	for (size_t i = 0; i < MAX_VARIANTS; i++)
		run->treatment[i] = i;
	if (run->options.sham && !item)
		errx(EXIT_USAGE,
		     "--sham: '%s' is no claim, control or field with one (see --describe)",
		     run->options.sham);
	for (; item; item = strchr(item, ',')) {
		size_t length;
		const char *as;
		size_t to;

		item += *item == ',';
		length = strcspn(item, ",");
		as = memchr(item, '=', length);
		if (!as)
			continue; /* a hook */
		to = declare_variant(run, as + 1, length - (size_t)(as + 1 - item), "a sham");
		if (*item != '*')
			run->treatment[declare_variant(run, item, (size_t)(as - item), "a sham")] =
				to;
		for (size_t i = 0; *item == '*' && i < MAX_VARIANTS; i++)
			run->treatment[i] = to;
	}
}

/* --- as JSON ------------------------------------------------------------- */

static json_t *claims_table(const struct run *run)
{
	json_t *table = json_object();

	for (const struct claim *c = run->about->claims; c->id; c++)
		json_object_set_new(table, c->id, json_string(c->text));
	return table;
}

static json_t *variants_table(const struct run *run)
{
	json_t *table = json_object();

	for (const struct variant *v = run->about->variants; v && v->name; v++)
		json_object_set_new(table, v->name, json_string(v->help));
	return table;
}

static json_t *bounds_table(const struct run *run)
{
	json_t *table = json_object();

	for (const struct bound *b = run->about->bounds; b && b->name; b++)
		json_object_set_new(table, b->name,
				    json_pack("{s:f,s:s}", "value", b->value, "why", b->why));
	return table;
}

static json_t *fields_table(const struct run *run)
{
	json_t *table = json_array();

	for (size_t i = 0; i < run->fields_n; i++) {
		const struct row_field *f = run->fields[i];
		json_t *field = json_pack("{s:s,s:s,s:s,s:s}", "name", f->name, "row",
					  f->row ? f->row : "sample", "type",
					  f->text ? "text" : "integer", "help", f->help);

		if (f->column)
			json_object_set_new(field, "column", json_string(f->column));
		if (f->per)
			json_object_set_new(field, "per", json_string(f->per));
		if (f->key)
			json_object_set_new(field, "key", json_true());
		if (f->zero)
			json_object_set_new(field, "zero", json_true());
		json_array_append_new(table, field);
	}
	return table;
}

static json_t *shams_table(const struct run *run)
{
	json_t *table = json_object();

	for (const struct claim *c = run->about->claims; c->id; c++)
		if (c->sham)
			json_object_set_new(table, c->id,
					    json_pack("{s:s,s:s,s:s}", "of", "claim", "sham",
						      c->sham, "then", verdict_word(c->then)));
	for (const struct control *c = run->about->controls; c && c->id; c++)
		if (c->sham)
			json_object_set_new(table, c->id,
					    json_pack("{s:s,s:s,s:s}", "of", "control", "sham",
						      c->sham, "then", "control failed"));
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->sham)
			json_object_set_new(table, run->fields[i]->name,
					    json_pack("{s:s,s:s,s:s}", "of", "control", "sham",
						      run->fields[i]->sham, "then",
						      "control failed"));
	return table;
}

static json_t *controls_table(const struct run *run)
{
	json_t *table = json_object();

	for (const struct control *c = run->about->controls; c && c->id; c++)
		json_object_set_new(table, c->id, json_string(c->text));
	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->zero)
			json_object_set_new(table, run->fields[i]->name,
					    json_string(run->fields[i]->help));
	return table;
}

/* Every mechanism that a verdict may be explained by. */
static json_t *whys_list(const struct run *run)
{
	json_t *list = json_array();

	for (const struct claim *c = run->about->claims; c->id; c++)
		for (size_t verdict = 0; verdict < VERDICTS; verdict++)
			if (c->why[verdict])
				json_array_append_new(list, json_string(c->why[verdict]));
	return list;
}

/* The heads of all columns, also of a field's second ones. */
static json_t *heads_list(const struct run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run->fields_n; i++)
		if (run->fields[i]->column)
			json_array_append_new(list, json_string(run->fields[i]->column));
	return list;
}

json_t *declare_table(const struct run *run, const char *what)
{
	static const struct {
		const char *name;
		json_t *(*make)(const struct run *run);
	} tables[] = {{"claims", claims_table}, {"variants", variants_table},
		      {"bounds", bounds_table}, {"fields", fields_table},
		      {"shams", shams_table},   {"controls", controls_table}};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (strcmp(tables[i].name, what) == 0)
			return tables[i].make(run);
	errx(EXIT_USAGE, "there is no table of %s", what);
}

_Noreturn void declare_describe(const struct run *run)
{
	static const char *const tables[] = {"claims", "controls", "variants",
					     "fields", "bounds",   "shams"};
	const struct experiment *about = run->about;
	json_t *described =
		json_pack("{s:s,s:s,s:i,s:s,s:b}", "experiment", about->name, "group", about->group,
			  "order", about->order, "summary", about->summary, "timed", about->timed);

	if (about->intro)
		json_object_set_new(described, "intro", json_string(about->intro));
	json_object_set_new(described, "whys", whys_list(run));
	json_object_set_new(described, "heads", heads_list(run));

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		json_object_set_new(described, tables[i], declare_table(run, tables[i]));
	json_object_set_new(described, "params", options_params(about, &run->options));
	if (json_dumpf(described, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0 ||
	    putchar('\n') == EOF || fflush(stdout) != 0)
		err(EXIT_USAGE, "standard output");
	exit(0); /* NOLINT(concurrency-mt-unsafe): no thread runs yet */
}
