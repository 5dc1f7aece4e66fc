/* SPDX-License-Identifier: MIT */
/*
 * test_disturbance - whose CPU time is whose, and what a cgroup allows: on made-up files of both
 * cgroup versions, and with real processes.  How much a busy process gets is never asserted.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "child.h"
#include "disturbance.h"
#include "root.h"
#include "span.h"

enum { MS = 1000000, TICK = 10 * MS };

/* --- made-up files ------------------------------------------------------- */

#define V1_MOUNTS                                                                                  \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"                               \
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup "            \
	"rw,cpu,cpuacct\n"                                                                         \
	"34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"               \
	"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define V1 "sys/fs/cgroup/cpu,cpuacct/"
#define V2 "sys/fs/cgroup/"

static void write_v1(void)
{
	write_file("proc/self/cgroup", "9:name=systemd:/\n3:cpuset:/two\n2:cpu,cpuacct:/one/two\n"
				       "0::/elsewhere\n");
	write_file("proc/self/mountinfo", V1_MOUNTS);
	write_file(V1 "cpu.cfs_quota_us", "-1\n");
	write_file(V1 "cpu.cfs_period_us", "100000\n");
	write_file(V1 "cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n");
	write_file(V1 "one/cpu.cfs_quota_us", "20000\n");
	write_file(V1 "one/cpu.cfs_period_us", "100000\n");
	write_file(V1 "one/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 400\n");
	write_file(V1 "one/two/cpu.cfs_quota_us", "150000\n");
	write_file(V1 "one/two/cpu.cfs_period_us", "100000\n");
	write_file(V1 "one/two/cpu.stat", "nr_periods 9\nnr_throttled 1\nthrottled_time 30\n");
	write_file("sys/fs/cgroup/cpuset/two/cpuset.effective_cpus", "0-1,7\n");
}

static void write_v2(const char *own, const char *mounted)
{
	char line[512];

	snprintf(line, sizeof(line), "0::%s\n", own);
	write_file("proc/self/cgroup", line);
	snprintf(line, sizeof(line),
		 "30 23 0:26 %s /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n",
		 mounted);
	write_file("proc/self/mountinfo", line);
}

static int64_t throttled(void)
{
	struct disturbance_reading now;

	disturbance_read(&now);
	return now.throttled_ns;
}

static void assert_quota(double expected)
{
	double difference = cgroup_quota() - expected;

	assert_true(difference < 1e-9 && difference > -1e-9);
}

static void test_v1(void **state)
{
	(void)state;
	write_v1();
	assert_quota(0.2);
	assert_int_equal(throttled(), 430);
	assert_string_equal(cgroup_cpuset(), "0-1,7");
}

static void test_v2(void **state)
{
	(void)state;
	write_v2("/a/b", "/");
	write_file(V2 "cpu.stat", "usage_usec 5\nuser_usec 5\nsystem_usec 0\n");
	write_file(V2 "a/cpu.max", "50000 100000\n");
	write_file(V2 "a/cpu.stat", "usage_usec 5\nnr_throttled 2\nthrottled_usec 7\n");
	write_file(V2 "a/cpuset.cpus.effective", "3\n");
	write_file(V2 "a/b/cpu.max", "max 100000\n");
	write_file(V2 "a/b/cpu.stat", "usage_usec 5\nnr_throttled 0\nthrottled_usec 1\n");
	assert_quota(0.5);
	assert_int_equal(throttled(), 8000);
	assert_string_equal(cgroup_cpuset(), "3");
}

/* A container without a cgroup namespace: its paths are the host's, what it sees starts below. */
static void test_v2_in_a_container(void **state)
{
	(void)state;
	write_v2("/docker/abc", "/docker/abc");
	write_file(V2 "cpu.max", "250000 100000\n");
	write_file(V2 "cpu.stat", "throttled_usec 3\n");
	assert_quota(2.5);
	assert_int_equal(throttled(), 3000);
}

static void test_a_cgroup_that_is_not_mounted(void **state)
{
	(void)state;
	write_v2("/docker/abcdef", "/docker/abc");
	write_file(V2 "cpu.max", "250000 100000\n");
	write_file(V2 "cpu.stat", "throttled_usec 3\n");
	assert_quota(0);
	assert_int_equal(throttled(), -1);
	assert_string_equal(cgroup_cpuset(), "");
}

