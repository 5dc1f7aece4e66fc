/* SPDX-License-Identifier: MIT */
/*
 * test_files - the soft limit of descriptors: raised as far as the hard one, never lowered; room for
 * them; standard descriptors that are closed.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "child.h"

#include "files.h"
#include "proc.h"

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

/* The table has room; no descriptor stays open, and no limit is raised. */
static int make_room(const void *nothing)
{
	struct rlimit limit = {.rlim_cur = 600, .rlim_max = 1000};
	int free = dup(STDIN_FILENO);

	(void)nothing;
	close(free);
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1;
	files_make_room(500);
	if (proc_number("/proc/self/status", "FDSize:", 0) < 500 || dup(STDIN_FILENO) != free)
		return 2;
	files_make_room(5000);
	return getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur != 600 ||
	       proc_number("/proc/self/status", "FDSize:", 0) < 600;
}

static void test_make_room(void **state)
{
	struct child child;

	(void)state;
	child_run(&child, make_room, NULL);
	assert_exited(&child, 0);
}

static int open_standard(const void *nothing)
{
	int free = dup(STDIN_FILENO);

	(void)nothing;
	close(free);
	close(STDIN_FILENO);
	close(STDERR_FILENO);
	files_open_standard();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) != 0) /* open, and handed on by execve(2) */
			return 1;
	return dup(STDIN_FILENO) != free;
}

static void test_open_standard(void **state)
{
	struct child child;

	(void)state;
	child_run(&child, open_standard, NULL);
	assert_exited(&child, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_allow),
					   cmocka_unit_test(test_make_room),
					   cmocka_unit_test(test_open_standard)};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
