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

#include "check.h"
#include "span.h"
#include "text.h"

enum { LINE = 1024, TICKS = 10, EXACT_MS = 10 };

enum cause { STOPPED, QUOTA, HYPERVISOR, OTHER_PROGRAMS, CAUSES };

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

static char root[PATH_MAX]; /* before every path of /proc and /sys that is not of a process */
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

/* --- cgroups ------------------------------------------------------------- */

/* A cgroup's folder, and how long the part of it is that is the mount point. */
struct cgroup {
	char folder[PATH_MAX]; /* "" = there is none, or it is not visible from here */
	size_t mount_length;
	bool v2;
};

static FILE *open_in(const char *folder, const char *name)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%s%s%s", root, folder, name);
	return fopen(path, "re");
}

/*
 * Finds a cgroup by its path in its hierarchy: v1's with that controller, or v2's.  A container may
 * have but a part of the hierarchy mounted: the path must be in that part.
 */
static void find_folder(struct cgroup *group, const char *path, const char *controller)
{
	FILE *file = open_in("/proc/self/mountinfo", "");
	char *line = NULL;
	size_t size = 0;

	*group->folder = '\0';
	while (file && !*group->folder && getline(&line, &size, file) > 0) {
		char part[PATH_MAX];
		char mount[PATH_MAX];
		char type[16];
		char options[LINE];
		const char *end = strstr(line, " - ");
		size_t length;

		/* proc_pid_mountinfo(5); 4095 = PATH_MAX - 1, 1023 = LINE - 1 */
		if (!end || sscanf(line, "%*s %*s %*s %4095s %4095s", part, mount) != 2 ||
		    sscanf(end, " - %15s %*s %1023s", type, options) != 2 ||
		    strcmp(type, group->v2 ? "cgroup2" : "cgroup") != 0 ||
		    (!group->v2 && !text_has_item(options, controller)))
			continue;
		length = strcmp(part, "/") == 0 ? 0 : strlen(part);
		if (strncmp(path, part, length) != 0 || (path[length] && path[length] != '/'))
			continue;
		path += length;
		group->mount_length = strlen(mount);
		if (snprintf(group->folder, sizeof(group->folder), "%s%s", mount,
			     strcmp(path, "/") == 0 ? "" : path) >= (int)sizeof(group->folder))
			*group->folder = '\0';
	}
	free(line);
	if (file)
		fclose(file);
}

/* The cgroup that limits this process by that controller: v1's where that hierarchy has it. */
static void find_cgroup(struct cgroup *group, const char *controller)
{
	FILE *file = open_in("/proc/self/cgroup", "");
	char path[PATH_MAX] = "";
	char *line = NULL;
	size_t size = 0;

	*group = (struct cgroup){.v2 = true};
	while (file && group->v2 && getline(&line, &size, file) > 0) {
		char *names = strchr(line, ':'); /* cgroups(7): ID:controllers:path; v2 has none */
		char *end = names ? strchr(names + 1, ':') : NULL;

		if (!end)
			continue;
		*end = '\0';
		group->v2 = !text_has_item(names + 1, controller);
		if (!group->v2 || !names[1])
			snprintf(path, sizeof(path), "%.*s", (int)strcspn(end + 1, "\n"), end + 1);
	}
	free(line);
	if (file)
		fclose(file);
	if (*path)
		find_folder(group, path, controller);
}

/* Goes to the parent; false at the highest that is visible. */
static bool to_parent(struct cgroup *group)
{
	if (strlen(group->folder) <= group->mount_length)
		return false;
	*strrchr(group->folder, '/') = '\0';
	return true;
}

/* The number behind a word in a file of such lines, or of the only line for ""; -1 without one. */
static int64_t number_after(const char *folder, const char *name, const char *word)
{
	char line[LINE];
	int64_t number = -1;
	size_t length = strlen(word);
	FILE *file = open_in(folder, name);

	while (file && number < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, word, length) == 0 && (!length || line[length] == ' '))
			number = strtoll(line + length, NULL, 10);
	if (file)
		fclose(file);
	return number;
}

