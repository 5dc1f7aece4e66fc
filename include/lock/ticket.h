/* SPDX-License-Identifier: MIT */
/*
 * lock/ticket.h - draw a number, wait until it is called: first come, first served.
 *
 * Reed and Kanodia, "Synchronization with eventcounts and sequencers", CACM 22(2), 1979.
 *
 * Invariant: no ticket is drawn twice (but for a wrap-around after 2^32 waiters), and `serving` is
 * changed by its holder alone: so at most one thread holds the ticket that is being served, and
 * next - serving threads hold the lock or wait for it.
 */
#ifndef LOCK_TICKET_H
#define LOCK_TICKET_H

#include "lock/pause.h"

struct ticket {
	_Atomic uint32_t next, serving;
};

static inline void ticket_lock(struct ticket *lock, struct patience *patience)
{
	uint32_t mine = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&lock->serving, memory_order_acquire) != mine)
		lock_pause(patience);
}

static inline void ticket_unlock(struct ticket *lock)
{
	uint32_t mine = atomic_load_explicit(&lock->serving, memory_order_relaxed);

	atomic_store_explicit(&lock->serving, mine + 1, memory_order_release);
}

#endif
