/* SPDX-License-Identifier: MIT */
/*
 * trace.h - a TCP connection over time: every send call with the reason why it blocked, and both
 * queues, sampled by a thread of its own.
 *
 * Whether a call blocked is read from the sending thread's context switches; why, from how long
 * TCP_INFO's clocks ran during the call.  Those clocks count in ticks of the kernel, so a call shorter
 * than two ticks is too short to tell.
 */
#ifndef TRACE_H
#define TRACE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "exp.h"
#include "net.h"
#include "tcpinfo.h"

/* What held a call up for at least half of its time. */
enum cause {
	CAUSE_NONE,    /* it did not block */
	CAUSE_PEER,    /* the peer's receive window was full */
	CAUSE_SNDBUF,  /* the send buffer was too small for the path */
	CAUSE_NETWORK, /* bytes were under way: the congestion window or the link */
	CAUSE_SHORT,   /* it blocked for less than two kernel ticks: too short to tell */
	CAUSE_UNKNOWN, /* TCP's clocks do not show it */
	CAUSES
};

extern const char *const cause_names[CAUSES]; /* "none", "peer-window", ... */

/* All times are in ns since trace_begin(). */
struct trace_call {
	int64_t begin_ns, elapsed_ns;
	int64_t sent_bytes; /* so far, with this call */
	bool blocked;       /* the thread slept in it */
	enum cause cause;
	int64_t rwnd_limited_ns; /* how long the peer's window held TCP up meanwhile */
};

struct trace_look {
	int64_t at_ns;
	int64_t outq, inq; /* SIOCOUTQ of the sender, SIOCINQ of the receiver, in bytes */
	int64_t wmem;      /* what the send buffer is charged with, in bytes */
	struct tcpinfo tcp;
};

struct trace {
	struct net_pair fd;
	int64_t zero_ns; /* CLOCK_MONOTONIC of trace_begin() */
	struct trace_call *calls;
	size_t calls_n, calls_room;
	atomic_int_fast64_t sent; /* bytes accepted by calls that have returned; for any thread */
	struct trace_look
		*looks; /* what the sampler saw, where something had changed, or 50 ms later */
	size_t looks_n, looks_room;
	int64_t every_ns;
	atomic_bool ended;
	pthread_t sampler;
};

/* Starts to look at both queues every so many ns, or at the sender's if rx is -1.  The pair stays the caller's. */
void trace_begin(struct trace *trace, struct net_pair fd, int64_t every_ns);

int64_t trace_now(const struct trace *trace);

/* A blocking send(2), timed; for one thread.  -1 with errno as send(2). */
ssize_t trace_send(struct trace *trace, const void *buffer, size_t length);

/* Stops looking.  What was traced can be read from then on. */
void trace_end(struct trace *trace);

/* Writes it as rows: "call" and "queue", whose fields are: */
extern const struct row_field trace_fields[];
void trace_record(const struct trace *trace, struct run *run);

struct trace_sum {
	int64_t blocked_calls, blocked_ns;
	int64_t rwnd_limited_ns;  /* of the blocked calls */
	int64_t cause_ns[CAUSES]; /* blocked_ns by cause */
	int64_t longest_ns;       /* of the calls whose cause can be told; 0 = there is none */
	int64_t longest_looks;    /* how often the queues were sampled in that call */
	int64_t longest_wmem;     /* the most that the send buffer was charged with meanwhile */
	int64_t longest_backoff;  /* the most that the window probes' timer doubled meanwhile */
};

struct trace_sum trace_sum(const struct trace *trace);

/* Draws both queues and when the sender was blocked, with a line for the time, in 80 columns. */
void trace_draw(const struct trace *trace, FILE *out, const char *title);

void trace_free(struct trace *trace);

#endif
