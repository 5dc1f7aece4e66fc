/* SPDX-License-Identifier: MIT */
/*
 * test_rows - values as JSON, and a file that is either whole or not there.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "folder.h"
#include "rows.h"

/* Writes {"row":text}. */
static int write_text(struct rows *rows, const char *text)
{
	json_t *row = json_pack("{s:o}", "row", rows_text(text));
	int error = rows_write(rows, row);

	json_decref(row);
	return error;
}

static struct rows *open_with(const char *name, const char *text)
{
	struct rows *rows = rows_open(name);

	assert_non_null(rows);
	assert_int_equal(write_text(rows, text), 0);
	return rows;
}

static void assert_file(const char *name, const char *text)
{
	char *found = file_take(name);

	assert_string_equal(found, text);
	free(found);
}

static void assert_added(const struct field *fields, const char *json)
{
	json_t *object = json_object();
	char *text;

	rows_add(object, fields);
	text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
	assert_non_null(text);
	assert_string_equal(text, json);
	free(text);
	json_decref(object);
}

static void test_fields(void **state)
{
	const double share = 45.1, none = NAN, much = INFINITY;

	(void)state;
	assert_added(NULL, "{}");
	assert_added((struct field[]){{0}}, "{}");
	assert_added((struct field[]){{"most", INT64_MAX}, {"least", INT64_MIN}, {"zero", 0}, {0}},
		     "{\"most\":9223372036854775807,\"least\":-9223372036854775808,\"zero\":0}");
	assert_added((struct field[]){{"share", .real = &share},
				      {"none", .real = &none},
				      {"much", .real = &much},
				      {0}},
		     "{\"share\":45.1,\"none\":null,\"much\":null}");
	assert_added((struct field[]){{"text", .text = "say \"\\\"\n\t\x01\x7f"}, {0}},
		     "{\"text\":\"say \\\"\\\\\\\"\\n\\t\\u0001\x7f\"}");
}

static void test_text(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"Größe · 10 µs ▁█ 🙂", "Größe · 10 µs ▁█ 🙂"},
		{"a\xff\xfe"
		 "b",
		 "a??b"},
		{"\x80", "?"},
		{"\xc0\xaf", "??"},         /* an overlong slash */
		{"\xed\xa0\x80", "???"},    /* a surrogate */
		{"\xe2\x82", "??"},         /* cut short */
		{"µs \xff us", "??s ? us"}, /* only ASCII stays */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *text = rows_text(cases[i][0]);

		assert_string_equal(json_string_value(text), cases[i][1]);
		json_decref(text);
	}
}

static void test_part_until_kept(void **state)
{
	struct rows *rows = open_with("rows", "one");

	(void)state;
	assert_false(file_exists("rows"));
	assert_true(file_exists("rows.part"));
	assert_int_equal(write_text(rows, "two"), 0);
	assert_int_equal(rows_keep(rows), 0);
	assert_false(file_exists("rows.part"));
	assert_file("rows", "{\"row\":\"one\"}\n{\"row\":\"two\"}\n");
}

static void test_each_row_is_written_at_once(void **state)
{
	struct rows *rows = open_with("rows", "one");

	(void)state;
	assert_file("rows.part", "{\"row\":\"one\"}\n");
	rows_drop(rows);
}

static void test_drop(void **state)
{
	(void)state;
	rows_drop(open_with("rows", "one"));
	assert_false(file_exists("rows"));
	assert_false(file_exists("rows.part"));
}

static void test_older_file(void **state)
{
	(void)state;
	assert_int_equal(rows_keep(open_with("rows", "older")), 0);
	rows_drop(open_with("rows", "dropped"));
	assert_true(file_exists("rows"));
	assert_int_equal(rows_keep(open_with("rows", "newer")), 0);
	assert_file("rows", "{\"row\":\"newer\"}\n");
}

/* What a killed run left is overwritten, not appended to. */
static void test_stale_part(void **state)
{
	FILE *stale = fopen("rows.part", "we");

	(void)state;
	assert_non_null(stale);
	fputs("{\"row\":\"a longer one from before\"}\n{\"ro", stale);
	fclose(stale);
	assert_int_equal(rows_keep(open_with("rows", "new")), 0);
	assert_file("rows", "{\"row\":\"new\"}\n");
}

static void test_two_writers(void **state)
{
	struct rows *rows = open_with("rows", "first");

	(void)state;
	errno = 0;
	assert_null(rows_open("rows"));
	assert_int_equal(errno, EBUSY);
	assert_int_equal(write_text(rows, "still"), 0);
	assert_int_equal(rows_keep(rows), 0);
	assert_file("rows", "{\"row\":\"first\"}\n{\"row\":\"still\"}\n");
}

static void test_full_disk(void **state)
{
	struct rows *rows = rows_open("/dev/full");

	(void)state;
	assert_non_null(rows);
	assert_int_equal(write_text(rows, "lost"), ENOSPC);
	rows_drop(rows);
	assert_false(file_exists("/dev/full.part"));
	assert_true(file_exists("/dev/full"));
}

static void test_dev_null(void **state)
{
	(void)state;
	assert_int_equal(rows_keep(open_with("/dev/null", "gone")), 0);
	assert_true(file_exists("/dev/null"));
	assert_false(file_exists("/dev/null.part"));
}

static void test_what_cannot_be_opened(void **state)
{
	static const struct {
		const char *path;
		int error;
	} cases[] = {{"nowhere/rows", ENOENT}, {"/", EISDIR}, {"/dev/null/rows", ENOTDIR}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		assert_null(rows_open(cases[i].path));
		assert_int_equal(errno, cases[i].error);
	}
}

/* The rename fails; neither name is left. */
static void test_keep_that_fails(void **state)
{
	struct rows *rows = open_with("rows", "one");

	(void)state;
	assert_int_equal(mkdir("rows", 0700), 0);
	assert_int_equal(rows_keep(rows), EISDIR);
	assert_false(file_exists("rows.part"));
	assert_int_equal(rmdir("rows"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_text),
		in_folder(test_part_until_kept),
		in_folder(test_each_row_is_written_at_once),
		in_folder(test_drop),
		in_folder(test_older_file),
		in_folder(test_stale_part),
		in_folder(test_two_writers),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_dev_null),
		in_folder(test_what_cannot_be_opened),
		in_folder(test_keep_that_fails),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
