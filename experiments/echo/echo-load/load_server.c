/* SPDX-License-Identifier: MIT */
/*
 * What /proc shows of the server, its threads and the processes it has forked.
 */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "load.h"
#include "proc.h"

enum { PROCESSES = 65536, PATH = 64 };

/* Of /proc/PID/stat behind the name: fields 16 and 17. */
#define CHILD_TIMES " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lld %lld"

/* CPU time of the children that have ended and been waited for: cutime and cstime of proc(5). */
static int64_t cpu_of_ended(pid_t pid)
{
	char path[PATH];
	char line[1024] = "";
	long long user = 0;
	long long system = 0;
	const char *name_ends;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	name_ends = strrchr(line, ')');
	if (name_ends) /* NOLINTNEXTLINE(cert-err34-c): what cannot be read stays 0 */
		sscanf(name_ends + 1, CHILD_TIMES, &user, &system);
	return (user + system) * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* Adds the children of a thread to the list of processes; returns its new length. */
static size_t add_children(pid_t pid, const char *thread, pid_t *list, size_t n)
{
	char path[PATH + NAME_MAX];
	FILE *file;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, thread);
	file = fopen(path, "re");
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes numbers */
	while (file && n < PROCESSES && fscanf(file, "%d", &child) == 1)
		list[n++] = child;
	if (file)
		fclose(file);
	return n;
}

/* CPU time of a thread in ns, the first number of its schedstat; 0 if it is not counted. */
static int64_t cpu_of_thread(pid_t pid, const char *thread)
{
	char path[PATH + NAME_MAX];

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, thread);
	return proc_number(path, "", 0);
}

static void add_thread(pid_t pid, const char *name, struct load_server *sum)
{
	struct load_thread *thread;
	char path[PATH + NAME_MAX];

	if (sum->threads_n == sum->threads_room) {
		sum->threads_room = 2 * sum->threads_room + 64;
		sum->threads = check_alloc(
			realloc(sum->threads, sum->threads_room * sizeof(*sum->threads)));
	}
	thread = &sum->threads[sum->threads_n++];
	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, name);
	thread->id = (pid_t)strtol(name, NULL, 10);
	thread->cpu_ns = cpu_of_thread(pid, name);
	thread->voluntary = proc_number(path, "voluntary_ctxt_switches:", 0);
	thread->involuntary = proc_number(path, "nonvoluntary_ctxt_switches:", 0);
}

/*
 * Open descriptors of a process: the size of the folder of them, since Linux 6.2; else 0.  To list the folder
 * would fill the kernel's caches with an inode each.
 */
static int64_t files_of(pid_t pid)
{
	char path[PATH];
	struct stat folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return stat(path, &folder) == 0 ? folder.st_size : 0;
}

/* Adds one process and its threads; the list gets its children. */
static size_t add_process(pid_t pid, struct load_server *sum, pid_t *list, size_t n)
{
	char path[PATH];
	struct dirent *thread;
	clockid_t clock;
	int64_t pss;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = opendir(path);
	if (!threads)
		return n; /* it has ended meanwhile */
	sum->processes++;
	sum->files += files_of(pid);
	if (clock_getcpuclockid(pid, &clock) == 0)
		sum->cpu_ns += clock_ns(clock);
	sum->cpu_ns += cpu_of_ended(pid);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	sum->rss_bytes += proc_number(path, "VmRSS:", 0) << 10;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	pss = proc_number(path, "Pss:", -1);
	sum->pss_bytes = pss < 0 || sum->pss_bytes < 0 ? -1 : sum->pss_bytes + (pss << 10);
	while ((thread = readdir(threads)) != NULL) {
		if (thread->d_name[0] == '.')
			continue;
		add_thread(pid, thread->d_name, sum);
		n = add_children(pid, thread->d_name, list, n);
	}
	closedir(threads);
	return n;
}

static int by_id(const void *a, const void *b)
{
	return ((const struct load_thread *)a)->id - ((const struct load_thread *)b)->id;
}

bool load_snapshot(pid_t server, struct load_server *now)
{
	static pid_t list[PROCESSES];
	size_t n = 1;
	cpu_set_t cpus, own, both;

	*now = (struct load_server){
		.begin_ns = span_now(), .threads = now->threads, .threads_room = now->threads_room};
	list[0] = server;
	for (size_t i = 0; i < n; i++)
		n = add_process(list[i], now, list, n);
	if (now->processes && sched_getaffinity(server, sizeof(cpus), &cpus) == 0 &&
	    sched_getaffinity(0, sizeof(own), &own) == 0) {
		now->cpus = CPU_COUNT(&cpus);
		CPU_AND(&both, &cpus, &own);
		if (CPU_COUNT(&both)) {
			CPU_OR(&both, &cpus, &own);
			now->with_own = CPU_COUNT(&both);
		}
	}
	if (now->threads_n)
		qsort(now->threads, now->threads_n, sizeof(*now->threads), by_id);
	now->end_ns = span_now();
	return now->processes > 0;
}

static int64_t kernel_bytes(void)
{
	static const char *const parts[] = {"Slab:", "KernelStack:", "PageTables:"};
	int64_t sum = 0;

	for (int i = 0; i < 3; i++)
		sum += proc_number("/proc/meminfo", parts[i], 0) << 10;
	return sum;
}

struct load_kernel load_kernel(void)
{
	return (struct load_kernel){
		.bytes = kernel_bytes(),
		.available_bytes = proc_number("/proc/meminfo", "MemAvailable:", 0) << 10,
		.sockets = proc_number("/proc/net/sockstat", "TCP: inuse", 0),
		.tracked = proc_number("/proc/sys/net/netfilter/nf_conntrack_count", "", 0)};
}

struct load_used load_used(const struct load_server *before, const struct load_server *after)
{
	static const struct load_thread none;
	struct load_used used = {.elapsed_ns = after->begin_ns - before->end_ns,
				 .cpu_ns = after->cpu_ns - before->cpu_ns};

	for (size_t i = 0; i < after->threads_n; i++) {
		const struct load_thread *now = &after->threads[i];
		const struct load_thread *then =
			before->threads_n ? bsearch(now, before->threads, before->threads_n,
						    sizeof(*now), by_id)
					  : NULL;

		if (!then)
			then = &none; /* it began meanwhile */
		if (now->cpu_ns - then->cpu_ns > used.busiest_ns)
			used.busiest_ns = now->cpu_ns - then->cpu_ns;
		used.voluntary += now->voluntary - then->voluntary;
		used.involuntary += now->involuntary - then->involuntary;
	}
	return used;
}
