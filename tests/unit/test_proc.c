/* SPDX-License-Identifier: MIT */
/*
 * test_proc - numbers behind keys: the first line that begins with one, and what is absent.
 */
#include "folder.h"

#include "proc.h"

static void test_number(void **state)
{
	FILE *file = fopen("status", "w");

	(void)state;
	assert_non_null(file);
	fputs("7 first\nVmRSS:\t  12 kB\nVm: -3\nVmRSS: 13\n", file);
	fclose(file);
	assert_int_equal(proc_number("status", "", -1), 7);
	assert_int_equal(proc_number("status", "VmRSS:", -1), 12);
	assert_int_equal(proc_number("status", "Vm:", 0), -3);
	assert_int_equal(proc_number("status", "Swap:", -1), -1);
	assert_int_equal(proc_number("none", "Vm:", 5), 5);
	assert_int_equal(proc_number_in(NULL, "Vm:", 6), 6);
	unlink("status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_number, folder_enter, folder_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
