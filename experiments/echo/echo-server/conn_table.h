/* SPDX-License-Identifier: MIT */
/*
 * conn_table.h - all connections of the echo server: accept, close, shutdown, and serve in
 * processes.
 *
 * Shutdown is signalled by shutdown(2): conn_stop() calls it on the listeners and, for reading, on
 * every connection.  So accept(2) fails, recv(2) returns 0 and every poll(2) returns: a model that
 * serves its connections to their ends, and stops when conn_accept() fails with ESHUTDOWN, ends by
 * itself.
 */
#ifndef CONN_TABLE_H
#define CONN_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conn.h"

/*
 * Once, before the other functions, with SIGINT and SIGTERM blocked: from then on a thread waits
 * for them and calls conn_stop().
 */
void conn_begin(const struct conn_rules *rules);

/* A listening socket, or the one of --udp, that conn_stop() is to shut down. */
void conn_listens(int listener);

/* In a child of conn_fork() that has no connection: closes all of these but one, which its parent has, too. */
void conn_keeps(int listener);

/*
 * The next connection of a listening socket; flags are accept4(2)'s (SOCK_NONBLOCK).  NULL with
 *	EAGAIN		none is pending (a non-blocking listener),
 *	ESHUTDOWN	no more will be accepted: watch the listener no longer.
 * A pending connection for which there is no descriptor, or no room under max_connections, is
 * accepted and closed at once, so that a level-triggered wait does not spin; a spare descriptor is
 * kept for that.  Where not even that one is left it sleeps for 10 ms and fails with EAGAIN though
 * connections are pending.
 */
struct conn *conn_accept(int listener, int flags);

/* The connection of a descriptor: an entry of one table, the same for as long as it is open. */
struct conn *conn_of(int fd);

/* A table of zeros with an entry for each descriptor a connection may have.  After conn_begin(). */
void *conn_by_descriptor(size_t entry_bytes);

void conn_close(struct conn *conn);

/* The same, but the descriptor stays open and is the caller's. */
void conn_forget(struct conn *conn);

/* How many are open, and processes forked. */
int64_t conn_count(void);

/* Waits until none is. */
void conn_await_all(void);

/* True once no more are accepted: from conn_stop() on, or under once from the first one on. */
bool conn_stopping(void);

/* Shuts down; peers that do not read have a second to receive what was sent.  From any thread. */
void conn_stop(void);

/*
 * fork(2) for models that serve in processes.  The child, where it returns 0, has this connection
 * alone, or for NULL only the listeners.  It leaves with _exit(2), and shuts down like a server of
 * its own: by SIGTERM, which it gets when the parent stops or dies.  The parent has the connection
 * no longer, and counts the child as open instead until conn_reap() has reaped it.  -1: fork(2)
 * failed, and the connection is still the parent's.
 */
pid_t conn_fork(struct conn *mine);

/*
 * Waits until a process of conn_fork() has ended, and reaps it: its status as of waitpid(2).  0
 * when nothing is open and the server stops.  Other children, of a program that became this one by
 * execve(2), are reaped on the way.
 */
pid_t conn_reap(int *status);

#endif
