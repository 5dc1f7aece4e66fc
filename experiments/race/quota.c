/* SPDX-License-Identifier: MIT */
/*
 * quota - may a program use all the CPUs that it sees?
 *
 * A container's CPU limit is mostly a quota of its cgroup: so much CPU time in each period, of all its
 * threads together.  It takes no CPU away: nproc, sched_getaffinity(2) and /proc/cpuinfo show all of
 * them.  Who uses them all has used up the quota early in the period, and then stands still, every
 * thread of it, until the next one.
 *
 * As many busy processes as there are CPUs are put into a cgroup of their own, which may use a fifth
 * of a CPU:
 *
 *	short       2 ms in each period of 10 ms
 *	long        20 ms in each period of 100 ms, which is what most containers have
 *	unlimited   without a quota: the control
 *
 * They look at the clock all the time, so the longest time between two looks is how long they stood
 * still.  Other programs make them stand still too; that it was the quota the kernel counts itself,
 * in the cgroup's cpu.stat.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "check.h"
#include "child.h"
#include "exp.h"
#include "judge.h"
#include "lifeline.h"
#include "machine.h"
#include "proc.h"
#include "span.h"

enum { SHORT, LONG, UNLIMITED };
enum { MOST = 64 /* processes */ };

struct limit {
	int64_t quota_us, period_us; /* quota 0: none */
	int64_t duration_ns;
};

static const struct variant variants[] = {
	[SHORT] = {"short", "2 ms in each 10 ms", &(struct limit){2000, 10000, 80000000}},
	[LONG] = {"long", "20 ms in each 100 ms", &(struct limit){20000, 100000, 240000000}},
	[UNLIMITED] = {"unlimited", "no quota (control)", &(struct limit){0, 100000, 80000000}},
	{0}};

static const struct claim claims[] = {
	{"sys-quota", "a program may use all the CPUs it sees", "short=unlimited,long=unlimited",
	 NOT_SEEN,
	 .why = {[REFUTED] =
			 "a quota is CPU time in each period, not a number of CPUs: nothing that counts CPUs knows of it. N threads use it up N times as fast, and then all stand still until the period ends: more threads make that worse. Whoever starts as many as there are CPUs should read the quota too (cpu.max)."}},
	{0}};

static const struct row_field fields[] = {
	{"seen_cpus", "that sched_getaffinity tells in the cgroup", "CPUs|seen", SHOW_FIRST},
	{"processes", "that computed"},
	{"cpu_ns", "CPU time of all of them", "of a CPU|used", .per = "elapsed_ns"},
	{"elapsed_ns", "from the first begin to the last end"},
	{"stall_ns", "the longest time between two looks at the clock", "stood|still for",
	 SHOW_MEDIAN},
	{"periods", "that the kernel counted (nr_periods)", "periods", SHOW_SUM},
	{"throttled_periods", "of them, in which it stopped the cgroup (nr_throttled)",
	 "stopped|in", SHOW_SUM},
	{"throttled_ns", "for so long, added up over the CPUs", "stopped|for", SHOW_MEDIAN},
	{"held_up", "1: they saw all CPUs, and were stopped", "held|up", SHOW_NONZERO},
	{"unlimited_throttled_periods", "the same where there is no quota", .zero = true,
	 .sham = "unlimited=short"},
	{0}};

/* --- the cgroup ----------------------------------------------------------- */

static struct {
	char folder[PATH_MAX + NAME_MAX]; /* "" = there is none */
	bool v2;
} own;

