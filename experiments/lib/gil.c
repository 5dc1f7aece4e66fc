/* SPDX-License-Identifier: MIT */
/*
 * gil.c - CPython's lock in its own steps, and a loop that interprets bytecode under it.
 */
#include <string.h>

#include "check.h"
#include "gil.h"
#include "span.h"

const char *const gil_op_names[GIL_OPS] = {[GIL_FOR_ITER] = "FOR_ITER",
					   [GIL_LOAD_GLOBAL] = "LOAD_GLOBAL",
					   [GIL_LOAD_OBJECT] = "LOAD_OBJECT",
					   [GIL_LOAD_CONST] = "LOAD_CONST",
					   [GIL_LOAD_FAST] = "LOAD_FAST",
					   [GIL_STORE_FAST] = "STORE_FAST",
					   [GIL_LOAD_ATTR] = "LOAD_ATTR",
					   [GIL_BINARY_SUBSCR] = "BINARY_SUBSCR",
					   [GIL_CALL] = "CALL",
					   [GIL_INPLACE_ADD] = "INPLACE_ADD",
					   [GIL_STORE_GLOBAL] = "STORE_GLOBAL",
					   [GIL_STORE_ATTR] = "STORE_ATTR",
					   [GIL_STORE_SUBSCR] = "STORE_SUBSCR",
					   [GIL_ACQUIRE] = "ACQUIRE",
					   [GIL_RELEASE] = "RELEASE",
					   [GIL_JUMP] = "JUMP"};

const struct gil_program gil_programs[GIL_PROGRAMS] = {
	[GIL_PLAIN] = {"plain",
		       "x += 1",
		       {GIL_FOR_ITER, GIL_LOAD_GLOBAL, GIL_LOAD_CONST, GIL_INPLACE_ADD,
			GIL_STORE_GLOBAL, GIL_JUMP}},
	[GIL_CALLS] = {"call",
		       "x += f()",
		       {GIL_FOR_ITER, GIL_LOAD_GLOBAL, GIL_LOAD_OBJECT, GIL_CALL, GIL_INPLACE_ADD,
			GIL_STORE_GLOBAL, GIL_JUMP}},
	[GIL_CALL_FIRST] = {"call-first",
			    "x = f() + x",
			    {GIL_FOR_ITER, GIL_LOAD_OBJECT, GIL_CALL, GIL_LOAD_GLOBAL,
			     GIL_INPLACE_ADD, GIL_STORE_GLOBAL, GIL_JUMP}},
	[GIL_SPLIT] = {"split",
		       "t = x; x = t + 1",
		       {GIL_FOR_ITER, GIL_LOAD_GLOBAL, GIL_STORE_FAST, GIL_LOAD_FAST,
			GIL_LOAD_CONST, GIL_INPLACE_ADD, GIL_STORE_GLOBAL, GIL_JUMP}},
	[GIL_ATTRIBUTE] = {"attribute",
			   "object.x += 1",
			   {GIL_FOR_ITER, GIL_LOAD_OBJECT, GIL_LOAD_ATTR, GIL_LOAD_CONST,
			    GIL_INPLACE_ADD, GIL_STORE_ATTR, GIL_JUMP}},
	[GIL_ITEM] = {"item",
		      "list[0] += 1",
		      {GIL_FOR_ITER, GIL_LOAD_OBJECT, GIL_BINARY_SUBSCR, GIL_LOAD_CONST,
		       GIL_INPLACE_ADD, GIL_STORE_SUBSCR, GIL_JUMP}},
	[GIL_LOCKED] = {"locked",
			"with lock: x += 1",
			{GIL_FOR_ITER, GIL_ACQUIRE, GIL_LOAD_GLOBAL, GIL_LOAD_CONST,
			 GIL_INPLACE_ADD, GIL_STORE_GLOBAL, GIL_RELEASE, GIL_JUMP}},
};

/* --- the lock ------------------------------------------------------------ */

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t how;

	check(pthread_condattr_init(&how), "pthread_condattr_init");
	check(pthread_condattr_setclock(&how, CLOCK_MONOTONIC), "pthread_condattr_setclock");
	check(pthread_cond_init(cond, &how), "pthread_cond_init");
	pthread_condattr_destroy(&how);
}

void gil_init(struct gil *gil, enum gil_policy policy, int64_t interval_us, bool forced_switching)
{
	memset(gil, 0, sizeof(*gil));
	gil->policy = policy;
	gil->interval_ns = interval_us * 1000;
	gil->forced_switching = forced_switching && policy != GIL_27;
	gil->ticker = GIL_TICKS;
	check(pthread_mutex_init(&gil->mutex, NULL), "pthread_mutex_init");
	check(pthread_mutex_init(&gil->switch_mutex, NULL), "pthread_mutex_init");
	cond_init(&gil->cond);
	cond_init(&gil->switch_cond);
}

