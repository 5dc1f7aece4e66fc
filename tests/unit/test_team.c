/* SPDX-License-Identifier: MIT */
/*
 * test_team - every member works once, none before all are there, and the spans are theirs.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "team.h"

enum { MEMBERS = 8 };

struct log {
	atomic_int times[MEMBERS]; /* that a member worked */
	atomic_int there;
};

/* Comes back only when all members work at the same time. */
static void meet(int member, void *argument)
{
	struct log *log = argument;

	atomic_fetch_add(&log->times[member], 1);
	atomic_fetch_add(&log->there, 1);
	while (atomic_load(&log->there) < MEMBERS)
		;
}

static void test_all_work_at_once(void **state)
{
	struct log log = {0};
	struct team team;
	struct span all;
	int64_t cpu_ns = 0;

	(void)state;
	team_start(&team, MEMBERS, TEAM_FREE, meet, &log);
	all = team_join(&team);
	for (int i = 0; i < MEMBERS; i++) {
		const struct span *span = &team.members[i].span;

		assert_int_equal(atomic_load(&log.times[i]), 1);
		assert_true(span->begin_ns >= all.begin_ns && span->end_ns <= all.end_ns);
		assert_true(span->end_ns >= span->begin_ns);
		cpu_ns += span->cpu_ns;
	}
	assert_int_equal(all.cpu_ns, cpu_ns);
}

static void count(int member, void *argument)
{
	(void)member;
	atomic_fetch_add((atomic_int *)argument, 1);
}

static void test_a_team_of_one_and_the_largest(void **state)
{
	static const int sizes[] = {1, TEAM_MAX};
	struct team team;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		atomic_int counted = 0;

		team_start(&team, sizes[i], TEAM_FREE, count, &counted);
		team_join(&team);
		assert_int_equal(atomic_load(&counted), sizes[i]);
	}
}

static void first_part(void *argument)
{
	atomic_fetch_add(&((struct log *)argument)->times[0], 1);
}

static void second_part(void *argument)
{
	atomic_fetch_add(&((struct log *)argument)->times[1], 10);
}

static void test_two_parts(void **state)
{
	struct log log = {0};
	struct team team;

	(void)state;
	team_start_two(&team, TEAM_FREE, first_part, second_part, &log);
	team_join(&team);
	assert_int_equal(atomic_load(&log.times[0]), 1);
	assert_int_equal(atomic_load(&log.times[1]), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_work_at_once),
		cmocka_unit_test(test_a_team_of_one_and_the_largest),
		cmocka_unit_test(test_two_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
