/* SPDX-License-Identifier: MIT */
/*
 * prefork - processes forked beforehand, each an iterative server on the same listening socket: the
 * kernel wakes one of them for every connection.  As many connections as workers are served at a
 * time, the others are pending.
 *
 * The workers share nothing, so a crash ends only one connection, and the worker is replaced.
 */
#include <errno.h>
#include <stddef.h>

#include "../conn.h"
#include "../conn_table.h"
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
		n = (int)server->most; /* more would never be busy */
	return model_in_processes(server, n, work);
}

static struct model model = {.name = "prefork",
			     .summary =
				     "32 processes, each of which serves one connection at a time",
			     .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
