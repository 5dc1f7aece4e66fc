/* SPDX-License-Identifier: MIT */
#include "cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"
#include "text.h"

enum { LINE = 1024 };

static char root[PATH_MAX]; /* before every path of /proc and /sys that is not of a process */

/* A cgroup's folder, and how long the part of it is that is the mount point. */
struct cgroup {
	char folder[PATH_MAX]; /* "" = there is none, or it is not visible from here */
	size_t mount_length;
	bool v2;
};

FILE *cgroup_open(const char *folder, const char *name)
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
	FILE *file = cgroup_open("/proc/self/mountinfo", "");
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
	FILE *file = cgroup_open("/proc/self/cgroup", "");
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

/* What is looked up once: the files that each reading needs. */
static struct {
	pid_t pid; /* of the process that they are for: a child may be moved before it reads */
	struct cgroup cpu;
	struct cgroup everybody; /* v1's root of cpuacct */
} found;

/* Once. */
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
	file = cgroup_open(found.everybody.folder, "/release_agent");
	if (file)
		fclose(file);
	else
		*found.everybody.folder = '\0';
}

void cgroup_root(const char *folder)
{
	snprintf(root, sizeof(root), "%s", folder);
	found.pid = 0;
}

/* Each cgroup counts the time for which its own quota stopped it: those of all parents add up. */
int64_t cgroup_throttled_ns(void)
{
	struct cgroup group;
	int64_t sum = -1;

	find_files();
	group = found.cpu;
	if (!*group.folder)
		return -1;
	do {
		int64_t time = proc_number_in(cgroup_open(group.folder, "/cpu.stat"),
					      group.v2 ? "throttled_usec " : "throttled_time ", -1);

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
		file = cgroup_open(group->folder, "/cpu.max");
		/* NOLINTNEXTLINE(cert-err34-c): "max" does not match, and leaves -1 */
		if (file && fscanf(file, "%lld %lld", &quota, &period) != 2)
			quota = -1;
		if (file)
			fclose(file);
	} else {
		quota = proc_number_in(cgroup_open(group->folder, "/cpu.cfs_quota_us"), "", -1);
		period = proc_number_in(cgroup_open(group->folder, "/cpu.cfs_period_us"), "", -1);
	}
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

double cgroup_quota(void)
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

const char *cgroup_folder(int up, bool *v2)
{
	static struct cgroup group;

	find_files();
	group = found.cpu;
	*v2 = group.v2;
	for (; up > 0; up--)
		if (!*group.folder || !to_parent(&group))
			return NULL;
	return *group.folder ? group.folder : NULL;
}

const char *cgroup_cpuset(void)
{
	char line[LINE] = "";
	struct cgroup group;
	FILE *file = NULL;

	find_cgroup(&group, "cpuset");
	if (!*group.folder)
		return "";
	/* v2 has the file only where a parent has turned the controller on: else a parent's holds */
	do
		file = cgroup_open(group.folder,
				   group.v2 ? "/cpuset.cpus.effective" : "/cpuset.effective_cpus");
	while (!file && to_parent(&group));
	if (file && !fgets(line, sizeof(line), file))
		*line = '\0';
	if (file)
		fclose(file);
	return text_format("%.*s", (int)strcspn(line, "\n"), line);
}

FILE *cgroup_usage(void)
{
	find_files();
	return *found.everybody.folder
		       ? cgroup_open(found.everybody.folder, "/cpuacct.usage_percpu")
		       : NULL;
}
