/* SPDX-License-Identifier: MIT */
/*
 * What a run says to people: verdicts with their mechanism, controls, notes, and what made its
 * numbers doubtful.
 */
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "language.h"
#include "run.h"
#include "text.h"

enum { VERDICT_WIDTH = 10 }; /* columns of the longest one, in any language */

/* The scatter at which a run says that it was unsteady. */
static const double noisy_scatter = 0.25; /* interquartile range over median */

/* Whether an environment variable is set, to something. */
static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

/* Whether escape codes are understood there. */
static bool is_terminal(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

static void print_header(struct run *run)
{
	const char *dot = text_pick(" · ", " - ");

	fprintf(run->out, "%s   %s%sseed %lld", run->about->name, machine_summary(), dot,
		(long long)run->options.seed);
	if (run->options.sham)
		fprintf(run->out, "%sSHAM %s", dot, run->options.sham);
	fputc('\n', run->out);
	fflush(run->out);
}

void report_prepare(struct run *run)
{
	const char *output = run->options.output;
	bool silent = run->options.quiet || run->options.brief;

	run->console = output && strcmp(output, "-") == 0 ? stderr : stdout;
	run->out = silent ? fopen("/dev/null", "we") : run->console;
	if (!run->out)
		err(EXIT_USAGE, "/dev/null");
	/* forced: somebody passes what we print on to a terminal, as scripts/run does */
	run->colour =
		(is_terminal(run->console) || is_set("CLICOLOR_FORCE")) && !is_set("NO_COLOR");
	run->progress = is_terminal(stderr) && !run->options.quiet;
	print_header(run);
}

void report_peer(const struct run *run)
{
	fprintf(run->out, "%s   %s\n", translated("to the peer"),
		json_string_value(json_object_get(run->peer, "summary")));
	fflush(run->out);
}

FILE *run_out(const struct run *run)
{
	return run->out;
}

static char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		err(EXIT_USAGE, "vasprintf");
	return text;
}

static void write_row(struct run *run, json_t *row)
{
	pthread_mutex_lock(&run->lock);
	record_describe(run);
	record_row(run, row);
	pthread_mutex_unlock(&run->lock);
}

/* What was said as a row of its own kind: the text, as it was before it was wrapped. */
static void write_sentence(struct run *run, const char *kind, const struct sentence *sentence)
{
	json_t *row = json_pack("{s:s,s:s,s:O}", "row", kind, "template", sentence->template,
				"numbers", sentence->numbers);

	json_object_set_new(row, "text", rows_text(sentence->text));
	write_row(run, row);
}

/* Wrapped lines, the first of which begins with a word. */
static void say_with(struct run *run, const char *word, const char *text)
{
	int indent = 2 + text_columns(word, strlen(word)) + (*word != '\0');

	fprintf(run->out, *word ? "  %s " : "  %s", word);
	text_wrap(run->out, indent, indent, text);
}

/* The same, and as a row. */
static void tell(struct run *run, const char *kind, const char *word,
		 const struct sentence *sentence)
{
	write_sentence(run, kind, sentence);
	say_with(run, word, sentence->shown);
}

/* The mechanism: words without numbers. */
static void tell_why(struct run *run, const char *why)
{
	json_t *row = json_pack("{s:s}", "row", "why");

	json_object_set_new(row, "text", rows_text(why));
	write_row(run, row);
	say_with(run, translated("Why:"), translated(why));
}

static void tell_notes(struct run *run, size_t first)
{
	for (size_t i = first; i < run->notes_n; i++)
		tell(run, "note", translated("NOTE"), &run->notes[i].sentence);
}

void run_say(struct run *run, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(translated(format), args);
	va_end(args);
	say_with(run, "", text);
	free(text);
}

void report_failure(struct run *run, const char *template, const struct number *numbers)
{
	struct sentence sentence = judge_sentence(template, numbers);
	const char *words = translated("CONTROL FAILED");
	const int column = text_columns(words, strlen(words)) + 3;

	run->control_failed = true;
	write_sentence(run, "failure", &sentence);
	fprintf(run->console, "  %s%s%s ", run->colour ? "\033[1;31m" : "", words,
		run->colour ? "\033[0m" : "");
	text_wrap(run->console, column, column, sentence.shown);
	judge_forget(&sentence);
}

/* --- verdicts ------------------------------------------------------------ */

/* The column that the ids of all claims fit into. */
static int claims_width(const struct run *run)
{
	size_t widest = 21;

	for (const struct claim *claim = run->about->claims; claim->id; claim++)
		widest = strlen(claim->id) > widest ? strlen(claim->id) : widest;
	return (int)widest;
}

/* What could decide a claim that is unclear. */
static const char *remedy_of(const struct run *run)
{
	if (run->disturbed_trials * 2 > run->all_trials)
		return MESSAGE("a calmer machine");
	if (run->options.variants)
		return MESSAGE("a run without --variants");
	if (run->options.trials_given)
		return MESSAGE("a run without --trials");
	if (run->options.quick)
		return MESSAGE("a run without --quick");
	if (run->looks == LOOKS)
		return text_format("--trials %lld", (long long)run->options.trials << LOOKS);
	if (run->options.budget_ms < 1000)
		return MESSAGE("a run without --budget");
	return text_format("--budget %llds", (long long)(run->options.budget_ms * 3 / 1000));
}

