/* SPDX-License-Identifier: MIT */
#include "steps.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

/* Single-steps the stopped child until it stops itself again, or `most` are counted. */
static int64_t count(pid_t child, int64_t most)
{
	int status = 0;

	for (int64_t steps = 0; steps < most; steps++) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
		    waitpid(child, &status, 0) != child)
			return -1;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP)
			return steps;
	}
	return most;
}

int64_t steps_count(void (*call)(void *argument), void *argument, int64_t most)
{
	pid_t child = child_fork(); /* which dies with this process, stopped or not */
	int64_t steps = -1;
	int status = 0;
	int error;

	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(errno);
		raise(SIGSTOP);
		call(argument);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		return -1;
	if (WIFEXITED(status)) {
		errno = WEXITSTATUS(status);
		return -1;
	}
	steps = count(child, most);
	error = errno;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	errno = error;
	return steps;
}
