/* SPDX-License-Identifier: MIT */
/*
 * The evidence of a run, from its samples, and what judge() makes of it.
 */
#include "judge.h"

#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "language.h"
#include "run.h"
#include "text.h"

const struct field judge_anywhere[] = {{0}};

/* --- evidence ------------------------------------------------------------ */

/* Whether a field of a sample is this text, or this number. */
static bool has(const json_t *sample, const struct field *field)
{
	const json_t *value = json_object_get(sample, field->name);

	if (field->text)
		return json_is_string(value) && strcmp(json_string_value(value), field->text) == 0;
	return json_is_integer(value) && json_integer_value(value) == field->num;
}

bool judge_matches(const struct run *run, const json_t *sample, size_t variant,
		   const struct field *where)
{
	const struct variant *variants = run->about->variants;

	if (variants && strcmp(json_string_value(json_object_get(sample, "variant")),
			       variants[variant].name) != 0)
		return false;
	while (where->name && has(sample, where))
		where++;
	return !where->name;
}

/* A control counts in every trial; what is timed, in calm ones only. */
static bool counts(const struct run *run, const json_t *sample, const struct row_field *field)
{
	return !run->about->timed || (field && field->zero) ||
	       !json_object_get(sample, "disturbed");
}

static struct values keep(struct run *run, size_t variant, size_t most)
{
	struct values *kept = check_alloc(realloc(run->kept, (run->kept_n + 1) * sizeof(*kept)));
	struct values values = {.at = check_alloc(calloc(most + 1, sizeof(*values.at))),
				.round = check_alloc(calloc(most + 1, sizeof(*values.round))),
				.source = 1 + variant};

	run->kept = kept;
	run->kept[run->kept_n++] = values;
	return values;
}

/* Values of `field` of the samples that have `needed`; 0 where one lacks the field. */
static struct values select_values(struct run *run, size_t variant, const char *needed,
				   const char *field, const struct field *where)
{
	const struct row_field *declared = declare_field(run, "sample", needed);
	struct values values = keep(run, variant, json_array_size(run->samples));
	bool left_out = false;
	json_t *sample;
	size_t i;

	declare_field(run, "sample", field);
	for (const struct field *f = where; f->name; f++)
		declare_field(run, "sample", f->name);
	run->missed[variant] |= !run_selected(run, variant);
	run->needed[variant] |= run->judging;
	json_array_foreach(run->samples, i, sample)
	{
		if (!json_is_integer(json_object_get(sample, needed)) ||
		    !judge_matches(run, sample, variant, where))
			continue;
		if (!counts(run, sample, declared)) {
			left_out = true;
			continue;
		}
		values.round[values.n] = json_integer_value(json_object_get(sample, "trial"));
		values.at[values.n++] = json_integer_value(json_object_get(sample, field));
	}
	run->none_calm[variant] |= left_out && values.n == 0;
	return values;
}

struct values run_values_where(struct run *run, size_t variant, const char *field,
			       const struct field *where)
{
	return select_values(run, variant, field, field, where);
}

struct values judge_beside(struct run *run, size_t variant, const char *field, const char *beside,
			   const struct field *where)
{
	return select_values(run, variant, field, beside, where);
}

struct values run_values(struct run *run, size_t variant, const char *field)
{
	return run_values_where(run, variant, field, judge_anywhere);
}

double run_median(struct run *run, size_t variant, const char *field)
{
	return stats_quantile(run_values(run, variant, field), 0.5);
}

/* The field `of` of those samples that have the field, value by value. */
static struct values beside(struct run *run, size_t variant, const char *field, const char *of)
{
	return judge_beside(run, variant, field, of, judge_anywhere);
}

double run_share(struct run *run, size_t variant, const char *field, const char *of, double q)
{
	return stats_quantile(stats_millionths(run_values(run, variant, field),
					       beside(run, variant, field, of)),
			      q) /
	       1e6;
}

double run_sum(struct run *run, size_t variant, const char *field)
{
	return stats_sum(run_values(run, variant, field));
}

struct share run_nonzero(struct run *run, size_t variant, const char *field)
{
	return share_nonzero(run_values(run, variant, field));
}

struct share run_nonzero_in(struct run *run, size_t first, size_t last, const char *field)
{
	struct share all = {0};

	for (size_t v = first; v <= last; v++)
		all = share_add(all, run_nonzero(run, v, field));
	return all;
}

struct share run_part_where(struct run *run, size_t variant, const char *field, const char *of,
			    const struct field *where)
{
	return share_of((int64_t)stats_sum(run_values_where(run, variant, field, where)),
			(int64_t)stats_sum(judge_beside(run, variant, field, of, where)));
}

struct share run_part(struct run *run, size_t variant, const char *field, const char *of)
{
	return run_part_where(run, variant, field, of, judge_anywhere);
}

