/* SPDX-License-Identifier: MIT */
/*
 * model.h - a way to serve many connections.
 *
 * A model is one file in models/ that registers itself:
 *
 *	static int serve(const struct server *server) { ... }
 *
 *	static struct model model = {.name = "epoll", .summary = "...", .serve = serve};
 *
 *	__attribute__((constructor)) static void add(void)
 *	{
 *		model_add(&model);
 *	}
 *
 * Nothing else in the tree names it.  How it waits is the experiment, so there is nothing finer.
 */
#ifndef MODEL_H
#define MODEL_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct server {
	int listener; /* listening, blocking */
	int64_t most; /* connections at a time; 0 = no limit */
	int64_t workers; /* threads, processes or loops, for models that have them; 0 = its own number */
	int64_t bound; /* connections with a thread of their own (coroutine-nm) */
};

struct model {
	const char *name;
	const char *summary; /* a line for --list */
	/*
	 * Serves until it is told to stop (conn.h) and every connection has ended.  0, or the error
	 * number of what this machine refuses it.
	 */
	int (*serve)(const struct server *server);
	const char *(*missing)(void); /* why this machine cannot run it, or NULL; may be left out */
	bool shares_port;             /* listens again with model_listen_too() */
	struct model *next;           /* the registry's */
};

void model_add(struct model *model);

/* How many workers the user asked for, or this number. */
int model_workers(const struct server *server, int otherwise);

/* CPUs this process may use. */
int model_cpus(void);

/* The work of a process: 0, or an error number; 2 if it has said itself why it ends. */
typedef int (*model_worker)(const struct server *server, int number);

/*
 * Does the work in n processes, and again in place of one that died of a signal, until the server
 * is told to stop.  0, or an error number: then none can be had, or one ended with it.
 */
int model_in_processes(const struct server *server, int n, model_worker work);

/*
 * A detached thread for work whose end nobody waits for but conn_await_all().  0, or an error number:
 * then none can be had.
 */
int model_thread(void *(*work)(void *), void *argument);

/* Serves a struct conn on a blocking socket to its end and closes it: the work of such a thread. */
void *model_serve_blocking(void *argument);

/* One more socket that listens where the server does (SO_REUSEPORT). */
int model_listen_too(const struct server *server);

/* Gives up waiting blocking: O_NONBLOCK. */
void model_nonblocking(int fd);

#endif
