/* SPDX-License-Identifier: MIT */
#include "disturbance.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "check.h"
#include "language.h"
#include "span.h"
#include "text.h"

enum { LINE = 1024, TICKS = 10, EXACT_MS = 10 };

enum cause { STOPPED, QUOTA, HYPERVISOR, OTHER_PROGRAMS, CAUSES = DISTURBANCE_CAUSES };

/* What counts as disturbed, the surest sign first. */
static const struct {
	const char *word;
	double bound; /* a share of wall time x CPUs; of a quota: of wall time; of stops: a number */
} causes[CAUSES] = {
	/* A stop can take any time, and no other figure shows it. */
	[STOPPED] = {"stopped", 0},
	/* All threads stand still at once; 1 % is one period in which 1 ms of 100 was taken. */
	[QUOTA] = {"quota", 0.01},
	/* A calm host steals under 0.01 %; a tick a CPU is taken off before, as it may be an edge. */
	[HYPERVISOR] = {"hypervisor", 0.02},
	/*
	 * Measured on two CPUs: one busy loop takes 19 % or more of 100 ms, beside two threads that
	 * are as busy; kernel threads that work for a network experiment 0.2 to 3.5 %.  In 10 ms what
	 * falls on an edge is wrong by a tick of 4 ms: a few calm ones are over the bound, and are
	 * only made up for.
	 */
	[OTHER_PROGRAMS] = {"other-programs", 0.10},
};

static _Atomic int64_t stops;

void disturbance_stopped(void)
{
	atomic_fetch_add(&stops, 1);
}

static int64_t tick_ns(void)
{
	return 1000000000 / sysconf(_SC_CLK_TCK);
}

/* The CPUs of the first reading: a thread that is pinned later does not change them. */
static const cpu_set_t *cpus_allowed(void)
{
	static cpu_set_t allowed;

	if (CPU_COUNT(&allowed) == 0)
		check_fd(sched_getaffinity(getpid(), sizeof(allowed), &allowed),
			 "sched_getaffinity");
	return &allowed;
}

/* --- own time ------------------------------------------------------------ */

struct process {
	pid_t pid;
	pid_t parent;
	int64_t reaped_ns; /* CPU time of its children that it waited for; in ticks */
};

/* Of all processes, the first `ours` being this one's living descendants. */
struct family {
	struct process *processes;
	size_t n;
	size_t room;
	size_t ours;
};