static void test_no_files_at_all(void **state)
{
	struct disturbance_reading then;
	struct disturbance_reading now;
	struct disturbance d;

	(void)state;
	assert_quota(0);
	assert_string_equal(cgroup_cpuset(), "");
	disturbance_read(&then);
	assert_false(then.exact);
	assert_int_equal(then.all_ns, -1);
	assert_int_equal(then.steal_ns, -1);
	assert_int_equal(then.throttled_ns, -1);
	now = then;
	now.wall_ns += 1000 * (int64_t)MS;
	d = disturbance_between(&then, &now);
	assert_int_equal(d.foreign_ns, -1);
	assert_int_equal(d.steal_ns, -1);
	assert_int_equal(d.throttled_ns, -1);
	assert_null(disturbance_cause(&d));
}

static int first_cpu(void)
{
	cpu_set_t cpus;

	assert_int_equal(sched_getaffinity(getpid(), sizeof(cpus), &cpus), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			return cpu;
	return 0;
}

/* Only the line of the first CPU allowed: those of others are others' business. */
static void write_stat(const char *ticks)
{
	char text[512];

	snprintf(text, sizeof(text), "cpu  9 9 9 9 9 9 9 9 0 0\ncpu%d %s 0 0\ncpu1022 %s\nintr 1\n",
		 first_cpu(), ticks, "9 9 9 9 9 9 9 9 0 0");
	write_file("proc/stat", text);
}

static void test_ticks(void **state)
{
	struct disturbance_reading now;

	(void)state;
	write_stat("1 2 3 100 100 0 4 5");
	disturbance_read(&now);
	assert_false(now.exact);
	assert_int_equal(now.all_ns, 10 * TICK);
	assert_int_equal(now.steal_ns, 5 * TICK);
	/* the kernel measures the time of interrupts: no process's clock has it */
	write_stat("1 2 3 100 100 6 4 5");
	disturbance_read(&now);
	assert_int_equal(now.all_ns, 6 * TICK);
}

static void test_exact_only_with_the_root(void **state)
{
	struct disturbance_reading now;
	char text[4 * CPU_SETSIZE] = "";

	(void)state;
	write_v1();
	for (int cpu = 0; cpu <= first_cpu(); cpu++)
		strcat(text, cpu < first_cpu() ? "7 " : "123");
	write_file(V1 "cpuacct.usage_percpu", text);
	disturbance_read(&now);
	assert_false(now.exact); /* a container's own cgroup looks like this */
	write_file(V1 "release_agent", "");
	cgroup_root(folder);
	disturbance_read(&now);
	assert_true(now.exact);
	assert_int_equal(now.all_ns, 123);
}

/* --- from two readings to figures, causes and sentences ------------------ */

static int64_t cpus_n(void)
{
	cpu_set_t cpus;

	assert_int_equal(sched_getaffinity(getpid(), sizeof(cpus), &cpus), 0);
	return CPU_COUNT(&cpus);
}

static void test_between(void **state)
{
	const int64_t wall = 1000 * (int64_t)MS;
	struct disturbance_reading then = {.exact = true};
	struct disturbance_reading now = {.wall_ns = wall,
					  .all_ns = 700 * MS,
					  .own_ns = 300 * MS,
					  .steal_ns = 2 * cpus_n() * TICK,
					  .throttled_ns = 40,
					  .involuntary_switches = 3,
					  .stops = 1,
					  .exact = true};
	struct disturbance d = disturbance_between(&then, &now);

	(void)state;
	assert_int_equal(d.wall_ns, wall);
	assert_int_equal(d.foreign_ns, 400 * MS);
	assert_int_equal(d.steal_ns, cpus_n() * TICK);
	assert_int_equal(d.throttled_ns, 40);
	assert_int_equal(d.involuntary_switches, 3);
	assert_int_equal(d.stops, 1);
	now.own_ns = 800 * MS;
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, 0);
	now.own_ns = 0;
	now.all_ns = 2 * wall * cpus_n();
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, wall * cpus_n());
	now.exact = then.exact = false;
	now.all_ns = 400 * MS;
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, 400 * MS - cpus_n() * TICK);
	then.exact = true; /* cannot be compared */
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, -1);
}

