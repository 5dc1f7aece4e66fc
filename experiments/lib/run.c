/* SPDX-License-Identifier: MIT */
#include "exp.h"

#include <err.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "machine.h"
#include "options.h"
#include "rng.h"
#include "span.h"
#include "text.h"

enum {
	SCHEMA = 1, /* of the rows; see results/README.md */
	MAX_VARIANTS = 64,
	GRACE_MS = 1000, /* what a trial may still take after a signal */
};

static const int64_t progress_every_ns = 100000000;

/* What would make a number doubtful: the shares at which a run says so. */
static const double noisy_foreign = 0.10; /* of the CPUs' time, spent by other programs */
static const double noisy_steal = 0.02;
static const double noisy_scatter = 0.25; /* interquartile range over median */

struct run {
	const struct experiment *about;
	struct common options;
	FILE *out;     /* the report; NULL under --quiet */
	FILE *console; /* stdout, or stderr if the rows go to stdout */
	bool colour;

	size_t order[MAX_VARIANTS]; /* the variants asked for, in this round's order */
	size_t variants;
	int64_t trial; /* the round under way, from 0; -1 before the first */
	size_t place;  /* in order */
	struct rng rng;
	struct machine_load load;
	int64_t shown_ns; /* when the progress line was drawn last; 0 = none stands */
	bool tty;         /* stderr is a terminal */

	bool judged[MAX_VARIANTS]; /* claims with a verdict */
	bool control_failed;
	int64_t **kept; /* what run_values() handed out */
	size_t kept_n;

	/* The rows, under a lock: the signal thread may have to end the file. */
	pthread_mutex_t lock;
	struct rows *rows; /* NULL = none asked for, or ended */
	bool described;    /* the run row is written */
	json_t *samples;
};

static struct run *current; /* for atexit(3) and the signal thread: there is one run a process */
static _Atomic int stop_signal;
static int stop_fd = -1;
static pthread_t watcher;
static sigset_t watched;
static cpu_set_t allowed;

/* --- stopping ------------------------------------------------------------ */

bool run_stopped(void)
{
	return atomic_load(&stop_signal) != 0;
}

int run_stop_fd(void)
{
	return stop_fd;
}

bool run_sleep_until(int64_t deadline_ns)
{
	struct pollfd stop = {.fd = stop_fd, .events = POLLIN};

	for (;;) {
		int64_t left = deadline_ns - span_now();
		struct timespec timeout = {left / 1000000000, left % 1000000000};

		if (run_stopped())
			return false;
		if (left <= 0)
			return true;
		ppoll(&stop, 1, &timeout, NULL);
	}
}

static void write_row(struct run *run, json_t *row)
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
static void describe(struct run *run)
{
	const struct experiment *about = run->about;
	json_t *row;
	json_t *claims;

	if (run->described)
		return;
	run->described = true;
	row = json_pack("{s:s,s:i,s:s,s:s}", "row", "run", "schema", SCHEMA, "experiment",
			about->name, "group", about->group);
	claims = json_object();
	for (const struct claim *c = about->claims; c->id; c++)
		json_object_set_new(claims, c->id, json_string(c->text));
	json_object_set_new(row, "claims", claims);
	json_object_set_new(row, "params", options_params(about, &run->options));
	machine_describe(row);
	write_row(run, row);
}

/* Writes the end row and gives the file its name.  Under the lock; does nothing the second time. */
static void end_rows(struct run *run, const char *interrupted)
{
	struct machine_load now;
	struct rows *rows = run->rows;
	json_t *end;
	int error;

	if (!rows)
		return;
	describe(run);
	machine_load(&now);
	end = json_pack("{s:s,s:s?,s:o,s:I}", "row", "end", "interrupted", interrupted,
			"controls_held",
			interrupted ? json_null() : json_boolean(!run->control_failed), "samples",
			(json_int_t)json_array_size(run->samples));
	rows_add(end, (struct field[]){{"wall_ns", now.wall_ns - run->load.wall_ns},
				       {"own_cpu_ns", now.own_ns - run->load.own_ns},
				       {"machine_cpu_ns", now.busy_ns - run->load.busy_ns},
				       {"steal_ns", now.steal_ns - run->load.steal_ns},
				       {0}});
	write_row(run, end);
	run->rows = NULL;
	error = rows_keep(rows);
	if (error) {
		errno = error;
		err(EXIT_USAGE, "%s: the rows are lost", run->options.output);
	}
}

