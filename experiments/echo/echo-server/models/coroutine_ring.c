/* SPDX-License-Identifier: MIT */
/* needs: liburing */
/*
 * coroutine-ring - coroutines of one thread over io_uring: each reads like blocking code, submits what it
 * wants received or sent, and waits until the kernel has completed it.
 */
#include "../conn_table.h"
#include "../coroutine.h"
#include "../ring.h"

static struct coroutine *
	*coroutines; /* by descriptor; NULL = none yet: before its first event it needs no stack */

/* Waits for input; false when there will be none. */
static bool receive(struct conn *conn)
{
	while (!ring_is_over(conn) && !ring_has_input(conn)) {
		ring_receive(conn);
		coroutine_wait();
	}
	return ring_has_input(conn);
}

/* Answers it, and waits until that was sent. */
static void answer(struct conn *conn)
{
	ring_answer(conn);
	while (ring_is_sending(conn))
		coroutine_wait();
}

static void serve_conn(struct conn *conn)
{
	int fd = conn->fd;

	while (receive(conn))
		answer(conn);
	while (!ring_close(conn))
		coroutine_wait();
	coroutines[fd] = NULL;
}

static void handle(struct conn *conn)
{
	struct coroutine **its = &coroutines[conn->fd];

	if (!*its)
		*its = coroutine_new(serve_conn, conn);
	if (*its)
		coroutine_resume(*its);
	else
		ring_close(conn);
}

static int serve(const struct server *server)
{
	coroutines = conn_by_descriptor(sizeof(struct coroutine *));
	return ring_serve(server, handle);
}

static const char *missing(void)
{
	const char *why = coroutine_missing();

	return why ? why : ring_missing();
}

static struct model model = {.name = "coroutine-ring",
			     .summary = "coroutines of one thread (N:1), over io_uring",
			     .serve = serve,
			     .missing = missing};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
