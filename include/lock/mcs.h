/* SPDX-License-Identifier: MIT */
/*
 * lock/mcs.h - a queue of waiters, each of which looks at a flag of its own: first come, first
 * served, and a hand-over touches the next waiter's cache line alone.
 *
 * Mellor-Crummey and Scott, "Algorithms for scalable synchronization on shared-memory
 * multiprocessors", ACM TOCS 9(1), 1991.
 *
 * Invariant: the nodes from the holder's to `tail` are one chain of `next`, but for links that
 * are just being made; each but the first waits, and only its predecessor ends that.  A free lock
 * has no tail.  A node is its thread's alone again once mcs_unlock() has returned.
 */
#ifndef LOCK_MCS_H
#define LOCK_MCS_H

#include <stdalign.h>

#include "lock/pause.h"

struct mcs_node {
	alignas(LOCK_LINE) _Atomic(struct mcs_node *) next;
	_Atomic bool waiting;
};

struct mcs {
	_Atomic(struct mcs_node *) tail;
};

static inline void mcs_lock(struct mcs *lock, struct mcs_node *node, struct patience *patience)
{
	struct mcs_node *before;

	atomic_store_explicit(&node->next, NULL, memory_order_relaxed);
	atomic_store_explicit(&node->waiting, true, memory_order_relaxed);
	before = atomic_exchange_explicit(&lock->tail, node, memory_order_acq_rel);
	if (!before)
		return;
	atomic_store_explicit(&before->next, node, memory_order_release);
	while (atomic_load_explicit(&node->waiting, memory_order_acquire))
		lock_pause(patience);
}

static inline void mcs_unlock(struct mcs *lock, struct mcs_node *node, struct patience *patience)
{
	struct mcs_node *next = atomic_load_explicit(&node->next, memory_order_acquire);
	struct mcs_node *last = node;

	if (!next && atomic_compare_exchange_strong_explicit(
			     &lock->tail, &last, NULL, memory_order_release, memory_order_relaxed))
		return;
	while (!next) { /* somebody has come, but is not linked yet */
		lock_pause(patience);
		next = atomic_load_explicit(&node->next, memory_order_acquire);
	}
	atomic_store_explicit(&next->waiting, false, memory_order_release);
}

#endif
