/* SPDX-License-Identifier: MIT */
/*
 * test_sentence - numbers formatted by their units, and sentences from templates.
 *
 * With --print it tests nothing, but prints each case and many random ones as rows, {"template",
 * "numbers", "sentence"}: tests/test_sentence.py compares them with what scripts/sentence.py makes.
 */
#include <math.h>

#include "child.h"
#include "rng.h"
#include "rows.h"
#include "sentence.h"
#include "text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *name;
	double value;
	const char *text;
} values[] = {
	{"elapsed_ns", 0, "0 ns"},
	{"sent_bytes", 1, "1 byte"},
	{"elapsed_ns", 3210, "3.21 us"},
	{"elapsed_ns", 999.4, "999 ns"},
	{"elapsed_ns", 999.5, "1.00 us"},
	{"elapsed_ns", 0.125, "0.12 ns"}, /* a half: to even */
	{"elapsed_ns", 0.375, "0.38 ns"},
	{"elapsed_ns", -3210, "-3.21 us"},
	{"elapsed_ns", 1e12, "1000 s"},
	{"pause_us", 45.1, "45.1 us"},
	{"pause_us", 0.5, "500 ns"},
	{"sleep_ms", 2000, "2.00 s"},
	{"sleep_ms", 0.00049, "490 ns"},
	{"limit_s", 2, "2.00 s"},
	{"limit_s", 0.0123, "12.3 ms"},
	{"sent_bytes", 65536, "65,536 bytes"},
	{"sent_bytes", 0, "0 bytes"},
	{"sent_bytes", 2.5, "3 bytes"}, /* a half: away from 0 */
	{"sent_bytes", -2.5, "-3 bytes"},
	{"sent_bytes", 0.49999999999999994, "0 bytes"},
	{"sent_bytes", 1e12, "1,000,000,000,000 bytes"},
	{"moved_bytes_per_s", 0, "0 B/s"},
	{"moved_bytes_per_s", 512, "512 B/s"},
	{"moved_bytes_per_s", 999.5, "1.00 kB/s"},
	{"moved_bytes_per_s", 4.7e6, "4.70 MB/s"},
	{"moved_bytes_per_s", 5e6, "5.00 MB/s"},
	{"moved_bytes_per_s", 12.34e9, "12.3 GB/s"},
	{"moved_bytes_per_s", 1e15, "1,000,000 GB/s"},
	{"line_bits_per_s", 123, "123 bit/s"},
	{"line_bits_per_s", 100e6, "100 Mbit/s"},
	{"calls_per_s", 1234567.5, "1,234,568"},
	{"calls_per_s", 0.4, "0"},
	{"lost_share", 0, "0.0 %"},
	{"lost_share", 1, "100.0 %"},
	{"lost_share", 0.46, "46.0 %"},
	{"lost_share", 0.00049, "<0.1 %"},
	{"lost_share", 0.99951, ">99.9 %"},
	{"lost_share", 0.00125, "0.1 %"}, /* a half */
	{"lost_share", -0.25, "-25.0 %"},
	{"lost_share", 1.5, "150.0 %"},
	{"calls", 1234, "1,234"},
	{"calls", -1234567, "-1,234,567"},
	{"calls", 1e12, "1,000,000,000,000"},
	{"calls", 1e20, "1e+20"},
	{"ratio", 1234.5, "1,235"},
	{"ratio", 999.5, "1,000"},
	{"ratio", 999.4, "999"},
	{"ratio", 100.5, "100"}, /* a half: to even */
	{"ratio", 99.95, "100"},
	{"ratio", 12.34, "12.3"},
	{"ratio", 12.25, "12.2"},
	{"ratio", 9.996, "10.0"},
	{"ratio", 1.234, "1.23"},
	{"ratio", -1.234, "-1.23"},
	{"ratio", 0.984, "0.98"},
	{"ratio", 0.1, "0.10"},
	{"ratio", 0.0996, "0.0996"},
	{"ratio", 0.0123, "0.0123"},
	{"ratio", 0.00049, "0.00049"},
	{"ratio", -0.0, "0"},
	{"elapsed_ns", NAN, "-"},
	{"sent_bytes", INFINITY, "-"},
	{"lost_share", NAN, "-"},
	{"ratio", -INFINITY, "-"},
	{"bytes", 65536, "65,536"}, /* a suffix begins with _ */
	{"ns", 3210, "3,210"},
};

#define SHARE(k, n, low, high) number_share("x", (struct share){k, n, low, high})
#define INTERVAL(name, ...)    number_interval(name, (struct interval){__VA_ARGS__})

