/* SPDX-License-Identifier: MIT */
/*
 * lifeline.h - what is left to be done when this program has ended, whatever ended it.
 */
#ifndef LIFELINE_H
#define LIFELINE_H

#include <sys/types.h>

struct lifeline {
	int end; /* of a pipe, inherited by every process that is started; read as ended when all have */
	pid_t watcher;
	void (*work)(void);
};

/*
 * From now on a process of its own waits until this one, and all that it starts, have ended or called
 * lifeline_end(), and then calls work().  Ends the process with status 2 where that fails.
 */
void lifeline_begin(struct lifeline *line, void (*work)(void));

/* Has the work done now, if no process that was started is left, and waits for that. */
void lifeline_end(struct lifeline *line);

#endif
