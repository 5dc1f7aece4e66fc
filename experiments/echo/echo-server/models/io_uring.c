/* SPDX-License-Identifier: MIT */
/* needs: liburing */
/*
 * io_uring - one thread that does not ask what is ready, but submits operations: the kernel
 * receives and sends by itself, and completes them.
 */
#include "../ring.h"

/* Submits for the connection what can be done now. */
static void advance(struct conn *conn)
{
	while (!ring_is_sending(conn) && ring_has_input(conn))
		ring_answer(conn);
	if (ring_is_sending(conn))
		return;
	if (ring_is_over(conn))
		ring_close(conn);
	else
		ring_receive(conn);
}

static int run(const struct source *source)
{
	return ring_serve(source, advance);
}

static int serve(const struct server *server)
{
	return source_serve(server, run);
}

static struct model model = {.name = "io_uring",
			     .summary = "one thread, io_uring: the kernel receives and sends",
			     .serve = serve,
			     .missing = ring_missing};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
