/* SPDX-License-Identifier: MIT */
/*
 * messages.h - small messages over TCP, sent at given times, and how late each of them is received.
 *
 *	struct messages m;
 *
 *	messages_begin(&m, n);
 *	... set m.at_ns[0 to n - 1] ...
 *	... in one thread    messages_send(&m);
 *	... in another one   while (messages_left(&m)) { wait somehow; messages_recv(&m, flags); }
 *	messages_end(&m);
 *
 * A message holds the time just before its send; it is late by what has passed when the recv that
 * brought it has returned.
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net.h"
#include "stats.h"

struct message {
	int64_t number, sent_ns; /* CLOCK_MONOTONIC */
};

struct messages {
	struct net_pair fd; /* without Nagle's delay */
	int64_t n;          /* to be sent */
	int64_t *at_ns; /* when each of them is, ascending, since the sender began; the caller's */

	/* the receiver's */
	struct message *came;
	size_t came_bytes;
	int64_t got, misplaced; /* whole messages; those that were not the next one */
	int64_t *late_ns;       /* of those that were got */
	bool ended;             /* the stream */
};

/* Connects a pair for n messages; or takes a pair of the caller's over. */
void messages_begin(struct messages *m, int64_t n);
void messages_begin_with(struct messages *m, int64_t n, struct net_pair fd);

/* Sends them at their times, and ends the stream; earlier if the run is stopped. */
void messages_send(const struct messages *m);

/* Whether there are more to come. */
bool messages_left(const struct messages *m);

/* One recv(2).  How many messages it made whole; -1 for EAGAIN. */
int64_t messages_recv(struct messages *m, int flags);

/*
 * The same for those who leave recv to the kernel: where it is to write, and what to do when it has,
 * with as many bytes, 0 = the stream has ended.
 */
struct iovec messages_room(const struct messages *m);
int64_t messages_take(struct messages *m, size_t bytes);

/* The q-quantile of how late those were that were got; 0 for none. */
int64_t messages_late(const struct messages *m, double q);

/* Closes the pair and frees. */
void messages_end(struct messages *m);

#endif
