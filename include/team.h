/* SPDX-License-Identifier: MIT */
/*
 * team.h - threads that start together: a barrier, a CPU for each, and each stamps its own work.
 *
 * Without the barrier a short thread is done before the next one has been created, and nothing races.
 */
#ifndef TEAM_H
#define TEAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "span.h"

enum { TEAM_MAX = 64 };

enum team_place {
	TEAM_SPREAD, /* the members by turns on the CPUs allowed (run_pin) */
	TEAM_SAME,   /* all on one CPU */
	TEAM_FREE,   /* where the scheduler likes */
};

struct team {
	int threads;
	enum team_place place;
	void (*work)(int member, void *argument); /* from the barrier on, and timed */
	void (*parts[2])(void *argument);         /* the same of team_start_two() */
	void *argument;
	pthread_barrier_t start;
	struct team_member {
		struct team *team;
		pthread_t thread;
		struct span span; /* of its work; to be read after team_join() */
	} members[TEAM_MAX];
};

/* Starts work(0, argument) to work(threads - 1, argument), 1 <= threads <= TEAM_MAX. */
void team_start(struct team *team, int threads, enum team_place place,
		void (*work)(int member, void *argument), void *argument);

/* Starts two members with a part each: first(argument) is member 0, second(argument) 1. */
void team_start_two(struct team *team, enum team_place place, void (*first)(void *argument),
		    void (*second)(void *argument), void *argument);

/*
 * Lets members that work until *stop do so for this long, from when *begun is set by the first one.  Returns
 * when *stop was set: at once if the run was stopped.
 */
int64_t team_stop_after(int64_t duration_ns, _Atomic bool *begun, _Atomic bool *stop);

/* Waits for all of them; the span covers theirs. */
struct span team_join(struct team *team);

#endif
