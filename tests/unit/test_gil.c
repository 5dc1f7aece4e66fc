/* SPDX-License-Identifier: MIT */
/*
 * test_gil - the model of CPython's lock keeps all others out, is dropped at check points only, and
 * changes hands when it is asked for; the programs compute what Python would.
 *
 * What threads guard by the lock here is plain memory: with SAN=thread a lock that lets two in ends
 * the program.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gil.h"
#include "span.h"

enum { THREADS = 4, TURNS = 2000, SHORT_US = 200, ROOM = 10000, ENOUGH_SWITCHES = 20 };

static const enum gil_policy locking[] = {GIL_27, GIL_UPTO_39, GIL_FROM_310};

static struct gil gil;
static struct gil_data data;
static struct gil_hold holds[ROOM];

struct worker {
	pthread_t thread;
	struct gil_thread vm;
	const struct gil_program *program;
	int64_t n, step, done;
};

static void begin(enum gil_policy policy, int64_t interval_us)
{
	gil_init(&gil, policy, interval_us, true);
	gil_data_init(&data);
}

static void end(void)
{
	gil_data_destroy(&data);
	gil_destroy(&gil);
}

static void *interpret(void *argument)
{
	struct worker *w = argument;

	gil_take(&w->vm);
	w->done = gil_run(&w->vm, w->program, w->n, w->step);
	gil_drop(&w->vm);
	return NULL;
}

static struct worker worker(int number, enum gil_programs program, int64_t n, int64_t step)
{
	return (struct worker){.vm = {.gil = &gil, .data = &data, .number = number},
			       .program = &gil_programs[program],
			       .n = n,
			       .step = step};
}

static int64_t drops_of(const struct worker *w)
{
	int64_t sum = 0;

	for (int op = 0; op < GIL_OPS; op++)
		sum += w->vm.drops[op];
	return sum;
}

/*
 * Two threads, +1 and -1, that run side by side for some switches, also on a machine that is slow
 * to make them.  Returns x less what a safe program ends at.
 */
static int64_t race(enum gil_programs program, struct worker workers[2])
{
	atomic_bool stop = false;
	int64_t begin_ns = span_now();

	for (int i = 0; i < 2; i++) {
		workers[i] = worker(i, program, INT64_MAX, i ? -1 : 1);
		workers[i].vm.stop = &stop;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, interpret, &workers[i]),
				 0);
	}
	while (span_now() - begin_ns < 2000000000) {
		const struct timespec pause = {0, 1000000};
		int64_t switches;

		nanosleep(&pause, NULL);
		pthread_mutex_lock(&gil.mutex);
		switches = gil.switch_number;
		pthread_mutex_unlock(&gil.mutex);
		if (switches > ENOUGH_SWITCHES)
			break;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	return data.x - (workers[0].done - workers[1].done);
}

static void test_check_points(void **state)
{
	(void)state;
	for (enum gil_op op = 0; op < GIL_OPS; op++) {
		bool calls =
			op == GIL_JUMP || op == GIL_CALL || op == GIL_ACQUIRE || op == GIL_RELEASE;

		assert_non_null(gil_op_names[op]);
		assert_false(gil_checks(GIL_NONE, op));
		assert_int_equal(gil_checks(GIL_FROM_310, op), calls);
		assert_int_equal(gil_checks(GIL_UPTO_39, op), gil_checks(GIL_27, op));
	}
	assert_true(gil_checks(GIL_UPTO_39, GIL_LOAD_GLOBAL));
	assert_true(gil_checks(GIL_UPTO_39, GIL_INPLACE_ADD));
	assert_true(gil_checks(GIL_UPTO_39, GIL_STORE_GLOBAL));
	assert_false(gil_checks(GIL_UPTO_39, GIL_LOAD_CONST));
}

/* Every program adds its step in each iteration, and a thread that is alone is never asked. */
static void test_alone(void **state)
{
	(void)state;
	for (int program = 0; program < GIL_PROGRAMS; program++) {
		struct worker w;

		assert_int_equal(gil_programs[program].code[0], GIL_FOR_ITER);
		begin(GIL_UPTO_39, SHORT_US);
		w = worker(0, program, TURNS, -3);
		interpret(&w);
		assert_int_equal(w.done, TURNS);
		assert_int_equal(data.x, -3 * TURNS);
		assert_false(w.vm.inside);
		assert_int_equal(drops_of(&w), 0);
		assert_int_equal(gil_switches(&gil), 0);
		end();
	}
}

/* 2.7 counts opcodes that check, five in an iteration, from 100 to below 0. */
static void test_ticker(void **state)
{
	static const enum gil_op checking[] = {GIL_FOR_ITER, GIL_LOAD_GLOBAL, GIL_INPLACE_ADD,
					       GIL_STORE_GLOBAL, GIL_JUMP};
	struct worker w;

	(void)state;
	begin(GIL_27, SHORT_US);
	w = worker(0, GIL_PLAIN, 101000, 1);
	interpret(&w);
	assert_int_equal(drops_of(&w), 5000);
	for (size_t i = 0; i < sizeof(checking) / sizeof(checking[0]); i++)
		assert_int_equal(w.vm.drops[checking[i]], 1000);
	assert_int_equal(w.vm.drops_inside, 2000);
	assert_int_equal(gil_switches(&gil), 0);
	end();
}

