/* SPDX-License-Identifier: MIT */
/*
 * test_options - the option table: numbers and their suffixes, ranges, --quick, abbreviations, and
 * one line on stderr with exit status 2 for everything else.
 */
#include "child.h"

#include "../../experiments/lib/options.h"

static const char *const words[] = {"near", "far", NULL};
static int64_t threads = 2, size = 4096, rate, pause_ms = 100;
static bool loud;
static const char *place = "near", *peer;

static const struct opt opts[] = {
	{'t', "threads", "how many", .num = &threads, .min = 2, .max = 64, .quick = 8},
	{'s', "write-size", "a size", .num = &size, .min = 1, .max = 1 << 20, .unit = OPT_BYTES},
	{0, "rate", "a rate", .num = &rate, .max = INT64_MAX, .unit = OPT_BYTES_PER_S,
	 .zero = "any"},
	{0, "pause", "a time", .num = &pause_ms, .max = 60000, .unit = OPT_MS, .quick = 5},
	{0, "loud", "a flag", .flag = &loud},
	{0, "place", "a choice", .text = &place, .choices = words},
	{0, "peer", "a text", .text = &peer},
	{0}};

static const struct claim claims[] = {{"some-claim", "water is wet"}, {0}};
static const struct variant variants[] = {{"one", "the first"}, {"two", "the second"}, {0}};

static const struct experiment about = {.name = "options",
					.group = "test",
					.summary = "An experiment without a trial.",
					.claims = claims,
					.opts = opts,
					.variants = variants,
					.trials = 30,
					.quick_trials = 3};

/* Parses a command line and prints the parameters that a run row would have. */
static int print_params(const void *line)
{
	char *argv[CHILD_WORDS];
	struct common common = {0};
	json_t *params;

	options_parse(&about, &common, child_words("options", line, argv), argv);
	params = options_params(&about, &common);
	json_dumpf(params, stdout, JSON_COMPACT);
	json_decref(params);
	free(argv[0]);
	return 0;
}

/* The parameters that result from a command line; to be released. */
static json_t *params_of(const char *line)
{
	struct child child;
	json_t *params;

	child_run(&child, print_params, line);
	assert_exited(&child, 0);
	assert_string_equal(child.err, "");
	params = json_loads(child.out, 0, NULL);
	assert_non_null(params);
	return params;
}

static int64_t number_of(const json_t *params, const char *name)
{
	const json_t *value = json_object_get(params, name);

	if (!json_is_integer(value))
		fail_msg("%s is not an integer parameter", name);
	return json_integer_value(value);
}

