/* SPDX-License-Identifier: MIT */
/*
 * disturbance.h - what kept this process from running as it would alone: other programs on its
 * CPUs, the hypervisor, a cgroup's CPU quota, a stop.
 *
 * Two readings give what happened between them.  Other programs' time is everybody's on the CPUs
 * this process may use, less its own and that of its living and dead descendants.  It is exact to
 * the ns where cgroup v1's cpuacct.usage_percpu of the root is readable; else it comes from
 * /proc/stat, which counts in ticks of 10 ms: below ten ticks there is no figure.
 *
 * A descendant whose parent has ended counts as another program, and so does a child that the
 * kernel reaps because SIGCHLD is ignored.  What a living descendant's own dead children used is
 * known in ticks.
 */
#ifndef DISTURBANCE_H
#define DISTURBANCE_H

#include <stdbool.h>
#include <stdint.h>

enum { DISTURBANCE_CAUSES = 4 };

struct disturbance_reading {
	int64_t wall_ns;      /* CLOCK_MONOTONIC */
	int64_t all_ns;       /* CPU time of everybody on the CPUs allowed; -1 unknown */
	int64_t own_ns;       /* of this process, its dead and its living descendants */
	int64_t steal_ns;     /* given to others by the hypervisor, on these CPUs; -1 unknown */
	int64_t throttled_ns; /* this cgroup's and its parents', v1 or v2; -1 unknown */
	int64_t involuntary_switches;
	int64_t stops; /* how often the process was continued after a stop, see disturbance_stopped() */
	bool exact; /* all_ns is from cpuacct */
};

struct disturbance {
	int64_t wall_ns;
	int64_t foreign_ns;   /* other programs' CPU time; -1: no figure; never over wall x CPUs */
	int64_t steal_ns;     /* -1: no figure */
	int64_t throttled_ns; /* -1: no figure */
	int64_t involuntary_switches;
	int64_t stops;
};

/*
 * The CPUs allowed are those of the main thread at the first call; cgroups are looked up then, too.
 * Takes about 12 us; while this process has a child, 3 to 9 us more for each process of the
 * machine.  From the main thread.
 */
void disturbance_read(struct disturbance_reading *now);

struct disturbance disturbance_between(const struct disturbance_reading *then,
				       const struct disturbance_reading *now);

/* Whether so much time has passed that the figures mean something: ten ticks, 10 ms if exact. */
bool disturbance_measurable(const struct disturbance_reading *then,
			    const struct disturbance_reading *now);

/*
 * What disturbed, as a word for rows: the first of "stopped", "quota", "hypervisor" and
 * "other-programs" that is over its bound; NULL for calm.  The bounds stand in disturbance.c with
 * their reasons.
 */
const char *disturbance_cause(const struct disturbance *d);

/*
 * The same in words: "other programs took 44.0 % of the CPU time"; "" for calm.  shown: for people, in
 * their language.  One of text.h's buffers.
 */
const char *disturbance_text(const struct disturbance *d, bool shown);

/* To be called when SIGCONT came: the process had been stopped.  From any thread. */
void disturbance_stopped(void);

#endif