static const struct sample {
	const char *template;
	const char *sentence;
	struct number numbers[4];
} samples[] = {
	/* the text around the numbers */
	{"", "", {{0}}},
	{"no number at all", "no number at all", {{0}}},
	{"{{x}} {{{x}}} {{", "{x} {7} {", {{"x", .num = 7}}},
	{"{a}{b} of {a}", "12 of 1", {{"a", .num = 1}, {"b", .num = 2}}},
	{"100 % of {x}: %s", "100 % of 3: %s", {{"x", .num = 3}}},
	{"{ab} {a}", "2 1", {{"a", .num = 1}, {"ab", .num = 2}}},
	{"µs: {x_us}", "µs: 3.00 us", {{"x_us", .num = 3}}},

	/* integers */
	{"{x}", "1,234", {{"x", .num = 1234}}},
	{"{x}", "9,223,372,036,854,775,807", {{"x", .num = INT64_MAX}}},
	{"{x}", "-9,223,372,036,854,775,808", {{"x", .num = INT64_MIN}}},
	{"{x_ns}, {y_bytes}", "3.21 us, 64 bytes", {{"x_ns", .num = 3210}, {"y_bytes", .num = 64}}},
	{"{x_bytes}", "9.22e+18 bytes", {{"x_bytes", .num = INT64_MAX}}},

	/* texts, which are no templates */
	{"by {by}", "by {x} 5 %", {{"by", NUMBER_TEXT, .text = "{x} 5 %"}}},
	{"by {by_ns}.", "by .", {{"by_ns", NUMBER_TEXT, .text = ""}}},

	/* reals */
	{"{x}", "1.50", {{"x", NUMBER_REAL, .real = 1.5}}},
	{"{x}", "-", {{"x", NUMBER_REAL, .real = NAN}}},
	{"{x_ns}", "-", {{"x_ns", NUMBER_REAL, .real = INFINITY}}},
	{"{x_ns}", "0 ns", {{"x_ns", NUMBER_REAL, .real = -0.0}}},
	/* the row holds 1.235, and all digits of what is whole */
	{"{x}", "1.24", {{"x", NUMBER_REAL, .real = 1.2349999999}}},
	{"{x_bytes}", "12,345,678,901 bytes", {{"x_bytes", NUMBER_REAL, .real = 12345678901.0}}},
	{"{x_bytes}", "12,345,678,900 bytes", {{"x_bytes", NUMBER_REAL, .real = 12345678901.2}}},
};

/* Those with shares and intervals, which are made when it runs. */
static size_t parts(struct sample *made)
{
	const struct sample all[] = {
		{"{x}; {x.k}; {x.n}", "3 of 10; 3; 10", {SHARE(3, 10, 0.1078, 0.6032)}},
		{"{x.share}; {x.range}", "30.0 %; 11 to 60 %", {SHARE(3, 10, 0.1078, 0.6032)}},
		{"{x}; {x.share}", "1,234 of 5,000; 24.7 %", {SHARE(1234, 5000, 0.235, 0.259)}},
		{"{x}; {x.share}; {x.range}", "0 of 0; -; -", {SHARE(0, 0, NAN, NAN)}},
		{"{x.share}; {x.range}", "0.0 %; 0 to 28 %", {SHARE(0, 10, 0, 0.2775)}},
		{"{x.share}; {x.range}", "100.0 %; 72 to 100 %", {SHARE(10, 10, 0.7225, 1)}},
		{"{x.share}; {x.range}", "<0.1 %; 2 to 4 %", {SHARE(1, 9999, 0.025, 0.035)}},

		{"{x}", "1.50 (1.48 to 1.52)", {INTERVAL("x", 1.5, 1.48, 1.52, 9)}},
		{"{x.mid}; {x.range}", "1.00; 0.98 to 1.04", {INTERVAL("x", 1, 0.98, 1.04, 9)}},
		{"{x}", "12 (10 to 1,400)", {INTERVAL("x", 12, 10, 1400, 9)}},
		{"{x}", "12.5 (10.0 to 14.0)", {INTERVAL("x", 12.5, 10, 14, 9)}},
		{"{x}; {x.mid}; {x.range}", "1.50; 1.50; -", {INTERVAL("x", 1.5, NAN, NAN, 5)}},
		{"{x}; {x.range}", "2; -", {INTERVAL("x", 2, NAN, NAN, 1)}},
		{"{x}; {x.mid}; {x.range}", "-; -; -", {INTERVAL("x", NAN, NAN, NAN, 0)}},
		{"{x}", "1.50", {INTERVAL("x", 1.5, 1, INFINITY, 9)}},
		{"{x_ns.range}", "8.98 ns to 9.28 ns", {INTERVAL("x_ns", 9, 8.98, 9.28, 9)}},
		{"{x_ns}", "9.00 ns (8.98 ns to 1.00 us)", {INTERVAL("x_ns", 9, 8.98, 999.6, 9)}},
		{"{x_share}; {x_share.mid}",
		 "46.0 % (11 to 60 %); 46.0 %",
		 {INTERVAL("x_share", 0.46, 0.11, 0.6, 9)}},
		{"{x_share.range}", "-", {INTERVAL("x_share", 0.46, NAN, NAN, 3)}},
		{"{x_bytes.range}", "4 bytes to 4,096 bytes", {INTERVAL("x_bytes", 8, 4, 4096, 9)}},
		{"{x_bytes_per_s}",
		 "5.00 MB/s (900 kB/s to 6.00 MB/s)",
		 {INTERVAL("x_bytes_per_s", 5e6, 9e5, 6e6, 9)}},
	};

	memcpy(made, all, sizeof(all));
	return COUNT(all);
}

