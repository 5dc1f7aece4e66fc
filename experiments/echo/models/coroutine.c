/* SPDX-License-Identifier: MIT */
/*
 * coroutine - many threads of control in one thread (N:1): each connection has a stack of its own
 * and reads like blocking code, but where it would wait, it switches to the loop, which waits for
 * all of them by epoll.
 *
 * coroutine-nm - the same over several loops, one a CPU (N:M): connections are dealt out to them
 * as they come.  With --bound K up to K connections at a time have a thread of their own instead,
 * which blocks: the two-level model.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../conn.h"
#include "../model.h"
#include "stack.h"

enum { EVENTS = 256, LOOPS = 256, STACK = 32 << 10, PAGE = 4 << 10 };

/* A stack and who it works for.  It lies at the top of its own memory. */
struct coroutine {
	void *place; /* where it was left */
	struct conn *conn;
	struct coroutine *next; /* of those that are free */
};

struct loop {
	pthread_t thread;
	int epoll;
	int door; /* the listener (N:1), or an eventfd that says that nobody comes any more */
	bool accepts, listening;
	atomic_int_fast64_t open; /* its connections */
	struct coroutine *free;
	void *place; /* where the loop itself was left */
};

static _Thread_local struct loop *loop;         /* this thread's */
static _Thread_local struct coroutine *current; /* who runs */

static bool watch(struct loop *of, struct conn *conn, void *whom, int how, enum conn_want want)
{
	struct epoll_event event = {.events = want == CONN_WRITE ? EPOLLOUT : EPOLLIN,
				    .data.ptr = whom};

	conn->watched = (uint8_t)want;
	return epoll_ctl(of->epoll, how, conn->fd, &event) == 0;
}

/* Waits without blocking the thread; false if that is not possible. */
static bool await(struct conn *conn, enum conn_want want)
{
	if (want == CONN_MORE)
		want = CONN_READ; /* still readable: the next wait says so again */
	if (want != conn->watched && !watch(loop, conn, current, EPOLL_CTL_MOD, want))
		return false;
	stack_switch(&current->place, loop->place);
	return true;
}

/* The life of a coroutine: one connection after the other. */
static void live(void)
{
	for (;;) {
		struct coroutine *self = current;
		enum conn_want want;

		while ((want = conn_step(self->conn)) != CONN_CLOSE && await(self->conn, want))
			;
		conn_close(self->conn);
		atomic_fetch_sub(&loop->open, 1);
		self->next = loop->free;
		loop->free = self;
		stack_switch(&self->place, loop->place);
	}
}

/* One that is free, or a new one, with a page below its stack that must not be touched. */
static struct coroutine *coroutine_for(struct conn *conn)
{
	struct coroutine *free = loop->free;

	if (free) {
		loop->free = free->next;
	} else {
		char *memory = mmap(NULL, PAGE + STACK, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		size_t room = PAGE + STACK - 64;

		if (memory == MAP_FAILED)
			return NULL;
		mprotect(memory, PAGE, PROT_NONE);
		free = (struct coroutine *)(void *)(memory + room);
		free->place = stack_begin(memory, room, live);
	}
	free->conn = conn;
	return free;
}

static void resume(struct coroutine *whom)
{
	current = whom;
	stack_switch(&loop->place, whom->place);
}

/* There is something to do for a connection for the first time: only now it needs a stack. */
static void begin(struct conn *conn)
{
	struct coroutine *whom = coroutine_for(conn);

	if (whom && watch(loop, conn, whom, EPOLL_CTL_MOD, conn->watched)) {
		resume(whom);
		return;
	}
	conn_close(conn);
	atomic_fetch_sub(&loop->open, 1);
}

/* epoll hands back one pointer: to a coroutine, to a connection that has none yet, or to nobody. */
static void *newcomer(struct conn *conn)
{
	return (char *)conn + 1;
}

static void wake(void *whom)
{
	if ((uintptr_t)whom & 1)
		begin((struct conn *)(void *)((char *)whom - 1));
	else
		resume(whom);
}

/* Gives a connection to a loop, from any thread. */
static void deal(struct loop *to, struct conn *conn)
{
	atomic_fetch_add(&to->open, 1);
	if (watch(to, conn, newcomer(conn), EPOLL_CTL_ADD, conn->watched))
		return;
	conn_close(conn);
	atomic_fetch_sub(&to->open, 1);
}

/* Something is at the door: who wants in, or the end. */
static void open_door(void)
{
	struct conn *conn;

	errno = ESHUTDOWN; /* what an eventfd has to say */
	if (loop->accepts) {
		while ((conn = conn_accept(loop->door, SOCK_NONBLOCK)) != NULL)
			deal(loop, conn);
	}
	if (errno != ESHUTDOWN)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->door, NULL);
	loop->listening = false;
}

static int set_up(struct loop *of, int door, bool accepts)
{
	struct epoll_event event = {.events = EPOLLIN}; /* of nobody */

	*of = (struct loop){.door = door, .accepts = accepts, .listening = true};
	of->epoll = epoll_create1(EPOLL_CLOEXEC);
	return of->epoll >= 0 && epoll_ctl(of->epoll, EPOLL_CTL_ADD, door, &event) == 0 ? 0 : errno;
}

static void *run(void *argument)
{
	struct epoll_event events[EVENTS];

	loop = argument;
	while (loop->listening || atomic_load(&loop->open)) {
		int n = epoll_wait(loop->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				wake(events[i].data.ptr);
			else
				open_door();
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

/* Gives the connection a thread of its own; false if there is none to be had. */
static bool bind_to_thread(struct conn *conn)
{
	bool done;

	atomic_fetch_add(&bound, 1);
	done = model_thread(serve_bound, conn) == 0;
	if (!done)
		atomic_fetch_sub(&bound, 1);
	return done;
}

/* Deals out who comes, until nobody does any more. */
static void deal_out(const struct server *server, struct loop *loops, int n)
{
	struct conn *conn;

	for (int i = 0; (conn = conn_accept(server->listener, 0)) || errno != ESHUTDOWN;) {
		if (conn && atomic_load(&bound) < server->bound && bind_to_thread(conn))
			continue;
		if (conn) {
			model_nonblocking(conn->fd);
			deal(&loops[i++ % n], conn);
		}
	}
}

static int serve_nm(const struct server *server)
{
	static struct loop loops[LOOPS];
	int n = model_workers(server, model_cpus());
	int nobody_comes = eventfd(0, EFD_CLOEXEC);
	int error = nobody_comes < 0 ? errno : 0;

	n = n < LOOPS ? n : LOOPS;
	for (int i = 0; i < n && !error; i++) {
		error = set_up(&loops[i], nobody_comes, false);
		if (!error)
			error = pthread_create(&loops[i].thread, NULL, run, &loops[i]);
	}
	if (error)
		return error;
	deal_out(server, loops, n);
	eventfd_write(nobody_comes, 1);
	for (int i = 0; i < n; i++)
		pthread_join(loops[i].thread, NULL);
	conn_await_all(); /* those with threads of their own, too */
	return 0;
}

static const char *missing(void)
{
	return stack_missing(true);
}

static struct model models[] = {
	{.name = "coroutine",
	 .summary = "a stack for every connection in one thread (N:1), over epoll",
	 .serve = serve,
	 .missing = missing},
	{.name = "coroutine-nm",
	 .summary = "coroutines over a loop a CPU (N:M); --bound K of them in threads",
	 .serve = serve_nm,
	 .missing = missing}};

__attribute__((constructor)) static void add(void)
{
	model_add(&models[0]);
	model_add(&models[1]);
}
