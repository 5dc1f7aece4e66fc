/* SPDX-License-Identifier: MIT */
/*
 * test_run - the life of an experiment: trials in a seeded order, interruptions, verdicts, exit
 * status.
 *
 * Each test runs a small experiment in a child and looks at what a user would see: how the process
 * ended, what it printed, and which rows are in which file.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

#include "child.h"
#include "exp.h"
#include "folder.h"
#include "span.h"

enum { WAIT_MS = 30000 };

#define FILE_ARGS "-o rows --trials 100000 "

/* What the experiment does in a trial and at its end, and its command line. */
struct scenario {
	const char *args;
	int64_t (*measure)(struct run *run);
	void (*report)(struct run *run);
	int ignored; /* a signal that its parent ignored */
};

static const struct variant variants[] = {
	{"a", "one way"}, {"b", "another"}, {"c", "a third"}, {0}};
static const struct claim claims[] = {
	{"first-claim", "the first claim"}, {"second-claim", "the second claim"}, {0}};

static const struct experiment about = {.name = "small",
					.group = "test",
					.summary = "A small experiment.",
					.claims = claims,
					.variants = variants,
					.trials = 4,
					.quick_trials = 1};

static int experiment(const void *argument)
{
	const struct scenario *s = argument;
	char *argv[CHILD_WORDS];
	int argc = child_words("small", s->args, argv);
	struct run *run;
	int status;

	if (s->ignored)
		signal(s->ignored, SIG_IGN);
	run = run_begin(&about, argc, argv);
	while (run_next(run)) {
		int64_t value = s->measure(run);

		run_record(run, (struct field[]){{"value", value}, {0}});
	}
	status = run_end(run, s->report);
	free(argv[0]);
	return status;
}

/* --- what a trial does ---------------------------------------------------------------------------
 */

static int64_t round_number(struct run *run)
{
	return run_trial(run);
}

static int64_t sleep_a_little(struct run *run)
{
	run_sleep_until(span_now() + 2000000);
	return run_trial(run);
}

static int64_t sleep_in_round_2(struct run *run)
{
	if (run_trial(run) == 2)
		run_sleep_until(span_now() + (int64_t)WAIT_MS * 1000000);
	return run_trial(run);
}

static int64_t poll_in_round_2(struct run *run)
{
	struct pollfd stop = {.fd = run_stop_fd(), .events = POLLIN};

	if (run_trial(run) == 2)
		poll(&stop, 1, WAIT_MS);
	return run_trial(run);
}

static int64_t hang_in_round_2(struct run *run)
{
	while (run_trial(run) == 2)
		poll(NULL, 0, WAIT_MS);
	return run_trial(run);
}

