/* SPDX-License-Identifier: MIT */
/*
 * gil.h - a model of CPython's global interpreter lock (GIL), and a small bytecode loop under it.
 *
 * The lock is a flag that a mutex guards, and a condition to wait for it.  Since CPython 3.2 a
 * thread that wants it waits for one switch interval; if the lock changed hands meanwhile it waits
 * again, else it sets drop_request.  The holder looks at that request after some opcodes only:
 * its check points.  There it drops the lock, waits until another thread has taken it ("forced
 * switching") and queues up again.  Which opcodes are check points differs from version to
 * version, and decides whether x += 1 can be cut in two.
 *
 *	struct gil gil;
 *	struct gil_data data;
 *	struct gil_thread thread = {.gil = &gil, .data = &data};
 *
 *	gil_init(&gil, GIL_UPTO_39, 5000, true);
 *	gil_take(&thread);
 *	gil_run(&thread, &gil_programs[GIL_PLAIN], 1000000, +1);
 *	gil_drop(&thread);
 *
 * The model locks as CPython does, and so it waits as CPython does.  x is a relaxed atomic that is
 * loaded and stored in separate opcodes: lost updates without a data race.
 */
#ifndef GIL_H
#define GIL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gil_policy {
	GIL_NONE,     /* no lock at all: threads run freely and nothing protects the data */
	GIL_27,       /* a global ticker of 100 opcodes; release, take again at once; no timer */
	GIL_UPTO_39,  /* CPython 3.2 to 3.9: timer and drop request; most opcodes check */
	GIL_FROM_310, /* the same lock; only a backward jump and a call check */
};

enum {
	GIL_INTERVAL_US = 5000, /* sys.getswitchinterval() */
	GIL_TICKS = 100,        /* sys.getcheckinterval() of 2.7 */
};

/*
 * The opcodes.  What only moves values inside the thread (DUP_TOP, ROT_TWO ...) checks in no
 * version and is left out.
 */
enum gil_op {
	GIL_FOR_ITER,      /* the next i of range(n), or the end */
	GIL_LOAD_GLOBAL,   /* push x */
	GIL_LOAD_OBJECT,   /* LOAD_GLOBAL of what is not x: a function, an object, a list */
	GIL_LOAD_CONST,    /* push the step, +1 or -1 */
	GIL_LOAD_FAST,     /* push the local t */
	GIL_STORE_FAST,    /* pop into the local t */
	GIL_LOAD_ATTR,     /* object.x: replace the object by x */
	GIL_BINARY_SUBSCR, /* list[0]: replace the list by x */
	GIL_CALL,          /* f(): replace the function by what it returns, the step */
	GIL_INPLACE_ADD,   /* pop two, push their sum */
	GIL_STORE_GLOBAL,  /* pop into x */
	GIL_STORE_ATTR,    /* pop into object.x */
	GIL_STORE_SUBSCR,  /* pop into list[0] */
	GIL_ACQUIRE,       /* call lock.acquire(): the program's own lock */
	GIL_RELEASE,       /* call lock.release() */
	GIL_JUMP,          /* JUMP_ABSOLUTE back to FOR_ITER */
	GIL_OPS
};

extern const char *const gil_op_names[GIL_OPS]; /* "FOR_ITER", ... */

/* Loops of one line, as CPython's compiler lays them out.  x is the same datum in all of them. */
enum gil_programs {
	GIL_PLAIN,      /* x += 1, the notes' program */
	GIL_CALLS,      /* x += f() */
	GIL_CALL_FIRST, /* x = f() + x: the call comes before the load */
	GIL_SPLIT,      /* t = x; x = t + 1 */
	GIL_ATTRIBUTE,  /* object.x += 1 */
	GIL_ITEM,       /* list[0] += 1 */
	GIL_LOCKED,     /* with lock: x += 1 (the control) */
	GIL_PROGRAMS
};

