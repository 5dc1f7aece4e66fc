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
 * Nothing else in the tree names it.  How a model waits is what is compared, so its interface has
 * no finer parts than serve().
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct server {
	int listener; /* listening, blocking */
	int backlog;  /* of that and of model_listen_too()'s */
	int64_t most; /* connections at a time; 0 = no limit */
	int64_t workers; /* threads, processes or loops, for models that have them; 0 = its own number */
	int64_t bound; /* connections with a thread of their own (coroutine-nm) */
};

struct model {
	const char *name;
	const char *summary; /* a line for --list */
	/*
	 * Serves until conn_accept() fails with ESHUTDOWN and every connection has ended.  0, or
	 * the error number of what this machine refuses it.
	 */
	int (*serve)(const struct server *server);
	const char *(*missing)(void); /* why this machine cannot run it, or NULL; may be left out */
	bool shares_port;             /* it uses model_listen_too() */
	struct model *next;           /* in model_first()'s list */
};

void model_add(struct model *model);

/* All models by name, linked by next. */
const struct model *model_first(void);

/* How many workers the user asked for, or this number. */
int model_workers(const struct server *server, int otherwise);

/* CPUs this process may use. */
int model_cpus(void);

/* The work of a process: 0, or an error number; 2 if it has printed why it ends. */
typedef int (*model_worker)(const struct server *server, int number);

/*
 * Does the work in n processes, and again in place of one that was killed by a signal, until the
 * server stops.  0, or an error number: fork(2) failed, or a worker ended with it.
 */
int model_in_processes(const struct server *server, int n, model_worker work);

/*
 * Starts a detached thread; only conn_await_all() waits for its end.  0, or an error number.
 */
int model_thread(void *(*work)(void *), void *argument);

/* Serves a struct conn on a blocking socket to its end and closes it: the work of such a thread. */
void *model_serve_blocking(void *argument);

/* One more socket that listens where the server does (SO_REUSEPORT). */
int model_listen_too(const struct server *server);

/* Sets O_NONBLOCK. */
void model_nonblocking(int fd);

#endif