static int64_t rusage_ns(const struct rusage *usage)
{
	return ((int64_t)usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000 +
	       ((int64_t)usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 ||
	       errno != ECHILD;
}

/* False for a process that has gone. */
static bool read_process(const char *pid, struct process *process)
{
	char path[64];
	char line[LINE];
	long long user;
	long long system;
	const char *end;
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	end = read ? strrchr(line, ')') : NULL; /* the name may hold anything */
	/* proc_pid_stat(5): state, ppid, eleven others, cutime and cstime */
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
	if (!end || sscanf(end + 1, " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lld %lld",
			   &process->parent, &user, &system) != 3)
		return false;
	process->pid = (pid_t)strtol(pid, NULL, 10);
	process->reaped_ns = (user + system) * tick_ns();
	return true;
}

/* Swaps the children of `parent` to the end of `ours`. */
static void add_children(struct family *family, pid_t parent)
{
	for (size_t i = family->ours; i < family->n; i++)
		if (family->processes[i].parent == parent) {
			struct process child = family->processes[i];

			family->processes[i] = family->processes[family->ours];
			family->processes[family->ours++] = child;
		}
}

static void read_family(struct family *family)
{
	const struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc)
		err(2, "/proc");
	family->n = family->ours = 0;
	while ((entry = readdir(proc)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
		if (family->n == family->room) {
			family->room = 2 * family->room + 64;
			family->processes = check_alloc(realloc(
				family->processes, family->room * sizeof(*family->processes)));
		}
		if (isdigit((unsigned char)*entry->d_name) &&
		    read_process(entry->d_name, &family->processes[family->n]))
			family->n++;
	}
	closedir(proc);
	add_children(family, getpid());
	for (size_t i = 0; i < family->ours; i++)
		add_children(family, family->processes[i].pid);
}

/* Each one's clock has the time of its threads that ended, too. */
static int64_t descendants_ns(const struct family *family)
{
	int64_t sum = 0;

	for (size_t i = 0; i < family->ours; i++) {
		struct timespec time;
		clockid_t clock;

		if (clock_getcpuclockid(family->processes[i].pid, &clock) == 0 &&
		    clock_gettime(clock, &time) == 0)
			sum += (int64_t)time.tv_sec * 1000000000 + time.tv_nsec +
			       family->processes[i].reaped_ns;
	}
	return sum;
}

/* --- everybody's time ---------------------------------------------------- */

/* cgroup v1 counts each CPU's time in ns, in the root: of everybody.  -1 where it is not there. */
static int64_t all_exact_ns(void)
{
	FILE *file = cgroup_usage();
	int64_t sum = 0;
	long long ns;

	if (!file)
		return -1;
	/* NOLINTNEXTLINE(cert-err34-c): what is no number ends the list */
	for (int cpu = 0; fscanf(file, "%lld", &ns) == 1; cpu++)
		if (CPU_ISSET((size_t)cpu, cpus_allowed()))
			sum += ns;
	fclose(file);
	return sum;
}

/*
 * From /proc/stat, in ticks: busy and stolen time of the CPUs allowed; -1 where it is not there.
 *
 * A kernel that measures the time of interrupts (CONFIG_IRQ_TIME_ACCOUNTING) keeps it out of the
 * clocks of processes.  Then it must not be in this sum either, or the packets of a program would
 * be other programs' work.  A kernel that does not counts hardly a tick as `irq`, and the softirq
 * ticks are in the clocks of the processes that they interrupted.
 */
static void read_ticks(int64_t *busy_ns, int64_t *steal_ns)
{
	FILE *file = cgroup_open("/proc/stat", "");
	char line[LINE];
	long long busy = 0;
	long long irq = 0;
	long long softirq = 0;
	long long steal = 0;
	bool any = false;

	while (file && fgets(line, sizeof(line), file) && strncmp(line, "cpu", 3) == 0) {
		long long t[8] = {0}; /* user nice system idle iowait irq softirq steal */
		unsigned int cpu;

		if (!isdigit((unsigned char)line[3])) /* the first line is the sum of all */
			continue;
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers */
		if (sscanf(line, "cpu%u %lld %lld %lld %lld %lld %lld %lld %lld", &cpu, &t[0],
			   &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 8 ||
		    !CPU_ISSET(cpu, cpus_allowed()))
			continue;
		busy += t[0] + t[1] + t[2];
		irq += t[5];
		softirq += t[6];
		steal += t[7];
		any = true;
	}
	if (file)
		fclose(file);
	*busy_ns = any ? (busy + (irq == 0 ? softirq : 0)) * tick_ns() : -1;
	*steal_ns = any ? steal * tick_ns() : -1;
}

/* --- readings ------------------------------------------------------------ */

void disturbance_read(struct disturbance_reading *now)
{
	static struct family family;
	struct rusage self = {0};
	struct rusage reaped = {0};
	int64_t exact;

	family.ours = 0;
	if (has_children())
		read_family(&family);
	getrusage(RUSAGE_SELF, &self);
	*now = (struct disturbance_reading){.throttled_ns = cgroup_throttled_ns(),
					    .involuntary_switches = self.ru_nivcsw,
					    .stops = atomic_load(&stops)};
	read_ticks(&now->all_ns, &now->steal_ns);
	/*
	 * Own time directly before everybody's: reading its own clock makes the kernel account for
	 * what this thread has run since the last tick, in both.
	 */
	getrusage(RUSAGE_CHILDREN, &reaped);
	now->own_ns =
		rusage_ns(&reaped) + descendants_ns(&family) + clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	exact = all_exact_ns();
	now->wall_ns = span_now();
	now->exact = exact >= 0;
	if (now->exact)
		now->all_ns = exact;
}

static bool both_exact(const struct disturbance_reading *then,
		       const struct disturbance_reading *now)
{
	return then->exact && now->exact;
}

bool disturbance_measurable(const struct disturbance_reading *then,
			    const struct disturbance_reading *now)
{
	return now->wall_ns - then->wall_ns >=
	       (both_exact(then, now) ? EXACT_MS * INT64_C(1000000) : TICKS * tick_ns());
}

/* What a count grew by, less what it may be wrong by; -1 if it is unknown. */
static int64_t growth(int64_t then, int64_t now, int64_t error, int64_t most)
{
	int64_t more = now - then - error;

	if (then < 0 || now < 0)
		return -1;
	return more < 0 ? 0 : more > most ? most : more;
}

struct disturbance disturbance_between(const struct disturbance_reading *then,
				       const struct disturbance_reading *now)
{
	int64_t cpus = CPU_COUNT(cpus_allowed());
	int64_t wall = now->wall_ns - then->wall_ns;
	int64_t own = now->own_ns - then->own_ns;
	struct disturbance d = {.wall_ns = wall,
				.foreign_ns = -1,
				.steal_ns = -1,
				.throttled_ns = -1,
				.stops = now->stops - then->stops,
				.involuntary_switches =
					now->involuntary_switches - then->involuntary_switches};

	if (!disturbance_measurable(then, now))
		return d;
	if (then->exact == now->exact)
		d.foreign_ns = growth(then->all_ns, now->all_ns,
				      own + (now->exact ? 0 : cpus * tick_ns()), wall * cpus);
	d.steal_ns = growth(then->steal_ns, now->steal_ns, cpus * tick_ns(), wall * cpus);
	d.throttled_ns = growth(then->throttled_ns, now->throttled_ns, 0, wall * cpus);
	return d;
}

/* What has a bound in `causes`. */
static double amount(const struct disturbance *d, enum cause cause)
{
	double wall = d->wall_ns > 0 ? (double)d->wall_ns : 1;
	double cpus = CPU_COUNT(cpus_allowed());

	switch (cause) {
	case STOPPED:
		return (double)d->stops;
	case QUOTA:
		return (double)d->throttled_ns / wall;
	case HYPERVISOR:
		return (double)d->steal_ns / (wall * cpus);
	case OTHER_PROGRAMS:
		return (double)d->foreign_ns / (wall * cpus);
	default:
		return 0;
	}
}

static enum cause cause_of(const struct disturbance *d)
{
	enum cause cause = 0;

	while (cause < CAUSES && amount(d, cause) <= causes[cause].bound)
		cause++;
	return cause;
}

const char *disturbance_cause(const struct disturbance *d)
{
	enum cause cause = cause_of(d);

	return cause < CAUSES ? causes[cause].word : NULL;
}

const char *disturbance_text(const struct disturbance *d, bool shown)
{
	enum cause cause = cause_of(d);
	double quota;

	switch (cause) {
	case STOPPED:
		return translated_if(shown, "the process was stopped");
	case QUOTA:
		quota = cgroup_quota();
		return text_format(
			translated_if(shown, "the cgroup's CPU quota%s held it up for %s"),
			quota > 0 ? text_format(translated_if(shown, " of %.2g CPUs"), quota) : "",
			text_time((double)d->throttled_ns));
	case HYPERVISOR:
		return text_format(
			translated_if(shown, "the hypervisor gave %s of the CPU time to others"),
			text_share(amount(d, cause)));
	case OTHER_PROGRAMS:
		return text_format(translated_if(shown, "other programs took %s of the CPU time"),
				   text_share(amount(d, cause)));
	default:
		return "";
	}
}
