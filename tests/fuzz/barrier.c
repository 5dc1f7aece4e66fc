/* SPDX-License-Identifier: MIT */
/*
 * barrier - whatever comes over the network, a generator and the barrier's server read lines, or refuse them.
 *
 * The first byte says in how many bytes at a time the rest comes.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caught.h"
#include "fuzz.h"

#define errx caught_errx
#include "../../experiments/echo/echo-load/load_barrier.c"
#undef errx

enum { PARTIES = 2 };

static int near, far; /* a pair of sockets */

static void arrive(const uint8_t *bytes, size_t length)
{
	FUZZ_ASSERT(write(far, bytes, length) == (ssize_t)length);
}

/* What arrives is an answer. */
static void read_answer(void)
{
	static struct barrier barrier;
	struct barrier_answer answer;
	int error;

	barrier.fd = near;
	error = barrier_read(&barrier, &answer);
	FUZZ_ASSERT(barrier.length < sizeof(barrier.line));
	if (error == 0) {
		FUZZ_ASSERT(strlen(answer.id) < sizeof(answer.id));
		FUZZ_ASSERT(answer.generator >= 0 && answer.generator < answer.generators);
		FUZZ_ASSERT(answer.generators <= BARRIER_GENERATORS && answer.since_ns >= 0);
	} else {
		FUZZ_ASSERT(error == EAGAIN || error == EBADMSG);
	}
}

/* What arrives is a generator's arrival; another has come already. */
static void read_arrival(struct server *server)
{
	struct party *party = &server->parties[1];

	read_party(server, party);
	if (party->fd < 0) { /* refused */
		party->fd = dup(near);
		FUZZ_ASSERT(!party->common && !party->arrived && party->length == 0);
	}
	FUZZ_ASSERT(party->length < sizeof(party->line));
	FUZZ_ASSERT(!party->arrived || is_generator(party->common));
}

static void take(const uint8_t *data, size_t size, size_t step, bool arrivals)
{
	static struct party parties[PARTIES];
	struct server server = {.listener = -1, .n = PARTIES, .parties = parties};
	int status;

	memset(parties, 0, sizeof(parties));
	parties[0].fd = -1;
	parties[1].fd = arrivals ? dup(near) : -1;
	caught_begin();
	status = setjmp(caught_end);
	if (status == 0) {
		parties[0].common = json_pack("{s:s,s:i}", "version", "1.0", "warmup_ms", 100);
		for (size_t at = 0; at < size; at += step) {
			arrive(data + at, size - at < step ? size - at : step);
			if (arrivals)
				read_arrival(&server);
			else
				read_answer();
		}
	} else {
		FUZZ_ASSERT(arrivals && status == 1 + EXIT_USAGE); /* the generators differ */
	}
	caught_free();
	if (parties[1].fd >= 0)
		close(parties[1].fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];

	if (size < 2 || size > BARRIER_LINE + 1000)
		return 0;
	for (int arrivals = 0; arrivals <= 1; arrivals++) {
		FUZZ_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		near = pair[0];
		far = pair[1];
		take(data + 1, size - 1, 1 + 64 * (size_t)data[0], arrivals);
		close(near);
		close(far);
	}
	return 0;
}
