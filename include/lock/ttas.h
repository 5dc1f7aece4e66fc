/* SPDX-License-Identifier: MIT */
/*
 * lock/ttas.h - test and test-and-set: look until the lock is free, and only then try to take it.
 *
 * Rudolph and Segall, "Dynamic decentralized cache schemes for MIMD parallel processors", ISCA
 * 1984.  The look is a read of one's own cached copy, so waiters leave the bus to the holder.
 *
 * Invariant: taken is true from the exchange that found it false to the holder's store; no other
 * exchange can find it false meanwhile.  Nobody is promised a turn: the lock is not fair.
 */
#ifndef LOCK_TTAS_H
#define LOCK_TTAS_H

#include "lock/pause.h"

struct ttas {
	_Atomic bool taken;
};

static inline void ttas_lock(struct ttas *lock, struct patience *patience)
{
	while (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire))
		while (atomic_load_explicit(&lock->taken, memory_order_relaxed))
			lock_pause(patience);
}

static inline void ttas_unlock(struct ttas *lock)
{
	atomic_store_explicit(&lock->taken, false, memory_order_release);
}

#endif
