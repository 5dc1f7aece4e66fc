/* SPDX-License-Identifier: MIT */
/*
 * thread.h - what the kernel says of a thread of this process while it runs.
 */
#ifndef THREAD_H
#define THREAD_H

#include <sys/types.h>

/*
 * Its state, by its kernel id (gettid(2)): R on a CPU or waiting for one, S asleep, D asleep and not
 * to be disturbed ... (proc(5)); ? for a thread that has ended or has not begun.
 */
char thread_state(pid_t tid);

#endif
