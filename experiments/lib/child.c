/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

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

int child_run(void (*work)(void *argument), void *argument)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	int status = 0;
	pid_t child;

	child = child_fork();
	if (child == 0) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
			signal(ends[i], SIG_IGN);
		work(argument);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			err(2, "waitpid");
	return status;
}

void *child_share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		err(2, "mmap");
	return memory;
}