enum { MOST_PARTS = 32, RANDOM = 4000 };

static void assert_sentence(const struct sample *sample)
{
	char *text = sentence_format(sample->template, sample->numbers);

	if (strcmp(text, sample->sentence) != 0)
		fail_msg("'%s' is '%s', not '%s'", sample->template, text, sample->sentence);
	free(text);
}

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		const char *text = sentence_value(values[i].name, values[i].value);

		if (strcmp(text, values[i].text) != 0)
			fail_msg("%s %.17g is '%s', not '%s'", values[i].name, values[i].value,
				 text, values[i].text);
	}
}

static void test_sentences(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++)
		assert_sentence(&samples[i]);
}

static void test_parts(void **state)
{
	struct sample made[MOST_PARTS];
	size_t n = parts(made);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_sentence(&made[i]);
}

/* Longer than any buffer of text.h. */
static void test_nothing_is_cut(void **state)
{
	char word[2001] = "";
	char template[3001];
	char *text;

	(void)state;
	memset(word, 'w', sizeof(word) - 1);
	memset(template, 't', sizeof(template) - 1);
	memcpy(template + sizeof(template) - sizeof("{x}"), "{x}", sizeof("{x}"));
	text = sentence_format(template, (struct number[]){number_text("x", word), {0}});
	assert_int_equal(strlen(text), sizeof(template) - sizeof("{x}") + sizeof(word) - 1);
	free(text);
}

static void assert_json(struct number number, const char *expected)
{
	json_t *object = sentence_numbers((struct number[]){number, {0}});
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));

	assert_string_equal(text, expected);
	free(text);
	json_decref(object);
}

static void test_json(void **state)
{
	(void)state;
	assert_json((struct number){0}, "{}");
	assert_json(number_int("x", INT64_MIN), "{\"x\":-9223372036854775808}");
	assert_json(number_real("x", 1.5), "{\"x\":1.5}");
	assert_json(number_real("x", 12345678901.0), "{\"x\":12345678901}");
	assert_json(number_real("x", 1.2349999999), "{\"x\":1.235}");
	assert_json(number_real("x", -0.0), "{\"x\":0}");
	assert_json(number_real("x", NAN), "{\"x\":null}");
	assert_json(number_real("x", -INFINITY), "{\"x\":null}");
	assert_json(number_text("x", "a \"b\""), "{\"x\":\"a \\\"b\\\"\"}");
	assert_json(number_text("x", "a\xff"), "{\"x\":\"a?\"}");
	assert_json(SHARE(3, 10, 0.25, 0.5),
		    "{\"x\":{\"k\":3,\"n\":10,\"low\":0.25,\"high\":0.5}}");
	assert_json(SHARE(0, 0, NAN, NAN), "{\"x\":{\"k\":0,\"n\":0,\"low\":null,\"high\":null}}");
	assert_json(INTERVAL("x", 1.5, 1, 2.5, 9),
		    "{\"x\":{\"mid\":1.5,\"low\":1,\"high\":2.5,\"n\":9}}");
	assert_json(INTERVAL("x", 1.5, NAN, NAN, 5),
		    "{\"x\":{\"mid\":1.5,\"low\":null,\"high\":null,\"n\":5}}");
}

/* --- mistakes in a program ----------------------------------------------- */

