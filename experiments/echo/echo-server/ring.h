/* SPDX-License-Identifier: MIT */
/*
 * ring.h - connections by io_uring: the kernel receives and sends by itself, and completes what was
 * submitted.  One system call submits all new operations and waits for completions.
 *
 * One receive is submitted for all that will arrive (multishot).  For each part of it the kernel
 * uses one of the provided buffers, so that an idle connection holds none.  The buffers of a
 * connection are sent back by one operation, one at a time; when too many of them are not sent, the
 * receive is cancelled until they are.
 */
#ifndef RING_H
#define RING_H

#include <stdbool.h>

#include "conn.h"
#include "source.h"

/*
 * Serves as a source_loop does, by a ring of this thread.  After each completion that lets a connection go on
 * `handle` is called, which does with the functions below what can be done without waiting.
 */
int ring_serve(const struct source *source, void (*handle)(struct conn *conn));

/* Something is to be answered: what was received, or the end of the input. */
bool ring_has_input(const struct conn *conn);

/* Submits a receive, if none is under way. */
void ring_receive(struct conn *conn);

/* Submits the answer to it; there may be nothing to send. */
void ring_answer(struct conn *conn);

/* An answer is under way. */
bool ring_is_sending(const struct conn *conn);

/* With no answer under way: the connection is broken, or all was received and sent. */
bool ring_is_over(struct conn *conn);

/* Closes it: false while operations are still under way, after whose completions it is to be called again. */
bool ring_close(struct conn *conn);

/* Why this machine has no such ring, or NULL. */
const char *ring_missing(void);

#endif
