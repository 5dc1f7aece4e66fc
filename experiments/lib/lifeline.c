/* SPDX-License-Identifier: MIT */
#include "lifeline.h"

#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

void lifeline_begin(struct lifeline *line, void (*work)(void))
{
	int ends[2];

	check_fd(pipe(ends), "pipe");
	/* not child_fork(): it outlives us, and the signals that are blocked in us stay so */
	line->work = work;
	line->watcher = check_fd(fork(), "fork");
	if (line->watcher == 0) {
		char byte;

		close(ends[1]);
		while (read(ends[0], &byte, 1) > 0)
			;
		work();
		_exit(0);
	}
	close(ends[0]);
	line->end = ends[1];
}

void lifeline_end(struct lifeline *line)
{
	int status = 0;

	close(line->end);
	if (waitpid(line->watcher, &status, 0) == line->watcher && status != 0)
		line->work(); /* somebody killed it */
}