/* From now on stdout is a pipe that nobody reads, and full. */
static int64_t fill_stdout(struct run *run)
{
	static const char text[4096];
	int ends[2];

	if (pipe2(ends, O_NONBLOCK) != 0)
		err(EXIT_USAGE, "pipe2");
	while (write(ends[1], text, sizeof(text)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	dup2(ends[1], STDOUT_FILENO);
	if (mkdir("full", 0700) != 0) /* tells the test */
		err(EXIT_USAGE, "mkdir");
	return run_trial(run);
}

static int64_t break_in_round_2(struct run *run)
{
	if (run_trial(run) == 2)
		errx(EXIT_USAGE, "it broke");
	return run_trial(run);
}

static int64_t break_at_once(struct run *run)
{
	errx(EXIT_USAGE, "it broke in round %d", (int)run_trial(run));
}

/* --- what a report says --------------------------------------------------------------------------
 */

static void judge_both(struct run *run)
{
	run_verdict(run, "first-claim", HOLDS, NULL, "it does");
	run_verdict(run, "second-claim", NOT_SEEN, NULL, "%d times", 0);
}

static void judge_one(struct run *run)
{
	run_verdict(run, "first-claim", HOLDS, NULL, "it does");
}

static void judge_twice(struct run *run)
{
	judge_both(run);
	judge_one(run);
}

static void judge_another(struct run *run)
{
	run_verdict(run, "no-claim", HOLDS, NULL, "it does");
}

static void fail_control(struct run *run)
{
	judge_both(run);
	run_control(run, true, "what held");
	run_control(run, false, "%d updates were lost", 3);
}

/* The sum of each variant's values, and how many CPUs there are, as the numbers of the verdicts. */
static void judge_by_values(struct run *run)
{
	const double share = 0.5;

	for (size_t v = 0; v < 2; v++) {
		const struct field twos[] = {{"value", 2}, {0}};
		const struct field absent[] = {{"value", 2}, {"absent", 0}, {0}};
		const struct field own[] = {{"variant", .text = "a"}, {0}};
		const struct field other[] = {{"variant", .text = "b"}, {0}};

		run_verdict(run, claims[v].id, REFUTED,
			    (struct field[]){
				    {"n", (int64_t)run_values(run, v, "value").n},
				    {"sum", (int64_t)run_sum(run, v, "value")},
				    {"absent", (int64_t)run_values(run, v, "absent").n},
				    {"twos", (int64_t)run_values_where(run, v, "value", twos).n},
				    {"where_absent",
				     (int64_t)run_values_where(run, v, "value", absent).n},
				    {"own", (int64_t)run_values_where(run, v, "value", own).n},
				    {"other", (int64_t)run_values_where(run, v, "value", other).n},
				    {"selected", run_selected(run, v)},
				    {"cpus", run_cpus()},
				    {"share", .real = &share},
				    {0}},
			    "a sentence");
	}
}

/* --- looking at the rows -------------------------------------------------------------------------
 */

/* The rows of a file, which is removed; to be released. */
static json_t *take_rows(const char *name)
{
	char *text = file_take(name);
	char *rest = text;
	char *line;
	json_t *rows = json_array();

	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *row = json_loads(line, 0, NULL);

		if (!row)
			fail_msg("not JSON: %s", line);
		json_array_append_new(rows, row);
	}
	free(text);
	return rows;
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static int64_t int_of(const json_t *row, const char *key)
{
	return json_integer_value(json_object_get(row, key));
}

static size_t count(const json_t *rows, const char *kind)
{
	size_t n = 0;
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) n += strcmp(text_of(row, "row"), kind) == 0;
	return n;
}

static json_t *last(const json_t *rows)
{
	return json_array_get(rows, json_array_size(rows) - 1);
}

/* Whole files begin with the run row and end with the end row, which counts the samples. */
static void assert_whole(const json_t *rows, const char *interrupted)
{
	const json_t *end = last(rows);

	assert_string_equal(text_of(json_array_get(rows, 0), "row"), "run");
	assert_string_equal(text_of(end, "row"), "end");
	assert_string_equal(text_of(end, "interrupted"), interrupted ? interrupted : "");
	assert_int_equal(int_of(end, "samples"), count(rows, "sample"));
	assert_int_equal(json_is_null(json_object_get(end, "controls_held")), interrupted != NULL);
}

/* "bca,abc,...": the order of variants, a round a word. */
static char *order_of(const json_t *rows)
{
	char *text = NULL;
	size_t size;
	size_t i;
	int64_t trial = 0;
	json_t *row;
	FILE *out = open_memstream(&text, &size);

	json_array_foreach(rows, i, row)
	{
		if (strcmp(text_of(row, "row"), "sample") != 0)
			continue;
		if (int_of(row, "trial") != trial)
			putc(',', out);
		trial = int_of(row, "trial");
		fputs(text_of(row, "variant"), out);
	}
	fclose(out);
	return text;
}

/* Runs a scenario to its end and returns the rows it left in the file `rows`. */
static json_t *rows_after(const struct scenario *s, int status)
{
	struct child child;

	child_run(&child, experiment, s);
	assert_exited(&child, status);
	assert_false(file_exists("rows.part"));
	return take_rows("rows");
}

/* Waits until the file has more than n samples. */
static size_t wait_for_samples(size_t n)
{
	for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 5) {
		FILE *file = fopen("rows.part", "re");
		char line[4096];
		size_t found = 0;

		while (file && fgets(line, sizeof(line), file))
			found += strstr(line, "\"row\":\"sample\"") && strchr(line, '\n');
		if (file)
			fclose(file);
		if (found > n)
			return found;
		child_sleep_ms(5);
	}
	fail_msg("no sample came");
	return 0;
}

/* --- trials --------------------------------------------------------------------------------------
 */

static void test_every_variant_once_a_round(void **state)
{
	const struct scenario s = {"-o rows --trials 20", round_number, judge_both, 0};
	json_t *rows = rows_after(&s, 0);
	char *order = order_of(rows);
	char *round = strtok(order, ",");
	int rounds = 0;

	(void)state;
	assert_whole(rows, NULL);
	assert_int_equal(count(rows, "sample"), 60);
	for (; round; round = strtok(NULL, ","), rounds++) {
		assert_int_equal(strlen(round), 3);
		assert_true(strchr(round, 'a') && strchr(round, 'b') && strchr(round, 'c'));
	}
	assert_int_equal(rounds, 20);
	free(order);
	json_decref(rows);
}