static void print_verdict(struct run *run, const struct claim *claim, const struct said *said)
{
	static const char *const colours[] = {
		[UNCLEAR] = "\033[1;35m", [HOLDS] = "\033[1;32m",    [REFUTED] = "\033[1;31m",
		[DEPENDS] = "\033[1;33m", [NOT_SEEN] = "\033[1;36m", [SKIPPED] = "\033[1m"};
	const int column = claims_width(run);
	const char *sham = run->options.sham ? translated("SHAM: ") : "";
	const char *remedy = "";
	char *text;

	if (said->verdict == UNCLEAR)
		remedy = text_format(translated("; not decided by this run, may be by %s"),
				     translated(remedy_of(run)));
	if (asprintf(&text, "%s%s%s", sham, said->sentence.shown, remedy) < 0)
		err(EXIT_USAGE, "asprintf");
	fprintf(run->console, "  %-*s %s", column, claim->id,
		run->colour ? colours[said->verdict] : "");
	text_pad(run->console, translated(verdict_shown(said->verdict)), VERDICT_WIDTH);
	fprintf(run->console, "%s ", run->colour ? "\033[0m" : "");
	text_wrap(run->console, column + 4 + VERDICT_WIDTH, column + 4 + VERDICT_WIDTH, text);
	free(text);
}

static void report_verdict(struct run *run, const struct claim *claim)
{
	const struct said *said = judge_said(run, claim->id);
	json_t *row = json_pack("{s:s,s:s,s:s,s:s,s:O}", "row", "verdict", "claim", claim->id,
				"verdict", verdict_word(said->verdict), "template",
				said->sentence.template, "numbers", said->sentence.numbers);

	json_object_set_new(row, "sentence", rows_text(said->sentence.text));
	if (said->verdict == UNCLEAR)
		json_object_set_new(row, "remedy", json_string(remedy_of(run)));
	write_row(run, row);
	print_verdict(run, claim, said);
}

void report_verdicts(struct run *run)
{
	const char *last = NULL;

	for (const struct claim *c = run->about->claims; c->id; c++)
		report_verdict(run, c);
	for (const struct claim *c = run->about->claims; c->id; c++) {
		const char *why = c->why[judge_said(run, c->id)->verdict];

		if (!why || (last && strcmp(why, last) == 0))
			continue;
		tell_why(run, why);
		last = why;
	}
	tell_notes(run, 0);
}

/* --- noise --------------------------------------------------------------- */

/* The typical scatter: the median over the variants, so that one bimodal variant is not called
 * noise. */
static double scatter_of(struct run *run)
{
	int64_t ppm[MAX_VARIANTS];
	size_t n = 0;

	for (size_t i = 0; run->about->scatter && i < run->variants; i++) {
		struct values values = run_values(run, run->order[i], run->about->scatter);

		if (values.n >= 3)
			ppm[n++] = (int64_t)(stats_spread(values) * 1e6);
	}
	return n ? stats_quantile((struct values){.at = ppm, .n = n}, 0.5) / 1e6 : 0;
}

/* "at last: other programs took 44 % ..."; of several causes, in how many trials each; to be freed. */
static char *disturbed_by(const struct run *run, bool shown)
{
	bool several = run->disturbed_by[0].trials < run->disturbed_trials;
	char *text = NULL;
	size_t size;
	FILE *out = check_alloc(open_memstream(&text, &size));

	for (size_t i = 0; i < DISTURBANCE_CAUSES && run->disturbed_by[i].word; i++) {
		if (several)
			fprintf(out, "%s%s, ", i ? "; " : "",
				text_count(run->disturbed_by[i].trials));
		fprintf(out, translated_if(shown, "at last: %s"),
			disturbance_text(&run->disturbed_by[i].last, shown));
	}
	fclose(out);
	return text;
}

/* Names what disturbed the run, and what helps against it. */
void report_noise(struct run *run)
{
	double scatter = scatter_of(run);
	char *by = disturbed_by(run, false);
	char *by_shown = disturbed_by(run, true);
	const struct number numbers[] = {
		number_int("disturbed", run->disturbed_trials),
		number_int("all", run->all_trials),
		number_words("by", by, by_shown),
		number_text("field", run->about->scatter ? run->about->scatter : ""),
		number_real("scatter_share", scatter),
		{0}};
	size_t before = run->notes_n;

	if (run->disturbed_trials > 0 && run->about->timed)
		run_note_with(
			run,
			"{disturbed} of {all} trials were disturbed ({by}), and are left out of the verdicts",
			numbers);
	else if (run->disturbed_trials > 0)
		run_note_with(
			run,
			"{disturbed} of {all} trials were disturbed ({by}): their times say little",
			numbers);
	else if (scatter > noisy_scatter)
		run_note_with(
			run,
			"unsteady: the middle half of the trials spreads over {scatter_share} of the median {field}; --cpus can choose quiet CPUs",
			numbers);
	free(by);
	free(by_shown);
	tell_notes(run, before);
}
