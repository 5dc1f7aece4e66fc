/* SPDX-License-Identifier: MIT */
/*
 * test_pattern - a stream's bytes tell their place: whatever happens to them on the way is noticed.
 */
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pattern.h"

enum { LENGTH = 4096, START = 1000003 /* no multiple of 8 */ };

static uint8_t stream[LENGTH];

static int fill(void **state)
{
	(void)state;
	pattern_fill(stream, LENGTH, START);
	return 0;
}

static void test_in_order(void **state)
{
	(void)state;
	assert_int_equal(pattern_misplaced(stream, LENGTH, START), 0);
	assert_int_equal(pattern_misplaced(stream, 0, START), 0);
	/* however it is cut */
	for (size_t cut = 0; cut < 40; cut++) {
		assert_int_equal(pattern_misplaced(stream, cut, START), 0);
		assert_int_equal(pattern_misplaced(stream + cut, LENGTH - cut, START + cut), 0);
	}
}

static void test_written_in_pieces(void **state)
{
	uint8_t pieces[LENGTH];

	(void)state;
	for (size_t at = 0, length; at < LENGTH; at += length) {
		length = at % 13 + 1 < LENGTH - at ? at % 13 + 1 : LENGTH - at;
		pattern_fill(pieces + at, length, START + at);
	}
	assert_memory_equal(pieces, stream, LENGTH);
}

static void test_changed(void **state)
{
	(void)state;
	stream[17] ^= 1;
	stream[4000] ^= 0x80;
	assert_int_equal(pattern_misplaced(stream, LENGTH, START), 2);
}

/* Of bytes that are lost, doubled or moved, 1 in 256 fits by chance. */
static void test_moved_by_any_distance(void **state)
{
	static const size_t distances[] = {1, 2, 7, 8, 9, 64, 255, 256, 1024};

	(void)state;
	for (size_t i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		size_t rest = LENGTH - distances[i];

		assert_in_range(pattern_misplaced(stream + distances[i], rest, START),
				rest * 95 / 100, rest);
	}
}

static void test_far_offset(void **state)
{
	const uint64_t far = ((uint64_t)1 << 40) + 5;

	(void)state;
	pattern_fill(stream, LENGTH, far);
	assert_int_equal(pattern_misplaced(stream, LENGTH, far), 0);
	assert_in_range(pattern_misplaced(stream, LENGTH, 5), LENGTH * 95 / 100, LENGTH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_order, fill),
		cmocka_unit_test_setup(test_written_in_pieces, fill),
		cmocka_unit_test_setup(test_changed, fill),
		cmocka_unit_test_setup(test_moved_by_any_distance, fill),
		cmocka_unit_test(test_far_offset),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
