/* SPDX-License-Identifier: MIT */
/*
 * iterative - one connection after the other.  The next one is pending until the one in service is
 * closed.
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
		if (conn)
			model_serve_blocking(conn);
	return 0;
}

static struct model model = {
	.name = "iterative", .summary = "one connection after the other, blocking", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