struct gil_program {
	const char *name;     /* "plain" */
	const char *python;   /* "x += 1" */
	enum gil_op code[12]; /* FOR_ITER first, JUMP last */
};

extern const struct gil_program gil_programs[GIL_PROGRAMS];

/* Who held the lock from when to when, CLOCK_MONOTONIC. */
struct gil_hold {
	int thread; /* its gil_thread's number */
	int64_t begin_ns, end_ns;
};

struct gil_thread;

/* One interpreter's lock. */
struct gil {
	enum gil_policy policy;
	int64_t interval_ns;
	bool forced_switching;

	pthread_mutex_t mutex; /* guards locked; drop_request and switch_number are written in it */
	pthread_cond_t cond;   /* the lock was dropped */
	bool locked;
	atomic_bool drop_request;
	int64_t switch_number; /* how often another thread than the last one took the lock */

	pthread_mutex_t switch_mutex; /* guards last_holder */
	pthread_cond_t switch_cond;   /* the lock was taken */
	struct gil_thread *last_holder;

	int ticker; /* of GIL_27; the holder's */

	struct gil_hold *holds; /* a log, if asked for; the holder's */
	size_t holds_n, holds_room;
};

/* What the programs of all threads share. */
struct gil_data {
	_Atomic int64_t x;
	pthread_mutex_t lock; /* the program's own, of GIL_LOCKED */
};

/* A thread of the interpreter.  Zero all but the first group. */
struct gil_thread {
	struct gil *gil;
	struct gil_data *data;   /* for gil_run() */
	int number;              /* 0, 1, ...: for the log */
	const atomic_bool *stop; /* gil_run() ends early once it is true; NULL = never */

	bool inside;            /* x was loaded and is not stored yet */
	int64_t drops[GIL_OPS]; /* how often it dropped the lock after each opcode */
	int64_t drops_inside;   /* of these, between the load of x and its store */
};

/* Ends the process with status 2 if the environment refuses it. */
void gil_init(struct gil *gil, enum gil_policy policy, int64_t interval_us, bool forced_switching);
void gil_destroy(struct gil *gil);

/*
 * Logs who holds the lock into holds[0 ... room), until that is full.  Call it before there are
 * threads; the log is gil->holds_n long and may be read when they have ended.  What a thread holds
 * until another one takes the lock is one entry, also if it dropped the lock and got it back.
 */
void gil_log(struct gil *gil, struct gil_hold *holds, size_t room);

/* How often the lock went from one thread to another: the first taker is no switch. */
int64_t gil_switches(const struct gil *gil);

/* Waits for the lock and takes it.  With GIL_NONE, like all of these, does nothing. */
void gil_take(struct gil_thread *thread);

/* Gives the lock up; forced switching then waits for another taker if one asked for the lock. */
void gil_drop(struct gil_thread *thread);

/* Around a system call that may block: drop the lock, call, take it again. */
static inline void gil_io_begin(struct gil_thread *thread)
{
	gil_drop(thread);
}

static inline void gil_io_end(struct gil_thread *thread)
{
	gil_take(thread);
}

/* Whether the eval loop looks for a request after this opcode. */
bool gil_checks(enum gil_policy policy, enum gil_op op);

/*
 * The eval loop's check point after an opcode of a thread that holds the lock: if this opcode
 * checks, and the lock is asked for (2.7: the ticker has run out), drops and takes it.  True if it
 * did.
 */
bool gil_check(struct gil_thread *thread, enum gil_op op);

/*
 * Interprets the program's loop n times, or until *stop; the thread must hold the lock.  Returns
 * the iterations done.  An opcode costs about the share of time that CPython 3.8 spends in it, and
 * an iteration of GIL_PLAIN some 45 ns, by a constant amount of arithmetic: no clock, no sleep.
 */
int64_t gil_run(struct gil_thread *thread, const struct gil_program *program, int64_t n,
		int64_t step);

/* x = 0 and a free lock. */
void gil_data_init(struct gil_data *data);
void gil_data_destroy(struct gil_data *data);

#endif
