/* SPDX-License-Identifier: MIT */
/*
 * test_text - numbers, bars and wrapped lines as people read them, in UTF-8 and in plain ASCII.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text.h"

static int use_ascii(void **state)
{
	(void)state;
	return setlocale(LC_CTYPE, "C") ? 0 : -1;
}

/* False, and the test is skipped, where the system has no UTF-8 locale by these names. */
static bool use_utf8(void)
{
	return setlocale(LC_CTYPE, "C.UTF-8") || setlocale(LC_CTYPE, "en_US.UTF-8");
}

static void assert_columns(const char *text, int columns)
{
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	assert_int_equal(text_columns(text, strlen(text)), columns);
	text_pad(out, text, columns + 2);
	fclose(out);
	assert_int_equal(size, strlen(text) + 2);
	assert_memory_equal(line, text, strlen(text));
	free(line);
	out = open_memstream(&line, &size);
	text_pad(out, text, -columns - 2);
	fclose(out);
	assert_int_equal(size, strlen(text) + 2);
	assert_memory_equal(line + 2, text, strlen(text));
	free(line);
}

static void test_columns(void **state)
{
	(void)state;
	assert_columns("", 0);
	assert_columns("abc", 3);
	assert_columns("\xed\x95", 1); /* half a character, in any locale */
	if (!use_utf8())
		skip();
	assert_columns("한글", 4);
	assert_columns("N = 10 중 3회", 13);
	assert_columns("½·█", 3);
	assert_columns("e\xcc\x81", 1); /* an accent of its own */
	assert_columns("\xff\x80", 1);  /* no UTF-8 */
}

/* Hangul is wrapped at half as many characters. */
static void test_wrapped_columns(void **state)
{
	char text[61 * 4] = "", *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	(void)state;
	if (!use_utf8())
		skip();
	for (int word = 0; word < 60; word++)
		strcat(text, word % 4 == 3 ? "가 " : "가");
	text_wrap(out, 0, 0, text);
	fclose(out);
	for (char *part = strtok(line, "\n"); part; part = strtok(NULL, "\n"))
		assert_true(text_columns(part, strlen(part)) <= TEXT_WIDTH);
	free(line);
}

static void test_count(void **state)
{
	(void)state;
	assert_string_equal(text_count(0), "0");
	assert_string_equal(text_count(999), "999");
	assert_string_equal(text_count(1000), "1,000");
	assert_string_equal(text_count(-1234567), "-1,234,567");
	assert_string_equal(text_count(-100), "-100");
	assert_string_equal(text_count(INT64_MAX), "9,223,372,036,854,775,807");
	assert_string_equal(text_count(INT64_MIN), "-9,223,372,036,854,775,808");
}

static void test_bytes(void **state)
{
	(void)state;
	assert_string_equal(text_bytes(0), "0 B");
	assert_string_equal(text_bytes(1), "1 B");
	assert_string_equal(text_bytes(1024), "1 KiB");
	assert_string_equal(text_bytes(4608), "4,608 B");
	assert_string_equal(text_bytes(65536), "64 KiB");
	assert_string_equal(text_bytes(3 << 20), "3 MiB");
	assert_string_equal(text_bytes((int64_t)2 << 30), "2 GiB");
	assert_string_equal(text_bytes((int64_t)5 << 40), "5,120 GiB");
	assert_string_equal(text_bytes(-2048), "-2 KiB");
}

static void test_share(void **state)
{
	(void)state;
	assert_string_equal(text_share(0), "0.0 %");
	assert_string_equal(text_share(0.46), "46.0 %");
	assert_string_equal(text_share(1), "100.0 %");
	assert_string_equal(text_share(1e-9), "<0.1 %");      /* neither none ... */
	assert_string_equal(text_share(1 - 1e-9), ">99.9 %"); /* ... nor all */
	assert_string_equal(text_share(0.001), "0.1 %");
	assert_string_equal(text_share(0.999), "99.9 %");
	assert_string_equal(text_share(0.9995), ">99.9 %");
	assert_string_equal(text_share(1.5), "150.0 %");
}

static void test_time(void **state)
{
	(void)state;
	assert_string_equal(text_time(0), "0 ns");
	assert_string_equal(text_time(7), "7.00 ns");
	assert_string_equal(text_time(3210), "3.21 us");
	assert_string_equal(text_time(45.1e6), "45.1 ms");
	assert_string_equal(text_time(2e9), "2.00 s");
	assert_string_equal(text_time(500e9), "500 s");
	assert_string_equal(text_time(5000e9), "5000 s");
	assert_string_equal(text_time(-3210), "-3.21 us");
	assert_string_equal(text_time(9.999), "10.0 ns"); /* rounding must not add a digit ... */
	assert_string_equal(text_time(99.96), "100 ns");
	assert_string_equal(text_time(999.6), "1.00 us"); /* ... nor leave the unit behind */
	assert_string_equal(text_time(999.4), "999 ns");
}

/* One printf may hold 16 of them. */
static void test_buffers(void **state)
{
	const char *texts[16];

	(void)state;
	for (int i = 0; i < 16; i++)
		texts[i] = text_count(i);
	for (int i = 0; i < 16; i++)
		assert_int_equal(strtol(texts[i], NULL, 10), i);
}

static void test_format_is_cut_not_overrun(void **state)
{
	(void)state;
	assert_string_equal(text_format("%d of %s", 3, "ten"), "3 of ten");
	assert_in_range(strlen(text_format("%2000d", 1)), 100, 1999);
}

enum shape { WRAP, VALUES, HISTOGRAM };

