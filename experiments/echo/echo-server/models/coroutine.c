/* SPDX-License-Identifier: MIT */
/*
 * coroutine - many threads of control in one thread (N:1): each connection has a stack of its own
 * and reads like blocking code, but where it would wait, it switches to the loop, which waits for
 * all of them by epoll.
 *
 * coroutine-nm - the same over several loops, one a CPU (N:M).  With --bound K up to K connections at a
 * time have a thread of their own instead, which blocks: the two-level model.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../coroutine.h"
#include "../source.h"

enum { EVENTS = 256 };

struct loop {
	int epoll;
	const struct source *source;
	bool listening;
	int64_t open; /* its connections */
};

static _Thread_local struct loop *loop; /* this thread's */

static bool watch(struct conn *conn, void *tag, int how, enum conn_want want)
{
	struct epoll_event event = {.events = want == CONN_WRITE ? EPOLLOUT : EPOLLIN,
				    .data.ptr = tag};

	conn->watched = (uint8_t)want;
	return epoll_ctl(loop->epoll, how, conn->fd, &event) == 0;
}

/* Waits without blocking the thread; false if that is not possible. */
static bool await(struct conn *conn, enum conn_want want)
{
	if (want == CONN_MORE)
		want = CONN_READ; /* still readable: the next wait returns it again */
	if (want != conn->watched && !watch(conn, coroutine_self(), EPOLL_CTL_MOD, want))
		return false;
	coroutine_wait();
	return true;
}

static void end(struct conn *conn)
{
	conn_close(conn); /* which removes it from the epoll instance */
	loop->open--;
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

	if (coroutine && watch(conn, coroutine, EPOLL_CTL_MOD, conn->watched)) {
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

/* Connections may be there, or no more will come. */
static void handle_source(void)
{
	struct conn *conn;

	while ((conn = source_next(loop->source)) != NULL) {
		loop->open++;
		if (!watch(conn, tag_of_new(conn), EPOLL_CTL_ADD, conn->watched))
			end(conn);
	}
	if (errno != ESHUTDOWN)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->source->fd, NULL);
	loop->listening = false;
}

static int run(const struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN}; /* with the tag NULL */
	struct epoll_event events[EVENTS];
	struct loop mine = {.source = source, .listening = true};

	mine.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (mine.epoll < 0 || epoll_ctl(mine.epoll, EPOLL_CTL_ADD, source->fd, &event) != 0)
		return errno;
	loop = &mine;
	source_begin(source);
	while (mine.listening || mine.open) {
		int n = epoll_wait(mine.epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				handle_event(events[i].data.ptr);
			else
				handle_source();
	}
	close(mine.epoll);
	return 0;
}

static int serve(const struct server *server)
{
	return source_serve(server, run);
}

static int serve_nm(const struct server *server)
{
	return source_serve_nm(server, run);
}

static struct model models[] = {
	{.name = "coroutine",
	 .summary = "a stack for every connection in one thread (N:1), over epoll",
	 .serve = serve,
	 .missing = coroutine_missing},
	{.name = "coroutine-nm",
	 .summary = "coroutines, a loop a CPU (N:M); --bound K of them in threads",
	 .serve = serve_nm,
	 .missing = coroutine_missing}};

__attribute__((constructor)) static void add(void)
{
	model_add(&models[0]);
	model_add(&models[1]);
}
