/* SPDX-License-Identifier: MIT */
/*
 * coroutine.h - many threads of control in one thread: each has a connection and a stack of its own, and
 * where it would wait it switches to the thread's loop.
 */
#ifndef COROUTINE_H
#define COROUTINE_H

#include "conn.h"

struct coroutine;

/*
 * A coroutine of the calling thread, in which the first coroutine_resume() calls serve(conn).  When that
 * returns, the coroutine has ended, and its stack is kept for the next one.  NULL = there is no memory.
 */
struct coroutine *coroutine_new(void (*serve)(struct conn *conn), struct conn *conn);

/* From the loop: runs it until it waits or has ended. */
void coroutine_resume(struct coroutine *coroutine);

/* The one that runs. */
struct coroutine *coroutine_self(void);

/* From a coroutine: waits until it is resumed. */
void coroutine_wait(void);

/* Why this build has none, or NULL. */
const char *coroutine_missing(void);

#endif