static _Noreturn void die_of(int number)
{
	sigset_t one;

	signal(number, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, number);
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
	raise(number);
	_exit(128 +
	      number); /* not reached: the default action of each watched signal is to end us */
}

static void clear_progress(struct run *run)
{
	if (run->shown_ns)
		fputs("\r\033[K", stderr);
	run->shown_ns = 0;
}

static _Noreturn void end_interrupted(struct run *run, int number)
{
	clear_progress(run);
	pthread_mutex_lock(&run->lock);
	end_rows(run, number == SIGINT ? "SIGINT" : number == SIGTERM ? "SIGTERM" : "SIGHUP");
	fflush(NULL);
	die_of(number);
}

/* Waits for a signal, asks the trial to end, and ends the run itself if it does not. */
static void *watch(void *argument)
{
	struct run *run = argument;
	const uint64_t one = 1;
	int number;

	check(sigwait(&watched, &number), "sigwait");
	if (number == SIGRTMAX)
		return NULL;
	atomic_store(&stop_signal, number);
	if (write(stop_fd, &one, sizeof(one)) < 0)
		warn("eventfd");
	poll(NULL, 0, GRACE_MS);
	end_interrupted(run, number);
}

/* exit(3) from anywhere but run_end(): an error.  The samples so far are kept, nothing is left
 * half. */
static void at_exit(void)
{
	struct run *run = current;

	if (!run || pthread_mutex_trylock(&run->lock) != 0)
		return;
	if (run->rows && json_array_size(run->samples) > 0) {
		end_rows(run, "error");
	} else if (run->rows) {
		rows_drop(run->rows);
		run->rows = NULL;
	}
	pthread_mutex_unlock(&run->lock);
}

static void start_watching(struct run *run)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};

	sigemptyset(&watched);
	sigaddset(&watched, SIGRTMAX); /* ours, to end the thread */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction old;

		/* what our parent ignores (nohup, a job in the background) stays ignored */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&watched, numbers[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	stop_fd = check_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
	check(pthread_sigmask(SIG_BLOCK, &watched, NULL), "pthread_sigmask");
	check(pthread_create(&watcher, NULL, watch, run), "pthread_create");
}

/* --- CPUs ---------------------------------------------------------------- */

int run_cpus(void)
{
	return CPU_COUNT(&allowed);
}

void run_pin(int n)
{
	cpu_set_t one;
	int left = n < 0 ? 0 : n % CPU_COUNT(&allowed);

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && left-- == 0) {
			CPU_SET(cpu, &one);
			break;
		}
	check(pthread_setaffinity_np(pthread_self(), sizeof(one), n < 0 ? &allowed : &one),
	      "pthread_setaffinity_np");
}

static void choose_cpus(const char *list)
{
	int error = list ? machine_cpus_parse(list, &allowed) : 0;

	if (error == EINVAL)
		errx(EXIT_USAGE, "--cpus: '%s' is not a list of CPUs such as 0-1,3", list);
	if (error == ENODEV)
		errx(EXIT_USAGE, "--cpus: %s has a CPU that this process may not use", list);
	check(error, "sched_getaffinity");
	if (list)
		check_fd(sched_setaffinity(0, sizeof(allowed), &allowed), "sched_setaffinity");
	else
		check_fd(sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
}

/* --- beginning ----------------------------------------------------------- */

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
		size_t i = 0;

		while (variants[i].name && (strlen(variants[i].name) != length ||
					    strncmp(variants[i].name, list, length) != 0))
			i++;
		if (!variants[i].name)
			errx(EXIT_USAGE, "--variants: there is no '%.*s' (see --help)", (int)length,
			     list);
		if (!run_selected(run, i))
			run->order[run->variants++] = i;
		list = list[length] ? list + length + 1 : NULL;
	}
}

