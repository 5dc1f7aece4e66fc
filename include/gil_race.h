/* SPDX-License-Identifier: MIT */
/*
 * gil_race.h - one program of gil.h in two threads under the model of the lock: x += 1 and x -= 1.
 */
#ifndef GIL_RACE_H
#define GIL_RACE_H

#include "gil.h"
#include "span.h"

enum { GIL_RACE_THREADS = 2 };

struct gil_race {
	/* what is asked for */
	enum gil_policy policy;
	enum gil_programs program;
	int threads;         /* 1: only upwards; 2: the second one downwards */
	int64_t n;           /* iterations of each */
	int64_t duration_ns; /* ends them then, for n = INT64_MAX; 0 = when they are done */
	int64_t interval_us; /* switch interval */
	bool no_forced_switching;
	struct gil_hold *holds; /* a log of so much room (gil_log()); NULL = none */
	size_t room;

	/* what came of it */
	int64_t x, switches;
	int64_t drops[GIL_OPS], drops_inside; /* of all threads, as in gil.h */
	size_t holds_n; /* without a lock each thread holds what there is while it runs */
	struct span all;
};

/* Ends the process with status 2 if the environment refuses it. */
void gil_race(struct gil_race *race);

#endif