static char *order_with(const char *args)
{
	json_t *rows = rows_after(&(struct scenario){args, round_number, judge_both, 0}, 0);
	char *order = order_of(rows);

	json_decref(rows);
	return order;
}

static void test_order_comes_from_the_seed(void **state)
{
	char *order = order_with("-o rows --trials 20 --seed 5");
	char *same = order_with("-o rows --trials 20 --seed 5");
	char *other = order_with("-o rows --trials 20 --seed 6");

	(void)state;
	assert_string_equal(order, same);
	assert_string_not_equal(order, other);
	free(order);
	free(same);
	free(other);
}

static void test_values_of_a_variant(void **state)
{
	const struct scenario s = {"-o rows --variants c,a", round_number, judge_by_values, 0};
	json_t *rows = rows_after(&s, 0);
	const json_t *of_b = json_array_get(rows, json_array_size(rows) - 2);
	const json_t *of_a = json_array_get(rows, json_array_size(rows) - 3);

	(void)state;
	assert_whole(rows, NULL);
	assert_string_equal(text_of(of_a, "claim"), "first-claim");
	assert_string_equal(text_of(of_a, "verdict"), "refuted");
	of_a = json_object_get(of_a, "numbers");
	of_b = json_object_get(of_b, "numbers");
	assert_int_equal(int_of(of_a, "n"), 4);
	assert_int_equal(int_of(of_a, "sum"), 0 + 1 + 2 + 3);
	assert_int_equal(int_of(of_a, "absent"), 0);
	assert_int_equal(int_of(of_a, "twos"), 1);
	assert_int_equal(int_of(of_a, "where_absent"), 0);
	assert_int_equal(int_of(of_a, "own"), 4);
	assert_int_equal(int_of(of_a, "other"), 0);
	assert_int_equal(int_of(of_a, "selected"), 1);
	assert_true(json_is_real(json_object_get(of_a, "share")));
	assert_int_equal(int_of(of_b, "n"), 0);
	assert_int_equal(int_of(of_b, "selected"), 0);
	json_decref(rows);
}

static void test_wrong_variants(void **state)
{
	static const char *const wrong[] = {"--variants x", "--variants=", "--variants a,",
					    "--variants a,,b", "--variants ab"};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		child_run(&child, experiment,
			  &(struct scenario){wrong[i], round_number, judge_both, 0});
		assert_error(&child, "--variants");
	}
}

/* Pinned to each CPU in turn; fails if a thread of the trial runs elsewhere. */
static int64_t pin(struct run *run)
{
	cpu_set_t cpus;
	int n = run_cpus();

	(void)run;
	for (int i = 0; i < 2 * n; i++) {
		run_pin(i);
		if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || CPU_COUNT(&cpus) != 1)
			errx(EXIT_USAGE, "not pinned");
	}
	run_pin(-1);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0 || CPU_COUNT(&cpus) != n)
		errx(EXIT_USAGE, "still pinned");
	return n;
}

static void test_pin(void **state)
{
	json_t *rows = rows_after(&(struct scenario){"-o rows", pin, judge_by_values, 0}, 0);
	cpu_set_t cpus;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	assert_int_equal(int_of(json_array_get(rows, 1), "value"), CPU_COUNT(&cpus));
	json_decref(rows);
}

static void test_waits_for_a_descriptor(void **state)
{
	int64_t begin_ns = span_now();
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_false(run_wait_fd(fd[0], POLLIN, begin_ns + 2000000));
	assert_true(span_now() >= begin_ns + 2000000);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_true(run_wait_fd(fd[0], POLLIN, span_now() + (int64_t)WAIT_MS * 1000000));
	assert_false(run_wait_fd(fd[0], POLLIN, begin_ns)); /* the deadline is over */
	close(fd[0]);
	close(fd[1]);
}

/* --- interruptions -------------------------------------------------------------------------------
 */

/* Runs a scenario up to round 2, sends it the signal, and returns the rows it leaves. */
static json_t *rows_after_signal(int64_t (*measure)(struct run *run), int number)
{
	const struct scenario s = {FILE_ARGS, measure, judge_both, 0};
	int64_t sent_ns;
	struct child child;

	child_start(&child, experiment, &s);
	wait_for_samples(5);
	child_sleep_ms(20); /* so that it is in the midst of round 2 more often than not */
	sent_ns = span_now();
	kill(child.pid, number);
	child_wait(&child);
	assert_killed(&child, number);
	/* a second of grace, and room for a slow machine; it would sleep for 30 */
	assert_in_range(span_now() - sent_ns, 0, (int64_t)WAIT_MS * 1000000 / 3);
	assert_string_equal(child.err, "");
	assert_false(file_exists("rows.part"));
	return take_rows("rows");
}

