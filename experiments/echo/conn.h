/* SPDX-License-Identifier: MIT */
/*
 * conn.h - one connection of the echo server: what an echo is, whatever way the server waits.
 *
 * A model accepts with conn_accept(), waits however it likes, and calls conn_step() when something
 * may have happened.  Here is the rest: short writes, back-pressure (a peer that does not read is
 * not read from, so at most one read's bytes wait for it), half-close, resets, the modes of the
 * server, and its end.
 *
 * Closed with bytes unread, a connection is reset, and the peer loses what it was told last.  So
 * one that the server ends shuts its sending side, and throws away what comes until the peer has
 * closed, too, or a moment is over.
 *
 * The end is a state of the sockets, not a message: conn_stop() shuts the listener and every
 * connection down for reading.  So accept(2) fails, recv(2) returns 0, and every poll(2) wakes: a
 * model that serves its connections to their ends and stops accepting when it is told so, stops.
 */
#ifndef CONN_H
#define CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How the server behaves, whatever the model. */
struct conn_rules {
	bool reverse;            /* answer each line reversed, by code points of UTF-8 */
	bool once;               /* serve one connection, then end */
	bool verbose;            /* log connections and what they say to stdout */
	const char *greeting;    /* say this to whoever connects, and end; NULL = echo */
	int64_t max_connections; /* at a time; more are closed at once; 0 = no limit */
	int64_t idle_ms;         /* who says and takes nothing for so long is closed; 0 = never */
};

enum conn_want {
	CONN_READ,  /* wait until it is readable */
	CONN_WRITE, /* wait until it is writable; do not read */
	CONN_MORE,  /* there is more to do at once; others may go first */
	CONN_CLOSE, /* it is at its end: conn_close() */
};

enum conn_stage {
	CONN_TALKS,
	CONN_ENDED, /* by the server: what comes is not answered any more */
	CONN_OVER,  /* the peer has closed its side */
};

/* Nearly always all there is of a connection: buffers exist while something waits in them. */
struct conn {
	int fd;
	uint8_t watched;          /* for the model: the want it waits for, here the first one */
	uint8_t stage;            /* enum conn_stage */
	bool discards;            /* under CONN_ENDED, when all was sent; see conn_over() */
	uint16_t last, buffers;   /* for the model io_uring */
	_Atomic uint32_t seen_ms; /* when it last did something; kept under idle_ms only */
	struct rest *unsent;      /* what the peer has not taken yet; NULL = nothing */
	struct rest *line;        /* the part of a line that has come (reverse); NULL = nothing */
};

/*
 * Once, before the others, with SIGINT and SIGTERM blocked: from then on a thread waits for them
 * and calls conn_stop().
 */
void conn_begin(const struct conn_rules *all);

/* A socket that is shut when the server stops. */
void conn_listens(int listener);

/*
 * The next connection of a listening socket; flags are accept4(2)'s (SOCK_NONBLOCK).  NULL with
 *	EAGAIN		none is waiting (a non-blocking listener),
 *	ESHUTDOWN	the server stops: watch the listener no longer.
 * Those for whom there is no descriptor, or no room, are turned away rather than left waiting, so
 * that a level-triggered wait does not spin; a spare descriptor is kept for that.  Where even that
 * does not help it pauses, and says EAGAIN though somebody waits.
 */
struct conn *conn_accept(int listener, int flags);

/*
 * Reads, answers and writes as far as it goes without waiting; on a blocking socket until the
 * connection has nothing to say for the moment (call it again), or has ended.
 */
enum conn_want conn_step(struct conn *conn);

/* For models whose system calls are not conn_step()'s: the answer to what was received. */
struct conn_answer {
	/* what was received, or in a buffer of the calling thread; NULL = close it, for want of memory */
	const char *bytes;
	size_t length;
};

/* length 0: the peer has closed its side. */
struct conn_answer conn_answer(struct conn *conn, const char *bytes, size_t length);

/*
 * Keeps an answer until conn_let_go(), one at a time; false if there is no memory.  What is held of
 * a new connection is to be said first, length 0 = nothing.
 */
bool conn_hold(struct conn *conn, struct conn_answer answer);
struct conn_answer conn_held(const struct conn *conn);
void conn_let_go(struct conn *conn);

/*
 * When all was sent: true if the connection is at its end.  Else go on reading; one that the server
 * has ended then shuts its sending side, and is given a moment for conn_answer() to get length 0.
 */
bool conn_over(struct conn *conn);

/* The connection of a descriptor: a place in one table, the same for as long as it is open. */
struct conn *conn_of(int fd);

void conn_close(struct conn *conn);

/* The same, but for its descriptor, which is the caller's from then on. */
void conn_forget(struct conn *conn);

/* A line of what was received, without line breaks and control characters (--verbose). */
void conn_log_received(const struct sockaddr_in *from, const char *bytes, size_t length);

/* How many are open, and processes forked. */
int64_t conn_count(void);

/* Waits until none is. */
void conn_await_all(void);

/* True from conn_stop() on. */
bool conn_stopping(void);

/* Makes everything end; peers that do not read have a second to take what is theirs.  Any thread. */
void conn_stop(void);

/*
 * fork(2) for models that serve in processes.  The child, where it returns 0, has this connection
 * alone, or none and the listener: NULL.  It leaves with _exit(2), and ends like a server of its
 * own: by SIGTERM, which it gets when the parent stops or dies.  The parent has the connection no
 * longer, and counts the child as open instead until conn_reap() has found it ended.  -1: there is
 * no process to be had, and the connection is still the parent's.
 */
pid_t conn_fork(struct conn *mine);

/*
 * Waits until a process of conn_fork() has ended; with how it did (waitpid(2)).  0 when nobody is
 * open and the server stops.  Children that it did not fork, but whoever became it by execve(2),
 * are buried on the way.
 */
pid_t conn_reap(int *status);

#endif