struct interval run_interval_of(struct run *run, struct values values)
{
	return run->options.trials_given ? stats_median(values) : look_median(values);
}

struct interval run_interval(struct run *run, size_t variant, const char *field)
{
	return run_interval_of(run, run_values(run, variant, field));
}

struct interval run_ratio(struct run *run, struct values above, struct values below)
{
	run->paired |= run->judging && (!above.source || above.source != below.source);
	return run->options.trials_given ? stats_ratio(above, below) : look_ratio(above, below);
}

int64_t judge_rounds(const struct run *run, size_t variant, const struct field *where)
{
	int64_t last = -1;
	int64_t rounds = 0;
	json_t *sample;
	size_t i;

	json_array_foreach(run->samples, i, sample)
	{
		int64_t trial = json_integer_value(json_object_get(sample, "trial"));

		if (trial == last || !judge_matches(run, sample, variant, where) ||
		    !counts(run, sample, NULL))
			continue;
		last = trial;
		rounds++;
	}
	return rounds;
}

/* --- verdicts ------------------------------------------------------------ */

static size_t claim_index(const struct run *run, const char *id)
{
	const struct claim *claims = run->about->claims;

	for (size_t i = 0; claims[i].id; i++)
		if (strcmp(claims[i].id, id) == 0)
			return i;
	errx(EXIT_USAGE, "a verdict on '%s', which is not among the claims", id);
}

static size_t control_index(const struct run *run, const char *id)
{
	const struct control *controls = run->about->controls;

	for (size_t i = 0; controls && controls[i].id; i++)
		if (strcmp(controls[i].id, id) == 0)
			return i;
	errx(EXIT_USAGE, "'%s' is not among the controls", id);
}

const struct said *judge_said(const struct run *run, const char *claim)
{
	return &run->claims[claim_index(run, claim)];
}

struct sentence judge_sentence(const char *template, const struct number *numbers)
{
	return (struct sentence){template, sentence_numbers(numbers),
				 sentence_format(template, numbers),
				 sentence_shown(template, numbers)};
}

void judge_forget(struct sentence *sentence)
{
	json_decref(sentence->numbers);
	free(sentence->text);
	free(sentence->shown);
}

static void forget(struct said *said)
{
	judge_forget(&said->sentence);
	*said = (struct said){0};
}

static void say(struct said *said, enum verdict verdict, const char *template,
		const struct number *numbers)
{
	*said = (struct said){true, verdict, judge_sentence(template, numbers)};
}

/* The variants among these, with why they were left out; to be freed; "" for none. */
static char *name_variants(const struct run *run, const bool *among, bool shown)
{
	const struct variant *variants = run->about->variants;
	const char *comma = "";
	char *text = NULL;
	size_t size;
	FILE *out = check_alloc(open_memstream(&text, &size));

	for (size_t i = 0; variants && variants[i].name; i++)
		if (among[i]) {
			fprintf(out, "%s%s", comma, variants[i].name);
			if (!run_selected(run, i))
				fprintf(out, " (%s)",
					run->left_out[i] ? translated_if(shown, run->left_out[i])
							 : "--variants");
			comma = ", ";
		}
	fclose(out);
	return text;
}

static void forget_reads(struct run *run)
{
	memset(run->missed, 0, sizeof(run->missed));
	memset(run->none_calm, 0, sizeof(run->none_calm));
}

/* Whether some of these were read. */
static bool any(const bool *variants)
{
	return memchr(variants, 1, MAX_VARIANTS) != NULL;
}

enum verdict run_judge_with(struct run *run, const char *claim, enum verdict verdict,
			    const char *template, const struct number *numbers)
{
	struct said *said = &run->claims[claim_index(run, claim)];
	char *missed = name_variants(run, run->missed, false);
	char *missed_shown = name_variants(run, run->missed, true);
	char *none_calm = name_variants(run, run->none_calm, false);

	if (said->judged)
		errx(EXIT_USAGE, "two verdicts on '%s'", claim);
	if (any(run->none_calm) && verdict != SKIPPED)
		verdict = UNCLEAR;
	if (verdict == UNCLEAR && any(run->missed))
		say(said, SKIPPED, MESSAGE("left out: {variants}"),
		    (struct number[]){number_words("variants", missed, missed_shown), {0}});
	else
		say(said, verdict, template, numbers);
	if (said->verdict == UNCLEAR && any(run->none_calm))
		run_note(run, "{claim} is unclear: every trial was disturbed of {variants}",
			 number_text("claim", claim), number_text("variants", none_calm));
	free(missed);
	free(missed_shown);
	free(none_calm);
	forget_reads(run);
	return said->verdict;
}

