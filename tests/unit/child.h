/* SPDX-License-Identifier: MIT */
/*
 * child.h - a function in a process of its own: for what exits, prints, or dies of a signal.
 *
 * A test must never hang: the parent has no threads when it forks, the child is killed at a
 * deadline and never outlives the test, and its output goes to files in memory, which nobody has to
 * drain.
 */
#ifndef CHILD_H
#define CHILD_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CHILD_DEADLINE_MS = 30000, CHILD_OUTPUT = 16384, CHILD_WORDS = 16 };

struct child {
	pid_t pid;
	int fds[3]; /* what it has as stdout and stderr; [0] is not used */
	int status; /* as of waitpid(2) */
	char out[CHILD_OUTPUT];
	char err[CHILD_OUTPUT];
};

static inline void child_sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static inline _Noreturn void child_main(const struct child *child, int (*body)(const void *),
					const void *argument)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* the tests themselves may run in the background or under nohup */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(child->fds[STDOUT_FILENO], STDOUT_FILENO);
	dup2(child->fds[STDERR_FILENO], STDERR_FILENO);
	exit(body(argument));
}

/* Calls body(argument) in a child, whose exit status is what it returns. */
static inline void child_start(struct child *child, int (*body)(const void *), const void *argument)
{
	*child = (struct child){0};
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		child->fds[fd] = memfd_create("output", MFD_CLOEXEC);
		assert_true(child->fds[fd] >= 0);
	}
	fflush(NULL); /* or the child prints what waits in our buffers once more */
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0)
		child_main(child, body, argument);
}

static inline void child_read(int fd, char text[CHILD_OUTPUT])
{
	ssize_t length = pread(fd, text, CHILD_OUTPUT - 1, 0);

	assert_true(length >= 0);
	text[length] = '\0';
	close(fd);
}

static inline void child_wait(struct child *child)
{
	bool late = false;

	for (long waited_ms = 0;; waited_ms += 5) {
		pid_t ended = waitpid(child->pid, &child->status, late ? 0 : WNOHANG);

		if (ended == child->pid)
			break;
		assert_true(ended == 0 || errno == EINTR);
		late = waited_ms > CHILD_DEADLINE_MS;
		if (late)
			kill(child->pid, SIGKILL);
		else
			child_sleep_ms(5);
	}
	child_read(child->fds[STDOUT_FILENO], child->out);
	child_read(child->fds[STDERR_FILENO], child->err);
	if (late)
		fail_msg("the child did not end; its stderr: %s", child->err);
}

static inline void child_run(struct child *child, int (*body)(const void *), const void *argument)
{
	child_start(child, body, argument);
	child_wait(child);
}

static inline void assert_exited(const struct child *child, int status)
{
	if (!WIFEXITED(child->status) || WEXITSTATUS(child->status) != status)
		fail_msg("wait status %#x instead of exit status %d; stderr: %s", child->status,
			 status, child->err);
}

static inline void assert_killed(const struct child *child, int number)
{
	if (!WIFSIGNALED(child->status) || WTERMSIG(child->status) != number)
		fail_msg("wait status %#x instead of signal %d; stderr: %s", child->status, number,
			 child->err);
}

static inline void assert_holds_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in: %s", part, text);
}

/* Exit status 2 and one line on stderr that says `what`. */
static inline void assert_error(const struct child *child, const char *what)
{
	assert_exited(child, 2);
	assert_holds_text(child->err, what);
	assert_ptr_equal(strchr(child->err, '\n'), child->err + strlen(child->err) - 1);
}

/* A program's name and its command line, split at blanks, as argv; returns argc.  free(argv[0]). */
static inline int child_words(const char *name, const char *line, char *argv[CHILD_WORDS])
{
	char *rest;
	int argc = 0;

	if (asprintf(&rest, "%s %s", name, line) < 0)
		abort();
	while (argc < CHILD_WORDS - 1 && (argv[argc] = strsep(&rest, " ")))
		argc += *argv[argc] != '\0';
	argv[argc] = NULL;
	return argc;
}

#endif