static int make_sentence(const void *template)
{
	const struct number numbers[] = {number_int("count", 1),
					 number_real("real", 1.5),
					 number_text("text", "t"),
					 SHARE(3, 10, 0.1, 0.6),
					 INTERVAL("between", 1.5, 1.4, 1.6, 9),
					 {0}};

	free(sentence_format(template, numbers));
	return 0;
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *template;
		const char *what;
	} cases[] = {
		{"of {other} it is", "'{other}'"},
		{"of {coun} it is", "'{coun}'"},
		{"of {counts} it is", "'{counts}'"},
		{"of { count } it is", "'{ count }'"},
		{"of {} it is", "'{}'"},
		{"of {.k} it is", "'{.k}'"},
		{"of {count.k} it is", "'{count.k}'"},
		{"of {real.mid} it is", "'{real.mid}'"},
		{"of {text.n} it is", "'{text.n}'"},
		{"of {x.mid} it is", "'{x.mid}'"},
		{"of {x.} it is", "'{x.}'"},
		{"of {x.share.share} it is", "'{x.share.share}'"},
		{"of {x.rangerangerangerange} it is", "'{x.rangerangerangerange}'"},
		{"of {between.share} it is", "'{between.share}'"},
		{"of {count {count} it is", "'{count {count}'"},
		{"of {count it is", "a brace"},
		{"of count} it is", "a brace"},
		{"of {count}} it is", "a brace"},
		{"of {{{count}} it is", "a brace"},
		{"of count it is {", "a brace"},
	};
	struct child child;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		child_run(&child, make_sentence, cases[i].template);
		assert_error(&child, cases[i].what);
		assert_holds_text(child.err, cases[i].template);
	}
	child_run(&child, make_sentence, "{count} {real} {text} {x.k} {between.mid}");
	assert_exited(&child, 0);
}

/* --- for scripts/sentence.py --------------------------------------------- */

static void print_row(struct rows *rows, const char *template, const struct number *numbers)
{
	char *text = sentence_format(template, numbers);
	json_t *row = json_pack("{s:s,s:o,s:s}", "template", template, "numbers",
				sentence_numbers(numbers), "sentence", text);

	if (!row || rows_write(rows, row) != 0)
		abort();
	json_decref(row);
	free(text);
}

/* Of any size, with few digits or all, so that there are halves and whole numbers among them. */
static double random_value(struct rng *rng)
{
	static const double parts_of_one[] = {1, 2, 8, 10, 100, 1000, 0x1p40};
	double part = parts_of_one[rng_below(rng, COUNT(parts_of_one))];
	double digits = (double)rng_below(rng, 20000) - 2000;

	if (part == 0x1p40)
		digits = (double)rng_below(rng, (uint64_t)1 << 52);
	return digits / part * pow(10, (double)rng_below(rng, 16) - 5);
}

static void print_random(struct rows *rows)
{
	static const char *const names[] = {"x_ns",          "x_us",    "x_ms",    "x_s",
					    "x_bytes_per_s", "x_per_s", "x_bytes", "x_bits_per_s",
					    "x_share",       "x"};
	struct rng rng = {1};

	for (size_t i = 0; i < RANDOM; i++) {
		const char *name = names[i % COUNT(names)];
		double mid = random_value(&rng);
		double high = random_value(&rng);
		struct number numbers[] = {number_real(name, mid), {0}};

		print_row(rows, text_format("{%s}", name), numbers);
		numbers[0] = number_int(name, (int64_t)mid);
		print_row(rows, text_format("{%s}", name), numbers);
		numbers[0] = INTERVAL(name, mid, mid / 2, high, i);
		print_row(rows, text_format("{%s}; {%s.mid}; {%s.range}", name, name, name),
			  numbers);
	}
}

static int print_cases(void)
{
	struct sample made[MOST_PARTS];
	size_t n = parts(made);
	struct rows *rows = rows_open("-");

	if (!rows)
		return 2;
	for (size_t i = 0; i < COUNT(values); i++)
		print_row(rows, text_format("{%s}", values[i].name),
			  (struct number[]){number_real(values[i].name, values[i].value), {0}});
	for (size_t i = 0; i < COUNT(samples); i++)
		print_row(rows, samples[i].template, samples[i].numbers);
	for (size_t i = 0; i < n; i++)
		print_row(rows, made[i].template, made[i].numbers);
	print_random(rows);
	return rows_keep(rows) == 0 ? 0 : 2;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_parts),  cmocka_unit_test(test_nothing_is_cut),
		cmocka_unit_test(test_json),   cmocka_unit_test(test_mistakes),
	};

	if (argc == 2 && strcmp(argv[1], "--print") == 0)
		return print_cases();
	return cmocka_run_group_tests_name("sentence", tests, NULL, NULL);
}
