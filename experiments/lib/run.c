/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "files.h"
#include "language.h"
#include "span.h"
#include "text.h"

static const int64_t progress_every_ns = 100000000;

static struct run *current; /* for exit(3) and signals: there is one run a process */

static void clear_progress(struct run *run)
{
	if (run->shown_ns)
		fputs("\r\033[K", stderr);
	run->shown_ns = 0;
}

static void at_exit(void)
{
	if (current && current->process == getpid()) /* not in a child that an experiment forked */
		record_drop_at_exit(current);
}

/* Keeps the rows so far; the lock stays taken, because the process is about to die. */
static void end_interrupted(const char *interrupted)
{
	clear_progress(current);
	pthread_mutex_lock(&current->lock);
	record_end(current, interrupted);
	fflush(NULL);
}

static void choose_variants(struct run *run)
{
	const struct variant *variants = run->about->variants;
	const char *list = run->options.variants;

	if (!variants) {
		run->variants = 1;
		return;
	}
	for (size_t i = 0; variants[i].name && !list; i++)
		run->order[run->variants++] = i;
	while (list) {
		size_t length = strcspn(list, ",");
		size_t i = declare_variant(run, list, length, "--variants");

		if (!run_selected(run, i))
			run->order[run->variants++] = i;
		list = list[length] ? list + length + 1 : NULL;
	}
}

/* A thread that fails while it holds the lock must not wait for itself in exit(3). */
static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t checked;

	check(pthread_mutexattr_init(&checked), "pthread_mutexattr_init");
	check(pthread_mutexattr_settype(&checked, PTHREAD_MUTEX_ERRORCHECK),
	      "pthread_mutexattr_settype");
	check(pthread_mutex_init(lock, &checked), "pthread_mutex_init");
	pthread_mutexattr_destroy(&checked);
}

static void open_rows(struct run *run)
{
	if (!run->options.output)
		return;
	run->rows = rows_open(run->options.output);
	if (!run->rows && errno == EBUSY)
		errx(EXIT_USAGE, "%s: another run is writing it", run->options.output);
	if (!run->rows)
		err(EXIT_USAGE, "%s", run->options.output);
}

/* What a trial may take at most; sanitizers make everything slower. */
static int64_t limit_of(const struct run *run)
{
	int64_t limit_s = run->about->limit_s ? run->about->limit_s : 60;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	limit_s *= 10;
#endif
	return limit_s;
}

struct run *run_begin(const struct experiment *about, int argc, char *argv[])
{
	struct run *run = check_alloc(calloc(1, sizeof(*run)));

	run->about = about;
	run->process = getpid();
	options_parse(about, &run->options, argc, argv);
	language_choose(run->options.language);
	run->trial = -1;
	run->rng.state = (uint64_t)run->options.seed;
	run->samples = json_array();
	run->pending = json_array();
	init_lock(&run->lock);
	declare_fields(run);
	declare_sham(run);
	if (run->options.describe)
		declare_describe(run);
	if (run->options.serve)
		peer_serve(run);
	choose_variants(run);
	cpus_choose(run->options.cpus);
	files_make_room(FILES_FEW);
	open_rows(run);
	machine_load(&run->load);
	current = run;
	atexit(at_exit);
	stop_watch(end_interrupted);
	report_prepare(run);
	stop_limit(limit_of(run), "before the first trial");
	return run;
}

bool run_names_variants(const struct run *run)
{
	return run->options.variants;
}

void run_leave_out(struct run *run, size_t variant, const char *why, ...)
{
	size_t kept = 0;
	va_list args;

	if (run->trial >= 0)
		errx(EXIT_USAGE, "a variant is left out after the first trial");
	va_start(args, why);
	if (vasprintf(&run->left_out[variant], why, args) < 0)
		err(EXIT_USAGE, "vasprintf");
	va_end(args);
	for (size_t i = 0; i < run->variants; i++)
		if (run->order[i] != variant && run->treatment[run->order[i]] != variant)
			run->order[kept++] = run->order[i];
	run->variants = kept;
}

/* --- how long ------------------------------------------------------------ */

static void show_progress(struct run *run)
{
	int64_t now = span_now();
	int64_t all = run->options.trials * (int64_t)run->variants;
	int64_t done = run->trial * (int64_t)run->variants + (int64_t)run->place;
	double left;

	if (!run->progress || (run->shown_ns && now - run->shown_ns < progress_every_ns))
		return;
	run->shown_ns = now;
	fprintf(stderr, "\r\033[K%s: trial %lld", run->about->name, (long long)done + 1);
	if (done < all)
		fprintf(stderr, " of %lld", (long long)all);
	if (done > 0 && done < all) {
		left = (double)(now - run->begin_ns) / (double)done * (double)(all - done);
		fprintf(stderr, ", %.0f s left", ceil(left / 1e9));
	}
	fflush(stderr);
}

/* Whether verdicts are made of a variant; others are only shown. */
static bool is_judged(const struct run *run, size_t label)
{
	return run->needed[label] || run->treatment[label] != label || run->options.trials_given ||
	       !run->about->variants;
}

/*
 * Whether a variant is to be in more rounds, calm ones if the experiment is .timed: in as many as the next
 * look asks for, if it is judged; else in those before the first look, of a quick run in one.
 */
static bool lacks_rounds(const struct run *run, size_t label)
{
	int64_t shown = run->options.quick ? 1 : run->options.trials;
	int64_t wanted = is_judged(run, label) ? run->options.trials << run->looks : shown;

	return judge_rounds(run, label, judge_anywhere) < wanted;
}

