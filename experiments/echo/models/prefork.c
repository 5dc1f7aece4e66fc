/* SPDX-License-Identifier: MIT */
/*
 * prefork - processes made beforehand, each an iterative server on the same listening socket: the
 * kernel wakes one of them for every client.  As many clients as workers are served at a time, the
 * others wait in the backlog.
 *
 * The workers share nothing, so one that dies takes only its own client with it.  The parent
 * serves nobody: it waits for workers to die, and replaces them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn.h"
#include "../model.h"

enum { WORKERS = 32 };

static void work(int listener)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, 0)) || errno != ESHUTDOWN)
		if (conn)
			model_serve_blocking(conn);
}

/* One more worker; 0 or an error number. */
static int employ(int listener)
{
	pid_t child = conn_fork(NULL);

	if (child == 0) {
		work(listener);
		_exit(0);
	}
	return child < 0 ? errno : 0;
}

/* Does anybody come in still?  It may have been a worker that shut the door (--once). */
static bool is_open(int listener)
{
	int accepts = 0;
	socklen_t size = sizeof(accepts);

	getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size);
	return accepts;
}

static int serve(const struct server *server)
{
	int n = model_workers(server, WORKERS);
	int error = 0;

	if (server->most && server->most < n)
		n = (int)server->most; /* more never have a client at a time */
	for (int i = 0; i < n && !error; i++)
		error = employ(server->listener);
	if (error)
		conn_stop();
	while (conn_count() > 0 && conn_reap())
		if (is_open(server->listener))
			error = employ(server->listener);
	return error;
}

static struct model model = {
	.name = "prefork",
	.summary = "32 processes that accept and serve one connection after the other",
	.serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
