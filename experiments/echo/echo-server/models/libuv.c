/* SPDX-License-Identifier: MIT */
/* needs: libuv */
/*
 * libuv - the event loop of Node.js, as a reference: one thread, callbacks, on top of epoll.
 *
 * By itself it queues without limit what a peer does not read.  So here a connection is not read
 * from while a write of it is queued.
 */
#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { READ_SIZE = 64 << 10 };

struct client {
	uv_tcp_t tcp;
	uv_write_t write;
	struct conn *conn;
};

static char bytes[READ_SIZE]; /* one read at a time: it is answered before the next */

static void free_client(uv_handle_t *handle)
{
	free(handle->data);
}

static void end(struct client *client)
{
	if (uv_is_closing((uv_handle_t *)&client->tcp))
		return;
	conn_forget(client->conn); /* uv_close() closes its descriptor */
	uv_close((uv_handle_t *)&client->tcp, free_client);
}

static void provide_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)handle;
	(void)suggested;
	*buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

/* All was sent: reads on. */
static void read_or_end(struct client *client)
{
	if (conn_all_sent(client->conn))
		end(client);
	else
		uv_read_start((uv_stream_t *)&client->tcp, provide_buffer, received);
}

static void written(uv_write_t *write, int status)
{
	struct client *client = write->handle->data;

	if (uv_is_closing((uv_handle_t *)&client->tcp))
		return;
	conn_drop_held(client->conn);
	if (status < 0)
		end(client);
	else
		read_or_end(client);
}

/* uv_buf_init() takes no const, though uv_write() only reads. */
static uv_buf_t buffer_of(const char *from, size_t length)
{
	union {
		const char *constant;
		char *base;
	} start = {from};

	return uv_buf_init(start.base, (unsigned int)length);
}

/* Writes what the connection holds, and does not read meanwhile. */
static void write_held(struct client *client)
{
	uv_stream_t *stream = (uv_stream_t *)&client->tcp;
	struct conn_answer held = conn_held(client->conn);
	uv_buf_t out = buffer_of(held.bytes, held.length);

	uv_read_stop(stream);
	if (uv_write(&client->write, stream, &out, 1, written) != 0)
		end(client);
}

/* Writes what fits into the send buffer; the rest is queued. */
static void answer(struct client *client, struct conn_answer answer)
{
	uv_stream_t *stream = (uv_stream_t *)&client->tcp;
	uv_buf_t out = buffer_of(answer.bytes, answer.length);
	int n = answer.length ? uv_try_write(stream, &out, 1) : 0;

	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0 || !answer.bytes || ((size_t)n == answer.length && conn_all_sent(client->conn))) {
		end(client);
		return;
	}
	if ((size_t)n == answer.length)
		return;
	answer.bytes += n;
	answer.length -= (size_t)n;
	if (conn_hold(client->conn, answer))
		write_held(client);
	else
		end(client);
}

static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct client *client = stream->data;

	if (n >= 0 || n == UV_EOF) {
		if (n != 0) /* 0 means EAGAIN */
			answer(client,
			       conn_answer(client->conn, buffer->base, n > 0 ? (size_t)n : 0));
	} else {
		end(client);
	}
}

static void accept_all(uv_poll_t *poll, int status, int events)
{
	int listener = *(const int *)poll->data;
	struct conn *conn;

	(void)status;
	(void)events;
	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL) {
		struct client *client = calloc(1, sizeof(*client));

		if (!client || uv_tcp_init(poll->loop, &client->tcp) != 0 ||
		    uv_tcp_open(&client->tcp, conn->fd) != 0) {
			conn_close(conn);
			free(client);
			continue;
		}
		client->conn = conn;
		client->tcp.data = client;
		if (conn->unsent)
			write_held(client);
		else
			read_or_end(client);
	}
	if (errno == ESHUTDOWN)
		uv_close((uv_handle_t *)poll, NULL); /* the loop ends with its last handle */
}

static int serve(const struct server *server)
{
	uv_loop_t loop;
	int listener = server->listener;
	uv_poll_t poll = {.data = &listener};
	int error = uv_loop_init(&loop);

	model_nonblocking(server->listener);
	if (!error)
		error = uv_poll_init(&loop, &poll, server->listener);
	if (!error)
		error = uv_poll_start(&poll, UV_READABLE | UV_DISCONNECT, accept_all);
	if (error)
		return -error;
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return 0;
}

static struct model model = {
	.name = "libuv", .summary = "the library of Node.js, as a reference", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