static bool any_lacks_rounds(const struct run *run)
{
	for (size_t i = 0; i < run->variants; i++)
		if (lacks_rounds(run, run->order[i]))
			return true;
	return false;
}

/* Rounds before the first look that take longer than the budget are made up for in a quarter of their time. */
static bool may_make_up(const struct run *run, int64_t taken_ns)
{
	return run->looks == 0 && run->options.budget_ms > 0 &&
	       taken_ns < run->planned_ns + run->planned_ns / 4;
}

/*
 * After a round: whether there is another one.  Looks are at fixed numbers of calm rounds: one that
 * came whenever the evidence happens to be good would err more often.
 */
static bool goes_on(struct run *run)
{
	int64_t rounds = run->trial + 1;
	int64_t taken_ns = span_now() - run->begin_ns;
	bool in_budget = taken_ns < run->options.budget_ms * 1000000;

	if (rounds == 1 && !run->options.trials_given)
		judge_look(run); /* which variants it reads */
	if (judge_sham_failed(run))
		return false; /* it need not fail again */
	if (rounds < run->options.trials)
		return true;
	if (rounds == run->options.trials)
		run->planned_ns = taken_ns;
	if (run->options.trials_given || !(in_budget || may_make_up(run, taken_ns)))
		return false;
	record_end_trial(run, true);
	if (any_lacks_rounds(run))
		return true;
	if (!in_budget)
		return false;
	run->looks++;
	judge_look(run);
	return !judge_decided(run) && run->looks < LOOKS;
}

/* Goes to the next variant, or to the first one of the next round; false if there is none. */
static bool next_place(struct run *run)
{
	if (run->trial >= 0 && ++run->place < run->variants)
		return true;
	if (run->variants == 0 || run_stopped() || (run->trial >= 0 && !goes_on(run)))
		return false;
	run->trial++;
	run->place = 0;
	rng_shuffle(&run->rng, run->order, run->variants);
	return true;
}

/*
 * Whether a variant is in this round.  One that makes up for disturbed trials is of those that lack
 * calm ones, unless variants are compared round by round: then of all that are judged.
 */
static bool has_turn(const struct run *run, size_t label)
{
	return lacks_rounds(run, label) || (run->paired && is_judged(run, label));
}

static bool next_trial(struct run *run)
{
	while (next_place(run))
		if (has_turn(run, run_label(run)))
			return true;
	return false;
}

bool run_next(struct run *run)
{
	if (run->trial < 0) {
		pthread_mutex_lock(&run->lock);
		record_describe(run);
		pthread_mutex_unlock(&run->lock);
		run->begin_ns = span_now();
	} else {
		record_end_trial(run, false);
	}
	if (!next_trial(run) || run_stopped()) {
		record_end_trial(run, true);
		clear_progress(run);
		return false;
	}
	show_progress(run);
	stop_limit(limit_of(run),
		   run->about->variants ? run->about->variants[run_label(run)].name : "the trial");
	record_begin_trial(run);
	return true;
}

int64_t run_trial(const struct run *run)
{
	return run->trial;
}

bool run_looked(const struct run *run)
{
	return run->looks > 0;
}

size_t run_label(const struct run *run)
{
	return run->order[run->place];
}

size_t run_variant(const struct run *run)
{
	return run->treatment[run_label(run)];
}

const void *run_how(const struct run *run)
{
	return run->about->variants[run_variant(run)].how;
}

bool run_selected(const struct run *run, size_t variant)
{
	for (size_t i = 0; i < run->variants; i++)
		if (run->order[i] == variant)
			return true;
	return !run->about->variants;
}

/* --- the end ------------------------------------------------------------- */

/* Ends the rows and the text; a full disk is an error for either. */
static int finish(struct run *run, int status)
{
	pthread_mutex_lock(&run->lock);
	record_end(run, NULL);
	pthread_mutex_unlock(&run->lock);
	if (fflush(stdout) != 0 || ferror(stdout))
		err(EXIT_USAGE, "standard output");
	if (run_stopped())
		stop_die();
	stop_unwatch();
	current = NULL;
	pthread_mutex_destroy(&run->lock);
	if (run->out != run->console)
		fclose(run->out);
	if (run->half)
		peer_close(run->half);
	record_free(run);
	free(run);
	return status;
}

static void say_where(const struct run *run)
{
	if (run->options.output && run->console == stdout)
		fprintf(run->out, "  rows: %s\n", run->options.output);
}

int run_end(struct run *run)
{
	if (run_stopped()) {
		end_interrupted(stop_name());
		stop_die();
	}
	judge_look(run);
	table_print(run);
	if (run->about->draw)
		run->about->draw(run);
	judge_controls(run);
	report_verdicts(run);
	report_noise(run);
	say_where(run);
	if (run->variants == 0)
		return finish(run, EXIT_SKIP);
	return finish(run, run->control_failed ? EXIT_CONTROL : 0);
}

int run_skip(struct run *run, const char *reason, ...)
{
	va_list args, again;
	char *text, *shown;

	va_start(args, reason);
	va_copy(again, args);
	if (vasprintf(&text, reason, args) < 0 || vasprintf(&shown, translated(reason), again) < 0)
		err(EXIT_USAGE, "vasprintf");
	va_end(again);
	va_end(args);
	for (const struct claim *c = run->about->claims; c->id; c++)
		run_judge(run, c->id, SKIPPED, "{reason}",
			  number_words("reason", text, translated(shown)));
	free(text);
	free(shown);
	report_verdicts(run);
	say_where(run);
	return finish(run, EXIT_SKIP);
}
