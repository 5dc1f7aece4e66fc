/* SPDX-License-Identifier: MIT */
/*
 * child.h - processes that an experiment forks.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * fork(2), and in the child: the signals that the library's thread waits for in the parent do what
 * they do by default, and the child is killed when the thread that forked it ends, whatever ends
 * it.  The child has no other threads, and leaves with _exit(2).  Ends the process with status 2
 * if the environment refuses it.
 */
pid_t child_fork(void);

/*
 * The same, but the signals that end the run leave the child alone, also where a terminal sends them
 * to both: it ends with its work, or with its parent.
 */
pid_t child_fork_apart(void);

/*
 * Calls work(argument) in such a child and returns the child's status as of waitpid(2): 0 when work
 * came to its end.
 */
int child_run(void (*work)(void *argument), void *argument);

/*
 * Of a child that died: whether nothing ended the run as well, as Ctrl-C at a terminal ends both.  Waits
 * half a second for that signal.
 */
bool child_died_alone(void);

/*
 * Runs a program by its path, argv ended by NULL, without input and output.  True if it ended with
 * status 0; false also when the run was stopped: then it is killed, with all that it started.
 */
bool child_execute(const char *const argv[]);

/* Finds a program as the shell would, by PATH, or by its path; "", and false, if there is none. */
bool child_find(const char *name, char *path, size_t size);

/*
 * The last line of a file that a child's standard error went to: of a traceback, the exception.  At most
 * the last size - 1 bytes; "it said nothing" if that is so.
 */
void child_complaint(int file, char *text, size_t size);

/*
 * Zeroed memory that processes forked from now on share with this one, until all of them have ended.
 * Ends the process with status 2 if there is none.
 */
void *child_share(size_t bytes);

#endif