static void assert_interrupted(int64_t (*measure)(struct run *run), int number, const char *name)
{
	json_t *rows = rows_after_signal(measure, number);

	assert_whole(rows, name);
	assert_int_equal(count(rows, "sample"), 6);
	assert_int_equal(count(rows, "verdict"), 0);
	json_decref(rows);
}

static void test_interrupted_in_a_trial(void **state)
{
	(void)state;
	assert_interrupted(sleep_in_round_2, SIGINT, "SIGINT");
	assert_interrupted(sleep_in_round_2, SIGTERM, "SIGTERM");
	assert_interrupted(poll_in_round_2, SIGHUP, "SIGHUP");
}

static void test_trial_that_never_returns(void **state)
{
	(void)state;
	assert_interrupted(hang_in_round_2, SIGINT, "SIGINT");
}

/* As `program -o - | less` is: the rows cannot go out, and yet Ctrl-C must end it. */
static void test_nobody_reads_the_rows(void **state)
{
	const struct scenario s = {"-o -", fill_stdout, judge_both, 0};
	struct child child;

	(void)state;
	child_start(&child, experiment, &s);
	for (int waited_ms = 0; rmdir("full") != 0 && waited_ms < WAIT_MS; waited_ms += 5)
		child_sleep_ms(5);
	child_sleep_ms(20);
	kill(child.pid, SIGINT);
	child_wait(&child);
	assert_killed(&child, SIGINT);
}

static void test_sigkill(void **state)
{
	const struct scenario s = {FILE_ARGS, sleep_a_little, judge_both, 0};
	struct child child;
	char *part;

	(void)state;
	child_start(&child, experiment, &s);
	wait_for_samples(0);
	kill(child.pid, SIGKILL);
	child_wait(&child);
	assert_killed(&child, SIGKILL);
	assert_false(file_exists("rows"));
	part = file_take("rows.part");
	assert_null(strstr(part, "\"row\":\"end\""));
	free(part);
}

static void test_ignored_signal_stays_ignored(void **state)
{
	const struct scenario s = {FILE_ARGS, sleep_a_little, judge_both, SIGINT};
	struct child child;
	json_t *rows;
	size_t before;

	(void)state;
	child_start(&child, experiment, &s);
	before = wait_for_samples(0);
	kill(child.pid, SIGINT);
	/* a signal that is heeded stops the rows at once */
	wait_for_samples(before + 20);
	kill(child.pid, SIGTERM);
	child_wait(&child);
	assert_killed(&child, SIGTERM);
	rows = take_rows("rows");
	assert_whole(rows, "SIGTERM");
	json_decref(rows);
}

/* --- ends ----------------------------------------------------------------------------------------
 */

static void test_controls(void **state)
{
	const struct scenario s = {"-o rows", round_number, fail_control, 0};
	struct child child;
	json_t *rows;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, EXIT_CONTROL);
	assert_holds_text(child.out, "CONTROL FAILED 3 updates were lost");
	assert_null(strstr(child.out, "what held"));
	rows = take_rows("rows");
	assert_whole(rows, NULL);
	assert_true(json_is_false(json_object_get(last(rows), "controls_held")));
	json_decref(rows);
}

static void test_verdicts(void **state)
{
	json_t *rows = rows_after(&(struct scenario){"-o rows", round_number, judge_both, 0}, 0);
	const json_t *second = json_array_get(rows, json_array_size(rows) - 2);

	(void)state;
	assert_whole(rows, NULL);
	assert_true(json_is_true(json_object_get(last(rows), "controls_held")));
	assert_int_equal(count(rows, "verdict"), 2);
	assert_string_equal(text_of(second, "verdict"), "not-seen");
	assert_string_equal(text_of(second, "sentence"), "0 times");
	json_decref(rows);
}

/* A program whose verdicts do not match its claims is wrong itself; what it measured is kept. */
static void test_wrong_verdicts(void **state)
{
	static const struct {
		void (*report)(struct run *run);
		const char *said;
	} cases[] = {{judge_one, "no verdict on 'second-claim'"},
		     {judge_twice, "two verdicts on 'first-claim'"},
		     {judge_another, "a verdict on 'no-claim'"}};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct scenario s = {"-o rows", round_number, cases[i].report, 0};
		json_t *rows;

		child_run(&child, experiment, &s);
		assert_error(&child, cases[i].said);
		rows = take_rows("rows");
		assert_whole(rows, "error");
		json_decref(rows);
	}
}

