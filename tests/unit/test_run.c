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
#include "disturbance.h"
#include "exp.h"
#include "folder.h"
#include "judge.h"
#include "span.h"

enum { WAIT_MS = 30000, TRIALS = 4, A = 0, B = 1, C = 2 };

#define FILE_ARGS "-o rows --trials 100000 "

/* What the experiment does in a trial and says of it, and its command line. */
struct scenario {
	const char *args;
	int64_t (*measure)(struct run *run);
	void (*judge)(struct run *run);
	int ignored; /* a signal that its parent ignored */
	bool timed;
	int64_t limit_s;
	const struct control *controls;
	int left_out; /* so many variants, the last ones */
};

static const int a_number = 7;
static const struct variant variants[] = {
	{"a", "one way"}, {"b", "another", &a_number}, {"c", "a third"}, {0}};
static const struct claim claims[] = {
	{"first-claim", "the first claim", "a=b", REFUTED},
	{"second-claim", "the second claim", "*=c", NOT_SEEN, .why = {[NOT_SEEN] = "no reason"}},
	{0}};
static const struct control controls[] = {{"a-control", "nothing is lost", "a=c"}, {0}};
static const struct row_field call_fields[] = {{"number", "which call", .row = "call"}, {0}};
static const struct row_field fields[] = {
	{"value", "what was measured"},
	{"treatment", "what was done"},
	{"how", "its parameter"},
	{"spoiled", "1: it was spoiled", .zero = true, .sham = "spoil"},
	{"absent", "nothing records it"},
	{.also = call_fields},
	{0}};
static const struct bound bounds[] = {{"enough_trials", 2.5, "a reason"}, {0}};

static struct experiment about_of(const struct scenario *s)
{
	return (struct experiment){.name = "small",
				   .group = "test",
				   .summary = "A small experiment.",
				   .claims = claims,
				   .variants = variants,
				   .fields = fields,
				   .controls = s->controls,
				   .bounds = bounds,
				   .trials = TRIALS,
				   .quick_trials = 1,
				   .timed = s->timed,
				   .limit_s = s->limit_s,
				   .judge = s->judge};
}

static int experiment(const void *argument)
{
	const struct scenario *s = argument;
	const struct experiment about = about_of(s);
	char *argv[CHILD_WORDS];
	int argc = child_words("small", s->args, argv);
	struct run *run;
	int status;

	if (s->ignored)
		signal(s->ignored, SIG_IGN);
	run = run_begin(&about, argc, argv);
	for (int i = 0; i < s->left_out; i++)
		run_leave_out(run, (size_t)(C - i), "no %s here", "water");
	while (run_next(run)) {
		int64_t value = s->measure(run);
		const int *how = run_how(run);

		run_record(run, (struct field[]){{"value", value},
						 {"treatment", (int64_t)run_variant(run)},
						 {"how", how ? *how : 0},
						 {"spoiled", run_sham(run, "spoil")},
						 {0}});
	}
	status = run_end(run);
	free(argv[0]);
	return status;
}

/* --- what a trial does ---------------------------------------------------------------------------
 */

/* Shows the test, which removes the folder, how far it is. */
static void show_test(void)
{
	if (mkdir("here", 0700) != 0)
		err(EXIT_USAGE, "mkdir");
}

static int64_t round_number(struct run *run)
{
	return run_trial(run);
}

static int64_t sleep_a_little(struct run *run)
{
	run_sleep_until(span_now() + 2000000);
	return run_trial(run);
}

/* So long that its disturbance is measured by itself, whatever this machine has for that. */
static int64_t sleep_long_enough(struct run *run)
{
	run_sleep_until(span_now() + 120000000);
	return run_trial(run);
}

static int64_t be_stopped_in_round_1(struct run *run)
{
	sleep_long_enough(run);
	if (run_trial(run) == 1)
		disturbance_stopped();
	return run_trial(run);
}

static int64_t stop_b_in_round_1(struct run *run)
{
	sleep_long_enough(run);
	if (run_trial(run) == 1 && run_label(run) == B)
		disturbance_stopped();
	return run_trial(run) + 1;
}

static int64_t be_stopped_always(struct run *run)
{
	sleep_long_enough(run);
	disturbance_stopped();
	return run_trial(run);
}

static int64_t wait_to_be_stopped(struct run *run)
{
	if (run_trial(run) == 0)
		show_test();
	return sleep_long_enough(run);
}

static int64_t sleep_in_round_2(struct run *run)
{
	if (run_trial(run) == 2) {
		show_test();
		run_sleep_until(span_now() + (int64_t)WAIT_MS * 1000000);
	}
	return run_trial(run);
}

