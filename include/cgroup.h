/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - what the cgroups of this process allow and take away: v1 and v2, also in a container that
 * sees but a part of the hierarchy.  They are looked up once in each process.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The CPU quota of this cgroup or a parent of it, as a number of CPUs (0.2 = 20 ms in each 100 ms);
 * 0 = none, or unknown.
 */
double cgroup_quota(void);

/* For how long this cgroup's quota and its parents' have stopped it so far; -1 = unknown. */
int64_t cgroup_throttled_ns(void);

/*
 * The folder of the cgroup whose CPU quota holds for this process, or of the cgroup so many levels above
 * it; NULL where there is none, or it is not visible.  *v2: it is of version 2.  Overwritten by the next call.
 */
const char *cgroup_folder(int up, bool *v2);

/* The CPUs that this process's cgroup has, as the kernel lists them ("0-3"); "" where unknown. */
const char *cgroup_cpuset(void);

/* A file with each CPU's time of everybody, in ns (v1's cpuacct, in the root); NULL where there is none. */
FILE *cgroup_usage(void);

/* For tests: /proc and /sys are looked for in this folder from now on; "" for the real ones. */
void cgroup_root(const char *folder);

/* A file below that: the two names together; NULL with errno. */
FILE *cgroup_open(const char *folder, const char *name);

#endif
