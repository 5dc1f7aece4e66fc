/* SPDX-License-Identifier: MIT */
/*
 * machine.h - what a number belongs to: the machine, the kernel, the compiler and their settings.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <jansson.h>
#include <sched.h>
#include <stdint.h>

/*
 * Everything that can change an answer, as keys of a run row: UTC, project commit, compiler and
 * flags, kernel, CPU model, CPUs online and allowed, the cgroup's cpuset and CPU quota, load,
 * virtualisation, CPU governor, congestion control and the sysctls of socket buffers, backlog and
 * scheduler.  Keys whose source does not exist here are left out.  No host name, no user name.
 */
void machine_describe(json_t *row);

/*
 * "2 CPUs · Linux 6.18 · gcc 12.2 -O2 · KVM guest", with - for · outside UTF-8, and "2 CPUs, quota
 * 0.2" under a CPU quota; one of text.h's buffers.
 */
const char *machine_summary(void);

/* The version of the suite and the commit it was built from, for --version. */
const char *machine_version(void);

/*
 * Reads a list such as "0-3,8" of CPUs this process may run on.  0; EINVAL for what is no list;
 * ENODEV for a CPU that this process may not use.
 */
int machine_cpus_parse(const char *list, cpu_set_t *cpus);

/* How many CPUs this process may run on. */
int machine_cpus(void);

/* The CPUs as such a list; one of text.h's buffers. */
const char *machine_cpus_format(const cpu_set_t *cpus);

/* The first number in /proc/sys/NAME ("fs/nr_open"); -1 where it cannot be read. */
int64_t machine_sysctl(const char *name);

/* CPU time in ns: of everybody on all CPUs, stolen by a hypervisor, of this process with its
 * children. */
struct machine_load {
	int64_t wall_ns;
	int64_t busy_ns;  /* from /proc/stat, a tick (10 ms) exact; 0 where there is none */
	int64_t steal_ns; /* part of wall that a hypervisor gave to others */
	int64_t own_ns;
};

void machine_load(struct machine_load *now);

/* What was used since then, as keys of an end row: wall_ns, own_cpu_ns, machine_cpu_ns, steal_ns. */
void machine_describe_load(json_t *row, const struct machine_load *since);

#endif
