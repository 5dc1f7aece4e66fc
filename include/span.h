/* SPDX-License-Identifier: MIT */
/*
 * span.h - wall and CPU time of one piece of work, stamped by the thread that does it.
 *
 * A coordinator that stamps for its workers measures when it was scheduled itself.  So each
 * worker stamps its own span, and span_cover() joins them.  Wall spans of two threads overlap
 * even when they share one CPU; only the CPU time tells how much ran.
 */
#ifndef SPAN_H
#define SPAN_H

#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

struct span {
	int64_t begin_ns; /* CLOCK_MONOTONIC; 0 = not begun */
	int64_t end_ns;
	int64_t cpu_ns; /* CPU time of this thread within the span; a sum in a covering span */
};

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now); /* cannot fail: the clocks used exist on every Linux */
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* CLOCK_MONOTONIC in ns. */
static inline int64_t span_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/*
 * How often this thread has given up its CPU to wait for something (ru_nvcsw): if the count grew
 * during a call, the thread slept in it.  That it lost its CPU to others is not counted.
 */
static inline int64_t span_sleeps(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* The kernel's tick in ns, 1 / HZ: the grain of what it counts in jiffies. */
static inline int64_t span_tick(void)
{
	struct timespec tick = {0};

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return tick.tv_nsec;
}

static inline void span_begin(struct span *span)
{
	span->cpu_ns = -clock_ns(CLOCK_THREAD_CPUTIME_ID);
	span->begin_ns = span_now();
}

static inline void span_end(struct span *span)
{
	span->end_ns = span_now();
	span->cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static inline int64_t span_wall(const struct span *span)
{
	return span->end_ns - span->begin_ns;
}

/* Extends `all` ({0} at first) to the earliest begin and the latest end; CPU times add up. */
static inline void span_cover(struct span *all, const struct span *part)
{
	if (all->begin_ns == 0 || part->begin_ns < all->begin_ns)
		all->begin_ns = part->begin_ns;
	if (part->end_ns > all->end_ns)
		all->end_ns = part->end_ns;
	all->cpu_ns += part->cpu_ns;
}

#endif