void run_check_with(struct run *run, const char *control, enum verdict verdict,
		    const char *template, const struct number *numbers)
{
	struct said *said = &run->controls[control_index(run, control)];

	if (said->judged)
		errx(EXIT_USAGE, "two checks of '%s'", control);
	if (verdict == UNCLEAR && any(run->missed)) {
		char *missed = name_variants(run, run->missed, false);
		char *missed_shown = name_variants(run, run->missed, true);

		verdict = SKIPPED;
		run_note(run, "{control} was not checked, left out: {variants}",
			 number_text("control", control),
			 number_words("variants", missed, missed_shown));
		free(missed);
		free(missed_shown);
	}
	say(said, verdict, template, numbers);
	forget_reads(run);
}

void run_note_with(struct run *run, const char *template, const struct number *numbers)
{
	if (run->notes_n == MAX_NOTES)
		errx(EXIT_USAGE, "more than %d notes", MAX_NOTES);
	run->notes[run->notes_n++] = (struct note){judge_sentence(template, numbers), run->judging};
}

void judge_look(struct run *run)
{
	size_t kept = 0;

	for (size_t i = 0; i < MAX_VARIANTS; i++) {
		forget(&run->claims[i]);
		forget(&run->controls[i]);
	}
	for (size_t i = 0; i < run->notes_n; i++)
		if (run->notes[i].judged)
			judge_forget(&run->notes[i].sentence);
		else
			run->notes[kept++] = run->notes[i];
	run->notes_n = kept;
	forget_reads(run);
	run->judging = true;
	run->about->judge(run);
	run->judging = false;
	for (const struct claim *c = run->about->claims; c->id; c++)
		if (!judge_said(run, c->id)->judged)
			errx(EXIT_USAGE, "no verdict on '%s'", c->id);
	for (const struct control *c = run->about->controls; c && c->id; c++)
		if (!run->controls[control_index(run, c->id)].judged)
			errx(EXIT_USAGE, "no check of '%s'", c->id);
}

/* Whether a run goes on for a claim or control: under a sham only for its own. */
static bool is_asked(const struct run *run, const char *id)
{
	return !run->options.sham || strcmp(run->options.sham, id) == 0;
}

bool judge_decided(const struct run *run)
{
	for (const struct claim *c = run->about->claims; c->id; c++)
		if (is_asked(run, c->id) && judge_said(run, c->id)->verdict == UNCLEAR)
			return false;
	for (const struct control *c = run->about->controls; c && c->id; c++)
		if (is_asked(run, c->id) &&
		    run->controls[control_index(run, c->id)].verdict == UNCLEAR)
			return false;
	return true;
}

static size_t variants_of(const struct run *run)
{
	size_t n = 0;

	while (run->about->variants && run->about->variants[n].name)
		n++;
	return n > 0 ? n : 1;
}

/* Of a variant's samples, in how many a field is not 0 that must be: disturbed ones count, too. */
static struct share nonzero(struct run *run, size_t variant, const struct row_field *field)
{
	if (!run_selected(run, variant))
		return (struct share){0};
	return run_nonzero(run, variant, field->name);
}

static bool is_control(const struct row_field *field)
{
	return field->zero && !field->row;
}

bool judge_sham_failed(struct run *run)
{
	for (size_t i = 0; run->options.sham && i < run->fields_n; i++)
		if (is_control(run->fields[i]) && is_asked(run, run->fields[i]->name))
			for (size_t v = 0; v < variants_of(run); v++)
				if (nonzero(run, v, run->fields[i]).k > 0)
					return true;
	return false;
}

static void check_zero(struct run *run, const struct row_field *field)
{
	const struct variant *variants = run->about->variants;

	for (size_t v = 0; v < variants_of(run); v++) {
		struct share bad = nonzero(run, v, field);

		if (bad.k > 0)
			report_failure(
				run,
				variants ? MESSAGE("{variant}: {field} is not 0 in {bad}: {help}")
					 : MESSAGE("{field} is not 0 in {bad}: {help}"),
				(struct number[]){
					number_text("variant", variants ? variants[v].name : ""),
					number_text("field", field->name),
					number_share("bad", bad),
					number_text("help", field->help),
					{0}});
	}
}

void judge_controls(struct run *run)
{
	for (size_t i = 0; i < run->fields_n; i++)
		if (is_control(run->fields[i]))
			check_zero(run, run->fields[i]);
	for (const struct control *c = run->about->controls; c && c->id; c++) {
		const struct said *said = &run->controls[control_index(run, c->id)];

		if (said->verdict == REFUTED)
			report_failure(
				run, "{control}: {sentence}",
				(struct number[]){number_text("control", c->text),
						  number_words("sentence", said->sentence.text,
							       said->sentence.shown),
						  {0}});
	}
}
