/* SPDX-License-Identifier: MIT */
/*
 * counting.h - counting.py, in which threads of a Python count up and down, and what it says.
 */
#ifndef COUNTING_H
#define COUNTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "python.h"

#define COUNTING "gil/counting.py"

struct counted {
	int64_t updates;    /* by all threads */
	int64_t elapsed_ns; /* from the first one's begin to the last one's end */
	int64_t cpu_ns;     /* of the threads; -1 = the kernel does not tell */
	int64_t wrong;      /* x at the end, minus what is right */
};

/*
 * Runs it with these arguments, ended by NULL, of which the last n are what is counted.  False if the
 * run was stopped; ends the process if it failed.
 */
bool counting_run(const struct python *python, const char *const *arguments,
		  struct counted counted[], size_t n);

#endif
