/* SPDX-License-Identifier: MIT */
/*
 * iterative - one connection after the other.  Whoever comes next waits in the backlog until the
 * one in service has gone.
 */
#include <errno.h>

#include "../conn.h"
#include "../model.h"

static int serve(const struct server *server)
{
	for (;;) {
		struct conn *conn = conn_accept(server->listener, 0);

		if (!conn && errno == ESHUTDOWN)
			return 0;
		if (!conn)
			continue;
		while (conn_step(conn) != CONN_CLOSE)
			;
		conn_close(conn);
	}
}

static struct model model = {
	.name = "iterative", .summary = "one connection after the other, blocking", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
