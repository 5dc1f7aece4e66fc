/* SPDX-License-Identifier: MIT */
/*
 * test_locks - the locks of include/lock keep everybody else out; those that promise it serve in
 * order; patience that ends makes a waiter yield.
 *
 * What a lock protects here is plain memory: with SAN=thread a lock that lets two in, or that
 * orders too little, ends the program.
 */
#include <pthread.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lock/futex.h"
#include "lock/mcs.h"
#include "lock/pause.h"
#include "lock/ticket.h"
#include "lock/ttas.h"

enum { TTAS, TICKET, MCS, FUTEX, LOCKS, THREADS = 4, TURNS = 5000, FEW_TURNS = 20 };

static struct {
	struct ttas ttas;
	struct ticket ticket;
	struct mcs mcs;
	struct futex futex;
} locks;

static const _Atomic bool yes = true;
static const _Atomic bool no = false;

/* Guarded by the lock under test. */
static struct {
	int inside, most_inside, entered;
	int order[THREADS];
} guarded;

struct worker {
	pthread_t thread;
	int lock, turns, number;
	struct patience patience;
	struct mcs_node node;
};

static void acquire(struct worker *w)
{
	switch (w->lock) {
	case TTAS:
		ttas_lock(&locks.ttas, &w->patience);
		break;
	case TICKET:
		ticket_lock(&locks.ticket, &w->patience);
		break;
	case MCS:
		mcs_lock(&locks.mcs, &w->node, &w->patience);
		break;
	default:
		futex_lock(&locks.futex);
	}
}

static void release(struct worker *w)
{
	switch (w->lock) {
	case TTAS:
		ttas_unlock(&locks.ttas);
		break;
	case TICKET:
		ticket_unlock(&locks.ticket);
		break;
	case MCS:
		mcs_unlock(&locks.mcs, &w->node, &w->patience);
		break;
	default:
		futex_unlock(&locks.futex);
	}
}

static void *take_turns(void *argument)
{
	struct worker *w = argument;

	for (int i = 0; i < w->turns; i++) {
		acquire(w);
		guarded.inside++;
		if (guarded.inside > guarded.most_inside)
			guarded.most_inside = guarded.inside;
		if (i % 8 == 0)
			sched_yield(); /* a chance to come in, on one CPU too */
		guarded.order[guarded.entered++ % THREADS] = w->number;
		guarded.inside--;
		release(w);
	}
	return NULL;
}

static void start(struct worker *w, int lock, int number, int turns, const _Atomic bool *over)
{
	*w = (struct worker){.lock = lock, .number = number, .turns = turns, .patience = {over, 0}};
	assert_int_equal(pthread_create(&w->thread, NULL, take_turns, w), 0);
}

static void expect_exclusion(int lock, int turns, const _Atomic bool *over)
{
	static struct worker workers[THREADS];

	guarded.most_inside = guarded.entered = 0;
	for (int i = 0; i < THREADS; i++)
		start(&workers[i], lock, i, turns, over);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	assert_int_equal(guarded.most_inside, 1);
	assert_int_equal(guarded.entered, THREADS * turns);
}

/* Waiters that yield, so that it is quick with any number of CPUs. */
static void test_mutual_exclusion(void **state)
{
	(void)state;
	for (int lock = 0; lock < LOCKS; lock++)
		expect_exclusion(lock, TURNS, &yes);
}

/* Each turn may cost a time slice here. */
static void test_mutual_exclusion_of_spinners(void **state)
{
	(void)state;
	for (int lock = 0; lock < LOCKS; lock++)
		expect_exclusion(lock, FEW_TURNS, &no);
}

/* Whether so many wait behind us, the last of whom is w. */
static bool queued(const struct worker *w, uint32_t waiters)
{
	if (w->lock == TICKET)
		return atomic_load(&locks.ticket.next) - atomic_load(&locks.ticket.serving) ==
		       waiters + 1;
	return atomic_load(&locks.mcs.tail) == &w->node;
}

static void test_first_come_first_served(void **state)
{
	static struct worker holder, workers[THREADS];

	(void)state;
	for (int lock = TICKET; lock <= MCS; lock++) {
		guarded.entered = 0;
		holder = (struct worker){.lock = lock, .patience = {&yes, 0}};
		acquire(&holder);
		for (int i = 0; i < THREADS; i++) {
			start(&workers[i], lock, i, 1, &yes);
			while (!queued(&workers[i], (uint32_t)i + 1))
				sched_yield();
		}
		release(&holder);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(guarded.order[i], i);
	}
}

static void test_free_locks_are_taken_at_once(void **state)
{
	static struct worker alone;

	(void)state;
	for (int lock = 0; lock < LOCKS; lock++) {
		alone = (struct worker){.lock = lock, .turns = TURNS, .patience = {&yes, 0}};
		take_turns(&alone);
		assert_int_equal(alone.patience.yields, 0);
	}
	assert_int_equal(atomic_load(&locks.futex.state), FUTEX_FREE);
	assert_null(atomic_load(&locks.mcs.tail));
}

static void test_patience(void **state)
{
	struct patience patience = {&no, 0};

	(void)state;
	lock_pause(NULL);
	lock_pause(&patience);
	assert_int_equal(patience.yields, 0);
	patience.over = &yes;
	lock_pause(&patience);
	assert_int_equal(patience.yields, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutual_exclusion),
		cmocka_unit_test(test_mutual_exclusion_of_spinners),
		cmocka_unit_test(test_first_come_first_served),
		cmocka_unit_test(test_free_locks_are_taken_at_once),
		cmocka_unit_test(test_patience),
	};

	alarm(240); /* a wake-up that is lost would hang */
	return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
