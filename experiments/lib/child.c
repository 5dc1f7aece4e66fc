/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "exp.h"
#include "run.h"
#include "span.h"

pid_t child_fork(void)
{
	pid_t parent = getpid();
	pid_t child = check_fd(fork(), "fork");
	sigset_t none;

	if (child > 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127); /* it died before the line above */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

pid_t child_fork_apart(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	pid_t child = child_fork();

	for (size_t i = 0; child == 0 && i < sizeof(ends) / sizeof(*ends); i++)
		signal(ends[i], SIG_IGN);
	return child;
}

int child_run(void (*work)(void *argument), void *argument)
{
	int status = 0;
	pid_t child = child_fork_apart();

	if (child == 0) {
		work(argument);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(2, "waitpid");
	return status;
}

bool child_died_alone(void)
{
	return run_sleep_until(span_now() + 500000000);
}

bool child_execute(const char *const argv[])
{
	const int64_t every_ns = 500000;
	pid_t child = child_fork();
	int status = -1;

	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		setpgid(0, 0);
		signal(SIGPIPE, SIG_DFL);
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
		execv(argv[0], (char *const *)argv); /* which changes none of them */
		_exit(127);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		if (!run_sleep_until(span_now() + every_ns)) {
			setpgid(child, child); /* it may not have come that far itself */
			kill(-child, SIGKILL);
			waitpid(child, NULL, 0);
			return false;
		}
	stop_progress(); /* a slow machine's compiler takes seconds, and may be asked many times */
	return status == 0;
}

bool child_find(const char *name, char *path, size_t size)
{
	const char *places = strchr(name, '/') ? NULL : getenv("PATH");
	char *list = check_alloc(strdup(places ? places : ""));
	char *rest = list;

	snprintf(path, size, "%s", name);
	for (const char *place; places && (place = strsep(&rest, ":"));)
		if (snprintf(path, size, "%s/%s", place, name) < (int)size &&
		    access(path, X_OK) == 0)
			break;
	if (access(path, X_OK) != 0)
		path[0] = '\0';
	free(list);
	return path[0] != '\0';
}

void child_complaint(int file, char *text, size_t size)
{
	off_t begin = lseek(file, 0, SEEK_END) - ((off_t)size - 1);
	ssize_t n = pread(file, text, size - 1, begin < 0 ? 0 : begin);
	char *before;

	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	before = strrchr(text, '\n');
	if (before)
		memmove(text, before + 1, strlen(before));
	if (n <= 0)
		snprintf(text, size, "it said nothing");
}

void *child_share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "mmap");
	return memory;
}
