/* SPDX-License-Identifier: MIT */
/*
 * busy-poll - one thread that waits for nothing: it tries to read from every connection, over and
 * over.  Nobody has to be woken, so a lone client is answered sooner than by any server that sleeps.
 * The price is a CPU that is never idle, and a failed system call for each connection that is
 * silent.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../model.h"

enum {
	ROOM = 64,
	CALLS = 64, /* tries to read before the next look at the door */
};

static int *open_fds;
static size_t n, room;

/* False if there is no memory. */
static bool enter(int fd)
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

/* Lets in all who wait at the door; false when nobody comes any more. */
static bool admit(int listener)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL)
		if (!enter(conn->fd))
			conn_close(conn);
	return errno != ESHUTDOWN;
}

/* Whatever a connection wants, it is tried again in the next round. */
static void step_all(void)
{
	for (size_t i = n; i-- > 0;)
		if (conn_step(conn_of(open_fds[i])) == CONN_CLOSE) {
			conn_close(conn_of(open_fds[i]));
			open_fds[i] = open_fds[--n]; /* which has had its turn */
		}
}

static int serve(const struct server *server)
{
	bool listening = true;

	model_nonblocking(server->listener);
	while (listening || n) {
		if (listening)
			listening = admit(server->listener);
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
