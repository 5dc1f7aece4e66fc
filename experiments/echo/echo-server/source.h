/* SPDX-License-Identifier: MIT */
/*
 * source.h - where the connections of an event loop come from: it takes what is pending at the listener
 * itself (N:1), or one thread accepts all of them and gives them to a loop a CPU in turn (N:M).
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <stdbool.h>

#include "conn.h"
#include "model.h"

struct source {
	int fd; /* non-blocking; readable when a connection may be there, or no more will come */
	bool listens;
};

/*
 * The next connection, non-blocking.  NULL with
 *	EAGAIN		none is there now,
 *	ESHUTDOWN	no more will come: watch the source no longer.
 */
struct conn *source_next(const struct source *source);

/*
 * A loop: serves until no more will come, and all have ended; 0, or the error number of what is refused it.
 * It calls source_begin() when it has all that it needs, and before source_next().
 */
typedef int (*source_loop)(const struct source *source);
void source_begin(const struct source *source);

/* A model's serve(): by one loop in this thread. */
int source_serve(const struct server *server, source_loop loop);

/*
 * The same by as many threads with a loop each as --workers says, else one a CPU.  As many connections at a
 * time as --bound says have a thread of their own instead, which blocks.
 */
int source_serve_nm(const struct server *server, source_loop loop);

#endif