static int64_t poll_in_round_2(struct run *run)
{
	struct pollfd stop = {.fd = run_stop_fd(), .events = POLLIN};

	if (run_trial(run) == 2) {
		show_test();
		poll(&stop, 1, WAIT_MS);
	}
	return run_trial(run);
}

static int64_t hang_in_round_2(struct run *run)
{
	if (run_trial(run) == 2)
		show_test();
	while (run_trial(run) == 2)
		poll(NULL, 0, WAIT_MS);
	return run_trial(run);
}

bool child_execute(const char *const argv[]); /* of the library's child.h, not of the tests' */

/* One after the other takes longer than the limit of 2 s, none by itself does. */
static int64_t execute_in_round_2(struct run *run)
{
	for (int i = 0; i < 4 && run_trial(run) == 2; i++)
		child_execute((const char *const[]){"/bin/sleep", "0.9", NULL});
	return run_trial(run);
}

/* From now on stdout is a pipe that nobody reads, and full. */
static int64_t fill_stdout(struct run *run)
{
	static const char text[4096];
	static int ends[2];

	if (*ends)
		return run_trial(run); /* rows are written when the window of their trials ends */
	if (pipe2(ends, O_NONBLOCK) != 0)
		err(EXIT_USAGE, "pipe2");
	while (write(ends[1], text, sizeof(text)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	dup2(ends[1], STDOUT_FILENO);
	show_test();
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

static int64_t record_undeclared(struct run *run)
{
	run_record(run, (struct field[]){{"valeu", 1}, {0}});
	return 0;
}

/* The name is declared, but of another kind of row. */
static int64_t record_in_another_row(struct run *run)
{
	run_row(run, "call", (struct field[]){{"value", 1}, {0}});
	return 0;
}

static int64_t record_calls(struct run *run)
{
	run_row(run, "call", (struct field[]){{"number", run_trial(run)}, {0}});
	return run_trial(run);
}

static int64_t ask_an_undeclared_hook(struct run *run)
{
	return run_sham(run, "spoilt");
}

/* --- what judge() says ---------------------------------------------------------------------------
 */

static void judge_second(struct run *run)
{
	run_judge(run, "second-claim", NOT_SEEN, "{n} times", number_int("n", 0));
}

static void judge_one(struct run *run)
{
	run_judge(run, "first-claim", HOLDS, "it does, {n}", number_int("n", 1));
}

static void judge_both(struct run *run)
{
	judge_one(run);
	judge_second(run);
}

static void judge_twice(struct run *run)
{
	judge_both(run);
	judge_one(run);
}

static void judge_another(struct run *run)
{
	run_judge(run, "no-claim", HOLDS, "it does, {n}", number_int("n", 1));
}

static void fail_control(struct run *run)
{
	judge_both(run);
	run_check(run, "a-control", REFUTED, "{n} updates were lost", number_int("n", 3));
}

static void leave_control_unclear(struct run *run)
{
	judge_both(run);
	run_check(run, "a-control", UNCLEAR, "{n} updates were lost", number_int("n", 0));
}

static void forget_control(struct run *run)
{
	judge_both(run);
}

static void check_undeclared(struct run *run)
{
	judge_both(run);
	run_check(run, "no-control", HOLDS, "{n} updates were lost", number_int("n", 0));
}

static void read_undeclared(struct run *run)
{
	run_values(run, A, "valeu");
}

static void read_beside_undeclared(struct run *run)
{
	run_part(run, A, "value", "valeu");
}

static void read_where_undeclared(struct run *run)
{
	run_values_where(run, A, "value", (struct field[]){{"valeu", 1}, {0}});
}

static void read_undeclared_bound(struct run *run)
{
	run_bound(run, "enough_trails");
}

/* Each claim by the values of a variant, with what can be read of it as its numbers. */
static void judge_by_values(struct run *run)
{
	for (size_t v = A; v <= B; v++) {
		const struct field twos[] = {{"value", 2}, {0}};
		const struct field absent[] = {{"value", 2}, {"absent", 0}, {0}};

		run_judge(run, claims[v].id, REFUTED, "a sentence of {n}",
			  number_int("n", (int64_t)run_values(run, v, "value").n),
			  number_int("sum", (int64_t)run_sum(run, v, "value")),
			  number_int("absent", (int64_t)run_values(run, v, "absent").n),
			  number_int("twos", (int64_t)run_values_where(run, v, "value", twos).n),
			  number_int("where_absent",
				     (int64_t)run_values_where(run, v, "value", absent).n),
			  number_int("selected", run_selected(run, v)),
			  number_int("cpus", run_cpus()),
			  number_real("bound", run_bound(run, "enough_trials")));
	}
}

/* Each claim about one variant. */
static void judge_what_was_seen(struct run *run)
{
	for (size_t v = A; v <= B; v++) {
		struct share seen = run_nonzero(run, v, "value");

		run_judge(run, claims[v].id, can_happen(seen), "{seen}",
			  number_share("seen", seen));
	}
}

static void judge_never(struct run *run)
{
	judge_second(run);
	run_judge(run, "first-claim", UNCLEAR, "{n} values",
		  number_int("n", (int64_t)run_values(run, A, "value").n));
	run_note(run, "a note at {n}", number_int("n", run_trial(run)));
}

/* Undecided until the third look. */
static void judge_late(struct run *run)
{
	struct values values = run_values(run, A, "value");

	judge_second(run);
	run_judge(run, "first-claim", values.n < 4 * (size_t)TRIALS ? UNCLEAR : HOLDS, "{n} values",
		  number_int("n", (int64_t)values.n));
}

/* Of two variants, each by itself. */
static void judge_apart(struct run *run)
{
	run_values(run, A, "value");
	run_values(run, B, "value");
	judge_both(run);
}

/* The same two, round by round. */
static void judge_compared(struct run *run)
{
	run_ratio(run, run_values(run, A, "value"), run_values(run, B, "value"));
	judge_both(run);
}

/* Two values of each. */
static void judge_within(struct run *run)
{
	run_ratio(run, run_values(run, A, "value"), run_values(run, A, "spoiled"));
	run_ratio(run, run_values(run, B, "value"), run_values(run, B, "spoiled"));
	judge_both(run);
}

/* How many samples of "a" are evidence: of an ordinary field, and of one that must be 0. */
static void judge_by_evidence(struct run *run)
{
	run_judge(run, "first-claim", HOLDS, "{n} values",
		  number_int("n", (int64_t)run_values(run, A, "value").n));
	run_judge(run, "second-claim", NOT_SEEN, "{n} values",
		  number_int("n", (int64_t)run_values(run, A, "spoiled").n));
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

/* The only row of its kind. */
static const json_t *only(const json_t *rows, const char *kind)
{
	size_t i;
	json_t *row;

	assert_int_equal(count(rows, kind), 1);
	json_array_foreach(rows, i, row) if (strcmp(text_of(row, "row"), kind) == 0) return row;
	return NULL;
}

/* The only note that begins so; on a busy machine there are others. */
static const char *note_like(const json_t *rows, const char *begin)
{
	const char *found = NULL;
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		const char *text = text_of(row, "text");

		if (strcmp(text_of(row, "row"), "note") != 0 ||
		    strncmp(text, begin, strlen(begin)) != 0)
			continue;
		assert_null(found);
		found = text;
	}
	assert_non_null(found);
	return found;
}

static const json_t *verdict_on(const json_t *rows, const char *claim)
{
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) if (strcmp(text_of(row, "claim"), claim) == 0) return row;
	fail_msg("no verdict on %s", claim);
	return NULL;
}

static int64_t number_of(const json_t *rows, const char *claim, const char *name)
{
	return int_of(json_object_get(verdict_on(rows, claim), "numbers"), name);
}

/* How many samples of "a" are calm, or disturbed. */
static size_t samples_in(const json_t *rows, const char *variant, bool disturbed)
{
	size_t n = 0;
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) n += strcmp(text_of(row, "row"), "sample") == 0 &&
					      strcmp(text_of(row, "variant"), variant) == 0 &&
					      (*text_of(row, "disturbed") != '\0') == disturbed;
	return n;
}

static size_t samples_of_a(const json_t *rows, bool disturbed)
{
	return samples_in(rows, "a", disturbed);
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

/* Runs a scenario that ends with an error, after samples or before any, and nothing else. */
static void assert_scenario_error(const struct scenario *s, const char *what)
{
	struct child child;

	child_run(&child, experiment, s);
	assert_error(&child, what);
	assert_false(file_exists("rows.part"));
	if (file_exists("rows")) {
		json_t *rows = take_rows("rows");

		assert_whole(rows, "error");
		json_decref(rows);
	}
}

/* Waits until a trial calls show_test(). */
static void wait_for_trial(void)
{
	for (int waited_ms = 0; rmdir("here") != 0; waited_ms += 5) {
		if (waited_ms > WAIT_MS)
			fail_msg("the trial did not begin");
		child_sleep_ms(5);
	}
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
	const struct scenario s = {"-o rows --trials 20", round_number, judge_both};
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
	json_t *rows = rows_after(&(struct scenario){args, round_number, judge_both}, 0);
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
	const struct scenario s = {"-o rows --variants c,a", round_number, judge_by_values};
	json_t *rows = rows_after(&s, 0);
	const json_t *bound = json_object_get(
		json_object_get(verdict_on(rows, "first-claim"), "numbers"), "bound");

	(void)state;
	assert_whole(rows, NULL);
	assert_string_equal(text_of(verdict_on(rows, "first-claim"), "verdict"), "refuted");
	assert_int_equal(number_of(rows, "first-claim", "n"), 4);
	assert_int_equal(number_of(rows, "first-claim", "sum"), 0 + 1 + 2 + 3);
	assert_int_equal(number_of(rows, "first-claim", "absent"), 0);
	assert_int_equal(number_of(rows, "first-claim", "twos"), 1);
	assert_int_equal(number_of(rows, "first-claim", "where_absent"), 0);
	assert_int_equal(number_of(rows, "first-claim", "selected"), 1);
	assert_true(json_is_real(bound));
	assert_int_equal(number_of(rows, "second-claim", "n"), 0);
	assert_int_equal(number_of(rows, "second-claim", "selected"), 0);
	json_decref(rows);
}

static void test_rows_of_another_kind(void **state)
{
	json_t *rows = rows_after(
		&(struct scenario){"-o rows --trials 2 --variants b", record_calls, judge_both}, 0);
	const json_t *call = json_array_get(rows, 1);

	(void)state;
	assert_whole(rows, NULL);
	assert_int_equal(count(rows, "call"), 2);
	assert_string_equal(text_of(call, "row"), "call");
	assert_string_equal(text_of(call, "variant"), "b");
	assert_int_equal(int_of(call, "number"), 0);
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
			  &(struct scenario){wrong[i], round_number, judge_both});
		assert_error(&child, "--variants");
	}
}

