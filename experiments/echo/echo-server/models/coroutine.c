/* SPDX-License-Identifier: MIT */
/*
 * coroutine - many threads of control in one thread (N:1): each connection has a stack of its own
 * and reads like blocking code, but where it would wait, it switches to the loop, which waits for
 * all of them by epoll.
 *
 * coroutine-nm - the same over several loops, one a CPU (N:M): connections are given to them in
 * turn.  With --bound K up to K connections at a time have a thread of their own instead, which
 * blocks: the two-level model.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../coroutine.h"
#include "../model.h"

enum { EVENTS = 256, LOOPS = 256 };

struct loop {
	pthread_t thread;
	int epoll;
	int source; /* the listener (N:1), or an eventfd: no more connections will come */
	bool accepts, listening;
	atomic_int_fast64_t open; /* its connections */
};

static _Thread_local struct loop *loop; /* this thread's */

static bool watch(struct loop *of, struct conn *conn, void *tag, int how, enum conn_want want)
{
	struct epoll_event event = {.events = want == CONN_WRITE ? EPOLLOUT : EPOLLIN,
				    .data.ptr = tag};

	conn->watched = (uint8_t)want;
	return epoll_ctl(of->epoll, how, conn->fd, &event) == 0;
}

/* Waits without blocking the thread; false if that is not possible. */
static bool await(struct conn *conn, enum conn_want want)
{
	if (want == CONN_MORE)
		want = CONN_READ; /* still readable: the next wait returns it again */
	if (want != conn->watched && !watch(loop, conn, coroutine_self(), EPOLL_CTL_MOD, want))
		return false;
	coroutine_wait();
	return true;
}

/*
 * Closes a connection of this loop.  The thread that added it may still be in epoll_ctl(2), by which the
 * socket stays in the set beyond close(2), and its events would come for a connection that has ended.
 */
static void end(struct conn *conn)
{
	if (!loop->accepts)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	conn_close(conn);
	atomic_fetch_sub(&loop->open, 1);
}

/* What a coroutine does. */
static void serve_conn(struct conn *conn)
{
	enum conn_want want;

	while ((want = conn_step(conn)) != CONN_CLOSE && await(conn, want))
		;
	end(conn);
}

/* The first event of a connection: only now it needs a stack. */
static void begin(struct conn *conn)
{
	struct coroutine *coroutine = coroutine_new(serve_conn, conn);

	if (coroutine && watch(loop, conn, coroutine, EPOLL_CTL_MOD, conn->watched)) {
		coroutine_resume(coroutine);
		return;
	}
	end(conn);
}

/* epoll returns one pointer: to a coroutine, a connection without one (odd), or NULL (source). */
static void *tag_of_new(struct conn *conn)
{
	return (char *)conn + 1;
}

static void handle_event(void *tag)
{
	if ((uintptr_t)tag & 1)
		begin((struct conn *)(void *)((char *)tag - 1));
	else
		coroutine_resume(tag);
}

/* Gives a connection to a loop, from any thread. */
static void assign(struct loop *to, struct conn *conn)
{
	atomic_fetch_add(&to->open, 1);
	if (watch(to, conn, tag_of_new(conn), EPOLL_CTL_ADD, conn->watched))
		return;
	conn_close(conn);
	atomic_fetch_sub(&to->open, 1);
}

/* Connections are pending, or no more will come. */
static void handle_source(void)
{
	struct conn *conn;

	errno = ESHUTDOWN; /* what the eventfd means */
	if (loop->accepts) {
		while ((conn = conn_accept(loop->source, SOCK_NONBLOCK)) != NULL)
			assign(loop, conn);
	}
	if (errno != ESHUTDOWN)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->source, NULL);
	loop->listening = false;
}

static int set_up(struct loop *of, int source, bool accepts)
{
	struct epoll_event event = {.events = EPOLLIN}; /* with the tag NULL */

	*of = (struct loop){.source = source, .accepts = accepts, .listening = true};
	of->epoll = epoll_create1(EPOLL_CLOEXEC);
	return of->epoll >= 0 && epoll_ctl(of->epoll, EPOLL_CTL_ADD, source, &event) == 0 ? 0
											  : errno;
}

static void *run(void *argument)
{
	struct epoll_event events[EVENTS];

	loop = argument;
	while (loop->listening || atomic_load(&loop->open)) {
		int n = epoll_wait(loop->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				handle_event(events[i].data.ptr);
			else
				handle_source();
	}
	close(loop->epoll);
	return NULL;
}

static int serve(const struct server *server)
{
	struct loop only;
	int error = set_up(&only, server->listener, true);

	model_nonblocking(server->listener);
	if (!error)
		run(&only);
	return error;
}

/* --- N:M --------------------------------------------------------------------- */

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

/* Accepts and assigns connections until no more will come. */
static void distribute(const struct server *server, struct loop *loops, int n)
{
	struct conn *conn;

	for (int i = 0; (conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN;) {
		if (conn && atomic_load(&bound) < server->bound && bind_to_thread(conn))
			continue;
		if (conn) {
			model_nonblocking(conn->fd);
			assign(&loops[i++ % n], conn);
		}
	}
}

static int serve_nm(const struct server *server)
{
	static struct loop loops[LOOPS];
	int n = model_workers(server, model_cpus());
	int no_more = eventfd(0, EFD_CLOEXEC);
	int error = no_more < 0 ? errno : 0;

	n = n < LOOPS ? n : LOOPS;
	for (int i = 0; i < n && !error; i++) {
		error = set_up(&loops[i], no_more, false);
		if (!error)
			error = pthread_create(&loops[i].thread, NULL, run, &loops[i]);
	}
	if (error)
		return error;
	distribute(server, loops, n);
	eventfd_write(no_more, 1);
	for (int i = 0; i < n; i++)
		pthread_join(loops[i].thread, NULL);
	conn_await_all(); /* those with a thread of their own, too */
	return 0;
}

static struct model models[] = {
	{.name = "coroutine",
	 .summary = "a stack for every connection in one thread (N:1), over epoll",
	 .serve = serve,
	 .missing = coroutine_missing},
	{.name = "coroutine-nm",
	 .summary = "coroutines over a loop a CPU (N:M); --bound K of them in threads",
	 .serve = serve_nm,
	 .missing = coroutine_missing}};

__attribute__((constructor)) static void add(void)
{
	model_add(&models[0]);
	model_add(&models[1]);
}