/* What is looked up once: the files that each reading needs. */
static struct {
	pid_t pid; /* of the process that they are for: a child may be moved before it reads */
	struct cgroup cpu;
	struct cgroup everybody; /* v1's root of cpuacct */
} found;

static void find_files(void)
{
	FILE *file;

	if (found.pid == getpid())
		return;
	found.pid = getpid();
	find_cgroup(&found.cpu, "cpu");
	found.everybody.v2 = false;
	find_folder(&found.everybody, "/", "cpuacct");
	/* what a container sees as the root may be its own cgroup: only the real one has this file */
	file = open_in(found.everybody.folder, "/release_agent");
	if (file)
		fclose(file);
	else
		*found.everybody.folder = '\0';
}

void disturbance_root(const char *folder)
{
	snprintf(root, sizeof(root), "%s", folder);
	found.pid = 0;
}

/* Each cgroup counts the time for which its own quota stopped it: those of all parents add up. */
static int64_t throttled_ns(void)
{
	struct cgroup group = found.cpu;
	int64_t sum = -1;

	if (!*group.folder)
		return -1;
	do {
		int64_t time = number_after(group.folder, "/cpu.stat",
					    group.v2 ? "throttled_usec" : "throttled_time");

		if (time >= 0)
			sum = (sum < 0 ? 0 : sum) + time * (group.v2 ? 1000 : 1);
	} while (to_parent(&group));
	return sum;
}

/* Of one cgroup, in CPUs; 0 = none. */
static double quota_of(const struct cgroup *group)
{
	long long quota = -1;
	long long period = 0;
	FILE *file;

	if (group->v2) {
		file = open_in(group->folder, "/cpu.max");
		/* NOLINTNEXTLINE(cert-err34-c): "max" does not match, and leaves -1 */
		if (file && fscanf(file, "%lld %lld", &quota, &period) != 2)
			quota = -1;
		if (file)
			fclose(file);
	} else {
		quota = number_after(group->folder, "/cpu.cfs_quota_us", "");
		period = number_after(group->folder, "/cpu.cfs_period_us", "");
	}
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

double disturbance_quota(void)
{
	struct cgroup group;
	double least = 0;

	find_files();
	group = found.cpu;
	if (!*group.folder)
		return 0;
	do {
		double quota = quota_of(&group);

		if (quota > 0 && (least == 0 || quota < least))
			least = quota;
	} while (to_parent(&group));
	return least;
}

const char *disturbance_cpuset(void)
{
	char line[LINE] = "";
	struct cgroup group;
	FILE *file = NULL;

	find_cgroup(&group, "cpuset");
	if (!*group.folder)
		return "";
	/* v2 has the file only where a parent has turned the controller on: else a parent's holds */
	do
		file = open_in(group.folder,
			       group.v2 ? "/cpuset.cpus.effective" : "/cpuset.effective_cpus");
	while (!file && to_parent(&group));
	if (file && !fgets(line, sizeof(line), file))
		*line = '\0';
	if (file)
		fclose(file);
	return text_format("%.*s", (int)strcspn(line, "\n"), line);
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
	FILE *file = *found.everybody.folder
			     ? open_in(found.everybody.folder, "/cpuacct.usage_percpu")
			     : NULL;
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
	FILE *file = open_in("/proc/stat", "");
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

	find_files();
	family.ours = 0;
	if (has_children())
		read_family(&family);
	getrusage(RUSAGE_SELF, &self);
	*now = (struct disturbance_reading){.throttled_ns = throttled_ns(),
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

const char *disturbance_text(const struct disturbance *d)
{
	enum cause cause = cause_of(d);
	double quota;

	switch (cause) {
	case STOPPED:
		return "the process was stopped";
	case QUOTA:
		quota = disturbance_quota();
		return text_format("the cgroup's CPU quota%s held it up for %s",
				   quota > 0 ? text_format(" of %.2g CPUs", quota) : "",
				   text_time((double)d->throttled_ns));
	case HYPERVISOR:
		return text_format("the hypervisor gave %s of the CPU time to others",
				   text_share(amount(d, cause)));
	case OTHER_PROGRAMS:
		return text_format("other programs took %s of the CPU time",
				   text_share(amount(d, cause)));
	default:
		return "";
	}
}