static void test_measurable(void **state)
{
	struct disturbance_reading then = {.exact = true};
	struct disturbance_reading now = {.exact = true, .wall_ns = 10 * MS - 1, .all_ns = MS};

	(void)state;
	assert_false(disturbance_measurable(&then, &now));
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, -1);
	assert_int_equal(disturbance_between(&then, &now).steal_ns, -1);
	assert_int_equal(disturbance_between(&then, &now).throttled_ns, -1);
	now.wall_ns++;
	assert_true(disturbance_measurable(&then, &now));
	assert_int_equal(disturbance_between(&then, &now).foreign_ns, MS);
	then.exact = false;
	now.wall_ns = 10 * TICK - 1;
	assert_false(disturbance_measurable(&then, &now));
	now.wall_ns++;
	assert_true(disturbance_measurable(&then, &now));
}

static void test_causes(void **state)
{
	const int64_t wall = 1000 * (int64_t)MS;
	const int64_t all = wall * cpus_n();
	struct disturbance d = {.wall_ns = wall, .foreign_ns = all / 10, .steal_ns = all / 50};

	(void)state;
	d.throttled_ns = wall / 100;
	assert_null(disturbance_cause(&d));
	assert_string_equal(disturbance_text(&d, false), "");
	d.foreign_ns = all / 2;
	assert_string_equal(disturbance_cause(&d), "other-programs");
	assert_string_equal(disturbance_text(&d, false),
			    "other programs took 50.0 % of the CPU time");
	d.steal_ns = all / 4;
	assert_string_equal(disturbance_cause(&d), "hypervisor");
	assert_holds_text(disturbance_text(&d, false), "25.0 %");
	d.throttled_ns = wall / 2;
	assert_string_equal(disturbance_cause(&d), "quota");
	assert_holds_text(disturbance_text(&d, false), "500 ms");
	d.stops = 1;
	assert_string_equal(disturbance_cause(&d), "stopped");
	assert_holds_text(disturbance_text(&d, false), "stopped");
	d = (struct disturbance){
		.wall_ns = wall, .foreign_ns = -1, .steal_ns = -1, .throttled_ns = -1};
	assert_null(disturbance_cause(&d));
}

static void test_text_names_the_quota(void **state)
{
	struct disturbance d = {.wall_ns = 1000 * MS, .throttled_ns = 500 * MS};

	(void)state;
	write_v1();
	assert_string_equal(disturbance_text(&d, false),
			    "the cgroup's CPU quota of 0.2 CPUs held it up for 500 ms");
}

/* --- real processes ------------------------------------------------------ */

