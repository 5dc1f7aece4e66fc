/* SPDX-License-Identifier: MIT */
/*
 * busy-poll - one thread that never sleeps: it tries to read from every connection, over and over.
 * No thread has to be woken, so a single client is answered sooner than by any server that sleeps.
 * The price is a CPU that is never idle, and an EAGAIN for every connection that sends nothing.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum {
	ROOM = 64,
	CALLS = 64, /* of recv(2) before the next accept(2) */
};

static int *open_fds;
static size_t n, room;

/* False if there is no memory. */
static bool add_fd(int fd)
{
	if (n == room) {
		size_t more = room ? 2 * room : ROOM;
		int *grown = realloc(open_fds, more * sizeof(*open_fds));

		if (!grown)
			return false;
		open_fds = grown;
		room = more;
	}
	open_fds[n++] = fd;
	return true;
}

/* Accepts all pending connections; false when no more will come. */
static bool accept_all(int listener)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL)
		if (!add_fd(conn->fd))
			conn_close(conn);
	return errno != ESHUTDOWN;
}

/* Whatever a connection waits for, it is tried again in the next round. */
static void step_all(void)
{
	for (size_t i = n; i-- > 0;)
		if (conn_step(conn_of(open_fds[i])) == CONN_CLOSE) {
			conn_close(conn_of(open_fds[i]));
			open_fds[i] = open_fds[--n]; /* which was served already */
		}
}

static int serve(const struct server *server)
{
	bool listening = true;

	model_nonblocking(server->listener);
	while (listening || n) {
		if (listening)
			listening = accept_all(server->listener);
		for (size_t calls = 0; calls < CALLS && n; calls += n)
			step_all();
	}
	free(open_fds);
	return 0;
}

static struct model model = {
	.name = "busy-poll",
	.summary = "one thread that tries every connection in turn; uses up a CPU",
	.serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
