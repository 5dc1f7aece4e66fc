/* SPDX-License-Identifier: MIT */
/*
 * lock/pause.h - how a thread waits in a spinning lock.
 *
 * A waiter cannot leave the queue of a FIFO lock, so a deadline cannot call it off.  Its patience
 * can end, though: from then on it gives its CPU away at each look, so that the thread whose turn
 * it is runs at once, and a queue of more threads than CPUs drains in microseconds instead of
 * time slices.
 */
#ifndef LOCK_PAUSE_H
#define LOCK_PAUSE_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOCK_LINE = 64 }; /* bytes of a cache line, on x86 and most ARM */

/* A thread's own.  NULL instead of one = it spins, whatever happens. */
struct patience {
	const _Atomic bool *over; /* once true: yield instead of spinning */
	int64_t yields;           /* how often it did */
};

/* One turn of a waiting loop. */
static inline void lock_pause(struct patience *patience)
{
	if (patience && atomic_load_explicit(patience->over, memory_order_relaxed)) {
		patience->yields++;
		sched_yield();
		return;
	}
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ volatile("yield");
#endif
}

#endif
