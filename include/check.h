/* SPDX-License-Identifier: MIT */
/*
 * check.h - turn a failed call into one line on stderr and exit status 2 (EXIT_USAGE in exp.h).
 *
 * For calls whose failure means that this environment cannot run the experiment.  A failure that
 * is the experiment's subject (EAGAIN, ECONNREFUSED) is handled where it happens.
 */
#ifndef CHECK_H
#define CHECK_H

#include <err.h>
#include <errno.h>

/* For calls that return 0 or an error number: check(pthread_create(...), "pthread_create"). */
static inline void check(int error, const char *call)
{
	if (error == 0)
		return;
	errno = error;
	err(2, "%s", call);
}

/* For calls that return -1 and set errno: fd = check_fd(socket(...), "socket"). */
static inline int check_fd(int result, const char *call)
{
	if (result < 0)
		err(2, "%s", call);
	return result;
}

/* For memory: buffer = check_alloc(malloc(size)). */
static inline void *check_alloc(void *memory)
{
	if (!memory)
		err(2, "no memory");
	return memory;
}

#endif
