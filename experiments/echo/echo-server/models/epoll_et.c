/* SPDX-License-Identifier: MIT */
/*
 * epoll-et - one thread, edge-triggered: the kernel reports only changes, and a connection is
 * registered once, for all events.  A server that leaves bytes unread must remember it, because
 * they are not reported again.
 *
 * There are two traps.  A connection that is left with unread bytes, so that others are served,
 * would starve.  And the change that brought bytes may have brought the FIN, too: all bytes are
 * read, and nothing changes any more.  In both cases EPOLL_CTL_MOD makes the kernel check again:
 * what is still ready goes to the end of its ready list.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { EVENTS = 256 };

static int epoll;
static int64_t open_conns;

/* Makes the kernel watch it, or check it again. */
static bool watch(struct conn *conn, int how)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				    .data.ptr = conn};

	return epoll_ctl(epoll, how, conn->fd, &event) == 0;
}

static void end(struct conn *conn)
{
	conn_close(conn); /* which removes it from the epoll instance */
	open_conns--;
}

static void step(struct conn *conn, uint32_t events)
{
	enum conn_want want;

	if (events == EPOLLOUT && conn->watched != CONN_WRITE)
		return; /* it was writable before */
	want = conn_step(conn);
	if (want == CONN_READ && (events & EPOLLRDHUP))
		want = CONN_MORE;
	conn->watched = (uint8_t)want;
	if (want == CONN_CLOSE || (want == CONN_MORE && !watch(conn, EPOLL_CTL_MOD)))
		end(conn);
}

/* Accepts all pending connections; false when no more will come. */
static bool accept_all(int listener)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL) {
		open_conns++;
		if (!watch(conn, EPOLL_CTL_ADD))
			end(conn);
	}
	return errno != ESHUTDOWN;
}

static int serve(const struct server *server)
{
	/* the listener is level-triggered: without descriptors, connections may stay pending */
	struct epoll_event events[EVENTS] = {{.events = EPOLLIN}}; /* with no connection */
	bool listening = true;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	model_nonblocking(server->listener);
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, server->listener, events) != 0)
		return errno;
	while (listening || open_conns) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				step(events[i].data.ptr, events[i].events);
			else if (!(listening = accept_all(server->listener)))
				epoll_ctl(epoll, EPOLL_CTL_DEL, server->listener, NULL);
	}
	close(epoll);
	return 0;
}

static struct model model = {
	.name = "epoll-et", .summary = "one thread, epoll, edge-triggered", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
