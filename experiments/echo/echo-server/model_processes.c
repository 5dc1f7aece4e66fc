/* SPDX-License-Identifier: MIT */
/*
 * Worker processes and their parent.  The parent serves no connection: it only waits for workers
 * that end, and replaces those that were killed, so that a crash costs only that worker's
 * connections.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conn_table.h"
#include "model.h"

enum { EXPLAINED = 2 }; /* the status of a worker that has printed why it ends */

/* Forks a worker; its process, or -1. */
static pid_t start_worker(const struct server *server, int number, model_worker work)
{
	pid_t child = conn_fork(NULL);

	if (child == 0)
		_exit(work(server, number));
	return child;
}

/* The listener may have been shut down by a worker (--once). */
static bool is_open(int listener)
{
	int accepts = 0;
	socklen_t size = sizeof(accepts);

	getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size);
	return accepts && !conn_stopping();
}

/* After a pause, so that workers that crash at once do not make the parent spin. */
static pid_t restart_worker(const struct server *server, int number, model_worker work)
{
	const struct timespec pause = {0, 10000000};

	nanosleep(&pause, NULL);
	return start_worker(server, number, work);
}

/* A worker has ended: 0, or the error number that ends the server. */
static int replace_worker(const struct server *server, pid_t *worker, int number, int status,
			  model_worker work)
{
	if (WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status); /* another one would fail likewise */
	if (is_open(server->listener) && (*worker = restart_worker(server, number, work)) < 0)
		return errno;
	return 0;
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
		if ((workers[i] = start_worker(server, i, work)) < 0)
			error = errno;
	if (error)
		conn_stop();
	while (conn_count() > 0 && (ended = conn_reap(&status)) > 0) {
		int number = 0;
		int failed;

		while (number < n && workers[number] != ended)
			number++;
		if (number == n)
			continue;
		failed = replace_worker(server, &workers[number], number, status, work);
		if (failed) {
			error = failed;
			conn_stop();
		}
	}
	free(workers);
	if (error == EXPLAINED)
		exit(EXPLAINED);
	return error;
}