static bool wants_colour(FILE *out)
{
	const char *none =
		getenv("NO_COLOR");        /* NOLINT(concurrency-mt-unsafe): no thread runs yet */
	const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe) */

	return isatty(fileno(out)) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

struct run *run_begin(const struct experiment *about, int argc, char *argv[])
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		err(EXIT_USAGE, "calloc");
	setlocale(LC_CTYPE, ""); /* NOLINT(concurrency-mt-unsafe): no thread runs yet */
	run->about = about;
	options_parse(about, &run->options, argc, argv);
	run->trial = -1;
	run->rng.state = (uint64_t)run->options.seed;
	run->samples = json_array();
	check(pthread_mutex_init(&run->lock, NULL), "pthread_mutex_init");
	choose_variants(run);
	choose_cpus(run->options.cpus);
	if (run->options.output) {
		run->rows = rows_open(run->options.output);
		if (!run->rows && errno == EBUSY)
			errx(EXIT_USAGE, "%s: another run is writing it", run->options.output);
		if (!run->rows)
			err(EXIT_USAGE, "%s", run->options.output);
	}
	run->console =
		run->options.output && strcmp(run->options.output, "-") == 0 ? stderr : stdout;
	run->out = run->options.quiet ? fopen("/dev/null", "we") : run->console;
	if (!run->out)
		err(EXIT_USAGE, "/dev/null");
	run->colour = wants_colour(run->console);
	run->tty = isatty(STDERR_FILENO) && !run->options.quiet;
	machine_load(&run->load);
	current = run;
	atexit(at_exit);
	start_watching(run);
	fprintf(run->out, "%s   %s%sseed %lld\n", about->name, machine_summary(),
		text_pick(" · ", " - "), (long long)run->options.seed);
	fflush(run->out);
	return run;
}

/* --- trials -------------------------------------------------------------- */

static void show_progress(struct run *run)
{
	int64_t now = span_now();
	int64_t all = run->options.trials * (int64_t)run->variants;
	int64_t done = run->trial * (int64_t)run->variants + (int64_t)run->place;
	double left;

	if (!run->tty || (run->shown_ns && now - run->shown_ns < progress_every_ns))
		return;
	run->shown_ns = now;
	fprintf(stderr, "\r\033[K%s: trial %lld of %lld", run->about->name, (long long)done + 1,
		(long long)all);
	if (done > 0) {
		left = (double)(now - run->load.wall_ns) / (double)done * (double)(all - done);
		fprintf(stderr, ", %.0f s left", ceil(left / 1e9));
	}
	fflush(stderr);
}

bool run_next(struct run *run)
{
	if (run->trial < 0) {
		pthread_mutex_lock(&run->lock);
		describe(run);
		pthread_mutex_unlock(&run->lock);
	}
	if (run->trial < 0 || ++run->place == run->variants) {
		run->trial++;
		run->place = 0;
		for (size_t i = run->variants; i > 1; i--) { /* Fisher and Yates */
			size_t other = rng_below(&run->rng, i);
			size_t swap = run->order[i - 1];

			run->order[i - 1] = run->order[other];
			run->order[other] = swap;
		}
	}
	if (run->trial == run->options.trials || run_stopped()) {
		clear_progress(run);
		return false;
	}
	show_progress(run);
	return true;
}

int64_t run_trial(const struct run *run)
{
	return run->trial;
}

size_t run_variant(const struct run *run)
{
	return run->order[run->place];
}

bool run_selected(const struct run *run, size_t variant)
{
	for (size_t i = 0; i < run->variants; i++)
		if (run->order[i] == variant)
			return true;
	return false;
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
		write_row(run, json_incref(row));
	}
	pthread_mutex_unlock(&run->lock);
	json_decref(row);
}

void run_record(struct run *run, const struct field *fields)
{
	run_row(run, "sample", fields);
}

struct values run_values(struct run *run, size_t variant, const char *field)
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

		if (json_is_integer(value) &&
		    (!variants || strcmp(name, variants[variant].name) == 0))
			at[values.n++] = json_integer_value(value);
	}
	return values;
}

/* --- the report ---------------------------------------------------------- */

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

