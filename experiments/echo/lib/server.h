/* SPDX-License-Identifier: MIT */
/*
 * server.h - the echo servers that are compared: echo-server's models and the peers.
 *
 * Everything here ends the process with status 2 if a server does not start, serve or end as it must.
 */
#ifndef ECHO_SERVER_H
#define ECHO_SERVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "exp.h"
#include "program.h"

struct model {
	const char *name;        /* of echo-server --model */
	const char *script;      /* instead: a peer's file; NULL = none */
	const char *interpreter; /* of that; NULL = python3 */
	const char *more[3];     /* options, NULL-ended */
	int64_t most;            /* connections that it is measured with; 0 = any number */
	const char *most_why;    /* why no more */
	bool worker_each;    /* a worker serves one connection to its end: as many are started */
	int64_t taken_bytes; /* by a connection, at most, as was seen */
	int64_t settling_us; /* until a connection is served, for each */
};

/* The most telling ones first. */
enum {
	EPOLL,
	COROUTINE,
	THREAD,
	BUSY_POLL,
	IO_URING,
	FORK,
	ITERATIVE,
	PREFORK,
	POOL,
	COROUTINE_NM,
	EPOLL_ET,
	POLL,
	SELECT,
	REUSEPORT,
	COROUTINE_RING,
	COROUTINE_NM_RING,
	LIBEVENT,
	LIBUV,
	PY_THREADED,
	PY_SOCKETSERVER,
	PY_SELECTORS,
	PY_ASYNCIO,
	MODELS
};

extern const struct model models[MODELS];

extern const char slow_enough[]; /* the peers' most_why */

#define PEER(file) .script = "echo/peers/" file, .most = 128, .most_why = slow_enough

/* A row of a table of variants; and those of all of them, to begin one. */
#define MODEL_AS(at, id, name, help) [at] = {name, help, &models[id]}
#define MODEL(id, name, help)        MODEL_AS(id, id, name, help)
#define MODEL_VARIANTS                                                                             \
	MODEL(EPOLL, "epoll", "one thread, epoll, level-triggered"),                               \
		MODEL(IO_URING, "io_uring",                                                        \
		      "one thread, io_uring: the kernel receives and sends"),                      \
		MODEL(COROUTINE, "coroutine", "a coroutine a connection in one thread (N:1)"),     \
		MODEL(THREAD, "thread", "a thread for every connection, blocking"),                \
		MODEL(BUSY_POLL, "busy-poll", "one thread that tries every connection in turn"),   \
		MODEL(FORK, "fork", "a process for every connection, blocking"),                   \
		MODEL(ITERATIVE, "iterative", "one connection after the other, blocking"),         \
		MODEL(PREFORK, "prefork", "processes forked beforehand, blocking"),                \
		MODEL(POOL, "pool", "threads started beforehand, blocking"),                       \
		MODEL(COROUTINE_NM, "coroutine-nm", "coroutines over a loop a CPU (N:M)"),         \
		MODEL(EPOLL_ET, "epoll-et", "one thread, epoll, edge-triggered"),                  \
		MODEL(POLL, "poll", "one thread, poll"),                                           \
		MODEL(SELECT, "select", "one thread, select, up to 1,024 descriptors"),            \
		MODEL(REUSEPORT, "reuseport", "an epoll loop and a listening socket a CPU"),       \
		MODEL(COROUTINE_RING, "coroutine-ring",                                            \
		      "coroutines of one thread, over io_uring"),                                  \
		MODEL(COROUTINE_NM_RING, "coroutine-nm-ring", "coroutines over a ring a CPU"),     \
		MODEL(LIBEVENT, "libevent", "libevent's buffered events, a reference"),            \
		MODEL(LIBUV, "libuv", "the library of Node.js, a reference"),                      \
		MODEL(PY_THREADED, "py-threaded", "Python: a thread for every connection"),        \
		MODEL(PY_SOCKETSERVER, "py-socketserver", "Python: socketserver's threads"),       \
		MODEL(PY_SELECTORS, "py-selectors", "Python: one thread, selectors"),              \
		MODEL(PY_ASYNCIO, "py-asyncio", "Python: one thread, asyncio streams")

/*
 * Leaves out those of this table's variants that cannot run here and, unless --variants names some, the
 * models from `first` on; before run_next().
 */
void models_leave_out(struct run *run, const struct variant *variants, int64_t first);

/* Says that server and load share a CPU, where it is so; for judge(). */
void server_note_cpus(struct run *run);

struct server {
	const struct model *model;
	struct program program;
	struct sockaddr_in address;
};

/* For so many connections at a time; `more`: further options, NULL-ended, or NULL. */
struct server server_start(const struct run *run, const struct model *model, int cpu,
			   int64_t connections, const char *const *more);

/* Ends it as Ctrl-C would: it must end with status 0. */
void server_stop(struct server *server);

/* A connection; -1 with errno if it is refused. */
int server_connect(const struct server *server);

enum { REQUEST = 64 }; /* bytes of one by server_ask() */

enum answer {
	ANSWERED,
	CLOSED,  /* or reset */
	WAITING, /* hold_ns later nothing had come, and the whole server slept */
};

/*
 * Sends a request and waits for the answer; adds to *wrong_bytes those that are not as sent.  A server
 * that has something to run is waited for as long as it takes: a busy machine is no answer.
 */
enum answer server_ask(const struct server *server, int fd, int64_t hold_ns, int64_t *wrong_bytes);

/* Its second half: waits for what comes then. */
enum answer server_answer(const struct server *server, int fd, int64_t hold_ns,
			  int64_t *wrong_bytes);

/* Whether there is something to read within hold_ns, or until the server has what was sent and sleeps. */
bool server_await_answer(const struct server *server, int fd, int64_t hold_ns);

/* Waits until all threads of the server sleep, as those do that wait for a request; false if stopped. */
bool server_await_sleep(const struct server *server);

/* The fields of a sample, added bit by bit. */
struct row {
	struct field fields[64]; /* {0}-ended */
	size_t n;
};

void row_add(struct row *row, const struct field *fields);

/*
 * What a server's own memory grows by if so many connections, each served once, are open instead of
 * one; adds the fields that memory_fields declares.
 */
extern const struct row_field memory_fields[];
void server_memory(const struct run *run, const struct model *model, int64_t connections,
		   struct row *row);

#endif