/* ... but for a claim about variants that were not asked for. */
static void test_verdict_on_what_was_left_out(void **state)
{
	json_t *rows = rows_after(
		&(struct scenario){"-o rows --variants a", round_number, judge_one, 0}, 0);
	const json_t *second = json_array_get(rows, json_array_size(rows) - 2);

	(void)state;
	assert_whole(rows, NULL);
	assert_string_equal(text_of(second, "claim"), "second-claim");
	assert_string_equal(text_of(second, "verdict"), "skipped");
	json_decref(rows);
}

static void test_error_keeps_the_samples(void **state)
{
	const struct scenario s = {"-o rows", break_in_round_2, judge_both, 0};
	struct child child;
	json_t *rows;

	(void)state;
	child_run(&child, experiment, &s);
	assert_error(&child, "it broke");
	assert_false(file_exists("rows.part"));
	rows = take_rows("rows");
	assert_whole(rows, "error");
	assert_int_equal(count(rows, "sample"), 6);
	json_decref(rows);
}

static void test_error_without_samples_leaves_nothing(void **state)
{
	const struct scenario s = {"-o rows", break_at_once, judge_both, 0};
	struct child child;

	(void)state;
	child_run(&child, experiment, &s);
	assert_error(&child, "it broke in round 0");
	assert_false(file_exists("rows"));
	assert_false(file_exists("rows.part"));
}

static int skip_it(const void *line)
{
	char *argv[CHILD_WORDS];
	int argc = child_words("small", line, argv);
	int status = run_skip(run_begin(&about, argc, argv), "no %s here", "water");

	free(argv[0]);
	return status;
}

static void test_skip(void **state)
{
	struct child child;
	json_t *rows;
	json_t *row;
	size_t i;

	(void)state;
	child_run(&child, skip_it, "-o rows");
	assert_exited(&child, EXIT_SKIP);
	assert_holds_text(child.out, "SKIPPED");
	rows = take_rows("rows");
	assert_whole(rows, NULL);
	assert_int_equal(count(rows, "verdict"), 2);
	json_array_foreach(rows, i, row) if (strcmp(text_of(row, "row"), "verdict") == 0)
	{
		assert_string_equal(text_of(row, "verdict"), "skipped");
		assert_string_equal(text_of(row, "sentence"), "no water here");
	}
	json_decref(rows);
}

static void test_quiet_prints_verdicts_only(void **state)
{
	static const char *const starts[] = {"  first-claim ", "  second-claim"};
	const struct scenario s = {"-q -o rows", round_number, judge_both, 0};
	struct child child;
	int lines = 0;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, 0);
	for (const char *line = child.out; *line; line = strchr(line, '\n') + 1, lines++)
		assert_int_equal(strncmp(line, starts[lines % 2], strlen(starts[0])), 0);
	assert_int_equal(lines, 2);
	assert_string_equal(child.err, "");
	json_decref(take_rows("rows"));
}

static void test_rows_on_stdout(void **state)
{
	const struct scenario s = {"-o -", round_number, judge_both, 0};
	struct child child;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, 0);
	assert_int_equal(strncmp(child.out, "{\"row\":\"run\"", 12), 0);
	assert_null(strstr(child.out, "HOLDS"));
	assert_holds_text(child.err, "HOLDS");
}

static void test_file_in_use(void **state)
{
	const struct scenario s = {FILE_ARGS, sleep_a_little, judge_both, 0};
	struct child first;
	struct child second;

	(void)state;
	child_start(&first, experiment, &s);
	wait_for_samples(0);
	child_run(&second, experiment, &s);
	assert_error(&second, "rows: another run is writing it");
	wait_for_samples(10); /* the first goes on */
	kill(first.pid, SIGINT);
	child_wait(&first);
	assert_killed(&first, SIGINT);
	json_decref(take_rows("rows"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_folder(test_every_variant_once_a_round),
		in_folder(test_order_comes_from_the_seed),
		in_folder(test_values_of_a_variant),
		in_folder(test_wrong_variants),
		in_folder(test_pin),
		cmocka_unit_test(test_waits_for_a_descriptor),
		in_folder(test_interrupted_in_a_trial),
		in_folder(test_trial_that_never_returns),
		in_folder(test_nobody_reads_the_rows),
		in_folder(test_sigkill),
		in_folder(test_ignored_signal_stays_ignored),
		in_folder(test_controls),
		in_folder(test_verdicts),
		in_folder(test_wrong_verdicts),
		in_folder(test_verdict_on_what_was_left_out),
		in_folder(test_error_keeps_the_samples),
		in_folder(test_error_without_samples_leaves_nothing),
		in_folder(test_skip),
		in_folder(test_quiet_prints_verdicts_only),
		in_folder(test_rows_on_stdout),
		in_folder(test_file_in_use),
	};

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
