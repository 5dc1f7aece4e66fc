/* SPDX-License-Identifier: MIT */
/* Messages are read as msgfmt wrote them, in either order of bytes; what is not whole is none. */
#include "catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 256, TEXTS = 28, TRANSLATIONS = 52, STRINGS = 76, N = 3 };

static const char *const texts[N] = {"", "a counter", "x"};
static const char *const translations[N] = {"header", "\xec\xb9\xb4\xec\x9a\xb4\xed\x84\xb0", "y"};

static void put(unsigned char *bytes, size_t at, uint32_t number, bool swapped)
{
	number = swapped ? __builtin_bswap32(number) : number;
	memcpy(bytes + at, &number, sizeof(number));
}

/* As msgfmt writes it, without a hash table; returns its size. */
static size_t make(unsigned char *bytes, bool swapped)
{
	const uint32_t head[] = {0x950412de, 0, N, TEXTS, TRANSLATIONS, 0, STRINGS};
	size_t end = STRINGS;

	memset(bytes, '?', SIZE);
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		put(bytes, 4 * i, head[i], swapped);
	for (size_t i = 0; i < 2 * N; i++) {
		const char *text = i < N ? texts[i] : translations[i - N];
		size_t entry = i < N ? TEXTS + 8 * i : TRANSLATIONS + 8 * (i - N);

		put(bytes, entry, (uint32_t)strlen(text), swapped);
		put(bytes, entry + 4, (uint32_t)end, swapped);
		memcpy(bytes + end, text, strlen(text) + 1);
		end += strlen(text) + 1;
	}
	return end;
}

static void test_messages_are_found(void **state)
{
	unsigned char bytes[SIZE];
	struct catalogue catalogue;

	(void)state;
	for (int swapped = 0; swapped <= 1; swapped++) {
		assert_true(catalogue_read(&catalogue, bytes, make(bytes, swapped)));
		for (size_t i = 0; i < N; i++)
			assert_string_equal(catalogue_find(&catalogue, texts[i]), translations[i]);
		assert_null(catalogue_find(&catalogue, "a count"));
		assert_null(catalogue_find(&catalogue, "a counters"));
		assert_null(catalogue_find(&catalogue, "z"));
	}
}

static void test_what_is_not_whole_is_none(void **state)
{
	unsigned char bytes[SIZE];
	struct catalogue catalogue;
	size_t size = make(bytes, false);

	(void)state;
	for (size_t less = 0; less < size; less++) {
		/* of its own, so that a sanitizer sees what is read beyond */
		unsigned char *part = malloc(less ? less : 1);

		memcpy(part, bytes, less);
		assert_false(catalogue_read(&catalogue, part, less));
		assert_null(catalogue_find(&catalogue, "x"));
		free(part);
	}
	for (size_t at = 0; at < STRINGS; at++) { /* any number is another */
		make(bytes, false);
		bytes[at] ^= 0xff;
		if (catalogue_read(&catalogue, bytes, size))
			catalogue_find(&catalogue, "x");
	}
	bytes[0] = 0;
	assert_false(catalogue_read(&catalogue, bytes, size));
	assert_false(catalogue_open(&catalogue, "/no/such/file"));
	assert_false(catalogue_open(&catalogue, "/"));
	assert_false(catalogue_open(&catalogue, "/dev/null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_are_found),
		cmocka_unit_test(test_what_is_not_whole_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
