/* SPDX-License-Identifier: MIT */
/*
 * filling.h - a filled pair: what fits between a sender that never waits and a receiver that never
 * reads, and whether all of it comes out again, in order.
 *
 *	struct filling f;
 *
 *	filling_begin(&f, NET_TCP, net_pair(NET_TCP, ask), 4096);
 *	filling_fill(&f, 1, 400);
 *	filling_drain(&f, 1);
 *	... f.first_full, f.accepted, f.inq, filling_missing(&f) ...
 *	filling_end(&f);
 *
 * The first EAGAIN is not yet full: TCP moves bytes on to the receiver meanwhile, and its default
 * buffer grows.  So TCP is full when nothing has fitted for a while; many pairs can wait at once.
 * UDP has no EAGAIN on loopback: it takes every datagram and drops what does not fit, and is full
 * at the first drop.
 */
#ifndef FILLING_H
#define FILLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net.h"

/* All in bytes. */
struct filling {
	enum net_kind kind;
	struct net_pair fd;
	int64_t write; /* of one write, or datagram */

	int64_t sndbuf, rcvbuf; /* granted, when the filling began */
	int64_t first_full;     /* accepted by the first EAGAIN, or survivors of the first drop */
	int64_t accepted;       /* by all writes */
	int64_t dropped;        /* of that, by UDP */
	int64_t grown_sndbuf, grown_rcvbuf; /* granted when it was full */
	int64_t outq, inq;                  /* of a full stream's two queues; outq of TCP only */
	struct net_memory tx, rx;           /* what a full pair is charged with; 0 of a pipe */
	int64_t drained;                    /* came out again */
	int64_t misplaced;                  /* of that: not what was written at its place */

	uint8_t *buffer; /* the next write, once it was made */
	bool made, ended;
	int64_t last; /* number of the last datagram that came out */
};

/* Whether a kind keeps messages apart. */
bool filling_datagrams(enum net_kind kind);

/*
 * Takes over a connected pair and makes it non-blocking.  A datagram begins with its number: at
 * least 8 bytes.
 */
void filling_begin(struct filling *f, enum net_kind kind, struct net_pair fd, int64_t write);

/*
 * Fills pairs of one kind one after the other, then all together until nothing has fitted into any
 * of TCP's for settle_ms and their queues account for every byte.  Ends early when the run is
 * stopped.
 */
void filling_fill(struct filling *fillings, size_t n, int64_t settle_ms);

/* Closes the senders of streams and reads all there is, compared with what was written. */
void filling_drain(struct filling *fillings, size_t n);

/*
 * Bytes granted to the buffers that are charged with what the pair holds: of TCP both, of UDP the
 * receiver's, of the others the sender's.
 */
int64_t filling_capacity(const struct filling *f);

/* Bytes that were accepted and neither dropped nor drained; of a drained pair 0. */
int64_t filling_missing(const struct filling *f);

/* Closes the pair. */
void filling_end(struct filling *f);

#endif
