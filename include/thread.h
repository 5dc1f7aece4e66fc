/* SPDX-License-Identifier: MIT */
/*
 * thread.h - what the kernel says of a thread of this process, or of a child, while it runs.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Its state, by its kernel id (gettid(2)): R on a CPU or waiting for one, S asleep, D asleep and not
 * to be disturbed ... (proc(5)); ? for a thread that has ended or has not begun.
 */
char thread_state(pid_t tid);

/* The same of the first thread of another process. */
char process_state(pid_t pid);

/*
 * For how long it has run, up to the last tick of the kernel's clock if it still does, and for how long
 * it could have run but did not: ready, its run delay, up to when it last began to run.
 */
struct thread_counts {
	int64_t running_ns, ready_ns;
};

/* By its kernel id; false where the kernel does not count (CONFIG_SCHED_INFO), or the thread has not run. */
bool thread_count(pid_t tid, struct thread_counts *counts);

/*
 * Waits until a thread sleeps, at three looks half a millisecond apart.  It stores its id when it
 * is about to call what blocks, and that it has returned.  False if that came first, or if the run
 * was stopped.
 */
bool thread_await_sleep(const atomic_int *tid, const atomic_bool *returned);

#endif
