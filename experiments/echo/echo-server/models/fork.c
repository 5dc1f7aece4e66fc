/* SPDX-License-Identifier: MIT */
/*
 * fork - a process for every connection, which blocks in recv and send like a thread would.  The
 * price is a copy of the page tables for each; the gain is that a crash ends one connection only.
 *
 * The parent only accepts.  A thread of it reaps the children, so that there are no zombies, and
 * --max-connections counts those that are alive.
 */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

static void *reap_children(void *nothing)
{
	int status;

	while (conn_reap(&status))
		;
	return nothing;
}

static int serve(const struct server *server)
{
	int error = model_thread(reap_children, NULL);
	struct conn *conn;

	if (error)
		return error;
	while ((conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN) {
		pid_t child = conn ? conn_fork(conn) : 1;

		if (child == 0) {
			model_serve_blocking(conn);
			_exit(0);
		}
		if (child < 0)
			conn_close(conn); /* fork(2) failed */
	}
	conn_await_all();
	return 0;
}

static struct model model = {
	.name = "fork", .summary = "a process for every connection, blocking", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