static void test_number(void **state)
{
	static const struct {
		const char *text;
		enum opt_unit unit;
		int error;
		int64_t number;
	} cases[] = {
		{"0", OPT_COUNT, 0, 0},
		{"-7", OPT_COUNT, 0, -7},
		{"3k", OPT_COUNT, 0, 3000},
		{"3K", OPT_COUNT, 0, 3000},
		{"3M", OPT_COUNT, 0, 3000000},
		{"3G", OPT_COUNT, 0, 3000000000},
		{"3k", OPT_BYTES, 0, 3072},
		{"64K", OPT_BYTES, 0, 65536},
		{"2M", OPT_BYTES, 0, 2097152},
		{"2G", OPT_BYTES, 0, 2147483648},
		{"1M", OPT_BYTES_PER_S, 0, 1048576},
		{"250", OPT_MS, 0, 250},
		{"250ms", OPT_MS, 0, 250},
		{"2s", OPT_MS, 0, 2000},
		{"1.5s", OPT_MS, 0, 1500},
		{"0.25s", OPT_MS, 0, 250},
		{"-0.5s", OPT_MS, 0, -500},
		{"1.50ms", OPT_MS, EINVAL, 0},
		{"2.0ms", OPT_MS, 0, 2},
		{"1.5k", OPT_COUNT, 0, 1500},
		{"1.5M", OPT_BYTES, 0, 1572864},
		{"9223372036854775807", OPT_COUNT, 0, INT64_MAX},
		{"-9223372036854775808", OPT_COUNT, 0, INT64_MIN},
		{"9223372036854775808", OPT_COUNT, ERANGE, 0},
		{"-9223372036854775809", OPT_COUNT, ERANGE, 0},
		{"9223372036854775807k", OPT_COUNT, ERANGE, 0},
		{"9007199254740992K", OPT_BYTES, ERANGE, 0},
		{"9223372036854776s", OPT_MS, ERANGE, 0},
		{"", OPT_COUNT, EINVAL, 0},
		{"-", OPT_COUNT, EINVAL, 0},
		{"+1", OPT_COUNT, EINVAL, 0},
		{" 1", OPT_COUNT, EINVAL, 0},
		{"1 ", OPT_COUNT, EINVAL, 0},
		{"one", OPT_COUNT, EINVAL, 0},
		{"k", OPT_COUNT, EINVAL, 0},
		{"1.5", OPT_COUNT, EINVAL, 0},
		{"1.", OPT_COUNT, EINVAL, 0},
		{".5s", OPT_MS, EINVAL, 0},
		{"0.0001s", OPT_MS, EINVAL, 0},
		{"1.0000000000s", OPT_MS, EINVAL, 0},
		{"0x10", OPT_COUNT, EINVAL, 0},
		{"1e3", OPT_COUNT, EINVAL, 0},
		{"1kk", OPT_COUNT, EINVAL, 0},
		{"1s", OPT_COUNT, EINVAL, 0},
		{"1T", OPT_BYTES, EINVAL, 0},
		{"1KiB", OPT_BYTES, EINVAL, 0},
		{"1k", OPT_MS, EINVAL, 0},
		{"1us", OPT_MS, EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t number = 0;
		int error = opt_number(cases[i].text, cases[i].unit, &number);

		if (error != cases[i].error || (!error && number != cases[i].number))
			fail_msg("'%s', unit %d: error %d, %lld", cases[i].text, (int)cases[i].unit,
				 error, (long long)number);
	}
}

static void test_defaults_and_names(void **state)
{
	json_t *params = params_of("");

	(void)state;
	assert_int_equal(number_of(params, "threads"), 2);
	assert_int_equal(number_of(params, "write_size_bytes"), 4096);
	assert_int_equal(number_of(params, "rate_bytes_per_s"), 0);
	assert_int_equal(number_of(params, "pause_ms"), 100);
	assert_int_equal(number_of(params, "trials"), 30);
	assert_int_equal(number_of(params, "budget_ms"), 20000);
	assert_true(json_is_false(json_object_get(params, "brief")));
	assert_true(json_is_null(json_object_get(params, "sham")));
	assert_true(json_is_integer(json_object_get(params, "seed")));
	assert_true(json_is_false(json_object_get(params, "loud")));
	assert_true(json_is_false(json_object_get(params, "quick")));
	assert_true(json_is_null(json_object_get(params, "peer")));
	assert_true(json_is_null(json_object_get(params, "variants")));
	assert_string_equal(json_string_value(json_object_get(params, "place")), "near");
	json_decref(params);
}

static void test_given(void **state)
{
	json_t *params = params_of("-t64 --write-size=64K --rate 2M --pause=2s --loud --place=far "
				   "--budget=1.5s --sham some-claim --brief");

	(void)state;
	assert_int_equal(number_of(params, "threads"), 64);
	assert_int_equal(number_of(params, "write_size_bytes"), 65536);
	assert_int_equal(number_of(params, "rate_bytes_per_s"), 2097152);
	assert_int_equal(number_of(params, "pause_ms"), 2000);
	assert_true(json_is_true(json_object_get(params, "loud")));
	assert_string_equal(json_string_value(json_object_get(params, "place")), "far");
	assert_int_equal(number_of(params, "budget_ms"), 1500);
	assert_true(json_is_true(json_object_get(params, "brief")));
	assert_string_equal(json_string_value(json_object_get(params, "sham")), "some-claim");
	json_decref(params);
}

static void test_quick_yields_to_what_is_given(void **state)
{
	json_t *params = params_of("--threads 2 --quick");

	(void)state;
	assert_int_equal(number_of(params, "threads"), 2); /* given, though it is the default */
	assert_int_equal(number_of(params, "pause_ms"), 5);
	assert_int_equal(number_of(params, "trials"), 3);
	assert_int_equal(number_of(params, "budget_ms"), 2000);
	assert_int_equal(number_of(params, "write_size_bytes"), 4096); /* has no quick value */
	json_decref(params);
}

/* Exactly so many trials only if the user says so, even if it is the default. */
static int print_trials_given(const void *line)
{
	char *argv[CHILD_WORDS];
	struct common common = {0};

	options_parse(&about, &common, child_words("options", line, argv), argv);
	printf("%d", common.trials_given);
	free(argv[0]);
	return 0;
}

static void test_trials_given(void **state)
{
	static const char *const lines[] = {"", "--quick", "--trials=30", "--quick --trials 3"};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		child_run(&child, print_trials_given, lines[i]);
		assert_exited(&child, 0);
		assert_string_equal(child.out, i < 2 ? "0" : "1");
	}
}

static void test_abbreviations(void **state)
{
	json_t *params = params_of("--thr=5 --wri 7 --tri=9 --lo");

	(void)state;
	assert_int_equal(number_of(params, "threads"), 5);
	assert_int_equal(number_of(params, "write_size_bytes"), 7);
	assert_int_equal(number_of(params, "trials"), 9);
	assert_true(json_is_true(json_object_get(params, "loud")));
	json_decref(params);
}

