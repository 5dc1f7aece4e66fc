/* SPDX-License-Identifier: MIT */
/*
 * thread - a thread for every connection, which blocks in recv and send.  The kernel's scheduler
 * takes the place of an event loop; the price is a stack and context switches for each.
 */
#include <errno.h>
#include <stddef.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

static int serve(const struct server *server)
{
	struct conn *conn;

	while ((conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN)
		if (conn && model_thread(model_serve_blocking, conn) != 0)
			conn_close(conn); /* no thread can be created */
	conn_await_all();
	return 0;
}

static struct model model = {
	.name = "thread", .summary = "a thread for every connection, blocking", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
