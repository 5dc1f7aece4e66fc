/* SPDX-License-Identifier: MIT */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn_table.h"

enum { LOOPS = 256 };

static sem_t begun; /* posted by each loop, N:M */

void source_begin(const struct source *source)
{
	if (!source->listens)
		sem_post(&begun);
}

struct conn *source_next(const struct source *source)
{
	struct conn *conn;
	ssize_t n;

	if (source->listens)
		return conn_accept(source->fd, SOCK_NONBLOCK);
	n = read(source->fd, &conn, sizeof(conn));
	if (n == 0)
		errno = ESHUTDOWN;
	return n > 0 ? conn : NULL;
}

int source_serve(const struct server *server, source_loop loop)
{
	model_nonblocking(server->listener);
	return loop(&(struct source){.fd = server->listener, .listens = true});
}

/* --- N:M --------------------------------------------------------------------- */

struct worker {
	pthread_t thread;
	source_loop loop;
	struct source source; /* the end of a pipe of pointers to connections */
	int give;             /* its other end */
	int error;
};

static atomic_int_fast64_t bound; /* connections with a thread of their own */

static void *serve_bound(void *conn)
{
	model_serve_blocking(conn);
	atomic_fetch_sub(&bound, 1);
	return NULL;
}

/* Gives the connection a thread of its own; false if none can be created. */
static bool bind_to_thread(struct conn *conn)
{
	bool done;

	atomic_fetch_add(&bound, 1);
	done = model_thread(serve_bound, conn) == 0;
	if (!done)
		atomic_fetch_sub(&bound, 1);
	return done;
}

static void *run(void *argument)
{
	struct worker *worker = argument;

	worker->error = worker->loop(&worker->source);
	if (worker->error) {
		conn_stop();
		sem_post(&begun); /* it may not have */
	}
	return NULL;
}

static int start(struct worker *worker, source_loop loop)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	model_nonblocking(ends[0]);
	*worker = (struct worker){.loop = loop, .source.fd = ends[0], .give = ends[1]};
	return pthread_create(&worker->thread, NULL, run, worker);
}

/* Accepts and gives away connections until no more will come. */
static void distribute(const struct server *server, struct worker *workers, int n)
{
	struct conn *conn;

	for (int i = 0; (conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN;) {
		if (!conn || (atomic_load(&bound) < server->bound && bind_to_thread(conn)))
			continue;
		model_nonblocking(conn->fd);
		if (write(workers[i++ % n].give, &conn, sizeof(conn)) < 0)
			conn_close(conn);
	}
}

int source_serve_nm(const struct server *server, source_loop loop)
{
	static struct worker workers[LOOPS];
	int n = model_workers(server, model_cpus());
	int error = 0;

	n = n < LOOPS ? n : LOOPS;
	sem_init(&begun, 0, 0);
	for (int i = 0; i < n && !error; i++)
		error = start(&workers[i], loop);
	if (error)
		return error;
	/* waiting in accept(2) takes a descriptor, which a loop may need */
	for (int i = 0; i < n;)
		i += sem_wait(&begun) == 0;
	distribute(server, workers, n);
	for (int i = 0; i < n; i++)
		close(workers[i].give);
	for (int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		error = error ? error : workers[i].error;
	}
	if (!error)
		conn_await_all(); /* those with a thread of their own, too */
	return error;
}
