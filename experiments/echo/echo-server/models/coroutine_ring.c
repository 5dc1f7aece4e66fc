/* SPDX-License-Identifier: MIT */
/* needs: liburing */
/*
 * coroutine-ring - coroutines of one thread over io_uring (N:1): each reads like blocking code, submits
 * what it wants received or sent, and waits until the kernel has completed it.
 *
 * coroutine-nm-ring - the same over several rings, one a CPU (N:M).
 */
#include "../conn_table.h"
#include "../coroutine.h"
#include "../ring.h"

/* This thread's by descriptor; NULL = none yet: before its first event a connection needs no stack. */
static _Thread_local struct coroutine **coroutines;

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

static int run(const struct source *source)
{
	coroutines = conn_by_descriptor(sizeof(struct coroutine *));
	return ring_serve(source, handle);
}

static int serve(const struct server *server)
{
	return source_serve(server, run);
}

static int serve_nm(const struct server *server)
{
	return source_serve_nm(server, run);
}

static const char *missing(void)
{
	const char *why = coroutine_missing();

	return why ? why : ring_missing();
}

static struct model models[] = {
	{.name = "coroutine-ring",
	 .summary = "coroutines of one thread (N:1), over io_uring",
	 .serve = serve,
	 .missing = missing},
	{.name = "coroutine-nm-ring",
	 .summary = "coroutines, a ring a CPU (N:M); --bound K of them in threads",
	 .serve = serve_nm,
	 .missing = missing}};

__attribute__((constructor)) static void add(void)
{
	model_add(&models[0]);
	model_add(&models[1]);
}