static void burn(int64_t cpu_ns)
{
	int64_t end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + cpu_ns;

	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

/* Waits until the other end of the pipe was written to, or closed. */
static void await(const int pipe[2])
{
	char byte;

	assert_true(read(pipe[0], &byte, 1) >= 0);
}

static void signal_by(const int pipe[2])
{
	if (write(pipe[1], "", 1) != 1)
		_exit(3);
}

/* A child that uses 50 ms and then waits, and a child of it that used 50 ms and is reaped. */
static pid_t start_burning(const int done[2], const int end[2])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = fork();
	if (pid == 0) {
		burn(50 * MS);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	burn(50 * MS);
	signal_by(done);
	await(end);
	_exit(0);
}

static void test_own_time_of_children(void **state)
{
	struct disturbance_reading before;
	struct disturbance_reading living;
	struct disturbance_reading zombie;
	struct disturbance_reading reaped;
	siginfo_t info;
	int done[2];
	int end[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	disturbance_read(&before);
	child = start_burning(done, end);
	close(done[1]); /* or a child that dies would never end await() */
	await(done);
	disturbance_read(&living);
	signal_by(end);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	disturbance_read(&zombie);
	assert_int_equal(waitpid(child, NULL, 0), child);
	disturbance_read(&reaped);
	/* the grandchild is counted in ticks, twice cut, until its parent is reaped */
	assert_true(living.own_ns - before.own_ns >= 100 * MS - 2 * TICK);
	assert_true(zombie.own_ns - before.own_ns >= 100 * MS - 2 * TICK);
	assert_true(reaped.own_ns - before.own_ns >= 100 * MS - MS);
	close(done[0]);
	close(end[0]);
	close(end[1]);
}

static void test_own_time_of_a_grandchild(void **state)
{
	struct disturbance_reading before;
	struct disturbance_reading living;
	int done[2];
	int end[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	disturbance_read(&before);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		waitpid(start_burning(done, end), NULL, 0);
		_exit(0);
	}
	close(done[1]);
	await(done);
	disturbance_read(&living);
	signal_by(end);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(living.own_ns - before.own_ns >= 100 * MS - 2 * TICK);
	close(done[0]);
	close(end[0]);
	close(end[1]);
}

/* A busy process whose parent has ended is nobody's descendant that this process could see. */
static void test_foreign_process(void **state)
{
	struct disturbance_reading then;
	struct disturbance_reading now;
	struct disturbance d;
	int64_t least;
	int done[2];
	pid_t middle;

	(void)state;
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	middle = fork();
	assert_true(middle >= 0);
	if (middle == 0) {
		pid_t parent = getpid();

		if (fork() != 0)
			_exit(0);
		alarm(20);
		while (getppid() == parent)
			child_sleep_ms(1);
		signal_by(done);
		burn(300 * MS);
		signal_by(done);
		_exit(0);
	}
	close(done[1]);
	assert_int_equal(waitpid(middle, NULL, 0), middle);
	await(done);
	disturbance_read(&then);
	await(done);
	disturbance_read(&now);
	d = disturbance_between(&then, &now);
	/* what is running is charged at ticks: a few ms may be counted before or after */
	least = now.exact ? 200 * MS : 200 * MS - cpus_n() * TICK;
	assert_true(d.foreign_ns >= least);
	assert_true(now.own_ns - then.own_ns < 100 * MS);
	close(done[0]);
}

static void continued(int number)
{
	(void)number;
	disturbance_stopped();
}

/* Reads, asks to be stopped, and reads again when it was continued: 0 if it knows. */
static int is_stopped(const void *unused)
{
	struct disturbance_reading then;
	struct disturbance_reading now;
	struct disturbance d;
	const char *cause;

	(void)unused;
	signal(SIGCONT, continued);
	disturbance_read(&then);
	raise(SIGSTOP);
	disturbance_read(&now);
	d = disturbance_between(&then, &now);
	cause = disturbance_cause(&d);
	return d.stops == 1 && cause && strcmp(cause, "stopped") == 0 ? 0 : 1;
}

static void test_stopped(void **state)
{
	struct child child;
	int status;

	(void)state;
	child_start(&child, is_stopped, NULL);
	assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(child.pid, SIGCONT), 0);
	child_wait(&child);
	assert_exited(&child, 0);
}

/* --- a real quota -------------------------------------------------------- */

static char quota_folder[64];

static bool put(const char *file, const char *text)
{
	char path[128];
	int fd;
	bool written;

	snprintf(path, sizeof(path), "%s/%s", quota_folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

static int under_quota(const void *unused)
{
	struct disturbance_reading then;
	struct disturbance_reading now;
	struct disturbance d;
	double quota;

	(void)unused;
	if (!put("cgroup.procs", "0"))
		return 1;
	quota = cgroup_quota();
	disturbance_read(&then);
	burn(60 * MS);
	disturbance_read(&now);
	d = disturbance_between(&then, &now);
	printf("%s: %s", disturbance_cause(&d), disturbance_text(&d, false));
	return quota > 0.099 && quota < 0.101 && d.throttled_ns > 0 ? 0 : 1;
}

static void test_quota(void **state)
{
	struct child child;

	(void)state;
	snprintf(quota_folder, sizeof(quota_folder), "/sys/fs/cgroup/cpu/stallrace-%d", getpid());
	if (mkdir(quota_folder, 0755) != 0) {
		print_message("no cgroup v1 with a CPU quota can be made here\n");
		skip();
	}
	if (!put("cpu.cfs_period_us", "100000") || !put("cpu.cfs_quota_us", "10000")) {
		print_message("a cgroup v1 cannot be given a CPU quota here\n");
		rmdir(quota_folder);
		skip();
	}
	child_run(&child, under_quota, NULL);
	assert_int_equal(rmdir(quota_folder), 0);
	assert_exited(&child, 0);
	assert_holds_text(child.out, "quota: the cgroup's CPU quota of 0.1 CPUs held it up for ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_root(test_v1),
		in_root(test_v2),
		in_root(test_v2_in_a_container),
		in_root(test_a_cgroup_that_is_not_mounted),
		in_root(test_no_files_at_all),
		in_root(test_ticks),
		in_root(test_exact_only_with_the_root),
		cmocka_unit_test(test_between),
		cmocka_unit_test(test_measurable),
		cmocka_unit_test(test_causes),
		in_root(test_text_names_the_quota),
		cmocka_unit_test(test_own_time_of_children),
		cmocka_unit_test(test_own_time_of_a_grandchild),
		cmocka_unit_test(test_foreign_process),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_quota),
	};

	return cmocka_run_group_tests_name("disturbance", tests, NULL, NULL);
}