void gil_destroy(struct gil *gil)
{
	pthread_cond_destroy(&gil->switch_cond);
	pthread_cond_destroy(&gil->cond);
	pthread_mutex_destroy(&gil->switch_mutex);
	pthread_mutex_destroy(&gil->mutex);
}

void gil_log(struct gil *gil, struct gil_hold *holds, size_t room)
{
	gil->holds = holds;
	gil->holds_room = room;
	gil->holds_n = 0;
}

int64_t gil_switches(const struct gil *gil)
{
	return gil->switch_number > 0 ? gil->switch_number - 1 : 0;
}

/* Waits until the lock was dropped, or asks for it after an interval in which it stayed put. */
static void wait_for_drop(struct gil *gil)
{
	int64_t number = gil->switch_number;
	int64_t until_ns = span_now() + gil->interval_ns;
	struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};

	if (gil->policy == GIL_27)
		check(pthread_cond_wait(&gil->cond, &gil->mutex), "pthread_cond_wait");
	else if (pthread_cond_timedwait(&gil->cond, &gil->mutex, &until) == ETIMEDOUT &&
		 gil->locked && gil->switch_number == number)
		atomic_store_explicit(&gil->drop_request, true, memory_order_relaxed);
}

static void new_holder(struct gil *gil, struct gil_thread *thread)
{
	gil->last_holder = thread;
	gil->switch_number++;
	if (gil->holds_n < gil->holds_room)
		gil->holds[gil->holds_n++] =
			(struct gil_hold){.thread = thread->number, .begin_ns = span_now()};
}

void gil_take(struct gil_thread *thread)
{
	struct gil *gil = thread->gil;

	if (gil->policy == GIL_NONE)
		return;
	pthread_mutex_lock(&gil->mutex);
	while (gil->locked)
		wait_for_drop(gil);
	pthread_mutex_lock(&gil->switch_mutex);
	gil->locked = true;
	if (gil->last_holder != thread)
		new_holder(gil, thread);
	pthread_cond_signal(&gil->switch_cond);
	pthread_mutex_unlock(&gil->switch_mutex);
	atomic_store_explicit(&gil->drop_request, false, memory_order_relaxed);
	pthread_mutex_unlock(&gil->mutex);
}

void gil_drop(struct gil_thread *thread)
{
	struct gil *gil = thread->gil;

	if (gil->policy == GIL_NONE)
		return;
	if (gil->holds_n > 0 && (int64_t)gil->holds_n == gil->switch_number) /* not full */
		gil->holds[gil->holds_n - 1].end_ns = span_now();
	pthread_mutex_lock(&gil->mutex);
	gil->locked = false;
	pthread_cond_signal(&gil->cond);
	pthread_mutex_unlock(&gil->mutex);
	if (!gil->forced_switching ||
	    !atomic_load_explicit(&gil->drop_request, memory_order_relaxed))
		return;
	pthread_mutex_lock(&gil->switch_mutex);
	while (gil->last_holder == thread) { /* whoever asked is still to take it */
		atomic_store_explicit(&gil->drop_request, false, memory_order_relaxed);
		check(pthread_cond_wait(&gil->switch_cond, &gil->switch_mutex),
		      "pthread_cond_wait");
	}
	pthread_mutex_unlock(&gil->switch_mutex);
}

/* --- the check points ---------------------------------------------------- */

bool gil_checks(enum gil_policy policy, enum gil_op op)
{
	switch (op) {
	case GIL_JUMP:
	case GIL_CALL:
	case GIL_ACQUIRE:
	case GIL_RELEASE:
		return policy != GIL_NONE;
	case GIL_LOAD_CONST:
	case GIL_LOAD_FAST:
	case GIL_STORE_FAST:
		return false;
	default:
		return policy == GIL_27 || policy == GIL_UPTO_39;
	}
}

/* Kept out of the loop, which runs it once in many thousand opcodes. */
__attribute__((noinline)) static void let_others_run(struct gil_thread *thread, enum gil_op op)
{
	thread->drops[op]++;
	thread->drops_inside += thread->inside;
	gil_drop(thread);
	gil_take(thread);
}

bool gil_check(struct gil_thread *thread, enum gil_op op)
{
	struct gil *gil = thread->gil;

	if (!gil_checks(gil->policy, op))
		return false;
	if (gil->policy == GIL_27) {
		if (--gil->ticker >= 0)
			return false;
		gil->ticker = GIL_TICKS;
	} else if (!atomic_load_explicit(&gil->drop_request, memory_order_relaxed)) {
		return false;
	}
	let_others_run(thread, op);
	return true;
}