static size_t claim_index(const struct run *run, const char *id)
{
	const struct claim *claims = run->about->claims;

	for (size_t i = 0; claims[i].id; i++)
		if (strcmp(claims[i].id, id) == 0)
			return i;
	errx(EXIT_USAGE, "a verdict on '%s', which is not among the claims", id);
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
	const int indent = 35;
	json_t *row = json_pack("{s:s,s:s,s:s}", "row", "verdict", "claim", claim, "verdict",
				words[verdict].word);
	json_t *behind = json_object();
	size_t index = claim_index(run, claim);
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
	pthread_mutex_lock(&run->lock);
	describe(run);
	write_row(run, row);
	pthread_mutex_unlock(&run->lock);
	fprintf(run->console, "  %-21s %s%-10s%s ", claim, run->colour ? words[verdict].colour : "",
		words[verdict].shown, run->colour ? "\033[0m" : "");
	text_wrap(run->console, indent, indent, text);
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
	fprintf(run->console, "  %sCONTROL FAILED%s ", run->colour ? "\033[1;31m" : "",
		run->colour ? "\033[0m" : "");
	text_wrap(run->console, 17, 17, text);
	free(text);
}

void run_note(struct run *run, const char *note, ...)
{
	va_list args;
	char *text;

	va_start(args, note);
	text = format_text(note, args);
	va_end(args);
	fputs("  NOTE ", run->out);
	text_wrap(run->out, 7, 7, text);
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
static void warn_of_noise(struct run *run)
{
	int64_t more = run->options.trials * 4;
	struct machine_load now;
	double cpu_time;
	double foreign = 0;
	double steal;
	double scatter = scatter_of(run);

	machine_load(&now);
	cpu_time =
		(double)(now.wall_ns - run->load.wall_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
	steal = (double)(now.steal_ns - run->load.steal_ns) / cpu_time;
	if (now.busy_ns)
		foreign = ((double)(now.busy_ns - run->load.busy_ns) -
			   (double)(now.own_ns - run->load.own_ns)) /
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

static void free_run(struct run *run)
{
	current = NULL;
	check(pthread_kill(watcher, SIGRTMAX), "pthread_kill"); /* the run is over, see watch() */
	check(pthread_join(watcher, NULL), "pthread_join");
	close(stop_fd);
	pthread_mutex_destroy(&run->lock);
	if (run->out != run->console)
		fclose(run->out);
	for (size_t i = 0; i < run->kept_n; i++)
		free(run->kept[i]);
	free(run->kept);
	json_decref(run->samples);
	free(run);
}

/* Ends the rows and the text; a full disk is an error for either. */
static int finish(struct run *run, int status)
{
	pthread_mutex_lock(&run->lock);
	end_rows(run, NULL);
	pthread_mutex_unlock(&run->lock);
	if (fflush(stdout) != 0 || ferror(stdout))
		err(EXIT_USAGE, "standard output");
	if (run_stopped())
		die_of(atomic_load(&stop_signal));
	free_run(run);
	return status;
}

int run_end(struct run *run, void (*report)(struct run *run))
{
	if (run_stopped())
		end_interrupted(run, atomic_load(&stop_signal));
	report(run);
	for (const struct claim *c = run->about->claims; c->id; c++) {
		if (run->judged[claim_index(run, c->id)])
			continue;
		if (!run->options.variants)
			errx(EXIT_USAGE, "no verdict on '%s'", c->id);
		run_verdict(run, c->id, SKIPPED, NULL, "--variants left out what it needs");
	}
	warn_of_noise(run);
	if (run->options.output && run->console == stdout)
		fprintf(run->out, "  rows: %s\n", run->options.output);
	return finish(run, run->control_failed ? EXIT_CONTROL : 0);
}

int run_skip(struct run *run, const char *reason, ...)
{
	va_list args;
	char *text;

	va_start(args, reason);
	text = format_text(reason, args);
	va_end(args);
	for (const struct claim *c = run->about->claims; c->id; c++)
		run_verdict(run, c->id, SKIPPED, NULL, "%s", text);
	free(text);
	return finish(run, EXIT_SKIP);
}
