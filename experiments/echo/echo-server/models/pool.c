/* SPDX-License-Identifier: MIT */
/*
 * pool - a fixed number of threads, each an iterative server on the same listening socket: no
 * thread is created for a connection.  As many connections as threads are served at a time, the
 * others are pending.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { WORKERS = 32, WORKERS_MAX = 4096 };

static int listener;

static void *work(void *nothing)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, 0)) || errno != ESHUTDOWN)
		if (conn)
			model_serve_blocking(conn);
	return nothing;
}

/*
 * accept(2) reserves a descriptor before it blocks.  A thread that gets none would only close
 * connections that other threads could serve.
 */
static int descriptors_left(void)
{
	struct rlimit limit = {0};
	int next = dup(listener);

	getrlimit(RLIMIT_NOFILE, &limit);
	close(next);
	return limit.rlim_cur < WORKERS_MAX ? (int)limit.rlim_cur - next : WORKERS_MAX;
}

static int serve(const struct server *server)
{
	static pthread_t threads[WORKERS_MAX];
	int wanted = model_workers(server, WORKERS);
	int n = 0;
	int error = 0;
	int left;

	listener = server->listener;
	left = descriptors_left();
	while (n < wanted && n < left && !error) {
		error = pthread_create(&threads[n], NULL, work, NULL);
		n += !error;
	}
	if (error)
		conn_stop();
	while (n > 0)
		pthread_join(threads[--n], NULL);
	return error;
}

static struct model model = {.name = "pool",
			     .summary = "32 threads, each of which serves one connection at a time",
			     .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