/* --- how long ------------------------------------------------------------------------------------
 */

/* How many samples a variant has; of the round given alone, unless that is below 0. */
static int64_t samples_of(const json_t *rows, const char *variant, int64_t round)
{
	int64_t found = 0;
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row) found += strcmp(text_of(row, "row"), "sample") == 0 &&
						  strcmp(text_of(row, "variant"), variant) == 0 &&
						  (round < 0 || int_of(row, "trial") == round);
	return found;
}

/* How many rounds a scenario makes of the variant that it judges. */
static int64_t rounds_of(const struct scenario *s)
{
	json_t *rows = rows_after(s, 0);
	int64_t rounds = samples_of(rows, "a", -1);

	assert_whole(rows, NULL);
	assert_int_equal(int_of(last(rows), "trials"), count(rows, "sample"));
	json_decref(rows);
	return rounds;
}

static void test_looks(void **state)
{
	static const struct {
		struct scenario s;
		int64_t rounds;
	} cases[] = {
		{{"-o rows", round_number, judge_both}, TRIALS},
		{{"-o rows", round_number, judge_late}, 4 * TRIALS},
		{{"-o rows", round_number, judge_never}, TRIALS << (LOOKS - 1)},
		{{"-o rows --quick", round_number, judge_never}, 1 << (LOOKS - 1)},
		{{"-o rows --budget 0", round_number, judge_never}, TRIALS},
		{{"-o rows --trials 5", round_number, judge_never}, 5},
		{{"-o rows --trials 5 --quick", round_number, judge_never}, 5},
		{{"-o rows --trials 9", round_number, judge_both}, 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(rounds_of(&cases[i].s), cases[i].rounds);
}

/* A variant that no verdict reads has the rounds before the first look, in a quick run one. */
static void test_what_is_only_shown(void **state)
{
	static const struct {
		const char *args;
		void (*judge)(struct run *run);
		int64_t judged, shown;
	} cases[] = {{"-o rows", judge_late, 4 * TRIALS, TRIALS},
		     {"-o rows --quick", judge_never, 1 << (LOOKS - 1), 1},
		     {"-o rows --quick --trials 5", judge_never, 5, 5}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct scenario s = {cases[i].args, round_number, cases[i].judge};
		json_t *rows = rows_after(&s, 0);

		assert_int_equal(samples_of(rows, "a", -1), cases[i].judged);
		assert_int_equal(samples_of(rows, "b", -1), cases[i].shown);
		assert_int_equal(samples_of(rows, "c", 0), 1);
		json_decref(rows);
	}
}

/* A verdict of unclear names what could decide it: a longer budget only where there are looks left. */
static void test_remedy(void **state)
{
	static const struct {
		const char *args, *remedy;
		int looks_left;
	} cases[] = {{"-o rows", "--trials 64", 0}, /* twice those of the last look */
		     {"-o rows --budget 0", "a run without --budget", LOOKS},
		     {"-o rows --trials 5", "a run without --trials", LOOKS},
		     {"-o rows --quick", "a run without --quick", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *rows =
			rows_after(&(struct scenario){cases[i].args, round_number, judge_never}, 0);

		assert_string_equal(text_of(verdict_on(rows, "first-claim"), "remedy"),
				    cases[i].remedy);
		assert_int_equal(int_of(last(rows), "looks_left"), cases[i].looks_left);
		json_decref(rows);
	}
}

/* What judge() said at earlier looks is forgotten. */
static void test_last_look_counts(void **state)
{
	json_t *rows = rows_after(&(struct scenario){"-o rows", round_number, judge_never}, 0);
	const json_t *first = verdict_on(rows, "first-claim");

	(void)state;
	assert_int_equal(count(rows, "verdict"), 2);
	assert_string_equal(text_of(first, "verdict"), "unclear");
	assert_int_equal(number_of(rows, "first-claim", "n"), TRIALS << (LOOKS - 1));
	assert_null(json_object_get(verdict_on(rows, "second-claim"), "remedy"));
	assert_string_equal(note_like(rows, "a note at "), "a note at 31");
	json_decref(rows);
}

/* --- shams ---------------------------------------------------------------------------------------
 */

/* "bbc": the treatments of a, b and c; each is the same in all samples. */
static void assert_treatments(const char *args, const char *treatments)
{
	json_t *rows = rows_after(&(struct scenario){args, round_number, judge_both}, 0);
	size_t i;
	json_t *row;

	json_array_foreach(rows, i, row)
	{
		int64_t label = *text_of(row, "variant") - 'a';

		if (strcmp(text_of(row, "row"), "sample") != 0)
			continue;
		assert_int_equal(int_of(row, "treatment"), treatments[label] - 'a');
		assert_int_equal(int_of(row, "how"), treatments[label] == 'b' ? a_number : 0);
	}
	assert_int_equal(count(rows, "sample"), 3 * (size_t)TRIALS);
	json_decref(rows);
}

static void test_swaps_change_what_is_done(void **state)
{
	(void)state;
	assert_treatments("-o rows", "abc");
	assert_treatments("-o rows --sham first-claim", "bbc");
	assert_treatments("-o rows --sham second-claim", "ccc");
}

static void test_sham_is_shown(void **state)
{
	const struct scenario s = {"-o rows --sham second-claim", round_number, judge_both};
	struct child child;
	json_t *rows;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, 0);
	assert_holds_text(child.out, "SHAM second-claim\n");
	assert_holds_text(child.out, "SHAM: it does, 1");
	rows = take_rows("rows");
	assert_string_equal(text_of(json_array_get(rows, 0), "sham"), "second-claim");
	assert_string_equal(text_of(verdict_on(rows, "first-claim"), "sentence"), "it does, 1");
	json_decref(rows);
	assert_scenario_error(
		&(struct scenario){"-o rows --sham no-claim", round_number, judge_both},
		"--sham: 'no-claim'");
}

/* Under a sham the run goes on for what it is of, however unclear the others are. */
static void test_sham_decides_its_own(void **state)
{
	(void)state;
	assert_int_equal(rounds_of(&(struct scenario){"-o rows --sham first-claim", round_number,
						      judge_late}),
			 4 * TRIALS);
	assert_int_equal(rounds_of(&(struct scenario){"-o rows --sham second-claim", round_number,
						      judge_late}),
			 TRIALS);
}

/* A hook makes a field that must be 0 fail, in every variant of the first round: it is the last one. */
static void test_hook_fails_a_control(void **state)
{
	const struct scenario s = {"-o rows --sham spoiled", round_number, judge_both};
	json_t *rows = rows_after(&s, EXIT_CONTROL);

	(void)state;
	assert_int_equal(count(rows, "failure"), 3);
	assert_int_equal(count(rows, "sample"), 3);
	assert_true(json_is_false(json_object_get(last(rows), "controls_held")));
	json_decref(rows);
}

/* --- disturbances --------------------------------------------------------------------------------
 */

/* Disturbed samples are no evidence of a timed experiment, but a control counts in all of them. */
static void test_disturbed_samples(void **state)
{
	for (int timed = 0; timed <= 1; timed++) {
		const struct scenario s = {"-o rows --trials 3 --variants a", be_stopped_in_round_1,
					   judge_by_evidence, .timed = timed};
		json_t *rows = rows_after(&s, 0);
		size_t calm = samples_of_a(rows, false);
		size_t disturbed = samples_of_a(rows, true);

		assert_whole(rows, NULL);
		assert_true(disturbed >= 1);
		assert_int_equal(calm + disturbed, 3);
		assert_int_equal(int_of(last(rows), "disturbed_trials"), disturbed);
		assert_int_equal(number_of(rows, "first-claim", "n"), timed ? calm : 3);
		assert_int_equal(number_of(rows, "second-claim", "n"), 3);
		assert_true(count(rows, "disturbance") > 1);
		assert_string_equal(text_of(json_array_get(rows, 3), "disturbed"), "stopped");
		assert_string_equal(text_of(json_array_get(rows, 4), "cause"), "stopped");
		assert_int_equal(count(rows, "note"), 1 + (timed && calm == 0));
		json_decref(rows);
	}
	(void)state;
}

/*
 * Timed trials are made up for while the budget lasts, and what has no calm one then is unclear,
 * whatever judge() made of nothing.  What is not timed needs none.
 */
static void test_disturbed_trials_are_made_up_for(void **state)
{
	struct scenario s = {"-o rows --budget 1s --variants a", be_stopped_always,
			     judge_by_evidence, .timed = true};
	json_t *rows = rows_after(&s, 0);

	(void)state;
	assert_true(samples_of_a(rows, true) > TRIALS);
	assert_int_equal(number_of(rows, "first-claim", "n"), 0);
	assert_string_equal(text_of(verdict_on(rows, "first-claim"), "verdict"), "unclear");
	assert_string_equal(text_of(verdict_on(rows, "second-claim"), "verdict"), "not-seen");
	json_decref(rows);
	s.timed = false;
	rows = rows_after(&s, 0);
	assert_int_equal(samples_of_a(rows, true), TRIALS);
	assert_int_equal(number_of(rows, "first-claim", "n"), TRIALS);
	assert_string_equal(text_of(verdict_on(rows, "first-claim"), "verdict"), "holds");
	json_decref(rows);
}

/* By the variants that lack calm trials; by all, if they are compared round by round. */
static void test_who_makes_up_for_disturbed_trials(void **state)
{
	struct scenario s = {"-o rows --budget 3s --variants a,b", stop_b_in_round_1, judge_apart,
			     .timed = true};
	json_t *rows = rows_after(&s, 0);

	(void)state;
	assert_true(samples_in(rows, "b", true) >= 1);
	assert_true(samples_of(rows, "b", -1) > TRIALS);
	assert_true(samples_in(rows, "a", false) <= TRIALS); /* fewer on a busy machine */
	json_decref(rows);
	s.judge = judge_within;
	rows = rows_after(&s, 0);
	assert_true(samples_of(rows, "b", -1) > TRIALS);
	assert_true(samples_in(rows, "a", false) <= TRIALS);
	json_decref(rows);
	s.judge = judge_compared;
	rows = rows_after(&s, 0);
	assert_true(samples_of(rows, "b", -1) > TRIALS);
	assert_int_equal(samples_of(rows, "a", -1), samples_of(rows, "b", -1));
	json_decref(rows);
}

/* Also where the rounds before the first look take all of the budget; without any budget there are no more. */
static void test_long_rounds_are_made_up_for(void **state)
{
	struct scenario s = {"-o rows --budget 1ms --variants a,b", stop_b_in_round_1, judge_apart,
			     .timed = true};
	json_t *rows = rows_after(&s, 0);

	(void)state;
	assert_true(samples_of(rows, "b", -1) > TRIALS);
	json_decref(rows);
	s.args = "-o rows --budget 0 --variants a,b";
	rows = rows_after(&s, 0);
	assert_int_equal(samples_of(rows, "b", -1), TRIALS);
	json_decref(rows);
}

/* kill -STOP, or Ctrl-Z and fg: the trial is marked, and the limit does not count the time. */
static void test_stopped_process(void **state)
{
	const struct scenario s = {"-o rows --trials 2 --variants a", wait_to_be_stopped,
				   judge_by_evidence};
	struct child child;
	json_t *rows;

	(void)state;
	child_start(&child, experiment, &s);
	wait_for_trial();
	assert_int_equal(kill(child.pid, SIGSTOP), 0);
	child_sleep_ms(50);
	assert_int_equal(kill(child.pid, SIGCONT), 0);
	child_wait(&child);
	assert_exited(&child, 0);
	rows = take_rows("rows");
	assert_whole(rows, NULL);
	assert_string_equal(text_of(json_array_get(rows, 1), "disturbed"), "stopped");
	assert_int_equal(int_of(json_array_get(rows, 2), "stops"), 1);
	json_decref(rows);
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
	json_t *rows = rows_after(&(struct scenario){"-o rows", pin, judge_by_values}, 0);
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
	const struct scenario s = {FILE_ARGS, measure, judge_both};
	int64_t sent_ns;
	struct child child;

	child_start(&child, experiment, &s);
	wait_for_trial();
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

/* Whatever a trial waits for: it is ended, and the user learns in which variant and call. */
static void test_trial_beyond_its_limit(void **state)
{
	const struct scenario s = {"-o rows --variants b", hang_in_round_2, judge_both,
				   .limit_s = 1};
	struct child child;
	json_t *rows;

	(void)state;
	child_run(&child, experiment, &s);
	wait_for_trial();
	assert_error(&child, "hung: b took longer than its limit");
	assert_holds_text(child.err, "; 1 thread in poll");
	rows = take_rows("rows");
	assert_whole(rows, "hung");
	assert_int_equal(count(rows, "sample"), 2);
	json_decref(rows);
}

/* As of a slow machine's compiler, which is asked many times. */
static void test_a_limit_is_of_each_step(void **state)
{
	const struct scenario s = {"-o rows --variants b", execute_in_round_2, judge_both,
				   .limit_s = 2};
	struct child child;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, 0);
	unlink("rows");
}

/* As `program -o - | less` is: the rows cannot go out, and yet Ctrl-C must end it. */
static void test_nobody_reads_the_rows(void **state)
{
	const struct scenario s = {"-o -", fill_stdout, judge_both};
	struct child child;

	(void)state;
	child_start(&child, experiment, &s);
	wait_for_trial();
	child_sleep_ms(20); /* so that it waits for a reader more often than not */
	kill(child.pid, SIGINT);
	child_wait(&child);
	assert_killed(&child, SIGINT);
}

static void test_sigkill(void **state)
{
	const struct scenario s = {FILE_ARGS, sleep_a_little, judge_both};
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
	struct scenario s = {"-o rows", round_number, fail_control, .controls = controls};
	struct child child;
	json_t *rows;

	(void)state;
	child_run(&child, experiment, &s);
	assert_exited(&child, EXIT_CONTROL);
	assert_holds_text(child.out, "CONTROL FAILED nothing is lost: 3 updates were lost");
	rows = take_rows("rows");
	assert_whole(rows, NULL);
	assert_true(json_is_false(json_object_get(last(rows), "controls_held")));
	assert_string_equal(text_of(only(rows, "failure"), "text"),
			    "nothing is lost: 3 updates were lost");
	json_decref(rows);

	s.judge = leave_control_unclear; /* a busy machine fails no control */
	rows = rows_after(&s, 0);
	assert_true(json_is_true(json_object_get(last(rows), "controls_held")));
	assert_int_equal(count(rows, "failure"), 0);
	json_decref(rows);

	s.judge = forget_control;
	assert_scenario_error(&s, "no check of 'a-control'");
	s.judge = check_undeclared;
	assert_scenario_error(&s, "'no-control' is not among the controls");
}

static void test_verdicts(void **state)
{
	json_t *rows = rows_after(&(struct scenario){"-o rows", round_number, judge_both}, 0);
	const json_t *second = verdict_on(rows, "second-claim");

	(void)state;
	assert_whole(rows, NULL);
	assert_true(json_is_true(json_object_get(last(rows), "controls_held")));
	assert_int_equal(count(rows, "verdict"), 2);
	assert_string_equal(text_of(second, "verdict"), "not-seen");
	assert_string_equal(text_of(second, "template"), "{n} times");
	assert_string_equal(text_of(second, "sentence"), "0 times");
	assert_string_equal(text_of(only(rows, "why"), "text"), "no reason");
	json_decref(rows);
}

/* A program whose verdicts do not match its claims is wrong itself; what it measured is kept. */
static void test_wrong_verdicts(void **state)
{
	static const struct {
		void (*judge)(struct run *run);
		const char *said;
	} cases[] = {{judge_one, "no verdict on 'second-claim'"},
		     {judge_twice, "two verdicts on 'first-claim'"},
		     {judge_another, "a verdict on 'no-claim'"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_scenario_error(&(struct scenario){"-o rows", round_number, cases[i].judge},
				      cases[i].said);
}

/* A misspelt name is an error: read as nothing it would be "none were wrong". */
static void test_undeclared_names(void **state)
{
	static const struct {
		int64_t (*measure)(struct run *run);
		void (*judge)(struct run *run);
		const char *said;
	} cases[] = {
		{record_undeclared, judge_both,
		 "'valeu' is not among the declared fields of a sample"},
		{record_in_another_row, judge_both,
		 "'value' is not among the declared fields of a call"},
		{ask_an_undeclared_hook, judge_both, "'spoilt' stands in no sham"},
		{round_number, read_undeclared, "'valeu' is not among"},
		{round_number, read_beside_undeclared, "'valeu' is not among"},
		{round_number, read_where_undeclared, "'valeu' is not among"},
		{round_number, read_undeclared_bound,
		 "'enough_trails' is not among the declared bounds"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_scenario_error(
			&(struct scenario){"-o rows", cases[i].measure, cases[i].judge},
			cases[i].said);
}

/* A claim that cannot be decided without a variant that is not there is skipped, with the reason. */
static void test_verdict_on_what_was_left_out(void **state)
{
	static const struct {
		struct scenario s;
		const char *sentence;
	} cases[] = {
		{{"-o rows --variants a", round_number, judge_what_was_seen},
		 "left out: b (--variants)"},
		{{"-o rows", round_number, judge_what_was_seen, .left_out = 2},
		 "left out: b (no water here)"},
		{{"-o rows", round_number, judge_what_was_seen, .left_out = 1}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *rows = rows_after(&cases[i].s, 0);
		const json_t *second = verdict_on(rows, "second-claim");

		assert_whole(rows, NULL);
		assert_int_equal(samples_of_a(rows, false) + samples_of_a(rows, true), TRIALS);
		assert_string_equal(text_of(verdict_on(rows, "first-claim"), "verdict"), "holds");
		assert_string_equal(text_of(second, "verdict"),
				    cases[i].sentence ? "skipped" : "holds");
		if (cases[i].sentence)
			assert_string_equal(text_of(second, "sentence"), cases[i].sentence);
		json_decref(rows);
	}
}

static void test_all_left_out(void **state)
{
	const struct scenario s = {"-o rows", round_number, judge_what_was_seen, .left_out = 3};
	json_t *rows = rows_after(&s, EXIT_SKIP);
	const json_t *params = json_object_get(json_array_get(rows, 0), "params");

	(void)state;
	assert_whole(rows, NULL);
	assert_int_equal(json_object_size(json_object_get(params, "left_out")), 3);
	assert_int_equal(count(rows, "sample"), 0);
	assert_string_equal(text_of(verdict_on(rows, "first-claim"), "verdict"), "skipped");
	json_decref(rows);
}

static void test_error_keeps_the_samples(void **state)
{
	const struct scenario s = {"-o rows", break_in_round_2, judge_both};
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
	const struct scenario s = {"-o rows", break_at_once, judge_both};
	struct child child;

	(void)state;
	child_run(&child, experiment, &s);
	assert_error(&child, "it broke in round 0");
	assert_false(file_exists("rows"));
	assert_false(file_exists("rows.part"));
}

static int skip_it(const void *line)
{
	const struct experiment about = about_of(&(struct scenario){0});
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
	static const char *const args[] = {"-q -o rows", "--brief -o rows"};

	(void)state;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		struct child child;
		int lines = 0;

		child_run(&child, experiment,
			  &(struct scenario){args[i], round_number, judge_both});
		assert_exited(&child, 0);
		for (const char *line = child.out; *line; line = strchr(line, '\n') + 1, lines++)
			assert_int_equal(strncmp(line, starts[lines % 2], strlen(starts[0])), 0);
		assert_int_equal(lines, 2);
		assert_string_equal(child.err, "");
		json_decref(take_rows("rows"));
	}
}

static void test_rows_on_stdout(void **state)
{
	const struct scenario s = {"-o -", round_number, judge_both};
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
	const struct scenario s = {FILE_ARGS, sleep_a_little, judge_both};
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
		in_folder(test_rows_of_another_kind),
		in_folder(test_wrong_variants),
		in_folder(test_looks),
		in_folder(test_what_is_only_shown),
		in_folder(test_remedy),
		in_folder(test_last_look_counts),
		in_folder(test_swaps_change_what_is_done),
		in_folder(test_sham_is_shown),
		in_folder(test_sham_decides_its_own),
		in_folder(test_hook_fails_a_control),
		in_folder(test_disturbed_samples),
		in_folder(test_disturbed_trials_are_made_up_for),
		in_folder(test_who_makes_up_for_disturbed_trials),
		in_folder(test_long_rounds_are_made_up_for),
		in_folder(test_stopped_process),
		in_folder(test_pin),
		cmocka_unit_test(test_waits_for_a_descriptor),
		in_folder(test_interrupted_in_a_trial),
		in_folder(test_trial_that_never_returns),
		in_folder(test_trial_beyond_its_limit),
		in_folder(test_a_limit_is_of_each_step),
		in_folder(test_nobody_reads_the_rows),
		in_folder(test_sigkill),
		in_folder(test_ignored_signal_stays_ignored),
		in_folder(test_controls),
		in_folder(test_verdicts),
		in_folder(test_wrong_verdicts),
		in_folder(test_undeclared_names),
		in_folder(test_verdict_on_what_was_left_out),
		in_folder(test_all_left_out),
		in_folder(test_error_keeps_the_samples),
		in_folder(test_error_without_samples_leaves_nothing),
		in_folder(test_skip),
		in_folder(test_quiet_prints_verdicts_only),
		in_folder(test_rows_on_stdout),
		in_folder(test_file_in_use),
	};

	return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
