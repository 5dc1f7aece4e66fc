/* SPDX-License-Identifier: MIT */
/*
 * conn.h - one connection of the echo server: what is answered to what it receives.
 *
 * A model gets connections from conn_table.h, waits however it likes, and calls conn_step() when
 * something may have happened.  Here is the rest: short writes, back-pressure (a peer that does not
 * read is not read from, so at most one read's bytes wait for it), half-close, resets and the modes
 * of the server.
 *
 * close(2) with unread bytes sends a reset, and the peer then loses the last answer.  So a
 * connection that the server ends shuts its sending side down, and discards what still arrives
 * until the peer has closed, too, or for two seconds.
 */
#ifndef CONN_H
#define CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the server behaves, whatever the model. */
struct conn_rules {
	bool reverse;            /* answer each line reversed, by code points of UTF-8 */
	bool pieces;             /* with reverse: at once what one recv brings of a line */
	bool once;               /* serve one connection, then end */
	bool verbose;            /* log connections and what they send to stdout */
	const char *greeting;    /* send this to every connection, and end it; NULL = echo */
	int64_t max_connections; /* at a time; more are closed at once; 0 = no limit */
	int64_t idle_ms;   /* connections without progress for so long are closed; 0 = never */
	int64_t work_port; /* a connection from this port brings other work; 0 = none does */
};

enum conn_want {
	CONN_READ,  /* wait until it is readable */
	CONN_WRITE, /* wait until it is writable; do not read */
	CONN_MORE,  /* there is more to do at once; other connections may go first */
	CONN_CLOSE, /* conn_close() it */
};

enum conn_stage {
	CONN_OPEN,
	CONN_ENDING, /* ended by the server: what arrives is not answered any more */
	CONN_EOF,    /* the peer has closed its side */
};

/* Nearly always all there is of a connection: buffers exist only while bytes wait in them. */
struct conn {
	int fd;
	uint8_t watched;          /* for the model: what it waits for, at first an enum conn_want */
	uint8_t stage;            /* enum conn_stage */
	_Atomic bool discards;    /* under CONN_ENDING, when all was sent; see conn_all_sent() */
	bool works;               /* what it sends is how long to compute, before the answer */
	uint16_t last, buffers;   /* for the model io_uring */
	_Atomic uint32_t seen_ms; /* of the last progress; kept under idle_ms, and at discards */
	struct rest *unsent;      /* bytes that could not be sent yet; NULL = none */
	struct rest *line;        /* the received part of a line (reverse); NULL = none */
};

/* Set by conn_set_rules(), read only from then on. */
extern struct conn_rules conn_rules;

/* Once, before the other functions. */
void conn_set_rules(const struct conn_rules *rules);

/*
 * Reads, answers and writes as far as it goes without waiting; on a blocking socket until there is
 * nothing to do for the moment (call it again), or the connection has ended.
 */
enum conn_want conn_step(struct conn *conn);

/* For models whose system calls are not conn_step()'s: the answer to what was received. */
struct conn_answer {
	/* what was received, or a buffer of the calling thread; NULL = no memory, close it */
	const char *bytes;
	size_t length;
};

/* length 0: the peer has closed its side. */
struct conn_answer conn_answer(struct conn *conn, const char *bytes, size_t length);

/*
 * Keeps an answer until conn_drop_held(), one at a time; false if there is no memory.  What a new
 * connection holds is to be sent first, length 0 = nothing.
 */
bool conn_hold(struct conn *conn, struct conn_answer answer);
struct conn_answer conn_held(const struct conn *conn);
void conn_drop_held(struct conn *conn);

/*
 * To be called when all was sent: true if the connection is to be closed, else read on.  If the
 * server has ended the connection this shuts its sending side down, and the peer has two seconds to
 * close its own: conn_answer() gets length 0 then.
 */
bool conn_all_sent(struct conn *conn);

/* --- for conn_table.c --- */

/* The connection holds the greeting, and ends when it was sent; false if there is no memory. */
bool conn_greet(struct conn *conn);

/* Frees its buffers. */
void conn_drop(struct conn *conn);

/* The clock of conn->seen_ms. */
uint32_t conn_now_ms(void);

#endif
