/* SPDX-License-Identifier: MIT */
/*
 * disturbance.h - what kept this process from running as it would alone: other programs on its
 * CPUs, the hypervisor, a cgroup's CPU quota, a stop.
 *
 * Two readings give what happened between them.  Other programs' time is everybody's on the CPUs
 * this process may use, less its own and that of its living and dead descendants.  It is exact to
 * the ns where cgroup v1's cpuacct.usage_percpu of the root is readable; else it comes from
 * /proc/stat, which counts in ticks of 10 ms: below ten ticks there is no figure.
 */
#ifndef DISTURBANCE_H
#define DISTURBANCE_H

#include <stdbool.h>
#include <stdint.h>

struct disturbance_reading {
	int64_t wall_ns;      /* CLOCK_MONOTONIC */
	int64_t all_ns;       /* CPU time of everybody on the CPUs allowed; -1 unknown */
	int64_t own_ns;       /* of this process, its dead and its living descendants */
	int64_t steal_ns;     /* given to others by the hypervisor, on these CPUs; -1 unknown */
	int64_t throttled_ns; /* this cgroup's and its parents', v1 or v2; -1 unknown */
	int64_t involuntary_switches;
	int64_t stops; /* how often the process was continued after a stop, see disturbance_stopped() */
	bool exact;    /* all_ns is from cpuacct */
};

struct disturbance {
	int64_t wall_ns;
	int64_t foreign_ns;   /* other programs' CPU time; -1: no figure; never over wall x CPUs */
	int64_t steal_ns;     /* -1: no figure */
	int64_t throttled_ns; /* -1: no figure */
	int64_t involuntary_switches;
	int64_t stops;
};

void disturbance_read(struct disturbance_reading *now);

struct disturbance disturbance_between(const struct disturbance_reading *then,
				       const struct disturbance_reading *now);

/* Whether so much time has passed that the figures mean something: ten ticks, 10 ms if exact. */
bool disturbance_measurable(const struct disturbance_reading *then,
			    const struct disturbance_reading *now);

/*
 * What disturbed most, as a word for rows: "stopped", "quota", "hypervisor", "other-programs"; NULL
 * for calm.  The bounds, as shares of wall time x CPUs, stand in disturbance.c with their reasons.
 */
const char *disturbance_cause(const struct disturbance *d);

/* The same for people: "other programs took 44 % of the CPU". One of text.h's buffers; "" for calm. */
const char *disturbance_text(const struct disturbance *d);

/* To be called when SIGCONT came: the process had been stopped.  From any thread. */
void disturbance_stopped(void);

/*
 * The CPU quota of this cgroup or a parent of it, as a number of CPUs (0.2 = 20 ms in each 100 ms);
 * 0 = none, or unknown.
 */
double disturbance_quota(void);

#endif
