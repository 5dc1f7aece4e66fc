/* SPDX-License-Identifier: MIT */
/*
 * lock/futex.h - a lock of three states whose waiters sleep in the kernel, and which enters the
 * kernel only when somebody has to.
 *
 * The second mutex of Drepper, "Futexes are tricky", 2011 (first 2004).
 *
 * Invariant: whoever sleeps has set CONTENDED, and the state stays so until an unlock, which then
 * wakes one; whoever took the lock after waiting leaves it CONTENDED, because others may sleep.
 * So no sleeper is forgotten; the price is a wake-up for nobody now and then.
 */
#ifndef LOCK_FUTEX_H
#define LOCK_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FUTEX_FREE, FUTEX_TAKEN, FUTEX_CONTENDED };

struct futex {
	_Atomic uint32_t state;
};

static inline void futex_lock(struct futex *lock)
{
	uint32_t state = FUTEX_FREE;

	if (atomic_compare_exchange_strong_explicit(&lock->state, &state, FUTEX_TAKEN,
						    memory_order_acquire, memory_order_relaxed))
		return;
	/* it sleeps only while the state is CONTENDED: an unlock in between is noticed */
	while (atomic_exchange_explicit(&lock->state, FUTEX_CONTENDED, memory_order_acquire) !=
	       FUTEX_FREE)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, FUTEX_CONTENDED, NULL);
}

static inline void futex_unlock(struct futex *lock)
{
	if (atomic_exchange_explicit(&lock->state, FUTEX_FREE, memory_order_release) ==
	    FUTEX_CONTENDED)
		syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1);
}

#endif
