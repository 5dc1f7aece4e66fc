/* SPDX-License-Identifier: MIT */
/*
 * test_span - wall and CPU time of a piece of work, and how the spans of several threads join.
 */
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "span.h"

static void test_cover(void **state)
{
	struct span all = {0};

	(void)state;
	span_cover(&all, &(struct span){.begin_ns = 500, .end_ns = 700, .cpu_ns = 150});
	assert_int_equal(all.begin_ns, 500);
	assert_int_equal(all.end_ns, 700);
	span_cover(&all, &(struct span){.begin_ns = 400, .end_ns = 600, .cpu_ns = 100});
	span_cover(&all, &(struct span){.begin_ns = 550, .end_ns = 900, .cpu_ns = 30});
	span_cover(&all, &(struct span){.begin_ns = 560, .end_ns = 570, .cpu_ns = 1});
	assert_int_equal(all.begin_ns, 400);
	assert_int_equal(all.end_ns, 900);
	assert_int_equal(all.cpu_ns, 281);
	assert_int_equal(span_wall(&all), 500);
}

static void test_sleep_takes_wall_not_cpu_time(void **state)
{
	const struct timespec pause = {0, 20000000};
	struct span span;

	(void)state;
	span_begin(&span);
	while (span_now() - span.begin_ns < pause.tv_nsec)
		nanosleep(&pause, NULL);
	span_end(&span);
	assert_true(span_wall(&span) >= pause.tv_nsec);
	assert_true(span.cpu_ns >= 0 && span.cpu_ns < span_wall(&span));
}

static void test_work_takes_cpu_time(void **state)
{
	const int64_t work_ns = 2000000;
	int64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct span span;

	(void)state;
	span_begin(&span);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns < work_ns * 2)
		;
	span_end(&span);
	assert_true(span.cpu_ns >= work_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_sleep_takes_wall_not_cpu_time),
		cmocka_unit_test(test_work_takes_cpu_time),
	};

	return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
