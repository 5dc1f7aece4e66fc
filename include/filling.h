/* SPDX-License-Identifier: MIT */
/*
 * filling.h - a filled pair: what fits between a sender that never waits and a receiver that never
 * reads, and whether all of it comes out again, in order.
 *
 *	near                                          far: hold(peer)
 *	peer_begin(peer, hold, TEAM_FREE);
 *	filling_connect(&f, peer, NULL, kind, ask, 4096);    filling_accept(&receiver, peer);
 *	filling_fill(&f, 1, 400);                     filling_answer(peer, &receiver, 1);
 *	filling_drain(&f, 1);                         filling_empty(peer, &receiver, 1);
 *	... f.first_full, f.accepted, f.inq, filling_missing(&f) ...
 *	filling_end(&f);
 *	peer_end(peer);
 *
 * Whoever has both ends begins with filling_begin(), and needs no far half.
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
#include "peer.h"

/* What a receiver holds and has given out, in bytes. */
struct filling_held {
	int64_t rcvbuf;           /* granted, now */
	int64_t inq;              /* of a stream: in its queue */
	struct net_memory memory; /* what it is charged with; 0 of a pipe */
	int64_t dropped;          /* by UDP */
	int64_t drained;          /* came out */
	int64_t misplaced;        /* of that: not what was written at its place */
};

struct filling_receiver {
	enum net_kind kind;
	int fd;
	int64_t write; /* of one write, or datagram */
	struct filling_held held;

	int64_t accepted; /* by all writes: what there is to come out */
	int64_t last;     /* number of the last datagram that came out */
	bool ended;
};

/* All in bytes. */
struct filling {
	enum net_kind kind;
	struct net_pair fd; /* rx is -1 if the far half has the receiver */
	int64_t write;      /* of one write, or datagram */

	int64_t sndbuf, rcvbuf;   /* granted, when the filling began */
	int64_t first_full;       /* accepted by the first EAGAIN, or survivors of the first drop */
	int64_t accepted;         /* by all writes */
	int64_t dropped;          /* of that, by UDP */
	int64_t grown_sndbuf;     /* granted when it was full */
	int64_t outq, inq;        /* of a full stream's two queues; outq of TCP only */
	struct net_memory tx, rx; /* what a full pair is charged with; 0 of a pipe */
	int64_t drained;          /* came out again */
	int64_t misplaced;        /* of that: not what was written at its place */
	bool refused; /* a datagram is too large for the send buffer: nothing was accepted */

	uint8_t *buffer; /* the next write, once it was made */
	bool made;
	struct peer *far; /* who has the receiver; NULL = it is here: */
	struct filling_receiver receiver;
};

/* Whether a kind keeps messages apart. */
bool filling_datagrams(enum net_kind kind);

/*
 * Takes over a connected pair and makes it non-blocking.  A datagram begins with its number: at
 * least 8 bytes.
 */
void filling_begin(struct filling *f, enum net_kind kind, struct net_pair fd, int64_t write);

/* The same of a pair as of peer_connect(), whose receiver the far half accepts. */
void filling_connect(struct filling *f, struct peer *far, struct link *cable, enum net_kind kind,
		     struct net_ask ask, int64_t write);

/*
 * Fills pairs of one kind one after the other, then all together until nothing has fitted into any
 * of TCP's for settle_ms, nor arrived, and their queues account for every byte.  Ends early when the
 * run is stopped.  Pairs of a far half: all that it has accepted, of UDP a single one.
 */
void filling_fill(struct filling *fillings, size_t n, int64_t settle_ms);

/*
 * Closes the senders of streams and reads all there is, compared with what was written.  TCP's are reset
 * if the run is stopped.
 */
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

/*
 * Of the far half: accepts the receiver of one filling_connect(); says what the n of them hold until
 * filling_fill() is over; reads all there is, for filling_drain(), and closes them.
 */
void filling_accept(struct filling_receiver *receiver, struct peer *near);
void filling_answer(struct peer *near, struct filling_receiver *receivers, size_t n);
void filling_empty(struct peer *near, struct filling_receiver *receivers, size_t n);

#endif
