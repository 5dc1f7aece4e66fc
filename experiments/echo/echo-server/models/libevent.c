/* SPDX-License-Identifier: MIT */
/* needs: libevent */
/*
 * libevent - its buffered events, as a reference: one thread, callbacks, on top of epoll.
 *
 * By itself it queues without limit what a peer does not read.  So here a connection is not read
 * from while its output is not sent.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { READ_SIZE = 64 << 10 };

static struct event_base *base;
static struct event *listening;
static int64_t open_conns;

static void end(struct bufferevent *buffered, struct conn *conn)
{
	bufferevent_free(buffered);
	conn_close(conn);
	open_conns--;
	if (!listening && open_conns == 0)
		event_base_loopbreak(base);
}

/* Reads on only when all was sent. */
static void read_or_end(struct bufferevent *buffered, struct conn *conn)
{
	if (evbuffer_get_length(bufferevent_get_output(buffered)) > 0)
		bufferevent_disable(buffered, EV_READ);
	else if (conn_all_sent(conn))
		end(buffered, conn);
	else
		bufferevent_enable(buffered, EV_READ);
}

/* Answers what was received, or closes the connection if there is no memory. */
static void answer(struct bufferevent *buffered, struct conn *conn, const char *bytes, size_t n)
{
	struct conn_answer answer = bytes ? conn_answer(conn, bytes, n) : (struct conn_answer){0};
	bool queued = answer.bytes && bufferevent_write(buffered, answer.bytes, answer.length) == 0;

	evbuffer_drain(bufferevent_get_input(buffered), n);
	if (queued)
		read_or_end(buffered, conn);
	else
		end(buffered, conn);
}

/* Sends the greeting, if there is one. */
static void greet(struct bufferevent *buffered, struct conn *conn)
{
	struct conn_answer first = conn_held(conn);
	bool queued = bufferevent_write(buffered, first.bytes, first.length) == 0;

	conn_drop_held(conn);
	if (queued)
		read_or_end(buffered, conn);
	else
		end(buffered, conn);
}

static void received(struct bufferevent *buffered, void *argument)
{
	struct evbuffer *input = bufferevent_get_input(buffered);
	size_t n = evbuffer_get_length(input);

	answer(buffered, argument, (const char *)evbuffer_pullup(input, -1), n);
}

static void written(struct bufferevent *buffered, void *argument)
{
	read_or_end(buffered, argument);
}

static void ended(struct bufferevent *buffered, short what, void *argument)
{
	struct conn *conn = argument;

	if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING))
		answer(buffered, conn, "", 0);
	else
		end(buffered, conn);
}

static void accept_all(evutil_socket_t listener, short what, void *argument)
{
	struct conn *conn;

	(void)what;
	(void)argument;
	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL) {
		struct bufferevent *buffered = bufferevent_socket_new(base, conn->fd, 0);

		if (!buffered) {
			conn_close(conn);
			continue;
		}
		open_conns++;
		bufferevent_setcb(buffered, received, written, ended, conn);
		bufferevent_set_max_single_read(buffered, READ_SIZE);
		bufferevent_enable(buffered, EV_WRITE);
		greet(buffered, conn);
	}
	if (errno != ESHUTDOWN)
		return;
	event_free(listening);
	listening = NULL;
	if (open_conns == 0)
		event_base_loopbreak(base);
}

static int serve(const struct server *server)
{
	base = event_base_new();
	if (!base)
		return ENOMEM;
	model_nonblocking(server->listener);
	listening = event_new(base, server->listener, EV_READ | EV_PERSIST, accept_all, NULL);
	if (!listening || event_add(listening, NULL) != 0)
		return ENOMEM;
	event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
	event_base_free(base);
	return 0;
}

static struct model model = {.name = "libevent",
			     .summary = "libevent's buffered events, as a reference",
			     .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
