/* SPDX-License-Identifier: MIT */
/*
 * test_files - the soft limit of descriptors: raised as far as the hard one, never lowered.
 */
#include <sys/resource.h>

#include "child.h"

#include "files.h"

static int raise_limit(const void *nothing)
{
	struct rlimit limit = {.rlim_cur = 50, .rlim_max = 100};

	(void)nothing;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1;
	if (files_allow(40) != 50 || files_allow(60) != 60 || files_allow(INT64_MAX) != 100)
		return 2;
	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != 100 ||
	       limit.rlim_max != 100;
}

static void test_allow(void **state)
{
	struct child child;

	(void)state;
	child_run(&child, raise_limit, NULL);
	assert_exited(&child, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_allow)};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
