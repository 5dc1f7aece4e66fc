/* SPDX-License-Identifier: MIT */
/*
 * load_barrier.h - generators on several hosts begin together, and no two clocks are compared.
 *
 * One process serves the barrier; each generator connects to it and arrives three times: when its connections are
 * open, when it has warmed up, and when its window has begun.  It goes on when all have arrived.  So all warm up
 * together, and begin as soon as the last one has warmed up; and the time on the server's clock from its second
 * answer until the last generator's third arrival is a time within which all windows began.
 *
 * A line of JSON each way.  An arrival is what generators must have in common (load_common); the answer is
 * {"barrier": ID, "generator": K, "generators": N, "since_ns": T}.  A generator that leaves ends the barrier, and so
 * all others; before all have come the first time it may come again.
 */
#ifndef LOAD_BARRIER_H
#define LOAD_BARRIER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

enum {
	BARRIER_GENERATORS = 1000,
	BARRIER_LINE = 32 << 10,  /* bytes */
	LOAD_WARMUP_MS = 3600000, /* at most */
};

/*
 * Of a run row, what generators that are added up must have in common: version and commit, the server, the
 * requests, the kind of loop and the times.  A new reference.
 */
json_t *load_common(const json_t *run);

/* What differs, as "duration_ms is 100 and 200"; one of text.h's buffers; NULL = nothing. */
const char *load_difference(const json_t *one, const json_t *other);

/* Serves one barrier to its end.  Ends the process with status 2 and a line if not all arrive within wait_ms. */
void barrier_serve(const struct address *where, int64_t generators, int64_t wait_ms);

/* A generator's side. */
struct barrier {
	int fd; /* readable: an answer, or its end */
	size_t length;
	char line[BARRIER_LINE];
};

struct barrier_answer {
	char id[24];                   /* of the barrier: different for each */
	int64_t generator, generators; /* which one this is, from 0; of how many */
	int64_t since_ns; /* from the answer before until all arrived, on the server's clock */
};

/* 0 or an errno: ECONNREFUSED while nobody serves it; at most as long as wait_ms. */
int barrier_connect(struct barrier *barrier, const struct address *where, int64_t wait_ms);

void barrier_arrive(const struct barrier *barrier, const json_t *common);

/*
 * Reads what there is.  0: the answer is whole; EAGAIN: not yet; ECONNRESET: the barrier has ended; EBADMSG: it is none.
 */
int barrier_read(struct barrier *barrier, struct barrier_answer *answer);

#endif