/* What the functions that print do print; to be freed. */
static char *printed(enum shape shape, const char *words, struct values values)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	if (shape == WRAP)
		text_wrap(out, 10, 4, words);
	else if (shape == VALUES)
		text_values(out, 10, 4, values);
	else
		text_histogram(out, values, 0, 40, 4);
	fclose(out);
	return text;
}

static void assert_wrapped(const char *words, const char *expected)
{
	char *text = printed(WRAP, words, (struct values){0});

	assert_string_equal(text, expected);
	free(text);
}

#define TEN "123456789 "

static void test_wrap(void **state)
{
	(void)state;
	assert_wrapped("", "\n");
	assert_wrapped("few words", "few words\n");
	assert_wrapped("more   blanks  ", "more blanks\n");
	/* 10 columns are used; 70 more fit exactly, one more does not */
	assert_wrapped(TEN TEN TEN TEN TEN TEN "1234567890",
		       TEN TEN TEN TEN TEN TEN "1234567890\n");
	assert_wrapped(TEN TEN TEN TEN TEN TEN "12345678901",
		       TEN TEN TEN TEN TEN "123456789\n    12345678901\n");
	/* a letter of two bytes is one column wide */
	assert_wrapped(TEN TEN TEN TEN TEN TEN "äöüäöüäöüä",
		       TEN TEN TEN TEN TEN TEN "äöüäöüäöüä\n");
	/* a word that fits nowhere is not broken: it may be a path to copy */
	assert_wrapped(
		"a " TEN TEN
		"/a/path/that/is/much/longer/than/eighty/columns/of/any/terminal/we/know/of/today",
		"a 123456789 123456789\n"
		"    /a/path/that/is/much/longer/than/eighty/columns/of/any/terminal/we/know/of/"
		"today\n");
}

static void assert_values(struct values values, const char *expected)
{
	char *text = printed(VALUES, NULL, values);

	assert_string_equal(text, expected);
	free(text);
}

static void test_values(void **state)
{
	int64_t at[30] = {0};
	char *text;

	(void)state;
	assert_values((struct values){.at = at, .n = 30}, "0 in all 30\n");
	assert_values((struct values){.at = at, .n = 1}, "0\n");
	assert_values((struct values){.at = at, .n = 0}, "\n");
	at[1] = -1000;
	assert_values((struct values){.at = at, .n = 3}, "0 -1,000 0\n");
	for (int i = 0; i < 30; i++)
		at[i] = 1000000 + i;
	text = printed(VALUES, NULL, (struct values){.at = at, .n = 30});
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		assert_in_range(strcspn(line, "\n"), 9, line == text ? 70 : 80);
	free(text);
}

static void assert_histogram(struct values values, const char *expected)
{
	char *text = printed(HISTOGRAM, NULL, values);

	assert_string_equal(text, expected);
	free(text);
}

static void test_histogram(void **state)
{
	/* four bins of ten: eight values, four, none, one; what lies outside is left out */
	int64_t at[] = {0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 40, -1, 41};

	(void)state;
	assert_histogram((struct values){.at = at, .n = 15}, "#= .");
	assert_histogram((struct values){0}, "    ");
	if (!use_utf8())
		skip();
	assert_histogram((struct values){.at = at, .n = 15}, "█▄ ▁");
}

static void assert_timeline(const int64_t *at, const int64_t *value, size_t n, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	text_timeline(out, at, value, n, 10, 5);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void test_timeline(void **state)
{
	/* a step, a peak that is over within its column, and a fall to nothing */
	static const int64_t at[] = {5, 22, 25, 41};
	static const int64_t value[] = {4, 8, 4, 0};

	(void)state;
	assert_timeline(at, value, 4, "==#==");
	assert_timeline(at, value, 0, "     ");
	assert_timeline(at, value, 1, "#####"); /* it lasts until it changes */
}

static void test_bar(void **state)
{
	(void)state;
	assert_string_equal(text_bar(-1), " ");
	assert_string_equal(text_bar(0), " ");
	assert_string_equal(text_bar(1), ".");
	assert_string_equal(text_bar(9), "#");
	for (int level = 0; level <= 8; level++)
		assert_int_equal(strlen(text_bar(level)), 1);
	if (!use_utf8())
		skip();
	assert_string_equal(text_bar(0), " ");
	assert_string_equal(text_bar(8), "█");
}

static void test_pick(void **state)
{
	(void)state;
	assert_false(text_unicode());
	assert_string_equal(text_pick("·", "-"), "-");
	if (!use_utf8())
		skip();
	assert_true(text_unicode());
	assert_string_equal(text_pick("·", "-"), "·");
}

static void test_control(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {{"\n", 1},
		     {"\x7f", 1},
		     {"\xc2\x9b", 2},
		     {"\xe2\x80\xa8", 3},
		     {"\xe2\x81\xa9", 3},
		     {"a\n", 0},
		     {" ", 0},
		     {"\x9b", 0},
		     {"\xc2\xa0", 0},
		     {"\xe2\x80\xa7", 0},
		     {"\xe2\x81\xaa", 0},
		     {"\xe2\x80", 0},
		     {"", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(text_control(cases[i].text, strlen(cases[i].text)),
				 cases[i].length);
	assert_int_equal(text_control("\0", 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_format_is_cut_not_overrun),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test_setup(test_columns, use_ascii),
		cmocka_unit_test_setup(test_wrapped_columns, use_ascii),
		cmocka_unit_test(test_values),
		cmocka_unit_test_setup(test_histogram, use_ascii),
		cmocka_unit_test_setup(test_timeline, use_ascii),
		cmocka_unit_test_setup(test_bar, use_ascii),
		cmocka_unit_test_setup(test_pick, use_ascii),
		cmocka_unit_test(test_control),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
