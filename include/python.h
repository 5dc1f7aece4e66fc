/* SPDX-License-Identifier: MIT */
/*
 * python.h - the Python interpreters of this machine, and scripts run in them.
 *
 * A child runs with its own process group, no standard input, no PYTHON* settings, no signal
 * blocked, and is killed when the thread that started it ends, so that none outlives the program:
 * the main thread starts them.
 */
#ifndef PYTHON_H
#define PYTHON_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PYTHONS = 16 }; /* the most that are found */

struct python {
	char path[PATH_MAX];
	char name[24]; /* "3.9.18"; "3.13.0t" without a GIL; "3.11.2b" is the second 3.11.2;
			  "pypy3.9.16" is PyPy with the language of 3.9.16 */
	char kind[16]; /* "cpython", "pypy", "jython" ... */
	int major, minor, micro;
	bool gil;
	const char *x_option; /* what follows -X; NULL = none */
};

/*
 * Finds CPythons, the oldest first, and returns how many.  From a comma-separated list of
 * paths or commands each must be a CPython, else the process ends with status 2; for NULL
 * python, python2, python3 and python3.N of PATH and of the version managers' folders are tried.
 * Scripts (shims) only count if there is nothing else.  Each is run once, and those with the same
 * sys.executable are one.
 */
size_t python_find(const char *list, struct python found[PYTHONS]);

/* The same of every implementation: pypy, jython, ipy (IronPython) and graalpy of PATH follow the CPythons. */
size_t python_find_any(const char *list, struct python found[PYTHONS]);

/* The newest CPython 3 of them from this minor version on, with a GIL if one has it; NULL if none is. */
const struct python *python_newest(const struct python *found, size_t n, int minor);

/* What it is, in words: "CPython", "CPython, free-threaded", "PyPy". */
const char *python_what(const struct python *python);

/*
 * experiments/NAME ("gil/convoy.py") beside the build folder this program is in; NULL if there is no
 * such file.
 */
const char *python_script(const char *name);

/*
 * Why a program cannot run that needs interpreters, of which it found so many, and a script of
 * python_script(); NULL = it can.  what: "CPython".
 */
const char *python_lacking(size_t found, const char *what, const char *name);

struct python_child {
	pid_t pid;
	int out;    /* its standard output */
	int errors; /* a file of what it writes to standard error */
};

/* Starts `python script arguments...`; the arguments end with NULL. */
struct python_child python_start(const struct python *python, const char *script,
				 const char *const *arguments);

/*
 * Reads what it prints, as a string: until the end, or until a line is whole (which may be
 * followed by more).  False if the output ended before a line did, the deadline (CLOCK_MONOTONIC)
 * passed, or the run was stopped.
 */
bool python_read(struct python_child *child, char *text, size_t size, int64_t deadline_ns);
bool python_read_line(struct python_child *child, char *text, size_t size, int64_t deadline_ns);

/* Kills it, if it is still there, and waits; true if it had ended by itself with status 0. */
bool python_end(struct python_child *child);

/*
 * Runs a script to its end and gives its output.  False if the run was stopped; if the script failed, or
 * took longer than limit_ns, the process ends with status 2, and the last of its errors in one line.
 */
bool python_run(const struct python *python, const char *script, const char *const *arguments,
		char *text, size_t size, int64_t limit_ns);

#endif
