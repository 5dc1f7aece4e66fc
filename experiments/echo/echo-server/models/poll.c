/* SPDX-License-Identifier: MIT */
/*
 * poll - one thread that passes the kernel an array of connections, in which it marks those that
 * are ready.  Unlike with select nothing has to be rebuilt and nothing limits their number, but
 * every call still checks all of them, ready or not.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { LISTENER, FIRST, ROOM = 64 };

static struct pollfd *set; /* the listener, then the connections */
static size_t n, room;

static short events_of(enum conn_want want)
{
	return want == CONN_WRITE ? POLLOUT : POLLIN;
}

/* False if there is no memory. */
static bool watch(int fd, enum conn_want want)
{
	if (n == room) {
		size_t more = room ? 2 * room : ROOM;
		struct pollfd *grown = realloc(set, more * sizeof(*set));

		if (!grown)
			return false;
		set = grown;
		room = more;
	}
	set[n++] = (struct pollfd){.fd = fd, .events = events_of(want)};
	return true;
}

/* Accepts all pending connections. */
static void accept_all(void)
{
	struct conn *conn;

	while ((conn = conn_accept(set[LISTENER].fd, SOCK_NONBLOCK)) != NULL)
		if (!watch(conn->fd, conn->watched))
			conn_close(conn);
	if (errno == ESHUTDOWN)
		set[LISTENER].fd = -1; /* poll(2) ignores it */
}

static void step(struct pollfd *at)
{
	struct conn *conn = conn_of(at->fd);
	enum conn_want want = conn_step(conn);

	if (want == CONN_CLOSE) {
		conn_close(conn);
		*at = set[--n];
	} else { /* CONN_MORE is still readable: the next call returns it again */
		at->events = events_of(want);
	}
}

static int serve(const struct server *server)
{
	if (!watch(server->listener, CONN_READ))
		return ENOMEM;
	model_nonblocking(server->listener);
	while (set[LISTENER].fd >= 0 || n > FIRST) {
		int left = poll(set, n, -1);

		/* backwards: step() moves the last one, which was served already, to a closed one's place */
		for (size_t i = n - 1; left > 0; i--) {
			if (!set[i].revents)
				continue;
			left--;
			if (i == LISTENER)
				accept_all();
			else
				step(&set[i]);
		}
	}
	free(set);
	return 0;
}

static struct model model = {.name = "poll", .summary = "one thread, poll", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
