/* SPDX-License-Identifier: MIT */
/*
 * select - one thread that asks the kernel which descriptors of a set are ready.  Every call passes
 * the whole set, which the result overwrites, and checks each descriptor up to the highest.
 *
 * A set has room for descriptors below FD_SETSIZE, and FD_SET() beyond it corrupts memory.  So this
 * process limits itself to that many descriptors, and accept(2) fails beyond.
 */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "../conn.h"
#include "../conn_table.h"
#include "../model.h"

static fd_set reading, writing; /* what is waited for */
static int highest;             /* in either set, or below */
static int64_t open_conns;

static void watch(struct conn *conn, enum conn_want want)
{
	FD_CLR(conn->fd, want == CONN_WRITE ? &reading : &writing);
	FD_SET(conn->fd, want == CONN_WRITE ? &writing : &reading);
	highest = conn->fd > highest ? conn->fd : highest;
	conn->watched = (uint8_t)want;
}

static void step(struct conn *conn)
{
	enum conn_want want = conn_step(conn);

	if (want == CONN_MORE)
		want = CONN_READ; /* still readable: the next call returns it again */
	if (want == CONN_CLOSE) {
		FD_CLR(conn->fd, &reading);
		FD_CLR(conn->fd, &writing);
		conn_close(conn);
		open_conns--;
	} else if (want != conn->watched) {
		watch(conn, want);
	}
}

/* Accepts all pending connections; false when no more will come. */
static bool accept_all(int listener)
{
	struct conn *conn;

	while ((conn = conn_accept(listener, SOCK_NONBLOCK)) != NULL) {
		watch(conn, conn->watched);
		open_conns++;
	}
	return errno != ESHUTDOWN;
}

/* Limits RLIMIT_NOFILE to what a set has room for; 0 or an error number. */
static int limit_to_set(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return errno;
	if (limit.rlim_cur > FD_SETSIZE)
		limit.rlim_cur = FD_SETSIZE;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : errno;
}

static int serve(const struct server *server)
{
	bool listening = true;
	int error = limit_to_set();

	if (error)
		return error;
	if (server->listener >= FD_SETSIZE)
		errx(2, "select: %d descriptors were open at the start, a set has room for %d",
		     server->listener, FD_SETSIZE);
	model_nonblocking(server->listener);
	FD_SET(server->listener, &reading);
	highest = server->listener;
	while (listening || open_conns) {
		fd_set readable = reading;
		fd_set writable = writing;
		int left = select(highest + 1, &readable, &writable, NULL, NULL);

		for (int fd = 0; left > 0; fd++) {
			if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable))
				continue;
			left--; /* each waits for one of the two */
			if (fd != server->listener)
				step(conn_of(fd));
			else if (!(listening = accept_all(fd)))
				FD_CLR(fd, &reading);
		}
		while (highest > 0 && !FD_ISSET(highest, &reading) && !FD_ISSET(highest, &writing))
			highest--;
	}
	return 0;
}

static struct model model = {
	.name = "select", .summary = "one thread, select, up to 1,024 descriptors", .serve = serve};

__attribute__((constructor)) static void add(void)
{
	model_add(&model);
}
