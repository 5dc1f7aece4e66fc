/* SPDX-License-Identifier: MIT */
/*
 * What a run says to people: verdicts, controls, notes, and what made its numbers doubtful.
 */
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "text.h"

/* What would make a number doubtful: the shares at which a run says so. */
static const double noisy_foreign = 0.10; /* of the CPUs' time, spent by other programs */
static const double noisy_steal = 0.02;
static const double noisy_scatter = 0.25; /* interquartile range over median */

/* Whether escape codes are understood there. */
static bool is_terminal(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

void report_prepare(struct run *run)
{
	const char *output = run->options.output;
	const char *no_colour = getenv("NO_COLOR");

	run->console = output && strcmp(output, "-") == 0 ? stderr : stdout;
	run->out = run->options.quiet ? fopen("/dev/null", "we") : run->console;
	if (!run->out)
		err(EXIT_USAGE, "/dev/null");
	run->colour = is_terminal(run->console) && !(no_colour && *no_colour);
	run->progress = is_terminal(stderr) && !run->options.quiet;
	fprintf(run->out, "%s   %s%sseed %lld\n", run->about->name, machine_summary(),
		text_pick(" · ", " - "), (long long)run->options.seed);
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

size_t report_claim(const struct run *run, const char *id)
{
	const struct claim *claims = run->about->claims;

	for (size_t i = 0; claims[i].id; i++)
		if (strcmp(claims[i].id, id) == 0)
			return i;
	errx(EXIT_USAGE, "a verdict on '%s', which is not among the claims", id);
}

/* The column that the ids of all claims fit into. */
static int claims_width(const struct run *run)
{
	size_t widest = 21;

	for (const struct claim *claim = run->about->claims; claim->id; claim++)
		widest = strlen(claim->id) > widest ? strlen(claim->id) : widest;
	return (int)widest;
}

static void write_row(struct run *run, json_t *row)
{
	pthread_mutex_lock(&run->lock);
	record_describe(run);
	record_row(run, row);
	pthread_mutex_unlock(&run->lock);
}

/* What was said as a row of its own kind: the text, as it was before it was wrapped. */
static void write_text(struct run *run, const char *kind, const char *text)
{
	json_t *row = json_pack("{s:s}", "row", kind);

	json_object_set_new(row, "text", rows_text(text));
	write_row(run, row);
}

void run_verdict(struct run *run, const char *claim, enum verdict verdict,
		 const struct field *numbers, const char *sentence, ...)
{
	static const struct {
		const char *word, *shown, *colour;
	} words[] = {[HOLDS] = {"holds", "HOLDS", "\033[1;32m"},
		     [REFUTED] = {"refuted", "REFUTED", "\033[1;31m"},
		     [DEPENDS] = {"depends", "DEPENDS", "\033[1;33m"},
		     [NOT_SEEN] = {"not-seen", "NOT SEEN", "\033[1;36m"},
		     [SKIPPED] = {"skipped", "SKIPPED", "\033[1m"}};
	const int column = claims_width(run);
	json_t *row = json_pack("{s:s,s:s,s:s}", "row", "verdict", "claim", claim, "verdict",
				words[verdict].word);
	json_t *behind = json_object();
	size_t index = report_claim(run, claim);
	va_list args;
	char *text;

	if (run->judged[index])
		errx(EXIT_USAGE, "two verdicts on '%s'", claim);
	run->judged[index] = true;
	va_start(args, sentence);
	text = format_text(sentence, args);
	va_end(args);
	rows_add(behind, numbers);
	json_object_set_new(row, "sentence", rows_text(text));
	json_object_set_new(row, "numbers", behind);
	write_row(run, row);
	fprintf(run->console, "  %-*s %s%-10s%s ", column, claim,
		run->colour ? words[verdict].colour : "", words[verdict].shown,
		run->colour ? "\033[0m" : "");
	text_wrap(run->console, column + 14, column + 14, text);
	free(text);
}

void run_control(struct run *run, bool held, const char *what, ...)
{
	va_list args;
	char *text;

	if (held)
		return;
	run->control_failed = true;
	va_start(args, what);
	text = format_text(what, args);
	va_end(args);
	write_text(run, "failure", text);
	fprintf(run->console, "  %sCONTROL FAILED%s ", run->colour ? "\033[1;31m" : "",
		run->colour ? "\033[0m" : "");
	text_wrap(run->console, 17, 17, text);
	free(text);
}

/* Wrapped lines, the first of which begins with a word. */
static void say_with(struct run *run, const char *word, const char *text)
{
	int indent = fprintf(run->out, *word ? "  %s " : "  %s", word);

	text_wrap(run->out, indent, indent, text);
}

void run_say(struct run *run, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	say_with(run, "", text);
	free(text);
}

void run_why(struct run *run, const char *why, ...)
{
	va_list args;
	char *text;

	va_start(args, why);
	text = format_text(why, args);
	va_end(args);
	write_text(run, "why", text);
	say_with(run, "Why:", text);
	free(text);
}

void run_note(struct run *run, const char *note, ...)
{
	va_list args;
	char *text;

	va_start(args, note);
	text = format_text(note, args);
	va_end(args);
	write_text(run, "note", text);
	say_with(run, "NOTE", text);
	free(text);
}

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
	return n ? stats_quantile((struct values){ppm, n}, 0.5) / 1e6 : 0;
}

/* Names what disturbed the run most, and what helps against it. */
void report_noise(struct run *run)
{
	int64_t more = run->options.trials * 4 < MAX_TRIALS ? run->options.trials * 4 : MAX_TRIALS;
	struct machine_load now;
	double cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);
	double tick = cpus * 1e9 / (double)sysconf(_SC_CLK_TCK); /* the kernel counts in these */
	double cpu_time;
	double foreign = 0;
	double steal;
	double scatter = scatter_of(run);

	machine_load(&now);
	cpu_time = (double)(now.wall_ns - run->load.wall_ns) * cpus;
	steal = ((double)(now.steal_ns - run->load.steal_ns) - tick) / cpu_time;
	if (now.busy_ns)
		foreign = ((double)(now.busy_ns - run->load.busy_ns) -
			   (double)(now.own_ns - run->load.own_ns) - tick) /
			  cpu_time;
	if (steal > noisy_steal)
		run_note(run,
			 "noisy machine: the hypervisor gave %s of the CPU time to others; use a "
			 "machine of "
			 "your own, or --trials %lld",
			 text_share(steal), (long long)more);
	else if (foreign > noisy_foreign)
		run_note(
			run,
			"noisy machine: other programs used %s of the CPU time; close them, or use "
			"--trials %lld",
			text_share(foreign), (long long)more);
	else if (scatter > noisy_scatter)
		run_note(run,
			 "unsteady: the middle half of the trials spreads over %s of the median "
			 "%s; use "
			 "--trials %lld, or --cpus to choose quiet CPUs",
			 text_share(scatter), run->about->scatter, (long long)more);
}
