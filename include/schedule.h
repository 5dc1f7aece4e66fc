/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - every order in which threads that update x without a lock can take their steps.
 *
 * An update is a load of x into a register and a store of that register + 1 or - 1.  A schedule
 * says who takes each step: "ABBA".  x at the end is what the last store wrote; that follows from
 * its load, which read the store before it, and so on, back to the initial 0.  Only this chain of
 * updates matters.  So a schedule is read from its beginning, and each load is either the chain's
 * next one or not:
 *
 *	free   the chain's newest store is in x.  Any thread may load; the load may be the
 *	       chain's next.  Nobody may store: the chain's next load has to read this store.
 *	held   by a thread that has loaded for the chain.  The others do as they like, whatever
 *	       they store is overwritten; the holder's store adds its step, and x is free again.
 *
 * Each schedule is one way through these states, from free at x = 0 to free at the end.  So what is
 * asked of all schedules is found by a dynamic programme over the threads' places, states and x,
 * where there are 10^119 schedules, too.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SCHEDULE_THREADS = 3,                /* the most */
	SCHEDULE_N = 100,                    /* updates of each of two threads, the most */
	SCHEDULE_N_OF_3 = 12,                /* and of each of three */
	SCHEDULE_STEPS = 2 * 2 * SCHEDULE_N, /* of the longest schedule */
	SCHEDULE_MOVES = SCHEDULE_THREADS * (SCHEDULE_THREADS + 1), /* from one place */
	SCHEDULE_SIZES = 8,
	SCHEDULE_TRIED = 16, /* values of x, at most, where all schedules are executed */
	SCHEDULE_FREE = 0,   /* the state; 1 + i = held by thread i */
};

struct schedules {
	int threads, n; /* n updates of each */
	int step[SCHEDULE_THREADS];
	int low, high; /* x is never beyond: all -1, all +1 */
	size_t xs;     /* from low to high */
	/* A place is who has taken how many steps: a number in base `side`, the first one's leading. */
	size_t side, places, stride[SCHEDULE_THREADS];
};

/* The threads add 1, and 1, -1, 1 unless they only increment. */
struct schedules schedules_of(int threads, int n, bool increments_only);

/* What a program without a race ends at. */
int schedules_exact_x(const struct schedules *s);

/* From a place and state to another by a step of `who`; x gains. */
struct schedule_move {
	int who, state, then, gain;
	size_t to;
};

/* All from this place, in whatever state they may be made; returns how many. */
size_t schedule_moves(const struct schedules *s, size_t place,
		      struct schedule_move moves[SCHEDULE_MOVES]);

/* What executing every schedule finds of one x. */
struct schedule_end {
	int64_t schedules; /* that end there */
	int switches;      /* the fewest of them; -1 = none ends there */
};

/*
 * Executes every schedule, one by one: ends[x - low].  Returns how many they are; 0, and does
 * nothing, where they are too many (of two threads more than 4 updates each, of three 2).
 */
int64_t schedules_execute(const struct schedules *s, struct schedule_end ends[SCHEDULE_TRIED]);

/*
 * The usual N up to most (5 with three threads), or the one that is asked for (not 0).  Ends the
 * process with status 2 where that is too many for three threads.
 */
size_t schedule_sizes(int threads, int64_t asked, int64_t most, int n[SCHEDULE_SIZES]);

#endif