static struct {
	int inside, most_inside, entered;
} guarded;

static void *enter(void *argument)
{
	struct gil_thread *vm = argument;

	for (int i = 0; i < TURNS; i++) {
		gil_take(vm);
		guarded.most_inside += ++guarded.inside > 1;
		guarded.entered++;
		guarded.inside--;
		gil_drop(vm);
	}
	return NULL;
}

static void test_keeps_others_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(locking) / sizeof(locking[0]); i++) {
		struct worker workers[THREADS];

		guarded.inside = guarded.most_inside = guarded.entered = 0;
		begin(locking[i], SHORT_US);
		for (int k = 0; k < THREADS; k++) {
			workers[k] = worker(k, GIL_PLAIN, 0, 0);
			assert_int_equal(
				pthread_create(&workers[k].thread, NULL, enter, &workers[k].vm), 0);
		}
		for (int k = 0; k < THREADS; k++)
			assert_int_equal(pthread_join(workers[k].thread, NULL), 0);
		assert_int_equal(guarded.most_inside, 0);
		assert_int_equal(guarded.entered, THREADS * TURNS);
		end();
	}
}

/* From 3.10 on the lock is dropped after a store, or after a call that comes before the load. */
static void test_exact_from_310(void **state)
{
	static const enum gil_programs exact[] = {GIL_PLAIN,     GIL_CALL_FIRST, GIL_SPLIT,
						  GIL_ATTRIBUTE, GIL_ITEM,       GIL_LOCKED};

	(void)state;
	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
		struct worker workers[2];

		begin(GIL_FROM_310, SHORT_US);
		assert_int_equal(race(exact[i], workers), 0);
		if (exact[i] != GIL_LOCKED)
			assert_int_equal(workers[0].vm.drops_inside + workers[1].vm.drops_inside,
					 0);
		end();
	}
}

static void test_a_lock_of_its_own_is_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(locking) / sizeof(locking[0]); i++) {
		struct worker workers[2];

		begin(locking[i], SHORT_US);
		assert_int_equal(race(GIL_LOCKED, workers), 0);
		end();
	}
}

/* Forced switching: whoever was asked to drop the lock is not the next to take it. */
static void test_each_drop_is_a_switch(void **state)
{
	struct worker workers[2];

	(void)state;
	begin(GIL_UPTO_39, SHORT_US);
	race(GIL_PLAIN, workers);
	assert_true(gil_switches(&gil) >= drops_of(&workers[0]) + drops_of(&workers[1]));
	end();
}

static void test_log(void **state)
{
	struct worker workers[2];

	(void)state;
	begin(GIL_UPTO_39, SHORT_US);
	gil_log(&gil, holds, ROOM);
	race(GIL_PLAIN, workers);
	assert_true((int64_t)gil.holds_n == gil_switches(&gil) + 1 || gil.holds_n == ROOM);
	for (size_t i = 0; i < gil.holds_n; i++) {
		assert_true(holds[i].begin_ns <= holds[i].end_ns);
		if (i > 0) {
			assert_true(holds[i - 1].end_ns <= holds[i].begin_ns);
			assert_int_not_equal(holds[i - 1].thread, holds[i].thread);
		}
	}
	end();
}

/* What does not fit is not logged, and does not change what was. */
static void test_log_is_full(void **state)
{
	struct gil_thread a = {.gil = &gil, .number = 7};
	struct gil_thread b = {.gil = &gil, .number = 8};

	(void)state;
	begin(GIL_UPTO_39, SHORT_US);
	gil_log(&gil, holds, 1);
	gil_take(&a);
	gil_io_begin(&a);
	gil_take(&b);
	gil_drop(&b);
	gil_io_end(&a);
	gil_drop(&a);
	assert_int_equal(gil.holds_n, 1);
	assert_int_equal(holds[0].thread, 7);
	assert_int_equal(gil_switches(&gil), 2);
	end();
}

static void test_without_a_lock(void **state)
{
	struct gil_thread a = {.gil = &gil};
	struct gil_thread b = {.gil = &gil};

	(void)state;
	begin(GIL_NONE, SHORT_US);
	gil_take(&a);
	gil_take(&b);
	assert_false(gil_check(&a, GIL_JUMP));
	gil_drop(&b);
	gil_drop(&a);
	assert_int_equal(gil_switches(&gil), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_points),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_ticker),
		cmocka_unit_test(test_keeps_others_out),
		cmocka_unit_test(test_exact_from_310),
		cmocka_unit_test(test_a_lock_of_its_own_is_exact),
		cmocka_unit_test(test_each_drop_is_a_switch),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_log_is_full),
		cmocka_unit_test(test_without_a_lock),
	};

	return cmocka_run_group_tests_name("gil", tests, NULL, NULL);
}
