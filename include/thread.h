/* SPDX-License-Identifier: MIT */
/*
 * thread.h - what the kernel says of a thread of this process, or of a child, while it runs.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * Its state, by its kernel id (gettid(2)): R on a CPU or waiting for one, S asleep, D asleep and not
 * to be disturbed ... (proc(5)); ? for a thread that has ended or has not begun.
 */
char thread_state(pid_t tid);

/* The same of the first thread of another process. */
char process_state(pid_t pid);

/*
 * Waits until a thread sleeps, at three looks half a millisecond apart.  It stores its id when it
 * is about to call what blocks, and that it has returned.  False if that came first, or if the run
 * was stopped.
 */
bool thread_await_sleep(const atomic_int *tid, const atomic_bool *returned);

#endif
