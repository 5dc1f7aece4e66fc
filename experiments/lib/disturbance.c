/* SPDX-License-Identifier: MIT */
#include "disturbance.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "span.h"
#include "text.h"

enum { PATH = 512, LINE = 1024, MAX_FAMILY = 4096, TICKS = 10, EXACT_MS = 10 };

/*
 * What counts as disturbed, as a share of the wall time (of other programs: of wall time x CPUs).
 * An idle machine shows 1 to 3 % of other programs and no steal; one busy loop on two CPUs 50 %.
 */
static const double much_throttled = 0.01;
static const double much_steal = 0.02;
static const double much_foreign = 0.10;

static _Atomic int64_t stops;

void disturbance_stopped(void)
{
	atomic_fetch_add(&stops, 1);
}

/* The CPUs of the first reading: a thread that is pinned later does not change them. */
static const cpu_set_t *cpus_allowed(void)
{
	static cpu_set_t allowed;

	if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		CPU_SET(0, &allowed);
	return &allowed;
}

/* --- own time ------------------------------------------------------------ */

static int64_t rusage_ns(int who)
{
	struct rusage usage = {0};

	getrusage(who, &usage);
	return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
	       ((int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

static bool has_children(void)
{
	siginfo_t info;

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* The parent of a process; 0 for one that has gone. */
static pid_t parent_of(const char *pid)
{
	char path[PATH];
	char line[LINE];
	const char *end;
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	end = read ? strrchr(line, ')') : NULL; /* the name may hold anything */
	return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

/* CPU time of all living descendants: each one's clock, which has that of its dead threads too. */
static int64_t descendants_ns(void)
{
	static pid_t pids[MAX_FAMILY];
	static pid_t parents[MAX_FAMILY];
	static bool ours[MAX_FAMILY];
	const pid_t self = getpid();
	int64_t sum = 0;
	bool more = true;
	size_t n = 0;
	DIR *proc = opendir("/proc");
	const struct dirent *entry;

	while (proc && n < MAX_FAMILY &&
	       (entry = readdir(proc)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
		if (isdigit((unsigned char)*entry->d_name)) {
			pids[n] = (pid_t)strtol(entry->d_name, NULL, 10);
			parents[n] = parent_of(entry->d_name);
			ours[n] = parents[n] == self;
			n++;
		}
	if (proc)
		closedir(proc);
	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < n && !ours[i]; k++)
				if (ours[k] && parents[i] == pids[k])
					ours[i] = more = true;
	}
	for (size_t i = 0; i < n; i++) {
		clockid_t clock;
		struct timespec time;

		if (ours[i] && clock_getcpuclockid(pids[i], &clock) == 0 &&
		    clock_gettime(clock, &time) == 0)
			sum += (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
	}
	return sum;
}

/* --- everybody's time ---------------------------------------------------- */

/* cgroup v1 counts each CPU's time in ns, of the root: of everybody.  -1 where it is not there. */
static int64_t all_exact_ns(void)
{
	static const char *const paths[] = {"/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu",
					    "/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage_percpu"};
	FILE *file = NULL;
	int64_t sum = 0;
	long long ns;

	for (size_t i = 0; i < 2 && !file; i++)
		file = fopen(paths[i], "re");
	if (!file)
		return -1;
	/* NOLINTNEXTLINE(cert-err34-c): what is no number ends the list */
	for (int cpu = 0; fscanf(file, "%lld", &ns) == 1; cpu++)
		if (CPU_ISSET(cpu, cpus_allowed()))
			sum += ns;
	fclose(file);
	return sum;
}

/* From /proc/stat, in ticks: busy and stolen time of the CPUs allowed. */
static void read_ticks(int64_t *busy_ns, int64_t *steal_ns)
{
	const int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	FILE *file = fopen("/proc/stat", "re");
	char line[LINE];

	*busy_ns = *steal_ns = -1;
	while (file && fgets(line, sizeof(line), file)) {
		long long t[8] = {0};
		int cpu;

		/* NOLINTNEXTLINE(cert-err34-c): other lines do not match */
		if (sscanf(line, "cpu%d %lld %lld %lld %lld %lld %lld %lld %lld", &cpu, &t[0],
			   &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) < 8 ||
		    strncmp(line, "cpu ", 4) == 0 || !CPU_ISSET(cpu, cpus_allowed()))
			continue;
		if (*busy_ns < 0)
			*busy_ns = *steal_ns = 0;
		*busy_ns += (t[0] + t[1] + t[2] + t[5] + t[6]) * tick_ns;
		*steal_ns += t[7] * tick_ns;
	}
	if (file)
		fclose(file);
}

/* --- the cgroup ---------------------------------------------------------- */

/* The folder of this process's cgroup that limits CPU time, v1 or v2; false where there is none. */
static bool cpu_cgroup(char folder[PATH], bool *v2)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[LINE];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *names = strchr(line, ':');
		char *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		*path++ = '\0';
		*v2 = names[1] == '\0';
		for (const char *c = names + 1; *c && !found; c += strcspn(c, ","), c += *c == ',')
			found = strcspn(c, ",") == 3 && strncmp(c, "cpu", 3) == 0;
		if (found)
			snprintf(folder, PATH, "/sys/fs/cgroup/%s%s", names + 1, path);
		else if (*v2 && access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0) {
			snprintf(folder, PATH, "/sys/fs/cgroup%s", path);
			found = true;
		}
	}
	if (file)
		fclose(file);
	return found;
}

/* The number behind a word in a file of such lines; -1 where it is not there. */
static int64_t number_after(const char *folder, const char *name, const char *word)
{
	char path[PATH + 32];
	char line[LINE];
	int64_t number = -1;
	size_t length = strlen(word);
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	while (file && number < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, word, length) == 0 && (line[length] == ' ' || !length))
			number = strtoll(line + length, NULL, 10);
	if (file)
		fclose(file);
	return number;
}

/* Goes from the cgroup to its parent; false at the root of the hierarchy. */
static bool to_parent(char folder[PATH])
{
	char *slash = strrchr(folder, '/');

	if (!slash || strcmp(folder, "/sys/fs/cgroup") == 0 ||
	    (slash - folder == (ptrdiff_t)strlen("/sys/fs/cgroup") && folder[0]))
		return false;
	*slash = '\0';
	return true;
}

static int64_t throttled_ns(void)
{
	char folder[PATH];
	int64_t most = -1;
	bool v2;

	if (!cpu_cgroup(folder, &v2))
		return -1;
	do {
		int64_t ns = v2 ? number_after(folder, "cpu.stat", "throttled_usec")
				: number_after(folder, "cpu.stat", "throttled_time");

		if (v2 && ns > 0)
			ns *= 1000;
		most = ns > most ? ns : most;
	} while (to_parent(folder));
	return most;
}

/* Of one cgroup, in CPUs; 0 = none. */
static double quota_of(const char *folder, bool v2)
{
	char path[PATH + 32];
	long long quota = -1;
	long long period = 0;
	FILE *file;

	if (!v2) {
		quota = number_after(folder, "cpu.cfs_quota_us", "");
		period = number_after(folder, "cpu.cfs_period_us", "");
	} else {
		snprintf(path, sizeof(path), "%s/cpu.max", folder);
		file = fopen(path, "re");
		/* NOLINTNEXTLINE(cert-err34-c): "max" does not match */
		if (file && fscanf(file, "%lld %lld", &quota, &period) != 2)
			quota = -1;
		if (file)
			fclose(file);
	}
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

double disturbance_quota(void)
{
	char folder[PATH];
	double least = 0;
	bool v2;

	if (!cpu_cgroup(folder, &v2))
		return 0;
	do {
		double quota = quota_of(folder, v2);

		if (quota > 0 && (least == 0 || quota < least))
			least = quota;
	} while (to_parent(folder));
	return least;
}

/* --- readings ------------------------------------------------------------ */

void disturbance_read(struct disturbance_reading *now)
{
	struct rusage usage = {0};
	int64_t exact = all_exact_ns();

	getrusage(RUSAGE_SELF, &usage);
	*now = (struct disturbance_reading){.wall_ns = span_now(),
					    .exact = exact >= 0,
					    .throttled_ns = throttled_ns(),
					    .involuntary_switches = usage.ru_nivcsw,
					    .stops = atomic_load(&stops)};
	read_ticks(&now->all_ns, &now->steal_ns);
	if (now->exact)
		now->all_ns = exact;
	now->own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + rusage_ns(RUSAGE_CHILDREN);
	if (has_children())
		now->own_ns += descendants_ns();
}

bool disturbance_measurable(const struct disturbance_reading *then,
			    const struct disturbance_reading *now)
{
	int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);

	return now->wall_ns - then->wall_ns >=
	       (now->exact && then->exact ? EXACT_MS * 1000000 : TICKS * tick_ns);
}

static int64_t clamp(int64_t ns, int64_t most)
{
	return ns < 0 ? 0 : ns > most ? most : ns;
}

struct disturbance disturbance_between(const struct disturbance_reading *then,
				       const struct disturbance_reading *now)
{
	int64_t cpus = CPU_COUNT(cpus_allowed());
	int64_t tick_ns = cpus * 1000000000 / sysconf(_SC_CLK_TCK);
	int64_t wall = now->wall_ns - then->wall_ns;
	struct disturbance d = {.wall_ns = wall,
				.foreign_ns = -1,
				.steal_ns = -1,
				.throttled_ns = -1,
				.stops = now->stops - then->stops,
				.involuntary_switches =
					now->involuntary_switches - then->involuntary_switches};

	if (!disturbance_measurable(then, now))
		return d;
	if (now->all_ns >= 0 && then->all_ns >= 0)
		d.foreign_ns = clamp(now->all_ns - then->all_ns - (now->own_ns - then->own_ns) -
					     (now->exact ? 0 : tick_ns),
				     wall * cpus);
	if (now->steal_ns >= 0 && then->steal_ns >= 0)
		d.steal_ns = clamp(now->steal_ns - then->steal_ns - tick_ns, wall * cpus);
	if (now->throttled_ns >= 0 && then->throttled_ns >= 0)
		d.throttled_ns = clamp(now->throttled_ns - then->throttled_ns, wall * cpus);
	return d;
}

/* As a share of the wall time, of all CPUs. */
static double share(const struct disturbance *d, int64_t ns, int64_t cpus)
{
	return d->wall_ns > 0 && ns > 0 ? (double)ns / ((double)d->wall_ns * (double)cpus) : 0;
}

const char *disturbance_cause(const struct disturbance *d)
{
	int64_t cpus = CPU_COUNT(cpus_allowed());

	if (d->stops > 0)
		return "stopped";
	if (share(d, d->throttled_ns, 1) > much_throttled)
		return "quota";
	if (share(d, d->steal_ns, cpus) > much_steal)
		return "hypervisor";
	return share(d, d->foreign_ns, cpus) > much_foreign ? "other-programs" : NULL;
}

const char *disturbance_text(const struct disturbance *d)
{
	int64_t cpus = CPU_COUNT(cpus_allowed());
	const char *cause = disturbance_cause(d);

	if (!cause)
		return "";
	if (strcmp(cause, "stopped") == 0)
		return "the process was stopped";
	if (strcmp(cause, "quota") == 0)
		return text_format("the cgroup's CPU quota of %.2g CPUs held it up for %s",
				   disturbance_quota(), text_time((double)d->throttled_ns));
	if (strcmp(cause, "hypervisor") == 0)
		return text_format("the hypervisor gave %s of the CPU time to others",
				   text_share(share(d, d->steal_ns, cpus)));
	return text_format("other programs took %s of the CPU time",
			   text_share(share(d, d->foreign_ns, cpus)));
}