static void test_text_that_is_not_utf8(void **state)
{
	json_t *params = params_of("--peer=a\xff");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(params, "peer")), "a?");
	json_decref(params);
}

static void test_wrong_usage(void **state)
{
	static const struct {
		const char *line;
		const char *said;
	} cases[] = {
		{"--threads=1", "--threads: 1 is not in the range 2 to 64"},
		{"--threads=65", "--threads: 65 is not in the range 2 to 64"},
		{"--threads=99999999999999999999", "--threads: 99999999999999999999 is not in the"},
		{"--threads=many", "--threads: 'many' is not a number"},
		{"--threads=", "--threads: '' is not a number"},
		{"-t 3x", "--threads: '3x' is not a number"},
		{"--threads=3\n4", "--threads: a line break or control character"},
		{"--threads=\xc2\x9b", "--threads: a line break or control character"},
		{"--peer=\xe2\x80\xae", "--peer: a line break or control character"},
		{"-Z\xff", "option: a letter that is not ASCII"},
		{"--\xc2\x85", "option: a line break or control character"},
		{"--write-size=2M", "--write-size: 2M is not in the range 1 B to 1 MiB"},
		{"--pause=2m", "--pause: '2m' is not a number of milliseconds"},
		{"--pause=-1", "--pause: -1 is not in the range 0 ms to 60,000 ms"},
		{"--trials=0", "--trials"},
		{"--budget=2h", "--budget: '2h' is not a number of milliseconds"},
		{"--budget=-1", "--budget"},
		{"--seed=-1", "--seed"},
		{"--place=there", "--place: 'there' is none of: near far"},
		{"--place=ne", "--place: 'ne' is none of"},
		{"--threads", "--threads"},
		{"--loud=1", "--loud"},
		{"--nothing", "--nothing"},
		{"-Z", "'Z'"},
		{"--pea=1", "--pea"},
		{"--p=1", "ambiguous"},
		{"stray", "unexpected argument 'stray'"},
		{"--loud -- stray", "unexpected argument 'stray'"},
	};
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		child_run(&child, print_params, cases[i].line);
		assert_error(&child, cases[i].said);
		assert_string_equal(child.out, "");
	}
}

static void test_help(void **state)
{
	static const char *const said[] = {
		"An experiment without a trial.",
		"-t, --threads=N",
		"(2 to 64; default 2, quick 8)",
		"--write-size=BYTES",
		"1 B to 1 MiB; default 4 KiB",
		"--rate=BYTES/S",
		"default 0 B/s; 0 is any)",
		"--pause=MS",
		"default 100 ms, quick 5 ms",
		"(near, far; default near)",
		"some-claim         water is wet",
		"two                the second",
		"Exit status",
	};
	struct child child;
	size_t width = 0;

	(void)state;
	child_run(&child, print_params, "--help");
	assert_exited(&child, 0);
	assert_string_equal(child.err, "");
	for (const char *line = child.out; *line; line += width + (line[width] != '\0')) {
		width = strcspn(line, "\n");
		assert_in_range(width, 0, 80);
	}
	for (char *c = child.out; *c; c++) /* where a line ends is argp's business */
		if (*c == '\n') {
			size_t blanks = strspn(c, "\n ");

			*c = ' ';
			memmove(c + 1, c + blanks, strlen(c + blanks) + 1);
		}
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		assert_holds_text(child.out, said[i]);
}

static void test_version(void **state)
{
	struct child child;

	(void)state;
	child_run(&child, print_params, "--version");
	assert_exited(&child, 0);
	assert_holds_text(child.out, "options, stallrace ");
	assert_string_equal(child.err, "");
}

/* argp would take the first of two and say nothing: also of a common option's name or letter. */
static int parse_twice(const void *opt)
{
	const struct opt twice[] = {*(const struct opt *)opt, {0}};
	const struct experiment wrong = {.name = "wrong", .claims = claims, .opts = twice};
	struct common common = {0};
	char *argv[CHILD_WORDS];

	options_parse(&wrong, &common, child_words("wrong", "", argv), argv);
	return 0;
}

static void test_declared_twice(void **state)
{
	static const struct opt name = {0, "seed", "a second seed", .num = &threads, .max = 9};
	static const struct opt letter = {'o', "other", "a second -o", .num = &threads, .max = 9};
	struct child child;

	(void)state;
	child_run(&child, parse_twice, &name);
	assert_error(&child, "--seed is declared twice");
	child_run(&child, parse_twice, &letter);
	assert_error(&child, "--output is declared twice, or its letter is");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_defaults_and_names),
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_quick_yields_to_what_is_given),
		cmocka_unit_test(test_trials_given),
		cmocka_unit_test(test_abbreviations),
		cmocka_unit_test(test_text_that_is_not_utf8),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_declared_twice),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
