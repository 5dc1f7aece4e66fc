/* SPDX-License-Identifier: MIT */
/*
 * Worker processes and the parent that looks after them.  It serves nobody: it waits for workers to
 * die, and replaces them, so that who dies takes only its own clients with it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "exp.h"
#include "model.h"

/* One more worker: its process, or -1. */
static pid_t employ(const struct server *server, int number, model_worker work)
{
	pid_t child = conn_fork(NULL);

	if (child == 0)
		_exit(work(server, number));
	return child;
}

/* Does anybody come in still?  It may have been a worker that shut the door (--once). */
static bool is_open(int listener)
{
	int accepts = 0;
	socklen_t size = sizeof(accepts);

	getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size);
	return accepts && !conn_stopping();
}

/* Those that die at once are not replaced at once. */
static pid_t employ_again(const struct server *server, int number, model_worker work)
{
	const struct timespec moment = {0, 10000000};

	nanosleep(&moment, NULL);
	return employ(server, number, work);
}

int model_in_processes(const struct server *server, int n, model_worker work)
{
	pid_t *workers = calloc((size_t)n, sizeof(*workers));
	int error = 0;
	pid_t ended;
	int status;

	if (!workers)
		return ENOMEM;
	for (int i = 0; i < n && !error; i++)
		if ((workers[i] = employ(server, i, work)) < 0)
			error = errno;
	if (error)
		conn_stop();
	while (conn_count() > 0 && (ended = conn_reap(&status)) > 0) {
		int number = 0;

		while (number < n && workers[number] != ended)
			number++;
		if (number == n)
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status)) {
			error = WEXITSTATUS(status); /* another one would fare no better */
			conn_stop();
		} else if (is_open(server->listener) &&
			   (workers[number] = employ_again(server, number, work)) < 0) {
			error = errno;
			conn_stop();
		}
	}
	free(workers);
	if (error == EXIT_USAGE)
		exit(EXIT_USAGE); /* the worker has said why */
	return error;
}
