/* SPDX-License-Identifier: MIT */
/*
 * steps.h - how many instructions a function executes, counted one by one: what a compiler made of a
 * loop is told by the code, not by its speed.
 */
#ifndef STEPS_H
#define STEPS_H

#include <stdint.h>

/*
 * Runs call(argument) in a forked child and counts the instructions it executes (ptrace(2),
 * PTRACE_SINGLESTEP), those of this library's own call among them: a few dozen.  Stops counting at
 * `most`.  -1 with errno where this machine does not allow it.
 */
int64_t steps_count(void (*call)(void *argument), void *argument, int64_t most);

#endif
