/* SPDX-License-Identifier: MIT */
/*
 * test_machine - lists of CPUs, and what a run row says about the machine.
 */
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "machine.h"
#include "root.h"
#include "text.h"

static void test_cpus_format(void **state)
{
	cpu_set_t cpus;

	(void)state;
	CPU_ZERO(&cpus);
	assert_string_equal(machine_cpus_format(&cpus), "");
	CPU_SET(3, &cpus);
	assert_string_equal(machine_cpus_format(&cpus), "3");
	CPU_SET(0, &cpus);
	CPU_SET(1, &cpus);
	CPU_SET(2, &cpus);
	CPU_SET(8, &cpus);
	CPU_SET(CPU_SETSIZE - 1, &cpus);
	assert_string_equal(machine_cpus_format(&cpus), "0-3,8,1023");
}

static void test_cpus_parse_takes_what_format_gives(void **state)
{
	cpu_set_t allowed;
	cpu_set_t parsed;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	assert_int_equal(machine_cpus_parse(machine_cpus_format(&allowed), &parsed), 0);
	assert_true(CPU_EQUAL(&allowed, &parsed));
}

static void test_cpus_parse_errors(void **state)
{
	static const char *const wrong[] = {"",     ",",   "x",   "-1", "0-",  "0,",    ",0",
					    "0--1", "1-0", "0 1", " 0", "0x1", "0-1-2", "0;1"};
	cpu_set_t cpus;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (machine_cpus_parse(wrong[i], &cpus) != EINVAL)
			fail_msg("'%s' is taken for a list of CPUs", wrong[i]);
	assert_int_equal(machine_cpus_parse("1023", &cpus), ENODEV);
	assert_int_equal(machine_cpus_parse("4096", &cpus), ENODEV);
	assert_int_equal(machine_cpus_parse("0-99999999999999999999", &cpus), ENODEV);
}

static void test_describe(void **state)
{
	static const char *const texts[] = {"utc",      "version",        "commit",
					    "compiler", "flags",          "kernel",
					    "arch",     "virtualisation", "cpus_allowed"};
	json_t *row = json_object();
	char host[256] = "";
	char *text;

	(void)state;
	machine_describe(row);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!json_is_string(json_object_get(row, texts[i])))
			fail_msg("%s is missing", texts[i]);
	assert_true(json_is_boolean(json_object_get(row, "dirty")));
	assert_true(json_integer_value(json_object_get(row, "cpus_online")) >= 1);
	assert_true(json_is_object(json_object_get(row, "sysctl")));
	text = json_dumps(row, 0);
	/* a short name such as "vm" may well stand in a CPU's model */
	if (gethostname(host, sizeof(host) - 1) == 0 && strlen(host) > 8)
		assert_null(strstr(text, host));
	free(text);
	json_decref(row);
}

static void test_summary(void **state)
{
	(void)state;
	setlocale(LC_CTYPE, "C");
	assert_in_range(strlen(machine_summary()), 10, TEXT_WIDTH);
	for (const char *c = machine_summary(); *c; c++)
		assert_in_range(*c, ' ', '~');
	assert_int_equal(strncmp(machine_version(), "stallrace ", 10), 0);
}

static void test_cgroup(void **state)
{
	json_t *row = json_object();

	(void)state;
	setlocale(LC_CTYPE, "C");
	machine_describe(row);
	assert_null(json_object_get(row, "cpuset"));
	assert_null(json_object_get(row, "cpu_quota_cpus"));
	assert_null(strstr(machine_summary(), "quota"));
	write_file("proc/self/cgroup", "0::/a\n");
	write_file("proc/self/mountinfo", "30 23 0:26 / /cgroup rw - cgroup2 cgroup rw\n");
	write_file("cgroup/a/cpu.max", "20000 100000\n");
	write_file("cgroup/a/cpuset.cpus.effective", "0-3\n");
	cgroup_root(folder); /* looked up anew */
	machine_describe(row);
	assert_string_equal(json_string_value(json_object_get(row, "cpuset")), "0-3");
	assert_true(json_real_value(json_object_get(row, "cpu_quota_cpus")) > 0.199);
	assert_true(json_real_value(json_object_get(row, "cpu_quota_cpus")) < 0.201);
	assert_non_null(strstr(machine_summary(), ", quota 0.2 - Linux "));
	json_decref(row);
}

static void test_sysctl(void **state)
{
	(void)state;
	assert_true(machine_sysctl("kernel/pid_max") > 300);
	assert_int_equal(machine_sysctl("no/such/thing"), -1);
}

static void test_load_only_grows(void **state)
{
	struct machine_load before;
	struct machine_load after;

	(void)state;
	machine_load(&before);
	machine_load(&after);
	assert_true(after.wall_ns >= before.wall_ns);
	assert_true(after.own_ns >= before.own_ns && before.own_ns >= 0);
	assert_true(after.busy_ns >= before.busy_ns && after.steal_ns >= before.steal_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus_format),
		cmocka_unit_test(test_cpus_parse_takes_what_format_gives),
		cmocka_unit_test(test_cpus_parse_errors),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_summary),
		in_root(test_cgroup),
		cmocka_unit_test(test_sysctl),
		cmocka_unit_test(test_load_only_grows),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