/* Writes one of its files; false with errno. */
static bool write_own(const char *name, const char *text)
{
	char path[sizeof(own.folder) + NAME_MAX];
	bool written;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", own.folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

static int64_t counted(const char *key)
{
	return proc_number_in(cgroup_open(own.folder, "/cpu.stat"), key, 0);
}

static bool set_limit(const struct limit *limit)
{
	char quota[32] = "max", period[32], both[72];

	if (limit->quota_us > 0)
		snprintf(quota, sizeof(quota), "%lld", (long long)limit->quota_us);
	snprintf(period, sizeof(period), "%lld", (long long)limit->period_us);
	snprintf(both, sizeof(both), "%s %s", quota, period);
	if (own.v2)
		return write_own("cpu.max", both);
	/* without a quota first: it may be too large for the new period */
	return write_own("cpu.cfs_quota_us", "-1") && write_own("cpu.cfs_period_us", period) &&
	       (limit->quota_us == 0 || write_own("cpu.cfs_quota_us", quota));
}

/* The calling process leaves for it. */
static bool enter(void)
{
	return write_own("cgroup.procs", "0");
}

static bool child_may_enter(void)
{
	int status = 0;
	pid_t child = child_fork();

	if (child == 0)
		_exit(enter() ? 0 : errno);
	check_fd(waitpid(child, &status, 0), "waitpid");
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno == 0;
}

/* Whoever was killed in it leaves it a moment later. */
static void remove_cgroup(void)
{
	const int moment_us = 1000;

	for (int i = 0; i < 3000 && rmdir(own.folder) != 0 && errno == EBUSY; i++)
		usleep(moment_us);
}

/*
 * Makes it in this process's cgroup, or the next one above where that is allowed: of version 2 a cgroup
 * that has processes can have none with a quota below.  NULL, or why not.
 */
static const char *make_cgroup(struct lifeline *line)
{
	const char *why = "none is visible", *parent;

	for (int up = 0; (parent = cgroup_folder(up, &own.v2)); up++) {
		snprintf(own.folder, sizeof(own.folder), "%s/stallrace-%d", parent, (int)getpid());
		lifeline_begin(line, remove_cgroup);
		if (mkdir(own.folder, 0755) == 0 && set_limit(variants[SHORT].how) &&
		    child_may_enter())
			return NULL;
		why = errno == ENOENT ? "there is no CPU controller" : strerror(errno);
		lifeline_end(line);
	}
	return why;
}

/* --- a trial -------------------------------------------------------------- */

/* In memory that all share. */
struct work {
	int processes;
	int64_t duration_ns;
	struct {
		int64_t cpus, stall_ns;
		struct span span;
		bool done;
	} of[MOST];
};

static _Noreturn void compute(struct work *work, int i)
{
	struct span *span = &work->of[i].span;
	int64_t last_ns, end_ns;

	if (!enter())
		_exit(EXIT_USAGE);
	work->of[i].cpus = machine_cpus();
	span_begin(span);
	last_ns = span->begin_ns;
	end_ns = last_ns + work->duration_ns;
	while (last_ns < end_ns) {
		int64_t now_ns = span_now();

		if (now_ns - last_ns > work->of[i].stall_ns)
			work->of[i].stall_ns = now_ns - last_ns;
		last_ns = now_ns;
	}
	span_end(span);
	work->of[i].done = true;
	_exit(0);
}

static void compute_in_all(struct work *work, int64_t duration_ns)
{
	int processes = run_cpus() < MOST ? run_cpus() : MOST;
	pid_t children[MOST];

	memset(work, 0, sizeof(*work));
	work->processes = processes;
	work->duration_ns = duration_ns;
	for (int i = 0; i < processes; i++) {
		children[i] = child_fork();
		if (children[i] == 0)
			compute(work, i);
	}
	for (int i = 0; i < processes; i++) {
		check_fd(waitpid(children[i], NULL, 0), "waitpid");
		if (!work->of[i].done && child_died_alone())
			errx(EXIT_USAGE, "a forked process died");
	}
}

static void measure(struct run *run, struct work *work)
{
	const struct limit *limit = run_how(run);
	int64_t periods, stopped, stopped_ns, stall_ns = 0;
	bool unlimited = run_label(run) == UNLIMITED;
	const char *time = own.v2 ? "throttled_usec " : "throttled_time ";
	struct span all = {0};

	if (!set_limit(limit))
		err(EXIT_USAGE, "%s", own.folder);
	periods = -counted("nr_periods ");
	stopped = -counted("nr_throttled ");
	stopped_ns = -counted(time);
	compute_in_all(work, limit->duration_ns);
	periods += counted("nr_periods ");
	stopped += counted("nr_throttled ");
	stopped_ns = (stopped_ns + counted(time)) * (own.v2 ? 1000 : 1);
	for (int i = 0; i < work->processes; i++) {
		span_cover(&all, &work->of[i].span);
		if (work->of[i].stall_ns > stall_ns)
			stall_ns = work->of[i].stall_ns;
	}
	run_record(run,
		   (struct field[]){{"seen_cpus", work->of[0].cpus},
				    {"processes", work->processes},
				    {"cpu_ns", all.cpu_ns},
				    {"elapsed_ns", span_wall(&all)},
				    {"stall_ns", stall_ns},
				    {"periods", periods},
				    {"throttled_periods", stopped},
				    {"throttled_ns", stopped_ns},
				    {"held_up", stopped > 0 && work->of[0].cpus == run_cpus()},
				    {unlimited ? "unlimited_throttled_periods" : NULL, stopped},
				    {0}});
}

/* --- judge --------------------------------------------------------------- */

static double used(struct run *run, size_t variant)
{
	return run_share(run, variant, "cpu_ns", "elapsed_ns", 0.5);
}

static void judge(struct run *run)
{
	struct share held_up = run_nonzero_in(run, SHORT, LONG, "held_up");

	run_judge(
		run, "sys-quota", refuted_if_seen(held_up),
		"with a quota of 0.2 CPUs programs saw {cpus} CPUs, and the kernel stopped them in {held_up} trials; with a period of 10 ms they used {short} CPUs and stood still for {short_ns}, with one of 100 ms {long} and {long_ns}; without a quota {unlimited} and {unlimited_ns}",
		number_share("held_up", held_up),
		number_real("cpus", run_median(run, SHORT, "seen_cpus")),
		number_real("short", used(run, SHORT)),
		number_real("short_ns", run_median(run, SHORT, "stall_ns")),
		number_real("long", used(run, LONG)),
		number_real("long_ns", run_median(run, LONG, "stall_ns")),
		number_real("unlimited", used(run, UNLIMITED)),
		number_real("unlimited_ns", run_median(run, UNLIMITED, "stall_ns")));
}

static const struct experiment about = {
	.name = "quota",
	.group = "race",
	.order = 122,
	.summary = "May a program use all the CPUs that it sees?",
	.intro =
		"As many busy processes as the machine has CPUs ({cpus}), in a cgroup with a quota of 0.2 CPUs.",
	.claims = claims,
	.fields = fields,
	.variants = variants,
	.trials = 10,
	.quick_trials = 2,
	.judge = judge,
};

int main(int argc, char *argv[])
{
	struct run *run = run_begin(&about, argc, argv);
	struct work *work = child_share(sizeof(*work));
	struct lifeline line;
	const char *why_not;

	why_not = make_cgroup(&line);
	if (why_not)
		return run_skip(run, "no cgroup with a CPU quota can be made here: %s", why_not);
	while (run_next(run))
		measure(run, work);
	lifeline_end(&line);
	return run_end(run);
}
