/* SPDX-License-Identifier: MIT */
/*
 * thread - a thread for every connection, which blocks in recv and send.  The scheduler is the
 * event loop; the price is a stack and a switch for each.
 */
#include <errno.h>
#include <pthread.h>

#include "../conn.h"
#include "../model.h"

enum { STACK = 512 << 10 }; /* bytes, of which those never touched cost nothing */

static void *serve_one(void *argument)
{
	struct conn *conn = argument;

	while (conn_step(conn) != CONN_CLOSE)
		;
	conn_close(conn);
	return NULL;
}

static int serve(const struct server *server)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK);
	for (;;) {
		struct conn *conn = conn_accept(server->listener, 0);

		if (!conn && errno == ESHUTDOWN)
			break;
		if (conn && pthread_create(&thread, &attributes, serve_one, conn) != 0)
			conn_close(conn); /* no thread to be had: this client is turned away */
	}
	pthread_attr_destroy(&attributes);
	conn_await_all();
	return 0;
}

static struct model model = {
	.name = "thread", .summary = "a thread for every connection, blocking", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