/* --- the bytecode loop --------------------------------------------------- */

/*
 * What an opcode costs, in units of 2 to 3 ns.  The request to drop the lock comes at any time,
 * so the share of drops after an opcode is its share of the time: these are about CPython 3.8's.
 */
static const unsigned char costs[GIL_OPS] = {
	[GIL_FOR_ITER] = 3,     [GIL_LOAD_GLOBAL] = 4,   [GIL_LOAD_OBJECT] = 4,
	[GIL_LOAD_CONST] = 1,   [GIL_LOAD_FAST] = 1,     [GIL_STORE_FAST] = 1,
	[GIL_LOAD_ATTR] = 5,    [GIL_BINARY_SUBSCR] = 4, [GIL_CALL] = 12,
	[GIL_INPLACE_ADD] = 5,  [GIL_STORE_GLOBAL] = 4,  [GIL_STORE_ATTR] = 5,
	[GIL_STORE_SUBSCR] = 5, [GIL_ACQUIRE] = 12,      [GIL_RELEASE] = 12,
	[GIL_JUMP] = 1,
};

/*
 * The work: multiplications that each need the one before, also that of the opcode before, so that
 * neither the compiler nor a CPU that looks ahead can overlap them.
 */
static inline uint64_t spend(uint64_t chain, enum gil_op op)
{
	for (int i = 0; i < 2 * costs[op]; i++)
		chain = (chain ^ (chain >> 30)) * 0xbf58476d1ce4e5b9U;
	__asm__ volatile("" : "+r"(chain));
	return chain;
}

static int64_t load(struct gil_thread *thread)
{
	thread->inside = true;
	return atomic_load_explicit(&thread->data->x, memory_order_relaxed);
}

static void store(struct gil_thread *thread, int64_t value)
{
	thread->inside = false;
	atomic_store_explicit(&thread->data->x, value, memory_order_relaxed);
}

/* lock.acquire(): only a lock that is not free is waited for, and without the GIL. */
static void acquire(struct gil_thread *thread)
{
	pthread_mutex_t *lock = &thread->data->lock;

	if (pthread_mutex_trylock(lock) == 0)
		return;
	gil_io_begin(thread);
	check(pthread_mutex_lock(lock), "pthread_mutex_lock");
	gil_io_end(thread);
}

static bool stopped(const struct gil_thread *thread)
{
	return thread->stop && atomic_load_explicit(thread->stop, memory_order_relaxed);
}

int64_t gil_run(struct gil_thread *thread, const struct gil_program *program, int64_t n,
		int64_t step)
{
	int64_t stack[4] = {0};
	int64_t *top = stack;
	int64_t local = 0;
	uint64_t work = 1;
	int64_t i = 0;

	for (const enum gil_op *op = program->code;;) {
		work = spend(work, *op);
		switch (*op) {
		case GIL_FOR_ITER:
			if (i == n || stopped(thread))
				return i;
			i++;
			break;
		case GIL_LOAD_GLOBAL:
			*++top = load(thread);
			break;
		case GIL_LOAD_OBJECT:
			*++top = 0;
			break;
		case GIL_LOAD_CONST:
			*++top = step;
			break;
		case GIL_LOAD_FAST:
			*++top = local;
			break;
		case GIL_STORE_FAST:
			local = *top--;
			break;
		case GIL_LOAD_ATTR:
		case GIL_BINARY_SUBSCR:
			*top = load(thread);
			break;
		case GIL_CALL:
			*top = step;
			break;
		case GIL_INPLACE_ADD:
			top--;
			*top += top[1];
			break;
		case GIL_STORE_GLOBAL:
		case GIL_STORE_ATTR:
		case GIL_STORE_SUBSCR:
			store(thread, *top--);
			break;
		case GIL_ACQUIRE:
			acquire(thread);
			break;
		case GIL_RELEASE:
			check(pthread_mutex_unlock(&thread->data->lock), "pthread_mutex_unlock");
			break;
		default: /* GIL_JUMP */
			break;
		}
		gil_check(thread, *op);
		op = *op == GIL_JUMP ? program->code : op + 1;
	}
}

void gil_data_init(struct gil_data *data)
{
	atomic_init(&data->x, 0);
	check(pthread_mutex_init(&data->lock, NULL), "pthread_mutex_init");
}

void gil_data_destroy(struct gil_data *data)
{
	pthread_mutex_destroy(&data->lock);
}
