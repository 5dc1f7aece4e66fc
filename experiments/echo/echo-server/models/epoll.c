/* SPDX-License-Identifier: MIT */
/*
 * epoll - one thread, level-triggered: the kernel keeps the list of watched connections and returns
 * those that are ready.  What a connection waits for changes only when its peer stops reading.
 *
 * reuseport - the same loop once a CPU, each with a listening socket of its own on the same port:
 * the kernel distributes the connections, and the loops share nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

enum { EVENTS = 256, LOOPS = 256 };

struct loop {
	pthread_t thread;
	int epoll, listener;
	bool listening;
	int64_t open; /* its connections */
};

static bool watch(struct loop *loop, struct conn *conn, int how, enum conn_want want)
{
	struct epoll_event event = {.events = want == CONN_WRITE ? EPOLLOUT : EPOLLIN,
				    .data.ptr = conn};

	conn->watched = (uint8_t)want;
	return epoll_ctl(loop->epoll, how, conn->fd, &event) == 0;
}

static void end(struct loop *loop, struct conn *conn)
{
	conn_close(conn); /* which removes it from the epoll instance */
	loop->open--;
}

static void step(struct loop *loop, struct conn *conn)
{
	enum conn_want want = conn_step(conn);

	if (want == CONN_MORE)
		want = CONN_READ; /* still readable: the next wait returns it again */
	if (want == CONN_CLOSE ||
	    (want != conn->watched && !watch(loop, conn, EPOLL_CTL_MOD, want)))
		end(loop, conn);
}

/* Accepts all pending connections. */
static void accept_all(struct loop *loop)
{
	struct conn *conn;

	while ((conn = conn_accept(loop->listener, SOCK_NONBLOCK)) != NULL) {
		loop->open++;
		if (!watch(loop, conn, EPOLL_CTL_ADD, conn->watched))
			end(loop, conn);
	}
	if (errno != ESHUTDOWN)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->listener, NULL);
	loop->listening = false;
}

/* 0 or an error number. */
static int set_up(struct loop *loop, int listener)
{
	struct epoll_event event = {.events = EPOLLIN}; /* with no connection */

	*loop = (struct loop){.listener = listener, .listening = true};
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	model_nonblocking(listener);
	return loop->epoll >= 0 && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, listener, &event) == 0
		       ? 0
		       : errno;
}

static void *run(void *argument)
{
	struct loop *loop = argument;
	struct epoll_event events[EVENTS];

	while (loop->listening || loop->open) {
		int n = epoll_wait(loop->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				step(loop, events[i].data.ptr);
			else
				accept_all(loop);
	}
	close(loop->epoll);
	return NULL;
}

static int serve(const struct server *server)
{
	struct loop loop;
	int error = set_up(&loop, server->listener);

	if (!error)
		run(&loop);
	return error;
}

static int serve_reuseport(const struct server *server)
{
	static struct loop loops[LOOPS];
	int n = model_workers(server, model_cpus());
	int error = 0;

	n = n < LOOPS ? n : LOOPS;
	/* all before the first connection, which may use the last descriptor */
	for (int i = 0; i < n && !error; i++)
		error = set_up(&loops[i], i ? model_listen_too(server) : server->listener);
	for (int i = 0; i < n && !error; i++)
		error = pthread_create(&loops[i].thread, NULL, run, &loops[i]);
	if (error)
		return error;
	for (int i = 0; i < n; i++)
		pthread_join(loops[i].thread, NULL);
	return 0;
}

static struct model models[] = {
	{.name = "epoll", .summary = "one thread, epoll, level-triggered", .serve = serve},
	{.name = "reuseport",
	 .summary = "an epoll loop and a listening socket a CPU (SO_REUSEPORT)",
	 .serve = serve_reuseport,
	 .shares_port = true}};

__attribute__((constructor)) static void add(void)
{
	model_add(&models[0]);
	model_add(&models[1]);
}
