/* SPDX-License-Identifier: MIT */
/*
 * prefork - processes made beforehand, each an iterative server on the same listening socket: the
 * kernel wakes one of them for every client.  As many clients as workers are served at a time, the
 * others wait in the backlog.
 *
 * The workers share nothing, so one that dies takes only its own client with it, and is replaced.
 */
#include <errno.h>
#include <stddef.h>

#include "../conn.h"
#include "../model.h"

enum { WORKERS = 32 };

static int work(const struct server *server, int number)
{
	struct conn *conn;

	(void)number;
	while ((conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN)
		if (conn)
			model_serve_blocking(conn);
	return 0;
}

static int serve(const struct server *server)
{
	int n = model_workers(server, WORKERS);

	if (server->most && server->most < n)
		n = (int)server->most; /* more never have a client at a time */
	return model_in_processes(server, n, work);
}

static struct model model = {
	.name = "prefork",
	.summary = "32 processes that accept and serve one connection after the other",
	.serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
